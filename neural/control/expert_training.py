"""Training of the experts: soft actor-critic (SAC, Haarnoja et al. 2018) by sbx-rl, with checkpoints of the actor.

Needs the `experts` extra. Checkpoints hold the actor alone, in the project's policy format; which of them becomes the
expert is decided afterwards, by `neural.control.experts.select`, on episodes that the report does not reuse.
"""

from __future__ import annotations

import csv
import dataclasses
import importlib
import importlib.metadata
import json
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from gvatheory import validation
from neural.control.policies import MLPPolicy, save_policy
from neural.control.tasks import get_task


@dataclasses.dataclass(frozen=True)
class ExpertTraining:
    """One SAC run.

    Attributes:
        task: gymnasium id of the task.
        steps: environment steps, at least 1; the project's experts use 1,000,000 or more.
        seed: seeds the environment, the networks and the replay sampling.
        learning_rate: of actor, critics and entropy coefficient.
        batch_size: transitions per gradient step.
        update_every: environment steps between blocks of as many gradient steps (update-to-data ratio 1).
        layer_norm: layer normalisation in the critics.
        policy_delay: critic updates per update of actor and entropy coefficient.
        learning_starts: steps of random actions at the start.
        ema_updates: time constant, in gradient steps, of the moving average of the actor kept beside it.
        checkpoint_every: environment steps between checkpoints.
    """

    task: str = "Walker2d-v4"
    steps: int = 1_000_000
    seed: int = 0
    learning_rate: float = 3e-4
    batch_size: int = 128
    update_every: int = 32
    layer_norm: bool = True
    policy_delay: int = 2
    learning_starts: int = 10_000
    ema_updates: int = 10_000
    checkpoint_every: int = 10_000

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size", "update_every", "policy_delay", "checkpoint_every"):
            validation.integer(name, getattr(self, name), 1)
        for name in ("seed", "learning_starts"):
            validation.integer(name, getattr(self, name), 0)
        validation.real("learning_rate", self.learning_rate, 0.0, 1.0, open_low=True, open_high=True)
        validation.integer("ema_updates", self.ema_updates, self.update_every)


def actor_to_policy(params: Any) -> MLPPolicy:
    """The project's policy from the parameters of sbx's squashed Gaussian actor (mean head, then log-std head)."""
    layers = params["params"]
    depth = len(layers) - 1  # the last Dense is the log-std head
    arrays = [
        (np.asarray(layers[f"Dense_{i}"]["kernel"]), np.asarray(layers[f"Dense_{i}"]["bias"])) for i in range(depth + 1)
    ]
    return MLPPolicy(
        weights=tuple(w for w, _ in arrays[:depth]),
        biases=tuple(b for _, b in arrays[:depth]),
        activation="relu",
        output="tanh",
        log_std_head=arrays[depth],
    )


def train(config: ExpertTraining, out: Path | str) -> Path:
    """Run SAC and leave in `out`: config.json, episodes.csv, checkpoints/{raw,ema}_STEP.safetensors.

    Raises:
        FileExistsError: if `out` already holds a run.
        ValueError: if the task is not one of the project's.
        ImportError: if the `experts` extra is not installed.
    """
    out = Path(out)
    if (out / "config.json").exists():
        raise FileExistsError(f"{out} already holds a training run; choose another directory")
    get_task(config.task)  # a task without a rollout engine could not be chosen from later
    import gymnasium
    import jax

    # Imported by name: the extra may be absent, and its types say little about the JAX actor.
    sbx: Any = importlib.import_module("sbx")
    callbacks: Any = importlib.import_module("stable_baselines3.common.callbacks")

    versions = {p: importlib.metadata.version(p) for p in ("sbx-rl", "jax", "mujoco", "gymnasium", "numpy")}
    out.mkdir(parents=True, exist_ok=True)
    (out / "config.json").write_text(json.dumps({"config": dataclasses.asdict(config), "versions": versions}, indent=1))

    class Recorder(callbacks.BaseCallback):
        """Writes episodes and checkpoints; keeps the moving average of the actor."""

        def _on_training_start(self) -> None:
            self.started = time.monotonic()
            self.ema = jax.tree.map(np.array, self.model.policy.actor_state.params)
            self.next_checkpoint = config.checkpoint_every
            self.file = (out / "episodes.csv").open("w", newline="")
            self.rows = csv.writer(self.file)
            self.rows.writerow(["step", "return", "length"])

        def _on_rollout_start(self) -> None:
            rate = config.update_every / config.ema_updates
            self.ema = jax.tree.map(
                lambda e, p: e + rate * (np.asarray(p) - e), self.ema, self.model.policy.actor_state.params
            )

        def _on_step(self) -> bool:
            for info in self.locals["infos"]:
                if "episode" in info:
                    self.rows.writerow([self.num_timesteps, f"{info['episode']['r']:.3f}", info["episode"]["l"]])
            if self.num_timesteps >= self.next_checkpoint:
                self.next_checkpoint += config.checkpoint_every
                self.checkpoint()
            return True

        def checkpoint(self) -> None:
            self.file.flush()
            for kind, params in (("raw", self.model.policy.actor_state.params), ("ema", self.ema)):
                card = {"step": self.num_timesteps, "kind": kind, "config": dataclasses.asdict(config)}
                save_policy(
                    out / "checkpoints" / f"{kind}_{self.num_timesteps:08d}.safetensors", actor_to_policy(params), card
                )
            recent = [ep["r"] for ep in self.model.ep_info_buffer][-10:]
            rate = self.num_timesteps / (time.monotonic() - self.started)
            print(
                f"{self.num_timesteps:>9,} of {config.steps:,} steps, {rate:.0f}/s, "
                f"last 10 training episodes {np.mean(recent):.0f}",
                flush=True,
            )

        def _on_training_end(self) -> None:
            if self.next_checkpoint - config.checkpoint_every < self.num_timesteps:
                self.checkpoint()
            self.file.close()

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the -v4 tasks are the paper's
        env = gymnasium.make(config.task)
    model = sbx.SAC(
        "MlpPolicy",
        env,
        learning_rate=config.learning_rate,
        batch_size=config.batch_size,
        train_freq=config.update_every,
        gradient_steps=config.update_every,
        learning_starts=config.learning_starts,
        policy_delay=config.policy_delay,
        policy_kwargs={"layer_norm": config.layer_norm},
        seed=config.seed,
    )
    model.learn(config.steps, callback=Recorder(), log_interval=10**9)
    return out

"""Training of the experts by sbx-rl, with checkpoints of the actor: SAC (Haarnoja et al. 2018) or another algorithm.

Needs the `experts` extra. Checkpoints hold the actor alone, in the project's policy format; which of them becomes the
expert is decided afterwards, by `neural.control.experts.select`, on episodes that the report does not reuse.
"""

from __future__ import annotations

import csv
import dataclasses
import importlib
import importlib.metadata
import shutil
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from gvatheory import validation
from neural.control import training_state
from neural.control.algorithms import (
    ALGORITHMS,
    Algorithm,
    actor_to_policy,
    actor_variables,
    make_model,
    resumable,
    updates_per_block,
)
from neural.control.policies import save_policy
from neural.control.tasks import action_bound, get_task
from neural.runs import atomic, claim


@dataclasses.dataclass(frozen=True)
class ExpertTraining:
    """One training run; what an option does not concern is said of it.

    Attributes:
        task: gymnasium id of the task.
        steps: environment steps, at least 1; the project's experts use 1,000,000 or more.
        seed: seeds the environment, the networks and the replay sampling.
        learning_rate: of actor, critics and entropy coefficient.
        batch_size: transitions per gradient step.
        update_every: environment steps between blocks of as many gradient steps (update-to-data ratio 1); not PPO's,
            which learns from `algorithms.PPO_ROLLOUT` steps at a time and runs to a multiple of them.
        layer_norm: layer normalisation in the critics; not those of CrossQ and PPO.
        policy_delay: critic updates per update of actor and entropy coefficient; not of DDPG and PPO.
        learning_starts: steps of random actions at the start; none in PPO.
        ema_updates: time constant, in gradient steps, of the moving average of the actor kept beside it.
        checkpoint_every: environment steps between checkpoints.
        algorithm: one of `algorithms.ALGORITHMS`; the shipped experts are SAC's.
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
    algorithm: Algorithm = "sac"

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size", "update_every", "policy_delay", "checkpoint_every"):
            validation.integer(name, getattr(self, name), 1)
        for name in ("seed", "learning_starts"):
            validation.integer(name, getattr(self, name), 0)
        validation.real("learning_rate", self.learning_rate, 0.0, 1.0, open_low=True, open_high=True)
        if self.algorithm not in ALGORITHMS:
            raise ValueError(f"algorithm must be one of {', '.join(ALGORITHMS)}, got {self.algorithm!r}")
        validation.integer("ema_updates", self.ema_updates, self.update_every)


def train(config: ExpertTraining, out: Path | str) -> Path:
    """Train, and leave in `out`: config.json, episodes.csv, checkpoints/{raw,ema}_STEP.safetensors.

    A run that was killed goes on from its last checkpoint when called again, to the same files bit for bit, unless it
    is PPO's. Its state, in `out`/state, takes 16 bytes per observation entry and step, and is removed at the end.

    Raises:
        FileExistsError: if `out` holds another run, this one complete, or an interrupted one that cannot go on.
        ValueError: if the task is not one of the project's, or the stored state is damaged.
        ImportError: if the `experts` extra is not installed.
    """
    out = Path(out)
    scale = action_bound(get_task(config.task))  # a task without a rollout engine could not be chosen from later
    import gymnasium

    versions = {p: importlib.metadata.version(p) for p in ("sbx-rl", "jax", "mujoco", "gymnasium", "numpy")}
    known = claim(out, {"config": dataclasses.asdict(config), "versions": versions})
    if known and (out / "complete").exists():
        raise FileExistsError(f"{out} already holds this training run, complete; choose another directory")
    if known and not resumable(config.algorithm):
        raise FileExistsError(f"{out} holds an interrupted run of {config.algorithm}, which cannot go on; remove it")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the -v4 tasks are the paper's
        env = gymnasium.make(config.task)
    model = make_model(config, env)
    recorder = _recorder(config, out, scale)
    restored = training_state.restore(out / "state", model)
    if restored is not None:
        recorder.resume(*restored)
    model.learn(
        config.steps - model.num_timesteps, callback=recorder, log_interval=10**9, reset_num_timesteps=restored is None
    )
    (out / "complete").touch()
    shutil.rmtree(out / "state", ignore_errors=True)
    return out


def _recorder(config: ExpertTraining, out: Path, scale: float) -> Any:
    """The callback that writes episodes and checkpoints and keeps the moving average of the actor."""
    import jax

    callbacks: Any = importlib.import_module("stable_baselines3.common.callbacks")

    class Recorder(callbacks.BaseCallback):
        def __init__(self) -> None:
            super().__init__()
            self.ema: Any = None
            self.episodes: list[list[Any]] = []
            self.next_checkpoint = config.checkpoint_every
            self.begun = 0
            self.pending = False

        def resume(self, arrays: dict[str, np.ndarray], note: dict[str, Any]) -> None:
            """Take up what `training_state.save` kept of this callback."""
            self.ema = [arrays[f"ema/{i}"] for i in range(len(arrays))]
            self.episodes, self.next_checkpoint = note["episodes"], note["next_checkpoint"]

        def _on_training_start(self) -> None:
            self.started, self.begun = time.monotonic(), self.num_timesteps
            params = actor_variables(self.model)
            leaves = jax.tree.map(np.array, params) if self.ema is None else self.ema
            self.ema = jax.tree.unflatten(jax.tree.structure(params), jax.tree.leaves(leaves))

        def _on_rollout_start(self) -> None:
            if self.pending:  # between updates and roll-out: nothing is half done
                self.pending = False
                arrays = {f"ema/{i}": leaf for i, leaf in enumerate(jax.tree.leaves(self.ema))}
                note = {"episodes": self.episodes, "next_checkpoint": self.next_checkpoint}
                training_state.save(out / "state", self.model, arrays, note)
            rate = min(updates_per_block(config) / config.ema_updates, 1.0)
            self.ema = jax.tree.map(lambda e, p: e + rate * (np.asarray(p) - e), self.ema, actor_variables(self.model))

        def _on_step(self) -> bool:
            for info in self.locals["infos"]:
                if "episode" in info:
                    episode = info["episode"]
                    self.episodes.append([self.num_timesteps, f"{episode['r']:.3f}", int(episode["l"])])
            if self.num_timesteps >= self.next_checkpoint:
                self.next_checkpoint += config.checkpoint_every
                self.checkpoint()
                self.pending = resumable(config.algorithm)
            return True

        def checkpoint(self) -> None:
            with atomic(out / "episodes.csv") as part, part.open("w", newline="") as file:
                csv.writer(file).writerows([["step", "return", "length"], *self.episodes])
            for kind, variables in (("raw", actor_variables(self.model)), ("ema", self.ema)):
                card = {"step": self.num_timesteps, "kind": kind, "config": dataclasses.asdict(config)}
                policy = actor_to_policy(variables, config.algorithm, scale)
                save_policy(out / "checkpoints" / f"{kind}_{self.num_timesteps:08d}.safetensors", policy, card)
            recent = [float(episode[1]) for episode in self.episodes[-10:]]
            rate = (self.num_timesteps - self.begun) / (time.monotonic() - self.started)
            print(
                f"{self.num_timesteps:>9,} of {config.steps:,} steps, {rate:.0f}/s, "
                f"last {len(recent)} training episodes {np.mean(recent) if recent else float('nan'):.0f}",
                flush=True,
            )

        def _on_training_end(self) -> None:
            if self.next_checkpoint - config.checkpoint_every < self.num_timesteps:
                self.checkpoint()

    return Recorder()

"""The experiment: demonstrations → cloning with a bank of averages → returns of chosen averages → one dataset.

Returns are measured at two sets of iterates: the last ones, one by one ("consecutive"), and ones spaced further apart
than the averages remember ("spaced"). Inside a window an average is smooth by construction; the spaced spread and the
mean are the fair test.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import xarray as xr

from gvatheory import validation
from gvatheory.schedules import Constant, Schedule
from gvatheory.sweep import PACKAGES, provenance
from neural.averages import Bank, default_bank, rate_table
from neural.control.cloning import CloningRun
from neural.control.experts import load_expert
from neural.control.learner import Learner
from neural.control.rollout import Demonstrations, collect, evaluate
from neural.control.tasks import get_task
from neural.runs import claim, load_arrays, save_arrays, save_dataset

DEMONSTRATION_SEED = 10_000
HELD_OUT_SEED = 20_000
EVALUATION_SEED = 30_000
GRADIENT_PAIRS = 256
"""Training pairs that the gradient-noise probe takes."""

Progress = Callable[[str, int, int], None]
"""Called with (stage, done, total)."""


@dataclasses.dataclass(frozen=True)
class CloningExperiment:
    """A run of behaviour cloning and what is measured of it.

    Attributes:
        task: gymnasium id.
        expert: policy file, or None for the shipped expert.
        episodes: expert episodes to clone, ≥ 1 (1,000 pairs each if the expert does not fall).
        held_out: further expert episodes for the held-out loss, ≥ 1.
        stochastic: demonstrations are drawn from the expert's stochastic policy, as SAC trained it, not from its
            deterministic mean; the loss then has a floor, the variance of the expert's own actions.
        action_noise: standard deviation of Gaussian noise on the actions that the expert executes while it
            demonstrates, ≥ 0, in units of the action; the recorded ones are free of it (Laskey et al. 2017, DART).
        learner: network, batches, seed.
        schedule: step sizes.
        bank: averages kept, by name.
        steps: updates T.
        evaluate: names of the averages that are rolled out; the raw iterate always is.
        consecutive: number of last iterates rolled out one by one, ≥ 0.
        spaced: number of iterates rolled out further apart, the last of them T, ≥ 0.
        spacing: updates between those, ≥ 1.
        rollouts: episodes per policy, ≥ 1; the same initial conditions for all.
        rollout_steps: environment steps per episode, at most; None for the task's limit.
    """

    task: str = "Walker2d-v4"
    expert: str | None = None
    episodes: int = 100
    held_out: int = 10
    stochastic: bool = True
    action_noise: float = 0.0
    learner: Learner = dataclasses.field(default_factory=Learner)
    schedule: Schedule = dataclasses.field(default_factory=lambda: Constant(4e-3))
    bank: Bank = dataclasses.field(default_factory=default_bank)
    steps: int = 33_000
    evaluate: tuple[str, ...] = ("EMA 0.01", "EMA 0.001", "power 2/3", "Polyak")
    consecutive: int = 40
    spaced: int = 18
    spacing: int = 1_500
    rollouts: int = 10
    rollout_steps: int | None = None

    def __post_init__(self) -> None:
        for name, low in (("episodes", 1), ("held_out", 1), ("steps", 1), ("spacing", 1), ("rollouts", 1)):
            validation.integer(name, getattr(self, name), low)
        validation.real("action_noise", self.action_noise, 0.0, np.inf)
        validation.integer("consecutive", self.consecutive, 0, self.steps)
        validation.integer("spaced", self.spaced, 0, 1 + (self.steps - 1) // self.spacing)
        if self.rollout_steps is not None:
            validation.integer("rollout_steps", self.rollout_steps, 1)
        if len(set(self.evaluate)) < len(self.evaluate):
            raise ValueError(f"evaluate must not name an average twice, got {list(self.evaluate)}")
        if self.consecutive + self.spaced == 0:
            raise ValueError("consecutive and spaced must not both be 0: nothing would be measured")
        unknown = [name for name in self.evaluate if name not in self.bank]
        if unknown:
            raise ValueError(f"evaluate names {unknown}, which the bank lacks; it holds {list(self.bank)}")

    def probes(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Iterates to roll out, ascending, and which of them are in the consecutive and in the spaced set."""
        near = self.steps - np.arange(self.consecutive)
        far = self.steps - self.spacing * np.arange(self.spaced)
        at = np.union1d(near, far)
        return at, np.isin(at, near), np.isin(at, far)

    def describe(self) -> dict[str, Any]:
        """The configuration as JSON-able values."""
        out = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        out["learner"] = dataclasses.asdict(self.learner)
        out["schedule"] = repr(self.schedule)
        out["bank"] = {name: repr(average) for name, average in self.bank.items()}
        return json.loads(json.dumps(out))


def run(
    experiment: CloningExperiment,
    out: Path | str,
    *,
    threads: int | None = None,
    progress: Progress | None = None,
) -> xr.Dataset:
    """Carry out the experiment in directory `out`, going on where an interrupted one stopped.

    Leaves config.json, checkpoint.npz and, at the end, run.nc: dims iterate, average ("raw" first), episode; variables
    return, length, fallen, loss (held-out ℓ_BC), gradient_noise (trace of the per-example gradient covariance, raw
    iterate), gradient_square (squared norm of its mean), consecutive, spaced, and loss_floor, the part of the
    loss that is the variance of the expert's own actions on the held-out states.

    Args:
        threads: of the roll-outs, ≥ 1; by default the number of cores this process may use. No number depends on it.
        progress: called with (stage, done, total).

    Raises:
        FileNotFoundError, ValueError: if the expert cannot be had or does not fit the task.
        FileExistsError: if `out` holds a run of another configuration.
        FloatingPointError: if the iterate diverges.
    """
    out = Path(out)
    report = progress or (lambda stage, done, total: None)
    task = get_task(experiment.task)
    expert, card = load_expert(experiment.task, experiment.expert)
    resumable = claim(out, {**experiment.describe(), "expert_sha256": expert.fingerprint()})
    train = _demonstrations(expert, experiment, DEMONSTRATION_SEED, experiment.episodes, threads, report)
    # The loss is on the expert's own states, whatever noise the learner's demonstrations had.
    own = dataclasses.replace(experiment, action_noise=0.0)
    test = _demonstrations(expert, own, HELD_OUT_SEED, experiment.held_out, threads, report)
    rates = rate_table(experiment.bank, experiment.steps)
    cloning = CloningRun(experiment.learner, experiment.schedule, rates, train.observations, train.actions)
    names = list(experiment.bank)
    members = [0, *(1 + names.index(name) for name in experiment.evaluate)]
    at, near, far = experiment.probes()
    seeds = [EVALUATION_SEED + i for i in range(experiment.rollouts)]

    shape = (len(at), len(members), len(seeds))
    results = {
        "return": np.full(shape, np.nan),
        "length": np.zeros(shape, dtype=np.int32),
        "fallen": np.zeros(shape, dtype=np.int8),
        "loss": np.full(shape[:2], np.nan),
        "gradient_noise": np.full(shape[0], np.nan),
        "gradient_square": np.full(shape[0], np.nan),
    }
    checkpoint = out / "checkpoint.npz"
    if resumable and checkpoint.exists():
        stored = load_arrays(checkpoint)
        cloning.restore(stored)
        missing = sorted(results.keys() - stored.keys())
        if missing:
            raise ValueError(f"{checkpoint} lacks {missing}: remove it to start the run anew")
        results = {name: stored[name] for name in results}

    held_out = jnp.asarray(cloning.normalise(test.observations)), jnp.asarray(test.actions)
    # The gradient-noise probe takes a few pairs of the training set, evenly spaced over it.
    few = np.linspace(0, len(train.actions) - 1, min(GRADIENT_PAIRS, len(train.actions))).astype(int)
    sample = jnp.asarray(cloning.normalise(train.observations[few])), jnp.asarray(train.actions[few])
    begun = int(np.searchsorted(at, cloning.t, side="right"))
    # Several iterates are rolled out in one call, so that no core waits at the end of each.
    for group in np.array_split(np.arange(begun, len(at)), max(1, -(-(len(at) - begun) // 10))):
        policies = []
        for i in group:
            while cloning.t < at[i]:
                cloning.advance(min(500, int(at[i]) - cloning.t))
                report("cloning", cloning.t, experiment.steps)
            results["loss"][i] = cloning.losses(*held_out)[members]
            results["gradient_noise"][i], results["gradient_square"][i] = cloning.gradient_noise(*sample)
            policies += cloning.policies(members)
        if not policies:
            continue
        done = int(group[0]) * shape[1] * shape[2]
        episodes = evaluate(
            policies,
            task,
            seeds,
            max_steps=experiment.rollout_steps,
            threads=threads,
            progress=lambda n, _, done=done: report("rolling out", done + n, results["return"].size),
        )
        block = (len(group), *shape[1:])
        results["return"][group] = episodes.returns.reshape(block)
        results["length"][group] = episodes.lengths.reshape(block)
        results["fallen"][group] = episodes.fallen.reshape(block)
        save_arrays(checkpoint, {**cloning.arrays(), **results})

    floor = 0.0
    if experiment.stochastic:
        floor = float(expert.action_variance(test.observations, task.action_low, task.action_high).sum(axis=1).mean())
    dataset = _dataset(experiment, card, results, at, near, far, seeds)
    dataset["loss_floor"] = ((), floor, {"units": "action²", "long_name": "held-out variance of the expert's actions"})
    save_dataset(out / "run.nc", dataset)
    return dataset


def _demonstrations(
    expert: Any, experiment: CloningExperiment, seed: int, count: int, threads: int | None, report: Progress
) -> Demonstrations:
    return collect(
        expert,
        get_task(experiment.task),
        [seed + i for i in range(count)],
        stochastic=experiment.stochastic,
        action_noise=experiment.action_noise,
        noise_seed=seed,
        threads=threads,
        progress=lambda done, total: report("demonstrating", done, total),
    )


def _dataset(
    experiment: CloningExperiment,
    card: dict[str, Any],
    results: dict[str, np.ndarray],
    at: np.ndarray,
    near: np.ndarray,
    far: np.ndarray,
    seeds: list[int],
) -> xr.Dataset:
    cell = ("iterate", "average", "episode")
    return xr.Dataset(
        {
            "return": (cell, results["return"], {"units": "reward", "long_name": "undiscounted sum of rewards"}),
            "length": (cell, results["length"], {"units": "environment steps"}),
            "fallen": (cell, results["fallen"], {"units": "1", "long_name": "terminated before the time limit"}),
            "loss": (cell[:2], results["loss"], {"units": "action²", "long_name": "held-out cloning loss"}),
            "gradient_noise": (
                "iterate",
                results["gradient_noise"],
                {"units": "action⁴", "long_name": "trace of the per-example gradient covariance, raw iterate"},
            ),
            "gradient_square": (
                "iterate",
                results["gradient_square"],
                {"units": "action⁴", "long_name": "squared norm of the mean gradient, raw iterate"},
            ),
            "consecutive": ("iterate", near.astype(np.int8), {"long_name": "one of the last, consecutive iterates"}),
            "spaced": ("iterate", far.astype(np.int8), {"long_name": "one of the spaced iterates"}),
        },
        coords={
            "iterate": ("iterate", at, {"units": "updates"}),
            "average": ("average", np.array(["raw", *experiment.evaluate])),
            "episode": ("episode", np.array(seeds), {"long_name": "seed of the initial condition"}),
        },
        attrs=provenance(
            (*PACKAGES, "mujoco", "optax", "gymnasium"),
            config=json.dumps(experiment.describe(), sort_keys=True),
            expert=json.dumps(card, sort_keys=True),
        ),
    )

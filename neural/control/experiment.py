"""The experiment: demonstrations → cloning with a bank of averages → returns of chosen averages → one dataset."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
import xarray as xr

from gvatheory import validation
from neural.averages import rate_table
from neural.control.cloning import CloningRun
from neural.control.demonstrations import load, read_manifest, split
from neural.control.design import CloningExperiment
from neural.control.experts import load_expert
from neural.control.learner import Learner, Pairs, parameter_count
from neural.control.records import ROLLED_OUT, Records
from neural.control.rollout import Demonstrations, collect, evaluate
from neural.control.snapshots import save_snapshot
from neural.control.tasks import get_task
from neural.runs import claim, load_arrays, save_arrays, save_dataset

DEMONSTRATION_SEED = 10_000
HELD_OUT_SEED = 20_000
EVALUATION_SEED = 30_000
FRESH_SEED = 1_000_000
"""Seed of the first episode after those that a run starts with."""
GRADIENT_PAIRS = 256
"""Training pairs that the gradient-noise probe takes."""
SIDE_BY_SIDE = 10_000
"""Parameters up to which several seeds are trained side by side."""

Progress = Callable[[str, int, int], None]
"""Called with (stage, done, total)."""

_ROLLED_TOGETHER = 10  # iterates, so that no core waits at the end of each
_STRETCH = 500  # updates between two looks at the clock


def run(
    experiment: CloningExperiment,
    out: Path | str,
    *,
    threads: int | None = None,
    progress: Progress | None = None,
    checkpoint_seconds: float = 60.0,
) -> xr.Dataset:
    """Carry out the experiment in directory `out`, going on where an interrupted one stopped.

    Leaves config.json, checkpoint.npz, snapshots if asked for, and at the end run.nc: dims iterate, average ("raw"
    first), episode; variables return, length, fallen, loss (held-out ℓ_BC), gradient_noise (trace of the per-example
    gradient covariance, raw iterate), gradient_square (squared norm of its mean); for each set of iterates a 0/1
    variable, consecutive, spaced, every, window_FIRST_LAST; and loss_floor, the part of the loss that is the variance
    of the expert's own actions on the held-out states. With `loss_every` also update_loss over (update, kept),
    update_gradient_noise and update_gradient_square over update; with `seeds` all but the last but a leading dim seed.

    The dataset does not depend, bit for bit, on where the run was stopped and went on.

    Args:
        threads: of the roll-outs, ≥ 1; by default the number of cores this process may use. No number depends on it.
        progress: called with (stage, done, total).
        checkpoint_seconds: a checkpoint is written after so many seconds, ≥ 0, whatever the run is at.

    Raises:
        FileNotFoundError, ValueError: if the expert cannot be had or does not fit the task.
        FileExistsError: if `out` holds a run of another configuration.
        FloatingPointError: if the iterate diverges.
    """
    validation.real("checkpoint_seconds", checkpoint_seconds, 0.0, np.inf)
    out = Path(out)
    expert, card = load_expert(experiment.task, experiment.expert)
    manifest = None if experiment.demonstrations is None else read_manifest(experiment.demonstrations)
    origin = {"expert_sha256": expert.fingerprint()}
    if manifest is not None:
        origin["demonstrations_sha256"] = manifest["content_sha256"]
    resumable = claim(out, {**experiment.describe(), **origin})
    for part in out.rglob("*.part"):  # of a process that was killed while it wrote
        part.unlink()
    report = progress or (lambda stage, done, total: None)
    cloning = _Cloning(experiment, expert, out, report, checkpoint_seconds, threads)
    if resumable and cloning.checkpoint.exists():
        cloning.restore()
    cloning.finish()
    dataset = cloning.records.dataset(card, _loss_floor(experiment, expert, manifest, cloning.held_out))
    save_dataset(out / "run.nc", dataset)
    return dataset


class _Cloning:
    """An experiment under way: its runs, one per seed or one of all seeds, which stand at the same update."""

    def __init__(
        self,
        experiment: CloningExperiment,
        expert: Any,
        out: Path,
        report: Progress,
        checkpoint_seconds: float,
        threads: int | None,
    ) -> None:
        self.experiment, self.expert, self.out, self.report = experiment, expert, out, report
        self.checkpoint, self.checkpoint_seconds = out / "checkpoint.npz", checkpoint_seconds
        self.threads = threads
        self.records = Records.empty(experiment, EVALUATION_SEED)
        train, self.held_out = demonstrations(experiment, expert, threads, self._demonstrating)
        self.runs = cloning_runs(experiment, train)
        # The gradient-noise probe takes a few pairs of the training set, evenly spaced over it.
        few = np.linspace(0, len(train.actions) - 1, min(GRADIENT_PAIRS, len(train.actions))).astype(int)
        self._test, self._sample = self._pairs(self.held_out), _excerpt(self._pairs(train), few, self.runs[0].learner)
        self._pending: list[tuple[int, list[Any]]] = []
        self._saved = time.monotonic()

    @property
    def t(self) -> int:
        return self.runs[0].t

    def restore(self) -> None:
        """Go on from the checkpoint."""
        stored = load_arrays(self.checkpoint)
        self.records.restore(stored)
        for i, one in enumerate(self.runs):
            one.restore(state_of(stored, i))
        self._renew()

    def finish(self) -> None:
        """Train and measure to the end."""
        experiment, records = self.experiment, self.records
        turns = np.arange(experiment.fresh, experiment.steps, experiment.fresh) if experiment.fresh else []
        events = (records.at, records.updates, experiment.snapshot_times(), turns, [experiment.steps])
        stops = np.unique(np.concatenate(events)).astype(int)
        for stop in stops[stops > self.t]:
            while self.t < stop:
                for one in self.runs:
                    one.advance(min(_STRETCH, int(stop) - one.t))
                self.report("cloning", self.t, experiment.steps)
                if self.t == stop:
                    self._measure()
                    if self.t in turns:
                        self._renew()
                if time.monotonic() - self._saved >= self.checkpoint_seconds:
                    self._roll_out()
        self._roll_out()

    def _measure(self) -> None:
        """Everything that is due at this update."""
        experiment, arrays = self.experiment, self.records.arrays
        rolled, cheap = (np.flatnonzero(times == self.t) for times in (self.records.at, self.records.updates))
        if self.t in experiment.snapshot_times():
            save_snapshot(experiment, self.out, self.runs)
        if not (len(rolled) or len(cheap)):
            return
        losses = self._stacked([one.losses(self._test) for one in self.runs])
        noise = [one.gradient_noise(*self._sample) for one in self.runs]
        for j, name in enumerate(("gradient_noise", "gradient_square")):
            values = self._stacked([one[j] for one in noise])
            arrays[name][:, rolled] = values[:, None]
            if len(cheap):
                arrays[f"update_{name}"][:, cheap] = values[:, None]
        if len(cheap):
            arrays["update_loss"][:, cheap[0]] = losses
        if len(rolled):
            names = list(experiment.bank)
            members = [0, *(1 + names.index(name) for name in experiment.evaluate)]
            arrays["loss"][:, rolled[0]] = losses[:, members]
            self._pending.append((int(rolled[0]), [p for one in self.runs for p in one.policies(members)]))
            if len(self._pending) * len(losses) >= _ROLLED_TOGETHER:
                self._roll_out()

    def _stacked(self, each: list[np.ndarray]) -> np.ndarray:
        """One row per seed, whether the runs are of one seed or of several."""
        return np.concatenate(
            [values if one.seeds else values[None] for one, values in zip(self.runs, each, strict=True)]
        )

    def _roll_out(self) -> None:
        """Roll out what waits for it, so that everything up to this update is measured, and write a checkpoint."""
        arrays = self.records.arrays
        if self._pending:
            at = [i for i, _ in self._pending]
            seeds, _, members, rollouts = arrays["return"].shape
            done, total = at[0] * seeds * members * rollouts, arrays["return"].size
            episodes = evaluate(
                [policy for _, policies in self._pending for policy in policies],
                get_task(self.experiment.task),
                self.records.initial_conditions,
                max_steps=self.experiment.rollout_steps,
                threads=self.threads,
                progress=lambda n, _: self.report("rolling out", done + n, total),
            )
            for name, values in zip(ROLLED_OUT, (episodes.returns, episodes.lengths, episodes.fallen), strict=True):
                arrays[name][:, at] = values.reshape(len(at), seeds, members, rollouts).swapaxes(0, 1)
            self._pending.clear()
        states = {_prefix(i) + name: v for i, one in enumerate(self.runs) for name, v in one.arrays().items()}
        save_arrays(self.checkpoint, {**states, **arrays})
        self._saved = time.monotonic()

    def _renew(self) -> None:
        """Train on the episodes that belong to this update: new ones every `fresh` updates, by its count alone."""
        experiment = self.experiment
        stage = self.t // experiment.fresh if experiment.fresh else 0
        if stage == 0:
            return
        first = FRESH_SEED + (stage - 1) * experiment.episodes
        more = {"threads": self.threads, "progress": self._demonstrating}
        new = _recorded(experiment, self.expert, first, experiment.episodes, experiment.action_noise, **more)
        for one in self.runs:
            one.replace_pairs(new.observations, new.actions, new.step)

    def _pairs(self, demonstrations: Demonstrations) -> Pairs:
        return self.runs[0].pairs(demonstrations.observations, demonstrations.actions, demonstrations.step)

    def _demonstrating(self, done: int, total: int) -> None:
        self.report("demonstrating", done, total)


def demonstrations(
    experiment: CloningExperiment,
    expert: Any,
    threads: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Demonstrations, Demonstrations]:
    """What is cloned from the start, and the held-out episodes: stored ones, or the expert's from their seeds.

    The expert's held-out episodes are without action noise: the loss is on its own states, whatever was cloned.

    Raises:
        FileNotFoundError, ValueError: if a stored set is missing, damaged, of another task, or too small to be split.
    """
    if experiment.demonstrations is not None:
        stored = load(experiment.demonstrations).pairs
        if stored.results.task != experiment.task:
            raise ValueError(f"demonstrations must be of {experiment.task}, those are of {stored.results.task}")
        return split(stored, experiment.held_out)
    more = {"threads": threads, "progress": progress}
    train = _recorded(experiment, expert, DEMONSTRATION_SEED, experiment.episodes, experiment.action_noise, **more)
    return train, _recorded(experiment, expert, HELD_OUT_SEED, experiment.held_out, 0.0, **more)


def _recorded(
    experiment: CloningExperiment, expert: Any, seed: int, count: int, action_noise: float, **more: Any
) -> Demonstrations:
    return collect(
        expert,
        get_task(experiment.task),
        [seed + i for i in range(count)],
        stochastic=experiment.stochastic,
        action_noise=action_noise,
        noise_seed=seed,
        **more,
    )


def _loss_floor(
    experiment: CloningExperiment, expert: Any, manifest: dict[str, Any] | None, held_out: Demonstrations
) -> float:
    """Mean variance of the actions that the held-out ones were drawn from; NaN if it is not known who drew them.

    `manifest` is that of the stored demonstrations, if it is they that are cloned.
    """
    stochastic = experiment.stochastic
    if manifest is not None:
        if manifest["policy"].get("sha256") != expert.fingerprint():
            return float("nan")
        stochastic = manifest["origin"].get("recorded", {}).get("stochastic", False)
    if not stochastic:
        return 0.0
    task = get_task(experiment.task)
    return float(expert.action_variance(held_out.observations, task.action_low, task.action_high).sum(axis=1).mean())


def _prefix(i: int) -> str:
    """Of the names of run i in a checkpoint."""
    return f"run{i}." if i else ""


def state_of(stored: Mapping[str, np.ndarray], i: int) -> dict[str, np.ndarray]:
    """Of a checkpoint's arrays those of run i, by the names that `CloningRun.restore` knows."""
    prefix = _prefix(i)
    return {k.removeprefix(prefix): v for k, v in stored.items() if k.startswith(prefix)}


def cloning_runs(experiment: CloningExperiment, train: Demonstrations) -> list[CloningRun]:
    """The experiment's runs at t = 0: one of all seeds where that is faster, else one per seed.

    Small networks share what each operation costs whatever its size; large ones, whose states no longer fit a core's
    cache together, lose by it. Four seeds with nine averages, batches of 16, two cores: 3.4 times as fast side by side
    with one layer of 8, 1.4 times with 64x64 (5,702 parameters), 0.8 with 128x128 (19,590), 0.5 with 256x256.

    One after another, a seed's numbers are those of a run of it alone, bit for bit. Side by side they differ by
    rounding, which training then amplifies as it would any noise; they are reproducible for the same set of seeds.
    """
    learner, seeds = experiment.learner, experiment.seeds
    arguments = (rate_table(experiment.bank, experiment.steps), train.observations, train.actions, train.step)
    capacity = None
    if experiment.fresh is not None:
        limit = get_task(experiment.task).time_limit
        capacity = max(experiment.episodes * limit, len(train.actions))
    if seeds and side_by_side(experiment, train):
        return [CloningRun(learner, experiment.schedule, *arguments, seeds=seeds, capacity=capacity)]
    learners = [dataclasses.replace(learner, seed=seed) for seed in seeds] or [learner]
    return [CloningRun(one, experiment.schedule, *arguments, capacity=capacity) for one in learners]


def side_by_side(experiment: CloningExperiment, train: Demonstrations) -> bool:
    """Whether the experiment's seeds are faster together than one after another."""
    sizes = train.observations.shape[1], train.actions.shape[1]
    return parameter_count(experiment.learner, *sizes) <= SIDE_BY_SIDE


def _excerpt(pairs: Pairs, chosen: np.ndarray, learner: Learner) -> tuple[Pairs, np.ndarray]:
    """The chosen pairs with what their windows reach back to, and their places among those."""
    valid = np.minimum(np.asarray(pairs.step)[chosen] + 1, learner.history)
    rows = np.concatenate([np.arange(i - n + 1, i + 1) for i, n in zip(chosen, valid, strict=True)])
    return jax.tree.map(lambda x: x[rows], pairs), np.cumsum(valid) - 1

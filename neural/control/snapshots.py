"""Snapshots of a run's averages, and averages of other profiles rebuilt from them after the run.

A snapshot is one npz, ``snapshots/UPDATE.npz`` in the run's directory: the stored averages as they stood at that
update, float32, with the observations' normalisation. What a combination of them misses of the average asked for is
Σ_t r_t θ_t with `Reconstruction.residual` r, which sums to zero; by Cauchy and Schwarz no weight is off by more than
‖r‖₂ (Σ_t (θ_t − c)²)^{1/2} of it for any c, beside rounding.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np

from gvatheory.averaging import Average
from gvatheory.reconstruction import Reconstruction, reconstruct
from neural.control.cloning import ClonedPolicy, CloningRun, to_policy
from neural.control.design import CloningExperiment
from neural.control.learner import parameter_shapes
from neural.control.tasks import get_task
from neural.runs import load_arrays, save_arrays


class ReconstructedAverage(NamedTuple):
    """An average that was not kept.

    Attributes:
        policy: it, on raw observations.
        reconstruction: its coefficients, and the residual of its weights.
    """

    policy: ClonedPolicy
    reconstruction: Reconstruction


def save_snapshot(experiment: CloningExperiment, out: Path, runs: Sequence[CloningRun]) -> None:
    """Store the averages that the experiment names, as they stand in its runs, with a leading axis over its seeds."""
    names = list(experiment.bank)
    members = np.array([names.index(name) for name in experiment.stored])

    def chosen(one: CloningRun) -> list[np.ndarray]:
        leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(one.averages())]
        return [leaf[members][None] if one.seeds is None else leaf[:, members] for leaf in leaves]

    leaves = [np.concatenate(parts) for parts in zip(*map(chosen, runs), strict=True)]
    arrays = {f"leaf{i}": leaf for i, leaf in enumerate(leaves)}
    arrays |= {"obs_mean": runs[0].obs_mean, "obs_std": runs[0].obs_std}
    save_arrays(snapshot_path(out, runs[0].t), arrays)


def snapshot_path(out: Path | str, t: int) -> Path:
    """Where the snapshot of update t is."""
    return Path(out) / "snapshots" / f"{t:09d}.npz"


def reconstruct_average(
    experiment: CloningExperiment, out: Path | str, target: Average, steps: int | None = None, seed: int | None = None
) -> ReconstructedAverage:
    """The average `target` of the iterates up to update `steps`, from the snapshots of the experiment's run in `out`.

    Args:
        experiment: whose run it was.
        out: its directory.
        target: any average.
        steps: from the first snapshot's update to the run's length, which is the default; later snapshots are not used.
        seed: which of the experiment's seeds; by default its first, or the learner's own.

    Raises:
        ValueError: if the experiment stores no snapshots, or for an argument out of range.
        FileNotFoundError: naming a snapshot that is missing.
    """
    steps = experiment.steps if steps is None else steps
    times = [int(t) for t in experiment.snapshot_times() if t <= steps]
    seeds = experiment.seeds or (experiment.learner.seed,)
    if not times:
        raise ValueError(f"steps must reach a snapshot, got {steps} with one every {experiment.snapshots} updates")
    if seed is not None and seed not in seeds:
        raise ValueError(f"seed must be one of {seeds}, got {seed!r}")
    place = 0 if seed is None else seeds.index(seed)
    stored = [(experiment.bank[name], t) for t in times for name in experiment.stored]
    reconstruction = reconstruct(target, stored, steps)
    task = get_task(experiment.task)
    shapes = parameter_shapes(experiment.learner, task.observation_size, task.action_size)
    leaves, structure = jax.tree.flatten(shapes)
    sums = [np.zeros(leaf.shape) for leaf in leaves]
    scale: dict[str, np.ndarray] = {}
    for t, weights in zip(times, reconstruction.coefficients.reshape(len(times), -1), strict=True):
        snapshot = load_arrays(snapshot_path(out, t))
        scale = {name: snapshot[name] for name in ("obs_mean", "obs_std")}
        for i, total in enumerate(sums):
            total += np.tensordot(weights, snapshot[f"leaf{i}"][place].astype(np.float64), axes=1)
    params = jax.tree.unflatten(structure, [total.astype(np.float32) for total in sums])
    return ReconstructedAverage(to_policy(experiment.learner, params, **scale), reconstruction)

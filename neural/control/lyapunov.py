"""Lyapunov exponents of a policy's closed loop, and how fast the states of two policies part.

Tangent-free: beside a reference trajectory run k copies displaced by a small distance in k directions. Every few steps
the copies' displacements are measured and orthonormalised (Benettin et al. 1980, by QR), and the copies are put back at
the small distance along the new directions. A displacement lives in the tangent space of positions and velocities (a
free joint's rotation is a vector of three numbers there). Physics and policy are computed in float64: in float32 a
displacement of 1e-6 would drown in rounding. Contacts make the loop only piecewise smooth, so an exponent is the mean
growth of small but finite displacements; that it does not depend on `size` is for the caller to look at.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import mujoco
import numpy as np

from gvatheory import validation
from neural.control.batch_env import BatchEnv
from neural.control.policies import MLPPolicy
from neural.control.tasks import Task

_mujoco: Any = mujoco  # its bindings carry no types


@dataclasses.dataclass(frozen=True, eq=False)
class LyapunovSpectrum:
    """Exponents in natural logarithms per environment step, largest first up to sampling error.

    Attributes:
        growth: (episodes, segments, k) logarithm of each direction's growth over a segment; NaN once an episode ended.
        steps_per_segment: environment steps between renormalisations.
        size: distance of the displaced copies.
    """

    growth: np.ndarray
    steps_per_segment: int
    size: float

    @property
    def exponents(self) -> np.ndarray:
        """(k,) mean growth per step over all segments of all episodes."""
        return np.nanmean(self.growth, axis=(0, 1)) / self.steps_per_segment

    @property
    def standard_errors(self) -> np.ndarray:
        """(k,) of `exponents`, from the spread of the episodes' own means weighted by their lengths; NaN for one."""
        counts = np.isfinite(self.growth[..., 0]).sum(axis=1)
        kept = counts > 0
        weights = counts[kept] / counts.sum()
        means = np.nansum(self.growth[kept], axis=1) / (counts[kept, None] * self.steps_per_segment)
        n = len(weights)
        spread = weights[:, None] ** 2 * (means - self.exponents) ** 2
        return np.sqrt(spread.sum(axis=0) * n / (n - 1)) if n > 1 else np.full(self.growth.shape[-1], np.nan)

    def running(self) -> np.ndarray:
        """(segments, k) exponents as they converge: the mean over all episodes up to each segment."""
        finite = np.isfinite(self.growth)
        total = np.where(finite, self.growth, 0.0).sum(axis=0).cumsum(axis=0)
        return total / finite.sum(axis=0).cumsum(axis=0) / self.steps_per_segment


def lyapunov_spectrum(
    policy: MLPPolicy,
    task: Task,
    seeds: Sequence[int],
    *,
    count: int = 1,
    steps: int = 1000,
    every: int = 5,
    warm_up: int = 50,
    size: float = 1e-6,
    direction_seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> LyapunovSpectrum:
    """The `count` largest exponents of the deterministic closed loop, from one episode per seed.

    An episode is left when it terminates; its finished segments count. At each renormalisation the derived quantities
    of all rows are computed afresh, so a Humanoid's observation is one physics step fresher there than gymnasium's.

    Args:
        policy: acts by its mean.
        task: any of `tasks`.
        seeds: initial conditions, at least one.
        count: number of directions, 1..2 nv.
        steps: environment steps per episode after the warm-up, at least `every`.
        every: environment steps between renormalisations.
        warm_up: environment steps before the first displacement.
        size: distance of displaced copies, in the Euclidean norm of positions (m, rad) and velocities (m/s, rad/s).
        direction_seed: of the random first directions.
        progress: called with (steps done, steps in all).

    Raises:
        ValueError: if an argument is out of range, the policy does not fit the task, or no episode lasts one segment.
    """
    validation.integer("every", every, 1)
    validation.integer("steps", steps, every)
    validation.integer("warm_up", warm_up, 0)
    validation.positive("size", size)
    if not seeds:
        raise ValueError("seeds must hold at least one seed")
    if policy.observation_size != task.observation_size:
        raise ValueError(f"policy takes {policy.observation_size} observations, {task.id} has {task.observation_size}")
    loop = _Loop(policy.astype(np.float64), task, len(seeds) * (1 + count))
    validation.integer("count", count, 1, 2 * loop.model.nv)
    rows = np.arange(len(seeds) * (1 + count)).reshape(len(seeds), 1 + count)  # the reference first
    loop.reset(rows.ravel(), [seed for seed in seeds for _ in range(1 + count)])
    for _ in range(warm_up):
        loop.step(rows.ravel())
    start = np.random.default_rng(direction_seed).standard_normal((2 * loop.model.nv, count))
    directions = np.repeat(np.linalg.qr(start)[0].T[None], len(seeds), axis=0)  # (episodes, count, 2 nv)
    segments = steps // every
    growth = np.full((len(seeds), segments, count), np.nan)
    alive = ~loop.ended[rows[:, 0]]
    for segment in range(segments):
        loop.displace(rows[alive], size * directions[alive])
        for _ in range(every):
            loop.step(rows[alive].ravel())
        alive &= ~loop.ended[rows[:, 0]]
        if not alive.any():
            break
        apart = loop.displacements(rows[alive]) / size
        q, r = np.linalg.qr(np.swapaxes(apart, 1, 2))
        with np.errstate(divide="ignore"):
            growth[alive, segment] = np.log(np.abs(np.diagonal(r, axis1=1, axis2=2)))
        directions[alive] = np.swapaxes(q, 1, 2)
        if progress is not None:
            progress((segment + 1) * every, segments * every)
    if np.isnan(growth).all():
        raise ValueError(f"no episode of {task.id} lasted {warm_up + every} steps")
    return LyapunovSpectrum(growth, every, size)


def divergence(first: MLPPolicy, second: MLPPolicy, task: Task, seeds: Sequence[int], steps: int = 1000) -> np.ndarray:
    """Distance of two policies' states, (seeds, steps + 1), from equal starts; NaN from where either episode ended.

    The distance is that of `lyapunov_spectrum`: Euclidean over tangent positions and velocities.

    Raises:
        ValueError: if `steps` is below one or a policy does not fit the task.
    """
    validation.integer("steps", steps, 1)
    loops = [_Loop(policy.astype(np.float64), task, len(seeds)) for policy in (first, second)]
    rows = np.arange(len(seeds))
    distances = np.full((len(seeds), steps + 1), np.nan)
    for loop in loops:
        loop.reset(rows, list(seeds))
    for step in range(steps + 1):
        both = rows[~(loops[0].ended | loops[1].ended)]
        if not len(both):
            break
        for row in both:
            distances[row, step] = np.linalg.norm(loops[0].apart(loops[0].state(row), loops[1].state(row)))
        if step < steps:
            for loop in loops:
                loop.step(both)
    return distances


class _Loop:
    """Environments of one task under one policy; rows that ended stay where they are."""

    def __init__(self, policy: MLPPolicy, task: Task, size: int) -> None:
        self.policy, self.task = policy, task
        self.env = BatchEnv(task, size)
        self.model = self.env.batch.model
        self.observations = np.zeros((size, task.observation_size))
        self.ended = np.zeros(size, dtype=bool)

    def reset(self, rows: np.ndarray, seeds: Sequence[int]) -> None:
        self.observations[rows] = self.env.reset(rows, seeds)

    def step(self, rows: np.ndarray) -> None:
        running = rows[~self.ended[rows]]
        if len(running):
            actions = self.policy(self.observations[running])
            outcome = self.env.step(running, np.clip(actions, self.task.action_low, self.task.action_high))
            self.observations[running] = outcome.observation
            self.ended[running] = outcome.terminated

    def state(self, row: int) -> tuple[np.ndarray, np.ndarray]:
        return self.env.positions[row], self.env.velocities[row]

    def apart(self, origin: tuple[np.ndarray, np.ndarray], other: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
        """(2 nv,) tangent vector from one state to another."""
        positions = np.zeros(self.model.nv)
        _mujoco.mj_differentiatePos(self.model, positions, 1.0, origin[0], other[0])
        return np.concatenate([positions, other[1] - origin[1]])

    def displacements(self, rows: np.ndarray) -> np.ndarray:
        """(episodes, copies, 2 nv) of rows (episodes, 1 + copies), each from its episode's first."""
        return np.array([[self.apart(self.state(own[0]), self.state(row)) for row in own[1:]] for own in rows])

    def displace(self, rows: np.ndarray, vectors: np.ndarray) -> None:
        """Put each episode's copies at those tangent vectors from its reference, with the reference's warm start."""
        nv = self.model.nv
        for own, displaced in zip(rows, vectors, strict=True):
            positions, velocities = (array.copy() for array in self.state(own[0]))
            for row, vector in zip(own[1:], displaced, strict=True):
                moved = positions.copy()
                _mujoco.mj_integratePos(self.model, moved, np.ascontiguousarray(vector[:nv]), 1.0)
                self.env.place(row, moved, velocities + vector[nv:], like=own[0])
        self.observations[rows.ravel()] = self.env.refresh(rows.ravel())
        self.ended[rows[:, 1:]] = False  # a copy may lie past the edge; only the reference ends an episode

"""Lyapunov exponents of a policy's closed loop.

Tangent-free: beside a reference trajectory run k copies displaced by a small distance in k directions. Every few steps
the copies' displacements are measured and orthonormalised (Benettin et al. 1980, by QR), and the copies are put back at
the small distance along the new directions. Contacts make the loop only piecewise smooth, so an exponent is the mean
growth of small but finite displacements; `finite_size_exponents` shows how it depends on their size.

Coordinates along which nothing changes (`closed_loop.symmetric_coordinates`: the distance travelled) are left out of
the state: each would add an exponent that is exactly 0. An exponent of 0 that remains in a gait is that of its phase.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import xarray as xr

from gvatheory import validation
from neural import jackknife
from neural.control.closed_loop import ClosedLoop, symmetric_coordinates
from neural.control.policies import MLPPolicy
from neural.control.tasks import Task


class NoSegment(ValueError):
    """No episode lasted long enough for a growth to be measured."""


@dataclasses.dataclass(frozen=True, eq=False)
class LyapunovSpectrum:
    """Exponents in natural logarithms per environment step, largest first up to sampling error.

    Standard errors take episodes as the independent units: growth is correlated in time within one, and different
    initial conditions may lead to different gaits.

    Attributes:
        growth: (episodes, segments, k) logarithm of each direction's growth over a segment; NaN once an episode ended.
        steps_per_segment: environment steps between renormalisations.
        size: distance of the displaced copies.
    """

    growth: np.ndarray
    steps_per_segment: int
    size: float

    @property
    def episodes(self) -> int:
        """Number of episodes that lasted at least one segment."""
        return len(self._sums()[0])

    @property
    def exponents(self) -> np.ndarray:
        """(k,) mean growth per step over all segments of all episodes."""
        return self.running()[0][-1]

    @property
    def standard_errors(self) -> np.ndarray:
        """(k,) of `exponents`, by the jackknife over episodes; NaN for one."""
        return self.running()[1][-1]

    def interval(self, level: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
        """(k,), (k,) bounds of `exponents` by Student's t over episodes."""
        return jackknife.interval(self.exponents, self.standard_errors, self.episodes, level)

    def running(self) -> tuple[np.ndarray, np.ndarray]:
        """(segments, k) exponents as they converge, the mean up to each segment, and their standard errors."""
        return jackknife.ratio(*self._sums())

    def _sums(self) -> tuple[np.ndarray, np.ndarray]:
        """(episodes, segments, k) growth and (episodes, segments, 1) steps up to each segment."""
        kept = self.growth[np.isfinite(self.growth[:, 0, 0])]
        finite = np.isfinite(kept)
        totals = np.where(finite, kept, 0.0).cumsum(axis=1)
        return totals, self.steps_per_segment * finite[..., :1].cumsum(axis=1)


def lyapunov_spectrum(
    policy: MLPPolicy,
    task: Task,
    seeds: Sequence[int],
    *,
    count: int | None = 1,
    steps: int = 1000,
    every: int = 5,
    warm_up: int = 50,
    settle: int = 50,
    size: float = 1e-6,
    direction_seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> LyapunovSpectrum:
    """The `count` largest exponents of the deterministic closed loop, from one episode per seed.

    An episode is left when it terminates; its finished segments count. References are undisturbed episodes.

    Args:
        policy: acts by its mean.
        task: any of `tasks`.
        seeds: initial conditions, at least one.
        count: number of directions, from 1 to the state's dimension without `symmetric_coordinates`; None for all.
        steps: environment steps per episode that count, at least `every`.
        every: environment steps between renormalisations, ≥ 1.
        warm_up: environment steps before the first displacement, ≥ 0.
        settle: environment steps after that, rounded up to segments, in which the directions turn from random ones
            into those of the loop; their growth does not count, ≥ 0.
        size: distance of displaced copies, in the Euclidean norm of positions (m, rad) and velocities (m/s, rad/s).
        direction_seed: of the random first directions.
        progress: called with (steps done, steps in all).

    Raises:
        ValueError: if an argument is out of range, the policy does not fit the task.
        NoSegment: a ValueError too, if no episode lasts one segment.
        FloatingPointError: if a displacement vanishes in rounding, `size` being too small.
    """
    validation.integer("every", every, 1)
    validation.integer("steps", steps, every)
    validation.integer("warm_up", warm_up, 0)
    validation.integer("settle", settle, 0)
    validation.positive("size", size)
    if not len(seeds):
        raise ValueError("seeds must hold at least one seed, got none")
    free = np.flatnonzero(~symmetric_coordinates(task))
    count = len(free) if count is None else count
    validation.integer("count", count, 1, len(free))
    loop = ClosedLoop(policy, task, len(seeds) * (1 + count))
    rows = np.arange(len(seeds) * (1 + count)).reshape(len(seeds), 1 + count)  # the reference first
    loop.reset(rows.ravel(), [seed for seed in seeds for _ in range(1 + count)])
    for _ in range(warm_up):
        loop.step(rows.ravel())
    start = np.random.default_rng(direction_seed).standard_normal((len(free), count))
    directions = np.repeat(np.linalg.qr(start)[0].T[None], len(seeds), axis=0)  # (episodes, count, free)
    settling = -(-settle // every)
    segments = settling + steps // every
    growth = np.full((len(seeds), segments, count), np.nan)
    alive = ~loop.ended[rows[:, 0]]
    for segment in range(segments):
        if not alive.any():
            break
        ahead, reached = _segment(loop, rows[alive], free, size * directions[alive], every)
        alive[alive] = reached
        growth[alive, segment], directions[alive] = _growth(ahead[reached] / size)
        if progress is not None:
            progress((segment + 1) * every, segments * every)
    if np.isnan(growth[:, settling:]).all():
        raise NoSegment(f"no episode of {task.id} lasted {warm_up + (settling + 1) * every} steps")
    return LyapunovSpectrum(growth[:, settling:], every, size)


def _segment(
    loop: ClosedLoop, rows: np.ndarray, free: np.ndarray, displacements: np.ndarray, steps: int
) -> tuple[np.ndarray, np.ndarray]:
    """Displacements (episodes, k, free) `steps` after those given, and which episodes (episodes,) lasted that long.

    Only a reference ends its episode: a copy beyond the edge of what the task allows moves on as the physics has it.
    """
    vectors = np.zeros((*displacements.shape[:2], 2 * loop.model.nv))
    vectors[..., free] = displacements
    loop.displace(rows, vectors)
    for _ in range(steps):
        loop.step(rows.ravel())
    ahead = np.array([[loop.apart(own[0], copy)[free] for copy in own[1:]] for own in rows])
    return ahead, ~(loop.ended[rows[:, 0]] | loop.bad[rows].any(axis=1))


def _growth(ahead: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Logarithms of the growth (n, k) of unit displacements carried to `ahead`, and orthonormal directions."""
    q, r = np.linalg.qr(np.swapaxes(ahead, 1, 2))
    lengths = np.abs(np.diagonal(r, axis1=1, axis2=2))
    if not lengths.all():
        raise FloatingPointError("a displacement vanished in rounding: size is too small")
    return np.log(lengths), np.swapaxes(q, 1, 2)


def spectrum_dataset(
    policy: MLPPolicy,
    task: Task,
    seeds: Sequence[int],
    *,
    count: int | None = None,
    sizes: Sequence[float] = (1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1),
    level: float = 0.95,
    progress: Callable[[str, int, int], None] | None = None,
    **options: Any,
) -> xr.Dataset:
    """The spectrum, how it converges, and the largest exponent of displacements of several sizes.

    Args:
        count: as in `lyapunov_spectrum`, all by default.
        sizes: of the finite-size exponents, positive, at least one; the same episodes at each.
        level: of the intervals, in (0, 1).
        progress: called with (stage, steps done, steps in all).
        options: further arguments of `lyapunov_spectrum`, for both.

    Returns:
        dims direction, segment, episode, size: exponent with standard_error, low, high; running with running_low,
        running_high; size_exponent with size_low, size_high; growth of every segment, from which they come.

    Raises:
        ValueError, FloatingPointError: as `lyapunov_spectrum`.
    """
    validation.real("level", level, 0.0, 1.0, open_low=True, open_high=True)
    for i, size in enumerate(sizes):
        validation.positive(f"sizes[{i}]", size)
    if not len(sizes):
        raise ValueError("sizes must hold at least one size, got none")

    def found(stage: str, **own: Any) -> LyapunovSpectrum:
        tell = None if progress is None else functools.partial(progress, stage)
        return lyapunov_spectrum(policy, task, seeds, progress=tell, **{**options, **own})

    spectrum = found("spectrum", count=count)
    by_size = [found(f"size {size:g}", count=1, size=size) for size in sizes]
    running, errors = spectrum.running()
    low, high = jackknife.interval(running, errors, spectrum.episodes, level)
    bounds = [one.interval(level) for one in by_size]
    unit = {"units": "1/environment step"}
    return xr.Dataset(
        {
            "exponent": ("direction", running[-1], {**unit, "long_name": "Lyapunov exponent, natural logarithm"}),
            "standard_error": ("direction", errors[-1], {**unit, "long_name": "jackknife over episodes"}),
            "low": ("direction", low[-1], unit),
            "high": ("direction", high[-1], unit),
            "running": (("segment", "direction"), running, {**unit, "long_name": "mean growth up to a segment"}),
            "running_low": (("segment", "direction"), low, unit),
            "running_high": (("segment", "direction"), high, unit),
            "size_exponent": ("size", [s.exponents[0] for s in by_size], {**unit, "long_name": "largest, by size"}),
            "size_low": ("size", [b[0][0] for b in bounds], unit),
            "size_high": ("size", [b[1][0] for b in bounds], unit),
            "growth": (("episode", "segment", "direction"), spectrum.growth, {"units": "1"}),
        },
        {
            "direction": np.arange(1, 1 + running.shape[1]),
            "segment": ("segment", spectrum.steps_per_segment * np.arange(1, 1 + len(running)), {"units": "steps"}),
            "episode": ("episode", list(seeds), {"long_name": "seed of the initial condition"}),
            "size": ("size", list(sizes), {"units": "m, rad, m/s, rad/s"}),
        },
        {"task": task.id, "steps_per_segment": spectrum.steps_per_segment, "distance": spectrum.size, "level": level},
    )

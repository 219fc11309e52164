"""How fast the states of two policies part from equal starts, and the rate at which they do.

In a loop of largest exponent Λ, neighbours whose actions differ by D are about D (e^{Λh} − 1)/(e^Λ − 1) apart after h
steps: exponentially so if Λ > 0, linearly if Λ = 0, up to a bound if Λ < 0 (prediction N3). The logarithm of the
distance thus climbs at the rate Λ between its first steps, where the sum is short, and its ceiling, where the two have
nothing left in common.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import xarray as xr

from gvatheory import validation
from neural import jackknife
from neural.control.closed_loop import ClosedLoop, symmetric_coordinates
from neural.control.landscape import norm, path_direction
from neural.control.lyapunov import NoSegment, lyapunov_spectrum
from neural.control.policies import MLPPolicy
from neural.control.tasks import Task
from neural.statistics import Estimate

QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)


def divergence(
    first: MLPPolicy,
    second: MLPPolicy,
    task: Task,
    seeds: Sequence[int],
    steps: int = 1000,
    progress: Callable[[int, int], None] | None = None,
) -> np.ndarray:
    """Distance of two policies' states, (seeds, steps + 1), from equal starts; NaN from where either episode ended.

    The distance is Euclidean over tangent positions (m, rad) and velocities (m/s, rad/s), the distance travelled left
    out (`closed_loop.symmetric_coordinates`).

    Raises:
        ValueError: if `steps` is below one, there are no seeds, or a policy does not fit the task.
    """
    validation.integer("steps", steps, 1)
    if not len(seeds):
        raise ValueError("seeds must hold at least one seed, got none")
    count = len(seeds)
    loops = [ClosedLoop(policy, task, count) for policy in (first, second)]
    free = ~symmetric_coordinates(task)
    rows = np.arange(count)
    distances = np.full((count, steps + 1), np.nan)
    for loop in loops:
        loop.reset(rows, list(seeds))
    for step in range(steps + 1):
        both = rows[~(loops[0].ended | loops[1].ended)]
        if not len(both):
            break
        distances[both, step] = [np.linalg.norm(loops[0].apart(row, row, loops[1])[free]) for row in both]
        if step < steps:
            for loop in loops:
                loop.step(both)
            if progress is not None:
                progress(step + 1, steps)
    return distances


def separation_rate(distances: np.ndarray, *, skip: int = 10, level: float = 0.95) -> tuple[Estimate, tuple[int, int]]:
    """Mean slope of ln distance against the step while neighbours part, and the steps (first, last) it was taken from.

    From `skip` steps on until the median distance first reaches a tenth of its ceiling, the median over the last
    quarter of the steps. The slope is NaN where fewer than ten steps are left, or fewer than two episodes last so long.

    Args:
        distances: (seeds, steps + 1), as `divergence` gives them.
        skip: first step, ≥ 1: the distance is zero at step 0.
        level: of the interval by Student's t over episodes, in (0, 1).
    """
    validation.integer("skip", skip, 1)
    validation.real("level", level, 0.0, 1.0, open_low=True, open_high=True)
    lasting = distances[:, np.isfinite(distances).any(axis=0)]
    middle = np.nanmedian(lasting, axis=0)
    ceiling = np.median(middle[-max(len(middle) // 4, 1) :])
    last = int(np.argmax(middle >= 0.1 * ceiling))
    steps = np.arange(skip, last + 1)
    chosen = lasting[:, skip : last + 1]
    chosen = chosen[np.isfinite(chosen).all(axis=1) & (chosen > 0).all(axis=1)]
    if len(steps) < 10 or len(chosen) < 2:
        return Estimate(np.nan, np.nan, np.nan), (skip, last)
    centred = steps - steps.mean()
    slopes = np.log(chosen) @ centred / (centred @ centred)
    error = slopes.std(ddof=1) / np.sqrt(len(slopes))
    low, high = jackknife.interval(slopes.mean(), error, len(slopes), level)
    return Estimate(float(slopes.mean()), float(low), float(high)), (skip, last)


def divergence_dataset(
    pairs: Mapping[str, tuple[MLPPolicy, MLPPolicy]],
    task: Task,
    seeds: Sequence[int],
    *,
    steps: int = 1000,
    level: float = 0.95,
    progress: Callable[[str, int, int], None] | None = None,
) -> xr.Dataset:
    """Distances of several pairs of neighbours, their quantiles over seeds and their rates of separation.

    Args:
        pairs: neighbours by name, at least one pair, each of equal layers.
        task, seeds, steps: as in `divergence`, the same for every pair.
        level: of the rates' intervals, in (0, 1).
        progress: called with (name, steps done, steps in all).

    Returns:
        dims pair, episode, step, quantile: distance and its quantile over the episodes still running; rate with
        rate_low, rate_high, rate_first, rate_last; parameter_distance, Euclidean over weights and biases.

    Raises:
        ValueError: as `divergence`, or if a pair's layers differ.
    """
    if not pairs:
        raise ValueError("pairs must hold at least one pair, got none")
    gaps = [norm(path_direction(*pair)) for pair in pairs.values()]
    found = []
    for name, (first, second) in pairs.items():
        tell = None if progress is None else lambda done, total, name=name: progress(name, done, total)
        found.append(divergence(first, second, task, seeds, steps, tell))
    rates = [separation_rate(one, level=level) for one in found]
    distances = np.stack(found)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # steps that no episode reached
        quantiles = np.nanquantile(distances, QUANTILES, axis=1)
    length, rate = {"units": "m, rad, m/s, rad/s"}, {"units": "1/environment step"}
    return xr.Dataset(
        {
            "distance": (("pair", "episode", "step"), distances, {**length, "long_name": "distance of the states"}),
            "distance_quantile": (("quantile", "pair", "step"), quantiles, length),
            "rate": ("pair", [r.value for r, _ in rates], {**rate, "long_name": "slope of ln distance"}),
            "rate_low": ("pair", [r.low for r, _ in rates], rate),
            "rate_high": ("pair", [r.high for r, _ in rates], rate),
            "rate_first": ("pair", [window[0] for _, window in rates], {"units": "environment steps"}),
            "rate_last": ("pair", [window[1] for _, window in rates], {"units": "environment steps"}),
            "parameter_distance": ("pair", gaps, {"units": "1", "long_name": "distance of the parameters"}),
        },
        {
            "pair": list(pairs),
            "episode": ("episode", list(seeds), {"long_name": "seed of the initial condition"}),
            "step": ("step", np.arange(steps + 1), {"units": "environment steps"}),
            "quantile": list(QUANTILES),
        },
        {"task": task.id, "level": level},
    )


def add_exponents(
    dataset: xr.Dataset,
    policies: Mapping[str, MLPPolicy],
    task: Task,
    *,
    steps: int = 1000,
    episodes: int = 8,
    progress: Callable[[str, int, int], None] | None = None,
) -> xr.Dataset:
    """The dataset with exponent, exponent_error, exponent_low and exponent_high: the largest of each first policy.

    From the dataset's first episodes; NaN for a policy that ends all of them too early for one.

    Args:
        dataset: made by `divergence_dataset`.
        policies: by the names of its pairs.
        task: the dataset's.
        steps: environment steps per episode that count.
        episodes: how many of the dataset's, ≥ 1; all if it has fewer.
        progress: called with (stage, steps done, steps in all).
    """
    validation.integer("episodes", episodes, 1)
    seeds = dataset["episode"].values[:episodes].tolist()
    level, rows = dataset.attrs["level"], []
    for name in dataset["pair"].values:
        tell = None if progress is None else lambda done, total, n=name: progress(f"{n}, exponent", done, total)
        try:
            spectrum = lyapunov_spectrum(policies[str(name)], task, seeds, steps=steps, every=10, progress=tell)
        except NoSegment:
            rows.append((np.nan, np.nan, np.nan, np.nan))
            continue
        low, high = spectrum.interval(level)
        rows.append((spectrum.exponents[0], spectrum.standard_errors[0], low[0], high[0]))
    unit = {"units": "1/environment step", "long_name": "largest Lyapunov exponent of the first policy"}
    names = ("exponent", "exponent_error", "exponent_low", "exponent_high")
    return dataset.assign(
        {name: ("pair", list(column), unit) for name, column in zip(names, zip(*rows, strict=True), strict=True)}
    )

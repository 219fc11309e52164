"""Prediction N3: how the spread of the return grows with the horizon, and whether the loop's exponent says so.

Measured of one finished run, at the iterates that come next, one update apart: returns of every horizon, the largest
Lyapunov exponent Λ, and how the states of neighbours part. The linear model says that they part at the rate Λ, and that
the spread of the return grows as Σ_{h<H} (e^{Λh} − 1)/(e^Λ − 1) while it is small (`gvatheory.separation`).

What is spread over what: the iterates of one window of one run, from the same initial conditions; for an average that
is far less than the spread across seeds (theory, A8). Intervals are over initial conditions, not over runs.
"""

from __future__ import annotations

import dataclasses
import math
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import xarray as xr

from gvatheory import validation
from gvatheory.linear_system import horizon_exponent
from gvatheory.separation import return_growth_law
from neural import jackknife
from neural.control.divergence import add_exponents, divergence_dataset
from neural.control.experiment import EVALUATION_SEED
from neural.control.landscape import displaced, path_direction
from neural.control.neighbourhood import neighbours
from neural.control.policies import MLPPolicy
from neural.control.rebuild import FinishedRun, rebuild
from neural.control.rollout import evaluate
from neural.statistics import Estimate

HORIZONS = (5, 10, 20, 50, 100, 200, 500, 1000)
FRACTION, RETURN_FRACTION = 1e-6, 1e-4
"""Of an update, by which the last iterate is moved: to see its states part, and its return change to first order."""
SMALL = 0.1
"""Of its ceiling: below that a spread counts as small, so that the first order may hold."""

_UNDEFINED = Estimate(math.nan, math.nan, math.nan)
_SKIPPED = 10  # steps in which the direction of a change matters more than the exponent, as in `separation_rate`
_SEGMENT = 10  # environment steps between renormalisations of an exponent

Progress = Callable[[str, int, int], None]
"""Called with (stage, done, total)."""


def horizon_data(
    directory: Path | str,
    *,
    averages: Sequence[str] = ("raw", "EMA 0.001"),
    iterates: int = 20,
    episodes: int = 8,
    horizons: Sequence[int] = HORIZONS,
    lyapunov_episodes: int = 6,
    fraction: float = FRACTION,
    return_fraction: float = RETURN_FRACTION,
    level: float = 0.95,
    seed: int | None = None,
    threads: int | None = None,
    progress: Progress | None = None,
) -> xr.Dataset:
    """Returns of every horizon after a finished run's end, exponents, and how neighbours part.

    Neighbours are the last iterate and each average with what they are one update later, and the last iterate with
    itself moved by a small fraction of that update ("raw, F of the step"): only that pair stays in its exponential
    stage for long. Distances and exponents are computed in float64.

    Args:
        directory: of the run, see `rebuild`.
        averages: names, "raw" for the iterate; the last iterate's own neighbours are measured in any case.
        iterates: n ≥ 2, updates T+1, ..., T+n whose policies are rolled out.
        episodes: initial conditions, ≥ 2, those of the run's own rollouts from the first on.
        horizons: ascending, at least two of them, each ≥ 1.
        lyapunov_episodes: how many of the initial conditions are used for the exponents, from 2 to `episodes`.
        fraction: of an update, in (0, 1).
        return_fraction: of an update by which the last iterate is moved to see its return change to first order, in
            (0, 1); larger than the other, for rollouts round actions to float32.
        level: of all intervals, in (0, 1).
        seed: of the learner, for a run of several seeds; None for a run of one.
        threads: of the rollouts.
        progress: called with (stage, done, total).

    Returns:
        return (iterate, average, episode, horizon); length and fallen (iterate, average, episode) of the longest;
        spread and mean_spread (average, horizon): std over iterates (ddof 1) from the same start, root mean square over
        starts, and of the mean over starts; near_change (episode, horizon), return of the moved last iterate less its
        own; and over `pair` all that `divergence_dataset` and `add_exponents` give.

    Raises:
        FileNotFoundError, ValueError: as `rebuild`, or naming the argument that is out of range.
    """
    _check(averages, iterates, episodes, horizons, lyapunov_episodes)
    validation.real("level", level, 0.0, 1.0, open_low=True, open_high=True)
    for name, value in (("fraction", fraction), ("return_fraction", return_fraction)):
        validation.real(name, value, 0.0, 1.0, open_low=True, open_high=True)
    run = rebuild(directory, beyond=iterates, seed=seed)
    seeds = range(EVALUATION_SEED, EVALUATION_SEED + episodes)
    pairs = neighbours(run, [name for name in averages if name != "raw"], 1, fraction)
    policies = [pairs[name][1] for name in averages]
    for _ in range(iterates - 1):
        run.cloning.advance(1)
        policies += [run.policy(name) for name in averages]
    exact = pairs["raw"][0].astype(np.float64)
    near = displaced(exact, [path_direction(*pairs["raw"])], [return_fraction])
    first = run.steps + 1
    found = _returns(run, [exact, near, *policies], averages, seeds, horizons, threads, progress)
    found = found.assign_coords(iterate=("iterate", np.arange(first, first + iterates), {"units": "updates"}))
    parting = _parting(run, pairs, seeds, horizons[-1], lyapunov_episodes, level, progress)
    return found.merge(parting, combine_attrs="drop").assign_attrs(
        task=run.task.id, level=level, steps=run.steps, fraction=fraction, return_fraction=return_fraction
    )


def _check(
    averages: Sequence[str], iterates: int, episodes: int, horizons: Sequence[int], lyapunov_episodes: int
) -> None:
    """ValueError naming the first argument of `horizon_data` that is out of range."""
    if not averages or len(set(averages)) < len(averages):
        raise ValueError(f"averages must be names without repetition, at least one, got {list(averages)}")
    validation.integer("iterates", iterates, 2)
    validation.integer("episodes", episodes, 2)
    validation.integer("lyapunov_episodes", lyapunov_episodes, 2, episodes)
    for i, horizon in enumerate(horizons):
        validation.integer(f"horizons[{i}]", horizon, 1)
    if len(horizons) < 2 or np.any(np.diff(horizons) <= 0):
        raise ValueError(f"horizons must ascend, at least two of them, got {list(horizons)}")


def _returns(
    run: FinishedRun,
    policies: Sequence[MLPPolicy],
    averages: Sequence[str],
    seeds: Sequence[int],
    horizons: Sequence[int],
    threads: int | None,
    progress: Progress | None,
) -> xr.Dataset:
    """Returns of policies, iterate by iterate and of each the averages in turn, with their spreads.

    The first two policies are the last iterate and itself, moved.
    """
    tell = None if progress is None else lambda done, total: progress("rollouts", done, total)
    options = {"max_steps": horizons[-1], "threads": threads, "progress": tell, "rewards_at": horizons}
    results = evaluate(policies, run.task, seeds, **options)
    assert results.partial is not None
    cells = ("iterate", "average", "episode")
    shape = (-1, len(averages), len(seeds))
    returns = results.partial[2:].reshape(*shape, len(horizons))
    reward = {"units": "reward"}
    same = np.sqrt(np.var(returns, axis=0, ddof=1).mean(axis=1))
    return xr.Dataset(
        {
            "return": ((*cells, "horizon"), returns, {**reward, "long_name": "undiscounted sum of rewards"}),
            "length": (cells, results.lengths[2:].reshape(shape), {"units": "environment steps"}),
            "fallen": (cells, results.fallen[2:].reshape(shape).astype(np.int8), {"units": "1"}),
            "spread": (("average", "horizon"), same, {**reward, "long_name": "std over iterates from the same start"}),
            "mean_spread": (
                ("average", "horizon"),
                returns.mean(axis=2).std(axis=0, ddof=1),
                {**reward, "long_name": "std over iterates of the mean over starts"},
            ),
            "near_change": (("episode", "horizon"), results.partial[1] - results.partial[0], reward),
        },
        {
            "average": np.array(list(averages)),
            "episode": ("episode", list(seeds), {"long_name": "seed of the initial condition"}),
            "horizon": ("horizon", list(horizons), {"units": "environment steps"}),
        },
    )


def _parting(
    run: FinishedRun,
    pairs: dict[str, tuple[MLPPolicy, MLPPolicy]],
    seeds: Sequence[int],
    steps: int,
    lyapunov_episodes: int,
    level: float,
    progress: Progress | None,
) -> xr.Dataset:
    """Distances, rates and exponents of pairs of neighbours, the last of which shares its first policy with "raw"."""
    found = divergence_dataset(pairs, run.task, seeds, steps=steps, level=level, progress=progress)
    apart = list(pairs)[:-1]
    firsts = {name: pairs[name][0] for name in apart}
    with_exponents = add_exponents(
        found.sel(pair=apart),
        firsts,
        run.task,
        steps=max(steps, _SEGMENT),
        episodes=lyapunov_episodes,
        progress=progress,
    )
    exponents = with_exponents[[name for name in with_exponents if name not in found]]
    return found.assign(exponents.sel(pair=[*apart, "raw"]).assign_coords(pair=list(pairs)).data_vars)


def horizon_slope(dataset: xr.Dataset, average: str, first: int, last: int) -> Estimate:
    """Slope of ln spread against ln horizon between two horizons, with its interval by the jackknife over starts.

    The spread is that over iterates from the same start. NaN where there is none.

    Args:
        dataset: made by `horizon_data`.
        average: its name, "raw" for the iterate.
        first, last: horizons of the dataset; those between them are used too.

    Raises:
        ValueError: if they are not two ascending horizons of the dataset.
    """
    horizons = dataset["horizon"].values
    if first not in horizons or last not in horizons or first >= last:
        raise ValueError(f"first and last must be two ascending ones of {horizons.tolist()}, got {first} and {last}")
    chosen = (horizons >= first) & (horizons <= last)
    spread, left_out = (one[..., chosen] for one in _spreads(dataset, average))
    return _jackknifed(dataset, spread, left_out, lambda s: horizon_exponent(horizons[chosen], s).slope)


def rate_ratio(dataset: xr.Dataset, pair: str) -> Estimate:
    """Slope of ln distance of a pair over its loop's exponent, which N3 says is 1.

    The two intervals' half widths, relative to their estimates, are added in squares, as of independent estimates;
    where both share initial conditions and so err alike, that is wider than need be. NaN where the pair has no stage of
    exponential growth, or no exponent; NaN bounds where the exponent's sign is not known.

    Args:
        dataset: made by `horizon_data`.
        pair: name of the neighbours.
    """
    one = dataset.sel(pair=pair)
    rate, exponent = (
        Estimate(*(float(one[f"{name}{end}"]) for end in ("", "_low", "_high"))) for name in ("rate", "exponent")
    )
    if not (math.isfinite(rate.value) and math.isfinite(exponent.value)):
        return _UNDEFINED
    value = rate.value / exponent.value
    if exponent.low <= 0.0 <= exponent.high:
        return Estimate(value, math.nan, math.nan)
    # Of the ratio r/Λ: |1/Λ| times the root of the squares of the half widths of r and of value · Λ.
    half = np.hypot(rate.high - rate.low, value * (exponent.high - exponent.low)) / (2.0 * abs(exponent.value))
    return Estimate(value, value - float(half), value + float(half))


@dataclasses.dataclass(frozen=True)
class Amplification:
    """ln of how many times a change of the return grows from one horizon to another, measured and by the linear model.

    Attributes:
        first, last: the horizons.
        measured: with its interval by the jackknife over starts.
        predicted: by `return_growth_law` of the exponent, and of its interval's ends; NaN where one is not known.
    """

    first: int
    last: int
    measured: Estimate
    predicted: Estimate


def amplification(dataset: xr.Dataset, average: str) -> Amplification | None:
    """Growth of the spread over iterates, from the first horizon of at least ten steps to the last where it is small.

    Small is below a tenth of the largest spread of any horizon, and while the states of neighbours one update apart are
    below a tenth of their own ceiling. (Where falls dominate the ceiling, returns alone would not tell.) As for the
    rates, the first ten steps are left out. None where fewer than two horizons are left.

    Args:
        dataset: made by `horizon_data`.
        average: its name, "raw" for the iterate.
    """
    spread, left_out = _spreads(dataset, average)
    return _amplification(dataset, average, spread, left_out, int(dataset["rate_last"].sel(pair=average)))


def near_amplification(dataset: xr.Dataset) -> Amplification | None:
    """As `amplification`, of the last iterate's return when it is moved by a small fraction of an update.

    The root mean square over starts of the change takes the place of the spread.
    """
    squares = dataset["near_change"].transpose("episode", "horizon").values ** 2
    return _amplification(dataset, "raw", *_root_means(squares), _near_until(dataset))


def _near_until(dataset: xr.Dataset) -> int:
    """Last recorded step at which the states of the policies that `near_change` compares are still near.

    Distances were measured of a smaller move. While small they are proportional to it, and the larger move has them as
    large as the smaller has at `rate_last` when they are smaller there by the moves' ratio.
    """
    one = dataset.isel(pair=-1)
    steps, last = dataset["step"].values, float(one["rate_last"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # steps that no episode reached
        middle = np.nanmedian(one["distance"].transpose("step", "episode").values, axis=1)
    times = dataset.attrs.get("return_fraction", RETURN_FRACTION) / dataset.attrs.get("fraction", FRACTION)
    near = (times * middle < middle[steps <= last][-1]) & (steps <= last)
    return int(steps[near][-1]) if near.any() else 0


def _amplification(
    dataset: xr.Dataset, pair: str, size: np.ndarray, left_out: np.ndarray, until: int
) -> Amplification | None:
    """Of (H,) sizes and what they are without each start, at horizons up to `until`."""
    horizons = dataset["horizon"].values
    small = np.logical_and.accumulate(size < SMALL * size.max()) & (horizons >= _SKIPPED) & (horizons <= until)
    if np.count_nonzero(small) < 2:
        return None
    ends = np.flatnonzero(small)[[0, -1]]
    first, last = horizons[ends].tolist()
    measured = _jackknifed(dataset, size[ends], left_out[:, ends], lambda s: float(np.log(s[1] / s[0])))
    loop = dataset.sel(pair=pair)
    bounds = [float(loop[f"exponent{end}"]) for end in ("", "_low", "_high")]
    grown = [
        float(np.diff(return_growth_law(bound, [first, last]))[0]) if math.isfinite(bound) else math.nan
        for bound in bounds
    ]
    return Amplification(first, last, measured, Estimate(*grown))


def _spreads(dataset: xr.Dataset, average: str) -> tuple[np.ndarray, np.ndarray]:
    """(H,) spread over iterates from the same start, and (E, H) what it is without each of the starts."""
    if average not in dataset["average"].values:
        raise ValueError(f"average must be one of {dataset['average'].values.tolist()}, got {average!r}")
    returns = dataset["return"].sel(average=average).transpose("iterate", "episode", "horizon").values
    return _root_means(np.var(returns, axis=0, ddof=1))


def _root_means(squares: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Roots of the means over starts of (E, H) squares: (H,), and (E, H) without each of the starts."""
    rest = (squares.sum(axis=0) - squares) / (len(squares) - 1)
    return np.sqrt(squares.mean(axis=0)), np.sqrt(np.maximum(rest, 0.0))


def _jackknifed(
    dataset: xr.Dataset, spread: np.ndarray, left_out: np.ndarray, statistic: Callable[[np.ndarray], float]
) -> Estimate:
    """A statistic of spreads with its interval over starts; undefined where a spread is zero."""
    if not ((spread > 0).all() and (left_out > 0).all()):
        return _UNDEFINED
    value = statistic(spread)
    error = jackknife.standard_error(np.array([statistic(one) for one in left_out]))
    low, high = jackknife.interval(value, error, len(left_out), dataset.attrs["level"])
    return Estimate(value, float(low), float(high))

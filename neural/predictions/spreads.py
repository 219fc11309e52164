"""Spreads, levels and exponents of cloning runs of several seeds: what most criteria are made of.

Two spreads are told apart, as the theory does: over the iterates of one run's window, and over seeds at one update.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr

from neural.predictions.decision import Effect, jackknife_effect, mean_effect
from neural.statistics import RAW


def mean_returns(run: xr.Dataset, average: str = RAW, window: str = "spaced") -> np.ndarray:
    """(seeds, iterates) return averaged over the initial conditions."""
    chosen = run.isel(iterate=np.flatnonzero(run[window].values)).sel(average=average)
    return chosen["return"].transpose("seed", "iterate", "episode").values.astype(np.float64).mean(axis=2)


def late_iterates(run: xr.Dataset, share: float = 0.75) -> np.ndarray:
    """Which of the spaced iterates come after that share of the run: where averages are compared."""
    spaced = _spaced(run)
    return spaced >= share * spaced.max()


def late_updates(run: xr.Dataset) -> np.ndarray:
    """Their updates."""
    return _spaced(run)[late_iterates(run)]


def _spaced(run: xr.Dataset) -> np.ndarray:
    return run["iterate"].values[np.flatnonzero(run["spaced"].values)]


def level(run: xr.Dataset, average: str = RAW, window: str = "consecutive") -> np.ndarray:
    """(seeds,) return averaged over a window's iterates and initial conditions, in units of the expert's."""
    return mean_returns(run, average, window).mean(axis=1) / expert_level(run)


def window_spread(run: xr.Dataset, average: str = RAW, window: str = "consecutive") -> np.ndarray:
    """(seeds,) standard deviation over a window's iterates of the return averaged over initial conditions."""
    return mean_returns(run, average, window).std(axis=1, ddof=1)


def pooled(values: np.ndarray, places: np.ndarray) -> float:
    """Standard deviation over the seeds at `places` of (seeds, iterates) values, its square averaged over iterates."""
    return float(np.sqrt(values[places].var(axis=0, ddof=1).mean()))


def spread_effect(run: xr.Dataset, average: str = RAW, window: str = "spaced") -> Effect:
    """Spread across seeds, on the log scale, by the jackknife over seeds."""
    values = mean_returns(run, average, window)
    return jackknife_effect(lambda places: pooled(values, places), len(values), logarithmic=True)


def losses(run: xr.Dataset, average: str = RAW, window: str = "spaced") -> np.ndarray:
    """(seeds, iterates) held-out cloning loss, of the iterate or an average that was rolled out."""
    chosen = run.isel(iterate=np.flatnonzero(run[window].values)).sel(average=average)
    return chosen["loss"].transpose("seed", "iterate").values.astype(np.float64)


def slope(x: Sequence[float] | np.ndarray, y: np.ndarray) -> np.ndarray:
    """Least-squares slopes of ln y (..., n) against ln x (n,)."""
    centred = np.log(x) - np.mean(np.log(x))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.log(y) @ centred / (centred @ centred)


def exponent_by_seed(x: Sequence[float], values: Sequence[np.ndarray]) -> Effect:
    """Exponent of a quantity that every seed has of its own: its log-log slope, averaged over seeds.

    Args:
        x: abscissae, one per arm.
        values: (seeds,) of each arm, the same seeds.
    """
    return mean_effect(slope(x, np.stack(values, axis=1)))


def exponent_of_pooled(x: Sequence[float], values: Sequence[np.ndarray]) -> Effect:
    """Exponent of the spread across seeds, by the jackknife over seeds.

    Args:
        x: abscissae, one per arm.
        values: (seeds, iterates) mean returns of each arm, the same seeds.
    """

    def fitted(places: np.ndarray) -> float:
        return float(slope(x, np.array([pooled(one, places) for one in values])))

    return jackknife_effect(fitted, len(values[0]))


def expert_level(run: xr.Dataset) -> float:
    """The expert's mean return over the run's initial conditions."""
    return float(run["expert_return"].values.mean())

"""N4: an EMA cuts the spread of the return by the root of its filter's variance factor.

Two factors, as the theory has two: what is left of the variance within a window of consecutive iterates of one run, and
of that across seeds. Both are computed from the spectrum of curvature and noise measured at the end of each run,
weighted as `noise_spectra` says. Constant rates, from 0.03 down to the last that has forgotten where it began: the
theory has every seed start from the same point, networks start from different ones.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import xarray as xr

from neural.predictions.arms import RATES, TASKS
from neural.predictions.decision import Criterion, Effect, Prediction, jackknife_effect, mean_effect
from neural.predictions.evidence import Evidence
from neural.predictions.noise_spectra import seed_factors, window_factors
from neural.predictions.spreads import late_iterates, late_updates, mean_returns, pooled, slope, window_spread
from neural.statistics import RAW

AVERAGES = tuple(f"EMA {rate:g}" for rate in RATES)
FORGOTTEN = 0.01
"""Weight of the initial network below which an average has forgotten it, at the first of the late iterates."""


def forgetful(run: xr.Dataset) -> tuple[str, ...]:
    """Those of `AVERAGES` that have forgotten the initial network where they are compared."""
    first = late_updates(run).min()
    pairs = zip(RATES, AVERAGES, strict=True)
    return tuple(name for rate, name in pairs if (1.0 - rate) ** first <= FORGOTTEN)


def window_ratios(evidence: Evidence, names: tuple[str, ...] = ()) -> tuple[np.ndarray, np.ndarray]:
    """Spread of averages over that of raw in the consecutive window, seen and predicted, each (averages, seeds).

    Of those named; of `forgetful` ones if none is.
    """
    arm = f"{TASKS[0]} base"
    run = evidence[arm]
    names = names or forgetful(run)
    seen = np.array([window_spread(run, name) / window_spread(run) for name in names])
    return seen, np.sqrt(window_factors(evidence, arm, names))


def window_level(evidence: Evidence) -> Effect:
    """Seen over predicted, geometric mean over averages and seeds."""
    seen, predicted = window_ratios(evidence)
    return mean_effect(np.exp(np.log(seen / predicted).mean(axis=0)), logarithmic=True)


def window_slope(evidence: Evidence) -> Effect:
    """Slope of ln seen against ln predicted over the averages, mean over seeds."""
    seen, predicted = window_ratios(evidence)
    return mean_effect([float(slope(x, y)) for x, y in zip(predicted.T, seen.T, strict=True)])


def _seed_statistic(evidence: Evidence, of: Callable[[np.ndarray, np.ndarray], float], logarithmic: bool) -> Effect:
    """Of seen and predicted ratios of spreads across seeds, (averages,) each, by the jackknife.

    Spreads are of the late iterates: those before have not the variance that the factor at the run's end is of.
    """
    arm = f"{TASKS[0]} base"
    run = evidence[arm]
    names, kept = forgetful(run), late_iterates(run)
    predicted = 0.5 * np.log(seed_factors(evidence, arm, names))
    returns = {name: mean_returns(run, name)[:, kept] for name in (RAW, *names)}

    def statistic(places: np.ndarray) -> float:
        seen = np.array([pooled(returns[name], places) for name in names]) / pooled(returns[RAW], places)
        return of(seen, np.exp(predicted[:, places].mean(axis=1)))

    return jackknife_effect(statistic, predicted.shape[1], logarithmic=logarithmic)


def seed_level(evidence: Evidence) -> Effect:
    """The same as `window_level` of the spread across seeds, by the jackknife."""
    return _seed_statistic(evidence, lambda seen, predicted: math.exp(np.log(seen / predicted).mean()), True)


def seed_slope(evidence: Evidence) -> Effect:
    """The same as `window_slope` of the spread across seeds, by the jackknife."""
    return _seed_statistic(evidence, lambda seen, predicted: float(slope(predicted, seen)), False)


PREDICTION = Prediction(
    id="N4",
    title="What an EMA takes away",
    statement="An EMA cuts the spread of the return by the root of the filter's variance factor: the window factor in "
    "a window, the seed factor across seeds.",
    criteria=(
        Criterion("in a window, seen / predicted", (0.5, 2.0), "1", window_level),
        Criterion("in a window, slope of ln seen against ln predicted", (0.7, 1.3), "1", window_slope),
        Criterion("across seeds, seen / predicted", (0.5, 2.0), "1", seed_level),
        Criterion("across seeds, slope of ln seen against ln predicted", (0.7, 1.3), "1", seed_slope),
    ),
    source="theory section 3; ledger A7, A8",
)

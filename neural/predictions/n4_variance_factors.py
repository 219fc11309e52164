"""N4: an EMA cuts the spread of the return by the root of its filter's variance factor.

Two factors, as the theory has two: what is left of the variance within a window of consecutive iterates of one run, and
of that across seeds. Both are computed from the spectrum of curvature and noise measured at the end of each run,
weighted as `noise_spectra` says. Six constant rates, from 0.03 to 1e-4.
"""

from __future__ import annotations

import numpy as np

from neural.predictions.arms import RATES, TASKS
from neural.predictions.decision import Criterion, Effect, Prediction, jackknife_effect, mean_effect
from neural.predictions.evidence import Evidence
from neural.predictions.noise_spectra import seed_factors, window_factors
from neural.predictions.spreads import mean_returns, pooled, slope, window_spread
from neural.statistics import RAW

AVERAGES = tuple(f"EMA {rate:g}" for rate in RATES)


def window_ratios(evidence: Evidence) -> tuple[np.ndarray, np.ndarray]:
    """Spread of averages over that of raw in the consecutive window, seen and predicted, each (averages, seeds)."""
    arm = f"{TASKS[0]} base"
    run = evidence[arm]
    seen = np.array([window_spread(run, name) / window_spread(run) for name in AVERAGES])
    return seen, np.sqrt(window_factors(evidence, arm, AVERAGES))


def window_level(evidence: Evidence) -> Effect:
    """Seen over predicted, geometric mean over averages and seeds."""
    seen, predicted = window_ratios(evidence)
    return mean_effect(np.exp(np.log(seen / predicted).mean(axis=0)), logarithmic=True)


def window_slope(evidence: Evidence) -> Effect:
    """Slope of ln seen against ln predicted over the averages, mean over seeds."""
    seen, predicted = window_ratios(evidence)
    return mean_effect([float(slope(x, y)) for x, y in zip(predicted.T, seen.T, strict=True)])


def seed_level(evidence: Evidence) -> Effect:
    """The same as `window_level` of the spread across seeds, by the jackknife."""
    arm = f"{TASKS[0]} base"
    run, predicted = evidence[arm], np.sqrt(seed_factors(evidence, arm, AVERAGES))
    returns = {name: mean_returns(run, name) for name in (RAW, *AVERAGES)}

    def ratio(places: np.ndarray) -> float:
        raw = pooled(returns[RAW], places)
        seen = np.array([pooled(returns[name], places) / raw for name in AVERAGES])
        return float(np.exp(np.mean(np.log(seen) - np.log(predicted[:, places]).mean(axis=1))))

    return jackknife_effect(ratio, predicted.shape[1], logarithmic=True)


PREDICTION = Prediction(
    id="N4",
    title="What an EMA takes away",
    statement="An EMA cuts the spread of the return by the root of the filter's variance factor: the window factor in "
    "a window, the seed factor across seeds.",
    criteria=(
        Criterion("in a window, seen / predicted", (0.5, 2.0), "1", window_level),
        Criterion("in a window, slope of ln seen against ln predicted", (0.7, 1.3), "1", window_slope),
        Criterion("across seeds, seen / predicted", (0.5, 2.0), "1", seed_level),
    ),
    source="theory section 3; ledger A7, A8",
)

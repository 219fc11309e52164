"""N3: the loop's largest Lyapunov exponent says how neighbours part and how the spread of the return grows.

Five tasks, raw iterates. In a loop of exponent Λ neighbours part at the rate Λ, and while it is small the change of the
return grows with the horizon as Σ_{h<H} (e^{Λh} − 1)/(e^Λ − 1) (`gvatheory.separation`). The iterates of consecutive
updates are too far apart for that on most tasks: it is judged by iterates a 10⁻⁴ of an update apart. In a loop that
contracts it grows no faster than the horizon itself (C.3).
"""

from __future__ import annotations

import functools
import math
import warnings
from collections.abc import Callable

import numpy as np
import xarray as xr

from neural.predictions.arms import TASKS
from neural.predictions.decision import Criterion, Effect, Prediction, mean_effect
from neural.predictions.evidence import Evidence
from neural.predictions.horizons import Amplification, amplification, horizon_slope, near_amplification
from neural.statistics import RAW

STABLE = "HalfCheetah-v4"
"""The task whose expert's loop contracts."""
NEAR = -1
"""Place, among the pairs of neighbours, of the one that is near enough for a long exponential stage."""


def _seeds(evidence: Evidence, task: str) -> list[xr.Dataset]:
    data = evidence[f"{task} base horizons"]
    return [data.isel(seed=i) for i in range(data.sizes["seed"])]


def _over_tasks(values: np.ndarray) -> Effect:
    """Of (tasks, seeds) logarithms the mean over the tasks that have one, then over seeds."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a seed without any is unknown, and said to be
        return mean_effect(np.exp(np.nanmean(values, axis=0)), logarithmic=True)


def _log(value: float) -> float:
    return math.log(value) if value > 0 else math.nan


def rate_over_exponent(evidence: Evidence, *, tasks: tuple[str, ...] = TASKS) -> Effect:
    """Slope of ln distance of very near neighbours over Λ, geometric mean over tasks."""
    logs = [
        [_log(float(one["rate"][NEAR] / one["exponent"][NEAR])) for one in _seeds(evidence, task)] for task in tasks
    ]
    return _over_tasks(np.array(logs))


def growth_over_theory(
    evidence: Evidence,
    *,
    tasks: tuple[str, ...] = TASKS,
    growth: Callable[[xr.Dataset], Amplification | None] = near_amplification,
) -> Effect:
    """ln of the growth of the return's change while it is small, over that by the exponent, geometric mean over tasks.

    Of tasks in which it is small at no two horizons, or Λ predicts no growth, nothing is known.
    """
    logs = []
    for task in tasks:
        found = [growth(one) for one in _seeds(evidence, task)]
        logs.append([math.nan if a is None else _log(a.measured.value / a.predicted.value) for a in found])
    return _over_tasks(np.array(logs))


def long_slope(evidence: Evidence, *, task: str = STABLE, first: int = 100, last: int = 1000) -> Effect:
    """Exponent of the spread in the horizon at long horizons."""
    return mean_effect([horizon_slope(one, RAW, first, last).value for one in _seeds(evidence, task)])


def exponent(evidence: Evidence, *, task: str) -> Effect:
    """Largest Lyapunov exponent of the raw iterate's loop, per environment step."""
    return mean_effect([float(one["exponent"].sel(pair=RAW)) for one in _seeds(evidence, task)])


PREDICTION = Prediction(
    id="N3",
    title="Horizon and Lyapunov exponent",
    statement="Neighbours' states part at the rate of the loop's largest Lyapunov exponent, and the spread of the "
    "return grows with the horizon accordingly while it is small; in a loop that contracts it grows at most linearly.",
    criteria=(
        Criterion("rate of parting / exponent, five tasks", (0.7, 1.4), "1", rate_over_exponent),
        Criterion("ln growth of a small change of the return / by the exponent", (0.7, 1.4), "1", growth_over_theory),
        Criterion(f"exponent of the spread in H, 100 to 1000, {STABLE}", (-math.inf, 1.1), "≤ 1", long_slope),
    ),
    also=(
        Criterion(
            "ln growth of the spread over consecutive iterates / by the exponent",
            (0.7, 1.4),
            "1, while it is small",
            functools.partial(growth_over_theory, growth=functools.partial(amplification, average=RAW)),
        ),
        *(
            Criterion(f"largest exponent, {task}", (0.0, math.inf), "", functools.partial(exponent, task=task))
            for task in TASKS
        ),
    ),
    source="theory section 6; C.1, C.3",
)

"""N3: the loop's largest Lyapunov exponent says how neighbours part and how the spread of the return grows.

Five tasks, raw iterates, each task by itself: a task in which neighbours part faster must not make up for one in which
they part more slowly. In a loop of exponent Λ neighbours part at the rate Λ, and while it is small the change of the
return grows with the horizon as Σ_{h<H} (e^{Λh} − 1)/(e^Λ − 1) (`gvatheory.separation`). The iterates of consecutive
updates are too far apart for that on most tasks: it is judged by iterates a 10⁻⁴ of an update apart. Both are ratios of
means over seeds, for the exponent of a single seed may be next to zero.

In a loop that contracts the spread grows no faster than the horizon (C.3). It takes loops that do: seeds whose exponent
is below zero with its whole interval. What they show is reported, and decides nothing.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import xarray as xr

from neural.predictions.arms import TASKS
from neural.predictions.decision import Criterion, Effect, Prediction, mean_effect, ratio_effect
from neural.predictions.evidence import Evidence
from neural.predictions.horizons import Amplification, amplification, horizon_slope, near_amplification
from neural.statistics import RAW

STABLE = "HalfCheetah-v4"
"""The task whose loops contract, if any do."""
NEAR = -1
"""Place, among the pairs of neighbours, of the one that is near enough for a long exponential stage."""


def _seeds(evidence: Evidence, task: str) -> list[xr.Dataset]:
    data = evidence[f"{task} base horizons"]
    return [data.isel(seed=i) for i in range(data.sizes["seed"])]


def rate_over_exponent(evidence: Evidence, *, task: str) -> Effect:
    """Slope of ln distance of very near neighbours over Λ."""
    seeds = _seeds(evidence, task)
    return ratio_effect(*([float(one[name][NEAR]) for one in seeds] for name in ("rate", "exponent")))


def growth_over_theory(
    evidence: Evidence, *, task: str, growth: Callable[[xr.Dataset], Amplification | None] = near_amplification
) -> Effect:
    """ln of the growth of the return's change while it is small, over that by the exponent.

    Of seeds in which it is small at no two horizons nothing is known.
    """
    found = [growth(one) for one in _seeds(evidence, task)]
    measured, predicted = (
        [math.nan if a is None else getattr(a, name).value for a in found] for name in ("measured", "predicted")
    )
    return ratio_effect(measured, predicted)


def long_slope(evidence: Evidence, *, task: str = STABLE, first: int = 100, last: int = 1000) -> Effect:
    """Exponent of the spread in the horizon at long horizons, of the seeds whose loops contract."""
    seeds = [one for one in _seeds(evidence, task) if float(one["exponent_high"].sel(pair=RAW)) < 0.0]
    if not seeds:
        return Effect(math.nan, math.nan, 0, note="no seed's loop is known to contract")
    return mean_effect([horizon_slope(one, RAW, first, last).value for one in seeds])


def exponent(evidence: Evidence, *, task: str) -> Effect:
    """Largest Lyapunov exponent of the raw iterate's loop, per environment step."""
    return mean_effect([float(one["exponent"].sel(pair=RAW)) for one in _seeds(evidence, task)])


PREDICTION = Prediction(
    id="N3",
    title="Horizon and Lyapunov exponent",
    statement="Neighbours' states part at the rate of the loop's largest Lyapunov exponent, and a small change of the "
    "return grows with the horizon accordingly, on every task.",
    criteria=tuple(
        Criterion(f"{name}, {task}", (0.7, 1.4), "1", functools.partial(effect, task=task))
        for name, effect in (
            ("rate of parting / exponent", rate_over_exponent),
            ("ln growth of a small change of the return / by the exponent", growth_over_theory),
        )
        for task in TASKS
    ),
    also=(
        Criterion(
            f"exponent of the spread in H, 100 to 1000, {STABLE}, seeds whose loop contracts",
            (-math.inf, 1.1),
            "≤ 1",
            long_slope,
        ),
        *(
            Criterion(
                f"ln growth of the spread over consecutive iterates / by the exponent, {task}",
                (0.7, 1.4),
                "1, while it is small",
                functools.partial(growth_over_theory, task=task, growth=functools.partial(amplification, average=RAW)),
            )
            for task in TASKS
        ),
        *(
            Criterion(f"largest exponent, {task}", (0.0, math.inf), "", functools.partial(exponent, task=task))
            for task in TASKS
        ),
    ),
    source="theory section 6; C.1, C.3",
)

"""N5: is the uniform average, α = 1, the best of the power averages once the start is forgotten?

Convex theory says so (A2): among γ_t = t^{−α}, α = 1 has the least variance once T ≫ e_0²/(η²σ²), and an average that
begins late has forgotten e_0 altogether. If a network's α = 1 loses from the start but not in the second half, it was
the bias; if it loses there too, the iterates still drift (A3). Every average is compared at the same updates, and α = 1
with the paper's 2/3 and with 0.8, which lies between the two.
"""

from __future__ import annotations

import functools
import math

from neural.predictions.arms import LATE, TASKS
from neural.predictions.decision import Criterion, Effect, Prediction, mean_effect
from neural.predictions.evidence import Evidence
from neural.predictions.spreads import expert_level, late_iterates, losses, mean_returns
from neural.statistics import RAW

UNIFORM = "Polyak"
OTHERS = {"2/3": "power 2/3", "0.8": "power 0.8"}
"""By α."""
MARGIN = 0.02
"""Of the expert's return, or of what averaging gains in loss: what a loss of α = 1 may be and still count as none."""


def return_difference(evidence: Evidence, *, other: str, ending: str = LATE, task: str = TASKS[0]) -> Effect:
    """Mean return of the uniform average less that of another, in units of the expert's return."""
    run = evidence[f"{task} base"]
    kept = late_iterates(run)
    difference = mean_returns(run, UNIFORM + ending) - mean_returns(run, other + ending)
    return mean_effect(difference[:, kept].mean(axis=1) / expert_level(run))


def loss_difference(evidence: Evidence, *, other: str, ending: str = LATE, task: str = TASKS[0]) -> Effect:
    """Loss of the uniform average less that of another, over what the latter gains on raw."""
    run = evidence[f"{task} base"]
    kept = late_iterates(run)
    uniform, power, raw = (losses(run, name)[:, kept].mean(axis=1) for name in (UNIFORM + ending, other + ending, RAW))
    return mean_effect((uniform - power) / (raw - power))


def _criteria(ending: str, where: str, in_return: str, in_loss: str) -> tuple[Criterion, ...]:
    """Of the return and the loss, against each of the others."""
    found = []
    for alpha, other in OTHERS.items():
        own = {"other": other, "ending": ending}
        name = f"averages of {where}: α = 1 less α = {alpha}"
        found += [
            Criterion(
                f"return, {name}, in expert returns",
                (-MARGIN, math.inf),
                in_return,
                functools.partial(return_difference, **own),
            ),
            Criterion(
                f"loss, {name}, in units of what the latter gains on raw",
                (-math.inf, MARGIN),
                in_loss,
                functools.partial(loss_difference, **own),
            ),
        ]
    return tuple(found)


PREDICTION = Prediction(
    id="N5",
    title="The best power average",
    statement="Among averages of rate t^(−α), α = 1 is best once the start is forgotten.",
    criteria=_criteria(LATE, "the second half", "≥ 0", "≤ 0"),
    also=_criteria("", "the whole run", "negative while e_0 is not forgotten", "positive while e_0 is not forgotten"),
    source="Polyak & Juditsky 1992; ledger A2 and A3",
)

"""N5: is the uniform average, α = 1, the best of the power averages once the start is forgotten?

Convex theory says so (A2): among γ_t = t^{−α}, α = 1 has the least variance once T ≫ e_0²/(η²σ²), and an average that
begins late has forgotten e_0 altogether. If a network's α = 1 loses from the start but not in the second half, it was
the bias; if it loses there too, the iterates still drift (A3). Every average is compared at the same updates.
"""

from __future__ import annotations

import functools
import math

from neural.predictions.arms import LATE, TASKS
from neural.predictions.decision import Criterion, Effect, Prediction, mean_effect
from neural.predictions.evidence import Evidence
from neural.predictions.spreads import expert_level, late_iterates, losses, mean_returns
from neural.statistics import RAW

UNIFORM, POWER = "Polyak", "power 2/3"
MARGIN = 0.02
"""Of the expert's return, or of what averaging gains in loss: what a loss of α = 1 may be and still count as none."""


def return_difference(evidence: Evidence, *, ending: str = LATE, task: str = TASKS[0]) -> Effect:
    """Mean return of the uniform average less that of α = 2/3, in units of the expert's return."""
    run = evidence[f"{task} base"]
    kept = late_iterates(run)
    difference = mean_returns(run, UNIFORM + ending) - mean_returns(run, POWER + ending)
    return mean_effect(difference[:, kept].mean(axis=1) / expert_level(run))


def loss_difference(evidence: Evidence, *, ending: str = LATE, task: str = TASKS[0]) -> Effect:
    """Loss of the uniform average less that of α = 2/3, over what the latter gains on raw."""
    run = evidence[f"{task} base"]
    kept = late_iterates(run)
    uniform, power, raw = (losses(run, name)[:, kept].mean(axis=1) for name in (UNIFORM + ending, POWER + ending, RAW))
    return mean_effect((uniform - power) / (raw - power))


PREDICTION = Prediction(
    id="N5",
    title="The best power average",
    statement="Among averages of rate t^(−α), α = 1 is best once the start is forgotten.",
    criteria=(
        Criterion(
            "return, averages of the second half: α = 1 less α = 2/3, in expert returns",
            (-MARGIN, math.inf),
            "≥ 0",
            return_difference,
        ),
        Criterion("loss, the same, in units of what α = 2/3 gains on raw", (-math.inf, MARGIN), "≤ 0", loss_difference),
    ),
    also=(
        Criterion(
            "return, averages of the whole run: α = 1 less α = 2/3",
            (-MARGIN, math.inf),
            "negative while e_0 is not forgotten",
            functools.partial(return_difference, ending=""),
        ),
        Criterion(
            "loss, the same, in units of what α = 2/3 gains on raw",
            (-math.inf, MARGIN),
            "positive while e_0 is not forgotten",
            functools.partial(loss_difference, ending=""),
        ),
    ),
    source="Polyak & Juditsky 1992; ledger A2 and A3",
)

"""N7: which interventions leave the spread of the return in place, and which remove it (the paper's claim).

The convex model gives no ground for the first half: curvature, noise, ∇J and weight decay all enter the variance. So it
is a claim of equivalence, judged by margins: a factor of two of the base's spread, each intervention by itself, lest
one that raises it and one that lowers it cancel. What reduces the variance of the iterates, a larger batch, a decayed
step or an average, has to reduce the spread to less than half, and not by making every policy fall.
"""

from __future__ import annotations

import functools
import math

import numpy as np

from neural.predictions.arms import DEFAULT, TASKS
from neural.predictions.decision import Criterion, Effect, Prediction, mean_effect
from neural.predictions.evidence import Evidence
from neural.predictions.n6_decay_or_average import gain
from neural.predictions.spreads import window_spread
from neural.statistics import RAW

FAMILIES = {
    "amount of data": ("episodes x 1/4", "episodes x 4"),
    "architecture": ("2 hidden layers", "tanh"),
    "width": ("width x 1/4", "width x 2"),
    "regularisers": ("weight decay 0.1", "dropout 0.1", "input noise 0.03"),
    "loss": ("Huber loss 0.1",),
}
"""Interventions of the catalogue that the claim says leave the spread in place."""
REDUCERS = {
    "batch x 16": ("batch x 16", RAW, "spaced"),
    "step decayed to 0": ("linear to 0", RAW, "consecutive"),
    f"average ({DEFAULT})": ("base", DEFAULT, "spaced"),
}
"""What reduces variance: arm, whose returns are read, and over which iterates; a decayed step is small at its end."""
MARGIN = 2.0
WINDOW = "spaced"


def against_base(evidence: Evidence, name: str, average: str = RAW, window: str = WINDOW) -> np.ndarray:
    """(seeds,) spread of an arm over that of the base of the same seed; spreads over iterates of one run."""
    task = TASKS[0]
    return window_spread(evidence[f"{task} {name}"], average, window) / window_spread(
        evidence[f"{task} base"], RAW, window
    )


def ratio(evidence: Evidence, *, arm: str, average: str = RAW, window: str = WINDOW) -> Effect:
    """Its geometric mean over seeds."""
    return mean_effect(against_base(evidence, arm, average, window), logarithmic=True)


PREDICTION = Prediction(
    id="N7",
    title="Interventions",
    statement="Dataset size, architecture, width and regularisers leave the spread of the return where it is, each "
    "within a factor of two; reducing the variance of the iterates removes it, and costs no return.",
    criteria=(
        *(
            Criterion(
                f"{name}: spread / base's",
                (1 / MARGIN, MARGIN),
                "1 (the paper)",
                functools.partial(ratio, arm=name),
            )
            for family in FAMILIES.values()
            for name in family
        ),
        *(
            Criterion(
                f"{name}: spread / base's",
                (0.0, 1 / MARGIN),
                "< ½",
                functools.partial(ratio, arm=arm, average=average, window=window),
            )
            for name, (arm, average, window) in REDUCERS.items()
        ),
        *(
            Criterion(
                f"{name}: return less base's, in expert returns",
                (0.0, math.inf),
                "≥ 0",
                functools.partial(gain, arm=f"{TASKS[0]} {arm}", average=average, window=window),
            )
            for name, (arm, average, window) in REDUCERS.items()
        ),
    ),
    also=tuple(
        Criterion(
            f"{name}: return less base's, in expert returns",
            (0.0, math.inf),
            "",
            functools.partial(gain, arm=f"{TASKS[0]} {name}", window=WINDOW),
        )
        for family in FAMILIES.values()
        for name in family
    ),
    source="Block et al. 2024, Figure 2 and abstract; margins are this project's",
)

"""N7: which interventions leave the spread of the return in place, and which remove it (the paper's claim).

The convex model gives no ground for the first half: curvature, noise, ∇J and weight decay all enter the variance. So it
is a claim of equivalence, judged by margins: a factor of two of the base's spread, by family. What reduces the variance
of the iterates, a larger batch, a decayed step or an average, has to reduce the spread to less than half.
"""

from __future__ import annotations

import functools

import numpy as np

from neural.predictions.arms import DEFAULT, TASKS
from neural.predictions.decision import Criterion, Effect, Prediction, mean_effect
from neural.predictions.evidence import Evidence
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
    "batch x 16": ("batch x 16", RAW),
    "step decayed to 0": ("linear to 0", RAW),
    f"average ({DEFAULT})": ("base", DEFAULT),
}
"""What reduces variance: arm, and whose returns are read."""
MARGIN = 2.0
WINDOW = "spaced"


def against_base(evidence: Evidence, name: str, average: str = RAW, window: str = WINDOW) -> np.ndarray:
    """(seeds,) spread of an arm over that of the base of the same seed; spreads over iterates of one run."""
    task = TASKS[0]
    return window_spread(evidence[f"{task} {name}"], average, window) / window_spread(
        evidence[f"{task} base"], RAW, window
    )


def family_ratio(evidence: Evidence, *, names: tuple[str, ...]) -> Effect:
    """Geometric mean over a family's interventions, then over seeds."""
    logs = np.mean([np.log(against_base(evidence, name)) for name in names], axis=0)
    return mean_effect(np.exp(logs), logarithmic=True)


def reduced_ratio(evidence: Evidence, *, arm: str, average: str, window: str = WINDOW) -> Effect:
    """The same of one arm."""
    return mean_effect(against_base(evidence, arm, average, window), logarithmic=True)


PREDICTION = Prediction(
    id="N7",
    title="Interventions",
    statement="Dataset size, architecture, width and regularisers leave the spread of the return where it is, within a "
    "factor of two; reducing the variance of the iterates removes it.",
    criteria=(
        *(
            Criterion(
                f"{family}: spread / base's",
                (1 / MARGIN, MARGIN),
                "1 (the paper)",
                functools.partial(family_ratio, names=names),
            )
            for family, names in FAMILIES.items()
        ),
        *(
            Criterion(
                f"{name}: spread / base's",
                (0.0, 1 / MARGIN),
                "< ½",
                functools.partial(reduced_ratio, arm=arm, average=average),
            )
            for name, (arm, average) in REDUCERS.items()
        ),
    ),
    source="Block et al. 2024, Figure 2 and abstract; margins are this project's",
)

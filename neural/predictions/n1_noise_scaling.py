"""N1: how spreads scale with the step size η and the batch b, for plain SGD.

Along a direction of curvature λ the stationary variance is ησ₁²/(bλ(2−ηλ)) (theory section 3), so that the excess loss
goes as η/b and, where ∇J ≠ 0, the spread of the return across seeds as √(η/b). In a window of n iterates it goes as
b^{−1/2} too, but in η with an exponent between 1 (nηλ ≪ 1: the window sees a random walk) and ½ (nηλ ≫ 1). The largest
of the steps are not small: by 1/(2−ηλ) the exact law of the measured spectrum has the excess loss go as η^1.2 over the
four of them, so that region is wider upwards.
"""

from __future__ import annotations

import functools

import numpy as np

from neural.predictions.arms import DEFAULT, SGD_BATCHES, SGD_STEPS, TASKS, sgd_name
from neural.predictions.decision import Criterion, Effect, Prediction
from neural.predictions.evidence import Evidence
from neural.predictions.spreads import exponent_by_seed, exponent_of_pooled, losses, mean_returns, window_spread

_MIDDLE = SGD_BATCHES[0][0]
"""Step size at which the batch is varied."""
STEP_ARMS = {step: sgd_name(step) for step in SGD_STEPS}
"""Arms by η, at one batch."""
BATCH_ARMS = {batch: sgd_name(step, batch) for step, batch in ((_MIDDLE, 1.0), *SGD_BATCHES) if step == _MIDDLE}
"""Arms by b, in multiples of the base's, at one step size."""


def _runs(evidence: Evidence, arms: dict[float, str]) -> list:
    return [evidence[f"{TASKS[0]} {name}"] for name in arms.values()]


def seed_exponent(evidence: Evidence, *, arms: dict[float, str]) -> Effect:
    """Exponent of the spread of the return across seeds."""
    return exponent_of_pooled(list(arms), [mean_returns(run) for run in _runs(evidence, arms)])


def window_exponent(evidence: Evidence, *, arms: dict[float, str]) -> Effect:
    """Exponent of the spread of the return over a window of consecutive iterates."""
    return exponent_by_seed(list(arms), [window_spread(run) for run in _runs(evidence, arms)])


def excess(run) -> np.ndarray:
    """(seeds,) loss of raw less that of the default average, over spaced iterates: what noise costs in one step."""
    return (losses(run) - losses(run, DEFAULT)).mean(axis=1)


def loss_exponent(evidence: Evidence, *, arms: dict[float, str]) -> Effect:
    """Exponent of the excess of the cloning loss."""
    return exponent_by_seed(list(arms), [excess(run) for run in _runs(evidence, arms)])


def _pair(name: str, effect, in_step, in_batch, theory: tuple[str, str]) -> tuple[Criterion, Criterion]:
    return (
        Criterion(f"{name}: exponent in η", in_step, theory[0], functools.partial(effect, arms=STEP_ARMS)),
        Criterion(f"{name}: exponent in b", in_batch, theory[1], functools.partial(effect, arms=BATCH_ARMS)),
    )


PREDICTION = Prediction(
    id="N1",
    title="Noise, step size and batch",
    statement="The spread of the return across seeds is ∝ √(η/b) for small η; over a window of consecutive iterates "
    "∝ b^(−1/2), and in η with an exponent between 1 and ½; the excess of the loss is ∝ η/b.",
    criteria=(
        *_pair("spread across seeds", seed_exponent, (0.25, 0.75), (-0.75, -0.25), ("½", "−½")),
        *_pair("spread in a window", window_exponent, (0.4, 1.1), (-0.75, -0.25), ("½ to 1", "−½")),
        *_pair("excess loss", loss_exponent, (0.7, 1.55), (-1.3, -0.7), ("1 to 1.25", "−1")),
    ),
    source="theory section 3; Goyal et al. 2017",
)

"""N2: the return swings to first order in the parameter noise, the loss to second, so the return swings far more.

Where ∇J ≠ 0 the change of the return is ∝ s and the excess of the loss ∝ s² for noise of size s. Relative spreads are
over the consecutive iterates of one run; the return's is divided by its mean, the loss's by its mean, and once by its
mean less the floor that no policy can be below, the variance of the expert's own actions.
"""

from __future__ import annotations

import functools
import math

import numpy as np

from neural.predictions.arms import TASKS
from neural.predictions.decision import Criterion, Effect, Prediction, mean_effect
from neural.predictions.evidence import Evidence
from neural.predictions.orders import order
from neural.predictions.spreads import losses, mean_returns

HORIZON = 50
"""Environment steps after which the order of the return is read: before the loop has amplified the change up to its
ceiling (N3)."""


def amplification(evidence: Evidence, *, above_floor: bool, window: str = "consecutive") -> Effect:
    """Relative spread of the return over that of the loss, raw, geometric mean over seeds."""
    run = evidence[f"{TASKS[0]} base"]
    returns, loss = mean_returns(run, window=window), losses(run, window=window)
    level = loss - float(run["loss_floor"]) if above_floor else loss
    swing = returns.std(axis=1, ddof=1) / np.abs(returns.mean(axis=1))
    return mean_effect(swing / (loss.std(axis=1, ddof=1) / level.mean(axis=1)), logarithmic=True)


def _powers(evidence: Evidence, what: str) -> np.ndarray:
    """(seeds,) power of the scale with which the return, or the loss, changes."""
    data = evidence[f"{TASKS[0]} base orders"]
    powers = []
    for _, one in data.groupby("seed", squeeze=True):
        own = one.squeeze("seed") if "seed" in one.dims else one
        if what == "return":
            change = own["return_swing"].sel(horizon=HORIZON).transpose("direction", "scale").values
            rounding = float(own["return_rounding"].sel(horizon=HORIZON))
        else:
            change, rounding = own["loss_excess"].transpose("direction", "scale").values, float(own["loss_rounding"])
        powers.append(order(own["scale"].values, change, rounding=rounding).power.value)
    return np.array(powers)


def power(evidence: Evidence, *, what: str) -> Effect:
    """Power with which the return ("return") or the loss ("loss") changes with the noise, mean over seeds."""
    return mean_effect(_powers(evidence, what))


PREDICTION = Prediction(
    id="N2",
    title="Orders in the noise",
    statement="The return changes to first order in the parameter noise, the loss to second; relative to its level the "
    "return swings far more.",
    criteria=(
        Criterion(
            "relative spread of the return / of the loss",
            (3.0, math.inf),
            "≫ 1",
            functools.partial(amplification, above_floor=False),
        ),
        Criterion(
            "the same, the loss less its floor",
            (1.0, math.inf),
            "> 1",
            functools.partial(amplification, above_floor=True),
        ),
        Criterion(
            f"power of the noise in the return of {HORIZON} steps",
            (0.75, 1.25),
            "1",
            functools.partial(power, what="return"),
        ),
        Criterion("power of the noise in the loss", (1.75, 2.25), "2", functools.partial(power, what="loss")),
    ),
    source="theory sections 2 and 4",
)

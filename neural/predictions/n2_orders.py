"""N2: the return swings to first order in the parameter noise, the loss to second, so the return swings far more.

Where ∇J ≠ 0 the change of the return is ∝ s and the excess of the loss ∝ s² for noise of size s. Relative spreads are
over the consecutive iterates of one run; the return's is divided by its mean, the loss's by its mean, and once by its
mean less the floor that no policy can be below, the variance of the expert's own actions.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import numpy as np
import xarray as xr

from neural.predictions.arms import TASKS
from neural.predictions.decision import Criterion, Effect, Prediction, mean_effect
from neural.predictions.evidence import Evidence
from neural.predictions.orders import Order, loss_order, return_order
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


def power(evidence: Evidence, *, what: Callable[[xr.Dataset], Order]) -> Effect:
    """Power of the noise with which the return or the loss changes, mean over seeds."""
    data = evidence[f"{TASKS[0]} base orders"]
    return mean_effect([what(data.isel(seed=i)).power.value for i in range(data.sizes["seed"])])


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
            functools.partial(power, what=functools.partial(return_order, horizon=HORIZON)),
        ),
        Criterion("power of the noise in the loss", (1.75, 2.25), "2", functools.partial(power, what=loss_order)),
    ),
    source="theory sections 2 and 4",
)

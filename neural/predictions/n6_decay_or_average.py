"""N6: a decayed step and an average both work; which is better, and by how much, the exact law says.

At equal budget: the base's constant step with an average of it, against a linear decay to zero. Both have to bring the
return up from raw's, and to about the same level; the difference of their losses is compared with that of the exact
law (A5, C.6) for the spectrum measured at the end of the constant run.
"""

from __future__ import annotations

import functools
import math

import numpy as np

from gvatheory.averaging import LastIterate
from gvatheory.schedules import Linear
from neural.predictions.arms import DECAYS, DEFAULT, TASKS
from neural.predictions.decision import Criterion, Effect, Prediction, mean_effect
from neural.predictions.evidence import Evidence
from neural.predictions.linear_theory import predicted_loss
from neural.predictions.noise_spectra import spectra
from neural.predictions.spreads import level, losses
from neural.statistics import RAW

MARGIN = 0.05
"""Of the expert's return: within it two returns count as equal."""
BASE, LINEAR = f"{TASKS[0]} base", f"{TASKS[0]} {DECAYS[0]}"


def gain(evidence: Evidence, *, arm: str, average: str = RAW, window: str = "consecutive") -> Effect:
    """Return over a window less that of the base's raw iterates, in expert returns."""
    return mean_effect(level(evidence[arm], average, window) - level(evidence[BASE], RAW, window))


def difference(evidence: Evidence, *, arm: str = LINEAR) -> Effect:
    """Return of the decayed step less that of the average at the constant one."""
    return mean_effect(level(evidence[arm]) - level(evidence[BASE], DEFAULT))


def loss_surprise(evidence: Evidence) -> Effect:
    """Loss of the linear decay less that of the average, seen less predicted, in units of what averaging gains."""
    base, decayed = evidence[BASE], evidence[LINEAR]
    raw, averaged = (losses(base, name, "consecutive").mean(axis=1) for name in (RAW, DEFAULT))
    seen = (losses(decayed, RAW, "consecutive").mean(axis=1) - averaged) / (raw - averaged)
    of = spectra(evidence, BASE)
    e = of.experiment
    peak = float(e.schedule.step_sizes(1)[0])
    predicted = []
    for spectrum in of.by_seed:
        constant, ema = (predicted_loss(spectrum, e.schedule, a, e.steps) for a in (LastIterate(), e.bank[DEFAULT]))
        decay = predicted_loss(spectrum, Linear(peak, e.steps), LastIterate(), e.steps)
        predicted.append((decay - ema) / (constant - ema))
    return mean_effect(seen - np.array(predicted))


PREDICTION = Prediction(
    id="N6",
    title="Decay or average",
    statement="A decayed step and an average at a constant step both remove the noise and end at the same return; the "
    "difference of their losses is that of the exact law.",
    criteria=(
        Criterion(
            "return of the linear decay less raw's, in expert returns",
            (0.0, math.inf),
            "> 0",
            functools.partial(gain, arm=LINEAR, average=RAW),
        ),
        Criterion(
            f"return of {DEFAULT} less raw's",
            (0.0, math.inf),
            "> 0",
            functools.partial(gain, arm=BASE, average=DEFAULT),
        ),
        Criterion("return of the linear decay less that of the average", (-MARGIN, MARGIN), "0", difference),
        Criterion(
            "loss of the decay less the average's, seen less predicted, over what averaging gains",
            (-0.15, 0.15),
            "0",
            loss_surprise,
        ),
    ),
    also=tuple(
        Criterion(
            f"return of '{name}' less that of the average",
            (-MARGIN, MARGIN),
            "0",
            functools.partial(difference, arm=f"{TASKS[0]} {name}"),
        )
        for name in DECAYS[1:]
    ),
    source="ledger A5, C.6; the paper's claim that EMA can replace decay",
)

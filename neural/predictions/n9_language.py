"""N9: tiny changes of a language model's loss, and continuations that split all the same.

A greedy continuation splits where the gap of the two largest logits is below the change that an update makes: per
token with the probability f(0) E|D|/2 (`neural.language.hazards`). The time to the split thus goes as one over the
distance of the models, not as its logarithm, as in a chaotic continuous system. Where prompts differ in their hazard
the pooled one declines, by an amount that the theory does not fix: that decides nothing. Runs on the story grammar; the
seeds were not seen before the regions were fixed.
"""

from __future__ import annotations

import functools
import math

from neural.predictions.decision import Criterion, Effect, Prediction, mean_effect
from neural.predictions.evidence import Evidence
from neural.statistics import RAW

DATASET = "language"
AVERAGE = "EMA 0.01"


def measured(evidence: Evidence, *, name: str, average: str | None = RAW, logarithmic: bool = False) -> Effect:
    """A measure of `language_data`, mean over seeds."""
    values = evidence[DATASET][name]
    return mean_effect((values if average is None else values.sel(average=average)).values, logarithmic=logarithmic)


PREDICTION = Prediction(
    id="N9",
    title="Continuations of a language model",
    statement="Updates that hardly change the loss split greedy continuations; per token with probability f(0)E|D|/2; "
    "the time to the split goes as one over the distance.",
    criteria=(
        Criterion(
            "median relative change of the loss per update",
            (0.0, 0.005),
            "small",
            functools.partial(measured, name="loss_change", logarithmic=True),
        ),
        Criterion(
            "continuations of 150 tokens that differ, raw",
            (0.5, math.inf),
            "most",
            functools.partial(measured, name="differing"),
        ),
        Criterion(
            "hazard, predicted / seen, raw",
            (0.5, 2.0),
            "1",
            functools.partial(measured, name="ratio", logarithmic=True),
        ),
        Criterion(
            "exponent of the hazard in the distance",
            (0.7, 1.3),
            "1",
            functools.partial(measured, name="distance_exponent", average=None),
        ),
        Criterion(
            "advantage in log-likelihood of the power law over the logarithmic one, per prompt",
            (0.0, math.inf),
            "> 0",
            functools.partial(measured, name="distance_advantage", average=None),
        ),
    ),
    also=(
        Criterion(
            "pooled hazard, late / early, raw",
            (0.0, 1.0),
            "< 1, by as much as the prompts' hazards differ",
            functools.partial(measured, name="late_to_early", logarithmic=True),
        ),
        Criterion(
            f"continuations that differ, {AVERAGE}",
            (0.0, 0.5),
            "",
            functools.partial(measured, name="differing", average=AVERAGE),
        ),
        Criterion(
            f"hazard, predicted / seen, {AVERAGE}",
            (0.5, 2.0),
            "1",
            functools.partial(measured, name="ratio", average=AVERAGE, logarithmic=True),
        ),
    ),
    source="theory section 6; the paper's Figure 4",
)

"""The ten predictions, and all of them judged at once."""

from __future__ import annotations

from neural.predictions import (
    n1_noise_scaling,
    n2_orders,
    n3_horizon,
    n4_variance_factors,
    n5_power_averages,
    n6_decay_or_average,
    n7_interventions,
    n8_falls,
    n9_language,
    n10_gradient_noise,
)
from neural.predictions.decision import Prediction, Verdict, judge
from neural.predictions.evidence import Evidence

PREDICTIONS: tuple[Prediction, ...] = tuple(
    module.PREDICTION
    for module in (
        n1_noise_scaling,
        n2_orders,
        n3_horizon,
        n4_variance_factors,
        n5_power_averages,
        n6_decay_or_average,
        n7_interventions,
        n8_falls,
        n9_language,
        n10_gradient_noise,
    )
)


def judge_all(evidence: Evidence, ids: tuple[str, ...] = ()) -> dict[str, Verdict | FileNotFoundError]:
    """Verdicts by id; in place of one whose runs are not there, what is missing.

    Args:
        evidence: of one set of seeds.
        ids: of the predictions wanted; all if empty.

    Raises:
        ValueError: naming ids that there are not.
    """
    known = {prediction.id: prediction for prediction in PREDICTIONS}
    unknown = [name for name in ids if name not in known]
    if unknown:
        raise ValueError(f"ids must be among {list(known)}, got {unknown}")
    found: dict[str, Verdict | FileNotFoundError] = {}
    for name in ids or known:
        try:
            found[name] = judge(known[name], evidence)
        except FileNotFoundError as e:
            found[name] = e
    return found


def agree(first: Verdict, second: Verdict) -> bool:
    """Whether a second set of seeds bears a verdict out: it does not say the opposite."""
    return {first.outcome, second.outcome} != {"holds", "fails"}

"""How far neighbours of a loop are apart after h steps, and what that does to a return (prediction N3).

In a loop of largest Lyapunov exponent Λ, let a neighbour's other actions push it ε away at every step. Along the
growing direction their distance obeys

    d_{h+1} = e^Λ d_h + ε,   d_0 = 0,   hence   d_h = ε (e^{Λh} − 1)/(e^Λ − 1),

which is εh if Λ = 0 and stays below ε/(1 − e^Λ) if Λ < 0. A reward of constant slope c along that direction changes the
return of H steps by c Σ_{h<H} d_h. Both hold to first order, as long as d is small beside the attractor.
"""

import numpy as np

from gvatheory import validation
from gvatheory.validation import Numbers

_SHORT = 1.0  # exponents up to here are far from overflow


def growth_law(exponent: Numbers, steps: Numbers) -> np.ndarray:
    """ln(d_h/ε) = ln Σ_{i<h} e^{Λi} = ln[(e^{Λh} − 1)/(e^Λ − 1)], elementwise; ln h at Λ = 0.

    As max(Λ, 0)(h − 1) plus the same law of −|Λ|, so that neither large nor tiny Λh overflows or cancels.

    Args:
        exponent: Λ, per step.
        steps: h > 0; between whole steps the formula is used as it stands.

    Raises:
        ValueError: if a value is not finite or `steps` not positive.
    """
    rate, h = _broadcast("exponent", exponent, "steps", steps)
    _require_positive("steps", h)
    size = np.abs(rate)
    marginal = size < np.finfo(np.float64).tiny
    safe = np.where(marginal, 1.0, size)
    with np.errstate(over="ignore"):  # e^{−∞} is 0, as it should be
        shares = np.expm1(-safe * h) / np.expm1(-safe)
    return np.asarray(np.maximum(rate, 0.0) * (h - 1.0) + np.log(np.where(marginal, h, shares)))


def return_growth_law(exponent: float, horizons: Numbers) -> np.ndarray:
    """ln(Σ_{h<H} d_h/ε): growth over the horizon of a return's change; ln(H(H − 1)/2) at Λ = 0.

    Its slope against ln H tends to 2 in a marginal and to 1 in a stable loop, whose distance saturates while every
    further step costs its share. (With a reward that is flat where a stable loop rests, the return saturates too.)

    Args:
        exponent: Λ, per step.
        horizons: whole numbers H ≥ 2; at H = 1 the actions have not reached a state yet.

    Raises:
        ValueError: if the exponent is not finite or a horizon out of range.
    """
    validation.real("exponent", exponent, -np.inf, np.inf)
    H = validation.array("horizons", horizons, 1)
    if not H.size or np.any(H < 2) or np.any(np.floor(H) != H):
        raise ValueError(f"horizons must be whole numbers of at least 2, got {horizons!r}")
    sums = np.logaddexp.accumulate(growth_law(exponent, np.arange(1, int(H.max()))))
    return np.asarray(sums[H.astype(np.int64) - 2])


def parting_time(exponent: Numbers, distance: Numbers, threshold: Numbers) -> np.ndarray:
    """Steps after which d_h = D: ln(1 + (e^Λ − 1) D/ε)/Λ, elementwise; D/ε at Λ = 0.

    Solved from d_h = ε (e^{Λh} − 1)/(e^Λ − 1) = D. It counts from equal states: ε is what a *step* puts between the
    neighbours (d_1 = ε), D the distance at which they count as parted, so D/ε is large where policies are close. A
    stable loop gets no further than ε/(1 − e^Λ): infinite for D at or above that.

    Args:
        exponent: Λ, per step.
        distance: ε > 0, of the states after the first step.
        threshold: D > 0, in the same unit.

    Raises:
        ValueError: if a value is not finite, or a distance or threshold not positive.
    """
    rate, near = _broadcast("exponent", exponent, "distance", distance)
    rate, far = _broadcast("exponent", rate, "threshold", threshold)
    _require_positive("distance", near)
    _require_positive("threshold", far)
    ratio = far / near
    marginal = np.abs(rate) < np.finfo(np.float64).tiny
    slow = np.where(marginal | (rate > _SHORT), 1.0, rate)
    fast = np.where(rate > _SHORT, rate, 1.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        reached = np.log1p(np.maximum(np.expm1(slow) * ratio, -1.0)) / slow
        # 1 + (e^Λ − 1) r without e^Λ, which may be beyond float64.
        far_off = np.logaddexp(0.0, fast + np.log(-np.expm1(-fast)) + np.log(ratio)) / fast
    return np.where(marginal, ratio, np.where(rate > _SHORT, far_off, reached))


def _broadcast(first: str, one: Numbers, second: str, other: Numbers) -> tuple[np.ndarray, np.ndarray]:
    """Both as finite float64 arrays of one shape."""
    a, b = validation.array(first, one, 8), validation.array(second, other, 8)
    try:
        a, b = np.broadcast_arrays(a, b)
    except ValueError:
        raise ValueError(f"{first} {a.shape} and {second} {b.shape} must broadcast") from None
    return a, b


def _require_positive(name: str, values: np.ndarray) -> None:
    if np.any(values <= 0):
        raise ValueError(f"{name} must be above 0, got {values.min():g}")

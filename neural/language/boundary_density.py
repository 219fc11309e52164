"""Density at its lower end: of gaps between two logits at zero, where continuations split.

An ordinary kernel estimate at the end of the support sees half of its mass and is off by a factor of two. The linear
boundary kernel K(u) = 6 (1 − 2u)(1 − u) on [0, 1] has ∫K = 1 and ∫uK = 0, so that the bias is of second order again:
−h² f''(0)/20; its variance is 4.8 f(0)/(N h). It is the local linear one of the triangular kernel, the best there at a
boundary (Cheng, Fan & Marron 1997).
"""

from __future__ import annotations

import math

import numpy as np

from gvatheory import validation


def boundary_kernel(values: np.ndarray, bandwidth: float) -> np.ndarray:
    """K(x/h)/h of values x ≥ 0, of the same shape: its mean estimates the density at zero.

    Raises:
        ValueError: if the bandwidth is not positive.
    """
    validation.positive("bandwidth", bandwidth)
    u = np.asarray(values, dtype=np.float64) / bandwidth
    return np.where(u < 1.0, 6.0 * (1.0 - 2.0 * u) * (1.0 - u), 0.0) / bandwidth


def boundary_bandwidth(values: np.ndarray, independent: float) -> float:
    """h = s (480/N)^{1/5}, which minimises the mean squared error for an exponential density of scale s.

    For f(x) = e^{−x/s}/s it is (h²/(20 s³))² + 4.8/(N h s). The scale is taken from the median, s = median/ln 2, as
    logit gaps have heavier tails.

    Args:
        values: (...) all of them ≥ 0, with a positive median.
        independent: N, how many of them count as independent, > 0.

    Raises:
        ValueError: if an argument is out of range.
    """
    validation.positive("independent", independent)
    middle = float(np.median(values)) if np.size(values) else math.nan
    if not (np.isfinite(middle) and middle > 0):
        raise ValueError(f"values must be non-negative with a positive median, got the median {middle!r}")
    return middle / math.log(2.0) * (480.0 / independent) ** 0.2

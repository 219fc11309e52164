"""Standard errors and intervals from estimates that leave out one independent unit at a time (Tukey 1958)."""

from __future__ import annotations

import numpy as np
from scipy.special import stdtrit


def standard_error(left_out: np.ndarray) -> np.ndarray:
    """√((n−1)/n Σ (θ_i − θ̄)²) over axis 0 of the n estimates θ_i that lack unit i; NaN where n is 1.

    Right for smooth functions of means over independent units, ratios among them; not for medians or maxima.
    """
    n = len(left_out)
    if n < 2:
        return np.full(left_out.shape[1:], np.nan)
    return np.sqrt((n - 1) / n * np.sum((left_out - left_out.mean(axis=0)) ** 2, axis=0))


def interval(
    value: np.ndarray | float, error: np.ndarray | float, units: int, level: float = 0.95
) -> tuple[np.ndarray, np.ndarray]:
    """Two-sided interval value ∓ t·error at that level, Student's t with units − 1 degrees of freedom."""
    reach = stdtrit(max(units - 1, 1), 0.5 * (1 + level)) * np.asarray(error)
    return value - reach, value + reach


def ratio(totals: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Σ totals / Σ counts over units (axis 0) and its standard error.

    Args:
        totals: (n, ...) sum within each unit.
        counts: of the same number of dimensions, how many were summed; no unit may hold them all if n > 1.
    """
    total, count = totals.sum(axis=0), counts.sum(axis=0)
    if len(totals) < 2:
        return total / count, np.full(np.broadcast_shapes(total.shape, count.shape), np.nan)
    return total / count, standard_error((total - totals) / (count - counts))

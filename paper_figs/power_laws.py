"""Exponents of simulated laws: weighted least squares on the log scale, with an interval.

A power of the horizon or of the number of steps is a limit; over the range of a figure the exact law has an exponent of
its own. A fit is therefore shown beside both: the limit, and the same fit through the exact values.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from gvatheory import validation
from paper_figs.simulated_points import Z


@dataclasses.dataclass(frozen=True)
class Slope:
    """A slope and half the width of its interval."""

    value: float
    half: float


def fit_slope(x: np.ndarray, y: np.ndarray, standard_errors: np.ndarray) -> Slope:
    """Weighted least-squares slope of y over x; the interval is that of independent y of known standard errors.

    Args:
        x, y: (n,), n ≥ 2, x not all equal.
        standard_errors: (n,), each > 0.

    Raises:
        ValueError: otherwise.
    """
    x, y, errors = (
        validation.array(name, v, 1) for name, v in (("x", x), ("y", y), ("standard_errors", standard_errors))
    )
    if not (x.shape == y.shape == errors.shape and x.size >= 2 and np.ptp(x) > 0):
        raise ValueError(f"x, y and standard_errors must be equally many, x not all equal, got {x}, {y}, {errors}")
    if np.any(errors <= 0):
        raise ValueError(f"standard_errors must be positive, got {errors}")
    weights = errors**-2.0
    centred = x - np.average(x, weights=weights)
    information = float(weights @ centred**2)
    return Slope(float((weights * centred) @ y) / information, Z / float(np.sqrt(information)))


def fit_power(x: np.ndarray, values: np.ndarray, relative_errors: np.ndarray) -> Slope:
    """Exponent p of values ∝ x^p: `fit_slope` of the logarithms, whose standard errors are the relative ones.

    Raises:
        ValueError: if x or a value is not positive, or as `fit_slope`.
    """
    for name, v in (("x", x), ("values", values)):
        if np.any(np.asarray(v) <= 0):
            raise ValueError(f"{name} must be positive, got {v}")
    return fit_slope(np.log(x), np.log(values), relative_errors)


def signed(slope: float, half: float | None = None) -> str:
    """A slope as text, with a true minus sign: "−0.984 ± 0.021", or "−0.98" without an interval."""
    text = f"{slope:.2f}" if half is None else f"{slope:.3f} ± {half:.3f}"
    return "0" if text in ("0.00", "-0.00") else text.replace("-", "−")

"""Normal probabilities: both sides of a threshold, and two jointly normal variables below theirs."""

from typing import Any

import jax.scipy.special
import numpy as np
import scipy.special
from jaxtyping import Float
from scipy.special import ndtr, owens_t

from gvatheory.validation import Numbers, namespace

NODES, WEIGHTS = (0.5 * v for v in np.polynomial.legendre.leggauss(40))
NODES = NODES + 0.5
"""Gauss-Legendre nodes and weights on [0, 1]."""


def normal_cdf(x: Any) -> Any:
    """Φ(x) of a number or an array; SciPy's for NumPy, JAX's (traceable) for JAX values."""
    return (scipy.special if namespace(x) is np else jax.scipy.special).ndtr(x)


def sides(margin: Any, variance: Any) -> tuple[Any, Any]:
    """P(x ≤ margin) and P(x > margin), each with its own digits, for x ~ N(0, variance); scalars, traceable.

    A variance of zero (or below, by rounding) puts all of x at 0.
    """
    xp = namespace(margin, variance)
    fixed = variance <= 0
    with np.errstate(over="ignore"):  # infinitely many deviations away is certain
        u = margin / xp.sqrt(xp.where(fixed, 1.0, variance))
    u = xp.where(fixed, xp.where(margin >= 0, np.inf, -np.inf), u)
    return normal_cdf(u), normal_cdf(-u)


def bivariate_cdf(x: Numbers, y: Numbers, r: Numbers) -> Float[np.ndarray, "..."]:
    """Φ₂(x, y; r) = P(X ≤ x, Y ≤ y) for standard normal X, Y of correlation r.

    By Owen's T function (Owen, 1956), which is T(h, a) = Φ(h)/2 − C(h, a) for h ≤ 0 ≤ a; where the subtraction would
    cancel, C itself is integrated. So small probabilities keep their digits: checked against mpmath quadrature to 1e-10
    relative, down to 1e-180.

    Args:
        x, y: thresholds, infinite allowed; broadcast against each other and r.
        r: in [−1, 1].

    Returns:
        the probabilities, of the common shape.

    Raises:
        ValueError: if r leaves [−1, 1] or a value is NaN.
    """
    x, y, r = np.broadcast_arrays(*(np.asarray(v, dtype=np.float64) for v in (x, y, r)))
    if not np.all(np.abs(r) <= 1):
        raise ValueError(f"r must be in [-1, 1], got {r!r}")
    if np.any(np.isnan(x) | np.isnan(y)):
        raise ValueError(f"x and y must not be NaN, got {x!r} and {y!r}")
    flat = [v.reshape(-1) for v in (x, y, 1.0 - r, 1.0 + r)]
    return bivariate_cdf_by_gaps(*flat).reshape(x.shape)


def bivariate_cdf_by_gaps(
    x: Float[np.ndarray, " n"],
    y: Float[np.ndarray, " n"],
    below: Float[np.ndarray, " n"],
    above: Float[np.ndarray, " n"],
) -> Float[np.ndarray, " n"]:
    """Φ₂(x, y; r) as `bivariate_cdf`, with r given by below = 1 − r and above = 1 + r, either of which may be tiny."""
    turned = (x > 0) != (y > 0)
    h, k = -np.abs(x), -np.abs(y)
    whole, rest = _both_tails(h, k, np.where(turned, above, below), np.where(turned, below, above))
    low = ndtr(np.where(x <= 0, x, y))
    positive = (1.0 - ndtr(h)) - (ndtr(k) - (whole + rest))
    value = np.where(turned, (low - whole) - rest, np.where(x <= 0, whole + rest, positive))
    return np.clip(value, 0.0, ndtr(np.minimum(x, y)))


def _both_tails(h: np.ndarray, k: np.ndarray, below: np.ndarray, above: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Φ₂(h, k; r) for h, k ≤ 0 as a sum of two: whole tail probabilities Φ(h) or Φ(k), and the corners' remainder.

    With A_h = (rh − k)/√(1−r²): C(h, A_h) + C(k, A_k), where a negative A, possible for one of them, stands for
    Φ(h) − C(h, −A_h).
    """
    root = np.sqrt(below * above)
    regular = np.isfinite(h) & np.isfinite(k) & (root > 0)
    x, y, root = np.where(regular, h, -1.0), np.where(regular, k, -1.0), np.where(regular, root, 1.0)
    whole, rest = np.zeros_like(x), np.zeros_like(x)
    for one, other in ((x, y), (y, x)):
        # rh − k without the cancellation at h ≈ k, r ≈ 1, nor the one at h ≈ −k, r ≈ −1.
        reach = np.where(below < 1, (one - other) - below * one, above * one - (one + other)) / root
        sign = np.where(reach < 0, -1.0, 1.0)
        whole += np.where(reach < 0, ndtr(one), 0.0)
        rest += sign * _corner(one, np.abs(reach))
    both_zero = (x == 0) & (y == 0)
    rest = np.where(both_zero, np.arctan2(np.sqrt(above), np.sqrt(below)) / np.pi, rest)
    limit = np.where(np.isfinite(h) & np.isfinite(k) & (below < 1), ndtr(np.minimum(h, k)), 0.0)  # r = ±1 or infinite
    return np.where(regular, np.where(both_zero, 0.0, whole), limit), np.where(regular, rest, 0.0)


def _corner(h: np.ndarray, reach: np.ndarray) -> np.ndarray:
    """C = Φ(h)/2 − T(h, reach/|h|) for h ≤ 0 ≤ reach; zero at h = 0 < reach.

    In v: |h| exp(−(h² + reach²)/2)/2π · ∫ exp(−(v² − reach²)/2)/(h² + v²) dv over v > reach, of positive terms alone,
    cut where the integrand has fallen by e^−40.
    """
    with np.errstate(divide="ignore", invalid="ignore", over="ignore", under="ignore"):
        plain = 0.5 * ndtr(h) - owens_t(h, np.where(h < 0, reach / -h, np.inf))
        square = h**2 + reach**2
        length = 80.0 / (np.sqrt(reach**2 + 80.0) + reach)
        v = reach[..., None] + length[..., None] * NODES
        terms = np.exp(-0.5 * (v - reach[..., None]) * (v + reach[..., None])) / (h[..., None] ** 2 + v**2)
        tail = -h * np.exp(-0.5 * square) / (2.0 * np.pi) * length * (terms @ WEIGHTS)
    return np.where(square < 2.0, plain, np.where(square < 1500.0, tail, 0.0))

"""Squared norm of a Gaussian vector: probability and moments below a threshold (generalised noncentral χ²).

For e ~ N(m, S) with eigenvalues λ_j of S and components μ_j of m along them, q = ‖e‖² has the Laplace transform

    L(s) = E exp(−s q) = Π_j (1 + 2λ_j s)^{−1/2} exp(−μ_j² s / (1 + 2λ_j s)),

and P(q ≤ c), E[q 1{q ≤ c}], E[q² 1{q ≤ c}] are the inverse transforms of L/s, −L'/s, L''/s at c. They are integrated
along a curve through the saddle point, where the integrand neither oscillates nor cancels, so small probabilities keep
their relative accuracy and any mixture of scales, singular S included, is allowed. Checked against SciPy's noncentral
χ², mpmath quadrature and simulation (tests/theory/test_rewards.py).
"""

import dataclasses
from collections.abc import Callable
from typing import cast

import numpy as np
from scipy.optimize import brentq

from gvatheory import validation
from gvatheory.validation import Values

_NODE_STEPS = (0.1, 0.05, 0.025, 0.0125, 0.00625)
_RELATIVE_TOLERANCE = 1e-11


@dataclasses.dataclass(frozen=True)
class TruncatedMoments:
    """Moments of q = ‖e‖² over the event q ≤ c.

    Attributes:
        inside: P(q ≤ c).
        outside: P(q > c), computed on its own so that small values keep their digits.
        first: E[q 1{q ≤ c}].
        second: E[q² 1{q ≤ c}].
    """

    inside: float
    outside: float
    first: float
    second: float


@dataclasses.dataclass(frozen=True)
class _Transform:
    """Logarithm of e^{sc} L(s) and its derivatives, for distinct variances `lam` > 0, each `count` times, with the sum
    `mu2` of the squared means along its directions."""

    lam: np.ndarray
    count: np.ndarray
    mu2: np.ndarray
    c: float

    def slope(self, s: float) -> float:
        d = 1.0 + 2.0 * self.lam * s
        return float(self.c - np.sum(self.count * self.lam / d + self.mu2 / d**2) - 1.0 / s)

    def bends(self, s: float) -> tuple[float, float]:
        """Second and third derivative of log L at a real s; without the pole's, which is only near the contour."""
        r = self.lam / (1.0 + 2.0 * self.lam * s)
        n = self.mu2 / (1.0 + 2.0 * self.lam * s) ** 2
        return float(np.sum(2.0 * self.count * r**2 + 4.0 * r * n)), -float(
            np.sum(8.0 * self.count * r**3 + 24.0 * r**2 * n)
        )

    def log(self, s: np.ndarray) -> np.ndarray:
        """s c + log L(s) at complex s, (n,); the factor 1/s is left to the caller."""
        d = 1.0 + 2.0 * self.lam * s[:, None]
        return s * self.c - np.sum(0.5 * self.count * np.log(d) + self.mu2 * s[:, None] / d, axis=1)

    def ratios(self, s: np.ndarray) -> np.ndarray:
        """1, −L'/L and L''/L at complex s, (3, n)."""
        d = 1.0 + 2.0 * self.lam * s[:, None]
        first = np.sum(self.count * self.lam / d + self.mu2 / d**2, axis=1)
        fall = np.sum(2.0 * self.count * self.lam**2 / d**2 + 4.0 * self.lam * self.mu2 / d**3, axis=1)
        return np.stack([np.ones_like(s), first, first**2 + fall])


def truncated_moments(mean: Values, covariance: Values, threshold: float) -> TruncatedMoments:
    """Probability and moments of q = ‖e‖², e ~ N(mean, covariance), over q ≤ threshold.

    Args:
        mean: (d,).
        covariance: (d, d), symmetric PSD, singular allowed.
        threshold: c > 0, in squared units of e.

    Returns:
        the four numbers, to about 1e-10 relative.

    Raises:
        ValueError: if the threshold is not positive.
        ArithmeticError: if the contour integral does not settle to 1e-11.
    """
    validation.positive("threshold", threshold)
    mean, covariance = np.asarray(mean), np.asarray(covariance)
    lam, vectors = np.linalg.eigh(covariance)
    with np.errstate(over="ignore"):  # infinitely far outside is outside
        mu2 = (vectors.T @ mean) ** 2
    # Directions whose spread is lost in rounding, of the other variances or of q itself, only shift q.
    random = lam > max(1e-16 * lam.max(initial=0.0), 1e-31 * max(np.sum(mu2), threshold))
    shift = float(np.sum(mu2[~random]))
    c = threshold - shift
    if c <= 0 or not random.any():
        if shift > threshold or random.any():
            return TruncatedMoments(0.0, 1.0, 0.0, 0.0)
        return TruncatedMoments(1.0, 0.0, shift, shift**2)
    # Scaled to c = 1, so that every tolerance below is relative.
    distinct, which, count = np.unique(lam[random], return_inverse=True, return_counts=True)
    transform = _Transform(distinct / c, count, np.bincount(which, weights=mu2[random]) / c, 1.0)
    whole = np.real(transform.ratios(np.zeros(1))[:, 0])  # 1, E q, E q²
    if whole[1] > 1.0:
        parts = _invert(transform, _right_saddle(transform))
        outside = 1.0 - parts[0]
    else:
        # Left of the pole at s = 0 the integral gives minus the part above the threshold.
        above = -_invert(transform, _left_saddle(transform))
        parts = whole - above
        outside = above[0]
    inside, q1, q2 = parts * np.array([1.0, c, c**2])
    return TruncatedMoments(
        float(inside), float(outside), float(shift * inside + q1), float(shift**2 * inside + 2.0 * shift * q1 + q2)
    )


def _root(function: Callable[[float], float], low: float, high: float) -> float:
    return cast(float, brentq(function, low, high, xtol=1e-300, rtol=np.float64(1e-12)))


def _right_saddle(f: _Transform) -> float:
    """Stationary point on s > 0, where the log integrand is convex."""
    high = 1.0 / f.c
    while f.slope(high) < 0:
        high *= 4.0
    low = high
    while f.slope(low) > 0:
        low /= 4.0
    return _root(f.slope, low, high) if low < high else low


def _left_saddle(f: _Transform) -> float:
    """Stationary point between the first singularity −1/(2 λ_max) and the pole at 0."""
    edge = -0.5 / f.lam.max()
    low, high = 0.5, 0.5  # shares of the way from 0 to the edge
    while f.slope(edge * high) < 0:
        high *= 0.25
    while f.slope(edge * low) > 0 and 1.0 - low > 1e-15:
        low = 1.0 - 0.25 * (1.0 - low)
    if f.slope(edge * low) > 0:
        return edge * low
    return edge * _root(lambda share: f.slope(edge * share), high, low)


def _invert(f: _Transform, saddle: float) -> np.ndarray:
    """(1/2πi) ∫ e^{sc} L(s)/s · (1, −L'/L, L''/L) ds along a curve through `saddle`, (3,)."""
    second, third = f.bends(saddle)
    width = (second + saddle**-2) ** -0.5
    # This bend keeps log L real to third order, as the steepest path does. Far out the path turns into a 45° wedge, so
    # that it never runs close to the essential singularities of small variances far down the negative axis.
    bend = third / (6.0 * second)
    peak = float(f.log(np.array([saddle + 0j]))[0].real)
    if peak < -800.0:  # below the smallest double, whatever the integral
        return np.zeros(3)
    # A large exponent costs its own digits; its value is then far below the smallest double anyway.
    tolerance = _RELATIVE_TOLERANCE + 1e-14 * abs(saddle * f.c)
    previous = value = np.full(3, np.nan)
    for step in _NODE_STEPS:
        u = np.arange(0.5 * step, 12.0, step)
        y = width * np.sinh(u)
        wedge = np.hypot(1.0, bend * y)
        s = saddle + 1j * y + bend * y**2 / wedge
        ds = (1j + bend * y * (1.0 + wedge**-2) / wedge) * width * np.cosh(u)
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            weight = np.exp(f.log(s) - peak) * ds / s
            weight[~np.isfinite(weight)] = 0.0
            value = np.sum(weight * f.ratios(s), axis=1).imag * step / np.pi
        if np.all(np.abs(value - previous) <= tolerance * np.abs(value)):
            return value * np.exp(peak)
        previous = value
    raise ArithmeticError(f"the law of the squared norm did not settle: last two values {previous} and {value}")

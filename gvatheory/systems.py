"""Linear closed loops whose gain carries a random error: rewards over a horizon, in closed form.

Scalar loop: x_{h+1} = (a + δ) x_h with a the expert's closed loop and δ the learner's gain error, J_H = −Σ_{h<H} x_h².
"""

import dataclasses
from typing import cast

import numpy as np
from jaxtyping import Bool, Float
from scipy.optimize import brentq
from scipy.special import ndtr, ndtri, roots_hermitenorm

from gvatheory import validation
from gvatheory.laws import Law
from gvatheory.rewards import Reward, RewardLaw

_MAX_HORIZON = 4000


@dataclasses.dataclass(frozen=True)
class ScalarLoop(Reward):
    """J_H(δ) = −x_0² Σ_{h=0}^{H−1} (a+δ)^{2h} for a Gaussian gain error δ.

    With Gaussian δ even a stable loop's expectation grows without bound in H, since unstable gains keep a positive
    probability; the median does not while P(|a+δ| < 1) > 1/2. Both are here: say which one a statement is about.

    Attributes:
        closed_loop: a, the expert's closed loop; |a| < 1 is stable, |a| = 1 marginal.
        horizon: H, number of rewards summed, 1 ≤ H ≤ 4000.
        initial_state: x_0, not zero.
    """

    closed_loop: float
    horizon: int
    initial_state: float = 1.0

    def __post_init__(self) -> None:
        validation.real("closed_loop", self.closed_loop, -np.inf, np.inf)
        validation.integer("horizon", self.horizon, 1, _MAX_HORIZON)
        validation.real("initial_state", self.initial_state, -np.inf, np.inf)
        if self.initial_state == 0:
            raise ValueError("initial_state must not be zero, got 0")

    def _gain(self, errors: Float[np.ndarray, "n d"]) -> Float[np.ndarray, " n"]:
        if errors.shape[1] != 1:
            raise ValueError(f"errors must have shape (n, 1) for a scalar loop, got {errors.shape}")
        return self.closed_loop + errors[:, 0]

    def _mean_and_sd(self, law: Law) -> tuple[float, float]:
        """Mean and standard deviation of the learner's closed loop a + δ."""
        if law.dimension != 1:
            raise ValueError(f"law must have dimension 1 for a scalar loop, got {law.dimension}")
        return self.closed_loop + float(law.mean[0]), float(law.std[0])

    def value(self, errors: Float[np.ndarray, "n d"]) -> Float[np.ndarray, " n"]:
        """J_H by rolling the loop out, (n, 1) → (n,); overflows to −inf for strongly unstable gains."""
        with np.errstate(over="ignore"):
            growth = self._gain(errors) ** 2
            cost, x2 = np.zeros_like(growth), np.full_like(growth, self.initial_state**2)
            for _ in range(self.horizon):
                cost += x2
                x2 = x2 * growth
        return -cost

    def fallen(self, errors: Float[np.ndarray, "n d"]) -> Bool[np.ndarray, " n"]:
        """Whether the learner's closed loop is unstable, |a + δ| > 1."""
        return ~(np.abs(self._gain(errors)) <= 1.0)  # "not stable": NaN has fallen

    def fall_probability(self, law: Law) -> float:
        """P(|a + δ| > 1): the learner's closed loop is unstable."""
        m, s = self._mean_and_sd(law)
        if s == 0:
            return float(abs(m) > 1.0)
        return float(ndtr((m - 1.0) / s) + ndtr(-(m + 1.0) / s))

    def moment(self, law: Law, order: int) -> float:
        """Raw moment E[J_H^order], exact: a sum of even moments of a + δ, all of one sign.

        E (a+δ)^n obeys m_{n+1} = m m_n + n s² m_{n−1} (m, s: mean and sd of a + δ); J_H^p is a polynomial in (a+δ)²
        whose coefficients are the p-fold convolution of ones. Equivalent to s^{2h} 2^h Γ(h+½)/√π ₁F₁(−h; ½; −m²/2s²).

        Args:
            law: of δ, one-dimensional.
            order: p ≥ 0.

        Raises:
            ValueError: if the law is not one-dimensional or the order is negative.
            OverflowError: if the moment exceeds float64.
        """
        validation.integer("order", order, 0)
        m, s = self._mean_and_sd(law)
        coefficients = np.ones(1)
        for _ in range(order):
            coefficients = np.convolve(coefficients, np.ones(self.horizon))
        even = _even_moments(m, s, len(coefficients))
        with np.errstate(over="ignore", invalid="ignore"):
            value = float(coefficients @ even) * self.initial_state ** (2 * order)
        if not np.isfinite(value):
            raise OverflowError(f"E[J_H^{order}] exceeds float64 at horizon {self.horizon}, mean {m:g}, sd {s:g}")
        return (-1.0) ** order * value

    def moments(self, law: Law) -> RewardLaw:
        """All three, exact. `mean` and `fall_probability` alone do not need the variance to fit into float64.

        Raises:
            ValueError, OverflowError: as `variance`.
        """
        return RewardLaw(self.mean(law), self.variance(law), self.fall_probability(law))

    def mean(self, law: Law) -> float:
        """E J_H, exact.

        Raises:
            ValueError, OverflowError: as `moment`.
        """
        return self.moment(law, 1)

    def variance(self, law: Law) -> float:
        """Var J_H, exact: from the moments, or, where they would cancel, by Gauss-Hermite with 2H − 1 nodes.

        Raises:
            ValueError, OverflowError: as `moment`.
        """
        m, s = self._mean_and_sd(law)
        mean, second = self.moment(law, 1), self.moment(law, 2)
        if second > 1.01 * mean**2:
            return second - mean**2
        nodes, weights = roots_hermitenorm(2 * self.horizon - 1)
        # The spread is small here, so far nodes, whose weight underflows, do not count although their values overflow.
        kept = weights > 0
        values, weights = self.value((m - self.closed_loop + s * nodes[kept])[:, None]), weights[kept]
        return float(weights @ (values - mean) ** 2 / weights.sum())

    def quantile(self, law: Law, probability: float) -> float:
        """The `probability`-quantile of J_H, exact: J_H decreases in |a + δ|, whose law is a folded normal.

        Args:
            law: of δ, one-dimensional.
            probability: in (0, 1); ½ is the median.
        """
        validation.real("probability", probability, 0.0, 1.0, open_low=True, open_high=True)
        m, s = self._mean_and_sd(law)
        return float(self.value(np.array([[_folded_quantile(m, s, probability) - self.closed_loop]]))[0])


def _even_moments(m: float, s: float, count: int) -> Float[np.ndarray, " count"]:
    """E y^{2h}, h = 0..count−1, y ~ N(m, s²); every term of the recursion is of one sign, so nothing cancels."""
    out = np.empty(count)
    before, now = 0.0, 1.0  # E y^{n−1}, E y^n
    for n in range(2 * count - 1):
        if n % 2 == 0:
            out[n // 2] = now
        before, now = now, m * now + n * s**2 * before
    return out


def _folded_quantile(m: float, s: float, probability: float) -> float:
    """r with P(|y| > r) = probability, y ~ N(m, s²); solved for the tail, so that a small one keeps its digits."""
    if s == 0:
        return abs(m)

    def excess(r: float) -> float:
        return float(ndtr((m - r) / s) + ndtr(-(m + r) / s)) - probability

    far = abs(m) + s * (1.0 - float(ndtri(probability / 2.0)))
    return cast(float, brentq(excess, 0.0, far, xtol=1e-300, rtol=np.float64(1e-14)))

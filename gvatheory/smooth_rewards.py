"""Smooth rewards of a Gaussian parameter error e ~ N(m, S): exact moments, differentiable by JAX in m and S."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float
from scipy.special import ndtr

from gvatheory import validation
from gvatheory.laws import Law
from gvatheory.normal_probabilities import NODES, WEIGHTS, normal_cdf, sides
from gvatheory.quadratic_forms import truncated_moments
from gvatheory.rewards import Reward, RewardLaw, check_normal, fit_normal, reject_traced
from gvatheory.validation import Numbers


@dataclasses.dataclass(frozen=True, eq=False)
class SmoothCliff(Reward):
    """J(e) = −C Φ((⟨normal, e⟩ − ε)/width): expected return over episodes that fall when ⟨normal, e⟩ > ε + width·noise.

    The half-space cliff blurred by episode-to-episode noise; −J/C is the fraction of fallen episodes of one learner.

    Attributes:
        normal: (d,), not all zero; a number stands for d = 1.
        offset: ε, in units of ⟨normal, e⟩.
        width: standard deviation of the episodes' own noise, from 1e-100 to 1e100, same units.
        penalty: C > 0.
    """

    normal: Numbers
    offset: float | jax.Array
    width: float | jax.Array
    penalty: float | jax.Array

    def __post_init__(self) -> None:
        check_normal("normal", self.normal)
        validation.real("offset", self.offset, -np.inf, np.inf)
        validation.real("width", self.width, 1e-100, 1e100)
        validation.positive("penalty", self.penalty)

    def fallen(self, errors: Float[np.ndarray, "n d"]) -> Bool[np.ndarray, " n"]:
        """Whether more than half of the episodes fall: ⟨normal, e⟩ > offset."""
        return ~(errors @ fit_normal(self.normal, errors.shape[1]) <= self.offset)  # NaN has fallen

    def value(self, errors: Float[np.ndarray, "n d"]) -> Float[np.ndarray, " n"]:
        past = errors @ fit_normal(self.normal, errors.shape[1]) - self.offset
        return -float(self.penalty) * ndtr(np.where(np.isnan(past), np.inf, past) / float(self.width))

    def moments(self, law: Law) -> RewardLaw:
        """With s² the variance of ⟨normal, e⟩, c = (ε − ⟨normal, m⟩)/√(s² + width²) and r = s²/(s² + width²):

        mean −C Φ(−c), variance C² [Φ₂(−c, −c; r) − Φ(−c)²] (theory.md, section 4). The difference is an integral of
        Plackett's identity ∂Φ₂/∂r = φ₂ (Plackett, 1954) over correlations ρ from 0 to r; with x² = (1−ρ)/(1+ρ) it reads

            (1/π) ∫_a^1 exp(−c²(1 + x²)/2)/(1 + x²) dx,      a = width/√(width² + 2s²),

        a positive integrand on an interval that shrinks with s, so nothing cancels. Checked against mpmath to 1e-10
        relative, from s = 1e-8 width to 1e4 width. Traceable in the law and in every attribute.

        Raises:
            ValueError: if the law does not fit `normal`.
        """
        normal = fit_normal(self.normal, law.dimension)
        margin, spread = self.offset - normal @ law.mean, normal @ law.covariance @ normal
        xp = validation.namespace(margin, spread, self.width)
        spread = xp.where(spread >= 0, spread, 0.0)  # below, by rounding only
        _, fallen = sides(margin, spread)
        with np.errstate(over="ignore"):  # infinitely far is far enough
            c = margin / xp.sqrt(spread + self.width**2)
            square = xp.minimum(c * c, 1e4)  # exp(−c²/2) is 0 beyond
        variance = self.penalty**2 * _excess(xp, square, self.width**2, 2.0 * spread)
        return RewardLaw(-self.penalty * normal_cdf(-c), variance, fallen)


def _excess(xp: Any, square: Any, noise: Any, signal: Any) -> Any:
    """(1/π) ∫_a^1 exp(−c²(1+x²)/2)/(1+x²) dx, a² = noise/(noise + signal), from `square` = c².

    By Gauss-Legendre, on an interval cut at √(a² + 80/c²), where the integrand has fallen by e^−40: 40 nodes do.
    """
    a = xp.sqrt(noise / (noise + signal))
    whole = signal / (noise + signal) / (1.0 + a)  # 1 − a
    slope = a * square + xp.sqrt(xp.maximum(square * (a * a * square + 80.0), 1e-12))  # the root has no slope at 0
    length = xp.minimum(whole, 80.0 / xp.maximum(slope, 40.0))
    nodes, weights = (xp.asarray(v, dtype=length.dtype) for v in (NODES, WEIGHTS))
    x = a + length * nodes
    return length / np.pi * xp.sum(weights * xp.exp(-0.5 * square * (1.0 + x * x)) / (1.0 + x * x))


@dataclasses.dataclass(frozen=True, eq=False)
class SaturatingReward(Reward):
    """J(e) = −scale (1 − exp(−eᵀWe/2)), the saturating cost of PILCO (Deisenroth & Rasmussen, 2011).

    Attributes:
        weight: W: a number (times the identity), a (d,) diagonal, or a symmetric PSD (d, d) matrix; not zero.
        scale: largest loss, > 0.
    """

    weight: Numbers
    scale: float | jax.Array = 1.0

    def __post_init__(self) -> None:
        if validation.is_traced(self.weight):
            raise TypeError("weight must be numbers: JAX can trace a SaturatingReward in the law and the scale only")
        weight = validation.array("weight", self.weight, 2)
        if weight.ndim == 2:
            validation.psd("weight", weight)
        elif np.any(weight < 0):
            raise ValueError(f"weight must be non-negative, its smallest entry is {weight.min()}")
        if not np.any(weight):
            raise ValueError(f"weight must not be zero, got {self.weight!r}")
        validation.positive("scale", self.scale)

    def _root(self, dimension: int) -> Float[np.ndarray, "q d"]:
        """B with W = BᵀB, of full row rank."""
        weight = np.asarray(self.weight, dtype=np.float64)
        if weight.ndim == 2 and weight.shape[0] == dimension:
            values, vectors = np.linalg.eigh(weight)
            kept = values > 1e-15 * dimension * values[-1]
            return np.sqrt(values[kept])[:, None] * vectors.T[kept]
        if weight.ndim == 2 or (weight.size > 1 and weight.size != dimension):
            raise ValueError(f"weight must fit the {dimension} parameters of the law, got shape {weight.shape}")
        diagonal = np.broadcast_to(weight, (dimension,))
        return np.diag(np.sqrt(diagonal))[diagonal > 0]

    def _square(self, errors: Float[np.ndarray, "n d"]) -> Float[np.ndarray, " n"]:
        with np.errstate(over="ignore"):
            return np.sum((errors @ self._root(errors.shape[1]).T) ** 2, axis=1)

    def fallen(self, errors: Float[np.ndarray, "n d"]) -> Bool[np.ndarray, " n"]:
        """Whether more than half of the largest loss is lost: eᵀWe > 2 ln 2."""
        return ~(self._square(errors) <= 2.0 * np.log(2.0))  # NaN has fallen

    def value(self, errors: Float[np.ndarray, "n d"]) -> Float[np.ndarray, " n"]:
        square = self._square(errors)
        return float(self.scale) * np.expm1(-0.5 * np.where(np.isnan(square), np.inf, square))

    def moments(self, law: Law) -> RewardLaw:
        """Mean and variance in closed form (below); the fall probability by `truncated_moments` of W^{1/2}e.

        With Y = exp(−eᵀWe/2), M = BSBᵀ, μ = Bm: ln E Y = −½ [ln|I+M| + μᵀ(I+M)⁻¹μ], ln E Y² the same with 2M and 2μμᵀ,
        and ln(E Y²/(E Y)²) = ½ ln|I + M²(I+2M)⁻¹| + μᵀ(I+M)⁻¹M(I+2M)⁻¹μ, a sum of positive terms: neither a small mean
        loss nor a small variance cancels. Checked against mpmath, Gauss-Hermite quadrature and sampling.

        Under a JAX transformation the fall probability is NaN, since it is computed adaptively.

        Raises:
            ValueError: if the law does not fit the weight.
        """
        mean, variance = self._mean_and_variance(law)
        traced = validation.is_traced(law.mean, law.covariance)
        return RewardLaw(mean, variance, np.nan if traced else self.fall_probability(law))

    def mean(self, law: Law) -> Any:
        return self._mean_and_variance(law)[0]

    def variance(self, law: Law) -> Any:
        return self._mean_and_variance(law)[1]

    def fall_probability(self, law: Law) -> float:
        """P(eᵀWe > 2 ln 2).

        Raises:
            TypeError: if the law is traced by JAX.
        """
        reject_traced(law, "the fall probability of SaturatingReward", "its mean or variance, or SmoothCliff")
        root = self._root(law.dimension)
        return truncated_moments(root @ law.mean, root @ law.covariance @ root.T, 2.0 * np.log(2.0)).outside

    def _mean_and_variance(self, law: Law) -> tuple[Any, Any]:
        root = self._root(law.dimension)
        m, spread = root @ law.mean, root @ law.covariance @ root.T
        xp = validation.namespace(m, spread)
        one = xp.eye(len(root))
        shrunk, shrunk2 = (xp.linalg.solve(one + n * spread, m) for n in (1.0, 2.0))
        ratio = spread @ xp.linalg.solve(one + 2.0 * spread, spread)
        with np.errstate(over="ignore"):  # infinitely far out, all is lost
            log_first = -0.5 * (_log_det_plus_one(spread) + m @ shrunk)
            log_second = -0.5 * _log_det_plus_one(2.0 * spread) - m @ shrunk2
            log_ratio = 0.5 * _log_det_plus_one(0.5 * (ratio + ratio.T)) + shrunk @ (spread @ shrunk2)
        # E Y² (1 − (E Y)²/E Y²): never the product of an underflow and an overflow.
        return self.scale * xp.expm1(log_first), self.scale**2 * xp.exp(log_second) * -xp.expm1(-log_ratio)


def _log_det_plus_one(matrix: Any) -> Any:
    """ln|I + M| of a symmetric PSD matrix, with relative accuracy for a small one."""
    if isinstance(matrix, jax.Array):
        return _traced_log_det_plus_one(matrix)
    return np.sum(np.log1p(np.maximum(np.linalg.eigvalsh(matrix), 0.0)))


@jax.custom_jvp
def _traced_log_det_plus_one(matrix: jax.Array) -> jax.Array:
    return jnp.sum(jnp.log1p(jnp.maximum(jnp.linalg.eigvalsh(matrix), 0.0)))


@_traced_log_det_plus_one.defjvp
def _log_det_tangent(primals: tuple[jax.Array], tangents: tuple[jax.Array]) -> tuple[jax.Array, jax.Array]:
    """tr (I+M)⁻¹ dM: defined, unlike the derivative of an eigenvector, where eigenvalues coincide."""
    (matrix,), (change,) = primals, tangents
    identity = jnp.eye(matrix.shape[0], dtype=matrix.dtype)
    return _traced_log_det_plus_one(matrix), jnp.trace(jnp.linalg.solve(identity + matrix, change))

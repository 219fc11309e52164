"""Rewards that fall off a cliff, under a Gaussian law of the parameter error e = θ − θ*: exact moments."""

import abc
import dataclasses
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Bool, Float

from gvatheory import validation
from gvatheory.laws import Law
from gvatheory.normal_probabilities import sides
from gvatheory.quadratic_forms import truncated_moments
from gvatheory.validation import Numbers, Values


class RewardLaw(NamedTuple):
    """What a reward needs to be known by: numbers, or JAX scalars where the law is traced.

    Attributes:
        mean: E J.
        variance: Var J, ≥ 0.
        fall_probability: probability, in [0, 1], of being past the cliff.
    """

    mean: Any
    variance: Any
    fall_probability: Any


class Reward(abc.ABC):
    """A reward J(e) of a parameter error, with its exact moments under a Gaussian law and its value on samples."""

    @abc.abstractmethod
    def value(self, errors: Float[np.ndarray, "n d"]) -> Float[np.ndarray, " n"]:
        """J at each of n errors: (n, d) → (n,)."""

    @abc.abstractmethod
    def fallen(self, errors: Float[np.ndarray, "n d"]) -> Bool[np.ndarray, " n"]:
        """Whether each of n errors is past the cliff: (n, d) → (n,)."""

    @abc.abstractmethod
    def moments(self, law: Law) -> RewardLaw:
        """Mean, variance and fall probability under `law`, in one pass."""

    def mean(self, law: Law) -> Any:
        """E J under `law`."""
        return self.moments(law).mean

    def variance(self, law: Law) -> Any:
        """Var J under `law`, ≥ 0."""
        return self.moments(law).variance

    def fall_probability(self, law: Law) -> Any:
        """Probability, in [0, 1], of being past the cliff under `law`."""
        return self.moments(law).fall_probability


def reject_traced(law: Law, name: str, instead: str) -> None:
    """Require a law of numbers, for a reward whose moments are computed adaptively.

    Raises:
        TypeError: under jax.grad, jax.jit or jax.vmap, naming what can be used there `instead`.
    """
    if validation.is_traced(law.mean, law.covariance):
        raise TypeError(f"{name} cannot be traced by JAX: its moments are computed adaptively in NumPy; use {instead}")


def check_normal(name: str, normal: Numbers) -> None:
    """Require a finite vector (or a number, for d = 1) that is not zero; a tracer passes.

    Raises:
        ValueError: naming the argument.
    """
    vector = validation.array(name, normal, 1)
    if not validation.is_traced(vector) and not np.any(vector):
        raise ValueError(f"{name} must not be zero, got {normal!r}")


def fit_normal(normal: Numbers, dimension: int) -> Float[Values, " d"]:
    """`normal` as a vector of `dimension` entries.

    Raises:
        ValueError: if its shape does not fit the law.
    """
    vector: Any = normal if validation.is_traced(normal) else np.asarray(normal, dtype=np.float64)
    vector = vector.reshape(1) if vector.ndim == 0 else vector
    if vector.shape != (dimension,):
        raise ValueError(f"normal must have shape ({dimension},) to fit the law, got {vector.shape}")
    return vector


@dataclasses.dataclass(frozen=True)
class CliffBall(Reward):
    """J(e) = −‖e‖² if ‖e‖ ≤ radius, else −penalty (the paper's cliff loss with its sign turned).

    Moments are those of the generalised noncentral χ² (see `quadratic_forms`), for any covariance.

    Attributes:
        radius: ε, from 1e-100 to 1e100.
        penalty: C > ε².
    """

    radius: float
    penalty: float

    def __post_init__(self) -> None:
        validation.real("radius", self.radius, 1e-100, 1e100)
        validation.real("penalty", self.penalty, self.radius**2, np.inf, open_low=True)

    def fallen(self, errors: Float[np.ndarray, "n d"]) -> Bool[np.ndarray, " n"]:
        return ~(np.sum(errors**2, axis=1) <= self.radius**2)  # "not inside": NaN has fallen

    def value(self, errors: Float[np.ndarray, "n d"]) -> Float[np.ndarray, " n"]:
        return np.where(self.fallen(errors), -self.penalty, -np.sum(errors**2, axis=1))

    def moments(self, law: Law) -> RewardLaw:
        """One contour integral (`truncated_moments`) for all three.

        Raises:
            TypeError: if the law is traced by JAX.
        """
        reject_traced(law, "CliffBall", "CliffHalfspace, SmoothCliff or SaturatingReward")
        m = truncated_moments(law.mean, law.covariance, self.radius**2)
        if m.outside < 1e-15:  # untruncated: Var ‖e‖² = 2 tr S² + 4 mᵀSm, which does not cancel
            variance = float(2.0 * np.sum(law.covariance**2) + 4.0 * law.mean @ law.covariance @ law.mean)
        else:
            # Around the conditional mean inside: no difference of nearly equal squares across the cliff.
            within = m.second - m.first**2 / m.inside if m.inside > 0 else 0.0
            jump = self.penalty - m.first / m.inside if m.inside > 0 else 0.0
            variance = max(within, 0.0) + m.inside * m.outside * jump**2
        return RewardLaw(-m.first - self.penalty * m.outside, variance, m.outside)


@dataclasses.dataclass(frozen=True, eq=False)
class CliffHalfspace(Reward):
    """J(e) = −penalty if ⟨normal, e⟩ > offset, else 0 ("CliffLQR": one gain past its stability edge).

    Attributes:
        normal: (d,), not all zero; a number stands for d = 1.
        offset: ε, the distance to the cliff in units of ⟨normal, e⟩.
        penalty: C > 0.
    """

    normal: Numbers
    offset: float | jax.Array
    penalty: float | jax.Array

    def __post_init__(self) -> None:
        check_normal("normal", self.normal)
        validation.real("offset", self.offset, -np.inf, np.inf)
        validation.positive("penalty", self.penalty)

    def fallen(self, errors: Float[np.ndarray, "n d"]) -> Bool[np.ndarray, " n"]:
        return ~(errors @ fit_normal(self.normal, errors.shape[1]) <= self.offset)  # NaN has fallen

    def value(self, errors: Float[np.ndarray, "n d"]) -> Float[np.ndarray, " n"]:
        return np.where(self.fallen(errors), -float(self.penalty), 0.0)

    def moments(self, law: Law) -> RewardLaw:
        """Fall probability Φ(−u) with u = (offset − ⟨n, mean⟩)/sd, mean −C Φ(−u), variance C² Φ(u) Φ(−u).

        Traceable in the law and in every attribute.
        """
        normal = fit_normal(self.normal, law.dimension)
        safe, fallen = sides(self.offset - normal @ law.mean, normal @ law.covariance @ normal)
        return RewardLaw(-self.penalty * fallen, self.penalty**2 * safe * fallen, fallen)

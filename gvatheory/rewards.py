"""Rewards that fall off a cliff, under a Gaussian law of the parameter error e = θ − θ*: exact moments."""

import abc
import dataclasses

import numpy as np
from jaxtyping import Bool, Float
from scipy.special import ndtr

from gvatheory import validation
from gvatheory.laws import Law
from gvatheory.quadratic_forms import truncated_moments
from gvatheory.validation import Numbers


class Reward(abc.ABC):
    """A reward J(e) of a parameter error, with its exact moments under a Gaussian law and its value on samples."""

    @abc.abstractmethod
    def value(self, errors: Float[np.ndarray, "n d"]) -> Float[np.ndarray, " n"]:
        """J at each of n errors: (n, d) → (n,)."""

    @abc.abstractmethod
    def fallen(self, errors: Float[np.ndarray, "n d"]) -> Bool[np.ndarray, " n"]:
        """Whether each of n errors is past the cliff: (n, d) → (n,)."""

    @abc.abstractmethod
    def mean(self, law: Law) -> float:
        """E J under `law`."""

    @abc.abstractmethod
    def variance(self, law: Law) -> float:
        """Var J under `law`, ≥ 0."""

    @abc.abstractmethod
    def fall_probability(self, law: Law) -> float:
        """Probability, in [0, 1], of being past the cliff under `law`."""


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

    def mean(self, law: Law) -> float:
        m = truncated_moments(law.mean, law.covariance, self.radius**2)
        return -m.first - self.penalty * m.outside

    def variance(self, law: Law) -> float:
        m = truncated_moments(law.mean, law.covariance, self.radius**2)
        if m.outside < 1e-15:  # untruncated: Var ‖e‖² = 2 tr S² + 4 mᵀSm, which does not cancel
            return float(2.0 * np.sum(law.covariance**2) + 4.0 * law.mean @ law.covariance @ law.mean)
        # Around the conditional mean inside: no difference of nearly equal squares across the cliff.
        within = m.second - m.first**2 / m.inside if m.inside > 0 else 0.0
        jump = self.penalty - m.first / m.inside if m.inside > 0 else 0.0
        return max(within, 0.0) + m.inside * m.outside * jump**2

    def fall_probability(self, law: Law) -> float:
        return truncated_moments(law.mean, law.covariance, self.radius**2).outside


@dataclasses.dataclass(frozen=True, eq=False)
class CliffHalfspace(Reward):
    """J(e) = −penalty if ⟨normal, e⟩ > offset, else 0 ("CliffLQR": one gain past its stability edge).

    Attributes:
        normal: (d,), not all zero; a number stands for d = 1.
        offset: ε, the distance to the cliff in units of ⟨normal, e⟩.
        penalty: C > 0.
    """

    normal: Numbers
    offset: float
    penalty: float

    def __post_init__(self) -> None:
        if not np.any(validation.array("normal", self.normal, 1)):
            raise ValueError(f"normal must not be zero, got {self.normal!r}")
        validation.real("offset", self.offset, -np.inf, np.inf)
        validation.positive("penalty", self.penalty)

    def _direction(self, dimension: int) -> Float[np.ndarray, " d"]:
        normal = np.atleast_1d(np.asarray(self.normal, dtype=np.float64))
        if normal.shape != (dimension,):
            raise ValueError(f"normal must have shape ({dimension},) to fit the law, got {normal.shape}")
        return normal

    def fallen(self, errors: Float[np.ndarray, "n d"]) -> Bool[np.ndarray, " n"]:
        return ~(errors @ self._direction(errors.shape[1]) <= self.offset)  # NaN has fallen

    def value(self, errors: Float[np.ndarray, "n d"]) -> Float[np.ndarray, " n"]:
        return np.where(self.fallen(errors), -float(self.penalty), 0.0)

    def _safe_and_fallen(self, law: Law) -> tuple[float, float]:
        normal = self._direction(law.dimension)
        margin = self.offset - float(normal @ law.mean)
        sd = float(np.sqrt(max(normal @ law.covariance @ normal, 0.0)))
        if sd == 0.0:
            return float(margin >= 0), float(margin < 0)
        return float(ndtr(margin / sd)), float(ndtr(-margin / sd))

    def fall_probability(self, law: Law) -> float:
        """Φ(−u) with u = (offset − ⟨n, mean⟩)/sd."""
        return self._safe_and_fallen(law)[1]

    def mean(self, law: Law) -> float:
        return -self.penalty * self._safe_and_fallen(law)[1]

    def variance(self, law: Law) -> float:
        safe, fallen = self._safe_and_fallen(law)
        return self.penalty**2 * safe * fallen

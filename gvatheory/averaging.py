"""Averages of iterates: θ̃_T = Σ_t w_{T,t} θ_t with weights that sum to one.

Most averages are recursive, θ̃_0 = θ_0 and θ̃_t = (1−γ_t) θ̃_{t−1} + γ_t θ_t for t ≥ 1, and are their sequence of rates
γ_t. Rates are defined here and, for averages made of other averages or of tables of weights, in `subsampled_averages`
and `weighted_averages`, and nowhere else: the exact laws, the simulations and the banks of averages kept on networks
all read them from these.
"""

import abc
import dataclasses
import math
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from gvatheory import validation
from gvatheory.validation import Numbers, Scalar, Values, namespace


class Coefficients(NamedTuple):
    """One pass that accumulates θ̃_T: S_0 = start·θ_0, S_t = keep_t S_{t−1} + take_t θ_t, θ̃_T = S_T.

    Attributes:
        start: weight of θ_0 in S_0.
        keep, take: (T,), for t = 1, ..., T.
    """

    start: Any
    keep: Any
    take: Any


class Average(abc.ABC):
    """A linear average of the iterates θ_0, ..., θ_T."""

    @abc.abstractmethod
    def kernel(self, steps: int) -> Float[Values, " weights"]:
        """Weights w_{T,0}, ..., w_{T,T} of θ_0, ..., θ_T in θ̃_T, T = steps; they sum to one.

        Raises:
            ValueError: if `steps` is not an integer of at least 0, or too small for the average.
        """

    def coefficients(self, steps: int) -> Coefficients:
        """The average as one pass over the iterates; here a plain sum by the kernel's weights."""
        weights = self.kernel(steps)
        return Coefficients(weights[0], namespace(weights).ones_like(weights[1:]), weights[1:])


class RecursiveAverage(Average):
    """An average that is updated in place, given by the weight γ_t of the newest iterate."""

    @abc.abstractmethod
    def rate(self, t: Numbers, steps: int | None = None) -> Any:
        """γ_t at update counts t ≥ 1: an array of the shape of `t`; NumPy for NumPy, JAX for JAX (traceable).

        Args:
            t: update counts.
            steps: total number of updates; needed only by averages that look ahead to it (`Tail`).
        """

    def rates(self, steps: int) -> Float[Values, " times"]:
        """γ_1, ..., γ_steps in float64; a JAX array if a parameter is one.

        Raises:
            ValueError: if `steps` is not an integer of at least 0.
        """
        validation.integer("steps", steps, 0)
        return validation.float64(self.rate(np.arange(1.0, steps + 1), steps))

    def kernel(self, steps: int) -> Float[Values, " weights"]:
        """Weights w_{T,0}, ..., w_{T,T} of θ_0, ..., θ_T in θ̃_T, T = steps; they sum to one."""
        rates = self.rates(steps)
        xp = namespace(rates)
        rates = xp.concatenate([xp.ones(1), rates])
        kept_after = xp.append(xp.cumprod((1.0 - rates)[:0:-1])[::-1], 1.0)
        return rates * kept_after

    def coefficients(self, steps: int) -> Coefficients:
        """S_t = (1−γ_t) S_{t−1} + γ_t θ_t from S_0 = θ_0: θ̃_t itself at every t."""
        rates = self.rates(steps)
        return Coefficients(1.0, 1.0 - rates, rates)


def _age(t: Numbers, burn_in: int) -> Any:
    """Updates since the end of the burn-in, at least 1."""
    xp = namespace(t)
    return xp.maximum(xp.asarray(t, dtype=float) - burn_in, 1.0)


@dataclasses.dataclass(frozen=True)
class LastIterate(RecursiveAverage):
    """No averaging: γ_t = 1, θ̃_t = θ_t."""

    def rate(self, t: Numbers, steps: int | None = None) -> Any:
        return namespace(t).ones_like(t, dtype=float)


@dataclasses.dataclass(frozen=True)
class EMA(RecursiveAverage):
    """Exponential moving average of constant rate γ_t = gamma after `burn_in` updates (γ_t = 1 up to there).

    Attributes:
        gamma: weight of the newest iterate, in [0, 1]; a "decay" of 0.999 elsewhere is gamma = 0.001.
        burn_in: updates during which θ̃ = θ, ≥ 0.
    """

    gamma: Scalar
    burn_in: int = 0

    def __post_init__(self) -> None:
        validation.real("gamma", self.gamma, 0.0, 1.0)
        validation.integer("burn_in", self.burn_in, 0)

    def rate(self, t: Numbers, steps: int | None = None) -> Any:
        xp = namespace(t, self.gamma)
        return xp.where(xp.asarray(t) <= self.burn_in, 1.0, self.gamma)


@dataclasses.dataclass(frozen=True)
class PowerEMA(RecursiveAverage):
    """γ_t = 1 for t ≤ burn_in, then max((t − burn_in)^{−alpha}, floor), so γ_{burn_in+1} = 1 (the paper's EMA).

    Attributes:
        alpha: exponent ≥ 0; 0 is the last iterate, 1 the uniform average. Above 1 the rates are summable: the average
            never forgets its first iterates.
        burn_in: updates t0 during which θ̃ = θ, ≥ 0.
        floor: γ_min, smallest rate, in [0, 1].
    """

    alpha: Scalar
    burn_in: int = 0
    floor: Scalar = 0.0

    def __post_init__(self) -> None:
        validation.real("alpha", self.alpha, 0.0, np.inf)
        validation.integer("burn_in", self.burn_in, 0)
        validation.real("floor", self.floor, 0.0, 1.0)

    def rate(self, t: Numbers, steps: int | None = None) -> Any:
        xp = namespace(t, self.alpha, self.floor)
        return xp.maximum(_age(t, self.burn_in) ** (-self.alpha), self.floor)


@dataclasses.dataclass(frozen=True)
class Polyak(RecursiveAverage):
    """Uniform average of θ_{burn_in+1}, ..., θ_T (Polyak & Juditsky 1992): γ_t = 1/(t − burn_in) after burn_in.

    Attributes:
        burn_in: updates during which θ̃ = θ, ≥ 0.
    """

    burn_in: int = 0

    def __post_init__(self) -> None:
        validation.integer("burn_in", self.burn_in, 0)

    def rate(self, t: Numbers, steps: int | None = None) -> Any:
        return 1.0 / _age(t, self.burn_in)


@dataclasses.dataclass(frozen=True)
class Tail(RecursiveAverage):
    """Uniform average of the last ⌈fraction · T⌉ of the iterates θ_1, ..., θ_T (suffix averaging, Rakhlin et al. 2012).

    It must know T beforehand: `rate` needs `steps`.

    Attributes:
        fraction: share of the run that is averaged, in (0, 1].
    """

    fraction: float

    def __post_init__(self) -> None:
        validation.real("fraction", self.fraction, 0.0, 1.0, open_low=True)

    def rate(self, t: Numbers, steps: int | None = None) -> Any:
        if steps is None:
            raise ValueError("Tail needs the total number of updates: pass steps")
        # Rounding first keeps ⌈0.1 · 30⌉ at 3 although 0.1 · 30 > 3 in floating point.
        length = max(math.ceil(round(self.fraction * steps, 9)), 1)
        return 1.0 / _age(t, steps - length)


def _over_one_minus_exp(x: Any) -> Any:
    """x/(1 − e^{−x}) for x ≥ 0; its series to x⁷ below 0.05, so that the value and the derivative hold at 0."""
    xp = namespace(x)
    small = x < 0.05
    series = 1.0 + x / 2.0 + x**2 / 12.0 - x**4 / 720.0 + x**6 / 30240.0
    safe = xp.where(small, 1.0, x)
    return xp.where(small, series, safe / -xp.expm1(-safe))


@dataclasses.dataclass(frozen=True)
class BiasCorrectedEMA(RecursiveAverage):
    """Adam's debiased average (Kingma & Ba 2015): w_{T,t} = γ(1−γ)^{T−t} / (1−(1−γ)^T) for t = 1, ..., T; θ_0 has none.

    Its rate is γ_t = γ/(1−(1−γ)^t): the uniform average for t ≪ 1/γ, an EMA after. gamma = 0 is the limit, Polyak's.

    Attributes:
        gamma: γ, the rate that is approached, in [0, 1].
    """

    gamma: Scalar

    def __post_init__(self) -> None:
        validation.real("gamma", self.gamma, 0.0, 1.0)

    def rate(self, t: Numbers, steps: int | None = None) -> Any:
        xp = namespace(t, self.gamma)
        now: Any = xp.asarray(t, dtype=float)
        gamma: Any = xp.asarray(self.gamma, dtype=float)
        large = gamma >= 0.5
        # With ℓ = −ln(1−γ) and h(x) = x/(1 − e^{−x}) it is h(tℓ)/(t h(ℓ)): no cancellation, and a limit at γ = 0.
        log_decay = -xp.log1p(-xp.where(large, 0.0, gamma))
        slow = _over_one_minus_exp(now * log_decay) / (now * _over_one_minus_exp(log_decay))
        fast = xp.where(large, gamma, 0.5)
        return xp.where(large, fast / (1.0 - (1.0 - fast) ** now), slow)


@dataclasses.dataclass(frozen=True)
class PowerProfile(RecursiveAverage):
    """Weights that grow like t^p: w_{T,t} = (t^{p+1} − (t−1)^{p+1})/T^{p+1} for t = 1, ..., T; θ_0 has none.

    The power-function average of Karras et al. 2024: its rate γ_t = 1 − (1−1/t)^{p+1} ≈ (p+1)/t makes the same share
    of the run count at every T. p = 0 is Polyak's average.

    Attributes:
        exponent: p > −1.
    """

    exponent: Scalar

    def __post_init__(self) -> None:
        validation.real("exponent", self.exponent, -1.0, np.inf, open_low=True)

    def rate(self, t: Numbers, steps: int | None = None) -> Any:
        xp = namespace(t, self.exponent)
        now: Any = xp.asarray(t, dtype=float)
        grown = -xp.expm1((self.exponent + 1.0) * xp.log1p(-1.0 / xp.maximum(now, 2.0)))
        return xp.where(now > 1.0, grown, 1.0)

    @property
    def relative_width(self) -> Any:
        """Standard deviation of the weights' profile over t, as a share of T: √((p+1)/((p+2)²(p+3))) as T → ∞."""
        p = self.exponent
        return namespace(p).sqrt((p + 1.0) / ((p + 2.0) ** 2 * (p + 3.0)))

    @classmethod
    def from_relative_width(cls, width: Scalar) -> "PowerProfile":
        """The profile with p ≥ 0 of the given `relative_width`, in (0, 1/√12].

        With q = p + 1 and S = 1/width² it is the largest root of q³ + 4q² + (5−S)q + 2 = 0, by the cosine formula.

        Raises:
            ValueError: if `width` is out of range.
        """
        # The largest width, p = 0, is let through whichever way it was rounded.
        validation.real("width", width, 0.0, math.sqrt(1.0 / 12.0) * (1.0 + 1e-15), open_low=True)
        xp = namespace(width)
        inverse = 1.0 / width**2
        linear, constant = -(inverse + 1.0 / 3.0), 4.0 / 3.0 * inverse + 2.0 / 27.0
        angle = xp.arccos(1.5 * constant / linear * xp.sqrt(-3.0 / linear)) / 3.0
        exponent = 2.0 * xp.sqrt(-linear / 3.0) * xp.cos(angle) - 7.0 / 3.0
        return cls(xp.maximum(exponent, 0.0) if xp is not np else max(float(exponent), 0.0))

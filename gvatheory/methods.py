"""Linear first-order methods: what SGD does with a gradient.

A method carries n positions s_1, ..., s_n, all started at θ_0. Step t draws a stochastic gradient g at the point
y = Σ_a h_a s_a and moves s ← A s + B g; the iterate is s_1. Rows of A and h sum to one, so that the positions may be
measured from any origin, a moving optimum included. On a quadratic every method is then a linear filter of the
gradient noise, one eigendirection at a time.
"""

import abc
import dataclasses
from typing import Any, NamedTuple

from jaxtyping import Float

from gvatheory import validation
from gvatheory.validation import Scalar, Values, namespace


class Steps(NamedTuple):
    """A method under given step sizes: h, A and B for T steps.

    An entry is a plain 0 or 1, which costs nothing, or a number, or a (T,) array over the steps.

    Attributes:
        point: h, n entries.
        transition: A, n rows of n entries.
        push: B, n entries, negative for descent.
    """

    point: tuple[Any, ...]
    transition: tuple[tuple[Any, ...], ...]
    push: tuple[Any, ...]


class Method(abc.ABC):
    """A linear first-order method."""

    @abc.abstractmethod
    def steps(self, step_sizes: Float[Values, " times"]) -> Steps:
        """The method's coefficients under step sizes η_0, ..., η_{T−1}."""


@dataclasses.dataclass(frozen=True)
class SGD(Method):
    """θ_{t+1} = θ_t − η_t g(θ_t)."""

    def steps(self, step_sizes: Float[Values, " times"]) -> Steps:
        return Steps((1,), ((1,),), (-step_sizes,))


@dataclasses.dataclass(frozen=True)
class HeavyBall(Method):
    """θ_{t+1} = θ_t − η_t g(θ_t) + μ (θ_t − θ_{t−1}), θ_{−1} = θ_0 (Polyak 1964).

    Stable on a curvature λ for a constant step with 0 < ηλ < 2(1+μ).

    Attributes:
        momentum: μ, in (−1, 1).
    """

    momentum: Scalar

    def __post_init__(self) -> None:
        validation.real("momentum", self.momentum, -1.0, 1.0, open_low=True, open_high=True)

    def steps(self, step_sizes: Float[Values, " times"]) -> Steps:
        mu = self.momentum
        return Steps((1, 0), ((1.0 + mu, -mu), (1, 0)), (-step_sizes, 0))


@dataclasses.dataclass(frozen=True)
class Nesterov(Method):
    """θ_{t+1} = y_t − η_t g(y_t), y_t = θ_t + μ (θ_t − θ_{t−1}), θ_{−1} = θ_0 (Nesterov 1983, constant momentum).

    Stable on a curvature λ for a constant step with 0 < ηλ < 2(1+μ)/(1+2μ) if μ ≥ −1/3, and with |μ(1−ηλ)| < 1 besides.

    Attributes:
        momentum: μ, in (−1, 1).
    """

    momentum: Scalar

    def __post_init__(self) -> None:
        validation.real("momentum", self.momentum, -1.0, 1.0, open_low=True, open_high=True)

    def steps(self, step_sizes: Float[Values, " times"]) -> Steps:
        ahead = (1.0 + self.momentum, -self.momentum)
        return Steps(ahead, (ahead, (1, 0)), (-step_sizes, 0))


@dataclasses.dataclass(frozen=True)
class ScheduleFree(Method):
    """Schedule-free SGD (Defazio et al. 2024, arXiv 2405.15682): the average takes part in the descent.

        y_t = (1−β) z_t + β x_t,   z_{t+1} = z_t − η_t g(y_t),   x_{t+1} = (1−c_{t+1}) x_t + c_{t+1} z_{t+1}

    with c_{t+1} = η_t^p / Σ_{s≤t} η_s^p. The iterate of the method is x: the average of z_1, ..., z_T with kernel
    η_{t−1}^p / Σ_s η_s^p, uniform for a constant step. β = 0 is SGD with that average of its iterates (primal averaging
    outside the loop), β = 1 takes every gradient at the average.

    Attributes:
        interpolation: β in [0, 1]; the authors' default is 0.9.
        weight_power: p ≥ 0; the authors use 2, so that a warm-up counts little.
    """

    interpolation: Scalar = 0.9
    weight_power: Scalar = 2.0

    def __post_init__(self) -> None:
        validation.real("interpolation", self.interpolation, 0.0, 1.0)
        validation.real("weight_power", self.weight_power, 0.0, float("inf"))

    def kernel(self, step_sizes: Float[Values, " times"]) -> Float[Values, " times"]:
        """Weights of z_1, ..., z_T in x_T, (T,); they sum to one. If no step moves, z_T has it all."""
        weights = self._weights(step_sizes)
        xp = namespace(weights)
        total = weights.sum()
        return xp.where(
            total > 0, weights / xp.where(total > 0, total, 1.0), xp.arange(1, len(weights) + 1) == len(weights)
        )

    def _weights(self, step_sizes: Float[Values, " times"]) -> Any:
        """(η_t / max η)^p: powers of the steps alone may underflow."""
        xp = namespace(step_sizes, self.weight_power)
        largest = xp.max(step_sizes, initial=0.0)
        return (step_sizes / xp.where(largest > 0, largest, 1.0)) ** self.weight_power

    def steps(self, step_sizes: Float[Values, " times"]) -> Steps:
        beta = self.interpolation
        xp = namespace(step_sizes, self.weight_power)
        weights = self._weights(step_sizes)
        total = xp.cumsum(weights)
        share = xp.where(total > 0, weights / xp.where(total > 0, total, 1.0), 1.0)  # until a step moves, x = z
        return Steps((beta, 1.0 - beta), ((1.0 - share, share), (0, 1)), (-share * step_sizes, -step_sizes))

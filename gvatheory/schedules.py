"""Step-size schedules η_t, t = 0, 1, ...: the step that takes θ_t to θ_{t+1}.

A schedule is an immutable value. Calling it at an array of step counts gives step sizes and can be traced by JAX, so
the same object drives an exact law, a simulation and the optimiser of a network.
"""

import abc
import dataclasses
from typing import Any

import numpy as np
from jaxtyping import Float

from gvatheory import validation
from gvatheory.validation import Numbers, Scalar, Values, namespace


class Schedule(abc.ABC):
    """A step size for every step count."""

    @abc.abstractmethod
    def __call__(self, t: Numbers) -> Any:
        """η_t at step counts t ≥ 0: an array of the shape of `t`; NumPy for NumPy, JAX for JAX (traceable)."""

    def step_sizes(self, steps: int) -> Float[Values, " times"]:
        """η_0, ..., η_{steps-1} in float64; a JAX array if a parameter is one.

        Raises:
            ValueError: if `steps` is not an integer of at least 0.
        """
        validation.integer("steps", steps, 0)
        return validation.float64(self(np.arange(float(steps))))


@dataclasses.dataclass(frozen=True)
class Constant(Schedule):
    """η_t = step_size.

    Attributes:
        step_size: η ≥ 0.
    """

    step_size: Scalar

    def __post_init__(self) -> None:
        validation.real("step_size", self.step_size, 0.0, np.inf)

    def __call__(self, t: Numbers) -> Any:
        return namespace(t, self.step_size).full_like(t, self.step_size, dtype=float)


@dataclasses.dataclass(frozen=True)
class PowerDecay(Schedule):
    """η_t = step_size · (1 + t/time_scale)^{−exponent}.

    Attributes:
        step_size: η_0 ≥ 0.
        exponent: decay exponent, ≥ 0.
        time_scale: steps after which the decay sets in, > 0.
    """

    step_size: Scalar
    exponent: Scalar
    time_scale: Scalar = 1.0

    def __post_init__(self) -> None:
        validation.real("step_size", self.step_size, 0.0, np.inf)
        validation.real("exponent", self.exponent, 0.0, np.inf)
        validation.positive("time_scale", self.time_scale)

    def __call__(self, t: Numbers) -> Any:
        return self.step_size * (1.0 + namespace(t).asarray(t) / self.time_scale) ** (-self.exponent)


@dataclasses.dataclass(frozen=True)
class InverseTime(Schedule):
    """η_t = scale / (offset + t): the decay whose last iterate reaches the 1/T rate if 2λ·scale > 1.

    Attributes:
        scale: c ≥ 0, in units of a step size times a step count.
        offset: steps by which the start is shifted, > 0; η_0 = scale/offset.
    """

    scale: Scalar
    offset: Scalar = 1.0

    def __post_init__(self) -> None:
        validation.real("scale", self.scale, 0.0, np.inf)
        validation.positive("offset", self.offset)

    def __call__(self, t: Numbers) -> Any:
        return self.scale / (self.offset + namespace(t).asarray(t))


@dataclasses.dataclass(frozen=True)
class Exponential(Schedule):
    """η_t = max(step_size · decay^{t/steps}, floor): a factor of `decay` every `steps` steps, without jumps.

    Attributes:
        step_size: η_0 ≥ 0 (if no less than `floor`).
        decay: factor, in (0, 1].
        steps: steps that it takes, > 0.
        floor: smallest step size, ≥ 0.
    """

    step_size: Scalar
    decay: Scalar
    steps: Scalar = 1.0
    floor: Scalar = 0.0

    def __post_init__(self) -> None:
        validation.real("step_size", self.step_size, 0.0, np.inf)
        validation.real("decay", self.decay, 0.0, 1.0, open_low=True)
        validation.positive("steps", self.steps)
        validation.real("floor", self.floor, 0.0, np.inf)

    def __call__(self, t: Numbers) -> Any:
        xp = namespace(t, self.step_size, self.decay, self.steps, self.floor)
        return xp.maximum(self.step_size * self.decay ** (xp.asarray(t) / self.steps), self.floor)


def _fraction(t: Numbers, steps: int) -> Any:
    """Share of a decay of `steps` steps that is over at step t, clipped to [0, 1]."""
    xp = namespace(t)
    return xp.clip(xp.asarray(t) / steps, 0.0, 1.0)


@dataclasses.dataclass(frozen=True)
class _Decay(Schedule):
    """From step_size at t = 0 to final at t = steps, constant afterwards."""

    step_size: Scalar
    steps: int
    final: Scalar = 0.0

    def __post_init__(self) -> None:
        validation.real("step_size", self.step_size, 0.0, np.inf)
        validation.integer("steps", self.steps, 1)
        validation.real("final", self.final, 0.0, np.inf)


@dataclasses.dataclass(frozen=True)
class Linear(_Decay):
    """From step_size at t = 0 down in a straight line to final at t = steps, constant afterwards.

    Attributes:
        step_size: η_0 ≥ 0.
        steps: length of the decay, ≥ 1.
        final: step size reached, ≥ 0.
    """

    def __call__(self, t: Numbers) -> Any:
        return self.step_size + (self.final - self.step_size) * _fraction(t, self.steps)


@dataclasses.dataclass(frozen=True)
class Cosine(_Decay):
    """From step_size at t = 0 down half a cosine to final at t = steps, constant afterwards (Loshchilov & Hutter 2017).

    Attributes:
        step_size: η_0 ≥ 0.
        steps: length of the decay, ≥ 1.
        final: step size reached, ≥ 0.
    """

    def __call__(self, t: Numbers) -> Any:
        half_cosine = 0.5 * (1.0 + namespace(t).cos(np.pi * _fraction(t, self.steps)))
        return self.final + (self.step_size - self.final) * half_cosine


@dataclasses.dataclass(frozen=True)
class WarmupStableDecay(Schedule):
    """Linear warm-up, a constant stretch, then a cool-down η·(remaining share)^{power} to zero (Hu et al. 2024, WSD).

    The warm-up's first step is step_size/warmup (not zero); step t = steps would have step size 0.

    Attributes:
        step_size: η of the constant stretch, ≥ 0.
        steps: total length, ≥ 1.
        warmup: steps of warm-up, 0 ≤ warmup ≤ steps − decay.
        decay: steps of cool-down, 0 ≤ decay ≤ steps.
        power: shape of the cool-down, > 0; 1 is linear.
    """

    step_size: Scalar
    steps: int
    warmup: int = 0
    decay: int = 0
    power: Scalar = 1.0

    def __post_init__(self) -> None:
        validation.real("step_size", self.step_size, 0.0, np.inf)
        validation.integer("steps", self.steps, 1)
        validation.integer("decay", self.decay, 0, self.steps)
        validation.integer("warmup", self.warmup, 0, self.steps - self.decay)
        validation.positive("power", self.power)

    def __call__(self, t: Numbers) -> Any:
        xp = namespace(t)
        now: Any = xp.asarray(t)
        up = xp.minimum((now + 1.0) / max(self.warmup, 1), 1.0)
        if self.decay == 0:
            return self.step_size * up
        down = xp.clip((self.steps - now) / self.decay, 0.0, 1.0) ** self.power
        return self.step_size * up * down

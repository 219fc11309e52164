"""SGD along one direction of a noisy quadratic, for any steps and any average, in the arithmetic of its arguments.

Units: errors over σ/λ, so that E e² = 1/T is the Polyak-Juditsky rate. A run is its list of products k_s = η_sλ:
e_s = (1-k_s) e_{s-1} - k_s ζ_s with ζ_s of variance one, s = 1..T. Under a drift the optimum moves by v after each
step, so that e_s is lowered by v as well. An average is its weights of θ_0..θ_T.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any, NamedTuple

import mpmath
import numpy as np
from numpy.typing import NDArray


class Response(NamedTuple):
    """How the averaged error depends on what went in: ẽ_T = bias · e_0 - Σ_s noise_s ζ_s - lag · v.

    Attributes:
        bias: of the initial error.
        noise: per step; bias + Σ noise = 1 whenever the weights sum to one.
        lag: behind the optimum of step T, per unit of drift.
    """

    bias: Any
    noise: list[Any]
    lag: Any

    def error(self, square: Any, drift: Any = 0) -> Any:
        """E ẽ_T² for a start of mean zero and second moment ``square``, drift ``drift``."""
        return self.bias**2 * square + sum(weight**2 for weight in self.noise) + (self.lag * drift) ** 2


def cooldown(k: Any, length: int, power: Any = 1) -> list[Any]:
    """Products k (τ/N)^p for τ = N..1, the last N steps of a warm-up-stable-decay run (step τ = 0 would be zero)."""
    one = k / k
    return [k * (one * tau / length) ** power for tau in range(length, 0, -1)]


def inverse_time(scale: Any, offset: Any, steps: int) -> list[Any]:
    """Products scale/(offset + i), i = 0..steps-1, scale = λc."""
    return [scale / (offset + i) for i in range(steps)]


def kept_far(scale: Any, offset: Any, last: Any) -> Any:
    """Product of all 1 - scale/s, s = offset..last, by Gamma functions, where no loop could: mpmath."""
    log = mpmath.loggamma(last + 1 - scale) - mpmath.loggamma(last + 1)
    return mpmath.exp(log + mpmath.loggamma(offset) - mpmath.loggamma(offset - scale))


def last_iterate(products: Sequence[Any], square: Any) -> Any:
    """E e_T² by its recursion, from E e_0² = square."""
    for k in products:
        square = (1 - k) ** 2 * square + k**2
    return square


def response(products: Sequence[Any], weights: Sequence[Any]) -> Response:
    """The average's response, by one backward pass (an independent route to :func:`last_iterate`)."""
    steps = len(products)
    reach = weights[steps]  # Σ over t >= s of w_t times the decay from s to t
    noise, lag = [], 0 * reach
    for s in range(steps, 0, -1):
        k = products[s - 1]
        noise.append(k * reach)
        lag = lag + reach + weights[s - 1] * (steps - s + 1)
        reach = weights[s - 1] + (1 - k) * reach
    return Response(reach, noise[::-1], lag)


def uniform(steps: int, length: int, one: Any = Fraction(1)) -> list[Any]:
    """Weights of the mean of the last ``length`` of θ_1..θ_T, in the arithmetic of ``one``."""
    return [one * int(t > steps - length) / length for t in range(steps + 1)]


def exponential(steps: int, gamma: Any) -> list[Any]:
    """Weights of the EMA with θ̃_0 = θ_0."""
    return [(1 - gamma) ** steps] + [gamma * (1 - gamma) ** (steps - t) for t in range(1, steps + 1)]


def cooled(k: Any, length: int) -> Response:
    """Response of the last iterate of a linear cool-down."""
    return response(cooldown(k, length), [0 * k] * length + [1 + 0 * k])


def stationary(k: Any) -> Any:
    """Variance of the iterate at a constant step."""
    return k / (2 - k)


def tail_law(k: Any, length: int) -> tuple[Any, Any]:
    """Mean of ``length`` iterates of a constant step, closed: variance from stationarity, and what it keeps of e_0."""
    a = 1 - k
    share = a * (1 - a**length) / (k * length)
    return (1 - 2 * share / (2 - k)) / length, share


def ema_variance(k: Any, gamma: Any) -> Any:
    """Stationary variance of an EMA, by the series law."""
    p, r = stationary(k), stationary(gamma)
    return p * r * (1 + p * r) / (p + r)


def ema_gains(k: Any, length: int) -> tuple[Any, Any]:
    """Variance of the cool-down over that of the EMA of its lag, and of the tail average over the EMA γ = 2/(N+1)."""
    run = cooled(k, length)
    gamma = 1 / (1 + run.bias / k + run.lag - 1 / k)  # the EMA lags 1/k + (1-γ)/γ
    averaged = tail_law(k, length)[0] / ema_variance(k, 2 / (k / k + length))
    return run.error(stationary(k)) / ema_variance(k, gamma), averaged


def cooldown_gain(k: Any, length: int, power: Any = 1) -> Any:
    """Variance after a cool-down from stationarity over that of the tail average."""
    return last_iterate(cooldown(k, length, power), stationary(k)) / tail_law(k, length)[0]


def cooldown_share(x: Any, power: Any = 1) -> Any:
    """Variance after a cool-down from stationarity, over k/2, in the limit k -> 0 at fixed x = kN: mpmath.

    With q = p/(p+1) and B = 2x/(p+1) it is q ∫_0^1 u^{q-1} e^{-Bu} du = q B^{-q} γ(q, B), at p = 1 √π erf(√x)/(2√x).
    """
    q, b = mpmath.mpf(power) / (power + 1), 2 * x / (mpmath.mpf(power) + 1)
    return q * b**-q * mpmath.gammainc(q, 0, b)


def sgd_over_limit(k: Any, length: int, power: Any) -> Any:
    """Variance that a cool-down from stationarity leaves, over that limit: mpmath."""
    return last_iterate(cooldown(k, length, power), stationary(k)) / (k / 2 * cooldown_share(k * length, power))


def tail_share(x: Any) -> Any:
    """The same limit for the mean of the N iterates: 2 ∫_0^1 (1-u) e^{-xu} du."""
    return 2 * (x + mpmath.expm1(-x)) / x**2


def simulate(
    products: Sequence[float], weights: Sequence[float], start: NDArray[np.float64], rng: np.random.Generator
) -> NDArray[np.float64]:
    """Averaged errors of independent runs with Gaussian noise, from their errors at the start, shape (runs,)."""
    error = start
    average = weights[0] * error
    for k, weight in zip(products, weights[1:], strict=True):
        error = (1 - k) * error - k * rng.standard_normal(len(start))
        average = average + weight * error
    return average

"""Averages of an Ornstein-Uhlenbeck path and of SGD on a quadratic: closed forms, recursions, exact transitions.

One direction of curvature λ, time s = ∫ η dt: de = -λe ds + dW and dẽ = g(s)(e - ẽ) ds, e(0) = ẽ(0). Variances are per
unit of ησ². Closed forms work in mpmath at the caller's precision, recursions in the arithmetic of their arguments.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import mpmath
import numpy as np
from numpy.typing import NDArray
from scipy import linalg


class Moments(NamedTuple):
    """Mean of ẽ over e_0; variance of e, covariance of e and ẽ, variance of ẽ."""

    mean: Any
    iterate: Any
    cross: Any
    average: Any


def overlap(rate: Any, time: Any) -> Any:
    """∫_0^s e^{-pu} du = (1 - e^{-ps})/p."""
    return -mpmath.expm1(-rate * time) / rate


def ema_moments(lam: Any, g: Any, s: Any) -> Moments:
    """The law at time s for a constant rate g != λ, as integrals of the kernel g (e^{-λu} - e^{-gu})/(g-λ)."""
    share = g / (g - lam)
    own, mixed, other = overlap(2 * lam, s), overlap(lam + g, s), overlap(2 * g, s)
    mean = (g * mpmath.exp(-lam * s) - lam * mpmath.exp(-g * s)) / (g - lam)
    return Moments(mean, own, share * (own - mixed), share**2 * (own - 2 * mixed + other))


def response(alpha: Any, scale: Any, lam: Any, s: Any, r: Any) -> Any:
    """K(s, r) = ∫_r^s w(q) e^{-λ(q-r)} dq, what noise at time r leaves in ẽ(s), for the rate g(q) = scale · q^{-alpha}.

    w(q) = g(q) exp(-∫_q^s g). Closed for alpha = 0, for 1 by
    the incomplete gamma function, for 1/2 by the error function.
    """
    if alpha == 0:
        return scale * (mpmath.exp(-lam * (s - r)) - mpmath.exp(-scale * (s - r))) / (scale - lam)
    root, centre = mpmath.sqrt(lam), scale / mpmath.sqrt(lam)
    with mpmath.extradps(int((centre**2 + lam * s) / 2) + 5):  # the two ends cancel
        if alpha == 1:
            difference = mpmath.gammainc(scale, lam * r, lam * s)
            return scale * (lam * s) ** -scale * mpmath.exp(lam * r) * difference
        difference = mpmath.erf(root * mpmath.sqrt(s) - centre) - mpmath.erf(root * mpmath.sqrt(r) - centre)
        height = mpmath.exp(lam * r - 2 * scale * mpmath.sqrt(s) + centre**2)
        return scale * mpmath.sqrt(mpmath.pi) / root * height * difference


def kept(alpha: Any, scale: Any, s: Any, q: Any) -> Any:
    """exp(-∫_q^s g): the weight that ẽ(q) keeps in ẽ(s)."""
    if alpha == 1:
        return (q / s) ** scale
    return mpmath.exp(-scale * (s ** (1 - alpha) - q ** (1 - alpha)) / (1 - alpha))


def response_by_quadrature(alpha: Any, scale: Any, lam: Any, s: Any, r: Any) -> Any:
    """K(s, r) from its definition."""
    return mpmath.quad(
        lambda q: scale * q**-alpha * kept(alpha, scale, s, q) * mpmath.exp(-lam * (q - r)), mpmath.linspace(r, s, 3)
    )


def average_variance(alpha: Any, scale: Any, lam: Any, s: Any, start: Any = 0) -> Any:
    """Variance of ẽ(s) with e(0) fixed and ẽ = e up to the time ``start``: ∫ K(s, r)² dr, by quadrature."""
    noise = mpmath.quad(lambda r: response(alpha, scale, lam, s, r) ** 2, mpmath.linspace(start, s, 4))
    if start == 0:
        return noise
    passed = kept(alpha, scale, s, start) + response(alpha, scale, lam, s, start)
    return noise + passed**2 * overlap(2 * lam, start)


def ema_after(k: Any, gamma: Any, steps: Any) -> Any:
    """Variance of SGD's EMA after T steps per unit of η²σ²: Σ_{n<=T} (γ(a^n - ρ^n)/(γ-k))², by geometric sums."""
    a, rho = 1 - k, 1 - gamma

    def total(x: Any) -> Any:
        return x * (1 - x**steps) / (1 - x)

    return (gamma / (gamma - k)) ** 2 * (total(a * a) - 2 * total(a * rho) + total(rho * rho))


def stationary_ratio(k: Any, gamma: Any) -> Any:
    """Stationary variance of SGD's EMA over that of the diffusion's, in the arithmetic of the arguments."""
    return (1 + k * gamma / ((2 - k) * (2 - gamma))) / (1 - k * gamma / (k + gamma))


def kurtosis(k: Any, gamma: Any) -> Any:
    """Stationary excess kurtosis of SGD's EMA over that of the noise, Σ K⁴/(Σ K²)²; needs four times its digits."""
    fourth = 0 * k
    for i in range(5):
        x = (1 - k) ** (4 - i) * (1 - gamma) ** i
        fourth += (1, -4, 6, -4, 1)[i] * x / (1 - x)
    return fourth * (gamma / (gamma - k)) ** 4 / ema_after(k, gamma, mpmath.inf) ** 2


def polyak_after(k: Any, steps: Any) -> Any:
    """Variance of (θ_1 + ... + θ_T)/T per unit of η²σ²: Σ_{n<=T} ((1 - a^n)/(kT))²."""
    a = 1 - k
    return (steps - 2 * a * (1 - a**steps) / k + a * a * (1 - a ** (2 * steps)) / (1 - a * a)) / (k * steps) ** 2


def recursion(lam: Any, step_sizes: Iterable[Any], rates: Iterable[Any]) -> Moments:
    """The discrete law, per unit of σ²: e' = (1 - η_tλ)e - η_tξ, ẽ' = (1 - γ_t)ẽ + γ_t e'."""
    mean = iterate_mean = 1 + 0 * lam
    iterate = cross = average = 0 * lam
    for eta, gamma in zip(step_sizes, rates, strict=True):
        a, rho = 1 - eta * lam, 1 - gamma
        iterate_mean = a * iterate_mean
        mean = rho * mean + gamma * iterate_mean
        iterate = a * a * iterate + eta * eta
        moved = a * cross
        average = rho * rho * average + 2 * gamma * rho * moved + gamma * gamma * iterate
        cross = rho * moved + gamma * iterate
    return Moments(mean, iterate, cross, average)


def power_rates(alpha: float, scale: float, eta: float, steps: int) -> NDArray[np.float64]:
    """γ_t = min(1, ηg(ηt)), t = 1..T, with g(s) = scale · s^{-alpha}: the discrete rates of one diffusion limit."""
    t = np.arange(1.0, steps + 1)
    return np.minimum(1.0, scale * eta ** (1 - alpha) * t**-alpha)


def relative_error(
    alpha: float, scale: float, lam: float, s: float, shape: NDArray[np.float64], rates: NDArray[np.float64]
) -> float:
    """Variance of averaged SGD over that of the diffusion, less one, in floats.

    Args:
        alpha: exponent of g(s) = scale · s^{-alpha}.
        scale: see alpha.
        lam: λ.
        s: time.
        shape: step sizes over their mean s/T, shape (T,).
        rates: γ_t, shape (T,).
    """
    eta = s / len(shape)
    with mpmath.workdps(20):
        limit = float(average_variance(alpha, scale, lam, s))
    return float(recursion(lam, eta * shape, rates).average) / (eta * limit) - 1


def transition(drift: NDArray[np.float64], noise: NDArray[np.float64], time: float) -> tuple[Any, Any]:
    """Flow e^{At} and covariance ∫ e^{Au} Q e^{Aᵀu} du of dx = Ax ds + Q^{1/2} dW over a time (Van Loan 1978)."""
    n = len(drift)
    block = linalg.expm(time * np.block([[-drift, noise], [np.zeros((n, n)), drift.T]]))
    flow = block[n:, n:].T
    covariance = flow @ block[:n, n:]
    return flow, (covariance + covariance.T) / 2


def exact_paths(
    drift: NDArray[np.float64],
    noise: NDArray[np.float64],
    start: NDArray[np.float64],
    times: list[float],
    runs: int,
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    """States at the last of the times, shape (runs, n), by Gaussian transitions from each time to the next."""
    state, now = np.broadcast_to(start, (runs, len(start))), 0.0
    for time in times:
        flow, covariance = transition(drift, noise, time - now)
        values, vectors = np.linalg.eigh(covariance)
        root = vectors * np.sqrt(np.maximum(values, 0))
        state = state @ flow.T + rng.standard_normal((runs, len(start))) @ root.T
        now = time
    return state


def coin_sgd(
    k: float, gamma: float, steps: int, runs: int, rng: np.random.Generator, white: bool = True
) -> NDArray[np.float64]:
    """EMA of SGD from e_0 = 0 in units of ησ, shape (runs,), with noise ±1; not white: (ξ_t + ξ_{t-1})/√2 instead."""
    error = np.zeros(runs)
    average, last = np.zeros(runs), rng.choice([-1.0, 1.0], runs)
    for _ in range(steps):
        coin = 2.0 * rng.integers(0, 2, runs) - 1.0
        error = (1 - k) * error - (coin if white else (coin + last) / np.sqrt(2))
        average = average + gamma * (error - average)
        last = coin
    return average

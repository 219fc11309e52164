"""Variance and correlation of filtered white noise, exactly: the route that knows no closed form.

The variance of B(z)/A(z) applied to unit white noise is the integral of |B/A|² over the unit circle. The recursion of
Åström, Jury and Agniel (1970) evaluates it in the field of the coefficients, without roots and without a linear system:
with α_k = a_k/a_0, β_k = b_k/a_0 at degree k, I_k = β_k² + (1-α_k²) I_{k-1} for A, B less α_k, β_k times A reversed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


def variance(numerator: Sequence[Any], denominator: Sequence[Any]) -> Any:
    """(1/2π) ∫ |B(e^{iω})/A(e^{iω})|² dω, in the arithmetic of the coefficients (Fractions stay exact).

    Args:
        numerator: b_0, b_1, ... of B, in powers of the delay z.
        denominator: a_0, a_1, ... of A, no zero of which lies in the closed unit disc.

    Raises:
        ValueError: if the filter is not stable.
    """
    degree = max(len(numerator), len(denominator)) - 1
    zero = 0 * (sum(numerator) + sum(denominator))  # lends its arithmetic to plain integers among the coefficients
    a = [zero + c for c in denominator] + [zero] * (degree + 1 - len(denominator))
    b = [zero + c for c in numerator] + [zero] * (degree + 1 - len(numerator))
    total, weight = 0, 1
    for k in range(degree, 0, -1):
        alpha, beta = a[k] / a[0], b[k] / a[0]
        if not abs(alpha) < 1:
            raise ValueError(f"filter is not stable: reflection coefficient {alpha} at degree {k}")
        total = total + weight * beta**2
        weight = weight * (1 - alpha**2)
        a, b = (
            [a[i] - alpha * a[k - i] for i in range(k)],
            [b[i] - beta * a[k - i] for i in range(k)],
        )
    return total + weight * (b[0] / a[0]) ** 2


def product(left: Sequence[Any], right: Sequence[Any]) -> list[Any]:
    """Coefficients of the product of two polynomials."""
    out: list[Any] = [0] * (len(left) + len(right) - 1)
    for i, x in enumerate(left):
        for j, y in enumerate(right):
            out[i + j] += x * y
    return out


def training_filter(k: Any, gamma: Any, momentum: Any = 0) -> tuple[list[Any], list[Any]]:
    """(B, A) from the gradient noise over λ to the averaged iterate: heavy ball, then an EMA of rate γ."""
    return [k * gamma], product([1, k - 1 - momentum, momentum], [1, gamma - 1])


def autocorrelation(lag: int, numerator: Sequence[Any], denominator: Sequence[Any]) -> Any:
    """Correlation of the filtered noise with itself ``lag`` steps later: 1 - E(x_{t+j} - x_t)²/2V."""
    difference = product(numerator, [1] + [0] * (lag - 1) + [-1]) if lag else [0]
    return 1 - variance(difference, denominator) / (2 * variance(numerator, denominator))


def correlations(k: Any, gamma: Any, count: int) -> list[Any]:
    """r_0..r_count of an EMA of SGD: r_1 by :func:`autocorrelation`, the rest by the recursion of two poles."""
    a, rho = 1 - k, 1 - gamma
    found = [1 + 0 * k, autocorrelation(1, *training_filter(k, gamma))]
    while len(found) <= count:
        found.append((a + rho) * found[-1] - a * rho * found[-2])
    return found[: count + 1]


def moments(k: Any, gamma: Any, momentum: Any) -> tuple[Any, Any]:
    """Stationary E e² and E ẽ² over σ²/λ² of heavy ball and its EMA, by elimination in their linear equations.

    In the arithmetic of the arguments, symbols included.
    """
    rho, phi = 1 - gamma, 1 + momentum - k
    lag = phi / (1 + momentum)  # E e_t e_{t-1} over E e_t²
    square = k**2 / (1 - phi**2 - momentum**2 + 2 * phi * momentum * lag)
    # E e_{t-1} ẽ_t = ρ E e_t ẽ_t + γ E e_t e_{t-1}, put into E e_t ẽ_t = ρ (φ E e_t ẽ_t - μ E e_{t-1} ẽ_t) + γ E e_t².
    cross = gamma * square * (1 - rho * momentum * lag) / (1 - rho * phi + rho**2 * momentum)
    moved = phi * cross - momentum * (rho * cross + gamma * lag * square)  # E e_{t+1} ẽ_t
    return square, (gamma**2 * square + 2 * gamma * rho * moved) / (1 - rho**2)


def simulate(
    k: float, gamma: float, momentum: float, steps: int, count: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """λẽ/σ of independent runs after ``steps`` steps from the optimum, shape (count,)."""
    before, now, average = (np.zeros(count) for _ in range(3))
    for _ in range(steps):
        before, now = now, (1 + momentum - k) * now - momentum * before - k * rng.standard_normal(count)
        average += gamma * (now - average)
    return average

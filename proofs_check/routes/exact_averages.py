"""Averages of iterates as lists of fractions: kernels, linear systems, and the error of a combination of iterates.

Steps are k_t = η_tλ and the noise is in units of σ/λ: e_{t+1} = (1-k_t) e_t - k_t ζ_t, ζ white with variance 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray


def kernel(rates: Sequence[Fraction], length: int) -> list[Fraction]:
    """Weights of θ_0, θ_1, ... in the average of rates γ_1..γ_s, followed by zeros up to ``length``."""
    weights = [Fraction(1)]
    for rate in rates:
        weights = [(1 - rate) * weight for weight in weights] + [Fraction(rate)]
    return weights + [Fraction(0)] * (length - len(weights))


def ema_rates(gamma: Fraction, steps: int) -> list[Fraction]:
    """Rates of an EMA."""
    return [gamma] * steps


def power_rates(exponent: int, steps: int) -> list[Fraction]:
    """Rates of the profile t^p (Karras et al. 2024), exponent p >= 0; the uniform average for p = 0."""
    return [1 - (1 - Fraction(1, t)) ** (exponent + 1) for t in range(1, steps + 1)]


def dot(left: Sequence[Any], right: Sequence[Any]) -> Any:
    """Inner product."""
    return sum((x * y for x, y in zip(left, right, strict=True)), 0 * left[0])


def solve(matrix: Sequence[Sequence[Any]], right: Sequence[Any]) -> list[Any]:
    """Solution of a linear system by Gauss-Jordan elimination in the arithmetic of its entries, fractions or symbols.

    Raises:
        ZeroDivisionError: if the matrix is singular.
    """
    rows = [[*row, value] for row, value in zip(matrix, right, strict=True)]
    size = len(rows)
    for i in range(size):
        found = next((r for r in range(i, size) if rows[r][i] != 0), i)
        rows[i], rows[found] = rows[found], rows[i]
        rows[i] = [x / rows[i][i] for x in rows[i]]
        for j in range(size):
            if j != i and rows[j][i] != 0:
                rows[j] = [x - rows[j][i] * y for x, y in zip(rows[j], rows[i], strict=True)]
    return [row[-1] for row in rows]


def squared_error(residual: Sequence[Any], steps: Sequence[Any], start: Any = 0) -> Any:
    """E (Σ_t r_t e_t)² from e_0 = start, over σ²/λ², by one backward pass.

    Args:
        residual: r_0..r_T.
        steps: k_0..k_{T-1}.
        start: e_0, in units of σ/λ.
    """
    weight, total = residual[-1], 0
    for r, k in zip(residual[-2::-1], steps[::-1], strict=True):
        total = total + (k * weight) ** 2
        weight = r + (1 - k) * weight
    return total + (start * weight) ** 2


def covariance(steps: NDArray[np.float64], start: float = 0.0) -> NDArray[np.float64]:
    """E e_s e_t, shape (T+1, T+1), in floating point: the matrix whose quadratic form is :func:`squared_error`."""
    count = len(steps) + 1
    filtered = np.zeros((count, count))  # first column: e_0; column j+1: noise of step j
    filtered[0, 0] = start
    for t, k in enumerate(steps):
        filtered[t + 1] = (1 - k) * filtered[t]
        filtered[t + 1, t + 1] = -k
    return filtered @ filtered.T


def worst_residual(second_moments: NDArray[np.float64]) -> NDArray[np.float64]:
    """Unit vector r with Σr = 0 and the largest rᵀCr."""
    count = len(second_moments)
    centre = np.eye(count) - 1 / count
    return np.linalg.eigh(centre @ second_moments @ centre)[1][:, -1] @ centre

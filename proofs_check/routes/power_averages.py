"""Exact moments of the averages of proposition A2 on a quadratic, in units λ = σ = 1, in any arithmetic."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import mpmath

from proofs_check.judging import real


@dataclass(frozen=True)
class Average:
    """Of θ̃_T: variance, bias per unit of e_0, and Σ_t w_t², all in units of σ/λ."""

    variance: Any
    bias: Any
    squares: Any

    def error(self, start: Any) -> Any:
        """E ẽ_T² from e_0² = start."""
        return self.variance + start * self.bias**2


def moments(k: Any, rates: Sequence[Any]) -> Average:
    """By the joint recursion of E e², E e ẽ, E ẽ²; rates γ_1..γ_T, of which the first must be 1 for Σ w²."""
    a = 1 - k
    iterate, cross, variance, squares = 0 * k, 0 * k, 0 * k, 0 * k
    bias = power = 1 + 0 * k
    for rate in rates:
        moved, kept = a * cross, 1 - rate
        iterate = a * a * iterate + k * k
        variance = kept * kept * variance + 2 * rate * kept * moved + rate * rate * iterate
        cross = kept * moved + rate * iterate
        power = power * a
        bias = kept * bias + rate * power
        squares = kept * kept * squares + rate * rate
    return Average(variance, bias, squares)


def power_rates(alpha: Any, steps: int, burn_in: int = 0) -> list[Any]:
    """γ_t = 1 up to the burn-in, then (t - t0)^{-α}; floats for a float α, else at mpmath's precision."""
    if isinstance(alpha, float):
        return [1.0] * burn_in + [t**-alpha for t in range(1, steps - burn_in + 1)]
    return [mpmath.mpf(1)] * burn_in + [mpmath.mpf(t) ** -real(alpha) for t in range(1, steps - burn_in + 1)]

"""The symbolic part of proposition A8: correlations of an average, Plackett's identity, expansion of the fall rate."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import sympy

from proofs_check.interface import Trial
from proofs_check.judging import up_to_refutation, vanishes


@cache
def identities(claim: Any) -> tuple[Trial, ...]:
    """The trials, up to the first that fails; kept, because mutants that leave the formulas alone share them.

    Args:
        claim: gives correlation(j, a, ρ), window(correlations, n), damping and second_order.
    """
    a, rho, x, y, t, u, start, end, lag = sympy.symbols("a rho x y t u A R j", positive=True)
    k, g, size = 1 - a, 1 - rho, 1 + a * rho
    r: list[Any] = [claim.correlation(j, a, rho) for j in range(4)]

    def powers(expression: Any) -> Any:
        """A rational function of a, ρ, j, A = a^j and R = ρ^j: what holds for it holds for every j."""
        return sympy.expand_power_exp(expression).subs({a**lag: start, rho**lag: end})

    def trials() -> Iterator[Trial]:
        later: list[Any] = [powers(claim.correlation(lag + i, a, rho)) for i in range(3)]
        yield vanishes(r[0] - 1, "r_0 = 1")
        yield vanishes(1 - r[1] - k * g / size, "1 - r_1")
        yield vanishes(later[2] - (a + rho) * later[1] + a * rho * later[0], "recursion of r_j")
        top = sympy.diff(claim.correlation(lag, a, rho) * (a - rho), a)
        limit = powers((top.subs(a, rho) - claim.correlation(lag, rho, rho)) * rho)
        yield vanishes(limit, "limit a = ρ")
        weight = -a * (1 - rho**2) / ((rho - a) * size)
        yield vanishes(later[0] - weight * start - (1 - weight) * end, "mixture of a^j and ρ^j")
        yield vanishes(1 - weight - rho * (1 - a**2) / ((rho - a) * size), "weight of ρ^j")
        yield vanishes(r[1] - r[2] - k * g * (rho + a + a * rho) / size, "r_1 - r_2")
        yield vanishes((2 - k) * (2 - g) - 1 - (rho + a + a * rho), "(2-k)(2-γ) - 1")
        fall = later[1] - later[2] - a * rho * (later[0] - later[1]) - k * g * later[1]
        yield vanishes(fall, "r_{j+1} - r_{j+2} from r_j - r_{j+1}")
        for n in range(2, 5):
            pairs = sympy.Add(*[2 * (n - j) * (1 - r[j]) for j in range(1, n)]) / (n * (n - 1))
            yield vanishes(claim.window(r, n) - pairs, f"W_{n} is the mean of 1 - r_j over pairs")
        slope: Any = powers(sympy.diff(claim.correlation(lag, a, rho), rho).subs(rho, 1))  # d(1-r_j)/dγ at γ = 0
        yield vanishes(slope - lag + 2 * a * (1 - start) / (1 - a**2), "1 - r_j at small γ")
        exponent = -(x**2 - 2 * t * x * y + y**2) / (2 * (1 - t**2))
        logarithm = exponent - sympy.log(1 - t**2) / 2  # of 2π times the bivariate density
        dx, dy = sympy.diff(logarithm, x), sympy.diff(logarithm, y)
        yield vanishes(sympy.diff(logarithm, t) - sympy.diff(dx, y) - dx * dy, "Plackett: ∂φ₂/∂r = ∂²φ₂/∂x∂y")
        yield vanishes(exponent.subs({x: u, y: u}) + u**2 / (1 + t), "density at the corner")
        gap, p, q = k * g / size, k / (2 - k), g / (2 - g)
        yield vanishes(
            u**2 * gap / (2 * (2 - gap)) - sympy.Rational(claim.damping) * u**2 * p * q, "damping: δ/(2-δ) = PR"
        )
        yield vanishes(size * (1 - gap / 2) - 2 * (1 - k / 2) * (1 - g / 2), "upper bound in k and γ")
        h: Any = sympy.exp(-(u**2) * x / (2 * (2 - x))) / sympy.sqrt(1 - x / 2)
        first: Any = sympy.diff(h, x).subs(x, 0) * sympy.Rational(1, 3)  # ∫ x^{1/2} / ∫ x^{-1/2} over [0, δ] is δ/3
        yield vanishes(first - sympy.Rational(claim.second_order) * (1 - u**2), "first order of rate/ν")

    return up_to_refutation(trials())

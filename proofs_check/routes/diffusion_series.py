"""The symbolic side of the diffusion limit: moment equations, the series of SGD's variance in the step, its ratio.

What does not depend on a claim is proved once per process.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import sympy

from proofs_check.interface import Trial
from proofs_check.judging import vanishes
from proofs_check.routes.ornstein_uhlenbeck import stationary_ratio

lam, g, s, k, gamma, x, y = sympy.symbols("lambda g s k gamma x y", positive=True)
ONCE, OTHER = sympy.symbols("E1 E2", positive=True)  # e^{-λs} and e^{-gs}


def along(value: Any) -> Any:
    """d/ds of an expression in s, e^{-λs} and e^{-gs}."""
    return sympy.diff(value, s) - lam * ONCE * sympy.diff(value, ONCE) - g * OTHER * sympy.diff(value, OTHER)


def moments() -> tuple[Any, Any, Any]:
    """Mean of ẽ, covariance of e and ẽ, variance of ẽ at a constant rate, as the proposition states them."""
    own, mixed, other = (1 - ONCE**2) / (2 * lam), (1 - ONCE * OTHER) / (lam + g), (1 - OTHER**2) / (2 * g)
    share = g / (g - lam)
    return (g * ONCE - lam * OTHER) / (g - lam), share * (own - mixed), share**2 * (own - 2 * mixed + other)


@cache
def moment_equations() -> tuple[Trial, ...]:
    """They solve their equations, from zero covariances, and SGD's variance tends to theirs."""
    mean, cross, average = moments()
    start = {ONCE: 1, OTHER: 1}
    return (
        vanishes(along(mean) - g * (ONCE - mean), "mean of ẽ"),
        vanishes(along(cross) + (lam + g) * cross - g * (1 - ONCE**2) / (2 * lam), "covariance of e and ẽ"),
        vanishes(along(average) - 2 * g * (cross - average), "variance of ẽ"),
        *(vanishes(value.subs(start) - first, "start") for value, first in ((mean, 1), (cross, 0), (average, 0))),
        vanishes(first_order()[0] - average, "limit of SGD's variance"),
    )


def decay(p: Any) -> Any:
    """e^{-ps} for p = 2λ, λ+g and 2g."""
    return {2 * lam: ONCE**2, lam + g: ONCE * OTHER, 2 * g: OTHER**2}[p]


@cache
def first_order() -> tuple[Any, Any]:
    """Variance of SGD's EMA per unit of ησ² at η = 0, and its derivative in η there.

    The sums of x^n with x = (1-ηp)(1-ηr) are x(1 - x^T)/(1 - x), where x^T = exp((s/η) ln x) = e^{-(p+r)s + O(η)} and
    1 - x = η(p + r - ηpr).
    """
    eta, z = sympy.symbols("eta z", positive=True)
    logarithm = sympy.series(sympy.log(1 - z), z, 0, 3).removeO()

    def total(p: Any, r: Any) -> Any:
        exponent = sympy.expand((logarithm.subs(z, eta * p) + logarithm.subs(z, eta * r)) / eta + p + r) * s
        value = (1 - eta * p) * (1 - eta * r) * (1 - decay(p + r) * sympy.exp(exponent)) / (p + r - eta * p * r)
        return sympy.Matrix([value.subs(eta, 0), sympy.diff(value, eta).subs(eta, 0)])

    sums = (total(lam, lam) - 2 * total(lam, g) + total(g, g)) * (g / (g - lam)) ** 2
    return sums[0], sums[1]


@cache
def series_law() -> Trial:
    """The stationary ratio against P R (1 + P R)/(P + R), P = k/(2-k), R = γ/(2-γ), of theory.md."""
    p, r = k / (2 - k), gamma / (2 - gamma)
    limit = k * gamma / (2 * (k + gamma))
    return vanishes(p * r * (1 + p * r) / (p + r) / limit - stationary_ratio(k, gamma), "stationary ratio")


def over_all_rates(gap: Any) -> list[sympy.Poly]:
    """Numerator and denominator of a rational function of k in (0, 2) and γ in (0, 1], as k = 2/(1+x), γ = 1/(1+y).

    If no coefficient of either is negative, the function is >= 0 on the whole range.
    """
    top, bottom = sympy.fraction(sympy.cancel(sympy.together(gap.subs({k: 2 / (1 + x), gamma: 1 / (1 + y)}))))
    sign = sympy.sign(bottom.subs({x: 1, y: 1}))
    return [sympy.Poly(sign * part, x, y) for part in (top, bottom)]


@cache
def fourth_moment() -> Any:
    """∫K⁴/(∫K²)² for K = e^{-ku} - e^{-γu}, term by term."""
    fourth = sum((-1) ** i * sympy.binomial(4, i) / ((4 - i) * k + i * gamma) for i in range(5))
    square = 1 / (2 * k) - 2 / (k + gamma) + 1 / (2 * gamma)
    return sympy.cancel(sympy.together(fourth / square**2))

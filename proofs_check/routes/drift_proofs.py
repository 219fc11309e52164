"""Symbolic proofs about averages behind a moving optimum: the best constant rate, and the limit of power averages."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import sympy

from proofs_check.interface import Trial
from proofs_check.judging import nonnegative_coefficients, vanishes


def fixed_points(lag_of: Callable[[Any, Any, Any], Any]) -> Iterator[Trial]:
    """Stationary lag, as the claim has it for (k, γ, v), and variance of SGD and its average, σ/λ = 1."""
    k, g, v = sympy.symbols("k gamma v", positive=True)
    a, rho, reach = 1 - k, 1 - g, 1 / k + 1 / g - 1
    lag = lag_of(k, g, v)
    yield vanishes(rho * (lag + v) + g * v / k - lag, "lag of the average, that of SGD being v/k")
    yield vanishes(a * v / k + v - v / k, "lag of SGD")
    after = lag_of(k, sympy.Integer(1), v) - v
    yield vanishes(a * (after + v) - after, "lag of SGD with the gradient at θ*_{t+1}")
    p, r = k / (2 - k), g / (2 - g)
    cross = g * p / (1 - a * rho)
    spread = (1 + p * r) / (2 * reach)
    yield vanishes(a**2 * p + k**2 - p, "variance of SGD, σ/λ = 1")
    yield vanishes(rho**2 * spread + 2 * g * rho * a * cross + g**2 * p - spread, "variance of the average")


def best_rate(excess: Any, threshold: Any) -> Iterator[Trial]:
    """The loss s² + 2S³(1+PR)/s over v² as a function of s, R = P/(2sP-1): convex, and close to its first two terms."""
    k, s, best, p, u, eps = sympy.symbols("k s S P u epsilon", positive=True)
    small = s**2 + 2 * best**3 / s
    yield vanishes(small - 3 * best**2 - (s - best) ** 2 * (s + 2 * best) / s, "distance from the minimum 3S²")
    ratio = p / (2 * s * p - 1)
    yield vanishes(1 / p + 1 / ratio - 2 * s, "1/P + 1/R = 2s")
    loss = small + 2 * best**3 * p * ratio / s
    bend = sympy.diff(p * ratio / s, s, 2).subs(s, (1 + u) / (2 * p))
    for part in sympy.fraction(sympy.cancel(bend)):
        yield nonnegative_coefficients(sympy.Poly(part, u, p), "PR/s is convex")
    slope = sympy.diff(loss, s).subs(p, k / (2 - k)).subs(s, 1 / k)
    yield vanishes(slope * k * (2 - k) / 2 - (2 - k) + threshold * (k * best) ** 3, "slope at γ = 1")
    excess = sympy.Rational(excess)
    yield vanishes((loss - 3 * best**2 * (1 + excess * p * ratio)).subs(s, best), "loss at s = τ*")
    clipped = excess * ((best + u) ** 3 + 2 * best**3) - 2 * best**3
    yield nonnegative_coefficients(sympy.Poly(clipped, u, best), "loss at s = 1/k > τ*")
    late = small.subs(s, best - 1).subs(best, 1 / eps) * eps**2 / 3
    yield vanishes(late - 1 - eps**2 * (3 - eps) / (3 * (1 - eps)), "loss at s = τ* - 1")


def power_limit(low: Any, high: Any) -> Iterator[Trial]:
    """The limit 1/(g+1)² + 4z³g²/(2g-1): where it is least, and how far that is from zg = 1."""
    g, x, u, cube = sympy.symbols("g x u z3", positive=True)
    lag = x**g - g * x ** (g + 1) / (g + 1)
    yield vanishes(sympy.diff(lag, x) - (1 - x) * g * x ** (g - 1), "∫(1-x)w")
    yield vanishes(sympy.diff(g**2 * x ** (2 * g - 1) / (2 * g - 1), x) - (g * x ** (g - 1)) ** 2, "∫w²")
    slope = sympy.diff(1 / (g + 1) ** 2 + 4 * cube * g**2 / (2 * g - 1), g)
    least = (2 * g - 1) ** 2 / (4 * g * (g - 1) * (g + 1) ** 3)
    yield vanishes(slope.subs(cube, least), "minimum over g")
    falls = -sympy.cancel((sympy.diff(least, g) / least).subs(g, 1 + u))
    for part in sympy.fraction(sympy.cancel(falls)):
        yield nonnegative_coefficients(sympy.Poly(part, u), "z³ falls as g grows, from infinity at g = 1")
    edge = sympy.Rational(10327, 10000)
    yield Trial(math.inf if least.subs(g, edge) > 1 else -1, "z <= 1 needs g > 1.0327")
    top, bottom = g**2 * (2 * g - 1) ** 2, 4 * (g - 1) * (g + 1) ** 3
    yield vanishes(g**3 * least - top / bottom, "(zg)³")
    for factor, start, sign in ((low, sympy.Integer(1), 1), (high, edge, -1)):
        gap = sympy.Poly(sign * (top - sympy.Rational(factor) ** 3 * bottom), g)
        proved = sympy.sign(gap.eval(start)) == 1 and gap.count_roots(start, None) == 0
        yield Trial(math.inf if proved else -1, f"(zg)³ against {factor}³, by Sturm's theorem")

"""Symbolic proofs about the linear scaling rule: variances on the quadratic, stability in regression."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import sympy

from proofs_check.interface import Trial
from proofs_check.judging import nonnegative_coefficients, vanishes
from proofs_check.routes.batch_scaling import ema_variance


def variance(deviation: Any) -> Iterator[Trial]:
    """Q - 1, its bound ``deviation`` · h on x, y <= 1 and its growth; the factor at a fixed γ; SGD; s steps."""
    k, g, x, y, s, p, q = sympy.symbols("k gamma x y s p q", positive=True)
    h = x * y / (x + y)
    excess = h * (1 + (x + y) / ((2 - x) * (2 - y))) / (1 - h)
    yield vanishes(2 / h * ema_variance(x, y) - 1 - excess, "Q - 1")
    gap = sympy.cancel((deviation - excess / h).subs({x: 1 / (1 + p), y: 1 / (1 + q)}))
    for part in sympy.fraction(gap):
        yield nonnegative_coefficients(sympy.Poly(part, p, q), "Q <= 1 + ch for x, y <= 1")
    yield vanishes(sympy.diff(h, x) - (y / (x + y)) ** 2, "h grows with x, and so 1/(1-h)")
    yield vanishes(sympy.diff(x / (2 - x), x) - 2 / (2 - x) ** 2, "P grows with k, and so PR")
    kept = (1 / k + 1 / g - 1) / (1 / k + s * (1 / g - 1))
    factor = ema_variance(s * k, g) / s / ema_variance(k, g)
    products = [z * g / ((2 - z) * (2 - g)) for z in (k, s * k)]
    yield vanishes(factor - kept * (1 + products[1]) / (1 + products[0]), "factor at fixed γ")
    small = sympy.cancel(kept.subs({k: k * p, g: g * p})).subs(p, 0)
    yield vanishes(small - (g + k) / (g + s * k), "factor at fixed γ, small steps")
    yield vanishes(small.subs({g: k / 6, s: 8}) - sympy.Rational(1, 7), "7-fold at s = 8, γ = k/6")
    yield vanishes(ema_variance(k, sympy.Integer(1)) - k / (2 - k), "SGD")
    squares = s * (s + 1) * (2 * s + 1) / 6
    yield vanishes(squares - squares.subs(s, s - 1) - s**2, "Σ j², the EMA's variance over s steps as k and γ vanish")


def stability(critical: Any) -> Iterator[Trial]:
    """κ for η = (2/L) b/(b + c), a ratio ρ = λ/L = 1/(1+u) at a time, c = 1 + v; c = ``critical`` + r is enough."""
    rho, eta, u, v, b, c = sympy.symbols("rho eta u v b c", positive=True)
    term = rho / (b + c - rho * (b + 1))
    yield vanishes((eta * rho / (2 * b - eta * rho * (b + 1))).subs(eta, 2 * b / (b + c)) - term, "κ in terms of c")
    at = {rho: 1 / (1 + u), c: 1 + v}
    for expression, witness in ((rho / (c - 1) - term, "κ <= r/(c-1)"), (-sympy.diff(term, c), "κ falls with c")):
        for part in sympy.fraction(sympy.cancel(expression.subs(at))):
            yield nonnegative_coefficients(sympy.Poly(part, u, v, b), witness)
    yield vanishes(sympy.diff(term, b) / sympy.diff(term, c) - (1 - rho), "dc/db = -(1-ρ)")
    yield vanishes(u / (critical + u - 1) - 1, "r/(c-1) = 1 at c = 1 + r")

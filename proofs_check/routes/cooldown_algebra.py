"""Decaying steps and averages, symbolically: identities, and linear cool-downs as polynomials in k with their limits.

Units and symbols are those of :mod:`proofs_check.routes.decay_laws`; both start from the stationary variance k/(2-k).
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from functools import cache
from typing import Any, NamedTuple

import sympy

from proofs_check.interface import Trial
from proofs_check.judging import equal, nonnegative_coefficients, vanishes

K = sympy.Symbol("k")
KAPPA, RATIO = sympy.symbols("kappa r", positive=True)


class Laws(NamedTuple):
    """Variance times 2-k, share kept of e_0, and lag per unit of drift times k, from the stationary lag."""

    variance: sympy.Poly
    kept: sympy.Poly
    lag: sympy.Poly


@cache
def cooled_laws(length: int) -> Laws:
    """The linear cool-down over ``length`` steps."""
    one, rate = sympy.Poly(1, K, domain="QQ"), sympy.Poly(K, K, domain="QQ")
    variance, kept, lag = rate, one, one
    for tau in range(length, 0, -1):
        step = rate * sympy.Rational(tau, length)
        variance = (one - step) ** 2 * variance + step**2 * (2 - rate)
        kept, lag = kept * (one - step), (one - step) * lag + rate
    return Laws(variance, kept, lag)


@cache
def averaged_laws(length: int, lag_offset: int) -> Laws:
    """The mean of ``length`` iterates of the constant step; its lag is 1/k + (length - lag_offset)/2."""
    one, rate = sympy.Poly(1, K, domain="QQ"), sympy.Poly(K, K, domain="QQ")
    share: Any = sum(((one - rate) ** n for n in range(1, length + 1)), 0 * one) * sympy.Rational(1, length)
    lag = one + rate * sympy.Rational(length - lag_offset, 2)
    return Laws((2 - rate - 2 * share) * sympy.Rational(1, length), share, lag)


def nonnegative_up_to(polynomial: sympy.Poly, end: int, witness: str) -> Trial:
    """The trial that p >= 0 on (0, end]: (1+y)^degree p(end/(1+y)) has no negative coefficient in y >= 0."""
    y = sympy.Symbol("y")
    shift = sympy.Poly(1 + y, y, domain="QQ")
    terms = [c * end**n * shift ** (polynomial.degree() - n) for (n,), c in polynomial.terms()]
    return nonnegative_coefficients(sum(terms, 0 * shift), witness)


def small_runs(
    length: int, lag_offset: int, threshold: Fraction, end: int, averaging_wins: bool, cooldown_forgets: bool
) -> Iterator[Trial]:
    """Variances, shares kept and lags, ordered for all k in (0, end]; and the threshold of bias and drift as k -> 0.

    Args:
        length: N >= 3.
        lag_offset: see :func:`averaged_laws`.
        threshold: excess of E e_0² over the stationary variance, in units of it, at which both runs have equal errors.
        end: largest k.
        averaging_wins: whether the cool-down has the larger variance.
        cooldown_forgets: whether the average keeps more of e_0.
    """
    cooled, averaged = cooled_laws(length), averaged_laws(length, lag_offset)
    cost, gain = cooled.variance - averaged.variance, averaged.kept - cooled.kept
    yield nonnegative_up_to(cost * (1 if averaging_wins else -1), end, f"variances, N={length}")
    yield nonnegative_up_to(gain * (1 if cooldown_forgets else -1), end, f"shares kept, N={length}")
    yield nonnegative_up_to(averaged.lag - cooled.lag, end, f"lags, N={length}")
    for name in ("kept", "lag"):
        below = getattr(averaged, name) ** 2 - getattr(cooled, name) ** 2
        found = cost.coeff_monomial(K**3) - sympy.Rational(str(threshold)) * below.coeff_monomial(K**2)
        yield vanishes(found, f"threshold by {name} as k -> 0, N={length}")


@cache
def limit_trials() -> tuple[Trial, ...]:
    """Identities of the limit k -> 0 at x = kN: mixtures of exponentials, their means and crossings, the lag."""
    s, u, x = sympy.symbols("s u x", positive=True)
    n = sympy.Symbol("n", integer=True, nonnegative=True)
    root = sympy.sqrt(sympy.pi) * sympy.erf(sympy.sqrt(x)) / 2  # √x C, zero at x = 0
    means = [sympy.integrate(density * u, (u, 0, 1)) for density in (1 / (2 * sympy.sqrt(u)), 2 * (1 - u))]
    lag = sympy.exp(-x / 2) + sympy.sqrt(sympy.pi * x / 2) * sympy.erf(sympy.sqrt(x / 2))
    whole = sympy.sqrt(sympy.pi / (2 * x)) * sympy.erf(sympy.sqrt(x / 2))  # ∫ e^{-xs²/2} ds over [0, 1]
    part = (1 - sympy.exp(-x / 2)) / x  # ∫ s e^{-xs²/2} ds
    # Taylor polynomials from the moments: of C, A and (1-e^{-x})/x. C - A and the difference of squares begin at x².
    moments = 1 / (2 * n + 1), 2 / ((n + 1) * (n + 2)), 1 / (n + 1), 1 + 0 * n
    cool, tail, kept, gone = (sum((-x) ** j / sympy.factorial(j) * m.subs(n, j) for j in range(4)) for m in moments)
    threshold = sympy.series(sympy.cancel((cool - tail) / (kept**2 - gone)), x, 0, 2).removeO()
    return (
        vanishes(sympy.diff(root, x) - sympy.exp(-x) / (2 * sympy.sqrt(x)), "√x C is the integral of e^{-y}/(2√y)"),
        vanishes(sympy.diff(x - 1 + sympy.exp(-x), x, 2) - sympy.exp(-x), "x²A/2 is the double integral of e^{-y}"),
        vanishes(1 / (n + 1) - 1 / (n + 2) - 1 / ((n + 1) * (n + 2)), "moments of 2(1-u)"),
        vanishes(means[0] - means[1], "equal means of the mixing densities"),
        equal(sympy.Poly(1 - 4 * s * (1 - s**2), s).count_roots(0, 1), 2, "sign changes of their difference, s = √u"),
        vanishes(threshold - sympy.Rational(1, 5) - 4 * x / 35, "threshold of bias, to first order in x"),
        vanishes(lag - 1 - x * (whole - part), "g = 1 + x ∫ (1-s) e^{-xs²/2} ds"),
    )


@cache
def decay_trials() -> tuple[Trial, ...]:
    """Identities behind the steps c/s, the best linear filter and power cool-downs."""
    s, kappa, n, q, v, h = sympy.symbols("s kappa n q v H", positive=True)
    best = (1 + n * v) / n * (h - n * v / (1 + n * v)) ** 2
    return (
        vanishes(kappa**2 / (2 * kappa - 1) - 1 - (kappa - 1) ** 2 / (2 * kappa - 1), "κ²/(2κ-1) >= 1"),
        vanishes((1 - 1 / s) / (s - 1) * v + h / s - (v + h) / s, "c = 1/λ is the running mean of the noise"),
        vanishes((1 - h) ** 2 * v + h**2 / n - v / (1 + n * v) - best, "the best linear filter"),
        vanishes(1 - n / (q + n) - q / (q + n), "e^{-B} + B ∫u^q e^{-Bu} = q ∫u^{q-1} e^{-Bu}, order n"),
        vanishes((2 * s - 1) ** 2 * (4 * s + 1) - 4 * s**2 * (4 * s - 3) - 1, "(s+¼)Γ(s+½)²/Γ(s+1)² increases"),
        vanishes((2 * s - 1) ** 2 * (2 * s + 1) - (4 * s**2 - 1) * (2 * s - 1), "(s+½)Γ(s+½)²/Γ(s+1)² decreases"),
    )


@cache
def defect(lead: Any, shift: Fraction, below: bool) -> tuple[Trial, ...]:
    """Trials that lead/(s + x(1-κ)), x = shift, is a subsolution of the variance under c/s, or a supersolution, s >= κ.

    The defect is κ²(1-κ)²/(2κ-1) over three denominators, times a factor (2x-1)s - x(1-κ+x(2κ-1)) of one sign.
    """
    s, above = sympy.symbols("s above", positive=True)
    x = sympy.Rational(str(shift))
    first, second = (step + x * (1 - KAPPA) for step in (s, s - 1))
    found = lead / first - (1 - KAPPA / s) ** 2 * lead / second - KAPPA**2 / s**2
    factor = (2 * x - 1) * s - x * (1 - KAPPA + x * (2 * KAPPA - 1))
    known = KAPPA**2 * (1 - KAPPA) ** 2 / (2 * KAPPA - 1) * factor / (s**2 * first * second)
    signed = sympy.Poly((-factor if below else factor).subs(s, KAPPA + above), above, KAPPA)
    name = f"{'sub' if below else 'super'}solution with shift {shift}"
    return vanishes(found - known, f"defect, {name}"), nonnegative_coefficients(signed, f"sign, {name}")


@cache
def two_curvatures(lead: Any, penalty: Any) -> Trial:
    """The trial that lead - penalty = (κ-κ*)(κ-rκ*)/(2κ-1), κ* = (1+r)/(2r), which decides the worst direction."""
    star = (1 + RATIO) / (2 * RATIO)
    known = (KAPPA - star) * (KAPPA - RATIO * star) / (2 * KAPPA - 1)
    return vanishes(lead - penalty - known, "one c for two curvatures")


@cache
def polyak_sum(shift: int) -> tuple[Trial, ...]:
    """Σ_{n<=T} (1-a^n)² in the claim's form, by induction over T, D = a^T."""
    d, n = sympy.symbols("D n", positive=True)
    a = 1 - K
    total, before = (
        t - a * (shift - K) / (K * (2 - K)) + 2 * a * e / K - (a * e) ** 2 / (K * (2 - K))
        for t, e in ((n, d), (n - 1, d / a))
    )
    step = vanishes(total - before - (1 - d) ** 2, "Polyak's sum, from T-1 to T")
    return step, vanishes(total.subs({n: 0, d: 1}), "Polyak's sum, empty")

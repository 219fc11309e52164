"""Two standard normal variables of correlation 1 - gap, by two integrals that share nothing; mpmath's precision.

One route conditions on the factor the two share, by the trapezoidal rule, whose error for an entire integrand of
Gaussian decay falls as exp(-const/h²). The other is Plackett's identity (1954), dΦ₂/dr = density at the corner.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from functools import cache
from typing import Any

import mpmath

from proofs_check.judging import DIGITS, real


def upper(u: Any) -> Any:
    """P(X > u), with its own digits."""
    return mpmath.erfc(u / mpmath.sqrt(2)) / 2


def density(u: Any) -> Any:
    """Density of N(0, 1)."""
    return mpmath.npdf(u)


def _trapezoid(function: Callable[[Any], Any], centre: Any, sd: Any, ratio: Any) -> Any:
    """∫ function, Gaussian decay of standard deviation ``sd`` about ``centre``; the product of N(0,1)'s density and a
    product of two normal tails of width ``ratio``, which sets the step."""
    digits = mpmath.mp.dps * mpmath.log(10)
    half = ratio**2 / 2
    step = mpmath.pi * mpmath.sqrt(2 * half / (1 + half) / (digits + 5))
    count = int(mpmath.ceil(sd * mpmath.sqrt(2 * digits + 10) / step))
    return step * mpmath.fsum(function(centre + i * step) for i in range(-count, count + 1))


def crossing(u: Any, gap: Any) -> Any:
    """P(X <= u < Y), 0 < gap < 1: given Z in X = √r Z + √gap W and Y alike, the two are independent."""
    root, scale = mpmath.sqrt(1 - gap), mpmath.sqrt(gap)

    def integrand(z: Any) -> Any:
        edge = (u - root * z) / scale
        return density(z) * upper(edge) * upper(-edge)

    return _trapezoid(integrand, root * u, scale, scale / root)


def crossing_by_plackett(u: Any, gap: Any) -> Any:
    """The same for 0 < gap < 2 as ∫ exp(-u²/(1+t))/(2π√(1-t²)) dt, t from r to 1, with 1-t = 2 sin²φ."""
    end = mpmath.asin(mpmath.sqrt(gap / 2))
    return mpmath.quad(lambda angle: mpmath.exp(-((u / mpmath.cos(angle)) ** 2) / 2), [0, end]) / mpmath.pi


def both_above(u: Any, gap: Any) -> Any:
    """P(X > u, Y > u) = P(Y > u) - P(X <= u < Y), by Plackett."""
    return upper(u) - crossing_by_plackett(u, gap)


def moment(power: int, level: Any, spread: Any, noise: Any) -> Any:
    """E p(X)^power, power 1 or 2, X ~ N(0, spread²), p(x) = P(x > level + noise Z): an integral over the iterate."""
    return _trapezoid(
        lambda z: density(z) * upper((level - spread * z) / noise) ** power,
        mpmath.mpf(0),
        mpmath.mpf(1),
        noise / spread,
    )


@cache
def cached_crossings(u: Fraction, gap: Fraction) -> tuple[Any, Any]:
    """:func:`crossing_by_plackett`, and :func:`crossing` where gap < 1 (else None), to DIGITS digits."""
    with mpmath.workdps(DIGITS):
        args = (real(u), real(gap))
        return crossing_by_plackett(*args), crossing(*args) if gap < 1 else None


@cache
def cached_moment(power: int, level: Fraction, spread: Fraction, noise: Fraction) -> Any:
    """:func:`moment` to DIGITS digits."""
    with mpmath.workdps(DIGITS):
        return moment(power, real(level), real(spread), real(noise))

"""Comparisons that make trials, and the search that looks for the worst instance of an inequality.

The habit of every numbers check: search in floating point, round the worst instance found to rationals, and judge it
there, in exact or high-precision arithmetic. The optimiser can then only fail to find a violation, never invent one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from typing import Any

import mpmath
import numpy as np
import sympy
from numpy.typing import NDArray

from proofs_check.interface import Trial

DIGITS = 60


def at_most(left: Any, right: Any, witness: str) -> Trial:
    """The trial of left <= right; the slack is (right - left) over the larger of the two sizes."""
    scale = max(abs(left), abs(right))
    return Trial((right - left) / scale if scale else right - left, f"{witness}: {show(left)} <= {show(right)}")


def at_least(left: Any, right: Any, witness: str) -> Trial:
    """The trial of left >= right."""
    trial = at_most(right, left, witness)
    return Trial(trial.slack, f"{witness}: {show(left)} >= {show(right)}")


def equal(left: Any, right: Any, witness: str, tolerance: float = 0.0) -> Trial:
    """The trial of left = right, up to a relative tolerance that the caller derives from its arithmetic.

    Without a tolerance the two must be exactly equal; the slack is then infinite, as there is nothing to come close to.
    """
    scale = max(abs(left), abs(right))
    error = abs(left - right) / scale if scale else 0
    slack = 1 - error / tolerance if tolerance else -error or math.inf
    return Trial(slack, f"{witness}: {show(left)} = {show(right)}")


def inside(value: float, interval: tuple[float, float], witness: str) -> Trial:
    """The trial of a claimed value against the interval of a simulation; slack 1 in its middle, 0 at its ends."""
    low, high = interval
    slack = min(value - low, high - value) / ((high - low) / 2)
    return Trial(slack, f"{witness}: claimed {show(value)}, simulated [{show(low)}, {show(high)}]")


def up_to_refutation(trials: Iterable[Trial]) -> tuple[Trial, ...]:
    """The trials up to the first that refutes, to be kept where claims share slow symbolic ones."""
    found = []
    for trial in trials:
        found.append(trial)
        if trial.slack < 0:
            break
    return tuple(found)


def vanishes(expression: sympy.Expr, witness: str) -> Trial:
    """The trial that a symbolic expression is identically zero; the residual is the witness if it is not."""
    rational_function = expression.is_rational_function(*expression.free_symbols)
    residual = sympy.cancel(sympy.together(expression)) if rational_function else sympy.simplify(expression)
    if residual == 0:
        return Trial(math.inf, f"{witness}: proved")
    return Trial(-1, f"{witness}: residual {sympy.sstr(residual)}")


def nonnegative_coefficients(polynomial: sympy.Poly, witness: str) -> Trial:
    """The trial that every coefficient is >= 0, which proves the polynomial >= 0 for non-negative variables."""
    for powers, coefficient in polynomial.terms():
        if not coefficient >= 0:
            return Trial(-1, f"{witness}: coefficient {coefficient} at powers {powers} of {polynomial.gens}")
    return Trial(math.inf, f"{witness}: proved coefficientwise")


def real(value: Fraction | int | float) -> Any:
    """The value as an mpmath number of the current precision (a Fraction is divided there, not in floats)."""
    if isinstance(value, Fraction):
        return mpmath.mpf(value.numerator) / value.denominator
    return mpmath.mpf(value)


def show(value: Any) -> str:
    """Six significant digits, also for fractions and mpmath numbers beyond the range of floats."""
    with mpmath.workdps(15):
        number = real(value) if isinstance(value, Fraction | int | float) else value
        return str(mpmath.nstr(mpmath.mpf(number), 6))


def rational(value: float, denominator: int = 10_000) -> Fraction:
    """A nearby fraction with a small denominator."""
    return Fraction(float(value)).limit_denominator(denominator)


def worst(
    objective: Callable[[NDArray[np.float64]], float],
    dimension: int,
    rng: np.random.Generator,
    starts: int,
    steps: int,
) -> Iterator[NDArray[np.float64]]:
    """Points of the unit cube that make the objective small: one per start, each from a random hill descent.

    Half of the starts are corners of the cube, where inequalities tend to be tight; a step moves a random subset of the
    coordinates by a random amount, whose scale shrinks geometrically over the descent.

    Args:
        objective: maps a point, shape (dimension,), to its slack; NaN counts as infinitely large.
        dimension: number of coordinates.
        rng: source of all randomness.
        starts: number of descents.
        steps: evaluations per descent.
    """
    for start in range(starts):
        point = rng.random(dimension) if start % 2 else rng.integers(0, 2, dimension).astype(float)
        value = objective(point)
        for step in range(steps):
            scale = 0.5 * 0.01 ** (step / steps)
            moved = rng.random(dimension) < max(0.3, 1 / dimension)
            candidate = np.clip(point + scale * moved * rng.normal(size=dimension), 0, 1)
            trial = objective(candidate)
            if trial < value or np.isnan(value):
                point, value = candidate, trial
        yield point

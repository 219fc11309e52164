r"""Proposition C.1: gradient variance amplification in marginally stable linear systems.

Setting. Closed loop x_{h+1} = (A + E) x_h, h = 0..H-1, with expert E = 0 and learner E = BΔ, a centred Gaussian drawn
once per episode (the parameter noise of training); reward -‖x_h‖², gap_h = ‖(A+E)^h x_0‖² - ‖A^h x_0‖². Scalar case: A
= 1, x_0 = 1, E = δ ~ N(0, s²); then ℓ_BC = s² per step, for every horizon.

Statement.

1. Scalar: E gap >= s² H(H-1)(4H-5)/6.
2. Scalar: 1 - 4h³s⁴ - hs² <= E(1+δ)^{2h} / e^{2h²s²} <= 1, hence E gap <= Σ_h (e^{2h²s²} - 1), a good approximation
   while h³s⁴ << 1. (hs² << 1 alone gives the logarithm: at h = 200, s² = 1/1000 the ratio is below 1e-8.)
3. Matrix: if A is symmetric positive semidefinite and the entries of E in an orthonormal eigenbasis of A are
   independent and symmetric (an isotropic E has independent entries in every basis), then for every x_0 E gap_h >= Σ_j
   x_{0,j}² (E(a_j + E_jj)^{2h} - a_j^{2h}). With s² the variance of E along a unit eigenvector of eigenvalue 1 and x_1
   the coordinate of x_0 on it: E gap >= s² x_1² H(H-1)(4H-5)/6, for every s and H.
4. Neither hypothesis can be dropped. Dependent entries: A = diag(1, 0), E = g (0, -1; 1, 0), x_0 = (1, 0) has
   E gap = -s²(H-1)(H-3) + O(s⁴) < 0 for H > 3. Not normal: A = (1, 8; 0, 1) under isotropic E
   of standard deviation 1/100, x_0 = (1, -1/5), H = 5 has negative E gap as well.

Proof. (1) E(1+δ)^{2h} - 1 = Σ_{k>=1} C(2h,2k)(2k-1)!! s^{2k} >= h(2h-1) s²; sum over h. (2) The k-th term is
(2h)_{2k}/(2h)^{2k} u^k/k! with u = 2h²s², and 1 >= (2h)_{2k}/(2h)^{2k} = Π_{j<2k}(1 - j/2h) >= 1 - k(2k-1)/2h; now Σ_k
k(2k-1) u^k/k! = (2u² + u)e^u. (3) In the eigenbasis [(A+E)^h]_{ij} sums over walks i..j the products of entries. In
E[(A+E)^h]_{ij}[(A+E)^h]_{ik} every off-diagonal entry must occur an even number of times; each then contributes a
non-negative moment and each diagonal entry E(a+e)^n >= a^n >= 0, so no term is negative. For j != k two walks from j
and from k to i leave vertex j an odd number of times more often than they enter it, so some multiplicity is odd and
the term is zero. What remains is at least the walk that stays at j, squared. Coordinates with a_j = 1 give the scalar
sum.

Source. Block et al., arXiv 2310.11428, Proposition C.1; only its name is known here. Everything is reconstructed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import mpmath
import numpy as np
import sympy
from numpy.typing import NDArray

import gvatheory as gva
from proofs_check.budget import bounded_mean_interval, gaussian_variance_interval
from proofs_check.interface import Check, Mutant, Outcome, Proposition, Setup, Trial
from proofs_check.judging import (
    DIGITS,
    at_least,
    at_most,
    equal,
    inside,
    nonnegative_coefficients,
    rational,
    real,
    vanishes,
    worst,
)
from proofs_check.pictures import Picture, series
from proofs_check.routes.gaussian_moments import expected_squares, normal_moment, quadrature_squares, scalar_moments


@dataclass(frozen=True)
class Claim:
    """The statement as a value.

    Attributes:
        lead: c in s^p H(H-1)(cH - offset)/6.
        offset: see lead.
        noise_power: p, see lead; also ℓ_BC = s^p.
        exponent: u = exponent · h²s² in the bound e^u.
        cubic: c in E(1+δ)^{2h} e^{-u} >= 1 - c h³s⁴ - hs².
        amplifies: direction of the first inequality, and of the matrix one.
        independent: hypothesis of independent entries in the eigenbasis.
        semidefinite: hypothesis that A is symmetric positive semidefinite.
    """

    lead: int = 4
    offset: int = 5
    noise_power: int = 2
    exponent: int = 2
    cubic: int = 4
    amplifies: bool = True
    independent: bool = True
    semidefinite: bool = True

    def lower(self, horizon: Any, scale: Any) -> Any:
        """s^p H(H-1)(cH - offset)/6, in the arithmetic of its arguments."""
        return scale**self.noise_power * horizon * (horizon - 1) * (self.lead * horizon - self.offset) / 6

    def bounds(self, gap: Any, bound: Any, witness: str) -> Trial:
        """The trial of gap >= bound, or of the reverse where the claim says so."""
        return at_least(gap, bound, witness) if self.amplifies else at_most(gap, bound, witness)


def algebra(claim: Claim, setup: Setup) -> Outcome:
    """The sum of the leading terms, both bounds on falling factorials, the exponential series, the counterexample."""

    def trials() -> Iterator[Trial]:
        h, big = sympy.symbols("h H", integer=True, positive=True)
        s, t, u = sympy.symbols("s t u", positive=True)
        leading: Any = sympy.Sum(h * (2 * h - 1) * s**2, (h, 0, big - 1)).doit()
        yield vanishes(leading - claim.lower(big, s), "sum of h(2h-1)s² over h < H")
        for k in range(1, setup.size(4, 7)):
            start = sympy.Rational(2 * k) + t  # 2h; for smaller h the falling factorial is zero
            falling = sympy.ff(start, 2 * k).expand(func=True)
            above = (sympy.Rational(claim.exponent, 2) * start**2) ** k - falling
            yield nonnegative_coefficients(sympy.Poly(sympy.expand(above), t), f"term {k} of the series, from above")
            below = falling - start ** (2 * k) + k * (2 * k - 1) * start ** (2 * k - 1)
            yield nonnegative_coefficients(sympy.Poly(sympy.expand(below), t), f"term {k} of the series, from below")
        first = u * sympy.diff(sympy.exp(u), u)
        series = 2 * u * sympy.diff(first, u) - first
        loss = (series * sympy.exp(-u) / (2 * h)).subs(u, claim.exponent * h**2 * s**2)
        yield vanishes(loss - claim.cubic * h**3 * s**4 - h * s**2, "1 - E(1+δ)^{2h} e^{-u}, from above")
        for horizon in range(4, 8):
            order = sympy.Poly(_rotation_squares(s, horizon), s).coeff_monomial(s**2) + (horizon - 1) * (horizon - 3)
            yield vanishes(order, f"counterexample, order s², H={horizon}")

    return Outcome.from_trials(trials(), "power sums, falling factorials, exponential series, counterexample")


def _rotation_squares(scale: sympy.Symbol, horizon: int) -> sympy.Expr:
    """E gap of A = diag(1, 0), E = g (0, -1; 1, 0), g ~ N(0, scale²), x_0 = (1, 0), as a polynomial in scale."""
    g = sympy.Symbol("g")
    loop = sympy.Matrix([[1, -g], [g, 0]])
    state, total = sympy.Matrix([1, 0]), sympy.Integer(0)
    for _ in range(horizon):
        total += state.dot(state) - 1
        state = loop * state
    terms = sympy.Poly(sympy.expand(total), g).terms()
    return sympy.Add(*(c * scale**n * sympy.factorial2(n - 1) for (n,), c in terms if n % 2 == 0))


def scalar(claim: Claim, setup: Setup) -> Outcome:
    """Exact rational moments against the bounds of the scalar case, and against quadrature of the density."""
    rng = setup.rng()

    def trials() -> Iterator[Trial]:
        corners = [(h, s) for h in (2, 3, 5, 40) for s in (Fraction(1, 10**6), Fraction(1, 30), Fraction(2))]
        drawn = [(int(rng.integers(2, 60)), rational(10 ** rng.uniform(-3, 0)) or Fraction(1, 1000)) for _ in range(20)]
        for horizon, scale in corners + drawn[: setup.size(6, 20)]:
            where = f"H={horizon}, s={scale}"
            moments = scalar_moments(scale**2, 2 * horizon)
            gap = sum((moments[2 * h] - 1 for h in range(horizon)), Fraction(0))
            last = 2 * min(horizon, 12) - 2
            series = sum(math.comb(last, 2 * k) * normal_moment(2 * k) * scale ** (2 * k) for k in range(last // 2 + 1))
            yield equal(moments[last], series, f"moment {last}, recursion against series, {where}")
            yield claim.bounds(gap, claim.lower(Fraction(horizon), scale), f"E gap, {where}")
            with mpmath.workdps(DIGITS):
                for h in {1, horizon // 2, horizon - 1}:
                    yield from _against_exponential(claim, h, scale, moments[2 * h])
                if horizon < 6 and scale == Fraction(1, 30):
                    value = mpmath.quad(
                        lambda z, n=last, s=scale: (1 + real(s) * z) ** n * mpmath.npdf(z), [-mpmath.inf, 0, mpmath.inf]
                    )
                    yield equal(real(moments[last]), value, f"moment by quadrature, {where}", tolerance=1e-40)
        with mpmath.workdps(DIGITS):
            moments = scalar_moments(Fraction(1, 1000), 400)
            yield from _against_exponential(claim, 200, mpmath.sqrt(mpmath.mpf(1) / 1000), moments[400])

    return Outcome.from_trials(trials(), "exact rational moments, H < 60")


def library(claim: Claim, setup: Setup) -> Outcome:
    """The closed form of gvatheory's scalar loop against exact rational moments, and against the bounds.

    The recursion adds 2H positive terms, each with a few roundings of 2^-53, hence the tolerance.
    """
    rng = setup.rng()

    def trials() -> Iterator[Trial]:
        for _ in range(setup.size(20, 200)):
            horizon, scale = int(rng.integers(2, 80)), rational(10 ** rng.uniform(-3, -0.5))
            law = gva.Law(np.zeros(1), np.array([[float(scale) ** 2]]))
            cost = -gva.ScalarLoop(closed_loop=1.0, horizon=horizon).mean(law)
            exact = sum(scalar_moments(scale**2, 2 * horizon)[: 2 * horizon : 2])
            where = f"H={horizon}, s={scale}"
            tolerance = 16 * horizon * 2.0**-53
            yield equal(cost, float(exact), f"gvatheory.ScalarLoop, {where}", tolerance)
            gap = Fraction(cost * (1 + tolerance)) - horizon
            yield claim.bounds(gap, claim.lower(Fraction(horizon), scale), f"gvatheory's E gap, {where}")

    return Outcome.from_trials(trials(), "closed form of the scalar loop, H < 80")


def _against_exponential(claim: Claim, h: int, scale: Any, moment: Fraction) -> Iterator[Trial]:
    """The ratio E(1+δ)^{2h} / e^u against its two bounds."""
    s = real(scale)
    ratio = real(moment) * mpmath.exp(-claim.exponent * h**2 * s**2)
    where = f"ratio to the exponential, h={h}, s²={mpmath.nstr(s**2, 6)}"
    yield at_most(ratio, mpmath.mpf(1), where)
    yield at_least(ratio, 1 - claim.cubic * h**3 * s**4 - h * s**2, where)


def _instance(
    point: NDArray[np.float64], claim: Claim
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """A system in the plane, (A, directions of E, x_0), from a point of the unit cube, shape (8,).

    A is diag(1, c), or (1, q; 0, c) when it need not be semidefinite. E has four independent entries (equal variances
    in the second case: isotropic), or is one Gaussian times an arbitrary matrix when the entries may depend.
    Coordinates are rounded so that the same instance can be judged in rationals.
    """
    p = np.round(point, 3)
    scale = 0.01 + 0.49 * p[0] ** 3
    initial = np.array([1.0, 2 * p[1] - 1])
    closed_loop = np.diag([1.0, p[2]])
    if not claim.semidefinite:
        closed_loop = np.array([[1.0, 16 * p[3] - 8], [0.0, 2 * p[2] - 1]])
        entries = np.ones(4)
    else:
        entries = p[4:] if claim.independent else 2 * p[4:] - 1
    entries = np.round(scale * entries, 5)
    directions = np.diag(entries).reshape(4, 2, 2) if claim.independent else entries.reshape(1, 2, 2)
    return closed_loop, directions, initial


def matrix(claim: Claim, setup: Setup) -> Outcome:
    """A search over planar systems within the hypotheses that tries to push E gap below its bound."""
    rng = setup.rng()
    horizon = 5

    def objective(point: NDArray[np.float64]) -> float:
        closed_loop, directions, initial = _instance(point, claim)
        gap = quadrature_squares(closed_loop, directions, initial, horizon).sum()
        gap -= _expert_squares(closed_loop, initial, horizon)
        scale = float(abs(directions[:, 0, 0].sum()))
        return float(gap - claim.lower(horizon, scale)) / float((directions**2).sum() or 1.0)

    def trials() -> Iterator[Trial]:
        for point in worst(objective, 8, rng, setup.size(4, 10), setup.size(60, 200)):
            floats = _instance(point, claim)
            closed_loop, directions, initial = (_exact(array) for array in floats)
            squares = expected_squares(closed_loop.tolist(), directions.tolist(), initial.tolist(), horizon)
            gap = sum(squares) - _expert_squares(closed_loop, initial, horizon)
            where = (
                f"H={horizon}, A={floats[0].tolist()}, E entries {floats[1].sum(0).tolist()}, x_0={floats[2].tolist()}"
            )
            scale = abs(directions[:, 0, 0].sum())  # one direction at most reaches this entry
            yield claim.bounds(gap, claim.lower(Fraction(horizon), scale), f"E gap, {where}")
            if claim.semidefinite and claim.independent:
                modes = _diagonal_bound(closed_loop, directions, initial, horizon)
                yield at_least(gap, modes, f"sum over modes, {where}")
        # A closed loop that is not normal, under isotropic noise: the second hypothesis is needed.
        skew, noise = [[Fraction(1), Fraction(8)], [Fraction(0), Fraction(1)]], Fraction(1, 100)
        units = [[[noise * (2 * i + j == k) for j in range(2)] for i in range(2)] for k in range(4)]
        start = [Fraction(1), Fraction(-1, 5)]
        squares = expected_squares(skew, units, start, horizon)
        gap = sum(squares) - _expert_squares(np.array(skew), np.array(start), horizon)
        yield at_most(gap, Fraction(0), f"isotropic counterexample A=(1,8;0,1), s=1/100, x_0=(1,-1/5), H={horizon}")

    return Outcome.from_trials(trials(), f"hill descent over planar systems, H={horizon}, judged in exact rationals")


def _diagonal_bound(
    closed_loop: NDArray[Any], directions: NDArray[Any], initial: NDArray[Any], horizon: int
) -> Fraction:
    """Σ_j x_{0,j}² Σ_h (E(a_j + E_jj)^{2h} - a_j^{2h}) with a_j = A_jj and E_jj ~ N(0, Σ_k (N_k)_jj²)."""
    total = Fraction(0)
    for j, start in enumerate(initial):
        mean = closed_loop[j, j]
        moments = scalar_moments((directions[:, j, j] ** 2).sum(), 2 * horizon, mean)
        total += start**2 * sum(moments[2 * h] - mean ** (2 * h) for h in range(horizon))
    return total


def _expert_squares(closed_loop: NDArray[Any], initial: NDArray[Any], horizon: int) -> Any:
    """Σ_{h<H} ‖A^h x_0‖² in the arithmetic of its arguments."""
    total, state = 0, initial
    for _ in range(horizon):
        total, state = total + (state**2).sum(), closed_loop @ state
    return total


def _exact(array: NDArray[np.float64]) -> NDArray[Any]:
    """The array with entries read off as fractions of their decimal digits."""
    return np.vectorize(lambda value: rational(value, 10**6), otypes=[object])(array)


def rollouts(claim: Claim, setup: Setup) -> Outcome:
    """Scalar rollouts with δ ~ N(0, s²) in antithetic pairs: E gap between its bounds, and ℓ_BC.

    The gap is unbounded, so it is clipped at the value of a six-sigma δ; what the clip removes is at most
    E[gap 1{|δ| > 6s}], an integral over the density that is added to the upper end of the interval.
    """
    rng = setup.rng()
    count = setup.size(200_000, 1_000_000)

    def trials() -> Iterator[Trial]:
        for horizon, scale in ((20, 0.02), (60, 0.01)):
            draws = scale * rng.standard_normal(count)
            low, high = _gap_interval(draws, horizon, scale, setup.rate)
            where = f"H={horizon}, s={scale}, E gap in [{low:.5g}, {high:.5g}]"
            edge = high if claim.amplifies else low
            yield claim.bounds(edge, float(claim.lower(horizon, scale)), f"lower bound, {where}")
            h = np.arange(horizon)
            yield at_most(low, float(np.expm1(claim.exponent * h**2 * scale**2).sum()), f"exponential, {where}")
            interval = gaussian_variance_interval(float((draws**2).sum()), count, setup.rate)
            yield inside(scale**claim.noise_power, interval, f"ℓ_BC, s={scale}")

    return Outcome.from_trials(trials(), f"{count} antithetic pairs per setting", assertions=4)


def _gap_interval(draws: NDArray[np.float64], horizon: int, scale: float, rate: float) -> tuple[float, float]:
    """Interval of E gap from draws of δ, each used with both signs and clipped at six sigmas; see `rollouts`."""
    cap = float(_gap(np.array([6 * scale]), horizon)[0])
    pairs = (np.minimum(_gap(draws, horizon), cap) + np.minimum(_gap(-draws, horizon), cap)) / 2
    low, high = bounded_mean_interval(pairs, -float(horizon), cap, rate)
    return low, high + _tail(horizon, scale)


def _gap(draws: NDArray[np.float64], horizon: int) -> NDArray[np.float64]:
    """Σ_h (x_h² - 1) of the rollouts x_{h+1} = (1+δ) x_h."""
    state, total = np.ones_like(draws), np.zeros_like(draws)
    for _ in range(horizon):
        total += state**2 - 1
        state = state * (1 + draws)
    return total


def _tail(horizon: int, scale: float) -> float:
    """E[gap 1{|δ| > 6s}] where the gap exceeds the clip, by quadrature (an upper bound on what clipping removes)."""
    z = np.linspace(6, 30, 20_001)
    density = np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)
    return float(np.trapezoid(density * (_gap(scale * z, horizon) + np.maximum(_gap(-scale * z, horizon), 0)), z))


def picture(seed: int) -> Picture:
    """Loss and gap of the scalar loop against the horizon at s = 1/50, exact, bounded and rolled out."""
    scale, horizons = Fraction(1, 50), np.arange(2, 81)
    moments = scalar_moments(scale**2, 2 * int(horizons[-1]))
    gaps = np.cumsum([float(moments[2 * h] - 1) for h in range(horizons[-1])])[horizons - 1]
    above = np.cumsum(np.expm1(2 * np.arange(horizons[-1]) ** 2 / 2500.0))[horizons - 1]
    seen, rate = (3, 5, 8, 13, 21), 1e-3
    draws = np.random.default_rng(seed).standard_normal(50_000) / 50
    intervals = [_gap_interval(draws, h, 0.02, rate) for h in seen]
    curves = (
        series("E gap, exact", "truth", horizons, gaps),
        series(r"$H\ell_{BC}$", "truth", horizons, horizons / 2500),
        series("lower bound", "claim", horizons, [Claim().lower(h, 0.02) for h in horizons.tolist()]),
        series("exponential upper bound", "claim", horizons, above),
        series("rolled out", "simulation", seen, [sum(ends) / 2 for ends in intervals], intervals),
    )
    caption = (
        r"Scalar marginally stable loop, $\delta \sim N(0, s^2)$, $s = 1/50$. The reward lost grows as $H^3$, then "
        f"exponentially; the cloning loss as $H$. Points: 50,000 antithetic pairs, intervals at error rate {rate:g} "
        f"each, the share that clipping removes included, seed {seed}."
    )
    return Picture("horizon H", "sum over H steps", curves, caption, x_log=True, y_log=True)


PROPOSITION = Proposition(
    id="C.1",
    title="Variance amplification in marginally stable linear systems",
    setting="x' = (A + E) x, E Gaussian and fixed over the episode, reward -‖x‖²; scalar: A = x_0 = 1, E ~ N(0, s²)",
    statement=(
        r"scalar: $\mathbb{E}\,\mathrm{gap} \ge s^2 H(H-1)(4H-5)/6$ while $\ell_{BC} = s^2$, and "
        r"$1 - 4h^3s^4 - hs^2 \le \mathbb{E}(1+\delta)^{2h} e^{-2h^2s^2} \le 1$; matrix: the same lower bound "
        r"with $s^2 x_1^2$ if $A \succeq 0$ and $E$ has independent symmetric entries in an eigenbasis of $A$"
    ),
    hypotheses=(
        "A symmetric positive semidefinite, with eigenvalue 1",
        "entries of E = BΔ independent and Gaussian in an orthonormal eigenbasis of A (isotropic E suffices)",
        "E is drawn once per episode",
    ),
    source="Block et al., arXiv 2310.11428, Proposition C.1",
    reconstructed=True,
    quoted="its name only",
    rebuilt="the whole statement, its hypotheses and both counterexamples",
    claim=Claim(),
    checks=(
        Check("algebra", "algebra", algebra),
        Check("scalar moments", "numbers", scalar),
        Check("library", "numbers", library),
        Check("planar systems", "numbers", matrix),
        Check("rollouts", "simulation", rollouts, assertions=4),
    ),
    mutants=(
        Mutant("constant", "lead", 5, "H(H-1)(5H-5)/6"),
        Mutant("constant", "offset", 4, "H(H-1)(4H-4)/6"),
        Mutant("exponent", "noise_power", 1, "gap and loss of first order in s"),
        Mutant("constant", "exponent", 1, "Σ(e^{h²s²} - 1) as an upper bound"),
        Mutant("constant", "cubic", 0, "hs² << 1 alone would make the exponential a good approximation"),
        Mutant("sign", "amplifies", False, "the bound would be an upper bound"),
        Mutant("hypothesis", "independent", False, "any Gaussian E, e.g. a random rotation"),
        Mutant("hypothesis", "semidefinite", False, "any A with eigenvalue 1, isotropic E"),
    ),
    corrections=(
        "the ledger has E gap ≈ Σ(e^{2h²s²} - 1) while s²h << 1; it needs h³s⁴ << 1: at h = 200, s² = 1/1000 the ratio "
        "of the terms is below 1e-8",
        "the matrix form needs a symmetric positive semidefinite loop and independent entries of E in its eigenbasis: "
        "A = diag(1, 0) under a random rotation, and A = (1, 8; 0, 1) under isotropic E, have a negative E gap",
    ),
    picture=picture,
)

r"""Proposition 3.1: a small cloning loss allows an exponentially large loss of reward.

Setting. Scalar state, x_{h+1} = x_h + b u_h, x_0 = 1, h = 0..H-1; the expert plays u = 0 (a marginally stable closed
loop, x*_h = 1), the learner u = Δ(x) with Δ δ-Lipschitz, Δ(0) = 0, 0 < δ <= 1. ℓ_BC = (1/H) Σ_h Δ(x*_h)² on the
expert's states; gap = J(expert) - J(learner), for the reward -|x| per step unless said otherwise; b = 1 unless said.

Statement. With S_H(δ) = Σ_{h<H} ((1+δ)^h - 1) = ((1+δ)^H - 1)/δ - H,

1. sup_Δ Hℓ_BC = Hδ², sup_Δ gap = S_H(δ), both attained by Δ(x) = δx; and gap <= √ℓ_BC S_H(δ)/δ for every δ-Lipschitz Δ.
2. H((1+δ)^{(H-1)/2} - 1) <= S_H(δ) <= H((1+δ)^{H-1} - 1); no exponent c(H-1) with c > 1/2 would do on the left.
3. The exponent H-1 itself, gap = H((1+δ)^{H-1} - 1), belongs to the terminal reward -H|x_{H-1}|; with rewards summed
   over steps it is reached (sup gap >= that) for all H and δ exactly when the input gain is b >= 2.
4. Bounded rewards: y' = y/2, z' = 2z + u, y_0 = 2^{-H/2}, z_0 = 0, expert u = 0, Δ = δy, r = -min(1, z²): then
   Hℓ_BC <= (4/3) δ² 2^{-H} while gap >= H/2 - log2(4/δ), and gap >= 1 once H >= 2 log2(4/δ).

Proof. (1) |Δ(1)| <= δ. As |x_{h+1} - 1| <= |x_h - 1| + |Δ(1)| + δ|x_h - 1|, |x_h - 1| <= |Δ(1)| ((1+δ)^h - 1)/δ; sum.
The linear Δ makes all of it equalities. (2) Pair h with H-1-h: q^{2h} + q^{2(H-1-h)} - 2q^{H-1} is a square, q² = 1+δ;
on the right every term is at most the last. For small δ, S_H = δH(H-1)/2 + O(δ²) while the bound is cδH(H-1) + O(δ²).
(3) The coefficient of δ^k is b^k C(H,k+1) in Σ_h (1+bδ)^h and H C(H-1,k) = (k+1) C(H,k+1) in H(1+δ)^{H-1}; b^k >= k+1
for all k >= 1 is b >= 2, and k = 1 decides as δ -> 0. (4) z_h = (2/3) δ 2^{-H/2} (2^h - 2^{-h}) exceeds 1 from h = H/2
+ log2(2/δ) on, and more than H/2 - log2(4/δ) such h lie below H; at H >= 2 log2(4/δ) the last step alone has z >= 1.

Source. Block, Foster, Krishnamurthy, Simchowitz, Zhang, arXiv 2310.11428, Proposition 3.1. Known of it: loss O(Hδ²)
against a gap Ω(H)(e^{Ω(Hδ)} - 1) in a deterministic MDP with Lipschitz dynamics and expert. The instances, constants
and exponents here are reconstructions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import mpmath
import numpy as np
import sympy
from numpy.typing import NDArray

from proofs_check.budget import binomial_interval, bounded_mean_interval
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

KNOTS = 6


@dataclass(frozen=True)
class Claim:
    """The statement as a value.

    Attributes:
        loss_power: p in sup Hℓ_BC = H δ^p.
        growth_offset: j in S_H = ((1+δ)^{H+j} - 1)/δ - H.
        exponent: c in sup gap >= H((1+δ)^{c(H-1)} - 1).
        gain: smallest input gain b for which c = 1 holds with summed rewards.
        bounded_decay: m in Hℓ_BC <= (4/3) δ² 2^{-mH}, bounded rewards.
        bounded_rate: v in gap >= vH - log2(4/δ), bounded rewards.
        amplifies: whether deviations add to |x| (gap = +S_H) or take from it (gap = -S_H).
        anchored: hypothesis Δ(0) = 0.
        lipschitz: hypothesis that Δ is δ-Lipschitz everywhere, not only up to the expert's state.
    """

    loss_power: int = 2
    growth_offset: int = 0
    exponent: Fraction = Fraction(1, 2)
    gain: Fraction = Fraction(2)
    bounded_decay: int = 1
    bounded_rate: Fraction = Fraction(1, 2)
    amplifies: bool = True
    anchored: bool = True
    lipschitz: bool = True

    def sup_gap(self, horizon: int, delta: Fraction) -> Fraction:
        """S_H(δ) as claimed."""
        size = ((1 + delta) ** (horizon + self.growth_offset) - 1) / delta - horizon
        return size if self.amplifies else -size


def _states(policy: Callable[[Any], Any], horizon: int, gain: Fraction | int = 1) -> list[Any]:
    """x_0..x_{H-1} of the scalar system under u = policy(x), in the policy's own arithmetic (float or Fraction)."""
    states: list[Any] = [1]
    for _ in range(horizon - 1):
        states.append(states[-1] + gain * policy(states[-1]))
    return states


def _gap(states: list[Any]) -> Any:
    """Σ_h (|x_h| - 1)."""
    return sum(abs(x) - 1 for x in states)


def algebra(claim: Claim, setup: Setup) -> Outcome:
    """The sums, the pairing and the binomial coefficients, symbolically."""

    def trials() -> Iterator[Trial]:
        delta, q, t = sympy.symbols("delta q t", positive=True)
        k = sympy.Symbol("k", integer=True, nonnegative=True)
        for horizon in range(2, setup.size(8, 14)):
            total = sum((1 + delta) ** h for h in range(horizon)) - horizon
            closed = ((1 + delta) ** (horizon + claim.growth_offset) - 1) / delta - horizon
            yield vanishes(total - (closed if claim.amplifies else -closed), f"closed form of S_H, H={horizon}")
            squares = sum((q**h - q ** (horizon - 1 - h)) ** 2 for h in range(horizon)) / 2
            power = 2 * claim.exponent * (horizon - 1)
            twice = sum(q ** (2 * h) for h in range(horizon)) - horizon * q ** sympy.Rational(power)
            yield vanishes(twice - squares, f"S_H - bound is half a sum of squares, H={horizon}")
            above = sympy.Poly(sympy.expand(horizon * (1 + delta) ** (horizon - 1) - total - horizon), delta)
            yield nonnegative_coefficients(above, f"H((1+δ)^(H-1) - 1) - S_H, H={horizon}")
            gain = sympy.Rational(claim.gain) + t
            summed = sum((1 + gain * delta) ** h for h in range(horizon))
            slack = sympy.Poly(sympy.expand(summed - horizon * (1 + delta) ** (horizon - 1)), delta, t)
            yield nonnegative_coefficients(slack, f"input gain b = {claim.gain} + t, H={horizon}")
        size = sympy.Symbol("H", integer=True, positive=True)
        ratio = sympy.combsimp(size * sympy.binomial(size - 1, k) / sympy.binomial(size, k + 1))
        yield vanishes(ratio - (k + 1), "H C(H-1,k) = (k+1) C(H,k+1)")

    return Outcome.from_trials(trials(), "closed form, sum of squares, coefficient comparison")


def extremes(claim: Claim, setup: Setup) -> Outcome:
    """The linear Δ rolled out in exact rationals, against the claimed suprema and their bounds."""

    def trials() -> Iterator[Trial]:
        rng = setup.rng()
        corners = [(h, d) for h in (2, 3, 40) for d in (Fraction(1, 10**6), Fraction(1, 20), Fraction(1))]
        drawn = [
            (int(rng.integers(2, 60)), rational(10 ** rng.uniform(-4, 0)) + Fraction(1, 10**4))
            for _ in range(setup.size(20, 200))
        ]
        for horizon, delta in corners + drawn:
            where = f"H={horizon}, δ={delta}, Δ(x)=δx"
            states = _states(lambda x, d=delta: d * x, horizon)
            gap = _gap(states)
            yield equal(horizon * delta * delta, horizon * delta**claim.loss_power, f"loss, {where}")
            yield equal(gap, claim.sup_gap(horizon, delta), f"gap, {where}")
            with mpmath.workdps(DIGITS):
                bound = horizon * ((1 + real(delta)) ** (real(claim.exponent) * (horizon - 1)) - 1)
                yield at_least(real(gap), bound, f"lower bound, {where}")
            last = horizon * ((1 + delta) ** (horizon - 1) - 1)
            yield equal(horizon * (states[-1] - 1), last, f"terminal reward, {where}")
            yield at_most(gap, last, f"upper bound, {where}")
            steep = _gap(_states(lambda x, d=delta: d * x, horizon, claim.gain))
            yield at_least(steep, last, f"gain {claim.gain}, {where}")
        # Tightness: exponent c > 1/2 and gain b < 2 both fail at H = 3 once δ is small.
        small, excess = Fraction(1, 10**9), Fraction(1, 1000)
        gap = _gap(_states(lambda x: small * x, 3))
        with mpmath.workdps(DIGITS):
            bound = 3 * ((1 + real(small)) ** (2 * real(claim.exponent + excess)) - 1)
            yield at_most(real(gap), bound, f"exponent {claim.exponent}+1/1000 is too large at H=3, δ=1e-9")
        weak = _gap(_states(lambda x: small * x, 3, claim.gain - excess))
        yield at_most(weak, 3 * ((1 + small) ** 2 - 1), f"gain {claim.gain}-1/1000 is too small at H=3, δ=1e-9")

    return Outcome.from_trials(trials(), "linear Δ, exact rationals, H < 60")


def _policy(
    point: NDArray[np.float64], claim: Claim, delta: Any, number: Callable[[float], Any]
) -> tuple[Callable[[Any], Any], str]:
    """A piecewise-linear Δ from a point of the unit cube, shape (KNOTS + 1,), in the arithmetic of ``number``.

    The first KNOTS coordinates are slopes in [-δ, δ] on the intervals between 0, 1, 3/2, 9/4, ...; the last is the
    intercept, zero when Δ is anchored. Without the Lipschitz hypothesis the slopes beyond the expert's state 1 grow
    fourfold.
    """
    slopes = [number(2 * p - 1) * delta for p in point[:KNOTS]]
    if not claim.lipschitz:
        slopes[1:] = [4 * slope for slope in slopes[1:]]
    intercept = 0 * delta if claim.anchored else number(2 * point[KNOTS] - 1)
    knots = [number(0.0), *(number(1.5**i) for i in range(KNOTS - 1))]

    def policy(x: Any) -> Any:
        if x < 0:
            return intercept + slopes[0] * x
        value = intercept
        for index, left in enumerate(knots):
            if x <= left:
                break
            right = knots[index + 1] if index + 1 < KNOTS else x
            value += slopes[index] * (min(x, right) - left)
        return value

    return policy, f"slopes/δ {', '.join(str(slope / delta) for slope in slopes)}, intercept {intercept}"


def _attacked(
    point: NDArray[np.float64], claim: Claim, horizon: int, delta: Fraction, number: Callable[[float], Any]
) -> tuple[Trial, Trial, Trial]:
    """The three inequalities of part 1 on one Δ: the loss, the gap, and the gap against the loss."""
    scale = delta if number is rational else float(delta)
    policy, name = _policy(point, claim, scale, number)
    gap, start = _gap(_states(policy, horizon)), abs(policy(number(1.0)))
    bound = claim.sup_gap(horizon, delta) if number is rational else float(claim.sup_gap(horizon, delta))
    where = f"H={horizon}, δ={delta}, {name}"
    return (
        at_most(start**2, scale**claim.loss_power, f"loss, {where}"),
        at_most(gap, bound, f"gap, {where}"),
        at_most(gap * scale, start * bound, f"gap against loss, {where}"),
    )


def attack(claim: Claim, setup: Setup) -> Outcome:
    """A search over piecewise-linear δ-Lipschitz Δ that tries to exceed the suprema; judged in exact rationals."""
    rng = setup.rng()

    def trials() -> Iterator[Trial]:
        for _ in range(setup.size(2, 4)):
            horizon, delta = int(rng.integers(3, 9)), Fraction(int(rng.integers(1, 11)), 10)
            for which in range(3):

                def objective(
                    point: NDArray[np.float64], which: int = which, horizon: int = horizon, delta: Fraction = delta
                ) -> float:
                    return float(_attacked(point, claim, horizon, delta, float)[which].slack)

                for point in worst(objective, KNOTS + 1, rng, setup.size(2, 4), setup.size(60, 100)):
                    yield _attacked(point, claim, horizon, delta, rational)[which]
        yield _attacked(np.ones(KNOTS + 1), claim, 6, Fraction(1, 2), rational)[1]

    return Outcome.from_trials(trials(), f"hill descent over {KNOTS} slopes, worst point of each descent")


def bounded(claim: Claim, setup: Setup) -> Outcome:
    """The two-state instance with bounded reward in exact rationals (squares only, as y_0 may be irrational)."""
    rng = setup.rng()

    def trials() -> Iterator[Trial]:
        for horizon in (*range(2, 12), 25, 40, *rng.integers(12, 80, setup.size(5, 40)).tolist()):
            for delta in (Fraction(1), rational(10 ** rng.uniform(-3, 0)) + Fraction(1, 10**4)):
                unit = delta**2 / Fraction(2) ** horizon
                z, gap, loss = Fraction(0), Fraction(0), Fraction(0)
                for h in range(horizon):
                    gap += min(Fraction(1), unit * z**2)
                    loss += unit / 4**h
                    z = 2 * z + Fraction(1, 2**h)
                where = f"H={horizon}, δ={delta}"
                limit = Fraction(4, 3) * delta**2 / Fraction(2) ** (claim.bounded_decay * horizon)
                yield at_most(loss, limit, f"bounded reward, Hℓ_BC, {where}")
                with mpmath.workdps(DIGITS):
                    log = mpmath.log(4 / real(delta), 2)
                    yield at_least(real(gap), real(claim.bounded_rate) * horizon - log, f"bounded reward, gap, {where}")
                    if horizon >= log / real(claim.bounded_rate):
                        yield at_least(gap, Fraction(1), f"bounded reward, gap once H is large, {where}")

    return Outcome.from_trials(trials(), "bounded-reward instance, exact rationals, H < 80")


def rollouts(claim: Claim, setup: Setup) -> Outcome:
    """Learners Δ(x) = Dx with D uniform on [-δ, δ], rolled out: E gap, E Hℓ_BC, and how often the gap is large.

    S_H is a polynomial in D, so the claimed means are integrals of the claimed formulas (Gauss-Legendre, exact up to
    rounding); the gap is increasing in D, so it exceeds S_H(δ/2) with probability 1/4.
    """
    rng = setup.rng()
    count = setup.size(40_000, 400_000)
    assertions = 0

    def trials() -> Iterator[Trial]:
        nonlocal assertions
        nodes, weights = np.polynomial.legendre.leggauss(40)
        for horizon, delta in ((10, 0.2), (30, 0.1)):
            slopes = rng.uniform(-delta, delta, count)
            gap, low, high = (_float_gap(values, horizon) for values in (slopes, np.array(-delta), np.array(delta)))
            exact = [float(claim.sup_gap(horizon, Fraction(float(delta * node)))) for node in nodes]
            where = f"H={horizon}, δ={delta}"
            share = setup.rate
            interval = bounded_mean_interval(gap, float(low), float(high), share)
            yield inside(float(weights @ np.array(exact)) / 2, interval, f"mean gap, {where}")
            interval = bounded_mean_interval(horizon * slopes**2, 0.0, horizon * delta**2, share)
            yield inside(horizon * delta**claim.loss_power / (claim.loss_power + 1), interval, f"mean loss, {where}")
            large = int(np.sum(gap >= float(claim.sup_gap(horizon, Fraction(delta) / 2))))
            yield inside(0.25, binomial_interval(large, count, share), f"P(gap >= S_H(δ/2)), {where}")
            assertions += 3

    outcome = Outcome.from_trials(trials(), f"{count} rollouts per setting")
    return Outcome(outcome.holds, outcome.margin, outcome.witness, outcome.detail, assertions)


def _float_gap(slopes: NDArray[np.float64], horizon: int) -> NDArray[np.float64]:
    """Σ_h (|x_h| - 1) of the rollouts under u = Dx, one per slope D."""
    state, total = np.ones_like(slopes), np.zeros_like(slopes)
    for _ in range(horizon):
        total += np.abs(state) - 1
        state = state + slopes * state
    return total


def picture(seed: int) -> Picture:
    """Loss, gap and its bounds against the horizon at δ = 1/10."""
    delta, horizons = Fraction(1, 10), list(range(2, 81))
    states = _states(lambda x: delta * x, horizons[-1])
    bounds = [[h * ((1 + 0.1) ** (c * (h - 1)) - 1) for h in horizons] for c in (0.5, 1.0)]
    curves = (
        series("sup gap, rolled out", "truth", horizons, [_gap(states[:h]) for h in horizons]),
        series(r"sup $H\ell_{BC}$", "truth", horizons, [h * delta**2 for h in horizons]),
        series("lower bound, exponent (H-1)/2", "claim", horizons, bounds[0]),
        series("upper bound, exponent H-1", "claim", horizons, bounds[1]),
    )
    caption = (
        r"Marginally stable loop, learner $\Delta(x) = \delta x$ with $\delta = 1/10$: the loss over $H$ steps grows "
        r"linearly, the reward lost exponentially, between its two bounds."
    )
    return Picture("horizon H", "sum over H steps", curves, caption, y_log=True)


PROPOSITION = Proposition(
    id="3.1",
    title="Exponential error amplification in behavior cloning",
    setting=(
        "x' = x + b u, x_0 = 1, expert u = 0, learner u = Δ(x), reward -|x|; and with bounded reward -min(1, z²): "
        "y' = y/2, z' = 2z + u"
    ),
    statement=(
        r"$\sup_\Delta H\ell_{BC} = H\delta^2$, $\sup_\Delta \mathrm{gap} = S_H(\delta) = ((1+\delta)^H - 1)/\delta "
        r"- H$; $H((1+\delta)^{(H-1)/2} - 1) \le S_H(\delta) \le H((1+\delta)^{H-1} - 1)$; the exponent $H-1$ is "
        r"attained by the terminal reward $-H|x_{H-1}|$, and by summed rewards iff $b \ge 2$; bounded rewards: "
        r"$H\ell_{BC} \le \frac43\delta^2 2^{-H}$ and $\mathrm{gap} \ge H/2 - \log_2(4/\delta)$"
    ),
    hypotheses=("Δ is δ-Lipschitz, 0 < δ <= 1", "Δ(0) = 0", "deterministic dynamics, fixed initial state"),
    source="Block et al., arXiv 2310.11428, Proposition 3.1",
    reconstructed=True,
    quoted="loss O(Hδ²) against gap Ω(H)(e^{Ω(Hδ)} - 1) in a deterministic MDP with Lipschitz dynamics and expert",
    rebuilt="both instances, the suprema, every constant and exponent",
    claim=Claim(),
    checks=(
        Check("algebra", "algebra", algebra),
        Check("linear Δ", "numbers", extremes),
        Check("search over Δ", "numbers", attack),
        Check("bounded reward", "numbers", bounded),
        Check("rollouts", "simulation", rollouts, assertions=6),
    ),
    mutants=(
        Mutant("exponent", "loss_power", 1, "the loss would be O(Hδ)"),
        Mutant("exponent", "exponent", Fraction(1), "exponent H-1 with summed rewards and b = 1"),
        Mutant("constant", "gain", Fraction(3, 2), "exponent H-1 already at input gain 3/2"),
        Mutant("constant", "growth_offset", -1, "one step too few in the sum"),
        Mutant("exponent", "bounded_decay", 2, "a loss of 4^{-H} with bounded rewards"),
        Mutant("constant", "bounded_rate", Fraction(1), "amplification from the first step with bounded rewards"),
        Mutant("sign", "amplifies", False, "deviations would improve the reward"),
        Mutant("hypothesis", "anchored", False, "Δ(0) need not vanish"),
        Mutant("hypothesis", "lipschitz", False, "Δ is small on the expert's state only"),
    ),
    corrections=(
        "with summed rewards, H((1+δ)^{H-1} - 1) is an upper bound of the sup gap ((1+δ)^H - 1)/δ - H, not the lower "
        "bound of the ledger (H = 2: gap δ against 2δ); the best exponent is (H-1)/2",
    ),
    picture=picture,
)

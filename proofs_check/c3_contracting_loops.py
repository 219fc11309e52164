r"""Proposition C.3: in a contracting nonlinear closed loop errors add up linearly, or not at all.

Setting. x_{h+1} = f(x_h, u_h), h = 0..H-1, expert u = π(x), learner u = π(x) + Δ, from the same x_0; F(x) = f(x, π(x))
is the expert's closed loop. ‖F(x) - F(y)‖ <= ρ‖x - y‖ for all x and y, ‖f(x, u) - f(x, v)‖ <= L_u‖u - v‖, the reward
depends on the state and is L_r-Lipschitz. gap = Σ_{h<H} r(x*_h) - r(x_h). Δ may depend on time and on the past; its
size is measured where the learner is. κ = ρ + L_uδ.

Statement. With R_H(q) = Σ_{h<H} (1 - q^h)/(1-q) = H/(1-q) - (1-q^H)/(1-q)², which is H(H-1)/2 at q = 1, and
G_H(q) = Σ_{h<H} q^h:

1. If ‖Δ‖ <= ε + δ‖x_h‖, and F(0) = 0 where δ > 0, then |gap| <= L_r [‖x_0‖ (G_H(κ) - G_H(ρ)) + L_uε R_H(κ)], with
   equality for every ρ, ε, δ, x_0 >= 0 and H in the scalar loop F(x) = ρx, Δ = ε + δx, r = -L_r x (ρ >= 1 too).
2. Bounded Δ (δ = 0): |gap| <= L_rL_uε R_H(ρ), linear in H when ρ < 1, quadratic when ρ = 1.
3. Proportional Δ (ε = 0): if κ < 1, |gap| < L_rL_uδ‖x_0‖/((1-ρ)(1-κ)) for every H, the limit of (1), unless both are 0.
4. Cloning: if Δ is a δ-Lipschitz function of the state and κ < 1, its loss on the expert's own states is enough:
   |gap| <= L_rL_u H √ℓ_BC/(1-κ), the best constant as H grows. F(0) = 0 is not needed.
5. Contraction in another norm, ‖x‖ <= ‖x‖_P <= M‖x‖, with L_u and L_r still in ‖·‖, δ = 0: |gap| <= L_rL_uε [H - 1 +
   Mρ R_{H-1}(ρ)], attained.
6. Nothing here can be dropped: F contracting near the expert only, Δ small on the expert's states only (not
   Lipschitz), F(0) != 0 in (1, 3), Δ(0) != 0 in (3), κ >= 1 in (3), Δ not Lipschitz in (4), M in (5), a reward that
   also sees the action, or process noise in (3): under noise w_h >= 0 common to both, of mean μ, the scalar loop has
   E gap = L_r Σ_h [(κ^h - ρ^h) x_0 + μ(G_h(κ) - G_h(ρ))], linear in H, although (1) with δ = 0 and (4) hold for every
   path of the noise.

Proof. (1) e_h = ‖x_h - x*_h‖ obeys e_0 = 0, e_{h+1} <= ρe_h + L_u(ε + δ‖x_h‖), and ‖x_{h+1}‖ <= κ‖x_h‖ + L_uε as
F(0) = 0; so ‖x_h‖ <= κ^h‖x_0‖ + L_uεG_h(κ) and e_h <= (κ^h - ρ^h)‖x_0‖ + L_uεG_h(κ), by induction. Sum over h < H.
The scalar loop has equality in each step. (3) U - S_H = Σ_{h>=H} (κ^h - ρ^h)‖x_0‖, positive unless δx_0 = 0. (4)
‖Δ(x_h)‖ <= ‖Δ(x*_h)‖ + δe_h, so e_{h+1} <= κe_h + L_u‖Δ(x*_h)‖; the sum is at most Σ_j L_u‖Δ(x*_j)‖/(1-κ); then
Cauchy-Schwarz. At rest, x*_h = 0 and Δ = ε + δx, it is L_uεR_H(κ) = L_uεH/(1-κ) (1 - O(1/H)). (5) As in (1), e^P_h <=
ML_uεG_h(ρ); the last step is measured without P: e_{h+1} <= L_uε + ρe^P_h. Equality: F(x) = ρ(x_1 + Mx_2, 0), norms
|x_1| + |x_2| and |x_1| + M|x_2|, x_0 = 0, Δ = (0, ε).

Source. Block et al., arXiv 2310.11428, Proposition C.3; only its number is known here. Everything is reconstructed.
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
    real,
    vanishes,
    worst,
)
from proofs_check.pictures import Picture, series
from proofs_check.routes import contracting_loops as loops
from proofs_check.routes.contracting_library import library
from proofs_check.routes.contracting_loops import Duel, hundredths


@dataclass(frozen=True)
class Claim:
    """The statement as a value, in units of action and reward that make L_u = L_r = 1.

    Attributes:
        decay_power: m in R_H(q) = H/(1-q) - (1-q^H)/(1-q)^m.
        marginal: c in R_H(1) = c H(H-1).
        error_power: p in ε^p.
        feedback: c in δ‖x_0‖/((1-ρ)(1-ρ-cδ)), under the hypothesis ρ + cδ < 1.
        loss_power: p in gap <= H ℓ_BC^p/(1-κ).
        condition_power: p in M^p.
        lowest: c in gap >= c times the bound.
        everywhere: hypothesis that F contracts everywhere.
        visited: hypothesis that Δ is small on the learner's states (else on the expert's).
        anchored: hypothesis F(0) = 0.
        vanishing: hypothesis Δ(0) = 0 of part 3.
        lipschitz: hypothesis that Δ is Lipschitz, part 4.
        noiseless: hypothesis of part 3 that the dynamics have no noise.
        state_reward: hypothesis that the reward does not see the action.
    """

    decay_power: int = 2
    marginal: Fraction = Fraction(1, 2)
    error_power: int = 1
    feedback: int = 1
    loss_power: Fraction = Fraction(1, 2)
    condition_power: int = 1
    lowest: int = -1
    everywhere: bool = True
    visited: bool = True
    anchored: bool = True
    vanishing: bool = True
    lipschitz: bool = True
    noiseless: bool = True
    state_reward: bool = True

    def ramp(self, rate: Any, horizon: Any, power: Any = None) -> Any:
        """R_H(q), in the arithmetic of its arguments; ``power`` is q^H where that is a symbol of its own."""
        if rate == 1:
            return self.marginal * horizon * (horizon - 1)
        power = rate**horizon if power is None else power
        return horizon / (1 - rate) - (1 - power) / (1 - rate) ** self.decay_power

    def bound(self, rate: Any, error: Any, slope: Any, start: Any, horizon: int) -> Any:
        """Part 1."""
        total = rate + slope
        return start * (_powers(total, horizon) - _powers(rate, horizon)) + error**self.error_power * self.ramp(
            total, horizon
        )

    def applies(self, rate: Any, slope: Any) -> bool:
        """The hypothesis of part 3."""
        return rate + self.feedback * slope < 1

    def uniform(self, rate: Any, slope: Any, start: Any) -> Any:
        """Part 3."""
        return slope * start / ((1 - rate) * (1 - rate - self.feedback * slope))

    def other_norm(self, rate: Any, error: Any, condition: Any, horizon: Any, power: Any = None) -> Any:
        """Part 5; ``power`` is ρ^{H-1}."""
        return error * (horizon - 1 + condition**self.condition_power * rate * self.ramp(rate, horizon - 1, power))

    def within(self, gap: Any, bound: Any, where: str) -> Iterator[Trial]:
        """The gap against its bound from both sides."""
        yield at_most(gap, bound, f"gap, {where}")
        yield at_least(gap, self.lowest * bound, f"gap from below, {where}")

    def cloning(self, rate: Any, slope: Any, loss: Any, horizon: int) -> Any:
        """Part 4, an mpmath number."""
        return horizon * real(loss) ** real(self.loss_power) / (1 - real(rate + slope))


def _powers(rate: Any, horizon: int) -> Any:
    """G_H(q), as a sum."""
    return sum((rate**h for h in range(horizon)), 0 * rate)


def algebra(claim: Claim, setup: Setup) -> Outcome:
    """Induction steps of the error and of its sums, the limit q -> 1, and what is left of the uniform bound."""
    rate, total, slope, error, room, m = sympy.symbols("rho kappa delta epsilon s M", positive=True)
    horizon, low, high, t = sympy.symbols("H R K t", positive=True)  # R = ρ^h, K = κ^h

    def trials() -> Iterator[Trial]:
        state = high + error * (1 - high) / (1 - total)
        deviation, later = state - low, total * high - rate * low + error * (1 - total * high) / (1 - total)
        yield vanishes(rate * deviation + error + (total - rate) * state - later, "e_{h+1} = ρe_h + ε + δ|x_h|")
        step = claim.ramp(total, horizon + 1, total * high) - claim.ramp(total, horizon, high)
        yield vanishes(step - (1 - high) / (1 - total), "R_{H+1} - R_H")
        yield vanishes(claim.ramp(total, 0, sympy.Integer(1)), "R_0")
        numerator = horizon * t - 1 + sum(sympy.ff(horizon, j) / sympy.factorial(j) * (-t) ** j for j in range(3))
        limit = sympy.expand(numerator.expand(func=True) / t**claim.decay_power)
        yield vanishes(limit - claim.ramp(sympy.Integer(1), horizon), "R_H(q) to leading order in 1-q")
        left = 1 / (1 - rate - slope) - 1 / (1 - rate)
        yield vanishes(left - claim.uniform(rate, slope, 1), "limit H -> ∞ of G_H(κ) - G_H(ρ)")
        for h in range(1, setup.size(4, 8)):
            excess = (rate + slope) ** h * (room + slope) - rate**h * room  # (1-ρ)(1-κ) Σ_{j>=h} κ^j - ρ^j, s = 1-κ
            yield nonnegative_coefficients(sympy.Poly(sympy.expand(excess), rate, slope, room), f"U - S_H, H={h}")
        change = claim.other_norm(rate, error, m, horizon + 1, rate * low) - claim.other_norm(
            rate, error, m, horizon, low
        )
        yield vanishes(change - error - rate * m * error * (1 - low) / (1 - rate), "other norm: e_{h+1} = ε + ρe^P_h")

    return Outcome.from_trials(trials(), "induction steps, limits, non-negative coefficients")


def extremes(claim: Claim, setup: Setup) -> Outcome:
    """The loops that attain the bounds, rolled out in exact rationals; ρ >= 1 included where nothing forbids it."""
    rng = setup.rng()

    def trials() -> Iterator[Trial]:
        one, half = Fraction(1), Fraction(1, 2)
        corners = [(one, half, Fraction(0)), (half, half, half), (Fraction(3, 2), one, Fraction(0)), (half, one, one)]
        drawn = [tuple(hundredths(v) for v in rng.uniform(0.02, (1, 1, 0.5))) for _ in range(setup.size(10, 100))]
        for rate, error, slope in corners + drawn:
            start, horizon = hundredths(rng.uniform(0, 3)), int(rng.integers(2, 40))
            where = f"ρ={rate}, ε={error}, δ={slope}, x_0={start}, H={horizon}"
            bound = claim.bound(rate, error, slope, start, horizon)
            yield equal(
                loops.scalar_gap(rate, error, slope, start, [0] * (horizon - 1)), bound, f"scalar loop, {where}"
            )
            if rate < 1 and claim.applies(rate, slope):
                limit, steps = claim.uniform(rate, slope, start), 4 * horizon
                yield at_most(
                    loops.scalar_gap(rate, 0, slope, start, [0] * (steps - 1)), limit, f"uniform bound, {where}"
                )
        rate, slope = Fraction(3, 5), Fraction(1, 5)
        limit = claim.uniform(rate, slope, one)
        yield at_least(
            loops.scalar_gap(rate, 0, slope, one, [0] * 149), limit * (1 - Fraction(1, 10**12)), "uniform bound, H=150"
        )
        excess = claim.ramp(rate + slope, 60) - claim.ramp(rate, 60)
        noisy = loops.scalar_gap(rate, 0, slope, one, [half] * 59)
        yield equal(noisy, claim.bound(rate, one * 0, slope, one, 60) + half * excess, "constant noise 1/2, H=60")
        yield at_least(noisy, 8 * slope / ((1 - rate) * (1 - rate - slope)), "noise against the uniform bound, H=60")
        for horizon in (2, 5, 9):
            point = np.ones(loops.WEIGHTED + 2 * horizon - 2)
            point[[0, 1, 2, 3, 4]] = *rng.uniform(0.1, 0.6, 3), 0.0, 0.5
            duel = loops.weighted(point, horizon, hundredths)
            bound = claim.other_norm(duel.rate, duel.error, duel.condition, horizon)
            yield equal(duel.gap, bound, f"extremal loop, {duel.where}")
        point = np.ones(loops.CLONE)
        point[[0, 1, 2, 3]] = *rng.uniform(0.1, 0.9, 3), 0.5
        duel = loops.clone(point, 200, hundredths)
        with mpmath.workdps(400):  # the slack is κ^200
            share = 1 - 1 / (200 * (1 - real(duel.rate + duel.slope)))  # R_H(κ) > H/(1-κ) - 1/(1-κ)²
            limit = share * claim.cloning(duel.rate, duel.slope, duel.loss, 200)
            yield at_least(real(duel.gap), limit, f"best constant as H grows, {duel.where}")

    return Outcome.from_trials(trials(), "extremal loops in exact rationals, H <= 200")


def _judged(claim: Claim, family: str, duel: Duel) -> list[Trial]:
    """The bounds that a family is about, from both sides."""
    if family.endswith("uniform"):
        if not claim.applies(duel.rate, duel.slope):
            return []
        bound = claim.uniform(duel.rate, duel.slope, duel.start)
    elif family == "clone":
        gap = real(duel.gap)
        return list(claim.within(gap, claim.cloning(duel.rate, duel.slope, duel.loss, duel.horizon), duel.where))
    elif family == "weighted norm":
        bound = claim.other_norm(duel.rate, duel.error, duel.condition, duel.horizon)
    else:
        bound = claim.bound(duel.rate, duel.error, duel.slope, duel.start, duel.horizon)
    return list(claim.within(duel.gap, bound, duel.where))


def attack(claim: Claim, setup: Setup) -> Outcome:
    """A search over piecewise-linear, rotating, saturating and skew loops and learners, judged in exact rationals.

    Each family also starts from its extremal loop and from the one whose learner does better by as much.
    """
    rng = setup.rng()

    def trials() -> Iterator[Trial]:
        names = ("everywhere", "visited", "anchored", "vanishing", "lipschitz", "state_reward")
        kept = {name: getattr(claim, name) for name in names}
        for family, (dimension, duel) in loops.families(**kept).items():

            def objective(
                point: NDArray[np.float64],
                family: str = family,
                duel: Callable[[NDArray[np.float64], loops.Number], Duel] = duel,
            ) -> float:
                return min((float(t.slack) for t in _judged(claim, family, duel(point, float))), default=np.inf)

            found = worst(objective, dimension, rng, setup.size(2, 4), setup.size(40, 150))
            for point in (*loops.known_points(family, dimension), *found):
                yield from _judged(claim, family, duel(point, hundredths))

    with mpmath.workdps(DIGITS):
        return Outcome.from_trials(trials(), "hill descent over loops and learners")


def rollouts(claim: Claim, setup: Setup) -> Outcome:
    """Random learners, random starts and process noise in the scalar loop; noisy tanh loops path by path."""
    rng = setup.rng()
    count, rate, slope, horizon = setup.size(20_000, 100_000), 0.8, 0.1, 30

    def trials() -> Iterator[Trial]:
        offsets = rng.uniform(-1, 1, count)
        silent = np.zeros((horizon - 1, 1))
        interval = bounded_mean_interval(
            loops.scalar_gap(rate, offsets, 0.0, 0 * offsets, silent), 0.0, horizon**2, setup.rate
        )
        expected = float(claim.bound(rate, 0.5, 0.0, 0.0, horizon))
        yield inside(expected, interval, f"Δ uniform on [-1, 1], ρ={rate}, H={horizon}")
        # Common noise uniform on [0, 1]; the gap increases in the noise and in x_0.
        top = float(loops.scalar_gap(rate, 0.0, slope, np.ones(1), silent + 1)[0])
        noise, starts = rng.random((horizon - 1, count)), rng.random(count)
        interval = bounded_mean_interval(loops.scalar_gap(rate, 0.0, slope, starts, noise), 0.0, top, setup.rate)
        excess = 0.5 * (claim.ramp(rate + slope, horizon) - claim.ramp(rate, horizon))
        expected = float(claim.bound(rate, 0.0, slope, 0.5, horizon) + excess)
        yield inside(expected, interval, f"noise of mean 1/2, Δ = {slope}x, ρ={rate}, H={horizon}")
        heard = noise * (0 if claim.noiseless else 1)
        low, _ = bounded_mean_interval(loops.scalar_gap(rate, 0.0, slope, starts, heard), 0.0, top, setup.rate)
        yield at_most(low, claim.uniform(rate, slope, 0.5), f"uniform bound, Δ = {slope}x, ρ={rate}, H={horizon}")
        line = gva.ContractingLoop(rate, 1.0, 1.0, np.eye(1), np.eye(1), np.ones((1, 1)), "identity")
        spread = gva.offset_reward_spread(line, 1e-4, 50.0, horizon, count, int(rng.integers(2**31)))[-1]
        share = float(claim.ramp(rate, horizon) / spread * 1e-4) ** -2  # sample variance over the claimed one
        yield inside(1.0, gaussian_variance_interval((count - 1) * share, count - 1, setup.rate), "spread over offsets")
        yield from _noisy_tanh(claim, setup)

    return Outcome.from_trials(trials(), f"{count} paths per setting", assertions=4)


def _noisy_tanh(claim: Claim, setup: Setup) -> Iterator[Trial]:
    """Planar tanh loops under noise common to both: bounded Δ, and cloning by the loss on the noisy expert's states.

    Both bounds hold for every path, so that no interval is needed.
    """
    rng = setup.rng("tanh")
    rate, horizon, paths, slope = 0.9, 40, 2_000, 0.05
    loop = gva.random_contracting_loop(2, 2, rate, int(rng.integers(2**31)))
    kept = rng.normal(size=(paths, 2))
    kept /= np.linalg.norm(kept, axis=1)[:, None]
    gap, _ = loops.noisy_gaps(loop, lambda x: 0.2 * kept, horizon, paths, rng)
    yield from claim.within(
        float(gap[np.argmax(np.abs(gap))]), float(claim.bound(rate, 0.2, 0.0, 0.0, horizon)), "noisy tanh"
    )
    gap, loss = loops.noisy_gaps(loop, lambda x: slope * np.sin(x + kept), horizon, paths, rng)
    bounds = horizon * loss ** float(claim.loss_power) / (1 - rate - slope)
    index = int(np.argmax(np.abs(gap) / bounds))
    yield from claim.within(float(gap[index]), float(bounds[index]), "cloning, noisy tanh")


def picture(seed: int) -> Picture:
    """Gap against horizon: linear for a bounded error, saturating for a proportional one, linear again under noise."""
    claim, rate, slope, start = Claim(), 0.8, 0.1, 1.0
    h = np.arange(1, 81, 3)

    def truth(error: float, growth: float, first: float, noise: float = 0.0) -> list[float]:
        return [loops.scalar_gap(rate, error, growth, first, [noise] * (n - 1)) for n in h.tolist()]

    rotation = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))[0]
    loop = gva.ContractingLoop(rate, 1.0, 1.0, rotation, np.eye(3, 1), np.ones((1, 3)), "tanh")
    states = np.full((1, 3), 1 / np.sqrt(3))
    gaps = [loop.gap(lambda x: np.full((len(x), 1), slope), states, n)[0] for n in h.tolist()]
    return Picture(
        x_label="horizon H",
        y_label="gap",
        series=(
            series("Δ = ε, scalar loop", "truth", h, truth(slope, 0.0, start)),
            series("bound for |Δ| ≤ ε", "claim", h, [claim.bound(rate, slope, 0.0, 0.0, n) for n in h.tolist()]),
            series("Δ = δx, scalar loop", "truth", h, truth(0.0, slope, start)),
            series("uniform bound for |Δ| ≤ δ|x|", "claim", h, [claim.uniform(rate, slope, start)] * len(h)),
            series("Δ = δx under noise of mean 1/4", "wrong", h, truth(0.0, slope, start, 0.25)),
            series("Δ = ε, rotating tanh loop, 3 states", "truth", h, gaps),
        ),
        caption=f"ρ = {rate}, ε = δ = {slope}, x_0 = {start}, L_u = L_r = 1; rotation of seed {seed}, ‖x_0‖ = 1.",
    )


PROPOSITION = Proposition(
    id="C.3",
    title="A contracting closed loop adds errors up linearly at most",
    setting=(
        "x' = f(x, u), expert π with F(x) = f(x, π(x)) a contraction of rate ρ, learner π + Δ from the same x_0; f is "
        "L_u-Lipschitz in u, the reward of a state L_r-Lipschitz; κ = ρ + L_uδ"
    ),
    statement=(
        r"$R_H(q) = \frac{H}{1-q} - \frac{1-q^H}{(1-q)^2}$; if $\|\Delta\| \le \varepsilon + \delta\|x\|$: "
        r"$|\mathrm{gap}| \le L_r[\|x_0\| \sum_{h<H}(\kappa^h - \rho^h) + L_u\varepsilon R_H(\kappa)]$, attained; "
        r"hence $L_rL_u\varepsilon R_H(\rho)$ for $\delta = 0$, and for $\varepsilon = 0$, $\kappa < 1$ uniformly "
        r"$L_rL_u\delta\|x_0\|/((1-\rho)(1-\kappa))$; $\Delta$ $\delta$-Lipschitz: "
        r"$L_rL_uH\sqrt{\ell_{BC}}/(1-\kappa)$; contraction in a norm within a factor $M$: "
        r"$L_rL_u\varepsilon[H - 1 + M\rho R_{H-1}(\rho)]$"
    ),
    hypotheses=(
        "F contracts everywhere (or between the learner's states and the expert's, and 0 where δ‖x‖ enters)",
        "Δ is measured on the learner's states (cloning: on the expert's, with Δ Lipschitz and κ < 1)",
        "F(0) = 0 where δ‖x‖ enters; Δ(0) = 0, κ < 1 and no process noise for the uniform bound",
        "the reward depends on the state alone; noise elsewhere is common to expert and learner",
    ),
    source="Block et al., arXiv 2310.11428, Proposition C.3",
    reconstructed=True,
    quoted="its number only",
    rebuilt="the whole statement, its hypotheses, extremal loops and counterexamples",
    claim=Claim(),
    checks=(
        Check("algebra", "algebra", algebra),
        Check("extremal loops", "numbers", extremes),
        Check("search over loops", "numbers", attack),
        Check("library", "numbers", library),
        Check("rollouts", "simulation", rollouts, assertions=4),
    ),
    mutants=(
        Mutant("exponent", "decay_power", 1, "H/(1-ρ) - (1-ρ^H)/(1-ρ)"),
        Mutant("constant", "marginal", Fraction(1, 3), "H(H-1)/3 at ρ = 1"),
        Mutant("exponent", "error_power", 2, "a gap of second order in ε"),
        Mutant("constant", "feedback", 0, "ρ < 1 alone, with (1-ρ)² in the denominator"),
        Mutant("exponent", "loss_power", Fraction(1), "the cloning loss instead of its root"),
        Mutant("exponent", "condition_power", 0, "contraction in any norm, without M"),
        Mutant("sign", "lowest", 0, "a learner could not do better than its expert"),
        Mutant("hypothesis", "everywhere", False, "F contracts near the expert's equilibrium only"),
        Mutant("hypothesis", "visited", False, "Δ is small on the expert's states only"),
        Mutant("hypothesis", "anchored", False, "proportional Δ although F(0) != 0"),
        Mutant("hypothesis", "vanishing", False, "uniform in H with a bounded Δ"),
        Mutant("hypothesis", "lipschitz", False, "cloning loss without a Lipschitz learner"),
        Mutant("hypothesis", "noiseless", False, "uniform in H under process noise"),
        Mutant(
            "hypothesis", "state_reward", False, "a reward that also sees the action, with the same Lipschitz constant"
        ),
    ),
    corrections=(
        "The uniform bound also needs F(0) = 0 (else Δ = δx does not vanish at the equilibrium; F(x) = ρx + c grows "
        "linearly) and dynamics without noise (common noise of mean μ makes the scalar loop's gap linear in H).",
        "The uniform bound is a limit, never attained at finite H; the finite-H bound of part 1 is, for every ε and δ "
        "at once (and x_0 >= 0 in the scalar loop), and holds for ρ >= 1 as well.",
    ),
    picture=picture,
)

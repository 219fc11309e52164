r"""Proposition A1: an average has no more label-noise variance than the iterate while the step size does not fall.

Setting. Gradient g(θ_t) = Λe_t + ξ_t, θ_{t+1} = θ_t - η_t g(θ_t), and θ̃_t = (1-γ_t) θ̃_{t-1} + γ_t θ_t, θ̃_0 =
θ_0 deterministic, any γ_t in [0,1]. Quadratic: ξ_t independent, of covariance S, which need not commute with Λ; Λ
symmetric, stable or not. Regression on Gaussian features, batch b: ξ has covariance (ΛMΛ + tr(ΛM)Λ + σ₁²Λ)/b, M =
E eeᵀ, Λ >= 0. The label-noise part of M is what σ₁² leaves, M of the start e_0 = 0 (M is linear in (e_0e_0ᵀ,
σ₁²), the sum of both parts); on the quadratic it is the whole covariance, whatever e_0. E_t is the same of θ̃_t.
Loewner order throughout.

Statement.

1. η_t nondecreasing: M_t is nondecreasing and E_t <= M_t. Likewise for any convex combination of θ_0..θ_t.
2. Heavy ball, and any linear method with constant coefficients: the same at a constant step. Not for a
   nondecreasing step: μ = 9/10, k = (1/2, 1/2, 1/2, 13/20) has Var e_4 < Var e_3; from stationarity at k, one
   step at k = 1 divides the variance by up to 1/k (μ -> 1).
3. Any schedule: in each direction Var θ̃_T is at most the largest Var θ_t so far. On the quadratic, along an
   eigendirection with all 0 < k_t <= 1, that is at most T Var θ_T, attained by η_t = 1/(λ(t+1)), γ = (1, 0, ..., 0).
   Not in regression, whose noise grows with the error: b = 3, k = 1 ten times, then 1/2, 1/3, ..., 1/91 is stable and
   has a ratio of over 2T at T = 100. With a constant γ the order fails too: 1.1 times with k <= 1, and γ = 1/2, k =
   2-ε for long, then k = 1 once, has a ratio of at least 1/(18ε): unbounded.
4. Constant k > 0 and γ in (0,1]: the bias is β_T e_0, β_T = (γa^{T+1} - kρ^{T+1})/(γ-k), a^T(1 + γT) where a = ρ.
   With m = max(|a|, ρ): a >= 0: m^T <= β_T <= m^T min(1 + min(k,γ)T, max(k,γ) m/|k-γ|); a < 0: |β_T| <= m^T, and β_T
   may vanish (γk = 1 = T).
5. Needed besides: γ_t <= 1; a noise that does not fall (a growing batch is as bad as a falling step); in
   regression the start (without label noise the spread that e_0 leaves decays in the iterate, and lags in its
   average).

Proof. (1) M' = F(M) = (I-ηΛ)M(I-ηΛ) + η²N(M), N(M) = S + multiplicative part, and N >= 0 on M >= 0. Thus M' >= M
iff ηN̂(M) >= ΛM + MΛ with N̂(M) = ΛMΛ + N(M) >= 0; if so for η, then for every larger step. Induction: 0
qualifies; if M qualifies with η_t then F(M') - M' = [F(M') - F(M)] >= 0, F being affine with a positive linear
part (E (I-ηX)·(I-ηX)ᵀ), so M' qualifies with η_t, hence with η_{t+1} >= η_t. And (1-γ)E_t + γM_{t+1} - E_{t+1} =
γ(1-γ) E(e_{t+1}-ẽ_t)(e_{t+1}-ẽ_t)ᵀ >= 0, so E_t <= M_t <= M_{t+1} gives E_{t+1} <= M_{t+1}. (2) Constant
coefficients: state covariances P' = L(P) + Q, L positive, P_0 = 0, so P_{t+1} - P_t = L^t(Q) >= 0; the positions
are a block. After the step at k = 1, Var' - k Var has the sign of 1-k. (3) sd is convex. In units of σ/λ one step has
(1-k)²v + k² = v/(1+v) + (k(1+v)-v)²/(1+v), so 1/v_T <= 1/v_s + T-s and v_s/v_T <= 1 + (T-s)v_s <= T as v_s <= 1. (4)
β' = ρβ + γa^{T+1}. β_T = a^T + kρh = ρ^T + γah, h = Σ_{i<T} a^iρ^{T-1-i} <= T m^{T-1}. For a < 0, γ|a| + kρ = k - γ.

Source. Li and Gu, arXiv 2502.14123 (regression, constant step). Here: nondecreasing steps, Loewner order,
momentum, constants.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import accumulate
from typing import Any

import numpy as np
import sympy
from numpy.typing import NDArray

from proofs_check.budget import gaussian_mean_interval, gaussian_variance_interval
from proofs_check.interface import Check, Mutant, Outcome, Proposition, Setup, Trial
from proofs_check.judging import at_least, at_most, equal, inside, rational, vanishes, worst
from proofs_check.pictures import Picture, series
from proofs_check.rational_matrices import exact
from proofs_check.routes.averaged_moments import Noise, averaged_moments, simulate
from proofs_check.routes.averaging_identities import order_identities
from proofs_check.routes.averaging_problems import (
    Hypotheses,
    Kind,
    Training,
    dimension,
    drawn,
    falling_steps,
    library_cases,
    weakest,
)


@dataclass(frozen=True)
class Claim:
    """The statement as a value.

    Attributes:
        reduces: direction of the order, E_T <= M_T.
        nondecreasing: hypothesis on the step sizes.
        convex: hypothesis γ_t <= 1.
        from_optimum: hypothesis e_0 = 0 in regression.
        steady_noise: hypothesis that the noise does not fall.
        steady_momentum: hypothesis of a constant step for heavy ball.
        excess_power: p in Var θ̃_T <= T^p Var θ_T for any schedule.
        capped: hypothesis k_t <= 1 there.
        slowest: whether m is the larger of |a| and ρ (else the smaller).
        resonance: c in β_T <= m^T (1 + c min(k,γ) T)^p, equality at a = ρ.
        resonance_power: p, see resonance.
        positive: hypothesis a >= 0 of the lower bound m^T <= β_T.
    """

    reduces: bool = True
    nondecreasing: bool = True
    convex: bool = True
    from_optimum: bool = True
    steady_noise: bool = True
    steady_momentum: bool = True
    excess_power: Fraction = Fraction(1)
    capped: bool = True
    slowest: bool = True
    resonance: Fraction = Fraction(1)
    resonance_power: int = 1
    positive: bool = True

    @property
    def hypotheses(self) -> Hypotheses:
        """Those of the order."""
        return Hypotheses(self.nondecreasing, self.convex, self.from_optimum, self.steady_noise, self.steady_momentum)

    def ordered(self, average: Any, iterate: Any, witness: str) -> Trial:
        """The trial of average <= iterate, or of the reverse where the claim says so."""
        return at_most(average, iterate, witness) if self.reduces else at_least(average, iterate, witness)

    def modulus(self, a: Any, rho: Any) -> Any:
        """m, the rate of the bias."""
        return max(abs(a), rho) if self.slowest else min(abs(a), rho)

    def resonant(self, k: Any, gamma: Any, steps: Any) -> Any:
        """The factor (1 + c min(k,γ) T)^p."""
        return (1 + self.resonance * min(k, gamma) * steps) ** self.resonance_power


_EFFORT: tuple[tuple[Kind, int, int, int], ...]  # kind, steps T, starts and steps of the descents
_EFFORT = (("quadratic", 5, 2, 60), ("regression", 6, 3, 100), ("heavy ball", 10, 14, 60))
_UNIT, _ORIGIN = Noise(exact(np.eye(1)), exact(np.eye(1))), exact(np.zeros(1))  # λ = σ = 1, e_0 = 0


def algebra(claim: Claim, setup: Setup) -> Outcome:
    """The identities behind the order, in symbols and 2 x 2 matrices, and the closed form of the bias."""

    def trials() -> Iterator[Trial]:
        yield from _resonance(claim)
        yield from order_identities()

    return Outcome.from_trials(trials(), "recursions, convexity, bias, least variance of a step, momentum")


def _resonance(claim: Claim) -> Iterator[Trial]:
    """β_T = a^T + kρ Σ_i a^i ρ^{T-1-i} at a = ρ against the claimed factor, for small T."""
    gamma = sympy.Symbol("gamma", positive=True)
    rho = 1 - gamma
    for steps in range(1, 7):
        factor = (1 + sympy.Rational(claim.resonance) * gamma * steps) ** claim.resonance_power
        found = rho**steps + gamma * rho * steps * rho ** (steps - 1)
        yield vanishes(sympy.expand(found - rho**steps * factor), f"resonance a = ρ, T={steps}")


def order(claim: Claim, setup: Setup) -> Outcome:
    """Searches over problems, steps and rates for a direction in which the average has the larger variance.

    The worst instances are judged in exact rationals, along the weakest direction found in floats.
    """
    rng = setup.rng()

    def training(point: NDArray[np.float64], kind: Kind, length: int, number: type) -> Training:
        return drawn(point, claim.hypotheses, kind, length, number)

    def trials() -> Iterator[Trial]:
        for kind, length, starts, count in _EFFORT:

            def slack(point: NDArray[np.float64], kind: Kind = kind, length: int = length) -> float:
                return weakest(*training(point, kind, length, float).covariances())[0]

            found = sorted(worst(slack, dimension(length), rng, starts * setup.size(1, 2), count), key=slack)
            for point in found[: setup.size(1, 2)]:
                direction = weakest(*training(point, kind, length, float).covariances())[1]
                u = np.array([rational(x, 1000) for x in direction], dtype=object)
                run = training(point, kind, length, Fraction)
                iterate, average = run.covariances()
                where = f"{kind}, {run}, along {[float(round(x, 3)) for x in u]}"
                yield claim.ordered(u @ average @ u, u @ iterate @ u, where)
        # The increase of the step that momentum does not bear.
        steps = [Fraction(1, 2)] * 3 + [Fraction(13, 20)]
        found = [m.covariance[0, 0] for m in averaged_moments(_UNIT, steps, [1, 1, 1, 0], _ORIGIN, Fraction(9, 10))]
        yield at_least(found[2], found[3], "heavy ball, μ=9/10, k=(1/2, 1/2, 1/2, 13/20), Var e_3 against Var e_4")

    return Outcome.from_trials(trials(), "hill descents over quadratics, regressions, heavy ball; exact rationals")


def _variances(steps: Sequence[Any]) -> list[Any]:
    """Var e_1.. in units of (σ/λ)², from k_0, k_1, ...; a_t² v + k_t²."""
    return list(accumulate(steps, lambda v, k: (1 - k) ** 2 * v + k**2, initial=0))[1:]


def decay(claim: Claim, setup: Setup) -> Outcome:
    """How much larger than the iterate's the average's variance can be when the step size may fall."""
    rng = setup.rng()
    top = 1 if claim.capped else 2

    def schedule(point: NDArray[np.float64], number: type) -> list[Any]:
        return [top * number(int(n)) / 1000 for n in np.round(1000 * point)]

    def slack(point: NDArray[np.float64]) -> float:
        v = _variances(schedule(point, float))
        return v[-1] * len(v) - max(v) if v[-1] else np.nan

    def trials() -> Iterator[Trial]:
        for length in (2, 3, 5, 8)[: setup.size(3, 4)]:
            for point in worst(slack, length, rng, setup.size(2, 10), setup.size(50, 400)):
                steps = schedule(point, Fraction)
                v = _variances(steps)
                rates = [Fraction(int(t <= int(np.argmax(v)))) for t in range(length)]  # stay at the worst iterate
                iterate, average = Training(_UNIT, steps, rates, _ORIGIN).covariances()
                where = f"k=({', '.join(f'{float(k):.4g}' for k in steps)}), θ̃_T = θ_{int(np.argmax(v)) + 1}"
                yield equal(average[0, 0], max(v), f"average of the worst iterate, {where}")
                bound = float(length) ** float(claim.excess_power)
                yield at_most(average[0, 0], iterate[0, 0] * rational(bound, 10**9), f"Var θ̃ <= T^p Var θ, {where}")
        for steps in (5, setup.size(20, 60)):
            k = [Fraction(1, t + 1) for t in range(steps)]
            rates = [Fraction(int(t == 0)) for t in range(steps)]
            iterate, average = Training(_UNIT, k, rates, _ORIGIN).covariances()
            yield equal(average[0, 0] / iterate[0, 0], Fraction(steps), f"η = 1/(λ(t+1)), T={steps}")
        yield from falling_steps()

    return Outcome.from_trials(trials(), "hill descents over schedules, exact rationals")


def bias(claim: Claim, setup: Setup) -> Outcome:
    """The bias of a constant EMA: closed form against its recursion, and both bounds, searched for their worst case."""
    rng = setup.rng()

    def instance(point: NDArray[np.float64], number: type) -> tuple[Any, Any, int]:
        k, gamma = (number(int(n)) / 200 for n in np.round(1 + 198 * point[:2]))
        return k * (1 + int(point[3] > 0.5)), gamma, 1 + round(39 * float(point[2]) ** 2)

    def slack(point: NDArray[np.float64]) -> float:
        sides = _bias_bounds(claim, *instance(point, float))[1]
        return min((high - low) / max(abs(high), abs(low), 1e-300) for low, high, _ in sides)

    def judged(k: Fraction, gamma: Fraction, steps: int) -> Iterator[Trial]:
        a, where = 1 - k, f"k={k}, γ={gamma}, T={steps}"
        beta, sides = _bias_bounds(claim, k, gamma, steps)
        closed = a**steps * (1 + gamma * steps)
        if k != gamma:
            closed = (gamma * a ** (steps + 1) - k * (1 - gamma) ** (steps + 1)) / (gamma - k)
        yield equal(beta, closed, f"β_T, {where}")
        for low, high, label in sides:
            yield at_most(low, high, f"{label}, {where}")

    def trials() -> Iterator[Trial]:
        for k, gamma, steps in ((1, 1, 12), (2, 2, 30), (9, 4, 1), (8, 4, 7), (3, 2, 25)):
            yield from judged(Fraction(k, 6), Fraction(gamma, 6), steps)
        points = worst(slack, 4, rng, setup.size(4, 30), setup.size(25, 200))
        for point in (*points, *rng.random((setup.size(10, 200), 4))):
            yield from judged(*instance(point, Fraction))

    return Outcome.from_trials(trials(), "exact rationals, hill descent over k, γ and T <= 40")


def _bias_bounds(claim: Claim, k: Any, gamma: Any, steps: int) -> tuple[Any, list[tuple[Any, Any, str]]]:
    """β_T by its recursion, and the claimed inequalities as (smaller, larger, name)."""
    a, rho, beta = 1 - k, 1 - gamma, 1 + 0 * k
    for t in range(1, steps + 1):
        beta = rho * beta + gamma * a**t
    rate, found = claim.modulus(a, rho) ** steps, []
    if a < 0:
        found.append((abs(beta), rate, "|β_T| <= m^T"))
    else:
        found.append((beta, rate * claim.resonant(k, gamma, steps), "β_T <= m^T (1 + min(k,γ)T)"))
        if k != gamma:
            largest = max(k, gamma) * claim.modulus(a, rho) / abs(k - gamma)
            found.append((beta, rate * largest, "β_T <= m^T max(k,γ)m/|k-γ|"))
    if a >= 0 or not claim.positive:
        found.append((rate, beta, "m^T <= β_T"))
    return beta, found


def library(claim: Claim, setup: Setup) -> Outcome:
    """Exact laws of gvatheory against the joint recursion, and in the order of the claim.

    Nine steps in two directions: a few hundred roundings, relative to the size of the mean or of the covariance.
    """
    rng = setup.rng()

    def trials() -> Iterator[Trial]:
        for _ in range(setup.size(1, 6)):
            for name, law, run in library_cases(rng, 9):
                known = run.moments()
                iterate, expected = known.covariance, known.average_covariance
                size, where = float(np.trace(expected)), f"{name}, {run}"
                for i, j in ((0, 0), (0, 1), (1, 1)):
                    error = float(law.covariance[i, j] - expected[i, j])
                    yield equal(size + error, size, f"covariance {i}{j}, {where}", tolerance=1e-12)
                    error = float(law.mean[i] - known.average_mean[i])
                    yield equal(2 + error, 2.0, f"mean {i}, {where}", tolerance=1e-12)
                u = weakest(iterate, law.covariance)[1]
                yield claim.ordered(float(u @ law.covariance @ u), float(u @ iterate @ u), f"worst direction, {where}")

    return Outcome.from_trials(trials(), "laws of SGD, heavy ball and regression under EMAs and fixed weights, T=9")


def rollouts(claim: Claim, setup: Setup) -> Outcome:
    """Simulated runs in one direction, σ = λ = 1: the order, the excess under a falling step, the resonant bias."""
    rng = setup.rng()
    count = setup.size(20_000, 100_000)

    def spread(values: NDArray[np.float64]) -> tuple[float, float]:
        return gaussian_variance_interval(float((values**2).sum()), count, setup.rate)

    def trials() -> Iterator[Trial]:
        rising = np.linspace(0.1, 1.8, 12)
        last, mean = simulate(rising, np.full(12, 0.4), 0.0, count, rng)
        (low, high), (left, right) = spread(mean), spread(last)
        edges = (low, right) if claim.reduces else (high, left)
        yield claim.ordered(*edges, f"Var θ̃ in [{low:.4g}, {high:.4g}], Var θ in [{left:.4g}, {right:.4g}]")
        steps = 9
        last, mean = simulate(1 / np.arange(1, steps + 1), np.eye(steps)[0], 0.0, count, rng)
        (low, high), (left, right) = spread(mean), spread(last)
        value = float(steps) ** float(claim.excess_power)
        yield inside(value, (low / right, high / left), f"Var θ̃ / Var θ, η = 1/(λ(t+1)), T={steps}")
        k, steps, start = 0.25, 12, 40.0
        last, mean = simulate(np.full(steps, k), np.full(steps, k), start, count, rng)
        noise = gaussian_variance_interval(float(((mean - mean.mean()) ** 2).sum()), count - 1, setup.rate / 2)
        interval = gaussian_mean_interval(float(mean.mean()), count, noise[1], setup.rate / 2)
        value = start * claim.modulus(1 - k, 1 - k) ** steps * float(claim.resonant(k, k, steps))
        yield inside(value, interval, f"E ẽ_T at k = γ = {k}, T={steps}, e_0={start}")

    return Outcome.from_trials(trials(), f"{count} runs per setting", assertions=5)


def picture(seed: int) -> Picture:
    """Standard deviations along a rise and a fall of the step size: EMA, iterate, and the largest so far."""
    del seed
    k = np.concatenate([np.linspace(0.1, 1.98, 40), np.full(60, 1.98), 1 / np.arange(1, 21)])
    path = list(averaged_moments(Noise(np.eye(1), np.eye(1)), k, np.full(len(k), 0.5), np.zeros(1)))
    iterate = np.sqrt([float(moments.covariance[0, 0]) for moments in path])
    average = np.sqrt([float(moments.average_covariance[0, 0]) for moments in path])
    t = np.arange(1, len(k) + 1)
    curves = (
        series("EMA, γ = 1/2", "truth", t, average),
        series("bound: largest of the iterate so far", "claim", t, np.maximum.accumulate(iterate)),
        series("iterate: a bound while the step does not fall", "wrong", t, iterate),
    )
    caption = "k rises from 0.1 to 1.98, stays, and falls as 1, 1/2, 1/3, ... from t = 101 on; label noise only, "
    caption += "γ = 1/2. The EMA stays below the iterate until the step falls, and is above it just after."
    return Picture("t", "standard deviation, units of σ/λ", curves, caption, y_log=True)


PROPOSITION = Proposition(
    id="A1",
    title="An average has no more label-noise variance than the iterate while the step size does not fall",
    setting="SGD on a quadratic or a linear regression, θ̃_t = (1-γ_t) θ̃_{t-1} + γ_t θ_t, E_t and M_t the label-noise "
    "covariances of θ̃_t and θ_t; k = ηλ, a = 1-k, ρ = 1-γ",
    statement=(
        r"$\eta_t$ nondecreasing: $E_t \preceq M_t \preceq M_{t+1}$, any $\gamma_t \in [0,1]$, stable or not; heavy "
        r"ball: at a constant step. Quadratic, along an eigendirection, any schedule with $0 < k_t \le 1$: "
        r"$\mathrm{Var}\,\tilde\theta_T \le T\,\mathrm{Var}\,\theta_T$, attained. "
        r"Constant $k > 0$ and $\gamma$: bias $\beta_T = (\gamma a^{T+1} - k\rho^{T+1})/(\gamma-k)$ with "
        r"$m^T \le \beta_T \le m^T \min(1 + \min(k,\gamma)T, \max(k,\gamma)m/|k-\gamma|)$, $m = \max(|a|,\rho)$, if "
        r"$a \ge 0$, and $|\beta_T| \le m^T$ if $a < 0$"
    ),
    hypotheses=(
        "step size nondecreasing (heavy ball: constant), gradient noise covariance not falling",
        "0 <= γ_t <= 1, fixed beforehand; deterministic start",
        "regression: the part of the covariance that label noise makes, i.e. start at the optimum",
    ),
    source="Li and Gu, arXiv 2502.14123",
    reconstructed=True,
    quoted="that an EMA has no more variance than SGD and that its bias decays exponentially, in linear regression",
    rebuilt="rising steps, any rates, Loewner order, heavy ball, how far a falling step can break it, all constants",
    claim=Claim(),
    checks=(
        Check("algebra", "algebra", algebra),
        Check("bias", "numbers", bias),
        Check("decay", "numbers", decay),
        Check("order", "numbers", order),
        Check("library", "numbers", library),
        Check("rollouts", "simulation", rollouts, assertions=5),
    ),
    mutants=(
        Mutant("sign", "reduces", False, "the average would have the larger variance"),
        Mutant("hypothesis", "nondecreasing", False, "any step sizes"),
        Mutant("hypothesis", "convex", False, "γ_t up to 3/2: extrapolation"),
        Mutant("hypothesis", "from_optimum", False, "all of regression's spread, the start's included"),
        Mutant("hypothesis", "steady_noise", False, "a noise that falls, as with a growing batch"),
        Mutant("hypothesis", "steady_momentum", False, "heavy ball under a step size that rises"),
        Mutant("exponent", "excess_power", Fraction(1, 2), "at most √T times the variance for any schedule"),
        Mutant("hypothesis", "capped", False, "T times for steps up to k = 2 as well"),
        Mutant("sign", "slowest", False, "the bias would decay at the faster of the two rates"),
        Mutant("constant", "resonance", Fraction(1, 2), "a^T (1 + γT/2) at a = ρ"),
        Mutant("exponent", "resonance_power", 0, "no factor T at a = ρ"),
        Mutant("hypothesis", "positive", False, "m^T <= β_T for a < 0 as well: the bias can vanish there"),
    ),
    corrections=(
        "heavy ball under any nondecreasing step size: false, a constant step is needed; μ = 9/10, k = (1/2, 1/2, 1/2, "
        "13/20) has Var e_4 < Var e_3, and the ratio is unbounded (up to 1/k as μ -> 1)",
        "with a decaying step 2.2x seen: unbounded; up to T-fold with k <= 1 (attained), and unlimited under a "
        "constant γ as k -> 2 (k = 2-ε for long, then k = 1 once: 1/(18ε) at γ = 1/2)",
        "at most T-fold with k <= 1: on the quadratic; over 2T in regression at b = 3 (k = 1 ten times, 1/2, 1/3, ...)",
        "bias decays as max(|a|, ρ)^T: up to the factor 1 + min(k,γ)T, which is attained at a = ρ",
    ),
    picture=picture,
)

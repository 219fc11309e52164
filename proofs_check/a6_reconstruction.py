r"""Proposition A6: any average of a run can be rebuilt from a few stored ones, with an error bounded by a norm.

Setting. Iterates θ_0..θ_T of SGD with optimum θ*, e_t = θ_t - θ*. Stored averages Σ_t w^i_t θ_t, i = 1..n, and a
target Σ_t w_t θ_t, every kernel summing to one. A combination c has the residual r = Σ_i c_i w^i - w and the error Σ_t
r_t θ_t. G = (⟨w^i, w^j⟩) is invertible, q = (⟨w^i, w⟩). Along one eigendirection e_{t+1} = (1-k_t) e_t - η_tξ_t, k_t =
η_tλ, with ξ white of variance σ²; a constant step where k and a = 1-k are written.

Statement.

1. The nearest combination with Σc = 1 is c = u + (1-s) g/Σg, with u = G⁻¹q the unconstrained one, s = Σu, g = G⁻¹1
   (1: the vector of ones). It is unique, and the constraint adds (1-s)²/Σg to ‖r‖².
2. The constraint is needed: the error is Σ_t r_t e_t + (Σc - 1)θ*, so that it does not depend on where θ* is if and
   only if Σc = 1. For a long run, one stored EMA of rate γ₁ and a target EMA of rate γ₂ have s - 1 = (γ₂-γ₁)/(γ₁+γ₂ -
   γ₁γ₂), anything between -1 and 1: θ* is stretched or shrunk by that share, without limit in units of σ/λ.
3. Dividing the unconstrained solution by its sum (s not 0) restores Σc = 1 but is not nearest: it adds (uᵀGu)(Σg)/s²
   >= 1 times the constraint's (1-s)²/Σg, with equality iff u is proportional to g.
4. E(Σ r_t e_t)² <= (σ/λ)² ‖r‖² if e_0 = 0 and the steps do not decrease, 0 <= k_0 <= k_1 <= ... <= 1; equality at
   k = 1, r_0 = 0. For any constant step, 0 < k < 2, and any e_0:
       E(Σ r_t e_t)² <= ‖r‖² [(ησ/min(k,2-k))² + e_0²/(k(2-k))].
   No hypothesis can go: a step that decreases breaks the first bound (early noise is no longer forgotten), so does
   k > 1 (iterates alternate: (k/(2-k))² is approached) or e_0 ≠ 0.

Proof. (1) Multiplier: Gc - q is a multiple of 1. For d with Σd = 0, ‖r(c+d)‖² = ‖r(c)‖² + dᵀGd. (2) Σ_t r_t = Σc - 1;
⟨w^1, w⟩ = γ₁γ₂/(1-(1-γ₁)(1-γ₂)). (3) ‖r(u+d)‖² = ‖r(u)‖² + dᵀGd with d = (1/s - 1)u; Cauchy-Schwarz in the inner
product of G: s² = ⟨g, u⟩² <= ⟨g, g⟩⟨u, u⟩, ⟨g, g⟩ = Σg. (4) Σ r_t e_t = -(σ/λ) Σ_j ζ_j (Lᵀr)_j, L_tj = k_j
Π_{j<i<t}(1-k_i) for t > j, ζ white of variance one. Schur's test: ‖L‖² <= (largest row sum)(largest column sum); row
sums are 1 - Π_{i<t}(1-k_i) <= 1, and for steps that do not decrease a column sum is at most k_j Σ_n (1-k_j)^n <= 1. For
a constant step |L_tj| = k|a|^{t-j-1}: both at most k/(1-|a|) = k/min(k,2-k). (The same from the symbol
k²/|1-ae^{iω}|², largest at ω = 0 or π.) The mean is e_0 Σ a^t r_t, at most |e_0| ‖r‖ (1-a²)^{-1/2}.

Source. Karras et al. 2024, arXiv 2312.02696, section 3 (post-hoc EMA): least squares in the averaging profiles; their
published code divides the unconstrained solution by its sum. Constraint, comparison and error bounds: worked out here.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import sympy
from numpy.typing import NDArray

import gvatheory as gva
from proofs_check.budget import gaussian_variance_interval
from proofs_check.interface import Check, Mutant, Outcome, Proposition, Setup, Trial
from proofs_check.judging import at_least, at_most, equal, inside, rational, vanishes, worst
from proofs_check.pictures import Picture, series
from proofs_check.routes import exact_averages as averages


@dataclass(frozen=True)
class Claim:
    """The statement as a value.

    Attributes:
        constrained: hypothesis Σc = 1.
        along: the direction in which u is corrected: "multiplier" g, or u itself ("solution": division by the sum).
        multiplier_sign: s' in c = u + s'(1-s) g/Σg.
        gain: G in E(Σ r_t e_t)² <= G(σ/λ)²‖r‖².
        norm: p of the norm ‖r‖_p in every bound, even.
        start_power: p in e_0²/(k(2-k))^p.
        capped: hypothesis k <= 1 of the first bound.
        nondecreasing: hypothesis on the steps of the first bound.
        from_optimum: hypothesis e_0 = 0 of the first bound.
    """

    constrained: bool = True
    along: str = "multiplier"
    multiplier_sign: int = 1
    gain: Fraction = Fraction(1)
    norm: int = 2
    start_power: int = 1
    capped: bool = True
    nondecreasing: bool = True
    from_optimum: bool = True

    def coefficients(self, gram: Sequence[Sequence[Any]], against: Sequence[Any]) -> list[Any]:
        """c, in the arithmetic of G and q."""
        free = averages.solve(gram, against)
        towards = averages.solve(gram, [1 + 0 * x for x in against]) if self.along == "multiplier" else free
        step = self.constrained * self.multiplier_sign * (1 - sum(free)) / sum(towards)
        return [x + step * y for x, y in zip(free, towards, strict=True)]

    def within(self, error: Any, residual: Sequence[Any], factor: Any, witness: str) -> Trial:
        """The trial of E(Σ r_t e_t)² <= factor · ‖r‖_p², both sides to the power p/2."""
        half = self.norm // 2
        return at_most(error**half, factor**half * sum(abs(r) ** self.norm for r in residual), witness)

    def factor(self, k: Any, start: Any) -> Any:
        """The general bound over ‖r‖², in units of (σ/λ)²."""
        return (k / min(k, 2 - k)) ** 2 + start**2 / (k * (2 - k)) ** self.start_power


def algebra(claim: Claim, setup: Setup) -> Outcome:
    """Optimality and excess of the constrained solution, Schur's sums, the symbol, the sum of unconstrained weights."""

    def trials() -> Iterator[Trial]:
        yield from _least_squares(claim, 1)
        yield from _least_squares(claim, 2)
        k = sympy.symbols("k0:5", positive=True)
        for t in range(1, 5):
            row = [k[j] * sympy.prod([1 - k[i] for i in range(j + 1, t)]) for j in range(t)]
            yield vanishes(sympy.Add(*row) - 1 + sympy.prod([1 - x for x in k[:t]]), f"row sum {t}")
        a, x, first, second = sympy.symbols("a x gamma1 gamma2", positive=True)
        symbol = 1 - 2 * a * x + a**2  # |1 - ae^{iω}|², x = cos ω
        yield vanishes(symbol - (1 - a) ** 2 - 2 * a * (1 - x), "symbol, a >= 0: least at ω = 0")
        yield vanishes(symbol - (1 + a) ** 2 + 2 * a * (1 + x), "symbol, a <= 0: least at ω = π")

        def inner(one: Any, two: Any) -> Any:
            return one * two / (1 - (1 - one) * (1 - two))

        share = inner(first, second) / inner(first, first) - 1
        yield vanishes(share - (second - first) / (first + second - first * second), "s - 1 of two EMAs")

    return Outcome.from_trials(trials(), "least squares, row sums, symbol")


def _least_squares(claim: Claim, size: int) -> Iterator[Trial]:
    """Stationarity, the sum, and what the constraint adds, for a general Gram matrix."""
    gram = [[sympy.Symbol(f"G{min(i, j)}{max(i, j)}") for j in range(size)] for i in range(size)]
    against = list(sympy.symbols(f"q0:{size}"))
    found, free = claim.coefficients(gram, against), averages.solve(gram, against)
    multiplier = averages.solve(gram, [sympy.Integer(1)] * size)
    yield vanishes(sympy.Add(*found) - 1, f"Σc = 1, {size} stored")
    slope = [averages.dot(row, found) - q for row, q in zip(gram, against, strict=True)]
    for value in slope[1:]:
        yield vanishes(value - slope[0], f"Gc - q is a multiple of 1, {size} stored")
    moved = [x - y for x, y in zip(found, free, strict=True)]
    added = averages.dot(moved, [averages.dot(row, moved) for row in gram])
    yield vanishes(added - (1 - sum(free)) ** 2 / sum(multiplier), f"what the constraint adds, {size} stored")
    if size == 2:
        gap = averages.dot(free, against) * sum(multiplier) - sum(free) ** 2
        turned = multiplier[0] * free[1] - multiplier[1] * free[0]
        square = (gram[0][0] * gram[1][1] - gram[0][1] ** 2) * turned**2
        yield vanishes(gap - square, "(uᵀGu)(Σg) - s² is det G times a square")


def _drawn(rng: np.random.Generator, steps: int, count: int) -> tuple[list[Any], list[Fraction], list[Any]]:
    """Distinct snapshots (rates, of the same run), the target's kernel, and all as (Average, time) for the library."""
    times = sorted({steps, *(int(t) for t in rng.integers(2, steps + 1, count - 1))})
    stored: list[Any] = []
    known: list[Any] = []
    for i, time in enumerate(times):
        gamma, exponent = rational(rng.uniform(0.05, 0.6), 20), int(rng.integers(0, 5))
        rates = averages.power_rates(exponent, time) if i % 2 else averages.ema_rates(gamma, time)
        known.append((gva.PowerProfile(float(exponent)) if i % 2 else gva.EMA(float(gamma)), time))
        stored.append(averages.kernel(rates, steps + 1))
    gamma = rational(rng.uniform(0.02, 0.95), 20)
    known.append((gva.EMA(float(gamma)), steps))
    return stored, averages.kernel(averages.ema_rates(gamma, steps), steps + 1), known


def _residual(coefficients: Sequence[Any], stored: Sequence[Sequence[Any]], target: Sequence[Any]) -> list[Any]:
    return [averages.dot(coefficients, column) - w for column, w in zip(zip(*stored, strict=True), target, strict=True)]


def _gram(stored: Sequence[Sequence[Any]], target: Sequence[Any]) -> tuple[list[list[Any]], list[Any]]:
    return [[averages.dot(x, y) for y in stored] for x in stored], [averages.dot(x, target) for x in stored]


def combinations(claim: Claim, setup: Setup) -> Outcome:
    """Rational kernels: the Lagrange system, no better combination, division by the sum, and a far-away optimum."""
    rng = setup.rng()

    def trials() -> Iterator[Trial]:
        for _ in range(setup.size(6, 60)):
            steps, count = int(rng.integers(6, 16)), int(rng.integers(1, 5))
            stored, target, known = _drawn(rng, steps, count)
            gram, against = _gram(stored, target)
            found, count = claim.coefficients(gram, against), len(stored)
            residual = _residual(found, stored, target)
            size = averages.dot(residual, residual)
            where = f"stored {known[:-1]}, target {known[-1]}"
            bordered = [[*row, Fraction(1)] for row in gram] + [[Fraction(1)] * count + [Fraction(0)]]
            for i, value in enumerate(averages.solve(bordered, [*against, Fraction(1)])[:-1]):
                yield equal(found[i], value, f"c_{i} by the Lagrange system, {where}")
            for _ in range(3 if count > 1 else 0):  # a single average has no other combination
                other = [x + rational(z, 100) for x, z in zip(found, 0.3 * rng.normal(size=count), strict=True)]
                other = [x + (1 - sum(other)) / count for x in other]
                worse = _residual(other, stored, target)
                yield at_most(size, averages.dot(worse, worse), f"‖r‖² against another combination, {where}")
            free = averages.solve(gram, against)
            shared = _residual([x / sum(free) for x in free], stored, target)
            nearest = _residual(free, stored, target)
            least, ones = averages.dot(nearest, nearest), sum(averages.solve(gram, [Fraction(1)] * count))
            extra = averages.dot(free, against) * ones / sum(free) ** 2  # uᵀGu = uᵀq
            yield equal(averages.dot(shared, shared) - least, extra * (size - least), f"division by the sum, {where}")
            yield at_least(extra, Fraction(1), f"what division by the sum costs, {where}")
            # 1000 σ/λ is where the optimum is; SGD starts on it.
            error = averages.squared_error(residual, [Fraction(1, 2)] * steps) + (1000 * sum(residual)) ** 2
            yield claim.within(error, residual, claim.gain, f"E error², θ* = 1000 σ/λ, {where}")

    return Outcome.from_trials(trials(), "random EMA and power profiles in rationals, 1 to 4 stored")


def bounds(claim: Claim, setup: Setup) -> Outcome:
    """The residual that maximises the error, from an eigenvector, over steps, schedules and starts; judged exactly."""
    rng = setup.rng()
    most = Fraction(1) if claim.capped else Fraction(199, 100)

    def schedule(point: NDArray[np.float64]) -> NDArray[np.float64]:
        steps = np.round(point, 3)
        return np.sort(steps) if claim.nondecreasing else steps

    def ratio(point: NDArray[np.float64]) -> float:
        moments = averages.covariance(schedule(point))
        residual = averages.worst_residual(moments)
        return -float(residual @ moments @ residual) / float(residual @ residual)

    def judged(steps: Sequence[Fraction], start: Fraction) -> tuple[Any, list[Fraction]]:
        moments = averages.covariance(np.array([float(k) for k in steps]), float(start))
        residual = [rational(r, 1000) for r in averages.worst_residual(moments)]
        residual[-1] -= sum(residual)
        return averages.squared_error(residual, steps, start), residual

    def trials() -> Iterator[Trial]:
        for steps in (1, 2, 7, setup.size(16, 60)):
            some = [most * rational(x, 50) for x in rng.uniform(0.02, 1, setup.size(3, 30))]
            for k in (most, most / 2, Fraction(1, 100), *some):
                start = Fraction(0) if claim.from_optimum else Fraction(2)
                error, residual = judged([k] * steps, start)
                yield claim.within(error, residual, claim.gain, f"(σ/λ)²‖r‖², k={k}, T={steps}, e_0={start}")
        for point in worst(ratio, 6, rng, setup.size(3, 8), setup.size(15, 120)):
            steps = [rational(k, 1000) for k in schedule(point)]
            error, residual = judged(steps, Fraction(0))
            yield claim.within(error, residual, claim.gain, f"(σ/λ)²‖r‖², steps k_t={', '.join(map(str, steps))}")
        for steps in (2, setup.size(20, 60)):
            for start in (Fraction(0), Fraction(3), rational(3 * rng.random(), 10)):
                for k in (Fraction(1, 10), Fraction(1), Fraction(19, 10), rational(rng.uniform(0.02, 1.98), 50)):
                    error, residual = judged([k] * steps, start)
                    where = f"general bound, k={k}, T={steps}, e_0={start}"
                    yield claim.within(error, residual, claim.factor(k, start), where)
        error, residual = judged([Fraction(19, 10)] * 60, Fraction(0))
        least = averages.dot(residual, residual) * Fraction(4, 5) * 19**2
        yield at_least(error, least, "four fifths of (k/(2-k))²‖r‖² are reached, k=19/10, T=60")

    return Outcome.from_trials(trials(), "largest eigenvectors over steps, schedules and starts, exact rationals")


def library(claim: Claim, setup: Setup) -> Outcome:
    """gvatheory's coefficients, errors and bounds against the rational ones.

    The condition number of the kernels' Gram matrix multiplies the rounding; instances above 1e6 are passed over.
    """
    rng = setup.rng()

    def trials() -> Iterator[Trial]:
        done = 0
        while done < setup.size(4, 40):
            steps = int(rng.integers(6, 14))
            stored, target, known = _drawn(rng, steps, 3)
            gram, against = _gram(stored, target)
            if np.linalg.cond(np.array(gram, dtype=float)) > 1e6:
                continue
            done += 1
            found = claim.coefficients(gram, against)
            residual = _residual(found, stored, target)
            made = gva.reconstruct(known[-1][0], known[:-1], steps)
            where = f"stored {known[:-1]}, target {known[-1]}"
            # Normwise, as least squares is stable: where the target is one of the stored, coefficients vanish.
            off = max(abs(Fraction(c) - value) for c, value in zip(made.coefficients.tolist(), found, strict=True))
            reach = Fraction(1, 10**8) * max(map(abs, found))
            yield at_most(off, reach, f"gvatheory's c, {where}")
            k, start, curvature = Fraction(int(rng.integers(1, 39)), 20), Fraction(int(rng.integers(0, 4))), 2.0
            args = (3.0, curvature, float(k) / curvature, float(start) * 1.5)  # σ/λ = 3/2
            given = [Fraction(r) for r in made.residual.tolist()]
            error = averages.squared_error(given, [k] * steps, start)
            name = f"k={k}, e_0={start}, {where}"
            yield equal(made.exact_rms_error(*args) ** 2, float(error) * 2.25, f"exact error, {name}", tolerance=1e-10)
            limit = float(claim.factor(k, start)) * float(averages.dot(given, given)) * 2.25
            yield equal(made.rms_error_bound(*args) ** 2, limit, f"gvatheory's bound, {name}", tolerance=1e-12)
            plain = float(claim.gain) * float(averages.dot(given, given)) * 2.25
            yield equal(made.rms_error_bound(3.0, 2.0) ** 2, plain, f"gvatheory's (σ/λ)‖r‖, {name}", tolerance=1e-12)
            size = math.sqrt(averages.dot(residual, residual))
            # A kernel's norm is at most one, so three coefficients move ‖r‖ by at most three times their error.
            yield at_most(abs(made.residual_norm - size), 3 * float(reach), f"gvatheory's ‖r‖ {size:.3g}, {where}")

    return Outcome.from_trials(trials(), "coefficients, exact errors and bounds")


def runs(claim: Claim, setup: Setup) -> Outcome:
    """SGD about an optimum at 20 σ/λ, its stored averages combined: the error against the target, and the bound."""
    count, steps, rng = setup.size(4_000, 60_000), 40, setup.rng()
    rates = [averages.ema_rates(Fraction(1, 4), 25), averages.ema_rates(Fraction(1, 4), steps)]
    rates.append(averages.power_rates(2, steps))
    stored = [averages.kernel(r, steps + 1) for r in rates]
    target = averages.kernel(averages.ema_rates(Fraction(1, 10), steps), steps + 1)
    coefficients = np.array([float(c) for c in claim.coefficients(*_gram(stored, target))])
    residual = coefficients @ np.array(stored, dtype=float) - np.array(target, dtype=float)

    def trials() -> Iterator[Trial]:
        rising = np.linspace(0.1, 0.9, steps)
        for name, k in (
            ("k = 3/10", np.full(steps, 0.3)),
            ("k rising to 9/10", rising),
            ("k = 8/5", np.full(steps, 1.6)),
        ):
            gap = _gaps(k, [*rates, averages.ema_rates(Fraction(1, 10), steps)], coefficients, count, rng)
            low, high = gaussian_variance_interval(float((gap**2).sum()), count, setup.rate)
            exact = float(averages.squared_error(residual.tolist(), k.tolist()))
            yield inside(exact, (low, high), f"E error², {name}")
            factor = claim.factor(float(k[0]), 0.0) if k[0] > 1 else float(claim.gain)
            yield claim.within(low, residual.tolist(), factor, f"E error² against its bound, {name}")

    return Outcome.from_trials(trials(), f"{count} runs, three stored averages, T={steps}", assertions=3)


def _gaps(
    k: NDArray[np.float64], rates: Any, coefficients: NDArray[np.float64], count: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Combination of the stored averages (all rates but the last) minus the target, of runs from θ_0 = θ* = 20."""
    theta = np.full(count, 20.0)
    kept = [theta.copy() for _ in rates]
    for t, step in enumerate(k):
        theta = theta - step * (theta - 20.0 + rng.standard_normal(count))
        for average, rate in zip(kept, rates, strict=True):
            if t < len(rate):
                average += float(rate[t]) * (theta - average)
    return coefficients @ np.stack(kept[:-1]) - kept[-1]


def picture(seed: int) -> Picture:
    """Error of rebuilding a power profile from n snapshots of one EMA, constrained or not, and the bound."""
    steps, k, far = 60, 0.2, 20.0
    target = gva.PowerProfile(6.0).kernel(steps)
    truth, limit, free = [], [], []
    counts = range(1, 9)
    for n in counts:
        stored = [(gva.EMA(0.1), time) for time in gva.snapshot_times(n, steps)]
        made = gva.reconstruct(gva.PowerProfile(6.0), stored, steps)
        truth.append(averages.squared_error(made.residual.tolist(), [k] * steps) ** 0.5)
        limit.append(made.residual_norm)
        rows = np.stack([np.pad(average.kernel(time), (0, steps - time)) for average, time in stored])
        residual = np.linalg.lstsq(rows.T, target, rcond=None)[0] @ rows - target
        square = averages.squared_error(residual.tolist(), [k] * steps) + (far * residual.sum()) ** 2
        free.append(square**0.5)
    return Picture(
        "stored averages",
        r"rms error, in units of $\sigma/\lambda$",
        (
            series(r"exact, $\Sigma c = 1$", "truth", counts, truth),
            series(r"bound $\Vert r\Vert_2$", "claim", counts, limit),
            series("exact, without the constraint", "wrong", counts, free),
        ),
        "The profile t^6 over T = 60 steps from snapshots of an EMA of rate 0.1, k = 0.2, e_0 = 0, θ* = 20 σ/λ.",
        y_log=True,
    )


PROPOSITION = Proposition(
    id="A6",
    title="Post-hoc reconstruction of an average from a few stored ones",
    setting="kernels w^i of stored averages and w of a target, each summing to one; r = Σ c_i w^i - w, "
    "G = (<w^i, w^j>), q = (<w^i, w>); SGD on a quadratic, one direction, noise variance σ², k = ηλ",
    statement=(
        r"nearest with $\Sigma c = 1$: $c = u + (1-s)\,g/\Sigma g$, $u = G^{-1}q$, $s = \Sigma u$, "
        r"$g = G^{-1}\mathbf 1$; the error is free of $\theta^*$ iff $\Sigma c = 1$; dividing $u$ by $s$ instead adds "
        r"$(u^\top G u)(\Sigma g)/s^2 \ge 1$ times as much to $\Vert r\Vert^2$; rms error $\le "
        r"(\sigma/\lambda)\Vert r\Vert_2$ for nondecreasing steps with $k_t \le 1$ and $e_0 = 0$, and "
        r"$\le \Vert r\Vert_2\sqrt{(\eta\sigma/\min(k,2-k))^2 + e_0^2/(k(2-k))}$ for any constant step"
    ),
    hypotheses=(
        "coefficients sum to one; kernels linearly independent; s not 0 where u is divided by it",
        "noise white over time; along one eigendirection",
        "first bound: e_0 = 0, steps that do not decrease, k <= 1; second: constant step, 0 < k < 2",
    ),
    source="Karras et al. 2024, arXiv 2312.02696, section 3; constraint and bounds: this project",
    reconstructed=True,
    quoted="least squares in the averaging profiles; the published code divides the solution by its sum",
    rebuilt="constrained solution, its comparison with division by the sum, error bounds and their hypotheses",
    claim=Claim(),
    checks=(
        Check("algebra", "algebra", algebra),
        Check("combinations", "numbers", combinations),
        Check("bounds", "numbers", bounds),
        Check("library", "numbers", library),
        Check("runs", "simulation", runs, assertions=3),
    ),
    mutants=(
        Mutant("hypothesis", "constrained", False, "least squares without Σc = 1"),
        Mutant("hypothesis", "along", "solution", "the unconstrained solution divided by its sum as the nearest"),
        Mutant("sign", "multiplier_sign", -1, "c = u - (1-s) g/Σg"),
        Mutant("constant", "gain", Fraction(9, 10), "E error² <= 0.9 (σ/λ)²‖r‖²"),
        Mutant("exponent", "norm", 4, "‖r‖_4 in place of ‖r‖_2"),
        Mutant("exponent", "start_power", 0, "e_0²‖r‖² for the start, at every step size"),
        Mutant("hypothesis", "capped", False, "(σ/λ)‖r‖ for every stable step"),
        Mutant("hypothesis", "nondecreasing", False, "(σ/λ)‖r‖ for every schedule with k_t <= 1"),
        Mutant("hypothesis", "from_optimum", False, "(σ/λ)‖r‖ from any start"),
    ),
    corrections=(
        "'unconstrained gives 1.11' is one case of s - 1 = (γ₂-γ₁)/(γ₁+γ₂-γ₁γ₂) in (-1, 1) for two EMAs, and what goes "
        "wrong is the bias (s-1)θ*; mutant constrained = False",
        "rms error <= (σ/λ)‖r‖ needs e_0 = 0 and k <= 1, and holds for any nondecreasing steps but not for decreasing "
        "ones; mutants from_optimum, capped, nondecreasing",
    ),
    picture=picture,
)

r"""Proposition C.2: no amplification when the closed loop is sufficiently stable.

Setting. Expert x*' = A x*, learner x' = A x + B w, w_h = Δ_h x_h, same start; A = A_cl with spectral radius below one;
‖w_h‖ <= r‖x_h‖, where w may depend on the whole past: Δ complex, time-varying, state-dependent. Cost Σ xᵀQx + uᵀRu with
u = Kx + w, gap = learner's cost - expert's, over any horizon. G(z) = (zI-A)^{-1}B, r_C = 1/max_{|z|=1}‖G(z)‖, q =
r/r_C. Over all steps X² = Σ‖x*_h‖², Y² = the expert's cost; c² = ‖Q + KᵀRK‖.

Statement.

1. For r < r_C and every horizon: Σ‖x_h‖² <= S², S = X/(1-q), and |gap| <= 2YD + D², D = (cq + ‖R‖^{1/2}r)S. Among
   bounds that hold for every loop these are best possible where R = 0: A = (a, 0; c, 1/2), B = (0, 1), Q = I, x_0 =
   (1, 0), Δ = (0, r) attains both, summed over all steps, as a -> 1, then c -> ∞. (For one given controllable loop the
   energy is O(1/(1-q)): in prose only, below.)
2. r_C is sharp (B != 0): for every ϵ > 0 a constant complex Δ of rank one and norm below r_C + ϵ gives A + BΔ an
   eigenvalue outside the unit circle; Δ_h of norm at most r < r_C leave Σ‖x_h‖² finite by (1), however they vary.
3. r is certified by P ≻ 0 with (AᵀPA - P + I, AᵀPB; BᵀPA, BᵀPB - I/r²) ≺ 0; the supremum of such r is r_C. Then
   Σ‖x_h‖² <= x_0ᵀPx_0/(1 - (s/r)²) for errors of norm s < r.
4. Constant real Δ is harmless up to the real radius r_R >= r_C, but real Δ that switches is not. For A = (0, 1; -α, 0),
   B = (0, 1), 3-2√2 <= α < 1: r_C = (1-α)/√2 and r_R = 1-α, and Δ = (-d, ±d), its sign switching at each step, is
   unstable as soon as √2 d > r_C: for switching real errors r_C is the sharp radius here.
5. With independent centred process noise of covariance W and E x_0x_0ᵀ = Σ_0 the expected gap obeys (1) with X² =
   tr(L(Σ_0 + HW)), L = Σ_k (A^k)ᵀA^k, and Y² alike: bounded per step, not in total.

Proof. (1) x - x* = 𝒢w, 𝒢 causal with ℓ2-gain 1/r_C on every horizon (Parseval; causality for truncations), so ‖x‖ <=
X + q‖x‖. Costs are squared norms of y = (Q^{1/2}x, R^{1/2}u), and ‖y-y*‖ <= cq‖x‖ + ‖R‖^{1/2}r‖x‖ <= D; (Y+D)² - Y² =
2YD + D². (2) Δ = vuᴴ/(uᴴGv) with Gv = σu, |z| >= 1: det(zI-A-BΔ) = det(zI-A)(1 - uᴴGv/(uᴴGv)) = 0. (3) The LMI is
V(x') - V(x) + ‖x‖² - ‖w‖²/r² < 0; sum over h. It has a solution below r_C by the Kalman-Yakubovich-Popov lemma, quoted
here and checked by its Riccati equation; at r > r_C (2) forbids one. For scalars both are proved below. At r_C itself
the lemma gives a controllable loop the LMI with ⪯ (quoted), hence the energy x_0ᵀPx_0/(1-q²). (4) Jury's test
of A + BΔ and of the product over a period of two. (5) Each pulse of noise is a start of its own for x*; (1) holds path
by path; E YD <= (E Y² E D²)^{1/2}.

Source. Block et al., arXiv 2310.11428, Proposition C.2; only its name is known here. Complex radius: Hinrichsen and
Pritchard (1986); real: Qiu et al. (1995). The gap bound, its sharpness and the switching instance are worked out here.
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
from gvatheory.certificates import Certificate
from proofs_check.budget import bounded_mean_interval
from proofs_check.interface import Check, Mutant, Outcome, Proposition, Setup, Trial
from proofs_check.judging import DIGITS, at_least, at_most, equal, real, vanishes, worst
from proofs_check.pictures import Picture, series
from proofs_check.rational_matrices import exact, identity
from proofs_check.routes.driven_loops import Loop, energies, noisy_trials, scattered_loop
from proofs_check.routes.rational_loops import (
    certificate_trials,
    destabiliser,
    dissipation,
    energy,
    riccati_certificate,
    unstable_margin,
)


@dataclass(frozen=True)
class Claim:
    """The statement as a value.

    Attributes:
        radius_factor: c in r_C = c/max‖G‖.
        share_power: p in S = X/(1-q)^p.
        share_sign: s in 1 + sq.
        cross: c in cYD + D².
        action: whether ‖R‖^{1/2}r enters D.
        below: hypothesis r < r_C.
        complex_radius: whether errors that vary must stay below r_C; else below r_R.
        per_step: whether the noise's part of X² and Y² grows with the horizon.
    """

    radius_factor: Fraction = Fraction(1)
    share_power: Fraction = Fraction(1)
    share_sign: int = -1
    cross: int = 2
    action: bool = True
    below: bool = True
    complex_radius: bool = True
    per_step: bool = True

    def radius(self, complex_radius: Any, real_radius: Any) -> Any:
        """The norm below which errors that vary are harmless."""
        return self.radius_factor * (complex_radius if self.complex_radius else real_radius)

    def state(self, X: Any, q: Any) -> Any:
        """S."""
        base = 1 + self.share_sign * q
        return X / (base if self.share_power == 1 else abs(base) ** float(self.share_power))

    def gap(self, X: Any, Y: Any, c: Any, root: Any, r: Any, q: Any) -> Any:
        """Bound of the gap; ``root`` is ‖R‖^{1/2}."""
        D = (c * q + int(self.action) * root * r) * self.state(X, q)
        return self.cross * Y * D + D**2


def algebra(claim: Claim, setup: Setup) -> Outcome:
    """The small-gain step, the dissipation identity, the scalar LMI, rank-one errors, both instances."""
    X, Y, c, root, r, q = sympy.symbols("X Y c R r q", positive=True)

    def trials() -> Iterator[Trial]:
        S = claim.state(X, q)
        yield vanishes(sympy.nsimplify(S) - X - q * S, "S = X + qS")
        D = (c * q + root * r) * S
        yield vanishes(claim.gap(X, Y, c, root, r, q) - (Y + D) ** 2 + Y**2, "(Y+D)² - Y², D from S")
        a, b, p, g = sympy.symbols("a b p gamma2", positive=True)
        lmi = sympy.Matrix([[a**2 * p - p + 1, a * b * p], [a * b * p, b**2 * p - g]])
        at = lmi.subs(p, 1 / (1 - a))
        yield vanishes(at[0, 0] + a, "scalar LMI at p = 1/(1-a): first minor -a < 0")
        yield vanishes(at.det() - a * (g - b**2 / (1 - a) ** 2), "its determinant > 0 iff br < 1-a")
        edge = claim.radius(1, 1) * (1 - a) / b
        yield vanishes(at.det().subs(g, 1 / edge**2), "so it ends at r_C, where Δ = r_C makes the loop a + br = 1")
        yield vanishes(a + b * edge - 1, "a + br at the edge")
        yield from dissipation()
        yield from _instances(claim)

    return Outcome.from_trials(trials(), "small gain, LMI, determinants, Jury's test, limits")


def _instances(claim: Claim) -> Iterator[Trial]:
    """The companion loop of (4) and the limits of (1)."""
    alpha, d, x, y = sympy.symbols("alpha d x y", positive=True)
    squared = (x**2 - y**2 + alpha) ** 2 + 4 * x**2 * y**2 - (1 - alpha) ** 2 - 4 * alpha * x**2
    on_circle = sympy.expand(sympy.expand(squared).subs(y, sympy.sqrt(1 - x**2)))
    yield vanishes(on_circle, "z = x+iy: |z²+α|² = (1-α)² + 4αx², least at z = ±i; ‖G‖ = √2/|z²+α|")
    one, two = (sympy.Matrix([[0, 1], [-alpha - d, sign * d]]) for sign in (1, -1))
    period = one * two
    margin = -period.trace() - 1 - period.det()
    edge = claim.radius((1 - alpha) / sympy.sqrt(2), 1 - alpha)
    yield vanishes(sympy.expand(margin - (2 * d - (1 - alpha)) * (1 - alpha)), "Jury: unstable iff 2d > 1-α")
    yield vanishes(sympy.expand(margin.subs(d, edge / sympy.sqrt(2))), "at the edge where √2 d is the radius")
    # Distance of the trace lines |d_2| + d_1 = 1+α against r_R = 1-α, both squared and doubled: >= 0 on [3-2√2, 1).
    reach = (1 + alpha) ** 2 - 2 * (1 - alpha) ** 2
    factors = (alpha - 3 + 2 * sympy.sqrt(2)) * (3 + 2 * sympy.sqrt(2) - alpha)
    yield vanishes(sympy.expand(reach - factors), "constant Δ: det = 1 is nearer than the trace lines")
    a, c, q, m = sympy.symbols("a c q m", positive=True)
    # x_2 = c(a^h - m^h)/(a-m): (1-a²) energy; m = 1/2 for the expert, 1 - (1-q)/2 for the learner, r_C = 1/2.
    sums = 1 - 2 * (1 - a**2) / (1 - a * m) + (1 - a**2) / (1 - m**2)
    total = (1 + c**2 * sums / (a - m) ** 2).subs(a, 1)
    learner, expert = (sympy.Poly(total.subs(m, value), c) for value in (1 - (1 - q) / 2, sympy.Rational(1, 2)))
    ratio = learner.LC() / expert.LC()
    yield vanishes(ratio - claim.state(1, q) ** 2, "energy over X², as a -> 1 and c -> ∞")
    excess = claim.gap(1, 1, 1, 0, 0, q)
    yield vanishes(ratio - 1 - excess, "gap over X² there")


def certificates(claim: Claim, setup: Setup) -> Outcome:
    """r_C enclosed in exact rationals: a certificate below it (Riccati; in full also the SDP's), an error above it."""
    rng = setup.rng()

    def trials() -> Iterator[Trial]:
        for number in range(setup.size(4, 20)):
            A, B = scattered_loop(rng, 1 + int(rng.integers(3)), 1 + int(rng.integers(2)))
            known = gva.stability_radius(A, B)
            radius = 1 / gva.hinf_norm_sweep(A, B, 512)
            radius = float(claim.radius(radius, radius))
            where = f"A={A.tolist()}, B={B.tolist()}"
            below = radius * (1 - 1e-5)
            yield from certificate_trials(A, B, riccati_certificate(A, B, below), below, f"Riccati, {where}")
            found = destabiliser(exact(A), exact(B), known.frequency, 1 + Fraction(1, 10**9))
            yield equal(abs(found.residual).max(), 0, f"(A+BΔ)x = zx, |z| > 1, {where}")
            norm = real(found.squared_norm) ** 0.5
            yield at_most(norm, radius * (1 + 1e-5), f"‖Δ‖ of rank one, {where}")
            yield at_least(norm, radius * (1 - 1e-9), f"no error below the radius, {where}")
            yield at_most(known.radius, norm, f"stability_radius, {where}")
            yield at_least(known.radius, below, f"stability_radius, {where}")
            if number < setup.size(0, 5):
                program = gva.certified_radius(A, B)
                yield from certificate_trials(A, B, program.P, program.radius, f"semidefinite programme, {where}")
                yield at_most(program.radius, norm, f"certified radius below a destabilising error, {where}")
                yield at_least(program.radius, norm * (1 - 1e-5), f"certified radius reaches r_C, {where}")
                slack = gva.verify_certificate(A, B, program.P, float(norm))
                yield at_most(slack, 0, f"verify_certificate beyond r_C, {where}")

    with mpmath.workdps(DIGITS):
        return Outcome.from_trials(trials(), "n <= 3, m <= 2, exact eigenvalue bounds, exact eigenvectors")


def switching(claim: Claim, setup: Setup) -> Outcome:
    """The companion loop in exact rationals: switching real errors against the radius, constant ones against r_R."""
    rng = setup.rng()

    def period(alpha: Fraction, first: tuple[Fraction, Fraction], second: tuple[Fraction, Fraction]) -> Fraction:
        one, two = (exact([[0, 1], [d[0] - alpha, d[1]]]) for d in (first, second))
        return unstable_margin(two @ one)

    def trials() -> Iterator[Trial]:
        for alpha in (Fraction(1, 2), Fraction(1, 4), Fraction(9, 10), Fraction(int(rng.integers(20, 99)), 100)):
            A, B = np.array([[0.0, 1.0], [-float(alpha), 0.0]]), np.array([[0.0], [1.0]])
            squares = (1 - alpha) ** 2 / 2, (1 - alpha) ** 2
            # The claim's own radius, and whether r just below and just above it separate stable from unstable.
            square = claim.radius_factor**2 * squares[not claim.complex_radius]
            for share, harmless in ((Fraction(998, 1000), True), (Fraction(1002, 1000), False)):
                d = Fraction(math.isqrt(int(square / 2 * share**2 * 10**24)), 10**12)
                margin = period(alpha, (-d, d), (-d, -d))
                where = f"α={alpha}, Δ=(-d, ±d), norm {float(share):.3f} of the radius"
                yield Trial(-margin if harmless else margin, where)
            found, largest = gva.real_stability_radius(A, B, 60), real(squares[1]) ** 0.5
            yield equal(found.radius, largest, f"real_stability_radius, α={alpha}", tolerance=1e-7)
            yield equal(gva.stability_radius(A, B).radius, real(squares[0]) ** 0.5, f"r_C, α={alpha}", tolerance=1e-12)
            for angle in rng.uniform(0, 2 * math.pi, setup.size(10, 100)):
                norm = 0.999 * float(largest)
                d = Fraction(norm * math.cos(angle)), Fraction(norm * math.sin(angle))
                yield at_most(
                    period(alpha, d, d), 0, f"constant real Δ={float(d[0]):.4g}, {float(d[1]):.4g}, α={alpha}"
                )

    return Outcome.from_trials(trials(), "exact Jury test of products over one period")


def gap(claim: Claim, setup: Setup) -> Outcome:
    """A search over planar loops, costs, starts and policies for a gap above the bound, at 60 digits; mean gaps."""
    rng = setup.rng()
    horizon = setup.size(40, 80)

    def bounds(loop: Loop, share: float, number: Any) -> tuple[Any, Any, Any]:
        """r and the bounds of S² and the gap."""
        X2, Y2, c, root = loop.constants(number)
        complex_radius = number(gva.stability_radius(loop.A, loop.B).radius)
        radius = claim.radius(complex_radius, complex_radius)
        q = number(share if claim.below else share + 0.2)
        r = q * number(float(radius))
        X, Y = X2 ** number(0.5), Y2 ** number(0.5)
        return r, claim.state(X, q) ** 2, claim.gap(X, Y, c, root, r, q)

    def slack(point: NDArray[np.float64]) -> float:
        loop, share, policy = Loop.of(point)
        r, state, cost = bounds(loop, share, float)
        size, difference = energies(loop, policy, r, horizon, float)
        return min(1 - size[-1] / state, 1 - abs(difference).max() / abs(cost) if cost else 1.0)

    def judged(loop: Loop, share: float, policy: int, steps: int) -> Iterator[Trial]:
        r, state, cost = bounds(loop, share, mpmath.mpf)
        size, difference = energies(loop, policy, r, steps, mpmath.mpf)
        where = f"q={share}, policy {policy}, H={steps}, {loop}"
        yield at_most(size[-1], state, f"energy, {where}")
        yield at_most(abs(difference).max(), cost, f"|gap|, {where}")

    def trials() -> Iterator[Trial]:
        yield from judged(Loop.scalar(0.5), 0.9, 0, horizon)  # Q = 0: the action's own cost
        yield from judged(Loop.slow(0.9, 20.0), 0.5, 0, horizon)
        for point in worst(slack, 14, rng, setup.size(2, 6), setup.size(10, 60)):
            yield from judged(*Loop.of(point), horizon)
        yield from noisy_trials(claim, setup)
        # Attained in the limit, by exact infinite sums: a = 1 - 1e-6, c = 1000.
        loop = Loop.slow(1 - 1e-6, 1000.0)
        start, A, q = exact(loop.start), exact(loop.A), Fraction(1, 2)
        expert = energy(A, identity(2), start)
        learner = energy(A + exact([[0, 0], [0, q / 2]]), identity(2), start)
        X = real(expert) ** 0.5
        bound = claim.gap(X, X, 1, 0, real(q / 2), real(q))
        yield at_most(real(learner - expert), bound, "gap of the slow loop, all steps")
        yield at_least(real(learner - expert), bound * 0.999, "the same, near its bound")

    with mpmath.workdps(DIGITS):
        return Outcome.from_trials(trials(), f"hill descent over planar loops and policies, H={horizon}")


def library(claim: Claim, setup: Setup) -> Outcome:
    """gvatheory's gap bound against exact Lyapunov sums, its certified energy against the worst policies.

    The radius is good to 1e-12 or so, and 1/(1-q) <= 20 enters squared: 1e-9 is room for both.
    """
    rng = setup.rng()

    def trials() -> Iterator[Trial]:
        for _ in range(setup.size(4, 30)):
            loop, share, policy = Loop.of(rng.random(14))
            radius = gva.stability_radius(loop.A, loop.B).radius
            X2, Y2, c, root = loop.constants(mpmath.mpf)
            r = share * radius
            found = gva.gap_bound(loop.A, loop.B, loop.K, loop.Q, loop.R, r, loop.start)
            where = f"q={share}, {loop}"
            bound = claim.gap(X2**0.5, Y2**0.5, c, root, mpmath.mpf(r), mpmath.mpf(share))
            yield equal(found.expert_cost, Y2, f"gap_bound's Y², {where}", tolerance=1e-9)
            yield equal(found.state_energy, claim.state(X2**0.5, share) ** 2, f"its S², {where}", tolerance=1e-9)
            yield equal(found.gap, bound, f"gap_bound, {where}", tolerance=1e-9)
            certified = radius * (1 - 1e-4)
            P = riccati_certificate(loop.A, loop.B, certified)
            proof = Certificate(certified, P, gva.verify_certificate(loop.A, loop.B, P, certified))
            yield at_least(proof.slack, 0.0, f"verify_certificate, {where}")
            limit = gva.certified_energy(proof, min(r, 0.999 * certified), loop.start)
            size = energies(loop, policy, min(r, 0.999 * certified), 100, float)[0][-1]
            yield at_most(size, limit * (1 + 1e-12), f"certified_energy, policy {policy}, {where}")

    with mpmath.workdps(DIGITS):
        return Outcome.from_trials(trials(), "gap_bound against exact sums, certified_energy against policies")


def rollouts(claim: Claim, setup: Setup) -> Outcome:
    """Process noise, start 0, errors that depend on the state: the mean gap is below the bound per step."""
    count, rng = setup.size(6_000, 20_000), setup.rng()
    A, B, sigma, share = np.array([[0.7, 0.0], [0.4, 0.5]]), np.array([0.0, 1.0]), 1.0, 0.6
    radius = gva.stability_radius(A, B[:, None]).radius
    r = share * float(claim.radius(radius, radius))

    def trials() -> Iterator[Trial]:
        for horizon, greedy in ((30, False), (120, True)):
            state, expert = np.zeros((count, 2)), np.zeros((count, 2))
            total = np.zeros(count)
            for _ in range(horizon):
                total += (state**2).sum(1) - (expert**2).sum(1)
                sign = np.sign((state @ A.T) @ B) if greedy else rng.choice([1.0, 1.0, 1.0, -1.0], count)
                error = r * sign * (np.linalg.norm(state, axis=1) if greedy else state @ [0.6, 0.8])
                noise = sigma * rng.choice([-1.0, 1.0], (count, 2))
                state, expert = state @ A.T + error[:, None] * B + noise, expert @ A.T + noise
            # Path by path ‖x*_h‖ <= √2σ Σ‖A^k‖: the support of the gap, by the proof of (1).
            growth = sum(float(np.linalg.norm(np.linalg.matrix_power(A, k), 2)) for k in range(horizon))
            reach = 2 * sigma**2 * growth**2 * horizon
            support = (1 / (1 - share) ** 2 - 1) * reach
            low, high = bounded_mean_interval(total, -reach, support, setup.rate)
            one = exact(np.array([1.0, 0.0])), exact(np.array([0.0, 1.0]))
            pulse = float(sum(energy(exact(A), identity(2), start) for start in one)) * sigma**2
            X = math.sqrt(pulse * (horizon if claim.per_step else 1))
            where = f"H={horizon}, {'greedy' if greedy else 'random switching'}, E gap in [{low:.4g}, {high:.4g}]"
            yield at_most(low, float(claim.gap(X, X, 1.0, 0.0, r, share)), where)

    return Outcome.from_trials(trials(), f"{count} episodes per setting, q={share}", assertions=2)


def picture(_: int) -> Picture:
    """The gap of the slow loop against its bound."""
    shares, curves = np.linspace(0.02, 0.95, 30), []
    for a, c in ((0.9, 3.0), (1 - 1e-6, 1000.0)):
        loop, pushed = Loop.slow(a, c), np.array([[0.0, 0.0], [0.0, 0.5]])
        sums = [energy(exact(loop.A + q * pushed), identity(2), exact(loop.start)) for q in (0.0, *shares)]
        values = [value / sums[0] - 1 for value in sums[1:]]
        curves.append(series(f"exact, a={a:g}, c={c:g}", "truth", shares, values))
    weak = Claim(share_power=Fraction(1, 2))
    values, weaker = ([claim.gap(1.0, 1.0, 1.0, 0.0, q / 2, q) for q in shares] for claim in (Claim(), weak))
    curves.append(series("$2YD + D^2$", "claim", shares, values))
    curves.append(series("$S = X/(1-q)^{1/2}$, refuted", "wrong", shares, weaker))
    return Picture(
        "$q = r/r_C$",
        "gap / $X^2$, all steps",
        curves,
        "A = (a, 0; c, 1/2), B = (0, 1), Q = I, R = 0, x_0 = (1, 0), Δ = (0, q/2): attained as a -> 1, then c -> ∞.",
        y_log=True,
    )


PROPOSITION = Proposition(
    id="C.2",
    title="No amplification when the closed loop is sufficiently stable",
    setting="x' = Ax + Bw, w_h = Δ_h x_h, ‖Δ_h‖ <= r, A stable, cost xᵀQx + uᵀRu; 1/r_C = max‖(zI-A)^{-1}B‖, q = r/r_C",
    statement=(
        r"$r < r_C$: $|\mathrm{gap}| \le 2YD + D^2$ for every horizon, $D = (cq + \|R\|^{1/2} r)X/(1-q)$, whatever "
        r"$\Delta$ does; $r_C$ is sharp and is the largest $r$ that a quadratic certificate proves; constant real "
        r"$\Delta$ is harmless up to $r_R \ge r_C$, switching real $\Delta$ is not; with process noise the bound is "
        r"per step"
    ),
    hypotheses=(
        "spectral radius of A_cl below one, quadratic cost with Q, R ⪰ 0",
        "‖Δ_h‖ <= r < r_C at every step (not only r < r_R), Δ a function of the past",
        "process noise independent of the past, centred",
    ),
    source="Block et al., arXiv 2310.11428, Proposition C.2",
    reconstructed=True,
    quoted="its name only",
    rebuilt="the whole statement with its constants; the extremal loop and the switching instance",
    claim=Claim(),
    checks=(
        Check("algebra", "algebra", algebra),
        Check("certificates", "numbers", certificates),
        Check("switching", "numbers", switching),
        Check("gap", "numbers", gap),
        Check("library", "numbers", library),
        Check("rollouts", "simulation", rollouts, assertions=2),
    ),
    mutants=(
        Mutant("constant", "radius_factor", Fraction(21, 20), "r_C larger by 5 %"),
        Mutant("constant", "radius_factor", Fraction(19, 20), "r_C smaller by 5 %, and still sharp"),
        Mutant("exponent", "share_power", Fraction(1, 2), "energy X²/(1-q)"),
        Mutant("sign", "share_sign", 1, "X/(1+q)"),
        Mutant("constant", "cross", 1, "YD + D²"),
        Mutant("constant", "action", False, "no cost of the action error"),
        Mutant("hypothesis", "below", False, "r may exceed r_C"),
        Mutant("hypothesis", "complex_radius", False, "the real radius for switching errors"),
        Mutant("hypothesis", "per_step", False, "with process noise, one bound for every horizon"),
    ),
    picture=picture,
)

r"""Proposition C.4: powers of a perturbed matrix, and products with errors that vary in time.

Setting. A and E_1..E_k square, real or complex; ‖·‖ any operator norm (of a vector norm, so ‖XY‖ <= ‖X‖‖Y‖ and ‖I‖ =
1). ‖A^k‖ <= Mρ^k for every k >= 0, with M >= 1 and ρ >= 0; ‖E_i‖ <= ε. Π_k = (A+E_k)...(A+E_1); a constant E gives
(A+E)^k.

Statement.

1. ‖Π_k‖ <= M(ρ+Mε)^k and ‖Π_k - A^k‖ <= M[(ρ+Mε)^k - ρ^k]. For M = 1 both are attained, by A = ρI and E = εI.
2. The best bounds are smaller if M > 1: ‖Π_k‖ <= b_k and, for k >= 1, ‖Π_k - A^k‖ <= b_k - Mρ^k, where b_0 = 1, b_1 =
   Mρ+ε and b_k = (ρ+ε) b_{k-1} + (M-1)ρε b_{k-2}. They are attained together at every k <= n, by a constant E, in the
   norm of largest column sums: A e_0 = Mρ e_1, A e_i = ρ e_{i+1} for 1 <= i < n, E e_i = ε e_0. Hence the best rate
   is x = ((ρ+ε) + √((ρ+ε)² + 4(M-1)ρε))/2, ρ + Mε + O(ε²) if ρ > 0, and the products decay if ε < (1-ρ)/(1+(M-1)ρ). (1)
   has the right value and slope at ε = 0, up to lower orders in k, and ρ + Mε is too large where Mε >~ ρ.
3. For independent random E_i with E‖E_i‖ <= m: E‖Π_k‖ <= M(ρ+Mm)^k and <= b_k at ε = m, attained as in (2) by random
   multiples of E. An error drawn once for all steps obeys neither (A = ρ, E = ε or 0: Jensen).
4. What is needed: all powers, as ‖A‖ <= Mρ alone admits A = MρI; a submultiplicative norm, as the largest entry admits
   A = 0 and E = (ε, ε; ε, ε); and M within the bracket, as A = (0, Mρ; 0, 0) and E = (0, 0; ε, 0) give (Mρε)^{k/2},
   above M(ρ+ε)^k for M = 16, ε = ρ, k = 8.

Proof. (1) Expand Π_k into words in A and the E_i. C(k,j) words have j errors and at most j+1 runs of A, so each is at
most M^{j+1}ρ^{k-j}ε^j; sum over j, without j = 0 for the difference. Or by induction from Π_k = A^k + Σ_i A^{k-i} E_i
Π_{i-1}, as x^k = ρ^k + Mε Σ_{i<k} ρ^i x^{k-1-i} at x = ρ+Mε. (2) A run of length zero costs 1, not M: with R(z) = 1 +
Mρz/(1-ρz) the words sum to R/(1-εzR), whose denominator gives the recursion. Mx^k at x = ρ+Mε satisfies it with >=,
since x² - (ρ+ε)x - (M-1)ρε = M(M-1)ε². In the instance every word maps e_0 to a non-negative multiple of a basis
vector, of exactly that size, so the column sums add up; the other columns are smaller. (3) A word's norm is at
most a product of independent factors. (4) Instances.

Source. Block et al., arXiv 2310.11428, Proposition C.4; only its number is known here. (1) is classical perturbation
theory (Kato); (2) and (3) are worked out here.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from typing import Any

import numpy as np
import sympy
from numpy.typing import NDArray

import gvatheory as gva
from proofs_check.budget import bounded_mean_interval
from proofs_check.interface import Check, Mutant, Outcome, Proposition, Setup, Trial
from proofs_check.judging import at_least, at_most, equal, inside, nonnegative_coefficients, rational, vanishes, worst
from proofs_check.pictures import Picture, series
from proofs_check.rational_matrices import Exact, exact, identity
from proofs_check.rational_norms import complexified, norm_above, norm_at_most, power_constant, powers, product
from proofs_check.routes.perturbed_products import aligned_errors, extremal_shift


@dataclass(frozen=True)
class Claim:
    """The statement as a value.

    Attributes:
        outer: power of M in front of the bracket.
        inner: power of M within it.
        shift: s in the exponent k - s.
        subtracted: c in M[(ρ+Mε)^k + cρ^k], the bound of the difference.
        runs: c in the recursion's (M - c)ρε.
        covers: largest k of the hypothesis ‖A^k‖ <= Mρ^k; None for all.
        submultiplicative: hypothesis on the norm; without it the largest entry is tried as well.
        independent: hypothesis that random errors are drawn anew at each step.
    """

    outer: int = 1
    inner: int = 1
    shift: int = 0
    subtracted: int = -1
    runs: int = 1
    covers: int | None = None
    submultiplicative: bool = True
    independent: bool = True

    def bounds(self, M: Any, rho: Any, error: Any, k: int) -> tuple[Any, Any]:
        """Of ‖Π_k‖ and ‖Π_k - A^k‖."""
        power = (rho + M**self.inner * error) ** max(k - self.shift, 0)
        return M**self.outer * power, M**self.outer * (power + self.subtracted * rho**k)

    def best(self, M: Any, rho: Any, error: Any, k: int) -> Any:
        """b_k, in the arithmetic of its arguments."""
        last, value = 0 * rho + 1, M * rho + error
        if k == 0:
            return last
        for _ in range(k - 1):
            last, value = value, (rho + error) * value + (M - self.runs) * rho * error * last
        return value


def algebra(claim: Claim, setup: Setup) -> Outcome:
    """Duhamel's identity and its induction, the sum over words, the generating function, and which bound is smaller."""
    M, rho, e, t, z, x = sympy.symbols("M rho epsilon t z x", positive=True)

    def trials() -> Iterator[Trial]:
        count = setup.size(4, 6)
        for k in range(1, count + 1):
            words = sympy.Add(*(math.comb(k, j) * M ** (j + 1) * rho ** (k - j) * e**j for j in range(k + 1)))
            power, difference = claim.bounds(M, rho, e, k)
            yield vanishes(sympy.expand(words - power), f"sum over words, k={k}")
            yield vanishes(sympy.expand(words - M * rho**k - difference), f"sum over words with an error, k={k}")
            excess = (power - claim.best(M, rho, e, k)).subs(M, 1 + t)
            yield nonnegative_coefficients(sympy.Poly(sympy.expand(excess), t, rho, e), f"b_k <= M(ρ+Mε)^k, k={k}")
        yield from _generating_function(claim, M, rho, e, z)
        A = sympy.Symbol("A", commutative=False)
        errors = [sympy.Symbol(f"E{i}", commutative=False) for i in range(count)]
        products: list[Any] = [sympy.Integer(1)]
        for error in errors:
            products.append(sympy.expand((A + error) * products[-1]))
        terms = [A ** (count - 1 - i) * errors[i] * products[i] for i in range(count)]
        yield vanishes(sympy.expand(products[-1] - A**count - sympy.Add(*terms)), "Duhamel's identity for products")
        # S_k = Σ_{i<k} ρ^i x^{k-1-i} has S_{k+1} = x S_k + ρ^k; with S_k = (x^k - ρ^k)/(x - ρ) the induction closes.
        xk, rk = sympy.symbols("x_k rho_k", positive=True)
        yield vanishes((x * xk - rho * rk) / (x - rho) - x * (xk - rk) / (x - rho) - rk, "geometric sum, any k")
        closed = rk + M * e * (xk - rk) / (x - rho) - xk
        yield vanishes(closed.subs(x, rho + M * e), "ρ^k + Mε Σ ρ^i x^{k-1-i} = x^k at x = ρ+Mε, any k")

    return Outcome.from_trials(trials(), "non-commutative expansion, induction, generating function")


def _generating_function(claim: Claim, M: Any, rho: Any, e: Any, z: Any) -> Iterator[Trial]:
    """The recursion of b_k from runs, its rate's slope at ε = 0, its threshold, and the step of the comparison."""
    run = 1 + M * rho * z / (1 - rho * z)
    recursion = 1 - (rho + e) * z - (M - claim.runs) * rho * e * z**2
    start = 1 + (M * rho + e - rho - e) * z  # b_0 + (b_1 - (ρ+ε) b_0) z
    yield vanishes(run / (1 - e * z * run) - start / recursion, "words by runs: generating function of b_k")
    rate = (rho + e + sympy.sqrt((rho + e) ** 2 + 4 * (M - claim.runs) * rho * e)) / 2
    yield vanishes(sympy.simplify(sympy.diff(rate, e).subs(e, 0)) - M, "slope of the best rate at ε = 0")
    yield vanishes(recursion.subs({z: 1, e: (1 - rho) / (1 + (M - 1) * rho)}), "best rate 1 at the threshold of ε")
    x = rho + M * e
    yield vanishes(x**2 - (rho + e) * x - (M - claim.runs) * rho * e - M * (M - 1) * e**2, "Mx^k satisfies it with >=")


def _plane(point: NDArray[np.float64]) -> tuple[NDArray[np.float64], float, float, int, complex]:
    """A planar instance (A, ρ, ε, k, start of the ascent) from a point of the unit cube, shape (8,)."""
    p = np.round(point, 3)
    A = np.array([[2 * p[0] - 1, round(20 * p[1] ** 2, 3)], [round(0.2 * p[2] ** 2, 3), 2 * p[3] - 1]])
    rho = round(float(np.abs(np.linalg.eigvals(A)).max() * (1.05 + p[4] ** 2) + 0.05), 3)
    phase = 1j if p[7] > 0.7 else 1.0
    return A, rho, round(rho * 10 ** (-2.5 + 3 * p[5]), 5), 2 + int(8.99 * p[6]), phase


def spectral(claim: Claim, setup: Setup) -> Outcome:
    """Spectral norm: a search over planar A, errors from coordinate ascent, all norms proved in rationals."""
    rng = setup.rng()

    def objective(point: NDArray[np.float64], difference: bool) -> float:
        A, rho, error, k, phase = _plane(point)
        some = np.array(list(itertools.islice(powers(A / rho, np.eye(2)), 1 + (claim.covers or 40))))
        M = float(np.linalg.norm(some, 2, axis=(1, 2)).max())
        whole = product([A + E for E in aligned_errors(A, error, k, phase, difference, 1)])
        norm = np.linalg.norm(whole - difference * np.linalg.matrix_power(A, k), 2)
        return 1 - float(norm) / max(float(claim.bounds(M, rho, error, k)[difference]), 1e-12)

    def trials() -> Iterator[Trial]:
        yield from _instances(claim)
        for difference in (False, True):
            search = partial(objective, difference=difference)
            for point in worst(search, 8, rng, setup.size(2, 6), setup.size(16, 70)):
                A, rho, error, k, phase = _plane(point)
                errors = aligned_errors(A, error, k, phase, difference)
                yield from _judged(claim, A, rho, [np.round(E, 9) for E in errors])

    return Outcome.from_trials(trials(), "planar A, aligned errors, coordinate ascent, exact rationals")


def _instances(claim: Claim) -> Iterator[Trial]:
    """M = 1 attained, the nilpotent block of (4), and the hypothesis that covers one power only."""
    for rho, error in ((Fraction(2), Fraction(1, 3)), (Fraction(4, 5), Fraction(1, 2)), (Fraction(0), Fraction(1, 2))):
        for k in (1, 2, 7):
            power, difference = claim.bounds(Fraction(1), rho, error, k)
            where = f"attained at M=1, ρ={rho}, ε={error}, k={k}"
            yield equal((rho + error) ** k, power, where)
            yield equal((rho + error) ** k - rho**k, difference, where)
    nilpotent, corner = np.array([[0.0, 8.0], [0.0, 0.0]]), np.array([[0.0, 0.0], [0.5, 0.0]])
    yield from _judged(claim, nilpotent, 0.5, [corner] * 8)
    yield from _judged(claim, np.array([[0.5, 0.0], [0.0, 0.25]]), 0.75, [np.eye(2) / 10] * 5)
    yield from _judged(claim, 2 * np.eye(2), 1.0, [np.zeros((2, 2))] * 4)  # M = 2 covers the first power only


def _judged(claim: Claim, A: NDArray[Any], rho: float, errors: Sequence[NDArray[Any]]) -> Iterator[Trial]:
    """Both bounds, and both best ones, on one instance in exact rationals; M and ε are proved upper bounds.

    Where no M meets the hypothesis nothing is claimed and nothing tried.
    """
    if claim.covers is None and gva.spectral_radius(A) >= rho:
        return
    doubled = any(np.iscomplex(E).any() for E in errors)
    loop, *matrices = (exact(complexified(X) if doubled else np.real(X)) for X in (A, *errors))
    ratio = exact([rho])[0]
    M, error, k = power_constant(loop, ratio, claim.covers)[0], norm_above(matrices), len(errors)
    whole = product([loop + E for E in matrices])
    rest = whole - product([loop] * k)
    where = f"A={A.tolist()}, ρ={rho:g}, M={float(M):.5g}, ε={float(error):.4g}, k={k}{', complex E' * doubled}"
    for matrix, bound in zip((whole, rest), claim.bounds(M, ratio, error, k), strict=True):
        yield norm_at_most(matrix, bound, where)
    best = claim.best(M, ratio, error, k)
    yield norm_at_most(whole, best, f"b_k, {where}")
    yield norm_at_most(rest, best - M * ratio**k, f"b_k - Mρ^k, {where}")


def columns(claim: Claim, setup: Setup) -> Outcome:
    """Largest column sums: the best bound is attained, and a search over signed matrices does not pass it."""
    rng = setup.rng()

    def norm(matrix: Exact) -> Fraction:
        sizes = np.abs(matrix)
        return sizes.sum(0).max() if claim.submultiplicative else sizes.max()

    def instance(point: NDArray[np.float64]) -> tuple[Exact, Fraction, list[Exact]]:
        entries = [[rational(4 * v - 2, 20) for v in row] for row in point[:9].reshape(3, 3) ** 2]
        A = np.array(entries, dtype=object) * np.array([[1, 0, 0], [3, 1, 0], [1, 3, 1]])
        # Each column of an extreme error has one entry ±ε; a few patterns, used in turn.
        steps, error = 2 + int(5.99 * point[9]), rational(10 ** (-2 + 2.3 * point[10]), 1000)
        patterns = []
        for codes in (6 * point[11:].reshape(2, 3) - 1e-9).astype(int):
            E = exact(np.zeros((3, 3)))
            for column, code in enumerate(codes):
                E[code % 3, column] = error * (1 if code < 3 else -1)
            patterns.append(E)
        rho = max(abs(A[i, i]) for i in range(3)) + rational(0.05 + point[9] * point[10], 20)
        return A, rho, [patterns[i % 2] for i in range(steps)]

    def judged(A: Exact, rho: Fraction, errors: list[Exact]) -> list[Trial]:
        M, k, error = Fraction(1), len(errors), max(norm(E) for E in errors)
        for power in itertools.islice(powers(A / rho, identity(len(A))), 1, claim.covers + 1 if claim.covers else 30):
            M = max(M, norm(power))
            if np.abs(power).sum(0).max() <= 1:
                break
        else:
            if not claim.covers:
                return []
        whole, alone = product([A + E for E in errors]), product([A] * k)
        values, best = (norm(whole), norm(whole - alone)), claim.best(M, rho, error, k)
        where = f"A={A.astype(float).tolist()}, ρ={rho}, M={float(M):.4g}, ε={float(error):.4g}, k={k}"
        pairs = zip(values * 2, (*claim.bounds(M, rho, error, k), best, best - M * rho**k), strict=True)
        return [at_most(value, bound, f"column sums, {where}") for value, bound in pairs]

    def trials() -> Iterator[Trial]:
        yield from judged(exact(np.zeros((2, 2))), Fraction(1, 10), [exact(np.ones((2, 2)))] * 4)
        for M, rho, error in ((3, Fraction(4, 5), Fraction(1, 7)), (Fraction(5, 4), Fraction(1, 2), 2), (40, 1, 1)):
            for k in (1, 2, 3, setup.size(6, 12)):
                A, E = extremal_shift(k + 1, M, rho, error)
                whole, alone = product([A + E] * k), product([A] * k)
                best = claim.best(M, rho, error, k)
                where = f"n=k+1, M={M}, ρ={rho}, ε={error}, k={k}"
                yield equal(np.abs(whole).sum(0).max(), best, f"b_k attained, {where}")
                yield equal(np.abs(whole - alone).sum(0).max(), best - M * rho**k, f"b_k - Mρ^k attained, {where}")

        def objective(point: NDArray[np.float64]) -> float:
            return min((float(trial.slack) for trial in judged(*instance(point))), default=1.0)

        for point in worst(objective, 17, rng, setup.size(2, 4), setup.size(12, 35)):
            yield from judged(*instance(point))

    return Outcome.from_trials(trials(), "exact column sums; extremal shift, hill descent over 3x3 matrices")


def library(claim: Claim, setup: Setup) -> Outcome:
    """gvatheory's bounds against the sum over all words, its M and radius against proved bounds.

    A closed form has a dozen roundings, its exponential k log(1 + Mε/ρ) more of them; hence the tolerances.
    """
    rng = setup.rng()

    def trials() -> Iterator[Trial]:
        for _ in range(setup.size(6, 40)):
            M, rho, error = (rational(v, 50) for v in (rng.uniform(1, 9), rng.uniform(0.1, 1.5), rng.uniform(0, 1)))
            k = int(rng.integers(1, 9))
            where = f"M={M}, ρ={rho}, ε={error}, k={k}"
            words = M * sum(math.prod(word) for word in itertools.product((M * error, rho), repeat=k))
            found = gva.perturbed_power_bound(float(M), float(rho), float(error), k)
            exactly, bounds = (words, words - M * rho**k), claim.bounds(M, rho, error, k)
            for value, truth, bound in zip(found, exactly, bounds, strict=True):
                yield equal(float(value), float(truth), f"perturbed_power_bound, {where}", tolerance=1e-13 * k)
                yield equal(float(value), float(bound), f"perturbed_power_bound, {where}", tolerance=1e-13 * k)
            A, ratio, *_ = _plane(rng.random(8))
            M, step = power_constant(exact(A), exact([ratio])[0])
            growth = gva.power_bound(A, ratio)
            yield equal(growth.value, float(M), f"power_bound, A={A.tolist()}, ρ={ratio}", tolerance=1e-12)
            yield equal(growth.step, step, "its k")
            yield equal(gva.transient_growth(A / ratio).value, float(M), "transient_growth", tolerance=1e-12)
            kreiss = gva.kreiss_lower_bound(A / ratio)
            yield at_most(kreiss * (1 - 1e-12), growth.value, "Kreiss constant <= sup‖A^k‖")
            yield at_most(growth.value, math.e * 2 * kreiss, "sup‖A^k‖ <= e n Kreiss")
            stable = A * (0.9 / ratio)
            decays = (1 - 0.9) / (1 + (float(M) - claim.runs) * 0.9)
            radius = (1 + 1e-9) * gva.stability_radius(stable, np.eye(2)).radius
            yield at_least(radius, decays, f"stability radius, A={stable.tolist()}")

    return Outcome.from_trials(trials(), "closed forms against sums over words and proved suprema")


def rollouts(claim: Claim, setup: Setup) -> Outcome:
    """Random errors: the mean norm of the extremal shift attains b_k at the mean error; a nilpotent block obeys (3)."""
    count, rng = setup.size(10_000, 100_000), setup.rng()

    def draw(k: int) -> NDArray[np.float64]:
        """Shape (k, count): uniform multipliers in [0, 1], mean 1/2."""
        values = rng.random((k, count))
        return values if claim.independent else np.broadcast_to(values[0], values.shape)

    def shifted(scales: NDArray[np.float64], M: float, rho: float, error: float) -> NDArray[np.float64]:
        """Column sums of the extremal shift's products, shape (scales.shape[1],); they increase in the multipliers."""
        state = np.zeros((len(scales) + 1, scales.shape[1]))
        state[0] = 1
        weights = np.full((len(scales), 1), rho)
        weights[0] *= M
        for scale in scales:
            state = np.concatenate([error * scale * state.sum(0, keepdims=True), weights * state[:-1]])
        return state.sum(0)

    def trials() -> Iterator[Trial]:
        M, rho, error, k = 3.0, 0.8, 0.4, 8
        top = float(shifted(np.ones((k, 1)), M, rho, error)[0]) * (1 + 1e-12)
        interval = bounded_mean_interval(shifted(draw(k), M, rho, error), 0.0, top, setup.rate)
        yield inside(claim.best(M, rho, error / 2, k), interval, f"mean of the largest column sum, M={M}, k={k}")
        M, rho, error, k = 16.0, 0.5, 0.5, 8
        A = np.array([[0.0, M * rho], [0.0, 0.0]])
        whole = np.broadcast_to(np.eye(2), (count, 2, 2))
        for scale in draw(k):
            whole = (A + scale[:, None, None] * np.array([[0.0, 0.0], [error, 0.0]])) @ whole
        norms = np.linalg.norm(whole, 2, axis=(1, 2))
        low, high = bounded_mean_interval(norms, 0.0, (M * rho * error) ** (k / 2) * (1 + 1e-12), setup.rate)
        mean = error / 2
        for bound in (*claim.bounds(M, rho, mean, k), claim.best(M, rho, mean, k)):  # A^8 = 0: difference = product
            yield at_most(low, bound, f"nilpotent block, M={M}, k={k}, E‖Π_k‖ in [{low:.4g}, {high:.4g}]")

    return Outcome.from_trials(trials(), f"{count} products per setting", assertions=2)


def picture(_: int) -> Picture:
    """The extremal shift: its exact norms are the best bound."""
    M, rho, error, most = Fraction(4), Fraction(4, 5), Fraction(1, 20), 24
    A, E = extremal_shift(most + 1, M, rho, error)
    column = itertools.accumulate(range(most), lambda state, _: (A + E) @ state, initial=identity(most + 1)[0])
    norms = [state.sum() for state in column]  # of e_0: the largest column
    claim, k = Claim(), np.arange(most + 1)
    return Picture(
        "$k$",
        "norm of $(A+E)^k$",
        (
            series("exact, largest column sum", "truth", k, norms),
            series("$b_k$, best possible", "claim", k, [claim.best(M, rho, error, int(n)) for n in k]),
            series("$M(ρ+Mε)^k$", "claim", k, [claim.bounds(M, rho, error, int(n))[0] for n in k]),
            series("$M(ρ+ε)^k$, refuted", "wrong", k, 4 * float(rho + error) ** k),
        ),
        f"Shift, M=4, ρ=4/5, ε=1/20, n={most + 1}: the best bound is attained at every k.",
        y_log=True,
    )


PROPOSITION = Proposition(
    id="C.4",
    title="Perturbation of powers",
    setting="‖A^k‖ <= Mρ^k for all k >= 0, errors ‖E_i‖ <= ε, product Π_k = (A+E_k)...(A+E_1), any operator norm",
    statement=(
        r"$\|\Pi_k\| \le M(\rho+M\varepsilon)^k$, $\|\Pi_k - A^k\| \le M[(\rho+M\varepsilon)^k - \rho^k]$, attained for"
        r" $M = 1$; best possible: $b_k$, $b_k - M\rho^k$ with $b_0 = 1$, $b_1 = M\rho+\varepsilon$, "
        r"$b_k = (\rho+\varepsilon) b_{k-1} + (M-1)\rho\varepsilon\, b_{k-2}$; independent random errors: the same for "
        r"$\mathbb{E}\|\Pi_k\|$ with $\varepsilon = \max_i \mathbb{E}\|E_i\|$"
    ),
    hypotheses=(
        "‖A^k‖ <= Mρ^k for every k >= 0, M >= 1, ρ >= 0; ‖·‖ an operator norm; ‖E_i‖ <= ε at every step",
        "for the mean: E_i independent of each other",
    ),
    source="Block et al., arXiv 2310.11428, Proposition C.4",
    reconstructed=True,
    quoted="its number only",
    rebuilt="the whole statement; the best possible bound b_k and the version for random errors go beyond the design",
    claim=Claim(),
    checks=(
        Check("algebra", "algebra", algebra),
        Check("spectral norm", "numbers", spectral),
        Check("column sums", "numbers", columns),
        Check("library", "numbers", library),
        Check("rollouts", "simulation", rollouts, assertions=2),
    ),
    mutants=(
        Mutant("constant", "outer", 0, "(ρ+Mε)^k, without the M in front"),
        Mutant("constant", "inner", 0, "M(ρ+ε)^k, without the M inside"),
        Mutant("constant", "runs", 2, "(M-2)ρε in the recursion of the best bound"),
        Mutant("exponent", "shift", 1, "exponent k-1"),
        Mutant("sign", "subtracted", 1, "ρ^k added in the difference's bound"),
        Mutant("hypothesis", "covers", 1, "‖A‖ <= Mρ only"),
        Mutant("hypothesis", "submultiplicative", False, "the largest entry as a norm"),
        Mutant("hypothesis", "independent", False, "random errors drawn once, in expectation"),
    ),
    picture=picture,
)

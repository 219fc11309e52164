r"""Proposition A8: along one run. Correlation of the averaged iterate, spread in a window, falls past a threshold.

Setting. Stationary EMA of rate γ of SGD on a noisy quadratic, one eigendirection, Gaussian noise: k = ηλ, a = 1-k,
ρ = 1-γ, 0 < k < 2, 0 < γ <= 1 (γ = 1: the iterate itself). P = k/(2-k), R = γ/(2-γ). V is the variance across seeds,
r_j the correlation of ẽ_t with ẽ_{t+j}, W_n the expected sample variance (divisor n-1) of n consecutive iterates over
V. A fall is ẽ_t > ε = u√V; the fall rate is the probability of being safe now and fallen one step later.

Statement.

1. r_j = [a^{j+1}(1-ρ²) - ρ^{j+1}(1-a²)] / ((a-ρ)(1+aρ)), and a^j (1 + j(1-a²)/(1+a²)) at a = ρ; 1 - r_1 = δ :=
   kγ/(1+aρ). Every r_j >= 0 if and only if k+γ <= 2; r_j does not increase in j if and only if (2-k)(2-γ) >= 1.
2. W_n = 1 - 2/(n-1) Σ_{0<j<n} (1-j/n) r_j. A window shows at most the spread across seeds, W_n <= 1 for all n, if and
   only if k+γ <= 2. If k <= 1, W_n <= min(k,γ)(n+1)/3, however small that is; as γ → 0 with k and n fixed, W_n/γ tends
   to 2/(n(n-1)) Σ_j (n-j)(j - 2a(1-a^j)/(1-a²)).
3. Fall rate: Φ(u) - Φ₂(u,u; r_1) = ∫_{r_1}^1 e^{-u²/(1+t)}/(2π√(1-t²)) dt, and with ν = φ(u)√(δ/π)
       exp(-u²PR/2) <= rate/ν <= 1/√(1-δ/2),   rate/ν = 1 + (1-u²)δ/12 + O(δ²).
   So the rate is φ(u)√(k/π) for SGD and φ(u)√(kγ/2π) for its EMA (Rice) at small steps with u²PR << 1, and never above
   φ(u)√(kγ/2π)/√((1-k/2)(1-γ/2)). The mean fall lasts Φ(-u)/rate steps.
4. Episodes with noise of their own, a fall being X > ε + ςZ with X ~ N(0, s²) per iterate, Z per episode, all
   independent: the fraction of fallen episodes has mean Φ(-c), c = ε/√(s²+ς²), and over iterates the variance Φ₂(-c,-c;
   s²/(s²+ς²)) - Φ(-c)²; m episodes add (Φ(-c) - Φ₂)/m.

Proof. (1) (1-aL)(1-ρL)ẽ is white, so r_{j+2} = (a+ρ)r_{j+1} - aρ r_j, r_0 = 1, r_1 = (a+ρ)/(1+aρ). For a >= 0:
ẽ_{t+j} = ρ^jẽ_t + γΣ_i ρ^{j-i}e_{t+i} with E e_{t+i}ẽ_t >= 0, so r_j >= ρ^j, and likewise a^j (r is symmetric in a and
ρ); and r_j - r_{j+1} = aρ(r_{j-1} - r_j) + (1-a)(1-ρ)r_j >= 0 by induction. For a < 0, r_j = w a^j + (1-w)ρ^j, w =
-a(1-ρ²)/((ρ-a)(1+aρ)) in (0,1): only an odd j can be negative, or below r_{j+1}, and j = 1 first; r_1 - r_2 =
kγ(ρ+a+aρ)/(1+aρ). (2) W_n is the mean of 1-r_j over pairs; n = 2 gives 1-r_1; 1-r_j <= 1-ρ^j <= jγ, and jk. (3)
Plackett: dΦ₂/dr = d²Φ₂/dxdy. With t = 1-x, rate/ν is the mean of h(x) = (1-x/2)^{-1/2} exp(-u²x/(2(2-x))) under the
weight x^{-1/2} on [0,δ]; δ/(2-δ) = PR. Duration: a share Φ(-u) of the time is fallen, and a fall begins with
probability rate per step (Kac). (4) Given X the episodes are independent: E p(X)² = P(X > ε + ςZ, X > ε + ςZ').

Source. Rice 1944; Plackett 1954. The formulas are this project's; "if and only if", bounds and errors worked out here.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import chain
from typing import Any

import mpmath
import numpy as np
from numpy.typing import NDArray
from scipy import special

import gvatheory as gva
from gvatheory import closed_forms
from gvatheory.paths import rice_rate
from proofs_check.budget import binomial_interval, bounded_mean_interval, gaussian_variance_interval
from proofs_check.interface import Check, Mutant, Outcome, Proposition, Setup, Trial
from proofs_check.judging import DIGITS, at_least, at_most, equal, inside, rational, real, worst
from proofs_check.pictures import Picture, series
from proofs_check.routes import bivariate_normal as normal
from proofs_check.routes import stationary_filters
from proofs_check.routes.along_training_algebra import identities
from proofs_check.routes.stationary_runs import StationaryEMA


@dataclass(frozen=True)
class Claim:
    """The statement as a value.

    Attributes:
        lag_shift: s in a^{j+s} and ρ^{j+s} of r_j.
        product_sign: sign of aρ in the denominator of r_j.
        window_constant: c in W_n = 1 - c/(n-1) Σ (1-j/n) r_j.
        nonnegative_reach: h in "r_j >= 0 and W_n <= 1 whenever k+γ <= h".
        monotone_floor: f in "r_j does not increase whenever (2-k)(2-γ) >= f".
        window_power: p in W_n <= min(k,γ)^p (n+1)/3.
        capped: hypothesis k <= 1 of that bound.
        rate_constant: c in ν = φ(u)√(δ/(cπ)).
        damping: d in rate/ν >= exp(-d u²PR).
        second_order: coefficient of (1-u²)δ in rate/ν.
        duration_sign: s in the mean duration Φ(-su)/rate.
        correlation_power: p in the correlation (s²/(s²+ς²))^p of two episodes.
        own_noise: hypothesis that every episode has its own noise (else one noise for all episodes of an iterate).
    """

    lag_shift: int = 1
    product_sign: int = 1
    window_constant: int = 2
    nonnegative_reach: int = 2
    monotone_floor: int = 1
    window_power: int = 1
    capped: bool = True
    rate_constant: int = 1
    damping: Fraction = Fraction(1, 2)
    second_order: Fraction = Fraction(1, 12)
    duration_sign: int = 1
    correlation_power: int = 1
    own_noise: bool = True

    def correlation(self, lag: Any, a: Any, rho: Any) -> Any:
        """r_j."""
        n, bottom = lag + self.lag_shift, 1 + self.product_sign * a * rho
        if a == rho:
            return (n * a ** (n - 1) * (1 - a**2) + 2 * a ** (n + 1)) / bottom
        return (a**n * (1 - rho**2) - rho**n * (1 - a**2)) / ((a - rho) * bottom)

    def window(self, correlations: Any, count: Any) -> Any:
        """W_n from r_0..r_{n-1}."""
        total = sum((1 - Fraction(j, count)) * correlations[j] for j in range(1, count))
        return 1 - self.window_constant * total / (count - 1)

    def rice(self, u: Any, gap: Any) -> Any:
        """ν, mpmath."""
        return normal.density(u) * mpmath.sqrt(gap / (self.rate_constant * mpmath.pi))

    def fallen(self, level: Any, spread: Any, noise: Any) -> tuple[Any, Any]:
        """Mean of the fraction, and E p²: the probability that two episodes of an iterate are both fallen."""
        total = spread**2 + noise**2
        c = level / mpmath.sqrt(total)
        gap = 1 - (spread**2 / total) ** self.correlation_power if self.own_noise else mpmath.mpf(0)
        return normal.upper(c), normal.both_above(c, gap)


def algebra(claim: Claim, setup: Setup) -> Outcome:
    """Correlation, window and their limits; Plackett's identity; the expansion of the fall rate."""
    formulas = ("lag_shift", "product_sign", "window_constant", "second_order", "damping")
    trials = identities(replace(Claim(), **{name: getattr(claim, name) for name in formulas}))
    return Outcome.from_trials(trials, "recursions, signs, Plackett's identity, series")


def correlations(claim: Claim, setup: Setup) -> Outcome:
    """r_j and W_n in rationals against the exact variances of differences and of window means."""
    rng = setup.rng()

    def trials() -> Iterator[Trial]:
        cases = [(Fraction(1, 3), Fraction(1, 3)), (Fraction(1), Fraction(1, 9)), (Fraction(19, 10), Fraction(1, 2))]
        drawn = rng.uniform((0.02, 0.02), (1.98, 1), (setup.size(5, 40), 2))
        cases += [(rational(k, 50), rational(gamma, 50)) for k, gamma in drawn]
        for k, gamma in cases:
            where, filtered = f"k={k}, γ={gamma}", stationary_filters.training_filter(k, gamma)
            count = int(rng.integers(2, 8))
            made = [claim.correlation(j, 1 - k, 1 - gamma) for j in range(count)]
            for j, value in enumerate(made):
                yield equal(value, stationary_filters.autocorrelation(j, *filtered), f"r_{j}, {where}")
            total = stationary_filters.variance(*filtered)
            mean = stationary_filters.product(filtered[0], [Fraction(1, count)] * count)
            seen = Fraction(count, count - 1) * (1 - stationary_filters.variance(mean, filtered[1]) / total)
            yield equal(claim.window(made, count), seen, f"W_{count}, {where}")
            if k + gamma > 2:
                yield at_most(stationary_filters.autocorrelation(1, *filtered), 0, f"1 - W_2, {where}")
        ratio = claim.window(stationary_filters.correlations(Fraction(1, 2), Fraction(1, 400), 9), 10)
        yield at_most(ratio, Fraction(1, 100), "W_10 at k=1/2, γ=1/400")

    return Outcome.from_trials(trials(), "exact rationals, lags and windows below 8")


def signs(claim: Claim, setup: Setup) -> Outcome:
    """Hill descents for a negative or rising correlation, a window above the seeds, one above min(k,γ)(n+1)/3."""
    rng = setup.rng()

    def judged(point: NDArray[np.float64], which: int) -> Trial:
        u, v, w = (rational(x, 1000) for x in point)
        gamma, tiny, n = max(v**2, Fraction(1, 10**4)), Fraction(1, 10**4), 2 + int(10 * w)
        reach = claim.nonnegative_reach - gamma
        limits = (reach, reach, 2 - claim.monotone_floor / (2 - gamma), Fraction(2 - claim.capped))
        k = min(limits[which], 2 - tiny) * max(u, tiny)
        r, where = stationary_filters.correlations(k, gamma, n), f"k={k}, γ={gamma}"
        if which == 0:
            return at_least(1 + min(r), Fraction(1), f"1 + least r_j, {where}")
        window = Fraction(2, n * (n - 1)) * sum((n - j) * (1 - r[j]) for j in range(1, n))
        if which == 1:
            return at_most(window, Fraction(1), f"W_{n}, {where}")
        if which == 2:
            j = min(range(n), key=lambda i: r[i] - r[i + 1])
            return at_least(1 + r[j], 1 + r[j + 1], f"1 + r_{j} against 1 + r_{j + 1}, {where}")
        return at_most(window, min(k, gamma) ** claim.window_power * Fraction(n + 1, 3), f"W_{n}, {where}")

    def trials() -> Iterator[Trial]:
        corners = np.array([(1, 1, 0), (1, 0, 0), (1, 0.9, 0), (1, 0.5, 1), (0.5, 0, 1)], dtype=float)
        for which in range(4):
            points = worst(lambda p, w=which: float(judged(p, w).slack), 3, rng, setup.size(2, 4), setup.size(15, 50))
            yield from (judged(point, which) for point in chain(corners, points))

    return Outcome.from_trials(trials(), "hill descent over k, γ and n, exact rationals")


def falls(claim: Claim, setup: Setup) -> Outcome:
    """Fall rate by two integrals and within its bounds, worst (u, k, γ) included; its expansion; the mean duration."""
    rng = setup.rng()

    def instance(point: NDArray[np.float64]) -> tuple[Fraction, Fraction, Fraction]:
        k, gamma = (max(rational(x**2, 1000), Fraction(1, 1000)) for x in point[:2])
        return rational(12 * point[2] - 6, 20), k * Fraction(199, 100), gamma

    def slack(point: NDArray[np.float64], which: int) -> float:
        u, k, gamma = (float(x) for x in instance(point))
        gap = k * gamma / (1 + (1 - k) * (1 - gamma))
        rate = 2 * special.owens_t(u, math.sqrt(gap / (2 - gap)))
        ratio = rate / (math.exp(-(u**2) / 2) / math.sqrt(2 * math.pi) * math.sqrt(gap / claim.rate_constant / math.pi))
        low = math.exp(-float(claim.damping) * u**2 * k * gamma / ((2 - k) * (2 - gamma)))
        return 1 - ratio * math.sqrt(1 - gap / 2) if which else 1 - low / ratio

    def trials() -> Iterator[Trial]:
        effort = setup.size(2, 6), setup.size(20, 120)
        descents = [worst(lambda p, w=which: slack(p, w), 3, rng, *effort) for which in range(2)]
        for u, k, gamma in map(instance, chain(*descents, rng.random((setup.size(2, 10), 3)))):
            gap, where = 1 - stationary_filters.correlations(k, gamma, 1)[1], f"u={u}, k={k}, γ={gamma}"
            rate, other = normal.cached_crossings(u, gap)  # the other route where r_1 > 0
            if other is not None:
                yield equal(rate, other, f"rate by two integrals, {where}", tolerance=1e-40)
            nu, pr = claim.rice(real(u), real(gap)), real(k * gamma / ((2 - k) * (2 - gamma)))
            yield at_most(rate, nu / mpmath.sqrt(1 - real(gap) / 2), f"rate from above, {where}")
            yield at_least(rate, nu * mpmath.exp(-real(claim.damping) * real(u) ** 2 * pr), f"from below, {where}")
        for u in (Fraction(0), Fraction(1, 2), Fraction(3)):
            k = gamma = Fraction(1, 10**7)
            gap = 1 - stationary_filters.correlations(k, gamma, 1)[1]
            excess = (normal.cached_crossings(u, gap)[0] / claim.rice(real(u), real(gap)) - 1) / real(gap)
            yield equal(excess, real(claim.second_order * (1 - u**2)), f"(rate/ν - 1)/δ, u={u}, δ={gap}", 1e-10)
            # Without memory a fall goes on with probability Φ(-u) at every step.
            length = normal.upper(claim.duration_sign * real(u)) / normal.cached_crossings(u, Fraction(1))[0]
            yield equal(length, 1 / normal.upper(-real(u)), f"mean duration, k=γ=1, u={u}", tolerance=1e-40)

    with mpmath.workdps(DIGITS):
        return Outcome.from_trials(trials(), "search over u, k, γ; two integrals at 60 digits")


def fractions(claim: Claim, setup: Setup) -> Outcome:
    """Mean and second moment of the fallen fraction by an integral over the iterate, against Plackett's."""
    rng = setup.rng()

    def trials() -> Iterator[Trial]:
        for _ in range(setup.size(1, 6)):
            level, spread, noise = (rational(x, 20) for x in rng.uniform((-3, 0.3, 0.3), (3, 2, 2)))
            where, (mean, both) = f"ε={level}, s={spread}, ς={noise}", claim.fallen(*map(real, (level, spread, noise)))
            yield equal(mean, normal.cached_moment(1, level, spread, noise), f"mean, {where}", tolerance=1e-40)
            yield equal(both, normal.cached_moment(2, level, spread, noise), f"E p², {where}", tolerance=1e-40)

    with mpmath.workdps(DIGITS):
        return Outcome.from_trials(trials(), "quadrature over the iterate, 60 digits")


def library(claim: Claim, setup: Setup) -> Outcome:
    """gvatheory's correlations, windows, falls and fractions against exact values; promised to 1e-12, Φ's to 1e-10."""
    rng = setup.rng()

    def trials() -> Iterator[Trial]:
        for _ in range(setup.size(3, 25)):
            eta, gamma = rng.uniform(0.05, 1.9), rng.uniform(0.01, 1)
            k, g, count, u = Fraction(eta), Fraction(gamma), int(rng.integers(2, 9)), rng.uniform(-3, 3)
            where = f"k={eta:.4g}, γ={gamma:.4g}, n={count}"
            made = [claim.correlation(j, 1 - k, 1 - g) for j in range(count)]
            problem, average = gva.NoisyQuadratic(1.0, 9.0), gva.EMA(gamma)
            found = closed_forms.autocorrelation(np.arange(count), eta, 1.0, gamma)
            for j, value in enumerate(made):
                yield equal(1 + float(found[j]), float(1 + value), f"1 + r_{j}, {where}", tolerance=1e-11)
            factor, shown = float(claim.window(made, count)), float(closed_forms.window_factor(count, eta, 1.0, gamma))
            yield equal(shown, factor, f"gvatheory's window factor, {where}", tolerance=1e-11)
            spread = gva.window_spread(problem, eta, average, count)
            variance = 9 * float(stationary_filters.variance(*stationary_filters.training_filter(k, g)))
            yield equal(float(spread.seeds[0, 0]), variance, f"spread across seeds, {where}", tolerance=1e-11)
            yield equal(float(spread.window[0, 0]), factor * variance, f"spread in a window, {where}", tolerance=1e-11)
            lagged = gva.stationary_autocovariance(problem, eta, average, np.arange(count))[-1, 0, 0]
            yield equal(float(1 + lagged / variance), float(1 + made[-1]), f"autocovariance, {where}", tolerance=1e-11)
            yield from _fall_library(claim, eta, gamma, u, u * math.sqrt(variance))

    return Outcome.from_trials(trials(), "closed_forms, paths")


def _fall_library(claim: Claim, eta: float, gamma: float, u: float, level: float) -> Iterator[Trial]:
    """Falls of the stationary average and the fallen fraction."""
    where, edge = f"k={eta:.4g}, γ={gamma:.4g}, u={u:.4g}", u * math.hypot(eta, gamma)
    dynamics = gva.fall_dynamics(gva.NoisyQuadratic(1.0, 9.0), eta, gva.EMA(gamma), 1.0, level)
    with mpmath.workdps(30):
        gap = mpmath.mpf(eta) * gamma / (1 + (1 - mpmath.mpf(eta)) * (1 - mpmath.mpf(gamma)))
        rate = normal.crossing_by_plackett(mpmath.mpf(u), gap)
        length = float(normal.upper(claim.duration_sign * mpmath.mpf(u)) / rate)
        mean, both = claim.fallen(mpmath.mpf(edge), mpmath.mpf(eta), mpmath.mpf(gamma))
        variance, nu = both - mean**2, float(claim.rice(mpmath.mpf(u), gap))
        extra = float(mean - both) / 7
    yield equal(dynamics.rate, float(rate), f"gvatheory's fall rate, {where}", tolerance=1e-10)
    yield equal(dynamics.mean_duration, length, f"gvatheory's duration, {where}", tolerance=1e-10)
    yield equal(float(rice_rate(u, float(gap))), nu, f"gvatheory's Rice rate, {where}", tolerance=1e-12)
    law, few = (gva.fall_fraction(0.0, eta, edge, gamma, episodes) for episodes in (None, 7))
    yield equal(law.mean, float(mean), f"gvatheory's mean fraction, {where}", tolerance=1e-10)
    yield equal(law.variance, float(variance), f"gvatheory's variance of it, {where}", tolerance=1e-10)
    yield equal(few.variance - law.variance, extra, f"seven episodes, {where}", tolerance=1e-9)


def runs(claim: Claim, setup: Setup) -> Outcome:
    """Stationary runs: window spread, fall rate and duration of an EMA; pairs of episodes with noise of their own."""
    k, gamma, u, rng = 0.5, 0.3, 1.0, setup.rng()
    count, window, longest = setup.size(60_000, 200_000), 4, 60
    made = [float(claim.correlation(j, 1 - k, 1 - gamma)) for j in range(longest + 1)]

    def trials() -> Iterator[Trial]:
        process = StationaryEMA(k, gamma)
        now, average = process.draw(count, rng)
        path = [average]
        while len(path) < window:
            now, average = process.step(now, average, rng)
            path.append(average)
        ends = np.zeros(2)  # of the mean over pairs of E(ẽ_i - ẽ_j)²/2, lag by lag
        for j in range(1, window):
            squares = float(((path[j] - path[0]) ** 2).sum()) / 2
            share = 2 * (window - j) / (window * (window - 1))
            ends += share * np.array(gaussian_variance_interval(squares, count, setup.rate / (window - 1)))
        yield inside(float(claim.window(made, window)), (ends[0], ends[1]), f"W_{window}, k={k}, γ={gamma}")
        low, high = binomial_interval(int(((path[0] <= u) & (path[1] > u)).sum()), count, setup.rate)
        with mpmath.workdps(30):
            exact = normal.crossing_by_plackett(u, 1 - stationary_filters.correlations(k, gamma, 1)[1])
            length = float(normal.upper(claim.duration_sign * u) / exact)
            mean, both = claim.fallen(mpmath.mpf(1), mpmath.mpf(1), mpmath.mpf(1) / 2)
        yield inside(float(exact), (low, high), f"fall rate, k={k}, γ={gamma}, u={u}")
        durations = process.fall_durations(u, 10 * count, longest, rng)
        left, right = bounded_mean_interval(durations, 0.0, float(longest), setup.rate)
        # E(D - c)⁺ rate = P(ẽ > u at c+1 successive steps) <= P(their mean > u).
        steady = 2 * sum((1 - j / (longest + 1)) * made[j] for j in range(1, longest + 1)) + 1
        tail = float(special.ndtr(-u / math.sqrt(steady / (longest + 1)))) / low
        yield inside(length, (left, right + tail), f"mean duration, {durations.size} falls")
        first, second = rng.standard_normal(count) > 1 + rng.standard_normal((2, count)) / 2
        yield inside(float(mean), binomial_interval(int(first.sum()), count, setup.rate), "fallen fraction")
        together = binomial_interval(int((first & second).sum()), count, setup.rate)
        yield inside(float(both), together, "two episodes of an iterate both fallen")

    return Outcome.from_trials(trials(), f"{count} stationary runs, k={k}, γ={gamma}", assertions=5)


def picture(seed: int) -> Picture:
    """What a window of ten iterates shows of the spread across seeds, against γ, at k = 1/2."""
    k, n, rates = Fraction(1, 2), 10, [rational(x, 2000) for x in np.geomspace(0.002, 1, 25)]
    pairs = [Fraction(2 * (n - j), n * (n - 1)) for j in range(n)]
    made = [stationary_filters.correlations(k, g, n) for g in rates]
    truth = [sum(pairs[j] * (1 - r[j]) for j in range(1, n)) for r in made]
    bound = [min(Fraction(1), min(k, g) * Fraction(n + 1, 3)) for g in rates]
    return Picture(
        r"rate of the average $\gamma$",
        "spread in a window over that across seeds",
        (
            series("exact, by the filter", "truth", rates, truth),
            series(r"bound $\min(1, \min(k,\gamma)(n+1)/3)$", "claim", rates, bound),
        ),
        "Ten consecutive iterates of an EMA at k = 1/2: the slower the average, the less of its spread they show.",
        x_log=True,
        y_log=True,
    )


PROPOSITION = Proposition(
    id="A8",
    title="Along training: autocorrelation, window spread, falls and the fallen fraction",
    setting="stationary EMA of SGD, quadratic, one direction; k = ηλ, a = 1-k, ρ = 1-γ, P = k/(2-k), R = γ/(2-γ). "
    "Fall: ẽ > u√V, of an episode: X > ε + ςZ, X ~ N(0, s²) per iterate, Z ~ N(0, 1) per episode, c = ε/√(s²+ς²)",
    statement=(
        r"$r_j = \frac{a^{j+1}(1-\rho^2) - \rho^{j+1}(1-a^2)}{(a-\rho)(1+a\rho)}$; "
        r"$W_n = 1 - \frac{2}{n-1}\sum_j (1-\frac jn) r_j \le 1$ for all $n$ iff $k+\gamma \le 2$ iff all $r_j \ge 0$; "
        r"$W_n \le \min(k,\gamma)(n+1)/3$ if $k \le 1$; fall rate $\Phi(u) - \Phi_2(u,u;r_1)$, over "
        r"$\nu = \varphi(u)\sqrt{\delta/\pi}$, $\delta = 1-r_1 = k\gamma/(1+a\rho)$, within "
        r"$[e^{-u^2PR/2}, (1-\delta/2)^{-1/2}]$ and $1 + (1-u^2)\delta/12 + O(\delta^2)$; mean duration "
        r"$\Phi(-u)/$rate; fallen fraction: mean $\Phi(-c)$, variance "
        r"$\Phi_2(-c,-c;\frac{s^2}{s^2+\varsigma^2}) - \Phi(-c)^2$"
    ),
    hypotheses=(
        "stationarity, 0 < k < 2, 0 < γ <= 1; white noise (Gaussian for falls)",
        "k+γ <= 2 for W_n <= 1; k <= 1 for the bound min(k,γ)(n+1)/3",
        "episode noise Gaussian, drawn afresh for every episode",
    ),
    source="this project; Rice 1944 and Plackett 1954 for crossings",
    reconstructed=True,
    quoted="r_j, the window spread, rate, duration and fraction, as in the project's theory (sections 3, 4)",
    rebuilt="when correlations are positive or decreasing and a window shows less than seeds; bounds of the fall rate",
    claim=Claim(),
    checks=(
        Check("algebra", "algebra", algebra),
        Check("correlations", "numbers", correlations),
        Check("signs", "numbers", signs),
        Check("falls", "numbers", falls),
        Check("fractions", "numbers", fractions),
        Check("library", "numbers", library),
        Check("runs", "simulation", runs, assertions=5),
    ),
    mutants=(
        Mutant("exponent", "lag_shift", 0, "a^j and ρ^j in r_j"),
        Mutant("sign", "product_sign", -1, "1-aρ in the denominator of r_j"),
        Mutant("constant", "window_constant", 1, "each pair of iterates counted once"),
        Mutant("hypothesis", "nonnegative_reach", 3, "r_j >= 0 and W_n <= 1 for every stable step"),
        Mutant("hypothesis", "monotone_floor", 0, "correlations that decay monotonically for every stable step"),
        Mutant("exponent", "window_power", 2, "W_n of second order in min(k,γ)"),
        Mutant("hypothesis", "capped", False, "W_n <= min(k,γ)(n+1)/3 for every stable step"),
        Mutant("constant", "rate_constant", 2, "Rice's rate φ(u)√(δ/2π)"),
        Mutant("constant", "damping", Fraction(0), "rate >= ν at every threshold"),
        Mutant("constant", "second_order", Fraction(1, 4), "(1-u²)δ/4 as the first error of ν"),
        Mutant("sign", "duration_sign", -1, "Φ(u)/rate as the mean duration of a fall"),
        Mutant("exponent", "correlation_power", 2, "correlation (s²/(s²+ς²))² of two episodes"),
        Mutant("hypothesis", "own_noise", False, "one noise for all episodes: the fraction is 0 or 1"),
    ),
    corrections=(
        "a window does not always show less than the seeds: W_n <= 1 for all n iff k+γ <= 2 (k = 19/10, γ = 1/2, n = 2 "
        "shows more); mutant nonnegative_reach = 3",
        "'can be 100 times smaller' is W_n <= min(k,γ)(n+1)/3, without limit as γ → 0; needs k <= 1, mutant capped",
        "Rice's rate needs u²PR << 1, not small steps alone: its first error is (1-u²)δ/12; mutant damping = 0",
    ),
    picture=picture,
)

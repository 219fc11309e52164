"""The diffusion limit against 60-digit closed forms, itself by another route, an ODE solver and the discrete law."""

import itertools
from typing import Any

import mpmath as mp
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.integrate import solve_ivp

import gvatheory as gva
from gvatheory import closed_forms as cf
from gvatheory.diffusion import diffusion_law, stationary_diffusion_law


class Wavy(gva.Schedule):
    """A step size whose law has no closed form; constant for a swing of zero, yet not by type."""

    def __init__(self, step_size: float, swing: float = 0.0) -> None:
        self.step_size, self.swing = step_size, swing

    def __call__(self, t):
        return self.step_size * (1.0 + self.swing * np.sin(0.03 * np.asarray(t)))


class Jump(gva.Schedule):
    """Not even continuous."""

    def __call__(self, t):
        return np.where(np.asarray(t) < 120.0, 0.2, 0.03)


def full_problem(seed: int, scale: float = 1.0) -> gva.NoisyQuadratic:
    rng = np.random.default_rng(seed)
    root, basis = rng.normal(size=(3, 3)), np.linalg.qr(rng.normal(size=(3, 3)))[0]
    lam = (basis * (scale * np.array([0.2, 1.0, 1.7]))) @ basis.T
    return gva.NoisyQuadratic(0.5 * (lam + lam.T), root @ root.T, 2)


def reference_ema(ki, kj, gamma, time):
    """∫ G_i G_j over the time, G_i(u) = γ(e^{−k_i u} − e^{−γu})/(γ−k_i), in 60 digits; rates nudged apart if equal."""
    with mp.workdps(80):
        ki, kj, gamma, time = (mp.mpf(x) for x in (ki, kj, gamma, time))
        nudge = mp.mpf(10) ** -25
        gamma += nudge if gamma in (ki, kj) else 0

        def whole(x):
            return -mp.expm1(-x * time) / x if x else time

        total = whole(ki + kj) - whole(ki + gamma) - whole(kj + gamma) + whole(2 * gamma)
        return gamma**2 * total / ((gamma - ki) * (gamma - kj))


RATES = st.floats(-6, 0).map(lambda x: 10.0**x)


@settings(max_examples=200, deadline=None)
@given(k=st.tuples(RATES, RATES), gamma=RATES, steps=st.integers(1, 10**6), tie=st.sampled_from([None, 1.0, 1 + 1e-12]))
@example(k=(1e-3, 2e-3), gamma=0.0, steps=1000, tie=1 + 8e-9)
def test_constant_rates_against_high_precision(k, gamma, steps, tie) -> None:
    gamma = min(k[0] * tie, 0.999) if tie else min(gamma, 0.999)
    noise = np.array([[2.0, 0.9], [0.9, 1.0]])
    law = diffusion_law(gva.NoisyQuadratic(np.diag(k), noise), gva.Constant(1.0), gva.EMA(gamma), steps, [1.0, -2.0])
    for i, j in [(0, 0), (0, 1), (1, 1)]:
        expected = float(reference_ema(k[i], k[j], gamma, steps)) * noise[i, j]
        assert law.covariance[i, j] == pytest.approx(expected, rel=1e-10, abs=0.0)
    for i, e0 in enumerate([1.0, -2.0]):
        with mp.workdps(60):
            ki, g = mp.mpf(k[i]), mp.mpf(gamma) + (mp.mpf(10) ** -25 if gamma == k[i] else 0)
            mean = (g * mp.exp(-ki * steps) - ki * mp.exp(-g * steps)) / (g - ki)
        assert law.mean[i] == pytest.approx(e0 * float(mean), rel=1e-9, abs=1e-300)


@pytest.mark.parametrize("average", [gva.LastIterate(), gva.EMA(0.02), gva.EMA(0.3, burn_in=40), gva.EMA(0.1)])
@pytest.mark.parametrize("steps", [1, 41, 3000])
def test_integration_agrees_with_the_closed_form(average, steps) -> None:
    """k = 0.1 for one direction: with γ = 0.1 the two rates are equal."""
    for problem in (gva.NoisyQuadratic([1.0, 0.03, 0.0], [1.0, 2.0, 3.0]), full_problem(1)):
        exact = diffusion_law(problem, gva.Constant(0.1), average, steps, [1.0, 2.0, -3.0])
        stepped = diffusion_law(problem, Wavy(0.1), average, steps, [1.0, 2.0, -3.0])
        np.testing.assert_allclose(stepped.covariance, exact.covariance, rtol=1e-9, atol=1e-300)
        np.testing.assert_allclose(stepped.mean, exact.mean, rtol=1e-9, atol=1e-28)


@pytest.mark.parametrize(
    ("schedule", "average"),
    [
        (Wavy(0.1, 0.8), gva.EMA(0.05, burn_in=20)),
        (gva.PowerDecay(0.3, 0.7, 5.0), gva.PowerEMA(0.6, burn_in=7)),
        (gva.Constant(0.2), gva.PowerEMA(0.8, floor=0.05)),
        (gva.Cosine(0.2, 150, 0.01), gva.Polyak(burn_in=30)),
        (gva.WarmupStableDecay(0.3, 200, 10, 80, 0.6), gva.LastIterate()),
        (gva.Linear(0.3, 100, 0.05), gva.EMA(0.03)),
        (Jump(), gva.EMA(0.03)),
    ],
    ids=lambda x: type(x).__name__,
)
def test_any_schedule_against_an_ode_solver(schedule, average) -> None:
    """The second moments of (e, ẽ) as one matrix equation, in pieces between the kinks, by SciPy's DOP853."""
    problem, steps, e0 = full_problem(2), 200, np.array([1.0, -1.0, 0.5])
    lam, basis = problem.eigenbasis()
    noise = basis.T @ problem.noise_covariance() @ basis
    start = {gva.EMA: 0, gva.LastIterate: steps}.get(type(average), 1) + getattr(average, "burn_in", 0)
    floor = getattr(average, "floor", 0.0)
    kinks = sorted({0, start, steps, 9, 100, 120, 150} | ({floor ** (-1 / average.alpha)} if floor else set()))

    def slope(t, flat, copying):
        state = flat.reshape(6, 7)
        eta = float(schedule(np.float64(min(max(t, low + 1e-12), high - 1e-12))))
        rate = 0.0 if copying else float(average.rate(np.float64(t + 1e-12)))
        a = np.block([[-eta * np.diag(lam), np.zeros((3, 3))], [rate * np.eye(3), -rate * np.eye(3)]])
        cov, mean = state[:, :6], state[:, 6:]
        grown = a @ cov + cov @ a.T
        grown[:3, :3] += eta**2 * noise
        return np.hstack([grown, a @ mean]).ravel()

    state = np.zeros((6, 7))
    state[:, 6] = np.tile(basis.T @ e0, 2)
    for low, high in itertools.pairwise(kinks):
        copying = high <= start
        solved = solve_ivp(slope, (low, high), state.ravel(), "DOP853", args=(copying,), rtol=1e-12, atol=1e-15)
        state = solved.y[:, -1].reshape(6, 7)
        if copying:
            state[3:] = state[:3]
            state[:, 3:6] = state[:, :3]
    law = diffusion_law(problem, schedule, average, steps, e0)
    np.testing.assert_allclose(law.covariance, basis @ state[3:, 3:6] @ basis.T, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(law.mean, basis @ state[3:, 6], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("k", [1e-5, 0.01, 0.7])
def test_polyak_is_its_own_integral(k) -> None:
    """Var of (1/T)[e_1 + ∫_1^T e dt] at a constant step, in 40 digits by direct integration over the noise."""
    steps = 5000
    with mp.workdps(40):
        r = mp.mpf(k)

        def weight(u):  # of the noise at time u < T
            later = max(u, mp.mpf(1))
            at_one = mp.exp(-r * (1 - u)) if u < 1 else mp.mpf(0)
            return (at_one + (mp.exp(-r * (later - u)) - mp.exp(-r * (steps - u))) / r) / steps

        cuts = [0, 1, *(mp.mpf(steps) - (steps - 1) / mp.mpf(2) ** i for i in range(1, 14)), steps]
        expected: Any = mp.quad(lambda u: weight(u) ** 2, cuts)
    law = diffusion_law(gva.NoisyQuadratic(k, 1.0), gva.Constant(1.0), gva.Polyak(), steps, 0.0)
    assert law.covariance[0, 0] == pytest.approx(float(expected), rel=1e-9, abs=0.0)


@pytest.mark.parametrize(
    ("make", "average"),
    [
        (lambda n: gva.Constant(0.4 / n), lambda n: gva.LastIterate()),
        (lambda n: gva.Constant(0.4 / n), lambda n: gva.EMA(0.3 / n, burn_in=2 * n)),
        (lambda n: gva.InverseTime(1.3, 4.0 * n), lambda n: gva.EMA(0.3 / n)),
        (lambda n: gva.Linear(0.4 / n, 20 * n), lambda n: gva.LastIterate()),
        (lambda n: gva.Constant(0.4 / n), lambda n: gva.Polyak(burn_in=n)),
    ],
    ids=["last", "ema", "inverse-time", "linear", "polyak"],
)
def test_the_discrete_law_converges_to_it_at_first_order(make, average) -> None:
    """η → η/2 and T → 2T, γ/η fixed: the gap halves, and extrapolating it away leaves a second-order remainder."""
    problem, off, extrapolated = full_problem(3), [], []
    laws, means = [], []
    for n in (64, 128, 256):
        exact = gva.exact_law(problem, make(n), average(n), 20 * n, [1.0, -2.0, 0.5])
        limit = diffusion_law(problem, make(n), average(n), 20 * n, [1.0, -2.0, 0.5])
        laws.append(n * (exact.covariance - limit.covariance) / np.trace(n * limit.covariance))
        means.append((exact.mean - limit.mean) / np.linalg.norm(limit.mean))
        off.append([np.abs(laws[-1]).max(), np.abs(means[-1]).max()])
    extrapolated = [[np.abs(2 * b - a).max() for a, b in itertools.pairwise(x)] for x in (laws, means)]
    off = np.array(off)
    np.testing.assert_allclose(off[1:] / off[:-1], 0.5, atol=0.03)
    assert np.all(off[-1] < 0.02)
    for at_first, then in extrapolated:
        assert then < 0.35 * at_first + 1e-10


def test_power_ema_follows_the_discrete_law() -> None:
    """No scaling keeps t^{−α} in proportion to η: the gap shrinks with the last rate instead."""
    problem = gva.NoisyQuadratic([1.0, 0.3], 1.0)
    gaps = []
    for n in (100, 400, 1600):
        run = (problem, gva.Constant(2.0 / n), gva.PowerEMA(0.7, burn_in=n), 20 * n, 0.0)
        gaps.append(gva.exact_law(*run).covariance[0, 0] / diffusion_law(*run).covariance[0, 0] - 1)
    assert np.all(np.abs(gaps) < [0.05, 0.02, 0.01])
    assert abs(gaps[0]) > abs(gaps[1]) > abs(gaps[2])


@pytest.mark.parametrize("gamma", [None, 0.004, 0.03])
def test_stationary_law_is_the_late_one(gamma) -> None:
    problem = full_problem(4)
    average = gva.LastIterate() if gamma is None else gva.EMA(gamma)
    late = diffusion_law(problem, gva.Constant(0.1), average, 20_000, 1.0)
    stationary = stationary_diffusion_law(problem, 0.1, gamma)
    np.testing.assert_allclose(stationary.covariance, late.covariance, rtol=1e-10)
    single = stationary_diffusion_law(gva.NoisyQuadratic(2.0, 3.0), 0.1, gamma).covariance[0, 0]
    kept = 1.0 if gamma is None else (gamma / 0.1) / (2.0 + gamma / 0.1)
    assert single == pytest.approx(0.1 * 3.0 / 4.0 * kept)


def test_inverse_time_step_reaches_its_rate_and_polyak_at_the_right_scale() -> None:
    lam, noise, steps = 0.5, 3.0, 10**6

    def by_hand(scale: float) -> float:
        """c²σ²/(2λc−1) · [1/(T+τ) − τ^{2λc−1}/(T+τ)^{2λc}], τ the offset of the schedule."""
        power, end = 2 * lam * scale, steps + 5.0
        return scale**2 * noise / (power - 1) * (1 / end - 5.0 ** (power - 1) / end**power)

    for scale in (1.5, 2.0, 4.0):
        law = diffusion_law(gva.NoisyQuadratic(lam, noise), gva.InverseTime(scale, 5.0), gva.LastIterate(), steps, 0.0)
        assert law.covariance[0, 0] == pytest.approx(by_hand(scale), rel=1e-9, abs=0.0)
        limit = cf.inverse_time_variance(steps, scale, lam, noise)
        assert law.covariance[0, 0] == pytest.approx(limit, rel=0.01 if scale == 1.5 else 2e-5, abs=0.0)
    # 2λc < 1: slower than 1/T.
    law = diffusion_law(gva.NoisyQuadratic(lam, noise), gva.InverseTime(0.6, 5.0), gva.LastIterate(), steps, 0.0)
    assert law.covariance[0, 0] == pytest.approx(by_hand(0.6), rel=1e-9, abs=0.0)
    assert law.covariance[0, 0] > 20 * cf.polyak_variance(steps, lam, noise)
    polyak = diffusion_law(gva.NoisyQuadratic(lam, noise), gva.Constant(0.1), gva.Polyak(), steps, 0.0)
    assert polyak.covariance[0, 0] == pytest.approx(cf.inverse_time_variance(steps, 2.0, lam, noise), rel=1e-4, abs=0.0)


@pytest.mark.parametrize("power", [0.5, 1.0, 2.0])
def test_cooldown_leaves_what_the_closed_form_says(power) -> None:
    lam, noise, eta = 0.8, 1.5, 0.1
    left = []
    for length in (100, 1000, 10_000):
        schedule = gva.WarmupStableDecay(eta, 20_000, 0, length, power)
        law = diffusion_law(gva.NoisyQuadratic(lam, noise), schedule, gva.LastIterate(), 20_000, 0.0)
        left.append(law.covariance[0, 0])
        assert left[-1] == pytest.approx(cf.cooldown_variance(eta, lam, noise, float(length), power), rel=1e-9, abs=0.0)
    assert np.log10(left[1] / left[2]) == pytest.approx(power / (power + 1), abs=1e-3)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda p: diffusion_law(p, gva.Constant(0.1), gva.Tail(0.5), 9, 0.0), "average must be LastIterate, EMA"),
        (lambda p: diffusion_law(p, gva.Constant(0.1), gva.Polyak(), -1, 0.0), "steps must be an integer at least 0"),
        (lambda p: diffusion_law(p, gva.Constant(0.1), gva.Polyak(), 9, [0.0, 1.0]), "initial_error must"),
        (lambda p: diffusion_law(p, Wavy(np.inf), gva.Polyak(), 9, 0.0), "schedule must be finite"),
        (lambda p: stationary_diffusion_law(p, 0.0), "step_size must be a number in"),
        (lambda p: stationary_diffusion_law(p, 0.1, -1.0), "gamma must be a number in"),
        (lambda p: stationary_diffusion_law(gva.NoisyQuadratic(0.0, 1.0), 0.1), "curvature must be positive"),
    ],
)
def test_bad_values_are_named(call, message) -> None:
    with pytest.raises(ValueError, match=message):
        call(gva.NoisyQuadratic(1.0, 1.0))


def test_no_time_at_all_is_the_start() -> None:
    for schedule, average in [(gva.Constant(0.1), gva.EMA(0.1)), (gva.Linear(0.1, 5), gva.Polyak())]:
        law = diffusion_law(gva.NoisyQuadratic([1.0, 2.0], 1.0), schedule, average, 0, 3.0)
        np.testing.assert_array_equal(law.mean, 3.0)
        np.testing.assert_array_equal(law.covariance, 0.0)

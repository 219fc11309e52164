"""Averaged iterates along training: dense powers of the transition, mpmath's bivariate normal, and SGD that is run."""

from typing import Any

import mpmath as mp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import solve_discrete_lyapunov

import gvatheory as gva
from gvatheory import closed_forms as cf
from gvatheory.paths import (
    fall_dynamics,
    fall_fraction,
    joint_stationary_covariance,
    rice_rate,
    simulate_path,
    stationary_autocovariance,
    threshold_dynamics,
    window_spread,
)
from tests.budget import assert_mean

ncdf: Any = mp.ncdf
quad: Any = mp.quad


def full_problem(seed: int, dim: int = 3) -> gva.NoisyQuadratic:
    rng = np.random.default_rng(seed)
    root, basis = rng.normal(size=(dim, dim)), np.linalg.qr(rng.normal(size=(dim, dim)))[0]
    lam = (basis * rng.uniform(0.05, 1.9, dim)) @ basis.T
    return gva.NoisyQuadratic(0.5 * (lam + lam.T), root @ root.T, 2)


def dense(problem: gva.NoisyQuadratic, eta: float, gamma: float):
    """Transition of (e, ẽ) stacked and its stationary covariance, by SciPy's Lyapunov solver."""
    d = problem.dimension
    lam, basis = problem.eigenbasis()
    step = np.eye(d) - eta * (basis * lam) @ basis.T
    a = np.block([[step, np.zeros((d, d))], [gamma * step, (1 - gamma) * np.eye(d)]])
    lift = np.vstack([np.eye(d), gamma * np.eye(d)])
    return a, solve_discrete_lyapunov(a, eta**2 * lift @ problem.noise_covariance() @ lift.T)


CASES = st.tuples(st.integers(0, 10**6), st.integers(1, 4), st.floats(0.02, 1.02), st.floats(0.02, 1.0))


@settings(max_examples=100, deadline=None)
@given(case=CASES)
def test_autocovariance_is_the_power_of_the_transition(case) -> None:
    seed, dim, eta, gamma = case
    problem = full_problem(seed, dim)
    a, joint = dense(problem, eta, gamma)
    scale = np.abs(joint).max()
    np.testing.assert_allclose(
        joint_stationary_covariance(problem, eta, gva.EMA(gamma)), joint, rtol=1e-9, atol=1e-11 * scale
    )
    lags = [0, 1, 2, 7, 40]
    out = stationary_autocovariance(problem, eta, gva.EMA(gamma), lags)
    for j, value in zip(lags, out, strict=True):
        expected = (np.linalg.matrix_power(a, j) @ joint).T[dim:, dim:]  # E x_t x_{t+j}ᵀ
        np.testing.assert_allclose(value, expected, rtol=1e-9, atol=1e-11 * np.abs(joint[dim:, dim:]).max())


def test_orientation_is_earlier_by_later() -> None:
    """Coordinate 1 forgets at once (k = 1), coordinate 0 never quite: only (1 earlier, 0 later) can be correlated."""
    problem = gva.NoisyQuadratic([0.1, 1.0], [[1.0, 0.8], [0.8, 1.0]])
    ahead = stationary_autocovariance(problem, 1.0, gva.LastIterate(), [1])[0]
    assert abs(ahead[1, 0]) > 0.1
    assert ahead[0, 1] == pytest.approx(0.0, abs=1e-15)


@settings(max_examples=100, deadline=None)
@given(case=CASES, count=st.integers(2, 30), spacing=st.integers(1, 9))
def test_window_spread_is_the_expected_sample_covariance(case, count, spacing) -> None:
    seed, dim, eta, gamma = case
    problem = full_problem(seed, dim)
    a, joint = dense(problem, eta, gamma)
    # Sample covariance = Σ_st w_st x_s x_tᵀ with w = (I − 11ᵀ/n)/(n−1).
    hop, ahead, expected = np.linalg.matrix_power(a, spacing), joint, joint.copy()
    for j in range(1, count):
        ahead = hop @ ahead
        expected -= (1 - j / count) / (count - 1) * (ahead + ahead.T)
    spread = window_spread(problem, eta, gva.EMA(gamma), count, spacing)
    scale = np.abs(joint[dim:, dim:]).max()
    np.testing.assert_allclose(spread.window, expected[dim:, dim:], rtol=1e-9, atol=1e-11 * scale)
    np.testing.assert_allclose(spread.seeds, joint[dim:, dim:], rtol=1e-9, atol=1e-11 * scale)
    np.testing.assert_allclose(spread.ratio, np.diag(spread.window) / np.diag(spread.seeds))


def test_a_slow_average_shows_almost_nothing_in_a_window() -> None:
    spread = window_spread(gva.NoisyQuadratic([1.0, 0.0001], [1.0, 0.0]), 0.01, gva.EMA(0.001), 10)
    assert spread.ratio[0] < 0.01
    assert np.isnan(spread.ratio[1])


@pytest.mark.parametrize("u", [-3.0, -0.4, 0.0, 0.7, 2.5, 6.0])
@pytest.mark.parametrize("roughness", [1e-12, 1e-5, 0.03, 0.5, 1.0, 1.7, 2.0])
def test_rate_is_the_bivariate_normal_one(u, roughness) -> None:
    """P(X ≤ u < Y) = ∫_{−∞}^u φ(x) Φ((rx − u)/√(1−r²)) dx in 30 digits."""
    with mp.workdps(30):
        gap = mp.mpf(roughness)
        r, root = 1 - gap, mp.sqrt(gap * (2 - gap))
        if roughness == 2.0:
            expected = ncdf(min(u, -u)) if u > 0 else ncdf(u)
        else:
            cuts = [u - root * 2**i for i in range(8, -4, -1) if root * 2**i < 14]
            expected = quad(lambda x: mp.npdf(x) * ncdf((r * x - u) / root), [u - 16, *cuts, u])
        probability = ncdf(-u)
    out = threshold_dynamics(u, roughness)
    assert out.probability == pytest.approx(float(probability), rel=1e-13, abs=0.0)
    assert out.rate == pytest.approx(float(expected), rel=1e-10, abs=0.0)
    assert out.mean_duration == pytest.approx(float(probability / expected), rel=1e-10, abs=0.0)


def test_small_steps_follow_rice() -> None:
    for u in (-1.0, 0.0, 0.5, 2.0):
        phi = np.exp(-(u**2) / 2) / np.sqrt(2 * np.pi)
        for k, gamma, formula in [(1e-7, 1.0, np.sqrt(1e-7 / np.pi)), (1e-5, 1e-4, np.sqrt(1e-9 / 2 / np.pi))]:
            average = gva.LastIterate() if gamma == 1.0 else gva.EMA(gamma)
            sd = float(np.sqrt(cf.ema_variance(k, 1.0, 1.0, gamma)))
            exact = fall_dynamics(gva.NoisyQuadratic(1.0, 1.0), k, average, 1.0, u * sd).rate
            assert exact == pytest.approx(phi * formula, rel=1e-4, abs=0.0)
            assert exact == pytest.approx(float(rice_rate(u, cf.window_factor(2, k, 1.0, gamma))), rel=1e-6, abs=0.0)


def test_the_ends_of_the_range() -> None:
    assert threshold_dynamics(1.0, 0.0).mean_duration == np.inf  # a constant never comes back
    assert threshold_dynamics(0.0, 2.0) == type(threshold_dynamics(0.0, 2.0))(0.5, 0.5, 1.0)  # r = −1 flips every step
    beyond = threshold_dynamics(60.0, 0.1)
    assert beyond.probability == 0.0
    assert np.isnan(beyond.mean_duration)


@pytest.mark.parametrize(
    ("c", "sd", "noise"),
    [
        (0.0, 1.0, 1.0),
        (0.3, 1e-5, 1.0),
        (-1.5, 0.3, 2.0),
        (3.0, 1.0, 1e-3),
        (9.0, 1.0, 1.0),
        (9.0, 1.0, 0.05),
        (-3.0, 1e-5, 1.0),
        (1.2, 2.0, 0.0),
    ],
)
def test_fall_fraction_moments(c, sd, noise) -> None:
    """E p and E p² of p(X) = Φ((X − offset)/ς), by 30-digit integration over X, and the variance by subtraction."""
    mean = 0.4
    offset = mean + c * float(np.hypot(sd, noise))
    out = fall_fraction(mean, sd, offset, noise)
    with mp.workdps(30):
        if noise == 0.0:
            first = ncdf(-(mp.mpf(offset) - mean) / sd)
            second = first
        else:
            width = mp.mpf(noise) / sd
            edge = (mp.mpf(offset) - mean) / sd

            def p(x):
                return ncdf((x - edge) / width)

            cuts = sorted(
                {mp.mpf(x) for x in (-30, -10, -3, 0, 3, 10, 30)} | {edge + s * width for s in (-12, -3, 0, 3, 12)}
            )
            cuts = [x for x in cuts if -30 <= x <= 30]
            first = quad(lambda x: mp.npdf(x) * p(x), cuts)
            second = quad(lambda x: mp.npdf(x) * p(x) ** 2, cuts)
        variance = second - first**2
        binomial = (first - second) / 40
    assert out.mean == pytest.approx(float(first), rel=1e-11, abs=0.0)
    assert out.variance == pytest.approx(float(variance), rel=1e-9, abs=0.0)
    finite = fall_fraction(mean, sd, offset, noise, episodes=40)
    assert finite.variance == pytest.approx(float(variance + binomial), rel=1e-9, abs=0.0)


def test_no_spread_of_the_iterate_leaves_the_binomial_part() -> None:
    out = fall_fraction(0.0, 0.0, 0.5, 1.0, episodes=10)
    assert out.variance == pytest.approx(out.mean * (1 - out.mean) / 10, rel=1e-13, abs=0.0)
    assert fall_fraction(0.0, 0.0, 0.5, 1.0).variance == 0.0


PROBLEM = full_problem(8)
NORMAL = np.array([1.0, -0.5, 2.0])


@pytest.fixture(scope="module", params=[gva.LastIterate(), gva.EMA(0.08)], ids=["last", "ema"])
def path(request):
    samples = simulate_path(PROBLEM, 0.6, request.param, count=100, spacing=2, trials=6_000, seed=4)
    return request.param, samples


def test_simulated_path_is_stationary_with_the_stated_autocovariance(path) -> None:
    average, samples = path
    assert samples.shape == (6_000, 100, 3)
    assert samples.dtype == np.float64
    lags = [0, 1, 3, 40]
    expected = stationary_autocovariance(PROBLEM, 0.6, average, [2 * j for j in lags])
    for start in (0, 55):
        assert_mean(samples[:, start], 0.0)
        for j, value in zip(lags, expected, strict=True):
            products = samples[:, start, :, None] * samples[:, start + j, None, :]
            assert_mean(products, value)


def test_simulated_windows_show_the_stated_spread(path) -> None:
    average, samples = path
    for count in (2, 5, 60):
        window = samples[:, 10 : 10 + count]
        centred = window - window.mean(axis=1, keepdims=True)
        spread = window_spread(PROBLEM, 0.6, average, count, spacing=2)
        assert_mean(np.einsum("tnp,tnq->tpq", centred, centred) / (count - 1), spread.window)


def test_simulated_falls_have_the_stated_rate_and_duration(path) -> None:
    average, samples = path
    along = samples @ NORMAL + 0.3
    offset = 1.3 * float(along.std())
    out = fall_dynamics(PROBLEM, 0.6, average, NORMAL, offset, mean=0.3, spacing=2)
    fallen = along > offset
    assert_mean(fallen.mean(axis=1), out.probability)
    starts = ~fallen[:, :-1] & fallen[:, 1:]
    assert_mean(starts.mean(axis=1), out.rate)
    # Every fall that begins in the first half, followed to its end; the second half is long enough for all of them.
    excess = np.zeros(len(fallen))
    for trial, begin in zip(*np.nonzero(starts[:, :40]), strict=True):
        rest = fallen[trial, begin + 1 :]
        assert not rest.all()
        excess[trial] += np.argmin(rest) - out.mean_duration
    assert_mean(excess, 0.0)


def test_simulated_episodes_fall_in_the_stated_fraction(path) -> None:
    average, samples = path
    rng = np.random.default_rng(9)
    x = samples[:, -1] @ NORMAL
    sd = float(np.sqrt(NORMAL @ gva.stationary_law(PROBLEM, 0.6, average).covariance @ NORMAL))
    noise = 0.7 * sd
    fractions = (x[:, None] > 0.9 * sd + noise * rng.normal(size=(len(x), 8))).mean(axis=1)
    out = fall_fraction(0.0, sd, 0.9 * sd, noise, episodes=8)
    assert_mean(fractions, out.mean)
    assert_mean((fractions - out.mean) ** 2, out.variance)


def test_sgd_from_zero_settles_into_the_same_windows() -> None:
    """A plain NumPy loop, without any of the module's code: window spread and fall rate of one EMA."""
    rng = np.random.default_rng(12)
    problem, eta, gamma, trials = gva.NoisyQuadratic([0.3, 1.5], [[1.0, 0.6], [0.6, 0.5]]), 0.7, 0.15, 20_000
    root = np.linalg.cholesky(problem.noise_covariance())
    theta = average = np.zeros((trials, 2))
    window = []
    for t in range(170):
        theta = theta - eta * (theta * [0.3, 1.5] + rng.normal(size=(trials, 2)) @ root.T)
        average = (1 - gamma) * average + gamma * theta
        if t >= 164:
            window.append(average)
    stack = np.stack(window, axis=1)
    centred = stack - stack.mean(axis=1, keepdims=True)
    spread = window_spread(problem, eta, gva.EMA(gamma), 6)
    assert_mean(np.einsum("tnp,tnq->tpq", centred, centred) / 5, spread.window)
    assert_mean(stack[:, 0, :, None] * stack[:, 0, None, :], spread.seeds)
    out = fall_dynamics(problem, eta, gva.EMA(gamma), [1.0, 1.0], 0.4)
    fallen = stack.sum(axis=2) > 0.4
    assert_mean((~fallen[:, :-1] & fallen[:, 1:]).mean(axis=1), out.rate)


def test_same_seed_same_path_and_another_seed_another() -> None:
    run = (gva.NoisyQuadratic(1.0, 1.0), 0.5, gva.EMA(0.1), 4, 3, 5)
    first = simulate_path(*run, seed=1)
    np.testing.assert_array_equal(first, simulate_path(*run, seed=1))
    assert not np.array_equal(first, simulate_path(*run, seed=2))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda p: stationary_autocovariance(p, 0.1, gva.EMA(0.1), [-1]), "lags must be whole numbers of at least 0"),
        (lambda p: stationary_autocovariance(p, 0.1, gva.EMA(0.1), [0.5]), "lags must be whole numbers of at least 0"),
        (lambda p: stationary_autocovariance(p, 0.1, gva.Polyak(), [1]), "average must be LastIterate or EMA"),
        (lambda p: window_spread(p, 2.5, gva.EMA(0.1), 5), "step_size must be a number in"),
        (lambda p: window_spread(p, 0.1, gva.EMA(0.1), 1), "count must be an integer at least 2, got 1"),
        (lambda p: fall_dynamics(p, 0.1, gva.EMA(0.1), [1.0, 2.0], 0.5), r"normal must have shape \(1,\)"),
        (lambda p: fall_dynamics(p, 0.1, gva.EMA(0.1), 0.0, 0.5), "normal must be a direction with noise"),
        (lambda p: fall_dynamics(p, 0.1, gva.EMA(0.1), 1.0, np.nan), "offset must be a number"),
        (lambda p: threshold_dynamics(0.0, 2.1), r"roughness must be a number in \[0, 2\], got 2.1"),
        (lambda p: rice_rate(0.0, -0.1), r"roughness must be in \[0, 2\], got -0.1"),
        (lambda p: fall_fraction(0.0, -1.0, 0.0, 1.0), "sd must be a number"),
        (lambda p: fall_fraction(0.0, 0.0, 0.0, 0.0), "episode_noise must be a number in"),
        (lambda p: fall_fraction(0.0, 1.0, 0.0, 0.0, 0), "episodes must be an integer at least 1"),
        (lambda p: simulate_path(p, 0.1, gva.EMA(0.1), 0, 1, 1, 0), "count must be an integer at least 1"),
        (lambda p: simulate_path(p, 0.1, gva.EMA(0.1), 1, 0, 1, 0), "spacing must be an integer at least 1"),
    ],
)
def test_bad_values_are_named(call, message) -> None:
    with pytest.raises(ValueError, match=message):
        call(gva.NoisyQuadratic(1.0, 1.0))

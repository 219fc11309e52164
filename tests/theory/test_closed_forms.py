"""Closed forms against 50-digit covariance algebra, the exact law, direct optimisation and the moment equations."""

from typing import Any

import jax
import jax.numpy as jnp
import mpmath as mp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import solve_ivp
from scipy.optimize import minimize_scalar

import gvatheory as gva
from gvatheory import closed_forms as cf

mp.mp.dps = 50
CURVATURES = st.sampled_from([0.25, 1.0, 4.0])  # powers of two: k = ηλ is then exact
PRODUCTS = st.one_of(
    st.floats(-8, 0).map(lambda x: 10.0**x), st.floats(0.5, 1.999), st.floats(-6, -1).map(lambda x: 2 - 10.0**x)
)
GAMMAS = st.one_of(st.floats(-8, 0).map(lambda x: 10.0**x), st.floats(0.05, 1.0), st.just(1.0))
MOMENTA = st.floats(-0.99, 0.99)
LEGENDRE = np.polynomial.legendre.leggauss(150)
MANY = settings(max_examples=200, deadline=None)


def state_covariance(phi, psi, gamma):
    """Transition A of (e_t, e_{t−1}, ẽ_t) and its stationary covariance for unit innovations, by one dense solve."""
    phi, psi, gamma = mp.mpf(phi), mp.mpf(psi), mp.mpf(gamma)
    a = mp.matrix([[phi, -psi, 0], [1, 0, 0], [gamma * phi, -gamma * psi, 1 - gamma]])
    b = mp.matrix([1, 0, gamma])
    kron = mp.matrix(9, 9)
    for i in range(3):
        for j in range(3):
            for m in range(3):
                for n in range(3):
                    kron[3 * i + j, 3 * m + n] = a[i, m] * a[j, n]
    noise = b * b.T
    flat = mp.lu_solve(mp.eye(9) - kron, mp.matrix([noise[i, j] for i in range(3) for j in range(3)]))
    return a, mp.matrix(3, 3) if flat is None else mp.matrix([[flat[3 * i + j] for j in range(3)] for i in range(3)])


def close(value, expected, rel=1e-9) -> None:
    assert abs(mp.mpf(float(value)) - expected) <= rel * abs(expected), (float(value), mp.nstr(expected, 17))


@MANY
@given(k=PRODUCTS, lam=CURVATURES, gamma=GAMMAS)
def test_sgd_and_its_average(k, lam, gamma) -> None:
    eta, noise = k / lam, 1.75
    a, cov = state_covariance(1 - mp.mpf(k), 0, gamma)
    scale = mp.mpf(eta) ** 2 * noise
    close(cf.sgd_variance(eta, lam, noise), cov[0, 0] * scale)
    close(cf.ema_factor(eta, lam, gamma), cov[2, 2] / cov[0, 0])
    close(cf.ema_variance(eta, lam, noise, gamma), cov[2, 2] * scale)
    close(cf.series_variance(eta, lam, noise, gamma), cov[2, 2] * scale)
    close(cf.sgd_variance(cf.effective_step_size(eta, lam, gamma, exact=True), lam, noise), cov[2, 2] * scale)
    one_step = (a * cov)[2, 2] / cov[2, 2]
    assert float(cf.autocorrelation(1, eta, lam, gamma)) == pytest.approx(float(one_step), rel=1e-9, abs=1e-12)
    close(cf.window_factor(2, eta, lam, gamma), 1 - one_step)


@settings(max_examples=100, deadline=None)
@given(k=st.floats(1e-6, 1e-2), gamma=st.floats(1e-6, 1e-2))
def test_small_steps_are_time_constants_in_series(k, gamma) -> None:
    tau = cf.time_constant(k, 1.0, gamma)
    exact = cf.ema_variance(k, 1.0, 1.0, gamma)
    assert exact == pytest.approx(1 / (2 * tau), rel=1.0 * (k + gamma), abs=0.0)
    assert k / 2 * cf.effective_step_size(k, 1.0, gamma) / k == pytest.approx(1 / (2 * tau), rel=1e-12, abs=0.0)


@MANY
@given(share=st.floats(1e-6, 0.999), mu=MOMENTA, lam=CURVATURES, gamma=GAMMAS, nesterov=st.booleans())
def test_momentum_and_its_average(share, mu, lam, gamma, nesterov) -> None:
    k = share * float(cf.stable_product(mu, nesterov))
    eta, mu_, k_ = k / lam, mp.mpf(mu), mp.mpf(k)
    phi, psi = ((1 + mu_) * (1 - k_), mu_ * (1 - k_)) if nesterov else (1 + mu_ - k_, mu_)
    _, cov = state_covariance(phi, psi, gamma)
    close(cf.momentum_variance(eta, lam, 1.5, mu, nesterov), cov[0, 0] * mp.mpf(eta) ** 2 * 1.5)
    close(cf.momentum_ema_factor(eta, lam, mu, gamma, nesterov), cov[2, 2] / cov[0, 0])


@MANY
@given(psi=st.floats(-0.98, 0.98), share=st.floats(-0.999, 0.999), gamma=GAMMAS)
def test_any_second_order_recursion(psi, share, gamma) -> None:
    phi = share * (1 + psi)
    _, cov = state_covariance(phi, psi, gamma)
    close(cf.ar2_variance(phi, psi, 2.0), 2 * cov[0, 0])
    close(cf.ar2_ema_factor(phi, psi, gamma), cov[2, 2] / cov[0, 0])


@MANY
@given(mu=MOMENTA, nesterov=st.booleans())
def test_momentum_is_stable_up_to_the_limit_and_not_beyond(mu, nesterov) -> None:
    def radius(k):
        phi, psi = ((1 + mu) * (1 - k), mu * (1 - k)) if nesterov else (1 + mu - k, mu)
        return max(abs(np.roots([1.0, -phi, psi])))

    limit = float(cf.stable_product(mu, nesterov))
    assert radius(limit * (1 - 1e-4)) < 1 < radius(limit * (1 + 1e-4))
    assert all(radius(limit * s) < 1 for s in (0.01, 0.1, 0.3, 0.5, 0.7, 0.9))


def test_momentum_variance_is_that_of_the_iteration_itself() -> None:
    """θ is really iterated, gradient at the look-ahead point, with noise coefficients in place of noise."""
    eta, lam, mu, gamma = 0.3, 1.1, 0.6, 0.2
    for nesterov in (False, True):
        steps = 400
        now, before, avg = np.zeros(steps), np.zeros(steps), np.zeros(steps)
        for t in range(steps):
            at = now + mu * (now - before) if nesterov else now
            gradient = lam * at
            gradient[t] += 1.0
            now, before = now + mu * (now - before) - eta * gradient, now
            avg = avg + gamma * (now - avg)
        variance = cf.momentum_variance(eta, lam, 1.0, mu, nesterov)
        assert variance == pytest.approx(np.sum(now**2), rel=1e-12, abs=0.0)
        factor = cf.momentum_ema_factor(eta, lam, mu, gamma, nesterov)
        assert variance * factor == pytest.approx(np.sum(avg**2), rel=1e-12, abs=0.0)


@MANY
@given(k=PRODUCTS, gamma=GAMMAS, coincide=st.sampled_from([None, 0.0, 1e-13, -1e-9]), lag=st.integers(0, 10**6))
def test_autocorrelation_at_any_lag(k, gamma, coincide, lag) -> None:
    if coincide is not None and k < 1:
        gamma = min(k * (1 + coincide), 1.0)
    a, cov = state_covariance(1 - mp.mpf(k), 0, gamma)
    expected = (a**lag * cov)[2, 2] / cov[2, 2]
    value = float(cf.autocorrelation(lag, k, 1.0, gamma))
    assert value == pytest.approx(float(expected), rel=1e-9, abs=0 if k < 1 and expected > 1e-290 else 1e-11)


@MANY
@given(
    k=PRODUCTS,
    gamma=GAMMAS,
    coincide=st.sampled_from([None, 0.0, 1e-13]),
    count=st.integers(2, 30),
    spacing=st.integers(1, 12),
)
def test_window_factor_is_the_direct_sum(k, gamma, coincide, count, spacing) -> None:
    if coincide is not None and k < 1:
        gamma = min(k * (1 + coincide), 1.0)
    a, cov = state_covariance(1 - mp.mpf(k), 0, gamma)
    hop, ahead, total = a**spacing, cov, mp.mpf(0)
    for j in range(1, count):
        ahead = hop * ahead
        total += (1 - mp.mpf(j) / count) * ahead[2, 2] / cov[2, 2]
    close(cf.window_factor(count, k, 1.0, gamma, spacing), 1 - 2 * total / (count - 1))


@pytest.mark.parametrize("k", [9e-7, 1.1e-6, 0.001, 0.49, 0.51, 1.0])
def test_geometric_sums_to_rounding(k) -> None:
    """1 − (1−k)^1000, on both sides of where the series hands over to the exponential."""
    assert cf.window_factor(2, k, 1.0, 1.0, 1000) == pytest.approx(
        float(1 - (1 - mp.mpf(k)) ** 1000), rel=2e-13, abs=0.0
    )


@pytest.mark.parametrize("count", [1000, 10**6, 10**9])
@pytest.mark.parametrize("spacing", [1, 64, 4097])
def test_window_factor_of_long_windows(count, spacing) -> None:
    for k, gamma in [(1e-7, 1e-8), (0.3, 1e-6), (1e-5, 0.7), (1.9, 1e-4), (2 - 1e-7, 0.2), (0.01, 0.011)]:
        with mp.workdps(100):
            a, rho, n = 1 - mp.mpf(k), 1 - mp.mpf(gamma), mp.mpf(count)

            def tail(x, n=n):  # Σ (1 − j/n) x^{js}
                x = x**spacing
                return x * (n * (1 - x) - (1 - x**n)) / (n * (1 - x) ** 2)

            top = a * (1 - rho**2) * tail(a) - rho * (1 - a**2) * tail(rho)
            expected = 1 - 2 / (n - 1) * top / ((a - rho) * (1 + a * rho))
        close(cf.window_factor(count, k, 1.0, gamma, spacing), expected)


@pytest.mark.parametrize("alpha", [0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 0.945, 1.0])
@pytest.mark.parametrize("steps", [2000, 20_000])
def test_power_ema_within_its_stated_error(alpha, steps) -> None:
    k = np.array([0.02, 0.05, 0.1, 0.3, 0.6, 1.0, 1.5, 1.9])
    law = gva.exact_law(gva.NoisyQuadratic(k, 2.0), gva.Constant(1.0), gva.PowerEMA(alpha), steps, 0.0)
    close_to = cf.power_ema_variance(steps, alpha, 1.0, k, 2.0)
    np.testing.assert_allclose(close_to, np.diag(law.covariance), rtol=0.022)
    # theory.md's small-step form: within 2.5 % once k times the last rate is small.
    rate = float(steps) ** -alpha
    plain = rate / k**2 / ((1 + (1 - k) * rate / k) * (1 - alpha / (2 * rate * steps)))
    mild = (k * rate < 0.04) & (k <= 1)
    np.testing.assert_allclose(plain[mild], np.diag(law.covariance)[mild], rtol=0.025)


def test_polyak_differs_by_its_stated_correction() -> None:
    k, steps = np.array([0.1, 0.5, 1.0, 1.5]), 2000
    law = gva.exact_law(gva.NoisyQuadratic(k, 2.0), gva.Constant(1.0), gva.Polyak(), steps, 0.0)
    share = np.diag(law.covariance) / cf.polyak_variance(steps, k, 2.0)
    np.testing.assert_allclose(share, 1 - (1 - k) * (3 - k) / (k * (2 - k) * steps), rtol=1e-11)


def test_drift_lag_is_where_the_iteration_settles() -> None:
    for k, gamma in [(0.1, 0.03), (0.7, 1.0), (1.5, 0.4)]:
        theta = average = optimum = 0.0
        for _ in range(2000):
            theta -= k * (theta - optimum)
            optimum += 0.25
            average += gamma * (theta - average)
        assert optimum - average == pytest.approx(cf.drift_lag(k, 1.0, gamma, 0.25), rel=1e-9, abs=0.0)


def test_best_time_constant_gamma_and_power_under_drift() -> None:
    eta, lam, noise, drift = 0.05, 2.0, 3.0, 1e-6

    def risk(log_gamma):
        gamma = np.exp(log_gamma)
        return float(cf.drift_lag(eta, lam, gamma, drift) ** 2 + cf.ema_variance(eta, lam, noise, gamma))

    best: Any = minimize_scalar(risk, bounds=(-15, -0.01), method="bounded", options={"xatol": 1e-9})
    gamma = float(cf.optimal_gamma(eta, lam, noise, drift))
    assert gamma == pytest.approx(np.exp(best.x), rel=2 * gamma, abs=0.0)
    tau = float(cf.optimal_time_constant(lam, noise, drift))

    def simple(t):
        return (drift * t) ** 2 + noise / (2 * lam**2 * t)

    assert simple(tau) < min(simple(tau * 1.001), simple(tau / 1.001))
    assert 10_000 ** -float(cf.optimal_power(10_000, gamma)) == pytest.approx(gamma)
    assert cf.optimal_power(10_000, 1e-6) == 1.0
    # SGD's own lag already exceeds τ*: no averaging.
    np.testing.assert_array_equal(cf.optimal_gamma([0.05, 0.001], 2.0, 3.0, 0.5), [1.0, 1.0])


@MANY
@given(
    k=st.floats(1e-3, 0.5),
    steps=st.floats(1e1, 1e4),
    power=st.floats(0.3, 4),
    start=st.one_of(st.none(), st.floats(0, 9)),
)
def test_cooldown_variance_is_the_integral_of_its_noise(k, steps, power, start) -> None:
    """v = v_0 e^{−2λs} + ∫ η²σ² e^{−2λ s(t)} dt over the steps t that remain, s(t) the step sizes still to come."""
    lam, noise = 2.0, 3.0
    eta = k / lam
    depth = 2 * k * steps / (power + 1)
    nodes, weights = LEGENDRE
    top = min(1.0, (60 / depth) ** (1 / (power + 1)))  # beyond, less than e^{−60} is left
    u = 0.5 * (nodes + 1)
    z, dz = top * u**4, 4 * top * u**3 * 0.5 * weights  # fractional powers at 0 become smooth
    made = eta**2 * noise * steps * np.sum(dz * z ** (2 * power) * np.exp(-depth * z ** (power + 1)))
    v0 = eta * noise / (2 * lam) if start is None else start
    value = float(cf.cooldown_variance(eta, lam, noise, steps, power, start))
    assert value == pytest.approx(v0 * np.exp(-depth) + made, rel=1e-9, abs=0.0)


def test_cooldown_variance_solves_the_moment_equation() -> None:
    def slope(t, v):
        now = 0.1 * max(1 - t / 80, 0.0) ** 1.5
        return -2 * 2.0 * now * v + now**2 * 3.0

    solved = solve_ivp(slope, (0.0, 80.0), [0.7], method="DOP853", rtol=1e-11, atol=1e-15)
    assert cf.cooldown_variance(0.1, 2.0, 3.0, 80.0, 1.5, 0.7) == pytest.approx(solved.y[0, -1], rel=1e-8, abs=0.0)


@pytest.mark.parametrize("power", [0.5, 1.0, 2.0])
def test_long_cooldowns_leave_a_power_of_their_length(power) -> None:
    lengths = np.array([1e6, 1e8, 1e10])
    left = cf.cooldown_variance(0.1, 1.0, 1.0, lengths, power) / (0.1 / 2)
    np.testing.assert_allclose(left, cf.cooldown_scaling(0.1, 1.0, lengths, power), rtol=1e-9)
    slopes = np.diff(np.log(left)) / np.diff(np.log(lengths))
    np.testing.assert_allclose(slopes, -power / (power + 1), rtol=1e-8)
    assert cf.cooldown_scaling(0.1, 1.0, 1e6, 1.0) == pytest.approx(np.sqrt(np.pi) / 2 / np.sqrt(0.1 * 1e6))


def test_inverse_time_step_against_the_exact_law_and_polyak() -> None:
    lam, noise = 0.5, 3.0
    problem = gva.NoisyQuadratic(lam, noise)
    for scale in (1.5, 2.0, 5.0):
        off = []
        for steps in (4096, 16_384):
            law = gva.exact_law(problem, gva.InverseTime(scale, 50.0), gva.LastIterate(), steps, 0.0)
            off.append(law.covariance[0, 0] / cf.inverse_time_variance(steps, scale, lam, noise) - 1)
        assert abs(off[1]) < 0.15 if scale == 1.5 else abs(off[1]) < 0.01
        assert abs(off[1]) < abs(off[0]) * (0.52 if scale == 1.5 else 0.3)
    assert cf.inverse_time_variance(99, 1 / lam, lam, noise) == cf.polyak_variance(99, lam, noise)
    assert np.all(cf.inverse_time_variance(99, np.array([1.5, 1.99, 2.01, 7.0]), lam, noise) > noise / lam**2 / 99)


CALLS = {
    "sgd_variance": lambda eta: cf.sgd_variance(eta, 2.0, 1.5),
    "ema_variance": lambda eta: cf.ema_variance(eta, 2.0, 1.5, 0.1),
    "effective_step_size": lambda eta: cf.effective_step_size(eta, 2.0, 0.1, exact=True),
    "momentum": lambda eta: cf.momentum_variance(eta, 2.0, 1.5, 0.5) * cf.momentum_ema_factor(eta, 2.0, 0.5, 0.1),
    "nesterov": lambda eta: cf.momentum_variance(eta, 2.0, 1.5, 0.5, nesterov=True),
    "autocorrelation": lambda eta: cf.autocorrelation(7, eta, 2.0, 0.1),
    "window_factor": lambda eta: cf.window_factor(4, eta, 2.0, 0.1, spacing=3),
    "power_ema": lambda eta: cf.power_ema_variance(5000, 0.7, eta, 2.0, 1.5),
    "drift": lambda eta: cf.drift_lag(eta, 2.0, 0.1, 0.3) + cf.optimal_gamma(eta, 2.0, 1.5, 1e-3),
    "cooldown": lambda eta: cf.cooldown_variance(eta, 2.0, 1.5, 50.0) + cf.cooldown_scaling(eta, 2.0, 50.0),
}


@pytest.mark.parametrize("name", CALLS)
def test_jax_agrees_with_numpy_and_differentiates(name) -> None:
    call, at = CALLS[name], np.array([0.01, 0.049, 0.05, 0.2, 0.499])
    if name in {"autocorrelation", "window_factor"}:
        at = np.append(at, [0.6, 0.9])
    with jax.enable_x64(True):
        traced, slopes = jax.jit(jax.vmap(jax.value_and_grad(call)))(jnp.asarray(at))
        np.testing.assert_allclose(traced, call(at), rtol=1e-11)
        step = 1e-5 * at
        differences = (call(at + step) - call(at - step)) / (2 * step)
        np.testing.assert_allclose(slopes, differences, rtol=1e-6, atol=1e-9 * np.abs(slopes).max())


def test_traced_cells_out_of_range_are_nan_and_only_those() -> None:
    with jax.enable_x64(True):
        out = jax.jit(lambda eta: cf.ema_variance(eta, 2.0, 1.0, 0.1))(jnp.array([-0.1, 0.0, 0.3, 1.0, 1.2]))
        np.testing.assert_array_equal(np.isnan(out), [True, True, False, True, True])
        lag = jax.jit(jax.vmap(lambda j: cf.autocorrelation(j, 0.1, 1.0, 0.1)))(jnp.array([0.0, 0.5, -1.0, 3.0]))
        np.testing.assert_array_equal(np.isnan(lag), [False, True, True, False])
        # Concrete values are still refused inside a trace.
        with pytest.raises(ValueError, match="gamma must be"):
            jax.jit(lambda eta: cf.ema_variance(eta, 2.0, 1.0, 1.5))(0.1)


def test_a_million_cells_in_one_call() -> None:
    eta, gamma = np.meshgrid(np.linspace(0.001, 1.9, 1000), np.linspace(0.001, 1, 1000))
    grid = cf.ema_variance(eta, 1.0, 1.0, gamma)
    assert grid.shape == (1000, 1000)
    assert grid[3, 7] == cf.ema_variance(eta[3, 7], 1.0, 1.0, gamma[3, 7])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: cf.sgd_variance(2.0, 1.0, 1.0), r"step_size must be a number in \(0, 2\) for curvature 1, got 2.0$"),
        (
            lambda: cf.sgd_variance([0.1, 0.5], 4.0, 1.0),
            r"step_size .* \(0, 0.5\) for curvature 4, got 0.5 at index \(1,\)",
        ),
        (lambda: cf.sgd_variance(0.1, 0.0, 1.0), r"curvature must be a number in \(0, inf\), got 0.0"),
        (lambda: cf.sgd_variance(0.1, 1.0, np.nan), r"noise_variance must be a number in \[0, inf\), got nan"),
        (lambda: cf.sgd_variance("x", 1.0, 1.0), "step_size must be numeric, got 'x'"),
        (
            lambda: cf.ema_factor(0.1, 1.0, [[0.5, 0.0]]),
            r"gamma must be .* \(0, 1\], got 0.0 at index \(0, 1\)",
        ),
        (lambda: cf.momentum_variance(3.1, 1.0, 1.0, 0.5), r"step_size must be a number in \(0, 3\)"),
        (lambda: cf.momentum_variance(1.6, 1.0, 1.0, 0.5, nesterov=True), r"step_size must be a number in \(0, 1.5\)"),
        (lambda: cf.momentum_variance(0.1, 1.0, 1.0, 1.0), r"momentum must be a number in \(-1, 1\), got 1.0"),
        (lambda: cf.ar2_variance(1.6, 0.5, 1.0), r"phi must be a number in \(-1.5, 1.5\), got 1.6"),
        (lambda: cf.autocorrelation(1.5, 0.1, 1.0, 0.1), r"lag must be a whole number in \[0, inf\), got 1.5"),
        (lambda: cf.window_factor(1, 0.1, 1.0, 0.1), "count must be an integer at least 2, got 1"),
        (lambda: cf.window_factor(2, 0.1, 1.0, 0.1, 0), "spacing must be an integer at least 1, got 0"),
        (lambda: cf.inverse_time_variance(9, 0.5, 1.0, 1.0), r"scale must be a number in \(0.5, inf\) for curvature 1"),
        (lambda: cf.polyak_variance(1, 1.0, 1.0), r"steps must be a number in \[2, inf\), got 1.0"),
        (lambda: cf.power_ema_variance(2000, 1.1, 0.1, 1.0, 1.0), r"alpha must be a number in \[0, 1\], got 1.1"),
        (lambda: cf.drift_lag(0.1, 1.0, 0.1, 0.0), r"drift must be a number in \(0, inf\), got 0.0"),
    ],
)
def test_bad_values_are_named(call, message) -> None:
    with pytest.raises(ValueError, match=message):
        call()

"""The exact law against three independent routes: backward weights, exact rationals, and SGD run trial by trial."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gvatheory as gva
from tests.budget import assert_mean

SCHEDULES = st.one_of(
    st.builds(gva.Constant, st.floats(0, 1.5)),
    st.builds(gva.PowerDecay, st.floats(0, 1.5), st.floats(0, 1.5), st.floats(0.5, 20)),
    st.builds(gva.Linear, st.floats(0, 1.5), st.integers(1, 40)),
    st.builds(gva.Cosine, st.floats(0, 1.5), st.integers(1, 40)),
)
AVERAGES = st.one_of(
    st.just(gva.LastIterate()),
    st.builds(gva.EMA, st.floats(0, 1), st.integers(0, 20)),
    st.builds(gva.PowerEMA, st.floats(0, 1.5), st.integers(0, 20), st.floats(0, 0.5)),
    st.builds(gva.Polyak, st.integers(0, 20)),
    st.builds(gva.Tail, st.floats(0.05, 1)),
)


def backward_law(lam, noise, etas, kernel, e0):
    """θ̃_T = Σ_t w_t θ_t: β_T = Σ_t w_t Π_{s<t} A_s, g_j = −η_j Σ_{t>j} w_t Π_{j<s<t} A_s, A_s matrices."""
    dim = len(e0)
    carried = np.zeros((dim, dim))  # Σ_{t>j} w_t Π_{j<s<t} A_s, from the last step down
    cov = np.zeros((dim, dim))
    for j in reversed(range(len(etas))):
        carried = kernel[j + 1] * np.eye(dim) + (
            carried @ (np.eye(dim) - etas[j + 1] * lam) if j + 1 < len(etas) else 0
        )
        g = -etas[j] * carried
        cov += g @ noise @ g.T
    start = kernel[0] * np.eye(dim) + (carried @ (np.eye(dim) - etas[0] * lam) if len(etas) else 0)
    return start @ e0, cov


def random_psd(rng: np.random.Generator, dim: int, largest: float) -> np.ndarray:
    basis = np.linalg.qr(rng.normal(size=(dim, dim)))[0]
    return (basis * rng.uniform(0, largest, dim)) @ basis.T


def symmetric(matrix: np.ndarray) -> np.ndarray:
    return 0.5 * (matrix + matrix.T)


@settings(max_examples=1000, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    dim=st.integers(1, 4),
    full=st.booleans(),
    schedule=SCHEDULES,
    average=AVERAGES,
    steps=st.integers(0, 60),
)
def test_exact_law_matches_the_backward_weights(seed, dim, full, schedule, average, steps) -> None:
    rng = np.random.default_rng(seed)
    e0 = rng.normal(size=dim)
    if full:
        lam, noise = symmetric(random_psd(rng, dim, 1.2)), symmetric(random_psd(rng, dim, 2.0))
        problem = gva.NoisyQuadratic(lam, noise, 3)
    else:
        diagonals = rng.uniform(0, 1.2, dim), rng.uniform(0, 2, dim)
        problem = gva.NoisyQuadratic(*diagonals, 3)
        lam, noise = np.diag(diagonals[0]), np.diag(diagonals[1])
    law = gva.exact_law(problem, schedule, average, steps, e0)
    mean, cov = backward_law(lam, noise / 3, schedule.step_sizes(steps), average.kernel(steps), e0)
    np.testing.assert_allclose(law.mean, mean, rtol=1e-9, atol=1e-13)
    np.testing.assert_allclose(law.covariance, cov, rtol=1e-9, atol=1e-13 * max(np.trace(cov), 1e-30))


def test_exact_law_in_exact_rationals() -> None:
    eta, lam, noise, gamma, e0, steps = Fraction(3, 8), Fraction(3, 2), Fraction(5, 4), Fraction(1, 16), Fraction(7), 40
    e, avg = [Fraction(0)] * steps, [Fraction(0)] * steps  # coefficients of each noise term
    mean = mean_avg = e0
    for t in range(steps):
        e = [(1 - eta * lam) * c for c in e]
        e[t] = -eta
        avg = [(1 - gamma) * p + gamma * q for p, q in zip(avg, e, strict=True)]
        mean = (1 - eta * lam) * mean
        mean_avg = (1 - gamma) * mean_avg + gamma * mean
    variance = noise * sum(c * c for c in avg)
    law = gva.exact_law(
        gva.NoisyQuadratic(float(lam), float(noise)), gva.Constant(float(eta)), gva.EMA(float(gamma)), steps, float(e0)
    )
    assert law.mean[0] == pytest.approx(float(mean_avg), rel=1e-14)
    assert law.covariance[0, 0] == pytest.approx(float(variance), rel=1e-14)


@pytest.mark.parametrize(
    ("schedule", "average"),
    [
        (gva.Constant(0.4), gva.LastIterate()),
        (gva.Constant(0.4), gva.EMA(0.05)),
        (gva.InverseTime(2.0, 4.0), gva.Polyak(burn_in=3)),
        (gva.WarmupStableDecay(0.5, 60, 5, 20), gva.PowerEMA(0.7, burn_in=10, floor=0.02)),
        (gva.Cosine(0.6, 60), gva.Tail(0.3)),
    ],
    ids=lambda x: type(x).__name__,
)
@pytest.mark.parametrize("full", [False, True])
def test_simulation_agrees_with_the_exact_law(schedule, average, full) -> None:
    rng = np.random.default_rng(5)
    if full:
        problem = gva.NoisyQuadratic(symmetric(random_psd(rng, 3, 2.0)), symmetric(random_psd(rng, 3, 3.0)), 4)
    else:
        problem = gva.NoisyQuadratic([0.1, 1.0, 2.0], [1.0, 2.0, 0.5], 4)
    e0 = np.array([1.0, -2.0, 0.5])
    law = gva.exact_law(problem, schedule, average, 60, e0)
    samples = gva.simulate(problem, schedule, average, 60, e0, trials=40_000, seed=11)
    assert samples.shape == (40_000, 3)
    assert samples.dtype == np.float64
    assert_mean(samples, law.mean)
    centred = samples - law.mean
    assert_mean(centred[:, :, None] * centred[:, None, :], law.covariance)


@pytest.mark.parametrize("average", [gva.LastIterate(), gva.EMA(0.03)])
def test_stationary_law_is_the_limit_of_the_exact_one(average) -> None:
    rng = np.random.default_rng(2)
    problem = gva.NoisyQuadratic(
        symmetric(random_psd(rng, 4, 2.0)) + 0.05 * np.eye(4), symmetric(random_psd(rng, 4, 1.0))
    )
    late = gva.exact_law(problem, gva.Constant(0.8), average, 8192, 1.0)
    np.testing.assert_allclose(gva.stationary_law(problem, 0.8, average).covariance, late.covariance, rtol=1e-10)


@settings(max_examples=100, deadline=None)
@given(k=st.floats(1e-6, 1.999), gamma=st.floats(1e-6, 1.0))
def test_stationary_law_is_the_series_law(k: float, gamma: float) -> None:
    """Variance (σ²/λ²) P R (1 + P R)/(P + R) with P = (1−a)/(1+a), R = (1−ρ)/(1+ρ)."""
    lam, noise = 0.7, 1.9
    p, r = k / (2 - k), gamma / (2 - gamma)
    expected = noise / lam**2 * p * r * (1 + p * r) / (p + r)
    law = gva.stationary_law(gva.NoisyQuadratic(lam, noise), k / lam, gva.EMA(gamma))
    assert law.covariance[0, 0] == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: gva.NoisyQuadratic(-1.0, 1.0), ValueError, "curvature must be non-negative"),
        (lambda: gva.NoisyQuadratic([[1.0, 0.5], [0.0, 1.0]], 1.0), ValueError, "curvature must be symmetric"),
        (lambda: gva.NoisyQuadratic([[1.0, 2.0], [2.0, 1.0]], 1.0), ValueError, "curvature must be positive semi"),
        (lambda: gva.NoisyQuadratic([1.0, 2.0], [1.0, 2.0, 3.0]), ValueError, "must agree in dimension"),
        (lambda: gva.NoisyQuadratic([[1.0]], [1.0, 2.0]), ValueError, "must agree in dimension"),
        (lambda: gva.NoisyQuadratic([], 1.0), ValueError, "curvature must not be empty"),
        (lambda: gva.NoisyQuadratic(1.0, float("nan")), ValueError, "noise_variance must be finite"),
        (lambda: gva.NoisyQuadratic(1.0, 1.0, 0), ValueError, "batch_size must be an integer at least 1, got 0"),
        (
            lambda: gva.exact_law(gva.NoisyQuadratic([1.0, 1.0], 1.0), gva.Constant(0.1), gva.Polyak(), 5, [1.0] * 3),
            ValueError,
            r"initial_error must be a number or have shape \(2,\), got \(3,\)",
        ),
        (
            lambda: gva.exact_law(gva.NoisyQuadratic(1.0, 1.0), gva.Constant(9.0), gva.LastIterate(), 5000, 1.0),
            OverflowError,
            "stable below 2",
        ),
        (
            lambda: gva.stationary_law(gva.NoisyQuadratic(1.0, 1.0), 2.0),
            ValueError,
            r"step_size must be a number in \(0, 2\), got 2.0",
        ),
        (
            lambda: gva.stationary_law(gva.NoisyQuadratic(0.0, 1.0), 0.1),
            ValueError,
            "curvature must be positive in every direction",
        ),
        (
            lambda: gva.stationary_law(gva.NoisyQuadratic(1.0, 1.0), 0.1, gva.Polyak()),
            ValueError,
            "average must be LastIterate or EMA",
        ),
        (
            lambda: gva.simulate(gva.NoisyQuadratic(1.0, 1.0), gva.Constant(0.1), gva.Polyak(), 5, 1.0, 0, 0),
            ValueError,
            "trials must be an integer at least 1, got 0",
        ),
    ],
)
def test_bad_values_are_named(call, error, message) -> None:
    with pytest.raises(error, match=message):
        call()


def test_same_seed_same_samples_and_another_seed_others() -> None:
    run = (gva.NoisyQuadratic(1.0, 1.0), gva.Constant(0.1), gva.EMA(0.1), 20, 1.0, 50)
    first = gva.simulate(*run, seed=3)
    np.testing.assert_array_equal(first, gva.simulate(*run, seed=3))
    assert not np.array_equal(first, gva.simulate(*run, seed=4))

"""Rewards under a Gaussian law against SciPy, mpmath and sampling; the composition against SGD that is really run."""

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.polynomial.hermite_e import hermegauss
from scipy.special import gamma as gamma_function
from scipy.special import hyp1f1
from scipy.stats import chi2, ncx2, norm

import gvatheory as gva
from gvatheory import rewards
from gvatheory.quadratic_forms import truncated_moments
from tests.budget import Z, assert_mean


@pytest.mark.parametrize("dim", [1, 2, 5, 50, 400])
@pytest.mark.parametrize("variance", [1e-4, 0.02, 1.0, 100.0])
@pytest.mark.parametrize("noncentrality", [0.0, 0.5, 20.0, 500.0])
def test_isotropic_moments_are_those_of_the_noncentral_chi_square(dim, variance, noncentrality) -> None:
    mean = np.zeros(dim)
    mean[-1] = np.sqrt(noncentrality * variance)
    got = truncated_moments(mean, variance * np.eye(dim), 0.8)
    x, nu, d = 0.8 / variance, noncentrality, dim

    def cdf(n):
        return np.asarray(chi2.cdf(x, n) if nu == 0 else ncx2.cdf(x, n, nu))

    outside = np.asarray(chi2.sf(x, d) if nu == 0 else ncx2.sf(x, d, nu))
    first = variance * (d * cdf(d + 2) + nu * cdf(d + 4))
    second = variance**2 * (d * (d + 2) * cdf(d + 4) + 2 * nu * (d + 2) * cdf(d + 6) + nu**2 * cdf(d + 8))
    for value, reference in zip(
        (got.inside, got.outside, got.first, got.second), (cdf(d), outside, first, second), strict=True
    ):
        # SciPy itself is off by more than 1e-8 below 1e-30, and NaN at extreme noncentrality.
        if np.isfinite(reference) and reference > 1e-30:
            assert value == pytest.approx(reference, rel=1e-8)


def test_general_covariance_against_mpmath_convolution() -> None:
    """Two unequal directions: integrate the second's probability against the first's density at 30 digits."""
    v1, v2, m1, m2, c = 0.3, 0.01, 0.4, -0.2, 0.7
    with mpmath.workdps(30):

        def density(x):
            half = mpmath.sqrt(max(c - x * x, 0))
            inner = mpmath.ncdf((half - m2) / mpmath.sqrt(v2)) - mpmath.ncdf((-half - m2) / mpmath.sqrt(v2))
            return mpmath.npdf(x, m1, mpmath.sqrt(v1)) * inner

        edge = mpmath.sqrt(c)
        reference = float(str(mpmath.quad(density, mpmath.linspace(-edge, edge, 9))))
    turn = np.array([[0.6, -0.8], [0.8, 0.6]])
    got = truncated_moments(turn @ [m1, m2], turn @ np.diag([v1, v2]) @ turn.T, c)
    assert got.inside == pytest.approx(reference, rel=1e-8)


@settings(max_examples=300, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), dim=st.integers(1, 6))
def test_moments_are_ordered_for_any_mixture_of_scales(seed: int, dim: int) -> None:
    rng = np.random.default_rng(seed)
    lam, mean = 10.0 ** rng.uniform(-12, 6, dim), rng.normal(size=dim) * 10.0 ** rng.uniform(-3, 2)
    lam[rng.random(dim) < 0.2] = 0.0
    m = truncated_moments(mean, np.diag(lam), 1.0)
    assert -1e-10 <= m.inside <= 1 + 1e-10
    assert abs(m.inside + m.outside - 1) < 1e-10
    # On q ≤ 1: q² ≤ q ≤ 1, and E q² 1 ≥ (E q 1)²/P by Cauchy-Schwarz.
    assert m.second <= m.first * (1 + 1e-8) + 1e-300
    assert m.first <= m.inside * (1 + 1e-8) + 1e-300
    assert m.first**2 <= m.second * m.inside * (1 + 1e-8) + 1e-300


def test_deterministic_law_is_inside_or_outside() -> None:
    zero = np.zeros((2, 2))
    near, far = gva.Law(np.array([0.3, 0.4]), zero), gva.Law(np.array([3.0, 4.0]), zero)
    ball = gva.CliffBall(1.0, 9.0)
    assert (ball.mean(near), ball.variance(near), ball.fall_probability(near)) == (pytest.approx(-0.25), 0.0, 0.0)
    assert (ball.mean(far), ball.variance(far), ball.fall_probability(far)) == (-9.0, 0.0, 1.0)
    half = gva.CliffHalfspace([1.0, 0.0], 1.0, 2.0)
    assert (half.mean(near), half.variance(near)) == (0.0, 0.0)
    assert (half.mean(far), half.fall_probability(far)) == (-2.0, 1.0)
    edge = gva.CliffHalfspace([1.0, 0.0], 0.3, 2.0)  # not past it, by the law and by the sample
    assert edge.fall_probability(near) == 0.0
    assert not edge.fallen(near.mean[None]).any()


LAW = gva.Law(np.array([0.1, -0.2, 0.3]), np.array([[0.2, 0.05, 0.0], [0.05, 0.1, -0.02], [0.0, -0.02, 0.3]]))


@pytest.mark.parametrize("reward", [gva.CliffBall(0.8, 2.0), gva.CliffHalfspace([1.0, -1.0, 0.5], 0.7, 3.0)])
def test_cliff_rewards_against_sampling(reward: gva.Reward) -> None:
    errors = LAW.sample(400_000, seed=8)
    values = reward.value(errors)
    assert_mean(values, reward.mean(LAW))
    assert_mean((values - reward.mean(LAW)) ** 2, reward.variance(LAW))
    assert_mean(reward.fallen(errors).astype(float), reward.fall_probability(LAW))


def test_halfspace_is_a_normal_tail() -> None:
    law = gva.Law(np.array([0.2]), np.array([[0.25]]))
    assert gva.CliffHalfspace([2.0], 4.0, 1.0).fall_probability(law) == pytest.approx(norm.sf(3.6), rel=1e-12)


@pytest.mark.parametrize("a", [0.0, 0.5, -0.9, 1.0, 1.1])
@pytest.mark.parametrize("s", [1e-6, 0.05, 0.4])
@pytest.mark.parametrize("horizon", [1, 2, 9, 30])
def test_scalar_loop_moments_by_two_other_routes(a: float, s: float, horizon: int) -> None:
    loop, law = gva.ScalarLoop(a, horizon, 1.5), gva.Law(np.array([0.02]), np.array([[s * s]]))
    m = a + 0.02
    # E y^{2h} by Kummer's function, as published for normal moments.
    h = np.arange(horizon)
    if s > 1e-3:  # below, s^{2h} underflows and ₁F₁ overflows
        kummer = hyp1f1(-h, 0.5, -(m**2) / (2 * s**2))
        even = s ** (2 * h) * 2.0**h * gamma_function(h + 0.5) / np.sqrt(np.pi) * kummer
        assert loop.mean(law) == pytest.approx(-2.25 * even.sum(), rel=1e-9)
    nodes, weights = hermegauss(2 * horizon + 3)
    weights = weights / weights.sum()
    values = loop.value((0.02 + s * nodes)[:, None])
    centre = weights @ values
    assert loop.mean(law) == pytest.approx(centre, rel=1e-9)
    assert loop.variance(law) == pytest.approx(weights @ (values - centre) ** 2, rel=1e-7, abs=1e-28)
    assert loop.moment(law, 3) == pytest.approx(float(_long(horizon, m, s, 3)) * 1.5**6, rel=1e-9)


def _long(horizon: int, m: float, s: float, order: int):
    """E J^order at x_0 = 1, at 60 digits: the polynomial expanded, then moment by moment."""
    with mpmath.workdps(60):
        poly = [mpmath.mpf(1)]
        for _ in range(order):
            poly = [
                mpmath.fsum(poly[i - j] for j in range(horizon) if 0 <= i - j < len(poly))
                for i in range(len(poly) + horizon - 1)
            ]
        total = mpmath.mpf(0)
        for i, c in enumerate(poly):
            n = 2 * i
            total += c * mpmath.fsum(
                mpmath.binomial(n, j) * mpmath.mpf(m) ** (n - j) * mpmath.mpf(s) ** j * mpmath.fac2(j - 1)
                for j in range(0, n + 1, 2)
            )
        return (-1) ** order * total


def test_marginal_loop_spread_grows_as_the_square_of_the_horizon() -> None:
    s = 1e-7
    law = gva.Law(np.zeros(1), np.array([[s * s]]))
    for horizon in (10, 200):
        first_order = s * horizon * (horizon - 1)  # s · |Σ 2h a^{2h−1}| at a = 1
        assert np.sqrt(gva.ScalarLoop(1.0, horizon).variance(law)) == pytest.approx(first_order, rel=1e-4)


def test_scalar_loop_quantiles_and_falls_against_sampling() -> None:
    loop, law = gva.ScalarLoop(0.95, 20), gva.Law(np.array([0.0]), np.array([[0.01]]))
    errors = law.sample(200_000, seed=1)
    values = loop.value(errors)
    for p in (0.05, 0.5, 0.9):
        assert abs(np.mean(values <= loop.quantile(law, p)) - p) <= Z * np.sqrt(p * (1 - p) / len(values))
    assert_mean(loop.fallen(errors).astype(float), loop.fall_probability(law))


@pytest.mark.parametrize(
    "reward", [gva.CliffBall(0.5, 1.0), gva.CliffHalfspace([1.0], 0.3, 2.0), gva.ScalarLoop(0.9, 6)]
)
def test_the_composition_agrees_with_runs_of_sgd(reward: gva.Reward) -> None:
    run = (gva.NoisyQuadratic(1.0, 2.0, 8), gva.Constant(0.3), gva.EMA(0.2))
    exact = gva.exact_reward(*run, reward, 40, 0.5)
    sampled = gva.simulated_reward(*run, reward, 40, 0.5, trials=300_000, seed=2)
    for name, error in zip(("mean", "variance", "fall_probability", "loss"), sampled.standard_errors, strict=True):
        assert abs(getattr(exact, name) - getattr(sampled, name)) <= Z * error + 1e-12, name


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: gva.CliffBall(0.0, 1.0), r"radius must be a number in \[1e-100, 1e\+100\], got 0.0"),
        (lambda: gva.CliffBall(2.0, 3.0), r"penalty must be a number in \(4, inf\), got 3.0"),
        (lambda: gva.CliffHalfspace([0.0, 0.0], 1.0, 1.0), "normal must not be zero"),
        (lambda: gva.CliffHalfspace([1.0, 0.0], 1.0, 1.0).mean(LAW), r"normal must have shape \(3,\)"),
        (lambda: gva.ScalarLoop(1.0, 0), "horizon must be an integer from 1 to 4000, got 0"),
        (lambda: gva.ScalarLoop(1.0, 5).mean(LAW), "law must have dimension 1"),
        (lambda: gva.Law(np.zeros(2), np.diag([1.0, -1.0])), "covariance must be positive semi-definite"),
        (lambda: gva.Law(np.zeros(2), np.eye(3)), "covariance must have shape"),
    ],
)
def test_bad_values_are_named(call, message: str) -> None:
    # The run-time shape checker of the test suite rejects a misshapen Law before the package does.
    with pytest.raises((ValueError, TypeError), match=f"{message}|does not match|Type-check error"):
        call()


def test_moments_beyond_float64_say_so() -> None:
    with pytest.raises(OverflowError, match="exceeds float64"):
        gva.ScalarLoop(3.0, 400).variance(gva.Law(np.zeros(1), np.eye(1)))


@pytest.mark.parametrize("dim", [1, 3])
@pytest.mark.parametrize("mean", [10.0, 1e3, 1e6, 1e200])
@pytest.mark.parametrize("variance", [1e-4, 0.01, 1.0])
def test_laws_far_outside_have_surely_fallen(dim: int, mean: float, variance: float) -> None:
    law = gva.Law(np.full(dim, mean), variance * np.eye(dim))
    ball = gva.CliffBall(1.0, 2.0)
    assert ball.fall_probability(law) == pytest.approx(1.0)
    assert ball.mean(law) == pytest.approx(-2.0)
    assert ball.variance(law) == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("sd", [1e-6, 1e-8, 1e-11])
def test_tiny_spreads_are_not_taken_for_none(sd: float) -> None:
    ball = gva.CliffBall(1.0, 2.0)
    at_the_edge = gva.Law(np.array([1.0]), np.array([[sd * sd]]))
    assert ball.fall_probability(at_the_edge) == pytest.approx(0.5, rel=1e-4)
    # Far inside, ‖e‖² has variance 4 m² s² + 2 s⁴.
    inside = gva.Law(np.array([0.5]), np.array([[sd * sd]]))
    assert ball.variance(inside) == pytest.approx(sd**2 + 2 * sd**4, rel=1e-9)


@pytest.mark.parametrize("probability", [1e-3, 1e-12, 1e-17])
def test_extreme_quantiles_keep_their_digits(probability: float) -> None:
    loop, law = gva.ScalarLoop(0.95, 20), gva.Law(np.zeros(1), np.array([[0.01]]))
    with mpmath.workdps(40):
        tail = mpmath.findroot(
            lambda r: (
                mpmath.erfc((r - 0.95) / (0.1 * mpmath.sqrt(2))) / 2
                + mpmath.erfc((r + 0.95) / (0.1 * mpmath.sqrt(2))) / 2
                - mpmath.mpf(probability)
            ),
            0.95 - 0.1 * float(norm.ppf(probability)),
        )
        expected = -float(str(mpmath.fsum(tail ** (2 * h) for h in range(20))))
    assert loop.quantile(law, probability) == pytest.approx(expected, rel=1e-9)


def test_what_is_not_a_number_has_fallen() -> None:
    nan = np.full((1, 1), np.nan)
    for reward in (gva.CliffBall(1.0, 2.0), gva.CliffHalfspace([1.0], 1.0, 2.0), gva.ScalarLoop(0.5, 3)):
        assert reward.fallen(nan).all()


def test_unstable_steps_overflow_in_both_routes() -> None:
    run = (gva.NoisyQuadratic(1.0, 1.0), gva.Constant(9.0), gva.EMA(0.1), gva.CliffHalfspace([1.0], 0.5, 2.0), 400, 1.0)
    with pytest.raises(OverflowError, match="is the step size stable"):
        gva.simulated_reward(*run, trials=10, seed=0)
    with pytest.raises(OverflowError):
        gva.exact_reward(*run)


@pytest.mark.parametrize(
    "reward", [gva.CliffBall(0.8, 2.0), gva.CliffHalfspace([1.0], 0.7, 3.0), gva.ScalarLoop(0.9, 6)]
)
def test_moments_are_what_each_method_says(reward: gva.Reward) -> None:
    law = gva.Law(np.array([0.3]), np.array([[0.09]]))
    moments = reward.moments(law)
    assert moments == (reward.mean(law), reward.variance(law), reward.fall_probability(law))
    assert moments.variance > 0
    assert 0 < moments.fall_probability < 1


def test_the_ball_integrates_its_contour_once(monkeypatch) -> None:
    calls = []
    monkeypatch.setattr(rewards, "truncated_moments", lambda *a: calls.append(a) or truncated_moments(*a))
    gva.CliffBall(0.8, 2.0).moments(LAW)
    assert len(calls) == 1


def test_a_finite_mean_survives_an_overflowing_variance() -> None:
    loop, law = gva.ScalarLoop(3.0, 100), gva.Law(np.zeros(1), np.eye(1))
    assert np.isfinite(loop.mean(law))
    assert 0 < loop.fall_probability(law) < 1
    with pytest.raises(OverflowError, match="exceeds float64"):
        loop.moments(law)


def _halfspace_moments(mean, covariance, offset):
    return jnp.stack([*gva.CliffHalfspace([1.0, -0.5], offset, 3.0).moments(gva.Law(mean, covariance))])


def test_halfspace_derivatives_against_finite_differences() -> None:
    mean, covariance, offset, step = np.array([0.2, -0.1]), np.array([[0.3, 0.1], [0.1, 0.2]]), 0.7, 1e-6
    with jax.enable_x64(True):
        derivatives = jax.jit(jax.jacfwd(_halfspace_moments, (0, 1, 2)))(mean, covariance, offset)
        at = np.asarray(jax.jit(_halfspace_moments)(mean, covariance, offset))
    by_mean, by_covariance, by_offset = (np.asarray(v) for v in derivatives)

    def moments(m, s):
        return np.array(gva.CliffHalfspace([1.0, -0.5], offset, 3.0).moments(gva.Law(m, s)))

    np.testing.assert_allclose(at, moments(mean, covariance), rtol=1e-12)
    for change, expected in zip(step * np.eye(2), by_mean.T, strict=True):
        difference = moments(mean + change, covariance) - moments(mean - change, covariance)
        np.testing.assert_allclose(expected, difference / (2 * step), rtol=1e-7)
    np.testing.assert_allclose(by_mean, -np.outer(by_offset, [1.0, -0.5]), rtol=1e-12)  # only the margin counts
    change = step * np.eye(2)
    difference = moments(mean, covariance + change) - moments(mean, covariance - change)
    np.testing.assert_allclose(np.trace(by_covariance, axis1=1, axis2=2), difference / (2 * step), rtol=1e-7)


def test_halfspace_is_traced_at_a_fixed_law_too() -> None:
    means, zero = np.array([[0.0, 0.0], [2.0, 0.0]]), np.zeros((2, 2))
    traced, slopes = jax.jit(
        jax.vmap(lambda m: (_halfspace_moments(m, zero, 1.0), jax.jacrev(_halfspace_moments, 1)(m, zero, 1.0)))
    )(means)
    np.testing.assert_array_equal(traced, [[0.0, 0.0, 0.0], [-3.0, 0.0, 1.0]])
    assert np.all(np.isfinite(slopes))


def test_the_ball_refuses_to_be_traced() -> None:
    with pytest.raises(TypeError, match=r"CliffBall cannot be traced by JAX.*use CliffHalfspace, SmoothCliff or Satur"):
        jax.grad(lambda m: gva.CliffBall(1.0, 2.0).mean(gva.Law(m, np.eye(2))))(np.zeros(2))

"""Moments under a random gain against exact rationals, quadrature, the scalar loop and sampling; growth in horizon."""

import dataclasses
import itertools
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.polynomial.hermite_e import hermegauss

import gvatheory as gva
from gvatheory.gain_derivatives import reward_gradient, second_order_moments
from gvatheory.gain_rewards import (
    GainReward,
    exact_gain_moments,
    expand_reward,
    hermite_nodes,
    paired_covariance,
    reward_along,
    reward_spread_by_horizon,
)
from gvatheory.linear_system import LinearSystem, horizon_exponent
from tests.budget import Z, assert_mean
from tests.theory.test_linear_system import random_system

ONE = np.ones((1, 1))


def scalar(a: float, horizon: int, r: float = 0.0) -> LinearSystem:
    """x' = u, cost x² + r u², closed loop a."""
    return LinearSystem(0 * ONE, ONE, a * ONE, ONE, r * ONE, ONE, horizon)


def jordan(horizon: int) -> LinearSystem:
    """A double integrator: eigenvalue 1 in a Jordan block of size 2, acted on by its last state."""
    a, b = np.array([[1.0, 1.0], [0.0, 1.0]]), np.array([[0.0], [1.0]])
    return LinearSystem(a, b, np.zeros((1, 2)), np.eye(2), 0 * ONE, np.eye(2), horizon)


def by_quadrature(system: LinearSystem, direction, mean: float, sd: float, count: int) -> tuple[float, float]:
    nodes, weights = hermegauss(count)
    weights = weights / weights.sum()
    values = system.rewards(system.K_expert + (mean + sd * nodes)[:, None, None] * direction)
    centre = float(weights @ values)
    return centre, float(weights @ (values - centre) ** 2)


@settings(max_examples=100, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(1, 4),
    m=st.integers(1, 2),
    horizon=st.integers(1, 12),
    noise=st.booleans(),
    free=st.booleans(),
)
def test_one_direction_against_quadrature(seed, n, m, horizon, noise, free) -> None:
    system = random_system(seed, n, m, horizon, noise)
    if free:
        system = dataclasses.replace(system, R=np.zeros((m, m)))
    direction = np.random.default_rng(seed).normal(size=(m, n))
    mean, variance = reward_along(system, direction, 0.4, 0.2)
    expected = by_quadrature(system, direction, 0.2, 0.4, hermite_nodes(system))
    assert mean == pytest.approx(expected[0], rel=1e-9)
    assert variance == pytest.approx(expected[1], rel=1e-8, abs=1e-20)


@pytest.mark.parametrize("free", [False, True])
@pytest.mark.parametrize("horizon", [1, 2, 5])
def test_the_number_of_nodes_is_needed(free: bool, horizon: int) -> None:
    """2H + 1 nodes for the second moment (2H − 1 without action cost) and H + 1 (H) for the mean; no fewer."""
    system = scalar(0.8, horizon, 0.0 if free else 0.5)
    exact = reward_along(system, ONE, 0.7)
    assert hermite_nodes(system) == 2 * horizon + (-1 if free else 1)
    for_mean, for_both = horizon + (0 if free else 1), hermite_nodes(system)
    assert by_quadrature(system, ONE, 0.0, 0.7, for_mean)[0] == pytest.approx(exact.mean, rel=1e-12)
    assert by_quadrature(system, ONE, 0.0, 0.7, for_both)[1] == pytest.approx(exact.variance, rel=1e-11)
    if for_mean > 1:
        assert by_quadrature(system, ONE, 0.0, 0.7, for_mean - 1)[0] != pytest.approx(exact.mean, rel=1e-6)
    if for_both > 1:
        assert by_quadrature(system, ONE, 0.0, 0.7, for_both - 1)[1] != pytest.approx(exact.variance, rel=1e-8)


def polynomial_moments(
    system: LinearSystem, direction: list[list[int]], variance: Fraction
) -> tuple[Fraction, Fraction]:
    """E and Var of J_H(K* + δD) by expanding it in δ with exact rationals; E δ^{2k} = (2k−1)!! s^{2k}."""

    def exact(matrix):
        return [[[Fraction(float(v))] for v in row] for row in np.asarray(matrix)]

    def add(p, q):
        return [a + b for a, b in itertools.zip_longest(p, q, fillvalue=Fraction(0))]

    def times(p, q):
        out = [Fraction(0)] * (len(p) + len(q) - 1)
        for (i, a), (j, b) in itertools.product(enumerate(p), enumerate(q)):
            out[i + j] += a * b
        return out

    def product(x, y):
        out = [[[Fraction(0)] for _ in y[0]] for _ in x]
        for i, j, k in itertools.product(range(len(x)), range(len(y[0])), range(len(y))):
            out[i][j] = add(out[i][j], times(x[i][k], y[k][j]))
        return out

    def plus(x, y):
        return [[add(p, q) for p, q in zip(r, s, strict=True)] for r, s in zip(x, y, strict=True)]

    def turned(x):
        return [list(row) for row in zip(*x, strict=True)]

    gain = [
        [[Fraction(float(k)), Fraction(d)] for k, d in zip(r, s, strict=True)]
        for r, s in zip(system.K_expert, direction, strict=True)
    ]
    f = plus(exact(system.A), product(exact(system.B), gain))
    cost = plus(exact(system.Q), product(turned(gain), product(exact(system.R), gain)))
    x, reward = exact(system.initial_covariance), [Fraction(0)]
    for _ in range(system.horizon):
        step = product(cost, x)
        for i in range(len(step)):
            reward = add(reward, [-c for c in step[i][i]])
        x = plus(product(product(f, x), turned(f)), exact(system.noise_covariance))

    def expectation(p):
        total, moment = Fraction(0), Fraction(1)
        for k in range(0, len(p), 2):
            total += p[k] * moment
            moment *= (k + 1) * variance
        return total

    mean = expectation(reward)
    return mean, expectation(times(reward, reward)) - mean**2


@pytest.mark.parametrize("sd", [0.5, 2.0**-30])
def test_one_direction_in_exact_rationals(sd: float) -> None:
    """Also at a spread of 1e-9, where a difference of rewards would keep no digit of the variance."""
    system = random_system(11, 2, 2, 4)
    mean, variance = polynomial_moments(system, [[1, -2], [0, 3]], Fraction(sd) ** 2)
    got = reward_along(system, np.array([[1.0, -2.0], [0.0, 3.0]]), sd)
    assert got.mean == pytest.approx(float(mean), rel=1e-13)
    assert got.variance == pytest.approx(float(variance), rel=1e-12, abs=0)


@pytest.mark.parametrize("a", [0.0, 0.5, -0.9, 1.0, 1.1])
@pytest.mark.parametrize("s", [0.01, 0.4])
@pytest.mark.parametrize("horizon", [1, 2, 9, 60])
def test_one_state_is_the_scalar_loop(a: float, s: float, horizon: int) -> None:
    law = gva.Law(np.array([0.02]), s * s * ONE)
    reward, loop = GainReward(scalar(a, horizon)), gva.ScalarLoop(a, horizon)
    assert reward.mean(law) == pytest.approx(loop.mean(law), rel=1e-10)
    assert reward.variance(law) == pytest.approx(loop.variance(law), rel=1e-10, abs=1e-28)
    assert reward.fall_probability(law) == pytest.approx(loop.fall_probability(law), rel=1e-10)
    errors = np.linspace(-2, 2, 9)[:, None]
    np.testing.assert_allclose(reward.value(errors), loop.value(errors), rtol=1e-12)
    np.testing.assert_array_equal(reward.fallen(errors), loop.fallen(errors))


@pytest.mark.parametrize("a", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("horizon", [2, 9])
def test_one_state_keeps_its_digits_at_tiny_spreads(a: float, horizon: int) -> None:
    """By exact rationals: here the scalar loop's own variance has lost some, its values agreeing to six digits."""
    system = scalar(a + 0.015625, horizon)  # a mean gain error that is exact in binary
    _, variance = polynomial_moments(system, [[1]], Fraction(1e-6) ** 2)
    law = gva.Law(np.zeros(1), 1e-12 * ONE)
    assert GainReward(system).variance(law) == pytest.approx(float(variance), rel=1e-12, abs=0)
    assert gva.ScalarLoop(a + 0.015625, horizon).variance(law) == pytest.approx(float(variance), rel=1e-6, abs=0)


@pytest.mark.parametrize("noise", [False, True])
def test_few_directions_against_sampling_and_a_turned_basis(noise: bool) -> None:
    system = random_system(7, 3, 1, 4, noise, radius=0.7)
    root = np.random.default_rng(0).normal(size=(3, 2)) * 0.15
    law = gva.Law(np.array([0.1, 0.0, -0.1]), root @ root.T)
    means, variances = exact_gain_moments(system, law, [2, 4])
    errors = law.sample(200_000, seed=5)
    reward = GainReward(system)
    assert reward.is_exact(law)
    assert (reward.mean(law), reward.variance(law)) == pytest.approx((means[1], variances[1]), rel=1e-12)
    assert reward.moments(law)[:2] == pytest.approx((means[1], variances[1]), rel=1e-12)
    values = reward.value(errors)
    assert_mean(values, means[1])
    assert_mean((values - means[1]) ** 2, variances[1])
    # The same law through other one-sd steps: K = K* + mean + z1 r1 + z2 r2 along the columns of `root`.
    nodes, weights = hermegauss(11)
    z = np.array(list(itertools.product(nodes, nodes)))
    w = np.outer(weights, weights).ravel() / weights.sum() ** 2
    values = system.rewards(system.K_expert + (law.mean + z @ root.T)[:, None, :], 2)
    assert means[0] == pytest.approx(w @ values, rel=1e-11)
    assert variances[0] == pytest.approx(w @ (values - w @ values) ** 2, rel=1e-9)


def test_a_law_of_rank_one_and_none_is_done_along_its_direction() -> None:
    system = random_system(9, 2, 2, 6)
    direction = np.array([[0.3, -0.1], [0.2, 0.05]])
    law = gva.Law(np.array([0.1, 0.0, 0.0, 0.2]), np.outer(direction, direction))
    moved = dataclasses.replace(system, K_expert=system.K_expert + law.mean.reshape(2, 2))
    means, variances = exact_gain_moments(system, law, [6])
    # The direction through the law's mean, whose A + BK is the moved system's.
    expected = reward_along(moved, direction)
    assert (means[0], variances[0]) == (pytest.approx(expected.mean), pytest.approx(expected.variance))
    fixed = gva.Law(law.mean, np.zeros((4, 4)))
    means, variances = exact_gain_moments(system, fixed, [6])
    assert (means[0], variances[0]) == (pytest.approx(moved.reward(moved.K_expert)), 0.0)


def test_sampled_errors_of_the_expansion_are_its_true_errors() -> None:
    system = random_system(7, 3, 1, 4, radius=0.7)
    root = np.random.default_rng(0).normal(size=(3, 2)) * 0.1
    law = gva.Law(np.array([0.1, 0.0, -0.1]), root @ root.T)
    (mean,), (variance,) = exact_gain_moments(system, law, [4])
    got = expand_reward(system, law, pairs=40_000, seed=3)
    assert (got.mean, got.variance) == second_order_moments(system, law)
    assert abs(got.corrected_mean - mean) <= Z * got.mean_error_se
    assert abs(got.corrected_variance - variance) <= Z * got.variance_error_se
    # The errors are resolved, not merely consistent with zero, and better than by sampling the reward itself.
    assert abs(got.mean_error) > Z * got.mean_error_se
    assert abs(got.variance_error) > Z * got.variance_error_se
    values = GainReward(system).value(law.sample(80_000, seed=3))
    assert got.mean_error_se < 0.2 * values.std() / np.sqrt(80_000)
    assert got.largest_share < 0.05
    assert 0.8 < got.line_ratio < 2.0


def test_standard_errors_of_the_expansion_are_calibrated() -> None:
    system, law = scalar(0.6, 4, 0.3), gva.Law(np.array([0.05]), 0.02 * ONE)
    (mean,), (variance,) = exact_gain_moments(system, law, [4])
    runs = [expand_reward(system, law, pairs=300, seed=i) for i in range(150)]
    assert_mean(np.array([r.corrected_mean for r in runs]), mean)
    assert_mean(np.array([r.corrected_variance for r in runs]), variance)
    scores = np.array([(r.corrected_mean - mean) / r.mean_error_se for r in runs])
    assert 0.75 < scores.std() < 1.3
    scores = np.array([(r.corrected_variance - variance) / r.variance_error_se for r in runs])
    assert 0.8 < scores.std() < 1.5  # right-skewed: a sample that lacks the tail understates both


def test_the_covariance_of_paired_draws_is_unbiased() -> None:
    """Over every equally likely choice of two pairs ±Δ from six values of Δ, to rounding."""
    steps = np.array([-2.0, -0.5, -0.1, 0.1, 0.5, 2.0])
    x, y = steps**3 - 2 * steps**2, np.exp(steps)
    draws = [np.array([[i, j], [5 - i, 5 - j]]) for i, j in itertools.product(range(6), repeat=2)]
    estimates = [paired_covariance(x[d], y[d])[0] for d in draws]
    assert np.mean(estimates) == pytest.approx(np.cov(x, y, ddof=0)[0, 1], rel=1e-12)


def test_rare_unstable_gains_are_told_by_the_line_although_no_draw_meets_them() -> None:
    """At s = 0.025, a = 0.9, H = 400 the variance comes from gains beyond eight sd: no sample shows it."""
    system, law = scalar(0.9, 400), gva.Law(np.zeros(1), 0.025**2 * ONE)
    got = expand_reward(system, law, pairs=2000, seed=1)
    assert got.unstable_share < 1e-3
    assert got.line_ratio > 1e6
    exact = GainReward(system).variance(law)
    assert got.corrected_variance + Z * got.variance_error_se < 1e-3 * exact
    assert got.line_ratio * got.variance == pytest.approx(exact, rel=1e-9)


def test_draws_beyond_float64_make_the_errors_infinite() -> None:
    system, law = scalar(0.5, 900), gva.Law(np.zeros(1), ONE)
    got = expand_reward(system, law, pairs=50, seed=1)
    assert (got.corrected_mean, got.corrected_variance, got.largest_share) == (-np.inf, np.inf, 1.0)
    assert (got.mean_error_se, got.line_ratio) == (np.inf, np.inf)
    assert got.unstable_share > 0.2


def test_a_law_without_spread_expands_to_a_point() -> None:
    system = random_system(2)
    got = expand_reward(system, gva.Law(np.zeros(2), np.zeros((2, 2))), pairs=5)
    assert (got.variance, got.line_ratio) == (0.0, 1.0)
    assert got.corrected_variance == pytest.approx(0.0, abs=1e-20)
    assert got.mean == pytest.approx(system.reward(system.K_expert))


def test_a_wide_law_falls_back_on_the_expansion() -> None:
    system = random_system(4, 2, 2, 30)
    law = gva.Law(np.zeros(4), 1e-6 * np.eye(4))
    reward = GainReward(system, samples=4000)
    assert not reward.is_exact(law)
    assert (reward.mean(law), reward.variance(law)) == second_order_moments(system, law)
    with pytest.raises(ValueError, match="law has 4 random directions: 61 nodes for each at horizon 30 exceed 200000"):
        exact_gain_moments(system, law, [30])


def test_falls_against_sampling() -> None:
    one_state = LinearSystem(0.5 * ONE, np.array([[1.0, -0.5]]), np.full((2, 1), 0.3), ONE, np.eye(2), ONE, 3)
    law = gva.Law(np.array([0.1, -0.2]), np.array([[0.1, 0.04], [0.04, 0.2]]))
    reward = GainReward(one_state)
    assert_mean(reward.fallen(law.sample(200_000, 1)).astype(float), reward.fall_probability(law))
    # A rotation-like loop, |eigenvalues| = √det: unstable exactly when a determinant passes one.
    turning = LinearSystem(
        np.array([[0.0, 1.0], [0.0, 0.0]]),
        np.array([[0.0], [1.0]]),
        np.array([[-0.9, 0.0]]),
        np.eye(2),
        ONE,
        np.eye(2),
        3,
    )
    law = gva.Law(np.zeros(2), np.diag([0.01, 0.0]))
    expected = gva.ScalarLoop(0.9, 1).fall_probability(gva.Law(np.zeros(1), 0.01 * ONE))  # |−0.9 + δ| > 1
    got = GainReward(turning, samples=50_000, seed=2).fall_probability(law)
    assert abs(got - expected) <= Z * np.sqrt(expected * (1 - expected) / 50_000)
    assert GainReward(turning).fallen(np.array([[np.nan, 0.0], [0.0, 0.0], [-0.2, 0.0]])).tolist() == [
        True,
        False,
        True,
    ]


HORIZONS = np.array([10, 20, 40, 80, 160, 320])


def test_marginal_loops_spread_as_the_square_of_the_horizon() -> None:
    """theory.md, section 4: ∝ H² for |a| = 1 and sH ≪ 1, and no single power once sH is not small."""
    for a in (1.0, -1.0):
        spread = reward_spread_by_horizon(scalar(a, 1), 1e-7 * ONE, HORIZONS)
        np.testing.assert_allclose(spread, 1e-7 * HORIZONS * (HORIZONS - 1), rtol=1e-6)
        assert horizon_exponent(HORIZONS, spread).local[-1] == pytest.approx(2.0, abs=0.01)
    turned = np.array([[0.6, -0.8], [0.8, 0.6]])  # normal marginal matrix
    system = LinearSystem(turned, np.eye(2), np.zeros((2, 2)), np.eye(2), np.zeros((2, 2)), np.eye(2), 1)
    spread = reward_spread_by_horizon(system, 1e-7 * turned, HORIZONS)
    assert horizon_exponent(HORIZONS, spread).local[-1] == pytest.approx(2.0, abs=0.01)
    wide = horizon_exponent(HORIZONS[:4], reward_spread_by_horizon(scalar(1.0, 1), 0.1 * ONE, HORIZONS[:4]))
    assert wide.local[-1] > 80.0
    assert wide.residual > 1.0


def test_stable_loops_have_bounded_spread() -> None:
    spread = reward_spread_by_horizon(scalar(0.9, 1), 1e-6 * ONE, [50, 100, 200, 400])
    assert spread[-1] == pytest.approx(spread[-2], rel=1e-12)
    assert spread[-1] == pytest.approx(1e-6 * 2 * 0.9 / (1 - 0.81) ** 2, rel=1e-6)  # s |dJ_∞/da|
    # The bound is first order only: a wider law's spread grows again past h ≈ (1−|a|)/(2s²), here 31.
    wide = reward_spread_by_horizon(scalar(0.9, 1), 0.04 * ONE, [25, 100, 200])
    assert wide[2] > 100 * wide[1]


def test_unstable_loops_spread_exponentially() -> None:
    h = np.array([100, 200, 400])
    spread = reward_spread_by_horizon(scalar(1.1, 1), 1e-9 * ONE, h)
    rates = np.diff(np.log(spread / h)) / np.diff(h)
    np.testing.assert_allclose(rates, 2 * np.log(1.1), rtol=2e-3)


def test_jordan_blocks_spread_up_to_the_fifth_power() -> None:
    """x = F^h x_0 ~ h and its change along D = (1, 0) ~ h³/6, so J changes as Σ 2h · h³/6 = H⁵/15, while sH² ≪ 1."""
    h = np.array([20, 40, 80, 160, 320])
    worst = reward_spread_by_horizon(jordan(1), 1e-10 * np.array([[1.0, 0.0]]), h)
    assert horizon_exponent(h, worst).local[-1] == pytest.approx(5.0, abs=0.05)
    assert worst[-1] / (1e-10 * h[-1] ** 5) == pytest.approx(1 / 15, rel=0.03)
    milder = reward_spread_by_horizon(jordan(1), 1e-10 * np.array([[0.0, 1.0]]), h)
    assert horizon_exponent(h, milder).local[-1] == pytest.approx(4.0, abs=0.05)
    # No direction does more: the gradient's own is the steepest.
    for horizon in (160, 320):
        steepest = np.linalg.norm(reward_gradient(jordan(1), np.zeros((1, 2)), horizon))
        assert steepest / horizon**5 == pytest.approx(1 / 15, rel=0.06)


def test_spreads_by_horizon_are_those_of_each_horizon_alone() -> None:
    system = random_system(13, 3, 2, 9)
    direction = 0.1 * np.random.default_rng(0).normal(size=(2, 3))
    together = reward_spread_by_horizon(system, direction, [9, 1, 4])
    alone = [np.sqrt(reward_along(system, direction, horizon=h).variance) for h in (9, 1, 4)]
    np.testing.assert_allclose(together, alone, rtol=1e-12)
    law = gva.Law(np.zeros(6), np.outer(direction, direction))
    np.testing.assert_allclose(reward_spread_by_horizon(system, law, [9, 1, 4]), alone, rtol=1e-10)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda s: reward_along(s, np.ones((1, 3))), ValueError, r"direction must have shape \(1, 2\)"),
        (lambda s: reward_along(s, np.ones((1, 2)), -1.0), ValueError, r"sd must be a number in \[0, inf\)"),
        (lambda s: reward_along(s, np.ones((1, 2)), mean=np.nan), ValueError, "mean must be a number"),
        (lambda s: reward_along(s, np.ones((1, 2)), horizon=900), OverflowError, "exceeds float64 at horizon 900"),
        (
            lambda s: exact_gain_moments(s, gva.Law(np.zeros(2), np.eye(2)), []),
            ValueError,
            "horizons must not be empty",
        ),
        (
            lambda s: exact_gain_moments(s, gva.Law(np.zeros(3), np.eye(3)), [2]),
            ValueError,
            "law must have dimension 2",
        ),
        (lambda s: reward_spread_by_horizon(s, np.ones((1, 2)), [3, 0]), ValueError, "horizon must be an integer"),
        (
            lambda s: expand_reward(s, gva.Law(np.zeros(2), np.eye(2)), 1),
            ValueError,
            "pairs must be an integer at least 2",
        ),
        (lambda s: GainReward(s).value(np.zeros((4, 3))), ValueError, r"errors must have shape \(n, 2\), got \(4, 3\)"),
        (lambda s: GainReward(s, samples=0), ValueError, "samples must be an integer at least 1, got 0"),
    ],
)
def test_bad_arguments_are_named(call, error, message) -> None:
    with pytest.raises(error, match=message):
        call(random_system(1))

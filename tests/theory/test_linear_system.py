"""Linear systems against explicit powers, 60-digit arithmetic, published limits, and episodes really run."""

import dataclasses
from typing import Any

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gvatheory.linear_system import LinearSystem, horizon_exponent, rollout_rewards, spectral_radii
from tests.budget import assert_mean

SEEDS = st.integers(0, 2**32 - 1)


def random_system(seed: int, n: int = 2, m: int = 1, horizon: int = 5, noise: bool = True, radius: float = 0.9):
    """A system whose expert loop has the given spectral radius; not optimal, with correlated states and costs."""
    rng = np.random.default_rng(seed)

    def psd(size):
        root = rng.normal(size=(size, size))
        return root @ root.T / size

    A, B, K = rng.normal(size=(n, n)), rng.normal(size=(n, m)), 0.3 * rng.normal(size=(m, n))
    scale = radius / max(abs(np.linalg.eigvals(A + B @ K)))
    return LinearSystem(A * scale, B * scale, K, psd(n), psd(m), psd(n), horizon, psd(n) if noise else None)


def by_powers(system: LinearSystem, K: np.ndarray, steps: int) -> float:
    """−Σ_h [tr(M F^h Σ_0 F^h') + Σ_{j<h} tr(M F^j W F^j')] with every power written out."""
    power = np.linalg.matrix_power
    f, cost = system.A + system.B @ K, system.Q + K.T @ system.R @ K
    total = 0.0
    for h in range(steps):
        total += np.trace(cost @ power(f, h) @ system.initial_covariance @ power(f, h).T)
        total += sum(np.trace(cost @ power(f, j) @ system.noise_covariance @ power(f, j).T) for j in range(h))
    return -total


@settings(max_examples=150, deadline=None)
@given(seed=SEEDS, n=st.integers(1, 4), m=st.integers(1, 3), horizon=st.integers(1, 8), noise=st.booleans())
def test_rewards_are_those_of_explicit_powers(seed, n, m, horizon, noise) -> None:
    system = random_system(seed, n, m, horizon, noise)
    gains = system.K_expert + 0.5 * np.random.default_rng(seed).normal(size=(3, m, n))
    expected = [by_powers(system, K, horizon) for K in gains]
    np.testing.assert_allclose(system.rewards(gains), expected, rtol=1e-10)
    assert system.reward(gains[0], 3) == pytest.approx(by_powers(system, gains[0], 3), rel=1e-10)
    several = system.rewards_by_horizon(gains, [4, 1, 4, 2])
    np.testing.assert_allclose(several, [[by_powers(system, K, h) for K in gains] for h in (4, 1, 4, 2)], rtol=1e-10)
    to_go = system.costs_to_go(gains[1])
    noise_cost = sum(np.sum(p * system.noise_covariance) for p in to_go[1:horizon])
    assert -np.sum(to_go[0] * system.initial_covariance) - noise_cost == pytest.approx(expected[1], rel=1e-9)
    assert system.gap(gains[2]) == pytest.approx(system.reward(system.K_expert) - expected[2], rel=1e-8, abs=1e-8)


def test_large_batches_are_cut_without_a_seam() -> None:
    system = random_system(3, 2, 2)
    gains = np.random.default_rng(0).normal(size=(9001, 2, 2))
    values = system.rewards(gains)
    for i in (0, 4095, 4096, 8192, 9000):
        assert values[i] == pytest.approx(system.reward(gains[i]), rel=1e-14)
    assert system.rewards(gains[:0]).shape == (0,)


def test_the_gap_of_a_tiny_gain_error_keeps_its_digits() -> None:
    """At Δ = 1e-13 the rewards agree to 13 digits, so their difference would keep three of the gap's."""
    system = random_system(5, 3, 2, 12)
    K = system.K_expert + 1e-13 * np.random.default_rng(1).normal(size=(2, 3))

    def reward(K):
        a, b, q, r, x, w = (
            mpmath.matrix(v.tolist())
            for v in (system.A, system.B, system.Q, system.R, system.initial_covariance, system.noise_covariance)
        )
        f, cost, total = a + b * K, q + K.T * r * K, mpmath.mpf(0)
        for _ in range(12):
            step = cost * x
            total += sum(step[i, i] for i in range(3))
            x = f * x * f.T + w
        return -total

    with mpmath.workdps(60):
        exact = float(str(reward(mpmath.matrix(system.K_expert.tolist())) - reward(mpmath.matrix(K.tolist()))))
    assert system.gap(K) == pytest.approx(exact, rel=1e-11)
    assert system.gap(system.K_expert) == 0.0


def test_rewards_beyond_float64_are_minus_infinity_without_warnings() -> None:
    system = dataclasses.replace(random_system(2, 2, 1), horizon=3000)
    gains = np.array([system.K_expert, system.K_expert + 50.0, np.full((1, 2), np.nan), np.full((1, 2), 1e200)])
    values = system.rewards(gains)
    assert np.isfinite(values[0])
    assert np.all(values[1:] == -np.inf)
    assert system.gap(gains[1]) == np.inf
    for K in 50.0 * np.random.default_rng(0).normal(size=(20, 1, 2)):  # whatever infinities of either sign meet
        assert system.gap(K) == np.inf
    with pytest.raises(OverflowError, match="state covariance exceeds float64"):
        system.state_covariances(gains[1])
    with pytest.raises(OverflowError, match="cost-to-go exceeds float64"):
        system.costs_to_go(gains[1])


@pytest.mark.parametrize("noise", [False, True])
def test_cloning_loss_and_rewards_against_episodes_really_run(noise: bool) -> None:
    system = random_system(8, 3, 2, 7, noise, radius=1.05)
    K = system.K_expert + 0.2 * np.random.default_rng(4).normal(size=(2, 3))
    assert_mean(rollout_rewards(system, K, 60_000, seed=1), system.reward(K))
    assert_mean(rollout_rewards(system, K, 60_000, seed=2, horizon=3), system.reward(K, 3))
    # The cloning loss as a reward: −‖Δx‖² on the expert's states, per step.
    error = K - system.K_expert
    regression = dataclasses.replace(system, Q=error.T @ error, R=np.zeros((2, 2)))
    assert_mean(-rollout_rewards(regression, system.K_expert, 60_000, seed=3) / 7, system.cloning_loss(K))
    # E x x' entry by entry, through costs that pick it.
    for i, j in ((0, 0), (1, 2)):
        pick = np.eye(3)[[i]] + np.eye(3)[[j]]
        plus = dataclasses.replace(system, Q=pick.T @ pick, R=np.zeros((2, 2)))
        expected = float((pick @ system.expert_covariance() @ pick.T)[0, 0])
        assert_mean(-rollout_rewards(plus, system.K_expert, 60_000, seed=4) / 7, expected)


def test_expert_covariances_by_powers() -> None:
    system = random_system(6, 3, 1, 5)
    f = system.closed_loop
    third = np.linalg.matrix_power(f, 2) @ system.initial_covariance @ np.linalg.matrix_power(f, 2).T
    third = third + system.noise_covariance + f @ system.noise_covariance @ f.T
    covariances = system.expert_covariances()
    assert covariances.shape == (5, 3, 3)
    np.testing.assert_allclose(covariances[0], system.initial_covariance, rtol=1e-14)
    np.testing.assert_allclose(covariances[2], third, rtol=1e-12)
    np.testing.assert_allclose(system.expert_covariance(), covariances.sum(axis=0) / 5, rtol=1e-14)


@settings(max_examples=30, deadline=None)
@given(seed=SEEDS, n=st.integers(1, 4), m=st.integers(1, 2))
def test_infinite_horizons_are_limits_of_long_ones(seed, n, m) -> None:
    quiet, noisy = random_system(seed, n, m, noise=False, radius=0.8), random_system(seed, n, m, radius=0.8)
    K = quiet.K_expert
    assert quiet.infinite_horizon_reward(K) == pytest.approx(quiet.reward(K, 400), rel=1e-8)
    assert noisy.average_reward(K) == pytest.approx(noisy.reward(K, 401) - noisy.reward(K, 400), rel=1e-8)


def test_infinite_horizons_that_do_not_exist_say_why() -> None:
    quiet, noisy = random_system(1, noise=False), random_system(1)
    marginal = random_system(1, noise=False, radius=1.0 + 1e-9)
    with pytest.raises(ValueError, match="process_noise must be zero for an infinite horizon"):
        noisy.infinite_horizon_reward(noisy.K_expert)
    with pytest.raises(ValueError, match=r"infinite-horizon reward needs a spectral radius of .* below 1, got 1"):
        marginal.infinite_horizon_reward(marginal.K_expert)
    with pytest.raises(ValueError, match="average reward needs a spectral radius"):
        marginal.average_reward(marginal.K_expert)
    assert quiet.average_reward(quiet.K_expert) == 0.0


def test_spectral_radii() -> None:
    turn = np.array([[0.0, -2.0], [2.0, 0.0]])
    matrices = np.stack([turn, np.diag([0.5, -0.7]), np.full((2, 2), np.nan)])
    np.testing.assert_allclose(spectral_radii(matrices), [2.0, 0.7, np.inf])


def test_matrices_are_read_only_copies() -> None:
    mine = np.eye(2)
    system = LinearSystem(mine, np.ones((2, 1)), np.zeros((1, 2)), mine, np.zeros((1, 1)), mine, 3)
    mine[0, 0] = 9.0
    assert system.A[0, 0] == 1.0
    with pytest.raises(ValueError, match="read-only"):
        system.A[0, 0] = 2.0
    assert (system.state_size, system.action_size) == (2, 1)


def test_horizon_exponents_of_powers_and_of_something_else() -> None:
    h = np.array([1, 2, 4, 16])
    power = horizon_exponent(h, 3.0 * h**2.5)
    np.testing.assert_allclose(power.local, [2.5, 2.5, 2.5])
    assert power.slope == pytest.approx(2.5)
    assert power.residual == pytest.approx(0.0, abs=1e-12)
    bent = horizon_exponent(h, np.exp(0.5 * h))
    assert np.all(np.diff(bent.local) > 0)
    # By hand on three points: y = 0, 1, 0 at x = −1, 0, 1 has slope 0 about the mean 1/3.
    hat = horizon_exponent(np.exp([0.0, 1.0, 2.0]), np.exp([0.0, 1.0, 0.0]))
    assert (hat.slope, hat.residual) == (pytest.approx(0.0), pytest.approx(np.sqrt(2) / 3))


GOOD: dict[str, Any] = {
    "A": np.eye(2),
    "B": np.ones((2, 1)),
    "K_expert": np.zeros((1, 2)),
    "Q": np.eye(2),
    "R": np.zeros((1, 1)),
    "initial_covariance": np.eye(2),
    "horizon": 3,
}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"A": np.ones((2, 3))}, r"A must have shape \(2, 2\) for 2 states and 1 actions, got \(2, 3\)"),
        ({"B": np.ones((3, 1))}, r"B must have shape \(2, 1\)"),
        ({"K_expert": np.zeros((2, 1))}, r"K_expert must have shape \(1, 2\)"),
        ({"K_expert": np.full((1, 2), np.inf)}, "K_expert must be finite"),
        ({"Q": np.diag([1.0, -1.0])}, "Q must be positive semi-definite"),
        ({"R": -np.ones((1, 1))}, "R must be positive semi-definite"),
        ({"R": np.zeros((2, 2))}, r"R must have shape \(1, 1\)"),
        ({"initial_covariance": np.array([[1.0, 0.5], [0.0, 1.0]])}, "initial_covariance must be symmetric"),
        ({"process_noise": np.eye(3)}, r"process_noise must have shape \(2, 2\)"),
        ({"process_noise": -np.eye(2)}, "process_noise must be positive semi-definite"),
        ({"horizon": 0}, "horizon must be an integer at least 1, got 0"),
        ({"B": np.ones((2, 0)), "K_expert": np.zeros((0, 2)), "R": np.zeros((0, 0))}, "must not be empty"),
    ],
)
def test_bad_systems_are_named(change, message) -> None:
    # Past __init__, where the test suite's run-time shape checker would object first.
    system = object.__new__(LinearSystem)
    for name, value in (GOOD | {"process_noise": None} | change).items():
        object.__setattr__(system, name, value)
    with pytest.raises(ValueError, match=message):
        system.__post_init__()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda s: s.reward(np.zeros((1, 3))), r"K must have shape \(1, 2\), got \(1, 3\)"),
        (lambda s: s.rewards(np.zeros((4, 2, 1))), r"gains must have shape \(N, 1, 2\), got \(4, 2, 1\)"),
        (lambda s: s.reward(np.zeros((1, 2)), 0), "horizon must be an integer at least 1, got 0"),
        (lambda s: rollout_rewards(s, np.zeros((1, 2)), 0, 0), "episodes must be an integer at least 1, got 0"),
        (lambda s: horizon_exponent([3], np.ones(1)), "horizons must be at least two"),
        (lambda s: horizon_exponent([3, 2], np.ones(2)), "positive and increasing"),
        (lambda s: horizon_exponent([2, 3], np.array([1.0, 0.0])), "spreads must be 2 positive numbers"),
    ],
)
def test_bad_arguments_are_named(call, message) -> None:
    with pytest.raises(ValueError, match=message):
        call(LinearSystem(**GOOD))

"""The contracting loop's constants and bounds against adversaries; Lyapunov exponents against closed forms."""

from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.special import digamma
from scipy.stats import norm

from gvatheory import contracting, lyapunov
from gvatheory.contracting import ContractingLoop, random_contracting_loop
from tests.budget import Z

ACTIVATIONS = st.sampled_from(["tanh", "softsign", "identity"])
SEEDS = st.integers(0, 2**32 - 1)
UNKNOWN: Any = "relu"


def scalar_loop(rate: float, input_gain: float = 1.0, reward_slope: float = 1.0) -> ContractingLoop:
    one = np.ones((1, 1))
    return ContractingLoop(rate, input_gain, reward_slope, one, one, 0.3 * one, "identity")


@settings(max_examples=25, deadline=None)
@given(seed=SEEDS, rate=st.floats(0.01, 0.99), activation=ACTIVATIONS)
def test_the_constants_are_those_claimed(seed: int, rate: float, activation) -> None:
    loop = random_contracting_loop(3, 2, rate, seed, input_gain=1.7, reward_slope=0.6, activation=activation)
    rng = np.random.default_rng(seed)
    x, y = 3 * rng.standard_normal((2, 200, 3))
    u, v = rng.standard_normal((2, 200, 2))
    apart = np.linalg.norm(x - y, axis=1)
    next_x, next_y = (loop.rollout(None, s, 2)[:, 1] for s in (x, y))
    assert np.all(np.linalg.norm(next_x - next_y, axis=1) <= rate * apart * (1 + 1e-12))
    pushed = np.linalg.norm(loop.dynamics(x, u) - loop.dynamics(x, v), axis=1)
    assert np.all(pushed <= 1.7 * np.linalg.norm(u - v, axis=1) * (1 + 1e-12))
    assert np.all(np.abs(loop.reward(x) - loop.reward(y)) <= 0.6 * apart * (1 + 1e-12))
    once = loop.rollout(lambda s: v, x, 2)[:, 1]
    np.testing.assert_allclose(once, loop.dynamics(x, loop.expert(x) + v), rtol=0, atol=1e-13)
    small = loop.rollout(None, 1e-6 * x, 2)[:, 1]  # the rate is attained at the origin
    np.testing.assert_allclose(np.linalg.norm(small, axis=1), rate * 1e-6 * np.linalg.norm(x, axis=1), rtol=1e-4)
    along = np.linalg.svd(loop.input_map)[2][:1]  # and so is the gain of the input
    assert np.linalg.norm(loop.dynamics(x[:1], along) - loop.dynamics(x[:1], 0 * along)) == pytest.approx(1.7, rel=1e-9)


@pytest.mark.parametrize("rate", [0.0, 0.5, 0.95, 1 - 1e-9])
@pytest.mark.parametrize("horizon", [1, 2, 30])
def test_the_linear_bound_is_attained_by_a_constant_error(rate: float, horizon: int) -> None:
    loop = scalar_loop(rate, 0.7, 1.3)
    gap = loop.gap(lambda x: np.full_like(x, 0.2), np.array([[0.0], [5.0]]), horizon)
    np.testing.assert_allclose(gap, loop.gap_bound(0.2, horizon), rtol=1e-7, atol=1e-15)
    if rate < 0.99:
        formula = 1.3 * 0.7 * 0.2 * (horizon / (1 - rate) - (1 - rate**horizon) / (1 - rate) ** 2)
        assert loop.gap_bound(0.2, horizon) == pytest.approx(formula, rel=1e-12, abs=1e-14)


@pytest.mark.parametrize(("rate", "delta"), [(0.0, 0.5), (0.5, 0.3), (0.9, 0.02)])
def test_the_uniform_bound_is_attained_by_a_proportional_error(rate: float, delta: float) -> None:
    loop = scalar_loop(rate, 0.7, 1.3)
    bound = loop.uniform_gap_bound(delta, 2.0)
    gap = loop.gap(lambda x: delta * x, np.array([[2.0], [-2.0]]), 1000)
    np.testing.assert_allclose(gap, bound, rtol=1e-10)
    assert loop.uniform_gap_bound((1 - rate) / 0.7 * (1 + 1e-12), 2.0) == np.inf


def adversaries(loop: ContractingLoop, seed: int):
    """Unit action errors at each state: random, outward, rotating with the state, and a rough function of it."""
    rng = np.random.default_rng(seed)
    fixed, mixing = rng.standard_normal(loop.input_map.shape[1]), rng.standard_normal(loop.input_map.T.shape)

    def unit(v: np.ndarray) -> np.ndarray:
        size = np.linalg.norm(v, axis=1, keepdims=True)
        return v / np.where(size > 1e-100, size, np.inf)  # a norm below that has underflown in its squares

    def outward(x: np.ndarray) -> np.ndarray:
        return unit(loop.dynamics(x, loop.expert(x)) @ loop.input_map)

    return [
        lambda x: unit(np.broadcast_to(fixed, (len(x), len(fixed)))),
        outward,
        lambda x: -outward(x),
        lambda x: unit(x @ mixing.T),
        lambda x: unit(np.sign(np.sin(50 * x @ mixing.T)) + 1e-3),
        lambda x: unit(rng.standard_normal((len(x), len(fixed)))),
    ]


@settings(max_examples=15, deadline=None)
@given(seed=SEEDS, rate=st.just(0.0) | st.floats(0.01, 0.98), activation=ACTIVATIONS, size=st.floats(0.001, 3.0))
def test_no_adversary_exceeds_either_bound(seed: int, rate: float, activation, size: float) -> None:
    loop = random_contracting_loop(3, 2, rate, seed, input_gain=0.8, reward_slope=2.0, activation=activation)
    x0 = np.random.default_rng(seed).standard_normal((8, 3)) * np.logspace(-2, 1, 8)[:, None]
    norms = np.linalg.norm(x0, axis=1)
    share = 0.9 * (1 - rate) / 0.8
    for direction in adversaries(loop, seed):
        for horizon in (2, 40):
            gap = loop.gap(lambda x, d=direction: size * d(x), x0, horizon)
            assert np.all(np.abs(gap) <= loop.gap_bound(size, horizon) * (1 + 1e-9) + 1e-12)
            gap = loop.gap(lambda x, d=direction: share * np.linalg.norm(x, axis=1, keepdims=True) * d(x), x0, horizon)
            bounds = np.array([loop.uniform_gap_bound(share, float(r)) for r in norms])
            assert np.all(np.abs(gap) <= bounds * (1 + 1e-9))


def test_the_spread_over_random_offsets_grows_linearly_and_stays_below_the_bound() -> None:
    """Far from the origin the scalar linear loop's reward is linear in b, so its spread is the bound itself."""
    loop, samples = scalar_loop(0.9, 0.5, 2.0), 4000
    spread = contracting.offset_reward_spread(loop, 0.1, [1e9], 100, samples, 0)
    exact = np.array([loop.gap_bound(0.1, h) for h in range(1, 101)])
    np.testing.assert_allclose(spread[1:], exact[1:], rtol=Z / np.sqrt(2 * samples))
    other = random_contracting_loop(4, 2, 0.8, 3)
    spread = contracting.offset_reward_spread(other, 0.1, [1.0, -0.5, 0.2, 0.3], 400, samples, 1)
    # E‖b‖² = 2 s²; its sample mean is within a relative Z/√samples (variance 4s⁴) of it.
    root = 0.1 * np.sqrt(2 * (1 + Z / np.sqrt(samples)) * samples / (samples - 1))
    assert np.all(spread <= [other.gap_bound(root, h) + 1e-12 for h in range(1, 401)])
    assert spread[399] / spread[199] == pytest.approx(2.0, rel=0.05)  # the transient is 1/(1−ρ) = 5 steps of 200


@pytest.mark.parametrize(("a", "b", "std"), [(0.9, 1.0, 0.5), (1.0, 2.0, 0.05), (0.0, 1.0, 1.0), (-1.1, 0.5, 1.0)])
def test_the_random_scalar_exponent_is_the_expected_logarithm(a: float, b: float, std: float) -> None:
    """E log|y|, y = a + bδ, by quadrature in t = log|y|, where the integrand is smooth."""
    sd = b * std
    exact = quad(
        lambda t: t * np.exp(t) * (norm.pdf(np.exp(t), a, sd) + norm.pdf(-np.exp(t), a, sd)),
        -50,
        np.log(abs(a) + 40 * sd),
        points=[np.log(max(abs(a), 1e-3)), np.log(sd), -5],
        limit=400,
    )[0]
    got = lyapunov.random_lyapunov_exponent(a, b, std, 200, 1, chains=2000, burn_in=0)
    assert abs(got.value - exact) <= Z * got.standard_error
    assert got.low < got.value < got.high
    assert got.high - got.value == pytest.approx(2.5758 * got.standard_error, rel=1e-4)


@pytest.mark.parametrize("size", [2, 5])
def test_products_of_gaussian_matrices_have_newmans_exponent(size: int) -> None:
    got = lyapunov.random_lyapunov_exponent(np.zeros((size, size)), np.eye(size), 0.3, 100, 2, chains=1000)
    exact = (digamma(size / 2) + np.log(2)) / 2 + np.log(0.3)
    assert abs(got.value - exact) <= Z * got.standard_error
    assert got.standard_error < 0.004


def test_a_random_loop_agrees_with_explicit_matrix_products() -> None:
    A, B, rng = np.array([[0.9, 0.4], [-0.3, 0.8]]), np.array([[0.0], [1.0]]), np.random.default_rng(3)
    got = lyapunov.random_lyapunov_exponent(A, B, 0.4, 200, 4, chains=1000)
    product, total = np.tile(np.eye(2), (1000, 1, 1)), np.zeros(1000)
    for h in range(300):
        product = (A + B @ rng.normal(0, 0.4, (1000, 1, 2))) @ product
        size = np.linalg.norm(product, 2, axis=(1, 2))
        product /= size[:, None, None]
        total += np.log(size) if h >= 100 else 0.0
    rates = total / 200
    assert abs(got.value - rates.mean()) <= Z * np.hypot(got.standard_error, rates.std() / np.sqrt(1000))


def test_a_fixed_loop_has_the_logarithm_of_its_spectral_radius() -> None:
    A = np.array([[0.5, 2.0], [0.0, -0.8]])
    assert lyapunov.lyapunov_exponent(A) == pytest.approx(np.log(0.8), rel=1e-14)
    assert lyapunov.lyapunov_exponent([[0, 1], [0, 0]]) == -np.inf
    assert lyapunov.random_lyapunov_exponent(A, np.eye(2), 0.0, 50, 0).value == pytest.approx(np.log(0.8), rel=1e-9)
    got = lyapunov.lyapunov_exponent_of(lambda x: jnp.asarray(A) @ x, [1.0, 1.0], 500, count=2, burn_in=200)
    np.testing.assert_allclose(got, np.log([0.8, 0.5]), rtol=1e-9)


def test_chaotic_maps_have_their_known_exponents() -> None:
    """Time averages over 1e5 steps: a Hénon block of that length has a standard deviation of about 1e-3."""
    logistic = lyapunov.lyapunov_exponent_of(lambda x: 4 * x * (1 - x), 0.3, 100_000)
    assert logistic[0] == pytest.approx(np.log(2), abs=1e-3)
    henon = lyapunov.lyapunov_exponent_of(
        lambda x: jnp.array([1 - 1.4 * x[0] ** 2 + x[1], 0.3 * x[0]]), [0.1, 0.1], 100_000, count=2
    )
    assert henon[0] == pytest.approx(0.4192, abs=5e-3)
    assert henon.sum() == pytest.approx(np.log(0.3), rel=1e-12)


def test_the_contracting_loop_has_the_logarithm_of_its_rate() -> None:
    """At the origin every direction contracts at ρ, so the exponent of the expert's loop is ln ρ."""
    loop = random_contracting_loop(2, 1, 0.7, 5)
    got = lyapunov.lyapunov_exponent_of(lambda x: 0.7 * loop.rotation @ jnp.tanh(x), [1.0, -2.0], 300, burn_in=200)
    assert got[0] == pytest.approx(np.log(0.7), rel=1e-9)


def test_a_diverging_trajectory_says_so() -> None:
    with pytest.raises(ArithmeticError, match="leaves float64"):
        lyapunov.lyapunov_exponent_of(lambda x: x**2, 3.0, 100)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: scalar_loop(1.0), r"rate must be a number in \[0, 1\), got 1.0"),
        (lambda: scalar_loop(0.5, -1.0), "input_gain must be"),
        (
            lambda: ContractingLoop(0.5, 1.0, 1.0, np.full((1, 1), 1.1), np.eye(1), np.eye(1)),
            "rotation must be orthogonal",
        ),
        (
            lambda: ContractingLoop(0.5, 1.0, 1.0, np.eye(1), np.full((1, 1), 2.0), np.eye(1)),
            "spectral norm of input_map",
        ),
        (lambda: ContractingLoop(0.5, 1.0, 1.0, np.eye(2), np.eye(2), np.eye(2), UNKNOWN), "activation must be one of"),
        (lambda: scalar_loop(0.5).rollout(None, np.ones((3, 2)), 5), r"x0 must have shape \(episodes, 1\)"),
        (lambda: scalar_loop(0.5).gap_bound(-0.1, 5), "eps must be"),
        (
            lambda: lyapunov.lyapunov_exponent_of(lambda x: x, [1.0], 10, count=2),
            "count must be an integer from 1 to 1",
        ),
    ],
)
def test_bad_values_are_named(make, message: str) -> None:
    # The run-time type checker of the test suite may object first to a value outside a Literal.
    with pytest.raises((ValueError, TypeError), match=None if "activation" in message else message):
        make()

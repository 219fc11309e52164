"""Derivatives in the gain against automatic differentiation, 60-digit differences and the Riccati equation."""

import math

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import solve_discrete_are

import gvatheory as gva
from gvatheory.gain_derivatives import reward_gradient, reward_hessian, second_order_moments
from gvatheory.linear_system import LinearSystem
from tests.theory.test_linear_system import random_system


def rolled_out(system: LinearSystem, steps: int):
    """J_H as a JAX function of K: roots of Σ_0 and of each step's W pushed through the loop, each from its start."""
    root, noise = np.linalg.cholesky(system.initial_covariance), system.noise_covariance
    noise_root = np.linalg.cholesky(noise) if np.any(noise) else np.zeros_like(noise)
    starts = np.stack([root] + [noise_root] * (steps - 1))

    def reward(K):
        def step(blocks, h):
            begun = (jnp.arange(steps) <= h)[:, None, None]
            actions = K @ blocks
            cost = blocks * (system.Q @ blocks)
            spent = jnp.sum(jnp.where(begun, cost, 0.0)) + jnp.sum(
                jnp.where(begun, actions * (system.R @ actions), 0.0)
            )
            return jnp.where(begun, system.A @ blocks + system.B @ actions, blocks), spent

        return -jnp.sum(jax.lax.scan(step, jnp.asarray(starts), jnp.arange(steps))[1])

    return reward


@pytest.mark.parametrize(("n", "m", "steps", "noise"), [(1, 1, 1, True), (2, 2, 5, True), (3, 1, 7, False)])
def test_finite_horizon_against_automatic_differentiation(n, m, steps, noise) -> None:
    system = random_system(10 * n + m, n, m, steps, noise, radius=1.1)
    K = system.K_expert + 0.3 * np.random.default_rng(n).normal(size=(m, n))
    with jax.enable_x64(True):
        reward = rolled_out(system, steps)
        assert system.reward(K) == pytest.approx(float(jax.jit(reward)(K)), rel=1e-12)
        gradient = np.asarray(jax.jit(jax.grad(reward))(K))
        hessian = np.asarray(jax.jit(jax.hessian(reward))(K)).reshape(m * n, m * n)
    np.testing.assert_allclose(reward_gradient(system, K), gradient, rtol=1e-10, atol=1e-10 * np.abs(gradient).max())
    np.testing.assert_allclose(reward_hessian(system, K), hessian, rtol=1e-10, atol=1e-10 * np.abs(hessian).max())


def infinite_reward(system: LinearSystem, K):
    """J_∞ in mpmath: vec X = (I − F ⊗ F)^{-1} vec Σ_0."""
    n = system.state_size
    f = mpmath.matrix(system.A.tolist()) + mpmath.matrix(system.B.tolist()) * K
    cost = mpmath.matrix(system.Q.tolist()) + K.T * mpmath.matrix(system.R.tolist()) * K
    big, right = mpmath.eye(n * n), mpmath.matrix(n * n, 1)
    for i in range(n * n):
        right[i] = mpmath.mpf(float(system.initial_covariance[i // n, i % n]))
        for j in range(n * n):
            big[i, j] -= f[i // n, j // n] * f[i % n, j % n]
    x = mpmath.lu_solve(big, right)
    return -mpmath.fsum(cost[i // n, i % n] * x[i] for i in range(n * n))


@pytest.mark.parametrize(("n", "m"), [(1, 1), (2, 1), (2, 2)])
def test_infinite_horizon_against_differences_at_sixty_digits(n, m) -> None:
    system = random_system(20 * n + m, n, m, noise=False, radius=0.9)
    K, size, step = system.K_expert, n * m, mpmath.mpf(10) ** -15

    def moved(*where):
        out = mpmath.matrix(K.tolist())
        for index, sign in where:
            out[index // n, index % n] += sign * step
        return infinite_reward(system, out)

    with mpmath.workdps(60):
        assert system.infinite_horizon_reward(K) == pytest.approx(float(str(moved())), rel=1e-12)
        gradient = [float(str((moved((i, 1)) - moved((i, -1))) / (2 * step))) for i in range(size)]
        hessian = [
            [
                float(str(sum(a * b * moved((i, a), (j, b)) for a in (1, -1) for b in (1, -1)) / (4 * step**2)))
                for j in range(size)
            ]
            for i in range(size)
        ]
    np.testing.assert_allclose(reward_gradient(system, K, math.inf).ravel(), gradient, rtol=1e-9)
    np.testing.assert_allclose(
        reward_hessian(system, K, math.inf), hessian, rtol=1e-8, atol=1e-8 * np.abs(hessian).max()
    )


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(1, 3), m=st.integers(1, 3))
def test_infinite_horizon_is_the_limit_of_long_ones(seed, n, m) -> None:
    system = random_system(seed, n, m, noise=False, radius=0.7)
    for derivative in (reward_gradient, reward_hessian):
        late, limit = (derivative(system, system.K_expert, h) for h in (200, math.inf))
        np.testing.assert_allclose(late, limit, rtol=1e-7, atol=1e-7 * np.abs(limit).max())


@pytest.mark.parametrize("seed", range(4))
def test_the_riccati_gain_is_a_maximum(seed) -> None:
    """Linear-quadratic-optimal gains have ∇J_∞ = 0 and a Hessian −2 (R + B'PB) ⊗ X, since E = 0 there."""
    system = random_system(seed, 3, 2, noise=False)
    p = solve_discrete_are(system.A, system.B, system.Q, system.R)
    best = -np.linalg.solve(system.R + system.B.T @ p @ system.B, system.B.T @ p @ system.A)
    scale = np.abs(reward_gradient(system, system.K_expert, math.inf)).max()
    np.testing.assert_allclose(reward_gradient(system, best, math.inf), 0.0, atol=1e-9 * scale)
    assert np.linalg.eigvalsh(reward_hessian(system, best, math.inf)).max() < 0


def test_second_order_moments_are_those_of_the_quadratic() -> None:
    """Sampled from the quadratic itself, to the moments' own rounding: a Gauss-Hermite grid is exact for it."""
    system = random_system(3, 2, 1, 4)
    law = gva.Law(np.array([0.1, -0.2]), np.array([[0.3, 0.1], [0.1, 0.2]]))
    K = system.K_expert + law.mean.reshape(1, 2)
    g, curvature = reward_gradient(system, K).ravel(), reward_hessian(system, K)
    nodes, weights = np.polynomial.hermite_e.hermegauss(4)
    z = np.array([(a, b) for a in nodes for b in nodes]) @ np.linalg.cholesky(law.covariance).T
    w = np.outer(weights, weights).ravel() / weights.sum() ** 2
    q = system.reward(K) + z @ g + 0.5 * np.sum((z @ curvature) * z, axis=1)
    mean, variance = second_order_moments(system, law)
    assert mean == pytest.approx(w @ q, rel=1e-12)
    assert variance == pytest.approx(w @ (q - w @ q) ** 2, rel=1e-12)


def test_the_expansion_at_the_spread_the_design_warns_of() -> None:
    """s = 0.1, H = 15: relative error of the expansion's sd shrinks as s² when s is made small."""
    one = np.ones((1, 1))
    loop = LinearSystem(0 * one, one, 0.7 * one, one, 0 * one, one, 15)
    wrong = []
    for s in (0.1, 0.01, 0.001):
        law = gva.Law(np.zeros(1), s * s * one)
        wrong.append(1 - np.sqrt(second_order_moments(loop, law).variance / gva.ScalarLoop(0.7, 15).variance(law)))
    assert wrong[0] > 0.2
    assert wrong[1] / wrong[2] == pytest.approx(100.0, rel=0.05)


def test_derivatives_that_do_not_exist_say_why() -> None:
    quiet, noisy = random_system(1, noise=False), random_system(1)
    for derivative in (reward_gradient, reward_hessian):
        with pytest.raises(ValueError, match="process_noise must be zero"):
            derivative(noisy, noisy.K_expert, math.inf)
        with pytest.raises(ValueError, match=r"needs a spectral radius of A \+ BK below 1"):
            derivative(quiet, quiet.K_expert + 50.0, math.inf)
        with pytest.raises(ValueError, match=r"horizon must be an integer at least 1, or math\.inf, got 2\.5"):
            derivative(quiet, quiet.K_expert, 2.5)
        with pytest.raises(OverflowError, match="exceeds float64"):
            derivative(quiet, quiet.K_expert + 50.0, 2000)
    one = np.ones((1, 1))
    edge = LinearSystem(0 * one, one, 2 * one, one, 0 * one, one, 511)  # reward 4^511/3 fits, its slope does not
    assert np.isfinite(edge.reward(2 * one))
    for derivative in (reward_gradient, reward_hessian):
        with pytest.raises(OverflowError, match="derivative of the reward exceeds float64"):
            derivative(edge, 2 * one)
    with pytest.raises(ValueError, match=r"law must have dimension 2 \(of vec K\), got 3"):
        second_order_moments(quiet, gva.Law(np.zeros(3), np.eye(3)))

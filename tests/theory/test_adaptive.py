"""Preconditioned SGD exactly; the approximations of sign-SGD and Adam against the real methods."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import config
from scipy.integrate import quad
from scipy.stats import norm

import gvatheory as gva
from gvatheory.adaptive import Preconditioned, adam_approximation, sign_sgd_approximation, simulate_adaptive
from gvatheory.problems import matrix_root
from tests.budget import Z, assert_mean

PROBLEM = gva.NoisyQuadratic([[1.0, 0.4], [0.4, 0.5]], [[2.0, 0.6], [0.6, 1.0]], 2)
DRIFTING: Any = gva.Drifting(PROBLEM, 0.1)


def test_preconditioned_law_matches_dense_iteration_and_simulation() -> None:
    problem, eta, gamma, steps = Preconditioned(PROBLEM, [0.5, 2.0]), 0.2, 0.2, 30
    law = gva.exact_law(problem, gva.Constant(eta), gva.EMA(gamma), steps, [1.0, -1.0])
    p, hessian, eye = np.diag([0.5, 2.0]), np.array(PROBLEM.curvature), np.eye(2)
    decay = eye - eta * p @ hessian
    f = np.block([[decay, 0 * eye], [gamma * decay, (1 - gamma) * eye]])
    g = -eta * np.vstack([p, gamma * p])
    mean, cov = np.array([1.0, -1.0, 1.0, -1.0]), np.zeros((4, 4))
    for _ in range(steps):
        mean, cov = f @ mean, f @ cov @ f.T + g @ PROBLEM.noise_covariance() @ g.T
    np.testing.assert_allclose(law.mean, mean[2:], rtol=1e-12)
    np.testing.assert_allclose(law.covariance, cov[2:, 2:], rtol=1e-12)
    samples = gva.simulate(problem, gva.Constant(eta), gva.EMA(gamma), steps, [1.0, -1.0], 20_000, 0)
    assert_mean(samples, law.mean)
    centred = samples - law.mean
    assert_mean(centred[:, :, None] * centred[:, None, :], law.covariance)
    loss = 0.5 * np.einsum("ni,ij,nj->n", samples, hessian, samples)
    assert_mean(loss, gva.expected_loss(problem, law))


def test_sign_approximation_is_the_linear_response_of_the_sign() -> None:
    approximation, std = sign_sgd_approximation(PROBLEM), np.sqrt(np.diag(PROBLEM.noise_covariance()))
    # d/dμ E sign(g) at μ = 0 is E[sign(g) g]/s², by quadrature.
    slopes = [2 * quad(lambda x: x * norm.pdf(x), 0, np.inf)[0] / s for s in std]
    np.testing.assert_allclose(approximation.preconditioner, slopes, rtol=1e-9)
    p = np.asarray(approximation.preconditioner)
    noise = approximation.problem.noise_covariance() * np.outer(p, p)
    np.testing.assert_allclose(np.diag(noise), 1.0, rtol=1e-12)  # a sign has variance one
    draws = np.random.default_rng(0).multivariate_normal([0, 0], PROBLEM.noise_covariance(), 200_000)
    assert_mean(np.sign(draws[:, 0]) * np.sign(draws[:, 1]), noise[0, 1])


@pytest.mark.parametrize("curvature", [[1.0, 3.0], [[2.0, 0.5], [0.5, 1.0]]])
def test_the_law_is_differentiable_in_preconditioner_and_curvature(curvature) -> None:
    """Against central differences."""

    def loss(scale, factor):
        problem = Preconditioned(gva.NoisyQuadratic(factor * np.array(curvature), [1.0, 2.0]), scale * np.ones(2))
        law = gva.exact_law(problem, gva.Constant(0.1), gva.EMA(0.3), 12, [1.0, -1.0])
        return law.mean[0] ** 2 + law.covariance[0, 0]

    with jax.enable_x64(True):
        gradient = [float(g) for g in jax.grad(loss, (0, 1))(1.3, 0.8)]
    h = 1e-5
    np.testing.assert_allclose(gradient[0], (loss(1.3 + h, 0.8) - loss(1.3 - h, 0.8)) / (2 * h), rtol=1e-7)
    np.testing.assert_allclose(gradient[1], (loss(1.3, 0.8 + h) - loss(1.3, 0.8 - h)) / (2 * h), rtol=1e-7)


def test_the_simulated_gradient_is_traceable_in_the_preconditioner() -> None:
    def gradient(scale):
        oracle = Preconditioned(PROBLEM, scale * np.array([0.5, 2.0])).oracle()
        parameters = tuple(jnp.asarray(x) for x in oracle.parameters)
        return oracle.gradient(parameters, jnp.ones((3, 2)), jnp.eye(3, 2))

    with jax.enable_x64(True):
        traced = np.asarray(jax.jit(gradient)(1.5))
        np.testing.assert_allclose(traced, gradient(1.5), rtol=1e-12)


@pytest.mark.parametrize(("method", "steps"), [("sign", 600), ("adam", 800)])
def test_approximations_approach_the_real_methods(method, steps: int) -> None:
    """Variance within 4 % at a small step, and Monte Carlo error, 6.1 √(2/20,000) = 6.1 %: a tenth all told.

    Measured with these runs: within 1.4 %, once the start is forgotten. Without π/2 or the momentum's 1 − β₁ it is off
    by half or more.
    """
    eta, trials = 0.02, 20_000
    if method == "sign":
        law = gva.stationary_law(sign_sgd_approximation(PROBLEM), eta)
    else:
        problem, ball = adam_approximation(PROBLEM, 0.9, step_size=eta)
        law = gva.stationary_law(problem, eta, method=ball)
    samples = simulate_adaptive(PROBLEM, gva.Constant(eta), gva.LastIterate(), steps, 0.0, trials, 1, method)
    np.testing.assert_allclose(samples.var(axis=0, ddof=1), law.std**2, rtol=0.04 + Z * np.sqrt(2 / trials))


def test_adam_is_the_published_algorithm() -> None:
    """Three steps by hand (Kingma & Ba 2015, algorithm 1), number by number, and an EMA of their iterates."""
    beta1, beta2, epsilon, gamma, etas = 0.8, 0.9, 0.3, 0.4, (0.5, 0.25, 0.5 / 3)
    arguments = (
        PROBLEM,
        gva.InverseTime(0.5, 1.0),
        gva.EMA(gamma),
        3,
        [1.0, -2.0],
        2,
        5,
        "adam",
        beta1,
        beta2,
        epsilon,
    )
    samples = simulate_adaptive(*arguments)
    root, rng, hessian = matrix_root(PROBLEM.noise_covariance()), np.random.default_rng(5), np.array(PROBLEM.curvature)
    noise = [(rng.standard_normal((2, 2)) @ root).tolist() for _ in range(3)]
    for trial in range(2):
        theta, m, v = [1.0, -2.0], [0.0, 0.0], [0.0, 0.0]
        ema = list(theta)
        for t in range(1, 4):
            g = [sum(hessian[i][j] * theta[j] for j in range(2)) + noise[t - 1][trial][i] for i in range(2)]
            for i in range(2):
                m[i] = beta1 * m[i] + (1 - beta1) * g[i]
                v[i] = beta2 * v[i] + (1 - beta2) * g[i] ** 2
                corrected = (m[i] / (1 - beta1**t), v[i] / (1 - beta2**t))
                theta[i] -= etas[t - 1] * corrected[0] / (math.sqrt(corrected[1]) + epsilon)
                ema[i] = (1 - gamma) * ema[i] + gamma * theta[i]
        np.testing.assert_allclose(samples[trial], ema, rtol=1e-12)


@pytest.mark.parametrize("method", ["sign", "adam"])
def test_a_coordinate_without_gradients_stays_where_it_is(method) -> None:
    problem = gva.NoisyQuadratic([1.0, 1.0], [1.0, 0.0])
    samples = simulate_adaptive(problem, gva.Constant(0.1), gva.EMA(0.5), 5, 0.0, 3, 0, method, epsilon=0.0)
    assert np.all(samples[:, 1] == 0.0)
    assert np.all(samples[:, 0] != 0.0)


@pytest.mark.parametrize(("curvature", "eta"), [(1e200, 0.1), (1.0, 1e200)])
def test_overflow_is_said(curvature: float, eta: float) -> None:
    """A squared gradient that overflows would stop Adam for good, at a finite place."""
    problem = gva.NoisyQuadratic(curvature, 1.0)
    with pytest.raises(OverflowError, match="exceeds float64 within 8 steps"):
        simulate_adaptive(problem, gva.Linear(eta, 8), gva.Polyak(), 8, 1.0, 4, 0, "adam", beta1=0.99)


def test_adam_second_moment_is_self_consistent() -> None:
    problem, ball = adam_approximation(PROBLEM, 0.9, 0.0, step_size=0.1)
    law = gva.stationary_law(problem, 0.1, method=ball)
    hessian = np.array(PROBLEM.curvature)
    second = np.diag(PROBLEM.noise_covariance() + hessian @ law.covariance @ hessian)
    np.testing.assert_allclose(problem.preconditioner, 0.1 / np.sqrt(second), rtol=1e-10)
    frozen, _ = adam_approximation(PROBLEM, 0.9, 0.0)
    np.testing.assert_allclose(frozen.preconditioner, 0.1 / np.sqrt(np.diag(PROBLEM.noise_covariance())))


def test_beta_zero_and_beta_two_zero_is_sign_sgd() -> None:
    arguments = (PROBLEM, gva.Constant(0.1), gva.EMA(0.3), 7, 1.0, 5, 3)
    adam = simulate_adaptive(*arguments, "adam", beta1=0.0, beta2=0.0, epsilon=0.0)
    np.testing.assert_allclose(adam, simulate_adaptive(*arguments, "sign"), rtol=1e-12)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Preconditioned(PROBLEM, [1.0, 0.0]), "preconditioner must be positive, its smallest entry is 0.0"),
        (lambda: Preconditioned(PROBLEM, [1.0, 1.0, 1.0]), "preconditioner must be a number or have shape"),
        (lambda: sign_sgd_approximation(gva.NoisyQuadratic([1.0, 1.0], [1.0, 0.0])), "noise_variance must be positive"),
        (lambda: adam_approximation(PROBLEM, 1.0), r"beta1 must be a number in \[0, 1\), got 1.0"),
    ],
)
def test_bad_values_are_named(make, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    "make",
    [
        lambda: Preconditioned(DRIFTING, 1.0),
        lambda: sign_sgd_approximation(DRIFTING),
        lambda: adam_approximation(DRIFTING),
        lambda: simulate_adaptive(DRIFTING, gva.Constant(0.1), gva.LastIterate(), 1, 0.0, 1, 0, "sign"),
    ],
)
def test_other_problems_are_refused(make, monkeypatch) -> None:
    monkeypatch.setattr(config, "jaxtyping_disable", True)  # as users have it: else the tests' type checks come first
    with pytest.raises(ValueError, match="problem must be a NoisyQuadratic, got Drifting"):
        make()


def test_simulated_reward_has_the_unbiased_variance_and_needs_two_trials() -> None:
    run = (PROBLEM, gva.Constant(0.1), gva.EMA(0.3), gva.CliffBall(0.5, 2.0), 5, 0.2)
    seen = gva.simulated_reward(*run, trials=7, seed=0)
    errors = gva.simulate(*run[:3], *run[4:], trials=7, seed=0)
    values = run[3].value(errors)
    assert seen.variance == pytest.approx(sum((values - sum(values) / 7) ** 2) / 6, rel=1e-12)
    assert seen.standard_errors[0] == pytest.approx(math.sqrt(seen.variance / 7), rel=1e-12)
    law = gva.Law(errors.mean(axis=0), np.cov(errors.T, ddof=0))
    assert seen.loss == pytest.approx(gva.expected_loss(PROBLEM, law), rel=1e-12)
    with pytest.raises(ValueError, match="trials must be an integer at least 2, got 1"):
        gva.simulated_reward(*run, trials=1, seed=0)

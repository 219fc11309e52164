"""Preconditioned SGD exactly; the approximations of sign-SGD and Adam against the real methods."""

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm

import gvatheory as gva
from gvatheory.adaptive import Preconditioned, adam_approximation, sign_sgd_approximation, simulate_adaptive
from tests.budget import Z, assert_mean

PROBLEM = gva.NoisyQuadratic([[1.0, 0.4], [0.4, 0.5]], [[2.0, 0.6], [0.6, 1.0]], 2)


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


@pytest.mark.parametrize("method", ["sign", "adam"])
def test_approximations_approach_the_real_methods(method) -> None:
    """Variance within a tenth at a small step; without π/2 or the momentum's 1 − β₁ it is off by half or more."""
    eta, trials = (0.02, 3000) if method == "sign" else (0.02, 1500)
    steps = 1200 if method == "sign" else 3000
    if method == "sign":
        law = gva.stationary_law(sign_sgd_approximation(PROBLEM), eta)
    else:
        problem, ball = adam_approximation(PROBLEM, 0.9, step_size=eta)
        law = gva.stationary_law(problem, eta, method=ball)
    samples = simulate_adaptive(PROBLEM, gva.Constant(eta), gva.LastIterate(), steps, 0.0, trials, 1, method)
    np.testing.assert_allclose(samples.var(axis=0), law.std**2, rtol=0.1 + Z * np.sqrt(2 / trials))


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

"""The joint recursion against the sum over single impulses of noise, and against a simulation."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from proofs_check.rational_matrices import exact
from proofs_check.routes.averaged_moments import Noise, averaged_moments, simulate
from proofs_check.routes.averaging_problems import Hypotheses, Training, dimension, drawn, weakest

ALL = Hypotheses(True, True, True, True, True)


def _by_impulses(hessian, additive, steps, rates, start, momentum):
    """Mean and covariance of the average by running it on every impulse of noise apart."""
    d = len(start)

    def run(e, impulses):
        before, average = e, e
        for t, (step, rate) in enumerate(zip(steps, rates, strict=True)):
            e, before = e - step * (hessian @ e + impulses[t]) + momentum * (e - before), e
            average = (1 - rate) * average + rate * e
        return average

    mean, covariance = run(start, np.zeros((len(steps), d))), np.zeros((d, d))
    for t in range(len(steps)):
        impulses = np.zeros((d, len(steps), d))
        impulses[np.arange(d), t, np.arange(d)] = 1
        response = np.stack([run(0 * start, impulse) for impulse in impulses], axis=1)
        covariance += response @ additive @ response.T
    return mean, covariance


@pytest.mark.parametrize("momentum", [0.0, 0.7])
def test_recursion_is_the_sum_over_impulses(momentum):
    rng = np.random.default_rng(3)
    hessian, root = np.array([[1.0, 0.2], [0.2, 0.4]]), rng.normal(size=(2, 2))
    steps, rates, start = rng.uniform(0.1, 1.5, 6), rng.uniform(0, 1, 6), rng.normal(size=2)
    *_, last = averaged_moments(Noise(hessian, root @ root.T), steps, rates, start, momentum)
    mean, covariance = _by_impulses(hessian, root @ root.T, steps, rates, start, momentum)
    np.testing.assert_allclose(last.average_mean, mean, rtol=1e-12)
    np.testing.assert_allclose(last.average_covariance, covariance, rtol=1e-10)


def test_regression_noise_is_that_of_gaussian_features():
    """One step of batch 1 in one dimension: E(1 - ηx²)² e² + η²σ²E x², E x⁴ = 3λ²."""
    step, curvature, label, start = Fraction(1, 3), Fraction(2), Fraction(5), Fraction(7)
    noise = Noise(exact([[2]]), exact([[label * curvature]]), Fraction(1))
    (moments,) = averaged_moments(noise, [step], [1], exact([start]))
    expected = (1 - 2 * step * curvature + 3 * step**2 * curvature**2) * start**2 + step**2 * label * curvature
    assert moments.mean[0] == (1 - step * curvature) * start
    assert moments.covariance[0, 0] == moments.average_covariance[0, 0] == expected - moments.mean[0] ** 2


def test_shares_scale_the_additive_noise():
    noise = Noise(exact(np.eye(1)), exact(np.eye(1)))
    variances = [
        m.covariance[0, 0] for m in averaged_moments(noise, [1, 1], [1, 1], exact(np.zeros(1)), 0, [1, Fraction(1, 4)])
    ]
    assert variances == [1, Fraction(1, 4)]


def test_simulation_has_the_moments():
    error, average = simulate(np.full(5, 0.5), np.full(5, 0.3), 2.0, 40_000, np.random.default_rng(0))
    *_, last = averaged_moments(Noise(np.eye(1), np.eye(1)), [0.5] * 5, [0.3] * 5, np.array([2.0]))
    iterate, averaged = float(last.covariance[0, 0]), float(last.average_covariance[0, 0])
    assert abs(average.mean() - last.average_mean[0]) < 5 * (averaged / 40_000) ** 0.5
    assert error.var() == pytest.approx(iterate, rel=0.05)
    assert average.var() == pytest.approx(averaged, rel=0.05)


@pytest.mark.parametrize("kind", ["quadratic", "regression", "heavy ball"])
def test_drawn_runs_keep_the_hypotheses_and_are_the_same_in_fractions(kind):
    point = np.random.default_rng(1).random(dimension(5))
    rough, precise = drawn(point, ALL, kind, 5, float), drawn(point, ALL, kind, 5, Fraction)
    assert all(left <= right for left, right in zip(precise.steps, precise.steps[1:], strict=False))
    assert all(0 <= rate < 1 for rate in precise.rates)
    assert kind != "heavy ball" or len(set(precise.steps)) == 1
    for left, right in zip(rough.covariances(), precise.covariances(), strict=True):
        np.testing.assert_allclose(left, right.astype(float), rtol=1e-9, atol=1e-12)


def test_weakest_direction_is_where_the_average_exceeds():
    slack, direction = weakest(np.diag([1.0, 4.0]), np.diag([2.0, 1.0]))
    assert slack == pytest.approx(-1, rel=1e-4)
    np.testing.assert_allclose(np.abs(direction), [1, 0], atol=1e-9)
    assert "η = (1)" in str(Training(Noise(np.eye(1), np.eye(1)), [1], [1], np.zeros(1)))

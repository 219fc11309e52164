"""Backward gains against the exact law, kernel by kernel, and against the moments of a run written out."""

from __future__ import annotations

import numpy as np
import pytest

import gvatheory as gva
from gvatheory.noise_gains import noise_gains

CURVATURE = np.array([0.0, 0.3, 1.0, 4.0])
STEPS = 37
AVERAGES = (gva.LastIterate(), gva.EMA(0.1), gva.PowerEMA(2 / 3, burn_in=5), gva.Polyak(), gva.Tail(0.3))
METHODS = (gva.SGD(), gva.HeavyBall(0.7), gva.HeavyBall(-0.3), gva.Nesterov(0.8))
SCHEDULES = (gva.Constant(0.2), gva.Linear(0.3, STEPS), gva.Warmup(gva.Cosine(0.25, STEPS), 7))


@pytest.mark.parametrize("method", METHODS, ids=repr)
@pytest.mark.parametrize("schedule", SCHEDULES, ids=repr)
def test_variances_are_those_of_the_exact_law(method, schedule) -> None:
    kernels = np.array([average.kernel(STEPS) for average in AVERAGES])
    found = noise_gains(CURVATURE, schedule.step_sizes(STEPS), kernels[None], method).variance[0]
    problem = gva.NoisyQuadratic(CURVATURE, np.ones(4))
    for row, average in zip(found, AVERAGES, strict=True):
        law = gva.exact_law(problem, schedule, average, STEPS, 0.0, method)
        np.testing.assert_allclose(row, np.diagonal(law.covariance), rtol=1e-10, atol=1e-14)


def test_scatter_is_that_of_the_gains_written_out() -> None:
    rng = np.random.default_rng(0)
    kernels = rng.normal(size=(3, 4, STEPS + 1))
    eta, mu = rng.uniform(0.05, 0.3, STEPS), 0.6
    found = noise_gains(CURVATURE, eta, kernels, gva.HeavyBall(mu))
    for i, lam in enumerate(CURVATURE):
        paths = np.zeros((STEPS, STEPS + 1))  # of the iterates, by the step at which a unit of noise came
        for s in range(STEPS):
            before = now = 0.0
            for t in range(STEPS):
                noise = 1.0 if t == s else 0.0
                now, before = now - eta[t] * (lam * now + noise) + mu * (now - before), now
                paths[s, t + 1] = now
        gains = kernels @ paths.T  # (groups, averages, noise times)
        np.testing.assert_allclose(found.variance[..., i], np.sum(gains**2, axis=2), rtol=1e-10)
        np.testing.assert_allclose(found.scatter[:, i], np.var(gains, axis=1, ddof=1).sum(axis=1), rtol=1e-10)


def test_scatter_of_one_is_unknown_and_of_equals_zero() -> None:
    kernel = gva.EMA(0.1).kernel(STEPS)
    eta = np.full(STEPS, 0.1)
    assert np.all(np.isnan(noise_gains(CURVATURE, eta, kernel[None, None]).scatter))
    assert np.all(noise_gains(CURVATURE, eta, np.stack([kernel, kernel])[None]).scatter < 1e-30)


def test_refusals() -> None:
    eta, kernel = np.full(3, 0.1), np.full((1, 1, 4), 0.25)
    for curvature, sizes, kernels, message in (
        ([-1.0], eta, kernel, "curvature must be a vector of numbers of at least 0"),
        ([[1.0]], eta, kernel, "curvature must have at most 1 dimensions"),
        ([1.0], [], kernel, "step_sizes must be a vector of at least one"),
        ([1.0], eta, kernel[..., 1:], r"kernels must have shape \(groups, averages, 4\), got \(1, 1, 3\)"),
    ):
        with pytest.raises(ValueError, match=message):
            noise_gains(np.array(curvature), np.array(sizes), kernels)
    with pytest.raises(OverflowError, match="are the step sizes stable"):
        noise_gains(np.array([1e3]), np.full(400, 1.0), np.eye(401)[None, -1:])

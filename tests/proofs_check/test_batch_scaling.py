"""The tools of the linear scaling rule, against recursions, gradients and each other."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from proofs_check.routes import batch_scaling
from proofs_check.routes.batch_scaling import Target, ema_variance, feedback, half_saturation, mean_left


def test_mean_left_is_the_recursion():
    k, gamma = Fraction(1, 3), Fraction(1, 5)
    left = mean = Fraction(1)
    for steps in range(1, 10):
        left *= 1 - k
        mean = (1 - gamma) * mean + gamma * left
        assert mean == mean_left(k, gamma, steps)


def test_variance_of_an_average():
    assert ema_variance(Fraction(1, 3), Fraction(1)) == Fraction(1, 5)  # SGD, k/(2-k)
    assert ema_variance(Fraction(1), Fraction(1, 2)) == Fraction(1, 3)  # white iterates, γ/(2-γ)


def test_change_compares_two_runs():
    before, after = (Fraction(1, 8), Fraction(1, 4), 4), (Fraction(1, 4), Fraction(1, 2), 2)
    lost, alone, gained, grown = batch_scaling.change(before, after, 2)
    assert lost == mean_left(*before) - mean_left(*after)
    assert alone == Fraction(7, 8) ** 4 - Fraction(3, 4) ** 2
    # Impulse responses γk Σ a^i ρ^{j-i}, two steps at k = 1/4, γ = 1/2 and four at k = 1/8, γ = 1/4.
    coarse = Fraction(1, 64) * (1 + Fraction(25, 16))
    fine = Fraction(1, 1024) * sum(
        sum(Fraction(7, 8) ** i * Fraction(3, 4) ** (j - i) for i in range(j + 1)) ** 2 for j in range(4)
    )
    assert gained == coarse - 2 * fine
    assert grown == Fraction(1, 16) * (1 + Fraction(9, 16)) / (
        2 * Fraction(1, 64) * sum(Fraction(7, 8) ** (2 * j) for j in range(4))
    )


def test_error_of_a_target_is_the_recursion():
    problem = Target((Fraction(1, 4), Fraction(1)), (Fraction(9), Fraction(2)), (Fraction(1), Fraction(3)))
    step, batch = Fraction(1, 2), Fraction(5)
    total = Fraction(0)
    for lam, error, noise in zip(problem.curvature, problem.start, problem.noise, strict=True):
        for _ in range(6):
            error = (1 - step * lam) ** 2 * error + step**2 * noise / batch
        total += error
    assert problem.error(step, batch, 6) == total


def test_bounds_of_a_target_enclose_the_fewest_steps():
    grid = np.geomspace(1e-5, 1.99, 3000)
    problem = Target((0.05, 1.0), (50.0, 20.0), (1.0, 4.0))
    for batch in (1.0, 20.0, 1e4):
        fewest = problem.fewest(batch, grid)
        assert problem.least(batch) <= fewest <= problem.enough(batch)[0]
        assert problem.least_error(batch, fewest, grid) <= 1 < problem.least_error(batch, fewest - 1, grid)


def test_grid_on_the_edge_of_stability_is_refused():
    with np.errstate(invalid="ignore"), pytest.raises(ValueError, match="must not hold"):
        Target((1.0,), (2.0,), (1.0,)).fewest(1.0, np.array([1.0, 2.0]))


def test_half_saturation_solves_the_stability_limit():
    ratios = [1.0, 0.3, 0.3]
    half = half_saturation(ratios, 7)
    assert feedback(ratios, 7, half) == pytest.approx(1)
    assert half_saturation([1.0, 1.0], 7) == pytest.approx(3)  # a flat spectrum: 1 + m = 1 + r
    step = 2 * 7 / (7 + half)
    assert max(abs(np.linalg.eigvals(batch_scaling.moment_matrix(ratios, step, 7)))) == pytest.approx(1)


@pytest.mark.parametrize("batch", [1, 2])
def test_moments_of_gradients_are_isserlis(batch):
    eigenvalues, step = [Fraction(3, 2), Fraction(1, 3)], Fraction(1, 5)
    sampled = batch_scaling.sampled_moments(eigenvalues, step, batch)
    assert (sampled == batch_scaling.moment_matrix(eigenvalues, step, batch)).all()


def test_simulation_has_the_stationary_law():
    values = batch_scaling.simulate(0.5, 0.25, 4, 80, 1.0, 20_000, np.random.default_rng(0))
    assert values.var() == pytest.approx(ema_variance(0.5, 0.25) / 4, rel=0.06)
    early = batch_scaling.simulate(0.5, 0.25, 4, 3, 1.0, 20_000, np.random.default_rng(1))
    assert early.mean() == pytest.approx(mean_left(0.5, 0.25, 3), abs=0.02)

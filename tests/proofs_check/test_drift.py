"""The tools for averages behind a moving optimum, against weights written out and against each other."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from proofs_check.routes import drift


def test_averaged_law_is_that_of_the_weights():
    k, steps = Fraction(1, 3), 6
    rates = [Fraction(1, t + 1) for t in range(1, steps + 1)]
    moves = [Fraction(t, 2) for t in range(1, steps + 1)]
    # θ_t and θ*_t as linear functions of the moves and of the noise terms, written out.
    iterates, optima = [[Fraction(0)] * (2 * steps)], [[Fraction(0)] * (2 * steps)]
    for t in range(steps):
        new = [x - k * (x - y) for x, y in zip(iterates[-1], optima[-1], strict=True)]
        new[steps + t] -= k
        moved = list(optima[-1])
        moved[t] += 1
        iterates.append(new)
        optima.append(moved)
    average = iterates[0]
    for rate, iterate in zip(rates, iterates[1:], strict=True):
        average = [(1 - rate) * x + rate * y for x, y in zip(average, iterate, strict=True)]
    error = [x - y for x, y in zip(average, optima[-1], strict=True)]
    lag = -sum(x * v for x, v in zip(error, moves, strict=False))
    found = drift.averaged_law(k, lambda t: rates[t - 1], lambda t: moves[t - 1], steps)
    assert found == (lag, sum(x * x for x in error[steps:]))


def test_power_law_at_alpha_one_is_the_uniform_average():
    lag, spread = drift.power_law(1.0, 1.0, 0.0, 50)
    assert float(lag) == pytest.approx(1 + 49 / 2)  # 1/k, and the mean age of 50 iterates
    assert float(spread) == pytest.approx(1 / 50)


def test_best_reach_is_the_least_loss():
    for k, best in ((0.1, 9.0), (0.5, 40.0), (1.8, 3.0)):
        least = drift.ema_loss(drift.best_reach(k, best, 80), k, best)
        rates = np.linspace(1e-3, 1, 20_000)
        losses = drift.ema_loss(1 / k + 1 / rates - 1, k, best)
        assert least <= losses.min() <= least * (1 + 1e-4)
    assert drift.best_reach(0.1, 1.0, 80) == 10.0  # no average


def test_grid_minimum_refines_a_parabola():
    grid = np.linspace(0, 1, 11)
    best, least = drift.grid_minimum(grid, np.stack([(grid - 0.537) ** 2, (grid + 1) ** 2]))
    assert best == pytest.approx([0.537, 0.0])
    assert least == pytest.approx([0.037**2, 1.0])


def test_limit_cost_is_reached_at_a_minimum_of_its_own():
    cost, z = drift.limit_cost()
    assert 0.086 < cost < 0.087
    assert 0.4 < z < 0.5


def test_local_errors_names_the_worst_exponent():
    alphas = np.array([0.0, 0.5])
    found = drift.local_errors(alphas, 0.5, 100, np.array([1.0, 20.0]), np.array([0.5, 0.05]))
    assert [name for name, _, _ in found] == ["lag, α=0.5", "variance, α=0"]
    assert found[0][1:] == pytest.approx((1.0, 0.1 + 0.2))


def test_simulation_has_the_stationary_law():
    k, gamma, v = 0.5, 0.25, 0.3
    last, mean = drift.simulate(k, gamma, v, -v / k, 80, 20_000, np.random.default_rng(0))
    spread = (1 + k * gamma / ((2 - k) * (2 - gamma))) / (2 * (1 / k + 1 / gamma - 1))
    assert last.mean() == pytest.approx(-v / k, abs=0.03)
    assert mean.mean() == pytest.approx(-v * (1 / k + 1 / gamma - 1), abs=0.02)
    assert mean.var() == pytest.approx(spread, rel=0.08)

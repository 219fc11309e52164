"""Recommendations against closed-form optima, dense grids and the exact law."""

import numpy as np
import pytest

import gvatheory as gva
from gvatheory.recommend import recommend_average, series_loss
from gvatheory.validation import Numbers


def excess(problem, average, steps=2000, e0: Numbers = -1.0, eta=0.1):
    return gva.expected_loss(problem, gva.exact_law(problem, gva.Constant(eta), average, steps, e0))


def test_a_drifting_optimum_gets_the_series_law_s_rate() -> None:
    """1/γ* = τ* − 1/k with τ* = (σ/2vλ)^{2/3} (A3); the exact optimum is near it, and no rate on a grid is better.

    e_0 has the sign of the lag: with the other one the two cancel, and the exact optimum exploits it.
    """
    noise, v, lam, eta = 0.5, 2e-4, 1.0, 0.1
    problem = gva.Drifting(gva.NoisyQuadratic(lam, noise), v)
    found = recommend_average(problem, gva.Constant(eta), 2000, -1.0)
    expected = 1.0 / ((np.sqrt(noise) / (2 * v * lam)) ** (2 / 3) - 1 / (eta * lam))
    assert found.series_gamma == pytest.approx(expected, rel=0.02)
    best = next(c for c in found.candidates if isinstance(c.average, gva.EMA))
    grid = [excess(problem, gva.EMA(g)) for g in np.geomspace(1e-3, 1, 40)]
    assert best.loss <= min(grid) * (1 + 1e-4)
    assert best.loss == excess(problem, best.average)
    assert found.series_loss == pytest.approx(best.loss, rel=0.01)
    assert found.series_prediction == pytest.approx(found.series_loss, rel=0.1)
    assert [c.loss for c in found.candidates] == sorted(c.loss for c in found.candidates)
    assert found.improvement == pytest.approx(excess(problem, gva.LastIterate()) / found.loss)


def test_a_fast_drift_gets_no_average() -> None:
    found = recommend_average(gva.Drifting(gva.NoisyQuadratic(1.0, 1.0, 8), 0.1), gva.Constant(0.1), 500, 0.0)
    assert found.average == gva.LastIterate()
    assert found.improvement == 1.0
    assert found.series_gamma == 1.0


def test_without_drift_and_with_time_the_power_of_one_and_the_tail_win() -> None:
    """Polyak's 1/T: about kT/2 better than the last iterate once e_0 is forgotten (A2)."""
    problem, eta, steps = gva.NoisyQuadratic(1.0, 1.0), 0.2, 5000
    found = recommend_average(problem, gva.Constant(eta), steps, 1.0)
    assert found.improvement > 0.9 * eta * steps / 2
    assert not isinstance(found.average, gva.LastIterate | gva.EMA)


def test_a_decayed_step_leaves_nothing_worthwhile() -> None:
    """1/(λt) steps are an average already: none of them saves a tenth."""
    problem = gva.NoisyQuadratic(1.0, 1.0)
    found = recommend_average(problem, gva.InverseTime(1.0, 1.0), 500, 1.0, worthwhile=0.1)
    assert found.average == gva.LastIterate()


def test_series_loss_is_the_exact_one_for_small_steps() -> None:
    problem = gva.NoisyQuadratic([0.5, 2.0], [1.0, 3.0], 4)
    exact = excess(problem, gva.EMA(2e-3), 3000, [1.0, -2.0], 2e-3)
    assert series_loss(problem, 2e-3, 2e-3, 3000, [1.0, -2.0]) == pytest.approx(exact, rel=0.02)
    with pytest.raises(ValueError, match=r"gamma must be a number in \(0, 1\], got 0.0"):
        series_loss(problem, 0.1, 0.0, 10, 1.0)
    with pytest.raises(ValueError, match="steps must be an integer at least 2, got 1"):
        recommend_average(problem, gva.Constant(0.1), 1, 1.0)

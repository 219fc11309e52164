"""Recommendations against closed-form optima, dense grids and the exact law."""

import numpy as np
import pytest

import gvatheory as gva
from gvatheory.recommend import recommend_average, series_loss
from gvatheory.validation import Numbers


def excess(problem, average, steps=2000, e0: Numbers = -1.0, eta=0.1, method: gva.Method | None = None):
    return gva.expected_loss(problem, gva.exact_law(problem, gva.Constant(eta), average, steps, e0, method))


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


@pytest.mark.parametrize("gap", [0.0, 1e-15, -1e-15, 1e-10, -1e-10, 3e-9, -3e-9, 1e-3, -1e-3, 0.3, -0.3])
@pytest.mark.parametrize("steps", [1, 2, 40, 41])
def test_what_series_loss_says_is_left_of_the_start_is_exact(gap: float, steps: int) -> None:
    """Without noise or drift nothing is approximate, also where the two time constants meet: a = ρ + gap."""
    problem = gva.NoisyQuadratic(1.0, 0.0)
    exact = excess(problem, gva.EMA(0.4), steps, 1.0, 0.4 - gap)
    assert series_loss(problem, 0.4 - gap, 0.4, steps, 1.0) == pytest.approx(exact, rel=1e-12)


@pytest.mark.parametrize(("eta", "gamma"), [(1.0, 1.0), (1.0, 0.3), (1.7, 0.3), (1.3, 0.7), (1e-17, 1e-17)])
def test_what_is_left_is_exact_at_the_edges_too(eta: float, gamma: float) -> None:
    problem = gva.NoisyQuadratic(1.0, 0.0)
    assert series_loss(problem, eta, gamma, 7, 1.0) == pytest.approx(
        excess(problem, gva.EMA(gamma), 7, 1.0, eta), rel=1e-12, abs=1e-30
    )


@pytest.mark.parametrize("method", [gva.HeavyBall(0.9), gva.Nesterov(0.9), gva.HeavyBall(-0.5)])
def test_momentum_acts_as_a_larger_step(method) -> None:
    """η/(1−μ); a rule that ignored μ would be off tenfold. The drift's lag obeys it as well: v/k."""
    eta = 1e-3 * (1.0 - method.momentum)
    problem = gva.NoisyQuadratic([0.5, 2.0], [1.0, 3.0], 4)
    exact = excess(problem, gva.EMA(1e-3), 6000, [1.0, -2.0], eta, method)
    assert series_loss(problem, eta, 1e-3, 6000, [1.0, -2.0], method) == pytest.approx(exact, rel=0.02)
    drifting = gva.Drifting(gva.NoisyQuadratic([0.5, 2.0], 0.0), 1e-3)
    lag = excess(drifting, gva.EMA(1e-3), 20_000, -1.0, eta, method)
    assert series_loss(drifting, eta, 1e-3, 20_000, -1.0, method) == pytest.approx(lag, rel=0.02)


def test_the_method_is_the_one_that_was_asked_for() -> None:
    problem, method = gva.NoisyQuadratic(1.0, 1.0), gva.HeavyBall(0.9)
    found = recommend_average(problem, gva.Constant(0.01), 500, 1.0, method)
    for candidate in found.candidates:
        assert candidate.loss == excess(problem, candidate.average, 500, 1.0, 0.01, method)
    raw = excess(problem, gva.LastIterate(), 500, 1.0, 0.01, method)
    assert found.improvement == raw / found.loss > 1
    assert found.series_loss == excess(problem, gva.EMA(found.series_gamma), 500, 1.0, 0.01, method)
    assert found.series_prediction == series_loss(problem, 0.01, found.series_gamma, 500, 1.0, method)
    assert found.series_prediction == pytest.approx(found.series_loss, rel=0.15)


def test_every_family_is_searched_once() -> None:
    """No exponent of the power EMA on a grid is better than the one that was found."""
    problem = gva.NoisyQuadratic(1.0, 1.0)
    found = recommend_average(problem, gva.Constant(0.1), 300, 1.0)
    kinds = {type(c.average): c for c in found.candidates}
    assert set(kinds) == {gva.EMA, gva.BiasCorrectedEMA, gva.PowerEMA, gva.Tail}
    assert len(found.candidates) == 4
    best = kinds[gva.PowerEMA]
    grid = [excess(problem, gva.PowerEMA(x), 300, 1.0) for x in np.linspace(0.0, 1.5, 40)]
    assert best.loss == excess(problem, best.average, 300, 1.0) <= min(grid) * (1 + 1e-4)


def test_nothing_to_lose_recommends_nothing() -> None:
    found = recommend_average(gva.NoisyQuadratic(1.0, 0.0), gva.Constant(0.1), 10, 0.0)
    assert found.average == gva.LastIterate()
    assert (found.loss, found.improvement) == (0.0, 1.0)


@pytest.mark.parametrize(
    ("eta", "method"),
    [(0.0, None), (2.0, None), (0.3, gva.HeavyBall(0.9)), (0.1, gva.ScheduleFree())],
)
def test_where_the_series_law_has_no_say_it_says_so(eta, method) -> None:
    problem = gva.NoisyQuadratic(1.0, 1.0)
    found = recommend_average(problem, gva.Constant(eta), 20, 1.0, method)
    assert found.series_gamma == 1.0
    assert np.isnan(found.series_prediction)
    assert found.series_loss == excess(problem, gva.LastIterate(), 20, 1.0, eta, method)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0.1, 0.0, 10, 1.0), r"gamma must be a number in \(0, 1\], got 0.0"),
        ((0.0, 0.1, 10, 1.0), r"step_size must be a number in \(0, inf\), got 0.0"),
        ((1.0, 0.1, 10, 1.0), r"step_size must be a number in \(0, 1\), got 1.0"),
        ((0.5, 0.1, 10, 1.0, gva.HeavyBall(0.5)), r"step_size must be a number in \(0, 0.5\), got 0.5"),
        ((0.1, 0.1, 0, 1.0), "steps must be an integer at least 1, got 0"),
        ((0.1, 0.1, 10, [1.0, 2.0, 3.0]), r"initial_error must be a number or have shape \(2,\), got \(3,\)"),
        ((0.1, 0.1, 10, np.nan), "initial_error must be finite"),
        ((0.1, 0.1, 10, 1.0, gva.ScheduleFree()), "method must be SGD, HeavyBall or Nesterov"),
    ],
)
def test_series_loss_names_bad_values(arguments, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        series_loss(gva.NoisyQuadratic([0.5, 2.0], 1.0), *arguments)


def test_recommend_average_names_bad_values() -> None:
    with pytest.raises(ValueError, match="steps must be an integer at least 2, got 1"):
        recommend_average(gva.NoisyQuadratic(1.0, 1.0), gva.Constant(0.1), 1, 1.0)

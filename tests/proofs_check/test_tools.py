"""The tools of the checks, each against an independent route: intervals, searches, exact moments, filters."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from scipy import stats

from proofs_check import rational_matrices, sequential
from proofs_check.budget import (
    ASSERTION_RATE,
    FAMILY_RATE,
    MAX_ASSERTIONS,
    binomial_interval,
    bounded_mean_interval,
    gaussian_mean_interval,
    gaussian_variance_interval,
)
from proofs_check.judging import at_least, at_most, inside, worst
from proofs_check.pictures import series
from proofs_check.routes import filters
from proofs_check.routes.gaussian_moments import expected_squares, quadrature_squares, scalar_moments


def test_budget_adds_up():
    assert ASSERTION_RATE * MAX_ASSERTIONS <= FAMILY_RATE * (1 + 1e-12)


@pytest.mark.parametrize("successes", [0, 3, 500, 1000])
def test_binomial_interval_inverts_the_binomial_tails(successes):
    low, high = binomial_interval(successes, 1000, 1e-6)
    if successes:
        assert stats.binom.sf(successes - 1, 1000, low) == pytest.approx(5e-7, rel=1e-6)
    if successes < 1000:
        assert stats.binom.cdf(successes, 1000, high) == pytest.approx(5e-7, rel=1e-6)
    with pytest.raises(ValueError, match="successes"):
        binomial_interval(5, 4, 0.1)


def test_gaussian_intervals_are_quantiles():
    low, high = gaussian_variance_interval(50.0, 40, 1e-3)
    assert stats.chi2.sf(50.0 / low, 40) == pytest.approx(5e-4)
    assert stats.chi2.cdf(50.0 / high, 40) == pytest.approx(5e-4)
    left, right = gaussian_mean_interval(1.0, 4, 9.0, 0.05)
    assert (right - left) / 2 == pytest.approx(1.959964 * 1.5)


def test_bounded_mean_interval_by_its_formula_and_support():
    samples = np.array([0.0, 1.0, 1.0, 0.0])
    low, high = bounded_mean_interval(samples, 0.0, 1.0, 0.1)
    log = math.log(40)
    assert (high - low) / 2 == pytest.approx(math.sqrt(2 * log / 12) + 7 * log / 9)
    with pytest.raises(ValueError, match="samples"):
        bounded_mean_interval(samples, 0.0, 0.5, 0.1)


def test_trials_have_the_sign_of_the_comparison():
    assert at_most(1, 2, "").slack == 0.5
    assert at_least(1, 2, "").slack == -0.5
    assert at_most(Fraction(0), Fraction(0), "").slack == 0
    assert inside(1.0, (0.0, 2.0), "").slack == 1
    assert inside(3.0, (0.0, 2.0), "").slack == -1


def test_search_finds_a_corner_and_an_interior_minimum():
    rng = np.random.default_rng(0)
    for target in (np.array([0.0, 1.0, 1.0]), np.array([0.3, 0.6, 0.9])):
        points = list(worst(lambda p, t=target: float(((p - t) ** 2).sum()), 3, rng, starts=4, steps=200))
        assert min(np.abs(point - target).max() for point in points) < 0.05


def test_exact_moments_agree_with_quadrature_and_symmetry():
    assert scalar_moments(Fraction(1), 6, 0) == [1, 0, 1, 0, 3, 0, 15]
    loop = [[Fraction(1), Fraction(1, 2)], [Fraction(-1, 3), Fraction(1, 4)]]
    directions = [[[Fraction(1, 5), Fraction(0)], [Fraction(1, 7), Fraction(0)]]]
    directions += [[[Fraction(0), Fraction(-1, 3)], [Fraction(0), Fraction(1, 2)]]]
    start = [Fraction(1), Fraction(-2)]
    exact = np.array(expected_squares(loop, directions, start, 5), dtype=float)
    a, n, x = (np.array(value, dtype=float) for value in (loop, directions, start))
    np.testing.assert_allclose(quadrature_squares(a, n, x, 5), exact, rtol=1e-12)
    single = expected_squares([[Fraction(1)]], [[[Fraction(1, 3)]]], [Fraction(1)], 6)
    assert single == scalar_moments(Fraction(1, 9), 10)[::2]


def test_filters_agree_with_each_other_and_with_their_weights():
    noise, start, k = Fraction(7), Fraction(50), Fraction(1, 3)
    assert filters.ema_error(noise, start, k, 1, 8) == filters.sgd_error(noise, start, k, 8)
    assert filters.polyak_error(noise, start, k, 1) == filters.sgd_error(noise, start, k, 1)
    # Two steps by hand: (e_1 + e_2)/2 = ((a + a²) e_0 + (1 + a) ξ_0 + ξ_1)/2.
    a = 1 - k
    by_hand = ((a + a**2) ** 2 * start + noise * k**2 * ((1 + a) ** 2 + 1)) / 4
    assert filters.polyak_error(noise, start, k, 2) == by_hand


def test_simulated_errors_cover_the_recursions():
    rng = np.random.default_rng(3)
    last, mean = filters.simulate(3, 5.0, 20.0, 0.4, 6, 20_000, rng)
    for errors, value in (
        (last, filters.sgd_error(5.0, 20.0, 0.4, 6)),
        (mean, filters.polyak_error(5.0, 20.0, 0.4, 6)),
    ):
        low, high = filters.squared_error_interval(errors, ASSERTION_RATE)
        assert low < value < high
        assert high / low < 1.2


def test_exact_definiteness_and_eigenvalue_bound():
    rng = np.random.default_rng(0)
    for size in (1, 3, 6):
        root = rng.standard_normal((size, size))
        gram = rational_matrices.exact(np.round(root @ root.T, 6))
        gram = (gram + gram.T) / 2
        floor = rational_matrices.smallest_eigenvalue_above(gram)
        smallest = np.linalg.eigvalsh(gram.astype(float))[0]
        assert float(floor) == pytest.approx(smallest, abs=1e-12 * float(gram.max()))
        shifted = gram - Fraction(float(smallest) + 1e-9) * rational_matrices.identity(size)
        assert not rational_matrices.positive_definite(shifted)
    # Singular by a margin below every float's rounding: exact arithmetic sees it.
    tiny = Fraction(1, 10**40)
    edge = np.array([[Fraction(1), Fraction(1)], [Fraction(1), 1 + tiny]], dtype=object)
    assert rational_matrices.positive_definite(edge)
    edge[1, 1] -= 2 * tiny
    assert not rational_matrices.positive_definite(edge)
    with pytest.raises(ValueError, match="symmetric"):
        rational_matrices.pivots(rational_matrices.exact([[1, 2], [3, 4]]))


def test_sampling_stops_when_decided_and_its_intervals_hold_together():
    def interval(samples: np.ndarray, rate: float) -> tuple[float, float]:
        return gaussian_mean_interval(float(samples.mean()), samples.size, 1.0, rate)

    rng = np.random.default_rng(1)
    easy = sequential.sample_until(lambda n: 1 + rng.standard_normal(n), interval, sequential.beside(0.0), 1e-6, 100)
    assert easy.decided
    assert easy.count == 100
    stuck = sequential.sample_until(rng.standard_normal, interval, sequential.narrow(1e-9), 1e-6, 100, 777)
    assert not stuck.decided
    assert stuck.count == 777
    # At rate 1/5 no more than a fifth of the runs may ever exclude the truth, though they look up to eight times.
    looks = [
        sequential.sample_until(rng.standard_normal, interval, sequential.beside(0.0), 0.2, 10, 1280).interval
        for _ in range(1000)
    ]
    missed = sum(not low <= 0 <= high for low, high in looks)
    assert missed > 0
    assert binomial_interval(missed, 1000, 1e-9)[0] <= 0.2
    with pytest.raises(ValueError, match="first"):
        sequential.sample_until(rng.standard_normal, interval, sequential.narrow(1.0), 0.1, 1)


def test_series_refuses_what_cannot_be_drawn():
    curve = series("sum", "simulation", [1.0, 2.0], [0.5, 3.0], [(0.0, 1.0), (2.0, 4.0)])
    assert curve.high is not None
    assert curve.high.tolist() == [1, 4]
    with pytest.raises(ValueError, match="shapes"):
        series("short", "truth", [1, 2], [1])
    with pytest.raises(ValueError, match="finite"):
        series("empty", "truth", [1], [float("nan")])

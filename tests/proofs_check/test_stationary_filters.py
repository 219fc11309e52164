"""The exact variance of filtered noise, against sums of squares of impulse responses and textbook laws."""

from fractions import Fraction

import numpy as np
import pytest

from proofs_check.routes.stationary_filters import (
    autocorrelation,
    correlations,
    moments,
    product,
    simulate,
    training_filter,
    variance,
)


def _impulse_response(numerator, denominator, length):
    out = np.zeros(length)
    for n in range(length):
        value = numerator[n] if n < len(numerator) else 0.0
        value -= sum(denominator[i] * out[n - i] for i in range(1, min(n, len(denominator) - 1) + 1))
        out[n] = value / denominator[0]
    return out


def test_variance_is_the_sum_of_squares_of_the_impulse_response():
    rng = np.random.default_rng(0)
    for _ in range(20):
        roots = rng.uniform(-0.9, 0.9, int(rng.integers(1, 5)))
        denominator = (rng.uniform(0.5, 2) * np.poly(roots)).tolist()
        numerator = rng.normal(size=int(rng.integers(1, 8))).tolist()
        response = _impulse_response(numerator, denominator, 600)
        assert variance(numerator, denominator) == pytest.approx((response**2).sum(), rel=1e-10)
        lag = int(rng.integers(0, 6))
        expected = response[lag:] @ response[: len(response) - lag] / (response @ response)
        assert autocorrelation(lag, numerator, denominator) == pytest.approx(expected, abs=1e-9)


def test_textbook_laws_exactly():
    assert variance([Fraction(1), Fraction(2)], [Fraction(1)]) == 5
    assert variance([Fraction(1)], [Fraction(1), Fraction(-1, 3)]) == Fraction(9, 8)
    step, gamma = Fraction(1, 3), Fraction(2, 7)
    assert variance(*training_filter(step, Fraction(1))) == step / (2 - step)
    assert variance(*training_filter(Fraction(1), gamma)) == gamma / (2 - gamma)
    mu = Fraction(1, 2)
    assert variance(*training_filter(step, Fraction(1), mu)) == step * (1 + mu) / ((1 - mu) * (2 * (1 + mu) - step))
    assert product([1, 2], [1, -2]) == [1, 0, -4]


def test_unstable_filters_are_refused():
    with pytest.raises(ValueError, match="not stable"):
        variance([Fraction(1)], [Fraction(1), Fraction(-1)])


def test_moment_equations_give_the_variance_of_the_filter():
    for k, gamma, mu in ((Fraction(1, 3), Fraction(2, 7), Fraction(1, 2)), (Fraction(7, 4), Fraction(1), Fraction(0))):
        square, average = moments(k, gamma, mu)
        assert square == variance(*training_filter(k, Fraction(1), mu))
        assert average == variance(*training_filter(k, gamma, mu))


def test_simulation_has_the_variance_of_the_filter():
    found = simulate(0.5, 0.3, 0.4, 80, 20_000, np.random.default_rng(0))
    assert found.var() == pytest.approx(variance(*training_filter(0.5, 0.3, 0.4)), rel=0.05)


def test_correlations_follow_from_the_variances_of_differences():
    k, gamma = Fraction(7, 5), Fraction(1, 3)
    filtered = training_filter(k, gamma)
    assert correlations(k, gamma, 5) == [autocorrelation(lag, *filtered) for lag in range(6)]
    assert correlations(k, gamma, 0) == [1]

"""The recursion of the moments against weights and coefficients written out, in exact rationals."""

from __future__ import annotations

from fractions import Fraction

import mpmath
import pytest

from proofs_check.routes.power_averages import moments, power_rates


def test_moments_are_the_sums_over_weights():
    k, rates = Fraction(2, 7), [Fraction(1), Fraction(2, 3), Fraction(1, 5), Fraction(3, 4)]
    steps, a = len(rates), 1 - k
    weights = []
    for rate in rates:
        weights = [(1 - rate) * weight for weight in weights] + [rate]
    coefficients = [k * sum(weights[t] * a ** (t - j) for t in range(j, steps)) for j in range(steps)]
    found = moments(k, rates)
    assert sum(weights) == 1
    assert found.squares == sum(weight**2 for weight in weights)
    assert found.variance == sum(c**2 for c in coefficients)
    assert found.bias == sum(weight * a ** (t + 1) for t, weight in enumerate(weights))
    assert found.error(Fraction(9)) == found.variance + 9 * found.bias**2


def test_power_rates_start_at_one_after_the_burn_in():
    assert power_rates(1.0, 5, 2) == [1.0, 1.0, 1.0, 0.5, 1 / 3]
    with mpmath.workdps(40):
        precise = power_rates(Fraction(1, 3), 8)
        assert abs(precise[7] - mpmath.mpf(1) / 2) < mpmath.mpf(10) ** -38
    assert power_rates(1 / 3, 8) == pytest.approx([float(rate) for rate in precise])

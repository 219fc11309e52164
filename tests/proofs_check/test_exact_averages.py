"""Exact kernels, solver and errors, against the library's kernels and dense covariances."""

from fractions import Fraction

import numpy as np
import pytest

import gvatheory as gva
from proofs_check.routes import exact_averages as exact


def test_kernels_are_those_of_the_library():
    cases = (
        (exact.ema_rates(Fraction(1, 5), 7), gva.EMA(0.2)),
        (exact.power_rates(0, 7), gva.Polyak()),
        (exact.power_rates(3, 7), gva.PowerProfile(3.0)),
    )
    for rates, average in cases:
        found = exact.kernel(rates, 10)
        assert sum(found) == 1
        assert found[8:] == [0, 0]
        np.testing.assert_allclose([float(w) for w in found[:8]], average.kernel(7), rtol=1e-13, atol=1e-16)


def test_solver_and_its_refusal():
    matrix = [[Fraction(0), Fraction(2)], [Fraction(3), Fraction(1)]]
    assert exact.solve(matrix, [Fraction(4), Fraction(5)]) == [1, 2]
    with pytest.raises(ZeroDivisionError):
        exact.solve([[Fraction(1), Fraction(1)], [Fraction(1), Fraction(1)]], [Fraction(1), Fraction(2)])


def test_error_is_the_quadratic_form_of_the_covariance():
    rng = np.random.default_rng(0)
    steps, residual = rng.uniform(0, 2, 9), rng.normal(size=10)
    dense = residual @ exact.covariance(steps, 1.5) @ residual
    assert exact.squared_error(residual.tolist(), steps.tolist(), 1.5) == pytest.approx(dense, rel=1e-12)
    assert exact.squared_error([Fraction(1), Fraction(2)], [Fraction(1, 3)], Fraction(3)) == Fraction(4, 9) + 49


def test_worst_residual_sums_to_zero_and_is_worst():
    moments = exact.covariance(np.full(8, 0.4))
    worst = exact.worst_residual(moments)
    assert worst.sum() == pytest.approx(0, abs=1e-12)
    for other in np.random.default_rng(1).normal(size=(50, 9)):
        other = other - other.mean()
        assert other @ moments @ other / (other @ other) <= worst @ moments @ worst / (worst @ worst) + 1e-12

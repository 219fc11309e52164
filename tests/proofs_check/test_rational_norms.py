"""Bounds of norms against NumPy, exact decisions at the boundary, suprema of powers, and worst products."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from proofs_check import rational_norms as tools
from proofs_check.rational_matrices import exact, identity
from proofs_check.routes.perturbed_products import aligned_errors, extremal_shift


@pytest.mark.parametrize("shape", [(1, 1), (2, 2), (4, 4), (3, 2)])
def test_norm_lies_between_its_bounds(shape):
    matrix = np.random.default_rng(0).normal(size=shape)
    low, high = tools.squared_norm_bounds(exact(matrix))
    assert low < high < low * (1 + Fraction(1, 10**12))
    assert float(low) == pytest.approx(np.linalg.norm(matrix, 2) ** 2, rel=1e-12)
    assert tools.norm_above([exact(matrix), exact(matrix / 2)]) ** 2 >= high


def test_norms_are_compared_exactly_at_the_boundary():
    matrix = exact([[3, 4], [0, 0]])  # norm 5
    assert tools.norm_at_most(matrix, Fraction(5), "").slack == 0
    assert tools.norm_at_most(matrix, 5 - Fraction(1, 10**40), "").slack < 0
    assert tools.norm_at_most(matrix, Fraction(10), "").slack == pytest.approx(0.5)
    assert tools.norm_at_most(matrix, Fraction(4), "").slack == pytest.approx(-0.2)
    assert tools.norm_at_most(matrix, Fraction(-1), "").slack < 0
    assert tools.norm_at_most(0 * matrix, Fraction(-1), "").slack < 0


def test_semidefinite_includes_the_boundary_and_not_more():
    assert tools.positive_semidefinite(exact([[1, 1], [1, 1]]))
    assert tools.positive_semidefinite(exact([[0, 0], [0, 3]]))
    assert not tools.positive_semidefinite(exact([[1, 1], [1, 1]]) - Fraction(1, 10**40) * identity(2))
    assert not tools.positive_semidefinite(exact([[0, 1], [1, 5]]))
    assert not tools.positive_semidefinite(exact(np.diag([-1.0, -1.0])))  # determinant alone is positive
    with pytest.raises(ValueError, match="symmetric"):
        tools.positive_semidefinite(exact([[1, 2], [0, 1]]))


@pytest.mark.parametrize("square", [Fraction(0), Fraction(2), Fraction(1, 10**400), Fraction(1, 10**315)])
def test_root_is_above_and_near(square):
    root = tools.root_above(square)
    assert square <= root**2 <= 4 * square + Fraction(1, 10**300)


def test_complex_matrices_keep_products_and_norms():
    rng = np.random.default_rng(1)
    first, second = rng.normal(size=(2, 2, 2)) + 1j * rng.normal(size=(2, 2, 2))
    doubled = tools.complexified(first) @ tools.complexified(second)
    np.testing.assert_allclose(doubled, tools.complexified(first @ second), atol=1e-14)
    assert np.linalg.norm(doubled, 2) == pytest.approx(np.linalg.norm(first @ second, 2))


def test_supremum_of_powers_covers_all_of_them():
    matrix = exact([[Fraction(1, 2), 3], [0, Fraction(1, 2)]])
    constant, step = tools.power_constant(matrix, Fraction(3, 5))
    ratio = matrix.astype(float) / 0.6
    norms = [np.linalg.norm(np.linalg.matrix_power(ratio, k), 2) for k in range(100)]
    assert step == int(np.argmax(norms)) > 1
    assert float(constant) == pytest.approx(max(norms), rel=1e-12)
    assert tools.power_constant(matrix, Fraction(3, 5), most=1)[0] < constant


def test_product_is_taken_from_the_right():
    first, second = exact([[1, 1], [0, 1]]), exact([[1, 0], [1, 1]])
    assert (tools.product([first, second]) == second @ first).all()


@pytest.mark.parametrize("difference", [False, True])
@pytest.mark.parametrize("phase", [1, 1j])
def test_ascent_keeps_the_norm_and_beats_random_errors(difference, phase):
    rng = np.random.default_rng(2)
    A, power = np.array([[0.5, 4.0], [0.0, -0.6]]), 5

    def size(errors):
        rest = np.linalg.matrix_power(A, power) if difference else 0
        return np.linalg.norm(tools.product([A + E for E in errors]) - rest, 2)

    found = aligned_errors(A, 0.3, power, phase, difference)
    assert [np.linalg.norm(E, 2) for E in found] == pytest.approx([0.3] * power)
    assert any(np.iscomplex(E).any() for E in found) == (phase == 1j)
    for _ in range(200):
        drawn = rng.normal(size=(power, 2, 2))
        drawn *= 0.3 / np.linalg.norm(drawn, 2, axis=(1, 2))[:, None, None]
        assert size(drawn) < size(found)


def test_extremal_shift_has_the_constants_it_is_given():
    A, E = extremal_shift(5, Fraction(3), Fraction(1, 2), Fraction(1, 7))
    for power in range(1, 5):
        assert np.abs(tools.product([A] * power)).sum(0).max() == 3 * Fraction(1, 2) ** power
    assert np.abs(E).sum(0).max() == Fraction(1, 7)

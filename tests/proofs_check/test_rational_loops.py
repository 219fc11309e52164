"""Exact solves, energies, certificates and destabilising errors against floating point."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from scipy.linalg import solve_discrete_lyapunov

import gvatheory as gva
from proofs_check.rational_matrices import exact, identity
from proofs_check.routes import rational_loops as tools


def loop(seed, n=3, m=2, radius=0.8):
    rng = np.random.default_rng(seed)
    A, B = rng.normal(size=(n, n)), rng.normal(size=(n, m))
    return A * radius / gva.spectral_radius(A), B


def test_solve_is_exact_and_exchanges_rows():
    matrix = exact([[0, 2, 1], [1, 0, 0], [3, 1, 5]])
    right = exact(np.arange(6).reshape(3, 2))
    assert (matrix @ tools.solve(matrix, right) == right).all()
    with pytest.raises(ZeroDivisionError):
        tools.solve(exact([[1, 1], [1, 1]]), right[:2])


def test_energy_solves_the_lyapunov_equation():
    A, _ = loop(0)
    x = np.array([1.0, -2.0, 0.5])
    expected = x @ solve_discrete_lyapunov(A.T, np.eye(3)) @ x
    assert float(tools.energy(exact(A), identity(3), exact(x))) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("seed", range(4))
def test_certificate_and_destabiliser_enclose_the_complex_radius(seed):
    A, B = loop(seed, 2 + seed % 2, 1 + seed // 2)
    radius = gva.stability_radius(A, B)
    below = radius.radius * (1 - 1e-6)
    P = tools.riccati_certificate(A, B, below)
    assert min(tools.certificate_margins(exact(A), exact(B), exact(P), Fraction(below))) > 0
    assert min(tools.certificate_margins(exact(A), exact(B), exact(P), Fraction(radius.radius) * 2)) < 0
    found = tools.destabiliser(exact(A), exact(B), radius.frequency, Fraction(1))
    assert not found.residual.any()
    assert float(found.squared_norm) == pytest.approx(radius.radius**2, rel=1e-9)
    n, m = B.shape
    delta = found.delta.astype(float)
    delta = delta[:m, :n] + 1j * delta[m:, :n]
    assert np.linalg.norm(delta, 2) == pytest.approx(radius.radius, rel=1e-9)
    assert np.abs(np.linalg.eigvals(A + B @ delta)).max() == pytest.approx(1, rel=1e-9)


def test_destabiliser_grows_as_asked_and_reaches_minus_one():
    A, B = np.array([[-0.5]]), np.array([[2.0]])
    found = tools.destabiliser(exact(A), exact(B), np.pi, Fraction(11, 10))
    assert found.z[0, 0] == Fraction(-11, 10)
    assert found.squared_norm == Fraction(3, 10) ** 2


def test_beyond_the_radius_the_riccati_certificate_proves_nothing():
    A, B = loop(5)
    beyond = gva.stability_radius(A, B).radius * 1.05
    P = tools.riccati_certificate(A, B, beyond)
    assert min(tools.certificate_margins(exact(A), exact(B), exact(P), Fraction(beyond))) < 0


@pytest.mark.parametrize("seed", range(20))
def test_jury_margin_has_the_sign_of_the_excess(seed):
    matrix = np.random.default_rng(seed).normal(size=(2, 2))
    assert (tools.unstable_margin(exact(matrix)) > 0) == (gva.spectral_radius(matrix) > 1)


def test_certificate_is_decided_exactly_however_small_its_margin():
    one, tiny = exact([[1]]), Fraction(1, 10**40)
    # A = 1/2, B = 1, P = 2: the negated LMI is (1/2, -r; -r, 1 - 2r²), definite iff r < 1/2.
    for excess in (-tiny, 0 * tiny, tiny):
        margin = tools.certificate_margins(one / 2, one, 2 * one, Fraction(1, 2) + excess)[1]
        assert (margin > 0) == (excess < 0)
    assert tools.certificate_margins(one / 2, one, -one, Fraction(1, 4))[0] < 0

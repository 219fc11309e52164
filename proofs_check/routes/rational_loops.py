"""Exact statements about loops x' = Ax + Bw with w = Δx: certificates of stability, errors that destabilise, energies.

All take matrices of Fractions (a float matrix read exactly, say); what guides them is computed in floating point first
and proves nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
import sympy
from numpy.typing import NDArray
from scipy import linalg

from proofs_check.interface import Trial
from proofs_check.judging import rational, vanishes
from proofs_check.rational_matrices import Exact, exact, identity, pivots, smallest_eigenvalue_above
from proofs_check.rational_norms import complexified


class Destabiliser(NamedTuple):
    """Δ of rank one with (A + BΔ)x = zx; complex Δ and z are written as real matrices of twice the size.

    Attributes:
        squared_norm: ‖Δ‖², exactly.
        delta: shape (2m, 2n).
        z: shape (2, 2).
        residual: (A + BΔ)x - zx, exactly; zero.
    """

    squared_norm: Fraction
    delta: Exact
    z: Exact
    residual: Exact


def solve(matrix: Exact, right: Exact) -> Exact:
    """X with matrix X = right, shapes (n, n) and (n, k), by elimination.

    Raises:
        ZeroDivisionError: if the matrix is singular.
    """
    n = len(matrix)
    rows = np.concatenate([matrix, right], axis=1)
    for i in range(n):
        pivot = next((j for j in range(i, n) if rows[j, i]), i)
        rows[[i, pivot]] = rows[[pivot, i]]
        rows[i] = rows[i] / rows[i, i]
        for j in range(n):
            if j != i and rows[j, i]:
                rows[j] = rows[j] - rows[j, i] * rows[i]
    return rows[:, n:]


def energy(A: Exact, stage: Exact, initial: Exact) -> Fraction:
    """Σ_h x_hᵀ S x_h over all h >= 0 for x_{h+1} = A x_h, by the Lyapunov equation; A must be stable."""
    n = len(A)
    P = solve(identity(n * n) - np.kron(A.T, A.T), stage.reshape(-1, 1)).reshape(n, n)
    value: Any = initial @ P @ initial
    return value


def certificate_margins(A: Exact, B: Exact, P: Exact, radius: Fraction) -> tuple[Fraction, Fraction]:
    """Proved lower bounds of the smallest eigenvalues of P and of the negated bounded-real LMI, in units of w = radius.

    Positive ones prove that x' = (A+BΔ_h)x is stable for ‖Δ_h‖ <= radius:
    V(x') - V(x) + ‖x‖² - ‖w‖²/radius² = (x, w/radius)ᵀ LMI (x, w/radius) with V(x) = xᵀPx.
    """
    n, m = B.shape
    loop = np.concatenate([A, radius * B], axis=1)
    lmi = loop.T @ P @ loop
    lmi[:n, :n] = lmi[:n, :n] - P + identity(n)
    lmi[n:, n:] = lmi[n:, n:] - identity(m)
    return _least_eigenvalue(P), _least_eigenvalue(-lmi)


def _least_eigenvalue(matrix: Exact) -> Fraction:
    """A proved lower bound, positive iff the matrix is positive definite: at least det/trace^{n-1} then."""
    bound = smallest_eigenvalue_above(matrix)
    found = pivots(matrix)
    if found is None or min(found) <= 0:
        return min(bound, Fraction(0))
    return max(bound, math.prod(found) / np.trace(matrix) ** (len(matrix) - 1))


def certificate_trials(A: Any, B: Any, P: Any, radius: float, where: str) -> Iterator[Trial]:
    """The certificate of float matrices, read exactly; the slacks are the proved bounds of the two eigenvalues."""
    margins = certificate_margins(exact(A), exact(B), exact(P), Fraction(radius))
    for name, value in zip(("P", "-LMI"), margins, strict=True):
        yield Trial(value or -1, f"least eigenvalue of {name} above {float(value):.4g}, r={radius:.8g}, {where}")


def riccati_certificate(A: NDArray[np.float64], B: NDArray[np.float64], radius: float) -> NDArray[np.float64]:
    """P of the bounded-real LMI from its Riccati equation, without a semidefinite programme; approximate.

    P = AᵀPA + (1+t)I + AᵀPB(I/r² - BᵀPB)^{-1}BᵀPA has a solution iff r√(1+t) is below the complex radius. Where it has
    none P is that of the Lyapunov equation, which then certifies nothing.
    """
    n, m = B.shape
    for t in 10.0 ** np.arange(-8, -3):
        try:
            found = -linalg.solve_discrete_are(A, B, -(1 + t) * np.eye(n), np.eye(m) / radius**2)
        except (np.linalg.LinAlgError, ValueError):
            continue
        if np.linalg.eigvalsh(found)[0] > 0:
            return (found + found.T) / 2
    found = linalg.solve_discrete_lyapunov(A.T, np.eye(n))
    return (found + found.T) / 2


def destabiliser(A: Exact, B: Exact, omega: float, growth: Fraction) -> Destabiliser:
    """Δ that gives A + BΔ an eigenvalue z of modulus ``growth`` and angle near ω, of the least norm for rank one there.

    With G = (zI-A)^{-1}B and Gv = σu the error is Δ = vuᴴ/(uᴴGv): the rounding of u and v costs norm, not exactness.

    Args:
        A: shape (n, n).
        B: shape (n, m).
        omega: in [0, π].
        growth: at least 1; zI - A must be regular.
    """
    n, m = B.shape
    if omega > math.pi - 1e-9:
        cosine, sine = Fraction(-1), Fraction(0)
    else:
        t = rational(math.tan(omega / 2), 10**9)
        cosine, sine = (1 - t**2) / (1 + t**2), 2 * t / (1 + t**2)
    z = growth * np.array([[cosine, -sine], [sine, cosine]])
    floats = np.linalg.solve(complex(z[0, 0], z[1, 0]) * np.eye(n) - A.astype(float), B.astype(float))
    left, _, right = np.linalg.svd(floats)
    u, v = (exact(complexified(vector.reshape(-1, 1))) for vector in (left[:, 0], right[0].conj()))
    zero = np.zeros((n, n), dtype=object)
    loop = np.block([[A, zero], [zero, A]])
    inputs = np.block([[B, np.zeros((n, m), dtype=object)], [np.zeros((n, m), dtype=object), B]])
    shift = np.kron(z, identity(n))
    x = solve(shift - loop, inputs @ v)
    share = u.T @ x  # uᴴGv, a complex number
    delta = v @ solve(share, u.T)
    squared: Any = (u[:, 0] @ u[:, 0]) * (v[:, 0] @ v[:, 0]) / (share[:, 0] @ share[:, 0])
    return Destabiliser(squared, delta, z, (loop + inputs @ delta) @ x - shift @ x)


def unstable_margin(matrix: Exact) -> Fraction:
    """Of a real 2x2 matrix: positive iff its spectral radius exceeds 1, negative iff it is below 1 (Jury)."""
    trace, det = matrix[0, 0] + matrix[1, 1], matrix[0, 0] * matrix[1, 1] - matrix[0, 1] * matrix[1, 0]
    return max(abs(det) - 1, abs(trace) - 1 - det)


def dissipation() -> Iterator[Trial]:
    """The LMI as a quadratic form, and the determinant with an error of rank one, n = 2."""
    A, B = sympy.Matrix(2, 2, sympy.symbols("a:4")), sympy.Matrix(2, 2, sympy.symbols("b:4"))
    s, z, g = sympy.symbols("s z gamma2")
    p = sympy.symbols("p:3")
    P, x, w = sympy.Matrix([[p[0], p[1]], [p[1], p[2]]]), sympy.symbols("x:2"), sympy.symbols("w:2")
    state, action = sympy.Matrix(x), sympy.Matrix(w)
    moved = A * state + B * action
    fall = moved.dot(P * moved) - state.dot(P * state) + state.dot(state) - g * action.dot(action)
    lmi = sympy.BlockMatrix(
        [[A.T * P * A - P + sympy.eye(2), A.T * P * B], [B.T * P * A, B.T * P * B - g * sympy.eye(2)]]
    )
    both = sympy.Matrix([*x, *w])
    yield vanishes(sympy.expand(fall - both.dot(lmi.as_explicit() * both)), "V(x') - V(x) + ‖x‖² - γ²‖w‖²")
    u, v = sympy.Matrix(sympy.symbols("u:2")), sympy.Matrix(sympy.symbols("v:2"))
    shift = z * sympy.eye(2) - A
    changed = (shift - s * B * v * u.T).det() - shift.det() + s * (u.T * shift.adjugate() * B * v)[0]
    yield vanishes(sympy.expand(changed), "det(zI-A-BΔ) = det(zI-A) (1 - s uᵀGv), Δ = s vuᵀ")

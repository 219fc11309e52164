"""Matrices of fractions: the arithmetic in which a solver's or an eigenvalue routine's answer is verified.

A float64 is a fraction, so the matrix a solver returned can be read exactly and judged without rounding. Matrices are
object arrays of Fractions; NumPy's ``@``, ``+`` and ``.T`` work on them.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

Exact = NDArray[Any]


def exact(array: Any) -> Exact:
    """The same numbers as Fractions (each float's exact value), any shape."""
    values = np.asarray(array)
    return np.array([Fraction(v) for v in values.ravel().tolist()] + [None], dtype=object)[:-1].reshape(values.shape)


def identity(size: int) -> Exact:
    """The unit matrix, of Fractions."""
    return exact(np.eye(size))


def pivots(matrix: Exact) -> list[Fraction] | None:
    """The pivots D of M = L D Lᵀ without exchanges, exactly; None as soon as one is zero.

    By Sylvester's law of inertia their signs are those of the eigenvalues.

    Args:
        matrix: shape (n, n), symmetric.

    Raises:
        ValueError: if the matrix is not symmetric.
    """
    rows = np.array(matrix, dtype=object)
    if rows.ndim != 2 or rows.shape[0] != rows.shape[1] or (rows != rows.T).any():
        raise ValueError(f"matrix must be square and symmetric, got shape {rows.shape}")
    found = []
    for i in range(len(rows)):
        pivot = rows[i, i]
        if pivot == 0:
            return None
        found.append(pivot)
        for j in range(i + 1, len(rows)):
            rows[j, i:] = rows[j, i:] - rows[j, i] / pivot * rows[i, i:]
    return found


def positive_definite(matrix: Exact) -> bool:
    """Whether a symmetric matrix of Fractions is positive definite: a proof either way."""
    found = pivots(matrix)
    return found is not None and all(pivot > 0 for pivot in found)


def smallest_eigenvalue_above(matrix: Exact) -> Fraction:
    """A proved strict lower bound of the smallest eigenvalue, close to it.

    A floating-point eigenvalue is lowered until M - μI is positive definite in exact arithmetic.
    """
    floats = matrix.astype(float)
    values = np.linalg.eigvalsh(floats)
    margin = Fraction(float(max(np.abs(values).max(), 1e-300)))
    for power in range(50, -2, -2):
        bound = Fraction(float(values[0])) - margin / 2**power
        if positive_definite(matrix - bound * identity(len(matrix))):
            return bound
    raise ArithmeticError("no eigenvalue bound found")  # pragma: no cover - Gershgorin forbids it

"""Spectral norms of rational matrices, bracketed by proved rational numbers, and inequalities between them.

‖X‖ <= c is proved by c²I - XᵀX ⪰ 0. Complex matrices are written as real ones of twice the size, which keeps products,
norms and spectral radii.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from fractions import Fraction
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

from proofs_check.interface import Trial
from proofs_check.judging import show
from proofs_check.rational_matrices import Exact, exact, identity, smallest_eigenvalue_above


def squared_norm_bounds(matrix: Exact) -> tuple[Fraction, Fraction]:
    """Proved lower and upper bound of ‖X‖², about 15 digits apart: a Rayleigh quotient, and XᵀX ≺ upper·I."""
    gram = matrix.T @ matrix
    vector: Any = exact(np.linalg.eigh(gram.astype(float))[1][:, -1])
    return vector @ gram @ vector / (vector @ vector), -smallest_eigenvalue_above(-gram)


def norm_above(matrices: Sequence[Exact]) -> Fraction:
    """A proved upper bound of the largest ‖X_i‖, close to it."""
    return max(root_above(squared_norm_bounds(matrix)[1]) for matrix in matrices)


def root_above(square: Fraction) -> Fraction:
    """A fraction at least, and close to, the root of a non-negative one."""
    root = Fraction(math.sqrt(square) * (1 + 2.0**-48))
    while root**2 < square:  # the square is too small for the precision of floats
        root = root * 2 + Fraction(1, 2**600)
    return root


def positive_semidefinite(matrix: Exact) -> bool:
    """Whether a symmetric matrix is positive semidefinite: the elementary symmetric functions of its eigenvalues are
    all non-negative (Faddeev and LeVerrier's recursion).

    Raises:
        ValueError: if the matrix is not symmetric.
    """
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or (matrix != matrix.T).any():
        raise ValueError(f"matrix must be square and symmetric, got shape {matrix.shape}")
    unit = identity(len(matrix))
    auxiliary, symmetric = unit, Fraction(1)
    for order in range(1, len(matrix) + 1):
        product = matrix @ auxiliary
        symmetric = np.trace(product) / order
        if symmetric < 0:
            return False
        auxiliary = symmetric * unit - product
    return True


def norm_at_most(matrix: Exact, bound: Fraction, witness: str) -> Trial:
    """The trial of ‖X‖ <= bound, decided exactly; the slack is relative, 0 where the bound is attained."""
    low, high = squared_norm_bounds(matrix)
    where = f"{witness}: norm² {show(low)} <= {show(bound * abs(bound))}"
    if bound < 0 or low > bound**2:
        return Trial(min(bound / root_above(max(low, Fraction(1, 10**30))) - 1, Fraction(-1, 10**15)), where)
    if high <= bound**2:
        return Trial(max(0.0, 1 - math.sqrt(high / bound**2)), where)
    fits = positive_semidefinite(bound**2 * identity(matrix.shape[1]) - matrix.T @ matrix)
    return Trial(0 if fits else Fraction(-1, 10**15), where)


def complexified(matrix: NDArray[Any]) -> NDArray[Any]:
    """[[Re, -Im], [Im, Re]]: a complex matrix as a real one of twice the size."""
    real, imaginary = np.real(matrix), np.imag(matrix)
    return np.block([[real, -imaginary], [imaginary, real]])


def product(factors: Sequence[Exact]) -> Exact:
    """X_k ... X_2 X_1 of X_1, ..., X_k."""
    return reduce(lambda done, factor: factor @ done, factors)


def powers(matrix: NDArray[Any], unit: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """I, X, X², ... for ever."""
    power = unit
    while True:
        yield power
        power = matrix @ power


def power_constant(matrix: Exact, rho: Fraction, most: int | None = None) -> tuple[Fraction, int]:
    """M, at least and close to sup_k ‖A^k‖/ρ^k, and the k that attains it, proved for every k.

    With ‖(A/ρ)^K‖ <= 1 and k = qK + j the k-th norm is at most that of j < K, so K norms are enough.

    Args:
        matrix: A, square; its spectral radius must be below ρ if ``most`` is None.
        rho: ρ > 0.
        most: the largest k to look at, instead of all.
    """
    best, where = Fraction(1), 0
    for k, power in enumerate(powers(matrix / rho, identity(len(matrix)))):
        if most is not None and k > most:
            break
        squared = squared_norm_bounds(power)[1] if k else Fraction(1)
        if most is None and k and squared <= 1:
            break
        if squared > best**2:
            best, where = root_above(squared), k
    return best, where

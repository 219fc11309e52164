"""Errors that make a product of perturbed matrices as large as they can, and the matrices that let them.

For the products Π_k = (A+E_k)...(A+E_1) with ‖E_i‖ <= ε.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from proofs_check.rational_matrices import Exact, exact


def aligned_errors(
    A: NDArray[Any], error: float, k: int, phase: complex, difference: bool, sweeps: int = 3
) -> list[Any]:
    """Errors E_1..E_k of norm ε that make ‖Π_k‖ or ‖Π_k - A^k‖ large: each in turn made the best for the others.

    Given the others, L to the left and R to the right, and u, v the leading singular vectors of the whole, the term L E
    R is aligned with uvᴴ by E = ε (Lᴴu)(Rv)ᴴ, normalised.

    Args:
        A: shape (n, n), real.
        error: ε.
        k: number of factors.
        phase: 1 to keep the errors of a real A real, another unit number for complex ones.
        difference: which of the two norms.
        sweeps: over all k errors.
    """
    unit = np.eye(len(A), dtype=complex)
    u, _, v = np.linalg.svd(A)
    errors: list[NDArray[Any]] = [error * phase * np.outer(u[:, 0], v[0])] * k
    power = np.linalg.matrix_power(A, k) if difference else np.zeros_like(A)
    for _ in range(sweeps):
        left = [unit]  # products of the factors after the i-th, from the last one down
        for E in reversed(errors[1:]):
            left.append(left[-1] @ (A + E))
        right = unit
        for i in range(k):
            L = left[k - 1 - i]
            u, _, v = np.linalg.svd(L @ (A + errors[i]) @ right - power)
            row, column = L.conj().T @ u[:, 0], right @ v[0].conj()
            size = np.linalg.norm(row) * np.linalg.norm(column)
            if size > 1e-200:
                errors[i] = error * np.outer(row, column.conj()) / size
            right = (A + errors[i]) @ right
    return errors


def extremal_shift(size: int, M: Any, rho: Any, error: Any) -> tuple[Exact, Exact]:
    """A with A e_0 = Mρ e_1, A e_i = ρ e_{i+1}, and E with E e_i = ε e_0, of Fractions.

    No A and E with the same M, ρ and ε have products of larger column sums, up to the power size-1.
    """
    A, E = exact(np.zeros((size, size))), exact(np.zeros((size, size)))
    for i in range(size - 1):
        A[i + 1, i] = rho * (1 if i else M)
    E[0, :] = error
    return A, E

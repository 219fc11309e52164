"""Exact expectations of linear systems whose matrix is a Gaussian vector of directions: A + Σ_k g_k N_k, g ~ N(0, I).

Two routes. :func:`expected_squares` expands the state as a polynomial in g with rational coefficients and takes
moments term by term. :func:`quadrature_squares` integrates by a tensor Gauss-Hermite rule in floating point, which is
exact up to rounding because the integrand is a polynomial of low degree; it is the faster one, for searches.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from functools import cache

import numpy as np
from numpy.typing import NDArray

Matrix = Sequence[Sequence[Fraction]]
Polynomial = dict[tuple[int, ...], Fraction]


def scalar_moments(variance: Fraction, count: int, mean: Fraction | int = 1) -> list[Fraction]:
    """E (a+δ)^n for n = 0..count, δ ~ N(0, variance), by Stein's recursion m_{n+1} = a m_n + n s² m_{n-1}."""
    moments = [Fraction(1), Fraction(mean)]
    for n in range(1, count):
        moments.append(mean * moments[n] + n * variance * moments[n - 1])
    return moments[: count + 1]


def normal_moment(power: int) -> int:
    """E g^power for g ~ N(0, 1): (power-1)!! for even powers, zero for odd ones."""
    return 0 if power % 2 else int(np.prod(range(1, power, 2), dtype=object))


def expected_squares(
    closed_loop: Matrix, directions: Sequence[Matrix], initial: Sequence[Fraction], horizon: int
) -> list[Fraction]:
    """E‖x_h‖² for h = 0..horizon-1, x_{h+1} = (A + Σ_k g_k N_k) x_h, exactly.

    Args:
        closed_loop: A, d rows of d.
        directions: N_1..N_K, each like A.
        initial: x_0, length d.
        horizon: number of states, at least one; the cost grows as horizon^K.
    """
    dimension, factors = len(initial), len(directions)
    terms = [((0,) * factors, closed_loop)]
    terms += [(tuple(int(i == k) for i in range(factors)), direction) for k, direction in enumerate(directions)]
    state: list[Polynomial] = [{(0,) * factors: value} for value in initial]
    squares = []
    for _ in range(horizon):
        squares.append(sum((_expectation_of_square(component) for component in state), Fraction(0)))
        moved: list[Polynomial] = [{} for _ in range(dimension)]
        for exponents, matrix in terms:
            for row in range(dimension):
                for column in range(dimension):
                    weight = matrix[row][column]
                    if weight:
                        for powers, value in state[column].items():
                            key = tuple(p + e for p, e in zip(powers, exponents, strict=True))
                            moved[row][key] = moved[row].get(key, Fraction(0)) + weight * value
        state = moved
    return squares


def _expectation_of_square(polynomial: Polynomial) -> Fraction:
    total = Fraction(0)
    for first, left in polynomial.items():
        for second, right in polynomial.items():
            moment = 1
            for p, q in zip(first, second, strict=True):
                moment *= normal_moment(p + q)
                if not moment:
                    break
            total += moment * left * right
    return total


@cache
def _grid(factors: int, nodes: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Nodes (n^K, K) and weights (n^K,) of the tensor rule for N(0, I_K)."""
    points, weights = np.polynomial.hermite_e.hermegauss(nodes)
    weights = weights / weights.sum()
    grid = np.stack(np.meshgrid(*[points] * factors, indexing="ij"), -1).reshape(-1, factors)
    product = np.prod(np.stack(np.meshgrid(*[weights] * factors, indexing="ij"), -1).reshape(-1, factors), axis=1)
    return grid, product


def quadrature_squares(
    closed_loop: NDArray[np.float64], directions: NDArray[np.float64], initial: NDArray[np.float64], horizon: int
) -> NDArray[np.float64]:
    """The same expectations in floating point.

    Args:
        closed_loop: A, shape (d, d).
        directions: shape (K, d, d).
        initial: x_0, shape (d,).
        horizon: number of states; ``horizon`` nodes per factor integrate the degree 2(horizon-1) exactly.

    Returns:
        Shape (horizon,).
    """
    grid, weights = _grid(len(directions), horizon)
    loops = closed_loop + np.einsum("nk,kij->nij", grid, directions)
    state = np.broadcast_to(initial, (len(grid), len(initial)))
    squares = []
    for _ in range(horizon):
        squares.append(float(weights @ (state**2).sum(1)))
        state = np.einsum("nij,nj->ni", loops, state)
    return np.array(squares)

"""How a policy's actions are computed in a rollout: in blocks of columns, so that no episode feels its neighbours.

A matrix product rounds differently for different numbers of columns, and for many numbers differently from place to
place among them. Here a product always has `COLUMNS` columns, activations are (blocks, features, COLUMNS), and the
kernels of the BLAS in use are tried once for every shape: each of the columns must come out bit for bit the same
wherever it stands and whatever stands beside it. Where a BLAS fails that, NumPy's own (slow) loop takes its place.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Protocol

import numpy as np
from threadpoolctl import threadpool_limits

from neural.control.tasks import Task

COLUMNS = 16
"""Columns of every product."""

Product = Callable[[np.ndarray, np.ndarray], np.ndarray]


class Actor(Protocol):
    """A policy made ready to act. Stateless, so that several threads may share it.

    Observations are (n, window, observation_size) float64, the newest last; of the window only the last
    ``valid[i]`` ≥ 1 entries of row i have been seen, the others are zero. A row's action depends, bit for bit, on its
    own observations alone.
    """

    def act(self, observations: np.ndarray, valid: np.ndarray) -> np.ndarray:
        """Mean actions, (n, action_size), before they are clipped to the task's range."""
        ...

    def sample(self, observations: np.ndarray, valid: np.ndarray, normals: np.ndarray) -> np.ndarray:
        """Actions of the stochastic policy, (n, action_size), from standard normals (n, action_size) float32."""
        ...


class Policy(Protocol):
    """What can be rolled out."""

    @property
    def observation_size(self) -> int:
        """Length of an observation."""
        ...

    @property
    def action_size(self) -> int:
        """Length of an action."""
        ...

    @property
    def window(self) -> int:
        """Number of latest observations an action depends on, ≥ 1."""
        ...

    @property
    def stochastic(self) -> bool:
        """Whether its actor can `sample`."""
        ...

    def actor(self) -> Actor:
        """The policy made ready to act."""
        ...


def require_fit(name: str, policy: Policy, task: Task) -> None:
    """ValueError naming `name` unless the policy has the task's observation and action sizes."""
    for size in ("observation_size", "action_size"):
        has, wanted = getattr(policy, size), getattr(task, size)
        if has != wanted:
            raise ValueError(f"{name} must have {size} {wanted} for {task.id}, got {has}")


def columns(rows: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Rows (n, features) as columns of blocks (⌈n / COLUMNS⌉, features, COLUMNS) of `dtype`, the missing ones zero."""
    n, features = rows.shape
    blocks = -(-n // COLUMNS)
    out = np.zeros((blocks, features, COLUMNS), dtype=dtype)
    for i in range(blocks):
        part = rows[i * COLUMNS : (i + 1) * COLUMNS]
        out[i, :, : len(part)] = part.T
    return out


def rows(columns: np.ndarray, n: int) -> np.ndarray:
    """The first n of the columns of blocks (blocks, features, COLUMNS), as rows (n, features)."""
    return columns.swapaxes(1, 2).reshape(-1, columns.shape[1])[:n]


@functools.cache
def product(outputs: int, inputs: int, dtype: np.dtype) -> Product:
    """The product (outputs, inputs) @ (..., inputs, COLUMNS), both in C order, whose columns are independent.

    BLAS, limited by the caller to one thread, where `independent` finds it to be so; else NumPy's own loop.
    """
    return np.matmul if independent(np.matmul, outputs, inputs, dtype) else _loop


def _loop(weights: np.ndarray, x: np.ndarray) -> np.ndarray:
    return np.einsum("oi,...ic->...oc", weights, x)


def independent(multiply: Product, outputs: int, inputs: int, dtype: np.dtype) -> bool:
    """Whether one column's product is, bit for bit, the same in every place and beside any others.

    Tried, not proved: on random weights and three columns, each in every place of two blocks among random others.
    """
    rng = np.random.default_rng(0)
    weights = rng.standard_normal((outputs, inputs)).astype(dtype)
    others = rng.standard_normal((2, inputs, COLUMNS)).astype(dtype)
    with threadpool_limits(1, user_api="blas"):
        for column in rng.standard_normal((3, inputs)).astype(dtype):
            wanted = multiply(weights, columns(column[None], dtype))[0, :, 0]
            for block, place in np.ndindex(2, COLUMNS):
                x = others.copy()
                x[block, :, place] = column
                if not np.array_equal(multiply(weights, x)[block, :, place], wanted):
                    return False
    return True

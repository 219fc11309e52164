"""A bank of averages kept on one training run: any number of them, their rates γ_t from `gvatheory.averaging`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gvatheory.averaging import EMA, Polyak, PowerEMA, RecursiveAverage, Tail

Bank = Mapping[str, RecursiveAverage]
"""Averages by name, in order; "raw" is reserved for the iterate itself."""


def default_bank() -> dict[str, RecursiveAverage]:
    """Nine averages: constant rates, powers with and without burn-in, Polyak's and a tail average."""
    return {
        "EMA 0.01": EMA(0.01),
        "EMA 0.003": EMA(0.003),
        "EMA 0.001": EMA(0.001),
        "power 0.5": PowerEMA(0.5),
        "power 2/3": PowerEMA(2 / 3),
        "power 0.8": PowerEMA(0.8),
        "Polyak": Polyak(),
        "power 2/3, burn-in 5000": PowerEMA(2 / 3, burn_in=5000),
        "tail 20%": Tail(0.2),
    }


def rate_table(bank: Bank, steps: int) -> np.ndarray:
    """γ_t of every average for the updates t = 1..steps, computed in float64: (steps, len(bank)) float32.

    Raises:
        ValueError: if the bank is empty or uses the name "raw".
    """
    if not bank:
        raise ValueError("bank must hold at least one average, got none")
    if "raw" in bank:
        raise ValueError('bank must not use the name "raw": it is the iterate itself')
    return np.stack([average.rates(steps) for average in bank.values()], axis=1).astype(np.float32)


def init_bank(params: Any, count: int) -> Any:
    """θ̃_0 = θ_0 for every average: the pytree of `params` with a leading axis of `count`."""
    return jax.tree.map(lambda p: jnp.broadcast_to(p, (count, *p.shape)).copy(), params)


def update_bank(averages: Any, params: Any, rates: jax.Array) -> Any:
    """One update θ̃ ← θ̃ + γ (θ − θ̃) of every average; traceable.

    The increment form keeps its accuracy in float32 for small γ, where (1 − γ) θ̃ would drift; γ = 1 copies θ exactly.

    Args:
        averages: pytree with a leading axis (A,).
        params: pytree of the new iterate.
        rates: γ_t, (A,).
    """

    def leaf(old: jax.Array, new: jax.Array) -> jax.Array:
        gamma = rates.reshape(-1, *([1] * new.ndim)).astype(old.dtype)
        return jnp.where(gamma == 1, new, old + gamma * (new - old))

    return jax.tree.map(leaf, averages, params)

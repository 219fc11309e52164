"""A bank of averages kept on one training run: any number of them, their rates γ_t from `gvatheory.averaging`.

Every iterate counts, but the averages are not touched at each: `block_length` iterates are kept and then folded in by
one matrix product. After a block from update s to t an average is κ θ̃_s + Σ_r w_r θ_r, with κ = Π(1 − γ_r) and
w_r = γ_r Π_{q>r}(1 − γ_q), exactly what the updates one by one would leave, at a fraction of their memory traffic and
with fewer roundings. In the middle of a block the average is the same sum over what there is of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gvatheory.averaging import EMA, Polyak, PowerEMA, RecursiveAverage, Tail

Bank = Mapping[str, RecursiveAverage]
"""Averages by name, in order; "raw" is reserved for the iterate itself."""

_CHUNK = 65_536
"""Parameters that are folded in at a time: the averages of a few stay in a core's cache, and are changed in place."""


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
    """γ_t of every average for the updates t = 1..steps: (steps, len(bank)) float64.

    Raises:
        ValueError: if the bank uses the name "raw".
    """
    if "raw" in bank:
        raise ValueError('bank must not use the name "raw": it is the iterate itself')
    table = np.empty((steps, len(bank)))
    for i, average in enumerate(bank.values()):
        table[:, i] = average.rates(steps)
    return table


def block_length(parameters: int) -> int:
    """Iterates that are kept before they are folded in: 32, fewer (at least 8) where they would fill the memory."""
    return int(np.clip(2**25 // max(parameters, 1), 8, 32))


def init_bank(params: Any, count: int) -> Any:
    """θ̃_0 = θ_0 for every average: the pytree of `params` with a leading axis of `count`."""
    return jax.tree.map(lambda p: jnp.broadcast_to(p, (count, *p.shape)).copy(), params)


def block_weights(rates: np.ndarray, length: int) -> tuple[np.ndarray, np.ndarray]:
    """Weights of a block: κ − 1 of the averages before it, (A,), and w of its iterates, (A, length), float32.

    Args:
        rates: γ of the updates made in the block, (r, A) with 1 ≤ r ≤ length, in float64; the weights of the
            length − r iterates that are still to come are zero.
        length: of a whole block.
    """
    kept_after = np.cumprod((1.0 - rates)[::-1], axis=0)[::-1]
    weights = np.zeros((rates.shape[1], length))
    weights[:, : len(rates)] = (rates * np.append(kept_after[1:], np.ones((1, rates.shape[1])), axis=0)).T
    return (kept_after[0] - 1.0).astype(np.float32), weights.astype(np.float32)


def fold(averages: Any, iterates: Any, change: jax.Array, weights: jax.Array) -> Any:
    """The averages at the end of a block; traceable.

    As an increment, θ̃ + (Σ w θ + (κ−1) θ̃), so that nothing drifts in float32 where 1 − κ is small; where κ = 0 the old
    value is left out altogether, and a rate of one at the block's last update copies its iterate exactly.

    Args:
        averages: pytree with a leading axis (A,), at the start of the block.
        iterates: pytree with a leading axis (length,).
        change, weights: as made by `block_weights`.
    """

    less = change[:, None]

    def part(old: jax.Array, block: jax.Array) -> jax.Array:
        new = weights @ block
        return jnp.where(less == -1, new, old + (new + less * old))

    def leaf(old: jax.Array, block: jax.Array) -> jax.Array:
        flat, iterates = old.reshape(len(old), -1), block.reshape(len(block), -1)
        whole = (flat.shape[1] - 1) // _CHUNK

        def chunk(i: jax.Array, flat: jax.Array) -> jax.Array:
            at = i * _CHUNK
            now, seen = (jax.lax.dynamic_slice_in_dim(x, at, _CHUNK, axis=1) for x in (flat, iterates))
            return jax.lax.dynamic_update_slice_in_dim(flat, part(now, seen), at, axis=1)

        if whole:
            flat = jax.lax.fori_loop(0, whole, chunk, flat)
        rest = slice(whole * _CHUNK, None)
        return flat.at[:, rest].set(part(flat[:, rest], iterates[:, rest])).reshape(old.shape)

    return jax.tree.map(leaf, averages, iterates)

"""A causal transformer over a window of observations: its weights, and its forward pass for training.

Each observation of the window is one token; the blocks are GPT-2's (Radford et al. 2019): layer norm before attention
and before a four times wider network, each added to what goes past it. Positions are learned and count from the newest
observation, which always stands last; the action is read there. `transformer.TransformerPolicy` computes the same in
NumPy for rollouts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

EPSILON = 1e-5
"""Added to a variance before its root is divided by."""


def initial_transformer(
    key: jax.Array, observation_size: int, action_size: int, *, window: int, width: int, layers: int
) -> dict[str, Any]:
    """Weights uniform in ±√(1/n_in), zero biases, unit scales, positions of standard deviation 0.02; float32.

    Returns:
        embed {W, b}, positions (window, width), blocks [{attention_norm, query, key, value, mix, network_norm, widen,
        narrow}], norm, head; norms are {scale, shift}, the others {W, b}.
    """
    keys = iter(jax.random.split(key, 3 + 6 * layers))

    def affine(inputs: int, outputs: int) -> dict[str, jax.Array]:
        bound = inputs**-0.5
        w = jax.random.uniform(next(keys), (inputs, outputs), jnp.float32, -bound, bound)
        return {"W": w, "b": jnp.zeros((outputs,), jnp.float32)}

    def norm() -> dict[str, jax.Array]:
        return {"scale": jnp.ones((width,), jnp.float32), "shift": jnp.zeros((width,), jnp.float32)}

    def block() -> dict[str, Any]:
        square = {name: affine(width, width) for name in ("query", "key", "value", "mix")}
        network = {"widen": affine(width, 4 * width), "narrow": affine(4 * width, width)}
        return {"attention_norm": norm(), "network_norm": norm(), **square, **network}

    return {
        "embed": affine(observation_size, width),
        "positions": 0.02 * jax.random.normal(next(keys), (window, width), jnp.float32),
        "blocks": [block() for _ in range(layers)],
        "norm": norm(),
        "head": affine(width, action_size),
    }


def transform(
    params: Any,
    x: jax.Array,
    valid: jax.Array,
    *,
    heads: int,
    activation: Callable[[jax.Array], jax.Array],
    drop: Callable[[jax.Array, int], jax.Array],
) -> jax.Array:
    """Outputs (n, action_size) of windows of normalised observations.

    Args:
        x: (n, window, observation_size), the newest last.
        valid: (n,) integers: that many last entries of each window have been seen; the others have no influence.
        heads: of the attention; divides the width.
        activation: of the wider networks.
        drop: called with what a block adds and its place in the network, 0, 1, ...; leaves some of it out.
    """
    at = jnp.arange(x.shape[1])
    seen = at[None, :] >= x.shape[1] - valid[:, None]
    # An entry that has not been seen attends to itself, as its weights must be finite; no other attends to it.
    allowed = (at[:, None] >= at) & (seen[:, None, :] | (at[:, None] == at))
    h = _affine(params["embed"], x) + params["positions"]
    for i, block in enumerate(params["blocks"]):
        h = h + drop(_attention(block, _norm(block["attention_norm"], h), allowed, heads), 2 * i)
        wide = activation(_affine(block["widen"], _norm(block["network_norm"], h)))
        h = h + drop(_affine(block["narrow"], wide), 2 * i + 1)
    return _affine(params["head"], _norm(params["norm"], h[:, -1]))


def _attention(block: Any, x: jax.Array, allowed: jax.Array, heads: int) -> jax.Array:
    """Of (n, window, width), under the mask (n, window, window) of what (second axis) sees what (third)."""

    def split(name: str) -> jax.Array:  # (n, heads, window, width/heads)
        return jnp.swapaxes(_affine(block[name], x).reshape(*x.shape[:2], heads, -1), 1, 2)

    query, key, value = (split(name) for name in ("query", "key", "value"))
    scores = query @ jnp.swapaxes(key, 2, 3) / query.shape[3] ** 0.5
    weights = jax.nn.softmax(jnp.where(allowed[:, None], scores, -jnp.inf), axis=-1)
    return _affine(block["mix"], jnp.swapaxes(weights @ value, 1, 2).reshape(x.shape))


def _affine(layer: Any, x: jax.Array) -> jax.Array:
    return x @ layer["W"] + layer["b"]


def _norm(layer: Any, x: jax.Array) -> jax.Array:
    x = x - x.mean(axis=-1, keepdims=True)
    return x / jnp.sqrt(jnp.mean(x**2, axis=-1, keepdims=True) + EPSILON) * layer["scale"] + layer["shift"]

"""What is measured of a network on given pairs while it trains: its cloning loss, and the noise of its gradient."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from neural.control.learner import ACTIVATIONS, Learner, Pairs, batch, cloning_loss, predict
from neural.control.policies import Activation, OutputMap

_AT_ONCE = 128
"""Windows that a probe takes at a time, to bound its memory."""


def pairs_loss(learner: Learner, params: Any, pairs: Pairs) -> jax.Array:
    """ℓ_BC over all pairs, without noise or dropout, in squared units of the action."""
    if learner.architecture == "mlp":
        return cloning_loss(params, pairs.observations, pairs.actions, learner.activation, learner.output)

    def square(i: jax.Array) -> jax.Array:
        x, u = batch(learner, pairs, i[None])
        return jnp.sum((predict(learner, params, x) - u) ** 2)

    return jnp.mean(jax.lax.map(square, jnp.arange(len(pairs.actions)), batch_size=_AT_ONCE))


def pairs_gradient_noise(
    learner: Learner, params: Any, pairs: Pairs, indices: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """`gradient_noise` of the learner's network over the pairs at `indices`.

    Of a transformer, from each pair's own gradient.
    """
    if learner.architecture == "mlp":
        chosen = pairs.observations[indices], pairs.actions[indices]
        return gradient_noise(params, *chosen, learner.activation, learner.output)

    def square(params: Any, i: jax.Array) -> jax.Array:
        x, u = batch(learner, pairs, i[None])
        return jnp.sum((predict(learner, params, x) - u) ** 2)

    def add(sums: Any, i: jax.Array) -> tuple[Any, jax.Array]:
        grad = jax.grad(square)(params, i)
        return jax.tree.map(jnp.add, sums, grad), _square(grad)

    count = len(indices)
    sums, squares = jax.lax.scan(add, jax.tree.map(jnp.zeros_like, params), indices)
    return _unbiased(jnp.sum(squares), _square(sums) / count**2, count)


def gradient_noise(
    params: Any, x: jax.Array, u: jax.Array, activation: Activation, output: OutputMap
) -> tuple[jax.Array, jax.Array]:
    """Trace of the covariance over examples of the gradient of ‖π(x) − u‖², and squared norm of the mean gradient.

    Both without bias from n ≥ 2 independent pairs: with g_i the examples' gradients and ḡ their mean, the trace is
    Σ‖g_i − ḡ‖²/(n−1), and ‖ḡ‖² is lowered by trace/n (so it can come out negative). A batch of b has trace/b.
    No g_i is formed: that of a layer is the outer product of its input and the slope δ_i in its sum, so ‖g_i‖² is the
    sum over layers of (‖input‖² + 1)‖δ_i‖² (Goodfellow 2015, arXiv 1510.01799).
    """

    def total(shifts: list[jax.Array]) -> tuple[jax.Array, list[jax.Array]]:
        inputs, h = [], x
        for i, (layer, shift) in enumerate(zip(params, shifts, strict=True)):
            inputs.append(h)
            h = h @ layer["W"] + layer["b"] + shift
            if i < len(params) - 1:
                h = ACTIVATIONS[activation](h)
        out = jnp.tanh(h) if output == "tanh" else h
        return jnp.sum((out - u) ** 2), inputs

    count = len(x)
    slopes, inputs = jax.grad(total, has_aux=True)([jnp.zeros((count, len(layer["b"]))) for layer in params])
    squares: Any = sum(
        jnp.sum((jnp.sum(h**2, axis=1) + 1) * jnp.sum(d**2, axis=1)) for h, d in zip(inputs, slopes, strict=True)
    )
    mean: Any = sum(
        jnp.sum((h.T @ d / count) ** 2) + jnp.sum(jnp.mean(d, axis=0) ** 2) for h, d in zip(inputs, slopes, strict=True)
    )
    return _unbiased(squares, mean, count)


def _square(tree: Any) -> jax.Array:
    """Sum of squares over all leaves."""
    return sum((jnp.sum(leaf**2) for leaf in jax.tree.leaves(tree)), jnp.zeros(()))


def _unbiased(squares: jax.Array, mean: jax.Array, count: int) -> tuple[jax.Array, jax.Array]:
    """Trace and squared norm from Σ‖g_i‖² and ‖ḡ‖²."""
    trace = (squares - count * mean) / (count - 1)
    return trace, mean - trace / count

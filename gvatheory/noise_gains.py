"""Variances of many averages of one noisy run at once, by one backward pass: ẽ_T = β_T e_0 + Σ_t g_{T,t} ξ_t.

`learning.exact_law` carries covariances forward, average by average. Where directions are independent the gains g of
the noise are all there is to a variance (theory section 3), and one pass backwards has those of every average, and of
the averages along a window, in all directions at once. With the method's state s, s_t = F_t s_{t−1} + B_t ξ_t,
F = A + B hᵀλ, the gain of ξ_t in Σ_t w_t θ_t is B_tᵀ p_t, p_t = w_t e_1 + F_{t+1}ᵀ p_{t+1}.

Checked against `exact_law` for SGD, heavy ball and Nesterov's method, and against gains written out step by step
(tests/theory/test_noise_gains.py).
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from gvatheory import validation
from gvatheory._float64 import in_float64
from gvatheory.methods import SGD, Method
from gvatheory.moments import Pattern, join, product, split, total


class NoiseGains(NamedTuple):
    """Sums of squared gains: variances per unit variance of a batch's gradient noise.

    Attributes:
        variance: of every average, (groups, averages, d).
        scatter: expected sample variance (divisor n − 1) among the n averages of a group, (groups, d); NaN for n = 1.
    """

    variance: Float[np.ndarray, "groups averages d"]
    scatter: Float[np.ndarray, "groups d"]


@in_float64
def noise_gains(
    curvature: np.ndarray, step_sizes: np.ndarray, kernels: np.ndarray, method: Method | None = None
) -> NoiseGains:
    """Variance of averages of one run along independent directions, and how much they differ among themselves.

    Args:
        curvature: (d,) λ ≥ 0.
        step_sizes: (T,) η_0, ..., η_{T−1}, T ≥ 1.
        kernels: (groups, averages, T + 1) weights of θ_0, ..., θ_T; `Average.kernel` makes one.
        method: `SGD()` if not given.

    Raises:
        ValueError: if a shape does not fit or a curvature is negative.
        OverflowError: if a variance leaves float64.
    """
    lam, eta = (validation.array(n, v, 1) for n, v in (("curvature", curvature), ("step_sizes", step_sizes)))
    weights = validation.array("kernels", kernels, 3)
    if lam.ndim != 1 or np.any(lam < 0):
        raise ValueError(f"curvature must be a vector of numbers of at least 0, got {curvature!r}")
    if eta.ndim != 1 or not len(eta):
        raise ValueError(f"step_sizes must be a vector of at least one, got shape {eta.shape}")
    if weights.ndim != 3 or weights.shape[2] != len(eta) + 1:
        raise ValueError(f"kernels must have shape (groups, averages, {len(eta) + 1}), got {weights.shape}")
    pattern, data = split((method or SGD()).steps(eta))
    data = [np.broadcast_to(np.asarray(x, dtype=np.float64), eta.shape) for x in data]
    variance, scatter = _backwards(pattern)(data, jnp.asarray(lam), jnp.asarray(np.moveaxis(weights, 2, 0)))
    found = NoiseGains(np.asarray(variance), np.asarray(scatter))
    if not np.all(np.isfinite(found.variance)):
        raise OverflowError("a variance exceeds float64: are the step sizes stable?")
    return found


def _sum(terms: Any, like: jax.Array) -> jax.Array:
    """Sum of products of which structural zeros are None."""
    found = total(terms)
    return jnp.zeros_like(like) if found is None else found * jnp.ones_like(like)


@functools.lru_cache(maxsize=8)
def _backwards(pattern: Pattern) -> Any:
    """The pass of a method of that structure, compiled."""

    def run(data: Any, lam: jax.Array, weights: jax.Array) -> tuple[jax.Array, jax.Array]:
        count = weights.shape[2]
        n = len(join(pattern, [0.0] * len(data))[0])
        start = weights[-1][..., None] * jnp.ones_like(lam)  # (groups, averages, d)
        p = (start, *(jnp.zeros_like(start) for _ in range(n - 1)))

        def back(state: Any, now: Any) -> tuple[Any, None]:
            p, variance, scatter = state
            values, before = now
            h, a, b = join(pattern, values)
            gain = _sum((product(b[i], p[i]) for i in range(n)), p[0])
            apart = gain - gain.mean(axis=1, keepdims=True)
            state = variance + gain**2, scatter + jnp.sum(apart**2, axis=1)
            carried = [
                _sum((*(product(a[i][j], p[i]) for i in range(n)), product(h[j], lam * gain)), gain) for j in range(n)
            ]
            carried[0] = carried[0] + before[..., None]
            return (tuple(carried), *state), None

        zero = jnp.zeros_like(start)
        (_, variance, scatter), _ = jax.lax.scan(back, (p, zero, zero[:, 0]), (data, weights[:-1]), reverse=True)
        return variance, scatter / (count - 1) if count > 1 else jnp.full_like(scatter, jnp.nan)

    return jax.jit(run)

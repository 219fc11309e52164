"""The engine of the exact laws: mean and covariance of an averaged linear method, in an eigenbasis, by one scan.

State per eigendirection i: the method's positions s_a and the accumulated average S, in coordinates relative to the
optimum, which may move by Δ_t. With F_ab = A_ab + B_a h_b λ_i,

    s_a ← Σ_b F_ab s_b + B_a ξ_i − Δ_i,      S ← keep·S + take·s_1 − keep·W Δ_i   (W: total weight in S so far).

Entry (i, j) of each covariance obeys its own recursion, driven by the noise covariance N_ij. In linear regression N
also depends on the second moment of the error at the gradient's point, through the fourth moments of the features.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from gvatheory.averaging import Coefficients
from gvatheory.methods import Steps


class Regression(NamedTuple):
    """What multiplicative noise needs: number of outputs m and batch size b; the coordinates are (output, feature)."""

    outputs: int
    batch_size: int


Pattern = tuple[int | None, ...]
"""Entries of `Steps` in reading order: a structural 0 or 1, or None where the value is data."""


def split(steps: Steps) -> tuple[Pattern, list[Any]]:
    """The structure of a method and its data: entries that are the integers 0 and 1 are compiled in."""
    entries = [*steps.point, *(x for row in steps.transition for x in row), *steps.push]
    entries = [x if not isinstance(x, int) or x in (0, 1) else float(x) for x in entries]
    pattern = tuple(x if isinstance(x, int) else None for x in entries)
    return pattern, [x for x in entries if not isinstance(x, int)]


def join(pattern: Pattern, data: Any) -> tuple[list[Any], list[list[Any]], list[Any]]:
    """h, A and B of a step, from `split`."""
    values = iter(data)
    entries = [next(values) if x is None else x for x in pattern]
    n = next(n for n in range(1, len(pattern)) if n * n + 2 * n == len(pattern))
    return entries[:n], [entries[n * (1 + a) : n * (2 + a)] for a in range(n)], entries[-n:]


def product(*factors: Any) -> Any:
    """Product of factors of which an integer 0 or 1 is structural: None stands for zero."""
    out = 1
    for factor in factors:
        if factor is None or (isinstance(factor, int) and factor == 0):
            return None
        out = out if isinstance(factor, int) else factor if isinstance(out, int) else out * factor
    return out


def total(terms: Any) -> Any:
    """Sum of terms, None where all are structurally zero."""
    kept = [x for x in terms if x is not None]
    return functools.reduce(lambda x, y: x + y, kept) if kept else None


def _dense(x: Any, like: Array) -> Array:
    return jnp.zeros_like(like) if x is None else jnp.broadcast_to(x, like.shape)


def regression_noise(label: Array, curvature: Array, second: Array, outputs: int, batch_size: Any) -> Array:
    """Covariance of a batch's gradient in regression, around its mean: label + (λ_iλ_j Y_ji + δ_ij λ_i tr ΣY)/b.

    Isserlis' theorem for Gaussian features, with `second` = Y = E[y yᵀ] at the gradient's point, (d, d), or its
    diagonal (d,) where the rest is zero. For several outputs k, l the exchanged term is λ_iλ_j Y^{kl}_{ji}.
    """
    features = curvature.shape[0] // outputs
    lam = curvature[:features]
    if second.ndim == 1:
        trace = jnp.sum(lam * second.reshape(outputs, features), axis=1)
        return label + (curvature**2 * second + curvature * jnp.repeat(trace, features)) / batch_size
    y = second.reshape(outputs, features, outputs, features)
    trace = jnp.einsum("kili,i->kl", y, lam)
    exchanged = jnp.einsum("kilj,i,j->kjli", y, lam, lam)
    diagonal = jnp.einsum("kl,i,ij->kilj", trace, lam, jnp.eye(features))
    return label + (exchanged + diagonal).reshape(second.shape) / batch_size


def averaged_moments(
    curvature: Any,
    noise: Any,
    pattern: Pattern,
    data: list[Any],
    average: Coefficients,
    drift: Any,
    initial_error: Any,
    outputs: int | None = None,
    batch_size: Any = None,
) -> tuple[Array, Array]:
    """Mean and covariance of ẽ_T in the eigenbasis; pure JAX, differentiable in every argument but the structure.

    Args:
        curvature: λ, (d,).
        noise: covariance of a batch's noise: (d, d), or (d,) where only variances are wanted. In regression, the part
            due to the labels.
        pattern, data: from `split`; each of `data` is (T,).
        average: coefficients of the average.
        drift: Δ_t, (T, d), or None.
        initial_error: e_0, (d,).
        outputs, batch_size: of a regression, whose noise has a multiplicative part; None where there is none.

    Returns:
        mean (d,) and covariance of the shape of `noise`.
    """
    curvature, noise, initial_error = jnp.asarray(curvature), jnp.asarray(noise), jnp.asarray(initial_error)
    diagonal = noise.ndim == 1

    def left(x: Any, y: Any) -> Any:
        """x_i y_ij, for x per direction (or a number) and y a covariance."""
        if x is None or y is None:
            return None
        return product(x[:, None] if not diagonal and jnp.ndim(x) == 1 else x, y)

    def transpose(y: Any) -> Any:
        return y if diagonal or y is None else y.T

    def outer(x: Any, y: Any) -> Any:
        return x * y if diagonal else x[:, None] * y[None, :]

    def step(state: Any, now: Any) -> tuple[Any, None]:
        means, mean_avg, covs, crosses, cov_avg, weight = state
        entries, keep, take, delta = now
        point, transition, push = join(pattern, entries)
        n = len(point)
        every = range(n)
        cov = {(a, b): covs[a][b - a] if a <= b else transpose(covs[b][a - b]) for a in every for b in every}
        noise_now = noise
        if outputs is not None:
            second = total(
                product(point[a], point[b], cov[a, b] + outer(means[a], means[b])) for a in every for b in every
            )
            noise_now = regression_noise(noise, curvature, second, outputs, batch_size)
        f = [[total((product(transition[a][b]), product(push[a], point[b], curvature))) for b in every] for a in every]
        shift = 0.0 if delta is None else delta
        means = [_dense(total(product(f[a][b], means[b]) for b in every), curvature) - shift for a in every]
        mean_avg = keep * (mean_avg - weight * shift) + take * means[0]
        weight = keep * weight + take
        half = [[total(left(f[a][b], cov[b, c]) for b in every) for c in every] for a in every]  # Σ_b F_ab P_bc
        moved = [
            [
                _dense(
                    total(
                        (
                            *(transpose(left(f[b][c], transpose(half[a][c]))) for c in every),
                            product(push[a], push[b], noise_now),
                        )
                    ),
                    noise,
                )
                for b in range(a, n)
            ]
            for a in every
        ]
        if n > 1 and not diagonal:
            # Each block (b, a) is read as the transpose of (a, b). Rounding must not break that symmetry: the part that
            # it would add does not decay.
            for a in every:
                moved[a][0] = 0.5 * (moved[a][0] + moved[a][0].T)
        to_avg = [_dense(total(left(f[a][b], crosses[b]) for b in every), noise) for a in every]  # Cov(s_a', S)
        both = to_avg[0] + transpose(to_avg[0])
        cov_avg = keep**2 * cov_avg + keep * take * both + take**2 * moved[0][0]
        with_first = [moved[0][0], *(transpose(moved[0][a]) for a in range(1, n))]  # Cov(s_a', s_1')
        crosses = [keep * to_avg[a] + take * with_first[a] for a in every]
        return (means, mean_avg, moved, crosses, cov_avg, weight), None

    n = len(join(pattern, [None] * pattern.count(None))[0])
    zero = jnp.zeros_like(noise)
    start = jnp.asarray(average.start, dtype=noise.dtype)
    covs = [[zero] * (n - a) for a in range(n)]
    state = ([initial_error] * n, start * initial_error, covs, [zero] * n, zero, start)
    (_, mean_avg, _, _, cov_avg, _), _ = jax.lax.scan(step, state, (data, average.keep, average.take, drift))
    return mean_avg, cov_avg


averaged_moments_jit = jax.jit(averaged_moments, static_argnames=("pattern", "outputs"))


def padded(steps: int, data: list[Any], average: Coefficients, drift: Any) -> tuple[list[Any], Coefficients, Any]:
    """The same run with idle steps at its end, up to a power of two: the number of compilations stays logarithmic in T.

    An idle step has zero data, drift and take, and keeps the average. Entries that are numbers become (T,) arrays.
    """
    idle = (1 << max(steps - 1, 0).bit_length()) - steps

    def pad(x: Any, value: float = 0.0) -> Any:
        return np.pad(np.broadcast_to(x, (steps,)), (0, idle), constant_values=value)

    coefficients = Coefficients(average.start, pad(average.keep, 1.0), pad(average.take))
    return [pad(x) for x in data], coefficients, None if drift is None else np.pad(drift, ((0, idle), (0, 0)))

"""Largest Lyapunov exponents: of a fixed loop, of a loop whose gain is drawn anew at every step, of a smooth map."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float
from scipy.special import ndtri

from gvatheory import validation
from gvatheory._float64 import in_float64
from gvatheory.stability import loop_matrices, spectral_radius
from gvatheory.validation import Numbers


class ExponentEstimate(NamedTuple):
    """Monte Carlo estimate of a Lyapunov exponent (per step, natural logarithm) with a two-sided normal interval."""

    value: float
    standard_error: float
    low: float
    high: float


def lyapunov_exponent(A: Numbers) -> float:
    """Largest Lyapunov exponent of x' = A x: the logarithm of the spectral radius (−inf for a nilpotent A)."""
    with np.errstate(divide="ignore"):
        return float(np.log(spectral_radius(A)))


def random_lyapunov_exponent(
    A_cl: Numbers,
    B: Numbers,
    std: float,
    steps: int,
    seed: int,
    *,
    chains: int = 64,
    burn_in: int = 100,
    confidence: float = 0.99,
) -> ExponentEstimate:
    """Largest Lyapunov exponent of x' = (A_cl + BΔ_h) x, the entries of Δ_h drawn anew from N(0, std²) at each step.

    Given x, Δ_h x ~ N(0, std²‖x‖² I), so a step needs m normals. Each of the independent chains averages log(‖x'‖/‖x‖)
    over its steps; the interval is across chains. Checked against E log|a + bδ| (quadrature), explicit matrix products
    and Newman's ½(ψ(n/2) + ln 2) + ln std for A_cl = 0, B = I.

    Args:
        A_cl: (n, n).
        B: (n, m).
        std: standard deviation of every entry of Δ, ≥ 0.
        steps: per chain, ≥ 1.
        seed: of the generator.
        chains: ≥ 2.
        burn_in: first steps, left out; the bias of the starting direction fades over them.
        confidence: of the interval, in (0, 1).

    Raises:
        ValueError: if a value is out of its range.
    """
    A, B = loop_matrices(A_cl, B)
    validation.real("std", std, 0.0, np.inf)
    validation.real("confidence", confidence, 0.0, 1.0, open_low=True, open_high=True)
    for name, value, low in (("steps", steps, 1), ("chains", chains, 2), ("burn_in", burn_in, 0)):
        validation.integer(name, value, low)
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((chains, len(A)))
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    total = np.zeros(chains)
    for h in range(burn_in + steps):
        x = x @ A.T + std * rng.standard_normal((chains, B.shape[1])) @ B.T
        growth = np.linalg.norm(x, axis=1)
        x /= growth[:, None]
        total += np.log(growth) if h >= burn_in else 0.0
    mean, error = float(total.mean() / steps), float(total.std(ddof=1) / steps / np.sqrt(chains))
    half = float(ndtri(0.5 + confidence / 2.0)) * error
    return ExponentEstimate(mean, error, mean - half, mean + half)


@in_float64
def lyapunov_exponent_of(
    step: Callable[[Any], Any], x0: Numbers, steps: int, *, count: int = 1, burn_in: int = 1000
) -> Float[np.ndarray, " count"]:
    """Largest `count` Lyapunov exponents of a differentiable map along one trajectory, in nats per step, decreasing.

    Tangent vectors are carried by the Jacobian (jax.jvp) and re-orthonormalised at every step; the exponents are the
    mean logarithms of the diagonal of R. Checked on the logistic map (ln 2) and the Hénon map (0.4192, sum ln 0.3).

    Args:
        step: (n,) → (n,), written in jax.numpy; runs in float64, so make its constants inside, or in numpy.
        x0: (n,), the start.
        steps: averaged over, ≥ 1.
        count: 1..n.
        burn_in: steps before, left out.

    Raises:
        ValueError: if a value is out of its range.
        ArithmeticError: if the trajectory leaves float64.
    """
    start = np.atleast_1d(validation.array("x0", x0, 1))
    validation.integer("steps", steps, 1)
    validation.integer("burn_in", burn_in, 0)
    validation.integer("count", count, 1, len(start))

    def advance(state: tuple[jax.Array, jax.Array], _: None) -> tuple[tuple[jax.Array, jax.Array], jax.Array]:
        x, basis = state
        y, push = jax.linearize(step, x)
        basis, stretch = jnp.linalg.qr(jax.vmap(push, 1, 1)(basis))
        return (y, basis), jnp.log(jnp.abs(jnp.diagonal(stretch)))

    basis = np.linalg.qr(np.random.default_rng(0).standard_normal((len(start), count)))[0]
    (x, _), growth = jax.lax.scan(advance, (jnp.asarray(start), jnp.asarray(basis)), length=burn_in + steps)
    if not bool(jnp.all(jnp.isfinite(x))):
        raise ArithmeticError(f"the trajectory from {start} leaves float64 within {burn_in + steps} steps")
    return np.asarray(growth[burn_in:].mean(axis=0))

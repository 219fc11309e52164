"""Curvature of the cloning loss as the gradient's noise sees it: what the linear theory needs to know of a network.

In a linear model each eigendirection of the Hessian H is a filter of its own, so anything of the form tr(Σ f(H)), the
excess loss among it, is an integral of f over one measure: the spectrum of H with the noise Σ of a batch's gradient as
weight, Σ_i (u_iᵀ Σ u_i) δ(λ_i). Entries of Σ between eigendirections do not enter. Lanczos' method started from a
vector v gives the Gauss quadrature of the spectrum of H weighted by (u_iᵀ v)², and for random v with E v vᵀ = Σ that is
the measure on average (Golub & Meurant 1994; Ghorbani, Krishnan & Xiao 2019, arXiv 1901.10159, for networks and
Gaussian v). No matrix is formed.

Everything is in the optimiser's coordinates z = D^{-1/2} θ, in which its updates are SGD or heavy ball: D = 1, but for
Adam D = 1/(√v̂ + ε) with its second moment taken as frozen (see `gvatheory.adaptive`). There the gradient is D^{1/2} g
and the Hessian D^{1/2} H D^{1/2}.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.flatten_util import ravel_pytree

from gvatheory import validation
from neural.control.cloning import CloningRun
from neural.control.learner import Learner, Pairs, batch, predict

ADAM_MOMENTUM, ADAM_DECAY, ADAM_EPSILON = 0.9, 0.999, 1e-8
"""β₁, β₂ and ε of `optax.scale_by_adam` as the learner's optimiser calls it."""

_AT_ONCE = 512
"""Pairs whose gradients are taken at a time: their activations stay in a core's cache."""
_PLAIN = {"loss": "squared", "weight_decay": 0.0, "clip_norm": None, "dropout": 0.0, "label_noise": 0.0}
_PLAIN |= {"input_noise": 0.0}
"""Options of a learner whose updates descend the cloning loss itself."""


@dataclasses.dataclass(frozen=True)
class NoiseSpectrum:
    """Spectrum of the Hessian of ℓ_BC, weighted by the gradient noise of one batch, and the drift at the same point.

    Attributes:
        nodes: (vectors, m) Ritz values, ascending, in the optimiser's coordinates; may be negative.
        weights: (vectors, m), ≥ 0. Each row is one unbiased estimate of the measure; its sum is one of tr(DΣ), Σ the
            covariance of a gradient of the run's batch size.
        smallest: most negative Ritz value of all, or the smallest.
        momentum: μ of the heavy ball, or of Nesterov's method, that the optimiser is in these coordinates; 0 for SGD.
        step_factor: what multiplies the schedule's step sizes there: 1 − β₁ for Adam, else 1.
        nesterov: whether the momentum is Nesterov's.
        gradient_nodes, gradient_weights: (m,), of the same Hessian's spectrum weighted by the mean gradient g over all
            the pairs given.
    """

    nodes: np.ndarray
    weights: np.ndarray
    smallest: float
    momentum: float
    step_factor: float
    nesterov: bool
    gradient_nodes: np.ndarray
    gradient_weights: np.ndarray

    @property
    def gradient_square(self) -> float:
        """gᵀDg."""
        return float(self.gradient_weights.sum())

    @property
    def gradient_curvature(self) -> float:
        """gᵀDHDg."""
        return float(self.gradient_weights @ self.gradient_nodes)

    def trace(self, function: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        """Estimates of tr(Σ_z f(H_z)), (vectors,), for an f that acts on arrays of eigenvalues; their mean is best."""
        return np.sum(self.weights * function(self.nodes), axis=1)


def noise_spectrum(
    run: CloningRun,
    pairs: Pairs,
    *,
    vectors: int = 8,
    nodes: int = 40,
    pairs_used: int = 2048,
    at: Any = None,
    seed: int = 0,
) -> NoiseSpectrum:
    """The noise-weighted spectrum at a point of a run, by Lanczos' method.

    A starting vector is Σ_i s_i (g_i − ḡ)/√(n b) over n = `pairs_used` pairs drawn with replacement, with random signs
    s_i, gradients g_i and the batch size b: its covariance is that of a batch's gradient, and its fourth moments are
    nearly a Gaussian's, which few vectors estimate better than single batches. ḡ is the mean over all pairs. H is that
    of `pairs_used` pairs spread evenly over all.

    Costs (vectors + 1) · nodes products with H, each about three gradients of `pairs_used` pairs, and one gradient of
    all pairs; memory for nodes · d numbers in float64. With 140,038 parameters a product of 2,048 pairs takes a core
    0.05 s, so the defaults take about 20 s. Products are in float32: Ritz values below about 1e-6 of the largest
    are rounding.

    Args:
        run: of one seed; for Adam, past its first update.
        pairs: those it is trained on, as its own `pairs` makes them.
        vectors: starting vectors, ≥ 1.
        nodes: of each quadrature, ≥ 1; no more than d are used.
        pairs_used: for H and for each starting vector, ≥ 1; H takes all pairs if there are fewer.
        at: pytree of weights; by default the iterate. v̂ is the run's own in any case.
        seed: of pairs and signs, ≥ 0.

    Raises:
        ValueError: if an argument is out of range, the run is one of several seeds or Adam's before its first update,
            or its updates do not descend ℓ_BC alone: another loss, weight decay, clipping, dropout or noise.
    """
    for name, value in (("vectors", vectors), ("nodes", nodes), ("pairs_used", pairs_used)):
        validation.integer(name, value, 1)
    validation.integer("seed", seed, 0)
    _require_plain(run)
    learner, params = run.learner, run.state[0] if at is None else at
    root = np.sqrt(_preconditioner(run))
    count = len(pairs.actions)
    every = np.arange(count)

    def gradient(indices: np.ndarray, weights: np.ndarray) -> np.ndarray:
        return root * np.asarray(_gradient(learner, params, pairs, *_chunks(indices, weights)), np.float64)

    few = _chunks(*_evenly(count, pairs_used))

    def product(z: np.ndarray) -> np.ndarray:
        tangent = (root * z).astype(np.float32)
        return root * np.asarray(_product(learner, params, tangent, pairs, *few), np.float64)

    mean = gradient(every, np.full(count, 1.0 / count))
    rng = np.random.default_rng(seed)
    rules = [lanczos(product, mean, nodes)]
    for _ in range(vectors):
        drawn, signs = rng.integers(0, count, pairs_used), rng.choice([-1.0, 1.0], pairs_used)
        start = gradient(drawn, signs) - signs.sum() * mean
        rules.append(lanczos(product, start / np.sqrt(pairs_used * learner.batch_size), nodes))
    (drift, *ritz), (drift_weights, *weights) = zip(*rules, strict=True)
    momentum, step_factor = _momentum(learner)
    return NoiseSpectrum(
        nodes=np.stack(ritz),
        weights=np.stack(weights),
        smallest=float(min(map(np.min, ritz))),
        momentum=momentum,
        step_factor=step_factor,
        nesterov=learner.optimiser == "nesterov",
        gradient_nodes=drift,
        gradient_weights=drift_weights,
    )


def lanczos(
    product: Callable[[np.ndarray], np.ndarray], start: np.ndarray, nodes: int
) -> tuple[np.ndarray, np.ndarray]:
    """Gauss quadrature of a symmetric matrix's spectrum weighted by `start`: nodes ascending and weights, (m,) each.

    vᵀf(H)v ≈ Σ w_j f(x_j), exact for polynomials of degree below 2m, m = min(nodes, d). Every new vector is made
    orthogonal to all before it twice over, so that no Ritz value comes twice (Parlett 1980). Where they span an
    invariant subspace the rule is exact with fewer nodes; the rest have weight 0 and repeat the smallest.

    Args:
        product: z → Hz.
        start: v, (d,).
        nodes: ≥ 1.
    """
    size = min(nodes, len(start))
    basis = np.zeros((size, len(start)))
    diagonal, below = np.zeros(size), np.zeros(size)
    norm = float(np.linalg.norm(start))
    if norm == 0.0:
        return np.zeros(size), np.zeros(size)
    basis[0], used = start / norm, size
    for j in range(size):
        new = product(basis[j])
        diagonal[j] = basis[j] @ new
        for _ in range(2):
            new = new - basis[: j + 1].T @ (basis[: j + 1] @ new)
        below[j] = np.linalg.norm(new)
        if below[j] <= np.finfo(np.float32).eps * np.abs(diagonal[: j + 1]).max():
            used = j + 1
            break
        if j + 1 < size:
            basis[j + 1] = new / below[j]
    off = below[: used - 1]
    ritz, modes = np.linalg.eigh(np.diag(diagonal[:used]) + np.diag(off, 1) + np.diag(off, -1))
    missing = size - used
    return np.pad(ritz, (missing, 0), mode="edge"), np.pad(norm**2 * modes[0] ** 2, (missing, 0))


def _require_plain(run: CloningRun) -> None:
    if run.seeds is not None:
        raise ValueError(f"run must be one of a single seed, got seeds {run.seeds}")
    for name, wanted in _PLAIN.items():
        value = getattr(run.learner, name)
        if value != wanted:
            raise ValueError(f"{name} must be {wanted!r} for updates that descend the cloning loss, got {value!r}")
    if run.learner.optimiser == "adamw" and run.t == 0:
        raise ValueError("run must be past its first update, before which Adam has no second moment, got t = 0")


def _momentum(learner: Learner) -> tuple[float, float]:
    """μ, and the factor of the schedule's step sizes."""
    if learner.optimiser == "adamw":
        return ADAM_MOMENTUM, 1.0 - ADAM_MOMENTUM
    return (0.0 if learner.optimiser == "sgd" else learner.momentum), 1.0


def _preconditioner(run: CloningRun) -> np.ndarray:
    """Diagonal of D, (d,) float64."""
    if run.learner.optimiser != "adamw":
        return np.ones(ravel_pytree(run.state[0])[0].size)
    adam = next(part for part in run.state[1] if isinstance(part, optax.ScaleByAdamState))
    second = np.asarray(ravel_pytree(adam.nu)[0], np.float64) / (1.0 - ADAM_DECAY ** int(np.asarray(adam.count)))
    return 1.0 / (np.sqrt(second) + ADAM_EPSILON)


def _evenly(count: int, wanted: int) -> tuple[np.ndarray, np.ndarray]:
    """Indices of pairs spread evenly over `count`, and the weights of a mean over them."""
    chosen = np.linspace(0, count - 1, min(wanted, count)).astype(int)
    return chosen, np.full(len(chosen), 1.0 / len(chosen))


def _chunks(indices: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both in rows of `_AT_ONCE` or fewer, the last one filled up with weights of zero."""
    width = min(_AT_ONCE, len(indices))
    missing = -len(indices) % width
    rows = (np.pad(values, (0, missing)).reshape(-1, width) for values in (indices, weights))
    return tuple(x.astype(kind) for x, kind in zip(rows, (np.int32, np.float32), strict=True))  # pyright: ignore


def _summed(learner: Learner, params: Any, pairs: Pairs, indices: jax.Array, weights: jax.Array) -> Any:
    """Gradient of Σ_i weights_i ‖π(x_i) − u_i‖², one row of pairs at a time: the pytree of `params`."""

    def loss(params: Any, chosen: jax.Array, weights: jax.Array) -> jax.Array:
        x, u = batch(learner, pairs, chosen)
        return weights @ jnp.sum((predict(learner, params, x) - u) ** 2, axis=1)

    def add(sums: Any, row: tuple[jax.Array, jax.Array]) -> tuple[Any, None]:
        return jax.tree.map(jnp.add, sums, jax.grad(loss)(params, *row)), None

    return jax.lax.scan(add, jax.tree.map(jnp.zeros_like, params), (indices, weights))[0]


@functools.partial(jax.jit, static_argnums=0)
def _gradient(learner: Learner, params: Any, pairs: Pairs, indices: jax.Array, weights: jax.Array) -> jax.Array:
    return ravel_pytree(_summed(learner, params, pairs, indices, weights))[0]


@functools.partial(jax.jit, static_argnums=0)
def _product(
    learner: Learner, params: Any, tangent: jax.Array, pairs: Pairs, indices: jax.Array, weights: jax.Array
) -> jax.Array:
    """H times the tangent (d,), as the derivative of the gradient along it."""
    way = ravel_pytree(params)[1](tangent)
    along = jax.jvp(lambda p: _summed(learner, p, pairs, indices, weights), (params,), (way,))[1]
    return ravel_pytree(along)[0]

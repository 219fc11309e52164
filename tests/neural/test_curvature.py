"""The noise-weighted spectrum against dense eigendecompositions, per-example gradients and updates really made."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

import gvatheory as gva
from neural import averages
from neural.control.cloning import CloningRun
from neural.control.curvature import NoiseSpectrum, lanczos, noise_spectrum
from neural.control.gradients import pairs_loss
from neural.control.learner import Learner, Pairs
from tests.budget import assert_mean

FUNCTIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "mass": np.ones_like,
    "mean": lambda x: x,
    "square": lambda x: x**2,
    "filter": lambda x: 1.0 / (1.0 + 3.0 * np.abs(x)),
}


@functools.cache
def cloned(optimiser: str = "sgd", count: int = 60, updates: int = 30, **changes) -> tuple[CloningRun, Pairs]:
    """A run of a tiny tanh network, d = 26, past a few updates, and its pairs."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(count, 3))
    u = np.sin(2 * x[:, :2]) + 0.5 * rng.normal(size=(count, 2))
    learner = Learner(hidden=(4,), activation="tanh", batch_size=8, optimiser=optimiser, **changes)  # pyright: ignore
    run = CloningRun(learner, gva.Constant(1e-2), averages.rate_table({"EMA": gva.EMA(0.1)}, 400), x, u)
    run.advance(updates)
    return run, run.pairs(x, u)


def dense(run: CloningRun, pairs: Pairs, params: Any = None) -> tuple[np.ndarray, np.ndarray]:
    """Per-example gradients (N, d) and Hessian (d, d) of ℓ_BC, in double precision from a network written out."""
    params = run.state[0] if params is None else params
    with jax.enable_x64(True):
        flat, unravel = ravel_pytree(jax.tree.map(lambda p: jnp.asarray(np.asarray(p, np.float64)), params))
        x, u = (jnp.asarray(np.asarray(part, np.float64)) for part in pairs[:2])

        def each(flat: jax.Array) -> jax.Array:
            (one, two) = unravel(flat)
            out = jnp.tanh(x @ one["W"] + one["b"]) @ two["W"] + two["b"]
            return jnp.sum((out - u) ** 2, axis=1)

        both = jax.jit(lambda p: (jax.jacfwd(each)(p), jax.hessian(lambda q: each(q).mean())(p)))
        gradients, hessian = both(flat)
        return np.asarray(gradients), np.asarray(hessian)


def scale(run: CloningRun) -> np.ndarray:
    """Diagonal of D^{1/2}, from Adam's state."""
    if run.learner.optimiser != "adamw":
        return np.ones(26)
    second = np.asarray(ravel_pytree(run.state[1][0].nu)[0], np.float64) / (1 - 0.999**run.t)
    return (np.sqrt(second) + 1e-8) ** -0.5


def weighted(hessian: np.ndarray, vectors: np.ndarray, function: Callable[[np.ndarray], np.ndarray]) -> float:
    """Σ_v vᵀ f(H) v over rows of vectors."""
    values, modes = np.linalg.eigh(hessian)
    return float(np.sum((vectors @ modes) ** 2 * function(values)))


@pytest.mark.parametrize("optimiser", ["sgd", "adamw"])
def test_the_measure_is_that_of_the_batch_noise(optimiser) -> None:
    run, pairs = cloned(optimiser)
    grads, hessian = dense(run, pairs)
    root = scale(run)
    grads, hessian = grads * root, root[:, None] * hessian * root
    centred = grads - grads.mean(axis=0)
    spectrum = noise_spectrum(run, pairs, vectors=40, nodes=26, pairs_used=60)
    for name, function in FUNCTIONS.items():
        # The covariance of a batch of 8 is that of the 60 examples over 8.
        expected = weighted(hessian, centred, function) / 60 / 8
        assert_mean(spectrum.trace(function), expected)
        every = [lanczos(lambda z: hessian @ z, row, 26) for row in centred]
        total = sum(float(weights @ function(nodes)) for nodes, weights in every)
        assert total / 60 / 8 == pytest.approx(expected, rel=1e-9), name
    assert spectrum.smallest == pytest.approx(np.linalg.eigvalsh(hessian)[0], rel=1e-3, abs=1e-4)
    assert spectrum.nodes.max() == pytest.approx(np.linalg.eigvalsh(hessian)[-1], rel=1e-4)
    mean = grads.mean(axis=0)
    assert spectrum.gradient_square == pytest.approx(mean @ mean, rel=1e-4)
    assert spectrum.gradient_curvature == pytest.approx(mean @ hessian @ mean, rel=1e-3)
    drift = spectrum.gradient_weights @ FUNCTIONS["filter"](spectrum.gradient_nodes)
    assert drift == pytest.approx(weighted(hessian, mean[None], FUNCTIONS["filter"]), rel=1e-3)


@pytest.mark.parametrize("optimiser", ["sgd", "adamw"])
def test_of_two_pairs_the_noise_has_one_direction(optimiser) -> None:
    """Every start is a multiple of g_1 − g_2, so each row is known up to its mass, and the mass on average."""
    run, pairs = cloned(optimiser, count=2)
    grads, hessian = dense(run, pairs)
    root = scale(run)
    hessian, half = root[:, None] * hessian * root, root * (grads[0] - grads[1]) / 2
    spectrum = noise_spectrum(run, pairs, vectors=6, nodes=26, pairs_used=7)
    for function in FUNCTIONS.values():
        expected = weighted(hessian, half[None], function) / (half @ half)
        np.testing.assert_allclose(spectrum.trace(function), expected * spectrum.weights.sum(axis=1), rtol=1e-4)
    many = noise_spectrum(run, pairs, vectors=400, nodes=1, pairs_used=5)
    assert_mean(many.weights.sum(axis=1), half @ half / 8)  # to 43 %


def test_another_point_is_looked_at_with_the_second_moment_of_the_run() -> None:
    run, pairs = cloned("adamw")
    elsewhere = jax.tree.map(lambda x: x[0], run.averages())
    grads, hessian = dense(run, pairs, elsewhere)
    mean = scale(run) * grads.mean(axis=0)
    spectrum = noise_spectrum(run, pairs, vectors=1, nodes=2, at=elsewhere)
    assert spectrum.gradient_square == pytest.approx(mean @ mean, rel=1e-4)
    whole = scale(run)[:, None] * hessian * scale(run)
    assert spectrum.gradient_curvature == pytest.approx(mean @ whole @ mean, rel=1e-3)
    assert spectrum.gradient_square != noise_spectrum(run, pairs, vectors=1, nodes=2).gradient_square


def test_the_hessian_is_of_the_pairs_used() -> None:
    run, pairs = cloned(count=60)
    few = jax.tree.map(lambda x: x[np.array([0, 29, 59])], pairs)
    hessian, mean = dense(run, few)[1], dense(run, pairs)[0].mean(axis=0)
    spectrum = noise_spectrum(run, pairs, vectors=1, nodes=26, pairs_used=3)
    assert spectrum.gradient_curvature == pytest.approx(mean @ hessian @ mean, rel=1e-3)


def test_more_pairs_than_are_taken_at_a_time_count_once_each() -> None:
    run, pairs = cloned(count=1300)
    grads, hessian = dense(run, pairs)
    mean = grads.mean(axis=0)
    spectrum = noise_spectrum(run, pairs, vectors=1, nodes=2, pairs_used=5000)
    assert spectrum.gradient_square == pytest.approx(mean @ mean, rel=1e-4)
    assert spectrum.gradient_curvature == pytest.approx(mean @ hessian @ mean, rel=1e-3)


@pytest.mark.parametrize("optimiser", ["sgd", "heavy ball", "adamw"])
def test_updates_are_those_of_the_method_in_these_coordinates(optimiser) -> None:
    """Of one pair every batch is the same: gᵀ(Δθ_t − μ Δθ_{t−1}) = −η · factor · gᵀDg, with Adam's v̂ nearly frozen."""
    run, pairs = cloned(optimiser, count=1, updates=0)
    run.advance(1 if optimiser == "sgd" else 2)
    points = [np.asarray(ravel_pytree(run.state[0])[0], np.float64)]
    run.advance(1)
    points.append(np.asarray(ravel_pytree(run.state[0])[0], np.float64))
    mean = dense(run, pairs)[0].mean(axis=0)
    spectrum = noise_spectrum(run, pairs, vectors=1, nodes=2)
    np.testing.assert_allclose(spectrum.weights, 0.0, atol=1e-12)
    before = points[1] - points[0]
    run.advance(1)
    after = np.asarray(ravel_pytree(run.state[0])[0], np.float64) - points[1]
    moved = mean @ (after - spectrum.momentum * before)
    assert moved == pytest.approx(-1e-2 * spectrum.step_factor * spectrum.gradient_square, rel=0.05)


@pytest.mark.slow  # to compile
def test_a_transformer_has_one_too() -> None:
    rng = np.random.default_rng(0)
    x, step = rng.normal(size=(40, 3)), np.tile(np.arange(10), 4)
    learner = Learner(architecture="transformer", window=3, width=4, heads=2, layers=1, optimiser="sgd")
    rates = averages.rate_table({}, 10)
    run = CloningRun(learner, gva.Constant(1e-2), rates, x, np.roll(x, 1, axis=0)[:, :2], step)
    run.advance(3)
    pairs = run.pairs(x, np.roll(x, 1, axis=0)[:, :2], step)
    flat, unravel = ravel_pytree(run.state[0])
    gradient = jax.jit(jax.grad(lambda p: pairs_loss(learner, unravel(p), pairs)))
    mean = np.asarray(gradient(flat), np.float64)
    spectrum = noise_spectrum(run, pairs, vectors=2, nodes=4)
    assert spectrum.gradient_square == pytest.approx(mean @ mean, rel=1e-4)
    change = [np.asarray(gradient(flat + sign * 1e-2 * jnp.asarray(mean, jnp.float32)), np.float64) for sign in (1, -1)]
    assert spectrum.gradient_curvature == pytest.approx(mean @ (change[0] - change[1]) / 2e-2, rel=2e-2)
    assert spectrum.nodes.shape == (2, 4)


def test_a_rule_is_exact_for_polynomials_and_in_invariant_subspaces() -> None:
    rng = np.random.default_rng(1)
    root = rng.normal(size=(30, 30))
    matrix, start = root + root.T, rng.normal(size=30)
    nodes, weights = lanczos(lambda z: matrix @ z, start, 5)
    assert np.all(np.diff(nodes) > 0)
    power = start
    for degree in range(11):
        exact = start @ power
        close = weights @ nodes**degree == pytest.approx(exact, rel=1e-9)
        assert close if degree < 10 else not close
        power = matrix @ power
    values, modes = np.linalg.eigh(matrix)
    nodes, weights = lanczos(lambda z: matrix @ z, 3.0 * modes[:, 4] + modes[:, 20], 6)
    np.testing.assert_allclose(nodes[-2:], values[[4, 20]], rtol=1e-9)
    np.testing.assert_allclose(weights, [0, 0, 0, 0, 9, 1], atol=1e-9)
    nodes, weights = lanczos(lambda z: matrix @ z, start, 99)
    np.testing.assert_allclose(nodes, values, rtol=1e-9, atol=1e-9)
    assert not np.any(lanczos(lambda z: matrix @ z, np.zeros(30), 3)[1])


def test_runs_that_the_theory_is_not_of_are_refused() -> None:
    run, pairs = cloned()
    for changes, message in (
        ({"vectors": 0}, "vectors"),
        ({"nodes": 0}, "nodes"),
        ({"pairs_used": 0}, "pairs_used"),
        ({"seed": -1}, "seed"),
    ):
        with pytest.raises(ValueError, match=f"{message} must be an integer"):
            noise_spectrum(run, pairs, **changes)
    for name, value in (
        ("loss", "huber"),
        ("weight_decay", 0.1),
        ("clip_norm", 1.0),
        ("dropout", 0.1),
        ("label_noise", 0.1),
        ("input_noise", 0.1),
    ):
        with pytest.raises(ValueError, match=f"{name} must be .* got {value!r}"):
            noise_spectrum(*cloned(updates=0, **{name: value}))  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="past its first update"):
        noise_spectrum(*cloned("adamw", updates=0, count=5))
    x, u = np.zeros((4, 3)), np.zeros((4, 2))
    several = CloningRun(Learner(hidden=(4,)), gva.Constant(0.1), averages.rate_table({}, 4), x, u, seeds=(0, 1))
    with pytest.raises(ValueError, match="single seed"):
        noise_spectrum(several, pairs)


def test_traces_are_one_per_vector() -> None:
    nodes, weights, none = np.array([[1.0, 2.0], [3.0, 0.0]]), np.array([[0.5, 1.0], [2.0, 0.0]]), np.zeros(2)
    spectrum = NoiseSpectrum(nodes, weights, 0.0, 0.0, 1.0, False, none, none)
    np.testing.assert_array_equal(spectrum.trace(lambda x: x**2), [4.5, 18.0])

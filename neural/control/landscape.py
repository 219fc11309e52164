"""Return and cloning loss around one policy: along stochastic gradients, random directions or the training path.

The return can be jagged where the loss is smooth; `roughness` says how jagged.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

from gvatheory import validation
from neural.control.learner import cloning_loss
from neural.control.policies import MLPPolicy
from neural.control.rollout import evaluate
from neural.control.tasks import Task

Direction = tuple[tuple[np.ndarray, ...], tuple[np.ndarray, ...]]
"""Displacements of all weights and of all biases, shaped like a policy's."""


def displaced(policy: MLPPolicy, directions: Sequence[Direction], scales: Sequence[float]) -> MLPPolicy:
    """The policy with Σ scale · direction added to its weights and biases, in their precision.

    Raises:
        ValueError: if the counts differ or a direction is not shaped like the policy.
    """
    if len(directions) != len(scales):
        raise ValueError(f"need one scale per direction, got {len(scales)} for {len(directions)}")
    parts: list[tuple[np.ndarray, ...]] = []
    for which, arrays in enumerate((policy.weights, policy.biases)):
        moved = [array.astype(np.float64) for array in arrays]
        for direction, scale in zip(directions, scales, strict=True):
            if [a.shape for a in direction[which]] != [a.shape for a in arrays]:
                raise ValueError("a direction must be shaped like the policy's weights and biases")
            moved = [array + scale * step for array, step in zip(moved, direction[which], strict=True)]
        parts.append(tuple(array.astype(old.dtype) for array, old in zip(moved, arrays, strict=True)))
    return dataclasses.replace(policy, weights=parts[0], biases=parts[1])


def norm(direction: Direction) -> float:
    """Euclidean norm over all entries."""
    return float(np.sqrt(sum(np.sum(np.square(array, dtype=np.float64)) for part in direction for array in part)))


def scaled(direction: Direction, length: float) -> Direction:
    """The direction at that norm.

    Raises:
        ValueError: if it is zero.
    """
    size = norm(direction)
    if size == 0:
        raise ValueError("a direction must not be zero")
    weights, biases = (tuple(length / size * array for array in part) for part in direction)
    return weights, biases


def gradient_directions(
    policy: MLPPolicy, observations: np.ndarray, actions: np.ndarray, batch_size: int, count: int, seed: int
) -> list[Direction]:
    """Stochastic gradients of ℓ_BC at the policy, one per batch drawn with replacement; the directions SGD moves in.

    Args:
        policy: deterministic.
        observations: (N, observation_size), raw.
        actions: (N, action_size).
        batch_size: pairs per gradient, ≥ 1.
        count: number of directions, ≥ 1.
        seed: of the batches.
    """
    validation.integer("batch_size", batch_size, 1)
    validation.integer("count", count, 1)
    x, u = _pairs(policy, observations, actions)
    loss = jax.jit(jax.grad(functools.partial(_loss, policy)))
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        batch = rng.integers(0, len(x), batch_size)
        layers = jax.tree.map(np.asarray, loss(_params(policy), x[batch], u[batch]))
        found.append((tuple(layer["W"] for layer in layers), tuple(layer["b"] for layer in layers)))
    return found


def random_directions(policy: MLPPolicy, count: int, seed: int) -> list[Direction]:
    """Gaussian directions, each neuron's incoming weights scaled to the norm of the policy's own (Li et al. 2018).

    Biases, which that normalisation leaves without a scale, do not move.
    """
    validation.integer("count", count, 1)
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        weights = []
        for w in policy.weights:
            draw = rng.standard_normal(w.shape)
            weights.append(draw * np.linalg.norm(w, axis=0) / np.linalg.norm(draw, axis=0))
        found.append((tuple(weights), tuple(np.zeros(b.shape) for b in policy.biases)))
    return found


def path_direction(first: MLPPolicy, second: MLPPolicy) -> Direction:
    """From one iterate (or average) to another of the same network."""
    weights, biases = (
        tuple(b.astype(np.float64) - a for a, b in zip(getattr(first, part), getattr(second, part), strict=True))
        for part in ("weights", "biases")
    )
    return weights, biases


def orthogonal(first: Direction, second: Direction) -> Direction:
    """The part of the second direction that is at right angles to the first, at the second's norm.

    Raises:
        ValueError: if the first is zero, or the second is parallel to it.
    """
    unit = scaled(first, 1.0)
    along = sum(float(np.sum(u * v)) for a, b in zip(unit, second, strict=True) for u, v in zip(a, b, strict=True))
    weights, biases = (
        tuple(np.asarray(v, dtype=np.float64) - along * u for u, v in zip(a, b, strict=True))
        for a, b in zip(unit, second, strict=True)
    )
    if norm((weights, biases)) < 1e-9 * norm(second):
        raise ValueError("second must not be parallel to first")
    return scaled((weights, biases), norm(second))


def landscape(
    policy: MLPPolicy,
    directions: Sequence[Direction],
    scales: Sequence[Sequence[float]],
    task: Task,
    seeds: Sequence[int],
    pairs: tuple[np.ndarray, np.ndarray],
    *,
    max_steps: int | None = None,
    threads: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> xr.Dataset:
    """Return and loss on the grid policy + Σ_i s_i · direction_i, of one dimension or two.

    Args:
        policy: the centre: an iterate or an average.
        directions: one or two.
        scales: one ascending sequence of s_i per direction, in units of the direction.
        task: to roll out on.
        seeds: initial conditions, the same at every point.
        pairs: held-out observations (N, observation_size) and actions (N, action_size) of the loss.
        max_steps, threads, progress: as in `rollout.evaluate`.

    Returns:
        dims s0 (and s1), episode: return, length, fallen; loss over the scales alone. Attributes name task and norms.

    Raises:
        ValueError: if there are not one or two directions, or scales do not fit.
    """
    if len(directions) not in (1, 2) or len(scales) != len(directions):
        raise ValueError(f"need one or two directions with scales, got {len(directions)} and {len(scales)}")
    axes = [validation.array(f"scales[{i}]", s, 1) for i, s in enumerate(scales)]
    if any(len(axis) < 2 or np.any(np.diff(axis) <= 0) for axis in axes):
        raise ValueError("scales must ascend, at least two of them")
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, len(axes))
    policies = [displaced(policy, directions, point) for point in grid.tolist()]
    x, u = _pairs(policy, *pairs)
    loss = jax.jit(functools.partial(_loss, policy, x=x, u=u))
    losses = np.array([float(loss(_params(one))) for one in policies])
    options: dict[str, Any] = {} if max_steps is None else {"max_steps": max_steps}
    results = evaluate(policies, task, seeds, threads=threads, progress=progress, **options)
    dims = [f"s{i}" for i in range(len(axes))]
    shape = tuple(len(axis) for axis in axes)
    per_episode = {
        name: ([*dims, "episode"], getattr(results, field).reshape(*shape, len(seeds)))
        for name, field in (("return", "returns"), ("length", "lengths"), ("fallen", "fallen"))
    }
    coordinates = {**dict(zip(dims, axes, strict=True)), "episode": list(seeds)}
    return xr.Dataset(
        {**per_episode, "loss": (dims, losses.reshape(shape))},
        coordinates,
        {"task": task.id, "direction_norms": [norm(direction) for direction in directions]},
    )


def lines(
    centres: Mapping[str, tuple[MLPPolicy, Mapping[str, Direction]]],
    scales: Sequence[float],
    task: Task,
    seeds: Sequence[int],
    pairs: tuple[np.ndarray, np.ndarray],
    *,
    unit: float,
    progress: Callable[[str, int, int], None] | None = None,
    **options: Any,
) -> xr.Dataset:
    """One-dimensional landscapes around several centres, all directions at one length.

    Args:
        centres: by name, a policy and its directions by name, the same names at every centre.
        scales: ascending s, in units of `unit`.
        unit: norm given to every direction, > 0.
        progress: called with (centre, episodes done, episodes in all).
        task, seeds, pairs: as in `landscape`.
        options: further arguments of `landscape`.

    Returns:
        dims centre, direction, s0, episode: return, length, fallen; loss without episode.

    Raises:
        ValueError: as `landscape`, or if centres differ in their directions' names.
    """
    validation.positive("unit", unit)
    names = [list(directions) for _, directions in centres.values()]
    if not names or not names[0] or any(own != names[0] for own in names):
        raise ValueError(f"centres must be one or more with the same directions each, got {names}")
    total = len(scales) * len(seeds) * len(names[0])
    found = []
    for centre, (policy, directions) in centres.items():
        row = []
        for i, direction in enumerate(directions.values()):
            before = i * len(scales) * len(seeds)
            tell = None if progress is None else lambda n, _, c=centre, b=before: progress(c, b + n, total)
            along = [scaled(direction, unit)]
            row.append(landscape(policy, along, [scales], task, seeds, pairs, progress=tell, **options))
        found.append(xr.concat(row, "direction", combine_attrs="drop"))
    out = xr.concat(found, "centre", combine_attrs="drop").assign_coords(centre=list(centres), direction=names[0])
    return out.assign_attrs(task=task.id, unit=unit)


def planes(
    centres: Mapping[str, tuple[MLPPolicy, Mapping[str, Direction]]],
    plane: tuple[str, str],
    scales: Sequence[float],
    task: Task,
    seeds: Sequence[int],
    pairs: tuple[np.ndarray, np.ndarray],
    *,
    unit: float,
    progress: Callable[[str, int, int], None] | None = None,
    **options: Any,
) -> xr.Dataset:
    """Two-dimensional landscapes, the second of the two named directions turned to be orthogonal to the first.

    Args as in `lines`; dims of the result: centre, s0, s1, episode.
    """
    validation.positive("unit", unit)
    found = []
    for centre, (policy, directions) in centres.items():
        first = scaled(directions[plane[0]], unit)
        both = [first, scaled(orthogonal(first, directions[plane[1]]), unit)]
        tell = None if progress is None else lambda n, total, c=centre: progress(f"{c}, plane", n, total)
        found.append(landscape(policy, both, [scales, scales], task, seeds, pairs, progress=tell, **options))
    out = xr.concat(found, "centre", combine_attrs="drop").assign_coords(centre=list(centres))
    return out.assign_attrs(task=task.id, unit=unit, plane=list(plane))


def _loss(policy: MLPPolicy, params: Any, x: jax.Array, u: jax.Array) -> jax.Array:
    """ℓ_BC of the policy with other parameters, on observations as it normalises them."""
    scale = policy.action_scale
    return scale**2 * cloning_loss(params, x, u / scale, policy.activation, policy.output)


def _params(policy: MLPPolicy) -> list[dict[str, jax.Array]]:
    return [{"W": jnp.asarray(w), "b": jnp.asarray(b)} for w, b in zip(policy.weights, policy.biases, strict=True)]


def _pairs(policy: MLPPolicy, observations: np.ndarray, actions: np.ndarray) -> tuple[jax.Array, jax.Array]:
    """Observations as the policy normalises them, and actions, float32."""
    if len(observations) == 0 or len(observations) != len(actions):
        raise ValueError(f"need equally many observations and actions, got {len(observations)} and {len(actions)}")
    return jnp.asarray(policy.normalised(observations), dtype=jnp.float32), jnp.asarray(actions, dtype=jnp.float32)

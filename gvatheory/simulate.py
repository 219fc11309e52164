"""The same learning problems, sampled: the method is really run, in the original coordinates, trial by trial.

Noise is drawn from (seed, block of trials, step) alone. It does not depend on step size, average, method or the number
of other trials: two calls with one seed, and all cells of a `simulate_grid`, see the same noise, so that differences
between cells are paired. `simulate_grid` draws it once for all cells, and takes each cell several steps on while its
state and the noise are in the processor's cache.
"""

import functools
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from gvatheory import validation
from gvatheory._float64 import in_float64
from gvatheory.averaging import Average, Coefficients
from gvatheory.methods import SGD, Method
from gvatheory.moments import Pattern, join, product, split, total
from gvatheory.problems import Problem, vector
from gvatheory.schedules import Schedule
from gvatheory.validation import Numbers, Values

Precision = Literal["float64", "float32"]

TRIALS_PER_BLOCK = 256
"""Trials whose noise comes from one key; few enough for a cell's state to stay in the processor's cache."""

STEPS_PER_BLOCK = 4
"""Steps a cell takes at a time, compiled into one, so that its state stays in registers between them."""


@functools.partial(jax.jit, static_argnames=("gradient", "shape", "pattern", "steps"))
def _run(
    key: Array,
    gradient: Any,
    parameters: tuple[Array, ...],
    shape: tuple[int, ...],
    pattern: Pattern,
    data: list[Array],
    average: Coefficients,
    optima: Array | None,
    start: Array,
    steps: int,
) -> Array:
    """θ̃_T of one block of trials in every cell, (cells, trials, d).

    Args:
        key: of the block's noise.
        gradient, parameters, shape: the oracle's.
        pattern, data: the method, from `split`; each of `data` is (cells, T).
        average: start (cells,), keep and take (cells, T).
        optima: θ*_0, ..., θ*_{T−1}, (T, d); None for zero.
        start: θ_0 − θ*_0, (d,).
        steps: T.
    """

    def step(state: Any, normals: Array, entries: Any, keep: Array, take: Array, optimum: Array | None) -> Any:
        positions, averaged = state
        point, transition, push = join(pattern, entries)
        at = total(product(h, s) for h, s in zip(point, positions, strict=True))
        g = gradient(parameters, normals, at if optimum is None else at - optimum)
        positions = [
            total((*(product(x, s) for x, s in zip(row, positions, strict=True)), product(b, g)))
            for row, b in zip(transition, push, strict=True)
        ]
        return positions, keep * averaged + take * positions[0]

    def block(states: Any, now: Any) -> tuple[Any, None]:
        index, rows, moved = now
        count = rows[1].shape[1]
        normals = jax.random.normal(jax.random.fold_in(key, index), (count, TRIALS_PER_BLOCK, *shape), start.dtype)

        def cell(own: Any) -> Any:
            state, (entries, keep, take) = own
            for i in range(count):
                now_entries, optimum = [x[i] for x in entries], None if moved is None else moved[i]
                state = step(state, normals[i], now_entries, keep[i], take[i], optimum)
            return state

        return jax.lax.map(cell, (states, rows)), None

    cells, n = average.start.shape[0], len(join(pattern, [None] * pattern.count(None))[0])
    initial = jnp.broadcast_to(start, (cells, TRIALS_PER_BLOCK, start.shape[-1]))
    state = ([initial] * n, average.start[:, None, None] * initial)
    rows = (data, average.keep, average.take)
    whole = steps // STEPS_PER_BLOCK
    end = whole * STEPS_PER_BLOCK
    by_block = jax.tree.map(lambda x: jnp.moveaxis(x[:, :end].reshape(cells, whole, STEPS_PER_BLOCK), 1, 0), rows)
    moved = None if optima is None else optima[:end].reshape(whole, STEPS_PER_BLOCK, -1)
    state, _ = jax.lax.scan(block, state, (jnp.arange(whole), by_block, moved))
    if end < steps:
        rest = jax.tree.map(lambda x: x[:, end:], rows)
        state, _ = block(state, (whole, rest, None if optima is None else optima[end:]))
    return state[1]


def simulate(
    problem: Problem,
    schedule: Schedule,
    average: Average,
    steps: int,
    initial_error: Numbers,
    trials: int,
    seed: int,
    method: Method | None = None,
    precision: Precision = "float64",
) -> Float[Values, "trials d"]:
    """Samples of θ̃_T − θ*_T from `trials` independent runs with Gaussian noise (fresh Gaussian examples in regression).

    The twin of `exact_law`, with the same arguments. Traceable (jax.vmap, jax.jit) in float parameters.

    Args:
        problem, schedule, average, steps, initial_error, method: as in `exact_law`.
        trials: number of independent runs, ≥ 1.
        seed: of the noise, ≥ 0; the same seed gives the same samples, and the first n of more trials are the same.
        precision: of the arithmetic; float32 is about twice as fast and carries a relative error near 1e-6.

    Returns:
        (trials, d).

    Raises:
        ValueError: on a shape mismatch or a value out of range.
        OverflowError: if an iterate leaves the range of float64 (an unstable step size over many steps).
    """
    return simulate_grid(
        problem, [schedule], [average], steps, initial_error, trials, seed, method, precision
    )[0]  # fmt: skip


@in_float64
def simulate_grid(
    problem: Problem,
    schedules: Sequence[Schedule],
    averages: Sequence[Average],
    steps: int,
    initial_error: Numbers,
    trials: int,
    seed: int,
    method: Method | None = None,
    precision: Precision = "float64",
) -> Float[Values, "cells trials d"]:
    """`simulate` for many cells at once, cell i with schedules[i] and averages[i], all on the same noise.

    Each cell's samples are those of `simulate` with the same seed, to rounding.

    Args:
        problem, steps, initial_error, trials, seed, method, precision: as in `simulate`.
        schedules, averages: one each per cell.

    Returns:
        (cells, trials, d).

    Raises:
        ValueError: if schedules and averages are not equally many, at least one, or as `simulate`.
        OverflowError: as `simulate`.
    """
    validation.integer("steps", steps, 0)
    validation.integer("trials", trials, 1)
    validation.integer("seed", seed, 0)
    if precision not in ("float64", "float32"):
        raise ValueError(f"precision must be 'float64' or 'float32', got {precision!r}")
    if len(schedules) != len(averages) or not schedules:
        raise ValueError(f"schedules and averages must pair up, got {len(schedules)} and {len(averages)}")
    e0 = vector("initial_error", initial_error, problem.dimension)
    oracle, modes = problem.oracle(), problem.modes()
    runs = [split((method or SGD()).steps(schedule.step_sizes(steps))) for schedule in schedules]
    pattern = runs[0][0]
    data = [
        jnp.stack([jnp.broadcast_to(x, (steps,)) for x in column]) for column in zip(*(d for _, d in runs), strict=True)
    ]
    coefficients = [average.coefficients(steps) for average in averages]
    stacked = Coefficients(*(jnp.stack([jnp.asarray(x) for x in part]) for part in zip(*coefficients, strict=True)))
    path = None  # θ*_t relative to θ*_0, t = 0..T
    if modes.velocity is not None and modes.profile is not None:
        moves = modes.profile.step_sizes(steps)[:, None] * (modes.basis @ modes.velocity)
        path = jnp.concatenate([jnp.zeros((1, problem.dimension)), jnp.cumsum(moves, axis=0)])
    arrays = (oracle.parameters, data, stacked, None if path is None else path[:-1], e0)
    parameters, data, stacked, optima, start = jax.tree.map(lambda x: jnp.asarray(x, dtype=np.dtype(precision)), arrays)
    traced = validation.is_traced(*jax.tree.leaves((parameters, data, stacked, optima, start)))

    def run(key: Array) -> Any:
        with jax.enable_x64(True):  # the setting belongs to a thread
            out: Any = _run(
                key, oracle.gradient, parameters, oracle.shape, pattern, data, stacked, optima, start, steps
            )
            return out if traced else np.asarray(out)

    keys = list(jax.random.split(jax.random.key(seed), -(-trials // TRIALS_PER_BLOCK)))
    if traced or len(keys) == 1:
        blocks = [run(key) for key in keys]
    else:
        blocks = [run(keys[0])]  # compiles once, before the others ask for it
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            blocks += list(pool.map(run, keys[1:]))
    out: Any = validation.namespace(*blocks).concatenate(blocks, axis=1)[:, :trials]
    if path is not None:
        out = out - path[-1]
    if traced:
        return out
    out = np.asarray(out)
    if not np.all(np.isfinite(out)):
        raise OverflowError(f"the iterates after {steps} steps exceed {precision}: is the step size stable?")
    return out

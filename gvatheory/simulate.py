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


@functools.partial(jax.jit, static_argnames=("gradient", "shape", "pattern"))
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
    blocks: Any,
) -> Array:
    """θ̃_T of one block of trials in every cell, (cells, trials, d).

    Args:
        key: of the block's noise.
        gradient, parameters, shape: the oracle's.
        pattern, data: the method, from `split`; each of `data` is (rows, cells, STEPS_PER_BLOCK).
        average: `start`, `keep` and `take` in the same shape; in place of `keep` its excess over 1 − take.
        optima: θ*_t, (rows, STEPS_PER_BLOCK, d); None for zero.
        start: θ_0 − θ*_0, (d,).
        blocks: how many of the rows to run; the others are padding, so that few lengths are compiled.
    """

    def step(state: Any, normals: Array, row: Any) -> Any:
        positions, averaged = state
        entries, (_, excess, take), optimum = row
        point, transition, push = join(pattern, entries)
        at = total(product(h, s) for h, s in zip(point, positions, strict=True))
        g = gradient(parameters, normals, at if optimum is None else at - optimum)
        positions = [
            total((*(product(x, s) for x, s in zip(row, positions, strict=True)), product(b, g)))
            for row, b in zip(transition, push, strict=True)
        ]
        # keep·S + take·θ with keep = 1 − take + excess, which float32 would round.
        return positions, averaged + take * (positions[0] - averaged) + excess * averaged

    def block(index: Any, states: Any) -> Any:
        normals = jax.random.normal(
            jax.random.fold_in(key, index), (STEPS_PER_BLOCK, TRIALS_PER_BLOCK, *shape), start.dtype
        )

        def cell(own: Any) -> Any:
            state, rows = own
            for i in range(STEPS_PER_BLOCK):
                optimum = None if optima is None else optima[index, i]
                state = step(state, normals[i], (*jax.tree.map(lambda x, i=i: x[i], rows), optimum))
            return state

        return jax.lax.map(cell, (states, jax.tree.map(lambda x: x[index], (data, average))))

    cells, n = average.keep.shape[1], len(join(pattern, [None] * pattern.count(None))[0])
    initial = jnp.broadcast_to(start, (cells, TRIALS_PER_BLOCK, start.shape[-1]))
    state = ([initial] * n, average.start[0, :, :1, None] * initial)
    return jax.lax.fori_loop(0, blocks, block, state)[1]


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

    The twin of `exact_law`, with the same arguments. Traceable (jax.vmap, jax.jit, forward-mode derivatives).

    Args:
        problem, schedule, average, steps, initial_error, method: as in `exact_law`.
        trials: number of independent runs, ≥ 1.
        seed: of the noise, ≥ 0; the same seed gives the same samples, and the first n of more trials are the same.
        precision: of arithmetic and noise, which differs between the two; float32 is about twice as fast, and its
            rounding errors add up over what the run remembers (1e-4 and more where that is 10,000 steps).

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
    validation.integer("seed", seed, 0, 2**63 - 1)
    if precision not in ("float64", "float32"):
        raise ValueError(f"precision must be 'float64' or 'float32', got {precision!r}")
    if len(schedules) != len(averages) or not schedules:
        raise ValueError(f"schedules and averages must pair up, got {len(schedules)} and {len(averages)}")
    e0 = vector("initial_error", initial_error, problem.dimension)
    oracle, modes = problem.oracle(), problem.modes()
    runs = [split((method or SGD()).steps(schedule.step_sizes(steps))) for schedule in schedules]
    pattern = runs[0][0]
    averaging = [average.coefficients(steps) for average in averages]
    blocks = -(-steps // STEPS_PER_BLOCK)

    def rows(values: Sequence[Any]) -> Any:
        """A (T,) sequence or number per cell as (rows, cells, STEPS_PER_BLOCK); rows a power of two, zero beyond T."""
        stacked = jnp.stack([jnp.broadcast_to(jnp.asarray(x), (steps,)) for x in values])
        padding = (STEPS_PER_BLOCK << max(blocks - 1, 0).bit_length()) - steps
        stacked = jnp.pad(stacked, ((0, 0), (0, padding)))
        return jnp.moveaxis(stacked.reshape(len(values), -1, STEPS_PER_BLOCK), 1, 0)

    starts = jnp.stack([jnp.asarray(c.start) for c in averaging])
    coefficients = Coefficients(
        jnp.broadcast_to(starts[:, None], (1, len(averages), STEPS_PER_BLOCK)),
        rows([c.keep - (1.0 - c.take) for c in averaging]),
        rows([c.take for c in averaging]),
    )
    path = None  # θ*_t relative to θ*_0, t = 0..T
    if modes.velocity is not None and modes.profile is not None:
        moves = modes.profile.step_sizes(steps)[:, None] * (modes.basis @ modes.velocity)
        path = jnp.concatenate([jnp.zeros((1, problem.dimension)), jnp.cumsum(moves, axis=0)])
    optima = None if path is None else jnp.moveaxis(rows(list(path[:-1].T)), 1, 2)
    arrays = (oracle.parameters, [rows(x) for x in zip(*(d for _, d in runs), strict=True)], coefficients, optima, e0)
    parameters, data, coefficients, optima, start = jax.tree.map(
        lambda x: jnp.asarray(x, dtype=np.dtype(precision)), arrays
    )
    traced = validation.is_traced(*jax.tree.leaves((parameters, data, coefficients, optima, start)))

    def run(index: int) -> Any:
        with jax.enable_x64(True):  # the setting belongs to a thread
            key = jax.random.fold_in(jax.random.key(seed), index)
            out: Any = _run(
                key, oracle.gradient, parameters, oracle.shape, pattern, data, coefficients, optima, start, blocks
            )
            return out if traced else np.asarray(out)

    count = -(-trials // TRIALS_PER_BLOCK)
    if traced:
        samples = [run(i) for i in range(count)]
    else:
        samples = [run(0)]  # compiles once, before the others ask for it
        with ThreadPoolExecutor(_processors()) as pool:
            samples += list(pool.map(run, range(1, count)))
    out: Any = validation.namespace(*samples).concatenate(samples, axis=1)[:, :trials]
    if path is not None:
        out = out - jnp.asarray(path[-1], dtype=out.dtype)
    if traced:
        return out
    out = np.asarray(out)
    if not np.all(np.isfinite(out)):
        raise OverflowError(f"the iterates after {steps} steps exceed {precision}: is the step size stable?")
    return out


def _processors() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

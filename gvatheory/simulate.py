"""The same learning problems, sampled: the method is really run, in the original coordinates, trial by trial.

Noise is drawn from (seed, block of trials, step) alone. It does not depend on step size, average, method or the number
of other trials: two calls with one seed, and all cells of a `jax.vmap` over parameters, see the same noise, so that
differences between cells are paired, and under vmap it is generated once for all of them.
"""

import functools
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from gvatheory import validation
from gvatheory._float64 import in_float64
from gvatheory.averaging import Average, Coefficients
from gvatheory.methods import SGD, Method
from gvatheory.moments import Pattern, _join, _product, _total, split
from gvatheory.problems import Problem, vector
from gvatheory.schedules import Schedule
from gvatheory.validation import Numbers, Values

TRIALS_PER_BLOCK = 256
"""Trials whose noise comes from one key; few enough for their state to stay in the processor's cache."""

UNROLLED = 8
"""Steps compiled into one, so that the state stays in registers between them."""


@functools.partial(jax.jit, static_argnames=("gradient", "shape", "pattern", "trials", "steps"))
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
    trials: int,
    steps: int,
) -> Array:
    """θ̃_T of one block of trials, (trials, d). `optima` are θ*_0, ..., θ*_{T−1}, (T, d); zero if None."""

    def step(state: tuple[list[Array], Array], normals: Array, now: Any) -> tuple[list[Array], Array]:
        positions, averaged = state
        entries, keep, take, optimum = now
        point, transition, push = _join(pattern, entries)
        at = _total(_product(h, s) for h, s in zip(point, positions, strict=True))
        g = gradient(parameters, normals, at if optimum is None else at - optimum)
        positions = [
            _total((*(_product(x, s) for x, s in zip(row, positions, strict=True)), _product(b, g)))
            for row, b in zip(transition, push, strict=True)
        ]
        return positions, keep * averaged + take * positions[0]

    def block(state: Any, now: Any) -> tuple[Any, None]:
        index, rows = now
        count = rows[1].shape[0]
        normals = jax.random.normal(jax.random.fold_in(key, index), (count, trials, *shape), dtype=start.dtype)
        for i in range(count):
            state = step(state, normals[i], jax.tree.map(lambda x, i=i: x[i], rows))
        return state, None

    n = len(_join(pattern, [None] * pattern.count(None))[0])
    initial = jnp.broadcast_to(start, (trials, start.shape[-1]))
    state = ([initial] * n, jnp.asarray(average.start, start.dtype) * initial)
    rows = (data, average.keep, average.take, optima)
    whole = steps // UNROLLED
    blocks = jax.tree.map(lambda x: x[: whole * UNROLLED].reshape(whole, UNROLLED, *x.shape[1:]), rows)
    state, _ = jax.lax.scan(block, state, (jnp.arange(whole), blocks))
    if steps % UNROLLED:
        state, _ = block(state, (whole, jax.tree.map(lambda x: x[whole * UNROLLED :], rows)))
    return state[1]


@in_float64
def simulate(
    problem: Problem,
    schedule: Schedule,
    average: Average,
    steps: int,
    initial_error: Numbers,
    trials: int,
    seed: int,
    method: Method | None = None,
    precision: Literal["float64", "float32"] = "float64",
) -> Float[Values, "trials d"]:
    """Samples of θ̃_T − θ*_T from `trials` independent runs with Gaussian noise (fresh Gaussian examples in regression).

    The twin of `exact_law`, with the same arguments. Under jax.vmap over step sizes or averages' parameters all cells
    share one stream of noise, drawn once.

    Args:
        problem, schedule, average, steps, initial_error, method: as in `exact_law`.
        trials: number of independent runs, ≥ 1.
        seed: of the noise, ≥ 0; the same seed gives the same samples, and the first n of more trials are the same.
        precision: of the arithmetic; float32 is about three times faster and carries a relative error near 1e-6.

    Returns:
        (trials, d).

    Raises:
        ValueError: on a shape mismatch or a value out of range.
        OverflowError: if an iterate leaves the range of float64 (an unstable step size over many steps).
    """
    validation.integer("steps", steps, 0)
    validation.integer("trials", trials, 1)
    validation.integer("seed", seed, 0)
    if precision not in ("float64", "float32"):
        raise ValueError(f"precision must be 'float64' or 'float32', got {precision!r}")
    e0 = vector("initial_error", initial_error, problem.dimension)
    oracle, modes = problem.oracle(), problem.modes()
    pattern, data = split((method or SGD()).steps(schedule.step_sizes(steps)))
    data = [jnp.broadcast_to(x, (steps,)) for x in data]
    path = None  # θ*_t relative to θ*_0, t = 0..T
    if modes.velocity is not None and modes.profile is not None:
        moves = modes.profile.step_sizes(steps)[:, None] * (modes.basis @ modes.velocity)
        path = jnp.concatenate([jnp.zeros((1, problem.dimension)), jnp.cumsum(moves, axis=0)])
    arrays = (oracle.parameters, data, average.coefficients(steps), None if path is None else path[:-1], e0)
    parameters, data, coefficients, optima, start = jax.tree.map(
        lambda x: jnp.asarray(x, dtype=np.dtype(precision)), arrays
    )
    keys = jax.random.split(jax.random.key(seed), -(-trials // TRIALS_PER_BLOCK))
    samples = [
        _run(
            key, oracle.gradient, parameters, oracle.shape, pattern, data, coefficients, optima, start,
            TRIALS_PER_BLOCK, steps,
        )
        for key in keys
    ]  # fmt: skip
    out: Any = jnp.concatenate(samples)[:trials]
    if path is not None:
        out = out - path[-1]
    if validation.is_traced(out):
        return out
    out = np.asarray(out)
    if not np.all(np.isfinite(out)):
        raise OverflowError(f"the iterates after {steps} steps exceed {precision}: is the step size stable?")
    return out

"""Cells of a grid many at a time: the function traced by JAX, compiled once and mapped over chunks of cells."""

import functools
import math
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gvatheory.grid_engines import Block, Grid, Job, Known, label, loop, named

VECTORISED_FROM = 16
"""Cells per compilation from which `engine="auto"` compiles at all."""

_BUDGET = 1 << 20  # numbers in the largest array of a chunk: 8 MB, about the processor's cache
_LARGEST_CHUNK = 1 << 16
_CHECKED = 16  # non-finite cells that are called plainly, to hear the function's own error
_SAME, _ROUNDING = 1e-6, 1e-9  # agreement of a plain and a traced call: of the value, of the largest value around


class NotTraceable(Exception):
    """The function cannot be vectorised; the message says why."""


def automatic(job: Job, pending: np.ndarray, chunk: int | None, used: dict[str, str]) -> Iterator[Block]:
    """`vectorised` as far as that goes, `loop` for the rest; what was used, and why, is put into `used`."""
    known: Known = {}
    left = np.ones(len(pending), dtype=bool)
    used["engine"] = "vectorised"
    try:
        width = math.prod(len(job.grid.axes[name]) for name in job.grid.traced)
        if width < VECTORISED_FROM:
            raise NotTraceable(f"{width} cells per compilation are too few to compile")
        for block in vectorised(job, pending, chunk, known):
            left[np.searchsorted(pending, block.cells)] = False
            yield block
    except NotTraceable as e:
        used |= {"engine": "loop" if left.all() else "vectorised, then loop", "engine_reason": str(e)}
        yield from loop(job, pending[left], known)


def vectorised(job: Job, pending: np.ndarray, chunk: int | None, known: Known) -> Iterator[Block]:
    """Float axes traced, by `jit(vmap)` over chunks of cells; the rest of the axes looped over, a compilation for each.

    The corners of the first group of cells are called plainly too: that checks the range of every argument, and that
    the function does the same when traced. Of the cells whose results are not finite, the first few are called plainly.

    Args:
        known: receives the plain calls that were made.

    Raises:
        NotTraceable: if a call fails only when traced, or gives other numbers.
        Exception: the function's own, naming the cell.
    """
    if not job.grid.traced:
        raise NotTraceable("no axis is of floats")
    if not job.shared_noise and job.seed is not None:
        raise NotTraceable("with shared_noise=False every cell has a seed of its own")
    at = dict(zip(job.grid.axes, np.unravel_index(pending, job.grid.shape), strict=True))
    concrete = [name for name in job.grid.axes if name not in job.grid.traced]
    group = np.zeros(len(pending), dtype=np.int64)
    for name in concrete:
        group = group * len(job.grid.axes[name]) + at[name]
    for i, key in enumerate(np.unique(group)):
        yield from _group(job, pending[group == key], chunk, known, check=i == 0)


def _group(job: Job, cells: np.ndarray, chunk: int | None, known: Known, check: bool) -> Iterator[Block]:
    """Cells that differ in traced axes alone."""
    names = job.grid.traced
    fixed = {k: v for k, v in job.grid.cell(int(cells[0])).items() if k not in names} | job.noise(0)

    def one(values: dict[str, Any]) -> dict[str, jax.Array]:
        out = named(job.function(**fixed, **values))
        return {name: jnp.asarray(v, dtype=jnp.float64) for name, v in out.items()}

    compiled = jax.jit(jax.vmap(one))
    try:
        with jax.enable_x64(True):
            jaxpr = jax.make_jaxpr(one)(dict.fromkeys(names, jax.ShapeDtypeStruct((), np.float64)))
    except Exception as e:
        raise _untraceable(job, int(cells[0]), known, e) from e
    corners = _corners(job.grid, cells) if check else cells[:0]
    for index in map(int, corners):
        known[index] = job.plain(index)
    cells = np.concatenate([corners, cells[~np.isin(cells, corners)]])
    chunk = chunk or min(max(_BUDGET // largest_array(jaxpr.jaxpr), 8), _LARGEST_CHUNK)
    chunk = -(-len(cells) // -(-len(cells) // chunk))  # equal chunks
    for start in range(0, len(cells), chunk):
        part = cells[start : start + chunk]
        try:
            values = _run(compiled, job.grid, part, chunk)
        except Exception as e:
            raise _untraceable(job, int(part[0]), known, e) from e
        for row, index in enumerate(map(int, part[: len(corners)] if start == 0 else ())):
            _require_same(job, index, known[index], values, row)
        if not job.keep_invalid:
            _hear_errors(job, part, values, known)
        yield Block(part, values)


def _untraceable(job: Job, index: int, known: Known, error: Exception) -> NotTraceable:
    """The reason to give, unless the function raises in a plain call of that cell too: then it is heard."""
    if index not in known:
        known[index] = job.plain(index)
    return NotTraceable(f"{type(error).__name__}: {next(iter(str(error).splitlines()), '')}")


def _run(compiled: Any, grid: Grid, cells: np.ndarray, chunk: int) -> dict[str, np.ndarray]:
    """One chunk, filled up with copies of its last cell so that its shape stays."""
    padded = np.pad(cells, (0, max(chunk - len(cells), 0)), mode="edge")
    with jax.enable_x64(True):
        out = compiled(grid.columns(padded, grid.traced))
        return {name: np.asarray(v)[: len(cells)] for name, v in out.items()}


def largest_array(jaxpr: Any) -> int:
    """Most numbers in any one array that a jaxpr computes, inner ones included."""
    largest = 1
    for equation in jaxpr.eqns:
        sizes = [getattr(v.aval, "size", 1) for v in equation.outvars]
        for value in equation.params.values():
            for inner in value if isinstance(value, tuple | list) else (value,):
                inner = getattr(inner, "jaxpr", inner)
                if hasattr(inner, "eqns"):
                    sizes.append(largest_array(inner))
        largest = max(largest, *(s for s in sizes if isinstance(s, int)), 1)
    return largest


def _corners(grid: Grid, cells: np.ndarray) -> np.ndarray:
    """Up to four of the cells: extremes of the traced axes, together and (of the first two) against each other."""
    at = dict(zip(grid.axes, np.unravel_index(cells, grid.shape), strict=True))
    columns = [np.argsort(np.argsort(grid.axes[name]))[at[name]] for name in grid.traced]
    total = functools.reduce(np.add, columns)
    across = columns[0] - functools.reduce(np.add, columns[1:], np.zeros_like(total))
    found = [f(x) for x in (total, across) for f in (np.argmin, np.argmax)]
    return np.unique(cells[found])


def _require_same(
    job: Job, index: int, plain: dict[str, np.ndarray] | None, values: dict[str, np.ndarray], row: int
) -> None:
    """Raise NotTraceable if a plain call and row `row` of the traced `values` differ by more than rounding."""
    if plain is None:
        if all(np.all(np.isfinite(v[row])) for v in values.values()):
            raise NotTraceable(f"it raises at {label(job.grid.cell(index))}, and when traced returns numbers")
        return
    for name in plain.keys() | values.keys():
        if name not in plain or name not in values:
            raise NotTraceable(f"it returns {sorted(plain)} when called and {sorted(values)} when traced")
        finite = values[name][np.isfinite(values[name])]
        near = _ROUNDING * np.abs(finite).max(initial=0.0)
        same = plain[name].shape == values[name][row].shape and np.allclose(
            plain[name], values[name][row], rtol=_SAME, atol=near, equal_nan=True
        )
        if not same:
            raise NotTraceable(
                f"at {label(job.grid.cell(index))} it returns {name} = {plain[name]} when called and "
                f"{values[name][row]} when traced; does it keep state, or draw numbers without a seed?"
            )


def _hear_errors(job: Job, cells: np.ndarray, values: dict[str, np.ndarray], known: Known) -> None:
    """Call cells without a finite result plainly, until enough are `known`: they raise the function's own error."""
    broken = np.zeros(len(cells), dtype=bool)
    for v in values.values():
        broken |= ~np.isfinite(v.reshape(len(v), -1)).all(axis=1)
    for row in map(int, np.flatnonzero(broken)):
        if len(known) >= _CHECKED:
            return
        index = int(cells[row])
        if index not in known:
            known[index] = job.plain(index)
            _require_same(job, index, known[index], values, row)

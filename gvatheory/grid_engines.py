"""Grids of parameters, and two ways to compute their cells: one plain call each, here or in worker processes.

An engine yields blocks of results as they come, in any order (the third way is `grid_tracing`). All run in JAX's 64-bit
mode, and give the same numbers up to rounding.
"""

import concurrent.futures
import contextlib
import dataclasses
import math
import multiprocessing
import os
import pickle
import sys
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures.process import BrokenProcessPool
from typing import Any, NamedTuple

import jax
import numpy as np

from gvatheory.function_state import name_of


class Block(NamedTuple):
    """Results of some cells.

    Attributes:
        cells: (n,), flat indices in the grid, last axis fastest.
        values: name → (n, ...) results; empty if the function raised in these cells.
    """

    cells: np.ndarray
    values: dict[str, np.ndarray]


@dataclasses.dataclass(frozen=True, eq=False)
class Grid:
    """All combinations of the values of some axes.

    Attributes:
        axes: name → (n,) values.
    """

    axes: dict[str, np.ndarray]

    @property
    def shape(self) -> tuple[int, ...]:
        """Length of every axis."""
        return tuple(len(v) for v in self.axes.values())

    @property
    def size(self) -> int:
        """Number of cells."""
        return math.prod(self.shape)

    @property
    def traced(self) -> list[str]:
        """Axes of floats, which JAX may trace; the others stay Python values."""
        return [name for name, values in self.axes.items() if values.dtype.kind == "f"]

    def cell(self, index: int) -> dict[str, Any]:
        """Values of one cell, as Python values."""
        at = np.unravel_index(index, self.shape)
        values = {name: v[i] for (name, v), i in zip(self.axes.items(), at, strict=True)}
        return {name: v.item() if isinstance(v, np.generic) else v for name, v in values.items()}

    def columns(self, cells: np.ndarray, names: list[str]) -> dict[str, np.ndarray]:
        """Values of many cells, (n,) per name."""
        at = dict(zip(self.axes, np.unravel_index(cells, self.shape), strict=True))
        return {name: self.axes[name][at[name]].astype(np.float64) for name in names}


@dataclasses.dataclass(frozen=True, eq=False)
class Job:
    """What is to be computed in each cell of a grid.

    Attributes:
        seed: of the noise, or None where the function takes none.
        shared_noise: whether every cell gets the seed itself, or one derived from it and the cell's index.
        keep_invalid: whether a ValueError or OverflowError of the function leaves a cell without a value.
    """

    function: Callable[..., Mapping[str, Any]]
    grid: Grid
    seed: int | None
    shared_noise: bool
    keep_invalid: bool

    def noise(self, index: int) -> dict[str, int]:
        """The `seed` argument of a cell, if there is one."""
        if self.seed is None:
            return {}
        if self.shared_noise:
            return {"seed": self.seed}
        # 63 bits: no two of a million cells share a seed, and it fits an int64.
        return {"seed": int(np.random.SeedSequence([self.seed, index]).generate_state(1, np.uint64)[0] >> 1)}

    def plain(self, index: int) -> dict[str, np.ndarray] | None:
        """Results of one cell by a plain call; None if it is invalid and that is allowed.

        Raises:
            Exception: the function's own, naming the cell.
        """
        cell = self.grid.cell(index)
        try:
            with jax.enable_x64(True):
                out = self.function(**cell, **self.noise(index))
                return {name: np.asarray(v, dtype=np.float64) for name, v in named(out).items()}
        except Exception as e:
            if self.keep_invalid and isinstance(e, ValueError | OverflowError):
                return None
            where = f"at {label(cell)}"
            if type(e) in (ValueError, OverflowError):
                raise type(e)(f"{e} ({where})") from e
            e.add_note(where)
            raise


def label(cell: Mapping[str, Any]) -> str:
    """A cell in words, e.g. "step_size=0.1, gamma=0.5"."""
    return ", ".join(f"{name}={value!r}" for name, value in cell.items())


def named(out: Any) -> Mapping[str, Any]:
    """What a function returned, if it is named numbers."""
    if not isinstance(out, Mapping) or not out:
        raise TypeError(f"function must return a mapping of named numbers, got {out!r}")
    return out


def _single(index: int, out: dict[str, np.ndarray] | None) -> Block:
    return Block(np.array([index]), {name: v[None] for name, v in (out or {}).items()})


Known = dict[int, dict[str, np.ndarray] | None]
"""Cells that were called plainly, and their results."""


def loop(job: Job, pending: np.ndarray, known: Known | None = None) -> Iterator[Block]:
    """One plain call per cell, in the order of the grid."""
    known = known or {}
    for index in map(int, pending):
        yield _single(index, known[index] if index in known else job.plain(index))


_worker_job: Job | None = None


def _start_worker(job: Job) -> None:
    global _worker_job
    _worker_job = job


def _work(cells: list[int]) -> list[Block]:
    assert _worker_job is not None
    return [_single(index, _worker_job.plain(index)) for index in cells]


ONE_THREAD: dict[str, str] = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NPROC"), "1")
"""Environment of a process that uses one thread for linear algebra and one for XLA."""


@contextlib.contextmanager
def one_thread_each() -> Iterator[None]:
    """Processes started within use one thread for linear algebra and one for XLA."""
    before = {name: os.environ.get(name) for name in ONE_THREAD}
    os.environ.update(ONE_THREAD)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None) if value is None else os.environ.update({name: value})


def check_importable(job: Job) -> None:
    """Require a function that a new process can import.

    Raises:
        ValueError: naming a lambda, a closure or a function that was typed in interactively.
    """
    reason = ""
    if getattr(job.function, "__module__", "") == "__main__" and not hasattr(sys.modules["__main__"], "__file__"):
        reason = "was defined in an interactive session"
    else:
        try:
            pickle.dumps(job)
        except Exception as e:
            reason = f"cannot be sent to another process ({e})"
    if reason:
        raise ValueError(
            f"function {name_of(job.function)!r} {reason}; "
            "for engine='processes' define it at the top level of a module"
        )


def processes(job: Job, pending: np.ndarray, workers: int, chunk: int | None) -> Iterator[Block]:
    """Plain calls in `workers` new processes, `chunk` cells at a time.

    Raises:
        RuntimeError: if a process dies.
    """
    chunk = chunk or min(max(len(pending) // (8 * workers), 1), 256)
    pool = concurrent.futures.ProcessPoolExecutor(
        workers, multiprocessing.get_context("spawn"), initializer=_start_worker, initargs=(job,)
    )
    try:
        with one_thread_each():
            parts = [pending[i : i + chunk].tolist() for i in range(0, len(pending), chunk)]
            futures = [pool.submit(_work, part) for part in parts]
        for future in concurrent.futures.as_completed(futures):
            yield from future.result()
    except BrokenProcessPool as e:
        raise RuntimeError(
            "a worker process died; a script that uses engine='processes' must start its work under "
            "`if __name__ == '__main__':`"
        ) from e
    finally:
        pool.shutdown(cancel_futures=True)

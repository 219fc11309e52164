"""Grids of parameters → one labelled dataset with named dimensions, units and provenance."""

import dataclasses
import datetime
import hashlib
import importlib.metadata
import inspect
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import xarray as xr

from gvatheory import grid_engines, grid_tracing, validation
from gvatheory.function_state import check_arguments, digest, hidden_state, name_of
from gvatheory.grid_engines import Block, Grid, Job
from gvatheory.sweep_store import Store

PACKAGES = ("gvatheory", "numpy", "scipy", "jax", "xarray")

Engine = Literal["auto", "vectorised", "loop", "processes"]


def provenance(packages: Sequence[str] = PACKAGES, **facts: Any) -> dict[str, str]:
    """Where a dataset came from: UTC time, versions of the given packages that are installed, and further facts."""
    versions = []
    for name in packages:
        try:
            versions.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    return {"created": now, "versions": ", ".join(versions), **{k: str(v) for k, v in facts.items()}}


def sweep(
    function: Callable[..., Mapping[str, Any]],
    axes: Mapping[str, Any],
    *,
    engine: Engine = "auto",
    units: Mapping[str, str] | None = None,
    seed: int | None = None,
    shared_noise: bool = True,
    invalid: Literal["raise", "nan"] = "raise",
    result_dims: Mapping[str, Sequence[str]] | None = None,
    store: Path | str | None = None,
    chunk: int | None = None,
    processes: int | None = None,
    progress: Callable[[int, int], None] | None = None,
    attrs: Mapping[str, Any] | None = None,
) -> xr.Dataset:
    """Evaluate `function` on every cell of a grid.

    Engines. "loop" calls the function once per cell. "processes" does so in worker processes; the function must be
    defined at the top level of a module. "vectorised" traces axes of floats by JAX, `jit(vmap)` over chunks of cells,
    and loops over axes of integers, strings and the like, each combination of which is compiled once. "auto" is
    "vectorised" if the function can be traced, has no state and each compilation serves 16 cells or more, else "loop";
    attribute `engine` says which it was, `engine_reason` why. All run in JAX's 64-bit mode and agree up to rounding.
    Before a grid is vectorised up to four of its corners are called plainly, and a function that gives other numbers
    there than it does when traced is not vectorised.

    Invalid cells. Traced arguments carry no value to check, so an invalid one gives NaN. With invalid="raise" the first
    such cells are then called plainly, and the function's own error is raised; corners are called beforehand.
    With invalid="nan", a plain call's ValueError or OverflowError makes its cell NaN, and what a traced call gives is
    kept, infinities included.

    Noise. If the function has a parameter `seed` that is no axis, it gets `seed` in every cell: with `simulate` all
    cells then share one noise and their differences are paired. With shared_noise=False, cell i (counted with the
    last axis fastest) gets a seed of its own, from `np.random.SeedSequence([seed, i])`; it is not vectorised.

    Storing. With `store`, finished cells are kept in the folder `store`.partial. A sweep that was killed and is
    called again with the same function (source and captured values), axes and seed goes on from them, with any engine;
    a finished one is read back without any work.

    Args:
        function: called with one keyword per axis; returns named numbers, the same names in every cell. Called with
            tracers where it is vectorised: it must not depend on anything but its arguments.
        axes: values of each argument, without repeats; the order gives the dataset's dimensions.
        units: unit of an axis or a result, by name.
        seed: ≥ 0, handed to a parameter `seed` of the function.
        result_dims: dimensions of results that are arrays, by name of the result, of one shape in all cells.
        store: file to write: .nc (netCDF), or .zarr if zarr is installed.
        chunk: cells computed at a time, or (one process) kept on disk at a time. By default as many as fit the
            cache, or 5 s of work.
        processes: number of worker processes of engine="processes"; by default one per processor.
        progress: called with (cells done, cells in all).
        attrs: further attributes of the dataset.

    Returns:
        A dataset with one variable per result and one dimension per axis, and its provenance as attributes.

    Raises:
        ValueError: naming what is wrong with an argument, before any cell is computed; the function's own, naming the
            cell; if cells disagree on the names or shapes; or if `store` holds another sweep.
        TypeError: if engine="vectorised" and the function cannot be traced, with the reason.
        ImportError: if `store` needs a package that is not installed.
    """
    grid = Grid({name: _axis(name, values, store is not None) for name, values in axes.items()})
    wants_seed = _check_function(function, list(grid.axes), seed)
    job = Job(function, grid, seed if wants_seed else None, shared_noise, invalid == "nan")
    _check_options(job, engine, invalid, chunk, processes, store is not None)
    dims = {name: tuple(names) for name, names in (result_dims or {}).items()}
    results = _Results(grid, dims, progress)
    disk = None if store is None else Store(Path(store), _fingerprint(job, dims))
    if disk is not None and (done := disk.finished()) is not None:
        if progress is not None:
            progress(grid.size, grid.size)
        return _labelled(done, units).assign_attrs(attrs or {})
    used = {"engine": str(engine)}
    for block in () if disk is None else disk.blocks():
        results.add(block)
    try:
        for block in _blocks(job, np.flatnonzero(~results.done), chunk, processes, used):
            results.add(block)
            if disk is not None:
                disk.add(block, chunk)
    finally:
        if disk is not None:
            disk.flush()
    facts = {"function": name_of(function), **used, "jax_enable_x64": True}
    facts |= {"seed": seed, "shared_noise": shared_noise} if wants_seed else {}
    dataset = _labelled(results.dataset().assign_attrs(provenance(**facts)), units)
    if disk is not None:
        disk.finish(dataset)
    return dataset.assign_attrs(attrs or {})


def _check_options(job: Job, engine: str, invalid: str, chunk: int | None, processes: int | None, stored: bool) -> None:
    """Require known options that fit the function.

    Raises:
        ValueError: naming the option.
    """
    for name, value, allowed in (
        ("engine", engine, ("auto", "vectorised", "loop", "processes")),
        ("invalid", invalid, ("raise", "nan")),
    ):
        if value not in allowed:
            raise ValueError(f"{name} must be one of {allowed}, got {value!r}")
    if chunk is not None:
        validation.integer("chunk", chunk, 1)
    if processes is not None:
        validation.integer("processes", processes, 1)
        if engine != "processes":
            raise ValueError(f"processes needs engine='processes', got engine={engine!r}")
    state = hidden_state(job.function)
    if state and (stored or engine == "processes"):
        raise ValueError(f"function must not keep state for store or engine='processes', but it uses {state!r}")
    if engine == "processes":
        grid_engines.check_importable(job)


def _axis(name: str, values: Any, stored: bool) -> np.ndarray:
    """An axis as a one-dimensional array.

    Raises:
        ValueError: naming the axis and what is wrong with it.
    """
    out = np.asarray(values)
    what = f"axes[{name!r}]"
    if out.ndim != 1 or len(out) == 0:
        raise ValueError(f"{what} must be a non-empty one-dimensional sequence, got shape {out.shape}")
    if out.dtype.kind == "O":
        if stored:
            raise ValueError(f"{what} must hold numbers or strings to be stored; name the objects and look them up")
        return out
    if out.dtype.kind not in "fiubU":
        raise ValueError(f"{what} must hold numbers, booleans, strings or objects, got dtype {out.dtype}")
    if out.dtype.kind == "f" and not np.all(np.isfinite(out)):
        raise ValueError(f"{what} must be finite, got {out[~np.isfinite(out)][0]}")
    unique, count = np.unique(out, return_counts=True)
    if len(unique) < len(out):
        raise ValueError(f"{what} must not repeat a value, got {unique[count > 1][0]!r} more than once")
    return out


def _check_function(function: Any, axes: list[str], seed: int | None) -> bool:
    """Whether the function is to be given a seed.

    Raises:
        ValueError: if it does not take the axes, needs more than them, or the seed is missing or not wanted.
    """
    if not axes:
        raise ValueError("axes must name at least one axis, got none")
    if seed is not None:
        validation.integer("seed", seed, 0)
    named = check_arguments(function, axes)
    wants_seed = "seed" in named and "seed" not in axes
    if wants_seed and seed is None:
        if named["seed"].default is inspect.Parameter.empty:
            raise ValueError(f"seed must be given: function {name_of(function)!r} has a parameter 'seed'")
        return False
    if seed is not None and not wants_seed:
        raise ValueError(f"seed is given, but function {name_of(function)!r} has no parameter 'seed' to take it")
    return wants_seed


def _fingerprint(job: Job, dims: dict[str, tuple[str, ...]]) -> dict[str, str]:
    """What the results depend on, by name; the engine is not among it."""
    out = {
        "function": f"{getattr(job.function, '__module__', '')}.{name_of(job.function)}",
        "source or captured values": digest(job.function),
        "result_dims": repr(sorted(dims.items())),
        "order of axes": ", ".join(job.grid.axes),
        "seed": str(job.seed),
        "shared_noise": str(job.shared_noise),
        "invalid": "nan" if job.keep_invalid else "raise",
    }
    for name, values in job.grid.axes.items():
        out[f"axes[{name!r}]"] = hashlib.sha256(f"{values.dtype.kind} {values.tolist()!r}".encode()).hexdigest()
    return out


def _blocks(
    job: Job, pending: np.ndarray, chunk: int | None, processes: int | None, used: dict[str, str]
) -> Iterator[Block]:
    """The pending cells by the engine that `used` names; "auto" is replaced there by what it came to."""
    engine = used["engine"]
    if engine == "auto" and (state := hidden_state(job.function)):
        engine = "loop"
        used |= {"engine": engine, "engine_reason": f"the function uses {state!r}, which has a state"}
    if engine == "loop" or not len(pending):
        yield from grid_engines.loop(job, pending)
    elif engine == "processes":
        yield from grid_engines.processes(job, pending, processes or os.cpu_count() or 1, chunk)
    elif engine == "auto":
        yield from grid_tracing.automatic(job, pending, chunk, used)
    else:
        try:
            yield from grid_tracing.vectorised(job, pending, chunk, {})
        except grid_tracing.NotTraceable as e:
            raise TypeError(
                f"function {name_of(job.function)!r} cannot be vectorised: {e}; use engine='loop' or 'processes'"
            ) from e


@dataclasses.dataclass
class _Results:
    """Results as they come, by flat index of the cell."""

    grid: Grid
    dims: dict[str, tuple[str, ...]]
    progress: Callable[[int, int], None] | None

    def __post_init__(self) -> None:
        self.done = np.zeros(self.grid.size, dtype=bool)
        self.count = 0
        self.values: dict[str, np.ndarray] = {}

    def add(self, block: Block) -> None:
        """Put a block in its place.

        Raises:
            ValueError: if its names or shapes are not those of the other cells, or an array has no dimension names.
        """
        if block.values and not self.values:
            for name, v in block.values.items():
                if len(self.dims.get(name, ())) != v.ndim - 1:
                    raise ValueError(
                        f"result {name!r} has shape {v.shape[1:]}: result_dims must name its dimensions, "
                        f"got {self.dims.get(name, ())}"
                    )
                self.values[name] = np.full((self.grid.size, *v.shape[1:]), np.nan)
        here = "" if not block.values else grid_engines.label(self.grid.cell(int(block.cells[0])))
        if block.values and set(block.values) != set(self.values):
            raise ValueError(f"function must return the same names in every cell: {sorted(block.values)} at {here}")
        for name, v in block.values.items():
            if v.shape[1:] != self.values[name].shape[1:]:
                raise ValueError(f"result {name!r} must have one shape in every cell: {v.shape[1:]} at {here}")
            self.values[name][block.cells] = v
        self.done[block.cells] = True
        self.count += len(block.cells)
        if self.progress is not None:
            self.progress(self.count, self.grid.size)

    def dataset(self) -> xr.Dataset:
        """The results on the grid.

        Raises:
            ValueError: if no cell is valid.
        """
        if not self.values:
            raise ValueError("function must be valid in some cell; it raised in all of them")
        axes = self.grid.axes
        return xr.Dataset(
            {
                name: ((*axes, *self.dims.get(name, ())), v.reshape(*self.grid.shape, *v.shape[1:]))
                for name, v in self.values.items()
            },
            coords={name: (name, values) for name, values in axes.items()},
        )


def _labelled(dataset: xr.Dataset, units: Mapping[str, str] | None) -> xr.Dataset:
    for name, variable in dataset.variables.items():
        variable.attrs["units"] = (units or {}).get(str(name), "1")
    return dataset

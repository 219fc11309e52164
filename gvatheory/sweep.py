"""Grids of parameters → one labelled dataset with named dimensions, units and provenance."""

import datetime
import importlib.metadata
import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

PACKAGES = ("gvatheory", "numpy", "scipy", "jax", "xarray")


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
    function: Callable[..., Mapping[str, float]],
    axes: Mapping[str, Sequence[float] | np.ndarray],
    *,
    units: Mapping[str, str] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> xr.Dataset:
    """Evaluate `function` on every cell of a grid.

    Args:
        function: called with one keyword per axis; returns named numbers, the same names for every cell.
        axes: values of each argument; the order gives the dataset's dimensions.
        units: unit of an axis or a result, by name.
        progress: called with (cells done, cells in all) after each cell.

    Returns:
        A dataset with one variable per result and one dimension per axis, and its provenance as attributes.

    Raises:
        ValueError: if there is no axis, an axis is empty or not one-dimensional, or cells disagree on the names.
    """
    grid = {name: np.asarray(values) for name, values in axes.items()}
    if not grid:
        raise ValueError("axes must name at least one axis, got none")
    for name, values in grid.items():
        if values.ndim != 1 or len(values) == 0:
            raise ValueError(f"axes[{name!r}] must be a non-empty one-dimensional sequence, got shape {values.shape}")
    shape = tuple(len(v) for v in grid.values())
    results: dict[str, np.ndarray] = {}
    for done, index in enumerate(itertools.product(*(range(n) for n in shape))):
        cell = {name: values[i].item() for (name, values), i in zip(grid.items(), index, strict=True)}
        out = function(**cell)
        if done == 0:
            results = {name: np.full(shape, np.nan) for name in out}
        if set(out) != set(results):
            raise ValueError(f"function must return the same names in every cell: {sorted(out)} at {cell}")
        for name, value in out.items():
            results[name][index] = value
        if progress is not None:
            progress(done + 1, math.prod(shape))
    units = units or {}
    return xr.Dataset(
        {name: (tuple(grid), values, {"units": units.get(name, "1")}) for name, values in results.items()},
        coords={name: (name, values, {"units": units.get(name, "1")}) for name, values in grid.items()},
        attrs=provenance(function=getattr(function, "__qualname__", repr(function))),
    )

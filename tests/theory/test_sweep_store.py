"""Sweeps that are stored, interrupted, resumed and refused."""

import json
from typing import Any

import numpy as np
import pytest
import xarray as xr

import gvatheory as gva
from gvatheory.validation import is_traced


def quadratic(x, y):
    return {"value": x**2 + y}


class Interrupted(BaseException):
    """Like a KeyboardInterrupt."""


class Record:
    """The cells that were called, and how many may be. Its values are in slots, and so no part of a fingerprint."""

    __slots__ = ("limit", "seen")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.seen: list[Any] = []


def recorded(record: Record):
    """`quadratic`, interrupted when the record is full."""

    def cell(x, y):
        if not is_traced(x):
            if len(record.seen) >= record.limit:
                raise Interrupted
            record.seen.append((x, y))
        return quadratic(x, y)

    return cell


AXES = {"x": np.linspace(0.0, 1.0, 5), "y": np.linspace(1.0, 2.0, 4)}


@pytest.mark.parametrize("engine", ["loop", "vectorised"])
def test_a_stored_sweep_is_read_back_without_work(tmp_path, engine) -> None:
    path = tmp_path / "grid.nc"
    record = Record(100)
    grid = gva.sweep(recorded(record), AXES, engine=engine, store=path, units={"value": "m"})
    record.limit = 0
    again = gva.sweep(recorded(record), AXES, store=path)
    xr.testing.assert_equal(grid, again)
    assert again.attrs["created"] == grid.attrs["created"]
    with xr.open_dataset(path) as plain:
        xr.testing.assert_equal(plain, grid)
        assert plain["value"].attrs["units"] == "m"
    assert [p.name for p in tmp_path.iterdir()] == ["grid.nc"]


@pytest.mark.parametrize("later", ["loop", "auto"])
def test_an_interrupted_sweep_resumes_where_it_was(tmp_path, later) -> None:
    path, record = tmp_path / "grid.nc", Record(13)
    progress: list[tuple[int, int]] = []
    with pytest.raises(Interrupted):
        gva.sweep(recorded(record), AXES, engine="loop", store=path, chunk=4)
    assert len(list((tmp_path / "grid.nc.partial").glob("*.npz"))) == 4  # three of four cells, and the thirteenth
    first, record.seen, record.limit = set(record.seen), [], 100
    grid = gva.sweep(recorded(record), AXES, engine=later, store=path, progress=lambda *now: progress.append(now))
    assert len(first) == 13
    assert not first & set(record.seen)
    assert len(record.seen) <= 7
    assert (progress[0], progress[-1]) == ((4, 20), (20, 20))
    np.testing.assert_allclose(grid["value"], grid["x"] ** 2 + grid["y"], rtol=1e-15)
    assert not (tmp_path / "grid.nc.partial").exists()


def test_invalid_cells_are_kept_too(tmp_path) -> None:
    path, record = tmp_path / "grid.nc", Record(100)

    def cell(x):
        record.seen.append(x)
        if x > 3:
            raise KeyError("stop")
        if x == 2:
            raise ValueError("two")
        return {"v": x}

    axes = {"x": [1, 2, 3, 4]}
    done: list[tuple[int, int]] = []
    for _ in range(2):
        with pytest.raises(KeyError):
            gva.sweep(cell, axes, store=path, invalid="nan", progress=lambda *now: done.append(now))
    assert record.seen == [1, 2, 3, 4, 4]
    assert done == [(1, 4), (2, 4), (3, 4), (2, 4), (3, 4)]
    np.testing.assert_array_equal(
        np.load(next((tmp_path / "grid.nc.partial").glob("*0.npz")), allow_pickle=False)["value.v"], [1.0, 3.0]
    )


def test_another_sweep_in_the_store_is_refused(tmp_path) -> None:
    path = tmp_path / "grid.nc"

    def powers(exponent):
        return lambda x, y: {"value": x**exponent + y}

    gva.sweep(powers(2.0), AXES, store=path)
    for function, axes, message in (
        (powers(3.0), AXES, "differs in source or captured values"),
        (powers(2.0), AXES | {"x": [0.0]}, r"differs in axes\['x'\]"),
        (powers(2.0), {k: AXES[k] for k in ("y", "x")}, "differs in order of axes"),
        (quadratic, AXES, "differs in function, source"),
    ):
        with pytest.raises(ValueError, match=message):
            gva.sweep(function, axes, store=path)
    gva.sweep(powers(2.0), AXES, store=path)  # equal captured values, another function object
    xr.Dataset({"v": 1.0}).to_netcdf(tmp_path / "other.nc")
    with pytest.raises(ValueError, match=r"other.nc exists and is not a sweep's"):
        gva.sweep(powers(2.0), AXES, store=tmp_path / "other.nc")


def test_an_unfinished_sweep_of_another_seed_is_refused(tmp_path) -> None:
    def cell(x, seed):
        raise KeyError("stop")

    for seed, error, message in ((1, KeyError, "stop"), (2, ValueError, "differs in seed")):
        with pytest.raises(error, match=message):
            gva.sweep(cell, {"x": [1]}, seed=seed, store=tmp_path / "grid.nc")
    assert json.loads((tmp_path / "grid.nc.partial" / "fingerprint.json").read_text())["seed"] == "1"


def test_zarr_is_asked_for_before_any_work(monkeypatch, tmp_path) -> None:
    from gvatheory import sweep_store

    monkeypatch.setattr(sweep_store.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"grid.zarr' needs the package zarr"):
        gva.sweep(recorded(Record(0)), AXES, store=tmp_path / "grid.zarr")
    # Without HDF5, SciPy writes netCDF 3: labels and strings survive.
    axes = {"kind": ["a", "bc"], "steps": [1, 2], "on": [False, True]}
    path = tmp_path / "grid.nc"
    grid = gva.sweep(lambda kind, steps, on: {"v": len(kind) * steps + on}, axes, store=path)
    xr.testing.assert_equal(xr.load_dataset(path, engine="scipy"), grid)

"""What a sweep keeps on disk: finished blocks while it runs, one dataset when it is done. Nothing is ever pickled."""

import contextlib
import importlib.util
import json
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from gvatheory.grid_engines import Block

_SECONDS = 5.0  # work that a kill may cost
_LARGEST_BLOCK = 1 << 16


@contextlib.contextmanager
def _atomic(path: Path) -> Iterator[Path]:
    """A temporary path beside `path` that takes its place if the block ends without an exception."""
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        yield part
        part.replace(path)
    finally:
        if part.is_dir():
            shutil.rmtree(part)
        part.unlink(missing_ok=True)


def _netcdf_engine() -> str:
    """The best installed writer of netCDF: HDF5, or the version 3 of SciPy."""
    for package, engine in (("netCDF4", "netcdf4"), ("h5netcdf", "h5netcdf")):
        if importlib.util.find_spec(package):
            return engine
    return "scipy"


class Store:
    """The results of one sweep at `path` (.nc or .zarr), and in the folder `path`.partial until it is done.

    Args:
        path: dataset to be written.
        fingerprint: what the results depend on, as texts by name.

    Raises:
        ValueError: if the ending is unknown, or `path` or its folder holds a sweep with another fingerprint.
        ImportError: if the ending is .zarr and zarr is not installed.
    """

    def __init__(self, path: Path, fingerprint: dict[str, str]) -> None:
        if path.suffix not in (".nc", ".zarr"):
            raise ValueError(f"store must end in .nc or .zarr, got {str(path)!r}")
        if path.suffix == ".zarr" and importlib.util.find_spec("zarr") is None:
            raise ImportError(f"store {str(path)!r} needs the package zarr; install it, or end the name in .nc")
        self.path, self.fingerprint = path, fingerprint
        self.folder = path.with_name(path.name + ".partial")
        self._waiting: list[Block] = []
        self._cells = 0
        self._saved = time.monotonic()
        if path.exists():
            self._compare(path, json.loads(self._read().attrs.get("fingerprint", "{}")))
        elif self.folder.exists():
            self._compare(self.folder, json.loads((self.folder / "fingerprint.json").read_text()))

    def _compare(self, where: Path, found: dict[str, str]) -> None:
        differing = sorted(k for k in {*found, *self.fingerprint} if found.get(k) != self.fingerprint.get(k))
        if not found:
            raise ValueError(f"store {where} exists and is not a sweep's; choose another path")
        if differing:
            raise ValueError(f"store {where} holds a sweep that differs in {', '.join(differing)}; choose another path")

    def _read(self) -> xr.Dataset:
        if self.path.suffix == ".zarr":
            with xr.open_zarr(self.path, consolidated=False) as dataset:
                return dataset.load()
        with xr.open_dataset(self.path) as dataset:
            return dataset.load()

    def finished(self) -> xr.Dataset | None:
        """The dataset if the sweep is done."""
        if not self.path.exists():
            return None
        shutil.rmtree(self.folder, ignore_errors=True)  # left by a kill just before its removal
        return self._read()

    def blocks(self) -> Iterator[Block]:
        """Finished blocks of an earlier run; makes the folder if there is none."""
        file = self.folder / "fingerprint.json"
        if not file.exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            with _atomic(file) as part:
                part.write_text(json.dumps(self.fingerprint, indent=1, sort_keys=True))
        for found in sorted(self.folder.glob("*.npz")):
            with np.load(found, allow_pickle=False) as archive:
                values = {name.removeprefix("value."): archive[name] for name in archive.files if name != "cells"}
                yield Block(archive["cells"], values)

    def add(self, block: Block, at_most: int | None) -> None:
        """Keep a block, on disk at once if `at_most` cells or a few seconds' work wait there."""
        self._waiting.append(block)
        self._cells += len(block.cells)
        if self._cells >= (at_most or _LARGEST_BLOCK) or time.monotonic() - self._saved > _SECONDS:
            self.flush()

    def flush(self) -> None:
        """Write what waits: the blocks with results as one file, those without as another."""
        for with_values in (True, False):
            blocks = [b for b in self._waiting if bool(b.values) is with_values]
            if not blocks:
                continue
            cells = np.concatenate([b.cells for b in blocks])
            names = blocks[0].values
            arrays: dict[str, Any] = {"cells": cells}
            arrays |= {f"value.{name}": np.concatenate([b.values[name] for b in blocks]) for name in names}
            # A cell is in one block only, so its first names the file.
            with _atomic(self.folder / f"{cells[0]:012d}.npz") as part, part.open("wb") as file:
                np.savez(file, **arrays)
        self._waiting, self._cells = [], 0
        self._saved = time.monotonic()

    def finish(self, dataset: xr.Dataset) -> None:
        """Write the dataset, then remove the blocks."""
        dataset = dataset.assign_attrs(fingerprint=json.dumps(self.fingerprint, sort_keys=True))
        with _atomic(self.path) as part:
            if self.path.suffix == ".zarr":
                dataset.to_zarr(part, mode="w", consolidated=False)
            else:
                engine: Any = _netcdf_engine()
                packed = {} if engine == "scipy" else {"zlib": True, "complevel": 4}
                dataset.to_netcdf(part, engine=engine, encoding={str(name): packed for name in dataset.data_vars})
        shutil.rmtree(self.folder)

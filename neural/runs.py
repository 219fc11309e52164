"""What a run keeps on disk: arrays and datasets written atomically, so that an interrupt leaves the last good file."""

from __future__ import annotations

import contextlib
import json
import os
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file


@contextlib.contextmanager
def atomic(path: Path | str) -> Iterator[Path]:
    """A temporary path beside `path`; it takes the place of `path` when the block ends without an exception."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        yield part
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def save_arrays(path: Path | str, arrays: Mapping[str, np.ndarray]) -> None:
    """Write named arrays as an npz without pickle.

    Raises:
        ValueError: naming an array of Python objects.
    """
    for name, value in arrays.items():
        if np.asarray(value).dtype == object:
            raise ValueError(f"array {name!r} holds Python objects, which are never written")
    with atomic(path) as part, part.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)


def load_arrays(path: Path | str) -> dict[str, np.ndarray]:
    """Read an npz without unpickling.

    Raises:
        ValueError: if the file is not an npz or holds Python objects.
    """
    try:
        # Opened here, because NumPy leaves the file of a broken archive open.
        with Path(path).open("rb") as file, np.load(file, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (OSError, ValueError, EOFError, TypeError, AttributeError, zipfile.BadZipFile, zlib.error) as e:
        if isinstance(e, FileNotFoundError):
            raise
        raise ValueError(f"{path} is not a readable npz of plain arrays: {e}") from e


def taken_over(arrays: Mapping[str, np.ndarray], stored: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Of what a checkpoint holds, copies of the arrays that a run measures, known by their names and shapes.

    Raises:
        ValueError: naming the arrays that it lacks or that do not fit.
    """
    bad = sorted(k for k, v in arrays.items() if k not in stored or stored[k].shape != v.shape)
    if bad:
        raise ValueError(f"the checkpoint lacks {bad}: remove it to start the run anew")
    return {name: stored[name].copy() for name in arrays}


def save_tensors(path: Path | str, arrays: Mapping[str, np.ndarray], metadata: Mapping[str, str]) -> None:
    """Write named arrays of numbers as safetensors, with metadata of strings."""
    with atomic(path) as part:
        save_file({k: np.asarray(v, order="C") for k, v in arrays.items()}, part, metadata=dict(metadata))


def load_tensors(path: Path | str) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """The arrays of a safetensors file, and its metadata.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is not safetensors.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"no safetensors file at {path}")
    try:
        with safe_open(path, framework="numpy") as f:
            return {k: f.get_tensor(k) for k in f.keys()}, f.metadata() or {}  # noqa: SIM118 (safe_open is no mapping)
    except SafetensorError as e:
        raise ValueError(f"{path} is not a readable safetensors file: {e}") from e


def save_dataset(path: Path | str, dataset: xr.Dataset) -> None:
    """Write a dataset as netCDF4, compressed."""
    packed = {name: {"zlib": True, "complevel": 4} for name in dataset.data_vars if dataset[name].ndim}
    with atomic(path) as part:
        dataset.to_netcdf(part, engine="netcdf4", encoding=packed)


def load_dataset(path: Path | str) -> xr.Dataset:
    """Read a dataset wholly into memory.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is not netCDF.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"no dataset at {path}")
    try:
        with xr.open_dataset(path, engine="netcdf4") as dataset:
            return dataset.load()
    except OSError as e:
        raise ValueError(f"{path} is not a readable netCDF file: {e}") from e


def _differing(found: Mapping[str, Any], wanted: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Names of the fields that differ, those of nested mappings with a dot."""
    out = []
    for key in {*found, *wanted}:
        one, other = found.get(key), wanted.get(key)
        if isinstance(one, dict) and isinstance(other, dict):
            out += _differing(one, other, f"{prefix}{key}.")
        elif one != other:
            out.append(prefix + key)
    return out


def claim(directory: Path | str, config: Mapping[str, Any]) -> bool:
    """Make `directory` the home of the run described by `config`.

    Returns:
        True if the directory already holds this very run, which can be resumed; False if it is new.

    Raises:
        FileExistsError: if it holds a run of another configuration, naming the fields that differ.
    """
    file = Path(directory) / "config.json"
    wanted = json.loads(json.dumps(config))
    if file.exists():
        found = json.loads(file.read_text())
        if not isinstance(found, dict):
            raise ValueError(f"{file} does not describe a run")
        differing = sorted(_differing(found, wanted))
        if differing:
            raise FileExistsError(
                f"{directory} holds a run that differs in {', '.join(differing)}; choose another --out"
            )
        return True
    with atomic(file) as part:
        part.write_text(json.dumps(wanted, indent=1, sort_keys=True))
    return False

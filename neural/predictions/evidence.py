"""What the predictions are judged by: small datasets of the runs, one per arm, and of what was measured after them.

They ship with the project, so that verdicts and figures are had without a run; `collect` makes them from runs.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import xarray as xr

from neural.control.campaign import divergence
from neural.control.campaign_dataset import expert_returns
from neural.predictions.arms import Arm, slug
from neural.runs import atomic, load_dataset, save_dataset

SHIPPED = Path(__file__).parent / "assets"
"""Holds a directory per set of seeds."""

SETS = ("verdict", "check")
"""Sets of seeds that may ship, the one that decides first."""


def shipped() -> dict[str, Path]:
    """Directories of the sets of seeds that ship, the one that decides first; a source tree may be without any."""
    return {name: SHIPPED / name for name in SETS if (SHIPPED / name).is_dir()}


MISSING = "missing.json"
"""Beside the datasets: names of the arms that lack a run, and why."""

_SMALL = {"length": "int16", "fallen": "int8"}


class Evidence:
    """The datasets of one set of seeds, read when asked for.

    Attributes:
        directory: where they are.
    """

    def __init__(self, directory: Path | str) -> None:
        """Raises FileNotFoundError if there is no such directory."""
        self.directory = Path(directory)
        if not self.directory.is_dir():
            raise FileNotFoundError(f"no evidence at {self.directory}")
        self._read = functools.cache(lambda name: load_dataset(self.directory / f"{name}.nc"))

    def has(self, name: str) -> bool:
        """Whether there is a dataset of that name."""
        return (self.directory / f"{slug(name)}.nc").is_file()

    def __getitem__(self, name: str) -> xr.Dataset:
        """A dataset by its name: that of an arm, or with a dash and what was measured after it.

        Raises:
            FileNotFoundError: if there is none, with the reason if it is known.
        """
        try:
            return self._read(slug(name))
        except FileNotFoundError as e:
            why = next((why for arm, why in self.missing().items() if f"{name} ".startswith(f"{arm} ")), None)
            if why is None:
                raise
            raise FileNotFoundError(f"{name}: {why}") from e

    def missing(self) -> dict[str, str]:
        """Arms that lack a run, and why."""
        file = self.directory / MISSING
        return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}


def compact(run: xr.Dataset) -> xr.Dataset:
    """A run's dataset with floats in single precision and integers no larger than they need to be."""
    out = run.copy()
    for name in run.data_vars:
        kind = _SMALL.get(str(name))
        if kind is None and run[name].dtype == np.float64 and run[name].ndim:
            kind = "float32"
        if kind is not None:
            out[name] = run[name].astype(kind).assign_attrs(run[name].attrs)
    return out


def collect(arms: Sequence[Arm], runs: Path | str, out: Path | str) -> dict[str, str]:
    """Make evidence of the finished runs in a campaign's directory; names of those that are missing, and why.

    What was measured after a run (`NAME.nc` beside `run.nc`) becomes SLUG-NAME.
    """
    runs, out = Path(runs), Path(out)
    out.mkdir(parents=True, exist_ok=True)
    missing: dict[str, str] = {}
    experts = {}
    for arm in arms:
        directory = runs / arm.slug / "run"
        if not (directory / "run.nc").is_file():
            missing[arm.name] = divergence(directory) or "not run"
            continue
        for file in sorted(directory.glob("*.nc")):
            name, dataset = f"{arm.slug}-{file.stem}", compact(load_dataset(file))
            if file.name == "run.nc":
                name, started = arm.slug, (arm.experiment.task, arm.experiment.expert, arm.experiment.rollouts)
                if started not in experts:
                    experts[started] = expert_returns(arm.experiment)
                dataset["expert_return"] = "episode", experts[started], {"units": "reward", "long_name": "the expert's"}
            save_dataset(out / f"{name}.nc", dataset)
    with atomic(out / MISSING) as part:
        part.write_text(json.dumps(missing, indent=1), encoding="utf-8")
    return missing

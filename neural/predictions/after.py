"""What is measured of an arm's runs once they are finished: spectra, horizons and orders, a dataset of all seeds each.

Every seed's measurement is a file of its own until all are there, so that an interrupted one goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import xarray as xr

from neural.control.campaign import Engine, in_parallel
from neural.control.curvature import noise_spectrum
from neural.control.rebuild import rebuild
from neural.predictions.arms import DEFAULT, SLOW, Arm
from neural.predictions.horizons import horizon_data
from neural.predictions.noise_spectra import to_dataset
from neural.predictions.orders import orders_data
from neural.runs import load_dataset, save_dataset
from neural.statistics import RAW


def spectrum(directory: Path, seed: int, task: str) -> xr.Dataset:
    """Of the training loss at the default average, where little of the gradient is the noise's own."""
    run = rebuild(directory, seed=seed)
    place = run.averages.index(DEFAULT)
    at = jax.tree.map(lambda leaf: leaf[place], run.cloning.averages())
    pairs = run.cloning.pairs(run.train.observations, run.train.actions, run.train.step)
    return to_dataset(noise_spectrum(run.cloning, pairs, at=at, seed=seed))


def horizons(directory: Path, seed: int, task: str) -> xr.Dataset:
    """Of the raw iterate and the default average; fewer where the physics is slow. Distances at every tenth step."""
    few: dict[str, Any] = {"iterates": 12, "episodes": 6}
    if task in SLOW:
        few = {"iterates": 8, "episodes": 4, "lyapunov_episodes": 3}
    data = horizon_data(directory, averages=(RAW, DEFAULT), seed=seed, threads=1, **few)
    steps = data["step"].values
    return data.sel(step=steps[(steps <= 10) | (steps % 10 == 0)]).drop_vars("distance_quantile")


def orders(directory: Path, seed: int, task: str) -> xr.Dataset:
    """Around the default average."""
    return orders_data(directory, centre=DEFAULT, seed=seed, threads=1)


MEASURES: dict[str, Callable[[Path, int, str], xr.Dataset]] = {
    "spectrum": spectrum,
    "horizons": horizons,
    "orders": orders,
}


def measure(
    arms: Sequence[Arm],
    runs: Path | str,
    engine: Engine | None = None,
    *,
    progress: Callable[[str, int, int], None] | None = None,
) -> None:
    """Measure what these arms ask for and is not there, of those that are finished; leaves NAME.nc beside run.nc.

    Args:
        arms: of `arms.arms`.
        runs: directory of the campaign.
        engine: what carries the measurements out; this process if not given.
        progress: called with ("measurements", done, total).
    """
    report = progress or (lambda stage, done, total: None)
    wanted = [
        (what, Path(runs) / arm.slug / "run", seed, arm.experiment.task)
        for arm in arms
        for what in arm.after
        for seed in arm.experiment.seeds
        if (Path(runs) / arm.slug / "run" / "run.nc").is_file()
    ]
    pending = [one for one in wanted if not _part(*one[:3]).is_file()]
    done = len(wanted) - len(pending)
    report("measurements", done, len(wanted))
    for _ in in_parallel([(_measure, one) for one in pending], engine or Engine()):
        done += 1
        report("measurements", done, len(wanted))
    for what, directory in dict.fromkeys((what, directory) for what, directory, *_ in wanted):
        seeds = [seed for w, d, seed, _ in wanted if (w, d) == (what, directory)]
        parts = [load_dataset(_part(what, directory, seed)) for seed in seeds]
        whole = xr.concat(parts, dim=xr.DataArray(seeds, dims="seed", name="seed"), combine_attrs="drop_conflicts")
        save_dataset(directory / f"{what}.nc", whole)


def _part(what: str, directory: Path, seed: int) -> Path:
    return directory / "parts" / f"{what}-{seed}.nc"


def _measure(what: str, directory: Path, seed: int, task: str) -> None:
    """One measurement, in a worker."""
    part = _part(what, directory, seed)
    part.parent.mkdir(exist_ok=True)
    save_dataset(part, MEASURES[what](directory, seed, task))

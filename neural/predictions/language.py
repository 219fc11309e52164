"""What N9 reads of a language run: per seed the measures of neighbouring updates, and the law against distance."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import xarray as xr

from neural.language.agreement import Survival
from neural.language.butterfly import AverageButterfly, butterfly
from neural.language.distance_law import parting_law
from neural.runs import load_dataset

PARTED = "parting.nc"
"""Beside a run's dataset: `gva lm part`'s, of the raw iterate."""
_MEASURES: dict[str, tuple[Callable[[AverageButterfly], float], str, str]] = {
    "differing": (lambda row: row.survival.differing.value, "1", "continuations that differ from the next update's"),
    "loss_change": (lambda row: row.loss.median.value, "1", "median relative change of the loss per update"),
    "gain": (lambda row: row.loss.gain.value, "nats per token", "loss less than raw's by"),
    "hazard": (lambda row: row.hazard.hazard.value, "1/token", "splits per token at risk"),
    "ratio": (lambda row: row.hazard.ratio.value, "1", "f(0) E|D|/2 over the hazard"),
    "late_to_early": (lambda row: row.hazard.late_to_early.value, "1", "hazard after the median split over before"),
}


def language_data(directories: Sequence[Path | str]) -> xr.Dataset:
    """Runs that differ in their seed, each reduced to its measures over consecutive iterates, greedy continuations.

    Returns:
        dims seed, average, position: the measures of `_MEASURES`, `agreeing` (survival of agreement), and over seed
        `distance_exponent` and `distance_advantage` of `parting_law`.

    Raises:
        FileNotFoundError: if a run or its parting is missing.
        ValueError: if there are no runs, or they differ in more than the seed.
    """
    if not directories:
        raise ValueError("directories must hold at least one run, got none")
    runs = [load_dataset(Path(d) / "run.nc") for d in directories]
    configs = [json.loads(run.attrs["config"]) for run in runs]
    seeds = [config["trainer"].pop("seed") for config in configs]
    if any(config != configs[0] for config in configs) or len(set(seeds)) < len(seeds):
        raise ValueError(f"directories must hold runs that differ in their seed alone, got seeds {seeds}")
    found = [butterfly(run) for run in runs]
    cells = ("seed", "average")
    data = {
        name: (cells, [[of(row) for row in one.rows] for one in found], {"units": units, "long_name": meaning})
        for name, (of, units, meaning) in _MEASURES.items()
    }
    curves: list[list[Survival]] = [[row.survival for row in one.rows] for one in found]
    laws = [parting_law(load_dataset(Path(d) / PARTED)) for d in directories]
    return xr.Dataset(
        {
            **data,
            "agreeing": ((*cells, "position"), [[c.agreeing for c in row] for row in curves], {"units": "1"}),
            "distance_exponent": ("seed", [law.exponent.value for law in laws], {"units": "1"}),
            "distance_advantage": ("seed", [law.advantage.value for law in laws], {"units": "1"}),
        },
        {
            "seed": ("seed", seeds, {"long_name": "seed of the initial weights and the batches"}),
            "average": np.array([row.average for row in found[0].rows]),
            "position": ("position", np.arange(found[0].length + 1), {"units": "tokens"}),
        },
        {**runs[0].attrs, "config": json.dumps(configs[0], sort_keys=True), "prompts": found[0].prompts},
    ).sortby("seed")

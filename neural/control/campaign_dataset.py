"""One dataset of a campaign: every return, every loss, and the statistics of each run.

Members: "raw" is the iterate itself, "average" the average that its intervention is about (`average_name` says which of
the run's it is). Interventions that differ in the average alone repeat the raw rows of the run they share.

Padding: interventions may measure different iterates, so they lie along `probe` and `iterate` says which they are.
Where there is no such probe, `iterate` is −1, the windows are 0, and floating-point variables are NaN. NaN is also what
a cell has that is not finished or diverged; `status` tells them apart.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from gvatheory.sweep import PACKAGES, provenance
from neural.control.campaign import Cell, divergence, finished
from neural.control.catalogue_terms import Intervention
from neural.control.design import CloningExperiment
from neural.control.experiment import EVALUATION_SEED
from neural.control.experts import load_expert
from neural.control.rollout import evaluate
from neural.control.tasks import get_task
from neural.runs import load_dataset
from neural.statistics import RAW, WINDOWS, Estimate, WindowStatistics, reward_spread

PENDING, DONE, DIVERGED = 0, 1, 2

MEMBERS = (RAW, "average")

_CELL = ("intervention", "task", "seed")
_WINDOW = (*_CELL, "window", "member")
_QUANTITIES = {
    "mean_return": ("reward", "mean over iterates and episodes"),
    "spread": ("reward", "std over iterates of the mean return over episodes"),
    "fallen_share": ("1", "fraction of episodes that end in a fall"),
    "ratio": ("1", "spread of raw / spread of this"),
}
"""Estimates with bounds, by name: their units and meaning."""


def gather(
    interventions: Sequence[Intervention],
    cells: Sequence[Cell],
    out: Path | str,
    *,
    resamples: int = 2000,
    progress: Callable[[int, int], None] | None = None,
) -> xr.Dataset:
    """Collect what is finished of a campaign.

    Dims intervention, task, seed, member (raw, average), probe, episode; window (consecutive, spaced) and bound (low,
    high) of the statistics, which are those of `neural.statistics.reward_spread` with 95 % intervals, within one run.
    `expert_return` is the expert's over the same initial conditions, a fixed scale for spreads.

    Args:
        interventions: in the order wanted.
        cells: from `campaign.plan` of these interventions.
        out: directory of the campaign.
        resamples: of the bootstrap, ≥ 100.
        progress: called with (cells done, cells in all).

    Raises:
        ValueError: if the cells measure different numbers of episodes, or there are none.
    """
    if not cells:
        raise ValueError("cells must hold at least one, got none")
    tasks, seeds = (list(dict.fromkeys(getattr(cell, name) for cell in cells)) for name in ("task", "seed"))
    episodes = {cell.experiment.rollouts for cell in cells}
    if len(episodes) > 1:
        raise ValueError(f"cells must have the same number of rollouts, got {sorted(episodes)}")
    names = [intervention.name for intervention in interventions]
    dataset = _empty(interventions, tasks, seeds, cells)
    for done, cell in enumerate(cells):
        directory = finished(cell, out)
        if directory is not None:
            for member in cell.members:
                if member.name in names:
                    where = (names.index(member.name), tasks.index(cell.task), seeds.index(cell.seed))
                    _fill(dataset, where, member, directory, resamples)
        if progress is not None:
            progress(done + 1, len(cells))
    dataset["expert_return"] = "task", [_expert_return(task, cells) for task in tasks], {"units": "reward"}
    return dataset


def of_runs(
    interventions: Sequence[Intervention],
    runs: Mapping[str, xr.Dataset],
    experiments: Mapping[str, CloningExperiment],
    average: str,
    *,
    resamples: int = 100,
) -> xr.Dataset:
    """As `gather`, of runs of one task that are at hand, each of the same learner seeds.

    Intervals within single runs are coarse unless `resamples` is raised; over several seeds nobody reads them.

    Args:
        interventions: in the order wanted.
        runs, experiments: by the intervention's name; `expert_return` of the runs is over their own episodes.
        average: of every run's bank, that the raw iterates are compared with.
        resamples: of the bootstrap, ≥ 100.

    Raises:
        ValueError: if there are no interventions.
    """
    if not interventions:
        raise ValueError("interventions must be at least one, got none")
    first = runs[interventions[0].name]
    task, seeds = experiments[interventions[0].name].task, [int(seed) for seed in first["seed"].values]
    cells = [Cell(task, seeds[0], (i,), experiments[i.name], i.name) for i in interventions]
    dataset = _empty(interventions, [task], seeds, cells)
    for i, intervention in enumerate(interventions):
        for s, seed in enumerate(seeds):
            run = runs[intervention.name].sel(seed=seed, drop=True)
            if np.isfinite(run["return"].values).all():
                _fill_from(dataset, (i, 0, s), run, average, resamples)
            else:
                dataset["status"].values[i, 0, s] = DIVERGED
    dataset["average_name"] = "intervention", [average] * len(interventions)
    dataset["expert_return"] = "task", [float(first["expert_return"].mean())], {"units": "reward"}
    return dataset


def _empty(
    interventions: Sequence[Intervention], tasks: list[str], seeds: list[int], cells: Sequence[Cell]
) -> xr.Dataset:
    """The dataset with its labels and nothing measured."""
    experiments = [cell.experiment for cell in cells]
    probes = {experiment.probes()[0].size for experiment in experiments}
    sizes = dict(zip(_CELL, (len(interventions), len(tasks), len(seeds)), strict=True))
    sizes |= {"window": len(WINDOWS), "member": len(MEMBERS), "bound": 2}
    sizes |= {"probe": max(probes), "episode": experiments[0].rollouts}

    def filled(dims: tuple[str, ...], value: float, dtype: str, **attrs: str) -> Any:
        return dims, np.full([sizes[d] for d in dims], value, dtype=dtype), attrs

    run = (*_CELL, "member", "probe")
    variables = {
        "status": filled(_CELL, PENDING, "int8", meaning="0 not finished, 1 done, 2 the training diverged"),
        "return": filled((*run, "episode"), np.nan, "float64", units="reward"),
        "fallen": filled((*run, "episode"), np.nan, "float32", units="1"),
        "loss": filled(run, np.nan, "float64", units="action²"),
        "loss_floor": filled(_CELL, np.nan, "float64", units="action²"),
        "iterate": filled(("intervention", "probe"), -1, "int64", units="updates"),
        **{name: filled(("intervention", "probe"), 0, "int8") for name in WINDOWS},
        "relative_loss_spread": filled(_WINDOW, np.nan, "float64", units="1"),
    }
    for name, (units, meaning) in _QUANTITIES.items():
        variables[name] = filled(_WINDOW, np.nan, "float64", units=units, long_name=meaning)
        variables[f"{name}_bounds"] = filled((*_WINDOW, "bound"), np.nan, "float64", units=units)
    labels = {
        "family": [i.family for i in interventions],
        "average_name": [i.average_name for i in interventions],
        "changes": [i.describe() for i in interventions],
        "predictions": [" ".join(i.predictions) for i in interventions],
    }
    coords = {
        "intervention": [i.name for i in interventions],
        **{name: ("intervention", values) for name, values in labels.items()},
        "task": tasks,
        "seed": seeds,
        "member": list(MEMBERS),
        "window": list(WINDOWS),
        "bound": ["low", "high"],
        "episode": [EVALUATION_SEED + i for i in range(sizes["episode"])],
    }
    base = json.dumps(experiments[0].describe(), sort_keys=True)
    return xr.Dataset(
        variables, coords=coords, attrs=provenance((*PACKAGES, "mujoco", "optax", "joblib"), first_config=base)
    )


def _fill(
    dataset: xr.Dataset, where: tuple[int, int, int], intervention: Intervention, directory: Path, resamples: int
) -> None:
    """Put one run, as far as it concerns an intervention, into its place; `dataset` is changed."""
    if divergence(directory) is not None:
        dataset["status"].values[where] = DIVERGED
        return
    _fill_from(dataset, where, load_dataset(directory / "run.nc"), intervention.average_name, resamples)


def _fill_from(dataset: xr.Dataset, where: tuple[int, int, int], run: xr.Dataset, average: str, resamples: int) -> None:
    """Put a finished run of one seed into its place; `dataset` is changed."""
    run = run.sel(average=[RAW, average])
    count = run.sizes["iterate"]
    dataset["status"].values[where] = DONE
    for name, dims in (
        ("return", ("average", "iterate", "episode")),
        ("fallen", ("average", "iterate", "episode")),
        ("loss", ("average", "iterate")),
    ):
        dataset[name].values[where][:, :count] = run[name].transpose(*dims).values
    dataset["loss_floor"].values[where] = float(run["loss_floor"])
    for name in ("iterate", *WINDOWS):
        dataset[name].values[where[0], :count] = run[name].values
    usable = [w for w, window in enumerate(WINDOWS) if int(run[window].sum()) > 1]
    if usable and np.isfinite(run["return"].values).all():
        found = reward_spread(run, windows=[WINDOWS[w] for w in usable], resamples=resamples)
        for w, window in zip(usable, found.windows, strict=True):
            _put(dataset, (*where, w), window)


def _put(dataset: xr.Dataset, where: tuple[int, ...], window: WindowStatistics) -> None:
    """The statistics of one run within one window; `dataset` is changed."""
    for m, row in enumerate(window.rows):
        dataset["relative_loss_spread"].values[(*where, m)] = row.relative_loss_spread
        estimates = {"mean_return": row.mean_return, "spread": row.spread, "fallen_share": row.fallen}
        estimates["ratio"] = row.ratio if m else Estimate(1.0, 1.0, 1.0)
        for name, estimate in estimates.items():
            dataset[name].values[(*where, m)] = estimate.value
            dataset[f"{name}_bounds"].values[(*where, m)] = estimate.low, estimate.high


def _expert_return(task: str, cells: Sequence[Cell]) -> float:
    """The expert's mean return over the campaign's initial conditions; NaN for a task without a cell."""
    experiment = next((cell.experiment for cell in cells if cell.task == task), None)
    if experiment is None:
        return math.nan
    return float(expert_returns(experiment).mean())


def expert_returns(experiment: CloningExperiment) -> np.ndarray:
    """(rollouts,) the expert's returns from the initial conditions of an experiment's rollouts.

    Raises:
        FileNotFoundError: if the task has no expert.
    """
    expert, _ = load_expert(experiment.task, experiment.expert)
    starts = [EVALUATION_SEED + i for i in range(experiment.rollouts)]
    return evaluate([expert], get_task(experiment.task), starts, max_steps=experiment.rollout_steps).returns[0]

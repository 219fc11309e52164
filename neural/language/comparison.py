"""Schedules against averages at an equal budget: runs that differ in their step sizes alone, in one dataset."""

from __future__ import annotations

import json
from collections.abc import Mapping

import xarray as xr

from neural.statistics import Estimate, mean_estimate


def compare(runs: Mapping[str, xr.Dataset]) -> xr.Dataset:
    """Losses of several runs under one roof.

    Args:
        runs: datasets of language runs by the name of their schedule, alike in everything else.

    Returns:
        dims schedule, average, window, and update, kept if the runs have them: `final_loss` (schedule, average,
        window), the validation loss of each window at the end, nats per token, and `update_loss`.

    Raises:
        ValueError: if there are fewer than two, or they differ in more than the schedule, naming in what.
    """
    if len(runs) < 2:
        raise ValueError(f"runs must be at least two, got {len(runs)}")
    configs = [json.loads(run.attrs["config"]) for run in runs.values()]
    languages = {run.attrs["language"] for run in runs.values()}
    differing = sorted(k for k in configs[0] if k != "schedule" and any(c.get(k) != configs[0][k] for c in configs))
    if differing or len(languages) > 1:
        raise ValueError(f"runs must differ in their schedule alone, these do in {differing or ['language']}")
    parts = []
    for run in runs.values():
        last = run["window_loss"].isel(iterate=-1, drop=True).rename("final_loss")
        parts.append(xr.merge([last, *([run["update_loss"]] if "update_loss" in run else [])]))
    whole = xr.concat(parts, dim=xr.DataArray(list(runs), dims="schedule", name="schedule"))
    first = next(iter(runs.values()))
    return whole.assign_attrs({**first.attrs, "config": json.dumps({**configs[0], "schedule": list(runs)})})


def differences(compared: xr.Dataset, schedule: str, average: str = "raw") -> dict[tuple[str, str], Estimate]:
    """Final loss of every schedule and average less that of one of them, mean over windows with a paired t-interval.

    The interval is over validation windows: it holds for these runs, of one seed each.

    Raises:
        KeyError: if there is no such schedule or average.
    """
    final = compared["final_loss"]
    base = final.sel(schedule=schedule, average=average).values
    names = [(str(s), str(a)) for s in final["schedule"].values for a in final["average"].values]
    return {(s, a): mean_estimate(final.sel(schedule=s, average=a).values - base) for s, a in names}

"""What each intervention does to the spread of reward, raw and averaged: after the paper's Figure 2."""

from pathlib import Path

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from neural.control.campaign_summary import InterventionSummary, summarise
from neural.control.catalogue_terms import BASE
from neural.runs import load_dataset
from neural.statistics import Estimate
from paper_figs import style

WINDOWS_DRAWN = ("spaced", "consecutive")
_TITLES = {"spaced": "A  Spaced iterates", "consecutive": "B  Consecutive iterates"}
_DECADES = 4
"""Decades below the largest spread that are drawn at least; whiskers are cut where the axis ends."""


def data(path: Path | str) -> xr.Dataset:
    """The dataset of a campaign.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is not the dataset of a campaign.
    """
    dataset = load_dataset(path)
    missing = sorted({"spread", "spread_bounds", "expert_return", "status"} - set(map(str, dataset.data_vars)))
    if missing:
        raise ValueError(f"data must be the dataset of a campaign, {path} lacks {missing}")
    return dataset


def draw(dataset: xr.Dataset) -> Figure:
    """One line per intervention, family by family: spread of raw and of the average, each with its interval.

    Args:
        dataset: from `campaign_dataset.gather`, with the base among its interventions.

    Raises:
        ValueError: if the base is missing or nothing has finished.
    """
    summaries = {window: summarise(dataset, window) for window in WINDOWS_DRAWN}
    if not any(row.runs for row in summaries["spaced"]):
        raise ValueError("the dataset has no finished run to draw")
    rows = summaries["spaced"]
    places = _places([row.family for row in rows])
    with style.canvas(9.6, 1.6 + 0.165 * (max(places) + 1)) as figure:
        panels = figure.subplots(1, len(WINDOWS_DRAWN), sharey=True)
        for axes, window in zip(panels, WINDOWS_DRAWN, strict=True):
            _panel(axes, summaries[window], places)
            axes.set_title(_TITLES[window])
        panels[0].set_yticks(places, [row.intervention for row in rows])
        panels[0].set_ylim(max(places) + 0.8, -0.8)
        for label, row in zip(panels[0].get_yticklabels(), rows, strict=True):
            label.set_fontweight("bold" if row.family == BASE else "normal")
        handles = panels[0].get_legend_handles_labels()
        figure.legend(*handles, loc="outside upper center", ncols=3)
    return figure


def caption(dataset: xr.Dataset) -> str:
    """What the figure shows, with its sample sizes and what its intervals speak of."""
    rows = summarise(dataset, "spaced")
    counts = [int(dataset[window].isel(intervention=0).sum()) for window in WINDOWS_DRAWN]
    runs = dataset.sizes["task"] * dataset.sizes["seed"]
    tasks = ", ".join(map(str, dataset["task"].values))
    speak = (
        "they come from one training run each and say nothing of other seeds"
        if runs == 1
        else f"they are t intervals over the runs of an intervention, of which there are up to {runs}"
    )
    diverged = sum(row.diverged for row in rows)
    lost = f" {diverged} runs diverged and are not in it." if diverged else ""
    return (
        f"Standard deviation over iterates of the mean return over {dataset.sizes['episode']} initial conditions, in "
        f"units of the expert's return, of the raw iterate and of an average of it: {len(rows)} interventions on "
        f"{tasks}. A: {counts[0]} iterates further apart than the average remembers; B: the last {counts[1]}, one by "
        f"one. Whiskers: 95 % intervals; {speak}. Dashed: the base's raw spread. A spread is small too where every "
        f"episode falls: hollow marks are those whose mean return is under half the expert's.{lost}"
    )


def _places(families: list[str]) -> list[float]:
    """Heights of the rows, with a gap where the family changes."""
    places, place = [], 0.0
    for i, family in enumerate(families):
        place += 0.0 if i == 0 else 1.0 if family == families[i - 1] else 1.7
        places.append(place)
    return places


def _panel(axes: Axes, rows: list[InterventionSummary], places: list[float]) -> None:
    kinds = (("raw iterate", style.RAW, 0), ("average", style.AVERAGES[0], 1))
    points = [estimate for row in rows for estimate in (row.raw, row.averaged)]
    known = [estimate.value for estimate in points if np.isfinite(estimate.value) and estimate.value > 0]
    low, high = min(min(known, default=1e-3) / 3, max(known, default=1.0) / 10**_DECADES), 3 * max(known, default=1.0)
    for title, colour, member in kinds:
        for row, place in zip(rows, places, strict=True):
            estimate = row.averaged if member else row.raw
            _mark(
                axes, estimate, place + (0.16 if member else -0.16), colour, row.mean_return[member] < 0.5, (low, high)
            )
        axes.plot([], [], "o", color=colour, ms=4, label=title)
    for row, place in zip(rows, places, strict=True):
        if not row.runs and row.diverged:
            axes.text(low * 1.2, place, "diverged", color=style.MUTED, fontsize=7, va="center")
    base = next(row.raw.value for row in rows if row.intervention == BASE)
    axes.axvline(base, color=style.MUTED, ls="--", lw=0.9, label="base, raw")
    axes.set_xscale("log")
    axes.set_xlim(low, high)
    axes.set_xlabel("spread of return / expert's return")
    axes.tick_params(axis="y", length=0)


def _mark(axes: Axes, estimate: Estimate, place: float, colour: str, hollow: bool, limits: tuple[float, float]) -> None:
    """A point with its whisker, cut at the limits; a spread of 0 is an arrow at the left."""
    if not np.isfinite(estimate.value):
        return
    if estimate.value == 0:
        axes.plot(limits[0], place, "<", color=colour, ms=4, clip_on=False)
        return
    if np.isfinite(estimate.low):
        ends = np.clip((estimate.low, estimate.high), *limits)
        axes.plot(ends, (place, place), "-", color=colour, lw=1.0, alpha=0.6)
    axes.plot(estimate.value, place, "o", color=colour, ms=4, mfc="white" if hollow else colour)

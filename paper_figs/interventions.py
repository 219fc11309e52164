"""What each intervention does to the spread of reward, raw and averaged: after the paper's Figure 2.

From the shipped evidence, several seeds of each of some interventions, with what the linear theory says of the base's
average; or from the dataset of a campaign.
"""

from pathlib import Path

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from neural.control.campaign_dataset import of_runs
from neural.control.campaign_summary import InterventionSummary, summarise
from neural.control.catalogue import catalogue
from neural.control.catalogue_terms import BASE
from neural.predictions.arms import BATCHES, DECAYS, DEFAULT, LEAVE, STEPS, TASKS
from neural.predictions.evidence import Evidence
from neural.predictions.linear_theory import window_factor
from neural.predictions.n7_interventions import MARGIN
from neural.predictions.noise_spectra import all_stable, experiment_of_run, spectra
from neural.predictions.spreads import expert_level, window_spread
from neural.runs import load_dataset
from neural.statistics import Estimate
from paper_figs import style
from paper_figs.evidence_parts import opened

WINDOWS_DRAWN = ("spaced", "consecutive")
_TITLES = {"spaced": "A  Spaced iterates", "consecutive": "B  Consecutive iterates"}
_DECADES = 4
"""Decades below the largest spread that are drawn at least; whiskers are cut where the axis ends."""


def data(path: Path | str) -> xr.Dataset:
    """The dataset of a campaign: a file, or made of a directory of evidence.

    Raises:
        FileNotFoundError: if there is no such file, or the evidence lacks an arm.
        ValueError: if it is not the dataset of a campaign.
    """
    if Path(path).is_dir():
        return of_evidence(opened(path))
    dataset = load_dataset(path)
    missing = sorted({"spread", "spread_bounds", "expert_return", "status"} - set(map(str, dataset.data_vars)))
    if missing:
        raise ValueError(f"data must be the dataset of a campaign, {path} lacks {missing}")
    return dataset


def of_evidence(evidence: Evidence) -> xr.Dataset:
    """The arms of the first task as the dataset of a campaign, its average the default one.

    Beside the variables of a campaign, where the linear theory has a say on every seed of the base: predicted_average
    (window), spread of the base's average by that theory, in units of the expert's return: raw's times the root of the
    window's variance factor, geometric mean over seeds.

    Raises:
        FileNotFoundError: if an arm is missing.
    """
    wanted = (BASE, *LEAVE, *STEPS, *BATCHES, *DECAYS)
    chosen = [i for i in catalogue() if i.name in wanted]
    runs = {i.name: evidence[f"{TASKS[0]} {i.name}"] for i in chosen}
    experiments = {name: experiment_of_run(run) for name, run in runs.items()}
    dataset = of_runs(chosen, runs, experiments, DEFAULT)
    arm = f"{TASKS[0]} {BASE}"
    if all_stable(evidence, arm):
        predicted = [_predicted(evidence, arm, window) for window in dataset["window"].values]
        dataset["predicted_average"] = "window", predicted, {"units": "1"}
    return dataset


def _predicted(evidence: Evidence, arm: str, window: str) -> float:
    """Spread of an arm's default average in a window by the linear theory, in units of the expert's return."""
    run, of = evidence[arm], spectra(evidence, arm)
    e = of.experiment
    count, spacing = (e.spaced, e.spacing) if window == "spaced" else (e.consecutive, 1)
    raw = window_spread(run, window=window) / expert_level(run)
    factors = [window_factor(s, e.schedule, e.bank[DEFAULT], e.steps, count, spacing).loss for s in of.by_seed]
    return float(np.exp(np.mean(np.log(raw) + 0.5 * np.log(factors))))


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
            _theory(axes, dataset, window)
            axes.set_title(_TITLES[window])
        panels[0].set_yticks(places, [row.intervention for row in rows])
        panels[0].set_ylim(max(places) + 0.8, -0.8)
        for label, row in zip(panels[0].get_yticklabels(), rows, strict=True):
            label.set_fontweight("bold" if row.family == BASE else "normal")
        handles = panels[0].get_legend_handles_labels()
        figure.legend(*handles, loc="outside upper center", ncols=5)
    return figure


def caption(dataset: xr.Dataset) -> str:
    """What the figure shows, with its sample sizes and what its intervals speak of."""
    rows = summarise(dataset, "spaced")
    counts = [int(dataset[window].isel(intervention=0).sum()) for window in WINDOWS_DRAWN]
    runs = dataset.sizes["task"] * dataset.sizes["seed"]
    tasks = ", ".join(map(str, dataset["task"].values))
    theory = ""
    if "predicted_average" in dataset:
        shown = " and ".join(
            f"{float(dataset['predicted_average'].sel(window=window)):.2g} in {_TITLES[window][0]}"
            for window in WINDOWS_DRAWN
        )
        theory = (
            " Dotted: what the linear theory says of the base's average, raw's spread times the root of the filter's "
            f"variance factor in the window, for the spectrum measured at the end of each run: {shown}."
        )
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
        f"{tasks}, {_seeds(dataset)}. A: {counts[0]} iterates further apart than the average remembers; B: the last "
        f"{counts[1]}, one by "
        f"one. Whiskers: 95 % intervals; {speak}. Dashed: the base's raw spread, with the factor of {MARGIN:g} that "
        f"N7 allows.{theory} A spread is small too where every "
        f"episode falls: hollow marks are those whose mean return is under half the expert's.{lost}"
    )


def _seeds(dataset: xr.Dataset) -> str:
    seeds = [int(seed) for seed in dataset["seed"].values]
    return f"learner seed {seeds[0]}" if len(seeds) == 1 else f"learner seeds {', '.join(map(str, seeds))}"


def _theory(axes: Axes, dataset: xr.Dataset, window: str) -> None:
    """What the linear theory says of the base's average, where it was computed."""
    if "predicted_average" in dataset:
        predicted = float(dataset["predicted_average"].sel(window=window))
        axes.axvline(predicted, color=style.AVERAGES[0], ls=":", lw=1.2, label="base, average by the linear theory")


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
    axes.axvspan(
        base / MARGIN, base * MARGIN, color=style.MUTED, alpha=0.12, lw=0, label=f"within a factor of {MARGIN:g}"
    )
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

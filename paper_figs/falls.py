"""Returns of single episodes, fallen and not, and how many of an iterate's episodes fall, beside the law (N8)."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from neural.predictions import n8_falls as n8
from neural.predictions.arms import TASKS
from neural.predictions.evidence import Evidence
from neural.predictions.noise_spectra import all_stable
from neural.predictions.spreads import expert_level
from neural.statistics import Estimate
from paper_figs import style
from paper_figs.evidence_parts import marks, opened, over_seeds, seeds_in_words

_BINS = np.linspace(-0.1, 1.2, 27)


@dataclasses.dataclass(frozen=True, eq=False)
class Falls:
    """Raw iterates of one task's base, spaced ones of all seeds.

    Attributes:
        returns, fallen: of single episodes, in units of the expert's mean return; flat.
        shares: of the iterates with 0, 1, ... fallen episodes, over seeds.
        law: the same by the law of the noisy threshold; NaN where it has none.
        threshold: its (c, r).
        iterates: per seed.
    """

    returns: np.ndarray
    fallen: np.ndarray
    shares: list[Estimate]
    law: np.ndarray
    threshold: tuple[float, float]
    iterates: int


@dataclasses.dataclass(frozen=True, eq=False)
class FallsOfTasks:
    """Every task, the share of the variance that falls explain on the first, its onsets (None: no theory)."""

    tasks: dict[str, Falls]
    explained: Estimate
    onsets: Estimate | None
    seeds: str


def data(directory: Path | str) -> FallsOfTasks:
    """From a directory of evidence.

    Raises:
        FileNotFoundError: if the first task's base is missing; others may be.
        ValueError: as `opened`.
    """
    evidence = opened(directory)
    base = f"{TASKS[0]} base"
    tasks = {task: _falls(evidence, task) for task in TASKS if task == TASKS[0] or evidence.has(f"{task} base")}
    onsets = n8.onsets(evidence).interval(0.95) if all_stable(evidence, base) else None
    return FallsOfTasks(tasks, n8.explained(evidence).interval(0.95), onsets, seeds_in_words(evidence[base]))


def _falls(evidence: Evidence, task: str) -> Falls:
    run = evidence[f"{task} base"]
    returns, fallen = n8.raw_episodes(run, "return"), n8.raw_episodes(run, "fallen")
    _, iterates, episodes = fallen.shape
    counts = fallen.sum(axis=2).astype(int)
    shares = np.array([(counts == k).mean(axis=1) for k in range(episodes + 1)])
    c, r = n8.threshold(fallen.reshape(-1, episodes))
    law = n8.fallen_law(c, r, episodes)
    return Falls(returns.ravel() / expert_level(run), fallen.ravel() > 0.5, over_seeds(shares), law, (c, r), iterates)


def draw(falls: FallsOfTasks) -> Figure:
    """One column per task: above, returns of episodes; below, fallen episodes of an iterate."""
    with style.canvas(2.3 * len(falls.tasks) + 0.6, 5.0) as figure:
        grid = figure.subplots(2, len(falls.tasks), squeeze=False)
        for column, (task, one) in enumerate(falls.tasks.items()):
            _returns(grid[0, column], one)
            grid[0, column].set_title(task)
            _counts(grid[1, column], one)
        grid[0, 0].set_ylabel("share of episodes")
        grid[1, 0].set_ylabel("share of iterates")
        handles = [axes.get_legend_handles_labels() for axes in grid[:, 0]]
        figure.legend(*(a + b for a, b in zip(*handles, strict=True)), loc="outside upper center", ncols=4)
    return figure


def _returns(axes: Axes, falls: Falls) -> None:
    total = len(falls.returns)
    inside = np.clip(falls.returns, _BINS[0], _BINS[-1])
    parts = [inside[falls.fallen], inside[~falls.fallen]]
    weights = [np.full(len(part), 1.0 / total) for part in parts]
    colours = (style.RAW, style.AVERAGES[0])
    axes.hist(parts, list(_BINS), weights=weights, stacked=True, color=colours, label=["fell", "did not fall"])
    axes.set_xlabel("return / expert's")


def _counts(axes: Axes, falls: Falls) -> None:
    counts = np.arange(len(falls.shares))
    axes.bar(counts, [s.value for s in falls.shares], 0.7, color=style.RAW, alpha=0.35, label="seen, 95 %")
    marks(axes, counts, falls.shares, fmt="none", color=style.RAW)
    if np.all(np.isfinite(falls.law)):
        axes.plot(counts, falls.law, "D-", color=style.INK, ms=4, lw=1.0, label="noisy threshold")
    else:
        look = {"transform": axes.transAxes, "ha": "center", "va": "top", "fontsize": 7}
        axes.text(0.5, 0.9, "no law: all or none fall,\nor too evenly", **look)
    axes.set_ylim(0.0, 1.0)
    axes.set_xticks(counts)
    axes.set_xlabel(f"fallen episodes of {len(counts) - 1}")


def caption(falls: FallsOfTasks) -> str:
    """What the figure shows, with sample sizes, thresholds and what N8 reads of the first task."""
    fitted = "; ".join(
        f"{task} c = {c:.2f}, r = {r:.2f}"
        for task, (c, r) in ((task, one.threshold) for task, one in falls.tasks.items())
        if math.isfinite(c) and math.isfinite(r)
    )
    sizes = ", ".join(f"{one.iterates} x {len(one.shares) - 1}" for one in falls.tasks.values())
    onsets = ""
    if falls.onsets is not None:
        o = falls.onsets
        onsets = f"; falls begin {o.value:.2f} [{o.low:.2f}, {o.high:.2f}] times as often per update as the law says"
    e = falls.explained
    return (
        f"Raw iterates of the base on {len(falls.tasks)} tasks, {falls.seeds}; spaced iterates x initial conditions "
        "per "
        f"seed: {sizes}. Above: returns of single episodes over the expert's mean; values beyond the axis are in the "
        "outermost bins. Below: how many of an iterate's episodes fall, mean over seeds with 95 % t-intervals, and the "
        "law of a noisy threshold whose c and r match the mean and the variance of the fallen fraction, all else "
        f"following: {fitted or 'none'}. On {TASKS[0]} falls explain {e.value:.2f} [{e.low:.2f}, {e.high:.2f}] of the "
        f"variance of single returns{onsets}."
    )

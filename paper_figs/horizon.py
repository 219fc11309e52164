"""Growth of the return's spread with the horizon, and parting of neighbours, against the loop's exponent (N3)."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gvatheory.separation import return_growth_law
from neural.predictions.arms import TASKS
from neural.predictions.decision import mean_effect
from neural.predictions.horizons import near_amplification
from neural.predictions.n3_horizon import NEAR, growth_over_theory, rate_over_exponent
from neural.statistics import RAW, Estimate
from paper_figs import style
from paper_figs.evidence_parts import marks, opened, seeds_in_words
from paper_figs.text import shown

_MARKERS = "os^Dv"


@dataclasses.dataclass(frozen=True, eq=False)
class Loop:
    """One task.

    Attributes:
        horizons: H, (n,).
        spread: of the raw iterates' return from equal starts, geometric mean over seeds.
        exponent: Λ of the raw loop, mean over seeds.
        anchor: place of the first horizon from which growth is compared.
        rates: (seeds, 2) exponent and rate of parting of very near neighbours.
        growth: (seeds, 2) ln growth of a small change of the return, by the exponent and seen; NaN if there is none.
    """

    horizons: np.ndarray
    spread: list[Estimate]
    exponent: float
    anchor: int
    rates: np.ndarray
    growth: np.ndarray


@dataclasses.dataclass(frozen=True, eq=False)
class Loops:
    """All tasks that were measured, N3's two ratios of each, and the seeds in words."""

    tasks: dict[str, Loop]
    rate_ratio: dict[str, Estimate]
    growth_ratio: dict[str, Estimate]
    seeds: str


def data(directory: Path | str) -> Loops:
    """From a directory of evidence, the tasks whose horizons were measured.

    Raises:
        FileNotFoundError: if there is no such task.
        ValueError: as `opened`.
    """
    evidence = opened(directory)
    names = tuple(task for task in TASKS if evidence.has(f"{task} base horizons"))
    if not names:
        raise FileNotFoundError(f"no horizons in {evidence.directory}")
    tasks = {task: _loop(evidence[f"{task} base horizons"]) for task in names}
    rate, growth = (
        {task: effect(evidence, task=task).interval(0.95) for task in names}
        for effect in (rate_over_exponent, growth_over_theory)
    )
    return Loops(tasks, rate, growth, seeds_in_words(evidence[f"{names[0]} base horizons"]))


def _loop(data: xr.Dataset) -> Loop:
    seeds = [data.isel(seed=i) for i in range(data.sizes["seed"])]
    returns = data["return"].sel(average=RAW).transpose("seed", "iterate", "episode", "horizon").values
    spread = np.sqrt(np.var(returns.astype(np.float64), axis=1, ddof=1).mean(axis=1))
    found = [near_amplification(one) for one in seeds]
    growth = [(np.nan, np.nan) if a is None else (a.predicted.value, a.measured.value) for a in found]
    rates = [(float(one["exponent"][NEAR]), float(one["rate"][NEAR])) for one in seeds]
    horizons = data["horizon"].values
    return Loop(
        horizons,
        [mean_effect(column, logarithmic=True).interval(0.95) for column in spread.T],
        float(data["exponent"].sel(pair=RAW).mean(skipna=False)),
        int(np.argmax(horizons >= 10)),
        np.array(rates),
        np.array(growth),
    )


def _exponent(loop: Loop) -> str:
    """The mean exponent; unknown if a seed lacks it."""
    return f"{loop.exponent:.3g}".replace("-", "−") if np.isfinite(loop.exponent) else "unknown"


def draw(loops: Loops) -> Figure:
    """A: spread against the horizon; B: rate of parting against the exponent; C: growth of a small change."""
    with style.canvas(11.0, 4.2) as figure:
        panels = figure.subplots(1, 3, width_ratios=(1.25, 1.0, 1.0))
        for i, (task, loop) in enumerate(loops.tasks.items()):
            look = {"color": style.AVERAGES[i % 5], "fmt": _MARKERS[i % 5]}
            _spread(panels[0], loop, task, look)
            _against(panels[1], loop.rates, look)
            _against(panels[2], loop.growth, look)
        panels[0].plot([], [], "--", color=style.MUTED, label="by the exponent, while small")
        panels[0].set(xscale="log", yscale="log", title="A  Spread of the return, raw", xlabel="horizon H (steps)")
        panels[0].set_ylabel("std over iterates, same start (reward)")
        for axes in panels[1:]:
            ends = np.array([*axes.get_xlim(), *axes.get_ylim()])
            axes.axline((0.0, 0.0), slope=1.0, color=style.MUTED, ls="--", lw=1.0)
            axes.set(xlim=(ends.min(), ends.max()), ylim=(ends.min(), ends.max()))
        panels[1].set(title="B  Parting of near neighbours", xlabel="largest exponent Λ (1/step)")
        panels[1].set_ylabel("rate of parting (1/step)")
        panels[2].set(title="C  ln growth of a small change", xlabel="by the exponent", ylabel="seen")
        handles = panels[0].get_legend_handles_labels()
        figure.legend(*handles, loc="outside upper center", ncols=3)
    return figure


def _spread(axes: Axes, loop: Loop, task: str, look: dict[str, str]) -> None:
    marks(axes, loop.horizons, loop.spread, ms=4, label=f"{task}, Λ {_exponent(loop)}", **look)
    values = np.array([estimate.value for estimate in loop.spread])
    axes.plot(loop.horizons, values, "-", color=look["color"], lw=0.8)
    if np.isfinite(loop.exponent):
        fine = np.unique(np.geomspace(loop.horizons[loop.anchor], loop.horizons[-1], 60).astype(int))
        growth = return_growth_law(loop.exponent, fine)
        line = values[loop.anchor] * np.exp(np.minimum(growth - growth[0], 50.0))
        below = line <= np.nanmax(values)
        axes.plot(fine[below], line[below], "--", color=look["color"], lw=1.1)


def _against(axes: Axes, pairs: np.ndarray, look: dict[str, str]) -> None:
    """Seeds as dots; their means with intervals on both axes."""
    known = pairs[np.isfinite(pairs).all(axis=1)]
    axes.plot(*known.T, look["fmt"], color=look["color"], ms=2.8, alpha=0.5, mew=0)
    if len(known) > 1:
        x, y = (mean_effect(column).interval(0.95) for column in known.T)
        axes.plot([x.low, x.high], [y.value] * 2, "-", color=look["color"], lw=1.0)
        axes.plot([x.value] * 2, [y.low, y.high], "-", color=look["color"], lw=1.0)
        axes.plot(x.value, y.value, look["fmt"], color=look["color"], ms=5.5)


def _unknown(pairs: list[np.ndarray]) -> int:
    """How many of all (seeds, 2) pairs cannot be drawn."""
    return int(np.isnan(np.concatenate(pairs)).any(axis=1).sum())


def caption(loops: Loops) -> str:
    """What the figure shows, with the seeds, exponents and N3's ratios."""
    rates, growths = (_unknown([getattr(loop, name) for loop in loops.tasks.values()]) for name in ("rates", "growth"))
    without = f" Runs left out, which lack a rate or an exponent: {rates} in B; a range or an exponent: {growths} in C."
    without = without if rates or growths else ""
    exponents = ", ".join(f"{task} {_exponent(loop)}" for task, loop in loops.tasks.items())
    rate, growth = (
        ", ".join(f"{task} {shown(e, 'unknown', digits=2)}" for task, e in ratios.items())
        for ratios in (loops.rate_ratio, loops.growth_ratio)
    )
    return (
        f"Raw iterates of the base on {len(loops.tasks)} tasks, {loops.seeds}. A: std over consecutive iterates of "
        "the return from the same start, geometric mean over seeds with 95 % t-intervals; dashed: growth by the mean "
        "of the largest Lyapunov exponents, from the first horizon of ten steps on and up to the largest spread, which "
        f"holds while changes are small. Exponents per step: {exponents}. B: slope of ln distance of neighbours a very "
        "small step apart against the exponent; C: ln growth of the return's change by such a step, while it and the "
        "distance of the states are below a tenth of their ceilings, seen against predicted. Small: seeds; large: "
        f"means with 95 % t-intervals. Rate / exponent: {rate}. Growth seen / predicted: {growth}.{without}"
    )

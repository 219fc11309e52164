"""Schedules against averages at an equal budget: loss along training, and what is left at the end."""

from __future__ import annotations

import json

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from neural.language.comparison import differences
from neural.statistics import RAW
from paper_figs import style
from paper_figs.language import ceiling, unmeasured
from paper_figs.page import number


def draw(compared: xr.Dataset) -> Figure:
    """Two panels, one colour per schedule.

    A: validation loss along training, the iterates' thin, that of the schedule's best average thick, by its last loss;
    the axis ends at the `ceiling` of the raw ones. B: final loss of every schedule and average less that of the best
    schedule's last iterate, with paired intervals over validation windows; open circles are iterates.

    Args:
        compared: made by `neural.language.comparison.compare`.
    """
    schedules = [str(name) for name in compared["schedule"].values]
    looks = {
        name: (style.AVERAGES[i % len(style.AVERAGES)], style.LINE_STYLES[i // len(style.AVERAGES) % 4])
        for i, name in enumerate(schedules)
    }
    count = len(schedules) * compared.sizes["average"]
    with style.canvas(10.0, max(3.8, 1.4 + 0.2 * count)) as figure:
        panels = figure.subplots(1, 2, width_ratios=(1.0, 1.1))
        _curves(panels[0], compared, looks)
        _finals(panels[1], compared, looks)
        handles, labels = panels[0].get_legend_handles_labels()
        if not handles:
            handles, labels = panels[1].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper center", ncols=2)
    return figure


def caption(compared: xr.Dataset) -> str:
    """What the figure shows, with its sample sizes, seed and what the intervals cover."""
    config = json.loads(compared.attrs["config"])
    base, windows = best_schedule(compared), compared.sizes["window"]
    final = compared["final_loss"].mean("window")
    best = {s: best_average(compared, s) for s in map(str, compared["schedule"].values)}
    left = float(final.sel(schedule=base, average=RAW))
    curves = ""
    if "update_loss" in compared:
        names = ", ".join(f"{name} with {schedule}" for schedule, name in best.items())
        at = compared["update"].values
        curves = (
            f"A: validation loss at {len(at)} updates, {at[0]:,} to {at[-1]:,}; thin: the iterate, thick: the average "
            f"of the least loss at the end ({names}), chosen on the same windows. The axis ends at "
            f"{number(ceiling(compared))} nats per token. "
        )
    return (
        f"{compared.sizes['schedule']} runs of {config['steps']:,} updates, alike in all but their step sizes, seed "
        f"{config['trainer']['seed']}. {curves}B: loss at the end, less that of the last iterate of {base} "
        f"({number(left, 4)} nats per token), the least raw loss; mean over {windows} validation windows with paired "
        "95 % intervals over windows. They hold for these runs of one seed each, not for other seeds."
    )


def best_schedule(compared: xr.Dataset) -> str:
    """The schedule whose last iterate has the least loss."""
    raw = compared["final_loss"].mean("window").sel(average=RAW)
    return str(raw["schedule"].values[int(raw.values.argmin())])


def best_average(compared: xr.Dataset, schedule: str) -> str:
    """The average of the bank that has the least loss at the end under a schedule; raw if there is none."""
    if "update_loss" not in compared:
        final = compared["final_loss"].mean("window").sel(schedule=schedule)
        return _least(final, "average")
    return _least(compared["update_loss"].sel(schedule=schedule).sortby("update").isel(update=-1), "kept")


def _least(losses: xr.DataArray, dim: str) -> str:
    averages = losses.isel({dim: np.flatnonzero(losses[dim].values != RAW)})
    return str(averages[dim].values[int(averages.values.argmin())]) if averages.sizes[dim] else RAW


def _curves(axes: Axes, compared: xr.Dataset, looks: dict[str, tuple[str, str]]) -> None:
    axes.set_title("A  Along training: iterate thin, best average thick")
    if "update_loss" not in compared:
        unmeasured(axes)
        return
    losses = compared["update_loss"].sortby("update")
    updates = losses["update"].values
    shown = []
    for schedule, (colour, dashes) in looks.items():
        one = losses.sel(schedule=schedule)
        best = best_average(compared, schedule)
        axes.plot(updates, one.sel(kept=RAW), dashes, color=colour, lw=0.8)
        axes.plot(updates, one.sel(kept=best), dashes, color=colour, lw=2.0, label=f"{schedule}; {best}")
        shown.append(float(one.sel(kept=[RAW, best]).min()))
    end = ceiling(compared)
    axes.set_ylim(min(shown) - 0.06 * max(end - min(shown), 1e-9), end)
    axes.set_xlim(left=0)
    axes.set(xlabel="updates", ylabel="validation loss (nats per token)")


def _finals(axes: Axes, compared: xr.Dataset, looks: dict[str, tuple[str, str]]) -> None:
    base = best_schedule(compared)
    found = differences(compared, base)
    averages = [str(name) for name in compared["average"].values]
    ticks, y = {}, 0.0
    for schedule, (colour, _) in looks.items():
        for name in averages:
            estimate = found[schedule, name]
            if np.isfinite(estimate.low):
                axes.hlines(y, estimate.low, estimate.high, color=colour, lw=1.3)
            fill = "white" if name == RAW else colour
            axes.plot(estimate.value, y, "o", color=colour, mfc=fill, ms=5, label=schedule if name == RAW else None)
            ticks[y] = name
            y += 1.0
        y += 0.8
    axes.axvline(0.0, color=style.MUTED, lw=0.9, ls=":")
    axes.set_yticks(list(ticks), list(ticks.values()))
    axes.invert_yaxis()
    axes.grid(axis="y", visible=False)
    axes.set_xlabel(f"final loss less that of the raw {base}\n(nats per token)")
    axes.set_title("B  At the end, paired 95 % intervals")

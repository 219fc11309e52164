"""Raw iterates against averages on one cloning run: return and held-out loss, update by update."""

from collections.abc import Sequence

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from paper_figs import style

SHOWN = 4
"""Averages drawn unless they are named."""


def draw(dataset: xr.Dataset, averages: Sequence[str] | None = None) -> Figure:
    """Four panels: return and loss over consecutive iterates, return over spaced ones, fallen episodes.

    A and C: mean return over the episodes; the band, for raw and the first average, from the lower to the upper
    quartile of episodes. B: held-out loss divided by its mean over the window, on the relative scale of A, so that
    equal heights are equal relative changes. D: fraction of fallen episodes with its range over iterates.

    Args:
        dataset: as `neural.statistics.reward_spread` reads it.
        averages: names to draw beside raw; the first `SHOWN` by default.

    Raises:
        ValueError: if an average is not in the dataset, or it has no consecutive iterates.
    """
    names = [str(name) for name in dataset["average"].values]
    chosen = names[1 : 1 + SHOWN] if averages is None else list(averages)
    if missing := sorted(set(chosen) - set(names)):
        raise ValueError(f"averages must be among {names}, got {missing}")
    windows = {w: dataset.isel(iterate=np.flatnonzero(dataset[w].values)) for w in ("consecutive", "spaced")}
    if windows["consecutive"].sizes["iterate"] == 0:
        raise ValueError("the dataset has no iterates in the window 'consecutive'")
    windows = {name: window for name, window in windows.items() if window.sizes["iterate"]}
    colours = {name: style.AVERAGES[i % len(style.AVERAGES)] for i, name in enumerate(chosen)} | {"raw": style.RAW}
    with style.canvas(9.6, 5.8) as figure:
        panels = figure.subplots(2, 2, width_ratios=(1.35, 1.0))
        near, far = windows["consecutive"], windows.get("spaced")
        _returns(panels[0, 0], near, colours, "")
        panels[0, 0].set_title(f"A  Return, {near.sizes['iterate']} iterates late in training")
        _loss(panels[1, 0], near, colours, _relative_limits(panels[0, 0], near))
        if far is None:
            panels[0, 1].text(0.5, 0.5, "no spaced iterates in this run", ha="center", transform=panels[0, 1].transAxes)
        else:
            _returns(panels[0, 1], far, colours, "o")
        panels[0, 1].set_title(f"C  Return, {0 if far is None else far.sizes['iterate']} spaced iterates")
        _fallen(panels[1, 1], windows, colours)
        panels[0, 0].sharex(panels[1, 0])
        drawn = panels[0, :1] if far is None else panels[0]
        limits = [f(p.get_ylim()[i] for p in drawn) for i, f in enumerate((min, max))]
        for panel in panels[0]:
            panel.set_ylim(limits)
        lines = panels[0, 0].get_lines()
        handles = [lines[0], *lines[:0:-1]]
        figure.legend(handles, ["raw iterates", *chosen], loc="outside upper center", ncols=len(handles))
    return figure


def caption(dataset: xr.Dataset) -> str:
    """What the figure shows, with its sample sizes and seeds."""
    episodes = dataset["episode"].values
    near, far = (int(dataset[w].sum()) for w in ("consecutive", "spaced"))
    return (
        f"Behaviour cloning, raw iterates against averages of them. A, C: mean return of each iterate over the same "
        f"{len(episodes)} initial conditions (seeds {_span(episodes)}); bands: quartiles over episodes of raw and of "
        f"the first average. B: held-out loss of A's iterates divided by its mean, on A's relative scale. D: "
        f"fraction of episodes that end in a fall; bars: mean over iterates, whiskers: their 10th to 90th percentile. "
        f"{near} consecutive and {far} spaced iterates.{_floor(dataset)}"
    )


def _floor(dataset: xr.Dataset) -> str:
    """What of the loss no policy can remove, and how far raw and reward swing relative to the rest."""
    floor = float(dataset.get("loss_floor", 0.0))
    if floor == 0.0:
        return ""
    parts = []
    for window in ("consecutive", "spaced"):
        loss = dataset["loss"].sel(average="raw").values[dataset[window].values == 1]
        if len(loss) > 1:
            parts.append(f"{100 * loss.std(ddof=1) / (loss.mean() - floor):.2g} % over {window} iterates")
    return (
        f" The demonstrations are drawn from the stochastic expert: {floor:.4g} of the loss is the variance of its own "
        f"actions (computed, not fitted). Relative to the excess over that, the raw loss swings by {', '.join(parts)}."
    )


def _span(values: np.ndarray) -> str:
    low, high = int(values.min()), int(values.max())
    return f"{low} to {high}" if high - low == len(values) - 1 else f"from {low} to {high}"


def _returns(axes: Axes, window: xr.Dataset, colours: dict[str, str], marker: str) -> None:
    steps = window["iterate"].values
    banded = [*list(colours)[:1], "raw"]
    for name, colour in reversed(colours.items()):  # raw first, below the averages
        one = window["return"].sel(average=name).transpose("iterate", "episode").values
        if name in banded:
            low, high = np.quantile(one, (0.25, 0.75), axis=1)
            axes.fill_between(steps, low, high, color=colour, alpha=0.13, lw=0)
        width = 0.9 if name == "raw" else 1.5
        axes.plot(steps, one.mean(axis=1), color=colour, label=name, lw=width, marker=marker, ms=3)
    axes.set_ylabel("return per episode")
    style.count_updates(axes)


def _relative_limits(axes: Axes, window: xr.Dataset) -> tuple[float, float]:
    """The y-range of the returns, divided by raw's mean return; a range about 1 if that is not positive."""
    mean = float(window["return"].sel(average="raw").mean())
    low, high = axes.get_ylim()
    return (low / mean, high / mean) if mean > 0 else (0.0, 2.0)


def _loss(axes: Axes, window: xr.Dataset, colours: dict[str, str], limits: tuple[float, float]) -> None:
    relative = window["loss"].transpose("iterate", "average") / window["loss"].mean("iterate")
    for name, colour in reversed(colours.items()):
        width = 0.9 if name == "raw" else 1.5
        axes.plot(window["iterate"], relative.sel(average=name), color=colour, lw=width)
    low, high = float(relative.min()), float(relative.max())
    axes.set_ylabel("held-out loss / its mean")
    style.count_updates(axes)
    axes.set_ylim(min(limits[0], low - 0.05), max(limits[1], high + 0.05))
    axes.set_title("B  One-step loss of the same iterates, on A's relative scale")


def _fallen(axes: Axes, windows: dict[str, xr.Dataset], colours: dict[str, str]) -> None:
    names = ["raw", *(n for n in colours if n != "raw")]
    width = 0.8 / len(names)
    for j, name in enumerate(names):
        for i, window in enumerate(windows.values()):
            share = window["fallen"].sel(average=name).mean("episode").values
            x = i + (j - (len(names) - 1) / 2) * width
            axes.bar(x, 100 * share.mean(), 0.88 * width, color=colours[name])
            axes.vlines(x, *(100 * np.quantile(share, (0.1, 0.9))), color=style.INK, lw=1)
    axes.set_xticks(range(len(windows)), [f"{name} iterates" for name in windows])
    axes.grid(axis="x", visible=False)
    axes.set(ylabel="episodes fallen (%)")
    axes.set_ylim(bottom=0)
    axes.set_title("D  Episodes that end in a fall")

"""The experts: training curves and the distribution of their returns (the paper's Figure 5), from shipped tables."""

import csv
from collections.abc import Sequence

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from neural.control import distributions
from neural.control.experts import asset, load_expert, summarise
from paper_figs import style

TASKS = ("Walker2d-v4", "Hopper-v4", "HalfCheetah-v4", "Ant-v4", "Humanoid-v4")
SMOOTHED = 9
"""Neighbouring checkpoints whose median and quartiles are drawn."""

_CURVES = {"raw": style.RAW, "ema": style.AVERAGES[0]}
_WAYS = {"deterministic": style.AVERAGES[0], "stochastic": style.AVERAGES[3]}
_MILLION = 1e6


def data(tasks: Sequence[str] = TASKS) -> dict[str, xr.Dataset]:
    """Per task, what its expert's tables and card say.

    Returns:
        datasets with the variables and dims of `distributions.load`, and besides curve (kind, step): mean return over
        the episodes of each checkpoint of kind "raw" (the actor) or "ema" (its moving average), NaN where there is
        none. Attributes: step and kind of the chosen checkpoint, mean return and interval (low, high) on its card.

    Raises:
        FileNotFoundError: if no expert ships for a task.
    """
    return {task: _load(task) for task in tasks}


def _load(task: str) -> xr.Dataset:
    _, card = load_expert(task)
    with asset(task, "_curve.csv").open(newline="") as file:
        rows = [(kind, int(step), float(value)) for kind, step, value in list(csv.reader(file))[1:]]
    steps = sorted({step for _, step, _ in rows})
    curve = np.full((len(_CURVES), len(steps)), np.nan)
    for kind, step, value in rows:
        curve[list(_CURVES).index(kind), steps.index(step)] = value
    low, high = card["return_interval_95"]
    return (
        distributions.load(asset(task, "_returns.csv"))
        .assign_coords(kind=list(_CURVES), step=("step", steps, {"units": "environment steps"}))
        .assign(curve=(("kind", "step"), curve, {"units": "reward"}))
        .assign_attrs(**card["checkpoint"], mean=card["return_mean"], low=low, high=high)
    )


def draw(datasets: dict[str, xr.Dataset]) -> Figure:
    """One column per task: above, return of the checkpoints; below, returns of the chosen one, episode by episode."""
    with style.canvas(2.35 * len(datasets) + 0.6, 5.2) as figure:
        panels = figure.subplots(2, len(datasets), height_ratios=(1.0, 1.15), squeeze=False)
        for column, (task, dataset) in enumerate(datasets.items()):
            _curve(panels[0, column], dataset)
            panels[0, column].set_title(task)
            _distribution(panels[1, column], dataset)
        panels[0, 0].set_ylabel("mean return of a checkpoint")
        panels[1, 0].set_ylabel("return of an episode")
        handles, labels = panels[0, 0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper center", ncols=len(handles))
    return figure


def _curve(axes: Axes, dataset: xr.Dataset) -> None:
    steps = dataset["step"].values / _MILLION
    names = {"raw": "actor", "ema": "moving average of the actor"}
    for kind, colour in _CURVES.items():
        values = dataset["curve"].sel(kind=kind).values
        known = np.isfinite(values)
        low, middle, high = _running_quartiles(values[known])
        axes.plot(steps[known], values[known], ".", color=colour, ms=2.5, alpha=0.45, mew=0)
        axes.fill_between(steps[known], low, high, color=colour, alpha=0.18, lw=0)
        axes.plot(steps[known], middle, color=colour, label=names[kind])
    a = dataset.attrs
    label = "chosen: mean over other episodes, 95 %"
    axes.errorbar(
        a["step"] / _MILLION,
        a["mean"],
        [[a["mean"] - a["low"]], [a["high"] - a["mean"]]],
        fmt="D",
        color=style.INK,
        ms=4.5,
        capsize=3,
        lw=1.2,
        label=label,
        zorder=5,
    )
    axes.set(xlabel="environment steps (million)", xlim=(0, None))
    axes.set_ylim(bottom=min(0.0, float(np.nanmin(dataset["curve"]))))


def _running_quartiles(values: np.ndarray) -> np.ndarray:
    """(3, n) quartiles and median of the `SMOOTHED` values about each of (n,), fewer at the ends."""
    half = SMOOTHED // 2
    windows = [values[max(i - half, 0) : i + half + 1] for i in range(len(values))]
    return np.array([np.quantile(window, (0.25, 0.5, 0.75)) for window in windows]).T


def _distribution(axes: Axes, dataset: xr.Dataset) -> None:
    """Every episode as a point, a box between the quartiles, and the mean with its interval beside it."""
    kinds = [str(kind) for kind in dataset["policy"].values]
    names = {"deterministic": "mean action", "stochastic": "drawn actions"}
    labels = []
    for x, kind in enumerate(kinds):
        one = dataset.sel(policy=kind)
        returns, fallen = one["return"].values, one["fallen"].values
        # The jitter is only there to tell points apart; a golden-ratio sequence spreads them evenly.
        offset = 0.5 * ((np.arange(len(returns)) * 0.618034) % 1.0) - 0.32
        for marker, these, edge in (("o", ~fallen, 0.0), ("x", fallen, 1.0)):
            look = {"marker": marker, "color": _WAYS[kind], "ms": 3.2, "mew": edge, "alpha": 0.75}
            axes.plot(x + offset[these], returns[these], ls="", **look)
        low, middle, high = np.quantile(returns, (0.25, 0.5, 0.75))
        axes.fill_between([x - 0.36, x + 0.22], low, high, color=style.MUTED, alpha=0.2, lw=0)
        axes.hlines(middle, x - 0.36, x + 0.22, color=style.INK, lw=1.2)
        summary = summarise(returns, fallen)
        mean, (low, high) = summary["return_mean"], summary["return_interval_95"]
        axes.errorbar(
            x + 0.34, mean, [[mean - low], [high - mean]], fmt="D", color=style.INK, ms=3.5, capsize=2.5, lw=1
        )
        labels.append(f"{names[kind]}\n{100.0 * float(fallen.mean()):.0f} % fall")
    axes.set_xticks(range(len(kinds)), labels)
    axes.set_xlim(-0.55, len(kinds) - 0.45)
    axes.grid(axis="x", visible=False)


def caption(datasets: dict[str, xr.Dataset]) -> str:
    """What the figure shows, with its sample sizes and seeds."""
    seeds = next(iter(datasets.values()))["seed"].values
    return (
        "The shipped experts. Above: mean return of every checkpoint of the training run over 5 initial conditions "
        f"(points), the actor and its moving average; lines and bands: median and quartiles of {SMOOTHED} neighbouring "
        "checkpoints. Diamond: the chosen checkpoint, mean return and 95 % bootstrap interval over 20 initial "
        "conditions that did not decide the choice. One training run per task. Below: returns of the chosen checkpoint "
        f"from {len(seeds)} further initial conditions (seeds {seeds.min()} to {seeds.max()}), for its mean action and "
        "for actions drawn from its policy; crosses: episodes that end in a fall; box and line: quartiles and median; "
        "diamond: mean and its 95 % bootstrap interval. Scales differ, and those below do not begin at zero."
    )

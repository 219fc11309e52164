"""A language run, raw iterates against averages: losses that hardly differ, continuations that part (Figure 4)."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from neural.language.butterfly import Butterfly, butterfly
from neural.statistics import RAW
from paper_figs import style
from paper_figs.page import number
from paper_figs.text import shown

SHOWN = 5
"""Averages drawn unless they are named: as many as there are colours."""
MOST = 6
"""Averages that can be told apart."""
CUT = 0.8
"""Quantile of the raw losses along training that the axes of losses end at."""

Look = dict[str, tuple[str, str]]
"""Colour and line style of raw and of every average, in the order of the legend."""


def chosen_averages(dataset: xr.Dataset, averages: Sequence[str] | None = None) -> list[str]:
    """The averages to draw: those named, or the first `SHOWN` that continued prompts.

    Raises:
        ValueError: if one is not in the dataset, or there are more than `MOST`.
    """
    names = [str(name) for name in dataset["average"].values if name != RAW]
    chosen = names[:SHOWN] if averages is None else list(averages)
    if missing := sorted(set(chosen) - set(names)):
        raise ValueError(f"averages must be among {names}, got {missing}")
    if len(set(chosen)) < len(chosen) or len(chosen) > MOST:
        raise ValueError(f"averages must be at most {MOST} different ones, got {chosen}")
    return chosen


def measured(dataset: xr.Dataset, averages: Sequence[str] | None = None) -> Butterfly:
    """How raw and the averages to draw part, greedy and update by update.

    Raises:
        ValueError: as `chosen_averages` and `butterfly`.
    """
    return butterfly(dataset.sel(average=[RAW, *chosen_averages(dataset, averages)]))


def draw(
    dataset: xr.Dataset,
    rewards: xr.DataArray | None = None,
    averages: Sequence[str] | None = None,
    *,
    found: Butterfly | None = None,
) -> Figure:
    """Five panels: losses along training, losses update by update, their path, agreement, and reward or edits.

    A: validation loss of the iterate and of the averages along training. B: that of the consecutive iterates, relative
    to its mean over them. C: loss of the average against that of the iterate, from open to full circles. D: survival of
    agreement between neighbouring updates' greedy continuations, with pointwise intervals. E: mean reward over prompts
    against the horizon, ± one standard deviation over the consecutive iterates; without rewards, the mean edit distance
    between neighbours. The axes of A and C end at the quantile `CUT` of the raw losses of A.

    Args:
        dataset: of a run, see `neural.language.records`.
        rewards: (iterate, average, prompt, horizon) of the greedy continuations, see `neural.language.judging`.
        averages: names to draw beside raw; the first `SHOWN` by default.
        found: of `measured` with the same averages, if it is known already.

    Raises:
        ValueError: as `measured`.
    """
    found = measured(dataset, averages) if found is None else found
    looks = _looks([row.average for row in found.rows[1:]])
    with style.canvas(10.4, 6.4) as figure:
        grid = figure.add_gridspec(2, 6)
        top = [figure.add_subplot(grid[0, 2 * i : 2 * i + 2]) for i in range(3)]
        bottom = [figure.add_subplot(grid[1, 3 * i : 3 * i + 3]) for i in range(2)]
        _training(top[0], dataset, looks)
        _changes(top[1], dataset, looks, found)
        _path(top[2], dataset, looks)
        _agreement(bottom[0], found, looks)
        if rewards is None:
            _edits(bottom[1], found, looks)
        else:
            _rewards(bottom[1], dataset, rewards, looks)
        lines = bottom[0].get_lines()  # the averages are drawn over raw, the last first
        names = ["raw iterates", *list(looks)[1:]]
        figure.legend([lines[0], *lines[:0:-1]], names, loc="outside upper center", ncols=len(names))
    return figure


def caption(
    dataset: xr.Dataset,
    rewards: xr.DataArray | None = None,
    averages: Sequence[str] | None = None,
    *,
    found: Butterfly | None = None,
) -> str:
    """What the figure shows, with its sample sizes, seed and intervals."""
    found = measured(dataset, averages) if found is None else found
    config, language = (json.loads(dataset.attrs[name]) for name in ("config", "language"))
    raw, span = found.rows[0], f"update {found.iterates[0]:,} to {found.iterates[1]:,}"
    count, iterates, level = found.prompts, found.pairs + 1, f"{found.level:.0%}"
    agreeing = ", ".join(f"{shown(row.survival.differing, scale=100)} % of {row.average}" for row in found.rows)
    parts = [
        f"One run of {config['steps']:,} updates on {_corpus(language)}, seed {config['trainer']['seed']}.",
        _cut_in_words(dataset),
        f"B: the {iterates} iterates from {span}, each curve over its mean; from one to the next the raw loss moves by "
        f"{number(100 * raw.loss.median.value, 2)} % (median). All losses are over the same "
        f"{dataset.sizes['window']} validation windows.",
        f"D: fraction of the greedy continuations of {count} held-out prompts whose first h tokens are the same for "
        f"two iterates one update apart ({found.pairs} pairs); bands: {level} intervals at each h, over prompts and "
        f"pairs of this stretch of this run, not over seeds. Different within {found.length} tokens: {agreeing}.",
        f"E: {_last_panel(found, rewards)}",
    ]
    return " ".join(part for part in parts if part)


def _corpus(language: dict[str, str]) -> str:
    return "a story grammar of known probabilities" if language["kind"] == "grammar" else "text"


def _cut_in_words(dataset: xr.Dataset) -> str:
    if "update_loss" not in dataset:
        return "A, C: losses along training were not measured."
    at, raw = dataset["update"].values, dataset["update_loss"].sel(kept=RAW).values
    end = ceiling(dataset)
    hidden = at[raw > end]
    left = f"the raw loss is above that at {len(hidden)} of them, up to update {hidden.max():,}" if len(hidden) else ""
    return (
        f"A: validation loss at {len(at)} updates, {at[0]:,} to {at[-1]:,}. C: the same losses, that of an average "
        f"against that of the iterate it belongs to, from an open to a full circle; below the dotted diagonal the "
        f"average is better. Axes of A and C end at {number(end)} nats per token{': ' + left if left else ''}."
    )


def _last_panel(found: Butterfly, rewards: xr.DataArray | None) -> str:
    if rewards is None:
        return (
            f"mean number of edits between the first h tokens of the same continuations, over {found.pairs} pairs and "
            f"{found.prompts} prompts."
        )
    name, iterates = rewards.attrs.get("long_name", "reward"), found.pairs + 1
    return (
        f"mean over prompts and over the {iterates} iterates of the {name}; bands: ± one standard deviation, over "
        "these iterates, of the mean over prompts."
    )


def _looks(averages: Sequence[str]) -> Look:
    looks: Look = {RAW: (style.RAW, "-")}
    for i, name in enumerate(averages):
        again, colour = divmod(i, len(style.AVERAGES))
        looks[name] = style.AVERAGES[colour], style.LINE_STYLES[again]
    return looks


def ceiling(dataset: xr.Dataset) -> float:
    """Where the axes of losses along training end, nats per token; without it the first updates would fill them."""
    return float(np.quantile(dataset["update_loss"].sel(kept=RAW), CUT))


def _consecutive(values: xr.DataArray, members: xr.DataArray) -> xr.DataArray:
    return values.isel(iterate=np.flatnonzero(members.values)).sortby("iterate")


def _line(axes: Axes, x: np.ndarray, y: np.ndarray, name: str, looks: Look, **options: object) -> None:
    colour, dashes = looks[name]
    axes.plot(x, y, ls=dashes, color=colour, lw=1.0 if name == RAW else 1.5, **options)  # pyright: ignore[reportArgumentType]


def _backwards(looks: Look) -> list[str]:
    """Raw first, below the averages; of those, the first on top."""
    return [RAW, *list(looks)[:0:-1]]


def unmeasured(axes: Axes) -> None:
    """A panel that says what it lacks."""
    text = "losses along training\nwere not measured"
    axes.text(0.5, 0.5, text, ha="center", va="center", color=style.MUTED, transform=axes.transAxes)
    axes.set(xticks=[], yticks=[])


def _limits(dataset: xr.Dataset, looks: Look) -> tuple[float, float]:
    """Range of losses shown: a little below the least, up to the ceiling."""
    end, least = ceiling(dataset), float(dataset["update_loss"].sel(kept=list(looks)).min())
    return least - 0.06 * max(end - least, 1e-9), end


def _training(axes: Axes, dataset: xr.Dataset, looks: Look) -> None:
    axes.set_title("A  Validation loss along training")
    if "update_loss" not in dataset:
        unmeasured(axes)
        return
    losses = dataset["update_loss"].sortby("update")
    for name in _backwards(looks):
        _line(axes, losses["update"].values, losses.sel(kept=name).values, name, looks)
    axes.set_ylim(*_limits(dataset, looks))
    axes.set_xlim(left=0)
    axes.set_ylabel("nats per token")
    style.count_updates(axes)


def _changes(axes: Axes, dataset: xr.Dataset, looks: Look, found: Butterfly) -> None:
    losses = _consecutive(dataset["loss"], dataset["consecutive"])
    for name in _backwards(looks):
        one: np.ndarray = losses.sel(average=name).values
        _line(axes, losses["iterate"].values, 100 * (one / one.mean() - 1), name, looks, marker=".", ms=4)
    axes.set_ylabel("loss relative to its mean (%)")
    axes.set_title(f"B  The last {found.pairs + 1} iterates, one by one")
    style.count_updates(axes)


def _path(axes: Axes, dataset: xr.Dataset, looks: Look) -> None:
    axes.set_title("C  Average against its iterate")
    if "update_loss" not in dataset:
        unmeasured(axes)
        return
    losses, limits = dataset["update_loss"].sortby("update"), _limits(dataset, looks)
    raw = losses.sel(kept=RAW).values
    axes.plot(limits, limits, color=style.MUTED, lw=0.9, ls=":")
    for name in list(looks)[:0:-1]:
        one, colour = losses.sel(kept=name).values, looks[name][0]
        _line(axes, raw, one, name, looks)
        inside = np.flatnonzero((raw <= limits[1]) & (one <= limits[1]))
        for place, fill in ((inside[:1], "white"), (inside[-1:], colour)):
            axes.plot(raw[place], one[place], "o", ms=4.5, mec=colour, mfc=fill, zorder=4, clip_on=False)
    axes.set(xlim=limits, ylim=limits, xlabel="iterate (nats per token)", ylabel="average (nats per token)")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(5))


def _agreement(axes: Axes, found: Butterfly, looks: Look) -> None:
    horizon = np.arange(found.length + 1)
    for name in _backwards(looks):
        curve = found[name].survival
        axes.fill_between(horizon, curve.low, curve.high, color=looks[name][0], alpha=0.13, lw=0)
        _line(axes, horizon, curve.agreeing, name, looks)
    axes.set(xlim=(0, found.length), ylim=(0, 1.02), xlabel="tokens h", ylabel="continuations still the same")
    axes.set_title("D  Greedy continuations of iterates one update apart")


def _edits(axes: Axes, found: Butterfly, looks: Look) -> None:
    horizon = np.arange(found.length + 1)
    for name in _backwards(looks):
        _line(axes, horizon, found[name].edit_curve, name, looks)
    axes.set(xlim=(0, found.length), xlabel="tokens h", ylabel="edits between them (tokens)")
    axes.set_ylim(bottom=0)
    axes.set_title("E  Edit distance of the first h tokens")


def _rewards(axes: Axes, dataset: xr.Dataset, rewards: xr.DataArray, looks: Look) -> None:
    means = _consecutive(rewards, dataset["consecutive"]).mean("prompt")
    horizon = means["horizon"].values
    for name in _backwards(looks):
        one: np.ndarray = means.sel(average=name).transpose("iterate", "horizon").values
        middle, spread = one.mean(axis=0), one.std(axis=0, ddof=1)
        axes.fill_between(horizon, middle - spread, middle + spread, color=looks[name][0], alpha=0.16, lw=0)
        _line(axes, horizon, middle, name, looks)
    units = rewards.attrs.get("units", "1")
    axes.set(xlim=(0, horizon.max()), xlabel="horizon H (tokens)")
    axes.set_ylabel("mean reward $J_H$" if units == "1" else f"mean reward ({units})")
    axes.set_title("E  Reward of the same continuations")

"""How long neighbours' continuations agree, on scales where a constant hazard is a line of slope one (prediction N9).

The theory's line has nothing fitted: its slope f(0) E|D| / 2 comes from the gaps of the two likeliest tokens, and the
split itself is not looked at (`neural.language.hazards`). Prompts of unequal hazard would bend the curve downwards.
"""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from neural.language.agreement import Survival, survival
from neural.language.crossed_means import influenced
from neural.language.edit_distance import first_difference
from neural.language.hazards import SplitHazard, split_hazard
from neural.runs import load_dataset
from neural.statistics import RAW, Estimate
from paper_figs import style
from paper_figs.text import shown

LEVEL = 0.95
MEMBERS = ("consecutive", "spaced")
SHOWN = 5
"""Averages that are drawn."""
EDGES = (0, 2, 5, 10, 20, 40, 80, 150)
"""Positions between which hazards are pooled in C."""
_FRACTIONS = (0.999, 0.99, 0.9, 0.5, 0.1, 0.01)
_MARKERS = "ovs^D"


class Agreement(NamedTuple):
    """Neighbouring iterates of one average, or the raw ones.

    Attributes:
        first: (pairs, prompts) first differences, the runs' pairs one after another.
        curve: of their survival.
        hazard: of a split per token, over all runs.
        by_run: the same of each run.
    """

    first: np.ndarray
    curve: Survival
    hazard: SplitHazard
    by_run: tuple[SplitHazard, ...]


class Parted(NamedTuple):
    """What the figure is drawn from.

    Attributes:
        found: by set of iterates and average, raw first.
        seeds: of the runs.
        length: T, tokens of a continuation.
        apart: least number of updates between neighbours, by set of iterates.
    """

    found: dict[str, dict[str, Agreement]]
    seeds: tuple[int, ...]
    length: int
    apart: dict[str, int]


def data(file: Path | str) -> Parted:
    """Agreement of neighbours in a language run's dataset, or in a collected one of several seeds.

    Raises:
        FileNotFoundError, ValueError: if there is no such file, or it lacks continuations, gaps or sets of iterates.
    """
    whole = load_dataset(file)
    if missing := sorted({"greedy", "greedy_gap", *MEMBERS} - set(map(str, whole.variables))):
        raise ValueError(f"data must be the dataset of a language run with spaced iterates, {file} lacks {missing}")
    if "seed" not in whole.sizes:
        whole = whole.expand_dims(seed=[json.loads(whole.attrs["config"])["trainer"]["seed"]])
    return measured(whole)


def measured(whole: xr.Dataset) -> Parted:
    """Of a dataset with dims seed, iterate, average, prompt, token and 0/1 variables for the sets of iterates.

    Raises:
        ValueError: if a set has fewer than two iterates.
    """
    found: dict[str, dict[str, Agreement]] = {}
    apart = {}
    for members in MEMBERS:
        at = np.flatnonzero(whole[members].transpose(..., "iterate").values.reshape(-1, whole.sizes["iterate"])[0])
        if len(at) < 2:
            raise ValueError(f"{members!r} must hold at least 2 iterates, got {len(at)}")
        part = whole[["greedy", "greedy_gap"]].isel(iterate=at).sortby("iterate")
        part = part.transpose("seed", "iterate", "average", "prompt", "token")
        apart[members] = int(np.diff(part["iterate"].values).min())
        names = [str(name) for name in part["average"].values][: 1 + SHOWN]
        found[members] = {name: _agreement(part.sel(average=name)) for name in names}
    seeds = tuple(int(seed) for seed in whole["seed"].values)
    return Parted(found, seeds, whole.sizes["token"], apart)


def _agreement(part: xr.Dataset) -> Agreement:
    """Of (seed, iterate, prompt, token) texts and gaps."""
    texts, gaps = part["greedy"].values, part["greedy_gap"].values
    first = first_difference(texts[:, :-1], texts[:, 1:])
    length, prompts = texts.shape[3], texts.shape[2]
    by_run = tuple(split_hazard(one, gap[:-1], gap[1:], level=LEVEL) for one, gap in zip(first, gaps, strict=True))
    pooled = first.reshape(-1, prompts)
    neighbours = [gaps[:, chosen].reshape(-1, prompts, length) for chosen in (slice(None, -1), slice(1, None))]
    return Agreement(pooled, survival(pooled, length, LEVEL), split_hazard(pooled, *neighbours, level=LEVEL), by_run)


def draw(parted: Parted) -> Figure:
    """Four panels: survival of consecutive and of spaced neighbours, hazard along the text, and the prediction.

    A, B: −ln of the fraction of continuations whose first h tokens are the same, with pointwise intervals, and on the
    right the fraction itself; dashed, in the same colour, λh at the predicted hazard λ. C: splits per token at risk by
    position, for raw and the first average of A; dashed: predicted; dotted: what prompts of gamma distributed hazards
    leave. D: hazard of each run against its prediction, full for consecutive iterates, open for spaced ones; the
    diagonal is the theory.
    """
    names = list(parted.found[MEMBERS[0]])
    colours: dict[str, str] = dict(zip(names, (style.RAW, *style.AVERAGES), strict=False))
    with style.canvas(9.6, 6.6) as figure:
        panels = figure.subplots(2, 2)
        for panel, members, letter in zip(panels[0], MEMBERS, "AB", strict=True):
            _survival(panel, parted, members, colours)
            count = parted.apart[members]
            panel.set_title(f"{letter}  Iterates {count:,} update{'s' if count > 1 else ''} apart")
        _along(panels[1, 0], parted, colours)
        _prediction(panels[1, 1], parted, colours)
        handles = panels[0, 0].get_lines()[: len(names)]
        labels = ["raw iterates", *names[1:]]
        (predicted,) = panels[0, 0].plot([], [], "--", color=style.INK, lw=1.0)
        (mixed,) = panels[0, 0].plot([], [], ":", color=style.INK, lw=1.2)
        figure.legend(
            [*handles, predicted, mixed],
            [*labels, "predicted, nothing fitted", "prompts of unequal hazard"],
            loc="outside upper center",
            ncols=4,
        )
    return figure


def _survival(axes: Axes, parted: Parted, members: str, colours: dict[str, str]) -> None:
    found, horizon = parted.found[members], np.arange(1, parted.length + 1)
    ends = 0.5 / found[RAW].first.size, float(np.log(2.0 * found[RAW].first.size))
    for name, colour in colours.items():
        low, high, middle = (
            -np.log(np.maximum(bound[1:], np.exp(-2.0 * ends[1])))
            for bound in (found[name].curve.high, found[name].curve.low, found[name].curve.agreeing)
        )
        seen = (found[name].curve.agreeing[1:] > 0) & (middle > 0)
        axes.fill_between(horizon, np.maximum(low, ends[0]), high, color=colour, alpha=0.13, lw=0, where=seen)
        axes.plot(horizon[seen], middle[seen], color=colour)
    for name, colour in colours.items():
        axes.plot(horizon, found[name].hazard.predicted.value * horizon, "--", color=colour, lw=1.0)
    axes.set(xlim=(1, parted.length), xscale="log", yscale="log", ylim=ends, xlabel="tokens h")
    axes.set_ylabel("−ln(fraction still the same)")
    fractions = [f for f in _FRACTIONS if ends[0] < -np.log(f) < ends[1]]
    right = axes.secondary_yaxis("right")
    right.set_yticks([], minor=True)
    right.set_yticks([-np.log(f) for f in fractions], [f"{f:g}" for f in fractions])


def binned_hazards(one: Agreement, length: int) -> list[tuple[float, Estimate]]:
    """Middle position and hazard between the `EDGES`, where splits were seen; intervals over prompts and pairs."""
    out = []
    for low, high in itertools.pairwise(EDGES):
        high = min(high, length)
        risk = np.clip(one.first + 1 - low, 0, high - low).astype(np.float64)
        splits = ((low <= one.first) & (one.first < high)).astype(np.float64)
        if splits.any():
            value = float(splits.sum() / risk.sum())
            influence = (splits - value * risk) / risk.mean()
            out.append((0.5 * (low + high - 1), influenced(value, influence, LEVEL, positive=True)))
    return out


def _along(axes: Axes, parted: Parted, colours: dict[str, str]) -> None:
    tokens = np.arange(parted.length)
    for name, marker in zip(list(colours)[:2], "os", strict=False):
        one, colour = parted.found[MEMBERS[0]][name], colours[name]
        for place, hazard in binned_hazards(one, parted.length):
            axes.plot(1 + place, hazard.value, marker, color=colour, ms=4)
            if np.isfinite(hazard.low):
                axes.vlines(1 + place, hazard.low, hazard.high, color=colour, lw=1.1)
        axes.hlines(one.hazard.predicted.value, 1, parted.length, color=colour, ls="--", lw=1.0)
        axes.plot(1 + tokens, one.hazard.frailty.pooled_hazard(tokens), ":", color=colour, lw=1.3)
    axes.set(xscale="log", yscale="log", xlabel="position of the token", ylabel="splits per token at risk")
    axes.set_title(f"C  Hazard along the text, {parted.apart[MEMBERS[0]]} update apart")


def _prediction(axes: Axes, parted: Parted, colours: dict[str, str]) -> None:
    everything = []
    for members, filled in zip(MEMBERS, (True, False), strict=True):
        for name, colour in colours.items():
            for i, one in enumerate(parted.found[members][name].by_run):
                x, y = one.predicted, one.hazard
                if not (x.value > 0 and y.value > 0):
                    continue
                everything += [x.value, y.value]
                look = {"color": colour, "lw": 0.8, "alpha": 0.7}
                axes.plot([x.low, x.high], [y.value, y.value], **look)
                axes.plot([x.value, x.value], [y.low, y.high], **look)
                marker = _MARKERS[i % len(_MARKERS)]
                axes.plot(x.value, y.value, marker, color=colour, mfc=colour if filled else "white", ms=4.5)
    if everything:
        ends = [0.5 * min(everything), 2.0 * max(everything)]
        axes.plot(ends, ends, color=style.MUTED, lw=0.9, zorder=1)
    axes.set(xscale="log", yscale="log", xlabel="predicted hazard f(0) E|D| / 2 (per token)")
    near, far = (f"{parted.apart[members]:,}" for members in MEMBERS)
    axes.set(ylabel="splits per token at risk", title=f"D  Each run (full: {near}, open: {far} updates apart)")


def caption(parted: Parted) -> str:
    """What the figure shows, with predictions, frailty, sample sizes and seeds."""
    near = parted.found[MEMBERS[0]]
    raw, pairs = near[RAW], {m: len(rows[RAW].first) for m, rows in parted.found.items()}
    ratios = "; ".join(
        f"{members}: "
        + ", ".join(f"{name} {shown(one.hazard.ratio, digits=2)}" for name, one in parted.found[members].items())
        for members in MEMBERS
    )
    mixed = "; ".join(
        f"{name}: v = {shown(near[name].hazard.frailty.variation, digits=2)}, late over early hazard "
        f"{shown(near[name].hazard.late_to_early, digits=2)}"
        for name in list(near)[:2]
    )
    return (
        f"How long greedy continuations of neighbouring iterates agree, of raw iterates and of averages of them; "
        f"{len(parted.seeds)} runs (seed{'s' if len(parted.seeds) > 1 else ''} "
        f"{', '.join(map(str, parted.seeds))}), {raw.first.shape[1]} prompts each, {pairs['consecutive']} pairs of "
        f"consecutive (A) and {pairs['spaced']} of spaced (B) iterates in all, {parted.length} tokens. Bands and bars: "
        f"95 % intervals over prompts and pairs of these runs. Dashed: constant hazard f(0) E|D|/2 from the gaps of "
        f"the two likeliest tokens, nothing fitted. Predicted over seen hazard, {ratios}. C: by position; dotted: "
        f"pooled hazard h/(1 + vht) of prompts whose hazards have the squared coefficient of variation v, fitted to "
        f"each prompt's counts of splits and not to this decline ({mixed}). D: every run by itself (a marker per "
        f"seed), full: consecutive, open: spaced; diagonal: theory."
    )

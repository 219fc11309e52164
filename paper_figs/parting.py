"""When neighbours' continuations part, over many orders of magnitude of their distance (prediction N9)."""

from __future__ import annotations

import json
from pathlib import Path

import matplotlib as mpl
import numpy as np
import xarray as xr
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from neural.language.distance_law import EXPONENTS, STRETCHES, DistanceLaw, parting_law
from neural.language.edit_distance import first_difference
from neural.language.prompt_rates import Counts, LogRate, linear_time, power_law
from neural.runs import load_dataset
from neural.statistics import Estimate
from paper_figs import style
from paper_figs.page import number
from paper_figs.text import shown

CURVES = 5
"""Distances whose survival is drawn, spread evenly over all."""

_BOUNDS = {"power": EXPONENTS, "logarithmic": STRETCHES}


def data(file: Path | str) -> xr.Dataset:
    """The dataset of `neural.language.parting.parting`.

    Raises:
        FileNotFoundError, ValueError: if there is no such file, or it is another dataset.
    """
    dataset = load_dataset(file)
    if missing := sorted({"text", "base", "distance", "share"} - set(map(str, dataset.variables))):
        raise ValueError(f"data must be the dataset of gva lm part, {file} lacks {missing}")
    return dataset


def draw(dataset: xr.Dataset, *, law: DistanceLaw | None = None) -> Figure:
    """Three panels: survival of agreement, hazard per token, tokens that agree, all by distance.

    A: fraction of continuations that still agree with the model's own, at `CURVES` distances; bands are pointwise
    intervals. B: hazard of a split per token with intervals, full circles where the laws are fitted; the fitted power
    law, and the slope 1 of the theory for small distances. C: mean number of tokens that agree (of at most T), with
    what the power law and the logarithmic law expect.

    Args:
        dataset: made by `neural.language.parting.parting`.
        law: of `parting_law` for it, if it is known already.
    """
    law = parting_law(dataset) if law is None else law
    shares = dataset["share"].values
    expected = expectations(dataset, law)
    with style.canvas(10.4, 3.7) as figure:
        panels = figure.subplots(1, 3)
        _survival(panels[0], law, shares, dataset.sizes["token"])
        _hazard(panels[1], law, shares, expected)
        _time(panels[2], law, shares, expected, dataset.sizes["token"])
        handles, labels = panels[0].get_legend_handles_labels()
        labels = [f"A: distance / last update {labels[0]}", *labels[1:]]
        figure.legend(handles, labels, loc="outside upper left", ncols=len(handles))
        laws: dict[str, Artist] = {}
        for panel in panels[1:]:
            handles, labels = panel.get_legend_handles_labels()
            laws.update(zip(labels, handles, strict=True))
        if laws:
            figure.legend(list(laws.values()), list(laws), loc="outside lower right", ncols=len(laws))
    return figure


def caption(dataset: xr.Dataset, *, law: DistanceLaw | None = None) -> str:
    """What the figure shows, with the exponent, sample sizes, seed and intervals."""
    law = parting_law(dataset) if law is None else law
    a, sizes = dataset.attrs, dataset.sizes
    distances = law.distances
    better = law.advantage.value
    verdict = (
        f" Log-likelihood of the power law over that of the logarithmic one: {shown(law.advantage)} per prompt."
        if np.isfinite(better)
        else ""
    )
    exponent = f"β = {shown(law.exponent)}" if np.isfinite(law.exponent.value) else "too few splits for β"
    return (
        f"Greedy continuations of a model ({a['model']}, update {int(a['update']):,}, {_language(a)}) against those of "
        f"neighbours at distances of {number(distances.min(), 2)} to {number(distances.max(), 2)} (Euclidean, of the "
        f"parameters; {number(float(dataset['share'].min()), 2)} to {number(float(dataset['share'].max()), 2)} of the "
        f"last update), in {sizes['direction']} directions: the last update, and others with its coordinates' signs "
        f"drawn anew (seed {a['seed']}). {sizes['prompt']} prompts, {sizes['token']} tokens each. A: fraction still "
        f"the same, with pointwise intervals. B: splits per token at risk; full circles are fitted, triangles are the "
        f"upper ends of intervals where no split was seen. Line: hazard ∝ d^β with a height for every prompt, "
        f"{exponent}; dotted: slope 1. C: tokens that agree, at most {sizes['token']}, and what is expected of a "
        f"hazard ∝ d^β and of a time linear in log 1/d.{verdict} 95 % intervals over prompts and directions (of the "
        f"likelihood over prompts alone), not over seeds."
    )


def _language(attrs: dict[str, str]) -> str:
    kind = json.loads(attrs["language"])["kind"]
    return "a run on the story grammar" if kind == "grammar" else "a run on text"


def expectations(dataset: xr.Dataset, law: DistanceLaw) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """What the fitted laws expect: per law, pooled hazard and mean tokens that agree at every distance, (K,) each.

    Every prompt has the height that gives as many splits over the fitted distances as were seen of it, none if it never
    split. The pooled hazard is over the tokens that were at risk. NaN at distances that are not fitted; empty if the
    laws cannot be told (fewer than two distances with splits).
    """
    first = _first_differences(dataset)
    length = dataset.sizes["token"]
    splits, risk = (first < length).astype(np.float64), np.minimum(first + 1, length).astype(np.float64)
    seen = splits.any(axis=(0, 2)) & law.fitted
    if seen.sum() < 2:
        return {}
    prompts = first.shape[2]
    counts = Counts(splits[:, law.fitted].reshape(-1, prompts), risk[:, law.fitted].reshape(-1, prompts))
    x = np.log(law.distances[law.fitted])
    flat = np.tile(x - x.mean(), len(first))
    out = {}
    laws: dict[str, LogRate] = {"power": power_law(flat), "logarithmic": linear_time(flat)}
    for name, rate in laws.items():
        rates = np.exp(rate(counts.fit(rate, _BOUNDS[name])))[:, None]
        height = counts.splits.sum(axis=0) / (rates * counts.risk).sum(axis=0)
        hazard = (rates * height).reshape(len(first), -1, prompts)
        pooled = (hazard * risk[:, law.fitted]).sum(axis=(0, 2)) / risk[:, law.fitted].sum(axis=(0, 2))
        columns = np.full((2, len(law.distances)), np.nan)
        columns[:, law.fitted] = pooled, _agreeing(hazard[0], length).mean(axis=1)
        out[name] = columns[0], columns[1]
    return out


def _agreeing(hazard: np.ndarray, length: int) -> np.ndarray:
    """Mean of min(D, T) where D tokens agree, Σ_{h≤T} e^{−λh}: exponential, as the laws' likelihood has it."""
    horizon = np.arange(1, length + 1)
    return np.exp(-hazard[..., None] * horizon).sum(axis=-1)


def _first_differences(dataset: xr.Dataset) -> np.ndarray:
    """(direction, distance, prompt)."""
    whole = dataset.transpose("direction", "distance", "prompt", "token", ...)
    return first_difference(whole["base"].values, whole["text"].values)


def _survival(axes: Axes, law: DistanceLaw, shares: np.ndarray, length: int) -> None:
    order = np.argsort(shares)
    places = order[np.unique(np.linspace(0, len(order) - 1, min(CURVES, len(order))).round().astype(int))]
    horizon = np.arange(length + 1)
    for place, share in zip(places, np.linspace(0.15, 0.85, len(places)), strict=True):
        colour = mpl.colormaps[style.SEQUENTIAL](1.0 - share)
        curve = law.agreement[place]
        axes.fill_between(horizon, curve.low, curve.high, color=colour, alpha=0.13, lw=0)
        axes.plot(horizon, curve.agreeing, color=colour, label=number(float(shares[place]), 2))
    axes.set(xlim=(0, length), ylim=(0, 1.02), xlabel="tokens h", ylabel="continuations still the same")
    axes.set_title("A  Agreement at several distances")


def _hazard(
    axes: Axes, law: DistanceLaw, shares: np.ndarray, expected: dict[str, tuple[np.ndarray, np.ndarray]]
) -> None:
    _points(axes, shares, law.hazards, law.fitted)
    axes.set_ylim(axes.get_ylim())  # where something was seen, however far down the lines go
    if expected:
        order = np.argsort(shares)
        axes.plot(
            shares[order],
            expected["power"][0][order],
            color=style.AVERAGES[0],
            label=f"hazard ∝ $d^β$, β = {shown(law.exponent)}",
        )
        seen = np.flatnonzero(law.fitted & np.array([h.value > 0 for h in law.hazards]))
        middle = seen[np.argsort(shares[seen])[len(seen) // 2]]
        line = expected["power"][0][middle] * shares[order] / shares[middle]
        axes.plot(shares[order], line, ":", color=style.INK, lw=1.1, label="slope 1")
    axes.set(xlabel="distance / norm of the last update", ylabel="splits per token at risk")
    axes.set_title("B  Hazard of a split")


def _time(
    axes: Axes, law: DistanceLaw, shares: np.ndarray, expected: dict[str, tuple[np.ndarray, np.ndarray]], length: int
) -> None:
    order = np.argsort(shares)
    _points(axes, shares, law.mean_times, law.fitted, logarithmic=False)
    if expected:
        axes.plot(shares[order], expected["power"][1][order], color=style.AVERAGES[0])
        label = "time linear in $\\log\\,1/d$"
        axes.plot(shares[order], expected["logarithmic"][1][order], "--", color=style.AVERAGES[2], label=label)
    axes.set(xlabel="distance / norm of the last update", ylabel=f"tokens that agree (of {length})", ylim=(0, None))
    axes.set_title("C  Mean time to the split")


def _points(
    axes: Axes, shares: np.ndarray, estimates: tuple[Estimate, ...], fitted: np.ndarray, logarithmic: bool = True
) -> None:
    """Estimates with their intervals; on a logarithmic axis, an arrow below the upper bound stands for one of zero."""
    for share, estimate, full in zip(shares, estimates, fitted, strict=True):
        fill = style.RAW if full else "white"
        if logarithmic and estimate.value <= 0:
            axes.plot(share, estimate.high, "v", color=style.RAW, mfc="white", ms=4.5)
            continue
        if np.isfinite(estimate.low):
            axes.vlines(share, estimate.low, estimate.high, color=style.RAW, lw=1.1)
        axes.plot(share, estimate.value, "o", color=style.RAW, mfc=fill, ms=4.5)
    axes.set_xscale("log")
    if logarithmic:
        axes.set_yscale("log")
    axes.xaxis.set_major_locator(LogLocator(10))
    axes.xaxis.set_minor_formatter(NullFormatter())

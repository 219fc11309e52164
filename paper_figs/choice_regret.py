"""Which average to take without looking at returns, and what the choice costs: regret of every selector."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from neural.predictions.choice import LEAST_LOSS, THEORY, choices, interquartile_mean
from neural.statistics import Estimate, mean_estimate
from paper_figs import style
from paper_figs.evidence_parts import opened, seeds_in_words
from paper_figs.prediction_tables import choice_arms

_MARKERS = "osD^vPX*"
_PERCENT = 100.0


@dataclasses.dataclass(frozen=True, eq=False)
class Regrets:
    """Regret (selector, arm, seed) in expert returns, what was chosen, and the seeds in words."""

    regret: xr.DataArray
    chosen: xr.DataArray
    seeds: str

    def overall(self, selector: str) -> Estimate:
        """Interquartile mean over arms and seeds, with its bootstrap interval."""
        own = self.regret.sel(selector=selector)
        return interquartile_mean({str(arm): own.sel(arm=arm).values for arm in own["arm"].values})


def data(directory: Path | str) -> Regrets:
    """Of all arms of a directory of evidence whose averages were rolled out and whose spectra were measured.

    Raises:
        FileNotFoundError: if there are none.
        ValueError: as `opened`.
    """
    evidence = opened(directory)
    arms = choice_arms(evidence)
    if not arms:
        raise FileNotFoundError(f"no arm with a spectrum in {evidence.directory}")
    found = choices(evidence, arms)
    return Regrets(found.regret, found.chosen, seeds_in_words(evidence[arms[0]]))


def draw(regrets: Regrets) -> Figure:
    """A row per selector: seeds as dots, arms as means with intervals, all of them as a diamond."""
    selectors = [str(name) for name in regrets.regret["selector"].values]
    arms = [str(name) for name in regrets.regret["arm"].values]
    with style.canvas(9.0, 1.6 + 0.75 * len(selectors)) as figure:
        axes = figure.subplots()
        for place, selector in enumerate(selectors):
            _row(axes, regrets, selector, arms, float(place))
        axes.axvline(0.0, color=style.MUTED, lw=0.9, ls="--")
        axes.set_yticks(range(len(selectors)), selectors)
        for label, name in zip(axes.get_yticklabels(), selectors, strict=True):
            label.set_fontweight("bold" if name in (THEORY, LEAST_LOSS) else "normal")
        axes.set_ylim(len(selectors) - 0.45, -0.55)
        axes.set_xscale("symlog", linthresh=5.0)
        axes.set_xticks(ticks := [-5, 0, 5, 10, 20, 50, 100], [f"{tick}" for tick in ticks])
        axes.minorticks_off()
        axes.set_xlabel("regret, % of the expert's return (linear within ±5)")
        axes.tick_params(axis="y", length=0)
        figure.legend(loc="outside upper center", ncols=4)
    return figure


def _row(axes: Axes, regrets: Regrets, selector: str, arms: list[str], place: float) -> None:
    shifts = np.linspace(-0.36, 0.2, len(arms)) if len(arms) > 1 else np.zeros(1)
    for i, (arm, shift) in enumerate(zip(arms, shifts, strict=True)):
        values = _PERCENT * regrets.regret.sel(selector=selector, arm=arm).values
        look: dict[str, Any] = {"color": style.SERIES[i % len(style.SERIES)], "marker": _MARKERS[i % len(_MARKERS)]}
        at = place + shift
        axes.plot(values, np.full(len(values), at), ls="", ms=2.6, alpha=0.45, mew=0, **look)
        mean = mean_estimate(values)
        axes.plot([mean.low, mean.high], [at, at], "-", color=look["color"], lw=1.1)
        axes.plot(mean.value, at, ls="", ms=4.8, label=arm if place == 0 else None, **look)
    every = regrets.overall(selector)
    at, ends = place + 0.36, [_PERCENT * every.low, _PERCENT * every.high]
    axes.plot(ends, [at, at], "-", color=style.INK, lw=1.6)
    label = "all, interquartile mean" if place == 0 else None
    axes.plot(_PERCENT * every.value, at, "d", color=style.INK, ms=6, label=label)


def caption(regrets: Regrets) -> str:
    """What the figure shows, with the interquartile means and what the theory chose."""
    said = "; ".join(
        f"{selector} {_PERCENT * e.value:.1f} [{_PERCENT * e.low:.1f}, {_PERCENT * e.high:.1f}]"
        for selector in map(str, regrets.regret["selector"].values)
        for e in [regrets.overall(selector)]
    )
    names, counts = np.unique(regrets.chosen.sel(selector=THEORY).values, return_counts=True)
    chose = ", ".join(f"{names[i]} ({counts[i]})" for i in np.argsort(-counts))
    return (
        f"Regret of choosing an average before any rollout, {regrets.regret.sizes['arm']} arms, {regrets.seeds}: the "
        "return of the best average of the bank less that of the one chosen, in late spaced iterates; the best is "
        "found on half of the initial conditions and its return taken from the other half, so that regret may be "
        "negative. "
        f"{THEORY} sees the measured spectrum and drift alone, {LEAST_LOSS} the held-out loss at the end; the "
        "others are fixed. Small: seeds; large: means with 95 % t-intervals over seeds. All arms [bootstrap, "
        "stratified by arm], "
        f"% of the expert's return: {said}. The theory chose {chose}."
    )

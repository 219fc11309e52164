"""What the linear theory says of every average against what the runs did: loss, window spread, seed spread (N4, N6).

Nothing is fitted: each prediction comes from the spectrum of curvature and noise measured at the end of the same run.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from gvatheory.averaging import LastIterate
from neural.predictions import n4_variance_factors as n4
from neural.predictions.arms import DEFAULT, TASKS
from neural.predictions.decision import jackknife_effect, mean_effect
from neural.predictions.evidence import Evidence
from neural.predictions.linear_theory import predicted_lag_loss, predicted_losses
from neural.predictions.noise_spectra import spectra, with_a_say
from neural.predictions.spreads import late_iterates, losses, mean_returns, pooled
from neural.statistics import RAW, Estimate
from paper_figs import style
from paper_figs.evidence_parts import opened, over_seeds, seeds_in_words
from paper_figs.prediction_tables import measured

_TITLES = {
    "loss": ("A  Loss gained on raw", "action²"),
    "window": ("B  Spread in a window / raw's", "ratio"),
    "seeds": ("C  Spread across seeds / raw's", "ratio"),
}
_LEAST = 3
"""Seeds of an arm, at least, of which the theory has a say."""
_MARKERS = "osD^vPX*"


@dataclasses.dataclass(frozen=True)
class Point:
    """One average of one arm: predicted, mean over seeds (geometric of ratios), and seen with its 95 % interval."""

    arm: str
    average: str
    predicted: float
    seen: Estimate


@dataclasses.dataclass(frozen=True, eq=False)
class Comparison:
    """Points by quantity: loss, window, seeds; and in words the seeds, and those of which the theory has no say."""

    points: dict[str, list[Point]]
    seeds: str
    left_out: str


def data(directory: Path | str) -> Comparison:
    """All arms of a directory of evidence whose spectra were measured; the window's spread of the first base alone.

    Raises:
        FileNotFoundError: if the first base or its spectrum is missing.
        ValueError: as `opened`.
    """
    evidence = opened(directory)
    base = f"{TASKS[0]} base"
    points: dict[str, list[Point]] = {name: [] for name in _TITLES}
    left_out = []
    for arm in measured(evidence):
        own = with_a_say(evidence, arm)
        kept, count = own[arm].sizes["seed"], evidence[arm].sizes["seed"]
        if kept < count:
            left_out.append(f"{arm} {count - kept} of {count}")
        if kept < _LEAST:
            continue
        loss, seeds = _arm(own, arm)
        points["loss"] += loss
        points["seeds"] += seeds
        if arm == base:
            for name, seen, predicted in zip(n4.AVERAGES, *n4.window_ratios(own, n4.AVERAGES), strict=True):
                estimate = mean_effect(seen, logarithmic=True).interval(0.95)
                points["window"].append(Point(base, name, float(np.exp(np.log(predicted).mean())), estimate))
    said = f"Seeds left out, on whose spectrum the step is not stable: {', '.join(left_out)}." if left_out else ""
    return Comparison(points, seeds_in_words(evidence[base]), said)


def _arm(evidence: Evidence, arm: str) -> tuple[list[Point], list[Point]]:
    """Loss gained on raw, and the ratio of spreads across seeds, of every average rolled out; late spaced iterates."""
    run, of = evidence[arm], spectra(evidence, arm)
    e, late = of.experiment, late_iterates(run)
    step, seen_from = float(e.schedule.step_sizes(e.steps)[-1]), e.bank[DEFAULT]
    names = [str(name) for name in run["average"].values[1:]]
    averages = [LastIterate(), *(e.bank[name] for name in names)]
    predicted = np.array([predicted_losses(s, e.schedule, averages, e.steps) for s in of.by_seed])
    noise = dict(zip((RAW, *names), predicted.T, strict=True))
    returns, raw_loss = mean_returns(run)[:, late], losses(run)[:, late].mean(axis=1)
    loss, seeds = [], []
    for name in names:
        lag = [predicted_lag_loss(s, step, e.bank[name], e.steps, seen_from=seen_from) for s in of.by_seed]
        (gained,) = over_seeds(raw_loss - losses(run, name)[:, late].mean(axis=1))
        loss.append(Point(arm, name, float(np.mean(noise[RAW] - noise[name] - lag)), gained))
        ratio = float(np.exp(0.5 * np.log(noise[name] / noise[RAW]).mean()))  # the seed factor, weighted by curvature
        seeds.append(Point(arm, name, ratio, _spread_ratio(mean_returns(run, name)[:, late], returns)))
    return loss, seeds


def _spread_ratio(own: np.ndarray, raw: np.ndarray) -> Estimate:
    """Spread across seeds of an average's (seeds, iterates) returns over that of raw's, by the jackknife."""
    effect = jackknife_effect(lambda p: pooled(own, p) / pooled(raw, p), len(own), logarithmic=True)
    return effect.interval(0.95)


def fit(points: list[Point]) -> tuple[float, float, int]:
    """(slope, R², how many) of ln seen against ln predicted, of the points at which both are positive.

    R² is that of y = x, 1 − Σ(ln seen − ln predicted)²/Σ(ln seen − mean)²: negative where a constant does better.
    """
    values = np.array([(p.predicted, p.seen.value) for p in points]).reshape(-1, 2)
    x, y = np.log(values[np.all(np.isfinite(values) & (values > 0), axis=1)]).T
    if len(x) < 3 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return np.nan, np.nan, len(x)
    centred = x - x.mean()
    share = 1.0 - np.sum((y - x) ** 2) / np.sum((y - y.mean()) ** 2)
    return float(centred @ y / (centred @ centred)), float(share), len(x)


def draw(comparison: Comparison) -> Figure:
    """Three panels, seen against predicted, one colour and marker per arm."""
    arms = list(dict.fromkeys(p.arm for points in comparison.points.values() for p in points))
    with style.canvas(11.0, 4.4) as figure:
        panels = figure.subplots(1, len(_TITLES))
        for axes, (name, (title, unit)) in zip(panels, _TITLES.items(), strict=True):
            _panel(axes, comparison.points[name], arms)
            axes.set(title=title, xlabel=f"predicted ({unit})", ylabel=f"seen ({unit})")
        handles = {label: h for axes in panels for h, label in zip(*axes.get_legend_handles_labels(), strict=True)}
        figure.legend(handles.values(), handles.keys(), loc="outside upper center", ncols=4)
    return figure


def _panel(axes: Axes, points: list[Point], arms: list[str]) -> None:
    """Points where both are positive; at the edge those that are not."""
    good = [p for p in points if p.predicted > 0 and p.seen.value > 0]
    values = [v for p in good for v in (p.predicted, p.seen.value)] or [1.0]
    low, high = 0.4 * min(values), 2.5 * max(values)
    axes.plot([low, high], [low, high], "--", color=style.MUTED, lw=1.0, label="seen = predicted")
    for p in points:
        place = arms.index(p.arm)
        colour, marker = style.SERIES[place % len(style.SERIES)], _MARKERS[place % len(_MARKERS)]
        x, y = (np.clip(v, low, high) if np.isfinite(v) else low for v in (p.predicted, p.seen.value))
        if np.isfinite(p.seen.low):
            ends = np.clip([p.seen.low, p.seen.high], low, high)
            axes.plot([x, x], ends, "-", color=colour, lw=0.8, alpha=0.6)
        fill = colour if p in good else "white"
        axes.plot(x, y, marker, color=colour, mfc=fill, ms=4.5, clip_on=False)
    for i, arm in enumerate(arms):
        if any(p.arm == arm for p in points):
            axes.plot([], [], _MARKERS[i % len(_MARKERS)], color=style.SERIES[i % len(style.SERIES)], ms=4.5, label=arm)
    axes.set(xscale="log", yscale="log", xlim=(low, high), ylim=(low, high))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_minor_formatter(NullFormatter())


def caption(comparison: Comparison) -> str:
    """What the figure shows, with slopes and shares of variance."""
    said, left = [], 0
    for name, (title, _) in _TITLES.items():
        slope, share, count = fit(comparison.points[name])
        left += len(comparison.points[name]) - count
        if not count:
            said.append(f"{title[0]}: none")
            continue
        said.append(f"{title[0]}: slope {slope:.2f}, R² of y = x {share:.2f}, {count} averages")
    arms = len({p.arm for p in comparison.points["loss"]})
    hollow = f" Hollow at the edge: {left} points with a value that is not positive, left out of these." if left else ""
    return (
        f"Every average that was rolled out in {arms} arms whose spectra were measured at the end of the runs, "
        f"{comparison.seeds}; seen against predicted, nothing fitted. A: held-out loss of raw less that of the average "
        "over late spaced iterates; predicted: what the noise keeps up, less what trailing the drift costs. B: root of "
        f"the window's variance factor, consecutive iterates of {TASKS[0]}'s base, constant rates (N4). C: root of the "
        "factor across seeds, late spaced iterates. Bars: 95 % intervals over seeds, of ratios on the log scale. In "
        f"logarithms, {'; '.join(said)}.{hollow} {comparison.left_out}".rstrip()
    )

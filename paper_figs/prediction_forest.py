"""All ten predictions at a glance: every criterion's estimate with its interval, placed in its region, and the verdict.

Criteria are of different kinds, so each is drawn on a scale of its own on which its region is the same band. Verdicts
come from wider intervals than the 95 % that are drawn (see `neural.predictions.decision`).
"""

from __future__ import annotations

import dataclasses
import math
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from neural.predictions.decision import ERROR, FAMILY, Finding, Verdict
from neural.predictions.evidence import SETS
from neural.predictions.registry import PREDICTIONS, agree, judge_all
from paper_figs import style
from paper_figs.evidence_parts import opened
from paper_figs.prediction_tables import mark, region
from paper_figs.text import shown

REACH = 4.0
"""Half widths of the region from its middle that are drawn; what lies beyond is an arrow at the edge."""

Verdicts = Mapping[str, Verdict | FileNotFoundError]
_LOOKS = {"holds": (style.AVERAGES[1], "o"), "fails": (style.RAW, "s"), "undecided": (style.MUTED, "D")}
_WRAPPED = 58


@dataclasses.dataclass(frozen=True)
class Judged:
    """All verdicts of one set of seeds, and of a second one where there is one.

    Attributes:
        first, second: by id; `second` is empty without a second set.
    """

    first: Verdicts
    second: Verdicts


def data(directory: Path | str) -> Judged:
    """Judge the evidence of a directory, and that of the second set of seeds beside it if there is one.

    Raises:
        FileNotFoundError, ValueError: as `opened`.
    """
    first = opened(directory)
    beside = first.directory.with_name(SETS[1])
    other = beside if beside.is_dir() and beside != first.directory else None
    return Judged(judge_all(first), {} if other is None else judge_all(opened(other)))


def placed(finding: Finding) -> tuple[float, float, float]:
    """Value and interval on the scale on which the region is [−1, 1], [−1, ∞) or (−∞, 1].

    Of a two-sided region the unit is half its width; of a half-open one the larger of the interval's half width and the
    edge's distance from 0. Logarithmic effects are placed by their logarithms, and a region from 0 on is half-open.
    """
    low, high = finding.criterion.region
    values = np.array([finding.estimate.value, finding.estimate.low, finding.estimate.high])
    if finding.effect.logarithmic:
        with np.errstate(divide="ignore", invalid="ignore"):
            low, high, values = float(np.log(low)), float(np.log(high)), np.log(values)
    if math.isfinite(low) and math.isfinite(high):
        middle, unit = 0.5 * (low + high), 0.5 * (high - low)
        return tuple(((values - middle) / unit).tolist())
    edge, side = (low, -1.0) if math.isfinite(low) else (high, 1.0)
    half = 0.5 * (values[2] - values[1])
    unit = max(half if math.isfinite(half) else 0.0, abs(edge)) or 1.0
    return tuple((side + (values - edge) / unit).tolist())


def draw(judged: Judged) -> Figure:
    """One row per criterion, prediction by prediction."""
    rows = list(_rows(judged.first))
    places = _places(rows)
    height = 1.3 + 0.215 * places[-1]
    with style.canvas(12.0, height) as figure:
        figure.set_layout_engine("none")  # which makes too little room for texts on both sides
        axes = figure.subplots(
            gridspec_kw={"left": 0.315, "right": 0.64, "bottom": 0.55 / height, "top": 1 - 0.4 / height}
        )
        axes.axvspan(-1.0, 1.0, color=style.AVERAGES[1], alpha=0.13, lw=0, label="region in which it holds")
        for edge in (-1.0, 1.0):
            axes.axvline(edge, color=style.AVERAGES[1], lw=0.8, alpha=0.6)
        for place, (_, finding, name) in zip(places, rows, strict=True):
            if finding is not None:
                _half_open(axes, finding, place)
                _mark(axes, placed(finding), place, *_LOOKS[mark(finding)], hollow=False)
                again = _again(judged.second, name, finding)
                if again is not None:
                    _mark(axes, placed(again), place + 0.32, *_LOOKS[mark(again)], hollow=True)
        _labels(axes, rows, places, judged)
        for name, (colour, shape) in _LOOKS.items():
            axes.plot([], [], shape, color=colour, ms=5, label=name)
        if judged.second:
            axes.plot([], [], "o", color=style.INK, mfc="white", ms=5, label="other seeds")
        figure.legend(loc="upper center", ncols=5)
    return figure


def _rows(verdicts: Verdicts) -> Iterator[tuple[str, Finding | None, str]]:
    """(text, criterion's finding, id): of each prediction a heading without a finding, then its criteria."""
    for prediction in PREDICTIONS:
        verdict = verdicts[prediction.id]
        yield f"{prediction.id}  {prediction.title}", None, prediction.id
        for finding in verdict.findings if isinstance(verdict, Verdict) else ():
            yield finding.criterion.name, finding, prediction.id


def _places(rows: list[tuple[str, Finding | None, str]]) -> list[float]:
    """Heights of the rows: more of it before a heading, and for a text of two lines."""
    places, place = [], -1.0
    for i, (text, finding, _) in enumerate(rows):
        place += 1.0 + (0.5 if finding is None and i else 0.0) + 0.55 * (len(textwrap.wrap(text, _WRAPPED)) - 1)
        places.append(place)
    return places


def _again(verdicts: Verdicts, name: str, finding: Finding) -> Finding | None:
    """The same criterion on the other seeds."""
    verdict = verdicts.get(name)
    if not isinstance(verdict, Verdict):
        return None
    return next(f for f in verdict.findings if f.criterion.name == finding.criterion.name)


def _half_open(axes: Axes, finding: Finding, place: float) -> None:
    """The region of a half-open criterion goes on beyond the band."""
    low, high = finding.criterion.region
    upper_open, lower_open = math.isinf(high), math.isinf(low) or (finding.effect.logarithmic and low == 0.0)
    for is_open, ends in ((upper_open, (1.0, REACH)), (lower_open, (-REACH, -1.0))):
        if is_open:
            axes.fill_between(ends, place - 0.5, place + 0.5, color=style.AVERAGES[1], alpha=0.13, lw=0)


def _mark(axes: Axes, where: tuple[float, float, float], place: float, colour: str, shape: str, hollow: bool) -> None:
    """A point with its interval, cut where the axis ends; an arrow where the point lies beyond."""
    value, low, high = where
    if math.isnan(value):
        if not hollow:
            axes.text(0.0, place, "could not be had", color=style.MUTED, fontsize=7, ha="center", va="center")
        return
    if not math.isnan(low) and low <= REACH and high >= -REACH:
        ends = np.clip((low, high), -REACH, REACH)
        axes.plot(ends, (place, place), "-", color=colour, lw=0.9 if hollow else 1.4)
    beyond = abs(value) > REACH
    look = {"color": colour, "mfc": "white" if hollow else colour, "ms": 4.0 if hollow else 5.0, "clip_on": False}
    axes.plot(np.clip(value, -REACH, REACH), place, ("<" if value < 0 else ">") if beyond else shape, **look)


def _labels(axes: Axes, rows: list[tuple[str, Finding | None, str]], places: list[float], judged: Judged) -> None:
    """What each row is at the left; at the right what was found, the region, and the verdict beside each heading."""
    texts = [textwrap.fill(text, _WRAPPED) for text, _, _ in rows]
    found = [_outcome(judged, name) if finding is None else _numbers(finding) for _, finding, name in rows]
    right = axes.twinx()
    for side, labels in ((axes, texts), (right, found)):
        side.set_yticks(places, labels, fontsize=7.2, linespacing=0.95)
        side.set_ylim(places[-1] + 0.9, -0.9)
        side.tick_params(axis="y", length=0)
        side.grid(visible=False)
        for label, (_, finding, name) in zip(side.get_yticklabels(), rows, strict=True):
            if finding is None:
                label.set_fontweight("bold")
                verdict = judged.first[name]
                if side is right and isinstance(verdict, Verdict):
                    label.set_color(_LOOKS[verdict.outcome][0])
    axes.set_xlim(-REACH, REACH)
    axes.set_xticks([-1.0, 1.0], ["lower edge", "upper edge"])
    axes.set_xlabel("place in the region")


def _numbers(finding: Finding) -> str:
    theory = f";  theory {finding.criterion.theory}" if finding.criterion.theory else ""
    return f"{shown(finding.estimate)};  holds if {region(finding)}{theory}"


def _outcome(judged: Judged, name: str) -> str:
    verdict, again = judged.first[name], judged.second.get(name)
    if not isinstance(verdict, Verdict):
        return "not judged: no data"
    other = f" (other seeds: {again.outcome})" if isinstance(again, Verdict) else ""
    return verdict.outcome.upper() + other


def caption(judged: Judged) -> str:
    """What the figure shows, how many of the predictions hold, and of how many seeds."""
    verdicts = {name: v for name, v in judged.first.items() if isinstance(v, Verdict)}
    seeds = sorted({f.effect.seeds for v in verdicts.values() for f in v.findings if f.effect.seeds})
    counts = {name: [v for v in verdicts if verdicts[v].outcome == name] for name in _LOOKS}
    said = "; ".join(f"{name}: {', '.join(ids) or 'none'}" for name, ids in counts.items())
    missing = [name for name in judged.first if name not in verdicts]
    absent = f" Not judged for want of data: {', '.join(missing)}." if missing else ""
    both = {name: v for name, v in judged.second.items() if isinstance(v, Verdict) and name in verdicts}
    second = ""
    if both:
        against = [name for name, v in both.items() if not agree(verdicts[name], v)]
        words = f"they say the opposite of {', '.join(against)}" if against else "none of them says the opposite"
        second = f" Hollow: {len(both)} predictions on seeds of their own; {words}."
    count = f"{seeds[0]} to {seeds[-1]}" if len(seeds) > 1 else str(*seeds) if seeds else "no"
    return (
        f"Predictions N1 to N10, {sum(len(v.findings) for v in verdicts.values())} criteria: estimates with 95 % "
        f"t-intervals over {count} training seeds, each on a scale on which its region is the band (ratios on that of "
        "their logarithm). Where a region has one edge, that edge lies on the band's, the region is shaded up to the "
        "end of the axis, and the unit is the larger of the interval's half width and the edge's distance from zero. "
        f"Arrows: beyond the axis. Verdicts come from intervals of level 1 − {ERROR:g}/{FAMILY}, or wider to fail. "
        f"{said[0].upper() + said[1:]}.{absent}{second}"
    )

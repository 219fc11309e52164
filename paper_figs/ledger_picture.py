"""A proposition's picture, drawn: bound against truth."""

import math
from collections import Counter

from matplotlib.figure import Figure
from matplotlib.ticker import FormatStrFormatter, LogLocator, NullFormatter

from paper_figs import style
from proofs_check.pictures import Picture, Series

_MARKERS = ("o", "s", "^", "D", "v")


def draw(picture: Picture) -> Figure:
    """Truths as solid lines, claims dashed over them, simulations as points with intervals, wrong variants dotted."""
    with style.canvas(5.2, 3.3) as figure:
        axes = figure.add_subplot()
        seen: Counter[str] = Counter()
        for series in picture.series:
            _add(axes, series, seen[series.kind])
            seen[series.kind] += 1
        axes.set(xlabel=picture.x_label, ylabel=picture.y_label)
        if picture.x_log:
            axes.set_xscale("log")
            _few_labels(axes.xaxis, axes.get_xlim())
        if picture.y_log:
            axes.set_yscale("log")
            _few_labels(axes.yaxis, axes.get_ylim())
        axes.legend()
    return figure


def _few_labels(axis, limits: tuple[float, float]) -> None:
    """Plain numbers at 1, 2 and 5 on a logarithmic axis of few decades, where powers of ten would be too few."""
    if math.log10(limits[1] / limits[0]) < 2.5:
        axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axis.set_major_formatter(FormatStrFormatter("%g"))
        axis.set_minor_formatter(NullFormatter())


def _add(axes, series: Series, index: int) -> None:
    colour = style.AVERAGES[index % len(style.AVERAGES)]
    label, x, y = series.label, series.x, series.y
    if series.kind == "truth":
        axes.plot(x, y, color=colour, label=label, linewidth=3.0, alpha=0.55, solid_capstyle="round")
    elif series.kind == "claim":
        dashes = style.LINE_STYLES[1:][index % 3]
        axes.plot(x, y, color=style.INK, label=label, linewidth=1.2, linestyle=dashes, zorder=3)
    elif series.kind == "wrong":
        axes.plot(x, y, color=style.RAW, label=label, linewidth=1.0, linestyle=style.LINE_STYLES[3 - index % 3])
    else:
        marker = _MARKERS[index % len(_MARKERS)]
        axes.plot(x, y, marker, color=colour, label=label, markersize=4.5, markeredgecolor=style.INK, zorder=4)
        if series.low is not None and series.high is not None:
            axes.vlines(x, series.low, series.high, color=style.INK, linewidth=1.0, zorder=3)

"""One look for every figure. Figures are drawn by Agg without pyplot, and no global setting of matplotlib changes."""

import contextlib
import io
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

if TYPE_CHECKING:
    from matplotlib.typing import RcKeyType

RAW = "#D55E00"
"""Colour of raw iterates: the vermilion of Okabe & Ito (2008)."""

AVERAGES = ("#0072B2", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
"""Colours of averages, in order: the rest of the same palette, told apart under the usual colour deficiencies."""

INK, MUTED = "#222222", "#767676"
SERIES = (*AVERAGES, RAW, MUTED)
"""Colours of things that are neither raw nor averages, where there may be more than five of them."""
SEQUENTIAL, DIVERGING = "cividis", "RdBu_r"
LINE_STYLES = ("-", "--", "-.", ":")

STYLE: dict["RcKeyType", Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 9.0,
    "axes.titlesize": 9.5,
    "axes.titlelocation": "left",
    "axes.labelsize": 9.0,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#E4E4E4",
    "grid.linewidth": 0.6,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.labelsize": 8.0,
    "ytick.labelsize": 8.0,
    "legend.fontsize": 8.0,
    "legend.frameon": False,
    "lines.linewidth": 1.5,
    "figure.constrained_layout.use": True,
    "pdf.fonttype": 42,
}


@contextlib.contextmanager
def canvas(width: float, height: float) -> Iterator[Figure]:
    """A new figure of that size in inches; what is drawn within the block has this style."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(width, height))
        FigureCanvasAgg(figure)
        yield figure
        # The layout moves a little at each drawing: settle it, so that every file of the figure is the same picture.
        for _ in range(2):
            figure.draw_without_rendering()
        figure.set_layout_engine("none")


def count_updates(axes: Axes) -> None:
    """Label the axis of update counts: whole numbers, written out."""
    axes.set_xlabel("optimiser updates")
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.ticklabel_format(axis="x", style="plain", useOffset=False)


def png(figure: Figure, dpi: int = 160) -> bytes:
    """The figure as the bytes of a PNG file."""
    buffer = io.BytesIO()
    with mpl.rc_context(STYLE):
        figure.savefig(buffer, format="png", dpi=dpi, metadata={"Software": None})
    return buffer.getvalue()


def save(figure: Figure, stem: Path | str, dpi: int = 160) -> list[Path]:
    """Write ``stem.pdf`` and ``stem.png``, and return the paths. Neither file holds a date: same figure, same bytes."""
    stem = Path(stem)
    stem.parent.mkdir(parents=True, exist_ok=True)
    paths = [stem.with_name(stem.name + end) for end in (".pdf", ".png")]
    with mpl.rc_context(STYLE):
        figure.savefig(paths[0], metadata={"CreationDate": None})
    paths[1].write_bytes(png(figure, dpi))
    return paths

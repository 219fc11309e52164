"""Tables for a terminal."""

import math
from collections.abc import Sequence

from neural.statistics import Estimate
from paper_figs.page import number


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a table: the first column to the left, the others to the right."""
    widths = [max(len(row[c]) for row in rows) for c in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True))]
        lines.append("  " + "  ".join(cells).rstrip())
    return lines


def shown(estimate: Estimate, undefined: str = "-", scale: float = 1.0, digits: int = 3) -> str:
    """A number with its interval, or what stands for one that is NaN or infinite."""
    if not math.isfinite(estimate.value):
        return undefined
    value, low, high = (number(scale * v, digits) for v in (estimate.value, estimate.low, estimate.high))
    return value if math.isnan(estimate.low) else f"{value} [{low}, {high}]"

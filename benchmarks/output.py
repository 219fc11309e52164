"""What the benchmarks' command lines share."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np


def options(description: str, turns: int) -> argparse.Namespace:
    """The command line's `out`, a file or None, and `turns`, at least 1 and by default as given."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--out", type=Path, help="write the results there as JSON")
    parser.add_argument("--turns", type=int, default=turns, help="times that the variants take turns, at least 1")
    found = parser.parse_args()
    if found.turns < 1:
        parser.error(f"turns must be at least 1, got {found.turns}")
    return found


def summary(values: np.ndarray, digits: int | None = 3) -> dict[str, Any]:
    """Median and range over the turns, to so many decimals, or whole numbers."""
    low, middle, high = (round(float(f(values)), digits) for f in (np.min, np.median, np.max))
    return {"median": middle, "range": [low, high]}


def emit(report: dict[str, Any], out: Path | None) -> None:
    """Print the report as JSON, and write it to `out` if given."""
    print(json.dumps(report))
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps(report, indent=2) + "\n")

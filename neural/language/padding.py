"""Vectors of ids of several lengths in one array."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

PADDING = -1
"""Stands where there is no token."""


def padded(rows: Sequence[np.ndarray]) -> np.ndarray:
    """Vectors of ids as one array (n, longest) int32, filled up by `PADDING` at the end."""
    out = np.full((len(rows), max(map(len, rows))), PADDING, dtype=np.int32)
    for place, row in zip(out, rows, strict=True):
        place[: len(row)] = row
    return out


def unpadded(rows: np.ndarray) -> list[np.ndarray]:
    """The vectors, int64, of an array made by `padded`."""
    return [row[row != PADDING].astype(np.int64) for row in rows]

"""What a proposition's picture shows, as data: bound against truth. Drawing is left to whoever has matplotlib."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

SeriesKind = Literal["truth", "claim", "simulation", "wrong"]


@dataclass(frozen=True, eq=False)
class Series:
    """One curve.

    Attributes:
        label: for the legend, plain text or LaTeX between dollars.
        kind: ``truth`` (exact, by an independent route), ``claim`` (the statement's value or bound), ``simulation``
            (points, with intervals) or ``wrong`` (a refuted variant, drawn faintly).
        x, y: shape (n,), finite.
        low, high: shape (n,), ends of the intervals of a simulation; None otherwise.

    Raises:
        ValueError: if the shapes differ or a value is not finite.
    """

    label: str
    kind: SeriesKind
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    low: NDArray[np.float64] | None = None
    high: NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        """Refuse what could not be drawn."""
        arrays = [array for array in (self.x, self.y, self.low, self.high) if array is not None]
        if (self.low is None) != (self.high is None):
            raise ValueError(f"series {self.label!r}: give both ends of the intervals or neither")
        if any(array.ndim != 1 or array.shape != self.x.shape for array in arrays):
            raise ValueError(f"series {self.label!r}: shapes {[array.shape for array in arrays]} differ")
        if not all(np.isfinite(array).all() for array in arrays):
            raise ValueError(f"series {self.label!r}: values must be finite")


@dataclass(frozen=True, eq=False)
class Picture:
    """One pair of axes; ``caption`` says what to see, with every setting (and the seed and rate of a simulation)."""

    x_label: str
    y_label: str
    series: Sequence[Series]
    caption: str
    x_log: bool = False
    y_log: bool = False


def series(label: str, kind: SeriesKind, x: Any, y: Any, intervals: Any = None) -> Series:
    """A series from anything array-like (Fractions and mpmath numbers included); ``intervals`` has shape (n, 2)."""
    ends = None if intervals is None else _floats(intervals).reshape(-1, 2)
    low, high = (None, None) if ends is None else (ends[:, 0], ends[:, 1])
    return Series(label, kind, _floats(x), _floats(y), low, high)


def _floats(values: Any) -> NDArray[np.float64]:
    return np.asarray([float(v) for v in np.asarray(values, dtype=object).ravel()], dtype=np.float64)

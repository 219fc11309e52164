"""What the figures of the predictions' evidence share: the directory opened once, marks with intervals, seeds in words.

Intervals over learner seeds are Student's of 95 %: a seed is the independent unit, whatever is averaged within it.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from neural.predictions.evidence import Evidence
from neural.statistics import Estimate, mean_estimate
from paper_figs.simulated_points import points


@functools.cache
def _opened(directory: Path) -> Evidence:
    return Evidence(directory)


def opened(directory: Path | str) -> Evidence:
    """The evidence of a directory; the same object for all figures, so that what one has computed serves the others.

    Raises:
        FileNotFoundError: if there is no such directory.
        ValueError: if it is a file.
    """
    if Path(directory).is_file():
        raise ValueError(f"data must be a directory of evidence, as gva predictions run leaves it, got {directory}")
    return _opened(Path(directory).resolve())


def over_seeds(values: np.ndarray) -> list[Estimate]:
    """Means of (..., seeds) values over seeds with their t-intervals, the other axes flattened."""
    return [mean_estimate(row) for row in values.reshape(-1, values.shape[-1])]


def marks(axes: Axes, x: Sequence[float] | np.ndarray, found: Sequence[Estimate], **look: Any) -> None:
    """Points with upright intervals."""
    values = [np.array([getattr(estimate, name) for estimate in found]) for name in ("value", "low", "high")]
    points(axes, np.asarray(x, dtype=np.float64), *values, **look)


def seeds_in_words(run: xr.Dataset) -> str:
    """ "5 learner seeds (10 to 14)"."""
    seeds = run["seed"].values
    return f"{len(seeds)} learner seeds ({seeds.min()} to {seeds.max()})"

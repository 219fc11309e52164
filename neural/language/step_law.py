"""Hazard of a split against the norm of the update that made it, across raw iterates and averages of one run.

Were the distance of the parameters all that counts, the exponent would be 1 (`distance_law`). It is not where averages
move in other directions than raw iterates do: what then tells them apart is the change of the logits (`hazards`).
"""

from __future__ import annotations

import numpy as np
import xarray as xr

from neural.language.butterfly import neighbour_differences
from neural.language.distance_law import distance_exponent
from neural.statistics import Estimate


def step_exponents(
    dataset: xr.Dataset, which: str = "greedy", members: str = "consecutive", *, level: float = 0.95
) -> tuple[Estimate, Estimate]:
    """β of hazard ∝ (norm of the update)^β, across raw and all averages, and across the averages alone.

    Args:
        dataset: of a run, with `step_norm` (iterate, average).
        which, members: as of `butterfly`; the iterates must be one update apart.
        level: of the intervals.

    Returns:
        two estimates; NaN where fewer than two of the averages show a split, or a norm is not known.

    Raises:
        ValueError: if the iterates are not one update apart; as `neighbour_differences`.
    """
    first = neighbour_differences(dataset, which, members)
    chosen = dataset.isel(iterate=np.flatnonzero(dataset[members].values)).sortby("iterate")
    if np.any(np.diff(chosen["iterate"].values) != 1):
        raise ValueError(f"{members!r} must hold iterates one update apart, got {chosen['iterate'].values.tolist()}")
    norms = chosen["step_norm"].transpose("iterate", "average").values[1:].astype(np.float64)
    length = dataset.sizes["token"]
    return _exponent(first.values, length, norms, level), _exponent(first.values[:, 1:], length, norms[:, 1:], level)


def _exponent(first: np.ndarray, length: int, norms: np.ndarray, level: float) -> Estimate:
    if norms.shape[1] < 2 or not np.all(norms > 0):
        return Estimate(np.nan, np.nan, np.nan)
    return distance_exponent(first, length, norms, level=level)

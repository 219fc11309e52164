"""What a campaign says: per intervention the spread of reward, raw and averaged, and both against the base.

Spreads are divided by the expert's return over the same initial conditions, a denominator that no intervention moves:
dividing by a policy's own mean return would call one that always falls a wild one. Over several runs (tasks and seeds)
an estimate is their geometric mean, with a t interval of their logarithms: it speaks of training seeds. Of one run
there is only the bootstrap interval within it, which does not. Against the base, runs are paired by task and seed.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
import xarray as xr
from scipy.special import stdtrit

from gvatheory import validation
from neural.control.campaign_dataset import DIVERGED, DONE
from neural.control.catalogue_terms import BASE
from neural.statistics import WINDOWS, Estimate


@dataclasses.dataclass(frozen=True)
class InterventionSummary:
    """One intervention within one window, over the runs that finished.

    Attributes:
        intervention, family, average: names.
        runs, diverged: how many finished and how many diverged, of all tasks and seeds.
        mean_return: of raw and of the average, in units of the expert's return.
        raw, averaged: spread over iterates, in units of the expert's return.
        raw_loss, averaged_loss: std over iterates of the held-out loss / its mean, geometric mean over the runs.
        ratio: spread of raw / spread of the average.
        raw_against_base, averaged_against_base: the spreads divided by the base's.
    """

    intervention: str
    family: str
    average: str
    runs: int
    diverged: int
    mean_return: tuple[float, float]
    raw: Estimate
    averaged: Estimate
    raw_loss: float
    averaged_loss: float
    ratio: Estimate
    raw_against_base: Estimate
    averaged_against_base: Estimate


def summarise(dataset: xr.Dataset, window: str = "spaced", *, level: float = 0.95) -> list[InterventionSummary]:
    """One row per intervention, in the dataset's order; interventions without a run have NaN.

    Args:
        dataset: from `campaign_dataset.gather`, with the base among its interventions.
        window: "consecutive" or "spaced".
        level: of the intervals over several runs, in (0, 1); those within one run are of 95 %.

    Raises:
        ValueError: if the window is unknown, the level out of range, or the base missing.
    """
    if window not in WINDOWS:
        raise ValueError(f"window must be one of {WINDOWS}, got {window!r}")
    validation.real("level", level, 0.0, 1.0, open_low=True, open_high=True)
    names = [str(name) for name in dataset["intervention"].values]
    if BASE not in names:
        raise ValueError(f"the dataset must hold the intervention {BASE!r}, it has {names}")
    base = _spreads(dataset, names.index(BASE), window)
    return [_row(dataset, i, window, base, level) for i in range(len(names))]


Runs = dict[tuple[int, int], tuple[Estimate, Estimate]]
"""(task, seed) → spread of raw and of the average, in units of the expert's return."""


def _spreads(dataset: xr.Dataset, index: int, window: str) -> Runs:
    """Those of an intervention's finished runs."""
    one = dataset.isel(intervention=index).sel(window=window)
    scale = np.abs(dataset["expert_return"].values)
    values = one["spread"].transpose("task", "seed", "member").values
    bounds = one["spread_bounds"].transpose("task", "seed", "member", "bound").values
    found = {}
    for t, s in zip(*np.nonzero(one["status"].transpose("task", "seed").values == DONE), strict=True):
        pair = [Estimate(values[t, s, m] / scale[t], *(bounds[t, s, m] / scale[t])) for m in (0, 1)]
        if all(math.isfinite(estimate.value) for estimate in pair):
            found[int(t), int(s)] = pair[0], pair[1]
    return found


def _row(dataset: xr.Dataset, index: int, window: str, base: Runs, level: float) -> InterventionSummary:
    one = dataset.isel(intervention=index).sel(window=window)
    spreads = _spreads(dataset, index, window)
    raw, averaged = ([pair[m] for pair in spreads.values()] for m in (0, 1))
    paired = [key for key in spreads if key in base]
    against = [[_quotient(spreads[key][m], base[key][m]) for key in paired] for m in (0, 1)]
    ratios = [_ratio(one, *key) for key in spreads]
    losses = [_geometric([float(one["relative_loss_spread"][t, s, m]) for t, s in spreads]) for m in (0, 1)]
    scale = dataset["expert_return"].values
    means = [[float(one["mean_return"][t, s, m]) / scale[t] for t, s in spreads] for m in (0, 1)]
    return InterventionSummary(
        intervention=str(one["intervention"].values),
        family=str(one["family"].values),
        average=str(one["average_name"].values),
        runs=int(np.sum(one["status"].values == DONE)),
        diverged=int(np.sum(one["status"].values == DIVERGED)),
        mean_return=(_mean(means[0]), _mean(means[1])),
        raw=pooled(raw, level),
        averaged=pooled(averaged, level),
        raw_loss=losses[0],
        averaged_loss=losses[1],
        ratio=pooled(ratios, level),
        raw_against_base=pooled(against[0], level),
        averaged_against_base=pooled(against[1], level),
    )


def _ratio(one: xr.Dataset, t: int, s: int) -> Estimate:
    run = one.isel(task=t, seed=s).sel(member="average")
    return Estimate(float(run["ratio"]), *(float(bound) for bound in run["ratio_bounds"]))


def pooled(estimates: Sequence[Estimate], level: float = 0.95) -> Estimate:
    """Geometric mean of positive estimates from independent runs.

    Its interval is Student's for the mean of their logarithms; of one estimate, its own. Unless every value is positive
    and finite there is no interval, and zeros and infinities go into the mean as they are; NaN without any value.
    """
    if len(estimates) == 1:
        return estimates[0]
    values = np.array([estimate.value for estimate in estimates])
    centre = _geometric(list(values))
    if not np.all(np.isfinite(values) & (values > 0)) or len(values) == 0:
        return Estimate(centre, math.nan, math.nan)
    logs = np.log(values)
    n = len(logs)
    half = float(stdtrit(n - 1, 0.5 * (1.0 + level)) * logs.std(ddof=1) / math.sqrt(n))
    with np.errstate(over="ignore"):
        return Estimate(centre, float(centre * np.exp(-half)), float(centre * np.exp(half)))


def _quotient(above: Estimate, below: Estimate) -> Estimate:
    """Quotient of two positive estimates as if independent: half-widths add in squares, on the log scale."""
    if below.value == 0 or not all(e.value > 0 and e.low > 0 and math.isfinite(e.high) for e in (above, below)):
        value = math.nan if below.value == 0 else above.value / below.value
        return Estimate(value, math.nan, math.nan)
    value = above.value / below.value
    down = math.hypot(math.log(above.value / above.low), math.log(below.high / below.value))
    up = math.hypot(math.log(above.high / above.value), math.log(below.value / below.low))
    return Estimate(value, value * math.exp(-down), value * math.exp(min(up, 700.0)))


def _geometric(values: list[float]) -> float:
    """Geometric mean; 0 if one is 0; NaN of none."""
    if not values:
        return math.nan
    with np.errstate(divide="ignore"):
        return float(np.exp(np.mean(np.log(values))))


def _mean(values: list[float]) -> float:
    return float(np.mean(values)) if values else math.nan

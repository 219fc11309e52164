"""Butterfly measures over training seeds: what one run's intervals do not cover."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import xarray as xr

from neural.language.butterfly import AverageButterfly, butterfly
from neural.language.grammar_floor import story_mean
from neural.statistics import Estimate


@dataclasses.dataclass(frozen=True)
class SeedRow:
    """One average (or the raw iterates), means over seeds with t-intervals.

    Attributes:
        average: its name.
        differing: fraction of continuations that differ between neighbours.
        loss_change: median relative change of the validation loss between neighbours.
        gain: mean loss of raw less that of this, nats per token.
        hazard: splits per token at risk, mean of logarithms.
        ratio: of the predicted hazard to that seen, mean of logarithms.
    """

    average: str
    differing: Estimate
    loss_change: Estimate
    gain: Estimate
    hazard: Estimate
    ratio: Estimate


def over_seeds(
    runs: Sequence[xr.Dataset], which: str = "greedy", members: str = "consecutive", *, level: float = 0.95
) -> tuple[SeedRow, ...]:
    """Rows for raw and every average.

    Args:
        runs: datasets of at least two runs that differ in their seed.
        which, members: as of `butterfly`.
        level: of the intervals, Student's t with one degree of freedom less than there are seeds.

    Raises:
        ValueError: if there are fewer than two runs, or their averages differ; as `butterfly`.
    """
    if len(runs) < 2:
        raise ValueError(f"runs must be at least two, got {len(runs)}")
    found = [butterfly(run, which, members) for run in runs]
    names = [tuple(row.average for row in one.rows) for one in found]
    if len(set(names)) > 1:
        raise ValueError(f"runs must have the same averages, got {sorted(set(names))}")
    return tuple(_row([one[name] for one in found], level) for name in names[0])


def _row(rows: Sequence[AverageButterfly], level: float) -> SeedRow:
    def mean(values: Sequence[float]) -> Estimate:
        return story_mean(np.array(values)[:, None], level)

    def geometric(values: Sequence[float]) -> Estimate:
        if not all(value > 0 for value in values):  # a seed without a split, say
            return Estimate(np.nan, np.nan, np.nan)
        log = mean(np.log(values).tolist())
        return Estimate(*(float(np.exp(bound)) for bound in (log.value, log.low, log.high)))

    return SeedRow(
        average=rows[0].average,
        differing=mean([row.survival.differing.value for row in rows]),
        loss_change=mean([row.loss.median.value for row in rows]),
        gain=mean([row.loss.gain.value for row in rows]),
        hazard=geometric([row.hazard.hazard.value for row in rows]),
        ratio=geometric([row.hazard.ratio.value for row in rows]),
    )

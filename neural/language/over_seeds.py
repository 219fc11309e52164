"""Butterfly measures over training seeds: what one run's intervals do not cover."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import xarray as xr
from scipy.special import expit

from neural.language.butterfly import AverageButterfly, butterfly
from neural.statistics import Estimate, mean_estimate


@dataclasses.dataclass(frozen=True)
class SeedRow:
    """One average (or the raw iterates): means over seeds with t-intervals, of bounded quantities on another scale.

    Attributes:
        average: its name.
        differing: fraction of continuations that differ between neighbours, on the logit scale.
        loss_change: median relative change of the validation loss between neighbours, on the log scale.
        gain: mean loss of raw less that of this, nats per token.
        hazard: splits per token at risk, on the log scale.
        ratio: of the predicted hazard to that seen, on the log scale.
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
    cells = found[0].pairs * found[0].prompts
    return tuple(_row([one[name] for one in found], cells, level) for name in names[0])


def _row(rows: Sequence[AverageButterfly], cells: int, level: float) -> SeedRow:
    """`cells` is the number of continuations compared in each run."""

    def mean(values: Sequence[float]) -> Estimate:
        return mean_estimate(np.array(values), level)

    def geometric(values: Sequence[float]) -> Estimate:
        if not all(value > 0 for value in values):  # a seed without a split, say
            return Estimate(np.nan, np.nan, np.nan)
        log = mean(np.log(values).tolist())
        return Estimate(*(float(np.exp(bound)) for bound in (log.value, log.low, log.high)))

    def fraction(values: Sequence[float]) -> Estimate:
        # Half a continuation is added on either side, so that none or all of them have a logit.
        logit = mean([float(np.log((v * cells + 0.5) / ((1.0 - v) * cells + 0.5))) for v in values])
        return Estimate(*(float(expit(bound)) for bound in (logit.value, logit.low, logit.high)))

    return SeedRow(
        average=rows[0].average,
        differing=fraction([row.survival.differing.value for row in rows]),
        loss_change=geometric([row.loss.median.value for row in rows]),
        gain=mean([row.loss.gain.value for row in rows]),
        hazard=geometric([row.hazard.hazard.value for row in rows]),
        ratio=geometric([row.hazard.ratio.value for row in rows]),
    )

"""How little the validation loss moves from one iterate to its neighbour, and how much an average gains.

Losses of all iterates and averages are over the same windows, so that their differences are paired: what a window is
worth drops out, and the standard error of a change is that of its differences, far below that of the loss itself. The
intervals are over windows, which count as independent. They say what other windows would show of these very iterates;
nothing of other iterates, and nothing of other seeds.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from gvatheory import validation
from neural.statistics import RAW, Estimate, mean_estimate

_CHUNK = 4_000_000  # numbers held at a time while resampling


@dataclasses.dataclass(frozen=True)
class LossChange:
    """Of one average, or of the raw iterates.

    Attributes:
        median, largest: over neighbours, of |L' − L|/L. The interval resamples windows; noise of the windows raises
            every resampled value, so it is taken on the log scale, its median moved onto the estimate.
        standard_error: median over neighbours of the paired standard error of L' − L, over L: below it, a change
            is no more than the choice of windows.
        mean_loss: over iterates and windows, in nats per token.
        gain: mean loss of raw minus that of this, paired by windows; positive where the average is better.
    """

    median: Estimate
    largest: Estimate
    standard_error: float
    mean_loss: Estimate
    gain: Estimate


def loss_changes(
    window_loss: np.ndarray,
    *,
    level: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> tuple[LossChange, ...]:
    """Changes of the loss between neighbouring iterates, one result per average.

    Args:
        window_loss: (iterates, averages, windows) mean losses in nats per token of equally long windows, > 0; at least
            two iterates, the raw ones first among the averages, and two windows.
        level: of the intervals, in (0, 1).
        resamples: of the windows, ≥ 100.
        seed: of the resampling, ≥ 0.

    Raises:
        ValueError: naming the argument out of range.
    """
    losses = validation.array("window_loss", window_loss, 3)
    if losses.ndim != 3 or losses.shape[0] < 2 or losses.shape[1] < 1 or losses.shape[2] < 2:
        raise ValueError(
            f"window_loss must be (iterates, averages, windows) with at least 2 iterates and windows and {RAW!r}, "
            f"got shape {losses.shape}"
        )
    if not np.all(losses > 0):
        raise ValueError(f"window_loss must be positive, got {losses.min():g}")
    validation.real("level", level, 0.0, 1.0, open_low=True, open_high=True)
    validation.integer("resamples", resamples, 100)
    validation.integer("seed", seed, 0)
    windows = losses.shape[2]
    weights = np.random.default_rng(seed).multinomial(windows, np.full(windows, 1 / windows), size=resamples) / windows
    return tuple(_change(losses[:, j], losses[:, 0], weights, level) for j in range(losses.shape[1]))


def _change(losses: np.ndarray, raw: np.ndarray, weights: np.ndarray, level: float) -> LossChange:
    """Of (iterates, windows) losses; `weights` (B, windows)."""
    now = _relative(losses.mean(axis=1)[None])
    size = max(_CHUNK // losses.size, 1)
    again = np.concatenate([_relative(weights[i : i + size] @ losses.T) for i in range(0, len(weights), size)])
    errors = np.diff(losses, axis=0).std(axis=1, ddof=1) / math.sqrt(losses.shape[1]) / losses[:-1].mean(axis=1)
    return LossChange(
        median=_moved(float(np.median(now)), np.median(again, axis=1), level),
        largest=_moved(float(now.max()), again.max(axis=1), level),
        standard_error=float(np.median(errors)),
        mean_loss=mean_estimate(losses.mean(axis=0), level),
        gain=mean_estimate((raw - losses).mean(axis=0), level),
    )


def _relative(losses: np.ndarray) -> np.ndarray:
    """(B, iterates − 1) |L' − L|/L of (B, iterates) losses."""
    return np.abs(np.diff(losses, axis=1)) / losses[:, :-1]


def _moved(value: float, replicates: np.ndarray, level: float) -> Estimate:
    """Percentile interval on the log scale, its median moved onto the estimate; NaN where nothing changed."""
    if value == 0.0 or not np.all(replicates > 0):
        return Estimate(value, math.nan, math.nan)
    tail = 0.5 * (1.0 - level)
    low, middle, high = np.quantile(np.log(replicates), [tail, 0.5, 1.0 - tail])
    return Estimate(value, value * math.exp(low - middle), value * math.exp(high - middle))

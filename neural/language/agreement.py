"""Survival of agreement: how long the continuations of neighbouring iterates stay the same.

S(h) is the probability that the first h tokens agree, over pairs of neighbours × prompts. With D the position of the
first difference, S(h) = P(D ≥ h). Nothing is censored before the end T of the texts, so S is a plain proportion.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from gvatheory import validation
from neural.language.crossed_means import crossed_proportions
from neural.statistics import Estimate


@dataclasses.dataclass(frozen=True)
class Survival:
    """Result of `survival`.

    Attributes:
        agreeing: (T + 1,) S(h) for h = 0..T.
        low, high: (T + 1,) bounds of pointwise intervals.
        differing: fraction of continuations that differ within T tokens, 1 − S(T).
        median: of the first difference, counted from 0, infinite where most do not differ; its bounds are where those
            of S pass one half.
    """

    agreeing: np.ndarray
    low: np.ndarray
    high: np.ndarray
    differing: Estimate
    median: Estimate


def survival(first: np.ndarray, length: int, level: float = 0.95, block: int | None = None) -> Survival:
    """Survival of agreement from first differences, with intervals over prompts and pairs (`crossed_means`).

    Args:
        first: (pairs, prompts) positions of first differences, from 0 to length; neighbouring pairs side by side.
        length: T, tokens compared, ≥ 1.
        level: of the intervals, in (0, 1).
        block: pairs dependent on each other, as in `crossed_variance`; None for an estimate.

    Raises:
        ValueError: if an argument is out of range, or there are fewer than two prompts.
    """
    validation.integer("length", length, 1)
    validation.real("level", level, 0.0, 1.0, open_low=True, open_high=True)
    first = checked_first(first, length)
    agreeing, low, high = crossed_proportions(first[..., None] >= np.arange(length + 1), level, block)
    low[0] = high[0] = 1.0  # no token, no difference
    differing = Estimate(1.0 - float(agreeing[-1]), 1.0 - float(high[-1]), 1.0 - float(low[-1]))
    return Survival(agreeing, low, high, differing, Estimate(*(_half(curve) for curve in (agreeing, low, high))))


def checked_first(first: np.ndarray, length: int) -> np.ndarray:
    """`first`, if it is (pairs, prompts) whole numbers from 0 to length; ValueError otherwise."""
    first = np.asarray(first)
    if first.ndim != 2 or not np.issubdtype(first.dtype, np.integer):
        raise ValueError(f"first must be whole numbers (pairs, prompts), got {first.dtype} of shape {first.shape}")
    if first.size and not 0 <= first.min() <= first.max() <= length:
        raise ValueError(f"first must be from 0 to {length}, got {first.min()} to {first.max()}")
    return first


def _half(curve: np.ndarray) -> float:
    """Position of the token at which a curve over h = 0..T comes down to one half; infinite if it does not."""
    below = np.flatnonzero(curve <= 0.5)
    return float(below[0] - 1) if len(below) else math.inf

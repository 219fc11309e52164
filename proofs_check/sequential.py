"""Sampling that stops when the question is decided, with an interval that stays valid at every look.

A confidence sequence by the union bound: the k-th look may miss with probability rate/(k(k+1)), and Σ_k 1/(k(k+1)) = 1,
so that all intervals hold at once with probability 1 - rate, whenever the sampling stops. The sample size doubles from
look to look. A fixed-sample interval of :mod:`proofs_check.budget` does the work within a look.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Interval = tuple[float, float]


@dataclass(frozen=True)
class Estimate:
    """Intersection of all intervals so far, the number of samples behind it, and whether the question was decided."""

    interval: Interval
    count: int
    decided: bool


def sample_until(
    draw: Callable[[int], NDArray[np.float64]],
    interval: Callable[[NDArray[np.float64], float], Interval],
    decided: Callable[[Interval], bool],
    rate: float,
    first: int = 1_000,
    most: int = 1_000_000,
) -> Estimate:
    """Draw independent samples until the interval decides, or until ``most`` of them.

    Args:
        draw: n -> n fresh independent samples along the first axis.
        interval: (all samples so far, rate) -> interval that misses the truth with probability at most that rate.
        decided: whether an interval answers the question, e.g. lies on one side of a bound or is narrow enough. It must
            not look at anything but the interval.
        rate: probability that any of the intervals misses.
        first: samples at the first look, at least 2.
        most: samples at the last look; at least ``first``.

    Raises:
        ValueError: if ``first`` or ``most`` are out of range.
    """
    if not 2 <= first <= most:
        raise ValueError(f"need 2 <= first <= most, got first={first} and most={most}")
    samples = draw(first)
    low, high = -np.inf, np.inf
    look = 1
    while True:
        left, right = interval(samples, rate / (look * (look + 1)))
        low, high = max(low, left), min(high, right)
        done = decided((low, high))
        if done or len(samples) >= most:
            return Estimate((low, high), len(samples), done)
        samples = np.concatenate([samples, draw(min(len(samples), most - len(samples)))])
        look += 1


def narrow(width: float) -> Callable[[Interval], bool]:
    """Decided once the interval is at most this wide (for claims of equality, whose truth no interval proves)."""
    return lambda interval: interval[1] - interval[0] <= width


def beside(bound: float) -> Callable[[Interval], bool]:
    """Decided once the interval lies on one side of the bound (for claims of inequality)."""
    return lambda interval: interval[0] > bound or interval[1] < bound

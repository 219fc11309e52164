"""Runs of SGD and its EMA that start in their joint stationary law: no burn-in, every record has that law."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from proofs_check.routes import stationary_filters

Runs = NDArray[np.float64]


@dataclass(frozen=True)
class StationaryEMA:
    """Independent runs along one direction, both e and ẽ over the standard deviation of ẽ; k = ηλ."""

    k: float
    gamma: float

    @property
    def variance(self) -> float:
        """Variance of ẽ over σ²/λ²."""
        return float(stationary_filters.variance(*stationary_filters.training_filter(self.k, self.gamma)))

    def draw(self, count: int, rng: np.random.Generator) -> tuple[Runs, Runs]:
        """(e, ẽ) of independent runs."""
        last, total = self.k / (2 - self.k), self.variance
        cross = self.gamma * last / (1 - (1 - self.k) * (1 - self.gamma))
        now, rest = rng.standard_normal((2, count))
        average = cross / math.sqrt(last) * now + math.sqrt(max(total - cross**2 / last, 0.0)) * rest
        return math.sqrt(last / total) * now, average / math.sqrt(total)

    def step(self, now: Runs, average: Runs, rng: np.random.Generator) -> tuple[Runs, Runs]:
        """One step of each run."""
        now = (1 - self.k) * now - self.k / math.sqrt(self.variance) * rng.standard_normal(now.size)
        return now, average + self.gamma * (now - average)

    def fall_durations(self, u: float, count: int, longest: int, rng: np.random.Generator) -> Runs:
        """Lengths of the falls past u that begin at the first step of ``count`` runs, cut off at ``longest``."""
        before = self.draw(count, rng)
        now, average = self.step(*before, rng)
        begun = (before[1] <= u) & (average > u)
        now, average = now[begun], average[begun]
        lengths = []
        for length in range(1, longest + 1):
            now, average = self.step(now, average, rng)
            over = (average <= u) if length < longest else np.ones(now.size, dtype=bool)
            lengths.append(np.full(int(over.sum()), float(length)))
            now, average = now[~over], average[~over]
        return np.concatenate(lengths)

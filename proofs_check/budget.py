"""One false-alarm rate for the whole suite, and intervals that keep to it for every sample size.

The original claims are judged by at most :data:`MAX_ASSERTIONS` statistical assertions, each wrong with probability at
most :data:`ASSERTION_RATE`; by the union bound a suite of true statements fails with probability at most
:data:`FAMILY_RATE`, whatever the dependence between assertions. The intervals below hold for finite samples (no central
limit theorem), so that the rate is kept this far into the tails as well. Assertions on mutants have no share: rejecting
a false statement is not a false alarm.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import special

FAMILY_RATE = 1e-6
MAX_ASSERTIONS = 1000
ASSERTION_RATE = FAMILY_RATE / MAX_ASSERTIONS


def binomial_interval(successes: int, trials: int, rate: float) -> tuple[float, float]:
    """Clopper-Pearson interval of a probability from independent trials; misses it with probability <= rate."""
    if not 0 <= successes <= trials or trials < 1:
        raise ValueError(f"need 0 <= successes <= trials and trials >= 1, got {successes} of {trials}")
    tail = rate / 2
    low = special.betaincinv(successes, trials - successes + 1, tail) if successes else 0.0
    high = special.betainccinv(successes + 1, trials - successes, tail) if successes < trials else 1.0
    return float(low), float(high)


def bounded_mean_interval(samples: NDArray[np.float64], low: float, high: float, rate: float) -> tuple[float, float]:
    """Interval of the mean of independent samples with values in [low, high], by the empirical Bernstein inequality.

    Maurer and Pontil (2009, theorem 4), used once for each side: |mean - average| <= sqrt(2 V ln(4/rate)/n)
    + 7 (high - low) ln(4/rate)/(3(n-1)), with V the unbiased sample variance.

    Args:
        samples: shape (n,), n >= 2.
        low: lower end of the support.
        high: upper end of the support.
        rate: probability of missing the mean.

    Raises:
        ValueError: if a sample lies outside the support, or there are fewer than two.
    """
    n = samples.size
    if n < 2 or samples.min() < low or samples.max() > high:
        raise ValueError(f"need at least two samples in [{low}, {high}]")
    log = math.log(4 / rate)
    radius = math.sqrt(2 * samples.var(ddof=1) * log / n) + 7 * (high - low) * log / (3 * (n - 1))
    centre = float(samples.mean())
    return centre - radius, centre + radius


def gaussian_variance_interval(squares: float, count: int, rate: float) -> tuple[float, float]:
    """Interval of s² from the sum of squares of ``count`` independent N(0, s²) values (exact, by χ²)."""
    half = count / 2
    upper = 2 * special.gammainccinv(half, rate / 2)
    lower = 2 * special.gammaincinv(half, rate / 2)
    return float(squares / upper), float(squares / lower)


def gaussian_mean_interval(average: float, count: int, variance: float, rate: float) -> tuple[float, float]:
    """Interval of the mean of independent Gaussian values of the given variance (or an upper bound of it)."""
    radius = -float(special.ndtri(rate / 2)) * math.sqrt(variance / count)
    return average - radius, average + radius

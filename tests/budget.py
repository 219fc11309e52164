"""One false-alarm rate for every statistical assertion, from which its tolerance follows."""

import numpy as np
from scipy.special import ndtri

FALSE_ALARM = 1e-9
"""Probability that one assertion fails although the two sides agree."""

Z = float(-ndtri(FALSE_ALARM / 2))
"""Two-sided normal quantile of that rate, about 6.1."""


def assert_mean(samples: np.ndarray, expected: np.ndarray | float) -> None:
    """The sample mean (over axis 0) agrees with `expected` within the budget, coordinates shared out by Bonferroni."""
    samples = np.asarray(samples, dtype=np.float64)
    error = np.abs(samples.mean(axis=0) - expected)
    count = max(error.size, 1)
    quantile = -ndtri(FALSE_ALARM / 2 / count)
    allowed = quantile * samples.std(axis=0, ddof=1) / np.sqrt(len(samples))
    assert np.all(error <= allowed + 1e-13 * np.abs(expected)), f"off by {error}, allowed {allowed}"

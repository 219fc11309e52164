"""What the figures of the theory share: sizes by preset, seeds of the parts, intervals of simulated points."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy.special import ndtri
from scipy.stats import chi2

from gvatheory import validation

LEVEL = 0.95
"""Of every interval."""

Z = float(ndtri(0.5 * (1.0 + LEVEL)))


def preset_sizes(presets: Mapping[str, Mapping[str, Any]], preset: str, overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Sizes of a preset with some of them overridden.

    Raises:
        ValueError: if the preset or an override is unknown.
    """
    if preset not in presets:
        raise ValueError(f"preset must be one of {sorted(presets)}, got {preset!r}")
    if not overrides.keys() <= presets[preset].keys():
        raise ValueError(f"sizes may override {sorted(presets[preset])}, got {sorted(overrides)}")
    return {**presets[preset], **overrides}


def sizes_of(
    presets: Mapping[str, Mapping[str, int]], preset: str, overrides: Mapping[str, int], lowest: Mapping[str, int]
) -> dict[str, int]:
    """As `preset_sizes`, of whole numbers with a smallest value each.

    Raises:
        ValueError: also if a size is too small.
    """
    sizes = preset_sizes(presets, preset, overrides)
    for name, value in sizes.items():
        validation.integer(name, value, lowest[name])
    return sizes


def variance_interval(variance: np.ndarray, trials: int) -> tuple[np.ndarray, np.ndarray]:
    """Interval of the variance of `trials` normal samples from their sample variance (divisor trials − 1), by χ²."""
    freedom = trials - 1.0
    low, high = chi2.ppf((0.5 * (1.0 + LEVEL), 0.5 * (1.0 - LEVEL)), freedom)
    return variance * freedom / low, variance * freedom / high


def mean_interval(mean: np.ndarray, relative_error: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Interval of a positive mean, normal on the log scale."""
    return mean * np.exp(-Z * relative_error), mean * np.exp(Z * relative_error)


def stream(*place: int) -> int:
    """Seed of its own for a place in a figure: (the figure's seed, numbers of the panel and of the point)."""
    return int(np.random.SeedSequence(place).generate_state(1)[0])


def points(axes: Any, x: np.ndarray, simulated: Any, low: Any, high: Any, **look: Any) -> None:
    """Points with their intervals; NaN points are left out."""
    value = np.asarray(simulated)
    errors = np.maximum(np.stack([value - np.asarray(low), np.asarray(high) - value]), 0.0)
    axes.errorbar(x, value, errors, ls="none", **{"ms": 3.5, "capsize": 2, "lw": 1} | look)


def relative_error(samples: np.ndarray) -> np.ndarray:
    """Standard error of the mean of samples over the last axis, relative to the mean."""
    return samples.std(axis=-1, ddof=1) / np.sqrt(samples.shape[-1]) / np.abs(samples.mean(axis=-1))

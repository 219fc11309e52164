"""Rates fitted to counts: Poisson regression of two parameters by Fisher scoring, many at a time.

For exponential times, seen until they end or are cut, the counts of ends with the times at risk have just this
likelihood, whatever the cuts.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

LogRate = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
"""Of parameters (..., 2): log rates (..., K) and their derivatives (..., K, 2)."""


def power_law(x: np.ndarray) -> LogRate:
    """log λ = c + β x of parameters (c, β)."""
    design = np.stack([np.ones_like(x), x], axis=-1)

    def log_rate(parameters: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return parameters @ design.T, np.broadcast_to(design, (*parameters.shape[:-1], *design.shape))

    return log_rate


def linear_time(x: np.ndarray) -> LogRate:
    """1/λ linear in x, of parameters (log 1/λ at the least x, at the largest x), so that it is positive at every x."""
    w = (x - x.min()) / np.ptp(x)

    def log_rate(parameters: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        parts = np.exp(parameters[..., None, :]) * np.stack([1.0 - w, w], axis=-1)
        mean = parts.sum(axis=-1, keepdims=True)
        return -np.log(mean[..., 0]), -parts / mean

    return log_rate


def fit(
    counts: np.ndarray, exposure: np.ndarray, log_rate: LogRate, start: np.ndarray, weights: np.ndarray | None = None
) -> np.ndarray:
    """Parameters of largest likelihood, Σ w (s log λ − rλ).

    Args:
        counts, exposure: s and r, (..., K).
        log_rate: the law.
        start: (2,) first parameters.
        weights: w, (..., K) of 0 and 1; None for all.

    Returns:
        (..., 2); not finite or far out where the counts do not determine them.
    """
    weights = np.ones_like(exposure) if weights is None else np.broadcast_to(weights, exposure.shape)
    parameters = np.broadcast_to(start, (*exposure.shape[:-1], 2)).astype(np.float64)

    def likelihood(p: np.ndarray) -> np.ndarray:
        logs = log_rate(p)[0]
        return np.sum(weights * (counts * logs - exposure * np.exp(np.minimum(logs, 50.0))), axis=-1)

    best = likelihood(parameters)
    for _ in range(100):
        logs, slope = log_rate(parameters)
        expected = weights * exposure * np.exp(logs)
        score = np.einsum("...k,...kp->...p", weights * counts - expected, slope)
        information = np.einsum("...k,...kp,...kq->...pq", expected, slope, slope)
        information = information + 1e-12 * np.trace(information, axis1=-2, axis2=-1)[..., None, None] * np.eye(2)
        step = np.linalg.solve(information, score[..., None])[..., 0]
        step = step / np.maximum(np.abs(step).max(axis=-1, keepdims=True), 1.0)
        for _ in range(30):  # halve the steps that do not climb
            value = likelihood(parameters + step)
            bad = ~(value >= best - 1e-12 * np.abs(best))
            if not bad.any():
                break
            step = np.where(bad[..., None], 0.5 * step, step)
        parameters, best = parameters + step, likelihood(parameters + step)
        if np.abs(step).max() < 1e-10:
            break
    return parameters


def deviance(counts: np.ndarray, exposure: np.ndarray, log_rates: np.ndarray) -> np.ndarray:
    """2 (s log(s/(rλ)) − (s − rλ)), of each count: 0 where the rate is its own, ≥ 0."""
    expected = exposure * np.exp(log_rates)
    ratio = np.divide(counts, expected, out=np.ones_like(expected), where=counts > 0)
    return 2.0 * (counts * np.log(ratio) - (counts - expected))

"""Averages of SGD iterates behind a moving optimum, by recursion and by simulation.

Units: σ/λ = 1 (σ the noise of a batch's gradient), k = ηλ, and the optimum moves by v_t at step t = 1, 2, ..., the
gradient being taken before it moves: e_t = (1-k) e_{t-1} - v_t - k ξ_t. A lag is minus the mean error. Everything
starts at e_0 = 0, and the average at θ_0.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray


def averaged_law(k: Any, rate: Callable[[int], Any], drift: Callable[[int], Any], steps: int) -> tuple[Any, Any]:
    """Lag and variance of θ̃_T, with θ̃_t = (1-γ_t) θ̃_{t-1} + γ_t θ_t, in the arithmetic of the arguments.

    For k <= 1 only non-negative numbers are added, so that floats lose at most about ten roundings a step.

    Args:
        k: number or array.
        rate: t -> γ_t, number or array that broadcasts with k.
        drift: t -> v_t, likewise.
        steps: T >= 1.
    """
    lag = spread = average_lag = cross = average_spread = 0 * k
    for t in range(1, steps + 1):
        gamma, moved = rate(t), drift(t)
        lag = (1 - k) * lag + moved
        spread = (1 - k) ** 2 * spread + k * k
        carried = (1 - k) * cross
        average_lag = (1 - gamma) * (average_lag + moved) + gamma * lag
        average_spread = (1 - gamma) ** 2 * average_spread + 2 * gamma * (1 - gamma) * carried + gamma**2 * spread
        cross = (1 - gamma) * carried + gamma * spread
    return average_lag, average_spread


def power_law(alphas: Any, k: Any, slowing: Any, steps: int) -> tuple[Any, Any]:
    """Lag and variance of the averages γ_t = t^{-α} behind the drift v_t = t^{-β}, β = slowing, in floats."""
    logs = np.log(np.arange(1, steps + 1, dtype=float))
    alphas, slowing = np.asarray(alphas, dtype=float), np.asarray(slowing, dtype=float)
    k = np.asarray(k, dtype=float) + 0 * alphas
    return averaged_law(k, lambda t: np.exp(-alphas * logs[t - 1]), lambda t: np.exp(-slowing * logs[t - 1]), steps)


def ema_loss(s: Any, k: Any, best: Any) -> Any:
    """Stationary E ẽ²/v² of a constant EMA by its s = 1/k + 1/γ - 1, for v = (2 best^{3/2})^{-1}, so best = τ*."""
    p = k / (2 - k)
    return s**2 + 2 * best**3 * (1 + p**2 / (2 * s * p - 1)) / s


def best_reach(k: Any, best: Any, halvings: int) -> Any:
    """The s >= 1/k with the least loss, by bisection of its slope (the loss is convex in s)."""
    p = k / (2 - k)

    def slope(s: Any) -> Any:
        u = 2 * s * p - 1
        return s - best**3 / s**2 * (1 + p**2 / u + 2 * s * p**3 / u**2)

    low, high = 1 / k, 1 / k
    if slope(low) >= 0:
        return low
    while slope(high) < 0:
        high = 2 * high
    for _ in range(halvings):
        middle = (low + high) / 2
        low, high = (middle, high) if slope(middle) < 0 else (low, middle)
    return high


def local_errors(alphas: NDArray[Any], k: float, steps: int, lag: Any, spread: Any) -> list[tuple[str, float, float]]:
    """Where lag/T^α and 2 variance T^α are farthest from 1 on the scale T^{α-1} + T^{-α}/k: name, error and scale."""
    scale, worst = steps ** (alphas - 1) + steps**-alphas / k, []
    for name, ratio in (("lag", lag / steps**alphas), ("variance", 2 * spread * steps**alphas)):
        i = int(np.argmax(np.abs(ratio - 1) / scale))
        worst.append((f"{name}, α={alphas[i]:.4g}", float(abs(ratio[i] - 1)), float(scale[i])))
    return worst


def limit_cost() -> tuple[float, float]:
    """The most that α = min(1, ln τ*/ln T) costs as T -> ∞, as a share of the least loss, and z = τ*/T there.

    Loss 1/(g+1)² + 4z³g²/(2g-1) at g = max(1, 1/z) against the least one, on a fine grid of the minimising g.
    """
    g = 1 + np.geomspace(1e-6, 1000, 100_000)
    z = np.cbrt((2 * g - 1) ** 2 / (4 * g * (g - 1) * (g + 1) ** 3))
    ruled, least = (1 / (x + 1) ** 2 + 4 * z**3 * x**2 / (2 * x - 1) for x in (np.maximum(1, 1 / z), g))
    cost = ruled / least - 1
    worst = int(cost.argmax())
    return float(cost[worst]), float(z[worst])


def grid_minimum(grid: NDArray[Any], values: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Argument and value of the least of each row, the argument refined by a parabola through three neighbours."""
    i = np.clip(values.argmin(1), 1, len(grid) - 2)
    left, middle, right = (values[np.arange(len(i)), i + j] for j in (-1, 0, 1))
    refined = grid[i] + (grid[1] - grid[0]) / 2 * (left - right) / (left - 2 * middle + right)
    return np.clip(refined, grid[0], grid[-1]), values.min(1)


def simulate(
    k: float, gamma: float, drift: float, start: float, steps: int, runs: int, rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Errors e_T and ẽ_T of independent runs that really follow θ and θ*, from e_0 = start; shape (runs,) each."""
    optimum = 0.0
    iterate = np.full(runs, start)
    average = iterate.copy()
    for _ in range(steps):
        iterate = iterate - k * (iterate - optimum + rng.standard_normal(runs))
        optimum += drift
        average = (1 - gamma) * average + gamma * iterate
    return iterate - optimum, average - optimum

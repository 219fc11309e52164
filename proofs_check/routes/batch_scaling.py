"""SGD on spectra of curvature at every batch size: error of a constant step, largest stable step in regression.

Spectra are arrays of one entry per direction. Arithmetic is that of the arguments (floats, Fractions or mpmath numbers)
unless noted.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import mpmath
import numpy as np
from numpy.typing import NDArray

from proofs_check.routes import drift


@dataclass(frozen=True)
class Target:
    """A noisy quadratic and a target: Σ_i (weight · squared error) of SGD should come down to 1.

    Attributes:
        curvature: λ_i > 0.
        start: weight times e_{0,i}².
        noise: weight times the noise variance of one example.
    """

    curvature: Sequence[Any]
    start: Sequence[Any]
    noise: Sequence[Any]

    def error(self, step: Any, batch: Any, steps: int) -> Any:
        """The weighted squared error after ``steps`` steps, for step · λ != 2; ``step`` may be an array."""
        total = 0 * step
        for lam, start, noise in zip(self.curvature, self.start, self.noise, strict=True):
            kept = abs(1 - step * lam) ** (2 * steps)
            total = total + kept * start + step * noise / batch * (1 - kept) / (lam * (2 - step * lam))
        return total

    def least_error(self, batch: float, steps: int, grid: NDArray[np.float64]) -> float:
        """The least error after ``steps`` steps over the step sizes of the grid, and around the best of them."""
        with np.errstate(over="ignore"):  # unstable steps
            best = int(np.argmin(self.error(grid, batch, steps)))
            fine = np.linspace(grid[max(best - 1, 0)], grid[min(best + 1, len(grid) - 1)], 1001)
            least = float(self.error(fine, batch, steps).min())
        if math.isnan(least):
            raise ValueError(f"the grid must not hold a step size with step · λ = 2 exactly, λ = {self.curvature}")
        return least

    def enough(self, batch: Any, split: Any = 2) -> tuple[int, Any]:
        """⌈(ln(2R)/(2λ_min)) max(L, split·ν/b)⌉, enough steps for split = 2, and the step size that does it."""
        spread = sum(noise / lam for noise, lam in zip(self.noise, self.curvature, strict=True))
        slowest = max(max(self.curvature), split * spread / batch)
        return int(mpmath.ceil(mpmath.log(2 * sum(self.start)) * slowest / (2 * min(self.curvature)))), 1 / slowest

    def least(self, batch: float) -> float:
        """The larger of the lower bounds on the steps of any constant step size; 1 where there is none."""
        bound, top = 1.0, max(self.curvature)
        settled = any(lam == top and start >= 1 for lam, start in zip(self.curvature, self.start, strict=True))
        for lam, start, noise in zip(self.curvature, self.start, self.noise, strict=True):
            ratio = noise / (batch * lam**2)
            if start > 1 and ratio > 1 + 1e-9:
                bound = max(bound, math.log(start) / (4 * math.atanh(1 / ratio)))
            if start > 1 and settled and top > 2 * lam:
                bound = max(bound, math.log(start) / (-2 * math.log1p(-2 * lam / top)))
        return bound

    def fewest(self, batch: float, grid: NDArray[np.float64]) -> int:
        """The fewest steps, of at most 10⁹, at any step size of the grid; in floats."""
        low, high = 0, 1
        while high < 10**9 and self.least_error(batch, high, grid) > 1:
            low, high = high, 2 * high
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if self.least_error(batch, middle, grid) <= 1 else (middle, high)
        return high


def ema_variance(k: Any, gamma: Any) -> Any:
    """Stationary variance of an EMA in units of σ₁²/(λ²b); γ = 1 is SGD."""
    p, r = k / (2 - k), gamma / (2 - gamma)
    return p * r * (1 + p * r) / (p + r)


def mean_left(k: Any, gamma: Any, steps: int) -> Any:
    """The mean of ẽ_T over e_0, for k != γ."""
    return (gamma * (1 - k) ** (steps + 1) - k * (1 - gamma) ** (steps + 1)) / (gamma - k)


def ema_spread(k: Any, gamma: Any, steps: int) -> Any:
    """The EMA's variance after T steps from a fixed start, in units of σ₁²/(λ²b)."""
    return drift.averaged_law(k, lambda _: gamma, lambda _: 0, steps)[1]


def change(before: tuple[Any, Any, int], after: tuple[Any, Any, int], scale: int) -> tuple[Any, Any, Any, Any]:
    """What (k, γ, T) -> (k', γ', T') does to a run from a fixed start, as the batch grows by a factor of ``scale``.

    Returns:
        Loss of the mean of the EMA and of SGD (over e_0), gain of the EMA's variance (in units of σ₁²/(λ²b · scale)),
        and factor of SGD's variance.
    """
    (k, gamma, steps), (large, rate, fewer) = before, after
    lost = mean_left(k, gamma, steps) - mean_left(large, rate, fewer)
    alone = (1 - k) ** steps - (1 - large) ** fewer
    gained = ema_spread(large, rate, fewer) - scale * ema_spread(k, gamma, steps)
    spread, wide = (x / (2 - x) * (1 - (1 - x) ** (2 * t)) for x, t in ((k, steps), (large, fewer)))
    return lost, alone, gained, wide / (scale * spread)


def feedback(ratios: Sequence[Any], batch: Any, half: Any) -> Any:
    """κ at η = (2/λ_max) b/(b + c), for ratios λ_i/λ_max and c = half > 1."""
    return sum(ratio / (batch + half - ratio * (batch + 1)) for ratio in ratios)


def half_saturation(ratios: Sequence[float], batch: float) -> float:
    """The c > 1 at which κ = 1, in floats: κ falls with c, from infinity to 0."""
    low, high = 1.0, 2.0 + sum(ratios)
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if feedback(ratios, batch, middle) > 1 else (low, middle)
    return high


def moment_matrix(eigenvalues: Sequence[Any], step: Any, batch: Any) -> NDArray[Any]:
    """One step of the diagonal of E[e eᵀ] in regression on fresh N(0, Σ) examples without label noise, as a matrix."""
    lam = np.array(eigenvalues)
    kept = 1 - 2 * step * lam + step**2 * lam**2 * (batch + 1) / batch
    return np.diag(kept) + step**2 / batch * np.outer(lam, lam)


def sampled_moments(eigenvalues: Sequence[Fraction], step: Fraction, batch: int) -> NDArray[Any]:
    """The same matrix from the gradients themselves: Gauss-Hermite nodes 0, ±√3, exact for moments of order 4.

    By symmetry only even powers of each node matter, so that everything but the nodes' signs stays rational.

    Args:
        eigenvalues: of Σ, two or more.
        step: η.
        batch: 1 or 2 (the number of nodes grows as 3^{d b}).
    """
    size = len(eigenvalues)
    out = np.array([[Fraction(0)] * size for _ in range(size)], dtype=object)
    nodes = [(0, Fraction(2, 3)), (1, Fraction(1, 6)), (-1, Fraction(1, 6))]
    for draw in itertools.product(nodes, repeat=size * batch):
        weight = math.prod((w for _, w in draw), start=Fraction(1))
        signs = np.array([s for s, _ in draw]).reshape(batch, size)
        # x_i = √(3 λ_i) sign_i, hence (1/b) Σ x_i x_j = √(λ_i λ_j) · 3 Σ signs/b; its square is rational.
        gram = signs.T @ signs
        for i, j in itertools.product(range(size), repeat=2):
            scaled = step * Fraction(3 * int(gram[i, j]), batch)
            square = scaled**2 * eigenvalues[i] * eigenvalues[j]
            out[i, j] += weight * ((1 - scaled * eigenvalues[i]) ** 2 if i == j else square)
    return out


def simulate(
    k: float, gamma: float, batch: int, steps: int, start: float, runs: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """EMA errors ẽ_T of independent runs of SGD whose gradients average ``batch`` examples of noise σ₁/λ = 1."""
    error = np.full(runs, start)
    average = error.copy()
    for _ in range(steps):
        error = (1 - k) * error - k * rng.standard_normal((batch, runs)).mean(0)
        average = (1 - gamma) * average + gamma * error
    return average

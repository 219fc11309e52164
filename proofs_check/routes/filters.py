"""SGD on an isotropic quadratic and averages of it, by second-moment recursions and by simulation.

Units: errors over the cliff's radius ε, so that E‖error‖² = 1 is the edge. N = dσ²/(λ²ε²) is the noise, R = ‖e_0‖²/ε²
the start, k = ηλ the step: e_{t+1} = (1-k) e_t - noise of total variance N k². The recursions work in the arithmetic
of their arguments, floats or Fractions.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from proofs_check.budget import gaussian_mean_interval, gaussian_variance_interval


def sgd_error(noise: Any, start: Any, k: Any, steps: int) -> Any:
    """E‖e_T‖² by its recursion."""
    error = start
    for _ in range(steps):
        error = (1 - k) ** 2 * error + noise * k**2
    return error


def sgd_closed_form(noise: Any, start: Any, k: Any, steps: Any) -> Any:
    """E‖e_T‖² without the recursion."""
    floor = noise * k / (2 - k)
    return abs(1 - k) ** (2 * steps) * (start - floor) + floor


def ema_error(noise: Any, start: Any, k: Any, gamma: Any, steps: int) -> Any:
    """E‖ẽ_T‖² of the constant EMA with ẽ_0 = e_0, by the joint recursion of E‖e‖², E⟨e, ẽ⟩ and E‖ẽ‖²."""
    square = cross = error = start
    for _ in range(steps):
        moved = (1 - k) * cross
        square = (1 - k) ** 2 * square + noise * k**2
        error = (1 - gamma) ** 2 * error + 2 * gamma * (1 - gamma) * moved + gamma**2 * square
        cross = (1 - gamma) * moved + gamma * square
    return error


def polyak_error(noise: Any, start: Any, k: Any, steps: int) -> Any:
    """E‖ẽ_T‖² of (θ_1 + ... + θ_T)/T, from the weight of the start and of each noise term in the average."""
    weight, bias, variance = 1 + 0 * k, 0 * k, 0 * k
    reach = 0 * k  # 1 + a + ... + a^{n-1}
    for _ in range(steps):
        reach = reach + weight
        weight = weight * (1 - k)
        bias = bias + weight
        variance = variance + reach**2
    return (start * bias**2 + noise * k**2 * variance) / (steps * steps)


def simulate(
    dimension: int, noise: float, start: float, k: float, steps: int, runs: int, rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Last iterate and Polyak average of independent runs, shapes (runs, dimension); e_0 is on the first axis."""
    error = np.zeros((runs, dimension))
    error[:, 0] = np.sqrt(start)
    total = np.zeros_like(error)
    scale = k * np.sqrt(noise / dimension)
    for _ in range(steps):
        error = (1 - k) * error - scale * rng.standard_normal(error.shape)
        total += error
    return error, total / steps


def squared_error_interval(errors: NDArray[np.float64], rate: float) -> tuple[float, float]:
    """Interval of E‖error‖² for independent Gaussian errors with one variance and a mean on the first axis.

    Half the rate goes to the variance, from the centred coordinates, the other half to the mean.

    Args:
        errors: shape (runs, dimension), dimension >= 2.
        rate: probability of missing the expectation.
    """
    runs, dimension = errors.shape
    centred = errors[:, 1:]
    low, high = gaussian_variance_interval(float((centred**2).sum()), centred.size, rate / 2)
    left, right = gaussian_mean_interval(float(errors[:, 0].mean()), runs, high, rate / 2)
    least = 0.0 if left <= 0 <= right else min(left**2, right**2)
    return dimension * low + least, dimension * high + max(left**2, right**2)

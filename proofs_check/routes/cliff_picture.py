"""The picture of proposition 4.1: steps until safe, against the noise."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from proofs_check.pictures import Picture, series


def steps_until_safe(noise: float, start: float) -> int:
    """Least T for which some constant step makes E‖e_T‖² <= ε², by bisection over T and a fine grid of steps."""
    k = np.geomspace(0.02, 2, 4000) / (noise + 1)
    floor = noise * k / (2 - k)

    def safe(steps: int) -> bool:
        return bool((np.exp(2 * steps * np.log1p(-k)) * (start - floor) + floor <= 1).any())

    low, high = 0, 1
    while not safe(high):
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if safe(middle) else (middle, high)
    return high


def picture(sgd_lower: Callable[[float, float], float], polyak_steps: Callable[[int, float, float], int]) -> Picture:
    """Steps against N at R = 10⁴.

    Args:
        sgd_lower: (N, R) -> the claimed lower bound of SGD's steps.
        polyak_steps: (d, N, p) -> the claimed steps of Polyak averaging for P(fall) <= p.
    """
    start, noise = 1e4, np.geomspace(2, 2000, 25)
    shares = np.linspace(0.05, 0.999, 400)
    upper = [math.ceil((n / (4 * shares) * np.log(start / (1 - shares))).min()) for n in noise]
    curves = (
        series("SGD, best constant step", "truth", noise, [steps_until_safe(n, start) for n in noise]),
        series("Polyak at $k = 1$, safe in mean square", "truth", noise, np.ceil(noise)),
        series("SGD's lower bound", "claim", noise, [sgd_lower(n, start) for n in noise]),
        series("SGD's upper bound", "claim", noise, upper),
        series("Polyak, P(fall) ≤ 1 %, d = 10", "claim", noise, [polyak_steps(10, n, 0.01) for n in noise]),
    )
    caption = (
        r"Steps until the error is inside the cliff's ball, against the noise "
        r"$N = d\sigma^2/(\lambda^2\varepsilon^2)$, from $R = \|e_0\|^2/\varepsilon^2 = 10^4$. "
        r"SGD pays the logarithm $\ln R/4$, an average at a large step does not."
    )
    return Picture("noise N", "steps T", curves, caption, x_log=True, y_log=True)

"""First two moments of SGD or heavy ball and of a recursive average, by one recursion of the joint state.

The state is (e_t, e_{t-1}, ẽ_t). It is the slow and plain route: no eigenbasis, no closed form, any noise. The
recursion works in the arithmetic of its arguments, floats or object arrays of Fractions.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Noise:
    """Covariance of a batch's gradient noise given the second moment M of the error: S + m (ΛMΛ + tr(ΛM) Λ).

    Attributes:
        hessian: Λ, (d, d).
        additive: S, (d, d): of the labels σ₁²Λ/b in regression.
        multiplicative: m: 1/b in linear regression on Gaussian features, 0 on a quadratic.
    """

    hessian: Matrix
    additive: Matrix
    multiplicative: Any = 0

    def __call__(self, second: Matrix, share: Any = 1) -> Matrix:
        """The covariance at M, its additive part times ``share``."""
        additive = share * self.additive
        if not self.multiplicative:
            return additive
        moved = self.hessian @ second
        return additive + self.multiplicative * (moved @ self.hessian + np.trace(moved) * self.hessian)


@dataclass(frozen=True, eq=False)
class Moments:
    """Means, (d,), and covariances, (d, d), of the iterate's error and of the average's."""

    mean: Matrix
    covariance: Matrix
    average_mean: Matrix
    average_covariance: Matrix


def averaged_moments(
    noise: Noise,
    steps: Sequence[Any] | Matrix,
    rates: Sequence[Any] | Matrix,
    start: Matrix,
    momentum: Any = 0,
    shares: Sequence[Any] | None = None,
) -> Iterator[Moments]:
    """Moments after each step t = 1..T, with ẽ_0 = e_0 = e_{-1}, a deterministic start.

    Args:
        noise: the problem.
        steps: η_0..η_{T-1}.
        rates: γ_1..γ_T.
        start: e_0, (d,).
        momentum: μ of heavy ball, e_{t+1} = e_t - η_t g_t + μ(e_t - e_{t-1}); 0 is SGD.
        shares: factors of the additive noise, one per step; all 1 if not given.
    """
    d = len(start)
    unit = np.eye(d, dtype=int)
    map_, reach = (np.zeros(shape, dtype=start.dtype) for shape in ((3 * d, 3 * d), (3 * d, d)))
    map_[d : 2 * d, :d] = unit
    mean = np.concatenate([start] * 3)
    covariance = 0 * np.multiply.outer(mean, mean)
    for t, (step, rate) in enumerate(zip(steps, rates, strict=True)):
        moved = (1 + momentum) * unit - step * noise.hessian
        map_[:d, :d], map_[2 * d :, :d], map_[2 * d :, 2 * d :] = moved, rate * moved, (1 - rate) * unit
        if momentum:
            map_[:d, d : 2 * d], map_[2 * d :, d : 2 * d] = -momentum * unit, -rate * momentum * unit
        reach[:d], reach[2 * d :] = step * unit, rate * step * unit
        second = covariance[:d, :d] + np.multiply.outer(mean[:d], mean[:d])
        kick = noise(second, 1 if shares is None else shares[t])
        mean = map_ @ mean
        covariance = map_ @ covariance @ map_.T + reach @ kick @ reach.T
        yield Moments(mean[:d], covariance[:d, :d], mean[2 * d :], covariance[2 * d :, 2 * d :])


def simulate(
    steps: NDArray[np.float64], rates: NDArray[np.float64], start: float, count: int, rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Errors of the last iterate and of the average over independent runs of SGD, shapes (count,); λ = σ = 1."""
    error = np.full(count, start)
    average = error.copy()
    for k, gamma in zip(steps, rates, strict=True):
        error = (1 - k) * error - k * rng.standard_normal(count)
        average += gamma * (error - average)
    return error, average

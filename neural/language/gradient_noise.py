"""Gradient-noise scale of a language model, from the inner products of the gradients of a few windows."""

from __future__ import annotations

import dataclasses

import numpy as np

from neural.jackknife import standard_error


@dataclasses.dataclass(frozen=True)
class NoiseScale:
    """Result of `noise_scale`, with standard errors from leaving out one window at a time.

    Attributes:
        trace: of the covariance of one window's gradient.
        square: |∇L|², the squared norm of the mean gradient, freed of the noise in it; the estimate may be negative.
        scale: trace / square: the batch, in windows, whose noise is as large as its signal (McCandlish et al. 2018).
        errors: of trace, square and scale; the last, of a ratio, is of use only where `square` is far from zero.
    """

    trace: float
    square: float
    scale: float
    errors: tuple[float, float, float]


def noise_scale(products: np.ndarray) -> NoiseScale:
    """From the inner products (n, n) of the gradients of n ≥ 3 windows.

    The mean product of two different windows' gradients is |∇L|² without bias, that of a window's with itself is
    larger by the trace.

    Raises:
        ValueError: naming a shape that is not square, or too small.
    """
    if products.ndim != 2 or products.shape[0] != products.shape[1] or len(products) < 3:
        raise ValueError(f"products must have shape (n, n) with n ≥ 3, got {products.shape}")
    rest = [np.delete(np.delete(products, i, axis=0), i, axis=1) for i in range(len(products))]
    trace, square, scale = _estimates(products)
    errors = standard_error(np.array([_estimates(one) for one in rest]))
    return NoiseScale(trace, square, scale, (float(errors[0]), float(errors[1]), float(errors[2])))


def _estimates(products: np.ndarray) -> tuple[float, float, float]:
    n = len(products)
    own, all_pairs = float(np.trace(products)), float(products.sum())
    square = (all_pairs - own) / (n * (n - 1))
    trace = own / n - square
    return trace, square, trace / square if square else np.inf

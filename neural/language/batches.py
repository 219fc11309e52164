"""Windows of a token sequence: random ones for training, fixed ones for validation.

The windows of an update depend on the seed and the update's index alone, by a counter-based generator (Philox; Salmon
et al. 2011), so that a run resumed at any update sees what it would have seen.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from gvatheory import validation

LAST_SEED = 2**62 - 2
"""Largest seed of a run: those above it are kept for what is measured."""
NOISE_SEED = LAST_SEED + 1
"""Of the training windows that the noise scale is measured on."""


def batches(tokens: np.ndarray, length: int, batch_size: int, seed: int) -> Callable[[int], np.ndarray]:
    """Random windows for every update.

    Each window starts anywhere, with equal probability and independently, and may run over the end of a document.
    The raw stream of the generator is used, which NumPy keeps across versions, unlike its distributions.

    Args:
        tokens: (N,) ids, possibly memory-mapped: only the windows are read.
        length: tokens to predict per window, 1 ≤ length ≤ N − 1.
        batch_size: windows per update, ≥ 1.
        seed: 0 ≤ seed < 2⁶⁴.

    Returns:
        a function of the update index t ≥ 0 to (batch_size, length + 1) int64 ids: inputs are the first `length`
        columns, targets the last `length`.

    Raises:
        ValueError: if an argument is out of range, at once or by the returned function.
    """
    _require_windows(tokens, length)
    validation.integer("batch_size", batch_size, 1)
    validation.integer("seed", seed, 0, 2**64 - 1)
    places = np.uint64(len(tokens) - length)

    def batch(update: int) -> np.ndarray:
        validation.integer("update", update, 0, 2**64 - 1)
        # The last word of the counter is out of reach of the draws of any one update. The remainder favours low
        # starts by less than places/2⁶⁴.
        raw = np.random.Philox(key=np.array([seed, 0], np.uint64), counter=np.array([0, 0, 0, update], np.uint64))
        return _windows(tokens, (raw.random_raw(batch_size) % places).astype(np.int64), length)

    return batch


def validation_windows(tokens: np.ndarray, length: int, count: int | None = None) -> np.ndarray:
    """Windows that do not overlap, spread evenly over the tokens: always the same ones.

    Args:
        tokens: (N,) ids.
        length: tokens to predict per window, 1 ≤ length ≤ N − 1.
        count: number of windows, from 1 to ⌊N/(length + 1)⌋; None for all of those.

    Returns:
        (count, length + 1) int64 ids.

    Raises:
        ValueError: if length or count is out of range.
    """
    _require_windows(tokens, length)
    most = len(tokens) // (length + 1)
    if count is None:
        count = most
    validation.integer("count", count, 1, most)
    return _windows(tokens, np.arange(count) * most // count * (length + 1), length)


def _windows(tokens: np.ndarray, starts: np.ndarray, length: int) -> np.ndarray:
    return tokens[starts[:, None] + np.arange(length + 1)].astype(np.int64)


def _require_windows(tokens: np.ndarray, length: int) -> None:
    if tokens.ndim != 1 or not np.issubdtype(tokens.dtype, np.integer):
        raise ValueError(f"tokens must be a vector of integers, got {tokens.dtype} of shape {tokens.shape}")
    validation.integer("length", length, 1)
    if length > len(tokens) - 1:
        raise ValueError(f"length must be at most {len(tokens) - 1} with {len(tokens)} tokens, got {length}")

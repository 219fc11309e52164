"""How two continuations differ: where they first do, and how many edits are between them, at every horizon.

The position of the first difference says when two models part, the edit distance how far apart they end: texts that
differ by one inserted word and then agree again are one edit apart, though they differ at nearly every position.
"""

from __future__ import annotations

import numpy as np

_PAIRS = 256  # at a time: three diagonals of int16 then stay in the cache


def first_difference(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Position of the first token that differs, from 0; T if none does.

    Args:
        a, b: (..., T) token ids, whose leading dimensions broadcast.

    Returns:
        (...) int64, from 0 to T: the number of leading tokens that agree.

    Raises:
        ValueError: if they are not whole numbers or not equally long.
    """
    a, b = _checked(a, b)
    return _leading(a != b)


def edit_distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Levenshtein distances D_h between the first h tokens of each, for every h from one table.

    D_h is the least number of insertions, deletions and substitutions that turn one into the other, from 0 to h, and
    D_h/h the normalised distance. The table of all prefixes is filled antidiagonal by antidiagonal, whose cells are
    independent (Wagner & Fischer 1974 for the recursion); D_h are the cells where the prefixes are equally long. It
    takes T² steps a pair, however alike they are.

    Args:
        a, b: (..., T) token ids, whose leading dimensions broadcast.

    Returns:
        (..., T + 1) int32, D_0 = 0 first; neighbouring values differ by at most 1.

    Raises:
        ValueError: if they are not whole numbers or not equally long.
    """
    a, b = np.broadcast_arrays(*_checked(a, b))
    length = a.shape[-1]
    rows, columns = (x.reshape(-1, length) for x in (a, b))
    out = np.empty((len(rows), length + 1), dtype=np.int32)
    for i in range(0, len(rows), _PAIRS):
        part = slice(i, i + _PAIRS)
        out[part] = _diagonal(rows[part].T, columns[part].T).T
    return out.reshape(*a.shape[:-1], length + 1)


def _leading(differs: np.ndarray) -> np.ndarray:
    """(...) number of leading values of (..., T) that are False."""
    length = differs.shape[-1]
    return (
        np.where(differs.any(axis=-1), differs.argmax(axis=-1), length) if length else np.zeros(differs.shape[:-1], int)
    )


def _diagonal(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(T + 1, n) distances of equally long prefixes of the columns of (T, n) ids."""
    length, n = a.shape
    small = np.int16 if 2 * length < np.iinfo(np.int16).max else np.int32
    a, backwards = np.ascontiguousarray(a), np.ascontiguousarray(b[::-1])
    out = np.zeros((length + 1, n), dtype=small)
    # Row i of a diagonal k holds the distance of the first i tokens of a and the first k − i of b.
    before, last, new = (np.zeros((length + 1, n), dtype=small) for _ in range(3))
    for k in range(1, 2 * length + 1):
        low, high = max(1, k - length), min(length, k - 1)  # rows with a token of either
        inner = new[low : high + 1]
        np.minimum(last[low - 1 : high], last[low : high + 1], out=inner)
        inner += 1
        start = length - k + low  # of b backwards, for token k − i − 1
        unlike = a[low - 1 : high] != backwards[start : start + high - low + 1]
        np.minimum(inner, before[low - 1 : high] + unlike, out=inner)
        if k <= length:
            new[0] = new[k] = k
        if k % 2 == 0:
            out[k // 2] = new[k // 2]
        before, last, new = last, new, before
    return out


def _checked(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    a, b = np.asarray(a), np.asarray(b)
    for name, ids in {"a": a, "b": b}.items():
        if ids.ndim == 0 or not np.issubdtype(ids.dtype, np.integer):
            raise ValueError(f"{name} must be whole numbers (..., T), got {ids.dtype} of shape {ids.shape}")
    if a.shape[-1] != b.shape[-1]:
        raise ValueError(f"a and b must be equally long, got {a.shape[-1]} and {b.shape[-1]} tokens")
    return a, b

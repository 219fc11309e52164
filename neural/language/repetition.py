"""How much a text repeats itself: n-grams said before, and the loop in which greedy texts like to end.

Distinct-n is the share of distinct n-grams among all of a text (Li et al. 2016); what is left to one is the share of
n-grams said before. Both depend on the length of the text, so that only equal horizons compare.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from gvatheory import validation
from neural.language.edit_distance import first_difference


@dataclasses.dataclass(frozen=True)
class FinalLoops:
    """Result of `final_loops`.

    Attributes:
        start: (...) first position from which the text has the period, T if it ends in no loop.
        period: (...) least period of the loop in tokens, 0 if there is none.
    """

    start: np.ndarray
    period: np.ndarray


def distinct_ngrams(tokens: np.ndarray, n: int) -> np.ndarray:
    """Distinct-n of the first h tokens, for every h from n on; one minus it is the share of n-grams said before.

    Args:
        tokens: (..., T) ids.
        n: length of the n-grams, from 1 to T.

    Returns:
        (..., T − n + 1) in (0, 1], that of h = n first and of the whole text last.

    Raises:
        ValueError: if n is out of range, or tokens are no whole numbers.
    """
    tokens = _checked(tokens)
    validation.integer("n", n, 1, tokens.shape[-1])
    places = tokens.shape[-1] - n + 1
    code = _ngram_codes(tokens, n)
    order = np.argsort(code, axis=-1, kind="stable")
    ordered = np.take_along_axis(code, order, axis=-1)
    fresh = np.ones(code.shape, dtype=bool)  # of equal codes, the earliest
    fresh[..., 1:] = ordered[..., 1:] != ordered[..., :-1]
    new = np.empty_like(fresh)
    np.put_along_axis(new, order, fresh, axis=-1)
    return np.cumsum(new, axis=-1) / np.arange(1, places + 1)


def final_loops(tokens: np.ndarray, repeats: int = 3) -> FinalLoops:
    """The loop each text ends in: the longest periodic end that holds its period at least `repeats` times.

    Of periods that give equally long ends, the least. A text cut soon after it began to loop shows no loop yet.

    Args:
        tokens: (..., T) ids.
        repeats: how often the period must be said, whole or in part beyond that; from 2 on.

    Raises:
        ValueError: if repeats is out of range, or tokens are no whole numbers.
    """
    tokens = _checked(tokens)
    validation.integer("repeats", repeats, 2)
    length = tokens.shape[-1]
    backwards = tokens[..., ::-1]
    start, period = (np.full(tokens.shape[:-1], fill) for fill in (length, 0))
    for p in range(1, length // repeats + 1):
        # As many tokens from the end equal the one a period earlier.
        end = first_difference(backwards[..., p:], backwards[..., :-p]) + p
        better = (end >= repeats * p) & (length - end < start)
        start, period = np.where(better, length - end, start), np.where(better, p, period)
    return FinalLoops(start, period)


def _ngram_codes(tokens: np.ndarray, n: int) -> np.ndarray:
    """(..., T − n + 1) int64, the same for equal n-grams and different for others."""
    places = tokens.shape[-1] - n + 1
    digits = np.unique(tokens, return_inverse=True)[1].reshape(tokens.shape)
    base = int(digits.max(initial=0)) + 1
    code, size = digits[..., :places], base
    for shift in range(1, n):
        if size * base > np.iinfo(np.int64).max:  # numbered anew, so that codes never overflow
            code = np.unique(code, return_inverse=True)[1].reshape(code.shape)
            size = int(code.max()) + 1
        code, size = code * base + digits[..., shift : shift + places], size * base
    return code


def _checked(tokens: np.ndarray) -> np.ndarray:
    tokens = np.asarray(tokens)
    if tokens.ndim == 0 or not np.issubdtype(tokens.dtype, np.integer):
        raise ValueError(f"tokens must be whole numbers (..., T), got {tokens.dtype} of shape {tokens.shape}")
    return tokens

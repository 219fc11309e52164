"""Differences and repetitions of token sequences, against definitions written out one text at a time."""

import functools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from neural.language.edit_distance import edit_distances, first_difference
from neural.language.repetition import distinct_ngrams, final_loops

PAIRS = hnp.arrays(np.int32, st.tuples(st.just(2), st.integers(1, 4), st.integers(1, 9)), elements=st.integers(0, 2))


def levenshtein(a: tuple[int, ...], b: tuple[int, ...]) -> int:
    @functools.cache
    def distance(i: int, j: int) -> int:
        if i == 0 or j == 0:
            return i + j
        return min(
            distance(i - 1, j) + 1,
            distance(i, j - 1) + 1,
            distance(i - 1, j - 1) + (a[i - 1] != b[j - 1]),
        )

    return distance(len(a), len(b))


@given(PAIRS)
def test_edit_distances_are_those_of_the_recursion_at_every_horizon(pair) -> None:
    found = edit_distances(*pair)
    for a, b, distances in zip(*pair, found, strict=True):
        assert distances.tolist() == [levenshtein(tuple(a[:h]), tuple(b[:h])) for h in range(len(a) + 1)]


@given(hnp.arrays(np.int64, st.tuples(st.just(3), st.integers(1, 30)), elements=st.integers(0, 3)))
def test_edit_distance_is_a_metric_that_moves_by_at_most_one(texts) -> None:
    d = edit_distances(texts[:, None], texts[None])
    np.testing.assert_array_equal(d, d.transpose(1, 0, 2))
    assert np.all(np.abs(np.diff(d, axis=-1)) <= 1)
    assert np.all((d[..., -1] == 0) == (texts[:, None] == texts[None]).all(axis=-1))
    assert np.all(d[:, None] <= d[:, :, None] + d[None])
    assert np.all(d[..., -1] <= (texts[:, None] != texts[None]).sum(axis=-1))


def test_a_word_too_many_is_one_edit_in_and_one_out() -> None:
    a, b = np.arange(1000), np.arange(-1, 999)
    assert edit_distances(a, b)[[0, 1, 2, 1000]].tolist() == [0, 1, 2, 2]
    # More pairs than are taken at a time, and two leading dimensions.
    many = np.random.default_rng(0).integers(0, 2, (3, 200, 6))
    one_by_one = [[edit_distances(x, y) for x, y in zip(row, many[0], strict=True)] for row in many]
    np.testing.assert_array_equal(edit_distances(many, many[0]), one_by_one)


@given(PAIRS)
def test_first_difference_is_the_length_of_the_common_beginning(pair) -> None:
    for a, b, first in zip(*pair, first_difference(*pair), strict=True):
        np.testing.assert_array_equal(a[:first], b[:first])
        assert first == len(a) or a[first] != b[first]
    assert first_difference(pair[0], pair[0]).tolist() == [pair.shape[2]] * pair.shape[1]


@pytest.mark.parametrize("function", [first_difference, edit_distances])
def test_texts_out_of_range(function) -> None:
    with pytest.raises(ValueError, match=r"a must be whole numbers .* float64"):
        function(np.zeros(3), np.zeros(3, int))
    with pytest.raises(ValueError, match="equally long, got 3 and 4 tokens"):
        function(np.zeros(3, int), np.zeros((2, 4), int))


@given(hnp.arrays(np.int64, st.tuples(st.integers(1, 3), st.integers(4, 12)), elements=st.integers(-1, 2)))
def test_distinct_ngrams_are_those_counted_as_a_set(texts) -> None:
    for n in range(1, 5):
        found = distinct_ngrams(texts, n)
        for text, shares in zip(texts.tolist(), found, strict=True):
            grams = [tuple(text[i : i + n]) for i in range(len(text) - n + 1)]
            np.testing.assert_allclose(shares, [len({*grams[:h]}) / h for h in range(1, len(grams) + 1)])


@given(hnp.arrays(np.int64, st.tuples(st.integers(1, 3), st.integers(1, 14)), elements=st.integers(0, 1)))
def test_final_loops_are_the_longest_periodic_ends(texts) -> None:
    found = final_loops(texts, 2)
    for text, start, period in zip(texts.tolist(), found.start, found.period, strict=True):
        ends = [
            (s, p)
            for s in range(len(text))
            for p in range(1, len(text))
            if len(text) - s >= 2 * p and all(text[i] == text[i + p] for i in range(s, len(text) - p))
        ]
        assert (start, period) == min(ends, default=(len(text), 0))


def test_ngrams_of_large_ids_are_told_apart() -> None:
    ids = np.array([0, 2**40, 5, 2**40, 5, 2**40, 5, 2**20])
    small = np.array([0, 1, 2, 1, 2, 1, 2, 3])
    for n in range(1, 6):
        np.testing.assert_array_equal(distinct_ngrams(ids, n), distinct_ngrams(small, n))


def test_a_loop_must_be_said_often_enough() -> None:
    text = np.array([9, 8, 1, 2, 3, 1, 2, 3, 1, 2, 3, 1])
    found = final_loops(np.stack([text, text[::-1]]))
    assert found.start.tolist() == [2, 12]
    assert found.period.tolist() == [3, 0]
    assert final_loops(text, 4).period == 0
    with pytest.raises(ValueError, match="repeats must be an integer at least 2, got 1"):
        final_loops(text, 1)
    with pytest.raises(ValueError, match="n must be an integer from 1 to 12, got 13"):
        distinct_ngrams(text, 13)
    with pytest.raises(ValueError, match="tokens must be whole numbers"):
        distinct_ngrams(np.zeros(4), 1)

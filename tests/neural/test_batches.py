"""Windows of tokens: drawn alike, by seed and update alone, and for validation without overlap."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neural.language.batches import batches, validation_windows
from tests.budget import assert_mean


@given(st.integers(0, 2**64 - 1), st.integers(0, 2**40), st.integers(1, 20), st.integers(1, 8))
def test_windows_are_consecutive_and_a_function_of_seed_and_update(seed, update, length, batch_size) -> None:
    tokens = np.arange(21, dtype=np.uint16)
    batch = batches(tokens, length, batch_size, seed)(update)
    assert batch.shape == (batch_size, length + 1)
    assert batch.dtype == np.int64
    np.testing.assert_array_equal(batch, batch[:, :1] + np.arange(length + 1))
    draw = batches(tokens, length, batch_size, seed)
    draw((update + 1) % 2**40)
    np.testing.assert_array_equal(draw(update), batch)


def test_windows_start_anywhere_alike() -> None:
    tokens = np.arange(13)
    draw = batches(tokens, 3, 100, seed=1)
    starts = np.concatenate([draw(t)[:, 0] for t in range(100)])
    assert_mean(starts[:, None] == np.arange(10), 0.1)  # up to the last window, 9 to 12
    # Neither updates nor seeds repeat each other.
    rows = {tuple(batches(tokens, 3, 100, seed)(t)[:, 0]) for seed in range(10) for t in range(10)}
    assert len(rows) == 100


def test_the_draws_stay_what_they_are() -> None:
    """Philox by its definition, 10 rounds over 4 words of 64 bits, rather than by the library that draws."""
    multipliers = 0xD2E7470EE14C6C93, 0xCA5A826395121157
    weyl, low = (0x9E3779B97F4A7C15, 0xBB67AE8584CAA73B), 2**64 - 1

    def block(counter: list[int], key: list[int]) -> list[int]:
        for _ in range(10):
            a, b = counter[0] * multipliers[0], counter[2] * multipliers[1]
            counter = [(b >> 64) ^ counter[1] ^ key[0], b & low, (a >> 64) ^ counter[3] ^ key[1], a & low]
            key = [(k + w) & low for k, w in zip(key, weyl, strict=True)]
        return counter

    # NumPy raises the counter before each block.
    words = block([1, 0, 0, 77], [5, 0]) + block([2, 0, 0, 77], [5, 0])
    batch = batches(np.arange(1004), 4, 8, seed=5)(77)
    assert batch[:, 0].tolist() == [word % 1000 for word in words]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((21, 1, 0), "length must be at most 20 with 21 tokens, got 21"),
        ((0, 1, 0), "length must be an integer at least 1, got 0"),
        ((5, 0, 0), "batch_size must be an integer at least 1, got 0"),
        ((5, 1, -1), "seed must be an integer from 0"),
    ],
)
def test_batches_out_of_range(arguments, message) -> None:
    with pytest.raises(ValueError, match=message):
        batches(np.arange(21), *arguments)
    with pytest.raises(ValueError, match="update must be an integer from 0"):
        batches(np.arange(21), 20, 1, 0)(-1)
    with pytest.raises(ValueError, match="tokens must be a vector of integers, got float64"):
        batches(np.zeros(21), 20, 1, 0)


@given(st.integers(2, 60), st.data())
def test_validation_windows_never_overlap(size, data) -> None:
    length = data.draw(st.integers(1, size - 1))
    most = size // (length + 1)
    count = data.draw(st.integers(1, most))
    windows = validation_windows(np.arange(size), length, count)
    assert windows.shape == (count, length + 1)
    assert len(np.unique(windows)) == windows.size
    np.testing.assert_array_equal(windows, windows[:, :1] + np.arange(length + 1))


def test_validation_windows_cover_or_spread() -> None:
    tokens = np.arange(25, dtype=np.uint16)
    np.testing.assert_array_equal(validation_windows(tokens, 3), np.arange(24).reshape(6, 4))
    np.testing.assert_array_equal(validation_windows(tokens, 3, 3)[:, 0], [0, 8, 16])
    with pytest.raises(ValueError, match="count must be an integer from 1 to 6, got 7"):
        validation_windows(tokens, 3, 7)
    with pytest.raises(ValueError, match="length must be at most 24 with 25 tokens, got 25"):
        validation_windows(tokens, 25)

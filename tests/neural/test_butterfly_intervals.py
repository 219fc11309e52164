"""Means over pairs × prompts: variances against their definition, and intervals that cover what they say."""

import math

import numpy as np
import pytest
from scipy.stats import beta, binom, norm, t

from neural.language.agreement import survival
from neural.language.crossed_means import crossed_mean, crossed_proportions, crossed_variance, influenced, pair_block
from tests.budget import FALSE_ALARM

RNG = np.random.default_rng


def test_the_variance_is_the_sum_of_products_within_prompts_and_blocks_counted_once() -> None:
    m, n, block = 9, 5, 3
    x = 0.3 * RNG(0).normal(size=(m, n)) + RNG(1).normal(size=(m, 1)) + RNG(2).normal(size=n)
    r = x - x.mean()
    weight = np.clip(1 - np.abs(np.subtract.outer(np.arange(m), np.arange(m))) / block, 0, 1)
    prompts = np.einsum("ij,kj->", r, r) / (m * n) ** 2 * n / (n - 1)
    pairs = np.einsum("ij,kl,ik->", r, r, weight) / (m * n) ** 2 * 3 / 2
    own = r - r.mean(axis=0) - r.mean(axis=1)[:, None]
    both = np.einsum("ij,kj,ik->", own, own, weight) / (m * n) ** 2
    found = crossed_variance(x, block)
    np.testing.assert_allclose([found.prompts, found.pairs], [prompts, pairs])
    np.testing.assert_allclose(found.total, prompts + pairs - both)
    assert found.freedom == (4, 2)
    # Between the degrees of freedom of either part, and a curve is no more than its points.
    assert 2 < found._freedom(found.prompts, found.pairs) < 6
    np.testing.assert_allclose(
        crossed_variance(np.stack([x, 2 * x], axis=2), block).total, [found.total, 4 * found.total]
    )


def test_the_variance_is_never_below_that_of_prompts_or_pairs_alone() -> None:
    x = np.where(np.add.outer(np.arange(8), np.arange(6)) % 2, 1.0, -1.0)  # all of it is interaction
    x[0, 0] = 5.0
    found = crossed_variance(x, 1)
    assert found.total == max(found.prompts, found.pairs) > 0
    one = crossed_variance(x[:1], 1)
    np.testing.assert_allclose(one.total, x[0].var(ddof=1) / 6)


@pytest.mark.parametrize("scales", [(1.0, 0.0, 1.0), (0.3, 1.0, 1.0), (0.0, 0.0, 1.0)])
def test_means_are_covered(scales) -> None:
    """Prompts, pairs and cells of known variance; 40 pairs, independent."""
    trials, rng = 400, RNG(3)
    hits = 0
    for _ in range(trials):
        parts = rng.normal(size=(1, 30)), rng.normal(size=(40, 1)), rng.normal(size=(40, 30))
        found = crossed_mean(scales[0] * parts[0] + scales[1] * parts[1] + scales[2] * parts[2], block=1)
        hits += found.low <= 0 <= found.high
    assert hits >= binom.ppf(FALSE_ALARM, trials, 0.92)
    assert hits <= trials * 0.99


def test_proportions_are_covered_where_prompts_differ_and_pairs_drift() -> None:
    rng, trials, horizons = RNG(4), 300, np.array([3, 15, 60])
    logs = 0.7 * rng.normal(size=200_000) + 0.2 * rng.normal(size=200_000)
    truth = ((1 - np.minimum(0.03 * np.exp(logs), 0.9))[:, None] ** horizons).mean(axis=0)
    hits = np.zeros(3)
    for _ in range(trials):
        drift = rng.normal(size=(20, 1))
        drift = (drift[1:] + drift[:-1]) / math.sqrt(2)  # as neighbours share an iterate
        hazard = np.minimum(0.03 * np.exp(0.7 * rng.normal(size=32) + 0.2 * drift), 0.9)
        first = rng.geometric(hazard) - 1
        _, low, high = crossed_proportions(first[..., None] >= horizons)
        hits += (low <= truth) & (truth <= high)
    assert np.all(hits >= binom.ppf(FALSE_ALARM, trials, 0.93))


def test_all_and_none_have_one_sided_intervals() -> None:
    all_at_once = survival(np.zeros((19, 64), dtype=int), 150)
    assert all_at_once.differing.value == all_at_once.differing.high == 1.0
    # No variance at any horizon: 64 prompts, as Clopper and Pearson have it.
    assert all_at_once.differing.low == pytest.approx(0.025 ** (1 / 64))
    never = survival(np.full((19, 64), 150), 150)
    assert never.differing.value == never.differing.low == 0.0
    assert never.differing.high == pytest.approx(1 - 0.025 ** (1 / 64))
    assert never.median.value == math.inf
    # The design effect of other horizons, where there is one: more than 64 cells, fewer than 19 × 64.
    mixed = survival(RNG(5).geometric(0.1, (19, 64)).clip(max=140), 150)
    assert mixed.differing.value == 1.0
    assert 0.025 ** (1 / 64) < mixed.differing.low < 0.025 ** (1 / (19 * 64))
    # Pairs that all prompts follow are hardly more than as many cells.
    herd = survival(np.repeat(RNG(6).geometric(0.1, (19, 1)).clip(max=140), 64, axis=1), 150, block=1)
    assert 0.7 < herd.differing.low < 0.025 ** (1 / 19)


def test_independent_cells_have_almost_the_binomial_interval() -> None:
    first = RNG(7).geometric(0.02, (60, 200))
    found = survival(np.minimum(first, 100), 100, block=1)
    hits, cells = int((first < 100).sum()), first.size
    exact = beta.ppf(0.025, hits, cells - hits + 1), beta.ppf(0.975, hits + 1, cells - hits)
    width = (found.differing.high - found.differing.low) / (exact[1] - exact[0])
    assert 0.95 < width < 1.7
    assert found.differing.value == pytest.approx(hits / cells)


def test_few_prompts_count_for_less() -> None:
    hits = np.array([1.0, 0, 1, 0, 1, 0])[None, :, None]
    _, low, high = crossed_proportions(hits)
    # Five cells' worth of variance (6 − 1), estimated with five degrees of freedom.
    effective = 5 * (norm.ppf(0.975) / t.ppf(0.975, 5)) ** 2
    assert low[0] == pytest.approx(beta.ppf(0.025, effective / 2, effective / 2 + 1))
    assert low[0] + high[0] == pytest.approx(1.0)


def test_survival_counts_first_differences() -> None:
    first = np.array([[0, 2, 4], [2, 4, 4]])
    found = survival(first, 4)
    np.testing.assert_allclose(found.agreeing, np.array([6, 5, 5, 3, 3]) / 6)
    assert found.median.value == 2
    assert found.median.low <= 2 <= found.median.high
    assert found.differing.value == 0.5
    assert np.all((found.low <= found.agreeing) & (found.agreeing <= found.high))
    np.testing.assert_array_equal([found.low[0], found.high[0]], 1.0)
    narrow = survival(first, 4, level=0.5)
    assert np.all(narrow.low[1:] > found.low[1:])


def test_positive_estimates_have_intervals_on_the_log_scale() -> None:
    x = RNG(8).normal(size=(30, 20))
    plain, log = influenced(2.0, x, block=1), influenced(2.0, x, block=1, positive=True)
    assert math.log(log.high / 2) == pytest.approx((plain.high - 2) / 2)
    assert log.low * log.high == pytest.approx(4.0)
    assert math.isnan(influenced(0.0, x, positive=True).low)


def test_blocks_lengthen_with_the_memory_of_the_pairs() -> None:
    rng, n = RNG(9), 400
    noise = rng.normal(size=(n, 1))
    walk = np.zeros((n, 1))
    for i in range(1, n):
        walk[i] = 0.9 * walk[i - 1] + noise[i]
    assert pair_block(noise) == 8  # the cube root
    assert pair_block(walk) > 15
    assert [pair_block(noise[:m]) for m in (1, 4, 8, 19)] == [1, 1, 2, 3]


@pytest.mark.parametrize(
    ("first", "length", "message"),
    [
        (np.zeros((3, 1), int), 5, "two prompts, got shape"),
        (np.zeros(3, int), 5, r"\(pairs, prompts\), got int64 of shape \(3,\)"),
        (np.zeros((3, 2)), 5, "float64"),
        (np.full((3, 2), 6), 5, "first must be from 0 to 5, got 6 to 6"),
        (np.zeros((3, 2), int), 0, "length must be an integer at least 1"),
    ],
)
def test_survival_out_of_range(first, length, message) -> None:
    with pytest.raises(ValueError, match=message):
        survival(first, length)
    with pytest.raises(ValueError, match="level must be a number in"):
        survival(np.zeros((2, 2), int), 5, level=1.0)
    with pytest.raises(ValueError, match="block must be an integer from 1 to 4, got 5"):
        survival(np.zeros((9, 2), int), 5, block=5)

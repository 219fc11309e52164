"""Hazards of splits, measured and predicted, on processes of which both are known."""

import math

import numpy as np
import pytest
from scipy.stats import binom

from neural.language.boundary_density import boundary_bandwidth, boundary_kernel
from neural.language.frailty import frailty
from neural.language.hazards import SplitHazard, split_hazard
from tests.budget import FALSE_ALARM, assert_mean

RNG = np.random.default_rng


def pairs_of_models(
    pairs: int, prompts: int, length: int, change: float, *, scale: float = 2.0, seed: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """First differences and both gaps where the gap is exponential and the other's is moved by a Gaussian change."""
    rng = RNG(seed)
    gap = rng.exponential(scale, (pairs, prompts, length))
    moved = gap + change * rng.normal(size=gap.shape)
    split = moved < 0
    return np.where(split.any(axis=2), split.argmax(axis=2), length), gap, np.abs(moved)


def covers(estimate, truth: float) -> bool:
    return bool(estimate.low <= truth <= estimate.high)


@pytest.mark.parametrize(
    ("draw", "density", "bend"),
    [
        (lambda rng, n: rng.exponential(2.0, n), 0.5, 0.125),
        (lambda rng, n: np.abs(rng.normal(size=n)), math.sqrt(2 / math.pi), -math.sqrt(2 / math.pi)),
        (lambda rng, n: rng.uniform(0, 3, n), 1 / 3, 0.0),
        (lambda rng, n: rng.gamma(2.0, 1.0, n), 0.0, -2.0),
    ],
)
def test_the_density_at_zero_is_that_of_known_laws(draw, density, bend) -> None:
    width = 0.3
    assert_mean(boundary_kernel(draw(RNG(1), 400_000), width) + bend * width**2 / 20, density)


def test_the_kernel_has_the_moments_that_it_claims() -> None:
    h = 0.7
    u = (np.arange(100_000) + 0.5) / 100_000 * h
    weights = boundary_kernel(u, h) * h / 100_000
    moments = weights.sum(), weights @ u, weights @ u**2 / h**2
    np.testing.assert_allclose(moments, [1.0, 0.0, -0.1], atol=1e-6)
    assert boundary_kernel(u, h) @ weights * h == pytest.approx(4.8, rel=1e-6)
    assert boundary_kernel(np.array([h, 2 * h]), h).tolist() == [0.0, 0.0]


def test_the_bandwidth_is_the_best_for_an_exponential_law() -> None:
    n, s = 5000, 2.0
    values = -s * np.log(1 - (np.arange(100_001) + 0.5) / 100_001)
    h = boundary_bandwidth(values, n)

    def error(width: float) -> float:
        return (width**2 / 20 / s**3) ** 2 + 4.8 / (n * width * s)

    assert error(h) < min(error(0.99 * h), error(1.01 * h))
    with pytest.raises(ValueError, match="positive median"):
        boundary_bandwidth(np.zeros(5), 3)
    with pytest.raises(ValueError, match="bandwidth must be a number"):
        boundary_kernel(values, 0.0)


@pytest.mark.parametrize("change", [0.02, 0.1])
def test_the_prediction_is_the_hazard_of_the_toy(change) -> None:
    first, gap, other = pairs_of_models(12, 60, 300, change)
    found = split_hazard(first, gap, other, level=1 - 1e-6, block=1)
    # E over the change of F(D⁻), for F(g) = 1 − e^{−g/2}: the hazard itself, not its first order.
    s = change / 2
    exact = 0.5 - math.exp(s**2 / 2) * 0.5 * math.erfc(s / math.sqrt(2))
    assert covers(found.hazard, exact)
    assert covers(found.change, change * math.sqrt(2 / math.pi))
    assert covers(found.change_near, change * math.sqrt(2 / math.pi))
    assert covers(found.predicted, exact)
    assert covers(found.predicted_near, exact)
    assert covers(found.ratio, 1.0)
    assert covers(found.ratio_near, 1.0)
    assert 0.4 < found.density.value < 0.6
    assert covers(found.late_to_early, 1.0)
    assert found.frailty.variation.low == 0.0
    np.testing.assert_allclose(found.by_token[0], (first == 0).mean())
    np.testing.assert_array_equal(found.at_risk[:2], [first.size, (first > 0).sum()])
    assert found.hazard.value == pytest.approx((first < 300).sum() / np.minimum(first + 1, 300).sum())
    assert found.gap_at_split.value == pytest.approx(
        np.mean([gap[i, j, first[i, j]] for i, j in np.argwhere(first < 300)])
    )


def test_a_change_that_depends_on_the_gap_needs_the_one_near_zero() -> None:
    rng = RNG(2)
    gap = rng.exponential(2.0, (10, 50, 200))
    moved = gap + 0.05 * (1 + gap) * rng.normal(size=gap.shape)
    split = moved < 0
    first = np.where(split.any(axis=2), split.argmax(axis=2), 200)
    found = split_hazard(first, gap, np.abs(moved), block=1)
    assert found.ratio.low > 1.5
    assert 0.8 < found.ratio_near.value < 1.3
    assert found.change_near.high < 0.06
    for predicted, ratio in ((found.predicted, found.ratio), (found.predicted_near, found.ratio_near)):
        assert predicted.value == pytest.approx(ratio.value * found.hazard.value)


def test_gaps_after_the_split_are_not_read() -> None:
    first, gap, other = pairs_of_models(3, 20, 50, 0.1)
    after = np.arange(50) > first[..., None]
    plain, torn = (
        split_hazard(first, gap, other),
        split_hazard(first, *(np.where(after, np.nan, g) for g in (gap, other))),
    )
    assert plain.predicted == torn.predicted
    assert plain.bandwidth == torn.bandwidth


def test_mixed_prompts_make_the_pooled_hazard_decline() -> None:
    rng = RNG(3)
    lam = rng.gamma(2.0, 0.01, (1, 80))  # mean 0.02, squared coefficient of variation 1/2
    first = np.minimum(rng.geometric(np.minimum(np.broadcast_to(lam, (15, 80)), 1.0)) - 1, 200)
    gap = np.ones((15, 80, 200))
    found = split_hazard(first, gap, gap, block=1)
    assert found.late_to_early.high < 1.0
    assert covers(found.frailty.variation, 0.5)
    assert found.frailty.variation.low > 0.1
    np.testing.assert_allclose(found.frailty.mean_hazard, lam.mean(), rtol=0.1)
    early, late = (found.by_token[part].mean() for part in (slice(10), slice(40, 60)))
    pooled = found.frailty.pooled_hazard(np.array([5.0, 50.0]))
    np.testing.assert_allclose([early, late], pooled, rtol=0.3)
    assert found.by_prompt.shape == (80,)
    assert np.corrcoef(found.by_prompt, lam[0])[0, 1] > 0.8


def test_the_variation_of_gamma_hazards_is_covered() -> None:
    rng, trials, hits, none = RNG(4), 200, 0, 0
    risk = rng.integers(200, 2000, 40)
    for _ in range(trials):
        hits += covers(frailty(rng.poisson(rng.gamma(2.0, 0.005, 40) * risk), risk).variation, 0.5)
        none += frailty(rng.poisson(0.01 * risk), risk).variation.low == 0.0
    assert hits >= binom.ppf(FALSE_ALARM, trials, 0.93)
    assert none >= binom.ppf(FALSE_ALARM, trials, 0.95)


def test_frailty_at_its_ends() -> None:
    same = frailty(np.full(10, 5), np.full(10, 100))
    assert same.variation.value == same.variation.low == 0.0
    assert same.mean_hazard == pytest.approx(0.05)
    assert math.isnan(frailty(np.zeros(3), np.full(3, 10)).mean_hazard)
    with pytest.raises(ValueError, match="one length"):
        frailty(np.zeros(3), np.ones(4))
    with pytest.raises(ValueError, match="at_risk above 0, got 0 and 0"):
        frailty(np.zeros(3), np.zeros(3))


def without_split(length: int = 100) -> SplitHazard:
    gap = RNG(5).exponential(2.0, (8, 40, length))
    return split_hazard(np.full((8, 40), length), gap, gap + 0.01)


def test_no_split_leaves_an_upper_bound() -> None:
    found = without_split()
    assert found.hazard.value == found.hazard.low == 0.0
    # 40 prompts, of which none differs in 100 tokens.
    assert found.hazard.high == pytest.approx(-math.log(0.025) / 40 / 100)
    assert math.isnan(found.ratio.value)
    assert math.isnan(found.late_to_early.value)
    assert found.predicted.value == pytest.approx(0.005 * found.density.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"neighbour_gap": np.ones((2, 3, 4))}, r"neighbour_gap must have the shape \(2, 3, 5\), got \(2, 3, 4\)"),
        ({"neighbour_gap": -np.ones((2, 3, 5))}, "neighbour_gap must be at least 0 until the split, got -1"),
        ({"gap": np.full((2, 3, 5), np.nan)}, "gap must be at least 0 until the split, got nan"),
        ({"first": np.full((2, 3), 7)}, "first must be from 0 to 5, got 7 to 7"),
        ({"level": 0.0}, "level must be a number"),
        ({"bandwidth": -1.0}, "bandwidth must be a number"),
    ],
)
def test_hazards_out_of_range(change, message) -> None:
    given = {"first": np.full((2, 3), 2), "gap": np.ones((2, 3, 5)), "neighbour_gap": np.ones((2, 3, 5))} | change
    with pytest.raises(ValueError, match=message):
        split_hazard(**given)

"""Time to the split against distance, on an autoregressive toy with a known hazard and on a chaotic map."""

import math

import numpy as np
import pytest
from scipy.stats import binom

from neural.language.distance_law import DistanceLaw, distance_exponent, distance_law, law_of_first_differences
from neural.language.prompt_rates import Counts, linear_time, power_law
from tests.budget import FALSE_ALARM

RNG = np.random.default_rng
WORDS = 8


def toy_continuations(weights: np.ndarray, prompts: np.ndarray, length: int) -> np.ndarray:
    """Greedy texts of a model whose logits are those of a hashed context: `weights` (contexts, WORDS)."""
    tokens = np.empty((len(prompts), length), dtype=np.int64)
    state = prompts.copy()
    for t in range(length):
        tokens[:, t] = weights[state].argmax(axis=1)
        state = (state * 31 + tokens[:, t] * 7919 + t * 104729 + 1) % len(weights)
    return tokens


@pytest.fixture(scope="module")
def toy() -> DistanceLaw:
    """Random logits, moved by d times a Gaussian direction: contexts hardly ever repeat, gaps do not depend on d."""
    rng, distances = RNG(0), np.array([0.004, 0.008, 0.016, 0.032, 0.064])
    weights, prompts = rng.normal(size=(40_009, WORDS)), rng.integers(0, 40_009, 60)
    base = toy_continuations(weights, prompts, 120)
    moved = [
        [toy_continuations(weights + d * direction, prompts, 120) for d in distances]
        for direction in rng.normal(size=(5, 40_009, WORDS))
    ]
    return distance_law(base, np.array(moved), distances, level=0.999)


def top_gap_density() -> float:
    """f(0) of the gap between the two largest of WORDS normal numbers: n (n−1) ∫ φ² Φ^{n−2}."""
    x = np.linspace(-8, 8, 20_001)
    phi = np.exp(-(x**2) / 2) / math.sqrt(2 * math.pi)
    cdf = np.cumsum(phi) * (x[1] - x[0])
    return WORDS * (WORDS - 1) * float(np.sum(phi**2 * cdf ** (WORDS - 2))) * (x[1] - x[0])


def test_the_hazard_of_the_toy_is_known_and_proportional_to_the_distance(toy) -> None:
    # The change of a difference of two logits is normal with variance 2 d².
    expected = top_gap_density() * toy.distances * math.sqrt(2) * math.sqrt(2 / math.pi) / 2
    assert all(h.low <= e <= h.high for h, e in zip(toy.hazards[:3], expected, strict=False))
    np.testing.assert_allclose([h.value for h in toy.hazards], expected, rtol=0.3)
    assert toy.exponent.low <= 1.0 <= toy.exponent.high
    assert toy.exponent.high - toy.exponent.low < 0.6
    assert toy.advantage.low > 0
    assert toy.fitted.all()


def test_times_of_the_toy_are_those_of_a_constant_hazard(toy) -> None:
    for d, mean, agreement, hazard in zip(toy.distances, toy.mean_times, toy.agreement, toy.hazards, strict=True):
        q = 1 - hazard.value
        assert mean.value == pytest.approx(q * (1 - q**120) / (1 - q), rel=0.15)
        assert mean.low < mean.value < mean.high
        assert agreement.differing.value == pytest.approx(1 - q**120, abs=0.08)
        if d > 0.02:
            assert agreement.median.value == pytest.approx(math.log(2) / hazard.value, rel=0.4)
    assert toy.agreement[0].median.value == math.inf


def chaotic_first_differences(distances: np.ndarray, length: int) -> np.ndarray:
    """When the symbols of the logistic map's orbits part, which start d apart: (direction, distance, prompt)."""
    rng = RNG(1)
    x = rng.uniform(0.05, 0.95, 60)
    start = np.stack([x + sign * distances[:, None] for sign in (-1.0, 1.0)])
    one, two = np.broadcast_to(x, start.shape).copy(), start
    first = np.full(start.shape, length)
    for t in range(length):
        first[(first == length) & ((one > 0.5) != (two > 0.5))] = t
        one, two = 4 * one * (1 - one), 4 * two * (1 - two)
    return first


def test_the_chaotic_map_has_the_logarithmic_law() -> None:
    distances = 10.0 ** np.arange(-9, -1)
    found = law_of_first_differences(chaotic_first_differences(distances, 60), 60, distances)
    # The exponent of the map is log 2: a factor of ten takes log 10/log 2 = 3.3 steps.
    steps = -np.diff([m.value for m in found.mean_times]) / (math.log(10) / math.log(2))
    np.testing.assert_allclose(steps, 1.0, atol=0.25)
    assert found.advantage.high < 0
    assert found.exponent.high < 0.3


def test_the_exponent_is_covered_and_censoring_does_not_move_it() -> None:
    """Prompts of different hazards, directions of different strength, most times censored at small distances."""
    rng, trials, hits, values = RNG(2), 60, 0, []
    distances = np.array([1.0, 2.0, 4.0, 8.0])
    for _ in range(trials):
        heights = np.exp(0.3 * rng.normal(size=(6, 1, 1)) + 0.7 * rng.normal(size=40))
        first = np.minimum(rng.geometric(np.minimum(0.002 * distances[:, None] * heights, 0.9)) - 1, 100)
        found = law_of_first_differences(first, 100, distances)
        hits += found.exponent.low <= 1.0 <= found.exponent.high
        values.append(found.exponent.value)
    assert hits >= binom.ppf(FALSE_ALARM, trials, 0.93)
    assert abs(np.mean(values) - 1.0) < 0.05


@pytest.mark.parametrize("law", [power_law, linear_time])
def test_fits_have_the_largest_likelihood_of_counts_with_a_height_per_prompt(law) -> None:
    """The likelihood of Poisson counts, its heights maximised one by one, differs by a constant alone."""
    rng, x = RNG(3), np.linspace(-1.0, 1.0, 6)
    risk = rng.uniform(50, 200, (6, 4))
    counts = Counts(rng.poisson(risk * np.exp(-3 + 0.8 * x)[:, None] * np.array([0.5, 1, 1, 3])).astype(float), risk)

    def likelihood(parameter: float) -> float:
        rates = np.exp(law(x)(parameter))[:, None] * risk
        rates = rates * counts.splits.sum(axis=0) / rates.sum(axis=0)
        return float(np.sum(counts.splits * np.log(rates) - rates))

    best = counts.fit(law(x), (-30.0, 30.0))
    grid = best + np.linspace(-0.5, 0.5, 11)
    assert int(np.argmax([likelihood(p) for p in grid])) == 5
    offsets = [likelihood(p) - counts.log_likelihood(law(x)(p)).sum() for p in grid]
    np.testing.assert_allclose(offsets, offsets[0])


def test_scores_are_the_slope_of_the_likelihood() -> None:
    rng, x = RNG(6), np.array([-1.0, 0.0, 2.0])
    counts = Counts(rng.poisson(5.0, (3, 4)).astype(float), rng.uniform(50, 200, (3, 4)))
    up, at, down = (counts.log_likelihood(power_law(x)(0.7 + e)) for e in (1e-4, 0.0, -1e-4))
    scores, information = counts.scores(x, 0.7)
    np.testing.assert_allclose(scores.sum(axis=0), (up - down) / 2e-4, rtol=1e-6)
    assert information == pytest.approx(-np.sum(up - 2 * at + down) / 1e-8, rel=1e-4)


def test_the_times_of_the_logarithmic_law_are_linear() -> None:
    x = np.array([0.0, 1.0, 4.0])
    times = np.exp(-linear_time(x)(math.log(9.0)))
    np.testing.assert_allclose(times, [9.0, 7.0, 1.0])


def test_large_hazards_and_empty_distances() -> None:
    rng = RNG(4)
    first = np.minimum(rng.geometric(np.array([0.01, 0.04, 0.9])[:, None], (2, 3, 50)) - 1, 80)
    found = law_of_first_differences(first, 80, np.array([1.0, 4.0, 90.0]))
    assert found.fitted.tolist() == [True, True, False]
    assert found.exponent.value == pytest.approx(1.0, abs=0.4)
    assert math.isnan(found.advantage.value)
    none = law_of_first_differences(np.full((1, 2, 50), 80), 80, np.array([1.0, 2.0]))
    assert none.hazards[0].value == none.hazards[0].low == 0
    assert none.hazards[0].high == pytest.approx(-math.log(0.025) / 50 / 80)
    assert math.isnan(none.exponent.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"distances": np.array([1.0, 1.0])}, r"two different positive numbers, got \[1.0, 1.0\]"),
        ({"distances": np.array([0.0, 1.0])}, "two different positive numbers"),
        ({"distances": np.array([1.0, 2.0, 3.0])}, "3 distances, prompt, token"),
        ({"base": np.zeros((3, 4), int)}, r"base must have the shape \(3, 5\), got \(3, 4\)"),
        ({"largest_hazard": 0.0}, "largest_hazard must be a number"),
        ({"level": 2.0}, "level must be a number"),
    ],
)
def test_distances_out_of_range(change, message) -> None:
    given = {
        "base": np.zeros((3, 5), int),
        "continuations": np.zeros((1, 2, 3, 5), int),
        "distances": np.array([1.0, 2.0]),
    }
    with pytest.raises(ValueError, match=message):
        distance_law(**(given | change))
    with pytest.raises(ValueError, match=r"first must be \(direction, 2 distances, prompt\), got shape \(2, 3\)"):
        law_of_first_differences(np.zeros((2, 3), int), 5, np.array([1.0, 2.0]))


def test_neighbours_with_distances_of_their_own_have_the_same_exponent() -> None:
    rng = RNG(5)
    distances = np.array([0.1, 1.0]) * np.exp(0.5 * rng.normal(size=(15, 2)))
    first = np.minimum(rng.geometric(np.broadcast_to(0.02 * distances[..., None], (15, 2, 60))) - 1, 150)
    found = distance_exponent(first, 150, distances, level=1 - 1e-6)
    assert found.low <= 1.0 <= found.high
    assert found.high - found.low < 1.0
    # The same distances for all are the other function's case.
    same = np.array([0.1, 1.0])
    law = law_of_first_differences(first, 150, same)
    wide = distance_exponent(first, 150, np.broadcast_to(same, (15, 2)), block=1)
    np.testing.assert_allclose([wide.value, wide.low], [law.exponent.value, law.exponent.low])
    assert math.isnan(distance_exponent(first, 150, np.ones((15, 2))).value)
    with pytest.raises(ValueError, match=r"distances must have the shape \(15, 2\), got \(2,\)"):
        distance_exponent(first, 150, same)
    with pytest.raises(ValueError, match="distances must be positive, got 0"):
        distance_exponent(first, 150, np.zeros((15, 2)))
    with pytest.raises(ValueError, match="first must be from 0 to 100"):
        distance_exponent(first, 100, distances)

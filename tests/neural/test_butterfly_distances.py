"""Time to the split against distance, on an autoregressive toy with a known hazard and on a chaotic map."""

import math

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.stats import binom

from neural.language import poisson_rates
from neural.language.distance_law import DistanceLaw, distance_law, law_of_first_differences
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
    middle = math.sqrt(toy.distances[0] * toy.distances[-1])
    assert toy.constant.low <= expected[0] * middle / toy.distances[0] <= toy.constant.high
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
    assert found.log_deviance < found.power_deviance
    assert found.exponent.high < 0.3


def test_the_exponent_is_covered_and_censoring_does_not_move_it() -> None:
    """Prompts of different hazards, directions of different strength, most times censored at small distances."""
    rng, trials, hits, values = RNG(2), 60, 0, []
    distances = np.array([1.0, 2.0, 4.0, 8.0])
    for _ in range(trials):
        hazard = 0.002 * distances[:, None] * np.exp(0.3 * rng.normal(size=(6, 1, 1)))
        first = np.minimum(rng.geometric(np.broadcast_to(hazard, (6, 4, 40))) - 1, 100)
        found = law_of_first_differences(first, 100, distances)
        hits += found.exponent.low <= 1.0 <= found.exponent.high
        values.append(found.exponent.value)
    assert hits >= binom.ppf(FALSE_ALARM, trials, 0.93)
    assert abs(np.mean(values) - 1.0) < 0.05


@pytest.mark.parametrize("law", [poisson_rates.power_law, poisson_rates.linear_time])
def test_fits_have_the_largest_likelihood(law) -> None:
    rng, x = RNG(3), np.linspace(0.0, 2.0, 6)
    exposure = rng.uniform(50, 200, (3, 6))
    counts = rng.poisson(exposure * np.exp(-3 + x)).astype(float)
    model = law(x)
    found = poisson_rates.fit(counts, exposure, model, np.array([0.1, 0.2]))
    for i, parameters in enumerate(found):

        def loss(p: np.ndarray, i: int = i) -> float:
            logs = model(p)[0]
            return -float(np.sum(counts[i] * logs - exposure[i] * np.exp(logs)))

        best = minimize(loss, np.array([0.0, 0.0]), method="Nelder-Mead", options={"xatol": 1e-8, "fatol": 1e-10})
        np.testing.assert_allclose(parameters, best.x, atol=1e-4)
        logs, slope = model(parameters)
        moved = [model(parameters + 1e-6 * e)[0] for e in np.eye(2)]
        np.testing.assert_allclose(slope, (np.array(moved) - logs).T / 1e-6, atol=1e-4)
        # Weights of zero leave a count out.
        part = poisson_rates.fit(counts[i], exposure[i], model, found[i], np.array([1.0, 0, 1, 1, 0, 1]))
        kept = [0, 2, 3, 5]
        again = poisson_rates.fit(counts[i, kept], exposure[i, kept], law(x[kept]), found[i])
        np.testing.assert_allclose(part, again, atol=1e-6)


def test_the_deviance_is_zero_at_the_counts_themselves() -> None:
    counts, exposure = np.array([3.0, 0.0]), np.array([10.0, 10.0])
    np.testing.assert_allclose(poisson_rates.deviance(counts, exposure, np.log([0.3, 1e-30])), 0.0, atol=1e-12)
    np.testing.assert_allclose(
        poisson_rates.deviance(counts, exposure, np.log([0.6, 0.1])), [6 * math.log(0.5) + 6, 2.0]
    )


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

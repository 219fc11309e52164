"""Spread of reward over iterates: known answers, coverage of the intervals, degenerate and incomplete datasets."""

import math

import numpy as np
import pytest
import xarray as xr
from scipy.stats import binom

from neural.runs import taken_over
from neural.statistics import block_length, mean_estimate, reward_spread
from tests.budget import FALSE_ALARM

NAMES = ("raw", "EMA 0.01")


def ar1(rng: np.random.Generator, n: int, phi: float) -> np.ndarray:
    """Stationary AR(1) of unit variance, (n,)."""
    x = np.empty(n)
    x[0] = rng.standard_normal()
    for t in range(1, n):
        x[t] = phi * x[t - 1] + math.sqrt(1.0 - phi**2) * rng.standard_normal()
    return x


def run_of(returns: np.ndarray, loss: np.ndarray | None = None) -> xr.Dataset:
    """Dataset of returns (n, averages, E) whose iterates all belong to both windows; an episode under 5 has fallen."""
    n, averages, episodes = returns.shape
    all_of_them = ("iterate", np.ones(n, dtype=int))
    return xr.Dataset(
        {
            "return": (("iterate", "average", "episode"), returns),
            "fallen": (("iterate", "average", "episode"), (returns < 5).astype(int)),
            "loss": (("iterate", "average"), np.ones((n, averages)) if loss is None else loss),
            "consecutive": all_of_them,
            "spaced": all_of_them,
        },
        coords={"iterate": 10 * np.arange(n), "average": list(NAMES[:averages]), "episode": np.arange(episodes)},
    )


def sampled(seed: int, n: int, episodes: int, phi: float, interaction: float) -> xr.Dataset:
    """Raw of unit spread, an average of spread 0.2, partly common noise, shared episodes, true ratio 5."""
    rng = np.random.default_rng(seed)
    common, own = ar1(rng, n, phi), ar1(rng, n, phi)
    iterates = np.stack([common, 0.2 * (0.6 * common + 0.8 * own)], axis=1)
    mixed = interaction * rng.standard_normal((n, 2, episodes)) * np.array([1.0, 0.2])[:, None]
    return run_of(10.0 + iterates[:, :, None] + 3.0 * rng.standard_normal(episodes) + mixed)


def test_known_answers() -> None:
    iterates = np.array([-1.0, 1.0, -1.0, 1.0])
    returns = 10.0 + np.stack([4.0 * iterates, iterates], axis=1)[:, :, None] + np.array([-1.5, 1.5])
    loss = 2.0 + np.stack([0.1 * iterates, 0.02 * iterates], axis=1)
    found = reward_spread(run_of(returns, loss), windows=("spaced",), resamples=200)["spaced"]
    unit = math.sqrt(4.0 / 3.0)  # std of the iterates, ddof 1
    raw, average = found["raw"], found["EMA 0.01"]
    assert (found.count, found.iterates) == (4, (0, 30))
    assert raw.spread.value == pytest.approx(4.0 * unit)
    assert average.spread.value == pytest.approx(unit)
    assert average.ratio.value == pytest.approx(4.0)
    # Raw and average move together, so every resample has the same ratio.
    assert (average.ratio.low, average.ratio.high) == pytest.approx((4.0, 4.0))
    assert (raw.ratio.value, raw.ratio.low, raw.ratio.high) == pytest.approx((1.0, 1.0, 1.0))
    assert average.difference.value == pytest.approx(0.0)
    assert raw.mean_return.value == pytest.approx(10.0)
    assert raw.fallen.value == pytest.approx(2 / 8)
    assert average.fallen.value == 0.0
    assert raw.relative_return_spread == pytest.approx(0.4 * unit)
    assert raw.relative_loss_spread == pytest.approx(0.05 * unit)
    assert average.amplification.value == pytest.approx(10.0)


def test_episodes_common_to_all_iterates_leave_the_spread_alone() -> None:
    calm = sampled(0, 30, 12, 0.0, 0.0)
    rough = calm.copy(deep=True)
    rough["return"] = rough["return"] + xr.DataArray(np.linspace(-500, 500, 12), dims="episode")
    for window in ("consecutive", "spaced"):
        one, other = (reward_spread(d, resamples=200)[window]["EMA 0.01"] for d in (calm, rough))
        assert other.spread.value == pytest.approx(one.spread.value)
        assert other.ratio.high == pytest.approx(one.ratio.high)
        assert other.mean_return.high > one.mean_return.high + 100


def test_the_order_of_dimensions_does_not_matter_and_the_seed_does() -> None:
    run = sampled(1, 40, 8, 0.5, 1.0)
    once = reward_spread(run, resamples=200, seed=3)
    assert once == reward_spread(run.transpose(), resamples=200, seed=3)
    assert once != reward_spread(run, resamples=200, seed=4)


@pytest.mark.parametrize(
    ("window", "n", "phi", "interaction", "at_least"),
    [("spaced", 40, 0.0, 0.0, 0.92), ("spaced", 40, 0.0, 3.0, 0.94), ("consecutive", 150, 0.7, 1.0, 0.90)],
)
def test_intervals_of_the_ratio_cover(window: str, n: int, phi: float, interaction: float, at_least: float) -> None:
    """A bootstrap is approximate: at 95 % it must cover at least `at_least`, less the budget's binomial noise."""
    trials = 250
    hits = 0
    for seed in range(trials):
        run = sampled(seed, n, 20, phi, interaction)
        ratio = reward_spread(run, windows=(window,), resamples=200, seed=seed)[window]["EMA 0.01"].ratio
        hits += ratio.low <= 5.0 <= ratio.high
    assert hits >= binom.ppf(FALSE_ALARM, trials, at_least)


def test_independent_draws_are_too_narrow_for_dependent_iterates() -> None:
    """What the blocks are for: the same data, resampled one by one, claims a far narrower interval."""
    run = sampled(2, 200, 20, 0.95, 0.0)
    both = reward_spread(run, resamples=500)
    near, far = both["consecutive"]["EMA 0.01"], both["spaced"]["EMA 0.01"]
    assert near.block_length > 10
    assert far.block_length == 1
    assert near.spread.value == far.spread.value
    assert math.log(near.spread.high / near.spread.low) > 1.5 * math.log(far.spread.high / far.spread.low)


def test_block_length_follows_the_dependence() -> None:
    n, phi = 20_000, 0.8
    theory = (6.0 * phi**2 * n / (1.0 - phi**2) ** 2) ** (1 / 3)
    assert block_length(ar1(np.random.default_rng(0), n, phi)) == pytest.approx(theory, rel=0.35)
    assert block_length(np.random.default_rng(0).standard_normal(n)) <= 12
    assert block_length(np.full(100, 3.7)) == 1
    assert block_length(np.arange(100.0)) == 25
    assert block_length(np.array([0.0, 1.0])) == 1


def test_no_spread_of_an_average_is_an_infinite_ratio_without_interval() -> None:
    rng = np.random.default_rng(0)
    returns = np.full((20, 2, 6), 1000.1)
    returns[:, 0] += rng.standard_normal((20, 1))
    row = reward_spread(run_of(returns), resamples=200)["consecutive"]["EMA 0.01"]
    assert row.spread.value == 0.0
    assert row.ratio.value == math.inf
    assert math.isnan(row.ratio.low)
    assert math.isnan(row.ratio.high)


def test_no_spread_at_all_is_undefined_and_does_not_warn() -> None:
    row = reward_spread(run_of(np.zeros((12, 2, 3))), resamples=200)["spaced"]["EMA 0.01"]
    assert row.spread.value == 0.0
    assert math.isnan(row.ratio.value)
    assert math.isnan(row.relative_return_spread)


def test_one_fall_in_all_leaves_an_open_interval() -> None:
    """Most resamples miss the only iterate that moved, or most do not: either way no crash and an honest bound."""
    returns = np.full((20, 2, 5), 10.0)
    returns[:, 0] += np.random.default_rng(0).standard_normal((20, 1))
    returns[7, 1] = 0.0
    row = reward_spread(run_of(returns), windows=("spaced",), resamples=400)["spaced"]["EMA 0.01"]
    assert row.ratio.value > 0
    assert row.ratio.high == math.inf
    assert 0.0 <= row.fallen.low <= row.fallen.value <= row.fallen.high <= 1.0


def test_two_iterates_and_one_episode_are_enough() -> None:
    found = reward_spread(run_of(np.array([[[1.0], [2.0]], [[3.0], [2.5]]])), resamples=200)
    assert found["consecutive"]["EMA 0.01"].ratio.value == pytest.approx(4.0)
    assert found.episodes == 1


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda d: d.drop_vars("loss"), "lacks the variable 'loss'"),
        (lambda d: d.drop_vars("spaced"), "lacks the variable 'spaced'"),
        (lambda d: d.drop_vars("iterate"), "lacks the coordinate 'iterate'"),
        (lambda d: d.isel(average=[1, 0]), "the first average must be 'raw'"),
        (lambda d: d.isel(episode=[]), "no episodes"),
        (lambda d: d.assign(loss=d["loss"].isel(average=0)), "'loss' must have dimensions"),
        (lambda d: d.assign(spaced=d["spaced"] * 0), "window 'spaced' must hold at least 2 iterates, got 0"),
        (lambda d: d.assign({"return": d["return"].where(d["iterate"] > 0)}), "'return' has 12 missing values"),
    ],
)
def test_what_is_missing_is_named(spoil, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        reward_spread(spoil(sampled(0, 10, 6, 0.0, 0.0)))


@pytest.mark.parametrize(
    ("options", "message"),
    [({"level": 1.0}, "level must"), ({"resamples": 5}, "resamples must"), ({"windows": ()}, "windows must")],
)
def test_bad_arguments_are_named(options, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        reward_spread(sampled(0, 10, 6, 0.0, 0.0), **options)


def test_unknown_names_are_answered_with_the_known_ones() -> None:
    found = reward_spread(sampled(0, 10, 6, 0.0, 0.0), resamples=100)
    with pytest.raises(KeyError, match=r"EMA 0\.01"):
        found["spaced"]["EMA 0.5"]
    with pytest.raises(KeyError, match="consecutive"):
        found["middle"]


def test_a_mean_of_independent_values_has_students_interval() -> None:
    found = mean_estimate(np.array([1.0, 2.0, 6.0]))
    # t = 4.30265 with two degrees of freedom, standard error √(7/3).
    assert (found.value, found.low) == (3.0, pytest.approx(3.0 - 4.30265 * np.sqrt(7 / 3), rel=1e-5))
    assert found.high - found.value == pytest.approx(found.value - found.low)
    with pytest.raises(ValueError, match=r"values must have shape \(n ≥ 2,\), got \(1,\)"):
        mean_estimate(np.array([1.0]))
    with pytest.raises(ValueError, match=r"level must be in \(0, 1\), got 1\.0"):
        mean_estimate(np.array([1.0, 2.0]), 1.0)


def test_measurements_of_another_shape_are_not_taken_over() -> None:
    mine = {"loss": np.zeros(3), "return": np.zeros(2)}
    with pytest.raises(ValueError, match=r"the checkpoint lacks \['loss', 'return'\]"):
        taken_over(mine, {"loss": np.zeros(4)})
    stored = {"loss": np.arange(3.0), "return": np.ones(2), "more": np.zeros(1)}
    found = taken_over(mine, stored)
    stored["loss"][:] = 9.0
    assert list(found) == ["loss", "return"]
    assert found["loss"].tolist() == [0.0, 1.0, 2.0]

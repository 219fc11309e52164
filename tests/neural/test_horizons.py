"""N3 of a finished run: what is measured against single measurements, and statistics of known growth."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import xarray as xr

import gvatheory as gva
from neural import jackknife
from neural.control.divergence import divergence
from neural.control.experiment import EVALUATION_SEED, run
from neural.control.landscape import displaced, path_direction
from neural.control.lyapunov import lyapunov_spectrum
from neural.control.rebuild import rebuild
from neural.control.rollout import evaluate
from neural.predictions.horizons import (
    amplification,
    horizon_data,
    horizon_slope,
    near_amplification,
    rate_ratio,
)
from tests.neural.test_rebuild import EXPERIMENT

HORIZONS = [2, 5, 10, 20, 50, 100]


def known(returns: np.ndarray, **loop: float) -> xr.Dataset:
    """A dataset of (iterate, episode, horizon) returns of raw iterates, and of its loop."""
    exponent = {"exponent": 0.1, "exponent_low": 0.08, "exponent_high": 0.12, "rate": 0.1}
    exponent |= {"rate_low": 0.07, "rate_high": 0.13, "rate_last": 100, **loop}
    return xr.Dataset(
        {
            "return": (("iterate", "average", "episode", "horizon"), returns[:, None]),
            **{name: ("pair", [value]) for name, value in exponent.items()},
        },
        {"average": ["raw"], "pair": ["raw"], "horizon": HORIZONS},
        {"level": 0.9},
    ).assign_coords(average=["raw"])


def noise(iterates: int = 12, episodes: int = 5) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((iterates, episodes, 1))


def test_a_power_of_the_horizon_is_found_with_the_jackknife_over_starts() -> None:
    powers = 1.5 + 0.2 * np.random.default_rng(1).standard_normal(5)
    dataset = known(500.0 + noise() * np.array(HORIZONS) ** powers[:, None])
    found = horizon_slope(dataset, "raw", 5, 50)
    rest = [horizon_slope(dataset.drop_isel(episode=i), "raw", 5, 50).value for i in range(5)]
    low, high = jackknife.interval(found.value, jackknife.standard_error(np.array(rest)), 5, 0.9)
    assert (found.low, found.high) == pytest.approx((low, high))
    assert powers.min() < found.value < powers.max()
    exact = known(7.0 + noise() * np.array(HORIZONS) ** 2.0)
    for ends in ((2, 100), (10, 20)):
        assert horizon_slope(exact, "raw", *ends).value == pytest.approx(2.0)
    assert np.isnan(horizon_slope(known(np.ones((4, 3, 6))), "raw", 2, 5).value)


def test_the_model_s_growth_is_recognised_while_it_is_small() -> None:
    growth = np.exp(gva.return_growth_law(0.1, HORIZONS))
    found = amplification(known(noise() * np.minimum(growth, growth[5])), "raw")
    assert found is not None
    assert (found.first, found.last) == (10, 50)
    assert found.measured.value == pytest.approx(found.predicted.value)
    assert found.predicted.value == pytest.approx(np.log(growth[4] / growth[2]))
    assert found.predicted.low == pytest.approx(np.diff(gva.return_growth_law(0.08, [10, 50]))[0])
    assert found.predicted.low < found.predicted.value < found.predicted.high
    capped = amplification(known(noise() * np.minimum(growth, growth[4])), "raw")
    assert capped is not None
    assert capped.last == 20  # from 50 on at the ceiling
    early = amplification(known(noise() * growth, rate_last=20), "raw")
    assert early is not None
    assert early.last == 20  # the states are at theirs
    lost = amplification(known(noise() * growth, exponent=np.nan), "raw")
    assert lost is not None
    assert np.isnan(lost.predicted.value)
    assert np.isfinite(lost.measured.value)
    assert amplification(known(noise() * np.ones(6)), "raw") is None
    # A dip below a tenth after the ceiling has been met does not count.
    dip = amplification(known(noise() * np.array([0.01, 0.01, 0.01, 0.05, 1.0, 0.05])), "raw")
    assert dip is not None
    assert dip.last == 20


def test_the_change_of_a_moved_iterate_is_taken_over_starts() -> None:
    growth = np.exp(gva.return_growth_law(0.1, HORIZONS))
    starts = np.array([[1.0], [-3.0], [2.0]])
    parting = np.repeat(1e-6 * np.exp(0.1 * np.arange(101))[None, None], 3, axis=1)  # of a move a hundredth as large
    dataset = known(np.zeros((2, 3, 6))).assign(
        near_change=(("episode", "horizon"), starts * growth),
        distance=(("pair", "episode", "step"), parting),
        step=np.arange(101),
    )
    found = near_amplification(dataset)
    assert found is not None
    assert (found.first, found.last) == (10, 50)
    # A hundred times as far apart is ln 100 / 0.1 = 46 steps earlier.
    sooner = near_amplification(dataset.assign(rate_last=("pair", [80])))
    assert sooner is not None
    assert sooner.last == 20
    assert near_amplification(dataset.assign(rate_last=("pair", [60]))) is None
    unsure = near_amplification(dataset.assign(exponent_low=("pair", [np.nan])))
    assert unsure is not None
    assert unsure.predicted.value == pytest.approx(found.predicted.value)
    assert np.isnan(unsure.predicted.low)
    assert found.measured.value == pytest.approx(found.predicted.value)
    uneven = starts * growth ** np.array([[1.0], [0.8], [1.1]])
    found = near_amplification(dataset.assign(near_change=(("episode", "horizon"), uneven)))
    assert found is not None
    assert found.measured.value == pytest.approx(0.5 * np.log(np.divide(*np.mean(uneven**2, axis=0)[[4, 2]])))
    assert found.measured.low < found.measured.value < found.measured.high


def test_the_ratio_of_rate_and_exponent_carries_both_intervals() -> None:
    dataset = known(np.zeros((2, 2, 6)))
    found = rate_ratio(dataset, "raw")
    assert found.value == pytest.approx(1.0)
    assert found.high - found.value == pytest.approx(np.hypot(0.3, 0.2))
    negative = {"exponent": -0.1, "exponent_low": -0.12, "exponent_high": -0.08, "rate": -0.2}
    stable = rate_ratio(known(np.zeros((2, 2, 6)), rate_low=-0.23, rate_high=-0.17, **negative), "raw")
    assert stable.value == pytest.approx(2.0)
    assert stable.low == pytest.approx(2.0 - 2.0 * np.hypot(0.15, 0.2))
    unsigned = rate_ratio(known(np.zeros((2, 2, 6)), exponent_low=-0.01), "raw")
    assert unsigned.value == pytest.approx(1.0)
    assert np.isnan(unsigned.low)
    assert np.isnan(rate_ratio(known(np.zeros((2, 2, 6)), rate=np.nan), "raw").value)


CHEETAH = dataclasses.replace(EXPERIMENT, task="HalfCheetah-v4", episodes=1, rollouts=1)


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    directory = tmp_path_factory.mktemp("run")
    run(CHEETAH, directory)
    options = {"averages": ("raw", "EMA 0.01"), "iterates": 3, "episodes": 3, "lyapunov_episodes": 2}
    return directory, horizon_data(directory, horizons=[3, 10, 40], fraction=1e-3, return_fraction=0.01, **options)


def test_returns_are_those_of_the_iterates_that_come_next(measured) -> None:
    directory, found = measured
    again, seeds = rebuild(directory, beyond=3), range(EVALUATION_SEED, EVALUATION_SEED + 3)
    assert found["iterate"].values.tolist() == [31, 32, 33]
    assert found["return"].dims == ("iterate", "average", "episode", "horizon")
    for i in range(3):
        again.cloning.advance(1)
        policies = [again.policy("raw"), again.policy("EMA 0.01")]
        for k, horizon in enumerate((3, 10, 40)):
            alone = evaluate(policies, again.task, seeds, max_steps=horizon)
            np.testing.assert_array_equal(found["return"].values[i, :, :, k], alone.returns)
    returns = found["return"].sel(average="EMA 0.01", horizon=40)
    assert float(found["spread"].sel(average="EMA 0.01", horizon=40)) == pytest.approx(
        np.sqrt(np.mean(returns.values.std(axis=0, ddof=1) ** 2))
    )
    mean = returns.mean("episode").std("iterate", ddof=1)
    assert float(found["mean_spread"].sel(average="EMA 0.01", horizon=40)) == pytest.approx(float(mean))
    assert (found["length"] == 40).all()
    assert not found["fallen"].any()


def test_the_seed_of_the_learner_is_that_of_the_run(measured) -> None:
    with pytest.raises(ValueError, match="seed must be None for a run of one seed, got 3"):
        horizon_data(measured[0], seed=3)


def test_neighbours_and_exponents_are_those_measured_alone(measured) -> None:
    directory, found = measured
    again, seeds = rebuild(directory, beyond=1), list(range(EVALUATION_SEED, EVALUATION_SEED + 3))
    before = {name: again.policy(name) for name in ("raw", "EMA 0.01")}
    again.cloning.advance(1)
    assert found["pair"].values.tolist() == ["raw", "EMA 0.01", "raw, 0.001 of the step"]
    for name, policy in before.items():
        apart = divergence(policy, again.policy(name), again.task, seeds, steps=40)
        np.testing.assert_array_equal(found["distance"].sel(pair=name), apart)
        alone = lyapunov_spectrum(policy, again.task, seeds[:2], steps=40, every=10)
        one = found.sel(pair=name)
        assert float(one["exponent"]) == alone.exponents[0]
        assert float(one["exponent_error"]) == alone.standard_errors[0]
        assert (float(one["exponent_low"]), float(one["exponent_high"])) == tuple(b[0] for b in alone.interval(0.95))
    near = found.sel(pair="raw, 0.001 of the step")
    exact = before["raw"].astype(np.float64)
    moved = displaced(exact, [path_direction(before["raw"], again.policy())], [1e-3])
    np.testing.assert_array_equal(near["distance"], divergence(exact, moved, again.task, seeds, steps=40))
    moved = displaced(exact, [path_direction(before["raw"], again.policy())], [0.01])
    returns = evaluate([exact, moved], again.task, seeds, max_steps=40).returns
    np.testing.assert_array_equal(found["near_change"].sel(horizon=40), returns[1] - returns[0])
    assert float(near["exponent"]) == float(found["exponent"].sel(pair="raw"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"averages": ()}, r"averages must be names without repetition, at least one, got \[\]"),
        ({"averages": ("raw", "raw")}, "averages must be names without repetition"),
        ({"iterates": 1}, "iterates must be an integer at least 2, got 1"),
        ({"episodes": 1}, "episodes must be an integer at least 2, got 1"),
        ({"lyapunov_episodes": 9}, "lyapunov_episodes must be an integer from 2 to 8, got 9"),
        ({"horizons": [10, 10]}, "horizons must ascend"),
        ({"horizons": [0, 10]}, r"horizons\[0\] must be an integer at least 1, got 0"),
        ({"level": 1.0}, r"level must be a number in \(0, 1\), got 1.0"),
        ({"fraction": 0.0}, r"fraction must be a number in \(0, 1\), got 0.0"),
        ({"return_fraction": 1.0}, r"return_fraction must be a number in \(0, 1\), got 1.0"),
    ],
)
def test_bad_arguments_are_named_before_the_run_is_brought_back(change, message) -> None:
    with pytest.raises(ValueError, match=message):
        horizon_data("nowhere", **change)


def test_what_a_dataset_does_not_hold_is_refused() -> None:
    dataset = known(noise() * np.ones(6))
    with pytest.raises(ValueError, match=r"two ascending ones of \[2, 5, 10, 20, 50, 100\], got 5 and 7"):
        horizon_slope(dataset, "raw", 5, 7)
    with pytest.raises(ValueError, match="ascending"):
        horizon_slope(dataset, "raw", 20, 20)
    with pytest.raises(ValueError, match=r"average must be one of \['raw'\], got 'EMA'"):
        amplification(dataset, "EMA")

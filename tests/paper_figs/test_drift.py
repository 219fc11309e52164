"""The figure of the drifting optimum: simulated against exact, rules, fits, and the data that ship with it."""

import numpy as np
import pytest
import xarray as xr

import gvatheory as gva
from neural.runs import load_dataset
from paper_figs import drift
from paper_figs.gallery import FIGURES
from tests.budget import Z, assert_mean

TINY = {"steps": 200, "rates": 3, "trials": 600, "power_trials": 800, "horizons": (1000,), "fine": (1000,)}


@pytest.fixture(scope="module")
def tiny() -> xr.Dataset:
    return drift.data(seed=3, **TINY)


@pytest.fixture(scope="module")
def shipped() -> xr.Dataset:
    file = FIGURES["drift"].shipped
    assert file is not None
    return load_dataset(file)


def test_simulated_errors_are_those_of_the_exact_law(tiny: xr.Dataset) -> None:
    log_error = np.log(tiny["mse_high"].values / tiny["mse_simulated"].values) / 1.96
    off = np.abs(np.log(tiny["mse_simulated"].values / tiny["mse_exact"].values))
    assert np.all(off <= Z * log_error)
    # SGD alone, hardly any drift: the square of a normal variate has a relative standard deviation of √2.
    assert log_error[0, -1] == pytest.approx(np.sqrt(2 / TINY["trials"]), rel=0.3)
    np.testing.assert_allclose(np.log(tiny["mse_simulated"] / tiny["mse_low"]) / 1.96, log_error, rtol=1e-9)


def test_exact_errors_agree_with_sgd_behind_a_moving_optimum() -> None:
    """A loop of its own, the gradient taken before the optimum moves."""
    rng, gamma, steps, trials, v = np.random.default_rng(0), 0.1, 60, 4000, 0.05
    step = drift.STEP_SIZE
    optimum, theta = 0.0, np.full(trials, -v / step)
    average = theta.copy()
    for _ in range(steps):
        theta = theta - step * (theta - optimum + rng.standard_normal(trials))
        optimum += v
        average += gamma * (theta - average)
    assert_mean((average - optimum) ** 2, float(drift.ema_error(v, gamma, steps)["mse"]))


def test_the_best_simulated_exponents_are_the_exact_ones(tiny: xr.Dataset, shipped: xr.Dataset) -> None:
    for dataset in (tiny, shipped):
        inside = dataset["alpha_exact"].values < 1.0
        off = abs(dataset["alpha_simulated"] - dataset["alpha_exact"]).values[inside]
        assert np.all(off <= Z * dataset["alpha_error"].values[inside])
    assert shipped["alpha_error"].values.max() < 0.01


def test_exact_exponents_have_no_neighbour_with_less_error() -> None:
    slowings = (0.0, 0.9)
    for slowing, best in zip(slowings, drift.exact_exponents([0.02], slowings, [200])[0, :, 0], strict=True):
        at, *beside = (float(drift.power_error(200, 0.02, slowing, best + d)["mse"]) for d in (0.0, -0.004, 0.004))
        assert at < min(beside)
        alphas = np.linspace(best - 0.15, min(best + 0.15, 1.0), 11)
        errors = np.array([float(drift.power_error(200, 0.02, slowing, a)["mse"]) for a in alphas])
        assert drift.lowest(alphas, errors) == pytest.approx(best, abs=1e-3)


def test_rules(shipped: xr.Dataset) -> None:
    # τ* = (1/(2v))^{2/3}, less 3 steps at k = 1/4; at v = 0.1 averaging does not pay.
    np.testing.assert_allclose(1 / shipped["rule_gamma"][:3], (0.5 / shipped["drift"][:3]) ** (2 / 3) - 3, rtol=1e-12)
    assert shipped["rule_gamma"][3] == 1.0
    memory = (0.5 / 0.02) ** (2 / 3) * 1000.0**0.4 - 3
    assert drift.rule_exponent(0.02, 0.6, 1000) == pytest.approx(np.log(memory) / np.log(1000))
    assert np.all(shipped["rule_mse"] < 1.005 * shipped["mse_fine"].min("fine_gamma"))


def test_fitted_exponents_of_exact_memories_are_two_thirds_of_beta(shipped: xr.Dataset) -> None:
    late = shipped.sel(fine_horizon=shipped["fine_horizon"] >= 10_000)
    exact = late[["alpha_fine", "case_slowing"]].rename(fine_horizon="horizon", alpha_fine="alpha_simulated")
    exact["alpha_error"] = xr.full_like(exact["alpha_simulated"], 1e-3)
    for case in range(3, 7):
        found = drift.growth(exact, case)
        assert found.fitted == pytest.approx(found.predicted, abs=0.012)
        seen = drift.growth(shipped, case)
        assert abs(seen.fitted - seen.predicted) < Z * seen.error + 0.012
        assert seen.error < 0.02


def test_shipped_data_are_those_of_their_seed(shipped: xr.Dataset) -> None:
    a = shipped.attrs
    assert a["preset"] == "full"
    one = shipped.sel(drift=1e-2).isel(gamma=-3)
    exact = drift.ema_error(1e-2, float(one["gamma"]), int(a["steps"]))["mse"]
    assert float(one["mse_exact"]) == pytest.approx(float(exact), rel=1e-9)
    stream = int(np.random.SeedSequence([a["seed"], 0, 2]).generate_state(1)[0])
    start = -1e-2 / drift.STEP_SIZE
    average = gva.EMA(float(one["gamma"]))
    errors = gva.simulate(
        drift.moving(1e-2), gva.Constant(0.25), average, int(a["steps"]), start, int(a["trials"]), stream
    )
    assert float(one["mse_simulated"]) == pytest.approx(float(np.mean(errors**2)), rel=1e-9)
    exponents = drift.exact_exponents([0.02], [0.3], [300])
    np.testing.assert_allclose(shipped["alpha_exact"].sel(horizon=300)[4], exponents[0, 0, 0], rtol=1e-6)


def test_draws_and_says_what_it_holds(shipped: xr.Dataset) -> None:
    figure, text = drift.draw(shipped), drift.caption(shipped)
    assert [axes.get_title(loc="left")[0] for axes in figure.axes] == ["A", "B", "C"]
    slope = drift.growth(shipped, 6)
    for part in (f"{slope.fitted:.3f} ± {1.96 * slope.error:.3f}", "seed 0", f"{shipped.attrs['trials']:,} runs"):
        assert part in text


def test_unknown_presets_and_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="preset must be one of"):
        drift.data("huge")
    with pytest.raises(ValueError, match="sizes may override"):
        drift.data(depth=3)

"""The rates of averages: exact against simulated, the exponents, and what ships."""

import numpy as np
import pytest

from gvatheory import closed_forms
from paper_figs import ema_rates, style
from paper_figs.gallery import data_of
from tests.budget import Z

UNIFORM = ema_rates.UNIFORM


@pytest.fixture(scope="module")
def small():
    return ema_rates.data(doublings=6, trials=400, seed=3)


@pytest.fixture(scope="module")
def shipped():
    return data_of("ema-rates", None, False, "quick", 0)


def test_simulated_errors_agree_with_the_exact_law(small, shipped) -> None:
    for dataset in (small, shipped):
        exact = dataset.sel(fine_steps=dataset["steps"].values)
        normal = np.log(dataset["variance_simulated"].values / exact["variance_exact"].values)
        # Of a normal sample's log variance, with a little more for the skewness of χ² at the smaller size.
        assert np.abs(normal).max() < 1.2 * Z * np.sqrt(2.0 / (dataset.attrs["trials"] - 1))
        assert np.abs(dataset["bias_score"].values).max() < Z
        total = exact["variance_exact"] + exact["squared_bias_exact"]
        np.testing.assert_allclose(exact["error_exact"], total, rtol=1e-12)
        cost = exact["error_exact"] / exact["error_exact"].sel(average=UNIFORM)
        logs = [np.log(dataset[f"cost_{part}"].values) for part in ("low", "high")]
        middle, half = 0.5 * (logs[0] + logs[1]), 0.5 * (logs[1] - logs[0]) / 1.96
        off = np.abs(middle - np.log(cost.values))
        assert np.all(off < 1.3 * Z * half + 1e-12)
        assert np.all(dataset["cost_simulated"].sel(average=UNIFORM) == 1.0)


def test_intervals_cover(shipped) -> None:
    exact = shipped.sel(fine_steps=shipped["steps"].values)["variance_exact"].values
    inside = (shipped["variance_low"].values < exact) & (exact < shipped["variance_high"].values)
    # All averages at one T share their noise: of so few independent values, no more than this can be asked.
    assert 0.8 < inside.mean() <= 1.0


def test_exponents_are_those_of_the_law_over_the_same_steps_and_near_the_limit(shipped) -> None:
    off = np.abs(shipped["exponent_simulated"] - shipped["exponent_exact"]) / (shipped["exponent_half"] / 1.96)
    assert float(off.max()) < Z
    at_large_step = shipped["exponent_exact"].sel(step_size=0.5)
    for name, (_, limit) in ema_rates.AVERAGES.items():
        assert float(at_large_step.sel(average=name)) == pytest.approx(limit, abs=0.04)
    last = shipped["variance_exact"].isel(fine_steps=-1).sel(step_size=0.5)
    steps = int(shipped["fine_steps"][-1])
    law = closed_forms.power_ema_variance(steps, 0.5, 0.5, 1.0, 1.0)
    assert float(last.sel(average="power EMA, α = 1/2")) == pytest.approx(float(law), rel=0.02)


def test_the_uniform_average_loses_early_and_burn_in_restores_it(shipped) -> None:
    error = shipped["error_exact"].sel(step_size=0.05)
    cost = error / error.sel(average=UNIFORM)
    power = cost.sel(average="power EMA, α = 3/4").values
    assert power.min() < 0.1 < 3.0 < power[-1]
    others = error.drop_sel(average=f"Polyak, burn-in {ema_rates.BURN_IN}")
    assert float(error.sel(average=f"Polyak, burn-in {ema_rates.BURN_IN}")[-1]) < float(others.min())


def test_what_ships_is_what_the_seed_gives(small, shipped) -> None:
    again = ema_rates._simulated(16, int(shipped.attrs["trials"]), ema_rates.stream(0, 2), shipped)
    np.testing.assert_allclose(again["variance_simulated"], shipped["variance_simulated"].sel(steps=16), rtol=1e-9)
    np.testing.assert_allclose(again["error_simulated"], shipped["error_simulated"].sel(steps=16), rtol=1e-9)
    common = [t for t in small["fine_steps"].values if t in shipped["fine_steps"].values]
    assert len(common) > 10
    for name in ("variance_exact", "squared_bias_exact", "error_exact"):
        ours, theirs = (d[name].sel(fine_steps=common).values for d in (small, shipped))
        np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-300)
    assert (shipped.attrs["preset"], int(shipped.attrs["seed"])) == ("full", 0)


def test_the_picture_and_its_caption(small, shipped, tmp_path) -> None:
    figure = ema_rates.draw(small)
    assert all(path.stat().st_size > 10_000 for path in style.save(figure, tmp_path / "rates"))
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles[0] == "A  Variance, ηλ = 0.5"
    assert titles[5] == "F  Mean-square error, ηλ = 0.05"
    line = figure.axes[0].get_lines()[0].get_ydata()
    np.testing.assert_array_equal(line, small["variance_exact"].sel(step_size=0.5, average="last iterate"))
    text = ema_rates.caption(small)
    assert "400 runs for each T = 4, ..., 64, seed 3" in text
    fitted = float(shipped["exponent_simulated"].sel(step_size=0.5, average="power EMA, α = 3/4"))
    assert f"α = 3/4: −{-fitted:.3f} ± " in ema_rates.caption(shipped)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ema_rates.data("slow"), "preset must be one of"),
        (lambda: ema_rates.data(cells=3), "sizes may override"),
        (lambda: ema_rates.data(trials=2), "trials must be an integer at least 10"),
        (lambda: ema_rates.data(seed=-1), "seed must be an integer at least 0"),
    ],
)
def test_bad_input_is_named(call, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()

"""Exponents over the horizon: exact against roll-outs and quadrature, the limits, and what ships."""

import numpy as np
import pytest
from numpy.polynomial.hermite_e import hermegauss

from paper_figs import horizon_exponents, style
from paper_figs.gallery import data_of
from tests.budget import Z


@pytest.fixture(scope="module")
def small():
    return horizon_exponents.data(doublings=5, trials=400, seed=2)


@pytest.fixture(scope="module")
def shipped():
    return data_of("horizon-exponents", None, False, "quick", 0)


def test_roll_outs_agree_with_the_exact_law(small, shipped) -> None:
    for dataset in (small, shipped):
        assert np.abs(dataset["std_score"].values).max() < Z
        score = np.log(dataset["std_simulated"] / dataset["std_exact"]) / dataset["std_relative_error"]
        np.testing.assert_allclose(score, dataset["std_score"], rtol=1e-9)
    inside = (shipped["std_low"] < shipped["std_exact"]) & (shipped["std_exact"] < shipped["std_high"])
    cells = inside.size
    assert abs(float(inside.mean()) - 0.95) < Z * np.sqrt(0.95 * 0.05 / cells)


@pytest.mark.parametrize("name", horizon_exponents.LOOPS)
def test_the_exact_spread_is_that_of_quadrature(name: str) -> None:
    loop, gain_error, horizon = horizon_exponents.LOOPS[name], 0.05, 6
    nodes, weights = hermegauss(2 * horizon)
    values = []
    for node in nodes:
        x, total = horizon_exponents.START, 0.0
        for _ in range(horizon):
            total -= x @ x
            x = (loop.closed_loop + gain_error * node * loop.direction) @ x
        values.append(total)
    weights = weights / weights.sum()
    mean = weights @ values
    std = np.sqrt(weights @ (np.array(values) - mean) ** 2)
    assert horizon_exponents.spread(loop, gain_error, np.array([horizon]))[0] == pytest.approx(std, rel=1e-10)


def test_fitted_exponents_are_those_of_the_law_and_near_the_limits(shipped) -> None:
    off = (shipped["exponent_simulated"] - shipped["exponent_exact"]) / (shipped["exponent_half"] / 1.96)
    assert float(np.abs(off).max()) < Z
    near = np.abs(shipped["exponent_exact"] - shipped["power"])
    assert dict(zip(shipped["loop"].values.tolist(), shipped["power"].values.tolist(), strict=True)) == {
        "stable, |a| = 0.9": 0.0,
        "marginal, normal": 2.0,
        "Jordan, coupling": 3.0,
        "Jordan, eigenvalue moved": 4.0,
        "Jordan, random direction": 5.0,
        "unstable, |a| = 1.05": 1.0,
    }
    assert float(near.max()) < 0.12
    local = shipped["local_exact"].isel(every_horizon=-1)
    last = float(shipped["every_horizon"][-1])
    limit = shipped["power"] + shipped["log_growth"] * last
    assert float(np.abs(local - limit).max()) < 0.06


def test_where_the_power_ends(shipped) -> None:
    for name in horizon_exponents.BEYOND:
        ratio = shipped["ratio_exact"].sel(beyond=name).isel(larger=-1).values
        assert ratio[0] == pytest.approx(1.0, abs=0.02)
        assert ratio.max() > 10.0
    assert 0.1 < horizon_exponents.power_end(shipped, "marginal, normal") < 1.0
    assert 1.0 < horizon_exponents.power_end(shipped, "Jordan, random direction") < 10.0


def test_what_ships_is_what_the_seed_gives(small, shipped) -> None:
    name, trials = "Jordan, random direction", int(shipped.attrs["trials"])
    place = list(horizon_exponents.LOOPS).index(name)
    value, relative = horizon_exponents.rolled_out_spread(
        horizon_exponents.LOOPS[name], 8, trials, horizon_exponents.stream(0, place, 4)
    )
    cell = shipped.sel(loop=name, horizon=8)
    assert value == pytest.approx(float(cell["std_simulated"]), rel=1e-9)
    assert relative == pytest.approx(float(cell["std_relative_error"]), rel=1e-9)
    common = small["horizon"].values
    np.testing.assert_allclose(small["std_exact"], shipped["std_exact"].sel(horizon=common), rtol=1e-9)
    local = shipped["local_exact"].sel(every_horizon=small["every_horizon"].values)
    np.testing.assert_allclose(small["local_exact"], local, rtol=1e-9, atol=1e-12)
    assert (shipped.attrs["preset"], int(shipped.attrs["seed"])) == ("full", 0)


def test_the_picture_and_its_caption(small, tmp_path) -> None:
    figure = horizon_exponents.draw(small)
    assert all(path.stat().st_size > 10_000 for path in style.save(figure, tmp_path / "exponents"))
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles == [
        "A  Spread of reward, s = 1e-06",
        "B  Local exponent; dashed: predicted",
        "C  Where the power ends",
    ]
    np.testing.assert_array_equal(figure.axes[0].get_lines()[0].get_ydata(), small["std_exact"][0])
    text = horizon_exponents.caption(small)
    assert "400 gain errors for each horizon" in text
    assert "seed 2" in text
    assert f"random direction: {float(small['exponent_simulated'][4]):.3f} ± " in text


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: horizon_exponents.data("slow"), "preset must be one of"),
        (lambda: horizon_exponents.data(doublings=1), "doublings must be an integer at least 4"),
        (lambda: horizon_exponents.data(seed=-1), "seed must be an integer at least 0"),
    ],
)
def test_bad_input_is_named(call, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()

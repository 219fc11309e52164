"""Decay or average: exact against simulated, the exponents, the drift that decides, and what ships."""

import numpy as np
import pytest

from gvatheory import closed_forms
from paper_figs import decay_experiments, decay_or_average, style
from paper_figs.gallery import data_of
from paper_figs.simulated_points import stream
from tests.budget import Z

PARTS = ("run", "scale", "cooled", "drift")


@pytest.fixture(scope="module")
def shipped():
    return data_of("decay-or-average", None, False, "quick", 0)


def test_simulated_errors_agree_with_the_exact_law(shipped) -> None:
    for name in PARTS:
        assert np.abs(shipped[f"{name}_score"].values).max() < Z
        score = np.log(shipped[f"{name}_simulated"] / shipped[f"{name}_at"]) / shipped[f"{name}_relative_error"]
        np.testing.assert_allclose(score, shipped[f"{name}_score"], rtol=1e-9)
        low, high = (shipped[f"{name}_{part}"].values for part in ("low", "high"))
        assert np.mean((low < shipped[f"{name}_at"].values) & (shipped[f"{name}_at"].values < high)) > 0.8


def test_exponents_are_those_of_the_law_and_near_the_limits(shipped) -> None:
    for name in ("run", "cooled"):
        off = shipped[f"{name}_exponent"] - shipped[f"{name}_exponent_exact"]
        assert float(np.abs(off / (shipped[f"{name}_exponent_half"] / 1.96)).max()) < Z
        near = np.abs(shipped[f"{name}_exponent_exact"] - shipped[f"{name}_exponent_limit"])
        # Polyak's average has not quite forgotten its start.
        assert float(near.max()) < (0.15 if name == "run" else 0.03)
    limits = dict(zip(shipped["cooled"].values.tolist(), shipped["cooled_exponent_limit"].values.tolist(), strict=True))
    assert limits["cool-down, linear"] == -1 / 2
    assert limits["cool-down, p = 1/2"] == pytest.approx(-1 / 3)
    assert limits["cool-down, p = 2"] == limits["cool-down, cosine"] == pytest.approx(-2 / 3)


def test_leading_terms_of_decays_and_cool_downs(shipped) -> None:
    steps = int(shipped.attrs["scale_steps"])
    scales = shipped["fine_scale"].values
    large = scales > 1.5
    limit = steps * closed_forms.inverse_time_variance(float(steps), scales[large], 1.0, 1.0)
    np.testing.assert_allclose(shipped["scale_exact"].values[large], limit, rtol=0.02)
    length, step = int(shipped["length"][-1]), decay_experiments.COOLING_STEP
    for name, power, factor in (("linear", 1.0, 1.0), ("p = 2", 2.0, 1.0), ("cosine", 2.0, np.pi**2 / 4)):
        lead = 0.5 * factor * step * closed_forms.cooldown_scaling(factor * step, 1.0, float(length), power)
        left = float(shipped["cooled_at"].sel(cooled=f"cool-down, {name}", length=length))
        assert left == pytest.approx(float(lead), rel=0.06)


def test_drift_decides_between_the_bounds_of_a5(shipped) -> None:
    low, high = decay_or_average.drift_bounds()
    assert low < decay_or_average.crossing(shipped) < high
    ratio = shipped["drift_exact"].sel(drifted="cool-down, linear") / shipped["drift_exact"].sel(
        drifted="average of the last N"
    )
    drift = shipped["fine_drift"].values
    assert np.all(ratio.values[drift < low] > 1.0)
    assert np.all(ratio.values[drift > high] < 1.0)
    best = shipped["drift_exact"].sel(drifted=decay_experiments.BEST_EMA)
    assert np.all(best <= 1.02 * shipped["drift_exact"].min("drifted"))


def test_what_ships_is_what_the_seed_gives(shipped) -> None:
    trials = int(shipped.attrs["trials"])
    parts = decay_experiments.experiments(int(shipped.attrs["scale_steps"]))
    assert [part.name for part in parts] == list(PARTS)
    for number, place in ((0, 0), (1, 3), (2, 1)):
        part = parts[number]
        x = shipped[part.axis].values[place]
        exact = part.exact(x)[1]
        one = shipped.isel({part.axis: place})
        np.testing.assert_allclose(np.ravel(one[f"{part.name}_at"]), exact, rtol=1e-9)
        if number != 1:  # the scale's runs are long
            value, relative = part.simulated(x, trials, stream(0, number, place))
            np.testing.assert_allclose(np.ravel(one[f"{part.name}_simulated"]), value, rtol=1e-9)
            np.testing.assert_allclose(np.ravel(one[f"{part.name}_relative_error"]), relative, rtol=1e-9)
    drift = float(shipped["drift"][4])
    np.testing.assert_allclose(shipped["drift_at"].isel(drift=4), parts[3].exact(drift)[1], rtol=1e-9)
    assert (shipped.attrs["preset"], int(shipped.attrs["seed"])) == ("full", 0)


@pytest.mark.slow
def test_data_at_another_seed_agree_too() -> None:
    small = decay_or_average.data(doublings=8, trials=400, seed=4)
    for name in PARTS:
        # At so few runs a squared error's mean is skew.
        assert np.abs(small[f"{name}_score"].values).max() < 1.3 * Z
    assert "400 runs each, seed 4" in decay_or_average.caption(small)


def test_the_picture_and_its_caption(shipped, tmp_path) -> None:
    figure = decay_or_average.draw(shipped)
    assert all(path.stat().st_size > 10_000 for path in style.save(figure, tmp_path / "decay"))
    assert [axes.get_title(loc="left")[:2] for axes in figure.axes] == ["A ", "B ", "C ", "D ", "E ", "F "]
    line = figure.axes[4].get_lines()[0].get_ydata()
    np.testing.assert_array_equal(line, shipped["drift_exact"].sel(drifted="last iterate"))
    text = decay_or_average.caption(shipped)
    assert f"{shipped.attrs['trials']:,} runs each, seed 0" in text
    fitted = float(shipped["cooled_exponent"].sel(cooled="cool-down, cosine"))
    assert f"cool-down, cosine: −{-fitted:.3f} ± " in text


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: decay_or_average.data("slow"), "preset must be one of"),
        (lambda: decay_or_average.data(doublings=3), "doublings must be an integer at least 8"),
        (lambda: decay_or_average.data(cells=3), "sizes may override"),
        (lambda: decay_or_average.data(seed=-1), "seed must be an integer at least 0"),
    ],
)
def test_bad_input_is_named(call, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()

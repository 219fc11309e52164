"""Paths of averages: exact against simulated, and what ships."""

import numpy as np
import pytest

from gvatheory import closed_forms
from paper_figs import average_paths, style
from paper_figs.gallery import data_of
from tests.budget import Z


@pytest.fixture(scope="module")
def small():
    return average_paths.data(doublings=6, trials=400, seed=3)


@pytest.fixture(scope="module")
def shipped():
    return data_of("average-paths", None, False, "quick", 0)


def test_simulated_points_agree_with_the_exact_lines(small, shipped) -> None:
    for dataset in (small, shipped):
        for name in ("autocorrelation", "window"):
            low, value, high, exact = (dataset[f"{name}_{k}"].values for k in ("low", "simulated", "high", "exact"))
            scale = np.log if name == "window" else np.asarray  # of which the interval is symmetric
            error = 0.5 * (scale(high) - scale(low)) / 1.96
            # A mean square of few samples is skewed: a quarter more than a normal one is allowed.
            assert np.abs((scale(value) - scale(exact)) / error).max() < 1.25 * Z
        for name in ("seeds", "window"):
            exact = dataset[f"relative_{name}_exact"]
            for rate in (1.0, 0.05, 0.005):
                one = dataset.sel(rate=rate)
                low, high = (float(one[f"relative_{name}_{k}"]) for k in ("low", "high"))
                expected = float(np.exp(np.interp(np.log(rate), np.log(exact["fine_rate"]), np.log(exact))))
                middle, half = np.log(low * high) / 2, np.log(high / low) / 2 / 1.96
                assert abs(middle - np.log(expected)) < 1.25 * Z * half + 1e-3  # of the interpolation


def test_the_window_is_the_sum_over_autocorrelations(small) -> None:
    for rate in average_paths.RATES:
        for count in small["count"].values[:5]:
            lags = np.arange(1, count)
            memory = closed_forms.autocorrelation(lags, average_paths.STEP_SIZE, average_paths.CURVATURE, rate)
            expected = 1.0 - 2.0 / (count - 1) * np.sum((1.0 - lags / count) * np.asarray(memory))
            assert float(small["window_exact"].sel(rate=rate, count=count)) == pytest.approx(expected, rel=1e-7)


def test_paths_are_averages_of_one_run(small) -> None:
    raw = small["path"].sel(rate=1.0).values
    for rate in average_paths.RATES[1:]:
        average = small["path"].sel(rate=rate).values
        np.testing.assert_allclose(np.diff(average), rate * (raw[1:] - average[:-1]), atol=1e-12)
    assert 0.3 < raw.std() < 1.7


def test_what_ships_is_what_the_seed_gives(shipped) -> None:
    rate, counts, lags = average_paths.RATES[1], shipped["count"].values, shipped["lag"].values
    again = average_paths._simulated(rate, lags, counts, int(shipped.attrs["trials"]), average_paths.stream(0, 2))
    for name in ("window_simulated", "autocorrelation_low", "relative_window_simulated"):
        np.testing.assert_allclose(again[name], shipped[name].sel(rate=rate), rtol=1e-9, atol=1e-12)
    assert (shipped.attrs["preset"], int(shipped.attrs["seed"])) == ("full", 0)


def test_the_picture_and_its_caption(small, shipped, tmp_path) -> None:
    figure = average_paths.draw(small)
    assert all(path.stat().st_size > 10_000 for path in style.save(figure, tmp_path / "paths"))
    np.testing.assert_array_equal(figure.axes[0].get_lines()[0].get_ydata(), small["path"].sel(rate=1.0))
    assert [axes.get_title(loc="left")[0] for axes in figure.axes] == list("ABCD")
    assert "400 independent runs of 64 updates for each average, seed 3" in average_paths.caption(small)
    assert "4.7 times smaller than the raw iterate's across runs" in average_paths.caption(shipped)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: average_paths.data("slow"), "preset must be one of"),
        (lambda: average_paths.data(cells=3), "sizes may override"),
        (lambda: average_paths.data(doublings=5), "doublings must be an integer at least 6"),
        (lambda: average_paths.data(seed=-1), "seed must be an integer at least 0"),
    ],
)
def test_bad_input_is_named(call, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()

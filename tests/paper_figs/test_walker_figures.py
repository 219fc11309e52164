"""The figures of one run of cloning: the same run in each, what surrounds its end is of its end, and what ships."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from neural.statistics import mean_estimate
from paper_figs import butterfly, gradient_noise, style
from paper_figs.gallery import data_of
from paper_figs.walker_run import AVERAGE
from tests.budget import assert_mean

RUN: dict[str, Any] = {"width": 8, "steps": 60, "demonstrated": 2}
AROUND: dict[str, Any] = {
    "every": 20,
    "window": 5,
    "rollouts": 3,
    "points": 5,
    "line_episodes": 2,
    "side": 3,
    "plane_episodes": 1,
}
FEWER: dict[str, Any] = AROUND | {"points": 3}


@pytest.fixture(scope="module")
def small(tmp_path_factory) -> tuple[xr.Dataset, list[tuple[int, int]], Path]:
    """A picture's data with the progress that was told, and the directory of its run."""
    told: list[tuple[int, int]] = []
    place = tmp_path_factory.mktemp("run") / "run"
    found = butterfly.data(seed=2, progress=lambda *at: told.append(at), directory=place, **RUN, **AROUND)
    return found, told, place


@pytest.fixture(scope="module")
def noise(small) -> xr.Dataset:
    return gradient_noise.data(seed=2, every=4, episodes=2, horizon=30, **RUN)


def test_the_landscape_is_centred_on_the_end_of_the_run(small) -> None:
    dataset, _, _ = small
    end = dataset.sel(iterate=RUN["steps"])
    for name in butterfly.CENTRES:
        line, plane = dataset.sel(centre=name, s=0.0), dataset.sel(centre=name, s0=0.0, s1=0.0)
        np.testing.assert_array_equal(line["line_return"], end["return"].sel(average=name)[:2])
        np.testing.assert_array_equal(plane["plane_return"], end["return"].sel(average=name)[:1])
        assert float(line["line_loss"]) == pytest.approx(float(end["loss"].sel(average=name)), rel=1e-5)
        # The line is the first side of the plane.
        side = dataset.sel(centre=name, s1=0.0)
        assert float(side["plane_loss"].sel(s0=1.5)) == pytest.approx(float(dataset["line_loss"].sel(centre=name)[-1]))
        assert np.ptp(dataset["plane_loss"].sel(centre=name, s0=0.0).values) > 0
    assert dataset["iterate"].values[dataset["window"].values == 1].tolist() == [56, 57, 58, 59, 60]
    assert dataset["iterate"].values[dataset["every"].values == 1].tolist() == [20, 40, 60]


def test_progress_climbs_to_its_end(small) -> None:
    _, told, _ = small
    done = [at for at, _ in told]
    assert done == sorted(done)
    assert told[-1] == (7 * 2 * 3 + 2 * 5 * 2 + 2 * 9, 7 * 2 * 3 + 2 * 5 * 2 + 2 * 9)


def test_a_finished_run_is_not_made_again(small) -> None:
    dataset, _, place = small
    checkpoint = place / "checkpoint.npz"
    before = checkpoint.stat().st_mtime_ns
    again = butterfly.data(seed=2, directory=place, **RUN, **FEWER)
    xr.testing.assert_equal(again[["return", "loss"]], dataset[["return", "loss"]])
    np.testing.assert_array_equal(again["line_loss"].sel(s=1.5), dataset["line_loss"].sel(s=1.5))
    with np.load(checkpoint, allow_pickle=False) as stored:
        assert int(stored["t"]) == RUN["steps"]
    assert checkpoint.stat().st_mtime_ns >= before


def test_both_figures_show_the_same_run(small, noise) -> None:
    dataset, _, _ = small
    for t in (20, 40, 60):
        for name in butterfly.CENTRES:
            ours, theirs = dataset["loss"].sel(iterate=t, average=name), noise["update_loss"].sel(update=t, kept=name)
            assert float(ours) == float(theirs)
    apart = float(noise["parameter_distance"].sel(pair="raw"))
    assert apart == pytest.approx(dataset.attrs["unit"])
    assert float(noise["distance_quantile"].isel(step=0).max()) == 0.0
    assert 0 < float(noise["parameter_distance"].sel(pair=AVERAGE)) < 0.1 * apart


def test_the_trace_is_that_of_sampled_gradients() -> None:
    rng = np.random.default_rng(0)
    curvature, error, label = np.array([2.0, 0.5, 0.1]), np.array([0.3, -1.0, 2.0]), 0.7
    x = np.sqrt(curvature) * rng.standard_normal((200, 1000, 3))
    residual = x @ error - np.sqrt(label) * rng.standard_normal((200, 1000))
    traces = np.var(residual[..., None] * x, axis=1, ddof=1).sum(axis=-1)
    assert_mean(traces, gradient_noise.gradient_noise_trace(curvature, error**2, label))


def test_regression_noise_is_proportional_to_its_loss_but_for_a_factor() -> None:
    exact = gradient_noise.exact_regression(0.4, 2000)
    curvature = 1.0 / np.arange(1, gradient_noise.FEATURES + 1)
    assert float(exact["regression_loss"][0]) == pytest.approx(1.4)
    ratio = exact["regression_noise"].values / exact["regression_loss"].values
    assert curvature.sum() < ratio.min() < ratio.max() < curvature.sum() + curvature.max()
    assert ratio[0] > 1.05 * ratio[-1]
    assert exact["regression_update"].values[[0, -1]].tolist() == [0, 2000]


def test_bins_hold_quartiles(noise) -> None:
    values = np.arange(noise.sizes["update"], dtype=float)
    at, (low, middle, high) = gradient_noise.binned(noise, values)
    assert at[0] == pytest.approx(4.0)
    assert np.all(np.diff(at) > 0)
    assert np.all((low <= middle) & (middle <= high))
    assert (middle[0], high[-1] > low[-1]) == (0.0, True)
    assert at[-1] <= RUN["steps"]


@pytest.mark.parametrize(("module", "panels"), [(butterfly, 9), (gradient_noise, 4)])
def test_pictures(small, noise, tmp_path, module, panels: int) -> None:
    dataset = small[0] if module is butterfly else noise
    figure = module.draw(dataset)
    assert all(path.stat().st_size > 10_000 for path in style.save(figure, tmp_path / "figure"))
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert sorted(title[0] for title in titles if title) == list("ABCDEF"[: 6 if panels == 9 else 4])
    text = module.caption(dataset)
    assert "3 layers of 8" in text
    assert "60 updates, seed 2" in text
    if module is butterfly:
        line = figure.axes[0].get_lines()[0]
        one = dataset["return"].sel(average="raw").isel(iterate=np.flatnonzero(dataset["every"].values)).values
        np.testing.assert_allclose(line.get_ydata(), [mean_estimate(row).value for row in one])


def test_what_ships_shows_the_effect() -> None:
    shipped = data_of("butterfly", None, False, "quick", 0)
    assert (shipped.attrs["preset"], int(shipped.attrs["seed"]), int(shipped.attrs["steps"])) == ("full", 0, 20_000)
    window = shipped.isel(iterate=np.flatnonzero(shipped["window"].values))
    means, loss = window["return"].mean("episode").std("iterate"), window["loss"].std("iterate") / window["loss"].mean()
    assert float(means.sel(average="raw")) > 50 * float(means.sel(average=AVERAGE))
    assert float(loss.sel(average="raw")) < 0.1
    noise = data_of("gradient-noise", None, False, "quick", 0)
    for t in shipped["iterate"].values[shipped["every"].values == 1]:
        ours = shipped["loss"].sel(iterate=t, average="raw")
        assert float(ours) == float(noise["update_loss"].sel(update=t, kept="raw"))
    loss_fall, noise_fall = gradient_noise.falls(noise)
    assert f"raw loss falls {loss_fall:.2f} times, the gradient noise {noise_fall:.2f} times" in gradient_noise.caption(
        noise
    )


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: butterfly.data("slow"), "preset must be one of"),
        (lambda: butterfly.data(seed=-1), "seed must be an integer at least 0"),
        (lambda: butterfly.data(steps=20, window=30), "window must be an integer .*, got 30"),
        (lambda: butterfly.data(line_episodes=1), "line_episodes must be an integer at least 2"),
        (lambda: gradient_noise.data(every=6000), "every must be an integer .*, got 6000"),
        (lambda: gradient_noise.data(cells=3), "sizes may override"),
    ],
)
def test_bad_input_is_named(call, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()

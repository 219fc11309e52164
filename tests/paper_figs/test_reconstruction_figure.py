"""Rebuilt averages: exact errors under their bounds, measured ones small where snapshots are dense, and what ships."""

from typing import Any

import numpy as np
import pytest

import gvatheory as gva
from paper_figs import reconstruction, style
from paper_figs.gallery import data_of

SMALL: dict[str, Any] = {"width": 8, "steps": 640, "demonstrated": 2, "snapshots": 20, "seeds": 2}


@pytest.fixture(scope="module")
def small():
    told: list[tuple[int, int]] = []
    found = reconstruction.data(seed=4, progress=lambda *at: told.append(at), **SMALL)
    assert told[-1] == (1280, 1280)
    return found


@pytest.fixture(scope="module")
def shipped():
    return data_of("reconstruction", None, False, "quick", 0)


def test_exact_errors_are_below_their_bounds_and_fall_with_more_snapshots(shipped) -> None:
    error, bound = shipped["error"].values, shipped["bound"].values
    known = np.isfinite(error)
    assert np.all(error[known] <= bound[known])
    assert known.sum() == len(reconstruction.KINDS) * (4 * 7 - 2)
    even = shipped.sel(kind="uniform")
    for name in ("one EMA", "two EMAs", "two power EMAs"):
        values = even["error"].sel(stored=name).dropna("count").values
        assert np.all(np.diff(values) < 0)
        assert values[-1] < 0.1 * values[0]
    assert float(even["error"].sel(stored="raw iterates", count=64)) > 0.5


def test_unconstrained_coefficients_are_the_projection() -> None:
    # The last iterate alone: its coefficient is the weight that the target gives it.
    found = reconstruction.unconstrained(gva.EMA(0.1), [(gva.LastIterate(), 50)], 50)
    assert found == pytest.approx([0.1])
    stored = [(gva.EMA(0.3), 20), (gva.EMA(0.02), 50)]
    kernels = np.zeros((51, 2))
    for column, (average, t) in zip(kernels.T, stored, strict=True):
        column[: t + 1] = average.kernel(t)
    missed = kernels @ reconstruction.unconstrained(gva.EMA(0.1), stored, 50) - gva.EMA(0.1).kernel(50)
    np.testing.assert_allclose(kernels.T @ missed, 0.0, atol=1e-12)


def test_the_quadratic_that_ships_is_computed_anew(shipped) -> None:
    again = reconstruction.quadratic_errors()
    for name in ("error", "bound"):
        np.testing.assert_allclose(again[name], shipped[name], rtol=1e-6)
    raw = shipped["excess"].sel(stored="raw iterates", count=1)
    np.testing.assert_allclose(raw, 1.0 - reconstruction.TARGET, rtol=1e-6)


def test_runs_are_rebuilt_better_from_denser_snapshots(small, shipped) -> None:
    for dataset in (small, shipped):
        errors = dataset["run_error"].transpose("every", "seed", "target").values
        assert np.all(errors > 0)
        assert np.all(errors[0] < errors[1])
        near = dataset["run_error"].isel(every=0).sel(target=0.002)
        assert float(near.max()) < 1e-3
    assert small["every"].values.tolist() == [20, 80, 320]
    assert small["seed"].values.tolist() == [4, 5]


def test_estimates_are_geometric_means_over_seeds(small) -> None:
    found = reconstruction.run_estimates(small, 80)
    values = small["run_error"].sel(every=80).values
    np.testing.assert_allclose([one.value for one in found], np.sqrt(values[0] * values[1]))
    assert all(one.low < one.value < one.high for one in found)
    alone = reconstruction.run_estimates(small.isel(seed=[0]), 80)
    assert [one.value for one in alone] == pytest.approx(values[0].tolist())
    assert np.isnan([one.low for one in alone]).all()


def test_the_picture_and_its_caption(small, shipped, tmp_path) -> None:
    figure = reconstruction.draw(small)
    assert all(path.stat().st_size > 10_000 for path in style.save(figure, tmp_path / "rebuilt"))
    first = figure.axes[0].get_lines()[0].get_ydata()
    np.testing.assert_array_equal(first, small["error"].sel(stored="one EMA", kind="uniform"))
    assert "seeds 4 to 5, 95 % t-intervals" in reconstruction.caption(small)
    assert "With two EMAs, 8 stored averages leave 2.7 % of the" in reconstruction.caption(shipped)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: reconstruction.data("slow"), "preset must be one of"),
        (lambda: reconstruction.data(seeds=0), "seeds must be an integer at least 1"),
        (lambda: reconstruction.data(steps=100, snapshots=10), "snapshots must be an integer .*, got 10"),
        (lambda: reconstruction.data(seed=-1), "seed must be an integer at least 0"),
    ],
)
def test_bad_input_is_named(call, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()

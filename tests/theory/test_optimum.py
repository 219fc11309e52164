"""Optima on grids and by gradient, against analytic ones."""

import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
import xarray as xr

import gvatheory as gva
from gvatheory import closed_forms
from gvatheory.optimum import grid_optimum, optimum


def tracking(step_size, gamma, drift=1e-3):
    """Mean squared error behind a drifting optimum: exact lag, variance to first order (curvature and noise 1)."""
    memory = closed_forms.time_constant(step_size, 1.0, gamma) - 1.0
    return {"error": 1.0 / (2.0 * memory) + (drift * memory) ** 2}


def finite_time(step_size, steps=200):
    law = gva.exact_law(gva.NoisyQuadratic(1.0, 1.0), gva.Constant(step_size), gva.LastIterate(), steps, 3.0)
    return {"error": law.covariance[0, 0] + law.mean[0] ** 2}


def bowl(x, y):
    return {"value": 2.0 + jnp.log(x / 3.0) ** 2 + 4.0 * jnp.log(y / 0.5) ** 2, "x": x}


@pytest.mark.parametrize("step_size", [0.05, 0.2, 1.5])
def test_best_rate_behind_a_drifting_optimum(step_size) -> None:
    """1/γ* = τ* + 1 − 1/k, proposition A3."""
    best = optimum(tracking, {"gamma": (1e-4, 1.0)}, {"step_size": step_size}, of="error")
    expected = float(closed_forms.optimal_gamma(step_size, 1.0, 1.0, 1e-3))
    assert best.location["gamma"] == pytest.approx(expected, rel=1e-7)
    assert best.value == pytest.approx(float(tracking(step_size, expected)["error"]), rel=1e-13)
    assert best.on_bound == {"gamma": False}
    assert best.gradient_norm < 1e-8 * best.value


def test_no_averaging_where_the_optimum_moves_too_fast() -> None:
    """τ* + 1 − 1/k is below one: γ* = 1, on the bound."""
    best = optimum(tracking, {"gamma": (1e-3, 1.0)}, {"step_size": 0.2, "drift": 0.2}, of="error")
    assert closed_forms.optimal_gamma(0.2, 1.0, 1.0, 0.2) == 1.0
    assert (best.location, best.on_bound, best.gradient_norm) == ({"gamma": 1.0}, {"gamma": True}, 0.0)


@pytest.mark.parametrize("steps", [50, 200])
def test_best_constant_step_balances_bias_and_variance(steps) -> None:
    """The root of the derivative of a^{2T} e_0² + k (1 − a^{2T}) / (2 − k), in high precision; k > 2 is unstable."""

    def error(k):
        return (1 - k) ** (2 * steps) * 9 + k * (1 - (1 - k) ** (2 * steps)) / (2 - k)

    with mpmath.workdps(40):
        root = mpmath.findroot(lambda k: mpmath.diff(error, k), (1.0 / steps, 10.0 / steps), solver="bisect")
        value = error(root)
    best = optimum(finite_time, {"step_size": (1e-4, 3.0)}, {"steps": steps}, of="error")
    assert best.location["step_size"] == pytest.approx(float(root), rel=1e-6)
    assert best.value == pytest.approx(float(value), rel=1e-12)


def test_two_parameters_and_either_direction_and_scale() -> None:
    bounds = {"x": (0.1, 50.0), "y": (0.01, 20.0)}
    for log in (True, False, ["x"]):
        best = optimum(bowl, bounds, of="value", log=log)
        np.testing.assert_allclose([best.location["x"], best.location["y"]], [3.0, 0.5], rtol=1e-5)
        assert best.value == pytest.approx(2.0, rel=1e-9)
    largest = optimum(bowl, bounds, of="value", maximise=True)
    assert largest.location == {"x": 0.1, "y": 0.01}
    assert largest.on_bound == {"x": True, "y": True}
    assert largest.value == pytest.approx(2.0 + np.log(0.1 / 3.0) ** 2 + 4.0 * np.log(0.02) ** 2, rel=1e-13)


def test_the_lower_of_two_valleys_is_found() -> None:
    def wells(x):
        u = jnp.log(x)
        return {"value": jnp.minimum(8.0 * (u + 2.0) ** 2, 30.0 * (u - 2.3) ** 2 - 0.1)}

    assert optimum(wells, {"x": (0.01, 100.0)}, of="value").location["x"] == pytest.approx(np.exp(2.3), rel=1e-6)


def test_gradient_and_grid_agree() -> None:
    best = optimum(finite_time, {"step_size": (1e-3, 1.9)}, of="error")
    grid = gva.sweep(finite_time, {"step_size": np.geomspace(1e-3, 1.9, 2000)})
    coarse, fine = (grid_optimum(grid, "error", "step_size", refine=refine) for refine in (False, True))
    assert abs(float(coarse["location"]) / best.location["step_size"] - 1.0) < 4e-3  # a cell
    # The parabola's error is of second order in the spacing: a few times (4e-3)².
    assert float(fine["location"]) == pytest.approx(best.location["step_size"], rel=1e-4)
    assert best.value <= float(coarse["value"]) <= best.value * (1.0 + 1e-5)
    assert abs(float(fine["value"]) - best.value) < 0.5 * abs(float(coarse["value"]) - best.value)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"bounds": {}}, ValueError, "bounds must name at least one parameter"),
        (
            {"bounds": {"x": (0.0, 1.0), "y": (0.1, 1.0)}},
            ValueError,
            r"bounds\['x'\] low must be a number in \(0, inf\)",
        ),
        (
            {"bounds": {"x": (1.0, 1.0), "y": (0.1, 1.0)}},
            ValueError,
            r"bounds\['x'\] high must be a number in \(1, inf",
        ),
        ({"bounds": {"x": (1.0, 2.0)}}, ValueError, "needs a value for its parameter 'y'"),
        ({"bounds": {"x": (1.0, 2.0)}, "fixed": {"z": 1}}, ValueError, "has no parameter 'z'"),
        ({"of": "variance"}, ValueError, r"of must be one of the function's results \['value', 'x'\]"),
        ({"log": ["z"]}, ValueError, r"log must name parameters of \['x', 'y'\]"),
        ({"starts": 0}, ValueError, "starts must be an integer at least 1"),
        ({"function": lambda x, y: {"value": float(x)}}, TypeError, "cannot be traced by JAX .* use sweep"),
        ({"function": lambda x, y: {"value": x * jnp.nan}}, ValueError, "finite nowhere"),
    ],
)
def test_bad_input_is_named(options, error, message) -> None:
    with pytest.raises(error, match=message):
        optimum(**{"function": bowl, "bounds": {"x": (0.1, 2.0), "y": (0.1, 2.0)}, "of": "value"} | options)


def test_an_optimum_that_the_function_rejects_is_reported() -> None:
    """Traced, an EMA of rate 1.5 has a variance; no such average exists."""

    def cell(gamma):
        law = gva.exact_law(gva.NoisyQuadratic(1.0, 1.0), gva.Constant(0.5), gva.EMA(gamma), 50, 0.0)
        return {"variance": law.covariance[0, 0]}

    with pytest.raises(ValueError, match=r"gamma must be a number in \[0, 1\].*where the search ended"):
        optimum(cell, {"gamma": (0.5, 1.5)}, maximise=True)


# ---------------------------------------------------------------------------------------------- grids


def dataset() -> xr.Dataset:
    x = np.array([4.0, 1.0, 2.0, 8.0, 16.0])
    y = np.array([2.0, 0.7, 4.0])
    values = np.log(x[:, None] / y) ** 2
    values[:, 2] += np.where(x == 2.0, np.nan, 0.0)
    return xr.Dataset({"v": (("x", "y"), values, {"units": "m"})}, {"x": ("x", x, {"units": "s"}), "y": y})


def test_grid_optimum_by_hand() -> None:
    best = grid_optimum(dataset(), "v", "x")
    np.testing.assert_array_equal(best["location"], [2.0, 1.0, 4.0])
    np.testing.assert_allclose(best["value"], [0.0, np.log(0.7) ** 2, 0.0], atol=1e-15)
    np.testing.assert_array_equal(best["on_edge"], [False, True, True])  # inside; first; next to a NaN
    assert best["value"].dims == ("y",)
    assert (best["location"].attrs["units"], best["value"].attrs["units"]) == ("s", "m")
    worst = grid_optimum(dataset(), "v", "x", maximise=True)
    np.testing.assert_array_equal(worst["location"], [16.0, 16.0, 1.0])  # of two that are equal, the first
    assert bool(worst["on_edge"].all())


def test_refinement_is_exact_for_a_parabola_on_its_scale() -> None:
    x = np.geomspace(1.0, 100.0, 8) * np.array([1, 1.1, 1, 1, 1.05, 1, 1, 1])
    places = np.array([1.5, 7.0, 60.0])
    logs = xr.Dataset({"v": (("x", "i"), 3.0 * np.log(x[:, None] / places) ** 2 + 1.0)}, {"x": x})
    best = grid_optimum(logs, "v", "x", refine=True)
    np.testing.assert_allclose(best["location"], places, rtol=1e-12)
    np.testing.assert_allclose(best["value"], 1.0, rtol=1e-12)
    places = np.array([3.0, 7.0, 60.0])
    linear = xr.Dataset({"v": (("x", "i"), 5.0 - (x[:, None] - places) ** 2)}, {"x": x})
    best = grid_optimum(linear, "v", "x", maximise=True, refine=True, log=False)
    np.testing.assert_allclose(best["location"], places, rtol=1e-10)
    np.testing.assert_allclose(best["value"], 5.0, rtol=1e-10)


def test_columns_without_numbers_have_no_optimum() -> None:
    empty = dataset()
    empty["v"][:, 1] = np.nan
    best = grid_optimum(empty, "v", "x", refine=True).isel(y=1)
    assert np.isnan(best["value"])
    assert np.isnan(best["location"])
    assert best["on_edge"]


def test_grid_optimum_names_what_does_not_fit() -> None:
    for arguments, message in (
        (("w", "x"), r"variable must be one of \['v'\], got 'w'"),
        (("v", "z"), r"axis must be one of \('x', 'y'\), got 'z'"),
    ):
        with pytest.raises(ValueError, match=message):
            grid_optimum(dataset(), *arguments)
    with pytest.raises(ValueError, match="axis 'x' must have numeric coordinates"):
        grid_optimum(dataset().assign_coords(x=list("abcde")), "v", "x")
    with pytest.raises(ValueError, match=r"axis 'x' must be positive for log=True, its smallest value is 0.0"):
        grid_optimum(dataset().assign_coords(x=np.arange(5.0)), "v", "x", refine=True)

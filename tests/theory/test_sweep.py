"""Sweeps: labels, engines that agree, noise and invalid cells."""

import inspect
import sys
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr

import gvatheory as gva
from gvatheory.validation import is_traced

STEP_SIZES, GAMMAS = np.geomspace(0.01, 1.5, 7), np.geomspace(0.01, 1.0, 5)


def stationary(step_size, gamma):
    law = gva.stationary_law(gva.NoisyQuadratic(1.0, 1.0), step_size, gva.EMA(gamma))
    return {"variance": law.covariance[0, 0], "sd": law.std[0]}


def finite_time(step_size, gamma, steps=100):
    law = gva.exact_law(gva.NoisyQuadratic(1.0, 1.0), gva.Constant(step_size), gva.EMA(gamma), steps, 1.0)
    return {"mean": law.mean[0], "variance": law.covariance[0, 0]}


def quadratic(x, y):
    return {"value": x**2 + y}


def noisy(step_size, seed):
    problem = gva.NoisyQuadratic(1.0, 1.0)
    samples = gva.simulate(problem, gva.Constant(step_size), gva.LastIterate(), 3, 0.0, 5, seed)
    return {"scaled": samples[0, 0] / step_size, "seed_of_cell": seed}


# ---------------------------------------------------------------------------------------------- labels and arguments


def test_sweep_fills_the_grid_with_labels_units_and_provenance() -> None:
    done = []
    grid = gva.sweep(
        lambda x, y: {"sum": x + y, "product": x * y},
        {"x": [1.0, 2.0, 3.0], "y": np.array([10.0, 20.0])},
        units={"x": "steps"},
        progress=lambda i, n: done.append((i, n)),
        attrs={"purpose": "test"},
    )
    assert grid["product"].dims == ("x", "y")
    np.testing.assert_array_equal(grid["sum"].sel(x=3.0), [13.0, 23.0])
    assert (grid["x"].attrs["units"], grid["y"].attrs["units"]) == ("steps", "1")
    assert "numpy" in grid.attrs["versions"]
    assert {"created", "function", "jax_enable_x64"} <= set(grid.attrs)
    assert (grid.attrs["purpose"], grid.attrs["engine"]) == ("test", "loop")
    assert done[-1] == (6, 6)


@pytest.mark.parametrize(
    ("axes", "message"),
    [
        ({}, "axes must name at least one axis"),
        ({"x": []}, r"axes\['x'\] must be a non-empty"),
        ({"x": [[1.0]]}, r"axes\['x'\] must be a non-empty one-dimensional sequence, got shape \(1, 1\)"),
        ({"x": [1.0, np.nan]}, r"axes\['x'\] must be finite, got nan"),
        ({"x": [1.0, 2.0, 1.0]}, r"axes\['x'\] must not repeat a value, got .*1.0"),
        ({"x": [1j]}, r"axes\['x'\] must hold numbers"),
    ],
)
def test_bad_axes_are_named(axes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        gva.sweep(lambda **_: {"v": 0.0}, axes)


@pytest.mark.parametrize(
    ("function", "options", "message"),
    [
        (3, {}, "function must be callable"),
        (quadratic, {}, "'quadratic' needs a value for its parameter 'y'"),
        (lambda y: {"v": y}, {}, "has no parameter 'x'"),
        (lambda x: {"v": x}, {"seed": 1}, "has no parameter 'seed'"),
        (lambda x, seed: {"v": x}, {}, "seed must be given"),
        (lambda x, seed: {"v": x}, {"seed": -1}, "seed must be an integer at least 0"),
        (lambda x: {"v": x}, {"engine": "fast"}, "engine must be one of"),
        (lambda x: {"v": x}, {"invalid": "drop"}, "invalid must be one of"),
        (lambda x: {"v": x}, {"chunk": 0}, "chunk must be an integer at least 1"),
        (lambda x: {"v": x}, {"processes": 2}, "processes needs engine='processes'"),
        (lambda x: {"v": x}, {"engine": "processes"}, "'.*<lambda>' cannot be sent to another process"),
        (lambda x: {"v": x}, {"store": "grid.txt"}, "store must end in .nc or .zarr"),
        (lambda x: {"v": x}, {"store": "grid.nc", "object": True}, "name the objects and look them up"),
    ],
)
def test_bad_options_are_named_before_any_work(function, options, message: str) -> None:
    axis = [object()] if options.pop("object", False) else [1.0]
    unchecked = inspect.unwrap(gva.sweep)  # the annotations that tests check would reject some of these first
    with pytest.raises(ValueError, match=message):
        unchecked(function, {"x": axis}, **options)


@pytest.mark.parametrize("engine", ["loop", "vectorised"])
def test_cells_must_agree_on_names_and_shapes(engine) -> None:
    with pytest.raises(ValueError, match=r"same names in every cell: \['b'\] at x=1"):
        gva.sweep(lambda x, y: {"a" if x < 1 else "b": y}, {"x": [0, 1], "y": [0.0, 1.0]}, engine=engine)
    with pytest.raises(ValueError, match=r"one shape in every cell: \(1,\) at x=1"):
        gva.sweep(
            lambda x, y: {"a": y + np.zeros(2 - x)},
            {"x": [0, 1], "y": [0.0, 1.0]},
            engine=engine,
            result_dims={"a": ["z"]},
        )
    with pytest.raises(TypeError, match="function must return a mapping of named numbers"):
        gva.sweep(lambda x: x, {"x": [0.5]}, engine=engine)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("engine", ["loop", "vectorised"])
def test_arrays_need_names_for_their_dimensions(engine) -> None:
    axes = {"x": [1.0, 2.0, 3.0]}
    with pytest.raises(ValueError, match=r"result 'powers' has shape \(2,\): result_dims"):
        gva.sweep(lambda x: {"powers": x ** np.arange(2.0)}, axes, engine=engine)
    grid = gva.sweep(lambda x: {"powers": x ** np.arange(2.0)}, axes, engine=engine, result_dims={"powers": ["p"]})
    assert grid["powers"].dims == ("x", "p")
    np.testing.assert_array_equal(grid["powers"], [[1.0, 1.0], [1.0, 2.0], [1.0, 3.0]])


# ---------------------------------------------------------------------------------------------- engines


@pytest.mark.parametrize("function", [stationary, finite_time])
@pytest.mark.parametrize("chunk", [None, 4])
def test_traced_and_called_cells_agree(function, chunk) -> None:
    axes = {"step_size": STEP_SIZES, "gamma": GAMMAS[::-1]}
    looped, traced = (gva.sweep(function, axes, engine=e, chunk=chunk) for e in ("loop", "vectorised"))
    assert (looped.attrs["engine"], traced.attrs["engine"]) == ("loop", "vectorised")
    xr.testing.assert_allclose(looped, traced, rtol=1e-12)
    assert gva.sweep(function, axes, chunk=chunk).attrs["engine"] == "vectorised"


def test_integer_and_string_axes_stay_concrete() -> None:
    """Also where they are not the first axes, and the cells of one compilation do not follow each other."""

    def cell(gamma, steps, kind, step_size):
        schedule = {"constant": gva.Constant(step_size), "linear": gva.Linear(step_size, steps)}[kind]
        law = gva.exact_law(gva.NoisyQuadratic(1.0, 1.0), schedule, gva.EMA(gamma), steps, 1.0)
        return {"variance": law.covariance[0, 0]}

    axes = {"gamma": GAMMAS[:4], "steps": [3, 20], "kind": ["linear", "constant"], "step_size": STEP_SIZES[:4]}
    looped, traced = (gva.sweep(cell, axes, engine=e) for e in ("loop", "auto"))
    assert traced.attrs["engine"] == "vectorised"
    xr.testing.assert_allclose(looped, traced, rtol=1e-12)


def test_auto_calls_what_cannot_be_traced_and_says_why() -> None:
    law = gva.Law(np.zeros(2), np.eye(2))
    axes = {"radius": np.linspace(0.5, 2.0, 20)}

    def cell(radius):
        return {"fall": gva.CliffBall(float(radius), 100.0).fall_probability(law)}

    grid = gva.sweep(cell, axes)
    assert grid.attrs["engine"] == "loop"
    assert "Concretization" in grid.attrs["engine_reason"]
    np.testing.assert_allclose(grid["fall"], np.exp(-(axes["radius"] ** 2) / 2), rtol=1e-9)
    with pytest.raises(TypeError, match=r"'.*cell' cannot be vectorised: Concretization.*use engine='loop'"):
        gva.sweep(cell, axes, engine="vectorised")


def test_auto_goes_on_by_calls_where_tracing_ends() -> None:
    def cell(steps, x):
        return {"v": x + steps if steps < 2 else float(x) + steps}

    grid = gva.sweep(cell, {"steps": [1, 2, 3], "x": np.linspace(0.0, 1.0, 20)})
    assert grid.attrs["engine"] == "vectorised, then loop"
    xr.testing.assert_allclose(grid["v"], grid["steps"] + grid["x"])


def test_hidden_state_is_not_traced() -> None:
    """Neither state that can be seen nor state that shows in the numbers; a plain sweep calls each cell once."""
    rng, axis = np.random.default_rng(0), {"x": np.linspace(1.0, 2.0, 20)}
    grid = gva.sweep(lambda x: {"v": x * rng.standard_normal()}, axis)
    assert "'rng', which has a state" in grid.attrs["engine_reason"]
    np.testing.assert_array_equal(grid["v"], axis["x"] * np.random.default_rng(0).standard_normal(20))
    with pytest.raises(ValueError, match="must not keep state for store"):
        gva.sweep(lambda x: {"v": x * rng.standard_normal()}, axis, store="grid.nc")

    calls = []

    def counting(x):
        calls.append(1)
        return {"v": x + len(calls)}

    assert "when called and" in gva.sweep(counting, axis).attrs["engine_reason"]


def test_small_grids_are_not_compiled() -> None:
    assert gva.sweep(quadratic, {"x": [1.0, 2.0], "y": [1.0, 2.0]}).attrs["engine"] == "loop"


def test_double_precision_whatever_the_setting() -> None:
    axes = {"x": 1.0 + 1e-12 * np.arange(1.0, 20.0)}
    for engine in ("loop", "vectorised"):
        grid = gva.sweep(lambda x: {"v": jnp.sin(x) ** 2 + jnp.cos(x) ** 2 * x}, axes, engine=engine)
        np.testing.assert_allclose(grid["v"], np.sin(axes["x"]) ** 2 + np.cos(axes["x"]) ** 2 * axes["x"], rtol=1e-14)
    assert jnp.result_type(float) == jnp.float32


def test_worker_processes_agree_and_report_errors(tmp_path, monkeypatch) -> None:
    """Finished cells survive the error of another one, and any engine can do the rest."""
    (tmp_path / "cells_of_a_sweep.py").write_text(
        "import os\n"
        "def square(x, seed):\n"
        "    if x > float(os.environ['LARGEST']): raise ValueError('x is large')\n"
        "    return {'v': x**2, 'seed_of_cell': seed % 1000}\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("LARGEST", "5")
    from cells_of_a_sweep import square  # pyright: ignore[reportMissingImports]

    axes = {"x": [1.0, 2.0, 3.0, 6.0]}
    options: dict[str, Any] = {"seed": 2, "shared_noise": False}
    with pytest.raises(ValueError, match=r"x is large \(at x=6.0\)"):
        gva.sweep(square, axes, engine="processes", processes=1, store=tmp_path / "grid.nc", chunk=1, **options)
    monkeypatch.setenv("LARGEST", "7")
    done = []
    grid = gva.sweep(square, axes, store=tmp_path / "grid.nc", progress=lambda *now: done.append(now), **options)
    assert done == [(1, 4), (2, 4), (3, 4), (4, 4)]
    xr.testing.assert_equal(grid, gva.sweep(square, axes, engine="loop", **options))


def test_functions_typed_in_cannot_go_to_other_processes(monkeypatch) -> None:
    monkeypatch.delattr(sys.modules["__main__"], "__file__", raising=False)
    monkeypatch.setattr(quadratic, "__module__", "__main__")
    with pytest.raises(ValueError, match="'quadratic' was defined in an interactive session"):
        gva.sweep(quadratic, {"x": [1.0], "y": [1.0]}, engine="processes")


# ---------------------------------------------------------------------------------------------- invalid cells


@pytest.mark.parametrize("engine", ["loop", "vectorised", "auto"])
def test_errors_of_the_function_name_the_cell(engine) -> None:
    axes = {"step_size": np.append(np.linspace(0.1, 1.9, 19), 2.5), "gamma": [0.1, 0.5]}
    with pytest.raises(ValueError, match=r"step_size must be a number in \(0, 2\), got 2.5 \(at step_size=2.5, gamma="):
        gva.sweep(stationary, axes, engine=engine)
    with pytest.raises(ValueError, match=r"gamma must be a number in \[0, 1\], got 1.5 \(at "):
        gva.sweep(finite_time, {"step_size": STEP_SIZES, "gamma": [0.1, 0.5, 1.5]}, engine=engine)
    with pytest.raises(ValueError, match=r"steps must be an integer at least 0, got -1 \(at step_size="):
        gva.sweep(
            finite_time, {"step_size": np.linspace(0.1, 1.0, 20), "gamma": [0.1], "steps": [5, -1]}, engine=engine
        )


def test_an_invalid_cell_inside_the_grid_is_heard() -> None:
    def cell(x):
        if not is_traced(x) and x == 1.0:
            raise OverflowError("x must not be one")
        return {"v": 1.0 / (x - 1.0)}

    axes = {"x": np.linspace(0.0, 2.0, 21)}
    with pytest.raises(OverflowError, match=r"x must not be one \(at x=1.0\)"):
        gva.sweep(cell, axes, engine="vectorised", chunk=4)
    assert np.isinf(gva.sweep(cell, axes, engine="vectorised", invalid="nan")["v"][10])
    assert np.isnan(gva.sweep(cell, axes, engine="loop", invalid="nan")["v"][10])


def test_other_errors_carry_the_cell_as_a_note() -> None:
    with pytest.raises(ZeroDivisionError) as caught:
        gva.sweep(lambda x: {"v": 1 / x}, {"x": [1, 0]})
    assert caught.value.__notes__ == ["at x=0"]


def test_invalid_cells_become_nan_where_asked() -> None:
    axes = {"step_size": np.append(2.5, np.linspace(0.1, 1.9, 19)), "gamma": [0.1, 0.5]}
    looped, traced = (gva.sweep(stationary, axes, engine=e, invalid="nan") for e in ("loop", "vectorised"))
    xr.testing.assert_allclose(looped, traced, rtol=1e-12)
    assert np.isnan(looped["variance"]).sum() == 2
    # Where tracing would hide that a cell is invalid, nothing is traced.
    grid = gva.sweep(finite_time, {"step_size": STEP_SIZES, "gamma": [0.1, 0.5, 1.5]}, invalid="nan")
    assert "when traced returns numbers" in grid.attrs["engine_reason"]
    assert np.isnan(grid["variance"]).sum() == len(STEP_SIZES)
    with pytest.raises(ValueError, match="function must be valid in some cell"):
        gva.sweep(stationary, {"step_size": [2.5], "gamma": [0.5]}, invalid="nan")


def test_results_that_are_meant_to_be_infinite_stay() -> None:
    axes = {"x": np.linspace(0.0, 1.0, 20)}
    grid = gva.sweep(lambda x: {"v": jnp.where(x > 0.5, jnp.inf, x)}, axes)
    assert grid.attrs["engine"] == "vectorised"
    assert np.isinf(grid["v"]).sum() == 10


# ---------------------------------------------------------------------------------------------- noise


@pytest.mark.parametrize("engine", ["loop", "vectorised"])
def test_cells_share_their_noise(engine) -> None:
    """With three steps from zero at a tiny step size, the last iterate over the step size is the noise itself."""
    grid = gva.sweep(noisy, {"step_size": [1e-9, 2e-9, 3e-9]}, seed=7, engine=engine)
    np.testing.assert_allclose(grid["scaled"], grid["scaled"][0], rtol=1e-7)
    np.testing.assert_array_equal(grid["seed_of_cell"], 7.0)
    assert (grid.attrs["seed"], grid.attrs["shared_noise"]) == ("7", "True")


def test_cells_have_noise_of_their_own_where_asked() -> None:
    axes = {"step_size": np.linspace(1e-9, 2e-9, 16)}
    grid, again, other = (gva.sweep(noisy, axes, seed=s, shared_noise=False) for s in (7, 7, 8))
    assert len(np.unique(grid["seed_of_cell"])) == 16
    assert not np.any(np.isin(grid["seed_of_cell"], other["seed_of_cell"]))
    xr.testing.assert_equal(grid, again)
    expected = int(np.random.SeedSequence([7, 3]).generate_state(1, np.uint64)[0] >> 1)
    assert grid["seed_of_cell"][3] == float(expected)
    with pytest.raises(TypeError, match="every cell has a seed of its own"):
        gva.sweep(noisy, axes, seed=7, shared_noise=False, engine="vectorised")


def test_a_seed_can_be_an_axis_or_a_default() -> None:
    grid = gva.sweep(lambda x, seed: {"v": x + seed}, {"x": [1.0], "seed": [3, 4]})
    np.testing.assert_array_equal(grid["v"], [[4.0, 5.0]])
    assert gva.sweep(lambda x, seed=5: {"v": x + seed}, {"x": [1.0]})["v"] == 6.0

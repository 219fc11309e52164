"""Pictures: what is drawn, where, and what is refused. How they look was judged by eye."""

import subprocess
import sys
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
import xarray as xr
from matplotlib.collections import QuadMesh
from matplotlib.colors import LogNorm, Normalize, to_hex, to_rgb
from matplotlib.figure import Figure

from gvatheory import plots

mpl.use("Agg")


@pytest.fixture
def axes():
    return Figure().subplots()


def dataset() -> xr.Dataset:
    step_size, gamma = np.geomspace(0.01, 1.0, 5), np.geomspace(0.001, 1.0, 4)
    fall = step_size[:, None] * gamma
    return xr.Dataset(
        {
            "fall": (("step_size", "gamma"), fall, {"long_name": "P(fall)"}),
            "fall_se": (("step_size", "gamma"), 0.1 * fall),
            "theory": (("step_size", "gamma"), 1.1 * fall),
        },
        {"step_size": ("step_size", step_size, {"units": "1/λ"}), "gamma": gamma},
    )


def mesh_of(ax) -> Any:
    return next(c for c in ax.collections if isinstance(c, QuadMesh))


def test_cells_of_a_phase_diagram_surround_their_values(axes) -> None:
    """On a logarithmic axis the edges are geometric means; the colours are the values, x along x."""
    data = dataset()
    assert plots.phase_diagram(data, "fall", "step_size", "gamma", ax=axes) is axes
    corners = mesh_of(axes).get_coordinates()
    ratio = 10.0 ** (1 / 4)
    np.testing.assert_allclose(corners[0, :, 0], 0.01 * 10.0 ** (0.5 * np.arange(6)) / ratio, rtol=1e-12)
    np.testing.assert_allclose(corners[:, 0, 1], 0.001 * 10.0 ** np.arange(5) / 10**0.5, rtol=1e-12)
    np.testing.assert_allclose(mesh_of(axes).get_array(), data["fall"].values.T)
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    np.testing.assert_allclose(axes.get_xlim(), corners[0, [0, -1], 0])
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("step size (1/λ)", "gamma")
    assert axes.figure.axes[1].get_ylabel() == "P(fall)"


def test_linear_axes_unsorted_values_and_single_columns(axes) -> None:
    data = dataset().isel(step_size=[2, 0, 1], gamma=[0]).assign_coords(step_size=[3.0, -1.0, 2.0])
    plots.phase_diagram(data, "fall", "step_size", "gamma", ax=axes, contours=0.01)
    assert (axes.get_xscale(), axes.get_yscale()) == ("linear", "log")
    np.testing.assert_allclose(mesh_of(axes).get_coordinates()[0, :, 0], [-2.5, 0.5, 2.5, 3.5])
    np.testing.assert_allclose(mesh_of(axes).get_array(), dataset()["fall"].values[[0, 1, 2], :1].T)


def test_a_critical_contour_runs_where_the_variable_has_its_value(axes) -> None:
    step_size, gamma = np.geomspace(0.1, 1.0, 40), np.linspace(0.0, 1.0, 30)
    data = xr.Dataset({"v": (("a", "b"), step_size[:, None] + 2 * gamma)}, {"a": step_size, "b": gamma})
    plots.phase_diagram(data, "v", "a", "b", ax=axes, contours=[0.5, 77.0])  # 77 is nowhere
    lines = next(c for c in axes.collections if not isinstance(c, QuadMesh))
    points = np.concatenate([path.vertices for path in lines.get_paths()])
    assert len(points) > 10
    np.testing.assert_allclose(points.sum(axis=1) + points[:, 1], 0.5, rtol=1e-12)


def test_colour_scales_and_holes(axes) -> None:
    data = dataset()
    data["fall"][0, 0], data["fall"][1, 0] = np.nan, 0.0
    plots.phase_diagram(data, "fall", "step_size", "gamma", ax=axes, norm="log", label="risk")
    mesh = mesh_of(axes)
    assert isinstance(mesh.norm, LogNorm)
    np.testing.assert_array_equal(np.ma.getmaskarray(mesh.get_array())[0], [True, True, False, False, False])
    assert axes.figure.axes[1].get_ylabel() == "risk"
    own = Normalize(0.0, 2.0)
    other: Any = Figure().subplots()
    plots.phase_diagram(data, "fall", "step_size", "gamma", ax=other, norm=own, log=False)
    assert mesh_of(other).norm is own
    assert other.get_xscale() == "linear"


def test_curves_have_bands_from_standard_errors_or_intervals(axes) -> None:
    data = dataset()
    plots.curves(data, "fall", "step_size", "gamma", ax=axes)
    assert len(axes.lines) == 4
    for line, band, i in zip(axes.lines, axes.collections, range(4), strict=True):
        np.testing.assert_allclose(line.get_ydata(), data["fall"][:, i])
        span = band.get_paths()[0].vertices
        at = np.isclose(span[:, 0], data["step_size"].values[2])
        expected = data["fall"].values[2, i] * (1.0 + np.array([-1, 1]) * 0.1 * 1.959964)
        np.testing.assert_allclose([span[at, 1].min(), span[at, 1].max()], expected, rtol=1e-9)
    assert axes.get_legend().get_title().get_text() == "gamma"
    assert [t.get_text() for t in axes.get_legend().get_texts()] == ["0.001", "0.01", "0.1", "1"]
    assert len({to_hex(line.get_color()) for line in axes.lines}) == 4
    assert (axes.get_xscale(), axes.get_yscale(), axes.get_ylabel()) == ("log", "log", "P(fall)")
    # The intervals themselves go before standard errors.
    data = data.assign(fall_low=0.5 * data["fall"], fall_high=3.0 * data["fall"]).isel(gamma=0)
    other: Any = Figure().subplots()
    plots.curves(data, "fall", "step_size", ax=other)
    span = other.collections[0].get_paths()[0].vertices
    np.testing.assert_allclose([span[:, 1].min(), span[:, 1].max()], data["fall"].values[[0, -1]] * [0.5, 3.0])
    assert other.get_legend() is None


def test_theory_is_a_line_and_the_rest_points(axes) -> None:
    plots.curves(dataset().isel(gamma=[0, 1]), "fall", "step_size", "gamma", ax=axes, theory="theory", label="risk")
    drawn = [line for line in axes.lines if len(line.get_xdata()) == 5]
    solid = [line for line in drawn if line.get_linestyle() == "-"]
    points = [line for line in drawn if line.get_marker() in ("o", "s")]
    assert (len(solid), len(points), axes.get_ylabel()) == (2, 2, "risk")
    np.testing.assert_allclose(solid[1].get_ydata(), dataset()["theory"][:, 1])
    np.testing.assert_allclose(points[1].get_ydata(), dataset()["fall"][:, 1])
    assert to_hex(solid[0].get_color()) == to_hex(points[0].get_color()) != to_hex(solid[1].get_color())


def test_many_numeric_curves_have_a_colour_bar_and_names_a_legend(axes) -> None:
    gamma = np.geomspace(1.0, 0.001, 12)
    data = xr.Dataset({"v": (("x", "gamma"), np.outer([1.0, 2.0], gamma))}, {"x": [0.0, 1.0], "gamma": gamma})
    plots.curves(data, "v", "x", "gamma", ax=axes)
    assert axes.get_legend() is None
    bar = axes.figure.axes[1]
    assert bar.get_ylabel() == "gamma"
    assert [t.get_text() for t in bar.get_yticklabels()][:: len(bar.get_yticks()) - 1] == ["0.001", "1"]
    colours = [np.mean(to_rgb(line.get_color())) for line in axes.lines]
    assert np.all(np.diff(colours) < 0)  # the map grows lighter with the value, and these values fall
    named = data.assign_coords(gamma=[f"average {i}" for i in range(12)])
    other: Any = Figure().subplots()
    plots.curves(named, "v", "x", "gamma", ax=other)
    assert len(other.get_legend().get_texts()) == 12


@pytest.mark.parametrize(
    ("draw", "arguments", "options", "message"),
    [
        (plots.phase_diagram, ("risk", "step_size", "gamma"), {}, "variable must be one of .* got 'risk'"),
        (plots.phase_diagram, ("fall", "step_size", "alpha"), {}, "'alpha' must be a dimension of 'fall'"),
        (plots.phase_diagram, ("fall", "gamma", "gamma"), {}, "dimensions must differ"),
        (plots.phase_diagram, ("fall", "gamma", "step_size"), {"log": ["x"]}, "log must name some of"),
        (plots.curves, ("fall", "gamma"), {}, r"more dimensions than are drawn, {'step_size': 5}: choose by"),
        (plots.curves, ("negative", "step_size", "gamma"), {"log": ["negative"]}, "'negative' must be positive"),
        (plots.phase_diagram, ("negative", "step_size", "gamma"), {"norm": "log"}, "must be positive somewhere"),
        (plots.phase_diagram, ("named", "step_size", "kind"), {}, "dimension 'kind' must be numeric"),
    ],
)
def test_what_does_not_fit_is_named(draw, arguments, options, message, axes) -> None:
    data = dataset()
    data["negative"] = -data["fall"]
    data["named"] = data["fall"].rename(gamma="kind").assign_coords(kind=list("abcd"))
    with pytest.raises(ValueError, match=message):
        draw(data, *arguments, ax=axes, **options)


def test_a_new_figure_can_be_saved(tmp_path) -> None:
    import matplotlib.pyplot as plt

    before = dict(mpl.rcParams)
    drawn: list[Any] = [
        plots.phase_diagram(dataset(), "fall", "step_size", "gamma", contours=0.05),
        plots.curves(dataset(), "fall", "step_size", "gamma", theory="theory"),
    ]
    for ax in drawn:
        ax.figure.savefig(tmp_path / "figure.png")
        plt.close(ax.figure)
    assert dict(mpl.rcParams) == before


def test_importing_does_not_import_matplotlib() -> None:
    code = "import sys, gvatheory.plots; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

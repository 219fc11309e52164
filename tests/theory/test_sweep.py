"""Sweeps: labels, units, provenance, order and errors."""

import numpy as np
import pytest

import gvatheory as gva


def test_sweep_fills_the_grid_with_labels_units_and_provenance() -> None:
    done = []
    grid = gva.sweep(
        lambda x, y: {"sum": x + y, "product": x * y},
        {"x": [1.0, 2.0, 3.0], "y": np.array([10.0, 20.0])},
        units={"x": "steps"},
        progress=lambda i, n: done.append((i, n)),
    )
    assert grid["product"].dims == ("x", "y")
    np.testing.assert_array_equal(grid["sum"].sel(x=3.0), [13.0, 23.0])
    assert grid["x"].attrs["units"] == "steps"
    assert "numpy" in grid.attrs["versions"]
    assert done[-1] == (6, 6)


@pytest.mark.parametrize(
    ("axes", "message"),
    [({}, "axes must name at least one axis"), ({"x": []}, r"axes\['x'\] must be a non-empty")],
)
def test_bad_axes_are_named(axes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        gva.sweep(lambda **_: {"v": 0.0}, axes)


def test_cells_must_agree_on_names() -> None:
    with pytest.raises(ValueError, match="same names in every cell"):
        gva.sweep(lambda x: {"a" if x < 1 else "b": x}, {"x": [0.0, 1.0]})

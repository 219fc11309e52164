"""One-line pictures of a dataset: phase diagrams and curves. Matplotlib, of the `plots` extra, is imported to draw."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import xarray as xr

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Normalize

_INK, _MUTED, _GRID, _NO_DATA = "#222222", "#767676", "#E4E4E4", "#C9C9C9"
_PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")  # Okabe & Ito (2008)
_LINE_STYLES, _MARKERS = ("-", "--", "-.", ":"), ("o", "s", "^", "D", "v", "P")
_COLOUR_MAP = "cividis"  # even steps in lightness, with and without colour vision
_INTERVAL = 1.959964  # standard errors in half a 95 % interval
_LEGEND = 8  # lines that a legend may name; more get a colour bar

_STYLE: dict[Any, Any] = {
    "font.size": 9.0,
    "axes.labelsize": 9.0,
    "axes.edgecolor": _MUTED,
    "axes.labelcolor": _INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.color": _GRID,
    "grid.linewidth": 0.6,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "xtick.labelsize": 8.0,
    "ytick.labelsize": 8.0,
    "legend.fontsize": 8.0,
    "legend.title_fontsize": 8.0,
    "legend.frameon": False,
}


def phase_diagram(
    dataset: xr.Dataset,
    variable: str,
    x: str,
    y: str,
    *,
    ax: "Axes | None" = None,
    log: bool | Sequence[str] = True,
    contours: float | Sequence[float] = (),
    norm: "Literal['linear', 'log'] | Normalize" = "linear",
    label: str | None = None,
) -> "Axes":
    """A variable as colour over two parameters; each cell is painted around its own values, also on logarithmic axes.

    Args:
        dataset: e.g. from `sweep`; cells that are NaN (or not positive, for norm="log") are left blank, hatched.
        variable: what is coloured.
        x, y: dimensions of the dataset, with numeric coordinates.
        ax: axes to draw in; a new figure's if not given.
        log: logarithmic axes: all whose values are positive, none, or those named.
        contours: values of the variable at which to draw a line, such as a critical fall probability; values that are
            not reached have none.
        norm: scale of the colours.
        label: of the colour bar; the variable's `long_name` or name, with its unit, if not given.

    Returns:
        The axes; the figure is `axes.figure`.

    Raises:
        ValueError: naming a variable or dimension that does not fit, or a dimension that is left over.
        ImportError: if matplotlib is not installed.
    """
    array = _select(dataset, variable, [x, y]).transpose(y, x).sortby([x, y])
    logs = _logarithmic(dataset, [x, y], log)
    from matplotlib.colors import LogNorm, Normalize

    values = np.asarray(array.values, dtype=np.float64)
    if isinstance(norm, str) and norm not in ("linear", "log"):
        raise ValueError(f"norm must be 'linear', 'log' or a matplotlib Normalize, got {norm!r}")
    if norm == "log" and not np.any(values > 0):
        raise ValueError(f"variable {variable!r} must be positive somewhere for norm='log'")
    scale: Any = {"linear": Normalize, "log": LogNorm}[norm]() if isinstance(norm, str) else norm
    shown = np.ma.masked_where(~np.isfinite(values) | (isinstance(scale, LogNorm) & (values <= 0)), values)
    ax = _axes(ax, grid=False)
    import matplotlib as mpl
    from matplotlib.patheffects import withStroke

    colours = mpl.colormaps[_COLOUR_MAP].with_extremes(bad="none")
    ax.patch.set(hatch="////", edgecolor=_NO_DATA, linewidth=0)  # shows through where there are no data
    centres = [array[name].values.astype(np.float64) for name in (x, y)]
    edges = [_edges(c, name in logs) for c, name in zip(centres, (x, y), strict=True)]
    for name, which, span in ((x, "x", edges[0]), (y, "y", edges[1])):
        getattr(ax, f"set_{which}scale")("log" if name in logs else "linear")
        getattr(ax, f"set_{which}lim")(span[0], span[-1])
        getattr(ax, f"set_{which}label")(_label(dataset, name))
    mesh = ax.pcolormesh(*edges, shown, cmap=colours, norm=scale, rasterized=True)
    with mpl.rc_context(_STYLE):
        bar = ax.figure.colorbar(mesh, ax=ax, label=label or _label(dataset, variable))
    bar.outline.set_visible(False)  # pyright: ignore[reportCallIssue]
    wanted = np.unique(np.asarray(contours, dtype=np.float64))
    levels = list(wanted[(wanted > shown.min()) & (wanted < shown.max())]) if shown.count() else []
    if levels and min(shown.shape) > 1:
        lines = ax.contour(*centres, shown, levels=levels, colors=_INK, linewidths=1.2)
        halo: list[Any] = [withStroke(linewidth=2.6, foreground="white")]
        lines.set_path_effects(halo)
        for text in ax.clabel(lines, fmt="%g", fontsize=8):
            text.set_path_effects(halo)
        for level in levels:
            bar.ax.axhline(level, color="white", lw=2.4)
            bar.ax.axhline(level, color=_INK, lw=1.2)
    return ax


def curves(
    dataset: xr.Dataset,
    variable: str,
    x: str,
    hue: str | None = None,
    *,
    ax: "Axes | None" = None,
    theory: str | None = None,
    log: bool | Sequence[str] = True,
    label: str | None = None,
) -> "Axes":
    """A variable over one parameter, a line for each value of another.

    Variables `<variable>_low` and `<variable>_high`, or else `<variable>_se` (a standard error, drawn as a 95 %
    interval), become a band, or error bars with `theory`.

    Args:
        dataset: e.g. from `sweep`.
        variable: what is drawn.
        x: dimension along the horizontal axis, with numeric coordinates.
        hue: dimension whose values are the lines; more than eight numeric ones are told apart by a colour bar.
        ax: axes to draw in; a new figure's if not given.
        theory: a second variable, drawn as the line beside which `variable` is drawn as points.
        log: logarithmic axes: all whose values are positive, none, or those named (by dimension or variable).
        label: of the vertical axis; the variable's `long_name` or name, with its unit, if not given.

    Returns:
        The axes; the figure is `axes.figure`.

    Raises:
        ValueError: naming a variable or dimension that does not fit, or a dimension that is left over.
        ImportError: if matplotlib is not installed.
    """
    dims = [x] if hue is None else [x, hue]
    names = [variable] if theory is None else [variable, theory]
    arrays = {name: _select(dataset, name, dims, numeric=[x]).sortby(x) for name in names}
    band = _band(dataset, variable, dims, x)
    logs = _logarithmic(dataset, [x, *names], log)
    ax = _axes(ax, grid=True)
    values = [None] if hue is None else list(dataset[hue].values)
    colours, by_bar = _colours(values)
    at = arrays[variable][x].values.astype(np.float64)
    for i, (value, colour) in enumerate(zip(values, colours, strict=True)):
        one = {name: _line(a, hue, i) for name, a in arrays.items()}
        span = None if band is None else [_line(b, hue, i) for b in band]
        name = None if value is None or by_bar else _text(value)
        dash = "-" if by_bar or theory else _LINE_STYLES[i % len(_LINE_STYLES)]
        if theory is None:
            ax.plot(at, one[variable], dash, color=colour, lw=1.5, label=name)
            if span is not None:
                ax.fill_between(at, span[0], span[1], color=colour, alpha=0.18, lw=0)
            continue
        ax.plot(at, one[theory], color=colour, lw=1.3, label=name)
        bars = None if span is None else np.stack([one[variable] - span[0], span[1] - one[variable]]).clip(0.0)
        marker = _MARKERS[i % len(_MARKERS)]
        ax.errorbar(at, one[variable], bars, fmt=marker, color=colour, ms=3.5, capsize=2, lw=1)
    ax.set_xscale("log" if x in logs else "linear")
    ax.set_yscale("log" if logs.issuperset(names) else "linear")
    ax.set_xlabel(_label(dataset, x))
    ax.set_ylabel(label or _label(dataset, variable))
    _explain_hue(ax, dataset, hue, values, colours, by_bar)
    return ax


# ---------------------------------------------------------------------------------------------- data


def _select(dataset: xr.Dataset, variable: str, dims: list[str], numeric: list[str] | None = None) -> xr.DataArray:
    """The variable over exactly the given dimensions; others of one value are dropped.

    Raises:
        ValueError: naming what does not fit.
    """
    if variable not in dataset.data_vars:
        raise ValueError(f"variable must be one of {sorted(map(str, dataset.data_vars))}, got {variable!r}")
    array = dataset[variable]
    if len(set(dims)) < len(dims):
        raise ValueError(f"dimensions must differ, got {dims}")
    for name in dims:
        if name not in array.dims:
            raise ValueError(f"{name!r} must be a dimension of {variable!r}, which has {array.dims}")
        if name in (dims if numeric is None else numeric) and dataset[name].dtype.kind not in "fiu":
            raise ValueError(f"dimension {name!r} must be numeric, got {dataset[name].dtype}")
    rest = {str(d): n for d, n in array.sizes.items() if d not in dims}
    if left := {d: n for d, n in rest.items() if n > 1}:
        raise ValueError(
            f"{variable!r} has more dimensions than are drawn, {left}: choose by dataset.isel or .sel, or average"
        )
    return array.squeeze(list(rest), drop=True)


def _logarithmic(dataset: xr.Dataset, names: list[str], log: bool | Sequence[str]) -> set[str]:
    """Which axes or variables are drawn on a logarithmic scale.

    Raises:
        ValueError: naming one that was asked for by name and is not positive, or is not drawn.
    """

    def positive(name: str) -> bool:
        values = np.asarray(dataset[name].values, dtype=np.float64)
        return bool(np.all(values[np.isfinite(values)] > 0))

    if isinstance(log, bool):
        return {name for name in names if log and positive(name)}
    for name in log:
        if name not in names:
            raise ValueError(f"log must name some of {names}, got {name!r}")
        if not positive(name):
            raise ValueError(f"{name!r} must be positive for a logarithmic axis")
    return set(log)


def _edges(centres: np.ndarray, log: bool) -> np.ndarray:
    """Boundaries of cells around the given values: half-way between them on the scale that is drawn."""
    at = np.log(centres) if log else centres
    if len(at) == 1:
        edges = at[0] + np.array([-0.5, 0.5]) * (1.0 if log or at[0] == 0 else abs(at[0]))
    else:
        inner = 0.5 * (at[1:] + at[:-1])
        edges = np.concatenate([[2 * at[0] - inner[0]], inner, [2 * at[-1] - inner[-1]]])
    return np.exp(edges) if log else edges


def _band(dataset: xr.Dataset, variable: str, dims: list[str], x: str) -> list[xr.DataArray] | None:
    """Lower and upper ends of the intervals, if the dataset has some."""
    low, high, error = (f"{variable}_{end}" for end in ("low", "high", "se"))
    if low in dataset.data_vars and high in dataset.data_vars:
        return [_select(dataset, name, dims, numeric=[x]).sortby(x) for name in (low, high)]
    if error in dataset.data_vars:
        half = _INTERVAL * _select(dataset, error, dims, numeric=[x]).sortby(x)
        middle = _select(dataset, variable, dims, numeric=[x]).sortby(x)
        return [middle - half, middle + half]
    return None


def _line(array: xr.DataArray, hue: str | None, i: int) -> np.ndarray:
    return np.asarray((array if hue is None else array.isel({hue: i})).values, dtype=np.float64)


# ---------------------------------------------------------------------------------------------- looks


def _axes(ax: "Axes | None", grid: bool) -> "Axes":
    """The given axes, or those of a new figure in this style."""
    if ax is not None:
        return ax
    try:
        import matplotlib.pyplot as plt
    except ImportError as e:
        raise ImportError("plots need matplotlib: pip install gvatheory[plots]") from e
    with plt.rc_context({**_STYLE, "axes.grid": grid}):
        return plt.subplots(figsize=(4.8, 3.5), dpi=120, layout="constrained")[1]


def _label(dataset: xr.Dataset, name: str) -> str:
    """Name and unit of a variable, for an axis."""
    attrs = dataset[name].attrs
    unit = attrs.get("units", "1")
    return attrs.get("long_name", name.replace("_", " ")) + ("" if unit in ("1", "") else f" ({unit})")


def _text(value: Any) -> str:
    return f"{value:.4g}" if np.issubdtype(type(value), np.floating) else str(value)


def _colours(values: list[Any]) -> tuple[list[Any], bool]:
    """A colour for every line, and whether a colour bar has to explain them."""
    numeric = np.asarray(values).dtype.kind in "fiu"
    if not numeric or len(values) < 3:
        return [_PALETTE[i % len(_PALETTE)] for i in range(len(values))], False
    import matplotlib as mpl

    rank = np.argsort(np.argsort(values))
    # The palest yellows of the map are left out: they do not show on white.
    return list(mpl.colormaps[_COLOUR_MAP](0.88 * rank / (len(values) - 1))), len(values) > _LEGEND


def _explain_hue(
    ax: "Axes", dataset: xr.Dataset, hue: str | None, values: list[Any], colours: list[Any], by_bar: bool
) -> None:
    if hue is None:
        return
    import matplotlib as mpl
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import BoundaryNorm, ListedColormap

    with mpl.rc_context(_STYLE):
        if not by_bar:
            ax.legend(title=_label(dataset, hue))
            return
        order = np.argsort(values)
        steps = ScalarMappable(
            BoundaryNorm(np.arange(len(values) + 1) - 0.5, len(values)), ListedColormap([colours[i] for i in order])
        )
        ticks = np.unique(np.linspace(0, len(values) - 1, 5).round().astype(int))
        bar = ax.figure.colorbar(steps, ax=ax, label=_label(dataset, hue), ticks=ticks)
        bar.ax.set_yticklabels([_text(values[order[i]]) for i in ticks])
        bar.ax.minorticks_off()
        bar.outline.set_visible(False)  # pyright: ignore[reportCallIssue]

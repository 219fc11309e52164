"""Return and loss around an iterate and its average: profiles along stochastic gradients, planes, increments."""

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullFormatter

from neural.control.roughness import Roughness, roughness
from neural.statistics import Estimate
from paper_figs import style

STRETCHES = 8
"""Into how many parts a kind's profiles are cut, all together at least, for the roughness."""


def draw(dataset: xr.Dataset) -> Figure:
    """Two rows: profiles of the first two centres and of the training path; their planes and how increments grow.

    Args:
        dataset: lines, with dims centre, direction, s0, episode, and planes under plane_ names if there are any.
    """
    centres = [str(name) for name in dataset["centre"].values][:2]
    colours: dict[str, str] = dict(zip(centres, (style.RAW, style.AVERAGES[0]), strict=False))
    planes = "plane_return" in dataset
    with style.canvas(10.2, 5.8 if planes else 3.1) as figure:
        panels = figure.subplots(2 if planes else 1, len(centres) + 1, squeeze=False)
        limits = _limits(dataset.sel(centre=centres)["return"].mean("episode").values)
        for i, centre in enumerate(centres):
            _profile(panels[0, i], dataset.sel(centre=centre), colours[centre], limits)
            panels[0, i].set_title(f"Around {_named(centre)}, along {_first_kind(dataset)}s")
        side = panels[0, -1] if not planes else panels[1, -1]
        if planes:
            _path(panels[0, -1], dataset, colours, limits)
        _increments(side, dataset, colours)
        if planes:
            _planes(figure, panels[1, :-1], dataset, centres)
        for letter, panel in zip("ABCDEF", panels.ravel(), strict=False):
            panel.set_title(f"{letter}  {panel.get_title(loc='left')}")
    return figure


def caption(dataset: xr.Dataset) -> str:
    """What the figure shows, with the roughness of every centre, sample sizes and seeds."""
    episodes, kind = dataset["episode"].values, _first_kind(dataset)
    parts = []
    for centre in dataset["centre"].values:
        found = centre_roughness(dataset, str(centre), kind)
        parts.append(f"{_named(str(centre))}: {'the return does not vary' if found is None else _said(found)}")
    return (
        f"Landscapes on {dataset.attrs['task']}: mean return over the same {len(episodes)} initial conditions at every "
        f"point (seeds {episodes[0]} to {episodes[-1]}) and held-out loss, against the step in units of "
        f"{dataset.attrs['unit']:.3g} (Euclidean, parameters). Thin lines: further {kind}s. Roughness along {kind}s, "
        f"from {dataset.sizes['s0']} points {float(np.diff(dataset['s0'].values[:2])[0]):g} apart, 95 % intervals by "
        f"the jackknife: {'; '.join(parts)}. An exponent of 1 is smooth or has isolated jumps, the box dimension of a "
        f"graph is 2 minus it; all of it at the grid's scale."
    )


def centre_roughness(dataset: xr.Dataset, centre: str, kind: str) -> Roughness | None:
    """Roughness of the profiles around a centre along one kind of direction; None where the return does not vary."""
    chosen = _of_kind(dataset.sel(centre=centre), kind)
    profiles = chosen["return"].transpose("direction", "episode", "s0").values
    if np.ptp(profiles.mean(axis=1), axis=1).max() == 0:
        return None
    wanted, room = -(-STRETCHES // len(profiles)), profiles.shape[2] // 5
    return roughness(profiles, stretches=max(min(wanted, room), 1))


def _said(found: Roughness) -> str:
    parts = [
        f"exponent of the drawn profile {_interval(found.exponent)} (by squares {found.exponent_by_squares.value:.2f})"
    ]
    parts.append(f"share of its squared increments that the initial conditions explain {_interval(found.nugget)}")
    if np.isfinite(found.expected.value):
        parts.append(f"exponent of the expected return by squares {_interval(found.expected)}")
    else:
        parts.append("exponent of the expected return not determined")
    return ", ".join(parts)


def _interval(one: Estimate) -> str:
    bounds = f" [{one.low:.2f}, {one.high:.2f}]" if np.isfinite(one.low) else ""
    return f"{one.value:.2f}{bounds}"


def _named(centre: str) -> str:
    return "the raw iterate" if centre == "raw" else "the policy" if centre == "policy" else centre


def _first_kind(dataset: xr.Dataset) -> str:
    return str(dataset["direction"].values[0]).rstrip("0123456789 ")


def _of_kind(dataset: xr.Dataset, kind: str) -> xr.Dataset:
    return dataset.isel(direction=[i for i, n in enumerate(dataset["direction"].values) if str(n).startswith(kind)])


def _limits(values: np.ndarray) -> tuple[float, float]:
    low, high = float(values.min()), float(values.max())
    room = 0.05 * (high - low) or 1.0
    return low - room, high + 5 * room  # the legend's


def _profile(axes: Axes, dataset: xr.Dataset, colour: str, limits: tuple[float, float]) -> None:
    """Return of the first kind's directions, the first with its quartiles over episodes; its loss on the right."""
    chosen, s = _of_kind(dataset, _first_kind(dataset)), dataset["s0"].values
    means = chosen["return"].mean("episode")
    for i in range(1, len(means)):
        axes.plot(s, means[i], color=colour, lw=0.6, alpha=0.5)
    low, high = np.quantile(chosen["return"][0].transpose("s0", "episode").values, (0.25, 0.75), axis=1)
    axes.fill_between(s, low, high, color=colour, alpha=0.15, lw=0)
    (line,) = axes.plot(s, means[0], color=colour, marker="o", ms=2.2, label="mean return")
    other = axes.twinx()
    (loss,) = other.plot(s, chosen["loss"][0], color=style.INK, ls="--", lw=1.2, label="held-out loss")
    other.set_ylim(0, 1.6 * float(dataset["loss"].sel(direction=chosen["direction"]).max()))
    other.spines["right"].set_visible(True)
    other.grid(visible=False)
    other.set_ylabel("loss (action²)")
    axes.set(xlabel="step (lengths of an update)", ylabel="return", ylim=limits)
    axes.legend(handles=[line, loss], loc="upper left", fontsize=7, frameon=True, framealpha=0.85, edgecolor="none")


def _path(axes: Axes, dataset: xr.Dataset, colours: dict[str, str], limits: tuple[float, float]) -> None:
    names = [str(name) for name in dataset["direction"].values]
    name = "path" if "path" in names else names[-1]
    for centre, colour in colours.items():
        means = dataset["return"].sel(centre=centre, direction=name).mean("episode")
        axes.plot(dataset["s0"], means, color=colour, marker="o", ms=2.2, label=centre)
    title = "Along the training path" if name == "path" else f"Along {name}"
    axes.set(xlabel="step (lengths of an update)", ylabel="return", ylim=limits, title=title)
    axes.legend(loc="lower left")


def _increments(axes: Axes, dataset: xr.Dataset, colours: dict[str, str]) -> None:
    """Mean absolute increments over distance, relative to the level at the centre; the loss's beside the return's."""
    s = dataset["s0"].values
    lags = np.unique(np.geomspace(1, max(len(s) // 2, 2), 8).astype(int))
    for centre, colour in colours.items():
        chosen = _of_kind(dataset.sel(centre=centre), _first_kind(dataset))
        for name, values, look in (
            ("return", chosen["return"].mean("episode"), "-"),
            ("loss", chosen["loss"], "--"),
        ):
            data = values.transpose("direction", "s0").values
            grown = np.array([np.abs(data[:, lag:] - data[:, :-lag]).mean() for lag in lags])
            level = np.abs(data).mean()
            if grown.all():
                axes.loglog(lags * (s[1] - s[0]), grown / level, look, color=colour, marker="o", ms=2.5)
                axes.plot([], [], look, color=colour, label=f"{name}, {centre}")
    axes.set(xlabel="distance h (lengths of an update)", ylabel="mean |increment| / mean level")
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.set_title("How increments grow")
    axes.legend(fontsize=7)


def _planes(figure: Figure, panels: np.ndarray, dataset: xr.Dataset, centres: list[str]) -> None:
    means = dataset["plane_return"].sel(centre=centres).mean("plane_episode")
    low, high = float(means.min()), float(means.max())
    drawn = None
    for panel, centre in zip(panels, centres, strict=True):
        grid = means.sel(centre=centre).transpose("plane_s1", "plane_s0")
        drawn = panel.pcolormesh(
            grid["plane_s0"], grid["plane_s1"], grid, cmap=style.SEQUENTIAL, vmin=low, vmax=high, shading="nearest"
        )
        panel.plot(0, 0, "+", color="white", ms=9, mew=1.6)
        panel.set(xlabel="step along gradient 1", ylabel="step along gradient 2", aspect="equal")
        panel.grid(visible=False)
        panel.xaxis.set_major_locator(MaxNLocator(5))
        panel.set_title(f"Return around {_named(centre)}")
    assert drawn is not None
    figure.colorbar(drawn, ax=panels[-1], label="mean return")

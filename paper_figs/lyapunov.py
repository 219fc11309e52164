"""Lyapunov exponents of a closed loop: how they converge, their spectrum, and the largest one by displacement size."""

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from paper_figs import style

SHOWN = 3
"""Exponents whose convergence is drawn."""


def draw(dataset: xr.Dataset) -> Figure:
    """Three panels of a dataset made by `neural.control.lyapunov.spectrum_dataset`, bands and bars with intervals."""
    with style.canvas(9.6, 3.4) as figure:
        left, middle, right = figure.subplots(1, 3, width_ratios=(1.25, 1.0, 1.0))
        _convergence(left, dataset)
        _spectrum(middle, dataset)
        _sizes(right, dataset)
    return figure


def caption(dataset: xr.Dataset) -> str:
    """What the figure shows, with the largest exponent, its interval, sample size and seeds."""
    episodes = dataset["episode"].values
    lasting = int(np.isfinite(dataset["growth"].values[:, -1, 0]).sum())
    largest, low, high = (float(dataset[name][0]) for name in ("exponent", "low", "high"))
    return (
        f"Lyapunov exponents of the closed loop on {dataset.attrs['task']}, per environment step. A: mean growth up to "
        f"a step, the largest {min(SHOWN, dataset.sizes['direction'])}. B: the spectrum. C: the largest by the size of "
        f"the displacement: where the points agree, it is small enough. Bands and bars: "
        f"{100 * dataset.attrs['level']:g} % intervals by the jackknife over {len(episodes)} episodes (seeds "
        f"{episodes[0]} to {episodes[-1]}; {lasting} lasted to the end). Largest: {largest:.4f} [{low:.4f}, "
        f"{high:.4f}] with displacements of {dataset.attrs['distance']:g}, renormalised every "
        f"{dataset.attrs['steps_per_segment']} steps. The distance travelled is left out of the state."
    )


def _convergence(axes: Axes, dataset: xr.Dataset) -> None:
    steps = dataset["segment"].values
    for i, colour in enumerate(style.AVERAGES[: min(SHOWN, dataset.sizes["direction"])]):
        axes.fill_between(steps, dataset["running_low"][:, i], dataset["running_high"][:, i], color=colour, alpha=0.18)
        axes.plot(steps, dataset["running"][:, i], color=colour, ls=style.LINE_STYLES[i], label=f"exponent {i + 1}")
    axes.axhline(0, color=style.INK, lw=0.8)
    # The first segments' intervals would dwarf what they converge to.
    late = slice(len(steps) // 10, None)
    shown = dataset.isel(segment=late, direction=slice(SHOWN))
    axes.set_ylim(*_padded(float(shown["running_low"].min()), float(shown["running_high"].max())))
    axes.set(xlabel="environment steps", ylabel="mean growth (1/step)", title="A  Convergence")
    axes.legend(fontsize=7, frameon=True, framealpha=0.85, edgecolor="none")


def _spectrum(axes: Axes, dataset: xr.Dataset) -> None:
    _intervals(axes, dataset["direction"].values, dataset, ("exponent", "low", "high"))
    axes.axhline(0, color=style.INK, lw=0.8)
    axes.set(xlabel="number of the exponent", ylabel="Lyapunov exponent (1/step)", title="B  Spectrum")


def _sizes(axes: Axes, dataset: xr.Dataset) -> None:
    _intervals(axes, dataset["size"].values, dataset, ("size_exponent", "size_low", "size_high"))
    axes.set_xscale("log")
    if float(dataset["size_low"].min()) <= 0 <= float(dataset["size_high"].max()):
        axes.axhline(0, color=style.INK, lw=0.8)
    axes.set(xlabel="displacement (m, rad, m/s, rad/s)", ylabel="largest exponent (1/step)", title="C  By size")


def _intervals(axes: Axes, x: np.ndarray, dataset: xr.Dataset, names: tuple[str, str, str]) -> None:
    value, low, high = (dataset[name].values for name in names)
    axes.vlines(x, low, high, color=style.AVERAGES[0], lw=1.2)
    axes.plot(x, value, "o", color=style.AVERAGES[0], ms=3)


def _padded(low: float, high: float) -> tuple[float, float]:
    room = 0.08 * (high - low)
    return low - room, high + room

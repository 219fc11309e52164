"""How far the states of neighbouring policies are apart, step by step, beside what the Lyapunov exponent says."""

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import gvatheory as gva
from paper_figs import style

INNER, OUTER = (0.25, 0.75), (0.1, 0.9)


def draw(dataset: xr.Dataset) -> Figure:
    """One panel per pair: median, quartiles and deciles of the distance; the law of N3; the rate's stretch of steps.

    Args:
        dataset: made by `neural.control.divergence`, with exponents.
    """
    names = [str(name) for name in dataset["pair"].values]
    rows, columns = -(-len(names) // 2), min(len(names), 2)
    with style.canvas(4.4 * columns, 2.7 * rows + 0.3) as figure:
        panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
        for spare in panels.ravel()[len(names) :]:
            spare.set_axis_off()
        for i, (panel, name) in enumerate(zip(panels.ravel(), names, strict=False)):
            colour = style.RAW if name == "raw" else style.AVERAGES[(i - ("raw" in names)) % len(style.AVERAGES)]
            _distances(panel, dataset.sel(pair=name), colour)
            panel.set(title=f"{'ABCDEF'[i % 6]}  {name}", yscale="log")
        figure.supxlabel("environment steps", fontsize=9)
        figure.supylabel("distance of the states (m, rad, m/s, rad/s)", fontsize=9)
        panels[0, 0].legend(loc="lower right", fontsize=7)
    return figure


def caption(dataset: xr.Dataset) -> str:
    """What the figure shows, with rates, exponents, sample size and seeds."""
    episodes, parts = dataset["episode"].values, []
    for name in dataset["pair"].values:
        one = dataset.sel(pair=name)
        rate = _interval(one, "rate") if np.isfinite(one["rate"]) else "no stretch of exponential growth"
        exponent = _interval(one, "exponent") if np.isfinite(one["exponent"]) else "falls too early for one"
        window = f"steps {int(one['rate_first'])} to {int(one['rate_last'])}"
        parts.append(
            f"{name}: rate {rate} ({window}), exponent {exponent}; {float(one['parameter_distance']):.3g} apart"
        )
    return (
        f"State distance of neighbouring policies on {dataset.attrs['task']} from equal starts, the distance travelled "
        f"left out. Line: median over {len(episodes)} initial conditions (seeds {episodes[0]} to {episodes[-1]}), as "
        f"long as half of the episodes run; bands: quartiles and deciles. Dashed: d(1)·(e^(Λh) − 1)/(e^Λ − 1) with the "
        f"largest Lyapunov exponent Λ of the first policy, nothing fitted; dotted: its interval's ends. Slope of ln "
        f"distance and Λ, per step, 95 % intervals over episodes: {'; '.join(parts)} (parameters, Euclidean)."
    )


def _interval(one: xr.Dataset, name: str) -> str:
    value, low, high = (float(one[f"{name}{end}"]) for end in ("", "_low", "_high"))
    return f"{value:.3f} [{low:.3f}, {high:.3f}]"


def _distances(axes: Axes, one: xr.Dataset, colour: str) -> None:
    running = np.isfinite(one["distance"].transpose("episode", "step").values).mean(axis=0) >= 0.5
    running[0] = False  # equal starts have no logarithm
    steps, q = one["step"].values[running], one["distance_quantile"].isel(step=np.flatnonzero(running))
    for (low, high), alpha in ((OUTER, 0.12), (INNER, 0.22)):
        axes.fill_between(steps, q.sel(quantile=low), q.sel(quantile=high), color=colour, alpha=alpha, lw=0)
    middle = q.sel(quantile=0.5).values
    axes.plot(steps, middle, color=colour, label="median")
    if np.isfinite(one["exponent"]) and len(middle):
        ceiling = middle.max()
        for name, look in (("exponent", "--"), ("exponent_low", ":"), ("exponent_high", ":")):
            curve = middle[0] * np.exp(gva.growth_law(float(one[name]), steps))
            shown = curve <= 2 * ceiling
            axes.plot(
                steps[shown],
                curve[shown],
                look,
                color=style.INK,
                lw=1.1,
                label="from the exponent" if look == "--" else None,
            )

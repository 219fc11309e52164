"""Gradient noise along a run of cloning: it falls with the loss; what grows is its effect along the episode (N10).

For Gaussian features the covariance of one example's gradient at an error e of second moment M is
ΣMΣ + tr(ΣM)Σ + σ₁²Σ, so that its trace is proportional to the loss tr(ΣM) + σ₁², label noise included, but for a factor
of at most 1 + λ_max/tr Σ. A network's features move, which the ratio of the two shows.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

import gvatheory as gva
from gvatheory import validation
from neural.control.divergence import divergence_dataset
from neural.control.experiment import EVALUATION_SEED, GRADIENT_PAIRS
from neural.control.neighbourhood import neighbours
from paper_figs import style, walker_run
from paper_figs.page import number
from paper_figs.simulated_points import sizes_of
from paper_figs.walker_run import AVERAGE

PRESETS: dict[str, dict[str, int]] = {
    "quick": {**walker_run.SIZES["quick"], "every": 25, "episodes": 4, "horizon": 400},
    "full": {**walker_run.SIZES["full"], "every": 25, "episodes": 16, "horizon": 1000},
}
"""Sizes of the run (`walker_run.SIZES`); updates between measurements; episodes of each pair of neighbours and their
environment steps: about 20 s and 3 min on one core."""

_LOWEST = {**walker_run.LOWEST, "every": 1, "episodes": 2, "horizon": 1}
FEATURES, REGRESSION_STEP = 16, 0.02
"""Of the exact regression: features, of variances 1, 1/2, ..., 1/16, and step size."""
BINS = 24
"""Into which the updates are put, evenly on the log scale."""
_QUARTILES = (0.25, 0.5, 0.75)
_PER_DECADE = 8  # exact values
_NEIGHBOURS = ("raw", AVERAGE)
_COLOURS = dict(zip(_NEIGHBOURS, (style.RAW, style.AVERAGES[0]), strict=True))


def data(
    preset: str = "quick",
    *,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
    directory: Path | None = None,
    **sizes: int,
) -> xr.Dataset:
    """Gradient noise and losses along the run, the exact regression's beside them, and neighbours' state distances.

    Args:
        preset: "quick" or "full", see `PRESETS`.
        seed: of the learner, ≥ 0.
        progress: called with (updates and environment steps done, in all).
        directory: where the run goes on after an interrupt; by default one that is removed at the end.
        sizes: overrides of the preset's entries.

    Returns:
        update_loss (update, kept), update_gradient_noise and update_gradient_square (update), loss_floor, as of
        `neural.control.experiment.run`; regression_loss and regression_noise (regression_update), of ½ the squared
        error; distance_quantile (quantile, pair, step) and parameter_distance (pair), as of
        `neural.control.divergence`, of the last iterate and average and those one update later.

    Raises:
        ValueError: if the preset or an override is unknown or out of range.
    """
    size = sizes_of(PRESETS, preset, sizes, _LOWEST)
    validation.integer("seed", seed, 0)
    validation.integer("every", size["every"], 1, size["steps"])
    wanted = walker_run.experiment(size, seed, loss_every=size["every"], consecutive=1, rollouts=1)
    total = size["steps"] + len(_NEIGHBOURS) * size["horizon"]

    def tell(past: int, done: int) -> None:
        if progress is not None:
            progress(past + done, total)

    def training(stage: str, done: int, _: int) -> None:
        if stage == "cloning":
            tell(0, done)

    def parting(name: str, done: int, all_steps: int) -> None:
        tell(size["steps"] + _NEIGHBOURS.index(name) * all_steps, done)

    with walker_run.finished(wanted, 1, directory, training) as (measured, run):
        pairs = neighbours(run, [AVERAGE], 1, 0.5)
        apart = divergence_dataset(
            {name: pairs[name] for name in _NEIGHBOURS},
            run.task,
            range(EVALUATION_SEED, EVALUATION_SEED + size["episodes"]),
            steps=size["horizon"],
            progress=parting,
        )
    kept = measured[["update_loss", "update_gradient_noise", "update_gradient_square", "loss_floor"]]
    floor, first = float(kept["loss_floor"]), float(kept["update_loss"].sel(kept="raw")[0])
    exact = exact_regression(floor / max(first - floor, 1e-9 * first), size["steps"])
    distances = apart[["distance_quantile", "parameter_distance"]]
    whole = xr.merge([kept, exact, distances], combine_attrs="drop").assign_attrs(measured.attrs)
    return whole.drop_vars(["iterate", "average", "episode"], errors="ignore").assign_attrs(
        preset=preset, seed=seed, task=run.task.id, **size
    )


def gradient_noise_trace(curvature: np.ndarray, second_moment: np.ndarray, label_noise: float) -> np.ndarray:
    """Trace of ΣMΣ + tr(ΣM)Σ + σ₁²Σ, the covariance of one example's gradient of ½(e·x − ε)², x ~ N(0, Σ).

    Args:
        curvature: (n,) eigenvalues of Σ, ≥ 0.
        second_moment: (..., n) diagonal of M = E[e eᵀ] in the eigenbasis.
        label_noise: σ₁², variance of ε, ≥ 0.

    Checked against sampled gradients.
    """
    excess = second_moment @ curvature
    return second_moment @ curvature**2 + curvature.sum() * (excess + label_noise)


def exact_regression(label_noise: float, steps: int) -> xr.Dataset:
    """Expected loss E(e·x − ε)² and gradient noise of SGD on Gaussian features, from an excess loss of one.

    Args:
        label_noise: σ₁², in units of the initial excess, ≥ 0.
        steps: last of the updates, spaced evenly on the log scale, ≥ 1.

    Returns:
        dim regression_update: regression_loss and regression_noise.
    """
    curvature = 1.0 / np.arange(1, FEATURES + 1)
    problem = gva.LinearRegression(curvature, label_noise, walker_run.BATCH_SIZE)
    start = np.full(FEATURES, 1.0 / np.sqrt(curvature.sum()))
    count = int(np.ceil(_PER_DECADE * np.log10(max(steps, 2)))) + 1
    updates = np.unique(np.concatenate([[0], np.rint(np.geomspace(1, steps, count))])).astype(int)
    schedule = gva.Constant(REGRESSION_STEP)
    laws = [gva.exact_law(problem, schedule, gva.LastIterate(), int(t), start) for t in updates]
    moments = np.stack([np.diagonal(law.covariance) + law.mean**2 for law in laws])
    noise = gradient_noise_trace(curvature, moments, label_noise)
    unit = {"units": "initial excess loss"}
    return xr.Dataset(
        {
            "regression_loss": ("regression_update", moments @ curvature + label_noise, unit),
            "regression_noise": ("regression_update", noise, unit),
        },
        {"regression_update": ("regression_update", updates, {"units": "updates"})},
    )


def draw(dataset: xr.Dataset) -> Figure:
    """Four panels: noise and losses along training, one against the other, their ratio, and what becomes of it.

    A: trace of the per-example gradient covariance at the iterate, with the held-out losses of the iterate and of the
    average. B: trace against loss of the iterate, both over their last values; exact Gaussian regression with as much
    label noise, and proportionality. C: trace over loss. Medians and quartiles over the iterates of each bin of
    updates. D: distance of the states of two policies one update apart, along their episodes.
    """
    with style.canvas(9.6, 6.4) as figure:
        panels = figure.subplots(2, 2)
        _training(panels[0, 0], dataset)
        _proportion(panels[0, 1], dataset)
        _ratio(panels[1, 0], dataset)
        _parting(panels[1, 1], dataset)
    return figure


def binned(dataset: xr.Dataset, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Geometric mean of the updates in each bin that has some, (K,), and quartiles of the values there, (3, K)."""
    updates = dataset["update"].values
    edges = np.geomspace(updates[0], updates[-1] * 1.0001, BINS + 1)
    place = np.searchsorted(edges, updates, side="right")
    chosen = [place == i for i in np.unique(place)]
    middle = np.array([np.exp(np.log(updates[these]).mean()) for these in chosen])
    return middle, np.array([np.quantile(values[these], _QUARTILES) for these in chosen]).T


def _banded(axes: Axes, dataset: xr.Dataset, values: np.ndarray, colour: str, label: str, dash: str = "-") -> None:
    at, (low, middle, high) = binned(dataset, values)
    axes.fill_between(at, low, high, color=colour, alpha=0.2, lw=0)
    axes.plot(at, middle, dash, color=colour, label=label)


def _training(axes: Axes, dataset: xr.Dataset) -> None:
    noise = dataset["update_gradient_noise"].values
    _banded(axes, dataset, noise, style.INK, "gradient noise, raw iterate (left)", "--")
    axes.set(xscale="log", yscale="log", xlabel="optimiser updates", ylabel="trace of the gradient covariance")
    right = axes.twinx()
    for name, colour in _COLOURS.items():
        label = f"loss, {'raw iterate' if name == 'raw' else name} (right)"
        _banded(right, dataset, dataset["update_loss"].sel(kept=name).values, colour, label)
    floor = float(dataset["loss_floor"])
    if floor > 0:
        right.axhline(floor, color=style.MUTED, ls=":", lw=1.2, label="expert's own variance (right)")
    right.set(yscale="log", ylabel="held-out loss (action²)")
    right.spines["right"].set_visible(True)
    right.grid(visible=False)
    handles = [*axes.get_legend_handles_labels()[0], *right.get_legend_handles_labels()[0]]
    right.legend(handles=handles, loc="upper right", fontsize=7)
    for one in (axes, right):  # with room for the legend
        low, high = one.get_ylim()
        one.set_ylim(low, high * (high / low) ** 0.45)
        _plain(one.yaxis)
    axes.set_title("A  Gradient noise and loss along training")


def _proportion(axes: Axes, dataset: xr.Dataset) -> None:
    loss, noise = dataset["update_loss"].sel(kept="raw").values, dataset["update_gradient_noise"].values
    (_, (low, x, high)), (_, (bottom, y, top)) = binned(dataset, loss), binned(dataset, noise)
    ends = x[-1], y[-1]
    axes.errorbar(
        x / ends[0],
        y / ends[1],
        [(y - bottom) / ends[1], (top - y) / ends[1]],
        [(x - low) / ends[0], (high - x) / ends[0]],
        fmt="o-",
        color=style.RAW,
        ms=3.5,
        lw=0.9,
        label="network, early (top right) to late",
    )
    exact_loss, exact_noise = (dataset[f"regression_{name}"].values for name in ("loss", "noise"))
    axes.plot(
        exact_loss / exact_loss[-1], exact_noise / exact_noise[-1], color=style.AVERAGES[1], label="regression, exact"
    )
    line = np.array([0.8, 1.2 * x.max() / ends[0]])
    axes.plot(line, line, "--", color=style.INK, lw=1.0, label="proportional")
    axes.set(xscale="log", yscale="log", xlabel="loss / its last value", ylabel="gradient noise / its last value")
    for axis in (axes.xaxis, axes.yaxis):
        _plain(axis)
    axes.legend(loc="upper left", fontsize=7)
    axes.set_title("B  Gradient noise against loss")


def _ratio(axes: Axes, dataset: xr.Dataset) -> None:
    ratio = dataset["update_gradient_noise"].values / dataset["update_loss"].sel(kept="raw").values
    _banded(axes, dataset, ratio, style.RAW, "network")
    axes.set(xscale="log", xlabel="optimiser updates", ylabel="gradient noise / loss (action²)")
    exact = (dataset["regression_noise"] / dataset["regression_loss"]).values[1:]
    level = float(np.median(ratio)) / exact[-1]
    label = "regression, exact (height free)"
    axes.plot(dataset["regression_update"].values[1:], level * exact, color=style.AVERAGES[1], label=label)
    axes.set_ylim(0, 1.3 * axes.get_ylim()[1])
    axes.legend(loc="upper left", fontsize=7)
    axes.set_title("C  Gradient noise per loss")


def _plain(axis: Axis) -> None:
    """Ticks of a logarithmic axis of few decades, written out."""
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axis.set_major_formatter("{x:g}")
    axis.set_minor_formatter(NullFormatter())


def _parting(axes: Axes, dataset: xr.Dataset) -> None:
    steps = dataset["step"].values
    for name, colour in _COLOURS.items():
        low, middle, high = dataset["distance_quantile"].sel(pair=name, quantile=list(_QUARTILES)).values
        seen = np.isfinite(middle) & (middle > 0)
        axes.fill_between(steps, low, high, color=colour, alpha=0.2, lw=0, where=seen)
        apart = float(dataset["parameter_distance"].sel(pair=name))
        label = f"{'raw iterate' if name == 'raw' else name}, {number(apart, 2)} apart"
        axes.plot(steps[seen], middle[seen], color=colour, label=label)
    axes.set(yscale="log", xlabel="environment steps h", ylabel="distance of the states")
    axes.legend(loc="lower right", fontsize=7)
    axes.set_title("D  States of neighbours one update apart")


def falls(dataset: xr.Dataset) -> tuple[float, float]:
    """How many times the raw loss and the gradient noise fell: median of the first bin over that of the last."""
    each = (dataset["update_loss"].sel(kept="raw").values, dataset["update_gradient_noise"].values)
    loss, noise = (binned(dataset, values)[1][1] for values in each)
    return float(loss[0] / loss[-1]), float(noise[0] / noise[-1])


def caption(dataset: xr.Dataset) -> str:
    """What the figure shows, with how far things fell, sample sizes and seeds."""
    a, steps = dataset.attrs, dataset["step"].values
    loss, noise = falls(dataset)
    first = int(steps[min(10, len(steps) - 1)])
    grown = []
    for name in _NEIGHBOURS:
        middle = dataset["distance_quantile"].sel(pair=name, quantile=0.5)
        late = float(middle.isel(step=slice(-max(len(steps) // 4, 1), None)).median())
        grown.append(f"{name} {number(float(middle.sel(step=first)), 2)} to {number(late, 2)}")
    return (
        f"One run of cloning on {a['task']} ({walker_run.LAYERS} layers of {a['width']}, constant step size "
        f"{walker_run.STEP_SIZE:g}, batches of {walker_run.BATCH_SIZE}, {a['steps']:,} updates, seed {a['seed']}), "
        f"measured every {a['every']} updates; bands and bars: quartiles over the iterates in each of at most {BINS} "
        f"bins of updates. A: trace of the covariance over examples of the gradient, from at most "
        f"{GRADIENT_PAIRS} training pairs, and held-out loss. B: from the first bin to "
        f"the last the raw loss falls {number(loss)} times, the gradient noise {number(noise)} times; green: "
        f"exact linear regression on {FEATURES} Gaussian features with as much label noise, trace of "
        f"ΣMΣ + tr(ΣM)Σ + σ₁²Σ. C: their ratio, constant where features stay as they are. D: distance of the states "
        f"(m, rad, m/s, rad/s) of two policies one update apart, from equal starts: median and quartiles over "
        f"{a['episodes']} initial conditions (seeds {EVALUATION_SEED} to {EVALUATION_SEED + int(a['episodes']) - 1}), "
        f"while episodes run; medians from step {first} to the last quarter: {', '.join(grown)}."
    )

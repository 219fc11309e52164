"""How fast averages of SGD forget noise and start: error against the number of steps T, and its exponents.

Noisy quadratic in one direction, errors in units of σ/λ, at two step sizes. Variances fall as T^{-α} for a power EMA,
γ_t = t^{-α}, as 1/T for the uniform average (α = 1) and for a tail, and stop falling for the iterate and for an EMA of
constant rate. So α = 1 is best in the end. Before the start is forgotten it is not: its bias is the largest of all, and
burn-in takes that away (proposition A2).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import gvatheory as gva
from gvatheory import validation
from gvatheory.sweep import provenance
from paper_figs import style
from paper_figs.power_laws import fit_power, signed
from paper_figs.simulated_points import mean_interval, points, relative_error, sizes_of, stream, variance_interval

CURVATURE, NOISE_VARIANCE, INITIAL_ERROR = 1.0, 1.0, 4.0
STEP_SIZES = (0.5, 0.05)
GAMMA, BURN_IN = 0.02, 96

AVERAGES: dict[str, tuple[gva.Average, float]] = {
    "last iterate": (gva.LastIterate(), 0.0),
    f"EMA, γ = {GAMMA:g}": (gva.EMA(GAMMA), 0.0),
    "power EMA, α = 1/2": (gva.PowerEMA(0.5), -0.5),
    "power EMA, α = 3/4": (gva.PowerEMA(0.75), -0.75),
    "Polyak, α = 1": (gva.Polyak(), -1.0),
    f"Polyak, burn-in {BURN_IN}": (gva.Polyak(BURN_IN), -1.0),
    "tail, last half": (gva.Tail(0.5), -1.0),
}
"""Averages by name, each with the exponent of its variance as T → ∞."""

UNIFORM = "Polyak, α = 1"
_COLOURS = dict(zip(AVERAGES, (style.RAW, *style.AVERAGES, style.INK), strict=True))
_MARKERS = dict(zip(AVERAGES, "os^vDPX", strict=True))

PRESETS: dict[str, dict[str, int]] = {
    "quick": {"doublings": 11, "trials": 2000},
    "full": {"doublings": 14, "trials": 20_000},
}
"""T = 4, 8, ..., 2^doublings, and runs per T: about 15 s and 1 min on one core."""

_FITTED = 5  # largest T, to which the exponents are fitted
_FINE = 4  # exact values per doubling of T
_SEEN = 4.0  # standard errors from zero from which on a simulated bias is drawn

_DIMS = ("step_size", "average")


def data(
    preset: str = "quick", *, seed: int = 0, progress: Callable[[int, int], None] | None = None, **sizes: int
) -> xr.Dataset:
    """Variance, squared bias and mean-square error of seven averages over T, exact and simulated, and their exponents.

    Args:
        preset: "quick" or "full", see `PRESETS`.
        seed: of the simulation, ≥ 0; every T has its own stream, which all averages and step sizes share.
        progress: called with (T done, T in all) of the simulation.
        sizes: overrides of the preset's entries; doublings ≥ 6, trials ≥ 10.

    Returns:
        dims (step_size, average, fine_steps): `variance_exact`, `squared_bias_exact` and their sum `error_exact`. Dims
        (step_size, average, steps): the same `_simulated` with 95 % intervals `_low` and `_high` (NaN where a bias is
        not seen); `cost_*`, mean-square error over that of Polyak's average in the same runs; `bias_score`, simulated
        minus exact mean in standard errors. Dims (step_size, average): `exponent_simulated` ± `exponent_half` of the
        variance over the five largest T, and `exponent_exact`.

    Raises:
        ValueError: if the preset or an override is unknown or out of range.
    """
    size = sizes_of(PRESETS, preset, sizes, {"doublings": 6, "trials": 10})
    validation.integer("seed", seed, 0)
    steps = 2 ** np.arange(2, size["doublings"] + 1)
    fine = np.unique(np.round(2.0 ** np.linspace(2, size["doublings"], _FINE * (len(steps) - 1) + 1)).astype(int))
    exact = _exact(fine)
    simulated: list[xr.Dataset] = []
    for i, last in enumerate(steps):
        simulated.append(_simulated(int(last), size["trials"], stream(seed, i), exact))
        if progress is not None:
            progress(i + 1, len(steps))
    coords = {"step_size": list(STEP_SIZES), "average": list(AVERAGES), "steps": steps, "fine_steps": fine}
    dataset = xr.merge([exact, xr.concat(simulated, "steps")]).assign_coords(coords).transpose(*_DIMS, ...)
    dataset = dataset.merge(_exponents(dataset, size["trials"]))
    for name in map(str, dataset.data_vars):
        if name.startswith(("variance", "squared_bias", "error")):
            dataset[name].attrs["units"] = "σ²/λ²"
    facts = {"preset": preset, "seed": seed, **size, "initial_error": INITIAL_ERROR, "fitted": _FITTED}
    return dataset.assign_attrs({**provenance(function="ema_rates.data"), **facts})


def _problem() -> gva.NoisyQuadratic:
    return gva.NoisyQuadratic(CURVATURE, NOISE_VARIANCE)


def _exact(fine: np.ndarray) -> xr.Dataset:
    """Exact moments, dims (step_size, average, fine_steps)."""
    shape = (len(STEP_SIZES), len(AVERAGES), len(fine))
    mean, variance = np.empty(shape), np.empty(shape)
    for i, j, t in np.ndindex(shape):
        average, _ = list(AVERAGES.values())[j]
        law = gva.exact_law(_problem(), gva.Constant(STEP_SIZES[i]), average, int(fine[t]), INITIAL_ERROR)
        mean[i, j, t], variance[i, j, t] = law.mean[0], law.covariance[0, 0]
    moments = {
        "mean": mean,
        "variance_exact": variance,
        "squared_bias_exact": mean**2,
        "error_exact": mean**2 + variance,
    }
    coords = {"fine_steps": fine}
    return xr.Dataset({k: ((*_DIMS, "fine_steps"), v) for k, v in moments.items()}, coords=coords)


def _simulated(steps: int, trials: int, seed: int, exact: xr.Dataset) -> xr.Dataset:
    """Moments of `trials` runs of T steps with their intervals, dims (step_size, average)."""
    schedules = [gva.Constant(eta) for eta in STEP_SIZES for _ in AVERAGES]
    averages = [average for average, _ in AVERAGES.values()] * len(STEP_SIZES)
    runs = gva.simulate_grid(_problem(), schedules, averages, steps, INITIAL_ERROR, trials, seed)
    errors = runs[..., 0].reshape(len(STEP_SIZES), len(AVERAGES), trials)
    mean, variance = errors.mean(axis=-1), errors.var(axis=-1, ddof=1)
    # What the samples' noise adds to the squared mean is taken off.
    seen = np.abs(mean) > _SEEN * np.sqrt(variance / trials)
    bias = np.where(seen, mean**2 - variance / trials, np.nan)
    bias_error = np.where(seen, 2.0 * np.sqrt(variance / trials) / np.abs(mean), np.nan)
    squares = errors**2
    error = squares.mean(axis=-1)
    uniform = list(AVERAGES).index(UNIFORM)
    shares = squares / error[..., None]
    paired = (shares - shares[:, uniform, None]).std(axis=-1, ddof=1) / np.sqrt(trials)  # of the logarithm of a ratio
    out = {
        "variance": (variance, *variance_interval(variance, trials)),
        "squared_bias": (bias, *mean_interval(bias, bias_error)),
        "error": (error, *mean_interval(error, relative_error(squares))),
    }
    cost = error / error[:, uniform, None]
    out["cost"] = (cost, *mean_interval(cost, paired))
    score = (mean - exact["mean"].sel(fine_steps=steps).values) / np.sqrt(variance / trials)
    parts = ("simulated", "low", "high")
    values = {f"{k}_{part}": (_DIMS, v) for k, row in out.items() for part, v in zip(parts, row, strict=True)}
    return xr.Dataset({**values, "bias_score": (_DIMS, score)})


def _exponents(dataset: xr.Dataset, trials: int) -> xr.Dataset:
    """Exponents of the variance over the largest T: of the simulated one, of the exact one with the same weights."""
    late = dataset["steps"].values[-_FITTED:]
    errors = np.full(len(late), np.sqrt(2.0 / (trials - 1.0)))  # of the logarithm of a normal sample's variance
    simulated = dataset["variance_simulated"].sel(steps=late).values
    exact = dataset["variance_exact"].sel(fine_steps=late).values
    out = {name: np.empty(simulated.shape[:2]) for name in ("exponent_simulated", "exponent_half", "exponent_exact")}
    for at in np.ndindex(simulated.shape[:2]):
        fit = fit_power(late, simulated[at], errors)
        out["exponent_simulated"][at], out["exponent_half"][at] = fit.value, fit.half
        out["exponent_exact"][at] = fit_power(late, exact[at], errors).value
    return xr.Dataset({name: (_DIMS, value) for name, value in out.items()})


def draw(dataset: xr.Dataset) -> Figure:
    """Variance, squared bias and mean-square error by step size; below, exponents and the cost of α < 1."""
    with style.canvas(10.0, 8.6) as figure:
        grid = figure.subplots(3, 3)
        letters = iter("ABCDEF")
        for row, step_size in zip(grid, dataset["step_size"].values, strict=False):
            one = dataset.sel(step_size=step_size)
            for axes, (name, title) in zip(row, _QUANTITIES.items(), strict=True):
                _curves(axes, one, name)
                axes.set(title=f"{next(letters)}  {title}, ηλ = {step_size * CURVATURE:g}", ylabel=f"{title} (σ²/λ²)")
            row[1].set_ylim(1e-7, 3.0 * INITIAL_ERROR**2)
        _exponent_panel(grid[2, 0], dataset)
        _cost_panel(grid[2, 1], dataset.isel(step_size=-1))
        grid[2, 2].axis("off")
        handles, labels = grid[0, 0].get_legend_handles_labels()
        grid[2, 2].legend(handles, labels, loc="center", title="lines exact, points simulated")
    return figure


_QUANTITIES = {"variance": "Variance", "squared_bias": "Squared bias", "error": "Mean-square error"}


def _curves(axes: Axes, dataset: xr.Dataset, name: str, exact: xr.DataArray | None = None) -> None:
    """A quantity over T for every average: the exact line, the simulated points."""
    exact = dataset[f"{name}_exact"] if exact is None else exact
    for average in AVERAGES:
        colour, one = _COLOURS[average], dataset.sel(average=average)
        dash = "--" if average.endswith(str(BURN_IN)) else "-"
        axes.plot(dataset["fine_steps"], exact.sel(average=average), dash, color=colour, lw=1.2)
        low, value, high = (one[f"{name}_{part}"] for part in ("low", "simulated", "high"))
        points(axes, one["steps"].values, value, low, high, fmt=_MARKERS[average], color=colour, label=average)
    axes.set(xscale="log", yscale="log", xlabel="steps T")


def _exponent_panel(axes: Axes, dataset: xr.Dataset) -> None:
    """Fitted exponents beside those of the exact law over the same T and the limits."""
    places = np.arange(len(AVERAGES))
    limits = [limit for _, limit in AVERAGES.values()]
    axes.hlines(limits, places - 0.4, places + 0.4, color=style.INK, lw=1.2)
    for shift, step_size, filled in zip((-0.17, 0.17), dataset["step_size"].values, (True, False), strict=True):
        one = dataset.sel(step_size=step_size)
        for i, average in enumerate(AVERAGES):
            cell, colour = one.sel(average=average), _COLOURS[average]
            axes.plot(i + shift, cell["exponent_exact"], "_", color=style.MUTED, ms=15, mew=1.6)
            axes.errorbar(
                i + shift,
                cell["exponent_simulated"],
                cell["exponent_half"],
                fmt=_MARKERS[average],
                color=colour,
                mfc=colour if filled else "white",
                ms=4.5,
                capsize=2,
                lw=1,
            )
    late = dataset["steps"].values[-dataset.attrs["fitted"]]
    axes.set(title=f"G  Exponents of the variance, T ≥ {late:,}", ylabel="d log variance / d log T")
    axes.set_xticks(places, ["last", "EMA", "α=½", "α=¾", "α=1", "α=1,\nburn-in", "tail"])


def _cost_panel(axes: Axes, dataset: xr.Dataset) -> None:
    """Mean-square error over that of the uniform average: below one before the start is forgotten."""
    exact = dataset["error_exact"] / dataset["error_exact"].sel(average=UNIFORM)
    _curves(axes, dataset, "cost", exact)
    fine = dataset["fine_steps"].values[len(dataset["fine_steps"]) // 2 :]
    for average in ("power EMA, α = 1/2", "power EMA, α = 3/4"):
        alpha = -AVERAGES[average][1]
        axes.plot(fine, fine ** (1.0 - alpha) / 2.0, ":", color=_COLOURS[average], lw=1.6)
    axes.axhline(1.0, color=style.MUTED, lw=0.8)
    axes.set(title=f"H  Error over that of α = 1, ηλ = {float(dataset['step_size']):g}", ylabel="ratio of mean squares")


def caption(dataset: xr.Dataset) -> str:
    """What the figure shows, with its sample sizes, its seed and the exponents."""
    a, small = dataset.attrs, dataset.isel(step_size=-1)
    fits = "; ".join(
        f"{name}: "
        + ", ".join(
            f"{signed(float(c['exponent_simulated']), float(c['exponent_half']))} "
            f"(exact {signed(float(c['exponent_exact']))})"
            for c in (dataset.sel(average=name, step_size=step) for step in dataset["step_size"].values)
        )
        + f", limit {signed(AVERAGES[name][1])}"
        for name in dataset["average"].values
    )
    ratio = small["error_exact"] / small["error_exact"].sel(average=UNIFORM)
    best, late = ratio.where(ratio == ratio.min(), drop=True), ratio.isel(fine_steps=-1)
    early = f"{1.0 / float(ratio.min()):.1f} times ({best['average'].values[0]}, T = {best['fine_steps'].values[0]})"
    steps = dataset["steps"].values
    return (
        f"Error of averages of SGD after T steps on a noisy quadratic, in units of σ²/λ², from e_0 = "
        f"{a['initial_error']:g} σ/λ, at ηλ = {' and '.join(f'{e:g}' for e in dataset['step_size'].values)}. Lines: "
        f"exact. Points: {a['trials']:,} runs for each T = {steps[0]}, ..., {steps[-1]:,}, seed {a['seed']}, 95 % "
        f"intervals; biases where they are {_SEEN:g} standard errors from zero. G: exponents of the variance, weighted "
        f"least squares over T ≥ {steps[-a['fitted']]:,} (filled: larger step; grey: the exact law over the same T; "
        f"black: T → ∞). {fits}. H: at the small step other averages beat the uniform one by up to {early} before its "
        f"bias is gone; at T = {steps[-1]:,} α = 1/2 and 3/4 cost {float(late.sel(average='power EMA, α = 1/2')):.0f} "
        f"and {float(late.sel(average='power EMA, α = 3/4')):.1f} times as much (dotted: T^(1−α)/2), and the uniform "
        f"average after {BURN_IN} steps of burn-in costs {float(late.sel(average=f'Polyak, burn-in {BURN_IN}')):.2f}."
    )

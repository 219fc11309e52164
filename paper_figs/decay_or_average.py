"""A decaying step against an average of a constant one, after equally many steps: which leaves less error, and when.

Noisy quadratic in one direction, errors in units of σ/λ. An average reaches 1/T at any stable step; c/t does so only if
2λc > 1, and is as good only at c = 1/λ, so it must know λ (proposition C.6). A cool-down η(τ/N)^p over the last N steps
leaves N^{-p/(p+1)}, which loses √(ηλN) to an average of the same N steps where noise is all there is, and wins where
the average has not forgotten the start, or trails a drifting optimum (A5).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import gvatheory as gva
from gvatheory import validation
from gvatheory.sweep import provenance
from paper_figs import style
from paper_figs.decay_experiments import (
    BEST_EMA,
    COOLED,
    COOLING_STEP,
    DRIFT_LENGTH,
    DRIFTED,
    GAMMA,
    INITIAL_ERROR,
    RUNS,
    STEP_SIZE,
    Choice,
    Experiment,
    experiments,
)
from paper_figs.power_laws import fit_power, signed
from paper_figs.simulated_points import mean_interval, points, sizes_of, stream

PRESETS: dict[str, dict[str, int]] = {
    "quick": {"doublings": 10, "trials": 2000},
    "full": {"doublings": 13, "trials": 20_000},
}
"""T = 16, ..., 2^doublings, N = 8, ..., half of that, and runs per point: about 20 s and a few minutes on one core."""

_FITTED = 5  # largest T and N, to which the exponents are fitted
_FINE = 3  # exact values per doubling
_SCALES = 8


def data(
    preset: str = "quick", *, seed: int = 0, progress: Callable[[int, int], None] | None = None, **sizes: int
) -> xr.Dataset:
    """Mean-square errors of schedules and averages, exact and simulated, in four experiments, and exponents.

    Args:
        preset: "quick" or "full", see `PRESETS`.
        seed: of the simulation, ≥ 0; every run length, scale and drift has its own stream, shared by what is compared.
        progress: called with (points done, points in all) of the simulation.
        sizes: overrides of the preset's entries; doublings ≥ 8, trials ≥ 10.

    Returns:
        variables `X_exact` on the fine axis, `X_simulated` with its 95 % interval `X_low`, `X_high` and `X_score`
        (simulated minus exact logarithm in standard errors) on the axis itself, for X of: `run` (run, steps) with
        `run_variance`, whole runs; `scale` (scale), c/t after T = the largest but one of steps, times T; `cooled`
        (cooled, length), from stationarity; `drift` (drifted, drift), under a drift of so much per step. Exponents over
        the five longest: `run_exponent`, ± `run_exponent_half`, `run_exponent_exact`, and the same of `cooled`.

    Raises:
        ValueError: if the preset or an override is unknown or out of range.
    """
    size = sizes_of(PRESETS, preset, sizes, {"doublings": 8, "trials": 10})
    validation.integer("seed", seed, 0)
    longest = size["doublings"]
    steps, length = 2 ** np.arange(4, longest + 1), 2 ** np.arange(3, longest)
    axes = {
        "steps": (steps, np.unique(np.round(np.geomspace(16, steps[-1], _FINE * (len(steps) - 1) + 1)).astype(int))),
        "length": (length, np.unique(np.round(np.geomspace(8, length[-1], _FINE * (len(length) - 1) + 1)).astype(int))),
        "scale": (np.geomspace(0.3, 8.0, _SCALES), np.geomspace(0.3, 8.0, 4 * _SCALES)),
        "drift": (np.geomspace(2e-5, 1.25e-2, 8), np.geomspace(2e-5, 1.25e-2, 40)),
    }
    parts = experiments(int(steps[-2]))
    total, done, variables = sum(len(axes[part.axis][0]) for part in parts), 0, {}
    for number, part in enumerate(parts):
        coarse, fine = axes[part.axis]
        exact = np.array([part.exact(x) for x in fine])  # (fine, 2, choices)
        at = np.array([part.exact(x)[1] for x in coarse])
        rows = []
        for i, x in enumerate(coarse):
            rows.append(part.simulated(x, size["trials"], stream(seed, number, i)))
            done += 1
            if progress is not None:
                progress(done, total)
        variables |= _labelled(part, exact, at, np.array(rows))
    coords = {name: pair[0] for name, pair in axes.items()} | {f"fine_{name}": pair[1] for name, pair in axes.items()}
    coords |= {"run": list(RUNS), "cooled": list(COOLED), "drifted": list(DRIFTED)}
    dataset = xr.Dataset(variables, coords={k: list(v) for k, v in coords.items()})
    dataset = dataset.assign(_exponents(dataset, "run", RUNS)).assign(_exponents(dataset, "cooled", COOLED))
    facts = {"preset": preset, "seed": seed, **size, "scale_steps": int(steps[-2]), "fitted": _FITTED}
    return dataset.assign_attrs({**provenance(function="decay_or_average.data"), "units": "σ²/λ²", **facts})


def _labelled(
    part: Experiment, exact: np.ndarray, at: np.ndarray, rows: np.ndarray
) -> dict[str, tuple[list[str], np.ndarray]]:
    """The variables of an experiment.

    Args:
        part: the experiment.
        exact: variances and mean squares on the fine axis, (fine, 2, choices).
        at: mean squares at the points, (points, choices).
        rows: simulated mean squares and their relative errors, (points, 2, choices).
    """
    value, relative = rows[:, 0], rows[:, 1]
    low, high = mean_interval(value, relative)
    fine = {"exact": exact[:, 1], "variance": exact[:, 0]}
    coarse = {"at": at, "simulated": value, "low": low, "high": high, "relative_error": relative}
    coarse["score"] = np.log(value / at) / relative
    out = {}
    for prefix, arrays in (("fine_", fine), ("", coarse)):
        for name, array in arrays.items():
            dims = [*([part.choices] if part.choices else []), prefix + part.axis]
            out[f"{part.name}_{name}"] = (dims, array.T if part.choices else array[:, 0])
    return out


def _exponents(dataset: xr.Dataset, name: str, choices: Mapping[str, Choice]) -> dict[str, tuple[str, list[float]]]:
    """Fitted exponents over the longest runs, those of the exact law with the same weights, and their limits."""
    axis = next(str(d) for d in dataset[f"{name}_at"].dims if d != name)
    late = dataset.isel({axis: slice(-_FITTED, None)})
    rows: dict[str, list[float]] = {"": [], "_half": [], "_exact": [], "_limit": []}
    for choice in choices:
        one = late.sel({name: choice})
        errors = one[f"{name}_relative_error"].values
        fit = fit_power(one[axis].values, one[f"{name}_simulated"].values, errors)
        exact = fit_power(one[axis].values, one[f"{name}_at"].values, errors)
        for key, value in zip(rows, (fit.value, fit.half, exact.value, choices[choice].limit), strict=True):
            rows[key].append(value)
    return {f"{name}_exponent{key}": (name, values) for key, values in rows.items()}


COLOURS = {
    "constant step, last iterate": style.RAW,
    f"constant step, EMA γ = {GAMMA:g}": style.AVERAGES[3],
    "constant step, Polyak": style.AVERAGES[0],
    "constant step, tail half": style.AVERAGES[4],
    "c/t, λc = 1/4": style.MUTED,
    "c/t, λc = 1": style.INK,
    "c/t, λc = 3": style.AVERAGES[1],
    "linear to 0": style.AVERAGES[1],
    "cosine to 0": style.AVERAGES[2],
    "constant, last 1/5 linear": style.AVERAGES[3],
    "cool-down, p = 1/2": style.AVERAGES[3],
    "cool-down, linear": style.AVERAGES[1],
    "cool-down, p = 2": style.INK,
    "cool-down, cosine": style.AVERAGES[2],
    "average of the last N": style.AVERAGES[4],
    "last iterate": style.RAW,
    "EMA of its lag": style.AVERAGES[3],
    BEST_EMA: style.AVERAGES[0],
}
_MARKERS = dict(zip(style.AVERAGES, "sv^DP", strict=True)) | {style.RAW: "o", style.INK: "X", style.MUTED: "p"}

_DECAYS = ("constant step, last iterate", f"constant step, EMA γ = {GAMMA:g}", "constant step, Polyak")
_DECAYS += ("constant step, tail half", "c/t, λc = 1/4", "c/t, λc = 1", "c/t, λc = 3")
_ANNEALED = ("constant step, Polyak", "constant step, tail half", "linear to 0", "cosine to 0")
_ANNEALED += ("constant, last 1/5 linear",)


def draw(dataset: xr.Dataset) -> Figure:
    """Whole runs against T, twice; c/t over λc; cool-downs over N; drift; and the exponents beside their limits."""
    with style.canvas(11.0, 7.4) as figure:
        (a, b, c), (d, e, f) = figure.subplots(2, 3)
        _runs(a, dataset, _DECAYS, "A  Averages and c/t")
        _scale_panel(b, dataset)
        _runs(c, dataset, _ANNEALED, "C  Averages and steps that end at 0", variances=True)
        _cooled_panel(d, dataset)
        _drift_panel(e, dataset)
        _exponent_panel(f, dataset)
    return figure


def _lines(axes: Axes, dataset: xr.Dataset, name: str, choices: Sequence[str], axis: str) -> None:
    """Exact line and simulated points of each choice, over an axis."""
    for choice in choices:
        one = dataset.sel({str(dataset[f"{name}_at"].dims[0]): choice})
        colour = COLOURS[choice]
        axes.plot(one[f"fine_{axis}"], one[f"{name}_exact"], color=colour, lw=1.2)
        low, value, high = (one[f"{name}_{part}"] for part in ("low", "simulated", "high"))
        points(axes, one[axis].values, value, low, high, fmt=_MARKERS[colour], color=colour, label=choice)
    axes.set(xscale="log", yscale="log")


def _runs(axes: Axes, dataset: xr.Dataset, choices: Sequence[str], title: str, variances: bool = False) -> None:
    _lines(axes, dataset, "run", choices, "steps")
    for choice in choices if variances else ():
        axes.plot(dataset["fine_steps"], dataset["run_variance"].sel(run=choice), ":", color=COLOURS[choice], lw=1.1)
    least = float(dataset["run_exact"].min())
    axes.set(title=title, xlabel="steps T", ylabel="mean-square error (σ²/λ²)", ylim=(0.5 * least, None))
    names = [choice.replace("constant step, ", "") for choice in choices]
    axes.legend(axes.get_legend_handles_labels()[0], names, loc="upper right", fontsize=7, borderaxespad=0.1)
    axes.set_ylim(top=300.0)


def _scale_panel(axes: Axes, dataset: xr.Dataset) -> None:
    """T times the error that c/t leaves, over λc, with its limit."""
    fine = dataset["fine_scale"].values
    axes.plot(fine, dataset["scale_exact"], color=style.INK, label=f"c/t, T = {dataset.attrs['scale_steps']:,}")
    low, value, high = (dataset[f"scale_{part}"] for part in ("low", "simulated", "high"))
    points(axes, dataset["scale"].values, value, low, high, fmt="X", color=style.INK)
    limit = np.geomspace(0.505, 8.0, 200)
    steps = float(dataset.attrs["scale_steps"])
    law = steps * gva.closed_forms.inverse_time_variance(steps, limit, 1.0, 1.0)
    axes.plot(limit, law, "--", color=style.AVERAGES[0], label="limit (λc)²/(2λc − 1)")
    axes.axvline(0.5, color=style.MUTED, lw=0.9, ls=":")
    axes.axhline(1.0, color=style.MUTED, lw=0.9)
    axes.annotate("Polyak, any stable step", (7.6, 1.0), (0, -11), textcoords="offset points", ha="right", fontsize=8)
    axes.set(title="B  What c/t pays for not knowing λ", xlabel="λc", ylabel="T × mean-square error (σ²/λ²)")
    axes.set(xscale="log", yscale="log", ylim=(0.7, 30.0))
    axes.set_xticks([0.3, 0.5, 1, 2, 4, 8], ["0.3", "½", "1", "2", "4", "8"])
    axes.set_xticks([], minor=True)
    axes.legend(loc="upper right")


def _cooled_panel(axes: Axes, dataset: xr.Dataset) -> None:
    """Variance over the length of a cool-down, with the leading terms."""
    _lines(axes, dataset, "cooled", list(COOLED), "length")
    fine = dataset["fine_length"].values
    for choice, power in (("p = 1/2", 0.5), ("linear", 1.0), ("p = 2", 2.0), ("cosine", 2.0)):
        # Near its end half a cosine is a square, π²/4 times the one of the same length.
        step = COOLING_STEP * (np.pi**2 / 4.0 if choice == "cosine" else 1.0)
        lead = 0.5 * step * gva.closed_forms.cooldown_scaling(step, 1.0, fine, power)
        long = fine >= fine[-1] / 16
        axes.plot(fine[long], 0.8 * lead[long], ":", color=COLOURS[f"cool-down, {choice}"], lw=1.4)
    axes.set(title=f"D  The last N steps, from ηλ = {COOLING_STEP:g}", xlabel="steps N", ylabel="variance (σ²/λ²)")
    axes.legend(loc="lower left", fontsize=7)


def _drift_panel(axes: Axes, dataset: xr.Dataset) -> None:
    """Error over the speed of the optimum; between the shaded bounds of A5 the cool-down overtakes the average."""
    _lines(axes, dataset, "drift", DRIFTED, "drift")
    low, high = drift_bounds()
    axes.axvspan(low, high, color=style.MUTED, alpha=0.25, lw=0)
    axes.set(title=f"E  A drifting optimum, N = {DRIFT_LENGTH}", xlabel="drift per step (σ/λ)")
    axes.set(ylabel="mean-square error (σ²/λ²)")
    axes.legend(loc="upper left", fontsize=7)


def drift_bounds() -> tuple[float, float]:
    """Drift up to which the tail average wins, and from which on the linear cool-down does (A5, item 4)."""
    x, variance = COOLING_STEP * DRIFT_LENGTH, COOLING_STEP / (2.0 - COOLING_STEP)
    loses = 1.0 / (15.0 + 3.0 * x**2.5 / (2.0 * np.sqrt(np.pi)))
    wins = (1.0 + 2.0 / DRIFT_LENGTH) * min(0.2, 2.0 * np.sqrt(np.pi) * x**-2.5)
    return COOLING_STEP * float(np.sqrt(loses * variance)), COOLING_STEP * float(np.sqrt(wins * variance))


def crossing(dataset: xr.Dataset) -> float:
    """Drift at which the linear cool-down and the average of the same steps are equally good, by the exact law."""
    decay, average = (
        dataset["drift_exact"].sel(drifted=name).values for name in ("cool-down, linear", "average of the last N")
    )
    ratio = np.log(decay / average)
    return float(np.exp(np.interp(0.0, -ratio, np.log(dataset["fine_drift"].values))))


def _exponent_rows(dataset: xr.Dataset) -> list[tuple[str, float, float, float, float]]:
    """Name, fitted exponent, half its interval, exponent of the exact law, limit: of whole runs and of cool-downs."""
    rows = []
    for name in ("run", "cooled"):
        columns = (dataset[f"{name}_exponent{key}"].values.tolist() for key in ("", "_half", "_exact", "_limit"))
        rows += list(zip((str(v) for v in dataset[name].values), *columns, strict=True))
    return rows


def _exponent_panel(axes: Axes, dataset: xr.Dataset) -> None:
    rows = _exponent_rows(dataset)
    for y, (name, fitted, half, exact, limit) in enumerate(rows):
        colour = COLOURS[name]
        axes.plot([limit, limit], [y - 0.38, y + 0.38], color=style.INK, lw=1.2)
        axes.plot(exact, y, "|", color=style.MUTED, ms=13, mew=1.6)
        axes.errorbar(fitted, y, xerr=half, fmt=_MARKERS[colour], color=colour, ms=4, capsize=2, lw=1)
    names = [name.replace("constant step, ", "").replace("constant, last 1/5", "last 1/5") for name, *_ in rows]
    axes.set_yticks(range(len(rows)), names, fontsize=7)
    axes.axhline(len(RUNS) - 0.5, color=style.MUTED, lw=0.6)
    axes.set(title=f"F  Exponents, {dataset.attrs['fitted']} longest T or N", xlabel="d log error / d log T or N")
    axes.set(ylim=(len(rows) - 0.4, -0.6))


def caption(dataset: xr.Dataset) -> str:
    """What the figure shows, with its sample sizes, its seed and the exponents."""
    a, steps, length = dataset.attrs, dataset["steps"].values, dataset["length"].values
    fits = "; ".join(
        f"{name}: {signed(fitted, half)} (exact {signed(exact)}, limit {signed(limit)})"
        for name, fitted, half, exact, limit in _exponent_rows(dataset)
    )
    low, high = drift_bounds()
    last = dataset.sel(length=length[-1])["cooled_at"]
    price = float(last.sel(cooled="cool-down, linear") / last.sel(cooled="average of the last N"))
    product = COOLING_STEP * length[-1]
    return (
        "Decaying steps against averages of constant ones on a noisy quadratic, errors in units of σ/λ. Lines: exact. "
        f"Points: {a['trials']:,} runs each, seed {a['seed']}, 95 % intervals. A, C: mean-square error after T = "
        f"{steps[0]}, ..., {steps[-1]:,} steps from e_0 = {INITIAL_ERROR:g}, constant steps and starts of decays at "
        f"ηλ = {STEP_SIZE:g}, c/t from t = max(λc, 1) on (it forgets the start at once where it knows λ); dotted in C: "
        f"the variance alone. B: from e_0 = 0. D: stationary SGD at ηλ = {COOLING_STEP:g}, then a cool-down or an "
        f"average over N = {length[0]}, ..., {length[-1]:,} steps; dotted: leading terms × 0.8. At N = {length[-1]:,} "
        f"the linear cool-down leaves {price:.1f} times what the average does (√(1 + πηλN/16) = "
        f"{np.sqrt(1.0 + np.pi * product / 16.0):.1f}). E: the optimum moves at a constant speed; the linear cool-down "
        f"overtakes the average of the same N steps at a drift of {crossing(dataset):.1e}, between the bounds of "
        f"proposition A5 (shaded, {low:.1e} to {high:.1e}); an EMA whose rate suits the drift (a "
        "uniform average until that rate is reached) is below both there; that of its lag has γ = 2/(N + 1). F: "
        f"exponents by weighted least squares (grey: the exact law over the same lengths; black: limit). {fits}."
    )

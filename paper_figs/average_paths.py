"""Averages along training: paths, their memory, and what a window shows of the spread across seeds (proposition A8).

One eigendirection of a noisy quadratic at a constant step size. An EMA of rate γ remembers about 1/γ iterates; within
fewer than that it hardly moves, however far it is from the optimum. The spread in a window therefore flatters it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import gvatheory as gva
from gvatheory import closed_forms, validation
from gvatheory.paths import simulate_path
from gvatheory.sweep import provenance
from paper_figs import style
from paper_figs.simulated_points import Z, mean_interval, points, relative_error, sizes_of, stream

STEP_SIZE, CURVATURE, NOISE_VARIANCE = 0.1, 1.0, 1.0
RATES = (1.0, 0.05, 0.005)
"""γ of the averages; 1 is the last iterate itself."""
WINDOW = 40
"""Iterates of the window in D: as many as the cloning run looks at one by one."""
DRAWN = 400
"""Iterates of the paths in A."""
PRESETS: dict[str, dict[str, int]] = {
    "quick": {"doublings": 8, "trials": 500},
    "full": {"doublings": 11, "trials": 4000},
}
"""Longest window, 2^doublings iterates, and independent runs: seconds, and half a minute on one core."""

_LOWEST = {"doublings": 6, "trials": 10}
_FORGOTTEN = 20  # times 1/γ after which the start of the paths in A is gone
_FINE = np.geomspace(1e-4, 1.0, 81)
_LOOKS = dict(zip(RATES, zip((style.RAW, *style.AVERAGES), "os^", strict=False), strict=True))


def data(
    preset: str = "quick", *, seed: int = 0, progress: Callable[[int, int], None] | None = None, **sizes: int
) -> xr.Dataset:
    """One run's paths, autocorrelations and window factors, exact and simulated.

    Args:
        preset: "quick" or "full", see `PRESETS`.
        seed: of the simulation, ≥ 0; every average has its own stream, the paths another.
        progress: called with (averages done, averages in all).
        sizes: overrides of the preset's entries; doublings ≥ 6, trials ≥ 10.

    Returns:
        path (rate, time) in units of the raw iterate's stationary standard deviation; autocorrelation_* (rate, lag) and
        window_* (rate, count), with exact, simulated and the 95 % interval low and high; the window's is the mean
        sample variance over the stationary variance. `relative_window_*` and `relative_seeds_*` (fine_rate: exact;
        rate: simulated): spread over the raw iterate's, in a window of `WINDOW` and across runs.

    Raises:
        ValueError: if the preset or an override is unknown or out of range.
    """
    size = sizes_of(PRESETS, preset, sizes, _LOWEST)
    validation.integer("seed", seed, 0)
    counts = 2 ** np.arange(1, size["doublings"] + 1)
    lags = np.concatenate([[1], counts[:-1]])
    found: list[dict[str, np.ndarray]] = []
    for i, rate in enumerate(RATES):
        found.append(_simulated(rate, lags, counts, size["trials"], stream(seed, 1 + i)))
        if progress is not None:
            progress(i + 1, len(RATES))
    setting = {"step_size": STEP_SIZE, "curvature": CURVATURE}
    each = np.array(RATES)[:, None]
    exact = {
        "autocorrelation_exact": ("lag", closed_forms.autocorrelation(lags, **setting, gamma=each)),
        "window_exact": ("count", np.stack([_window(int(n), np.array(RATES)) for n in counts], axis=1)),
    }
    values: dict[str, Any] = {name: (("rate", dim), value) for name, (dim, value) in exact.items()}
    for name in found[0]:
        along = {"autocorrelation": ("lag",), "window": ("count",)}.get(name.split("_")[0], ())
        values[name] = ("rate", *along), np.stack([one[name] for one in found])
    values["path"] = ("rate", "time"), _paths(stream(seed, 0))
    factor = closed_forms.ema_factor(STEP_SIZE, CURVATURE, _FINE)
    seen = _window(WINDOW, np.append(_FINE, 1.0))
    fine = {"relative_seeds_exact": np.sqrt(factor), "relative_window_exact": np.sqrt(factor * seen[:-1] / seen[-1])}
    coords = {"rate": list(RATES), "lag": lags, "count": counts, "time": np.arange(DRAWN), "fine_rate": _FINE}
    dataset = xr.Dataset({**values, **{k: ("fine_rate", v) for k, v in fine.items()}}, coords)
    for name in ("lag", "count", "time"):
        dataset[name].attrs["units"] = "updates"
    return dataset.assign_attrs({**provenance(function="average_paths.data"), "preset": preset, "seed": seed, **size})


def _problem() -> gva.NoisyQuadratic:
    return gva.NoisyQuadratic(CURVATURE, NOISE_VARIANCE)


def _average(rate: float) -> gva.Average:
    return gva.LastIterate() if rate == 1.0 else gva.EMA(rate)


def _window(count: int, rates: np.ndarray) -> np.ndarray:
    return np.asarray(closed_forms.window_factor(count, STEP_SIZE, CURVATURE, rates))


def _paths(seed: int) -> np.ndarray:
    """(rate, time) of one run, all averages of the same iterates, once their start is forgotten."""
    before = int(_FORGOTTEN / min(RATES))
    iterates = simulate_path(_problem(), STEP_SIZE, gva.LastIterate(), before + DRAWN, 1, 1, seed)[0, :, 0]
    out = np.empty((len(RATES), len(iterates)))
    for row, rate in zip(out, RATES, strict=True):
        average = iterates[0]
        for t, iterate in enumerate(iterates):
            average += rate * (iterate - average)
            row[t] = average
    unit = np.sqrt(closed_forms.sgd_variance(STEP_SIZE, CURVATURE, NOISE_VARIANCE))
    return out[:, before:] / unit


def _simulated(rate: float, lags: np.ndarray, counts: np.ndarray, trials: int, seed: int) -> dict[str, np.ndarray]:
    """Estimates of one average with their intervals, from runs of the longest window."""
    errors = simulate_path(_problem(), STEP_SIZE, _average(rate), int(counts[-1]), 1, trials, seed)[..., 0]
    variance = closed_forms.ema_variance(STEP_SIZE, CURVATURE, NOISE_VARIANCE, rate)
    products = errors[:, lags] * errors[:, :1] / variance
    middle, half = products.mean(axis=0), Z * products.std(axis=0, ddof=1) / np.sqrt(trials)
    shown = np.stack([errors[:, :n].var(axis=1, ddof=1) for n in counts]) / variance
    ratio = shown.mean(axis=-1)
    low, high = mean_interval(ratio, relative_error(shown))
    raw = closed_forms.sgd_variance(STEP_SIZE, CURVATURE, NOISE_VARIANCE)
    squares = errors[:, 0] ** 2 / raw
    inside = errors[:, :WINDOW].var(axis=1, ddof=1) / (raw * _window(WINDOW, np.array([1.0]))[0])
    out = {f"autocorrelation_{k}": v for k, v in _parts(middle, middle - half, middle + half).items()}
    out |= {f"window_{k}": v for k, v in _parts(ratio, low, high).items()}
    for name, samples in {"seeds": squares, "window": inside}.items():
        mean = samples.mean()
        bounds = mean_interval(mean, relative_error(samples))
        out |= {f"relative_{name}_{k}": np.sqrt(v) for k, v in _parts(mean, *bounds).items()}
    return out


def _parts(*values: np.ndarray) -> dict[str, np.ndarray]:
    return dict(zip(("simulated", "low", "high"), values, strict=True))


def _named(rate: float) -> str:
    return "raw iterate" if rate == 1.0 else f"EMA, γ = {rate:g}"


def draw(dataset: xr.Dataset) -> Figure:
    """Four panels: paths, autocorrelation, window over seeds, and the gain over the raw iterate by either measure.

    A: one run, raw iterate and its averages; dotted: twice the standard deviation across runs, of each. B:
    autocorrelation against the lag. C: expected sample variance in a window of n consecutive iterates, over the
    variance across runs. D: standard deviation over that of the raw iterate, across runs and in a window of `WINDOW`,
    against the rate γ. Lines are exact, points simulated with 95 % intervals.
    """
    with style.canvas(9.6, 6.2) as figure:
        panels = figure.subplots(2, 2)
        _draw_paths(panels[0, 0], dataset)
        for axes, name, along in ((panels[0, 1], "autocorrelation", "lag"), (panels[1, 0], "window", "count")):
            for rate, (colour, marker) in _LOOKS.items():
                one = dataset.sel(rate=rate)
                axes.plot(*_exact_line(dataset[along].values, name, rate), color=colour, lw=1.2)
                low, value, high = (one[f"{name}_{part}"] for part in ("low", "simulated", "high"))
                points(axes, dataset[along].values, value, low, high, fmt=marker, color=colour)
        panels[0, 1].set(xscale="log", xlabel="lag j (updates)", ylabel="autocorrelation $r_j$")
        panels[0, 1].axhline(0.0, color=style.MUTED, lw=0.8)
        panels[0, 1].set_title("B  Autocorrelation")
        panels[1, 0].axhline(1.0, color=style.MUTED, lw=0.8)
        panels[1, 0].set(xscale="log", yscale="log", xlabel="iterates n in the window")
        panels[1, 0].set(ylabel="variance in the window / across runs", title="C  What a window shows")
        _gain(panels[1, 1], dataset)
        handles = panels[0, 0].get_lines()[: len(RATES)]
        figure.legend(handles, [_named(rate) for rate in RATES], loc="outside upper center", ncols=len(RATES))
    return figure


def _exact_line(places: np.ndarray, name: str, rate: float) -> tuple[np.ndarray, np.ndarray]:
    """Whole numbers over the range of the points, evenly on the log scale, and the exact values there."""
    x = np.unique(np.rint(np.geomspace(places[0], places[-1], 80)).astype(int))
    if name == "window":
        return x, np.array([_window(int(n), np.array([rate]))[0] for n in x])
    return x, np.asarray(closed_forms.autocorrelation(x, STEP_SIZE, CURVATURE, rate))


def _draw_paths(axes: Axes, dataset: xr.Dataset) -> None:
    time = dataset["time"].values
    for rate, (colour, _) in _LOOKS.items():
        axes.plot(time, dataset["path"].sel(rate=rate), color=colour, lw=0.8 if rate == 1.0 else 1.5)
    for rate, (colour, _) in _LOOKS.items():
        reach = 2.0 * np.sqrt(closed_forms.ema_factor(STEP_SIZE, CURVATURE, rate))
        for side in (-reach, reach):
            axes.plot(time[[0, -1]], [side, side], ":", color=colour, lw=1.0)
    axes.set(xlim=(0, time[-1]), xlabel="updates", ylabel="error / raw standard deviation", title="A  One run")


def _gain(axes: Axes, dataset: xr.Dataset) -> None:
    labels = {"seeds": "across runs", "window": f"in a window of {WINDOW}"}
    for (name, label), colour, marker in zip(labels.items(), (style.INK, style.AVERAGES[2]), "oD", strict=True):
        axes.plot(dataset["fine_rate"], dataset[f"relative_{name}_exact"], color=colour, lw=1.2)
        low, value, high = (dataset[f"relative_{name}_{part}"] for part in ("low", "simulated", "high"))
        points(axes, dataset["rate"].values, value, low, high, fmt=marker, color=colour, label=label)
    axes.set(xscale="log", yscale="log", xlabel="rate γ of the EMA", ylabel="spread / that of the raw iterate")
    axes.set_title("D  Spread by two measures")
    axes.legend(loc="lower right")


def caption(dataset: xr.Dataset) -> str:
    """What the figure shows, with its sample sizes and its seed."""
    a, slow = dataset.attrs, min(RATES)
    fine = dataset.sel(fine_rate=slow, method="nearest")
    gain = {name: 1.0 / float(fine[f"relative_{name}_exact"]) for name in ("seeds", "window")}
    return (
        f"SGD along one eigendirection at ηλ = {STEP_SIZE * CURVATURE:g}, stationary, and EMAs of it. Lines: exact. "
        f"Points: {a['trials']:,} independent runs of {int(dataset['count'][-1]):,} updates for each average, seed "
        f"{a['seed']}, 95 % intervals. A: one run; dotted: ± two standard deviations across runs. B: autocorrelation "
        f"of the average. C: mean sample variance of n consecutive iterates over the variance across runs: a window "
        f"shorter than 1/γ hardly shows any. D: at γ = {float(fine['fine_rate']):.2g} the spread is "
        f"{gain['seeds']:.1f} times smaller than the raw iterate's across runs, and {gain['window']:.0f} times in a "
        f"window of {WINDOW}."
    )

"""Amplification over the horizon in the simplest closed loop: std of J_H against H, exact and sampled.

x_{h+1} = (a + δ) x_h with gain error δ ~ N(0, s²): the one-step cloning loss E δ² = s² has no horizon in it. To first
order in s the std of J_H is s |Σ_h 2h a^{2h−1}|: bounded in H if |a| < 1, ∝ H² if a = 1, exponential if |a| > 1.
"""

from collections.abc import Callable, Mapping

import numpy as np
import xarray as xr
from matplotlib.figure import Figure
from scipy.special import ndtri

import gvatheory as gva
from paper_figs import style

CLOSED_LOOPS = (0.9, 1.0, 1.05)
NAMES = {0.9: "stable, a = 0.9", 1.0: "marginal, a = 1", 1.05: "unstable, a = 1.05"}
HORIZONS = (2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128)
GAIN_ERROR = 1e-3
PRESETS = {"quick": 2000, "full": 100_000}
"""Sampled gain errors per cell."""


def data(
    preset: str = "quick",
    *,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
    gain_error: float = GAIN_ERROR,
    trials: int | None = None,
) -> xr.Dataset:
    """Std of J_H of the scalar loop on a grid of (closed_loop, horizon), in about a second.

    Args:
        preset: "quick" or "full", see `PRESETS`.
        seed: of the samples, ≥ 0; every cell has its own stream.
        progress: called with (cells done, cells in all).
        gain_error: s > 0, standard deviation of δ.
        trials: sampled gain errors per cell, ≥ 10; the preset's unless given.

    Returns:
        dims (closed_loop, horizon): `std_exact`, `std_sampled`, and its 95 % interval `std_low`, `std_high`, from
        the fourth moment on the log scale.

    Raises:
        ValueError: on a value out of range.
    """
    if preset not in PRESETS:
        raise ValueError(f"preset must be one of {sorted(PRESETS)}, got {preset!r}")
    trials = PRESETS[preset] if trials is None else trials
    if trials < 10:
        raise ValueError(f"trials must be at least 10, got {trials!r}")
    law = gva.Law(np.zeros(1), np.array([[gain_error**2]]))
    streams = iter(np.random.SeedSequence(seed).spawn(len(CLOSED_LOOPS) * len(HORIZONS)))

    def cell(closed_loop: float, horizon: int) -> Mapping[str, float]:
        loop = gva.ScalarLoop(closed_loop, horizon)
        errors = gain_error * np.random.default_rng(next(streams)).standard_normal((trials, 1))
        values = loop.value(errors)
        squares = (values - values.mean()) ** 2
        # d log sd = d var / (2 var)
        half = float(-ndtri(0.025)) * squares.std(ddof=1) / squares.mean() / 2.0 / np.sqrt(trials)
        std = float(values.std(ddof=1))
        return {
            "std_exact": float(np.sqrt(loop.variance(law))),
            "std_sampled": std,
            "std_low": std * float(np.exp(-half)),
            "std_high": std * float(np.exp(half)),
        }

    units = {"horizon": "steps", **dict.fromkeys(("std_exact", "std_sampled", "std_low", "std_high"), "x_0²")}
    dataset = gva.sweep(
        cell, {"closed_loop": CLOSED_LOOPS, "horizon": HORIZONS}, engine="loop", units=units, progress=progress
    )
    return dataset.assign_attrs(gain_error=gain_error, trials=trials, seed=seed, function="scalar_gva.data")


def draw(dataset: xr.Dataset) -> Figure:
    """Exact lines and sampled points with intervals; the slope H² beside the marginal loop."""
    with style.canvas(5.6, 4.0) as figure:
        axes = figure.subplots()
        horizon = dataset["horizon"].values.astype(np.float64)
        markers = ("o", "s", "^")
        for a, colour, marker in zip(dataset["closed_loop"].values, style.AVERAGES, markers, strict=False):
            one = dataset.sel(closed_loop=a)
            name = NAMES.get(float(a), f"a = {a:g}")
            axes.plot(horizon, one["std_exact"], color=colour, label=name)
            sampled = one["std_sampled"].values
            errors = np.stack([sampled - one["std_low"].values, one["std_high"].values - sampled])
            axes.errorbar(horizon, sampled, errors, fmt=marker, color=colour, ms=3.5, capsize=2, lw=1)
        marginal = dataset["std_exact"].sel(closed_loop=1.0).values
        guide = slice(4, None)
        axes.plot(
            horizon[guide], 0.45 * marginal[-1] * (horizon[guide] / horizon[-1]) ** 2, ":", color=style.INK, lw=1.2
        )
        axes.annotate("slope $H^2$", (horizon[-3], 0.45 * marginal[-3]), (6, -10), textcoords="offset points")
        axes.set(
            xscale="log",
            yscale="log",
            xlabel="horizon H (steps)",
            ylabel="std of $J_H$ over gain errors (units of $x_0^2$)",
        )
        ticks = [2, 4, 8, 16, 32, 64, 128]
        axes.set_xticks(ticks, [str(t) for t in ticks])
        axes.set_xticks([], minor=True)
        axes.set_title(f"Same one-step error, s = {dataset.attrs['gain_error']:g}; lines exact, points sampled")
        axes.legend(loc="upper left")
    return figure


def caption(dataset: xr.Dataset) -> str:
    """What the figure shows, with its sample sizes and seed."""
    a = dataset.attrs
    return (
        f"Standard deviation of the reward J_H of a scalar closed loop whose gain is off by N(0, s²), s = "
        f"{a['gain_error']:g}, against the horizon. Lines: exact moments. Points: {a['trials']} sampled gain errors "
        f"each, 95 % intervals, seed {a['seed']}. The one-step cloning loss, s² = {a['gain_error'] ** 2:.0e}, is the "
        "same everywhere; the spread of the reward saturates in a stable loop, grows as H² in a marginal one and "
        "exponentially in an unstable one."
    )

"""Averages that were never kept, rebuilt from stored ones (proposition A6; post-hoc EMA of Karras et al. 2024).

On a noisy quadratic the error is exact, and bounded by the residual of the weights alone. In a run of cloning it is
measured: distance of the rebuilt average from the one that was kept beside it, over that of the raw iterate.
"""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

import gvatheory as gva
from gvatheory import validation
from gvatheory.reconstruction import reconstruct, snapshot_times
from gvatheory.sweep import provenance
from neural.control.experiment import run
from neural.control.landscape import norm, path_direction
from neural.control.policies import MLPPolicy
from neural.control.rebuild import rebuild
from neural.control.snapshots import reconstruct_average
from neural.statistics import Estimate, mean_estimate
from paper_figs import style, walker_run
from paper_figs.page import number
from paper_figs.simulated_points import sizes_of
from paper_figs.text import shown

STEPS, STEP_SIZE, CURVATURE, NOISE_STD = 4096, 0.05, 1.0, 1.0
"""Of the noisy quadratic."""
STORED: dict[str, tuple[gva.RecursiveAverage, ...]] = {
    "one EMA": (gva.EMA(0.003),),
    "two EMAs": (gva.EMA(0.003), gva.EMA(0.001)),
    "two power EMAs": (gva.PowerEMA(0.9), gva.PowerEMA(0.7)),
    "raw iterates": (gva.EMA(1.0),),
}
"""What is kept in a snapshot, by name."""
KINDS = ("uniform", "geometric")
"""How snapshots are spaced."""
TARGET = 0.002
"""Rate γ of the EMA that is rebuilt on the quadratic."""
COUNTS = (1, 2, 4, 8, 16, 32, 64)
TARGETS = (0.0003, 0.0006, 0.002, 0.005, 0.01, 0.02, 0.05)
"""Rates γ that are rebuilt in the run, none of them stored; all are kept there as well, to compare."""
SPARSER = (1, 4, 16)
"""One in how many of the run's snapshots is used."""
PRESETS: dict[str, dict[str, int]] = {
    "quick": {"width": 32, "steps": 3200, "demonstrated": 10, "snapshots": 100, "seeds": 1},
    "full": {"width": 128, "steps": 16_000, "demonstrated": 100, "snapshots": 250, "seeds": 3},
}
"""Sizes of the run (`walker_run.SIZES`), updates between its snapshots, and training seeds: 15 s and 1.5 min on
one core."""

_LOWEST = {**walker_run.LOWEST, "snapshots": 1, "seeds": 1}
_RUN_STORED: dict[str, gva.EMA] = {"EMA 0.003": gva.EMA(0.003), "EMA 0.001": gva.EMA(0.001)}
_COLOURS: dict[str, str] = dict(zip(STORED, (*style.AVERAGES[:3], style.RAW), strict=True))


def data(
    preset: str = "quick", *, seed: int = 0, progress: Callable[[int, int], None] | None = None, **sizes: int
) -> xr.Dataset:
    """Exact errors on the quadratic, and measured ones in runs of cloning.

    Args:
        preset: "quick" or "full", see `PRESETS`.
        seed: of the first run's learner, ≥ 0; the others have the next ones.
        progress: called with (updates done, in all).
        sizes: overrides of the preset's entries; at least 16 snapshots must fit in the run.

    Returns:
        error, bound (stored, kind, count) over the standard deviation of the target, NaN where there are not as many
        snapshots; excess (stored, kind, count), |Σc − 1| of the unconstrained least squares; run_error (seed, every,
        target): distance of the rebuilt average from the kept one over that of the raw iterate.

    Raises:
        ValueError: if the preset or an override is unknown or out of range.
    """
    size = sizes_of(PRESETS, preset, sizes, _LOWEST)
    validation.integer("seed", seed, 0)
    validation.integer("snapshots", size["snapshots"], 1, size["steps"] // max(SPARSER))
    exact = quadratic_errors()
    errors = []
    for i in range(size["seeds"]):
        past = i * size["steps"]
        tell = None if progress is None else lambda done, p=past: progress(p + done, size["seeds"] * size["steps"])
        errors.append(_run_errors(size, seed + i, tell))
    every = [size["snapshots"] * n for n in SPARSER]
    coords = {"seed": np.arange(seed, seed + size["seeds"]), "every": ("every", every, {"units": "updates"})}
    measured = xr.Dataset(
        {"run_error": (("seed", "every", "target"), np.stack(errors))}, {**coords, "target": list(TARGETS)}
    )
    facts = {"preset": preset, "first_seed": seed, **{k: v for k, v in size.items() if k != "seeds"}}
    return xr.merge([exact, measured]).assign_attrs({**provenance(function="reconstruction.data"), **facts})


def quadratic_errors() -> xr.Dataset:
    """`error`, `bound` and `excess` of `data`, for an EMA of rate `TARGET` after `STEPS` updates."""
    shape = (len(STORED), len(KINDS), len(COUNTS))
    target, out = gva.EMA(TARGET), np.full((3, *shape), np.nan)
    problem = gva.NoisyQuadratic(CURVATURE, NOISE_STD**2)
    law = gva.exact_law(problem, gva.Constant(STEP_SIZE), target, STEPS, 0.0)
    unit = float(np.sqrt(law.covariance[0, 0]))
    for at in np.ndindex(shape):
        kept, kind, count = list(STORED.values())[at[0]], KINDS[at[1]], COUNTS[at[2]]
        if count % len(kept):
            continue
        times = snapshot_times(count // len(kept), STEPS, kind)
        stored = [(average, t) for t in times for average in kept]
        found = reconstruct(target, stored, STEPS)
        out[(0, *at)] = found.exact_rms_error(NOISE_STD, CURVATURE, STEP_SIZE) / unit
        out[(1, *at)] = found.rms_error_bound(NOISE_STD, CURVATURE, STEP_SIZE) / unit
        out[(2, *at)] = abs(unconstrained(target, stored, STEPS).sum() - 1.0)
    dims = ("stored", "kind", "count")
    coords = {"stored": list(STORED), "kind": list(KINDS), "count": list(COUNTS)}
    return xr.Dataset({k: (dims, v) for k, v in zip(("error", "bound", "excess"), out, strict=True)}, coords)


def unconstrained(target: gva.Average, stored: list[tuple[Any, int]], steps: int) -> np.ndarray:
    """(n,) coefficients of the combination nearest to the target's kernel in ℓ₂, whatever they sum to.

    What they miss of one is the share of the optimum itself that the rebuilt average misses.
    """
    kernels = np.zeros((steps + 1, len(stored)))
    for column, (average, time) in zip(kernels.T, stored, strict=True):
        column[: time + 1] = average.kernel(time)
    return np.linalg.lstsq(kernels, target.kernel(steps), rcond=1e-10)[0]


def _run_errors(size: dict[str, int], seed: int, progress: Callable[[int], None] | None) -> np.ndarray:
    """(every, target) relative errors in the run of this seed."""
    kept = {f"target {rate:g}": gva.EMA(rate) for rate in TARGETS}
    plain = walker_run.experiment(size, seed, consecutive=1, rollouts=1, evaluate=())
    wanted = dataclasses.replace(
        plain, bank={**_RUN_STORED, **kept}, stored=tuple(_RUN_STORED), snapshots=size["snapshots"]
    )
    shape = (len(SPARSER), len(TARGETS))
    errors = np.empty(shape)
    with tempfile.TemporaryDirectory() as passing:
        place = Path(passing) / "run"
        run(wanted, place, progress=lambda stage, done, _: progress(done) if progress and stage == "cloning" else None)
        finished = rebuild(place)
        raw = finished.policy()
        for at in np.ndindex(shape):
            rate = TARGETS[at[1]]
            sparser = dataclasses.replace(wanted, snapshots=SPARSER[at[0]] * size["snapshots"])
            rebuilt = reconstruct_average(sparser, place, gva.EMA(rate)).policy
            assert isinstance(rebuilt, MLPPolicy)  # as the experiment's
            truth = finished.policy(f"target {rate:g}")
            errors[at] = norm(path_direction(rebuilt, truth)) / norm(path_direction(raw, truth))
    return errors


def draw(dataset: xr.Dataset) -> Figure:
    """Four panels: exact errors by two spacings, what the unconstrained sum misses, and errors in runs of cloning.

    A, B: root-mean-square error of the rebuilt average over the standard deviation of the average itself, against the
    number of stored ones, evenly spaced and geometrically; dashed: the bound by the residual alone. C: |Σc − 1| of
    unconstrained least squares. D: error in runs of cloning against the rate that is rebuilt, by updates between
    snapshots; dotted: rates that are stored.
    """
    with style.canvas(9.6, 6.4) as figure:
        panels = figure.subplots(2, 2)
        for axes, kind, letter, word in zip(panels[0], KINDS, "AB", ("evenly", "geometrically"), strict=True):
            one = dataset.sel(kind=kind)
            _lines(axes, one, "error", "o-")
            _lines(axes, one, "bound", "--")
            axes.set(title=f"{letter}  Exact error, {word} spaced", ylabel="error / sd of the average")
        panels[0, 1].sharey(panels[0, 0])
        _lines(panels[1, 0], dataset.sel(kind=KINDS[0]), "excess", "o-")
        panels[1, 0].set(title="C  Without the constraint", ylabel="|Σc − 1|")
        _run_panel(panels[1, 1], dataset)
        handles = panels[0, 0].get_lines()[: len(STORED)]
        (bound,) = panels[0, 0].plot([], [], "--", color=style.INK, lw=1.0)
        labels = [*STORED, "bound"]
        figure.legend([*handles, bound], labels, loc="outside upper center", ncols=len(labels))
    return figure


def _lines(axes: Axes, dataset: xr.Dataset, name: str, look: str) -> None:
    counts = dataset["count"].values
    for stored, colour in _COLOURS.items():
        values = dataset[name].sel(stored=stored).values
        known = np.isfinite(values)
        axes.plot(counts[known], values[known], look, color=colour, ms=3.5, lw=1.0 if look == "--" else 1.4)
    axes.set(xscale="log", yscale="log", xlabel="averages stored")
    axes.set_xticks(counts, [str(n) for n in counts])
    axes.xaxis.set_minor_formatter(NullFormatter())


def run_estimates(dataset: xr.Dataset, every: int) -> list[Estimate]:
    """Geometric mean over seeds of the error of each target, with its t-interval, NaN for a single seed."""
    out = []
    for target in dataset["target"].values:
        logs = np.log(dataset["run_error"].sel(every=every, target=target).values)
        log = mean_estimate(logs) if len(logs) > 1 else Estimate(float(logs[0]), np.nan, np.nan)
        out.append(Estimate(*(float(np.exp(bound)) for bound in (log.value, log.low, log.high))))
    return out


def _run_panel(axes: Axes, dataset: xr.Dataset) -> None:
    targets = dataset["target"].values
    for every, colour, marker in zip(dataset["every"].values, style.AVERAGES[2:], "osD", strict=False):
        estimates = run_estimates(dataset, every)
        low, value, high = (np.array([getattr(e, end) for e in estimates]) for end in ("low", "value", "high"))
        axes.plot(targets, value, "-", marker=marker, color=colour, ms=4, label=f"{every:,} updates")
        axes.vlines(targets, low, high, color=colour, lw=1.1)
    for average in _RUN_STORED.values():
        axes.axvline(float(average.gamma), color=style.MUTED, ls=":", lw=1.0)
    axes.axhline(1.0, color=style.MUTED, lw=0.8)
    axes.set(xscale="log", yscale="log", xlabel="rate γ that is rebuilt")
    axes.set(ylabel="error / distance of the raw iterate", title="D  In runs of cloning, by spacing")
    axes.legend(loc="lower right")


def caption(dataset: xr.Dataset) -> str:
    """What the figure shows, with sample sizes and seeds."""
    a, seeds = dataset.attrs, dataset["seed"].values
    one = dataset.sel(stored="two EMAs", kind=KINDS[0])
    few, many = (float(one["error"].sel(count=n)) for n in (8, 64))
    free = float(one["excess"].sel(count=2))
    near = run_estimates(dataset, int(a["snapshots"]))[list(TARGETS).index(0.002)]
    which = f"seeds {seeds[0]} to {seeds[-1]}, 95 % t-intervals" if len(seeds) > 1 else f"seed {seeds[0]}, no interval"
    return (
        f"A to C: SGD from the optimum on a noisy quadratic at ηλ = {STEP_SIZE * CURVATURE:g}, {STEPS:,} updates; the "
        f"EMA of γ = {TARGET:g} is rebuilt from averages stored along the run: EMAs of γ = 0.003 (and 0.001), power "
        f"EMAs of α = 0.9 and 0.7, or the iterates; exact, no sampling. With two EMAs, 8 stored averages leave "
        f"{number(100 * few, 2)} % of the average's own standard deviation, 64 leave {number(100 * many, 2)} %. "
        f"Dashed: the bound from the residual weights. C: what the coefficients of unconstrained least squares miss of "
        f"one, {number(free, 2)} for 2 EMAs: that share of the optimum itself is lost. D: cloning on {walker_run.TASK} "
        f"({walker_run.LAYERS} layers of {a['width']}, {a['steps']:,} updates, {which}), EMAs of γ = 0.003 and 0.001 "
        f"(dotted) stored every so many updates; distance of the rebuilt "
        f"average from the one kept during the run, over that of the raw iterate. γ = 0.002 from snapshots every "
        f"{a['snapshots']:,} updates: {shown(near, digits=2)}."
    )

"""Spreads and excess loss of plain SGD against step size and batch, beside the powers that the theory gives (N1)."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gvatheory.averaging import LastIterate
from gvatheory.schedules import Constant
from neural.predictions import n1_noise_scaling as n1
from neural.predictions.arms import DEFAULT, SGD_STEPS, TASKS, sgd_name
from neural.predictions.decision import mean_effect
from neural.predictions.evidence import Evidence
from neural.predictions.linear_theory import predicted_loss
from neural.predictions.noise_spectra import all_stable, spectra
from neural.predictions.spreads import spread_effect, window_spread
from neural.statistics import Estimate
from paper_figs import style
from paper_figs.evidence_parts import marks, opened, seeds_in_words
from paper_figs.power_laws import signed

_SWEEPS = {"step size η": n1.STEP_ARMS, "batch, of the base's": n1.BATCH_ARMS}
_QUANTITIES = {
    "spread across seeds": (n1.seed_exponent, ((0.5,), (-0.5,))),
    "spread in a window": (n1.window_exponent, ((0.5, 1.0), (-0.5,))),
    "excess loss": (n1.loss_exponent, ((1.0,), (-1.0,))),
}
"""Exponent of each, and what the theory says it is in η and in b; between two of them where there are two."""
SPECTRUM = f"{TASKS[0]} {sgd_name(SGD_STEPS[-1])}"
"""Arm whose spectrum gives the exact law of the excess loss at every step size and batch."""


@dataclasses.dataclass(frozen=True)
class Sweep:
    """A quantity along one sweep.

    Attributes:
        x: step sizes, or batches in multiples of the base's; ascending.
        found: one estimate each.
        slope: fitted exponent, with its 95 % interval.
        theory: one exponent, or two between which it lies.
        exact: by the measured spectrum, in the quantity's own unit; empty where there is none.
    """

    x: tuple[float, ...]
    found: tuple[Estimate, ...]
    slope: Estimate
    theory: tuple[float, ...]
    exact: tuple[float, ...] = ()


@dataclasses.dataclass(frozen=True, eq=False)
class Scaling:
    """All six, by (quantity, what is varied), and the seeds in words."""

    sweeps: dict[tuple[str, str], Sweep]
    seeds: str


def data(directory: Path | str) -> Scaling:
    """From a directory of evidence.

    Raises:
        FileNotFoundError: if an arm of plain SGD is missing.
        ValueError: as `opened`.
    """
    evidence = opened(directory)
    found = {}
    for along, (varied, arms) in enumerate(_SWEEPS.items()):
        x = tuple(sorted(arms))
        runs = [evidence[f"{TASKS[0]} {arms[value]}"] for value in x]
        values = {
            "spread across seeds": [spread_effect(run) for run in runs],
            "spread in a window": [mean_effect(window_spread(run), logarithmic=True) for run in runs],
            "excess loss": [mean_effect(n1.excess(run), logarithmic=True) for run in runs],
        }
        for name, (exponent, theory) in _QUANTITIES.items():
            estimates = tuple(effect.interval(0.95) for effect in values[name])
            slope = exponent(evidence, arms=arms).interval(0.95)
            exact = _exact(evidence, varied, x) if name == "excess loss" else ()
            found[name, varied] = Sweep(x, estimates, slope, theory[along], exact)
    return Scaling(found, seeds_in_words(evidence[f"{TASKS[0]} {n1.STEP_ARMS[SGD_STEPS[0]]}"]))


def _exact(evidence: Evidence, varied: str, x: tuple[float, ...]) -> tuple[float, ...]:
    """Loss that noise costs in one step, of the spectrum of one arm at other step sizes or batches; () without it."""
    if not all_stable(evidence, SPECTRUM):
        return ()
    of = spectra(evidence, SPECTRUM)
    e, out = of.experiment, []
    middle = next(step for step, name in n1.STEP_ARMS.items() if name == n1.BATCH_ARMS[1.0])
    for value in x:
        step, batch = (value, 1.0) if varied == next(iter(_SWEEPS)) else (middle, value)
        scaled = [dataclasses.replace(s, weights=s.weights / batch) for s in of.by_seed]
        raw, average = (
            np.mean([predicted_loss(s, Constant(step), one, e.steps) for s in scaled])
            for one in (LastIterate(), e.bank[DEFAULT])
        )
        out.append(float(raw - average))
    return tuple(out)


def draw(scaling: Scaling) -> Figure:
    """One row for the step size and one for the batch; both axes logarithmic."""
    with style.canvas(10.0, 5.8) as figure:
        grid = figure.subplots(len(_SWEEPS), len(_QUANTITIES), sharex="row")
        letters = iter("ABCDEF")
        for row, varied in zip(grid, _SWEEPS, strict=True):
            for axes, name in zip(row, _QUANTITIES, strict=True):
                _panel(axes, scaling.sweeps[name, varied])
                axes.set(title=f"{next(letters)}  {name.capitalize()}", xlabel=varied)
                axes.set_ylabel("action²" if name == "excess loss" else "return")
        handles = {label: h for axes in grid.flat for h, label in zip(*axes.get_legend_handles_labels(), strict=True)}
        figure.legend(handles.values(), handles.keys(), loc="outside upper center", ncols=4)
    return figure


def _panel(axes: Axes, sweep: Sweep) -> None:
    x = np.array(sweep.x)
    values = np.array([estimate.value for estimate in sweep.found])
    axes.set(xscale="log", yscale="log")
    marks(axes, x, sweep.found, fmt="o", color=style.RAW, ms=5, label="seen, 95 %")
    axes.set_xticks(x, [f"{value:g}" for value in x])
    axes.minorticks_off()
    if np.all(np.isfinite(values)):
        middle, level = np.exp(np.log(x).mean()), np.exp(np.log(values).mean())
        lines = [level * (x / middle) ** power for power in sweep.theory]
        look: dict[str, Any] = {"color": style.AVERAGES[0], "label": "predicted power"}
        if len(lines) > 1:
            axes.fill_between(x, *lines, alpha=0.2, lw=0, **look)
        axes.plot(x, lines[0], "--", lw=1.2, **look)
        axes.plot(x, level * (x / middle) ** sweep.slope.value, "-", color=style.RAW, lw=1.0, label="fitted power")
    if sweep.exact:
        axes.plot(x, sweep.exact, "x-.", color=style.AVERAGES[1], lw=1.2, ms=5, label="exact law, measured spectrum")
    at, side = (0.96, "right") if sweep.theory[0] < 0 else (0.04, "left")
    axes.text(at, 0.97, _exponents(sweep), transform=axes.transAxes, va="top", ha=side, fontsize=8, color=style.INK)
    low, high = axes.get_ylim()
    axes.set_ylim(low, high * 2.5)


def _exponents(sweep: Sweep) -> str:
    theory = " to ".join(signed(power) for power in sweep.theory)
    return f"exponent {_slope(sweep.slope)}\npredicted {theory}"


def _slope(slope: Estimate) -> str:
    if np.isnan(slope.low):
        return "unknown"
    return f"{signed(slope.value)} [{signed(slope.low)}, {signed(slope.high)}]"


def caption(scaling: Scaling) -> str:
    """What the figure shows, with all exponents and the seeds."""
    said = "; ".join(
        f"{name} in {'η' if along == 0 else 'b'} {_slope(scaling.sweeps[name, varied].slope)}"
        for along, varied in enumerate(_SWEEPS)
        for name in _QUANTITIES
    )
    exact = ""
    if any(sweep.exact for sweep in scaling.sweeps.values()):
        exact = (
            f" Crosses: the exact law of the noisy quadratic with the spectrum measured at the end of '{SPECTRUM}', in "
            "its own unit, nothing fitted."
        )
    return (
        f"Plain SGD on {TASKS[0]}, {scaling.seeds}: step sizes at the base's batch, batches at one step size. A, D: "
        "spread across seeds of the mean return of raw iterates, jackknife over seeds; B, E: over consecutive iterates "
        f"of one run, geometric mean over seeds; C, F: held-out loss of raw less that of {DEFAULT}. 95 % intervals. "
        "Dashed: predicted powers through the middle of the points (shaded: between n iterates that see a random walk "
        f"and many that do not). Fitted exponents [95 %]: {said}.{exact}"
    )

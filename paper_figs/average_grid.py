"""Which average, on which task, network and amount of data: after the paper's Figure 3, from the predictions' evidence.

An average's memory is its mean age, Σ_t w_t (T − t). Returns are of late spaced iterates, from three quarters of the
run on, where all averages are compared; they are divided by the expert's from the same initial conditions.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gvatheory.averaging import LastIterate
from neural.predictions.arms import DEFAULT, LATE, POWERS, TASKS
from neural.predictions.evidence import Evidence
from neural.predictions.linear_theory import mean_age, predicted_lag_loss, predicted_losses
from neural.predictions.n7_interventions import FAMILIES
from neural.predictions.noise_spectra import Spectra, all_stable, experiment_of_run, spectra
from neural.predictions.spreads import expert_level, late_iterates
from neural.statistics import RAW, Estimate
from paper_figs import style
from paper_figs.evidence_parts import marks, opened, over_seeds, seeds_in_words

EPISODES = {"episodes x 1/4": 0.25, "base": 1.0, "episodes x 4": 4.0}
"""Arms by the number of demonstrations, in multiples of the base's."""
_RAW_AT = 12.0
"""Updates at which raw, without a memory, is drawn on a logarithmic axis."""


@dataclasses.dataclass(frozen=True)
class Row:
    """An average of an arm.

    Attributes:
        name: of the average, or raw.
        age: mean age in updates; 0 of raw.
        level: late mean return in units of the expert's, over seeds.
        fallen: late share of episodes that fall.
    """

    name: str
    age: float
    level: Estimate
    fallen: Estimate


@dataclasses.dataclass(frozen=True)
class Power:
    """A power average of the base, and what the linear theory says of it.

    Attributes:
        alpha: its exponent.
        late: whether it begins in the second half.
        level: late mean return in units of the expert's; None where it was not rolled out.
        gained: loss at the end less raw's, in action².
        noise, total: the same by the theory, noise alone and with the lag; None without a spectrum.
    """

    alpha: float
    late: bool
    level: Estimate | None
    gained: Estimate
    noise: float | None
    total: float | None


@dataclasses.dataclass(frozen=True, eq=False)
class Grid:
    """What the figure shows.

    Attributes:
        tasks: rows of each task's base, the first task's with all averages.
        arms: (family, arm, raw's and the default average's row), the base first.
        powers: of the base.
        chosen_age: mean age of the average of the base, or raw, of the least predicted loss; NaN without a spectrum.
        updates: T.
        sizes: (late iterates, initial conditions) of the first task.
        seeds: in words.
    """

    tasks: dict[str, list[Row]]
    arms: list[tuple[str, str, Row, Row]]
    powers: list[Power]
    chosen_age: float
    updates: int
    sizes: tuple[int, int]
    seeds: str


def data(directory: Path | str) -> Grid:
    """Levels of every average that was rolled out, of a directory of evidence.

    Raises:
        FileNotFoundError: if an arm is missing; a task other than the first may be.
        ValueError: as `opened`.
    """
    evidence = opened(directory)
    first = f"{TASKS[0]} base"
    tasks = {task: _rows(evidence, f"{task} base") for task in TASKS if evidence.has(f"{task} base")}
    arms = [("", "base", *_pair(tasks[TASKS[0]]))]
    for family, names in FAMILIES.items():
        arms += [(family, name, *_pair(_rows(evidence, f"{TASKS[0]} {name}"))) for name in names]
    run = evidence[first]
    sizes = int(late_iterates(run).sum()), run.sizes["episode"]
    theory = _theory(spectra(evidence, first)) if all_stable(evidence, first) else None
    powers = _powers(run, tasks[TASKS[0]], theory)
    age = _chosen_age(tasks[TASKS[0]], theory)
    return Grid(tasks, arms, powers, age, experiment_of_run(run).steps, sizes, seeds_in_words(run))


def _pair(rows: Sequence[Row]) -> tuple[Row, Row]:
    """Those of raw and of the default average."""
    raw, average = (next(row for row in rows if row.name == name) for name in (RAW, DEFAULT))
    return raw, average


def _rows(evidence: Evidence, arm: str) -> list[Row]:
    run = evidence[arm]
    e, rows = experiment_of_run(run), []
    spaced = run.isel(iterate=np.flatnonzero(run["spaced"].values)[late_iterates(run)])
    means = {v: spaced[v].mean(("iterate", "episode"), dtype=np.float64) for v in ("return", "fallen")}
    for name in map(str, run["average"].values):
        one = {v: mean.sel(average=name).values for v, mean in means.items()}
        (level,), (fallen,) = over_seeds(one["return"] / expert_level(run)), over_seeds(one["fallen"])
        rows.append(Row(name, 0.0 if name == RAW else mean_age(e.bank[name], e.steps), level, fallen))
    return rows


Theory = dict[str, tuple[float, float]]
"""Predicted loss by the noise and by the lag, mean over seeds, of raw and every average of the bank."""


def _powers(run: xr.Dataset, rows: Sequence[Row], theory: Theory | None) -> list[Power]:
    """All power averages of the bank, those of the whole run first."""
    last = run["update_loss"].isel(update=-1).transpose("seed", "kept")
    levels, found = {row.name: row.level for row in rows}, []
    for ending, (name, alpha) in itertools.product(("", LATE), (POWERS | {"Polyak": 1.0}).items()):
        if name + ending not in last["kept"].values:
            continue
        (gained,) = over_seeds((last.sel(kept=name + ending) - last.sel(kept=RAW)).values.astype(np.float64))
        noise = total = None
        if theory is not None:
            own, (raw, _) = theory[name + ending], theory[RAW]
            noise, total = own[0] - raw, sum(own) - raw
        found.append(Power(alpha, ending == LATE, levels.get(name + ending), gained, noise, total))
    return found


def _chosen_age(rows: Sequence[Row], theory: Theory | None) -> float:
    """Mean age of the average whose predicted loss, mean over seeds, is least."""
    return math.nan if theory is None else min(rows, key=lambda row: sum(theory[row.name])).age or _RAW_AT


def _theory(of: Spectra) -> Theory:
    e = of.experiment
    averages = {RAW: LastIterate(), **e.bank}
    step, seen = float(e.schedule.step_sizes(e.steps)[-1]), e.bank[DEFAULT]
    noise = np.mean([predicted_losses(s, e.schedule, list(averages.values()), e.steps) for s in of.by_seed], axis=0)
    lag = [
        np.mean([predicted_lag_loss(s, step, average, e.steps, seen_from=seen) for s in of.by_seed])
        for average in averages.values()
    ]
    return {name: (float(n), float(one)) for name, n, one in zip(averages, noise, lag, strict=True)}


def draw(grid: Grid) -> Figure:
    """Above: return and falls by memory, return on all tasks, by data; below: all arms, then powers."""
    with style.canvas(13.0, 7.4) as figure:
        figure.set_layout_engine("constrained", w_pad=0.1)
        cells = figure.add_gridspec(2, 4)
        rows = grid.tasks[TASKS[0]]
        for column, (what, title, label) in enumerate(
            (("level", "A  Return", "return / expert's"), ("fallen", "B  Falls", "share of episodes that fall"))
        ):
            axes = figure.add_subplot(cells[0, column])
            _by_memory(axes, rows, what)
            if math.isfinite(grid.chosen_age):
                axes.axvline(grid.chosen_age, color=style.INK, ls=":", lw=1.1, label="least loss by theory")
            axes.set(title=f"{title}, {TASKS[0]}", ylabel=label)
            axes.legend(loc="best", fontsize=7)
        _tasks(figure.add_subplot(cells[0, 2]), grid.tasks)
        _episodes(figure.add_subplot(cells[0, 3]), grid.arms)
        _arms(figure.add_subplot(cells[1, :2]), grid.arms)
        _power_returns(figure.add_subplot(cells[1, 2]), grid)
        _power_losses(figure.add_subplot(cells[1, 3]), grid.powers)
    return figure


def _kind(name: str) -> tuple[str, str, str]:
    """(kind, colour, marker) of an average."""
    if name.startswith("EMA"):
        return "EMA", style.AVERAGES[0], "o"
    if name.endswith(LATE):
        return "power, second half", style.AVERAGES[3], "^"
    return "power, α ≤ 1", style.AVERAGES[1], "s"


def _by_memory(axes: Axes, rows: Sequence[Row], what: str) -> None:
    """A quantity of every average against its mean age, those of a kind joined; raw as a band."""
    raw = next(row for row in rows if row.name == RAW)
    value = getattr(raw, what)
    axes.axhspan(value.low, value.high, color=style.RAW, alpha=0.15, lw=0)
    axes.axhline(value.value, color=style.RAW, lw=1.2, label="raw")
    kinds: dict[tuple[str, str, str], list[Row]] = {}
    for row in sorted(rows, key=lambda row: row.age):
        if row.name != RAW:
            kinds.setdefault(_kind(row.name), []).append(row)
    for (kind, colour, marker), own in kinds.items():
        found = [getattr(row, what) for row in own]
        axes.plot([row.age for row in own], [f.value for f in found], "-", color=colour, lw=0.8, alpha=0.7)
        marks(axes, [row.age for row in own], found, fmt=marker, color=colour, ms=4.5, label=kind)
    axes.set(xscale="log", xlabel="mean age of the average (updates)")
    axes.set_ylim(bottom=-0.03 * axes.get_ylim()[1])


def _tasks(axes: Axes, tasks: dict[str, list[Row]]) -> None:
    """Return of EMAs by memory on every task, raw at the left end; power averages are left out."""
    for i, (task, rows) in enumerate(tasks.items()):
        own = sorted((row for row in rows if row.name == RAW or row.name.startswith("EMA")), key=lambda row: row.age)
        x = np.array([row.age or _RAW_AT for row in own]) * 1.05 ** (i - 2)
        axes.plot(x, [row.level.value for row in own], "-", color=style.AVERAGES[i], lw=0.9)
        marks(axes, x, [row.level for row in own], fmt="os^Dv"[i], color=style.AVERAGES[i], ms=4, label=task)
    axes.axhline(1.0, color=style.MUTED, lw=0.8, ls="--")
    axes.set(
        xscale="log",
        title="C  EMAs on all tasks",
        ylabel="return / expert's",
        ylim=(0.0, None),
    )
    axes.set_xticks([_RAW_AT, 100, 1000, 10_000], ["raw", "100", "1000", "10⁴"])
    axes.set_xlabel("mean age of the EMA (updates)")
    axes.legend(loc="best", fontsize=7)


def _arms(axes: Axes, arms: Sequence[tuple[str, str, Row, Row]]) -> None:
    """Raw and the default average across networks, losses and data."""
    places = np.cumsum([0.0] + [1.0 + 0.5 * (a[0] != b[0]) for a, b in itertools.pairwise(arms)])
    for member, (name, colour) in enumerate(((RAW, style.RAW), (DEFAULT, style.AVERAGES[0]))):
        for place, arm in zip(places, arms, strict=True):
            level = arm[2:][member].level
            axes.plot([level.low, level.high], [place] * 2, "-", color=colour, lw=1.1)
            axes.plot(level.value, place, "o", color=colour, ms=4, label=None if place else name)
    axes.axvline(1.0, color=style.MUTED, lw=0.8, ls="--")
    axes.set_yticks(places, [name for _, name, _, _ in arms], fontsize=7)
    axes.invert_yaxis()
    axes.set(title=f"E  Networks and data, {TASKS[0]}", xlabel="return / expert's")
    axes.legend(loc="best", fontsize=7)


def _episodes(axes: Axes, arms: Sequence[tuple[str, str, Row, Row]]) -> None:
    """Return against the number of demonstrations."""
    own = {name: (raw, average) for _, name, raw, average in arms if name in EPISODES}
    for member, (name, colour, marker) in enumerate(((RAW, style.RAW, "s"), (DEFAULT, style.AVERAGES[0], "o"))):
        found = [own[arm][member].level for arm in EPISODES]
        axes.plot(list(EPISODES.values()), [f.value for f in found], "-", color=colour, lw=0.9)
        marks(axes, list(EPISODES.values()), found, fmt=marker, color=colour, ms=4.5, label=name)
    axes.axhline(1.0, color=style.MUTED, lw=0.8, ls="--")
    axes.set_xscale("log", base=2)
    axes.set_xticks(list(EPISODES.values()), ["× ¼", "× 1", "× 4"])
    axes.set(title=f"D  Demonstrations, {TASKS[0]}", xlabel="episodes, of the base's", ylabel="return / expert's")
    axes.set_ylim(bottom=0.0)
    axes.legend(loc="best", fontsize=7)


def _power_returns(axes: Axes, grid: Grid) -> None:
    """Return against α, of those that were rolled out."""
    raw = _pair(grid.tasks[TASKS[0]])[0].level
    axes.axhspan(raw.low, raw.high, color=style.RAW, alpha=0.15, lw=0)
    axes.axhline(raw.value, color=style.RAW, lw=1.2, label="raw")
    for late in (False, True):
        own = [(power.alpha, power.level) for power in grid.powers if power.late == late and power.level is not None]
        kind, colour, marker = _kind(LATE if late else "")
        axes.plot([alpha for alpha, _ in own], [level.value for _, level in own], "-", color=colour, lw=0.8, alpha=0.7)
        marks(axes, [a for a, _ in own], [level for _, level in own], fmt=marker, color=colour, ms=4.5, label=kind)
    axes.set(title="F  Return of power averages t^(−α)", xlabel="α", ylabel="return / expert's")
    axes.set_ylim(bottom=0.0)
    axes.legend(loc="best", fontsize=7)


def _power_losses(axes: Axes, powers: Sequence[Power]) -> None:
    """Loss less raw's against α, measured and by theory, with the theory's best."""
    for late in (False, True):
        own = [power for power in powers if power.late == late]
        (_, colour, marker), x = _kind(LATE if late else ""), [power.alpha for power in own]
        when = "second half" if late else "whole run"
        marks(axes, x, [power.gained for power in own], fmt=marker, color=colour, ms=4.5, label=f"seen, {when}")
        for what, dash in (("noise", ":"), ("total", "--")):
            y = [getattr(power, what) for power in own]
            if None not in y:
                words = "theory, noise" if what == "noise" else "theory, noise and lag"
                axes.plot(x, y, dash, color=colour, lw=1.3, label=f"{words}, {when}")
                best = int(np.argmin(y))
                axes.plot(x[best], y[best], "*", color=colour, ms=10, mfc="white" if what == "noise" else colour)
    ends = [e for power in powers for e in (power.gained.low, power.gained.high, power.noise or 0.0)]
    room = 0.4 * (max(ends) - min(ends))  # the lag is estimated high: its curves may leave the axis
    axes.set_ylim(min(ends) - 0.3 * room, max(ends) + 2.0 * room)
    axes.set(title="G  Loss of power averages t^(−α)", xlabel="α", ylabel="loss less raw's (action²)")
    axes.legend(loc="best", fontsize=6.5)


def caption(grid: Grid) -> str:
    """What the figure shows, with its sample sizes, seeds and the best of each kind."""
    rows = grid.tasks[TASKS[0]]
    raw, best = _pair(rows)[0], max(rows, key=lambda row: row.level.value)
    iterates, episodes = grid.sizes
    at = {late: [power for power in grid.powers if power.late == late] for late in (False, True)}
    seen = {late: min(own, key=lambda power: power.gained.value).alpha for late, own in at.items()}
    theory = ". Of the linear theory nothing is shown: that takes a spectrum of every seed on which the step is stable."
    if all(power.total is not None for power in grid.powers):
        said = [min(own, key=lambda power: power.total or 0.0).alpha for own in at.values()]
        theory = (
            f"; by the theory with the lag {said[0]:.2g} and {said[1]:.2g} (stars; hollow: noise alone). Theory: "
            "excess loss kept up by the noise, and what trailing a drift costs, for the spectrum at each run's end."
        )
    return (
        f"Averages of the iterates at a constant step size, {grid.updates:,} updates, {grid.seeds}; returns of "
        f"{iterates} spaced iterates from three quarters of the run on, from {episodes} initial conditions (fewer on "
        f"the slow tasks), over the expert's from the same ones. 95 % t-intervals over seeds. A, B: {TASKS[0]}, every "
        f"average that was rolled out by its mean age; raw {raw.level.value:.2f}, best {best.name} "
        f"{best.level.value:.2f}. C: {len(grid.tasks)} tasks. D, E: raw and {DEFAULT} when one thing of the base is "
        "changed. F, G: return, and held-out loss at the end less raw's, for averages of rate t^(−α) over the whole "
        f"run and over its second half; least at α = {seen[False]:.2g} and {seen[True]:.2g}{theory}"
    )

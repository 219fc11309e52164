"""Gradient variance amplification in one picture (the paper's Figure 1): reward against loss on one run of cloning.

Along training, update by update, and in parameter space around one iterate and around its average: wherever the loss
is smooth and hardly moves, the return of the raw iterate swings between walking and falling.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure

from gvatheory import validation
from neural.control.experiment import EVALUATION_SEED
from neural.control.landscape import lines, planes
from neural.control.neighbourhood import Directions, run_centres
from neural.control.rebuild import FinishedRun
from neural.statistics import mean_estimate
from paper_figs import style, walker_run
from paper_figs.page import number
from paper_figs.simulated_points import sizes_of
from paper_figs.walker_run import AVERAGE

PRESETS: dict[str, dict[str, int]] = {
    "quick": {
        **walker_run.SIZES["quick"],
        "every": 500,
        "window": 30,
        "rollouts": 3,
        "points": 41,
        "line_episodes": 3,
        "side": 9,
        "plane_episodes": 2,
    },
    "full": {
        **walker_run.SIZES["full"],
        "every": 500,
        "window": 60,
        "rollouts": 10,
        "points": 151,
        "line_episodes": 5,
        "side": 25,
        "plane_episodes": 3,
    },
}
"""Sizes of the run (`walker_run.SIZES`); updates between the points along training, iterates of the window, episodes
of each; points of the line and its episodes; points along a side of the plane and its episodes."""

_LOWEST = {
    **walker_run.LOWEST,
    "every": 1,
    "window": 2,
    "rollouts": 2,
    "points": 3,
    "line_episodes": 2,
    "side": 2,
    "plane_episodes": 1,
}
LINE_REACH, PLANE_REACH = 1.5, 1.5
"""Ends of the line and of the plane's sides, in lengths of an update."""
CENTRES = ("raw", AVERAGE)
_COLOURS = dict(zip(CENTRES, (style.RAW, style.AVERAGES[0]), strict=True))
_NAMES = dict(zip(CENTRES, ("raw iterate", AVERAGE), strict=True))


def data(
    preset: str = "quick",
    *,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
    directory: Path | None = None,
    **sizes: int,
) -> xr.Dataset:
    """The run, its returns and losses, and those around its last iterate and that iterate's average.

    Args:
        preset: "quick" or "full", see `PRESETS`: about 1.5 and 11 minutes on one core.
        seed: of the learner and of the directions, ≥ 0.
        progress: called with (episodes done, episodes in all).
        directory: where the run goes on after an interrupt; by default one that is removed at the end.
        sizes: overrides of the preset's entries.

    Returns:
        return, fallen (iterate, average, episode) and loss (iterate, average) with the 0/1 variables every and window,
        and loss_floor, of `neural.control.experiment.run`; line_return, line_fallen (centre, s, line_episode) and
        line_loss; plane_return (centre, s0, s1, plane_episode) and plane_loss; s, s0, s1 in units of `unit`, the
        length of one update. The line and the plane's sides are stochastic gradients of batches of the run's size.

    Raises:
        ValueError: if the preset or an override is unknown or out of range.
    """
    size = sizes_of(PRESETS, preset, sizes, _LOWEST)
    validation.integer("seed", seed, 0)
    validation.integer("window", size["window"], 2, size["steps"])
    validation.integer("every", size["every"], 1, size["steps"])
    first = size["steps"] - size["window"] + 1
    wanted = walker_run.experiment(
        size, seed, every=size["every"], windows=((first, size["steps"]),), rollouts=size["rollouts"]
    )
    parts = [
        len(wanted.probes()[0]) * len(CENTRES) * size["rollouts"],
        len(CENTRES) * size["points"] * size["line_episodes"],
        len(CENTRES) * size["side"] ** 2 * size["plane_episodes"],
    ]
    before = np.cumsum([0, *parts])

    def tell(part: int, stage: str, done: int, total: int) -> None:
        if progress is not None and stage not in ("demonstrating", "cloning"):
            # Lines and planes are counted centre by centre, which the stage begins with.
            past = total if part and stage.startswith(AVERAGE) else 0
            progress(int(before[part]) + past + done, int(before[-1]))

    with walker_run.finished(wanted, 1, directory, lambda *at: tell(0, *at)) as (measured, run):
        line, plane = _around(run, size, seed, tell)
    return _gathered(measured, line, plane, f"window_{first}_{size['steps']}").assign_attrs(
        preset=preset, seed=seed, unit=line.attrs["unit"], task=run.task.id, **size
    )


def _around(
    run: FinishedRun, size: Mapping[str, int], seed: int, tell: Callable[[int, str, int, int], None]
) -> tuple[xr.Dataset, xr.Dataset]:
    """The line and the plane through the run's last iterate and its average, as of `neural.control.landscape`."""
    directions = Directions(gradients=2, random=0, batch_size=walker_run.BATCH_SIZE, seed=seed)
    centres, unit = run_centres(run, [AVERAGE], directions, 1)
    along = {name: (one, {"gradient 1": given["gradient 1"]}) for name, (one, given) in centres.items()}
    pairs = (run.held_out.observations, run.held_out.actions)
    line = lines(
        along,
        np.linspace(-LINE_REACH, LINE_REACH, size["points"]).tolist(),
        run.task,
        range(EVALUATION_SEED, EVALUATION_SEED + size["line_episodes"]),
        pairs,
        unit=unit,
        progress=lambda *at: tell(1, *at),
    )
    plane = planes(
        centres,
        ("gradient 1", "gradient 2"),
        np.linspace(-PLANE_REACH, PLANE_REACH, size["side"]).tolist(),
        run.task,
        range(EVALUATION_SEED, EVALUATION_SEED + size["plane_episodes"]),
        pairs,
        unit=unit,
        progress=lambda *at: tell(2, *at),
    )
    return line, plane


def _gathered(measured: xr.Dataset, line: xr.Dataset, plane: xr.Dataset, window: str) -> xr.Dataset:
    """One dataset of the three parts, each with names of its own."""
    kept = measured[["return", "fallen", "loss", "every", window, "loss_floor"]].rename({window: "window"})
    along = line[["return", "fallen", "loss"]].squeeze("direction", drop=True)
    names = {
        "return": "line_return",
        "fallen": "line_fallen",
        "loss": "line_loss",
        "s0": "s",
        "episode": "line_episode",
    }
    around = plane[["return", "loss"]].rename({"return": "plane_return", "loss": "plane_loss"})
    parts = [kept, along.rename(names), around.rename({"episode": "plane_episode"})]
    return xr.merge(parts, combine_attrs="drop", compat="no_conflicts").assign_attrs(measured.attrs)


def draw(dataset: xr.Dataset) -> Figure:
    """Nine panels: returns above losses, along training, update by update and along a line; below, planes.

    A, B, C: mean return over the episodes, with 95 % t-intervals, and under each the held-out loss from zero; the
    dotted line is what of it no policy can remove. A: along training. B: the last iterates, one by one. C: along one
    stochastic gradient through the last iterate, and one through its average. D, E: mean return in the plane of two
    stochastic gradients through either; F: the loss in the plane of D.
    """
    with style.canvas(10.4, 8.6) as figure:
        halves: Any = figure.subfigures(2, 1, height_ratios=(1.55, 1.0))
        upper, lower = halves
        panels = upper.subplots(2, 3, height_ratios=(1.0, 0.65))
        sets = [dataset.isel(iterate=np.flatnonzero(dataset[name].values)) for name in ("every", "window")]
        for column, part in enumerate(sets):
            _returns(panels[0, column], part["iterate"].values, part["return"], "average")
            _losses(panels[1, column], part["iterate"].values, part["loss"], "average", dataset)
            style.count_updates(panels[1, column])
        _returns(panels[0, 2], dataset["s"].values, dataset["line_return"], "centre")
        _losses(panels[1, 2], dataset["s"].values, dataset["line_loss"], "centre", dataset)
        panels[1, 2].set_xlabel("step (lengths of an update)")
        panels[0, 0].set(title="A  Along training", ylabel="return per episode")
        panels[0, 1].set_title(f"B  The last {sets[1].sizes['iterate']} iterates, one by one")
        panels[0, 2].set_title("C  Along a stochastic gradient")
        panels[1, 0].set_ylabel("held-out loss (action²)")
        _share_axes(panels, dataset)
        _planes(lower, lower.subplots(1, 3), dataset)
        handles = panels[0, 0].get_lines()
        upper.legend(handles, list(_NAMES.values()), loc="outside upper center", ncols=len(handles))
    return figure


def _returns(axes: Axes, x: np.ndarray, returns: xr.DataArray, over: str) -> None:
    for name, colour in _COLOURS.items():
        (episode,) = set(returns.dims) - {over, "iterate", "s"}
        one = returns.sel({over: name}).transpose(..., episode).values
        estimates = [mean_estimate(values) for values in one]
        low, middle, high = (np.array([getattr(e, end) for e in estimates]) for end in ("low", "value", "high"))
        axes.fill_between(x, low, high, color=colour, alpha=0.17, lw=0)
        axes.plot(x, middle, color=colour, lw=1.1, marker="." if len(x) <= 80 else None, ms=3)


def _losses(axes: Axes, x: np.ndarray, losses: xr.DataArray, over: str, dataset: xr.Dataset) -> None:
    for name, colour in _COLOURS.items():
        axes.plot(x, losses.sel({over: name}).values, color=colour, lw=1.1)
    if float(dataset["loss_floor"]) > 0:
        axes.axhline(float(dataset["loss_floor"]), color=style.INK, ls=":", lw=1.1)


def _share_axes(panels: np.ndarray, dataset: xr.Dataset) -> None:
    """One scale for all returns and one for all losses; the average's first losses, far above, are cut."""
    for row in panels:
        for panel in row[1:]:
            panel.sharey(row[0])
            panel.tick_params(labelleft=False)
    for above, below in panels.T:
        above.sharex(below)
        above.tick_params(labelbottom=False)
        below.margins(x=0.02)
    returns = [
        dataset[name].mean(episode) for name, episode in (("return", "episode"), ("line_return", "line_episode"))
    ]
    top = max(float(one.max()) for one in returns)
    panels[0, 0].set_ylim(-0.08 * top, 1.12 * top)
    panels[1, 0].set_ylim(0, 1.6 * float(dataset["loss"].sel(average="raw").median()))


def _planes(figure: SubFigure, panels: np.ndarray, dataset: xr.Dataset) -> None:
    means, loss = dataset["plane_return"].mean("plane_episode"), dataset["plane_loss"].sel(centre="raw")
    limits = float(means.min()), float(means.max())
    shown = [
        (means.sel(centre="raw"), "D  Return around the raw iterate", limits, "mean return"),
        (means.sel(centre=AVERAGE), f"E  Return around {AVERAGE}", limits, "mean return"),
        (loss, "F  Loss around the raw iterate", (0.0, float(loss.max())), "loss (action²)"),
    ]
    for panel, (values, title, (low, high), label) in zip(panels, shown, strict=True):
        grid = values.transpose("s1", "s0")
        drawn = panel.pcolormesh(
            grid["s0"], grid["s1"], grid, cmap=style.SEQUENTIAL, shading="nearest", vmin=low, vmax=high
        )
        panel.plot(0, 0, "+", color="white", ms=9, mew=1.6)
        panel.set(title=title, xlabel="step along gradient 1", aspect="equal")
        panel.grid(visible=False)
        figure.colorbar(drawn, ax=panel, label=label, shrink=0.82)
    panels[0].set_ylabel("step along gradient 2")


def caption(dataset: xr.Dataset) -> str:
    """What the figure shows, with spreads, falls, sample sizes and seeds."""
    a, window = dataset.attrs, dataset.isel(iterate=np.flatnonzero(dataset["window"].values))
    parts = []
    for name in CENTRES:
        one, losses = window.sel(average=name), window["loss"].sel(average=name).values
        means = one["return"].mean("episode").values
        near = dataset["line_return"].sel(centre=name).mean("line_episode").values
        far = dataset["line_loss"].sel(centre=name).values
        parts.append(
            f"{_NAMES[name]}: mean return {means.min():,.0f} to {means.max():,.0f} (standard deviation "
            f"{number(float(means.std(ddof=1)))}), {100 * float(one['fallen'].mean()):.0f} % of the episodes fall, "
            f"loss {losses.min():.3f} to {losses.max():.3f}; along C {near.min():,.0f} to {near.max():,.0f}, loss "
            f"{far.min():.3f} to {far.max():.3f}"
        )
    places = [f"{count} points" for count in (a["points"], f"{a['side']} × {a['side']}")]
    return (
        f"One run of cloning on {a['task']} ({walker_run.LAYERS} layers of {a['width']}, constant step size "
        f"{walker_run.STEP_SIZE:g}, batches of {walker_run.BATCH_SIZE}, {a['steps']:,} updates, seed {a['seed']}): the "
        f"raw iterate and {AVERAGE}. Mean return with 95 % t-intervals over the same initial conditions for all (A, B: "
        f"{a['rollouts']}, C: {a['line_episodes']}, D, E: {a['plane_episodes']} without interval; seeds from "
        f"{EVALUATION_SEED}), held-out loss below from zero, dotted: the expert's own variance; the average's first "
        f"losses are cut. A: every {a['every']} updates. B: {window.sizes['iterate']} consecutive iterates. C: "
        f"{places[0]} along a stochastic gradient; D to F: {places[1]} along two; steps in lengths of one update, "
        f"{number(float(a['unit']))}. In B, {'; '.join(parts)}. One run, no interval over training seeds."
    )

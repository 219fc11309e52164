"""Change of the return and excess of the loss against the size of the parameter noise: powers one and two (N2)."""

from __future__ import annotations

import dataclasses
import functools
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from neural.predictions.arms import TASKS
from neural.predictions.decision import mean_effect
from neural.predictions.n2_orders import HORIZON, power
from neural.predictions.orders import loss_order, return_order
from neural.statistics import Estimate
from paper_figs import style
from paper_figs.evidence_parts import marks, opened, seeds_in_words

_MARKERS = "os^Dv"


@dataclasses.dataclass(frozen=True, eq=False)
class Curve:
    """A change at every scale, geometric mean over seeds of that over directions; its rounding, its fitted power."""

    found: list[Estimate]
    rounding: float
    power: Estimate


@dataclasses.dataclass(frozen=True, eq=False)
class Orders:
    """Changes of the return by horizon, excess of the loss, and what they are of."""

    scales: np.ndarray
    returns: dict[int, Curve]
    loss: Curve
    directions: int
    centre: str
    seeds: str


def data(directory: Path | str) -> Orders:
    """From a directory of evidence.

    Raises:
        FileNotFoundError: if the orders of the first base are missing.
        ValueError: as `opened`.
    """
    evidence = opened(directory)
    found = evidence[f"{TASKS[0]} base orders"]
    swing = found["return_swing"].mean("direction").transpose("horizon", "seed", "scale").values
    excess = found["loss_excess"].mean("direction").transpose("seed", "scale").values
    rounding = found["return_rounding"].mean("seed").values
    returns = {
        int(horizon): Curve(
            _over_seeds(values),
            float(rounding[i]),
            power(evidence, what=functools.partial(return_order, horizon=int(horizon))).interval(0.95),
        )
        for i, (horizon, values) in enumerate(zip(found["horizon"].values, swing, strict=True))
    }
    loss = Curve(
        _over_seeds(excess), float(found["loss_rounding"].mean()), power(evidence, what=loss_order).interval(0.95)
    )
    centre = str(found.attrs.get("centre", "the average"))
    return Orders(found["scale"].values, returns, loss, found.sizes["direction"], centre, seeds_in_words(found))


def _over_seeds(values: np.ndarray) -> list[Estimate]:
    """Geometric means of (seeds, scales); where rounding leaves a change that is not positive there is none."""
    return [mean_effect(column, logarithmic=True).interval(0.95) for column in values.T]


def draw(orders: Orders) -> Figure:
    """A: return, by horizon; B: loss. Both axes logarithmic, powers one and two as dashed lines."""
    with style.canvas(9.4, 4.2) as figure:
        panels = figure.subplots(1, 2)
        for i, (horizon, curve) in enumerate(orders.returns.items()):
            bold = 1.0 if horizon == HORIZON else 0.55
            _curve(panels[0], orders.scales, curve, style.AVERAGES[i % 5], _MARKERS[i % 5], f"H = {horizon}", bold)
        _curve(panels[1], orders.scales, orders.loss, style.RAW, "o", "loss", 1.0)
        _power(panels[0], orders.scales, orders.returns.get(HORIZON, next(iter(orders.returns.values()))), 1)
        _power(panels[1], orders.scales, orders.loss, 2)
        panels[0].set(title="A  Change of the return", ylabel="mean |ΔJ| (reward)")
        panels[1].set(title="B  Excess of the loss", ylabel="mean of both signs (action²)")
        for axes in panels:
            axes.set(xscale="log", yscale="log", xlabel="size s of the noise (1: the iterate itself)")
            axes.legend(loc="lower right")
    return figure


def _curve(axes: Axes, scales: np.ndarray, curve: Curve, colour: str, marker: str, name: str, alpha: float) -> None:
    label = f"{name}: power {_words(curve.power)}"
    marks(axes, scales, curve.found, fmt=marker, color=colour, ms=4, alpha=alpha, label=label)
    axes.plot(scales, [e.value for e in curve.found], "-", color=colour, lw=0.8, alpha=alpha)
    if curve.rounding > 0:
        axes.axhline(curve.rounding, color=colour, lw=0.7, ls=":", alpha=alpha)


def _power(axes: Axes, scales: np.ndarray, curve: Curve, order: int) -> None:
    """The predicted power through the smallest change that is clear of rounding."""
    values = np.array([e.value for e in curve.found])
    clear = np.flatnonzero(values > 10.0 * curve.rounding)
    if len(clear):
        line = values[clear[0]] * (scales / scales[clear[0]]) ** order
        shown = (line <= 3.0 * np.nanmax(values)) & (line >= 0.1 * np.nanmin(values))
        label = f"power {order}, predicted"
        axes.plot(scales[shown], line[shown], "--", color=style.INK, lw=1.2, label=label)


def _words(found: Estimate) -> str:
    return "unknown" if np.isnan(found.low) else f"{found.value:.2f} [{found.low:.2f}, {found.high:.2f}]"


def caption(orders: Orders) -> str:
    """What the figure shows, with sample sizes and powers."""
    return (
        f"Policies displaced from {orders.centre} at the end of {TASKS[0]}'s base by s times the iterates' own noise, "
        f"{orders.directions} directions, {orders.seeds}; geometric means over seeds with 95 % t-intervals. A: mean "
        "over "
        "directions, signs and starts of the change of the return of H steps; B: loss of both signs together less that "
        "at the centre. Dashed: the predicted powers through the smallest change clear of rounding (dotted). Powers "
        f"fitted below a tenth of the ceiling: return at {HORIZON} steps "
        f"{_words(orders.returns[HORIZON].power) if HORIZON in orders.returns else 'not measured'}, loss "
        f"{_words(orders.loss.power)}; predicted 1 and 2."
    )

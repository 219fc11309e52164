"""Exponents of amplification over the horizon in matrix closed loops: 0 if stable, 2 if marginal, up to 5 (Jordan).

x_{h+1} = (A + δN) x_h with A the expert's closed loop in the plane, N a fixed direction of the gain error and δ ~
N(0, s²); reward −‖x_h‖². To first order in s the std of J_H grows as Σ_h |d‖x_h‖²/dδ|: as H² where A is normal with its
eigenvalues on the unit circle. In a Jordan block of eigenvalue 1 it depends on the direction: H³ if N changes the
coupling, H⁴ if it moves the double eigenvalue, H⁵ if it splits it, which is what a random N does. `scalar_gva` is the
scalar case. The power ends where first order does: at sH of order one, in a Jordan block already at sH² of order one.
"""

from __future__ import annotations

import dataclasses
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
from paper_figs.simulated_points import Z, mean_interval, points, sizes_of, stream

GAIN_ERROR = 1e-6
"""s of the first two panels: every loop is in the range of first order up to the longest horizon."""

START = np.array([0.8, 0.6])
"""x_0; not random, so that all spread of J_H is the gain's."""

_RANDOM = np.array([[0.55, -0.35], [0.45, 0.61]])  # drawn once, then rounded; norm near one


def _rotation(radius: float, angle: float = 0.7) -> np.ndarray:
    c, s = np.cos(angle), np.sin(angle)
    return radius * np.array([[c, -s], [s, c]])


_JORDAN = np.array([[1.0, 1.0], [0.0, 1.0]])


@dataclasses.dataclass(frozen=True, eq=False)
class Loop:
    """A closed loop, the direction of its gain error, and what is predicted of it.

    Attributes:
        closed_loop: A, (2, 2).
        direction: N, (2, 2).
        power, log_growth: the std of J_H tends to be ∝ H^power e^{log_growth · H}.
    """

    closed_loop: np.ndarray
    direction: np.ndarray
    power: float
    log_growth: float = 0.0

    def system(self, horizon: int = 1) -> gva.LinearSystem:
        """The loop as a linear system whose expert does nothing: A is the closed loop, B = I."""
        eye, zero = np.eye(2), np.zeros((2, 2))
        return gva.LinearSystem(self.closed_loop, eye, zero, eye, zero, np.outer(START, START), horizon)


def _unit(row: int, column: int) -> np.ndarray:
    return np.array([[float((i, j) == (row, column)) for j in range(2)] for i in range(2)])


LOOPS: dict[str, Loop] = {
    "stable, |a| = 0.9": Loop(_rotation(0.9), _RANDOM, 0.0),
    "marginal, normal": Loop(_rotation(1.0), _RANDOM, 2.0),
    "Jordan, coupling": Loop(_JORDAN, _unit(0, 1), 3.0),
    "Jordan, eigenvalue moved": Loop(_JORDAN, np.eye(2), 4.0),
    "Jordan, random direction": Loop(_JORDAN, _RANDOM, 5.0),
    "unstable, |a| = 1.05": Loop(_rotation(1.05), _RANDOM, 1.0, 2.0 * float(np.log(1.05))),
}
"""By name, in order of growth."""

BEYOND: dict[str, tuple[int, tuple[float, ...]]] = {
    "marginal, normal": (1, (3e-3, 1e-2, 3e-2)),
    "Jordan, random direction": (2, (1e-5, 1e-4, 1e-3)),
}
"""Where the power ends: loops, the q of s H^q that says where, and values of s."""

PRESETS: dict[str, dict[str, int]] = {
    "quick": {"doublings": 7, "trials": 2000},
    "full": {"doublings": 8, "trials": 50_000},
}
"""H = 2, ..., 2^doublings, two per doubling, and gain errors per cell: about 2 s and 15 s on one core."""

_FITTED = 5  # longest horizons, to which the exponents are fitted


def data(
    preset: str = "quick", *, seed: int = 0, progress: Callable[[int, int], None] | None = None, **sizes: int
) -> xr.Dataset:
    """Std of J_H of six matrix loops over the horizon, exact and by roll-outs, its exponents, and where they end.

    Args:
        preset: "quick" or "full", see `PRESETS`.
        seed: of the gain errors, ≥ 0; every cell has its own stream.
        progress: called with (cells done, cells in all) of the simulation.
        sizes: overrides of the preset's entries; doublings ≥ 4, trials ≥ 10.

    Returns:
        dims (loop, horizon): `std_exact`, `std_simulated` with its 95 % interval `std_low`, `std_high` from the fourth
        moment, `std_relative_error`, and `std_score`, simulated minus exact logarithm in standard errors; dims (loop):
        `exponent_simulated` ± `exponent_half` over the five longest horizons, after division by the exponential, the
        same fit's `exponent_exact`, and `power`, `log_growth` of the limit; dims (loop, every_horizon): `local_exact`,
        d log std / d log H between H − 1 and H + 1; dims (beyond, larger, every_horizon): `ratio_exact`, std
        over that of first order, at s = `gain_error`.

    Raises:
        ValueError: if the preset or an override is unknown or out of range.
    """
    size = sizes_of(PRESETS, preset, sizes, {"doublings": 4, "trials": 10})
    validation.integer("seed", seed, 0)
    horizons = np.unique(np.round(2.0 ** np.arange(1.0, size["doublings"] + 0.25, 0.5)).astype(int))
    every = np.arange(2, horizons[-1] + 2)  # at H = 1 there is no spread
    exact = np.array([spread(loop, GAIN_ERROR, every) for loop in LOOPS.values()])
    simulated = np.empty((2, len(LOOPS), len(horizons)))
    for cell, (i, j) in enumerate(np.ndindex(simulated.shape[1:])):
        loop, horizon = list(LOOPS.values())[i], int(horizons[j])
        simulated[:, i, j] = rolled_out_spread(loop, horizon, size["trials"], stream(seed, i, j))
        if progress is not None:
            progress(cell + 1, simulated[0].size)
    value, relative = simulated
    low, high = mean_interval(value, relative)
    grid = {"std_exact": exact[:, horizons - every[0]], "std_simulated": value, "std_low": low, "std_high": high}
    grid |= {"std_relative_error": relative, "std_score": np.log(value / exact[:, horizons - every[0]]) / relative}
    local = np.log(exact[:, 2:] / exact[:, :-2]) / np.log(every[2:] / every[:-2])
    variables = {name: (("loop", "horizon"), values) for name, values in grid.items()}
    variables |= {"local_exact": (("loop", "every_horizon"), local)}
    variables |= _beyond_first_order(every)
    coords = {"loop": list(LOOPS), "horizon": horizons, "every_horizon": every[1:-1]}
    coords |= {"beyond": list(BEYOND)}
    dataset = xr.Dataset(variables, coords=coords)
    for name in ("std_exact", "std_simulated", "std_low", "std_high"):
        dataset[name].attrs["units"] = "‖x_0‖²"
    dataset["horizon"].attrs["units"] = dataset["every_horizon"].attrs["units"] = "steps"
    facts = {"preset": preset, "seed": seed, **size, "std_of_gain": GAIN_ERROR, "fitted": _FITTED}
    dataset = dataset.assign(_exponents(dataset))
    return dataset.assign_attrs({**provenance(function="horizon_exponents.data"), **facts})


def spread(loop: Loop, gain_error: float, horizons: np.ndarray) -> np.ndarray:
    """Exact std of J_H at each horizon: Hermite coefficients along the direction."""
    return gva.reward_spread_by_horizon(loop.system(), gain_error * loop.direction, horizons)


def _beyond_first_order(every: np.ndarray) -> dict[str, tuple[tuple[str, ...], np.ndarray]]:
    """Std over that of first order for the loops and sizes of `BEYOND`, without the first and the last horizon."""
    ratios = []
    for name, (_, sizes) in BEYOND.items():
        first_order = spread(LOOPS[name], GAIN_ERROR, every) / GAIN_ERROR
        ratios.append([spread(LOOPS[name], s, every) / (s * first_order) for s in sizes])
    return {
        "ratio_exact": (("beyond", "larger", "every_horizon"), np.array(ratios)[..., 1:-1]),
        "gain_error": (("beyond", "larger"), np.array([sizes for _, sizes in BEYOND.values()])),
    }


def rolled_out_spread(loop: Loop, horizon: int, trials: int, seed: int) -> tuple[float, float]:
    """Std of J_H over drawn gain errors, each loop run from x_0, and its relative standard error."""
    errors = GAIN_ERROR * np.random.default_rng(seed).standard_normal(trials)
    state, reward = np.broadcast_to(START, (trials, 2)), np.zeros(trials)
    # Differences from the expert's reward: the spread is up to 1e-6 of the reward itself.
    expert, expert_reward = START, 0.0
    for _ in range(horizon):
        reward, expert_reward = reward - np.sum(state**2, axis=1), expert_reward - float(expert @ expert)
        state = state @ loop.closed_loop.T + errors[:, None] * (state @ loop.direction.T)
        expert = loop.closed_loop @ expert
    gaps = reward - expert_reward
    squares = (gaps - gaps.mean()) ** 2
    # d log std = d variance / (2 variance)
    relative = float(squares.std(ddof=1) / squares.mean() / 2.0 / np.sqrt(trials))
    return float(gaps.std(ddof=1)), relative


def _exponents(dataset: xr.Dataset) -> dict[str, tuple[str, list[float]]]:
    """Fitted exponents over the longest horizons, those of the exact law with the same weights, and the limits."""
    late = dataset.isel(horizon=slice(-_FITTED, None))
    horizons = late["horizon"].values.astype(np.float64)
    rows: dict[str, list[float]] = {"exponent_simulated": [], "exponent_half": [], "exponent_exact": []}
    for name, loop in LOOPS.items():
        one, growth = late.sel(loop=name), np.exp(loop.log_growth * horizons)
        errors = one["std_relative_error"].values
        fit = fit_power(horizons, one["std_simulated"].values / growth, errors)
        exact = fit_power(horizons, one["std_exact"].values / growth, errors).value
        for key, value in zip(rows, (fit.value, fit.half, exact), strict=True):
            rows[key].append(value)
    rows |= {"power": [loop.power for loop in LOOPS.values()]}
    rows |= {"log_growth": [loop.log_growth for loop in LOOPS.values()]}
    return {name: ("loop", values) for name, values in rows.items()}


_COLOURS = dict(zip(LOOPS, (*style.AVERAGES[:2], *style.AVERAGES[3:1:-1], style.AVERAGES[4], style.RAW), strict=True))
_MARKERS = dict(zip(LOOPS, "os^vDX", strict=True))


def draw(dataset: xr.Dataset) -> Figure:
    """Std of J_H over H; its local exponent with the predicted limits; std over that of first order, against sH^q."""
    with style.canvas(11.0, 4.3) as figure:
        left, middle, right = figure.subplots(1, 3)
        horizon = dataset["horizon"].values
        for name in dataset["loop"].values:
            one, colour = dataset.sel(loop=name), _COLOURS[name]
            left.plot(horizon, one["std_exact"], color=colour, lw=1.2)
            low, value, high = (one[f"std_{part}"] for part in ("low", "simulated", "high"))
            points(left, horizon, value, low, high, fmt=_MARKERS[name], color=colour, label=name)
            _local(middle, one, colour, _MARKERS[name])
        left.set(
            xscale="log",
            yscale="log",
            xlabel="horizon H (steps)",
            ylabel="std of $J_H$ (units of $\\Vert x_0\\Vert^2$)",
        )
        left.set_title(f"A  Spread of reward, s = {dataset.attrs['std_of_gain']:g}")
        left.legend(loc="upper left", fontsize=7.5)
        middle.set(xscale="log", xlabel="horizon H (steps)", ylabel="d log std / d log H", ylim=(-0.6, 7.0))
        middle.set_title("B  Local exponent; dashed: predicted")
        _beyond(right, dataset)
        for axes in (left, middle):
            ticks = [int(h) for h in 2 ** np.arange(1, 12) if h <= horizon[-1]]
            axes.set_xticks(ticks, [str(t) for t in ticks])
            axes.set_xticks([], minor=True)
    return figure


def _local(axes: Axes, one: xr.Dataset, colour: str, marker: str) -> None:
    """The exact local exponent, the simulated one between horizons two apart on the axis, and the predicted limit."""
    every, horizon = one["every_horizon"].values, one["horizon"].values.astype(np.float64)
    axes.plot(every, one["local_exact"], color=colour, lw=1.2)
    predicted = float(one["power"]) + float(one["log_growth"]) * every
    axes.plot(every, predicted, "--", color=colour, lw=0.9)
    gaps = np.log(horizon[2:] / horizon[:-2])
    slopes = np.diff(np.log(one["std_simulated"].values)[::2]) / gaps[::2]
    error = one["std_relative_error"].values[::2]
    half = Z * np.hypot(error[1:], error[:-1]) / gaps[::2]
    middle = np.sqrt(horizon[2:] * horizon[:-2])[::2]
    points(axes, middle, slopes, slopes - half, slopes + half, fmt=marker, color=colour)


def _beyond(axes: Axes, dataset: xr.Dataset) -> None:
    """Std over that of first order against sH (normal) and sH² (Jordan), thinnest line for the largest s."""
    horizon = dataset["every_horizon"].values.astype(np.float64)
    for name, (power, _) in BEYOND.items():
        one, kind = dataset.sel(beyond=name), "Jordan" if power == 2 else "normal"
        for width, s, ratio in zip((6.0, 3.0, 1.0), one["gain_error"].values, one["ratio_exact"].values, strict=True):
            axes.plot(
                s * horizon**power,
                ratio,
                color=_COLOURS[name],
                lw=width,
                alpha=1.0 / np.sqrt(width),
                label=f"{kind}, s = {s:g}",
            )
    axes.axhline(1.0, color=style.MUTED, lw=0.8)
    axes.set(xscale="log", yscale="log", xlabel="sH (normal) or sH² (Jordan)", ylabel="std of $J_H$ / first order")
    axes.set(ylim=(0.7, 30.0), xlim=(0.01, 30.0))
    axes.set_title("C  Where the power ends")
    axes.legend(loc="upper left", fontsize=7)


def caption(dataset: xr.Dataset) -> str:
    """What the figure shows, with its sample sizes, its seed and the exponents."""
    a, horizon = dataset.attrs, dataset["horizon"].values
    rows = [(str(name), dataset.sel(loop=name)) for name in dataset["loop"].values]
    fits = "; ".join(
        f"{name}: {signed(float(one['exponent_simulated']), float(one['exponent_half']))} "
        f"(exact {signed(float(one['exponent_exact']))}, limit {float(one['power']):g}"
        + (f", times e^({float(one['log_growth']):.3f} H))" if float(one["log_growth"]) else ")")
        for name, one in rows
    )
    symbols = {1: "sH", 2: "sH²"}
    ends = " and ".join(f"{symbols[q]} = {power_end(dataset, name):.2g} ({name})" for name, (q, _) in BEYOND.items())
    return (
        "Standard deviation of the reward J_H = −Σ‖x_h‖² of closed loops in the plane whose gain is off by δN, δ ~ "
        f"N(0, s²), s = {a['std_of_gain']:g}. Lines: exact. Points: {a['trials']:,} gain errors for each horizon, "
        f"every loop run from one x_0, seed {a['seed']}, 95 % intervals. The one-step error is the same at every "
        f"horizon. Exponents by weighted least squares over H ≥ {horizon[-a['fitted']]}, beside those of the exact law "
        f"over the same H and the limits: {fits}. B: dashed, the limits, which for the unstable loop are "
        "1 + 2H ln|a|. C: the exact "
        "spread over that of first order at larger s: the curves of one loop nearly coincide, and first order is "
        f"10 % off at {ends}."
    )


def power_end(dataset: xr.Dataset, name: str, excess: float = 0.1) -> float:
    """s H^q, at the largest s of a loop, where the exact std first exceeds that of first order by this share."""
    one, power = dataset.sel(beyond=name), BEYOND[name][0]
    late = int(np.argmax(one["ratio_exact"].values[-1] > 1.0 + excess))
    return float(one["gain_error"].values[-1] * float(dataset["every_horizon"].values[late]) ** power)

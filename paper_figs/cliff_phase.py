"""Phase diagram of the cliff: who falls, over step size η and averaging rate γ, exactly and by simulation.

The learner is a noisy quadratic in d dimensions, the reward a ball with a cliff around the optimum. After T steps an
average falls if the noise left in it reaches the cliff (η and γ too large), or if it has not arrived yet (either too
small). In between, averaging allows step sizes at which the raw iterate, γ = 1, is always past the cliff.
"""

from collections.abc import Callable, Mapping
from typing import Any, cast

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from scipy.special import ndtri
from scipy.stats import binom

import gvatheory as gva
from paper_figs import style
from paper_figs.simulated_points import preset_sizes

DIMENSION, CURVATURE, NOISE_VARIANCE, BATCH_SIZE = 10, 1.0, 4.0, 1
RADIUS, PENALTY, INITIAL_ERROR = 1.0, 2.0, 1.0

PRESETS: dict[str, dict[str, int]] = {
    "quick": {"step_sizes": 8, "rates": 8, "steps": 256, "trials": 1000, "fine": 21},
    "full": {"step_sizes": 20, "rates": 18, "steps": 512, "trials": 3000, "fine": 49},
}
"""Grid sizes, T and trials per cell: about 12 s and 6 min on one core, nearly all of it drawing normal variates."""

_UNITS = {"step_size": "1/curvature", "gamma": "1 per update", "reward_exact": "radius²", "reward_simulated": "radius²"}
_Z_LIMIT = 4.0


def data(
    preset: str = "quick", *, seed: int = 0, progress: Callable[[int, int], None] | None = None, **sizes: int
) -> xr.Dataset:
    """Mean reward and fall probability of a constant-rate EMA after T steps, on a grid of (step_size, gamma).

    Args:
        preset: "quick" or "full", see `PRESETS`.
        seed: of the simulation, ≥ 0; every cell has its own stream.
        progress: called with (cells done, cells in all) of the simulated grid.
        sizes: overrides of the preset's entries.

    Returns:
        dims (step_size, gamma), γ = 1 last: `fall_exact`, `fall_simulated`, `fall_z`, `reward_exact`,
        `reward_simulated`, `reward_z`; dims (fine_step_size, fine_gamma): `fall_fine`, the exact probability again.
        `fall_z` is the normal score of the simulated count under the exact binomial law (mid-p).

    Raises:
        ValueError: if the preset or an override is unknown.
    """
    size = preset_sizes(PRESETS, preset, sizes)
    axes = {"step_size": np.geomspace(2e-3, 1.2, size["step_sizes"]), "gamma": np.geomspace(2e-3, 1.0, size["rates"])}
    cell = _Cell(size["steps"], size["trials"], seed)
    coarse = gva.sweep(cell.both, axes, engine="loop", units=_UNITS, progress=progress)
    ends = {"fine_step_size": _edges(axes["step_size"])[[0, -1]], "fine_gamma": (_edges(axes["gamma"])[0], 1.0)}
    fine_axes = {k: np.geomspace(low, high, size["fine"]) for k, (low, high) in ends.items()}
    fine = gva.sweep(cell.exact, fine_axes, engine="loop", units={f"fine_{k}": v for k, v in _UNITS.items()})
    facts = {"preset": preset, "seed": seed, **size, "dimension": DIMENSION, "curvature": CURVATURE}
    facts |= {"noise_variance": NOISE_VARIANCE, "batch_size": BATCH_SIZE, "radius": RADIUS, "penalty": PENALTY}
    dataset = xr.merge([coarse, fine], combine_attrs="drop_conflicts")
    return dataset.assign_attrs(coarse.attrs | facts | {"initial_error": INITIAL_ERROR, "function": "cliff_phase.data"})


class _Cell:
    """The functions swept over: the same problem in every cell."""

    def __init__(self, steps: int, trials: int, seed: int) -> None:
        self.problem = gva.NoisyQuadratic(np.full(DIMENSION, CURVATURE), NOISE_VARIANCE, BATCH_SIZE)
        self.reward = gva.CliffBall(RADIUS, PENALTY)
        self.steps, self.trials, self.seed, self.cells = steps, trials, seed, 0

    def exact(self, fine_step_size: float, fine_gamma: float) -> Mapping[str, float]:
        setting = (self.problem, gva.Constant(fine_step_size), gva.EMA(fine_gamma), self.reward, self.steps)
        return {"fall_fine": gva.exact_reward(*setting, INITIAL_ERROR).fall_probability}

    def both(self, step_size: float, gamma: float) -> Mapping[str, float]:
        setting = (self.problem, gva.Constant(step_size), gva.EMA(gamma), self.reward, self.steps, INITIAL_ERROR)
        exact = gva.exact_reward(*setting)
        stream = int(np.random.SeedSequence([self.seed, self.cells]).generate_state(1)[0])
        self.cells += 1
        seen = gva.simulated_reward(*setting, self.trials, stream)
        return {
            "fall_exact": exact.fall_probability,
            "fall_simulated": seen.fall_probability,
            "fall_z": normal_score(round(seen.fall_probability * self.trials), self.trials, exact.fall_probability),
            "reward_exact": exact.mean,
            "reward_simulated": seen.mean,
            "reward_z": (seen.mean - exact.mean) / max(np.sqrt(exact.variance / self.trials), 1e-300),
        }


def normal_score(count: int, trials: int, probability: float) -> float:
    """Φ^{-1} of the mid-p value of `count` under Binomial(trials, probability), within ±38.

    Near a standard normal variate if the probability is right, and 0 where an impossible fall is not seen; the usual
    (p̂ − p)/√(p(1−p)/n) is useless there.
    """
    at = 0.5 * binom.pmf(count, trials, probability)
    below = ndtri(binom.cdf(count - 1, trials, probability) + at)
    above = -ndtri(binom.sf(count, trials, probability) + at)
    return float(np.clip(below if below < 0 else above, -38.0, 38.0))


def noise_limit(cells: int, level: float = 0.95) -> float:
    """Largest |z| that this share of grids stays below if exact and simulated laws agree (independent cells)."""
    return float(ndtri(0.5 * (1.0 + level ** (1.0 / cells))))


def draw(dataset: xr.Dataset) -> Figure:
    """Three panels: exact and simulated fall probability, and the z-score of their difference; contour at ½."""
    with style.canvas(10.0, 3.9) as figure:
        left, middle, right = figure.subplots(1, 3, sharey=True)
        bounds = [_edges(dataset[name].values)[[0, -1]] for name in ("gamma", "step_size")]
        for axes in (left, middle, right):
            axes.set(xscale="log", yscale="log", xlim=bounds[0], ylim=bounds[1])
            axes.set_xlabel("averaging rate γ (1 = raw SGD)")
            axes.grid(False)
        shades = {"cmap": style.SEQUENTIAL, "vmin": 0.0, "vmax": 1.0}
        mesh = _cells(left, dataset["fall_fine"], shades)
        _cells(middle, dataset["fall_simulated"], shades)
        limits = {"cmap": style.DIVERGING, "vmin": -_Z_LIMIT, "vmax": _Z_LIMIT}
        scores = _cells(right, dataset["fall_z"], limits)
        for axes in (left, middle, right):
            _contour(axes, dataset["fall_fine"])
        left.set(title="A  Fall probability, exact", ylabel="step size η")
        middle.set_title(f"B  Simulated, {int(dataset.attrs['trials']):,} runs per cell")
        z = dataset["fall_z"].values
        limit = noise_limit(z.size)
        right.set_title(f"C  z-score: max |z| = {np.abs(z).max():.1f}, by chance < {limit:.1f}")
        figure.colorbar(mesh, ax=[left, middle], label="fall probability", pad=0.015, shrink=0.95)
        figure.colorbar(scores, ax=right, label="(simulated − exact) / noise", extend="both", pad=0.03, shrink=0.95)
    return figure


def caption(dataset: xr.Dataset) -> str:
    """What the figure shows, with its sample sizes and seed."""
    a, z, p = dataset.attrs, dataset["fall_z"].values, dataset["fall_exact"].values
    open_cells = a["trials"] * p * (1.0 - p) > 1.0
    return (
        f"Probability that an EMA of SGD's iterates is past a cliff of radius {a['radius']:g} around the optimum after "
        f"T = {a['steps']} steps: noisy quadratic with d = {a['dimension']}, curvature {a['curvature']:g}, "
        f"noise variance {a['noise_variance']:g}, batch {a['batch_size']}, starting at "
        f"{a['initial_error']:g} in every coordinate. The line is the exact probability ½. Top right: too noisy. "
        f"Left and bottom: not arrived yet. {z.shape[0]} × {z.shape[1]} cells of {a['trials']} runs, seed {a['seed']}: "
        f"largest |z| {np.abs(z).max():.2f} (95 % of such grids stay below {noise_limit(z.size):.2f}), rms "
        f"{np.sqrt(np.mean(z[open_cells] ** 2)):.2f} in the {open_cells.sum()} cells where both outcomes are expected."
    )


def _edges(values: np.ndarray) -> np.ndarray:
    """Cell edges (n+1,) half a cell, on the log scale, around centres (n,)."""
    logs = np.log(values)
    half = 0.5 * (logs[-1] - logs[0]) / max(len(logs) - 1, 1)
    return np.exp(np.append(logs - half, logs[-1] + half))


def _cells(axes: Axes, values: xr.DataArray, options: Mapping[str, Any]) -> QuadMesh:
    y, x = (_edges(values[d].values) for d in values.dims)
    y, x = (np.append(e[:-1], max(e[-1], end)) for e, end in ((y, axes.get_ylim()[1]), (x, axes.get_xlim()[1])))
    return axes.pcolormesh(x, y, values.values, rasterized=True, **options)


def _contour(axes: Axes, values: xr.DataArray) -> None:
    y, x = (cast(np.ndarray, values[d].values) for d in values.dims)
    scores = np.clip(ndtri(values.values), -8.0, 8.0)  # smoother between grid points than the probability
    lines = axes.contour(x, y, scores, levels=[0.0], colors=["black"], linewidths=1.3)
    lines.set_path_effects([withStroke(linewidth=3.2, foreground="white")])

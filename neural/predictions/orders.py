"""Prediction N2: to which order in the parameter noise the return swings, and to which the loss rises.

At an average θ̃ of a finished run, with noise directions δ_i = θ_{T+i·k} − θ̃, the iterates' own: how much does the
return of a start change between θ̃ and θ̃ ± s δ_i, and by how much does the loss of both together exceed that of θ̃? To
lowest order |ΔJ| ∝ s where ∇J is not 0 along the noise, while the two signs cancel the loss's gradient, so that its
excess is ∝ s². At a maximum of the return (a linear-quadratic-optimal expert) both are ∝ s².

The lowest order holds while a change is small beside its ceiling. A loop that amplifies reaches that ceiling within
tens of steps (N3), so the order of the return is one of a horizon.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import xarray as xr

from gvatheory import validation
from neural.control.experiment import EVALUATION_SEED
from neural.control.landscape import Direction, displaced, norm, path_direction
from neural.control.policies import MLPPolicy
from neural.control.rebuild import rebuild
from neural.control.rollout import evaluate
from neural.control.tasks import Task
from neural.statistics import Estimate, mean_estimate

SCALES = tuple(2.0**k for k in (*range(-20, 1, 2), 1))
"""Lengths s of the displacements, in units of the noise: 1 leads to the iterate itself. Half of them are far smaller,
for a loop that amplifies."""
HORIZONS = (10, 20, 50, 100, 200)
SMALL = 0.1
"""Of its ceiling, the largest at any scale: below that a change counts as of lowest order."""
CLEAR = 10.0
"""Times what rounding does to it: above that a change counts as one of the parameters."""

WIDTH = 64.0
"""Largest over smallest of the scales that an order is taken from: it is that of the smallest changes."""

_SIGNS = (1, -1)
_LEAST = 3  # scales of a slope


def orders_data(
    directory: Path | str,
    *,
    centre: str = "EMA 0.001",
    scales: Sequence[float] = SCALES,
    directions: int = 6,
    spacing: int = 100,
    episodes: int = 8,
    horizons: Sequence[int] = HORIZONS,
    pairs: int = 1000,
    seed: int | None = None,
    threads: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> xr.Dataset:
    """Changes of return and loss around an average of a finished run, along its own noise.

    Args:
        directory: of the run, see `rebuild`.
        centre: name of the average at the run's end.
        scales: as in `displacement_changes`.
        directions: n ≥ 2, to the iterates T, T + spacing, ..., T + (n − 1) · spacing.
        spacing: updates, ≥ 1; noise that lies closer than the iterate's memory is less than n independent draws.
        episodes: initial conditions, ≥ 1, those of the run's own rollouts from the first on.
        horizons: as in `displacement_changes`.
        pairs: held-out pairs of the loss, ≥ 1, evenly spaced over what there is; all if there are fewer.
        seed: of the learner, for a run of several seeds; None for a run of one.
        threads, progress: as in `rollout.evaluate`.

    Raises:
        FileNotFoundError, ValueError: as `rebuild`, or naming the argument that is out of range.
    """
    for name, value, low in (("directions", directions, 2), ("spacing", spacing, 1), ("episodes", episodes, 1)):
        validation.integer(name, value, low)
    validation.integer("pairs", pairs, 1)
    if centre == "raw":
        raise ValueError("centre must be an average, got 'raw': from itself the iterate has no noise")
    _check(scales, horizons)
    run = rebuild(directory, beyond=(directions - 1) * spacing, seed=seed)
    middle, noise = run.policy(centre), [run.policy()]
    for _ in range(directions - 1):
        run.cloning.advance(spacing)
        noise.append(run.policy())
    held_out = run.held_out.observations, run.held_out.actions
    few = np.linspace(0, len(held_out[1]) - 1, min(pairs, len(held_out[1]))).astype(int)
    found = displacement_changes(
        middle,
        [path_direction(middle, one) for one in noise],
        scales,
        run.task,
        range(EVALUATION_SEED, EVALUATION_SEED + episodes),
        (held_out[0][few], held_out[1][few]),
        horizons=horizons,
        threads=threads,
        progress=progress,
    )
    return found.assign_attrs(centre=centre, steps=run.steps, spacing=spacing)


def displacement_changes(
    centre: MLPPolicy,
    directions: Sequence[Direction],
    scales: Sequence[float],
    task: Task,
    seeds: Sequence[int],
    pairs: tuple[np.ndarray, np.ndarray],
    *,
    horizons: Sequence[int],
    threads: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> xr.Dataset:
    """Return and loss at centre ± s · direction less those at the centre, networks in float64.

    Args:
        centre: a deterministic policy.
        directions: noise, at least one.
        scales: ascending s > 0, at least two, in units of each direction.
        task, seeds, threads, progress: as in `rollout.evaluate`.
        pairs: observations (N, observation_size) and actions (N, action_size) of the loss.
        horizons: ascending environment steps at which the return is taken, at least one.

    Returns:
        return_change (direction, sign, scale, episode, horizon), loss_change (direction, sign, scale); from them
        return_swing (direction, scale, horizon), mean of |ΔJ| over signs and episodes, and loss_excess (direction,
        scale), mean over the signs; return_rounding (horizon), mean of |ΔJ| between the centre's network in float64 and
        in float32 (an action is rounded to float32 in any case); loss_rounding, of float64; length of each direction.

    Raises:
        ValueError: naming the argument that is out of range.
    """
    _check(scales, horizons)
    if not directions:
        raise ValueError("directions must hold at least one direction, got none")
    exact = centre.astype(np.float64)
    steps = [sign * scale for sign in _SIGNS for scale in scales]
    policies = [displaced(exact, [direction], [step]) for direction in directions for step in steps]
    policies = [exact, centre.astype(np.float32), *policies]
    options = {"max_steps": horizons[-1], "threads": threads, "progress": progress, "rewards_at": horizons}
    returns = evaluate(policies, task, seeds, **options).partial
    assert returns is not None
    losses = np.array([_loss(policy, *pairs) for policy in policies])
    cells = (len(directions), len(_SIGNS), len(scales))
    return_change = (returns[2:] - returns[0]).reshape(*cells, *returns.shape[1:])
    loss_change = (losses[2:] - losses[0]).reshape(cells)
    reward, loss = {"units": "reward"}, {"units": "action²"}
    dims = ("direction", "sign", "scale")
    return xr.Dataset(
        {
            "return_change": ((*dims, "episode", "horizon"), return_change, reward),
            "loss_change": (dims, loss_change, loss),
            "return_swing": (("direction", "scale", "horizon"), np.abs(return_change).mean(axis=(1, 3)), reward),
            "loss_excess": (("direction", "scale"), loss_change.mean(axis=1), loss),
            "return_rounding": ("horizon", np.abs(returns[1] - returns[0]).mean(axis=0), reward),
            "loss_rounding": ((), float(np.spacing(losses[0])), loss),
            "length": ("direction", [norm(direction) for direction in directions], {"units": "1"}),
        },
        {
            "sign": list(_SIGNS),
            "scale": ("scale", list(scales), {"units": "lengths of the direction"}),
            "episode": ("episode", list(seeds), {"long_name": "seed of the initial condition"}),
            "horizon": ("horizon", list(horizons), {"units": "environment steps"}),
        },
        {"task": task.id},
    )


def _check(scales: Sequence[float], horizons: Sequence[int]) -> None:
    """ValueError naming the first that does not ascend or is out of range."""
    for i, scale in enumerate(scales):
        validation.positive(f"scales[{i}]", scale)
    if len(scales) < 2 or np.any(np.diff(scales) <= 0):
        raise ValueError(f"scales must ascend, at least two of them, got {list(scales)}")
    for i, horizon in enumerate(horizons):
        validation.integer(f"horizons[{i}]", horizon, 1)
    if not len(horizons) or np.any(np.diff(horizons) <= 0):
        raise ValueError(f"horizons must ascend, at least one, got {list(horizons)}")


def _loss(policy: MLPPolicy, observations: np.ndarray, actions: np.ndarray) -> float:
    """ℓ_BC, mean of ‖π(x) − u‖², in the policy's precision: the changes are too small for float32."""
    return float(np.mean(np.sum((policy(observations) - actions) ** 2, axis=1)))


@dataclasses.dataclass(frozen=True)
class Order:
    """A power of the scale, and where it was taken from.

    Attributes:
        power: slope of ln change against ln scale, mean over directions with its t-interval; NaN where there is none.
        first, last: scales between which; NaN where there are fewer than three.
    """

    power: Estimate
    first: float
    last: float


def order(
    scales: Sequence[float] | np.ndarray, change: np.ndarray, *, rounding: float = 0.0, largest: bool = False
) -> Order:
    """Power with which changes grow with the scale, while they are of lowest order.

    Used are the smallest scales, within a factor of 64, at which the mean over directions is above ten times rounding,
    below the first at which it reaches a tenth of its ceiling, its largest value at any scale. (A chaotic loop has a
    lower ceiling before that one, where trajectories have parted but nobody falls; hence the factor.)

    Args:
        scales: ascending, positive.
        change: (directions, scales), at least two directions.
        rounding: of a change, ≥ 0.
        largest: use the largest of these scales in place of the smallest, again within a factor of 64.

    Raises:
        ValueError: naming the argument that does not fit.
    """
    s = validation.array("scales", scales, 1)
    if s.size < 2 or np.any(s <= 0) or np.any(np.diff(s) <= 0):
        raise ValueError(f"scales must be at least two, positive and ascending, got {scales!r}")
    if change.ndim != 2 or len(change) < 2 or change.shape[1] != len(s):
        raise ValueError(f"change must have shape (n ≥ 2, {len(s)}), got {change.shape}")
    validation.real("rounding", rounding, 0.0, np.inf)
    mean = change.mean(axis=0)
    used = np.logical_and.accumulate(mean < SMALL * mean.max()) & (mean > CLEAR * rounding)
    if used.any():
        used &= s >= s[used][-1] / WIDTH if largest else s <= WIDTH * s[used][0]
    if np.count_nonzero(used) < _LEAST or np.any(change[:, used] <= 0):
        return Order(Estimate(np.nan, np.nan, np.nan), np.nan, np.nan)
    x = np.log(s[used]) - np.log(s[used]).mean()
    return Order(mean_estimate(np.log(change[:, used]) @ x / (x @ x)), float(s[used][0]), float(s[used][-1]))


def return_order(dataset: xr.Dataset, horizon: int) -> Order:
    """Order of the return's swing at a horizon of `displacement_changes`."""
    one = dataset.sel(horizon=horizon)
    swing = one["return_swing"].transpose("direction", "scale").values
    return order(dataset["scale"].values, swing, rounding=float(one["return_rounding"]))


def loss_order(dataset: xr.Dataset) -> Order:
    """Order of the loss's excess in `displacement_changes`, at the scales nearest to that of the noise.

    At far smaller ones a network of rectifiers is linear between its kinks, and its curvature another, which may be
    negative.
    """
    excess = dataset["loss_excess"].transpose("direction", "scale").values
    return order(dataset["scale"].values, excess, rounding=float(dataset["loss_rounding"]), largest=True)

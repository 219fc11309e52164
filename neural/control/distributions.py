"""The distribution of an expert's return over initial conditions, for its mean action and for its drawn ones.

This is the paper's Figure 5, right: one number per expert hides whether it falls now and then. The initial conditions
are others than those an expert was chosen or reported on, the same for every expert and for both ways of acting.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from neural.control.experts import summarise
from neural.control.policies import MLPPolicy
from neural.control.rollout import EpisodeResults, collect, evaluate
from neural.control.tasks import Task
from neural.runs import atomic

DISTRIBUTION_SEEDS = tuple(range(100, 200))
"""The 100 initial conditions; none is used to choose an expert or for its reported return."""

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)

_COLUMNS = ("policy", "seed", "return", "length", "fallen")
_CHUNK = 32  # episodes whose observations are held at a time


def measure(
    policy: MLPPolicy,
    task: Task,
    seeds: Sequence[int] = DISTRIBUTION_SEEDS,
    *,
    noise_seed: int = 0,
    max_steps: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> xr.Dataset:
    """Returns of the deterministic and, where the policy has one, the stochastic policy from every seed.

    Args:
        seeds: of the initial conditions, E ≥ 1, each at least 0.
        noise_seed: of the drawn actions, at least 0; with an episode's seed it decides them.
        max_steps: environment steps per episode, at least 1; the task's limit unless given.
        progress: called with (episodes done, episodes in all).

    Returns:
        dims policy ("deterministic", "stochastic"), seed (E); variables return (float64), length (int64) and fallen.

    Raises:
        ValueError: naming the argument, its value and the allowed range.
    """
    kinds = ["deterministic", *(["stochastic"] if policy.stochastic else [])]
    total = len(kinds) * len(seeds)

    def report(before: int) -> Callable[[int, int], None]:
        return lambda done, _: progress(before + done, total) if progress else None

    parts = [[evaluate([policy], task, seeds, max_steps=max_steps, progress=report(0))]]
    if policy.stochastic:
        # `collect` keeps what it saw: a few episodes at a time, as their order does not matter to any of them.
        parts.append(
            [
                collect(
                    policy,
                    task,
                    seeds[first : first + _CHUNK],
                    stochastic=True,
                    noise_seed=noise_seed,
                    max_steps=max_steps,
                    progress=report(len(seeds) + first),
                ).results
                for first in range(0, len(seeds), _CHUNK)
            ]
        )
    return _dataset(kinds, list(seeds), parts).assign_attrs(task=task.id, noise_seed=noise_seed)


def _dataset(kinds: list[str], seeds: list[int], parts: list[list[EpisodeResults]]) -> xr.Dataset:
    def joined(name: str) -> np.ndarray:
        return np.stack([np.concatenate([getattr(results, name)[0] for results in one]) for one in parts])

    dims = ("policy", "seed")
    return xr.Dataset(
        {
            "return": (dims, joined("returns"), {"units": "reward", "long_name": "undiscounted sum of rewards"}),
            "length": (dims, joined("lengths"), {"units": "environment steps"}),
            "fallen": (dims, joined("fallen"), {"long_name": "terminated before the time limit"}),
        },
        coords={"policy": kinds, "seed": ("seed", seeds, {"long_name": "seed of the initial condition"})},
    )


def describe(dataset: xr.Dataset) -> dict[str, Any]:
    """What a card says of a measured distribution: for either way of acting, mean, interval, quantiles and falls."""
    seeds = dataset["seed"].values
    out: dict[str, Any] = {"seeds": f"{seeds.min()}-{seeds.max()}", "noise_seed": int(dataset.attrs["noise_seed"])}
    for kind in dataset["policy"].values:
        one = dataset.sel(policy=kind)
        returns = one["return"].values
        quantiles = {f"{q:g}": round(float(np.quantile(returns, q)), 1) for q in QUANTILES}
        out[str(kind)] = {**summarise(returns, one["fallen"].values), "return_quantiles": quantiles}
    return out


def save(path: Path | str, dataset: xr.Dataset) -> None:
    """Write a distribution as csv: one row per policy and seed, returns to a thousandth."""
    with atomic(path) as part, part.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(_COLUMNS)
        for kind in dataset["policy"].values:
            for seed in dataset["seed"].values:
                row = dataset.sel(policy=kind, seed=seed)
                writer.writerow(
                    [kind, seed, f"{float(row['return']):.3f}", int(row["length"]), int(row["fallen"])],
                )


def load(path: Path | str) -> xr.Dataset:
    """Read what `save` wrote.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is not such a table, naming the row.
    """
    kinds: dict[str, dict[int, tuple[float, int, bool]]] = {}
    with Path(path).open(newline="") as file:
        rows = csv.reader(file)
        if tuple(next(rows, ())) != _COLUMNS:
            raise ValueError(f"{path} must begin with the columns {', '.join(_COLUMNS)}")
        for number, row in enumerate(rows, 2):
            try:
                kind, seed, value, length, fallen = row
                kinds.setdefault(kind, {})[int(seed)] = (float(value), int(length), bool(int(fallen)))
            except ValueError as e:
                raise ValueError(f"{path}, line {number}: {e}") from e
    seeds = [list(one) for one in kinds.values()]
    if not seeds or any(one != seeds[0] for one in seeds):
        raise ValueError(f"{path} must hold the same seeds for every policy, and at least one")
    cells = [[np.array(values) for values in zip(*one.values(), strict=True)] for one in kinds.values()]
    dims = ("policy", "seed")
    return xr.Dataset(
        {name: (dims, np.stack([cell[i] for cell in cells])) for i, name in enumerate(_COLUMNS[2:])},
        coords={"policy": list(kinds), "seed": seeds[0]},
    )

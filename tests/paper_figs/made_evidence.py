"""A whole set of evidence, made up: every arm, spectrum, horizon and order, with numbers that are known."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import xarray as xr

from gvatheory.separation import growth_law, return_growth_law
from neural.control.curvature import NoiseSpectrum
from neural.predictions.arms import DEFAULT, SEED_SETS, SIZES, TASKS, Arm, arms, slug
from neural.predictions.horizons import HORIZONS
from neural.predictions.noise_spectra import to_dataset
from neural.predictions.orders import HORIZONS as ORDER_HORIZONS
from neural.predictions.orders import SCALES
from neural.runs import save_dataset
from neural.statistics import RAW
from tests.neural.test_predictions import CONSECUTIVE, LEVEL, SEEDS, SPACED, made

SPREAD, FLOOR = 1500.0, 0.05
"""Of the base's raw returns; of its losses."""
SIZE = dataclasses.replace(
    SIZES["standard"],
    steps=150 * SPACED,
    spacing=150,
    loss_every=100,
    every=100,
    consecutive=CONSECUTIVE,
    spaced=SPACED,
)
"""A tenth as long as the iterates of `made` say, for the exact laws to be quick; nothing compares the two."""
EXPONENTS: dict[str, float] = dict(zip(TASKS, (0.08, 0.15, -0.02, 0.05, 0.1), strict=True))
"""Largest exponent of the raw loop, by task."""


def evidence(directory: Path, without: tuple[str, ...] = (), shift: int = 0) -> Path:
    """A directory of evidence: all arms and what is measured after them, except kinds and arms named.

    Args:
        directory: where to.
        without: names of arms, or of measurements.
        shift: of the random numbers.
    """
    directory.mkdir(parents=True, exist_ok=True)
    for i, arm in enumerate(arms(SIZE, SEED_SETS["check"])):
        if arm.name in without:
            continue
        save_dataset(directory / f"{arm.slug}.nc", run_of(arm, i + shift))
        for what in set(arm.after) - set(without):
            parts = [_MEASURES[what](arm, np.random.default_rng([i + shift, k])) for k in range(SEEDS)]
            whole = xr.concat(parts, dim=xr.DataArray(list(SEED_SETS["check"]), dims="seed", name="seed"))
            save_dataset(directory / f"{slug(f'{arm.name} {what}')}.nc", whole)
    return directory


def noise_of(arm: Arm) -> float:
    """√(η/b) of an arm over that of the base, or for SGD of its own step size and batch."""
    schedule, learner = arm.experiment.schedule, arm.experiment.learner
    step = float(schedule.step_sizes(SIZE.steps)[-1])
    scale = 4e-3 if learner.optimiser == "adamw" else 0.4
    return float(np.sqrt(step / scale * 32 / learner.batch_size)) + 1e-3


def run_of(arm: Arm, seed: int = 0) -> xr.Dataset:
    """A run: returns of raw spread by `noise_of`, of every average a tenth of it; a third of raw's episodes fall."""
    names, noise = (RAW, *arm.experiment.evaluate), noise_of(arm)
    # `made` draws the same numbers for every average: all are at the mean, so averages differ in their spread alone.
    spreads = {name: noise * SPREAD * (1.0 if name == RAW else 0.1 + 0.01 * i) for i, name in enumerate(names)}
    losses = {name: FLOOR + 0.1 * noise**2 * (1.0 if name == RAW else 0.02 * i) for i, name in enumerate(names)}
    run = made(spreads, seed=seed, mean=3000.0, losses=losses)
    run["return"].loc[{"average": list(names[1:])}] += 1000.0
    rng = np.random.default_rng([7, seed])
    threshold = rng.standard_normal((*run["loss"].sel(average=RAW).shape, 1))
    fallen = threshold + 0.5 * rng.standard_normal((*threshold.shape[:2], run.sizes["episode"])) > 0.5
    run["fallen"].loc[{"average": RAW}] = fallen
    run["return"].loc[{"average": RAW}] -= 2000.0 * fallen
    updates, kept = np.arange(1, 25) * (SIZE.steps // 24), [RAW, *arm.experiment.bank]
    late = np.array([losses.get(name, FLOOR + 0.02 * noise**2) for name in kept])
    early = 0.3 * np.exp(-updates / 1500.0)[:, None]
    curve = np.broadcast_to(late + early, (SEEDS, len(updates), len(kept))) * rng.uniform(0.98, 1.02, (SEEDS, 1, 1))
    trace = 40.0 * curve[:, :, 0]
    return (
        run.assign_coords(update=updates, kept=kept, seed=list(SEED_SETS["check"]))
        .assign(
            update_loss=(("seed", "update", "kept"), curve),
            update_gradient_noise=(("seed", "update"), trace),
            update_gradient_square=(("seed", "update"), 0.01 * trace),
            loss=(run["loss"].dims, run["loss"].values * rng.uniform(0.95, 1.05, run["loss"].shape)),
        )
        .assign_attrs(config=json.dumps(arm.experiment.describe()))
    )


def _spectrum(arm: Arm, rng: np.random.Generator) -> xr.Dataset:
    adam = arm.experiment.learner.optimiser == "adamw"
    nodes = np.array([[0.01, 0.3, 20.0]]) * (10.0 if adam else 0.05)
    weights = np.array([[0.5, 0.5, 0.5]]) * rng.uniform(0.9, 1.1)
    momentum, factor = (0.9, 0.1) if adam else (0.0, 1.0)
    return to_dataset(NoiseSpectrum(nodes, weights, 0.0, momentum, factor, False, nodes[0], 1e-4 * weights[0]))


def _horizons(arm: Arm, rng: np.random.Generator) -> xr.Dataset:
    exponent, starts, iterates = EXPONENTS[arm.experiment.task], 5, 6
    pairs, steps = [RAW, DEFAULT, "raw, 1e-06 of the step"], np.arange(0, 301)
    size = np.minimum(np.exp(return_growth_law(exponent, HORIZONS)), 3e4)
    noise = rng.standard_normal((iterates, 2, starts, 1)) * np.array([1.0, 0.05])[:, None, None]
    grown = np.exp(np.concatenate([[-np.inf], growth_law(exponent, steps[1:])]))
    distance = np.minimum(1e-3 * grown * np.array([1.0, 0.1, 1e-6])[:, None], 1.0)
    loop = {"exponent": exponent, "exponent_low": exponent - 0.01, "exponent_high": exponent + 0.01}
    loop |= {"rate": exponent, "rate_low": exponent - 0.02, "rate_high": exponent + 0.02, "rate_last": 200}
    jitter = rng.normal(1.0, 0.05)
    return xr.Dataset(
        {
            "return": (("iterate", "average", "episode", "horizon"), 100.0 + noise * size),
            "distance": (("pair", "episode", "step"), np.repeat(distance[:, None], starts, axis=1)),
            "near_change": (("episode", "horizon"), 1e-3 * rng.standard_normal((starts, 1)) * size),
            **{name: ("pair", np.full(3, value) * (jitter if "rate" in name else 1)) for name, value in loop.items()},
        },
        {"average": [RAW, DEFAULT], "pair": pairs, "horizon": list(HORIZONS), "step": steps},
        {"level": 0.95, "task": arm.experiment.task, "steps": SIZE.steps},
    )


def _orders(arm: Arm, rng: np.random.Generator) -> xr.Dataset:
    scales, directions = np.array(SCALES), rng.uniform(0.5, 2.0, (6, 1))
    gain = 1e2 * np.array(ORDER_HORIZONS) ** 2
    swing = 1.0 / (1.0 / (directions[..., None] * scales[:, None] * gain) + 1.0 / LEVEL)
    return xr.Dataset(
        {
            "return_swing": (("direction", "scale", "horizon"), swing),
            "loss_excess": (("direction", "scale"), 0.05 * directions**2 * scales**2),
            "return_rounding": ("horizon", np.full(len(ORDER_HORIZONS), 1e-3)),
            "loss_rounding": 1e-17,
        },
        {"scale": scales, "horizon": list(ORDER_HORIZONS)},
        {"task": arm.experiment.task, "centre": DEFAULT, "spacing": 100},
    )


_MEASURES = {"spectrum": _spectrum, "horizons": _horizons, "orders": _orders}

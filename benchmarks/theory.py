"""Speed of the theory: simulation against a NumPy loop, exact laws against Monte Carlo, cells of sweeps per second.

    python -m benchmarks.theory [--out FILE]

Variants take turns, a speed is the median over the turns and a ratio the median of the ratios within a turn, so that
a change of the machine's load between turns hardly enters it. An update is one step of θ and of its average, for one
coordinate of one trial of one cell.
"""

import argparse
import json
import os
import platform
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np

import gvatheory as gva

DIMENSION, TRIALS, STEPS = 16, 512, 400
CELLS = 64  # step sizes of the grid
TURNS = 5
CURVATURE = np.geomspace(0.05, 1.0, DIMENSION)
STEP_SIZES = np.linspace(0.01, 0.9, CELLS)
GAMMA = 0.05


def seconds(call: Callable[[], object]) -> float:
    """Seconds of one call."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def numpy_loop(shared: bool, dtype: type = np.float64) -> np.ndarray:
    """SGD and its EMA over all cells at once; fresh normals for every cell, or the same for all."""
    rng = np.random.default_rng(0)
    cells, steps = (1, STEPS) if shared else (CELLS, STEPS)
    eta = STEP_SIZES[:, None, None].astype(dtype)
    decay = (1.0 - eta * CURVATURE).astype(dtype)
    theta = np.ones((CELLS, TRIALS, DIMENSION), dtype=dtype)
    average = theta.copy()
    for _ in range(steps):
        noise = rng.standard_normal((cells, TRIALS, DIMENSION), dtype=dtype)
        theta *= decay
        theta -= eta * noise
        average += dtype(GAMMA) * (theta - average)
    return average


def simulation(precision: Literal["float64", "float32"]) -> np.ndarray:
    """The package's simulation of the same cells, with noise shared among them."""
    schedules, averages = [gva.Constant(x) for x in STEP_SIZES], [gva.EMA(GAMMA)] * CELLS
    problem = gva.NoisyQuadratic(CURVATURE, 1.0)
    return gva.simulate_grid(problem, schedules, averages, STEPS, 1.0, TRIALS, 0, precision=precision)


def normals() -> Callable[[], object]:
    """As many normals as the simulation with shared noise draws, in float32, by JAX."""
    draw = jax.jit(lambda key: jax.random.normal(key, (STEPS * TRIALS * DIMENSION,), dtype=jnp.float32).sum())
    draw(jax.random.key(0)).block_until_ready()
    return lambda: draw(jax.random.key(0)).block_until_ready()


def exact_against_monte_carlo(error: float) -> dict[str, float]:
    """Time of the exact law over that of the Monte Carlo whose variance has relative standard error `error`."""
    problem, arguments = gva.NoisyQuadratic(CURVATURE, 1.0), (gva.PowerDecay(0.5, 0.5), gva.PowerEMA(0.7), 1000, 1.0)
    trials = int(2.0 / error**2)
    gva.exact_law(problem, *arguments)
    gva.simulate(problem, *arguments, 256, 0)
    exact = seconds(lambda: gva.exact_law(problem, *arguments))
    sampled = seconds(lambda: gva.simulate(problem, *arguments, trials, 0))
    return {"exact_s": exact, "monte_carlo_s": sampled, "ratio": sampled / exact}


def stationary_cell(step_size, gamma):
    """Variance of an EMA at stationarity."""
    law = gva.stationary_law(gva.NoisyQuadratic(1.0, 1.0), step_size, gva.EMA(gamma))
    return {"variance": law.covariance[0, 0]}


def finite_cell(step_size, gamma):
    """Variance of an EMA after 10,000 steps."""
    law = gva.exact_law(gva.NoisyQuadratic(1.0, 1.0), gva.Constant(step_size), gva.EMA(gamma), 10_000, 1.0)
    return {"variance": law.covariance[0, 0]}


def sweep_seconds(function: Callable[..., dict], per_axis: int) -> float:
    """Seconds of a whole sweep over per_axis² cells, compilation included."""
    axes = {"step_size": np.linspace(0.01, 1.9, per_axis), "gamma": np.linspace(0.01, 1.0, per_axis)}
    return seconds(lambda: gva.sweep(function, axes))


def measure() -> dict:
    """All measurements as one nested dictionary."""
    updates = CELLS * TRIALS * DIMENSION * STEPS
    variants: dict[str, Callable[[], object]] = {
        "numpy loop, noise per cell": lambda: numpy_loop(False),
        "numpy loop, shared noise": lambda: numpy_loop(True),
        "numpy loop, shared noise, float32": lambda: numpy_loop(True, np.float32),
        "simulate, float64": lambda: simulation("float64"),
        "simulate, float32": lambda: simulation("float32"),
        "normals alone, float32": normals(),
    }
    for call in variants.values():  # compiled before the clock starts
        call()
    times = {name: [] for name in variants}
    for _ in range(TURNS):
        for name, call in variants.items():
            times[name].append(seconds(call))
    reference = np.array(times["numpy loop, noise per cell"])
    out: dict = {
        "updates_per_s": {name: updates / float(np.median(t)) for name, t in times.items()},
        "times_the_numpy_loop": {name: float(np.median(reference / np.array(t))) for name, t in times.items()},
        "note": "normals alone: updates per second if drawing the shared noise were all there is to do",
    }
    runs = [exact_against_monte_carlo(0.01) for _ in range(TURNS)]
    out["exact_law_against_monte_carlo_at_1_percent"] = {k: float(np.median([r[k] for r in runs])) for k in runs[0]}
    out["stationary_sweep_of_1e6_cells_s"] = sweep_seconds(stationary_cell, 1000)
    out["finite_time_sweep_of_1e4_cells_s"] = sweep_seconds(finite_cell, 100)
    packages = {name: version(name) for name in ("numpy", "jax", "gvatheory")}
    out["machine"] = {"cores": os.cpu_count(), "platform": platform.platform(), **packages}
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description="Speed of the theory's simulations, exact laws and sweeps.")
    parser.add_argument("--out", type=Path, help="write the JSON here too")
    arguments = parser.parse_args()
    text = json.dumps(measure(), indent=2)
    print(text)
    if arguments.out is not None:
        arguments.out.write_text(text + "\n")


if __name__ == "__main__":
    main()

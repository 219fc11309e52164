"""Environment steps per second of closed-loop Walker2d-v4: this engine against gymnasium, with one and the same policy.

    python -m benchmarks.rollouts [--out FILE]

The policy is a 256x256 network that keeps the walker standing, so that every variant runs the same kind of steps in
episodes of equal length. The variants take turns; a speed is the median over the turns, and a ratio the median of the
ratios within a turn, so that a change of the machine's load between turns hardly enters it.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
import warnings
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from threadpoolctl import threadpool_limits

from neural.control.policies import MLPPolicy
from neural.control.rollout import evaluate
from neural.control.tasks import get_task

TASK = get_task("Walker2d-v4")
EPISODE = 100  # environment steps
TURNS = 3
SECONDS = 2.0  # per variant and turn, or one call of the engine where that takes longer


def standing_policy(width: int = 256) -> MLPPolicy:
    """A linear balancing controller inside a 17-width-width-6 network, the remaining units random and unread."""
    gains = np.zeros((17, 6))
    joints = np.arange(6)
    # Per joint of a leg (hip, knee, ankle), found by random search; both legs get the same.
    gains[2 + joints, joints] = -np.tile([5.5, 3.7, 1.5], 2)  # angle
    gains[11 + joints, joints] = -np.tile([0.17, 0.09, 0.17], 2)  # its velocity
    gains[1] = np.tile([-0.8, 2.2, -0.5], 2)  # the torso's pitch
    gains[10] = np.tile([0.05, -0.03, -0.1], 2)  # its velocity
    gains[8] = np.tile([0.24, 0.12, -1.8], 2)  # forward velocity
    rng = np.random.default_rng(0)
    w0 = rng.standard_normal((17, width)) / np.sqrt(17)
    w1 = rng.standard_normal((width, width)) / np.sqrt(width)
    w2 = np.zeros((width, 6))
    w0[:, :34] = np.hstack([np.eye(17), -np.eye(17)])  # both signs survive the rectifier
    w1[:, :34] = np.eye(width)[:, :34]
    w2[:34] = np.vstack([gains, -gains])
    zeros = (np.zeros(n, dtype=np.float32) for n in (width, width, 6))
    return MLPPolicy(tuple(w.astype(np.float32) for w in (w0, w1, w2)), tuple(zeros), output="identity")


def one_environment(policy: MLPPolicy) -> float:
    """Steps per second of one gymnasium environment, the policy called with one observation."""
    env = gymnasium.make(TASK.id)
    steps, start = 0, time.perf_counter()
    with threadpool_limits(1, user_api="blas"):
        while time.perf_counter() - start < SECONDS:
            obs, _ = env.reset(seed=steps)
            for _ in range(EPISODE):
                obs, *_ = env.step(np.clip(policy(obs[None])[0], -1.0, 1.0))
            steps += EPISODE
    return steps / (time.perf_counter() - start)


def vector_environment(policy: MLPPolicy, count: int) -> float:
    """Steps per second of gymnasium's SyncVectorEnv, the policy called with all observations."""
    env = gymnasium.vector.SyncVectorEnv([lambda: gymnasium.make(TASK.id)] * count)
    steps, start = 0, time.perf_counter()
    with threadpool_limits(1, user_api="blas"):
        while time.perf_counter() - start < SECONDS:
            obs, _ = env.reset(seed=steps)
            for _ in range(EPISODE):
                obs, *_ = env.step(np.clip(policy(obs), -1.0, 1.0))
            steps += EPISODE * count
    return steps / (time.perf_counter() - start)


def engine(policy: MLPPolicy, count: int) -> float:
    """Steps per second of `evaluate` with `count` episodes a call."""
    steps, start = 0, time.perf_counter()
    while time.perf_counter() - start < SECONDS:
        seeds = range(steps, steps + count)
        results = evaluate([policy], TASK, seeds, max_steps=EPISODE)
        if results.fallen.any():
            raise RuntimeError("the benchmark's policy fell: the variants no longer run the same steps")
        steps += int(results.lengths.sum())
    return steps / (time.perf_counter() - start)


def measure() -> dict[str, Any]:
    """Median speeds in environment steps per second, their ranges, and ratios to one gymnasium environment."""
    policy = standing_policy()
    variants: dict[str, Callable[[], float]] = {
        "gymnasium, one environment": lambda: one_environment(policy),
        "gymnasium SyncVectorEnv x20": lambda: vector_environment(policy, 20),
        "this engine x20": lambda: engine(policy, 20),
        "this engine x100": lambda: engine(policy, 100),
        "this engine x400": lambda: engine(policy, 400),
    }
    evaluate([policy], TASK, [0], max_steps=1)  # loads the model
    speeds = np.array([[run() for run in variants.values()] for _ in range(TURNS)])
    ratios = np.median(speeds / speeds[:, :1], axis=0)
    return {
        "task": TASK.id,
        "policy": "MLP 17-256-256-6",
        "episode_steps": EPISODE,
        "turns": TURNS,
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "versions": {package: version(package) for package in ("mujoco", "gymnasium", "numpy")},
        "results": {
            name: {
                "steps_per_second": round(float(np.median(speeds[:, i]))),
                "range": [round(float(speeds[:, i].min())), round(float(speeds[:, i].max()))],
                "ratio": round(float(ratios[i]), 2),
            }
            for i, name in enumerate(variants)
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Closed-loop environment steps per second of Walker2d-v4.")
    parser.add_argument("--out", type=Path, help="write the results there as JSON")
    out = parser.parse_args().out
    warnings.filterwarnings("ignore", category=DeprecationWarning)  # gymnasium asks to move on to v5
    report = measure()
    print(f"{'variant':30}{'steps/s':>10}{'range':>18}{'ratio':>8}")
    for name, row in report["results"].items():
        low, high = row["range"]
        print(f"{name:30}{row['steps_per_second']:>10,}{f'{low:,}-{high:,}':>18}{row['ratio']:>8.2f}")
    print(json.dumps(report))
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()

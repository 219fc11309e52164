"""Updates per second of behaviour cloning with a bank of averages: this project's loop against PyTorch's.

    python -m benchmarks.cloning [--out FILE] [--turns N]

Every variant trains the same network, 17-256-256-6 or 17-1024-1024-1024-6, on batches of 32 drawn from 100,000 pairs,
with AdamW. PyTorch runs eagerly with its fused AdamW and keeps one moving average (`AveragedModel`); its number of
threads is the better one of one and all, within each turn. The variants take turns; a speed is the median over the
turns, and a ratio the median of the ratios within a turn, so that a change of the machine's load between turns hardly
enters it.
"""

from __future__ import annotations

import itertools
import os
import platform
import time
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import numpy as np
import torch
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

import gvatheory as gva
from benchmarks.output import emit, options, summary
from neural.averages import rate_table
from neural.control.cloning import CloningRun
from neural.control.learner import Learner

NETWORKS = {"256x256": ((256, 256), 1500), "3x1024": ((1024, 1024, 1024), 60)}
"""Hidden layers, and updates per variant and turn."""
BATCH, PAIRS, STEP_SIZE, RATE = 32, 100_000, 1e-3, 0.001
TURNS = 7
BANKS = {
    "no average": {},
    "one average": {"EMA": gva.EMA(RATE)},
    "eight averages": {
        **{f"EMA {gamma}": gva.EMA(gamma) for gamma in (0.01, 0.003, 0.001)},
        **{f"power {alpha}": gva.PowerEMA(alpha) for alpha in (0.5, 2 / 3, 0.8)},
        "Polyak": gva.Polyak(),
        "Polyak, burnt in": gva.Polyak(1000),
    },
}


def pairs() -> tuple[np.ndarray, np.ndarray]:
    """Observations (PAIRS, 17) and actions (PAIRS, 6)."""
    rng = np.random.default_rng(0)
    return rng.normal(size=(PAIRS, 17)), np.tanh(rng.normal(size=(PAIRS, 6))).astype(np.float32)


def ours(hidden: tuple[int, ...], bank: dict[str, Any], updates: int) -> Callable[[], float]:
    """A function that makes `updates` more of them and returns its updates per second."""
    learner = Learner(hidden=hidden, batch_size=BATCH)
    run = CloningRun(learner, gva.Constant(STEP_SIZE), rate_table(bank, updates * 1000), *pairs())
    run.advance(updates)  # compiles

    def more() -> float:
        start = time.perf_counter()
        run.advance(updates)  # ends with a look at the iterate: nothing is left to be computed
        run.averages()
        return updates / (time.perf_counter() - start)

    return more


def theirs(hidden: tuple[int, ...], threads: int, updates: int) -> Callable[[], float]:
    """The same in PyTorch."""
    sizes = [17, *hidden, 6]
    layers = [torch.nn.Linear(n, m) for n, m in itertools.pairwise(sizes)]
    parts = [part for layer in layers for part in (layer, torch.nn.ReLU())][:-1]
    network = torch.nn.Sequential(*parts)
    average = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(1 - RATE))
    optimiser = torch.optim.AdamW(network.parameters(), lr=STEP_SIZE, weight_decay=0.0, fused=True)
    observations, actions = (torch.as_tensor(a, dtype=torch.float32) for a in pairs())

    def more() -> float:
        torch.set_num_threads(threads)
        start = time.perf_counter()
        for _ in range(updates):
            drawn = torch.randint(0, PAIRS, (BATCH,))
            loss = (network(observations[drawn]) - actions[drawn]).square().sum(dim=1).mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            average.update_parameters(network)
        return updates / (time.perf_counter() - start)

    more()
    return more


def measure(turns: int) -> dict[str, Any]:
    """Median speeds in updates per second, their ranges, and ratios, for each network."""
    results: dict[str, Any] = {}
    cores = os.cpu_count() or 1
    for name, (hidden, updates) in NETWORKS.items():
        variants = {f"ours, {kept}": ours(hidden, bank, updates) for kept, bank in BANKS.items()}
        peers = {f"PyTorch, {n} threads": theirs(hidden, n, updates) for n in sorted({1, cores})}
        speeds = np.array([[run() for run in (*variants.values(), *peers.values())] for _ in range(turns)])
        none, _, eight = speeds[:, : len(variants)].T
        peer = speeds[:, len(variants) :].max(axis=1)
        results[name] = {
            "updates_per_second": {
                variant: summary(v, None) for variant, v in zip((*variants, *peers), speeds.T, strict=True)
            },
            "eight averages / PyTorch": summary(eight / peer),
            "cost of eight averages": summary(none / eight - 1),
        }
    return {
        "batch_size": BATCH,
        "turns": turns,
        "cores": cores,
        "python": platform.python_version(),
        "versions": {package: version(package) for package in ("jax", "optax", "torch", "numpy")},
        "results": results,
    }


def main() -> None:
    arguments = options("Updates per second of behaviour cloning.", TURNS)
    report = measure(arguments.turns)
    for name, result in report["results"].items():
        print(f"{name:30}{'updates/s':>12}{'range':>18}")
        for variant, row in result["updates_per_second"].items():
            low, high = row["range"]
            print(f"  {variant:28}{row['median']:>12,}{f'{low:,}-{high:,}':>18}")
        for quotient in ("eight averages / PyTorch", "cost of eight averages"):
            print(f"  {quotient:28}{result[quotient]['median']:>12.2f}{result[quotient]['range']!s:>18}")
    emit(report, arguments.out)


if __name__ == "__main__":
    main()

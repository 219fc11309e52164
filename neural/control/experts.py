"""The experts that ship with the package, and how one is chosen from the checkpoints of a training run."""

from __future__ import annotations

import csv
import importlib.resources
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from neural.control.algorithms import title
from neural.control.policies import MLPPolicy, load_policy, save_policy
from neural.control.rollout import evaluate
from neural.control.tasks import Task, get_task
from neural.runs import atomic

SELECTION_SEEDS = tuple(range(1000, 1005))
"""Initial conditions on which checkpoints are compared."""

FINAL_SEEDS = tuple(range(1100, 1120))
"""Initial conditions on which the best few checkpoints are compared once more."""

REPORT_SEEDS = tuple(range(20))
"""The 20 fixed initial conditions of the reported return; not used for choosing."""


def asset(task: str, suffix: str = ".safetensors") -> Path:
    """Where the shipped expert of a task lies (it may not exist)."""
    return Path(str(importlib.resources.files("neural.control") / "assets" / f"{task.lower()}{suffix}"))


def load_expert(task: str, path: Path | str | None = None) -> tuple[MLPPolicy, dict[str, Any]]:
    """The shipped expert of a task, or the policy file at `path`, with its card.

    Raises:
        FileNotFoundError: if the task has no shipped expert or there is no such file.
        ValueError: if the file is not a policy.
    """
    if path is None:
        path = asset(task)
        if not path.is_file():
            raise FileNotFoundError(f"no expert ships for {task}; train one: gva expert train --task {task}")
    return load_policy(path)


def select(
    run: Path | str, out: Path | str, *, finalists: int = 5, progress: Callable[[int, int], None] | None = None
) -> dict[str, Any]:
    """Choose the expert among a training run's checkpoints and write it, its card and its curve.

    Every checkpoint plays `SELECTION_SEEDS`; the best few play `FINAL_SEEDS`; the best of those is the expert. Its
    reported return is over `REPORT_SEEDS`, which decided nothing.

    Args:
        run: directory left by `expert_training.train`.
        out: safetensors file to write; the curve goes beside it as _curve.csv.
        finalists: number of checkpoints compared twice, ≥ 1.
        progress: called with (episodes done, episodes in all) of the first comparison.

    Returns:
        The card.

    Raises:
        FileNotFoundError: if the run holds no checkpoint.
    """
    run, out = Path(run), Path(out)
    files = sorted((run / "checkpoints").glob("*.safetensors"))
    if not files:
        raise FileNotFoundError(f"no checkpoints in {run / 'checkpoints'}")
    origin = json.loads((run / "config.json").read_text())
    task = get_task(origin["config"]["task"])
    candidates = [load_policy(f) for f in files]
    policies = [policy for policy, _ in candidates]
    first = evaluate(policies, task, SELECTION_SEEDS, progress=progress).returns.mean(axis=1)
    best = np.argsort(-first)[:finalists]
    again = evaluate([policies[i] for i in best], task, FINAL_SEEDS).returns.mean(axis=1)
    chosen = int(best[np.argmax(again)])
    report = report_returns(policies[chosen], task)
    trained = max(card["step"] for _, card in candidates)
    algorithm = origin["config"].get("algorithm", "sac")
    settings = f"--task {task.id} --steps {trained} --seed {origin['config']['seed']}"
    settings += "" if algorithm == "sac" else f" --algorithm {algorithm}"
    card = {
        "task": task.id,
        "algorithm": title(algorithm),
        "checkpoint": {name: candidates[chosen][1][name] for name in ("kind", "step")},
        "steps_trained": trained,
        "training": origin,
        "selection": f"best of {len(files)} on {len(SELECTION_SEEDS)} seeds, then of {len(best)} on {len(FINAL_SEEDS)}",
        **report,
        "command": f"gva expert train {settings} && gva expert select",
    }
    save_policy(out, policies[chosen], card)
    _write_curve(out.with_name(out.stem + "_curve.csv"), [c for _, c in candidates], first)
    return card


def report_returns(policy: MLPPolicy, task: Task, seeds: Sequence[int] = REPORT_SEEDS) -> dict[str, Any]:
    """Deterministic returns over fixed initial conditions: mean, its 95 % bootstrap interval, spread, falls."""
    results = evaluate([policy], task, seeds)
    return {**summarise(results.returns[0], results.fallen[0]), "seeds": f"{min(seeds)}-{max(seeds)}"}


def summarise(returns: np.ndarray, fallen: np.ndarray) -> dict[str, Any]:
    """What a card says of E episodes: mean return, its 95 % bootstrap interval (10,000 resamples), spread, falls.

    Args:
        returns: (E,) undiscounted.
        fallen: (E,) bool.
    """
    resampled = np.random.default_rng(0).choice(returns, (10_000, len(returns))).mean(axis=1)
    low, high = np.percentile(resampled, [2.5, 97.5])
    return {
        "return_mean": round(float(returns.mean()), 1),
        "return_interval_95": [round(float(low), 1), round(float(high), 1)],
        "return_std": round(float(returns.std(ddof=1)), 1) if len(returns) > 1 else None,
        "return_min": round(float(returns.min()), 1),
        "episodes": len(returns),
        "fallen": int(fallen.sum()),
    }


def update_card(path: Path | str, entries: Mapping[str, Any]) -> dict[str, Any]:
    """Put entries into the card of a policy file, leaving the policy as it is, and return the new card.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is not a policy.
    """
    policy, card = load_policy(path)
    card = {**card, **entries}
    save_policy(path, policy, card)
    return card


def _write_curve(path: Path, cards: list[dict[str, Any]], returns: np.ndarray) -> None:
    rows = sorted((c["kind"], c["step"], float(r)) for c, r in zip(cards, returns, strict=True))
    with atomic(path) as part, part.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["kind", "step", f"mean return over {len(SELECTION_SEEDS)} episodes"])
        writer.writerows((kind, step, f"{value:.1f}") for kind, step, value in rows)

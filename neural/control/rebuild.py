"""A finished cloning run brought back from its directory, to look around its last iterate or to go on from it."""

from __future__ import annotations

import ast
import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

import gvatheory
from gvatheory import validation
from gvatheory.schedules import Schedule
from neural.averages import default_bank, rate_table
from neural.control.cloning import CloningRun
from neural.control.experiment import DEMONSTRATION_SEED, HELD_OUT_SEED
from neural.control.experts import load_expert
from neural.control.learner import Learner
from neural.control.policies import MLPPolicy
from neural.control.rollout import Demonstrations, collect
from neural.control.tasks import Task, get_task
from neural.runs import load_arrays

_SCHEDULES = {
    name: value for name, value in vars(gvatheory).items() if isinstance(value, type) and issubclass(value, Schedule)
}


@dataclasses.dataclass(frozen=True, eq=False)
class FinishedRun:
    """A run of cloning at its end.

    Attributes:
        task: what was cloned on.
        cloning: the run itself, at its last update; `advance` goes on past it.
        steps: updates of the run.
        averages: names of the bank's averages, in its order.
        train, held_out: the demonstrations.
    """

    task: Task
    cloning: CloningRun
    steps: int
    averages: tuple[str, ...]
    train: Demonstrations
    held_out: Demonstrations

    def policy(self, name: str = "raw") -> MLPPolicy:
        """The iterate ("raw") or an average as it now is.

        Raises:
            ValueError: if the bank has no such average.
        """
        if name not in ("raw", *self.averages):
            raise ValueError(f"average must be one of {['raw', *self.averages]}, got {name!r}")
        policy = self.cloning.policies([("raw", *self.averages).index(name)])[0]
        if not isinstance(policy, MLPPolicy):
            raise ValueError(f"only perceptrons are brought back, the run's network is a {type(policy).__name__}")
        return policy


def rebuild(directory: Path | str, *, beyond: int = 0) -> FinishedRun:
    """The run that left config.json and checkpoint.npz in `directory`, at its last update.

    Demonstrations are collected anew from their seeds. Going on past the end draws the batches that a longer run would
    draw; step sizes and averages go on by their own formulas (a tail average as that of a run of `beyond` updates
    more), so that the next iterates are those of a longer run wherever the formulas do not depend on its length.

    Args:
        directory: of the run.
        beyond: updates that can be made past the end, ≥ 0.

    Raises:
        FileNotFoundError: if the run, its end or its expert is missing.
        ValueError: if a file is damaged, the run did not reach its end, its expert is another one now, or its bank is
            not the default one, whose order the configuration does not tell.
    """
    validation.integer("beyond", beyond, 0)
    directory = Path(directory)
    for name in ("config.json", "checkpoint.npz"):
        if not (directory / name).is_file():
            raise FileNotFoundError(f"no {name} in {directory}: it is not the directory of a cloning run")
    config, bank = json.loads((directory / "config.json").read_text()), default_bank()
    if config["bank"] != {name: repr(average) for name, average in bank.items()}:
        raise ValueError(f"{directory} has a bank of its own, {sorted(config['bank'])}: only the default one is known")
    stored = load_arrays(directory / "checkpoint.npz")
    steps = config["steps"]
    if int(stored["t"]) != steps:
        raise ValueError(f"the run in {directory} stopped at update {int(stored['t'])} of {steps}: let it finish")
    expert, _ = load_expert(config["task"], config["expert"])
    if expert.fingerprint() != config["expert_sha256"]:
        raise ValueError(f"the expert of the run in {directory} is not the one that is there now")
    task = get_task(config["task"])
    train, held_out = (
        collect(
            expert,
            task,
            range(seed, seed + config[count]),
            stochastic=config["stochastic"],
            noise_seed=seed,
        )
        for seed, count in ((DEMONSTRATION_SEED, "episodes"), (HELD_OUT_SEED, "held_out"))
    )
    learner = Learner(**{**config["learner"], "hidden": tuple(config["learner"]["hidden"])})
    rates = np.concatenate([rate_table(bank, steps), rate_table(bank, steps + beyond)[steps:]])
    cloning = CloningRun(learner, parse_schedule(config["schedule"]), rates, train.observations, train.actions)
    cloning.restore(stored)
    return FinishedRun(task, cloning, steps, tuple(bank), train, held_out)


def parse_schedule(text: str) -> Schedule:
    """The schedule whose representation is `text`: a call of one of gvatheory's classes on plain values.

    Raises:
        ValueError: if it is anything else; nothing in it is executed.
    """
    try:
        return _parsed(ast.parse(text, mode="eval").body, _SCHEDULES)
    except (SyntaxError, ValueError, TypeError) as e:
        raise ValueError(f"schedule must be written as in Constant(step_size=0.004), got {text!r}: {e}") from e


def _parsed(node: ast.expr, classes: Mapping[str, type]) -> Any:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in classes:
        named = {word.arg: _parsed(word.value, classes) for word in node.keywords if word.arg is not None}
        return classes[node.func.id](*(_parsed(value, classes) for value in node.args), **named)
    if isinstance(node, ast.Tuple | ast.List):
        return tuple(_parsed(value, classes) for value in node.elts)
    return ast.literal_eval(node)

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
from gvatheory.averaging import RecursiveAverage
from gvatheory.schedules import Schedule
from neural.averages import default_bank, rate_table
from neural.control.cloning import CloningRun
from neural.control.design import CloningExperiment
from neural.control.experiment import demonstrations, side_by_side, state_of
from neural.control.experts import load_expert
from neural.control.learner import Learner
from neural.control.policies import MLPPolicy
from neural.control.rollout import Demonstrations
from neural.control.tasks import Task, get_task
from neural.runs import load_arrays


def _classes(of: type) -> dict[str, type]:
    return {k: v for k, v in vars(gvatheory).items() if isinstance(v, type) and issubclass(v, of)}


_SCHEDULES, _AVERAGES = _classes(Schedule), _classes(RecursiveAverage)


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
        assert isinstance(policy, MLPPolicy)  # `rebuild` brings back no other
        return policy


def rebuild(directory: Path | str, *, beyond: int = 0, seed: int | None = None) -> FinishedRun:
    """The run that left config.json and checkpoint.npz in `directory`, at its last update.

    Demonstrations are collected anew from their seeds. Going on past the end draws the batches that a longer run would
    draw; step sizes and averages go on by their own formulas (a tail average as that of a run of `beyond` updates
    more), so that the next iterates are those of a longer run wherever the formulas do not depend on its length.

    Args:
        directory: of the run.
        beyond: updates that can be made past the end, ≥ 0.
        seed: of the learner, for a run of several seeds; None for a run of one.

    Raises:
        FileNotFoundError: if the run, its end or its expert is missing.
        ValueError: if a file is damaged, the run did not reach its end, its expert is another one now, `seed` is not
            one of the run's, or it is one of seeds side by side, of fresh demonstrations or of a transformer, which
            are not brought back.
    """
    validation.integer("beyond", beyond, 0)
    directory = Path(directory)
    for name in ("config.json", "checkpoint.npz"):
        if not (directory / name).is_file():
            raise FileNotFoundError(f"no {name} in {directory}: it is not the directory of a cloning run")
    config = json.loads((directory / "config.json").read_text())
    experiment = experiment_of(config)
    odd = {"fresh": experiment.fresh, "architecture": experiment.learner.architecture}
    if (experiment.fresh, experiment.learner.architecture) != (None, "mlp"):
        raise ValueError(f"only a perceptron's run on fixed demonstrations can be rebuilt, got {odd}")
    if seed not in (experiment.seeds or (None,)):
        allowed = f"one of {list(experiment.seeds)}" if experiment.seeds else "None for a run of one seed"
        raise ValueError(f"seed must be {allowed}, got {seed}")
    stored = load_arrays(directory / "checkpoint.npz")
    if int(stored["t"]) != experiment.steps:
        raise ValueError(f"the run in {directory} stopped at update {stored['t']} of {experiment.steps}: let it finish")
    expert, _ = load_expert(experiment.task, experiment.expert)
    if expert.fingerprint() != config["expert_sha256"]:
        raise ValueError(f"the expert of the run in {directory} is not the one that is there now")
    train, held_out = demonstrations(experiment, expert)
    learner, bank, steps = experiment.learner, experiment.bank, experiment.steps
    if seed is not None:
        if side_by_side(experiment, train):
            raise ValueError(f"seeds trained side by side cannot be taken apart, got {list(experiment.seeds)}")
        learner = dataclasses.replace(learner, seed=seed)
    rates = np.concatenate([rate_table(bank, steps), rate_table(bank, steps + beyond)[steps:]])
    cloning = CloningRun(learner, experiment.schedule, rates, train.observations, train.actions, train.step)
    cloning.restore(state_of(stored, 0 if seed is None else experiment.seeds.index(seed)))
    return FinishedRun(get_task(experiment.task), cloning, steps, tuple(bank), train, held_out)


def experiment_of(config: Mapping[str, Any]) -> CloningExperiment:
    """The experiment that a run's config.json describes; what else is in it is left aside.

    Raises:
        ValueError: if it describes none.
    """
    names = {field.name for field in dataclasses.fields(CloningExperiment)}
    try:
        fields = {name: _plain(value) for name, value in config.items() if name in names}
        order = config.get("bank_order", list(default_bank()))
        fields["bank"] = {name: _called(config["bank"][name], _AVERAGES) for name in order}
        fields["schedule"] = parse_schedule(config["schedule"])
        fields["learner"] = Learner(**{name: _plain(value) for name, value in config["learner"].items()})
        return CloningExperiment(**fields)
    except (KeyError, TypeError) as e:
        raise ValueError(f"the configuration describes no cloning run: {e}") from e


def _plain(value: Any) -> Any:
    return tuple(map(_plain, value)) if isinstance(value, list) else value


def parse_schedule(text: str) -> Schedule:
    """The schedule whose representation is `text`: a call of one of gvatheory's classes on plain values.

    Raises:
        ValueError: if it is anything else; nothing in it is executed.
    """
    return _called(text, _SCHEDULES)


def _called(text: str, classes: Mapping[str, type]) -> Any:
    try:
        return _parsed(ast.parse(text, mode="eval").body, classes)
    except (SyntaxError, ValueError, TypeError) as e:
        raise ValueError(f"must be written as in {min(classes)}(...) with plain values, got {text!r}: {e}") from e


def _parsed(node: ast.expr, classes: Mapping[str, type]) -> Any:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in classes:
        named = {word.arg: _parsed(word.value, classes) for word in node.keywords if word.arg is not None}
        return classes[node.func.id](*(_parsed(value, classes) for value in node.args), **named)
    if isinstance(node, ast.Tuple | ast.List):
        return tuple(_parsed(value, classes) for value in node.elts)
    return ast.literal_eval(node)

"""What an intervention is: changes of a base experiment, written as data relative to that base.

A catalogue serves base experiments of any size, so lengths and step sizes in it are multiples of the base's own:
`Times` a number, `Layers` of so many widths, a schedule or an average `Of` such numbers. `apply` turns them into an
experiment.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from gvatheory import validation
from neural.control.design import CloningExperiment

REFERENCE = "reference"
"""Name, in a base experiment's bank, of the average that is compared with the raw iterate unless one is named."""

BASE = "base"
"""Name and family of the intervention that changes nothing."""


@dataclasses.dataclass(frozen=True)
class Times:
    """A number of the base experiment times a factor; where the number is an integer, rounded and at least 1.

    Attributes:
        factor: ≥ 0.
        of: dotted path, such as "steps" or "schedule.step_size"; keys of a mapping count as attributes.
    """

    factor: float
    of: str

    def __post_init__(self) -> None:
        validation.real("factor", self.factor, 0.0, np.inf)

    def resolve(self, base: CloningExperiment) -> Any:
        """The number, for this base.

        Raises:
            ValueError: if the base has no number of that name.
        """
        value: Any = base
        for name in self.of.split("."):
            value = value.get(name) if isinstance(value, Mapping) else getattr(value, name, None)
        if not isinstance(value, (int, float)):
            raise ValueError(f"of must name a number of the base experiment, got {self.of!r}, which is {value!r}")
        return max(round(self.factor * value), 1) if isinstance(value, int) else self.factor * value

    def __str__(self) -> str:
        return f"{self.factor:.4g} x {self.of}"


@dataclasses.dataclass(frozen=True)
class Layers:
    """Hidden layers whose widths are multiples of the base's first one.

    Attributes:
        factors: > 0, one per layer.
    """

    factors: tuple[float, ...]

    def resolve(self, base: CloningExperiment) -> tuple[int, ...]:
        """The widths, for this base."""
        return tuple(max(round(factor * base.learner.hidden[0]), 1) for factor in self.factors)

    def __str__(self) -> str:
        return f"({', '.join(f'{factor:g}' for factor in self.factors)}) widths"


@dataclasses.dataclass(frozen=True)
class Of:
    """A schedule or an average made of parameters that may themselves be relative to the base.

    Attributes:
        make: what is called, with the resolved parameters by name.
        parameters: name and value of each.
    """

    make: Callable[..., Any]
    parameters: tuple[tuple[str, Any], ...]

    def resolve(self, base: CloningExperiment) -> Any:
        """The schedule or average, for this base."""
        return self.make(**{name: resolved(value, base) for name, value in self.parameters})

    def __str__(self) -> str:
        inside = ", ".join(f"{name}={_words(value)}" for name, value in self.parameters)
        return f"{getattr(self.make, '__name__', self.make)}({inside})"


def of(make: Callable[..., Any], **parameters: Any) -> Of:
    """`Of` in the notation of a call."""
    return Of(make, tuple(parameters.items()))


def resolved(value: Any, base: CloningExperiment) -> Any:
    """A value that may be relative to the base, made absolute."""
    if isinstance(value, Times | Layers | Of):
        return value.resolve(base)
    return tuple(resolved(item, base) for item in value) if isinstance(value, tuple) else value


def _words(value: Any) -> str:
    if isinstance(value, tuple):
        return f"({', '.join(map(_words, value))})"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


@dataclasses.dataclass(frozen=True)
class Intervention:
    """One change of a base experiment.

    Attributes:
        family: data, architecture, scale, regularisation, optimisation, loss, schedule, batch, averaging, combination.
        name: unique in the catalogue, in words.
        reason: what it tests, in a line.
        predictions: ids of the predictions N1 to N10 that it bears on.
        changes: dotted field of `CloningExperiment` and new value of each.
        average: what is compared with the raw iterate; None for the base's reference average. It changes no training:
            interventions that agree in `changes` share a run, whose bank holds the average of each.
    """

    family: str
    name: str
    reason: str
    predictions: tuple[str, ...]
    changes: tuple[tuple[str, Any], ...] = ()
    average: Of | None = None

    @property
    def average_name(self) -> str:
        """Name of its average in the bank of the run."""
        return REFERENCE if self.average is None else self.name

    def describe(self) -> str:
        """The changes in words."""
        parts = [f"{name} = {_words(value)}" for name, value in self.changes]
        if self.average is not None:
            parts.append(f"average = {self.average}")
        return "; ".join(parts) or "none"


def apply(intervention: Intervention, base: CloningExperiment) -> CloningExperiment:
    """The base experiment with the intervention's changes, and its average in the bank beside the reference.

    Raises:
        ValueError: if the base lacks the reference average, a change names no field of an experiment, or the outcome is
            not a valid experiment.
    """
    if REFERENCE not in base.bank:
        raise ValueError(f"bank of the base experiment must hold {REFERENCE!r}, it holds {list(base.bank)}")
    whole: dict[str, Any] = {}
    learner: dict[str, Any] = {}
    known = {f.name for f in dataclasses.fields(base)}
    of_learner = {f"learner.{f.name}" for f in dataclasses.fields(base.learner)}
    for name, value in intervention.changes:
        if name not in (known - {"learner", "bank", "evaluate"}) | of_learner:
            raise ValueError(f"changes must name fields of an experiment, got {name!r} in {intervention.name!r}")
        target = learner if name in of_learner else whole
        target[name.removeprefix("learner.")] = resolved(value, base)
    bank = {REFERENCE: base.bank[REFERENCE]}
    if intervention.average is not None:
        bank[intervention.average_name] = resolved(intervention.average, base)
    return dataclasses.replace(
        base,
        **whole,
        learner=dataclasses.replace(base.learner, **learner),
        bank=bank,
        evaluate=(intervention.average_name,),
    )


def training_fingerprint(experiment: CloningExperiment) -> str:
    """A digest of all that shapes the training: equal for experiments that differ in the bank or in inert fields alone.

    Schedules are compared by their step sizes, so that two ways of writing one schedule are the same training.
    """
    description = experiment.describe()
    for name in ("bank", "bank_order", "evaluate", "schedule"):
        description.pop(name, None)
    learner = description["learner"]
    if learner["optimiser"] in ("heavy ball", "nesterov") and learner["momentum"] == 0.0:
        learner["optimiser"] = "sgd"
    if learner["optimiser"] in ("adamw", "sgd"):
        del learner["momentum"]
    if learner["loss"] != "huber":
        del learner["huber_width"]
    return _digest(json.dumps(description, sort_keys=True), experiment.schedule.step_sizes(experiment.steps))


def fingerprint(experiment: CloningExperiment) -> str:
    """As `training_fingerprint`, and of the averages that are rolled out, compared by their rates."""
    rates = [experiment.bank[name].rates(experiment.steps) for name in experiment.evaluate]
    return _digest(training_fingerprint(experiment), *rates)


def _digest(text: str, *arrays: np.ndarray) -> str:
    """Sixteen hexadecimal digits; the arrays count in the float32 in which a run uses them."""
    digest = hashlib.sha256(text.encode())
    for array in arrays:
        digest.update(np.asarray(array).astype(np.float32).tobytes())
    return digest.hexdigest()[:16]

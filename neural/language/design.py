"""What a language experiment is: the run, and what is measured of it when. `experiment.run` carries it out.

Losses are measured all along; continuations of fixed prompts at the last iterates, one by one ("consecutive"), and at
ones further apart ("spaced"), each for the iterate itself and for chosen averages.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from gvatheory import validation
from gvatheory.averaging import RecursiveAverage
from gvatheory.composed_schedules import Warmup
from gvatheory.schedules import Constant, Schedule
from neural.averages import Bank, default_bank
from neural.language.models import ModelSpec
from neural.language.pretraining import Trainer
from neural.probes import Windows, multiples, probe_sets, require_kept, require_probes
from neural.spelling import in_words, spell_average, spell_schedule

LATE = "power 2/3, burn-in 5000"


def language_bank() -> dict[str, RecursiveAverage]:
    """The default bank without the average whose burn-in is longer than a short run."""
    return {name: average for name, average in default_bank().items() if name != LATE}


@dataclasses.dataclass(frozen=True)
class LanguageExperiment:
    """A run of training and what is measured of it.

    Attributes:
        model: what is trained; its context is the length of a window.
        trainer: batches, optimiser, seed.
        schedule: step sizes.
        bank: averages kept, by name; may be empty.
        steps: updates T.
        evaluate: names of the averages that continue prompts; the raw iterate always does.
        consecutive, spaced, spacing, every, windows: iterates that continue prompts, as in a cloning experiment: the
            last ones; ones further apart; multiples; stretches (first, last).
        loss_every: losses of the iterate and of the whole bank, and the gradient's noise, are measured at multiples of
            this, ≥ 1; None for not at all.
        validation: windows of the validation loss, ≥ 2, always the same ones.
        noise: training windows whose gradients are compared for the noise scale, ≥ 3, or 0 for none.
        prompts: beginnings of held-out stories to be continued, ≥ 2.
        prompt_length: of each, ≥ 1, in the language's unit (tokens of text, sentences of the grammar).
        continuation: tokens added to each, ≥ 1.
        temperature: of sampled continuations, > 0; the random numbers are the same for all models. None for greedy
            ones alone.
    """

    model: ModelSpec
    trainer: Trainer = dataclasses.field(default_factory=Trainer)
    schedule: Schedule = dataclasses.field(default_factory=lambda: Warmup(Constant(3e-3), 100))
    bank: Bank = dataclasses.field(default_factory=language_bank)
    steps: int = 1500
    evaluate: tuple[str, ...] = ("EMA 0.01", "EMA 0.003", "power 2/3", "Polyak")
    consecutive: int = 20
    spaced: int = 6
    spacing: int = 200
    every: int | None = None
    windows: Windows = ()
    loss_every: int | None = 50
    validation: int = 32
    noise: int = 8
    prompts: int = 32
    prompt_length: int = 4
    continuation: int = 150
    temperature: float | None = 1.0

    def __post_init__(self) -> None:
        require_probes(*self._probing())
        if self.loss_every is not None:
            validation.integer("loss_every", self.loss_every, 1, self.steps)
        require_kept("evaluate", self.evaluate, self.bank)
        for name, low in (("validation", 2), ("prompts", 2), ("prompt_length", 1)):
            validation.integer(name, getattr(self, name), low)
        validation.integer("continuation", self.continuation, 1, self.model.context - 1)
        validation.integer("noise", self.noise, 0)
        if 0 < self.noise < 3:
            raise ValueError(f"noise must be 0 or at least 3, got {self.noise}")
        if self.temperature is not None:
            validation.positive("temperature", self.temperature)

    def _probing(self) -> tuple[int, int, int, int, int | None, Windows]:
        return self.steps, self.consecutive, self.spaced, self.spacing, self.every, self.windows

    def probes(self) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Iterates that continue prompts, ascending and up to the last, and for each set by name which belong to it."""
        at, sets = probe_sets(*self._probing())
        if at[-1] == self.steps:
            return at, sets
        # The last iterate always: it is the one whose models are kept.
        return np.append(at, self.steps), {name: np.append(members, False) for name, members in sets.items()}

    def loss_probes(self) -> np.ndarray:
        """Update counts at which losses are measured besides, ascending; may be empty."""
        return multiples(self.loss_every, self.steps)

    def members(self) -> list[int]:
        """Places of what continues prompts: 0 for the iterate, 1.. for averages of the bank."""
        names = list(self.bank)
        return [0, *(1 + names.index(name) for name in self.evaluate)]

    def describe(self) -> dict[str, Any]:
        """The configuration as JSON can hold it; schedules and averages in words where they have them."""
        out = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        out["model"], out["trainer"] = dataclasses.asdict(self.model), dataclasses.asdict(self.trainer)
        out["schedule"] = in_words(spell_schedule, self.schedule)
        # A list, because the order of an object's entries may be lost in a file.
        out["bank"] = [[name, in_words(spell_average, average)] for name, average in self.bank.items()]
        return out

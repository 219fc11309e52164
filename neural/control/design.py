"""What a cloning experiment is: the run, and what is measured of it when. `experiment.run` carries it out.

Returns are measured at two sets of iterates: the last ones, one by one ("consecutive"), and ones spaced further apart
than the averages remember ("spaced"). Inside a window an average is smooth by construction; the spaced spread and the
mean are the fair test. More iterates can be asked for, and losses, which cost less, at more of them.
"""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import numpy as np

from gvatheory import validation
from gvatheory.averaging import RecursiveAverage
from gvatheory.schedules import Constant, Schedule
from neural.averages import Bank, default_bank
from neural.control.learner import Learner
from neural.probes import Windows, multiples, probe_sets, require_kept, require_probes

_LEARNER_ONLY = {"mlp": ("architecture", "window", "width", "heads", "layers"), "transformer": ("hidden",)}
"""Options of the learner that its architecture does not have (or, for the first one ever, need not name)."""
_ADDED = ("action_noise", "demonstrations", "every", "windows", "loss_every", "seeds", "fresh", "snapshots", "stored")
"""Options that are left out of a description where they have their default, so that older runs go on."""


@dataclasses.dataclass(frozen=True)
class CloningExperiment:
    """A run of behaviour cloning and what is measured of it.

    Attributes:
        task: gymnasium id.
        expert: policy file, or None for the shipped expert.
        episodes: expert episodes to clone, ≥ 1 (1,000 pairs each if the expert does not fall).
        held_out: further expert episodes for the held-out loss, ≥ 1.
        stochastic: demonstrations are drawn from the expert's stochastic policy, as SAC trained it, not from its
            deterministic mean; the loss then has a floor, the variance of the expert's own actions.
        action_noise: standard deviation of Gaussian noise on the actions that the expert executes while it
            demonstrates, ≥ 0, in units of the action; the recorded ones are free of it (Laskey et al. 2017, DART).
        demonstrations: directory of a stored set (`demonstrations`) to clone, whoever made it; its last `held_out`
            episodes are held out. None to have the expert demonstrate, as the four options above say.
        learner: network, batches, seed.
        schedule: step sizes.
        bank: averages kept, by name; may be empty.
        steps: updates T.
        evaluate: names of the averages that are rolled out; the raw iterate always is.
        consecutive: number of last iterates rolled out one by one, ≥ 0.
        spaced: number of iterates rolled out further apart, the last of them T, ≥ 0.
        spacing: updates between those, ≥ 1.
        rollouts: episodes per policy, ≥ 1; the same initial conditions for all.
        rollout_steps: environment steps per episode, at most; None for the task's limit.
        every: iterates whose update count is a multiple of this are rolled out too, ≥ 1; None for no more.
        windows: (first, last) update counts, 1 ≤ first ≤ last ≤ T, between which every iterate is rolled out too.
        loss_every: losses of the iterate and of the whole bank, and the gradient's noise, are measured at multiples of
            this, ≥ 1, whether or not they are rolled out; None for not at all.
        seeds: learner seeds to run, in place of the learner's own; all clone the same demonstrations. None if empty.
        fresh: updates after which new expert episodes take the place of those cloned so far, ≥ 1; None for never.
        snapshots: averages are stored at multiples of this, ≥ 1, so that others can be rebuilt from them (`snapshots`);
            None for never.
        stored: names of the averages that are stored.
    """

    task: str = "Walker2d-v4"
    expert: str | None = None
    episodes: int = 100
    held_out: int = 10
    stochastic: bool = True
    action_noise: float = 0.0
    demonstrations: str | None = None
    learner: Learner = dataclasses.field(default_factory=Learner)
    schedule: Schedule = dataclasses.field(default_factory=lambda: Constant(4e-3))
    bank: Bank = dataclasses.field(default_factory=default_bank)
    steps: int = 33_000
    evaluate: tuple[str, ...] = ("EMA 0.01", "EMA 0.001", "power 2/3", "Polyak")
    consecutive: int = 40
    spaced: int = 18
    spacing: int = 1_500
    rollouts: int = 10
    rollout_steps: int | None = None
    every: int | None = None
    windows: Windows = ()
    loss_every: int | None = None
    seeds: tuple[int, ...] = ()
    fresh: int | None = None
    snapshots: int | None = None
    stored: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("episodes", "held_out", "rollouts"):
            validation.integer(name, getattr(self, name), 1)
        validation.real("action_noise", self.action_noise, 0.0, np.inf)
        require_probes(*self._probing())
        if self.rollout_steps is not None:
            validation.integer("rollout_steps", self.rollout_steps, 1)
        for name in ("loss_every", "fresh", "snapshots"):
            if getattr(self, name) is not None:
                validation.integer(name, getattr(self, name), 1, self.steps)
        if self.demonstrations is not None and self.fresh is not None:
            raise ValueError(f"fresh must not be given for stored demonstrations, got {self.fresh}")
        for i, seed in enumerate(self.seeds):
            validation.integer(f"seeds[{i}]", seed, 0)
        for name in ("evaluate", "stored"):
            require_kept(name, getattr(self, name), self.bank)
        # The kernel of a stored average must not depend on where the run ends, which lies ahead of it.
        ahead = [name for name in self.stored if _looks_ahead(self.bank[name], self.steps)]
        if ahead:
            raise ValueError(f"stored must name averages that do not look ahead to the end of the run, got {ahead}")
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError(f"seeds must not repeat themselves, got {list(self.seeds)}")
        if bool(self.stored) != (self.snapshots is not None):
            raise ValueError(f"snapshots and stored must be given together, got {self.snapshots} and {self.stored}")

    def probes(self) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Iterates to roll out, ascending, and for each set of them, by name, which belong to it."""
        return probe_sets(*self._probing())

    def _probing(self) -> tuple[int, int, int, int, int | None, Windows]:
        return self.steps, self.consecutive, self.spaced, self.spacing, self.every, self.windows

    def loss_probes(self) -> np.ndarray:
        """Update counts at which losses are measured besides, ascending; may be empty."""
        return multiples(self.loss_every, self.steps)

    def snapshot_times(self) -> np.ndarray:
        """Update counts at which averages are stored, ascending; may be empty."""
        return multiples(self.snapshots, self.steps)

    def describe(self) -> dict[str, Any]:
        """The configuration as JSON-able values."""
        fields = {f.name: f for f in dataclasses.fields(self)}
        out = {name: getattr(self, name) for name in fields}
        for name in _ADDED:
            if out[name] == fields[name].default:
                del out[name]
        learner = dataclasses.asdict(self.learner)
        out["learner"] = {k: v for k, v in learner.items() if k not in _LEARNER_ONLY[self.learner.architecture]}
        out["schedule"] = repr(self.schedule)
        out["bank"] = {name: repr(average) for name, average in self.bank.items()}
        if list(self.bank) != list(default_bank()):  # an object's order may be lost in a file
            out["bank_order"] = list(self.bank)
        return json.loads(json.dumps(out))


def _looks_ahead(average: RecursiveAverage, steps: int) -> bool:
    """Whether the average's rates change with the length of the run."""
    try:
        return not np.array_equal(average.rates(steps), average.rates(2 * steps)[:steps])
    except ValueError:  # too short for the average
        return True

"""The cloning runs that the predictions are judged by: one experiment per arm, each of several learner seeds.

The base regime is AdamW at a constant step size, large enough for returns to swing; every other arm changes one thing
of it. All seeds of an arm clone the same demonstrations and are rolled out from the same initial conditions, as are
all arms of a task, so that arms are compared pairwise.
"""

from __future__ import annotations

import dataclasses
import re
from typing import Any

from gvatheory.averaging import EMA, Polyak, PowerEMA, Tail
from gvatheory.schedules import Constant
from neural.averages import Bank
from neural.control.catalogue import TASKS, catalogue
from neural.control.catalogue_terms import REFERENCE, apply
from neural.control.design import CloningExperiment
from neural.control.learner import Learner

SEED_SETS: dict[str, tuple[int, ...]] = {"verdict": tuple(range(20, 28)), "check": tuple(range(10, 15))}
"""Learner seeds: verdicts are given from the first set, and the second must not contradict them.

The second was run first, and looked at before the last change of a criterion; none of the first set was.
"""

RATES = (0.03, 0.01, 3e-3, 1e-3, 3e-4, 1e-4)
"""γ of the constant-rate averages; 1e-3 and 1e-4 are the decays 0.999 and 0.9999 that people use."""
POWERS = {"power 1/2": 0.5, "power 0.6": 0.6, "power 2/3": 2 / 3, "power 0.8": 0.8, "power 0.9": 0.9}
LATE = ", second half"
"""Ends the name of an average that begins at half of the run."""
DEFAULT = "EMA 0.001"
"""The average that is rolled out in every arm."""

LEAVE = (
    "episodes x 1/4",
    "episodes x 4",
    "2 hidden layers",
    "tanh",
    "width x 1/4",
    "width x 2",
    "weight decay 0.1",
    "dropout 0.1",
    "input noise 0.03",
    "Huber loss 0.1",
)
"""Interventions of the catalogue that do not reduce the variance of the gradient or of its average (N7)."""
DECAYS = ("linear to 0", "cosine to 0", "stable, then 1/5 cool-down")
"""Step sizes that end at zero (N6, N7)."""
BATCHES = ("batch x 4", "batch x 16")
"""Larger batches (N1, N7)."""
STEPS = ("step x 1/4", "step x 1/16")
"""Smaller steps (N1)."""
SGD_STEPS = (0.05, 0.1, 0.2, 0.4)
"""Step sizes of plain SGD at the base's batch (N1)."""
SGD_BATCHES = ((0.1, 1 / 4), (0.1, 4.0), (0.4, 4.0))
"""(step size, batch in multiples of the base's) of plain SGD (N1); the last is the second's ratio η/b again."""


@dataclasses.dataclass(frozen=True)
class Size:
    """How large the runs are.

    Attributes:
        steps, episodes, held_out, consecutive, spaced, spacing, rollouts, loss_every: as in `CloningExperiment`.
        every: distance of the looks at the losses where gradient noise along training is wanted.
        tasks: gymnasium ids; the first one has all arms, the others the base and few rollouts.
        few: (consecutive iterates, spaced iterates, rollouts) of tasks whose physics is slow.
        seeds: most seeds of a set that are run, ≥ 2.
        promise: what that takes.
    """

    steps: int
    episodes: int
    held_out: int
    consecutive: int
    spaced: int
    spacing: int
    rollouts: int
    loss_every: int
    every: int
    tasks: tuple[str, ...]
    few: tuple[int, int, int]
    seeds: int
    promise: str


SIZES = {
    "quick": Size(4_000, 40, 5, 6, 4, 800, 4, 2_000, 200, TASKS[:2], (4, 3, 3), 2, "a small part of standard"),
    "standard": Size(20_000, 100, 5, 16, 8, 1_500, 6, 2_000, 500, TASKS, (8, 5, 4), 8, "hours on two cores"),
}


@dataclasses.dataclass(frozen=True)
class Arm:
    """One experiment of several seeds.

    Attributes:
        name: unique.
        predictions: ids of those that read it.
        experiment: what is run.
        after: what is measured of its runs when they are finished, by the names of `after.MEASURES`.
    """

    name: str
    predictions: tuple[str, ...]
    experiment: CloningExperiment
    after: tuple[str, ...] = ()

    @property
    def slug(self) -> str:
        """The name as that of a file."""
        return slug(self.name)


def slug(name: str) -> str:
    """An arm's name as that of a file."""
    return re.sub(r"[^a-z0-9.]+", "-", name.lower()).strip("-")


def bank(steps: int) -> Bank:
    """The averages kept on every run."""
    half = steps // 2
    powers = {name: PowerEMA(alpha) for name, alpha in POWERS.items()}
    late = {name + LATE: PowerEMA(POWERS[name], burn_in=half) for name in ("power 2/3", "power 0.8")}
    return {
        **{f"EMA {rate:g}": EMA(rate) for rate in RATES},
        **powers,
        "Polyak": Polyak(),
        **late,
        "Polyak" + LATE: Polyak(burn_in=half),
        "tail 0.2": Tail(0.2),
    }


ROLLED_OUT = (
    *(f"EMA {rate:g}" for rate in RATES),
    "power 1/2",
    "power 2/3",
    "power 0.8",
    "Polyak",
    "power 2/3" + LATE,
    "power 0.8" + LATE,
    "Polyak" + LATE,
)
"""Averages rolled out where averages are compared."""
ROLLED_OUT_FEW = ("EMA 0.01", "EMA 0.003", "EMA 0.001", "EMA 0.0003", "EMA 0.0001", "power 2/3", "Polyak")
"""The same where fewer have to do."""
SLOW = ("Ant-v4", "Humanoid-v4")


def base(size: Size, task: str, seeds: tuple[int, ...]) -> CloningExperiment:
    """The base regime on a task; the default average alone is rolled out."""
    return CloningExperiment(
        task=task,
        episodes=size.episodes,
        held_out=size.held_out,
        learner=Learner(hidden=(256, 256, 256), batch_size=32),
        schedule=Constant(4e-3),
        bank=bank(size.steps),
        steps=size.steps,
        evaluate=(DEFAULT,),
        consecutive=size.consecutive,
        spaced=size.spaced,
        spacing=size.spacing,
        rollouts=size.rollouts,
        loss_every=size.loss_every,
        seeds=seeds,
    )


def _intervened(name: str, own: CloningExperiment) -> CloningExperiment:
    """The catalogue's intervention of that name on an experiment, with the experiment's own bank."""
    (found,) = (i for i in catalogue() if i.name == name)
    changed = apply(found, dataclasses.replace(own, bank={REFERENCE: EMA(1e-3)}, evaluate=(REFERENCE,)))
    return dataclasses.replace(changed, bank=own.bank, evaluate=own.evaluate)


def _sgd(own: CloningExperiment, step_size: float, batch: float) -> CloningExperiment:
    learner = dataclasses.replace(own.learner, optimiser="sgd", batch_size=round(own.learner.batch_size * batch))
    return dataclasses.replace(own, learner=learner, schedule=Constant(step_size))


def sgd_name(step_size: float, batch: float = 1.0) -> str:
    """Name of a plain SGD arm of the first task."""
    return f"SGD {step_size:g}" + (f", batch x {batch:g}" if batch != 1 else "")


def arms(size: Size, seeds: tuple[int, ...]) -> list[Arm]:
    """All arms of these learner seeds, those that most predictions wait for first."""
    first, *others = size.tasks
    own = base(size, first, seeds)
    wide: dict[str, Any] = {"evaluate": ROLLED_OUT}
    found = [
        Arm(
            f"{first} base",
            ("N2", "N3", "N4", "N5", "N6", "N7", "N8", "N10"),
            dataclasses.replace(own, loss_every=size.every, **wide),
            ("spectrum", "orders", "horizons"),
        )
    ]
    for task in others:
        few = dict(zip(("consecutive", "spaced", "rollouts"), size.few, strict=True)) if task in SLOW else {}
        experiment = dataclasses.replace(base(size, task, seeds), evaluate=ROLLED_OUT_FEW, **few)
        found.append(Arm(f"{task} base", ("N3",), experiment, ("spectrum", "horizons")))
    for name, served in (
        *((name, ("N6", "N7")) for name in DECAYS),
        *((name, ("N1", "N7")) for name in BATCHES),
        *((name, ("N1",)) for name in STEPS),
        *((name, ("N7",)) for name in LEAVE),
    ):
        arm = Arm(f"{first} {name}", served, _intervened(name, own))
        if name == STEPS[0]:  # another step size at which averages are compared
            few = dataclasses.replace(arm.experiment, evaluate=ROLLED_OUT_FEW)
            arm = dataclasses.replace(arm, experiment=few, after=("spectrum",))
        found.append(arm)
    for step_size, batch in (*((s, 1.0) for s in SGD_STEPS), *SGD_BATCHES):
        experiment, after = _sgd(own, step_size, batch), ()
        if (step_size, batch) == (SGD_STEPS[-1], 1.0):  # the regime of plain SGD in which returns swing, too
            experiment, after = dataclasses.replace(experiment, evaluate=ROLLED_OUT_FEW), ("spectrum",)
        found.append(Arm(f"{first} {sgd_name(step_size, batch)}", ("N1",), experiment, after))
    return found

"""The catalogue of interventions, selections from it by name, and base experiments of three sizes.

The paper speaks of 278 interventions without listing them where this project could read it; those here are this
project's own choice, over the same families. Two interventions never give the same experiment.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any

from gvatheory.averaging import EMA
from gvatheory.schedules import Constant
from neural.control import catalogue_averages as averages
from neural.control import catalogue_training as training
from neural.control.catalogue_terms import BASE, REFERENCE, Intervention
from neural.control.design import CloningExperiment
from neural.control.learner import Learner

TASKS = ("Walker2d-v4", "Hopper-v4", "HalfCheetah-v4", "Ant-v4", "Humanoid-v4")
"""The five tasks of the paper."""

_FAMILIES = (
    training.data,
    training.architecture,
    training.scale,
    training.regularisation,
    training.loss,
    training.optimisation,
    averages.schedule,
    training.batch,
    averages.averaging,
    averages.combination,
)

_FIGURE = (
    "episodes x 1/4",
    "episodes x 4",
    "deterministic expert",
    "action noise 0.1",
    "2 hidden layers",
    "6 hidden layers",
    "silu",
    "width x 1/4",
    "width x 2",
    "weight decay 0.1",
    "dropout 0.1",
    "clip norm 0.1",
    "input noise 0.03",
    "Huber loss 0.1",
    "step x 1/4",
    "heavy ball 0.9, step x 4",
    "cosine to 0",
    "linear to 0",
    "stable, then 1/10 cool-down",
    "constant after warm-up 0.1",
    "batch x 4",
    "batch x 16",
    "EMA, rate x 10",
    "EMA, rate x 1/3",
    "power 0.667",
    "Polyak",
    "tail 0.2",
)

_SMOKE = ("width x 1/4", "episodes x 1/16", "EMA, rate x 10")


@functools.cache
def catalogue() -> tuple[Intervention, ...]:
    """Every intervention, the base first, then family by family."""
    base = Intervention(BASE, BASE, "What the others are compared with.", ("N1", "N2", "N3", "N4"))
    return (base, *(intervention for family in _FAMILIES for intervention in family()))


def families() -> tuple[str, ...]:
    """Names of the families, in order, without the base's."""
    return tuple(dict.fromkeys(intervention.family for intervention in catalogue() if intervention.family != BASE))


def selections() -> tuple[str, ...]:
    """Names that `select` knows: all, the families, figure-2 (about the range of the paper's figure), smoke."""
    return ("all", *families(), "figure-2", "smoke")


def select(name: str = "all", families_kept: Sequence[str] = ()) -> tuple[Intervention, ...]:
    """The interventions of a selection, or one intervention by its name; the base always comes first.

    Args:
        name: one of `selections`, or the name of an intervention.
        families_kept: keep these families alone; all if empty.

    Raises:
        ValueError: naming what is unknown, or if nothing beside the base is left.
    """
    unknown = sorted(set(families_kept) - set(families()))
    if unknown:
        raise ValueError(f"families must be among {list(families())}, got {unknown}")
    named = {"figure-2": _FIGURE, "smoke": _SMOKE}
    if name == "all":
        chosen = catalogue()
    elif name in families():
        chosen = tuple(i for i in catalogue() if i.family == name)
    else:
        wanted = named.get(name, (name,))
        chosen = tuple(i for i in catalogue() if i.name in wanted)
        if not chosen:
            raise ValueError(f"catalogue must be one of {list(selections())} or an intervention's name, got {name!r}")
    kept = tuple(i for i in chosen if i.family != BASE and (not families_kept or i.family in families_kept))
    if not kept and name != BASE:
        raise ValueError(f"families {list(families_kept)} leave nothing of the selection {name!r}")
    return (catalogue()[0], *kept)


@dataclasses.dataclass(frozen=True)
class Preset:
    """A size of campaign.

    Attributes:
        name: quick, standard or paper.
        experiment: the base experiment, whose reference average is an EMA; task and seed are replaced.
        selection: what is run unless another selection is named.
        tasks, seeds: likewise.
        promise: what that takes; `gva catalogue cost` measures it here.
    """

    name: str
    experiment: CloningExperiment
    selection: str
    tasks: tuple[str, ...]
    seeds: tuple[int, ...]
    promise: str


def _base(width: int, rate: float, **sizes: Any) -> CloningExperiment:
    return CloningExperiment(
        learner=Learner(hidden=(width,) * 3, batch_size=32),
        schedule=Constant(4e-3),
        bank={REFERENCE: EMA(rate)},
        evaluate=(REFERENCE,),
        **sizes,
    )


def presets() -> dict[str, Preset]:
    """The presets by name.

    The memory of the reference average, 1/γ updates, is shorter than the spacing of the spaced iterates in each.
    """
    quick = _base(256, 2e-3, episodes=40, held_out=5, steps=15_000, consecutive=8, spaced=8, spacing=1_500, rollouts=4)
    standard = _base(
        256, 1e-3, episodes=100, held_out=10, steps=30_000, consecutive=20, spaced=15, spacing=1_500, rollouts=8
    )
    paper = _base(
        512, 1e-3, episodes=100, held_out=20, steps=100_000, consecutive=40, spaced=40, spacing=2_000, rollouts=20
    )
    tasks, five = TASKS[:1], tuple(range(5))
    found = (
        Preset("quick", quick, "figure-2", tasks, (0,), "minutes on two cores"),
        Preset("standard", standard, "figure-2", TASKS[:2], (0, 1, 2), "an hour or two on two cores"),
        Preset("paper", paper, "all", TASKS, five, "days on 16 cores and a GPU"),
    )
    return {preset.name: preset for preset in found}


def get_preset(name: str) -> Preset:
    """A preset by name.

    Raises:
        ValueError: if there is none of that name.
    """
    if name not in presets():
        raise ValueError(f"preset must be one of {list(presets())}, got {name!r}")
    return presets()[name]

"""What surrounds the end of a cloning run: centres, directions through them, and the iterates that come next.

Directions: "gradient i" is a stochastic gradient of the centre's loss on a fresh batch, "random i" is Gaussian and
normalised by filter, "path" leads from the last iterate to one some updates on, and "to average" from the last iterate
to the first average. All are compared at one length, that of one update of the run, ‖θ_{T+1} − θ_T‖.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from gvatheory import validation
from neural.control.landscape import (
    Direction,
    displaced,
    gradient_directions,
    norm,
    path_direction,
    random_directions,
)
from neural.control.policies import MLPPolicy
from neural.control.rebuild import FinishedRun
from neural.control.rollout import Demonstrations

Centre = tuple[MLPPolicy, dict[str, Direction]]


@dataclasses.dataclass(frozen=True)
class Directions:
    """How many directions of each kind are drawn.

    Attributes:
        gradients, random: numbers of them, ≥ 0, not both 0.
        batch_size: pairs per gradient, ≥ 1.
        seed: of batches and Gaussians, ≥ 0; the same at every centre.
    """

    gradients: int = 4
    random: int = 2
    batch_size: int = 16
    seed: int = 0

    def __post_init__(self) -> None:
        for name, low in (("gradients", 0), ("random", 0), ("batch_size", 1), ("seed", 0)):
            validation.integer(name, getattr(self, name), low)
        if self.gradients + self.random == 0:
            raise ValueError("gradients and random must not both be 0: there would be no direction")

    def around(self, policy: MLPPolicy, pairs: Demonstrations) -> dict[str, Direction]:
        """Directions by name; a gradient points uphill, so that an update leads to its negative side."""
        found: dict[str, Direction] = {}
        if self.gradients:
            drawn = gradient_directions(
                policy, pairs.observations, pairs.actions, self.batch_size, self.gradients, self.seed
            )
            found |= {f"gradient {i + 1}": direction for i, direction in enumerate(drawn)}
        if self.random:
            drawn = random_directions(policy, self.random, self.seed)
            found |= {f"random {i + 1}": direction for i, direction in enumerate(drawn)}
        return found


def run_centres(
    run: FinishedRun, averages: Sequence[str], directions: Directions, ahead: int
) -> tuple[dict[str, Centre], float]:
    """The last iterate and averages with directions through each, and the length of an update.

    Args:
        run: rebuilt with at least `ahead` updates beyond its end; it is advanced by them.
        averages: names, at least one.
        directions: of the kinds that are drawn; gradients are those of the run's training pairs.
        ahead: updates from the last iterate to the end of "path", ≥ 1.

    Raises:
        ValueError: if an average is unknown, there is none, or an argument is out of range.
    """
    validation.integer("ahead", ahead, 1)
    if not averages:
        raise ValueError("averages must name at least one average, got none")
    policies = {name: run.policy(name) for name in ("raw", *averages)}
    last = policies["raw"]
    run.cloning.advance(1)
    length = norm(path_direction(last, run.policy()))
    run.cloning.advance(ahead - 1)
    common = {
        "path": path_direction(last, run.policy()),
        "to average": path_direction(last, policies[averages[0]]),
    }
    centres = {name: (one, {**directions.around(one, run.train), **common}) for name, one in policies.items()}
    return centres, length


def neighbours(
    run: FinishedRun, averages: Sequence[str], between: int, fraction: float
) -> dict[str, tuple[MLPPolicy, MLPPolicy]]:
    """The last iterate and each average, with what they are `between` updates later, by name.

    A further pair, "raw, F of the step", is the iterate and itself moved by that fraction of its step, in float64.

    Args:
        run: rebuilt with at least `between` updates beyond its end; it is advanced by them.
        averages: names.
        between: updates, ≥ 1.
        fraction: of the iterate's step, in (0, 1).

    Raises:
        ValueError: if an average is unknown or a number is out of range.
    """
    validation.integer("between", between, 1)
    validation.real("fraction", fraction, 0.0, 1.0, open_low=True, open_high=True)
    names = ["raw", *averages]
    first = [run.policy(name) for name in names]
    run.cloning.advance(between)
    pairs = {name: (one, run.policy(name)) for name, one in zip(names, first, strict=True)}
    exact = first[0].astype(np.float64)
    near = displaced(exact, [path_direction(*pairs["raw"])], [fraction])
    return {**pairs, f"raw, {fraction:g} of the step": (exact, near)}

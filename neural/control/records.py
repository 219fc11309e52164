"""What a cloning run has measured: arrays that fill up as it goes on, and the labelled dataset they become."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from gvatheory.sweep import PACKAGES, provenance
from neural.control.design import CloningExperiment
from neural.probes import meaning
from neural.runs import taken_over

ROLLED_OUT = {
    "return": (np.nan, {"units": "reward", "long_name": "undiscounted sum of rewards"}),
    "length": (np.int32(0), {"units": "environment steps"}),
    "fallen": (np.int8(0), {"units": "1", "long_name": "terminated before the time limit"}),
}
"""What rollouts give: its value before, and its attributes."""
_NOISE = {
    "gradient_noise": {"units": "action⁴", "long_name": "trace of the per-example gradient covariance, raw iterate"},
    "gradient_square": {"units": "action⁴", "long_name": "squared norm of the mean gradient, raw iterate"},
}
_LOSS = {"units": "action²", "long_name": "held-out cloning loss"}


@dataclasses.dataclass(frozen=True)
class Records:
    """Everything measured, each array with a leading axis over the learner's seeds (one if there is only its own).

    Attributes:
        experiment: what is measured when.
        at: (I,) iterates rolled out.
        sets: for each set of them, which belong to it.
        updates: (U,) updates at which losses are measured besides.
        initial_conditions: E seeds of the episodes of every rollout.
        arrays: `return`, `length`, `fallen` (S, I, M, E), `loss` (S, I, M), `gradient_noise`, `gradient_square` (S, I);
            `update_loss` (S, U, 1 + A), `update_gradient_noise`, `update_gradient_square` (S, U).
    """

    experiment: CloningExperiment
    at: np.ndarray
    sets: dict[str, np.ndarray]
    updates: np.ndarray
    initial_conditions: list[int]
    arrays: dict[str, np.ndarray]

    @staticmethod
    def empty(experiment: CloningExperiment, first: int) -> Records:
        """Before anything is measured; `first` is the seed of the first initial condition."""
        at, sets = experiment.probes()
        updates = experiment.loss_probes()
        seeds = max(len(experiment.seeds), 1)
        cells = (seeds, len(at), 1 + len(experiment.evaluate), experiment.rollouts)
        arrays: dict[str, np.ndarray] = {name: np.full(cells, fill) for name, (fill, _) in ROLLED_OUT.items()}
        arrays["loss"] = np.full(cells[:3], np.nan)
        arrays |= {name: np.full(cells[:2], np.nan) for name in _NOISE}
        if len(updates):
            arrays["update_loss"] = np.full((seeds, len(updates), 1 + len(experiment.bank)), np.nan)
            arrays |= {f"update_{name}": np.full((seeds, len(updates)), np.nan) for name in _NOISE}
        return Records(experiment, at, sets, updates, [first + i for i in range(experiment.rollouts)], arrays)

    def restore(self, stored: Mapping[str, np.ndarray]) -> None:
        """Take over what a checkpoint holds.

        Raises:
            ValueError: naming the arrays that it lacks or that do not fit.
        """
        self.arrays.update(taken_over(self.arrays, stored))

    def dataset(self, card: Mapping[str, Any], loss_floor: float) -> xr.Dataset:
        """All of it, labelled; without the seed axis if the run is of the learner's own seed."""
        experiment = self.experiment
        cell = ("iterate", "average", "episode")
        variables: dict[str, Any] = {name: (cell, attrs) for name, (_, attrs) in ROLLED_OUT.items()}
        variables["loss"] = (cell[:2], _LOSS)
        variables |= {name: (cell[:1], attrs) for name, attrs in _NOISE.items()}
        coords: dict[str, Any] = {
            "iterate": ("iterate", self.at, {"units": "updates"}),
            "average": ("average", np.array(["raw", *experiment.evaluate])),
            "episode": ("episode", self.initial_conditions, {"long_name": "seed of the initial condition"}),
        }
        if len(self.updates):
            variables["update_loss"] = (("update", "kept"), _LOSS)
            variables |= {f"update_{name}": (("update",), attrs) for name, attrs in _NOISE.items()}
            coords["update"] = ("update", self.updates, {"units": "updates"})
            coords["kept"] = ("kept", np.array(["raw", *experiment.bank]), {"long_name": "the iterate and the bank"})
        if experiment.seeds:
            coords["seed"] = ("seed", np.array(experiment.seeds), {"long_name": "seed of the learner"})
        data: dict[str, Any] = {}
        for name, (dims, attrs) in variables.items():
            values = self.arrays[name]
            data[name] = (("seed", *dims), values, attrs) if experiment.seeds else (dims, values[0], attrs)
        for name, members in self.sets.items():
            data[name] = ("iterate", members.astype(np.int8), {"long_name": meaning(name)})
        floor = {"units": "action²", "long_name": "held-out variance of the expert's actions"}
        data["loss_floor"] = ((), loss_floor, floor)
        attrs = provenance(
            (*PACKAGES, "mujoco", "optax", "gymnasium"),
            config=json.dumps(experiment.describe(), sort_keys=True),
            expert=json.dumps(card, sort_keys=True),
        )
        return xr.Dataset(data, coords=coords, attrs=attrs)

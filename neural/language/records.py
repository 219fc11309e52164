"""What a language run has measured: arrays that fill up as it goes on, and the labelled dataset they become."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from gvatheory.sweep import PACKAGES, provenance
from neural.language.design import LanguageExperiment
from neural.language.padding import PADDING, padded
from neural.probes import meaning
from neural.runs import taken_over

_NATS = {"units": "nats per token"}
_CONTINUED = {
    "": (np.int32(PADDING), {"long_name": "tokens of the continuation"}),
    "_gap": (np.float32(np.nan), {"units": "nats", "long_name": "largest score less the second, at each token"}),
    "_log_probability": (np.float32(np.nan), {"units": "nats", "long_name": "of each token under its own model"}),
}
"""What a kind of continuation gives, by the end of its name: its value before, and its attributes."""
_LOSSES = {
    "loss": {**_NATS, "long_name": "validation loss"},
    "window_loss": {**_NATS, "long_name": "validation loss of each window"},
    "kl": {**_NATS, "long_name": "exact divergence from the grammar to the model, per window"},
    "step_norm": {"units": "1", "long_name": "norm of the change of the parameters in the last update"},
}
_BY_WINDOW = ("window_loss", "kl")
_NOISE = {
    "gradient_noise": {"long_name": "trace of the covariance of one window's gradient, raw iterate"},
    "gradient_square": {"long_name": "squared norm of the mean gradient, raw iterate, unbiased"},
    "gradient_noise_error": {"long_name": "its standard error"},
    "gradient_square_error": {"long_name": "its standard error"},
}


@dataclasses.dataclass(frozen=True)
class Records:
    """Everything measured.

    Attributes:
        experiment: what is measured when.
        at: (I,) iterates that continue prompts.
        sets: for each set of them, which belong to it.
        updates: (U,) updates at which losses are measured besides.
        prompts: the N prompts.
        arrays: `loss`, `step_norm` (I, M), `window_loss` (I, M, W), `kl` (I, M, W) for a grammar; `greedy`,
            `greedy_gap`, `greedy_log_probability` (I, M, N, T) and, if there is a temperature, the same of `sampled`;
            `update_loss` (U, 1 + A), `gradient_noise`, ... (U,).
    """

    experiment: LanguageExperiment
    at: np.ndarray
    sets: dict[str, np.ndarray]
    updates: np.ndarray
    prompts: Sequence[np.ndarray]
    arrays: dict[str, np.ndarray]

    @staticmethod
    def empty(experiment: LanguageExperiment, prompts: Sequence[np.ndarray], exact: bool) -> Records:
        """Before anything is measured; `exact` is whether the language's probabilities are known."""
        at, sets = experiment.probes()
        updates = experiment.loss_probes()
        cells = (len(at), 1 + len(experiment.evaluate))
        arrays: dict[str, np.ndarray] = {}
        for name in _LOSSES:
            if name != "kl" or exact:
                arrays[name] = np.full(
                    (*cells, experiment.validation) if name in ("window_loss", "kl") else cells, np.nan
                )
        for kind in kinds(experiment):
            for end, (fill, _) in _CONTINUED.items():
                arrays[kind + end] = np.full((*cells, experiment.prompts, experiment.continuation), fill)
        if len(updates):
            arrays["update_loss"] = np.full((len(updates), 1 + len(experiment.bank)), np.nan)
            if experiment.noise:
                arrays |= {name: np.full(len(updates), np.nan) for name in _NOISE}
        return Records(experiment, at, sets, updates, prompts, arrays)

    def restore(self, stored: Mapping[str, np.ndarray]) -> None:
        """Take over what a checkpoint holds.

        Raises:
            ValueError: naming the arrays that it lacks or that do not fit.
        """
        self.arrays.update(taken_over(self.arrays, stored))

    def dataset(self, curves: Mapping[str, np.ndarray], language: Mapping[str, Any]) -> xr.Dataset:
        """All of it, labelled.

        Args:
            curves: `training_loss` and `gradient_norm`, (T,).
            language: its identity.
        """
        experiment, cell = self.experiment, ("iterate", "average")
        dims: dict[str, tuple[tuple[str, ...], dict[str, str]]] = {}
        for name, attrs in _LOSSES.items():
            dims[name] = ((*cell, "window") if name in _BY_WINDOW else cell), attrs
        for kind in kinds(experiment):
            dims |= {kind + end: ((*cell, "prompt", "token"), attrs) for end, (_, attrs) in _CONTINUED.items()}
        dims["update_loss"] = ("update", "kept"), _LOSSES["loss"]
        dims |= {name: (("update",), attrs) for name, attrs in _NOISE.items()}
        data: dict[str, Any] = {name: (*dims[name], values) for name, values in self.arrays.items()}
        data = {name: (d, values, attrs) for name, (d, attrs, values) in data.items()}
        for name, members in self.sets.items():
            data[name] = ("iterate", members.astype(np.int8), {"long_name": meaning(name)})
        data["training_loss"] = ("step", curves["training_loss"], {**_NATS, "long_name": "loss of each update's batch"})
        data["gradient_norm"] = ("step", curves["gradient_norm"], {"long_name": "of each update's batch, uncut"})
        data["prompt_tokens"] = (("prompt", "prompt_token"), padded(self.prompts), {"long_name": f"{PADDING} is none"})
        coords: dict[str, Any] = {
            "iterate": ("iterate", self.at, {"units": "updates"}),
            "average": ("average", np.array(["raw", *experiment.evaluate])),
            "step": ("step", np.arange(1, experiment.steps + 1), {"units": "updates"}),
        }
        if len(self.updates):
            coords["update"] = ("update", self.updates, {"units": "updates"})
            coords["kept"] = ("kept", np.array(["raw", *experiment.bank]), {"long_name": "the iterate and the bank"})
        attrs = provenance(
            (*PACKAGES, "torch", "transformers", "tokenizers"),
            config=json.dumps(experiment.describe(), sort_keys=True),
            language=json.dumps(language, sort_keys=True),
        )
        return xr.Dataset(data, coords=coords, attrs=attrs)


def kinds(experiment: LanguageExperiment) -> tuple[str, ...]:
    """Kinds of continuations that are made."""
    return ("greedy",) if experiment.temperature is None else ("greedy", "sampled")

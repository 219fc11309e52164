"""The models that a run leaves behind: one array of parameters, a row for each, under names."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from neural.language.design import LanguageExperiment
from neural.language.models import ModelSpec, load_module
from neural.runs import load_tensors, save_tensors

if TYPE_CHECKING:
    from neural.language.pretraining import PretrainingRun

FORMAT = "gvatheory language models 1"
BEFORE = "raw, one update before"


@dataclasses.dataclass(frozen=True, eq=False)
class StoredModels:
    """Models of one architecture.

    Attributes:
        spec: of all of them.
        names: "raw" is the last iterate, `BEFORE` the one before it, the others are averages.
        vectors: (len(names), P) float32.
        update: at which they stood.
    """

    spec: ModelSpec
    names: tuple[str, ...]
    vectors: np.ndarray
    update: int

    def __getitem__(self, name: str) -> np.ndarray:
        """The (P,) parameters of one; ValueError naming those there are if it is not among them."""
        if name not in self.names:
            raise ValueError(f"model must be one of {list(self.names)}, got {name!r}")
        return self.vectors[self.names.index(name)]


def save_models(path: Path | str, experiment: LanguageExperiment, run: PretrainingRun) -> None:
    """Write the iterate, the one before it and the averages evaluated, as they stand."""
    members = run.vectors(experiment.members()).cpu().numpy()
    vectors = np.concatenate([members, run.previous.cpu().numpy()[None]])
    names = ["raw", *experiment.evaluate, BEFORE]
    facts = {"format": FORMAT, "names": json.dumps(names), "model": json.dumps(dataclasses.asdict(experiment.model))}
    save_tensors(path, {"vectors": vectors}, {**facts, "update": str(run.t)})


def load_models(path: Path | str) -> StoredModels:
    """Read a file of `save_models`.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is not one, or damaged.
    """
    tensors, facts = load_tensors(path)
    if facts.get("format") != FORMAT:
        raise ValueError(f"{path} must be of format {FORMAT!r}, is {facts.get('format')!r}")
    try:
        spec, names = ModelSpec(**json.loads(facts["model"])), tuple(json.loads(facts["names"]))
        vectors, update = tensors["vectors"], int(facts["update"])
        # What it claims is compared with what is there before a model of that size is laid out.
        if spec.vocabulary_size * spec.width + 2 * spec.layers * spec.width > vectors.shape[-1]:
            raise ValueError(f"{path} is damaged: its parameters are too few for the model that it names")
    except (KeyError, TypeError) as e:
        raise ValueError(f"{path} is damaged: {e}") from e
    if vectors.shape != (len(names), spec.parameters) or vectors.dtype != np.float32:
        raise ValueError(f"{path} is damaged: its parameters are {vectors.dtype} of shape {vectors.shape}")
    return StoredModels(spec, names, vectors, update)


def export(models: StoredModels, name: str, out: Path | str, end_id: int | None = None) -> None:
    """Write one model as a directory that `transformers` reads with `AutoModelForCausalLM.from_pretrained`.

    Args:
        end_id: of the token at which `generate` stops, if there is one.

    Raises:
        ValueError: if there is no model of that name, or `out` is a file.
    """
    if Path(out).is_file():
        raise ValueError(f"out must be a directory, {out} is a file")
    module = load_module(models.spec, models[name])
    for config in (module.config, module.generation_config):
        if end_id is not None and config is not None:
            config.eos_token_id = end_id
    module.save_pretrained(out)

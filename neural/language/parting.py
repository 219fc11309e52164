"""When continuations of a model and of its neighbours part, over many orders of magnitude of the distance.

A neighbour lies at distance d from the model, along the last update of the run or along directions as likely: the same
update with every coordinate's sign thrown anew, so that each coordinate keeps its size. `distance_law` reads what comes
out (prediction N9).
"""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import torch
import xarray as xr

from gvatheory import validation
from gvatheory.sweep import PACKAGES, provenance
from neural.language.decoding import continuations
from neural.language.languages import Language
from neural.language.padding import padded
from neural.language.stored_models import BEFORE, StoredModels

_MODELS = 2**27  # parameters of the neighbours that are held at a time


def parting(
    models: StoredModels,
    language: Language,
    name: str = "raw",
    *,
    shares: np.ndarray,
    directions: int = 8,
    prompts: int = 32,
    prompt_length: int = 4,
    length: int = 150,
    seed: int = 0,
    device: torch.device | str | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> xr.Dataset:
    """Greedy continuations of a model and of its neighbours.

    Args:
        models: of a run; they hold the last iterate and the one before it.
        language: of the run.
        name: of the model in the middle.
        shares: (K,) distances as shares of the last update's norm, > 0.
        directions: how many, ≥ 2; the first is the last update itself.
        prompts, prompt_length, length: held-out beginnings, in the language's unit, and the tokens added to each.
        seed: of the signs, ≥ 0.
        device: where to compute.
        progress: called with (neighbours done, all).

    Returns:
        dims direction, distance, prompt, token: `text` (direction, distance, prompt, token), `base` and `base_gap`
        (prompt, token), `prompt_tokens`; the coordinate `distance` is a norm of parameters, `share` that of the
        last update.

    Raises:
        ValueError: naming the argument out of range.
    """
    shares = validation.array("shares", shares, 1)
    if shares.ndim != 1 or not len(shares) or not np.all(shares > 0):
        raise ValueError(f"shares must be a vector of positive numbers, got {shares!r}")
    validation.integer("directions", directions, 2)
    validation.integer("prompts", prompts, 2)
    validation.integer("seed", seed, 0)
    centre, update = models[name], models["raw"] - models[BEFORE]
    if not np.any(update):
        raise ValueError("models must differ between the last iterate and the one before it, these do not")
    beginnings = language.prompts(prompts, prompt_length)
    begun = continuations(models.spec, centre[None], beginnings, length, device=device)
    text = np.empty((directions, len(shares), prompts, length), dtype=np.int32)
    together = max(1, _MODELS // models.spec.parameters)
    for i in range(directions):
        signs = np.ones_like(update)
        if i:
            raw = np.random.default_rng([seed, i]).integers(0, 2, update.size, dtype=np.int8)
            signs = (2 * raw - 1).astype(np.float32)
        for k in range(0, len(shares), together):
            part = shares[k : k + together, None].astype(np.float32)
            neighbours = centre + part * (signs * update)
            made = continuations(models.spec, neighbours, beginnings, length, device=device)
            text[i, k : k + together] = made.tokens
            if progress is not None:
                progress(i * len(shares) + k + len(part), directions * len(shares))
    cell = ("prompt", "token")
    return xr.Dataset(
        {
            "text": (("direction", "distance", *cell), text, {"long_name": "tokens of the neighbours' continuations"}),
            "base": (cell, begun.tokens[0].astype(np.int32), {"long_name": "tokens of the model's continuations"}),
            "base_gap": (cell, begun.gaps[0], {"units": "nats", "long_name": "largest logit less the second"}),
            "prompt_tokens": (("prompt", "prompt_token"), padded(beginnings)),
        },
        coords={
            "distance": ("distance", shares * float(np.linalg.norm(update)), {"long_name": "norm of the difference"}),
            "share": ("distance", shares, {"long_name": "distance over the norm of the last update"}),
        },
        attrs=provenance(
            (*PACKAGES, "torch"),
            model=name,
            update=models.update,
            language=json.dumps(language.identity(), sort_keys=True),
            seed=seed,
        ),
    )

"""Continuations judged by a reference model: minus the loss that it has on them."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

import numpy as np
import torch
import xarray as xr

from neural.language.continuation_rewards import judged_rewards
from neural.language.decoding import token_losses
from neural.language.judging import DIMS, labelled
from neural.language.models import ModelSpec
from neural.language.padding import unpadded


def require_same_tokens(dataset: xr.Dataset, reference: xr.Dataset) -> None:
    """Require that two runs, by their datasets, share their tokens: one tokenizer, or one grammar.

    Raises:
        ValueError: if they do not.
    """
    own, other = (json.loads(d.attrs["language"]) for d in (dataset, reference))
    same = "tokenizer_sha256" if own["kind"] == "text" else "sha256"
    if own["kind"] != other["kind"] or own[same] != other[same]:
        raise ValueError("reference must be a run on the same tokens, that one has another tokenizer or grammar")


def judged(
    dataset: xr.Dataset,
    spec: ModelSpec,
    vector: np.ndarray,
    horizons: Sequence[int],
    which: str = "greedy",
    *,
    device: torch.device | str | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> xr.DataArray:
    """Minus the mean loss of every continuation under a reference model, dims (iterate, average, prompt, horizon).

    Args:
        dataset: of a run.
        spec, vector: of the reference, with the same tokens as the run's.
        horizons: each from 1 to the tokens of a continuation.
        which: continuations, "greedy" or "sampled".
        device: where to compute.
        progress: called with (iterates done, all).

    Raises:
        ValueError: if a horizon is out of range, or a token is out of the reference's vocabulary.
    """
    texts = dataset[which].transpose(*DIMS)
    prompts, values = unpadded(dataset["prompt_tokens"].values), texts.values
    length = texts.sizes["token"]
    losses = np.empty(values.shape, dtype=np.float32)
    for i in range(len(values)):
        for p, prompt in enumerate(prompts):
            rows = np.concatenate([np.broadcast_to(prompt, (values.shape[1], len(prompt))), values[i, :, p]], axis=1)
            losses[i, :, p] = token_losses(spec, vector[None], rows, device=device)[0][:, -length:]
        if progress is not None:
            progress(i + 1, len(values))
    attrs = {"units": "nats per token", "long_name": "minus the loss under the reference model"}
    return labelled(texts, judged_rewards(losses, horizons), horizons, attrs)

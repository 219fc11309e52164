"""Rewards of all continuations in a run's dataset: J_H in the grammar, or minus the loss under a reference model."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
import xarray as xr

from neural.language.continuation_rewards import as_returns, grammar_rewards, judged_rewards
from neural.language.decoding import token_losses
from neural.language.grammar import StoryGrammar
from neural.language.models import ModelSpec
from neural.language.records import unpadded

_DIMS = ("iterate", "average", "prompt", "token")


def story_rewards(
    dataset: xr.Dataset, grammar: StoryGrammar, horizons: Sequence[int], which: str = "greedy"
) -> xr.DataArray:
    """J_H of every continuation, dims (iterate, average, prompt, horizon), in [0, 1].

    Raises:
        ValueError: if a horizon is out of range, or the prompts are no stories of the grammar.
    """
    texts = dataset[which].transpose(*_DIMS)
    values = grammar_rewards(grammar, unpadded(dataset["prompt_tokens"].values), texts.values, horizons)
    return _labelled(texts, values, horizons, {"units": "1", "long_name": "share of the words before the first error"})


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
        ValueError: if a horizon is out of range, or the tokens are not the reference's.
    """
    texts = dataset[which].transpose(*_DIMS)
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
    return _labelled(texts, judged_rewards(losses, horizons), horizons, attrs)


def returns_at(dataset: xr.Dataset, rewards: xr.DataArray, horizon: int) -> xr.Dataset:
    """What `neural.statistics.reward_spread` reads, at one of the horizons; a reward below 1 counts as a fall.

    For judged losses, which are all below 1, the fraction of falls has no meaning.
    """
    values = rewards.sel(horizon=horizon).transpose("iterate", "average", "prompt").values
    return as_returns(dataset, values, values < 1.0)


def _labelled(texts: xr.DataArray, values: np.ndarray, horizons: Sequence[int], attrs: dict[str, str]) -> xr.DataArray:
    coords = {name: texts[name] for name in ("iterate", "average")}
    return xr.DataArray(values, {**coords, "horizon": list(horizons)}, (*_DIMS[:-1], "horizon"), attrs=attrs)

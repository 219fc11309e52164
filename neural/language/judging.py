"""Rewards of all continuations in a run's dataset: J_H in the grammar; `reference` has those of a reference model."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr

from neural.language.continuation_rewards import as_returns, grammar_rewards
from neural.language.grammar import StoryGrammar
from neural.language.padding import unpadded

DIMS = ("iterate", "average", "prompt", "token")


def story_rewards(
    dataset: xr.Dataset, grammar: StoryGrammar, horizons: Sequence[int], which: str = "greedy"
) -> xr.DataArray:
    """J_H of every continuation, dims (iterate, average, prompt, horizon), in [0, 1].

    Raises:
        ValueError: if a horizon is out of range, or the prompts are no stories of the grammar.
    """
    texts = dataset[which].transpose(*DIMS)
    values = grammar_rewards(grammar, unpadded(dataset["prompt_tokens"].values), texts.values, horizons)
    return labelled(texts, values, horizons, {"units": "1", "long_name": "share of the words before the first error"})


def returns_at(dataset: xr.Dataset, rewards: xr.DataArray, horizon: int) -> xr.Dataset:
    """What `neural.statistics.reward_spread` reads, at one of the horizons; a reward below 1 counts as a fall.

    For judged losses, which are all below 1, the fraction of falls has no meaning.
    """
    values = rewards.sel(horizon=horizon).transpose("iterate", "average", "prompt").values
    return as_returns(dataset, values, values < 1.0)


def labelled(texts: xr.DataArray, values: np.ndarray, horizons: Sequence[int], attrs: dict[str, str]) -> xr.DataArray:
    """Rewards (iterate, average, prompt, horizon) of the texts."""
    coords = {name: texts[name] for name in ("iterate", "average")}
    return xr.DataArray(values, {**coords, "horizon": list(horizons)}, (*DIMS[:-1], "horizon"), attrs=attrs)

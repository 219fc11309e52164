"""Rewards of continuations, as returns whose spread over iterates `neural.statistics` measures.

In the language of a grammar the reward is J_H, the share of H words before the first error. Of any other text it is
minus its mean loss under a fixed reference model, the *judged loss*: it tells text that the reference finds likely from
text that it does not, and no more; a model that repeats itself may please it well.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr

from gvatheory import validation
from neural.language.grammar import StoryGrammar
from neural.language.grammar_judge import judge
from neural.statistics import WINDOWS

_TEXTS = 4096  # judged at a time


def grammar_rewards(
    grammar: StoryGrammar, prompts: Sequence[np.ndarray], continuations: np.ndarray, horizons: Sequence[int]
) -> np.ndarray:
    """J_H of continuations for many H at once; one below 1 has its first error within H.

    Args:
        grammar: the definition.
        prompts: P prefixes of stories from their `<begin>`, without error, of any lengths.
        continuations: (..., P, T) tokens that follow them.
        horizons: each from 1 to T.

    Returns:
        (..., P, horizons) in [0, 1].

    Raises:
        ValueError: naming the argument out of range, or the first prompt that has an error.
    """
    continuations = np.asarray(continuations)
    if continuations.ndim < 2 or continuations.shape[-2] != len(prompts):
        raise ValueError(f"continuations must be (..., {len(prompts)} prompts, T), got shape {continuations.shape}")
    length = continuations.shape[-1]
    ends = _checked_horizons(horizons, length)
    texts = continuations.reshape(-1, len(prompts), length)
    right = np.empty(texts.shape[:2], dtype=np.int64)  # words before the first error
    for p, prompt in enumerate(prompts):
        prompt = grammar.checked(prompt)
        for i in range(0, len(texts), _TEXTS):
            part = texts[i : i + _TEXTS, p]
            whole = np.concatenate([np.broadcast_to(prompt, (len(part), len(prompt))), part], axis=1)
            right[i : i + _TEXTS, p] = judge(grammar, whole).first_error - len(prompt)
        if len(texts) and right[:, p].min() < 0:
            raise ValueError(f"prompts must have no error, number {p} has one at {right[0, p] + len(prompt)}")
    shares = np.minimum(right[..., None], ends) / ends
    return shares.reshape(*continuations.shape[:-1], len(ends))


def judged_rewards(token_losses: np.ndarray, horizons: Sequence[int]) -> np.ndarray:
    """Minus the mean loss of the first H tokens under a reference model.

    Args:
        token_losses: (..., T) in nats.
        horizons: each from 1 to T.

    Returns:
        (..., horizons), in nats per token.

    Raises:
        ValueError: naming the argument out of range.
    """
    losses = np.asarray(token_losses, dtype=np.float64)
    if losses.ndim == 0 or not np.all(np.isfinite(losses)):
        raise ValueError(f"token_losses must be finite (..., T), got shape {losses.shape}")
    ends = _checked_horizons(horizons, losses.shape[-1])
    return -np.cumsum(losses, axis=-1)[..., ends - 1] / ends


def as_returns(dataset: xr.Dataset, rewards: np.ndarray, fallen: np.ndarray) -> xr.Dataset:
    """The dataset that `neural.statistics.reward_spread` reads, with a prompt for an episode.

    Args:
        dataset: of the run, with `loss` (iterate, average) and 0/1 variables (iterate) such as `consecutive`.
        rewards: (iterate, average, prompt) at one horizon.
        fallen: (iterate, average, prompt) of 0 and 1: a first error within the horizon.

    Raises:
        ValueError: naming what the dataset lacks, or the array that does not fit it.
    """
    kept = ["loss", *(name for name in WINDOWS if name in dataset)]
    missing = [name for name in ("iterate", "average", "prompt") if name not in dataset.sizes]
    if missing or "loss" not in dataset:
        raise ValueError(f"the dataset lacks {missing or ['loss']}, it has {sorted(map(str, dataset.variables))}")
    shape = tuple(dataset.sizes[name] for name in ("iterate", "average", "prompt"))
    for name, values in {"rewards": rewards, "fallen": fallen}.items():
        if np.shape(values) != shape:
            raise ValueError(f"{name} must have the shape {shape}, got {np.shape(values)}")
    cell = ("iterate", "average", "episode")
    values = {"return": (cell, np.asarray(rewards)), "fallen": (cell, np.asarray(fallen).astype(np.int8))}
    return dataset[kept].drop_dims("prompt", errors="ignore").assign(values)


def _checked_horizons(horizons: Sequence[int], length: int) -> np.ndarray:
    if not len(horizons):
        raise ValueError("horizons must hold at least one horizon, got none")
    for horizon in horizons:
        validation.integer("horizons", horizon, 1, length)
    return np.asarray(horizons, dtype=np.int64)

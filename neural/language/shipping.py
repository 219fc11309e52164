"""Runs that differ in their seed alone, as one small dataset: what is shipped, and what tables over seeds come from.

Nothing that figures and measures read is left out but for sampled continuations and log-probabilities; tokens take the
smallest integers that hold them, gaps are rounded to 2⁻¹⁶, and those after a text has parted from its neighbours in all
sets of iterates, which no measure reads, are zero, so that the file is small when compressed.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
import xarray as xr

from neural.language.edit_distance import first_difference

_LEFT_OUT = ("sampled", "sampled_gap", "sampled_log_probability", "greedy_log_probability")
_SHARED = ("prompt_tokens",)  # besides the sets of iterates


def collect(runs: Sequence[xr.Dataset]) -> xr.Dataset:
    """Runs as one dataset with a leading dim seed.

    Args:
        runs: datasets of `experiment.run`, alike in everything but the trainer's seed, which all differ.

    Raises:
        ValueError: if there are none, or naming in what they differ besides, or a seed that occurs twice.
    """
    if not runs:
        raise ValueError("runs must be at least one, got none")
    configs = [json.loads(run.attrs["config"]) for run in runs]
    seeds = [config["trainer"].pop("seed") for config in configs]
    differing = sorted(k for k in configs[0] if any(c.get(k) != configs[0][k] for c in configs))
    if differing or len({run.attrs["language"] for run in runs}) > 1:
        raise ValueError(f"runs must differ in their seed alone, these do in {differing or ['language']}")
    if len(set(seeds)) < len(seeds):
        raise ValueError(f"runs must have a seed of their own each, got {sorted(seeds)}")
    ordered = [runs[i] for i in np.argsort(seeds)]
    first = ordered[0].drop_vars(_LEFT_OUT, errors="ignore")
    shared = [name for name in first.data_vars if name in _SHARED or first[name].dims == ("iterate",)]
    own = [name for name in first.data_vars if name not in shared]
    sets = [name for name in shared if name not in _SHARED]
    whole = xr.concat(
        [_trimmed(run[own], first[sets]) for run in ordered], dim=xr.DataArray(sorted(seeds), dims="seed", name="seed")
    )
    vocabulary = configs[0]["model"]["vocabulary_size"]
    for name in own:
        if np.issubdtype(whole[name].dtype, np.floating):
            values = np.asarray(whole[name], dtype=np.float32)
            rounded = _rounded(values) if str(name).endswith("_gap") else values
            whole[name] = (whole[name].dims, rounded, whole[name].attrs)
    whole["greedy"] = whole["greedy"].astype(np.min_scalar_type(-vocabulary))
    return whole.assign({name: first[name] for name in shared}).assign_attrs(
        {**first.attrs, "config": json.dumps(configs[0], sort_keys=True)}
    )


def _trimmed(run: xr.Dataset, sets: xr.Dataset) -> xr.Dataset:
    """A run whose gaps are zero after the split from the neighbours in every one of the sets of iterates."""
    texts = run["greedy"].transpose("iterate", "average", "prompt", "token").values
    read = np.zeros(texts.shape[:-1], dtype=int)  # tokens up to and with the last split
    for members in sets.data_vars.values():
        at = np.flatnonzero(members.values)
        splits = first_difference(texts[at[:-1]], texts[at[1:]]) + 1
        for chosen in (at[:-1], at[1:]):
            read[chosen] = np.maximum(read[chosen], splits)
    gaps = run["greedy_gap"].transpose("iterate", "average", "prompt", "token")
    kept = np.where(np.arange(texts.shape[-1]) < read[..., None], gaps.values, 0.0)
    return run.assign(greedy_gap=(gaps.dims, kept, gaps.attrs))


def one_run(whole: xr.Dataset, seed: int) -> xr.Dataset:
    """One of the runs of a collected dataset, as `experiment.run` leaves it but for what was left out.

    Raises:
        ValueError: if there is none of that seed, naming those there are.
    """
    seeds = whole["seed"].values.tolist()
    if seed not in seeds:
        raise ValueError(f"seed must be one of {seeds}, got {seed!r}")
    config = json.loads(whole.attrs["config"])
    config["trainer"]["seed"] = int(seed)
    run = whole.sel(seed=seed, drop=True)
    return run.assign_attrs({**whole.attrs, "config": json.dumps(config, sort_keys=True)})


def _rounded(values: np.ndarray) -> np.ndarray:
    """To multiples of 2⁻¹⁶: far below what an update changes, and with fewer bits to compress."""
    return np.rint(values.astype(np.float64) * 2**16).astype(np.float32) * np.float32(2**-16)

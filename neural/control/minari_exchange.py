"""Demonstrations to and from Minari, the format in which Farama's offline datasets come (needs the `minari` extra).

Minari keeps what a recording of pairs does not: rewards, and the observation after the last step. Where they are
missing, the episodes are replayed from their seeds with the recorded actions, and every observation must come out as
it was recorded, bit for bit. Datasets lie in a directory the caller names; nothing is downloaded.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import json
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from neural.control.batch_env import BatchEnv
from neural.control.demonstrations import UNKNOWN_SEED, StoredDemonstrations
from neural.control.rollout import Demonstrations, EpisodeResults
from neural.control.tasks import get_task

_ROWS = 64  # episodes replayed at a time


def export_minari(stored: StoredDemonstrations, dataset_id: str, root: Path | str) -> Path:
    """Write a set as the Minari dataset `dataset_id` (such as ``walker2d/expert-v0``) under directory `root`.

    Returns:
        the dataset's directory.

    Raises:
        FileExistsError: if there is such a dataset.
        ValueError: if its id is malformed, or rewards are missing and cannot be had by a replay.
        ImportError: if the `minari` extra is not installed.
    """
    minari: Any = importlib.import_module("minari")  # by name: the extra may be absent
    buffers: Any = importlib.import_module("minari.data_collector")
    gymnasium: Any = importlib.import_module("gymnasium")
    parse_id(dataset_id)
    target = Path(root) / dataset_id
    if target.exists():
        raise FileExistsError(f"{target} already holds a dataset; choose another id")
    stored = with_rewards(stored)
    pairs, rewards, last = stored.pairs, stored.rewards, stored.final_observations
    assert rewards is not None  # `with_rewards` gives both
    assert last is not None
    ends = np.cumsum(pairs.results.lengths[0])
    episodes = []
    for e, (seed, length) in enumerate(zip(pairs.results.seeds, pairs.results.lengths[0], strict=True)):
        steps = slice(int(ends[e] - length), int(ends[e]))
        over = np.arange(length) == length - 1
        episodes.append(
            buffers.EpisodeBuffer(
                id=e,
                seed=None if seed == UNKNOWN_SEED else seed,
                observations=np.concatenate((pairs.observations[steps], last[e : e + 1])),
                actions=pairs.actions[steps],
                rewards=rewards[steps],
                terminations=over & pairs.results.fallen[0, e],
                truncations=over & stored.truncated[e],
            )
        )
    box = gymnasium.spaces.Box
    spaces = {
        "observation_space": box(-np.inf, np.inf, pairs.observations.shape[1:], pairs.observations.dtype.type),
        "action_space": box(*_action_range(stored), pairs.actions.shape[1:], pairs.actions.dtype.type),
    }
    described = {name: stored.manifest[name] for name in ("origin", "policy")}
    with _datasets_under(root):
        minari.create_dataset_from_buffers(
            dataset_id,
            episodes,
            env=gymnasium.registry.get(pairs.results.task),
            description=json.dumps(described, sort_keys=True),
            algorithm_name=str(stored.manifest["policy"].get("card", {}).get("algorithm", "unknown")),
            **spaces,
        )
    return target


def import_minari(dataset_id: str, root: Path | str) -> StoredDemonstrations:
    """Read a Minari dataset under directory `root`, whose observations and actions are vectors of a Box.

    Dtypes stay as they are. The set's policy is unknown, unless the dataset was exported from here.

    Raises:
        FileNotFoundError: if there is no such dataset.
        ValueError: if its spaces are others, or an episode has an end flag before its last step.
        ImportError: if the `minari` extra is not installed.
    """
    minari: Any = importlib.import_module("minari")
    gymnasium: Any = importlib.import_module("gymnasium")
    parse_id(dataset_id)
    data = Path(root) / dataset_id / "data"
    if not data.is_dir():
        raise FileNotFoundError(f"no Minari dataset {dataset_id} under {root}")
    dataset = minari.MinariDataset(data)
    for name in ("observation_space", "action_space"):
        space = getattr(dataset, name)
        if not isinstance(space, gymnasium.spaces.Box) or len(space.shape) != 1:
            raise ValueError(f"{dataset_id}: {name} must be a Box of vectors, is {space}")
    episodes = list(dataset.iterate_episodes())
    if not episodes:
        raise ValueError(f"{dataset_id} must hold at least one episode, holds none")
    metadata = dataset.storage.get_episode_metadata(range(len(episodes)))
    seeds = tuple(UNKNOWN_SEED if one.get("seed") is None else int(one["seed"]) for one in metadata)
    lengths = np.array([len(episode.rewards) for episode in episodes])
    for episode, length in zip(episodes, lengths, strict=True):
        ended = episode.terminations | episode.truncations
        if length == 0 or ended[:-1].any():
            raise ValueError(f"{dataset_id}: episode {episode.id} must have steps, and end in its last one")
    rewards = np.concatenate([episode.rewards for episode in episodes])
    results = EpisodeResults(
        task=dataset.env_spec.id if dataset.env_spec is not None else dataset_id,
        seeds=seeds,
        max_steps=int(lengths.max()),
        returns=np.array([[episode.rewards.sum(dtype=np.float64) for episode in episodes]]),
        lengths=lengths[None],
        fallen=np.array([[bool(episode.terminations[-1]) for episode in episodes]]),
        bad=np.zeros((1, len(episodes)), dtype=bool),
    )
    pairs = Demonstrations(
        observations=np.concatenate([episode.observations[:-1] for episode in episodes]),
        actions=np.concatenate([episode.actions for episode in episodes]),
        results=results,
    )
    space = dataset.action_space
    origin = {
        "minari": dataset_id,
        "minari_version": str(dataset.storage.metadata["minari_version"]),
        "action_range": [space.low.tolist(), space.high.tolist()],
        "description": str(dataset.storage.metadata.get("description", "")),
    }
    return StoredDemonstrations(
        pairs,
        np.array([bool(episode.truncations[-1]) for episode in episodes]),
        rewards,
        np.stack([episode.observations[-1] for episode in episodes]),
        {"origin": origin, "policy": _policy_in(origin["description"])},
    )


def parse_id(dataset_id: str) -> None:
    """ValueError unless the id names a dataset below the root, as (namespace/)name-vN."""
    parse: Any = importlib.import_module("minari.dataset.minari_dataset").parse_dataset_id
    parse(dataset_id)


def with_rewards(stored: StoredDemonstrations) -> StoredDemonstrations:
    """The set with rewards and final observations, replayed where they are missing.

    Raises:
        ValueError: if executed actions or seeds are not known, or a replay departs from the recording.
    """
    if stored.rewards is not None and stored.final_observations is not None:
        return stored
    spec = stored.manifest["origin"].get("recorded", {})
    if spec.get("action_noise", 0.0) > 0.0:
        raise ValueError("action_noise must be 0 for a replay: the executed actions were not recorded")
    if UNKNOWN_SEED in stored.pairs.results.seeds:
        raise ValueError("the seeds of all episodes must be known for a replay")
    rewards, last = replay(stored.pairs)
    return dataclasses.replace(stored, rewards=rewards, final_observations=last)


def replay(pairs: Demonstrations) -> tuple[np.ndarray, np.ndarray]:
    """Execute the recorded actions from the episodes' seeds.

    Returns:
        rewards (N,) of the steps, and the observations (E, observation_size) after the last ones.

    Raises:
        ValueError: at the first observation that is not, bit for bit, the recorded one.
    """
    task, lengths = get_task(pairs.results.task), pairs.results.lengths[0]
    begins = np.cumsum(lengths) - lengths
    rewards = np.zeros(len(pairs.actions))
    last = np.zeros((len(lengths), task.observation_size))
    for first in range(0, len(lengths), _ROWS):
        group = np.arange(first, min(first + _ROWS, len(lengths)))
        env = BatchEnv(task, len(group))
        seen = env.reset(np.arange(len(group)), [pairs.results.seeds[e] for e in group])
        for t in range(int(lengths[group].max())):
            rows = np.flatnonzero(lengths[group] > t)
            at = begins[group[rows]] + t
            same = (seen[rows] == pairs.observations[at]).all(axis=1)
            if not same.all():
                e = group[rows[np.argmin(same)]]
                raise ValueError(f"the replay of episode {e} departs from the recording at step {t}")
            step = env.step(rows, pairs.actions[at])
            seen[rows], rewards[at] = step.observation, step.reward
        last[group] = seen
    return rewards, last


def _action_range(stored: StoredDemonstrations) -> tuple[Any, Any]:
    """Bounds of the action space: those an imported set had, else the task's."""
    if "action_range" in stored.manifest["origin"]:
        low, high = stored.manifest["origin"]["action_range"]
        return np.array(low, stored.pairs.actions.dtype), np.array(high, stored.pairs.actions.dtype)
    task = get_task(stored.pairs.results.task)
    return task.action_low, task.action_high


def _policy_in(description: str) -> dict[str, Any]:
    """The policy that a dataset exported from here names in its description; empty for any other."""
    try:
        policy = json.loads(description)["policy"]
    except (ValueError, KeyError, TypeError):
        return {}
    return policy if isinstance(policy, dict) else {}


@contextlib.contextmanager
def _datasets_under(root: Path | str) -> Iterator[None]:
    """Minari looks for its directory in the environment, and warns of everything that a dataset does not say."""
    name = "MINARI_DATASETS_PATH"
    before = os.environ.get(name)
    os.environ[name] = str(root)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        os.environ.pop(name)
        if before is not None:
            os.environ[name] = before

"""Demonstrations as files: what an expert saw and did, kept in a directory with a manifest that vouches for it.

The pairs lie in npz shards, so that a set may be larger than memory while it is made; one table holds the episodes.
The manifest says how the set came about (task, policy, seeds, versions) and has the SHA-256 of every file, of the
policy and of itself, so that a single flipped bit is noticed when the set is read.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from gvatheory import validation
from gvatheory.sweep import PACKAGES, provenance
from neural import manifests
from neural.control.experts import load_expert
from neural.control.rollout import Demonstrations, EpisodeResults, collect
from neural.control.tasks import Task, get_task
from neural.runs import load_arrays, save_arrays

FORMAT = "gvatheory demonstrations 1"
MANIFEST, EPISODES = "manifest.json", "episodes.npz"
SHARD_EPISODES = 50
"""Episodes recorded at a time; each shard holds so many."""

UNKNOWN_SEED = -1
"""Of an imported episode whose seed is not known."""

_COLUMNS = ("returns", "lengths", "fallen", "bad")

Progress = Callable[[int, int], None]
Arrays = dict[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class DemonstrationSpec:
    """What to record. With equal fields (and policy and versions), the recorded numbers are the same bit for bit.

    Attributes:
        task: gymnasium id.
        expert: policy file, or None for the shipped expert.
        episodes: number of episodes, ≥ 1; None if `pairs` is given.
        pairs: number of observation-action pairs, ≥ 1, the last episode being cut where they are reached.
        stochastic: actions are drawn from the expert's stochastic policy, not its mean.
        action_noise: standard deviation, ≥ 0, of Gaussian noise on the executed actions; the recorded ones are clean.
        seed: ≥ 0, of the first episode's initial condition and of all noise; episode e starts from seed + e.
        max_steps: environment steps per episode, ≥ 1; None for the task's limit.
    """

    task: str = "Walker2d-v4"
    expert: str | None = None
    episodes: int | None = 100
    pairs: int | None = None
    stochastic: bool = True
    action_noise: float = 0.0
    seed: int = 10_000
    max_steps: int | None = None

    def __post_init__(self) -> None:
        get_task(self.task)
        if (self.episodes is None) == (self.pairs is None):
            raise ValueError(f"one of episodes and pairs must be given, got {self.episodes!r} and {self.pairs!r}")
        for name, low in (("episodes", 1), ("pairs", 1), ("seed", 0), ("max_steps", 1)):
            if getattr(self, name) is not None:
                validation.integer(name, getattr(self, name), low)
        validation.real("action_noise", self.action_noise, 0.0, np.inf)


@dataclasses.dataclass(frozen=True, eq=False)
class StoredDemonstrations:
    """A set that was read, or is to be written.

    Attributes:
        pairs: the demonstrations; the dtypes of observations and actions are those that were stored.
        truncated: (E,) bool, an episode that was cut rather than ended by the task.
        rewards: (N,) float64, of each pair's step, or None where they were not kept.
        final_observations: (E, observation_size), seen after the last step, or None.
        manifest: what manifest.json says; of a set to be written, its "origin" and "policy".
    """

    pairs: Demonstrations
    truncated: np.ndarray
    rewards: np.ndarray | None
    final_observations: np.ndarray | None
    manifest: dict[str, Any]


def make(spec: DemonstrationSpec, out: Path | str, *, progress: Progress | None = None) -> dict[str, Any]:
    """Record demonstrations into directory `out` and return the manifest.

    The pairs asked for are recorded exactly: the episode in which they are reached is run once more, that much shorter.

    Args:
        progress: called with (episodes or pairs done, in all).

    Raises:
        FileExistsError: if `out` holds a set.
        FileNotFoundError: if the expert cannot be had.
        ValueError: if it does not fit the task, cannot be drawn from, or gives no finite action at all.
    """
    writer = _Writer(Path(out))
    task = get_task(spec.task)
    expert, card = load_expert(spec.task, spec.expert)
    wanted = spec.episodes if spec.pairs is None else spec.pairs
    assert wanted is not None  # the spec has one of them
    options = {"stochastic": spec.stochastic, "action_noise": spec.action_noise, "noise_seed": spec.seed}
    done = 0
    while done < wanted:
        longest = spec.max_steps or task.time_limit
        left = wanted - done if spec.pairs is None else -(-(wanted - done) // longest)
        seeds = [spec.seed + writer.episodes + i for i in range(min(left, SHARD_EPISODES))]
        recorded = collect(expert, task, seeds, max_steps=spec.max_steps, **options)
        if len(recorded.actions) == 0:
            raise ValueError(f"the expert's actions from seeds {seeds[0]} to {seeds[-1]} were not finite: no pairs")
        if spec.pairs is not None and len(recorded.actions) > wanted - done:
            for part in _exactly(recorded, wanted - done, expert, task, options):
                writer.add(part, truncated=~part.results.fallen[0])
            done = wanted
        else:
            writer.add(recorded, truncated=~recorded.results.fallen[0])
            done += len(seeds) if spec.pairs is None else len(recorded.actions)
        if progress is not None:
            progress(done, wanted)
    policy = {"sha256": expert.fingerprint(), "card": card}
    return writer.finish(task.id, {"recorded": dataclasses.asdict(spec)}, policy)


def split(pairs: Demonstrations, held_out: int) -> tuple[Demonstrations, Demonstrations]:
    """A set without its last `held_out` ≥ 1 episodes, and those.

    Raises:
        ValueError: if there are not more episodes than that.
    """
    episodes = len(pairs.results.seeds)
    validation.integer("held_out", held_out, 1, episodes - 1)
    return pairs.part(0, episodes - held_out), pairs.part(episodes - held_out, episodes)


def _exactly(
    recorded: Demonstrations, pairs: int, expert: Any, task: Task, options: dict[str, Any]
) -> list[Demonstrations]:
    """The first episodes whole, and the one in which `pairs` is reached once more, that much shorter."""
    lengths = recorded.results.lengths[0]
    whole = int(np.searchsorted(np.cumsum(lengths), pairs, side="right"))
    parts = [recorded.part(0, whole)] if whole else []
    if rest := pairs - int(lengths[:whole].sum()):
        parts.append(collect(expert, task, recorded.results.seeds[whole : whole + 1], max_steps=rest, **options))
    return parts


def save(out: Path | str, stored: StoredDemonstrations) -> dict[str, Any]:
    """Write a set into directory `out` and return its manifest.

    Raises:
        FileExistsError: if `out` holds a set.
    """
    writer = _Writer(Path(out))
    writer.add(stored.pairs, stored.truncated, stored.rewards, stored.final_observations)
    return writer.finish(stored.pairs.results.task, stored.manifest["origin"], stored.manifest["policy"])


def read_manifest(directory: Path | str) -> dict[str, Any]:
    """The manifest of a set, checked against its own digest.

    Raises:
        FileNotFoundError: if there is none.
        ValueError: if it is damaged or of another format.
    """
    return manifests.read_manifest(Path(directory) / MANIFEST, FORMAT)


def load(directory: Path | str, *, expert_sha256: str | None = None) -> StoredDemonstrations:
    """Read a set wholly into memory, every file checked against the manifest.

    Args:
        expert_sha256: fingerprint that the set's policy must have.

    Raises:
        FileNotFoundError: if the directory holds no set, or a file of it is missing.
        ValueError: naming the file that is damaged, or if the policy is another.
    """
    directory = Path(directory)
    manifest = read_manifest(directory)
    if expert_sha256 is not None and manifest["policy"].get("sha256") != expert_sha256:
        raise ValueError(f"{directory} holds demonstrations of policy {manifest['policy']}, not of {expert_sha256}")
    files = {name: _checked(directory / name, stated) for name, stated in manifest["files"].items()}
    table = files.pop(EPISODES)
    shards = [files[name] for name in sorted(files)]
    joined = {name: np.concatenate([shard[name] for shard in shards]) for name in shards[0]}
    columns: dict[str, Any] = {name: table[name][None] for name in _COLUMNS}
    results = EpisodeResults(
        task=manifest["task"],
        seeds=tuple(int(seed) for seed in table["seeds"]),
        max_steps=manifest["sizes"]["longest_episode"],
        **columns,
    )
    pairs = Demonstrations(joined["observations"], joined["actions"], results)
    return StoredDemonstrations(
        pairs, table["truncated"], joined.get("rewards"), table.get("final_observations"), manifest
    )


def _checked(file: Path, stated: Mapping[str, Any]) -> Arrays:
    manifests.check_file(file, stated)
    return load_arrays(file)


class _Writer:
    """Writes shards as they come; the manifest, written last, makes them a set."""

    def __init__(self, directory: Path) -> None:
        if (directory / MANIFEST).exists():
            raise FileExistsError(f"{directory} already holds demonstrations; choose another directory")
        self._directory, self._files = directory, {}
        self._table: list[Arrays] = []
        self._content = hashlib.sha256()
        self._pairs, self._sizes = 0, {}

    @property
    def episodes(self) -> int:
        """Episodes written so far."""
        return sum(len(part["seeds"]) for part in self._table)

    def add(
        self,
        pairs: Demonstrations,
        truncated: np.ndarray,
        rewards: np.ndarray | None = None,
        final_observations: np.ndarray | None = None,
    ) -> None:
        results = pairs.results
        columns = {name: getattr(results, name)[0] for name in _COLUMNS}
        last = {} if final_observations is None else {"final_observations": final_observations}
        self._table.append({"seeds": np.array(results.seeds), "truncated": truncated, **columns, **last})
        shard = {"observations": pairs.observations, "actions": pairs.actions}
        shard |= {} if rewards is None else {"rewards": rewards}
        self._write(f"pairs_{len(self._files):05d}.npz", shard, pairs=len(pairs.actions))
        self._pairs += len(pairs.actions)
        self._sizes = {
            "observation_size": pairs.observations.shape[1],
            "action_size": pairs.actions.shape[1],
            "longest_episode": max(self._sizes.get("longest_episode", 0), results.max_steps),
        }

    def finish(self, task: str, origin: Mapping[str, Any], policy: Mapping[str, Any]) -> dict[str, Any]:
        table = {name: np.concatenate([part[name] for part in self._table]) for name in self._table[0]}
        self._write(EPISODES, table, episodes=len(table["seeds"]))
        manifest = {
            "format": FORMAT,
            "task": task,
            "origin": dict(origin),
            "policy": dict(policy),
            "sizes": {"episodes": len(table["seeds"]), "pairs": self._pairs, **self._sizes},
            "seeds": [int(table["seeds"].min()), int(table["seeds"].max())],
            "return_mean": float(table["returns"].mean()),
            "fallen": int(table["fallen"].sum()),
            "provenance": provenance((*PACKAGES, "mujoco", "gymnasium")),
            "content_sha256": self._content.hexdigest(),
            "files": self._files,
        }
        return manifests.write_manifest(self._directory / MANIFEST, manifest)

    def _write(self, name: str, arrays: Arrays, **facts: int) -> None:
        file = self._directory / name
        save_arrays(file, arrays)
        # An npz holds the time at which it was written; what it says is the same without.
        for key, value in arrays.items():
            self._content.update(f"{key} {value.dtype} {value.shape}".encode() + np.ascontiguousarray(value).tobytes())
        self._files[name] = {**manifests.file_facts(file), **facts}

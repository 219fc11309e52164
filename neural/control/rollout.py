"""Many episodes of many policies on one task: evaluation and demonstrations.

Each thread owns a `BatchEnv` (MuJoCo's Batch, one physics thread) and computes its own actions, with BLAS held to one
thread so that BLAS's threads do not compete with the physics. Only episodes still running are stepped.

What is reproducible, bit for bit: a policy's matrix products round differently for different numbers of rows (and, for
numbers that are no multiple of BLAS's tile, for different places within them). So actions are always computed in
blocks of `block_rows(policy)` rows, and episode e always has row ``e % block_rows(policy)``; rows without a running
episode are zero. Each episode is therefore a function of its policy, its seed, its row and the installed numpy and
MuJoCo alone: it does not depend on the number of threads, on the other policies of the call, nor on which episodes
follow or precede it, as long as its index keeps its remainder.
"""

from __future__ import annotations

import collections
import concurrent.futures
import dataclasses
import os
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np
from threadpoolctl import threadpool_limits

from gvatheory import validation
from neural.control.batch_env import BatchEnv
from neural.control.policies import MLPPolicy
from neural.control.tasks import Task

if TYPE_CHECKING:
    from numpy.random import Generator

Progress = Callable[[int, int], None]

_BLOCKS_PER_THREAD = 4


@dataclasses.dataclass(frozen=True, eq=False)
class EpisodeResults:
    """One episode per policy (axis 0, P) and seed (axis 1, E).

    Attributes:
        task: the task's id.
        seeds: the E seeds of the initial conditions.
        max_steps: environment steps after which an episode was cut.
        returns: (P, E) float64, undiscounted sum of rewards.
        lengths: (P, E) int64, environment steps completed, 0..max_steps.
        fallen: (P, E) bool, terminated by the task (or bad) rather than cut at max_steps.
        bad: (P, E) bool, the policy's action was NaN or MuJoCo's state diverged; that step counts neither in the
            return nor in the length.
    """

    task: str
    seeds: tuple[int, ...]
    max_steps: int
    returns: np.ndarray
    lengths: np.ndarray
    fallen: np.ndarray
    bad: np.ndarray


@dataclasses.dataclass(frozen=True, eq=False)
class Demonstrations:
    """Observation-action pairs of E episodes, in the order of the episodes, then of time.

    Attributes:
        observations: (N, observation_size) float64.
        actions: (N, action_size) float32, within the task's range: what the policy chose, before any action noise.
        episode: (N,) int64, index of the episode, 0..E-1.
        step: (N,) int64, environment step within its episode, from 0.
        results: the episodes as executed, with P = 1; N is the sum of its lengths.
    """

    observations: np.ndarray
    actions: np.ndarray
    episode: np.ndarray
    step: np.ndarray
    results: EpisodeResults


def block_rows(policy: MLPPolicy) -> int:
    """Rows per block in which a policy's actions are computed: 8, or 16 where the weights outgrow a core's cache.

    Multiples of BLAS's tile, for which a row's result did not depend on its place wherever that was tried.
    """
    return 8 if sum(w.size for w in policy.weights) <= 2**18 else 16


def evaluate(
    policies: Sequence[MLPPolicy],
    task: Task,
    seeds: Sequence[int],
    *,
    max_steps: int | None = None,
    threads: int | None = None,
    progress: Progress | None = None,
) -> EpisodeResults:
    """Run one episode of every policy from every seed's initial condition, under its deterministic mean action.

    Actions are clipped to the task's range in float32. Bitwise reproducible as the module's docstring says. BLAS is
    limited to one thread in the whole process while this runs; do not call it from several threads at once.

    Args:
        policies: P >= 1 policies that fit the task; they may differ in shape.
        seeds: E >= 1 non-negative integers; episode e starts as ``gymnasium.make(task.id).reset(seed=seeds[e])``.
        max_steps: at least 1 (more than the task's limit is allowed), by default the task's time limit.
        threads: at least 1, by default the number of cores this process may use.
        progress: called as ``progress(finished, total)`` after each episode, by any of the threads, one at a time.

    Raises:
        ValueError: naming the argument, its value and the allowed range.
    """
    policies = tuple(_contiguous(p) for p in policies)
    run = _Run.checked(policies, task, seeds, max_steps, threads, progress)
    run.execute(lambda unit, obs: _clip(task, policies[unit.policy](obs)))
    return run.results


def collect(
    policy: MLPPolicy,
    task: Task,
    seeds: Sequence[int],
    *,
    stochastic: bool = False,
    action_noise: float = 0.0,
    noise_seed: int = 0,
    max_steps: int | None = None,
    threads: int | None = None,
    progress: Progress | None = None,
) -> Demonstrations:
    """Run one episode per seed and record what the policy saw and chose.

    By default the recorded actions are the policy's clean mean actions, clipped to the task's range, even where
    `action_noise` disturbs the executed ones. With `stochastic`, they are the actions drawn by ``policy.sample``.
    Noise comes from one generator per episode, seeded by (noise_seed, the episode's seed), so that demonstrations are
    as reproducible as `evaluate`'s returns. They take 8 * observation_size bytes per step.

    Args:
        stochastic: draw actions from the stochastic policy; needs ``policy.log_std_head``.
        action_noise: standard deviation, at least 0, in units of the action, of Gaussian noise added to the executed
            actions, before clipping.
        noise_seed: non-negative integer.
        seeds, max_steps, threads, progress: as for `evaluate`.

    Raises:
        ValueError: naming the argument, its value and the allowed range.
    """
    if stochastic and policy.log_std_head is None:
        raise ValueError("stochastic=True needs a policy with a log_std_head, this one has none")
    if not 0.0 <= action_noise < np.inf:
        raise ValueError(f"action_noise must be finite and at least 0, got {action_noise!r}")
    validation.integer("noise_seed", noise_seed, 0)
    policy = _contiguous(policy)
    run = _Run.checked((policy,), task, seeds, max_steps, threads, progress)
    records = {unit: _Record.start(unit, run.results.seeds, noise_seed) for unit in run.units}

    def act(unit: _Unit, obs: np.ndarray) -> np.ndarray:
        record = records[unit]
        rng = cast("Generator", record.noise)
        chosen = _clip(task, policy.sample(obs, rng) if stochastic else policy(obs))
        record.observations.append(obs.copy())
        record.actions.append(chosen)
        if action_noise == 0.0:
            return chosen
        noise = record.noise.standard_normal(chosen.shape, dtype=np.float32)
        return _clip(task, chosen + np.float32(action_noise) * noise)

    run.execute(act)
    return _gather(run, records)


def _gather(run: _Run, records: dict[_Unit, _Record]) -> Demonstrations:
    lengths = run.results.lengths[0]
    observations, actions = [], []
    for unit in run.units:  # in the order of the episodes
        record = records.pop(unit)
        block_obs, block_act = np.stack(record.observations), np.stack(record.actions)
        for e in range(unit.first, unit.last):
            observations.append(block_obs[: lengths[e], e - unit.base])
            actions.append(block_act[: lengths[e], e - unit.base])
    return Demonstrations(
        observations=np.concatenate(observations),
        actions=np.concatenate(actions),
        episode=np.repeat(np.arange(len(lengths)), lengths),
        step=np.concatenate([np.arange(n) for n in lengths]),
        results=run.results,
    )


@dataclasses.dataclass(frozen=True)
class _Unit:
    """Episodes first..last-1 of one policy, all within the block that starts at episode `base`."""

    policy: int
    base: int
    first: int
    last: int
    rows: int  # of the block, with those that belong to no episode of this unit


class _RowNoise:
    """Stands in for a Generator where a block draws normals: each row draws from its own episode's generator."""

    def __init__(self, unit: _Unit, seeds: Sequence[int], noise_seed: int) -> None:
        self._rngs = [
            (e - unit.base, np.random.default_rng([noise_seed, seeds[e]])) for e in range(unit.first, unit.last)
        ]

    def standard_normal(self, shape: tuple[int, int], dtype: Any = np.float64) -> np.ndarray:
        out = np.zeros(shape, dtype=dtype)
        for row, rng in self._rngs:
            out[row] = rng.standard_normal(shape[1], dtype=dtype)
        return out


class _Record(NamedTuple):
    noise: _RowNoise
    observations: list[np.ndarray]
    actions: list[np.ndarray]

    @staticmethod
    def start(unit: _Unit, seeds: Sequence[int], noise_seed: int) -> _Record:
        return _Record(_RowNoise(unit, seeds, noise_seed), [], [])


_Act = Callable[[_Unit, np.ndarray], np.ndarray]  # (unit, observations of its block) -> executed actions of its block


class _Queues:
    """The units still to run: one queue per thread, from which idle threads may steal."""

    def __init__(self, shares: list[list[_Unit]]) -> None:
        self._lock = threading.Lock()
        self._own = [collections.deque(share) for share in shares]
        self.closed = False

    def take(self, thread: int, held: int) -> _Unit | None:
        """The next unit for a thread that holds `held` unfinished ones, or None."""
        with self._lock:
            if self.closed:
                return None
            if self._own[thread]:
                return self._own[thread].popleft()
            longest = max(self._own, key=len)
            # A busy thread leaves the others what they can hold at once: their cores would idle without it.
            return longest.pop() if len(longest) > (_BLOCKS_PER_THREAD if held else 0) else None

    def close(self) -> None:
        self.closed = True


@dataclasses.dataclass(frozen=True, eq=False)
class _Run:
    task: Task
    results: EpisodeResults
    units: list[_Unit]
    shares: list[list[_Unit]]
    progress: Callable[[], None]

    @staticmethod
    def checked(
        policies: tuple[MLPPolicy, ...],
        task: Task,
        seeds: Sequence[int],
        max_steps: int | None,
        threads: int | None,
        progress: Progress | None,
    ) -> _Run:
        """Validate the arguments shared by `evaluate` and `collect`, and share out the episodes."""
        if not policies:
            raise ValueError("policies must hold at least one policy, got none")
        for i, p in enumerate(policies):
            for size, wanted in (("observation_size", task.observation_size), ("action_size", task.action_size)):
                if getattr(p, size) != wanted:
                    raise ValueError(f"policies[{i}] must have {size} {wanted} for {task.id}, got {getattr(p, size)}")
        for i, seed in enumerate(seeds):
            validation.integer(f"seeds[{i}]", seed, 0)
        seeds = tuple(int(seed) for seed in seeds)
        if not seeds:
            raise ValueError("seeds must hold at least one seed, got none")
        max_steps = task.time_limit if max_steps is None else max_steps
        threads = _cores() if threads is None else threads
        validation.integer("max_steps", max_steps, 1)
        validation.integer("threads", threads, 1)
        shape = (len(policies), len(seeds))
        results = EpisodeResults(
            task=task.id,
            seeds=seeds,
            max_steps=max_steps,
            returns=np.zeros(shape),
            lengths=np.zeros(shape, dtype=np.int64),
            fallen=np.zeros(shape, dtype=bool),
            bad=np.zeros(shape, dtype=bool),
        )
        shares = _share_out([block_rows(p) for p in policies], len(seeds), threads)
        units = [unit for share in shares for unit in share]
        return _Run(task, results, units, shares, _counter(progress, shape[0] * shape[1]))

    def execute(self, act: _Act) -> None:
        queues = _Queues(self.shares)
        workers = [_Worker(self, queues, i, act) for i in range(len(self.shares))]
        with threadpool_limits(1, user_api="blas"), concurrent.futures.ThreadPoolExecutor(len(workers)) as pool:
            futures = [pool.submit(worker.run) for worker in workers]
            try:
                for future in futures:
                    future.result()
            finally:
                queues.close()  # after an interrupt the threads stop at their next step


class _Worker:
    """One thread's environments: up to `_BLOCKS_PER_THREAD` units at a time, each in a slot of consecutive rows."""

    def __init__(self, run: _Run, queues: _Queues, thread: int, act: _Act) -> None:
        self.run_, self.queues, self.thread, self.act = run, queues, thread, act
        self.stride = max(unit.rows for unit in run.units)
        self.slots: list[_Unit | None] = [None] * min(_BLOCKS_PER_THREAD, len(run.units))
        rows, task = self.stride * len(self.slots), run.task
        self.env = BatchEnv(task, rows)
        self.observation = np.zeros((rows, task.observation_size))
        self.action = np.zeros((rows, task.action_size), dtype=np.float32)
        self.running = np.zeros(rows, dtype=bool)
        self.policy, self.episode, self.length = (np.zeros(rows, dtype=np.int64) for _ in range(3))
        self.total = np.zeros(rows)

    def run(self) -> None:
        try:
            with np.errstate(all="ignore"):  # overflow in a diverged policy is reported as `bad`, not as a warning
                while not self.queues.closed and self._fill():
                    self._tick()
        except BaseException:
            self.queues.close()
            raise

    def _fill(self) -> bool:
        """Start units in the free slots; False when there is nothing left to run."""
        for i, unit in enumerate(self.slots):
            if unit is None:
                held = len(self.slots) - self.slots.count(None)
                self.slots[i] = new = self.queues.take(self.thread, held)
                if new is None:
                    return held > 0
                self._start(i, new)
        return True

    def _start(self, slot: int, unit: _Unit) -> None:
        episodes = np.arange(unit.first, unit.last)
        rows = slot * self.stride + episodes - unit.base
        self.observation[rows] = self.env.reset(rows, [self.run_.results.seeds[e] for e in episodes])
        self.running[rows] = True
        self.policy[rows], self.episode[rows], self.length[rows], self.total[rows] = unit.policy, episodes, 0, 0.0

    def _tick(self) -> None:
        """One environment step of every running episode."""
        for i, unit in enumerate(self.slots):
            if unit is not None:
                block = slice(i * self.stride, i * self.stride + unit.rows)
                self.action[block] = self.act(unit, self.observation[block])
        rows = np.flatnonzero(self.running)
        step = self.env.step(rows, self.action[rows])
        self.observation[rows] = step.observation
        self.total[rows] += step.reward
        self.length[rows] += ~step.bad
        over = step.terminated | (self.length[rows] >= self.run_.results.max_steps)
        if over.any():
            self._finish(rows[over], step.terminated[over], step.bad[over])

    def _finish(self, rows: np.ndarray, fallen: np.ndarray, bad: np.ndarray) -> None:
        results, at = self.run_.results, (self.policy[rows], self.episode[rows])
        results.returns[at], results.lengths[at] = self.total[rows], self.length[rows]
        results.fallen[at], results.bad[at] = fallen, bad
        self.running[rows] = False
        self.observation[rows] = 0.0
        for i in range(len(self.slots)):
            if not self.running[i * self.stride : (i + 1) * self.stride].any():
                self.slots[i] = None
        for _ in rows:
            self.run_.progress()


def _share_out(rows: list[int], episodes: int, threads: int) -> list[list[_Unit]]:
    """Cut every policy's episodes at its blocks' ends and at the ends of the threads' equal shares."""
    total = len(rows) * episodes
    threads = min(threads, total)
    ends = [(i + 1) * total // threads for i in range(threads)]
    shares: list[list[_Unit]] = [[] for _ in ends]
    thread = 0
    for policy, size in enumerate(rows):
        first = 0
        while first < episodes:
            done = policy * episodes
            base = first - first % size
            last = min(base + size, episodes, ends[thread] - done)
            shares[thread].append(_Unit(policy, base, first, last, size))
            thread += done + last == ends[thread]
            first = last
    return shares


def _counter(progress: Progress | None, total: int) -> Callable[[], None]:
    lock, finished = threading.Lock(), 0

    def count() -> None:
        nonlocal finished
        with lock:
            finished += 1
            if progress is not None:
                progress(finished, total)

    return count


def _contiguous(policy: MLPPolicy) -> MLPPolicy:
    """The same policy in C order: a matrix product rounds differently for other memory layouts."""
    if all(w.flags.c_contiguous for w in policy.weights):
        return policy
    return dataclasses.replace(policy, weights=tuple(np.ascontiguousarray(w) for w in policy.weights))


def _clip(task: Task, actions: np.ndarray) -> np.ndarray:
    return np.clip(actions.astype(np.float32, copy=False), task.action_low, task.action_high)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

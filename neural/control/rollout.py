"""Many episodes of many policies on one task: evaluation and demonstrations.

What is reproducible, bit for bit: each episode is a function of its policy and its seed alone (and of the installed
NumPy, MuJoCo and the processor). It does not depend on the number of threads, on the other policies of the call, nor on
which other seeds are in it or in what order; `inference` says how.
"""

from __future__ import annotations

import dataclasses
import functools
import os
from collections.abc import Callable, Sequence

import numpy as np

from gvatheory import validation
from neural.control.batch_env import BatchEnv, model_of
from neural.control.engine import Episodes, Live, Noise, Recorder, play
from neural.control.inference import Policy, require_fit
from neural.control.tasks import Task

Progress = Callable[[int, int], None]


@dataclasses.dataclass(frozen=True, eq=False)
class States:
    """States along the episodes at the environment steps 0, k, 2k, ...; NaN after an episode's end.

    Attributes:
        every: k ≥ 1.
        positions: (P, E, 1 + max_steps // k, nq) float64, m and rad; a free joint's rotation is a quaternion.
        velocities: (P, E, 1 + max_steps // k, nv) float64, per second.
    """

    every: int
    positions: np.ndarray
    velocities: np.ndarray


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
        states: the states passed, if they were asked for.
        partial: (P, E, len(rewards_at)) float64, sum of rewards up to each of those environment steps, if they were
            asked for; an episode that ended before keeps its total.
    """

    task: str
    seeds: tuple[int, ...]
    max_steps: int
    returns: np.ndarray
    lengths: np.ndarray
    fallen: np.ndarray
    bad: np.ndarray
    states: States | None = None
    partial: np.ndarray | None = None


@dataclasses.dataclass(frozen=True, eq=False)
class Demonstrations:
    """Observation-action pairs of E episodes, in the order of the episodes, then of time.

    Attributes:
        observations: (N, observation_size) float64.
        actions: (N, action_size) float32, within the task's range: what the policy chose, before any action noise.
        results: the episodes as executed, with P = 1; N is the sum of its lengths.
    """

    observations: np.ndarray
    actions: np.ndarray
    results: EpisodeResults

    @functools.cached_property
    def episode(self) -> np.ndarray:
        """(N,) int64, index of the episode, 0..E-1."""
        lengths = self.results.lengths[0]
        return np.repeat(np.arange(len(lengths)), lengths)

    @functools.cached_property
    def step(self) -> np.ndarray:
        """(N,) int64, environment step within its episode, from 0."""
        return np.concatenate([np.arange(n) for n in self.results.lengths[0]])

    def part(self, first: int, last: int) -> Demonstrations:
        """Episodes first..last-1 alone."""
        results, ends = self.results, np.append(0, self.results.lengths[0].cumsum())
        pairs = slice(ends[first], ends[last])
        columns = {name: getattr(results, name)[:, first:last] for name in ("returns", "lengths", "fallen", "bad")}
        cut = dataclasses.replace(results, seeds=results.seeds[first:last], **columns)
        return Demonstrations(self.observations[pairs], self.actions[pairs], cut)


def evaluate(
    policies: Sequence[Policy],
    task: Task,
    seeds: Sequence[int],
    *,
    max_steps: int | None = None,
    threads: int | None = None,
    progress: Progress | None = None,
    states_every: int | None = None,
    rewards_at: Sequence[int] | None = None,
) -> EpisodeResults:
    """Run one episode of every policy from every seed's initial condition, under its deterministic mean action.

    Actions are clipped to the task's range in float32. Bitwise reproducible as the module's docstring says. BLAS is
    limited to one thread in the whole process while this runs; do not call it from several threads at once.

    Args:
        policies: P >= 1 policies that fit the task; they may differ in shape and kind.
        seeds: E >= 1 non-negative integers; episode e starts as ``gymnasium.make(task.id).reset(seed=seeds[e])``.
        max_steps: at least 1 (more than the task's limit is allowed), by default the task's time limit.
        threads: at least 1, by default the number of cores this process may use.
        progress: called as ``progress(finished, total)`` after each episode, by any of the threads, one at a time.
        states_every: record the state at every so many environment steps, at least 1; None for no states.
        rewards_at: record the sum of rewards up to these environment steps, ascending, from 1 to `max_steps`: bit for
            bit the returns of as many calls with each of them as `max_steps`. None for none.

    Raises:
        ValueError: naming the argument, its value and the allowed range.
    """
    if states_every is not None:
        validation.integer("states_every", states_every, 1)
    run, threads = _checked(policies, task, seeds, max_steps, threads)
    states = None if states_every is None else _StateRecorder(run, states_every)
    rewards = None if rewards_at is None else _RewardRecorder(run, rewards_at)
    recorders = [recorder for recorder in (states, rewards) if recorder is not None]
    play(run, threads, progress, recorder=_Recorders(recorders) if recorders else None)
    found = _results(run)
    if states is not None:
        found = dataclasses.replace(found, states=states.states)
    if rewards is not None:
        found = dataclasses.replace(found, partial=rewards.gather(run))
    return found


def collect(
    policy: Policy,
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
    `action_noise` disturbs the executed ones. With `stochastic`, they are the actions drawn from the policy. Noise
    comes from one generator per episode, seeded by (noise_seed, the episode's seed), so that demonstrations are as
    reproducible as `evaluate`'s returns. They take 8 * observation_size bytes per step.

    Args:
        stochastic: draw actions from the stochastic policy; needs ``policy.stochastic``.
        action_noise: standard deviation, at least 0, in units of the action, of Gaussian noise added to the executed
            actions, before clipping.
        noise_seed: non-negative integer.
        seeds, max_steps, threads, progress: as for `evaluate`.

    Raises:
        ValueError: naming the argument, its value and the allowed range.
    """
    if stochastic and not policy.stochastic:
        raise ValueError("stochastic=True needs a policy with a log_std_head, this one has none")
    if not 0.0 <= action_noise < np.inf:
        raise ValueError(f"action_noise must be finite and at least 0, got {action_noise!r}")
    validation.integer("noise_seed", noise_seed, 0)
    run, threads = _checked((policy,), task, seeds, max_steps, threads)
    recorder = _PairRecorder()
    play(run, threads, progress, Noise(stochastic, action_noise, noise_seed), recorder)
    return recorder.gather(run)


def _checked(
    policies: Sequence[Policy], task: Task, seeds: Sequence[int], max_steps: int | None, threads: int | None
) -> tuple[Episodes, int]:
    """Validate the arguments that `evaluate` and `collect` share; the call's episodes and number of threads."""
    policies = tuple(policies)
    if not policies:
        raise ValueError("policies must hold at least one policy, got none")
    for i, p in enumerate(policies):
        require_fit(f"policies[{i}]", p, task)
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
    returns, lengths = np.zeros(shape), np.zeros(shape, dtype=np.int64)
    fallen, bad = np.zeros(shape, dtype=bool), np.zeros(shape, dtype=bool)
    return Episodes(policies, task, seeds, max_steps, returns, lengths, fallen, bad), threads


def _results(run: Episodes) -> EpisodeResults:
    return EpisodeResults(run.task.id, run.seeds, run.max_steps, run.returns, run.lengths, run.fallen, run.bad)


class _Recorders:
    """Several recorders as one."""

    def __init__(self, recorders: Sequence[Recorder]) -> None:
        self._recorders = recorders

    def start(self, live: Live, env: BatchEnv) -> None:
        for recorder in self._recorders:
            recorder.start(live, env)

    def chose(self, live: Live, actions: np.ndarray) -> None:
        for recorder in self._recorders:
            recorder.chose(live, actions)

    def stepped(self, live: Live, env: BatchEnv) -> None:
        for recorder in self._recorders:
            recorder.stepped(live, env)


class _StateRecorder:
    """Writes every k-th state into its place."""

    def __init__(self, run: Episodes, every: int) -> None:
        model = model_of(run.task)
        shape = (*run.returns.shape, 1 + run.max_steps // every)
        self.states = States(every, np.full((*shape, model.nq), np.nan), np.full((*shape, model.nv), np.nan))

    def start(self, live: Live, env: BatchEnv) -> None:
        self._write(live, env)

    def chose(self, live: Live, actions: np.ndarray) -> None:
        pass

    def stepped(self, live: Live, env: BatchEnv) -> None:
        self._write(live, env)

    def _write(self, live: Live, env: BatchEnv) -> None:
        due = live.length % self.states.every == 0
        at = live.policy[due], live.episode[due], live.length[due] // self.states.every
        self.states.positions[at] = env.positions[live.row[due]]
        self.states.velocities[at] = env.velocities[live.row[due]]


class _RewardRecorder:
    """Writes the rewards summed so far at chosen steps."""

    def __init__(self, run: Episodes, steps: Sequence[int]) -> None:
        for i, step in enumerate(steps):
            validation.integer(f"rewards_at[{i}]", step, 1, run.max_steps)
        self._steps = np.array(steps, dtype=np.int64)
        if not len(self._steps) or np.any(np.diff(self._steps) <= 0):
            raise ValueError(f"rewards_at must be ascending steps, at least one, got {list(steps)}")
        self._sums = np.zeros((*run.returns.shape, len(self._steps)))

    def start(self, live: Live, env: BatchEnv) -> None:
        pass

    def chose(self, live: Live, actions: np.ndarray) -> None:
        pass

    def stepped(self, live: Live, env: BatchEnv) -> None:
        place = np.minimum(np.searchsorted(self._steps, live.length), len(self._steps) - 1)
        due = self._steps[place] == live.length
        self._sums[live.policy[due], live.episode[due], place[due]] = live.total[due]

    def gather(self, run: Episodes) -> np.ndarray:
        """The sums (P, E, steps), once all episodes have ended."""
        return np.where(self._steps >= run.lengths[..., None], run.returns[..., None], self._sums)


class _PairRecorder:
    """Keeps what the threads saw and chose, step by step, and sorts it at the end."""

    def __init__(self) -> None:
        self._seen: list[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]] = []

    def start(self, live: Live, env: BatchEnv) -> None:
        pass

    def chose(self, live: Live, actions: np.ndarray) -> None:
        self._seen.append((live.episode, live.length.copy(), live.observation, actions.copy()))

    def stepped(self, live: Live, env: BatchEnv) -> None:
        pass

    def gather(self, run: Episodes) -> Demonstrations:
        """All completed steps, in the order of the episodes, then of time."""
        lengths = run.lengths[0]
        begins = np.cumsum(lengths) - lengths
        observations = np.empty((lengths.sum(), run.task.observation_size))
        actions = np.empty((lengths.sum(), run.task.action_size), dtype=np.float32)
        while self._seen:
            episode, step, seen, chosen = self._seen.pop()
            complete = step < lengths[episode]
            at = (begins[episode] + step)[complete]
            observations[at], actions[at] = seen[complete], chosen[complete]
        return Demonstrations(observations, actions, _results(run))


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

"""Where rollouts run: episodes shared out over threads, each with its own physics and its own forward passes.

Each thread owns a `BatchEnv` (MuJoCo's Batch, one physics thread) and computes its own actions, with BLAS held to one
thread so that BLAS's threads do not compete with the physics. A thread's episodes of one policy act together; one that
ends gives its place to the next at once, so that no physics is wasted.
"""

from __future__ import annotations

import concurrent.futures
import dataclasses
import threading
from collections.abc import Callable
from typing import Protocol

import numpy as np
from threadpoolctl import threadpool_limits

from neural.control.batch_env import BatchEnv
from neural.control.inference import Actor, Policy
from neural.control.tasks import Task

_CAPACITY = 64
"""Episodes that a thread runs at once."""

_NOISE_STEPS = 64
"""Steps for which an episode's noise is drawn at a time; the numbers do not depend on it."""


@dataclasses.dataclass(frozen=True)
class Noise:
    """What makes episodes random beyond their start: one generator per episode, seeded by (seed, the episode's seed).

    Attributes:
        stochastic: actions are drawn from the policy.
        action: standard deviation of Gaussian noise added to what the policy chose, then clipped again.
        seed: of the generators.
    """

    stochastic: bool
    action: float
    seed: int


class Recorder(Protocol):
    """Sees all steps of all episodes, from several threads at once."""

    def start(self, live: Live, env: BatchEnv) -> None:
        """The episodes `live` have just been reset."""
        ...

    def chose(self, live: Live, actions: np.ndarray) -> None:
        """The policies chose actions (n, action_size), before any action noise, upon ``live.observation``."""
        ...

    def stepped(self, live: Live, env: BatchEnv) -> None:
        """The episodes made a step, which ``live.length`` counts; those whose step was bad are left out."""
        ...


class Live:
    """Episodes in progress, one per entry of each array (n first)."""

    def __init__(self, task: Task, window: int, draws: int, n: int = 0) -> None:
        self.row, self.policy, self.episode, self.length = (np.zeros(n, dtype=np.int64) for _ in range(4))
        self.total = np.zeros(n)
        self.observation = np.zeros((n, task.observation_size))
        # Older observations and drawn noise are kept only where a policy looks back or draws.
        self.history = np.zeros((n, window if window > 1 else 0, task.observation_size))
        self.normals = np.zeros((n, _NOISE_STEPS if draws else 0, draws, task.action_size), dtype=np.float32)

    def append(self, other: Live) -> None:
        """Take in others; all are then in the order of their policies."""
        order = np.argsort(np.concatenate((self.policy, other.policy)), kind="stable")
        for name, mine in vars(self).items():
            setattr(self, name, np.concatenate((mine, getattr(other, name)))[order])

    def keep(self, which: np.ndarray) -> Live:
        """Those where `which` (n,) is true."""
        kept = object.__new__(Live)
        for name, mine in vars(self).items():
            setattr(kept, name, mine[which])
        return kept


class Queues:
    """The episodes still to run, numbered policy by policy: an equal share per thread, from which idle ones steal."""

    def __init__(self, total: int, threads: int) -> None:
        threads = min(threads, total)
        self._lock = threading.Lock()
        self._shares = [[i * total // threads, (i + 1) * total // threads] for i in range(threads)]
        self.closed = False

    def __len__(self) -> int:
        return len(self._shares)

    def take(self, thread: int, at_most: int, held: int) -> range:
        """Up to `at_most` ≥ 1 next episodes for a thread that runs `held` already."""
        with self._lock:
            share, spare = self._shares[thread], at_most
            if share[0] == share[1]:
                share = max(self._shares, key=lambda s: s[1] - s[0])
                # An idle thread takes half of what another has left; a busy one leaves it what it can hold at once.
                left = share[1] - share[0]
                spare = min(at_most, left - _CAPACITY if held else (left + 1) // 2)
            if self.closed or spare <= 0:
                return range(0)
            taken = range(share[0], min(share[1], share[0] + spare))
            share[0] = taken.stop
            return taken

    def close(self) -> None:
        self.closed = True


@dataclasses.dataclass(frozen=True, eq=False)
class Episodes:
    """A call's episodes and where their outcomes go: arrays (policies, seeds)."""

    policies: tuple[Policy, ...]
    task: Task
    seeds: tuple[int, ...]
    max_steps: int
    returns: np.ndarray
    lengths: np.ndarray
    fallen: np.ndarray
    bad: np.ndarray


def play(
    run: Episodes,
    threads: int,
    progress: Callable[[int, int], None] | None,
    noise: Noise | None = None,
    recorder: Recorder | None = None,
) -> None:
    """Run all episodes, filling in their outcomes."""
    total = len(run.policies) * len(run.seeds)
    queues = Queues(total, threads)
    count = _counter(progress, total)
    with threadpool_limits(1, user_api="blas"), concurrent.futures.ThreadPoolExecutor(len(queues)) as pool:
        futures = [pool.submit(_Worker(run, queues, i, noise, recorder, count).run) for i in range(len(queues))]
        try:
            for future in futures:
                future.result()
        finally:
            queues.close()  # after an interrupt the threads stop at their next step


class _Worker:
    """One thread's episodes."""

    def __init__(
        self,
        run: Episodes,
        queues: Queues,
        thread: int,
        noise: Noise | None,
        recorder: Recorder | None,
        count: Callable[[], None],
    ) -> None:
        self.run_, self.queues, self.thread, self.noise, self.recorder = run, queues, thread, noise, recorder
        self.count = count
        self.window = max(p.window for p in run.policies)
        self.draws = 0 if noise is None else int(noise.stochastic) + int(noise.action > 0)
        self.env = BatchEnv(run.task, min(_CAPACITY, len(run.policies) * len(run.seeds)))
        self.free = list(range(self.env.size))[::-1]
        self.live = Live(run.task, self.window, self.draws)
        self.actors: dict[int, Actor] = {}  # by policy
        self.parts: list[tuple[int, slice]] = []  # each policy's place among the live
        self.generators: dict[int, np.random.Generator] = {}  # by row

    def run(self) -> None:
        try:
            with np.errstate(all="ignore"):  # overflow in a diverged policy is reported as `bad`, not as a warning
                self._fill()
                while len(self.live.row) and not self.queues.closed:
                    self._tick()
        except BaseException:
            self.queues.close()
            raise

    def _fill(self) -> None:
        """Start episodes while there is room and there are any."""
        while self.free and (taken := self.queues.take(self.thread, len(self.free), len(self.live.row))):
            self._start(taken)
        policies, first, counts = np.unique(self.live.policy, return_index=True, return_counts=True)
        self.parts = [
            (policy, slice(at, at + n))
            for policy, at, n in zip(policies.tolist(), first.tolist(), counts.tolist(), strict=True)
        ]
        old, run = self.actors, self.run_
        self.actors = {i: old[i] if i in old else run.policies[i].actor() for i in policies.tolist()}

    def _start(self, taken: range) -> None:
        new = Live(self.run_.task, self.window, self.draws, len(taken))
        new.policy, new.episode = np.divmod(np.array(taken), len(self.run_.seeds))
        new.row = np.array([self.free.pop() for _ in taken])
        seeds = [self.run_.seeds[e] for e in new.episode]
        new.observation = self.env.reset(new.row, seeds)
        if self.window > 1:
            new.history[:, -1] = new.observation
        if self.noise is not None:
            for row, seed in zip(new.row.tolist(), seeds, strict=True):
                self.generators[row] = np.random.default_rng([self.noise.seed, seed])
        if self.recorder is not None:
            self.recorder.start(new, self.env)
        self.live.append(new)

    def _act(self) -> np.ndarray:
        """What the policies choose, and with action noise what is executed instead; clipped, float32."""
        live, task = self.live, self.run_.task
        seen = live.history if self.window > 1 else live.observation[:, None]
        normals = self._normals() if self.draws else np.empty(0)
        actions = np.empty((len(live.row), task.action_size), dtype=np.float32)
        for policy, part in self.parts:
            actor, window = self.actors[policy], self.run_.policies[policy].window
            valid = np.minimum(live.length[part] + 1, window)
            observations = seen[part, seen.shape[1] - window :]
            if self.noise is not None and self.noise.stochastic:
                actions[part] = actor.sample(observations, valid, normals[part, 0])
            else:
                actions[part] = actor.act(observations, valid)
        np.clip(actions, task.action_low, task.action_high, out=actions)
        if self.recorder is not None:
            self.recorder.chose(live, actions)
        if self.noise is None or self.noise.action == 0.0:
            return actions
        disturbed = actions + np.float32(self.noise.action) * normals[:, -1]
        return np.clip(disturbed, task.action_low, task.action_high, out=disturbed)

    def _normals(self) -> np.ndarray:
        """This step's standard normals, (n, draws, action_size)."""
        live = self.live
        at = live.length % _NOISE_STEPS
        for i in np.flatnonzero(at == 0):
            drawn = live.normals[i]
            drawn[...] = self.generators[int(live.row[i])].standard_normal(drawn.shape, dtype=np.float32)
        return live.normals[np.arange(len(at)), at]

    def _tick(self) -> None:
        """One environment step of every running episode."""
        live = self.live
        step = self.env.step(live.row, self._act())
        live.observation = step.observation
        if self.window > 1:
            live.history[:, :-1] = live.history[:, 1:]
            live.history[:, -1] = step.observation
        live.total += step.reward
        live.length += ~step.bad
        if self.recorder is not None:
            self.recorder.stepped(live.keep(~step.bad) if step.bad.any() else live, self.env)
        over = step.terminated | (live.length >= self.run_.max_steps)
        if over.any():
            self._finish(live.keep(over), step.terminated[over], step.bad[over])
            self.live = live.keep(~over)
            self._fill()

    def _finish(self, done: Live, fallen: np.ndarray, bad: np.ndarray) -> None:
        run, at = self.run_, (done.policy, done.episode)
        run.returns[at], run.lengths[at] = done.total, done.length
        run.fallen[at], run.bad[at] = fallen, bad
        self.free += done.row.tolist()
        for _ in done.row:
            self.count()


def _counter(progress: Callable[[int, int], None] | None, total: int) -> Callable[[], None]:
    lock, finished = threading.Lock(), 0

    def count() -> None:
        nonlocal finished
        with lock:
            finished += 1
            if progress is not None:
                progress(finished, total)

    return count

"""Episodes of one task under one policy whose states can be compared and displaced, in float64.

States differ by tangent vectors (2 nv,): positions, in which a free joint's rotation is a vector of three numbers, then
velocities. In float32 a displacement of 1e-6 would drown in rounding, so physics and policy are computed in float64.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import mujoco
import numpy as np

from neural.control.batch_env import BatchEnv
from neural.control.inference import require_fit
from neural.control.policies import MLPPolicy
from neural.control.tasks import Task

_mujoco: Any = mujoco  # its bindings carry no types


class ClosedLoop:
    """`size` environments of one task under the mean action of one policy.

    Attributes:
        ended: (size,) whether a row was in a terminal state after any step since its reset. The physics goes on.
        bad: (size,) whether a row's simulation diverged; it is not stepped any more.
    """

    def __init__(self, policy: MLPPolicy, task: Task, size: int) -> None:
        """Set up, without a state: `reset` comes first.

        Raises:
            ValueError: if the policy does not fit the task.
        """
        require_fit("policy", policy, task)
        self.policy, self.task = policy.astype(np.float64), task
        self.env = BatchEnv(task, size)
        self.model = self.env.batch.model
        self.observations = np.zeros((size, task.observation_size))
        self.ended, self.bad = np.zeros(size, dtype=bool), np.zeros(size, dtype=bool)

    def reset(self, rows: np.ndarray, seeds: Sequence[int]) -> None:
        """Start rows as the task starts an episode of those seeds."""
        self.observations[rows] = self.env.reset(rows, seeds)
        self.ended[rows] = self.bad[rows] = False

    def step(self, rows: np.ndarray) -> None:
        """One environment step of those rows."""
        rows = rows[~self.bad[rows]]
        if len(rows):
            actions = self.policy(self.observations[rows])
            outcome = self.env.step(rows, np.clip(actions, self.task.action_low, self.task.action_high))
            self.observations[rows] = outcome.observation
            self.ended[rows] |= outcome.terminated
            self.bad[rows] = outcome.bad

    def apart(self, origin: int, other: int, of: ClosedLoop | None = None) -> np.ndarray:
        """(2 nv,) tangent vector from one row's state to another's, or to that row of another loop on the same task."""
        there = self.env if of is None else of.env
        positions = np.zeros(self.model.nv)
        _mujoco.mj_differentiatePos(self.model, positions, 1.0, self.env.positions[origin], there.positions[other])
        return np.concatenate([positions, there.velocities[other] - self.env.velocities[origin]])

    def displace(self, rows: np.ndarray, vectors: np.ndarray) -> None:
        """Put copies at tangent vectors from their originals, which stay as they are.

        After a step, gymnasium's derived quantities (a Humanoid's inertias and forces) are those of one physics step
        before. A copy has no such past: its observation is its original's plus what the displacement changes in
        quantities computed afresh for both. Where observations are positions and velocities alone, that is its own.

        Args:
            rows: (n, 1 + k), each original before its k copies.
            vectors: (n, k, 2 nv).
        """
        nv = self.model.nv
        for (origin, *copies), displaced in zip(rows.tolist(), vectors, strict=True):
            for copy, vector in zip(copies, displaced, strict=True):
                moved = self.env.positions[origin].copy()
                _mujoco.mj_integratePos(self.model, moved, np.ascontiguousarray(vector[:nv]), 1.0)
                self.env.place(copy, moved, self.env.velocities[origin] + vector[nv:], like=origin)
        fresh = self.env.refresh(rows.ravel(), forces=True).reshape(*rows.shape, -1)
        self.observations[rows[:, 1:]] = self.observations[rows[:, :1]] + (fresh[:, 1:] - fresh[:, :1])


def symmetric_coordinates(task: Task) -> np.ndarray:
    """(2 nv,) bool: tangent coordinates that neither the observation nor the motion depends on.

    On flat ground a walker's distance travelled is one, to which every policy is blind. A coordinate counts if
    displacing it by 0.1 changes the observation and all else of the state, now and one step later, by rounding alone.
    """
    still = MLPPolicy((np.zeros((task.observation_size, task.action_size)),), (np.zeros(task.action_size),))
    nv = ClosedLoop(still, task, 1).model.nv
    loop = ClosedLoop(still, task, 1 + nv)
    rows = np.arange(1 + nv)
    loop.reset(rows, [0] * (1 + nv))
    loop.step(rows)  # a reset may leave a quaternion that is not of unit length, and a displacement makes it so
    loop.displace(rows[None], 0.1 * np.eye(nv, 2 * nv)[None])
    found = np.zeros(2 * nv, dtype=bool)
    found[:nv] = _unchanged(loop, rows)
    loop.step(rows)
    found[:nv] &= _unchanged(loop, rows)
    return found


def _unchanged(loop: ClosedLoop, rows: np.ndarray) -> np.ndarray:
    """(nv,) whether row 1 + j differs from row 0 in coordinate j alone."""
    others = np.array([loop.apart(0, row) for row in rows[1:]])
    np.fill_diagonal(others, 0.0)
    seen = loop.observations[1:] - loop.observations[0]
    return (np.abs(others).max(axis=1) < 1e-8) & (np.abs(seen).max(axis=1) < 1e-8)

"""Many environments of one task, stepped together on one thread, bit for bit as gymnasium steps each of them."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import mujoco
import numpy as np
from mujoco.batch import Batch, SimulationError

from neural.control.contact_batch import ContactBatch
from neural.control.tasks import Task

_mujoco: Any = mujoco  # its bindings carry no types
# MuJoCo answers these by resetting the simulation, so the state itself does not show them.
_BAD_WARNINGS = slice(int(_mujoco.mjtWarning.mjWARN_BADQPOS), int(_mujoco.mjtWarning.mjWARN_BADQACC) + 1)


class Step(NamedTuple):
    """Outcome of one environment step for n rows; where `bad`, the observation and reward are zero."""

    observation: np.ndarray  # (n, observation_size) float64
    reward: np.ndarray  # (n,) float64
    terminated: np.ndarray  # (n,) bool, true where bad
    bad: np.ndarray  # (n,) bool


class BatchEnv:
    """`size` environments of one task, stepped on the caller's thread, bitwise as gymnasium steps each of them.

    Rows are given as an array of distinct indices in 0..size-1; the other rows stay as they are. There is no
    time limit here. Not safe for use from several threads at once.
    """

    def __init__(self, task: Task, size: int) -> None:
        if size < 1:
            raise ValueError(f"size must be at least 1, got {size}")
        self.task, self.size = task, size
        model = model_of(task)
        self.batch: Any = ContactBatch(model, size) if "cfrc_ext" in task.fields else Batch(model, size, nthread=1)
        self._fields = {name: self.batch.bind(name) for name in task.fields}
        self._constants = {name: getattr(self.batch.model, name).copy() for name in task.constants}
        self._qpos, self._qvel, self._ctrl = (self.batch.bind(name) for name in ("qpos", "qvel", "ctrl"))
        self._warm_start = self.batch.bind("qacc_warmstart")
        self._warnings = self.batch.warning[:, _BAD_WARNINGS, 1]
        self._position = np.zeros(size)
        self._dt = self.batch.model.opt.timestep * task.frame_skip

    def reset(self, rows: np.ndarray, seeds: Sequence[int]) -> np.ndarray:
        """Start row ``rows[i]`` as ``gymnasium.make(task.id).reset(seed=seeds[i])`` does; observations (n, obs)."""
        rows = np.asarray(rows, dtype=np.int32)
        model = self.batch.model
        self.batch.reset(np.sort(rows), stage=int(_mujoco.mjtStage.mjSTAGE_NONE))
        for row, seed in zip(rows, seeds, strict=True):
            qpos, qvel = self.task.reset_noise(np.random.default_rng(seed), model.nq, model.nv)
            self._qpos[row] += qpos
            self._qvel[row] += qvel
        return self.refresh(rows)

    def step(self, rows: np.ndarray, actions: np.ndarray) -> Step:
        """Advance the rows by one environment step under actions (n, action_size), float32, within the task's range.

        A row whose action holds a NaN is not stepped, and is bad; so is a row whose simulation MuJoCo gives up.
        """
        rows = np.asarray(rows, dtype=np.int32)
        bad = np.asarray(np.isnan(actions).any(axis=1))
        self._ctrl[rows] = actions
        try:
            self.batch.step(np.sort(rows[~bad] if bad.any() else rows), nstep=self.task.frame_skip)
        except SimulationError as e:
            bad |= np.isin(rows, e.ids)
        state = self._state(rows)
        # One look at all rows, and a closer one only if something is wrong with any of them.
        if self._warnings.any():
            bad |= self._warnings[rows].any(axis=1)
        if not (np.isfinite(state["qpos"]).all() and np.isfinite(state["qvel"]).all()):
            finite = np.isfinite(state["qpos"]).all(axis=1) & np.isfinite(state["qvel"]).all(axis=1)
            bad |= ~finite

        position = self.task.position(state)
        velocity = (position - self._position[rows]) / self._dt
        self._position[rows] = position
        observation = self.task.observation(state)
        reward = self.task.reward(velocity, actions, state)
        terminated = self.task.terminated(state)
        if bad.any():
            observation[bad], reward[bad], terminated[bad] = 0.0, 0.0, True
        return Step(observation, reward, terminated, bad)

    @property
    def positions(self) -> np.ndarray:
        """(size, nq), live."""
        return self._qpos

    @property
    def velocities(self) -> np.ndarray:
        """(size, nv), live."""
        return self._qvel

    def place(self, row: int, position: np.ndarray, velocity: np.ndarray, like: int) -> None:
        """Put a row into a state, all else of its simulation as in row `like`; `refresh` it before it is stepped."""
        self._qpos[row], self._qvel[row] = position, velocity
        self._warm_start[row], self._ctrl[row] = self._warm_start[like], self._ctrl[like]

    def refresh(self, rows: np.ndarray, forces: bool = False) -> np.ndarray:
        """Compute what depends on the rows' present state, contact forces only if asked for; observations (n, obs)."""
        rows = np.asarray(rows, dtype=np.int32)
        if forces and isinstance(self.batch, ContactBatch):
            self.batch.forward(rows, forces=True)
        else:
            self.batch.forward(np.sort(rows))
        state = self._state(rows)
        self._position[rows] = self.task.position(state)
        return self.task.observation(state)

    def _state(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        return {name: field[rows] for name, field in self._fields.items()} | self._constants


@functools.cache
def model_of(task: Task) -> Any:
    """The task's model; `Batch` copies it, and a `ContactBatch` only reads it."""
    return _mujoco.MjModel.from_xml_path(str(task.model_path()))

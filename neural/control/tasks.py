"""MuJoCo tasks as plain definitions: what an environment adds to the physics, vectorised over a batch of states.

A task's functions read a state: a mapping from MjData field names (`Task.fields`) to arrays whose leading axis is the
environment. They repeat gymnasium's arithmetic, order of operations and precision, so that observations, rewards and
terminations are bitwise those of ``gymnasium.make(task.id)``.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib.util
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

State = Mapping[str, np.ndarray]


@dataclasses.dataclass(frozen=True, eq=False)
class Task:
    """One MuJoCo task.

    Attributes:
        id: gymnasium's name, such as ``"Walker2d-v4"``.
        model_file: file name of the model among gymnasium's MuJoCo assets.
        observation_size, action_size: numbers of entries.
        action_low, action_high: (action_size,) float32 bounds of an action.
        frame_skip: physics steps per environment step.
        time_limit: environment steps after which gymnasium truncates an episode.
        fields: the MjData fields the functions below read; each must be one that ``mujoco.batch.Batch`` binds.
        position: state -> (n,) coordinate in metres whose velocity is rewarded.
        observation: state -> (n, observation_size) float64.
        reward: (velocity (n,) in m/s, actions (n, action_size) float32, state after the step) -> (n,) float64.
        terminated: state -> (n,) bool, the episode ends in this state whatever the time.
        reset_noise: (generator, nq, nv) -> (nq,), (nv,) offsets from the model's initial position and velocity.
    """

    id: str
    model_file: str
    observation_size: int
    action_size: int
    action_low: np.ndarray
    action_high: np.ndarray
    frame_skip: int
    time_limit: int
    fields: tuple[str, ...]
    position: Callable[[State], np.ndarray]
    observation: Callable[[State], np.ndarray]
    reward: Callable[[np.ndarray, np.ndarray, State], np.ndarray]
    terminated: Callable[[State], np.ndarray]
    reset_noise: Callable[[np.random.Generator, int, int], tuple[np.ndarray, np.ndarray]]

    def model_path(self) -> Path:
        """Where the task's MuJoCo model (XML) lies.

        Raises:
            ModuleNotFoundError: if gymnasium, whose assets hold the model, is not installed.
        """
        # find_spec locates the assets without the second that importing gymnasium's environments takes.
        spec = importlib.util.find_spec("gymnasium")
        if spec is None or spec.origin is None:
            raise ModuleNotFoundError("gymnasium is not installed: its assets hold the MuJoCo models")
        return Path(spec.origin).parent / "envs" / "mujoco" / "assets" / self.model_file


def get_task(name: str) -> Task:
    """The task called `name`, such as ``"Walker2d-v4"``.

    Raises:
        ValueError: if there is no such task.
    """
    if name not in _TASKS:
        raise ValueError(f"task must be one of {sorted(_TASKS)}, got {name!r}")
    return _TASKS[name]


def _planar_position(state: State) -> np.ndarray:
    return state["qpos"][:, 0]


def _planar_observation(state: State) -> np.ndarray:
    """Joint positions without the horizontal one, then joint velocities."""
    return np.concatenate((state["qpos"][:, 1:], state["qvel"]), axis=1)


def _clipped_observation(state: State) -> np.ndarray:
    """As `_planar_observation`, the velocities clipped to ±10."""
    return np.concatenate((state["qpos"][:, 1:], np.clip(state["qvel"], -10, 10)), axis=1)


def _forward_reward(
    velocity: np.ndarray, actions: np.ndarray, state: State, *, alive: float, cost_weight: float
) -> np.ndarray:
    """Velocity plus a constant for being alive, minus the control cost; paid on the terminal step too, as in v4."""
    # The cost stays in float32, as gymnasium computes it from a float32 action.
    return (velocity + alive) - cost_weight * np.sum(np.square(actions), axis=1)


def _walker_terminated(state: State) -> np.ndarray:
    height, angle = state["qpos"][:, 1], state["qpos"][:, 2]
    # Written as "not inside", so that NaN terminates.
    return ~((height > 0.8) & (height < 2.0) & (angle > -1.0) & (angle < 1.0))


def _hopper_terminated(state: State) -> np.ndarray:
    height, angle = state["qpos"][:, 1], state["qpos"][:, 2]
    rest = np.concatenate((state["qpos"][:, 2:], state["qvel"]), axis=1)
    return ~((np.abs(rest) < 100.0).all(axis=1) & (height > 0.7) & (angle > -0.2) & (angle < 0.2))


def _never_terminated(state: State) -> np.ndarray:
    return np.zeros(len(state["qpos"]), dtype=bool)


def _uniform_noise(rng: np.random.Generator, nq: int, nv: int, *, scale: float) -> tuple[np.ndarray, np.ndarray]:
    # The order of the two draws is gymnasium's.
    qpos = rng.uniform(low=-scale, high=scale, size=nq)
    qvel = rng.uniform(low=-scale, high=scale, size=nv)
    return qpos, qvel


def _cheetah_noise(rng: np.random.Generator, nq: int, nv: int) -> tuple[np.ndarray, np.ndarray]:
    return rng.uniform(low=-0.1, high=0.1, size=nq), 0.1 * rng.standard_normal(nv)


def _bounds(size: int, bound: float) -> dict[str, np.ndarray]:
    low, high = np.full(size, -bound, dtype=np.float32), np.full(size, bound, dtype=np.float32)
    low.flags.writeable = high.flags.writeable = False
    return {"action_low": low, "action_high": high}


_WALKER2D_V4 = Task(
    id="Walker2d-v4",
    model_file="walker2d.xml",
    observation_size=17,
    action_size=6,
    **_bounds(6, 1.0),
    frame_skip=4,
    time_limit=1000,
    fields=("qpos", "qvel"),
    position=_planar_position,
    observation=_clipped_observation,
    reward=functools.partial(_forward_reward, alive=1.0, cost_weight=1e-3),
    terminated=_walker_terminated,
    reset_noise=functools.partial(_uniform_noise, scale=5e-3),
)

_HOPPER_V4 = Task(
    id="Hopper-v4",
    model_file="hopper.xml",
    observation_size=11,
    action_size=3,
    **_bounds(3, 1.0),
    frame_skip=4,
    time_limit=1000,
    fields=("qpos", "qvel"),
    position=_planar_position,
    observation=_clipped_observation,
    reward=functools.partial(_forward_reward, alive=1.0, cost_weight=1e-3),
    terminated=_hopper_terminated,
    reset_noise=functools.partial(_uniform_noise, scale=5e-3),
)

_HALF_CHEETAH_V4 = Task(
    id="HalfCheetah-v4",
    model_file="half_cheetah.xml",
    observation_size=17,
    action_size=6,
    **_bounds(6, 1.0),
    frame_skip=5,
    time_limit=1000,
    fields=("qpos", "qvel"),
    position=_planar_position,
    observation=_planar_observation,
    reward=functools.partial(_forward_reward, alive=0.0, cost_weight=0.1),
    terminated=_never_terminated,
    reset_noise=_cheetah_noise,
)

_TASKS = {task.id: task for task in (_WALKER2D_V4, _HOPPER_V4, _HALF_CHEETAH_V4)}

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
from typing import Any

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
        fields: the MjData fields the functions below read; each must be one that ``mujoco.batch.Batch`` binds. With
            ``cfrc_ext`` among them, contact forces are computed after each step and are zero after a reset, as in
            gymnasium.
        constants: the MjModel fields they read; these have no leading axis.
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
    constants: tuple[str, ...] = ()

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


def action_bound(task: Task) -> float:
    """The bound b of a task's action range [-b, b].

    Raises:
        ValueError: if the range is not symmetric and the same for every entry.
    """
    low, high = task.action_low, task.action_high
    if not (np.all(high == high[0]) and np.all(low == -high[0])):
        raise ValueError(f"{task.id} must have one symmetric action range, has {low} to {high}")
    return float(str(high[0]))  # 0.4, not the float32 nearest to it


def _planar_position(state: State) -> np.ndarray:
    return state["qpos"][:, 0]


def _torso_position(state: State) -> np.ndarray:
    return state["xpos"][:, 1, 0]


def _mass_centre(state: State) -> np.ndarray:
    mass = state["body_mass"][:, None]
    return (np.sum(mass * state["xipos"], axis=1) / np.sum(mass))[:, 0]


def _planar_observation(state: State) -> np.ndarray:
    """Joint positions without the horizontal one, then joint velocities."""
    return np.concatenate((state["qpos"][:, 1:], state["qvel"]), axis=1)


def _clipped_observation(state: State) -> np.ndarray:
    """As `_planar_observation`, the velocities clipped to ±10."""
    return np.concatenate((state["qpos"][:, 1:], np.clip(state["qvel"], -10, 10)), axis=1)


def _ant_observation(state: State, *, contacts: bool) -> np.ndarray:
    """Positions without the horizontal two, velocities, and in v5 the contact forces on each body clipped to ±1."""
    parts = [state["qpos"][:, 2:], state["qvel"]]
    if contacts:
        parts.append(np.clip(state["cfrc_ext"][:, 1:], -1.0, 1.0).reshape(len(state["qpos"]), -1))
    return np.concatenate(parts, axis=1)


def _humanoid_observation(state: State, *, first_body: int, first_force: int) -> np.ndarray:
    """Positions without the horizontal two, velocities, inertias, body velocities, actuator and contact forces.

    v5 leaves out what is constant: the world body (first_body = 1) and the free joint (first_force = 6).
    """
    n = len(state["qpos"])
    inertia, velocity, contacts = (state[f][:, first_body:].reshape(n, -1) for f in ("cinert", "cvel", "cfrc_ext"))
    forces = state["qfrc_actuator"][:, first_force:]
    return np.concatenate((state["qpos"][:, 2:], state["qvel"], inertia, velocity, forces, contacts), axis=1)


def _forward_reward(
    velocity: np.ndarray,
    actions: np.ndarray,
    state: State,
    *,
    alive: float,
    cost_weight: float,
    fallen: Callable[[State], np.ndarray] | None = None,
) -> np.ndarray:
    """Velocity plus a constant for being alive, minus the control cost.

    The constant is paid on the terminal step too, as in v4, unless `fallen` says which states go without it (v5).
    """
    # The cost stays in float32, as gymnasium computes it from a float32 action.
    return (velocity + _alive(alive, fallen, state)) - cost_weight * np.sum(np.square(actions), axis=1)


def _alive(bonus: float, fallen: Callable[[State], np.ndarray] | None, state: State) -> float | np.ndarray:
    return bonus if fallen is None else ~fallen(state) * bonus


def _ant_v5_reward(velocity: np.ndarray, actions: np.ndarray, state: State) -> np.ndarray:
    """As v4 less the cost of contact forces, and without the constant on the terminal step."""
    forces = np.clip(state["cfrc_ext"], -1.0, 1.0).reshape(len(actions), -1)
    costs = 0.5 * np.sum(np.square(actions), axis=1) + 5e-4 * np.sum(np.square(forces), axis=1)
    return (velocity + _alive(1.0, _ant_terminated, state)) - costs


def _humanoid_reward(velocity: np.ndarray, actions: np.ndarray, state: State, *, v5: bool) -> np.ndarray:
    """Velocity, a constant for being upright, control cost and in v5 the cost of contact forces."""
    costs = 0.1 * np.sum(np.square(actions.astype(np.float64)), axis=1)  # from MuJoCo's own float64 copy
    if v5:
        forces = state["cfrc_ext"].reshape(len(actions), -1)
        costs = costs + np.clip(5e-7 * np.sum(np.square(forces), axis=1), -np.inf, 10.0)
    return (1.25 * velocity + _alive(5.0, _humanoid_terminated if v5 else None, state)) - costs


# Each is written as "not healthy", so that NaN terminates.


def _walker_terminated(state: State) -> np.ndarray:
    height, angle = state["qpos"][:, 1], state["qpos"][:, 2]
    return ~((height > 0.8) & (height < 2.0) & (angle > -1.0) & (angle < 1.0))


def _hopper_terminated(state: State) -> np.ndarray:
    height, angle = state["qpos"][:, 1], state["qpos"][:, 2]
    rest = np.concatenate((state["qpos"][:, 2:], state["qvel"]), axis=1)
    return ~((np.abs(rest) < 100.0).all(axis=1) & (height > 0.7) & (angle > -0.2) & (angle < 0.2))


def _ant_terminated(state: State) -> np.ndarray:
    height = state["qpos"][:, 2]
    finite = np.isfinite(state["qpos"]).all(axis=1) & np.isfinite(state["qvel"]).all(axis=1)
    return ~(finite & (height >= 0.2) & (height <= 1.0))


def _humanoid_terminated(state: State) -> np.ndarray:
    height = state["qpos"][:, 2]
    return ~((height > 1.0) & (height < 2.0))


def _never_terminated(state: State) -> np.ndarray:
    return np.zeros(len(state["qpos"]), dtype=bool)


# The order of the two draws is gymnasium's.


def _uniform_noise(rng: np.random.Generator, nq: int, nv: int, *, scale: float) -> tuple[np.ndarray, np.ndarray]:
    qpos = rng.uniform(low=-scale, high=scale, size=nq)
    qvel = rng.uniform(low=-scale, high=scale, size=nv)
    return qpos, qvel


def _normal_velocity_noise(rng: np.random.Generator, nq: int, nv: int) -> tuple[np.ndarray, np.ndarray]:
    return rng.uniform(low=-0.1, high=0.1, size=nq), 0.1 * rng.standard_normal(nv)


def _bounds(size: int, bound: float) -> dict[str, Any]:
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
_WALKER2D_V5 = dataclasses.replace(
    _WALKER2D_V4,
    id="Walker2d-v5",
    model_file="walker2d_v5.xml",
    reward=functools.partial(_forward_reward, alive=1.0, cost_weight=1e-3, fallen=_walker_terminated),
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
_HOPPER_V5 = dataclasses.replace(
    _HOPPER_V4,
    id="Hopper-v5",
    reward=functools.partial(_forward_reward, alive=1.0, cost_weight=1e-3, fallen=_hopper_terminated),
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
    reset_noise=_normal_velocity_noise,
)
_HALF_CHEETAH_V5 = dataclasses.replace(_HALF_CHEETAH_V4, id="HalfCheetah-v5")

_ANT_V4 = Task(
    id="Ant-v4",
    model_file="ant.xml",
    observation_size=27,
    action_size=8,
    **_bounds(8, 1.0),
    frame_skip=5,
    time_limit=1000,
    fields=("qpos", "qvel", "xpos"),
    position=_torso_position,
    observation=functools.partial(_ant_observation, contacts=False),
    reward=functools.partial(_forward_reward, alive=1.0, cost_weight=0.5),
    terminated=_ant_terminated,
    reset_noise=_normal_velocity_noise,
)
_ANT_V5 = dataclasses.replace(
    _ANT_V4,
    id="Ant-v5",
    observation_size=105,
    fields=("qpos", "qvel", "xpos", "cfrc_ext"),
    observation=functools.partial(_ant_observation, contacts=True),
    reward=_ant_v5_reward,
)

_HUMANOID_V4 = Task(
    id="Humanoid-v4",
    model_file="humanoid.xml",
    observation_size=376,
    action_size=17,
    **_bounds(17, 0.4),
    frame_skip=5,
    time_limit=1000,
    fields=("qpos", "qvel", "xipos", "cinert", "cvel", "qfrc_actuator", "cfrc_ext"),
    constants=("body_mass",),
    position=_mass_centre,
    observation=functools.partial(_humanoid_observation, first_body=0, first_force=0),
    reward=functools.partial(_humanoid_reward, v5=False),
    terminated=_humanoid_terminated,
    reset_noise=functools.partial(_uniform_noise, scale=1e-2),
)
_HUMANOID_V5 = dataclasses.replace(
    _HUMANOID_V4,
    id="Humanoid-v5",
    observation_size=348,
    observation=functools.partial(_humanoid_observation, first_body=1, first_force=6),
    reward=functools.partial(_humanoid_reward, v5=True),
)

_TASKS = {
    task.id: task
    for task in (
        _WALKER2D_V4,
        _WALKER2D_V5,
        _HOPPER_V4,
        _HOPPER_V5,
        _HALF_CHEETAH_V4,
        _HALF_CHEETAH_V5,
        _ANT_V4,
        _ANT_V5,
        _HUMANOID_V4,
        _HUMANOID_V5,
    )
}

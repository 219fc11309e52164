"""The whole state of an off-policy run on disk, so that one killed at any moment goes on to the same end, bit for bit.

Kept are the networks and their optimisers, every random generator, the replay buffer, and the environment in the middle
of its episode. The buffer is written in segments, each transition once; a segment is only believed up to the number of
transitions that the state names, which is written after it. Nothing is pickled.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import mujoco
import numpy as np

from neural.runs import load_arrays, save_arrays

_mujoco: Any = mujoco  # its bindings carry no types
_BUFFER = ("observations", "next_observations", "actions", "rewards", "dones", "timeouts")
_DERIVED = ("xpos", "xipos")  # read before a step by Ant and Humanoid, one physics step behind the state


def save(directory: Path, model: Any, extra: Mapping[str, np.ndarray], note: Mapping[str, Any]) -> None:
    """Write the state of an sbx model between its updates and the next roll-out.

    Args:
        directory: of the state; holds state.npz and replay_START_STOP.npz.
        model: of one of the off-policy `algorithms`, on one gymnasium MuJoCo environment.
        extra: further arrays of the caller.
        note: further JSON values of the caller.
    """
    import jax

    buffer, count = model.replay_buffer, model.num_timesteps
    start = _stored(directory)
    if count > start:
        where = np.arange(start, count) % buffer.buffer_size
        save_arrays(directory / f"replay_{start:09d}_{count:09d}.npz", {f: getattr(buffer, f)[where] for f in _BUFFER})
    arrays = {f"extra/{name}": value for name, value in extra.items()}
    for name, tree in _trees(model).items():
        arrays |= {f"{name}/{i}": np.asarray(leaf) for i, leaf in enumerate(jax.tree.leaves(tree))}
    env = model.get_env().envs[0]
    generator: Any = np.random.get_state()  # noqa: NPY002 (the buffer samples from the global generator)
    physics, data = env.unwrapped.model, env.unwrapped.data
    spec = _mujoco.mjtState.mjSTATE_INTEGRATION
    arrays["physics"] = np.empty(_mujoco.mj_stateSize(physics, spec))
    _mujoco.mj_getState(physics, data, arrays["physics"], spec)
    arrays |= {name: getattr(data, name).copy() for name in _DERIVED}
    arrays |= {"last_observation": model._last_obs, "numpy_keys": generator[1]}
    arrays["episode_rewards"] = np.array(env.get_wrapper_attr("rewards"), dtype=np.float64)
    described = {
        "note": dict(note),
        "steps": count,
        "updates": model._n_updates,
        "episodes": model._episode_num,
        "numpy": [generator[0], *generator[2:]],
        "environment": env.unwrapped.np_random.bit_generator.state,
        "random_actions": model.action_space.np_random.bit_generator.state,
        "elapsed": env.get_wrapper_attr("_elapsed_steps"),
    }
    arrays["described"] = np.frombuffer(json.dumps(described).encode(), dtype=np.uint8)
    save_arrays(directory / "state.npz", arrays)


def restore(directory: Path, model: Any) -> tuple[dict[str, np.ndarray], dict[str, Any]] | None:
    """Put a freshly made model into the stored state; None if there is none yet.

    Returns:
        the caller's `extra` and `note`.

    Raises:
        ValueError: if a file is damaged or does not fit the model.
    """
    import jax

    file = directory / "state.npz"
    if not file.exists():
        return None
    arrays = load_arrays(file)
    described = json.loads(arrays.pop("described").tobytes())
    for name, tree in _trees(model).items():
        leaves, structure = jax.tree.flatten(tree)
        stored = [arrays.get(f"{name}/{i}") for i in range(len(leaves))]
        for i, (leaf, value) in enumerate(zip(leaves, stored, strict=True)):
            if value is None or value.shape != np.shape(leaf):
                raise ValueError(f"{file} does not fit the model: {name}/{i}")
        owner, attribute = _owner(model, name)
        filled = [jax.numpy.asarray(v, getattr(leaf, "dtype", None)) for leaf, v in zip(leaves, stored, strict=True)]
        setattr(owner, attribute, jax.tree.unflatten(structure, filled))
    _restore_buffer(directory, model.replay_buffer, described["steps"])
    np.random.set_state((described["numpy"][0], arrays["numpy_keys"], *described["numpy"][1:]))  # noqa: NPY002

    env = model.get_env().envs[0]
    env.reset()  # the wrappers want one before they step
    physics, data = env.unwrapped.model, env.unwrapped.data
    _mujoco.mj_setState(physics, data, arrays["physics"], _mujoco.mjtState.mjSTATE_INTEGRATION)
    for name in _DERIVED:
        getattr(data, name)[:] = arrays[name]
    env.unwrapped.np_random.bit_generator.state = described["environment"]
    model.action_space.np_random.bit_generator.state = described["random_actions"]
    env.set_wrapper_attr("_elapsed_steps", described["elapsed"])
    env.set_wrapper_attr("rewards", arrays["episode_rewards"].tolist())

    model.num_timesteps, model._n_updates = described["steps"], described["updates"]
    model._episode_num, model._last_obs = described["episodes"], arrays["last_observation"]
    extra = {name.removeprefix("extra/"): value for name, value in arrays.items() if name.startswith("extra/")}
    return extra, described["note"]


def _owner(model: Any, name: str) -> tuple[Any, str]:
    return (model, name) if name in ("ent_coef_state", "key") else (model.policy, name.removeprefix("policy_"))


def _trees(model: Any) -> dict[str, Any]:
    # TQC has two critics apart; TD3 and DDPG have no entropy coefficient.
    names = ("actor_state", "qf_state", "qf1_state", "qf2_state", "policy_key", "noise_key", "ent_coef_state", "key")
    return {name: getattr(*_owner(model, name)) for name in names if hasattr(*_owner(model, name))}


def _segments(directory: Path) -> list[tuple[int, int, Path]]:
    """(start, stop, file) of every complete segment, in order."""
    files = sorted(directory.glob("replay_*_*.npz"))
    return [(int(file.stem.split("_")[1]), int(file.stem.split("_")[2]), file) for file in files]


def _stored(directory: Path) -> int:
    """Transitions in the segments that join up from zero."""
    stop = 0
    for start, end, _ in _segments(directory):
        stop = max(stop, end) if start <= stop else stop
    return stop


def _restore_buffer(directory: Path, buffer: Any, count: int) -> None:
    if _stored(directory) < count:
        raise ValueError(f"{directory} holds {_stored(directory)} transitions of the replay buffer, needs {count}")
    for start, stop, file in _segments(directory):
        kept = np.arange(max(start, count - buffer.buffer_size), min(stop, count))
        if len(kept):
            arrays = load_arrays(file)
            for name in _BUFFER:
                getattr(buffer, name)[kept % buffer.buffer_size] = arrays[name][kept - start]
    buffer.pos, buffer.full = count % buffer.buffer_size, count >= buffer.buffer_size

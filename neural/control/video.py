"""A film of one episode, drawn afterwards from the states that an evaluation passed: its return is the evaluation's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import mujoco
import numpy as np

from gvatheory import validation
from neural.control.batch_env import model_of
from neural.control.inference import Policy
from neural.control.rollout import EpisodeResults, evaluate
from neural.control.tasks import Task
from neural.runs import atomic

_mujoco: Any = mujoco  # its bindings carry no types

FORMATS = (".gif", ".mp4")


def check_format(path: Path | str) -> None:
    """Require a file name that can be filmed to.

    Raises:
        ValueError: if it ends in neither .gif nor .mp4.
        ModuleNotFoundError: for .mp4 without imageio's ffmpeg.
    """
    path = Path(path)
    if path.suffix not in FORMATS:
        raise ValueError(f"out must end in one of {FORMATS}, got {path}")
    if path.suffix == ".mp4":
        import imageio_ffmpeg  # noqa: F401  # pyright: ignore[reportMissingImports]


def episode(policy: Policy, task: Task, seed: int, *, max_steps: int | None = None) -> EpisodeResults:
    """`rollout.evaluate` of one policy from one initial condition, with the state at every environment step."""
    return evaluate([policy], task, [seed], max_steps=max_steps, threads=1, states_every=1)


def frames(
    results: EpisodeResults, task: Task, *, every: int = 1, width: int = 480, height: int = 360
) -> Iterator[np.ndarray]:
    """Pictures (height, width, 3) uint8 of an episode's states, at every so many environment steps from the first on.

    The camera is the model's first, which follows the body in gymnasium's tasks, or MuJoCo's free one if it has none.

    Args:
        results: of `episode`.
        task: the episode's.
        every: environment steps per picture, ≥ 1.
        width, height: in pixels, ≥ 16, at most what the model's off-screen buffer holds (640 by 480 by default).

    Raises:
        ValueError: if an argument is out of range or there are no states.
        Exception: what MuJoCo raises where it cannot render; `rendering.choose_back_end` tells beforehand.
    """
    if results.states is None:
        raise ValueError("results must hold states: evaluate with states_every=1")
    validation.integer("every", every, 1)
    model = model_of(task)
    validation.integer("width", width, 16, int(model.vis.global_.offwidth))
    validation.integer("height", height, 16, int(model.vis.global_.offheight))
    return _drawn(results, model, every, width, height)


def _drawn(results: EpisodeResults, model: Any, every: int, width: int, height: int) -> Iterator[np.ndarray]:
    assert results.states is not None
    data = _mujoco.MjData(model)
    with _mujoco.Renderer(model, height, width) as renderer:
        for step in range(0, int(results.lengths[0, 0]) + 1, every):
            data.qpos[:], data.qvel[:] = results.states.positions[0, 0, step], results.states.velocities[0, 0, step]
            if not np.isfinite(data.qpos).all():  # the last state of a simulation that diverged
                return
            _mujoco.mj_forward(model, data)
            renderer.update_scene(data, camera=0 if model.ncam else -1)
            yield renderer.render()


def film(
    path: Path | str,
    results: EpisodeResults,
    task: Task,
    *,
    fps: float = 25.0,
    width: int = 480,
    height: int = 360,
    progress: Callable[[int, int], None] | None = None,
) -> int:
    """Write an episode at its own speed, as nearly as whole steps per picture allow, and return the number of pictures.

    Args:
        path: .gif, or .mp4 where imageio's ffmpeg is installed.
        results, task, width, height: as in `frames`.
        fps: pictures per second at most, > 0.
        progress: called with (pictures written, pictures in all).

    Raises:
        ValueError, ModuleNotFoundError: as `check_format` and `frames`.
    """
    import imageio.v2 as imageio

    check_format(path)
    validation.positive("fps", fps)
    path = Path(path)
    second = 1 / (model_of(task).opt.timestep * task.frame_skip)  # environment steps
    every = max(1, round(second / fps))
    pictures = frames(results, task, every=every, width=width, height=height)
    total, count = int(results.lengths[0, 0]) // every + 1, 0
    options = {"duration": 1000 * every / second, "loop": 0} if path.suffix == ".gif" else {"fps": second / every}
    with atomic(path) as part:
        named = part.with_name(part.name + path.suffix)  # the writers go by a file's ending
        try:
            writer: Any = imageio.get_writer(named, **options)
            with writer:
                for picture in pictures:
                    writer.append_data(picture)
                    count += 1
                    if progress is not None:
                        progress(count, total)
            named.replace(part)
        finally:
            named.unlink(missing_ok=True)
    return count

"""Films: the episode is the evaluation's, pictures where something renders, one line where nothing does."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

from neural.control.batch_env import model_of
from neural.control.experts import load_expert
from neural.control.rendering import NoRenderer, choose_back_end
from neural.control.rollout import evaluate
from neural.control.tasks import get_task
from neural.control.video import check_format, episode, film, frames

TASK = get_task("Hopper-v4")


def test_the_filmed_episode_is_the_one_that_counts() -> None:
    policy, _ = load_expert(TASK.id)
    ours = episode(policy, TASK, 7, max_steps=40)
    theirs = evaluate([policy], TASK, [3, 7], max_steps=40)
    assert ours.returns[0, 0] == theirs.returns[0, 1]
    assert ours.states is not None
    assert ours.states.positions.shape == (1, 1, 41, 6)
    assert np.isfinite(ours.states.velocities).all()
    # The forward speed rewarded is that of the states: 1 per step for being alive, minus a small control cost.
    model = model_of(TASK)
    travelled = float(np.diff(ours.states.positions[0, 0, [0, -1], 0])[0])
    speed = travelled / (model.opt.timestep * TASK.frame_skip)
    assert 40 + speed - 0.003 * 40 <= ours.returns[0, 0] <= 40 + speed


SCRIPT = """
import sys
from paper_figs.cli import main
main(["video", "--task", "Hopper-v4", "--max-steps", "30", "--out", sys.argv[1]])
"""


def run_command(out, **environment: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONPATH": os.getcwd(), **environment}
    return subprocess.run(
        [sys.executable, "-c", SCRIPT, str(out)], env=env, capture_output=True, text=True, timeout=120, check=False
    )


@pytest.mark.parametrize("back_end", ["disable", "no-such-thing"])
def test_where_nothing_renders_one_line_says_so(back_end, tmp_path) -> None:
    done = run_command(tmp_path / "a.gif", MUJOCO_GL=back_end)
    assert done.returncode == 2
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1
    assert lines[0].startswith(f"gva: no rendering back end works here ({back_end}: ")
    assert "libegl1" in lines[0]
    assert not any(tmp_path.iterdir())


@pytest.mark.slow
def test_a_film_shows_the_states(tmp_path) -> None:
    try:
        back_end = choose_back_end()
    except NoRenderer as e:
        pytest.skip(str(e))
    done = run_command(tmp_path / "a.gif", MUJOCO_GL=back_end)
    assert done.returncode == 0, done.stderr
    policy, _ = load_expert(TASK.id)
    assert f"return {episode(policy, TASK, 0, max_steps=30).returns[0, 0]:.2f} over 30 steps" in done.stdout
    from PIL import Image

    with Image.open(tmp_path / "a.gif") as picture:
        assert getattr(picture, "n_frames", 1) == 30 // 5 + 1  # 125 steps a second, 25 pictures
        assert picture.info["duration"] == 40
        assert picture.size == (480, 360)
        first = np.asarray(picture.convert("RGB"), dtype=float)
        picture.seek(6)
        last = np.asarray(picture.convert("RGB"), dtype=float)
    assert first.std() > 10
    assert np.abs(first - last).max() > 50
    assert [file.name for file in tmp_path.iterdir()] == ["a.gif"]


def test_bad_arguments_are_named(tmp_path) -> None:
    policy, _ = load_expert(TASK.id)
    with pytest.raises(ValueError, match=r"must end in one of \('\.gif', '\.mp4'\), got a\.avi"):
        check_format("a.avi")
    results = episode(policy, TASK, 0, max_steps=2)
    with pytest.raises(ValueError, match="width must be an integer from 16 to 640, got 641"):
        frames(results, TASK, width=641)
    with pytest.raises(ValueError, match="fps"):
        film(tmp_path / "a.gif", results, TASK, fps=0.0)
    with pytest.raises(ValueError, match="must hold states"):
        frames(evaluate([policy], TASK, [0], max_steps=2), TASK)
    assert not any(tmp_path.iterdir())

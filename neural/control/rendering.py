"""Which of MuJoCo's rendering back ends works here. Importing this does not import MuJoCo, which reads the choice once.

MuJoCo takes its back end from the environment variable MUJOCO_GL when it is imported, and without a display its own
default fails. So back ends are tried in processes of their own.
"""

from __future__ import annotations

import os
import subprocess
import sys

BACK_ENDS = ("egl", "osmesa", "glfw")
"""In the order in which they are tried; the first two need no display."""

_TRIAL = """
import mujoco
model = mujoco.MjModel.from_xml_string("<mujoco><worldbody><geom size='1'/></worldbody></mujoco>")
data = mujoco.MjData(model)
mujoco.mj_forward(model, data)
with mujoco.Renderer(model, 16, 16) as renderer:
    renderer.update_scene(data)
    renderer.render()
"""


class NoRenderer(ValueError):
    """No rendering back end works."""


def choose_back_end() -> str:
    """The back end that MUJOCO_GL names if it works, or else the first of `BACK_ENDS` that does if it names none.

    Raises:
        NoRenderer: in one line, with what each back end tried had to say.
    """
    asked = os.environ.get("MUJOCO_GL", "").strip()
    failures = []
    for name in (asked,) if asked else BACK_ENDS:
        problem = _problem(name)
        if problem is None:
            return name
        failures.append(f"{name}: {problem}")
    tried = "; ".join(failures)
    raise NoRenderer(f"no rendering back end works here ({tried}); install EGL (libegl1) or OSMesa (libosmesa6)")


def _problem(name: str) -> str | None:
    """Why that back end does not render, in a few words; None if it does."""
    try:
        trial = subprocess.run(
            [sys.executable, "-c", _TRIAL],
            env={**os.environ, "MUJOCO_GL": name},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return "no picture within 60 s"
    if trial.returncode == 0:
        return None
    lines = [line for line in trial.stderr.splitlines() if line and not line.startswith(" ")]
    raised = [line for line in lines if "Error" in line and not line.startswith(("Exception ignored", "Traceback"))]
    return (raised or lines or [f"exit status {trial.returncode}"])[0][:120]

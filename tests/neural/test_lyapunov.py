"""Lyapunov exponents: a linear loop's known ones, smoothness of the size, every task, and what is refused."""

import dataclasses
from typing import Any

import numpy as np
import pytest

from neural.control.experts import load_expert
from neural.control.lyapunov import divergence, lyapunov_spectrum
from neural.control.policies import MLPPolicy
from neural.control.tasks import Task, get_task

H, STIFFNESS, DAMPING, SKIP = 0.01, 30.0, 2.0, 3
MODEL = f"""
<mujoco><option timestep="{H}" gravity="0 0 0" integrator="Euler"/><worldbody><body>
<joint name="x" type="slide" axis="1 0 0" stiffness="{STIFFNESS}" damping="{DAMPING}"/>
<geom type="sphere" size="0.1" mass="1" contype="0" conaffinity="0"/></body></worldbody>
<actuator><motor joint="x" ctrllimited="true" ctrlrange="-1e6 1e6"/></actuator></mujoco>
"""


def mass_on_a_spring(tmp_path) -> Task:
    (tmp_path / "spring.xml").write_text(MODEL)
    return dataclasses.replace(
        get_task("HalfCheetah-v4"),
        id="Spring",
        model_file=str(tmp_path / "spring.xml"),
        observation_size=2,
        action_size=1,
        action_low=np.array([-1e6]),
        action_high=np.array([1e6]),
        frame_skip=SKIP,
        observation=lambda state: np.concatenate((state["qpos"], state["qvel"]), axis=1),
        reset_noise=lambda rng, nq, nv: (rng.standard_normal(nq), rng.standard_normal(nv)),
    )


def gain(position: float, velocity: float) -> MLPPolicy:
    return MLPPolicy((np.array([[position], [velocity]]),), (np.zeros(1),), output="identity")


def closed_loop(position: float, velocity: float) -> np.ndarray:
    """The step of MuJoCo's Euler integrator, damping implicit, under an action held over SKIP of them."""
    rate = H / (1 + H * DAMPING)
    free = np.array([[1 - H * rate * STIFFNESS, H * (1 - rate * DAMPING)], [-rate * STIFFNESS, 1 - rate * DAMPING]])
    push = np.array([[H * rate], [rate]])
    total, held = np.eye(2), np.zeros((2, 1))
    for _ in range(SKIP):
        total, held = free @ total, free @ held + push
    return total + held @ np.array([[position, velocity]])


@pytest.mark.parametrize("feedback", [(40.0, -3.0), (20.0, -9.0)])  # unstable, stable; both with real eigenvalues
def test_exponents_of_a_linear_loop_are_its_eigenvalues(feedback, tmp_path) -> None:
    task, policy = mass_on_a_spring(tmp_path), gain(*feedback)
    spectrum = lyapunov_spectrum(policy, task, [0, 1, 2], count=2, steps=120, every=2, warm_up=0)
    expected = np.sort(np.log(np.abs(np.linalg.eigvals(closed_loop(*feedback)))))[::-1]
    np.testing.assert_allclose(spectrum.running()[-1], spectrum.exponents)
    late = spectrum.growth[:, 40:].mean(axis=(0, 1)) / spectrum.steps_per_segment  # once the directions have settled
    np.testing.assert_allclose(late, expected, atol=2e-7)
    assert (spectrum.standard_errors < 1e-6).all()  # the same map everywhere


def test_divergence_is_that_of_the_two_linear_maps(tmp_path) -> None:
    task, near = mass_on_a_spring(tmp_path), (40.0, -3.0)
    far = divergence(gain(*near), gain(40.5, -3.0), task, [0, 1], steps=30)
    assert far.shape == (2, 31)
    rng = np.random.default_rng(0)
    start = np.concatenate([rng.standard_normal(1), rng.standard_normal(1)])
    maps = closed_loop(*near), closed_loop(40.5, -3.0)
    states = [[np.linalg.matrix_power(m, h) @ start for h in range(31)] for m in maps]
    np.testing.assert_allclose(
        far[0], np.linalg.norm(np.array(states[0]) - np.array(states[1]), axis=1), rtol=1e-9, atol=1e-12
    )
    assert (divergence(gain(*near), gain(*near), task, [3], steps=5) == 0).all()


@pytest.mark.parametrize("name", ["Walker2d-v4", "HalfCheetah-v4"])
def test_an_experts_exponent_does_not_depend_on_the_size(name) -> None:
    policy, _ = load_expert(name)
    task = get_task(name)
    found = [lyapunov_spectrum(policy, task, [0, 1], steps=60, every=5, size=size) for size in (1e-7, 1e-6)]
    np.testing.assert_allclose(found[0].exponents, found[1].exponents, atol=2e-3)


@pytest.mark.parametrize("name", ["Ant-v4", "Humanoid-v4"])
def test_rotations_are_tangent_vectors_and_fallen_episodes_leave(name) -> None:
    task = get_task(name)
    rng = np.random.default_rng(0)
    weights = 0.01 * rng.standard_normal((task.observation_size, task.action_size))
    policy = MLPPolicy((weights,), (np.zeros(task.action_size),))
    spectrum = lyapunov_spectrum(policy, task, [0, 1, 2], count=2, steps=200, every=2, warm_up=2)
    lasting = np.isfinite(spectrum.growth[..., 0]).sum(axis=1)
    assert (np.diff(np.isnan(spectrum.growth[..., 0]).astype(int), axis=1) >= 0).all()
    assert lasting.max() > 0
    if name == "Humanoid-v4":  # falls whatever a linear policy does
        assert lasting.max() < 100
    assert np.isfinite(spectrum.exponents).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"count": 5}, "count must be an integer in 1..4|count must be .*, got 5"),
        ({"steps": 3}, "steps must be an integer at least 5, got 3"),
        ({"size": 0.0}, "size"),
        ({"seeds": []}, "at least one seed"),
    ],
)
def test_bad_arguments_are_named(change, message, tmp_path) -> None:
    arguments: dict[str, Any] = {"seeds": [0], **change}
    with pytest.raises(ValueError, match=message):
        lyapunov_spectrum(gain(0.0, 0.0), mass_on_a_spring(tmp_path), arguments.pop("seeds"), **arguments)
    with pytest.raises(ValueError, match="policy takes 2 observations"):
        lyapunov_spectrum(gain(0.0, 0.0), get_task("Hopper-v4"), [0])

"""Lyapunov exponents: a linear loop's known ones, one-step Jacobians, intervals that cover, and what is refused."""

import dataclasses
from typing import Any

import mujoco
import numpy as np
import pytest

from neural.control.closed_loop import ClosedLoop, symmetric_coordinates
from neural.control.experts import load_expert
from neural.control.lyapunov import LyapunovSpectrum, lyapunov_spectrum, spectrum_dataset
from neural.control.policies import MLPPolicy
from neural.control.tasks import Task, get_task

_mujoco: Any = mujoco  # its bindings carry no types

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
    spectrum = lyapunov_spectrum(policy, task, [0, 1, 2], count=None, steps=40, every=2, warm_up=0, settle=80)
    expected = np.sort(np.log(np.abs(np.linalg.eigvals(closed_loop(*feedback)))))[::-1]
    np.testing.assert_allclose(spectrum.exponents, expected, atol=2e-7)
    assert (spectrum.standard_errors < 1e-6).all()  # the same map everywhere
    unsettled = lyapunov_spectrum(policy, task, [0], count=2, steps=10, every=2, warm_up=0, settle=0)
    assert np.abs(unsettled.exponents - expected).max() > 1e-4
    assert np.isnan(unsettled.standard_errors).all()


def one_step_jacobian(policy: MLPPolicy, task: Task, state: np.ndarray, h: float) -> tuple[np.ndarray, np.ndarray]:
    """Central differences of a planar task's closed-loop map (qpos, qvel) → (qpos, qvel), and its next state."""
    model = _mujoco.MjModel.from_xml_path(str(task.model_path()))
    data, nq, warm = _mujoco.MjData(model), model.nq, np.zeros(model.nv)

    def after(start: np.ndarray) -> np.ndarray:
        data.qpos[:], data.qvel[:], data.qacc_warmstart[:] = start[:nq], start[nq:], warm
        seen = task.observation({"qpos": start[None, :nq], "qvel": start[None, nq:]})
        data.ctrl[:] = np.clip(policy(seen)[0], task.action_low, task.action_high)
        _mujoco.mj_step(model, data, nstep=task.frame_skip)
        return np.concatenate([data.qpos, data.qvel])

    steps = h * np.eye(len(state))
    slopes = [(after(state + step) - after(state - step)) / (2 * h) for step in steps]
    return np.stack(slopes, axis=1), after(state)


@pytest.mark.parametrize("name", ["Hopper-v4", "HalfCheetah-v4"])
def test_exponents_are_those_of_the_product_of_one_step_jacobians(name) -> None:
    """Another route: no copies carried along, no renormalised displacement, MuJoCo without `BatchEnv`."""
    task, policy, steps, size = get_task(name), load_expert(name)[0].astype(np.float64), 60, 1e-6
    spectrum = lyapunov_spectrum(policy, task, [4], count=3, steps=steps, every=1, warm_up=20, settle=0, size=size)
    loop = ClosedLoop(policy, task, 1)
    loop.reset(np.array([0]), [4])
    for _ in range(20):
        loop.step(np.array([0]))
    state = np.concatenate([loop.env.positions[0], loop.env.velocities[0]])
    free = np.arange(1, len(state))  # without the distance travelled
    directions = np.linalg.qr(np.random.default_rng(0).standard_normal((len(free), 3)))[0]
    growth = []
    for _ in range(steps):
        jacobian, state = one_step_jacobian(policy, task, state, 1e-7)
        directions, r = np.linalg.qr(jacobian[np.ix_(free, free)] @ directions)
        growth.append(np.log(np.abs(np.diag(r))))
    np.testing.assert_allclose(spectrum.exponents, np.mean(growth, axis=0), atol=1e-3)
    assert np.abs(spectrum.exponents).max() > 0.02


@pytest.mark.parametrize("name", ["Walker2d-v4", "Humanoid-v4"])
def test_displacing_leaves_the_original_and_copies_it_whole(name) -> None:
    """Copies at distance zero stay with their original, which goes on as if nobody had looked."""
    task, policy = get_task(name), load_expert(name)[0]
    watched, alone = ClosedLoop(policy, task, 3), ClosedLoop(policy, task, 3)
    rows = np.arange(3)
    for loop in (watched, alone):
        loop.reset(rows, [0, 1, 2])
    far = 0.01 * np.random.default_rng(0).standard_normal((1, 2, 2 * watched.model.nv))
    for _ in range(12):
        watched.displace(np.array([[0, 1, 2]]), far)  # so that the copies have forces and controls of their own
        for loop in (watched, alone):
            loop.step(rows)
        watched.displace(np.array([[0, 1, 2]]), np.zeros_like(far))
        assert np.abs(watched.observations[1:] - watched.observations[0]).max() < 1e-9
        for loop in (watched, alone):
            loop.step(rows)
        np.testing.assert_array_equal(watched.env.positions[0], alone.env.positions[0])
        np.testing.assert_array_equal(watched.observations[0], alone.observations[0])
        assert np.abs(watched.apart(0, 1)).max() < 1e-7  # rounding of the policy's rows, amplified by one step


@pytest.mark.parametrize(
    ("name", "blind"),
    [("Walker2d-v4", 1), ("Hopper-v4", 1), ("HalfCheetah-v4", 1), ("Ant-v4", 2), ("Humanoid-v4", 2)],
)
def test_the_distance_travelled_is_no_part_of_the_state(name, blind) -> None:
    np.testing.assert_array_equal(np.flatnonzero(symmetric_coordinates(get_task(name))), np.arange(blind))


def test_a_spring_has_no_symmetry(tmp_path) -> None:
    assert not symmetric_coordinates(mass_on_a_spring(tmp_path)).any()


def test_intervals_cover() -> None:
    """Correlated growth in eight episodes of very different lengths, each with a mean of its own."""
    rng, inside, trials = np.random.default_rng(0), 0, 600
    for _ in range(trials):
        growth = np.full((8, 120, 1), np.nan)
        for own in growth:
            length, noise = rng.integers(20, 121), rng.standard_normal(140)
            own[:length, 0] = (
                0.5 + 0.2 * rng.standard_normal() + np.convolve(noise, 0.8 ** np.arange(20))[20:140][:length]
            )
        spectrum = LyapunovSpectrum(growth, 5, 1e-6)
        low, high = spectrum.interval(0.95)
        inside += bool(low[0] <= 0.1 <= high[0])
    assert 0.92 <= inside / trials <= 0.975  # √(0.05 · 0.95/600) = 0.9 %, and the ratio's own small bias


def test_running_exponents_end_at_the_exponents() -> None:
    growth = np.random.default_rng(1).standard_normal((4, 30, 2))
    growth[1, 10:], growth[2] = np.nan, np.nan  # the third ended before it counted
    spectrum = LyapunovSpectrum(growth, 2, 1e-6)
    values, errors = spectrum.running()
    assert spectrum.episodes == 3
    np.testing.assert_allclose(values[-1], np.nanmean(growth, axis=(0, 1)) / 2)
    np.testing.assert_allclose(values[4], growth[[0, 1, 3], :5].mean(axis=(0, 1)) / 2)
    np.testing.assert_allclose(errors[4], growth[[0, 1, 3], :5].mean(axis=1).std(axis=0, ddof=1) / 2 / np.sqrt(3))


def test_the_dataset_holds_the_spectrum_and_its_dependence_on_the_size() -> None:
    task, policy = get_task("Hopper-v4"), load_expert("Hopper-v4")[0]
    stages = set()
    options: dict[str, Any] = {"steps": 40, "every": 5, "warm_up": 5, "settle": 10}
    found = spectrum_dataset(
        policy, task, [0, 1], count=2, sizes=(1e-6, 1e-2), progress=lambda stage, *_: stages.add(stage), **options
    )
    alone = lyapunov_spectrum(policy, task, [0, 1], count=2, **options)
    np.testing.assert_array_equal(found["exponent"], alone.exponents)
    np.testing.assert_array_equal(found["growth"], alone.growth)
    np.testing.assert_array_equal(found["running_low"][-1], found["low"])
    coarse = lyapunov_spectrum(policy, task, [0, 1], size=1e-2, **options)
    assert found["size_exponent"].values[1] == coarse.exponents[0]
    assert stages == {"spectrum", "size 1e-06", "size 0.01"}
    assert found["segment"].values[-1] == 40


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
    spectrum = lyapunov_spectrum(policy, task, [0, 1, 2], count=2, steps=200, every=2, warm_up=2, settle=4)
    lasting = np.isfinite(spectrum.growth[..., 0]).sum(axis=1)
    assert (np.diff(np.isnan(spectrum.growth[..., 0]).astype(int), axis=1) >= 0).all()
    assert lasting.max() > 0
    if name == "Humanoid-v4":  # falls whatever a linear policy does
        assert lasting.max() < 100
    assert np.isfinite(spectrum.exponents).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"count": 5}, "count must be an integer from 1 to 2, got 5"),
        ({"settle": -1}, "settle must be an integer at least 0, got -1"),
        ({"steps": 3}, "steps must be an integer at least 5, got 3"),
        ({"size": 0.0}, "size"),
        ({"seeds": []}, "at least one seed"),
    ],
)
def test_bad_arguments_are_named(change, message, tmp_path) -> None:
    arguments: dict[str, Any] = {"seeds": [0], **change}
    with pytest.raises(ValueError, match=message):
        lyapunov_spectrum(gain(0.0, 0.0), mass_on_a_spring(tmp_path), arguments.pop("seeds"), **arguments)
    with pytest.raises(ValueError, match="observation_size 11 for Hopper-v4, got 2"):
        lyapunov_spectrum(gain(0.0, 0.0), get_task("Hopper-v4"), [0])


def test_a_displacement_that_vanishes_is_an_error(tmp_path) -> None:
    with pytest.raises(FloatingPointError, match="size is too small"):
        lyapunov_spectrum(gain(0.0, 0.0), mass_on_a_spring(tmp_path), [0], size=1e-30, every=1, steps=1)
    with pytest.raises(ValueError, match="lasted"):
        lyapunov_spectrum(
            MLPPolicy((np.zeros((11, 3)),), (np.ones(3),)), get_task("Hopper-v4"), [0], steps=500, settle=500
        )

"""N2: orders of exact powers, of a linear-quadratic loop rolled out in MuJoCo, and what a finished run shows."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

import gvatheory as gva
from neural.control.experiment import EVALUATION_SEED, run
from neural.control.landscape import displaced, norm, path_direction
from neural.control.policies import MLPPolicy
from neural.control.rebuild import rebuild
from neural.control.rollout import evaluate
from neural.predictions.orders import displacement_changes, loss_order, order, orders_data, return_order
from tests.neural.test_lyapunov import closed_loop, gain, mass_on_a_spring
from tests.neural.test_rebuild import EXPERIMENT

SCALES = 2.0 ** np.arange(-10, 3)


def test_powers_are_found_between_rounding_and_ceiling() -> None:
    powers = np.array([0.9, 1.0, 1.3])
    changes = np.minimum(SCALES ** powers[:, None], 0.5)
    found = order(SCALES, changes, rounding=1e-4)
    assert found.power.value == pytest.approx(powers.mean())
    half = 4.302653 * powers.std(ddof=1) / np.sqrt(3)  # t with two degrees of freedom
    assert found.power.high - found.power.value == pytest.approx(half, rel=1e-6)
    assert found.last == 2.0**-5  # the mean at 2^-4 is above a tenth of the ceiling
    assert order(SCALES, changes, rounding=3e-4).first == 2.0**-8
    floor = np.maximum(SCALES ** powers[:, None], 1e-3)  # rounding hides the smallest changes
    assert order(SCALES, floor, rounding=1e-3).power.value == pytest.approx(powers.mean())
    assert order(SCALES, floor).power.value < powers.mean() - 0.02
    wide = 2.0 ** np.arange(-20, 3)  # a lower ceiling first
    stepped = order(wide, np.maximum(np.minimum(wide, 2.0**-12), 2.0**-10 * wide) * np.ones((2, 1)))
    assert stepped.power.value == pytest.approx(1.0)
    assert (stepped.first, stepped.last) == (2.0**-20, 2.0**-14)
    wide = 2.0 ** np.arange(-20, 1.0)
    kinked = np.maximum(2.0**-12 * wide, wide**2) * np.ones((2, 1))  # linear below 2^-12, quadratic above
    assert order(wide, kinked).power.value == pytest.approx(1.0)
    found = order(wide, kinked, largest=True)
    assert (found.power.value, found.first, found.last) == pytest.approx((2.0, 2.0**-8, 2.0**-2))
    assert np.isnan(order(SCALES, changes, rounding=1.0).power.value)
    assert np.isnan(order(SCALES, -changes).power.value)
    bump = changes.copy()
    bump[:, 8] = 1e-9  # beyond the first scale at the ceiling nothing is used
    assert order(SCALES, bump, rounding=1e-4).last == 2.0**-5


@pytest.mark.parametrize(("optimal", "expected"), [(False, 1.0), (True, 2.0)])
def test_a_linear_quadratic_loop_has_the_orders_of_theory(tmp_path, optimal: bool, expected: float) -> None:
    """Under the optimal gain of that very reward the return is of second order too, from every start."""
    free = closed_loop(0.0, 0.0)
    push = (closed_loop(1.0, 0.0) - free)[:, :1]
    K = gva.lqr_gain(free, push, np.diag([4.0, 0.1]), np.array([[1e-3]]))
    expert = gain(*K[0]) if optimal else gain(*(0.5 * K[0]))
    task = dataclasses.replace(
        mass_on_a_spring(tmp_path),
        reward=lambda velocity, actions, state: (
            -4.0 * state["qpos"][:, 0] ** 2
            - 0.1 * state["qvel"][:, 0] ** 2
            - 1e-3 * actions[:, 0].astype(np.float64) ** 2
        ),
    )
    rng = np.random.default_rng(0)
    noise = [((0.1 * K.T * rng.uniform(0.5, 1.5, (2, 1)),), (np.zeros(1),)) for _ in range(3)]
    states = rng.standard_normal((50, 2))
    pairs = states, expert(states)
    found = displacement_changes(expert, noise, SCALES.tolist(), task, [0, 1, 2], pairs, horizons=[100, 300])
    for horizon in (100, 300):  # long after the loop has come to rest
        assert return_order(found, horizon).power.value == pytest.approx(expected, abs=0.1)
    assert loss_order(found).power.value == pytest.approx(2.0, abs=1e-6)
    assert found["length"].values.tolist() == [norm(one) for one in noise]
    # The gradient of the loss is not zero around another policy than the expert's, and drops out.
    off = displacement_changes(gain(*(1.1 * K[0])), noise, SCALES.tolist(), task, [0], pairs, horizons=[5])
    assert loss_order(off).power.value == pytest.approx(2.0, abs=1e-6)
    assert order(SCALES, np.abs(off["loss_change"].sel(sign=1).values)).power.value < 1.5


def test_changes_of_a_run_are_those_of_single_rollouts(tmp_path) -> None:
    run(EXPERIMENT, tmp_path)
    options = {"centre": "EMA 0.01", "spacing": 3, "directions": 2, "episodes": 2, "pairs": 40}
    found = orders_data(tmp_path, scales=[0.25, 1.0], horizons=[4, 15], **options)
    with pytest.raises(ValueError, match="seed must be None for a run of one seed, got 3"):
        orders_data(tmp_path, seed=3, **options)
    again = rebuild(tmp_path, beyond=3)
    middle, ends = again.policy("EMA 0.01").astype(np.float64), [again.policy()]
    again.cloning.advance(3)
    ends.append(again.policy())
    few = np.linspace(0, len(again.held_out.actions) - 1, 40).astype(int)
    x, u = again.held_out.observations[few], again.held_out.actions[few]

    def measured(policy: MLPPolicy) -> tuple[np.ndarray, float]:
        seeds = [EVALUATION_SEED, EVALUATION_SEED + 1]
        returns = [evaluate([policy], again.task, seeds, max_steps=h).returns[0] for h in (4, 15)]
        return np.stack(returns, axis=-1), float(np.mean(np.sum((policy(x) - u) ** 2, axis=1)))

    J, loss = measured(middle)
    for i, end in enumerate(ends):
        both = [measured(displaced(middle, [path_direction(middle, end)], [sign * 0.25])) for sign in (1, -1)]
        for k, (J_moved, loss_moved) in enumerate(both):
            np.testing.assert_array_equal(found["return_change"].values[i, k, 0], J_moved - J)
            assert found["loss_change"].values[i, k, 0] == pytest.approx(loss_moved - loss, abs=1e-13)
        swing = np.mean([np.abs(moved - J) for moved, _ in both], axis=(0, 1))
        np.testing.assert_allclose(found["return_swing"].values[i, 0], swing)
        assert found["loss_excess"].values[i, 0] == pytest.approx(both[0][1] / 2 + both[1][1] / 2 - loss, abs=1e-13)
    rounded = np.abs(measured(middle.astype(np.float32))[0] - J).mean(axis=0)
    np.testing.assert_allclose(found["return_rounding"], rounded)
    assert rounded.max() > 0
    at_iterate = evaluate([ends[0].astype(np.float64)], again.task, [EVALUATION_SEED], max_steps=15)
    change = found["return_change"].sel(direction=0, sign=1, scale=1.0, horizon=15).values[0]
    assert change == pytest.approx(at_iterate.returns[0, 0] - J[0, 1], abs=1e-4)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: orders_data("nowhere", centre="raw"), "centre must be an average, got 'raw'"),
        (lambda: orders_data("nowhere", directions=1), "directions must be an integer at least 2, got 1"),
        (lambda: orders_data("nowhere", spacing=0), "spacing must be an integer at least 1, got 0"),
        (lambda: orders_data("nowhere", pairs=0), "pairs must be an integer at least 1, got 0"),
        (lambda: orders_data("nowhere", scales=[1.0, 0.5]), r"scales must ascend, .* got \[1.0, 0.5\]"),
        (lambda: orders_data("nowhere", scales=[0.0, 0.5]), r"scales\[0\] must be a number in \(0, inf\)"),
        (lambda: orders_data("nowhere", horizons=[]), "horizons must ascend, at least one"),
        (lambda: order([1.0, 2.0], np.ones((1, 2))), r"change must have shape \(n ≥ 2, 2\), got \(1, 2\)"),
        (lambda: order([2.0, 1.0], np.ones((2, 2))), "positive and ascending"),
        (lambda: order([1.0, 2.0], np.ones((2, 2)), rounding=-1.0), "rounding must be a number"),
    ],
)
def test_bad_arguments_are_named(call, message) -> None:
    with pytest.raises(ValueError, match=message):
        call()


def test_directions_must_be_there(tmp_path) -> None:
    task, pairs = mass_on_a_spring(tmp_path), (np.zeros((1, 2)), np.zeros((1, 1)))
    with pytest.raises(ValueError, match="directions must hold at least one direction"):
        displacement_changes(gain(1.0, 1.0), [], [0.1, 1.0], task, [0], pairs, horizons=[2])

"""Divergence of neighbouring policies: two linear loops, known rates, and what is refused."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from neural.control.divergence import divergence, divergence_dataset, separation_rate
from neural.control.experts import load_expert
from neural.control.policies import MLPPolicy
from neural.control.tasks import get_task
from tests.neural.test_lyapunov import closed_loop, gain, mass_on_a_spring


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


def test_the_rate_is_the_exponent_while_neighbours_part() -> None:
    """ε (e^{Λh} − 1)/(e^Λ − 1) up to a ceiling of 10, times a factor per episode."""
    h, rng = np.arange(401), np.random.default_rng(0)
    growth = 1e-6 * np.expm1(0.08 * h) / np.expm1(0.08)
    scale = np.exp(0.3 * rng.standard_normal((12, 1)) + 0.05 * rng.standard_normal((12, 401)))
    rate, (first, last) = separation_rate(np.minimum(growth * scale, 10.0))
    assert rate.low < rate.value < rate.high
    assert rate.value == pytest.approx(0.08, abs=0.006)
    assert growth[last - 8] < 1.0 < growth[last + 8]  # a tenth of the ceiling
    assert first == 10
    stable = np.full((5, 401), 0.3)
    assert np.isnan(separation_rate(stable)[0].value)  # at its ceiling from the start


def test_ended_episodes_are_missing_and_pairs_are_kept_apart() -> None:
    task, policy = get_task("Hopper-v4"), load_expert("Hopper-v4")[0]
    near = dataclasses.replace(policy, weights=(policy.weights[0] * np.float32(1.001), *policy.weights[1:]))
    falls = MLPPolicy(policy.weights, (*policy.biases[:-1], policy.biases[-1] + 50.0), policy.activation, policy.output)
    found = divergence_dataset({"near": (policy, near), "far": (policy, falls)}, task, [0, 1, 2], steps=200)
    alone = divergence(policy, near, task, [0, 1, 2], steps=200)
    np.testing.assert_array_equal(found["distance"].sel(pair="near"), alone)
    far = found["distance"].sel(pair="far").values
    assert np.isnan(far[:, -1]).all()
    assert np.isfinite(far[:, 1]).all()
    assert (far[:, 5] > alone[:, 5]).all()
    np.testing.assert_allclose(found["distance_quantile"].sel(pair="near", quantile=0.5)[7], np.median(alone[:, 7]))
    expected = 0.001 * np.linalg.norm(policy.weights[0])
    assert found["parameter_distance"].values[0] == pytest.approx(expected, rel=1e-3)


def test_the_distance_travelled_does_not_count() -> None:
    task, policy = get_task("HalfCheetah-v4"), load_expert("HalfCheetah-v4")[0]
    slow = dataclasses.replace(policy, biases=(*policy.biases[:-1], policy.biases[-1] - 2.0))
    assert np.nanmax(divergence(policy, slow, task, [0], steps=400)) < 100  # the one runs 190 m further


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda p, t: divergence(p, p, t, [0], steps=0), "steps must be an integer at least 1, got 0"),
        (lambda p, t: divergence(p, p, t, []), "at least one seed"),
        (lambda p, t: divergence_dataset({}, t, [0]), "at least one pair"),
        (lambda p, t: divergence(p, gain(0.0, 0.0), t, [0]), "observation_size 11 for Hopper-v4, got 2"),
    ],
)
def test_bad_arguments_are_named(call, message) -> None:
    task = get_task("Hopper-v4")
    with pytest.raises(ValueError, match=message):
        call(load_expert("Hopper-v4")[0], task)

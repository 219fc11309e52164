"""Landscapes: displacements, directions, and grids against single evaluations."""

import dataclasses

import numpy as np
import pytest

from neural.control.experts import load_expert
from neural.control.landscape import (
    displaced,
    gradient_directions,
    landscape,
    lines,
    norm,
    orthogonal,
    path_direction,
    planes,
    random_directions,
    scaled,
)
from neural.control.policies import MLPPolicy
from neural.control.rollout import collect, evaluate
from neural.control.tasks import get_task

TASK = get_task("Walker2d-v4")


def small_policy(seed: int = 0) -> MLPPolicy:
    rng = np.random.default_rng(seed)
    sizes = [(17, 8), (8, 6)]
    return MLPPolicy(
        tuple(rng.normal(0, 0.3, s) for s in sizes),
        tuple(rng.normal(0, 0.3, s[1]) for s in sizes),
        activation="tanh",
        output="identity",
        obs_mean=rng.normal(size=17),
        obs_std=rng.uniform(0.5, 2, 17),
    )


def loss_of(policy: MLPPolicy, x: np.ndarray, u: np.ndarray) -> float:
    return float(np.mean(np.sum((policy(x) - u) ** 2, axis=1)))


@pytest.fixture(scope="module")
def pairs() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    return rng.normal(size=(64, 17)), rng.normal(size=(64, 6))


@pytest.mark.parametrize("action_scale", [1.0, 0.4])
def test_gradients_are_the_slopes_of_the_loss(action_scale, pairs) -> None:
    policy = dataclasses.replace(small_policy(), action_scale=action_scale)
    (gradient,) = gradient_directions(policy, *pairs, batch_size=64, count=1, seed=5)
    batch = np.random.default_rng(5).integers(0, 64, 64)
    x, u = pairs[0][batch], pairs[1][batch]
    (along,) = random_directions(policy, 1, seed=1)
    inner = sum(np.sum(g * d) for g, d in zip(gradient[0], along[0], strict=True))
    h = 1e-5
    slope = (loss_of(displaced(policy, [along], [h]), x, u) - loss_of(displaced(policy, [along], [-h]), x, u)) / (2 * h)
    assert inner == pytest.approx(slope, rel=1e-4)
    others = gradient_directions(policy, *pairs, batch_size=4, count=2, seed=5)
    assert not np.array_equal(others[0][0][0], others[1][0][0])


def test_directions_have_their_lengths() -> None:
    policy, other = small_policy(), small_policy(1)
    (along,) = random_directions(policy, 1, seed=0)
    for w, d in zip(policy.weights, along[0], strict=True):
        np.testing.assert_allclose(np.linalg.norm(d, axis=0), np.linalg.norm(w, axis=0))
    assert norm(scaled(along, 3.0)) == pytest.approx(3.0)
    path = path_direction(policy, other)
    moved = displaced(policy, [path], [1.0])
    for ours, theirs in zip((*moved.weights, *moved.biases), (*other.weights, *other.biases), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-14, atol=1e-15)
    zero = path_direction(policy, policy)
    with pytest.raises(ValueError, match="zero"):
        scaled(zero, 1.0)


def test_the_grid_is_what_single_evaluations_say() -> None:
    policy, _ = load_expert(TASK.id)
    demonstrations = collect(policy, TASK, [7], max_steps=100)
    pairs = demonstrations.observations, demonstrations.actions
    directions = random_directions(policy, 2, seed=0)
    scales = [-0.1, 0.0, 0.1], [0.0, 0.05]
    found = landscape(policy, directions, scales, TASK, [1, 2], pairs, max_steps=60)
    assert found["return"].dims == ("s0", "s1", "episode")
    for i, s in enumerate(scales[0]):
        for j, t in enumerate(scales[1]):
            point = displaced(policy, directions, [s, t])
            alone = evaluate([point], TASK, [1, 2], max_steps=60)
            np.testing.assert_array_equal(found["return"].values[i, j], alone.returns[0])
            assert found["loss"].values[i, j] == pytest.approx(loss_of(point, *pairs), rel=1e-4, abs=1e-9)
    assert found["loss"].values[1, 0] < 1e-9  # the centre is the demonstrator
    line = landscape(policy, directions[:1], scales[:1], TASK, [1], pairs, max_steps=20)
    assert line["loss"].dims == ("s0",)


def test_lines_and_planes_are_single_landscapes_at_one_length(pairs) -> None:
    centres = {}
    for seed, name in enumerate(("raw", "EMA")):
        policy = small_policy(seed)
        along = random_directions(policy, 2, seed=seed)
        centres[name] = policy, {"one": along[0], "two": along[1]}
    scales, seen = [-1.0, 0.0, 2.0], set()
    options = {"unit": 0.5, "max_steps": 8}
    found = lines(centres, scales, TASK, [1, 2], pairs, progress=lambda *stage: seen.add(stage), **options)
    assert found["return"].dims == ("centre", "direction", "s0", "episode")
    assert found["loss"].dims == ("centre", "direction", "s0")
    assert ("EMA", 12, 12) in seen
    policy, directions = centres["EMA"]
    halved = dataclasses.replace(policy, action_scale=0.5)
    along = [scaled(directions["one"], 0.1)]
    losses = landscape(halved, along, [[0.0, 1.0]], TASK, [1], pairs, max_steps=1)["loss"]
    assert losses.values[1] == pytest.approx(loss_of(displaced(halved, along, [1.0]), *pairs), rel=1e-5)
    alone = landscape(policy, [scaled(directions["two"], 0.5)], [scales], TASK, [1, 2], pairs, max_steps=8)
    for name in ("return", "length", "fallen", "loss"):
        np.testing.assert_array_equal(found[name].sel(centre="EMA", direction="two"), alone[name])

    plane = planes(centres, ("one", "two"), scales, TASK, [1], pairs, **options)
    assert plane["return"].dims == ("centre", "s0", "s1", "episode")
    policy, directions = centres["raw"]
    second = orthogonal(directions["one"], directions["two"])
    inner = sum(np.sum(a * b) for a, b in zip(directions["one"][0], second[0], strict=True))
    assert abs(inner) < 1e-12
    assert norm(second) == pytest.approx(norm(directions["two"]))
    point = displaced(policy, [scaled(directions["one"], 0.5), scaled(second, 0.5)], [-1.0, 2.0])
    assert plane["loss"].values[0, 0, 2] == pytest.approx(loss_of(point, *pairs), rel=1e-5)
    with pytest.raises(ValueError, match="parallel"):
        orthogonal(directions["one"], scaled(directions["one"], 3.0))
    with pytest.raises(ValueError, match="same directions"):
        lines({**centres, "raw": (policy, {"one": directions["one"]})}, scales, TASK, [1], pairs, unit=1.0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: displaced(small_policy(), [], [1.0]), "one scale per direction"),
        (lambda: landscape(small_policy(), [], [], TASK, [0], (np.zeros((1, 17)), np.zeros((1, 6)))), "one or two"),
    ],
)
def test_bad_arguments_are_named(call, message) -> None:
    with pytest.raises(ValueError, match=message):
        call()


def test_scales_must_ascend() -> None:
    policy = small_policy()
    (along,) = random_directions(policy, 1, seed=0)
    with pytest.raises(ValueError, match="ascend"):
        landscape(policy, [along], [[0.1, 0.0]], TASK, [0], (np.zeros((1, 17)), np.zeros((1, 6))))

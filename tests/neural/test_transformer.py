"""The transformer: training and rollout arithmetic against each other, rows by themselves, windows, files."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gvatheory as gva
from neural import averages
from neural.control.cloning import CloningRun
from neural.control.gradients import pairs_gradient_noise
from neural.control.inference import COLUMNS
from neural.control.learner import Learner, Pairs, Windows, batch, predict, training_loss
from neural.control.policies import load_policy
from neural.control.transformer import TransformerPolicy, load_transformer, save_transformer

LEARNER = Learner(architecture="transformer", window=4, width=8, heads=2, layers=2, batch_size=8, activation="silu")
OBSERVATIONS, ACTIONS = 5, 3


def spread_out(tree):
    """The pytree with every weight moved, so that no bias, scale or shift is left at its plain start."""
    rng = np.random.default_rng(7)
    return jax.tree.map(lambda x: x + jnp.asarray(0.3 * rng.normal(size=x.shape), x.dtype), tree)


@functools.cache
def cloning(steps: int = 600) -> CloningRun:
    """Of an expert that answers to the observation before: u_t = tanh(x_{t−1}), and 0 at an episode's first step."""
    rng = np.random.default_rng(0)
    x = rng.normal(1.0, 2.0, size=(600, OBSERVATIONS))
    step = np.tile(np.arange(20), 30)
    u = np.where(step[:, None] == 0, 0.0, np.tanh(np.roll(x, 1, axis=0)))[:, :ACTIONS].astype(np.float32)
    rates = averages.rate_table({"EMA": gva.EMA(0.1)}, steps)
    return CloningRun(LEARNER, gva.Constant(3e-3), rates, x, u, step)


@functools.cache
def policy() -> TransformerPolicy:
    made = cloning().policy(spread_out(cloning().state[0]))
    assert isinstance(made, TransformerPolicy)
    return made


def windows(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Raw windows of which the first few entries have not been seen, as the engine passes them."""
    rng = np.random.default_rng(seed)
    valid = rng.permutation(np.arange(count) % LEARNER.window) + 1
    x = rng.normal(1.0, 2.0, size=(count, LEARNER.window, OBSERVATIONS))
    x[np.arange(LEARNER.window) < LEARNER.window - valid[:, None]] = 0.0
    return x, valid


def test_training_and_rollouts_compute_the_same_actions() -> None:
    x, valid = windows(11)
    params = jax.tree.map(jnp.asarray, policy().params)
    seen = jnp.asarray(cloning().normalise(x))  # what has not been seen is no longer zero, and must not matter
    expected = predict(LEARNER, params, Windows(seen, jnp.asarray(valid)))
    got = policy().actor().act(x, valid)
    assert got.shape == (11, ACTIONS)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5)
    shortened = policy().actor().act(x, np.ones(11, int))
    assert np.abs(shortened - got)[valid > 1].max(axis=1).min() > 1e-3
    np.testing.assert_array_equal(shortened[valid == 1], got[valid == 1])


def test_a_row_does_not_feel_the_others() -> None:
    actor = policy().actor()
    x, valid = windows(COLUMNS)
    alone = np.concatenate([actor.act(x[i : i + 1], valid[i : i + 1]) for i in range(COLUMNS)])
    np.testing.assert_array_equal(actor.act(x, valid), alone)
    for shift in range(1, COLUMNS):
        rolled = actor.act(np.roll(x, shift, axis=0), np.roll(valid, shift))
        np.testing.assert_array_equal(rolled, np.roll(alone, shift, axis=0))
    with pytest.raises(ValueError, match=r"observations must be \(n, 4, 5\) with n <= 16, got \(17, 4, 5\)"):
        actor.act(*windows(COLUMNS + 1))


def test_windows_end_where_their_episode_starts() -> None:
    x = jnp.arange(1.0, 8.0)[:, None]
    pairs = Pairs(x, 10 * x, jnp.asarray([0, 1, 0, 1, 2, 3, 4]))
    inputs, u = batch(LEARNER, pairs, jnp.asarray([0, 3, 6, 2]))
    assert isinstance(inputs, Windows)
    np.testing.assert_array_equal(inputs.valid, [1, 2, 4, 1])
    np.testing.assert_array_equal(inputs.observations[..., 0], [[0, 0, 0, 1], [0, 0, 3, 4], [4, 5, 6, 7], [0, 0, 0, 3]])
    np.testing.assert_array_equal(u[:, 0], [10, 40, 70, 30])


def test_it_learns_what_only_its_memory_knows() -> None:
    run = cloning()
    pairs = jax.tree.map(lambda x: x[:200], run._data)
    before = run.losses(pairs)[0]
    variance = float(jnp.sum(jnp.var(pairs.actions, axis=0)))
    run.advance(600)
    after = run.losses(pairs)
    assert before > variance
    assert after.shape == (2,)
    assert after[0] < 0.2 * variance  # the present observation alone explains nothing
    x, u = batch(LEARNER, pairs, jnp.arange(200))
    assert isinstance(x, Windows)
    predicted = predict(LEARNER, run.state[0], x)
    assert after[0] == pytest.approx(float(jnp.mean(jnp.sum((predicted - u) ** 2, axis=1))), rel=1e-4)


def test_gradient_noise_is_that_of_single_gradients() -> None:
    rng = np.random.default_rng(2)
    x, u = rng.normal(size=(12, OBSERVATIONS)), rng.normal(size=(12, ACTIONS))
    pairs = cloning().pairs(x, u, np.arange(12) % 5)
    params, chosen = jax.tree.map(jnp.asarray, policy().params), np.array([1, 3, 4, 9, 11])

    def flat_gradient(i: int) -> np.ndarray:
        inputs, action = batch(LEARNER, pairs, jnp.asarray([i]))
        grad = jax.grad(lambda p: training_loss(LEARNER, p, inputs, action, jax.random.key(0)))(params)
        return np.concatenate([np.asarray(leaf, np.float64).ravel() for leaf in jax.tree.leaves(grad)])

    rows = np.array([flat_gradient(i) for i in chosen])
    trace, square = pairs_gradient_noise(LEARNER, params, pairs, jnp.asarray(chosen))
    expected = rows.var(axis=0, ddof=1).sum()
    assert float(trace) == pytest.approx(expected, rel=1e-4)
    assert float(square) == pytest.approx(np.sum(rows.mean(axis=0) ** 2) - expected / 5, rel=1e-3, abs=1e-5)


def test_files_bring_back_the_policy(tmp_path) -> None:
    path = tmp_path / "p.safetensors"
    save_transformer(path, policy(), {"seed": 3})
    back, card = load_transformer(path)
    assert card == {"seed": 3}
    assert back.fingerprint() == policy().fingerprint()
    x, valid = windows(3)
    np.testing.assert_array_equal(back.actor().act(x, valid), policy().actor().act(x, valid))
    with pytest.raises(ValueError, match="holds no policy"):
        load_policy(path)
    path.write_bytes(b"nothing")
    with pytest.raises(ValueError, match="not a readable safetensors file"):
        load_transformer(path)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Learner(width=10, heads=3), "heads must divide the width 10, got 3"),
        (lambda: Learner(window=0), "window must be an integer at least 1, got 0"),
        (lambda: Learner(architecture="rnn"), "architecture must be one of"),  # pyright: ignore[reportArgumentType]
        (lambda: cloning().pairs(np.zeros((1, 5)), np.zeros((1, 3))), "step must be given for a transformer"),
        (
            lambda: TransformerPolicy({**policy().params, "norm": {}}, 2, "relu", "identity", np.zeros(5), np.ones(5)),
            r"norm.scale must have shape \(8,\), got None",
        ),
        (
            lambda: policy().actor().sample(*windows(1), np.zeros((1, 3))),
            "a transformer policy is deterministic",
        ),
    ],
)
def test_bad_values_are_named(call, message) -> None:
    with pytest.raises(ValueError, match=message):
        call()

"""The learner's options: optimisers against their recursions, regularisers against what they do on average."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gvatheory as gva
from neural import averages
from neural.control.cloning import CloningRun
from neural.control.learner import Learner, Pairs, forward, training_loss
from neural.control.policies import MLPPolicy
from tests.budget import assert_mean

ETA, STEPS = 0.05, 6
LINEAR = [{"W": jnp.asarray([[0.5, -1.0], [2.0, 0.25], [0.0, 1.0]]), "b": jnp.asarray([0.1, -0.2])}]


def run(**changes) -> tuple[CloningRun, np.ndarray, np.ndarray]:
    """A run on one pair alone, so that every batch is the same."""
    rng = np.random.default_rng(0)
    x, u = rng.normal(size=(1, 3)), rng.normal(size=(1, 2))
    learner = Learner(hidden=(4,), activation="tanh", batch_size=2, **changes)
    rates = averages.rate_table({"EMA": gva.EMA(0.5)}, STEPS)
    return CloningRun(learner, gva.Linear(ETA, 2 * STEPS), rates, x, u), x, u


def gradient(params, x: np.ndarray, u: np.ndarray) -> list[dict[str, np.ndarray]]:
    """Of ‖π(x) − u‖² by hand, in float64."""
    first, last = params
    h = np.tanh(x @ first["W"] + first["b"])
    error = 2 * (h @ last["W"] + last["b"] - u)
    back = (error @ last["W"].T) * (1 - h**2)
    return [{"W": x.T @ back, "b": back[0]}, {"W": h.T @ error, "b": error[0]}]


@pytest.mark.parametrize("optimiser", ["sgd", "heavy ball", "nesterov"])
@pytest.mark.parametrize(("decay", "clip"), [(0.0, None), (0.1, None), (0.0, 0.3)])
def test_updates_follow_their_recursion(optimiser, decay, clip) -> None:
    cloning, x, u = run(optimiser=optimiser, momentum=0.8, weight_decay=decay, clip_norm=clip)
    x = cloning.normalise(x).astype(np.float64)
    params = [{k: np.asarray(v, np.float64) for k, v in layer.items()} for layer in cloning.state[0]]
    trace = [{k: np.zeros_like(v) for k, v in layer.items()} for layer in params]
    cut = 0
    for t in range(STEPS):
        cloning.advance(1)
        grads = gradient(params, x, u)
        size = np.sqrt(sum(np.sum(g**2) for layer in grads for g in layer.values()))
        scale = min(1.0, clip / size) if clip else 1.0
        cut += scale < 1
        eta = float(gva.Linear(ETA, 2 * STEPS)(t))
        for layer, memory, grad in zip(params, trace, grads, strict=True):
            for name in layer:
                g = scale * grad[name]
                memory[name] = 0.8 * memory[name] + g
                direction = {"sgd": g, "heavy ball": memory[name], "nesterov": g + 0.8 * memory[name]}[optimiser]
                layer[name] = layer[name] - eta * (direction + decay * layer[name])
    assert cut == (STEPS if clip else 0)
    for ours, theirs in zip(cloning.state[0], params, strict=True):
        for name in ours:
            np.testing.assert_allclose(ours[name], theirs[name], rtol=2e-5, atol=2e-6)


def test_gradient_noise_is_that_of_single_gradients() -> None:
    rng = np.random.default_rng(2)
    cloning, _, _ = run()
    x, u = rng.normal(size=(40, 3)), rng.normal(size=(40, 2))
    params = [{k: np.asarray(v, np.float64) for k, v in layer.items()} for layer in cloning.state[0]]
    grads = [gradient(params, x[i : i + 1], u[i : i + 1]) for i in range(40)]
    rows = np.array([np.concatenate([layer[k].ravel() for layer in g for k in ("W", "b")]) for g in grads])
    pairs = Pairs(jnp.asarray(x, jnp.float32), jnp.asarray(u, jnp.float32), jnp.zeros(40, int))
    trace, square = cloning.gradient_noise(pairs, np.arange(40))
    expected = np.trace(np.cov(rows.T))
    assert trace == pytest.approx(expected, rel=1e-4)
    assert square == pytest.approx(np.sum(rows.mean(axis=0) ** 2) - expected / 40, rel=1e-3, abs=1e-5)


def losses(count: int = 4000, **changes) -> np.ndarray:
    """Training losses of one fixed batch of a linear network, one per key."""
    learner = Learner(output="identity", **changes)
    x, u = jnp.asarray([[1.0, -2.0, 0.5], [0.3, 0.1, 2.0]]), jnp.asarray([[0.2, 0.1], [-1.0, 1.0]])
    keys = jax.random.split(jax.random.key(0), count)
    return np.asarray(jax.vmap(lambda key: training_loss(learner, LINEAR, x, u, key))(keys), np.float64)


def test_noise_adds_its_variance_to_the_loss() -> None:
    (plain,) = losses(1)
    assert_mean(losses(label_noise=0.3), plain + 2 * 0.3**2)
    assert_mean(losses(input_noise=0.2), plain + 0.2**2 * float(np.sum(np.square(LINEAR[0]["W"]))))
    assert losses(5, label_noise=0.3).std() > 0


def test_other_losses_are_theirs() -> None:
    x, u = np.array([[1.0, -2.0, 0.5], [0.3, 0.1, 2.0]]), np.array([[0.2, 0.1], [-1.0, 1.0]])
    error = np.abs(x @ np.asarray(LINEAR[0]["W"], np.float64) + np.asarray(LINEAR[0]["b"], np.float64) - u)
    assert losses(1, loss="absolute")[0] == pytest.approx(error.sum(axis=1).mean(), rel=1e-6)
    huber = np.where(error <= 0.5, error**2 / 2, 0.5 * (error - 0.25))
    assert losses(1, loss="huber", huber_width=0.5)[0] == pytest.approx(huber.sum(axis=1).mean(), rel=1e-6)


def test_dropout_keeps_the_mean_and_leaves_out_its_share() -> None:
    params = [{"W": jnp.eye(3), "b": jnp.zeros(3)}, *LINEAR]
    x = jnp.asarray([[1.0, 2.0, 3.0]])
    keys = jax.random.split(jax.random.key(1), 4000)
    out = np.asarray(jax.vmap(lambda key: forward(params, x, "relu", "identity", 0.4, key))(keys))[:, 0]
    assert_mean(out, np.asarray(forward(params, x, "relu", "identity"))[0])
    # Each unit contributes W_ij x_i z/(1-p): variance p/(1-p) Σ (W_ij x_i)².
    expected = 0.4 / 0.6 * np.sum((np.asarray(LINEAR[0]["W"]) * np.array([[1.0], [2.0], [3.0]])) ** 2, axis=0)
    assert_mean((out - out.mean(axis=0)) ** 2 * len(out) / (len(out) - 1), expected)


def test_probes_are_free_of_noise_and_resumption_is_exact() -> None:
    noisy = {"dropout": 0.3, "label_noise": 0.1, "input_noise": 0.1, "optimiser": "nesterov"}
    (whole, x, u), (first, _, _), (second, _, _) = (run(**noisy) for _ in range(3))
    whole.advance(STEPS)
    first.advance(2)
    second.restore(first.arrays())
    second.advance(STEPS - 2)
    for a, b in zip(whole.arrays().values(), second.arrays().values(), strict=True):
        np.testing.assert_array_equal(a, b)
    pair = whole.pairs(x, u)
    loss = whole.losses(pair)
    np.testing.assert_array_equal(loss, whole.losses(pair))
    policy = whole.policies([0])[0]
    assert isinstance(policy, MLPPolicy)
    assert loss[0] == pytest.approx(float(np.sum((policy(x) - u) ** 2)), rel=1e-5)


def test_silu_is_that_of_the_network() -> None:
    rng = np.random.default_rng(0)
    layers = [rng.normal(size=s).astype(np.float32) for s in ((5, 7), (7, 2))]
    policy = MLPPolicy(tuple(layers), (np.ones(7, np.float32), np.zeros(2, np.float32)), "silu", "identity")
    params = [{"W": jnp.asarray(w), "b": jnp.asarray(b)} for w, b in zip(policy.weights, policy.biases, strict=True)]
    x = rng.normal(size=(20, 5))
    np.testing.assert_allclose(policy(x), forward(params, jnp.asarray(x), "silu", "identity"), rtol=2e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"optimiser": "lion"}, "optimiser must be one of"),
        ({"loss": "hinge"}, "loss must be one of"),
        ({"momentum": 1.0}, r"momentum must be a number in \[0, 1\), got 1.0"),
        ({"dropout": -0.1}, r"dropout must be a number in \[0, 1\), got -0.1"),
        ({"label_noise": -1.0}, "label_noise"),
        ({"clip_norm": 0.0}, "clip_norm"),
        ({"huber_width": 0.0}, "huber_width"),
    ],
)
def test_bad_options_are_named(change, message) -> None:
    with pytest.raises(ValueError, match=message):
        Learner(**change)

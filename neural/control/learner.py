"""What a cloned network is and how it is trained: its layers, its loss, its regularisers, its optimiser.

A network sees one observation, or a window of the latest ones if it is a transformer: its inputs are an array
(n, observation_size), or `Windows`. Everything below takes either, always normalised.

The cloning loss ℓ_BC is the mean over states of ‖π(x) − π*(x)‖². It is what is reported whatever the training loss is:
noise, dropout and the choice of a loss act on the updates alone.
"""

from __future__ import annotations

import dataclasses
from typing import Any, Literal, NamedTuple, get_args

import jax
import jax.numpy as jnp
import numpy as np
import optax

from gvatheory import validation
from gvatheory.schedules import Schedule
from neural.control.attention import initial_transformer, transform
from neural.control.policies import Activation, OutputMap

Architecture = Literal["mlp", "transformer"]
Optimiser = Literal["adamw", "sgd", "heavy ball", "nesterov"]
Loss = Literal["squared", "huber", "absolute"]

ACTIVATIONS = {"relu": jax.nn.relu, "tanh": jnp.tanh, "silu": jax.nn.silu}


@dataclasses.dataclass(frozen=True)
class Learner:
    """What is trained and how.

    Attributes:
        architecture: a multilayer perceptron, or a causal transformer over the latest observations.
        hidden: widths of the perceptron's hidden layers; three of them make the paper's 4-layer network.
        window: observations that the transformer sees, ≥ 1.
        width, heads, layers: of the transformer, ≥ 1; the heads share the width out evenly.
        activation, output: as in `MLPPolicy`; of the transformer's wider layers, and of its action.
        batch_size: pairs per update, drawn with replacement, ≥ 1.
        optimiser: of the direction of an update; the schedule scales it.
        momentum: of heavy ball and Nesterov (m ← μm + g, in the manner of optax.trace), in [0, 1).
        weight_decay: decoupled from the gradient as in AdamW, whatever the optimiser, ≥ 0.
        clip_norm: the gradient's norm is cut to this, > 0; None for no cut.
        loss: of the actions' errors: squared, Huber's or absolute.
        huber_width: error at which Huber's loss turns linear, > 0, in units of the action.
        dropout: share of hidden units left out of an update (in a transformer, of what each block adds), in [0, 1).
        label_noise: standard deviation of Gaussian noise on the expert's actions, drawn anew in every update, ≥ 0.
        input_noise: the same on normalised observations, ≥ 0.
        seed: of the initial weights, the batches and the noise, ≥ 0.
    """

    hidden: tuple[int, ...] = (256, 256, 256)
    activation: Activation = "relu"
    output: OutputMap = "identity"
    batch_size: int = 16
    optimiser: Optimiser = "adamw"
    momentum: float = 0.9
    weight_decay: float = 0.0
    clip_norm: float | None = None
    loss: Loss = "squared"
    huber_width: float = 0.1
    dropout: float = 0.0
    label_noise: float = 0.0
    input_noise: float = 0.0
    seed: int = 0
    architecture: Architecture = "mlp"
    window: int = 8
    width: int = 64
    heads: int = 4
    layers: int = 2

    def __post_init__(self) -> None:
        if not self.hidden:
            raise ValueError("hidden must name at least one layer, got none")
        for i, width in enumerate(self.hidden):
            validation.integer(f"hidden[{i}]", width, 1)
        choices = (("activation", Activation), ("output", OutputMap), ("optimiser", Optimiser), ("loss", Loss))
        for name, known in (*choices, ("architecture", Architecture)):
            if getattr(self, name) not in get_args(known):
                raise ValueError(f"{name} must be one of {get_args(known)}, got {getattr(self, name)!r}")
        for name in ("batch_size", "window", "width", "heads", "layers"):
            validation.integer(name, getattr(self, name), 1)
        if self.width % self.heads:
            raise ValueError(f"heads must divide the width {self.width}, got {self.heads}")
        for name in ("momentum", "dropout"):
            validation.real(name, getattr(self, name), 0.0, 1.0, open_high=True)
        for name in ("weight_decay", "label_noise", "input_noise"):
            validation.real(name, getattr(self, name), 0.0, np.inf)
        validation.positive("huber_width", self.huber_width)
        if self.clip_norm is not None:
            validation.positive("clip_norm", self.clip_norm)
        validation.integer("seed", self.seed, 0)

    @property
    def history(self) -> int:
        """Number of latest observations that the network sees."""
        return self.window if self.architecture == "transformer" else 1


class Windows(NamedTuple):
    """Latest observations, (n, window, observation_size), the newest last; of row i the last valid[i] ≥ 1 count."""

    observations: jax.Array
    valid: jax.Array


Inputs = jax.Array | Windows
"""What a network sees: (n, observation_size), or windows of it."""


class Pairs(NamedTuple):
    """Normalised observations (N, observation_size), actions (N, action_size), environment step of each (N,) int32."""

    observations: jax.Array
    actions: jax.Array
    step: jax.Array


def batch(learner: Learner, pairs: Pairs, indices: jax.Array) -> tuple[Inputs, jax.Array]:
    """Inputs and actions of the pairs at `indices` (n,); traceable.

    A window does not reach back past the start of its episode: pairs are in the order of episodes, then of time.
    """
    u = pairs.actions[indices]
    if learner.architecture == "mlp":
        return pairs.observations[indices], u
    valid = jnp.minimum(pairs.step[indices] + 1, learner.window)
    back = jnp.arange(learner.window - 1, -1, -1)
    x = pairs.observations[jnp.maximum(indices[:, None] - back, 0)]
    return Windows(jnp.where((back < valid[:, None])[..., None], x, 0), valid), u


def initial_params(learner: Learner, observation_size: int, action_size: int, seed: Any = None) -> Any:
    """Float32 weights from the learner's seed, or the one given (which may be traced).

    A perceptron: one dict {W, b} per layer, W uniform in ±√(1/n_in), b zero; a transformer: see `initial_transformer`.
    """
    key = jax.random.fold_in(jax.random.key(learner.seed if seed is None else seed), 0)
    if learner.architecture == "transformer":
        shape = {"window": learner.window, "width": learner.width, "layers": learner.layers}
        return initial_transformer(key, observation_size, action_size, **shape)
    sizes = [observation_size, *learner.hidden, action_size]
    keys = jax.random.split(key, len(sizes) - 1)
    return [
        {
            "W": jax.random.uniform(key, (n, m), jnp.float32, -(n**-0.5), n**-0.5),
            "b": jnp.zeros((m,), jnp.float32),
        }
        for key, n, m in zip(keys, sizes[:-1], sizes[1:], strict=True)
    ]


def parameter_shapes(learner: Learner, observation_size: int, action_size: int) -> Any:
    """The pytree of the learner's weights, each a `jax.ShapeDtypeStruct`."""
    return jax.eval_shape(lambda: initial_params(learner, observation_size, action_size))


def parameter_count(learner: Learner, observation_size: int, action_size: int) -> int:
    """Number of the learner's weights and biases."""
    return sum(leaf.size for leaf in jax.tree.leaves(parameter_shapes(learner, observation_size, action_size)))


def predict(learner: Learner, params: Any, inputs: Inputs, dropout: float = 0.0, key: jax.Array | None = None) -> Any:
    """Actions (n, action_size) of the learner's network; with `dropout` > 0, by `key`, as in training."""
    if not isinstance(inputs, Windows):
        return forward(params, inputs, learner.activation, learner.output, dropout, key)

    def drop(x: jax.Array, i: int) -> jax.Array:
        return _dropped(x, dropout, None if key is None else jax.random.fold_in(key, i))

    activation = ACTIVATIONS[learner.activation]
    u = transform(params, *inputs, heads=learner.heads, activation=activation, drop=drop)
    return jnp.tanh(u) if learner.output == "tanh" else u


def forward(
    params: Any,
    x: jax.Array,
    activation: Activation,
    output: OutputMap,
    dropout: float = 0.0,
    key: jax.Array | None = None,
) -> jax.Array:
    """Actions (n, action_size) of normalised observations (n, observation_size).

    With `dropout` > 0 hidden units are left out with that probability, by `key`, and the others scaled up accordingly.
    """
    for i, layer in enumerate(params[:-1]):
        x = ACTIVATIONS[activation](x @ layer["W"] + layer["b"])
        x = _dropped(x, dropout, None if key is None else jax.random.fold_in(key, i))
    x = x @ params[-1]["W"] + params[-1]["b"]
    return jnp.tanh(x) if output == "tanh" else x


def _dropped(x: jax.Array, dropout: float, key: jax.Array | None) -> jax.Array:
    """`x` with a share of its entries left out and the others scaled up accordingly."""
    if not dropout or key is None:
        return x
    kept = jax.random.bernoulli(key, 1 - dropout, x.shape)
    return jnp.where(kept, x / (1 - dropout), 0)


def cloning_loss(params: Any, x: jax.Array, u: jax.Array, activation: Activation, output: OutputMap) -> jax.Array:
    """ℓ_BC of a perceptron on pairs: mean over n of ‖π(x) − u‖², in squared units of the action."""
    return jnp.mean(jnp.sum((forward(params, x, activation, output) - u) ** 2, axis=1))


def training_loss(learner: Learner, params: Any, x: Inputs, u: jax.Array, key: jax.Array) -> jax.Array:
    """What an update descends: the learner's loss of a batch, with its noise and dropout drawn from `key`."""
    if learner.input_noise:
        seen = x.observations if isinstance(x, Windows) else x
        seen = seen + learner.input_noise * jax.random.normal(jax.random.fold_in(key, 1), seen.shape)
        x = Windows(seen, x.valid) if isinstance(x, Windows) else seen
    if learner.label_noise:
        u = u + learner.label_noise * jax.random.normal(jax.random.fold_in(key, 2), u.shape)
    errors = predict(learner, params, x, learner.dropout, jax.random.fold_in(key, 3)) - u
    if learner.loss == "squared":
        each = errors**2
    elif learner.loss == "absolute":
        each = jnp.abs(errors)
    else:
        each = optax.huber_loss(errors, delta=learner.huber_width)
    return jnp.mean(jnp.sum(each, axis=1))


def optimiser(learner: Learner, schedule: Schedule) -> optax.GradientTransformation:
    """The learner's optimiser under step sizes η_t: clipped gradient → direction → weight decay → −η_t."""
    if learner.optimiser == "adamw":
        direction = optax.scale_by_adam()
    elif learner.optimiser == "sgd":
        direction = optax.identity()
    else:
        direction = optax.trace(learner.momentum, nesterov=learner.optimiser == "nesterov")
    parts = [direction, optax.add_decayed_weights(learner.weight_decay), optax.scale_by_learning_rate(schedule)]  # pyright: ignore[reportArgumentType]
    if learner.clip_norm is not None:
        parts.insert(0, optax.clip_by_global_norm(learner.clip_norm))
    return optax.chain(*parts)

"""What a cloned network is and how it is trained: its layers, its loss, its regularisers, its optimiser.

The cloning loss ℓ_BC is the mean over states of ‖π(x) − π*(x)‖². It is what is reported whatever the training loss is:
noise, dropout and the choice of a loss act on the updates alone.
"""

from __future__ import annotations

import dataclasses
from typing import Any, Literal, get_args

import jax
import jax.numpy as jnp
import numpy as np
import optax

from gvatheory import validation
from gvatheory.schedules import Schedule
from neural.control.policies import Activation, OutputMap

Optimiser = Literal["adamw", "sgd", "heavy ball", "nesterov"]
Loss = Literal["squared", "huber", "absolute"]

_ACTIVATIONS = {"relu": jax.nn.relu, "tanh": jnp.tanh, "silu": jax.nn.silu}


@dataclasses.dataclass(frozen=True)
class Learner:
    """What is trained and how.

    Attributes:
        hidden: widths of the hidden layers; three of them make the paper's 4-layer network.
        activation, output: as in `MLPPolicy`.
        batch_size: pairs per update, drawn with replacement, ≥ 1.
        optimiser: of the direction of an update; the schedule scales it.
        momentum: of heavy ball and Nesterov (m ← μm + g, in the manner of optax.trace), in [0, 1).
        weight_decay: decoupled from the gradient as in AdamW, whatever the optimiser, ≥ 0.
        clip_norm: the gradient's norm is cut to this, > 0; None for no cut.
        loss: of the actions' errors: squared, Huber's or absolute.
        huber_width: error at which Huber's loss turns linear, > 0, in units of the action.
        dropout: share of hidden units left out of an update, in [0, 1).
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

    def __post_init__(self) -> None:
        if not self.hidden:
            raise ValueError("hidden must name at least one layer, got none")
        for i, width in enumerate(self.hidden):
            validation.integer(f"hidden[{i}]", width, 1)
        choices = (("activation", Activation), ("output", OutputMap), ("optimiser", Optimiser), ("loss", Loss))
        for name, known in choices:
            if getattr(self, name) not in get_args(known):
                raise ValueError(f"{name} must be one of {get_args(known)}, got {getattr(self, name)!r}")
        validation.integer("batch_size", self.batch_size, 1)
        for name in ("momentum", "dropout"):
            validation.real(name, getattr(self, name), 0.0, 1.0, open_high=True)
        for name in ("weight_decay", "label_noise", "input_noise"):
            validation.real(name, getattr(self, name), 0.0, np.inf)
        validation.positive("huber_width", self.huber_width)
        if self.clip_norm is not None:
            validation.positive("clip_norm", self.clip_norm)
        validation.integer("seed", self.seed, 0)


def initial_params(learner: Learner, observation_size: int, action_size: int) -> list[dict[str, jax.Array]]:
    """Weights uniform in ±√(1/n_in) and zero biases, float32, from the learner's seed: one dict {W, b} per layer."""
    sizes = [observation_size, *learner.hidden, action_size]
    keys = jax.random.split(jax.random.fold_in(jax.random.key(learner.seed), 0), len(sizes) - 1)
    return [
        {
            "W": jax.random.uniform(key, (n, m), jnp.float32, -(n**-0.5), n**-0.5),
            "b": jnp.zeros((m,), jnp.float32),
        }
        for key, n, m in zip(keys, sizes[:-1], sizes[1:], strict=True)
    ]


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
        x = _ACTIVATIONS[activation](x @ layer["W"] + layer["b"])
        if dropout and key is not None:
            kept = jax.random.bernoulli(jax.random.fold_in(key, i), 1 - dropout, x.shape)
            x = jnp.where(kept, x / (1 - dropout), 0)
    x = x @ params[-1]["W"] + params[-1]["b"]
    return jnp.tanh(x) if output == "tanh" else x


def cloning_loss(params: Any, x: jax.Array, u: jax.Array, activation: Activation, output: OutputMap) -> jax.Array:
    """ℓ_BC on pairs: mean over n of ‖π(x) − u‖², in squared units of the action."""
    return jnp.mean(jnp.sum((forward(params, x, activation, output) - u) ** 2, axis=1))


def training_loss(learner: Learner, params: Any, x: jax.Array, u: jax.Array, key: jax.Array) -> jax.Array:
    """What an update descends: the learner's loss of a batch, with its noise and dropout drawn from `key`."""
    if learner.input_noise:
        x = x + learner.input_noise * jax.random.normal(jax.random.fold_in(key, 1), x.shape)
    if learner.label_noise:
        u = u + learner.label_noise * jax.random.normal(jax.random.fold_in(key, 2), u.shape)
    errors = forward(params, x, learner.activation, learner.output, learner.dropout, jax.random.fold_in(key, 3)) - u
    if learner.loss == "squared":
        each = errors**2
    elif learner.loss == "absolute":
        each = jnp.abs(errors)
    else:
        each = optax.huber_loss(errors, delta=learner.huber_width)
    return jnp.mean(jnp.sum(each, axis=1))


def gradient_noise(
    params: Any, x: jax.Array, u: jax.Array, activation: Activation, output: OutputMap
) -> tuple[jax.Array, jax.Array]:
    """Trace of the covariance over examples of the gradient of ‖π(x) − u‖², and squared norm of the mean gradient.

    Both without bias from n ≥ 2 independent pairs: with g_i the examples' gradients and ḡ their mean, the trace is
    Σ‖g_i − ḡ‖²/(n−1), and ‖ḡ‖² is lowered by trace/n (so it can come out negative). A batch of b has trace/b.
    No g_i is formed: that of a layer is the outer product of its input and the slope δ_i in its sum, so ‖g_i‖² is the
    sum over layers of (‖input‖² + 1)‖δ_i‖² (Goodfellow 2015, arXiv 1510.01799).
    """

    def total(shifts: list[jax.Array]) -> tuple[jax.Array, list[jax.Array]]:
        inputs, h = [], x
        for i, (layer, shift) in enumerate(zip(params, shifts, strict=True)):
            inputs.append(h)
            h = h @ layer["W"] + layer["b"] + shift
            if i < len(params) - 1:
                h = _ACTIVATIONS[activation](h)
        out = jnp.tanh(h) if output == "tanh" else h
        return jnp.sum((out - u) ** 2), inputs

    count = len(x)
    slopes, inputs = jax.grad(total, has_aux=True)([jnp.zeros((count, len(layer["b"]))) for layer in params])
    squares: Any = sum(
        jnp.sum((jnp.sum(h**2, axis=1) + 1) * jnp.sum(d**2, axis=1)) for h, d in zip(inputs, slopes, strict=True)
    )
    mean: Any = sum(
        jnp.sum((h.T @ d / count) ** 2) + jnp.sum(jnp.mean(d, axis=0) ** 2) for h, d in zip(inputs, slopes, strict=True)
    )
    trace = (squares - count * mean) / (count - 1)
    return trace, mean - trace / count


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

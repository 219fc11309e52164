"""Behaviour cloning of an expert by minibatch AdamW, with a bank of averages kept at every update.

The loss is the one-step cloning loss ℓ_BC: the mean over states of ‖π(x) − π*(x)‖². The state of a run is a pytree of
arrays; update t draws its batch from a key folded with t, so a run resumes to the bit-identical end.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import Any, get_args

import jax
import jax.numpy as jnp
import numpy as np
import optax

from gvatheory import validation
from gvatheory.schedules import Schedule
from neural.averages import init_bank, update_bank
from neural.control.policies import Activation, MLPPolicy, OutputMap


@dataclasses.dataclass(frozen=True)
class Learner:
    """What is trained and how.

    Attributes:
        hidden: widths of the hidden layers; three of them make the paper's 4-layer network.
        activation, output: as in `MLPPolicy`.
        batch_size: pairs per update, drawn with replacement, ≥ 1.
        weight_decay: AdamW's decoupled decay, ≥ 0.
        seed: of the initial weights and of the batches, ≥ 0.
    """

    hidden: tuple[int, ...] = (256, 256, 256)
    activation: Activation = "relu"
    output: OutputMap = "identity"
    batch_size: int = 16
    weight_decay: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.hidden:
            raise ValueError("hidden must name at least one layer, got none")
        for i, width in enumerate(self.hidden):
            validation.integer(f"hidden[{i}]", width, 1)
        for name, known in (("activation", get_args(Activation)), ("output", get_args(OutputMap))):
            if getattr(self, name) not in known:
                raise ValueError(f"{name} must be one of {known}, got {getattr(self, name)!r}")
        validation.integer("batch_size", self.batch_size, 1)
        validation.real("weight_decay", self.weight_decay, 0.0, np.inf)
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


def forward(params: Any, x: jax.Array, activation: Activation, output: OutputMap) -> jax.Array:
    """Actions (n, action_size) of normalised observations (n, observation_size)."""
    act = jax.nn.relu if activation == "relu" else jnp.tanh
    for layer in params[:-1]:
        x = act(x @ layer["W"] + layer["b"])
    x = x @ params[-1]["W"] + params[-1]["b"]
    return jnp.tanh(x) if output == "tanh" else x


def cloning_loss(params: Any, x: jax.Array, u: jax.Array, activation: Activation, output: OutputMap) -> jax.Array:
    """ℓ_BC on pairs: mean over n of ‖π(x) − u‖², in squared units of the action."""
    return jnp.mean(jnp.sum((forward(params, x, activation, output) - u) ** 2, axis=1))


class CloningRun:
    """One run of cloning: call `advance`, look at `policies()` and `losses()`, store and restore `state`.

    Attributes:
        t: updates made so far.
        state: pytree (iterate, optimiser state, averages), each average with a leading axis over the bank.
    """

    def __init__(
        self,
        learner: Learner,
        schedule: Schedule,
        rates: np.ndarray,
        observations: np.ndarray,
        actions: np.ndarray,
    ) -> None:
        """Set up at t = 0.

        Args:
            learner: network and batches.
            schedule: step sizes of AdamW.
            rates: γ_t, (steps, A), as made by `rate_table`; its length is the length of the run.
            observations: (N, observation_size), raw; normalised here by their own mean and standard deviation.
            actions: (N, action_size), the expert's.

        Raises:
            ValueError: if there are no pairs or the counts differ.
        """
        if len(observations) == 0 or len(observations) != len(actions):
            raise ValueError(f"need equally many observations and actions, got {len(observations)} and {len(actions)}")
        self.learner, self.steps = learner, len(rates)
        self.obs_mean = observations.mean(axis=0)
        # A constant coordinate carries nothing: divide it by one.
        spread = observations.std(axis=0)
        self.obs_std = np.where(spread > 1e-8, spread, 1.0)
        self._data = (jnp.asarray(self.normalise(observations)), jnp.asarray(actions, dtype=jnp.float32))
        self._rates = jnp.asarray(rates)
        optimiser = optax.adamw(schedule, weight_decay=learner.weight_decay)  # pyright: ignore[reportArgumentType]
        params = initial_params(learner, observations.shape[1], actions.shape[1])
        self.t = 0
        self.state = (params, optimiser.init(params), init_bank(params, rates.shape[1]))
        self._advance = jax.jit(functools.partial(_advance, learner, optimiser), donate_argnums=(0,))
        self._losses = jax.jit(functools.partial(_bank_losses, learner))

    def normalise(self, observations: np.ndarray) -> np.ndarray:
        """Observations as the network sees them, float32."""
        return ((observations - self.obs_mean) / self.obs_std).astype(np.float32)

    def advance(self, updates: int) -> None:
        """Make `updates` more updates.

        Raises:
            ValueError: if that is negative or leads past the end of the run.
            FloatingPointError: if the iterate is no longer finite afterwards.
        """
        validation.integer("updates", updates, 0, self.steps - self.t)
        self.state = self._advance(self.state, self.t, updates, self._data, self._rates)
        self.t += updates
        if not all(bool(jnp.isfinite(leaf).all()) for leaf in jax.tree.leaves(self.state[0])):
            raise FloatingPointError(f"the iterate diverged within the {updates} updates before update {self.t}")

    def losses(self, x: jax.Array, u: jax.Array) -> np.ndarray:
        """ℓ_BC of the iterate and of every average on normalised pairs: (1 + A,) float32, the iterate first."""
        return np.asarray(self._losses(self.state[0], self.state[2], x, u))

    def policies(self, members: list[int]) -> list[MLPPolicy]:
        """The iterate (member 0) and averages (1..A) asked for, as policies on raw observations."""
        params, _, bank = jax.tree.map(np.asarray, self.state)
        chosen = [params if m == 0 else jax.tree.map(lambda leaf, i=m - 1: leaf[i], bank) for m in members]
        return [
            MLPPolicy(
                weights=tuple(np.ascontiguousarray(layer["W"]) for layer in layers),
                biases=tuple(np.ascontiguousarray(layer["b"]) for layer in layers),
                activation=self.learner.activation,
                output=self.learner.output,
                obs_mean=self.obs_mean,
                obs_std=self.obs_std,
            )
            for layers in chosen
        ]

    def arrays(self) -> dict[str, np.ndarray]:
        """The whole state as named arrays, for a checkpoint."""
        leaves = jax.tree.leaves(self.state)
        return {"t": np.asarray(self.t), **{f"leaf{i}": np.asarray(leaf) for i, leaf in enumerate(leaves)}}

    def restore(self, arrays: dict[str, np.ndarray]) -> None:
        """Go to a state written by `arrays`.

        Raises:
            ValueError: if it does not fit this run.
        """
        leaves, structure = jax.tree.flatten(self.state)
        try:
            stored = [arrays[f"leaf{i}"] for i in range(len(leaves))]
        except KeyError as e:
            raise ValueError(f"the checkpoint lacks {e}") from e
        for i, (new, old) in enumerate(zip(stored, leaves, strict=True)):
            if new.shape != old.shape or new.dtype != old.dtype:
                raise ValueError(
                    f"leaf{i} of the checkpoint is {new.dtype}{new.shape}, the run has {old.dtype}{old.shape}"
                )
        self.state = jax.tree.unflatten(structure, [jnp.asarray(leaf) for leaf in stored])
        self.t = int(arrays["t"])


def _advance(
    learner: Learner,
    optimiser: optax.GradientTransformation,
    state: Any,
    start: jax.Array,
    updates: jax.Array,
    data: tuple[jax.Array, jax.Array],
    rates: jax.Array,
) -> Any:
    key = jax.random.fold_in(jax.random.key(learner.seed), 1)
    loss = functools.partial(cloning_loss, activation=learner.activation, output=learner.output)

    def update(i: jax.Array, state: Any) -> Any:
        params, opt, bank = state
        batch = jax.random.randint(jax.random.fold_in(key, i), (learner.batch_size,), 0, data[0].shape[0])
        grads = jax.grad(loss)(params, data[0][batch], data[1][batch])
        steps, opt = optimiser.update(grads, opt, params)
        params = optax.apply_updates(params, steps)
        return params, opt, update_bank(bank, params, rates[i])

    # A loop of dynamic length compiles once, whatever the distances between probes.
    return jax.lax.fori_loop(start, start + updates, update, state)


def _bank_losses(learner: Learner, params: Any, bank: Any, x: jax.Array, u: jax.Array) -> jax.Array:
    loss = functools.partial(cloning_loss, x=x, u=u, activation=learner.activation, output=learner.output)
    return jnp.concatenate([loss(params)[None], jax.lax.map(loss, bank)])

"""Behaviour cloning of an expert by minibatch updates, with a bank of averages kept at every one of them.

The state of a run is a pytree of arrays; update t draws its batch and its noise from a key folded with t, so a run
resumes to the bit-identical end.
"""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from gvatheory import validation
from gvatheory.schedules import Schedule
from neural.averages import init_bank, update_bank
from neural.control.learner import Learner, cloning_loss, gradient_noise, initial_params, optimiser, training_loss
from neural.control.policies import MLPPolicy


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
            schedule: step sizes.
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
        updater = optimiser(learner, schedule)
        params = initial_params(learner, observations.shape[1], actions.shape[1])
        self.t = 0
        self.state = (params, updater.init(params), init_bank(params, rates.shape[1]))
        self._advance = jax.jit(functools.partial(_advance, learner, updater), donate_argnums=(0,))
        network = {"activation": learner.activation, "output": learner.output}
        self._gradient_noise = jax.jit(functools.partial(gradient_noise, **network))
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

    def gradient_noise(self, x: jax.Array, u: jax.Array) -> tuple[float, float]:
        """Trace of the per-example gradient covariance at the iterate, and the mean gradient's squared norm.

        On normalised pairs (n ≥ 2), of the reported loss ‖π(x) − u‖², without noise or dropout; see
        `learner.gradient_noise`.
        """
        trace, square = self._gradient_noise(self.state[0], x, u)
        return float(trace), float(square)

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
    updater: optax.GradientTransformation,
    state: Any,
    start: jax.Array,
    updates: jax.Array,
    data: tuple[jax.Array, jax.Array],
    rates: jax.Array,
) -> Any:
    key = jax.random.fold_in(jax.random.key(learner.seed), 1)
    loss = functools.partial(training_loss, learner)

    def update(i: jax.Array, state: Any) -> Any:
        params, opt, bank = state
        drawn = jax.random.fold_in(key, i)
        batch = jax.random.randint(drawn, (learner.batch_size,), 0, data[0].shape[0])
        grads = jax.grad(loss)(params, data[0][batch], data[1][batch], drawn)
        steps, opt = updater.update(grads, opt, params)
        params = optax.apply_updates(params, steps)
        return params, opt, update_bank(bank, params, rates[i])

    # A loop of dynamic length compiles once, whatever the distances between probes.
    return jax.lax.fori_loop(start, start + updates, update, state)


def _bank_losses(learner: Learner, params: Any, bank: Any, x: jax.Array, u: jax.Array) -> jax.Array:
    loss = functools.partial(cloning_loss, x=x, u=u, activation=learner.activation, output=learner.output)
    return jnp.concatenate([loss(params)[None], jax.lax.map(loss, bank)])

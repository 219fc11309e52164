"""Behaviour cloning of an expert by minibatch updates, with a bank of averages kept at every one of them.

The state of a run is a pytree of arrays; update t draws its batch and its noise from a key folded with t, so a run
resumes to the bit-identical end, whatever the stretches it is advanced by. Several seeds can share one run, each array
with a leading axis over them: a seed's numbers are those of its own run but for rounding.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from gvatheory import validation
from gvatheory.schedules import Schedule
from neural.averages import block_length, block_weights, fold, init_bank
from neural.control.gradients import pairs_gradient_noise, pairs_loss
from neural.control.learner import Learner, Pairs, batch, initial_params, optimiser, parameter_count, training_loss
from neural.control.policies import MLPPolicy
from neural.control.transformer import TransformerPolicy

ClonedPolicy = MLPPolicy | TransformerPolicy


class CloningRun:
    """One run of cloning: call `advance`, look at `policies()` and `losses()`, store and restore `state`.

    Attributes:
        t: updates made so far.
        state: pytree (iterate, optimiser state, averages, latest iterates), the averages with a leading axis over the
            bank as they stood at the last multiple of `block`, the latest iterates with one over the block: update t
            leaves its own at place (t − 1) mod block. With `seeds`, an axis over them goes before everything.
        block: iterates that are folded into the averages at a time.
        seeds: of the runs in this one, or None if it is a single one, of the learner's own seed.
    """

    def __init__(
        self,
        learner: Learner,
        schedule: Schedule,
        rates: np.ndarray,
        observations: np.ndarray,
        actions: np.ndarray,
        step: np.ndarray | None = None,
        *,
        seeds: Sequence[int] | None = None,
        capacity: int | None = None,
    ) -> None:
        """Set up at t = 0.

        Args:
            learner: network and batches.
            schedule: step sizes.
            rates: γ_t, (steps, A), as made by `rate_table`; its length is the length of the run. A may be 0.
            observations: (N, observation_size), raw; normalised here by their own mean and standard deviation.
            actions: (N, action_size), the expert's.
            step: (N,), environment step of each pair within its episode; a transformer's windows need it.
            seeds: learner seeds to run side by side, in place of the learner's own.
            capacity: pairs that `replace_pairs` may bring, ≥ N; N if not given.

        Raises:
            ValueError: if there are no pairs or the counts differ, a transformer lacks `step`, or a seed is bad.
        """
        if len(observations) == 0 or len(observations) != len(actions):
            raise ValueError(f"need equally many observations and actions, got {len(observations)} and {len(actions)}")
        for i, seed in enumerate(() if seeds is None else seeds):
            validation.integer(f"seeds[{i}]", seed, 0)
        self.learner, self.steps = learner, len(rates)
        self.seeds = None if seeds is None else tuple(seeds)
        self.obs_mean = observations.mean(axis=0)
        # A constant coordinate carries nothing: divide it by one.
        spread = observations.std(axis=0)
        self.obs_std = np.where(spread > 1e-8, spread, 1.0)
        self._capacity = len(observations) if capacity is None else capacity
        self.replace_pairs(observations, actions, step)
        self._rates = np.asarray(rates, dtype=np.float64)
        updater = optimiser(learner, schedule)
        self._seed = jnp.asarray(learner.seed if seeds is None else seeds)

        def start(seed: jax.Array) -> Any:
            params = initial_params(learner, observations.shape[1], actions.shape[1], seed)
            kept = self.block if rates.shape[1] else 0
            return params, updater.init(params), init_bank(params, rates.shape[1]), init_bank(params, kept)

        self.block = block_length(parameter_count(learner, observations.shape[1], actions.shape[1]))
        self.t = 0
        self.state = start(self._seed) if seeds is None else jax.vmap(start)(self._seed)
        key = dataclasses.replace(learner, seed=0), schedule, seeds is not None
        try:
            self._functions = _compiled(*key)
        except TypeError:  # a schedule that holds arrays cannot be looked up
            self._functions = _compiled.__wrapped__(*key)

    def normalise(self, observations: np.ndarray) -> np.ndarray:
        """Observations as the network sees them, float32."""
        return ((observations - self.obs_mean) / self.obs_std).astype(np.float32)

    def pairs(self, observations: np.ndarray, actions: np.ndarray, step: np.ndarray | None = None) -> Pairs:
        """Raw pairs as the network sees them, for `losses` and `gradient_noise`.

        Raises:
            ValueError: if a transformer lacks the `step` of each pair.
        """
        if step is None:
            if self.learner.architecture == "transformer":
                raise ValueError("step must be given for a transformer: its windows end where an episode starts")
            step = np.zeros(len(actions))
        seen = self.normalise(observations), np.asarray(actions, np.float32), np.asarray(step, np.int32)
        return Pairs(*map(jnp.asarray, seen))

    def replace_pairs(self, observations: np.ndarray, actions: np.ndarray, step: np.ndarray | None = None) -> None:
        """Train on these raw pairs from now on; the normalisation stays what it is.

        Raises:
            ValueError: if there are none, more than the run has room for, or a transformer lacks `step`.
        """
        validation.integer("the number of pairs", len(actions), 1, self._capacity)
        self._count = len(actions)
        pairs = self.pairs(observations, actions, step)
        # Padded to one size, so that nothing is compiled anew for another number of pairs.
        self._data = jax.tree.map(
            lambda x: jnp.pad(x, [(0, self._capacity - self._count), *[(0, 0)] * (x.ndim - 1)]), pairs
        )

    def advance(self, updates: int) -> None:
        """Make `updates` more updates.

        Raises:
            ValueError: if that is negative or leads past the end of the run.
            FloatingPointError: if the iterate is no longer finite afterwards.
        """
        validation.integer("updates", updates, 0, self.steps - self.t)
        params, opt, bank, latest = self.state
        end, t = self.t + updates, self.t
        while t < end:
            after = min(end, t - t % self.block + self.block)
            old = params, opt, latest
            params, opt, latest = self._functions.updates(self._seed, *old, t, after, self._data, self._count)
            t = after
            if t % self.block == 0 and self._rates.shape[1]:
                bank = self._functions.fold(bank, latest, *self._weights(t))
        self.state, self.t = (params, opt, bank, latest), end
        if not all(bool(jnp.isfinite(leaf).all()) for leaf in jax.tree.leaves(params)):
            raise FloatingPointError(f"the iterate diverged within the {updates} updates before update {self.t}")

    def _weights(self, t: int) -> tuple[np.ndarray, np.ndarray]:
        """Of the block that update t belongs to, up to t."""
        return block_weights(self._rates[(t - 1) // self.block * self.block : t], self.block)

    def averages(self) -> Any:
        """The averages at t: pytree of the iterate with a leading axis over the bank (after that over seeds)."""
        bank, latest = self.state[2:]
        if self.t % self.block == 0 or not self._rates.shape[1]:
            return bank
        return self._functions.peek(bank, latest, *self._weights(self.t))

    def losses(self, pairs: Pairs) -> np.ndarray:
        """ℓ_BC of the iterate and of every average: (1 + A,) float32, the iterate first; with seeds (S, 1 + A)."""
        return np.asarray(self._functions.losses(self.state[0], self.averages(), pairs))

    def gradient_noise(self, pairs: Pairs, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Trace of the per-example gradient covariance at the iterate, and the mean gradient's squared norm.

        From the n ≥ 2 pairs at `indices`, of the reported loss ‖π(x) − u‖², without noise or dropout; see
        `gradients.gradient_noise`. Scalars, or (S,) with seeds.
        """
        trace, square = self._functions.gradient_noise(self.state[0], pairs, indices)
        return np.asarray(trace), np.asarray(square)

    def policies(self, members: Sequence[int]) -> list[ClonedPolicy]:
        """The iterate (member 0) and averages (1..A) asked for, as policies on raw observations.

        With seeds, those of the first seed come first, then those of the second.
        """
        params = jax.tree.map(np.asarray, self.state[0])
        bank = jax.tree.map(np.asarray, self.averages()) if any(members) else None
        out = []
        for s in [...] if self.seeds is None else range(len(self.seeds)):
            for m in members:
                chosen = params if m == 0 else bank
                place = s if m == 0 else ((m - 1,) if s is ... else (s, m - 1))
                out.append(self.policy(jax.tree.map(lambda leaf, at=place: leaf[at], chosen)))
        return out

    def policy(self, params: Any) -> ClonedPolicy:
        """Weights of the learner's network as a policy on raw observations."""
        scale = {"obs_mean": self.obs_mean, "obs_std": self.obs_std}
        return to_policy(self.learner, params, **scale)

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


def to_policy(learner: Learner, params: Any, obs_mean: np.ndarray, obs_std: np.ndarray) -> ClonedPolicy:
    """Weights of the learner's network, with the normalisation of its observations, as a policy."""
    params = jax.tree.map(np.ascontiguousarray, params)
    common = {"activation": learner.activation, "output": learner.output, "obs_mean": obs_mean, "obs_std": obs_std}
    if learner.architecture == "transformer":
        return TransformerPolicy(params, learner.heads, **common)
    return MLPPolicy(
        weights=tuple(layer["W"] for layer in params), biases=tuple(layer["b"] for layer in params), **common
    )


class _Functions(NamedTuple):
    """What a run calls, compiled."""

    updates: Callable[..., Any]
    fold: Callable[..., Any]
    peek: Callable[..., Any]
    gradient_noise: Callable[..., Any]
    losses: Callable[..., Any]


@functools.lru_cache(maxsize=16)
def _compiled(learner: Learner, schedule: Schedule, batched: bool) -> _Functions:
    """Functions of one seed's state, or of several side by side; shared by all runs that are alike but for seeds."""

    def each(function: Callable[..., Any], axes: tuple[int | None, ...], donated: tuple[int, ...] = ()) -> Any:
        mapped = jax.vmap(function, in_axes=axes) if batched else function
        return jax.jit(mapped, donate_argnums=donated)

    one = functools.partial(_updates, learner, optimiser(learner, schedule))
    return _Functions(
        updates=each(one, (0, 0, 0, 0, None, None, None, None), (1, 2, 3)),
        fold=each(fold, (0, 0, None, None), (0,)),
        peek=each(fold, (0, 0, None, None)),
        gradient_noise=each(functools.partial(pairs_gradient_noise, learner), (0, None, None)),
        losses=each(functools.partial(_bank_losses, learner), (0, 0, None)),
    )


def _updates(
    learner: Learner,
    updater: optax.GradientTransformation,
    seed: jax.Array,
    params: Any,
    opt: Any,
    latest: Any,
    start: jax.Array,
    end: jax.Array,
    pairs: Pairs,
    count: jax.Array,
) -> Any:
    """Updates start + 1 to end, all within one block; each leaves its iterate in `latest`."""
    key = jax.random.fold_in(jax.random.key(seed), 1)
    loss = functools.partial(training_loss, learner)
    block = len(jax.tree.leaves(latest)[0])

    def update(i: jax.Array, state: Any) -> Any:
        params, opt, latest = state
        drawn = jax.random.fold_in(key, i)
        indices = jax.random.randint(drawn, (learner.batch_size,), 0, count)
        grads = jax.grad(loss)(params, *batch(learner, pairs, indices), drawn)
        steps, opt = updater.update(grads, opt, params)
        params = optax.apply_updates(params, steps)
        if block:
            latest = jax.tree.map(lambda kept, new: kept.at[i % block].set(new), latest, params)
        return params, opt, latest

    # A loop of dynamic length compiles once, whatever the distances between probes.
    return jax.lax.fori_loop(start, end, update, (params, opt, latest))


def _bank_losses(learner: Learner, params: Any, bank: Any, pairs: Pairs) -> jax.Array:
    loss = functools.partial(pairs_loss, learner, pairs=pairs)
    return jnp.concatenate([loss(params)[None], jax.lax.map(loss, bank)])

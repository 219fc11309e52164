"""What no model can beat, and by how much a model misses it: entropy floor and Kullback-Leibler divergence, in nats.

The next word's distribution is known given its prefix, so its entropy H_i and a model's divergence KL_i(true || model)
are computed in full at every position of a sampled story, and only the prefix is random (Rao-Blackwell): a model's
cross-entropy at that position is H_i + KL_i, of smaller variance than the log-loss of the word that came. Means over
stories are unbiased; stories are independent, so their means carry a t-interval. Words of one story are not.

The floor itself is exact where the states can be enumerated: texts with the same state have the same future, so a
forward recursion over states merges them (`exact_floor`). For the default grammar there are far too many.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from gvatheory import validation
from neural.language.grammar import StoryGrammar
from neural.language.grammar_sampling import next_token_probabilities
from neural.language.grammar_world import process
from neural.statistics import Estimate, mean_estimate


@dataclasses.dataclass(frozen=True)
class Divergence:
    """Result of `divergence` along n stories of t words; column i belongs to word i + 1, given those up to i.

    Attributes:
        entropy: (n, t) of the true distribution, nats.
        kl: (n, t) from the true distribution to the model's, nats; infinite where the model excludes a possible word.
    """

    entropy: np.ndarray
    kl: np.ndarray

    @property
    def cross_entropy(self) -> np.ndarray:
        """(n, t) expected log-loss of the model, nats."""
        return self.entropy + self.kl


def entropies(probabilities: np.ndarray) -> np.ndarray:
    """−Σ p log p over the last axis, nats."""
    return -np.sum(probabilities * np.log(np.where(probabilities > 0, probabilities, 1.0)), axis=-1)


def top_two_gaps(probabilities: np.ndarray) -> np.ndarray:
    """log of the largest probability over the second largest, along the last axis; infinite where one word is sure."""
    second, largest = np.moveaxis(np.sort(probabilities, axis=-1)[..., -2:], -1, 0)
    with np.errstate(divide="ignore"):
        return np.log(largest) - np.log(second)


def floor(grammar: StoryGrammar, tokens: np.ndarray) -> np.ndarray:
    """(n, t) entropy of word i + 1 given the words up to i of (n, t) stories; `story_mean` of it is the floor.

    Raises:
        ValueError: as `next_token_probabilities`.
    """
    return entropies(next_token_probabilities(grammar, tokens)[:, 1:])


def divergence(grammar: StoryGrammar, tokens: np.ndarray, log_probabilities: np.ndarray) -> Divergence:
    """Entropy and divergence at every position of sampled stories.

    Args:
        grammar: the definition.
        tokens: (n, t) stories, from their beginning.
        log_probabilities: (n, t, V) of the model; [:, i] are of word i + 1 given tokens[:, : i + 1], each row summing
            to one to 1e-3.

    Raises:
        ValueError: naming the argument and what is wrong with it.
    """
    truth = next_token_probabilities(grammar, tokens)[:, 1:]
    model = np.asarray(log_probabilities, dtype=np.float64)
    if model.shape != truth.shape:
        raise ValueError(f"log_probabilities must have shape {truth.shape}, got {model.shape}")
    total = np.exp(model).sum(axis=-1)
    if not np.all(np.abs(total - 1.0) <= 1e-3):
        worst = total.flat[np.argmax(np.where(np.isnan(total), np.inf, np.abs(total - 1.0)))]
        raise ValueError(f"log_probabilities must be of distributions, the probabilities of one sum to {worst:g}")
    possible = truth > 0
    with np.errstate(divide="ignore"):
        ratio = np.where(possible, np.log(np.where(possible, truth, 1.0)) - np.where(possible, model, 0.0), 0.0)
    return Divergence(entropies(truth), np.sum(truth * ratio, axis=-1))


def story_mean(values: np.ndarray, level: float = 0.95) -> Estimate:
    """Mean per word of (n, t) values, with the t-interval of independent stories, n ≥ 2.

    Raises:
        ValueError: naming the shape or the level.
    """
    validation.real("level", level, 0.0, 1.0, open_low=True, open_high=True)
    if values.ndim != 2 or len(values) < 2 or values.shape[1] == 0:
        raise ValueError(f"values must have shape (stories ≥ 2, words ≥ 1), got {values.shape}")
    return mean_estimate(values.mean(axis=1), level)


def exact_floor(grammar: StoryGrammar, length: int, *, max_states: int = 200_000) -> np.ndarray:
    """(length,) exact entropy of word i + 1 given the words up to i, nats, by a forward recursion over states.

    Args:
        grammar: a small one; states grow like (places + 1)^agents (agents + places + 1)^objects.
        length: words after the first, at least 0.
        max_states: at most this many at a time.

    Raises:
        ValueError: naming an argument out of range, or the position at which there are too many states.
    """
    validation.integer("length", length, 0)
    validation.integer("max_states", max_states, 1)
    p, out = process(grammar), np.zeros(length)
    states, mass = p.start(1), np.ones(1)
    for t in range(length + 1):
        weights = p.weights(states)
        probabilities = weights / weights.sum(axis=1, keepdims=True, dtype=np.float64)
        if t:  # the first word is always the same
            out[t - 1] = mass @ entropies(probabilities)
        rows, tokens = np.nonzero(weights)
        arrived = states[rows]
        p.advance(arrived, tokens)
        states, where = np.unique(arrived, axis=0, return_inverse=True)
        mass = np.bincount(where.ravel(), mass[rows] * probabilities[rows, tokens], len(states))
        if len(states) > max_states:
            raise ValueError(f"max_states must be more than {max_states} for word {t + 1}: it has {len(states)} states")
    return out

"""Stories of a grammar without end, the probabilities of their words, prompts, and the definition's fingerprint."""

from __future__ import annotations

import hashlib
import json

import numpy as np

from gvatheory import validation
from neural.language.grammar import STOP, StoryGrammar
from neural.language.grammar_sentences import ARCS
from neural.language.grammar_world import SLOT, process

_CHUNK = 2048  # stories at a time: their tables stay in the cache


def sample(grammar: StoryGrammar, count: int, length: int, *, seed: int, first: int = 0) -> np.ndarray:
    """Stories number first .. first + count − 1 of a seed, cut to `length` words: (count, length) int64.

    Story i is a function of (seed, i) alone, and a longer cut begins with the shorter one: its uniform numbers are
    those of Philox with the key (seed, i), one per word, spent or not. After the end of a story its row goes on with
    another one.

    Args:
        grammar: the definition.
        count, length: at least 0.
        seed, first: from 0 to 2^63 − 1.

    Raises:
        ValueError: naming an argument out of range.
    """
    for name, value in {"count": count, "length": length}.items():
        validation.integer(name, value, 0)
    for name, value in {"seed": seed, "first": first}.items():
        validation.integer(name, value, 0, 2**63 - 1)
    parts = [_stories(grammar, seed, first + i, min(_CHUNK, count - i), length) for i in range(0, count, _CHUNK)]
    return np.concatenate(parts) if parts else np.empty((0, length), dtype=np.int64)


def _stories(grammar: StoryGrammar, seed: int, first: int, count: int, length: int) -> np.ndarray:
    p = process(grammar)
    keys = np.arange(count, dtype=np.uint64) + np.uint64(first)
    uniform = np.stack(
        [np.random.Generator(np.random.Philox(key=np.array([seed, k], dtype=np.uint64))).random(length) for k in keys],
        axis=1,
    )
    state, tokens = p.start(count), np.empty((count, length), dtype=np.int64)
    for t in range(length):
        chosen = p.skeleton.only[state[:, SLOT]]
        open_ = np.flatnonzero(chosen < 0)
        heights = np.cumsum(p.weights(state[open_]), axis=1, dtype=np.int32)
        # Whole numbers: the first word whose cumulative weight exceeds u · total has a positive weight of its own.
        mark = (uniform[t, open_] * heights[:, -1]).astype(np.int32)
        chosen[open_] = (heights <= mark[:, None]).sum(axis=1)
        tokens[:, t] = chosen
        p.advance(state, chosen)
    return tokens


def next_token_probabilities(grammar: StoryGrammar, tokens: np.ndarray) -> np.ndarray:
    """Distribution of every word given the words before it, and of the word after the last.

    Args:
        grammar: the definition.
        tokens: (n, t) prefixes of stories, from their beginning.

    Returns:
        (n, t + 1, V) float64; [:, i] belongs to word i, given tokens[:, :i].

    Raises:
        ValueError: naming a token out of range, or the first word that has probability zero.
    """
    tokens = grammar.checked(tokens, 2)
    states = trace(grammar, tokens)
    n, steps, cells = states.shape
    weights = process(grammar).weights(states.reshape(-1, cells)).reshape(n, steps, -1)
    taken = np.take_along_axis(weights[:, :-1], tokens[:, :, None], axis=2)[:, :, 0]
    if not np.all(taken > 0):
        row, at = np.argwhere(taken == 0)[0]
        raise ValueError(f"tokens must be stories, got one of probability zero in row {row} at position {at}")
    return weights / weights.sum(axis=2, keepdims=True, dtype=np.float64)


def trace(grammar: StoryGrammar, tokens: np.ndarray) -> np.ndarray:
    """States before every word of (n, t) tokens and after the last, (n, t + 1, cells); see `grammar_world`."""
    p = process(grammar)
    n, length = tokens.shape
    state = p.start(n)
    out = np.empty((n, length + 1, state.shape[1]), dtype=np.int8)
    out[:, 0] = state
    for t in range(length):
        p.advance(state, tokens[:, t])
        out[:, t + 1] = state
    return out


def greedy(grammar: StoryGrammar, tokens: np.ndarray, length: int) -> np.ndarray:
    """Stories continued by the likeliest word each time, the first in the vocabulary of equals: (n, t + length) int64.

    What a perfect model would say at temperature zero.

    Args:
        grammar: the definition.
        tokens: (n, t) prompts, from their beginning.
        length: words to add, at least 0.

    Raises:
        ValueError: naming an argument out of range; as `next_token_probabilities` for a prompt that is no story.
    """
    validation.integer("length", length, 0)
    next_token_probabilities(grammar, tokens)
    p, state, added = process(grammar), trace(grammar, tokens)[:, -1].copy(), []
    for _ in range(length):
        added.append(p.weights(state).argmax(axis=1))
        p.advance(state, added[-1])
    return np.concatenate([tokens, *(word[:, None] for word in added)], axis=1)


def prompts(grammar: StoryGrammar, count: int, sentences: int, *, seed: int, first: int = 0) -> list[np.ndarray]:
    """The first sentences of stories, each up to and with its full stop number `sentences`; see `sample`.

    Raises:
        ValueError: naming an argument out of range.
    """
    validation.integer("sentences", sentences, 1)
    stop, length = grammar.token(STOP), 16 * sentences
    while True:
        tokens = sample(grammar, count, length, seed=seed, first=first)
        stops = np.cumsum(tokens == stop, axis=1)
        if np.all(stops[:, -1] >= sentences):
            return [row[: np.searchsorted(s, sentences) + 1] for row, s in zip(tokens, stops, strict=True)]
        length *= 2


def fingerprint(grammar: StoryGrammar) -> str:
    """SHA-256 of the definition: words, sentences, preferences, and 64 stories, on which every rule leaves its mark."""
    words = [grammar.vocabulary, ARCS, grammar.end_probability]
    digest = hashlib.sha256(json.dumps(words).encode())
    for name, table in process(grammar).preference.items():
        digest.update(name.encode())
        digest.update(table.astype("<i4").tobytes())
    digest.update(sample(grammar, 64, 128, seed=0).astype("<i8").tobytes())
    return digest.hexdigest()

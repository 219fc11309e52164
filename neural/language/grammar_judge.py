"""Judge of a text in the language of a grammar: how long it stays grammatical and true, and which sentences are so.

A word is an error if its probability is zero given the words before it: *ungrammatical* if the sentence so far does not
admit it in any world, *false* if it is grammatical but contradicts the world that the story has made so far. Once a
word is wrong the true process says nothing of what follows, so the reward ends there.

Counting goes on, sentence by sentence. A sentence with an error is charged to the error that comes first in it, and is
then as good as unsaid: the reader goes on after its full stop in the world before it. `<end>` and `<begin>` end and
begin a story wherever they stand, and close a sentence that is in error there. Statements, questions with their answer
and changes of time are sentences; the clauses joined by `and` are one.
"""

from __future__ import annotations

import dataclasses
import enum

import numpy as np

from gvatheory import validation
from neural.language.grammar import BEGIN, END, STOP, StoryGrammar
from neural.language.grammar_world import SLOT, Process, process


class Verdict(enum.IntEnum):
    """What is said of a sentence, or of the first error of a text."""

    NONE = 0
    """Nothing to be said: no error, or no end of a sentence."""
    TRUE = 1
    FALSE = 2
    UNGRAMMATICAL = 3


@dataclasses.dataclass(frozen=True)
class Judgement:
    """Result of `judge` for n texts of t words.

    Attributes:
        first_error: (n,) position of the first word of probability zero, t if there is none.
        kind: (n,) `Verdict` on that word: NONE if there is no error, else FALSE or UNGRAMMATICAL.
        sentence: (n, t) `Verdict` on each sentence, at the word that closes it; NONE elsewhere.
    """

    first_error: np.ndarray
    kind: np.ndarray
    sentence: np.ndarray

    def reward(self, horizon: int, start: int = 0) -> np.ndarray:
        """J_H, (n,) in [0, 1]: share of the H = horizon words from `start` on that come before the first error.

        Raises:
            ValueError: if the texts are shorter than start + horizon, or an argument is out of range.
        """
        length = self.sentence.shape[1]
        validation.integer("start", start, 0, length)
        validation.integer("horizon", horizon, 1)
        if start + horizon > length:
            raise ValueError(f"horizon must be at most {length - start} after the start, got {horizon!r}")
        return np.clip(self.first_error - start, 0, horizon) / horizon

    def count(self, verdict: Verdict, start: int = 0) -> np.ndarray:
        """(n,) sentences with this verdict among those that close at `start` or later."""
        return np.sum(self.sentence[:, start:] == verdict, axis=1)


def judge(grammar: StoryGrammar, tokens: np.ndarray) -> Judgement:
    """First errors of texts, and the truth of every sentence; see the module.

    Args:
        grammar: the definition.
        tokens: (n, t) texts, from their `<begin>`.

    Raises:
        ValueError: naming the shape, or a token out of range.
    """
    tokens = grammar.checked(tokens, 2)
    p, (n, length) = process(grammar), tokens.shape
    state = p.start(n)
    kept = state.copy()  # as the last sentence left it
    fault = np.zeros(n, dtype=np.int8)  # of the sentence at hand
    first, kind = np.full(n, length), np.zeros(n, dtype=np.int8)
    sentence = np.zeros((n, length), dtype=np.int8)
    for t in range(length):
        token = tokens[:, t]
        live = np.flatnonzero(fault == Verdict.NONE)
        wrong = _errors(p, state[live], token[live])
        fault[live] = wrong
        new = live[(wrong != Verdict.NONE) & (first[live] == length)]
        first[new], kind[new] = t, fault[new]
        p.advance(state, token)
        _close(p, token, fault, state, kept, sentence[:, t])
    return Judgement(first, kind, sentence)


def _errors(p: Process, state: np.ndarray, token: np.ndarray) -> np.ndarray:
    """(n,) `Verdict` on one word each: NONE, FALSE or UNGRAMMATICAL."""
    possible = p.weights(state)[np.arange(len(state)), token] > 0
    grammatical = p.skeleton.admitted[state[:, SLOT], token]
    return np.where(possible, Verdict.NONE, np.where(grammatical, Verdict.FALSE, Verdict.UNGRAMMATICAL))


def _close(
    p: Process, token: np.ndarray, fault: np.ndarray, state: np.ndarray, kept: np.ndarray, verdict: np.ndarray
) -> None:
    """Give the verdict on the sentences that `token` closes, and go on from a sound state; in place."""
    stop, end, begin = (token == p.grammar.token(word) for word in (STOP, END, BEGIN))
    closed, bad = stop | end | begin, fault != Verdict.NONE
    verdict[closed & bad] = fault[closed & bad]
    verdict[stop & ~bad] = Verdict.TRUE
    state[stop & bad] = kept[stop & bad]
    state[end & bad] = p.start(1)
    opened = p.start(1)
    p.advance(opened, np.array([p.grammar.token(BEGIN)]))
    state[begin & bad] = opened
    fault[closed] = Verdict.NONE
    kept[closed] = state[closed]

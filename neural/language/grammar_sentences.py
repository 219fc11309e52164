"""Sentences of the story grammar: a finite automaton over words, which knows nothing of the world.

A slot is a position in a sentence. An arc says which words the slot admits in some world, where the sentence goes on,
and what the word does to the world; the probabilities of the words admitted are in `grammar_world`. A word without an
arc is ungrammatical, and leads to the slot "dead", which nothing leaves.
"""

from __future__ import annotations

import dataclasses
import enum

import numpy as np

from neural.language.grammar import ACTIONS, BEGIN, END, STOP, VERBS, StoryGrammar


class Effect(enum.IntEnum):
    """What a word does to the world."""

    NONE = 0
    EMPTY = enum.auto()
    """Forget the story."""
    SUBJECT = enum.auto()
    """Name who acts."""
    ADVERB = enum.auto()
    """Say how."""
    VERB = enum.auto()
    """Say what."""
    MOVE = enum.auto()
    """Put the subject into a place."""
    PICK_UP = enum.auto()
    """Put an object into the subject's hands."""
    PUT_DOWN = enum.auto()
    """Put an object where the subject is."""
    ASK = enum.auto()
    """Ask something, which takes time as a verb does."""
    TIME = enum.auto()
    """Let the time of day change."""
    NOTE_OBJECT = enum.auto()
    """Remember an object until the sentence has dealt with it."""
    NOTE_AGENT = enum.auto()
    """Remember an agent likewise."""
    HAND_OVER = enum.auto()
    """Give the remembered object to an agent."""
    FORGET = enum.auto()
    """Drop what was remembered: the question is answered."""


DEAD = "dead"
_AFTER_VERB = {verb: f"who {verb}" for verb in VERBS}
_E = Effect

ARCS: tuple[tuple[str, str, str, Effect], ...] = (
    ("begin", BEGIN, "start", _E.NONE),
    ("start", END, "begin", _E.EMPTY),
    # Statements: who, perhaps how, does what.
    ("start", "AGENT", "predicate", _E.SUBJECT),
    ("predicate", "ADVERB", "verb", _E.ADVERB),
    *(("predicate", verb, after, _E.VERB) for verb, after in _AFTER_VERB.items()),
    *(("verb", verb, _AFTER_VERB[verb], _E.VERB) for verb in ACTIONS),
    ("who arrives", "in", "arrives in", _E.NONE),
    ("arrives in", "the", "arrival", _E.NONE),
    ("arrival", "PLACE", "close", _E.MOVE),
    ("who goes", "to", "goes to", _E.NONE),
    ("goes to", "the", "destination", _E.NONE),
    ("destination", "PLACE", "close", _E.MOVE),
    ("who is", "in", "is in", _E.NONE),
    ("is in", "the", "own place", _E.NONE),
    ("own place", "PLACE", "close", _E.NONE),
    ("who finds", "the", "found", _E.NONE),
    ("found", "OBJECT", "close", _E.PICK_UP),
    ("who takes", "the", "taken", _E.NONE),
    ("taken", "OBJECT", "close", _E.PICK_UP),
    ("who drops", "the", "dropped", _E.NONE),
    ("dropped", "OBJECT", "close", _E.PUT_DOWN),
    ("who gives", "the", "given", _E.NONE),
    ("given", "OBJECT", "gives to", _E.NOTE_OBJECT),
    ("gives to", "to", "recipient", _E.NONE),
    ("recipient", "AGENT", "close", _E.HAND_OVER),
    ("who meets", "AGENT", "close", _E.NONE),
    ("who has", "nothing", "close", _E.NONE),
    ("who has", "the", "held", _E.NONE),
    ("held", "OBJECT", "close", _E.NONE),
    ("who sees", "the", "seen", _E.NONE),
    ("seen", "OBJECT", "close", _E.NONE),
    ("close", STOP, "start", _E.NONE),
    ("close", "and", "predicate", _E.NONE),
    # Questions, answered at once.
    ("start", "where", "where", _E.ASK),
    ("where", "is", "where is", _E.NONE),
    ("where is", "AGENT", "asked", _E.NOTE_AGENT),
    ("where is", "the", "sought", _E.NONE),
    ("sought", "OBJECT", "asked", _E.NOTE_OBJECT),
    ("asked", "?", "answer", _E.NONE),
    ("answer", "in", "answer in", _E.NONE),
    ("answer in", "the", "answer place", _E.NONE),
    ("answer place", "PLACE", "full stop", _E.FORGET),
    ("start", "who", "who", _E.ASK),
    ("who", "has", "whose", _E.NONE),
    ("whose", "the", "owned", _E.NONE),
    ("owned", "OBJECT", "asked who", _E.NOTE_OBJECT),
    ("asked who", "?", "holder", _E.NONE),
    ("holder", "AGENT", "full stop", _E.FORGET),
    ("holder", "nobody", "full stop", _E.FORGET),
    # The time of day.
    ("start", "then", "then", _E.NONE),
    ("then", "it", "then it", _E.NONE),
    ("then it", "is", "time", _E.NONE),
    ("time", "TIME", "full stop", _E.TIME),
    ("full stop", STOP, "start", _E.NONE),
)

SLOTS = (*dict.fromkeys(arc[0] for arc in ARCS), DEAD)
"""Names of the slots; the first is that of an empty text."""


@dataclasses.dataclass(frozen=True)
class Skeleton:
    """The automaton of one grammar as tables over S slots and V tokens.

    Attributes:
        next_slot: (S, V) int8, "dead" where there is no arc.
        effect: (S, V) int8, `Effect` of each arc.
        only: (S,) int64, the token of a slot that admits one only, else −1.
        index: (V,) int64, position of a token within its class.
    """

    next_slot: np.ndarray
    effect: np.ndarray
    only: np.ndarray
    index: np.ndarray

    @property
    def admitted(self) -> np.ndarray:
        """(S, V) bool: words that are grammatical at a slot."""
        return self.next_slot != SLOTS.index(DEAD)


def skeleton(grammar: StoryGrammar) -> Skeleton:
    """The tables of `ARCS` for the vocabulary of a grammar."""
    shape = len(SLOTS), len(grammar.vocabulary)
    next_slot = np.full(shape, SLOTS.index(DEAD), dtype=np.int8)
    effect = np.zeros(shape, dtype=np.int8)
    for slot, words, after, what in ARCS:
        columns = grammar.tokens_of(words) if words in grammar.classes else grammar.token(words)
        next_slot[SLOTS.index(slot), columns] = SLOTS.index(after)
        effect[SLOTS.index(slot), columns] = what
    admitted = next_slot != SLOTS.index(DEAD)
    only = np.where(admitted.sum(axis=1) == 1, admitted.argmax(axis=1), -1)
    index = np.concatenate([np.arange(len(words)) for words in grammar.classes.values()])
    return Skeleton(next_slot, effect, only, index)

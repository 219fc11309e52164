"""The world of a story and the probability of its next word: exact, and vectorised over stories.

A state is one row of small whole numbers: the slot of the sentence, its subject, the verb, what is remembered within
the sentence, and the world: the place of each agent and the whereabouts of each object. `Process.advance` takes a word
in, `Process.weights` says what may follow, as whole numbers proportional to the probabilities; a word that contradicts
the world weighs nothing. Whole numbers make sums exact, so that a story does not depend on the machine.

A weight is a product of preferences (see `StoryGrammar`), divided by powers of two. They depend on who acts, after
whom, with what, where, and at what time of day; what has just been said weighs less when it is said again, and each
verb makes a change of the time likelier, or greedy stories would stand still.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
from collections.abc import Callable

import numpy as np

from neural.language.grammar import ADVERBS, END, STOP, VERBS, StoryGrammar
from neural.language.grammar_sentences import SLOTS, Effect, Skeleton, skeleton

SLOT, SUBJECT, VERB, NOTED, TIME, AGE, WORLD = range(7)
"""Columns of a state. Subject and verb are 1-based, 0 = none yet, and stay after the sentence; a question counts as a
verb of its own. Noted is an adverb, an object, or objects + an agent, 1-based, 0 = nothing. Time is 0-based, its age
the verbs and questions since it changed, at most 10. From WORLD on: the place of each agent, 1-based, 0 = not yet come;
then the whereabouts of each object, 0 = not yet found, then the agents that may hold it, then the places."""

_RATES = {
    "arrives": 1,
    "goes": 3,
    "is": 1,
    "finds": 2,
    "takes": 8,
    "drops": 5,
    "gives": 8,
    "meets": 1,
    "has": 2,
    "sees": 2,
}
_HANDLED = ("found", "taken", "dropped", "given", "held", "seen")
_VERB = {verb: column for column, verb in enumerate(VERBS)}
_ONE = 256  # the least preference
_ASKED = 1 + len(VERBS)  # in place of a verb: a question came last
_OLD = 10  # verbs until time is sure to press on


@functools.lru_cache(maxsize=8)
def process(grammar: StoryGrammar) -> Process:
    """The process of a grammar, its tables built once."""
    return Process(grammar, skeleton(grammar), _preferences(grammar))


def _preferences(grammar: StoryGrammar) -> dict[str, np.ndarray]:
    """Tables of whole numbers from 256 to 256 e^spread, int32, each a function of its name and indices alone."""
    agents, objects, places, times = grammar.agents, grammar.objects, grammar.places, grammar.times

    def table(name: str, *shape: int) -> np.ndarray:
        names = [f"{name} {' '.join(map(str, index))}".encode() for index in np.ndindex(*shape)]
        uniform = [int.from_bytes(hashlib.sha256(name).digest()[:6]) / 2**48 for name in names]
        return np.rint(_ONE * np.exp(grammar.spread * np.array(uniform))).astype(np.int32).reshape(shape)

    tables = {
        "follows": table("follows", times, 1 + agents, agents),
        "acts": table("acts", 1 + places, agents),
        "asks where": table("asks where", 1 + agents),
        "asks who": table("asks who", 1 + agents),
        "asked agent": table("asked agent", 1 + agents, agents),
        "asked object": table("asked object", 1 + agents, objects),
        "adverb": table("adverb", agents, len(ADVERBS)),
        "manner": table("manner", 1 + len(ADVERBS), len(VERBS)),
        "habit": table("habit", times, agents, len(VERBS)),
        "custom": table("custom", 1 + places, len(VERBS)),
        "arrival": table("arrival", agents, places),
        "road": table("road", 1 + places, places),
        "taste": table("taste", agents, places),
        "friend": table("friend", 2, agents, agents),
        "goes on": table("goes on", agents, 1 + places),
        **{slot: table(slot, agents, objects) for slot in _HANDLED},
    }
    tables["manner"][0] = _ONE  # no adverb
    return tables


@dataclasses.dataclass(frozen=True)
class Process:
    """Skeleton and preferences of one grammar, and what follows from them; constant once made.

    Attributes:
        grammar: the definition.
        skeleton: its sentences.
        preference: tables by name.
    """

    grammar: StoryGrammar
    skeleton: Skeleton
    preference: dict[str, np.ndarray]

    def start(self, count: int) -> np.ndarray:
        """States (count, WORLD + agents + objects) int8 of empty texts."""
        return np.zeros((count, WORLD + self.grammar.agents + self.grammar.objects), dtype=np.int8)

    def weights(self, state: np.ndarray) -> np.ndarray:
        """(n, V) int32, proportional to the probability of the next word; all zero at the slot "dead"."""
        out = np.zeros((len(state), len(self.grammar.vocabulary)), dtype=np.int32)
        only = self.skeleton.only[state[:, SLOT]]
        fixed = np.flatnonzero(only >= 0)
        out[fixed, only[fixed]] = 1
        for slot, rule in _RULES.items():
            rows = np.flatnonzero((state[:, SLOT] == SLOTS.index(slot)) & (only < 0))
            if rows.size:
                part = np.zeros((rows.size, out.shape[1]), dtype=np.int32)
                rule(self, state[rows], part, slot)
                out[rows] = part
        return out

    def advance(self, state: np.ndarray, tokens: np.ndarray) -> None:
        """Take the words (n,) into the states, in place.

        A word that contradicts the world leaves a world that means nothing, one without an arc the slot "dead".
        """
        slot = state[:, SLOT]
        effect, index = self.skeleton.effect[slot, tokens], self.skeleton.index[tokens]
        state[:, SLOT] = self.skeleton.next_slot[slot, tokens]
        for code, act in _ACTS.items():
            rows = np.flatnonzero(effect == code)
            if rows.size:
                act(self, state, rows, index[rows])

    def columns(self, kind: str) -> slice:
        """Tokens of a class of words."""
        return self.grammar.tokens_of(kind)

    def agents(self, state: np.ndarray) -> np.ndarray:
        """(n, agents) places, a view."""
        return state[:, WORLD : WORLD + self.grammar.agents]

    def objects(self, state: np.ndarray) -> np.ndarray:
        """(n, objects) whereabouts, a view."""
        return state[:, WORLD + self.grammar.agents :]

    def here(self, state: np.ndarray) -> np.ndarray:
        """(n,) place of the subject."""
        return state[np.arange(len(state)), WORLD - 1 + state[:, SUBJECT]]

    def object_places(self, state: np.ndarray) -> np.ndarray:
        """(n, objects) place of each object, its holder's if it is held; 0 = not yet found."""
        count = self.grammar.agents
        where = self.objects(state)
        holder = np.clip(where - 1, 0, count - 1).astype(np.intp)
        held = np.take_along_axis(self.agents(state), holder, axis=1)
        return np.where(where > count, where - count, np.where(where > 0, held, 0))

    def handled(self, state: np.ndarray, slot: str) -> np.ndarray:
        """(n, objects) bool: objects that the subject may find, take, drop, give, have or see."""
        where, subject, here = self.objects(state), state[:, SUBJECT, None], self.here(state)[:, None]
        if slot == "found":
            return where == 0
        if slot == "taken":
            return where == self.grammar.agents + here
        if slot == "seen":
            return (self.object_places(state) == here) & (where != subject)
        return where == subject

    def companions(self, state: np.ndarray) -> np.ndarray:
        """(n, agents) bool: who else is where the subject is."""
        there = self.agents(state) == self.here(state)[:, None]
        there[np.arange(len(state)), state[:, SUBJECT] - 1] = False
        return there

    def verbs(self, state: np.ndarray) -> np.ndarray:
        """(n, verbs) weights of what the subject may do, said with the adverb noted, or none."""
        who, here, table = state[:, SUBJECT] - 1, self.here(state), self.preference
        usual = (table["habit"][state[:, TIME], who] * table["custom"][here]) // _ONE
        weight = (usual * table["manner"][state[:, NOTED]]) // _ONE * np.array([*_RATES.values()], dtype=np.int32)
        again = np.flatnonzero((state[:, VERB] > 0) & (state[:, VERB] < _ASKED))
        weight[again, state[again, VERB] - 1] //= 16
        possible = np.ones((len(state), len(VERBS)), dtype=bool)
        possible[:, _VERB["finds"]] = self.handled(state, "found").any(axis=1)
        possible[:, _VERB["takes"]] = self.handled(state, "taken").any(axis=1)
        holds, company = self.handled(state, "held").any(axis=1), self.companions(state).any(axis=1)
        possible[:, _VERB["drops"]] = holds
        possible[:, _VERB["gives"]] = holds & company
        possible[:, _VERB["meets"]] = company
        possible[:, _VERB["sees"]] = self.handled(state, "seen").any(axis=1)
        # Whoever has not come yet can only arrive, and nobody arrives twice.
        possible &= (here > 0)[:, None]
        possible[:, _VERB["arrives"]] = here == 0
        return weight * possible


def _start(p: Process, s: np.ndarray, out: np.ndarray, _: str) -> None:
    last, table = s[:, SUBJECT], p.preference
    acts = table["acts"][p.agents(s), np.arange(p.grammar.agents)]
    weight = (table["follows"][s[:, TIME], last] * acts) // _ONE
    again = np.flatnonzero(last > 0)
    weight[again, last[again] - 1] //= 4
    out[:, p.columns("AGENT")] = weight
    begun = np.any(p.agents(s) > 0, axis=1)
    calm = np.where(s[:, VERB] == _ASKED, 0, 2)
    out[:, p.grammar.token("where")] = (table["asks where"][last] << calm) * begun
    if p.grammar.times > 1:
        out[:, p.grammar.token("then")] = (_ONE << s[:, AGE].astype(np.int32)) * begun
    out[:, p.grammar.token("who")] = (table["asks who"][last] << calm) * np.any(p.objects(s) > 0, axis=1)
    odds = p.grammar.end_probability / (1.0 - p.grammar.end_probability)
    out[:, p.grammar.token(END)] = np.rint(out.sum(axis=1) * odds) * begun


def _predicate(p: Process, s: np.ndarray, out: np.ndarray, slot: str) -> None:
    out[:, p.columns("VERB")] = p.verbs(s) * p.skeleton.admitted[SLOTS.index(slot), p.columns("VERB")]
    if slot == "predicate":
        present = (p.here(s) > 0)[:, None]
        out[:, p.columns("ADVERB")] = 4 * p.preference["adverb"][s[:, SUBJECT] - 1] * present


def _arrival(p: Process, s: np.ndarray, out: np.ndarray, _: str) -> None:
    out[:, p.columns("PLACE")] = p.preference["arrival"][s[:, SUBJECT] - 1]


def _destination(p: Process, s: np.ndarray, out: np.ndarray, _: str) -> None:
    here, table = p.here(s), p.preference
    weight = (table["road"][here] * table["taste"][s[:, SUBJECT] - 1]) // _ONE
    weight[np.arange(len(s)), here - 1] = 0
    out[:, p.columns("PLACE")] = weight


def _own_place(p: Process, s: np.ndarray, out: np.ndarray, _: str) -> None:
    out[np.arange(len(s)), p.columns("PLACE").start + p.here(s) - 1] = 1


def _object(p: Process, s: np.ndarray, out: np.ndarray, slot: str) -> None:
    out[:, p.columns("OBJECT")] = p.preference[slot][s[:, SUBJECT] - 1] * p.handled(s, slot)


def _companion(p: Process, s: np.ndarray, out: np.ndarray, slot: str) -> None:
    liking = p.preference["friend"][int(slot == "recipient"), s[:, SUBJECT] - 1]
    out[:, p.columns("AGENT")] = liking * p.companions(s)


def _possession(p: Process, s: np.ndarray, out: np.ndarray, _: str) -> None:
    holds = p.handled(s, "held").any(axis=1)
    out[:, p.grammar.token("the")] = holds
    out[:, p.grammar.token("nothing")] = ~holds


def _close(p: Process, s: np.ndarray, out: np.ndarray, _: str) -> None:
    out[:, p.grammar.token(STOP)] = int(_ONE * np.exp(0.8 * p.grammar.spread))
    out[:, p.grammar.token("and")] = p.preference["goes on"][s[:, SUBJECT] - 1, p.here(s)] >> s[:, AGE] // 2


def _time(p: Process, s: np.ndarray, out: np.ndarray, _: str) -> None:
    out[np.arange(len(s)), p.columns("TIME").start + (s[:, TIME] + 1) % p.grammar.times] = 1


def _where_is(p: Process, s: np.ndarray, out: np.ndarray, _: str) -> None:
    out[:, p.columns("AGENT")] = p.preference["asked agent"][s[:, SUBJECT]] * (p.agents(s) > 0)
    out[:, p.grammar.token("the")] = 8 * _ONE * np.any(p.objects(s) > 0, axis=1)


def _asked_object(p: Process, s: np.ndarray, out: np.ndarray, _: str) -> None:
    out[:, p.columns("OBJECT")] = p.preference["asked object"][s[:, SUBJECT]] * (p.objects(s) > 0)


def _answer_place(p: Process, s: np.ndarray, out: np.ndarray, _: str) -> None:
    places = np.concatenate([p.object_places(s), p.agents(s)], axis=1)
    rows = np.arange(len(s))
    out[rows, p.columns("PLACE").start + places[rows, s[:, NOTED] - 1] - 1] = 1


def _holder(p: Process, s: np.ndarray, out: np.ndarray, _: str) -> None:
    rows = np.arange(len(s))
    where = p.objects(s)[rows, s[:, NOTED] - 1].astype(np.intp)
    held = where <= p.grammar.agents
    out[rows, np.where(held, p.columns("AGENT").start + where - 1, p.grammar.token("nobody"))] = 1


_RULES: dict[str, Callable[[Process, np.ndarray, np.ndarray, str], None]] = {
    "start": _start,
    "predicate": _predicate,
    "verb": _predicate,
    "arrival": _arrival,
    "destination": _destination,
    "own place": _own_place,
    **dict.fromkeys(_HANDLED, _object),
    "recipient": _companion,
    "who meets": _companion,
    "who has": _possession,
    "close": _close,
    "time": _time,
    "where is": _where_is,
    "sought": _asked_object,
    "owned": _asked_object,
    "answer place": _answer_place,
    "holder": _holder,
}
"""What fills the (m, V) zeros of a slot's rows with weights."""


def _note(
    column: int, offset: Callable[[Process], int]
) -> Callable[[Process, np.ndarray, np.ndarray, np.ndarray], None]:
    """Write offset + 1 + index into a column."""

    def act(p: Process, s: np.ndarray, rows: np.ndarray, index: np.ndarray) -> None:
        s[rows, column] = offset(p) + 1 + index

    return act


def _choose_verb(p: Process, s: np.ndarray, rows: np.ndarray, index: np.ndarray) -> None:
    s[rows, VERB] = 1 + index
    s[rows, NOTED] = 0
    _grow_older(p, s, rows, index)


def _grow_older(p: Process, s: np.ndarray, rows: np.ndarray, index: np.ndarray) -> None:
    if p.grammar.times > 1:
        s[rows, AGE] = np.minimum(s[rows, AGE] + 1, _OLD)


def _ask(p: Process, s: np.ndarray, rows: np.ndarray, index: np.ndarray) -> None:
    s[rows, VERB] = _ASKED
    _grow_older(p, s, rows, index)


def _change_time(p: Process, s: np.ndarray, rows: np.ndarray, index: np.ndarray) -> None:
    s[rows, TIME] = index
    s[rows, AGE] = 0


def _move(p: Process, s: np.ndarray, rows: np.ndarray, index: np.ndarray) -> None:
    s[rows, WORLD - 1 + s[rows, SUBJECT]] = 1 + index


def _pick_up(p: Process, s: np.ndarray, rows: np.ndarray, index: np.ndarray) -> None:
    s[rows, WORLD + p.grammar.agents + index] = s[rows, SUBJECT]


def _put_down(p: Process, s: np.ndarray, rows: np.ndarray, index: np.ndarray) -> None:
    s[rows, WORLD + p.grammar.agents + index] = p.grammar.agents + p.here(s[rows])


def _hand_over(p: Process, s: np.ndarray, rows: np.ndarray, index: np.ndarray) -> None:
    s[rows, WORLD + p.grammar.agents - 1 + s[rows, NOTED]] = 1 + index
    s[rows, NOTED] = 0


def _forget(p: Process, s: np.ndarray, rows: np.ndarray, index: np.ndarray) -> None:
    s[rows, NOTED] = 0


def _empty(p: Process, s: np.ndarray, rows: np.ndarray, index: np.ndarray) -> None:
    s[rows] = 0


_ACTS: dict[Effect, Callable[[Process, np.ndarray, np.ndarray, np.ndarray], None]] = {
    Effect.EMPTY: _empty,
    Effect.SUBJECT: _note(SUBJECT, lambda p: 0),
    Effect.ADVERB: _note(NOTED, lambda p: 0),
    Effect.VERB: _choose_verb,
    Effect.MOVE: _move,
    Effect.PICK_UP: _pick_up,
    Effect.PUT_DOWN: _put_down,
    Effect.ASK: _ask,
    Effect.TIME: _change_time,
    Effect.NOTE_OBJECT: _note(NOTED, lambda p: 0),
    Effect.NOTE_AGENT: _note(NOTED, lambda p: p.grammar.objects),
    Effect.HAND_OVER: _hand_over,
    Effect.FORGET: _forget,
}
"""What a word does to the rows of the states, given its position within its class."""

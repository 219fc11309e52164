"""The embedded language: a stochastic story grammar whose next-token probabilities are known exactly.

People come, go, find, take, drop and give things, meet, and are asked about; a story is the sequence of its words. It
is to a language model what a MuJoCo task is to a cloned policy: fresh samples without end, a loss whose floor is known,
and a reward for a continuation, namely how long it stays grammatical and true (`grammar_judge`). Nothing is hidden: the
world (where everybody is, who has what) is a deterministic function of the words so far, and so is the distribution of
the next one. Much of it hangs on words said long ago: whoever drops something must have it, and the answer to `where
is the key ?` may be hundreds of words back.

The words are here, the sentences in `grammar_sentences`, the world and the probabilities in `grammar_world`.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterable

import numpy as np

from gvatheory import validation

BEGIN, END, STOP = "<begin>", "<end>", "."
FUNCTION_WORDS = (BEGIN, END, STOP, "?", "and", "where", "who", "in", "to", "the", "nothing", "nobody", "then", "it")
VERBS = ("arrives", "goes", "is", "finds", "takes", "drops", "gives", "meets", "has", "sees")
ACTIONS = ("goes", "finds", "takes", "drops", "gives", "meets", "sees")
"""Verbs that take an adverb."""
ADVERBS = ("gladly", "quickly", "quietly", "slowly")
AGENTS = (
    *("anna", "ben", "clara", "david", "emma", "felix", "greta", "hugo"),
    *("ida", "jonas", "karin", "leo", "mona", "nils", "olga", "paul"),
)
OBJECTS = (
    *("apple", "ball", "book", "box", "candle", "coin", "cup", "drum", "feather", "flute", "hammer", "hat"),
    *("kettle", "key", "lamp", "letter", "map", "mirror", "needle", "paddle", "pearl", "pipe", "plate", "ring"),
    *("rope", "saddle", "scarf", "shell", "spoon", "stone", "sword", "wheel"),
)
PLACES = (
    *("attic", "barn", "cellar", "forest", "garden", "hall", "kitchen", "library"),
    *("market", "mill", "office", "park", "port", "school", "shop", "tower"),
)
TIMES = ("morning", "noon", "afternoon", "evening", "midnight", "dawn")


@dataclasses.dataclass(frozen=True)
class StoryGrammar:
    """Definition of the process; the default has 66 words.

    Preferences (who acts after whom, who does what where, who likes what) are fixed numbers from 256 to 256 e^spread,
    log-uniform as far as anyone can tell, by SHA-256 of their names: no seed, and a smaller grammar has the same ones.
    Their irregularity gives the gap between the two likeliest words a continuous-looking law with mass near zero.

    Attributes:
        agents: people, from 1 to 16.
        objects: things, from 1 to 32.
        places: from 2 to 16.
        times: of the day, from 1 (time stands still, and is never mentioned) to 6; they come round in order.
        spread: range of a log-preference in nats, from 0 (all alike) to 3.
        end_probability: of a story's end where a sentence could begin, in [0, 0.5], up to rounding of weights to whole
            numbers; then another story begins in an empty world.

    Raises:
        ValueError: naming the field, its value and the allowed range.
    """

    agents: int = 8
    objects: int = 20
    places: int = 6
    times: int = 4
    spread: float = 2.0
    end_probability: float = 0.02

    def __post_init__(self) -> None:
        validation.integer("agents", self.agents, 1, len(AGENTS))
        validation.integer("objects", self.objects, 1, len(OBJECTS))
        validation.integer("places", self.places, 2, len(PLACES))
        validation.integer("times", self.times, 1, len(TIMES))
        validation.real("spread", self.spread, 0.0, 3.0)
        validation.real("end_probability", self.end_probability, 0.0, 0.5)

    @functools.cached_property
    def classes(self) -> dict[str, tuple[str, ...]]:
        """Words of each class, in the order of their tokens."""
        return {
            "FUNCTION": FUNCTION_WORDS,
            "VERB": VERBS,
            "ADVERB": ADVERBS,
            "AGENT": AGENTS[: self.agents],
            "OBJECT": OBJECTS[: self.objects],
            "PLACE": PLACES[: self.places],
            "TIME": TIMES[: self.times],
        }

    @functools.cached_property
    def vocabulary(self) -> tuple[str, ...]:
        """Word of every token, 0 being the beginning of a story and 1 its end."""
        return tuple(word for words in self.classes.values() for word in words)

    @functools.cached_property
    def _token(self) -> dict[str, int]:
        return {word: token for token, word in enumerate(self.vocabulary)}

    def token(self, word: str) -> int:
        """Token of a word.

        Raises:
            ValueError: naming a word that is not in the vocabulary.
        """
        if word not in self._token:
            raise ValueError(f"word must be one of the {len(self.vocabulary)} of the vocabulary, got {word!r}")
        return self._token[word]

    def tokens_of(self, kind: str) -> slice:
        """Tokens of a class of words ("AGENT", "OBJECT", ...), which are consecutive."""
        first = self._token[self.classes[kind][0]]
        return slice(first, first + len(self.classes[kind]))

    def encode(self, text: str) -> np.ndarray:
        """Tokens (t,) int64 of words separated by blanks; ValueError as in `token`."""
        return np.array([self.token(word) for word in text.split()], dtype=np.int64)

    def decode(self, tokens: Iterable[int]) -> str:
        """Words of tokens (t,), separated by blanks.

        Raises:
            ValueError: naming a token out of range.
        """
        return " ".join(self.vocabulary[int(token)] for token in self.checked(np.array([*tokens], dtype=np.int64)))

    def checked(self, tokens: np.ndarray, ndim: int = 1) -> np.ndarray:
        """`tokens` as int64, if they are whole numbers of the vocabulary in an array of `ndim` dimensions.

        Raises:
            ValueError: naming the shape, or the first token out of range.
        """
        tokens = np.asarray(tokens)
        if tokens.ndim != ndim:
            raise ValueError(f"tokens must have {ndim} dimensions, got shape {tokens.shape}")
        if tokens.size and not np.issubdtype(tokens.dtype, np.integer):
            raise ValueError(f"tokens must be whole numbers, got dtype {tokens.dtype}")
        bad = (tokens < 0) | (tokens >= len(self.vocabulary))
        if np.any(bad):
            raise ValueError(f"tokens must be from 0 to {len(self.vocabulary) - 1}, got {tokens[bad][0]}")
        return tokens.astype(np.int64)

"""What a language model is trained on: a source of batches, of fixed windows for validation, and of prompts.

Text comes from token files (`token_files`); the embedded grammar is sampled without end. Training, validation and
prompts never share a story: text by its splits, the grammar by the seeds of its stories.
"""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Callable, Iterable
from typing import Any, ClassVar

import numpy as np
import torch

from gvatheory import validation
from neural.language.batches import NOISE_SEED, batches, validation_windows
from neural.language.decoding import log_probabilities
from neural.language.grammar import StoryGrammar
from neural.language.grammar_floor import divergence
from neural.language.grammar_sampling import fingerprint, prompts, sample
from neural.language.models import ModelSpec
from neural.language.token_files import TokenisedCorpus

_VALIDATION_SEED, _PROMPT_SEED = NOISE_SEED + 1, NOISE_SEED + 2


class Language(abc.ABC):
    """A source of token sequences with a held-out part.

    Attributes:
        exact: whether the probability of every token is known, so that `divergence` can be had.
    """

    exact: ClassVar[bool] = False

    @property
    @abc.abstractmethod
    def vocabulary_size(self) -> int:
        """Number of tokens."""

    @abc.abstractmethod
    def identity(self) -> dict[str, Any]:
        """What its sequences depend on, as JSON can hold it."""

    @abc.abstractmethod
    def batches(self, length: int, batch_size: int, seed: int) -> Callable[[int], np.ndarray]:
        """A function of the update t ≥ 0 to (batch_size, length + 1) int64 ids, which depend on the seed and t alone.

        Raises:
            ValueError: if `length` tokens to predict, or the batch size or the seed, are out of range.
        """

    @abc.abstractmethod
    def validation(self, length: int, count: int) -> np.ndarray:
        """(count, length + 1) int64 ids, always the same ones.

        Raises:
            ValueError: if there are not as many.
        """

    @abc.abstractmethod
    def prompts(self, count: int, length: int) -> list[np.ndarray]:
        """Beginnings of `count` held-out stories, always the same ones.

        Args:
            length: of each; its unit is the language's own, see there.

        Raises:
            ValueError: if there are not as many.
        """

    def divergence(self, spec: ModelSpec, vector: torch.Tensor, windows: np.ndarray) -> np.ndarray:
        """(n,) exact divergence from the language to a model, mean over each of (n, t) windows, nats per token.

        Raises:
            NotImplementedError: if the language is not `exact`.
        """
        raise NotImplementedError(f"the probabilities of {type(self).__name__} are not known")

    @abc.abstractmethod
    def encode(self, text: str) -> np.ndarray:
        """(t,) int64 ids of a text as the beginning of a story."""

    @abc.abstractmethod
    def decode(self, tokens: Iterable[int]) -> str:
        """The text of ids."""


@dataclasses.dataclass(frozen=True, eq=False)
class TextLanguage(Language):
    """Text that was tokenised; a prompt's length counts tokens.

    Attributes:
        corpus: token files that were read.
    """

    corpus: TokenisedCorpus

    @property
    def vocabulary_size(self) -> int:
        return self.corpus.tokenizer.vocabulary_size

    def identity(self) -> dict[str, Any]:
        return {
            "kind": "text",
            "tokenizer_sha256": self.corpus.manifest["tokenizer"]["sha256"],
            "tokens_sha256": {split: facts["sha256"] for split, facts in self.corpus.manifest["files"].items()},
        }

    def batches(self, length: int, batch_size: int, seed: int) -> Callable[[int], np.ndarray]:
        return batches(self.corpus.train, length, batch_size, seed)

    def validation(self, length: int, count: int) -> np.ndarray:
        return validation_windows(self.corpus.validation, length, count)

    def prompts(self, count: int, length: int) -> list[np.ndarray]:
        """The first `length` tokens of held-out documents that are longer, spread evenly over them."""
        validation.integer("count", count, 1)
        validation.integer("length", length, 1)
        tokens = np.asarray(self.corpus.validation)
        ends = np.flatnonzero(tokens == self.corpus.tokenizer.end_id)
        starts = np.concatenate([[0], ends[:-1] + 1])
        starts = starts[ends - starts > length]
        if len(starts) < count:
            raise ValueError(
                f"count must be at most {len(starts)}, the held-out documents of more than {length} tokens, got {count}"
            )
        chosen = starts[np.arange(count) * len(starts) // count]
        return [tokens[start : start + length].astype(np.int64) for start in chosen]

    def encode(self, text: str) -> np.ndarray:
        return np.array(self.corpus.tokenizer.encode(text), dtype=np.int64)

    def decode(self, tokens: Iterable[int]) -> str:
        return self.corpus.tokenizer.decode(tokens)


@dataclasses.dataclass(frozen=True)
class GrammarLanguage(Language):
    """Fresh stories of a grammar, each window from a story's beginning; a prompt's length counts sentences.

    Attributes:
        grammar: the definition.
    """

    grammar: StoryGrammar = dataclasses.field(default_factory=StoryGrammar)
    exact: ClassVar[bool] = True

    @property
    def vocabulary_size(self) -> int:
        return len(self.grammar.vocabulary)

    def identity(self) -> dict[str, Any]:
        return {"kind": "grammar", **dataclasses.asdict(self.grammar), "sha256": fingerprint(self.grammar)}

    def batches(self, length: int, batch_size: int, seed: int) -> Callable[[int], np.ndarray]:
        validation.integer("length", length, 1)
        validation.integer("batch_size", batch_size, 1)
        validation.integer("seed", seed, 0, NOISE_SEED)
        return lambda update: sample(self.grammar, batch_size, length + 1, seed=seed, first=update * batch_size)

    def validation(self, length: int, count: int) -> np.ndarray:
        validation.integer("length", length, 1)
        validation.integer("count", count, 1)
        return sample(self.grammar, count, length + 1, seed=_VALIDATION_SEED)

    def prompts(self, count: int, length: int) -> list[np.ndarray]:
        validation.integer("count", count, 1)
        return prompts(self.grammar, count, length, seed=_PROMPT_SEED)

    def divergence(self, spec: ModelSpec, vector: torch.Tensor, windows: np.ndarray) -> np.ndarray:
        inputs = windows[:, :-1]
        known = log_probabilities(spec, vector, inputs)
        return divergence(self.grammar, inputs, known).kl.mean(axis=1)

    def encode(self, text: str) -> np.ndarray:
        """Tokens of words separated by blanks, after the one that begins a story; ValueError naming a word unknown."""
        words = self.grammar.encode(text)
        begin = self.grammar.encode("<begin>")
        return words if len(words) and words[0] == begin[0] else np.concatenate([begin, words])

    def decode(self, tokens: Iterable[int]) -> str:
        return self.grammar.decode(tokens)

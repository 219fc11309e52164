"""Byte-level byte-pair encoding (Sennrich et al. 2016; over bytes as in GPT-2): trained, saved with its hash, loaded.

Its alphabet is the 256 bytes, so that every text has an encoding and comes back from it unchanged. One further token
ends a document. It is never produced by text, even by text that spells its name: a document cannot end itself early.
"""

from __future__ import annotations

import dataclasses
import gc
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tokenizers
from tokenizers import decoders, models, pre_tokenizers, trainers

from gvatheory import validation
from gvatheory.sweep import provenance
from neural.language.corpus import END_OF_DOCUMENT
from neural.manifests import check_file, read_manifest, write_manifest
from neural.runs import atomic

FORMAT = "gvatheory tokenizer 1"
VOCABULARY_SIZES = (257, 2**20)
"""From the 256 bytes and the end token alone to more than any model in use has; training reserves memory for it."""
_LEAST_COUNT = 2  # a pair seen once is no regularity


@dataclasses.dataclass(frozen=True, eq=False)
class TextTokenizer:
    """Text to token ids and back.

    Attributes:
        backend: of the `tokenizers` library, reading the end token's name as plain text.
    """

    backend: tokenizers.Tokenizer

    @property
    def vocabulary_size(self) -> int:
        """Number of ids, the end token's among them; ids are 0..vocabulary_size − 1."""
        return self.backend.get_vocab_size()

    @property
    def end_id(self) -> int:
        """Id of the token that ends a document."""
        end = self.backend.token_to_id(END_OF_DOCUMENT)
        assert end is not None  # by training
        return end

    @property
    def sha256(self) -> str:
        """Of the JSON that `save_tokenizer` writes."""
        return hashlib.sha256(self.json().encode()).hexdigest()

    def json(self) -> str:
        """As the `tokenizers` library, and with it `transformers`, reads it."""
        return self.backend.to_str()

    def encode(self, text: str) -> list[int]:
        """Ids of a text, without an end token."""
        return self.backend.encode(text).ids

    def encode_documents(self, documents: Sequence[str]) -> list[list[int]]:
        """Ids of many documents, each with the end token last, by as many threads as the library takes."""
        end, collecting = self.end_id, gc.isenabled()
        # A Ctrl-C waits for the library to return. Were garbage collected before, for the many objects it returns, the
        # callback that JAX has in every collection would receive the interrupt, and what is raised there is ignored.
        gc.disable()
        try:
            return [[*encoded.ids, end] for encoded in self.backend.encode_batch_fast(list(documents))]
        finally:
            if collecting:
                gc.enable()

    def decode(self, ids: Iterable[int]) -> str:
        """The text of ids, leaving end tokens out; bytes that are no UTF-8, as of a cut character, become U+FFFD.

        Raises:
            ValueError: naming an id outside the vocabulary.
        """
        plain, last = [int(i) for i in ids], self.vocabulary_size - 1
        for i in plain:
            validation.integer("ids", i, 0, last)
        return self.backend.decode(plain, skip_special_tokens=True)


def train_tokenizer(documents: Iterable[str], vocabulary_size: int) -> TextTokenizer:
    """Learn merges from documents; the same documents give the same tokenizer.

    Args:
        documents: read once, not held.
        vocabulary_size: 256 bytes + 1 end token + merges, from 257 to 2²⁰.

    Raises:
        ValueError: if the size is out of range, or the documents have fewer pairs worth merging; it says how many.
    """
    validation.integer("vocabulary_size", vocabulary_size, *VOCABULARY_SIZES)
    backend = tokenizers.Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary_size,
        min_frequency=_LEAST_COUNT,
        special_tokens=[END_OF_DOCUMENT],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator(documents, trainer)
    if (most := backend.get_vocab_size()) < vocabulary_size:
        raise ValueError(
            f"vocabulary_size must be at most {most} here, got {vocabulary_size}: these documents give only "
            f"{most - VOCABULARY_SIZES[0]} merges of pairs seen at least {_LEAST_COUNT} times"
        )
    return _ready(backend)


def save_tokenizer(path: Path | str, tokenizer: TextTokenizer, config: Mapping[str, Any]) -> dict[str, Any]:
    """Write the tokenizer's JSON, and beside it a manifest with its SHA-256.

    Args:
        path: of the JSON, such as ``tokenizer.json``; the manifest is then ``tokenizer.manifest.json``.
        config: what it was trained on, kept in the manifest.

    Returns:
        the manifest.
    """
    # Without its manifest a tokenizer is not whole, so an interrupt between the two writes leaves nothing half-made.
    _manifest_of(path).unlink(missing_ok=True)
    with atomic(path) as part:
        part.write_bytes(tokenizer.json().encode())
    facts = {
        "format": FORMAT,
        "sha256_of_json": tokenizer.sha256,
        "vocabulary_size": tokenizer.vocabulary_size,
        "config": config,
        "provenance": provenance(("gvatheory", "tokenizers")),
    }
    return write_manifest(_manifest_of(path), facts)


def load_tokenizer(path: Path | str) -> tuple[TextTokenizer, dict[str, Any]]:
    """The tokenizer at `path` and its manifest, checked against each other.

    Raises:
        FileNotFoundError: if the JSON or its manifest is missing.
        ValueError: naming the one that is damaged.
    """
    manifest = read_manifest(_manifest_of(path), FORMAT)
    check_file(path, {"sha256": manifest["sha256_of_json"]})
    return _ready(tokenizers.Tokenizer.from_file(str(path))), manifest


def smallest_dtype(vocabulary_size: int) -> np.dtype:
    """Little-endian uint16 where all ids fit, else uint32."""
    return np.dtype("<u2" if vocabulary_size <= 2**16 else "<u4")


def _manifest_of(path: Path | str) -> Path:
    return Path(path).with_suffix(".manifest.json")


def _ready(backend: tokenizers.Tokenizer) -> TextTokenizer:
    backend.encode_special_tokens = True  # read special tokens in text as text; the JSON does not keep this
    return TextTokenizer(backend)

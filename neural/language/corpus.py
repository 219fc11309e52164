"""Corpora: documents read one by one from text files, Parquet files or a Hugging Face dataset, and their splits.

A document belongs to a split by its own hash, never by its place. So adding documents moves none from one split to
another, equal documents land in the same split, and no split can overlap another however often a corpus repeats itself.
"""

from __future__ import annotations

import dataclasses
import hashlib
import importlib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from gvatheory import validation
from neural.manifests import file_facts

END_OF_DOCUMENT = "<|endoftext|>"

TRAIN, VALIDATION = "train", "validation"
UNUSED, DUPLICATE = "unused", "duplicate"
"""Labels of documents that enter no split: outside both shares, or equal to an earlier one."""

LONGEST_DOCUMENT = 2**24
"""Characters of a text file without a separator, at most: more speaks of a wrong one, and would be held in memory."""

_BLANK_LINES = re.compile(r"\n(?:[ \t]*\n)+")
_CHUNK = 2**20  # characters of a text file read at a time
_ROWS = 1024  # rows of a Parquet file read at a time


@dataclasses.dataclass(frozen=True)
class TextSource:
    """Where documents come from: files, or a dataset that the `datasets` library finds by name.

    Line ends become "\\n", white space around a document is dropped, and so are documents with nothing else.

    Attributes:
        files: paths, in order: Parquet if they end in ``.parquet``, else UTF-8 text; empty if `dataset` is given.
        separator: what stands between the documents of a text file; None for blank lines.
        column: of Parquet files and datasets, that with the text.
        dataset: name at the Hugging Face hub or of a local directory; None if `files` are given.
        dataset_split: which of the dataset's own splits is read; the splits made here are others.
        revision: commit or tag of the dataset; without one, a later reading may find other documents.
    """

    files: tuple[str, ...] = ()
    separator: str | None = END_OF_DOCUMENT
    column: str = "text"
    dataset: str | None = None
    dataset_split: str = "train"
    revision: str | None = None

    def __post_init__(self) -> None:
        if isinstance(self.files, str):
            raise ValueError(f"files must be a tuple of paths, got the string {self.files!r}")
        if bool(self.files) == (self.dataset is not None):
            raise ValueError(f"one of files and dataset must be given, got {self.files!r} and {self.dataset!r}")
        if self.separator is not None and not self.separator.strip():
            raise ValueError(f"separator must hold more than white space, or be None, got {self.separator!r}")

    def identity(self) -> dict[str, Any]:
        """What the documents depend on, as JSON can hold it: names, sizes and SHA-256 of the files, not where they lie.

        Raises:
            FileNotFoundError: if a file is missing.
            ValueError: if a file is empty.
        """
        for file in self.files:
            if not Path(file).is_file():
                raise FileNotFoundError(f"no file at {file}")
        facts = [{"name": Path(file).name, **file_facts(file)} for file in self.files]
        for file, fact in zip(self.files, facts, strict=True):
            if fact["bytes"] == 0:
                raise ValueError(f"{file} is empty")
        return {**dataclasses.asdict(self), "files": facts}

    def documents(self) -> Iterator[str]:
        """Documents in order, repeated ones too. Memory is that of the longest document, not of the corpus.

        Raises:
            FileNotFoundError: if a file is missing.
            ValueError: naming a file that holds no document, is not what its name says or lacks the column.
            ImportError: if Parquet files or a dataset are read without the `datasets` extra.
        """
        if self.dataset is not None:
            yield from _cleaned(self.dataset, _of_dataset(self))
        for file in self.files:
            parquet = Path(file).suffix == ".parquet"
            yield from _cleaned(file, _of_parquet(file, self.column) if parquet else _of_text(file, self.separator))


@dataclasses.dataclass(frozen=True)
class Shares:
    """Expected fractions of a corpus's distinct documents.

    A larger share holds every document that a smaller one held; what neither share covers stays unused.

    Attributes:
        train: in (0, 1).
        validation: in (0, 1), and train + validation ≤ 1.
    """

    train: float = 0.95
    validation: float = 0.05

    def __post_init__(self) -> None:
        for name in (TRAIN, VALIDATION):
            validation.real(name, getattr(self, name), 0.0, 1.0, open_low=True, open_high=True)
        if self.train + self.validation > 1.0:
            raise ValueError(f"train + validation must be at most 1, got {self.train!r} + {self.validation!r}")

    def split_of(self, digest: bytes) -> str:
        """TRAIN, VALIDATION or UNUSED, for the digest of a document."""
        place = (int.from_bytes(digest[:8]) >> 11) / 2**53  # uniform in [0, 1), exact in float64
        if place < self.train:
            return TRAIN
        return VALIDATION if place >= 1.0 - self.validation else UNUSED


def document_digest(document: str) -> bytes:
    """16 bytes of BLAKE2b over the document's UTF-8."""
    return hashlib.blake2b(document.encode(), digest_size=16).digest()


def labelled_documents(sources: Sequence[TextSource], shares: Shares) -> Iterator[tuple[str, str]]:
    """Every document of the sources, in order, as (label, document).

    The label is the split of a document seen for the first time, UNUSED, or DUPLICATE. Besides one document, the
    digests of all distinct ones are held: about 100 bytes each.

    Raises:
        FileNotFoundError, ValueError, ImportError: of `TextSource.documents`.
    """
    seen: set[bytes] = set()
    for source in sources:
        for document in source.documents():
            digest = document_digest(document)
            yield DUPLICATE if digest in seen else shares.split_of(digest), document
            seen.add(digest)


def _cleaned(origin: str, texts: Iterator[str | None]) -> Iterator[str]:
    """Documents stripped, with line ends made "\\n", without empty and missing ones; ValueError if none is left."""
    found = False
    for text in texts:
        document = "" if text is None else _line_ends(text).strip()
        if document:
            found = True
            yield document
    if not found:
        raise ValueError(f"{origin} holds no documents")


def _line_ends(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _of_text(file: str, separator: str | None) -> Iterator[str]:
    pattern = _BLANK_LINES if separator is None else re.compile(re.escape(_line_ends(separator)))
    rest = ""
    with Path(file).open(encoding="utf-8-sig") as opened:  # which also makes every line end "\n"
        try:
            while chunk := opened.read(_CHUNK):
                # A separator cut by the end of the chunk stays in the rest, and is found with the next one.
                *whole, rest = pattern.split(rest + chunk)
                yield from whole
                if len(rest) > LONGEST_DOCUMENT:
                    expected = "blank line" if separator is None else repr(separator)
                    raise ValueError(f"{file} has no {expected} in {LONGEST_DOCUMENT} characters: is it the separator?")
        except UnicodeDecodeError as e:
            raise ValueError(f"{file} is not UTF-8 text: {e}") from e
    yield rest


def _of_parquet(file: str, column: str) -> Iterator[str | None]:
    if not Path(file).is_file():
        raise FileNotFoundError(f"no file at {file}")
    parquet = _optional("pyarrow.parquet")
    try:
        opened = parquet.ParquetFile(file)
    except (ValueError, OSError) as e:
        raise ValueError(f"{file} is not a readable Parquet file: {e}") from e
    with opened:
        _require_column(file, column, opened.schema_arrow.names)
        for batch in opened.iter_batches(batch_size=_ROWS, columns=[column]):
            for text in batch.column(0).to_pylist():
                yield _require_text(file, column, text)


def _of_dataset(source: TextSource) -> Iterator[str | None]:
    name = str(source.dataset)
    data = _optional("datasets").load_dataset(name, split=source.dataset_split, revision=source.revision)
    _require_column(name, source.column, data.column_names)
    for row in data.select_columns([source.column]):
        yield _require_text(name, source.column, row[source.column])


def _optional(module: str) -> Any:
    """A module by name, since it may be absent; ImportError naming the extra that brings it."""
    try:
        return importlib.import_module(module)
    except ImportError as e:
        raise ImportError(f"{module} cannot be imported ({e}): install gvatheory[datasets]", name=module) from e


def _require_column(origin: str, column: str, columns: Sequence[str]) -> None:
    if column not in columns:
        raise ValueError(f"{origin} has no column {column!r}, it has {list(columns)}")


def _require_text(origin: str, column: str, text: Any) -> str | None:
    if text is not None and not isinstance(text, str):
        raise ValueError(f"column {column!r} of {origin} must hold text, holds {text!r}")
    return text

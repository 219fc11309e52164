"""Token files: a corpus tokenised once, kept as memory-mapped arrays under a manifest that vouches for them.

A directory holds the tokenizer, trained on the training split alone, one npy of ids per split, in which the end token
closes every document, and the manifest. That is written last: without it the directory holds nothing whole, so that an
interrupt at any moment leaves nothing that could be taken for a corpus. A tokenizer that was finished is used again.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from gvatheory import validation
from gvatheory.sweep import provenance
from neural.language.corpus import TRAIN, VALIDATION, Shares, TextSource, labelled_documents
from neural.language.tokenizer import (
    VOCABULARY_SIZES,
    TextTokenizer,
    load_tokenizer,
    save_tokenizer,
    smallest_dtype,
    train_tokenizer,
)
from neural.manifests import check_file, file_facts, read_manifest, write_manifest
from neural.runs import atomic

FORMAT = "gvatheory tokens 1"
MANIFEST, TOKENIZER = "manifest.json", "tokenizer.json"
SPLITS = (TRAIN, VALIDATION)

Report = Callable[[str, int, int], None]
"""Called with (stage, done, total)."""

_GROUP = 2**20  # characters encoded at a time
_EVERY = 1000  # documents between two reports


@dataclasses.dataclass(frozen=True)
class CorpusSpec:
    """What to tokenise. With equal fields, files and versions, the ids are the same.

    Attributes:
        sources: of documents, read in order, at least one.
        vocabulary_size: 256 bytes + 1 end token + merges, from 257 to 2²⁰.
        shares: of the splits.
    """

    sources: tuple[TextSource, ...]
    vocabulary_size: int
    shares: Shares = dataclasses.field(default_factory=Shares)

    def __post_init__(self) -> None:
        if not self.sources:
            raise ValueError("sources must hold at least one source, got none")
        validation.integer("vocabulary_size", self.vocabulary_size, *VOCABULARY_SIZES)

    def config(self) -> dict[str, Any]:
        """What decides the ids, as JSON can hold it; it reads and hashes every file.

        Raises:
            FileNotFoundError: if a file is missing.
            ValueError: if a file is empty.
        """
        return {
            "sources": [source.identity() for source in self.sources],
            "vocabulary_size": int(self.vocabulary_size),
            "shares": dataclasses.asdict(self.shares),
        }


@dataclasses.dataclass(frozen=True, eq=False)
class TokenisedCorpus:
    """A corpus that was read.

    Attributes:
        tokenizer: that of both splits.
        train, validation: (N,) ids, uint16 or uint32, memory-mapped and read-only.
        manifest: what manifest.json says: config, counts of documents and tokens, hashes, versions.
    """

    tokenizer: TextTokenizer
    train: np.ndarray
    validation: np.ndarray
    manifest: dict[str, Any]


def build(spec: CorpusSpec, out: Path | str, *, progress: Report | None = None) -> TokenisedCorpus:
    """Tokenise a corpus into directory `out`, or read it from there if it is already what the spec says.

    Files are recognised by their hashes, wherever they lie. The documents are read three times (counted, learnt from,
    encoded), so that memory stays that of one group of documents and of one digest for each.

    Args:
        progress: called with (stage, done, total); reading is one step, the other stages count documents.

    Raises:
        FileExistsError: if `out` holds another corpus, naming the fields that differ.
        FileNotFoundError: if a file is missing.
        ValueError: if a file is empty or unreadable, a split has no document, or the vocabulary is larger than the
            training split can give.
        ImportError: if a source needs the `datasets` extra and it is absent.
    """
    report = progress if progress is not None else _silent
    directory, config = Path(out), spec.config()
    if (directory / MANIFEST).exists():
        found = read_manifest(directory / MANIFEST, FORMAT)["config"]
        if differing := sorted(k for k in {*found, *config} if found.get(k) != config.get(k)):
            raise FileExistsError(f"{directory} holds a corpus that differs in {', '.join(differing)}")
        return load(directory)
    counts = _count(spec, report)
    tokenizer = _tokenizer(spec, config, directory, counts, report)
    files = _write_ids(spec, tokenizer, directory, counts, report)
    facts = {
        "format": FORMAT,
        "config": config,
        "documents": dict(counts),
        "tokenizer": {"sha256": tokenizer.sha256, "vocabulary_size": tokenizer.vocabulary_size},
        "files": files,
        "provenance": provenance(("gvatheory", "numpy", "tokenizers", "pyarrow", "datasets")),
    }
    write_manifest(directory / MANIFEST, facts)
    return load(directory)


def load(directory: Path | str) -> TokenisedCorpus:
    """Read a corpus, checking every file against the manifest.

    Raises:
        FileNotFoundError: if there is no manifest, or a file it names is missing.
        ValueError: naming the file that is damaged.
    """
    directory = Path(directory)
    manifest = read_manifest(directory / MANIFEST, FORMAT)
    tokenizer, _ = load_tokenizer(directory / TOKENIZER)
    check_file(directory / TOKENIZER, manifest["tokenizer"])
    ids = {}
    for split, stated in manifest["files"].items():
        if Path(stated["name"]).name != stated["name"]:
            raise ValueError(f"{directory / MANIFEST} names {stated['name']!r}, which is no file beside it")
        check_file(directory / stated["name"], stated)
        ids[split] = np.load(directory / stated["name"], mmap_mode="r", allow_pickle=False)
    return TokenisedCorpus(tokenizer, ids[TRAIN], ids[VALIDATION], manifest)


def _silent(stage: str, done: int, total: int) -> None:
    pass


def _count(spec: CorpusSpec, report: Report) -> Counter[str]:
    """Documents per label; ValueError if a split has none."""
    counts: Counter[str] = Counter()
    report("reading", 0, 1)
    for label, _ in labelled_documents(spec.sources, spec.shares):
        counts[label] += 1
    report("reading", 1, 1)
    for split in SPLITS:
        if not counts[split]:
            share = getattr(spec.shares, split)
            raise ValueError(
                f"{split} must be a share that holds a document, got {share!r} of {counts.total()} documents; "
                "is the separator between them right?"
            )
    return counts


def _tokenizer(
    spec: CorpusSpec, config: Mapping[str, Any], directory: Path, counts: Counter[str], report: Report
) -> TextTokenizer:
    """The tokenizer that an interrupted build of the same corpus left, or a new one."""
    file = directory / TOKENIZER
    with contextlib.suppress(FileNotFoundError, ValueError):  # nothing whole is there
        tokenizer, manifest = load_tokenizer(file)
        if manifest["config"] == config:
            return tokenizer
    reported = _reported(spec, "learning merges", counts, report)
    tokenizer = train_tokenizer((text for label, text in reported if label == TRAIN), spec.vocabulary_size)
    save_tokenizer(file, tokenizer, config)
    return tokenizer


def _write_ids(
    spec: CorpusSpec, tokenizer: TextTokenizer, directory: Path, counts: Counter[str], report: Report
) -> dict[str, Any]:
    """Write one npy per split and return what the manifest says of them."""
    names = {split: f"{split}.npy" for split in SPLITS}
    with contextlib.ExitStack() as stack:
        dtype = smallest_dtype(tokenizer.vocabulary_size)
        writers = {split: stack.enter_context(_id_writer(directory / names[split], dtype)) for split in SPLITS}
        groups: dict[str, list[str]] = {split: [] for split in SPLITS}
        sizes: Counter[str] = Counter()
        for label, document in _reported(spec, "encoding", counts, report):
            if label not in groups:
                continue
            groups[label].append(document)
            sizes[label] += len(document)
            if sizes[label] >= _GROUP:
                writers[label].add(tokenizer.encode_documents(groups[label]))
                groups[label], sizes[label] = [], 0
        for split, left in groups.items():
            writers[split].add(tokenizer.encode_documents(left))
    return {
        split: {"name": name, "tokens": writers[split].tokens, "dtype": dtype.name, **file_facts(directory / name)}
        for split, name in names.items()
    }


def _reported(spec: CorpusSpec, stage: str, counts: Counter[str], report: Report) -> Iterator[tuple[str, str]]:
    """Labelled documents, with a report every so many and after the last one."""
    total = counts.total()
    for done, labelled in enumerate(labelled_documents(spec.sources, spec.shares)):
        if done % _EVERY == 0:
            report(stage, done, total)
        yield labelled
    report(stage, total, total)


class _IdWriter:
    """Appends ids to an open file, behind a header that is written again once their number is known."""

    def __init__(self, file: BinaryIO, dtype: np.dtype) -> None:
        self._file, self._dtype = file, dtype
        self.tokens = 0
        self._header = self._write_header()

    def add(self, documents: list[list[int]]) -> None:
        for ids in documents:
            self._file.write(np.array(ids, dtype=self._dtype).tobytes())
            self.tokens += len(ids)

    def finish(self) -> None:
        self._file.seek(0)
        if self._write_header() != self._header:
            raise RuntimeError("the header of the token file outgrew its place")

    def _write_header(self) -> int:
        """Bytes written; NumPy pads them so that the leading size may grow in place."""
        described = {"descr": self._dtype.str, "fortran_order": False, "shape": (self.tokens,)}
        header = io.BytesIO()
        np.lib.format.write_array_header_1_0(header, described)
        return self._file.write(header.getvalue())


@contextlib.contextmanager
def _id_writer(path: Path, dtype: np.dtype) -> Iterator[_IdWriter]:
    """Writes an npy that appears at `path` only if the block ends without an exception."""
    with atomic(path) as part, part.open("wb") as file:
        writer = _IdWriter(file, dtype)
        yield writer
        writer.finish()

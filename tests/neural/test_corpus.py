"""Corpora: what is read from where, and that a document's split depends on the document alone."""

import dataclasses
import importlib
import random
import re
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neural.language import corpus
from neural.language.corpus import (
    DUPLICATE,
    TRAIN,
    UNUSED,
    VALIDATION,
    Shares,
    TextSource,
    document_digest,
    labelled_documents,
)
from tests.budget import assert_mean
from tests.stories import stories, text_file


@pytest.mark.parametrize("chunk", [1, 2, 7, 1000])
def test_text_files_whatever_the_chunk(tmp_path, monkeypatch, chunk) -> None:
    monkeypatch.setattr(corpus, "_CHUNK", chunk)
    expected = ["one\ntwo", "three\nfour", "< |endoftext|>é\U0001f600"]
    content = (
        "\ufeffone\r\ntwo\r\n<|endoftext|>\n\n<|endoftext|>  three\rfour<|endoftext|>\r\n< |endoftext|>é\U0001f600\n"
    )
    (tmp_path / "a.txt").write_bytes(content.encode())
    assert list(TextSource((str(tmp_path / "a.txt"),)).documents()) == expected
    blank = "one\r\ntwo\r\n\r\nthree\nfour\n \t\n\n\n< |endoftext|>é\U0001f600\n\n"
    (tmp_path / "b.txt").write_bytes(blank.encode())
    assert list(TextSource((str(tmp_path / "b.txt"),), separator=None).documents()) == expected
    (tmp_path / "c.txt").write_bytes(b"one\r\n--\r\ntwo--three")
    rules = TextSource((str(tmp_path / "c.txt"),), separator="\r\n--\r\n")
    assert list(rules.documents()) == ["one", "two--three"]
    both = TextSource((str(tmp_path / "a.txt"), str(tmp_path / "a.txt")))
    assert list(both.documents()) == expected * 2


def test_files_that_cannot_be_read_are_named(tmp_path, monkeypatch) -> None:
    def read(content: bytes, name: str = "a.txt") -> list[str]:
        (tmp_path / name).write_bytes(content)
        return list(TextSource((str(tmp_path / name),)).documents())

    with pytest.raises(ValueError, match=r"a\.txt holds no documents"):
        read(b" \n<|endoftext|>\r\n")
    with pytest.raises(ValueError, match=r"a\.txt is not UTF-8 text"):
        read(b"abc\xff")
    monkeypatch.setattr(corpus, "_CHUNK", 10)
    monkeypatch.setattr(corpus, "LONGEST_DOCUMENT", 32)
    assert read(b"x" * 20 + b"<|endoftext|>" + b"y" * 20) == ["x" * 20, "y" * 20]
    with pytest.raises(ValueError, match=r"a\.txt has no '<\|endoftext\|>' in 32 characters"):
        read(b"x" * 40 + b"<|endoftext|>")
    with pytest.raises(FileNotFoundError):
        list(TextSource((str(tmp_path / "none.txt"),)).documents())


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "one of files and dataset must be given"),
        ({"files": ("a.txt",), "dataset": "b"}, "one of files and dataset must be given"),
        ({"files": "a.txt"}, "files must be a tuple of paths, got the string 'a.txt'"),
        ({"files": ("a.txt",), "separator": "\n\n"}, "separator must hold more than white space"),
    ],
)
def test_a_source_must_make_sense(fields, message) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        TextSource(**fields)


def test_without_the_extra_its_name_is_said(tmp_path, monkeypatch) -> None:
    for name in ("pyarrow", "pyarrow.parquet", "datasets"):
        monkeypatch.setitem(sys.modules, name, None)
    (tmp_path / "a.parquet").write_bytes(b"PAR1")
    for source in (TextSource((str(tmp_path / "a.parquet"),)), TextSource(dataset="someone/stories")):
        with pytest.raises(ImportError, match=r"install gvatheory\[datasets\]"):
            list(source.documents())


def test_a_dataset_is_read_by_name(monkeypatch) -> None:
    asked: list[Any] = []

    class Table(list):
        column_names = ("story", "author")

        def select_columns(self, names: list[str]) -> list[dict[str, Any]]:
            return [{name: row[name] for name in names} for row in self]

    rows = [{"story": text, "author": "x"} for text in ("one\r\nand\rhalf\r\n", "", None, "two")]

    def load_dataset(*args: Any, **kwargs: Any) -> Table:
        asked.append((args, kwargs))
        return Table(rows)

    module = types.ModuleType("datasets")
    module.__dict__["load_dataset"] = load_dataset
    monkeypatch.setitem(sys.modules, "datasets", module)
    source = TextSource(dataset="someone/stories", dataset_split="test", column="story", revision="abc")
    assert list(source.documents()) == ["one\nand\nhalf", "two"]
    assert asked == [(("someone/stories",), {"split": "test", "revision": "abc"})]
    with pytest.raises(ValueError, match=r"someone/stories has no column 'text', it has \['story', 'author'\]"):
        list(dataclasses.replace(source, column="text").documents())
    rows.append({"story": 3, "author": "x"})
    with pytest.raises(ValueError, match=r"column 'story' of someone/stories must hold text, holds 3"):
        list(source.documents())


def test_a_parquet_file(tmp_path, monkeypatch) -> None:
    pyarrow: Any = pytest.importorskip("pyarrow")
    parquet: Any = importlib.import_module("pyarrow.parquet")
    monkeypatch.setattr(corpus, "_ROWS", 2)
    table = pyarrow.table({"story": ["one\r\ntwo", None, "", "three", "four"], "n": [1, 2, 3, 4, 5]})
    file = str(tmp_path / "a.parquet")
    parquet.write_table(table, file)
    assert list(TextSource((file,), column="story").documents()) == ["one\ntwo", "three", "four"]
    with pytest.raises(ValueError, match=r"a.parquet has no column 'text'"):
        list(TextSource((file,)).documents())
    with pytest.raises(ValueError, match=r"column 'n' of .*a.parquet must hold text, holds 1"):
        list(TextSource((file,), column="n").documents())
    Path(file).write_bytes(b"no Parquet at all")
    with pytest.raises(ValueError, match=r"a.parquet is not a readable Parquet file"):
        list(TextSource((file,)).documents())


def test_a_local_dataset_by_the_library_itself(tmp_path, monkeypatch) -> None:
    datasets: Any = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    pyarrow: Any = importlib.import_module("pyarrow")
    parquet: Any = importlib.import_module("pyarrow.parquet")
    (tmp_path / "set").mkdir()
    table = pyarrow.table({"text": ["one\r\ntwo", None, "", "three"]})
    parquet.write_table(table, tmp_path / "set" / "train.parquet")
    assert list(TextSource(dataset=str(tmp_path / "set")).documents()) == ["one\ntwo", "three"]


def labels(source: TextSource, shares: Shares) -> dict[str, str]:
    """Split of every distinct document."""
    found = [(text, label) for label, text in labelled_documents([source], shares) if label != DUPLICATE]
    assert len(dict(found)) == len(found)
    return dict(found)


def test_splits_depend_on_the_document_alone(tmp_path) -> None:
    documents, more = stories(300), stories(200, seed=1)
    shares = Shares(0.6, 0.2)
    before = labels(TextSource((text_file(tmp_path / "a.txt", documents),)), shares)
    mixed = documents + more + documents[::3]
    random.Random(0).shuffle(mixed)
    after = labels(TextSource((text_file(tmp_path / "b.txt", mixed),)), shares)
    assert {text: after[text] for text in documents} == before
    assert set(after) == {*documents, *more}
    assert set(before.values()) == {TRAIN, VALIDATION, UNUSED}


def test_each_repetition_is_called_one(tmp_path) -> None:
    sources = [TextSource((text_file(tmp_path / f"{n}.txt", d),)) for n, d in enumerate((["x", "y", "x"], ["y", "z"]))]
    found = [label == DUPLICATE for label, _ in labelled_documents(sources, Shares())]
    assert found == [False, False, True, True, False]


@given(st.floats(0.01, 0.49), st.floats(0.01, 0.49), st.text())
def test_larger_shares_keep_what_smaller_ones_held(train, held_out, text) -> None:
    digest = document_digest(text)
    small, large = Shares(train, held_out), Shares(train + 0.01, held_out + 0.01)
    assert small.split_of(digest) in (UNUSED, large.split_of(digest))


def test_shares_at_their_edges() -> None:
    first, last = bytes(16), b"\xff" * 16
    shares = Shares(0.9, 0.1)
    assert (shares.split_of(first), shares.split_of(last)) == (TRAIN, VALIDATION)
    middle = b"\x80" + bytes(15)  # exactly ½
    found = [Shares(*pair).split_of(middle) for pair in ((0.5, 0.4), (0.51, 0.4), (0.5, 0.5))]
    assert found == [UNUSED, TRAIN, VALIDATION]
    digests = [document_digest(str(i)) for i in range(20_000)]
    assert_mean(np.array([shares.split_of(d) == VALIDATION for d in digests]), 0.1)


@pytest.mark.parametrize("pair", [(0.0, 0.5), (1.0, 0.5), (0.5, 0.0), (0.5, float("nan")), (0.8, 0.3)])
def test_shares_out_of_range(pair) -> None:
    with pytest.raises(ValueError, match=r"train|validation"):
        Shares(*pair)

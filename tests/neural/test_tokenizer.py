"""The tokenizer: every text comes back, training is repeatable, and damage and impossible sizes are named."""

import gc
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neural.language.corpus import END_OF_DOCUMENT
from neural.language.tokenizer import (
    TextTokenizer,
    load_tokenizer,
    save_tokenizer,
    smallest_dtype,
    train_tokenizer,
)

TEXTS = [f"The cat number {i} sat on the mat, and the other cat sat on the hat." for i in range(20)]
TOKENIZER = train_tokenizer(TEXTS, 280)
PIECES = [END_OF_DOCUMENT, "<|endof", "text|>", " the cat", "\r\n", "\x00", "\U0001f600", "é", " "]
ANY_TEXT = st.one_of(st.text(), st.lists(st.sampled_from(PIECES)).map("".join))


def flip(file: Path, at: int) -> bytes:
    """Flip one bit of a file and return what it held before."""
    whole = file.read_bytes()
    at %= len(whole)
    file.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
    return whole


@given(ANY_TEXT)
def test_every_text_comes_back(text) -> None:
    ids = TOKENIZER.encode(text)
    assert TOKENIZER.decode(ids) == text
    assert TOKENIZER.end_id not in ids
    assert all(0 <= i < 280 for i in ids)


@given(st.lists(ANY_TEXT, max_size=4))
def test_documents_are_their_texts_ended_by_the_end_token(texts) -> None:
    documents = TOKENIZER.encode_documents(texts)
    assert documents == [[*TOKENIZER.encode(text), TOKENIZER.end_id] for text in texts]
    assert TOKENIZER.decode([i for ids in documents for i in ids]) == "".join(texts)


def test_no_garbage_is_collected_while_an_interrupt_may_wait() -> None:
    class Watched:
        def __getattr__(self, name: str) -> Any:
            collecting.append(gc.isenabled())
            return getattr(TOKENIZER.backend, name)

    collecting: list[bool] = []
    watched: Any = Watched()
    assert TextTokenizer(watched).encode_documents(TEXTS) == TOKENIZER.encode_documents(TEXTS)
    assert collecting == [True, False]  # the end token is looked up first
    assert gc.isenabled()
    with pytest.raises(TypeError):
        TOKENIZER.encode_documents([3])  # pyright: ignore[reportArgumentType]
    assert gc.isenabled()


def test_merges_shorten_what_was_learnt_from() -> None:
    bytes_alone = train_tokenizer(TEXTS, 257)
    assert bytes_alone.vocabulary_size == 257
    assert len(bytes_alone.encode(TEXTS[0])) == len(TEXTS[0])
    assert len(TOKENIZER.encode(TEXTS[0])) < len(TEXTS[0]) / 2
    assert TOKENIZER.vocabulary_size == 280


def test_the_same_documents_give_the_same_tokenizer() -> None:
    assert train_tokenizer(iter(TEXTS), 280).sha256 == TOKENIZER.sha256
    assert train_tokenizer(TEXTS, 279).sha256 != TOKENIZER.sha256


def test_an_impossible_size_says_what_is_possible() -> None:
    # "aa" and then "aaaa" are all the merges that the one repeated word has.
    documents = ["aaaa", "aaaa", "bc"]
    with pytest.raises(ValueError, match=r"at most 259 here, got 300.*only 2 merges"):
        train_tokenizer(documents, 300)
    assert train_tokenizer(documents, 259).encode("aaaa") != train_tokenizer(documents, 258).encode("aaaa")
    for size in (256, 2**20 + 1, 300.0, True):
        with pytest.raises(ValueError, match=r"vocabulary_size must be an integer from 257 to 1048576, got"):
            train_tokenizer(documents, size)  # pyright: ignore[reportArgumentType]


def test_an_id_outside_the_vocabulary_is_refused() -> None:
    for i in (-1, 280):
        with pytest.raises(ValueError, match=rf"ids must be an integer from 0 to 279, got {i}"):
            TOKENIZER.decode([i])
    assert TOKENIZER.decode(np.array(TOKENIZER.encode("cat"), np.uint16)) == "cat"


def test_saved_and_loaded(tmp_path) -> None:
    file = tmp_path / "tokenizer.json"
    written = save_tokenizer(file, TOKENIZER, {"name": "cats"})
    loaded, manifest = load_tokenizer(file)
    assert manifest == written
    assert manifest["config"] == {"name": "cats"}
    assert manifest["sha256_of_json"] == loaded.sha256 == hashlib.sha256(file.read_bytes()).hexdigest()
    text = f"the hat{END_OF_DOCUMENT}"
    assert loaded.encode(text) == TOKENIZER.encode(text)
    assert loaded.decode(loaded.encode(text)) == text
    assert json.loads(file.read_text())["added_tokens"][0]["content"] == END_OF_DOCUMENT


@pytest.mark.parametrize("name", ["tokenizer.json", "tokenizer.manifest.json"])
def test_a_damaged_tokenizer_is_named(tmp_path, name) -> None:
    save_tokenizer(tmp_path / "tokenizer.json", TOKENIZER, {})
    for at in (0, 150, -2):
        whole = flip(tmp_path / name, at)
        with pytest.raises(ValueError, match=rf"/{name} is damaged"):
            load_tokenizer(tmp_path / "tokenizer.json")
        (tmp_path / name).write_bytes(whole)
    load_tokenizer(tmp_path / "tokenizer.json")
    (tmp_path / name).unlink()
    with pytest.raises(FileNotFoundError, match=name):
        load_tokenizer(tmp_path / "tokenizer.json")


def test_a_tokenizer_half_saved_is_none(tmp_path, monkeypatch) -> None:
    file = tmp_path / "tokenizer.json"
    save_tokenizer(file, TOKENIZER, {})

    def interrupted(self: TextTokenizer) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr(TextTokenizer, "json", interrupted)
    with pytest.raises(KeyboardInterrupt):
        save_tokenizer(file, TOKENIZER, {})
    with pytest.raises(FileNotFoundError, match=r"tokenizer.manifest.json"):
        load_tokenizer(file)
    assert [f.name for f in tmp_path.iterdir()] == ["tokenizer.json"]


def test_ids_take_two_bytes_where_they_can() -> None:
    assert smallest_dtype(2**16) == np.uint16
    assert smallest_dtype(2**16 + 1) == np.uint32

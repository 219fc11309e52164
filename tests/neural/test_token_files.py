"""Token files: they hold the documents of their split, and damage and interrupts do not go unnoticed."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from neural.language import token_files
from neural.language.corpus import DUPLICATE, TRAIN, VALIDATION, Shares, TextSource, labelled_documents
from neural.language.token_files import CorpusSpec, TokenisedCorpus, build, load
from tests.stories import stories, text_file


@pytest.fixture
def spec(tmp_path) -> CorpusSpec:
    """300 stories, some twice, in two files."""
    first, second = stories(200), stories(100, seed=1)
    files = (
        text_file(tmp_path / "a.txt", first),
        text_file(tmp_path / "b.txt", second + first[:30]),
    )
    return CorpusSpec((TextSource(files),), vocabulary_size=300, shares=Shares(0.8, 0.1))


def documents_of(tokenised: TokenisedCorpus, ids: np.ndarray) -> list[str]:
    """The texts between end tokens; the last token must be one."""
    *parts, rest = np.split(ids, np.flatnonzero(ids == tokenised.tokenizer.end_id) + 1)
    assert len(rest) == 0
    return [tokenised.tokenizer.decode(part) for part in parts]


def texts_of(spec: CorpusSpec, split: str) -> list[str]:
    return [text for label, text in labelled_documents(spec.sources, spec.shares) if label == split]


def test_token_files_hold_the_documents_of_their_split(spec, tmp_path) -> None:
    calls: list[tuple[str, int, int]] = []
    tokenised = build(spec, tmp_path / "out", progress=lambda *a: calls.append(a))
    for split in (TRAIN, VALIDATION):
        ids = getattr(tokenised, split)
        assert documents_of(tokenised, ids) == texts_of(spec, split)
        assert ids.dtype == np.uint16
        assert isinstance(ids, np.memmap)
        assert not ids.flags.writeable
        facts = tokenised.manifest["files"][split]
        assert facts["tokens"] == len(ids)
        assert facts["bytes"] == (tmp_path / "out" / facts["name"]).stat().st_size
    assert tokenised.manifest["documents"][DUPLICATE] == 30
    assert sum(tokenised.manifest["documents"].values()) == 330
    assert tokenised.tokenizer.vocabulary_size == 300
    assert tokenised.manifest["tokenizer"]["sha256"] == tokenised.tokenizer.sha256
    assert calls[-1] == ("encoding", 330, 330)
    assert {stage for stage, _, _ in calls} == {"reading", "learning merges", "encoding"}
    files = sorted(f.name for f in (tmp_path / "out").iterdir())
    assert files == ["manifest.json", "tokenizer.json", "tokenizer.manifest.json", "train.npy", "validation.npy"]


def test_the_tokenizer_learns_from_the_training_split_alone(spec, tmp_path) -> None:
    train, held_out = texts_of(spec, TRAIN), texts_of(spec, VALIDATION)
    assert len(held_out) > 10
    fewer = TextSource((text_file(tmp_path / "c.txt", [*train, held_out[0]]),))
    whole = build(spec, tmp_path / "whole")
    other = build(dataclasses.replace(spec, sources=(fewer,)), tmp_path / "other")
    assert other.tokenizer.sha256 == whole.tokenizer.sha256
    np.testing.assert_array_equal(other.train, whole.train)
    assert len(other.validation) < len(whole.validation)


@pytest.mark.parametrize("group", [1, 500])
def test_groups_do_not_show(spec, tmp_path, monkeypatch, group) -> None:
    whole = build(spec, tmp_path / "whole")
    monkeypatch.setattr(token_files, "_GROUP", group)
    assert build(spec, tmp_path / "grouped").manifest["files"] == whole.manifest["files"]


def test_large_ids_take_four_bytes(spec, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(token_files, "smallest_dtype", lambda size: np.dtype("<u4"))
    wide = build(spec, tmp_path / "wide")
    assert wide.train.dtype == np.uint32
    monkeypatch.undo()
    np.testing.assert_array_equal(build(spec, tmp_path / "narrow").train, wide.train)


def test_the_same_corpus_is_not_tokenised_again(spec, tmp_path) -> None:
    def refused(stage: str, done: int, total: int) -> None:
        raise AssertionError(stage)

    first = build(spec, tmp_path / "out")
    moved = tuple(str(Path(file).rename(tmp_path / "out" / Path(file).name)) for file in spec.sources[0].files)
    spec = dataclasses.replace(spec, sources=(TextSource(moved),))
    again = build(spec, tmp_path / "out", progress=refused)
    assert again.manifest == first.manifest
    np.testing.assert_array_equal(again.train, first.train)
    with pytest.raises(FileExistsError, match=r"differs in shares, vocabulary_size$"):
        build(dataclasses.replace(spec, vocabulary_size=301, shares=Shares(0.8, 0.2)), tmp_path / "out")
    Path(moved[0]).write_text(Path(moved[0]).read_text() + ".")
    with pytest.raises(FileExistsError, match=r"differs in sources$"):
        build(spec, tmp_path / "out")


def test_a_flipped_bit_anywhere_is_noticed(spec, tmp_path) -> None:
    out = tmp_path / "out"
    build(spec, out)
    for file in sorted(out.iterdir()):
        whole = file.read_bytes()
        for at in (0, len(whole) // 2, len(whole) - 2):
            file.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
            with pytest.raises(ValueError, match=rf"/{file.name} is damaged"):
                load(out)
            with pytest.raises(ValueError, match=rf"/{file.name} is damaged"):
                build(spec, out)
        file.unlink()
        if file.name != token_files.MANIFEST:
            with pytest.raises(FileNotFoundError, match=file.name):
                load(out)
        file.write_bytes(whole)
    load(out)
    with pytest.raises(FileNotFoundError, match=r"lacks manifest.json"):
        load(tmp_path)


def test_another_tokenizer_in_its_place_is_noticed(spec, tmp_path) -> None:
    build(spec, tmp_path / "a")
    build(dataclasses.replace(spec, vocabulary_size=299), tmp_path / "b")
    for name in ("tokenizer.json", "tokenizer.manifest.json"):
        (tmp_path / "b" / name).replace(tmp_path / "a" / name)
    with pytest.raises(ValueError, match=r"a/tokenizer.json is damaged"):
        load(tmp_path / "a")


def manifest_of(out):
    """The manifest's file, and what it says without its digest."""
    file = out / token_files.MANIFEST
    facts = json.loads(file.read_text())
    facts.pop("sha256")
    return file, facts


def test_another_format_is_refused(spec, tmp_path) -> None:
    build(spec, tmp_path / "out")
    file, facts = manifest_of(tmp_path / "out")
    token_files.write_manifest(file, {**facts, "format": "gvatheory tokens 0"})
    with pytest.raises(ValueError, match=r"must be of format 'gvatheory tokens 1', is 'gvatheory tokens 0'"):
        load(tmp_path / "out")


def test_a_manifest_may_name_files_beside_it_alone(spec, tmp_path) -> None:
    build(spec, tmp_path / "out")
    file, facts = manifest_of(tmp_path / "out")
    facts["files"]["train"]["name"] = "../train.npy"
    token_files.write_manifest(file, facts)
    with pytest.raises(ValueError, match=r"names '\.\./train\.npy', which is no file beside it"):
        load(tmp_path / "out")


@pytest.mark.parametrize("at", ["reading", "learning merges", "encoding", "written"])
def test_an_interrupted_build_is_no_corpus(spec, tmp_path, monkeypatch, at) -> None:
    out, stages = tmp_path / "out", []

    def interrupted(stage: str, done: int, total: int) -> None:
        stages.append(stage)
        if stage == at and done == total:
            raise KeyboardInterrupt

    def before_the_manifest(*args: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        if at == "written":
            patch.setattr(token_files, "write_manifest", before_the_manifest)
        with pytest.raises(KeyboardInterrupt):
            build(spec, out, progress=interrupted)
    assert not list(out.glob("*.part"))
    assert (out / "train.npy").exists() == (at == "written")
    with pytest.raises(FileNotFoundError):
        load(out)
    stages.clear()
    again = build(spec, out, progress=lambda stage, done, total: stages.append(stage))
    # A tokenizer that was finished is used again, if it is of this corpus.
    assert ("learning merges" in stages) == (at in ("reading", "learning merges"))
    assert again.manifest["files"] == build(spec, tmp_path / "straight").manifest["files"]


def test_a_tokenizer_of_another_corpus_is_not_used(spec, tmp_path) -> None:
    build(spec, tmp_path / "out")
    (tmp_path / "out" / token_files.MANIFEST).unlink()
    other = dataclasses.replace(spec, vocabulary_size=290)
    assert build(other, tmp_path / "out").tokenizer.vocabulary_size == 290


def test_a_corpus_that_cannot_be_is_refused(spec, tmp_path) -> None:
    source = spec.sources[0]
    with pytest.raises(ValueError, match=r"vocabulary_size must be at most \d+ here, got 5000"):
        build(dataclasses.replace(spec, vocabulary_size=5000), tmp_path / "out")
    with pytest.raises(ValueError, match=r"validation must be a share that holds a document, got 1e-09 of 330"):
        build(dataclasses.replace(spec, shares=Shares(0.9, 1e-9)), tmp_path / "out")
    with pytest.raises(ValueError, match=r"vocabulary_size must be an integer from 257"):
        CorpusSpec((source,), 256)
    with pytest.raises(ValueError, match=r"sources must hold at least one source, got none"):
        CorpusSpec((), 300)
    (tmp_path / "empty.txt").touch()
    with pytest.raises(ValueError, match=r"empty.txt is empty"):
        build(dataclasses.replace(spec, sources=(TextSource((str(tmp_path / "empty.txt"),)),)), tmp_path / "out")
    # None of the refusals is in the way of what is asked for next.
    assert len(build(spec, tmp_path / "out").train) > 0

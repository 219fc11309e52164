"""How a run's directory remembers its language, so that its models can be used again: language.json."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

from neural.language.grammar import StoryGrammar
from neural.language.languages import GrammarLanguage, Language, TextLanguage
from neural.language.token_files import load
from neural.runs import atomic

FILE = "language.json"


def open_language(corpus: Path | str | None, grammar: StoryGrammar) -> Language:
    """Token files in a directory, or the grammar if there is none.

    Raises:
        FileNotFoundError, ValueError: if the directory holds no whole corpus.
    """
    return GrammarLanguage(grammar) if corpus is None else TextLanguage(load(corpus))


def remember(run: Path | str, corpus: Path | str | None, grammar: StoryGrammar) -> None:
    """Write into a run's directory what `recall` reads."""
    if corpus is None:
        facts: dict[str, Any] = {"grammar": dataclasses.asdict(grammar)}
    else:
        # Within the run's directory a relative path, so that the directory can be moved.
        own, other = Path(run).resolve(), Path(corpus).resolve()
        facts = {"corpus": str(other.relative_to(own) if other.is_relative_to(own) else other)}
    with atomic(Path(run) / FILE) as part:
        part.write_text(json.dumps(facts, indent=1))


def recall(run: Path | str) -> Language:
    """The language of a run.

    Raises:
        FileNotFoundError: if the directory holds no language.json or config.json, or the token files are gone.
        ValueError: if the file is damaged, or the token files are, or they are not those that the run was trained on.
    """
    file = Path(run) / FILE
    for needed in (file, Path(run) / "config.json"):
        if not needed.is_file():
            raise FileNotFoundError(f"{run} holds no {needed.name}: is it the directory of a language run?")
    try:
        facts = json.loads(file.read_text())
        if "corpus" in facts:
            language = open_language(Path(run) / facts["corpus"], StoryGrammar())
        else:
            language = open_language(None, StoryGrammar(**facts["grammar"]))
        learnt = json.loads((Path(run) / "config.json").read_text())["language"]
    except (TypeError, KeyError, json.JSONDecodeError) as e:
        raise ValueError(f"{file} is damaged: {e}") from e
    if language.identity() != learnt:
        raise ValueError(
            f"{file} leads to another language than the one that the run has learnt: was it changed since?"
        )
    return language

"""How a run's directory remembers its language, so that its models can be used again: language.json."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

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
    facts = {"grammar": dataclasses.asdict(grammar)} if corpus is None else {"corpus": str(Path(corpus).resolve())}
    with atomic(Path(run) / FILE) as part:
        part.write_text(json.dumps(facts, indent=1))


def recall(run: Path | str) -> Language:
    """The language of a run.

    Raises:
        FileNotFoundError: if the directory holds no language.json, or the token files are gone.
        ValueError: if the file is damaged, or the token files are.
    """
    file = Path(run) / FILE
    if not file.is_file():
        raise FileNotFoundError(f"{run} holds no {FILE}: is it the directory of a language run?")
    try:
        facts = json.loads(file.read_text())
        if "corpus" in facts:
            return open_language(facts["corpus"], StoryGrammar())
        return open_language(None, StoryGrammar(**facts["grammar"]))
    except (TypeError, KeyError, json.JSONDecodeError) as e:
        raise ValueError(f"{file} is damaged: {e}") from e

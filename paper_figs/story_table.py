"""A table of diverging stories: what two iterates one update apart tell of the same beginning, and what averages do.

Which stories are shown follows a rule, not a taste: of the run's last two consecutive iterates, the prompts whose raw
continuations part at evenly spread quantiles of the position where they do.
"""

from __future__ import annotations

import dataclasses
import html
import re
from collections.abc import Sequence

import numpy as np
import xarray as xr

from gvatheory import validation
from neural.language.edit_distance import first_difference
from neural.language.languages import Language, TextLanguage
from neural.language.padding import unpadded
from neural.statistics import RAW
from paper_figs import style
from paper_figs.page import document

SHOWN = 80
"""Tokens of every continuation that are shown unless said otherwise."""

_INK = {"raw": "#B23C00", "average": "#00568A"}  # darker than the figures' colours: text needs the contrast


@dataclasses.dataclass(frozen=True)
class Continuations:
    """Two continuations of one prompt by neighbouring iterates, or by averages at the same updates.

    Attributes:
        name: "raw", or the average.
        first: position of the first token that differs, from 0; T if none does.
        common: what both say before, without the prompt, within the tokens shown.
        rests: what the earlier and the later one say from there on; empty strings if they part further on, or never.
    """

    name: str
    first: int
    common: str
    rests: tuple[str, str]


@dataclasses.dataclass(frozen=True)
class Story:
    """A prompt and what becomes of it.

    Attributes:
        prompt: its text.
        number: its place among the run's prompts, from 0.
        raw, average: the continuations.
    """

    prompt: str
    number: int
    raw: Continuations
    average: Continuations


@dataclasses.dataclass(frozen=True)
class Stories:
    """Result of `rows`.

    Attributes:
        updates: of the two iterates.
        tokens: T, of a whole continuation.
        shown: of it in the table.
        prompts: how many the stories are chosen from.
        average: whose continuations stand below those of the raw iterates.
        best: whether that average has the least validation loss of all at the run's last iterate.
        stories: in the order of their first difference.
    """

    updates: tuple[int, int]
    tokens: int
    shown: int
    prompts: int
    average: str
    best: bool
    stories: tuple[Story, ...]

    def rule(self) -> str:
        """How the stories were chosen and cut, in a sentence or two."""
        at = ", ".join(f"{100 * q:.0f} %" for q in _quantiles(len(self.stories)))
        first, second = self.updates
        best = f" {self.average} is the average of the least validation loss at the last iterate." if self.best else ""
        return (
            f"Greedy continuations after updates {first:,} and {second:,}. {self.prompts} held-out prompts are ordered "
            f"by the token at which the raw iterates' continuations first differ; those at {at} of the order are "
            f"shown.{best} Of each continuation the first {self.shown} of {self.tokens} tokens are printed; ¶ is the "
            "end of a story."
        )


def rows(
    dataset: xr.Dataset, language: Language, *, average: str | None = None, pairs: int = 3, shown: int | None = None
) -> Stories:
    """The stories of the table, chosen by the rule of the module.

    Args:
        dataset: of a run, see `neural.language.records`.
        language: of the run.
        average: whose continuations are shown below those of the raw iterates; `best_average` by default.
        pairs: prompts, from 1 to those of the run.
        shown: tokens of each continuation, from 1; `SHOWN` or as many as there are by default.

    Raises:
        ValueError: naming the argument out of range, or what the dataset lacks: an average, two consecutive iterates.
    """
    names = [str(name) for name in dataset["average"].values if name != RAW]
    best = best_average(dataset)
    average = best if average is None else average
    if average not in names:
        raise ValueError(f"average must be one of {names}, got {average!r}")
    texts = dataset["greedy"].transpose("iterate", "average", "prompt", "token")
    validation.integer("pairs", pairs, 1, texts.sizes["prompt"])
    length = texts.sizes["token"]
    cut = min(SHOWN, length) if shown is None else shown
    validation.integer("shown", cut, 1, length)
    texts = texts.isel(iterate=np.flatnonzero(dataset["consecutive"].values)).sortby("iterate")
    if texts.sizes["iterate"] < 2:
        raise ValueError(f"the dataset must have at least 2 consecutive iterates, got {texts.sizes['iterate']}")
    texts = texts.isel(iterate=[-2, -1]).sel(average=[RAW, average])
    first = first_difference(*texts.values)
    prompts = unpadded(dataset["prompt_tokens"].values)
    stories = []
    for place in _chosen(first[0], pairs):
        both = [
            _continuations(language, prompts[place], name, texts.values[:, j, place], int(first[j, place]), cut)
            for j, name in enumerate((RAW, average))
        ]
        stories.append(Story(_words(language, prompts[place]), int(place), *both))
    before, after = texts["iterate"].values
    return Stories((int(before), int(after)), length, cut, len(prompts), average, average == best, tuple(stories))


def best_average(dataset: xr.Dataset) -> str:
    """The average of the least validation loss at the run's last iterate.

    Raises:
        ValueError: if no average continued prompts.
    """
    last = dataset["loss"].sortby("iterate").isel(iterate=-1, average=np.flatnonzero(dataset["average"].values != RAW))
    if not last.size:
        raise ValueError("the dataset must have an average beside the raw iterates, it has none")
    return str(last["average"].values[int(last.values.argmin())])


def to_html(found: Stories, title: str = "Stories that part") -> str:
    """A self-contained page: what both continuations say in grey, where they differ in colour."""
    parts = [f'<p class="note">{html.escape(found.rule())}</p>']
    for story in found.stories:
        parts.append(f"<h2>{html.escape(_plain(story.prompt).strip())}…</h2>")
        lines = []
        for kind, both in (("raw", story.raw), ("average", story.average)):
            for update, rest in zip(found.updates, both.rests, strict=True):
                text = (
                    f'<span style="color:{style.MUTED}">{html.escape(_plain(both.common))}</span>'
                    f'<span style="color:{_INK[kind]}">{html.escape(_plain(rest))}</span>'
                )
                lines.append((html.escape(both.name), f"{update:,}", html.escape(_position(both, found)), text))
        parts.append(_table(lines))
    return document(title, parts)


def to_markdown(found: Stories, title: str = "Stories that part") -> str:
    """The same as Markdown: what both continuations say plain, where they differ bold."""
    lines = [f"# {_escaped(title)}", "", _escaped(found.rule())]
    for story in found.stories:
        lines += ["", f"**Prompt:** {_escaped(story.prompt).strip()}…", ""]
        lines += ["| | update | first difference | continuation |", "| --- | ---: | --- | --- |"]
        for both in (story.raw, story.average):
            for update, rest in zip(found.updates, both.rests, strict=True):
                # Not two asterisks: beside a comma or a quotation mark they would not count as bold.
                bold = f"<b>{_escaped(rest)}</b>" if rest else ""
                text = _escaped(both.common) + bold
                lines.append(f"| {_escaped(both.name)} | {update:,} | {_position(both, found)} | {text.strip()} |")
    return "\n".join(lines) + "\n"


def _quantiles(count: int) -> np.ndarray:
    return (np.arange(count) + 0.5) / count


def _chosen(first: np.ndarray, count: int) -> np.ndarray:
    """`count` different places of (P,) first differences at evenly spread quantiles; ties in the order of prompts."""
    order = np.argsort(first, kind="stable")
    return order[np.floor(_quantiles(count) * len(order)).astype(int)]


def _continuations(
    language: Language, prompt: np.ndarray, name: str, both: np.ndarray, first: int, shown: int
) -> Continuations:
    """Of (2, T) tokens; texts are cut as texts, since a token alone may be half a character or lack its blank."""
    begun = _words(language, prompt)
    whole = [_words(language, np.concatenate([prompt, tokens[:shown]])) for tokens in both]
    same = _words(language, np.concatenate([prompt, both[0, : min(first, shown)]]))
    end = min(_agreeing(same, text) for text in whole)
    start = _agreeing(begun, same[:end])
    return Continuations(name, first, whole[0][start:end], (whole[0][end:], whole[1][end:]))


def _agreeing(a: str, b: str) -> int:
    """How many characters two texts begin with in common."""
    return next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))


def _words(language: Language, tokens: np.ndarray) -> str:
    """The text, with a mark where a story of a corpus ends."""
    if not isinstance(language, TextLanguage):
        return language.decode(tokens)
    ends = np.flatnonzero(tokens == language.corpus.tokenizer.end_id)
    return " ¶ ".join(
        language.decode(part[part != language.corpus.tokenizer.end_id]) for part in np.split(tokens, ends)
    )


def _position(both: Continuations, found: Stories) -> str:
    return f"none in {found.tokens}" if both.first >= found.tokens else f"token {both.first + 1}"


def _plain(text: str) -> str:
    return re.sub(r"\s+", " ", text)


def _escaped(text: str) -> str:
    """As Markdown that shows the text as it is, in one line."""
    return re.sub(r"([\\`*_\[\]<>|~&#])", r"\\\1", _plain(text))


def _table(lines: Sequence[tuple[str, str, str, str]]) -> str:
    head = "".join(f'<th class="text">{name}</th>' for name in ("", "update", "first difference", "continuation"))
    body = "\n".join("<tr>" + "".join(f'<td class="text">{cell}</td>' for cell in line) + "</tr>" for line in lines)
    return f'<div class="wrap"><table><thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody></table></div>'

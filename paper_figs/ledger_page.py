"""The ledger as a page: statements, proofs, margins, worst instances, how each mutant died, pictures.

HTML is self-contained, its LaTeX turned into MathML. Markdown keeps its LaTeX, has the pictures beside it and holds no
times, so that it changes only when a result does.
"""

import html
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from paper_figs import style
from paper_figs.ledger_picture import draw
from paper_figs.page import document, figure, number, table
from proofs_check.interface import Proposition
from proofs_check.results import CheckResult, MutantResult, Result, summary

Rows = Mapping[str, Proposition[Any]]
"""Propositions by id."""
Pictures = Mapping[str, tuple[bytes, str]]
"""PNG and caption by id."""

_TITLE = "The ledger of propositions"
_INTRODUCTION = (
    "Every statement is judged by algebra, by numbers (closed forms against independent routes, and searches that try "
    "to break each inequality) and by simulation, and every mutant, the statement with one field changed, must be "
    "refuted by the same checks. A margin is the smallest slack found: for an inequality the distance to equality "
    "relative to the larger side, for a comparison within a tolerance the share of the tolerance left; 0 means that "
    "equality is attained, – that only exact identities were checked."
)


def write_page(
    path: Path | str,
    results: Sequence[Result],
    rows: Rows,
    seed: int,
    progress: Callable[[int, int], None] | None = None,
) -> list[Path]:
    """Write the ledger to `path`, as HTML or Markdown by its suffix, and return the files written.

    Args:
        path: ends in .html or .md; a Markdown page keeps its pictures in a folder of its name beside it.
        results: of `proofs_check.run`.
        rows: the propositions by id.
        seed: of the pictures' simulations.
        progress: called with (pictures drawn, propositions in all).

    Raises:
        ValueError: if the suffix is another.
    """
    path = Path(path)
    write = {".html": _html, ".md": _markdown}.get(path.suffix)
    if write is None:
        raise ValueError(f"page must end in .html or .md, got {path}")
    path.parent.mkdir(parents=True, exist_ok=True)
    pictures: dict[str, tuple[bytes, str]] = {}
    for done, result in enumerate(results, 1):
        picture = rows[result.id].picture
        if picture is not None:
            shown = picture(seed)
            pictures[result.id] = style.png(draw(shown)), shown.caption
        if progress is not None:
            progress(done, len(results))
    return write(path, results, rows, pictures)


def _html(path: Path, results: Sequence[Result], rows: Rows, pictures: Pictures) -> list[Path]:
    contents = table(
        ("id", "proposition", "verdict", "margin", "mutants refuted", "time"),
        [
            (
                f'<a href="#{_anchor(r.id)}">{r.id}</a>',
                html.escape(r.title),
                _verdict(r),
                _margin(r.margin),
                r.refuted,
                f"{r.seconds:.1f} s",
            )
            for r in results
        ],
        text=3,
    )
    parts = [f'<p class="lead">{html.escape(_INTRODUCTION)}</p>', f"<p>{html.escape(summary(results))}.</p>", contents]
    for result in results:
        row = rows[result.id]
        facts = "\n".join(f"<dt>{html.escape(k)}</dt><dd>{mathml(v)}</dd>" for k, v in _facts(row))
        checks = [
            (c.kind, html.escape(c.name), *_check_cells(c, html.escape), f"{c.seconds:.1f} s") for c in result.checks
        ]
        mutants = [tuple(map(html.escape, _mutant_cells(m))) for m in result.mutants]
        parts.append(f'<section id="{_anchor(result.id)}">\n<h2>{result.id} {html.escape(result.title)}</h2>')
        parts.append(f"<p>{_verdict(result)}</p><p>{mathml(row.statement)}</p>\n<dl>{facts}</dl>")
        for name, text in _paragraphs(row):
            parts.append(f"<details><summary>{name}</summary><p>{html.escape(text)}</p></details>")
        if result.id in pictures:
            alt = f"Bound against truth for proposition {result.id}"
            png, caption = pictures[result.id]
            parts.append(figure(png, alt, mathml(caption), "small"))
        header = ("kind", "check", "verdict", "margin", "worst instance", "what was tried", "time")
        parts.append(f'<div class="wrap">{table(header, checks, text=7)}</div>')
        header = ("kind", "mutant", "what it says", "refuted by", "with the instance")
        parts.append(f'<div class="wrap">{table(header, mutants, text=5)}</div>\n</section>')
    path.write_text(document(_TITLE, parts), encoding="utf-8")
    return [path]


def _markdown(path: Path, results: Sequence[Result], rows: Rows, pictures: Pictures) -> list[Path]:
    written = [path]
    ids = "" if len(results) == len(rows) else " " + " ".join(r.id for r in results)
    options = f"{ids} --seed {results[0].seed}{' --quick' if results[0].quick else ''}"
    lines = [f"# {_TITLE}", "", f"Generated by `gva check{options} --page {path.name}`.", ""]
    lines += [_INTRODUCTION, "", f"{summary(results)}.", ""]
    contents = [(r.id, r.title, r.verdict, _margin(r.margin), r.refuted) for r in results]
    lines += [*_pipes(("id", "proposition", "verdict", "margin", "mutants refuted"), contents), ""]
    for result in results:
        row = rows[result.id]
        lines += [f"## {result.id} {result.title}", "", prose(row.statement), ""]
        lines += [f"- {name}: {prose(text)}" for name, text in _facts(row)]
        for name, text in _paragraphs(row):
            lines += ["", f"### {name}", "", plain(text)]
        lines.append("")
        if result.id in pictures:
            file = path.with_suffix("") / f"{_anchor(result.id)}.png"
            file.parent.mkdir(exist_ok=True)
            png, caption = pictures[result.id]
            file.write_bytes(png)
            written.append(file)
            lines += [
                f"![{result.id}: bound against truth]({file.parent.name}/{file.name})",
                "",
                prose(caption),
                "",
            ]
        checks = [(c.kind, c.name, *_check_cells(c, str)) for c in result.checks]
        lines += [*_pipes(("kind", "check", "verdict", "margin", "worst instance", "what was tried"), checks), ""]
        header = ("kind", "mutant", "what it says", "refuted by", "with the instance")
        lines += [*_pipes(header, [_mutant_cells(m) for m in result.mutants]), ""]
    path.write_text("\n".join(lines), encoding="utf-8")
    return written


def _facts(row: Proposition[Any]) -> Iterator[tuple[str, str]]:
    yield "Setting", row.setting
    yield "Hypotheses", "; ".join(row.hypotheses)
    yield "Source", row.source
    yield "Quoted", row.quoted
    if row.rebuilt:
        yield "Reconstructed here", row.rebuilt
    for correction in row.corrections:
        yield "Corrected", correction


def _paragraphs(row: Proposition[Any]) -> list[tuple[str, str]]:
    """The longer texts that a row has, in Unicode as they stand in its module."""
    named = (("Setting in full", row.full_setting), ("Statement part by part", row.parts), ("Proof", row.proof))
    return [(name, text) for name, text in named if text]


def _check_cells(check: CheckResult, escape: Callable[[str], str]) -> tuple[str, str, str, str]:
    verdict = f"error: {check.error}" if check.error else "holds" if check.holds else "refuted"
    return escape(verdict), _margin(check.margin), escape(check.witness), escape(check.detail)


def _mutant_cells(mutant: MutantResult) -> tuple[str, str, str, str, str]:
    by = ", ".join(kill.check for kill in mutant.kills) or "SURVIVED"
    return mutant.kind, mutant.change, mutant.note, by, mutant.kills[0].witness if mutant.kills else ""


def _verdict(result: Result) -> str:
    return f'<span class="{"good" if result.passed else "bad"}">{html.escape(result.verdict)}</span>'


def _margin(margin: float | None) -> str:
    return "–" if margin is None else number(margin, 2)


def _anchor(name: str) -> str:
    return name.lower().replace(".", "-")


def plain(text: str) -> str:
    """Prose for Markdown: signs that would start emphasis, a tag or mathematics are kept as they are."""
    return re.sub(r"([\\*_<>$|`\[\]])", r"\\\1", text)


def prose(text: str) -> str:
    """Text with LaTeX between dollars for Markdown."""
    return "$".join(piece if i % 2 else plain(piece) for i, piece in enumerate(text.split("$")))


def _pipes(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *([plain(cell).replace("\n", " ") for cell in row] for row in rows)]
    return ["| " + " | ".join(line) + " |" for line in lines]


def mathml(text: str) -> str:
    """Plain text with LaTeX between dollars as HTML with MathML."""
    from latex2mathml.converter import convert

    pieces = text.split("$")
    return "".join(convert(piece) if i % 2 else html.escape(piece) for i, piece in enumerate(pieces))

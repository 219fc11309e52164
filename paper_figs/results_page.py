"""docs/results.md: verdicts, criteria, figures, and what the paper reports beside what is found here.

Everything but the commentary (`results_text`) is computed from shipped evidence, so that the page changes only when a
result does.
"""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from neural.predictions.decision import ERROR, FAMILY, LEAST_SEEDS, Verdict
from neural.predictions.evidence import SETS, SHIPPED, shipped
from neural.predictions.registry import agree, judge_all
from paper_figs import style
from paper_figs.evidence_parts import opened
from paper_figs.gallery import FIGURES, data_of
from paper_figs.prediction_tables import choice_left_out, choice_rows, mark, region, seeds_of, unknown
from paper_figs.results_text import CHOICE, COMMENTARY, INTRODUCTION
from paper_figs.text import shown

PICTURES = {
    "": ("predictions", "butterfly", "averages", "interventions"),
    "N1": ("noise-scaling",),
    "N2": ("orders",),
    "N3": ("horizon",),
    "N4": ("linear-theory",),
    "N8": ("falls",),
    "N9": ("survival",),
    "N10": ("gradient-noise",),
    "choice": ("choice",),
}
"""Figures of the gallery by the section that shows them."""

Found = Mapping[str, Verdict | FileNotFoundError]


def write_page(path: Path | str, progress: Callable[[int, int], None] | None = None) -> list[Path]:
    """Write the page and its pictures, and return the files written.

    Args:
        path: of the Markdown file; pictures go into a folder of its name beside it.
        progress: called with (pictures drawn, pictures in all).

    Raises:
        FileNotFoundError: if the evidence does not ship.
    """
    path = Path(path)
    evidence = {name: opened(directory) for name, directory in shipped().items()}
    if not evidence:
        raise FileNotFoundError(f"no evidence in {SHIPPED}: make it by gva predictions run")
    found = [judge_all(one) for one in evidence.values()]
    pictures = path.with_suffix("")
    pictures.mkdir(parents=True, exist_ok=True)
    names = [name for group in PICTURES.values() for name in group if name in FIGURES]
    captions, written = {}, []
    for done, name in enumerate(names, 1):
        module = FIGURES[name].load()
        target = pictures / f"{name}.png"
        with contextlib.suppress(FileNotFoundError):  # of a figure whose runs are not among the evidence
            data = data_of(name, None, False, "full", 0)
            target.write_bytes(style.png(module.draw(data), dpi=110))
            captions[name] = module.caption(data)
            written.append(target)
        if progress is not None:
            progress(done, len(names))
    parts = [INTRODUCTION.format(error=ERROR, family=FAMILY, least=LEAST_SEEDS), *_overview(found)]
    if len(evidence) < len(SETS):
        parts.insert(1, f"**Only the set `{next(iter(evidence))}` ships so far: what it says is provisional.**")
    parts += _pictures("", captions, pictures.name)
    for name, verdict in found[0].items():
        parts += _section(name, verdict, found[1].get(name) if len(found) > 1 else None)
        parts += _pictures(name, captions, pictures.name)
    parts += ["## Which average should one use?", CHOICE]
    for name, one in evidence.items():
        parts += _table(choice_rows(one), f"Seeds of the set `{name}`: `gva predictions table --seeds {name}`.")
        parts.append(choice_left_out(one))
    parts += _pictures("choice", captions, pictures.name)
    path.write_text("\n\n".join(part for part in parts if part) + "\n", encoding="utf-8")
    return [path, *written]


def _table(rows: Sequence[Sequence[str]], title: str = "") -> list[str]:
    """A Markdown table, its title before it; nothing without rows."""
    if not rows:
        return []
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    lines.insert(1, "|" + " --- |" * len(rows[0]))
    return [title, "\n".join(lines)]


def _word(verdict: Verdict | FileNotFoundError | None) -> str:
    return verdict.outcome if isinstance(verdict, Verdict) else "not run"


def _overview(found: Sequence[Found]) -> list[str]:
    rows = [("", "prediction", "verdict", "second set of seeds", "they agree")]
    for name, verdict in found[0].items():
        other = found[1].get(name) if len(found) > 1 else None
        agreeing = "–"
        if isinstance(verdict, Verdict) and isinstance(other, Verdict):
            agreeing = "yes" if agree(verdict, other) else "**no**"
        title = verdict.prediction.title if isinstance(verdict, Verdict) else name
        rows.append((f"[{name}](#{name.lower()})", title, f"**{_word(verdict)}**", _word(other), agreeing))
    return _table(rows)


def _section(name: str, verdict: Verdict | FileNotFoundError, other: Verdict | FileNotFoundError | None) -> list[str]:
    if isinstance(verdict, FileNotFoundError):
        return [f"## {name}", "Its runs are not among the shipped evidence."]
    of = verdict.prediction
    rows = [("criterion", "theory", "found", "holds if", "so it", "second set")]
    pairs = [(f, mark(f)) for f in verdict.findings] + [(f, "–") for f in verdict.also]
    again = (*other.findings, *other.also) if isinstance(other, Verdict) else (None,) * len(pairs)
    for (finding, word), second in zip(pairs, again, strict=True):
        seen = "–" if second is None else shown(second.estimate)
        c = finding.criterion
        rows.append((c.name, c.theory, shown(finding.estimate), region(finding), word, seen))
    facts = f"({of.source}; {seeds_of(verdict)}; `gva predictions table {name}`.)"
    return [
        f"## {name}",
        f"{of.title}: **{verdict.outcome}**. {of.statement} {facts}",
        *_table(rows),
        " ".join(f"Not known: {why}." for why in unknown(verdict)),
        COMMENTARY.get(name, ""),
    ]


def _pictures(section: str, captions: Mapping[str, str], folder: str) -> list[str]:
    out = []
    for name in PICTURES.get(section, ()):
        if name in captions:
            out += [f"![{name}]({folder}/{name}.png)", f"*`gva figure {name}`: {captions[name]}*"]
    return out

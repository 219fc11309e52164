"""The ledger's page: well-formed, escaped, complete, the same bytes for the same results."""

from dataclasses import dataclass, replace
from pathlib import Path

import pytest

import proofs_check
from paper_figs import ledger_picture
from paper_figs.ledger_page import mathml, plain, prose, write_page
from proofs_check.interface import Check, Mutant, Outcome, Proposition, Setup
from proofs_check.judging import at_most
from proofs_check.pictures import Picture, series
from tests.html_pages import EVIL, Page


@dataclass(frozen=True)
class Claim:
    """x <= bound for x up to 2; broken by a negative one."""

    bound: int = 2


def judge(claim: Claim, setup: Setup) -> Outcome:
    if claim.bound < 0:
        raise ValueError(EVIL)
    return Outcome.from_trials((at_most(x, claim.bound, f"x={x} {EVIL} | _b_") for x in (1, 2)), "grid")


def picture(seed: int) -> Picture:
    curves = (
        series("truth", "truth", [1, 2], [1, 2]),
        series("claim", "claim", [1, 2], [2, 2]),
        series("seen", "simulation", [1, 2], [1, 2], [(0.5, 1.5), (1.5, 2.5)]),
        series("mutant", "wrong", [1, 2], [1, 1]),
    )
    return Picture("x", "bound", curves, f"$x \\le 2$, seed {seed}, {EVIL}", x_log=True, y_log=True)


ROW = Proposition(
    id="T.1",
    title=f"Toy {EVIL}",
    setting="x_1 in *N*",
    statement=r"$x \le 2$ where x < 3",
    hypotheses=("x <= 2",),
    source="school",
    reconstructed=False,
    quoted="all",
    rebuilt="",
    claim=Claim(),
    checks=(Check("grid", "numbers", judge),),
    mutants=(
        Mutant("constant", "bound", 0, EVIL),
        Mutant("constant", "bound", 1, "too small"),
        Mutant("sign", "bound", 3, "survives"),
        Mutant("sign", "bound", -1, "raises"),
    ),
    corrections=("said x < 2; x = 2 is a counterexample",),
    picture=picture,
)
ROWS = {"T.1": ROW, "U": replace(ROW, id="U", picture=None)}


@pytest.fixture(scope="module")
def results() -> list[proofs_check.Result]:
    return proofs_check.run(registry=ROWS)


def test_html_is_well_formed_escaped_and_complete(results, tmp_path: Path) -> None:
    drawn = []
    (file,) = write_page(tmp_path / "a" / "l.html", results, ROWS, 7, lambda done, total: drawn.append((done, total)))
    text = file.read_text(encoding="utf-8")
    page = Page()
    page.feed(text)
    assert page.open == []
    assert "<script" not in text
    assert drawn == [(1, 2), (2, 2)]
    tags = [tag for tag, _ in page.elements]
    assert tags.count("math") >= 3
    assert tags.count("img") == 1
    for said in ("survived: bound: 2 -> 3, bound: 2 -> -1", "SURVIVED", "counterexample", "grid", "seed 7"):
        assert said in page.text


def test_markdown_keeps_latex_escapes_prose_and_is_reproducible(results, tmp_path: Path) -> None:
    page, image = write_page(tmp_path / "l.md", results, ROWS, 0)
    text = page.read_text(encoding="utf-8")
    assert image == tmp_path / "l" / "t-1.png"
    assert r"$x \le 2$ where x \< 3" in text
    assert r"x\_1 in \*N\*" in text
    assert r"\| \_b\_" in text
    assert f"(l/{image.name})" in text
    assert f"$x \\le 2$, seed 0, {plain(EVIL)}" in text
    before = [page.read_bytes(), image.read_bytes()]
    slower = [replace(result, seconds=99.0) for result in results]
    assert [file.read_bytes() for file in write_page(page, slower, ROWS, 0)] == before


def test_other_suffixes_are_refused_before_any_picture(results, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"\.html or \.md"):
        write_page(tmp_path / "l.pdf", results, ROWS, 0)
    assert list(tmp_path.iterdir()) == []


def test_the_documents_page_is_that_of_the_rows() -> None:
    docs = Path(__file__).parents[2] / "docs"
    text = (docs / "propositions.md").read_text(encoding="utf-8")
    for row in proofs_check.propositions().values():
        section = text.split(f"## {row.id} {row.title}\n")[1].split("\n## ")[0]  # else: make ledger
        for said in (row.statement, row.setting, *row.hypotheses, *row.corrections):
            assert prose(said) in section
        for paragraph in (row.full_setting, row.parts, row.proof):
            assert paragraph
            assert plain(paragraph) in section
        for mutant in row.mutants:
            assert plain(mutant.change(row.claim)) in section
        assert "SURVIVED" not in section
        assert (docs / "propositions" / f"{row.id.lower().replace('.', '-')}.png").is_file()


@pytest.mark.parametrize("row", proofs_check.propositions().values(), ids=lambda row: row.id)
def test_rows_have_balanced_latex_and_a_picture_that_can_be_drawn(row) -> None:
    assert row.picture is not None
    shown = row.picture(0)
    assert shown.caption
    assert ledger_picture.draw(shown).axes[0].get_legend() is not None
    for text in (row.statement, shown.caption, *row.corrections, *row.hypotheses, row.setting):
        assert text.count("$") % 2 == 0, text
        mathml(text)

"""Every figure by name: what is drawn from the data that ship, and what is refused."""

import subprocess
import sys
from pathlib import Path

import pytest

from neural.runs import save_dataset
from paper_figs import scalar_gva
from paper_figs.cli import main
from paper_figs.gallery import EVIDENCE, FIGURES, data_of, names


def test_figures_have_names_and_numbers() -> None:
    assert names("1") == ["butterfly"]
    assert names("4") == ["language"]
    assert names("cliff-phase") == ["cliff-phase"]
    assert {"scalar-gva", "language", "experts"} <= set(names("all"))
    assert "cloning" not in names("all")  # which needs a run
    with pytest.raises(ValueError, match=r"name must be all, or one of .*'experts'.*, got '9'"):
        names("9")


@pytest.mark.parametrize(
    "name", [n for n in names("all") if FIGURES[n].shipped not in (None, EVIDENCE)]
)  # those of the evidence: see test_evidence_figures
def test_what_ships_is_drawn(name: str) -> None:
    entry = FIGURES[name]
    assert entry.shipped is not None
    assert entry.shipped.is_file()
    data = data_of(name, None, False, "quick", 0)
    module = entry.load()
    assert module.draw(data).get_axes()
    assert module.caption(data).endswith(".")


def test_shipped_numbers_are_those_computed_anew() -> None:
    shipped = data_of("scalar-gva", None, False, "quick", 0)
    fresh = scalar_gva.data("quick")
    assert shipped["std_exact"].values == pytest.approx(fresh["std_exact"].values, rel=1e-12)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("figure 9", "name must be all, or one of"),
        ("figure language --fresh", "fresh must not be asked for, language is drawn from runs"),
        ("figure scalar-gva --seed 3", "preset and seed must go with --fresh"),
        ("figure cloning", "data must name the dataset of a run to draw cloning from"),
        ("figure parting --data neural/language/assets/grammar.nc", "data must be the dataset of gva lm part"),
        ("figure language --data neural/language/assets/parting.nc", "data must be the dataset of a language run"),
        ("figure all --data x.nc", "data must go with one figure, got 'all'"),
        ("figure scalar-gva --fresh --data x.nc", "fresh must not be asked for, a file is given"),
        ("figure scalar-gva --fresh --seed -1", "seed must be an integer at least 0, got -1"),
    ],
)
def test_bad_input_is_named_and_exits_with_2(capsys, arguments: str, message: str) -> None:
    with pytest.raises(SystemExit) as stop:
        main(arguments.split())
    assert stop.value.code == 2
    assert message in " ".join(capsys.readouterr().err.split())


def test_a_figure_is_written_fresh_or_from_a_file(capsys, tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["figure", "scalar-gva", "--fresh", "--out", str(tmp_path)])
    assert stop.value.code == 0
    assert (tmp_path / "scalar-gva.pdf").stat().st_size > 1000
    assert "2000 sampled gain errors" in capsys.readouterr().out
    save_dataset(tmp_path / "own.nc", scalar_gva.data(trials=100))
    with pytest.raises(SystemExit):
        main(["figure", "scalar-gva", "--data", str(tmp_path / "own.nc"), "--out", str(tmp_path)])
    assert "100 sampled gain errors" in capsys.readouterr().out


def test_shipped_figures_are_drawn_without_torch() -> None:
    code = (
        "import sys, paper_figs.language_gallery, paper_figs.parting; "
        "assert not {'torch', 'transformers'} & {*sys.modules}"
    )
    subprocess.run([sys.executable, "-c", code], check=True)

"""`gva catalogue` and `gva clone --catalogue`, from the command line to the files."""

import dataclasses

import pytest

import gvatheory as gva
from neural.control import catalogue
from neural.control.catalogue_terms import REFERENCE
from neural.control.design import CloningExperiment
from neural.control.learner import Learner
from neural.runs import load_dataset
from paper_figs.cli import main

TINY = CloningExperiment(
    episodes=2,
    held_out=1,
    learner=Learner(hidden=(8, 8, 8), batch_size=4),
    schedule=gva.Constant(0.01),
    bank={REFERENCE: gva.EMA(0.05)},
    evaluate=(REFERENCE,),
    steps=40,
    consecutive=3,
    spaced=4,
    spacing=10,
    rollouts=2,
    rollout_steps=30,
)


def outcome(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[object, str, str]:
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    captured = capsys.readouterr()
    return stop.value.code, captured.out, captured.err


def test_a_campaign_from_the_command_line(capsys, monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    preset = dataclasses.replace(catalogue.get_preset("quick"), experiment=TINY, tasks=("Ant-v4",))
    monkeypatch.setattr(catalogue, "get_preset", lambda name: preset)
    arguments = f"clone --catalogue smoke --families averaging scale --seeds 3 --workers 1 --out {tmp_path / 'out'}"
    code, out, _ = outcome(capsys, *arguments.split())
    assert code == 0
    names = ["base", "width x 1/4", "EMA, rate x 10"]
    assert all(name in out for name in names)
    found = load_dataset(tmp_path / "out" / "campaign.nc")
    assert sorted(map(str, found["intervention"].values)) == sorted(names)
    assert list(found["seed"].values) == [3]
    assert list(found["task"].values) == ["Ant-v4"]
    file = str(tmp_path / "out" / "campaign.nc")
    assert outcome(capsys, "catalogue", "summary", "--data", file)[1].strip() in out
    code, out, _ = outcome(capsys, "figure", "interventions", "--data", file, "--out", str(tmp_path))
    assert code == 0
    assert (tmp_path / "interventions.png").stat().st_size > 10_000
    assert "3 interventions on Ant-v4" in out


def test_the_list_and_the_page(capsys, monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    code, out, _ = outcome(capsys, "catalogue", "list", "--family", "loss")
    assert code == 0
    chosen = catalogue.select("loss")[1:]
    assert f"{len(chosen)} interventions" in out
    assert all(i.name in out and i.describe() in out for i in chosen)
    assert "batch" not in out
    page = tmp_path / "new" / "page.md"
    assert outcome(capsys, "catalogue", "page", "--out", str(page))[0] == 0
    assert all(f"| {i.name} |" in page.read_text(encoding="utf-8") for i in catalogue.catalogue()[1:])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("clone --catalogue smoke --steps 5 --loss huber", "takes its experiments from the preset, got ['--loss', "),
        ("clone --catalogue nonsense", "catalogue must be one of"),
        ("clone --catalogue all --families nonsense", "families must be among"),
        ("clone --catalogue smoke --tasks Chess-v0", "task must be one of"),
        ("clone --catalogue smoke --workers 0", "workers must be an integer at least 1, got 0"),
        ("catalogue cost --seeds 1 1", "seeds must be at least one, without repetition, got [1, 1]"),
        ("catalogue list --family nonsense", "families must be among"),
        ("figure interventions --data nowhere.nc", "no dataset at nowhere.nc"),
    ],
)
def test_bad_input_exits_with_2(capsys, arguments: str, message: str) -> None:
    code, _, err = outcome(capsys, *arguments.split())
    assert code == 2
    assert message in " ".join(err.split())

"""What importing the theory may cost, and what the command line promises."""

import inspect
import json
import subprocess
import sys

import numpy as np
import pytest

import gvatheory as gva
from paper_figs.cli import main


def test_importing_the_theory_stays_light() -> None:
    """numpy, scipy, jax, xarray and jaxtyping only: no torch, no simulator, no plotting, no JAX setting changed."""
    code = (
        "import sys, gvatheory, jax; "
        "heavy = {'torch', 'mujoco', 'gymnasium', 'optax', 'sympy', 'matplotlib', 'cvxpy', 'tyro'} & set(sys.modules); "
        "assert not heavy, heavy; assert not jax.config.jax_enable_x64"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def outcome(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    captured = capsys.readouterr()
    assert isinstance(stop.value.code, int)
    return stop.value.code, captured.out, captured.err


def test_check_prints_json_and_succeeds(capsys) -> None:
    code, out, _ = outcome(capsys, "check", "C.1", "--quick", "--json")
    assert code == 0
    document = json.loads(out)
    assert document["passed"]
    assert [row["id"] for row in document["results"]] == ["C.1"]


def test_check_prints_a_table_and_how_mutants_died(capsys) -> None:
    code, out, _ = outcome(capsys, "check", "3.1", "--quick", "--mutants")
    assert code == 0
    assert "holds" in out
    assert "SURVIVED" not in out
    assert out.count("<-") >= 3


def test_check_writes_junit_and_a_page_and_can_be_brief(capsys, tmp_path) -> None:
    files = tmp_path / "new" / "ledger.xml", tmp_path / "ledger.html"
    arguments = ("check", "3.1", "--quick", "--no-mutants", "--junit", str(files[0]), "--page", str(files[1]))
    code, out, err = outcome(capsys, *arguments)
    assert code == 0
    assert "<-" not in out
    assert "mutation score 100 %" in out
    assert all(file.stat().st_size > 1000 and str(file) in err for file in files)
    assert outcome(capsys, "check", "--page", "ledger.pdf")[0] == 2  # before any check runs


def test_unstable_cells_cost_the_others_nothing(capsys, tmp_path) -> None:
    from neural.runs import load_dataset

    file = tmp_path / "sweep.nc"
    arguments = f"sweep --steps 900 --curvature 3 --step-sizes 0.1 1 2 --gammas 1 1 1 --trials 5 --out {file}"
    assert outcome(capsys, *arguments.split())[0] == 0
    cells = load_dataset(file)["mean"].values[:, 0]
    assert np.isfinite(cells[0])
    assert np.isnan(cells[1])


def test_json_stays_json_with_mutants(capsys) -> None:
    assert json.loads(outcome(capsys, "check", "C.1", "--quick", "--json", "--mutants")[1])["passed"]


def test_check_fails_when_a_proposition_does(capsys, monkeypatch) -> None:
    import proofs_check

    monkeypatch.setattr(proofs_check, "passed", lambda results: False)
    assert outcome(capsys, "check", "3.1", "--quick")[0] == 1


def test_sweep_writes_a_labelled_dataset(capsys, tmp_path) -> None:
    from neural.runs import load_dataset

    file = tmp_path / "sweep.nc"
    code, out, _ = outcome(
        capsys, *f"sweep --steps 40 --step-sizes 0.01 1 3 --gammas 0.1 1 2 --trials 50 --out {file}".split()
    )
    assert code == 0
    assert str(file) in out
    grid = load_dataset(file)
    assert grid.sizes == {"step_size": 3, "gamma": 2}
    assert {"mean", "fall_probability", "fall_probability_simulated", "mean_standard_error"} <= set(grid.data_vars)
    assert grid.attrs["radius"] == "1.0"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("check 9.9", "unknown proposition '9.9'; known: 3.1, 4.1, C.1"),
        ("sweep --step-sizes 0.1 1 0", "step_sizes: count must be an integer at least 1, got 0"),
        ("sweep --dimension 0", "dimension must be an integer at least 1, got 0"),
        ("sweep --out .", "out must be a file to write"),
        ("clone --evaluate Polyak Polyak", "evaluate must not name an average twice"),
        ("expert train --task Nope-v4 --out never", "task must be one of"),
        ("sweep --radius 3", "penalty must be a number in (9, inf), got 2.0"),
        ("expert show --episodes 0", "episodes must be an integer at least 1, got 0"),
        ("expert show --task Chess-v0", "Chess-v0"),
        ("expert show --path nowhere.safetensors", "no safetensors file at nowhere.safetensors"),
        ("clone --steps 10", "consecutive must be an integer from 0 to 10, got 40"),
        ("figure cloning --data nowhere.nc", "no dataset at nowhere.nc"),
    ],
)
def test_bad_input_is_named_and_exits_with_2(capsys, arguments: str, message: str) -> None:
    code, _, err = outcome(capsys, *arguments.split())
    assert code == 2
    assert message in " ".join(err.split())


def test_the_clone_command_is_the_demos_experiment() -> None:
    """The report names `gva clone --seed S` as the command that reproduces its cloning run."""
    from neural.control.design import CloningExperiment
    from neural.control.learner import Learner
    from paper_figs.clone_commands import Clone

    assert Clone(seed=3).experiment().describe() == CloningExperiment(learner=Learner(seed=3)).describe()


def test_every_public_name_of_the_theory_is_documented() -> None:
    def undocumented(owner: str, thing: object) -> list[str]:
        text = inspect.getdoc(thing) or ""
        name = owner.rsplit(".", 1)[-1]
        own = [] if text and not text.startswith(f"{name}(") else [owner]  # a dataclass's own is its signature
        if inspect.isclass(thing):
            for member, value in vars(thing).items():
                if not member.startswith("_") and (inspect.isfunction(value) or isinstance(value, property)):
                    own += undocumented(f"{owner}.{member}", getattr(thing, member))
        return own

    missing = [name for public in gva.__all__ for name in undocumented(public, getattr(gva, public))]
    assert missing == []

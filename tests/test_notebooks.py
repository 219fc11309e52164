"""The notebooks: percent scripts whose names all exist, and which run as a reader would run them."""

import ast
import importlib
import importlib.util
import os
import re
import resource
import subprocess
import sys
from pathlib import Path

import pytest

import gvatheory

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.py"))
CPU_SECONDS = 60.0

RECORDING_BACKEND = """
from pathlib import Path

from matplotlib import pyplot as plt
from matplotlib.backends.backend_agg import FigureCanvas


def show(*args, **kwargs):
    for number in plt.get_fignums():
        figure = plt.figure(number)
        if any(axes.has_data() for axes in figure.axes):
            figure.savefig(f"figure_{len(list(Path.cwd().glob('*.png')))}.png")
    plt.close("all")
"""
"""Agg, except that `plt.show()` draws every figure that is open, into the working directory."""


def cells(text: str) -> list[tuple[bool, list[str]]]:
    """(is markdown, lines) of every cell after the header."""
    out: list[tuple[bool, list[str]]] = []
    for line in text.splitlines():
        if line.startswith("# %%"):
            assert line in ("# %%", "# %% [markdown]"), line
            out.append((line.endswith("[markdown]"), []))
        elif out:
            out[-1][1].append(line)
    return out


def test_the_three_notebooks_are_there() -> None:
    assert {p.stem for p in NOTEBOOKS} == {"gva_in_ten_minutes", "which_average", "your_own_system"}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_percent_format(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    header = re.match(r"# ---\n((?:#.*\n)*?)# ---\n", text)
    assert header is not None
    assert "jupytext" in header[1]
    assert "format_name: percent" in header[1]
    found = cells(text)
    assert found[0][0]
    assert found[0][1][0].startswith("# # ")  # the title
    for is_markdown, lines in found:
        written = [line for line in lines if line]
        assert written, "an empty cell"
        if is_markdown:
            assert all(line == "#" or line.startswith("# ") for line in written), written
            assert "\n".join(written).count("$") % 2 == 0, written
        else:
            compile("\n".join(lines), str(path), "exec")


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_imports_only_names_that_exist(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    modules = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                assert importlib.util.find_spec(alias.name.split(".")[0]) is not None, alias.name
                if alias.name.startswith("gvatheory"):
                    modules[alias.asname or alias.name] = importlib.import_module(alias.name)
        elif isinstance(node, ast.ImportFrom):
            assert node.module is not None
            module = importlib.import_module(node.module)
            for alias in node.names:
                if not hasattr(module, alias.name):  # then it must be a submodule
                    importlib.import_module(f"{node.module}.{alias.name}")
                if module is gvatheory:
                    modules[alias.asname or alias.name] = importlib.import_module(f"gvatheory.{alias.name}")
    assert modules.get("gva") is gvatheory
    used = [
        (node.value.id, node.attr)
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in modules
    ]
    assert [f"{name}.{attr}" for name, attr in used if not hasattr(modules[name], attr)] == []
    private = [f"{name}.{attr}" for name, attr in used if name == "gva" and attr not in gvatheory.__all__]
    assert private == []


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_runs_as_a_user_would_run_it(path: Path, tmp_path: Path) -> None:
    backend = tmp_path / "backend"
    backend.mkdir()
    (backend / "recording_backend.py").write_text(RECORDING_BACKEND, encoding="utf-8")
    work = tmp_path / "work"
    work.mkdir()
    environment = os.environ | {
        "MPLBACKEND": "module://recording_backend",
        "PYTHONPATH": os.pathsep.join([str(backend), str(path.parents[1])]),
        "PYTHONWARNINGS": "error::UserWarning,error::RuntimeWarning",
        "OMP_NUM_THREADS": "1",
        "JAX_PLATFORMS": "cpu",
    }
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    run = subprocess.run(
        [sys.executable, str(path)], cwd=work, env=environment, capture_output=True, text=True, timeout=900, check=False
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert run.returncode == 0, run.stderr[-4000:]
    wanted = path.read_text(encoding="utf-8").count("plt.show()")
    drawn = sorted(work.iterdir())
    assert wanted >= 4
    assert len(drawn) == wanted
    assert all(p.suffix == ".png" and p.stat().st_size > 5000 for p in drawn)
    assert run.stdout.count("\n") >= 10
    assert not re.search(r"\b(nan|inf)\b", run.stdout), run.stdout
    # Processor time, not the clock's: one core's seconds, however busy the machine is.
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    assert seconds < CPU_SECONDS

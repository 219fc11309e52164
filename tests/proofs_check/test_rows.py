"""Every row of the ledger: well described, accepted with any seed, every mutant refuted, no idle check."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path

import pytest

import proofs_check
from proofs_check.budget import MAX_ASSERTIONS

ROWS = proofs_check.propositions()


def test_registry_finds_the_rows_in_order():
    assert list(ROWS) == ["3.1", "4.1", *(f"C.{n}" for n in range(1, 7)), *(f"A{n}" for n in range(1, 9))]
    assert all(row.id == name for name, row in ROWS.items())
    assert sum(row.assertions for row in ROWS.values()) <= MAX_ASSERTIONS


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS.keys())
def test_row_is_described_and_covers_every_kind(row):
    module = inspect.getmodule(type(row.claim))
    assert module is not None
    for word in ("Setting.", "Statement.", "Proof.", "Source."):
        assert word in (module.__doc__ or "")
    for paragraph in (row.full_setting, row.parts, row.proof):
        assert paragraph
        assert not any(f"{word}." in paragraph for word in ("Setting", "Statement", "Proof", "Source"))
    assert {check.kind for check in row.checks} == {"algebra", "numbers", "simulation"}
    assert {mutant.kind for mutant in row.mutants} == {"constant", "exponent", "sign", "hypothesis"}
    assert row.hypotheses
    assert row.reconstructed == bool(row.rebuilt)


@pytest.mark.parametrize("seed", [0, 1])
def test_rows_hold_and_refute_their_mutants_quickly(seed):
    results = proofs_check.run(seed=seed, quick=True)
    assert [result.verdict for result in results] == ["holds"] * len(results)
    assert all(mutant.errors == () for result in results for mutant in result.mutants)
    assert all(mutant.kills[0].witness for result in results for mutant in result.mutants)


@pytest.mark.slow
def test_processes_give_the_same_numbers():
    here = proofs_check.run(["4.1", "C.1"], quick=True)
    there = proofs_check.run(["4.1", "C.1"], quick=True, workers=2)
    assert [result.id for result in there] == ["4.1", "C.1"]
    for left, right in zip(here, there, strict=True):
        assert [check.margin for check in left.checks] == [check.margin for check in right.checks]
        assert [mutant.kills for mutant in left.mutants] == [mutant.kills for mutant in right.mutants]


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1])
def test_rows_hold_in_full_and_no_check_is_idle(seed):
    results = proofs_check.run(seed=seed)
    assert proofs_check.passed(results), proofs_check.table(results)
    assert all(result.idle_checks == () for result in results)


def test_library_prints_nothing():
    for path in Path(proofs_check.__path__[0]).rglob("*.py"):
        calls = [node.func for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
        assert not any(isinstance(call, ast.Name) and call.id == "print" for call in calls), path.name

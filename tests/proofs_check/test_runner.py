"""The runner: what it refuses, what it records, and that a broken row or a surviving mutant is a failure."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from dataclasses import dataclass, replace
from fractions import Fraction

import pytest

import proofs_check
from proofs_check.budget import MAX_ASSERTIONS
from proofs_check.interface import Check, Mutant, Outcome, Proposition, Setup, Trial
from proofs_check.judging import at_most, equal


@dataclass(frozen=True)
class Claim:
    """Toy statement: x² <= factor · x^power on [0, 1]; with ``anchored`` also 0 = 0."""

    factor: int = 1
    power: int = 1
    anchored: bool = True


def judge(claim: Claim, setup: Setup) -> Outcome:
    grid = [Fraction(n, 10) for n in range(1, 11 if claim.anchored else 20)]
    trials = (at_most(x**2, claim.factor * x**claim.power, f"x={x}") for x in grid)
    return Outcome.from_trials(trials, "grid")


def stream(claim: Claim, setup: Setup) -> Outcome:
    """A check that reports its random draw as its margin."""
    return Outcome(True, float(setup.rng("a").random()), "", "draw")


def explode(claim: Claim, setup: Setup) -> Outcome:
    raise ZeroDivisionError("told to")


ROW = Proposition(
    id="T",
    title="Toy",
    setting="x in (0, 1]",
    statement="x² <= x",
    hypotheses=("x <= 1",),
    source="school",
    reconstructed=False,
    quoted="all of it",
    rebuilt="",
    claim=Claim(),
    checks=(Check("grid", "numbers", judge), Check("draw", "simulation", stream)),
    mutants=(
        Mutant("constant", "factor", 0, "x² <= 0"),
        Mutant("exponent", "power", 3, "x² <= x³"),
        Mutant("hypothesis", "anchored", False, "for x > 1 too"),
    ),
)


def check(row: Proposition, **options):
    return proofs_check.run(registry={row.id: row}, **options)[0]


def test_true_row_passes_and_names_each_kill():
    result = check(ROW)
    assert result.passed
    assert result.verdict == "holds"
    assert result.refuted == "3/3"
    assert result.margin == 0
    assert result.mutants[1].kills[0].check == "grid"
    assert result.mutants[1].kills[0].witness.startswith("x=1/10")
    assert result.mutants[1].change == "power: 1 -> 3"
    assert result.idle_checks == ("draw",)


def test_broken_statement_is_a_failure():
    result = check(replace(ROW, claim=Claim(power=3), mutants=(*ROW.mutants[::2], Mutant("exponent", "power", 4, ""))))
    assert not result.passed
    assert result.verdict == "failed: grid"
    assert not proofs_check.passed([check(ROW), result])


def test_surviving_mutant_is_a_failure():
    result = check(replace(ROW, mutants=(*ROW.mutants, Mutant("constant", "factor", 2, "a weaker truth"))))
    assert all(item.holds for item in result.checks)
    assert not result.passed
    assert result.verdict == "survived: factor: 1 -> 2"


def test_exception_is_recorded_and_the_rest_goes_on():
    result = check(replace(ROW, checks=(Check("boom", "algebra", explode), *ROW.checks)))
    assert result.checks[0].error == "ZeroDivisionError: told to"
    assert not result.checks[0].holds
    assert result.checks[1].holds
    assert result.refuted == "3/3"
    assert result.verdict == "failed: boom"


def test_exception_on_a_mutant_does_not_refute_it():
    def fragile(claim: Claim, setup: Setup) -> Outcome:
        return explode(claim, setup) if claim != Claim() else judge(claim, setup)

    result = check(replace(ROW, checks=(Check("fragile", "numbers", fragile),)))
    assert result.checks[0].holds
    assert result.refuted == "0/3"
    assert "told to" in result.mutants[0].errors[0]


def test_too_many_assertions_are_refused():
    def greedy(claim: Claim, setup: Setup) -> Outcome:
        return Outcome(True, 1.0, "", "", assertions=2)

    result = check(replace(ROW, checks=(Check("greedy", "simulation", greedy, assertions=1),)))
    assert "declared 1" in (result.checks[0].error or "")
    row = replace(ROW, checks=(Check("grid", "numbers", judge, assertions=MAX_ASSERTIONS + 1),))
    with pytest.raises(ValueError, match="exceed the budget"):
        check(row)


def test_bad_requests_are_refused():
    with pytest.raises(ValueError, match=r"unknown proposition '9\.9'; known: 3\.1, 4\.1,.* C\.1"):
        proofs_check.run(["9.9"])
    with pytest.raises(ValueError, match="twice"):
        proofs_check.run(["3.1", "3.1"])
    with pytest.raises(ValueError, match="seed"):
        check(ROW, seed=-1)
    with pytest.raises(ValueError, match="workers"):
        check(ROW, workers=0)


def test_draws_depend_on_seed_and_scope_only():
    def draw(result):
        return result.checks[1].margin

    other = replace(ROW, id="U")
    together = proofs_check.run(registry={"T": ROW, "U": other})
    assert draw(check(ROW)) == draw(check(ROW, quick=True)) == draw(together[0])
    assert draw(together[0]) != draw(together[1])
    assert draw(check(ROW)) != draw(check(ROW, seed=1))


def test_progress_and_order():
    seen = []
    registry = {"T": ROW, "U": replace(ROW, id="U")}
    results = proofs_check.run(["U", "T"], registry=registry, progress=lambda result: seen.append(result.id))
    assert seen == ["U", "T"] == [result.id for result in results]


def test_json_and_table():
    broken = replace(ROW, id="U", checks=(Check("boom", "numbers", explode),))
    results = [check(ROW), check(broken)]
    document = json.loads(proofs_check.to_json(results))
    assert set(document) == {
        "schema",
        "passed",
        "family_false_alarm_rate",
        "assertion_false_alarm_rate",
        "assertions",
        "results",
    }
    assert document["passed"] is False
    first, second = document["results"]
    assert (first["verdict"], first["mutants_refuted"], first["mutants_total"]) == ("holds", 3, 3)
    assert first["checks"][0]["kind"] == "numbers"
    assert first["mutants"][0]["kills"][0]["check"] == "grid"
    assert second["margin"] is None
    lines = proofs_check.table(results).splitlines()
    assert len(lines) == 3
    assert lines[1].startswith("T   Toy")
    assert lines[1].endswith("holds")
    assert "failed: boom; survived:" in lines[2]
    assert not proofs_check.passed([])


def test_junit_has_a_case_per_check_and_mutant_and_names_what_failed():
    broken = replace(
        ROW,
        id="U",
        claim=Claim(power=3),
        checks=(Check("boom", "numbers", explode), Check("grid", "numbers", judge)),
        mutants=(*ROW.mutants[::2], Mutant("exponent", "power", 1, 'x² <= x & "so"')),
    )
    root = ET.fromstring(proofs_check.to_junit([check(ROW), check(broken)]).encode())
    assert {name: root.get(name) for name in ("tests", "failures", "errors")} == {
        "tests": "10",
        "failures": "2",
        "errors": "1",
    }
    first, second = root.findall("testsuite")
    assert [case.get("name") for case in first][:3] == [
        "numbers: grid",
        "simulation: draw",
        "mutant, constant: factor: 1 -> 0",
    ]
    messages = {tag: [found.get("message") for found in second.iter(tag)] for tag in ("error", "failure")}
    assert messages["error"] == ["ZeroDivisionError: told to"]
    assert messages["failure"] == ["x=1/10: 0.01 <= 0.001", 'survived: x² <= x & "so"']


def test_summary_and_kills_count_every_mutant():
    survivor = replace(ROW, id="U", mutants=(*ROW.mutants, Mutant("constant", "factor", 2, "weaker")))
    results = [check(ROW), check(survivor)]
    assert proofs_check.mutation_score(results) == (6, 7)
    assert proofs_check.summary(results).startswith("1 of 2 propositions hold; mutation score 86 % (6 of 7 refuted)")
    lines = proofs_check.kills(results[1]).splitlines()
    assert lines[0].startswith("U  constant: factor: 1 -> 0  <-  grid: x=1/10")
    assert lines[3].endswith("SURVIVED")


def test_statement_and_proof_are_read_from_the_module():
    assert ROW.proof == ROW.parts == ""
    row = proofs_check.propositions()["3.1"]
    assert row.proof.startswith("(1) |Δ(1)| <= δ.")
    assert row.parts.startswith("With S_H(δ) = ")
    assert row.parts.endswith("gap >= 1 once H >= 2 log2(4/δ).")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mutants": ROW.mutants[:2]}, "three mutants"),
        ({"checks": ()}, "distinct names"),
        ({"checks": ROW.checks * 2}, "distinct names"),
        ({"mutants": (*ROW.mutants, ROW.mutants[0])}, "must differ"),
        ({"mutants": (*ROW.mutants, Mutant("sign", "slope", 1, ""))}, "one of"),
        ({"mutants": (*ROW.mutants, Mutant("sign", "power", 1, ""))}, "changes nothing"),
        ({"reconstructed": True}, "reconstructed"),
    ],
)
def test_ill_formed_rows_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        replace(ROW, **change)


def test_outcome_keeps_the_tightest_trial_and_stops_at_a_refutation():
    outcome = Outcome.from_trials([Trial(2, "a"), Trial(Fraction(1, 2), "b"), Trial(3, "c")], "list")
    assert (outcome.holds, outcome.margin, outcome.witness) == (True, 0.5, "b")
    assert outcome.detail == "list; 3 instances"
    tiny = Fraction(-1, 10**400)  # underflows to zero as a float
    outcome = Outcome.from_trials(iter([Trial(tiny, "a"), Trial(1, "b")]), "list")
    assert (outcome.holds, outcome.witness, outcome.detail) == (False, "a", "list; 1 instances")
    assert Outcome.from_trials([equal(1, 1, "identity")], "exact").margin is None
    with pytest.raises(ValueError, match="no instance"):
        Outcome.from_trials([], "nothing")
    with pytest.raises(ValueError, match="not a number"):
        Outcome.from_trials([Trial(float("nan"), "a")], "list")

"""Records of a run, and the ways to write them down."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

from proofs_check.budget import ASSERTION_RATE, FAMILY_RATE
from proofs_check.interface import CheckKind, MutantKind

SCHEMA = 1


@dataclass(frozen=True)
class CheckResult:
    """One check of the original claim. ``error`` is the message of an exception raised inside the check."""

    name: str
    kind: CheckKind
    holds: bool
    margin: float | None
    witness: str
    detail: str
    assertions: int
    error: str | None
    seconds: float


@dataclass(frozen=True)
class Kill:
    """A check that refuted a mutant, and the instance it did so with."""

    check: str
    kind: CheckKind
    witness: str


@dataclass(frozen=True)
class MutantResult:
    """One mutant: which checks refuted it. A check that raised an exception has refuted nothing; see ``errors``."""

    kind: MutantKind
    change: str
    note: str
    kills: tuple[Kill, ...]
    errors: tuple[str, ...]

    @property
    def refuted(self) -> bool:
        """Whether at least one check refuted it."""
        return bool(self.kills)


@dataclass(frozen=True)
class Result:
    """One proposition: its checks, its mutants and the time they took.

    ``idle_checks`` names the checks that refuted no mutant; it is only known after a full run, where every check sees
    every mutant (a quick run goes on to the next mutant at the first refutation).
    """

    id: str
    title: str
    source: str
    reconstructed: bool
    checks: tuple[CheckResult, ...]
    mutants: tuple[MutantResult, ...]
    idle_checks: tuple[str, ...]
    seed: int
    quick: bool
    seconds: float

    @property
    def passed(self) -> bool:
        """Whether every check held and every mutant was refuted."""
        return all(check.holds for check in self.checks) and all(mutant.refuted for mutant in self.mutants)

    @property
    def margin(self) -> float | None:
        """The smallest slack of the numbers checks (0: equality is attained; negative: refuted)."""
        margins = [check.margin for check in self.checks if check.kind == "numbers" and check.margin is not None]
        return min(margins, default=None)

    @property
    def refuted(self) -> str:
        """Mutants refuted out of all, e.g. ``4/4``."""
        return f"{sum(mutant.refuted for mutant in self.mutants)}/{len(self.mutants)}"

    @property
    def verdict(self) -> str:
        """``holds``, or what failed."""
        failed = [check.name for check in self.checks if not check.holds]
        alive = [mutant.change for mutant in self.mutants if not mutant.refuted]
        parts = (["failed: " + ", ".join(failed)] if failed else []) + (
            ["survived: " + ", ".join(alive)] if alive else []
        )
        return "; ".join(parts) or "holds"


def passed(results: Iterable[Result]) -> bool:
    """Whether there is at least one result and all of them passed."""
    listed = list(results)
    return bool(listed) and all(result.passed for result in listed)


def mutation_score(results: Iterable[Result]) -> tuple[int, int]:
    """Mutants refuted, and mutants in all."""
    mutants = [mutant for result in results for mutant in result.mutants]
    return sum(mutant.refuted for mutant in mutants), len(mutants)


def summary(results: Sequence[Result]) -> str:
    """One line: how many hold, the mutation score, the statistical assertions and their false-alarm rate."""
    held = sum(result.passed for result in results)
    refuted, mutants = mutation_score(results)
    score = f"{100 * refuted / mutants:.0f} %" if mutants else "none"
    assertions = sum(check.assertions for result in results for check in result.checks)
    return (
        f"{held} of {len(results)} propositions hold; mutation score {score} ({refuted} of {mutants} refuted); "
        f"{assertions} statistical assertions at {ASSERTION_RATE:.0e} false alarms each"
    )


def kills(result: Result) -> str:
    """One line per mutant: what it says, and the first refutation with its instance, or SURVIVED."""
    lines = []
    for mutant in result.mutants:
        how = f"{mutant.kills[0].check}: {mutant.kills[0].witness}" if mutant.kills else "SURVIVED"
        more = f" (and {len(mutant.kills) - 1} more)" if len(mutant.kills) > 1 else ""
        lines.append(f"{result.id}  {mutant.kind}: {mutant.change}  <-  {how}{more}")
    return "\n".join(lines)


def to_json(results: Sequence[Result]) -> str:
    """The results as a JSON document (strict: numbers that are not finite become null)."""
    rows = [
        asdict(result)
        | {
            "verdict": result.verdict,
            "passed": result.passed,
            "margin": result.margin,
            "mutants_refuted": sum(mutant.refuted for mutant in result.mutants),
            "mutants_total": len(result.mutants),
        }
        for result in results
    ]
    document = {
        "schema": SCHEMA,
        "passed": passed(results),
        "family_false_alarm_rate": FAMILY_RATE,
        "assertion_false_alarm_rate": ASSERTION_RATE,
        "assertions": sum(check.assertions for result in results for check in result.checks),
        "results": rows,
    }
    return json.dumps(_finite(document), indent=2, allow_nan=False, ensure_ascii=False)


def _finite(value: object) -> object:
    """The same nested value with every non-finite float replaced by None, and tuples by lists."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value


def table(results: Iterable[Result]) -> str:
    """A plain-text table with one line per proposition."""
    header = ("id", "proposition", "margin", "mutants", "time", "verdict")
    rows: list[tuple[str, ...]] = [header]
    for result in results:
        margin = "-" if result.margin is None else f"{result.margin:.2g}"
        rows.append((result.id, result.title, margin, result.refuted, f"{result.seconds:.1f} s", result.verdict))
    widths = [max(len(row[column]) for row in rows) for column in range(len(header) - 1)]
    right = (False, False, True, True, True)
    lines = []
    for row in rows:
        cells = [cell.rjust(w) if r else cell.ljust(w) for cell, w, r in zip(row, widths, right, strict=False)]
        lines.append("  ".join([*cells, row[-1]]).rstrip())
    return "\n".join(lines)

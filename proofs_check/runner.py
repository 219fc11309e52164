"""Run the checks of the propositions, and the same checks on their mutants."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from typing import Any, TypeVar

from proofs_check.budget import ASSERTION_RATE, MAX_ASSERTIONS
from proofs_check.interface import Check, Mutant, Proposition, Setup
from proofs_check.registry import propositions
from proofs_check.results import CheckResult, Kill, MutantResult, Result

C = TypeVar("C")
_COST = {"algebra": 0, "numbers": 1, "simulation": 2}


def run(
    ids: Iterable[str] | None = None,
    seed: int = 0,
    quick: bool = False,
    workers: int = 1,
    progress: Callable[[Result], None] | None = None,
    registry: Mapping[str, Proposition[Any]] | None = None,
) -> list[Result]:
    """Check propositions and refute their mutants.

    Args:
        ids: which propositions; all when None.
        seed: seed of every random instance and simulation; the numbers do not depend on ``workers`` or on ``ids``.
        quick: try fewer instances, and stop at the first check that refutes a mutant.
        workers: processes to use, one proposition each; 1 runs in this process. More than one starts fresh
            interpreters, so the calling program needs an importable main module.
        progress: called in this process with each result as it is finished.
        registry: the propositions to choose from, by id; those of the package when None.

    Returns:
        One result per id, in the order asked for.

    Raises:
        ValueError: if an id is unknown or given twice, the seed is negative, workers < 1, or the registry makes more
            statistical assertions than the false-alarm budget allows.
    """
    known = dict(propositions() if registry is None else registry)
    chosen = list(known) if ids is None else list(ids)
    unknown = [name for name in chosen if name not in known]
    if unknown:
        raise ValueError(f"unknown proposition {', '.join(map(repr, unknown))}; known: {', '.join(known)}")
    if len(set(chosen)) < len(chosen):
        raise ValueError(f"proposition given twice in {', '.join(chosen)}")
    if seed < 0 or workers < 1:
        raise ValueError(f"need seed >= 0 and workers >= 1, got seed={seed} and workers={workers}")
    total = sum(row.assertions for row in known.values())
    if total > MAX_ASSERTIONS:
        raise ValueError(f"{total} statistical assertions exceed the budget of {MAX_ASSERTIONS}")
    report = progress or (lambda result: None)
    if workers == 1 or len(chosen) < 2:
        results = {}
        for name in chosen:
            results[name] = examine(known[name], seed, quick)
            report(results[name])
    else:
        results = _in_processes([known[name] for name in chosen], seed, quick, workers, report)
    return [results[name] for name in chosen]


def _in_processes(
    rows: list[Proposition[Any]], seed: int, quick: bool, workers: int, report: Callable[[Result], None]
) -> dict[str, Result]:
    """The results by id, from a pool of fresh interpreters (a fork would copy the threads of numerical libraries)."""
    results = {}
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(workers, len(rows)), mp_context=context) as pool:
        for future in as_completed([pool.submit(examine, row, seed, quick) for row in rows]):
            result = future.result()
            results[result.id] = result
            report(result)
    return results


def examine(row: Proposition[C], seed: int = 0, quick: bool = False) -> Result:
    """Judge one proposition: every check on the claim, then the same checks on every mutant, cheapest kind first."""
    start = time.perf_counter()
    ordered = sorted(row.checks, key=lambda check: _COST[check.kind])
    checks = tuple(_judge(check, row.claim, _setup(row, check, seed, quick)) for check in ordered)
    mutants = tuple(_challenge(row, mutant, ordered, seed, quick) for mutant in row.mutants)
    busy = {kill.check for mutant in mutants for kill in mutant.kills}
    idle = () if quick else tuple(check.name for check in ordered if check.name not in busy)
    seconds = time.perf_counter() - start
    return Result(row.id, row.title, row.source, row.reconstructed, checks, mutants, idle, seed, quick, seconds)


def _setup(row: Proposition[C], check: Check[C], seed: int, quick: bool) -> Setup:
    return Setup(seed, f"{row.id}/{check.name}", quick, ASSERTION_RATE)


def _judge(check: Check[C], claim: C, setup: Setup) -> CheckResult:
    """The check's outcome; an exception inside it is its failure, so that the rest of the run goes on."""
    start = time.perf_counter()
    try:
        found = check.judge(claim, setup)
        if found.assertions > check.assertions:
            raise ValueError(f"made {found.assertions} statistical assertions, declared {check.assertions}")
    except Exception as error:
        message = f"{type(error).__name__}: {error}"
        return CheckResult(check.name, check.kind, False, None, "", "", 0, message, time.perf_counter() - start)
    seconds = time.perf_counter() - start
    fields = (found.holds, found.margin, found.witness, found.detail, found.assertions)
    return CheckResult(check.name, check.kind, *fields, None, seconds)


def _challenge(row: Proposition[C], mutant: Mutant[C], ordered: list[Check[C]], seed: int, quick: bool) -> MutantResult:
    """Which checks refute the mutant; a quick run stops at the first."""
    kills: list[Kill] = []
    errors: list[str] = []
    for check in ordered:
        found = _judge(check, mutant.of(row.claim), _setup(row, check, seed, quick))
        if found.error is not None:
            errors.append(f"{check.name}: {found.error}")
        elif not found.holds:
            kills.append(Kill(check.name, check.kind, found.witness))
            if quick:
                break
    return MutantResult(mutant.kind, mutant.change(row.claim), mutant.note, tuple(kills), tuple(errors))

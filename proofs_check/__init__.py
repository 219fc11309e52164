"""Propositions about gradient variance amplification, each checked by algebra, by numbers and by simulation.

One module per proposition; :func:`run` checks them, :func:`passed` gives the verdict, :func:`table`, :func:`kills`,
:func:`to_json` and :func:`to_junit` write it down. Every proposition carries *mutants*, the same statement with one
field changed, which the same checks must refute: a check that accepts a false statement has no say about a true one.
"""

from proofs_check.interface import Check, Mutant, Outcome, Proposition, Setup, Trial
from proofs_check.junit import to_junit
from proofs_check.pictures import Picture, Series
from proofs_check.registry import propositions
from proofs_check.results import (
    CheckResult,
    MutantResult,
    Result,
    kills,
    mutation_score,
    passed,
    summary,
    table,
    to_json,
)
from proofs_check.runner import run

__all__ = [
    "Check",
    "CheckResult",
    "Mutant",
    "MutantResult",
    "Outcome",
    "Picture",
    "Proposition",
    "Result",
    "Series",
    "Setup",
    "Trial",
    "kills",
    "mutation_score",
    "passed",
    "propositions",
    "run",
    "summary",
    "table",
    "to_json",
    "to_junit",
]

"""What a proposition is: a statement held as a value, the checks that judge it, and the mutants they must refute.

The statement is a frozen dataclass (the *claim*) whose fields are its constants, exponents, directions and hypotheses.
A check is a function of a claim and a :class:`Setup`. It knows nothing of whether the claim is the original or a
mutant, so the code that accepts the one is the code that refutes the other.
"""

from __future__ import annotations

import inspect
import math
import re
import sys
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields, replace
from typing import Any, Generic, Literal, TypeVar

import numpy as np

from proofs_check.pictures import Picture

CheckKind = Literal["algebra", "numbers", "simulation"]
MutantKind = Literal["constant", "exponent", "sign", "hypothesis"]
C = TypeVar("C")


@dataclass(frozen=True)
class Trial:
    """One instance on which a claim was tried.

    ``slack`` is negative exactly when the instance refutes the claim. For an inequality it is the distance to equality
    relative to the larger side, for an identity judged within a tolerance (rounding, or a simulation's interval) the
    share of the tolerance left over, for an exact identity infinite. It may be a Fraction, an mpmath number or a float:
    the sign is taken before any conversion. ``witness`` names the instance, so that a reader can set it up again.
    """

    slack: Any
    witness: str


@dataclass(frozen=True)
class Outcome:
    """What a check found: whether the claim held, its smallest slack and the instance of it, and what was tried.

    ``margin`` is None where only exact identities were checked.
    """

    holds: bool
    margin: float | None
    witness: str
    detail: str
    assertions: int = 0

    @staticmethod
    def from_trials(trials: Iterable[Trial], detail: str, assertions: int = 0) -> Outcome:
        """The tightest of the trials, which are drawn one by one until the first that refutes the claim.

        Raises:
            ValueError: if there is no trial at all, or a slack is not a number: nothing has been checked then.
        """
        tightest: Trial | None = None
        count = 0
        for trial in trials:
            count += 1
            if trial.slack != trial.slack:
                raise ValueError(f"slack is not a number at {trial.witness}")
            if trial.slack < 0:
                tightest = trial
                break
            if tightest is None or float(trial.slack) < float(tightest.slack):
                tightest = trial
        if tightest is None:
            raise ValueError(f"no instance was tried: {detail}")
        holds = not tightest.slack < 0
        margin = float(tightest.slack)
        return Outcome(
            holds,
            margin if math.isfinite(margin) else None,
            tightest.witness,
            f"{detail}; {count} instances",
            assertions,
        )


@dataclass(frozen=True)
class Setup:
    """What a check may use besides the claim: its own random streams, its effort, and its share of false alarms.

    Attributes:
        seed: any non-negative integer.
        scope: name of the proposition and check, so that no two checks share a stream.
        quick: whether to try fewer instances.
        rate: false-alarm probability of one statistical assertion, from :mod:`proofs_check.budget`.
    """

    seed: int
    scope: str
    quick: bool
    rate: float

    def rng(self, label: str = "") -> np.random.Generator:
        """An independent generator per label, the same on every call and in every process."""
        return np.random.default_rng([self.seed, zlib.crc32(f"{self.scope}/{label}".encode())])

    def size(self, quick: int, full: int) -> int:
        """The number of instances to try."""
        return quick if self.quick else full


@dataclass(frozen=True)
class Check(Generic[C]):
    """One way of judging the claim: ``judge(claim, setup)``, with the number of statistical assertions it may make."""

    name: str
    kind: CheckKind
    judge: Callable[[C, Setup], Outcome]
    assertions: int = 0


@dataclass(frozen=True)
class Mutant(Generic[C]):
    """The claim with ``field`` set to ``value``; ``note`` says what false statement that makes."""

    kind: MutantKind
    field: str
    value: Any
    note: str

    def of(self, claim: C) -> C:
        """The mutated claim."""
        return replace(claim, **{self.field: self.value})  # type: ignore[type-var]

    def change(self, claim: C) -> str:
        """The change in words, e.g. ``loss_power: 2 -> 1``."""
        return f"{self.field}: {getattr(claim, self.field)} -> {self.value}"


@dataclass(frozen=True)
class Proposition(Generic[C]):
    """A row of the ledger.

    Attributes:
        id: short name, e.g. ``"3.1"``.
        title: one line, plain text.
        setting: the problem, its symbols and their ranges.
        statement: the statement, in text with LaTeX.
        hypotheses: each hypothesis, one per entry.
        source: where the statement comes from.
        reconstructed: whether any of it was worked out here instead of quoted.
        quoted: what is known of the source's own words.
        rebuilt: what was worked out here (empty if nothing).
        claim: the statement as a value, a frozen dataclass.
        checks: at least one; names are unique.
        mutants: at least three; each changes one field of the claim.
        corrections: where the design's wording or the source's turned out false: what was said, what is true instead,
            and the counterexample, one per entry. Each is refuted by a mutant or kept as an instance in a check.
        picture: seed -> the bound against the truth, where that says more than a margin.

    Raises:
        ValueError: if the checks or mutants are too few, ambiguous, or do not change the claim.
    """

    id: str
    title: str
    setting: str
    statement: str
    hypotheses: tuple[str, ...]
    source: str
    reconstructed: bool
    quoted: str
    rebuilt: str
    claim: C
    checks: tuple[Check[C], ...]
    mutants: tuple[Mutant[C], ...]
    corrections: tuple[str, ...] = ()
    picture: Callable[[int], Picture] | None = None

    def __post_init__(self) -> None:
        """Refuse a row that could not be run or whose mutants would be the claim itself."""
        if not self.checks or len({check.name for check in self.checks}) < len(self.checks):
            raise ValueError(f"proposition {self.id}: needs checks with distinct names")
        if len(self.mutants) < 3:
            raise ValueError(f"proposition {self.id}: needs at least three mutants, has {len(self.mutants)}")
        if self.reconstructed and not self.rebuilt:
            raise ValueError(f"proposition {self.id}: say what was reconstructed")
        names = {field.name for field in fields(self.claim)}  # type: ignore[arg-type]
        changes = [mutant.change(self.claim) for mutant in self.mutants if mutant.field in names]
        if len(set(changes)) < len(self.mutants):
            raise ValueError(f"proposition {self.id}: mutants must differ and change one of {sorted(names)}")
        for mutant in self.mutants:
            if mutant.of(self.claim) == self.claim:
                raise ValueError(f"proposition {self.id}: mutant {mutant.change(self.claim)} changes nothing")

    @property
    def full_setting(self) -> str:
        """The setting with every symbol of `parts` and `proof`: the module's paragraph "Setting.", or empty."""
        return self._paragraph("Setting", "Statement")

    @property
    def parts(self) -> str:
        """The statement part by part: the paragraph "Statement." of the module that defines the claim, or empty."""
        return self._paragraph("Statement", "Proof")

    @property
    def proof(self) -> str:
        """The proof sketch, which counts as `parts` does: the module's paragraph "Proof.", or empty."""
        return self._paragraph("Proof", "Source")

    def _paragraph(self, name: str, end: str) -> str:
        text = inspect.getdoc(sys.modules[type(self.claim).__module__]) or ""
        found = re.search(rf"^{name}\.\s(.*?)(?=^{end}\.\s|\Z)", text, re.DOTALL | re.MULTILINE)
        return found.group(1).strip() if found else ""

    @property
    def assertions(self) -> int:
        """Statistical assertions made when the original claim is judged."""
        return sum(check.assertions for check in self.checks)

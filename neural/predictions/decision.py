"""What a prediction is, and how it is judged: criteria with regions fixed beforehand, and intervals over seeds.

A prediction is made of criteria, each a number with the region in which it must lie for the prediction to hold. With
ten predictions and a family-wise error of 5 %,

    holds      if every criterion's interval of level 1 − 0.05/10 lies within its region,
    fails      if some criterion's interval of level 1 − 0.05/(10 m) lies outside it, m the number of criteria,
    undecided  otherwise. Nothing is decided by fewer than five seeds, or by a criterion whose number could not be had:
               a run that diverged, a seed without a value, a spectrum on which the step is not stable.

"Holds" needs no correction for the m criteria: it is claimed only if every one of their null hypotheses is rejected,
each at the full level (an intersection-union test, Berger 1982). "Fails" needs one (Bonferroni's). Only one of the two
can be an error, whatever the truth, so all ten verdicts are right with a probability of at least 95 %, as far as the
intervals keep their level. They are Student's over training seeds: a seed is the independent unit, whatever is
averaged within it.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
from scipy.special import stdtrit

from gvatheory import validation
from neural.jackknife import standard_error
from neural.predictions.evidence import Evidence
from neural.predictions.linear_theory import UnstableSpectrum
from neural.statistics import Estimate

FAMILY = 10
"""Predictions judged together."""
ERROR = 0.05
"""Probability that one verdict or more of the family is wrong, at most."""
LEAST_SEEDS = 5
"""Seeds below which nothing is decided."""

Outcome = Literal["holds", "fails", "undecided"]


@dataclasses.dataclass(frozen=True)
class Effect:
    """A statistic and how well it is known.

    Attributes:
        value: its estimate, on the scale on which its error is symmetric; NaN if it could not be had.
        error: its standard error, ≥ 0.
        seeds: number of independent seeds that it comes from.
        logarithmic: value and error are of the logarithm of what is reported.
        note: why it could not be had; empty if it could.
    """

    value: float
    error: float
    seeds: int
    logarithmic: bool = False
    note: str = ""

    def interval(self, level: float) -> Estimate:
        """Value and t-interval, on the scale that is reported; NaN bounds where it is not known.

        Raises:
            ValueError: if the level is not in (0, 1).
        """
        validation.real("level", level, 0.0, 1.0, open_low=True, open_high=True)
        reach = math.nan
        if self.seeds >= 2 and math.isfinite(self.error):
            reach = float(stdtrit(self.seeds - 1, 0.5 * (1.0 + level))) * self.error
        bounds = (self.value, self.value - reach, self.value + reach)
        with np.errstate(over="ignore"):
            return Estimate(*(float(np.exp(bound)) for bound in bounds) if self.logarithmic else bounds)


def mean_effect(values: Sequence[float] | np.ndarray, *, logarithmic: bool = False) -> Effect:
    """Mean of one value per seed; with `logarithmic` the geometric mean of positive ones.

    A seed whose value is not finite, or not positive where it has to be, makes the effect unknown: leaving it out would
    choose the seeds by their outcome.
    """
    found: np.ndarray = np.asarray(values, dtype=np.float64)
    if logarithmic:
        with np.errstate(divide="ignore", invalid="ignore"):
            found = np.log(found)
    count = len(found)
    if count < 2 or not np.all(np.isfinite(found)):
        value = float(found[0]) if count == 1 else math.nan
        return Effect(value, math.nan, count, logarithmic, _without_value(found))
    return Effect(float(found.mean()), float(found.std(ddof=1) / math.sqrt(count)), count, logarithmic)


def jackknife_effect(statistic: Callable[[np.ndarray], float], seeds: int, *, logarithmic: bool = False) -> Effect:
    """A statistic of several seeds together, its error by leaving out one at a time.

    Args:
        statistic: of the seeds whose places (k,) are given; its logarithm is taken if `logarithmic`.
        seeds: how many there are, ≥ 3.

    Raises:
        ValueError: if there are fewer than three.
    """
    validation.integer("seeds", seeds, 3)
    places = np.arange(seeds)
    values = np.array([statistic(places), *(statistic(np.delete(places, i)) for i in places)], dtype=np.float64)
    if logarithmic:
        with np.errstate(divide="ignore", invalid="ignore"):
            values = np.log(values)
    note = "" if np.all(np.isfinite(values)) else "it has no value, with all seeds or without one of them"
    return Effect(float(values[0]), float(standard_error(values[1:])), seeds, logarithmic, note)


def ratio_effect(above: Sequence[float] | np.ndarray, below: Sequence[float] | np.ndarray) -> Effect:
    """Mean over seeds of one quantity over that of another, by the jackknife; no seed's own denominator counts alone.

    A seed without a finite value of either leaves its error unknown: the ratio is of the others, which were chosen by
    their outcome.

    Args:
        above, below: (seeds,), at least three.
    """
    pairs = np.array([above, below], dtype=np.float64)
    known = np.atleast_1d(np.isfinite(pairs).all(axis=0))

    def ratio(places: np.ndarray) -> float:
        one, other = pairs[:, places].mean(axis=1) if len(places) else (math.nan, math.nan)
        return float(one / other) if other else math.nan

    if known.all():
        return jackknife_effect(ratio, len(known))
    return Effect(ratio(np.flatnonzero(known)), math.nan, len(known), note=_without_value(pairs.sum(axis=0)))


def _without_value(values: np.ndarray) -> str:
    bad = int(np.count_nonzero(~np.isfinite(values)))
    return f"{bad} of {len(values)} seeds have no value" if bad else ""


@dataclasses.dataclass(frozen=True)
class Criterion:
    """A number that decides.

    Attributes:
        name: what it is, in a few words.
        region: (low, high), closed, within which it must lie for the prediction to hold; either may be infinite.
        theory: what the linear or convex model says it is, in words or a number.
        effect: computes it.
    """

    name: str
    region: tuple[float, float]
    theory: str
    effect: Callable[[Evidence], Effect]

    def __post_init__(self) -> None:
        if not self.region[0] < self.region[1] or self.region == (-math.inf, math.inf):
            raise ValueError(f"region must be an interval that leaves something out, got {self.region}")


@dataclasses.dataclass(frozen=True)
class Prediction:
    """One of N1 to N10.

    Attributes:
        id: N1 to N10.
        title: in a few words.
        statement: what the linear and convex models say.
        criteria: what decides, at least one.
        also: numbers that are reported beside them and decide nothing.
        source: where the statement comes from.
    """

    id: str
    title: str
    statement: str
    criteria: tuple[Criterion, ...]
    source: str
    also: tuple[Criterion, ...] = ()

    def __post_init__(self) -> None:
        if not self.criteria:
            raise ValueError(f"criteria of {self.id} must be at least one, got none")


@dataclasses.dataclass(frozen=True)
class Finding:
    """A criterion with what was found.

    Attributes:
        criterion: itself.
        effect: the statistic.
        estimate: with the 95 % interval, for reading.
        inside: whether the interval of the level for "holds" lies within the region.
        outside: whether that of the level for "fails" lies outside it; neither with fewer than five seeds.
        missing: whether the evidence lacks a run that it reads.
    """

    criterion: Criterion
    effect: Effect
    estimate: Estimate
    inside: bool
    outside: bool
    missing: bool = False


@dataclasses.dataclass(frozen=True)
class Verdict:
    """A prediction judged.

    Attributes:
        prediction: itself.
        outcome: holds, fails or undecided.
        findings: one per criterion.
        also: of the numbers that decide nothing.
    """

    prediction: Prediction
    outcome: Outcome
    findings: tuple[Finding, ...]
    also: tuple[Finding, ...]


def judge(prediction: Prediction, evidence: Evidence) -> Verdict:
    """The verdict by the module's rule.

    Raises:
        FileNotFoundError: if the evidence lacks a run that a criterion reads, of every one of them.
    """
    findings = tuple(_found(c, evidence, len(prediction.criteria)) for c in prediction.criteria)
    if all(finding.missing for finding in findings):
        raise FileNotFoundError(findings[0].effect.note)
    outcome: Outcome = "undecided"
    if all(finding.inside for finding in findings):
        outcome = "holds"
    elif any(finding.outside for finding in findings):
        outcome = "fails"
    also = tuple(_found(c, evidence, 1) for c in prediction.also)
    return Verdict(prediction, outcome, findings, also)


def _found(criterion: Criterion, evidence: Evidence, count: int) -> Finding:
    missing = False
    try:
        effect = criterion.effect(evidence)
    except (FileNotFoundError, UnstableSpectrum) as e:
        effect, missing = Effect(math.nan, math.nan, 0, note=str(e)), isinstance(e, FileNotFoundError)
    low, high = criterion.region
    narrow, wide = (effect.interval(1.0 - ERROR / FAMILY / m) for m in (1, count))
    # A comparison with NaN is false: what is not known is neither inside nor outside.
    enough = effect.seeds >= LEAST_SEEDS
    inside = enough and narrow.low >= low and narrow.high <= high
    outside = enough and (wide.high < low or wide.low > high)
    return Finding(criterion, effect, effect.interval(1.0 - ERROR), inside, outside, missing)

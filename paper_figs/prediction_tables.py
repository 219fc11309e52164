"""Verdicts and choices as text: for a terminal, and as the rows of a page."""

import math
from collections.abc import Mapping

from neural.predictions.arms import SEED_SETS, SIZES, arms
from neural.predictions.choice import choices, interquartile_mean
from neural.predictions.decision import Finding, Verdict
from neural.predictions.evidence import Evidence
from neural.predictions.noise_spectra import all_stable
from neural.statistics import mean_estimate
from paper_figs.page import number
from paper_figs.text import aligned, shown


def region(finding: Finding) -> str:
    """The region of a criterion in words."""
    low, high = finding.criterion.region
    if math.isinf(low):
        return f"≤ {number(high)}"
    return f"≥ {number(low)}" if math.isinf(high) else f"{number(low)} to {number(high)}"


def mark(finding: Finding) -> str:
    """What a criterion says by itself."""
    return "holds" if finding.inside else "fails" if finding.outside else "undecided"


def rows(verdict: Verdict) -> list[tuple[str, str, str, str]]:
    """(name, found, region, mark) of every criterion, then of what decides nothing, marked by a dash."""
    found = [(f.criterion.name, shown(f.estimate), region(f), mark(f)) for f in verdict.findings]
    return found + [(f.criterion.name, shown(f.estimate), region(f), "–") for f in verdict.also]


def seeds_of(verdict: Verdict) -> str:
    """In words, the fewest seeds of a criterion of which something is known."""
    known = [f.effect.seeds for f in verdict.findings if f.effect.seeds]
    return f"{min(known)} seeds" if known else "nothing known"


def unknown(verdict: Verdict) -> list[str]:
    """In words, why the numbers of criteria are not known, and of which."""
    why: dict[str, list[str]] = {}
    for f in (*verdict.findings, *verdict.also):
        if f.effect.note:
            why.setdefault(f.effect.note, []).append(f.criterion.name)
    return [f"{note} ({'; '.join(names)})" for note, names in why.items()]


def verdict_lines(found: Mapping[str, Verdict | FileNotFoundError]) -> list[str]:
    """A block per prediction."""
    lines = []
    for name, verdict in found.items():
        if isinstance(verdict, FileNotFoundError):
            lines += [f"{name}  not judged: {verdict}", ""]
            continue
        lines += [f"{name}  {verdict.prediction.title}: {verdict.outcome.upper()} ({seeds_of(verdict)})"]
        lines += [*aligned([("", "found [95 %]", "holds if", ""), *rows(verdict)])]
        lines += [*(f"  unknown: {why}" for why in unknown(verdict)), ""]
    return lines


def choice_arms(evidence: Evidence) -> list[str]:
    """Arms whose averages were rolled out, and on whose measured spectra the linear theory has a say."""
    return [name for name in measured(evidence) if all_stable(evidence, name)]


def choice_left_out(evidence: Evidence) -> str:
    """The others in words; empty if there are none."""
    names = [name for name in measured(evidence) if not all_stable(evidence, name)]
    return f"Left out, the step not being stable on the spectrum of every seed: {', '.join(names)}." if names else ""


def measured(evidence: Evidence) -> list[str]:
    """Arms whose averages were rolled out and whose spectra were measured."""
    found = arms(SIZES["standard"], SEED_SETS["verdict"])
    names = [arm.name for arm in found if "spectrum" in arm.after]
    return [name for name in names if evidence.has(name) and evidence.has(f"{name} spectrum")]


def choice_rows(evidence: Evidence) -> list[tuple[str, ...]]:
    """Regret of every selector, a row each: per arm a mean with a t-interval over seeds, then over all arms."""
    names = choice_arms(evidence)
    if not names:
        return []
    regret = choices(evidence, names).regret
    rows = [("regret, % of the expert's return", *names, "all (IQM)")]
    for selector in regret["selector"].values:
        own = regret.sel(selector=selector)
        each = {name: own.sel(arm=name).values for name in names}
        cells = [shown(mean_estimate(values), scale=100.0, digits=2) for values in each.values()]
        rows.append((str(selector), *cells, shown(interquartile_mean(each), scale=100.0, digits=2)))
    return rows


def choice_lines(evidence: Evidence) -> list[str]:
    """The same as a table for a terminal; nothing without data."""
    found = choice_rows(evidence)
    return [*aligned(found), choice_left_out(evidence)] if found else []

"""The demo: propositions checked, theory drawn, the shipped expert cloned, one self-contained report."""

from __future__ import annotations

import functools
import itertools
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import proofs_check
from neural.control.design import CloningExperiment
from neural.control.experiment import run as run_cloning
from neural.control.experts import load_expert
from neural.control.learner import Learner
from neural.statistics import RewardSpread, reward_spread
from paper_figs import cliff_phase, scalar_gva, style
from paper_figs import cloning as cloning_figure
from paper_figs.ledger_page import write_page
from paper_figs.progress import stage_bars
from paper_figs.report import report_summary, write_report


def run(out: Path, seed: int = 0) -> int:
    """Carry out the demo in directory `out`.

    Returns:
        0, or 1 if a proposition failed or a mutant survived.

    Raises:
        FileExistsError: if `out` holds a demo of another seed.
    """
    started = time.monotonic()
    experiment = CloningExperiment(learner=Learner(seed=seed))
    _, card = load_expert(experiment.task)  # missing assets show before any work
    with stage_bars() as report:
        propositions = proofs_check.propositions()
        finished = itertools.count(1)
        results = proofs_check.run(
            quick=True,
            workers=os.cpu_count() or 1,
            progress=lambda _: report("propositions", next(finished), len(propositions)),
        )
        (ledger,) = write_page(
            out / "propositions.html",
            results,
            propositions,
            0,
            progress=functools.partial(report, "their pictures"),
        )
        phase = cliff_phase.data("quick", seed=seed, progress=lambda done, total: report("cliff diagram", done, total))
        scalar = scalar_gva.data(seed=seed)
        dataset = run_cloning(experiment, out / "clone", progress=report)
    stats = reward_spread(dataset)
    figure = cloning_figure.draw(dataset)
    pictures = style.save(figure, out / "cloning")
    rows = [
        {
            "id": r.id,
            "title": r.title,
            "verdict": r.verdict,
            "margin": r.margin,
            "mutants": r.refuted,
            "seconds": r.seconds,
        }
        for r in results
    ]
    page = write_report(
        out / "report.html",
        checks=rows,
        phase=phase,
        scalar=scalar,
        cloning=dataset,
        expert_card=card,
        commands=commands(seed, card),
        stats=stats,
        ledger=ledger.name,
    )
    print(proofs_check.table(results))
    print(report_summary(stats))
    print(headline(stats))
    print(f"pictures: {', '.join(map(str, pictures))}")
    print(f"report, after {time.monotonic() - started:.0f} s: {page.resolve()}")
    return 0 if proofs_check.passed(results) else 1


def commands(seed: int, card: Mapping[str, Any]) -> dict[str, str]:
    """What reproduces each piece of the report."""
    return {
        "everything in this report": f"gva demo --seed {seed}",
        "the propositions, in full": "gva check --page propositions.html",
        "the cliff phase diagram, finer": f"gva figure cliff-phase --fresh --preset full --seed {seed}",
        "the scalar closed loop": f"gva figure scalar-gva --fresh --seed {seed}",
        "the cloning run": f"gva clone --seed {seed}",
        "the expert, trained again": card.get("command", "unknown"),
    }


def headline(stats: RewardSpread) -> str:
    """One sentence per window: how much less the best average's reward swings than the raw iterate's."""
    lines = []
    for window in stats.windows:
        best = max(window.rows[1:], key=lambda row: row.mean_return.value)
        lines.append(
            f"{window.window} iterates: {best.average} has {best.mean_return.value:,.0f} mean return against "
            f"{window.rows[0].mean_return.value:,.0f} raw, and {best.ratio.value:.1f} times less spread "
            f"(95 % interval {best.ratio.low:.1f} to {best.ratio.high:.1f})"
        )
    return "\n".join(lines)

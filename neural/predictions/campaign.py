"""Carry out the runs of the predictions: every arm in a directory of its own, resumable, on one or many machines."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from neural.control.campaign import Cell, Engine, run_campaign
from neural.predictions.arms import Arm


def cells(arms: Sequence[Arm]) -> list[Cell]:
    """One cell of a campaign per arm: a run of all its seeds."""
    # A directory between an arm's name and its run: a campaign looks for equal runs among a cell's neighbours.
    return [Cell(arm.experiment.task, arm.experiment.seeds[0], (), arm.experiment, f"{arm.slug}/run") for arm in arms]


def run_arms(
    arms: Sequence[Arm],
    out: Path | str,
    engine: Engine | None = None,
    *,
    progress: Callable[[str, int, int], None] | None = None,
) -> None:
    """Carry out those that are not finished; an interrupted one goes on where it stopped.

    Raises:
        ValueError, RuntimeError: as `run_campaign`.
    """
    run_campaign(cells(arms), out, engine, progress=progress)

"""The run of cloning that several figures look at: Walker2d, raw iterate against one average, carried to its end.

Training does not depend on what is measured of it, so that figures with the same sizes and seed show one and the same
run, each with its own measurements.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import xarray as xr

import gvatheory as gva
from neural.control.design import CloningExperiment
from neural.control.experiment import Progress, run
from neural.control.learner import Learner
from neural.control.rebuild import FinishedRun, rebuild

TASK, AVERAGE = "Walker2d-v4", "EMA 0.001"
STEP_SIZE, BATCH_SIZE, LAYERS = 4e-3, 32, 3

SIZES: dict[str, dict[str, int]] = {
    "quick": {"width": 64, "steps": 5000, "demonstrated": 20},
    "full": {"width": 256, "steps": 20_000, "demonstrated": 100},
}
"""By preset: units per hidden layer, updates, expert episodes to clone."""

LOWEST = {"width": 1, "steps": 1, "demonstrated": 1}
"""Smallest value of each."""


def experiment(size: Mapping[str, int], seed: int, **measured: Any) -> CloningExperiment:
    """The run of these sizes, constant step size, with one EMA beside it.

    Args:
        size: width, steps and demonstrated, see `SIZES`; other entries are left aside.
        seed: of the learner, ≥ 0.
        measured: further options of `CloningExperiment`: what is measured of it.

    Raises:
        ValueError: for an option out of range.
    """
    learner = Learner(hidden=(size["width"],) * LAYERS, batch_size=BATCH_SIZE, seed=seed)
    bank = {AVERAGE: gva.EMA(0.001)}
    options = {"evaluate": (AVERAGE,), "consecutive": 0, "spaced": 0, **measured}
    return CloningExperiment(
        TASK,
        episodes=size["demonstrated"],
        learner=learner,
        schedule=gva.Constant(STEP_SIZE),
        bank=bank,
        steps=size["steps"],
        **options,
    )


@contextmanager
def finished(
    wanted: CloningExperiment, beyond: int, directory: Path | None = None, progress: Progress | None = None
) -> Iterator[tuple[xr.Dataset, FinishedRun]]:
    """Carry the experiment out, and yield what it measured with the run at its end.

    Args:
        wanted: the experiment.
        beyond: updates that can be made past its end, ≥ 0.
        directory: where it goes on after an interrupt; by default one that is gone after the block.
        progress: called with (stage, done, total).
    """
    with tempfile.TemporaryDirectory() as passing:
        place = Path(passing) / "run" if directory is None else directory
        dataset = run(wanted, place, progress=progress)
        yield dataset, rebuild(place, beyond=beyond)

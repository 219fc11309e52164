"""The catalogue of interventions as a page of Markdown."""

from __future__ import annotations

from collections.abc import Iterator

from neural.control.catalogue import Preset, catalogue, families, presets, select
from neural.control.catalogue_terms import Intervention, apply, training_fingerprint

_HEAD = """# The catalogue of interventions

Written by `gva catalogue page`; do not edit. `gva clone --catalogue NAME` runs any selection of it, `gva catalogue
cost` measures what that takes.

The paper speaks of 278 interventions, whose list this project has not seen: the ones below are its own choice over the
same families. An intervention is written relative to a base experiment, so that one catalogue serves every size: "4 x
steps" is four times the base's updates, "(2, 2, 2) widths" three layers of twice the base's width, `bank.reference` the
average that is compared with the raw iterate unless the intervention names one. N1 to N10 are the predictions that it
bears on. No two give the same experiment, schedules compared by their step sizes and averages by their rates; those
that differ in the average alone are measured on one training.
"""


def markdown() -> str:
    """The page."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    base = presets()["standard"].experiment
    trainings = {training_fingerprint(apply(intervention, base)) for intervention in catalogue()}
    yield _HEAD
    yield f"{len(catalogue())} interventions with the base, {len(trainings)} trainings per task and seed."
    yield ""
    yield "| preset | base experiment | what it runs | promise |"
    yield "| --- | --- | --- | --- |"
    yield from map(_preset_row, presets().values())
    yield ""
    yield f"`figure-2` holds {len(select('figure-2'))} of them, from every family; `smoke` {len(select('smoke'))}."
    for family in families():
        chosen = select(family)[1:]
        yield ""
        yield f"## {family} ({len(chosen)})"
        yield ""
        yield "| name | changes | what it tests | bears on |"
        yield "| --- | --- | --- | --- |"
        yield from map(_row, chosen)


def _preset_row(preset: Preset) -> str:
    e = preset.experiment
    sizes = (
        f"{len(e.learner.hidden)} x {e.learner.hidden[0]}, batch {e.learner.batch_size}, {e.steps:,} updates, "
        f"{e.episodes} episodes, {e.consecutive} + {e.spaced} iterates, {e.rollouts} roll-outs, {e.schedule}, "
        f"reference {e.bank['reference']}"
    )
    runs = f"{preset.selection} on {', '.join(preset.tasks)}, seeds {', '.join(map(str, preset.seeds))}"
    return f"| {preset.name} | {sizes} | {runs} | {preset.promise} |"


def _row(intervention: Intervention) -> str:
    cells = (intervention.name, f"`{intervention.describe()}`", intervention.reason, " ".join(intervention.predictions))
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"

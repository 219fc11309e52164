"""The catalogue of interventions: distinct, valid on every task, wasting no training, and documented as it is."""

import dataclasses
import inspect
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

import gvatheory as gva
from gvatheory import schedules
from neural.control import catalogue_terms as terms
from neural.control.catalogue import TASKS, catalogue, families, get_preset, presets, select, selections
from neural.control.catalogue_terms import REFERENCE, Intervention, Layers, Times, apply, fingerprint, of
from neural.control.design import CloningExperiment
from neural.control.learner import Learner
from paper_figs.catalogue_page import markdown

PAPER_COUNT = 278

SMALL = CloningExperiment(
    learner=Learner(hidden=(40, 40)),
    schedule=gva.Constant(0.01),
    bank={REFERENCE: gva.EMA(0.004)},
    evaluate=(REFERENCE,),
    steps=500,
    consecutive=3,
    spaced=4,
    spacing=100,
)


@pytest.mark.parametrize("preset", presets())
def test_no_two_interventions_give_the_same_experiment(preset: str) -> None:
    experiment = get_preset(preset).experiment
    found: dict[str, str] = {}
    for intervention in catalogue():
        same = found.setdefault(fingerprint(apply(intervention, experiment)), intervention.name)
        assert same == intervention.name
    assert len(found) >= PAPER_COUNT


@pytest.mark.parametrize("task", TASKS)
def test_every_intervention_is_a_valid_experiment_on_every_task(task: str) -> None:
    base = dataclasses.replace(SMALL, task=task)
    measured = ("task", "held_out", "consecutive", "spaced", "rollouts", "rollout_steps")
    for intervention in catalogue():
        experiment = apply(intervention, base)
        # What is measured stays comparable.
        assert all(getattr(experiment, name) == getattr(base, name) for name in measured), intervention.name
        assert experiment.probes()[0][0] >= 1
        sizes = experiment.schedule.step_sizes(experiment.steps)
        assert np.all(np.isfinite(sizes))
        assert np.all(sizes >= 0)
        assert sizes.max() > 0
        for average in experiment.bank.values():
            rates = average.rates(experiment.steps)
            assert np.all((rates >= 0) & (rates <= 1)), intervention.name


def test_labels() -> None:
    assert max(Counter(intervention.name for intervention in catalogue()).values()) == 1
    assert {i.family for i in catalogue()[1:]} == set(families())
    known = {f"N{i}" for i in range(1, 11)}
    for intervention in catalogue():
        assert intervention.reason.endswith((".", "?"))
        assert intervention.predictions
        assert set(intervention.predictions) <= known
    assert set().union(*(i.predictions for i in catalogue())) >= {"N1", "N4", "N5", "N6", "N7", "N10"}


def test_averages_need_no_training_of_their_own() -> None:
    base = terms.training_fingerprint(SMALL)
    for intervention in select("averaging"):
        assert terms.training_fingerprint(apply(intervention, SMALL)) == base
    others = [i for i in catalogue() if i.average is not None and i.family != "averaging"]
    plain = {terms.training_fingerprint(apply(i, SMALL)) for i in catalogue() if i.average is None}
    assert others
    assert all(terms.training_fingerprint(apply(i, SMALL)) in plain for i in others)


def test_every_schedule_of_the_theory_is_tried() -> None:
    def kinds(schedule: object) -> set[type]:
        parts = [schedule.schedule] if isinstance(schedule, gva.Warmup) else getattr(schedule, "pieces", ())
        return {type(schedule)}.union(*map(kinds, parts))

    used = set().union(*(kinds(apply(i, SMALL).schedule) for i in catalogue()))
    public = {
        kind
        for name, kind in inspect.getmembers(schedules, inspect.isclass)
        if issubclass(kind, schedules.Schedule) and not name.startswith("_") and not inspect.isabstract(kind)
    }
    assert len(public) >= 7
    assert used >= public | {gva.Warmup, gva.Piecewise}


def test_relative_values() -> None:
    assert Times(0.3, "steps").resolve(SMALL) == 150
    assert Times(1e-9, "steps").resolve(SMALL) == 1
    assert Times(4, "schedule.step_size").resolve(SMALL) == pytest.approx(0.04)
    assert Times(3, f"bank.{REFERENCE}.gamma").resolve(SMALL) == pytest.approx(0.012)
    assert Layers((2.0, 0.5, 1e-3)).resolve(SMALL) == (80, 20, 1)
    made = of(
        gva.Warmup, schedule=of(gva.Constant, step_size=Times(2, "schedule.step_size")), steps=Times(0.1, "steps")
    )
    assert made.resolve(SMALL) == gva.Warmup(gva.Constant(0.02), 50)
    assert str(made) == "Warmup(schedule=Constant(step_size=2 x schedule.step_size), steps=0.1 x steps)"
    drop = of(gva.Piecewise, boundaries=(Times(0.5, "steps"),), pieces=(1.0, Times(0.1, "schedule.step_size")))
    np.testing.assert_allclose(drop.resolve(SMALL).step_sizes(500)[[249, 250]], [1.0, 0.001])


def test_an_intervention_changes_what_it_says_and_nothing_else() -> None:
    change = Intervention("f", "n", "r.", ("N7",), (("learner.dropout", 0.2), ("episodes", Times(2, "episodes"))))
    found = apply(change, SMALL)
    expected = dataclasses.replace(SMALL, episodes=200, learner=dataclasses.replace(SMALL.learner, dropout=0.2))
    assert found == expected
    average = Intervention("f", "n", "r.", ("N4",), (), of(gva.EMA, gamma=Times(0.5, f"bank.{REFERENCE}.gamma")))
    found = apply(average, SMALL)
    assert (found.bank, found.evaluate) == ({REFERENCE: gva.EMA(0.004), "n": gva.EMA(0.002)}, ("n",))


def test_experiments_are_compared_by_what_they_do() -> None:
    def changed(**of_learner: object) -> CloningExperiment:
        return dataclasses.replace(SMALL, learner=dataclasses.replace(SMALL.learner, **of_learner))

    same = terms.training_fingerprint(SMALL)
    assert terms.training_fingerprint(changed(momentum=0.5)) == same
    assert terms.training_fingerprint(changed(huber_width=3.0)) == same
    assert terms.training_fingerprint(changed(seed=1)) != same
    assert terms.training_fingerprint(dataclasses.replace(SMALL, action_noise=0.1)) != same
    rolling, sgd = changed(optimiser="heavy ball", momentum=0.0), changed(optimiser="sgd")
    assert terms.training_fingerprint(rolling) == terms.training_fingerprint(sgd) != same
    assert terms.training_fingerprint(changed(optimiser="heavy ball")) != terms.training_fingerprint(sgd)
    long_decay = dataclasses.replace(SMALL, schedule=gva.Linear(0.01, 10**9, 0.01))
    assert terms.training_fingerprint(long_decay) == same
    tail, late = (
        dataclasses.replace(SMALL, bank={"a": average}, evaluate=("a",))
        for average in (gva.Tail(0.2), gva.Polyak(burn_in=400))
    )
    assert fingerprint(tail) == fingerprint(late)
    assert fingerprint(tail) != fingerprint(SMALL)


def test_selections() -> None:
    assert select("all") == catalogue()
    for name in selections():
        chosen = select(name)
        assert chosen[0].name == "base"
        assert len(chosen) > 2
    assert {i.family for i in select("loss")} == {"base", "loss"}
    assert {i.family for i in select("figure-2")} == {"base", *families()} - {"combination"}
    assert [i.family for i in select("smoke")] == ["base", "data", "scale", "averaging"]
    assert [i.name for i in select("dropout 0.1")] == ["base", "dropout 0.1"]
    both = select("all", ("loss", "batch"))
    assert len(both) == len(select("loss")) + len(select("batch")) - 1


@pytest.mark.parametrize("preset", presets())
def test_presets_leave_spaced_iterates_further_apart_than_the_average_remembers(preset: str) -> None:
    chosen = get_preset(preset)
    average = chosen.experiment.bank[REFERENCE]
    assert isinstance(average, gva.EMA)
    assert float(average.gamma) * chosen.experiment.spacing >= 1
    assert set(chosen.tasks) <= set(TASKS)
    assert len(select(chosen.selection)) > 20


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Times(-1, "steps"), r"factor must be a number in \[0, inf\), got -1"),
        (lambda: Times(1, "stepz").resolve(SMALL), "of must name a number of the base experiment, got 'stepz'"),
        (lambda: Times(1, "bank.none.gamma").resolve(SMALL), "of must name a number"),
        (
            lambda: apply(Intervention("f", "n", "r.", (), (("learner.nose", 1),)), SMALL),
            "changes must name fields of an experiment, got 'learner.nose' in 'n'",
        ),
        (lambda: apply(Intervention("f", "n", "r.", (), (("bank", {}),)), SMALL), "changes must name fields"),
        (lambda: apply(catalogue()[0], CloningExperiment()), "bank of the base experiment must hold 'reference'"),
        (lambda: select("nothing"), "catalogue must be one of"),
        (lambda: select("loss", ("batch",)), "leave nothing of the selection 'loss'"),
        (lambda: select("all", ("lots",)), r"families must be among .*, got \['lots'\]"),
        (lambda: get_preset("huge"), "preset must be one of"),
    ],
)
def test_bad_values_are_named(call, message) -> None:
    with pytest.raises(ValueError, match=message):
        call()


def test_the_page_is_current() -> None:
    page = Path(__file__).parents[2] / "docs" / "catalogue.md"
    assert page.read_text(encoding="utf-8") == markdown(), "write it again: gva catalogue page"
    assert sum(line.startswith("| ") for line in markdown().splitlines()) >= PAPER_COUNT

"""The rule of the verdicts: intervals at their levels, regions, five seeds, and how often a verdict is wrong."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import t as student

from neural.predictions.decision import (
    ERROR,
    FAMILY,
    LEAST_SEEDS,
    Criterion,
    Effect,
    Prediction,
    jackknife_effect,
    judge,
    mean_effect,
    ratio_effect,
)
from neural.predictions.linear_theory import UnstableSpectrum


def prediction(*effects: Effect, region=(0.0, 1.0)) -> Prediction:
    criteria = tuple(Criterion(f"c{i}", region, "", lambda _, e=e: e) for i, e in enumerate(effects))
    return Prediction("N0", "", "", criteria, "")


def outcome(*effects: Effect, region=(0.0, 1.0)) -> str:
    return judge(prediction(*effects, region=region), None).outcome  # pyright: ignore[reportArgumentType]


def test_an_effect_is_a_mean_over_seeds_with_students_interval() -> None:
    values = np.array([0.3, 0.5, 0.1, 0.9, 0.4])
    effect = mean_effect(values)
    low, high = student.interval(0.9, 4, values.mean(), values.std(ddof=1) / math.sqrt(5))
    found = effect.interval(0.9)
    assert (found.value, found.low, found.high) == pytest.approx((values.mean(), low, high))
    logs = mean_effect(values, logarithmic=True).interval(0.9)
    assert logs.value == pytest.approx(math.exp(np.log(values).mean()))
    assert logs.low * logs.high == pytest.approx(logs.value**2)


@pytest.mark.parametrize("values", [[1.0, math.nan, 2.0], [1.0, math.inf, 2.0]])
def test_a_seed_without_a_value_makes_the_effect_unknown(values) -> None:
    found = mean_effect(values).interval(0.95)
    assert math.isnan(found.value)
    assert math.isnan(found.low)
    assert math.isnan(mean_effect([1.0, 0.0, 2.0], logarithmic=True).value)
    assert mean_effect([2.0]).interval(0.95).value == 2.0
    assert math.isnan(mean_effect([2.0]).interval(0.95).low)


def test_the_jackknife_of_a_mean_is_the_means_own_error() -> None:
    values = np.random.default_rng(0).normal(size=7)
    jack = jackknife_effect(lambda places: float(values[places].mean()), 7)
    plain = mean_effect(values)
    assert (jack.value, jack.error) == pytest.approx((plain.value, plain.error))
    with pytest.raises(ValueError, match="seeds must be an integer at least 3, got 2"):
        jackknife_effect(lambda places: 0.0, 2)


def test_a_ratio_of_means_is_not_a_mean_of_ratios() -> None:
    above, below = np.array([1.0, 2.0, 3.0, 2.0, 1.0]), np.array([2.0, 1e-9, 6.0, 5.0, 1.0])
    found = ratio_effect(above, below)
    assert found.value == pytest.approx(above.mean() / below.mean())
    assert found.error == pytest.approx(jackknife_effect(lambda p: above[p].mean() / below[p].mean(), 5).error)
    lacking = ratio_effect([1.0, math.nan, 3.0], [2.0, 2.0, 2.0])
    assert (lacking.value, lacking.note) == (1.0, "1 of 3 seeds have no value")
    assert math.isnan(lacking.error)
    assert math.isnan(ratio_effect([1.0, 1.0, 1.0], [1.0, -1.0, 0.0]).value)


def test_what_cannot_be_had_is_unknown_and_says_why() -> None:
    def unstable(_) -> Effect:
        raise UnstableSpectrum("the step is not stable")

    def missing(_) -> Effect:
        raise FileNotFoundError("run diverged at update 7")

    for broken, why in ((unstable, "the step is not stable"), (missing, "run diverged at update 7")):
        for others, expected in (([0.5], "undecided"), ([7.0], "fails")):
            criteria = [Criterion("b", (0.0, 1.0), "", broken)]
            criteria += [Criterion("o", (0.0, 1.0), "", lambda _, v=v: Effect(v, 1e-6, 5)) for v in others]
            verdict = judge(Prediction("N0", "", "", tuple(criteria), ""), None)  # pyright: ignore[reportArgumentType]
            assert verdict.outcome == expected
            assert verdict.findings[0].effect.note == why
    alone = Prediction("N0", "", "", (Criterion("b", (0.0, 1.0), "", missing),), "")
    with pytest.raises(FileNotFoundError, match="run diverged at update 7"):
        judge(alone, None)  # pyright: ignore[reportArgumentType]
    beside = Prediction("N0", "", "", prediction(Effect(0.5, 1e-6, 5)).criteria, "", alone.criteria)
    assert judge(beside, None).outcome == "holds"  # pyright: ignore[reportArgumentType]


def test_inside_outside_and_neither() -> None:
    inside, outside = Effect(0.5, 0.01, 5), Effect(2.0, 0.01, 5)
    wide, unknown = Effect(0.5, 1.0, 5), Effect(math.nan, math.nan, 5)
    assert outcome(inside) == outcome(inside, inside) == "holds"
    assert outcome(outside) == outcome(inside, outside) == outcome(wide, outside) == "fails"
    assert outcome(wide) == outcome(inside, wide) == outcome(unknown) == "undecided"
    assert outcome(Effect(-3.0, 0.01, 5, True)) == "holds"  # e^−3 is within the region, −3 is not
    assert outcome(inside, region=(-math.inf, 0.2)) == "fails"


def test_fewer_than_five_seeds_decide_nothing() -> None:
    few = Effect(0.5, 1e-6, LEAST_SEEDS - 1)
    assert outcome(few) == outcome(Effect(0.5, 1e-6, 5), few) == "undecided"
    assert outcome(Effect(7.0, 1e-6, 4)) == "undecided"


def test_levels_are_those_of_the_family_and_of_the_criteria() -> None:
    error = 0.01
    for count in (1, 4):
        reach = float(student.ppf(1.0 - 0.5 * ERROR / FAMILY / count, 4)) * error
        beyond, short = Effect(1.0 + 1.001 * reach, error, 5), Effect(1.0 + 0.999 * reach, error, 5)
        rest = (Effect(0.5, 1e-9, 5),) * (count - 1)
        assert outcome(beyond, *rest) == "fails"
        assert outcome(short, *rest) == "undecided"
    reach = float(student.ppf(1.0 - 0.5 * ERROR / FAMILY, 4)) * error
    for count in (1, 4):  # no correction for "holds"
        assert outcome(*(Effect(1.0 - 1.001 * reach, error, 5),) * count) == "holds"
        assert outcome(*(Effect(1.0 - 0.999 * reach, error, 5),) * count) == "undecided"


def test_how_often_a_verdict_is_wrong() -> None:
    rng, runs = np.random.default_rng(1), 4_000
    edge = ERROR / FAMILY  # two-sided, so that one side is half of it
    for mean, wrong in ((1.0 + 1e-9, "holds"), (1.0 - 1e-9, "fails")):
        hits = sum(outcome(mean_effect(rng.normal(mean, 0.05, 5)), region=(-9.0, 1.0)) == wrong for _ in range(runs))
        assert 0 < hits / runs <= 0.5 * edge + 5.0 * math.sqrt(0.5 * edge / runs)


def test_a_region_leaves_something_out_and_a_prediction_has_a_criterion() -> None:
    for region in ((1.0, 1.0), (2.0, 1.0), (-math.inf, math.inf)):
        with pytest.raises(ValueError, match="region must be an interval"):
            Criterion("", region, "", lambda _: Effect(0, 0, 5))
    with pytest.raises(ValueError, match="criteria of N0 must be at least one"):
        prediction()

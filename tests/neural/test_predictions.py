"""Statistics of the predictions on made runs whose spreads, exponents, falls and regrets are known."""

from __future__ import annotations

import dataclasses
import json
import math

import numpy as np
import pytest
import xarray as xr
from scipy.special import ndtr

from neural.predictions import n1_noise_scaling as n1
from neural.predictions import n3_horizon as n3
from neural.predictions import n4_variance_factors as n4
from neural.predictions import n5_power_averages as n5
from neural.predictions import n7_interventions as n7
from neural.predictions import n8_falls as n8
from neural.predictions import n10_gradient_noise as n10
from neural.predictions.arms import DEFAULT, LATE, SEED_SETS, SIZES, TASKS, arms, bank, slug
from neural.predictions.choice import _regrets, interquartile_mean
from neural.predictions.decision import judge
from neural.predictions.evidence import Evidence, collect, compact
from neural.predictions.registry import PREDICTIONS, agree, judge_all
from neural.predictions.spreads import late_updates, pooled
from neural.runs import save_dataset
from neural.statistics import RAW, Estimate

SEEDS, CONSECUTIVE, SPACED, EPISODES = 5, 6, 8, 6
ITERATES = np.concatenate([1500 * np.arange(1, SPACED + 1), 1500 * SPACED - np.arange(1, CONSECUTIVE)])
LEVEL = 5000.0


def made(spreads: dict[str, float], seed: int = 0, mean: float = 3000.0, losses: dict[str, float] | None = None):
    """A run whose mean returns are independent N(mean, spread²) over iterates and seeds, the same for all episodes."""
    rng, names = np.random.default_rng(seed), list(spreads)
    at = np.sort(ITERATES)
    drawn = rng.standard_normal((SEEDS, len(at)))  # shared by all averages and by all runs of a seed
    returns = mean + drawn[:, :, None] * np.array(list(spreads.values()))
    cells = ("seed", "iterate", "average")
    loss = np.broadcast_to([(losses or {}).get(name, 0.1) for name in names], returns.shape)
    return xr.Dataset(
        {
            "return": ((*cells, "episode"), np.repeat(returns[..., None], EPISODES, axis=3)),
            "loss": (cells, loss),
            "fallen": ((*cells, "episode"), np.zeros((*returns.shape, EPISODES))),
            "spaced": ("iterate", (at % 1500 == 0).astype(int)),
            "consecutive": ("iterate", (at > at.max() - CONSECUTIVE).astype(int)),
            "expert_return": ("episode", np.full(EPISODES, LEVEL)),
            "loss_floor": 0.05,
        },
        {"seed": np.arange(SEEDS), "iterate": at, "average": names, "episode": np.arange(EPISODES)},
    )


def put(directory, name: str, run: xr.Dataset) -> None:
    save_dataset(directory / f"{slug(f'{TASKS[0]} {name}')}.nc", run)


def test_exponents_of_step_and_batch_are_recovered(tmp_path) -> None:
    for by, power in ((n1.STEP_ARMS, 0.5), (n1.BATCH_ARMS, -0.5)):
        for x, name in by.items():
            loss = {RAW: 0.1 + 0.02 * x ** (2 * power), DEFAULT: 0.1}
            put(tmp_path, name, made({RAW: 40.0 * x**power, DEFAULT: 5.0}, losses=loss))
        evidence = Evidence(tmp_path)
        for effect in (n1.seed_exponent, n1.window_exponent):
            found = effect(evidence, arms=by).interval(0.95)
            assert found.value == pytest.approx(power, abs=1e-9)
        assert n1.loss_exponent(evidence, arms=by).value == pytest.approx(2 * power, abs=1e-9)
    # The arm of both sets is the one of the step sizes' middle and batch 1.
    assert set(n1.STEP_ARMS.values()) & set(n1.BATCH_ARMS.values()) == {"SGD 0.1"}


def test_exponents_have_the_error_of_independent_draws(tmp_path) -> None:
    for i, (x, name) in enumerate(n1.STEP_ARMS.items()):
        put(tmp_path, name, made({RAW: 40.0 * x**0.5, DEFAULT: 5.0}, seed=i))
    found = n1.seed_exponent(Evidence(tmp_path), arms=n1.STEP_ARMS)
    x = np.log(list(n1.STEP_ARMS))
    # ln of a standard deviation from 8 iterates of 5 seeds each has variance 1/(2 · 8 · 4).
    expected = math.sqrt(1 / 64 / np.sum((x - x.mean()) ** 2))
    assert abs(found.value - 0.5) < 5 * expected
    assert 0.3 < found.error / expected < 3


def test_spreads_across_seeds_are_pooled_over_iterates() -> None:
    values = np.array([[0.0, 1.0], [2.0, 5.0], [4.0, 3.0]])
    expected = math.sqrt(0.5 * (np.var(values[:, 0], ddof=1) + np.var(values[:, 1], ddof=1)))
    assert pooled(values, np.arange(3)) == pytest.approx(expected)
    assert pooled(values, np.array([0, 2])) == pytest.approx(math.sqrt(0.5 * (8.0 + 2.0)))


def test_interventions_are_compared_with_the_base_of_the_same_seed(tmp_path) -> None:
    put(tmp_path, "base", made({RAW: 100.0, DEFAULT: 10.0}))
    names = [name for family in n7.FAMILIES.values() for name in family]
    for name in (*names, "batch x 16", "linear to 0"):
        put(tmp_path, name, made({RAW: 130.0 if name in names else 25.0, DEFAULT: 10.0}))
    evidence = Evidence(tmp_path)
    verdict = judge(n7.PREDICTION, evidence)
    assert [f.estimate.value for f in verdict.findings] == pytest.approx(
        [1.3] * 10 + [0.25, 0.25, 0.1] + [0.0] * 3, abs=0.03
    )
    assert all(f.inside for f in verdict.findings[:13])
    better = {name: made({RAW: 25.0}, mean=3500.0) for name in ("batch x 16", "linear to 0")}
    for name, run in better.items():
        put(tmp_path, name, run)
    put(tmp_path, "base", made({RAW: 100.0, DEFAULT: 10.0}).assign(expert_return=("episode", np.full(EPISODES, LEVEL))))
    gains = [f.estimate.value for f in judge(n7.PREDICTION, Evidence(tmp_path)).findings[13:15]]
    assert gains == pytest.approx([0.1, 0.1], abs=0.02)
    put(tmp_path, "2 hidden layers", made({RAW: 700.0, DEFAULT: 10.0}))
    put(tmp_path, "tanh", made({RAW: 100.0 / 7.0, DEFAULT: 10.0}))  # one up and one down do not cancel
    changed = judge(n7.PREDICTION, Evidence(tmp_path))
    assert [f.estimate.value for f in changed.findings[2:4]] == pytest.approx([7.0, 1.0 / 7.0])
    assert changed.outcome == "fails"


def test_power_averages_are_compared_late_in_the_run(tmp_path) -> None:
    names = [name + ending for ending in ("", LATE) for name in (n5.UNIFORM, *n5.OTHERS.values())]
    loss = dict(zip(names, (0.3, 0.12, 0.14, 0.11, 0.12, 0.1), strict=True)) | {RAW: 0.2}
    run = made(dict.fromkeys((RAW, *names), 0.0), losses=loss)
    run["return"].loc[{"average": n5.UNIFORM}] -= 500.0
    run["return"].loc[{"average": n5.UNIFORM, "iterate": 1500}] -= 1e6  # early: does not count
    put(tmp_path, "base", run)
    verdict = judge(n5.PREDICTION, Evidence(tmp_path))
    assert [f.estimate.value for f in verdict.findings] == pytest.approx([0.0, -0.125, 0.0, 0.1])
    assert [f.estimate.value for f in verdict.also] == pytest.approx([-0.1, 2.25, -0.1, 0.16 / 0.06])
    assert verdict.outcome == "fails"  # by the loss of α = 0.8


def law_of_falls(iterates: int, episodes: int, c: float, r: float, seed: int) -> np.ndarray:
    """(iterates, episodes) falls of the noisy threshold."""
    rng = np.random.default_rng(seed)
    x = math.sqrt(r) * rng.standard_normal((iterates, 1)) + math.sqrt(1 - r) * rng.standard_normal((iterates, episodes))
    return (x > c).astype(float)


def test_the_threshold_is_found_from_two_moments_and_predicts_the_rest() -> None:
    fallen = law_of_falls(40_000, 6, 0.8, 0.6, 0)
    c, r = n8.threshold(fallen)
    assert (c, r) == pytest.approx((0.8, 0.6), abs=0.03)
    assert n8.none_falls(c, r, 6) == pytest.approx((fallen.sum(axis=1) == 0).mean(), abs=0.01)
    assert n8.none_falls(0.8, 1e-12, 6) == pytest.approx(ndtr(0.8) ** 6)
    assert all(math.isnan(v) for v in n8.threshold(np.zeros((4, 3))))
    alternating = np.tile([[1.0, 0.0], [0.0, 1.0]], (5, 1))  # the fraction never varies: less than the binomial's
    assert math.isnan(n8.threshold(alternating)[1])


def test_falls_begin_as_often_as_the_law_says() -> None:
    rng = np.random.default_rng(1)
    c, r, rough, n = 0.5, 0.7, 0.2, 200_000
    offsets = math.sqrt(1 - r) * rng.standard_normal(n)
    first = math.sqrt(r) * rng.standard_normal(n)
    second = (1 - rough) * first + math.sqrt(1 - (1 - rough) ** 2) * math.sqrt(r) * rng.standard_normal(n)
    seen = np.mean((first + offsets < c) & (second + offsets > c))
    assert n8.onset_rate(c, r, rough) == pytest.approx(seen, abs=5 * math.sqrt(seen / n))
    anew = np.mean((first + offsets < c) & (second + rng.permutation(offsets) > c))
    assert n8.onset_rate(c, r, rough, fresh=True) == pytest.approx(anew, abs=5 * math.sqrt(anew / n))
    assert anew > 1.5 * seen


def test_two_modes_and_one() -> None:
    rng = np.random.default_rng(2)
    two = np.concatenate([rng.normal(100, 50, 400), rng.normal(4800, 50, 600)])
    assert n8.valley(two, LEVEL) == 0.0
    assert n8.valley(rng.uniform(0, LEVEL, 100_000), LEVEL) == pytest.approx(1.0, abs=0.03)
    assert n8.valley(np.full(5, LEVEL), LEVEL) == math.inf
    unequal = LEVEL * np.repeat([0.1, 0.5, 0.9], [10, 6, 84])  # the valley is below the lower side: 0.03 against 0.1
    assert n8.valley(unequal, LEVEL) == pytest.approx(0.3)
    fallen = (two < 2500).astype(float)
    assert n8.explained_share(two, fallen) > 0.99
    assert n8.explained_share(two, rng.permutation(fallen)) < 0.02
    assert math.isnan(n8.explained_share(two, np.zeros(1000)))


def test_gradient_noise_proportional_to_the_loss(tmp_path) -> None:
    updates = 500 * np.arange(1, 41)
    loss = 0.1 + 0.2 * np.exp(-updates / 2000)[None] * np.linspace(1, 2, SEEDS)[:, None]
    kept = xr.DataArray(loss[:, :, None], {"update": updates, "kept": [RAW]}, ("seed", "update", "kept"))
    run = made({RAW: 1.0}).assign(update_loss=kept, update_gradient_noise=(("seed", "update"), 7.0 * loss**1.2))
    put(tmp_path, "base", run)
    evidence = Evidence(tmp_path)
    assert n10.proportionality(evidence).value == pytest.approx(1.2)
    assert n10.late_change(evidence).interval(0.9).value == pytest.approx(1.0, abs=0.03)


def test_regret_is_that_of_the_other_half() -> None:
    run = made({RAW: 0.0, "a": 0.0, "b": 0.0})
    run["return"].loc[{"average": "a"}] += 500.0
    run["return"].loc[{"average": "b", "episode": [0, 2, 4]}] += 900.0  # the best of one half, no better on the other
    run["return"].loc[{"average": RAW, "iterate": 1500}] += 1e6  # early: does not count
    found = np.array(_regrets(run, [[RAW] * SEEDS, ["a"] * SEEDS, ["b"] * SEEDS]))
    # Best of the even half is b, worth 0 on the odd one; of the odd half a, worth 500: on average 250.
    assert found == pytest.approx(np.repeat([[0.05], [0.05 - 0.1], [0.05 - 0.09]], SEEDS, axis=1))


def test_the_interquartile_mean_and_what_its_interval_covers() -> None:
    values = {"a": np.array([0.0, 1.0, 2.0, 3.0]), "b": np.array([100.0, 101.0, 102.0, 103.0])}
    assert interquartile_mean(values).value == pytest.approx(np.mean([2.0, 3.0, 100.0, 101.0]))
    rng, hits = np.random.default_rng(0), 0
    for i in range(200):
        drawn = {name: rng.normal(0.0, 1.0, 5) for name in "abcdef"}
        found = interquartile_mean(drawn, resamples=200, seed=i)
        hits += found.low <= 0.0 <= found.high
    assert 0.83 < hits / 200 < 0.96  # 95 % is promised: six groups of five seeds keep about 90
    for bad in ({}, {"a": np.array([])}, {"a": np.array([math.nan])}):
        with pytest.raises(ValueError, match="values must hold finite numbers"):
            interquartile_mean(bad)


def test_arms_are_distinct_and_seeds_of_the_sets_disjoint() -> None:
    for size in SIZES.values():
        for seeds in SEED_SETS.values():
            found = arms(size, seeds[: size.seeds])
            assert len({arm.slug for arm in found}) == len(found)
            trainings = {json.dumps(dataclasses.replace(a.experiment, evaluate=()).describe()) for a in found}
            assert len(trainings) == len(found)
            assert {p for arm in found for p in arm.predictions} == {f"N{i}" for i in range(1, 11)} - {"N9"}
            assert all(set(arm.experiment.evaluate) <= set(bank(size.steps)) for arm in found)
    assert not set(SEED_SETS["verdict"]) & set(SEED_SETS["check"])


def test_what_is_missing_is_said_and_unknown_ids_are_refused(tmp_path) -> None:
    found = judge_all(Evidence(tmp_path))
    assert list(found) == [p.id for p in PREDICTIONS] == [f"N{i}" for i in range(1, 11)]
    assert all(isinstance(verdict, FileNotFoundError) for verdict in found.values())
    with pytest.raises(ValueError, match=r"ids must be among .*got \['N11'\]"):
        judge_all(Evidence(tmp_path), ("N11",))
    with pytest.raises(FileNotFoundError, match="no evidence at"):
        Evidence(tmp_path / "nowhere")


def test_why_an_arm_is_missing_is_kept_with_the_evidence(tmp_path) -> None:
    wanted = arms(SIZES["quick"], (0, 1))[:3]
    directory = tmp_path / "runs" / wanted[0].slug / "run"
    directory.mkdir(parents=True)
    (directory / "diverged.json").write_text('{"error": "seed 1 is not finite at update 40"}')
    found = collect(wanted, tmp_path / "runs", tmp_path / "out")
    assert found == {wanted[0].name: "seed 1 is not finite at update 40", **{a.name: "not run" for a in wanted[1:]}}
    evidence = Evidence(tmp_path / "out")
    assert evidence.missing() == found
    with pytest.raises(FileNotFoundError, match=f"{wanted[0].name} spectrum: seed 1 is not finite"):
        evidence[f"{wanted[0].name} spectrum"]
    with pytest.raises(FileNotFoundError, match="no dataset at"):  # another arm, whose name only begins alike
        evidence[f"{wanted[0].name}, batch x 4"]


def test_the_separation_is_of_episodes_that_last(tmp_path) -> None:
    steps = np.array([0, 5, 100, 300])
    own = np.array([10.0, 800.0, 900.0, 1000.0])  # their median is that of no single episode
    start = np.array([4.0, 3.0, 2.0, 1.0])
    distance = np.empty((5, 1, 4, 4))
    distance[:, 0] = start[:, None] * np.stack([np.zeros(4), np.ones(4), np.full(4, 20.0), own], axis=1)
    distance[0, 0, :2, 3] = math.nan  # of this seed two episodes are left at step 300
    data = xr.Dataset({"distance": (("seed", "pair", "episode", "step"), distance)}, {"step": steps})
    put(tmp_path, "base horizons", data)
    logs = [math.log(20.0)] + [math.log(850.0)] * 4
    assert n10.separation(Evidence(tmp_path)).value == pytest.approx(np.mean(logs))


def loops(exponents: list[float], reach: float, powers: list[float]) -> xr.Dataset:
    """Horizons of as many seeds: rates twice the exponent, spreads ∝ H^power, exponents known to ± reach."""
    horizons, rng = np.array([100, 200, 500, 1000]), np.random.default_rng(0)
    noise = rng.standard_normal((len(powers), 6, 1, 3, 1)) * horizons ** np.array(powers)[:, None, None, None, None]
    own = np.array(exponents)[:, None]
    return xr.Dataset(
        {
            "return": (("seed", "iterate", "average", "episode", "horizon"), noise),
            **{name: (("seed", "pair"), own + s * reach) for name, s in (("exponent", 0), ("exponent_high", 1))},
            "rate": (("seed", "pair"), 2.0 * own),
        },
        {"average": [RAW], "pair": [RAW], "horizon": horizons},
        {"level": 0.95},
    )


def test_each_task_is_compared_with_its_own_exponent(tmp_path) -> None:
    put(tmp_path, "base horizons", loops([0.1, 0.2, 0.3], 0.01, [1.0] * 3))
    evidence = Evidence(tmp_path)
    assert n3.rate_over_exponent(evidence, task=TASKS[0]).value == pytest.approx(2.0)
    grown = n3.Amplification(10, 50, Estimate(6.0, 5.0, 7.0), Estimate(2.0, 1.0, 3.0))
    assert n3.growth_over_theory(evidence, task=TASKS[0], growth=lambda _: grown).value == pytest.approx(3.0)
    some = iter([grown, None, grown])
    lacking = n3.growth_over_theory(evidence, task=TASKS[0], growth=lambda _: next(some))
    assert (lacking.value, lacking.note) == (3.0, "1 of 3 seeds have no value")


def test_long_horizons_are_of_loops_that_contract(tmp_path) -> None:
    put(tmp_path, "base horizons", loops([-0.1, 0.1, -0.2, -0.005], 0.01, [0.5, 2.0, 0.7, 2.0]))
    found = n3.long_slope(Evidence(tmp_path), task=TASKS[0])
    assert (found.value, found.seeds) == (pytest.approx(0.6), 2)
    put(tmp_path, "base horizons", loops([0.1, 0.2], 0.01, [1.0, 1.0]))
    none = n3.long_slope(Evidence(tmp_path), task=TASKS[0])
    assert (none.seeds, none.note) == (0, "no seed's loop is known to contract")


def test_averages_that_remember_the_start_are_not_compared_with_the_law() -> None:
    run = made({RAW: 1.0})  # late iterates from 9,000 on
    assert n4.forgetful(run) == ("EMA 0.03", "EMA 0.01", "EMA 0.003", "EMA 0.001")
    assert list(late_updates(run)) == [9_000, 10_500, 12_000]


def test_the_spread_across_seeds_is_laid_against_the_factor_of_late_iterates(tmp_path, monkeypatch) -> None:
    names = ("EMA 0.03", "EMA 0.01", "EMA 0.003", "EMA 0.001")
    left = np.array([0.5, 0.3, 0.2, 0.1])  # of raw's spread
    run = made({RAW: 100.0, **dict(zip(names, 100.0 * left, strict=True))})
    run["return"].loc[{"average": "EMA 0.03", "iterate": [1500, 3000]}] *= 50.0  # early: does not count
    put(tmp_path, "base", run)
    predicted = np.repeat((2.0 * left**0.5)[:, None] ** 2, SEEDS, axis=1)  # a factor is one of the variance
    monkeypatch.setattr(n4, "seed_factors", lambda evidence, arm, wanted: predicted if wanted == names else None)
    evidence = Evidence(tmp_path)
    assert n4.seed_level(evidence).interval(0.9).value == pytest.approx(np.exp(np.log(left / (2.0 * left**0.5)).mean()))
    assert n4.seed_slope(evidence).value == pytest.approx(2.0)


def test_only_the_opposite_contradicts(tmp_path) -> None:
    names = [name + ending for ending in ("", LATE) for name in (n5.UNIFORM, *n5.OTHERS.values())]
    put(tmp_path, "base", made(dict.fromkeys((RAW, *names), 0.0), losses={RAW: 0.2}))
    verdict = judge(n5.PREDICTION, Evidence(tmp_path))
    of = {name: dataclasses.replace(verdict, outcome=name) for name in ("holds", "fails", "undecided")}
    opposed = {(a, b) for a in of for b in of if not agree(of[a], of[b])}
    assert opposed == {("holds", "fails"), ("fails", "holds")}


def test_compact_keeps_the_numbers(tmp_path) -> None:
    run = made({RAW: 10.0})
    small = compact(run)
    assert small["return"].dtype == np.float32
    assert small["fallen"].dtype == np.int8
    np.testing.assert_allclose(small["return"], run["return"], rtol=1e-7)
    assert small["loss_floor"].dtype == np.float64

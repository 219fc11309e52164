"""Distributions of the experts' returns: what is measured, what is stored, and what ships."""

import dataclasses

import numpy as np
import pytest

from neural.control import distributions, experts
from neural.control.policies import load_policy, save_policy
from neural.control.rollout import collect, evaluate
from neural.control.tasks import get_task
from tests.random_policies import random_policy

TASKS = ("Walker2d-v4", "Hopper-v4", "HalfCheetah-v4", "Ant-v4", "Humanoid-v4")
HOPPER = get_task("Hopper-v4")


def test_both_ways_of_acting_are_those_of_evaluate_and_collect() -> None:
    policy, seeds, calls = random_policy(HOPPER), range(40, 75), []  # more seeds than are collected at a time
    measured = distributions.measure(
        policy, HOPPER, seeds, noise_seed=3, max_steps=30, progress=lambda *a: calls.append(a)
    )
    mean = evaluate([policy], HOPPER, seeds, max_steps=30)
    drawn = collect(policy, HOPPER, seeds, stochastic=True, noise_seed=3, max_steps=30).results
    for kind, results in (("deterministic", mean), ("stochastic", drawn)):
        one = measured.sel(policy=kind)
        np.testing.assert_array_equal(one["return"], results.returns[0])
        np.testing.assert_array_equal(one["length"], results.lengths[0])
        np.testing.assert_array_equal(one["fallen"], results.fallen[0])
    assert not np.array_equal(measured["return"][0], measured["return"][1])
    assert calls[-1] == (70, 70)
    assert [done for done, _ in calls] == list(range(1, 71))


def test_a_policy_that_cannot_be_drawn_from_has_its_mean_alone() -> None:
    policy = dataclasses.replace(random_policy(HOPPER), log_std_head=None)
    measured = distributions.measure(policy, HOPPER, range(3), max_steps=5)
    assert measured["policy"].values.tolist() == ["deterministic"]
    assert set(distributions.describe(measured)) == {"seeds", "noise_seed", "deterministic"}


def test_a_table_is_read_as_it_was_written_and_a_broken_one_is_named(tmp_path) -> None:
    measured = distributions.measure(random_policy(HOPPER), HOPPER, range(5), max_steps=20)
    distributions.save(tmp_path / "a.csv", measured)
    again = distributions.load(tmp_path / "a.csv")
    np.testing.assert_allclose(again["return"], measured["return"], rtol=0, atol=5e-4)
    for name in ("length", "fallen", "seed", "policy"):
        np.testing.assert_array_equal(again[name], measured[name])
    lines = (tmp_path / "a.csv").read_text().splitlines()
    (tmp_path / "b.csv").write_text("\n".join(lines[:-1]))
    with pytest.raises(ValueError, match="same seeds for every policy"):
        distributions.load(tmp_path / "b.csv")
    (tmp_path / "b.csv").write_text("\n".join([*lines[:3], "deterministic,9,many,1,0"]))
    with pytest.raises(ValueError, match="line 4"):
        distributions.load(tmp_path / "b.csv")
    (tmp_path / "b.csv").write_text("seed,return\n")
    with pytest.raises(ValueError, match="must begin with the columns policy, seed, return"):
        distributions.load(tmp_path / "b.csv")


def test_the_episodes_of_the_distribution_decide_nothing_else() -> None:
    used = {*experts.SELECTION_SEEDS, *experts.FINAL_SEEDS, *experts.REPORT_SEEDS}
    assert not used & set(distributions.DISTRIBUTION_SEEDS)
    assert len(distributions.DISTRIBUTION_SEEDS) == 100


@pytest.mark.parametrize("task", TASKS)
def test_the_shipped_table_is_what_the_card_sums_up(task) -> None:
    shipped = distributions.load(experts.asset(task, "_returns.csv"))
    _, card = experts.load_expert(task)
    stored = card["distribution"]
    assert shipped["seed"].values.tolist() == list(distributions.DISTRIBUTION_SEEDS)
    again = distributions.describe(shipped.assign_attrs(noise_seed=stored["noise_seed"]))
    assert again.keys() == stored.keys()
    for kind in ("deterministic", "stochastic"):
        assert again[kind]["fallen"] == stored[kind]["fallen"]
        for name in ("return_mean", "return_std", "return_min"):
            assert again[kind][name] == pytest.approx(stored[kind][name], abs=0.11)
        assert again[kind]["return_quantiles"] == pytest.approx(stored[kind]["return_quantiles"], abs=0.11)


def test_the_shipped_table_is_what_is_measured() -> None:
    task = "HalfCheetah-v4"  # which never falls: rounding moves its returns by little
    policy, _ = experts.load_expert(task)
    seeds = distributions.DISTRIBUTION_SEEDS[:4]
    measured = distributions.measure(policy, get_task(task), seeds)
    shipped = distributions.load(experts.asset(task, "_returns.csv")).sel(seed=list(seeds))
    means = [dataset["return"].mean("seed").values for dataset in (measured, shipped)]
    np.testing.assert_allclose(*means, rtol=0.02)


def test_a_card_is_added_to_without_touching_the_policy(tmp_path) -> None:
    policy = dataclasses.replace(random_policy(HOPPER), action_scale=0.4)
    save_policy(tmp_path / "p.safetensors", policy, {"task": "Hopper-v4", "note": 1})
    card = experts.update_card(tmp_path / "p.safetensors", {"note": 2, "distribution": {"seeds": "0-1"}})
    again, stored = load_policy(tmp_path / "p.safetensors")
    assert stored == card == {"task": "Hopper-v4", "note": 2, "distribution": {"seeds": "0-1"}}
    assert again.fingerprint() == policy.fingerprint()


def test_an_action_scale_multiplies_the_output_everywhere() -> None:
    policy = random_policy(HOPPER)
    scaled = dataclasses.replace(policy, action_scale=0.4)
    obs = np.random.default_rng(1).normal(size=(5, 11))
    np.testing.assert_allclose(scaled(obs), 0.4 * policy(obs), rtol=1e-6)
    draws = [p.sample(obs, np.random.default_rng(2)) for p in (scaled, policy)]
    np.testing.assert_allclose(draws[0], 0.4 * draws[1], rtol=1e-6)
    np.testing.assert_allclose(scaled.action_variance(obs), 0.16 * policy.action_variance(obs), rtol=1e-4, atol=1e-9)
    valid = np.ones(5, dtype=np.int64)
    np.testing.assert_allclose(scaled.actor().act(obs[:, None], valid), 0.4 * policy(obs), rtol=1e-4, atol=1e-6)
    assert scaled.fingerprint() != policy.fingerprint()
    assert scaled(obs).dtype == np.float32
    with pytest.raises(ValueError, match="action_scale must be a number in"):
        dataclasses.replace(policy, action_scale=0.0)

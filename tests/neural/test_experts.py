"""Experts: the shipped one keeps its promise, and choosing one does not look at the episodes it reports."""

import csv
import dataclasses
import json
from typing import Any

import numpy as np
import pytest

from neural.control import algorithms, expert_training, experts, training_state
from neural.control.algorithms import ALGORITHMS, actor_to_policy
from neural.control.expert_training import ExpertTraining, train
from neural.control.policies import MLPPolicy, load_policy, save_policy
from neural.control.rollout import evaluate
from neural.control.tasks import get_task

TASK = get_task("Walker2d-v4")


# Least mean promised. Another CPU rounds differently, the loop amplifies it, and an episode near a fall goes either
# way: the mean of 20 is then as uncertain as its spread over the 100 episodes of the distribution says.
PROMISES = {"Walker2d-v4": 4500, "Hopper-v4": 3300, "HalfCheetah-v4": 9300, "Ant-v4": 3500, "Humanoid-v4": 4000}


@pytest.mark.parametrize("name", PROMISES)
def test_the_shipped_expert_returns_what_its_card_says(name) -> None:
    policy, card = experts.load_expert(name)
    returns = evaluate([policy], get_task(name), experts.REPORT_SEEDS).returns[0]
    assert returns.mean() >= PROMISES[name]
    spread = card["distribution"]["deterministic"]["return_std"]
    assert returns.mean() == pytest.approx(card["return_mean"], rel=0.005, abs=5 * spread / np.sqrt(20))
    assert card["episodes"] == 20
    assert card["steps_trained"] >= 500_000
    assert policy.log_std_head is not None


def test_choice_and_report_use_different_episodes() -> None:
    used = [set(experts.SELECTION_SEEDS), set(experts.FINAL_SEEDS), set(experts.REPORT_SEEDS)]
    assert sum(map(len, used)) == len(set().union(*used))
    assert len(experts.REPORT_SEEDS) == 20


def constant_policy(action: float) -> MLPPolicy:
    return MLPPolicy((np.zeros((17, 6), np.float32),), (np.full(6, action, np.float32),), output="identity")


def test_select_takes_the_best_checkpoint_and_writes_card_and_curve(tmp_path) -> None:
    run = tmp_path / "run"
    candidates = {"raw_100": 0.9, "ema_100": 0.0, "raw_200": -0.7}
    for name, action in candidates.items():
        kind, step = name.split("_")
        save_policy(
            run / "checkpoints" / f"{name}.safetensors", constant_policy(action), {"kind": kind, "step": int(step)}
        )
    (run / "config.json").write_text(json.dumps({"config": dataclasses.asdict(ExpertTraining()), "versions": {}}))
    policies = [constant_policy(a) for a in candidates.values()]
    means = evaluate(policies, TASK, experts.FINAL_SEEDS).returns.mean(axis=1)
    best = list(candidates)[int(np.argmax(means))]
    card = experts.select(run, tmp_path / "expert.safetensors", finalists=3)
    assert f"{card['checkpoint']['kind']}_{card['checkpoint']['step']}" == best
    assert card["steps_trained"] == 200
    policy, stored = load_policy(tmp_path / "expert.safetensors")
    assert stored == card
    assert policy.biases[0][0] == np.float32(candidates[best])
    with (tmp_path / "expert_curve.csv").open() as file:
        assert [row[:2] for row in csv.reader(file)][1:] == [["ema", "100"], ["raw", "100"], ["raw", "200"]]
    with pytest.raises(FileNotFoundError, match="no checkpoints"):
        experts.select(tmp_path, tmp_path / "x.safetensors")


def test_actor_parameters_become_a_policy() -> None:
    rng = np.random.default_rng(0)
    shapes = [(17, 8), (8, 8), (8, 6), (8, 6)]
    layers = {f"Dense_{i}": {"kernel": rng.normal(size=s), "bias": rng.normal(size=s[1])} for i, s in enumerate(shapes)}
    policy = actor_to_policy({"params": layers})
    x = rng.normal(size=(3, 17))
    hidden = x
    for i in range(2):
        hidden = np.maximum(hidden @ layers[f"Dense_{i}"]["kernel"] + layers[f"Dense_{i}"]["bias"], 0)
    mean = np.tanh(hidden @ layers["Dense_2"]["kernel"] + layers["Dense_2"]["bias"])
    np.testing.assert_allclose(policy(x), mean, rtol=1e-4)
    assert policy.log_std_head is not None
    np.testing.assert_array_equal(policy.log_std_head[0], layers["Dense_3"]["kernel"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"steps": 0}, "steps must be an integer at least 1, got 0"),
        ({"learning_rate": 2.0}, r"learning_rate must be a number in \(0, 1\), got 2.0"),
        ({"ema_updates": 3}, "ema_updates must be an integer at least 32, got 3"),
        ({"algorithm": "trpo"}, "algorithm must be one of sac, tqc, crossq, td3, ddpg, ppo, got 'trpo'"),
    ],
)
def test_bad_training_settings_are_named(change, message) -> None:
    with pytest.raises(ValueError, match=message):
        ExpertTraining(**change)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # those of the training library are not ours
def test_training_leaves_checkpoints_that_can_be_chosen_from(tmp_path) -> None:
    pytest.importorskip("sbx")
    config = ExpertTraining(steps=640, learning_starts=200, checkpoint_every=320, batch_size=16)
    train(config, tmp_path / "run")
    names = sorted(p.name for p in (tmp_path / "run" / "checkpoints").iterdir())
    assert names == [f"{k}_{s:08d}.safetensors" for k in ("ema", "raw") for s in (320, 640)]
    card = experts.select(tmp_path / "run", tmp_path / "expert.safetensors", finalists=2)
    assert card["episodes"] == 20
    with pytest.raises(FileExistsError, match="complete"):
        train(config, tmp_path / "run")
    with pytest.raises(FileExistsError, match="differs in config"):
        train(dataclasses.replace(config, seed=1), tmp_path / "run")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_checkpoint_acts_as_the_actor_it_was_taken_from(algorithm, tmp_path, monkeypatch) -> None:
    pytest.importorskip("sbx")
    models: list[Any] = []

    def kept(*arguments) -> Any:
        models.append(algorithms.make_model(*arguments))
        return models[-1]

    monkeypatch.setattr(expert_training, "make_model", kept)
    config = ExpertTraining(
        task="Humanoid-v4", algorithm=algorithm, steps=2100, learning_starts=200, checkpoint_every=4000, batch_size=64
    )
    train(config, tmp_path / "run")
    last = models[0].num_timesteps
    policy, card = load_policy(tmp_path / "run" / "checkpoints" / f"raw_{last:08d}.safetensors")
    assert card["config"]["algorithm"] == algorithm
    x = np.random.default_rng(0).normal(size=(6, 376)).astype(np.float32)
    expected, _ = models[0].predict(x, deterministic=True)
    np.testing.assert_allclose(np.clip(policy(x), -0.4, 0.4), expected, rtol=2e-3, atol=2e-4)
    assert np.ptp(expected) > 0.05
    assert policy.stochastic == (algorithm not in ("td3", "ddpg"))
    if policy.stochastic:  # the spread of drawn actions, before they are clipped
        drawn = np.stack([models[0].policy._predict(x[:1], deterministic=False) for _ in range(2000)])[:, 0]
        variance = drawn.var(axis=0).sum() * policy.action_scale**2
        assert policy.action_variance(x[:1]).sum() == pytest.approx(variance, rel=0.2)  # over six standard errors


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_run_of_ppo_that_was_killed_is_refused(tmp_path) -> None:
    pytest.importorskip("sbx")
    config = ExpertTraining(task="Hopper-v4", algorithm="ppo", steps=2048, batch_size=512)
    train(config, tmp_path / "run")
    (tmp_path / "run" / "complete").unlink()
    with pytest.raises(FileExistsError, match="interrupted run of ppo, which cannot go on"):
        train(config, tmp_path / "run")


class Killed(Exception):
    """Stands for the end of the process."""


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("task", "algorithm"), [("Humanoid-v4", "sac"), *(("Hopper-v4", name) for name in ALGORITHMS if name != "ppo")]
)
def test_training_that_was_killed_goes_on_to_the_same_end(task, algorithm, tmp_path, monkeypatch) -> None:
    pytest.importorskip("sbx")
    short: Any = {"steps": 900, "learning_starts": 200, "checkpoint_every": 200, "batch_size": 16}
    config = ExpertTraining(task=task, algorithm=algorithm, **short)
    train(config, tmp_path / "whole")
    save = training_state.save
    for fatal in (2, 3):  # the third state is written but not followed by a step; then the fourth is cut off half-way
        calls = []

        def dying(directory, model, *rest, fatal=fatal, calls=calls) -> None:
            calls.append(1)
            if fatal == 3 and len(calls) == 2:
                monkeypatch.setattr(training_state, "save_arrays", lambda *a: (_ for _ in ()).throw(Killed))
            save(directory, model, *rest)
            if len(calls) == fatal:
                raise Killed

        monkeypatch.setattr(training_state, "save", dying)
        with pytest.raises(Killed):
            train(config, tmp_path / "killed")
        monkeypatch.undo()
    train(config, tmp_path / "killed")
    names = sorted(p.relative_to(tmp_path / "whole") for p in (tmp_path / "whole").rglob("*") if p.is_file())
    assert names == sorted(p.relative_to(tmp_path / "killed") for p in (tmp_path / "killed").rglob("*") if p.is_file())
    assert len(names) == 3 + 2 * 5
    for name in names:
        killed, whole = tmp_path / "killed" / name, tmp_path / "whole" / name
        if name.suffix == ".safetensors":  # whose header has no fixed order
            (ours, card), (theirs, expected) = load_policy(killed), load_policy(whole)
            assert card == expected
            arrays = [(*p.weights, *p.biases, *(p.log_std_head or ())) for p in (ours, theirs)]
            assert all(np.array_equal(a, b) for a, b in zip(*arrays, strict=True)), name
        else:
            assert killed.read_bytes() == whole.read_bytes(), name

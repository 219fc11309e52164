"""A finished run brought back: its end, what comes after it, the neighbours and centres made from it, and refusals."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

import gvatheory as gva
from neural.control.design import CloningExperiment
from neural.control.experiment import run
from neural.control.landscape import norm, path_direction
from neural.control.learner import Learner
from neural.control.neighbourhood import Directions, neighbours, run_centres
from neural.control.rebuild import experiment_of, parse_schedule, rebuild
from neural.control.rollout import evaluate
from neural.control.tasks import get_task

EXPERIMENT = CloningExperiment(
    task="Hopper-v4",
    episodes=2,
    held_out=1,
    learner=Learner(hidden=(8,), batch_size=4),
    schedule=gva.Warmup(gva.Constant(1e-2), 20),
    steps=30,
    evaluate=("EMA 0.01",),
    consecutive=2,
    spaced=0,
    rollouts=2,
    rollout_steps=30,
)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    directory = tmp_path_factory.mktemp("run")
    return directory, run(EXPERIMENT, directory)


def test_the_end_is_that_of_the_run(finished) -> None:
    directory, dataset = finished
    again = rebuild(directory)
    assert again.cloning.t == again.steps == 30
    assert len(again.train.results.seeds) == 2
    seeds = dataset["episode"].values.tolist()
    results = evaluate([again.policy(), again.policy("EMA 0.01")], again.task, seeds, max_steps=30)
    np.testing.assert_array_equal(results.returns, dataset["return"][-1])
    x, u = again.held_out.observations, again.held_out.actions
    losses = [np.mean(np.sum((again.policy(name)(x) - u) ** 2, axis=1)) for name in ("raw", "EMA 0.01")]
    np.testing.assert_allclose(losses, dataset["loss"][-1], rtol=1e-4)
    with pytest.raises(ValueError, match="updates must be an integer from 0 to 0, got 1"):
        again.cloning.advance(1)


def test_one_of_several_seeds_is_brought_back(finished, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("neural.control.experiment.SIDE_BY_SIDE", 0)
    several = dataclasses.replace(EXPERIMENT, seeds=(3, EXPERIMENT.learner.seed))
    dataset = run(several, tmp_path)
    seeds = dataset["episode"].values.tolist()
    for i, seed in enumerate(several.seeds):
        policy = rebuild(tmp_path, seed=seed).policy("EMA 0.01")
        returns = evaluate([policy], get_task("Hopper-v4"), seeds, max_steps=30).returns
        np.testing.assert_array_equal(returns[0], dataset["return"][i, -1, 1])
    alone, of_two = rebuild(finished[0], beyond=1), rebuild(tmp_path, beyond=1, seed=0)
    for one in (alone, of_two):
        one.cloning.advance(1)  # the next batch is that of the same seed, too
    np.testing.assert_array_equal(alone.policy().weights[0], of_two.policy().weights[0])
    with pytest.raises(ValueError, match=r"seed must be one of \[3, 0\], got 1"):
        rebuild(tmp_path, seed=1)
    with pytest.raises(ValueError, match="seed must be None for a run of one seed, got 0"):
        rebuild(finished[0], seed=0)
    monkeypatch.undo()
    with pytest.raises(ValueError, match="side by side cannot be taken apart"):
        rebuild(tmp_path, seed=3)


def test_a_configuration_is_read_back(finished) -> None:
    directory, _ = finished
    config = json.loads((directory / "config.json").read_text())
    assert experiment_of(config).describe() == EXPERIMENT.describe()
    bank = {"z": gva.PowerEMA(2 / 3, burn_in=3), "a": gva.EMA(0.5), "m": gva.EveryK(gva.Tail(0.5), 2)}
    own = dataclasses.replace(
        EXPERIMENT, bank=bank, evaluate=("m",), windows=((2, 3), (5, 9)), rollout_steps=None, action_noise=0.1
    )
    read = experiment_of(json.loads(json.dumps(own.describe(), sort_keys=True)))
    assert read == own
    assert list(read.bank) == ["z", "a", "m"]


def test_going_on_is_a_longer_run(finished, tmp_path) -> None:
    directory, _ = finished
    run(dataclasses.replace(EXPERIMENT, steps=33), tmp_path)
    longer, went_on = rebuild(tmp_path), rebuild(directory, beyond=3)
    pairs = neighbours(went_on, ["EMA 0.001"], 3, 1e-3)
    for name in ("raw", "EMA 0.001"):
        assert pairs[name][1].fingerprint() == longer.policy(name).fingerprint()
        assert pairs[name][0].fingerprint() == rebuild(directory).policy(name).fingerprint()
    near = pairs["raw, 0.001 of the step"]
    assert near[0].weights[0].dtype == np.float64
    step = norm(path_direction(*pairs["raw"]))
    assert norm(path_direction(*near)) == pytest.approx(1e-3 * step, rel=1e-6)


def test_centres_have_their_own_gradients_and_share_the_path(finished) -> None:
    directory, _ = finished
    again = rebuild(directory, beyond=4)
    centres, length = run_centres(again, ["EMA 0.01"], Directions(2, 1, batch_size=4), 4)
    whole = rebuild(directory, beyond=4)
    before = whole.policy()
    whole.cloning.advance(1)
    assert length == norm(path_direction(before, whole.policy()))
    (raw, along), (average, others) = centres["raw"], centres["EMA 0.01"]
    assert list(along) == ["gradient 1", "gradient 2", "random 1", "path", "to average"] == list(others)
    assert raw.fingerprint() == before.fingerprint()
    np.testing.assert_array_equal(along["path"][0][0], others["path"][0][0])
    assert not np.array_equal(along["gradient 1"][0][0], others["gradient 1"][0][0])
    assert norm(along["to average"]) == norm(path_direction(before, average))


def test_schedules_are_read_and_nothing_is_executed() -> None:
    for schedule in (
        gva.Cosine(0.1, 100),
        gva.Scaled(gva.Constant(0.1), 2.0),
        gva.Piecewise((10,), (gva.Constant(0.1), gva.Constant(0.2))),
    ):
        assert parse_schedule(repr(schedule)) == schedule
    for text in (
        "print(1)",
        "Constant(step_size=open('a'))",
        "Constant(",
        "Constant(step=1)",
        "Constant(step_size=-1)",
    ):
        with pytest.raises(ValueError, match="must be written as in"):
            parse_schedule(text)


def test_what_is_no_finished_run_is_refused(finished, tmp_path) -> None:
    directory, _ = finished
    with pytest.raises(FileNotFoundError, match=r"no config\.json"):
        rebuild(tmp_path)
    config = json.loads((directory / "config.json").read_text())
    for change, message in (
        ({"steps": 31}, "stopped at update 30 of 31"),
        ({"expert_sha256": "0"}, "not the one that is there now"),
        ({"bank": {**config["bank"], "EMA 0.01": "print(1)"}}, "must be written as in"),
        ({"bank": {"mine": "EMA(gamma=0.5, burn_in=0)"}}, "describes no cloning run"),
        ({"steps": None}, "steps must be an integer at least 1, got None"),
        ({"seeds": [1, 2]}, r"seed must be one of \[1, 2\], got None"),
        ({"fresh": 7}, "only a perceptron's run on fixed demonstrations"),
        ({"schedule": "Nothing()"}, "must be written as in"),
        ({"learner": {**config["learner"], "hidden": [9]}}, "of the checkpoint is"),
    ):
        (tmp_path / "config.json").write_text(json.dumps({**config, **change}))
        (tmp_path / "checkpoint.npz").write_bytes((directory / "checkpoint.npz").read_bytes())
        with pytest.raises(ValueError, match=message):
            rebuild(tmp_path)
    again = rebuild(directory)
    with pytest.raises(ValueError, match="got 'EMA 7'"):
        again.policy("EMA 7")
    with pytest.raises(ValueError, match="at least one average"):
        run_centres(again, [], Directions(), 1)
    with pytest.raises(ValueError, match="both be 0"):
        Directions(0, 0)

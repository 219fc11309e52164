"""Demonstrations as files: what is recorded is what `collect` gives, and damage does not go unnoticed."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from neural.control import demonstrations, minari_exchange
from neural.control.demonstrations import DemonstrationSpec, load, make, save
from neural.control.policies import save_policy
from neural.control.rollout import Demonstrations, collect
from neural.control.tasks import get_task
from paper_figs.cli import main
from tests.random_policies import random_policy

HOPPER = get_task("Hopper-v4")
EXPERT = random_policy(HOPPER)


@pytest.fixture
def spec(tmp_path, monkeypatch) -> DemonstrationSpec:
    """Twelve short episodes, in three shards."""
    monkeypatch.setattr(demonstrations, "SHARD_EPISODES", 5)
    save_policy(tmp_path / "expert.safetensors", EXPERT, {"algorithm": "none"})
    return DemonstrationSpec("Hopper-v4", str(tmp_path / "expert.safetensors"), episodes=12, seed=3, max_steps=15)


def same(a: Demonstrations, b: Demonstrations) -> None:
    for name in ("observations", "actions", "episode", "step"):
        x, y = getattr(a, name), getattr(b, name)
        assert x.dtype == y.dtype
        np.testing.assert_array_equal(x, y)
    for name in ("seeds", "returns", "lengths", "fallen", "bad"):
        np.testing.assert_array_equal(getattr(a.results, name), getattr(b.results, name))
    assert a.results.task == b.results.task


@pytest.mark.parametrize(("stochastic", "noise"), [(True, 0.0), (False, 0.3)])
def test_a_set_is_what_collect_gives(spec, tmp_path, stochastic, noise) -> None:
    calls: list[tuple[int, int]] = []
    spec = dataclasses.replace(spec, stochastic=stochastic, action_noise=noise)
    manifest = make(spec, tmp_path / "set", progress=lambda *a: calls.append(a))
    stored = load(tmp_path / "set", expert_sha256=EXPERT.fingerprint())
    expected = collect(
        EXPERT, HOPPER, range(3, 15), stochastic=stochastic, action_noise=noise, noise_seed=3, max_steps=15
    )
    same(stored.pairs, expected)
    np.testing.assert_array_equal(stored.truncated, ~expected.results.fallen[0])
    assert calls == [(5, 12), (10, 12), (12, 12)]
    assert stored.manifest == manifest
    assert sorted(manifest["files"]) == ["episodes.npz", *(f"pairs_{i:05d}.npz" for i in range(3))]
    assert manifest["sizes"]["pairs"] == len(expected.actions)
    assert manifest["seeds"] == [3, 14]
    assert manifest["policy"] == {"sha256": EXPERT.fingerprint(), "card": {"algorithm": "none"}}
    with pytest.raises(ValueError, match="not of 00"):
        load(tmp_path / "set", expert_sha256="00")
    with pytest.raises(FileExistsError, match="already holds demonstrations"):
        make(spec, tmp_path / "set")


@pytest.mark.parametrize("wanted", [1, 70, 71, 75, 100])
def test_as_many_pairs_as_asked_for(spec, tmp_path, wanted) -> None:
    make(dataclasses.replace(spec, episodes=None, pairs=wanted), tmp_path / "set")
    stored = load(tmp_path / "set").pairs
    whole = collect(EXPERT, HOPPER, range(3, 20), stochastic=True, noise_seed=3, max_steps=15)
    np.testing.assert_array_equal(stored.observations, whole.observations[:wanted])
    np.testing.assert_array_equal(stored.actions, whole.actions[:wanted])
    np.testing.assert_array_equal(stored.episode, whole.episode[:wanted])
    lengths = stored.results.lengths[0]
    assert lengths.sum() == wanted
    cut = lengths[-1] < whole.results.lengths[0, len(lengths) - 1]
    assert not (cut and stored.results.fallen[0, -1])
    assert load(tmp_path / "set").truncated[-1] == ~stored.results.fallen[0, -1]
    rewards, _ = minari_exchange.replay(stored)
    assert stored.results.returns[0, -1] == pytest.approx(rewards[stored.episode == len(lengths) - 1].sum())


def test_the_same_spec_gives_the_same_content(spec, tmp_path) -> None:
    contents = [
        make(dataclasses.replace(spec, seed=seed), tmp_path / name)["content_sha256"]
        for name, seed in (("a", 3), ("b", 3), ("c", 4))
    ]
    assert contents[0] == contents[1] != contents[2]


def test_a_flipped_bit_anywhere_is_noticed(spec, tmp_path) -> None:
    make(spec, tmp_path / "set")
    for file in sorted((tmp_path / "set").iterdir()):
        whole = file.read_bytes()
        for at in (0, len(whole) // 2, len(whole) - 1):
            file.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
            with pytest.raises(ValueError, match=rf"{file.name} is damaged"):
                load(tmp_path / "set")
        file.write_bytes(whole)
    load(tmp_path / "set")
    (tmp_path / "set" / "pairs_00001.npz").unlink()
    with pytest.raises(FileNotFoundError, match=r"pairs_00001.npz is missing"):
        load(tmp_path / "set")
    with pytest.raises(FileNotFoundError, match=r"lacks manifest.json"):
        load(tmp_path)


def test_an_interrupted_recording_is_no_set(spec, tmp_path, monkeypatch) -> None:
    def interrupted(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make(spec, tmp_path / "set", progress=interrupted)
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "set")
    make(spec, tmp_path / "set")
    assert len(load(tmp_path / "set").truncated) == 12


def test_an_expert_without_a_finite_action_is_refused(spec, tmp_path) -> None:
    broken = dataclasses.replace(EXPERT, obs_mean=np.full(11, np.nan), obs_std=np.ones(11), output="identity")
    save_policy(spec.expert or "", broken)
    with pytest.raises(ValueError, match="were not finite: no pairs"):
        make(dataclasses.replace(spec, episodes=None, pairs=20), tmp_path / "set")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"task": "Walker-v9"}, "task must be one of"),
        ({"episodes": None}, "one of episodes and pairs must be given, got None and None"),
        ({"pairs": 3}, "one of episodes and pairs must be given"),
        ({"episodes": 0}, "episodes must be an integer at least 1, got 0"),
        ({"seed": -1}, "seed must be an integer at least 0, got -1"),
        ({"max_steps": 0}, "max_steps must be an integer at least 1, got 0"),
        ({"action_noise": -0.1}, "action_noise must be a number in"),
    ],
)
def test_a_bad_spec_is_named(change, message) -> None:
    with pytest.raises(ValueError, match=message):
        DemonstrationSpec(**change)


def test_the_commands_make_and_show(spec, tmp_path, capsys) -> None:
    out = str(tmp_path / "set")
    options = ["--task", "Hopper-v4", "--expert", str(spec.expert), "--pairs", "20", "--max-steps", "15", "--fresh"]
    for arguments in (["make", "--out", out, *options], ["show", out]):
        with pytest.raises(SystemExit, match="0"):
            main(["demos", *arguments])
    made, shown = capsys.readouterr().out.split("all as recorded\n")[:2]
    assert made == shown
    manifest = json.loads(made[: made.rindex("}") + 1])
    assert manifest["sizes"]["pairs"] == 20
    assert manifest["seeds"][0] != 10_000


def test_a_replay_gives_rewards_and_notices_another_recording(spec, tmp_path) -> None:
    make(spec, tmp_path / "set")
    stored = load(tmp_path / "set")
    whole = minari_exchange.with_rewards(stored)
    assert whole.rewards is not None
    assert whole.final_observations is not None
    returns = np.bincount(stored.pairs.episode, whole.rewards)
    np.testing.assert_allclose(returns, stored.pairs.results.returns[0], rtol=1e-12)
    longer = collect(EXPERT, HOPPER, range(3, 15), stochastic=True, noise_seed=3, max_steps=16)
    kept = longer.results.lengths[0] == 16
    assert kept.any()
    seen = longer.observations[(longer.step == 15) & kept[longer.episode]]
    np.testing.assert_array_equal(whole.final_observations[kept], seen)
    stored.pairs.actions[7] = -stored.pairs.actions[7]
    with pytest.raises(ValueError, match=r"replay of episode \d departs from the recording at step \d"):
        minari_exchange.with_rewards(stored)
    noisy = dataclasses.replace(stored, manifest={"origin": {"recorded": {"action_noise": 0.1}}})
    with pytest.raises(ValueError, match="executed actions were not recorded"):
        minari_exchange.with_rewards(noisy)


# What follows needs Minari and its file format, which `make test-all` installs.


@pytest.fixture
def minari(tmp_path, monkeypatch) -> Any:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    pytest.importorskip("h5py")
    return pytest.importorskip("minari")


def equal_sets(a: demonstrations.StoredDemonstrations, b: demonstrations.StoredDemonstrations) -> None:
    same(a.pairs, b.pairs)
    for name in ("truncated", "rewards", "final_observations"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # those of the libraries are not ours
def test_a_set_goes_to_minari_and_back_unchanged(spec, tmp_path, minari) -> None:
    make(spec, tmp_path / "set")
    stored = load(tmp_path / "set")
    root = tmp_path / "root"
    where = minari_exchange.export_minari(stored, "hopper/random-v0", root)
    assert where == root / "hopper" / "random-v0"
    again = minari_exchange.import_minari("hopper/random-v0", root)
    whole = minari_exchange.with_rewards(stored)
    np.testing.assert_allclose(again.pairs.results.returns, stored.pairs.results.returns, rtol=1e-12)
    returns = {"returns": stored.pairs.results.returns}  # the same sum in another order
    again = dataclasses.replace(
        again, pairs=dataclasses.replace(again.pairs, results=dataclasses.replace(again.pairs.results, **returns))
    )
    equal_sets(again, whole)
    assert again.manifest["policy"]["sha256"] == EXPERT.fingerprint()
    save(tmp_path / "set2", again)
    equal_sets(load(tmp_path / "set2"), whole)
    assert not (tmp_path / "home").exists()
    with pytest.raises(FileExistsError, match="already holds a dataset"):
        minari_exchange.export_minari(stored, "hopper/random-v0", root)
    with pytest.raises(ValueError, match="Malformed dataset ID"):
        minari_exchange.export_minari(stored, "../hopper", root)
    with pytest.raises(FileNotFoundError, match="no Minari dataset hopper/other-v0"):
        minari_exchange.import_minari("hopper/other-v0", root)


def foreign(minari: Any, root: Path, monkeypatch, **change: Any) -> list[Any]:
    """A dataset of another environment: float32 observations, float64 actions, one seed unknown."""
    import gymnasium

    buffers = pytest.importorskip("minari.data_collector")
    rng = np.random.default_rng(0)
    episodes = []
    for e, (length, fallen) in enumerate(((4, True), (6, False))):
        over = np.arange(length) == length - 1
        fields: dict[str, Any] = {
            "observations": rng.normal(size=(length + 1, 3)).astype(np.float32),
            "actions": rng.uniform(-2, 2, size=(length, 2)),
            "rewards": rng.normal(size=length),
            "terminations": over & fallen,
            "truncations": over & (not fallen),
        }
        episodes.append(buffers.EpisodeBuffer(id=e, seed=7 if e else None, **(fields | change)))
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(root))
    minari.create_dataset_from_buffers(
        "other/thing-v1",
        episodes,
        observation_space=gymnasium.spaces.Box(-9, 9, (3,), np.float32),
        action_space=gymnasium.spaces.Box(-2, 2, (2,), np.float64),
    )
    return episodes


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_dataset_of_others_comes_in_and_goes_out_unchanged(tmp_path, minari, monkeypatch) -> None:
    episodes = foreign(minari, tmp_path / "root", monkeypatch)
    monkeypatch.delenv("MINARI_DATASETS_PATH")
    root, out = str(tmp_path / "root"), str(tmp_path / "set")
    for arguments in (
        ["import", "other/thing-v1", "--root", root, "--out", out],
        ["export", out, "--dataset", "ours/thing-v2", "--root", root],
    ):
        with pytest.raises(SystemExit, match="0"):
            main(["demos", *arguments])
    stored = load(out)
    assert stored.pairs.results.seeds == (demonstrations.UNKNOWN_SEED, 7)
    assert stored.pairs.observations.dtype == np.float32
    assert stored.pairs.actions.dtype == np.float64
    assert stored.manifest["policy"] == {}
    data = minari.MinariDataset(tmp_path / "root" / "ours" / "thing-v2" / "data")
    assert data.action_space.high.tolist() == [2.0, 2.0]
    for ours, theirs in zip(data.iterate_episodes(), episodes, strict=True):
        for name in ("observations", "actions", "rewards", "terminations", "truncations"):
            np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name))
    seeds = [one.get("seed") for one in data.storage.get_episode_metadata(range(2))]
    assert seeds == [None, 7]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_an_episode_that_ends_before_its_last_step_is_refused(tmp_path, minari, monkeypatch) -> None:
    foreign(minari, tmp_path / "root", monkeypatch, truncations=np.ones(4, bool), rewards=np.zeros(4))
    with pytest.raises(ValueError, match="must have steps, and end in its last one"):
        minari_exchange.import_minari("other/thing-v1", tmp_path / "root")

"""Policies trained elsewhere: the imported policy acts as the original, and what cannot be read is refused."""

import dataclasses
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from neural.control.imports import ImportOptions, import_policy
from neural.control.policies import load_policy
from neural.control.tasks import get_task
from paper_figs.cli import main

HOPPER, HUMANOID = get_task("Hopper-v4"), get_task("Humanoid-v4")
RELU = "<class 'torch.nn.modules.activation.ReLU'>"


def write_npz(path: Path, inputs: int, outputs: int, **extra: np.ndarray) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    arrays = {
        "W0": rng.normal(size=(inputs, 5)).astype(np.float32),
        "b0": rng.normal(size=5).astype(np.float32),
        "W1": rng.normal(size=(5, outputs)).astype(np.float32),
        "b1": rng.normal(size=outputs).astype(np.float32),
        **extra,
    }
    with path.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)
    return arrays


def observations(size: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(7, size))


def test_an_npz_is_read_with_its_normalisation_and_its_epsilon(tmp_path) -> None:
    rng = np.random.default_rng(2)
    mean, std = rng.normal(size=11), rng.uniform(0.5, 2.0, size=11)
    a = write_npz(tmp_path / "p.npz", 11, 3, obs_mean=mean, obs_std=std)
    options = ImportOptions(activation="tanh", output="identity", obs_eps=0.25)
    policy, origin = import_policy(tmp_path / "p.npz", HOPPER, options)
    x = observations(11)
    expected = np.tanh((x - mean) / (std + 0.25) @ a["W0"] + a["b0"]) @ a["W1"] + a["b1"]
    np.testing.assert_allclose(policy(x), expected, rtol=1e-4, atol=1e-5)
    assert origin["observations_normalised"]
    assert (origin["activation"], origin["output"], origin["action_scale"]) == ("tanh", "identity", 1.0)
    assert len(origin["sha256"]) == 64


def test_missing_observations_are_taken_as_zeros_at_the_end(tmp_path) -> None:
    rng = np.random.default_rng(3)
    mean, std = rng.normal(size=20), rng.uniform(0.5, 2.0, size=20)
    write_npz(tmp_path / "p.npz", 20, 3, obs_mean=mean, obs_std=std)
    options = ImportOptions(activation="relu", output="identity", zero_pad=True)
    policy, origin = import_policy(tmp_path / "p.npz", HOPPER, options)
    whole, _ = import_policy(
        tmp_path / "p.npz", dataclasses.replace(HOPPER, observation_size=20), dataclasses.replace(options)
    )
    x = observations(11)
    np.testing.assert_allclose(policy(x), whole(np.pad(x, ((0, 0), (0, 9)))), rtol=1e-4, atol=1e-5)
    assert origin["observations_padded"] == 9
    with pytest.raises(ValueError, match="observation_size 20, Hopper-v4 needs 11; zero_pad takes"):
        import_policy(tmp_path / "p.npz", HOPPER, dataclasses.replace(options, zero_pad=False))


def test_a_squashed_action_is_a_share_of_the_range(tmp_path) -> None:
    a = write_npz(tmp_path / "p.npz", 376, 17)
    policy, origin = import_policy(tmp_path / "p.npz", HUMANOID, ImportOptions(activation="relu", output="tanh"))
    x = observations(376)
    expected = 0.4 * np.tanh(np.maximum(x @ a["W0"] + a["b0"], 0) @ a["W1"] + a["b1"])
    np.testing.assert_allclose(policy(x), expected, rtol=1e-3, atol=1e-5)
    assert np.abs(policy(x)).max() > 0.39
    assert origin["action_scale"] == 0.4
    unscaled = ImportOptions(activation="relu", output="tanh", action_scale=1.0)
    np.testing.assert_allclose(import_policy(tmp_path / "p.npz", HUMANOID, unscaled)[0](x), expected / 0.4, rtol=1e-3)


def test_the_command_writes_a_policy_whose_card_says_where_it_is_from(tmp_path, capsys) -> None:
    write_npz(tmp_path / "p.npz", 11, 3)
    out = tmp_path / "p.safetensors"
    arguments = ["--task", "Hopper-v4", "--out", str(out), "--activation", "relu", "--output", "tanh"]
    with pytest.raises(SystemExit, match="0"):
        main(["expert", "import", str(tmp_path / "p.npz"), *arguments, "--episodes", "3"])
    policy, card = load_policy(out)
    assert policy.observation_size == 11
    assert card["source"]["file"] == "p.npz"
    assert card["episodes"] == 3
    assert json.loads(capsys.readouterr().out.rpartition("wrote")[0]) == card
    with pytest.raises(SystemExit, match="2"):
        main(["expert", "import", str(tmp_path / "p.npz"), *arguments[:2], "--out", "p.bin"])
    assert "out must end in .safetensors" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("p.npz", {}, "activation and output must be given"),
        ("p.npz", {"activation": "relu", "output": "tanh", "normalisation": "n.npz"}, "normalisation is for zips"),
        ("p.pkl", {}, "must end in one of"),
        ("bad.zip", {}, "not a readable zip"),
        ("empty.zip", {}, "lacks policy.pth"),
        ("bad.npz", {"activation": "relu", "output": "tanh"}, "not a readable npz"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused(tmp_path, name, options, message) -> None:
    write_npz(tmp_path / "p.npz", 11, 3)
    (tmp_path / "p.pkl").write_bytes(b"x")
    (tmp_path / "bad.zip").write_bytes(b"no zip")
    (tmp_path / "bad.npz").write_bytes(b"no npz")
    with zipfile.ZipFile(tmp_path / "empty.zip", "w") as archive:
        archive.writestr("data", "{}")
    with pytest.raises(ValueError, match=message):
        import_policy(tmp_path / name, HOPPER, ImportOptions(**options))
    with pytest.raises(FileNotFoundError):
        import_policy(tmp_path / "none.npz", HOPPER)


def test_bad_options_are_named() -> None:
    with pytest.raises(ValueError, match="action_scale must be a number"):
        ImportOptions(action_scale=-1.0)
    with pytest.raises(ValueError, match="obs_eps must be a number"):
        ImportOptions(obs_eps=-1.0)


# What follows needs torch, which `make test-all` installs.


def write_zip(path: Path, tensors: dict[str, np.ndarray], described: dict[str, Any] | None) -> None:
    torch = pytest.importorskip("torch")
    buffer = io.BytesIO()
    torch.save({k: torch.from_numpy(v) for k, v in tensors.items()}, buffer)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("policy.pth", buffer.getvalue())
        if described is not None:
            archive.writestr("data", json.dumps(described))


def linear(name: str, inputs: int, outputs: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(len(name))
    weight, bias = rng.normal(size=(outputs, inputs)), rng.normal(size=outputs)
    return {f"{name}.weight": weight.astype(np.float32), f"{name}.bias": bias.astype(np.float32)}


def ppo_tensors(**extra: np.ndarray) -> dict[str, np.ndarray]:
    policy = linear("mlp_extractor.policy_net.0", 11, 6) | linear("action_net", 6, 3)
    return policy | {"log_std": np.full(3, -1.0, np.float32)} | linear("mlp_extractor.value_net.0", 11, 6) | extra


@pytest.mark.slow
def test_a_zip_of_ppo_by_hand(tmp_path) -> None:
    tensors = ppo_tensors()
    write_zip(tmp_path / "p.zip", tensors, {"policy_kwargs": {}})
    policy, origin = import_policy(tmp_path / "p.zip", HOPPER)
    x = observations(11)
    hidden = np.tanh(x @ tensors["mlp_extractor.policy_net.0.weight"].T + tensors["mlp_extractor.policy_net.0.bias"])
    expected = hidden @ tensors["action_net.weight"].T + tensors["action_net.bias"]
    np.testing.assert_allclose(policy(x), expected, rtol=1e-4, atol=1e-5)
    assert (origin["output"], origin["action_scale"]) == ("identity", 1.0)
    np.testing.assert_allclose(policy.action_variance(x), np.exp(-2.0), rtol=1e-4)
    write_zip(tmp_path / "p.zip", tensors, {"policy_kwargs": {":type:": "<class 'dict'>", "activation_fn": RELU}})
    assert import_policy(tmp_path / "p.zip", HOPPER)[0].activation == "relu"
    write_zip(tmp_path / "p.zip", tensors, None)
    with pytest.raises(ValueError, match="activation must be given"):
        import_policy(tmp_path / "p.zip", HOPPER)
    assert import_policy(tmp_path / "p.zip", HOPPER, ImportOptions(activation="silu"))[0].activation == "silu"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("tensors", "described", "message"),
    [
        (ppo_tensors(log_std=np.zeros((6, 3), np.float32)), {}, "log_std must have shape"),
        ({"q_net.0.weight": np.zeros((2, 2), np.float32)}, {}, "holds no actor of SAC"),
        (ppo_tensors(**linear("features_extractor.cnn.0", 2, 2)), {}, "features extractor with weights"),
        (ppo_tensors(**linear("mlp_extractor.policy_net.3", 6, 6)), {}, "with a nonlinearity between them"),
        (linear("actor.latent_pi.0", 11, 4) | linear("actor.mu.0", 4, 3), {}, "gSDE"),
        (ppo_tensors(), {"policy_kwargs": {"activation_fn": RELU.replace("ReLU", "ELU")}}, "must be one of .*ELU"),
    ],
)
def test_a_zip_of_another_kind_is_refused(tmp_path, tensors, described, message) -> None:
    write_zip(tmp_path / "p.zip", tensors, described)
    with pytest.raises(ValueError, match=message):
        import_policy(tmp_path / "p.zip", HOPPER)


@pytest.mark.slow
def test_a_zip_that_would_run_code_is_refused_and_does_not(tmp_path) -> None:
    torch = pytest.importorskip("torch")
    target = tmp_path / "ran"

    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (target,)

    buffer = io.BytesIO()
    torch.save({"actor": Trap()}, buffer)
    with zipfile.ZipFile(tmp_path / "p.zip", "w") as archive:
        archive.writestr("policy.pth", buffer.getvalue())
    with pytest.raises(ValueError, match="not a file of plain tensors"):
        import_policy(tmp_path / "p.zip", HOPPER)
    assert not target.exists()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # those of the training library are not ours
@pytest.mark.parametrize("name", ["SAC", "TD3", "DDPG", "PPO", "A2C"])
def test_what_stable_baselines3_saved_acts_as_it_does_there(name, tmp_path) -> None:
    library = pytest.importorskip("stable_baselines3")
    import gymnasium

    wide = gymnasium.spaces.Box(-np.inf, np.inf, (376,)), gymnasium.spaces.Box(-0.4, 0.4, (17,))

    class Blank(gymnasium.Env):
        observation_space, action_space = wide

    model = getattr(library, name)("MlpPolicy", Blank(), seed=3)
    model.save(tmp_path / "m.zip")
    policy, origin = import_policy(tmp_path / "m.zip", HUMANOID)
    x = observations(376).astype(np.float32)
    expected, _ = model.predict(x, deterministic=True)
    np.testing.assert_allclose(np.clip(policy(x), -0.4, 0.4), expected, rtol=1e-3, atol=1e-5)
    assert origin["action_scale"] == (1.0 if name in ("PPO", "A2C") else 0.4)
    assert policy.stochastic == (name not in ("TD3", "DDPG"))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_normalisation_of_vec_normalize_is_given_as_an_npz(tmp_path) -> None:
    library = pytest.importorskip("stable_baselines3")
    import gymnasium

    wrappers = pytest.importorskip("stable_baselines3.common.vec_env")
    env = wrappers.VecNormalize(wrappers.DummyVecEnv([lambda: gymnasium.make("Hopper-v5")]), norm_reward=False)
    model = library.PPO("MlpPolicy", env, n_steps=64, seed=0)
    model.learn(256)
    model.save(tmp_path / "m.zip")
    rms = env.obs_rms
    with (tmp_path / "n.npz").open("wb") as file:
        np.savez(file, obs_mean=rms.mean, obs_var=rms.var)
    policy, origin = import_policy(tmp_path / "m.zip", HOPPER, ImportOptions(normalisation=tmp_path / "n.npz"))
    x = rms.mean + np.sqrt(rms.var) * observations(11)
    expected, _ = model.predict(env.normalize_obs(x), deterministic=True)
    np.testing.assert_allclose(np.clip(policy(x), -1, 1), expected, rtol=1e-3, atol=1e-5)
    assert len(origin["normalisation"]["sha256"]) == 64
    with (tmp_path / "n.npz").open("wb") as file:
        np.savez(file, obs_mean=rms.mean)
    with pytest.raises(ValueError, match="must hold obs_mean and one of obs_std and obs_var"):
        import_policy(tmp_path / "m.zip", HOPPER, ImportOptions(normalisation=tmp_path / "n.npz"))

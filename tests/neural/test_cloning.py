"""Cloning and its bank of averages: against kernels of the theory, an independent forward pass, and resumption."""

import dataclasses
import json
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

import gvatheory as gva
from neural import averages
from neural.control.cloning import CloningRun
from neural.control.design import CloningExperiment
from neural.control.experiment import run
from neural.control.learner import Learner
from neural.control.policies import MLPPolicy, load_npz_policy, load_policy, save_policy
from neural.runs import claim, load_arrays, load_dataset, save_arrays
from tests.budget import assert_mean

BANK = {
    "EMA": gva.EMA(0.1),
    "burnt": gva.PowerEMA(0.7, burn_in=12),
    "Polyak": gva.Polyak(),
    "tail": gva.Tail(0.25),
}
STEPS = 40


def small_run(steps: int = STEPS, **changes) -> CloningRun:
    rng = np.random.default_rng(0)
    observations = rng.normal(2.0, 3.0, size=(300, 5))
    observations[:, 4] = 7.0  # constant: must not divide by zero
    actions = np.tanh(observations[:, :2])
    learner = Learner(hidden=(16, 16), batch_size=8, **changes)
    return CloningRun(learner, gva.Constant(3e-3), averages.rate_table(BANK, steps), observations, actions)


def flat(policy: Any) -> np.ndarray:
    return np.concatenate([a.ravel() for a in (*policy.weights, *policy.biases)]).astype(np.float64)


def test_every_average_is_its_kernel_applied_to_the_iterates() -> None:
    cloning = small_run()
    iterates = [flat(cloning.policies([0])[0])]
    for _ in range(STEPS):
        cloning.advance(1)
        iterates.append(flat(cloning.policies([0])[0]))
    moved = np.abs(iterates[-1] - iterates[0]).max()
    assert moved > 0.01
    for member, average in enumerate(BANK.values(), start=1):
        expected = average.kernel(STEPS) @ np.array(iterates)
        got = flat(cloning.policies([member])[0])
        # float32 rounds once per update.
        assert np.abs(got - expected).max() < 40 * 2**-24 * np.abs(expected).max()


def test_rates_of_one_copy_the_iterate_exactly() -> None:
    cloning = small_run()
    cloning.advance(12)
    burnt = 1 + list(BANK).index("burnt")
    raw, average = cloning.policies([0, burnt])
    np.testing.assert_array_equal(flat(raw), flat(average))
    cloning.advance(20)
    raw, average = cloning.policies([0, burnt])
    assert not np.array_equal(flat(raw), flat(average))


def test_blocks_leave_what_updates_one_by_one_leave() -> None:
    """Over leaves of one chunk and of several, with rates of one at the end, inside and at the start of a block."""
    rng = np.random.default_rng(0)
    rates = rng.uniform(0.0, 0.3, size=(6, 4))
    rates[5, 1] = rates[2, 2] = rates[0, 3] = 1.0
    old = {"a": rng.normal(size=(4, 70_000)), "b": rng.normal(size=(4, 2, 3))}
    iterates = {"a": rng.normal(size=(8, 70_000)), "b": rng.normal(size=(8, 2, 3))}
    single = jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), (old, iterates))
    new = jax.jit(averages.fold)(*single, *averages.block_weights(rates, 8))
    for name, average in old.items():
        for t, gamma in enumerate(rates):
            gamma = gamma.reshape(-1, *[1] * (average.ndim - 1))
            average = (1 - gamma) * average + gamma * iterates[name][t]
        np.testing.assert_allclose(new[name], average, atol=20 * 2**-24)
        np.testing.assert_array_equal(new[name][1], single[1][name][5])


def test_an_average_of_a_path_at_rest_does_not_drift() -> None:
    at_rest = jnp.asarray(np.random.default_rng(0).normal(size=(1, 50)), jnp.float32)
    weights = averages.block_weights(np.full((32, 1), 1e-4), 32)
    fold = jax.jit(averages.fold)
    average = at_rest
    for _ in range(3000):
        average = fold(average, jnp.broadcast_to(at_rest[0], (32, 50)), *weights)
    np.testing.assert_allclose(average, at_rest, rtol=4 * 2**-24)


def test_the_path_does_not_depend_on_where_it_is_looked_at() -> None:
    at_once, piecewise = small_run(), small_run()
    at_once.advance(30)
    for updates in (1, 9, 20):
        piecewise.advance(updates)
    for a, b in zip(at_once.arrays().values(), piecewise.arrays().values(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_restored_runs_continue_bit_for_bit() -> None:
    whole, first, second = small_run(), small_run(), small_run()
    whole.advance(30)
    first.advance(11)
    second.restore(first.arrays())
    assert second.t == 11
    second.advance(19)
    for a, b in zip(whole.arrays().values(), second.arrays().values(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_checkpoint_of_another_shape_is_refused() -> None:
    arrays = small_run().arrays()
    arrays["leaf0"] = arrays["leaf0"][:2]
    with pytest.raises(ValueError, match="leaf0 of the checkpoint is"):
        small_run().restore(arrays)


def test_losses_match_the_policies_own_forward_pass() -> None:
    cloning = small_run(activation="tanh", output="tanh")
    cloning.advance(STEPS)
    rng = np.random.default_rng(1)
    x, u = rng.normal(2.0, 3.0, size=(200, 5)), rng.normal(size=(200, 2))
    losses = cloning.losses(cloning.pairs(x, u))
    for member, policy in enumerate(cloning.policies(list(range(5)))):
        assert isinstance(policy, MLPPolicy)
        expected = np.mean(np.sum((policy(x).astype(np.float64) - u) ** 2, axis=1))
        assert losses[member] == pytest.approx(expected, rel=1e-5)


def test_cloning_learns_and_seeds_differ() -> None:
    long, other = small_run(400), small_run(400, seed=1)
    before = long.losses(long._data)[0]
    assert not np.array_equal(flat(long.policies([0])[0]), flat(other.policies([0])[0]))
    long.advance(400)
    assert long.losses(long._data)[0] < 0.1 * before


def test_divergence_is_named() -> None:
    cloning = small_run()
    cloning.state[0][0]["W"] = cloning.state[0][0]["W"].at[0, 0].set(jnp.nan)
    with pytest.raises(FloatingPointError, match="the iterate diverged within the 3 updates before update 3"):
        cloning.advance(3)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: averages.rate_table({"raw": gva.EMA(0.1)}, 5), 'must not use the name "raw"'),
        (lambda: Learner(hidden=()), "hidden must name at least one layer"),
        (lambda: Learner(batch_size=0), "batch_size must be an integer at least 1, got 0"),
        (lambda: small_run().advance(STEPS + 1), "updates must be an integer from 0 to 40, got 41"),
        (lambda: CloningExperiment(steps=100, consecutive=0, spaced=0), "must not both be 0"),
        (
            lambda: CloningExperiment(steps=100, consecutive=101, spaced=1),
            "consecutive must be an integer from 0 to 100",
        ),
        (lambda: CloningExperiment(steps=3000, spaced=3, spacing=1500), "spaced must be an integer from 0 to 2, got 3"),
        (lambda: CloningExperiment(rollout_steps=0), "rollout_steps must be an integer at least 1, got 0"),
        (lambda: Learner(activation="sigmoid"), "activation must be one of"),  # pyright: ignore[reportArgumentType]
        (lambda: CloningExperiment(evaluate=("EMA 7",)), r"evaluate names \['EMA 7'\], which the bank lacks"),
    ],
)
def test_bad_values_are_named(call, message) -> None:
    with pytest.raises(ValueError, match=message):
        call()


def standing_policy() -> MLPPolicy:
    rng = np.random.default_rng(3)
    return MLPPolicy(
        weights=(0.3 * rng.normal(size=(17, 8)).astype(np.float32), 0.3 * rng.normal(size=(8, 6)).astype(np.float32)),
        biases=(np.zeros(8, np.float32), np.zeros(6, np.float32)),
        log_std_head=(np.zeros((8, 6), np.float32), np.full(6, -1.0, np.float32)),
    )


@pytest.fixture
def experiment(tmp_path) -> CloningExperiment:
    path = tmp_path / "expert.safetensors"
    save_policy(path, standing_policy(), {"algorithm": "none"})
    return CloningExperiment(
        expert=str(path),
        episodes=3,
        held_out=2,
        learner=Learner(hidden=(8,), batch_size=4),
        steps=60,
        evaluate=("EMA 0.01", "Polyak"),
        consecutive=3,
        spaced=12,
        spacing=5,
        rollouts=2,
        rollout_steps=40,
    )


def test_an_interrupted_experiment_resumes_to_the_identical_dataset(experiment, tmp_path) -> None:
    whole = run(experiment, tmp_path / "whole")
    assert whole.sizes == {"iterate": 14, "average": 3, "episode": 2}
    assert list(whole["average"].values) == ["raw", "EMA 0.01", "Polyak"]
    np.testing.assert_array_equal(whole["iterate"][whole["consecutive"] == 1], [58, 59, 60])
    np.testing.assert_array_equal(whole["iterate"][whole["spaced"] == 1], np.arange(5, 61, 5))
    assert np.isfinite(whole["return"]).all()
    assert (whole["length"] > 0).all()
    assert json.loads(whole.attrs["config"])["steps"] == 60
    assert 0 < float(whole["loss_floor"]) < float(whole["loss"].min())

    class Kill(Exception):
        pass

    def killer(stage: str, done: int, total: int) -> None:
        if stage == "cloning" and done > 50:
            raise Kill

    part = tmp_path / "part"
    with pytest.raises(Kill):
        run(experiment, part, progress=killer, checkpoint_seconds=1e9)
    assert (part / "checkpoint.npz").exists()
    assert not (part / "run.nc").exists()
    updates = []
    resumed = run(
        experiment, part, progress=lambda stage, done, _: updates.append(done) if stage == "cloning" else None
    )
    assert min(updates) > 30  # it did not start over
    for name in whole.data_vars:
        np.testing.assert_array_equal(whole[name], resumed[name], err_msg=str(name))
    stored = load_dataset(part / "run.nc")
    np.testing.assert_array_equal(stored["return"], resumed["return"])
    with pytest.raises(FileExistsError, match="holds a run that differs in steps"):
        run(dataclasses.replace(experiment, steps=61), part)
    # Another expert under the same path is another run.
    other_head = (np.ones((8, 6), np.float32), np.zeros(6, np.float32))
    save_policy(str(experiment.expert), dataclasses.replace(standing_policy(), log_std_head=other_head))
    with pytest.raises(FileExistsError, match="holds a run that differs in expert_sha256"):
        run(experiment, part)


def test_policies_survive_their_files(tmp_path) -> None:
    policy, path = standing_policy(), tmp_path / "p.safetensors"
    save_policy(path, policy, {"seed": 3})
    back, card = load_policy(path)
    assert card == {"seed": 3}
    x = np.random.default_rng(0).normal(size=(4, 17))
    np.testing.assert_array_equal(policy(x), back(x))
    rng = [np.random.default_rng(1) for _ in range(2)]
    np.testing.assert_array_equal(policy.sample(x, rng[0]), back.sample(x, rng[1]))
    (tmp_path / "bad.safetensors").write_bytes(b"not a policy")
    draws = np.stack([policy.sample(x, rng[0]) for _ in range(20_000)])
    assert_mean((draws - draws.mean(axis=0)) ** 2, policy.action_variance(x))
    with pytest.raises(ValueError, match="not a readable safetensors file"):
        load_policy(tmp_path / "bad.safetensors")
    with pytest.raises(FileNotFoundError, match="no safetensors file"):
        load_policy(tmp_path / "none.safetensors")


def test_variance_of_clipped_actions_is_that_of_a_censored_normal() -> None:
    """Against Tobin's moments: with h and l the bounds in standard units, E u = Φ(l) l + φ(l) − φ(h) + (1 − Φ(h)) h."""
    means = np.linspace(-3, 3, 61, dtype=np.float32)
    head = (np.zeros((1, 61), np.float32), np.full(61, np.log(0.7), np.float32))
    policy = MLPPolicy((np.zeros((1, 61), np.float32),), (means,), output="identity", log_std_head=head)
    low, high = (-0.5 - means) / 0.7, (0.8 - means) / 0.7
    inside = stats.norm.cdf(high) - stats.norm.cdf(low)
    first = stats.norm.pdf(low) - stats.norm.pdf(high) + low * stats.norm.cdf(low) + high * stats.norm.sf(high)
    second = inside + low * stats.norm.pdf(low) - high * stats.norm.pdf(high)
    second += low**2 * stats.norm.cdf(low) + high**2 * stats.norm.sf(high)
    expected = 0.49 * (second - first**2)
    x = np.zeros((1, 1))
    np.testing.assert_allclose(policy.action_variance(x, -0.5, 0.8)[0], expected, atol=1e-3 * 0.49)
    np.testing.assert_allclose(policy.action_variance(x)[0], 0.49, rtol=1e-6)


def test_imported_policies_are_normalised_and_checked(tmp_path) -> None:
    w, b = np.array([[2.0], [1.0]], np.float32), np.array([0.5], np.float32)
    np.savez(tmp_path / "p.npz", W0=w, b0=b, obs_mean=np.array([1.0, 0.0]), obs_std=np.array([2.0, 1.0]))
    policy = load_npz_policy(tmp_path / "p.npz", "tanh", "identity")
    assert policy(np.array([[3.0, 4.0]]))[0, 0] == pytest.approx(2 * 1 + 4 + 0.5)
    with pytest.raises(ValueError, match="layer 0: bias must have shape"):
        dataclasses.replace(policy, biases=(np.zeros(2, np.float32),))
    with pytest.raises(ValueError, match="obs_std must be positive"):
        dataclasses.replace(policy, obs_std=np.array([0.0, 1.0]))
    with pytest.raises(ValueError, match="no log_std_head"):
        policy.sample(np.zeros((1, 2)), np.random.default_rng(0))


def test_files_are_never_pickles_and_never_half_written(tmp_path) -> None:
    path = tmp_path / "a.npz"
    save_arrays(path, {"x": np.arange(3)})
    with pytest.raises(ValueError, match="'y' holds Python objects"):
        save_arrays(path, {"y": np.array([{}], dtype=object)})
    np.testing.assert_array_equal(load_arrays(path)["x"], np.arange(3))
    np.savez(tmp_path / "evil.npz", x=np.array([{}], dtype=object))
    with pytest.raises(ValueError, match="not a readable npz of plain arrays"):
        load_arrays(tmp_path / "evil.npz")
    (tmp_path / "cut.npz").write_bytes(path.read_bytes()[:-20])
    np.save(tmp_path / "single.npy", np.arange(3))
    for damaged in ("cut.npz", "single.npy"):
        with pytest.raises(ValueError, match="not a readable npz of plain arrays"):
            load_arrays(tmp_path / damaged)
    (tmp_path / "broken.nc").write_bytes(b"nothing")
    with pytest.raises(ValueError, match="not a readable netCDF"):
        load_dataset(tmp_path / "broken.nc")
    assert not list(tmp_path.glob("*.part"))


def test_a_directory_belongs_to_one_configuration(tmp_path) -> None:
    assert not claim(tmp_path / "r", {"a": 1, "b": (1, 2)})
    assert claim(tmp_path / "r", {"a": 1, "b": (1, 2)})
    with pytest.raises(FileExistsError, match="differs in b"):
        claim(tmp_path / "r", {"a": 1, "b": (1, 3)})

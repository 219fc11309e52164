"""What a cloning experiment measures and when, and that neither kills nor other seeds change a bit of it."""

import dataclasses
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import gvatheory as gva
from neural.control import experiment as module
from neural.control.cloning import CloningRun
from neural.control.demonstrations import DemonstrationSpec, load, make
from neural.control.design import CloningExperiment
from neural.control.experiment import run
from neural.control.learner import Learner
from neural.control.policies import load_policy, save_policy
from neural.control.snapshots import reconstruct_average, snapshot_path
from neural.runs import load_arrays, load_dataset
from paper_figs.clone_commands import Clone
from tests.neural.test_cloning import standing_policy

BANK = {"EMA 0.1": gva.EMA(0.1), "power 2/3": gva.PowerEMA(2 / 3), "Polyak": gva.Polyak(), "tail": gva.Tail(0.5)}


@pytest.fixture(scope="module")
def expert(tmp_path_factory) -> Path:
    """One that falls soon."""
    path = tmp_path_factory.mktemp("expert") / "expert.safetensors"
    save_policy(path, standing_policy())
    return path


def small(expert: Path, **changes) -> CloningExperiment:
    options = {
        "expert": str(expert),
        "episodes": 2,
        "held_out": 1,
        "learner": Learner(hidden=(8,), batch_size=4),
        "bank": BANK,
        "steps": 70,
        "evaluate": ("EMA 0.1",),
        "consecutive": 2,
        "spaced": 2,
        "spacing": 30,
        "rollouts": 2,
        "rollout_steps": 20,
    }
    return CloningExperiment(**{**options, **changes})


def assert_same(a: xr.Dataset, b: xr.Dataset) -> None:
    assert set(a.variables) == set(b.variables)
    for name in a.variables:
        assert a[name].values.tobytes() == b[name].values.tobytes(), name


def test_stored_demonstrations_are_cloned_and_their_last_episodes_held_out(expert, tmp_path) -> None:
    """Recorded from the seeds that a run would take, split in two, they are what it would have cloned."""
    spec = DemonstrationSpec(expert=str(expert), episodes=5, seed=module.DEMONSTRATION_SEED)
    make(spec, tmp_path / "set")
    stored = small(expert, demonstrations=str(tmp_path / "set"), held_out=2)
    train, held_out = module.demonstrations(stored, None)
    policy, _ = load_policy(expert)
    anew = module.demonstrations(small(expert, episodes=3), policy)[0]
    np.testing.assert_array_equal(train.observations, anew.observations)
    np.testing.assert_array_equal(train.actions, anew.actions)
    assert [len(set(d.episode)) for d in (train, held_out)] == [3, 2]
    whole = load(tmp_path / "set").pairs
    for name in ("observations", "actions", "step"):
        both = np.concatenate([getattr(train, name), getattr(held_out, name)])
        np.testing.assert_array_equal(both, getattr(whole, name))
    assert train.results.seeds + held_out.results.seeds == whole.results.seeds
    assert (held_out.episode[0], held_out.step[0], len(held_out.episode)) == (0, 0, held_out.results.lengths.sum())

    dataset = run(stored, tmp_path / "run")
    floor = policy.action_variance(held_out.observations, -1.0, 1.0).sum(axis=1).mean()
    assert float(dataset["loss_floor"]) == pytest.approx(floor)
    other = tmp_path / "other.safetensors"
    save_policy(other, dataclasses.replace(policy, biases=tuple(b + np.float32(0.1) for b in policy.biases)))
    assert np.isnan(run(dataclasses.replace(stored, expert=str(other)), tmp_path / "foreign")["loss_floor"])
    make(dataclasses.replace(spec, seed=7), tmp_path / "moved")
    (tmp_path / "set").rename(tmp_path / "first")
    (tmp_path / "moved").rename(tmp_path / "set")
    with pytest.raises(FileExistsError, match="differs in demonstrations_sha256"):
        run(stored, tmp_path / "run")
    for change, message in (
        ({"task": "Hopper-v4", "expert": None}, "must be of Hopper-v4, those are of Walker2d-v4"),
        ({"held_out": 5}, "held_out must be an integer from 1 to 4, got 5"),
    ):
        with pytest.raises(ValueError, match=message):
            run(dataclasses.replace(stored, **change), tmp_path / "refused" / message[:8])
    with pytest.raises(ValueError, match="fresh must not be given for stored demonstrations"):
        dataclasses.replace(stored, fresh=10)


class Stopped(Exception):
    pass


def stopping(after: int, stage: str = "cloning"):
    """Progress that stops the run once `stage` has got past `after`."""

    def report(now: str, done: int, total: int) -> None:
        if now == stage and done > after:
            raise Stopped

    return report


@pytest.fixture(scope="module")
def rich(expert) -> CloningExperiment:
    return small(
        expert, every=20, windows=((11, 13),), loss_every=7, fresh=25, snapshots=14, stored=("EMA 0.1", "Polyak")
    )


@pytest.fixture(scope="module")
def whole(rich, tmp_path_factory) -> tuple[xr.Dataset, Path]:
    out = tmp_path_factory.mktemp("whole")
    return run(rich, out), out


def test_everything_asked_for_is_measured_where_it_was_asked_for(whole) -> None:
    dataset, out = whole
    np.testing.assert_array_equal(dataset["iterate"], [11, 12, 13, 20, 40, 60, 69, 70])
    for name, members in (
        ("consecutive", [69, 70]),
        ("spaced", [40, 70]),
        ("every", [20, 40, 60]),
        ("window_11_13", [11, 12, 13]),
    ):
        np.testing.assert_array_equal(dataset["iterate"][dataset[name] == 1], members)
    np.testing.assert_array_equal(dataset["update"], np.arange(7, 71, 7))
    assert list(dataset["kept"].values) == ["raw", *BANK]
    assert dataset["update_loss"].dims == ("update", "kept")
    assert np.isfinite(dataset["update_loss"]).all()
    assert (dataset["update_gradient_noise"] > 0).all()
    # Where both are measured they agree.
    both = {"iterate": 70, "average": ["raw", "EMA 0.1"]}, {"update": 70, "kept": ["raw", "EMA 0.1"]}
    np.testing.assert_array_equal(dataset["loss"].sel(both[0]), dataset["update_loss"].sel(both[1]))
    for name in ("gradient_noise", "gradient_square"):
        assert float(dataset[name].sel(iterate=70)) == float(dataset[f"update_{name}"].sel(update=70))
    assert sorted(p.name for p in (out / "snapshots").iterdir()) == [f"{t:09d}.npz" for t in range(14, 71, 14)]


def test_a_run_stopped_again_and_again_ends_the_same(rich, whole, tmp_path) -> None:
    for after in (24, 25, 49, 69):  # before and after the data were replaced, within a block, between probes
        with pytest.raises(Stopped):
            run(rich, tmp_path, progress=stopping(after), checkpoint_seconds=0.0)
    with pytest.raises(Stopped):
        run(rich, tmp_path, progress=stopping(0, "rolling out"), checkpoint_seconds=0.0)
    seen = []
    resumed = run(rich, tmp_path, progress=lambda stage, done, _: seen.append(done) if stage == "cloning" else None)
    assert min(seen) == 70  # it did not start over
    assert_same(resumed, whole[0])
    for t in rich.snapshot_times():
        assert snapshot_path(tmp_path, t).read_bytes() == snapshot_path(whole[1], t).read_bytes()


def test_fresh_episodes_change_the_run_from_their_first_update_on(rich, whole, tmp_path) -> None:
    same = run(dataclasses.replace(rich, fresh=None), tmp_path)
    before = same["update"] <= 25
    for name in ("update_loss", "update_gradient_noise"):
        np.testing.assert_array_equal(same[name][before], whole[0][name][before])
        assert not np.array_equal(same[name][~before], whole[0][name][~before])


def test_every_fresh_stage_has_episodes_of_its_own(rich, tmp_path, monkeypatch) -> None:
    asked = []
    collect = module.collect
    monkeypatch.setattr(
        module, "collect", lambda *a, **k: (asked.append((*a[2], k["noise_seed"])), collect(*a, **k))[1]
    )
    run(dataclasses.replace(rich, every=None, windows=(), loss_every=None, snapshots=None, stored=()), tmp_path)
    assert asked == [
        (10_000, 10_001, 10_000),
        (20_000, 20_000),
        (1_000_000, 1_000_001, 1_000_000),
        (1_000_002, 1_000_003, 1_000_002),
    ]


def test_an_average_is_rebuilt_from_snapshots_within_the_error_its_residual_allows(expert, tmp_path) -> None:
    experiment = small(expert, snapshots=5, stored=("EMA 0.1", "Polyak"), every=1, spaced=0)
    kept = []
    original = CloningRun.policies

    def policies(self, members):
        kept.append(original(self, list(range(1 + len(BANK)))))
        return original(self, members)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(CloningRun, "policies", policies)
        run(experiment, tmp_path)

    def flat(policy) -> np.ndarray:
        return np.concatenate([a.ravel() for a in (*policy.weights, *policy.biases)]).astype(np.float64)

    first = CloningRun(experiment.learner, gva.Constant(1.0), np.ones((1, 1)), np.zeros((1, 17)), np.zeros((1, 6)))
    iterates = np.array([flat(first.policies([0])[0]), *(flat(members[0]) for members in kept)])
    for name, steps in (("power 2/3", 70), ("tail", 70), ("Polyak", 70), ("power 2/3", 40)):
        policy, reconstruction = reconstruct_average(experiment, tmp_path, BANK[name], steps)
        error = flat(policy) - BANK[name].kernel(steps) @ iterates[: steps + 1]
        residual = reconstruction.residual @ iterates[: steps + 1]
        rounding = 1e-6 * np.abs(reconstruction.coefficients).sum() * np.abs(iterates).max()
        np.testing.assert_allclose(error, residual, atol=rounding)
        about = iterates[: steps + 1] - iterates[: steps + 1].mean(axis=0)
        assert np.all(np.abs(error) <= reconstruction.residual_norm * np.linalg.norm(about, axis=0) + rounding)
        if steps == 70:  # it was kept as well
            np.testing.assert_allclose(
                flat(policy), flat(kept[-1][1 + list(BANK).index(name)]) + residual, atol=rounding
            )
    assert reconstruct_average(experiment, tmp_path, BANK["Polyak"]).reconstruction.residual_norm < 1e-7
    with pytest.raises(ValueError, match="steps must reach a snapshot, got 4"):
        reconstruct_average(experiment, tmp_path, BANK["Polyak"], 4)
    with pytest.raises(ValueError, match=r"seed must be one of \(0,\), got 5"):
        reconstruct_average(experiment, tmp_path, BANK["Polyak"], seed=5)


def test_seeds_one_after_another_are_their_own_runs_bit_for_bit(expert, tmp_path, monkeypatch) -> None:
    together = small(expert, seeds=(4, 1), steps=40, loss_every=20, snapshots=20, stored=("EMA 0.1",))
    monkeypatch.setattr(module, "SIDE_BY_SIDE", 0)
    dataset = run(together, tmp_path / "both")
    assert dataset["return"].dims == ("seed", "iterate", "average", "episode")
    np.testing.assert_array_equal(dataset["seed"], [4, 1])
    alone = dataclasses.replace(together, seeds=(), learner=dataclasses.replace(together.learner, seed=1))
    single = run(alone, tmp_path / "alone")
    assert_same(dataset.sel(seed=1).drop_vars("seed"), single)
    both, one = (
        reconstruct_average(experiment, tmp_path / name, gva.EMA(0.2), seed=1)
        for experiment, name in ((together, "both"), (alone, "alone"))
    )
    assert both.policy.fingerprint() == one.policy.fingerprint()


def test_seeds_side_by_side_differ_from_their_own_runs_by_rounding(expert, tmp_path) -> None:
    together = small(expert, seeds=(4, 1), steps=40, loss_every=20)
    out = tmp_path / "both"
    with pytest.raises(Stopped):
        run(together, out, progress=stopping(20), checkpoint_seconds=0.0)
    dataset = run(together, out)
    assert_same(dataset, run(together, tmp_path / "again"))
    for seed in (4, 1):
        alone = dataclasses.replace(together, seeds=(), learner=dataclasses.replace(together.learner, seed=seed))
        single = run(alone, tmp_path / str(seed))
        for name in ("update_loss", "loss", "update_gradient_noise"):
            np.testing.assert_allclose(dataset[name].sel(seed=seed), single[name], rtol=1e-4)
    assert not np.allclose(dataset["update_loss"][0], dataset["update_loss"][1], rtol=1e-2)


def test_a_transformer_is_cloned_and_rolled_out(expert, tmp_path) -> None:
    learner = Learner(architecture="transformer", window=3, width=8, heads=2, layers=1, batch_size=4)
    experiment = small(expert, learner=learner, steps=30, consecutive=1, spaced=0, seeds=(0,), evaluate=())
    with pytest.raises(Stopped):
        run(experiment, tmp_path / "part", progress=stopping(29))
    dataset = run(experiment, tmp_path / "part")
    assert_same(dataset, run(experiment, tmp_path / "whole"))
    assert (dataset["length"] > 0).all()
    assert float(dataset["gradient_noise"].squeeze()) > 0


def test_the_gradient_probe_keeps_the_windows_of_its_pairs() -> None:
    rng = np.random.default_rng(0)
    learner = Learner(architecture="transformer", window=3, width=4, heads=1, layers=1)
    x, u, step = rng.normal(size=(20, 5)), rng.normal(size=(20, 2)), np.arange(20) % 7
    cloning = CloningRun(learner, gva.Constant(1.0), np.ones((1, 0)), x, u, step)
    chosen = np.array([0, 1, 6, 7, 8, 15, 19])
    few, places = module._excerpt(cloning.pairs(x, u, step), chosen, learner)
    assert len(few.actions) == 1 + 2 + 3 + 1 + 2 + 2 + 3
    expected = cloning.gradient_noise(cloning.pairs(x, u, step), chosen)
    np.testing.assert_allclose(cloning.gradient_noise(few, places), expected, rtol=1e-5)


def test_a_bank_may_be_empty(expert, tmp_path) -> None:
    dataset = run(small(expert, bank={}, evaluate=(), steps=40, spaced=0), tmp_path)
    reference = run(small(expert, steps=40, spaced=0), tmp_path / "banked")
    np.testing.assert_array_equal(dataset["loss"], reference["loss"].sel(average=["raw"]))


def test_a_run_goes_to_its_end_even_if_nothing_is_measured_there(expert, tmp_path) -> None:
    dataset = run(small(expert, consecutive=0, spaced=0, windows=((3, 4),)), tmp_path)
    np.testing.assert_array_equal(dataset["iterate"], [3, 4])
    assert load_arrays(tmp_path / "checkpoint.npz")["t"] == 70


COMMAND = (
    "clone --episodes 2 --hidden 8 --batch-size 4 --steps 600 --consecutive 12 --spaced 3 --spacing 200 --rollouts 2"
    " --rollout-steps 30 --every 50 --loss-every 4 --fresh 250 --bank ema:0.01 power:2/3 --checkpoint-seconds 0"
)


def start(expert: Path, out: Path) -> subprocess.Popen:
    arguments = [*COMMAND.split(), "--expert", str(expert), "--out", str(out)]
    code = "import sys; from paper_figs.cli import main; main(sys.argv[1:])"
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment
    )


def seconds_at_work(process: subprocess.Popen, out: Path, kill_after: float | None) -> float:
    """Wait for the process to end, killing it so many seconds after its first checkpoint; seconds since that."""
    checkpoint, begun = out / "checkpoint.npz", time.time()
    while process.poll() is None and not (checkpoint.exists() and checkpoint.stat().st_mtime > begun):
        time.sleep(0.005)
    first = time.monotonic()
    if kill_after is not None:
        time.sleep(kill_after)
        process.send_signal(signal.SIGKILL)
    assert process.wait() in (0, -signal.SIGKILL)
    return time.monotonic() - first


def kill_and_compare(expert: Path, directory: Path, kills: int) -> None:
    """Kill runs `kills` times at random moments of their work, start each again until it is done, and compare."""
    out = directory / "whole"
    work = seconds_at_work(start(expert, out), out, None)
    whole, rng = load_dataset(out / "run.nc"), np.random.default_rng(0)
    killed, unfinished, done = 0, 0, 0
    while killed < kills or (directory / f"{done}").exists():
        out = directory / f"{done}"
        process = start(expert, out)
        seconds_at_work(process, out, rng.uniform(0, 0.7) * work if killed < kills else None)
        killed += process.returncode != 0
        unfinished += process.returncode != 0 and not (out / "run.nc").exists()
        if (out / "run.nc").exists():
            assert_same(load_dataset(out / "run.nc"), whole)
            done += 1
    assert unfinished > 0


def test_a_killed_run_ends_the_same(expert, tmp_path) -> None:
    kill_and_compare(expert, tmp_path, 2)


@pytest.mark.slow
def test_twenty_killed_runs_end_the_same(expert, tmp_path) -> None:
    kill_and_compare(expert, tmp_path, 20)


def test_the_command_line_spells_schedules_and_banks() -> None:
    experiment = Clone(
        schedule="wsd:1e-3,decay=10%",
        bank=("ema:0.01", "tail:0.2"),
        steps=3000,
        spaced=1,
        stored=("ema:0.01",),
        snapshots=9,
    ).experiment()
    assert experiment.schedule == gva.WarmupStableDecay(1e-3, 3000, 0, 300)
    assert experiment.bank == {"ema:0.01": gva.EMA(0.01), "tail:0.2": gva.Tail(0.2)}
    assert experiment.evaluate == ("ema:0.01", "tail:0.2")
    assert Clone(step_size=1e-3).experiment().schedule == gva.Constant(1e-3)
    with pytest.raises(ValueError, match="step_size and schedule must not both be given"):
        Clone(step_size=1e-3, schedule="constant:1").experiment()


def test_descriptions_name_only_what_was_added_to_them() -> None:
    """Directories of runs made before an option existed stay theirs."""
    names = CloningExperiment().describe()
    assert not {"every", "windows", "loss_every", "seeds", "fresh", "snapshots", "stored"} & names.keys()
    assert "architecture" not in names["learner"]
    changed = CloningExperiment(every=5, windows=((1, 2),), learner=Learner(architecture="transformer")).describe()
    assert changed["every"] == 5
    assert changed["windows"] == [[1, 2]]
    assert changed["learner"]["window"] == 8


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"every": 0}, "every must be an integer from 1 to 70, got 0"),
        ({"loss_every": 71}, "loss_every must be an integer from 1 to 70, got 71"),
        ({"windows": ((5, 4),)}, r"windows\[0\]: last must be an integer from 5 to 70, got 4"),
        ({"windows": ((1, 2), (1, 2))}, "windows must not repeat themselves"),
        ({"seeds": (1, -1)}, r"seeds\[1\] must be an integer at least 0, got -1"),
        ({"seeds": (1, 1)}, "seeds must not repeat themselves"),
        ({"snapshots": 5}, "snapshots and stored must be given together"),
        ({"snapshots": 5, "stored": ("tail",)}, r"stored must name averages that do not look ahead .* got \['tail'\]"),
        ({"snapshots": 5, "stored": ("EMA 3",)}, r"stored names \['EMA 3'\], which the bank lacks"),
    ],
)
def test_bad_values_are_named(expert, changes, message) -> None:
    with pytest.raises(ValueError, match=message):
        small(expert, **changes)


def test_a_checkpoint_of_other_probes_is_refused(expert, rich, whole, tmp_path) -> None:
    """One whose arrays do not fit, as when the file was put there by hand."""
    other = dataclasses.replace(rich, loss_every=None)
    with pytest.raises(Stopped):
        run(other, tmp_path, progress=stopping(40), checkpoint_seconds=0.0)
    (tmp_path / "config.json").write_bytes((whole[1] / "config.json").read_bytes())
    with pytest.raises(ValueError, match="the checkpoint lacks"):
        run(rich, tmp_path)

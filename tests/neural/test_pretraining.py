"""Training: against a plain loop of torch, in parts, resumed, by several processes; its probes; what it refuses."""

import dataclasses

import numpy as np
import pytest

pytest.importorskip("transformers")

import torch

import gvatheory as gva
from neural.averages import rate_table
from neural.language.batches import batches
from neural.language.gradient_noise import noise_scale
from neural.language.models import FlatModel, ModelSpec
from neural.language.pretraining import PretrainingRun, Trainer
from neural.language.processes import Processes
from tests.budget import assert_mean

SPEC = ModelSpec(20, width=16, layers=2, heads=2, hidden=24, context=12)
BANK = {"EMA": gva.EMA(0.1), "power": gva.PowerEMA(2 / 3), "late": gva.Polyak(burn_in=3)}
TOKENS = np.random.default_rng(0).integers(0, 20, 2_000)
STEPS = 50
SCHEDULE = gva.Warmup(gva.Cosine(1e-2, STEPS), 5)


def new(trainer: Trainer | None = None, schedule: gva.Schedule = SCHEDULE, **more) -> PretrainingRun:
    trainer = Trainer(batch_size=4) if trainer is None else trainer
    drawn = batches(TOKENS, SPEC.context, trainer.batch_size, trainer.seed)
    return PretrainingRun(SPEC, trainer, schedule, rate_table(BANK, STEPS), drawn, **more)


@pytest.mark.parametrize("parts", [1, 4])
def test_updates_are_those_of_a_plain_loop(parts: int) -> None:
    trainer = Trainer(batch_size=4, parts=parts, clip_norm=0.5)
    run = new(trainer)
    run.advance(20)
    module = FlatModel(SPEC, trainer.seed).module
    module.zero_grad(set_to_none=True)
    named = list(module.parameters())
    groups = [
        {"params": [p for p in named if p.ndim > 1], "weight_decay": 0.1},
        {"params": [p for p in named if p.ndim < 2], "weight_decay": 0.0},
    ]
    optimiser = torch.optim.AdamW(groups, lr=0.0, betas=(0.9, 0.95))
    norms = []
    for t, step_size in enumerate(SCHEDULE.step_sizes(STEPS)[:20]):
        ids = torch.from_numpy(batches(TOKENS, SPEC.context, 4, 0)(t))
        logits = module(input_ids=ids[:, :-1]).logits
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten())
        optimiser.zero_grad()
        loss.backward()
        norms.append(float(torch.nn.utils.clip_grad_norm_(named, 0.5)))
        for group in optimiser.param_groups:
            group["lr"] = step_size
        optimiser.step()
        assert float(loss.detach()) == pytest.approx(run.training_loss[t], rel=2e-4)
    assert max(norms) > 0.5  # so that something was cut
    np.testing.assert_allclose(run.gradient_norm[:20], norms, rtol=2e-3)
    expected = dict(module.named_parameters())
    for name, tensor in SPEC.tensors(run.model.vector).items():
        np.testing.assert_allclose(tensor.detach(), expected[name].detach(), atol=2e-3)


def test_a_batch_in_parts_has_the_same_gradient() -> None:
    whole, parted = new(), new(Trainer(batch_size=4, parts=4))
    whole.advance(1)
    parted.advance(1)
    np.testing.assert_allclose(whole.gradient_norm[0], parted.gradient_norm[0], rtol=1e-5)
    np.testing.assert_allclose(whole.model.gradient, parted.model.gradient, atol=1e-7)


def test_half_precision_is_of_the_passes_alone() -> None:
    whole, half = new(), new(Trainer(batch_size=4, precision="bfloat16"))
    for run in (whole, half):
        run.advance(10)
    assert half.model.vector.dtype == half.bank.averages.dtype == torch.float32
    difference = np.abs(half.training_loss[:10] - whole.training_loss[:10])
    assert 0.0 < difference.max() < 0.02


def test_a_resumed_run_is_the_same_to_the_bit() -> None:
    whole, broken = new(), new()
    whole.advance(45)
    for stretch in (7, 30, 3, 5):  # a block of averages ends within the second
        stored = {name: value.copy() for name, value in broken.tensors().items()}
        broken = new()
        broken.restore(stored)
        broken.advance(stretch)
    for (name, a), b in zip(whole.tensors().items(), broken.tensors().values(), strict=True):
        assert np.array_equal(a, b, equal_nan=True), name
    windows = batches(TOKENS, SPEC.context, 6, 1)(0)
    assert np.array_equal(whole.losses(windows, [0, 2, 1]), broken.losses(windows, [0, 2, 1]))
    assert np.array_equal(whole.steps_taken([0, 1, 2, 3]), broken.steps_taken([0, 1, 2, 3]))


def test_a_state_that_does_not_fit_is_refused() -> None:
    stored = dict(new().tensors())
    del stored["averages"]
    with pytest.raises(ValueError, match=r"does not fit this run in \['averages'\]"):
        new().restore(stored)
    run = new()
    run.advance(1)
    stored = dict(run.tensors())
    del stored["exp_avg1"]
    with pytest.raises(ValueError, match=r"does not fit this run in \['exp_avg1'\]"):
        new().restore(stored)


def test_losses_and_vectors_are_those_of_the_members() -> None:
    run = new()
    run.advance(9)
    windows = batches(TOKENS, SPEC.context, 6, 1)(0)
    losses, vectors = run.losses(windows, [0, 2]), run.vectors([0, 2])
    assert torch.equal(vectors[0], run.model.vector)
    assert torch.equal(vectors[1], run.bank.read()[1])
    ids = torch.from_numpy(windows)
    for row, vector in zip(losses, vectors, strict=True):
        with run.model.holding(vector), torch.no_grad():
            logits = run.model.module(input_ids=ids[:, :-1]).logits
        expected = torch.nn.functional.cross_entropy(logits.transpose(1, 2), ids[:, 1:], reduction="none").mean(dim=1)
        np.testing.assert_allclose(row, expected, rtol=1e-5)


def test_steps_taken_are_the_changes_of_the_members() -> None:
    run = new()
    assert np.isnan(run.steps_taken([0, 1])).all()
    for _ in range(6):
        before = run.vectors([0, 1, 2, 3])
        run.advance(1)
        after = run.vectors([0, 1, 2, 3])
        found = run.steps_taken([0, 1, 2, 3])
        expected = (after - before).norm(dim=1).numpy()
        known = ~np.isnan(found)
        assert known.all()
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-6)


def test_divergence_is_named_and_leaves_the_last_state() -> None:
    run = new(schedule=gva.Constant(1e30))
    with pytest.raises(FloatingPointError, match=r"update 2 diverged: its loss is 2.99.*, its gradient's norm nan"):
        run.advance(5)
    assert run.t == 1
    assert np.isfinite(run.training_loss[0])
    assert np.isnan(run.training_loss[1])


def test_processes_share_a_batch_and_sum_its_gradient() -> None:
    """Two processes, run one after the other: what the second adds is what the first had lacked."""
    trainer = Trainer(batch_size=4, parts=4)
    whole = new(trainer)
    whole.advance(1)
    halves = []
    for rank in (0, 1):
        run = new(trainer, processes=Processes(rank, 2, lambda tensor: tensor))
        run.advance(1)
        halves.append(run)
    assert halves[0].training_loss[0] + halves[1].training_loss[0] == pytest.approx(whole.training_loss[0])
    assert halves[0].processes.first
    assert not halves[1].processes.first
    with pytest.raises(ValueError, match="parts must be a multiple of the 2 processes, got 1"):
        new(Trainer(batch_size=4), processes=Processes(0, 2, lambda tensor: tensor))


def test_processes_must_agree() -> None:
    """Two processes, whose sums are made up."""
    agreeing = Processes(0, 2, lambda tensor: 2 * tensor)
    agreeing.require_same("update", 7)
    agreeing.wait()
    differing = Processes(1, 2, lambda tensor: tensor + torch.tensor([5.0, 25.0], dtype=torch.float64))
    with pytest.raises(RuntimeError, match="the 2 processes differ in the update"):
        differing.require_same("update", 7)


def test_noise_scale_is_unbiased() -> None:
    """Gaussian gradients with a known mean and covariance."""
    rng = np.random.default_rng(0)
    mean, spread = rng.normal(size=7), np.linspace(0.1, 1.0, 7)
    found = []
    for _ in range(4_000):
        gradients = mean + spread * rng.normal(size=(5, 7))
        one = noise_scale(gradients @ gradients.T)
        assert one.scale == pytest.approx(one.trace / one.square)
        found.append((one.trace, one.square))
    assert_mean(np.array(found), np.array([np.sum(spread**2), np.sum(mean**2)]))


def test_errors_of_the_noise_scale_are_those_seen() -> None:
    rng = np.random.default_rng(1)
    found, stated = [], []
    for _ in range(400):
        gradients = 1.0 + rng.normal(size=(16, 9))
        one = noise_scale(gradients @ gradients.T)
        found.append((one.trace, one.square, one.scale))
        stated.append(one.errors)
    np.testing.assert_allclose(np.sqrt(np.mean(np.square(stated), axis=0)), np.std(found, axis=0), rtol=0.25)
    with pytest.raises(ValueError, match=r"shape \(n, n\) with n ≥ 3, got \(2, 2\)"):
        noise_scale(np.eye(2))


def test_gradients_of_windows_are_those_of_their_losses() -> None:
    run = new()
    run.advance(3)
    windows = batches(TOKENS, SPEC.context, 4, 1)(0)
    products = run.gradient_noise(windows)
    gradients = []
    for window in windows:
        run.model.gradient.zero_()
        ids = torch.from_numpy(window[None])
        logits = run.model.module(input_ids=ids[:, :-1]).logits
        torch.nn.functional.cross_entropy(logits[0], ids[0, 1:]).backward()
        gradients.append(run.model.gradient.clone())
    expected = torch.stack(gradients)
    np.testing.assert_allclose(products, expected @ expected.T, rtol=1e-4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"batch_size": 0}, "batch_size must be an integer at least 1, got 0"),
        ({"parts": 3}, "parts must divide the batch size 8, got 3"),
        ({"parts": 9}, "parts must be an integer from 1 to 8, got 9"),
        ({"beta2": 1.0}, "beta2 must be a number in"),
        ({"clip_norm": 0.0}, "clip_norm must be a number in"),
        ({"precision": "float16"}, "precision must be one of"),
        ({"seed": 2**62 - 1}, r"seed must be an integer from 0 to 4611686018427387902"),
        ({"weight_decay": -1.0}, "weight_decay must be a number in"),
        ({"epsilon": 0.0}, "epsilon must be a number in"),
    ],
)
def test_bad_training_is_named(change: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(Trainer(), **change)


def test_a_run_ends() -> None:
    run = new()
    run.advance(STEPS)
    with pytest.raises(ValueError, match="updates must be an integer from 0 to 0, got 1"):
        run.advance(1)

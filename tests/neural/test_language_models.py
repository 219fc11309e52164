"""Specifications, the vector of parameters, stored models, and their exchange with `transformers`."""

import dataclasses
import json
from dataclasses import asdict

import numpy as np
import pytest

pytest.importorskip("transformers")

import torch

from neural.language.models import SIZES, FlatModel, ModelSpec, load_module, sized
from neural.language.stored_models import StoredModels, export, load_models
from neural.runs import save_tensors

SPEC = ModelSpec(20, width=16, layers=2, heads=4, key_value_heads=2, hidden=24, context=12)
IDS = torch.arange(24).reshape(2, 12) % 20


@pytest.mark.parametrize(
    ("size", "vocabulary", "millions"), [("tiny", 1024, 1.0), ("small", 4096, 10.0), ("paper", 32_000, 270.0)]
)
def test_named_sizes_are_what_they_say(size: str, vocabulary: int, millions: float) -> None:
    spec = sized(size, vocabulary, 256)
    assert spec.parameters == pytest.approx(1e6 * millions, rel=0.1)
    assert set(SIZES) == {"tiny", "small", "paper"}


def test_every_parameter_has_one_place_and_matrices_come_first() -> None:
    model = FlatModel(SPEC, 0)
    count = sum(p.numel() for p in model.module.parameters())
    assert count == SPEC.parameters == len(model.vector) == sum(slot.size for slot in SPEC.slots)
    places = np.concatenate([np.arange(slot.start, slot.start + slot.size) for slot in SPEC.slots])
    assert np.array_equal(places, np.arange(count))
    assert all(slot.start < SPEC.matrix_parameters for slot in SPEC.slots if len(slot.shape) > 1)
    assert SPEC.matrix_parameters == sum(p.numel() for p in model.module.parameters() if p.ndim > 1)


def test_model_and_gradient_are_views_of_the_vectors() -> None:
    model = FlatModel(SPEC, 0)
    before = model.module(input_ids=IDS).logits
    with model.holding(torch.zeros_like(model.vector)):
        assert not model.module(input_ids=IDS).logits.any()
    assert torch.equal(model.module(input_ids=IDS).logits, before)
    before.square().sum().backward()
    for name, parameter in model.module.named_parameters():
        assert parameter.grad is not None
        assert torch.equal(SPEC.tensors(model.gradient)[name], parameter.grad)
    assert model.gradient.norm() > 0


def test_a_start_is_a_function_of_its_seed_and_leaves_torchs_generator_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    first = FlatModel(SPEC, 1).vector
    assert torch.equal(torch.rand(3), expected)
    assert torch.equal(first, FlatModel(SPEC, 1).vector)
    assert not torch.equal(first, FlatModel(SPEC, 2).vector)
    spread = first[: SPEC.matrix_parameters].std()
    assert spread == pytest.approx(SPEC.initial_spread, rel=0.1)


def test_a_loaded_module_computes_the_same() -> None:
    model = FlatModel(SPEC, 3)
    module = load_module(SPEC, model.vector.numpy())
    with torch.no_grad():
        assert torch.equal(module(input_ids=IDS).logits, model.module(input_ids=IDS).logits)
    with pytest.raises(ValueError, match=r"vector must have shape \(\d+,\), got \(3,\)"):
        load_module(SPEC, np.zeros(3, np.float32))


def test_an_exported_model_is_read_by_transformers(tmp_path) -> None:
    from transformers import AutoModelForCausalLM

    vectors = np.stack([FlatModel(SPEC, seed).vector.numpy() for seed in (0, 1)])
    models = StoredModels(SPEC, ("raw", "EMA"), vectors, 7)
    export(models, "EMA", tmp_path / "out")
    module = AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    with torch.no_grad():
        assert torch.allclose(module(input_ids=IDS).logits, load_module(SPEC, vectors[1])(input_ids=IDS).logits)
    with pytest.raises(ValueError, match="model must be one of"):
        export(models, "Polyak", tmp_path / "other")
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="out must be a directory"):
        export(models, "EMA", tmp_path / "file")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"vocabulary_size": 1}, "vocabulary_size must be an integer at least 2, got 1"),
        ({"width": 20, "heads": 4}, "width must be a multiple of 2 · heads = 8, got 20"),
        ({"key_value_heads": 3}, "key_value_heads must divide heads = 4, got 3"),
        ({"key_value_heads": 8}, "key_value_heads must be an integer from 1 to 4, got 8"),
        ({"context": 1}, "context must be an integer at least 2, got 1"),
        ({"layers": 0}, "layers must be an integer at least 1, got 0"),
        ({"norm_epsilon": 0.0}, "norm_epsilon must be a number in"),
    ],
)
def test_bad_specifications_are_named(change: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(SPEC, **change)


def test_an_unknown_size_is_named() -> None:
    with pytest.raises(ValueError, match=r"size must be one of \['paper', 'small', 'tiny'\], got 'huge'"):
        sized("huge", 10, 10)


def test_files_that_hold_no_models_are_refused(tmp_path) -> None:
    file = tmp_path / "models.safetensors"
    save_tensors(file, {"vectors": np.zeros((1, 3), np.float32)}, {"format": "other"})
    with pytest.raises(ValueError, match="must be of format"):
        load_models(file)
    facts = {"format": "gvatheory language models 1", "names": '["raw"]', "update": "1"}
    save_tensors(file, {"vectors": np.zeros((1, 3), np.float32)}, {**facts, "model": '{"vocabulary_size": 20}'})
    with pytest.raises(ValueError, match="its parameters are too few for the model that it names"):
        load_models(file)
    save_tensors(
        file, {"vectors": np.zeros((2, SPEC.parameters), np.float32)}, {**facts, "model": json.dumps(asdict(SPEC))}
    )
    with pytest.raises(ValueError, match="is damaged: its parameters are float32 of shape"):
        load_models(file)
    save_tensors(file, {"vectors": np.zeros((1, 3), np.float32)}, {**facts, "model": '{"unknown": 20}'})
    with pytest.raises(ValueError, match="is damaged"):
        load_models(file)

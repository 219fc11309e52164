"""Decoder-only transformers, Llama-style (Touvron et al. 2023), built by `transformers` from a random start.

All parameters of a model lie in one vector, so that an average of models is an average of vectors, one optimiser call
updates them all, and a stored model is one row of an array. `ModelSpec.slots` says where each named tensor lies in it;
`FlatModel` is a `transformers` model whose tensors are views of such a vector.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import math
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from gvatheory import validation


class Slot(NamedTuple):
    """Place of one tensor in the vector of parameters.

    Attributes:
        name: that of `LlamaForCausalLM.named_parameters`.
        start: of its first entry.
        shape: of the tensor, which lies there row by row.
    """

    name: str
    start: int
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        """Number of its entries."""
        return math.prod(self.shape)

    def of(self, vectors: torch.Tensor) -> torch.Tensor:
        """The tensor in each of (..., P) vectors, as a view of shape (..., *shape)."""
        return vectors[..., self.start : self.start + self.size].unflatten(-1, self.shape)


@dataclasses.dataclass(frozen=True)
class ModelSpec:
    """A Llama-style decoder with tied embeddings, rotary positions, no biases and no dropout.

    Attributes:
        vocabulary_size: number of tokens, ≥ 2.
        width: of the residual stream, a multiple of `heads` with an even quotient.
        layers: ≥ 1.
        heads: of attention, ≥ 1.
        key_value_heads: that share keys and values among the heads, a divisor of `heads`; None for as many as those.
        hidden: width of the gated feed-forward part, ≥ 1.
        context: tokens that the model may see at a time, ≥ 2.
        rope_theta: base of the rotary frequencies, > 0.
        norm_epsilon: of the root-mean-square norms, > 0.
        initial_spread: standard deviation of the initial weights, > 0.

    Raises:
        ValueError: naming the field, its value and the allowed range.
    """

    vocabulary_size: int
    width: int = 128
    layers: int = 4
    heads: int = 4
    key_value_heads: int | None = None
    hidden: int = 352
    context: int = 256
    rope_theta: float = 10_000.0
    norm_epsilon: float = 1e-6
    initial_spread: float = 0.02

    def __post_init__(self) -> None:
        validation.integer("vocabulary_size", self.vocabulary_size, 2)
        validation.integer("context", self.context, 2)
        for name in ("width", "layers", "heads", "hidden"):
            validation.integer(name, getattr(self, name), 1)
        for name in ("rope_theta", "norm_epsilon", "initial_spread"):
            validation.positive(name, getattr(self, name))
        if self.width % (2 * self.heads):
            raise ValueError(f"width must be a multiple of 2 · heads = {2 * self.heads}, got {self.width}")
        validation.integer("key_value_heads", self.shared_heads, 1, self.heads)
        if self.heads % self.shared_heads:
            raise ValueError(f"key_value_heads must divide heads = {self.heads}, got {self.shared_heads}")

    @property
    def shared_heads(self) -> int:
        """Number of heads of keys and values."""
        return self.heads if self.key_value_heads is None else self.key_value_heads

    @property
    def head_width(self) -> int:
        """Entries of a head's queries, keys and values."""
        return self.width // self.heads

    def config(self) -> LlamaConfig:
        """The same as `transformers` has it."""
        return LlamaConfig(
            vocab_size=self.vocabulary_size,
            hidden_size=self.width,
            intermediate_size=self.hidden,
            num_hidden_layers=self.layers,
            num_attention_heads=self.heads,
            num_key_value_heads=self.shared_heads,
            max_position_embeddings=self.context,
            rms_norm_eps=self.norm_epsilon,
            initializer_range=self.initial_spread,
            rope_parameters={"rope_type": "default", "rope_theta": self.rope_theta},
            tie_word_embeddings=True,
            attention_bias=False,
            mlp_bias=False,
            attention_dropout=0.0,
            use_cache=False,
            # The ends of documents are the corpus's affair; no id has a meaning of its own here.
            bos_token_id=None,
            eos_token_id=None,
            pad_token_id=None,
        )

    @functools.cached_property
    def slots(self) -> tuple[Slot, ...]:
        """Where every tensor lies: matrices first, in the model's order, then the vectors, which are not decayed."""
        with torch.device("meta"):
            named = dict(LlamaForCausalLM(self.config()).named_parameters())
        ordered = sorted(named, key=lambda name: named[name].ndim < 2)
        out, start = [], 0
        for name in ordered:
            out.append(Slot(name, start, tuple(named[name].shape)))
            start += out[-1].size
        return tuple(out)

    @property
    def parameters(self) -> int:
        """P, the length of the vector."""
        return self.slots[-1].start + self.slots[-1].size

    @property
    def matrix_parameters(self) -> int:
        """How many of them belong to matrices; they come first."""
        return sum(slot.size for slot in self.slots if len(slot.shape) > 1)

    def tensors(self, vector: torch.Tensor) -> dict[str, torch.Tensor]:
        """Named views of a (P,) vector."""
        return {slot.name: slot.of(vector) for slot in self.slots}


SIZES: Mapping[str, dict[str, int]] = {
    "tiny": {"width": 128, "layers": 4, "heads": 4, "hidden": 352},
    "small": {"width": 320, "layers": 8, "heads": 5, "hidden": 768},
    "paper": {"width": 1024, "layers": 18, "heads": 16, "hidden": 2880},
}
"""About 1M parameters with 1,024 tokens, 10M with 4,096, 270M with 32,000."""


def sized(size: str, vocabulary_size: int, context: int) -> ModelSpec:
    """The specification of a named size.

    Raises:
        ValueError: naming the size, or the argument out of range.
    """
    if size not in SIZES:
        raise ValueError(f"size must be one of {sorted(SIZES)}, got {size!r}")
    return ModelSpec(vocabulary_size, context=context, **SIZES[size])


class FlatModel:
    """A `LlamaForCausalLM` whose parameters, and gradients, are views of one vector each.

    Attributes:
        spec: what it is.
        module: the model of `transformers`.
        vector: (P,) float32, its parameters: change them in place.
        gradient: (P,) float32, to which `backward` adds.
    """

    def __init__(self, spec: ModelSpec, seed: int, device: torch.device | str = "cpu") -> None:
        """A random start: the weights are a function of the spec and the seed, 0 ≤ seed < 2⁶³, alone."""
        validation.integer("seed", seed, 0, 2**63 - 1)
        self.spec = spec
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            module = LlamaForCausalLM(spec.config())
        named = dict(module.named_parameters())
        self.vector = torch.cat([named[slot.name].detach().reshape(-1) for slot in spec.slots]).float().to(device)
        self.gradient = torch.zeros_like(self.vector)
        self.module: LlamaForCausalLM = module.to(device)  # pyright: ignore[reportArgumentType]
        named = dict(self.module.named_parameters())
        for slot in spec.slots:
            named[slot.name].data = slot.of(self.vector)
            named[slot.name].grad = slot.of(self.gradient)

    @property
    def device(self) -> torch.device:
        """Where the parameters are."""
        return self.vector.device

    @contextlib.contextmanager
    def holding(self, vector: torch.Tensor) -> Iterator[None]:
        """Within the block the model has the parameters of another vector."""
        kept = self.vector.clone()
        self.vector.copy_(vector)
        try:
            yield
        finally:
            self.vector.copy_(kept)


def load_module(spec: ModelSpec, vector: np.ndarray) -> LlamaForCausalLM:
    """A free-standing model of `transformers` with the parameters of a (P,) vector, in evaluation mode.

    Raises:
        ValueError: if the vector is not of that length.
    """
    if vector.shape != (spec.parameters,):
        raise ValueError(f"vector must have shape ({spec.parameters},), got {vector.shape}")
    module = LlamaForCausalLM(spec.config())
    state: dict[str, Any] = {k: v.clone() for k, v in spec.tensors(torch.from_numpy(vector.copy())).items()}
    module.load_state_dict(state, strict=False)
    module.tie_weights()
    return module.eval()

"""The forward pass of `models` as functions of plain tensors, for several models of one specification at once.

A model is a row of (M, P) vectors, and every tensor carries the M models in front, so that a matrix product is one
batched product over models: M = 1 where each thread has a model of its own, M as large as memory lets it on an
accelerator. The training model is that of `transformers`; here is the same arithmetic with a cache of keys and values
that is written in place, without masks, because all rows of a call are at the same position of their texts.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import dataclasses
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple, TypeVar

import numpy as np
import torch
import torch.nn.functional as F

from neural.language.models import ModelSpec

Job = TypeVar("Job")
Result = TypeVar("Result")


class Layer(NamedTuple):
    """Weights of one layer; matrices are (M, inputs, outputs), norms (M, 1, width).

    Attributes:
        attention_norm: scale before attention.
        query_key_value: to the heads' queries, then the shared heads' keys, then their values.
        output: from the heads back to the stream.
        feed_norm: scale before the feed-forward part.
        gate_up: to the gate, then to what it lets through.
        down: back to the stream.
    """

    attention_norm: torch.Tensor
    query_key_value: torch.Tensor
    output: torch.Tensor
    feed_norm: torch.Tensor
    gate_up: torch.Tensor
    down: torch.Tensor


@dataclasses.dataclass(frozen=True, eq=False)
class Networks:
    """M models made ready.

    Attributes:
        spec: what they are.
        embedding: (M, V, width), of tokens and, transposed, to their logits.
        layers: from the first to the last.
        norm: (M, 1, width), scale after them.
        cosine, sine: (context, head width) of the rotary angles; the first half of each row of `sine` is negated.
    """

    spec: ModelSpec
    embedding: torch.Tensor
    layers: tuple[Layer, ...]
    norm: torch.Tensor
    cosine: torch.Tensor
    sine: torch.Tensor

    @property
    def models(self) -> int:
        """M."""
        return len(self.embedding)


def networks(spec: ModelSpec, vectors: torch.Tensor) -> Networks:
    """The models whose parameters are the rows of (M, P) vectors, on their device; mostly views of them."""
    named = spec.tensors(vectors)

    def matrix(layer: int, *names: str) -> torch.Tensor:
        parts = [named[f"model.layers.{layer}.{name}_proj.weight"] for name in names]
        return (torch.cat(parts, dim=1) if len(parts) > 1 else parts[0]).mT

    def scale(name: str) -> torch.Tensor:
        return named[f"{name}.weight"][:, None]

    layers = tuple(
        Layer(
            scale(f"model.layers.{i}.input_layernorm"),
            matrix(i, "self_attn.q", "self_attn.k", "self_attn.v"),
            matrix(i, "self_attn.o"),
            scale(f"model.layers.{i}.post_attention_layernorm"),
            matrix(i, "mlp.gate", "mlp.up"),
            matrix(i, "mlp.down"),
        )
        for i in range(spec.layers)
    )
    cosine, sine = (table.to(vectors.device) for table in _rotary(spec))
    return Networks(spec, named["model.embed_tokens.weight"], layers, scale("model.norm"), cosine, sine)


def _rotary(spec: ModelSpec) -> tuple[torch.Tensor, torch.Tensor]:
    """Rotary position embedding (Su et al. 2021): entries i and i + head_width/2 turn as a pair."""
    half = spec.head_width // 2
    # Rounded where `transformers` rounds: the frequencies in float32, then their products with the positions.
    frequencies = 1.0 / spec.rope_theta ** (torch.arange(0, spec.head_width, 2).float() / spec.head_width)
    angles = torch.arange(spec.context).float()[:, None] * frequencies.repeat(2)
    sign = torch.ones(spec.head_width)
    sign[:half] = -1.0
    return angles.cos(), angles.sin() * sign


def empty_cache(spec: ModelSpec, models: int, rows: int, positions: int, device: torch.device) -> torch.Tensor:
    """Room for the keys and values of every layer: (layers, 2, M·rows, shared heads, positions, head width)."""
    shape = (spec.layers, 2, models * rows, spec.shared_heads, positions, spec.head_width)
    return torch.empty(shape, device=device)


def forward(nets: Networks, tokens: torch.Tensor, start: int = 0, cache: torch.Tensor | None = None) -> torch.Tensor:
    """What the last layer leaves in the stream, normalised.

    Args:
        nets: M models.
        tokens: (M, rows, t) ids at positions start .. start + t − 1 of their rows.
        start: 0 without a cache.
        cache: as `empty_cache` makes it, with positions before `start` filled in; those of the tokens are added. With
            a cache, t is 1.

    Returns:
        (M, rows·t, width).
    """
    shape, length = tokens.shape[:2], tokens.shape[2]
    which = torch.arange(nets.models, device=tokens.device)[:, None]
    x = nets.embedding[which, tokens.flatten(1)]
    turn = nets.cosine[start : start + length], nets.sine[start : start + length]
    for i, layer in enumerate(nets.layers):
        heads = torch.bmm(_normalised(nets, x, layer.attention_norm), layer.query_key_value)
        heads = heads.view(shape[0] * shape[1], length, -1, nets.spec.head_width).transpose(1, 2)
        mixed = _attention(nets.spec, heads, turn, start, None if cache is None else cache[i])
        x = x + torch.bmm(mixed.transpose(1, 2).reshape(x.shape), layer.output)
        gate, up = torch.bmm(_normalised(nets, x, layer.feed_norm), layer.gate_up).chunk(2, dim=-1)
        x = x + torch.bmm(F.silu(gate) * up, layer.down)
    return _normalised(nets, x, nets.norm)


def logits(nets: Networks, stream: torch.Tensor) -> torch.Tensor:
    """(M, n, V) scores of the next token from what `forward` returns, (M, n, width)."""
    return torch.bmm(stream, nets.embedding.mT)


def _normalised(nets: Networks, x: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    return F.rms_norm(x, x.shape[-1:], eps=nets.spec.norm_epsilon) * scale


def _attention(
    spec: ModelSpec,
    heads: torch.Tensor,
    turn: tuple[torch.Tensor, torch.Tensor],
    start: int,
    cache: torch.Tensor | None,
) -> torch.Tensor:
    """Causal attention of (n, heads + 2 shared heads, t, head width): (n, heads, t, head width)."""
    turning, values = heads[:, : spec.heads + spec.shared_heads], heads[:, spec.heads + spec.shared_heads :]
    cosine, sine = turn
    turned = turning * cosine + turning.roll(spec.head_width // 2, dims=-1) * sine
    queries, keys = turned[:, : spec.heads], turned[:, spec.heads :]
    n, length = len(heads), heads.shape[2]
    if cache is not None:
        for kept, new in zip(cache, (keys, values), strict=True):
            kept[:, :, start : start + length] = new
        keys, values = cache[:, :, :, : start + length]
    if length > 1:
        shared = spec.heads > spec.shared_heads
        return F.scaled_dot_product_attention(queries, keys, values, is_causal=True, enable_gqa=shared)
    # The newest token sees all: no mask, and heads that share keys and values stand as the queries of one head.
    grouped = queries.reshape(n, spec.shared_heads, -1, spec.head_width)
    return F.scaled_dot_product_attention(grouped, keys, values).reshape(queries.shape)


def require_weights(spec: ModelSpec, weights: np.ndarray | torch.Tensor) -> None:
    """ValueError unless weights are (M ≥ 1, P) finite floating-point numbers."""
    if weights.ndim != 2 or not len(weights) or weights.shape[1] != spec.parameters:
        raise ValueError(f"weights must have shape (models ≥ 1, {spec.parameters}), got {tuple(weights.shape)}")
    floating = weights.is_floating_point() if isinstance(weights, torch.Tensor) else weights.dtype.kind == "f"
    if not floating:
        raise ValueError(f"weights must be floating-point numbers, got {weights.dtype}")
    for i, row in enumerate(weights):
        finite = torch.isfinite(row) if isinstance(row, torch.Tensor) else np.isfinite(row)
        if not bool(finite.all()):
            raise ValueError(f"weights must be finite, row {i} is not")


def load(spec: ModelSpec, weights: np.ndarray | torch.Tensor, which: slice, device: torch.device) -> Networks:
    """The models of some rows of (M, P) weights, from a float32 copy on the device: aligned alike for every row."""
    rows = weights[which]
    if isinstance(rows, torch.Tensor):
        return networks(spec, rows.detach().to(device, torch.float32, copy=True).contiguous())
    # Copied twice: PyTorch takes no negative strides, and aligns what it copies itself.
    return networks(spec, torch.tensor(np.array(rows, dtype=np.float32), device=device))


def each(work: Callable[[Job], Result], jobs: Iterable[Job], device: torch.device) -> Iterator[tuple[Job, Result]]:
    """Jobs with their results, as they are done.

    On a CPU there are as many at a time as PyTorch has threads, each in one thread and without threads of its own: the
    small operations of these models leave a second thread waiting, and what a thread computes does not then depend on
    how many there are. Elsewhere they run one after another.
    """
    workers = torch.get_num_threads() if device.type == "cpu" else 1

    def run(job: Job) -> Result:
        with torch.inference_mode():
            return work(job)

    with _one_thread(), concurrent.futures.ThreadPoolExecutor(workers) as pool:
        futures = {pool.submit(run, job): job for job in jobs}
        try:
            for future in concurrent.futures.as_completed(futures):
                # Popped, so that a result is not kept here.
                yield futures.pop(future), future.result()
        finally:
            pool.shutdown(cancel_futures=True)


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """PyTorch's operations, and those of threads that start within, run in one thread each."""
    kept = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(kept)

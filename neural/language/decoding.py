"""What many models of one specification write after the same prompts, and what they think of given texts.

All rows of a block are at the same position of their texts: a row whose prompt is not over yet reads its next token
where another writes one. So rows need no padding and no masks, positions are those that the model was trained on, and
what is computed for a row depends on its own length alone. Prompts, too, are read one token at a time. Reading them in
one pass would save a part of the time in proportion to their length, and would make a row's rounding depend on the
other prompts.

Sampling is a maximum of logits/temperature + Gumbel noise, with the same noise for every model (Gumbel 1954; as a
coupling of two models, Oberst and Sontag 2019): two models choose differently only where their logits differ enough.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence

import numpy as np
import torch

from gvatheory import validation
from neural.language.inference import Networks, each, empty_cache, forward, load, logits, require_weights
from neural.language.models import ModelSpec

ROWS = 32
"""Rows of a block on a CPU, the missing ones padded: products then always have the same shape."""

_LOWEST_TEMPERATURE = 1e-6
"""Logits over less may leave the range of float32."""

_ACCELERATOR_ROWS = 256
"""Most rows of a block elsewhere."""

_ACCELERATOR_BYTES = 4 * 2**30
"""Memory for parameters and caches of the models that an accelerator computes at once."""

_LOGITS = 2**21
"""Most logits of given texts in memory at a time, per thread."""


@dataclasses.dataclass(frozen=True, eq=False)
class Continuations:
    """T tokens of each of M models after each of N prompts.

    Attributes:
        tokens: (M, N, T) int64.
        gaps: (M, N, T) float32, score of the chosen token minus that of the second; a score is the logit at
            temperature 0, else logit/temperature + Gumbel noise.
        log_probabilities: (M, N, T) float32 of the chosen token, at temperature 1, under the model that chose it, nats.
    """

    tokens: np.ndarray
    gaps: np.ndarray
    log_probabilities: np.ndarray


@dataclasses.dataclass(frozen=True, eq=False)
class _Block:
    """Prompts that are continued together.

    Attributes:
        places: (n,) of the prompts in the call.
        tokens: (rows ≥ n, positions) the prompts, one per row from the left; zeros elsewhere.
        lengths: (rows,) of the prompts; the longest for the rows that stand for none.
    """

    places: np.ndarray
    tokens: torch.Tensor
    lengths: torch.Tensor


def continuations(
    spec: ModelSpec,
    weights: np.ndarray | torch.Tensor,
    prompts: Sequence[np.ndarray],
    length: int,
    *,
    temperature: float = 0.0,
    seed: int = 0,
    device: torch.device | str | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Continuations:
    """Each model's continuation of each prompt.

    On a CPU a continuation is, bit for bit, a function of its own model, prompt and `length`, and of (seed, n) if it is
    sampled, whatever the other models and prompts of the call, if the BLAS in use computes the rows of a product of
    fixed shape independently of each other (MKL does; tested). On an accelerator it is so up to rounding: a token can
    then differ where its gap is about 1e-5 of the logits' size, and the rest of its text with it.

    Args:
        spec: of the models.
        weights: (M, P) their parameters; computed with in float32.
        prompts: N vectors of ids, each with 1 to `context` − `length` of them.
        length: T ≥ 1, tokens to write.
        temperature: 0 for the token of the largest logit, the first in the vocabulary of equals; else from 1e-6.
        seed: of the Gumbel noise, from 0 to 2^63 − 1. The noise of token t of prompt n, its place in `prompts`, is a
            function of (seed, n, t) and the vocabulary's size alone, so that it is shared by all models.
        device: where to compute; the CPU by default.
        progress: called with continuations done and in all, now and then.

    Raises:
        ValueError: naming an argument out of range, before anything is computed.
    """
    checked = _checked(spec, prompts, length)
    _require_temperature(temperature)
    validation.integer("seed", seed, 0, 2**63 - 1)
    require_weights(spec, weights)
    where, models, count = torch.device(device or "cpu"), len(weights), len(checked)
    at_once, rows = _shares(spec, models, count, max(map(len, checked)) + length, where)
    jobs = [
        (block, slice(i, min(i + at_once, models)))
        for block in _blocks(checked, rows, length)
        for i in range(0, models, at_once)
    ]

    @functools.lru_cache(maxsize=torch.get_num_threads())
    def noise(block: _Block) -> torch.Tensor | None:
        if temperature == 0.0:
            return None
        drawn = np.zeros((rows, length, spec.vocabulary_size), dtype=np.float32)
        for row, n in enumerate(block.places):
            drawn[row] = _gumbel(seed, int(n), length, spec.vocabulary_size)
        return torch.from_numpy(drawn).to(where)

    def work(job: tuple[_Block, slice]) -> tuple[np.ndarray, ...]:
        block, which = job
        written = _continue(load(spec, weights, which, where), block, length, temperature, noise(block))
        return tuple(values[:, : len(block.places)].cpu().numpy() for values in written)

    shape, done = (models, count, length), 0
    out = Continuations(np.empty(shape, np.int64), np.empty(shape, np.float32), np.empty(shape, np.float32))
    for (block, which), parts in each(work, jobs, where):
        for whole, part in zip((out.tokens, out.gaps, out.log_probabilities), parts, strict=True):
            whole[which, block.places] = part
        done += len(parts[0]) * len(block.places)
        if progress is not None:
            progress(done, models * count)
    return out


def token_losses(
    spec: ModelSpec,
    weights: np.ndarray | torch.Tensor,
    tokens: np.ndarray,
    *,
    device: torch.device | str | None = None,
) -> np.ndarray:
    """What every model loses on every token of given texts: −log p of token i + 1 given tokens 0 .. i, in column i.

    Texts of several lengths may be filled up on the right with any tokens: a loss depends on nothing to its right.
    Results do not depend on the other texts and models but for rounding.

    Args:
        spec: of the models.
        weights: (M, P) their parameters; computed with in float32.
        tokens: (N, t) ids, the same for all models, N ≥ 1 and 2 ≤ t ≤ `context`.
        device: where to compute; the CPU by default.

    Returns:
        (M, N, t − 1) float32, nats.

    Raises:
        ValueError: naming an argument out of range, before anything is computed.
    """
    texts = _texts(spec, tokens, 2)
    require_weights(spec, weights)
    where = torch.device(device or "cpu")
    count, length = texts.shape
    rows = max(1, _LOGITS // (length * spec.vocabulary_size))
    out = np.empty((len(weights), count, length - 1), dtype=np.float32)

    def work(model: int) -> None:
        nets = load(spec, weights, slice(model, model + 1), where)
        for i in range(0, count, rows):
            part = texts[i : i + rows].to(where)
            scores = logits(nets, forward(nets, part[None, :, :-1]))[0]
            losses = torch.nn.functional.cross_entropy(scores, part[:, 1:].flatten(), reduction="none")
            out[model, i : i + rows] = losses.view(len(part), -1).cpu().numpy()

    for _ in each(work, range(len(weights)), where):
        pass
    return out


def log_probabilities(
    spec: ModelSpec, vector: np.ndarray | torch.Tensor, tokens: np.ndarray, *, device: torch.device | str | None = None
) -> np.ndarray:
    """A model's distribution of every next token of given texts: [:, i] are of token i + 1 given tokens[:, : i + 1].

    Logits are computed in float32, and normalised in float64. `grammar_floor.divergence` reads the result.

    Args:
        spec: of the model.
        vector: (P,) its parameters.
        tokens: (N, t) ids, N ≥ 1 and 1 ≤ t ≤ `context`.
        device: where to compute; the CPU by default.

    Returns:
        (N, t, V) float64, nats.

    Raises:
        ValueError: naming an argument out of range.
    """
    texts = _texts(spec, tokens, 1)
    require_weights(spec, vector[None])
    where = torch.device(device or "cpu")
    count, length = texts.shape
    rows = max(1, _LOGITS // (length * spec.vocabulary_size))
    out = np.empty((count, length, spec.vocabulary_size))

    def work(first: int) -> None:
        nets = load(spec, vector[None], slice(None), where)
        part = texts[first : first + rows].to(where)
        scores = logits(nets, forward(nets, part[None]))[0].cpu().double()
        out[first : first + rows] = scores.log_softmax(dim=-1).view(len(part), length, -1).numpy()

    for _ in each(work, range(0, count, rows), where):
        pass
    return out


def _continue(
    nets: Networks, block: _Block, length: int, temperature: float, noise: torch.Tensor | None
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Tokens, gaps and log-probabilities, (M, rows, length) each; noise is (rows, length, V) or None."""
    device = nets.embedding.device
    rows, positions = block.tokens.shape
    lengths, shortest = block.lengths.to(device), int(block.lengths.min())
    tokens = block.tokens.to(device).repeat(nets.models, 1, 1)
    gaps, log_probabilities = (torch.zeros(tokens.shape, device=device) for _ in range(2))
    cache = empty_cache(nets.spec, nets.models, rows, positions - 1, device)
    every = torch.arange(rows, device=device)
    for new in range(1, positions):
        stream = forward(nets, tokens[:, :, new - 1 : new], new - 1, cache)
        if new < shortest:
            continue
        drawn = None if noise is None else noise[every, (new - lengths).clamp(0, length - 1)]
        chosen, gaps[:, :, new], log_probabilities[:, :, new] = _choose(logits(nets, stream), temperature, drawn)
        tokens[:, :, new] = torch.where(new < lengths, tokens[:, :, new], chosen)
    at = (lengths[:, None] + torch.arange(length, device=device)).expand(nets.models, -1, -1)
    return tokens.gather(2, at), gaps.gather(2, at), log_probabilities.gather(2, at)


def _choose(
    scores: torch.Tensor, temperature: float, noise: torch.Tensor | None
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The chosen ids, their gaps and their log-probabilities, (M, rows) each, from logits (M, rows, V)."""
    moved = scores if noise is None else scores / temperature + noise
    best, chosen = moved.max(dim=-1)  # the first of equals
    log_probability = scores.gather(-1, chosen[..., None])[..., 0] - scores.logsumexp(dim=-1)
    second = moved.scatter(-1, chosen[..., None], -torch.inf).amax(dim=-1)
    return chosen, best - second, log_probability


def _gumbel(seed: int, prompt: int, length: int, vocabulary_size: int) -> np.ndarray:
    """(length, V) float32 standard Gumbel numbers of a prompt, a longer table beginning with the shorter one.

    From the raw stream of Philox with the key (seed, prompt), as in `batches`; the counter keeps them apart from what
    `batches` and `grammar_sampling` draw with the same seed.
    """
    key, counter = np.array([seed, prompt], np.uint64), np.array([0, 0, 1, 0], np.uint64)
    raw = np.random.Philox(key=key, counter=counter).random_raw(length * vocabulary_size)
    uniform = ((raw >> np.uint64(12)) + 0.5) * 2.0**-52  # exact, and never 0 or 1
    return (-np.log(-np.log(uniform))).reshape(length, vocabulary_size).astype(np.float32)


def _shares(spec: ModelSpec, models: int, count: int, positions: int, device: torch.device) -> tuple[int, int]:
    """Models and rows that are computed at once."""
    if device.type == "cpu":
        return 1, ROWS
    rows = min(count, _ACCELERATOR_ROWS)
    numbers = 2 * spec.parameters + 2 * spec.layers * rows * positions * spec.shared_heads * spec.head_width
    return min(models, max(1, _ACCELERATOR_BYTES // (4 * numbers))), rows


def _blocks(prompts: list[np.ndarray], rows: int, length: int) -> list[_Block]:
    """Prompts of about the same length together, so that few of a block's rows wait for its longest."""
    order = np.argsort([len(prompt) for prompt in prompts], kind="stable")
    blocks = []
    for i in range(0, len(order), rows):
        places = order[i : i + rows]
        longest = len(prompts[places[-1]])
        lengths = torch.full((rows,), longest)
        tokens = torch.zeros(rows, longest + length, dtype=torch.int64)
        for row, n in enumerate(places):
            lengths[row] = len(prompts[n])
            tokens[row, : len(prompts[n])] = torch.tensor(prompts[n])
        blocks.append(_Block(places, tokens, lengths))
    return blocks


def _checked(spec: ModelSpec, prompts: Sequence[np.ndarray], length: int) -> list[np.ndarray]:
    """The prompts as int64 vectors."""
    validation.integer("length", length, 1, spec.context - 1)
    out = [np.asarray(prompt) for prompt in prompts]
    if not out:
        raise ValueError("prompts must not be empty, got none")
    for n, prompt in enumerate(out):
        if prompt.ndim != 1 or (len(prompt) and not np.issubdtype(prompt.dtype, np.integer)):
            raise ValueError(f"prompts[{n}] must be a vector of integers, got {prompt.dtype} of shape {prompt.shape}")
        if not 1 <= len(prompt) <= spec.context - length:
            most = f"context − length = {spec.context - length}"
            raise ValueError(f"prompts[{n}] must have from 1 to {most} tokens, got {len(prompt)}")
        _require_tokens(f"prompts[{n}]", spec, prompt)
    return [prompt.astype(np.int64) for prompt in out]


def _texts(spec: ModelSpec, tokens: np.ndarray, least: int) -> torch.Tensor:
    """The (N, t) tokens as an int64 tensor."""
    if tokens.ndim != 2 or not np.issubdtype(tokens.dtype, np.integer):
        raise ValueError(f"tokens must be a matrix of integers, got {tokens.dtype} of shape {tokens.shape}")
    if not len(tokens) or not least <= tokens.shape[1] <= spec.context:
        raise ValueError(f"tokens must have shape (N ≥ 1, {least} to {spec.context}), got {tokens.shape}")
    _require_tokens("tokens", spec, tokens)
    return torch.tensor(tokens.astype(np.int64))


def _require_tokens(name: str, spec: ModelSpec, tokens: np.ndarray) -> None:
    low, high = int(tokens.min()), int(tokens.max())
    if low < 0 or high >= spec.vocabulary_size:
        raise ValueError(f"{name} must be ids from 0 to {spec.vocabulary_size - 1}, got {low if low < 0 else high}")


def _require_temperature(temperature: float) -> None:
    validation.real("temperature", temperature, 0.0, np.inf, open_high=True)
    if 0.0 < temperature < _LOWEST_TEMPERATURE:
        raise ValueError(f"temperature must be 0 or at least {_LOWEST_TEMPERATURE:g}, got {temperature!r}")

"""Tokens per second of language-model training with a bank of averages, against none and against a plain torch loop.

    python -m benchmarks.pretraining [--out FILE] [--turns N]

Every variant trains the same Llama-style model of `transformers`, `tiny` (1M parameters, 1,024 tokens) or `small` (10M,
4,096 tokens), on batches of 2,048 random tokens in windows of 256, with AdamW and gradients cut to norm 1. The plain
loop is what one writes by hand: `zero_grad`, `backward`, `clip_grad_norm_`, fused AdamW over the named parameters; with
averages it keeps as many by `AveragedModel`. The variants take turns; a speed is the median over the turns, and a ratio
the median of the ratios within a turn.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Mapping
from importlib.metadata import version
from typing import Any

import numpy as np
import torch
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from transformers import LlamaForCausalLM

import gvatheory as gva
from benchmarks.output import emit, options, summary
from neural.averages import rate_table
from neural.language.batches import batches
from neural.language.design import language_bank
from neural.language.models import ModelSpec, sized
from neural.language.pretraining import PretrainingRun, Trainer

SIZES = {"tiny": (1024, 32), "small": (4096, 8)}
"""Vocabulary, and updates per variant and turn; a multiple of the updates after which averages are folded in."""
CONTEXT, BATCH, STEP_SIZE = 256, 8, 1e-3
TURNS = 5


def ours(spec: ModelSpec, bank: Mapping[str, Any], updates: int) -> Callable[[], float]:
    """A function that makes `updates` more of them and returns its tokens per second."""
    tokens = np.random.default_rng(0).integers(0, spec.vocabulary_size, 100_000)
    drawn = batches(tokens, CONTEXT, BATCH, 0)
    rates = rate_table(bank, updates * 1000)
    run = PretrainingRun(spec, Trainer(batch_size=BATCH), gva.Constant(STEP_SIZE), rates, drawn)

    def more() -> float:
        start = time.perf_counter()
        run.advance(updates)
        return updates * BATCH * CONTEXT / (time.perf_counter() - start)

    run.advance(1)
    return more


def plain(spec: ModelSpec, averages: int, updates: int) -> Callable[[], float]:
    """The same by hand."""
    tokens = np.random.default_rng(0).integers(0, spec.vocabulary_size, 100_000)
    drawn = batches(tokens, CONTEXT, BATCH, 0)
    model: Any = LlamaForCausalLM(spec.config())
    parameters = list(model.parameters())
    optimiser = torch.optim.AdamW(parameters, lr=STEP_SIZE, fused=True)
    kept = [AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.999)) for _ in range(averages)]
    made = 0

    def more() -> float:
        nonlocal made
        start = time.perf_counter()
        for _ in range(updates):
            ids = torch.from_numpy(drawn(made))
            logits = model(input_ids=ids[:, :-1]).logits
            loss = torch.nn.functional.cross_entropy(logits.transpose(1, 2), ids[:, 1:])
            optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(parameters, 1.0)
            optimiser.step()
            for average in kept:
                average.update_parameters(model)
            made += 1
        return updates * BATCH * CONTEXT / (time.perf_counter() - start)

    more()
    return more


def measure(turns: int) -> dict[str, Any]:
    """Median speeds in tokens per second, their ranges, and ratios, for each size."""
    results: dict[str, Any] = {}
    for size, (vocabulary, updates) in SIZES.items():
        spec = sized(size, vocabulary, CONTEXT)
        variants = {
            "ours, no average": ours(spec, {}, updates),
            "ours, eight averages": ours(spec, language_bank(), updates),
            "plain torch, no average": plain(spec, 0, updates),
            "plain torch, one average": plain(spec, 1, updates),
            "plain torch, eight averages": plain(spec, 8, updates),
        }
        speeds = np.array([[run() for run in variants.values()] for _ in range(turns)])
        none, eight, bare, one, many = speeds.T
        results[size] = {
            "parameters": spec.parameters,
            "tokens_per_second": {name: summary(v, None) for name, v in zip(variants, speeds.T, strict=True)},
            "cost of eight averages": summary(none / eight - 1),
            "eight averages / plain torch without": summary(eight / bare),
            "eight averages / plain torch with one": summary(eight / one),
            "eight averages / plain torch with eight": summary(eight / many),
        }
    return {
        "batch_tokens": BATCH * CONTEXT,
        "turns": turns,
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "versions": {package: version(package) for package in ("torch", "transformers", "numpy")},
        "results": results,
    }


if __name__ == "__main__":
    arguments = options(__doc__ or "", TURNS)
    emit(measure(arguments.turns), arguments.out)

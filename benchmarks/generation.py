"""Tokens per second of greedy continuations by many iterates of one model: this project's decoding against `generate`.

    python -m benchmarks.generation [--out FILE] [--turns N]

32 iterates of the tiny model (0.94M parameters) each continue 64 prompts of 8 to 24 tokens by 150 tokens. `generate` of
`transformers` keeps a cache too. It is called once per iterate and prompt, and once per iterate with all 64 prompts,
padded on the left; its number of threads is the better one of one and all, within each turn. Of its calls only a
sample is timed, `SAMPLED` per turn and number of threads: all calls do about the same work, so that their tokens per
second stand for those of all calls. The loading of an iterate into its module is not timed. Ours is timed in full, with
the loading and the checks of arguments. The variants take turns; a speed is the median over the turns, and a ratio the
median of the ratios within a turn. The bar: at least 3 times one call per prompt.
"""

from __future__ import annotations

import os
import platform
import time
from importlib.metadata import version
from typing import Any

import numpy as np
import torch

from benchmarks.output import emit, options, summary
from neural.language.decoding import continuations
from neural.language.models import FlatModel, load_module, sized

ITERATES, PROMPTS, LENGTH = 32, 64, 150
SHORTEST, LONGEST = 8, 24
ALONE, TOGETHER = "generate, one prompt a call", "generate, all prompts a call"
SAMPLED = {ALONE: 8, TOGETHER: 3}
"""Calls timed in a turn with each number of threads, of 2,048 and of 32."""
TURNS = 5
BAR = 3.0
SPEC = sized("tiny", vocabulary_size=1024, context=256)


def inputs() -> tuple[np.ndarray, list[np.ndarray]]:
    """Weights (ITERATES, P) float32 around one start, and the prompts."""
    rng = np.random.default_rng(0)
    start = FlatModel(SPEC, seed=0).vector.numpy()
    weights = start + np.float32(0.01) * rng.standard_normal((ITERATES, SPEC.parameters), dtype=np.float32)
    lengths = rng.integers(SHORTEST, LONGEST + 1, PROMPTS)
    return weights, [rng.integers(0, SPEC.vocabulary_size, n) for n in lengths]


def ours(weights: np.ndarray, prompts: list[np.ndarray]) -> float:
    """Tokens per second."""
    start = time.perf_counter()
    tokens = continuations(SPEC, weights, prompts, LENGTH).tokens
    return tokens.size / (time.perf_counter() - start)


def theirs(weights: np.ndarray, prompts: list[np.ndarray], name: str, turn: int) -> float:
    """Tokens per second of the calls of one turn, each with another iterate, by the better number of threads."""
    calls, together, cores = SAMPLED[name], name == TOGETHER, torch.get_num_threads()
    best = 0.0
    for threads in sorted({1, cores}):
        torch.set_num_threads(threads)
        taken, tokens = 0.0, 0
        for i in range(turn * calls, (turn + 1) * calls):
            module: Any = load_module(SPEC, weights[i % ITERATES])
            ids, mask = _padded(prompts if together else [prompts[i % PROMPTS]])
            start = time.perf_counter()
            with torch.inference_mode():
                out = module.generate(ids, attention_mask=mask, do_sample=False, max_new_tokens=LENGTH, use_cache=True)
            taken += time.perf_counter() - start
            tokens += out[:, ids.shape[1] :].numel()
        best = max(best, tokens / taken)
    torch.set_num_threads(cores)
    return best


def _padded(prompts: list[np.ndarray]) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids (n, longest) filled up on the left, and where they are prompts."""
    ids = torch.zeros(len(prompts), max(map(len, prompts)), dtype=torch.int64)
    mask = torch.zeros_like(ids)
    for row, prompt in enumerate(prompts):
        ids[row, -len(prompt) :] = torch.from_numpy(prompt)
        mask[row, -len(prompt) :] = 1
    return ids, mask


def measure(turns: int) -> dict[str, Any]:
    """Median tokens per second, their ranges, and ratios."""
    weights, prompts = inputs()
    ours(weights[:2], prompts)
    names = ("ours", *SAMPLED)
    speeds = np.array(
        [[ours(weights, prompts), *(theirs(weights, prompts, name, turn) for name in SAMPLED)] for turn in range(turns)]
    )
    return {
        "iterates": ITERATES,
        "prompts": PROMPTS,
        "length": LENGTH,
        "parameters": SPEC.parameters,
        "turns": turns,
        "bar": BAR,
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "versions": {package: version(package) for package in ("torch", "transformers", "numpy")},
        "tokens_per_second": {name: summary(v, None) for name, v in zip(names, speeds.T, strict=True)},
        "ratios": {
            f"ours / {name}": summary(speeds[:, 0] / v) for name, v in zip(SAMPLED, speeds[:, 1:].T, strict=True)
        },
    }


def main() -> None:
    arguments = options("Tokens per second of greedy continuations by many iterates.", TURNS)
    report = measure(arguments.turns)
    for heading, key in (("tokens/s", "tokens_per_second"), ("ratio", "ratios")):
        print(f"{heading:44}{'median':>12}{'range':>20}")
        for name, row in report[key].items():
            low, high = row["range"]
            print(f"  {name:42}{row['median']:>12,}{f'{low:,}-{high:,}':>20}")
    emit(report, arguments.out)


if __name__ == "__main__":
    main()

"""Numbers of a grammar: entropy floor, sure words, law of the gap between the two likeliest words, greedy stories.

`python -m neural.language.grammar_summary` prints those of the default grammar; docs/grammar.md quotes them.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping

import numpy as np

from gvatheory import validation
from neural.language.grammar import STOP, StoryGrammar
from neural.language.grammar_floor import entropies, story_mean, top_two_gaps
from neural.language.grammar_sampling import fingerprint, greedy, next_token_probabilities, sample, trace
from neural.language.grammar_sentences import SLOTS
from neural.language.grammar_world import NOTED, SLOT, SUBJECT, WORLD
from neural.statistics import Estimate

NEAR = (0.01, 0.05, 0.1, 0.2)
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


@dataclasses.dataclass(frozen=True)
class Summary:
    """Result of `summary`; words are counted after the first, which is always `<begin>`.

    Attributes:
        floor: entropy of a word given those before it, nats, mean over the words of a story.
        sure: share of words that have probability one.
        near: share of gaps below each of `NEAR`, among the words that are not sure; the gap is the log-ratio of the two
            largest probabilities.
        quantiles: of the gap, at `QUANTILES`, among the same.
        reach: words since the fact behind an answer was said, at `QUANTILES`; see `reach`.
        sentence_words: words per full stop.
        slots: share of the words and mean entropy of each slot of a sentence that is not always sure.
        greedy_cycles: share of the greedy continuations that come back to a state, and so repeat for ever.
    """

    floor: Estimate
    sure: Estimate
    near: tuple[Estimate, ...]
    quantiles: tuple[float, ...]
    reach: tuple[float, ...]
    sentence_words: float
    slots: Mapping[str, tuple[float, float]]
    greedy_cycles: float


def summary(grammar: StoryGrammar, *, stories: int = 1024, length: int = 256, seed: int = 0) -> Summary:
    """Numbers of a grammar from sampled stories of `length` words after the first, with 95 % intervals over stories.

    Greedy continuations are `length` words from prompts of a quarter of that, of 64 stories or fewer.

    Raises:
        ValueError: naming an argument out of range.
    """
    validation.integer("stories", stories, 2)
    validation.integer("length", length, 4)
    tokens = sample(grammar, stories, length + 1, seed=seed)
    parts = [
        next_token_probabilities(grammar, part[:, :-1])[:, 1:] for part in np.array_split(tokens, stories // 64 + 1)
    ]
    entropy = np.concatenate([entropies(part) for part in parts])
    gap = np.concatenate([top_two_gaps(part) for part in parts])
    states = trace(grammar, tokens)[:, 1:-1]
    finite = np.isfinite(gap)
    slots = {}
    for number, name in enumerate(SLOTS):
        here = states[:, :, SLOT] == number
        if np.any(entropy[here] > 0):
            slots[name] = float(here.mean()), float(entropy[here].mean())
    return Summary(
        floor=story_mean(entropy),
        sure=story_mean(~finite),
        near=tuple(_share(gap < near, finite) for near in NEAR),
        quantiles=tuple(np.quantile(gap[finite], QUANTILES).tolist()),
        reach=tuple(np.quantile(reach(grammar, tokens), QUANTILES).tolist()),
        sentence_words=float(tokens[:, 1:].size / np.sum(tokens == grammar.token(STOP))),
        slots=slots,
        greedy_cycles=_greedy_cycles(grammar, tokens[:64], length),
    )


def reach(grammar: StoryGrammar, tokens: np.ndarray) -> np.ndarray:
    """Words from the fact behind an answer to the answer, for all answers of (n, t) stories: whole numbers ≥ 1.

    Answers are the last words of `A is in the P`, `where is X ? in the P` and `who has the O ? A`. The fact is where
    somebody or something is, or who has it; of two, for the place of a thing in somebody's hands, the older.
    """
    states, rows = trace(grammar, tokens), np.arange(len(tokens))
    said = np.zeros((len(tokens), states.shape[2]), dtype=int)  # when each cell changed last
    own, place, holder = (SLOTS.index(name) for name in ("own place", "answer place", "holder"))
    things, found = WORLD + grammar.agents, []
    for t in range(tokens.shape[1]):
        now = states[:, t]
        slot, noted = now[:, SLOT], now[:, NOTED].astype(int)
        # Of an answer, the cell asked for: the subject's place, or that of the thing or person noted.
        thing = (slot != own) & (noted <= grammar.objects)
        cell = np.where(thing, things - 1 + noted, WORLD - 1 + noted - grammar.objects)
        cell = np.where(slot == own, WORLD - 1 + now[:, SUBJECT], cell)
        since, owner = said[rows, cell], now[rows, cell]
        held = (slot == place) & thing & (owner <= grammar.agents)
        since = np.where(held, np.minimum(since, said[rows, np.where(held, WORLD - 1 + owner, 0)]), since)
        found.append((t - since)[np.isin(slot, (own, place, holder))])
        said[states[:, t + 1] != now] = t
    return np.concatenate(found)


def _share(hits: np.ndarray, among: np.ndarray) -> Estimate:
    """Ratio of two counts, its interval from the stories' residuals (delta method)."""
    ratio = hits.sum() / among.sum()
    residual = story_mean((hits - ratio * among) / among.mean())
    return Estimate(float(ratio), float(ratio + residual.low), float(ratio + residual.high))


def _greedy_cycles(grammar: StoryGrammar, tokens: np.ndarray, length: int) -> float:
    start = length // 4
    states = trace(grammar, greedy(grammar, tokens[:, :start], length))[:, start:]
    return float(np.mean([len(np.unique(one, axis=0)) < len(one) for one in states]))


def main() -> None:
    """Print the numbers of the default grammar, and the speed of its sampler on one core."""
    grammar = StoryGrammar()
    found = summary(grammar)
    print(f"{grammar}\nvocabulary {len(grammar.vocabulary)}, SHA-256 {fingerprint(grammar)}")
    print(grammar.decode(sample(grammar, 1, 120, seed=0)[0]))

    def shown(one: Estimate) -> str:
        return f"{one.value:.4f} [{one.low:.4f}, {one.high:.4f}]"

    print(
        f"floor {shown(found.floor)} nats per word; sure words {shown(found.sure)}; greedy cycles {found.greedy_cycles}"
    )
    print("words since the facts", ", ".join(f"{q}: {v:.0f}" for q, v in zip(QUANTILES, found.reach, strict=True)))
    print(f"words per sentence {found.sentence_words:.2f}")
    for near, share in zip(NEAR, found.near, strict=True):
        print(f"gap below {near}: {shown(share)}")
    print("gap quantiles", ", ".join(f"{q}: {v:.3f}" for q, v in zip(QUANTILES, found.quantiles, strict=True)))
    for name, (share, entropy) in found.slots.items():
        print(f"{name:12} {share:6.3f} of the words, {entropy:.3f} nats")
    began = time.process_time()
    sample(grammar, 8192, 256, seed=0)
    print(f"{8192 * 256 / (time.process_time() - began) / 1e6:.2f}M words sampled per second of processor time")


if __name__ == "__main__":
    main()

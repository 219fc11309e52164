"""The story grammar's probabilities: a distribution everywhere, the one that is sampled, exact floor, KL of models."""

import dataclasses
import hashlib
from typing import Any

import numpy as np
import pytest
from scipy.stats import binom

from neural.language import grammar_sampling
from neural.language.grammar import StoryGrammar
from neural.language.grammar_floor import (
    divergence,
    entropies,
    exact_floor,
    floor,
    story_mean,
    top_two_gaps,
)
from neural.language.grammar_sampling import (
    fingerprint,
    greedy,
    next_token_probabilities,
    prompts,
    sample,
    trace,
)
from neural.language.grammar_sentences import DEAD, SLOTS
from neural.language.grammar_summary import reach, summary
from neural.language.grammar_world import SLOT, process
from tests.budget import FALSE_ALARM, assert_mean

DEFAULT = StoryGrammar()
TINY = StoryGrammar(agents=1, objects=1, places=2, times=1)
SMALL = StoryGrammar(agents=2, objects=2, places=2, times=2)


def reachable(grammar: StoryGrammar) -> np.ndarray:
    """Every state that some text reaches, (count, cells)."""
    p = process(grammar)
    found = new = p.start(1)
    while len(new):
        rows, tokens = np.nonzero(p.weights(new))
        arrived = new[rows]
        p.advance(arrived, tokens)
        everything, seen = np.unique(np.concatenate([found, arrived]), axis=0, return_index=True)
        new = everything[seen >= len(found)]
        found = np.concatenate([found, new])
    return found


def every_text(grammar: StoryGrammar, length: int) -> tuple[np.ndarray, np.ndarray]:
    """All texts of positive probability, (count, length), and their probabilities; nothing merged."""
    texts, mass = np.empty((1, 0), dtype=np.int64), np.ones(1)
    for _ in range(length):
        probabilities = next_token_probabilities(grammar, texts)[:, -1]
        rows, tokens = np.nonzero(probabilities)
        texts = np.concatenate([texts[rows], tokens[:, None]], axis=1)
        mass = mass[rows] * probabilities[rows, tokens]
    return texts, mass


def fitted(grammar: StoryGrammar, context: int, stories: np.ndarray) -> np.ndarray:
    """Counts of each word after `context` words, from 0.1 each on, (V^context, V) normalised."""
    size = len(grammar.vocabulary)
    counts = np.full((size**context, size), 0.1)
    np.add.at(counts, (codes(grammar, context, stories)[:, :-1], stories[:, context:]), 1.0)
    return counts / counts.sum(axis=1, keepdims=True)


def codes(grammar: StoryGrammar, context: int, stories: np.ndarray) -> np.ndarray:
    """(n, t − context + 1) number of the `context` words up to each."""
    columns = stories.shape[1] - context + 1
    return sum((stories[:, i : i + columns] * len(grammar.vocabulary) ** i for i in range(context)), np.array(0))


@pytest.mark.parametrize("grammar", [TINY, StoryGrammar(2, 1, 2, 1), StoryGrammar(1, 2, 2, 2)])
def test_every_reachable_state_has_a_distribution_over_grammatical_words(grammar: StoryGrammar) -> None:
    states = reachable(grammar)
    weights = process(grammar).weights(states)
    assert len(states) > 100
    assert DEAD not in {SLOTS[slot] for slot in states[:, SLOT]}
    assert np.all(weights >= 0)
    assert np.all(weights.sum(axis=1) > 0)
    assert not np.any(weights[~process(grammar).skeleton.admitted[states[:, SLOT]]])


def test_a_grammatical_word_is_possible_in_some_world() -> None:
    states = trace(SMALL, sample(SMALL, 2000, 160, seed=0)).reshape(-1, process(SMALL).start(1).shape[1])
    possible = process(SMALL).weights(states) > 0
    used = np.stack([possible[states[:, SLOT] == slot].any(axis=0) for slot in range(len(SLOTS))])
    assert np.array_equal(used, process(SMALL).skeleton.admitted)


@pytest.mark.parametrize("grammar", [DEFAULT, StoryGrammar(16, 32, 16, 6, 3.0, 0.5), StoryGrammar(spread=0.0)])
def test_probabilities_sum_to_one_and_stories_have_one(grammar: StoryGrammar) -> None:
    tokens = sample(grammar, 64, 200, seed=1)
    p = next_token_probabilities(grammar, tokens)
    assert p.shape == (64, 201, len(grammar.vocabulary))
    assert np.abs(p.sum(axis=2) - 1.0).max() < 1e-14
    assert p.min() >= 0
    assert np.take_along_axis(p[:, :-1], tokens[:, :, None], axis=2).min() > 0


def test_a_prefix_decides_its_own_probabilities() -> None:
    tokens = sample(DEFAULT, 8, 60, seed=2)
    whole = next_token_probabilities(DEFAULT, tokens)
    for cut in (0, 1, 17, 59):
        assert np.array_equal(next_token_probabilities(DEFAULT, tokens[:, :cut]), whole[:, : cut + 1])


def test_probabilities_are_those_of_the_preferences() -> None:
    def preference(name: str) -> int:
        uniform = int.from_bytes(hashlib.sha256(name.encode()).digest()[:6]) / 2**48
        return round(256 * float(np.exp(2.0 * uniform)))

    after = next_token_probabilities(DEFAULT, DEFAULT.encode("<begin> ben arrives in the hall")[None])[0]
    begins = np.array([preference(f"follows 0 0 {a}") * preference(f"acts 0 {a}") // 256 for a in range(8)])
    assert after[1, DEFAULT.tokens_of("AGENT")] == pytest.approx(begins / begins.sum())
    places = np.array([preference(f"arrival 1 {p}") for p in range(6)])
    assert after[5, DEFAULT.tokens_of("PLACE")] == pytest.approx(places / places.sum())
    # In the hall, place 6, one verb after the beginning.
    both = preference("goes on 1 6"), int(256 * np.exp(1.6))
    assert after[6, [DEFAULT.token("and"), DEFAULT.token(".")]] == pytest.approx(np.array(both) / sum(both))

    # Ben is the second, and weighs a quarter as soon as he has had his turn.
    after = next_token_probabilities(DEFAULT, DEFAULT.encode("<begin> ben arrives in the hall .")[None])[0, -1]
    places = [6 if a == 1 else 0 for a in range(8)]
    acts = [preference(f"follows 0 2 {a}") * preference(f"acts {p} {a}") // 256 for a, p in enumerate(places)]
    acts[1] //= 4
    assert after[DEFAULT.tokens_of("AGENT")] / after[DEFAULT.token("where")] == pytest.approx(
        np.array(acts) / (4 * preference("asks where 2"))
    )


def test_time_presses_on_up_to_a_limit() -> None:
    def then(clauses: int) -> float:
        text = "<begin> ben arrives in the hall" + " and has nothing" * clauses + " ."
        return float(next_token_probabilities(DEFAULT, DEFAULT.encode(text)[None])[0, -1, DEFAULT.token("then")])

    rising = [then(clauses) for clauses in range(1, 10)]
    assert np.all(np.diff(rising) > 0)
    assert rising[-1] > 0.8
    assert then(10) == then(40) == pytest.approx(rising[-1])


def test_samples_have_the_claimed_marginals() -> None:
    length, count = 11, 40_000
    texts, mass = every_text(SMALL, length)
    assert mass.sum() == pytest.approx(1.0)
    tokens = sample(SMALL, count, length, seed=3)
    size = len(SMALL.vocabulary)
    budget = FALSE_ALARM / (length * size) / 2
    for t in range(length):
        claimed = np.minimum(np.bincount(texts[:, t], mass, size), 1.0)
        seen = np.bincount(tokens[:, t], minlength=size)
        assert np.all(seen[claimed == 0] == 0)
        assert np.all(binom.cdf(seen, count, claimed) > budget)
        assert np.all(binom.sf(seen - 1, count, claimed) > budget)


@pytest.mark.parametrize("grammar", [SMALL, DEFAULT])
def test_words_come_as_often_as_their_probabilities_say(grammar: StoryGrammar) -> None:
    # Given its prefix, each word's indicator less its probability has mean zero, so their sums over stories do too.
    tokens = sample(grammar, 1500, 100, seed=4)
    p = next_token_probabilities(grammar, tokens)[:, :-1]
    states = trace(grammar, tokens)[:, :-1, SLOT]
    for slot in (SLOTS.index(name) for name in ("start", "predicate", "close", "destination", "where is")):
        here = (states == slot)[:, :, None]
        excess = np.sum(here * (np.eye(p.shape[2], dtype=bool)[tokens] - p), axis=1)
        common = np.sum(here * p, axis=(0, 1)) > 300
        assert common.sum() >= 2
        assert_mean(excess[:, common], 0.0)


def test_a_story_is_a_function_of_seed_and_index(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = sample(DEFAULT, 9, 50, seed=5)
    assert np.array_equal(sample(DEFAULT, 4, 50, seed=5, first=3), whole[3:7])
    assert np.array_equal(sample(DEFAULT, 9, 20, seed=5), whole[:, :20])
    monkeypatch.setattr(grammar_sampling, "_CHUNK", 4)
    assert np.array_equal(sample(DEFAULT, 9, 50, seed=5), whole)
    assert len(np.unique(whole, axis=0)) == 9
    assert not np.any(np.all(sample(DEFAULT, 9, 50, seed=6) == whole, axis=1))
    assert sample(DEFAULT, 0, 5, seed=0).shape == (0, 5)
    assert sample(DEFAULT, 2, 0, seed=2**63 - 1, first=2**63 - 1).shape == (2, 0)


def test_stories_end_as_often_as_asked() -> None:
    grammar = dataclasses.replace(DEFAULT, end_probability=0.4)
    tokens = sample(grammar, 2000, 60, seed=7)
    begun = trace(grammar, tokens)[:, :-1]
    could = (begun[:, :, SLOT] == SLOTS.index("start")) & (begun[:, :, 1] > 0)
    assert_mean((tokens == grammar.token("<end>"))[could], 0.4)
    assert not np.any(sample(dataclasses.replace(grammar, end_probability=0.0), 200, 200, seed=7) == 1)
    after = tokens[:, 1:][tokens[:, :-1] == grammar.token("<end>")]
    assert np.all(after == grammar.token("<begin>"))


@pytest.mark.parametrize(("grammar", "length"), [(TINY, 15), (SMALL, 12)])
def test_the_exact_floor_is_that_of_enumeration(grammar: StoryGrammar, length: int) -> None:
    # Chain rule: the entropy of the first t words, over all texts of t words, less that of one word fewer.
    joint = [entropies(every_text(grammar, t)[1]) for t in range(1, length + 2)]
    assert exact_floor(grammar, length) == pytest.approx(np.diff(joint), abs=1e-12)


def test_the_sampled_floor_is_the_exact_one_and_the_log_loss_of_the_truth() -> None:
    tokens = sample(SMALL, 4000, 25, seed=8)
    p = next_token_probabilities(SMALL, tokens[:, :-1])[:, 1:]
    found = floor(SMALL, tokens[:, :-1])
    assert_mean(found, exact_floor(SMALL, 24))
    assert_mean((found - _log_loss(p, tokens)).mean(axis=1), 0.0)
    mean = story_mean(found, level=1.0 - FALSE_ALARM)
    assert mean.low < exact_floor(SMALL, 24).mean() < mean.high
    assert mean.value == pytest.approx(found.mean())


@pytest.mark.parametrize(("context", "least"), [(1, 0.3), (2, 0.1)])
def test_an_n_gram_model_misses_the_floor_by_its_divergence(context: int, least: float) -> None:
    table = fitted(DEFAULT, context, sample(DEFAULT, 1000, 200, seed=9))
    tokens = sample(DEFAULT, 300, 101, seed=10)
    q = np.full((300, 100, len(DEFAULT.vocabulary)), 1.0 / len(DEFAULT.vocabulary))
    q[:, context - 1 :] = table[codes(DEFAULT, context, tokens[:, :-1])]
    found = divergence(DEFAULT, tokens[:, :-1], np.log(q))
    assert np.all(found.kl > -1e-12)
    assert story_mean(found.kl).low > least
    excess = _log_loss(q, tokens) - found.entropy
    assert story_mean(excess).low > 0
    assert_mean((excess - found.kl).mean(axis=1), 0.0)
    assert found.cross_entropy == pytest.approx(found.entropy + found.kl)


def test_a_model_that_sees_the_state_learns_the_floor() -> None:
    # Maximum likelihood over N words leaves a divergence of free parameters/2N, here about 0.003.
    grammar, length = StoryGrammar(2, 1, 2, 1), 24
    key = {one.tobytes(): i for i, one in enumerate(reachable(grammar))}

    def rows(tokens: np.ndarray) -> np.ndarray:
        states = trace(grammar, tokens)[:, 1:-1]
        return np.array([[key[one.tobytes()] for one in story] for story in states])

    seen, fresh = (sample(grammar, n, length + 1, seed=s) for n, s in ((20_000, 11), (1000, 12)))
    counts = np.full((len(key), len(grammar.vocabulary)), 1e-3)
    np.add.at(counts, (rows(seen), seen[:, 1:]), 1.0)
    q = (counts / counts.sum(axis=1, keepdims=True))[rows(fresh)]
    found = divergence(grammar, fresh[:, :-1], np.log(q))
    assert 0 < story_mean(found.kl).value < 0.01
    assert_mean((_log_loss(q, fresh) - found.cross_entropy).mean(axis=1), 0.0)
    loss = story_mean(_log_loss(q, fresh), level=1.0 - FALSE_ALARM)
    assert loss.low < exact_floor(grammar, length).mean() < loss.high


def test_divergence_of_the_truth_and_of_a_model_that_excludes_it() -> None:
    tokens = sample(DEFAULT, 4, 30, seed=13)
    truth = next_token_probabilities(DEFAULT, tokens)[:, 1:]
    with np.errstate(divide="ignore"):
        model = np.log(truth)
    assert np.abs(divergence(DEFAULT, tokens, model).kl).max() < 1e-14
    model[2, 7] = np.roll(model[2, 7], 1)
    kl = divergence(DEFAULT, tokens, model).kl
    assert np.isinf(kl[2, 7])
    assert np.isfinite(kl).sum() == kl.size - 1
    assert story_mean(kl).value == np.inf
    uniform = np.full_like(model, -np.log(len(DEFAULT.vocabulary)))
    kl = divergence(DEFAULT, tokens, uniform)
    assert kl.cross_entropy == pytest.approx(np.log(len(DEFAULT.vocabulary)))


def test_gaps_are_broad_with_ties_near() -> None:
    assert top_two_gaps(np.array([[0.2, 0.5, 0.3], [0.0, 1.0, 0.0]])).tolist() == [pytest.approx(np.log(5 / 3)), np.inf]
    found = summary(DEFAULT, stories=64, length=128)
    assert 0.4 < found.sure.value < 0.6
    assert found.near[2].low > 0.05
    assert found.quantiles[-1] > 2.0
    assert sum(share * nats for share, nats in found.slots.values()) == pytest.approx(found.floor.value)
    assert found.greedy_cycles < 0.3
    tokens = sample(DEFAULT, 64, 128, seed=0)
    assert found.floor == story_mean(floor(DEFAULT, tokens))
    gaps = top_two_gaps(next_token_probabilities(DEFAULT, tokens)[:, 1:])
    assert found.near[2].value == pytest.approx(np.sum(gaps < 0.1) / np.sum(np.isfinite(gaps)))


def test_reach_is_counted_from_the_older_fact() -> None:
    text = "<begin> anna arrives in the attic . ben arrives in the barn . ben finds the apple . "
    answers = {  # positions of the answer and of the fact
        "anna is in the attic .": (22, 5),
        "where is anna ? in the attic .": (24, 5),
        "where is the apple ? in the barn .": (25, 11),  # ben came before he found it
        "who has the apple ? ben .": (23, 16),
        "ben drops the apple . where is the apple ? in the barn .": (30, 21),
    }
    for said, (answer, fact) in answers.items():
        assert reach(DEFAULT, DEFAULT.encode(text + said)[None]).tolist() == [answer - fact], said
    assert summary(DEFAULT, stories=64, length=128).reach[2] > 5


def test_greedy_says_the_likeliest_word() -> None:
    asked = DEFAULT.encode("<begin> ben arrives in the hall . where is ben")
    assert DEFAULT.decode(greedy(DEFAULT, asked[None], 5)[0, 10:]) == "? in the hall ."
    prompt = sample(DEFAULT, 5, 20, seed=14)
    told = greedy(DEFAULT, prompt, 40)
    p = next_token_probabilities(DEFAULT, told)[:, 20:-1]
    assert np.array_equal(told[:, :20], prompt)
    assert np.array_equal(np.take_along_axis(p, told[:, 20:, None], axis=2)[:, :, 0], p.max(axis=2))


def test_prompts_are_the_first_sentences() -> None:
    found = prompts(DEFAULT, 6, 3, seed=15, first=2)
    for i, prompt in enumerate(found):
        text = DEFAULT.decode(prompt)
        assert text.count(" .") == 3
        assert text.endswith(" .")
        assert np.array_equal(prompt, sample(DEFAULT, 1, len(prompt), seed=15, first=2 + i)[0])
    assert len({len(prompt) for prompt in found}) > 1


def test_words_and_tokens() -> None:
    tokens = sample(DEFAULT, 1, 80, seed=16)[0]
    assert np.array_equal(DEFAULT.encode(DEFAULT.decode(tokens)), tokens)
    assert len(set(DEFAULT.vocabulary)) == len(DEFAULT.vocabulary) == 66
    assert len(set(StoryGrammar(16, 32, 16, 6).vocabulary)) == 16 + 10 + 4 + 16 + 32 + 16 + 6 - 2
    assert DEFAULT.vocabulary[:2] == ("<begin>", "<end>")


def test_the_fingerprint_names_the_definition() -> None:
    changed: list[dict[str, Any]] = [
        {"agents": 7},
        {"objects": 19},
        {"places": 5},
        {"times": 3},
        {"spread": 1.9},
        {"end_probability": 0.03},
    ]
    found = {fingerprint(dataclasses.replace(DEFAULT, **change)) for change in changed}
    assert len(found | {fingerprint(DEFAULT)}) == 7
    # A run trained on another definition is not comparable: change this on purpose only.
    assert fingerprint(DEFAULT).startswith("f406fa71cddece32")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: StoryGrammar(agents=0), r"agents must be an integer from 1 to 16, got 0"),
        (lambda: StoryGrammar(objects=33), r"objects must be an integer from 1 to 32, got 33"),
        (lambda: StoryGrammar(places=1), r"places must be an integer from 2 to 16, got 1"),
        (lambda: StoryGrammar(times=7), r"times must be an integer from 1 to 6, got 7"),
        (lambda: StoryGrammar(spread=3.5), r"spread must be a number in \[0, 3\], got 3.5"),
        (lambda: StoryGrammar(end_probability=0.6), r"end_probability must be a number in \[0, 0.5\], got 0.6"),
        (lambda: DEFAULT.encode("anna flies"), r"word must be one of the 66 of the vocabulary, got 'flies'"),
        (lambda: DEFAULT.decode([66]), r"tokens must be from 0 to 65, got 66"),
        (lambda: sample(DEFAULT, 1, -1, seed=0), r"length must be an integer at least 0, got -1"),
        (lambda: sample(DEFAULT, 1, 1, seed=-1), r"seed must be an integer from 0 to \d+, got -1"),
        (lambda: prompts(DEFAULT, 1, 0, seed=0), r"sentences must be an integer at least 1, got 0"),
        (lambda: next_token_probabilities(DEFAULT, np.zeros(3, int)), r"2 dimensions, got shape \(3,\)"),
        (lambda: next_token_probabilities(DEFAULT, np.zeros((1, 3))), r"whole numbers, got dtype float64"),
        (lambda: next_token_probabilities(DEFAULT, np.array([[0, 2]])), r"probability zero in row 0 at position 1"),
        (lambda: greedy(DEFAULT, np.array([[1]]), 3), r"probability zero in row 0 at position 0"),
        (lambda: exact_floor(SMALL, 20, max_states=50), r"max_states must be more than 50"),
        (lambda: story_mean(np.zeros((1, 4))), r"values must have shape \(stories ≥ 2, words ≥ 1\), got \(1, 4\)"),
        (lambda: story_mean(np.zeros((2, 4)), level=1.0), r"level must be a number in \(0, 1\), got 1.0"),
        (lambda: divergence(DEFAULT, np.array([[0]]), np.zeros((1, 2, 66))), r"shape \(1, 1, 66\), got \(1, 2, 66\)"),
        (lambda: divergence(DEFAULT, np.array([[0]]), np.zeros((1, 1, 66))), r"the probabilities of one sum to 66"),
        (lambda: summary(DEFAULT, stories=1), r"stories must be an integer at least 2, got 1"),
    ],
)
def test_bad_arguments_are_named(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


def _log_loss(q: np.ndarray, tokens: np.ndarray) -> np.ndarray:
    """(n, t) of the words 1..t of (n, t + 1) stories under the model's (n, t, V) probabilities."""
    return -np.log(np.take_along_axis(q, tokens[:, 1:, None], axis=2)[:, :, 0])

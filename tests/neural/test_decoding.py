"""Decoding: against `transformers`, each model and prompt by itself, shared noise, what is refused."""

import functools
from typing import Any

import numpy as np
import pytest

pytest.importorskip("transformers")

import torch

from neural.language import decoding
from neural.language.decoding import ROWS, Continuations, continuations, log_probabilities, token_losses
from neural.language.grammar import StoryGrammar
from neural.language.grammar_floor import divergence
from neural.language.grammar_sampling import next_token_probabilities, sample
from neural.language.models import FlatModel, ModelSpec, load_module
from tests.budget import assert_mean

# Odd sizes, so that no vector register is filled evenly; heads that share keys and values among four, two and one.
SPECS = {
    shared: ModelSpec(
        vocabulary_size=41, width=32, layers=2, heads=4, key_value_heads=shared, hidden=27, context=40, rope_theta=500.0
    )
    for shared in (1, 2, None)
}
SPEC = SPECS[2]
LENGTH = 12


@functools.cache
def weights(spec: ModelSpec, models: int = 3) -> np.ndarray:
    """Neighbouring models, each far enough from a random start for the logits to differ by about one."""
    rng = np.random.default_rng(5)
    start = FlatModel(spec, seed=0).vector.numpy() + 0.15 * rng.standard_normal(spec.parameters, dtype=np.float32)
    made = start + 0.02 * rng.standard_normal((models, spec.parameters), dtype=np.float32)
    made.flags.writeable = False  # as a bank on disk is
    return made


def prompts(count: int, longest: int = 17, seed: int = 1) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.integers(0, SPEC.vocabulary_size, n) for n in rng.integers(1, longest + 1, count)]


def same(a: Continuations, b: Continuations, models: Any = slice(None), places: Any = slice(None)) -> None:
    """`a` is, bit for bit, those models and prompts of `b`."""
    for name in ("tokens", "gaps", "log_probabilities"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name)[models][:, places], err_msg=name)


def reference(spec: ModelSpec, vector: np.ndarray, tokens: np.ndarray) -> np.ndarray:
    """(N, t, V) float64 log-probabilities by `transformers`."""
    with torch.no_grad():
        logits = load_module(spec, vector)(torch.tensor(tokens)).logits
    return logits.double().log_softmax(dim=-1).numpy()


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_given_texts_are_judged_as_transformers_does(spec, monkeypatch) -> None:
    tokens = np.random.default_rng(2).integers(0, spec.vocabulary_size, (5, spec.context))
    # Two texts at a time: parts are put together, the last one shorter.
    monkeypatch.setattr(decoding, "_LOGITS", 2 * spec.context * spec.vocabulary_size + 1)
    losses = token_losses(spec, weights(spec), tokens)
    assert losses.dtype == np.float32
    for model, vector in enumerate(weights(spec)):
        expected = reference(spec, vector, tokens)
        assert expected.std() > 0.5
        found = log_probabilities(spec, vector, tokens)
        assert found.dtype == np.float64
        np.testing.assert_allclose(found, expected, atol=1e-5)
        np.testing.assert_allclose(np.exp(found).sum(axis=-1), 1.0, atol=1e-12)
        taken = np.take_along_axis(expected[:, :-1], tokens[:, 1:, None], axis=2)[..., 0]
        np.testing.assert_allclose(losses[model], -taken, atol=1e-5)
    np.testing.assert_allclose(token_losses(spec, weights(spec), tokens[:, :7]), losses[:, :, :6], atol=1e-5)
    np.testing.assert_array_equal(log_probabilities(spec, weights(spec)[0], tokens[:, :1]).shape, (5, 1, 41))


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_greedy_continuations_are_those_of_generate(spec) -> None:
    given = prompts(9)
    written = continuations(spec, weights(spec), given, LENGTH)
    assert written.tokens.shape == (3, 9, LENGTH)
    assert (written.tokens.dtype, written.gaps.dtype) == (np.int64, np.float32)
    for model, vector in enumerate(weights(spec)):
        whole = np.zeros((9, spec.context), dtype=np.int64)
        for n, prompt in enumerate(given):
            whole[n, : len(prompt) + LENGTH] = np.concatenate([prompt, written.tokens[model, n]])
        scores = np.sort(reference(spec, vector, whole), axis=2)[..., -2:]
        for n, prompt in enumerate(given):
            second, best = scores[n, len(prompt) - 1 :][:LENGTH].T
            np.testing.assert_allclose(written.gaps[model, n], best - second, atol=1e-5)
            np.testing.assert_allclose(written.log_probabilities[model, n], best, atol=1e-5)
    # And where nothing is given away; up to the first choice that rounding may turn.
    module: Any = load_module(spec, weights(spec)[1])
    for n in (0, 4):
        with torch.no_grad():
            out = module.generate(torch.tensor(given[n])[None], do_sample=False, max_new_tokens=LENGTH, use_cache=True)
        sure = np.cumsum(written.gaps[1, n] < 1e-4) == 0
        np.testing.assert_array_equal(out[0, len(given[n]) :].numpy()[sure], written.tokens[1, n, sure])
    assert np.mean(written.gaps < 1e-4) < 0.05
    assert len(np.unique(written.tokens)) > 10


@pytest.mark.parametrize("temperature", [0.0, 0.8])
def test_a_continuation_does_not_feel_the_others(temperature) -> None:
    given = prompts(ROWS + 7)
    together = continuations(SPEC, weights(SPEC), given, LENGTH, temperature=temperature, seed=4)
    for model in range(3):
        alone = continuations(SPEC, weights(SPEC)[[model]], given, LENGTH, temperature=temperature, seed=4)
        same(alone, together, [model])
    # The noise of a prompt is that of its place, so that a first part of the prompts keeps it.
    for count in (1, 5, ROWS):
        same(
            continuations(SPEC, weights(SPEC)[::-1], given[:count], LENGTH, temperature=temperature, seed=4),
            together,
            slice(None, None, -1),
            slice(count),
        )
    shorter = continuations(SPEC, weights(SPEC), given, LENGTH - 5, temperature=temperature, seed=4)
    np.testing.assert_array_equal(shorter.gaps, together.gaps[:, :, : LENGTH - 5])


def test_a_greedy_continuation_does_not_feel_its_place() -> None:
    given = prompts(ROWS + 7)
    together = continuations(SPEC, weights(SPEC), given, LENGTH)
    for n in (0, 11, ROWS + 6):
        same(continuations(SPEC, weights(SPEC), given[n : n + 1], LENGTH), together, places=[n])
    order = np.random.default_rng(3).permutation(len(given))
    same(continuations(SPEC, weights(SPEC), [given[n] for n in order], LENGTH), together, places=order)


def test_models_in_one_product_write_what_they_write_alone(monkeypatch) -> None:
    """As on an accelerator: the same up to rounding."""
    given = prompts(11)
    alone = continuations(SPEC, weights(SPEC), given, LENGTH, temperature=0.7)
    monkeypatch.setattr(decoding, "_shares", lambda *_: (2, 5))
    calls: list[tuple[int, int]] = []
    vectors = torch.tensor(weights(SPEC))
    together = continuations(SPEC, vectors, given, LENGTH, temperature=0.7, progress=lambda *call: calls.append(call))
    assert calls[-1] == (33, 33)
    sure = np.cumsum(alone.gaps < 1e-4, axis=2) == 0
    assert np.mean(sure) > 0.9
    np.testing.assert_array_equal(together.tokens[sure], alone.tokens[sure])
    np.testing.assert_allclose(together.gaps[sure], alone.gaps[sure], atol=1e-4)
    np.testing.assert_allclose(together.log_probabilities[sure], alone.log_probabilities[sure], atol=1e-5)


def test_shares_fit_an_accelerator() -> None:
    meta = torch.device("meta")
    models, rows = decoding._shares(SPEC, 10**6, 1000, 40, meta)
    assert rows == decoding._ACCELERATOR_ROWS
    numbers = 2 * SPEC.parameters + 2 * 2 * rows * 40 * 16
    assert models == decoding._ACCELERATOR_BYTES // (4 * numbers)
    assert decoding._shares(SPEC, 3, 7, 40, meta) == (3, 7)


def test_samples_are_coupled_and_follow_the_softmax() -> None:
    """One prompt many times: first tokens are independent draws, and the same for a model that is there twice."""
    count, temperature = 4000, 1.3
    prompt = prompts(1)[0]
    twice = weights(SPEC)[[0, 0, 1]]
    drawn = continuations(SPEC, twice, [prompt] * count, 1, temperature=temperature, seed=8)
    for name in ("tokens", "gaps", "log_probabilities"):
        np.testing.assert_array_equal(getattr(drawn, name)[0], getattr(drawn, name)[1])
    for model, vector in ((0, twice[0]), (2, twice[2])):
        exact = reference(SPEC, vector, prompt[None])[0, -1]
        np.testing.assert_allclose(drawn.log_probabilities[model, :, 0], exact[drawn.tokens[model, :, 0]], atol=1e-5)
        softmax = np.exp(exact / temperature) / np.exp(exact / temperature).sum()
        likely = softmax > 100 / count
        assert_mean(drawn.tokens[model] == np.flatnonzero(likely), softmax[likely])
    # Apart, two models agree as often as Σ p p'; coupled, far more often.
    assert np.mean(drawn.tokens[0] == drawn.tokens[2]) > 3 * float((softmax**2).sum())


def test_noise_is_a_function_of_seed_place_and_step() -> None:
    """Philox by its definition is tested with `batches`; here, which of its words are used."""
    words = np.random.Philox(key=np.array([6, 3], np.uint64), counter=np.array([0, 0, 1, 0], np.uint64)).random_raw(10)
    u = [(int(word) // 2**12 + 0.5) / 2**52 for word in words]
    np.testing.assert_allclose(decoding._gumbel(6, 3, 2, 5).ravel(), -np.log(-np.log(u)), rtol=1e-6)
    # A model without preferences says where the noise is largest; scores are logits/temperature + noise.
    flat = np.zeros((1, SPEC.parameters), dtype=np.float32)
    given = prompts(5)
    drawn = continuations(SPEC, flat, given, LENGTH, temperature=0.3, seed=6)
    for n in range(5):
        noise = decoding._gumbel(6, n, LENGTH, SPEC.vocabulary_size)
        np.testing.assert_array_equal(drawn.tokens[0, n], noise.argmax(axis=1))
        first, second = np.sort(noise, axis=1)[:, :-3:-1].T
        np.testing.assert_allclose(drawn.gaps[0, n], first - second, rtol=1e-6)
    np.testing.assert_allclose(drawn.log_probabilities, -np.log(SPEC.vocabulary_size), rtol=1e-6)
    assert not np.array_equal(continuations(SPEC, flat, given, LENGTH, temperature=0.3, seed=7).tokens, drawn.tokens)


def test_noise_is_gumbel() -> None:
    drawn = decoding._gumbel(0, 0, 1000, 40).ravel().astype(np.float64)
    assert_mean(drawn, np.euler_gamma)
    assert_mean((drawn - np.euler_gamma) ** 2, np.pi**2 / 6)


def test_ties_go_to_the_first_and_low_temperatures_to_the_largest() -> None:
    given = prompts(6)
    flat = np.zeros((1, SPEC.parameters), dtype=np.float32)
    tied = continuations(SPEC, flat, given, 3)
    assert not tied.tokens.any()
    assert not tied.gaps.any()
    greedy = continuations(SPEC, weights(SPEC), given, LENGTH)
    cold = continuations(SPEC, weights(SPEC), given, LENGTH, temperature=1e-6)
    clear = np.cumsum(greedy.gaps < 1e-3, axis=2) == 0
    assert np.mean(clear) > 0.9
    np.testing.assert_array_equal(cold.tokens[clear], greedy.tokens[clear])
    # Scores count in units of the temperature.
    np.testing.assert_allclose(1e-6 * cold.gaps[clear], greedy.gaps[clear], atol=1e-4)


def test_the_grammar_reads_log_probabilities() -> None:
    grammar = StoryGrammar()
    stories = sample(grammar, 3, 30, seed=0)
    spec = ModelSpec(len(grammar.vocabulary), width=16, layers=1, heads=2, hidden=16, context=30)
    found = divergence(grammar, stories, log_probabilities(spec, FlatModel(spec, 0).vector, stories))
    # A random start knows next to nothing.
    truth = next_token_probabilities(grammar, stories)[:, 1:]
    np.testing.assert_allclose(found.cross_entropy, np.log(spec.vocabulary_size), atol=0.5)
    assert truth.shape[:2] == found.kl.shape


def test_progress_and_threads() -> None:
    given, calls = prompts(ROWS + 1), []
    alone = continuations(SPEC, weights(SPEC), given, 2)

    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    kept = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        same(continuations(SPEC, weights(SPEC), given, 2, progress=lambda *call: calls.append(call)), alone)
        assert torch.get_num_threads() == 3
        with pytest.raises(KeyboardInterrupt):
            continuations(SPEC, weights(SPEC), given, 2, progress=interrupt)
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(kept)
    done = [call[0] for call in calls]
    assert len(done) == 6  # three models, two blocks
    assert done == sorted(set(done))
    assert calls[-1] == (3 * (ROWS + 1), 3 * (ROWS + 1))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"prompts": []}, "prompts must not be empty"),
        ({"prompts": [[1], [0.5]]}, r"prompts\[1\] must be a vector of integers, got float64 of shape \(1,\)"),
        ({"prompts": [[1], []]}, r"prompts\[1\] must have from 1 to context − length = 28 tokens, got 0"),
        ({"prompts": [np.zeros(0, int)]}, r"prompts\[0\] must have from 1 to context − length = 28 tokens, got 0"),
        ({"prompts": [np.zeros(29, int)]}, r"prompts\[0\] must have from 1 to context − length = 28 tokens, got 29"),
        ({"prompts": [[1], [3, 41]]}, r"prompts\[1\] must be ids from 0 to 40, got 41"),
        ({"prompts": [[-1]]}, r"prompts\[0\] must be ids from 0 to 40, got -1"),
        ({"prompts": [[[1]]]}, r"prompts\[0\] must be a vector of integers, got int64 of shape \(1, 1\)"),
        ({"length": 0}, "length must be an integer from 1 to 39, got 0"),
        ({"length": 40}, "length must be an integer from 1 to 39, got 40"),
        ({"temperature": -0.5}, r"temperature must be a number in \[0, inf\), got -0.5"),
        ({"temperature": float("nan")}, r"temperature must be a number in \[0, inf\), got nan"),
        ({"temperature": 1e-9}, "temperature must be 0 or at least 1e-06, got 1e-09"),
        ({"seed": -1}, "seed must be an integer from 0"),
        ({"weights": np.zeros((2, 5))}, rf"weights must have shape \(models ≥ 1, {SPEC.parameters}\), got \(2, 5\)"),
        ({"weights": np.zeros(SPEC.parameters)}, "weights must have shape"),
        ({"weights": np.zeros((0, SPEC.parameters))}, "weights must have shape"),
        ({"weights": np.zeros((1, SPEC.parameters), int)}, "weights must be floating-point numbers, got int64"),
        ({"weights": torch.full((2, SPEC.parameters), torch.nan)}, "weights must be finite, row 0 is not"),
        ({"weights": np.where(np.arange(2) == 1, np.inf, np.zeros((SPEC.parameters, 2))).T}, "row 1 is not"),
    ],
)
def test_bad_values_are_named(changed, message) -> None:
    arguments = {"weights": weights(SPEC), "prompts": [[1], [2, 3]], "length": LENGTH, "temperature": 0.0, "seed": 0}
    arguments |= changed
    with pytest.raises(ValueError, match=message):
        continuations(SPEC, **arguments)


@pytest.mark.parametrize(
    ("tokens", "message"),
    [
        (np.zeros((2, 1), int), r"tokens must have shape \(N ≥ 1, 2 to 40\), got \(2, 1\)"),
        (np.zeros((2, 41), int), r"tokens must have shape \(N ≥ 1, 2 to 40\), got \(2, 41\)"),
        (np.zeros((0, 5), int), r"tokens must have shape \(N ≥ 1, 2 to 40\), got \(0, 5\)"),
        (np.zeros(5, int), r"tokens must be a matrix of integers, got int64 of shape \(5,\)"),
        (np.zeros((2, 5)), "tokens must be a matrix of integers, got float64"),
        (np.full((2, 5), 41), "tokens must be ids from 0 to 40, got 41"),
        (np.full((2, 5), -3), "tokens must be ids from 0 to 40, got -3"),
    ],
)
def test_bad_texts_are_named(tokens, message) -> None:
    with pytest.raises(ValueError, match=message):
        token_losses(SPEC, weights(SPEC), tokens)
    with pytest.raises(ValueError, match="tokens must"):
        log_probabilities(SPEC, weights(SPEC)[0], tokens if tokens.shape != (2, 1) else tokens[:, :0])
    with pytest.raises(ValueError, match="weights must have shape"):
        token_losses(SPEC, weights(SPEC)[:, 1:], np.zeros((2, 5), int))
    with pytest.raises(ValueError, match="weights must have shape"):
        log_probabilities(SPEC, weights(SPEC)[0, 1:], np.zeros((2, 5), int))

"""Neighbours of a model at given distances, and rewards of the continuations in a run's dataset."""

import numpy as np
import pytest

pytest.importorskip("transformers")

import xarray as xr

from neural.language.decoding import continuations, token_losses
from neural.language.distance_law import parting_law
from neural.language.edit_distance import first_difference
from neural.language.grammar import StoryGrammar
from neural.language.grammar_judge import judge
from neural.language.judging import returns_at, story_rewards
from neural.language.languages import GrammarLanguage
from neural.language.models import FlatModel, ModelSpec
from neural.language.padding import padded
from neural.language.parting import parting
from neural.language.reference import judged
from neural.language.stored_models import BEFORE, StoredModels
from neural.statistics import reward_spread

GRAMMAR = StoryGrammar(2, 2, 2, 2)
LANGUAGE = GrammarLanguage(GRAMMAR)
SPEC = ModelSpec(LANGUAGE.vocabulary_size, width=16, layers=1, heads=2, hidden=24, context=60, initial_spread=0.3)
MIDDLE = FlatModel(SPEC, 0).vector.numpy()
UPDATE = 0.05 * FlatModel(SPEC, 1).vector.numpy()
MODELS = StoredModels(SPEC, ("raw", "EMA", BEFORE), np.stack([MIDDLE, MIDDLE + 1.0, MIDDLE - UPDATE]), 9)
SHARES = np.array([1e-6, 0.01, 1.0])


@pytest.fixture(scope="module")
def parted() -> xr.Dataset:
    return parting(
        MODELS, LANGUAGE, shares=SHARES, directions=3, prompts=6, prompt_length=1, length=25, seed=4, progress=None
    )


def test_neighbours_are_where_they_are_said_to_be(parted) -> None:
    prompts = LANGUAGE.prompts(6, 1)
    norm = float(np.linalg.norm(MODELS["raw"] - MODELS[BEFORE]))
    np.testing.assert_allclose(parted["distance"], SHARES * norm)
    middle = continuations(SPEC, MIDDLE[None], prompts, 25)
    assert np.array_equal(parted["base"], middle.tokens[0])
    assert np.array_equal(parted["base_gap"], middle.gaps[0])
    update = MODELS["raw"] - MODELS[BEFORE]
    along = continuations(SPEC, (MIDDLE + update)[None], prompts, 25)
    assert np.array_equal(parted["text"].values[0, 2], along.tokens[0])
    # Farther neighbours part earlier, and no direction is another's twin.
    first = first_difference(parted["text"].values, parted["base"].values)
    assert first[:, 0].min() == 25
    assert first[:, 2].mean() < first[:, 1].mean()
    assert not np.array_equal(parted["text"][1, 2], parted["text"][2, 2])
    assert not np.array_equal(parted["text"][1, 2], parted["text"][0, 2])


def test_the_law_is_that_of_the_first_differences(parted) -> None:
    law = parting_law(parted)
    assert len(law.hazards) == 3
    assert law.hazards[0].value == 0.0
    assert law.hazards[1].value < law.hazards[2].value


def test_parting_in_parts_changes_nothing(parted, monkeypatch) -> None:
    seen: list[tuple[int, int]] = []
    monkeypatch.setattr("neural.language.parting._MODELS", SPEC.parameters)
    again = parting(
        MODELS,
        LANGUAGE,
        shares=SHARES,
        directions=3,
        prompts=6,
        prompt_length=1,
        length=25,
        seed=4,
        progress=lambda *now: seen.append(now),
    )
    xr.testing.assert_equal(parted, again)
    assert seen == [(i, 9) for i in range(1, 10)]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"shares": np.array([0.0, 1.0])}, "shares must be a vector of positive numbers"),
        ({"directions": 1}, "directions must be an integer at least 2, got 1"),
        ({"name": "Polyak"}, "model must be one of"),
        ({"prompts": 1}, "prompts must be an integer at least 2, got 1"),
        ({"seed": -1}, "seed must be an integer at least 0, got -1"),
    ],
)
def test_bad_parting_is_named(change: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parting(MODELS, LANGUAGE, **{"shares": SHARES, "prompts": 3, "length": 4, **change})


def test_models_that_do_not_differ_have_no_direction() -> None:
    still = StoredModels(SPEC, ("raw", BEFORE), np.stack([MIDDLE, MIDDLE]), 1)
    with pytest.raises(ValueError, match="models must differ"):
        parting(still, LANGUAGE, shares=SHARES)


@pytest.fixture(scope="module")
def written() -> xr.Dataset:
    """Continuations of two iterates, raw and one average, by models that know nothing, and one by the grammar."""
    prompts = LANGUAGE.prompts(5, 1)
    rng = np.random.default_rng(0)
    vectors = np.stack([MIDDLE + 0.1 * rng.normal(size=MIDDLE.shape).astype(np.float32) for _ in range(4)])
    made = continuations(SPEC, vectors, prompts, 20, temperature=1.0)
    texts = made.tokens.reshape(2, 2, 5, 20).copy()
    for p, prompt in enumerate(prompts):  # the true continuation of one cell
        from neural.language.grammar_sampling import greedy

        texts[1, 1, p] = greedy(GRAMMAR, prompt[None], 20)[0, len(prompt) :]
    return xr.Dataset(
        {
            "greedy": (("iterate", "average", "prompt", "token"), texts),
            "prompt_tokens": (("prompt", "prompt_token"), padded(prompts)),
            "loss": (("iterate", "average"), np.array([[1.0, 0.9], [1.1, 0.8]])),
            "consecutive": ("iterate", np.ones(2, np.int8)),
        },
        coords={"iterate": [8, 9], "average": ["raw", "EMA"]},
    )


def test_story_rewards_are_the_judges(written) -> None:
    rewards = story_rewards(written, GRAMMAR, (5, 20))
    assert rewards.sizes == {"iterate": 2, "average": 2, "prompt": 5, "horizon": 2}
    assert (rewards.sel(iterate=9, average="EMA") == 1.0).all()
    prompt = LANGUAGE.prompts(5, 1)[3]
    text = np.concatenate([prompt, written["greedy"].sel(iterate=8, average="raw")[3].values])
    expected = judge(GRAMMAR, text[None]).reward(20, len(prompt))[0]
    assert float(rewards.sel(iterate=8, average="raw", horizon=20)[3]) == expected < 1.0
    returns = returns_at(written, rewards, 20)
    spread = reward_spread(returns, windows=["consecutive"], resamples=100)["consecutive"]
    assert spread["EMA"].mean_return.value == pytest.approx(float(rewards.sel(average="EMA", horizon=20).mean()))
    assert spread["EMA"].fallen.value == pytest.approx(0.5)


def test_judged_rewards_are_the_references_losses(written) -> None:
    seen: list[tuple[int, int]] = []
    rewards = judged(written, SPEC, MIDDLE, (4, 20), progress=lambda *now: seen.append(now))
    prompt = LANGUAGE.prompts(5, 1)[2]
    text = np.concatenate([prompt, written["greedy"].sel(iterate=9, average="raw")[2].values])
    losses = token_losses(SPEC, MIDDLE[None], text[None])[0, 0, -20:]
    found = rewards.sel(iterate=9, average="raw")[2]
    np.testing.assert_allclose(found, [-losses[:4].mean(), -losses.mean()], rtol=1e-5)
    assert seen == [(1, 2), (2, 2)]

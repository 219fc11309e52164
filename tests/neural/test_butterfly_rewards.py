"""Changes of the loss, and rewards of continuations, on data whose answers are known."""

import math

import numpy as np
import pytest
import xarray as xr
from scipy.stats import binom

from neural.language.continuation_rewards import as_returns, grammar_rewards, judged_rewards
from neural.language.grammar import StoryGrammar
from neural.language.grammar_judge import judge
from neural.language.grammar_sampling import prompts, sample
from neural.language.loss_changes import loss_changes
from neural.statistics import reward_spread
from tests.budget import FALSE_ALARM

RNG = np.random.default_rng
GRAMMAR = StoryGrammar(agents=3, objects=3, places=3, times=2)


def window_losses(seed: int, windows: int = 100) -> np.ndarray:
    """Iterates whose losses are 2.0, 2.01, 2.0, ..., and an average of loss 1.9; windows differ far more."""
    rng = RNG(seed)
    level = 2.0 + 0.01 * (np.arange(20) % 2)
    losses = np.stack([level, np.full(20, 1.9)], axis=1)[..., None] * np.ones(windows)
    return losses + 0.3 * rng.normal(size=windows) + 0.002 * rng.normal(size=(20, 2, windows))


def test_changes_are_paired_by_windows() -> None:
    raw, average = loss_changes(window_losses(0))
    assert raw.median.low <= 0.01 / 2.0 <= raw.median.high
    assert raw.median.high / raw.median.low < 1.2
    assert raw.largest.value >= raw.median.value
    # Of differences, √2 · 0.002/√100, though the loss itself has 0.03.
    assert raw.standard_error == pytest.approx(math.sqrt(2) * 0.002 / 10 / 2.0, rel=0.2)
    assert average.median.value < 3 * average.standard_error
    assert raw.gain.value == raw.gain.low == raw.gain.high == 0.0
    assert average.gain.low <= 0.105 <= average.gain.high
    assert average.gain.high - average.gain.low < 0.001
    assert raw.mean_loss.high - raw.mean_loss.low == pytest.approx(2 * 1.984 * 0.03, rel=0.3)
    assert raw.mean_loss.low <= 2.005 <= raw.mean_loss.high


def test_the_interval_of_one_change_is_that_of_its_paired_error() -> None:
    pair = loss_changes(window_losses(3)[:2], resamples=4000)[0]
    error = pair.standard_error / pair.median.value
    assert math.log(pair.median.high / pair.median.low) == pytest.approx(2 * 1.96 * error, rel=0.1)
    assert math.log(pair.median.high / pair.median.value) == pytest.approx(1.96 * error, rel=0.15)
    assert pair.largest == pair.median


def test_changes_are_those_of_the_mean_losses() -> None:
    losses = RNG(1).uniform(1, 2, (3, 1, 10))
    (found,) = loss_changes(losses)
    mean = losses.mean(axis=2)[:, 0]
    changes = [abs(mean[i + 1] - mean[i]) / mean[i] for i in range(2)]
    assert found.median.value == pytest.approx(np.mean(changes))
    assert found.largest.value == pytest.approx(max(changes))
    assert loss_changes(losses) == loss_changes(losses)
    assert loss_changes(losses) != loss_changes(losses, seed=1)
    still = loss_changes(np.broadcast_to(losses[:1], losses.shape))[0]
    assert still.median.value == 0.0
    assert math.isnan(still.median.high)


def test_the_gain_is_covered() -> None:
    trials, hits = 200, 0
    for seed in range(trials):
        gain = loss_changes(window_losses(seed, 30), resamples=100)[1].gain
        hits += gain.low <= 0.105 <= gain.high
    assert binom.ppf(FALSE_ALARM, trials, 0.95) <= hits <= trials


@pytest.mark.parametrize(
    ("losses", "options", "message"),
    [
        (np.ones((1, 2, 5)), {}, r"at least 2 iterates and windows and 'raw', got shape \(1, 2, 5\)"),
        (np.ones((3, 2, 1)), {}, "at least 2 iterates and windows"),
        (np.zeros((3, 2, 5)), {}, "window_loss must be positive, got 0"),
        (np.full((3, 2, 5), np.nan), {}, "window_loss must be finite"),
        (np.ones((3, 2, 5)), {"resamples": 10}, "resamples must be an integer at least 100"),
        (np.ones((3, 2, 5)), {"level": 1.0}, "level must be a number"),
    ],
)
def test_losses_out_of_range(losses, options, message) -> None:
    with pytest.raises(ValueError, match=message):
        loss_changes(losses, **options)


def test_grammar_rewards_are_the_judge_s_at_every_horizon() -> None:
    starts = prompts(GRAMMAR, 5, 2, seed=0)
    assert len({len(p) for p in starts}) > 1  # of different lengths
    right = np.array([sample(GRAMMAR, 1, len(p) + 12, seed=0, first=i)[0, len(p) :] for i, p in enumerate(starts)])
    broken = right.copy()
    broken[np.arange(5), [0, 3, 5, 8, 11]] = GRAMMAR.token("<begin>")
    found = grammar_rewards(GRAMMAR, starts, np.stack([right, broken])[:, None], [1, 6, 12])
    assert found.shape == (2, 1, 5, 3)
    np.testing.assert_array_equal(found[0], 1.0)
    np.testing.assert_allclose(
        found[1, 0], [[0, 0, 0], [1, 3 / 6, 3 / 12], [1, 5 / 6, 5 / 12], [1, 1, 8 / 12], [1, 1, 11 / 12]]
    )
    for p, text in zip(starts, broken, strict=True):
        one = judge(GRAMMAR, np.concatenate([p, text])[None]).reward(6, len(p))
        assert grammar_rewards(GRAMMAR, [p], text[None], [6])[0, 0] == one[0]


def test_judged_rewards_are_minus_mean_losses() -> None:
    losses = np.array([[1.0, 3.0, 5.0], [0.0, 0.0, 6.0]])
    np.testing.assert_allclose(judged_rewards(losses, [1, 2, 3]), [[-1, -2, -3], [0, 0, -2]])


def test_returns_are_read_by_the_spread_of_rewards() -> None:
    rng = RNG(2)
    dataset = xr.Dataset(
        {
            "greedy": (("iterate", "average", "prompt", "token"), np.zeros((12, 2, 9, 4), int)),
            "loss": (("iterate", "average"), rng.uniform(2, 3, (12, 2))),
            "consecutive": ("iterate", np.ones(12, dtype=np.int8)),
        },
        coords={"iterate": np.arange(12), "average": ["raw", "ema"], "prompt": np.arange(9)},
    )
    rewards = rng.uniform(0.5, 1.0, (12, 2, 9)) * np.array([1.0, 0.1])[:, None]
    found = reward_spread(as_returns(dataset, rewards, rewards < 0.6), windows=["consecutive"], resamples=100)
    raw, ema = found["consecutive"].rows
    assert raw.mean_return.value == pytest.approx(rewards[:, 0].mean())
    assert ema.spread.value == pytest.approx(rewards[:, 1].mean(axis=1).std(ddof=1))
    assert raw.fallen.value == pytest.approx((rewards[:, 0] < 0.6).mean())
    assert found.episodes == 9
    with pytest.raises(ValueError, match=r"fallen must have the shape \(12, 2, 9\), got \(12, 2\)"):
        as_returns(dataset, rewards, rewards[..., 0])
    with pytest.raises(ValueError, match=r"lacks \['loss'\]"):
        as_returns(dataset.drop_vars("loss"), rewards, rewards)
    with pytest.raises(ValueError, match=r"lacks \['prompt'\]"):
        as_returns(dataset.rename(prompt="text"), rewards, rewards)


def test_rewards_out_of_range() -> None:
    starts = prompts(GRAMMAR, 2, 1, seed=0)
    with pytest.raises(ValueError, match=r"2 prompts, T\), got shape \(3, 4\)"):
        grammar_rewards(GRAMMAR, starts, np.zeros((3, 4), int), [1])
    with pytest.raises(ValueError, match="horizons must be an integer from 1 to 4, got 5"):
        grammar_rewards(GRAMMAR, starts, np.zeros((2, 4), int), [5])
    with pytest.raises(ValueError, match="prompts must have no error, number 1 has one at 1"):
        grammar_rewards(GRAMMAR, [starts[0], starts[1][[0, 0, 1]]], np.zeros((2, 4), int), [1])
    with pytest.raises(ValueError, match="horizons must hold at least one"):
        judged_rewards(np.ones(3), [])
    with pytest.raises(ValueError, match="token_losses must be finite"):
        judged_rewards(np.full(3, np.nan), [1])

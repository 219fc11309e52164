"""All butterfly measures of a run's dataset, on a invented run whose raw iterates scatter and whose average is calm."""

import math

import numpy as np
import pytest
import xarray as xr

from neural.language.butterfly import butterfly, neighbour_differences
from neural.language.edit_distance import edit_distances, first_difference
from neural.language.hazards import split_hazard
from neural.language.loss_changes import loss_changes
from neural.language.repetition import distinct_ngrams

ITERATES, PROMPTS, LENGTH, WORDS, CONTEXTS = 13, 24, 60, 6, 5003


def texts_and_gaps(weights: np.ndarray, prompts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Greedy texts and gaps of a model whose logits are those of a hashed context."""
    tokens, gaps = np.empty((PROMPTS, LENGTH), dtype=np.int32), np.empty((PROMPTS, LENGTH), dtype=np.float32)
    state = prompts.copy()
    for t in range(LENGTH):
        two = np.sort(weights[state], axis=1)[:, -2:]
        tokens[:, t], gaps[:, t] = weights[state].argmax(axis=1), two[:, 1] - two[:, 0]
        state = (state * 31 + tokens[:, t] * 7919 + t * 104729 + 1) % CONTEXTS
    return tokens, gaps


def made_up_run() -> xr.Dataset:
    """Raw logits scatter by 0.2 about one model, those of the average by 0.002; iterates in no order."""
    rng = np.random.default_rng(0)
    model, prompts = rng.normal(size=(CONTEXTS, WORDS)), rng.integers(0, CONTEXTS, PROMPTS)
    cells = [
        [texts_and_gaps(model + scale * rng.normal(size=model.shape), prompts) for scale in (0.2, 0.002)]
        for _ in range(ITERATES)
    ]
    cell = ("iterate", "average", "prompt", "token")
    greedy, gap = (np.array([[c[i] for c in row] for row in cells]) for i in (0, 1))
    losses = 2.0 + rng.normal(size=50) + 0.001 * rng.normal(size=(ITERATES, 2, 50))
    losses[:, 1] -= 0.1
    return xr.Dataset(
        {
            "greedy": (cell, greedy),
            "greedy_gap": (cell, gap),
            "loss": (cell[:2], losses.mean(axis=2)),
            "window_loss": (("iterate", "average", "window"), np.maximum(losses, 0.01).astype(np.float32)),
            "consecutive": ("iterate", (np.arange(ITERATES) > 0).astype(np.int8)),
            "spaced": ("iterate", (np.arange(ITERATES) % 3 == 0).astype(np.int8)),
        },
        coords={"iterate": 100 + np.arange(ITERATES), "average": ["raw", "ema"], "prompt": np.arange(PROMPTS)},
    )


@pytest.fixture(scope="module")
def run() -> xr.Dataset:
    return made_up_run()


def test_every_measure_is_that_of_its_function(run) -> None:
    found = butterfly(run)
    assert (found.iterates, found.updates_apart, found.pairs) == ((101, 112), (1, 1), 11)
    assert (found.prompts, found.length) == (PROMPTS, LENGTH)
    assert [row.average for row in found.rows] == ["raw", "ema"]
    for j, row in enumerate(found.rows):
        texts, gaps = (run[name].values[1:, j] for name in ("greedy", "greedy_gap"))
        first = first_difference(texts[:-1], texts[1:])
        assert row.survival.differing.value == pytest.approx((first < LENGTH).mean())
        edits = edit_distances(texts[:-1], texts[1:]).mean(axis=(0, 1))
        np.testing.assert_allclose(row.edit_curve, edits)
        assert row.edit_distance.value == pytest.approx(edits[-1])
        assert row.edit_distance.low < edits[-1] < row.edit_distance.high
        hazard = split_hazard(first, gaps[:-1], gaps[1:])
        assert (row.hazard.hazard, row.hazard.predicted) == (hazard.hazard, hazard.predicted)
        assert row.loss == loss_changes(run["window_loss"].values[1:])[j]
        for n, estimate in enumerate(row.distinct, 1):
            assert estimate.value == pytest.approx(distinct_ngrams(texts, n)[..., -1].mean())
        assert row.looping.value < 0.1
        assert row.loop_start.value > 0.9 * LENGTH


def test_raw_iterates_scatter_where_the_average_does_not(run) -> None:
    raw, ema = butterfly(run).rows
    assert raw.survival.differing.low > 0.9
    assert ema.survival.differing.high < 0.4
    assert raw.median_first_difference == raw.survival.median.value < 15
    assert ema.median_first_difference is None
    assert raw.edit_distance.low > ema.edit_distance.high
    assert raw.loss.median.high < 1e-3
    assert ema.loss.gain.low > 0.09
    assert raw.hazard.ratio.low <= 1.0 <= raw.hazard.ratio.high
    assert butterfly(run)["ema"].average == "ema"
    with pytest.raises(KeyError, match="no average 'power'"):
        butterfly(run)["power"]


def test_iterates_are_taken_in_their_order_and_dimensions_by_name(run) -> None:
    mixed = run.isel(iterate=np.random.default_rng(1).permutation(ITERATES)).transpose()
    for members in ("consecutive", "spaced"):
        a, b = butterfly(run, members=members), butterfly(mixed, members=members)
        assert [r.edit_distance for r in a.rows] == [r.edit_distance for r in b.rows]
        assert [r.hazard.predicted for r in a.rows] == [r.hazard.predicted for r in b.rows]
    assert (a.updates_apart, a.pairs, a.iterates) == ((3, 3), 4, (100, 112))


def test_first_differences_have_names(run) -> None:
    found = neighbour_differences(run)
    assert found.dims == ("pair", "average", "prompt")
    assert found["pair"].values.tolist() == list(range(101, 112))
    one = first_difference(run["greedy"].sel(iterate=105).values[1], run["greedy"].sel(iterate=106).values[1])
    np.testing.assert_array_equal(found.sel(pair=105, average="ema"), one)


def test_sampled_continuations_have_their_own_gaps(run) -> None:
    sampled = run.rename(greedy="sampled", greedy_gap="sampled_gap")
    assert butterfly(sampled, "sampled")["raw"].hazard.hazard == butterfly(run)["raw"].hazard.hazard
    with pytest.raises(ValueError, match="lacks the variable 'greedy', it has"):
        butterfly(sampled)


def test_texts_that_loop_are_seen(run) -> None:
    looping = run.copy(deep=True)
    looping["greedy"][:, :, :6, 30:] = np.arange(30) % 5
    found = butterfly(looping)["ema"]
    assert found.looping.value == pytest.approx(0.25, abs=0.05)
    assert found.looping.low < 0.25 < found.looping.high
    assert found.loop_start.value == pytest.approx(LENGTH - 0.25 * 30, abs=1.5)


def test_whole_texts_that_agree_leave_no_hazard(run) -> None:
    same = run.copy(deep=True)
    for name in ("greedy", "greedy_gap"):
        same[name][:] = same[name].isel(iterate=0)
    found = butterfly(same)["raw"]
    assert found.survival.differing.value == 0.0 < found.survival.differing.high < 0.2
    assert found.hazard.hazard.value == 0.0 < found.hazard.hazard.high
    assert found.edit_distance.value == 0.0
    assert math.isnan(found.edit_distance.high)  # that no variance was seen is no proof that there is none
    assert math.isnan(found.hazard.ratio.value)


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        (lambda d: d.drop_vars("greedy_gap"), {}, "lacks the variable 'greedy_gap'"),
        (lambda d: d.drop_vars("window_loss"), {}, "lacks the variable 'window_loss'"),
        (lambda d: d.drop_vars("iterate"), {}, "lacks the coordinate 'iterate'"),
        (lambda d: d.isel(average=[1, 0]), {}, "first average must be 'raw'"),
        (lambda d: d.rename(token="word"), {}, r"'greedy' must have dimensions .*'token'"),
        (lambda d: d.isel(iterate=[0, 1]), {}, "'consecutive' must hold at least 2 iterates, got 1"),
        (lambda d: d.isel(iterate=[1, 2, 2]), {}, r"every iterate once, got updates \[101, 102, 102\]"),
        (lambda d: d, {"which": "beam"}, "which must be one of"),
        (lambda d: d, {"members": "every"}, "lacks the variable 'every'"),
        (lambda d: d, {"level": 0.0}, "level must be a number"),
    ],
)
def test_what_a_dataset_lacks_is_named(run, change, options, message) -> None:
    with pytest.raises(ValueError, match=message):
        butterfly(change(run), **options)

"""Survival of agreement: pooled over runs as it should be, beside a prediction that knows nothing of the splits."""

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from neural.language.shipping import one_run
from neural.runs import load_dataset, save_dataset
from neural.statistics import RAW
from paper_figs import style, survival
from paper_figs.gallery import LANGUAGE

FILE = LANGUAGE / "grammar.nc"
SEEDS, ITERATES, PROMPTS, LENGTH = 3, 7, 40, 50


@pytest.fixture(scope="module")
def shipped() -> survival.Parted:
    return survival.data(FILE)


def made_up(noise: float = 0.05) -> xr.Dataset:
    """Two tokens whose logits differ by a common part and a little noise of each iterate; every second is spaced."""
    rng = np.random.default_rng(0)
    common = rng.standard_normal((1, 1, 1, PROMPTS, LENGTH))
    shape = (SEEDS, ITERATES, 2, PROMPTS, LENGTH)
    scale = np.array([noise, 0.2 * noise])[:, None, None]
    logits = common + scale * rng.standard_normal(shape)
    cell = ("seed", "iterate", "average", "prompt", "token")
    even = (np.arange(ITERATES) % 2 == 0).astype(np.int8)
    return xr.Dataset(
        {
            "greedy": (cell, (logits > 0).astype(np.int8)),
            "greedy_gap": (cell, np.abs(logits)),
            "consecutive": ("iterate", np.ones(ITERATES, dtype=np.int8)),
            "spaced": ("iterate", even),
        },
        {"seed": np.arange(SEEDS), "iterate": 10 + 3 * np.arange(ITERATES), "average": [RAW, "mean"]},
    )


def by_hand(dataset: xr.Dataset, members: str, average: str) -> np.ndarray:
    """(pairs, prompts) first differences, one text after another."""
    out = []
    for seed in range(dataset.sizes["seed"]):
        at = np.flatnonzero(dataset[members].values)
        texts = dataset["greedy"].isel(seed=seed, iterate=at).sel(average=average).values
        for one, other in itertools.pairwise(texts):
            out.append([next((i for i, d in enumerate(a != b) if d), len(a)) for a, b in zip(one, other, strict=True)])
    return np.array(out)


@pytest.mark.parametrize("members", survival.MEMBERS)
def test_the_prediction_meets_what_two_tokens_do(members: str) -> None:
    dataset = made_up()
    parted = survival.measured(dataset)
    for average in (RAW, "mean"):
        one = parted.found[members][average]
        np.testing.assert_array_equal(one.first, by_hand(dataset, members, average))
        # The logits' difference changes sign with probability arctan(...)/π, about f(0) E|D| / 2 for a small change.
        assert one.hazard.ratio.low < 1.1
        assert one.hazard.ratio.high > 0.9
        assert len(one.by_run) == SEEDS
        totals = [h.hazard.value * h.at_risk.sum() for h in one.by_run]
        assert sum(totals) == pytest.approx(one.hazard.hazard.value * one.hazard.at_risk.sum())
    assert parted.apart == {"consecutive": 3, "spaced": 6}


def test_hazards_between_the_edges_add_up_to_the_pooled_one(shipped) -> None:
    for average in (RAW, "EMA 0.01"):
        one = shipped.found["consecutive"][average]
        splits = {}
        for low, high in itertools.pairwise(survival.EDGES):
            risk = sum(one.hazard.at_risk[low:high])
            inside = int(np.sum((one.first >= low) & (one.first < high)))
            if inside:
                splits[0.5 * (low + high - 1)] = inside / risk
        found = survival.binned_hazards(one, shipped.length)
        assert {place: hazard.value for place, hazard in found} == pytest.approx(splits)
        assert all(hazard.low < hazard.value < hazard.high for _, hazard in found)


def test_what_ships_is_near_the_theory_and_hardly_mixed(shipped) -> None:
    assert shipped.seeds == (0, 1, 2)
    for name, one in shipped.found["consecutive"].items():
        assert 0.5 < one.hazard.ratio.value < 2.0, name
    spread = [row[RAW].hazard.hazard.value / row["Polyak"].hazard.hazard.value for row in shipped.found.values()]
    assert spread[0] > 100 > 10 > spread[1] > 2
    assert shipped.found["consecutive"][RAW].hazard.frailty.variation.high < 0.1


def test_one_run_alone_is_that_run(shipped, tmp_path: Path) -> None:
    save_dataset(tmp_path / "run.nc", one_run(load_dataset(FILE), 1))
    alone = survival.data(tmp_path / "run.nc")
    assert alone.seeds == (1,)
    pairs = len(alone.found["consecutive"][RAW].first)
    whole = shipped.found["consecutive"][RAW].first
    np.testing.assert_array_equal(alone.found["consecutive"][RAW].first, whole[pairs : 2 * pairs])


def test_the_picture_shows_curves_and_predictions(shipped, tmp_path: Path) -> None:
    figure = survival.draw(shipped)
    assert all(path.stat().st_size > 10_000 for path in style.save(figure, tmp_path / "survival"))
    axes: Any = figure.axes[0]
    raw = shipped.found["consecutive"][RAW]
    solid = next(line for line in axes.get_lines() if line.get_color() == style.RAW and line.get_linestyle() == "-")
    np.testing.assert_allclose(np.exp(-solid.get_ydata()), raw.curve.agreeing[1:])
    dashed = next(line for line in axes.get_lines() if line.get_color() == style.RAW and line.get_linestyle() == "--")
    np.testing.assert_allclose(dashed.get_ydata() / dashed.get_xdata(), raw.hazard.predicted.value)
    assert axes.get_title(loc="left") == "A  Iterates 1 update apart"
    text = survival.caption(shipped)
    assert "3 runs (seeds 0, 1, 2), 32 prompts each, 57 pairs of consecutive (A) and 15 of spaced (B)" in text
    assert f"raw {raw.hazard.ratio.value:.2f} [" in text


def test_bad_input_is_named(tmp_path: Path) -> None:
    dataset = made_up()
    save_dataset(tmp_path / "odd.nc", dataset.drop_vars("greedy_gap"))
    with pytest.raises(ValueError, match=r"data must be the dataset of a language run .* lacks \['greedy_gap'\]"):
        survival.data(tmp_path / "odd.nc")
    with pytest.raises(ValueError, match="'spaced' must hold at least 2 iterates, got 1"):
        survival.measured(dataset.assign(spaced=dataset["spaced"].where(dataset["iterate"] == 10, 0)))
    alone = dataset.isel(seed=0, drop=True).assign_attrs(config=json.dumps({"trainer": {"seed": 7}}))
    save_dataset(tmp_path / "alone.nc", alone)
    assert survival.data(tmp_path / "alone.nc").seeds == (7,)

"""Campaigns: interrupted and resumed, divergence, shared trainings, the one dataset, its summary, costs, the figure."""

import dataclasses
import json
import math
import sys

import numpy as np
import pytest
import xarray as xr
from scipy.stats import t as student

import gvatheory as gva
from neural.control import campaign_cost as costs
from neural.control.campaign import Cell, Engine, divergence, finished, plan, run_campaign
from neural.control.campaign_dataset import DIVERGED, DONE, PENDING, gather
from neural.control.campaign_summary import pooled, summarise
from neural.control.catalogue import catalogue
from neural.control.catalogue_terms import REFERENCE, Intervention, Layers, Times, of
from neural.control.design import CloningExperiment
from neural.control.learner import Learner
from neural.control.policies import save_policy
from neural.runs import load_dataset
from neural.statistics import Estimate, reward_spread
from paper_figs import interventions as figure
from paper_figs.catalogue_commands import print_summary
from tests.neural.test_cloning import standing_policy

BASE = catalogue()[0]
WIDE = Intervention("scale", "wide", "Wide?", ("N7",), (("learner.hidden", Layers((2.0,))),))
SHORT = Intervention(
    "scale", "short", "Short?", ("N7",), (("steps", Times(0.5, "steps")), ("spacing", Times(0.2, "spacing")))
)
WILD = Intervention(
    "optimisation",
    "wild",
    "Too large a step diverges.",
    ("N1",),
    (("learner.optimiser", "sgd"), ("schedule", of(gva.Constant, step_size=Times(1e9, "schedule.step_size")))),
)
LONG = Intervention("averaging", "long", "Long?", ("N4",), (), of(gva.EMA, gamma=Times(0.1, f"bank.{REFERENCE}.gamma")))
CHOSEN = (BASE, LONG, WILD, SHORT)


@pytest.fixture
def base(tmp_path) -> CloningExperiment:
    path = tmp_path / "expert.safetensors"
    save_policy(path, standing_policy(), {"algorithm": "none"})
    return CloningExperiment(
        expert=str(path),
        episodes=3,
        held_out=2,
        learner=Learner(hidden=(8,), batch_size=4),
        schedule=gva.Constant(0.01),
        bank={REFERENCE: gva.EMA(0.1)},
        evaluate=(REFERENCE,),
        steps=40,
        consecutive=3,
        spaced=4,
        spacing=10,
        rollouts=2,
        rollout_steps=40,
    )


def planned(base: CloningExperiment, chosen: tuple[Intervention, ...] = CHOSEN, seeds: tuple[int, ...] = (0,)):
    return plan(chosen, base, ["Walker2d-v4"], seeds)


def test_a_cell_is_a_training(base) -> None:
    cells = planned(base, (BASE, WIDE, LONG, WILD), seeds=(0, 5))
    assert len(cells) == 2 * 3
    assert len({cell.directory for cell in cells}) == len(cells)
    assert [cell.seed for cell in cells if WIDE in cell.members] == [0, 5]
    shared = cells[0]  # the most policies to roll out come first
    assert shared.members == (BASE, LONG)
    assert shared.experiment.evaluate == (REFERENCE, "long")
    assert shared.experiment.bank == {REFERENCE: gva.EMA(0.1), "long": gva.EMA(0.1 * 0.1)}
    assert all(cell.experiment.learner.seed == cell.seed for cell in cells)
    wide = next(cell for cell in cells if WIDE in cell.members)
    assert wide.experiment.learner.hidden == (16,)
    assert wide.experiment.bank == {REFERENCE: gva.EMA(0.1)}


def test_an_interrupted_campaign_goes_on_and_a_divergence_harms_nobody(base, tmp_path) -> None:
    cells = planned(base)
    whole, part = tmp_path / "whole", tmp_path / "part"
    run_campaign(cells, whole)
    expected = gather(CHOSEN, cells, whole)

    class Kill(Exception):
        pass

    def killer(stage: str, done: int, total: int) -> None:
        assert (stage, total) == ("cells", 3)
        if done == 2:
            raise Kill

    with pytest.raises(Kill):
        run_campaign(cells, part, progress=killer)
    done = [cell for cell in cells if finished(cell, part)]
    assert len(done) == 2
    assert int((gather(CHOSEN, cells, part)["status"] == PENDING).sum()) > 0
    files = list(part.rglob("run.nc"))
    before = [file.stat().st_mtime_ns for file in files]
    calls: list[int] = []
    run_campaign(cells, part, progress=lambda stage, done, total: calls.append(done))
    assert calls == [2, 3]
    assert [file.stat().st_mtime_ns for file in files] == before
    xr.testing.assert_equal(gather(CHOSEN, cells, part), expected)

    status = dict(zip(expected["intervention"].values, expected["status"].values[:, 0, 0], strict=True))
    assert status == {"base": DONE, "long": DONE, "wild": DIVERGED, "short": DONE}
    wild = next(cell for cell in cells if WILD in cell.members)
    assert "diverged within" in str(divergence(whole / wild.directory))
    assert np.isnan(expected["return"].sel(intervention="wild")).all()
    assert np.isnan(expected["spread"].sel(intervention="wild")).all()
    check_dataset(expected, cells, whole)


def check_dataset(found: xr.Dataset, cells: list[Cell], out) -> None:
    """Against the files of the runs themselves."""
    run = load_dataset(out / cells[0].directory / "run.nc")
    for name, average in (("base", REFERENCE), ("long", "long")):
        mine = found.sel(intervention=name, task="Walker2d-v4", seed=0)
        theirs = run.sel(average=["raw", average])
        np.testing.assert_array_equal(mine["return"], theirs["return"].transpose("average", "iterate", "episode"))
        np.testing.assert_array_equal(mine["loss"], theirs["loss"].transpose("average", "iterate"))
        np.testing.assert_array_equal(mine["iterate"], [10, 20, 30, 38, 39, 40])
        spread = reward_spread(theirs)["spaced"]
        window = mine.sel(window="spaced", member="average")
        row = spread[average]
        assert float(window["spread"]) == row.spread.value
        np.testing.assert_array_equal(window["spread_bounds"], [row.spread.low, row.spread.high])
        assert float(window["ratio"]) == row.ratio.value
        assert float(mine.sel(window="spaced", member="raw")["mean_return"]) == spread["raw"].mean_return.value
    # The last three and every second one to 20: the two sets share two iterates, so that a sixth probe is missing.
    short = found.sel(intervention="short")
    np.testing.assert_array_equal(short["iterate"], [14, 16, 18, 19, 20, -1])
    np.testing.assert_array_equal(short["spaced"], [1, 1, 1, 0, 1, 0])
    assert np.isfinite(short["return"].isel(probe=slice(0, 5))).all()
    assert np.isnan(short["return"].isel(probe=5)).all()
    assert found.sizes["episode"] == 2
    assert float(found["expert_return"][0]) > 0
    assert "joblib" in found.attrs["versions"]
    assert json.loads(found.attrs["first_config"])["steps"] == 40


def test_a_run_serves_any_selection_of_its_averages(base, tmp_path) -> None:
    both, alone = planned(base, (BASE, LONG)), planned(base, (BASE,))
    assert both[0].directory.rpartition("/")[0] == alone[0].directory.rpartition("/")[0]
    run_campaign(both, tmp_path / "out")
    assert finished(alone[0], tmp_path / "out") == tmp_path / "out" / both[0].directory
    other = dataclasses.replace(LONG, average=of(gva.EMA, gamma=0.5))  # one of the same name
    assert finished(planned(base, (BASE, other))[0], tmp_path / "out") is None
    run_campaign(alone, tmp_path / "fewer")
    assert finished(both[0], tmp_path / "fewer") is None
    expert = standing_policy()
    save_policy(str(base.expert), dataclasses.replace(expert, obs_mean=np.ones(17), obs_std=np.ones(17)))
    assert finished(planned(base, (BASE, LONG))[0], tmp_path / "out") is None


def test_a_missing_expert_shows_before_any_work(base) -> None:
    with pytest.raises(FileNotFoundError, match="no safetensors file"):
        planned(dataclasses.replace(base, expert="nowhere.safetensors"))


@pytest.mark.slow
def test_worker_processes_give_the_same_campaign(base, tmp_path) -> None:
    chosen = (BASE, LONG, WILD)
    cells = planned(base, chosen)
    run_campaign(cells, tmp_path / "here")
    run_campaign(cells, tmp_path / "workers", Engine("loky", 2))
    here, there = (gather(chosen, cells, tmp_path / name) for name in ("here", "workers"))
    np.testing.assert_array_equal(here["status"], there["status"])
    # Another number of threads may round otherwise.
    np.testing.assert_allclose(here["loss"], there["loss"], rtol=1e-4)


@pytest.mark.parametrize(("name", "module"), [("ray", "ray"), ("dask", "dask.distributed")])
def test_a_missing_engine_is_named_before_any_work(base, tmp_path, monkeypatch, name, module) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ValueError, match=f"engine '{name}' needs a package that is missing: pip install '{name}"):
        run_campaign(planned(base), tmp_path / "out", Engine(name, 2))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda base: Engine("threads"), "engine must be one of .*, got 'threads'"),  # pyright: ignore[reportArgumentType]
        (lambda base: Engine(workers=0), "workers must be an integer at least 1, got 0"),
        (lambda base: Engine(address="here"), "address is for the engines ray and dask"),
        (lambda base: plan([], base, ["Walker2d-v4"], [0]), "interventions must be at least one"),
        (lambda base: plan([BASE], base, ["Walker2d-v4"], [1, 1]), r"seeds must be .* got \[1, 1\]"),
        (lambda base: plan([BASE], base, ["Chess-v0"], [0]), "task must be one of"),
        (lambda base: plan([BASE], base, ["Walker2d-v4"], [-1]), "seed must be an integer at least 0"),
        (lambda base: gather([BASE], [], "nowhere"), "cells must hold at least one"),
        (lambda base: costs.cost(base, UNITS), r"task must be among those measured, \['Ant-v4'\]"),
        (lambda base: costs.campaign_cost([], UNITS, 0), "workers must be an integer at least 1"),
        (lambda base: summarise(campaign(), "sparse"), "window must be one of"),
        (lambda base: summarise(campaign(), level=1.0), r"level must be a number in \(0, 1\)"),
        (lambda base: summarise(campaign().isel(intervention=[1])), "must hold the intervention 'base'"),
        (lambda base: figure.draw(campaign(status=PENDING)), "no finished run"),
    ],
)
def test_bad_values_are_named(base, call, message) -> None:
    with pytest.raises(ValueError, match=message):
        call(base)


UNITS = costs.UnitCosts(2.0, 1e-3, 1e-6, 1e-7, 1e-8, {"Ant-v4": 1e-4}, 1e-9)


def test_costs(base, tmp_path) -> None:
    ant = dataclasses.replace(base, task="Ant-v4", rollout_steps=None)
    size = 27 * 8 + 8 + 8 * 8 + 8
    assert costs.weights(ant) == size
    update = 1e-3 + size * (4 * 1e-6 + 1e-7 + 1e-8)
    rolled = 6 * 2 * 2 * 1000
    expected = 2.0 + 40 * update + 5000 * 1e-4 + rolled * (1e-4 + 1e-9 * size)
    assert costs.cost(ant, UNITS) == pytest.approx(expected, rel=1e-12)
    # The steps counted are those of a real run in which nobody falls.
    cells = planned(base, (BASE, LONG))
    run_campaign(cells, tmp_path / "out")
    run = load_dataset(tmp_path / "out" / cells[0].directory / "run.nc")
    assert costs.rolled_out(cells[0].experiment) == run["return"].size * 40 >= int(run["length"].sum())
    four = plan((BASE, WIDE, LONG, SHORT), ant, ["Ant-v4"], [0])
    each = [costs.cost(cell.experiment, UNITS) for cell in four]
    assert costs.campaign_cost(four, UNITS, 2) == pytest.approx((sum(each), sum(each) / 2))
    assert costs.campaign_cost(four, UNITS, 50) == pytest.approx((sum(each), max(each)))


@pytest.mark.slow
def test_unit_costs_are_measured() -> None:
    units = costs.calibrate(["Walker2d-v4", "Ant-v4"], updates=100, episodes=1)
    assert all(1e-6 < seconds < 1e-2 for seconds in units.physics.values())
    assert units.start > 0.1
    assert 1e-13 < units.policy < 1e-8
    larger, smaller = (
        costs.cost(CloningExperiment(learner=Learner(hidden=(width,) * 3)), units) for width in (1024, 64)
    )
    assert larger > smaller + 5


def campaign(spreads: tuple = ((4.0, 1.0), (2.0, 1.0)), runs: int = 1, status: int = DONE) -> xr.Dataset:
    """Base and one more, with these spreads of raw and average for an expert of 10; run i multiplies them by e^i."""
    factors = np.exp(np.arange(runs))
    cell = ("intervention", "task", "seed")
    spread = np.array(spreads)[:, None, None, None, :] * factors[None, None, :, None, None]
    spread = np.broadcast_to(spread, (2, 1, runs, 2, 2)).copy()
    window = (*cell, "window", "member")
    bounds = spread[..., None] * np.array([0.5, 3.0])
    ratio = spread[..., :1] / np.where(spread > 0, spread, np.nan)
    return xr.Dataset(
        {
            "status": (cell, np.full((2, 1, runs), status)),
            "spread": (window, spread),
            "spread_bounds": ((*window, "bound"), bounds),
            "mean_return": (window, np.full(spread.shape, 8.0)),
            "relative_loss_spread": (window, np.full(spread.shape, 0.03)),
            "ratio": (window, ratio),
            "ratio_bounds": ((*window, "bound"), np.stack([ratio / 2, ratio * 2], axis=-1)),
            "expert_return": ("task", [10.0]),
            "spaced": (("intervention", "probe"), np.ones((2, 3), int)),
            "consecutive": (("intervention", "probe"), np.ones((2, 3), int)),
        },
        coords={
            "intervention": ["base", "other"],
            "family": ("intervention", ["base", "loss"]),
            "average_name": ("intervention", ["reference", "reference"]),
            "task": ["Walker2d-v4"],
            "seed": np.arange(runs),
            "window": ["consecutive", "spaced"],
            "member": ["raw", "average"],
            "bound": ["low", "high"],
            "episode": [0, 1],
        },
    )


def test_the_summary_of_one_run() -> None:
    base, other = summarise(campaign())
    assert (other.runs, other.diverged, other.family) == (1, 0, "loss")
    assert (other.raw.value, other.raw.low, other.raw.high) == pytest.approx((0.2, 0.1, 0.6))
    assert other.averaged.value == pytest.approx(0.1)
    assert other.mean_return == pytest.approx((0.8, 0.8))
    assert other.ratio == Estimate(2.0, 1.0, 4.0)
    assert other.raw_loss == pytest.approx(0.03)
    # Half the base's; each bound adds one end of either: factors 2 and 3 on the log scale.
    wide = math.exp(math.hypot(math.log(2), math.log(3)))
    assert other.raw_against_base.value == pytest.approx(0.5)
    assert (other.raw_against_base.low, other.raw_against_base.high) == pytest.approx((0.5 / wide, 0.5 * wide))
    assert base.raw_against_base.value == pytest.approx(1.0)


def test_the_summary_of_several_runs() -> None:
    base, other = summarise(campaign(runs=3))
    half = student.ppf(0.975, 2) / math.sqrt(3)  # the logarithms are 0, 1, 2 apart
    centre = 0.2 * math.e
    assert other.raw.value == pytest.approx(centre)
    assert (other.raw.low, other.raw.high) == pytest.approx((centre * math.exp(-half), centre * math.exp(half)))
    # Pairs of a seed share its factor, which drops out.
    assert (other.raw_against_base.low, other.raw_against_base.high) == pytest.approx((0.5, 0.5))
    assert base.ratio.value == pytest.approx(4.0)
    narrow = summarise(campaign(runs=3), level=0.5)[1].raw
    assert other.raw.low < narrow.low < centre < narrow.high < other.raw.high


def test_spreads_of_zero_and_missing_runs() -> None:
    other = summarise(campaign(((4.0, 1.0), (2.0, 0.0)), runs=2))[1]
    assert other.averaged.value == 0
    assert math.isnan(other.averaged.low)
    missing = campaign(runs=2)
    missing["status"][1] = DIVERGED
    row = summarise(missing)[1]
    assert (row.runs, row.diverged) == (0, 2)
    assert math.isnan(row.raw.value)
    assert math.isnan(row.raw_against_base.value)
    assert pooled([Estimate(1.0, 0.5, 2.0)]) == Estimate(1.0, 0.5, 2.0)
    assert math.isnan(pooled([]).value)


def test_the_figure_and_the_table(capsys, monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    dataset = campaign(((4.0, 1.0), (2.0, 0.0)), runs=2)
    dataset["status"][1, 0, 0] = DIVERGED
    drawn = figure.draw(dataset)
    panels = drawn.axes
    assert [label.get_text() for label in panels[0].get_yticklabels()] == ["base", "other"]
    xs = {float(x) for line in panels[0].get_lines() if line.get_marker() == "o" for x in np.ravel(line.get_xdata())}
    assert any(x == pytest.approx(0.4 * math.exp(0.5)) for x in xs)
    assert any(line.get_marker() == "<" for line in panels[0].get_lines())  # a spread of 0
    text = figure.caption(dataset)
    assert "2 interventions on Walker2d-v4" in text
    assert "1 runs diverged" in text
    assert "up to 2" in text
    assert "say nothing of other seeds" in figure.caption(campaign())
    dataset["status"][1] = DIVERGED
    assert [t.get_text() for t in figure.draw(dataset).axes[0].texts] == ["diverged"]
    print_summary(dataset, "spaced")
    out = capsys.readouterr().out
    assert "0 + 2 diverged" in out
    assert "base" in out


def test_a_single_run_is_no_campaign(tmp_path) -> None:
    campaign().drop_vars("status").to_netcdf(tmp_path / "run.nc")
    with pytest.raises(ValueError, match=r"must be the dataset of a campaign, .* lacks \['status'\]"):
        figure.data(tmp_path / "run.nc")

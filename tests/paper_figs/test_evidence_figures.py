"""Figures of the predictions' evidence, from a made-up set of it: every number drawn is one that is known."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from neural.predictions import n1_noise_scaling as n1
from neural.predictions import n7_interventions as n7
from neural.predictions import n8_falls as n8
from neural.predictions.arms import DEFAULT, LATE, TASKS
from neural.predictions.decision import Criterion, Effect, Finding, Verdict
from neural.predictions.evidence import Evidence
from neural.predictions.noise_spectra import all_stable, seed_factors, spectra, with_a_say
from neural.predictions.registry import judge_all
from neural.runs import load_dataset, save_dataset
from neural.statistics import RAW
from paper_figs import (
    average_grid,
    choice_regret,
    evidence_parts,
    falls,
    horizon,
    interventions,
    noise_orders,
    noise_scaling,
    prediction_forest,
    prediction_tables,
    theory_against_runs,
)
from paper_figs.cli import main
from paper_figs.gallery import EVIDENCE, FIGURES, names
from tests.neural.test_predictions import LEVEL
from tests.paper_figs.made_evidence import EXPONENTS, evidence

BASE = f"{TASKS[0]} base"


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    return evidence(tmp_path_factory.mktemp("evidence") / "verdict")


def xs(line: Line2D) -> list[float]:
    """Where the points of a line are."""
    return np.asarray(line.get_xdata(), dtype=np.float64).tolist()


def finding(region: tuple[float, float], value: float, error: float, logarithmic: bool = False) -> Finding:
    effect = Effect(value, error, 5, logarithmic)
    criterion = Criterion("made", region, "", lambda _: effect)
    return Finding(criterion, effect, effect.interval(0.95), False, False)


def test_every_region_is_the_same_band() -> None:
    reach = 2.7764451  # Student's, four degrees of freedom
    assert prediction_forest.placed(finding((0.25, 0.75), 0.5, 0.1 / reach)) == pytest.approx((0.0, -0.4, 0.4))
    assert prediction_forest.placed(finding((0.25, 0.75), 0.75, 0.0))[0] == pytest.approx(1.0)
    ratio = prediction_forest.placed(finding((0.5, 2.0), math.log(2.0), math.log(4.0) / reach, True))
    assert ratio == pytest.approx((1.0, -1.0, 3.0))
    # One edge: it lies on the band's, and the unit is the larger of the interval's half width and the edge itself.
    assert prediction_forest.placed(finding((3.0, math.inf), 6.0, 0.0))[0] == pytest.approx(0.0)
    assert prediction_forest.placed(finding((-math.inf, 1.1), 1.1, 0.0))[0] == pytest.approx(1.0)
    assert prediction_forest.placed(finding((-math.inf, 1.0), 0.0, 2.0 / reach)) == pytest.approx((0.5, -0.5, 1.5))
    assert prediction_forest.placed(finding((0.0, 0.5), math.log(0.25), 0.0, True))[0] == pytest.approx(0.0)
    assert prediction_forest.placed(finding((0.0, math.inf), -1.0, 0.5 / reach)) == pytest.approx((-3.0, -4.0, -2.0))
    assert math.isnan(prediction_forest.placed(finding((0.0, 1.0), math.nan, math.nan))[0])


def test_the_overview_has_a_row_per_criterion_and_the_other_seeds_hollow(made) -> None:
    judged = prediction_forest.data(made)
    assert judged.second == {}
    again = prediction_forest.Judged(judged.first, judged.first)
    axes, right = prediction_forest.draw(again).axes
    verdicts = {name: v for name, v in judged.first.items() if isinstance(v, Verdict)}
    criteria = [f for v in verdicts.values() for f in v.findings]
    assert len(axes.get_yticks()) == len(criteria) + 10
    points = [line for line in axes.get_lines() if line.get_marker() != "None" and len(xs(line)) == 1]
    known = sum(math.isfinite(f.estimate.value) for f in criteria)
    assert len(points) == 2 * known
    assert sum(line.get_markerfacecolor() == "white" for line in points) == known
    texts = [label.get_text() for label in right.get_yticklabels()]
    assert [text for text in texts if text == "not judged: no data"] == ["not judged: no data"]  # N9
    first = verdicts["N10"].findings[0]
    assert any(text.startswith(prediction_forest.shown(first.estimate)) for text in texts)
    caption = prediction_forest.caption(judged)
    assert f"{len(criteria)} criteria" in caption
    assert "Not judged for want of data: N9." in caption
    held = [name for name, v in verdicts.items() if v.outcome == "holds"]
    assert f"Holds: {', '.join(held) or 'none'};" in caption
    assert "none of them says the opposite" in prediction_forest.caption(again)


def test_a_second_set_of_seeds_lies_beside_the_first(tmp_path) -> None:
    for name in ("verdict", "check"):
        (tmp_path / name).mkdir()
    assert list(prediction_forest.data(tmp_path / "verdict").second) == [f"N{i}" for i in range(1, 11)]
    assert prediction_forest.data(tmp_path / "check").second == {}
    assert "no training seeds" in prediction_forest.caption(prediction_forest.data(tmp_path / "check"))
    prediction_forest.draw(prediction_forest.data(tmp_path / "check"))


def test_interventions_are_those_of_the_arms(made) -> None:
    dataset = interventions.data(made)
    names_drawn = [str(name) for name in dataset["intervention"].values]
    assert names_drawn[0] == "base"
    assert len(names_drawn) == 18
    assert set(dataset["family"].values[1:]) == {
        "data", "architecture", "scale", "regularisation", "loss", "optimisation", "schedule", "batch",
    }  # fmt: skip
    own = Evidence(made)
    raw = dataset["spread"].sel(member=RAW, window="spaced").isel(task=0)
    ratio = raw.sel(intervention="tanh") / raw.sel(intervention="base")
    np.testing.assert_allclose(ratio, n7.against_base(own, "tanh"), rtol=1e-6)
    assert float(dataset["expert_return"][0]) == LEVEL
    # By the theory in the window of spaced iterates, farther apart than the average's memory, an average keeps more.
    spaced, consecutive = (float(dataset["predicted_average"].sel(window=w)) for w in ("spaced", "consecutive"))
    assert 0 < consecutive < spaced < float(raw.sel(intervention="base").mean()) / LEVEL
    figure = interventions.draw(dataset)
    dotted = [line for line in figure.axes[0].get_lines() if line.get_linestyle() == ":"]
    assert [xs(line)[0] for line in dotted] == [spaced]
    caption = interventions.caption(dataset)
    assert "18 interventions on Walker2d-v4, learner seeds 10, 11, 12, 13, 14" in caption
    assert "Dotted: what the linear theory says" in caption


def test_a_seed_that_is_not_finite_has_diverged(made, tmp_path) -> None:
    for file in made.glob("*.nc"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    name = "walker2d-v4-tanh.nc"
    run = load_dataset(made / name)
    run["return"] = run["return"].where(run["seed"] != 12)
    (tmp_path / name).unlink()
    (tmp_path / "walker2d-v4-base-spectrum.nc").unlink()
    save_dataset(tmp_path / name, run)
    dataset = interventions.data(tmp_path)
    assert "predicted_average" not in dataset
    assert dataset["status"].sel(intervention="tanh").values.ravel().tolist() == [1, 1, 2, 1, 1]
    assert "1 runs diverged" in interventions.caption(dataset)


def test_averages_stand_at_their_mean_age(made) -> None:
    grid = average_grid.data(made)
    assert list(grid.tasks) == list(TASKS)
    rows = {row.name: row for row in grid.tasks[TASKS[0]]}
    assert rows["EMA 0.01"].age == pytest.approx(99, rel=0.01)  # (1 − γ)/γ
    assert rows["Polyak"].age == pytest.approx(grid.updates / 2, rel=0.01)
    assert rows["Polyak" + LATE].age == pytest.approx(grid.updates / 4, rel=0.01)
    run = Evidence(made)[BASE].sel(iterate=[9000, 10_500, 12_000], average="Polyak")
    assert rows["Polyak"].level.value == pytest.approx(float(run["return"].mean()) / LEVEL)
    by_seed = run["return"].mean(("iterate", "episode")) / LEVEL
    half = rows["Polyak"].level.high - rows["Polyak"].level.value
    assert half == pytest.approx(2.7764451 * float(by_seed.std(ddof=1)) / math.sqrt(5))
    raw = Evidence(made)[BASE].sel(iterate=[9000, 10_500, 12_000], average=RAW)
    assert rows[RAW].fallen.value == pytest.approx(float(raw["fallen"].mean()))
    assert [name for _, name, *_ in grid.arms] == ["base", *(name for own in n7.FAMILIES.values() for name in own)]
    assert {(p.alpha, p.late) for p in grid.powers if p.level is None} == {(0.6, False), (0.9, False)}
    assert all(p.noise is not None and p.total is not None and p.total >= p.noise - 1e-6 for p in grid.powers)
    best = min((p for p in grid.powers if not p.late), key=lambda p: p.noise or 0.0)
    assert best.alpha == 1.0  # by the noise alone (A2)
    assert len(average_grid.draw(grid).axes) == 7
    assert "5 learner seeds (10 to 14)" in average_grid.caption(grid)


def test_scaling_is_drawn_with_the_criterion_s_exponents(made) -> None:
    scaling = noise_scaling.data(made)
    assert len(scaling.sweeps) == 6
    sweep = scaling.sweeps["excess loss", "step size η"]
    assert sweep.x == (0.05, 0.1, 0.2, 0.4)
    assert sweep.slope == n1.loss_exponent(Evidence(made), arms=n1.STEP_ARMS).interval(0.95)
    assert sweep.slope.value == pytest.approx(1.0, abs=0.1)
    # The exact law: ∝ η for small η, exactly ∝ 1/b.
    assert np.polyfit(np.log(sweep.x), np.log(sweep.exact), 1)[0] == pytest.approx(1.0, abs=0.3)
    batch = scaling.sweeps["excess loss", "batch, of the base's"]
    assert np.array(batch.exact) * np.array(batch.x) == pytest.approx(batch.exact[1])
    assert batch.exact[1] == pytest.approx(sweep.exact[1])  # the arm that both have
    assert len(noise_scaling.draw(scaling).axes) == 6
    assert "excess loss in η " + noise_scaling._slope(sweep.slope) in noise_scaling.caption(scaling)


def test_theory_is_laid_against_every_arm_with_a_spectrum(made) -> None:
    compared = theory_against_runs.data(made)
    arms = {p.arm for p in compared.points["loss"]}
    assert arms == {*(f"{task} base" for task in TASKS), f"{TASKS[0]} step x 1/4", f"{TASKS[0]} SGD 0.4"}
    point = next(p for p in compared.points["loss"] if (p.arm, p.average) == (BASE, DEFAULT))
    late = Evidence(made)[BASE].sel(iterate=[9000, 10_500, 12_000])["loss"]
    assert point.seen.value == pytest.approx(float((late.sel(average=RAW) - late.sel(average=DEFAULT)).mean()))
    ratio = next(p for p in compared.points["seeds"] if (p.arm, p.average) == (BASE, DEFAULT))
    factors = seed_factors(Evidence(made), BASE, (DEFAULT,))
    assert ratio.predicted == pytest.approx(math.exp(0.5 * np.log(factors).mean()))
    assert len(compared.points["window"]) == 6
    assert len(spectra(Evidence(made), BASE).by_seed) == 5
    assert len(theory_against_runs.draw(compared).axes) == 3
    assert "in 7 arms" in theory_against_runs.caption(compared)


def test_a_seed_of_which_the_theory_has_no_say_is_left_out_of_its_picture(made, tmp_path) -> None:
    for file in made.glob("*.nc"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    file = tmp_path / "walker2d-v4-base-spectrum.nc"
    spectrum = load_dataset(file)
    file.unlink()
    save_dataset(file, spectrum.assign(nodes=spectrum["nodes"] * xr.where(spectrum["seed"] == 12, 1e6, 1.0)))
    evidence = Evidence(tmp_path)
    assert not all_stable(evidence, BASE)
    assert all_stable(evidence, f"{TASKS[1]} base")
    assert with_a_say(evidence, BASE)[BASE]["seed"].values.tolist() == [10, 11, 13, 14]
    verdict = judge_all(evidence, ("N4",))["N4"]
    assert isinstance(verdict, Verdict)
    assert verdict.outcome == "undecided"
    (why,) = prediction_tables.unknown(verdict)
    assert why.startswith("schedule must be stable on the spectrum")
    assert all(f.criterion.name in why for f in verdict.findings)
    assert "UNDECIDED (nothing known)" in "".join(prediction_tables.verdict_lines({"N4": verdict}))
    assert "over 5 training seeds" in prediction_forest.caption(prediction_forest.data(tmp_path))
    compared = theory_against_runs.data(tmp_path)
    assert len(compared.points["window"]) == 6
    assert theory_against_runs.caption(compared).endswith(f"the step is not stable: {BASE} 1 of 5.")
    whole = {(p.arm, p.average): p for p in theory_against_runs.data(made).points["loss"]}
    for point in compared.points["loss"]:
        assert (point == whole[point.arm, point.average]) == (point.arm != BASE)


def test_the_fit_is_that_of_logarithms() -> None:
    def point(x: float, y: float) -> theory_against_runs.Point:
        return theory_against_runs.Point("a", "b", x, theory_against_runs.Estimate(y, y, y))

    exact = [point(x, x) for x in (0.1, 1.0, 10.0)]
    assert theory_against_runs.fit(exact) == pytest.approx((1.0, 1.0, 3))
    off = theory_against_runs.fit([point(x, 2.0 * x**0.5) for x in (0.1, 1.0, 10.0)] + [point(-1.0, 1.0)])
    assert off[0] == pytest.approx(0.5)
    assert off[1] < 1.0
    assert off[2] == 3  # what is not positive is left out
    assert math.isnan(theory_against_runs.fit(exact[:2])[0])


def test_regrets_of_all_selectors(made) -> None:
    regrets = choice_regret.data(made)
    assert regrets.regret.sizes == {"selector": 7, "arm": 7, "seed": 5}
    axes = choice_regret.draw(regrets).axes[0]
    dots = [line for line in axes.get_lines() if len(xs(line)) == 5 and line.get_linestyle() == "None"]
    assert len(dots) == 49
    raw = regrets.regret.sel(selector=RAW, arm=BASE).values
    assert any(np.allclose(np.sort(xs(line)), np.sort(100 * raw)) for line in dots)
    diamonds = [xs(line)[0] for line in axes.get_lines() if line.get_marker() == "d"]
    assert diamonds == pytest.approx([100 * regrets.overall(str(s)).value for s in regrets.regret["selector"].values])
    assert f"raw {diamonds[-1]:.1f} [" in choice_regret.caption(regrets)
    with pytest.raises(FileNotFoundError, match="no arm with a spectrum"):
        choice_regret.data(made.parent)


def test_falls_and_their_law(made) -> None:
    found = falls.data(made)
    one = found.tasks[TASKS[0]]
    assert sum(share.value for share in one.shares) == pytest.approx(1.0)
    assert one.law.sum() == pytest.approx(1.0)
    assert one.law @ np.arange(7) / 6 == pytest.approx(float(one.fallen.mean()))  # the first moment is matched
    assert one.law[0] == pytest.approx(n8.none_falls(*one.threshold, 6))
    assert np.all(np.isnan(n8.fallen_law(math.nan, 0.5, 6)))
    axes = falls.draw(found).axes
    assert len(axes) == 10
    heights = sum(patch.get_height() for patch in axes[0].patches if isinstance(patch, Rectangle))
    assert heights == pytest.approx(1.0)
    assert f"c = {one.threshold[0]:.2f}" in falls.caption(found)
    assert "times as often per update as the law says" in falls.caption(found)


def _with_unknown(loops: horizon.Loops, rates: int, growth: int) -> horizon.Loops:
    """Everything known, but for the exponent of so many seeds of the first task and what is predicted of others."""
    tasks = {
        task: dataclasses.replace(loop, rates=np.ones((4, 2)), growth=np.ones((4, 2)))
        for task, loop in loops.tasks.items()
    }
    first = next(iter(tasks.values()))
    first.rates[:rates, 1], first.growth[:growth, 0] = math.nan, math.nan
    return dataclasses.replace(loops, tasks=tasks)


def test_loops_lie_on_the_line_that_made_them(made) -> None:
    loops = horizon.data(made)
    assert list(loops.tasks) == list(TASKS)
    for task, loop in loops.tasks.items():
        assert loop.exponent == pytest.approx(EXPONENTS[task])
        known = loop.growth[np.isfinite(loop.growth).all(axis=1)]
        np.testing.assert_allclose(known[:, 1], known[:, 0], rtol=1e-6)
    assert [e.value for e in loops.growth_ratio.values() if math.isfinite(e.value)] == pytest.approx(
        [1.0] * sum(math.isfinite(e.value) for e in loops.growth_ratio.values())
    )
    assert any(math.isfinite(e.value) for e in loops.growth_ratio.values())
    assert len(horizon.draw(loops).axes) == 3
    assert "Rate / exponent: Walker2d-v4" in horizon.caption(loops)
    assert "left out" not in horizon.caption(_with_unknown(loops, rates=0, growth=0))
    assert "an exponent: 2 in B; a range or an exponent: 3 in C." in horizon.caption(
        _with_unknown(loops, rates=2, growth=3)
    )
    with pytest.raises(FileNotFoundError, match="no horizons in"):
        horizon.data(made.parent)


def test_orders_are_one_and_two(made) -> None:
    orders = noise_orders.data(made)
    assert orders.returns[50].power.value == pytest.approx(1.0, abs=0.02)
    assert orders.loss.power.value == pytest.approx(2.0)
    axes = noise_orders.draw(orders).axes
    for panel, power in zip(axes, (1, 2), strict=True):
        (line,) = [own for own in panel.get_lines() if own.get_linestyle() == "--"]
        x, y = np.log(line.get_xdata()), np.log(line.get_ydata())
        assert np.polyfit(x, y, 1)[0] == pytest.approx(power)
    assert "return at 50 steps 1.00" in noise_orders.caption(orders)


def test_figures_are_drawn_from_a_directory_that_is_named(made, tmp_path, capsys) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["figure", "orders", "--data", str(made), "--out", str(tmp_path)])
    assert stop.value.code == 0
    assert (tmp_path / "orders.png").stat().st_size > 10_000
    assert "6 directions" in capsys.readouterr().out
    shipped = {name for name, entry in FIGURES.items() if entry.shipped == EVIDENCE}
    assert len(shipped) == 9
    assert (shipped <= set(names("all"))) == EVIDENCE.is_dir()
    with pytest.raises(FileNotFoundError, match="no evidence at"):
        evidence_parts.opened(made / "nowhere")
    with pytest.raises(ValueError, match="data must be a directory of evidence"):
        evidence_parts.opened(next(made.glob("*.nc")))

"""Pictures and tables of language runs, on invented runs: what is drawn is what was measured, and says so."""

import json
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

import xarray as xr

from neural.language.agreement import survival
from neural.language.comparison import compare, differences
from neural.language.distance_law import parting_law
from neural.language.edit_distance import first_difference
from neural.language.grammar import StoryGrammar
from neural.language.languages import GrammarLanguage, Language
from neural.runs import save_dataset
from paper_figs import comparison, language, parting, story_table, style
from paper_figs.cli import main
from paper_figs.language_figure_command import LmFigure
from tests.html_pages import EVIL, Page

LANGUAGE = GrammarLanguage(StoryGrammar(2, 2, 2, 2))
WORDS, PROMPTS, LENGTH, ITERATES = LANGUAGE.vocabulary_size, 6, 20, 5
AT = np.arange(10, 110, 10)


def lines(axes: Any) -> dict[str, Any]:
    """The lines with more than two points, by colour and style."""
    return {f"{line.get_color()}{line.get_linestyle()}": line for line in axes.get_lines() if len(line.get_xdata()) > 2}


def points(axes: Any, marker: str = "o") -> list[tuple[float, float]]:
    """What is drawn with a marker, point by point."""
    return [tuple(point) for line in axes.get_lines() if line.get_marker() == marker for point in line.get_xydata()]


def texts(figure: Any) -> str:
    """All that is written in a figure."""
    return "\n".join(text.get_text() for text in figure.findobj(lambda a: hasattr(a, "get_text")))


def made_up(averages: int = 2, losses: bool = True, schedule: str = "constant:1e-2", seed: int = 0) -> xr.Dataset:
    """A run whose iterates part anywhere and whose averages part late or never; its first iterate is a spaced one."""
    rng = np.random.default_rng(seed)
    names = ["raw", *(f"mean {i}" for i in range(averages))]
    base = rng.integers(2, WORDS, (PROMPTS, LENGTH))
    greedy = np.broadcast_to(base, (ITERATES + 1, 1 + averages, PROMPTS, LENGTH)).astype(np.int32).copy()
    for i, p in np.ndindex(ITERATES + 1, PROMPTS):
        greedy[i, 0, p, 2 * p + i % 2 :] = rng.integers(2, WORDS, LENGTH - 2 * p - i % 2)
        greedy[i, 1:, p, LENGTH - 2 :] = rng.integers(2, WORDS, 2)
    windows = 2.0 + rng.random(7) + 0.001 * rng.random((ITERATES + 1, 1 + averages, 7))
    windows[:, 1:] -= 0.2 + 0.1 * np.arange(averages)[:, None]
    cell = ("iterate", "average", "prompt", "token")
    data: dict[str, Any] = {
        "greedy": (cell, greedy),
        "greedy_gap": (cell, rng.exponential(size=greedy.shape)),
        "window_loss": (("iterate", "average", "window"), windows),
        "loss": (("iterate", "average"), windows.mean(axis=2)),
        "consecutive": ("iterate", (np.arange(ITERATES + 1) > 0).astype(np.int8)),
        "prompt_tokens": (("prompt", "prompt_token"), np.array([LANGUAGE.prompts(1, 1)[0]] * PROMPTS)),
    }
    coords: dict[str, Any] = {"iterate": [50, *range(96, 96 + ITERATES)], "average": names}
    if losses:
        fall = 2.5 + 4 * np.exp(-AT / 20)[:, None] + 0.01 * rng.random((len(AT), 1 + averages))
        data["update_loss"] = ("update", "kept"), fall - 0.1 * np.arange(1 + averages)
        coords |= {"update": AT, "kept": names}
    config = {"steps": 100, "schedule": schedule, "trainer": {"seed": 7}, "bank": [[n, n] for n in names[1:]]}
    attrs = {"config": json.dumps(config), "language": json.dumps(LANGUAGE.identity())}
    return xr.Dataset(data, coords=coords, attrs=attrs)


def rewards_of(dataset: xr.Dataset) -> xr.DataArray:
    """Invented rewards."""
    shape = (dataset.sizes["iterate"], dataset.sizes["average"], PROMPTS, 4)
    coords = {"iterate": dataset["iterate"], "average": dataset["average"], "horizon": [1, 5, 10, 20]}
    values = np.random.default_rng(1).random(shape)
    return xr.DataArray(values, coords, ("iterate", "average", "prompt", "horizon"), attrs={"units": "1"})


def parted() -> xr.Dataset:
    """Neighbours whose hazard is proportional to their distance."""
    rng = np.random.default_rng(3)
    shares, directions, prompts, length = np.geomspace(1e-3, 1.0, 7), 6, 24, 100
    heights = 0.1 * np.exp(0.5 * rng.standard_normal(prompts))
    hazard = np.minimum(heights * shares[:, None], 0.9)
    first = np.minimum(rng.geometric(hazard, (directions, *hazard.shape)) - 1, length)
    base = rng.integers(0, 50, (prompts, length))
    text = base + (np.arange(length) >= first[..., None])
    return xr.Dataset(
        {
            "text": (("direction", "distance", "prompt", "token"), text),
            "base": (("prompt", "token"), base),
            "prompt_tokens": (("prompt", "prompt_token"), base[:, :3]),
        },
        coords={"distance": ("distance", 0.3 * shares), "share": ("distance", shares)},
        attrs={"model": "raw", "update": 1500, "seed": 5, "language": json.dumps({"kind": "text"})},
    )


def test_a_run_is_drawn_as_it_was_measured() -> None:
    dataset = made_up()
    rewards = rewards_of(dataset)
    figure = language.draw(dataset, rewards)
    near = dataset.isel(iterate=slice(1, None))
    looks = {"raw": style.RAW, "mean 0": style.AVERAGES[0], "mean 1": style.AVERAGES[1]}
    for name, colour in looks.items():
        drawn: list[Any] = [lines(axes).get(f"{colour}-") for axes in figure.axes]
        assert [line is not None for line in drawn] == [True, True, name != "raw", True, True]
        training, changes, path, agreement, reward = drawn
        np.testing.assert_array_equal(training.get_xdata(), AT)
        np.testing.assert_array_equal(training.get_ydata(), dataset["update_loss"].sel(kept=name))
        loss = near["loss"].sel(average=name).values
        np.testing.assert_allclose(changes.get_ydata(), 100 * (loss / loss.mean() - 1))
        if name != "raw":
            np.testing.assert_array_equal(path.get_xdata(), dataset["update_loss"].sel(kept="raw"))
            np.testing.assert_array_equal(path.get_ydata(), dataset["update_loss"].sel(kept=name))
        continued = near["greedy"].sel(average=name).values
        curve = survival(first_difference(continued[:-1], continued[1:]), LENGTH)
        np.testing.assert_array_equal(agreement.get_ydata(), curve.agreeing)
        expected = rewards.isel(iterate=slice(1, None)).sel(average=name).mean(("iterate", "prompt"))
        np.testing.assert_allclose(reward.get_ydata(), expected)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["raw iterates", "mean 0", "mean 1"]
    assert [line.get_color() for line in figure.legends[0].get_lines()] == list(looks.values())


def test_bands_are_intervals_of_agreement_and_deviations_of_rewards() -> None:
    dataset = made_up(1)
    rewards = rewards_of(dataset)
    figure = language.draw(dataset, rewards)
    found = language.measured(dataset)["raw"].survival
    means = rewards.isel(iterate=slice(1, None)).sel(average="raw").mean("prompt")
    middle, spread = means.mean("iterate"), means.std("iterate", ddof=1)
    for axes, low, high in (
        (figure.axes[3], found.low, found.high),
        (figure.axes[4], middle - spread, middle + spread),
    ):
        corners = axes.collections[0].get_paths()[0].vertices  # raw is drawn first
        x = np.asarray(corners)[:, 0]
        at = x.max()
        ends = np.sort(np.unique(np.asarray(corners)[x == at, 1]))
        np.testing.assert_allclose([ends[0], ends[-1]], [float(low[-1]), float(high[-1])])


def test_axes_of_losses_are_cut_where_the_caption_says() -> None:
    dataset = made_up()
    raw = dataset["update_loss"].sel(kept="raw").values
    ceiling = np.quantile(raw, 0.8)
    figure = language.draw(dataset)
    assert figure.axes[0].get_ylim()[1] == figure.axes[2].get_ylim()[1] == figure.axes[2].get_xlim()[1] == ceiling
    assert figure.axes[0].get_ylim()[0] < dataset["update_loss"].min()
    caption = language.caption(dataset)
    assert f"end at {ceiling:.2f} nats per token: the raw loss is above that at 2 of them, up to update 20." in caption
    fills = [line.get_markerfacecolor() for line in figure.axes[2].get_lines() if line.get_marker() == "o"]
    assert sorted(fills) == sorted(["white", "white", *style.AVERAGES[:2]])
    assert [x for x, _ in points(figure.axes[2])] == [raw[2], raw[-1]] * 2


def test_without_rewards_the_edits_are_drawn() -> None:
    dataset = made_up()
    found = language.measured(dataset)
    axes = language.draw(dataset, found=found).axes[4]
    np.testing.assert_array_equal(lines(axes)[f"{style.RAW}-"].get_ydata(), found["raw"].edit_curve)
    assert "edits" in axes.get_ylabel()
    assert "mean number of edits" in language.caption(dataset)
    assert "standard deviation" in language.caption(dataset, rewards_of(dataset))


@pytest.mark.parametrize("averages", [0, 1, 6])
def test_any_number_of_averages_without_losses_along_training(averages: int) -> None:
    dataset = made_up(averages, losses=False)
    names = [f"mean {i}" for i in range(averages)]
    figure = language.draw(dataset, averages=names)
    assert texts(figure).count("were not measured") == 2
    drawn = lines(figure.axes[3])
    assert len(drawn) == 1 + averages  # the sixth repeats a colour, but not a style
    assert "A, C: losses along training were not measured." in language.caption(dataset, averages=names)


def test_the_caption_says_of_what_and_how_many() -> None:
    caption = language.caption(made_up())
    for part in (
        "One run of 100 updates on a story grammar",
        "seed 7",
        "10 updates, 10 to 100",
        "the 5 iterates from update 96 to 100",
        "6 held-out prompts",
        "(4 pairs)",
        "95%",
        "not over seeds",
        "same 7 validation windows",
        "within 20 tokens: 100 [",
        "] % of raw, ",
    ):
        assert part in caption


@pytest.mark.parametrize("averages", [["none"], ["mean 0", "mean 0"], [f"mean {i}" for i in range(7)]])
def test_averages_that_cannot_be_drawn_are_refused(averages: list[str]) -> None:
    with pytest.raises(ValueError, match="averages must be"):
        language.draw(made_up(7), averages=averages)
    assert language.chosen_averages(made_up(7)) == [f"mean {i}" for i in range(5)]


def test_the_law_of_distance_is_drawn_through_what_was_seen() -> None:
    dataset = parted()
    law = parting_law(dataset)
    figure = parting.draw(dataset)
    hazard, time = figure.axes[1:]
    seen = [(s, h.value) for s, h in zip(dataset["share"].values, law.hazards, strict=True) if h.value > 0]
    np.testing.assert_allclose(points(hazard), seen)
    times = [y for _, y in points(time)]
    np.testing.assert_allclose(times, [m.value for m in law.mean_times])
    farthest = figure.axes[0].get_lines()[-1]
    np.testing.assert_array_equal(farthest.get_ydata(), law.agreement[-1].agreeing)
    slope = lines(hazard)[f"{style.INK}:"]
    assert np.polyfit(np.log(slope.get_xdata()), np.log(slope.get_ydata()), 1)[0] == pytest.approx(1.0)
    caption = parting.caption(dataset)
    assert f"β = {law.exponent.value:.2f}" in caption
    for part in ("update 1,500, a run on text", "6 directions", "(seed 5)", "24 prompts, 100 tokens", "not over seeds"):
        assert part in caption


def test_what_the_laws_expect() -> None:
    dataset = parted()
    law = parting_law(dataset)
    expected = parting.expectations(dataset, law)
    hazards, times = np.array([h.value for h in law.hazards]), np.array([m.value for m in law.mean_times])
    power, agreeing = expected["power"]
    seen = hazards > 0
    lows, highs = np.array([(h.low, h.high) for h in law.hazards])[seen].T
    # The law is true, so that it lies within the intervals about what was seen, widened by half.
    assert np.all(np.abs(np.log(power[seen] / hazards[seen])) < 0.75 * np.log(highs / lows))
    assert np.all(np.abs(agreeing - times) < 6)
    # As many splits are expected in all as were seen; that is how the heights are chosen.
    first = first_difference(dataset["base"].values, dataset["text"].values)
    risk = np.minimum(first + 1, 100).sum(axis=(0, 2))
    for pooled, _ in expected.values():
        assert float(pooled @ risk) == pytest.approx(float((first < 100).sum()))
    assert np.abs(expected["logarithmic"][1] - times).max() > 3 * np.abs(agreeing - times).max()
    assert parting._agreeing(np.array([0.0, 0.1]), 50).tolist() == pytest.approx(
        [50.0, sum(np.exp(-0.1 * h) for h in range(1, 51))]
    )


def test_the_law_of_distance_without_splits() -> None:
    dataset = parted()
    dataset["text"] = dataset["base"].broadcast_like(dataset["text"]).transpose(*dataset["text"].dims)
    assert parting.expectations(dataset, parting_law(dataset)) == {}
    hazard = parting.draw(dataset).axes[1]
    assert [line.get_marker() for line in hazard.get_lines()] == 7 * ["v"]
    assert "too few splits" in parting.caption(dataset)


def test_stories_are_those_at_the_quantiles_and_cut_where_they_part() -> None:
    dataset = made_up()
    found = story_table.rows(dataset, LANGUAGE, average="mean 0", shown=12)
    texts_of = dataset["greedy"].values[-2:, 0]
    first = first_difference(*texts_of)
    assert [story.number for story in found.stories] == np.argsort(first, kind="stable")[[1, 3, 5]].tolist()
    for story in found.stories:
        assert story.raw.first == first[story.number]
        begun = story.prompt
        for text, rest in zip(texts_of[:, story.number], story.raw.rests, strict=True):
            assert begun + story.raw.common + rest == begun + " " + LANGUAGE.decode(text[:12])
        assert (story.raw.rests == ("", "")) == (story.raw.first >= 12)
        shared = texts_of[0, story.number, : min(story.raw.first, 12)]
        assert begun + story.raw.common == LANGUAGE.decode([*LANGUAGE.encode(begun), *shared])
        assert story.average.rests == ("", "")  # these part at 18, beyond what is shown
        assert story.average.first >= 18
    assert found.updates == (99, 100)
    for part in ("99 and 100", "6 held-out prompts", "17 %, 50 %, 83 %", "first 12 of 20 tokens"):
        assert part in found.rule()
    assert "least validation loss" not in found.rule()
    best = story_table.rows(dataset, LANGUAGE, pairs=6)
    assert "mean 1 is the average of the least validation loss" in best.rule()
    assert sorted(story.number for story in best.stories) == list(range(6))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"average": "none"}, "average must be one of"),
        ({"pairs": 7}, "pairs must be an integer from 1 to 6"),
        ({"pairs": 0}, "pairs must be an integer from 1 to 6"),
        ({"shown": 21}, "shown must be an integer from 1 to 20"),
    ],
)
def test_stories_that_there_are_not_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        story_table.rows(made_up(), LANGUAGE, **options)


def test_stories_of_a_run_without_what_they_need_are_refused() -> None:
    dataset = made_up()
    with pytest.raises(ValueError, match="at least 2 consecutive iterates, got 1"):
        story_table.rows(dataset.isel(iterate=[0, 1]), LANGUAGE)
    with pytest.raises(ValueError, match="must have an average"):
        story_table.rows(made_up(0), LANGUAGE)


class Awkward(GrammarLanguage):
    """Words that are no words of HTML or Markdown."""

    def decode(self, tokens: Any) -> str:
        return " ".join((EVIL, "a|b*c_d\n\n", "`e` [f](g)")[int(token) % 3] for token in tokens)


def test_pages_of_stories_are_escaped_and_whole() -> None:
    strange: Language = Awkward(LANGUAGE.grammar)
    found = story_table.rows(made_up(), strange, pairs=2)
    page = Page()
    page.feed(story_table.to_html(found))
    page.close()
    assert page.open == []
    assert not [tag for tag, _ in page.elements if tag == "script"]
    assert EVIL in page.text
    colours = [dict(attrs).get("style") for tag, attrs in page.elements if tag == "span"]
    assert colours == 2 * [f"color:{c}" for c in (style.MUTED, "#B23C00") * 2 + (style.MUTED, "#00568A") * 2]
    markdown = story_table.to_markdown(found)
    assert "<script" not in markdown.replace("\\<script", "")
    rows = [line for line in markdown.splitlines() if line.startswith("|")]
    assert len(rows) == 2 * (2 + 4)
    assert all(row.replace("\\|", "").count("|") == 5 for row in rows)
    assert sum(row.count("<b>") for row in rows) == sum(row.count("</b>") for row in rows) == 8


def test_a_comparison_is_drawn_with_paired_differences() -> None:
    runs = {name: made_up(2, schedule=name, seed=i) for i, name in enumerate(("constant", "cosine"))}
    runs["cosine"]["update_loss"].loc[{"update": 10, "kept": "mean 0"}] = 0.1  # best early says nothing
    compared = compare(runs)
    figure = comparison.draw(compared)
    curves, finals = figure.axes[0], cast(Any, figure.axes[1])
    base = comparison.best_schedule(compared)
    assert base == str(
        compared["schedule"].values[compared["final_loss"].mean("window").sel(average="raw").argmin("schedule")]
    )
    assert comparison.best_average(compared, "cosine") == "mean 1"
    drawn = [line.get_ydata() for line in curves.get_lines()]
    for i, schedule in enumerate(("constant", "cosine")):
        for j, name in enumerate(("raw", "mean 1")):
            np.testing.assert_array_equal(drawn[2 * i + j], compared["update_loss"].sel(schedule=schedule, kept=name))
    expected = differences(compared, base)
    assert [x for x, _ in points(finals)] == [e.value for e in expected.values()]
    assert [label.get_text() for label in finals.get_yticklabels()] == 2 * ["raw", "mean 0", "mean 1"]
    spans = [tuple(path.vertices[:, 0]) for c in finals.collections for path in c.get_paths()]
    assert spans == [(e.low, e.high) for e in expected.values() if np.isfinite(e.low)]
    caption = comparison.caption(compared)
    for part in ("2 runs of 100 updates", "seed 7", f"last iterate of {base}", "7 validation windows", "not for other"):
        assert part in caption
    bare = compared.drop_dims(["update", "kept"])
    assert "not measured" in texts(comparison.draw(bare))
    assert "A:" not in comparison.caption(bare)


def test_the_command_writes_what_the_directory_holds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run, out = tmp_path / "run", tmp_path / "out"
    run.mkdir()
    with pytest.raises(FileNotFoundError, match=r"holds none of run\.nc, parting\.nc, compare\.nc"):
        LmFigure(run, out).run()
    save_dataset(run / "run.nc", made_up())
    with pytest.raises(ValueError, match="out must be a directory"):
        LmFigure(run, run / "run.nc").run()
    with pytest.raises(FileNotFoundError, match=r"language\.json"):
        LmFigure(run, out).run()
    (run / "language.json").write_text(json.dumps({"grammar": {"agents": 2, "objects": 2, "places": 2, "times": 2}}))
    (run / "config.json").write_text(json.dumps({"language": GrammarLanguage(StoryGrammar(2, 2, 2, 2)).identity()}))
    with pytest.raises(ValueError, match="pairs must be an integer from 1 to 6"):
        LmFigure(run, out, pairs=7).run()
    assert not out.exists()
    save_dataset(run / "parting.nc", parted())
    with pytest.raises(SystemExit) as left:
        main(["lm", "figure", str(run), "--out", str(out), "--averages", "mean 1", "--pairs", "2"])
    assert left.value.code == 0
    said = capsys.readouterr().out
    names = {"language.pdf", "language.png", "stories.html", "stories.md", "parting.pdf", "parting.png"}
    assert {path.name for path in out.iterdir()} == names
    assert all(f"wrote {out / name}" in said for name in names)
    assert "share of the words before the first error" in said  # J_H of a grammar
    assert "mean 0" not in said
    assert "25 %, 75 %" in (out / "stories.md").read_text(encoding="utf-8")


def test_the_command_draws_a_comparison_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_dataset(tmp_path / "compare.nc", compare({name: made_up(schedule=name) for name in "ab"}))
    save_dataset(tmp_path / "run.nc", made_up())
    LmFigure(tmp_path, tmp_path / "out").run()
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"comparison.pdf", "comparison.png"}
    assert "2 runs of 100 updates" in capsys.readouterr().out

"""The figure of the experts: it shows what ships, every episode of it."""

from pathlib import Path
from typing import Any

import numpy as np

from neural.control.experts import load_expert
from paper_figs import experts, style
from paper_figs.expert_table import expert_table


def drawn(axes: Any, marker: str) -> list[list[float]]:
    """The points that are drawn with a marker."""
    return [point for line in axes.get_lines() if line.get_marker() == marker for point in line.get_xydata().tolist()]


def test_the_figure_shows_every_checkpoint_and_every_episode(tmp_path) -> None:
    datasets = experts.data(("Hopper-v4", "Ant-v4"))
    figure = experts.draw(datasets)
    assert len(figure.axes) == 4
    for column, (task, dataset) in enumerate(datasets.items()):
        curve, episodes = figure.axes[column], figure.axes[2 + column]
        assert len(drawn(curve, ".")) == int(np.isfinite(dataset["curve"]).sum()) > 100
        shown = {marker: [y for _, y in drawn(episodes, marker)] for marker in "ox"}
        fallen = dataset["fallen"].values
        assert sorted(shown["x"]) == sorted(dataset["return"].values[fallen])
        assert sorted(shown["o"]) == sorted(dataset["return"].values[~fallen])
        assert len(shown["o"]) + len(shown["x"]) == 200
        labels = [label.get_text() for label in episodes.get_xticklabels()]
        assert all(
            f"\n{100 * share:.0f} % fall" in text for share, text in zip(fallen.mean(axis=1), labels, strict=True)
        )
        _, card = load_expert(task)
        assert drawn(curve, "D") == [[card["checkpoint"]["step"] / 1e6, card["return_mean"]]]
    assert all(path.stat().st_size > 10_000 for path in style.save(figure, tmp_path / "experts"))


def test_the_page_has_the_table_that_the_cards_give() -> None:
    table = expert_table()
    page = (Path(__file__).parents[2] / "docs" / "experts.md").read_text(encoding="utf-8")
    assert table in page
    assert len(table.splitlines()) == 12
    _, card = load_expert("Ant-v4")
    drawn = card["distribution"]["stochastic"]
    assert f"| {drawn['fallen']} of 100 |" in table
    assert f"| {drawn['return_mean']:,.0f} [" in table


def test_the_caption_says_how_many_episodes_and_which() -> None:
    caption = experts.caption(experts.data(("Hopper-v4",)))
    assert "100 further initial conditions (seeds 100 to 199)" in caption


def test_quartiles_run_along_the_checkpoints() -> None:
    low, middle, high = experts._running_quartiles(np.arange(20.0))
    assert middle[10] == 10.0
    assert (low[10], high[10]) == (8.0, 12.0)
    assert middle[0] == 2.0  # the first five

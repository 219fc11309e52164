"""The report and its figures: well-formed, self-contained, escaped, and holding the numbers."""

import base64
import math
import re
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
import xarray as xr

from neural.statistics import reward_spread
from paper_figs import cliff_phase, cloning, scalar_gva, style
from paper_figs.report import report_summary, write_report
from tests.html_pages import EVIL, Page

AVERAGES = ("raw", "EMA 0.01", "power 2/3", EVIL)


@pytest.fixture(scope="module")
def run() -> xr.Dataset:
    """A synthetic cloning run: 12 spaced and 30 consecutive iterates, 8 episodes; the last average never moves."""
    rng = np.random.default_rng(0)
    n, episodes = 42, 8
    spreads = np.array([800.0, 100.0, 50.0, 0.0])
    returns = 4000.0 + spreads[:, None] * rng.standard_normal((n, 1, 1)) + 200.0 * rng.standard_normal(episodes)
    consecutive = (np.arange(n) >= 12).astype(int)
    return xr.Dataset(
        {
            "return": (("iterate", "average", "episode"), returns),
            "length": (("iterate", "average", "episode"), np.full(returns.shape, 1000)),
            "fallen": (("iterate", "average", "episode"), (returns < 3500).astype(int)),
            "loss": (("iterate", "average"), 0.01 + 1e-5 * rng.standard_normal((n, len(AVERAGES)))),
            "consecutive": ("iterate", consecutive),
            "spaced": ("iterate", 1 - consecutive),
        },
        coords={"iterate": 100 * np.arange(1, n + 1), "average": list(AVERAGES), "episode": 50 + np.arange(episodes)},
        attrs={"versions": "numpy 2", "config": '{"seed": 3, "task": "<i>Walker</i>"}', "command": "gva clone"},
    )


@pytest.fixture(scope="module")
def phase() -> xr.Dataset:
    return cliff_phase.data(step_sizes=3, rates=3, steps=64, trials=200, fine=5)


@pytest.fixture(scope="module")
def scalar() -> xr.Dataset:
    return scalar_gva.data(trials=200)


def parsed(path: Path) -> Page:
    page = Page()
    page.feed(path.read_text(encoding="utf-8"))
    page.close()
    assert page.open == []
    return page


def test_the_page_is_well_formed_self_contained_escaped_and_complete(
    tmp_path: Path, run: xr.Dataset, phase: xr.Dataset, scalar: xr.Dataset
) -> None:
    checks = [
        {"id": "A1", "title": f"less variance {EVIL}", "verdict": "holds", "margin": 0.0123, "mutants": "4/4"},
        {"id": "C.3", "title": "contracting", "verdict": "failed: numbers", "margin": None, "mutants": "1/4"},
    ]
    card = {"task": EVIL, "return": {"mean": 5123.4, "interval": [5000.0, 5200.0], "episodes": 100}, "steps": 3_000_000}
    path = write_report(
        tmp_path / "deep" / "report.html",
        checks=[{**check, "seconds": 1.5} for check in checks],
        phase=phase,
        scalar=scalar,
        cloning=run,
        expert_card=card,
        commands={"everything": 'gva demo --name "a & b"'},
    )
    page, stats = parsed(path), reward_spread(run)
    tags = [tag for tag, _ in page.elements]
    assert "script" not in tags
    assert "i" not in tags
    assert page.text.count(EVIL) >= 3  # the average, the title, the card
    for _, attributes in page.elements:
        assert not {"href", "srcset", "onload", "onerror"} & attributes.keys()
        assert (attributes.get("src") or "data:").startswith("data:")
    assert not re.search(r"url\(|@import|https?:", path.read_text(encoding="utf-8"))
    images = [attributes for tag, attributes in page.elements if tag == "img"]
    assert len(images) == 3
    for image in images:
        assert len(image["alt"] or "") > 60
        assert base64.b64decode((image["src"] or "").split(",")[1]).startswith(b"\x89PNG")
    for window in ("consecutive", "spaced"):
        row = stats[window]["EMA 0.01"]
        for number in (row.ratio.value, row.ratio.low, row.ratio.high):
            assert f"{number:.2f}" in page.text
        assert f"{row.mean_return.value:,.0f}" in page.text
    for text in ("5,123", "3,000,000", "0.012", "1 of 2 hold", "no spread seen", 'gva demo --name "a & b"', "seed 0"):
        assert text in page.text


def test_missing_pieces_are_said_to_be_missing(tmp_path: Path, run: xr.Dataset) -> None:
    nothing = {"checks": None, "phase": None, "scalar": None, "expert_card": None}
    page = parsed(write_report(tmp_path / "a.html", cloning=None, commands={}, **nothing))
    assert page.text.count("Not part of this run.") == 6
    no_spaced = run.assign(spaced=run["spaced"] * 0)
    page = parsed(write_report(tmp_path / "b.html", cloning=no_spaced, commands={}, **nothing))
    assert "Consecutive iterates" in page.text
    assert "Spaced iterates" not in page.text


def test_the_summary_has_one_line_per_average_and_says_when_no_spread_was_seen(run: xr.Dataset) -> None:
    stats = reward_spread(run)
    lines = report_summary(stats).splitlines()
    assert len(lines) == 2 * (2 + len(AVERAGES))
    ratio = stats["consecutive"]["EMA 0.01"].ratio
    assert f"{ratio.value:.2f} [{ratio.low:.2f}, {ratio.high:.2f}]" in lines[3]
    assert "no spread seen" in lines[5]


def test_figures_leave_the_settings_of_matplotlib_alone(tmp_path: Path, run: xr.Dataset, scalar: xr.Dataset) -> None:
    before = dict(mpl.rcParams)
    figure = cloning.draw(run, averages=["power 2/3"])
    paths = style.save(figure, tmp_path / "figures" / "clone.v1")
    assert [path.name for path in paths] == ["clone.v1.pdf", "clone.v1.png"]
    assert paths[1].read_bytes() == style.png(figure)
    style.png(scalar_gva.draw(scalar))
    assert dict(mpl.rcParams) == before


def test_an_average_that_is_not_there_is_named(run: xr.Dataset) -> None:
    with pytest.raises(ValueError, match=r"averages must be among .* got \['EMA 0.5'\]"):
        cloning.draw(run, averages=["EMA 0.5"])


def test_the_phase_diagram_is_labelled_reproducible_and_consistent_with_noise(phase: xr.Dataset) -> None:
    assert phase["fall_z"].dims == ("step_size", "gamma")
    assert phase["gamma"].values[-1] == 1.0
    assert phase["fall_simulated"].attrs["units"] == "1"
    again = cliff_phase.data(step_sizes=3, rates=3, steps=64, trials=200, fine=5)
    xr.testing.assert_equal(phase, again)
    assert np.abs(phase["fall_z"].values).max() < cliff_phase.noise_limit(phase["fall_z"].size, 1.0 - 1e-9)
    assert "9 cells" not in cliff_phase.caption(phase)
    assert "3 × 3 cells of 200 runs, seed 0" in cliff_phase.caption(phase)


def test_normal_scores_of_counts() -> None:
    assert cliff_phase.normal_score(0, 1000, 0.0) == 0.0
    assert cliff_phase.normal_score(1000, 1000, 1.0) == pytest.approx(0.0, abs=1e-3)
    assert cliff_phase.normal_score(550, 1000, 0.5) == pytest.approx(50 / math.sqrt(250), rel=0.02)
    assert cliff_phase.normal_score(450, 1000, 0.5) == pytest.approx(-50 / math.sqrt(250), rel=0.02)
    assert cliff_phase.normal_score(1, 1000, 1e-30) > 8.0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: cliff_phase.data("slow"), "preset must be one of"),
        (lambda: cliff_phase.data(cells=3), "sizes may override"),
        (lambda: scalar_gva.data(trials=2), "trials must be at least 10"),
    ],
)
def test_bad_arguments_are_named(call, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


def test_scalar_spread_grows_as_the_square_of_the_horizon_where_marginal(scalar: xr.Dataset) -> None:
    marginal = scalar["std_exact"].sel(closed_loop=1.0)
    slope = np.polyfit(np.log(marginal["horizon"][-4:]), np.log(marginal[-4:]), 1)[0]
    assert slope == pytest.approx(2.0, abs=0.05)  # H(H−1) to first order
    stable = scalar["std_exact"].sel(closed_loop=0.9).values
    assert stable[-1] == pytest.approx(stable[-2], rel=1e-2)

"""The report: one self-contained HTML page, and its headline as lines for a terminal."""

import html
import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from gvatheory.sweep import provenance
from neural.statistics import WINDOWS, AverageStatistics, Estimate, RewardSpread, WindowStatistics, reward_spread
from paper_figs import cliff_phase, scalar_gva, style
from paper_figs import cloning as cloning_figure
from paper_figs.page import document, figure, number, table
from paper_figs.text import aligned, shown

NO_SPREAD = "no spread seen"
_WINDOW_TITLES = {"consecutive": "Consecutive iterates, late in training", "spaced": "Spaced iterates"}

_INTRODUCTION = (
    "A policy cloned by stochastic gradient descent never settles: every minibatch moves its weights a little. That "
    "noise hardly shows in the one-step loss it was trained on, but a closed loop feeds each small error back to "
    "itself, so over a long horizon the reward swings from one update to the next: gradient variance amplification. "
    "An average of the iterates takes the noise out before the loop can amplify it, and the swings go."
)


def write_report(
    path: Path | str,
    *,
    checks: Sequence[Mapping[str, Any]] | None,
    phase: xr.Dataset | None,
    scalar: xr.Dataset | None,
    cloning: xr.Dataset | None,
    expert_card: Mapping[str, Any] | None,
    commands: Mapping[str, str],
    stats: RewardSpread | None = None,
    ledger: str | None = None,
) -> Path:
    """Write the report and return its path. A piece that is None is reported as not run.

    Args:
        path: of the HTML file; its folder is made if needed.
        checks: propositions, one mapping each with id, title, verdict, margin, mutants, seconds.
        phase: of `cliff_phase.data`.
        scalar: of `scalar_gva.data`.
        cloning: dataset of a cloning run, see `neural.statistics.reward_spread`.
        expert_card: of the cloned expert: task, return (mean, interval, episodes), steps, algorithm, seed; keys are
            free and nested mappings are shown as they are.
        commands: what each command reproduces → the command.
        ledger: address, relative to `path`, of the page with the propositions' statements and proofs.
        stats: of `cloning`; if None, computed here for the windows that hold at least 2 iterates.

    Raises:
        ValueError: if a dataset lacks what its figure or the table reads.
    """
    if cloning is not None and stats is None:
        windows = [name for name in WINDOWS if name in cloning and int(cloning[name].sum()) >= 2]
        stats = reward_spread(cloning, windows=windows)
    datasets = {"phase diagram": phase, "scalar loop": scalar, "cloning run": cloning}
    parts = [
        f'<p class="lead">{html.escape(_INTRODUCTION)}</p>',
        _section("Spread of reward, raw against averages", stats, _headline),
        _section("Cloning, update by update", cloning, lambda d: _picture(cloning_figure, d, _cloning_alt(stats))),
        _section("Phase diagram of the cliff", phase, lambda d: _picture(cliff_phase, d, _PHASE_ALT)),
        _section("Amplification over the horizon", scalar, lambda d: _picture(scalar_gva, d, _SCALAR_ALT, "small")),
        _section("Propositions checked", checks, lambda c: _propositions(c, ledger)),
        _section("The expert", expert_card, _card),
        _section("How to reproduce each piece", commands, _commands),
        _section("Versions and provenance", datasets, _origins),
    ]
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(document("Gradient variance amplification: report", parts), encoding="utf-8")
    return path


def report_summary(stats: RewardSpread) -> str:
    """The headline table as plain text, a few lines per window."""
    lines = []
    for window in stats.windows:
        lines.append(
            f"{_WINDOW_TITLES.get(window.window, window.window)}: {window.count} iterates, {stats.episodes} episodes, "
            f"{stats.level:.0%} intervals"
        )
        rows = [("", "mean return", "spread", "raw/average", "fallen", "reward/loss swing")]
        for row in window.rows:
            ratio = "1" if row.average == "raw" else shown(row.ratio, NO_SPREAD)
            fallen = f"{100 * row.fallen.value:.1f} %"
            swing = shown(row.amplification, "-")
            rows.append((row.average, f"{row.mean_return.value:.4g}", f"{row.spread.value:.3g}", ratio, fallen, swing))
        lines += aligned(rows)
    return "\n".join(lines)


def _section(title: str, content: Any, body: Callable[[Any], str]) -> str:
    inner = '<p class="note">Not part of this run.</p>' if content is None else body(content)
    return f"<section>\n<h2>{html.escape(title)}</h2>\n{inner}\n</section>"


def _cell(estimate: Estimate, undefined: str = "–", scale: float = 1.0, unit: str = "", digits: int = 3) -> str:
    """Number over interval."""
    if not math.isfinite(estimate.value):
        return undefined
    value, low, high = (number(scale * v, digits) for v in (estimate.value, estimate.low, estimate.high))
    interval = "" if math.isnan(estimate.low) else f"<small>[{low}, {high}]</small>"
    return f"{value}{unit}{interval}"


def _headline(stats: RewardSpread) -> str:
    header = ("", "mean return", "gain over raw", "spread of reward", "raw / average", "fallen", "reward, relative")
    header = (*header, "loss, relative", "reward / loss")
    parts = []
    for window in stats.windows:
        title = _WINDOW_TITLES.get(window.window, window.window)
        parts += [f"<h3>{html.escape(title)}</h3>", table(header, map(_headline_row, window.rows)), _sizes(window)]
    parts.append(
        f'<p class="note">Small print: {stats.level:.0%} bootstrap intervals, {stats.resamples} resamples of iterates '
        f"and of episodes, seed {stats.seed}; every policy starts from the same {stats.episodes} initial conditions. "
        "Spread: standard deviation over iterates of the mean return over episodes. Relative: standard deviation over "
        "iterates divided by the mean. Intervals speak of this run, not of other training seeds. An average that "
        "remembers more than a window of consecutive iterates hardly moves within it by construction, and its interval "
        "there is too narrow: the spaced iterates are the test.</p>"
    )
    return "\n".join(parts)


def _headline_row(row: AverageStatistics) -> tuple[str, ...]:
    raw = row.average == "raw"
    return (
        "raw iterates" if raw else html.escape(row.average),
        _cell(row.mean_return, digits=4),
        "–" if raw else _cell(row.difference),
        _cell(row.spread) if row.spread.value > 0 else NO_SPREAD,
        "1" if raw else _cell(row.ratio, NO_SPREAD),
        _cell(row.fallen, scale=100.0, unit=" %"),
        f"{number(100 * row.relative_return_spread)} %",
        f"{number(100 * row.relative_loss_spread)} %",
        _cell(row.amplification),
    )


def _sizes(window: WindowStatistics) -> str:
    blocks = sorted({row.block_length for row in window.rows})
    lengths = " to ".join(map(str, sorted({blocks[0], blocks[-1]})))
    how = f"in blocks of {lengths}" if blocks[-1] > 1 else "one by one"
    first, last = window.iterates
    return f'<p class="note">{window.count} iterates, from update {first:,} to {last:,}, resampled {how}.</p>'


def _picture(module: Any, dataset: xr.Dataset, alt: str, size: str = "") -> str:
    return figure(style.png(module.draw(dataset)), alt, html.escape(module.caption(dataset)), size)


_PHASE_ALT = (
    "Three heat maps over averaging rate and step size: exact fall probability, simulated fall probability, and the "
    "z-score of their difference, with the contour of probability one half. A safe valley opens towards small "
    "averaging rates at large step sizes."
)
_SCALAR_ALT = (
    "Log-log plot of the standard deviation of the reward against the horizon: flat for a stable loop, slope two for a "
    "marginal one, exponential for an unstable one; sampled points lie on the exact lines."
)


def _cloning_alt(stats: RewardSpread | None) -> str:
    if stats is None:
        return "Return and held-out loss of raw and averaged iterates."
    window = stats.windows[0]
    spreads = ", ".join(f"{row.average} {number(row.spread.value)}" for row in window.rows)
    return (
        "Four panels: return and held-out loss over consecutive iterates, return over spaced ones, and fallen "
        f"episodes, raw against averages. Spread of the return over {window.window} iterates: {spreads}."
    )


def _propositions(checks: Sequence[Mapping[str, Any]], ledger: str | None) -> str:
    rows = []
    for check in checks:
        margin = check.get("margin")
        verdict = str(check["verdict"])
        rows.append(
            (
                html.escape(str(check["id"])),
                html.escape(str(check["title"])),
                f'<span class="{"good" if verdict == "holds" else "bad"}">{html.escape(verdict)}</span>',
                "–" if margin is None else number(float(margin), 2),
                html.escape(str(check["mutants"])),
                f"{float(check['seconds']):.1f} s",
            )
        )
    held = sum(str(check["verdict"]) == "holds" for check in checks)
    link = f' <a href="{html.escape(ledger)}">Statements, proofs, pictures, every mutant</a>.' if ledger else ""
    return f"<p>{held} of {len(rows)} hold.{link}</p>\n" + table(
        ("id", "proposition", "verdict", "margin", "mutants refuted", "time"), rows, text=3
    )


def _card(card: Mapping[str, Any]) -> str:
    rows = []
    for key, value in card.items():
        rows.append(f"<dt>{html.escape(str(key))}</dt><dd>{html.escape(_plain(value))}</dd>")
    return "<dl>\n" + "\n".join(rows) + "\n</dl>"


def _plain(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{k} {_plain(v)}" for k, v in value.items())
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return number(value, 4)
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}" if abs(value) >= 10_000 else str(value)
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_plain, value)) + "]"
    return str(value)


def _commands(commands: Mapping[str, str]) -> str:
    return "\n".join(f"<h3>{html.escape(k)}</h3>\n<pre>{html.escape(v)}</pre>" for k, v in commands.items())


def _origins(datasets: Mapping[str, xr.Dataset | None]) -> str:
    """This page's own versions, then the attributes of every dataset."""
    packages = ("gvatheory", "numpy", "scipy", "jax", "xarray", "matplotlib", "mujoco", "gymnasium", "optax")
    described = {"this page": provenance(packages)}
    described |= {name: {str(k): v for k, v in d.attrs.items()} for name, d in datasets.items() if d is not None}
    parts = []
    for name, attributes in described.items():
        parts.append(f"<h3>{html.escape(name)}</h3>\n{_card({k: _compact(v) for k, v in attributes.items()})}")
    return "\n".join(parts)


def _compact(value: Any) -> Any:
    """A JSON object in an attribute as a mapping, to be shown field by field; anything else as it is."""
    if isinstance(value, str) and value.startswith("{"):
        try:
            return json.loads(value)
        except json.JSONDecodeError:
            return value
    return value

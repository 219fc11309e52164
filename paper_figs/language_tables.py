"""What a language run shows, as tables for a terminal."""

import json
from collections.abc import Sequence

import numpy as np
import xarray as xr

from neural.language.butterfly import Butterfly
from neural.language.comparison import differences
from neural.language.distance_law import DistanceLaw
from neural.language.grammar import StoryGrammar
from neural.language.grammar_floor import floor, story_mean
from neural.language.over_seeds import SeedRow
from neural.statistics import Estimate, mean_estimate, reward_spread
from paper_figs.page import number
from paper_figs.text import aligned, shown


def butterfly_table(found: Butterfly) -> str:
    """Continuations of neighbours and their losses, a line per average."""
    first, last = found.iterates
    lines = [
        f"{found.which} continuations, {found.members} iterates from update {first} to {last}: {found.pairs} pairs of "
        f"neighbours, {found.prompts} prompts, {found.length} tokens, {found.level:.0%} intervals"
    ]
    rows = [
        ("", "differ (%)", "first at", f"edits of {found.length}", "hazard per token", "predicted/seen", "loops (%)")
    ]
    losses = [("", "loss", "better than raw by", "change per update (%)", "largest (%)")]
    for row in found.rows:
        median = row.median_first_difference
        rows.append(
            (
                row.average,
                shown(row.survival.differing, scale=100.0),
                "-" if median is None else f"{median:.0f}",
                shown(row.edit_distance),
                shown(row.hazard.hazard, digits=2),
                shown(row.hazard.ratio, digits=2),
                shown(row.looping, scale=100.0, digits=2),
            )
        )
        losses.append(
            (
                row.average,
                shown(row.loss.mean_loss, digits=4),
                "-" if row is found.rows[0] else shown(row.loss.gain),
                shown(row.loss.median, scale=100.0, digits=2),
                shown(row.loss.largest, scale=100.0, digits=2),
            )
        )
    return "\n".join([*lines, *aligned(rows), *aligned(losses)])


def noise_line(dataset: xr.Dataset) -> str:
    """Gradient-noise scale where it was measured last, with standard errors of its two parts."""
    last, context = dataset.isel(update=-1), json.loads(dataset.attrs["config"])["model"]["context"]
    trace, square = (float(last[name]) for name in ("gradient_noise", "gradient_square"))
    errors = [float(last[f"{name}_error"]) for name in ("gradient_noise", "gradient_square")]
    scale = f"{number(trace / square)} windows of {context} tokens" if square > 0 else "beyond measure"
    return (
        f"gradient noise at update {int(last['update'])}: trace of a window's covariance {number(trace)} ± "
        f"{number(errors[0])}, squared norm of the mean {number(square)} ± {number(errors[1])}; noise scale {scale}"
    )


def exponents_line(across: Estimate, averages: Estimate) -> str:
    """Exponents of `step_law.step_exponents`."""
    return (
        f"hazard ∝ (norm of the update)^β: β = {shown(across)} across raw and averages, {shown(averages)} across "
        "averages alone"
    )


def seeds_table(rows: Sequence[SeedRow], seeds: Sequence[int], level: float) -> str:
    """Means over seeds, a line per average."""
    title = f"over seeds {', '.join(map(str, seeds))}: means, {level:.0%} t-intervals over seeds"
    header = ("", "differ (%)", "change of loss per update (%)", "better than raw by", "hazard", "predicted/seen")
    lines = [
        (
            row.average,
            shown(row.differing, scale=100.0),
            shown(row.loss_change, scale=100.0, digits=2),
            "-" if row is rows[0] else shown(row.gain),
            shown(row.hazard, digits=2),
            shown(row.ratio),
        )
        for row in rows
    ]
    return "\n".join([title, *aligned([header, *lines])])


def rewards_table(title: str, returns: dict[int, xr.Dataset], windows: Sequence[str], level: float) -> str:
    """Mean reward and its spread over iterates, raw and averages, at every horizon; `level` is of the intervals."""
    lines = [title]
    for window in windows:
        rows = [("", *(f"H = {horizon}" for horizon in returns))]
        spreads = {
            horizon: reward_spread(one, windows=[window], level=level)[window] for horizon, one in returns.items()
        }
        for average in next(iter(spreads.values())).rows:
            name = average.average
            cells = (f"{spreads[h][name].mean_return.value:.3f} ± {spreads[h][name].spread.value:.2g}" for h in spreads)
            rows.append((name, *cells))
        swings = (f"H = {h}: {shown(one['raw'].amplification, digits=2)}" for h, one in spreads.items())
        lines += [f"{window} iterates, mean ± standard deviation over them:", *aligned(rows)]
        lines.append(f"raw's reward over its loss, relative swings, {level:.0%} intervals: {', '.join(swings)}")
    return "\n".join(lines)


def floor_table(dataset: xr.Dataset, grammar: StoryGrammar, windows: np.ndarray, level: float) -> str:
    """What each model misses of the grammar at the last iterate: its loss, and its exact divergence from the truth.

    Args:
        dataset: of a run on the grammar.
        grammar: its definition.
        windows: (n, t) of the validation loss.
        level: of the intervals, over windows.
    """
    last = dataset.isel(iterate=-1)
    lowest = story_mean(floor(grammar, windows), level)
    lines = [
        f"floor of the loss, mean entropy of the next word along the {len(windows)} validation stories: "
        f"{shown(lowest, digits=4)} nats per word; at update {int(last['iterate'])}:"
    ]
    rows = [("", "loss", "divergence from the grammar")]
    for name in map(str, last["average"].values):
        one = last.sel(average=name)
        loss, kl = (mean_estimate(one[variable].values, level) for variable in ("window_loss", "kl"))
        rows.append((name, shown(loss, digits=4), shown(kl)))
    return "\n".join([*lines, *aligned(rows)])


def law_table(law: DistanceLaw, shares: np.ndarray) -> str:
    """Hazard at every distance, and the exponent."""
    rows = [("share of an update", "distance", "differ (%)", "hazard per token", "tokens that agree", "fitted")]
    for k, share in enumerate(shares):
        rows.append(
            (
                f"{share:.3g}",
                f"{law.distances[k]:.3g}",
                shown(law.agreement[k].differing, scale=100.0),
                shown(law.hazards[k], digits=2),
                shown(law.mean_times[k]),
                "yes" if law.fitted[k] else "no",
            )
        )
    lines = [*aligned(rows), f"hazard ∝ distance^β with β = {shown(law.exponent)}"]
    lines.append(f"log-likelihood over that of time ∝ log(1/distance), per prompt: {shown(law.advantage)}")
    return "\n".join(lines)


def comparison_table(compared: xr.Dataset) -> str:
    """Final losses of every schedule, raw and averaged, less the best raw one's."""
    final = compared["final_loss"].mean("window")
    raw = final.sel(average="raw")
    best = str(raw["schedule"].values[int(raw.values.argmin())])
    found = differences(compared, best)
    names = [str(name) for name in final["average"].values]
    rows = [("schedule", *names)]
    for schedule in map(str, final["schedule"].values):
        cells = []
        for name in names:
            less: Estimate = found[schedule, name]
            cells.append(f"{float(final.sel(schedule=schedule, average=name)):.4f} ({shown(less)})")
        rows.append((schedule, *cells))
    title = f"validation loss at the end, less raw with {best}, 95 % intervals over windows of one run each:"
    return "\n".join([title, *aligned(rows)])

"""The butterfly effect in language: neighbouring iterates of one run of equal loss, whose continuations part.

Of a run's dataset, everything that is said of one average (or the raw iterates) over one set of iterates: how many
continuations differ between neighbours and where first (`agreement`), by how many edits they end apart
(`edit_distance`), the hazard per token and its prediction (`hazards`), what the loss does meanwhile (`loss_changes`),
and how far the texts repeat themselves (`repetition`). What the intervals cover is said in `crossed_means`: other
prompts and other iterates of this stretch of this run, not other seeds.

The dataset has dims iterate (coordinate: updates), average (names, "raw" first), prompt, token and window:
`greedy` or `sampled` (iterate, average, prompt, token) ids; `greedy_gap` or `sampled_gap`, alike, the largest minus the
second-largest logit at each step (of sampling with shared noise, of logits/temperature + noise); `window_loss`
(iterate, average, window) in nats per token; and 0/1 variables (iterate) that name sets of iterates.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import xarray as xr

from gvatheory import validation
from neural.language.agreement import Survival, survival
from neural.language.crossed_means import crossed_mean, crossed_proportions
from neural.language.edit_distance import edit_distances, first_difference
from neural.language.hazards import SplitHazard, split_hazard
from neural.language.loss_changes import LossChange, loss_changes
from neural.language.repetition import distinct_ngrams, final_loops
from neural.statistics import Estimate, require_run

CONTINUATIONS = ("greedy", "sampled")
NGRAMS = (1, 2, 3, 4)


@dataclasses.dataclass(frozen=True)
class AverageButterfly:
    """One average (or the raw iterates) over one set of iterates.

    Attributes:
        average: its name; "raw" for the iterates themselves.
        survival: of agreement between neighbours; `differing` is the fraction of continuations that differ.
        edit_distance: mean over neighbours × prompts of the edits between the whole texts, in tokens.
        edit_curve: (T + 1,) the same of their first h tokens.
        hazard: of a split per token, with its prediction.
        loss: changes of the validation loss between neighbours, its mean, and the gain over raw.
        distinct: share of distinct n-grams in whole texts, mean over iterates × prompts, for the n of `NGRAMS`.
        looping: fraction of texts that end in a loop.
        loop_start: mean position from which they loop, T for those that do not.
    """

    average: str
    survival: Survival
    edit_distance: Estimate
    edit_curve: np.ndarray
    hazard: SplitHazard
    loss: LossChange
    distinct: tuple[Estimate, ...]
    looping: Estimate
    loop_start: Estimate

    @property
    def median_first_difference(self) -> float | None:
        """Position, counted from 0; None where most continuations do not differ."""
        median = self.survival.median.value
        return median if np.isfinite(median) else None


@dataclasses.dataclass(frozen=True)
class Butterfly:
    """Result of `butterfly`.

    Attributes:
        which: "greedy" or "sampled".
        members: the set of iterates.
        iterates: update counts of the first and the last one.
        updates_apart: the least and the largest number of updates between neighbours.
        pairs, prompts, length: m pairs of neighbours, P prompts, T tokens.
        level: of the intervals.
        rows: one per average, in the dataset's order; the first is raw.
    """

    which: str
    members: str
    iterates: tuple[int, int]
    updates_apart: tuple[int, int]
    pairs: int
    prompts: int
    length: int
    level: float
    rows: tuple[AverageButterfly, ...]

    def __getitem__(self, average: str) -> AverageButterfly:
        """The row of an average, by name; KeyError if there is none."""
        for row in self.rows:
            if row.average == average:
                return row
        raise KeyError(f"no average {average!r}, there are {[row.average for row in self.rows]}")


def butterfly(
    dataset: xr.Dataset, which: str = "greedy", members: str = "consecutive", *, level: float = 0.95
) -> Butterfly:
    """All butterfly measures of a run's dataset; see the module.

    Args:
        dataset: as the module says.
        which: continuations, "greedy" or "sampled".
        members: name of the 0/1 variable that selects the iterates, at least two; each is compared with the next.
        level: of all intervals, in (0, 1).

    Raises:
        ValueError: naming what the dataset lacks, or the argument out of range.
    """
    if which not in CONTINUATIONS:
        raise ValueError(f"which must be one of {CONTINUATIONS}, got {which!r}")
    validation.real("level", level, 0.0, 1.0, open_low=True, open_high=True)
    chosen = _chosen(dataset, which, members)
    names = [str(name) for name in chosen["average"].values]
    updates = chosen["iterate"].values
    texts, gaps, losses = (chosen[name].values for name in (which, f"{which}_gap", "window_loss"))
    changes = loss_changes(losses, level=level)
    apart = np.diff(updates)
    return Butterfly(
        which=which,
        members=members,
        iterates=(int(updates[0]), int(updates[-1])),
        updates_apart=(int(apart.min()), int(apart.max())),
        pairs=len(apart),
        prompts=texts.shape[2],
        length=texts.shape[3],
        level=level,
        rows=tuple(_row(name, texts[:, j], gaps[:, j], changes[j], level) for j, name in enumerate(names)),
    )


def neighbour_differences(dataset: xr.Dataset, which: str = "greedy", members: str = "consecutive") -> xr.DataArray:
    """First differences of neighbouring iterates' continuations, dims (pair, average, prompt); see `butterfly`.

    The coordinate `pair` is the update count of the earlier iterate.
    """
    if which not in CONTINUATIONS:
        raise ValueError(f"which must be one of {CONTINUATIONS}, got {which!r}")
    chosen = _chosen(dataset, which, members)
    texts = chosen[which].values
    attrs = {"units": "tokens", "long_name": f"first difference of {which} continuations"}
    coords = {"pair": chosen["iterate"].values[:-1], "average": chosen["average"].values}
    return xr.DataArray(first_difference(texts[:-1], texts[1:]), coords, ("pair", "average", "prompt"), attrs=attrs)


def _row(name: str, texts: np.ndarray, gaps: np.ndarray, loss: LossChange, level: float) -> AverageButterfly:
    """Of (iterates, prompts, T) texts and gaps."""
    length = texts.shape[-1]
    first = first_difference(texts[:-1], texts[1:])
    edits = edit_distances(texts[:-1], texts[1:])
    loops = final_loops(texts)
    sizes = [n for n in NGRAMS if n <= length]
    return AverageButterfly(
        average=name,
        survival=survival(first, length, level),
        edit_distance=crossed_mean(edits[..., -1], level),
        edit_curve=edits.mean(axis=(0, 1)),
        hazard=split_hazard(first, gaps[:-1], gaps[1:], level=level),
        loss=loss,
        distinct=tuple(crossed_mean(distinct_ngrams(texts, n)[..., -1], level) for n in sizes),
        looping=_proportion(loops.period > 0, level),
        loop_start=crossed_mean(loops.start, level),
    )


def _proportion(hits: np.ndarray, level: float) -> Estimate:
    value, low, high = crossed_proportions(hits[..., None], level)
    return Estimate(float(value[0]), float(low[0]), float(high[0]))


def _chosen(dataset: xr.Dataset, which: str, members: str) -> xr.Dataset:
    """The iterates asked for, in order, dimensions in the order of the module; ValueError if something is not there."""
    cell = ("iterate", "average", "prompt", "token")
    wanted = {
        which: cell,
        f"{which}_gap": cell,
        "window_loss": ("iterate", "average", "window"),
        members: ("iterate",),
    }
    require_run(dataset, wanted)
    inside = np.flatnonzero(dataset[members].values)
    if len(inside) < 2:
        raise ValueError(f"{members!r} must hold at least 2 iterates, got {len(inside)}")
    chosen = xr.Dataset({name: dataset[name].transpose(*dims) for name, dims in wanted.items()}).isel(iterate=inside)
    chosen = chosen.sortby("iterate")
    if np.any(np.diff(chosen["iterate"].values) <= 0):
        raise ValueError(f"{members!r} must hold every iterate once, got updates {chosen['iterate'].values.tolist()}")
    return chosen

"""The practitioner's question: which average, chosen before any rollout, and what does the choice cost?

Selectors see one-step quantities alone: the linear theory sees the spectrum of curvature and noise and the drift at the
end of the run; "least loss" sees the held-out loss of every average; the rest are fixed defaults. Regret is the return
of the best average of the bank less that of the one chosen, in units of the expert's return. The best is found by the
rollouts of half of the initial conditions and its return taken from the other half, each half in turn, so that the luck
of the best does not count as regret.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
import xarray as xr
from scipy.stats import trim_mean

from gvatheory import validation
from neural.predictions.arms import DEFAULT
from neural.predictions.evidence import Evidence
from neural.predictions.linear_theory import choose_average
from neural.predictions.noise_spectra import spectra
from neural.predictions.spreads import expert_level, late_iterates
from neural.statistics import RAW, Estimate

THEORY, LEAST_LOSS = "linear theory", "least held-out loss"
DEFAULTS = ("EMA 0.001", "EMA 0.0001", "power 2/3", "Polyak", RAW)
"""What people use without looking: the decays 0.999 and 0.9999, and the paper's power; and the two extremes."""


@dataclasses.dataclass(frozen=True)
class Choices:
    """What every selector chose, and its regret.

    Attributes:
        chosen: (selector, arm, seed) name of the average.
        regret: (selector, arm, seed), in units of the expert's return; negative where the best of one half of the
            initial conditions does worse on the other.
    """

    chosen: xr.DataArray
    regret: xr.DataArray


def choices(evidence: Evidence, arms: Sequence[str]) -> Choices:
    """All selectors on all seeds of these arms, whose banks were rolled out and whose spectra were measured.

    The return is that of the last spaced iterates, from three quarters of the run on; the bank is what was rolled out.

    Raises:
        FileNotFoundError: if a run or its spectrum is missing.
    """
    selectors = (THEORY, LEAST_LOSS, *DEFAULTS)
    chosen, regret = [], []
    for arm in arms:
        own = _chosen(evidence, arm)
        chosen.append([[own[s][i] for i in range(evidence[arm].sizes["seed"])] for s in selectors])
        regret.append(_regrets(evidence[arm], chosen[-1]))
    labels = {"selector": list(selectors), "arm": list(arms), "seed": evidence[arms[0]]["seed"].values}
    axes = ("arm", "selector", "seed")
    return Choices(
        *(
            xr.DataArray(np.array(values), labels, axes).transpose("selector", "arm", "seed")
            for values in (chosen, regret)
        )
    )


def _chosen(evidence: Evidence, arm: str) -> dict[str, list[str]]:
    """Names by selector, one per seed."""
    run, of = evidence[arm], spectra(evidence, arm)
    e, names = of.experiment, [str(name) for name in run["average"].values]
    bank = {name: e.bank[name] for name in names if name != RAW}
    last = run["loss"].isel(iterate=-1).transpose("seed", "average").values
    found = {
        THEORY: [
            choose_average(spectrum, e.schedule, bank, e.steps, seen_from=e.bank[DEFAULT])[0] for spectrum in of.by_seed
        ]
    }
    found[LEAST_LOSS] = [names[int(i)] for i in last.argmin(axis=1)]
    return found | {name: [name] * len(last) for name in DEFAULTS}


def _regrets(run: xr.Dataset, chosen: Sequence[Sequence[str]]) -> list[list[float]]:
    """Of each selector (first axis of `chosen`) and seed."""
    names = [str(name) for name in run["average"].values]
    kept = np.flatnonzero(run["spaced"].values)[late_iterates(run)]
    returns = run["return"].isel(iterate=kept).mean("iterate").transpose("seed", "average", "episode").values
    level = expert_level(run)
    out = []
    for selected in chosen:
        row = []
        for own, name in zip(returns, selected, strict=True):
            halves = own[:, ::2].mean(axis=1), own[:, 1::2].mean(axis=1)
            best = [other[int(one.argmax())] for one, other in (halves, halves[::-1])]
            mine = [half[names.index(name)] for half in halves]
            row.append(float((np.mean(best) - np.mean(mine)) / level))
        out.append(row)
    return out


def interquartile_mean(
    values: Mapping[str, np.ndarray], *, level: float = 0.95, resamples: int = 10_000, seed: int = 0
) -> Estimate:
    """Mean of the middle half of all values, with a percentile interval of the bootstrap stratified by group.

    Seeds are drawn with replacement within each group (Agarwal et al. 2021). With five seeds a group the interval
    covers less than it says (simulated: see the tests), so that no verdict rests on it.

    Args:
        values: group → (seeds,) values.
        level: in (0, 1).
        resamples: ≥ 100.
        seed: of the resampling.

    Raises:
        ValueError: naming what is empty, not finite or out of range.
    """
    validation.real("level", level, 0.0, 1.0, open_low=True, open_high=True)
    validation.integer("resamples", resamples, 100)
    if not values or any(np.ndim(v) != 1 or not len(v) or not np.all(np.isfinite(v)) for v in values.values()):
        raise ValueError(f"values must hold finite numbers in every group, got {dict(values)}")
    rng = np.random.default_rng(seed)
    drawn = [np.asarray(v)[rng.integers(0, len(v), (resamples, len(v)))] for v in values.values()]
    replicates = trim_mean(np.concatenate(drawn, axis=1), 0.25, axis=1)
    tail = 0.5 * (1.0 - level)
    low, high = np.quantile(replicates, [tail, 1.0 - tail])
    return Estimate(float(trim_mean(np.concatenate(list(values.values())), 0.25)), float(low), float(high))

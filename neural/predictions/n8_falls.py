"""N8: episodes fail by falling off a cliff, and the fallen fraction follows the law of a noisy threshold.

An episode falls if X_t > ε + ς·noise, X_t ~ N(0, s²) the iterate's place and the noise the initial condition's (theory
section 4). The fraction of fallen episodes has mean Φ(−c) and variance Φ₂(−c, −c; r) − Φ(−c)²; c and r follow from
those two, and everything else is predicted: how often none falls, and, with the correlation of successive iterates
that curvature and momentum give, how often an episode that was safe falls at the next update (A8).

The two moments are the same, over initial conditions, whether the noise of an initial condition stays from iterate to
iterate or is drawn anew; what happens in time is not. By the theory it stays, for the initial conditions do: that is
what is judged. What fresh noise would give is reported beside it.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np
import xarray as xr
from scipy.optimize import brentq
from scipy.special import ndtr, ndtri
from scipy.stats import binom

from gvatheory.normal_probabilities import bivariate_cdf
from gvatheory.paths import fall_fraction, threshold_dynamics
from neural.predictions.arms import TASKS
from neural.predictions.decision import Criterion, Effect, Prediction, jackknife_effect
from neural.predictions.evidence import Evidence
from neural.predictions.noise_spectra import roughness
from neural.predictions.spreads import expert_level
from neural.statistics import RAW

_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(80)
_WEIGHTS = _WEIGHTS / _WEIGHTS.sum()


def raw_episodes(run: xr.Dataset, variable: str, window: str = "spaced") -> np.ndarray:
    """(seeds, iterates, episodes) of raw."""
    chosen = run.isel(iterate=np.flatnonzero(run[window].values)).sel(average=RAW)
    return chosen[variable].transpose("seed", "iterate", "episode").values.astype(np.float64)


def explained_share(returns: np.ndarray, fallen: np.ndarray) -> float:
    """Share of the variance of single returns that whether they fell explains; NaN if all or none did."""
    fell = fallen > 0.5
    if fell.all() or not fell.any():
        return math.nan
    between = fell.mean() * (1.0 - fell.mean()) * (returns[fell].mean() - returns[~fell].mean()) ** 2
    return float(between / returns.var())


def valley(returns: np.ndarray, level: float) -> float:
    """Density of returns in the middle half of [0, level] over the lesser of those below and above it.

    Below 1 the distribution has two modes and a valley; infinite where one of the sides is empty.
    """
    share = returns / level
    low, high = np.mean(share < 0.25), np.mean(share > 0.75)
    middle = 1.0 - low - high
    return float(0.5 * middle / min(low, high)) if min(low, high) > 0 else math.inf


def threshold(fallen: np.ndarray) -> tuple[float, float]:
    """(c, r) from the mean and the variance, over iterates, of the fallen fraction of (iterates, episodes) falls.

    NaN where no such law has these: without a fall or a safe episode, or with a variance below the binomial's.
    """
    iterates, episodes = fallen.shape
    mean = float(fallen.mean())
    if not 0.0 < mean < 1.0 or iterates < 2:
        return math.nan, math.nan
    c = -float(ndtri(mean))
    seen = float(fallen.mean(axis=1).var(ddof=1))

    def excess(r: float) -> float:
        return fall_fraction(0.0, math.sqrt(r), c, math.sqrt(1.0 - r), episodes).variance - seen

    low, high = 1e-6, 1.0 - 1e-9
    if excess(low) > 0:
        return c, math.nan
    root: Any = high if excess(high) < 0 else brentq(excess, low, high)
    return c, float(root)


def fallen_law(c: float, r: float, episodes: int) -> np.ndarray:
    """(episodes + 1,) probability that so many of the episodes fall, from none to all; NaN without a law."""
    if not (math.isfinite(c) and math.isfinite(r)):
        return np.full(episodes + 1, math.nan)
    falls = ndtr((math.sqrt(r) * _NODES - c) / math.sqrt(1.0 - r))
    return binom.pmf(np.arange(episodes + 1)[:, None], episodes, falls) @ _WEIGHTS


def none_falls(c: float, r: float, episodes: int) -> float:
    """Probability that none of the episodes falls."""
    return float(fallen_law(c, r, episodes)[0])


def onset_rate(c: float, r: float, rough: float, *, fresh: bool = False) -> float:
    """Probability per update that an episode is safe and falls at the next: over initial conditions of fixed noise.

    With `fresh` noise, drawn anew at every iterate, it is Φ(c) − Φ₂(c, c; r (1 − rough)).
    """
    if fresh:
        return float(ndtr(c) - bivariate_cdf(c, c, r * (1.0 - rough)))
    margins = (c + math.sqrt(1.0 - r) * _NODES) / math.sqrt(r)
    return float(_WEIGHTS @ [threshold_dynamics(float(u), rough).rate for u in margins])


def _flat(values: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Seeds at `places` of (seeds, iterates, episodes) as one sequence of iterates."""
    return values[places].reshape(-1, values.shape[2])


def explained(evidence: Evidence) -> Effect:
    """Share of the variance of single returns, over iterates and initial conditions, that falls explain."""
    run = evidence[f"{TASKS[0]} base"]
    returns, fallen = raw_episodes(run, "return"), raw_episodes(run, "fallen")
    return jackknife_effect(lambda p: explained_share(_flat(returns, p), _flat(fallen, p)), len(returns))


def bimodal(evidence: Evidence) -> Effect:
    """`valley` of all returns of raw over spaced iterates."""
    run = evidence[f"{TASKS[0]} base"]
    returns, level = raw_episodes(run, "return"), expert_level(run)
    return jackknife_effect(lambda p: valley(_flat(returns, p), level), len(returns))


def safe_iterates(evidence: Evidence) -> Effect:
    """Fraction of spaced iterates at which no episode falls, less what the law says."""
    fallen = raw_episodes(evidence[f"{TASKS[0]} base"], "fallen")

    def surplus(places: np.ndarray) -> float:
        chosen = _flat(fallen, places)
        return float((chosen.sum(axis=1) == 0).mean()) - none_falls(*threshold(chosen), chosen.shape[1])

    return jackknife_effect(surplus, len(fallen))


def onsets(evidence: Evidence, *, fresh: bool = False) -> Effect:
    """Rate of falls between consecutive iterates over what the law says, with c and r of the spaced ones."""
    run = evidence[f"{TASKS[0]} base"]
    spaced, fallen = raw_episodes(run, "fallen"), raw_episodes(run, "fallen", "consecutive")
    rough = roughness(evidence, f"{TASKS[0]} base")

    def ratio(places: np.ndarray) -> float:
        chosen = fallen[places]
        seen = ((chosen[:, 1:] > 0.5) & (chosen[:, :-1] < 0.5)).mean()
        return float(seen / onset_rate(*threshold(_flat(spaced, places)), float(rough[places].mean()), fresh=fresh))

    return jackknife_effect(ratio, len(fallen), logarithmic=True)


PREDICTION = Prediction(
    id="N8",
    title="Falls",
    statement="Returns over initial conditions have two modes, fallen and not; the fallen fraction over iterates "
    "follows the law of a noisy threshold, and falls begin as often as A8 says.",
    criteria=(
        Criterion("share of the variance of single returns that falls explain", (0.5, math.inf), "near 1", explained),
        Criterion("density of middling returns / lesser of low and high", (-math.inf, 1.0), "< 1: two modes", bimodal),
        Criterion("iterates at which none falls, seen less predicted", (-0.1, 0.1), "0", safe_iterates),
        Criterion("falls that begin per update, seen / predicted", (0.5, 2.0), "1", onsets),
    ),
    also=(
        Criterion(
            "the same, were the noise of an initial condition drawn anew at every update",
            (0.5, 2.0),
            "1",
            functools.partial(onsets, fresh=True),
        ),
    ),
    source="theory section 4; ledger A8",
)

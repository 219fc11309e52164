"""How much the hazards of prompts differ, from counts of splits: a gamma law of hazards (frailty; Vaupel et al. 1979).

A prompt of hazard λ with R tokens at risk and S splits has the likelihood λ^S e^{−λR}, wherever observation stopped.
For λ of a gamma law with mean h and squared coefficient of variation v, that averages to

    h^S (1 + vhR)^{−(S + 1/v)} Π_{i<S} (1 + iv),

which is maximised over h for each v. Prompts of equal hazards have v = 0. The pooled hazard declines as h/(1 + vht),
since those with large hazards split first.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np
from scipy.special import gammaln, ndtri

from gvatheory import validation
from neural.statistics import Estimate

_VARIATIONS = np.concatenate([[0.0], np.geomspace(1e-4, 1e3, 561)])  # 3 % apart


@dataclasses.dataclass(frozen=True)
class Frailty:
    """Result of `frailty`.

    Attributes:
        mean_hazard: h, splits per token, of the average prompt; above the pooled hazard where v > 0.
        variation: v, from 0 for equal prompts, to 3 %; its interval by the likelihood ratio.
    """

    mean_hazard: float
    variation: Estimate

    def pooled_hazard(self, token: np.ndarray | float) -> np.ndarray | float:
        """Of the texts that have not split by position `token`, counted from 0."""
        return self.mean_hazard / (1.0 + self.variation.value * self.mean_hazard * token)


def frailty(splits: np.ndarray, at_risk: np.ndarray, level: float = 0.95) -> Frailty:
    """Maximum likelihood of the gamma law; NaN without a split.

    Args:
        splits: (prompts,) counts, summed over pairs of iterates. Pairs count as independent given the prompt: what
            neighbouring pairs of one prompt share, such as a gap near zero, adds to v.
        at_risk: (prompts,) tokens at risk, > 0.
        level: of the interval, in (0, 1).

    Raises:
        ValueError: if the counts do not match or are out of range.
    """
    s, r = (np.asarray(x, dtype=np.float64) for x in (splits, at_risk))
    validation.real("level", level, 0.0, 1.0, open_low=True, open_high=True)
    if s.shape != r.shape or s.ndim != 1 or not s.size:
        raise ValueError(f"splits and at_risk must be vectors of one length, got shapes {s.shape} and {r.shape}")
    if not (np.all(s >= 0) and np.all(r > 0)):
        raise ValueError(f"splits must be at least 0 and at_risk above 0, got {s.min():g} and {r.min():g} at least")
    if not s.any():
        return Frailty(math.nan, Estimate(math.nan, math.nan, math.nan))
    h = _best_means(s, r)
    likelihood = _log_likelihood(s, r, h)
    best = int(np.argmax(likelihood))
    within = np.flatnonzero(likelihood >= likelihood[best] - 0.5 * ndtri(0.5 * (1.0 + level)) ** 2)
    v = _VARIATIONS
    top = math.inf if within[-1] == len(v) - 1 else float(v[within[-1]])
    return Frailty(float(h[best]), Estimate(float(v[best]), float(v[within[0]]), top))


def _best_means(s: np.ndarray, r: np.ndarray) -> np.ndarray:
    """(V,) for each v the h with Σ (S − hR)/(1 + vhR) = 0, by bisection: the left side falls with h."""
    rates = s / r
    low, high = (np.full(len(_VARIATIONS), x) for x in (max(rates.min(), 1e-3 * s.sum() / r.sum()), rates.max()))
    for _ in range(60):
        h = np.sqrt(low * high)
        expected = h[:, None] * r
        above = np.sum((s - expected) / (1.0 + _VARIATIONS[:, None] * expected), axis=1) > 0
        low, high = np.where(above, h, low), np.where(above, high, h)
    return np.sqrt(low * high)


def _log_likelihood(s: np.ndarray, r: np.ndarray, h: np.ndarray) -> np.ndarray:
    """(V,) up to a constant."""
    v = _VARIATIONS[1:, None]
    k, expected = 1.0 / v, h[1:, None] * r
    rising = gammaln(k + s) - gammaln(k) + s * np.log(v)  # log Π (1 + iv)
    mixed = np.sum(s * np.log(h[1:, None]) - (k + s) * np.log1p(v * expected) + rising, axis=1)
    return np.concatenate([[np.sum(s * np.log(h[0]) - h[0] * r)], mixed])

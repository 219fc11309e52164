"""Time to the split against the distance of the models' parameters.

A token splits where the gap of its two likeliest tokens is below the perturbation, which is proportional to the
distance d while d is small. The hazard per token is then proportional to d (`hazards`), and the time to the split to
1/d: log hazard = c + β log d with β = 1 (prediction N9). In a chaotic continuous system a distance grows by a factor
per step until it shows, which takes a time linear in log 1/d.

Times are censored at the end T of the texts. Splits over tokens at risk estimate the hazard all the same, and exactly
so where times are exponential (geometric), by the likelihood that Poisson counts have. Both laws are fitted by it, the
logarithmic one as 1/hazard = a + b log(1/d), and compared by prediction: each distance left out in turn, the deviance
of its count from what the law fitted to the others says. Both have two parameters.

Intervals are over prompts and directions, both independent, by `crossed_means`; of the comparison, over prompts alone.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from gvatheory import validation
from neural import jackknife
from neural.language import poisson_rates
from neural.language.agreement import Survival, survival
from neural.language.crossed_means import crossed_mean, influenced
from neural.language.edit_distance import first_difference
from neural.statistics import Estimate


@dataclasses.dataclass(frozen=True)
class DistanceLaw:
    """Result of `distance_law`, for K distances.

    Attributes:
        distances: (K,) d, as given.
        hazards: splits per token at risk; where none was seen, from 0 to what a constant hazard could be.
        mean_times: tokens that agree, at most T: the mean of the first difference restricted to T.
        agreement: survival of agreement, with the median and the fraction that differ.
        fitted: (K,) bool, which distances the exponent is fitted to.
        exponent: β of hazard ∝ d^β; 1 by theory for small d, NaN if it cannot be fitted.
        constant: hazard/d^β at the geometric mean of the distances fitted, i.e. the hazard there.
        power_deviance, log_deviance: of counts at distances left out, summed, by d^β and by the logarithmic law.
        advantage: (log_deviance − power_deviance) per distance, positive where d^β predicts better; NaN with fewer
            than four distances fitted.
    """

    distances: np.ndarray
    hazards: tuple[Estimate, ...]
    mean_times: tuple[Estimate, ...]
    agreement: tuple[Survival, ...]
    fitted: np.ndarray
    exponent: Estimate
    constant: Estimate
    power_deviance: float
    log_deviance: float
    advantage: Estimate


def distance_law(
    base: np.ndarray,
    continuations: np.ndarray,
    distances: np.ndarray,
    *,
    largest_hazard: float = 0.2,
    level: float = 0.95,
) -> DistanceLaw:
    """How the time to the split depends on the distance; see the module.

    Args:
        base: (prompt, token) ids of the one model's continuations.
        continuations: (direction, distance, prompt, token) ids of its neighbours', at each distance in each direction.
        distances: (K,) > 0, all different, at least two.
        largest_hazard: distances of a larger one are left out of the fits, being no longer small; in (0, 1].
        level: of the intervals, in (0, 1).

    Raises:
        ValueError: naming the argument out of range.
    """
    distances = _checked_distances(distances)
    if np.ndim(continuations) != 4 or np.shape(continuations)[1] != len(distances):
        raise ValueError(
            f"continuations must have dimensions (direction, {len(distances)} distances, prompt, token), "
            f"got shape {np.shape(continuations)}"
        )
    if np.shape(base) != np.shape(continuations)[2:]:
        raise ValueError(f"base must have the shape {np.shape(continuations)[2:]}, got {np.shape(base)}")
    first = first_difference(base, continuations)
    return law_of_first_differences(first, np.shape(base)[1], distances, largest_hazard=largest_hazard, level=level)


def law_of_first_differences(
    first: np.ndarray, length: int, distances: np.ndarray, *, largest_hazard: float = 0.2, level: float = 0.95
) -> DistanceLaw:
    """As `distance_law`, of (direction, distance, prompt) first differences in texts of `length` tokens."""
    distances = _checked_distances(distances)
    if np.ndim(first) != 3 or np.shape(first)[1] != len(distances):
        raise ValueError(f"first must be (direction, {len(distances)} distances, prompt), got shape {np.shape(first)}")
    validation.real("largest_hazard", largest_hazard, 0.0, 1.0, open_low=True)
    validation.real("level", level, 0.0, 1.0, open_low=True, open_high=True)
    agreement = tuple(survival(first[:, k], length, level, block=1) for k in range(len(distances)))
    splits = (first < length).astype(np.float64)
    risk = np.minimum(first + 1, length).astype(np.float64)
    hazards = tuple(
        _hazard(splits[:, k], risk[:, k], agreement[k].differing.high, length, level) for k in range(len(distances))
    )
    fitted = np.array([h.value <= largest_hazard for h in hazards])
    exponent, constant = _exponent(splits[:, fitted], risk[:, fitted], np.log(distances[fitted]), level)
    compared = _comparison(splits[:, fitted], risk[:, fitted], np.log(distances[fitted]), level)
    times = tuple(crossed_mean(first[:, k], level, block=1) for k in range(len(distances)))
    return DistanceLaw(distances, hazards, times, agreement, fitted, exponent, constant, *compared)


_UNKNOWN = Estimate(math.nan, math.nan, math.nan)


def _checked_distances(distances: np.ndarray) -> np.ndarray:
    distances = validation.array("distances", distances, 1)
    if (
        distances.ndim != 1
        or len(distances) < 2
        or np.any(distances <= 0)
        or len({*distances.tolist()}) < distances.size
    ):
        raise ValueError(f"distances must be at least two different positive numbers, got {distances.tolist()}")
    return distances


def _hazard(splits: np.ndarray, risk: np.ndarray, most: float, length: int, level: float) -> Estimate:
    """Of (direction, prompt) counts; `most` is the largest fraction that might differ by the end."""
    total = float(splits.sum())
    if total == 0:
        return Estimate(0.0, 0.0, -math.log1p(-most) / length)
    value = total / float(risk.sum())
    return influenced(value, (splits - value * risk) / risk.mean(), level, block=1, positive=True)


def _exponent(splits: np.ndarray, risk: np.ndarray, x: np.ndarray, level: float) -> tuple[Estimate, Estimate]:
    """β and the hazard at the mean of x, from (direction, distance, prompt) counts."""
    if len(x) < 2 or np.count_nonzero(splits.sum(axis=(0, 2))) < 2:
        return _UNKNOWN, _UNKNOWN
    x = x - x.mean()
    law = poisson_rates.power_law(x)
    counts, exposure = splits.sum(axis=(0, 2)), risk.sum(axis=(0, 2))
    c, slope = poisson_rates.fit(counts, exposure, law, np.array([math.log(counts.sum() / exposure.sum()), 0.0]))
    # Each cell moves the parameters by the inverse information times its score (per cell, so that means matter).
    rates = np.exp(c + slope * x)
    design = np.stack([np.ones_like(x), x])
    information = (design * (exposure * rates)) @ design.T / splits[:, 0].size
    score = np.einsum("pk,dkn->pdn", design, splits - rates[:, None] * risk)
    influence = np.einsum("pq,qdn->pdn", np.linalg.inv(information), score)
    height = float(np.exp(c))
    return (
        influenced(float(slope), influence[1], level, block=1),
        influenced(height, height * influence[0], level, block=1, positive=True),
    )


def _comparison(splits: np.ndarray, risk: np.ndarray, x: np.ndarray, level: float) -> tuple[float, float, Estimate]:
    """Deviances of left-out distances by either law, and their difference with its interval over prompts."""
    if len(x) < 4 or np.count_nonzero(splits.sum(axis=(0, 2))) < 3:
        return math.nan, math.nan, _UNKNOWN
    prompts = splits.shape[2]
    counts, exposure = (v.sum(axis=(0, 2)) for v in (splits, risk))
    without = [total - v.sum(axis=0).T for v, total in ((splits, counts), (risk, exposure))]
    power, logarithmic = _left_out(counts[None], exposure[None], x)[:, 0]
    difference = np.subtract(*_left_out(*without, x)[::-1]) / len(x)
    value = float(logarithmic - power) / len(x)
    low, high = jackknife.interval(value, jackknife.standard_error(difference), prompts, level)
    return float(power), float(logarithmic), Estimate(value, float(low), float(high))


def _left_out(counts: np.ndarray, exposure: np.ndarray, x: np.ndarray) -> np.ndarray:
    """(2, B) deviances of (B, K) counts, each distance predicted from the others, by the power and the log law."""
    keep = 1.0 - np.eye(len(x))
    rate = math.log(counts.sum() / exposure.sum())
    laws = (
        (poisson_rates.power_law(x - x.mean()), np.array([rate, 0.0])),
        (poisson_rates.linear_time(x), np.array([-rate, -rate])),
    )
    shape = (len(counts), len(x), len(x))
    s, r = (np.broadcast_to(v[:, None], shape) for v in (counts, exposure))
    out = []
    for law, start in laws:
        parameters = poisson_rates.fit(s, r, law, start, keep)
        each = np.diagonal(poisson_rates.deviance(s, r, law(parameters)[0]), axis1=1, axis2=2)
        out.append(each.sum(axis=1))
    return np.stack(out)

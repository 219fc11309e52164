"""Time to the split against the distance of the models' parameters.

A token splits where the gap of its two likeliest tokens is below the perturbation, which is proportional to the
distance d while d is small. The hazard per token is then proportional to d (`hazards`), and the time to the split to
1/d: log hazard = c + β log d with β = 1 (prediction N9). In a chaotic continuous system a distance grows by a factor
per step until it shows, which takes a time linear in log 1/d.

Times are censored at the end T of the texts. Splits over tokens at risk estimate the hazard all the same, and exactly
so where times are exponential (geometric), by the likelihood that Poisson counts have. Two laws of one parameter are
fitted by it, with a height for every prompt (`prompt_rates`): hazard ∝ d^β, and 1/hazard ∝ 1 + s log(1/d). They are
compared by their likelihood, whose difference has an interval over prompts (Vuong 1989). The intervals of all else are
over prompts and directions, both independent, by `crossed_means`.

How often the interval of β covers, simulated at 95 % for 64 prompts whose hazards differ by 70 % and 8 directions that
differ by 30 %: 97 %. What makes the hazard fall along every text alike, such as a beginning that decides much,
lowers β; `SplitHazard.late_to_early` shows it.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import xarray as xr

from gvatheory import validation
from neural.language.agreement import Survival, checked_first, survival
from neural.language.crossed_means import crossed_mean, influenced
from neural.language.edit_distance import first_difference
from neural.language.prompt_rates import Counts, linear_time, power_law
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
        exponent: β of hazard ∝ d^β; 1 by theory for small d, NaN if fewer than two distances show splits.
        advantage: log-likelihood of d^β minus that of the logarithmic law, per prompt: positive where d^β fits better;
            NaN with fewer than three distances fitted.
    """

    distances: np.ndarray
    hazards: tuple[Estimate, ...]
    mean_times: tuple[Estimate, ...]
    agreement: tuple[Survival, ...]
    fitted: np.ndarray
    exponent: Estimate
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


def parting_law(dataset: xr.Dataset, *, level: float = 0.95) -> DistanceLaw:
    """The law that a dataset of `parting` shows."""
    texts = dataset["text"].transpose("direction", "distance", "prompt", "token").values
    base = dataset["base"].transpose("prompt", "token").values
    return distance_law(base, texts, dataset["distance"].values, level=level)


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
    x = np.broadcast_to(np.log(distances), splits.shape[:2])[:, fitted]
    exponent = _exponent(splits[:, fitted], risk[:, fitted], x, level, 1)
    advantage = _advantage(splits[:, fitted], risk[:, fitted], x, level)
    times = tuple(crossed_mean(first[:, k], level, block=1) for k in range(len(distances)))
    return DistanceLaw(distances, hazards, times, agreement, fitted, exponent, advantage)


def distance_exponent(
    first: np.ndarray, length: int, distances: np.ndarray, *, level: float = 0.95, block: int | None = None
) -> Estimate:
    """β of hazard ∝ d^β where every pair of neighbours has distances of its own, such as those of its averages.

    Averages whose logits are sharper than others' have another density of gaps; that enters β as far as it goes along
    with their distance.

    Args:
        first: (pairs, averages, prompts) positions of first differences, from 0 to length.
        length: T, tokens compared, ≥ 1.
        distances: (pairs, averages) between the parameters of the neighbours, > 0.
        level: of the interval, in (0, 1).
        block: pairs dependent on each other, as in `crossed_variance`; None for an estimate.

    Raises:
        ValueError: naming the argument out of range.
    """
    distances = validation.array("distances", distances, 2)
    validation.integer("length", length, 1)
    validation.real("level", level, 0.0, 1.0, open_low=True, open_high=True)
    first = np.asarray(first)
    if first.ndim != 3 or distances.shape != first.shape[:2]:
        raise ValueError(f"distances must have the shape {first.shape[:-1]}, got {distances.shape}")
    if not np.all(distances > 0):
        raise ValueError(f"distances must be positive, got {distances.min():g}")
    checked_first(first.reshape(len(first), -1), length)
    splits, risk = (first < length).astype(np.float64), np.minimum(first + 1, length).astype(np.float64)
    return _exponent(splits, risk, np.log(distances), level, block)


_UNKNOWN = Estimate(math.nan, math.nan, math.nan)


def _checked_distances(distances: np.ndarray) -> np.ndarray:
    distances = validation.array("distances", distances, 1)
    if (
        distances.ndim != 1
        or len(distances) < 2
        or np.any(distances <= 0)
        or len(np.unique(distances)) < len(distances)
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


EXPONENTS, STRETCHES = (-30.0, 30.0), (-30.0, 60.0)
"""Where the two laws' parameters are searched for the largest likelihood."""


def _counts(splits: np.ndarray, risk: np.ndarray) -> Counts:
    """Of (direction, distance, prompt) arrays."""
    prompts = splits.shape[2]
    return Counts(splits.reshape(-1, prompts), risk.reshape(-1, prompts))


def _exponent(splits: np.ndarray, risk: np.ndarray, x: np.ndarray, level: float, block: int | None) -> Estimate:
    """β from (direction, distance, prompt) counts, x = log d (direction, distance)."""
    if len(np.unique(x[splits.any(axis=2)])) < 2:
        return _UNKNOWN
    counts, flat = _counts(splits, risk), (x - x.mean()).ravel()
    exponent = counts.fit(power_law(flat), EXPONENTS)
    scores, information = counts.scores(flat, exponent)
    cells = scores.reshape(splits.shape).sum(axis=1)  # (direction, prompt)
    return influenced(exponent, cells * (cells.size / information), level, block)


def _advantage(splits: np.ndarray, risk: np.ndarray, x: np.ndarray, level: float) -> Estimate:
    """Mean over prompts of the difference of the laws' log-likelihoods."""
    if len(np.unique(x[splits.any(axis=2)])) < 3:
        return _UNKNOWN
    counts, flat = _counts(splits, risk), (x - x.mean()).ravel()
    laws = ((power_law(flat), EXPONENTS), (linear_time(flat), STRETCHES))
    power, logarithmic = (counts.log_likelihood(law(counts.fit(law, bounds))) for law, bounds in laws)
    return crossed_mean((power - logarithmic)[None], level)

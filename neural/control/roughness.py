"""How jagged profiles of the return are, and how much of that is owed to the few initial conditions they rest on.

A profile is J_E(s) = (1/E) Σ_e R(s, e): the same E initial conditions at every point s, so nothing is drawn anew from
point to point and J_E is a function, not a noisy reading of one. Its variation exponent H is the slope of
log mean|J_E(s+h) − J_E(s)| against log h as h → 0: 1 for a smooth profile and for one with isolated jumps, less for a
rough one, whose graph has the box dimension 2 − H (the madogram; Gneiting, Ševčíková & Percival 2012, arXiv 1101.1444).

That J_E is rough does not make the expected return J = E_e R(·, e) rough. With D_e = R(s+h, e) − R(s, e), E of them,
mean D̄ and sample variance S²,

    E[D̄²] = (J(s+h) − J(s))² + Var(D)/E,        E[S²/E] = Var(D)/E,

so D̄² − S²/E is without bias the squared increment of J. Its average over s, against h, gives an exponent of J: half
the slope of the corrected variogram. The share of S²/E in D̄² (the nugget) says how much of the drawn variation the
initial conditions make. No such correction exists for |D̄|; the price of the square is that isolated jumps, which are
smooth to the madogram, count as H = ½. The drawn profile's exponent by squares is given as well, so that this shows.

All exponents are those of the grid's scale: nothing is known below its spacing.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from gvatheory import validation
from neural import jackknife
from neural.statistics import Estimate


@dataclasses.dataclass(frozen=True)
class Roughness:
    """Variation exponents with intervals; NaN where they cannot be had.

    Attributes:
        exponent: of the drawn profile, by absolute increments.
        exponent_by_squares: of the drawn profile, by squared increments; the lower the more the increments are jumps.
        expected: of the expected return, by corrected squares. NaN if at some distance no more is seen than what the
            initial conditions explain, up to its own error.
        nugget: share of the squared increments at the smallest distance that the initial conditions explain.
    """

    exponent: Estimate
    exponent_by_squares: Estimate
    expected: Estimate
    nugget: Estimate

    @property
    def dimension(self) -> Estimate:
        """Box dimension of the drawn profile's graph."""
        return Estimate(2 - self.exponent.value, 2 - self.exponent.high, 2 - self.exponent.low)


def roughness(
    profiles: np.ndarray, *, lags: Sequence[int] = (1, 2, 4), stretches: int = 1, level: float = 0.95
) -> Roughness:
    """Exponents of profiles sampled at equal distances.

    Intervals are by the jackknife over the profiles' stretches; those of `expected` and `nugget` also over the
    episodes, both variances added.

    Args:
        profiles: (profiles, episodes, points) returns R; independent profiles, e.g. one per direction.
        lags: distances h in grid steps, ascending, at least two, each below the points of a stretch.
        stretches: parts into which a profile is cut that count as independent, ≥ 1; more than one where there are few
            profiles. They do not quite if H > 3/4: of fractional Brownian motion with H = 0.8, intervals at 95 % then
            cover 86 %.
        level: of the intervals, in (0, 1).

    Raises:
        ValueError: if the shapes do not fit, a value is not finite, fewer than two stretches are left, or all profiles
            are constant.
    """
    values = validation.array("profiles", profiles, 3)
    validation.real("level", level, 0.0, 1.0, open_low=True, open_high=True)
    validation.integer("stretches", stretches, 1)
    if values.ndim != 3:
        raise ValueError(f"profiles must have shape (profiles, episodes, points), got {values.shape}")
    if len(values) * stretches < 2:
        raise ValueError("profiles times stretches must be at least 2, got 1: there would be no interval")
    room = values.shape[2] // stretches
    if len(lags) < 2 or np.any(np.diff(lags) <= 0) or lags[0] < 1 or lags[-1] >= room:
        raise ValueError(f"lags must be two or more, ascending, from 1 to {room - 1}, got {list(lags)}")
    absolute, squares, noise = _increments(values, lags, stretches)
    if not absolute.any(axis=0).all():
        raise ValueError("profiles must vary: a constant one has no roughness")
    units, episodes = len(absolute), values.shape[1]

    def estimate(value: Any, over_units: np.ndarray, over_episodes: np.ndarray | None = None) -> Estimate:
        error = jackknife.standard_error(over_units) ** 2
        n = units
        if over_episodes is not None:
            error, n = error + jackknife.standard_error(over_episodes) ** 2, min(units, episodes)
        low, high = jackknife.interval(value, np.sqrt(error), n, level)
        known = np.isfinite(value)
        return Estimate(float(value), float(low) if known else np.nan, float(high) if known else np.nan)

    logs = np.log(lags)
    drawn = estimate(_slope(logs, absolute.sum(axis=0)), _slope(logs, absolute.sum(axis=0) - absolute))
    by_squares = estimate(_slope(logs, squares.sum(axis=0)) / 2, _slope(logs, squares.sum(axis=0) - squares) / 2)
    if episodes < 3:
        unknown = Estimate(np.nan, np.nan, np.nan)
        return Roughness(drawn, by_squares, unknown, unknown)
    fewer = [_increments(np.delete(values, e, axis=1), lags, stretches)[1:] for e in range(episodes)]
    fewer = np.array([[part.sum(axis=0) for part in one] for one in fewer])  # (episodes, 2, lags)
    whole, without = (squares - noise).sum(axis=0), (squares - noise).sum(axis=0) - (squares - noise)
    expected = estimate(_slope(logs, whole) / 2, _slope(logs, without) / 2, _slope(logs, fewer[:, 0] - fewer[:, 1]) / 2)
    first, own = squares[:, 0], noise[:, 0]
    share = own.sum() / first.sum()
    nugget = estimate(share, (own.sum() - own) / (first.sum() - first), fewer[:, 1, 0] / fewer[:, 0, 0])
    return Roughness(drawn, by_squares, expected, nugget)


def _increments(values: np.ndarray, lags: Sequence[int], stretches: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Means over each stretch of |D̄|, D̄² and S²/E, each (profiles · stretches, lags)."""
    out = []
    for lag in lags:
        steps = values[..., lag:] - values[..., :-lag]
        mean, episodes = steps.mean(axis=1), values.shape[1]
        noise = steps.var(axis=1, ddof=1) / episodes if episodes > 1 else np.zeros_like(mean)
        parts = np.array_split(np.stack([np.abs(mean), mean**2, noise]), stretches, axis=2)
        out.append(np.stack([part.mean(axis=2) for part in parts], axis=2).reshape(3, -1))
    absolute, squares, noise = np.stack(out, axis=2)
    return absolute, squares, noise


def _slope(logs: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Least-squares slope of log sizes (..., lags); NaN where a size is not positive."""
    centred = logs - logs.mean()
    with np.errstate(divide="ignore", invalid="ignore"):
        slope = np.log(sizes) @ centred / (centred @ centred)
    return np.where(np.all(sizes > 0, axis=-1), slope, np.nan)

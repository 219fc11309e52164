"""Spread of reward over the iterates of one run: raw iterates against their averages, with bootstrap intervals.

What is spread over what. m_i is the mean return of iterate i over E episodes; the spread is the standard deviation of
m_i over the iterates of a window (ddof 1). Every policy is run from the same E initial conditions, so the luck of
drawing them is common to all m_i and drops out. What the episodes leave in m_i is how differently iterates fare from
the *same* starts; it inflates raw and averaged spreads alike and would shrink with more episodes. The plain standard
deviation is the headline all the same: it needs no model of that part.

Two windows. *Consecutive* iterates show the swings of one run's training curve; their spread is that of a window, which
for an average of long memory is far below the spread across seeds (theory, A8). *Spaced* iterates lie further apart
than the averages remember and come close to independent draws. No interval from one run speaks of other seeds.

Intervals. Iterates and episodes are both resampled, independently (Owen 2007, "The pigeonhole bootstrap": conservative
where iterates and episodes interact), raw and average always by the same draws. Spaced iterates are drawn one by one;
consecutive ones in moving blocks (Künsch 1989), long enough for their serial dependence: see `block_length`.
Positive quantities (spreads, ratios) have a percentile interval on the log scale, its median moved onto the estimate.
The plain percentile interval would be off: repeated episodes raise every resampled spread and blocks lower it, shifts
that belong to the resampling and not to the estimate. BCa answers a shift by other levels, which is erratic once shift
and width are comparable, and its acceleration has no jackknife for two crossed ways of which one is dependent. Means
and fractions, which resampling does not shift, have the percentile interval as it is. All intervals are widened about
their median by √(m/(m−1)) t_{m−1}/z for the m = n/ℓ blocks there are (expanded percentile interval, Hesterberg 2015).

How well they cover, simulated at 95 % for the ratio: 94 to 99 % of independent iterates; 92 to 97 % of consecutive ones
while the average remembers less than a tenth of the window (200 iterates); 82 % where it remembers half of it. Such an
average has moved hardly twice within the window, and only the spaced iterates can tell.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence

import numpy as np
import xarray as xr
from scipy.special import ndtri, stdtrit

WINDOWS = ("consecutive", "spaced")
RAW = "raw"
_DIMENSIONS = {
    "return": ("iterate", "average", "episode"),
    "fallen": ("iterate", "average", "episode"),
    "loss": ("iterate", "average"),
}
_CHUNK = 4_000_000  # numbers held at a time while resampling


@dataclasses.dataclass(frozen=True)
class Estimate:
    """A number and its interval; the bounds are NaN where the number is 0, infinite or undefined."""

    value: float
    low: float
    high: float


@dataclasses.dataclass(frozen=True)
class AverageStatistics:
    """One average (or the raw iterates) within one window.

    Attributes:
        average: its name; "raw" for the iterates themselves.
        mean_return: mean over iterates and episodes.
        spread: std over iterates of the mean return over episodes, in units of return.
        ratio: spread of raw / spread of this; infinite where no spread was seen, NaN where raw shows none either.
        difference: mean return minus that of raw.
        fallen: fraction of episodes that ended in a fall.
        mean_loss: mean held-out loss over the iterates.
        relative_loss_spread: std over iterates of the loss / |its mean|.
        relative_return_spread: spread / |mean_return|.
        amplification: relative_return_spread / relative_loss_spread.
        block_length: iterates per resampled block; 1 if they are drawn one by one.
    """

    average: str
    mean_return: Estimate
    spread: Estimate
    ratio: Estimate
    difference: Estimate
    fallen: Estimate
    mean_loss: float
    relative_loss_spread: float
    relative_return_spread: float
    amplification: Estimate
    block_length: int


@dataclasses.dataclass(frozen=True)
class WindowStatistics:
    """All averages over one set of iterates; the first row is raw.

    Attributes:
        window: "consecutive" or "spaced".
        iterates: update counts of the first and the last iterate.
        count: number of iterates.
        rows: one per average, in the dataset's order.
    """

    window: str
    iterates: tuple[int, int]
    count: int
    rows: tuple[AverageStatistics, ...]

    def __getitem__(self, average: str) -> AverageStatistics:
        """The row of an average, by name; KeyError if there is none."""
        for row in self.rows:
            if row.average == average:
                return row
        raise KeyError(f"no average {average!r}, there are {[row.average for row in self.rows]}")


@dataclasses.dataclass(frozen=True)
class RewardSpread:
    """Result of `reward_spread`.

    Attributes:
        windows: one per window asked for.
        episodes: E, initial conditions shared by every policy.
        level, resamples, seed: of the intervals.
    """

    windows: tuple[WindowStatistics, ...]
    episodes: int
    level: float
    resamples: int
    seed: int

    def __getitem__(self, window: str) -> WindowStatistics:
        """The statistics of a window, by name; KeyError if there is none."""
        for one in self.windows:
            if one.window == window:
                return one
        raise KeyError(f"no window {window!r}, there are {[one.window for one in self.windows]}")


def mean_estimate(values: np.ndarray, level: float = 0.95) -> Estimate:
    """Mean of (n,) independent values, n ≥ 2, with its t-interval; NaN bounds where the mean is not finite.

    Raises:
        ValueError: naming the shape or the level.
    """
    if not 0.0 < level < 1.0:
        raise ValueError(f"level must be in (0, 1), got {level!r}")
    if values.ndim != 1 or len(values) < 2:
        raise ValueError(f"values must have shape (n ≥ 2,), got {values.shape}")
    middle, count = float(values.mean()), len(values)
    if not math.isfinite(middle):
        return Estimate(middle, math.nan, math.nan)
    half = float(stdtrit(count - 1, 0.5 * (1.0 + level)) * values.std(ddof=1) / math.sqrt(count))
    return Estimate(middle, middle - half, middle + half)


def reward_spread(
    dataset: xr.Dataset,
    *,
    windows: Sequence[str] = WINDOWS,
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> RewardSpread:
    """Spread of reward over iterates, raw against averages, with intervals by resampling iterates and episodes.

    Args:
        dataset: of one run: `return`, `fallen` (iterate, average, episode), `loss` (iterate, average), and one 0/1
            variable (iterate) per window; the average "raw" comes first.
        windows: names of the 0/1 variables that select the iterates, each at least 2.
        level: of the intervals, in (0, 1).
        resamples: bootstrap replicates, ≥ 100.
        seed: of the resampling, ≥ 0.

    Raises:
        ValueError: naming what is missing from the dataset, or the argument out of range.
    """
    if not 0.0 < level < 1.0:
        raise ValueError(f"level must be in (0, 1), got {level!r}")
    if resamples < 100:
        raise ValueError(f"resamples must be at least 100, got {resamples!r}")
    _validate(dataset, windows)
    results = []
    for w, window in enumerate(windows):
        chosen = dataset.isel(iterate=np.flatnonzero(dataset[window].values))
        results.append(_window(chosen, window, window == "consecutive", level, resamples, (seed, w)))
    return RewardSpread(tuple(results), dataset.sizes["episode"], level, resamples, seed)


def block_length(series: np.ndarray) -> int:
    """Length of moving blocks suited to the serial dependence of (n,) values, n ≥ 2, from 1 to max(⌊n/4⌋, 1).

    ℓ = (3 G² n / 2 g²)^{1/3} with g = Σ_k λ(k/M) R(k) and G = Σ_k λ(k/M) |k| R(k) over the autocovariances R, λ the
    flat-top window and M twice the lag after which autocorrelations stay within ±2√(log10(n)/n): Politis & White
    (2004), as corrected by Patton, Politis & White (2009). For an AR(1) of coefficient φ, ℓ → (6φ²n/(1−φ²)²)^{1/3}.
    """
    n = len(series)
    most = max(n // 4, 1)
    x = np.asarray(series, dtype=np.float64) - np.mean(series)
    run = max(5, math.ceil(math.sqrt(math.log10(n))))
    lags = min(math.ceil(math.sqrt(n)) + run, n - 1)
    covariance = np.array([x[: n - k] @ x[k:] / n for k in range(lags + 1)])
    if covariance[0] <= 1e-24 * max(float(np.mean(np.square(series))), 1e-300):
        return 1
    small = np.abs(covariance[1:] / covariance[0]) < 2.0 * math.sqrt(math.log10(n) / n)
    quiet = [m for m in range(lags - run + 1) if small[m : m + run].all()]
    if not quiet:
        return most
    width = min(2 * max(quiet[0], 1), lags)
    k = np.arange(1, width + 1)
    weighted = np.clip(2.0 * (1.0 - k / width), 0.0, 1.0) * covariance[1 : width + 1]
    g, slope = covariance[0] + 2.0 * weighted.sum(), 2.0 * float(k @ weighted)
    if g <= 0:
        return most
    return min(max(math.ceil((1.5 * (slope / g) ** 2 * n) ** (1 / 3)), 1), most)


def require_run(dataset: xr.Dataset, variables: Mapping[str, tuple[str, ...]]) -> None:
    """Require variables with their dimensions, in any order, labelled iterates, and averages of which raw is the first.

    Raises:
        ValueError: naming what the dataset lacks or has otherwise.
    """
    for name, dims in variables.items():
        if name not in dataset:
            raise ValueError(f"the dataset lacks the variable {name!r}, it has {sorted(map(str, dataset.data_vars))}")
        if set(dataset[name].dims) != set(dims):
            raise ValueError(f"{name!r} must have dimensions {dims}, got {dataset[name].dims}")
    for name in ("iterate", "average"):
        if name not in dataset.coords:
            raise ValueError(f"the dataset lacks the coordinate {name!r}")
    names = [str(name) for name in dataset["average"].values]
    if not names or names[0] != RAW:
        raise ValueError(f"the first average must be {RAW!r}, got {names}")


def _validate(dataset: xr.Dataset, windows: Sequence[str]) -> None:
    """ValueError unless the dataset has what `reward_spread` reads."""
    if not windows:
        raise ValueError("windows must name at least one variable, got none")
    require_run(dataset, {**_DIMENSIONS, **dict.fromkeys(windows, ("iterate",))})
    if dataset.sizes["episode"] == 0:
        raise ValueError("the dataset has no episodes")
    for window in windows:
        chosen = np.flatnonzero(dataset[window].values)
        if len(chosen) < 2:
            raise ValueError(f"window {window!r} must hold at least 2 iterates, got {len(chosen)}")
        for name in _DIMENSIONS:
            values = dataset[name].isel(iterate=chosen).values
            if not np.all(np.isfinite(values)):
                raise ValueError(f"{name!r} has {np.sum(~np.isfinite(values))} missing values in window {window!r}")


def _window(
    chosen: xr.Dataset, window: str, blocks: bool, level: float, resamples: int, seed: tuple[int, int]
) -> WindowStatistics:
    returns, fallen = (chosen[name].transpose(*_DIMENSIONS[name]).values.astype(np.float64) for name in _EPISODIC)
    loss = chosen["loss"].transpose("iterate", "average").values.astype(np.float64)
    # Episode weights are shared by all averages, as are the initial conditions.
    episodes = returns.shape[2]
    rng = np.random.default_rng([*seed, 0])
    weights = rng.multinomial(episodes, np.full(episodes, 1.0 / episodes), size=resamples) / episodes
    rows = []
    for j, name in enumerate(chosen["average"].values):
        pair = [0, j]
        rng = np.random.default_rng([*seed, 1, j])
        data = _Pair(returns[:, pair], fallen[:, j], loss[:, j])
        length = max(map(block_length, data.mean_returns.T)) if blocks else 1
        if blocks:  # a floor of n^{1/3}: the dependence is itself estimated
            length = min(max(length, math.ceil(len(loss) ** (1 / 3))), max(len(loss) // 4, 1))
        index = _block_indices(rng, len(loss), length, resamples)
        rows.append(_row(str(name), data, weights, index, level, length))
    steps = chosen["iterate"].values
    return WindowStatistics(window, (int(steps.min()), int(steps.max())), len(steps), tuple(rows))


_EPISODIC = ("return", "fallen")


@dataclasses.dataclass(frozen=True)
class _Pair:
    """Raw and one average: returns (n, 2, E); of the average alone, fallen (n, E) and loss (n,)."""

    returns: np.ndarray
    fallen: np.ndarray
    loss: np.ndarray

    @property
    def mean_returns(self) -> np.ndarray:
        """(n, 2)"""
        return self.returns.mean(axis=2)


def _block_indices(rng: np.random.Generator, n: int, length: int, resamples: int) -> np.ndarray:
    """(resamples, n) indices: blocks of `length` consecutive ones, the last block cut."""
    starts = rng.integers(0, n - length + 1, size=(resamples, math.ceil(n / length), 1))
    return (starts + np.arange(length)).reshape(resamples, -1)[:, :n]


def _row(
    name: str, data: _Pair, weights: np.ndarray, index: np.ndarray, level: float, length: int
) -> AverageStatistics:
    equal = np.full((1, weights.shape[1]), 1.0 / weights.shape[1])
    now = {k: float(v[0]) for k, v in _quantities(data, equal, np.arange(len(data.loss))[None]).items()}
    size = max(_CHUNK // data.returns.size + 1, 1)
    parts = [_quantities(data, weights[i : i + size], index[i : i + size]) for i in range(0, len(index), size)]
    again = {k: np.concatenate([part[k] for part in parts]) for k in now}

    widen = _widening(len(data.loss) / length, level)

    def positive(key: str) -> Estimate:
        return _centred(now[key], again[key], level, widen)

    def plain(key: str, low: float = -math.inf, high: float = math.inf) -> Estimate:
        bounds = _quantiles(again[key], level, widen)
        return Estimate(now[key], max(bounds[0], low), min(bounds[1], high))

    return AverageStatistics(
        average=name,
        mean_return=plain("mean"),
        spread=positive("spread"),
        ratio=positive("ratio"),
        difference=plain("difference"),
        fallen=plain("fallen", 0.0, 1.0),
        mean_loss=float(data.loss.mean()),
        relative_loss_spread=now["loss"],
        relative_return_spread=now["return"],
        amplification=positive("amplification"),
        block_length=length,
    )


def _quantities(data: _Pair, weights: np.ndarray, index: np.ndarray) -> dict[str, np.ndarray]:
    """Every statistic of B resamples, each (B,), from episode weights (B, E) and iterate indices (B, n)."""
    raw, own = (np.take_along_axis(weights @ data.returns[:, i].T, index, axis=1) for i in (0, 1))
    loss = data.loss[index]
    spread, mean = _std(own), own.mean(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        relative = {"return": spread / np.abs(mean), "loss": _std(loss) / np.abs(loss.mean(axis=1))}
        return {
            "mean": mean,
            "spread": spread,
            "ratio": _std(raw) / spread,
            "difference": mean - raw.mean(axis=1),
            "fallen": np.take_along_axis(weights @ data.fallen.T, index, axis=1).mean(axis=1),
            "amplification": relative["return"] / relative["loss"],
            **relative,
        }


def _std(values: np.ndarray) -> np.ndarray:
    """Standard deviation (ddof 1) along axis 1; exactly zero where it is no more than rounding of the mean."""
    std = values.std(axis=1, ddof=1)
    return np.where(std <= 1e-13 * np.abs(values).max(axis=1), 0.0, std)


def _centred(value: float, replicates: np.ndarray, level: float, widen: float) -> Estimate:
    """Percentile interval of a positive quantity on the log scale, its median moved onto the estimate."""
    if not (np.isfinite(value) and value > 0):
        return Estimate(value, math.nan, math.nan)
    with np.errstate(divide="ignore"):
        logs = np.log(replicates[~np.isnan(replicates)])
    middle = _middle(logs)
    if not np.isfinite(middle):
        return Estimate(value, math.nan, math.nan)
    low, high = (bound - middle for bound in _quantiles(logs, level, widen))
    with np.errstate(over="ignore"):
        return Estimate(value, float(value * np.exp(low)), float(value * np.exp(high)))


def _middle(values: np.ndarray) -> float:
    """Upper median; NaN if there are no values."""
    return float(np.sort(values)[len(values) // 2]) if len(values) else math.nan


def _quantiles(values: np.ndarray, level: float, widen: float) -> tuple[float, float]:
    """Order statistics at (1 ∓ level)/2, their distances from the median times `widen`; ±∞ stay what they are."""
    ordered, middle = np.sort(values), _middle(values)
    tail, last = (1.0 - level) / 2.0, len(values) - 1
    low, high = ordered[math.floor(tail * last)], ordered[math.ceil((1.0 - tail) * last)]
    return float(middle + widen * (low - middle)), float(middle + widen * (high - middle))


def _widening(blocks: float, level: float) -> float:
    """√(m/(m−1)) t_{m−1}/z at the given level, for m > 1 blocks."""
    probability = 0.5 * (1.0 + level)
    return float(math.sqrt(blocks / (blocks - 1.0)) * stdtrit(blocks - 1.0, probability) / ndtri(probability))

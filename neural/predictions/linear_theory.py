"""From one-step quantities of a cloned network to what every average of its iterates should do, by the linear theory.

`noise_spectrum` gives the curvature that the gradient's noise sees and, at the same point, the drift. The network is
then taken as the noisy quadratic of that spectrum from its first update on, and `gvatheory`'s exact laws do the rest:
the excess loss that the noise keeps up, with and without an average, its spread in a window and across seeds. What an
average loses by lagging behind the drift is a local estimate, linear in time. Both are of ℓ_BC on the training pairs.

Negative curvature has no stationary law and is taken as zero: there the iterates diffuse, at no cost in loss.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from gvatheory import closed_forms, validation
from gvatheory.averaging import Average, LastIterate, RecursiveAverage
from gvatheory.composed_schedules import Scaled
from gvatheory.methods import SGD, HeavyBall, Method, Steps
from gvatheory.noise_gains import NoiseGains, noise_gains
from gvatheory.schedules import Schedule
from neural.control.curvature import NoiseSpectrum

RAW = "raw"


class UnstableSpectrum(ValueError):
    """The step is not stable on the measured spectrum, so that the linear theory has no say."""


class Factors(NamedTuple):
    """What an average leaves of a variance of the last iterate.

    Attributes:
        parameters: of the iterates' variance summed over all directions, in the optimiser's coordinates.
        loss: of the same weighted by curvature, the excess loss.
    """

    parameters: float
    loss: float


@dataclasses.dataclass(frozen=True)
class LookAhead(Method):
    """Nesterov's method as optimisers have it, whose iterate is the point y_t at which the gradient is taken.

    y_{t+1} = (1+μ) x_{t+1} − μ x_t, x_{t+1} = y_t − η_t g(y_t): of `gvatheory.Nesterov`, whose iterate is x, the other
    of its two sequences. Stable on the same steps.

    Attributes:
        momentum: μ, in [0, 1).
    """

    momentum: float

    def steps(self, step_sizes: np.ndarray) -> Steps:
        ahead = 1.0 + self.momentum
        return Steps((1, 0), ((ahead, -self.momentum), (1, 0)), (-ahead * step_sizes, -step_sizes))


def predicted_loss(spectrum: NoiseSpectrum, schedule: Schedule, average: Average, steps: int) -> float:
    """Excess ℓ_BC of an average that the noise keeps up after `steps` updates: the mean of `losses_by_vector`."""
    return float(losses_by_vector(spectrum, schedule, average, steps).mean())


def predicted_losses(
    spectrum: NoiseSpectrum, schedule: Schedule, averages: Sequence[Average], steps: int
) -> np.ndarray:
    """(averages,) `predicted_loss` of each, in one pass."""
    noise = _variances(spectrum, schedule, averages, steps)
    return 0.5 * np.sum(_curvature(spectrum) * noise, axis=2).mean(axis=1)


def losses_by_vector(spectrum: NoiseSpectrum, schedule: Schedule, average: Average, steps: int) -> np.ndarray:
    """½ Σ λ_i V_i, (vectors,): one unbiased estimate per starting vector, so that an interval can be had from them.

    V_i is the exact variance of the average after `steps` updates from a fixed start; in the loss's own unit, since H
    is the Hessian of ℓ_BC itself.

    Args:
        spectrum: of the run.
        schedule: its step sizes, as the learner has them.
        average: `LastIterate()` for the iterate.
        steps: T ≥ 0.

    Raises:
        ValueError: if `steps` is negative or the largest step is not stable on the largest node.
    """
    return 0.5 * np.sum(_curvature(spectrum) * _variances(spectrum, schedule, [average], steps)[0], axis=1)


def mean_age(average: Average, steps: int) -> float:
    """Updates by which an average trails the iterates on the whole, Σ_t w_{T,t} (T − t), T = steps."""
    return float(average.kernel(steps) @ np.arange(steps, -1, -1))


def predicted_lag_loss(
    spectrum: NoiseSpectrum, step_size: float, average: Average, steps: int, *, seen_from: Average | None = None
) -> float:
    """ℓ_BC that an average loses by trailing iterates which drift; infinite where the estimate has no say.

    A local estimate from one point, linear in time: an average of mean age A lies where a drift by v = −ηDg an update
    was A updates ago, s = ηA (with momentum η/(1−μ)), which costs s gᵀDg + ½ s² gᵀDHDg. At the iterate it is trusted
    while the gradient does not turn within that stretch, s |gᵀDHDg| ≤ gᵀDg. At a noisy iterate that is soon: most of g
    there is the noise's own doing, E gᵀDg = Σ λ_i² V_i, and does not persist.

    Little of it is left at an average, so take the spectrum there and say so by `seen_from`. That average lags itself,
    by its age B: behind a drift of v_i its gradient is λ_i (1/ηλ_i + B) v_i (theory section 3, the drifting optimum),
    so the gradient that drives the drift is g_i/(1 + ηλ_i B), direction by direction. What noise is left counts as
    drift, and drift as unending: the estimate errs high, the more so the longer the average.

    Args:
        spectrum: at the iterate, or at `seen_from`.
        step_size: η of the schedule there, ≥ 0.
        average: `LastIterate()` has no lag.
        steps: T ≥ 0.
        seen_from: the average at which the spectrum was taken; None for the iterate.
    """
    validation.real("step_size", step_size, 0.0, math.inf)
    step = step_size * spectrum.step_factor / (1.0 - spectrum.momentum)
    stretch = step * mean_age(average, steps)
    if seen_from is None:
        if stretch * abs(spectrum.gradient_curvature) > spectrum.gradient_square:
            return math.inf
        return stretch * spectrum.gradient_square + 0.5 * stretch**2 * spectrum.gradient_curvature
    curvature = np.maximum(spectrum.gradient_nodes, 0.0)
    driving = spectrum.gradient_weights / (1.0 + step * mean_age(seen_from, steps) * curvature) ** 2
    return float(driving @ (stretch + 0.5 * stretch**2 * curvature))


def seed_factor(spectrum: NoiseSpectrum, schedule: Schedule, average: Average, steps: int) -> Factors:
    """What an average leaves of the variance across seeds after `steps` updates; exact for the spectrum.

    NaN where the iterate has no such variance. See `losses_by_vector` for arguments and errors.
    """
    return seed_factors(spectrum, schedule, [average], steps)[0]


def seed_factors(
    spectrum: NoiseSpectrum, schedule: Schedule, averages: Sequence[Average], steps: int
) -> tuple[Factors, ...]:
    """`seed_factor` of several averages, in one pass."""
    *own, raw = _variances(spectrum, schedule, [*averages, LastIterate()], steps)
    return tuple(_factors(spectrum, one, raw) for one in own)


def window_factor(
    spectrum: NoiseSpectrum, schedule: Schedule, average: RecursiveAverage, steps: int, count: int, spacing: int
) -> Factors:
    """What an average leaves of the variance within a window at the end of one run; exact for the spectrum.

    The window's variance is the expected sample variance (divisor n−1) of n = `count` iterates `spacing` updates apart,
    the last of them T = steps: (Σ_i Var θ̃_i − n Var θ̄)/(n−1), in which the mean θ̄ of the averages is itself an average
    of the iterates. NaN where the iterate does not vary.

    Args:
        spectrum, schedule, steps: as in `losses_by_vector`.
        average: with the rates of a run of T updates at every point of the window.
        count: ≥ 2.
        spacing: ≥ 1, with (count − 1) · spacing ≤ steps.

    Raises:
        ValueError: if an argument is out of range; `UnstableSpectrum`, one of them, if the largest step is not stable.
    """
    return window_factors(spectrum, schedule, [average], steps, count, spacing)[0]


def window_factors(
    spectrum: NoiseSpectrum,
    schedule: Schedule,
    averages: Sequence[RecursiveAverage],
    steps: int,
    count: int,
    spacing: int,
) -> tuple[Factors, ...]:
    """`window_factor` of several averages, in one pass."""
    validation.integer("count", count, 2)
    validation.integer("spacing", spacing, 1)
    validation.integer("steps", steps, (count - 1) * spacing)
    *own, raw = _windows(spectrum, schedule, [*averages, LastIterate()], steps, count, spacing)
    return tuple(_factors(spectrum, one, raw) for one in own)


def raw_window_share(spectrum: NoiseSpectrum, schedule: Schedule, steps: int, count: int) -> float:
    """Share of the iterates' variance across seeds that a window of `count` consecutive ones shows, by curvature.

    For a window of two it is 1 − r, r their correlation. Arguments and errors as in `window_factor`.
    """
    validation.integer("count", count, 2, steps + 1)
    shown = _windows(spectrum, schedule, [LastIterate()], steps, count, 1)[0]
    return _factors(spectrum, shown, _variances(spectrum, schedule, [LastIterate()], steps)[0]).loss


def choose_average(
    spectrum: NoiseSpectrum,
    schedule: Schedule,
    bank: Mapping[str, RecursiveAverage],
    steps: int,
    *,
    seen_from: Average | None = None,
) -> tuple[str, dict[str, float]]:
    """The average with the least predicted loss, noise and lag together, and that of each, the iterate's under "raw".

    See `losses_by_vector` and `predicted_lag_loss`.

    Raises:
        ValueError: as `losses_by_vector`, or if the bank uses the name "raw" or `steps` is 0.
    """
    validation.integer("steps", steps, 1)
    if RAW in bank:
        raise ValueError(f'bank must not use the name "{RAW}": it is the iterate itself')
    now = float(schedule.step_sizes(steps)[-1])
    averages = {RAW: LastIterate(), **bank}
    losses = predicted_losses(spectrum, schedule, list(averages.values()), steps)
    predicted = {
        name: float(loss) + predicted_lag_loss(spectrum, now, one, steps, seen_from=seen_from)
        for loss, (name, one) in zip(losses, averages.items(), strict=True)
    }
    return min(predicted, key=predicted.__getitem__), predicted


def _curvature(spectrum: NoiseSpectrum) -> np.ndarray:
    return np.maximum(spectrum.nodes, 0.0)


def _method(spectrum: NoiseSpectrum) -> Method:
    if spectrum.momentum == 0.0:
        return SGD()
    return LookAhead(spectrum.momentum) if spectrum.nesterov else HeavyBall(spectrum.momentum)


def is_stable(spectrum: NoiseSpectrum, schedule: Schedule, steps: int) -> bool:
    """Whether the linear theory has a say: every step is stable on the largest node.

    With Adam it may have none where a coordinate of v̂ is next to 0, a unit that was dead at the iterate, say, and the
    loss is curved along it at the point where the spectrum was taken.
    """
    largest, limit = _stability(spectrum, schedule, steps)
    return largest < limit


def _stability(spectrum: NoiseSpectrum, schedule: Schedule, steps: int) -> tuple[float, float]:
    """Largest step times largest node, and what it must be below."""
    step_sizes = Scaled(schedule, spectrum.step_factor).step_sizes(steps)
    largest = float(np.max(step_sizes, initial=0.0)) * float(_curvature(spectrum).max())
    return largest, float(closed_forms.stable_product(spectrum.momentum, spectrum.nesterov))


def _gains(spectrum: NoiseSpectrum, schedule: Schedule, kernels: np.ndarray) -> NoiseGains:
    """Of averages by their kernels (groups, averages, T + 1) along every node, times its weight."""
    curvature, steps = _curvature(spectrum), kernels.shape[2] - 1
    step_sizes = Scaled(schedule, spectrum.step_factor).step_sizes(steps)
    largest, limit = _stability(spectrum, schedule, steps)
    if largest >= limit:
        raise UnstableSpectrum(
            f"schedule must be stable on the spectrum: its largest step times the largest node must be below {limit:g},"
            f" got {largest:g}"
        )
    found = noise_gains(curvature.ravel(), np.asarray(step_sizes), kernels, _method(spectrum))
    return NoiseGains(*(part * spectrum.weights.ravel() for part in found))


def _variances(spectrum: NoiseSpectrum, schedule: Schedule, averages: Sequence[Average], steps: int) -> np.ndarray:
    """Variance of averages along every node with that node's weight as the noise's variance, (averages, vectors, m)."""
    if steps == 0:
        return np.zeros((len(averages), *spectrum.nodes.shape))
    kernels = np.array([average.kernel(steps) for average in averages])
    return _gains(spectrum, schedule, kernels[None]).variance.reshape(-1, *spectrum.nodes.shape)


def _windows(
    spectrum: NoiseSpectrum,
    schedule: Schedule,
    averages: Sequence[RecursiveAverage],
    steps: int,
    count: int,
    spacing: int,
) -> np.ndarray:
    """Expected sample variance of each average along a window, at every node, (averages, vectors, m)."""
    kernels = np.zeros((len(averages), count, steps + 1))
    for group, average in zip(kernels, averages, strict=True):
        rates = average.rates(steps)
        for i, row in enumerate(group):
            t = steps - (count - 1 - i) * spacing
            row[: t + 1] = _Rates(rates[:t]).kernel(t)
    return _gains(spectrum, schedule, kernels).scatter.reshape(-1, *spectrum.nodes.shape)


@dataclasses.dataclass(frozen=True, eq=False)
class _Rates(RecursiveAverage):
    """An average of given rates, so that one that looks ahead keeps those of the whole run."""

    values: np.ndarray

    def rate(self, t: Any, steps: int | None = None) -> Any:
        return self.values[np.asarray(t, dtype=int) - 1]


def _factors(spectrum: NoiseSpectrum, own: np.ndarray, raw: np.ndarray) -> Factors:
    curvature = _curvature(spectrum)
    with np.errstate(invalid="ignore", divide="ignore"):
        return Factors(float(np.sum(own) / np.sum(raw)), float(np.sum(curvature * own) / np.sum(curvature * raw)))

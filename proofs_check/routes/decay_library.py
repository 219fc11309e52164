"""gvatheory's laws of cool-downs and averages against the recursions of :mod:`proofs_check.routes.decay_laws`."""

from __future__ import annotations

from collections.abc import Iterator

import mpmath
import numpy as np

import gvatheory as gva
from proofs_check.interface import Trial
from proofs_check.judging import DIGITS, equal
from proofs_check.routes import decay_laws as laws


def whole_runs(k: float, steps: int, length: int, warmup: int, drift: float, start: float) -> Iterator[Trial]:
    """A warm-up-stable-decay run and its tail average under a drift: exact_law against the response of the last steps.

    With k <= 1 all terms of the variance are non-negative, so that T steps lose at most a few T roundings of 2^-53; the
    terms of the mean have both signs.
    """
    where = f"k={k}, T={steps}, N={length}, warm-up {warmup}, v={drift}, e_0={start}"
    constant = gva.WarmupStableDecay(k, steps, warmup)
    problem = gva.Drifting(gva.NoisyQuadratic(1.0, 1.0), drift)
    before = gva.exact_law(problem, constant, gva.LastIterate(), steps - length, start)
    runs = (
        (gva.WarmupStableDecay(k, steps, warmup, length), gva.LastIterate(), laws.cooled(k, length)),
        (constant, gva.Tail(length / steps), laws.response([k] * length, laws.uniform(length, length, 1.0))),
    )
    for schedule, average, own in runs:
        law = gva.exact_law(problem, schedule, average, steps, start)
        mean, variance = own.bias * before.mean[0] - own.lag * drift, own.error(before.covariance[0, 0])
        yield equal(float(law.mean[0]), float(mean), f"mean of {average}, {where}", 1e-10)
        yield equal(float(law.covariance[0, 0]), float(variance), f"variance of {average}, {where}", 1e-12)


def closed_forms(k: float, length: int, power: float) -> Iterator[Trial]:
    """The closed forms of the EMA and of cool-downs in the diffusion limit, at curvature and noise 1."""
    where = f"k={k}, N={length}, p={power}"
    gamma = 2.0 / (length + 1)
    ema = float(gva.closed_forms.ema_variance(k, 1.0, 1.0, gamma))
    yield equal(ema, laws.ema_variance(k, gamma), f"stationary EMA, {where}", 1e-12)
    with mpmath.workdps(DIGITS):
        share = float(k * laws.cooldown_share(mpmath.mpf(k) * length, power) / 2)
    found = float(gva.closed_forms.cooldown_variance(k, 1.0, 1.0, length, power))
    yield equal(found, share, f"cool-down in the diffusion limit, {where}", 1e-12)


def decayed_errors(scale: float, offset: float, steps: int) -> Iterator[tuple[float, float, float, float]]:
    """exact_law of the steps scale/(offset + i) for curvatures 2 and 1/2, noise 4 and e_0 = 1.

    Yields:
        λc, the product of all 1 - η_sλ, E e_0² and E e_T², both in units of σ²/λ².
    """
    curvatures, noise = np.array([2.0, 0.5]), 4.0
    problem = gva.NoisyQuadratic(curvatures, noise)
    law = gva.exact_law(problem, gva.InverseTime(scale, offset), gva.LastIterate(), steps, 1.0)
    for i, curvature in enumerate(curvatures):
        kept = float(np.prod([1 - k for k in laws.inverse_time(curvature * scale, offset, steps)]))
        square, unit = law.covariance[i, i] + law.mean[i] ** 2, noise / curvature**2
        yield float(curvature * scale), kept, 1 / float(unit), float(square / unit)


def polyak_error(k: float, steps: int) -> float:
    """exact_law of the Polyak average at a constant step, curvature, noise and e_0 one: E error²."""
    law = gva.exact_law(gva.NoisyQuadratic(1.0, 1.0), gva.Constant(k), gva.Polyak(), steps, 1.0)
    return float(law.covariance[0, 0] + law.mean[0] ** 2)

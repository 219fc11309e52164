"""Which average should I use? The best of each family by the exact law, beside the rule of thumb of the series law."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.optimize import minimize_scalar

from gvatheory import validation
from gvatheory.averaging import EMA, Average, BiasCorrectedEMA, LastIterate, PowerEMA, Tail
from gvatheory.learning import exact_law, expected_loss
from gvatheory.methods import SGD, HeavyBall, Method, Nesterov
from gvatheory.problems import Problem, vector
from gvatheory.schedules import Schedule
from gvatheory.validation import Numbers

_GRID = 17
"""Points of the coarse grid of a family's parameter, before the search between the best one's neighbours."""


@dataclasses.dataclass(frozen=True)
class Candidate:
    """One family of averages at its best parameter.

    Attributes:
        average: the member of the family with the least loss.
        loss: exact expected excess loss of θ̃_T.
        improvement: loss of the last iterate over this loss.
    """

    average: Average
    loss: float
    improvement: float


@dataclasses.dataclass(frozen=True)
class Recommendation:
    """What to average with, and what it buys.

    Attributes:
        average: the recommended average; `LastIterate()` if none of them lowers the loss by `worthwhile`.
        loss: exact expected excess loss ½ E ẽᵀΛẽ with it, after T steps.
        improvement: loss of the last iterate over `loss`.
        candidates: the best of every family, the least loss first.
        series_gamma: the rate the series law would choose for a constant EMA; 1 is no averaging.
        series_loss: exact loss with that rate.
        series_prediction: loss that the series law predicts there; NaN, with a rate of 1, where it has no say: the
            last step is 0, as in `Constant(0.0)`, or has η λ_max/(1−μ) ≥ 2, or `series_loss` does not know the method.
    """

    average: Average
    loss: float
    improvement: float
    candidates: tuple[Candidate, ...]
    series_gamma: float
    series_loss: float
    series_prediction: float


def _families(steps: int) -> dict[str, tuple[Callable[[float], Average], np.ndarray]]:
    """Families of averages by name: parameter → average, and the grid of its (transformed) parameter."""
    rates = np.linspace(np.log(0.5 / steps), 0.0, _GRID)
    return {
        "EMA": (lambda x: EMA(float(np.exp(x))), rates),
        "bias-corrected EMA": (lambda x: BiasCorrectedEMA(float(np.exp(x))), rates),
        "power EMA": (lambda x: PowerEMA(float(x)), np.linspace(0.0, 1.5, _GRID)),
        # At a fixed T this is Polyak's average with any burn-in, too.
        "tail": (lambda x: Tail(float(np.exp(x))), np.linspace(np.log(1.0 / steps), 0.0, _GRID)),
    }


def _least(loss: Callable[[float], float], grid: np.ndarray) -> float:
    """Argument of the least value: the best point of the grid, then a bounded search between its neighbours."""
    values = np.array([loss(float(x)) for x in grid])
    best = int(np.argmin(values))
    low, high = grid[max(best - 1, 0)], grid[min(best + 1, len(grid) - 1)]
    found: Any = minimize_scalar(loss, bounds=(low, high), method="bounded", options={"xatol": 1e-3 * (high - low)})
    return float(found.x) if found.fun < values[best] else float(grid[best])


def _momentum(method: Method | None) -> float | None:
    """μ of a method whose small steps act as η/(1−μ); None for other methods."""
    match method:
        case None | SGD():
            return 0.0
        case HeavyBall(momentum=momentum) | Nesterov(momentum=momentum):
            return float(momentum)
        case _:
            return None


def _divided_difference(a: np.ndarray, rho: float, steps: int) -> np.ndarray:
    """(a^T − ρ^T)/(a − ρ) for |a| < 1, 0 ≤ ρ < 1 and T ≥ 1, without cancellation where the two are close or equal."""
    larger = np.maximum(np.abs(a), rho)
    near = np.abs(a - rho) < 0.5 * larger  # then both are positive
    gap = np.where(near, np.abs(a - rho) / np.where(near, larger, 1.0), 0.5)
    shares = np.where(gap > 0, -np.expm1(steps * np.log1p(-gap)) / np.where(gap > 0, gap, 1.0), steps)
    apart = np.where(near | (a == rho), 1.0, a - rho)
    return np.where(near | (a == rho), larger ** (steps - 1) * shares, (a**steps - rho**steps) / apart)


def series_loss(
    problem: Problem,
    step_size: float,
    gamma: float,
    steps: int,
    initial_error: Numbers,
    method: Method | None = None,
) -> float:
    """Excess loss ½ Σ λ_i (variance + bias²) of a constant EMA by the series law: a rule of thumb for small steps.

    With k = ηλ and τ = 1/k + 1/γ (time constants in series) the variance is σ²/(2λ²τ) and the lag behind a drift v is
    vτ (theory section 3); what is left of e_0 is e_0 [ρ^T + γ a (a^T − ρ^T)/(a − ρ)], exact for SGD. The two are
    added in size: a rule must not count on their cancelling. Momentum μ makes it k = ηλ/(1−μ), good while k and γ are
    small against 1 − μ: the first order of heavy ball's closed forms. Flat directions do not count, and multiplicative
    noise is neglected. Checked against `exact_law`.

    Args:
        problem: drifting or not.
        step_size, gamma: η > 0 and 0 < γ ≤ 1.
        steps: T ≥ 1.
        initial_error: e_0, (d,) or a number.
        method: `SGD` (if not given), `HeavyBall` or `Nesterov`.

    Raises:
        ValueError: on a value out of range or a shape mismatch, another method, or η λ_max/(1−μ) ≥ 2: unstable for
            SGD, and beyond the rule for momentum.
    """
    validation.positive("step_size", step_size)
    validation.real("gamma", gamma, 0.0, 1.0, open_low=True)
    validation.integer("steps", steps, 1)
    momentum = _momentum(method)
    if momentum is None:
        raise ValueError(f"method must be SGD, HeavyBall or Nesterov for the series law, got {method!r}")
    e0 = vector("initial_error", initial_error, problem.dimension)
    modes = problem.modes()
    seen = modes.curvature > 0
    lam = modes.curvature[seen]
    if len(lam):
        validation.real("step_size", step_size, 0.0, 2.0 * (1.0 - momentum) / lam.max(), open_low=True, open_high=True)
    noise = (np.diagonal(modes.noise) if modes.noise.ndim == 2 else modes.noise)[seen]
    k, rho = step_size * lam / (1.0 - momentum), 1.0 - gamma
    time_constant = 1.0 / k + 1.0 / gamma
    a = 1.0 - k
    left = rho**steps + gamma * a * _divided_difference(a, rho, steps)
    bias = np.abs((modes.inverse @ e0)[seen] * left)
    if modes.velocity is not None and modes.profile is not None:
        bias = bias + np.abs(modes.velocity[seen]) * float(modes.profile(float(steps))) * time_constant
    return float(0.5 * lam @ (noise / (2.0 * lam**2 * time_constant) + bias**2))


def _series_choice(
    problem: Problem, step_size: float, steps: int, initial_error: Numbers, method: Method | None
) -> tuple[float, float]:
    """The rate that the series law would choose, and the loss it predicts; (1, NaN) where the law has no say."""
    momentum = _momentum(method)
    if momentum is None or step_size <= 0 or step_size * problem.modes().curvature.max() >= 2.0 * (1.0 - momentum):
        return 1.0, float("nan")

    def predicted(log_rate: float) -> float:
        return series_loss(problem, step_size, float(np.exp(log_rate)), steps, initial_error, method)

    best = _least(predicted, _families(steps)["EMA"][1])
    return float(np.exp(best)), predicted(best)


def recommend_average(
    problem: Problem,
    schedule: Schedule,
    steps: int,
    initial_error: Numbers,
    method: Method | None = None,
    worthwhile: float = 0.05,
) -> Recommendation:
    """The average that leaves the least expected loss after T steps, or none, and what it buys.

    Each family (EMA, bias-corrected EMA, power EMA, tail) is searched by the exact law. The series law's own choice of
    a constant rate is given beside it, with the loss it predicts (NaN where it has no say: see `Recommendation`) and
    the loss it really has.

    Args:
        problem: curvature spectrum, noise, batch size, and the drift, if any.
        schedule: step sizes; the series law takes the last one.
        steps: T ≥ 2.
        initial_error: e_0, (d,) or a number. Zero flatters averages that never leave θ_0: give its true size.
        method: `SGD()` if not given; the series law knows `SGD`, `HeavyBall` and `Nesterov` only.
        worthwhile: share of the last iterate's loss that an average must save to be recommended, in [0, 1).

    Raises:
        ValueError: on a value out of range.
        OverflowError: if the run is unstable.
    """
    validation.integer("steps", steps, 2)
    validation.real("worthwhile", worthwhile, 0.0, 1.0, open_high=True)

    def loss(average: Average) -> float:
        return expected_loss(problem, exact_law(problem, schedule, average, steps, initial_error, method))

    raw = loss(LastIterate())
    found = []
    for make, grid in _families(steps).values():
        average = make(_least(lambda x, make=make: loss(make(x)), grid))
        value = loss(average)
        found.append(Candidate(average, value, raw / value if value > 0 else float("inf") if raw > 0 else 1.0))
    found.sort(key=lambda c: c.loss)
    last = float(schedule.step_sizes(steps)[-1])
    series_gamma, predicted = _series_choice(problem, last, steps, initial_error, method)
    best = found[0]
    if not (best.loss < raw and best.loss <= (1.0 - worthwhile) * raw):
        best = Candidate(LastIterate(), raw, 1.0)
    return Recommendation(
        best.average, best.loss, best.improvement, tuple(found), series_gamma, loss(EMA(series_gamma)), predicted
    )

"""The diffusion limit (proposition C.5): averaged SGD on a noisy quadratic as an Ornstein-Uhlenbeck process.

    de = −η(t)Λe dt + η(t) N^{1/2} dW,    dẽ = γ(t)(e − ẽ) dt,    t = training steps as a real number,

N the covariance of one batch's gradient noise. It is the limit of `learning.exact_law` as η → 0 with ηT and γ/η fixed,
with a relative error of first order in ηλ and γ. Along eigendirections i, j, per unit of N_ij and with M, C, E the
covariances of (e_i, e_j), (e_i, ẽ_j), (ẽ_i, ẽ_j):

    M' = −η(λ_i+λ_j)M + η²,    C' = −(ηλ_i+γ)C + γM,    E' = γ(C_ij + C_ji − 2E).

Every term is a sum of positive contributions, so all accuracies below are relative, entry by entry in the eigenbasis.

A rate of γ_t = 1 makes the discrete average equal to the iterate, at once; so here ẽ = e as long as the rate is 1, up
to t = burn_in for `EMA` and t = burn_in + 1 for `PowerEMA` and `Polyak`, and the equation above holds afterwards. (An
EMA of a rate just below 1 is outside the limit, whose γ is small.)
"""

import dataclasses
from collections.abc import Callable

import numpy as np
from scipy.special import roots_jacobi

from gvatheory import validation
from gvatheory.averaging import EMA, Average, LastIterate, Polyak, PowerEMA
from gvatheory.laws import Law
from gvatheory.learning import NoisyQuadratic
from gvatheory.problems import vector
from gvatheory.schedules import Constant, Schedule
from gvatheory.validation import Numbers

Rate = Callable[[np.ndarray], np.ndarray]

_NODES = 12
_TOLERANCE = 1e-11
_NEGLIGIBLE = 1e-30  # of the initial error, or of a unit variance: below it no relative accuracy is asked for


@dataclasses.dataclass(frozen=True)
class _State:
    """Moments per unit of initial error and of noise.

    Attributes:
        shrunk: ∫ η dt up to now: E e_i = e_0 exp(−λ_i · shrunk).
        mean: of ẽ, (d,), per unit of e_0.
        m, c, c_swapped, e: M, C_ij, C_ji, E for every pair, (p,).
    """

    shrunk: float
    mean: np.ndarray
    m: np.ndarray
    c: np.ndarray
    c_swapped: np.ndarray
    e: np.ndarray

    def values(self) -> np.ndarray:
        return np.concatenate([self.mean, self.m, self.c, self.c_swapped, self.e])


@dataclasses.dataclass(frozen=True)
class _Directions:
    """Eigenvalues (d,) and the pairs (i, j), (p,) each, whose noise is correlated."""

    lam: np.ndarray
    i: np.ndarray
    j: np.ndarray


def diffusion_law(
    problem: NoisyQuadratic, schedule: Schedule, average: Average, steps: int, initial_error: Numbers
) -> Law:
    """Law of θ̃_T − θ* in the diffusion limit after training time T = steps; the arguments are those of `exact_law`.

    A constant step size with `LastIterate` or `EMA` goes through closed forms, at rounding accuracy (checked against
    60-digit arithmetic); every other case through collocation of order 23 with step control, to 1e-9 relative (checked
    against those closed forms, Polyak's integral and an independent ODE solver).

    Args:
        problem: the learning problem; zero curvature allowed.
        schedule: any `Schedule`, evaluated at real times in [0, T]; kinks and jumps are found unless a whole
            feature is over within T/2000.
        average: `LastIterate`, `EMA`, `PowerEMA` or `Polyak`.
        steps: T ≥ 0.
        initial_error: e_0 = θ_0 − θ*: (d,) or a number for every coordinate.

    Raises:
        ValueError: on a shape mismatch, a negative `steps`, another average or a schedule that is not finite.
    """
    validation.integer("steps", steps, 0)
    e0 = vector("initial_error", initial_error, problem.dimension)
    copied_until, rate = _averaging(average, float(steps))
    lam, basis = problem.eigenbasis()
    noise = problem.noise_covariance()
    if problem.is_diagonal:
        i = j = np.arange(len(lam))
    else:
        noise = basis.T @ noise @ basis
        i, j = np.triu_indices(len(lam))
    directions = _Directions(lam, i, j)
    zero = np.zeros(len(i))
    state = _State(0.0, np.ones(len(lam)), zero, zero, zero, zero)
    if isinstance(schedule, Constant) and isinstance(average, LastIterate | EMA):
        eta = float(schedule.step_size)
        state = _constant(directions, state, eta, np.inf, copied_until)
        if copied_until < steps:
            state = _constant(directions, state, eta, float(rate(np.zeros(()))), steps - copied_until)
    else:
        state = _integrate(directions, state, schedule, None, 0.0, copied_until)
        state = _integrate(directions, state, schedule, rate, copied_until, float(steps))
    cov = np.zeros((len(lam), len(lam)))
    cov[i, j] = cov[j, i] = state.e * noise[i, j]
    cov = cov if problem.is_diagonal else basis @ cov @ basis.T
    return Law(basis @ (state.mean * (basis.T @ e0)), 0.5 * (cov + cov.T))


def stationary_diffusion_law(problem: NoisyQuadratic, step_size: float, gamma: float | None = None) -> Law:
    """Its limit T → ∞ at a constant step: (ησ²/2λ) · g/(λ+g) along an eigendirection, g = γ/η (theory.md section 3).

    Entry (i, j) of a correlated noise: ηN_ij/(λ_i+λ_j) · ½[g/(λ_i+g) + g/(λ_j+g)].

    Args:
        problem: the learning problem; every curvature must be positive.
        step_size: η > 0; the limit itself has no stability bound.
        gamma: rate > 0 of the EMA per step; None for the last iterate.

    Raises:
        ValueError: if an argument is out of range or a curvature is zero.
    """
    validation.positive("step_size", step_size)
    if gamma is not None:
        validation.positive("gamma", gamma)
    lam, basis = problem.eigenbasis()
    if np.any(lam <= 0):
        raise ValueError(f"curvature must be positive in every direction, its smallest eigenvalue is {lam.min():g}")
    kept = np.ones(len(lam)) if gamma is None else gamma / (step_size * lam + gamma)
    cov = step_size * (basis.T @ problem.noise_covariance() @ basis) / (lam[:, None] + lam[None, :])
    cov = basis @ (cov * 0.5 * (kept[:, None] + kept[None, :])) @ basis.T
    return Law(np.zeros(len(lam)), 0.5 * (cov + cov.T))


def _averaging(average: Average, steps: float) -> tuple[float, Rate]:
    """Time up to which ẽ = e, at most `steps`, and the rate after it."""
    match average:
        case EMA(gamma=gamma, burn_in=burn_in) if gamma < 1.0:
            start = float(burn_in)
        case PowerEMA(alpha=alpha, burn_in=burn_in, floor=floor) if alpha > 0.0 and floor < 1.0:
            start = burn_in + 1.0
        case Polyak(burn_in=burn_in):
            start = burn_in + 1.0
        case LastIterate() | EMA() | PowerEMA():
            start = steps
        case _:
            raise ValueError(f"average must be LastIterate, EMA, PowerEMA or Polyak, got {average!r}")
    after = np.nextafter(start, np.inf)  # the average's own rate, also where rounding takes a time back to `start`
    return min(start, steps), lambda t: np.asarray(average.rate(np.maximum(t, after)), dtype=np.float64)


def _overlap(first: np.ndarray, second: np.ndarray | float, time: float | np.ndarray) -> np.ndarray:
    """∫_0^time exp(−first·(time−x)) exp(−second·x) dx, also where the two rates agree."""
    apart = np.abs(first - second) * time
    safe = np.where(apart > 1e-8, apart, 1.0)
    share = np.where(apart > 1e-8, -np.expm1(-safe) / safe, 1.0 - 0.5 * apart)
    return time * np.exp(-np.minimum(first, second) * time) * share


def _constant(d: _Directions, start: _State, eta: float, gamma: float, time: float) -> _State:
    """State `time` later at constant step size and rate (infinite: ẽ = e); exact but for rounding.

    The noise's part is a Gauss integral over an interval so short that it is exact, and then doubled: Σ(2h) = Σ(h) +
    F(h) Σ(h) F(h)ᵀ with the flow F in closed form. Nothing is subtracted, however close the rates or short the time.
    """
    if time == 0.0:
        return start
    k, ki, kj = eta * d.lam, eta * d.lam[d.i], eta * d.lam[d.j]
    shrunk = start.shrunk + eta * time
    if np.isinf(gamma):
        m = np.exp(-(ki + kj) * time) * start.m + eta**2 * _overlap(ki + kj, 0.0, time)
        return _State(shrunk, np.exp(-d.lam * shrunk), m, m, m, m)

    def flow(s: tuple[np.ndarray, ...], h: float) -> tuple[np.ndarray, ...]:
        """The moments (M, C_ij, C_ji, E) carried on for a time h without noise."""
        m, c, c_swapped, e = s
        fi, fj, r = np.exp(-ki * h), np.exp(-kj * h), np.exp(-gamma * h)
        gi, gj = gamma * _overlap(ki, gamma, h), gamma * _overlap(kj, gamma, h)
        return (
            fi * fj * m,
            fi * (gj * m + r * c),
            fj * (gi * m + r * c_swapped),
            gi * gj * m + r * (gi * c + gj * c_swapped) + r * r * e,
        )

    fastest = max(float(k.max()), gamma) * time
    doublings = max(int(np.ceil(np.log2(max(fastest, 1.0)))), 0)
    h = time / 2.0**doublings
    x, w = np.polynomial.legendre.leggauss(_NODES)
    x, w = 0.5 * h * (x[:, None] + 1.0), 0.5 * h * w
    fi, fj = np.exp(-ki * x), np.exp(-kj * x)
    gi, gj = gamma * _overlap(ki, gamma, x), gamma * _overlap(kj, gamma, x)
    made = tuple(eta**2 * (w @ part) for part in (fi * fj, fi * gj, fj * gi, gi * gj))
    for _ in range(doublings):
        made = tuple(old + new for old, new in zip(made, flow(made, h), strict=True))
        h *= 2.0
    kept = flow((start.m, start.c, start.c_swapped, start.e), time)
    mean = np.exp(-gamma * time) * start.mean
    mean = mean + np.exp(-d.lam * start.shrunk) * gamma * _overlap(k, gamma, time)
    return _State(shrunk, mean, *(old + new for old, new in zip(kept, made, strict=True)))


def _collocation() -> tuple[np.ndarray, np.ndarray]:
    """Radau IIA: nodes (n,) in (0, 1], the last one 1, and the integrals (n, n) of their Lagrange basis from 0."""
    x = np.append(np.asarray(roots_jacobi(_NODES - 1, 1.0, 0.0)[0]), 1.0)
    legendre = np.polynomial.legendre.legvander(x, _NODES)
    degree = np.arange(1, _NODES)
    integral = np.column_stack([x + 1.0, (legendre[:, 2:] - legendre[:, :-2]) / (2 * degree + 1)])
    return 0.5 * (x + 1.0), 0.5 * integral @ np.linalg.inv(legendre[:, :-1])


_C, _A = _collocation()


def _solve(rate: np.ndarray, force: np.ndarray, start: np.ndarray, h: float) -> np.ndarray:
    """y' = −rate·y + force over a panel: values at its nodes, (p, n), from rate and force there and start (p,)."""
    matrix = np.eye(_NODES) + h * _A * rate[..., None, :]
    return np.linalg.solve(matrix, (start[:, None] + h * force @ _A.T)[..., None])[..., 0]


def _panel(d: _Directions, start: _State, schedule: Schedule, rate: Rate | None, t: float, h: float) -> _State:
    """One collocation panel from t to t + h; without a rate ẽ = e."""
    times = t + h * _C
    eta = np.asarray(schedule(times), dtype=np.float64)
    if not np.all(np.isfinite(eta)):
        raise ValueError(f"schedule must be finite on [0, steps], got {eta} at times {times}")
    shrunk = start.shrunk + h * (_A @ eta)
    mean = np.exp(-d.lam[:, None] * shrunk)
    ki, kj = d.lam[d.i, None] * eta, d.lam[d.j, None] * eta
    m = _solve(ki + kj, np.broadcast_to(eta**2, ki.shape), start.m, h)
    if rate is None:
        return _State(float(shrunk[-1]), mean[:, -1], *([m[:, -1]] * 4))
    gamma = np.broadcast_to(rate(times), eta.shape)
    c = _solve(ki + gamma, gamma * m, start.c, h)
    same = np.array_equal(d.i, d.j)
    c_swapped = c if same else _solve(kj + gamma, gamma * m, start.c_swapped, h)
    e = _solve(np.broadcast_to(2.0 * gamma, ki.shape), gamma * (c + c_swapped), start.e, h)
    mean = _solve(np.broadcast_to(gamma, mean.shape), gamma * mean, start.mean, h)
    return _State(float(shrunk[-1]), *(v[:, -1] for v in (mean, m, c, c_swapped, e)))


def _integrate(d: _Directions, state: _State, schedule: Schedule, rate: Rate | None, t: float, end: float) -> _State:
    """Panels of controlled length from t to `end`: each is compared with its two halves, whose result is kept."""
    h, shortest, longest = min(1.0, end - t), 1e-13 * max(end, 1.0), max((end - t) / 64.0, 1.0)
    while end - t > 0.0:
        h = end - t if t + 1.001 * h >= end else h
        whole = _panel(d, state, schedule, rate, t, h)
        middle = _panel(d, state, schedule, rate, t, 0.5 * h)
        halves = _panel(d, middle, schedule, rate, t + 0.5 * h, 0.5 * h)
        exact = halves.values()
        error = float(np.max(np.abs(whole.values() - exact) / (np.abs(exact) + _NEGLIGIBLE)))
        if error <= _TOLERANCE or h <= shortest:
            state, t = halves, end if h == end - t else t + h
        h = min(longest, h * min(max(0.9 * (_TOLERANCE / max(error, 1e-20)) ** (1.0 / _NODES), 0.2), 4.0))
    return state

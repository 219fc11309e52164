"""Exact laws of averaged iterates: at every finite time, and at stationarity.

Any problem of `problems`, any method of `methods`, any schedule, any average: the law of θ̃_T − θ*_T has its mean and
covariance from one pass over t (see `moments`). With Gaussian additive noise the law is Gaussian; in linear regression
it is not, and the two moments are exact all the same.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from scipy.optimize import brentq

from gvatheory import validation
from gvatheory._float64 import in_float64
from gvatheory.averaging import EMA, Average, LastIterate
from gvatheory.laws import Law
from gvatheory.methods import SGD, Method
from gvatheory.moments import averaged_moments, averaged_moments_jit, padded, split
from gvatheory.problems import Modes, NoisyQuadratic, Problem, vector
from gvatheory.schedules import Constant, Schedule
from gvatheory.validation import Numbers, Scalar, namespace

__all__ = ["NoisyQuadratic", "exact_law", "expected_loss", "largest_stable_step_size", "stationary_law"]


@in_float64
def exact_law(
    problem: Problem,
    schedule: Schedule,
    average: Average,
    steps: int,
    initial_error: Numbers,
    method: Method | None = None,
) -> Law:
    """Exact mean and covariance of the averaged error θ̃_T − θ*_T after `steps` steps.

    Exact for any schedule and any linear average, stable or not; O(T d) where curvature and noise are diagonal, O(T d²)
    otherwise. Differentiable: under jax.grad, jax.vmap or jax.jit the law holds tracers, and its values
    go unchecked; enable JAX's 64-bit mode around the transformation. Checked against dense backward weights, exact
    rationals and the simulation that really runs the method.

    Args:
        problem: the learning problem.
        schedule: step sizes.
        average: which average of the iterates.
        steps: T ≥ 0.
        initial_error: e_0 = θ_0 − θ*_0: (d,) or a number for every coordinate.
        method: what is done with a gradient; `SGD()` if not given.

    Raises:
        ValueError: on a shape mismatch, a negative `steps` or a value that is not finite.
        OverflowError: if the law leaves the range of float64 (an unstable step size over many steps).
    """
    validation.integer("steps", steps, 0)
    e0 = vector("initial_error", initial_error, problem.dimension)
    modes = problem.modes()
    eta = schedule.step_sizes(steps)
    pattern, data = split((method or SGD()).steps(eta))
    coefficients = average.coefficients(steps)
    drift = None
    if modes.velocity is not None and modes.profile is not None:
        drift = modes.profile.step_sizes(steps)[:, None] * modes.velocity
    start = modes.inverse @ e0
    noise = _diagonal_if_it_stays_so(modes, start, drift)
    outputs, batch = modes.regression or (None, None)
    arguments = (modes.curvature, noise, data, coefficients, drift, start, batch)
    if _any_traced(arguments):
        data = [jnp.broadcast_to(x, (steps,)) for x in data]
        return _rotated(
            modes, *averaged_moments(modes.curvature, noise, pattern, data, coefficients, drift, start, outputs, batch)
        )
    data, coefficients, drift = padded(steps, data, coefficients, drift)
    mean, cov = averaged_moments_jit(modes.curvature, noise, pattern, data, coefficients, drift, start, outputs, batch)
    mean, cov = np.asarray(mean), np.asarray(cov)
    if not (np.all(np.isfinite(mean)) and np.all(np.isfinite(cov))):
        raise OverflowError(
            f"the law after {steps} steps exceeds float64: the largest step size times curvature is "
            f"{np.max(eta, initial=0.0) * np.max(modes.curvature):g}, stable below 2 for plain SGD"
        )
    return _rotated(modes, mean, cov)


def _any_traced(arguments: Any) -> bool:
    return validation.is_traced(*jax.tree.leaves(arguments))


def _diagonal_if_it_stays_so(modes: Modes, start: Any, drift: Any) -> Any:
    """The noise as a (d,) diagonal where every covariance stays diagonal: regression that starts at its optimum."""
    noise = modes.noise
    if modes.regression is None or noise.ndim == 1 or _any_traced((noise, start)):
        return noise
    still = drift is None and not np.any(start) and not np.any(noise - np.diag(np.diagonal(noise)))
    return np.diagonal(noise) if still else noise


def _rotated(modes: Modes, mean: Any, cov: Any) -> Law:
    """The law in the original coordinates from that in the eigenbasis."""
    if cov.ndim == 1:
        cov = namespace(cov).diag(cov)
    cov = modes.basis @ (0.5 * (cov + cov.T)) @ modes.basis.T
    return Law(modes.basis @ mean, 0.5 * (cov + cov.T))


def expected_loss(problem: Problem, law: Law) -> Any:
    """Expected training loss ½ E eᵀΛe beyond its minimum: the one-step quantity that hides what rewards show.

    Raises:
        OverflowError: if it exceeds float64.
    """
    modes = problem.modes()
    xp = namespace(law.mean, law.covariance, modes.curvature)
    with np.errstate(over="ignore"):
        second = (modes.inverse @ law.mean) ** 2 + xp.diagonal(modes.inverse @ law.covariance @ modes.inverse.T)
        loss = 0.5 * modes.curvature @ second
    if validation.is_traced(loss):
        return loss
    if not np.isfinite(loss):
        raise OverflowError("the expected loss exceeds float64: is the step size stable?")
    return float(loss)


@in_float64
def stationary_law(
    problem: Problem, step_size: Scalar, average: Average | None = None, method: Method | None = None
) -> Law:
    """Law of θ̃ − θ* as T → ∞ at a constant step size, for the last iterate or a constant-rate EMA.

    SGD on a noisy quadratic has closed forms: with k = ηλ, a = 1 − k, ρ = 1 − γ the variance is ησ²/(λ(2−k)) times
    γ/(2−γ) · (1+aρ)/(1−aρ); entry (i, j) of a correlated noise has the same form with 1 − a_i a_j and the mean of the
    two EMA factors' cross terms. Everything else is a linear solve per pair of eigendirections: covariances fixed under
    the recursion of `moments`, and in regression the shared trace tr ΣM on top (theory section 3: tr ΣM = S κ/(1−κ)).
    A drifting optimum is followed with the lag (I − F)^{−1}Δ. Checked against `exact_law` at large T, the series law,
    and the closed forms of heavy ball and Nesterov.

    Traceable for SGD on a noisy quadratic; NaN then stands for an unstable step size.

    Args:
        problem: the learning problem; every curvature must be positive, a drift of constant speed and not that of a
            regression (whose lag adds to its noise).
        step_size: η, mean-square stable (for SGD on a quadratic: 0 < ηλ < 2 for every λ).
        average: `LastIterate()` (the default) or an `EMA` with 0 < γ ≤ 1.
        method: `SGD()` if not given.

    Raises:
        ValueError: if the step size is not stable, a curvature is zero, or the average has no stationary law.
        TypeError: if traced for anything but SGD on a noisy quadratic, or in 32-bit mode.
    """
    match average:
        case None | LastIterate():
            gamma = 1.0
        case EMA(gamma=gamma):
            validation.real("gamma", gamma, 0.0, 1.0, open_low=True)
        case _:
            raise ValueError(f"average must be LastIterate or EMA to have a stationary law, got {average!r}")
    modes = problem.modes()
    lam = modes.curvature
    if not validation.is_traced(lam) and np.any(lam <= 0):
        raise ValueError(f"curvature must be positive in every direction, its smallest eigenvalue is {lam.min():g}")
    method = method or SGD()
    # A burn-in is over long before T → ∞.
    if isinstance(method, SGD) and modes.regression is None and modes.velocity is None:
        return _stationary_sgd(modes, step_size, gamma)
    if validation.is_traced(step_size, gamma, *jax.tree.leaves(modes[:4]), *vars(method).values()):
        raise TypeError("stationary_law can be traced for SGD on a noisy quadratic alone; use exact_law at a large T")
    return _stationary_method(modes, step_size, gamma, method)


def _stationary_sgd(modes: Modes, step_size: Any, gamma: Any) -> Law:
    xp = namespace(modes.curvature, modes.noise, step_size, gamma)
    lam = modes.curvature
    if not validation.is_traced(lam, step_size):
        validation.real("step_size", step_size, 0.0, 2.0 / lam.max(), open_low=True, open_high=True)
    noise = xp.diag(modes.noise) if modes.noise.ndim == 1 else modes.noise
    a, rho = 1.0 - step_size * lam, 1.0 - gamma
    # 1 − a_i a_j as k_i + k_j − k_i k_j: no cancellation for small steps.
    k = step_size * lam
    cov = step_size**2 * noise / (k[:, None] + k[None, :] - k[:, None] * k[None, :])
    slip = gamma + rho * k  # 1 − aρ
    reach = a * rho / slip
    cov = cov * gamma / (2.0 - gamma) * (1.0 + reach[:, None] + reach[None, :])
    if validation.is_traced(cov):
        stable = xp.all((k > 0) & (k < 2)) & (gamma > 0) & (gamma <= 1)
        cov = xp.where(stable, cov, xp.nan)
    return _rotated(modes, xp.zeros_like(lam), cov)


class _Moves(NamedTuple):
    """One step of a method in the coordinates z_1 = s_1, z_a = s_a − s_1, in which small steps do not cancel.

    Attributes:
        change: G = F − 1 of every direction, (d, n, n). Since rows of A and h sum to one, its first column is λ·push.
        point: y = point · z, (n,), its first entry one.
        push: (n,).
    """

    change: np.ndarray
    point: np.ndarray
    push: np.ndarray


def _moves(method: Method, step_size: float, curvature: np.ndarray) -> _Moves:
    """The method at a constant step.

    Raises:
        ValueError: if its coefficients change with time, so that nothing is stationary.
    """
    early, late = (method.steps(np.full(t, float(step_size))) for t in (3, 4))
    for x, y in zip(split(early)[1], split(late)[1], strict=True):
        if np.ravel(x)[-1] != np.ravel(y)[-1]:
            raise ValueError(f"method must have constant coefficients to have a stationary law, got {method!r}")
    point, transition, push = (np.array([np.ravel(x)[-1] for x in _flat(part)], dtype=np.float64) for part in early)
    n = len(point)
    to_z = np.eye(n) - np.outer(np.arange(n) > 0, np.arange(n) == 0)
    push = to_z @ push
    change = np.zeros((len(curvature), n, n))
    change[:] = to_z @ transition.reshape(n, n) - np.eye(n)
    change += np.outer(push, point) * curvature[:, None, None]
    point[0] = 1.0
    change[:, :, 0] = push * curvature[:, None]
    return _Moves(change, point, push)


def _flat(part: Any) -> list[Any]:
    return [y for x in part for y in (x if isinstance(x, tuple) else (x,))]


def _settles(change: np.ndarray) -> bool:
    """Whether 1 + G contracts in every direction, without comparing 1 − k with 1."""
    n = change.shape[-1]
    if n == 1:
        return bool(np.all((change > -2.0) & (change < 0.0)))
    if n == 2:  # Jury's conditions
        trace, det = np.trace(change, axis1=1, axis2=2), np.linalg.det(change)
        return bool(np.all((det > 0) & (4.0 + 2.0 * trace + det > 0) & (trace + det < 0) & (trace + det > -2.0)))
    g = np.linalg.eigvals(change)
    return bool(np.all(2.0 * g.real + np.abs(g) ** 2 < 0))


def _per_noise(moves: _Moves, i: np.ndarray, j: np.ndarray) -> np.ndarray:
    """Stationary Cov(z_a, z_b) per unit of noise for pairs of directions, (pairs, n, n): −(GP + PGᵀ + GPGᵀ) = bbᵀ."""
    n = moves.change.shape[-1]
    left, right, eye = moves.change[i], moves.change[j], np.eye(n)
    operator = (
        np.einsum("pab,cd->pacbd", left, eye)
        + np.einsum("ab,pcd->pacbd", eye, right)
        + np.einsum("pab,pcd->pacbd", left, right)
    )
    driven = np.broadcast_to(np.outer(moves.push, moves.push).reshape(n * n, 1), (len(i), n * n, 1))
    return np.linalg.solve(-operator.reshape(-1, n * n, n * n), driven).reshape(-1, n, n)


def _multiplied(moves: _Moves, curvature: np.ndarray, batch: int) -> tuple[np.ndarray, np.ndarray, float]:
    """In regression: covariances per unit of noise, noise per unit of tr ΣY + S, and the trace κ that this feeds back.

    With y the second moment at the gradient's point per unit of noise, noise n = λ²yn/b + λ(tr ΣY + S)/b. κ = ∞ if a
    direction alone feeds back more than it gets.
    """
    every = np.arange(len(curvature))
    response = _per_noise(moves, every, every)
    second = np.einsum("a,pab,b->p", moves.point, response, moves.point)
    own = curvature**2 * second / batch
    if np.any(own >= 1.0):
        return response, own, np.inf
    noise = curvature / batch / (1.0 - own)
    return response, noise, float(np.sum(curvature * second * noise))


def _is_stable(modes: Modes, step_size: float, method: Method) -> bool:
    moves = _moves(method, step_size, modes.curvature)
    if not _settles(moves.change):
        return False
    if modes.regression is None:
        return True
    outputs, batch = modes.regression
    size = len(modes.curvature) // outputs
    return _multiplied(moves._replace(change=moves.change[:size]), modes.curvature[:size], batch)[2] < 1.0


def _stationary_method(modes: Modes, step_size: Any, gamma: Any, method: Method) -> Law:
    validation.positive("step_size", step_size)
    if not _is_stable(modes, step_size, method):
        raise ValueError(
            f"step_size must be mean-square stable for {method!r}, below {_largest_stable(modes, method):g}, "
            f"got {step_size!r}"
        )
    if not isinstance(modes.profile, Constant | None):
        raise ValueError(f"profile must be Constant to have a stationary law, got {modes.profile!r}")
    if modes.profile is not None and modes.regression is not None:
        raise ValueError("problem must not be a Drifting LinearRegression for a stationary law: use exact_law")
    lam, d = modes.curvature, len(modes.curvature)
    moves = _moves(method, step_size, lam)
    change, n = moves.change, moves.change.shape[-1]
    noise = np.diag(modes.noise) if modes.noise.ndim == 1 else modes.noise
    if modes.regression is not None:
        outputs, batch = modes.regression
        size = d // outputs
        response, per_trace, kappa = _multiplied(moves._replace(change=change[:size]), lam[:size], batch)
        labels = noise[::size, ::size] * batch / lam[0]  # S_kl, read off the first feature's entries S_kl λ_1 / b
        unit = response * (per_trace / (1.0 - kappa))[:, None, None]
        moved = np.einsum("kl,iab,ij->abkilj", labels, unit, np.eye(size)).reshape(n, n, d, d)
    else:
        i, j = (x.ravel() for x in np.indices((d, d)))
        solved = _per_noise(moves, i, j) * noise.ravel()[:, None, None]
        moved = np.moveaxis(solved.reshape(d, d, n, n), (2, 3), (0, 1))
    # The average: C_a = Cov(z_a, S) = ρ F C + γ P_a1, V = Var S = ρ² V + ργ (D + Dᵀ) + γ² P_11 with D = (F C)_1.
    rho = 1.0 - gamma
    first = np.moveaxis(moved[:, 0], 0, 1)  # Cov(z_a,i, z_1,j) as (d, n, d)
    cross = np.linalg.solve(gamma * np.eye(n) - rho * change, gamma * first)
    to_avg = cross[:, 0] + np.einsum("ib,ibj->ij", change[:, 0], cross)
    cov = (rho * (to_avg + to_avg.T) + gamma * moved[0, 0]) / (2.0 - gamma)
    mean = np.zeros(d)
    if modes.velocity is not None and modes.profile is not None:
        shift = modes.velocity * float(modes.profile(0.0))
        lag = np.linalg.solve(change, np.eye(n)[:, :1] * shift[:, None, None])[:, 0, 0]
        mean = lag - rho / gamma * shift
    return _rotated(modes, mean, cov)


def _largest_stable(modes: Modes, method: Method) -> float:
    moving = modes.curvature > 0
    modes = modes._replace(curvature=modes.curvature[moving])
    high = 1.0 / float(modes.curvature.max())
    while _is_stable(modes, high, method):
        high *= 2.0
    low = high
    while not _is_stable(modes, low, method):
        low *= 0.5
        if low < 1e-30 * high:
            raise ValueError(f"method must be stable for some step size, but {method!r} is not on this problem")
    value = brentq(lambda x: 0.5 - _is_stable(modes, float(x), method), low, high, xtol=1e-300, rtol=np.float64(1e-14))
    return float(value)  # pyright: ignore[reportArgumentType]


def largest_stable_step_size(problem: Problem, method: Method | None = None) -> float:
    """Supremum of the constant steps at which the iterates have a stationary second moment; flat directions aside.

    Bisection on the stability of the second-moment recursion. SGD on a quadratic: 2/λ_max. SGD in regression:
    the root of κ(η) = Σ_i ηλ_i/(b(2 − ηλ_i(1+1/b))) = 1 below 2/(λ_max(1+1/b)), smaller for small batches
    (theory section 3). Heavy ball: 2(1+μ)/λ_max; Nesterov: 2(1+μ)/((1+2μ)λ_max) for μ ≥ −1/3.

    Raises:
        ValueError: if the problem has no positive curvature, or no step is stable.
    """
    modes = problem.modes()
    if not np.any(modes.curvature > 0):
        raise ValueError("curvature must be positive in some direction for a largest stable step size")
    return _largest_stable(modes, method or SGD())

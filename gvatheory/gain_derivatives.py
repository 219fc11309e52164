"""Gradient and Hessian of a linear system's reward in its gain, in closed form, and the expansion they give.

With F = A + BK, X_h the state covariances, P_h the costs-to-go and E_h = RK + B'P_{h+1}F:

    ∇J_H = −2 Σ_h E_h X_h                                         (Fazel et al. 2018, Lemma 1, for a finite horizon)
    D1·∇²J_H·D2 = −2 Σ_h [ ⟨D1, (R + B'P_{h+1}B) D2 X_h⟩ + ⟨D1, E_h X'_h[D2]⟩ + ⟨D2, E_h X'_h[D1]⟩ ]

X'_h[D], the derivative of X_h along D, obeys X'_{h+1} = F X'_h F' + BD X_h F' + F X_h (BD)' from X'_0 = 0. The
derivative of P_h is not needed: Σ_h ⟨D1, B'P'_{h+1}[D2] F X_h⟩ is the last sum, by exchanging the order of the two
recursions. For the infinite horizon P, X and X' solve the Lyapunov equations that the recursions sum to. Checked
against automatic differentiation of a roll-out of moments, and against differences at 60 digits
(tests/theory/test_gain_derivatives.py).
"""

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.linalg import solve_discrete_lyapunov

from gvatheory.laws import Law
from gvatheory.linear_system import LinearSystem


def reward_gradient(
    system: LinearSystem, K: Float[np.ndarray, "m n"], horizon: int | float | None = None
) -> Float[np.ndarray, "m n"]:
    """∇J_H(K), (m, n).

    Args:
        system: the dynamics and the cost.
        K: (m, n).
        horizon: H ≥ 1; `math.inf` for J_∞; the system's own if None.

    Raises:
        ValueError: on a bad argument; for an infinite horizon also if A + BK is not stable or there is process noise.
        OverflowError: if a covariance or cost on the way exceeds float64.
    """
    K = system.gain("K", K)
    if horizon == math.inf:
        to_go, states = (v[None] for v in _infinite_sums(system, K))
    else:
        steps = _steps(system, horizon)
        to_go, states = system.costs_to_go(K, steps)[1:], system.state_covariances(K, steps)
    with np.errstate(over="ignore", invalid="ignore"):
        return _finite(-2.0 * np.sum(_advantage(system, K, to_go) @ states, axis=0))


def reward_hessian(
    system: LinearSystem, K: Float[np.ndarray, "m n"], horizon: int | float | None = None
) -> Float[np.ndarray, "mn mn"]:
    """∇²J_H(K) over the row-major vec of K, (mn, mn), symmetric; arguments and errors as `reward_gradient`."""
    K = system.gain("K", K)
    closed_loop, size = system.A + system.B @ K, K.size
    if horizon == math.inf:
        to_go, states = _infinite_sums(system, K)
        sources = _sources(system, closed_loop, states)
        change = np.stack([solve_discrete_lyapunov(closed_loop, s) for s in sources])
        return -2.0 * _curvature(system, K, to_go, states, change)
    steps = _steps(system, horizon)
    to_go, states = system.costs_to_go(K, steps), system.state_covariances(K, steps)
    change, total = np.zeros((size, *system.A.shape)), np.zeros((size, size))
    with np.errstate(over="ignore", invalid="ignore"):
        for h in range(steps):
            total += _curvature(system, K, to_go[h + 1], states[h], change)
            change = closed_loop @ change @ closed_loop.T + _sources(system, closed_loop, states[h])
        return _finite(-2.0 * total)


def _finite(derivative: np.ndarray) -> np.ndarray:
    if not np.all(np.isfinite(derivative)):
        raise OverflowError("the derivative of the reward exceeds float64")
    return derivative


class GainMoments(NamedTuple):
    """Mean and variance of J_H over random gains."""

    mean: float
    variance: float


def second_order_moments(system: LinearSystem, law: Law, horizon: int | None = None) -> GainMoments:
    """Mean and variance of the second-order expansion of J_H about the law's mean, exact for that quadratic.

    With g, 𝓗 the gradient and Hessian at the mean gain and S the covariance: J + ½ tr(𝓗S) and g'Sg + ½ tr(𝓗S𝓗S).
    Good while the spread times the horizon is small; `gain_rewards.expand_reward` measures how good.

    Raises:
        ValueError: if the law does not fit the system.
        OverflowError: if a derivative exceeds float64.
    """
    gain, steps = system.mean_gain(law), system.steps(horizon)
    g, curvature = reward_gradient(system, gain, steps).ravel(), reward_hessian(system, gain, steps)
    turned = curvature @ law.covariance
    variance = float(g @ law.covariance @ g + 0.5 * np.sum(turned * turned.T))
    return GainMoments(system.reward(gain, steps) + 0.5 * float(np.trace(turned)), max(variance, 0.0))


def _steps(system: LinearSystem, horizon: int | float | None) -> int:
    if isinstance(horizon, float):
        raise ValueError(f"horizon must be an integer at least 1, or math.inf, got {horizon!r}")
    return system.steps(horizon)


def _infinite_sums(system: LinearSystem, K: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """P and X = Σ_h X_h of the infinite horizon."""
    system.infinite_horizon_reward(K)  # raises unless it exists
    closed_loop = system.A + system.B @ K
    to_go = solve_discrete_lyapunov(closed_loop.T, system.step_cost(K))
    return to_go, solve_discrete_lyapunov(closed_loop, system.initial_covariance)


def _advantage(system: LinearSystem, K: np.ndarray, to_go: np.ndarray) -> np.ndarray:
    """E = RK + B'P(A + BK) of each P (..., n, n): (..., m, n)."""
    return system.R @ K + system.B.T @ to_go @ (system.A + system.B @ K)


def _sources(system: LinearSystem, closed_loop: np.ndarray, states: np.ndarray) -> np.ndarray:
    """BD X F' + F X (BD)' for every D = e_i e_j', in row-major order: (mn, n, n)."""
    n = system.state_size
    half = np.einsum("ai,jb->ijab", system.B, states @ closed_loop.T).reshape(-1, n, n)
    return half + half.transpose(0, 2, 1)


def _curvature(
    system: LinearSystem, K: np.ndarray, to_go: np.ndarray, states: np.ndarray, change: np.ndarray
) -> np.ndarray:
    """(R + B'PB) ⊗ X + G + G' with G the matrix of D ↦ E X'[D], `change` being X'[D] of each D: (mn, mn)."""
    half = (_advantage(system, K, to_go) @ change).reshape(K.size, K.size)
    return np.kron(system.R + system.B.T @ to_go @ system.B, states) + half + half.T

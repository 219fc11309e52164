"""Planar loops x' = Ax + Bw with a quadratic cost, and the errors ‖w_h‖ <= r‖x_h‖ that are tried on them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import mpmath
import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_discrete_lyapunov

import gvatheory as gva
from proofs_check.interface import Setup, Trial
from proofs_check.judging import at_most, real
from proofs_check.rational_matrices import exact, identity
from proofs_check.rational_norms import squared_norm_bounds
from proofs_check.routes.rational_loops import energy

if TYPE_CHECKING:
    from proofs_check.c2_stable_loops import Claim

POLICIES = 6


@dataclass(frozen=True, eq=False)
class Loop:
    """Closed loop A (n, n), one input B (n, 1), gain K (1, n), cost Q (n, n) and R (1, 1), start (n,)."""

    A: NDArray[np.float64]
    B: NDArray[np.float64]
    K: NDArray[np.float64]
    Q: NDArray[np.float64]
    R: NDArray[np.float64]
    start: NDArray[np.float64]

    def __str__(self) -> str:
        """Every matrix, so that the instance can be set up again."""
        return ", ".join(f"{name}={getattr(self, name).tolist()}" for name in ("A", "B", "K", "Q", "R", "start"))

    @staticmethod
    def of(point: NDArray[np.float64]) -> tuple[Loop, float, int]:
        """A planar loop with one input, a share q = r/r_C in (0, 0.95] and a policy, from the unit cube, (14,)."""
        p = np.round(point, 3)
        A = np.array([[2 * p[0] - 1, 8 * p[1] ** 2], [p[2] - 0.5, 2 * p[3] - 1]])
        A = np.round(A * (0.2 + 0.75 * p[4]) / max(gva.spectral_radius(A), 0.05), 4)
        B = np.array([[round(2 * p[5] - 1, 3)], [1.0]])
        K = np.array([[round(2 * p[6] - 1, 3), round(2 * p[7] - 1, 3)]])
        loop = Loop(A, B, K, np.diag(p[8:10]), p[10:11, None], np.array([1.0, 4 * p[11] - 2]))
        return loop, round(0.05 + 0.9 * p[12], 3), int((POLICIES - 1e-9) * p[13])

    @staticmethod
    def scalar(a: float) -> Loop:
        """A = a, B = R = 1, no cost of states, no gain: the learner alone pays."""
        one = np.eye(1)
        return Loop(a * one, one, 0 * one, 0 * one, one, np.ones(1))

    @staticmethod
    def slow(a: float, c: float) -> Loop:
        """A = (a, 0; c, 1/2), B = (0, 1), Q = I, R = K = 0, start (1, 0); r_C = 1/2."""
        zero = np.zeros((1, 2))
        A = np.array([[a, 0.0], [c, 0.5]])
        return Loop(A, np.array([[0.0], [1.0]]), zero, np.eye(2), np.zeros((1, 1)), np.array([1.0, 0.0]))

    def constants(self, number: Any) -> tuple[Any, Any, Any, Any]:
        """X², Y², c and ‖R‖^{1/2}; unless floats will do, the sums over all steps are exact first."""
        if number is float:
            stage = self.Q + self.K.T @ self.R @ self.K
            X2, Y2 = (
                self.start @ solve_discrete_lyapunov(self.A.T, S) @ self.start for S in (np.eye(len(stage)), stage)
            )
            return X2, Y2, np.linalg.norm(stage, 2) ** 0.5, np.linalg.norm(self.R, 2) ** 0.5
        A, start = exact(self.A), exact(self.start)
        stage = exact(self.Q) + exact(self.K).T @ exact(self.R) @ exact(self.K)
        sums = energy(A, identity(len(A)), start), energy(A, stage, start)
        norms = (real(squared_norm_bounds(m)[1]) ** mpmath.mpf(0.25) for m in (stage, exact(self.R)))
        X2, Y2, c, root = (number(value) for value in (*(real(s) for s in sums), *norms))
        return X2, Y2, c, root


def scattered_loop(rng: np.random.Generator, n: int, m: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """A stable A (n, n), often far from normal, and B (n, m); entries with three decimals."""
    A = np.triu(rng.normal(size=(n, n)) * 3) + np.tril(rng.normal(size=(n, n)))
    A *= rng.uniform(0.2, 0.95) / max(gva.spectral_radius(A), 0.05)
    return np.round(A, 4), np.round(rng.normal(size=(n, m)), 3) + np.eye(n, m)


def energies(loop: Loop, policy: int, r: Any, horizon: int, number: Any) -> tuple[NDArray[Any], NDArray[Any]]:
    """Σ‖x_h‖² and the gap, cumulative over h < horizon, shape (horizon,), of a loop with one input.

    Policies: 0 pushes with all its force, whatever the state; 1 the worst constant complex error; 2 the largest next
    state; 3 the largest cost to go; 4 a real error whose second entry switches its sign at each step; 5 the smallest
    next state (for negative gaps). Each obeys ‖w‖ <= r‖x‖ up to the rounding of ``number``, float or mpmath.mpf.
    """
    lift = (lambda m: m.astype(complex)) if number is float else np.vectorize(mpmath.mpc, otypes=[object])
    A, B, K, Q, R = (lift(m) for m in (loop.A, loop.B[:, 0], loop.K[0], loop.Q, loop.R))
    root = number(0.5)
    n = len(loop.A)
    stage = loop.Q + loop.K.T @ loop.R @ loop.K
    future = solve_discrete_lyapunov(loop.A.T, stage)
    goals = {2: A.T @ B, 3: lift(loop.A.T @ future @ loop.B[:, 0] + loop.R[0, 0] * loop.K[0]), 5: -(A.T @ B)}
    rows = gva.stability_radius(loop.A, loop.B).perturbation[[0, 0]] if policy == 1 else np.ones((2, n))
    if policy == 4:
        rows = np.array([[-1.0, 1.0], [-1.0, -1.0]])
    pair = [row / (row @ row.conj()).real ** root for row in lift(rows)]
    x = star = lift(loop.start)
    size, difference = [], []
    for h in range(horizon):
        norm = (x @ x.conj()).real ** root
        if policy == 0:
            w = r * norm
        elif policy in goals:
            along = goals[policy] @ x
            w = r * norm * (along / abs(along) if along else 1)
        else:
            w = r * (pair[h % 2] @ x)
        action, known = K @ x + w, K @ star
        size.append(norm**2)
        cost = (x.conj() @ Q @ x).real + R[0, 0].real * abs(action) ** 2
        difference.append(cost - (star.conj() @ Q @ star).real - R[0, 0].real * abs(known) ** 2)
        x, star = A @ x + B * w, A @ star
    return np.cumsum(np.array(size)), np.cumsum(np.array(difference))


def mean_gap(loop: Loop, error: Any, start: Any, noise: Any, horizon: int) -> Any:
    """Expected gap over h < horizon under process noise, for a constant error, by the recursion of E xxᵀ in mpmath.

    Args:
        loop: its start is not used.
        error: Δ, shape (1, n).
        start: E x_0x_0ᵀ, shape (n, n).
        noise: covariance of the noise, shape (n, n).
        horizon: number of steps that are paid for.
    """
    lift = np.vectorize(mpmath.mpf, otypes=[object])
    A, B, K, Q, R, error, start, noise = map(lift, (loop.A, loop.B, loop.K, loop.Q, loop.R, error, start, noise))
    gap = mpmath.mpf(0)
    for sign, shift in ((1, error), (-1, 0 * error)):
        moved, gain, second = A + B @ shift, K + shift, start
        stage = Q + gain.T @ R @ gain
        for _ in range(horizon):
            gap += sign * np.trace(stage @ second)
            second = moved @ second @ moved.T + noise
    return gap


def noisy_trials(claim: Claim, setup: Setup) -> Iterator[Trial]:
    """Part 5 of C.2 with constant errors: the exact mean gap, random start and noise of diagonal covariances."""
    rng, horizon = setup.rng("noise"), setup.size(40, 200)
    drawn = [(*Loop.of(rng.random(14))[:2], rng.normal(size=(1, 2))) for _ in range(setup.size(1, 6))]
    for loop, share, along in [(Loop.slow(0.9, 20.0), 0.5, np.array([[0.0, 1.0]])), *drawn]:
        start, noise = np.round(rng.random((2, 2)), 3)
        pulses = [replace(loop, start=one).constants(mpmath.mpf) for one in np.eye(2)]
        weights = start + (horizon if claim.per_step else 1) * noise
        X2, Y2 = (sum(w * pulse[i] for w, pulse in zip(weights, pulses, strict=True)) for i in (0, 1))
        radius = float(gva.stability_radius(loop.A, loop.B).radius)
        r = share * float(claim.radius(radius, radius))
        error = r * along / np.linalg.norm(along)
        gap = mean_gap(loop, error, np.diag(start), np.diag(noise), horizon)
        _, _, c, root = pulses[0]
        bound = claim.gap(mpmath.sqrt(X2), mpmath.sqrt(Y2), c, root, mpmath.mpf(r), mpmath.mpf(share))
        where = f"Δ={error.tolist()}, Σ_0=diag{start.tolist()}, W=diag{noise.tolist()}, H={horizon}, {loop}"
        yield at_most(abs(gap), bound, f"|E gap|, {where}")

"""Linear dynamics with quadratic cost, cloned by a linear gain: exact loss, reward and gap, and episodes really run.

    x_{h+1} = A x_h + B u_h + w_h,   u_h = K x_h,   x_0 ~ N(0, Σ_0),   w_h ~ N(0, W)
    J_H(K) = −Σ_{h<H} E[x_h'Q x_h + u_h'R u_h] = −Σ_{h<H} tr((Q + K'RK) X_h)

With F = A + BK the covariances obey X_{h+1} = F X_h F' + W from X_0 = Σ_0, and the costs-to-go
P_h = Q + K'RK + F' P_{h+1} F down from P_H = 0. J_H is a polynomial in the entries of K, of degree 2H if R ≠ 0 and
2(H−1) if R = 0; derivatives are in `gain_derivatives`, moments under a random K in `gain_rewards`.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.linalg import solve_discrete_lyapunov

from gvatheory import validation
from gvatheory.laws import Law
from gvatheory.problems import matrix_root

_CHUNK = 4096  # gains advanced together: small enough to stay in cache


@dataclasses.dataclass(frozen=True, eq=False)
class LinearSystem:
    """A linear system, its expert gain and its quadratic cost; n states, m actions.

    Attributes:
        A: (n, n) state matrix.
        B: (n, m) input matrix.
        K_expert: (m, n), u = K* x. It need not be optimal nor stabilising.
        Q: (n, n) state cost, PSD.
        R: (m, m) action cost, PSD; may be zero.
        initial_covariance: Σ_0, (n, n), PSD.
        horizon: H ≥ 1, number of rewards summed.
        process_noise: W, (n, n), PSD; None for none.

    Matrices are copied, and the copies are read-only.

    Raises:
        ValueError: naming the argument that is not finite, of the wrong shape, not PSD or out of range.
    """

    A: Float[np.ndarray, "n n"]
    B: Float[np.ndarray, "n m"]
    K_expert: Float[np.ndarray, "m n"]
    Q: Float[np.ndarray, "n n"]
    R: Float[np.ndarray, "m m"]
    initial_covariance: Float[np.ndarray, "n n"]
    horizon: int
    process_noise: Float[np.ndarray, "n n"] | None = None

    def __post_init__(self) -> None:
        validation.integer("horizon", self.horizon, 1)
        names = ["A", "B", "K_expert", "Q", "R", "initial_covariance"]
        names += [] if self.process_noise is None else ["process_noise"]
        for name in names:
            value = np.array(np.atleast_2d(validation.array(name, getattr(self, name), 2)))
            value.setflags(write=False)
            object.__setattr__(self, name, value)
        n, m = self.A.shape[0], self.B.shape[1]
        if n == 0 or m == 0:
            raise ValueError(f"A and B must not be empty, got shapes {self.A.shape} and {self.B.shape}")
        shapes = {"A": (n, n), "B": (n, m), "K_expert": (m, n), "R": (m, m)}
        for name in names:
            shape, value = shapes.get(name, (n, n)), getattr(self, name)
            if value.shape != shape:
                raise ValueError(f"{name} must have shape {shape} for {n} states and {m} actions, got {value.shape}")
            if name not in ("A", "B", "K_expert"):
                validation.psd(name, value)

    @property
    def state_size(self) -> int:
        """n."""
        return self.A.shape[0]

    @property
    def action_size(self) -> int:
        """m."""
        return self.B.shape[1]

    @property
    def noise_covariance(self) -> Float[np.ndarray, "n n"]:
        """W: `process_noise`, or zeros if there is none, (n, n)."""
        return np.zeros_like(self.A) if self.process_noise is None else self.process_noise

    @property
    def closed_loop(self) -> Float[np.ndarray, "n n"]:
        """The expert's A + BK*, (n, n)."""
        return self.A + self.B @ self.K_expert

    def closed_loop_of(self, K: Float[np.ndarray, "m n"]) -> Float[np.ndarray, "n n"]:
        """A + BK, (n, n).

        Raises:
            ValueError: if K is not a finite (m, n) matrix.
        """
        return self.A + self.B @ self.gain("K", K)

    def gain(self, name: str, K: Any) -> Float[np.ndarray, "m n"]:
        """K as a finite (m, n) matrix.

        Raises:
            ValueError: naming the argument `name` otherwise.
        """
        value = np.atleast_2d(validation.array(name, K, 2))
        if value.shape != self.K_expert.shape:
            raise ValueError(f"{name} must have shape {self.K_expert.shape}, got {value.shape}")
        return value

    def mean_gain(self, law: Law) -> Float[np.ndarray, "m n"]:
        """K* plus the mean of a law of vec(K − K*), row-major, (m, n).

        Raises:
            ValueError: if the law's dimension is not mn.
        """
        if law.dimension != self.K_expert.size:
            raise ValueError(f"law must have dimension {self.K_expert.size} (of vec K), got {law.dimension}")
        return self.K_expert + law.mean.reshape(self.K_expert.shape)

    def steps(self, horizon: int | np.integer | None) -> int:
        """`horizon`, or the system's own for None.

        Raises:
            ValueError: if it is not an integer of at least 1.
        """
        if horizon is None:
            return self.horizon
        validation.integer("horizon", horizon, 1)
        return int(horizon)

    def step_cost(self, K: Float[np.ndarray, "m n"]) -> Float[np.ndarray, "n n"]:
        """Q + K'RK, (n, n): the cost of a step is x'(Q + K'RK)x."""
        return self.Q + K.T @ self.R @ K

    def state_covariances(
        self, K: Float[np.ndarray, "m n"], horizon: int | None = None
    ) -> Float[np.ndarray, "steps n n"]:
        """X_h = E x_h x_h' for h = 0..H−1 under the gain K, (H, n, n).

        Raises:
            ValueError: on a bad gain or horizon.
            OverflowError: if a covariance exceeds float64.
        """
        out = self._covariances(self.gain("K", K), self.steps(horizon))
        if not np.all(np.isfinite(out)):
            raise OverflowError(f"the state covariance exceeds float64 within {len(out)} steps")
        return out

    def _covariances(self, K: np.ndarray, steps: int) -> np.ndarray:
        closed_loop, noise = self.A + self.B @ K, self.noise_covariance
        out = np.empty((steps, *self.A.shape))
        out[0] = self.initial_covariance
        with np.errstate(over="ignore", invalid="ignore"):
            for h in range(1, steps):
                out[h] = closed_loop @ out[h - 1] @ closed_loop.T + noise
        return out

    def costs_to_go(self, K: Float[np.ndarray, "m n"], horizon: int | None = None) -> Float[np.ndarray, "times n n"]:
        """P_0..P_H under the gain K, (H+1, n, n), with P_H = 0: x'P_h x is the cost from x at h on, without noise.

        Raises:
            ValueError: on a bad gain or horizon.
            OverflowError: if a cost exceeds float64.
        """
        K, steps = self.gain("K", K), self.steps(horizon)
        closed_loop, cost = self.A + self.B @ K, self.step_cost(K)
        out = np.zeros((steps + 1, *self.A.shape))
        with np.errstate(over="ignore", invalid="ignore"):
            for h in reversed(range(steps)):
                out[h] = cost + closed_loop.T @ out[h + 1] @ closed_loop
        if not np.all(np.isfinite(out)):
            raise OverflowError(f"the cost-to-go exceeds float64 within {steps} steps")
        return out

    def expert_covariances(self) -> Float[np.ndarray, "steps n n"]:
        """E x*_h x*_h' on the expert's own states, h = 0..H−1, (H, n, n); see `state_covariances`."""
        return self.state_covariances(self.K_expert)

    def expert_covariance(self) -> Float[np.ndarray, "n n"]:
        """(1/H) Σ_h E x*_h x*_h': the features' covariance in the regression that clones the expert, (n, n).

        The pooled states are a mixture of Gaussians, not one Gaussian of this covariance.
        """
        return self.expert_covariances().mean(axis=0)

    def cloning_loss(self, K: Float[np.ndarray, "m n"]) -> float:
        """ℓ_BC(K) = (1/H) Σ_h E‖(K − K*) x*_h‖², per step, on the expert's own states.

        Raises:
            ValueError, OverflowError: on a bad gain, or expert states beyond float64.
        """
        error = self.gain("K", K) - self.K_expert
        return float(np.sum((error @ self.expert_covariance()) * error))

    def reward(self, K: Float[np.ndarray, "m n"], horizon: int | None = None) -> float:
        """J_H(K), exact; −inf if it exceeds float64.

        Args:
            K: (m, n).
            horizon: H ≥ 1; the system's own if None.
        """
        return float(self.rewards(self.gain("K", K)[None], horizon)[0])

    def rewards(self, gains: Float[np.ndarray, "count m n"], horizon: int | None = None) -> Float[np.ndarray, " count"]:
        """J_H of each of N gains, (N, m, n) → (N,); see `rewards_by_horizon`."""
        return self.rewards_by_horizon(gains, [self.steps(horizon)])[0]

    def rewards_by_horizon(
        self, gains: Float[np.ndarray, "count m n"], horizons: Sequence[int] | np.ndarray
    ) -> Float[np.ndarray, "horizons count"]:
        """J_H of N gains at several horizons in one pass over the longest, (N, m, n) → (len(horizons), N).

        A gain whose state covariance or cost leaves float64, or which is not finite, gets −inf.

        Raises:
            ValueError: if the gains have the wrong shape or a horizon is not an integer of at least 1.
        """
        gains = np.asarray(gains, dtype=np.float64)
        if gains.ndim != 3 or gains.shape[1:] != self.K_expert.shape:
            raise ValueError(f"gains must have shape (N, {self.action_size}, {self.state_size}), got {gains.shape}")
        wanted = [self.steps(h) for h in horizons]
        out = np.empty((len(wanted), len(gains)))
        for start in range(0, len(gains), _CHUNK):
            part = slice(start, start + _CHUNK)
            out[:, part] = self._rewards_of_chunk(gains[part], wanted)
        return out

    def _rewards_of_chunk(self, gains: np.ndarray, horizons: list[int]) -> np.ndarray:
        out = np.empty((len(horizons), len(gains)))
        with np.errstate(over="ignore", invalid="ignore"):
            closed_loop, cost = self.A + self.B @ gains, self.Q + gains.transpose(0, 2, 1) @ self.R @ gains
            transposed, noise = closed_loop.transpose(0, 2, 1), self.noise_covariance
            x = np.broadcast_to(self.initial_covariance, closed_loop.shape)
            total = np.zeros(len(gains))
            for h in range(1, max(horizons, default=0) + 1):
                total = total + np.einsum("nij,nij->n", cost, x)
                for row in (i for i, wanted in enumerate(horizons) if wanted == h):
                    out[row] = total
                x = closed_loop @ x @ transposed + noise
        return np.where(np.isfinite(out), -out, -np.inf)  # inf − inf on the way is an overflow too

    def gap(self, K: Float[np.ndarray, "m n"]) -> float:
        """J_H(K*) − J_H(K) as a sum over the learner's states, with no difference of rewards to cancel; inf if J_H is.

        With Δ = K − K*, X_h the learner's covariances and P_h the expert's costs-to-go (performance difference, in
        this form Fazel et al. 2018, Lemma 10): Σ_h tr(Δ'(2E_h + (R + B'P_{h+1}B)Δ)X_h), E_h = RK* + B'P_{h+1}(A + BK*).
        Negative where the expert is not optimal. Checked against the difference, and at 60 digits for tiny Δ.

        Raises:
            ValueError: on a bad gain.
            OverflowError: if the expert's own cost exceeds float64.
        """
        K = self.gain("K", K)
        error, to_go = K - self.K_expert, self.costs_to_go(self.K_expert)[1:]
        with np.errstate(over="ignore", invalid="ignore"):
            x = self._covariances(K, self.horizon)
            advantage = self.R @ self.K_expert + self.B.T @ to_go @ self.closed_loop
            slope = 2.0 * advantage + (self.R + self.B.T @ to_go @ self.B) @ error
            total = float(np.sum(error * np.sum(slope @ x, axis=0)))
        return total if np.isfinite(total) else np.inf

    def stable_loop(self, K: Float[np.ndarray, "m n"], quantity: str) -> Float[np.ndarray, "n n"]:
        """A + BK if its spectral radius is below one.

        Raises:
            ValueError: saying that `quantity` needs a stable closed loop otherwise.
        """
        closed_loop = self.closed_loop_of(K)
        radius = float(spectral_radii(closed_loop[None])[0])
        if radius >= 1.0:
            raise ValueError(f"{quantity} needs a spectral radius of A + BK below 1, got {radius:.6g} for K")
        return closed_loop

    def infinite_horizon_reward(self, K: Float[np.ndarray, "m n"]) -> float:
        """J_∞(K) = −tr((Q + K'RK) X) with X = F X F' + Σ_0 the sum of all X_h; without process noise.

        Raises:
            ValueError: if the closed loop is not stable, or there is process noise (the sum then diverges; ask for
                `average_reward`).
        """
        if np.any(self.noise_covariance):
            raise ValueError("process_noise must be zero for an infinite horizon, its sum of rewards diverges")
        closed_loop = self.stable_loop(K, "the infinite-horizon reward")
        total = solve_discrete_lyapunov(closed_loop, self.initial_covariance)
        return -float(np.sum(self.step_cost(self.gain("K", K)) * total))

    def average_reward(self, K: Float[np.ndarray, "m n"]) -> float:
        """lim J_H(K)/H = −tr((Q + K'RK) X) with X = F X F' + W the stationary covariance; per step.

        Raises:
            ValueError: if the closed loop is not stable.
        """
        stationary = solve_discrete_lyapunov(self.stable_loop(K, "the average reward"), self.noise_covariance)
        return -float(np.sum(self.step_cost(self.gain("K", K)) * stationary))


def spectral_radii(matrices: Float[np.ndarray, "count n n"]) -> Float[np.ndarray, " count"]:
    """Largest modulus of an eigenvalue of each of N matrices, (N, n, n) → (N,); inf where an entry is not finite."""
    finite = np.all(np.isfinite(matrices), axis=(1, 2))
    out = np.full(len(matrices), np.inf)
    out[finite] = np.abs(np.linalg.eigvals(matrices[finite])).max(axis=1, initial=0.0)
    return out


def rollout_rewards(
    system: LinearSystem, K: Float[np.ndarray, "m n"], episodes: int, seed: int, horizon: int | None = None
) -> Float[np.ndarray, " episodes"]:
    """Sum of rewards of each of `episodes` episodes really run, with drawn initial states and process noise.

    Their mean estimates J_H(K); they spread because of x_0 and w, not because of K.

    Args:
        system: the dynamics and the cost.
        K: (m, n).
        episodes: ≥ 1.
        seed: of the draws.
        horizon: H ≥ 1; the system's own if None.

    Raises:
        ValueError: on a bad argument.
    """
    validation.integer("episodes", episodes, 1)
    K, steps = system.gain("K", K), system.steps(horizon)
    rng = np.random.default_rng(seed)

    def draw(root: np.ndarray) -> np.ndarray:
        return rng.standard_normal((episodes, system.state_size)) @ root

    process = None if system.process_noise is None else matrix_root(system.process_noise)
    state, total = draw(matrix_root(system.initial_covariance)), np.zeros(episodes)
    for _ in range(steps):
        action = state @ K.T
        total -= np.sum((state @ system.Q) * state, axis=1) + np.sum((action @ system.R) * action, axis=1)
        state = state @ system.A.T + action @ system.B.T
        if process is not None:
            state += draw(process)
    return total


@dataclasses.dataclass(frozen=True, eq=False)
class HorizonExponent:
    """How a spread grows with the horizon: spread ∝ H^slope.

    Attributes:
        local: slopes of log spread between neighbouring horizons, one fewer than the horizons.
        slope: least-squares slope over all of them.
        residual: rms distance of log spread from that line; not small means that there is no single power.
    """

    local: Float[np.ndarray, " pairs"]
    slope: float
    residual: float


def horizon_exponent(horizons: Sequence[int] | np.ndarray, spreads: Float[np.ndarray, " count"]) -> HorizonExponent:
    """Exponent of a spread in the horizon, on log-log axes.

    Args:
        horizons: at least two, positive and increasing.
        spreads: as many, each > 0.

    Raises:
        ValueError: otherwise.
    """
    h, s = validation.array("horizons", horizons, 1), validation.array("spreads", spreads, 1)
    if h.size < 2 or np.any(h <= 0) or np.any(np.diff(h) <= 0):
        raise ValueError(f"horizons must be at least two, positive and increasing, got {horizons!r}")
    if s.shape != h.shape or np.any(s <= 0):
        raise ValueError(f"spreads must be {h.size} positive numbers, one for each horizon, got {spreads!r}")
    x, y = np.log(h) - np.log(h).mean(), np.log(s)
    slope = float(x @ y / (x @ x))
    residual = y - y.mean() - slope * x
    return HorizonExponent(np.diff(y) / np.diff(x), slope, float(np.sqrt(np.mean(residual**2))))

"""A contracting nonlinear loop with known constants (proposition C.3, reconstructed).

    x_{h+1} = f(x_h, u_h),   f(x, u) = ρ W φ(x) + L_u E (u − π*(x)),   π*(x) = tanh(K x)

with W orthogonal, ‖E‖ ≤ 1 and φ elementwise with φ(0) = 0 and slopes in [0, 1]. Under the expert u = π*(x) the loop is
ρWφ(x), a contraction of rate exactly ρ (attained at 0); f is L_u-Lipschitz in u. A learner u = π*(x) + Δ(x) follows
x' = ρWφ(x) + L_u E Δ(x). Where no constant is known, `lyapunov` measures contraction.
"""

import dataclasses
from collections.abc import Callable
from typing import Literal, get_args

import numpy as np
from jaxtyping import Float

from gvatheory import validation
from gvatheory.validation import Numbers

Activation = Literal["tanh", "softsign", "identity"]
"""φ(x): tanh x, x/(1+|x|), or x."""

PolicyError = Callable[[np.ndarray], np.ndarray]
"""Δ: states (episodes, n) → action errors (episodes, m)."""


@dataclasses.dataclass(frozen=True, eq=False)
class ContractingLoop:
    """The loop above, with the reward −L_r ‖x‖ (concave) per step.

    Attributes:
        rate: ρ in [0, 1).
        input_gain: L_u ≥ 0.
        reward_slope: L_r ≥ 0.
        rotation: W, (n, n), orthogonal.
        input_map: E, (n, m), of spectral norm at most one.
        expert_gain: K, (m, n); zero is the expert u = 0.
        activation: φ.

    Raises:
        ValueError: naming the argument that is out of its range or of the wrong shape.
    """

    rate: float
    input_gain: float
    reward_slope: float
    rotation: Float[np.ndarray, "n n"]
    input_map: Float[np.ndarray, "n m"]
    expert_gain: Float[np.ndarray, "m n"]
    activation: Activation = "tanh"

    def __post_init__(self) -> None:
        validation.real("rate", self.rate, 0.0, 1.0, open_high=True)
        validation.real("input_gain", self.input_gain, 0.0, np.inf)
        validation.real("reward_slope", self.reward_slope, 0.0, np.inf)
        W, E, K = (
            np.atleast_2d(validation.array(name, getattr(self, name), 2))
            for name in ("rotation", "input_map", "expert_gain")
        )
        n, m = E.shape
        if W.shape != (n, n) or K.shape != (m, n):
            raise ValueError(f"rotation {W.shape} and expert_gain {K.shape} do not fit input_map {E.shape}")
        if np.abs(W.T @ W - np.eye(n)).max() > 1e-12 * n:
            raise ValueError(f"rotation must be orthogonal, off by {np.abs(W.T @ W - np.eye(n)).max():g}")
        validation.real("spectral norm of input_map", np.linalg.norm(E, 2), 0.0, 1.0 + 1e-12)
        if self.activation not in get_args(Activation):
            raise ValueError(f"activation must be one of {get_args(Activation)}, got {self.activation!r}")

    def expert(self, states: Float[np.ndarray, "episodes n"]) -> Float[np.ndarray, "episodes m"]:
        """π*(x) = tanh(K x), (episodes, m)."""
        return np.tanh(states @ self.expert_gain.T)

    def dynamics(
        self, states: Float[np.ndarray, "episodes n"], actions: Float[np.ndarray, "episodes m"]
    ) -> Float[np.ndarray, "episodes n"]:
        """f(x, u), (episodes, n)."""
        return self._move(states, actions - self.expert(states))

    def _move(self, states: np.ndarray, error: np.ndarray) -> np.ndarray:
        """f(x, π*(x) + error), (episodes, n)."""
        match self.activation:
            case "tanh":
                moved = np.tanh(states)
            case "softsign":
                moved = states / (1.0 + np.abs(states))
            case _:
                moved = states
        return self.rate * moved @ self.rotation.T + self.input_gain * error @ self.input_map.T

    def rollout(
        self, delta: PolicyError | None, x0: Float[np.ndarray, "episodes n"], horizon: int
    ) -> Float[np.ndarray, "episodes horizon n"]:
        """States x_0 .. x_{H−1} of every episode under π* + Δ, (episodes, H, n); None for Δ is the expert.

        Raises:
            ValueError: if horizon < 1 or x0 is not finite or of the wrong shape.
        """
        validation.integer("horizon", horizon, 1)
        x = validation.array("x0", x0, 2)
        if x.shape[1:] != (len(self.rotation),):
            raise ValueError(f"x0 must have shape (episodes, {len(self.rotation)}), got {x.shape}")
        states, nothing = np.empty((len(x), horizon, x.shape[1])), np.zeros((len(x), self.input_map.shape[1]))
        for h in range(horizon):
            states[:, h] = x
            x = self._move(x, nothing if delta is None else delta(x))
        return states

    def reward(self, states: Float[np.ndarray, "*batch n"]) -> Float[np.ndarray, "*batch"]:
        """−L_r ‖x‖, (..., n) → (...)."""
        return -self.reward_slope * np.linalg.norm(states, axis=-1)

    def gap(
        self, delta: PolicyError, x0: Float[np.ndarray, "episodes n"], horizon: int
    ) -> Float[np.ndarray, " episodes"]:
        """J_H(expert) − J_H(learner) from each start, (episodes,)."""
        expert, learner = (self.reward(self.rollout(d, x0, horizon)).sum(axis=1) for d in (None, delta))
        return expert - learner

    def gap_bound(self, eps: float, horizon: int) -> float:
        """|gap| ≤ L_r L_u ε [H/(1−ρ) − (1−ρ^H)/(1−ρ)²] if ‖Δ‖ ≤ ε wherever the learner goes: linear in H.

        e_h = ‖x_h − x*_h‖ starts at 0 and e_{h+1} ≤ ρe_h + L_uε, so e_h ≤ L_uε (1−ρ^h)/(1−ρ); sum over h < H. Equality
        for n = 1, φ = identity, constant Δ = ε and x_0 ≥ 0. Computed as a sum, so that ρ near 1 keeps its digits.

        Raises:
            ValueError: if eps is negative or horizon < 1.
        """
        validation.real("eps", eps, 0.0, np.inf)
        validation.integer("horizon", horizon, 1)
        # Σ_h (1−ρ^h)/(1−ρ) = Σ_j (H−1−j) ρ^j
        j = np.arange(horizon)
        return float(self.reward_slope * self.input_gain * eps * np.sum((horizon - 1.0 - j) * self.rate**j))

    def uniform_gap_bound(self, delta: float, x0_norm: float) -> float:
        """|gap| ≤ L_r L_u δ ‖x_0‖ / ((1−ρ)(1−ρ−L_uδ)) for every H, if ‖Δ(x)‖ ≤ δ‖x‖ and ρ + L_uδ < 1.

        Then ‖x_h‖ ≤ (ρ+L_uδ)^h ‖x_0‖ since the loop fixes 0, and e_{h+1} ≤ ρe_h + L_uδ‖x_h‖; summed over all h, Σe ≤
        L_uδ/(1−ρ) · Σ‖x_h‖. Attained as H → ∞ for n = 1, φ = identity, Δ(x) = δx. inf if ρ + L_uδ ≥ 1.

        Raises:
            ValueError: if a value is negative.
        """
        validation.real("delta", delta, 0.0, np.inf)
        validation.real("x0_norm", x0_norm, 0.0, np.inf)
        margin = 1.0 - self.rate - self.input_gain * delta
        if margin <= 0.0:
            return np.inf
        return float(self.reward_slope * self.input_gain * delta * x0_norm / ((1.0 - self.rate) * margin))


def random_contracting_loop(
    state_size: int,
    action_size: int,
    rate: float,
    seed: int,
    *,
    input_gain: float = 1.0,
    reward_slope: float = 1.0,
    activation: Activation = "tanh",
) -> ContractingLoop:
    """A loop with Haar orthogonal W, Gaussian E scaled to norm one, and K of independent N(0, 1/n) entries.

    Raises:
        ValueError: if a value is out of its range.
    """
    validation.integer("state_size", state_size, 1)
    validation.integer("action_size", action_size, 1)
    rng = np.random.default_rng(seed)
    from scipy.stats import ortho_group  # takes long to import

    W = np.atleast_2d(ortho_group.rvs(state_size, random_state=rng)) if state_size > 1 else np.ones((1, 1))
    E = rng.standard_normal((state_size, action_size))
    K = rng.standard_normal((action_size, state_size)) / np.sqrt(state_size)
    return ContractingLoop(rate, input_gain, reward_slope, W, E / np.linalg.norm(E, 2), K, activation)


def offset_reward_spread(
    loop: ContractingLoop, std: float, x0: Numbers, horizon: int, samples: int, seed: int
) -> Float[np.ndarray, " horizon"]:
    """Standard deviation of J_h, h = 1..H, over learners π* + b, b ~ N(0, std² I) fixed in an episode, by Monte Carlo.

    At most L_r L_u std √m [H/(1−ρ) − (1−ρ^H)/(1−ρ)²], that is `gap_bound(std √m, H)`: the spread is at most the root
    mean square gap, and E‖b‖² = m std². So the spread of the reward grows at most linearly in H.

    Args:
        loop: n states, m actions.
        std: ≥ 0.
        x0: (n,), the one start.
        horizon: H ≥ 1.
        samples: learners, ≥ 2.
        seed: of the generator.

    Raises:
        ValueError: if a value is out of its range.
    """
    validation.real("std", std, 0.0, np.inf)
    validation.integer("samples", samples, 2)
    offsets = std * np.random.default_rng(seed).standard_normal((samples, loop.input_map.shape[1]))
    starts = np.tile(validation.array("x0", x0, 1), (samples, 1))
    return np.cumsum(loop.reward(loop.rollout(lambda _: offsets, starts, horizon)), axis=1).std(axis=0, ddof=1)

"""Moments of a linear system's reward under a Gaussian law of the gain error Δ = K − K*, vec'd row by row.

J_H is a polynomial in Δ of degree 2H if R ≠ 0 and 2(H−1) if R = 0, and a Gauss-Hermite rule of q nodes integrates
degree 2q − 1. So along a random direction the mean needs H + 1 nodes (H if R = 0) and the second moment 2H + 1 (2H − 1
if R = 0); a law of few random directions is done exactly by a tensor grid of them.

One direction is done without nodes, in the orthonormal Hermite polynomials ψ_k of z ~ N(0, 1): with F = F_0 + zG the
covariances X_h = Σ_k X_{h,k} ψ_k(z) obey a recursion, since z ψ_k = √(k+1) ψ_{k+1} + √k ψ_{k−1}, and
J_H = −Σ_k c_k ψ_k has mean −c_0 and variance Σ_{k≥1} c_k², with nothing to cancel however small the spread. Other laws
have the second-order expansion, with its error estimated.

Averages here are over gains whose Gaussian tails are unstable: at long horizons they say what rare gains cost, not what
a typical one does, and grow without bound in H. For a typical gain look at quantiles of `GainReward.value`.
"""

import dataclasses
import itertools
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float
from scipy.special import roots_hermitenorm

from gvatheory import validation
from gvatheory.gain_derivatives import GainMoments, reward_gradient, reward_hessian, second_order_moments
from gvatheory.laws import Law
from gvatheory.linear_system import LinearSystem, spectral_radii
from gvatheory.rewards import Reward, RewardLaw
from gvatheory.systems import ScalarLoop

_MAX_NODES = 200_000  # of a tensor grid
_NEGLIGIBLE = 1e-13  # share of the largest variance below which a direction counts as fixed


def hermite_nodes(system: LinearSystem, horizon: int | None = None) -> int:
    """Gauss-Hermite nodes per random direction that make E J_H² (hence Var J_H) exact: 2H + 1, or 2H − 1 if R = 0."""
    return 2 * system.steps(horizon) + (1 if np.any(system.R) else -1)


def reward_along(
    system: LinearSystem,
    direction: Float[np.ndarray, "m n"],
    sd: float = 1.0,
    mean: float = 0.0,
    horizon: int | None = None,
) -> GainMoments:
    """Exact mean and variance of J_H(K* + δ · direction), δ ~ N(mean, sd²).

    Checked against Gauss-Hermite quadrature with `hermite_nodes`, exact rationals and, for scalars, `ScalarLoop`.

    Args:
        system: the dynamics and the cost.
        direction: (m, n), of any norm.
        sd: ≥ 0.
        mean: of δ.
        horizon: H ≥ 1; the system's own if None.

    Raises:
        ValueError: on a bad argument.
        OverflowError: if a moment exceeds float64.
    """
    direction = system.gain("direction", direction)
    validation.real("sd", sd, 0.0, np.inf)
    validation.real("mean", mean, -np.inf, np.inf)
    steps = system.steps(horizon)
    means, variances = _line_moments(system, system.K_expert + mean * direction, sd * direction, steps)
    return GainMoments(*_representable(means[-1:], variances[-1:], [steps])[:, 0].tolist())


def exact_gain_moments(
    system: LinearSystem, law: Law, horizons: Sequence[int] | np.ndarray
) -> tuple[Float[np.ndarray, " horizons"], Float[np.ndarray, " horizons"]]:
    """Exact mean and variance of J_H at each of several horizons, for a law with few random directions; one pass.

    A covariance of rank one is done as `reward_along`, a higher one by a tensor grid of `hermite_nodes` nodes per
    direction. Directions with less than 1e-13 of the largest variance count as fixed.

    Args:
        system: the dynamics and the cost.
        law: of vec(K − K*), row-major, of dimension mn.
        horizons: each ≥ 1.

    Returns:
        means and variances, each (len(horizons),).

    Raises:
        ValueError: on a bad argument, or if the grid would exceed 200,000 nodes.
        OverflowError: if a moment exceeds float64.
    """
    wanted = _horizons(system, horizons)
    gain, steps = _mean_and_directions(system, law)
    longest = max(wanted)
    if len(steps) <= 1:
        step = steps[0] if len(steps) else np.zeros_like(gain)
        rows = np.array(wanted) - 1
        means, variances = (v[rows] for v in _line_moments(system, gain, step, longest))
    else:
        count = hermite_nodes(system, longest)
        if count ** len(steps) > _MAX_NODES:
            raise ValueError(
                f"law has {len(steps)} random directions: {count} nodes for each at horizon {longest} exceed "
                f"{_MAX_NODES} in all; shorten the horizon or use expand_reward"
            )
        z, weights = _grid(count, len(steps))
        values = system.rewards_by_horizon(gain + np.tensordot(z, steps, axes=1), wanted)
        with np.errstate(over="ignore", invalid="ignore"):
            means = values @ weights
            variances = (values - means[:, None]) ** 2 @ weights
    means, variances = _representable(means, variances, wanted)
    return means, variances


def _horizons(system: LinearSystem, horizons: Sequence[int] | np.ndarray) -> list[int]:
    wanted = [system.steps(h) for h in horizons]
    if not wanted:
        raise ValueError("horizons must not be empty")
    return wanted


def _representable(means: np.ndarray, variances: np.ndarray, horizons: list[int]) -> np.ndarray:
    both = np.stack([means, variances])
    if not np.all(np.isfinite(both)):
        late = [h for h, ok in zip(horizons, np.all(np.isfinite(both), axis=0), strict=True) if not ok]
        raise OverflowError(f"a moment of the reward exceeds float64 at horizon {min(late)}")
    return both


def _mean_and_directions(system: LinearSystem, law: Law) -> tuple[np.ndarray, np.ndarray]:
    """Mean gain (m, n), and one-sd steps (r, m, n) along the random principal directions of the law."""
    gain = system.mean_gain(law)
    values, vectors = np.linalg.eigh(law.covariance)
    kept = values > _NEGLIGIBLE * max(values.max(), 0.0)
    steps = (vectors[:, kept] * np.sqrt(values[kept])).T
    return gain, steps.reshape(-1, *gain.shape)


def _grid(count: int, directions: int) -> tuple[np.ndarray, np.ndarray]:
    """Nodes (N, directions) and weights (N,) of a tensor Gauss-Hermite rule for N(0, I)."""
    nodes, weights = roots_hermitenorm(count)
    weights = weights / weights.sum()
    z = np.array(list(itertools.product(nodes, repeat=directions)))
    w = np.prod(np.array(list(itertools.product(weights, repeat=directions))), axis=1)
    # Weights that underflow lie beyond 38 sd. A polynomial of a degree this grid is for has its mass below 30.
    return z[w > 0], w[w > 0]


def _times_z(coefficients: np.ndarray) -> np.ndarray:
    """Hermite coefficients of z f from those of f, along axis 0: (k, ...) → (k + 1, ...)."""
    root = np.sqrt(np.arange(1.0, len(coefficients) + 1)).reshape(-1, *(1,) * (coefficients.ndim - 1))
    out = np.zeros((len(coefficients) + 1, *coefficients.shape[1:]))
    out[1:] = root * coefficients
    out[:-2] += root[:-1] * coefficients[1:]
    return out


def _line_moments(system: LinearSystem, gain: np.ndarray, step: np.ndarray, steps: int) -> tuple[np.ndarray, ...]:
    """E and Var of J_H(gain + z step), z ~ N(0, 1), for H = 1..steps: two arrays (steps,); O(steps²) small products."""
    f, g = system.A + system.B @ gain, system.B @ step
    cross = gain.T @ system.R @ step
    x = system.initial_covariance[None].copy()
    total = np.zeros(2 * steps + 1)
    means, variances = np.empty(steps), np.empty(steps)
    with np.errstate(over="ignore", invalid="ignore"):
        for h in range(steps):
            costs = (system.step_cost(gain), cross + cross.T, step.T @ system.R @ step)
            fixed, linear, quadratic = (np.einsum("ij,kij->k", cost, x) for cost in costs)
            k = len(x)
            total[:k] += fixed
            total[: k + 1] += _times_z(linear)
            total[: k + 2] += _times_z(_times_z(quadratic))
            means[h], variances[h] = -total[0], np.sum(total[1:] ** 2)
            right = _times_z(x @ g.T)  # X F' = X F_0' + z X G'
            right[:k] += x @ f.T
            x = _times_z(g @ right)
            x[: k + 1] += f @ right
            x[0] += system.noise_covariance
    return means, variances


def reward_spread_by_horizon(
    system: LinearSystem, randomness: Float[np.ndarray, "m n"] | Law, horizons: Sequence[int] | np.ndarray
) -> Float[np.ndarray, " horizons"]:
    """Exact standard deviation of J_H over random gains at each horizon, in one pass over the longest.

    To first order in a small gain error it grows as the loop does: along a direction that moves the modulus of the
    leading eigenvalue a, as H² for |a| = 1 (while sH ≪ 1), to a bound for |a| < 1, as H a^{2H} for |a| > 1; as H⁵ for a
    double eigenvalue 1 in a Jordan block (while sH² ≪ 1).

    Args:
        system: the dynamics and the cost.
        randomness: a direction D (m, n), for K = K* + zD with z ~ N(0, 1); or a law as for `exact_gain_moments`.
        horizons: each ≥ 1.

    Raises:
        ValueError, OverflowError: as `exact_gain_moments`.
    """
    if isinstance(randomness, Law):
        return np.sqrt(exact_gain_moments(system, randomness, horizons)[1])
    direction, wanted = system.gain("randomness", randomness), _horizons(system, horizons)
    rows = np.array(wanted) - 1
    means, variances = (v[rows] for v in _line_moments(system, system.K_expert, direction, max(wanted)))
    return np.sqrt(_representable(means, variances, wanted)[1])


@dataclasses.dataclass(frozen=True)
class ExpandedReward:
    """Second-order moments of J_H and their estimated errors (exact minus expansion).

    Attributes:
        mean, variance: of the second-order expansion.
        mean_error, variance_error: estimates of E J − mean and Var J − variance, from draws.
        mean_error_se, variance_error_se: their standard errors.
        largest_share: share of the draws' squared deviations that is due to the largest one.
        unstable_share: fraction of the drawn gains whose A + BK has a spectral radius above one.
        line_ratio: exact over expanded variance along one line of gains through the mean: the law's steepest direction
            or its most curved, whichever has the larger expanded variance. No draws are in it.
    """

    mean: float
    variance: float
    mean_error: float
    variance_error: float
    mean_error_se: float
    variance_error_se: float
    largest_share: float
    unstable_share: float
    line_ratio: float

    @property
    def corrected_mean(self) -> float:
        """mean + mean_error, an unbiased estimate of E J."""
        return self.mean + self.mean_error

    @property
    def corrected_variance(self) -> float:
        """variance + variance_error, an estimate of Var J without bias; it may be negative by chance."""
        return self.variance + self.variance_error


def expand_reward(
    system: LinearSystem, law: Law, pairs: int = 10_000, seed: int = 0, horizon: int | None = None
) -> ExpandedReward:
    """Second-order moments of J_H, and how far off they are: the residual J − quadratic, averaged over drawn gains.

    The quadratic q is the control variate: E J = E q + E(J − q) and Var J = Var q + Cov(J − q, J + q), where the first
    terms are known. Draws come in pairs mean ± Δ, which cancel the residual's odd part.

    The standard errors are those of a sample, and mislead where rare unstable gains carry the moments: draws that have
    not met them show neither the error nor its size. Trust them only if `largest_share` is small (below 0.05, say), and
    `line_ratio` agrees with corrected_variance/variance in being near one. Otherwise the moments themselves are about
    rare gains: shorten the horizon, use `exact_gain_moments` on the directions that matter, or report quantiles of
    `GainReward.value(law.sample(...))`, which no rare draw moves.

    Args:
        system: the dynamics and the cost.
        law: of vec(K − K*), row-major, of dimension mn.
        pairs: number of pairs of draws, ≥ 2.
        seed: of the draws.
        horizon: H ≥ 1; the system's own if None.

    Raises:
        ValueError: on a bad argument.
        OverflowError: if a derivative at the law's mean exceeds float64. A drawn gain whose reward does makes the
            errors −inf and inf, with infinite standard errors.
    """
    validation.integer("pairs", pairs, 2)
    steps = system.steps(horizon)
    mean, variance = second_order_moments(system, law, steps)
    gain, directions = _mean_and_directions(system, law)
    g, curvature = reward_gradient(system, gain, steps).ravel(), reward_hessian(system, gain, steps)
    change = law.sample(pairs, seed) - law.mean
    change = np.concatenate([change, -change])
    gains = gain + change.reshape(-1, *gain.shape)
    values = system.rewards(gains, steps)
    unstable = float(np.mean(spectral_radii(system.A + system.B @ gains) > 1.0))
    line_ratio = _line_ratio(system, gain, directions, g, curvature, steps)
    with np.errstate(over="ignore", invalid="ignore"):
        squares = (values - values.mean()) ** 2
        quadratic = system.reward(gain, steps) + change @ g + 0.5 * np.sum((change @ curvature) * change, axis=1)
        residual, both = ((values + sign * quadratic).reshape(2, pairs) for sign in (-1.0, 1.0))
        variance_error, variance_error_se = paired_covariance(residual, both)
    if not np.isfinite(variance_error):
        return ExpandedReward(mean, variance, -np.inf, np.inf, np.inf, np.inf, 1.0, unstable, line_ratio)
    return ExpandedReward(
        mean,
        variance,
        float(residual.mean()),
        variance_error,
        float(residual.mean(axis=0).std(ddof=1) / np.sqrt(pairs)),
        variance_error_se,
        float(squares.max() / squares.sum()) if squares.sum() > 0 else 0.0,
        unstable,
        line_ratio,
    )


def paired_covariance(x: Float[np.ndarray, "2 pairs"], y: Float[np.ndarray, "2 pairs"]) -> tuple[float, float]:
    """Unbiased estimate of Cov(x, y) from independent pairs of dependent draws, and its standard error.

    Centring by the sample means takes their covariance away from the mean product; it is estimated and put back.
    """
    products = ((x - x.mean()) * (y - y.mean())).mean(axis=0)
    pairs = len(products)
    lost = float(np.cov(x.mean(axis=0), y.mean(axis=0))[0, 1]) / pairs
    return float(products.mean()) + lost, float(products.std(ddof=1) / np.sqrt(pairs))


def _line_ratio(
    system: LinearSystem, gain: np.ndarray, directions: np.ndarray, g: np.ndarray, curvature: np.ndarray, steps: int
) -> float:
    """Exact over expanded variance of J_H along gain + zD, D the law's steepest direction or its most curved."""
    root = directions.reshape(len(directions), gain.size)
    slope, bend = root @ g, root @ curvature @ root.T
    values, vectors = np.linalg.eigh(bend)
    candidates = list(vectors.T[np.argsort(-np.abs(values))[:1]])
    candidates += [slope / np.linalg.norm(slope)] if np.any(slope) else []
    spreads = [float((u @ slope) ** 2 + 0.5 * (u @ bend @ u) ** 2) for u in candidates]
    if not any(spreads):
        return 1.0
    line = candidates[int(np.argmax(spreads))]
    exact = _line_moments(system, gain, np.tensordot(line, directions, axes=1), steps)[1][-1]
    return float(exact / max(spreads)) if np.isfinite(exact) else np.inf


@dataclasses.dataclass(frozen=True, eq=False)
class GainReward(Reward):
    """J_H of a linear system as the reward of a gain error Δ = vec(K − K*), row-major, d = mn.

    Mean and variance are exact where `exact_gain_moments` can do the law: one random direction at any horizon, a few at
    short ones. Elsewhere they are the second-order expansion, whose error `expand_reward` estimates and which is poor
    once spread times horizon is not small; `is_exact` tells which.

    Attributes:
        system: the dynamics and the cost.
        samples: number of draws for a fall probability that has no closed form, ≥ 1.
        seed: of those draws.
    """

    system: LinearSystem
    samples: int = 100_000
    seed: int = 0

    def __post_init__(self) -> None:
        validation.integer("samples", self.samples, 1)
        validation.integer("seed", self.seed, 0)

    def _gains(self, errors: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n actions states"]:
        shape = self.system.K_expert.shape
        if errors.shape[1] != shape[0] * shape[1]:
            raise ValueError(f"errors must have shape (n, {shape[0] * shape[1]}), got {errors.shape}")
        return self.system.K_expert + errors.reshape(-1, *shape)

    def value(self, errors: Float[np.ndarray, "n d"]) -> Float[np.ndarray, " n"]:
        """J_H of each gain, exact; −inf where it exceeds float64."""
        return self.system.rewards(self._gains(errors))

    def fallen(self, errors: Float[np.ndarray, "n d"]) -> Bool[np.ndarray, " n"]:
        """Whether the learner's closed loop is unstable: spectral radius of A + BK above one, or not a number."""
        with np.errstate(over="ignore", invalid="ignore"):
            return spectral_radii(self.system.A + self.system.B @ self._gains(errors)) > 1.0

    def is_exact(self, law: Law) -> bool:
        """Whether `mean` and `variance` are exact under this law, rather than a second-order expansion."""
        directions = len(_mean_and_directions(self.system, law)[1])
        return directions <= 1 or hermite_nodes(self.system) ** directions <= _MAX_NODES

    def moments(self, law: Law) -> RewardLaw:
        """All three; see the class for which of them are exact.

        Raises:
            ValueError: if the law's dimension is not mn.
            OverflowError: if the mean or the variance exceeds float64.
        """
        mean, variance = self._mean_and_variance(law)
        return RewardLaw(mean, variance, self.fall_probability(law))

    def _mean_and_variance(self, law: Law) -> GainMoments:
        if not self.is_exact(law):
            return second_order_moments(self.system, law)
        means, variances = exact_gain_moments(self.system, law, [self.system.horizon])
        return GainMoments(float(means[0]), float(variances[0]))

    def mean(self, law: Law) -> float:
        """E J_H, as `moments` without the falls."""
        return self._mean_and_variance(law).mean

    def variance(self, law: Law) -> float:
        """Var J_H, as `moments` without the falls."""
        return self._mean_and_variance(law).variance

    def fall_probability(self, law: Law) -> float:
        """P(A + BK is unstable): exact for one state, else the share among `samples` draws, s.e. at most ½/√samples."""
        gain = self.system.mean_gain(law)
        if self.system.state_size > 1:
            return float(np.mean(self.fallen(law.sample(self.samples, self.seed))))
        loop = ScalarLoop(float(self.system.closed_loop_of(gain)[0, 0]), 1)
        variance = self.system.B @ law.covariance @ self.system.B.T
        return loop.fall_probability(Law(np.zeros(1), np.maximum(variance, 0.0)))

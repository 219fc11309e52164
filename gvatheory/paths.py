"""Along training (proposition A8): averaged iterates as a stationary process, at a constant step size.

For an EMA of SGD on a noisy quadratic, in the eigenbasis and with k = ηλ, a = 1 − k, ρ = 1 − γ,

    Cov(ẽ_t,p, ẽ_{t+j},q) = M_pq [F_q r_j(q) + ρ^j (F_p − F_q)/2],    M_pq = η²N_pq/(1 − a_p a_q),

F and r_j the EMA factor and autocorrelation of `closed_forms`: from ẽ_{t+j} = ρ^j ẽ_t + γ Σ_i ρ^{j−i} e_{t+i}, where
e_{t+i} is expected at a^i e_t, and Cov(e_p, ẽ_q) = γM_pq/(1 − a_p ρ). Averaged over both orders of p and q, every entry
is M_pq times the mean of two scalar processes. Checked against dense powers of the joint transition and simulation.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from scipy.special import ndtr, owens_t

from gvatheory import closed_forms, validation
from gvatheory._float64 import in_float64
from gvatheory.averaging import EMA, Average
from gvatheory.learning import NoisyQuadratic, stationary_law
from gvatheory.problems import matrix_root
from gvatheory.validation import Numbers


@dataclasses.dataclass(frozen=True)
class WindowSpread:
    """What a window of one run shows of the spread, and what there is to see across runs.

    Attributes:
        window: expected sample covariance (divisor n−1) of the iterates of a window, (d, d).
        seeds: covariance across independent runs, (d, d).
        ratio: variance in the window over that across runs, per coordinate, (d,); NaN where there is no spread.
    """

    window: Float[np.ndarray, "d d"]
    seeds: Float[np.ndarray, "d d"]
    ratio: Float[np.ndarray, " d"]


@dataclasses.dataclass(frozen=True)
class FallDynamics:
    """How a stationary Gaussian sequence is past a threshold.

    Attributes:
        probability: of being past it, Φ(−u).
        rate: probability, per evaluation, of going past it: safe now and fallen at the next.
        mean_duration: mean number of evaluations that one fall lasts, probability/rate; infinite if it never ends, NaN
            if falls are too rare for float64 or impossible.
    """

    probability: float
    rate: float
    mean_duration: float


@dataclasses.dataclass(frozen=True)
class FallFraction:
    """The fraction of fallen episodes, over iterates or runs.

    Attributes:
        mean: expected fraction.
        variance: that of its expectation given the iterate, plus the binomial part of finitely many episodes.
    """

    mean: float
    variance: float


@dataclasses.dataclass(frozen=True)
class _Stationary:
    """The stationary process in the eigenbasis: its vectors as columns, λ, γ, M and F."""

    basis: np.ndarray
    lam: np.ndarray
    gamma: float
    last: np.ndarray
    factor: np.ndarray

    def in_original(self, matrix: np.ndarray) -> np.ndarray:
        return self.basis @ matrix @ self.basis.T


def _stationary(problem: NoisyQuadratic, step_size: float, average: Average) -> _Stationary:
    stationary_law(problem, step_size, average)  # refuses what has none, naming the argument
    lam, basis = problem.eigenbasis()
    k = step_size * lam
    noise = basis.T @ problem.noise_covariance() @ basis
    last = step_size**2 * noise / (k[:, None] + k[None, :] - k[:, None] * k[None, :])
    gamma = float(average.gamma) if isinstance(average, EMA) else 1.0
    return _Stationary(basis, lam, gamma, last, closed_forms.ema_factor(step_size, lam, gamma))


def stationary_autocovariance(
    problem: NoisyQuadratic, step_size: float, average: Average, lags: Numbers
) -> Float[np.ndarray, "lags d d"]:
    """Cov(ẽ_t, ẽ_{t+j}) for every lag j ≥ 0, in the original coordinates.

    Row index: the earlier iterate; column: the later one. With noise that is correlated between eigendirections it is
    not symmetric for j > 0; a negative lag is the transpose.

    Args:
        problem: every curvature positive.
        step_size: η with 0 < ηλ < 2 for every λ.
        average: `LastIterate`, or `EMA` with γ > 0.
        lags: whole numbers ≥ 0, in steps; (lags,) or one.

    Raises:
        ValueError: if an argument is out of range or the average has no stationary law.
    """
    s = _stationary(problem, step_size, average)
    j = np.atleast_1d(validation.array("lags", lags, 1))[:, None]
    if np.any(j < 0) or np.any(j != np.floor(j)):
        raise ValueError(f"lags must be whole numbers of at least 0, got {lags!r}")
    later = s.factor * closed_forms.autocorrelation(j, step_size, s.lam, s.gamma)
    tilt = 0.5 * (1.0 - s.gamma) ** j[:, :, None] * (s.factor[:, None] - s.factor[None, :])
    return s.in_original(s.last * (later[:, None, :] + tilt))


def window_spread(
    problem: NoisyQuadratic, step_size: float, average: Average, count: int, spacing: int = 1
) -> WindowSpread:
    """Expected sample covariance within a window of `count` iterates, `spacing` steps apart, beside that across seeds.

    Entry (p, q) in the eigenbasis is M_pq times the mean of F_p W_p and F_q W_q, W = `closed_forms.window_factor`:
    accurate relative to itself however little of the spread the window shows.

    Args:
        problem, step_size, average: as in `stationary_autocovariance`.
        count: n ≥ 2.
        spacing: ≥ 1, in steps.

    Raises:
        ValueError: if an argument is out of range or the average has no stationary law.
    """
    s = _stationary(problem, step_size, average)
    seen = s.factor * closed_forms.window_factor(count, step_size, s.lam, s.gamma, spacing)
    window, seeds = (s.in_original(0.5 * s.last * (f[:, None] + f[None, :])) for f in (seen, s.factor))
    variance, shown = np.diagonal(seeds), np.diagonal(window)
    ratio = np.where(variance > 0, shown / np.where(variance > 0, variance, 1.0), np.nan)
    return WindowSpread(window, seeds, ratio)


def threshold_dynamics(margin: float, roughness: float) -> FallDynamics:
    """Falls of a stationary Gaussian sequence past a threshold `margin` standard deviations above its mean.

    Rate Φ(u) − Φ₂(u, u; r) = 2T(u, √((1−r)/(1+r))), T Owen's function (1956), u = margin: no cancellation as r → 1.

    Args:
        margin: u, any sign.
        roughness: 1 − r in [0, 2], r the correlation of successive values.

    Raises:
        ValueError: if an argument is out of range.
    """
    validation.real("margin", margin, -np.inf, np.inf)
    validation.real("roughness", roughness, 0.0, 2.0)
    slope = np.sqrt(roughness / (2.0 - roughness)) if roughness < 2.0 else np.inf
    probability, rate = float(ndtr(-margin)), float(2.0 * owens_t(margin, slope))
    if rate > 0.0:
        return FallDynamics(probability, rate, probability / rate)
    return FallDynamics(probability, rate, np.inf if probability > 0.0 else np.nan)


def rice_rate(margin: Numbers, roughness: Numbers) -> Any:
    """Small-step limit φ(u)√((1−r)/π) of `threshold_dynamics`' rate, u = margin, 1 − r = roughness ≪ 1/(1+u²).

    Along one eigendirection 1 − r = kγ/(1+aρ) (`closed_forms.window_factor` of two): φ(u)√(k/π) for SGD and, at small k
    and γ, φ(u)√(kγ/2π) for its EMA, whose path is smooth enough for the formula of Rice (1944) (theory.md, section 4).
    """
    u, rough = validation.array("margin", margin, 8), validation.array("roughness", roughness, 8)
    if np.any((rough < 0) | (rough > 2)):
        raise ValueError(f"roughness must be in [0, 2], got {roughness!r}")
    return np.exp(-0.5 * u**2) / np.sqrt(2.0 * np.pi) * np.sqrt(rough / np.pi)


def fall_dynamics(
    problem: NoisyQuadratic,
    step_size: float,
    average: Average,
    normal: Numbers,
    offset: float,
    mean: float = 0.0,
    spacing: int = 1,
) -> FallDynamics:
    """Falls ⟨normal, ẽ⟩ > offset of the stationary average along training (theory.md section 4; A8).

    Args:
        problem, step_size, average: as in `stationary_autocovariance`.
        normal: (d,), or a number for d = 1.
        offset: ε, in units of ⟨normal, ẽ⟩.
        mean: a constant offset of ⟨normal, ẽ⟩, say a bias.
        spacing: steps from one evaluation to the next, ≥ 1.

    Raises:
        ValueError: if an argument is out of range, or there is no noise along `normal`.
    """
    n = np.atleast_1d(validation.array("normal", normal, 1))
    if n.shape != (problem.dimension,):
        raise ValueError(f"normal must have shape ({problem.dimension},) to fit the problem, got {n.shape}")
    validation.real("offset", offset, -np.inf, np.inf)
    validation.real("mean", mean, -np.inf, np.inf)
    spread = window_spread(problem, step_size, average, 2, spacing)
    variance = float(n @ spread.seeds @ n)
    if not variance > 0.0:
        raise ValueError(f"normal must be a direction with noise, got {normal!r} of variance {variance:g}")
    roughness = min(max(float(n @ spread.window @ n) / variance, 0.0), 2.0)
    return threshold_dynamics((offset - mean) / np.sqrt(variance), roughness)


def fall_fraction(
    law_mean: float, sd: float, offset: float, episode_noise: float, episodes: int | None = None
) -> FallFraction:
    """Fraction of fallen episodes; one falls if X > offset + episode_noise · N(0, 1), X ~ N(law_mean, sd²) per iterate.

    Mean Φ(−c), c = (offset − law_mean)/√(sd² + ς²), ς = episode_noise; variance Φ₂(−c, −c; r) − Φ(−c)² with
    r = sd²/(sd² + ς²) (theory.md section 4). That is 2[T(c, 1) − T(c, w)], w = ς/√(2sd² + ς²), T Owen's function, but
    evaluated as one integral, (1/π)∫_w^1 exp(−c²(1+x²)/2)/(1+x²) dx: the difference cancels for small sd or large c.
    A finite number n of episodes adds E[p(1−p)]/n = 2T(c, w)/n.

    Args:
        law_mean, sd: of ⟨n, ẽ⟩, sd ≥ 0.
        offset: ε.
        episode_noise: ς ≥ 0, not zero together with sd.
        episodes: n ≥ 1 per iterate; None for infinitely many.

    Raises:
        ValueError: if an argument is out of range.
    """
    for name, value in (("law_mean", law_mean), ("offset", offset)):
        validation.real(name, value, -np.inf, np.inf)
    validation.real("sd", sd, 0.0, np.inf)
    validation.real("episode_noise", episode_noise, 0.0, np.inf, open_low=sd == 0.0)
    if episodes is not None:
        validation.integer("episodes", episodes, 1)
    c = (offset - law_mean) / np.hypot(sd, episode_noise)
    whole = np.hypot(np.sqrt(2.0) * sd, episode_noise)
    low = episode_noise / whole
    # Up to where the integrand has fallen by e^−40; 1 − w without cancellation.
    length = 2.0 * (sd / whole) ** 2 / (1.0 + low)
    if abs(c) > 1.0:
        length = min(length, 80.0 / abs(c) / (np.hypot(low * c, np.sqrt(80.0)) + abs(low * c)))
    x, weights = np.polynomial.legendre.leggauss(48)
    x = low + 0.5 * length * (x + 1.0)
    terms = np.exp(-0.5 * c**2 * (1.0 + x**2)) / (1.0 + x**2)
    variance = 0.5 * length * float(weights @ terms) / np.pi
    if episodes is not None:
        variance += 2.0 * float(owens_t(c, low)) / episodes
    return FallFraction(float(ndtr(-c)), float(variance))


def joint_stationary_covariance(
    problem: NoisyQuadratic, step_size: float, average: Average
) -> Float[np.ndarray, "two_d two_d"]:
    """Stationary covariance of (e_t, ẽ_t) stacked, (2d, 2d), in the original coordinates; arguments as above.

    Raises:
        ValueError: if an argument is out of range or the average has no stationary law.
    """
    s = _stationary(problem, step_size, average)
    cross = s.last * (s.gamma / (s.gamma + (1.0 - s.gamma) * step_size * s.lam))[:, None]
    averaged = 0.5 * s.last * (s.factor[:, None] + s.factor[None, :])
    last, cross, averaged = (s.in_original(x) for x in (s.last, cross, averaged))
    joint = np.block([[last, cross], [cross.T, averaged]])
    return 0.5 * (joint + joint.T)


@functools.partial(jax.jit, static_argnames=("gradient", "count", "spacing"))
def _run(
    gradient: Callable[[Any, Array, Array], Array],
    parameters: Any,
    key: Array,
    start: tuple[Array, Array],
    step_size: Array,
    gamma: Array,
    count: int,
    spacing: int,
) -> Array:
    """Averaged errors (count, trials, d) at the start and every `spacing` steps after it."""

    def step(t: Array, state: tuple[Array, Array]) -> tuple[Array, Array]:
        theta, average = state
        normals = jax.random.normal(jax.random.fold_in(key, t), theta.shape, dtype=theta.dtype)
        theta = theta - step_size * gradient(parameters, normals, theta)
        return theta, average + gamma * (theta - average)

    def record(state: tuple[Array, Array], i: Array) -> tuple[tuple[Array, Array], Array]:
        return jax.lax.fori_loop(i * spacing, (i + 1) * spacing, step, state), state[1]

    return jax.lax.scan(record, start, jnp.arange(count))[1]


@in_float64
def simulate_path(
    problem: NoisyQuadratic, step_size: float, average: Average, count: int, spacing: int, trials: int, seed: int
) -> Float[np.ndarray, "trials count d"]:
    """`count` averaged iterates, `spacing` steps apart, of `trials` independent stationary runs: SGD is really run.

    Each run starts from a draw of the joint stationary law of (e, ẽ), so that no burn-in is needed and every record has
    the stationary law; the Monte Carlo twin of this module, with Gaussian gradient noise.

    Args:
        problem, step_size, average: as in `stationary_autocovariance`.
        count: ≥ 1.
        spacing: ≥ 1, in steps.
        trials: ≥ 1.
        seed: ≥ 0; the same seed gives the same samples.

    Returns:
        ẽ, (trials, count, d).

    Raises:
        ValueError: if an argument is out of range or the average has no stationary law.
    """
    for name, value, low in (("count", count, 1), ("spacing", spacing, 1), ("trials", trials, 1), ("seed", seed, 0)):
        validation.integer(name, value, low)
    gamma = _stationary(problem, step_size, average).gamma
    root = matrix_root(joint_stationary_covariance(problem, step_size, average))
    first, later = jax.random.split(jax.random.key(seed))
    start = jax.random.normal(first, (trials, len(root)), dtype=np.float64) @ root
    pair = (start[:, : problem.dimension], start[:, problem.dimension :])
    oracle, rates = problem.oracle(), (jnp.asarray(step_size), jnp.asarray(gamma))
    path = _run(oracle.gradient, oracle.parameters, later, pair, *rates, count, spacing)
    return np.asarray(jnp.swapaxes(path, 0, 1))

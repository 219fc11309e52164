"""The noisy quadratic: SGD and averages of its iterates, with the exact law at every finite time.

    e_{t+1} = (I − η_t Λ) e_t − η_t ξ_t,   ξ_t independent with mean 0 and covariance N/b,   e = θ − θ*
    ẽ_{t+1} = (1 − γ_{t+1}) ẽ_t + γ_{t+1} e_{t+1},   ẽ_0 = e_0

In the eigenbasis of Λ every entry of E[e eᵀ], E[e ẽᵀ], E[ẽ ẽᵀ] obeys its own scalar recursion, for any noise
covariance N, so one pass over t gives the law of ẽ_T exactly. With Gaussian ξ the law is Gaussian.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from gvatheory import validation
from gvatheory._float64 import in_float64
from gvatheory.averaging import EMA, Average, LastIterate
from gvatheory.laws import Law
from gvatheory.schedules import Schedule
from gvatheory.validation import Numbers


@dataclasses.dataclass(frozen=True, eq=False)
class NoisyQuadratic:
    """Loss ½ eᵀΛe with additive gradient noise of covariance N/b.

    Attributes:
        curvature: Λ: a number, a (d,) diagonal, or a symmetric PSD (d, d) matrix.
        noise_variance: N, per example: a number (times the identity), a (d,) diagonal, or a PSD (d, d) matrix.
        batch_size: b ≥ 1.

    Raises:
        ValueError: naming the argument that is not finite, of the wrong shape, asymmetric or not PSD.
    """

    curvature: Numbers
    noise_variance: Numbers
    batch_size: int = 1

    def __post_init__(self) -> None:
        validation.integer("batch_size", self.batch_size, 1)
        sizes = {}
        for name in ("curvature", "noise_variance"):
            value = validation.array(name, getattr(self, name), 2)
            if value.ndim == 2:
                validation.psd(name, value)
            elif np.any(value < 0):
                raise ValueError(f"{name} must be non-negative, its smallest entry is {value.min()}")
            if value.size == 0:
                raise ValueError(f"{name} must not be empty")
            if value.ndim == 2 or value.size > 1:
                sizes[name] = value.shape[0]
        if len(set(sizes.values())) > 1:
            raise ValueError(f"curvature and noise_variance must agree in dimension, got {sizes}")

    @property
    def dimension(self) -> int:
        """Number of parameters d: that of the larger argument."""
        return max(np.atleast_1d(np.asarray(v)).shape[0] for v in (self.curvature, self.noise_variance))

    @property
    def is_diagonal(self) -> bool:
        """True if curvature and noise are both given as numbers or diagonals."""
        return np.ndim(self.curvature) < 2 and np.ndim(self.noise_variance) < 2

    def eigenbasis(self) -> tuple[Float[np.ndarray, " d"], Float[np.ndarray, "d d"]]:
        """Eigenvalues λ (d,) of Λ and the orthogonal matrix (d, d) whose columns are its eigenvectors."""
        lam = np.asarray(self.curvature, dtype=np.float64)
        if lam.ndim < 2:
            return np.broadcast_to(lam, (self.dimension,)).copy(), np.eye(self.dimension)
        values, vectors = np.linalg.eigh(lam)
        return np.clip(values, 0.0, None), vectors

    def noise_covariance(self) -> Float[np.ndarray, "d d"]:
        """Covariance N/b of the gradient noise of one batch, (d, d), in the original coordinates."""
        noise = np.asarray(self.noise_variance, dtype=np.float64) / self.batch_size
        return noise.copy() if noise.ndim == 2 else np.diag(np.broadcast_to(noise, (self.dimension,)))


def _pairwise(diagonal: bool, x: Array) -> Array:
    """x_i x_j as (d, d), or its diagonal x_i² as (d,)."""
    return x * x if diagonal else x[:, None] * x[None, :]


def averaged_moments(
    curvature: Array, noise: Array, step_sizes: Array, rates: Array, initial_error: Array
) -> tuple[Array, Array]:
    """Mean and covariance of ẽ_T in the eigenbasis; pure JAX, differentiable in every argument.

    Args:
        curvature: λ, (d,).
        noise: covariance of a batch's noise in the eigenbasis: (d, d), or (d,) where only variances are wanted.
        step_sizes: η_0..η_{T-1}, (T,).
        rates: γ_1..γ_T, (T,).
        initial_error: e_0 in the eigenbasis, (d,).

    Returns:
        mean (d,) and covariance of the shape of `noise`.
    """
    diagonal = noise.ndim == 1

    def step(state: tuple[Array, ...], now: tuple[Array, Array]) -> tuple[tuple[Array, ...], None]:
        mean, mean_avg, cov, cross, cov_avg = state
        eta, gamma = now
        decay = 1.0 - eta * curvature
        mean = decay * mean
        mean_avg = (1.0 - gamma) * mean_avg + gamma * mean
        cov = _pairwise(diagonal, decay) * cov + eta**2 * noise
        moved = (decay if diagonal else decay[:, None]) * cross  # Cov(e_{t+1}, ẽ_t)
        both = 2.0 * moved if diagonal else moved + moved.T
        cross = (1.0 - gamma) * moved + gamma * cov
        cov_avg = (1.0 - gamma) ** 2 * cov_avg + gamma * (1.0 - gamma) * both + gamma**2 * cov
        return (mean, mean_avg, cov, cross, cov_avg), None

    zero = jnp.zeros_like(noise)
    start = (initial_error, initial_error, zero, zero, zero)
    (_, mean_avg, _, _, cov_avg), _ = jax.lax.scan(step, start, (step_sizes, rates))
    return mean_avg, cov_avg


_averaged_moments_jit = jax.jit(averaged_moments)


@in_float64
def exact_law(problem: NoisyQuadratic, schedule: Schedule, average: Average, steps: int, initial_error: Numbers) -> Law:
    """Exact law of the averaged error θ̃_T − θ* after `steps` steps of SGD on a noisy quadratic.

    Exact for any schedule and any average, stable or not; O(T d) for diagonal problems and O(T d²) otherwise.
    Checked against the backward weights β_T, g_{T,j}, exact rationals and brute-force simulation.

    Args:
        problem: the learning problem.
        schedule: step sizes.
        average: which average of the iterates.
        steps: T ≥ 0.
        initial_error: e_0 = θ_0 − θ*: (d,) or a number for every coordinate.

    Raises:
        ValueError: on a shape mismatch, a negative `steps` or a value that is not finite.
        OverflowError: if the law leaves the range of float64 (an unstable step size over many steps).
    """
    validation.integer("steps", steps, 0)
    e0 = initial_vector(initial_error, problem.dimension)
    lam, basis = problem.eigenbasis()
    noise = problem.noise_covariance()
    noise = np.diagonal(noise) if problem.is_diagonal else basis.T @ noise @ basis
    eta, gamma = schedule.step_sizes(steps), average.rates(steps)
    # η = γ = 0 changes nothing: padding to powers of two keeps the number of compilations logarithmic in T.
    padding = (1 << max(steps - 1, 0).bit_length()) - steps
    eta, gamma = (np.pad(v, (0, padding)) for v in (eta, gamma))
    mean, cov = (np.asarray(v) for v in _averaged_moments_jit(lam, noise, eta, gamma, basis.T @ e0))
    if not (np.all(np.isfinite(mean)) and np.all(np.isfinite(cov))):
        raise OverflowError(
            f"the law after {steps} steps exceeds float64: the largest step size times curvature is "
            f"{eta.max() * lam.max():g}, stable below 2"
        )
    cov = np.diag(cov) if cov.ndim == 1 else basis @ (0.5 * (cov + cov.T)) @ basis.T
    return Law(basis @ mean, 0.5 * (cov + cov.T))


def initial_vector(initial_error: Numbers, dimension: int) -> Float[np.ndarray, " d"]:
    """`initial_error` as a finite (d,) vector; a number stands for every coordinate.

    Raises:
        ValueError: if it fits neither.
    """
    e0 = validation.array("initial_error", initial_error, 1)
    if e0.shape not in ((), (1,), (dimension,)):
        raise ValueError(f"initial_error must be a number or have shape ({dimension},), got {e0.shape}")
    return np.broadcast_to(e0, (dimension,)).astype(np.float64)


def stationary_law(problem: NoisyQuadratic, step_size: float, average: Average | None = None) -> Law:
    """Law of θ̃ − θ* as T → ∞ at a constant step size, for the last iterate or a constant-rate EMA.

    Along an eigendirection with k = ηλ, a = 1 − k, ρ = 1 − γ the variance is ησ²/(λ(2−k)) times
    γ/(2−γ) · (1+aρ)/(1−aρ); entry (i, j) of a correlated noise has the same form with 1 − a_i a_j and the mean of the
    two EMA factors' cross terms. Checked against `exact_law` at large T and against the series law.

    Args:
        problem: the learning problem; every curvature must be positive.
        step_size: η with 0 < ηλ < 2 for every λ.
        average: `LastIterate()` (the default) or an `EMA` with 0 < γ ≤ 1.

    Raises:
        ValueError: if the step size is not stable, a curvature is zero, or the average has no stationary law.
    """
    match average:
        case None | LastIterate():
            gamma = 1.0
        case EMA(gamma=gamma):
            validation.real("gamma", gamma, 0.0, 1.0, open_low=True)
        case _:
            raise ValueError(f"average must be LastIterate or EMA to have a stationary law, got {average!r}")
    lam, basis = problem.eigenbasis()
    if np.any(lam <= 0):
        raise ValueError(f"curvature must be positive in every direction, its smallest eigenvalue is {lam.min():g}")
    validation.real("step_size", step_size, 0.0, 2.0 / lam.max(), open_low=True, open_high=True)
    noise = basis.T @ problem.noise_covariance() @ basis
    a, rho = 1.0 - step_size * lam, 1.0 - gamma
    # 1 − a_i a_j as k_i + k_j − k_i k_j: no cancellation for small steps.
    k = step_size * lam
    cov = step_size**2 * noise / (k[:, None] + k[None, :] - k[:, None] * k[None, :])
    slip = gamma + rho * k  # 1 − aρ
    reach = a * rho / slip
    cov = cov * gamma / (2.0 - gamma) * (1.0 + reach[:, None] + reach[None, :])
    cov = basis @ cov @ basis.T
    return Law(np.zeros(problem.dimension), 0.5 * (cov + cov.T))

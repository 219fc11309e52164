"""The same learning problems, sampled: SGD is really run, in the original coordinates, trial by trial."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from gvatheory import validation
from gvatheory._float64 import in_float64
from gvatheory.averaging import Average
from gvatheory.learning import NoisyQuadratic, initial_vector
from gvatheory.schedules import Schedule
from gvatheory.validation import Numbers


@functools.partial(jax.jit, static_argnames=("trials",))
def _run_sgd(
    key: Array, curvature: Array, noise_root: Array, eta: Array, gamma: Array, e0: Array, trials: int
) -> Array:
    """Averaged errors (trials, d). `curvature` and `noise_root` are (d,) or (d, d), applied on the right."""

    def apply(matrix: Array, rows: Array) -> Array:
        return rows * matrix if matrix.ndim == 1 else rows @ matrix

    def step(state: tuple[Array, Array], now: tuple[Array, Array, Array]) -> tuple[tuple[Array, Array], None]:
        theta, average = state
        t, eta_t, gamma_t = now
        noise = jax.random.normal(jax.random.fold_in(key, t), theta.shape, dtype=theta.dtype)
        theta = theta - eta_t * (apply(curvature, theta) + apply(noise_root, noise))
        return (theta, average + gamma_t * (theta - average)), None

    start = jnp.broadcast_to(e0, (trials, e0.shape[0]))
    (_, average), _ = jax.lax.scan(step, (start, start), (jnp.arange(eta.shape[0]), eta, gamma))
    return average


@in_float64
def simulate(
    problem: NoisyQuadratic,
    schedule: Schedule,
    average: Average,
    steps: int,
    initial_error: Numbers,
    trials: int,
    seed: int,
) -> Float[np.ndarray, "trials d"]:
    """Samples of θ̃_T − θ* from `trials` independent runs of SGD with Gaussian gradient noise.

    The twin of `exact_law`, with the same first five arguments; float64 throughout.

    Args:
        problem, schedule, average, steps, initial_error: as in `exact_law`.
        trials: number of independent runs, ≥ 1.
        seed: of the noise, ≥ 0; the same seed gives the same samples.

    Returns:
        (trials, d).

    Raises:
        ValueError: on a shape mismatch or a value out of range.
        OverflowError: if an iterate leaves the range of float64 (an unstable step size over many steps).
    """
    validation.integer("steps", steps, 0)
    validation.integer("trials", trials, 1)
    validation.integer("seed", seed, 0)
    e0 = initial_vector(initial_error, problem.dimension)
    curvature, noise = np.asarray(problem.curvature, dtype=np.float64), problem.noise_covariance()
    if curvature.ndim < 2:
        curvature = np.broadcast_to(curvature, (problem.dimension,))
    if problem.is_diagonal:
        root = np.sqrt(np.diagonal(noise))
    else:
        values, vectors = np.linalg.eigh(noise)
        root = (vectors * np.sqrt(np.clip(values, 0.0, None))).T
    samples = _run_sgd(
        jax.random.key(seed), curvature, root, schedule.step_sizes(steps), average.rates(steps), e0, trials
    )
    out = np.asarray(samples)
    if not np.all(np.isfinite(out)):
        raise OverflowError(f"the iterates after {steps} steps exceed float64: is the step size stable?")
    return out

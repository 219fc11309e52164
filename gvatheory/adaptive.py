"""Preconditioned SGD, exactly; sign-SGD and Adam by it, approximately; and both of them really run.

A fixed diagonal preconditioner, θ ← θ − η P g, changes coordinates and nothing else, so `Preconditioned` problems have
exact laws. Sign-SGD and Adam adapt P to the gradients they see. Near a noise-dominated stationary point P hardly moves,
and freezing it makes them preconditioned SGD, with momentum for Adam: an APPROXIMATION, good while the mean gradient is
small against its noise. `simulate_adaptive` runs the real methods, so that the error can be measured.
"""

import dataclasses
from typing import Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Array, Float

from gvatheory import validation
from gvatheory.averaging import Average
from gvatheory.learning import stationary_law
from gvatheory.methods import HeavyBall
from gvatheory.problems import Modes, NoisyQuadratic, Oracle, Problem, eigenbasis, matrix_root, vector
from gvatheory.schedules import Schedule
from gvatheory.validation import Numbers, Values, namespace


def _preconditioned_gradient(parameters: tuple[Array, Array, Array], normals: Array, errors: Array) -> Array:
    curvature, root, preconditioner = parameters
    return (errors @ curvature + normals @ root) * preconditioner


@dataclasses.dataclass(frozen=True, eq=False)
class Preconditioned(Problem):
    """A noisy quadratic whose gradients are multiplied by a fixed diagonal: θ_{t+1} = θ_t − η_t P g_t.

    With e = P^{1/2} z the iteration is plain SGD on curvature P^{1/2} Λ P^{1/2} and noise P^{1/2} N P^{1/2}/b: exact.
    Traceable in the preconditioner and the curvature.

    Attributes:
        problem: the quadratic.
        preconditioner: diagonal of P, (d,) or a number, all > 0.

    Raises:
        ValueError: if the problem is no `NoisyQuadratic`, or the preconditioner does not fit or is not positive.
    """

    problem: NoisyQuadratic
    preconditioner: Numbers

    def __post_init__(self) -> None:
        _require_quadratic(self.problem)
        values = vector("preconditioner", self.preconditioner, self.dimension)
        if not validation.is_traced(values) and np.any(values <= 0):
            raise ValueError(f"preconditioner must be positive, its smallest entry is {values.min()}")

    @property
    def dimension(self) -> int:
        """Number of parameters d."""
        return self.problem.dimension

    def modes(self) -> Modes:
        preconditioner = vector("preconditioner", self.preconditioner, self.dimension)
        root = namespace(preconditioner).sqrt(preconditioner)
        curvature, noise = validation.float64(self.problem.curvature), self.problem.noise_covariance()
        scaled = root[:, None] * curvature * root if curvature.ndim == 2 else preconditioner * curvature
        lam, basis = eigenbasis(scaled, self.dimension)
        to_gradient = basis.T * root
        return Modes(lam, root[:, None] * basis, basis.T / root, to_gradient @ noise @ to_gradient.T)

    def oracle(self) -> Oracle:
        preconditioner = vector("preconditioner", self.preconditioner, self.dimension)
        parameters = (_dense_curvature(self.problem), matrix_root(self.problem.noise_covariance()), preconditioner)
        return Oracle(_preconditioned_gradient, parameters, (self.dimension,))


def _require_quadratic(problem: object) -> None:
    if not isinstance(problem, NoisyQuadratic):
        raise ValueError(f"problem must be a NoisyQuadratic, got {type(problem).__name__}")


def _dense_curvature(problem: NoisyQuadratic) -> Float[Values, "d d"]:
    curvature = validation.float64(problem.curvature)
    xp = namespace(curvature)
    return curvature if curvature.ndim == 2 else xp.diag(xp.broadcast_to(curvature, (problem.dimension,)))


def _noise_std(problem: NoisyQuadratic) -> Float[np.ndarray, " d"]:
    std = np.sqrt(np.diagonal(problem.noise_covariance()))
    if np.any(std <= 0):
        raise ValueError("noise_variance must be positive in every coordinate: the approximation divides by it")
    return std


def sign_sgd_approximation(problem: NoisyQuadratic) -> Preconditioned:
    """Sign-SGD, θ ← θ − η sign(g), as preconditioned SGD: approximate, for mean gradients small against their noise.

    For g_i ~ N((Λe)_i, s_i²), E sign(g_i) = erf((Λe)_i/(s_i√2)) ≈ √(2/π) (Λe)_i/s_i, and at e = 0 the signs have
    covariance (2/π) arcsin(r_ij), r the correlations of the noise. So P_i = √(2/π)/s_i, and the equivalent gradient
    noise is (π/2) s_i s_j (2/π) arcsin(r_ij): π/2 times the true variance. The relative error of the drift is about
    (Λe)_i²/(6 s_i²). Checked against `simulate_adaptive`; signs as in Bernstein et al. (2018, signSGD).

    Raises:
        ValueError: if the problem is no `NoisyQuadratic`, or a coordinate has no noise.
    """
    _require_quadratic(problem)
    std = _noise_std(problem)
    correlation = np.clip(problem.noise_covariance() / np.outer(std, std), -1.0, 1.0)
    np.fill_diagonal(correlation, 1.0)  # rounding there would cost half the digits of the arcsine
    noise = np.outer(std, std) * np.arcsin(correlation)
    equivalent = NoisyQuadratic(problem.curvature, 0.5 * (noise + noise.T))
    return Preconditioned(equivalent, np.sqrt(2.0 / np.pi) / std)


class AdamApproximation(NamedTuple):
    """What to hand to `exact_law`, `stationary_law` or `simulate` in place of Adam, with Adam's own schedule.

    Attributes:
        problem: the preconditioned quadratic; its preconditioner holds the factor 1 − β₁.
        method: heavy ball with momentum β₁.
    """

    problem: Preconditioned
    method: HeavyBall


def adam_approximation(
    problem: NoisyQuadratic, beta1: float = 0.9, epsilon: float = 1e-8, step_size: float | None = None
) -> AdamApproximation:
    """Adam (Kingma & Ba 2015) with its second moment frozen: heavy ball, preconditioned. An approximation.

    With v frozen, θ_{t+1} − θ_t = β₁ (θ_t − θ_{t−1}) − η (1−β₁) g_t/(√v + ε). v is E g² at the optimum, N_ii/b; with a
    `step_size`, at stationarity under that step, N_ii/b + (ΛSΛ)_ii, by fixed-point iteration. It neglects the
    fluctuation of v, of relative size √((1−β₂)/2) or so, its correlation with g, and bias correction.

    Args:
        problem: the quadratic.
        beta1: in [0, 1).
        epsilon: added to √v, ≥ 0.
        step_size: constant η at which v is made self-consistent; None freezes it at the optimum.

    Raises:
        ValueError: if the problem is no `NoisyQuadratic`, a coordinate has no noise, or the step is not stable.
    """
    _require_quadratic(problem)
    validation.real("beta1", beta1, 0.0, 1.0, open_high=True)
    validation.real("epsilon", epsilon, 0.0, np.inf)
    noise, curvature = _noise_std(problem) ** 2, _dense_curvature(problem)
    method, second = HeavyBall(beta1), noise
    out = Preconditioned(problem, (1.0 - beta1) / (np.sqrt(second) + epsilon))
    if step_size is None:
        return AdamApproximation(out, method)
    for _ in range(200):
        law = stationary_law(out, step_size, method=method)
        previous, second = second, noise + np.diagonal(curvature @ law.covariance @ curvature)
        out = Preconditioned(problem, (1.0 - beta1) / (np.sqrt(second) + epsilon))
        if np.all(np.abs(second - previous) <= 1e-13 * second):
            return AdamApproximation(out, method)
    raise ArithmeticError(f"the gradient's second moment did not settle in 200 iterations at step_size {step_size}")


def simulate_adaptive(
    problem: NoisyQuadratic,
    schedule: Schedule,
    average: Average,
    steps: int,
    initial_error: Numbers,
    trials: int,
    seed: int,
    method: Literal["adam", "sign"],
    beta1: float = 0.9,
    beta2: float = 0.999,
    epsilon: float = 1e-8,
) -> Float[np.ndarray, "trials d"]:
    """Samples of θ̃_T − θ* from the real sign-SGD or Adam (with bias correction), by a loop over steps.

    Args:
        problem: the quadratic.
        schedule, average, steps, initial_error: as in `simulate`.
        trials: number of independent runs, ≥ 1.
        seed: of the noise, ≥ 0. The samples depend on the number of trials, too: the first of more are others.
        method: "adam" or "sign".
        beta1, beta2, epsilon: Adam's. A coordinate whose gradients were all zero does not move, with epsilon = 0 too:
            0/0 counts as 0.

    Raises:
        ValueError: if the problem is no `NoisyQuadratic`, or on a value out of range.
        OverflowError: if an iterate or a squared gradient leaves the range of float64.
    """
    _require_quadratic(problem)
    validation.integer("steps", steps, 0)
    validation.integer("trials", trials, 1)
    validation.integer("seed", seed, 0)
    if method not in ("adam", "sign"):
        raise ValueError(f"method must be 'adam' or 'sign', got {method!r}")
    for name, value in (("beta1", beta1), ("beta2", beta2)):
        validation.real(name, value, 0.0, 1.0, open_high=True)
    validation.real("epsilon", epsilon, 0.0, np.inf)
    rng = np.random.default_rng(seed)
    curvature, root = _dense_curvature(problem), matrix_root(problem.noise_covariance())
    theta = np.tile(vector("initial_error", initial_error, problem.dimension), (trials, 1))
    start, keep, take = average.coefficients(steps)
    averaged, first, second = start * theta, np.zeros_like(theta), np.zeros_like(theta)
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):  # what overflows is looked for at the end
        for t, eta in enumerate(schedule.step_sizes(steps)):
            gradient: Any = theta @ curvature + rng.standard_normal(theta.shape) @ root
            if method == "sign":
                move = np.sign(gradient)
            else:
                first = beta1 * first + (1.0 - beta1) * gradient
                second = beta2 * second + (1.0 - beta2) * gradient**2
                scale = np.sqrt(second / (1.0 - beta2 ** (t + 1))) + epsilon
                move = np.where((first == 0) & (scale == 0), 0.0, first / (1.0 - beta1 ** (t + 1)) / scale)
            theta = theta - eta * move
            averaged = keep[t] * averaged + take[t] * theta
    if not (np.all(np.isfinite(averaged)) and np.all(np.isfinite(second))):
        raise OverflowError(f"an iterate or a squared gradient exceeds float64 within {steps} steps")
    return averaged

"""Learning problems: what stochastic gradients are gradients of. Definitions; `learning` and `simulate` answer them."""

import abc
import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from gvatheory import validation
from gvatheory.moments import Regression
from gvatheory.schedules import Constant, Schedule
from gvatheory.validation import Numbers, Values, namespace


class Modes(NamedTuple):
    """A problem in coordinates z in which its curvature is diagonal; the error is e = basis @ z.

    Attributes:
        curvature: λ ≥ 0, (d,).
        basis, inverse: (d, d), orthogonal for all problems but preconditioned ones.
        noise: covariance of the additive gradient noise of a batch, (d, d), or (d,) if it and the law are diagonal.
        regression: the multiplicative part of the noise, or None.
        velocity: displacement per step of the optimum, (d,), or None; multiplied by `profile` at each step.
        profile: t → the drift's size at step t.
    """

    curvature: Float[Values, " d"]
    basis: Float[Values, "d d"]
    inverse: Float[Values, "d d"]
    noise: Float[Values, "..."]
    regression: Regression | None = None
    velocity: Float[Values, " d"] | None = None
    profile: Schedule | None = None


class Oracle(NamedTuple):
    """Stochastic gradients for a simulation.

    Attributes:
        gradient: (parameters, normals (trials, *shape), errors (trials, d)) → gradients (trials, d); a module-level
            function, so that it is compiled once.
        parameters: arrays the function needs.
        shape: of the standard normals drawn per trial and step.
    """

    gradient: Callable[[Any, Array, Array], Array]
    parameters: tuple[np.ndarray, ...]
    shape: tuple[int, ...]


class Problem(abc.ABC):
    """A quadratic loss ½ eᵀΛe of the error e = θ − θ*, seen through noisy gradients."""

    @property
    @abc.abstractmethod
    def dimension(self) -> int:
        """Number of parameters d."""

    @abc.abstractmethod
    def modes(self) -> Modes:
        """The problem in the coordinates that diagonalise its curvature."""

    @abc.abstractmethod
    def oracle(self) -> Oracle:
        """The problem as a source of stochastic gradients, in the original coordinates."""


def matrix_root(covariance: np.ndarray) -> np.ndarray:
    """R with RᵀR = covariance, for rows of standard normals multiplied by R on the right; (d,) in, (d,) out."""
    xp = namespace(covariance)
    if covariance.ndim == 1:
        return xp.sqrt(covariance)
    values, vectors = xp.linalg.eigh(covariance)
    return (vectors * xp.sqrt(xp.clip(values, 0.0, None))).T


def _apply(rows: Array, matrix: Array) -> Array:
    """rows @ matrix, with a (d,) matrix standing for a diagonal."""
    return rows * matrix if matrix.ndim == 1 else rows @ matrix


def _quadratic_gradient(parameters: tuple[Array, Array], normals: Array, errors: Array) -> Array:
    curvature, root = parameters
    return _apply(errors, curvature) + _apply(normals, root)


def _checked_psd(name: str, value: Any) -> Any:
    """A non-negative number, a (d,) diagonal or a PSD matrix, as an array; tracers pass through."""
    out = validation.array(name, value, 2)
    if out.size == 0:
        raise ValueError(f"{name} must not be empty")
    if out.ndim == 2:
        validation.psd(name, out)
    elif not validation.is_traced(out) and np.any(out < 0):
        raise ValueError(f"{name} must be non-negative, its smallest entry is {out.min()}")
    return out


@dataclasses.dataclass(frozen=True, eq=False)
class NoisyQuadratic(Problem):
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
            value = _checked_psd(name, getattr(self, name))
            if value.ndim == 2 or value.size > 1:
                sizes[name] = value.shape[0]
        if len(set(sizes.values())) > 1:
            raise ValueError(f"curvature and noise_variance must agree in dimension, got {sizes}")

    @property
    def dimension(self) -> int:
        """Number of parameters d: that of the larger argument."""
        return max((np.shape(v) or (1,))[0] for v in (self.curvature, self.noise_variance))

    @property
    def is_diagonal(self) -> bool:
        """True if curvature and noise are both given as numbers or diagonals."""
        return np.ndim(self.curvature) < 2 and np.ndim(self.noise_variance) < 2

    def eigenbasis(self) -> tuple[Float[Values, " d"], Float[Values, "d d"]]:
        """Eigenvalues λ (d,) of Λ and the orthogonal matrix (d, d) whose columns are its eigenvectors."""
        return eigenbasis(self.curvature, self.dimension)

    def noise_covariance(self) -> Float[Values, "d d"]:
        """Covariance N/b of the gradient noise of one batch, (d, d), in the original coordinates."""
        noise = validation.float64(self.noise_variance) / self.batch_size
        xp = namespace(noise)
        return xp.array(noise) if noise.ndim == 2 else xp.diag(xp.broadcast_to(noise, (self.dimension,)))

    def modes(self) -> Modes:
        lam, basis = self.eigenbasis()
        noise = self.noise_covariance()
        xp = namespace(noise, basis)
        noise = xp.diagonal(noise) if self.is_diagonal else basis.T @ noise @ basis
        return Modes(lam, basis, basis.T, noise)

    def oracle(self) -> Oracle:
        curvature, noise = validation.float64(self.curvature), self.noise_covariance()
        if curvature.ndim < 2:
            curvature = namespace(curvature).broadcast_to(curvature, (self.dimension,))
        root = namespace(noise).sqrt(namespace(noise).diagonal(noise)) if self.is_diagonal else matrix_root(noise)
        return Oracle(_quadratic_gradient, (curvature, root), (self.dimension,))


def eigenbasis(matrix: Numbers, dimension: int) -> tuple[Float[Values, " d"], Float[Values, "d d"]]:
    """Eigenvalues (d,), at least zero, and eigenvectors (d, d) of a PSD matrix, a (d,) diagonal or a number.

    Eigenvalues of a matrix that are lost in its rounding are zero. Derivatives in a traced matrix with equal
    eigenvalues are NaN, as those of `eigh` are.
    """
    lam = validation.float64(matrix)
    xp = namespace(lam)
    if lam.ndim < 2:
        return xp.broadcast_to(lam, (dimension,)) + 0.0, np.eye(dimension)
    values, vectors = xp.linalg.eigh(lam)
    rounding = dimension * np.finfo(float).eps * xp.max(xp.abs(values))  # a flat direction comes out as one such
    return xp.where(values > rounding, values, 0.0), vectors


def _regression_gradient(parameters: tuple[Array, Array], normals: Array, errors: Array) -> Array:
    """(1/b) Σ x (xᵀe − ε) for a fresh batch; normals (trials, b, n + m) hold features and label noises."""
    feature_root, label_root = parameters
    trials, batch = normals.shape[:2]
    features = feature_root.shape[-1]
    x = _apply(normals[..., :features], feature_root)
    labels = _apply(normals[..., features:], label_root)
    rows = errors.reshape(trials, -1, features)
    residual = jnp.einsum("tbi,tki->tbk", x, rows) - labels
    return jnp.einsum("tbk,tbi->tki", residual, x).reshape(trials, -1) / batch


@dataclasses.dataclass(frozen=True, eq=False)
class LinearRegression(Problem):
    """Least squares on fresh examples (x, y), x ~ N(0, Σ), y = Θ* x + ε, ε ~ N(0, S): multiplicative gradient noise.

    Loss ½ E‖(Θ − Θ*)x‖² (plus a constant); a batch's gradient is (1/b) Σ (e x − ε) xᵀ. Parameters are the rows of Θ one
    after the other: entry k·n + i is the weight of feature i in output k. Cloning a linear expert on Gaussian states is
    this problem, the label noise being that of the expert's actions (none for a deterministic expert). The iterates are
    not Gaussian, so a `Law` of them holds two exact moments and no more. Model of Li & Gu (arXiv 2502.14123).

    Attributes:
        feature_covariance: Σ: a number, an (n,) diagonal, or a PSD (n, n) matrix.
        label_noise: S, per example: a number (times the identity), an (m,) diagonal, or a PSD (m, m) matrix.
        batch_size: b ≥ 1.
        features: n, where Σ is a number.
        outputs: m, where S is a number.

    Raises:
        ValueError: naming the argument that is not finite, of the wrong shape, asymmetric or not PSD.
    """

    feature_covariance: Numbers
    label_noise: Numbers
    batch_size: int = 1
    features: int | None = None
    outputs: int | None = None

    def __post_init__(self) -> None:
        validation.integer("batch_size", self.batch_size, 1)
        for name, size in (("feature_covariance", "features"), ("label_noise", "outputs")):
            value, given = _checked_psd(name, getattr(self, name)), getattr(self, size)
            own = value.shape[0] if value.ndim else None
            if given is not None:
                validation.integer(size, given, 1)
                if own is not None and own != given:
                    raise ValueError(f"{size} must be {own} to fit {name}, got {given}")
            object.__setattr__(self, size, own or given or 1)

    @property
    def dimension(self) -> int:
        """Number of parameters: outputs times features."""
        return self._sizes[0] * self._sizes[1]

    @property
    def _sizes(self) -> tuple[int, int]:
        return self.outputs or 1, self.features or 1

    def _label_covariance(self) -> Any:
        noise = validation.float64(self.label_noise)
        xp = namespace(noise)
        return noise if noise.ndim == 2 else xp.diag(xp.broadcast_to(noise, (self._sizes[0],)))

    def modes(self) -> Modes:
        outputs, features = self._sizes
        lam, basis = eigenbasis(self.feature_covariance, features)
        labels = self._label_covariance()
        xp = namespace(lam, labels)
        noise = xp.kron(labels, xp.diag(lam)) / self.batch_size
        whole = np.eye(1) if features * outputs == 1 else namespace(basis).kron(np.eye(outputs), basis)
        return Modes(xp.tile(lam, outputs), whole, whole.T, noise, Regression(outputs, self.batch_size))

    def oracle(self) -> Oracle:
        outputs, features = self._sizes
        covariance = validation.float64(self.feature_covariance)
        if covariance.ndim < 2:
            covariance = namespace(covariance).broadcast_to(covariance, (features,))
        roots = (matrix_root(covariance), matrix_root(self._label_covariance()))
        return Oracle(_regression_gradient, roots, (self.batch_size, features + outputs))


@dataclasses.dataclass(frozen=True, eq=False)
class Drifting(Problem):
    """A problem whose optimum moves: θ*_{t+1} = θ*_t + velocity · profile(t). Errors are relative to θ*_t.

    The gradient of step t is taken at θ*_t, the law after T steps is that of θ̃_T − θ*_T. A stand-in for features that
    still move in a network (theory, proposition A3).

    Attributes:
        problem: any problem that does not drift itself.
        velocity: v, (d,) or a number for every coordinate.
        profile: multiplies v at each step; `PowerDecay(1.0, β)` slows the drift down as (1 + t)^{−β}.

    Raises:
        ValueError: if the velocity does not fit the problem, or the problem drifts already.
    """

    problem: Problem
    velocity: Numbers
    profile: Schedule = dataclasses.field(default_factory=lambda: Constant(1.0))

    def __post_init__(self) -> None:
        if not isinstance(self.problem, Problem) or isinstance(self.problem, Drifting):
            raise ValueError(f"problem must be a Problem that is not Drifting itself, got {self.problem!r}")
        if not isinstance(self.profile, Schedule):
            raise ValueError(f"profile must be a Schedule, got {self.profile!r}")
        vector("velocity", self.velocity, self.dimension)

    @property
    def dimension(self) -> int:
        """Number of parameters d."""
        return self.problem.dimension

    def modes(self) -> Modes:
        modes = self.problem.modes()
        velocity = modes.inverse @ vector("velocity", self.velocity, self.dimension)
        return modes._replace(velocity=velocity, profile=self.profile)

    def oracle(self) -> Oracle:
        return self.problem.oracle()


def vector(name: str, value: Numbers, dimension: int) -> Float[Values, " d"]:
    """`value` as a finite (d,) vector; a number stands for every coordinate.

    Raises:
        ValueError: if it fits neither.
    """
    out = validation.array(name, value, 1)
    if out.shape not in ((), (1,), (dimension,)):
        raise ValueError(f"{name} must be a number or have shape ({dimension},), got {out.shape}")
    return namespace(out).broadcast_to(out, (dimension,)) + 0.0

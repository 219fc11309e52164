"""A reward with several cliffs: the safe errors form a polyhedron."""

import dataclasses

import numpy as np
from jaxtyping import Bool, Float
from scipy.special import ndtr

from gvatheory import validation
from gvatheory.laws import Law
from gvatheory.normal_probabilities import bivariate_cdf_by_gaps
from gvatheory.normal_unions import UnionProbability, union_probability
from gvatheory.rewards import Reward, RewardLaw, reject_traced
from gvatheory.validation import Numbers

_SAME = 1e-12  # distance of unit vectors that count as one direction
_ROUNDING = 1e-15  # share of a variance that is lost in rounding


@dataclasses.dataclass(frozen=True, eq=False)
class CliffPolyhedron(Reward):
    """J(e) = −penalty if ⟨normals_i, e⟩ > offsets_i for any i, else 0: several half-space cliffs at once.

    With Y_i = ⟨normals_i, e⟩ the fall probability is 1 − P(all Y_i ≤ offsets_i), exact for up to two different faces
    (one: Φ; two: Owen's T) and by quasi-Monte Carlo for more (see `normal_unions`), where it has a standard error.
    Equal faces, faces that the law never moves and more faces than parameters are all allowed.

    Attributes:
        normals: (k, d), k ≥ 1, no row all zero.
        offsets: ε_i, (k,), in units of ⟨normals_i, e⟩; a number stands for every face.
        penalty: C > 0.

    Raises:
        ValueError: naming the attribute that does not fit.
    """

    normals: Numbers
    offsets: Numbers
    penalty: float

    def __post_init__(self) -> None:
        if validation.is_traced(self.normals, self.offsets):
            raise TypeError("normals and offsets must be numbers: CliffPolyhedron cannot be traced by JAX")
        normals = validation.array("normals", self.normals, 2)
        if normals.ndim != 2 or normals.size == 0:
            raise ValueError(f"normals must have shape (faces, parameters), got {normals.shape}")
        if not np.all(np.any(normals, axis=1)):
            raise ValueError(f"normals must not have a row of zeros, got {self.normals!r}")
        offsets = validation.array("offsets", self.offsets, 1)
        if offsets.shape not in ((), (len(normals),)):
            raise ValueError(f"offsets must be a number or have shape ({len(normals)},), got {offsets.shape}")
        validation.positive("penalty", self.penalty)

    def _faces(self, dimension: int) -> tuple[Float[np.ndarray, "k d"], Float[np.ndarray, " k"]]:
        normals = np.asarray(self.normals, dtype=np.float64)
        if normals.shape[1] != dimension:
            raise ValueError(f"normals must have shape (faces, {dimension}) to fit the law, got {normals.shape}")
        return normals, np.broadcast_to(np.asarray(self.offsets, dtype=np.float64), (len(normals),))

    def fallen(self, errors: Float[np.ndarray, "n d"]) -> Bool[np.ndarray, " n"]:
        normals, offsets = self._faces(errors.shape[1])
        return ~np.all(errors @ normals.T <= offsets, axis=1)  # NaN has fallen

    def value(self, errors: Float[np.ndarray, "n d"]) -> Float[np.ndarray, " n"]:
        return np.where(self.fallen(errors), -float(self.penalty), 0.0)

    def moments(self, law: Law) -> RewardLaw:
        """With p as estimated by `fall_probability_with_error` at its defaults: mean −Cp, variance C²p(1 − p).

        Raises:
            ValueError: if the law does not fit the normals.
            TypeError: if the law is traced by JAX.
        """
        outside, inside, _ = self._both_sides(law, 1e-6, 0, 400_000)
        return RewardLaw(-self.penalty * outside, self.penalty**2 * outside * inside, outside)

    def fall_probability_with_error(
        self, law: Law, tolerance: float = 1e-6, seed: int = 0, max_evaluations: int = 400_000
    ) -> tuple[float, float]:
        """P(fall) and its standard error.

        Up to two different faces are exact: the error is then 0, rounding (about 1e-14 relative) aside. From three on
        it is that of 16 scrambles of a Sobol sequence, whose points are doubled until `tolerance` or the limit on the
        work is met. Small probabilities keep their relative accuracy.

        Args:
            law: of e.
            tolerance: standard error aimed at, relative to the smaller of P(fall) and P(no fall), in (0, 1).
            seed: ≥ 0; the same seed gives the same estimate.
            max_evaluations: limit on the work, in univariate normal intervals (0.1 to 0.4 µs each). A point takes about
                k of them if the faces are likely to be crossed and k²/2 if not.

        Raises:
            ValueError: on a bad argument, or if the law does not fit the normals.
            TypeError: if the law is traced by JAX.
        """
        validation.real("tolerance", tolerance, 0.0, 1.0, open_low=True, open_high=True)
        validation.integer("seed", seed, 0)
        validation.integer("max_evaluations", max_evaluations, 1)
        result = self._both_sides(law, tolerance, seed, max_evaluations)
        return result.outside, result.standard_error

    def _both_sides(self, law: Law, tolerance: float, seed: int, max_evaluations: int) -> UnionProbability:
        reject_traced(law, "CliffPolyhedron", "CliffHalfspace, SmoothCliff or SaturatingReward")
        normals, offsets = self._faces(law.dimension)
        faces, bounds = _standardise(normals, offsets - normals @ law.mean, law.covariance)
        if np.any(bounds == -np.inf):
            return UnionProbability(1.0, 0.0, 0.0)
        faces, bounds = _distinct(faces[bounds < np.inf], bounds[bounds < np.inf])
        match len(bounds):
            case 0:
                return UnionProbability(0.0, 1.0, 0.0)
            case 1:
                return UnionProbability(float(ndtr(-bounds[0])), float(ndtr(bounds[0])), 0.0)
            case 2:
                return _two_faces(faces, bounds)
        return union_probability(faces, bounds, tolerance, seed, max_evaluations)


def _standardise(
    normals: Float[np.ndarray, "k d"], margins: Float[np.ndarray, " k"], covariance: Float[np.ndarray, "d d"]
) -> tuple[Float[np.ndarray, "k d"], Float[np.ndarray, " k"]]:
    """Unit vectors g and bounds u with ⟨n_i, e − mean⟩ ≤ margins_i just if ⟨g_i, z⟩ ≤ u_i, z ~ N(0, I).

    A face that the law does not move has an infinite bound. The covariance is factored after scaling to correlations,
    so that parameters of very different spreads keep theirs.
    """
    sd = np.sqrt(np.maximum(np.diagonal(covariance), 0.0))
    scale = np.where(sd > 0, sd, 1.0)
    values, vectors = np.linalg.eigh(covariance / scale[:, None] / scale[None, :])
    values[values < _ROUNDING * len(sd) * values.max()] = 0.0
    faces = (normals * sd) @ (vectors * np.sqrt(np.maximum(values, 0.0)))
    spread = np.linalg.norm(faces, axis=1)
    fixed = spread <= 4.0 * _ROUNDING * (np.abs(normals) @ sd)
    spread[fixed] = 1.0
    with np.errstate(over="ignore"):
        bounds = margins / spread
    return faces / spread[:, None], np.where(fixed, np.where(margins >= 0, np.inf, -np.inf), bounds)


def _distinct(faces: np.ndarray, bounds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of parallel faces, the tightest one."""
    kept: list[int] = []
    for i in np.argsort(bounds, kind="stable"):
        if all(np.linalg.norm(faces[i] - faces[j]) > _SAME for j in kept):
            kept.append(int(i))
    return faces[kept], bounds[kept]


def _two_faces(faces: np.ndarray, bounds: np.ndarray) -> UnionProbability:
    """P(A) + P(B outside A) and Φ₂(u_1, u_2; r), with 1 ∓ r = ‖g_1 ∓ g_2‖²/2."""
    near, far = (np.atleast_1d(0.5 * np.sum((faces[0] + sign * faces[1]) ** 2)) for sign in (-1.0, 1.0))
    u, v = bounds[:1], bounds[1:]  # u ≤ v
    outside = ndtr(-u) + bivariate_cdf_by_gaps(u, -v, far, near)
    return UnionProbability(float(outside[0]), float(bivariate_cdf_by_gaps(u, v, near, far)[0]), 0.0)

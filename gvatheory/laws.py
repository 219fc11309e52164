"""The law of an averaged iterate: its first two moments, which are all of it when the gradient noise is Gaussian."""

import dataclasses

import numpy as np
from jaxtyping import Float

from gvatheory import validation
from gvatheory.validation import Values


@dataclasses.dataclass(frozen=True)
class Law:
    """Mean and covariance of an error θ̃ − θ*, taken as Gaussian by the rewards.

    Attributes:
        mean: (d,).
        covariance: (d, d), symmetric positive semi-definite.

    Both are NumPy arrays, except under a JAX transformation, where they are tracers and their values go unchecked.

    Raises:
        ValueError: if the shapes do not fit, a value is not finite or the covariance is not PSD.
    """

    mean: Float[Values, " d"]
    covariance: Float[Values, "d d"]

    def __post_init__(self) -> None:
        for name, ndim in (("mean", 1), ("covariance", 2)):
            value = validation.array(name, getattr(self, name), ndim)
            object.__setattr__(self, name, value.reshape((1,) * (ndim - value.ndim) + value.shape))
        if self.covariance.shape != (len(self.mean), len(self.mean)):
            raise ValueError(
                f"covariance must have shape {(len(self.mean),) * 2} to fit mean, got {self.covariance.shape}"
            )
        validation.psd("covariance", self.covariance)

    @property
    def dimension(self) -> int:
        """Number of parameters d."""
        return len(self.mean)

    @property
    def std(self) -> Float[Values, " d"]:
        """Standard deviation of each coordinate, (d,)."""
        xp = validation.namespace(self.covariance)
        return xp.sqrt(xp.diagonal(self.covariance))

    def sample(self, count: int, seed: int) -> Float[np.ndarray, "count d"]:
        """`count` Gaussian draws, shape (count, d)."""
        validation.integer("count", count, 1)
        values, vectors = np.linalg.eigh(self.covariance)
        root = vectors * np.sqrt(np.clip(values, 0.0, None))
        noise = np.random.default_rng(seed).standard_normal((count, self.dimension))
        return self.mean + noise @ root.T

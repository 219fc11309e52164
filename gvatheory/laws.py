"""The law of an averaged iterate: its first two moments, which are all of it when the gradient noise is Gaussian."""

import dataclasses

import numpy as np
from jaxtyping import Float

from gvatheory import validation


@dataclasses.dataclass(frozen=True)
class Law:
    """Mean and covariance of an error θ̃ − θ*, taken as Gaussian by the rewards.

    Attributes:
        mean: (d,).
        covariance: (d, d), symmetric positive semi-definite.

    Raises:
        ValueError: if the shapes do not fit, a value is not finite or the covariance is not PSD.
    """

    mean: Float[np.ndarray, " d"]
    covariance: Float[np.ndarray, "d d"]

    def __post_init__(self) -> None:
        object.__setattr__(self, "mean", np.atleast_1d(validation.array("mean", self.mean, 1)))
        object.__setattr__(self, "covariance", np.atleast_2d(validation.array("covariance", self.covariance, 2)))
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
    def std(self) -> Float[np.ndarray, " d"]:
        """Standard deviation of each coordinate, (d,)."""
        return np.sqrt(np.diagonal(self.covariance))

    def sample(self, count: int, seed: int) -> Float[np.ndarray, "count d"]:
        """`count` Gaussian draws, shape (count, d)."""
        validation.integer("count", count, 1)
        values, vectors = np.linalg.eigh(self.covariance)
        root = vectors * np.sqrt(np.clip(values, 0.0, None))
        noise = np.random.default_rng(seed).standard_normal((count, self.dimension))
        return self.mean + noise @ root.T

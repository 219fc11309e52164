"""Averages given by a table of weights: a window at the end of the run, and any signed combination of all iterates."""

import dataclasses
from typing import Any

import jax
import numpy as np
from jaxtyping import Float

from gvatheory import validation
from gvatheory.averaging import Average, RecursiveAverage
from gvatheory.validation import Numbers, Values, namespace


def _table(name: str, weights: Any) -> Any:
    """`weights` as a read-only (n,) float64 array, n ≥ 1; JAX values, concrete or traced, stay JAX."""
    checked = validation.array(name, weights, 1)
    if checked.ndim != 1 or checked.shape[0] == 0:
        raise ValueError(f"{name} must be a non-empty one-dimensional sequence, got shape {checked.shape}")
    if isinstance(weights, jax.Array):
        return weights
    frozen = checked.copy()
    frozen.setflags(write=False)
    return frozen


@dataclasses.dataclass(frozen=True, eq=False)
class WeightedWindow(RecursiveAverage):
    """Weighted average of the last n iterates: w_{T,T−n+i} = weights_i/Σ weights for i = 1, ..., n.

    Like `Tail` it must know T beforehand (`rate` needs `steps`) and leaves θ_0 out; unlike `Tail` it needs T ≥ n.

    Attributes:
        weights: (n,), non-negative with a positive sum, oldest iterate first; any scale.

    Raises:
        ValueError: for bad weights, and when asked for rates or a kernel at fewer than n steps.
    """

    weights: Numbers

    def __post_init__(self) -> None:
        weights = _table("weights", self.weights)
        if not validation.is_traced(weights) and (np.min(weights) < 0 or not 0.0 < np.sum(weights) < np.inf):
            raise ValueError(
                f"weights must be non-negative with a positive finite sum, got a smallest entry of {np.min(weights):g} "
                f"and a sum of {np.sum(weights):g}"
            )
        object.__setattr__(self, "weights", weights)

    def rate(self, t: Numbers, steps: int | None = None) -> Any:
        table: Any = self.weights
        length = len(table)
        if steps is None:
            raise ValueError("WeightedWindow needs the total number of updates: pass steps")
        validation.integer("steps", steps, length)
        ns = namespace(table)
        seen = ns.cumsum(table)
        # While nothing in the window has weight yet, θ̃ = θ: it is forgotten at the first iterate that has.
        rates = ns.where(seen > 0, table / ns.where(seen > 0, seen, 1.0), 1.0)
        xp = namespace(t, rates)
        place = xp.asarray(t, dtype=float) - (steps - length + 1)
        inside = xp.asarray(rates)[xp.clip(place, 0, length - 1).astype(int)]
        return xp.where(place < 0, 1.0, inside)


@dataclasses.dataclass(frozen=True, eq=False)
class FixedWeights(Average):
    """Any fixed combination of θ_0, ..., θ_T: w_{T,t} = weights_t, signed, for the one T that fits.

    Attributes:
        weights: (T+1,), oldest first; they sum to one within 1e-9 of Σ|weights|.

    Raises:
        ValueError: for bad weights, and when asked for its kernel at another number of steps.
    """

    weights: Numbers

    def __post_init__(self) -> None:
        weights = _table("weights", self.weights)
        if not validation.is_traced(weights):
            # Weights of a JAX array in single precision sum to one no better than that.
            precision = max(1e-9, 10.0 * float(np.finfo(weights.dtype).eps))
            total, size = float(np.sum(weights, dtype=np.float64)), float(np.sum(np.abs(weights), dtype=np.float64))
            if not abs(total - 1.0) <= precision * size:
                raise ValueError(f"weights must sum to one, got a sum of {total!r}")
        object.__setattr__(self, "weights", weights)

    def kernel(self, steps: int) -> Float[Values, " weights"]:
        """The weights themselves, for `steps` = len(weights) − 1 only."""
        table: Any = self.weights
        validation.integer("steps", steps, len(table) - 1, len(table) - 1)
        return table

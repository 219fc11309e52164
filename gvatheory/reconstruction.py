"""An average that was never kept, rebuilt from snapshots of averages that were (post-hoc EMA, Karras et al. 2024).

Snapshot i holds Σ_t w^{(i)}_t θ_t, an average taken at update s_i ≤ T. The combination Σ_i c_i w^{(i)} nearest to the
target's kernel w in ℓ₂ is sought, with Σ c_i = 1: the residual r = Σ_i c_i w^{(i)} − w then sums to zero, so that the
error Σ_t r_t θ_t = Σ_t r_t e_t does not see where the optimum is (proposition A6).
"""

import dataclasses
from collections.abc import Sequence
from typing import Literal

import numpy as np
import scipy.linalg
from jaxtyping import Float

from gvatheory import validation
from gvatheory.averaging import Average
from gvatheory.weighted_averages import FixedWeights

Snapshot = tuple[Average, int]
"""A stored average and the update s at which it was stored: its kernel is `average.kernel(s)`."""


@dataclasses.dataclass(frozen=True, eq=False)
class Reconstruction:
    """A combination of snapshots that stands in for a target average.

    Attributes:
        coefficients: c, (n,), one per snapshot; they sum to one.
        weights: Σ_i c_i w^{(i)}, (T+1,): the weights of θ_0, ..., θ_T in the combination.
        residual: r, (T+1,): `weights` minus the target's kernel; it sums to zero.
    """

    coefficients: Float[np.ndarray, " n"]
    weights: Float[np.ndarray, " weights"]
    residual: Float[np.ndarray, " weights"]

    @property
    def average(self) -> FixedWeights:
        """The combination as an average of the T it was made for, for instance for its exact law."""
        return FixedWeights(self.weights)

    @property
    def residual_norm(self) -> float:
        """‖r‖₂."""
        return float(np.linalg.norm(self.residual))

    def combine(self, snapshots: Float[np.ndarray, "n ..."]) -> Float[np.ndarray, "..."]:
        """Σ_i c_i snapshot_i over the leading axis: the stored averages themselves, in the order they were given."""
        return np.tensordot(self.coefficients, snapshots, axes=1)

    def rms_error_bound(
        self, noise_std: float, curvature: float, step_size: float | None = None, initial_error: float = 0.0
    ) -> float:
        """Bound on √E(Σ_t r_t e_t)² for SGD along one direction: ‖r‖₂ √((ησ/min(k, 2−k))² + e_0²/(k(2−k))), k = ηλ.

        With a = 1 − k the noise part is −η Σ_j ξ_j g_j, where g = Σ_{t>j} a^{t−1−j} r_t is r filtered by a transfer
        function of modulus at most 1/(1−|a|) = 1/min(k, 2−k), its value at frequency 0 if k ≤ 1 (so σ/λ for every such
        step) and π if k ≥ 1; the mean e_0 Σ_t a^t r_t is bounded by Cauchy and Schwarz. It holds at every T, whether
        the noise starts at 0 or is stationary. Checked against `exact_rms_error`, dense covariances and simulation.

        Args:
            noise_std: σ ≥ 0 of the gradient noise of a batch.
            curvature: λ > 0.
            step_size: η with 0 < ηλ < 2; None stands for any constant step with ηλ ≤ 1, without an initial error.
            initial_error: e_0.

        Raises:
            ValueError: for an argument out of its range, or an initial error without a step size.
        """
        _require_direction(noise_std, curvature, initial_error)
        if step_size is None:
            if initial_error != 0:
                raise ValueError(f"step_size must be given with an initial_error, here {initial_error!r}")
            return noise_std / curvature * self.residual_norm
        k = _stable_step(step_size, curvature)
        noise = step_size * noise_std / min(k, 2.0 - k)
        return self.residual_norm * float(np.hypot(noise, initial_error / np.sqrt(k * (2.0 - k))))

    def exact_rms_error(
        self, noise_std: float, curvature: float, step_size: float, initial_error: float = 0.0
    ) -> float:
        """√E(Σ_t r_t e_t)² for e_{t+1} = (1−ηλ) e_t − ηξ_t from e_0, exactly and in O(T).

        One backward pass y_t = r_t + a y_{t+1} gives the weight y_0 of e_0 and −η y_{t+1} of ξ_t. Checked against dense
        covariances and simulation.

        Args:
            noise_std, curvature, step_size, initial_error: as in `rms_error_bound`.

        Raises:
            ValueError: for an argument out of its range.
        """
        _require_direction(noise_std, curvature, initial_error)
        decay = 1.0 - _stable_step(step_size, curvature)
        banded = np.ones((2, len(self.residual)))
        banded[1] = -decay
        backward = scipy.linalg.solve_banded((1, 0), banded, self.residual[::-1])
        return float(np.hypot(initial_error * backward[-1], step_size * noise_std * np.linalg.norm(backward[:-1])))


def _require_direction(noise_std: float, curvature: float, initial_error: float) -> None:
    """Require the arguments the two errors share."""
    validation.real("noise_std", noise_std, 0.0, np.inf)
    validation.positive("curvature", curvature)
    validation.real("initial_error", initial_error, -np.inf, np.inf)


def _stable_step(step_size: float, curvature: float) -> float:
    """k = ηλ, required to be stable."""
    validation.positive("step_size", step_size)
    validation.real("step_size * curvature", step_size * curvature, 0.0, 2.0, open_low=True, open_high=True)
    return step_size * curvature


def reconstruct(target: Average, stored: Sequence[Snapshot], steps: int, *, rcond: float = 1e-10) -> Reconstruction:
    """The combination of stored averages, its coefficients summing to one, whose kernel is nearest to the target's.

    c = 1/n + N z with N an orthonormal basis of the vectors that sum to zero, and z the least-squares solution from the
    triangular factor of the kernels: no normal equations, and the solution of least norm where snapshots coincide.
    O(T n²) time, O(T) memory per snapshot. Parameters must be concrete numbers. Checked against the linear system of
    the Lagrange multiplier, solved in exact rationals.

    Args:
        target: the average wanted of θ_0, ..., θ_T.
        stored: pairs of an average and the update s at which it was stored, 0 ≤ s ≤ T.
        steps: T ≥ 0.
        rcond: singular values below this share of the largest count as zero, so that snapshots that all but coincide
            get moderate coefficients; in [0, 1).

    Raises:
        ValueError: if nothing is stored or a time is out of range.
    """
    validation.integer("steps", steps, 0)
    validation.real("rcond", rcond, 0.0, 1.0, open_high=True)
    if not stored:
        raise ValueError("stored must hold at least one snapshot, got none")
    for i, (average, time) in enumerate(stored):
        if not isinstance(average, Average):
            raise ValueError(f"stored[{i}][0] must be an Average, got {average!r}")
        validation.integer(f"stored[{i}][1]", time, 0, steps)
    count = len(stored)
    kernels = np.zeros((count + 1, steps + 1))
    for row, (average, time) in zip(kernels, [*stored, (target, steps)], strict=True):
        row[: time + 1] = average.kernel(time)
    start = np.full(count, 1.0 / count)
    basis = scipy.linalg.null_space(np.ones((1, count)))
    factor = _triangular_factor(kernels)
    against = factor[:, -1] - factor[:, :-1] @ start
    moved = np.linalg.lstsq(factor[:, :-1] @ basis, against, rcond=rcond)[0]
    coefficients = start + basis @ moved
    weights = coefficients @ kernels[:-1]
    return Reconstruction(coefficients, weights, weights - kernels[-1])


def _triangular_factor(rows: Float[np.ndarray, "n times"], block: int = 4096) -> Float[np.ndarray, "m n"]:
    """R of the QR factorisation of rowsᵀ, taken a block of times after another so that it stays in cache."""
    factor = np.zeros((0, len(rows)))
    for first in range(0, rows.shape[1], block):
        factor = np.asarray(np.linalg.qr(np.concatenate([factor, rows[:, first : first + block].T]), mode="r"))
    return factor


def snapshot_times(count: int, steps: int, kind: Literal["uniform", "geometric"] = "uniform") -> tuple[int, ...]:
    """`count` increasing times in 1, ..., steps, the last one `steps`.

    Args:
        count: number of snapshots, from 1 to `steps`.
        steps: T ≥ 1.
        kind: "uniform": ⌈iT/count⌉ for i = 1, ..., count; "geometric": T^{i/count} rounded, and moved
            apart where two would coincide.

    Raises:
        ValueError: for an argument out of its range.
    """
    validation.integer("steps", steps, 1)
    validation.integer("count", count, 1, steps)
    place = np.arange(1, count + 1)
    if kind == "uniform":
        times = -(-place * steps // count)
    elif kind == "geometric":
        gaps = np.maximum.accumulate(np.rint(float(steps) ** (place / count)).astype(int) - place)
        times = np.minimum(gaps, steps - count) + place
    else:
        raise ValueError(f'kind must be "uniform" or "geometric", got {kind!r}')
    return tuple(int(t) for t in times)

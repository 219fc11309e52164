"""How much gain error a linear loop bears: stability radii, transient growth and perturbed powers.

The loop is x' = (A_cl + B Δ) x, with A_cl (n, n) the expert's closed loop, B (n, m), Δ (m, n) the gain error, ‖·‖ the
spectral norm and G(z) = (zI − A_cl)^{-1} B. The radii are those of
proposition C.2, whose gap bound is `certificates.gap_bound`; the powers are proposition C.4. Both reconstructed. Every
function takes plain matrices; a number stands for a 1×1 matrix.
"""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float
from scipy import linalg
from scipy.optimize import minimize, minimize_scalar

from gvatheory import validation
from gvatheory.validation import Numbers


class StabilityRadius(NamedTuple):
    """Norm of the smallest Δ that takes A_cl + BΔ to the unit circle, and one such Δ.

    Attributes:
        radius: ≥ 0; 0 if the loop is not stable to begin with, inf if no Δ can destabilise it.
        frequency: ω in [0, π]; A_cl + BΔ has the eigenvalue e^{iω}. NaN if the radius is inf.
        perturbation: Δ, (m, n), of norm `radius` (zero where the radius is 0 or inf).
    """

    radius: float
    frequency: float
    perturbation: np.ndarray


class Growth(NamedTuple):
    """`value` = sup_{k≥0} ‖A^k‖, at k = `step`; inf with step −1 if the powers are unbounded."""

    value: float
    step: int


class PowerBounds(NamedTuple):
    """Upper bounds of proposition C.4 on `power` ‖(A+E)^k‖ and `difference` ‖(A+E)^k − A^k‖."""

    power: np.ndarray
    difference: np.ndarray


def square_matrix(name: str, value: Numbers) -> Float[np.ndarray, "n n"]:
    """`value` as a finite, non-empty square matrix.

    Raises:
        ValueError: if it is none.
    """
    matrix = np.atleast_2d(validation.array(name, value, 2))
    if matrix.shape[0] != matrix.shape[1] or matrix.size == 0:
        raise ValueError(f"{name} must be a non-empty square matrix, got shape {matrix.shape}")
    return matrix


def loop_matrices(A_cl: Numbers, B: Numbers) -> tuple[Float[np.ndarray, "n n"], Float[np.ndarray, "n m"]]:
    """The closed loop (n, n) and the input matrix (n, m), checked.

    Raises:
        ValueError: if a shape does not fit or a value is not finite.
    """
    loop, inputs = square_matrix("A_cl", A_cl), np.atleast_2d(validation.array("B", B, 2))
    if inputs.shape[0] != len(loop) or inputs.size == 0:
        raise ValueError(f"B must have shape ({len(loop)}, m) with m at least 1, got {inputs.shape}")
    return loop, inputs


def spectral_radius(A: Numbers) -> float:
    """Largest modulus of the eigenvalues of A, (n, n)."""
    return float(np.abs(linalg.eigvals(square_matrix("A", A))).max())


def _transfer(A: np.ndarray, B: np.ndarray, omega: np.ndarray) -> np.ndarray:
    """G(e^{iω}) for every ω, (k, n, m)."""
    z = np.exp(1j * omega)[:, None, None]
    return np.linalg.solve(z * np.eye(len(A)) - A, np.broadcast_to(B, (len(omega), *B.shape)))


def _peak_gain(A: np.ndarray, B: np.ndarray, omega: np.ndarray) -> tuple[float, float]:
    """Largest ‖G‖ among the given frequencies, and where."""
    gain = np.linalg.norm(_transfer(A, B, omega), 2, axis=(1, 2))
    return float(gain.max()), float(omega[gain.argmax()])


def _level_crossings(A: np.ndarray, B: np.ndarray, level: float) -> np.ndarray:
    """Angles in [0, π] of the pencil's eigenvalues; among them every ω at which `level` is a singular value of G.

    Those on the unit circle solve z x = A x + BBᵀy/level, y = z (x/level + Aᵀy); u = Bᵀy/level has GᴴGu = level² u.
    """
    n = len(A)
    left = np.block([[A, B @ B.T / level], [np.zeros((n, n)), np.eye(n)]])
    right = np.block([[np.eye(n), np.zeros((n, n))], [np.eye(n) / level, A.T]])
    top, bottom = linalg.eigvals(left, right, homogeneous_eigvals=True)  # pyright: ignore[reportAssignmentType]
    return np.unique(np.abs(np.angle(top * np.conj(bottom))))


def _degenerate_radius(A: np.ndarray, B: np.ndarray) -> StabilityRadius | None:
    """Radius of a loop that is not stable, or that no Δ reaches; None for every other."""
    values = linalg.eigvals(A)
    zero = np.zeros((B.shape[1], len(A)))
    if np.abs(values).max() >= 1.0:
        return StabilityRadius(0.0, float(abs(np.angle(values[np.abs(values).argmax()]))), zero)
    return None if np.any(B) else StabilityRadius(np.inf, np.nan, zero)


def stability_radius(A_cl: Numbers, B: Numbers) -> StabilityRadius:
    """Complex stability radius r_C = 1 / max_{|z|=1} ‖G(z)‖, with the worst frequency and a worst complex Δ.

    Level-set method (Boyd and Balakrishnan; Bruinsma and Steinbuch 1990): G exceeds a level on intervals of ω whose
    ends are angles of eigenvalues of a symplectic pencil; the best of their midpoints is the next level, and quadratic
    convergence ends with a level that none exceeds. The angles of all eigenvalues are tried, not only of those that
    seem to be on the circle, so no tolerance decides and a peak however sharp is not missed. Worst Δ = v uᴴ/σ, with
    G v = σ u the leading singular triple. Checked against `hinf_norm_sweep`, the LMI of `certificates` and the
    eigenvalues of A_cl + BΔ. A loop with spectral radius ≥ 1 has radius 0; B = 0 gives inf.

    Raises:
        ValueError: if a shape does not fit or a value is not finite.
    """
    A, B = loop_matrices(A_cl, B)
    if (known := _degenerate_radius(A, B)) is not None:
        return known
    scale = float(np.linalg.norm(B, 2))
    B = B / scale
    best, omega = _peak_gain(A, B, np.concatenate([[0.0, np.pi], np.abs(np.angle(linalg.eigvals(A)))]))
    for _ in range(60):
        angles = np.concatenate([[0.0], _level_crossings(A, B, best), [np.pi]])
        higher, where = _peak_gain(A, B, np.concatenate([angles, (angles[1:] + angles[:-1]) / 2]))
        if higher <= best * (1.0 + 1e-14):
            break
        best, omega = higher, where
    left, sigma, right = np.linalg.svd(_transfer(A, B, np.array([omega]))[0])
    worst = np.outer(right[0].conj(), left[:, 0].conj()) / (sigma[0] * scale)
    return StabilityRadius(float(1.0 / (sigma[0] * scale)), omega, worst)


def hinf_norm_sweep(A_cl: Numbers, B: Numbers, points: int = 2048) -> float:
    """max_{|z|=1} ‖G(z)‖ by a sweep over `points` frequencies, refined at every local maximum: 1/r_C another way.

    A lower bound on the norm; it misses a peak narrower than π/points unless a pole's angle leads to it.
    inf for a loop that is not stable.

    Raises:
        ValueError: if a shape does not fit, a value is not finite or points < 2.
    """
    A, B = loop_matrices(A_cl, B)
    validation.integer("points", points, 2)
    if spectral_radius(A) >= 1.0:
        return np.inf
    omega = np.unique(np.concatenate([np.linspace(0.0, np.pi, points), np.abs(np.angle(linalg.eigvals(A)))]))
    chunks = np.array_split(omega, -(-omega.size * A.size // 2**20))
    gain = np.concatenate([np.linalg.norm(_transfer(A, B, w), 2, axis=(1, 2)) for w in chunks])
    best = float(gain.max())
    for at in _local_maxima(gain, 20):
        low, high = omega[max(at - 1, 0)], omega[min(at + 1, len(omega) - 1)]
        found = minimize_scalar(
            lambda w: -_peak_gain(A, B, np.array([w]))[0],
            bounds=(low, high),
            method="bounded",
            options={"xatol": 1e-12},
        )
        best = max(best, -float(found.fun))  # pyright: ignore[reportAttributeAccessIssue]
    return best


def _local_maxima(values: np.ndarray, count: int) -> np.ndarray:
    """Indices of the `count` largest local maxima of a sequence, its ends included."""
    padded = np.concatenate([[-np.inf], values, [-np.inf]])
    at = np.flatnonzero((padded[1:-1] >= padded[:-2]) & (padded[1:-1] >= padded[2:]))
    return at[np.argsort(-values[at], kind="stable")[:count]]


def _real_gain(G: np.ndarray, rounds: int = 45) -> tuple[np.ndarray, np.ndarray]:
    """inf_{0<γ≤1} σ_2([Re G, −γ Im G; Im G/γ, Re G]) of every matrix (k, n, m), and its γ; golden section, unimodal."""
    if min(G.shape[1:]) == 1:  # Im G has rank one: γ → 0 leaves the part of Re G orthogonal to Im G
        re, im = np.real(G).reshape(len(G), -1), np.imag(G).reshape(len(G), -1)
        along = np.sum(re * im, axis=1) / np.maximum(np.sum(im * im, axis=1), np.finfo(float).tiny)
        return np.linalg.norm(re - along[:, None] * im, axis=1), np.zeros(len(G))

    def second(log_gamma: np.ndarray) -> np.ndarray:
        return np.linalg.svd(_real_block(G, np.exp(log_gamma)), compute_uv=False)[:, 1]

    golden = (np.sqrt(5.0) - 1.0) / 2.0
    low, high = np.full(len(G), np.log(1e-7)), np.zeros(len(G))
    left, right = high - golden * (high - low), low + golden * (high - low)
    at_left, at_right = second(left), second(right)
    for _ in range(rounds):
        down = at_left < at_right
        low, high = np.where(down, low, left), np.where(down, right, high)
        new = np.where(down, high - golden * (high - low), low + golden * (high - low))
        at_new = second(new)
        left, right = np.where(down, new, right), np.where(down, left, new)
        at_left, at_right = np.where(down, at_new, at_right), np.where(down, at_left, at_new)
    inside, at_one = np.minimum(at_left, at_right), second(np.zeros(len(G)))
    gamma = np.exp(np.where(at_left < at_right, left, right))
    return np.minimum(inside, at_one), np.where(at_one <= inside, 1.0, gamma)


def _real_block(G: np.ndarray, gamma: np.ndarray) -> np.ndarray:
    """[Re G, −γ Im G; Im G/γ, Re G] of every matrix, (k, 2n, 2m)."""
    re, im, g = np.real(G), np.imag(G), gamma[:, None, None]
    return np.concatenate([np.concatenate([re, -g * im], 2), np.concatenate([im / g, re], 2)], 1)


def real_stability_radius(A_cl: Numbers, B: Numbers, points: int = 400) -> StabilityRadius:
    """Real stability radius r_R ≥ r_C: norm of the smallest constant real Δ that destabilises, and such a Δ.

    Qiu et al. 1995: 1/r_R = max_{|z|=1} inf_{0<γ≤1} σ_2([Re G, −γ Im G; Im G/γ, Re G]), and σ_1(G) where z = ±1 (there
    G is real and the expression jumps). The frequencies are swept, poles' angles densely, and the highest maxima
    refined. Δ solves Δ [u_1 u_2] = [v_1 v_2]/σ from the halves of the singular vectors, which at the minimum have
    equal Gram matrices, whence ‖Δ‖ = 1/σ. Checked by the eigenvalues of A_cl + BΔ, by optimisation over real Δ below
    and above r_R, and in closed form for scalars. A missed peak would make the radius too large: raise `points`.

    Args:
        A_cl: (n, n).
        B: (n, m).
        points: frequencies of the sweep, at least 2.

    Raises:
        ValueError: if a shape does not fit or a value is not finite.
    """
    A, B = loop_matrices(A_cl, B)
    validation.integer("points", points, 2)
    if (known := _degenerate_radius(A, B)) is not None:
        return known
    poles = linalg.eigvals(A)
    near = np.abs(np.angle(poles))[:, None] + (1.0 - np.abs(poles))[:, None] * np.linspace(-3.0, 3.0, 13)
    omega = np.unique(np.concatenate([np.linspace(0.0, np.pi, points), near[(near > 0) & (near < np.pi)]]))
    gain = _real_gain(_transfer(A, B, omega), 25)[0]
    ends = np.linalg.norm(np.real(_transfer(A, B, omega[[0, -1]])), 2, axis=(1, 2))
    best, where = (float(ends.max()), float(omega[[0, -1]][ends.argmax()]))
    gain[[0, -1]] = 0.0

    def loss(w: float) -> float:
        return -float(_real_gain(_transfer(A, B, np.array([w])))[0][0])

    for at in _local_maxima(gain, 6):
        low, high = omega[max(at - 1, 0)], omega[min(at + 1, len(omega) - 1)]
        found: Any = minimize_scalar(loss, bounds=(low, high), method="bounded", options={"xatol": 1e-11})
        if -found.fun > best:
            best, where = -float(found.fun), float(found.x)
    return StabilityRadius(1.0 / best, where, _real_perturbation(A, B, where))


def _real_perturbation(A: np.ndarray, B: np.ndarray, omega: float) -> np.ndarray:
    """The real Δ of `real_stability_radius` at its frequency."""
    G = _transfer(A, B, np.array([omega]))
    if omega in (0.0, np.pi):
        left, sigma, right = np.linalg.svd(np.real(G[0]))
        return np.outer(right[0], left[:, 0]) / sigma[0]
    gamma = np.maximum(_real_gain(G, 60)[1], 1e-7)
    left, sigma, right = np.linalg.svd(_real_block(G, gamma)[0])
    n, m = G.shape[1:]

    def halves(angle: float) -> tuple[np.ndarray, np.ndarray]:
        mix = np.array([np.cos(angle), np.sin(angle)])
        return (left[:, pair] @ mix).reshape(2, n).T, (right[pair].T @ mix).reshape(2, m).T

    def mismatch(angle: float) -> float:
        u, v = halves(angle)
        return float(np.linalg.norm(u.T @ u - v.T @ v))

    # A minimum at a crossing of σ_2 and σ_3 takes its vector from the plane of both.
    pair, angle = [1, min(2, len(sigma) - 1)], 0.0
    if len(sigma) > 2 and sigma[1] - sigma[2] < 1e-5 * sigma[1]:
        grid = np.linspace(0.0, np.pi, 181)
        start = grid[np.argmin([mismatch(a) for a in grid])]
        found: Any = minimize_scalar(mismatch, bounds=(start - 0.02, start + 0.02), method="bounded")
        angle = float(found.x)
    u, v = halves(angle)
    return v @ np.linalg.pinv(u, rcond=1e-6) / sigma[1]


def transient_growth(A: Numbers, max_steps: int = 100_000) -> Growth:
    """sup_{k≥0} ‖A^k‖ and the first k that attains it.

    The search stops at the first K ≥ 1 with ‖A^K‖ ≤ 1: for k = qK + j, ‖A^k‖ ≤ ‖A^K‖^q ‖A^j‖ ≤ max_{j<K} ‖A^j‖, so the
    supremum lies below K. Such a K exists if the spectral radius is below one, and for normal A (K = 1, to rounding).
    Checked against powers far beyond K and the Kreiss bounds 𝒦 ≤ sup ≤ e n 𝒦.

    Args:
        A: (n, n).
        max_steps: largest K tried.

    Raises:
        ValueError: if A is not a finite square matrix.
        ArithmeticError: if max_steps do not suffice (a spectral radius of one, or too near).
    """
    A = square_matrix("A", A)
    validation.integer("max_steps", max_steps, 1)
    if spectral_radius(A) > 1.0 + 1e-12:
        return Growth(np.inf, -1)
    power, value, step = np.eye(len(A)), 1.0, 0
    for k in range(1, max_steps + 1):
        power = power @ A
        norm = float(np.linalg.norm(power, 2))
        if norm <= 1.0 + 1e-14 * len(A) * k:
            return Growth(value, step)
        if norm > value:
            value, step = norm, k
    raise ArithmeticError(f"no power up to {max_steps} has norm at most 1: spectral radius {spectral_radius(A)!r}")


def kreiss_lower_bound(A: Numbers) -> float:
    """A lower bound, usually tight to a few digits, on 𝒦(A) = sup_{|z|>1} (|z|−1) ‖(zI − A)^{-1}‖ ≤ sup_k ‖A^k‖.

    The largest value over a grid in z, refined by a simplex search. sup_k ‖A^k‖ ≤ e n 𝒦 (Spijker 1991). inf for a
    spectral radius above one.

    Raises:
        ValueError: if A is not a finite square matrix.
    """
    A = square_matrix("A", A)
    if spectral_radius(A) > 1.0 + 1e-12:
        return np.inf

    def ratio(log_excess: np.ndarray, omega: np.ndarray) -> np.ndarray:
        z = (1.0 + np.exp(log_excess)) * np.exp(1j * omega)
        smallest = np.linalg.svd(z[:, None, None] * np.eye(len(A)) - A, compute_uv=False)[:, -1]
        return np.exp(log_excess) / smallest

    angles = np.concatenate([np.linspace(0.0, np.pi, 33), np.abs(np.angle(linalg.eigvals(A)))])
    grid = [g.ravel() for g in np.meshgrid(np.linspace(-14.0, 7.0, 43), angles)]
    values = ratio(*grid)
    start = np.array([g[values.argmax()] for g in grid])
    found: Any = minimize(lambda p: -float(ratio(p[:1], p[1:])[0]), start, method="Nelder-Mead")
    return max(float(values.max()), -float(found.fun))


def power_bound(A: Numbers, rho: float, max_steps: int = 100_000) -> Growth:
    """M(ρ) = sup_{k≥0} ‖A^k‖/ρ^k, so that ‖A^k‖ ≤ M ρ^k (the hypothesis of C.4), and the k that attains it.

    Args:
        A: (n, n).
        rho: ρ > 0; below the spectral radius M is inf.
        max_steps: as `transient_growth`, of A/ρ.

    Raises:
        ValueError, ArithmeticError: as `transient_growth`, and if ρ is not positive.
    """
    validation.positive("rho", rho)
    return transient_growth(square_matrix("A", A) / rho, max_steps)


def perturbed_power_bound(M: float, rho: float, E_norm: float, k: Numbers) -> PowerBounds:
    """Proposition C.4: with ‖A^k‖ ≤ Mρ^k for all k, ‖(A+E)^k‖ ≤ M(ρ+M‖E‖)^k and
    ‖(A+E)^k − A^k‖ ≤ M[(ρ+M‖E‖)^k − ρ^k], also for a product with errors E_1..E_k of norms at most ‖E‖.

    Expanding the product, the C(k,j) words with j factors E are j+1 runs of A: each at most M^{j+1} ρ^{k−j} ‖E‖^j.
    Summing over j gives the first bound; leaving out j = 0, which is A^k, the second.

    Args:
        M: at least 1.
        rho: ρ ≥ 0.
        E_norm: ‖E‖ ≥ 0.
        k: numbers of factors, at least 0, any shape.

    Raises:
        ValueError: if a value is out of its range.
    """
    validation.real("M", M, 1.0, np.inf)
    validation.real("rho", rho, 0.0, np.inf)
    validation.real("E_norm", E_norm, 0.0, np.inf)
    count = validation.array("k", k, 8)
    if np.any(count < 0):
        raise ValueError(f"k must be at least 0, got {count.min()}")
    if rho == 0.0:
        power = np.asarray(M * (M * E_norm) ** count)
        return PowerBounds(power, np.where(count > 0, power, 0.0))
    growth, alone = count * np.log1p(M * E_norm / rho), M * rho**count
    return PowerBounds(np.asarray(alone * np.exp(growth)), np.asarray(alone * np.expm1(growth)))  # exact for small E

"""Certificates of stability that can be checked afterwards, and the gap bounds they give (proposition C.2).

A quadratic V(x) = xᵀPx that falls along x' = (A_cl + BΔ)x for every ‖Δ‖ ≤ r proves the loop stable whatever Δ does from
step to step. The matrix P comes from a semidefinite programme (cvxpy, the extra `gvatheory[certificates]`); what is
reported is read off P afterwards in plain linear algebra, so a solver's error costs tightness and never validity.
`gap_bound` needs no programme: it is the small-gain bound. All reconstructed.
"""

import dataclasses
import warnings
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float
from scipy import linalg
from scipy.optimize import minimize_scalar

from gvatheory import validation
from gvatheory.stability import loop_matrices, spectral_radius, square_matrix, stability_radius
from gvatheory.validation import Numbers


@dataclasses.dataclass(frozen=True)
class Certificate:
    """Proof that x' = (A_cl + BΔ_h) x is stable for all ‖Δ_h‖ ≤ radius, see `verify_certificate`.

    Attributes:
        radius: r > 0.
        P: (n, n), symmetric positive definite.
        slack: of the LMI at (radius, P), beyond the allowance for rounding; positive.
    """

    radius: float
    P: Float[np.ndarray, "n n"]
    slack: float


@dataclasses.dataclass(frozen=True)
class CommonLyapunov:
    """‖x_h‖_P ≤ rate^h ‖x_0‖_P, ‖x‖_P² = xᵀPx, however the loop switches among the matrices.

    Attributes:
        rate: largest ‖P^{1/2} A_i P^{-1/2}‖; below one it proves exponential stability, otherwise it proves nothing.
        P: (n, n), symmetric, smallest eigenvalue one; its condition number κ gives ‖x_h‖ ≤ √κ rate^h ‖x_0‖.
    """

    rate: float
    P: Float[np.ndarray, "n n"]


class GapBound(NamedTuple):
    """Bounds of proposition C.2, for every horizon.

    Attributes:
        gap: |J_H(expert) − J_H(learner)| ≤ gap.
        state_energy: Σ_h ‖x_h‖² ≤ state_energy along the learner's trajectory.
        expert_cost: Σ_{h≥0} of the expert's cost, an equality.
    """

    gap: float
    state_energy: float
    expert_cost: float


def gap_bound(
    A_cl: Numbers, B: Numbers, K: Numbers, Q: Numbers, R: Numbers, perturbation_norm: float, initial: Numbers
) -> GapBound:
    """Proposition C.2: a bound, uniform in H, on the gap of the reward −Σ_h (xᵀQx + uᵀRu) for ‖Δ_h‖ ≤ r < r_C.

    Δ may be complex, vary in time or depend on the state. With q = r/r_C, X² = Σ‖x*_h‖², c = ‖Q + KᵀRK‖^{1/2} and the
    expert's cost Y² = Σ x*ᵀ(Q + KᵀRK)x*:

        Σ‖x_h‖² ≤ (X/(1−q))²,   D = (c q + ‖R‖^{1/2} r) X/(1−q),   |gap| ≤ 2YD + D².

    Proof: x = x* + 𝒢(Δx), where 𝒢 is causal with ℓ2 gain 1/r_C on every horizon, so ‖x‖ ≤ ‖x*‖ + q‖x‖, ‖x−x*‖ ≤ q‖x‖.
    The costs are squared norms of y = (Q^{1/2}x, R^{1/2}(Kx + Δx)) and y*; ‖y−y*‖ ≤ c‖x−x*‖ + ‖R‖^{1/2} r‖x‖ ≤ D. X, Y
    are infinite sums (Lyapunov equations). Process noise of covariance W: add H·W to the second moment of the start
    and the bound holds in expectation, per step. Checked by adversarial switching and state-dependent Δ.

    Args:
        A_cl: A + BK, (n, n), stable.
        B: (n, m).
        K: the expert's gain, (m, n).
        Q: (n, n), PSD.
        R: (m, m), PSD.
        perturbation_norm: r, 0 ≤ r < r_C.
        initial: x_0, (n,), or its second moment E x_0x_0ᵀ, (n, n); the bound is then on the expected gap.

    Raises:
        ValueError: if a shape does not fit, a matrix is not PSD, or r is not below the stability radius.
    """
    A, B = loop_matrices(A_cl, B)
    K, Q, R = (np.atleast_2d(validation.array(name, v, 2)) for name, v in (("K", K), ("Q", Q), ("R", R)))
    n, m = B.shape
    moment = validation.array("initial", initial, 2)
    moment = np.outer(moment, moment) if moment.ndim < 2 else moment
    for name, value, shape in (("K", K, (m, n)), ("Q", Q, (n, n)), ("R", R, (m, m)), ("initial", moment, (n, n))):
        if value.shape != shape:
            raise ValueError(f"{name} does not fit {n} states and {m} actions: got {value.shape}, wanted {shape}")
        if name != "K":
            validation.psd(name, value)
    radius = stability_radius(A, B).radius
    validation.real("perturbation_norm", perturbation_norm, 0.0, radius, open_high=True)
    share = perturbation_norm / radius
    stage = Q + K.T @ R @ K
    energy, cost = (float(np.trace(linalg.solve_discrete_lyapunov(A.T, s) @ moment)) for s in (np.eye(n), stage))
    state = np.sqrt(energy) / (1.0 - share)
    output = (np.sqrt(np.linalg.norm(stage, 2)) * share + np.sqrt(np.linalg.norm(R, 2)) * perturbation_norm) * state
    return GapBound(float(2.0 * np.sqrt(cost) * output + output**2), float(state**2), cost)


def _cvxpy() -> Any:
    """The cvxpy module, imported only when a programme is to be solved."""
    try:
        import cvxpy
    except ImportError as error:
        raise ImportError("this function needs cvxpy: pip install 'gvatheory[certificates]'") from error
    return cvxpy


def _solve(problem: Any) -> bool:
    """Solve with Clarabel at tight tolerances; False if it found no usable point."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # "may be inaccurate": every result is checked afterwards
            problem.solve(solver="CLARABEL", tol_gap_abs=1e-11, tol_gap_rel=1e-11, tol_feas=1e-11)
    except _cvxpy().error.SolverError:
        return False
    return problem.status in ("optimal", "optimal_inaccurate")


def verify_certificate(A_cl: Numbers, B: Numbers, P: Numbers, radius: float) -> float:
    """Slack of the bounded-real LMI at (P, radius), less an allowance for rounding; a positive value is a proof.

        [[AᵀPA − P + I, AᵀPB], [BᵀPA, BᵀPB − I/r²]] ≺ 0,   P ≻ 0

    says V(x') − V(x) < −‖x‖² + ‖w‖²/r² for x' = Ax + Bw, V = xᵀPx; with ‖w‖ = ‖Δx‖ ≤ r‖x‖ V falls. The slack is minus
    the largest eigenvalue, after the states are scaled by powers of two to P's diagonal and the action by r. Plain
    numpy, no solver. The allowance is the usual a-priori bound for the products and a symmetric eigenvalue, so "proof"
    is up to its constant; the tests repeat the check in exact rational arithmetic.

    Args:
        A_cl: (n, n).
        B: (n, m).
        P: (n, n), symmetric.
        radius: r > 0.

    Returns:
        the slack, −inf if P is not positive definite.

    Raises:
        ValueError: if a shape does not fit, P is not symmetric or the radius is not positive.
    """
    A, B = loop_matrices(A_cl, B)
    P = square_matrix("P", P)
    validation.positive("radius", radius)
    if P.shape != A.shape or not np.allclose(P, P.T, rtol=1e-12, atol=0.0):
        raise ValueError(f"P must be symmetric of shape {A.shape}, got shape {P.shape}")
    return _lmi_slack(A, B * radius, P)


def _lmi_slack(A: np.ndarray, B: np.ndarray, P: np.ndarray) -> float:
    """`verify_certificate` at radius one; a radius multiplies B (the congruence by diag(I, r))."""
    n, m = B.shape
    if np.any(np.diagonal(P) <= 0.0):
        return -np.inf
    unit = 2.0 ** -np.round(np.log2(np.diagonal(P)) / 2)  # of each state; powers of two scale without rounding
    P = unit[:, None] * P * unit
    values = np.linalg.eigvalsh(P)
    if values[0] <= 8 * n * np.finfo(float).eps * values[-1]:
        return -np.inf
    loop = np.hstack([A * unit, B]) / unit[:, None]
    matrix = loop.T @ P @ loop - np.diag(np.concatenate([-(unit**2), np.ones(m)]))
    matrix[:n, :n] -= P
    size = float(values[-1]) * (np.linalg.norm(loop, 2) ** 2 + 1.0) + float(unit.max()) ** 2 + 1.0
    return float(-np.linalg.eigvalsh((matrix + matrix.T) / 2)[-1] - 4.0 * (n + m) ** 1.5 * np.finfo(float).eps * size)


def _best_level(A: np.ndarray, B: np.ndarray, P: np.ndarray) -> tuple[float, float]:
    """Smallest γ² for which some multiple t P satisfies the LMI with γ² in place of 1/r², and that t; inf if none.

    With S = t(P − AᵀPA) − I ≻ 0 the Schur complement gives γ² = λ_max(t BᵀPB + t² BᵀPA S^{-1} AᵀPB), convex in t.
    """
    fall = P - A.T @ P @ A
    smallest = float(np.linalg.eigvalsh((fall + fall.T) / 2)[0])
    if smallest <= 0.0:
        return np.inf, 1.0
    cross, direct = A.T @ P @ B, B.T @ P @ B

    def level(log_excess: float) -> float:
        t = (1.0 + np.exp(log_excess)) / smallest
        complement = t * direct + t**2 * cross.T @ np.linalg.solve(t * fall - np.eye(len(A)), cross)
        return float(np.linalg.eigvalsh((complement + complement.T) / 2)[-1])

    found: Any = minimize_scalar(level, bounds=(-25.0, 12.0), method="bounded", options={"xatol": 1e-9})
    return float(found.fun), float((1.0 + np.exp(found.x)) / smallest)


def certified_radius(A_cl: Numbers, B: Numbers) -> Certificate:
    """Largest r that a quadratic Lyapunov function certifies: minimise γ² = 1/r² under the LMI of `verify_certificate`.

    By the bounded-real (Kalman-Yakubovich-Popov) lemma the optimum is the complex radius r_C, found here without a
    frequency. The Lyapunov solution gives a first certificate, the coordinates and the unit of γ², and each
    answer those of a next round until nothing is gained. From P the radius is recomputed, and shrunk until the LMI
    holds with its allowance for rounding: the result is a lower bound on r_C, whatever the solver did.

    Args:
        A_cl: (n, n), spectral radius below one.
        B: (n, m), not zero.

    Raises:
        ImportError: without cvxpy.
        ValueError: if a shape does not fit, A_cl is not stable or B is zero.
        ArithmeticError: if no radius can be verified (a loop too close to marginal for float64).
    """
    A, B = loop_matrices(A_cl, B)
    if spectral_radius(A) >= 1.0:
        raise ValueError(f"A_cl must have spectral radius below 1, got {spectral_radius(A)!r}")
    if not np.any(B):
        raise ValueError("B must not be zero: every radius is certified")
    start = linalg.solve_discrete_lyapunov(A.T, np.eye(len(A)))
    P = (start + start.T) / 2
    level, t = _best_level(A, B, P)
    if not np.isfinite(level):
        raise ArithmeticError(f"no radius verified: spectral radius {spectral_radius(A)!r} is too close to 1")
    best = _verified(A, B, P, level, t)
    for _ in range(6):  # solved again in the coordinates of its own answer, which then is the identity
        better = _optimal_lyapunov(A, B, P, level)
        found, t = _best_level(A, B, better)
        candidate = _verified(A, B, better, found, t)
        best = max((best, candidate), key=lambda c: c.radius if c else 0.0)
        settled = found > level * (1.0 - 1e-8)
        if found < level:
            P, level = better, found
        if settled:
            break
    if best is None:
        raise ArithmeticError(f"no radius verified: spectral radius {spectral_radius(A)!r} is too close to 1")
    return best


def _verified(A: np.ndarray, B: np.ndarray, P: np.ndarray, level: float, t: float) -> Certificate | None:
    """The certificate of t P at the level γ², its radius shrunk until the LMI holds; None if it never does."""
    for shrink in np.geomspace(1e-12, 0.5, 80) if np.isfinite(level) else ():
        radius = float((1.0 - shrink) / np.sqrt(level))
        for stretch in (shrink, 0.1 * shrink, 0.01 * shrink, 0.0):  # a larger t moves slack from one block to the other
            scaled = t * (1.0 + stretch) * P
            if (slack := _lmi_slack(A, B * radius, scaled)) > 0.0:
                return Certificate(radius, scaled, slack)
    return None


def _optimal_lyapunov(A: np.ndarray, B: np.ndarray, start: np.ndarray, unit: float) -> np.ndarray:
    """P of the semidefinite programme, in the coordinates of `start` and units of γ²; `start` if the solver fails."""
    cp = _cvxpy()
    n, m = B.shape
    values, vectors = np.linalg.eigh(start)
    T = vectors / np.sqrt(values)  # Tᵀ start T = I
    back = (vectors * np.sqrt(values)).T
    loop = np.hstack([back @ A @ T, back @ B / np.sqrt(unit)])
    P, level = cp.Variable((n, n), symmetric=True), cp.Variable()
    corner = np.zeros((n + m, n + m))
    corner[n:, n:] = np.eye(m)
    pick = np.eye(n, n + m)
    fixed = linalg.block_diag(T.T @ T, np.zeros((m, m)))
    lmi = loop.T @ P @ loop - pick.T @ P @ pick + fixed - level * corner
    if not _solve(cp.Problem(cp.Minimize(level), [(lmi + lmi.T) / 2 << 0, P >> 0])) or P.value is None:
        return start
    found = back.T @ P.value @ back
    return (found + found.T) / 2


def certified_energy(certificate: Certificate, perturbation_norm: float, initial_state: Numbers) -> float:
    """Σ_{h≥0} ‖x_h‖² ≤ x_0ᵀPx_0/(1 − (‖Δ‖/r)²) for every Δ with ‖Δ_h‖ ≤ perturbation_norm < r: sum the fall of V.

    Args:
        certificate: of the loop.
        perturbation_norm: in [0, certificate.radius).
        initial_state: x_0, (n,).

    Raises:
        ValueError: if the norm is not below the certified radius or the shape does not fit.
    """
    validation.real("perturbation_norm", perturbation_norm, 0.0, certificate.radius, open_high=True)
    x0 = _state(initial_state, len(certificate.P))
    return float(x0 @ certificate.P @ x0) / (1.0 - (perturbation_norm / certificate.radius) ** 2)


def _state(initial_state: Numbers, size: int) -> np.ndarray:
    """The initial state as a vector of that size."""
    x0 = np.atleast_1d(validation.array("initial_state", initial_state, 1))
    if x0.shape != (size,):
        raise ValueError(f"initial_state must have shape ({size},), got {x0.shape}")
    return x0


def _common_rate(loops: list[np.ndarray], P: np.ndarray) -> float:
    """Largest ‖P^{1/2} A_i P^{-1/2}‖, inf unless P is positive definite."""
    try:
        root = linalg.cholesky(P)
    except np.linalg.LinAlgError:
        return np.inf
    return max(float(np.linalg.norm(root @ A @ np.linalg.inv(root), 2)) for A in loops)


def common_lyapunov(matrices: list[Numbers], tolerance: float = 1e-6) -> CommonLyapunov:
    """One quadratic norm in which all given closed loops contract, at the best rate, by bisection on ρ.

    Feasibility at ρ is P ≻ 0 with A_iᵀPA_i ⪯ ρ²P, a semidefinite programme that maximises the common margin. Each
    feasible P is credited with its own exact rate. At least the largest spectral radius, and above the joint
    spectral radius, at most by the factor √n (Ando and Shih 1998).

    Args:
        matrices: closed loops, each (n, n).
        tolerance: of ρ, relative to the largest norm.

    Raises:
        ImportError: without cvxpy.
        ValueError: if there is no matrix or the shapes differ.
    """
    loops = [square_matrix("matrices", A) for A in matrices]
    if not loops or len({A.shape for A in loops}) > 1:
        raise ValueError(f"matrices must be one or more of the same shape, got shapes {[A.shape for A in loops]}")
    validation.positive("tolerance", tolerance)
    cp = _cvxpy()
    n = len(loops[0])
    scale = max(float(np.linalg.norm(A, 2)) for A in loops)
    if scale == 0.0:
        return CommonLyapunov(0.0, np.eye(n))
    loops = [A / scale for A in loops]
    best, high, low = np.eye(n), 1.0, max(spectral_radius(A) for A in loops)
    P, margin, squared = cp.Variable((n, n), symmetric=True), cp.Variable(), cp.Parameter(nonneg=True)
    falls = [(D + D.T) / 2 >> margin * np.eye(n) for D in (squared * P - A.T @ P @ A for A in loops)]
    problem = cp.Problem(cp.Maximize(margin), [*falls, P << np.eye(n), P >> margin * np.eye(n)])
    while high - low > tolerance:
        middle = (low + high) / 2
        squared.value = middle**2
        solved = np.asarray(P.value) if _solve(problem) else np.zeros((n, n))
        solved = (solved + solved.T) / 2
        rate = _common_rate(loops, solved)
        if rate < high:
            best, high = solved, rate
        if rate > middle:
            low = middle
    smallest = float(np.linalg.eigvalsh(best)[0])
    return CommonLyapunov(high * scale, best / smallest)


def certified_horizon_bound(
    common: CommonLyapunov, stage_costs: list[Numbers], initial_state: Numbers, horizon: int | None = None
) -> float:
    """Bound on Σ_{h<H} x_hᵀS_i x_h while the loop switches at will: μ x_0ᵀPx_0 (1 − ρ^{2H})/(1 − ρ²).

    Here μ = max_i λ_max(P^{-1/2} S_i P^{-1/2}). With S_i = Q + K_iᵀRK_i it bounds the learner's cost, hence the gap of
    the quadratic reward, since the expert's cost is not negative; with S = I the state energy.

    Args:
        common: of the closed loops A + BK_i.
        stage_costs: S_i, each (n, n), PSD.
        initial_state: x_0, (n,).
        horizon: H ≥ 1; None for every horizon, which needs rate < 1.

    Raises:
        ValueError: if a shape does not fit, an S_i is not PSD or the rate is not below one without a horizon.
    """
    x0 = _state(initial_state, len(common.P))
    costs = [square_matrix("stage_costs", S) for S in stage_costs]
    for S in costs:
        validation.psd("stage_costs", S)
    weight = max(float(linalg.eigh(S, common.P, eigvals_only=True)[-1]) for S in costs)
    if horizon is None:
        validation.real("common.rate", common.rate, 0.0, 1.0, open_high=True)
        total = 1.0 / (1.0 - common.rate**2)
    else:
        validation.integer("horizon", horizon, 1)
        total = float(np.sum(common.rate ** (2.0 * np.arange(horizon))))
    return weight * float(x0 @ common.P @ x0) * total

"""Certificates against the complex radius and exact rational arithmetic; gap bounds against adversaries."""

import sys
from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import solve_discrete_lyapunov

from gvatheory import certificates, random_systems, stability

SEEDS = st.integers(0, 2**32 - 1)
Error = Callable[[int, np.ndarray], np.ndarray]


def drawn(seed: int, radius: float) -> random_systems.LinearExpert:
    rng = np.random.default_rng(seed)
    return random_systems.random_system(int(rng.integers(1, 6)), int(rng.integers(1, 4)), radius, seed)


def positive_definite(matrix: list[list[Fraction]]) -> bool:
    """Gaussian elimination without rounding: every pivot is positive."""
    rows = [row[:] for row in matrix]
    for i in range(len(rows)):
        if rows[i][i] <= 0:
            return False
        for j in range(i + 1, len(rows)):
            factor = rows[j][i] / rows[i][i]
            rows[j] = [x - factor * y for x, y in zip(rows[j], rows[i], strict=True)]
    return True


def exactly_certified(A: np.ndarray, B: np.ndarray, P: np.ndarray, radius: float) -> bool:
    """P ≻ 0 and the LMI, in rational arithmetic on the float64 values given."""
    n, m = B.shape
    loop = [[Fraction(float(v)) for v in row] for row in np.hstack([A, B])]
    symmetric = [[(Fraction(float(P[i, j])) + Fraction(float(P[j, i]))) / 2 for j in range(n)] for i in range(n)]
    level = 1 / Fraction(radius) ** 2
    product = [
        [sum((symmetric[i][k] * loop[k][j] for k in range(n)), Fraction(0)) for j in range(n + m)] for i in range(n)
    ]
    lmi = [
        [-sum((loop[k][i] * product[k][j] for k in range(n)), Fraction(0)) for j in range(n + m)] for i in range(n + m)
    ]
    for i in range(n):
        lmi[i][i] -= 1
        for j in range(n):
            lmi[i][j] += symmetric[i][j]
    for i in range(n, n + m):
        lmi[i][i] += level
    return positive_definite(symmetric) and positive_definite(lmi)


@settings(max_examples=12, deadline=None)
@given(seed=SEEDS, radius=st.sampled_from([0.3, 0.9, 0.99, 0.999]))
def test_the_certified_radius_is_the_complex_one_and_holds_exactly(seed: int, radius: float) -> None:
    system = drawn(seed, radius)
    A, B = system.closed_loop, system.B
    got = certificates.certified_radius(A, B)
    complex_radius = stability.stability_radius(A, B).radius
    assert complex_radius * (1 - 1e-6) <= got.radius <= complex_radius * (1 + 1e-10)
    assert got.slack == certificates.verify_certificate(A, B, got.P, got.radius) > 0
    assert exactly_certified(A, B, got.P, got.radius)
    assert certificates.verify_certificate(A, B, got.P, got.radius * (1 + 1e-5)) < 0
    assert not exactly_certified(A, B, got.P, complex_radius * (1 + 1e-9))


@pytest.mark.parametrize("size", [2, 6])
def test_a_badly_scaled_loop_is_certified_all_the_same(size: int) -> None:
    """A Jordan block at 0.9 with a small input: P has a condition number beyond 1e8."""
    A, B = 0.9 * np.eye(size) + np.eye(size, k=1), np.full((size, 1), 1e-3)
    got = certificates.certified_radius(A, B)
    assert got.radius == pytest.approx(stability.stability_radius(A, B).radius, rel=1e-6, abs=0)
    assert exactly_certified(A, B, got.P, got.radius)


def test_verification_refuses_what_is_no_proof() -> None:
    A, B = np.diag([0.5, 0.8]), np.eye(2)
    P = certificates.certified_radius(A, B).P
    assert certificates.verify_certificate(A, B, P, 0.19) > 0
    assert certificates.verify_certificate(A, B, -P, 0.19) == -np.inf
    assert certificates.verify_certificate(A, B, np.diag([1.0, 0.0]), 0.19) == -np.inf
    assert certificates.verify_certificate(A, B, 0.01 * P, 0.19) < 0
    assert certificates.verify_certificate(1.3 * A, B, P, 0.19) < 0


def test_a_failing_solver_costs_tightness_not_validity(monkeypatch) -> None:
    monkeypatch.setattr(certificates, "_solve", lambda problem: False)
    A, B = np.array([[0.9, 0.5], [-0.1, 0.4]]), np.array([[0.0], [1.0]])
    got = certificates.certified_radius(A, B)
    assert 0 < got.radius < 0.999 * stability.stability_radius(A, B).radius
    assert exactly_certified(A, B, got.P, got.radius)


def test_a_missing_solver_names_the_extra(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "cvxpy", None)
    with pytest.raises(ImportError, match=r"gvatheory\[certificates\]"):
        certificates.certified_radius(0.5, 1.0)
    with pytest.raises(ImportError, match=r"gvatheory\[certificates\]"):
        certificates.common_lyapunov([0.5])


def adversaries(system: random_systems.LinearExpert, norm: float, seed: int) -> dict[str, Error]:
    """Gain errors of exactly that norm: constant, switching, complex, and the two that do most harm at each state."""
    rng = np.random.default_rng(seed)
    A, B, K = system.closed_loop, system.B, system.K_expert
    weight = solve_discrete_lyapunov(A.T, np.eye(len(A)) + K.T @ K)
    shape = K.shape
    pool = rng.standard_normal((7, *shape))
    pool *= norm / np.linalg.norm(pool, 2, axis=(1, 2))[:, None, None]
    radius = stability.stability_radius(A, B)
    real_radius = stability.real_stability_radius(A, B, 60)
    choice = rng.integers(0, 7, 1000)

    def toward(goal: np.ndarray, x: np.ndarray) -> np.ndarray:
        size = np.linalg.norm(goal) * np.linalg.norm(x)
        return norm * np.outer(goal, x.conj()) / size if size > 1e-200 else np.zeros(shape)

    return {
        "constant": lambda h, x: pool[0],
        "switching": lambda h, x: pool[choice[h]],
        "complex worst": lambda h, x: radius.perturbation * norm / radius.radius,
        "real worst": lambda h, x: real_radius.perturbation * norm / real_radius.radius,
        "largest next state": lambda h, x: toward(B.T @ A @ x, x),
        "largest cost to go": lambda h, x: toward(B.T @ weight @ A @ x + K @ x, x),
        "worst of the pool": lambda h, x: max(pool, key=lambda d: float(np.linalg.norm((A + B @ d) @ x))),
    }


def costs(system: random_systems.LinearExpert, error: Error, x0: np.ndarray, horizon: int, R: np.ndarray) -> np.ndarray:
    """Cumulative Σ‖x‖² and cost (Q = I) at every horizon, (2, H), by running the loop as x' = Ax + Bu."""
    x, rows = x0.astype(complex), []
    for h in range(horizon):
        u = (system.K_expert + error(h, x)) @ x
        rows.append([np.vdot(x, x).real, (np.vdot(x, x) + np.vdot(u, R @ u)).real])
        x = system.A @ x + system.B @ u
    return np.cumsum(rows, axis=0).T


@settings(max_examples=12, deadline=None)
@given(seed=SEEDS, radius=st.sampled_from([0.3, 0.8, 0.95]), share=st.sampled_from([0.05, 0.5, 0.9]))
def test_no_adversary_exceeds_the_gap_bound_at_any_horizon(seed: int, radius: float, share: float) -> None:
    system = drawn(seed, radius)
    n, m = system.B.shape
    rng = np.random.default_rng(seed)
    x0, factor = rng.standard_normal(n), rng.standard_normal((m, m))
    R = factor @ factor.T
    norm = share * stability.stability_radius(system.closed_loop, system.B).radius
    bound = certificates.gap_bound(system.closed_loop, system.B, system.K_expert, np.eye(n), R, norm, x0)
    expert = costs(system, lambda h, x: np.zeros((m, n)), x0, 300, R)[1]
    assert expert[-1] <= bound.expert_cost * (1 + 1e-10)
    for name, error in adversaries(system, norm, seed).items():
        energy, cost = costs(system, error, x0, 300, R)
        assert energy[-1] <= bound.state_energy, name
        assert np.all(np.abs(cost - expert) <= bound.gap), name


def test_the_gap_bound_in_closed_form() -> None:
    """Scalar, Q = 1, R = 0: ((1 − q)^{−2} − 1)/(1 − a²), q = r/(1 − a); a random start counts by its second moment."""
    got = certificates.gap_bound(0.6, 1.0, 0.3, 1.0, 0.0, 0.1, 2.0)
    assert got.gap == pytest.approx(4 * (0.75**-2 - 1) / 0.64, rel=1e-12)
    assert got.state_energy == pytest.approx(4 * 0.75**-2 / 0.64, rel=1e-12)
    assert got.expert_cost == pytest.approx(4 / 0.64, rel=1e-12)
    assert certificates.gap_bound(0.6, 1.0, 0.3, 1.0, 0.0, 0.1, [[4.0]]) == got
    assert certificates.gap_bound(0.6, 1.0, 0.3, 1.0, 2.0, 0.0, 2.0).gap == 0.0
    # Q = 0 and K = 0: only the price of the erring action is left, R r² Σx².
    price = certificates.gap_bound(0.6, 1.0, 0.0, 0.0, 2.0, 0.1, 2.0)
    assert price.gap == pytest.approx(2 * 0.1**2 * price.state_energy, rel=1e-12)
    assert price.gap >= 2 * 0.1**2 * 4 / (1 - 0.7**2)


def test_with_process_noise_the_gap_is_bounded_per_step() -> None:
    """Expected costs by the covariance recursion, the noise moment H·W added to that of the start."""
    system = random_systems.random_system(3, 2, 0.8, 5)
    A, B, K, W = system.closed_loop, system.B, system.K_expert, np.diag([1.0, 0.2, 0.0])
    norm = 0.6 * stability.stability_radius(A, B).radius
    for error in (0 * K, norm * K / np.linalg.norm(K, 2), stability.real_stability_radius(A, B).perturbation):
        delta = error * min(1.0, norm / max(np.linalg.norm(error, 2), 1e-300))
        S, T, cost, expert = np.eye(3), np.eye(3), 0.0, 0.0
        for h in range(1, 201):
            cost += np.trace((np.eye(3) + (K + delta).T @ (K + delta)) @ S)
            expert += np.trace((np.eye(3) + K.T @ K) @ T)
            S, T = (A + B @ delta) @ S @ (A + B @ delta).T + W, A @ T @ A.T + W
            if h in (1, 10, 200):
                bound = certificates.gap_bound(A, B, K, np.eye(3), np.eye(2), norm, np.eye(3) + h * W)
                assert abs(cost - expert) <= bound.gap


@settings(max_examples=6, deadline=None)
@given(seed=SEEDS, share=st.sampled_from([0.3, 0.9]))
def test_the_certificate_bounds_the_energy(seed: int, share: float) -> None:
    system = drawn(seed, 0.9)
    got = certificates.certified_radius(system.closed_loop, system.B)
    x0 = np.random.default_rng(seed).standard_normal(len(system.A))
    bound = certificates.certified_energy(got, share * got.radius, x0)
    for error in adversaries(system, share * got.radius, seed).values():
        assert costs(system, error, x0, 300, np.eye(system.B.shape[1]))[0, -1] <= bound


def test_common_rates_in_closed_form() -> None:
    """Two opposite shifts of gains a and b meet in diag(p, q) at √(ab), their joint spectral radius."""
    pair = certificates.common_lyapunov([[[0, 4.0], [0, 0]], [[0, 0], [0.1, 0]]])
    assert pair.rate == pytest.approx(np.sqrt(0.4), abs=2e-5)
    turned = np.array([[np.cos(0.3), -np.sin(0.3)], [np.sin(0.3), np.cos(0.3)]])
    assert certificates.common_lyapunov([0.9 * turned, 0.7 * turned.T]).rate == pytest.approx(0.9, abs=1e-6)
    assert certificates.common_lyapunov([np.array([[0.5, 1.0], [0.0, 0.8]])]).rate == pytest.approx(0.8, abs=1e-4)
    assert certificates.common_lyapunov([np.zeros((2, 2))]).rate == 0.0


@pytest.mark.parametrize("seed", range(3))
def test_a_common_certificate_holds_for_every_switching(seed: int) -> None:
    rng = np.random.default_rng(seed)
    loops = rng.standard_normal((3, 3, 3))
    loops *= 0.6 / max(stability.spectral_radius(A) for A in loops)
    common = certificates.common_lyapunov(list(loops))
    roots = [np.eye(3)]
    for length in range(1, 6):
        roots = [A @ p for A in loops for p in roots]
        assert max(stability.spectral_radius(p) for p in roots) ** (1 / length) <= common.rate * (1 + 1e-9)
        assert (
            max(np.linalg.norm(p, 2) for p in roots)
            <= np.sqrt(np.linalg.cond(common.P)) * common.rate**length * 1.000001
        )
    stages = [np.eye(3), np.diag([2.0, 0.0, 1.0]), np.ones((3, 3))]
    x0, x, total = rng.standard_normal(3), np.zeros(3), 0.0
    for greedy in (False, True):
        x, total = x0, 0.0
        for h in range(1, 60):
            at = (
                max(range(3), key=lambda i, x=x: x @ loops[i].T @ common.P @ loops[i] @ x)
                if greedy
                else rng.integers(3)
            )
            total += x @ stages[at] @ x
            x = loops[at] @ x
            assert total <= certificates.certified_horizon_bound(common, stages, x0, h)
        if common.rate < 1:
            assert total <= certificates.certified_horizon_bound(common, stages, x0)


def test_the_horizon_bound_is_attained_by_a_scalar() -> None:
    common = certificates.common_lyapunov([0.8])
    assert certificates.certified_horizon_bound(common, [3.0], 2.0, 4) == pytest.approx(
        12 * sum(0.64**h for h in range(4)), rel=1e-12
    )
    assert certificates.certified_horizon_bound(common, [3.0], 2.0) == pytest.approx(12 / 0.36, rel=1e-12)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: certificates.certified_radius(1.0, 1.0), "A_cl must have spectral radius below 1, got 1.0"),
        (lambda: certificates.certified_radius(0.5, 0.0), "B must not be zero"),
        (
            lambda: certificates.gap_bound(0.5, 1.0, 0.0, 1.0, 1.0, 0.5, 1.0),
            r"perturbation_norm must be a number in \[0, 0.5\)",
        ),
        (lambda: certificates.gap_bound(0.5, 1.0, 0.0, -1.0, 1.0, 0.1, 1.0), "Q must be positive semi-definite"),
        (lambda: certificates.gap_bound(0.5, 1.0, 0.0, 1.0, 1.0, 0.1, [1.0, 2.0]), "initial does not fit"),
        (
            lambda: certificates.common_lyapunov([np.eye(2), np.eye(3)]),
            "matrices must be one or more of the same shape",
        ),
        (lambda: certificates.common_lyapunov([]), "matrices must be one or more"),
        (lambda: certificates.verify_certificate(np.eye(2), np.eye(2), [[1, 2], [0, 1]], 0.1), "P must be symmetric"),
    ],
)
def test_bad_values_are_named(make, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_no_horizon_without_contraction() -> None:
    common = certificates.common_lyapunov([1.0])
    with pytest.raises(ValueError, match=r"common.rate must be a number in \[0, 1\), got"):
        certificates.certified_horizon_bound(common, [1.0], 1.0)

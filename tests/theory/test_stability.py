"""Stability radii against closed forms, eigenvalues and search; growth and perturbed powers; drawn systems."""

from fractions import Fraction

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import solve_discrete_are, solve_discrete_lyapunov
from scipy.optimize import minimize

from gvatheory import random_systems, stability

SEEDS = st.integers(0, 2**32 - 1)


def drawn(seed: int, largest: int = 6) -> tuple[np.ndarray, np.ndarray]:
    """A stable loop, from comfortable to nearly marginal, and an input matrix."""
    rng = np.random.default_rng(seed)
    n, m = rng.integers(1, largest + 1), rng.integers(1, 4)
    A = rng.standard_normal((n, n))
    return A * rng.choice([0.3, 0.9, 0.99, 0.9999]) / stability.spectral_radius(A), rng.standard_normal((n, m))


def eigenvalue_distance(loop: np.ndarray, frequency: float) -> float:
    return float(np.abs(np.linalg.eigvals(loop) - np.exp(1j * frequency)).min())


@settings(max_examples=40, deadline=None)
@given(a=st.floats(-0.999, 0.999), b=st.floats(0.01, 100.0), sign=st.sampled_from([-1.0, 1.0]))
def test_scalar_radii_are_the_distance_to_the_circle(a: float, b: float, sign: float) -> None:
    for radius in (stability.stability_radius(a, sign * b), stability.real_stability_radius(a, sign * b, 4)):
        assert radius.radius == pytest.approx((1 - abs(a)) / b, rel=1e-12)
        assert abs(abs(a + sign * b * radius.perturbation[0, 0]) - 1) < 1e-12


@settings(max_examples=60, deadline=None)
@given(seed=SEEDS)
def test_complex_radius_agrees_with_the_sweep_and_its_perturbation_destabilises(seed: int) -> None:
    A, B = drawn(seed)
    got = stability.stability_radius(A, B)
    assert stability.hinf_norm_sweep(A, B, 500) == pytest.approx(1 / got.radius, rel=1e-8)
    assert np.linalg.norm(got.perturbation, 2) == pytest.approx(got.radius, rel=1e-12)
    assert eigenvalue_distance(A + B @ got.perturbation, got.frequency) < 1e-9


@pytest.mark.parametrize("distance", [0.5, 1e-3, 1e-8])
@pytest.mark.parametrize("size", [1, 2, 5])
def test_a_normal_loop_has_radius_one_minus_its_spectral_radius(size: int, distance: float) -> None:
    """However sharp the peak: 1e-8 wide, at an angle that no grid holds."""
    system = random_systems.random_system(size, 1, 1 - distance, 3, kind="normal")
    got = stability.stability_radius(system.closed_loop, np.eye(size))
    assert got.radius == pytest.approx(distance, rel=1e-11, abs=size * 2.0**-51)


@pytest.mark.parametrize("coupling", [0.1, 1.0, 50.0])
@pytest.mark.parametrize("a", [-0.5, 0.9, 0.999])
def test_jordan_block_radius_in_closed_form(a: float, coupling: float) -> None:
    """The resolvent of [[a, c], [0, a]] has norm (s + √(s²+4))/(2d) at distance d from a, s = c/d: nearest is worst."""
    d = 1 - abs(a)
    s = coupling / d
    got = stability.stability_radius([[a, coupling], [0, a]], np.eye(2))
    assert got.radius == pytest.approx(2 * d / (s + np.sqrt(s * s + 4)), rel=1e-10)
    assert got.frequency == pytest.approx(0.0 if a > 0 else np.pi, abs=1e-5)


def test_a_narrow_peak_hidden_from_a_grid_is_found() -> None:
    """A resonance 1e-9 wide beside a broad, lower one; B feeds both."""
    c, s = np.cos(1.0), np.sin(1.0)
    A = np.zeros((4, 4))
    A[:2, :2] = (1 - 1e-9) * np.array([[c, -s], [s, c]])
    A[2:, 2:] = 0.5 * np.eye(2)
    assert stability.stability_radius(A, np.eye(4)).radius == pytest.approx(1e-9, rel=1e-6, abs=0)
    assert stability.stability_radius(A, np.diag([1e-12, 1e-12, 1, 1])).radius == pytest.approx(0.5, rel=1e-6)


def test_loops_without_a_radius() -> None:
    for radius in (stability.stability_radius, stability.real_stability_radius):
        assert radius([[1.2, 0], [0, 0.1]], np.eye(2)).radius == 0.0
        assert radius(-1.0, 1.0).radius == 0.0
        assert radius(-1.0, 1.0).frequency == pytest.approx(np.pi)
        assert radius(0.5 * np.eye(2), np.zeros((2, 3))).radius == np.inf
    assert stability.hinf_norm_sweep(1.0, 1.0) == np.inf


@settings(max_examples=60, deadline=None)
@given(determinant=st.floats(-0.98, 0.98), share=st.floats(-0.98, 0.98))
def test_real_radius_of_a_companion_loop_is_the_distance_to_the_stability_triangle(determinant, share) -> None:
    """x' = [[0, 1], [−p, −t]] x + (0, 1)ᵀu: gains move (p, t) at will; stable iff |p| < 1 and |t| < 1 + p (Jury)."""
    trace = share * (1 + determinant)
    expected = min(1 - determinant, (1 + determinant - abs(trace)) / np.sqrt(2))
    got = stability.real_stability_radius([[0, 1], [-determinant, -trace]], [[0], [1]], 60)
    assert got.radius == pytest.approx(expected, rel=1e-7)


@settings(max_examples=12, deadline=None)
@given(seed=SEEDS)
def test_real_radius_has_a_real_perturbation_of_its_own_norm(seed: int) -> None:
    A, B = drawn(seed)
    got = stability.real_stability_radius(A, B, 100)
    assert got.perturbation.dtype == np.float64
    assert got.radius >= stability.stability_radius(A, B).radius * (1 - 1e-9)
    assert np.linalg.norm(got.perturbation, 2) == pytest.approx(got.radius, rel=1e-5)
    assert eigenvalue_distance(A + B @ got.perturbation, got.frequency) < 1e-7


def largest_real_radius(A: np.ndarray, B: np.ndarray, norm: float, rng: np.random.Generator) -> float:
    """Largest spectral radius found of A + BΔ over real Δ of that norm: random draws, the best ones polished."""
    shape = (B.shape[1], len(A))

    def loss(flat: np.ndarray) -> float:
        delta = flat.reshape(shape)
        return -stability.spectral_radius(A + B @ delta * (norm / np.linalg.norm(delta, 2)))

    draws = rng.standard_normal((200, shape[0] * shape[1]))
    starts = draws[np.argsort([loss(d) for d in draws])[:3]]
    return max(-minimize(loss, s, method="Nelder-Mead", options={"maxiter": 600}).fun for s in starts)


@pytest.mark.parametrize("seed", range(4))
def test_search_over_real_perturbations_destabilises_above_the_real_radius_only(seed: int) -> None:
    rng = np.random.default_rng(seed)
    A = rng.standard_normal((2 + seed % 2, 2 + seed % 2))
    A *= 0.8 / stability.spectral_radius(A)
    B = rng.standard_normal((len(A), 2))
    radius = stability.real_stability_radius(A, B).radius
    assert largest_real_radius(A, B, 0.999 * radius, rng) < 1.0
    assert largest_real_radius(A, B, 1.003 * radius, rng) > 1.0


@settings(max_examples=25, deadline=None)
@given(seed=SEEDS)
def test_transient_growth_is_the_largest_power_and_obeys_the_kreiss_theorem(seed: int) -> None:
    rng = np.random.default_rng(seed)
    A = np.triu(rng.standard_normal((3, 3)), 1) * 4 + np.diag(rng.uniform(-0.9, 0.9, 3))
    growth = stability.transient_growth(A)
    norms = [np.linalg.norm(np.linalg.matrix_power(A, k), 2) for k in range(150)]
    assert growth.value == pytest.approx(max(norms), rel=1e-12)
    assert growth.step == int(np.argmax(norms))
    kreiss = stability.kreiss_lower_bound(A)
    assert kreiss <= growth.value * (1 + 1e-9)
    assert growth.value <= np.e * 3 * kreiss


def test_growth_of_extreme_loops() -> None:
    dips = np.diag([3.0, 0.5, 3.0], 1)  # norms 3, 1.5, 4.5, 0: a fall is no reason to stop
    assert stability.transient_growth(dips) == stability.Growth(4.5, 3)
    assert stability.transient_growth([[0, -1], [1, 0]]) == stability.Growth(1.0, 0)
    assert stability.transient_growth([[1.1, 0], [0, 0]]) == stability.Growth(np.inf, -1)
    assert stability.kreiss_lower_bound(1.1) == np.inf
    assert stability.kreiss_lower_bound([[0, 2], [0, 0]]) > 1.0
    with pytest.raises(ArithmeticError, match="no power up to 50 has norm at most 1"):
        stability.transient_growth([[1, 1], [0, 1]], 50)
    assert stability.power_bound([[0.5, 1], [0, 0.5]], 0.4).value == np.inf


@settings(max_examples=60, deadline=None)
@given(seed=SEEDS, size=st.sampled_from([1e-6, 0.01, 0.1]))
def test_products_with_changing_errors_stay_below_the_bound(seed: int, size: float) -> None:
    """Errors point where they help growth most: along the leading singular pair of what surrounds them."""
    rng = np.random.default_rng(seed)
    A = np.array([[0.7, rng.uniform(0, 5)], [0, rng.uniform(-0.7, 0.7)]])
    rho = 0.8
    M = stability.power_bound(A, rho).value
    steps = 12
    bound = stability.perturbed_power_bound(M, rho, size, np.arange(steps + 1))
    greedy, drawn_product, power = np.eye(2), np.eye(2), np.eye(2)
    for k in range(1, steps + 1):
        noise = rng.standard_normal((2, 2))
        drawn_product = (A + noise * size / np.linalg.norm(noise, 2)) @ drawn_product
        later = np.linalg.matrix_power(A, steps - k)
        toward, from_ = np.linalg.svd(later)[2][0], np.linalg.svd(greedy)[0][:, 0]
        greedy, power = (A + size * np.outer(toward, from_)) @ greedy, power @ A
        for product in (greedy, drawn_product):
            assert np.linalg.norm(product, 2) <= bound.power[k] * (1 + 1e-12)
            assert np.linalg.norm(product - power, 2) <= bound.difference[k] * (1 + 1e-9)


def test_perturbed_powers_are_attained_and_keep_the_digits_of_a_small_error() -> None:
    """At M = 1 the bound is the scalar case; two steps of shifts attain M² ‖E‖ to first order."""
    got = stability.perturbed_power_bound(1.0, 0.9, 0.05, 7)
    assert float(got.power) == pytest.approx(0.95**7, rel=1e-13)
    assert float(got.difference) == pytest.approx(0.95**7 - 0.9**7, rel=1e-12)
    with mpmath.workdps(60):
        exact = 3 * ((mpmath.mpf(0.9) + 3 * mpmath.mpf(1e-14)) ** 20 - mpmath.mpf(0.9) ** 20)
    assert float(stability.perturbed_power_bound(3.0, 0.9, 1e-14, 20).difference) == pytest.approx(
        float(exact), rel=1e-12, abs=0
    )
    nilpotent = stability.perturbed_power_bound(2.0, 0.0, 0.5, [0, 3])
    np.testing.assert_allclose(nilpotent.power, 2.0)
    np.testing.assert_allclose(nilpotent.difference, [0.0, 2.0])
    # A^k of [[0, L], [0, 0]] obeys Mρ^k with M = L/ρ; E returns what A sent, so (A+E)² reaches L‖E‖ < M²‖E‖ρ.
    L, e, rho = 10.0, 0.1, 0.5
    M = stability.power_bound([[0, L], [0, 0]], rho).value
    assert pytest.approx(L / rho) == M
    two = np.linalg.matrix_power(np.array([[0, L], [e, 0]]), 2)
    assert np.linalg.norm(two, 2) > M * (rho + e) ** 2 / 8
    assert np.linalg.norm(two, 2) <= stability.perturbed_power_bound(M, rho, e, 2).power


@pytest.mark.parametrize("kind", ["general", "normal", "symmetric", "jordan"])
@pytest.mark.parametrize("radius", [0.0, 0.3, 0.95, 1.0, 1.2])
@pytest.mark.parametrize("size", [1, 2, 5, 8])
def test_drawn_systems_have_their_spectral_radius_and_structure(kind, radius: float, size: int) -> None:
    system = random_systems.random_system(size, 2, radius, 7, kind=kind)
    loop = system.closed_loop
    assert abs(stability.spectral_radius(loop) - radius) < 1e-10
    if kind == "normal":
        np.testing.assert_allclose(loop @ loop.T, loop.T @ loop, atol=1e-11)
    if kind == "symmetric":
        np.testing.assert_allclose(loop, loop.T, atol=1e-12)
    if kind == "jordan":
        assert np.array_equal(loop, np.diag(np.diagonal(loop)) + np.eye(size, k=1))
    again = random_systems.random_system(size, 2, radius, 7, kind=kind)
    other = random_systems.random_system(size, 2, radius, 8, kind=kind)
    for a, b, c in zip(
        (system.A, system.B, system.K_expert),
        (again.A, again.B, again.K_expert),
        (other.A, other.B, other.K_expert),
        strict=True,
    ):
        assert np.array_equal(a, b)
        assert not np.array_equal(a, c)


def test_a_drawn_jordan_block_keeps_its_zeros_in_exact_arithmetic() -> None:
    system = random_systems.random_system(4, 3, 0.9, 1, kind="jordan")
    A, B, K = ([[Fraction(x) for x in row] for row in m.tolist()] for m in (system.A, system.B, system.K_expert))
    for i in range(4):
        for j in range(i):
            assert A[i][j] + sum((B[i][k] * K[k][j] for k in range(3)), Fraction(0)) == 0


@pytest.mark.parametrize("seed", range(5))
def test_the_lqr_expert_is_a_stationary_point_of_its_cost(seed: int) -> None:
    """Central differences of tr P(K), P from a Lyapunov equation; its minimum is the trace of the Riccati solution."""
    system = random_systems.lqr_system(3, 2, 1.3, seed)
    assert stability.spectral_radius(system.A) == pytest.approx(1.3, abs=1e-10)

    def cost(K: np.ndarray) -> float:
        loop = system.A + system.B @ K
        return float(np.trace(solve_discrete_lyapunov(loop.T, np.eye(3) + K.T @ K)))

    K, step = system.K_expert, 1e-5
    best = cost(K)
    assert best == pytest.approx(np.trace(solve_discrete_are(system.A, system.B, np.eye(3), np.eye(2))), rel=1e-9)
    for i in range(2):
        for j in range(3):
            move = np.zeros((2, 3))
            move[i, j] = step
            assert abs(cost(K + move) - cost(K - move)) / (2 * step) < 1e-6 * best
            assert cost(K + 1e3 * move) > best


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: stability.stability_radius([[1, 2]], np.eye(1)),
            r"A_cl must be a non-empty square matrix, got shape \(1, 2\)",
        ),
        (lambda: stability.stability_radius(np.eye(2), np.ones((3, 1))), r"B must have shape \(2, m\)"),
        (lambda: stability.spectral_radius([[np.nan]]), "A must be finite"),
        (lambda: stability.power_bound(0.5, 0.0), r"rho must be a number in \(0, inf\), got 0.0"),
        (lambda: stability.perturbed_power_bound(0.5, 0.5, 0.1, 3), r"M must be a number in \[1, inf\), got 0.5"),
        (lambda: stability.perturbed_power_bound(1.0, 0.5, 0.1, -1), "k must be at least 0, got -1"),
        (lambda: random_systems.random_system(2, 1, -0.1, 0), "spectral_radius must be a number"),
        (lambda: random_systems.random_system(0, 1, 0.1, 0), "state_size must be an integer from 1 to 1000, got 0"),
        (
            lambda: random_systems.lqr_gain(np.eye(2), np.eye(2), np.eye(2), -np.eye(2)),
            "R must be positive semi-definite",
        ),
    ],
)
def test_bad_values_are_named(make, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()

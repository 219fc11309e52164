"""Reconstructed averages: exact rationals, the imposed sum, the error against dense covariances and sampled paths."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gvatheory as gva
from gvatheory.averaging import Average, PowerProfile
from gvatheory.reconstruction import Reconstruction, Snapshot, reconstruct, snapshot_times
from gvatheory.weighted_averages import FixedWeights
from tests.budget import assert_mean

PROFILES = [PowerProfile.from_relative_width(w) for w in (0.05, 0.10)]
POWERS = [gva.PowerEMA(0.5), gva.PowerEMA(0.8)]
TARGETS = [gva.EMA(0.01), gva.PowerEMA(0.65), PowerProfile(3.0), gva.Tail(0.3)]


def snapshots(bank: list, count: int, steps: int) -> list[Snapshot]:
    """Every average of a bank at `count` evenly spaced times."""
    return [(average, time) for average in bank for time in snapshot_times(count, steps)]


def padded_kernels(stored: list[Snapshot], steps: int) -> np.ndarray:
    """Kernels of the snapshots as rows of length steps + 1."""
    return np.stack([np.pad(average.kernel(time), (0, steps - time)) for average, time in stored])


def solve_exactly(matrix: list[list[Fraction]], right: list[Fraction]) -> list[Fraction]:
    """Gauss-Jordan elimination in rationals."""
    rows = [[*row, value] for row, value in zip(matrix, right, strict=True)]
    for i in range(len(rows)):
        pivot = next(j for j in range(i, len(rows)) if rows[j][i] != 0)
        rows[i], rows[pivot] = rows[pivot], rows[i]
        rows[i] = [x / rows[i][i] for x in rows[i]]
        for j in range(len(rows)):
            if j != i:
                rows[j] = [x - rows[j][i] * y for x, y in zip(rows[j], rows[i], strict=True)]
    return [row[-1] for row in rows]


@pytest.mark.parametrize("target", [gva.EMA(0.2), gva.Polyak(3), gva.Tail(0.4)], ids=repr)
def test_coefficients_solve_the_lagrange_equations(target: Average) -> None:
    stored: list[Snapshot] = [(gva.PowerEMA(0.6), 12), (gva.EMA(0.3), 9), (gva.PowerEMA(0.9), 12), (gva.Polyak(), 7)]
    rows = [[Fraction(float(x)) for x in kernel] for kernel in padded_kernels(stored, 12)]
    wanted = [Fraction(float(x)) for x in target.kernel(12)]

    def dot(a: list[Fraction], b: list[Fraction]) -> Fraction:
        return sum((x * y for x, y in zip(a, b, strict=True)), Fraction(0))

    one, zero = Fraction(1), Fraction(0)
    system = [[*(dot(a, b) for b in rows), one] for a in rows] + [[one] * 4 + [zero]]
    exact = solve_exactly(system, [*(dot(a, wanted) for a in rows), one])[:4]
    found = reconstruct(target, stored, 12)
    np.testing.assert_allclose(found.coefficients, [float(c) for c in exact], rtol=1e-12)
    np.testing.assert_allclose(found.weights, found.coefficients @ padded_kernels(stored, 12), rtol=1e-13, atol=1e-16)
    np.testing.assert_allclose(found.residual, found.weights - target.kernel(12), atol=1e-16)


def test_without_the_constraint_the_optimum_would_leak_in() -> None:
    # Two averages stored half-way and at the end: plain least squares sums to 1.11, and a θ* = 50 to an error of 5.5.
    steps, target = 5000, gva.EMA(0.01)
    stored = snapshots(POWERS, 2, steps)
    kernels = padded_kernels(stored, steps)
    free = np.linalg.lstsq(kernels.T, target.kernel(steps), rcond=None)[0]
    assert round(free.sum(), 2) == 1.11
    found = reconstruct(target, stored, steps)
    assert abs(found.coefficients.sum() - 1.0) < 1e-14
    assert abs(found.residual.sum()) < 1e-13
    free_norm = np.linalg.norm(free @ kernels - target.kernel(steps))
    assert free_norm < found.residual_norm < 1.03 * free_norm
    path = 50.0 + 0.1 * np.random.default_rng(0).standard_normal(steps + 1)
    assert abs(free @ kernels @ path - target.kernel(steps) @ path) > 5
    assert abs(found.weights @ path - target.kernel(steps) @ path) < 0.01


@pytest.mark.parametrize("bank", [PROFILES, POWERS], ids=["profiles", "powers"])
@pytest.mark.parametrize("target", TARGETS, ids=repr)
def test_more_snapshots_are_better(target: Average, bank: list) -> None:
    steps = 1024
    size = np.linalg.norm(target.kernel(steps))
    # Nested times, so that the minimum can only fall; a step edge, as Tail's, is caught slowest.
    norms = [
        reconstruct(target, snapshots(bank, count, steps), steps).residual_norm / size for count in (1, 2, 4, 8, 16)
    ]
    assert np.all(np.diff(norms) < 0)
    assert norms[-1] < (0.2 if isinstance(target, gva.Tail) else 0.03)
    nearest = min(np.linalg.norm(k - target.kernel(steps)) for k in padded_kernels(snapshots(bank, 16, steps), steps))
    assert norms[-1] * size < 0.5 * nearest


def test_a_stored_target_is_found() -> None:
    stored = [*snapshots(PROFILES, 3, 300), (gva.EMA(0.02), 300)]
    found = reconstruct(gva.EMA(0.02), stored, 300)
    np.testing.assert_allclose(found.coefficients, [0] * 6 + [1], atol=1e-12)
    assert found.residual_norm < 1e-14


def test_coinciding_snapshots_share_their_coefficient() -> None:
    stored = snapshots(POWERS, 3, 200)
    once, twice = reconstruct(gva.EMA(0.03), stored, 200), reconstruct(gva.EMA(0.03), stored * 2, 200)
    np.testing.assert_allclose(twice.coefficients, np.tile(once.coefficients / 2, 2), rtol=1e-9)
    # At times 1 and 2 all profiles all but coincide: no coefficient may explode for that.
    early = [(profile, time) for profile in PROFILES for time in (1, 2, 3, 4, 1000)]
    assert np.abs(reconstruct(gva.EMA(0.01), early, 1000).coefficients).max() < 10


def test_many_steps_are_factored_in_blocks() -> None:
    steps = 20_000
    stored = snapshots(PROFILES, 4, steps)
    kernels = padded_kernels(stored, steps)
    found = reconstruct(gva.EMA(3e-4), stored, steps)
    # Eliminate the last coefficient instead.
    rest = np.linalg.lstsq((kernels[:-1] - kernels[-1]).T, gva.EMA(3e-4).kernel(steps) - kernels[-1], rcond=None)[0]
    np.testing.assert_allclose(found.coefficients, np.append(rest, 1 - rest.sum()), rtol=1e-9, atol=1e-12)


def dense_rms(residual: np.ndarray, sigma: float, lam: float, eta: float, e0: float) -> float:
    """√E(Σ r_t e_t)² by the matrix that takes e_0 and the noise to the path."""
    t = np.arange(len(residual))
    power = np.where(t[:, None] >= t, (1 - eta * lam) ** np.clip(t[:, None] - t, 0, None), 0.0)
    weights = residual @ power
    return float(np.hypot(e0 * weights[0], eta * sigma * np.linalg.norm(weights[1:])))


@pytest.mark.parametrize("k", [0.01, 0.3, 1.0, 1.4, 1.95])
@pytest.mark.parametrize("e0", [0.0, 3.0])
def test_error_is_that_of_the_dense_covariance_and_within_its_bound(k: float, e0: float) -> None:
    lam, sigma = 2.5, 0.7
    for target in TARGETS:
        found = reconstruct(target, snapshots(POWERS, 3, 200), 200)
        exact = found.exact_rms_error(sigma, lam, k / lam, e0)
        np.testing.assert_allclose(exact, dense_rms(found.residual, sigma, lam, k / lam, e0), rtol=1e-9)
        # At k = 1 and e_0 = 0 error and bound are equal (A6): there the roundings of the sums decide, 2^-53 per step.
        rounding = 1 + len(found.residual) * 2.0**-53
        assert exact <= found.rms_error_bound(sigma, lam, k / lam, e0) * rounding
        if k <= 1 and e0 == 0:
            assert exact <= found.rms_error_bound(sigma, lam) * rounding


@settings(max_examples=100, deadline=None)
@given(
    residual=st.lists(st.integers(-1000, 1000), min_size=1, max_size=30),
    k=st.floats(1e-3, 1.999),
    e0=st.floats(-5, 5),
)
def test_bound_holds_for_any_residual(residual: list[int], k: float, e0: float) -> None:
    r = np.array(residual) / 1000
    any_residual = Reconstruction(np.ones(1), r, r)
    exact = any_residual.exact_rms_error(0.7, 2.5, k / 2.5, e0)
    assert exact <= any_residual.rms_error_bound(0.7, 2.5, k / 2.5, e0) * (1 + 1e-12)
    # Stationary noise, Cov(e_s, e_t) = V a^{|s−t|}, obeys the bound without an initial error.
    t = np.arange(len(r))
    stationary = 0.7**2 * (k / 2.5) ** 2 / (k * (2 - k)) * (1 - k) ** np.abs(t[:, None] - t)
    assert np.sqrt(max(r @ stationary @ r, 0)) <= any_residual.rms_error_bound(0.7, 2.5, k / 2.5) * (1 + 1e-9)


def test_both_constants_of_the_bound_are_sharp() -> None:
    t = np.arange(4001)
    for k, residual in [(0.2, np.cos(2 * np.pi * t / 4001)), (1.8, (-1.0) ** t)]:
        found = Reconstruction(np.ones(1), residual, residual)
        exact = found.exact_rms_error(1.0, 1.0, k)
        assert 0.99 < exact / found.rms_error_bound(1.0, 1.0, k) <= 1
    # For 1 < k < 2 the constant σ/λ of k ≤ 1 is too small, here ninefold: ησ/(2−k) takes its place.
    assert exact > 8 * found.rms_error_bound(1.0, 1.0)


def test_sampled_paths_obey_law_and_bound() -> None:
    steps, trials, optimum, e0, lam, sigma, eta = 120, 20_000, 7.0, 1.0, 1.0, 0.8, 0.2
    rng = np.random.default_rng(5)
    path = np.empty((steps + 1, trials))
    path[0] = optimum + e0
    for t in range(steps):
        path[t + 1] = path[t] - eta * (lam * (path[t] - optimum) + sigma * rng.standard_normal(trials))
    target = gva.EMA(0.05)
    stored = snapshots(PROFILES, 3, steps)
    kept: list[np.ndarray] = []
    for average, time in [*((a, s) for a, s in stored), (target, steps)]:
        running = path[0].copy()
        for t, gamma in enumerate(average.rates(time), start=1):  # pyright: ignore[reportAttributeAccessIssue]
            running += gamma * (path[t] - running)
        kept.append(running)
    found = reconstruct(target, stored, steps)
    combined = found.combine(np.stack(kept[:-1]))
    np.testing.assert_allclose(combined, found.weights @ path, rtol=1e-12)
    error = combined - kept[-1]
    np.testing.assert_allclose(error, found.residual @ (path - optimum), atol=1e-11)
    exact = found.exact_rms_error(sigma, lam, eta, e0)
    assert_mean(error**2, exact**2)
    assert exact < found.rms_error_bound(sigma, lam, eta, e0)


def test_the_combination_has_an_exact_law() -> None:
    steps, lam, eta, sigma, e0 = 60, 0.8, 0.3, 1.1, 2.0
    found = reconstruct(gva.EMA(0.1), snapshots(PROFILES, 3, steps), steps)
    assert isinstance(found.average, FixedWeights)
    law = gva.exact_law(gva.NoisyQuadratic(lam, sigma**2), gva.Constant(eta), found.average, steps, e0)
    rms = dense_rms(found.weights, sigma, lam, eta, e0)
    np.testing.assert_allclose(law.mean[0] ** 2 + law.covariance[0, 0], rms**2, rtol=1e-10)


def test_combine_keeps_the_shape_of_the_parameters() -> None:
    found = reconstruct(gva.EMA(0.1), [(PROFILES[0], 20), (PROFILES[1], 20)], 20)
    values = np.random.default_rng(0).standard_normal((2, 3, 4))
    c = found.coefficients
    np.testing.assert_allclose(found.combine(values), c[0] * values[0] + c[1] * values[1], rtol=1e-14)


@settings(max_examples=100, deadline=None)
@given(steps=st.integers(1, 3000), data=st.data())
def test_snapshot_times_increase_to_the_last_step(steps: int, data: st.DataObject) -> None:
    count = data.draw(st.integers(1, min(steps, 40)))
    uniform, geometric = snapshot_times(count, steps), snapshot_times(count, steps, "geometric")
    for times in (uniform, geometric):
        assert len(times) == count
        assert times[0] >= 1
        assert times[-1] == steps
        assert np.all(np.diff(times) >= 1)
    np.testing.assert_array_less(np.abs(np.array(uniform) - np.arange(1, count + 1) * steps / count), 1)
    ideal = steps ** (np.arange(1, count + 1) / count)
    if np.all(np.diff(ideal) > 2):
        np.testing.assert_allclose(geometric, ideal, atol=0.5 + 1e-9)


def test_snapshot_times_of_each_kind() -> None:
    assert snapshot_times(4, 10) == (3, 5, 8, 10)
    assert snapshot_times(3, 1000, "geometric") == (10, 100, 1000)
    assert snapshot_times(6, 8, "geometric") == (1, 2, 3, 4, 6, 8)


FOUND = reconstruct(gva.EMA(0.1), [(gva.Polyak(), 5)], 5)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: reconstruct(gva.EMA(0.1), [], 5), "stored must hold at least one snapshot, got none"),
        (
            lambda: reconstruct(gva.EMA(0.1), [(gva.Polyak(), 6)], 5),
            r"stored\[0\]\[1\] must be an integer from 0 to 5, got 6",
        ),
        (lambda: reconstruct(gva.EMA(0.1), [(gva.Polyak(), 0)], -1), "steps must be an integer at least 0, got -1"),
        (lambda: reconstruct(gva.EMA(0.1), [(gva.Polyak(), 5)], 5, rcond=1.0), r"rcond must be .* \[0, 1\), got 1.0"),
        (lambda: FOUND.rms_error_bound(-1.0, 1.0), r"noise_std must be a number in \[0, inf\), got -1.0"),
        (lambda: FOUND.rms_error_bound(1.0, 0.0), r"curvature must be a number in \(0, inf\), got 0.0"),
        (lambda: FOUND.rms_error_bound(1.0, 1.0, initial_error=1.0), "step_size must be given with an initial_error"),
        (lambda: FOUND.rms_error_bound(1.0, 4.0, 0.5), r"step_size \* curvature must be a number in \(0, 2\), got 2.0"),
        (lambda: FOUND.exact_rms_error(1.0, 1.0, 0.0), r"step_size must be a number in \(0, inf\), got 0.0"),
        (lambda: snapshot_times(6, 5), "count must be an integer from 1 to 5, got 6"),
        (lambda: snapshot_times(1, 0), "steps must be an integer at least 1, got 0"),
        (lambda: snapshot_times(2, 5, "odd"), None),  # type: ignore[arg-type]
    ],
)
def test_bad_values_are_named(make, message: str | None) -> None:
    # The run-time type checker of the test suite objects first to a wrong type (no message here).
    with pytest.raises((ValueError, TypeError), match=message):
        make()

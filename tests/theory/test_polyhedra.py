"""Several cliffs at once: against closed forms, one-dimensional integrals, SciPy and sampling; honest errors."""

from typing import Any

import jax
import mpmath
import numpy as np
import pytest
from scipy.special import log_ndtr, ndtr, owens_t
from scipy.stats import binom, multivariate_normal, norm
from scipy.stats import t as student

import gvatheory as gva
from gvatheory.normal_probabilities import bivariate_cdf
from gvatheory.polyhedra import CliffPolyhedron
from gvatheory.rewards import CliffHalfspace
from tests.budget import FALSE_ALARM, assert_mean

SCRAMBLES = 16  # a standard error over these has 15 degrees of freedom
T_QUANTILE = float(student.isf(FALSE_ALARM / 2, SCRAMBLES - 1))


def centred(covariance) -> gva.Law:
    return gva.Law(np.zeros(len(covariance)), np.asarray(covariance, dtype=float))


def assert_estimate(found: tuple[float, float], expected: float, relative_error: float) -> None:
    """Within the reported error, which is itself small enough to say something."""
    estimate, error = found
    assert error <= relative_error * expected
    assert abs(estimate - expected) <= T_QUANTILE * error + 1e-12 * expected, (estimate, error, expected)


def equicorrelated(faces: int, bound: float, rho: float) -> float:
    """P(some Y_i > bound), Y_i = √ρ z + √(1−ρ) z_i: the trapezoidal rule in z, here exact to rounding."""
    z, step = np.linspace(-14.0, 20.0, 6801, retstep=True)
    logs = faces * log_ndtr((bound - np.sqrt(rho) * z) / np.sqrt(1.0 - rho))
    return float(step * np.sum(norm.pdf(z) * -np.expm1(logs)))


def integrated_bivariate(x: float, y: float, r: float) -> float:
    """∫_0^∞ φ(x − t) Φ((y − r(x−t))/√(1−r²)) dt of positive terms, by Gauss on panels that shrink at steep places."""
    root = np.sqrt((1 - r) * (1 + r))
    shrinking = 2.0 ** np.arange(-24, 5.5, 0.5)
    steep = x - y / r if r != 0 else 0.0
    cuts = np.concatenate([[0.0], shrinking, np.arange(0.0, 40.0, 0.25), [steep], steep + shrinking, steep - shrinking])
    cuts = np.unique(cuts[(cuts >= 0) & (cuts < 45)])
    nodes, weights = np.polynomial.legendre.leggauss(20)
    length = np.diff(cuts)[:, None] / 2
    t = cuts[:-1, None] + length * (1 + nodes)
    return float(np.sum(length * weights * norm.pdf(x - t) * ndtr((y - r * (x - t)) / root)))


@pytest.mark.parametrize("x", [-6.0, -1.0, 0.5, 3.0])
@pytest.mark.parametrize("y", [-8.0, -2.0, 1e-3, 4.0])
@pytest.mark.parametrize("r", [-0.99, -0.4, 0.0, 0.7, 0.999])
def test_bivariate_probability_against_an_integral(x: float, y: float, r: float) -> None:
    assert float(bivariate_cdf(x, y, r)) == pytest.approx(integrated_bivariate(x, y, r), rel=1e-10, abs=1e-300)


@pytest.mark.parametrize(("x", "y", "r"), [(-1.0, -1.2, 0.6), (-3.0, -2.5, -0.7), (0.5, -6.0, 0.3), (2.0, 1.0, -0.9)])
def test_bivariate_probability_against_mpmath(x: float, y: float, r: float) -> None:
    """Plackett's identity at 30 digits: Φ(x)Φ(y) + ∫_0^{arcsin r} exp(−(x² + y² − 2xy sin t)/(2cos² t)) dt/2π."""
    with mpmath.workdps(30):
        a, b, end = mpmath.mpf(x), mpmath.mpf(y), mpmath.asin(r)
        excess = mpmath.quad(
            lambda t: mpmath.exp(-(a * a + b * b - 2 * a * b * mpmath.sin(t)) / (2 * mpmath.cos(t) ** 2)), [0, end]
        )
        expected = float(str(mpmath.ncdf(a) * mpmath.ncdf(b) + excess / (2 * mpmath.pi)))
    assert float(bivariate_cdf(x, y, r)) == pytest.approx(expected, rel=1e-11)


def test_bivariate_probability_at_its_edges() -> None:
    r = np.array([-1.0, -0.3, 0.0, 0.8, 1.0])
    np.testing.assert_allclose(bivariate_cdf(0.0, 0.0, r), 0.25 + np.arcsin(r) / (2 * np.pi), rtol=1e-14, atol=1e-16)
    np.testing.assert_allclose(bivariate_cdf(np.inf, -0.7, r), ndtr(-0.7), rtol=1e-14)
    np.testing.assert_array_equal(bivariate_cdf(-np.inf, -0.7, r), 0.0)
    x, y = np.array([-2.0, -1.0, 0.0, 1.0, 2.0])[:, None], np.array([-1.5, -1.0, 0.0, 1.0, 3.0])
    np.testing.assert_allclose(bivariate_cdf(x, y, 1.0), ndtr(np.minimum(x, y)), rtol=1e-14)
    np.testing.assert_allclose(bivariate_cdf(x, y, -1.0), np.maximum(ndtr(x) - ndtr(-y), 0.0), rtol=1e-13, atol=1e-16)
    np.testing.assert_allclose(bivariate_cdf(x, y, 0.0), ndtr(x) * ndtr(y), rtol=1e-13)
    np.testing.assert_allclose(bivariate_cdf(x, x, 0.6), ndtr(x) - 2 * owens_t(x, 0.5), rtol=1e-11)


def test_one_face_is_a_halfspace() -> None:
    law = gva.Law(np.array([0.1, -0.3]), np.array([[0.2, 0.05], [0.05, 0.1]]))
    single = CliffPolyhedron([[1.0, -2.0]], [2.5], 3.0)
    assert single.fall_probability_with_error(law)[1] == 0.0
    for name in ("mean", "variance", "fall_probability"):
        half = getattr(CliffHalfspace([1.0, -2.0], 2.5, 3.0), name)(law)
        assert getattr(single, name)(law) == pytest.approx(half, rel=1e-12)


@pytest.mark.parametrize("r", [-0.95, -0.2, 0.5, 0.999])
@pytest.mark.parametrize(("u", "v"), [(-1.0, 0.5), (0.3, 0.3), (7.0, 7.2), (-3.0, -2.0)])
def test_two_faces_against_an_integral(u: float, v: float, r: float) -> None:
    """P(A) + ∫_{z ≤ u} φ(z) Φ((rz − v)/√(1−r²)) dz, and the like for what stays safe."""
    reward = CliffPolyhedron(np.eye(2), [u, v], 1.0)
    law = centred([[1.0, r], [r, 1.0]])
    expected = norm.sf(u) + integrated_bivariate(u, -v, -r)
    safe = integrated_bivariate(u, v, r)
    got = reward.moments(law)
    assert got.fall_probability == pytest.approx(expected, rel=1e-10)
    assert got.variance == pytest.approx(expected * safe, rel=1e-9, abs=1e-30)
    assert reward.fall_probability_with_error(law) == (got.fall_probability, 0.0)


def test_parallel_faces_fixed_faces_and_fixed_laws() -> None:
    law = centred([[4.0, 0.0], [0.0, 0.0]])
    assert CliffPolyhedron([[1, 0], [3, 0]], [2.0, 9.0], 1.0).fall_probability(law) == pytest.approx(norm.sf(1.0))
    slab = CliffPolyhedron([[1, 0], [-2, 0], [0.5, 0]], [2.0, 6.0, 4.0], 1.0)
    assert slab.fall_probability(law) == pytest.approx(norm.sf(1.0) + norm.sf(1.5), rel=1e-13)
    assert CliffPolyhedron([[1, 0], [0, 1]], [2.0, 0.0], 1.0).fall_probability(law) == pytest.approx(norm.sf(1.0))
    assert CliffPolyhedron([[1, 0], [0, 1]], [2.0, -0.1], 1.0).moments(law) == (-1.0, 0.0, 1.0)
    assert CliffPolyhedron([[0, 1], [0, -1]], 0.5, 1.0).moments(law) == (0.0, 0.0, 0.0)
    # Every face of a law on a line depends on the same normal variable.
    spread = np.array([0.37, 0.71, -1.13, 0.19, 2.93, -0.53])
    faces = CliffPolyhedron(np.eye(6), np.where(spread > 0, spread, -2 * spread), 1.0)
    expected = pytest.approx(norm.sf(1.0) + norm.sf(2.0), rel=1e-12)
    assert faces.fall_probability_with_error(centred(np.outer(spread, spread))) == (expected, 0.0)
    # Spreads twenty orders apart stay apart.
    mixed = CliffPolyhedron(np.eye(3), [1.0, 1e-10, 1e10], 1.0)
    expected = -np.expm1(3 * norm.logcdf(1.0))
    assert mixed.fall_probability(centred(np.diag([1.0, 1e-20, 1e20]))) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("faces", [3, 5, 8])
def test_equicorrelated_orthant(faces: int) -> None:
    """At ρ = ½ the orthant has probability 1/(k+1)."""
    law = centred(0.5 * np.eye(faces) + 0.5)
    found = CliffPolyhedron(np.eye(faces), 0.0, 1.0).fall_probability_with_error(law)
    assert_estimate(found, 1.0 - 1.0 / (faces + 1), 1e-4)


def test_trivariate_orthant_is_a_sum_of_arcsines() -> None:
    a, b, c = 0.3, -0.5, 0.6
    law = centred([[1, a, b], [a, 1, c], [b, c, 1]])
    found = CliffPolyhedron(-np.eye(3), 0.0, 1.0).fall_probability_with_error(law)
    assert_estimate(found, 0.875 - (np.arcsin(a) + np.arcsin(b) + np.arcsin(c)) / (4 * np.pi), 1e-5)


@pytest.mark.parametrize("bound", [-2.0, 0.0, 2.0, 7.0, 30.0])
def test_independent_faces_and_boxes_are_exact(bound: float) -> None:
    variances = np.array([1.0, 1e-6, 4.0, 9.0, 100.0])
    sd = np.sqrt(variances)
    reward, law = CliffPolyhedron(np.eye(5), bound * sd, 2.0), centred(np.diag(variances))
    fall = -np.expm1(5 * norm.logcdf(bound))
    assert reward.fall_probability(law) == pytest.approx(fall, rel=1e-12)
    assert reward.variance(law) == pytest.approx(4 * fall * norm.cdf(bound) ** 5, rel=1e-12)
    if bound > 0:
        box = CliffPolyhedron(np.vstack([np.eye(5), -np.eye(5)]), np.tile(bound * sd, 2), 2.0)
        fall = -np.expm1(5 * np.log1p(-2 * norm.sf(bound)))
        assert box.fall_probability(law) == pytest.approx(fall, rel=1e-12)


@pytest.mark.parametrize(("faces", "bound", "rho"), [(3, 7.0, 0.5), (6, 7.0, 0.9), (10, 5.0, 0.3), (4, 1.5, 0.8)])
def test_small_probabilities_keep_their_relative_accuracy(faces: int, bound: float, rho: float) -> None:
    law = centred((1 - rho) * np.eye(faces) + rho)
    found = CliffPolyhedron(np.eye(faces), bound, 1.0).fall_probability_with_error(law)
    assert_estimate(found, equicorrelated(faces, bound, rho), 2e-4)


@pytest.mark.parametrize(("sides", "radius"), [(3, 0.5), (8, 1.0), (12, 6.0)])
def test_more_faces_than_parameters(sides: int, radius: float) -> None:
    """Outside a regular polygon around the mean: 2k triangles, each T(radius, tan π/k)."""
    angles = 2 * np.pi * np.arange(sides) / sides
    polygon = CliffPolyhedron(np.stack([np.cos(angles), np.sin(angles)], axis=1), radius, 1.0)
    expected = 2 * sides * float(owens_t(radius, np.tan(np.pi / sides)))
    assert_estimate(polygon.fall_probability_with_error(centred(np.eye(2))), expected, 1e-4)


@pytest.mark.parametrize("bound", [-1.0, 1.0, 7.0])
@pytest.mark.parametrize("angle", [1e-9, 1e-6, 1e-4, 1e-2, 0.1, 3.0, np.pi - 1e-6])
def test_nearly_parallel_faces_against_two_exact_ones(angle: float, bound: float) -> None:
    """Two faces at an angle and an independent third: what sets the two apart must be seen, however small."""
    pair = np.array([[1.0, 0.0, 0.0], [np.cos(angle), np.sin(angle), 0.0]])
    law = centred(np.eye(3))
    two = CliffPolyhedron(pair, bound, 1.0).fall_probability(law)
    three = CliffPolyhedron([*pair, [0.0, 0.0, 1.0]], [bound, bound, bound + 0.1], 1.0)
    estimate, error = three.fall_probability_with_error(law)
    expected = norm.sf(bound + 0.1) + norm.cdf(bound + 0.1) * two
    apart = norm.cdf(bound + 0.1) * (two - norm.sf(bound))  # by the second face of the pair alone
    assert abs(estimate - expected) <= T_QUANTILE * error + 1e-13 * expected
    assert error <= 5e-3 * apart


def test_general_law_against_scipy_and_sampling() -> None:
    rng = np.random.default_rng(4)
    normals, offsets = rng.normal(size=(5, 4)), np.array([0.5, 1.0, 1.5, 0.8, 2.0])
    root = rng.normal(size=(4, 4)) * 0.4
    law = gva.Law(rng.normal(size=4) * 0.2, root @ root.T)
    reward = CliffPolyhedron(normals, offsets, 3.0)
    estimate, error = reward.fall_probability_with_error(law)
    four = CliffPolyhedron(normals[:4], offsets[:4], 3.0).fall_probability_with_error(law)
    m, s = normals[:4] @ law.mean, normals[:4] @ law.covariance @ normals[:4].T
    scipys: Any = multivariate_normal
    safe = scipys.cdf(offsets[:4], m, s, maxpts=1_000_000, abseps=1e-7, releps=1e-7, rng=np.random.default_rng(1))
    assert abs(four[0] - (1 - safe)) <= T_QUANTILE * four[1] + 1e-6
    errors = law.sample(300_000, seed=2)
    fallen = reward.fallen(errors)
    assert error < 1e-4  # small beside the samples' own 1e-3
    assert_mean(fallen.astype(float), estimate)
    np.testing.assert_array_equal(reward.value(errors), np.where(fallen, -3.0, 0.0))
    assert_mean(reward.value(errors), reward.mean(law))
    assert_mean((reward.value(errors) - reward.mean(law)) ** 2, reward.variance(law))


@pytest.mark.parametrize(
    ("bound", "tolerance", "limit"), [(0.0, 1e-9, 10_000), (4.0, 1e-9, 10_000), (0.0, 5e-4, 10**6)]
)
def test_reported_errors_are_honest(bound: float, tolerance: float, limit: int) -> None:
    """Over seeds: three errors off no oftener than Student's t allows, and on average neither too small nor biased.

    Budget: one binomial bound and, where the number of points is fixed beforehand, two means, each at FALSE_ALARM.
    """
    seeds, rho, faces = 150, 0.6, 4
    law, reward = centred((1 - rho) * np.eye(faces) + rho), CliffPolyhedron(np.eye(faces), bound, 1.0)
    runs = [reward.fall_probability_with_error(law, tolerance, seed, limit) for seed in range(seeds)]
    estimates, errors = np.array(runs).T
    exact = equicorrelated(faces, bound, rho)
    far = int(np.sum(np.abs(estimates - exact) > 3 * errors))
    assert far <= binom.isf(FALSE_ALARM, seeds, 2 * student.sf(3, SCRAMBLES - 1))
    if limit == 10_000:
        assert_mean(estimates / exact, 1.0)
        assert_mean(((estimates - exact) / exact) ** 2 * 1e6, float(np.mean((errors / exact) ** 2) * 1e6))
    assert np.all(errors > 0)


def test_the_same_seed_gives_the_same_estimate() -> None:
    law, reward = centred(0.5 * np.eye(4) + 0.5), CliffPolyhedron(np.eye(4), 1.0, 1.0)
    first = reward.fall_probability_with_error(law, seed=3)
    assert first == reward.fall_probability_with_error(law, seed=3)
    assert first != reward.fall_probability_with_error(law, seed=4)


def test_more_work_makes_the_error_smaller() -> None:
    law, reward = centred(0.5 * np.eye(4) + 0.5), CliffPolyhedron(np.eye(4), 1.0, 1.0)
    rough = reward.fall_probability_with_error(law, tolerance=1e-2)
    fine = reward.fall_probability_with_error(law, tolerance=1e-9, max_evaluations=300_000)
    assert fine[1] < 0.1 * rough[1]
    assert rough[1] <= 1e-2 * rough[0]
    assert abs(rough[0] - fine[0]) <= T_QUANTILE * np.hypot(rough[1], fine[1])


def test_what_is_not_a_number_has_fallen() -> None:
    assert CliffPolyhedron(np.eye(2), 1.0, 1.0).fallen(np.array([[np.nan, 0.0], [0.0, 0.0]])).tolist() == [True, False]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: CliffPolyhedron([1.0, 2.0], 1.0, 1.0), r"normals must have shape \(faces, parameters\), got \(2,\)"),
        (lambda: CliffPolyhedron([[1.0, 2.0], [0.0, 0.0]], 1.0, 1.0), "normals must not have a row of zeros"),
        (lambda: CliffPolyhedron(np.eye(2), [1.0, 1.0, 1.0], 1.0), r"offsets must be a number or have shape \(2,\)"),
        (lambda: CliffPolyhedron(np.eye(2), np.inf, 1.0), "offsets must be finite"),
        (lambda: CliffPolyhedron(np.eye(2), 1.0, 0.0), r"penalty must be a number in \(0, inf\), got 0.0"),
        (
            lambda: CliffPolyhedron(np.eye(2), 1.0, 1.0).mean(centred(np.eye(3))),
            r"normals must have shape \(faces, 3\)",
        ),
        (
            lambda: CliffPolyhedron([[1.0]], 1.0, 1.0).fall_probability_with_error(centred([[1.0]]), tolerance=0.0),
            r"tolerance must be a number in \(0, 1\), got 0.0",
        ),
        (
            lambda: CliffPolyhedron([[1.0]], 1.0, 1.0).fall_probability_with_error(centred([[1.0]]), seed=-1),
            "seed must be an integer at least 0, got -1",
        ),
        (lambda: bivariate_cdf(0.0, 0.0, 1.5), r"r must be in \[-1, 1\]"),
        (lambda: bivariate_cdf(np.nan, 0.0, 0.5), "x and y must not be NaN"),
    ],
)
def test_bad_values_are_named(call, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


def test_tracing_is_refused_with_alternatives() -> None:
    reward = CliffPolyhedron(np.eye(2), 1.0, 1.0)
    with pytest.raises(TypeError, match=r"CliffPolyhedron cannot be traced by JAX.*use CliffHalfspace"):
        jax.grad(lambda m: reward.mean(gva.Law(m, np.eye(2))))(np.zeros(2))

"""Smooth rewards against mpmath, Gauss-Hermite quadrature, finite differences and sampling."""

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
from numpy.polynomial.hermite_e import hermegauss
from scipy.stats import chi2, norm

import gvatheory as gva
from gvatheory.normal_probabilities import bivariate_cdf
from gvatheory.smooth_rewards import SaturatingReward, SmoothCliff
from tests.budget import assert_mean

MEAN = np.array([0.1, -0.2, 0.3])
COVARIANCE = np.array([[0.2, 0.05, 0.0], [0.05, 0.1, -0.02], [0.0, -0.02, 0.3]])
LAW = gva.Law(MEAN, COVARIANCE)
WEIGHT = np.array([[2.0, 0.5, 0.0], [0.5, 1.0, -0.3], [0.0, -0.3, 3.0]])
SINGULAR = np.outer([1.0, 2.0, -1.0], [1.0, 2.0, -1.0])
REWARDS = [
    SmoothCliff([1.0, -1.0, 0.5], 0.7, 0.4, 3.0),
    SmoothCliff([1.0, -1.0, 0.5], -0.2, 2.0, 3.0),
    SaturatingReward(WEIGHT, 2.0),
    SaturatingReward([0.5, 0.0, 2.0]),
    SaturatingReward(SINGULAR),
    SaturatingReward(1.5),
]


def on_a_line(variance: float, mean: float = 0.0) -> gva.Law:
    return gva.Law(np.array([mean]), np.array([[variance]]))


@pytest.mark.parametrize("reward", REWARDS)
def test_moments_against_sampling(reward: gva.Reward) -> None:
    errors = LAW.sample(200_000, seed=3)
    values, moments = reward.value(errors), reward.moments(LAW)
    assert_mean(values, moments.mean)
    assert_mean((values - moments.mean) ** 2, moments.variance)
    assert_mean(reward.fallen(errors).astype(float), moments.fall_probability)
    assert moments == (reward.mean(LAW), reward.variance(LAW), reward.fall_probability(LAW))


@pytest.mark.parametrize("reward", REWARDS)
def test_moments_against_gauss_hermite_quadrature(reward: gva.Reward) -> None:
    nodes, weights = hermegauss(40)
    grid = np.stack(np.meshgrid(nodes, nodes, nodes), axis=-1).reshape(-1, 3)
    mass = np.prod(np.stack(np.meshgrid(weights, weights, weights), axis=-1).reshape(-1, 3), axis=1)
    mass /= mass.sum()
    values = reward.value(MEAN + grid @ np.linalg.cholesky(COVARIANCE).T)
    centre = mass @ values
    moments = reward.moments(LAW)
    # What 40 nodes leave: they resolve Gaussians and Φ of width well above their spacing.
    assert moments.mean == pytest.approx(centre, rel=1e-5)
    assert moments.variance == pytest.approx(mass @ (values - centre) ** 2, rel=1e-4)


@pytest.mark.parametrize("reward", REWARDS)
def test_falls_are_losses_of_more_than_half(reward: gva.Reward) -> None:
    errors = np.random.default_rng(1).normal(size=(1000, 3))
    most = reward.scale if isinstance(reward, SaturatingReward) else 3.0
    np.testing.assert_array_equal(reward.fallen(errors), reward.value(errors) < -most / 2)
    nothing = np.full((1, 3), np.nan)
    assert reward.fallen(nothing).all()
    assert reward.value(nothing)[0] == -most


def _smooth_variance(c, r):
    """(1/2π) ∫_0^{arcsin r} exp(−c²/(1 + sin t)) dt at 40 digits, scaled by its largest value."""
    end = mpmath.asin(r)
    top = c * c / (1 + mpmath.sin(end))
    cuts = [0] + [end / 2**k for k in range(12, -1, -2)]
    scaled = mpmath.quad(lambda d: mpmath.exp(top - c * c / (1 + mpmath.sin(end - d))), cuts)
    return mpmath.exp(-top) * scaled / (2 * mpmath.pi)


@pytest.mark.parametrize("offset", [-2.0, 0.0, 0.7, 5.0, 20.0])
@pytest.mark.parametrize("variance", [1e-16, 1e-6, 0.3, 1.0, 100.0, 1e8])
def test_smooth_cliff_against_mpmath(offset: float, variance: float) -> None:
    reward = SmoothCliff(1.0, offset, 1.5, 2.0)
    with mpmath.workdps(40):
        total = mpmath.mpf(variance) + mpmath.mpf(1.5) ** 2
        c = mpmath.mpf(offset) / mpmath.sqrt(total)
        expected = 4 * _smooth_variance(c, mpmath.mpf(variance) / total)
        mean = -2 * mpmath.ncdf(-c)
    assert reward.mean(on_a_line(variance)) == pytest.approx(float(str(mean)), rel=1e-12)
    assert reward.variance(on_a_line(variance)) == pytest.approx(float(str(expected)), rel=1e-10)


@pytest.mark.parametrize("c", [-1.0, 0.0, 0.8, 3.0])
@pytest.mark.parametrize("r", [0.2, 0.9])
def test_smooth_cliff_is_the_law_of_the_fallen_fraction(c: float, r: float) -> None:
    """Φ₂(−c, −c; r) − Φ(−c)², by Owen's T."""
    variance = SmoothCliff(1.0, c, np.sqrt(1 - r), 1.0).variance(on_a_line(r))
    assert variance == pytest.approx(float(bivariate_cdf(-c, -c, r)) - norm.sf(c) ** 2, rel=1e-10)


def test_smooth_cliff_between_its_limits() -> None:
    law = on_a_line(0.25, 0.1)
    sharp, smooth = gva.CliffHalfspace([1.0], 0.4, 2.0), SmoothCliff([1.0], 0.4, 1e-9, 2.0)
    np.testing.assert_allclose(smooth.moments(law), sharp.moments(law), rtol=1e-8)
    fixed = SmoothCliff([1.0], 0.4, 0.3, 2.0).moments(on_a_line(0.0, 0.1))
    assert fixed == (pytest.approx(-2 * norm.sf(1.0)), 0.0, 0.0)
    # To first order the variance is (J')² s², J' = −C φ(c)/width.
    small = SmoothCliff([1.0], 0.4, 0.3, 2.0).variance(on_a_line(1e-14, 0.1))
    assert small == pytest.approx((2 * norm.pdf(1.0) / 0.3) ** 2 * 1e-14, rel=1e-10)
    far = SmoothCliff([1.0], 1e300, 1e-90, 2.0).moments(on_a_line(1.0))
    assert far == (0.0, 0.0, 0.0)


@pytest.mark.parametrize("scale", [1e-14, 1e-7, 1e-3, 1.0, 1e4, 1e9])
@pytest.mark.parametrize("mean", [0.0, 1e-4, 0.8, 4.0])
def test_saturating_moments_against_mpmath(scale: float, mean: float) -> None:
    """E Y² − (E Y)² at 60 digits, from the product over directions."""
    variances, means, weights = scale * np.array([1.0, 0.1, 3.0]), mean * np.array([1.0, -0.5, 0.2]), [2.0, 1.0, 0.3]
    with mpmath.workdps(60):

        def transform(n):
            out = mpmath.mpf(1)
            for v, m, w in zip(variances.tolist(), means.tolist(), weights, strict=True):
                spread = 1 + n * mpmath.mpf(v) * w
                out *= mpmath.exp(-n * mpmath.mpf(m) ** 2 * w / (2 * spread)) / mpmath.sqrt(spread)
            return out

        loss, variance = float(str(1 - transform(1))), float(str(transform(2) - transform(1) ** 2))
    got = SaturatingReward(weights, 3.0).moments(gva.Law(means, np.diag(variances)))
    assert got.mean == pytest.approx(-3 * loss, rel=1e-12)
    assert got.variance == pytest.approx(9 * variance, rel=1e-12)


def test_saturating_weights_of_every_shape_agree() -> None:
    expected = SaturatingReward(2.0).moments(LAW)
    for weight in ([2.0, 2.0, 2.0], 2.0 * np.eye(3), np.array([2.0])):
        np.testing.assert_allclose(SaturatingReward(weight).moments(LAW), expected, rtol=1e-12)
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
    turned = SaturatingReward(turn @ WEIGHT @ turn.T).moments(gva.Law(turn @ MEAN, turn @ COVARIANCE @ turn.T))
    np.testing.assert_allclose(turned, SaturatingReward(WEIGHT).moments(LAW), rtol=1e-11)


def test_saturating_falls_are_chi_square_tails() -> None:
    law = gva.Law(np.zeros(4), 0.3 * np.eye(4))
    fall = SaturatingReward(2.0).fall_probability(law)
    assert fall == pytest.approx(chi2.sf(2 * np.log(2) / 0.6, 4), rel=1e-10)


def test_saturating_far_out_all_is_lost() -> None:
    for mean in (1e3, 1e200):
        got = SaturatingReward(1.0, 2.0).moments(gva.Law(np.full(2, mean), np.eye(2)))
        assert got == (-2.0, 0.0, pytest.approx(1.0))
    reward, wide = SaturatingReward(1.0, 2.0), gva.Law(np.zeros(2), 1e250 * np.eye(2))
    assert reward.mean(wide) == -2.0
    assert 0 <= reward.variance(wide) < 1e-200


def stacked(reward, mean, covariance):
    return jnp.stack(reward.moments(gva.Law(mean, covariance))[:2])


@pytest.mark.parametrize(
    ("reward", "covariance"),
    [*((reward, COVARIANCE) for reward in (REWARDS[0], REWARDS[2], REWARDS[4])), (REWARDS[5], 0.2 * np.eye(3))],
)
def test_derivatives_against_finite_differences(reward: gva.Reward, covariance: np.ndarray) -> None:
    """Equal eigenvalues, where the derivatives of eigenvectors do not exist, are among the cases."""
    step = 1e-5
    change = np.array([[0.3, 0.1, 0.0], [0.1, -0.2, 0.4], [0.0, 0.4, 0.5]])

    def along(t):
        return stacked(reward, MEAN + t * np.array([1.0, 2.0, -1.0]), covariance + t * change)

    def plain(t):
        law = gva.Law(MEAN + t * np.array([1.0, 2.0, -1.0]), covariance + t * change)
        return np.array(reward.moments(law)[:2])

    with jax.enable_x64(True):
        value, slope = (np.asarray(v) for v in jax.jit(lambda t: jax.jvp(along, (t,), (1.0,)))(0.0))
    np.testing.assert_allclose(value, plain(0.0), rtol=1e-12)
    difference = (8 * (plain(step) - plain(-step)) - (plain(2 * step) - plain(-2 * step))) / (12 * step)
    np.testing.assert_allclose(slope, difference, rtol=1e-8)


def test_derivatives_at_a_fixed_law() -> None:
    """There dVar/dS along the gradient g of J is (J')²: the first-order law of small noise."""
    zero = np.zeros((3, 3))
    with jax.enable_x64(True):
        for reward in (REWARDS[0], REWARDS[2]):
            both = jax.jit(jax.jacrev(lambda m, s, r=reward: stacked(r, m, s), (0, 1)))(MEAN, zero)
            by_mean, by_covariance = (np.asarray(v) for v in both)
            assert np.all(np.isfinite(by_mean))
            gradient = by_mean[0]  # of the mean, which is J itself
            np.testing.assert_allclose(by_covariance[1], np.outer(gradient, gradient), rtol=1e-9, atol=1e-14)


def test_vmap_in_single_precision() -> None:
    means = np.stack([MEAN, 2 * MEAN]).astype(np.float32)
    for reward in (REWARDS[0], REWARDS[2]):
        got = jax.jit(jax.vmap(lambda m, r=reward: stacked(r, m, COVARIANCE.astype(np.float32))))(means)
        expected = [reward.moments(gva.Law(m.astype(float), COVARIANCE))[:2] for m in means]
        assert got.dtype == jnp.float32
        np.testing.assert_allclose(got, expected, rtol=2e-5)


def test_traced_fall_probability_of_the_saturating_reward() -> None:
    moments = jax.jit(lambda m: SaturatingReward(1.0).moments(gva.Law(m, COVARIANCE)))(MEAN)
    assert np.isnan(moments.fall_probability)
    with pytest.raises(TypeError, match="SaturatingReward cannot be traced by JAX"):
        jax.jit(lambda m: SaturatingReward(1.0).fall_probability(gva.Law(m, COVARIANCE)))(MEAN)
    with pytest.raises(TypeError, match="weight must be numbers"):
        jax.jit(lambda w: SaturatingReward(w).mean(LAW))(1.0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: SmoothCliff([0.0], 1.0, 1.0, 1.0), "normal must not be zero"),
        (lambda: SmoothCliff([1.0], 1.0, 0.0, 1.0), r"width must be a number in \[1e-100, 1e\+100\], got 0.0"),
        (lambda: SmoothCliff([1.0], np.inf, 1.0, 1.0), "offset must be a number in"),
        (lambda: SmoothCliff([1.0], 1.0, 1.0, -1.0), r"penalty must be a number in \(0, inf\), got -1.0"),
        (lambda: SmoothCliff([1.0], 1.0, 1.0, 1.0).mean(LAW), r"normal must have shape \(3,\)"),
        (lambda: SaturatingReward(0.0), "weight must not be zero, got 0.0"),
        (lambda: SaturatingReward([1.0, -1.0]), "weight must be non-negative, its smallest entry is -1.0"),
        (lambda: SaturatingReward(np.diag([1.0, -1.0])), "weight must be positive semi-definite"),
        (lambda: SaturatingReward(1.0, 0.0), r"scale must be a number in \(0, inf\), got 0.0"),
        (lambda: SaturatingReward(np.eye(2)).mean(LAW), r"weight must fit the 3 parameters .* got shape \(2, 2\)"),
        (lambda: SaturatingReward([1.0, 2.0]).mean(LAW), r"weight must fit the 3 parameters .* got shape \(2,\)"),
    ],
)
def test_bad_values_are_named(call, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()

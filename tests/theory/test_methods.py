"""Methods, drift and regression: the exact law against dense matrices in the original coordinates, and simulation."""

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gvatheory as gva
from gvatheory.methods import Steps
from tests.budget import assert_mean

METHODS = st.one_of(
    st.just(gva.SGD()),
    st.builds(gva.HeavyBall, st.floats(-0.5, 0.9)),
    st.builds(gva.Nesterov, st.floats(-0.3, 0.9)),
    st.builds(gva.ScheduleFree, st.floats(0, 1), st.sampled_from([0.0, 1.0, 2.0])),
)
SCHEDULES = st.one_of(
    st.builds(gva.Constant, st.floats(0, 1.2)),
    st.builds(gva.PowerDecay, st.floats(0.01, 1.2), st.floats(0, 1.5), st.floats(0.5, 20)),
    st.builds(gva.WarmupStableDecay, st.floats(0.01, 1.2), st.just(50), st.integers(0, 20), st.integers(0, 30)),
)
AVERAGES = st.one_of(
    st.just(gva.LastIterate()),
    st.builds(gva.EMA, st.floats(0, 1), st.integers(0, 20)),
    st.builds(gva.PowerEMA, st.floats(0, 1.5), st.integers(0, 20), st.floats(0, 0.5)),
    st.builds(gva.Tail, st.floats(0.05, 1)),
)


def random_psd(rng: np.random.Generator, dim: int) -> np.ndarray:
    basis = np.linalg.qr(rng.normal(size=(dim, dim)))[0]
    out = (basis * rng.uniform(0, 1.2, dim)) @ basis.T
    return 0.5 * (out + out.T)


def positions_of(method: gva.Method, eta: float, share: float) -> tuple[list, list, list]:
    """h, A, B written out once more, from the methods' defining equations."""
    match method:
        case gva.SGD():
            return [1.0], [[1.0]], [-eta]
        case gva.HeavyBall(momentum=mu):
            return [1.0, 0.0], [[1 + mu, -mu], [1.0, 0.0]], [-eta, 0.0]
        case gva.Nesterov(momentum=mu):
            return [1 + mu, -mu], [[1 + mu, -mu], [1.0, 0.0]], [-eta, 0.0]
        case gva.ScheduleFree(interpolation=beta):
            return [beta, 1 - beta], [[1 - share, share], [0.0, 1.0]], [-share * eta, -eta]
    raise AssertionError(method)


def regression_covariance(features: np.ndarray, labels: np.ndarray, y: np.ndarray, batch: int) -> np.ndarray:
    """Covariance of a batch's gradient for outputs k, l: (tr(ΣY)Σ + ΣYᵀΣ + S Σ)/b in blocks, Y = E[y_k y_lᵀ]."""
    n, m = len(features), len(labels)
    out = np.zeros_like(y)
    for k in range(m):
        for j in range(m):
            block = y[k * n : (k + 1) * n, j * n : (j + 1) * n]
            out[k * n : (k + 1) * n, j * n : (j + 1) * n] = (
                np.trace(features @ block) * features + features @ block.T @ features + labels[k, j] * features
            ) / batch
    return out


def dense_law(hessian, noise_of, drift, etas, weights, e0, method):
    """Mean and covariance of Σ_t w_t θ_t − θ*_T from the joint law of (s_T, θ_0, ..., θ_T), kept whole."""
    d, n = len(e0), 2
    eye = np.eye(d)
    power = getattr(method, "weight_power", 0.0)
    size = n * d
    mean, iterates = np.tile(e0, n), [e0]  # of θ_t, relative to θ*_0
    joint = np.zeros((size + d, size + d))  # covariance of (s, every iterate so far)
    optimum = np.zeros(d)
    for t, eta in enumerate(etas):
        total = np.sum(etas[: t + 1] ** power)
        share = eta**power / total if total > 0 else 1.0
        h, a, b = positions_of(method, eta, share)
        h = np.array(h + [0.0] * (n - len(h)))
        b = np.array(b + [0.0] * (n - len(b)))
        a = np.pad(np.array(a), (0, n - len(a)))
        point = np.kron(h, eye)
        f = np.kron(a, eye) + np.kron(b[:, None], eye) @ hessian @ point
        y_mean = point @ mean - optimum
        second = point @ joint[:size, :size] @ point.T + np.outer(y_mean, y_mean)
        push = np.kron(b[:, None], eye)
        mean = f @ mean - push @ hessian @ optimum
        whole = np.eye(len(joint))
        whole[:size, :size] = f
        joint = whole @ joint @ whole.T
        joint[:size, :size] += push @ noise_of(second) @ push.T
        copy = np.vstack([np.eye(len(joint)), np.eye(d, len(joint))])  # the new iterate joins the stack
        joint = copy @ joint @ copy.T
        iterates.append(mean[:d])
        optimum = optimum + drift[t]
    pick = np.concatenate([np.zeros((d, size)), *(w * eye for w in weights)], axis=1)
    return sum(w * m for w, m in zip(weights, iterates, strict=True)) - optimum, pick @ joint @ pick.T


def close(law: gva.Law, mean: np.ndarray, cov: np.ndarray) -> None:
    np.testing.assert_allclose(law.mean, mean, rtol=1e-9, atol=1e-12 * max(np.abs(mean).max(), 1.0))
    np.testing.assert_allclose(law.covariance, cov, rtol=1e-9, atol=1e-12 * max(np.trace(cov), 1e-30))


@settings(max_examples=1000, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    dim=st.sampled_from([1, 3]),
    schedule=SCHEDULES,
    average=AVERAGES,
    method=METHODS,
    steps=st.sampled_from([0, 1, 5, 7, 8, 17]),
    drifting=st.booleans(),
)
def test_quadratics_match_the_joint_law_of_all_iterates(seed, dim, schedule, average, method, steps, drifting) -> None:
    rng = np.random.default_rng(seed)
    e0, hessian, noise = rng.normal(size=dim), random_psd(rng, dim), random_psd(rng, dim)
    problem, drift = gva.NoisyQuadratic(hessian, noise, 3), np.zeros((steps, dim))
    if drifting:
        velocity = rng.normal(size=dim)
        problem = gva.Drifting(problem, velocity, gva.PowerDecay(1.0, 0.4))
        drift = np.outer((1.0 + np.arange(steps)) ** -0.4, velocity)
    law = gva.exact_law(problem, schedule, average, steps, e0, method)
    close(
        law,
        *dense_law(hessian, lambda y: noise / 3, drift, schedule.step_sizes(steps), average.kernel(steps), e0, method),
    )


@settings(max_examples=300, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    features=st.sampled_from([1, 3]),
    outputs=st.integers(1, 2),
    batch=st.integers(1, 5),
    schedule=SCHEDULES,
    average=AVERAGES,
    method=METHODS,
    steps=st.sampled_from([1, 5, 8]),
    at_optimum=st.booleans(),
)
def test_regression_matches_the_joint_law(
    seed, features, outputs, batch, schedule, average, method, steps, at_optimum
) -> None:
    rng = np.random.default_rng(seed)
    sigma, labels = random_psd(rng, features), random_psd(rng, outputs)
    e0 = rng.normal(size=features * outputs) * (not at_optimum)
    law = gva.exact_law(gva.LinearRegression(sigma, labels, batch), schedule, average, steps, e0, method)
    expected = dense_law(
        np.kron(np.eye(outputs), sigma),
        lambda y: regression_covariance(sigma, labels, y, batch),
        np.zeros((steps, features * outputs)),
        schedule.step_sizes(steps),
        average.kernel(steps),
        e0,
        method,
    )
    close(law, *expected)


PROBLEMS = {
    "quadratic": gva.NoisyQuadratic([[1.0, 0.3], [0.3, 0.5]], [[2.0, -0.5], [-0.5, 1.0]], 4),
    "diagonal": gva.NoisyQuadratic([0.2, 1.1], 1.5, 2),
    "regression": gva.LinearRegression([[1.0, 0.3], [0.3, 0.5]], 0.5, 3),
    "two outputs": gva.LinearRegression(0.7, [[1.0, 0.4], [0.4, 0.3]], 3),
    "drifting": gva.Drifting(gva.NoisyQuadratic([1.0, 0.5], 0.5, 3), [0.05, -0.02]),
    "drifting regression": gva.Drifting(gva.LinearRegression([1.0, 0.5], 0.5, 3), [0.05, -0.02]),
}
ALL_METHODS = [gva.SGD(), gva.HeavyBall(0.6), gva.Nesterov(0.6), gva.ScheduleFree(0.8, 1.0)]


@pytest.mark.parametrize(
    ("name", "method"),
    [(name, ALL_METHODS[i % 4]) for i, name in enumerate([*PROBLEMS, "two outputs"])] + [("quadratic", ALL_METHODS[3])],
)
def test_simulation_agrees_with_the_exact_law(name: str, method: gva.Method) -> None:
    problem, schedule = PROBLEMS[name], gva.PowerDecay(0.4, 0.3, 10.0)
    law = gva.exact_law(problem, schedule, gva.EMA(0.1), 27, [1.0, -0.5], method)
    samples = gva.simulate(problem, schedule, gva.EMA(0.1), 27, [1.0, -0.5], 20_000, 3, method)
    assert_mean(samples, law.mean)
    centred = samples - law.mean
    assert_mean(centred[:, :, None] * centred[:, None, :], law.covariance)


@pytest.mark.parametrize("name", list(PROBLEMS)[:5])
@pytest.mark.parametrize("method", ALL_METHODS[:3], ids=lambda m: type(m).__name__)
@pytest.mark.parametrize("average", [gva.LastIterate(), gva.EMA(0.03)], ids=lambda a: type(a).__name__)
def test_stationary_law_is_the_limit_of_the_exact_law(name: str, method: gva.Method, average: gva.Average) -> None:
    law = gva.stationary_law(PROBLEMS[name], 0.2, average, method)
    limit = gva.exact_law(PROBLEMS[name], gva.Constant(0.2), average, 4000, 0.3, method)
    np.testing.assert_allclose(law.mean, limit.mean, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(law.covariance, limit.covariance, rtol=1e-9, atol=1e-14)


def test_published_special_cases() -> None:
    eta, lam, noise, mu, gamma, batch = 0.3, 0.8, 1.7, 0.6, 0.05, 5
    k, rho = eta * lam, 1 - gamma
    phi = 1 + mu - k
    ball = gva.stationary_law(gva.NoisyQuadratic(lam, noise), eta, None, gva.HeavyBall(mu)).covariance[0, 0]
    assert ball == pytest.approx(eta * noise * (1 + mu) / (lam * (1 - mu) * (2 * (1 + mu) - k)), rel=1e-12)
    factor = gamma / (2 - gamma) * (1 + rho * phi * (1 - mu) / (1 + mu) - mu * rho**2) / (1 - rho * phi + mu * rho**2)
    averaged = gva.stationary_law(gva.NoisyQuadratic(lam, noise), eta, gva.EMA(gamma), gva.HeavyBall(mu))
    assert averaged.covariance[0, 0] == pytest.approx(ball * factor, rel=1e-12)
    lams = np.array([0.2, 0.8, 1.3])
    kappa = np.sum(eta * lams / (batch * (2 - eta * lams * (1 + 1 / batch))))
    law = gva.stationary_law(gva.LinearRegression(lams, noise, batch), eta)
    assert lams @ law.std**2 == pytest.approx(noise * kappa / (1 - kappa), rel=1e-12)  # tr ΣM
    a = 1 - eta * lams
    ema = gva.stationary_law(gva.LinearRegression(lams, noise, batch), eta, gva.EMA(gamma))
    factor = gamma / (2 - gamma) * (1 + a * rho) / (1 - a * rho)
    np.testing.assert_allclose(ema.std**2, law.std**2 * factor, rtol=1e-12)  # unchanged by multiplicative noise
    drifting = gva.Drifting(gva.NoisyQuadratic(lam, noise), 0.01)
    lag = gva.stationary_law(drifting, eta, gva.EMA(gamma)).mean[0]
    assert lag == pytest.approx(-0.01 * (1 / k + (1 - gamma) / gamma), rel=1e-12)


def test_largest_stable_step_sizes() -> None:
    quadratic, mu = gva.NoisyQuadratic([0.5, 2.0], 1.0), 0.6
    assert gva.largest_stable_step_size(quadratic) == pytest.approx(2 / 2.0, rel=1e-9)
    assert gva.largest_stable_step_size(quadratic, gva.HeavyBall(mu)) == pytest.approx(2 * (1 + mu) / 2.0, rel=1e-9)
    nesterov = gva.largest_stable_step_size(quadratic, gva.Nesterov(mu))
    assert nesterov == pytest.approx(2 * (1 + mu) / (1 + 2 * mu) / 2.0, rel=1e-9)
    lams, batch = np.array([0.3, 0.5, 2.0]), 2
    eta = gva.largest_stable_step_size(gva.LinearRegression(lams, 1.0, batch))
    assert eta * lams.max() * (1 + 1 / batch) < 2
    assert np.sum(eta * lams / (batch * (2 - eta * lams * (1 + 1 / batch)))) == pytest.approx(1, rel=1e-9)
    for method in ALL_METHODS[:3]:
        limit = gva.largest_stable_step_size(gva.LinearRegression(lams, 1.0, batch), method)
        assert np.isfinite(
            gva.stationary_law(gva.LinearRegression(lams, 1.0, batch), 0.99 * limit, None, method).mean[0]
        )
        with pytest.raises(ValueError, match="step_size must be mean-square stable"):
            gva.stationary_law(gva.LinearRegression(lams, 1.0, batch), 1.01 * limit, None, method)


def test_simulation_keeps_averages_that_are_plain_sums() -> None:
    """Signed weights are no recursion θ̃ ← (1 − γ) θ̃ + γ θ; without noise both routes give one number."""
    weights = gva.FixedWeights([0.5, -0.3, 0.0, 0.9, -0.6, 0.5])
    arguments = (gva.NoisyQuadratic([0.2, 1.0], 0.0), gva.Constant(0.3), weights, 5, [1.0, -2.0])
    run = gva.simulate(*arguments, 2, 0, gva.HeavyBall(0.4))
    np.testing.assert_allclose(run[1], gva.exact_law(*arguments, gva.HeavyBall(0.4)).mean, rtol=1e-12)


@pytest.mark.parametrize("k", [1e-3, 1e-9, 1e-15, 1e-30])
def test_small_steps_cost_no_digits(k: float) -> None:
    for nesterov, method in ((False, gva.HeavyBall(0.9)), (True, gva.Nesterov(0.9))):
        law = gva.stationary_law(gva.NoisyQuadratic(1.0, 1.0), k, gva.EMA(0.01), method)
        expected = gva.closed_forms.momentum_variance(k, 1.0, 1.0, 0.9, nesterov)
        expected *= gva.closed_forms.momentum_ema_factor(k, 1.0, 0.9, 0.01, nesterov)
        assert law.covariance[0, 0] == pytest.approx(expected, rel=1e-12, abs=0.0)
    kappa = k / (4 * (2 - 1.25 * k))
    regression = gva.stationary_law(gva.LinearRegression(1.0, 1.0, 4), k)
    assert regression.covariance[0, 0] == pytest.approx(kappa / (1 - kappa), rel=1e-12, abs=0.0)
    lag = gva.stationary_law(gva.Drifting(gva.NoisyQuadratic(1.0, 1.0), 1.0), k, None, gva.HeavyBall(0.5)).mean[0]
    assert lag == pytest.approx(-0.5 / k, rel=1e-12)  # momentum multiplies the step by 1/(1 − μ)


def test_flat_directions_do_not_bound_the_step() -> None:
    for seed in range(8):
        root = np.random.default_rng(seed).normal(size=(4, 2))
        hessian = 0.5 * (root @ root.T + (root @ root.T).T)
        largest = np.linalg.eigvalsh(hessian).max()
        assert np.sum(gva.NoisyQuadratic(hessian, 1.0).eigenbasis()[0] == 0.0) == 2
        assert gva.largest_stable_step_size(gva.NoisyQuadratic(hessian, 1.0)) == pytest.approx(2 / largest, rel=1e-9)
        assert gva.largest_stable_step_size(gva.LinearRegression(hessian, 1.0, 3)) > 0.3 / largest
        with pytest.raises(ValueError, match="curvature must be positive in every direction"):
            gva.stationary_law(gva.NoisyQuadratic(hessian, 1.0), 0.1 / largest)
    tiny = gva.NoisyQuadratic([1.0, 1e-17], 1.0)
    assert gva.largest_stable_step_size(tiny, gva.HeavyBall(0.5)) == pytest.approx(3.0, rel=1e-9)


def test_jax_arrays_in_single_precision_are_numbers_too() -> None:
    single = jax.numpy.array([1.0, 0.5])
    problem = gva.NoisyQuadratic(single, single)
    law = gva.exact_law(problem, gva.Constant(jax.numpy.array(0.5)), gva.EMA(0.1), 7, single)
    plain = gva.exact_law(gva.NoisyQuadratic([1.0, 0.5], [1.0, 0.5]), gva.Constant(0.5), gva.EMA(0.1), 7, [1.0, 0.5])
    np.testing.assert_allclose(law.covariance, plain.covariance, rtol=1e-12)
    assert law.covariance.dtype == np.float64


def test_a_structural_entry_is_zero_or_one_and_no_other_integer() -> None:
    class Doubled(gva.Method):
        def steps(self, step_sizes):
            return Steps((1, 0), ((2, -1), (1, 0)), (-step_sizes, 0))

    class InFloats(gva.Method):
        def steps(self, step_sizes):
            return Steps((1.0, 0.0), ((2.0, -1.0), (1.0, 0.0)), (-step_sizes, 0.0))

    laws = [
        gva.exact_law(gva.NoisyQuadratic(0.5, 1.0), gva.Constant(0.2), gva.EMA(0.3), 9, 1.0, method)
        for method in (Doubled(), InFloats())
    ]
    assert laws[0].mean[0] == pytest.approx(laws[1].mean[0], rel=1e-12)
    assert laws[0].covariance[0, 0] == pytest.approx(laws[1].covariance[0, 0], rel=1e-12)


def test_single_precision_follows_double_without_noise() -> None:
    """Long memory, where (1 − γ) S would lose a tenth of a per cent to rounding."""
    problem = gva.NoisyQuadratic(1e-3, 0.0)
    run = gva.simulate(problem, gva.Constant(1.0), gva.EMA(1e-4), 20_000, 1.0, 1, 0, precision="float32")
    exact = gva.exact_law(problem, gva.Constant(1.0), gva.EMA(1e-4), 20_000, 1.0).mean[0]
    assert run[0, 0] == pytest.approx(exact, rel=3e-5)


def test_schedule_free_kernel_and_special_cases() -> None:
    """β = 0 is SGD with a uniform average of z_1, ..., z_T; β = 1 takes its gradients at the average."""
    problem, steps = gva.NoisyQuadratic([0.2, 1.0], 1.0), 30
    law = gva.exact_law(problem, gva.Constant(0.3), gva.LastIterate(), steps, 1.0, gva.ScheduleFree(0.0))
    polyak = gva.exact_law(problem, gva.Constant(0.3), gva.Polyak(), steps, 1.0)
    np.testing.assert_allclose(law.mean, polyak.mean, rtol=1e-12)
    np.testing.assert_allclose(law.covariance, polyak.covariance, rtol=1e-12)
    kernel = gva.ScheduleFree(0.9, 2.0).kernel(np.array([0.1, 0.2, 0.3]))
    np.testing.assert_allclose(kernel, np.array([1, 4, 9]) / 14)
    np.testing.assert_array_equal(gva.ScheduleFree().kernel(np.zeros(3)), [0, 0, 1])
    laws = [
        gva.exact_law(problem, gva.Constant(1e-3), gva.LastIterate(), steps, 1.0, gva.ScheduleFree(0.9, power))
        for power in (2.0, 200.0)  # 1e-3 to the 200 underflows; a constant step weighs all alike, whatever the power
    ]
    np.testing.assert_allclose(laws[0].covariance, laws[1].covariance, rtol=1e-12)


def test_derivatives_through_the_exact_law() -> None:
    problem = gva.NoisyQuadratic([0.2, 1.0], [1.0, 2.0])

    def variance(eta, gamma, mu):
        law = gva.exact_law(problem, gva.Constant(eta), gva.EMA(gamma), 60, 1.0, gva.HeavyBall(mu))
        return law.covariance[0, 0] + law.mean[1] ** 2

    at = (0.2, 0.1, 0.5)
    with jax.enable_x64(True):
        slopes = jax.grad(variance, argnums=(0, 1, 2))(*at)
        many = jax.vmap(variance, in_axes=(0, None, None))(np.array([0.1, 0.2]), 0.1, 0.5)
    for i, slope in enumerate(slopes):
        shifted = [[x + s * 1e-6 * (i == j) for j, x in enumerate(at)] for s in (1, -1)]
        assert slope == pytest.approx((variance(*shifted[0]) - variance(*shifted[1])) / 2e-6, rel=1e-6)
    np.testing.assert_allclose(many, [variance(0.1, 0.1, 0.5), variance(0.2, 0.1, 0.5)], rtol=1e-12)
    with pytest.raises(TypeError, match="exact_law under a JAX transformation needs 64-bit mode"):
        jax.grad(variance)(*at)


def test_unstable_cells_of_a_traced_stationary_law_are_nan() -> None:
    def variance(eta):
        return gva.stationary_law(gva.NoisyQuadratic(1.0, 1.0), eta, gva.EMA(0.1)).covariance[0, 0]

    with jax.enable_x64(True):
        values = jax.vmap(variance)(np.array([-0.1, 0.5, 1.9, 2.0, 2.5]))
    np.testing.assert_array_equal(np.isnan(values), [True, False, False, True, True])


def test_noise_is_shared_and_does_not_depend_on_the_number_of_trials() -> None:
    problem = PROBLEMS["regression"]
    run = [gva.simulate(problem, gva.Constant(0.1), gva.EMA(0.1), 11, 1.0, n, 5) for n in (10, 300)]
    np.testing.assert_array_equal(run[0], run[1][:10])
    other = gva.simulate(problem, gva.Constant(0.1), gva.EMA(0.1), 11, 1.0, 10, 6)
    assert np.all(other != run[0])

    def last(eta):
        return gva.simulate(problem, gva.Constant(eta), gva.EMA(0.1), 11, 1.0, 10, 5)

    with jax.enable_x64(True):
        cells = jax.vmap(last)(np.array([0.1, 0.2]))
    np.testing.assert_allclose(cells[0], run[0], rtol=1e-12)
    single = gva.simulate(problem, gva.Constant(0.1), gva.EMA(0.1), 11, 1.0, 10, 5, precision="float32")
    assert single.dtype == np.float32


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: gva.HeavyBall(1.0), r"momentum must be a number in \(-1, 1\), got 1.0"),
        (lambda: gva.Nesterov(float("nan")), "momentum must be a number"),
        (lambda: gva.ScheduleFree(1.1), r"interpolation must be a number in \[0, 1\], got 1.1"),
        (lambda: gva.LinearRegression([[1.0, 0.0], [0.1, 1.0]], 1.0), "feature_covariance must be symmetric"),
        (
            lambda: gva.LinearRegression([1.0, 2.0], 1.0, features=3),
            "features must be 2 to fit feature_covariance, got 3",
        ),
        (lambda: gva.LinearRegression(1.0, -1.0), "label_noise must be non-negative"),
        (lambda: gva.Drifting(gva.NoisyQuadratic([1.0, 2.0], 1.0), [1.0, 2.0, 3.0]), "velocity must be a number or"),
        (
            lambda: gva.Drifting(gva.Drifting(gva.NoisyQuadratic(1.0, 1.0), 1.0), 1.0),
            "problem must be a Problem that is not Drifting itself",
        ),
        (
            lambda: gva.stationary_law(gva.NoisyQuadratic(1.0, 1.0), 0.1, None, gva.ScheduleFree()),
            "method must have constant coefficients",
        ),
        (
            lambda: gva.stationary_law(gva.Drifting(gva.NoisyQuadratic(1.0, 1.0), 1.0, gva.PowerDecay(1.0, 0.5)), 0.1),
            "profile must be Constant",
        ),
        (
            lambda: gva.simulate(
                gva.NoisyQuadratic(1.0, 1.0),
                gva.Constant(0.1),
                gva.EMA(0.1),
                1,
                1.0,
                1,
                0,
                precision="half",  # type: ignore[arg-type]
            ),
            "precision must be",
        ),
    ],
)
def test_bad_values_are_named(make, message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=None if message.startswith("precision") else message):
        make()

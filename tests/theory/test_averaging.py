"""Averages: kernels against direct recursion, closed profiles, tracing, derivatives, and errors."""

import tracemalloc
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gvatheory as gva
from gvatheory.averaging import Average, BiasCorrectedEMA, PowerProfile, RecursiveAverage
from gvatheory.subsampled_averages import EveryK
from gvatheory.weighted_averages import FixedWeights, WeightedWindow

SIMPLE = st.one_of(
    st.just(gva.LastIterate()),
    st.builds(gva.EMA, st.floats(0, 1), st.integers(0, 30)),
    st.builds(gva.PowerEMA, st.floats(0, 2), st.integers(0, 30), st.floats(0, 1)),
    st.builds(gva.Polyak, st.integers(0, 30)),
    st.builds(gva.Tail, st.floats(0.01, 1)),
    st.builds(BiasCorrectedEMA, st.floats(0, 1)),
    st.builds(PowerProfile, st.floats(-0.99, 20)),
)
AVERAGES = st.one_of(SIMPLE, st.builds(EveryK, SIMPLE, st.integers(1, 9)))


@settings(max_examples=200, deadline=None)
@given(average=AVERAGES, steps=st.integers(0, 60))
def test_kernel_is_the_recursion_unrolled(average: gva.RecursiveAverage, steps: int) -> None:
    rates = average.rates(steps)
    weights = np.zeros(steps + 1)
    weights[0] = 1.0
    for t, gamma in enumerate(rates, start=1):
        weights *= 1.0 - gamma
        weights[t] += gamma
    kernel = average.kernel(steps)
    np.testing.assert_allclose(kernel, weights, rtol=1e-12, atol=1e-15)
    np.testing.assert_array_equal(average.rate(np.arange(1.0, steps + 1), steps), rates)
    assert abs(kernel.sum() - 1.0) < 1e-12
    assert np.all((rates >= 0) & (rates <= 1))


@pytest.mark.parametrize("burn_in", [0, 3])
def test_polyak_is_the_uniform_average_and_the_power_of_one(burn_in: int) -> None:
    expected = np.concatenate([np.zeros(burn_in + 1), np.full(9 - burn_in, 1 / (9 - burn_in))])
    np.testing.assert_allclose(gva.Polyak(burn_in).kernel(9), expected, atol=1e-15)
    np.testing.assert_allclose(gva.PowerEMA(1.0, burn_in).kernel(9), expected, atol=1e-15)


def test_power_ema_is_the_last_iterate_until_one_past_its_burn_in() -> None:
    rates = gva.PowerEMA(0.5, burn_in=4, floor=0.4).rates(12)
    np.testing.assert_allclose(rates[:5], 1.0)
    np.testing.assert_allclose(rates[5:], np.maximum(np.arange(2, 9) ** -0.5, 0.4))


@pytest.mark.parametrize(("fraction", "steps", "length"), [(0.1, 30, 3), (0.5, 7, 4), (1.0, 5, 5), (0.01, 5, 1)])
def test_tail_averages_the_last_share(fraction: float, steps: int, length: int) -> None:
    kernel = gva.Tail(fraction).kernel(steps)
    np.testing.assert_allclose(kernel[-length:], 1 / length)
    np.testing.assert_allclose(kernel[:-length], 0, atol=1e-15)


def test_tail_without_a_length_says_so() -> None:
    with pytest.raises(ValueError, match="Tail needs the total number of updates"):
        gva.Tail(0.5).rate(3)


def test_rates_are_float64_under_any_setting_and_traceable() -> None:
    assert gva.PowerEMA(0.7).rates(5).dtype == np.float64
    assert not jax.config.jax_enable_x64  # pyright: ignore[reportAttributeAccessIssue]
    traced = jax.jit(lambda t: gva.PowerEMA(0.7).rate(t))(jnp.arange(1, 6))
    np.testing.assert_allclose(traced, np.arange(1, 6) ** -0.7, rtol=1e-6)


# --- BiasCorrectedEMA


@pytest.mark.parametrize("gamma", [1e-9, 0.01, 0.3, 0.5, 0.9])
def test_bias_corrected_ema_has_adams_kernel(gamma: float) -> None:
    s = np.arange(1, 41)
    ema = gamma * (1 - gamma) ** (40 - s)
    kernel = BiasCorrectedEMA(gamma).kernel(40)
    np.testing.assert_allclose(kernel[1:], ema / ema.sum(), rtol=1e-13)
    assert kernel[0] == 0


def test_bias_corrected_ema_between_its_limits() -> None:
    np.testing.assert_allclose(BiasCorrectedEMA(0.0).rates(50), gva.Polyak().rates(50), rtol=1e-15)
    np.testing.assert_array_equal(BiasCorrectedEMA(1.0).rates(50), 1.0)
    np.testing.assert_allclose(BiasCorrectedEMA(0.2).rates(400)[-1], 0.2, rtol=1e-15)


def test_bias_corrected_ema_in_high_precision() -> None:
    counts = [1, 2, 3, 10, 1000, 10**6]
    with mpmath.workdps(60):
        for gamma in (1e-300, 1e-17, 1e-9, 3e-8, 1e-4, 0.01, 0.0487, 0.0488, 0.3, 0.4999999, 0.5, 0.999):
            g = mpmath.mpf(gamma)
            exact = [float(g / (1 - (1 - g) ** t)) if gamma > 1e-30 else 1 / t for t in counts]
            np.testing.assert_allclose(BiasCorrectedEMA(gamma).rate(np.array(counts)), exact, rtol=4e-15)


# --- PowerProfile


@pytest.mark.parametrize("exponent", [-0.7, 0.0, 1.0, 2.5, 16.97])
def test_power_profile_telescopes(exponent: float) -> None:
    edges = (np.arange(31) / 30) ** (exponent + 1)
    kernel = PowerProfile(exponent).kernel(30)
    np.testing.assert_allclose(kernel[1:], np.diff(edges), rtol=1e-11, atol=1e-16)
    assert kernel[0] == 0


@pytest.mark.parametrize("width", [1e-6, 0.01, 0.05, 0.1, 0.25, 12**-0.5])
def test_power_profile_from_its_width(width: float) -> None:
    profile = PowerProfile.from_relative_width(width)
    assert profile.exponent >= 0
    np.testing.assert_allclose(profile.relative_width, width, rtol=1e-12)
    if width >= 0.01:
        kernel, share = profile.kernel(40_000), np.arange(40_001) / 40_000
        mean = kernel @ share
        np.testing.assert_allclose(np.sqrt(kernel @ (share - mean) ** 2), width, rtol=1e-4)


def test_power_profile_of_the_published_widths() -> None:
    # Karras et al. 2024 give γ = 16.97 and 6.94 for relative widths of 5 % and 10 %.
    assert round(PowerProfile.from_relative_width(0.05).exponent, 2) == 16.97
    assert round(PowerProfile.from_relative_width(0.10).exponent, 2) == 6.94


# --- EveryK

WRAPPED = [
    gva.LastIterate(),
    gva.EMA(0.07),
    gva.EMA(0.07, burn_in=11),
    gva.PowerEMA(0.6),
    gva.PowerEMA(0.6, burn_in=17, floor=0.1),
    gva.Polyak(),
    gva.Polyak(burn_in=10),
    gva.Tail(0.37),
    gva.Tail(0.05),
    BiasCorrectedEMA(0.03),
    PowerProfile(3.0),
    WeightedWindow([0.0, 1.0, 0.0, 3.0, 2.0, 0.0, 1.0]),
    EveryK(gva.EMA(0.05), 2),
]


def block_sums(kernel: np.ndarray, k: int) -> np.ndarray:
    """Weight of θ_0, then of each block of k iterates."""
    return np.concatenate([kernel[:1], kernel[1:].reshape(-1, k).sum(axis=1)])


@pytest.mark.parametrize("average", WRAPPED, ids=repr)
@pytest.mark.parametrize(("k", "steps"), [(1, 30), (4, 60), (4, 63), (60, 60), (61, 60)])
def test_every_k_keeps_the_sum_of_each_block(average: RecursiveAverage, k: int, steps: int) -> None:
    kernel = EveryK(average, k).kernel(steps)
    done = steps - steps % k
    wrapped = np.zeros(done + 1)
    wrapped[0] = 1.0
    for t, gamma in enumerate(average.rates(steps)[:done], start=1):
        wrapped *= 1.0 - gamma
        wrapped[t] += gamma
    np.testing.assert_allclose(block_sums(kernel[: done + 1], k), block_sums(wrapped, k), rtol=1e-12, atol=1e-16)
    used = np.arange(steps + 1) % k == 0
    np.testing.assert_array_equal(kernel[~used], 0)
    np.testing.assert_array_equal(kernel[done + 1 :], 0)


@pytest.mark.parametrize("average", [gva.EMA(0.07), gva.PowerEMA(0.6, burn_in=17), gva.Tail(0.37)], ids=repr)
def test_the_same_rate_every_k_steps_is_another_profile(average: RecursiveAverage) -> None:
    rates = average.rates(60)
    naive = np.where(np.arange(1, 61) % 4 == 0, rates, 0.0)
    kept = np.append(np.cumprod((1 - naive)[::-1])[::-1], 1.0)
    kernel = np.append(1.0, naive) * kept
    assert np.abs(block_sums(kernel, 4) - block_sums(average.kernel(60), 4)).max() > 0.02


def test_every_k_of_closed_forms() -> None:
    np.testing.assert_allclose(EveryK(gva.EMA(0.1), 5).rates(10), [0, 0, 0, 0, 1 - 0.9**5] * 2, rtol=1e-15)
    kernel = EveryK(gva.Polyak(), 5).kernel(20)
    np.testing.assert_allclose(kernel[5::5], 0.25, rtol=1e-14)
    # Burn-in that ends within a block: the two iterates of θ_11, θ_12 count in θ_12's stead, and later ones by four.
    np.testing.assert_allclose(EveryK(gva.Polyak(10), 4).kernel(20)[4::4], [0, 0, 0.2, 0.4, 0.4], atol=1e-15)


def test_every_k_of_a_tiny_rate_and_a_long_block() -> None:
    for gamma, k in [(1e-14, 10**5), (1e-6, 10**6), (0.3, 999)]:
        exact = -np.expm1(k * np.log1p(-gamma))
        average = EveryK(gva.EMA(gamma), k)
        np.testing.assert_allclose(average.rates(k)[-1], exact, rtol=1e-14)
        np.testing.assert_allclose(average.rate(2 * k), exact, rtol=1e-14)


def test_every_k_needs_little_memory() -> None:
    average = EveryK(gva.PowerEMA(0.7), 100)
    tracemalloc.start()
    rates = average.rates(10**6)
    pointwise = average.rate(np.arange(1.0, 10**6 + 1))
    updates = EveryK(gva.EMA(0.01), 100).rate(100.0 * np.arange(1, 10**5 + 1))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 70e6
    np.testing.assert_array_equal(pointwise, rates)
    np.testing.assert_allclose(updates, 1 - 0.99**100, rtol=1e-13)


def test_every_k_takes_any_shape_of_counts() -> None:
    average = EveryK(gva.PowerEMA(0.7), 3)
    rates = average.rates(12)
    np.testing.assert_array_equal(average.rate(np.array([[3, 4], [12, 6]])), rates[np.array([[2, 3], [11, 5]])])
    np.testing.assert_array_equal(average.rate([1, 2]), 0.0)
    assert float(average.rate(9)) == rates[8]


# --- Tables of weights


def test_weighted_window_weighs_the_last_iterates() -> None:
    kernel = WeightedWindow([1.0, 0.0, 3.0, 4.0]).kernel(9)
    np.testing.assert_allclose(kernel, [0] * 6 + [0.125, 0, 0.375, 0.5], atol=1e-16)
    # Up to the window, and in it up to the first positive weight, it is the last iterate.
    np.testing.assert_allclose(WeightedWindow([0.0, 1.0, 3.0]).rates(6), [1, 1, 1, 1, 1, 0.75])
    np.testing.assert_allclose(WeightedWindow([0.0, 0.0, 1.0, 0.0]).kernel(4), [0, 0, 0, 1, 0], atol=1e-16)
    np.testing.assert_allclose(WeightedWindow(np.ones(6)).kernel(20), gva.Tail(0.3).kernel(20), atol=1e-16)


def test_tables_are_copied_and_closed() -> None:
    weights = np.array([1.0, 3.0])
    window, fixed = WeightedWindow(weights), FixedWeights(weights / 4)
    weights[:] = 7.0
    np.testing.assert_allclose(window.kernel(2), [0, 0.25, 0.75])
    for table in (window.weights, fixed.kernel(1)):
        with pytest.raises(ValueError, match="read-only"):
            np.asarray(table)[0] = 0.0


def test_fixed_weights_are_the_sum_they_say() -> None:
    weights = np.array([0.5, -1.0, 0.0, 2.0, -0.5])
    average, path = FixedWeights(weights), np.random.default_rng(0).standard_normal(5)
    start, keep, take = average.coefficients(4)
    total = start * path[0]
    for t in range(4):
        total = keep[t] * total + take[t] * path[t + 1]
    np.testing.assert_allclose(total, weights @ path, rtol=1e-14)
    np.testing.assert_array_equal(average.kernel(4), weights)


def test_fixed_weights_have_an_exact_law() -> None:
    problem, schedule = gva.NoisyQuadratic(0.5, 2.0), gva.PowerDecay(0.7, 0.3)
    polyak = gva.exact_law(problem, schedule, gva.Polyak(3), 25, 1.5)
    fixed = gva.exact_law(problem, schedule, FixedWeights(gva.Polyak(3).kernel(25)), 25, 1.5)
    np.testing.assert_allclose(fixed.mean, polyak.mean, rtol=1e-12)
    np.testing.assert_allclose(fixed.covariance, polyak.covariance, rtol=1e-12)


# --- Tracing and derivatives

DIFFERENTIABLE: list[tuple[Callable[[Any], Average], list[float]]] = [
    (lambda g: BiasCorrectedEMA(g), [0.004, 0.03, 0.3, 0.7]),
    (lambda p: PowerProfile(p), [-0.5, 1.7]),
    (lambda w: PowerProfile.from_relative_width(w), [0.05, 0.1, 0.28]),
    (lambda g: EveryK(gva.EMA(g, burn_in=4), 3), [0.2]),
    (lambda g: EveryK(gva.PowerEMA(g), 5), [0.6]),
    (lambda w: WeightedWindow(w * np.arange(1.0, 5.0) + 1.0), [0.4]),
    (lambda w: FixedWeights(w / 20 * (np.arange(21) < 20) + (1.0 - w) * (np.arange(21) == 20)), [0.4]),
]


@pytest.mark.parametrize(("make", "values"), DIFFERENTIABLE)
def test_kernels_differentiate_and_batch_in_their_parameter(
    make: Callable[[Any], Average], values: list[float]
) -> None:
    contrast, step = np.cos(np.arange(21.0)), 1e-5

    def function(parameter: Any) -> Any:
        return contrast @ make(parameter).kernel(20)

    with jax.enable_x64(True):
        batch, slopes = jax.jit(jax.vmap(jax.value_and_grad(function)))(np.array(values))
    np.testing.assert_allclose(batch, [function(v) for v in values], rtol=1e-12)
    difference = [(function(v + step) - function(v - step)) / (2 * step) for v in values]
    np.testing.assert_allclose(slopes, difference, rtol=1e-6)


def test_derivatives_at_the_edges() -> None:
    with jax.enable_x64(True):
        t = jnp.arange(1.0, 9.0)
        # γ/(1−(1−γ)^t) = 1/t + γ(t−1)/2t + ..., and γ itself, for t ≥ 2, near 1.
        slope = jax.jit(jax.jacfwd(lambda g: BiasCorrectedEMA(g).rate(t)))
        np.testing.assert_allclose(slope(0.0), (t - 1) / (2 * t), rtol=1e-14)
        np.testing.assert_allclose(slope(1.0), t > 1, atol=1e-15)
        # Rates of one in a block must not make the others' derivatives undefined.
        late = jax.jit(jax.grad(lambda g: EveryK(gva.EMA(g, burn_in=4), 3).rates(9)[5]))(0.2)
        np.testing.assert_allclose(late, 0.0, atol=1e-15)


@pytest.mark.parametrize("average", [*WRAPPED[-4:], EveryK(gva.Tail(0.37), 4)], ids=repr)
def test_rates_are_traceable_in_the_count(average: RecursiveAverage) -> None:
    traced = jax.jit(lambda t: average.rate(t, 40))
    np.testing.assert_allclose(traced(jnp.arange(1, 41)), average.rates(40), rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose([traced(t) for t in (1, 38, 40)], average.rates(40)[[0, 37, 39]], rtol=1e-5)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: gva.EMA(1.5), r"gamma must be a number in \[0, 1\], got 1.5"),
        (lambda: gva.EMA(float("nan")), "gamma must be a number"),
        (lambda: gva.PowerEMA(-0.1), r"alpha must be a number in \[0, inf\), got -0.1"),
        (lambda: gva.PowerEMA(0.5, burn_in=-1), "burn_in must be an integer at least 0, got -1"),
        (lambda: gva.Tail(0.0), r"fraction must be a number in \(0, 1\], got 0.0"),
        (lambda: BiasCorrectedEMA(-0.1), r"gamma must be a number in \[0, 1\], got -0.1"),
        (lambda: PowerProfile(-1.0), r"exponent must be a number in \(-1, inf\), got -1.0"),
        (lambda: PowerProfile.from_relative_width(0.3), r"width must be a number in \(0, 0.288675\], got 0.3"),
        (lambda: EveryK(gva.EMA(0.1), 0), "k must be an integer at least 1, got 0"),
        (lambda: EveryK(gva.Tail(0.5), 2).rate(2), "Tail needs the total number of updates"),
        (lambda: EveryK(gva.EMA(0.1), 3).rates(-1), "steps must be an integer at least 0, got -1"),
        (lambda: WeightedWindow([1.0, 2.0]).kernel(1), "steps must be an integer at least 2, got 1"),
        (lambda: WeightedWindow([1.0]).rate(1), "WeightedWindow needs the total number of updates"),
        (lambda: WeightedWindow([1.0, -1.0]), "weights must be non-negative with a positive finite sum, .* of -1"),
        (lambda: WeightedWindow([0.0, 0.0]), "weights must be non-negative .* sum of 0"),
        (lambda: WeightedWindow([]), r"weights must be a non-empty one-dimensional sequence, got shape \(0,\)"),
        (lambda: FixedWeights([1.0, float("inf")]), "weights must be finite"),
        (lambda: FixedWeights([0.5, 0.6]), "weights must sum to one, got a sum of 1.1"),
        (lambda: FixedWeights([0.5, 0.5]).kernel(2), "steps must be an integer from 1 to 1, got 2"),
        (lambda: gva.EMA("x"), "gamma must be a number in .*, got 'x'"),  # type: ignore[arg-type]
        (lambda: EveryK(FixedWeights([1.0]), 2), "average 'x'"),  # type: ignore[arg-type]
    ],
)
def test_bad_values_are_named(make, message: str) -> None:
    # The run-time type checker of the test suite may object first to a wrong type.
    with pytest.raises((ValueError, TypeError), match=message if "'x'" not in message else None):
        make()

"""Averages and schedules: kernels against direct recursion, closed profiles, tracing, and errors."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gvatheory as gva

AVERAGES = st.one_of(
    st.just(gva.LastIterate()),
    st.builds(gva.EMA, st.floats(0, 1), st.integers(0, 30)),
    st.builds(gva.PowerEMA, st.floats(0, 2), st.integers(0, 30), st.floats(0, 1)),
    st.builds(gva.Polyak, st.integers(0, 30)),
    st.builds(gva.Tail, st.floats(0.01, 1)),
)


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


SCHEDULES = [
    (gva.Constant(0.3), lambda t: np.full_like(t, 0.3)),
    (gva.PowerDecay(0.3, 0.5, 10.0), lambda t: 0.3 / np.sqrt(1 + t / 10)),
    (gva.InverseTime(2.0, 5.0), lambda t: 2 / (5 + t)),
    (gva.Linear(0.4, 8, 0.1), lambda t: np.maximum(0.4 - 0.3 * t / 8, 0.1)),
    (gva.Cosine(0.4, 8, 0.1), lambda t: 0.1 + 0.15 * (1 + np.cos(np.pi * np.minimum(t / 8, 1)))),
    (
        gva.WarmupStableDecay(1.0, 12, 3, 4, 2.0),
        lambda t: np.minimum((t + 1) / 3, 1) * np.minimum(np.maximum(12 - t, 0) / 4, 1) ** 2,
    ),
]


@pytest.mark.parametrize(("schedule", "formula"), SCHEDULES, ids=lambda x: type(x).__name__)
def test_schedules_follow_their_formula(schedule: gva.Schedule, formula) -> None:
    t = np.arange(15.0)
    sizes = schedule.step_sizes(15)
    assert sizes.dtype == np.float64
    np.testing.assert_allclose(sizes, formula(t), rtol=1e-14, atol=1e-15)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: gva.EMA(1.5), r"gamma must be a number in \[0, 1\], got 1.5"),
        (lambda: gva.EMA(float("nan")), "gamma must be a number"),
        (lambda: gva.PowerEMA(-0.1), r"alpha must be a number in \[0, inf\), got -0.1"),
        (lambda: gva.PowerEMA(0.5, burn_in=-1), "burn_in must be an integer at least 0, got -1"),
        (lambda: gva.Tail(0.0), r"fraction must be a number in \(0, 1\], got 0.0"),
        (lambda: gva.Constant(-1.0), "step_size must be"),
        (lambda: gva.WarmupStableDecay(1.0, 10, 8, 4), "warmup must be an integer from 0 to 6, got 8"),
        (lambda: gva.Constant(0.1).step_sizes(-1), "steps must be an integer at least 0, got -1"),
        (lambda: gva.EMA("x"), "gamma must be a number in .*, got 'x'"),  # type: ignore[arg-type]
    ],
)
def test_bad_values_are_named(make, message: str) -> None:
    # The run-time type checker of the test suite may object first to a wrong type.
    with pytest.raises((ValueError, TypeError), match=message if "'x'" not in message else None):
        make()

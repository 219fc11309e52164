"""Schedules: closed formulas, optax's equivalents, composition, tracing, derivatives, and errors."""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gvatheory as gva
from gvatheory.composed_schedules import Piecewise, Scaled, Warmup
from gvatheory.schedules import Exponential

SCHEDULES = [
    (gva.Constant(0.3), lambda t: 0.3),
    (gva.PowerDecay(0.3, 0.5, 10.0), lambda t: 0.3 / math.sqrt(1 + t / 10)),
    (gva.InverseTime(2.0, 5.0), lambda t: 2 / (5 + t)),
    (gva.Linear(0.4, 8, 0.1), lambda t: max(0.4 - 0.3 * t / 8, 0.1)),
    (gva.Cosine(0.4, 8, 0.1), lambda t: 0.1 + 0.15 * (1 + math.cos(math.pi * min(t / 8, 1)))),
    (gva.WarmupStableDecay(1.0, 12, 3, 4, 2.0), lambda t: min((t + 1) / 3, 1) * min(max(12 - t, 0) / 4, 1) ** 2),
    (Exponential(0.4, 0.5, 3.0, 0.1), lambda t: max(0.4 * 0.5 ** (t / 3), 0.1)),
    (Piecewise((4, 9), (0.3, 0.2, 0.0)), lambda t: 0.3 if t < 4 else 0.2 if t < 9 else 0.0),
    (
        Piecewise((5,), (gva.Linear(0.0, 5, 0.4), gva.InverseTime(2.0, 5.0))),
        lambda t: 0.4 * t / 5 if t < 5 else 2 / t,
    ),
    (Warmup(gva.InverseTime(2.0, 5.0), 4), lambda t: 2 / (5 + t) * min((t + 1) / 4, 1)),
    (Warmup(gva.Constant(0.4), 4, 0.5), lambda t: 0.4 * min(0.5 + 0.5 * (t + 1) / 4, 1)),
    (Warmup(gva.Constant(0.4), 0), lambda t: 0.4),
    (Scaled(Exponential(0.4, 0.5), 3.0), lambda t: 1.2 * 0.5**t),
]


@pytest.mark.parametrize(("schedule", "formula"), SCHEDULES, ids=lambda x: type(x).__name__)
def test_schedules_follow_their_formula(schedule: gva.Schedule, formula: Callable[[int], float]) -> None:
    expected = np.array([formula(t) for t in range(15)])
    sizes = schedule.step_sizes(15)
    assert sizes.dtype == np.float64
    np.testing.assert_allclose(sizes, expected, rtol=1e-14, atol=1e-15)
    np.testing.assert_allclose(schedule(np.arange(15)), expected, rtol=1e-14, atol=1e-15)
    np.testing.assert_allclose([float(schedule(t)) for t in range(15)], expected, rtol=1e-14, atol=1e-15)
    np.testing.assert_allclose(jax.jit(schedule)(jnp.arange(15)), expected, rtol=1e-5, atol=1e-7)
    assert schedule.step_sizes(0).shape == (0,)


OPTAX = [
    (Exponential(0.4, 0.7, 5.0, 0.1), optax.exponential_decay(0.4, 5, 0.7, end_value=0.1)),
    (Piecewise((4, 9), (0.3, 0.15, 0.03)), optax.piecewise_constant_schedule(0.3, {4: 0.5, 9: 0.2})),
    (
        Piecewise((3, 10), (gva.Linear(0.0, 3, 0.4), gva.Cosine(0.4, 7, 0.1), Exponential(0.1, 0.9))),
        optax.join_schedules(
            [
                optax.linear_schedule(0.0, 0.4, 3),
                optax.cosine_decay_schedule(0.4, 7, 0.25),
                optax.exponential_decay(0.1, 1, 0.9),
            ],
            [3, 10],
        ),
    ),
    (
        Piecewise((5,), (gva.Linear(0.05, 5, 0.4), gva.Cosine(0.4, 11, 0.02))),
        optax.warmup_cosine_decay_schedule(0.05, 0.4, 5, 16, 0.02),
    ),
]


@pytest.mark.parametrize(("schedule", "other"), OPTAX)
def test_schedules_agree_with_optax(schedule: gva.Schedule, other: Callable[[Any], Any]) -> None:
    np.testing.assert_allclose(schedule.step_sizes(25), [other(t) for t in range(25)], rtol=2e-6, atol=1e-7)


PIECES = st.one_of(
    st.builds(gva.Constant, st.floats(0, 2)),
    st.builds(gva.InverseTime, st.floats(0, 2), st.floats(0.5, 5)),
    st.builds(gva.Cosine, st.floats(0, 2), st.integers(1, 20)),
    st.builds(Exponential, st.floats(0, 2), st.floats(0.1, 1), st.floats(0.5, 9)),
)
COMPOSED = st.recursive(
    PIECES,
    lambda inner: st.one_of(
        st.builds(Warmup, inner, st.integers(0, 12), st.floats(0, 1)),
        st.builds(Scaled, inner, st.floats(0, 3)),
    ),
    max_leaves=4,
)


@settings(max_examples=100, deadline=None)
@given(pieces=st.lists(COMPOSED, min_size=1, max_size=4), lengths=st.lists(st.integers(1, 9), min_size=4, max_size=4))
def test_joined_schedules_follow_each_other(pieces: list[gva.Schedule], lengths: list[int]) -> None:
    lengths = lengths[: len(pieces)]
    boundaries = tuple(int(b) for b in np.cumsum(lengths)[:-1])
    joined = Piecewise(boundaries, pieces).step_sizes(sum(lengths))
    np.testing.assert_array_equal(
        joined, np.concatenate([piece.step_sizes(n) for piece, n in zip(pieces, lengths, strict=True)])
    )


@settings(max_examples=100, deadline=None)
@given(schedule=COMPOSED, first=st.integers(0, 12), second=st.integers(0, 12), factor=st.floats(0, 3))
def test_warmups_commute_with_each_other_and_with_scales(
    schedule: gva.Schedule, first: int, second: int, factor: float
) -> None:
    a, b = (Warmup(Warmup(schedule, m), n).step_sizes(30) for m, n in ((first, second), (second, first)))
    np.testing.assert_allclose(a, b, rtol=1e-14, atol=1e-300)
    a, b = Scaled(Warmup(schedule, first), factor), Warmup(Scaled(schedule, factor), first)
    np.testing.assert_allclose(a.step_sizes(30), b.step_sizes(30), rtol=1e-14, atol=1e-300)
    np.testing.assert_array_equal(
        a.step_sizes(30)[max(first - 1, 0) :], Scaled(schedule, factor).step_sizes(30)[max(first - 1, 0) :]
    )


@settings(max_examples=50, deadline=None)
@given(warmup=st.integers(0, 10), decay=st.integers(0, 10), power=st.floats(0.3, 3))
def test_warmup_is_that_of_warmup_stable_decay(warmup: int, decay: int, power: float) -> None:
    composed = Warmup(gva.WarmupStableDecay(0.7, 20, 0, decay, power), warmup)
    whole = gva.WarmupStableDecay(0.7, 20, warmup, decay, power)
    np.testing.assert_allclose(composed.step_sizes(24), whole.step_sizes(24), rtol=1e-14)


def test_a_piece_is_never_asked_outside_its_stretch() -> None:
    # t^{−1/2} of an offset clock has no value before −offset, and its derivative would be NaN there.
    with jax.enable_x64(True):
        schedule = lambda scale: Piecewise((9,), (0.1, gva.PowerDecay(scale, 0.5, 2.0)))  # noqa: E731
        slope = jax.jacfwd(lambda scale: schedule(scale).step_sizes(12))(0.4)
    np.testing.assert_allclose(slope, [0] * 9 + [(1 + t / 2) ** -0.5 for t in range(3)], rtol=1e-14)


DIFFERENTIABLE: list[tuple[Callable[[Any], gva.Schedule], float]] = [
    (lambda x: Exponential(x, 0.9, 3.0), 0.4),
    (lambda x: Exponential(0.4, x, 3.0), 0.9),
    (lambda x: Exponential(0.4, 0.9, x), 3.0),
    (lambda x: Exponential(0.4, 0.9, 3.0, x), 0.3),
    (lambda x: Piecewise((3, 8), (0.2, x, gva.InverseTime(2.0, x))), 0.6),
    (lambda x: Warmup(gva.Constant(x), 5, 0.2), 0.4),
    (lambda x: Warmup(gva.Constant(0.4), 5, x), 0.3),
    (lambda x: Scaled(gva.Cosine(0.4, 12), x), 1.5),
]


@pytest.mark.parametrize(("make", "value"), DIFFERENTIABLE)
def test_schedules_differentiate_and_batch_in_their_parameter(
    make: Callable[[Any], gva.Schedule], value: float
) -> None:
    contrast = np.cos(np.arange(15.0))

    def function(parameter: Any) -> Any:
        return contrast @ make(parameter).step_sizes(15)

    values, step = np.array([0.8 * value, value]), 1e-5
    with jax.enable_x64(True):
        batch, slopes = jax.jit(jax.vmap(jax.value_and_grad(function)))(values)
    np.testing.assert_allclose(batch, [function(float(v)) for v in values], rtol=1e-12)
    difference = [(function(float(v + step)) - function(float(v - step))) / (2 * step) for v in values]
    np.testing.assert_allclose(slopes, difference, rtol=1e-6)


def test_composed_schedules_are_values() -> None:
    first, second = (Piecewise([3], [0.1, Warmup(gva.Constant(0.2), 4)]) for _ in range(2))
    assert first == second
    assert hash(first) == hash(second)
    assert first.pieces[0] == gva.Constant(0.1)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: gva.Constant(-1.0), "step_size must be"),
        (lambda: gva.WarmupStableDecay(1.0, 10, 8, 4), "warmup must be an integer from 0 to 6, got 8"),
        (lambda: gva.Constant(0.1).step_sizes(-1), "steps must be an integer at least 0, got -1"),
        (lambda: Exponential(0.1, 0.0), r"decay must be a number in \(0, 1\], got 0.0"),
        (lambda: Exponential(0.1, 0.5, 0.0), r"steps must be a number in \(0, inf\), got 0.0"),
        (lambda: Exponential(0.1, 0.5, floor=-1.0), r"floor must be a number in \[0, inf\), got -1.0"),
        (lambda: Piecewise((0,), (0.1, 0.2)), r"boundaries\[0\] must be an integer at least 1, got 0"),
        (lambda: Piecewise((3, 3), (0.1, 0.2, 0.3)), r"boundaries\[1\] must be an integer at least 4, got 3"),
        (lambda: Piecewise((3,), (0.1,)), "pieces must be one more than the 1 boundaries, got 1"),
        (lambda: Piecewise((), (-0.1,)), r"pieces\[0\] must be a number in \[0, inf\), got -0.1"),
        (lambda: Piecewise((), ("x",)), r"pieces\[0\] must be a number in \[0, inf\), got 'x'"),
        (lambda: Warmup(gva.Constant(0.1), -1), "steps must be an integer at least 0, got -1"),
        (lambda: Warmup(gva.Constant(0.1), 3, 1.5), r"start must be a number in \[0, 1\], got 1.5"),
        (lambda: Scaled(gva.Constant(0.1), -2.0), r"factor must be a number in \[0, inf\), got -2.0"),
        (lambda: Scaled(0.1, 2.0), None),  # type: ignore[arg-type]
        (lambda: Warmup(0.1, 2), None),  # type: ignore[arg-type]
    ],
)
def test_bad_values_are_named(make, message: str | None) -> None:
    # The run-time type checker of the test suite objects first to a wrong type (no message here).
    with pytest.raises((ValueError, TypeError), match=message):
        make()

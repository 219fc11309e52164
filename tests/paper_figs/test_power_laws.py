"""Fits on the log scale and the intervals of simulated points."""

import numpy as np
import pytest

from paper_figs.power_laws import fit_power, fit_slope, signed
from paper_figs.simulated_points import Z, mean_interval, relative_error, sizes_of, stream, variance_interval


def test_the_fit_is_weighted_least_squares() -> None:
    x, errors = np.array([1.0, 2.0, 4.0, 7.0]), np.array([0.1, 0.3, 0.2, 0.5])
    y = np.array([1.0, -1.0, 2.0, 0.5])
    fit = fit_slope(x, y, errors)
    design = np.stack([np.ones(4), x], axis=1) / errors[:, None]
    covariance = np.linalg.inv(design.T @ design)
    assert fit.value == pytest.approx((covariance @ design.T @ (y / errors))[1])
    assert fit.half == pytest.approx(1.959964 * np.sqrt(covariance[1, 1]), rel=1e-6)
    power = fit_power(x, 3.0 * x**-0.7, errors)
    assert power.value == pytest.approx(-0.7)


def test_intervals_cover_as_often_as_they_say() -> None:
    rng, trials = np.random.default_rng(5), 12
    samples = rng.standard_normal((20_000, trials))
    low, high = variance_interval(samples.var(axis=1, ddof=1), trials)
    assert np.mean((low < 1.0) & (high > 1.0)) == pytest.approx(0.95, abs=0.01)
    squares = rng.standard_normal((4000, 400)) ** 2
    relative = relative_error(squares)
    assert relative.mean() == pytest.approx(np.sqrt(2.0 / 400), rel=0.03)
    low, high = mean_interval(squares.mean(axis=1), relative)
    assert np.mean((low < 1.0) & (high > 1.0)) == pytest.approx(0.95, abs=0.02)
    assert pytest.approx(1.959964, rel=1e-6) == Z


def test_streams_differ_and_repeat() -> None:
    seeds = {stream(a, b) for a in range(4) for b in range(4)}
    assert len(seeds) == 16
    assert stream(2, 3) == stream(2, 3)


def test_slopes_as_text() -> None:
    assert signed(-0.984, 0.021) == "−0.984 ± 0.021"
    assert signed(-0.984) == "−0.98"
    assert signed(0.0) == signed(-0.004) == "0"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: fit_slope(np.ones(3), np.ones(3), np.ones(3)), "x not all equal"),
        (lambda: fit_slope(np.arange(2.0), np.ones(2), np.zeros(2)), "standard_errors must be positive"),
        (lambda: fit_power(np.arange(1.0, 3.0), np.array([1.0, -1.0]), np.ones(2)), "values must be positive"),
        (lambda: sizes_of({"quick": {"n": 3}}, "quick", {"n": 1}, {"n": 2}), "n must be an integer at least 2"),
    ],
)
def test_bad_input_is_named(call, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()

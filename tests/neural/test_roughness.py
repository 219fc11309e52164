"""Roughness of known processes, and of rough readings of a smooth function."""

from __future__ import annotations

import numpy as np
import pytest

from neural.control.roughness import roughness

POINTS = 256


def fractional_brownian(exponent: float, count: int, rng: np.random.Generator) -> np.ndarray:
    """Exact paths (count, POINTS) by the Cholesky root of ½(s^2H + t^2H − |t−s|^2H)."""
    t = np.arange(1, POINTS + 1) / POINTS
    covariance = 0.5 * (t[:, None] ** (2 * exponent) + t ** (2 * exponent) - np.abs(t[:, None] - t) ** (2 * exponent))
    return (np.linalg.cholesky(covariance) @ rng.standard_normal((POINTS, count))).T


@pytest.mark.parametrize("exponent", [0.3, 0.5, 0.8])
@pytest.mark.parametrize(("profiles", "stretches"), [(10, 1), (1, 8), (3, 4)])
def test_intervals_cover_the_exponent_of_fractional_brownian_motion(exponent, profiles, stretches) -> None:
    rng, trials = np.random.default_rng(0), 100
    paths = fractional_brownian(exponent, trials * profiles, rng).reshape(trials, profiles, 1, POINTS)
    found = [roughness(own, stretches=stretches) for own in paths]
    for which in ("exponent", "exponent_by_squares"):
        estimates = [getattr(one, which) for one in found]
        inside = np.mean([e.low <= exponent <= e.high for e in estimates])
        # Stretches of one path depend on each other if H > 3/4. √(0.95 · 0.05/100) = 2.2 %
        assert (0.78 if exponent > 0.75 and stretches > 1 else 0.87) <= inside <= 1.0
        assert abs(np.mean([e.value for e in estimates]) - exponent) < 0.02
    assert found[0].dimension.value == 2 - found[0].exponent.value
    assert np.isnan(found[0].expected.value)  # one episode says nothing of others


def test_a_smooth_expectation_is_found_under_rough_episodes() -> None:
    """Twelve episodes, each a smooth function plus a path of its own with H = 0.2."""
    x, rng = np.linspace(0, 1, POINTS), np.random.default_rng(0)
    inside, shares, drawn, truth = [], [], [], []
    for _ in range(60):
        smooth = np.sin(2 * np.pi * (x + rng.uniform(size=(8, 1, 1))))
        rough = 0.4 * fractional_brownian(0.2, 96, rng).reshape(8, 12, POINTS)
        found = roughness(smooth + rough, lags=(4, 8, 16))
        inside.append(found.expected.low <= 1.0 <= found.expected.high)
        truth.append(found.expected.value)
        drawn.append(found.exponent_by_squares.value)
        shares.append(found.nugget.value)
        assert found.nugget.low < found.nugget.value < found.nugget.high
    assert np.mean(inside) >= 0.85
    assert abs(np.mean(truth) - 1.0) < 0.05
    assert np.mean(drawn) < 0.9
    known = (0.4**2 * (4 / POINTS) ** 0.4 / 12, 0.5 * (2 * np.sin(np.pi * 4 / (POINTS - 1))) ** 2)
    assert np.mean(shares) == pytest.approx(known[0] / sum(known), rel=0.05)


def test_a_rough_expectation_stays_rough() -> None:
    rng = np.random.default_rng(0)
    common = fractional_brownian(0.3, 10, rng)[:, None]
    found = roughness(common + 0.05 * rng.standard_normal((10, 12, 1)))  # episodes differ by a constant alone
    assert found.nugget.value < 1e-20
    assert found.expected.value == pytest.approx(found.exponent_by_squares.value)
    assert found.expected.high < 0.5


def test_pure_noise_of_the_episodes_leaves_nothing() -> None:
    values = np.random.default_rng(0).standard_normal((10, 12, 100))
    found = roughness(values)
    assert found.exponent.low < 0.0 < found.exponent.high
    assert found.nugget.low < 1.0 < found.nugget.high


def test_jumps_are_smooth_to_absolute_and_rough_to_squared_increments() -> None:
    steps = np.where(np.arange(400) < np.array([[90], [170], [230], [310]]), 1.0, 0.0)[:, None]
    found = roughness(steps)
    assert found.exponent.value == pytest.approx(1.0, abs=0.02)
    assert found.exponent_by_squares.value == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize(
    ("profiles", "options", "message"),
    [
        (np.zeros((3, 2, 10)), {}, "constant"),
        (np.ones((3, 2, 4)), {}, "lags must be two or more, ascending, from 1 to 3"),
        (np.ones((3, 2, 20)), {"stretches": 5}, "from 1 to 3"),
        (np.ones((3, 10)), {}, r"shape \(profiles, episodes, points\), got \(3, 10\)"),
        (np.ones((1, 2, 10)), {}, "at least 2, got 1"),
        (np.full((2, 2, 10), np.nan), {}, "profiles must be finite"),
        (np.ones((2, 2, 10)), {"level": 1.0}, "level must be"),
    ],
)
def test_bad_arguments_are_named(profiles, options, message) -> None:
    with pytest.raises(ValueError, match=message):
        roughness(profiles, **options)

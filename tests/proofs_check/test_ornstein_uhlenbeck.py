"""Closed forms of averaged Ornstein-Uhlenbeck paths and of averaged SGD, each against an independent route."""

from __future__ import annotations

from fractions import Fraction

import mpmath
import numpy as np
import pytest
from scipy import integrate

from proofs_check.routes import diffusion_series
from proofs_check.routes import ornstein_uhlenbeck as ou


def moment_equations(lam, rate, start, end):
    """(mean e, mean ẽ, M, C, V) by an ODE solver."""

    def slope(s, y):
        g = rate(s)
        return [-lam * y[0], g * (y[0] - y[1]), 1 - 2 * lam * y[2], g * y[2] - (lam + g) * y[3], 2 * g * (y[3] - y[4])]

    first = float(ou.overlap(2 * lam, start)) if start else 0.0
    begin = [np.exp(-lam * start)] * 2 + [first] * 3
    return integrate.solve_ivp(slope, (start, end), begin, rtol=1e-11, atol=1e-13).y[:, -1]


def test_ema_moments_solve_their_equations():
    mean, iterate, cross, average = ou.ema_moments(1.3, 0.4, 2.0)
    assert moment_equations(1.3, lambda s: 0.4, 0.0, 2.0)[1:] == pytest.approx(
        [float(v) for v in (mean, iterate, cross, average)], rel=1e-8
    )


@pytest.mark.parametrize("alpha", [0, 0.5, 1])
def test_power_rates_by_kernel_and_by_moment_equations(alpha):
    exponent = mpmath.mpf(alpha)
    expected = moment_equations(0.7, lambda s: 0.9 * s**-alpha, 1.0, 4.0)[4]
    assert float(ou.average_variance(exponent, mpmath.mpf("0.9"), mpmath.mpf("0.7"), 4, start=1)) == pytest.approx(
        expected, rel=1e-7
    )
    closed = ou.response(exponent, mpmath.mpf(3), mpmath.mpf("0.1"), mpmath.mpf(5), mpmath.mpf(2))
    value = ou.response_by_quadrature(exponent, mpmath.mpf(3), mpmath.mpf("0.1"), mpmath.mpf(5), mpmath.mpf(2))
    assert float(closed) == pytest.approx(float(value), rel=1e-12)


def test_sums_of_sgd_agree_with_the_recursion():
    k, gamma, steps = Fraction(3, 10), Fraction(1, 7), 9
    found = ou.recursion(Fraction(1), [k] * steps, [gamma] * steps)
    assert ou.ema_after(k, gamma, steps) * k**2 == found.average
    found = ou.recursion(Fraction(1), [k] * steps, [Fraction(1, t) for t in range(1, steps + 1)])
    assert ou.polyak_after(k, steps) * k**2 == found.average
    long = ou.recursion(1.0, [0.3] * 400, [1 / 7] * 400)
    limit = float(ou.ema_moments(0.3, 1 / 7, 1e3).average) * 0.3**2
    assert long.average / limit == pytest.approx(ou.stationary_ratio(0.3, 1 / 7), rel=1e-9)


def test_kurtosis_is_the_sum_of_fourth_powers():
    n = np.arange(1, 400)
    kernel = 0.2 * (0.7**n - 0.8**n) / (0.2 - 0.3)
    with mpmath.workdps(30):
        found = ou.kurtosis(mpmath.mpf("0.3"), mpmath.mpf("0.2"))
    assert float(found) == pytest.approx((kernel**4).sum() / (kernel**2).sum() ** 2, rel=1e-10)


def test_transitions_compose_and_give_the_moments():
    drift, noise = np.array([[-1.5, 0.0], [0.6, -0.6]]), np.diag([1.0, 0.0])
    flow, covariance = ou.transition(drift, noise, 2.0)
    half, part = ou.transition(drift, noise, 1.0)
    assert half @ half == pytest.approx(flow)
    assert half @ part @ half.T + part == pytest.approx(covariance)
    known = ou.ema_moments(1.5, 0.6, 2.0)
    assert covariance[1, 1] == pytest.approx(float(known.average))
    assert flow[1].sum() == pytest.approx(float(known.mean))


def test_coin_sgd_is_white_or_not():
    rng = np.random.default_rng(0)
    white, red = (ou.coin_sgd(0.2, 0.1, 100, 20_000, rng, kind).var() for kind in (True, False))
    assert white == pytest.approx(float(ou.ema_after(0.2, 0.1, 100)), rel=0.05)
    assert red / white == pytest.approx(1.9, abs=0.1)


def test_symbolic_side_is_proved():
    assert all(trial.slack == np.inf for trial in (*diffusion_series.moment_equations(), diffusion_series.series_law()))

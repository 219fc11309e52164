"""The tools of the rows on decaying steps: responses, cool-downs, their limit and their polynomials."""

from __future__ import annotations

import math
from fractions import Fraction

import mpmath
import numpy as np
import pytest
import sympy

from proofs_check.routes import cooldown_algebra, decay_library
from proofs_check.routes import decay_laws as laws


def test_response_is_the_run_of_its_parts():
    products = [Fraction(1, 2), Fraction(3, 4), Fraction(1, 5)]
    weights = [Fraction(1, 10), Fraction(2, 10), Fraction(3, 10), Fraction(4, 10)]
    found = laws.response(products, weights)

    def run(start: Fraction, noise: list[Fraction], drift: Fraction) -> Fraction:
        """Average of the iterates relative to the optimum of the last step."""
        iterate, optimum, iterates = start, Fraction(0), [start]
        for k, z in zip(products, noise, strict=True):
            iterate = iterate - k * (iterate - optimum + z)
            optimum += drift
            iterates.append(iterate)
        return sum((w * x for w, x in zip(weights, iterates, strict=True)), Fraction(0)) - optimum

    zero = [Fraction(0)] * 3
    assert run(Fraction(1), zero, Fraction(0)) == found.bias
    assert run(Fraction(0), zero, Fraction(1)) == -found.lag
    for s in range(3):
        assert run(Fraction(0), [Fraction(int(i == s)) for i in range(3)], Fraction(0)) == -found.noise[s]
    assert found.bias + sum(found.noise) == 1
    assert found.error(4, 1) == 4 * found.bias**2 + sum(w**2 for w in found.noise) + found.lag**2


def test_products_and_weights():
    assert laws.cooldown(Fraction(1, 2), 2) == [Fraction(1, 2), Fraction(1, 4)]
    assert laws.cooldown(1.0, 4, 2) == [1.0, 9 / 16, 1 / 4, 1 / 16]
    assert laws.inverse_time(Fraction(3), Fraction(4), 2) == [Fraction(3, 4), Fraction(3, 5)]
    assert laws.uniform(3, 2) == [0, 0, Fraction(1, 2), Fraction(1, 2)]
    assert laws.exponential(2, Fraction(1, 3)) == [Fraction(4, 9), Fraction(2, 9), Fraction(1, 3)]
    assert laws.last_iterate([Fraction(1, 2)], Fraction(8)) == Fraction(9, 4)


def test_far_product_is_the_product():
    with mpmath.workdps(30):
        direct = mpmath.mpf(1)
        for k in laws.inverse_time(mpmath.mpf("0.3"), mpmath.mpf("2.5"), 40):
            direct *= 1 - k
        assert abs(laws.kept_far(mpmath.mpf("0.3"), mpmath.mpf("2.5"), mpmath.mpf("41.5")) / direct - 1) < 1e-25


def test_closed_laws_are_stationary_limits_of_recursions():
    k, length = Fraction(1, 3), 5
    tail = laws.response([k] * length, laws.uniform(length, length))
    assert laws.tail_law(k, length) == (tail.error(laws.stationary(k)), tail.bias)
    ema = laws.response([0.3] * 200, laws.exponential(200, 0.2))
    assert ema.error(laws.stationary(0.3)) == pytest.approx(laws.ema_variance(0.3, 0.2), rel=1e-12)
    assert (
        laws.cooldown_gain(k, length) == laws.cooled(k, length).error(laws.stationary(k)) / laws.tail_law(k, length)[0]
    )
    assert laws.ema_gains(k, 1) == (1, 1)


def test_limits_are_those_of_small_steps():
    with mpmath.workdps(30):
        x = mpmath.mpf(3)
        assert float(laws.cooldown_share(x)) == pytest.approx(
            math.sqrt(math.pi / 12) * math.erf(math.sqrt(3)), rel=1e-14
        )
        assert abs(laws.sgd_over_limit(x / 4000, 4000, mpmath.mpf(2)) - 1) < 2e-3
        tail = laws.tail_law(x / 4000, 4000)[0] / (x / 8000)
        assert abs(tail / laws.tail_share(x) - 1) < 2e-3
        run, half = laws.cooled(x / 4000, 4000), mpmath.sqrt(x / 2)
        lag = mpmath.exp(-x / 2) + mpmath.sqrt(mpmath.pi * x / 2) * mpmath.erf(half)
        assert abs((run.bias + x / 4000 * run.lag) / lag - 1) < 2e-3


def test_simulated_averages_have_the_variance_of_the_response():
    products, weights = [0.5, 0.4, 0.3], [0.0, 0.2, 0.3, 0.5]
    rng = np.random.default_rng(0)
    errors = laws.simulate(products, weights, 2 * rng.standard_normal(200_000), rng)
    assert errors.var() == pytest.approx(laws.response(products, weights).error(4.0), rel=0.03)


def test_polynomials_are_the_laws():
    k = Fraction(2, 7)
    cooled, averaged = cooldown_algebra.cooled_laws(4), cooldown_algebra.averaged_laws(4, 1)
    run, level = laws.cooled(k, 4), laws.stationary(k)
    assert cooled.variance.eval(k) == run.error(level) * (2 - k)
    assert (cooled.kept.eval(k), cooled.lag.eval(k)) == (run.bias, run.bias + k * run.lag)
    assert averaged.variance.eval(k) == laws.tail_law(k, 4)[0] * (2 - k)
    assert averaged.kept.eval(k) == laws.tail_law(k, 4)[1]


def test_positivity_certificate_refuses_a_negative_polynomial():
    k = cooldown_algebra.K
    rising = cooldown_algebra.averaged_laws(2, 1).lag  # 1 + k/2
    assert cooldown_algebra.nonnegative_up_to(rising, 5, "").slack > 0
    assert cooldown_algebra.nonnegative_up_to(1 - rising, 5, "").slack < 0
    assert cooldown_algebra.nonnegative_up_to(sympy.Poly(k - 1, k), 2, "").slack < 0


def test_identities_hold():
    assert all(trial.slack > 0 for trial in cooldown_algebra.limit_trials() + cooldown_algebra.decay_trials())


def test_library_agrees_with_the_recursions():
    trials = [*decay_library.whole_runs(0.3, 20, 6, 4, 0.2, 1.5), *decay_library.closed_forms(0.3, 6, 1.7)]
    assert all(trial.slack > 0 for trial in trials)
    for kappa, _, start, value in decay_library.decayed_errors(1.2, 5.0, 10):
        own = laws.last_iterate(laws.inverse_time(kappa, 5.0, 10), start)
        assert value == pytest.approx(own, rel=1e-12)
    own = laws.response([0.3] * 9, laws.uniform(9, 9, 1.0)).error(1.0)
    assert decay_library.polyak_error(0.3, 9) == pytest.approx(own, rel=1e-12)

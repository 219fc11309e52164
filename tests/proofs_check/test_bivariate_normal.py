"""The two integrals agree with each other, with known values and with the library."""

import mpmath
import pytest

from gvatheory.normal_probabilities import bivariate_cdf
from proofs_check.routes import bivariate_normal as normal


@pytest.mark.parametrize("gap", ["1e-6", "0.1", "0.5", "0.95"])
@pytest.mark.parametrize("u", ["-1.5", "0", "2.25"])
def test_routes_agree(u, gap):
    with mpmath.workdps(50):
        u, gap = mpmath.mpf(u), mpmath.mpf(gap)
        first, second = normal.crossing(u, gap), normal.crossing_by_plackett(u, gap)
        assert abs(first / second - 1) < mpmath.mpf(10) ** -45
        below = bivariate_cdf(float(-u), float(-u), float(1 - gap))
        assert float(normal.both_above(u, gap)) == pytest.approx(float(below), rel=1e-9, abs=1e-12)


def test_known_values():
    with mpmath.workdps(50):
        assert abs(normal.crossing_by_plackett(0, mpmath.mpf(1)) - mpmath.mpf(1) / 4) < mpmath.mpf(10) ** -45
        assert abs(normal.both_above(0, mpmath.mpf(1) / 2) - mpmath.mpf(1) / 3) < mpmath.mpf(10) ** -45
        level, spread, noise = mpmath.mpf(1), mpmath.mpf(2), mpmath.mpf(3) / 2
        total = mpmath.sqrt(spread**2 + noise**2)
        expected = normal.both_above(level / total, noise**2 / total**2)
        assert abs(normal.moment(2, level, spread, noise) / expected - 1) < mpmath.mpf(10) ** -40
        mean = normal.moment(1, level, spread, noise)
        assert abs(mean / normal.upper(level / total) - 1) < mpmath.mpf(10) ** -40

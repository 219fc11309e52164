"""Growth of a neighbour's distance and of its return's change: the recursion itself, extremes, and refusals."""

import numpy as np
import pytest

import gvatheory as gva

EXPONENTS = (-0.7, -0.05, -1e-9, 0.0, 1e-9, 0.02, 0.27, 1.5)


@pytest.mark.parametrize("exponent", EXPONENTS)
def test_the_laws_are_the_recursion(exponent: float) -> None:
    push, distance, total = 3e-4, 0.0, 0.0
    distances, changes = [], []
    for _ in range(300):
        total += distance
        changes.append(total)  # of the return of as many steps as there are entries
        distance = np.exp(exponent) * distance + push
        distances.append(distance)
    h = np.arange(1, 301)
    np.testing.assert_allclose(gva.growth_law(exponent, h), np.log(np.array(distances) / push), atol=1e-11)
    found = gva.return_growth_law(exponent, [2, 3, 40, 300])
    np.testing.assert_allclose(found, np.log(np.array(changes)[[1, 2, 39, 299]] / push), atol=1e-11)


def test_the_parting_time_is_the_inverse_of_the_growth() -> None:
    exponent, h = np.array(EXPONENTS)[:, None], np.array([0.3, 1.0, 7.0, 12.5])
    threshold = 0.02 * np.exp(gva.growth_law(exponent, h))
    np.testing.assert_allclose(gva.parting_time(exponent, 0.02, threshold), np.broadcast_to(h, (8, 4)), rtol=1e-6)
    assert gva.parting_time(0.0, 0.1, 5.0) == 50.0
    # ε e^{Λ(h−1)} is most of d_h where Λ is large.
    assert gva.parting_time(800.0, 1e-3, 1.0) == pytest.approx(1 + np.log(1e3) / 800)


def test_a_stable_loop_may_never_part() -> None:
    bound = 0.1 / (1 - np.exp(-0.05))
    times = gva.parting_time(-0.05, 0.1, [0.5 * bound, (1 - 1e-9) * bound, (1 + 1e-9) * bound, 10 * bound])
    assert times[0] == pytest.approx(np.log(2) / 0.05)
    assert times[1] == pytest.approx(9 * np.log(10) / 0.05, rel=1e-6)
    assert np.isinf(times[2:]).all()


def test_extremes_neither_overflow_nor_cancel() -> None:
    np.testing.assert_allclose(gva.growth_law([1e-300, -1e-300, 5e-324, 0.0], 1e3), np.log(1e3), rtol=1e-12)
    np.testing.assert_allclose(gva.growth_law([800.0, -800.0], 1e6), [800.0 * (1e6 - 1), 0.0], rtol=1e-12)
    h, tiny = 1e4, 1e-9  # ln[h(1 + (h − 1)Λ/2 + ...)]
    assert gva.growth_law(tiny, h) - np.log(h) == pytest.approx(0.5 * (h - 1) * tiny, rel=1e-3)
    assert gva.return_growth_law(0.0, 1000)[()] == pytest.approx(np.log(1000 * 999 / 2))
    assert gva.return_growth_law(5.0, 1000)[()] == pytest.approx(5.0 * 998 - 2 * np.log1p(-np.exp(-5.0)))
    slope = np.diff(gva.return_growth_law(-0.5, [10_000, 20_000])) / np.log(2)
    assert slope == pytest.approx(1.0, abs=1e-3)
    assert np.isfinite(gva.parting_time([1e-300, 700.0, 800.0], 1e-300, 1e8)).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: gva.growth_law(np.nan, 3), "exponent must be finite"),
        (lambda: gva.growth_law(0.1, [3, 0]), "steps must be above 0, got 0"),
        (lambda: gva.growth_law([0.1, 0.2], [1, 2, 3]), "must broadcast"),
        (lambda: gva.return_growth_law(0.1, [1, 5]), "horizons must be whole numbers of at least 2"),
        (lambda: gva.return_growth_law(0.1, 2.5), "horizons must be whole numbers of at least 2"),
        (lambda: gva.return_growth_law(np.inf, 5), "exponent must be a number"),
        (lambda: gva.parting_time(0.1, 0.0, 1.0), "distance must be above 0, got 0"),
        (lambda: gva.parting_time(0.1, 1.0, -1.0), "threshold must be above 0, got -1"),
    ],
)
def test_bad_arguments_are_named(call, message) -> None:
    with pytest.raises(ValueError, match=message):
        call()

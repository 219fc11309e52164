"""The contracting loops of C.3: their constants are what they say, in floats and in fractions."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

import gvatheory as gva
from proofs_check.c3_contracting_loops import Claim
from proofs_check.routes import contracting_loops as loops

FAMILIES = loops.families()


@pytest.mark.parametrize("family", FAMILIES)
def test_floats_and_fractions_give_the_same_duel(family):
    dimension, duel = FAMILIES[family]
    for point in np.random.default_rng(0).integers(0, 101, (20, dimension)) / 100:
        exact, close = duel(point, loops.hundredths), duel(point, lambda v: float(loops.hundredths(v)))
        assert isinstance(exact.gap, Fraction)
        for name in ("rate", "error", "slope", "start", "gap", "loss", "condition"):
            assert float(getattr(exact, name)) == pytest.approx(float(getattr(close, name)), rel=1e-9, abs=1e-9)


def test_piecewise_is_continuous_with_its_slopes():
    slopes = [2.0, -1.0, 3.0, 0.5]
    x = np.linspace(-3, 3, 61)
    y = np.array([loops.piecewise(v, 0.25, slopes) for v in x.tolist()])
    middles = (x[1:] + x[:-1]) / 2
    expected = np.select([middles < -1, middles < 0, middles < 1], slopes[:3], slopes[3])
    assert np.diff(y) / np.diff(x) == pytest.approx(expected)
    assert y[30] == pytest.approx(0.25)


@pytest.mark.parametrize("family", ["line", "line, Δ bounded", "plane"])
def test_extremal_points_attain_the_bound_of_part_1(family):
    dimension, duel = FAMILIES[family]
    found = duel(loops.known_points(family, dimension)[0], loops.hundredths)
    assert found.gap == Claim().bound(found.rate, found.error, found.slope, found.start, found.horizon)


def test_dropped_hypotheses_enlarge_the_family():
    point = loops.known_points("line", loops.LINE + 5)[0]
    kept = loops.line(point, 6, loops.hundredths).gap
    for name in ("everywhere", "visited", "anchored", "state_reward"):
        assert loops.line(point, 6, loops.hundredths, **{name: False}).gap > kept


def test_scalar_and_noisy_gaps_agree_with_the_loop_of_the_library():
    loop = gva.ContractingLoop(0.5, 1.0, 1.0, np.eye(1), np.eye(1), np.ones((1, 1)), "identity")
    gap = loop.gap(lambda x: 0.25 * x + 0.1, np.array([[2.0]]), 7)[0]
    assert loops.scalar_gap(0.5, 0.1, 0.25, 2.0, [0.0] * 6) == pytest.approx(gap)
    rng = np.random.default_rng(1)
    gaps, losses = loops.noisy_gaps(loop, lambda x: np.full_like(x, 0.1), 5, 3, rng)
    assert losses == pytest.approx(0.01)
    assert np.all(np.abs(gaps) <= loop.gap_bound(0.1, 5) * (1 + 1e-12))

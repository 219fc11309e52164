"""Stationary runs keep their law, and falls of an uncorrelated sequence last a geometric time."""

import numpy as np
import pytest

from proofs_check.routes import stationary_filters
from proofs_check.routes.stationary_runs import StationaryEMA


@pytest.mark.parametrize(("k", "gamma"), [(0.4, 0.3), (1.7, 0.5), (0.6, 1.0)])
def test_law_is_kept_and_correlation_is_right(k, gamma):
    process, rng = StationaryEMA(k, gamma), np.random.default_rng(0)
    first = process.draw(200_000, rng)
    second = process.step(*first, rng)
    assert first[1].var() == pytest.approx(1, abs=0.02)
    assert second[1].var() == pytest.approx(1, abs=0.02)
    expected = stationary_filters.correlations(k, gamma, 1)[1]
    assert np.mean(first[1] * second[1]) == pytest.approx(expected, abs=0.02)
    assert second[0].var() == pytest.approx(first[0].var(), rel=0.02)


def test_falls_without_memory_are_geometric():
    durations = StationaryEMA(1.0, 1.0).fall_durations(0.0, 100_000, 50, np.random.default_rng(1))
    assert durations.size == pytest.approx(25_000, rel=0.05)
    assert durations.mean() == pytest.approx(2, rel=0.05)
    assert set(np.unique(durations)) <= set(range(1, 51))

"""Error policies keep to their norm, and floats agree with mpmath."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest

import gvatheory as gva
from proofs_check.routes.driven_loops import POLICIES, Loop, energies, mean_gap, scattered_loop


@pytest.mark.parametrize("policy", range(POLICIES))
def test_policies_keep_their_norm_and_both_arithmetics_agree(policy):
    loop, _, _ = Loop.of(np.random.default_rng(policy).random(14))
    size, gap = energies(loop, policy, 0.1, 20, float)
    with mpmath.workdps(60):
        exactly, difference = energies(loop, policy, mpmath.mpf(0.1), 20, mpmath.mpf)
        squares = np.diff(exactly, prepend=0).astype(float)
    np.testing.assert_allclose(size, exactly.astype(float), rtol=1e-9)
    np.testing.assert_allclose(gap, difference.astype(float), rtol=1e-9, atol=1e-12)
    largest = np.linalg.norm(loop.A, 2) + 0.1 * np.linalg.norm(loop.B)
    assert (squares[1:] <= largest**2 * squares[:-1] * (1 + 1e-9)).all()


def test_an_error_of_norm_zero_leaves_no_gap():
    loop, _, _ = Loop.of(np.full(14, 0.4))
    assert np.abs(energies(loop, 2, 0.0, 10, float)[1]).max() < 1e-15


@pytest.mark.parametrize("seed", range(5))
def test_constants_agree_in_both_arithmetics(seed):
    loop, share, policy = Loop.of(np.random.default_rng(seed).random(14))
    assert 0 < share < 1
    assert 0 <= policy < POLICIES
    np.testing.assert_allclose(np.array(loop.constants(mpmath.mpf), dtype=float), loop.constants(float), rtol=1e-9)


def test_special_loops_have_the_radii_they_say():
    assert gva.stability_radius(Loop.slow(0.9, 20.0).A, Loop.slow(0.9, 20.0).B).radius == pytest.approx(0.5)
    assert gva.stability_radius(Loop.scalar(0.7).A, Loop.scalar(0.7).B).radius == pytest.approx(0.3)
    A, B = scattered_loop(np.random.default_rng(0), 3, 2)
    assert gva.spectral_radius(A) < 1
    assert B.shape == (3, 2)


def test_mean_gap_without_noise_is_the_gap_of_a_rollout():
    loop, _, _ = Loop.of(np.random.default_rng(3).random(14))
    error, gap = np.array([[0.1, -0.05]]), 0.0
    x = star = loop.start
    for _ in range(12):
        action, known = loop.K @ x + error @ x, loop.K @ star
        gap += x @ loop.Q @ x - star @ loop.Q @ star + loop.R[0, 0] * (action[0] ** 2 - known[0] ** 2)
        x, star = loop.A @ x + loop.B @ (error @ x), loop.A @ star
    second = np.outer(loop.start, loop.start)
    assert float(mean_gap(loop, error, second, 0 * second, 12)) == pytest.approx(gap, rel=1e-9)


def test_noise_of_one_step_is_a_start_of_its_own():
    loop, _, _ = Loop.of(np.random.default_rng(4).random(14))
    error, noise = np.array([[0.1, 0.1]]), np.diag([0.3, 0.7])
    shifted = sum(float(mean_gap(loop, error, noise, 0 * noise, n)) for n in range(5))
    assert float(mean_gap(loop, error, 0 * noise, noise, 5)) == pytest.approx(shifted, rel=1e-9)

"""gvatheory's contracting loops and bounds against the statement of C.3."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

import gvatheory as gva
from proofs_check.interface import Outcome, Setup, Trial
from proofs_check.judging import equal, rational
from proofs_check.routes.contracting_loops import hundredths

if TYPE_CHECKING:
    from proofs_check.c3_contracting_loops import Claim


def library(claim: Claim, setup: Setup) -> Outcome:
    """gvatheory's bounds and random tanh, softsign and linear loops against the statement.

    The bounds add at most H positive terms, or cancel once in 1-ρ-L_uδ >= 1/20: a few hundred roundings of 2^-53.
    """
    rng = setup.rng()

    def trials() -> Iterator[Trial]:
        for index in range(setup.size(6, 60)):
            rate, error, gain, height = (hundredths(v) for v in rng.uniform(0.02, (0.9, 1, 2, 3)))
            slope = (1 - rate) * Fraction(int(rng.integers(1, 18)), 20)
            horizon, size = int(rng.integers(2, 60)), int(rng.integers(1, 4))
            kind: Any = ("identity", "tanh", "softsign")[index % 3]
            loop = gva.random_contracting_loop(
                size, 1, float(rate), index, input_gain=float(gain), reward_slope=float(height), activation=kind
            )
            where = f"{kind}, n={size}, ρ={rate}, L_u={gain}, L_r={height}, ε={error}, L_uδ={slope}, H={horizon}"
            fixed = height * claim.bound(rate, gain * error, Fraction(0), Fraction(0), horizon)
            bounded = loop.gap_bound(float(error), horizon)
            yield equal(bounded, float(fixed), f"gap_bound, {where}", tolerance=1e-12)
            starts = rng.normal(size=(20, size)) * 3
            radius = float(np.linalg.norm(starts, axis=1).max())
            limit = loop.uniform_gap_bound(float(slope / gain), radius)
            expected = float(height * claim.uniform(rate, slope, rational(radius, 10**15)))
            yield equal(limit, expected, f"uniform_gap_bound, {where}", tolerance=1e-12)
            direction = rng.normal(size=size) / np.sqrt(size)
            direction /= max(1.0, np.linalg.norm(direction))
            flipping = loop.gap(lambda x, d=direction, e=float(error): e * np.sign(x @ d)[:, None], starts, horizon)
            linear = loop.gap(lambda x, d=direction, s=float(slope / gain): s * (x @ d)[:, None], starts, horizon)
            for gaps, bound, name in ((flipping, fixed, "ε sign⟨d,x⟩"), (linear, expected, "δ⟨d,x⟩")):
                edge = float(bound) + 1e-13 * horizon * float(height) * (radius + horizon)  # rounding of the rewards
                yield from claim.within(gaps.max(), edge, f"Δ = {name}, {where}")
                yield from claim.within(gaps.min(), edge, f"Δ = {name}, {where}")
        line = gva.ContractingLoop(0.75, 2.0, 3.0, np.eye(1), np.eye(1), np.ones((1, 1)), "identity")
        spread = gva.offset_reward_spread(line, 1e-4, 9.0, 15, 50, 1)
        for horizon in (2, 3, 10, 15):
            ratio = float(claim.ramp(Fraction(3, 4), horizon))
            yield equal(spread[horizon - 1] / spread[1], ratio, f"offset_reward_spread, H={horizon}", tolerance=1e-9)

    return Outcome.from_trials(trials(), "gvatheory's bounds, loops and reward spread, n < 4, H < 60")

"""Two checks of C.5: gvatheory's diffusion laws and exact laws, and the closed kernels of power rates."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import mpmath
import numpy as np

import gvatheory as gva
from proofs_check.interface import Outcome, Setup, Trial
from proofs_check.judging import DIGITS, at_most, equal, rational, real
from proofs_check.routes import ornstein_uhlenbeck as ou

if TYPE_CHECKING:
    from proofs_check.c5_diffusion_limit import Claim


def library(claim: Claim, setup: Setup) -> Outcome:
    """gvatheory's diffusion laws against closed forms, and its exact laws against the bounds of parts 4 and 5."""
    rng = setup.rng()

    def trials() -> Iterator[Trial]:
        for _ in range(setup.size(3, 16)):
            lam, eta, noise, start = (float(v) for v in 10 ** rng.uniform(-1, (1, -1, 1, 1)))
            g, steps = lam * float(10 ** rng.uniform(0.05, 0.9)) ** int(rng.choice([-1, 1])), int(rng.integers(1, 300))
            gamma = min(eta * g, 0.99)
            where = f"λ={lam:.5g}, η={eta:.5g}, γ={gamma:.5g}, T={steps}"
            problem, schedule = gva.NoisyQuadratic(lam, noise), gva.Constant(eta)
            law = gva.diffusion_law(problem, schedule, gva.EMA(gamma), steps, start)
            with mpmath.workdps(DIGITS):
                closed = ou.ema_moments(real(lam), real(gamma) / real(eta), real(eta) * steps)
            variance = float(closed.average) * eta * noise
            yield equal(float(law.mean[0]), start * float(closed.mean), f"mean, {where}", tolerance=1e-10)
            yield equal(float(law.covariance[0, 0]), variance, f"variance, {where}", tolerance=1e-10)
            law = gva.stationary_diffusion_law(problem, eta, gamma)
            settled = noise * claim.stationary(eta, lam, gamma / eta)
            yield equal(float(law.covariance[0, 0]), settled, f"stationary, {where}", tolerance=1e-12)
            found = float(gva.exact_law(problem, schedule, gva.EMA(gamma), steps, start).covariance[0, 0])
            q = eta * lam * gamma / (eta * lam + gamma)
            yield claim.above(found, variance * (1 + claim.first_order * q), f"exact_law, {where}")
            edge = np.exp(2 * max(eta * lam, gamma)) * (variance + 2 * q * settled)
            yield at_most(found, float(edge), f"exact_law from above, {where}")
            ratio = ou.stationary_ratio(eta * lam, gamma)
            for form in (gva.closed_forms.ema_variance, gva.closed_forms.series_variance):
                value = float(form(eta, lam, noise, gamma)) / settled
                yield equal(value, ratio, f"closed_forms.{form.__name__}, {where}", tolerance=1e-12)
        for _ in range(setup.size(1, 3)):
            yield from _power_laws(float(10 ** rng.uniform(-1.5, 0)), int(rng.integers(2, 30)))

    return Outcome.from_trials(trials(), "diffusion_law, stationary_diffusion_law, exact_law, closed_forms")


def _power_laws(k: float, steps: int) -> Iterator[Trial]:
    """diffusion_law at η = 1 for Polyak and α = 1/2, where ẽ = e up to t = 1."""
    for alpha, average in ((1, gva.Polyak()), (0.5, gva.PowerEMA(0.5))):
        law = gva.diffusion_law(gva.NoisyQuadratic(k, 1.0), gva.Constant(1.0), average, steps, 1.0)
        with mpmath.workdps(15):
            expected = float(ou.average_variance(mpmath.mpf(alpha), mpmath.mpf(1), mpmath.mpf(k), steps, start=1))
            exponent, one = mpmath.mpf(alpha), mpmath.mpf(1)
            left = ou.kept(exponent, one, steps, one) + ou.response(exponent, one, mpmath.mpf(k), steps, one)
            mean = float(mpmath.exp(-k) * left)  # e^{-k} is left at t = 1, then as of noise that enters there
        where = f"α={alpha}, k={k:.5g}, T={steps}"
        yield equal(float(law.covariance[0, 0]), expected, f"diffusion_law, {where}", tolerance=1e-7)
        yield equal(float(law.mean[0]), mean, f"its mean, {where}", tolerance=1e-7)


def kernels(claim: Claim, setup: Setup) -> Outcome:
    """Closed kernels of power rates against quadrature of their definition; Polyak against the integral of K²."""
    rng = setup.rng()

    def trials() -> Iterator[Trial]:
        for _ in range(setup.size(1, 4)):
            lam, scale, s = (real(rational(v, 100)) for v in rng.uniform((0.3, 0.5, 0.5), (2, 2, 3)))
            r = s * real(rational(rng.uniform(0.1, 0.8), 100))
            where = f"λ={mpmath.nstr(lam, 4)}, G={mpmath.nstr(scale, 4)}, s={mpmath.nstr(s, 4)}, r={mpmath.nstr(r, 4)}"
            for alpha in (0, mpmath.mpf(1) / 2, 1):
                closed = ou.response(alpha, scale, lam, s, r)
                value = ou.response_by_quadrature(alpha, scale, lam, s, r)
                yield equal(closed, value, f"kernel, α={mpmath.nstr(alpha, 2)}, {where}", tolerance=1e-18)
            polyak = mpmath.quad(lambda r, s=s, lam=lam: ou.response(1, mpmath.mpf(1), lam, s, r) ** 2, [0, s])
            yield equal(polyak, claim.polyak(1, lam, s), f"Polyak, {where}", tolerance=1e-15)

    with mpmath.workdps(30):
        return Outcome.from_trials(trials(), "kernels for α = 0, 1/2 and 1, 30 digits")

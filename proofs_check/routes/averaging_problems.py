"""Training problems of proposition A1: from points of the unit cube, for searches, and beside laws of gvatheory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import accumulate
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

import gvatheory as gva
from proofs_check.interface import Trial
from proofs_check.judging import at_least
from proofs_check.routes.averaged_moments import Matrix, Moments, Noise, averaged_moments

Kind = Literal["quadratic", "regression", "heavy ball"]


@dataclass(frozen=True)
class Hypotheses:
    """Which of A1's hypotheses the drawn problems satisfy; see its claim."""

    nondecreasing: bool
    convex: bool
    from_optimum: bool
    steady_noise: bool
    steady_momentum: bool


@dataclass(frozen=True, eq=False)
class Training:
    """A run: noise, step sizes, averaging rates, start, momentum, and what is left of the noise at each step."""

    noise: Noise
    steps: list[Any]
    rates: list[Any]
    start: Matrix
    momentum: Any = 0
    shares: list[Any] | None = None

    def moments(self) -> Moments:
        """Moments after the last step."""
        *_, last = averaged_moments(self.noise, self.steps, self.rates, self.start, self.momentum, self.shares)
        return last

    def covariances(self) -> tuple[Matrix, Matrix]:
        """Covariance of the last iterate and of the average."""
        last = self.moments()
        return last.covariance, last.average_covariance

    def __str__(self) -> str:
        """Every number of it, for a witness."""
        named = (
            ("Λ", np.diag(self.noise.hessian)),
            ("S_ii", np.diag(self.noise.additive)),
            ("η", self.steps),
            ("γ", self.rates),
            ("e_0", self.start),
            ("μ, 1/b", (self.momentum, self.noise.multiplicative)),
            ("noise x", self.shares or (1,)),
        )
        return ", ".join(f"{name} = ({', '.join(f'{float(v):.5g}' for v in values)})" for name, values in named)


def dimension(length: int) -> int:
    """Coordinates of a point that makes a run of this many steps."""
    return 11 + 3 * length


def drawn(point: NDArray[np.float64], given: Hypotheses, kind: Kind, length: int, number: type) -> Training:
    """The run at a point of the unit cube, of floats or of Fractions (the coordinates are rounded, so it is the same).

    Layout: 3 curvatures, 3 noise loadings (of a rank-one S), 3 coordinates of e_0, momentum, batch, then steps, rates
    and noise shares. The last rate stays below 1, where there would be nothing to compare.
    """
    p = [number(int(n)) / 400 for n in np.round(400 * point)]
    dtype = float if number is float else object
    sizes, rates, falls = (p[11 + i * length : 11 + (i + 1) * length] for i in range(3))
    lowest, width = (-number(1) / 5, 2) if kind == "quadratic" else (number(1) / 50, 1 if kind == "regression" else 2)
    hessian = np.diag(np.array([lowest + width * x for x in p[:3]], dtype=dtype))
    start = np.array([4 * x - 2 for x in p[6:9]], dtype=dtype)
    loadings = np.array([2 * x - 1 for x in p[3:6]], dtype=dtype)
    noise, momentum = Noise(hessian, np.multiply.outer(loadings, loadings)), number(0)
    steps = [number(1) / 50 + x**3 for x in sizes]
    if kind == "regression":
        inverse_batch = 1 / (1 + 4 * p[10])
        start, labels = (0 * start, 1) if given.from_optimum else (start, 0)
        noise = Noise(hessian, labels * inverse_batch * hessian, inverse_batch)
    if kind == "heavy ball":  # one rise, late enough for the oscillation to be there
        momentum = 49 * (1 - p[9] ** 4) / 50
        rise = number(0) if given.steady_momentum else sizes[-1]
        steps = [steps[0]] * (length - 1) + [steps[0] + rise]
    elif given.nondecreasing:
        steps = list(accumulate(steps))
    rates = [x if given.convex else 3 * x / 2 for x in (*rates[:-1], 9 * rates[-1] / 10)]
    shares = [number(1)] * length if given.steady_noise else list(accumulate(falls, lambda x, y: x * y))
    return Training(noise, steps, rates, start, momentum, shares)


def weakest(iterate: NDArray[np.float64], average: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
    """Least slack 1 - uᵀEu/uᵀMu over directions u, and that direction; M is kept away from singular."""
    scales, basis = np.linalg.eigh(iterate)
    whiten = basis / np.sqrt(np.maximum(scales, 0) + 1e-9 + 1e-6 * np.trace(iterate))
    values, vectors = np.linalg.eigh(whiten.T @ average @ whiten)
    direction = whiten @ vectors[:, -1]
    return 1 - float(values[-1]), direction / np.abs(direction).max()


def library_cases(rng: np.random.Generator, steps: int) -> Iterator[tuple[str, gva.Law, Training]]:
    """Exact laws of gvatheory, and the runs that they are the laws of: two directions, rising steps, every kind."""
    rises = np.cumsum(rng.uniform(0.02, 0.12, 3))
    eta = np.repeat(rises, (2, 4, steps - 6)).tolist()
    schedule, gamma, batch = gva.Piecewise((2, 6), tuple(rises)), float(rng.uniform(0.1, 0.9)), int(rng.integers(1, 5))
    hessian, loadings, start = np.array([[1.0, 0.3], [0.3, 0.5]]), rng.uniform(-1, 1, 2), np.array([1.0, -2.0])
    correlated = np.multiply.outer(loadings, loadings) + 0.1 * np.eye(2)
    weights = rng.dirichlet(np.ones(steps + 1))
    shares = (weights / np.cumsum(weights))[1:].tolist()  # the rates whose average has these weights
    power = [t**-0.7 for t in range(1, steps + 1)]
    problem, noise = gva.NoisyQuadratic(hessian, correlated), Noise(hessian, correlated)
    for average, rates in ((gva.EMA(gamma), [gamma] * steps), (gva.FixedWeights(weights), shares)):
        law = gva.exact_law(problem, schedule, average, steps, start)
        yield f"quadratic, {type(average).__name__}", law, Training(noise, eta, rates, start)
    law = gva.exact_law(problem, gva.Constant(0.4), gva.PowerEMA(0.7), steps, start, gva.HeavyBall(0.8))
    yield "heavy ball, PowerEMA", law, Training(noise, [0.4] * steps, power, start, 0.8)
    law = gva.exact_law(gva.LinearRegression(hessian, 0.7, batch), schedule, gva.EMA(gamma), steps, 0.0)
    labels = Noise(hessian, 0.7 / batch * hessian, 1 / batch)
    yield "regression, EMA", law, Training(labels, eta, [gamma] * steps, np.zeros(2))


def falling_steps() -> Iterator[Trial]:
    """How far steps that fall break the order, beyond T-fold on a quadratic: regression, and a constant rate."""
    unit, start = np.ones((1, 1)), np.zeros(1)
    k = [1.0] * 10 + [1 / (t + 2) for t in range(90)]
    iterate, average = Training(Noise(unit, unit / 3, 1 / 3), k, [1.0] * 10 + [0.0] * 90, start).covariances()
    ratio = float(average[0, 0] / iterate[0, 0])
    yield at_least(ratio, 200.0, "Var θ̃ / Var θ, regression, b=3, k=1 ten times, then 1/2, 1/3, ..., θ̃ = θ_10, T=100")
    k = [1.0] * 5 + [1 / (t + 2) for t in range(95)]
    iterate, average = Training(Noise(unit, unit), k, [0.034] * 100, start).covariances()
    ratio = float(average[0, 0] / iterate[0, 0])
    yield at_least(ratio, 1.1, "Var θ̃ / Var θ, k=1 five times, then 1/2, 1/3, ..., γ=0.034, T=100")
    for excess in (Fraction(1, 100), Fraction(1, 10**6)):
        k, gamma = 2 - excess, Fraction(1, 2)
        level, a, rho = k / (2 - k), 1 - k, 1 - gamma
        before = level * gamma / (2 - gamma) * (1 + a * rho) / (1 - a * rho)
        after = rho**2 * before + gamma**2  # k = 1 forgets the iterate: its variance is 1
        yield at_least(after, 1 / (18 * excess), f"γ=1/2, k=2-{excess} for long, then k=1 once")

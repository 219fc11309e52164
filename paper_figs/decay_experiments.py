"""The runs that `decay_or_average` compares: schedules, averages, problems; their errors, exact and simulated."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from math import ceil

import numpy as np

import gvatheory as gva
from paper_figs.simulated_points import relative_error

STEP_SIZE, INITIAL_ERROR, GAMMA = 0.2, 4.0, 0.02
"""Of whole runs: η of constant steps, e_0, rate of the EMA; λ = σ² = 1 throughout."""

COOLING_STEP, SETTLING = 0.1, 128
"""η of the cool-downs, and constant steps from e_0 = 0 before them, which leave the stationary law to 1e-11."""

DRIFT_LENGTH, DRIFT_SETTLING = 256, 1280
"""N, and constant steps before them, with a drifting optimum."""


@dataclasses.dataclass(frozen=True)
class Choice:
    """A schedule and an average for a run of a given length, and the exponent that their error tends to."""

    schedule: Callable[[int], gva.Schedule]
    average: Callable[[int], gva.Average]
    limit: float


def _last(steps: int) -> gva.Average:
    return gva.LastIterate()


def _averaged(average: gva.Average, limit: float) -> Choice:
    return Choice(lambda steps: gva.Constant(STEP_SIZE), lambda steps: average, limit)


def _inverse_time(scale: float) -> gva.Schedule:
    """c/s for s = m, m + 1, ..., with the least offset m = max(λc, 1) that C.6 asks for."""
    return gva.InverseTime(scale, max(scale, 1.0))


def _decayed(scale: float) -> Choice:
    return Choice(lambda steps: _inverse_time(scale), _last, -min(1.0, 2.0 * scale))


RUNS: dict[str, Choice] = {
    "constant step, last iterate": _averaged(gva.LastIterate(), 0.0),
    f"constant step, EMA γ = {GAMMA:g}": _averaged(gva.EMA(GAMMA), 0.0),
    "constant step, Polyak": _averaged(gva.Polyak(), -1.0),
    "constant step, tail half": _averaged(gva.Tail(0.5), -1.0),
    "c/t, λc = 1/4": _decayed(0.25),
    "c/t, λc = 1": _decayed(1.0),
    "c/t, λc = 3": _decayed(3.0),
    "linear to 0": Choice(lambda steps: gva.Linear(STEP_SIZE, steps), _last, -1 / 2),
    "cosine to 0": Choice(lambda steps: gva.Cosine(STEP_SIZE, steps), _last, -2 / 3),
    "constant, last 1/5 linear": Choice(
        lambda steps: gva.WarmupStableDecay(STEP_SIZE, steps, 0, ceil(steps / 5)), _last, -1 / 2
    ),
}
"""Whole runs of T steps by name."""


def _cooled(power: float, settling: int = SETTLING) -> Choice:
    def schedule(length: int) -> gva.Schedule:
        return gva.WarmupStableDecay(COOLING_STEP, settling + length, 0, length, power)

    return Choice(schedule, _last, -power / (power + 1.0))


def _cooled_cosine(settling: int = SETTLING) -> Choice:
    return Choice(
        lambda length: gva.Piecewise((settling,), (COOLING_STEP, gva.Cosine(COOLING_STEP, length))), _last, -2 / 3
    )


def _tail(settling: int = SETTLING) -> Choice:
    return Choice(
        lambda length: gva.Constant(COOLING_STEP), lambda length: gva.Tail(length / (settling + length)), -1.0
    )


COOLED: dict[str, Choice] = {
    "cool-down, p = 1/2": _cooled(0.5),
    "cool-down, linear": _cooled(1.0),
    "cool-down, p = 2": _cooled(2.0),
    "cool-down, cosine": _cooled_cosine(),
    "average of the last N": _tail(),
}
"""What is done with the last N steps, from stationarity."""

BEST_EMA = "EMA of the best rate"
DRIFTED = (
    "last iterate",
    "cool-down, linear",
    "cool-down, cosine",
    "average of the last N",
    "EMA of its lag",
    BEST_EMA,
)
"""What is done while the optimum drifts; "its" is the average of the last N."""


@dataclasses.dataclass(frozen=True)
class Experiment:
    """One experiment: what is run at a point x of its axis.

    Attributes:
        name, choices, axis: of the variables; `choices` is their other dimension, or None.
        cells: x → schedules and averages.
        steps: x → T.
        problem: x → the problem.
        initial_error: e_0.
        factor: x → what errors are multiplied by.
    """

    name: str
    choices: str | None
    axis: str
    cells: Callable[[float], Sequence[tuple[gva.Schedule, gva.Average]]]
    steps: Callable[[float], int]
    problem: Callable[[float], gva.Problem]
    initial_error: float
    factor: float = 1.0

    def exact(self, x: float) -> np.ndarray:
        """Variances and mean squares, (2, choices)."""
        setting = self.steps(x), self.initial_error
        laws = [gva.exact_law(self.problem(x), *cell, *setting) for cell in self.cells(x)]
        pairs = [(law.covariance[0, 0], law.covariance[0, 0] + law.mean[0] ** 2) for law in laws]
        return self.factor * np.array(pairs).T

    def simulated(self, x: float, trials: int, seed: int) -> np.ndarray:
        """Mean squares and their relative standard errors, (2, choices)."""
        schedules, averages = zip(*self.cells(x), strict=True)
        setting = self.steps(x), self.initial_error, trials, seed
        squares = gva.simulate_grid(self.problem(x), schedules, averages, *setting)[..., 0] ** 2
        return np.stack([self.factor * squares.mean(axis=-1), relative_error(squares)])


def _problem(x: float) -> gva.Problem:
    return gva.NoisyQuadratic(1.0, 1.0)


def _chosen(choices: Mapping[str, Choice]) -> Callable[[float], list[tuple[gva.Schedule, gva.Average]]]:
    return lambda x: [(c.schedule(int(x)), c.average(int(x))) for c in choices.values()]


def _drift_cells(drift: float) -> list[tuple[gva.Schedule, gva.Average]]:
    """The cells of `DRIFTED`."""
    constant, length = gva.Constant(COOLING_STEP), DRIFT_LENGTH
    ends = (_cooled(1.0, DRIFT_SETTLING), _cooled_cosine(DRIFT_SETTLING), _tail(DRIFT_SETTLING))
    best = float(gva.closed_forms.optimal_gamma(COOLING_STEP, 1.0, 1.0, drift))
    return [
        (constant, gva.LastIterate()),
        *((choice.schedule(length), choice.average(length)) for choice in ends),
        (constant, gva.EMA(2.0 / (length + 1.0))),
        # Averaged uniformly until the rate is reached: a slow EMA would still hold its start.
        (constant, gva.PowerEMA(1.0, floor=best)),
    ]


def experiments(scale_steps: int) -> tuple[Experiment, ...]:
    """Whole runs; c/t after `scale_steps` steps, over c; the last N steps from stationarity; a drifting optimum."""
    return (
        Experiment("run", "run", "steps", _chosen(RUNS), int, _problem, INITIAL_ERROR),
        Experiment(
            "scale",
            None,
            "scale",
            lambda x: [(_inverse_time(x), gva.LastIterate())],
            lambda x: scale_steps,
            _problem,
            0.0,
            float(scale_steps),
        ),
        Experiment("cooled", "cooled", "length", _chosen(COOLED), lambda x: SETTLING + int(x), _problem, 0.0),
        Experiment(
            "drift",
            "drifted",
            "drift",
            _drift_cells,
            lambda x: DRIFT_SETTLING + DRIFT_LENGTH,
            lambda x: gva.Drifting(gva.NoisyQuadratic(1.0, 1.0), x),
            0.0,
        ),
    )

"""Contracting loops whose constants are known exactly, and a learner beside the expert in each of them.

Instances are points of the unit cube, built in floats (for a search) or in Fractions (for the judgement): slopes,
saturations, rotations and weighted norms are all rational. The expert's closed loop F and what the learner adds to it
are all that matters, f(x, π(x)) = F(x) + d with d at most L_u‖Δ‖; units of action and reward make L_u = L_r = 1. A
learner that reacts to time and to the past covers every f and every Δ: d_h is any vector of size <= ε + δ‖x_h‖.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gvatheory import ContractingLoop

Point = NDArray[np.float64]
Number = Callable[[float], Any]
Vector = tuple[Any, Any]
OUTSIDE = Fraction(3, 2)  # slopes of F away from the origin, where it need not contract


def hundredths(value: float) -> Fraction:
    """The coordinate of a point rounded to a fraction with denominator 100."""
    return Fraction(round(100 * float(value)), 100)


@dataclass(frozen=True)
class Duel:
    """One expert and one learner from the same start.

    Attributes:
        rate: ρ of the expert's loop.
        error, slope: ε and δ.
        start: ‖x_0‖.
        gap: Σ_h r(x*_h) - r(x_h).
        loss: (1/H) Σ_h Δ(x*_h)², where Δ is a function of the state (else 0).
        condition: M, the ratio of the contraction's norm to that of the Lipschitz constants.
        horizon: number of states.
        where: the instance in words.
    """

    rate: Any
    error: Any
    slope: Any
    start: Any
    gap: Any
    loss: Any
    condition: Any
    horizon: int
    where: str


def piecewise(x: Any, intercept: Any, slopes: list[Any]) -> Any:
    """The continuous function with this value at 0 and these slopes left of -1, up to 0, up to 1 and beyond."""
    near = slopes[1] * max(min(x, 0), -1) + slopes[2] * min(max(x, 0), 1)
    return intercept + slopes[0] * min(x + 1, 0) + near + slopes[3] * max(x - 1, 0)


def _signed(point: Point, number: Number, size: Any) -> list[Any]:
    return [number(2 * p - 1) * size for p in point]


LINE = 14


def line(
    point: Point,
    horizon: int,
    number: Number,
    bounded: bool = True,
    proportional: bool = True,
    everywhere: bool = True,
    visited: bool = True,
    anchored: bool = True,
    state_reward: bool = True,
) -> Duel:
    """Scalar loop: F and the reward are piecewise linear, the learner adds d_h, |d_h| <= ε + δ|x_h|.

    Args:
        point: shape (LINE + horizon - 1,): ρ, δ, ε, x_0, F(0), 4 slopes of F, 4 of the reward (the last coordinate of
            the head scales the slopes outside), then d_h. All ones is the extremal loop.
        horizon: number of states.
        number: arithmetic of the instance.
        bounded: whether ε may be positive.
        proportional: whether δ may be.
        everywhere: whether F contracts everywhere (else only on [-1, 1]).
        visited: whether the limit on d_h holds on the learner's states (else on the expert's, fourfold elsewhere).
        anchored: whether F(0) = 0.
        state_reward: whether actions are free (else each costs |u|; the expert plays 0, the learner d_h).
    """
    rate = number(0.95 * point[0])
    slope = (1 - rate) * number(max(1.5 * point[1], 0.05)) if proportional else 0 * rate
    error = number(max(point[2], 0.05)) if bounded else 0 * rate
    start = number(6 * point[3] - 3)
    intercept = 0 * rate if anchored else number(point[4])
    inner, outer = rate, rate if everywhere else number(float(OUTSIDE)) * number(point[13])
    sizes = [outer, inner, inner, outer]
    slopes = [number(2 * p - 1) * size for p, size in zip(point[5:9], sizes, strict=True)]
    reward = _signed(point[9:13], number, 1)
    expert = learner = start
    gap = 0 * rate
    for h in range(horizon):
        gap += piecewise(learner, 0, reward) - piecewise(expert, 0, reward)
        if h < horizon - 1:
            limit = error + slope * abs(learner)
            limit = limit if visited or learner == expert else 4 * limit
            push = number(2 * point[LINE + h] - 1) * limit
            gap += 0 if state_reward else abs(push)
            expert, learner = piecewise(expert, intercept, slopes), piecewise(learner, intercept, slopes) + push
    where = (
        f"line, H={horizon}, x_0={start}, F(0)={intercept}, F slopes {[str(s) for s in slopes]}, ε={error}, δ={slope}"
    )
    where += f", costs' slopes {[str(s) for s in reward]}, d_h/limit {np.round(2 * point[LINE:] - 1, 3).tolist()}"
    return Duel(rate, error, slope, abs(start), gap, 0 * rate, 1, horizon, where)


CLONE = 16


def clone(point: Point, horizon: int, number: Number, lipschitz: bool = True) -> Duel:
    """The scalar loop with a learner Δ that is δ-Lipschitz, judged by its loss on the expert's states alone.

    Args:
        point: shape (CLONE,): ρ, δ, Δ(0), x_0, 4 slopes of F, 4 of the reward, 4 of Δ.
        horizon: number of states.
        number: arithmetic of the instance.
        lipschitz: whether δ bounds the slopes of Δ (else four times as much is allowed).
    """
    rate = number(0.95 * point[0])
    slope = (1 - rate) * number(0.95 * point[1])
    start = number(6 * point[3] - 3)
    slopes, reward = _signed(point[4:8], number, rate), _signed(point[8:12], number, 1)
    errors = _signed(point[12:16], number, slope if lipschitz else 4 * slope)
    intercept = number(max(point[2], 0.05))
    expert = learner = start
    gap = loss = 0 * rate
    for _ in range(horizon):
        gap += piecewise(learner, 0, reward) - piecewise(expert, 0, reward)
        loss += piecewise(expert, intercept, errors) ** 2 / horizon
        learner = piecewise(learner, 0, slopes) + piecewise(learner, intercept, errors)
        expert = piecewise(expert, 0, slopes)
    where = f"clone, H={horizon}, ρ={rate}, δ={slope}, x_0={start}, F slopes {[str(s) for s in slopes]}, "
    where += f"costs' slopes {[str(s) for s in reward]}, Δ(0)={intercept}, Δ slopes {[str(s) for s in errors]}"
    return Duel(rate, 0 * rate, slope, abs(start), gap, loss, 1, horizon, where)


def _unit(coordinate: float, number: Number) -> Vector:
    """A rational point of the unit circle, within a right angle of (1, 0), which belongs to 1/2."""
    t = number(2 * coordinate - 1)
    return (1 - t * t) / (1 + t * t), 2 * t / (1 + t * t)


def _turn(by: Vector, x: Vector) -> Vector:
    """The product as complex numbers: a rotation if |by| = 1."""
    return by[0] * x[0] - by[1] * x[1], by[0] * x[1] + by[1] * x[0]


def _clip(x: Vector, edge: int) -> Vector:
    """Each coordinate cut off at ±edge: a map of Lipschitz constant 1 in every norm used here."""
    return max(min(x[0], edge), -edge), max(min(x[1], edge), -edge)


PLANE = 7


def plane(point: Point, horizon: int, number: Number, bounded: bool = True) -> Duel:
    """Planar saturating loop F(x) = ρW clip(x), W a rotation, in the Euclidean norm; cost |⟨w, x⟩|, ‖w‖ = 1.

    The learner adds ε times a unit vector and δ times a rotated x.

    Args:
        point: shape (PLANE + 2(horizon - 1),): ρ, δ, ε, W, ‖x_0‖, direction of x_0, w, then two directions per step.
        horizon: number of states.
        number: arithmetic of the instance.
        bounded: whether ε may be positive.
    """
    rate, error = number(0.95 * point[0]), number(max(point[2], 0.05)) if bounded else number(0.0)
    slope = (1 - rate) * number(max(1.5 * point[1], 0.05))
    turn, weight = _unit(point[3], number), _unit(point[6], number)
    radius = number(max(3 * point[4], 0.3))
    direction = _unit(point[5], number)
    expert = learner = (radius * direction[0], radius * direction[1])
    gap = 0 * rate
    for h in range(horizon):
        gap += abs(weight[0] * learner[0] + weight[1] * learner[1])
        gap -= abs(weight[0] * expert[0] + weight[1] * expert[1])
        if h < horizon - 1:
            push = _unit(point[PLANE + 2 * h], number)
            turned = _turn(_unit(point[PLANE + 2 * h + 1], number), learner)
            moved, expert = _turn(turn, _clip(learner, 3)), _turn(turn, _clip(expert, 3))
            expert = (rate * expert[0], rate * expert[1])
            learner = tuple(rate * m + error * p + slope * t for m, p, t in zip(moved, push, turned, strict=True))
    where = f"plane, H={horizon}, ρ={rate}, ε={error}, δ={slope}, point {np.round(point, 2).tolist()}"
    return Duel(rate, error, slope, radius, gap, 0 * rate, 1, horizon, where)


WEIGHTED = 10


def weighted(point: Point, horizon: int, number: Number) -> Duel:
    """F(x) = A clip(x), contracting in |x_1| + M|x_2|, while ε and the cost's slope are measured in |x_1| + |x_2|.

    Args:
        point: shape (WEIGHTED + 2(horizon - 1),): ρ, M, ε, x_0 (2), A (4), sign of the cost, then the learner's pushes.
            All ones but x_0 = 0 is the extremal loop, as long as it does not saturate.
        horizon: number of states.
        number: arithmetic of the instance.
    """
    rate, condition, error = number(0.95 * point[0]), 1 + number(7 * point[1]), number(max(point[2], 0.05))
    expert = learner = (number(4 * point[3]), number(2 * point[4] - 1))
    first, third = number(point[5]), number(point[7])
    second, fourth = number(2 * point[6] - 1), number(2 * point[8] - 1)
    matrix = (
        (rate * first, rate * condition * third),
        (rate * (1 - first) * second / condition, rate * (1 - third) * fourth),
    )
    cost = number(2 * point[9] - 1)
    gap = 0 * rate
    for h in range(horizon):
        gap += cost * (sum(map(abs, learner)) - sum(map(abs, expert)))
        if h < horizon - 1:
            share, side = number(point[WEIGHTED + 2 * h]), number(2 * point[WEIGHTED + 2 * h + 1] - 1)
            push = (error * (1 - share), error * share * side)
            x, y = _clip(learner, 9), _clip(expert, 9)
            learner = tuple(row[0] * x[0] + row[1] * x[1] + p for row, p in zip(matrix, push, strict=True))
            expert = tuple(row[0] * y[0] + row[1] * y[1] for row in matrix)
    where = f"weighted norm, H={horizon}, ρ={rate}, M={condition}, ε={error}, point {np.round(point, 2).tolist()}"
    return Duel(rate, error, 0 * rate, 0 * rate, gap, 0 * rate, condition, horizon, where)


Family = tuple[int, Callable[[Point, Number], Duel]]


def families(
    everywhere: bool = True,
    visited: bool = True,
    anchored: bool = True,
    vanishing: bool = True,
    lipschitz: bool = True,
    state_reward: bool = True,
) -> dict[str, Family]:
    """Per family the dimension of its cube and the duel of a point, under these hypotheses.

    Families whose name ends in "uniform" have ε = 0, unless Δ need not vanish at 0.
    """
    kept = {"everywhere": everywhere, "visited": visited, "anchored": anchored, "state_reward": state_reward}
    offset = not vanishing
    return {
        "line": (LINE + 5, lambda p, n: line(p, 6, n, **kept)),
        "line, Δ bounded": (LINE + 7, lambda p, n: line(p, 8, n, proportional=False, **kept)),
        "line, uniform": (LINE + 11, lambda p, n: line(p, 12, n, bounded=offset, **kept)),
        "plane": (PLANE + 8, lambda p, n: plane(p, 5, n)),
        "plane, uniform": (PLANE + 14, lambda p, n: plane(p, 8, n, bounded=offset)),
        "clone": (CLONE, lambda p, n: clone(p, 8, n, lipschitz)),
        "weighted norm": (WEIGHTED + 10, lambda p, n: weighted(p, 6, n)),
    }


def known_points(family: str, dimension: int) -> list[Point]:
    """Points to start a search from: the extremal loop, the same from rest, and one whose learner does better."""
    aligned = np.full(dimension, 0.5) if family.startswith("plane") else np.ones(dimension)
    if family.startswith("weighted"):
        aligned[[0, 1, 3, 4]] = 0.5, 0.3, 0.0, 0.5
    if family == "clone":
        aligned[:4] = 0.5
    if family.endswith("uniform"):
        aligned[1] = 0.3
    rested, better = aligned.copy(), aligned.copy()
    rested[3] = 0.5  # x_0 = 0
    better[9:13] = 0
    return [aligned, rested, better] if family.startswith("line") else [aligned]


def scalar_gap(rate: Any, error: Any, slope: Any, start: Any, noise: Any) -> Any:
    """Gap of the scalar loop F(x) = ρx + w_h, Δ = ε + δx, cost |x|, in the arithmetic of its arguments.

    Args:
        rate: ρ.
        error: ε, a number or one per path.
        slope: δ.
        start: x_0, a number or one per path.
        noise: w_0..w_{H-2}, each a number or one per path.
    """
    expert = learner = start
    gap = 0 * start
    for push in noise:
        expert, learner = rate * expert + push, (rate + slope) * learner + error + push
        gap = gap + abs(learner) - abs(expert)
    return gap


def noisy_gaps(
    loop: ContractingLoop, errors: Callable[[Point], Point], horizon: int, paths: int, rng: np.random.Generator
) -> tuple[Point, Point]:
    """Gap and ℓ_BC of every path, under standard Gaussian noise common to expert and learner; shapes (paths,).

    Args:
        loop: the closed loop.
        errors: Δ, states (paths, n) -> (paths, m).
        horizon: number of states.
        paths: number of paths, each from its own Gaussian x_0.
        rng: source of all randomness.
    """
    expert = learner = rng.normal(size=(paths, len(loop.rotation)))
    gap, loss = np.zeros(paths), np.zeros(paths)
    for _ in range(horizon):
        gap += loop.reward(expert) - loop.reward(learner)
        loss += (errors(expert) ** 2).sum(1) / horizon
        noise = rng.normal(size=expert.shape)
        learner = loop.dynamics(learner, loop.expert(learner) + errors(learner)) + noise
        expert = loop.dynamics(expert, loop.expert(expert)) + noise
    return gap, loss

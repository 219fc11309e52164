"""Probability that a standard normal vector z leaves a polyhedron {z : ⟨g_i, z⟩ ≤ u_i}, with its error.

The union of the half-spaces A_i = {⟨g_i, z⟩ > u_i} is cut into disjoint parts, largest A_i first:

    P(∪A_i) = Σ_i P(A_i ∩ ⋂_{j<i} A_jᶜ),

and each part is integrated by separation of variables (Genz, 1992) with ⟨g_i, z⟩ as its first variable: the tail
probability P(A_i) comes out as an exact factor in front of an average of numbers in [0, 1], so the relative error does
not grow as the probability gets small. If ΣP(A_i) > 1 the probability of staying inside, P(⋂ A_iᶜ), is integrated the
same way instead. Any number of faces is allowed, more than the dimension too: the variables are the directions of a
Gram-Schmidt pass over the faces, and a face that depends on earlier directions only narrows the interval of the last of
them (Genz & Kwong, 2000). The order is greedy, the tightest face first (Gibson, Glasbey & Elston, 1994).

The points are scrambled Sobol sequences; their error is the spread of independent scrambles.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.special import ndtr, ndtri

_SCRAMBLES = 16
_FIRST_POINTS = 128  # of each scramble
_AT_ONCE = 4096  # of each scramble, which bounds the memory
_DEPENDENT = 1e-12  # a unit vector's remainder below which it lies in the span of the earlier ones
_NEARLY_PARALLEL = 0.2  # sine of the angle


class _Variable(NamedTuple):
    """One standard normal variable y_p and the q faces that bound it last: coefficients·y_{<p} + pivot·y_p ≤ bound."""

    coefficients: np.ndarray  # (q, p)
    pivot: np.ndarray  # (q,)
    bound: np.ndarray  # (q,)


class UnionProbability(NamedTuple):
    """Both sides of leaving a polyhedron, and the standard error they share."""

    outside: float
    inside: float
    standard_error: float


def union_probability(
    faces: Float[np.ndarray, "k r"], bounds: Float[np.ndarray, " k"], tolerance: float, seed: int, max_evaluations: int
) -> UnionProbability:
    """P(⟨g_i, z⟩ > u_i for some i), z ~ N(0, I), for two or more directions.

    Checked against closed forms (orthants, independent faces, boxes), SciPy's multivariate normal and simulation.

    Args:
        faces: unit vectors g_i, (k, r), no two of them equal, not all of them parallel.
        bounds: u_i, (k,).
        tolerance: the standard error aimed at, relative to the smaller of the two probabilities.
        seed: ≥ 0; the answer depends on nothing else that is random.
        max_evaluations: the sampling stops before it takes more univariate intervals than this (16 scrambles of 128
            points are always taken).
    """
    order = np.argsort(bounds)
    faces, bounds = faces[order], bounds[order]
    tails = ndtr(-bounds)
    directly = bool(tails.sum() > 1.0)
    if directly:
        exact, parts = 0.0, [_separate(faces, bounds, None)]
    else:
        counted = np.cumsum(tails[::-1])[::-1] > 1e-18 * tails[0]  # the rest is lost in rounding
        signs = [np.append(np.ones(i), -1.0) for i in range(len(faces))]
        exact = float(tails[0])
        parts = [
            _separate(faces[: i + 1] * signs[i][:, None], bounds[: i + 1] * signs[i], i)
            for i in range(1, len(faces))
            if counted[i]
        ]
    if not parts:
        return UnionProbability(exact, 1.0 - exact, 0.0)
    value, error = _integrate(parts, exact, tolerance, seed, max_evaluations)
    value = min(value, 1.0)
    return UnionProbability(1.0 - value, value, error) if directly else UnionProbability(value, 1.0 - value, error)


def _separate(faces: np.ndarray, bounds: np.ndarray, first: int | None) -> list[_Variable]:
    """The polyhedron {faces·z ≤ bounds} in variables of which each face bounds one, given the earlier ones.

    Gram-Schmidt over the faces, `first` before the others; then always the face that is likeliest to be violated, the
    earlier variables put at their means. Where other faces are nearly parallel to the chosen one, what they differ in
    comes before it, unbounded, and all of them bound the same variable: they part in a sliver that points would miss.
    """
    basis = _Basis(faces, bounds)
    while len(basis.waiting):
        chosen = first if first is not None and not basis.variables else basis.tightest()
        direction = basis.remainder[chosen] / np.linalg.norm(basis.remainder[chosen])
        while len(twins := basis.beyond(direction)):
            basis.add(twins[np.argmax(np.linalg.norm(twins, axis=1))])
        basis.add(direction, chosen)
    return basis.variables


class _Basis:
    """The Gram-Schmidt pass: what is left of each face, and the variables so far."""

    def __init__(self, faces: np.ndarray, bounds: np.ndarray) -> None:
        self.bounds, self.remainder = bounds, faces.copy()
        self.waiting = np.arange(len(faces))
        self.loads, self.directions = np.zeros((len(faces), 0)), np.zeros((0, faces.shape[1]))
        self.centre = np.zeros(0)
        self.variables: list[_Variable] = []

    def tightest(self) -> int:
        """The waiting face with the smallest probability of holding."""
        sizes = np.linalg.norm(self.remainder[self.waiting], axis=1)
        slack = self.bounds[self.waiting] - self.loads[self.waiting] @ self.centre
        return int(self.waiting[np.argmin(slack / sizes)])

    def beyond(self, direction: np.ndarray) -> np.ndarray:
        """What is left, next to `direction`, of the waiting faces that are nearly parallel to it."""
        left = self.remainder[self.waiting]
        across = left - np.outer(left @ direction, direction)
        across = across - np.outer(across @ direction, direction)  # short, so once is not enough
        size = np.linalg.norm(across, axis=1)
        return across[(size > _DEPENDENT) & (size < _NEARLY_PARALLEL * np.linalg.norm(left, axis=1))]

    def add(self, direction: np.ndarray, face: int | None = None) -> None:
        """A variable along `direction`, bounded by the faces that have nothing left after it, `face` among them."""
        for _ in range(2):  # twice: a short remainder is not quite orthogonal to the earlier directions
            direction = direction - self.directions.T @ (self.directions @ direction)
            direction = direction / np.linalg.norm(direction)
        load = self.remainder @ direction
        self.remainder = self.remainder - load[:, None] * direction
        done = np.zeros(len(load), dtype=bool)
        done[self.waiting] = np.linalg.norm(self.remainder[self.waiting], axis=1) <= _DEPENDENT
        if face is not None:
            done[face] = True
        self.variables.append(_Variable(self.loads[done], load[done], self.bounds[done]))
        self.centre = np.append(self.centre, _mean_between(*_interval(self.variables[-1], self.centre[:, None])))
        self.loads, self.directions = np.column_stack([self.loads, load]), np.vstack([self.directions, direction])
        self.waiting = self.waiting[~done[self.waiting]]


def _interval(variable: _Variable, earlier: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lowest and highest value of a variable, (n,) each, given the earlier ones (p, n)."""
    with np.errstate(over="ignore"):
        ends = (variable.bound[:, None] - variable.coefficients @ earlier) / variable.pivot[:, None]
    up = variable.pivot > 0
    return ends[~up].max(axis=0, initial=-np.inf), ends[up].min(axis=0, initial=np.inf)


def _slice(low: np.ndarray, high: np.ndarray, share: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """P(low < y < high) for a standard normal y, 0 if empty, and the y below which `share` of it lies."""
    with np.errstate(invalid="ignore"):  # −∞ + ∞ is unbounded: either side will do
        turn = low + high > 0  # into the lower tail, where Φ keeps its digits
    a, b = ndtr(np.where(turn, -high, low)), ndtr(np.where(turn, -low, high))
    mass = np.maximum(b - a, 0.0)
    y = ndtri(a + np.where(turn, 1.0 - share, share) * mass)
    y = np.where(np.isfinite(y), y, 0.0)  # of an empty slice, which counts for nothing
    return mass, np.where(turn, -y, y)


def _mean_between(low: np.ndarray, high: np.ndarray) -> float:
    """E[y | low < y < high], (1,) each; an end of the interval if it has no mass."""
    mass = float(_slice(low, high, np.full(1, 0.5))[0][0])
    ends = np.array([low[0], high[0]])
    if mass > 1e-290:
        density = np.exp(-0.5 * ends**2) / np.sqrt(2.0 * np.pi)
        return float((density[0] - density[1]) / mass)
    return float(ends[np.argmin(np.abs(ends))])


def _product(variables: list[_Variable], shares: np.ndarray) -> np.ndarray:
    """The integrand at points `shares` of the unit cube, (dimension, n) → (n,): a product of interval probabilities."""
    count = shares.shape[1]
    y, value = np.zeros((len(variables), count)), np.ones(count)
    for p, variable in enumerate(variables):
        low, high = _interval(variable, y[:p])
        if p < len(variables) - 1:
            mass, y[p] = _slice(low, high, shares[p])
        else:
            turn = low > -high
            mass = np.maximum(ndtr(np.where(turn, -low, high)) - ndtr(np.where(turn, -high, low)), 0.0)
        value *= mass
    return value


def _integrate(
    parts: list[list[_Variable]], exact: float, tolerance: float, seed: int, max_evaluations: int
) -> tuple[float, float]:
    """`exact` plus the integrals of the parts over the unit cube, and the standard error over scrambles."""
    dimension = max(max(len(part) for part in parts) - 1, 1)
    generators = np.random.default_rng(seed).spawn(_SCRAMBLES)
    from scipy.stats import qmc  # takes long to import

    samplers = [qmc.Sobol(dimension, scramble=True, bits=32, rng=g) for g in generators]
    cost = sum(len(part) for part in parts)
    sums, points, enough = np.zeros(_SCRAMBLES), 0, False
    while True:
        batch = points or _FIRST_POINTS
        for taken in range(0, batch, _AT_ONCE):
            shares = np.concatenate([s.random(min(batch - taken, _AT_ONCE)) for s in samplers]).T
            shares = shares + 2.0**-33  # the middle of the cell: never 0 or 1
            for part in parts:
                sums += _product(part, shares).reshape(_SCRAMBLES, -1).sum(axis=1)
        points += batch
        means = exact + sums / points
        value, error = float(means.mean()), float(means.std(ddof=1) / np.sqrt(_SCRAMBLES))
        if enough or 2 * points * _SCRAMBLES * cost > max_evaluations:
            return value, error
        # One doubling more: the error that met the tolerance is likely to be too small by chance.
        enough = error <= tolerance * min(value, 1.0 - value)

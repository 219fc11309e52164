"""Behaviour cloning of a linear expert on a linear system by SGD, end to end: from step size and average to J_H.

Stage one is linear regression on the expert's states (features of covariance `system.expert_covariance()`, labels
u = K* x + ε, ε ~ N(0, S)); stage two is the closed loop. In the scalar case both are exact together: J_H is a
polynomial in the gain, and the mixed moments E[e^i ẽ^j] of the iterate and its average obey a closed linear recursion
although neither is Gaussian. (High moments of small batches are carried by runs too rare to be seen in any simulation,
and may grow without bound while the variance settles.) In the matrix case the gain's two exact moments enter
`GainReward`: a Gaussian closure.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from numpy.polynomial import polynomial
from scipy.linalg import eigh_tridiagonal
from scipy.special import binom, factorial2

from gvatheory import validation
from gvatheory.averaging import Average
from gvatheory.gain_rewards import GainReward
from gvatheory.learning import exact_law, expected_loss
from gvatheory.linear_system import LinearSystem, rollout_rewards
from gvatheory.methods import SGD, Method
from gvatheory.problems import LinearRegression, vector
from gvatheory.schedules import Schedule
from gvatheory.simulate import simulate
from gvatheory.validation import Numbers

MAX_DEGREE = 120
"""Largest degree of J_H² in the gain for which the scalar route is taken."""

_BINOMIALS = binom(np.arange(MAX_DEGREE + 1)[:, None], np.arange(MAX_DEGREE + 1))


class CloningOutcome(NamedTuple):
    """What a cloned policy is worth after T steps, over independent runs of SGD.

    Attributes:
        loss: E of the cloning loss of the averaged gain, per step and beyond the label noise.
        mean: E J_H.
        variance: Var J_H over the learner's gain (not over episodes).
        exact: whether mean and variance are exact, or a Gaussian closure of the gain's exact first two moments (which
            itself is of second order unless the covariance of the gain has few directions: `GainReward.is_exact`).
        standard_errors: of (loss, mean, variance); zero unless simulated.
    """

    loss: float
    mean: float
    variance: float
    exact: bool
    standard_errors: tuple[float, float, float] = (0.0, 0.0, 0.0)


def cloning_problem(system: LinearSystem, label_noise: Numbers = 0.0, batch_size: int = 1) -> LinearRegression:
    """The regression that cloning the expert is, on fresh Gaussian states of the expert's pooled covariance.

    States pooled over an episode are a mixture over h of Gaussians; the model keeps their covariance. For a system that
    starts in its stationary law the two agree.

    Args:
        system: whose expert is cloned.
        label_noise: covariance S of the noise of recorded actions: a number, (m,) or (m, m). Zero is a deterministic
            expert, whose clone has no stationary spread.
        batch_size: b ≥ 1.
    """
    return LinearRegression(
        system.expert_covariance(),
        label_noise,
        batch_size,
        outputs=None if np.ndim(label_noise) else system.action_size,
    )


def exact_cloning(
    system: LinearSystem,
    schedule: Schedule,
    average: Average,
    steps: int,
    initial_error: Numbers,
    label_noise: Numbers = 0.0,
    batch_size: int = 1,
    method: Method | None = None,
) -> CloningOutcome:
    """E and Var of J_H of the clone, as a function of (η, b, average, T, H).

    Scalar system and SGD: exact (see the module), checked against `simulated_cloning` and, in the limit of additive
    noise, `ScalarLoop`. Otherwise, and where rounding would spoil the sixth digit of that variance (field `exact` says
    so), the gain's mean and covariance are exact and its law is taken as Gaussian.

    Args:
        system: whose expert is cloned.
        schedule, average, steps, method: as in `exact_law`.
        initial_error: vec(K_0 − K*), row by row, (mn,) or a number.
        label_noise, batch_size: as in `cloning_problem`.

    Raises:
        ValueError: as `exact_law`.
        OverflowError: if a moment exceeds float64.
    """
    problem = cloning_problem(system, label_noise, batch_size)
    law = exact_law(problem, schedule, average, steps, initial_error, method)
    loss = 2.0 * expected_loss(problem, law)
    if problem.dimension == 1 and isinstance(method, SGD | None):
        reward = _reward_polynomial(system, float(law.mean[0]))
        order = 2 * (len(reward) - 1)
        if order <= MAX_DEGREE:
            central = averaged_central_moments(problem, schedule, average, steps, initial_error, order)
            mean, variance, error = _polynomial_moments(reward, central)
            if not (np.isfinite(mean) and np.isfinite(variance)):
                raise OverflowError(f"moments of J_H exceed float64 at horizon {system.horizon} after {steps} steps")
            if error <= 1e-6 * abs(variance) or variance == 0:
                return CloningOutcome(loss, mean, variance, True)
    moments = GainReward(system)
    return CloningOutcome(loss, moments.mean(law), moments.variance(law), False)


def _polynomial_moments(coefficients: np.ndarray, central: np.ndarray) -> tuple[float, float, float]:
    """Mean and variance of Σ c_j d^j from the central moments of d, and a bound on the variance's rounding error."""
    n = np.arange(1, len(coefficients))  # the constant adds nothing to the spread
    with np.errstate(over="ignore", invalid="ignore"):
        own, products = central[n[:, None] + n], np.outer(central[n], central[n])
        weights = np.outer(coefficients[n], coefficients[n])
        mean = float(coefficients[0] + coefficients[n] @ central[n])
        variance = float(np.sum(weights * (own - products)))
        size = float(np.sum(np.abs(weights) * (np.abs(own) + np.abs(products))))
    return mean, variance, 100.0 * np.finfo(float).eps * size


def _reward_polynomial(system: LinearSystem, mean: float) -> Float[np.ndarray, " coefficients"]:
    """J_H of a scalar system as a polynomial in K − K* − mean, lowest power first: no cancellation around a bias."""
    loop = np.array([system.closed_loop[0, 0] + system.B[0, 0] * mean, system.B[0, 0]])
    gain = np.array([system.K_expert[0, 0] + mean, 1.0])
    state, total = np.array([system.initial_covariance[0, 0]]), np.zeros(1)
    for _ in range(system.horizon):
        total = polynomial.polyadd(total, state)
        state = polynomial.polyadd(
            polynomial.polymul(polynomial.polymul(loop, loop), state), [system.noise_covariance[0, 0]]
        )
    cost = polynomial.polyadd([system.Q[0, 0]], system.R[0, 0] * polynomial.polymul(gain, gain))
    return -polynomial.polytrim(polynomial.polymul(cost, total))


class _Transfer(NamedTuple):
    """D with E[d'^p | d] = Σ_i D_pi d^i, p ≤ order, for one SGD step of d = e − E e.

    e' = (1 − ηm) e + ηc with m = Σx²/b ~ (Σ/b) χ²_b, and c given m is N(0, S m/b), so that
    d' = (1 − ηm) d − η (m − Σ) E e + ηc. D_pi is a polynomial in E e.

    Attributes:
        terms: (order/2 + 1, order + 1, order + 1), by the power 2q of ηc, p and i.
        powers: of E e in each term.
    """

    terms: np.ndarray
    powers: np.ndarray

    def at(self, mean: float) -> np.ndarray:
        """D where E e = `mean`."""
        return np.sum(self.terms * mean**self.powers, axis=0)


def _transfer(problem: LinearRegression, step_size: float, order: int) -> _Transfer:
    """Expectations over m by generalised Gauss-Laguerre quadrature, exact for these polynomials."""
    b = problem.batch_size
    sigma, noise = float(np.ravel(problem.feature_covariance)[0]), float(np.ravel(problem.label_noise)[0])
    k = np.arange(order + 1)
    # Golub-Welsch: the weights come out normalised, where those for large b would overflow.
    nodes, vectors = eigh_tridiagonal(2.0 * k + b / 2.0, np.sqrt(k[1:] * (k[1:] + b / 2.0 - 1.0)))
    m, weights = 2.0 * sigma / b * nodes, vectors[0] ** 2
    scales, shifts = (1.0 - step_size * m)[:, None] ** k, (-step_size * (m - sigma))[:, None] ** k  # (nodes, powers)
    even = np.arange(0, order + 1, 2)  # powers of ηc, of which odd ones vanish
    powers = k[:, None] - even[:, None, None] - k  # p − 2q − i
    terms = np.zeros(powers.shape)
    for n, q in enumerate(even):
        own = weights * step_size**q * (factorial2(q - 1) if q else 1.0) * (noise / b * m) ** (q // 2)
        pairs = np.einsum("n,ni,nj->ij", own, scales, shifts)
        p, i = np.nonzero(powers[n] >= 0)
        terms[n, p, i] = _BINOMIALS[p, q] * _BINOMIALS[p - q, i] * pairs[i, p - q - i]
    return _Transfer(terms, np.maximum(powers, 0))


def averaged_central_moments(
    problem: LinearRegression,
    schedule: Schedule,
    average: Average,
    steps: int,
    initial_error: Numbers,
    order: int,
) -> Float[np.ndarray, " moments"]:
    """E (ẽ_T − E ẽ_T)^p, p = 0..order, of SGD on scalar linear regression: exact, though the law is not Gaussian.

    With d = e − E e and d̃ = ẽ − E ẽ, E[d̃^j d^i] for i + j ≤ order is closed under a step: first d moves (see
    `_transfer`), then d̃ ← keep·d̃ + take·d. The second is `exact_law`'s; all are checked against simulation.

    Args:
        problem: one feature, one output.
        schedule, average, steps, initial_error: as in `exact_law`.
        order: highest power, from 0 to `MAX_DEGREE`.

    Raises:
        ValueError: if the problem is not scalar, or a value out of range.
        OverflowError: if a moment exceeds float64.
    """
    validation.integer("order", order, 0, MAX_DEGREE)
    validation.integer("steps", steps, 0)
    if problem.dimension != 1:
        raise ValueError(f"problem must have one feature and one output, got dimension {problem.dimension}")
    mean = float(vector("initial_error", initial_error, 1)[0])
    sigma = float(np.ravel(problem.feature_covariance)[0])
    _, keep, take = average.coefficients(steps)
    powers = np.arange(order + 1)
    closed = powers[:, None] + powers <= order
    mixed = np.zeros((order + 1, order + 1))  # E[d̃^j d^i] at [j, i], i + j ≤ order
    mixed[0, 0] = 1.0
    transfer, last = _transfer(problem, 0.0, order), 0.0
    with np.errstate(over="ignore", invalid="ignore"):
        for t, eta in enumerate(schedule.step_sizes(steps)):
            if eta != last:
                transfer, last = _transfer(problem, float(eta), order), eta
            moved = np.where(closed, mixed @ transfer.at(mean).T, 0.0)
            mean *= 1.0 - eta * sigma
            mixed = np.zeros_like(moved)
            for k in powers:  # d̃'^j = Σ_k C(j, k) (keep d̃)^{j−k} (take d')^k
                share = _BINOMIALS[k : order + 1, k] * keep[t] ** (powers[k:] - k) * take[t] ** k
                mixed[k:, : order + 1 - k] += share[:, None] * moved[: order + 1 - k, k:]
    mixed[:2, 0] = [1.0, 0.0][: order + 1]  # free of rounding
    if not np.all(np.isfinite(mixed[:, 0])):
        raise OverflowError(f"moments of order {order} exceed float64 after {steps} steps")
    return mixed[:, 0]


def simulated_cloning(
    system: LinearSystem,
    schedule: Schedule,
    average: Average,
    steps: int,
    initial_error: Numbers,
    label_noise: Numbers = 0.0,
    batch_size: int = 1,
    method: Method | None = None,
    *,
    trials: int,
    seed: int,
    episodes: int = 0,
) -> CloningOutcome:
    """The Monte Carlo twin of `exact_cloning`: SGD is run `trials` times, and every clone is put into the loop.

    Args:
        system, schedule, average, steps, initial_error, label_noise, batch_size, method: as in `exact_cloning`.
        trials: independent runs of SGD, ≥ 2.
        seed: of examples and episodes.
        episodes: episodes really rolled out per clone, ≥ 2, whose mean stands for its J_H (the variance is corrected
            for their number); 0 takes each clone's exact J_H instead.

    Raises:
        ValueError: on a value out of range.
    """
    validation.integer("trials", trials, 2)
    if episodes != 0:
        validation.integer("episodes", episodes, 2)
    problem = cloning_problem(system, label_noise, batch_size)
    errors = simulate(problem, schedule, average, steps, initial_error, trials, seed, method)
    gains = system.K_expert + errors.reshape(-1, *system.K_expert.shape)
    differences = gains - system.K_expert
    losses = np.einsum("tmi,ij,tmj->t", differences, system.expert_covariance(), differences)
    within = np.zeros(trials)
    if episodes == 0:
        values = system.rewards(gains)
    else:
        runs = np.stack([rollout_rewards(system, k, episodes, seed + 1 + i) for i, k in enumerate(gains)])
        values, within = runs.mean(axis=1), runs.var(axis=1, ddof=1) / episodes
    centred = (values - values.mean()) ** 2 * trials / (trials - 1) - within
    error = [float(x.std(ddof=1) / np.sqrt(trials)) for x in (losses, values, centred)]
    return CloningOutcome(
        float(losses.mean()), float(values.mean()), float(centred.mean()), episodes == 0, (error[0], error[1], error[2])
    )

"""The two stages composed: (problem, schedule, average) → law of θ̃_T → law of the reward, exactly and by simulation."""

import dataclasses
from typing import Any

import numpy as np

from gvatheory import validation
from gvatheory.averaging import Average
from gvatheory.learning import exact_law, expected_loss
from gvatheory.methods import Method
from gvatheory.problems import Problem
from gvatheory.rewards import Reward
from gvatheory.schedules import Schedule
from gvatheory.simulate import simulate
from gvatheory.validation import Numbers


@dataclasses.dataclass(frozen=True)
class RewardMoments:
    """What becomes of the reward after T steps of training, over independent runs; numbers, or JAX scalars if traced.

    Attributes:
        mean: E J.
        variance: Var J.
        fall_probability: probability of being past the cliff.
        loss: expected training loss ½ E ẽᵀΛẽ, the one-step quantity that hides what J shows.
        standard_errors: of (mean, variance, fall_probability, loss); zero for the exact law.
    """

    mean: Any
    variance: Any
    fall_probability: Any
    loss: Any
    standard_errors: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)


def exact_reward(
    problem: Problem,
    schedule: Schedule,
    average: Average,
    reward: Reward,
    steps: int,
    initial_error: Numbers,
    method: Method | None = None,
) -> RewardMoments:
    """Exact moments of the reward of the averaged iterate: `exact_law`, then the reward's own closed forms.

    The reward takes the law as Gaussian. It is for Gaussian additive noise; in linear regression this is a closure of
    the two exact moments, whose error `simulated_reward` shows. Traceable where the reward is.

    Raises:
        ValueError, OverflowError: as `exact_law` and the reward's methods.
    """
    law = exact_law(problem, schedule, average, steps, initial_error, method)
    loss = expected_loss(problem, law)  # first: it says so if the law is beyond all rewards
    return RewardMoments(*reward.moments(law), loss)


def simulated_reward(
    problem: Problem,
    schedule: Schedule,
    average: Average,
    reward: Reward,
    steps: int,
    initial_error: Numbers,
    trials: int,
    seed: int,
    method: Method | None = None,
) -> RewardMoments:
    """The Monte Carlo twin of `exact_reward`: the method is run, the reward evaluated at every sample.

    The variance is the unbiased one. Standard errors are the plug-in ones: sd/√n for the means, from the fourth moment
    for the variance.

    Raises:
        ValueError: for fewer than 2 trials, or as `simulate`.
        OverflowError: as `simulate`.
    """
    validation.integer("trials", trials, 2)
    errors = simulate(problem, schedule, average, steps, initial_error, trials, seed, method)
    modes = problem.modes()
    values, fallen = reward.value(errors), reward.fallen(errors).astype(np.float64)
    loss = 0.5 * ((errors @ modes.inverse.T) ** 2) @ modes.curvature
    centred = (values - values.mean()) ** 2
    samples = (values, centred, fallen, loss)
    spread = [float(v.std(ddof=1) / np.sqrt(trials)) for v in samples]
    return RewardMoments(
        float(values.mean()),
        float(values.var(ddof=1)),
        float(fallen.mean()),
        float(loss.mean()),
        (spread[0], spread[1], spread[2], spread[3]),
    )

"""The two stages composed: (problem, schedule, average) → law of θ̃_T → law of the reward, exactly and by simulation."""

import dataclasses

import numpy as np

from gvatheory.averaging import Average
from gvatheory.learning import NoisyQuadratic, exact_law
from gvatheory.rewards import Reward
from gvatheory.schedules import Schedule
from gvatheory.simulate import simulate
from gvatheory.validation import Numbers


@dataclasses.dataclass(frozen=True)
class RewardMoments:
    """What becomes of the reward after T steps of training, over independent runs.

    Attributes:
        mean: E J.
        variance: Var J.
        fall_probability: probability of being past the cliff.
        loss: expected training loss ½ E ẽᵀΛẽ, the one-step quantity that hides what J shows.
        standard_errors: of (mean, variance, fall_probability, loss); zero for the exact law.
    """

    mean: float
    variance: float
    fall_probability: float
    loss: float
    standard_errors: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)


def exact_reward(
    problem: NoisyQuadratic,
    schedule: Schedule,
    average: Average,
    reward: Reward,
    steps: int,
    initial_error: Numbers,
) -> RewardMoments:
    """Exact moments of the reward of the averaged iterate: `exact_law`, then the reward's own closed forms.

    Raises:
        ValueError, OverflowError: as `exact_law` and the reward's methods.
    """
    law = exact_law(problem, schedule, average, steps, initial_error)
    lam, basis = problem.eigenbasis()
    with np.errstate(over="ignore"):
        second = (basis.T @ law.mean) ** 2 + np.diagonal(basis.T @ law.covariance @ basis)
    if not np.all(np.isfinite(second)):
        raise OverflowError(f"the loss after {steps} steps exceeds float64: is the step size stable?")
    return RewardMoments(
        reward.mean(law), reward.variance(law), reward.fall_probability(law), float(0.5 * lam @ second)
    )


def simulated_reward(
    problem: NoisyQuadratic,
    schedule: Schedule,
    average: Average,
    reward: Reward,
    steps: int,
    initial_error: Numbers,
    trials: int,
    seed: int,
) -> RewardMoments:
    """The Monte Carlo twin of `exact_reward`: SGD is run, the reward evaluated at every sample.

    Standard errors are the plug-in ones: sd/√n for the means, from the fourth moment for the variance.

    Raises:
        ValueError: as `simulate`.
    """
    errors = simulate(problem, schedule, average, steps, initial_error, trials, seed)
    lam, basis = problem.eigenbasis()
    values, fallen = reward.value(errors), reward.fallen(errors).astype(np.float64)
    loss = 0.5 * ((errors @ basis) ** 2) @ lam
    centred = (values - values.mean()) ** 2
    samples = (values, centred, fallen, loss)
    spread = [float(v.std() / np.sqrt(trials)) for v in samples]
    return RewardMoments(
        float(values.mean()),
        float(values.var()),
        float(fallen.mean()),
        float(loss.mean()),
        (spread[0], spread[1], spread[2], spread[3]),
    )

"""Gradient variance amplification: linear-dynamical and cliff-loss models with exact laws, each also simulated.

import gvatheory as gva

problem = gva.NoisyQuadratic(curvature=1.0, noise_variance=4.0, batch_size=8)
law = gva.exact_law(problem, gva.Constant(0.1), gva.EMA(0.01), steps=1000, initial_error=1.0)
gva.CliffBall(radius=0.2, penalty=1.0).fall_probability(law)
"""

from gvatheory.amplification import RewardMoments, exact_reward, simulated_reward
from gvatheory.averaging import EMA, Average, Coefficients, LastIterate, Polyak, PowerEMA, RecursiveAverage, Tail
from gvatheory.laws import Law
from gvatheory.learning import NoisyQuadratic, exact_law, stationary_law
from gvatheory.rewards import CliffBall, CliffHalfspace, Reward
from gvatheory.schedules import Constant, Cosine, InverseTime, Linear, PowerDecay, Schedule, WarmupStableDecay
from gvatheory.simulate import simulate
from gvatheory.sweep import sweep
from gvatheory.systems import ScalarLoop

__version__ = "0.1.0.dev0"

__all__ = [
    "EMA",
    "Average",
    "CliffBall",
    "CliffHalfspace",
    "Coefficients",
    "Constant",
    "Cosine",
    "InverseTime",
    "LastIterate",
    "Law",
    "Linear",
    "NoisyQuadratic",
    "Polyak",
    "PowerDecay",
    "PowerEMA",
    "RecursiveAverage",
    "Reward",
    "RewardMoments",
    "ScalarLoop",
    "Schedule",
    "Tail",
    "WarmupStableDecay",
    "exact_law",
    "exact_reward",
    "simulate",
    "simulated_reward",
    "stationary_law",
    "sweep",
]

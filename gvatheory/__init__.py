"""Gradient variance amplification: linear-dynamical and cliff-loss models with exact laws, each also simulated.

import gvatheory as gva

problem = gva.NoisyQuadratic(curvature=1.0, noise_variance=4.0, batch_size=8)
law = gva.exact_law(problem, gva.Constant(0.1), gva.EMA(0.01), steps=1000, initial_error=1.0)
gva.CliffBall(radius=0.2, penalty=1.0).fall_probability(law)
"""

from gvatheory.adaptive import Preconditioned, adam_approximation, sign_sgd_approximation, simulate_adaptive
from gvatheory.amplification import RewardMoments, exact_reward, simulated_reward
from gvatheory.averaging import (
    EMA,
    Average,
    BiasCorrectedEMA,
    Coefficients,
    LastIterate,
    Polyak,
    PowerEMA,
    PowerProfile,
    RecursiveAverage,
    Tail,
)
from gvatheory.composed_schedules import Piecewise, Scaled, Warmup
from gvatheory.laws import Law
from gvatheory.learning import exact_law, expected_loss, largest_stable_step_size, stationary_law
from gvatheory.methods import SGD, HeavyBall, Method, Nesterov, ScheduleFree
from gvatheory.problems import Drifting, LinearRegression, NoisyQuadratic, Problem
from gvatheory.reconstruction import Reconstruction, reconstruct, snapshot_times
from gvatheory.rewards import CliffBall, CliffHalfspace, Reward
from gvatheory.schedules import (
    Constant,
    Cosine,
    Exponential,
    InverseTime,
    Linear,
    PowerDecay,
    Schedule,
    WarmupStableDecay,
)
from gvatheory.simulate import simulate
from gvatheory.subsampled_averages import EveryK
from gvatheory.sweep import sweep
from gvatheory.systems import ScalarLoop
from gvatheory.weighted_averages import FixedWeights, WeightedWindow

__version__ = "0.1.0.dev0"

__all__ = [
    "EMA",
    "SGD",
    "Average",
    "BiasCorrectedEMA",
    "CliffBall",
    "CliffHalfspace",
    "Coefficients",
    "Constant",
    "Cosine",
    "Drifting",
    "EveryK",
    "Exponential",
    "FixedWeights",
    "HeavyBall",
    "InverseTime",
    "LastIterate",
    "Law",
    "Linear",
    "LinearRegression",
    "Method",
    "Nesterov",
    "NoisyQuadratic",
    "Piecewise",
    "Polyak",
    "PowerDecay",
    "PowerEMA",
    "PowerProfile",
    "Preconditioned",
    "Problem",
    "Reconstruction",
    "RecursiveAverage",
    "Reward",
    "RewardMoments",
    "ScalarLoop",
    "Scaled",
    "Schedule",
    "ScheduleFree",
    "Tail",
    "Warmup",
    "WarmupStableDecay",
    "WeightedWindow",
    "adam_approximation",
    "exact_law",
    "exact_reward",
    "expected_loss",
    "largest_stable_step_size",
    "reconstruct",
    "sign_sgd_approximation",
    "simulate",
    "simulate_adaptive",
    "simulated_reward",
    "snapshot_times",
    "stationary_law",
    "sweep",
]

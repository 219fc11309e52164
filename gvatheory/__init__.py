"""Gradient variance amplification: linear-dynamical and cliff-loss models with exact laws, each also simulated.

import gvatheory as gva

problem = gva.NoisyQuadratic(curvature=1.0, noise_variance=4.0, batch_size=8)
law = gva.exact_law(problem, gva.Constant(0.1), gva.EMA(0.01), steps=1000, initial_error=1.0)
gva.CliffBall(radius=0.2, penalty=1.0).fall_probability(law)
"""

from gvatheory import closed_forms, plots
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
from gvatheory.certificates import (
    certified_energy,
    certified_horizon_bound,
    certified_radius,
    common_lyapunov,
    gap_bound,
    verify_certificate,
)
from gvatheory.composed_schedules import Piecewise, Scaled, Warmup
from gvatheory.contracting import ContractingLoop, offset_reward_spread, random_contracting_loop
from gvatheory.diffusion import diffusion_law, stationary_diffusion_law
from gvatheory.gain_derivatives import reward_gradient, reward_hessian, second_order_moments
from gvatheory.gain_rewards import (
    ExpandedReward,
    GainReward,
    exact_gain_moments,
    expand_reward,
    reward_along,
    reward_spread_by_horizon,
)
from gvatheory.laws import Law
from gvatheory.learning import exact_law, expected_loss, largest_stable_step_size, stationary_law
from gvatheory.linear_cloning import CloningOutcome, cloning_problem, exact_cloning, simulated_cloning
from gvatheory.linear_system import LinearSystem, horizon_exponent, rollout_rewards
from gvatheory.lyapunov import lyapunov_exponent, lyapunov_exponent_of, random_lyapunov_exponent
from gvatheory.methods import SGD, HeavyBall, Method, Nesterov, ScheduleFree
from gvatheory.optimum import Optimum, grid_optimum, optimum
from gvatheory.paths import fall_dynamics, fall_fraction, simulate_path, stationary_autocovariance, window_spread
from gvatheory.polyhedra import CliffPolyhedron
from gvatheory.problems import Drifting, LinearRegression, NoisyQuadratic, Problem
from gvatheory.random_systems import lqr_gain, lqr_system, random_system
from gvatheory.recommend import Recommendation, recommend_average
from gvatheory.reconstruction import Reconstruction, reconstruct, snapshot_times
from gvatheory.rewards import CliffBall, CliffHalfspace, Reward, RewardLaw
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
from gvatheory.separation import growth_law, parting_time, return_growth_law
from gvatheory.simulate import simulate, simulate_grid
from gvatheory.smooth_rewards import SaturatingReward, SmoothCliff
from gvatheory.stability import (
    hinf_norm_sweep,
    kreiss_lower_bound,
    perturbed_power_bound,
    power_bound,
    real_stability_radius,
    spectral_radius,
    stability_radius,
    transient_growth,
)
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
    "CliffPolyhedron",
    "CloningOutcome",
    "Coefficients",
    "Constant",
    "ContractingLoop",
    "Cosine",
    "Drifting",
    "EveryK",
    "ExpandedReward",
    "Exponential",
    "FixedWeights",
    "GainReward",
    "HeavyBall",
    "InverseTime",
    "LastIterate",
    "Law",
    "Linear",
    "LinearRegression",
    "LinearSystem",
    "Method",
    "Nesterov",
    "NoisyQuadratic",
    "Optimum",
    "Piecewise",
    "Polyak",
    "PowerDecay",
    "PowerEMA",
    "PowerProfile",
    "Preconditioned",
    "Problem",
    "Recommendation",
    "Reconstruction",
    "RecursiveAverage",
    "Reward",
    "RewardLaw",
    "RewardMoments",
    "SaturatingReward",
    "ScalarLoop",
    "Scaled",
    "Schedule",
    "ScheduleFree",
    "SmoothCliff",
    "Tail",
    "Warmup",
    "WarmupStableDecay",
    "WeightedWindow",
    "adam_approximation",
    "certified_energy",
    "certified_horizon_bound",
    "certified_radius",
    "cloning_problem",
    "closed_forms",
    "common_lyapunov",
    "diffusion_law",
    "exact_cloning",
    "exact_gain_moments",
    "exact_law",
    "exact_reward",
    "expand_reward",
    "expected_loss",
    "fall_dynamics",
    "fall_fraction",
    "gap_bound",
    "grid_optimum",
    "growth_law",
    "hinf_norm_sweep",
    "horizon_exponent",
    "kreiss_lower_bound",
    "largest_stable_step_size",
    "lqr_gain",
    "lqr_system",
    "lyapunov_exponent",
    "lyapunov_exponent_of",
    "offset_reward_spread",
    "optimum",
    "parting_time",
    "perturbed_power_bound",
    "plots",
    "power_bound",
    "random_contracting_loop",
    "random_lyapunov_exponent",
    "random_system",
    "real_stability_radius",
    "recommend_average",
    "reconstruct",
    "return_growth_law",
    "reward_along",
    "reward_gradient",
    "reward_hessian",
    "reward_spread_by_horizon",
    "rollout_rewards",
    "second_order_moments",
    "sign_sgd_approximation",
    "simulate",
    "simulate_adaptive",
    "simulate_grid",
    "simulate_path",
    "simulated_cloning",
    "simulated_reward",
    "snapshot_times",
    "spectral_radius",
    "stability_radius",
    "stationary_autocovariance",
    "stationary_diffusion_law",
    "stationary_law",
    "sweep",
    "transient_growth",
    "verify_certificate",
    "window_spread",
]

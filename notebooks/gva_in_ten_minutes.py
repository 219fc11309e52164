# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Gradient variance amplification in ten minutes
#
# A cloned policy is trained until its loss is small and flat, and yet its reward jumps from one checkpoint to the next.
# The picture behind this library has two stages:
#
# 1. **Learning is a linear filter.** Minibatch noise goes in, parameter error comes out. Step size, batch size and
#    averaging set how much of it.
# 2. **The closed loop is an amplifier.** A small parameter error becomes a large change of reward, because errors
#    compound over the horizon, or because the reward has a cliff.
#
# For simple models both stages have exact laws. Each law also has a simulation that really runs SGD, so that you can
# check it. Every number below is computed when its cell is run.

# %%
import jax
import matplotlib.pyplot as plt
import numpy as np
from scipy.stats import binomtest

import gvatheory as gva
from gvatheory import plots
from gvatheory.closed_forms import ema_factor, sgd_variance
from gvatheory.optimum import optimum

plt.rcParams.update({"figure.figsize": (5.6, 3.4), "figure.dpi": 110, "figure.constrained_layout.use": True})
plt.rcParams.update({"font.size": 9, "legend.frameon": False, "axes.spines.top": False, "axes.spines.right": False})


def with_interval(value, error):
    """A simulated value with its 95 % interval, 1.96 standard errors to each side."""
    return f"{value:.4g} (95 % interval {value - 1.96 * error:.4g} to {value + 1.96 * error:.4g})"


# %% [markdown]
# ## 1. A linear filter
#
# Along one direction of curvature $\lambda$, with error $e_t = \theta_t - \theta^*$ and gradient noise of variance
# $\sigma^2$ per batch, SGD is
#
# $$e_{t+1} = (1 - k)\, e_t - \eta\, \xi_t, \qquad k = \eta\lambda .$$
#
# At a constant step its variance settles at $V = \eta\sigma^2 / (\lambda (2 - k))$. An exponential moving average
# (EMA) $\tilde\theta_t = (1-\gamma)\tilde\theta_{t-1} + \gamma\theta_t$ multiplies it by
#
# $$\frac{\gamma}{2-\gamma} \cdot \frac{1 + a\rho}{1 - a\rho}, \qquad a = 1 - k, \quad \rho = 1 - \gamma .$$

# %%
ETA, GAMMA, SEED = 0.1, 0.01, 0
problem = gva.NoisyQuadratic(curvature=1.0, noise_variance=4.0, batch_size=8)  # noise variance is per example
raw = gva.stationary_law(problem, ETA)
averaged = gva.stationary_law(problem, ETA, gva.EMA(GAMMA))
print(f"SGD: variance {raw.covariance[0, 0]:.6f}, by the formula {sgd_variance(ETA, 1.0, 4.0 / 8):.6f}")
print(f"EMA: {averaged.covariance[0, 0] / raw.covariance[0, 0]:.6f} of it, by the formula", end=" ")
print(f"{ema_factor(ETA, 1.0, GAMMA):.6f}")

# %% [markdown]
# The law is exact at every finite time as well. Here is the standard deviation after $T$ steps from $\theta^*$, and the
# same from simulated runs.

# %%
TRIALS = 4000


def spread(steps, gamma, seed):
    law = gva.exact_law(problem, gva.Constant(ETA), gva.EMA(gamma), steps, initial_error=0.0)
    errors = gva.simulate(problem, gva.Constant(ETA), gva.EMA(gamma), steps, 0.0, TRIALS, seed)
    sd = float(errors.std())
    return {"exact": law.std[0], "spread": sd, "spread_se": sd / np.sqrt(2 * TRIALS)}


steps = np.unique(np.geomspace(4, 1000, 7).astype(int))
grid = gva.sweep(spread, {"steps": steps, "gamma": [1.0, 0.1, 0.01]}, seed=SEED, engine="loop")
plots.curves(grid, "spread", "steps", "gamma", theory="exact", label="sd of the averaged iterate")
plt.title(f"lines: exact; points: {TRIALS} runs, seed {SEED}, 95 % intervals", fontsize=9)
plt.show()

# %% [markdown]
# The points of one sweep share their noise, so neighbouring points err together; the intervals are those of each point
# alone.
#
# ## 2. A cliff: tiny loss, large swings of the reward
#
# Let the policy fall once its error passes $\varepsilon$: an episode with its own disturbance of size $w$ costs $C$
# if $e > \varepsilon + w \cdot \text{noise}$. The expected return of a policy with error $e$ is then
# $J(e) = -C\, \Phi((e - \varepsilon)/w)$. Below, one run of SGD after convergence: the loss
# $\frac12\lambda e^2$ as a share of the loss at the start of training, and the return.

# %%
cliff = gva.SmoothCliff(normal=1.0, offset=0.35, width=0.05, penalty=1.0)
START = 3.0  # initial error
path = gva.simulate_path(problem, ETA, gva.LastIterate(), 400, spacing=1, trials=1, seed=SEED)[0]
smooth = gva.simulate_path(problem, ETA, gva.EMA(GAMMA), 400, spacing=1, trials=1, seed=SEED)[0]

figure, (top, bottom) = plt.subplots(2, 1, sharex=True, figsize=(5.6, 4.2))
for errors, name, colour in ((path, "last iterate", "#D55E00"), (smooth, f"EMA, γ = {GAMMA}", "#0072B2")):
    top.plot(0.5 * errors[:, 0] ** 2 / (0.5 * START**2), color=colour, lw=1.2)
    bottom.plot(cliff.value(errors), color=colour, lw=1.2, label=name)
top.set(ylim=(-0.02, 1), ylabel="loss / initial loss")
bottom.set(ylim=(-1.05, 0.05), ylabel="return J", xlabel="steps after convergence")
bottom.legend(loc="lower right", ncols=2)
top.set_title(f"one run, seed {SEED}", fontsize=9)
plt.show()

# %%
last = gva.exact_reward(problem, gva.Constant(ETA), gva.LastIterate(), cliff, 2000, START)
ema = gva.exact_reward(problem, gva.Constant(ETA), gva.EMA(GAMMA), cliff, 2000, START)
print(f"exact, last iterate: loss {last.loss / (0.5 * START**2):.2%} of the initial one,", end=" ")
print(f"but sd of the return {np.sqrt(last.variance):.3f} of a penalty of 1")
print(f"exact, EMA: sd of the return {np.sqrt(ema.variance):.3g}")
run = gva.simulated_reward(problem, gva.Constant(ETA), gva.LastIterate(), cliff, 2000, START, 20_000, SEED)
print(f"simulated, last iterate (20,000 runs, seed {SEED}): mean return", end=" ")
print(with_interval(run.mean, run.standard_errors[0]))
print(f"exact mean return {last.mean:.4f}")

# %% [markdown]
# ## 3. Exact and simulated fall probability
#
# The probability that a policy is past the cliff after 400 steps, over step sizes and averages. At $\gamma = 1$ the
# average is the last iterate.

# %%
edge = gva.CliffHalfspace(normal=1.0, offset=0.35, penalty=1.0)


def falls(step_size, gamma, seed):
    setting = (problem, gva.Constant(step_size), gva.EMA(gamma), edge, 400, 0.0)
    run = gva.simulated_reward(*setting, TRIALS, seed)
    exact = gva.exact_reward(*setting).fall_probability
    interval = binomtest(round(TRIALS * run.fall_probability), TRIALS).proportion_ci(method="wilson")
    return {"exact": exact, "fallen": run.fall_probability, "fallen_low": interval.low, "fallen_high": interval.high}


grid = gva.sweep(falls, {"step_size": np.geomspace(0.02, 1.0, 10), "gamma": [1.0, 0.3, 0.1]}, seed=SEED, engine="loop")
plots.curves(grid, "fallen", "step_size", "gamma", theory="exact", log=["step_size"], label="fall probability")
plt.title(f"lines: exact; points: {TRIALS} runs, seed {SEED}, 95 % Wilson intervals", fontsize=9)
plt.show()
miss = np.abs(grid.fallen - grid.exact) / np.sqrt(grid.exact * (1 - grid.exact) / TRIALS)
print(f"largest distance between simulated and exact: {float(miss.max()):.2f} standard errors, {miss.size} cells")

# %% [markdown]
# ## 4. The amplifier: how the spread grows with the horizon
#
# No cliff is needed. In the scalar loop $x_{h+1} = (a + \delta)\, x_h$ with reward $J_H = -\sum_{h<H} x_h^2$ and a
# random gain error $\delta \sim N(0, s^2)$, the standard deviation of $J_H$ is, to first order,
# $s\, |\sum_h 2h\, a^{2h-1}|$: bounded in $H$ for a stable loop, $\propto H^2$ at the margin $a = 1$, exponential
# beyond. The loss of one step is the same $s^2 x^2$ in all three. Solid: exact. Dotted: first order.

# %%
gain = gva.Law(np.zeros(1), np.full((1, 1), 1e-6))  # s = 0.001
horizons = np.unique(np.geomspace(2, 200, 16).astype(int))
for closed_loop, name, colour in (
    (0.9, "stable", "#009E73"),
    (1.0, "marginal", "#0072B2"),
    (1.03, "unstable", "#D55E00"),
):
    exact = [np.sqrt(gva.ScalarLoop(closed_loop, int(H)).variance(gain)) for H in horizons]
    first = [gain.std[0] * sum(2 * h * closed_loop ** (2 * h - 1) for h in range(H)) for H in horizons]
    plt.loglog(horizons, exact, color=colour, label=f"{name}, a = {closed_loop}")
    plt.loglog(horizons, first, ":", color="black", lw=1)
    late = gva.horizon_exponent(horizons[-5:], np.array(exact[-5:]))
    print(f"{name}: sd {exact[-1]:.3g} at H = {horizons[-1]}; local exponent of H there: {late.local[-1]:.2f}")
plt.xlabel("horizon H")
plt.ylabel("sd of the reward, s = 0.001")
plt.legend()
plt.show()

# %% [markdown]
# ## 5. A phase diagram
#
# Both stages are traceable by JAX, so a grid of step sizes and averaging rates is one compiled call. Training starts
# at an error of 3 and lasts 200 steps, and the cliff is nearer. Top right: too much noise gets through. Bottom and
# left: the start is not yet forgotten. Where every run has fallen the return has no spread either, so the expected
# penalty on the right belongs beside the spread on the left.

# %%
near = gva.SmoothCliff(normal=1.0, offset=0.25, width=0.05, penalty=1.0)


def outcome(step_size, gamma):
    moments = gva.exact_reward(problem, gva.Constant(step_size), gva.EMA(gamma), near, 200, START)
    return {"sd": moments.variance**0.5, "penalty": -moments.mean}


grid = gva.sweep(outcome, {"step_size": np.geomspace(0.01, 1.0, 60), "gamma": np.geomspace(0.003, 1.0, 60)})
print(f"{grid.sd.size} cells, engine: {grid.attrs['engine']}")
figure, axes = plt.subplots(1, 2, figsize=(9.6, 3.6))
plots.phase_diagram(grid, "sd", "step_size", "gamma", ax=axes[0], contours=0.1, label="sd of the return")
plots.phase_diagram(grid, "penalty", "step_size", "gamma", ax=axes[1], contours=0.05, label="expected penalty")
plt.show()

# %% [markdown]
# ## 6. Two spreads that are easily confused
#
# Across *seeds* one sees the whole stationary variance. Across a *window* of $n$ neighbouring checkpoints one sees only
#
# $$V \Big[1 - \frac{2}{n-1} \sum_{j<n} (1 - j/n)\, r_j\Big],$$
#
# where $r_j$ is the autocorrelation of the averaged iterate. A slow EMA looks calm in a window and still differs from
# seed to seed. Always say which one is meant.

# %%
WINDOWS = 2000


def window(gamma, count, seed):
    spread = gva.window_spread(problem, ETA, gva.EMA(gamma), count)
    path = gva.simulate_path(problem, ETA, gva.EMA(gamma), count, spacing=1, trials=WINDOWS, seed=seed)
    seen = path[:, :, 0].var(axis=1, ddof=1) / spread.seeds[0, 0]
    return {"exact": spread.ratio[0], "seen": seen.mean(), "seen_se": seen.std() / np.sqrt(WINDOWS)}


grid = gva.sweep(window, {"gamma": np.geomspace(0.003, 1.0, 9), "count": [10, 100, 1000]}, seed=SEED, engine="loop")
plots.curves(grid, "seen", "gamma", "count", theory="exact", label="variance in a window / across seeds")
plt.title(f"lines: exact; points: {WINDOWS} windows, seed {SEED}, 95 % intervals", fontsize=9)
plt.show()
slow = gva.window_spread(problem, ETA, gva.EMA(0.003), 100).ratio[0]
print(f"EMA of rate 0.003, 100 checkpoints: the window shows {slow:.2%} of the variance across seeds")

# %% [markdown]
# ## 7. Derivatives, and the best rate
#
# The exact law is a function of its parameters, and `jax.grad` differentiates it. (Turn on 64-bit mode around your own
# transformations.)


# %%
def penalty(gamma):
    return outcome(ETA, gamma)["penalty"]


with jax.enable_x64(True):
    slope = float(jax.grad(penalty)(0.1))
finite = (penalty(0.1 + 1e-6) - penalty(0.1 - 1e-6)) / 2e-6
print(f"slope of the expected penalty in gamma, at 0.1: {slope:.8f} by jax.grad, {finite:.8f} by a difference quotient")

# %% [markdown]
# `optimum` follows such gradients to the best parameters, of the rate alone or of rate and step size together. Step
# size and rate enter the law of the average in the same way, so the best pair has $\eta\lambda = \gamma$.

# %%
best = optimum(outcome, {"gamma": (0.003, 1.0)}, {"step_size": ETA}, of="penalty")
both = optimum(outcome, {"step_size": (0.01, 1.0), "gamma": (0.003, 1.0)}, of="penalty")
print(f"last iterate, step size {ETA}: expected penalty {penalty(1.0):.4f}")
print(f"step size {ETA}: best gamma {best.location['gamma']:.4f}, expected penalty {best.value:.4f}")
print(f"both free: step size {both.location['step_size']:.4f}, gamma {both.location['gamma']:.4f}", end=", ")
print(f"expected penalty {both.value:.4f}")

# %%
line = gva.sweep(outcome, {"gamma": np.geomspace(0.003, 1.0, 100), "step_size": [ETA]})
axes = plots.curves(line, "penalty", "gamma", label=f"expected penalty, step size {ETA}")
axes.plot(best.location["gamma"], best.value, "o", color="#D55E00")
axes.annotate("optimum", (best.location["gamma"], best.value), xytext=(8, -4), textcoords="offset points")
plt.show()

# %% [markdown]
# ## Where to go on
#
# * `which_average.py`: which average for your step size, batch, curvature, drift and number of steps.
# * `your_own_system.py`: your own linear system, from stability to cloning, and your own reward.

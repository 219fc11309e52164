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
# # Which average should I use?
#
# Averaging iterates lowers the noise of the final parameters, and costs nothing but memory. It also looks back: at a
# start that is not forgotten (bias), or at an optimum that has moved on (drift). Which average is best depends on step
# size, batch size, the spectrum of curvatures, drift, and the number of steps $T$. This notebook computes the answer
# from the exact law of the averaged iterate. The last cell is for your own numbers.

# %%
import matplotlib.pyplot as plt
import numpy as np

import gvatheory as gva
from gvatheory import plots
from gvatheory.closed_forms import optimal_gamma
from gvatheory.recommend import series_loss

plt.rcParams.update({"figure.figsize": (5.6, 3.4), "figure.dpi": 110, "figure.constrained_layout.use": True})
plt.rcParams.update({"font.size": 9, "legend.frameon": False, "axes.spines.top": False, "axes.spines.right": False})


def describe(average):
    """A short name with its parameter to three digits."""
    values = (f"{k}={v:.3g}" for k, v in vars(average).items() if not (k in ("burn_in", "floor") and v == 0))
    return f"{type(average).__name__}({', '.join(values)})"


# %% [markdown]
# ## 1. One question, one call
#
# A problem with eight directions, curvatures $\lambda_i$ over two decades, and gradient noise that is larger where the
# loss is more curved, as it is in regression: a covariance of $\lambda_i$ per example. The initial error matters:
# zero would flatter averages that never leave $\theta_0$.

# %%
CURVATURE = np.geomspace(0.01, 1.0, 8)
ETA, T, START = 0.5, 4000, 1.0
problem = gva.NoisyQuadratic(CURVATURE, noise_variance=CURVATURE, batch_size=8)
advice = gva.recommend_average(problem, gva.Constant(ETA), T, START)
print(
    f"use {describe(advice.average)}: excess loss {advice.loss:.3g}, {advice.improvement:.1f} times less than without"
)
for candidate in advice.candidates:
    print(f"  {describe(candidate.average):32} loss {candidate.loss:.3g}, {candidate.improvement:.1f} times less")

# %% [markdown]
# ## 2. The rule of thumb: time constants in series
#
# For small steps, SGD with step size $\eta$ followed by an EMA of rate $\gamma$ behaves like one filter whose time
# constants add, in every direction:
#
# $$\operatorname{Var} \approx \frac{\sigma^2}{2\lambda^2\tau}, \qquad \tau = \frac1{\eta\lambda} + \frac1\gamma .$$
#
# Equivalently the average has the variance of SGD at the smaller step $1/\eta_\text{eff} = 1/\eta + \lambda/\gamma$.
# Here is the loss over $\gamma$, by this law and exactly, and from runs of SGD.

# %%
SEED, TRIALS = 0, 400
gammas = np.geomspace(0.5 / T, 1.0, 40)


def loss_of(average, case=problem, schedule=None, steps=T):
    law = gva.exact_law(case, schedule or gva.Constant(ETA), average, steps, START)
    return gva.expected_loss(case, law)


shown = np.geomspace(1.5 / T, 1.0, 8)
runs = gva.simulate_grid(problem, [gva.Constant(ETA)] * 8, [gva.EMA(g) for g in shown], T, START, TRIALS, SEED)
losses = 0.5 * runs**2 @ CURVATURE
plt.loglog(gammas, [loss_of(gva.EMA(g)) for g in gammas], label="exact")
plt.loglog(gammas, [series_loss(problem, ETA, g, T, START) for g in gammas], "--", label="series law")
bars = 1.96 * losses.std(axis=1) / np.sqrt(TRIALS)
plt.errorbar(shown, losses.mean(axis=1), bars, fmt="k.", capsize=2, label="simulated, 95 % intervals")
plt.axvline(advice.series_gamma, color="grey", lw=0.8, ls=":")
plt.xlabel("EMA rate γ")
plt.ylabel("excess loss")
plt.title(f"{TRIALS} runs, seed {SEED}; all points on the same noise", fontsize=9)
plt.legend()
plt.show()
print(f"the series law would choose gamma = {advice.series_gamma:.3g} (dotted): it predicts a loss of", end=" ")
print(f"{advice.series_prediction:.3g}, and the exact loss there is {advice.series_loss:.3g}")

# %% [markdown]
# ## 3. Three regimes
#
# * **Noise.** $e_0$ is long forgotten: average over as much as possible.
# * **Bias.** $T$ is short for the flattest direction: the average must leave the start behind.
# * **Drift.** The optimum moves by $v$ each step, and an average of reach $\tau$ trails it by $v\tau$. Balancing
#   $(v\tau)^2$ against $\sigma^2/(2\lambda^2\tau)$ gives $\tau^* = (\sigma / 2v\lambda)^{2/3}$, however long the run.

# %%
VELOCITY = 5e-4
drifting = gva.Drifting(problem, VELOCITY)


def best_ema(found):
    """Rate and loss of the best constant EMA."""
    return next((c.average.gamma, c.loss) for c in found.candidates if isinstance(c.average, gva.EMA))


regimes = {
    f"noise: T = {T}": (problem, T),
    "bias: T = 300": (problem, 300),
    f"drift: v = {VELOCITY}, T = {T}": (drifting, T),
}
for (name, (case, steps)), colour in zip(regimes.items(), ("#0072B2", "#D55E00", "#009E73"), strict=True):
    raw = loss_of(gva.LastIterate(), case, steps=steps)
    plt.loglog(gammas, [loss_of(gva.EMA(g), case, steps=steps) / raw for g in gammas], color=colour, label=name)
    found = gva.recommend_average(case, gva.Constant(ETA), steps, START)
    rate, least = best_ema(found)
    plt.plot(rate, least / raw, "o", color=colour)
    print(f"{name}: best {describe(found.average)}, {found.improvement:.2f} times less loss", end="; ")
    print(f"best EMA γ = {rate:.3g}, {raw / least:.2f} times less")
plt.axhline(1.0, color="grey", lw=0.8, ls=":")
plt.ylim(0.005, 20)
plt.xlabel("EMA rate γ (dots: the best)")
plt.ylabel("loss / loss of the last iterate")
plt.legend()
plt.show()

# %%
single = gva.Drifting(gva.NoisyQuadratic(1.0, 1.0, 8), VELOCITY)
rule = float(optimal_gamma(ETA, 1.0, 1.0 / 8, VELOCITY))
found = gva.recommend_average(single, gva.Constant(ETA), T, START)
print(f"one direction with drift: rule of thumb γ* = {rule:.4f}, exact {best_ema(found)[0]:.4f}")

# %% [markdown]
# ## 4. When no average is worth its while
#
# If the run is still on its way to the optimum, or the optimum outruns the noise, an average only lags.
# `recommend_average` returns `LastIterate()` unless another saves 5 % of the loss (its argument `worthwhile`). A step
# size that decays is an average of its own kind, and leaves less to gain.

# %%
cases = {
    "constant step": (problem, gva.Constant(ETA)),
    "linear decay to zero": (problem, gva.Linear(ETA, T)),
    "small steps, still on the way": (problem, gva.Constant(0.002)),
    "constant step, fast drift": (gva.Drifting(problem, 0.02), gva.Constant(ETA)),
}
for name, (case, schedule) in cases.items():
    found = gva.recommend_average(case, schedule, T, START)
    best, raw = found.candidates[0], loss_of(gva.LastIterate(), case, schedule)
    print(f"{name}: use {describe(found.average)}", end="; ")
    print(f"last iterate {raw:.3g}, best average {describe(best.average)} {best.loss:.3g}")

# %% [markdown]
# ## 5. Polyak, EMA, power EMA
#
# How the loss falls with the number of steps. A constant EMA stops at its floor. Polyak's uniform average falls like
# $1/T$ in the end, but at first drags $e_0$ along: a bias of order $1/T$, whose square matters early. A power EMA,
# $\gamma_t = t^{-\alpha}$, forgets faster and pays for it later. A burn-in does the same by hand.

# %%
averages = {
    "last iterate": gva.LastIterate(),
    "EMA, γ = 0.01": gva.EMA(0.01),
    "Polyak": gva.Polyak(),
    "power EMA, α = 0.8": gva.PowerEMA(0.8),
    "Polyak, burn-in 400": gva.Polyak(burn_in=400),
}


def by_steps(steps, average):
    return {"loss": loss_of(averages[average], steps=steps)}


times = np.unique(np.geomspace(20, 30_000, 50).astype(int))
grid = gva.sweep(by_steps, {"steps": times, "average": list(averages)}, engine="loop")
plots.curves(grid, "loss", "steps", "average", label="excess loss")
plt.show()
ranking = grid.loss.idxmin("average")
for steps in times[::10]:
    print(f"T = {steps}: least loss with {ranking.sel(steps=steps).item()}")

# %% [markdown]
# ## 6. Decide later: rebuild any average from a few snapshots
#
# One need not choose $\gamma$ before training. Keep two averages of different memory, store each a few times, and
# combine the snapshots so that their weights come closest to those of the average you want (coefficients summing to
# one, least squares). With $r$ the error of the weights, noise contributes an rms error of at most
# $(\sigma/\lambda)\lVert r \rVert_2$ for $\eta\lambda \le 1$, and the start a similar term; the bound printed below
# holds both.

# %%
target = gva.EMA(0.01)
kept = (gva.PowerProfile(16.0), gva.PowerProfile(6.0))


def stored(count):
    return [(average, time) for average in kept for time in gva.snapshot_times(count, T)]


rebuilt = {count: gva.reconstruct(target, stored(count), T) for count in (4, 16)}
plt.plot(target.kernel(T), color="black", lw=2.5, label="wanted: " + describe(target))
for (count, result), colour in zip(rebuilt.items(), ("#D55E00", "#56B4E9"), strict=True):
    plt.plot(result.weights, color=colour, lw=1.2, label=f"rebuilt from 2 × {count} snapshots")
plt.xlim(T // 2, T)
plt.xlabel("iterate t")
plt.ylabel("weight")
plt.legend()
plt.show()
for count, result in rebuilt.items():
    bound = result.rms_error_bound(noise_std=np.sqrt(1 / 8), curvature=1.0, step_size=ETA, initial_error=START)
    exact = result.exact_rms_error(noise_std=np.sqrt(1 / 8), curvature=1.0, step_size=ETA, initial_error=START)
    print(f"2 × {count} snapshots: loss {loss_of(result.average):.4g} (wanted {loss_of(target):.4g});", end=" ")
    print(f"steepest direction: rms error {exact:.2g}, bound {bound:.2g}")

# %% [markdown]
# The same in one run, written out: keep the snapshots, throw the iterates away, and combine afterwards.

# %%
rng = np.random.default_rng(SEED)
iterates = np.full((T + 1, len(CURVATURE)), START)
for t in range(T):
    noise = np.sqrt(CURVATURE / 8) * rng.standard_normal(len(CURVATURE))
    iterates[t + 1] = iterates[t] - ETA * (CURVATURE * iterates[t] + noise)
snapshots = np.stack([average.kernel(time) @ iterates[: time + 1] for average, time in stored(16)])
combined, wanted = rebuilt[16].combine(snapshots), target.kernel(T) @ iterates
print(f"one run, seed {SEED}: largest difference {np.abs(combined - wanted).max():.2g}", end=" ")
print(f"in coordinates of size {np.abs(wanted).max():.2g}", end="; ")
print(f"the last iterate is {np.abs(iterates[-1] - wanted).max():.2g} away")

# %% [markdown]
# ## 7. Updating at every k-th step only
#
# A large network's average is expensive to update. `EveryK` updates at every $k$-th step with the rate
# $1 - (1-\gamma)^k$, which keeps the profile of the weights. In flat directions neighbouring iterates repeat each other
# (their correlation time is $1/\eta\lambda$) and nothing is lost. In steep ones each iterate that is left out
# would have told something new. Leaving the rate at $\gamma$ instead makes the memory $k$ times longer.

# %%
ema = gva.EMA(0.002)
for k, style in ((1, "-"), (200, "--")):
    plt.plot(np.cumsum(gva.EveryK(ema, k).kernel(T)), style, label=f"every {k}")
plt.xlabel("iterate t")
plt.ylabel("weight up to t")
plt.legend()
plt.show()
plain = loss_of(ema)
for k in (1, 10, 40, 200):
    naive = loss_of(gva.EveryK(gva.EMA(float(-np.expm1(np.log1p(-ema.gamma) / k))), k))  # rate γ at each update
    kept_profile = loss_of(gva.EveryK(ema, k))
    print(f"k = {k}: {kept_profile / plain:.2f} times the loss of k = 1; rate left at γ: {naive / plain:.4g} times")

# %% [markdown]
# ## 8. Your numbers
#
# Edit and run. Where do they come from? The step size, batch size and $T$ are known. The curvatures are eigenvalues of
# the Hessian (or of the feature covariance); a rough spectrum will do. The noise variance per example is the variance
# of per-example gradients along those directions. The start is the distance still to go, in the same units. Leave the
# velocity at zero unless you have reason to think that the optimum moves.

# %%
my_curvature = np.array([1.0, 0.3, 0.1, 0.03, 0.01])
my_noise_variance = my_curvature  # per example
my_batch_size = 32
my_step_size = 0.3
my_steps = 2000
my_start = 1.0
my_velocity = 0.0  # of the optimum, per step

mine = gva.NoisyQuadratic(my_curvature, my_noise_variance, my_batch_size)
mine = gva.Drifting(mine, my_velocity) if my_velocity else mine
limit = gva.largest_stable_step_size(mine)
print(f"largest stable step size: {limit:.3g} ({my_step_size / limit:.0%} of it in use)")
advice = gva.recommend_average(mine, gva.Constant(my_step_size), my_steps, my_start)
print(f"use {describe(advice.average)}: {advice.improvement:.2f} times less loss than the last iterate")
for candidate in advice.candidates:
    print(f"  {describe(candidate.average):32} loss {candidate.loss:.3g}, {candidate.improvement:.2f} times less")

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
# # Your own system
#
# Here the policy sits in a loop. Put in your own matrices, and ask: how much can the clone's gain be wrong before the
# loop breaks, how does the reward spread with the horizon, and what do step size and averaging make of it? At the end,
# your own reward.

# %%
import dataclasses

import matplotlib.pyplot as plt
import numpy as np
from scipy.special import ndtr

import gvatheory as gva
from gvatheory import plots
from gvatheory.gain_derivatives import reward_gradient

plt.rcParams.update({"figure.figsize": (5.6, 3.4), "figure.dpi": 110, "figure.constrained_layout.use": True})
plt.rcParams.update({"font.size": 9, "legend.frameon": False, "axes.spines.top": False, "axes.spines.right": False})


def with_interval(value, error):
    """A simulated value with its 95 % interval, 1.96 standard errors to each side."""
    return f"{value:.4g} (95 % interval {value - 1.96 * error:.4g} to {value + 1.96 * error:.4g})"


# %% [markdown]
# ## 1. The system and its expert
#
# $$x_{h+1} = A x_h + B u_h, \quad u_h = K^* x_h, \quad J_H = -\sum_{h<H} \mathbb E[x_h^\top Q x_h + u_h^\top R u_h].$$
#
# A cart on a line (position, velocity) that is pushed towards the origin. Edit the matrices; or take random ones, as in
# the commented line. `gva.lqr_gain` would give the optimal expert. This one is gentler than optimal, so that the slope
# of the reward in the gain is not zero.

# %%
DT = 0.1
A, B = np.array([[1.0, DT], [0.0, 1.0]]), np.array([[0.0], [DT]])
K = np.array([[-0.6, -0.9]])
# drawn = gva.random_system(4, 2, 0.95, seed=1); A, B, K = drawn.A, drawn.B, drawn.K_expert
n, m = B.shape
system = gva.LinearSystem(A, B, K, Q=np.eye(n), R=0.1 * np.eye(m), initial_covariance=np.eye(n), horizon=100)

optimal = gva.lqr_gain(A, B, system.Q, system.R)
print(f"spectral radius of the closed loop: {gva.spectral_radius(system.closed_loop):.4f}")
print(f"largest transient growth of its powers: {gva.transient_growth(system.closed_loop).value:.3f}")
print(f"expert's reward {system.reward(K):.2f}", end="; ")
print(f"the optimal gain {np.round(optimal, 2)} earns {system.reward(optimal):.2f}")
for name, at in (("expert", K), ("optimal gain", optimal)):
    print(f"slope of the reward in the gain at the {name}: {np.round(reward_gradient(system, at), 3)}")

# %% [markdown]
# ## 2. Loss and gap
#
# A clone with gain $K^* + \Delta$ has the loss $\ell_{BC} = \frac1H\sum_h \mathbb E \lVert \Delta x^*_h \rVert^2$ on
# the *expert's* states, and the gap $J_H(K^*) - J_H(K^* + \Delta)$ on *its own*. Along one direction the loss is a
# square; the gap explodes once the loop loses its stability.

# %%
complex_radius = gva.stability_radius(system.closed_loop, system.B)
real_radius = gva.real_stability_radius(system.closed_loop, system.B)
print(f"stability radius r_C = {complex_radius.radius:.4f} (worst frequency {complex_radius.frequency:.3f})")
print(f"for a constant real error r_R = {real_radius.radius:.4f}")

worst = real_radius.perturbation / real_radius.radius  # unit norm
sizes = np.geomspace(1e-3, 2.0 * real_radius.radius, 60)
losses = [system.cloning_loss(K + size * worst) for size in sizes]
gaps = [system.gap(K + size * worst) for size in sizes]
plt.loglog(sizes, losses, label="loss per step")
plt.loglog(sizes, gaps, label="gap of the reward")
plt.axvline(complex_radius.radius, color="grey", lw=0.8, ls=":", label="$r_C$")
plt.axvline(real_radius.radius, color="grey", lw=0.8, ls="--", label="$r_R$")
plt.xlabel("size of the gain error, along the worst direction")
plt.legend()
plt.show()

# %% [markdown]
# Below $r_C$ no error of the gain, not even one that changes from step to step, makes the loop unstable, and the gap is
# bounded whatever the horizon. The bound is for the worst case, so it is loose; the points are the largest gap over
# random directions of each size.

# %%
SEED = 0
shares = np.linspace(0.02, 0.9, 12)
bounds = [
    gva.gap_bound(
        system.closed_loop, B, K, system.Q, system.R, share * complex_radius.radius, system.initial_covariance
    ).gap
    for share in shares
]
directions = np.random.default_rng(SEED).standard_normal((200, m, n))
directions /= np.linalg.norm(directions, 2, axis=(1, 2))[:, None, None]
seen = [max(abs(system.gap(K + share * complex_radius.radius * d)) for d in directions) for share in shares]
plt.semilogy(shares, bounds, label="bound, any horizon")
plt.semilogy(shares, seen, "o", ms=4, label=f"largest of 200 directions (seed {SEED}), H = {system.horizon}")
plt.xlabel("‖Δ‖ / $r_C$")
plt.ylabel("gap")
plt.legend()
plt.show()

# %% [markdown]
# ### A certificate that can be checked
#
# The same radius from a linear matrix inequality: a quadratic $V(x) = x^\top P x$ that falls for every
# $\lVert\Delta\rVert \le r$. The solver (cvxpy) finds $P$; `verify_certificate` checks it by plain linear algebra.

# %%
try:
    certificate = gva.certified_radius(system.closed_loop, system.B)
except ImportError as error:
    print(f"skipped: {error}")
else:
    slack = gva.verify_certificate(system.closed_loop, system.B, certificate.P, certificate.radius)
    print(f"certified radius {certificate.radius:.9f}, of r_C = {complex_radius.radius:.9f}; slack {slack:.2g} > 0")

# %% [markdown]
# ## 3. The spread of the reward by horizon
#
# Let the gain error be $z \cdot D$, $z \sim N(0,1)$, with $D$ of size 0.003. For the stable loop the spread settles. If
# the expert only just holds the loop (here: position feedback is taken away, which leaves an eigenvalue at one), it
# keeps growing. Both curves are exact, and the gain error is the same.

# %%
horizons = np.unique(np.geomspace(10, 400, 16).astype(int))
marginal = dataclasses.replace(system, K_expert=np.array([[0.0, -0.9]]))
D = np.array([[0.002, 0.002]])
for case, name, colour in ((system, "stable expert", "#009E73"), (marginal, "marginal expert", "#D55E00")):
    sd = gva.reward_spread_by_horizon(case, D, horizons)
    plt.loglog(horizons, sd, color=colour, label=f"{name}, radius {gva.spectral_radius(case.closed_loop):.3f}")
    print(f"{name}: local exponent of H at the end {gva.horizon_exponent(horizons, sd).local[-1]:.2f}")
plt.xlabel("horizon H")
plt.ylabel("sd of the reward")
plt.legend()
plt.show()

# %% [markdown]
# A warning about moments. With a Gaussian gain error even a stable loop has a small probability of an unstable gain,
# and at long horizons such gains carry the mean and the variance. Quantiles tell what a typical clone does.

# %%
rare = gva.Law(np.zeros(m * n), 0.15**2 * np.eye(m * n))
errors = rare.sample(20_000, SEED)
for H in (50, 400):
    reward = gva.GainReward(dataclasses.replace(system, horizon=H))
    values = reward.value(errors)
    low, median, high = np.quantile(values, [0.05, 0.5, 0.95])
    print(f"H = {H}: 5 %, 50 %, 95 % quantiles {low:.1f}, {median:.1f}, {high:.1f};", end=" ")
    print(f"sd of the sample {values.std():.3g}, worst {values.min():.3g}; unstable {reward.fallen(errors).mean():.2%}")
print(f"({len(errors)} gains drawn, seed {SEED})")

# %% [markdown]
# ## 4. Cloning end to end
#
# Now the clone is trained: SGD on the expert's states, whose actions carry noise (a deterministic expert would leave no
# spread in the end). `exact_cloning` goes from step size, batch and average to the moments of $J_H$;
# `simulated_cloning` runs SGD and puts every clone into the loop.
#
# For a system with one state both are exact. With more, the gain's two moments are exact and its law is taken as
# Gaussian; the outcome says so (`exact=False`), and the simulation shows the difference. Do not make the batch much
# smaller: high moments of small batches are carried by runs too rare to be met, and the exact variance then grows
# without bound at large steps.

# %%
TRIALS = 1000
scalar = gva.LinearSystem(
    np.array([[1.1]]), np.array([[1.0]]), np.array([[-0.3]]), np.eye(1), np.zeros((1, 1)), np.eye(1), horizon=8
)
short = dataclasses.replace(system, horizon=40)


def clone(step_size, average, seed, case=None):
    setting = (case or scalar, gva.Constant(step_size), AVERAGES[average], 200, 0.3, 0.05, 8)
    exact, run = gva.exact_cloning(*setting), gva.simulated_cloning(*setting, trials=TRIALS, seed=seed)
    loss, _, variance = run.standard_errors
    return {
        "loss": exact.loss, "sampled_loss": run.loss, "sampled_loss_se": loss,
        "sd": np.sqrt(exact.variance), "sampled": np.sqrt(run.variance),
        "sampled_se": variance / (2 * np.sqrt(run.variance)),
    }  # fmt: skip


AVERAGES = {"last iterate": gva.LastIterate(), "EMA, γ = 0.05": gva.EMA(0.05)}
axes = {"step_size": np.geomspace(0.008, 0.4, 5), "average": list(AVERAGES)}
grid = gva.sweep(clone, axes, seed=SEED, engine="loop")
figure, (left, right) = plt.subplots(1, 2, figsize=(9.6, 3.4))
plots.curves(grid, "sampled_loss", "step_size", "average", theory="loss", ax=left, label="loss per step")
plots.curves(grid, "sampled", "step_size", "average", theory="sd", ax=right, label="sd of the reward across runs")
figure.suptitle(f"one state; lines: exact; points: {TRIALS} runs of SGD, seed {SEED}, 95 % intervals", fontsize=9)
plt.show()


# %%
def clone_short(step_size, average, seed):
    return clone(step_size, average, seed, short)


grid = gva.sweep(clone_short, axes, seed=SEED, engine="loop")
plots.curves(grid, "sampled", "step_size", "average", theory="sd", label="sd of the reward across runs")
plt.title(f"two states; lines: Gaussian closure\npoints: {TRIALS} runs, seed {SEED}, 95 % intervals", fontsize=9)
plt.show()
worst_cell = (grid.sampled / grid.sd - 1).where(grid.sd > 0)
print(f"simulated over closure: from {float(worst_cell.min()):+.1%} to {float(worst_cell.max()):+.1%}")

# %% [markdown]
# ## 5. Your own reward
#
# A reward of the parameter error is a class with three methods: its value on samples, which samples have fallen, and
# its moments under a Gaussian law. Here is one that pays for how far past a line the error is,
#
# $$J(e) = -\max(0, \langle n, e \rangle - \varepsilon).$$
#
# With $X = \langle n, e\rangle \sim N(\mu, s^2)$ and $u = (\varepsilon - \mu)/s$ its moments are
# $\mathbb E J = -s\,[\varphi(u) - u\,\Phi(-u)]$ and $\mathbb E J^2 = s^2\,[(1 + u^2)\,\Phi(-u) - u\,\varphi(u)]$.


# %%
@dataclasses.dataclass(frozen=True, eq=False)
class Overshoot(gva.Reward):
    """J(e) = −max(0, ⟨normal, e⟩ − offset)."""

    normal: np.ndarray
    offset: float

    def value(self, errors):
        return -np.maximum(errors @ self.normal - self.offset, 0.0)

    def fallen(self, errors):
        return errors @ self.normal > self.offset

    def moments(self, law):
        sd = np.sqrt(self.normal @ law.covariance @ self.normal)
        u = (self.offset - self.normal @ law.mean) / sd
        density, tail = np.exp(-0.5 * u**2) / np.sqrt(2 * np.pi), ndtr(-u)
        mean, second = -sd * (density - u * tail), sd**2 * ((1 + u**2) * tail - u * density)
        return gva.RewardLaw(mean, second - mean**2, tail)


# %% [markdown]
# That is all it takes: it goes wherever the built-in rewards go. The simulation is also the check of your formulas.

# %%
problem = gva.NoisyQuadratic(np.array([1.0, 0.1]), 1.0, batch_size=8)
own = Overshoot(normal=np.array([1.0, 0.5]), offset=0.3)


def pays(step_size, gamma, seed):
    setting = (problem, gva.Constant(step_size), gva.EMA(gamma), own, 200, 0.0)
    exact, run = gva.exact_reward(*setting), gva.simulated_reward(*setting, trials=4000, seed=seed)
    return {"mean": -exact.mean, "sampled": -run.mean, "sampled_se": run.standard_errors[0]}


grid = gva.sweep(pays, {"step_size": np.geomspace(0.05, 1.0, 8), "gamma": [1.0, 0.1, 0.03]}, seed=SEED, engine="loop")
plots.curves(grid, "sampled", "step_size", "gamma", theory="mean", log=["step_size"], label="mean overshoot, −E J")
plt.title(f"lines: exact; points: 4000 runs, seed {SEED}, 95 % intervals", fontsize=9)
plt.show()
moments = gva.exact_reward(problem, gva.Constant(0.5), gva.LastIterate(), own, 400, 0.0)
run = gva.simulated_reward(problem, gva.Constant(0.5), gva.LastIterate(), own, 400, 0.0, trials=20_000, seed=SEED)
for name, exact, value, error in zip(
    ("mean", "variance", "P(past the line)"),
    (moments.mean, moments.variance, moments.fall_probability),
    (run.mean, run.variance, run.fall_probability),
    run.standard_errors,
    strict=False,
):
    print(f"{name}: exact {exact:.4g}, simulated {with_interval(value, error)}; 20,000 runs, seed {SEED}")

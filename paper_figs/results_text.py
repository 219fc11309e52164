"""The commentary of docs/results.md: what the paper reports, what differs here and why that may be.

Numbers are not repeated here: they stand in the tables beside it, which are computed.
"""

INTRODUCTION = """# Results: the predictions taken to networks

Which predictions of the linear and convex models hold in behaviour cloning of MuJoCo experts and in small language
models? Ten predictions, each with criteria whose regions were fixed in `neural/predictions/n*.py` before any run of
these seeds was looked at. A prediction *holds* if every criterion's interval lies within its region, *fails* if one
lies outside, and is *undecided* otherwise; intervals are Student's over at least {least} training seeds, at levels that
keep the probability of one wrong verdict among the {family} or more below {error:.0%}
(`neural/predictions/decision.py`). The intervals printed are of 95 %. A second set of seeds is judged in the same way.

Everything below is written by `gva predictions page` from the evidence that ships with the project. The evidence is
made anew by `gva predictions run --preset standard --seeds verdict` (and `--seeds check`), in hours on two cores; a
quick preset, which decides nothing, takes less than half an hour. All numbers are of one kind of CPU: on another,
training and rollouts amplify the last bits, and every run is another draw.

The regime: AdamW at a constant step size 4e-3, batches of 32, networks of three hidden layers of 256, 20,000 updates on
100 episodes of the stochastic expert. *Raw* is the iterate itself; returns are means over six initial conditions (four
where the physics is slow), the same for all policies. *Spaced* iterates are 1,500 updates apart, *consecutive* ones are
the last of the run, one by one."""

CHOICE = """Each selector names an average before any rollout. *Linear theory* computes, from the curvature and noise
spectrum and the gradient at the end of the run, the excess loss of every average in the bank, noise and lag together,
and takes the least; *least held-out loss* measures the loss of each; the others are fixed. Regret is the mean return of
the bank's best average, found on half of the initial conditions and measured on the other half, less that of the
average chosen. Means over five seeds with t-intervals; last column: interquartile mean over all runs, with a stratified
bootstrap interval."""

COMMENTARY: dict[str, str] = {}
"""By id of the prediction."""

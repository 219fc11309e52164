"""The commentary of docs/results.md: what the paper reports, what differs here and why that may be.

Numbers are not repeated here: they stand in the tables beside it, which are computed.
"""

INTRODUCTION = """# Results: the predictions taken to networks

Which predictions of the linear and convex models hold in behaviour cloning of MuJoCo experts and in small language
models? Ten predictions, each with criteria whose regions were fixed in `neural/predictions/n*.py` before any run of the
set `verdict` was looked at; the set `check` had been run, and looked at, before their last change. A prediction *holds*
if every criterion's interval lies within its region, *fails* if one lies outside, and is *undecided* otherwise;
intervals are Student's over at least {least} training seeds, at levels that keep the probability of one wrong verdict
among the {family} or more below {error:.0%} (`neural/predictions/decision.py`). The intervals printed are of 95 %.

Everything below is written by `gva predictions page` from the evidence that ships with the project. The evidence is
made anew by `gva predictions run --preset standard --seeds verdict` (and `--seeds check`), in hours on two cores;
`--preset quick` is far smaller and decides nothing. All numbers are of one kind of CPU: on another, training and
rollouts amplify the last bits, and every run is another draw.

The regime: AdamW at a constant step size 4e-3, batches of 32, networks of three hidden layers of 256, 20,000 updates on
100 episodes of the stochastic expert. *Raw* is the iterate itself; returns are means over six initial conditions (four
where the physics is slow), the same for all policies. *Spaced* iterates are 1,500 updates apart, *consecutive* ones are
the last of the run, one by one."""

CHOICE = """Each selector names an average before any rollout. *Linear theory* computes, from the curvature and noise
spectrum and the gradient at the end of the run, the excess loss of every average in the bank, noise and lag together,
and takes the least; *least held-out loss* measures the loss of each; the others are fixed. Regret is the mean return of
the bank's best average, found on half of the initial conditions and measured on the other half, less that of the
average chosen. Means over the seeds with t-intervals; last column: interquartile mean over all runs, with a stratified
bootstrap interval.

Choosing by theory does not beat the good defaults, EMA 0.001 and the power 2/3: all three are within a percent of the
best on most arms, and on HalfCheetah theory chooses too short an average. What one must not do on most arms is to
average over the start (Polyak, EMA 0.0001 in a run of 20,000 updates), or not to average at all."""

COMMENTARY: dict[str, str] = {
    "N1": """A quadratic of fixed curvature fails here, even for plain SGD. What averaging gains in loss grows with
about the root of η/b, not with η/b: presumably the curvature that a network settles in, and its noise, depend on the
step and the batch themselves. The spread of the return, past a cliff for part of the time, rises more steeply.""",
    "N2": """The paper reports rewards that swing wildly while the validation loss hardly moves. So they do here, and
relative to the loss above its floor too. The loss is of second order. The return is of first order at ten steps and
steeper at fifty, where a change either stays microscopic or has been amplified already: the swing of full episodes is
no small-noise expansion.""",
    "N4": """The linear theory gets the sign and the order of an EMA's effect right, not its amount. The return of raw
iterates is past a cliff for part of the time, that of an average hardly ever, so that an average takes away more of the
spread than of the variance of the parameters, the more so the longer it is up to where lag sets in. Across seeds, what
an average leaves may be less the noise than what the runs differ in otherwise.""",
    "N5": """The paper's averages want to forget faster than α = 1, against convex theory. Here α = 1 from the first
update is the worst of all, and α = 1 from half of the run on is as good as α = 2/3 there, as near as these seeds tell:
it is the start that a uniform average does not forget, not a drift that goes on.""",
    "N6": """The paper claims that an average can stand in for a decayed step. So far it seems to: no difference of
the returns is seen, and the intervals leave about a hundredth of the expert's. The loss of the decay is lower than the
exact law of one fixed quadratic has it; one reason may be that under a falling step Adam's preconditioner and the
curvature follow the noise down.""",
    "N7": """The paper's Figure 2: of many interventions only variance reduction helps. In the mean over seeds none
changes the spread over spaced iterates by more than a factor of two here, except what reduces variance, an average most
of all. With so few seeds most intervals still reach the margin.""",
    "N8": """Most of the spread of single returns is whether an episode falls, and the fraction of fallen episodes
follows the law of a noisy threshold about as far as these seeds tell. In time, with noise that stays the same from
update to update, it does not: falls begin several times as often as those of a smooth threshold in a moving Gaussian
would. The landscape of the return is fractal on the scale of an update (`gva figure butterfly`), and a neighbouring
iterate falls or not almost afresh.""",
    "N10": """The noise of the gradient falls with the loss and stays, as the theory of regression has it; nothing in it
grows. What grows is the distance of states along the rollout, once the walker has landed.""",
}
"""By id of the prediction."""

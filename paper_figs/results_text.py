"""The commentary of docs/results.md: what the paper reports, what differs here and why that may be.

Numbers are not repeated here: they stand in the tables beside it, which are computed.
"""

INTRODUCTION = """# Results: the predictions taken to networks

Which predictions of the linear and convex models hold in behaviour cloning of MuJoCo experts and in small language
models? Ten predictions, each with criteria whose regions were fixed in `neural/predictions/n*.py` before any run of
the set `verdict` was looked at; the set `check` had been run, and looked at, before their last change. A prediction
*holds* if every criterion's interval lies within its region, *fails* if one lies outside, and is *undecided*
otherwise; intervals are Student's over at least {least} training seeds, at levels that keep the probability of one
wrong verdict among the {family} or more below {error:.0%} (`neural/predictions/decision.py`). The intervals printed
are of 95 %.

Everything below is written by `gva predictions page` from the evidence that ships with the project. The evidence is
made anew by `gva predictions run --preset standard --seeds verdict` (and `--seeds check`), in hours on two cores;
`--preset quick` is far smaller and decides nothing. All numbers are of one kind of CPU: on another, training and
rollouts amplify the last bits, and every run is another draw.

The regime: AdamW at a constant step size 4e-3, batches of 32, networks of three hidden layers of 256, 20,000
updates on 100 episodes of the stochastic expert. *Raw* is the iterate itself; returns are means over six initial
conditions (four where the physics is slow), the same for all policies. *Spaced* iterates are 1,500 updates apart,
*consecutive* ones are the last of the run, one by one. All seeds of a set share the demonstrations, the expert and
the initial conditions: what an interval says is of the learner's luck alone. A number that a seed lacks, or a
spectrum on which the step is not stable, decides nothing, and is said to be unknown."""

CHOICE = """Each selector names an average before any rollout. *Linear theory* computes, from the curvature and
noise spectrum and the gradient at the end of the run, the excess loss of every average in the bank, noise and lag
together, and takes the least; *least held-out loss* measures the loss of each; the others are fixed. Regret is the
mean return of the bank's best average, found on half of the initial conditions and measured on the other half, less
that of the average chosen. Means over the seeds with t-intervals; last column: interquartile mean over all runs,
with a stratified bootstrap interval.

EMA 0.001 and the power 2/3 are within a percent of the best in the interquartile mean of both sets of seeds, and
choosing by least held-out loss does about as well. Choosing by theory does so on the first set, over the three arms
that are left, and less well on the second, where on HalfCheetah it chooses a shorter average than the loss does.
What one must not do on most arms is to average over the start (Polyak, EMA 0.0001 in a run of 20,000 updates), or
not to average at all. An arm is left out wherever a single seed's spectrum is not stable: on the first set, that of
the base on four of the five tasks. Three arms are of one task and share its seeds, so that the last column's
interval is too short."""

COMMENTARY: dict[str, str] = {
    "N1": """A quadratic of fixed curvature fails here, even for plain SGD. What averaging gains in loss grows with
about the root of η/b, not with η/b: presumably the curvature that a network settles in, and its noise, depend on
the step and the batch themselves. The spread of the return, past a cliff for part of the time, rises more steeply.""",
    "N2": """The paper reports rewards that swing wildly while the validation loss hardly moves. So they do here on
most seeds, relative to the loss above its floor too; in some runs nearly all of the last iterates do well, and
swing by a few percent. The loss is of second order where its order could be had. The return of fifty steps is
steeper than first order, if anything: the swing of full episodes is no small-noise expansion.""",
    "N3": """Where the exponent and the stage of exponential growth are known in every seed, on Walker2d and Ant,
states part at about the rate of the exponent and a small change of the return grows by about what it foresees; no
interval is narrow enough to decide. On HalfCheetah most runs of the first set have no such stage, because their
loops contract and near neighbours stay together; on Humanoid, and in one run of Hopper, episodes end too early for
a rate or an exponent. In the loops of HalfCheetah that contract the spread grows more steeply than with the
horizon, over iterates a whole update apart, which is no small change.""",
    "N4": """On the first set of seeds the step is not stable on the spectrum of at least one seed, so that the
linear theory has no say there; with Adam a coordinate whose second moment is next to zero may be enough. On the
second set an average takes away more of the spread than the theory has it, most of all across seeds, presumably
because the return of raw iterates is past a cliff for part of the time and that of an average hardly ever. On the
seeds of the first set that the figure keeps it is so across seeds on Walker2d; within a window what short averages
leave is about what the theory says, and the longest leave more.""",
    "N5": """The paper's averages want to forget faster than α = 1, against convex theory. Here α = 1 from the first
update is the worst of all. From half of the run on it returns as much as α = 2/3 and 0.8, as near as these seeds
tell, but its loss is higher than that of α = 0.8: most of what a uniform average loses is the start that it does
not forget, and a little is a drift that goes on.""",
    "N6": """The paper claims that an average can stand in for a decayed step. So far it seems to: no difference of
the returns is seen, and the intervals leave about a hundredth of the expert's. On the second set of seeds the loss
of the decay is lower than the exact law of one fixed quadratic has it (on the first the law has no say); one reason
may be that under a falling step Adam's preconditioner and the curvature follow the noise down.""",
    "N7": """The paper's Figure 2: of many interventions only variance reduction helps. Weight decay, noise on the
inputs and another loss leave the spread where it is, on the first set of seeds; tanh and dropout may lower it. Of
these, weight decay, tanh and dropout cost much of the return. What reduces variance takes nearly all of the spread
away. For the rest the intervals still reach the margin.""",
    "N8": """Most of the spread of single returns is whether an episode falls, and the fraction of fallen episodes
follows the law of a noisy threshold about as far as these seeds tell. In time the second set alone can be judged,
and there falls begin several times as often as those of a smooth threshold in a moving Gaussian would, were each
initial condition's noise to stay; were it drawn anew at every update, about as often. The landscape of the return
is fractal on the scale of an update (`gva figure butterfly`), and a neighbouring iterate falls or not almost
afresh.""",
    "N9": """As in the paper's Figure 4, on a story grammar instead of TinyStories: the loss changes by a thousandth
per update, and nearly every greedy continuation of 150 tokens is another after one. The law of the gap foresees
fewer splits of raw iterates than there are, by about a third and a half on the two sets, and those of an average
better; the time to the split goes as a power of the distance near −1, and not as its logarithm.""",
    "N10": """The noise of the gradient falls with the loss and stays, as the theory of regression has it; nothing
in it grows. What grows is the distance of states along the rollout, once the walker has landed.""",
}
"""By id of the prediction."""

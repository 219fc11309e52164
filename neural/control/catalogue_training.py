"""Interventions on the data, the network, its loss, its regularisers, its optimiser and its batches.

Every list is data. Ranges are wide on purpose: some settings will diverge or clone nothing, which is an outcome too.
"""

from __future__ import annotations

from gvatheory.averaging import EMA
from gvatheory.composed_schedules import Warmup
from gvatheory.schedules import Constant
from neural.control.catalogue_terms import REFERENCE, Intervention, Layers, Of, Times, of

SPREAD = ("N7",)
"""The paper's claim, on which most of the catalogue bears: only variance reduction removes the spread."""


def step_size(factor: float) -> Times:
    """That many times the base's step size."""
    return Times(factor, "schedule.step_size")


def constant(factor: float) -> Of:
    """A constant schedule of that many times the base's step size."""
    return of(Constant, step_size=step_size(factor))


def updates(share: float) -> Times:
    """That share of the base's updates."""
    return Times(share, "steps")


def average_rate(factor: float) -> Times:
    """That many times the rate of the base's reference average, an EMA."""
    return Times(factor, f"bank.{REFERENCE}.gamma")


def words(factor: float) -> str:
    """A factor as a name has it: 1/4, 4."""
    return f"1/{1 / factor:.4g}" if factor < 1 else f"{factor:.4g}"


_EPISODES = (1 / 16, 1 / 8, 1 / 4, 1 / 2, 2, 4)
_ACTION_NOISE = (0.02, 0.05, 0.1, 0.2, 0.3, 0.5)


def data() -> list[Intervention]:
    """How much is cloned, of which expert, and how noisy."""
    drawn = "Is the spread a matter of too few demonstrations?"
    mean = "A deterministic expert has no label noise: what is left is misfit and a finite network."
    dart = "Noise on what the expert executes shows it recovering: does the loop then amplify less?"
    label = "More gradient noise at the same optimum: spread should follow its root."
    plain = ("stochastic", False)
    return [
        *(
            Intervention("data", f"episodes x {words(f)}", drawn, SPREAD, (("episodes", Times(f, "episodes")),))
            for f in _EPISODES
        ),
        Intervention("data", "deterministic expert", mean, ("N7", "N10"), (plain,)),
        *(
            Intervention(
                "data",
                f"deterministic expert, episodes x {words(f)}",
                mean,
                ("N7", "N10"),
                (plain, ("episodes", Times(f, "episodes"))),
            )
            for f in _EPISODES
        ),
        *(
            Intervention("data", f"action noise {s:g}", dart, ("N3", "N7"), (("action_noise", s),))
            for s in _ACTION_NOISE
        ),
        *(
            Intervention(
                "data", f"deterministic expert, action noise {s:g}", dart, ("N3", "N7"), (plain, ("action_noise", s))
            )
            for s in _ACTION_NOISE
        ),
        *(
            Intervention("data", f"label noise {s:g}", label, ("N1", "N7", "N10"), (("learner.label_noise", s),))
            for s in (0.01, 0.03, 0.1, 0.3, 1.0)
        ),
        *(
            Intervention(
                "data",
                f"deterministic expert, label noise {s:g}",
                label,
                ("N1", "N7", "N10"),
                (plain, ("learner.label_noise", s)),
            )
            for s in (0.03, 0.1, 0.3)
        ),
    ]


def architecture() -> list[Intervention]:
    """Depth, shape, activation and output map at about the base's width."""
    depth = "Does the spread depend on how deep the network is?"
    shape = "Does the spread depend on where the width lies?"
    kink = "Does a smooth network amplify less than one with kinks?"
    bound = "Actions held within the task's range by a tanh: does that damp the loop?"
    out = [
        Intervention("architecture", f"{n} hidden layers", depth, SPREAD, (("learner.hidden", Layers((1.0,) * n)),))
        for n in (1, 2, 4, 5, 6, 8)
    ]
    shapes = {
        "funnel": (2.0, 1.0, 0.5),
        "widening": (0.5, 1.0, 2.0),
        "bottleneck": (1.0, 0.125, 1.0),
        "bulge": (0.5, 2.0, 0.5),
    }
    out += [
        Intervention("architecture", name, shape, SPREAD, (("learner.hidden", Layers(factors)),))
        for name, factors in shapes.items()
    ]
    for activation in ("tanh", "silu"):
        change = ("learner.activation", activation)
        out.append(Intervention("architecture", activation, kink, SPREAD, (change,)))
        out += [
            Intervention(
                "architecture",
                f"{activation}, {n} hidden layers",
                kink,
                SPREAD,
                (change, ("learner.hidden", Layers((1.0,) * n))),
            )
            for n in (1, 2, 4, 6)
        ]
    squashed = ("learner.output", "tanh")
    out.append(Intervention("architecture", "bounded output", bound, SPREAD, (squashed,)))
    out += [
        Intervention(
            "architecture",
            f"bounded output, {activation}",
            bound,
            SPREAD,
            (squashed, ("learner.activation", activation)),
        )
        for activation in ("tanh", "silu")
    ]
    return out + _transformers()


def _transformers() -> list[Intervention]:
    """The other network of the paper, over a window of observations; each differs from the first in one option."""
    memory = (
        "A network that sees the recent past: does knowing velocities twice, or the phase, change what is amplified?"
    )
    size = "Does the spread of a transformer depend on its size?"
    base = {"architecture": "transformer", "window": 8, "width": 64, "layers": 2}
    variants = [("transformer", memory, {})]
    variants += [(f"transformer, window {n}", memory, {"window": n}) for n in (1, 2, 4, 16)]
    variants += [(f"transformer, width {n}", size, {"width": n}) for n in (32, 128)]
    variants += [(f"transformer, {n} layers", size, {"layers": n}) for n in (1, 4)]
    return [
        Intervention(
            "architecture", name, why, SPREAD, tuple((f"learner.{k}", v) for k, v in {**base, **change}.items())
        )
        for name, why, change in variants
    ]


def scale() -> list[Intervention]:
    """Width, width with depth, and the length of training."""
    wide = "Does a larger network swing less?"
    both = "Does scale, width and depth together, take the spread away?"
    more = "Does the spread go once training is longer?"
    out = [
        Intervention("scale", f"width x {words(w)}", wide, SPREAD, (("learner.hidden", Layers((w,) * 3)),))
        for w in (1 / 8, 1 / 4, 1 / 2, 2, 4)
    ]
    out += [
        Intervention(
            "scale", f"width x {words(w)}, {n} hidden layers", both, SPREAD, (("learner.hidden", Layers((w,) * n)),)
        )
        for w in (1 / 4, 1 / 2, 2)
        for n in (1, 2, 4, 6)
    ]
    out += [
        Intervention(
            "scale",
            f"width x {words(w)}, episodes x {words(e)}",
            "Does the network's size matter relative to that of the data?",
            SPREAD,
            (("learner.hidden", Layers((w,) * 3)), ("episodes", Times(e, "episodes"))),
        )
        for w in (1 / 4, 2)
        for e in (1 / 4, 4)
    ]
    # The spacing follows, so that as many iterates are measured, at the same shares of the run.
    out += [
        Intervention(
            "scale",
            f"updates x {words(f)}",
            more,
            ("N5", "N7"),
            (("steps", updates(f)), ("spacing", Times(f, "spacing"))),
        )
        for f in (1 / 4, 1 / 2, 2, 4)
    ]
    return out


def regularisation() -> list[Intervention]:
    """Weight decay, dropout, clipping and noise on the inputs."""
    decay = "Weight decay adds curvature and shrinks the policy: does that steady the loop?"
    drop = "Dropout is a regulariser that adds gradient noise."
    clip = "Clipping bounds an update: rare large steps, or the bulk of the noise?"
    noise = "Noise on the inputs flattens the policy along the state: does that damp the amplification?"
    fields = (
        ("weight_decay", "weight decay", decay, (1e-4, 1e-3, 1e-2, 3e-2, 0.1, 0.3, 1.0)),
        ("dropout", "dropout", drop, (0.01, 0.03, 0.05, 0.1, 0.2, 0.3, 0.5)),
        ("clip_norm", "clip norm", clip, (0.01, 0.03, 0.1, 0.3, 1.0, 3.0)),
        ("input_noise", "input noise", noise, (0.003, 0.01, 0.03, 0.1, 0.3)),
    )
    return [
        Intervention("regularisation", f"{title} {value:g}", reason, SPREAD, ((f"learner.{field}", value),))
        for field, title, reason, values in fields
        for value in values
    ]


def loss() -> list[Intervention]:
    """Losses less swayed by large errors, at the base's and at a quarter of its step size."""
    robust = "A robust loss bounds what an outlier adds to the gradient."
    kinds = {"absolute loss": (("learner.loss", "absolute"),)}
    kinds |= {
        f"Huber loss {width:g}": (("learner.loss", "huber"), ("learner.huber_width", width))
        for width in (0.01, 0.03, 0.1, 0.3, 1.0)
    }
    out = [Intervention("loss", name, robust, SPREAD, changes) for name, changes in kinds.items()]
    out += [
        Intervention("loss", f"{name}, step x 1/4", robust, ("N1", "N7"), (*changes, ("schedule", constant(1 / 4))))
        for name, changes in kinds.items()
    ]
    plain = ("stochastic", False)
    out += [
        Intervention("loss", f"{name}, deterministic expert", robust, ("N7", "N10"), (*changes, plain))
        for name, changes in kinds.items()
        if name in ("absolute loss", "Huber loss 0.1")
    ]
    return out


def optimisation() -> list[Intervention]:
    """Optimisers, their momentum and their step sizes, held constant."""
    size = "Spread across seeds should grow as the root of the step size, in a window up to linearly."
    method = (
        "Is the spread Adam's doing? Momentum at equal step/(1 - momentum) should leave the variance much as it is."
    )
    out = [
        Intervention("optimisation", f"step x {words(f)}", size, ("N1", "N2"), (("schedule", constant(f)),))
        for f in (1 / 16, 1 / 8, 1 / 4, 1 / 2, 2, 4)
    ]
    out += [
        Intervention(
            "optimisation",
            f"SGD, step x {words(f)}",
            method,
            ("N1", "N7"),
            (("learner.optimiser", "sgd"), ("schedule", constant(f))),
        )
        for f in (0.25, 1, 4, 10, 25, 60)
    ]
    for title, optimiser in (("heavy ball", "heavy ball"), ("Nesterov", "nesterov")):
        out += [
            Intervention(
                "optimisation",
                f"{title} {momentum:g}, step x {words(f)}",
                method,
                ("N1", "N7"),
                (
                    ("learner.optimiser", optimiser),
                    ("learner.momentum", momentum),
                    ("schedule", constant(f * (1 - momentum))),
                ),
            )
            for momentum in (0.5, 0.9, 0.99)
            for f in (1, 4, 10, 25)
        ]
    return out


def batch_size(factor: float) -> tuple[str, Times]:
    """The change to that many times the base's batch size."""
    return "learner.batch_size", Times(factor, "learner.batch_size")


def batch() -> list[Intervention]:
    """Batch sizes at one step size, and with the step size scaled along; with the average's rate scaled too."""
    alone = "Variance reduction by a larger batch: spread should fall as its root."
    linear = "Linear scaling keeps the law of the iterate while steps are small (A4)."
    root = "Root scaling, the rule of thumb for Adam."
    both = "With an average, linear scaling needs its rate scaled as well (A4)."
    out: list[Intervention] = []
    for f in (1 / 16, 1 / 8, 1 / 4, 1 / 2, 2, 4, 8, 16):
        name, size = f"batch x {words(f)}", batch_size(f)
        scaled = (size, ("schedule", constant(f)))
        out.append(Intervention("batch", name, alone, ("N1", "N7"), (size,)))
        if 1 / 8 <= f <= 8:
            out.append(Intervention("batch", f"{name}, linear scaling", linear, ("N1",), scaled))
            average = of(EMA, gamma=average_rate(f))
            title = f"{name}, linear scaling, average too"
            out.append(Intervention("batch", title, both, ("N1", "N4"), scaled, average))
        out.append(
            Intervention("batch", f"{name}, root scaling", root, ("N1",), (size, ("schedule", constant(f**0.5))))
        )
    warmed = ("schedule", of(Warmup, schedule=constant(8), steps=updates(0.05)))
    large = "The recipe for large batches (Goyal et al. 2017)."
    name = "batch x 8, linear scaling after warm-up"
    out.append(Intervention("batch", name, large, ("N1", "N6"), (batch_size(8), warmed)))
    return out

"""Interventions on the step-size schedule and on the average, and combinations of several kinds.

An averaging intervention changes no training: all that stand on one training are measured on one run's bank.
"""

from __future__ import annotations

from typing import Any

from gvatheory.averaging import EMA, BiasCorrectedEMA, Polyak, PowerEMA, PowerProfile, Tail
from gvatheory.composed_schedules import Piecewise, Warmup
from gvatheory.schedules import Cosine, Exponential, InverseTime, Linear, PowerDecay, WarmupStableDecay
from gvatheory.subsampled_averages import EveryK
from gvatheory.weighted_averages import WeightedWindow
from neural.control.catalogue_terms import Intervention, Layers, Of, Times, of
from neural.control.catalogue_training import average_rate, batch_size, constant, step_size, updates, words

_DECAY = "A falling step size reduces variance as an average does: which leaves less spread, at which bias (A5, C.6)?"


# In these a time is any positive number, while a base experiment counts updates.


def exponential(step_size: float, decay: float, steps: int) -> Exponential:
    """As `Exponential`: η_0 = step_size, decay times that after so many steps."""
    return Exponential(step_size, decay, float(steps))


def power_decay(step_size: float, exponent: float, time_scale: int) -> PowerDecay:
    """As `PowerDecay`."""
    return PowerDecay(step_size, exponent, float(time_scale))


def inverse_time(step_size: float, time_scale: int) -> InverseTime:
    """η_t = c/(t0 + t) with η_0 = step_size and t0 = time_scale."""
    return InverseTime(step_size * time_scale, float(time_scale))


def _decays(peak: float) -> dict[str, Of]:
    """Schedules by name whose largest step size is `peak` times the base's."""
    whole = updates(1.0)
    size = step_size(peak)
    named = {
        "linear to 0": of(Linear, step_size=size, steps=whole),
        "linear to 1/10": of(Linear, step_size=size, steps=whole, final=step_size(peak / 10)),
        "cosine to 0": of(Cosine, step_size=size, steps=whole),
        "cosine to 1/10": of(Cosine, step_size=size, steps=whole, final=step_size(peak / 10)),
        "exponential to 1/10": of(exponential, step_size=size, decay=0.1, steps=whole),
        "exponential to 1/100": of(exponential, step_size=size, decay=0.01, steps=whole),
    }
    named |= {
        f"decay of power {p:g}": of(power_decay, step_size=size, exponent=p, time_scale=updates(0.05))
        for p in (0.25, 0.5, 0.75)
    }
    named["inverse time"] = of(inverse_time, step_size=size, time_scale=updates(0.05))
    named |= {
        f"stable, then {words(share)} cool-down": of(
            WarmupStableDecay, step_size=size, steps=whole, decay=updates(share)
        )
        for share in (0.05, 0.1, 0.2, 0.5)
    }
    return named


def _shapes() -> dict[str, Of]:
    """Schedules by name that differ in more than their peak."""
    whole, size = updates(1.0), step_size(1.0)
    named = {
        f"stable, then cool-down of power {p:g}": of(
            WarmupStableDecay, step_size=size, steps=whole, decay=updates(0.2), power=p
        )
        for p in (0.5, 2.0, 4.0)
    }
    named |= {
        f"warm-up {w:g}, stable, {d:g} cool-down": of(
            WarmupStableDecay, step_size=size, steps=whole, warmup=updates(w), decay=updates(d)
        )
        for w in (0.02, 0.1)
        for d in (0.1, 0.3)
    }
    named |= {
        f"constant after warm-up {w:g}": of(Warmup, schedule=constant(1), steps=updates(w))
        for w in (0.01, 0.03, 0.1, 0.3)
    }
    named |= {
        f"{name} after warm-up {w:g}": of(Warmup, schedule=schedule, steps=updates(w))
        for w in (0.02, 0.1)
        for name, schedule in (
            ("cosine", of(Cosine, step_size=size, steps=whole)),
            ("linear", of(Linear, step_size=size, steps=whole)),
        )
    }
    named |= {
        name: of(Piecewise, boundaries=tuple(map(updates, at)), pieces=tuple(map(step_size, sizes)))
        for name, at, sizes in (
            ("halved midway", (0.5,), (1, 0.5)),
            ("tenth after 1/2", (0.5,), (1, 0.1)),
            ("tenth after 3/4", (0.75,), (1, 0.1)),
            ("tenth after 1/2 and 3/4", (0.5, 0.75), (1, 0.1, 0.01)),
            ("halved every quarter", (0.25, 0.5, 0.75), (1, 0.5, 0.25, 0.125)),
            ("cyclic", (0.25, 0.5, 0.75), (1, 0.1, 1, 0.1)),
        )
    }
    named["inverse time, early"] = of(inverse_time, step_size=size, time_scale=updates(0.01))
    return named


def schedule() -> list[Intervention]:
    """Decays from the base's, twice and half its step size, warm-ups and drops."""
    out = []
    for peak in (1, 2, 0.5):
        label = "" if peak == 1 else f", peak x {words(peak)}"
        out += [
            Intervention("schedule", f"{name}{label}", _DECAY, ("N6",), (("schedule", value),))
            for name, value in _decays(peak).items()
        ]
    out += [
        Intervention("schedule", name, _DECAY, ("N6",), (("schedule", value),)) for name, value in _shapes().items()
    ]
    return out


def _averages() -> dict[str, tuple[str, tuple[str, ...], Of]]:
    """Reason, predictions and average, by name."""
    filtered = "The longer the memory, the less spread, by the root of the filter's factor; too long a one lags."
    power = "Convex theory: exponent 1 is best once the start is forgotten; do networks want less?"
    late = "Leaving the start out restores large exponents, if bias is what spoils them (A2)."
    found: dict[str, tuple[str, tuple[str, ...], Of]] = {}
    for f in (100, 30, 10, 3, 1 / 3, 1 / 10, 1 / 30):
        found[f"EMA, rate x {words(f)}"] = filtered, ("N4",), of(EMA, gamma=average_rate(f))
    for alpha in (0.2, 0.3, 0.4, 0.5, 0.6, 2 / 3, 0.75, 0.8, 0.9):
        found[f"power {alpha:.3g}"] = power, ("N5",), of(PowerEMA, alpha=alpha)
    found["Polyak"] = power, ("N5",), of(Polyak)
    for share in (0.05, 0.2, 0.5):
        burnt = updates(share)
        for alpha in (0.5, 2 / 3, 0.8):
            name = f"power {alpha:.3g}, burn-in {share:g}"
            found[name] = late, ("N5",), of(PowerEMA, alpha=alpha, burn_in=burnt)
        found[f"Polyak, burn-in {share:g}"] = late, ("N5",), of(Polyak, burn_in=burnt)
        found[f"EMA, rate x 1/10, burn-in {share:g}"] = (
            late,
            ("N5",),
            of(EMA, gamma=average_rate(1 / 10), burn_in=burnt),
        )
    for share in (0.01, 0.03, 0.1, 0.2, 0.3):
        found[f"tail {share:g}"] = "The mean of the last iterates alone.", ("N4", "N5"), of(Tail, fraction=share)
    for floor in (10, 3, 0.3):
        average = of(PowerEMA, alpha=1.0, floor=average_rate(floor))
        found[f"power 1, floor x {words(floor)}"] = "Uniform early, of constant memory late.", ("N5",), average
    for f in (1 / 10, 1 / 30):
        average = of(BiasCorrectedEMA, gamma=average_rate(f))
        found[f"bias-corrected EMA, rate x {words(f)}"] = "As Adam corrects its moments.", ("N4", "N5"), average
    for p in (1.0, 3.0, 6.94, 16.97):
        average = of(PowerProfile, exponent=p)
        found[f"power profile {p:g}"] = "Memory that is a share of the run (Karras et al. 2024).", ("N5",), average
    for k in (10, 100):
        for title, inner in (("EMA", of(EMA, gamma=average_rate(1))), ("power 2/3", of(PowerEMA, alpha=2 / 3))):
            average = of(EveryK, average=inner, k=k)
            found[f"{title}, every {k} updates"] = "Averaging seldom should cost next to nothing.", ("N4",), average
    for n in (3, 10, 30):
        average = of(WeightedWindow, weights=tuple(float(i) for i in range(1, n + 1)))
        found[f"rising weights over {n} iterates"] = "The shortest averages: how few iterates do?", ("N4",), average
    return found


def averaging() -> list[Intervention]:
    """Averages of the base's own iterates."""
    return [
        Intervention("averaging", name, reason, predictions, (), average)
        for name, (reason, predictions, average) in _averages().items()
    ]


def combination() -> list[Intervention]:
    """Settings used together, and grids of two of them."""
    out = [
        Intervention(
            "combination",
            f"step x {words(f)}, batch x {words(b)}",
            "The grid on which the spread's dependence on step size and batch is fitted.",
            ("N1",),
            (("schedule", constant(f)), batch_size(b)),
        )
        for f in (1 / 4, 4)
        for b in (1 / 8, 2, 8)
    ]
    out += [
        Intervention(
            "combination",
            f"width x {words(w)}, step x {words(f)}",
            "Wide networks are usually given smaller steps.",
            ("N1", "N7"),
            (("learner.hidden", Layers((w,) * 3)), ("schedule", constant(f))),
        )
        for w, f in ((2, 1 / 2), (4, 1 / 4), (1 / 2, 2), (1 / 4, 4))
    ]
    recipes: dict[str, tuple[tuple[str, Any], ...]] = {
        "weight decay 0.01, dropout 0.1": (("learner.weight_decay", 0.01), ("learner.dropout", 0.1)),
        "weight decay 0.1, cosine": (
            ("learner.weight_decay", 0.1),
            ("schedule", of(Cosine, step_size=step_size(1), steps=updates(1.0))),
        ),
        "clip norm 1, warm-up, cosine": (
            ("learner.clip_norm", 1.0),
            (
                "schedule",
                of(Warmup, schedule=of(Cosine, step_size=step_size(1), steps=updates(1.0)), steps=updates(0.05)),
            ),
        ),
        "heavy ball 0.9, cosine, weight decay 1e-3": (
            ("learner.optimiser", "heavy ball"),
            ("learner.momentum", 0.9),
            ("learner.weight_decay", 1e-3),
            ("schedule", of(Cosine, step_size=step_size(1), steps=updates(1.0))),
        ),
        "batch x 8, cosine": (
            batch_size(8),
            ("schedule", of(Cosine, step_size=step_size(1), steps=updates(1.0))),
        ),
        "deterministic expert, batch x 8": (("stochastic", False), batch_size(8)),
        "deterministic expert, step x 1/4": (("stochastic", False), ("schedule", constant(1 / 4))),
        "episodes x 1/8, dropout 0.1": (("episodes", Times(1 / 8, "episodes")), ("learner.dropout", 0.1)),
    }
    out += [
        Intervention("combination", name, "A usual recipe.", ("N6", "N7"), changes) for name, changes in recipes.items()
    ]
    return out + _averaged_combinations()


def _averaged_combinations() -> list[Intervention]:
    """Other averages than the reference on changed trainings, each of which the catalogue runs anyway."""
    out = []
    trainings: dict[str, tuple[tuple[str, Any], ...]] = {
        "step x 4": (("schedule", constant(4)),),
        "step x 1/4": (("schedule", constant(1 / 4)),),
        "cosine to 0": (("schedule", of(Cosine, step_size=step_size(1), steps=updates(1.0))),),
        "batch x 1/16": (batch_size(1 / 16),),
        "deterministic expert": (("stochastic", False),),
    }
    for training, changes in trainings.items():
        for title, average in (
            ("EMA, rate x 10", of(EMA, gamma=average_rate(10))),
            ("power 0.667", of(PowerEMA, alpha=2 / 3)),
            ("tail 0.2", of(Tail, fraction=0.2)),
        ):
            out.append(
                Intervention(
                    "combination",
                    f"{training}, {title}",
                    "Does the best memory depend on the training?",
                    ("N4", "N5"),
                    changes,
                    average,
                )
            )
    return out

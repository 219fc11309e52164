"""Schedules and averages written as one word, for the command line: ``cosine:4e-3/warmup:500``, ``power:2/3``.

    WORD := NAME[:ARGUMENT[,ARGUMENT]...][/WRAPPER:ARGUMENT]...

An argument is the next parameter's value, or PARAMETER=VALUE; parameters are those of the class in `gvatheory`.
Numbers may be fractions (2/3). Where a count of updates is asked for, 20% is that share of the run, and a parameter
`steps` that is not given is the length of the run. `parse_*` and `spell_*` are inverse to each other.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

from gvatheory import averaging, composed_schedules, schedules, subsampled_averages, validation

_SCHEDULES: dict[str, type] = {
    "constant": schedules.Constant,
    "power": schedules.PowerDecay,
    "inverse": schedules.InverseTime,
    "exponential": schedules.Exponential,
    "linear": schedules.Linear,
    "cosine": schedules.Cosine,
    "wsd": schedules.WarmupStableDecay,
}
_SCHEDULE_WRAPPERS: dict[str, type] = {"warmup": composed_schedules.Warmup, "scaled": composed_schedules.Scaled}
_AVERAGES: dict[str, type] = {
    "last": averaging.LastIterate,
    "ema": averaging.EMA,
    "corrected": averaging.BiasCorrectedEMA,
    "power": averaging.PowerEMA,
    "profile": averaging.PowerProfile,
    "polyak": averaging.Polyak,
    "tail": averaging.Tail,
}
_AVERAGE_WRAPPERS: dict[str, type] = {"every": subsampled_averages.EveryK}
_COUNTS = (int, "int")  # annotations of a parameter that is a number of updates
_SEPARATOR = re.compile(r"/(?=[a-z])")  # a slash within a fraction stands before a digit


def parse_schedule(text: str, steps: int) -> schedules.Schedule:
    """The schedule that `text` spells, for a run of `steps` updates.

    Raises:
        ValueError: naming what is wrong with the text, and what is allowed.
    """
    return _parse("schedule", text, steps, _SCHEDULES, _SCHEDULE_WRAPPERS)


def parse_average(text: str, steps: int) -> averaging.RecursiveAverage:
    """The average that `text` spells, for a run of `steps` updates.

    Raises:
        ValueError: naming what is wrong with the text, and what is allowed.
    """
    return _parse("average", text, steps, _AVERAGES, _AVERAGE_WRAPPERS)


def spell_schedule(schedule: schedules.Schedule) -> str:
    """The word that `parse_schedule` reads back as `schedule`, whatever the length of the run.

    Raises:
        ValueError: if there is none.
    """
    return _spell("schedule", schedule, _SCHEDULES, _SCHEDULE_WRAPPERS)


def spell_average(average: averaging.RecursiveAverage) -> str:
    """The word that `parse_average` reads back as `average`, whatever the length of the run.

    Raises:
        ValueError: if there is none.
    """
    return _spell("average", average, _AVERAGES, _AVERAGE_WRAPPERS)


def in_words(spell: Callable[[Any], str], value: Any) -> str:
    """What `spell` makes of a value, or its `repr` if it has no word."""
    try:
        return spell(value)
    except ValueError:
        return repr(value)


def _parse(what: str, text: str, steps: int, plain: Mapping[str, type], wrappers: Mapping[str, type]) -> Any:
    validation.integer("steps", steps, 1)
    first, *rest = _SEPARATOR.split(text.strip())
    value = _build(what, text, first, steps, plain)
    for word in rest:
        value = _build(what, text, word, steps, wrappers, value)
    return value


def _build(what: str, text: str, word: str, steps: int, known: Mapping[str, type], *inner: Any) -> Any:
    """One name and its arguments as an object, around `inner` if it wraps one."""
    name, _, tail = word.partition(":")
    if name not in known:
        raise ValueError(f"{what} {text!r}: {name!r} is unknown, must be one of {sorted(known)}")
    fields = {f.name: f for f in dataclasses.fields(known[name])[len(inner) :]}
    given: dict[str, Any] = {}
    for i, argument in enumerate(tail.split(",") if tail else []):
        key, equals, value = argument.partition("=")
        if not equals:
            key, value = list(fields)[i] if i < len(fields) else f"argument {i + 1}", argument
        if key not in fields or key in given:
            raise ValueError(f"{what} {text!r}: {name} takes each of {list(fields)} once, got {argument!r}")
        given[key] = _number(f"{what} {text!r}: {key}", value, fields[key].type in _COUNTS, steps)
    if "steps" in fields and "steps" not in given and fields["steps"].type in _COUNTS and not inner:
        given["steps"] = steps
    missing = [key for key, f in fields.items() if key not in given and f.default is dataclasses.MISSING]
    if missing:
        raise ValueError(f"{what} {text!r}: {name} needs {missing}, it takes {list(fields)}")
    try:
        return known[name](*inner, **given)
    except ValueError as e:
        raise ValueError(f"{what} {text!r}: {e}") from e


def _number(name: str, text: str, count: bool, steps: int) -> int | float:
    """A count of updates, or any number."""
    try:
        if count:
            return round(float(text[:-1]) / 100 * steps) if text.endswith("%") else int(text)
        return float(Fraction(text)) if "/" in text else float(text)
    except (ValueError, ZeroDivisionError, OverflowError):
        allowed = "an integer or a percentage of the run" if count else "a number or a fraction"
        raise ValueError(f"{name} must be {allowed}, got {text!r}") from None


def _spell(what: str, value: Any, plain: Mapping[str, type], wrappers: Mapping[str, type]) -> str:
    names = {cls: name for name, cls in plain.items()}
    around = {cls: name for name, cls in wrappers.items()}
    if type(value) in names:
        return _word(names[type(value)], dataclasses.fields(value), value)
    if type(value) in around:
        inner, *others = dataclasses.fields(value)
        return (
            f"{_spell(what, getattr(value, inner.name), plain, wrappers)}/{_word(around[type(value)], others, value)}"
        )
    raise ValueError(f"{what} {value!r} has no spelling, must be made of {sorted({*plain, *wrappers})}")


def _word(name: str, fields: Any, value: Any) -> str:
    """Parameters in their order; those left at their default are left out, and the ones after them named."""
    parts = []
    for i, field in enumerate(fields):
        own = getattr(value, field.name)
        if own != field.default:
            number = repr(int(own)) if field.type in _COUNTS else repr(float(own))
            parts.append(number if len(parts) == i else f"{field.name}={number}")
    return f"{name}:{','.join(parts)}" if parts else name

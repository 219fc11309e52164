"""When a run is looked at: sets of its iterates by name, and what must be true of the options that ask for them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gvatheory import validation
from neural.averages import Bank

Windows = tuple[tuple[int, int], ...]
"""(first, last) update counts of stretches in which every iterate is looked at."""

_MEANINGS = {
    "consecutive": "one of the last, consecutive iterates",
    "spaced": "one of the spaced iterates",
    "every": "one of the iterates at equal distances over the whole run",
}


def probe_sets(
    steps: int, consecutive: int, spaced: int, spacing: int, every: int | None, windows: Windows
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Iterates to look at, ascending, and for each set of them, by name, which belong to it."""
    sets = {"consecutive": steps - np.arange(consecutive), "spaced": steps - spacing * np.arange(spaced)}
    if every is not None:
        sets["every"] = multiples(every, steps)
    for first, last in windows:
        sets[f"window_{first}_{last}"] = np.arange(first, last + 1)
    at = np.unique(np.concatenate(list(sets.values())))
    return at, {name: np.isin(at, members) for name, members in sets.items()}


def require_probes(
    steps: int, consecutive: int, spaced: int, spacing: int, every: int | None, windows: Windows
) -> None:
    """Require options that `probe_sets` can serve.

    Raises:
        ValueError: naming the option, its value and the allowed range, or if nothing would be looked at.
    """
    validation.integer("steps", steps, 1)
    validation.integer("spacing", spacing, 1)
    validation.integer("consecutive", consecutive, 0, steps)
    validation.integer("spaced", spaced, 0, 1 + (steps - 1) // spacing)
    if every is not None:
        validation.integer("every", every, 1, steps)
    for i, (first, last) in enumerate(windows):
        validation.integer(f"windows[{i}]: first", first, 1, steps)
        validation.integer(f"windows[{i}]: last", last, first, steps)
    if len(set(windows)) < len(windows):
        raise ValueError(f"windows must not repeat themselves, got {list(windows)}")
    if consecutive + spaced == 0 and every is None and not windows:
        raise ValueError("consecutive and spaced must not both be 0: nothing would be measured")


def require_kept(option: str, names: Sequence[str], bank: Bank) -> None:
    """Require names of averages that the bank holds, each once; ValueError naming the option otherwise."""
    if len(set(names)) < len(names):
        raise ValueError(f"{option} must not name an average twice, got {list(names)}")
    unknown = [name for name in names if name not in bank]
    if unknown:
        raise ValueError(f"{option} names {unknown}, which the bank lacks; it holds {list(bank)}")


def multiples(of: int | None, last: int) -> np.ndarray:
    """Multiples of `of` from itself to `last`; none if it is None."""
    return np.arange(of, last + 1, of) if of else np.arange(0)


def meaning(name: str) -> str:
    """What belonging to a set of iterates means, for a dataset's attributes."""
    return _MEANINGS.get(name, "one of the iterates of a window, update by update")

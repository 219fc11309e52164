"""Schedules made of schedules: joined in time, warmed up, scaled."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from gvatheory import validation
from gvatheory.schedules import Constant, Schedule
from gvatheory.validation import Numbers, Scalar, namespace


def _require_schedule(name: str, value: Any) -> None:
    """Require a `Schedule`."""
    if not isinstance(value, Schedule):
        raise ValueError(f"{name} must be a Schedule, got {value!r}")


@dataclasses.dataclass(frozen=True)
class Piecewise(Schedule):
    """One schedule after another, each on its own clock: η_t = pieces_i(t − b_{i−1}) for b_{i−1} ≤ t < b_i, b_0 = 0.

    Numbers for pieces give the piecewise constant schedule. `optax.join_schedules` restarts the time in the same way.

    Attributes:
        boundaries: (b_1, ..., b_n): integers 1 ≤ b_1 < ... < b_n; step t = b_i is the first of piece i + 1.
        pieces: n + 1 schedules, or numbers ≥ 0 for constant ones; kept as a tuple of schedules.

    Raises:
        ValueError: for boundaries that do not increase, a wrong number of pieces, or a bad piece.
    """

    boundaries: Sequence[int]
    pieces: Sequence[Any]

    def __post_init__(self) -> None:
        earliest = 1
        for i, boundary in enumerate(self.boundaries):
            validation.integer(f"boundaries[{i}]", boundary, earliest)
            earliest = boundary + 1
        if len(self.pieces) != len(self.boundaries) + 1:
            raise ValueError(
                f"pieces must be one more than the {len(self.boundaries)} boundaries, got {len(self.pieces)}"
            )
        pieces = []
        for i, piece in enumerate(self.pieces):
            if not isinstance(piece, Schedule):
                validation.real(f"pieces[{i}]", piece, 0.0, np.inf)
                piece = Constant(piece)
            pieces.append(piece)
        object.__setattr__(self, "boundaries", tuple(int(b) for b in self.boundaries))
        object.__setattr__(self, "pieces", tuple(pieces))

    def __call__(self, t: Numbers) -> Any:
        xp = namespace(t)
        now: Any = xp.asarray(t)
        starts = (0, *self.boundaries)
        ends = (*self.boundaries, np.inf)
        # Outside its own stretch a piece is asked for the nearest step inside it, which it can always answer.
        sizes = [
            piece(xp.asarray(xp.clip(now - start, 0, end - start - 1)))
            for piece, start, end in zip(self.pieces, starts, ends, strict=True)
        ]
        xp = namespace(*sizes)
        out = sizes[0]
        for start, size in zip(starts[1:], sizes[1:], strict=True):
            out = xp.where(now >= start, size, out)
        return out


@dataclasses.dataclass(frozen=True)
class Warmup(Schedule):
    """A linear warm-up multiplied into a schedule: η_t = schedule(t) · (start + (1−start) · min((t+1)/steps, 1)).

    As in `WarmupStableDecay` the first step is not zero and step t = steps − 1 is the first at full size. The clock of
    the schedule runs from t = 0, so its length does not change: `Warmup(WarmupStableDecay(η, T, 0, n), w)` is
    `WarmupStableDecay(η, T, w, n)`. For a clock that starts after w steps, join:
    `Piecewise((w,), (Warmup(Constant(η), w), schedule))`.

    Attributes:
        schedule: what is warmed up.
        steps: length of the warm-up, ≥ 0; 0 is none.
        start: factor that the straight line has one step before the first, in [0, 1].
    """

    schedule: Schedule
    steps: int
    start: Scalar = 0.0

    def __post_init__(self) -> None:
        _require_schedule("schedule", self.schedule)
        validation.integer("steps", self.steps, 0)
        validation.real("start", self.start, 0.0, 1.0)

    def __call__(self, t: Numbers) -> Any:
        xp = namespace(t)
        now: Any = xp.asarray(t)
        done = xp.minimum((now + 1.0) / max(self.steps, 1), 1.0)
        return self.schedule(t) * (self.start + (1.0 - self.start) * done)


@dataclasses.dataclass(frozen=True)
class Scaled(Schedule):
    """η_t = factor · schedule(t), as for the linear scaling of step and batch size (Goyal et al. 2017).

    Attributes:
        schedule: what is scaled.
        factor: ≥ 0.
    """

    schedule: Schedule
    factor: Scalar

    def __post_init__(self) -> None:
        _require_schedule("schedule", self.schedule)
        validation.real("factor", self.factor, 0.0, np.inf)

    def __call__(self, t: Numbers) -> Any:
        return self.factor * self.schedule(t)

"""An average that is updated at every k-th iterate only, and keeps the profile of the one updated at each."""

import dataclasses
from typing import Any

import numpy as np
from jaxtyping import Float

from gvatheory import validation
from gvatheory.averaging import RecursiveAverage
from gvatheory.validation import Numbers, Values, namespace

_CHUNK = 1 << 20
"""Rates of the wrapped average computed at a time, to bound the memory."""


def _combined_rate(rates: Any) -> Any:
    """1 − Π(1 − γ) over the last axis, by pairs: a + b(1 − a) never cancels and γ = 1 needs no special care."""
    xp = namespace(rates)
    while rates.shape[-1] > 1:
        if rates.shape[-1] % 2:
            rates = xp.concatenate([rates, xp.zeros((*rates.shape[:-1], 1))], axis=-1)
        first, second = rates[..., ::2], rates[..., 1::2]
        rates = first + second * (1.0 - first)
    return rates[..., 0]


@dataclasses.dataclass(frozen=True)
class EveryK(RecursiveAverage):
    """The wrapped average, updated at t = k, 2k, ... only, with its profile kept whatever k.

    An update has rate 1 − Π_{s=t−k+1}^{t} (1−γ_s), so that older iterates keep the weight that the k updates of the
    wrapped average would have left them; the rate is 0 in between. At T = mk, w_{T,jk} is therefore the wrapped
    kernel's sum over s = (j−1)k + 1, ..., jk, and w_{T,0} is unchanged; up to k − 1 last iterates are left out at other
    T. For an `EMA` after its burn-in the rate is 1 − (1−γ)^k; `Polyak` becomes uniform over θ_k, θ_{2k}, ....

    Attributes:
        average: what is wrapped.
        k: updates from one to the next, ≥ 1.
    """

    average: RecursiveAverage
    k: int

    def __post_init__(self) -> None:
        if not isinstance(self.average, RecursiveAverage):
            raise ValueError(f"average must be a RecursiveAverage, got {self.average!r}")
        validation.integer("k", self.k, 1)

    def rate(self, t: Numbers, steps: int | None = None) -> Any:
        """γ_t at update counts t ≥ 1, by k rates of the wrapped average each; `rates` shares them and is faster."""
        xp = namespace(t)
        now: Any = xp.asarray(t, dtype=float)
        before = xp.arange(self.k - 1.0, -1.0, -1.0)
        if xp is not np:
            last = xp.ceil(now / self.k) * self.k
            combined = _combined_rate(self.average.rate(last[..., None] - before, steps))
            return xp.where(now % self.k == 0, combined, 0.0)
        updates = now.ravel() % self.k == 0
        ends = now.ravel()[updates]
        pieces = np.array_split(ends, -(-len(ends) * self.k // _CHUNK) or 1)
        blocks = [_combined_rate(self.average.rate(piece[:, None] - before, steps)) for piece in pieces]
        ns = namespace(*blocks)
        combined = ns.concatenate(blocks) if len(ends) else ns.zeros(1)
        place = np.clip(np.cumsum(updates) - 1, 0, None)
        return ns.where(updates, combined[place], 0.0).reshape(now.shape)

    def rates(self, steps: int) -> Float[Values, " times"]:
        """γ_1, ..., γ_steps in float64, in O(steps); a JAX array if a parameter is one."""
        wrapped: Any = self.average.rates(steps)
        xp = namespace(wrapped)
        blocks = steps // self.k
        combined = _combined_rate(wrapped[: blocks * self.k].reshape(blocks, self.k))
        idle = xp.zeros((blocks, self.k - 1))
        updates = xp.concatenate([idle, combined[:, None]], axis=1).reshape(-1)
        return xp.concatenate([updates, xp.zeros(steps - blocks * self.k)])

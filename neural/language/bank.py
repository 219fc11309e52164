"""The bank of averages of `neural.averages`, kept on a vector of parameters in torch.

The parameters of a model are one vector, so that a bank of A averages is one array (A, P) and a block of iterates is
folded in by one matrix product, at a cost that hardly grows with A. Weights and rates are those of `neural.averages`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from neural.averages import block_length, block_weights

_CHUNK = 2**18
"""Parameters that are folded in at a time: the temporaries stay small."""


class TorchBank:
    """Averages of the iterates of one run; call `add` after every update.

    Attributes:
        rates: (T, A) float64, γ_t as made by `neural.averages.rate_table`.
        t: updates added so far.
        averages: (A, P) as they stood at the last multiple of `block`.
        latest: (block, P) iterates, update t at place (t − 1) mod block; (0, P) if there are no averages.
        block: iterates that are folded in at a time.
    """

    def __init__(self, rates: np.ndarray, start: torch.Tensor) -> None:
        """Set up at t = 0, every average being the (P,) start."""
        self.rates = rates
        self.t, self.block = 0, block_length(len(start))
        self.averages = start.detach().repeat(rates.shape[1], 1)
        self.latest = torch.zeros((self.block if rates.shape[1] else 0, len(start)), device=start.device)

    def add(self, iterate: torch.Tensor) -> None:
        """Take in the (P,) iterate of the next update."""
        self.t += 1
        if not len(self.latest):
            return
        self.latest[(self.t - 1) % self.block].copy_(iterate)
        if self.t % self.block == 0:
            self._fold(self.averages, None)

    def read(self, members: Sequence[int] | None = None) -> torch.Tensor:
        """The averages as they stand now, or those at some places of the bank: (A, P), a copy."""
        out = self.averages.clone() if members is None else self.averages[list(members)]
        if self.t % self.block and len(self.latest):
            self._fold(out, members)
        return out

    def _fold(self, averages: torch.Tensor, members: Sequence[int] | None) -> None:
        """Bring averages, all or some, from the last multiple of the block to t, in place."""
        first = (self.t - 1) // self.block * self.block
        change, weights = (
            torch.from_numpy(x).to(averages.device) for x in block_weights(self.rates[first : self.t], self.block)
        )
        chosen = slice(None) if members is None else list(members)
        less = change[chosen, None]
        for at in range(0, averages.shape[1], _CHUNK):
            old = averages[:, at : at + _CHUNK]
            # Of the whole bank, so that the rounding of one average does not depend on which others are asked for.
            new = (weights @ self.latest[:, at : at + _CHUNK])[chosen]
            # As an increment, so that nothing drifts where the old value is hardly changed; where nothing is left of
            # it, it is left out altogether.
            old.copy_(torch.where(less == -1, new, old + (new + less * old)))

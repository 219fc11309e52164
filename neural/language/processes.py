"""Processes that share the work of every update, each with its part of the batch: on one machine or several GPUs.

All of them hold the whole model and make the same update. Only the gradient, one vector, is summed over them.
"""

from __future__ import annotations

import dataclasses
import datetime
import importlib
import os
from collections.abc import Callable
from typing import Any

import torch


@dataclasses.dataclass(frozen=True)
class Processes:
    """This process among those that train together.

    Attributes:
        rank: of this one, from 0 to count − 1.
        count: of all.
        reduce: function of a tensor to its sum over the processes, which all of them call alike; None if alone.
        device: this one's, or None for any.
    """

    rank: int = 0
    count: int = 1
    reduce: Callable[[torch.Tensor], torch.Tensor] | None = None
    device: torch.device | None = None

    @property
    def first(self) -> bool:
        """Whether this one measures and writes."""
        return self.rank == 0

    def owns(self, part: int) -> bool:
        """Whether a part of a batch is this process's."""
        return part % self.count == self.rank

    def sum(self, tensor: torch.Tensor) -> None:
        """Replace a tensor by its sum over all processes."""
        if self.reduce is not None:
            tensor.copy_(self.reduce(tensor))

    def wait(self) -> None:
        """Return when all processes have come here."""
        self.sum(torch.zeros(1, device=self.device))

    def require_same(self, name: str, value: int) -> None:
        """Require that a whole number is the same in all processes; RuntimeError in each of them otherwise."""
        moments = torch.tensor([value, value**2], dtype=torch.float64, device=self.device)
        self.sum(moments)
        mean, square = (moments / self.count).tolist()
        if square != mean**2:
            raise RuntimeError(f"the {self.count} processes differ in the {name}: do they see the same directory?")

    def require_shares(self, parts: int) -> None:
        """Require that a batch of `parts` parts can be shared out evenly; ValueError otherwise."""
        if parts % self.count:
            raise ValueError(f"parts must be a multiple of the {self.count} processes, got {parts}")


ALONE = Processes()


def launched(cpu: bool = False) -> Processes | None:
    """The processes that `accelerate launch` (or torchrun) started, or None if this one was started alone.

    Args:
        cpu: leave GPUs alone.

    Raises:
        ImportError: if they were, and `accelerate` is absent.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return None
    try:
        accelerate = importlib.import_module("accelerate")
    except ImportError as e:
        raise ImportError(f"accelerate is missing ({e}): install gvatheory[accelerate]", name="accelerate") from e

    # The first process measures and writes while the others wait for it.
    patience = accelerate.InitProcessGroupKwargs(timeout=datetime.timedelta(hours=12))
    accelerator: Any = accelerate.Accelerator(cpu=cpu, kwargs_handlers=[patience])

    def reduce(tensor: torch.Tensor) -> torch.Tensor:
        return accelerator.reduce(tensor, reduction="sum")

    return Processes(accelerator.process_index, accelerator.num_processes, reduce, accelerator.device)

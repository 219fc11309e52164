"""Simulations whose contact forces are read: what `BatchEnv` uses of ``mujoco.batch.Batch``, and those forces.

gymnasium calls mj_rnePostConstraint after each step. That needs the contacts as the step left them, which ``Batch``
does not hand out (under the Runge-Kutta integrator they are not those that a sensor sees either). So each simulation
has its own MjData here and takes its turn on the caller's thread; MuJoCo releases Python's lock while it steps.
"""

from __future__ import annotations

from typing import Any

import mujoco
import numpy as np
from mujoco.batch import SimulationError

_mujoco: Any = mujoco  # its bindings carry no types
_INPUTS = ("qpos", "qvel", "ctrl", "qacc_warmstart")


class ContactBatch:
    """`size` simulations of one model, one MjData each; ``cfrc_ext`` is that after the last step.

    Bound inputs (qpos, qvel, ctrl, qacc_warmstart) are read at each call and hold the state after it; other bound
    fields are copied out of each call. Not safe for use from several threads at once.
    """

    def __init__(self, model: Any, size: int) -> None:
        self.model = model
        self._data = [_mujoco.MjData(model) for _ in range(size)]
        self._bound: dict[str, np.ndarray] = {}
        self._views: list[list[tuple[np.ndarray, np.ndarray]]] = [[] for _ in self._data]
        self._inputs = {name: self.bind(name) for name in _INPUTS}
        kinds = len(self._data[0].warning)
        self.warning = np.zeros((size, kinds, 2), dtype=np.int64)
        """(size, kinds of warning, 2): the last state that caused it, and how often it occurred since the reset."""

    def bind(self, name: str) -> np.ndarray:
        """The array (size, ...) of an MjData field."""
        if name not in self._bound:
            self._bound[name] = np.stack([getattr(data, name) for data in self._data])
            for i, data in enumerate(self._data):
                self._views[i].append((self._bound[name][i], getattr(data, name)))
        return self._bound[name]

    def reset(self, rows: np.ndarray, stage: int = 0) -> None:
        """Put rows back to the model's initial state; `stage` must be mjSTAGE_NONE (0), as nothing is computed."""
        if stage != int(_mujoco.mjtStage.mjSTAGE_NONE):
            raise ValueError(f"stage must be mjSTAGE_NONE, got {stage}")
        for row in rows:
            _mujoco.mj_resetData(self.model, self._data[row])
            self._copy_out(row)

    def forward(self, rows: np.ndarray, forces: bool = False) -> None:
        """Compute everything that depends on the rows' present state, contact forces only if asked for."""
        for row in rows:
            self._copy_in(row)
            _mujoco.mj_forward(self.model, self._data[row])
            if forces:
                _mujoco.mj_rnePostConstraint(self.model, self._data[row])
            self._copy_out(row)

    def step(self, rows: np.ndarray, nstep: int) -> None:
        """Advance the rows by `nstep` physics steps, then compute their contact forces.

        Raises:
            SimulationError: if MuJoCo raised in some rows; the others are done.
        """
        failed, message = [], ""
        for row in rows:
            self._copy_in(row)
            try:
                _mujoco.mj_step(self.model, self._data[row], nstep=nstep)
                _mujoco.mj_rnePostConstraint(self.model, self._data[row])
            except _mujoco.FatalError as error:
                failed.append(row)
                message = str(error)
                continue
            self._copy_out(row)
        if failed:
            raise SimulationError(np.array(failed), message)

    def _copy_in(self, row: int) -> None:
        for name, values in self._inputs.items():
            getattr(self._data[row], name)[:] = values[row]

    def _copy_out(self, row: int) -> None:
        for ours, theirs in self._views[row]:
            ours[...] = theirs
        for kind, seen in enumerate(self._data[row].warning):
            self.warning[row, kind] = seen.lastinfo, seen.number

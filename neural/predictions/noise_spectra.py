"""The noise-weighted spectra measured after the runs, and what the linear theory makes of them, seed by seed.

A variance is taken where it can be felt: weighted by the curvature of the cloning loss, which is, up to residuals, the
variance of the actions on the expert's states. Directions in which the loss is flat carry most of the variance of the
parameters and change no action.
"""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Sequence

import numpy as np
import xarray as xr

from neural.control.curvature import NoiseSpectrum
from neural.control.design import CloningExperiment
from neural.control.rebuild import experiment_of
from neural.predictions import linear_theory
from neural.predictions.evidence import Evidence

_SCALARS = ("smallest", "momentum", "step_factor", "nesterov")
_ARRAYS = {
    "nodes": ("vector", "node"),
    "weights": ("vector", "node"),
    "gradient_nodes": ("gradient_node",),
    "gradient_weights": ("gradient_node",),
}


def to_dataset(spectrum: NoiseSpectrum) -> xr.Dataset:
    """A spectrum as a dataset of the same names."""
    arrays = {name: (dims, getattr(spectrum, name)) for name, dims in _ARRAYS.items()}
    return xr.Dataset(arrays | {name: ((), float(getattr(spectrum, name))) for name in _SCALARS})


def from_dataset(dataset: xr.Dataset) -> NoiseSpectrum:
    """The inverse of `to_dataset`."""
    arrays = {name: dataset[name].transpose(*dims).values.astype(np.float64) for name, dims in _ARRAYS.items()}
    scalars = {name: float(dataset[name]) for name in _SCALARS}
    return NoiseSpectrum(**arrays, **{**scalars, "nesterov": bool(scalars["nesterov"])})


@dataclasses.dataclass(frozen=True, eq=False)
class Spectra:
    """Of one arm: its experiment and a spectrum per seed."""

    experiment: CloningExperiment
    by_seed: tuple[NoiseSpectrum, ...]


def experiment_of_run(run: xr.Dataset) -> CloningExperiment:
    """The experiment that a run's dataset is of."""
    return experiment_of(json.loads(run.attrs["config"]))


def spectra(evidence: Evidence, arm: str) -> Spectra:
    """Those measured after an arm's runs.

    Raises:
        FileNotFoundError: if there are none.
    """
    data = evidence[f"{arm} spectrum"]
    return Spectra(
        experiment_of_run(evidence[arm]), tuple(from_dataset(data.isel(seed=i)) for i in range(data.sizes["seed"]))
    )


class _SomeSeeds(Evidence):
    """Evidence of which some seeds alone are seen."""

    def __init__(self, evidence: Evidence, places: Sequence[int]) -> None:
        super().__init__(evidence.directory)
        self._whole, self._places = evidence, list(places)

    def __getitem__(self, name: str) -> xr.Dataset:
        return self._whole[name].isel(seed=self._places)


@functools.lru_cache(maxsize=64)
def with_a_say(evidence: Evidence, arm: str) -> Evidence:
    """The same of the seeds alone on whose spectrum of this arm the step is stable; for pictures, not for verdicts."""
    return _SomeSeeds(evidence, np.flatnonzero(_stable(evidence, arm)).tolist())


def all_stable(evidence: Evidence, arm: str) -> bool:
    """Whether the spectra of an arm were measured, and the linear theory has a say on every seed."""
    if not evidence.has(f"{arm} spectrum"):
        return False
    return all(_stable(evidence, arm))


def _stable(evidence: Evidence, arm: str) -> list[bool]:
    """Of every seed, whether the step is stable on its spectrum."""
    of = spectra(evidence, arm)
    return [linear_theory.is_stable(s, of.experiment.schedule, of.experiment.steps) for s in of.by_seed]


@functools.lru_cache(maxsize=16)  # several criteria and figures ask for the same ones
def window_factors(evidence: Evidence, arm: str, names: tuple[str, ...]) -> np.ndarray:
    """(averages, seeds) predicted variance of averages within the consecutive window over that of raw."""
    of = spectra(evidence, arm)
    e = of.experiment
    averages = [e.bank[name] for name in names]
    found = [linear_theory.window_factors(s, e.schedule, averages, e.steps, e.consecutive, 1) for s in of.by_seed]
    return _losses(found)


@functools.lru_cache(maxsize=16)  # several criteria and figures ask for the same ones
def seed_factors(evidence: Evidence, arm: str, names: tuple[str, ...]) -> np.ndarray:
    """(averages, seeds) predicted variance of averages across seeds over that of raw."""
    of = spectra(evidence, arm)
    e = of.experiment
    averages = [e.bank[name] for name in names]
    return _losses([linear_theory.seed_factors(s, e.schedule, averages, e.steps) for s in of.by_seed])


def _losses(found: Sequence[Sequence[linear_theory.Factors]]) -> np.ndarray:
    """(averages, seeds) of factors by seed; not to be written to, for they are kept."""
    out = np.array([[one.loss for one in row] for row in found]).T
    out.setflags(write=False)
    return out


def roughness(evidence: Evidence, arm: str) -> np.ndarray:
    """(seeds,) 1 − r_1 of raw, r_1 the correlation of successive iterates: half the variance of their difference."""
    of = spectra(evidence, arm)
    e = of.experiment
    return np.array([linear_theory.raw_window_share(s, e.schedule, e.steps, 2) for s in of.by_seed])

"""Every figure by name: the module that draws it, where its data come from, and the figure of the paper it stands for.

A module has `draw(data)` and `caption(data)`. The datasets of computed figures ship in `paper_figs/assets`; that of a
run's figure ships where the run is described, or is named by the user.
"""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from neural.predictions.evidence import SETS, SHIPPED, shipped
from neural.runs import load_dataset

ASSETS = Path(__file__).parent / "assets"
PRESETS = ("quick", "full")

Progress = Callable[[int, int], None]


Source = Literal["computed", "dataset", "file", "nothing"]


@dataclasses.dataclass(frozen=True)
class Entry:
    """A figure.

    Attributes:
        module: of `paper_figs`, its last name.
        source: of its data: "computed" by the module's `data(preset, seed=, progress=)`, a "dataset" as it is, or what
            the module's `data` makes of a "file", or of "nothing" but what the project has.
        shipped: file of its dataset, or directory of its evidence; None if it must be named, or none is needed.
        paper: number of the paper's figure that it stands for, or None.
    """

    module: str
    source: Source
    shipped: Path | None = None
    paper: int | None = None

    def load(self) -> Any:
        """Its module."""
        return importlib.import_module(f"paper_figs.{self.module}")


def _computed(module: str, paper: int | None = None) -> Entry:
    return Entry(module, "computed", ASSETS / f"{module}.nc", paper)


LANGUAGE = ASSETS.parents[1] / "neural" / "language" / "assets"
EVIDENCE = next(iter(shipped().values()), SHIPPED / SETS[0])
"""Directory of what the predictions are judged by; its figures take another one as their file."""


def _of_evidence(module: str, paper: int | None = None) -> Entry:
    return Entry(module, "file", EVIDENCE, paper)


FIGURES: dict[str, Entry] = {
    "butterfly": _computed("butterfly", paper=1),
    "cliff-phase": _computed("cliff_phase"),
    "scalar-gva": _computed("scalar_gva"),
    "drift": _computed("drift"),
    "stability-radius": _computed("stability_radius"),
    "ema-rates": _computed("ema_rates"),
    "decay-or-average": _computed("decay_or_average"),
    "horizon-exponents": _computed("horizon_exponents"),
    "average-paths": _computed("average_paths"),
    "gradient-noise": _computed("gradient_noise"),
    "reconstruction": _computed("reconstruction"),
    "cloning": Entry("cloning", "dataset"),
    "predictions": _of_evidence("prediction_forest"),
    "interventions": _of_evidence("interventions", paper=2),
    "averages": _of_evidence("average_grid", paper=3),
    "noise-scaling": _of_evidence("noise_scaling"),
    "linear-theory": _of_evidence("theory_against_runs"),
    "choice": _of_evidence("choice_regret"),
    "falls": _of_evidence("falls"),
    "horizon": _of_evidence("horizon"),
    "orders": _of_evidence("noise_orders"),
    "language": Entry("language_gallery", "file", LANGUAGE / "grammar.nc", paper=4),
    "survival": Entry("survival", "file", LANGUAGE / "grammar.nc"),
    "parting": Entry("parting", "file", LANGUAGE / "parting.nc"),
    "experts": Entry("experts", "nothing", paper=5),
}
"""By the name on the command line."""


def _ships(entry: Entry) -> bool:
    """Whether it is drawn without a file named; a source tree may be without the evidence."""
    return entry.source == "nothing" or (entry.shipped is not None and (entry.shipped != EVIDENCE or EVIDENCE.is_dir()))


def names(wanted: str) -> list[str]:
    """Names of figures: one, that which stands for a number of the paper's, or all that draw without a file named.

    Raises:
        ValueError: if there is none, naming those there are.
    """
    if wanted == "all":
        return [name for name, entry in FIGURES.items() if _ships(entry)]
    by_number = [name for name, entry in FIGURES.items() if entry.paper is not None and str(entry.paper) == wanted]
    if wanted not in FIGURES and not by_number:
        numbers = sorted(str(entry.paper) for entry in FIGURES.values() if entry.paper is not None)
        raise ValueError(f"name must be all, or one of {[*FIGURES, *numbers]}, got {wanted!r}")
    return [wanted] if wanted in FIGURES else by_number


def data_of(name: str, file: Path | None, fresh: bool, preset: str, seed: int, progress: Progress | None = None) -> Any:
    """What a figure is drawn from.

    Args:
        name: of the figure.
        file: of a dataset to draw; None for the shipped one.
        fresh: compute it anew instead.
        preset, seed: of the computation.
        progress: called with (done, total) of it.

    Raises:
        ValueError: if the figure cannot be had in that way.
        FileNotFoundError: if there is no such file.
    """
    entry = FIGURES[name]
    module = entry.load()
    if fresh:
        if entry.source != "computed" or file is not None:
            what = "a file is given" if file is not None else f"{name} is drawn from runs"
            raise ValueError(f"fresh must not be asked for, {what}")
        return module.data(preset, seed=seed, progress=progress)
    if entry.source == "nothing":
        return module.data()
    file = entry.shipped if file is None else file
    if file is None:
        raise ValueError(f"data must name the dataset of a run to draw {name} from")
    return module.data(file) if entry.source == "file" else load_dataset(file)

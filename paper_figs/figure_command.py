"""The `gva figure` command."""

import dataclasses
import functools
from pathlib import Path
from typing import Literal

import tyro


@dataclasses.dataclass(frozen=True)
class Figure:
    """Draw a figure, or all of them, as PDF and PNG from the data that come with the project."""

    name: tyro.conf.Positional[str]
    """Which: its name, the number of the paper's figure that it stands for, or all."""
    out: Path = Path("runs/figures")
    """Directory."""
    data: Path | None = None
    """Dataset to draw instead: of a cloning run for cloning, of a campaign for interventions; or a directory of
    evidence."""
    fresh: bool = False
    """Compute the data anew, of figures that are computed."""
    preset: Literal["quick", "full"] = "quick"
    """Size of that computation."""
    seed: int = 0
    """Its seed."""

    def run(self) -> int:
        from gvatheory import validation
        from paper_figs import style
        from paper_figs.gallery import EVIDENCE, FIGURES, data_of, names
        from paper_figs.progress import stage_bars

        validation.integer("seed", self.seed, 0)
        if not self.fresh and (self.preset, self.seed) != ("quick", 0):
            raise ValueError("preset and seed must go with --fresh: the data that come with the project have their own")
        chosen = names(self.name)
        if self.data is not None and len(chosen) > 1:
            raise ValueError(f"data must go with one figure, got {self.name!r}")
        for name in chosen:
            with stage_bars() as report:
                fresh = self.fresh and (FIGURES[name].source == "computed" or self.name != "all")
                module = FIGURES[name].load()
                tell = functools.partial(report, name)
                try:
                    data = data_of(name, self.data, fresh, self.preset, self.seed, tell)
                    figure = module.draw(data)
                except FileNotFoundError as e:
                    if self.name != "all" or FIGURES[name].shipped != EVIDENCE:
                        raise
                    print(f"{name} is not drawn, the evidence that ships lacks a run: {e}")
                    continue
            for file in style.save(figure, self.out / name):
                print(f"wrote {file}")
            print(module.caption(data))
        return 0

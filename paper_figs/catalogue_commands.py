"""The `gva catalogue` commands, and what `gva clone --catalogue` does."""

import dataclasses
import math
import os
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro


@dataclasses.dataclass(frozen=True)
class Campaign:
    """Options of `gva clone --catalogue`: which interventions, on what, how large and by what."""

    catalogue: str | None = None
    """Interventions to run in place of one experiment: all, a family, figure-2, smoke, or one by its name."""
    preset: Literal["quick", "standard", "paper"] = "quick"
    """Size of the base experiment, and the selection, tasks and seeds that its promise is about."""
    tasks: tuple[str, ...] = ()
    """gymnasium ids; the preset's if none is given."""
    families: tuple[str, ...] = ()
    """Keep the interventions of these families alone."""
    engine: Literal["loky", "ray", "dask"] = "loky"
    """Backend of joblib that spreads the runs: processes of this machine, or a cluster of Ray or Dask."""
    workers: int = os.cpu_count() or 1
    """Runs at a time; each uses one core."""
    address: str | None = None
    """Of a running cluster; one is started here if not given."""

    def cells(self, seeds: tuple[int, ...]) -> tuple[Any, Any]:
        """The interventions chosen, and the cells of their campaign; the preset's seeds if none is given."""
        from neural.control.campaign import plan
        from neural.control.catalogue import get_preset, select

        preset = get_preset(self.preset)
        interventions = select(self.catalogue or preset.selection, self.families)
        return interventions, plan(interventions, preset.experiment, self.tasks or preset.tasks, seeds or preset.seeds)

    def run(self, out: Path, seeds: tuple[int, ...]) -> int:
        """Carry the campaign out, for these seeds or the preset's; leave campaign.nc in `out` and print its summary."""
        from neural.control.campaign import Engine, run_campaign
        from neural.control.campaign_dataset import gather
        from neural.runs import save_dataset
        from paper_figs.progress import stage_bars

        engine = Engine(self.engine, self.workers, self.address)
        interventions, cells = self.cells(seeds)
        with stage_bars() as report:
            run_campaign(cells, out, engine, progress=report)
            dataset = gather(interventions, cells, out, progress=lambda done, total: report("collecting", done, total))
        save_dataset(out / "campaign.nc", dataset)
        print_summary(dataset, "spaced")
        print(f"wrote {out / 'campaign.nc'}; the picture: gva figure interventions --data {out / 'campaign.nc'}")
        return 0


def print_summary(dataset: Any, window: str) -> None:
    """A table of the campaign: per intervention both spreads, their ratio, and the raw one against the base's."""
    from rich.console import Console
    from rich.table import Table

    from neural.control.campaign_summary import summarise

    headers = ("intervention", "runs", "return", "raw spread", "average", "raw/average", "raw/base", "loss spread")
    title = f"{window} iterates; returns and spreads in units of the expert's return"
    table = Table(title=title, title_justify="left")
    for i, header in enumerate(headers):
        table.add_column(header, justify="right" if i else "left", overflow="fold")
    for row in summarise(dataset, window):
        runs = f"{row.runs}" + (f" + {row.diverged} diverged" if row.diverged else "")
        estimates = (row.raw, row.averaged, row.ratio, row.raw_against_base)
        returns = f"{row.mean_return[0]:.2f} / {row.mean_return[1]:.2f}"
        table.add_row(row.intervention, runs, returns, *map(_words, estimates), f"{row.raw_loss:.2g}")
    Console().print(table)


def _words(estimate: Any) -> str:
    from paper_figs.page import number

    if math.isnan(estimate.low):
        return number(estimate.value)
    return f"{number(estimate.value)} [{number(estimate.low)}, {number(estimate.high)}]"


@dataclasses.dataclass(frozen=True)
class CatalogueList:
    """Print the interventions."""

    family: str | None = None
    """Of this family alone."""

    def run(self) -> int:
        from rich.console import Console
        from rich.table import Table

        from neural.control.catalogue import select

        kept = () if self.family is None else (self.family,)
        chosen = select("all", kept)[1:]
        table = Table(title=f"{len(chosen)} interventions", title_justify="left")
        for header in ("family", "name", "changes", "bears on"):
            table.add_column(header, overflow="fold")
        for i in chosen:
            table.add_row(i.family, i.name, i.describe(), " ".join(i.predictions))
        Console().print(table)
        return 0


@dataclasses.dataclass(frozen=True)
class CatalogueCost:
    """Measure what runs cost here, and say what a campaign of every size would take at most."""

    catalogue: str | None = None
    """Which interventions; each preset's own if not given."""
    tasks: tuple[str, ...] = ()
    """gymnasium ids; the preset's if none is given."""
    seeds: tuple[int, ...] = ()
    """Seeds of the learner; the preset's if none is given."""
    families: tuple[str, ...] = ()
    """The interventions of these families alone."""
    workers: int = os.cpu_count() or 1
    """Runs at a time."""

    def run(self) -> int:
        from neural.control.campaign_cost import calibrate, campaign_cost
        from paper_figs.progress import stage_bars

        chosen = {name: getattr(self, name) for name in ("catalogue", "tasks", "families", "workers")}
        plans = {name: Campaign(preset=name, **chosen).cells(self.seeds)[1] for name in ("quick", "standard", "paper")}
        tasks = dict.fromkeys(cell.task for cells in plans.values() for cell in cells)
        with stage_bars() as report:
            units = calibrate(list(tasks), progress=lambda done, total: report("measuring", done, total))
        print(units)
        for name, cells in plans.items():
            core, clock = campaign_cost(cells, units, self.workers)
            print(
                f"{name:<9} {len(cells):>5} trainings, at most {core / 3600:.3g} core hours: "
                f"{clock / 3600:.3g} h by {self.workers} workers with a core each"
            )
        return 0


@dataclasses.dataclass(frozen=True)
class CataloguePage:
    """Write the table of interventions as Markdown."""

    out: Path = Path("docs/catalogue.md")
    """File to write."""

    def run(self) -> int:
        from paper_figs.catalogue_page import markdown

        self.out.parent.mkdir(parents=True, exist_ok=True)
        self.out.write_text(markdown(), encoding="utf-8")
        print(f"wrote {self.out}")
        return 0


@dataclasses.dataclass(frozen=True)
class CatalogueSummary:
    """Print a campaign's table again."""

    data: Path = Path("runs/clone/campaign.nc")
    """Dataset of a campaign."""
    window: Literal["consecutive", "spaced"] = "spaced"
    """Which iterates."""

    def run(self) -> int:
        from neural.runs import load_dataset

        print_summary(load_dataset(self.data), self.window)
        return 0


@dataclasses.dataclass(frozen=True)
class Catalogue:
    """Look at the catalogue of interventions; `gva clone --catalogue NAME` runs it."""

    action: (
        Annotated[CatalogueList, tyro.conf.subcommand("list")]
        | Annotated[CatalogueCost, tyro.conf.subcommand("cost")]
        | Annotated[CataloguePage, tyro.conf.subcommand("page")]
        | Annotated[CatalogueSummary, tyro.conf.subcommand("summary")]
    )

    def run(self) -> int:
        return self.action.run()

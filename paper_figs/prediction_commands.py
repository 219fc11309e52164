"""The `gva predictions` commands: run what the predictions are judged by, judge them, write docs/results.md."""

import dataclasses
import os
from pathlib import Path
from typing import Annotated, Literal

import tyro

Set = Literal["verdict", "check"]
Preset = Literal["quick", "standard"]


@dataclasses.dataclass(frozen=True)
class PredictionRuns:
    """Carry out the cloning runs and what is measured after them; what is finished is not done again."""

    preset: Preset = "quick"
    """How large: quick has two seeds, which decide nothing; standard is what ships."""
    seeds: Set = "verdict"
    """Which set of learner seeds."""
    out: Path = Path("runs/predictions")
    """Directory; runs go to PRESET/SET in it, and the evidence made of them to PRESET-SET-evidence."""
    language: tuple[Path, ...] = ()
    """Directories of `gva lm train`, each with `gva lm part`'s dataset as parting.nc, for N9."""
    only: tuple[str, ...] = ()
    """Ids of the predictions whose runs are wanted; all if none is given."""
    engine: Literal["loky", "ray", "dask"] = "loky"
    """Backend of joblib that spreads the runs: processes of this machine, or a cluster of Ray or Dask."""
    workers: int = os.cpu_count() or 1
    """Runs at a time; each uses one core."""
    address: str | None = None
    """Of a running cluster; one is started here if not given."""

    def run(self) -> int:
        from neural.control.campaign import Engine
        from neural.predictions.after import measure
        from neural.predictions.arms import SEED_SETS, SIZES, arms
        from neural.predictions.campaign import run_arms
        from neural.predictions.evidence import collect
        from neural.predictions.language import language_data
        from neural.runs import save_dataset
        from paper_figs.progress import stage_bars

        size, engine = SIZES[self.preset], Engine(self.engine, self.workers, self.address)
        wanted = arms(size, SEED_SETS[self.seeds][: size.seeds])
        if self.only:
            wanted = [arm for arm in wanted if set(arm.predictions) & set(self.only)]
            if not wanted:
                raise ValueError(f"only must name predictions that read cloning runs, got {list(self.only)}")
        runs, evidence = self.out / self.preset / self.seeds, self.out / f"{self.preset}-{self.seeds}-evidence"
        language = language_data(self.language) if self.language else None
        with stage_bars() as report:
            run_arms(wanted, runs, engine, progress=report)
            measure(wanted, runs, engine, progress=report)
        for name, why in collect(wanted, runs, evidence).items():
            print(f"missing: {name}: {why}")
        if language is not None:
            save_dataset(evidence / "language.nc", language)
        print(f"wrote {evidence}; the verdicts: gva predictions table --data {evidence}")
        return 0


@dataclasses.dataclass(frozen=True)
class PredictionTable:
    """Judge the predictions and print every criterion with its interval."""

    ids: tyro.conf.Positional[tuple[str, ...]] = ()
    """Which predictions, N1 to N10; all if none is given."""
    data: Path | None = None
    """Directory of the evidence; the shipped one of the set of seeds if not given."""
    seeds: Set | None = None
    """Which shipped set of seeds; the one that decides if not given."""

    def run(self) -> int:
        from neural.predictions.evidence import SHIPPED, Evidence
        from neural.predictions.registry import judge_all
        from paper_figs.gallery import EVIDENCE
        from paper_figs.prediction_tables import choice_lines, verdict_lines

        own = EVIDENCE if self.seeds is None else SHIPPED / self.seeds
        evidence = Evidence(own if self.data is None else self.data)
        print("\n".join(verdict_lines(judge_all(evidence, self.ids))))
        if not self.ids:
            print("\n".join(choice_lines(evidence)))
        return 0


@dataclasses.dataclass(frozen=True)
class PredictionPage:
    """Write docs/results.md: verdicts, figures and what they say, from shipped data."""

    out: Path = Path("docs/results.md")
    """File to write; its pictures go into a folder of its name beside it."""

    def run(self) -> int:
        from paper_figs.progress import stage_bars
        from paper_figs.results_page import write_page

        with stage_bars() as report:
            for file in write_page(self.out, progress=lambda done, total: report("figures", done, total)):
                print(f"wrote {file}")
        return 0


@dataclasses.dataclass(frozen=True)
class Predictions:
    """Take predictions N1 to N10 of the linear and convex models to networks, and judge them."""

    action: (
        Annotated[PredictionRuns, tyro.conf.subcommand("run")]
        | Annotated[PredictionTable, tyro.conf.subcommand("table")]
        | Annotated[PredictionPage, tyro.conf.subcommand("page")]
    )

    def run(self) -> int:
        return self.action.run()

"""The `gva` command: check, sweep, expert, demos, clone, catalogue, figure, demo.

Heavy imports wait until their command is chosen.
"""

import dataclasses
import functools
import itertools
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

try:
    import tyro

    from paper_figs.behaviour_commands import Divergence, Landscape, Lyapunov, Video
    from paper_figs.catalogue_commands import Catalogue
    from paper_figs.clone_commands import Clone
    from paper_figs.demonstration_commands import Demonstrations
    from paper_figs.expert_commands import Expert
    from paper_figs.figure_command import Figure
    from paper_figs.language_commands import Lm
    from paper_figs.prediction_commands import Predictions
except ImportError as e:  # pragma: no cover
    raise SystemExit(f"gva needs the cli extra ({e.name} is missing): pip install 'gvatheory[cli]'") from e


@dataclasses.dataclass(frozen=True)
class Check:
    """Check the propositions: algebra, numbers, simulation, and mutants that must be refuted."""

    ids: tyro.conf.Positional[tuple[str, ...]] = ()
    """Which propositions, by id (3.1, 4.1, C.1); all if none is given."""
    quick: bool = False
    """Fewer instances."""
    seed: int = 0
    """Seed of every instance and simulation."""
    workers: int = os.cpu_count() or 1
    """Processes; the numbers do not depend on it."""
    mutants: bool = True
    """Say how each mutant was refuted, below the table (JSON and the page always do)."""
    json: bool = False
    """Print JSON instead of the table."""
    junit: Path | None = None
    """File to write the results to as JUnit XML."""
    page: Path | None = None
    """File to write the ledger to as a page: .html (self-contained), or .md with its pictures in a folder beside it."""

    def run(self) -> int:
        import proofs_check
        from paper_figs.progress import stage_bars

        if self.page is not None and self.page.suffix not in (".html", ".md"):
            raise ValueError(f"page must end in .html or .md, got {self.page}")
        rows = proofs_check.propositions()
        finished = itertools.count(1)
        chosen = len(self.ids or rows)
        files: list[Path] = []
        with stage_bars() as report:
            results = proofs_check.run(
                self.ids or None,
                self.seed,
                self.quick,
                self.workers,
                progress=lambda _: report("propositions", next(finished), chosen),
            )
            if self.junit is not None:
                self.junit.parent.mkdir(parents=True, exist_ok=True)
                self.junit.write_text(proofs_check.to_junit(results), encoding="utf-8")
                files.append(self.junit)
            if self.page is not None:
                from paper_figs.ledger_page import write_page

                draw = functools.partial(report, "pictures")
                files += write_page(self.page, results, rows, self.seed, progress=draw)
        if self.json:
            print(proofs_check.to_json(results))
        else:
            print(proofs_check.table(results))
            if self.mutants:
                print("\n".join(map(proofs_check.kills, results)))
            print(proofs_check.summary(results))
        for file in files:
            print(f"wrote {file}", file=sys.stderr)
        return 0 if proofs_check.passed(results) else 1


@dataclasses.dataclass(frozen=True)
class Sweep:
    """Exact (and simulated) reward past a cliff over a grid of step sizes and EMA rates, to a netCDF file."""

    out: Path = Path("runs/sweep.nc")
    """File to write."""
    step_sizes: tuple[float, float, int] = (1e-3, 1.0, 13)
    """Geometric grid of step sizes: first, last, count."""
    gammas: tuple[float, float, int] = (1e-3, 1.0, 13)
    """Geometric grid of EMA rates: first, last, count."""
    steps: int = 1000
    """SGD steps T."""
    dimension: int = 10
    """Number of parameters."""
    curvature: float = 1.0
    """Curvature of every direction."""
    noise_variance: float = 4.0
    """Per-example gradient-noise variance of every direction."""
    batch_size: int = 1
    """Batch size."""
    initial_error: float = 1.0
    """Initial error of every coordinate."""
    radius: float = 1.0
    """Radius of the cliff ball."""
    penalty: float = 2.0
    """Penalty past the cliff, above radius²."""
    trials: int = 0
    """Simulated runs per cell; 0 for the exact law alone."""
    seed: int = 0
    """Seed of the simulation."""

    def run(self) -> int:
        import numpy as np

        import gvatheory as gva
        from gvatheory import validation
        from neural.runs import save_dataset
        from paper_figs.progress import stage_bars

        validation.integer("trials", self.trials, 2 if self.trials else 0)
        validation.integer("dimension", self.dimension, 1)
        if self.out.is_dir():
            raise ValueError(f"out must be a file to write, {self.out} is a directory")
        axes = {}
        for name in ("step_sizes", "gammas"):
            first, last, count = getattr(self, name)
            validation.positive(f"{name}: first", first)
            validation.positive(f"{name}: last", last)
            validation.integer(f"{name}: count", count, 1)
            axes[name.removesuffix("s")] = np.geomspace(first, last, count)
        problem = gva.NoisyQuadratic(np.full(self.dimension, self.curvature), self.noise_variance, self.batch_size)
        reward = gva.CliffBall(self.radius, self.penalty)

        def cell(step_size: float, gamma: float) -> dict[str, float]:
            setting = (problem, gva.Constant(step_size), gva.EMA(gamma), reward, self.steps, self.initial_error)
            kept = ("mean", "variance", "fall_probability", "loss")
            nan = float("nan")
            never = gva.RewardMoments(nan, nan, nan, nan, (nan, nan, nan, nan))
            try:
                exact = gva.exact_reward(*setting)
                seen = gva.simulated_reward(*setting, self.trials, self.seed) if self.trials else never
            except OverflowError:  # an unstable cell has no numbers, and costs the others nothing
                exact = seen = never
            out = {name: getattr(exact, name) for name in kept}
            if self.trials:
                for name, error in zip(kept, seen.standard_errors, strict=True):
                    out |= {f"{name}_simulated": getattr(seen, name), f"{name}_standard_error": error}
            return out

        with stage_bars() as report:
            dataset = gva.sweep(cell, axes, progress=lambda done, total: report("sweeping", done, total))
        save_dataset(self.out, dataset.assign_attrs({k: str(v) for k, v in dataclasses.asdict(self).items()}))
        print(f"wrote {self.out}")
        return 0


@dataclasses.dataclass(frozen=True)
class Demo:
    """The whole story in a few minutes: checks, theory, cloning of the shipped expert, one HTML report."""

    out: Path = Path("runs/demo")
    """Directory; an interrupted demo goes on where it stopped."""
    seed: int = 0
    """Seed of the cloning run."""

    def run(self) -> int:
        from paper_figs.demo import run

        return run(self.out, self.seed)


Command = (
    Annotated[Check, tyro.conf.subcommand("check")]
    | Annotated[Sweep, tyro.conf.subcommand("sweep")]
    | Annotated[Expert, tyro.conf.subcommand("expert")]
    | Annotated[Demonstrations, tyro.conf.subcommand("demos")]
    | Annotated[Clone, tyro.conf.subcommand("clone")]
    | Annotated[Catalogue, tyro.conf.subcommand("catalogue")]
    | Annotated[Lm, tyro.conf.subcommand("lm")]
    | Annotated[Predictions, tyro.conf.subcommand("predictions")]
    | Annotated[Lyapunov, tyro.conf.subcommand("lyapunov")]
    | Annotated[Divergence, tyro.conf.subcommand("divergence")]
    | Annotated[Landscape, tyro.conf.subcommand("landscape")]
    | Annotated[Video, tyro.conf.subcommand("video")]
    | Annotated[Figure, tyro.conf.subcommand("figure")]
    | Annotated[Demo, tyro.conf.subcommand("demo")]
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of `gva`: exits 0 on success, 1 if a check failed, 2 on bad input, 130 when interrupted."""
    try:
        command = tyro.cli(
            Command,  # pyright: ignore[reportArgumentType]
            prog="gva",
            description="Gradient variance amplification: theory, checks and experiments.",
            args=None if arguments is None else list(arguments),
            config=(tyro.conf.OmitSubcommandPrefixes, tyro.conf.OmitArgPrefixes),
        )
        code = command.run()
    except BrokenPipeError:  # whoever read the output has gone: what is left of it goes nowhere
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 1
    except (ValueError, OSError, ArithmeticError) as e:
        print(f"gva: {e}", file=sys.stderr)
        code = 2
    except ImportError as e:
        print(f"gva: {e.name or e} is not installed; see the extras in the README", file=sys.stderr)
        code = 2
    except KeyboardInterrupt:
        print("gva: interrupted (clone, lm and demo go on where they stopped when run again)", file=sys.stderr)
        code = 130
    sys.exit(code)

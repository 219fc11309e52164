"""The `gva expert` commands: train, select, show, table, import, distribution."""

import dataclasses
from pathlib import Path
from typing import Annotated, Literal

import tyro


@dataclasses.dataclass(frozen=True)
class ExpertTrain:
    """Train an expert (needs the experts extra): hours in the background."""

    task: str = "Walker2d-v4"
    """gymnasium id."""
    steps: int = 1_000_000
    """Environment steps."""
    seed: int = 0
    """Seed of the run."""
    out: Path = Path("runs/expert")
    """Directory of the run; a training that was killed goes on where it stopped, PPO's excepted."""
    algorithm: Literal["sac", "tqc", "crossq", "td3", "ddpg", "ppo"] = "sac"
    """Of sbx-rl; the shipped experts are SAC's."""

    def run(self) -> int:
        from neural.control.expert_training import ExpertTraining, train

        config = ExpertTraining(task=self.task, steps=self.steps, seed=self.seed, algorithm=self.algorithm)
        train(config, self.out)
        print(f"checkpoints in {self.out / 'checkpoints'}; choose one: gva expert select --run {self.out}")
        return 0


@dataclasses.dataclass(frozen=True)
class ExpertSelect:
    """Choose the expert among a training run's checkpoints, on episodes the report does not reuse."""

    training: Annotated[Path, tyro.conf.arg(name="run")] = Path("runs/expert")
    """Directory of the training run."""
    out: Path = Path("runs/expert/expert.safetensors")
    """Policy file to write, with its card; the curve goes beside it."""

    def run(self) -> int:
        import json

        from neural.control.experts import select
        from paper_figs.progress import stage_bars

        with stage_bars() as report:
            card = select(self.training, self.out, progress=lambda done, total: report("comparing", done, total))
        print(json.dumps(card, indent=1))
        return 0


@dataclasses.dataclass(frozen=True)
class ExpertShow:
    """Print an expert's card and its returns over fixed initial conditions, measured now."""

    task: str = "Walker2d-v4"
    """gymnasium id."""
    path: Path | None = None
    """Policy file; the shipped expert if not given."""
    episodes: int = 20
    """Initial conditions, seeds 0, 1, ..."""

    def run(self) -> int:
        import json

        from gvatheory import validation
        from neural.control.experts import load_expert, report_returns
        from neural.control.tasks import get_task

        validation.integer("episodes", self.episodes, 1)
        task = get_task(self.task)
        policy, card = load_expert(self.task, self.path)
        measured = report_returns(policy, task, range(self.episodes))
        print(json.dumps({"card": card, "measured now": measured}, indent=1))
        return 0


@dataclasses.dataclass(frozen=True)
class ExpertTable:
    """Print the table of the shipped experts, from their cards."""

    def run(self) -> int:
        from paper_figs.expert_table import expert_table

        print(expert_table())
        return 0


@dataclasses.dataclass(frozen=True)
class ExpertImport:
    """Make a policy trained elsewhere into a policy file with a card: a stable-baselines3 zip or a plain npz."""

    file: tyro.conf.Positional[Path]
    """The .zip (read with torch, never unpickled) or .npz (W0, b0, ... as x @ W + b)."""
    task: str
    """gymnasium id of the task it is to act on."""
    out: Path
    """Policy file to write (.safetensors)."""
    activation: Literal["relu", "tanh", "silu"] | None = None
    """Of the hidden layers; an npz needs it, a zip mostly says it itself."""
    output: Literal["tanh", "identity"] | None = None
    """Map of the last layer; an npz needs it."""
    action_scale: float | None = None
    """Factor on the output; unless given, the bound of the action range where tanh squashes it, else 1."""
    normalisation: Path | None = None
    """npz of obs_mean and obs_std or obs_var for a zip, since VecNormalize's own file is a pickle."""
    obs_eps: float | None = None
    """Added to obs_std, or to obs_var before its root is taken (1e-8 there unless given)."""
    zero_pad: bool = False
    """Take observation entries that the policy reads and the task lacks as zeros at the end."""
    episodes: int = 20
    """Initial conditions of the return on its card, seeds 0, 1, ..."""

    def run(self) -> int:
        import json

        from gvatheory import validation
        from neural.control.experts import report_returns
        from neural.control.imports import ImportOptions, import_policy
        from neural.control.policies import save_policy
        from neural.control.tasks import get_task

        validation.integer("episodes", self.episodes, 1)
        if self.out.suffix != ".safetensors":
            raise ValueError(f"out must end in .safetensors, got {self.out}")
        task = get_task(self.task)
        options = {field.name: getattr(self, field.name) for field in dataclasses.fields(ImportOptions)}
        policy, origin = import_policy(self.file, task, ImportOptions(**options))
        measured = report_returns(policy, task, range(self.episodes))
        card = {"task": task.id, "algorithm": "imported", "source": origin, **measured}
        save_policy(self.out, policy, card)
        print(json.dumps(card, indent=1))
        print(f"wrote {self.out}")
        return 0


@dataclasses.dataclass(frozen=True)
class ExpertDistribution:
    """Measure the returns of an expert over 100 further initial conditions, for its mean and for drawn actions."""

    task: str = "Walker2d-v4"
    """gymnasium id."""
    path: Path | None = None
    """Policy file; the shipped expert if not given."""
    out: Path | None = None
    """Table to write (csv); TASK_returns.csv in runs/expert if not given."""
    card: bool = False
    """Put it, and the return over the 20 reported starts, into the policy file's card; the policy stays as it is."""
    episodes: int = 100
    """Initial conditions, seeds 100, 101, ..."""
    noise_seed: int = 0
    """Of the drawn actions."""

    def run(self) -> int:
        import json

        from gvatheory import validation
        from neural.control import distributions
        from neural.control.experts import asset, load_expert, report_returns, update_card
        from neural.control.tasks import get_task
        from paper_figs.progress import stage_bars

        validation.integer("episodes", self.episodes, 1)
        validation.integer("noise_seed", self.noise_seed, 0)
        task = get_task(self.task)
        policy, _ = load_expert(self.task, self.path)
        first = distributions.DISTRIBUTION_SEEDS[0]
        with stage_bars() as report:
            measured = distributions.measure(
                policy,
                task,
                range(first, first + self.episodes),
                noise_seed=self.noise_seed,
                progress=lambda done, total: report("rolling out", done, total),
            )
        out = self.out or Path("runs/expert") / f"{task.id.lower()}_returns.csv"
        distributions.save(out, measured)
        summary = distributions.describe(measured)
        if self.card:
            update_card(self.path or asset(task.id), {**report_returns(policy, task), "distribution": summary})
        print(json.dumps(summary, indent=1))
        print(f"wrote {out}")
        return 0


@dataclasses.dataclass(frozen=True)
class Expert:
    """Train, choose, import or look at an expert."""

    action: (
        Annotated[ExpertTrain, tyro.conf.subcommand("train")]
        | Annotated[ExpertSelect, tyro.conf.subcommand("select")]
        | Annotated[ExpertShow, tyro.conf.subcommand("show")]
        | Annotated[ExpertTable, tyro.conf.subcommand("table")]
        | Annotated[ExpertImport, tyro.conf.subcommand("import")]
        | Annotated[ExpertDistribution, tyro.conf.subcommand("distribution")]
    )

    def run(self) -> int:
        return self.action.run()

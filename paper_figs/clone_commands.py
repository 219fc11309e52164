"""The `gva clone` command."""

import dataclasses
from pathlib import Path
from typing import Any, Literal

from paper_figs.catalogue_commands import Campaign


@dataclasses.dataclass(frozen=True)
class Clone:
    """Clone an expert with a bank of averages and roll out chosen ones at consecutive and at spaced iterates."""

    out: Path = Path("runs/clone")
    """Directory of the run; an interrupted run goes on where it stopped."""
    task: str = "Walker2d-v4"
    """gymnasium id."""
    expert: Path | None = None
    """Policy file; the shipped expert if not given."""
    episodes: int = 100
    """Expert episodes to clone."""
    stochastic: bool = True
    """Draw them from the expert's stochastic policy rather than its deterministic mean."""
    step_size: float = 4e-3
    """Constant step size."""
    optimiser: Literal["adamw", "sgd", "heavy ball", "nesterov"] = "adamw"
    """Optimiser of the updates."""
    momentum: float = 0.9
    """Of heavy ball and Nesterov."""
    weight_decay: float = 0.0
    """Decoupled weight decay."""
    clip_norm: float | None = None
    """Largest norm of a gradient."""
    loss: Literal["squared", "huber", "absolute"] = "squared"
    """Training loss; the reported one is always squared."""
    dropout: float = 0.0
    """Share of hidden units left out of an update."""
    label_noise: float = 0.0
    """Standard deviation of noise on the expert's actions."""
    input_noise: float = 0.0
    """Standard deviation of noise on the normalised observations."""
    activation: Literal["relu", "tanh", "silu"] = "relu"
    """Nonlinearity of the hidden layers."""
    batch_size: int = 16
    """Pairs per update."""
    hidden: tuple[int, ...] = (256, 256, 256)
    """Widths of the hidden layers."""
    steps: int = 33_000
    """Updates."""
    evaluate: tuple[str, ...] = ("EMA 0.01", "EMA 0.001", "power 2/3", "Polyak")
    """Averages of the default bank that are rolled out beside the raw iterate."""
    consecutive: int = 40
    """Last iterates rolled out one by one."""
    spaced: int = 18
    """Iterates rolled out further apart."""
    spacing: int = 1500
    """Updates between the spaced iterates."""
    rollouts: int = 10
    """Episodes per policy."""
    seed: int = 0
    """Seed of the initial weights and of the batches."""
    seeds: tuple[int, ...] = ()
    """Several such seeds, for --catalogue; its preset's if none is given."""
    campaign: Campaign = dataclasses.field(default_factory=Campaign)
    """Many experiments in place of one."""

    def experiment(self) -> Any:
        """The `CloningExperiment` these options describe; with the defaults, the demo's."""
        from gvatheory.schedules import Constant
        from neural.control.experiment import CloningExperiment
        from neural.control.learner import Learner

        same = ("task", "episodes", "stochastic", "steps", "evaluate", "consecutive", "spaced", "spacing", "rollouts")
        of_learner = {field.name for field in dataclasses.fields(Learner)} & {f.name for f in dataclasses.fields(self)}
        return CloningExperiment(
            **{name: getattr(self, name) for name in same},
            expert=None if self.expert is None else str(self.expert),
            learner=Learner(**{name: getattr(self, name) for name in of_learner}),
            schedule=Constant(self.step_size),
        )

    def run(self) -> int:
        if self.campaign.catalogue is not None:
            self._require_defaults()
            return self.campaign.run(self.out, self.seeds)
        if self.seeds:
            raise ValueError(f"seeds are for --catalogue, a single run has a --seed; got {list(self.seeds)}")
        from neural.control.experiment import run
        from neural.statistics import reward_spread
        from paper_figs.progress import stage_bars
        from paper_figs.report import report_summary

        experiment = self.experiment()
        with stage_bars() as report:
            dataset = run(experiment, self.out, progress=report)
        windows = [w for w in ("consecutive", "spaced") if getattr(self, w) > 1]
        if windows:
            print(report_summary(reward_spread(dataset, windows=windows)))
        print(f"wrote {self.out / 'run.nc'}")
        return 0

    def _require_defaults(self) -> None:
        """A preset says what a campaign's experiments are: refuse options of a single one rather than ignore them."""
        single = [field for field in dataclasses.fields(self) if field.name not in ("out", "seeds", "campaign")]
        given = [f"--{f.name.replace('_', '-')}" for f in single if getattr(self, f.name) != f.default]
        if given:
            raise ValueError(
                f"catalogue {self.campaign.catalogue!r} takes its experiments from the preset, got {given}"
            )

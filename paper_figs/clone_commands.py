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
    action_noise: float = 0.0
    """Standard deviation of noise on what the expert executes; the cloned actions are free of it."""
    demonstrations: str | None = None
    """Directory of stored demonstrations to clone (gva demos), the last ones held out; recorded anew if not given."""
    step_size: float | None = None
    """Constant step size, 4e-3 unless given; short for --schedule constant:STEP_SIZE."""
    schedule: str | None = None
    """Step sizes: constant, cosine, linear, wsd, power, inverse or exponential, as in cosine:4e-3/warmup:500 or
    wsd:4e-3,decay=20%."""
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
    architecture: Literal["mlp", "transformer"] = "mlp"
    """Network: a perceptron, or a causal transformer over the latest observations."""
    window: int = 8
    """Observations that the transformer sees."""
    width: int = 64
    """Of the transformer's tokens."""
    heads: int = 4
    """Of the transformer's attention."""
    layers: int = 2
    """Of the transformer."""
    batch_size: int = 16
    """Pairs per update."""
    hidden: tuple[int, ...] = (256, 256, 256)
    """Widths of the hidden layers."""
    steps: int = 33_000
    """Updates."""
    bank: tuple[str, ...] = ()
    """Averages kept in place of the default nine, as in ema:0.001 power:2/3 tail:0.2 polyak; named as written."""
    evaluate: tuple[str, ...] | None = None
    """Averages of the bank that are rolled out beside the raw iterate; all of a bank of your own, four of the default
    one: "EMA 0.01" "EMA 0.001" "power 2/3" Polyak."""
    consecutive: int = 40
    """Last iterates rolled out one by one."""
    spaced: int = 18
    """Iterates rolled out further apart."""
    spacing: int = 1500
    """Updates between the spaced iterates."""
    every: int | None = None
    """Iterates at multiples of this are rolled out too."""
    windows: tuple[tuple[int, int], ...] = ()
    """First and last update of stretches in which every iterate is rolled out too."""
    loss_every: int | None = None
    """Losses of the whole bank, and the gradient's noise, are measured at multiples of this."""
    rollouts: int = 10
    """Episodes per policy."""
    rollout_steps: int | None = None
    """Environment steps per episode, at most; the task's limit unless given."""
    fresh: int | None = None
    """Updates after which new expert episodes take the place of the cloned ones."""
    snapshots: int | None = None
    """Averages are stored at multiples of this, so that others can be rebuilt after the run."""
    stored: tuple[str, ...] = ()
    """Averages of the bank that are stored."""
    seed: int = 0
    """Seed of the initial weights and of the batches."""
    seeds: tuple[int, ...] = ()
    """Several such seeds, in place of the one; with --catalogue its preset's if none is given."""
    checkpoint_seconds: float = 60.0
    """Seconds after which a checkpoint is written, whatever the run is at."""
    campaign: Campaign = dataclasses.field(default_factory=Campaign)
    """Many experiments in place of one."""

    def experiment(self) -> Any:
        """The `CloningExperiment` these options describe; with the defaults, the demo's."""
        from gvatheory import validation
        from gvatheory.schedules import Constant
        from neural.control.design import CloningExperiment
        from neural.control.learner import Learner
        from neural.spelling import parse_average, parse_schedule

        validation.integer("steps", self.steps, 1)
        if self.schedule is not None and self.step_size is not None:
            raise ValueError(f"step_size and schedule must not both be given, got {self.step_size} and {self.schedule}")
        own = {field.name for field in dataclasses.fields(self)}
        of_learner = {field.name for field in dataclasses.fields(Learner)} & own
        options = {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(CloningExperiment)
            if field.name in own
        }
        options["expert"] = None if self.expert is None else str(self.expert)
        options["learner"] = Learner(**{name: getattr(self, name) for name in of_learner})
        if self.schedule is not None:
            options["schedule"] = parse_schedule(self.schedule, self.steps)
        else:
            options["schedule"] = Constant(4e-3 if self.step_size is None else self.step_size)
        options["bank"] = {text: parse_average(text, self.steps) for text in self.bank}
        if not self.bank:
            del options["bank"]
        if self.evaluate is None:
            options["evaluate"] = self.bank
            if not self.bank:
                del options["evaluate"]
        return CloningExperiment(**options)

    def run(self) -> int:
        if self.campaign.catalogue is not None:
            self._require_defaults()
            return self.campaign.run(self.out, self.seeds)
        from neural.control.experiment import run
        from neural.statistics import reward_spread
        from paper_figs.progress import stage_bars
        from paper_figs.report import report_summary

        experiment = self.experiment()
        with stage_bars() as report:
            dataset = run(experiment, self.out, progress=report, checkpoint_seconds=self.checkpoint_seconds)
        windows = [w for w in ("consecutive", "spaced") if getattr(self, w) > 1]
        for seed in self.seeds if windows else ():
            print(f"seed {seed}")
            print(report_summary(reward_spread(dataset.sel(seed=seed), windows=windows)))
        if windows and not self.seeds:
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

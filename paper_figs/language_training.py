"""The `gva lm train` and `gva lm compare` commands."""

import dataclasses
import os
import re
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from paper_figs.language_options import Device, LanguageOptions, chosen_device

_PROMPT_TOKENS, _PROMPT_SENTENCES = 32, 4


@dataclasses.dataclass(frozen=True)
class TrainingOptions:
    """What is trained, how, and what is measured of it."""

    size: Literal["tiny", "small", "paper"] = "tiny"
    """About 1M, 10M or 270M parameters."""
    context: int = 256
    """Tokens that the model sees at a time."""
    steps: int = 1500
    """Updates."""
    bank: tuple[str, ...] = ()
    """Averages kept in place of the default eight, as in ema:0.001 power:2/3 tail:0.2; named as written."""
    evaluate: tuple[str, ...] | None = None
    """Averages of the bank that continue prompts beside the raw iterate; all of a bank of your own, four of the
    default one: "EMA 0.01" "EMA 0.003" "power 2/3" Polyak."""
    batch_size: int = 8
    """Windows per update."""
    parts: int = 1
    """Parts that a batch is worked through in, one after another (gradient accumulation)."""
    weight_decay: float = 0.1
    """Decoupled weight decay of matrices."""
    beta1: float = 0.9
    """Decay of AdamW's first moments."""
    beta2: float = 0.95
    """Decay of its second moments."""
    clip_norm: float | None = 1.0
    """Largest norm of a gradient."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Of the forward and backward pass."""
    compiled: bool = False
    """Run the model through torch.compile; pays on a GPU."""
    consecutive: int | None = None
    """Last iterates that continue prompts, one by one; at most 20, or all of a shorter run, unless given."""
    spaced: int | None = None
    """Iterates further apart that do; at most 6, as far as the run goes back, unless given."""
    spacing: int = 200
    """Updates between those."""
    every: int | None = None
    """Iterates at multiples of this continue prompts too."""
    windows: tuple[tuple[int, int], ...] = ()
    """First and last update of stretches in which every iterate does."""
    loss_every: int | None = None
    """Losses of the whole bank, and the gradient's noise, are measured at multiples of this; of 50, or at the end of a
    shorter run, unless given."""
    validation: int = 32
    """Windows of the validation loss."""
    noise: int = 8
    """Windows whose gradients give the noise scale; 0 for none."""
    prompts: int = 32
    """Held-out beginnings to be continued."""
    prompt_length: int | None = None
    """Of each: tokens of text, 32 unless given; sentences of the grammar, 4 unless given."""
    continuation: int = 150
    """Tokens added to each."""
    temperature: float | None = 1.0
    """Of sampled continuations with shared random numbers, beside the greedy ones; None for greedy ones alone."""
    seed: int = 0
    """Of the initial weights and the batches."""
    device: Device = "auto"
    """Where to train."""
    checkpoint_seconds: float = 120.0
    """Time between two checkpoints."""

    def experiment(self, schedule: str, vocabulary_size: int, text: bool) -> Any:
        """The `LanguageExperiment` of these options."""
        from neural.language.design import LanguageExperiment
        from neural.language.models import sized
        from neural.language.pretraining import Trainer
        from neural.spelling import parse_average, parse_schedule

        known = {f.name for f in dataclasses.fields(LanguageExperiment)}
        same = [f.name for f in dataclasses.fields(self) if f.name in known - {"bank", "evaluate", "prompt_length"}]
        options: dict[str, Any] = {name: getattr(self, name) for name in same}
        for name, most in (("consecutive", 20), ("spaced", 6), ("loss_every", 50)):
            if options[name] is None:
                steps = max(self.steps, 1)
                options[name] = min(most, 1 + (steps - 1) // max(self.spacing, 1) if name == "spaced" else steps)
        of_trainer = [f.name for f in dataclasses.fields(Trainer) if f.name != "epsilon"]
        options["trainer"] = Trainer(**{name: getattr(self, name) for name in of_trainer})
        options["model"] = sized(self.size, vocabulary_size, self.context)
        options["schedule"] = parse_schedule(schedule, self.steps)
        if self.bank:
            options["bank"] = {word: parse_average(word, self.steps) for word in self.bank}
            options["evaluate"] = self.bank
        if self.evaluate is not None:
            options["evaluate"] = self.evaluate
        unit = _PROMPT_TOKENS if text else _PROMPT_SENTENCES
        options["prompt_length"] = unit if self.prompt_length is None else self.prompt_length
        return LanguageExperiment(**options)


def train(out: Path, schedule: str, language: LanguageOptions, options: TrainingOptions, report: Any) -> Any:
    """Run one experiment in `out`, remember its language there, and return its dataset."""
    from neural.language.experiment import run
    from neural.language.processes import ALONE, launched
    from neural.language.sources import open_language, remember

    device = chosen_device(options.device)
    processes = launched(cpu=device == "cpu") or ALONE
    if not processes.first:
        processes.wait()
    corpus = language.token_files(out, report if processes.first else None)
    if processes.first:
        processes.wait()  # until the first process has them, the others make no token files
    opened = open_language(corpus, language.grammar())
    experiment = options.experiment(schedule, opened.vocabulary_size, corpus is not None)
    dataset = run(
        experiment,
        opened,
        out,
        device=processes.device or device,
        processes=processes,
        progress=report if processes.first else None,
        checkpoint_seconds=options.checkpoint_seconds,
    )
    if processes.first:
        remember(out, corpus, language.grammar())
    return dataset


def speaks() -> bool:
    """Whether this is the one of several processes that writes and prints."""
    return int(os.environ.get("RANK", "0")) == 0


@dataclasses.dataclass(frozen=True)
class LmTrain:
    """Train a language model with a bank of averages; continue prompts at consecutive and at spaced iterates."""

    out: Path = Path("runs/lm")
    """Directory of the run; an interrupted run goes on where it stopped."""
    schedule: str = "constant:3e-3/warmup:100"
    """Step sizes: constant, cosine, linear, wsd, power, inverse or exponential, as in cosine:3e-3/warmup:100."""
    language: Annotated[LanguageOptions, tyro.conf.arg(name="")] = dataclasses.field(default_factory=LanguageOptions)
    options: Annotated[TrainingOptions, tyro.conf.arg(name="")] = dataclasses.field(default_factory=TrainingOptions)

    def run(self) -> int:
        from paper_figs.progress import stage_bars

        with stage_bars() as report:
            train(self.out, self.schedule, self.language, self.options, report)
        if speaks():
            print(f"wrote {self.out / 'run.nc'}")
        return 0


@dataclasses.dataclass(frozen=True)
class LmCompare:
    """Train the same model with several schedules, and compare what each loses, raw and averaged, at equal budget."""

    out: Path = Path("runs/lm-compare")
    """Directory; one run for each schedule in it, which goes on where it stopped."""
    schedules: tuple[str, ...] = (
        "constant:3e-3/warmup:100",
        "cosine:3e-3/warmup:100",
        "linear:3e-3/warmup:100",
        "wsd:3e-3,decay=20%/warmup:100",
    )
    """Step sizes, as of gva lm train."""
    language: Annotated[LanguageOptions, tyro.conf.arg(name="")] = dataclasses.field(default_factory=LanguageOptions)
    options: Annotated[TrainingOptions, tyro.conf.arg(name="")] = dataclasses.field(default_factory=TrainingOptions)

    def run(self) -> int:
        from neural.language.comparison import compare
        from neural.runs import save_dataset
        from neural.spelling import parse_schedule
        from paper_figs.language_tables import comparison_table
        from paper_figs.progress import stage_bars

        if len(set(self.schedules)) < max(len(self.schedules), 2):
            raise ValueError(f"schedules must be at least two, and differ, got {list(self.schedules)}")
        for schedule in self.schedules:
            parse_schedule(schedule, self.options.steps)
        # One corpus for all of them.
        language = dataclasses.replace(self.language, corpus=self.language.corpus or self.out / "corpus")
        if not (language.text or language.dataset or self.language.corpus):
            language = self.language
        datasets = {}
        for schedule in self.schedules:
            with stage_bars() as report:
                run = self.out / re.sub(r"[^A-Za-z0-9.=-]+", "_", schedule)
                datasets[schedule] = train(run, schedule, language, self.options, report)
        if not speaks():
            return 0
        compared = compare(datasets)
        save_dataset(self.out / "compare.nc", compared)
        print(comparison_table(compared))
        print(f"wrote {self.out / 'compare.nc'}")
        return 0

"""The `gva lm` commands on finished runs: evaluate, part, continue, export, collect, figure."""

import dataclasses
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from paper_figs.language_figure_command import LmFigure
from paper_figs.language_options import Device, chosen_device
from paper_figs.language_training import LmCompare, LmTrain

_HORIZONS = (10, 25, 50, 100, 150)


@dataclasses.dataclass(frozen=True)
class LmEvaluate:
    """Say how the continuations of neighbouring iterates part, what the loss does meanwhile, and how good they are."""

    run_directories: tyro.conf.Positional[tuple[Path, ...]]
    """Of finished runs; of several that differ in their seed, means over seeds come last."""
    continuations: Literal["greedy", "sampled"] = "greedy"
    """Which."""
    horizons: tuple[int, ...] = ()
    """Of the rewards; 10, 25, 50, 100, 150 and the whole length unless given."""
    reference: Path | None = None
    """Directory of the run whose model judges the continuations by their loss, on the same tokens; for a grammar, whose
    truth is known, J_H is reported in any case."""
    judge: str | None = None
    """Model of the reference; the average of the least validation loss unless given."""
    level: float = 0.95
    """Of the intervals."""
    device: Device = "auto"
    """Where the reference computes."""

    def run(self) -> int:
        import json

        from gvatheory import validation
        from neural.language.over_seeds import over_seeds
        from neural.runs import load_dataset
        from paper_figs.language_tables import seeds_table

        if not self.run_directories:
            raise ValueError("run_directories must name at least one run, got none")
        if self.judge is not None and self.reference is None:
            raise ValueError(f"judge must go with --reference, got {self.judge!r} alone")
        datasets = [load_dataset(directory / "run.nc") for directory in self.run_directories]
        for dataset in datasets:
            for horizon in self.horizons:
                validation.integer("horizons", horizon, 1, dataset.sizes["token"])
        for directory, dataset in zip(self.run_directories, datasets, strict=True):
            if len(datasets) > 1:
                print(f"=== {directory}")
            self._one(directory, dataset)
        if len(datasets) > 1:
            seeds = [json.loads(dataset.attrs["config"])["trainer"]["seed"] for dataset in datasets]
            print(seeds_table(over_seeds(datasets, self.continuations, level=self.level), seeds, self.level))
        return 0

    def _one(self, directory: Path, dataset: Any) -> None:
        import json

        from neural.language.butterfly import butterfly
        from neural.language.judging import returns_at, story_rewards
        from neural.language.languages import GrammarLanguage
        from neural.language.sources import recall
        from neural.language.step_law import step_exponents
        from paper_figs.language_tables import butterfly_table, exponents_line, floor_table, noise_line, rewards_table

        language = recall(directory)
        sets = [name for name in ("consecutive", "spaced") if int(dataset[name].sum()) > 1]
        for members in sets:
            print(butterfly_table(butterfly(dataset, self.continuations, members, level=self.level)))
            if members == "consecutive":
                print(exponents_line(*step_exponents(dataset, self.continuations, members, level=self.level)))
        if "gradient_noise" in dataset:
            print(noise_line(dataset))
        whole = dataset.sizes["token"]
        horizons = self.horizons or tuple(sorted({*(h for h in _HORIZONS if h < whole), whole}))
        if isinstance(language, GrammarLanguage):
            config = json.loads(dataset.attrs["config"])
            windows = language.validation(config["model"]["context"], config["validation"])[:, :-1]
            print(floor_table(dataset, language.grammar, windows, self.level))
            rewards = story_rewards(dataset, language.grammar, horizons, self.continuations)
            title = "J_H, share of the words before the first that is ungrammatical or untrue"
            if sets:
                print(rewards_table(title, {h: returns_at(dataset, rewards, h) for h in horizons}, sets, self.level))
        if self.reference is not None:
            rewards, title = self._judged(self.reference, dataset, horizons)
            print(rewards_table(title, {h: returns_at(dataset, rewards, h) for h in horizons}, sets, self.level))

    def _judged(self, reference: Path, dataset: Any, horizons: tuple[int, ...]) -> tuple[Any, str]:
        """Rewards under the reference model, and what they are."""
        from neural.language.reference import judged, require_same_tokens
        from neural.language.stored_models import load_models
        from neural.runs import load_dataset
        from paper_figs.progress import stage_bars

        require_same_tokens(dataset, load_dataset(reference / "run.nc"))
        models = load_models(reference / "models.safetensors")
        judge = self.judge or best_average(reference)
        with stage_bars() as report:
            rewards = judged(
                dataset,
                models.spec,
                models[judge],
                horizons,
                self.continuations,
                device=chosen_device(self.device),
                progress=lambda done, total: report("judging", done, total),
            )
        return rewards, f"minus the loss per token under {judge!r} of {reference}"


def best_average(run: Path) -> str:
    """The model of a run's last iterate, raw or averaged, that has the least validation loss."""
    from neural.runs import load_dataset

    last = load_dataset(run / "run.nc")["loss"].isel(iterate=-1)
    return str(last["average"].values[int(last.values.argmin())])


@dataclasses.dataclass(frozen=True)
class LmPart:
    """Measure when a model's continuations and its neighbours' part, over many distances of their parameters."""

    run_directory: tyro.conf.Positional[Path]
    """Of a finished run."""
    out: Path | None = None
    """File to write; parting.nc in the run's directory unless given."""
    model: str = "raw"
    """The model in the middle: raw, or an average."""
    distances: tuple[float, float, int] = (2.0**-12, 1.0, 13)
    """Geometric grid of distances, as shares of the last update: first, last, count."""
    directions: int = 8
    """The last update, and others as likely."""
    prompts: int = 32
    """Held-out beginnings."""
    prompt_length: int | None = None
    """Of each, as for the run unless given."""
    tokens: int = 150
    """Added to each."""
    seed: int = 0
    """Of the directions."""
    device: Device = "auto"
    """Where to compute."""

    def run(self) -> int:
        import json

        import numpy as np

        from gvatheory import validation
        from neural.language.distance_law import parting_law
        from neural.language.parting import parting
        from neural.language.sources import recall
        from neural.language.stored_models import load_models
        from neural.runs import load_dataset, save_dataset
        from paper_figs.language_tables import law_table
        from paper_figs.progress import stage_bars

        first, last, count = self.distances
        validation.positive("distances: first", first)
        validation.positive("distances: last", last)
        validation.integer("distances: count", count, 2)
        config = json.loads(load_dataset(self.run_directory / "run.nc").attrs["config"])
        with stage_bars() as report:
            dataset = parting(
                load_models(self.run_directory / "models.safetensors"),
                recall(self.run_directory),
                self.model,
                shares=np.geomspace(first, last, count),
                directions=self.directions,
                prompts=self.prompts,
                prompt_length=config["prompt_length"] if self.prompt_length is None else self.prompt_length,
                length=self.tokens,
                seed=self.seed,
                device=chosen_device(self.device),
                progress=lambda done, total: report("continuing", done, total),
            )
        out = self.run_directory / "parting.nc" if self.out is None else self.out
        save_dataset(out, dataset)
        print(law_table(parting_law(dataset), dataset["share"].values))
        print(f"wrote {out}")
        return 0


@dataclasses.dataclass(frozen=True)
class LmContinue:
    """Let the last iterate, the one before it and the averages of a run continue one text."""

    run_directory: tyro.conf.Positional[Path]
    """Of a finished run."""
    prompt: tyro.conf.Positional[str]
    """The text; words of the grammar, separated by blanks, for a run on that."""
    models: tuple[str, ...] = ()
    """Which of the run's models; all unless given."""
    tokens: int = 100
    """To add."""
    temperature: float = 0.0
    """0 for the likeliest token each time; otherwise all models share their random numbers."""
    seed: int = 0
    """Of those."""
    device: Device = "auto"
    """Where to compute."""

    def run(self) -> int:
        import numpy as np

        from neural.language.decoding import continuations
        from neural.language.edit_distance import first_difference
        from neural.language.sources import recall
        from neural.language.stored_models import load_models

        language = recall(self.run_directory)
        stored = load_models(self.run_directory / "models.safetensors")
        names = self.models or stored.names
        beginning = language.encode(self.prompt)
        made = continuations(
            stored.spec,
            np.stack([stored[name] for name in names]),
            [beginning],
            self.tokens,
            temperature=self.temperature,
            seed=self.seed,
            device=chosen_device(self.device),
        )
        for name, tokens in zip(names, made.tokens[:, 0], strict=True):
            agree = int(first_difference(made.tokens[0, 0], tokens))
            note = "" if name == names[0] else f", agrees with {names[0]} for {agree} of {self.tokens} tokens"
            print(f"--- {name}, update {stored.update}{note}")
            print(language.decode(np.concatenate([beginning, tokens])))
        return 0


@dataclasses.dataclass(frozen=True)
class LmExport:
    """Write one model of a run as a directory that transformers reads, with its tokenizer if it has one."""

    run_directory: tyro.conf.Positional[Path]
    """Of a finished run."""
    out: Path
    """Directory."""
    model: str = "raw"
    """Which: raw, or an average."""

    def run(self) -> int:
        from transformers import PreTrainedTokenizerFast

        from neural.language.corpus import END_OF_DOCUMENT
        from neural.language.languages import TextLanguage
        from neural.language.sources import recall
        from neural.language.stored_models import export, load_models

        language = recall(self.run_directory)
        text = language.corpus.tokenizer if isinstance(language, TextLanguage) else None
        stored = load_models(self.run_directory / "models.safetensors")
        export(stored, self.model, self.out, None if text is None else text.end_id)
        if text is not None:
            whole = PreTrainedTokenizerFast(tokenizer_object=text.backend, eos_token=END_OF_DOCUMENT)
            whole.save_pretrained(self.out)
        print(f"wrote {self.out}")
        return 0


@dataclasses.dataclass(frozen=True)
class LmCollect:
    """Join runs that differ in their seed alone into one small dataset."""

    run_directories: tyro.conf.Positional[tuple[Path, ...]]
    """Of finished runs."""
    out: Path
    """File to write."""

    def run(self) -> int:
        from neural.language.shipping import collect
        from neural.runs import load_dataset, save_dataset

        save_dataset(self.out, collect([load_dataset(run / "run.nc") for run in self.run_directories]))
        print(f"wrote {self.out}, {self.out.stat().st_size:,} bytes")
        return 0


@dataclasses.dataclass(frozen=True)
class Lm:
    """Train language models with averages, and measure how their continuations part."""

    action: (
        Annotated[LmTrain, tyro.conf.subcommand("train")]
        | Annotated[LmCompare, tyro.conf.subcommand("compare")]
        | Annotated[LmEvaluate, tyro.conf.subcommand("evaluate")]
        | Annotated[LmPart, tyro.conf.subcommand("part")]
        | Annotated[LmContinue, tyro.conf.subcommand("continue")]
        | Annotated[LmExport, tyro.conf.subcommand("export")]
        | Annotated[LmCollect, tyro.conf.subcommand("collect")]
        | Annotated[LmFigure, tyro.conf.subcommand("figure")]
    )

    def run(self) -> int:
        return self.action.run()

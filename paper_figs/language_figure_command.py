"""The `gva lm figure` command: pictures, captions and the table of stories of what a directory holds."""

import dataclasses
from pathlib import Path
from typing import Any

import tyro

_FILES = ("run.nc", "parting.nc", "compare.nc")


@dataclasses.dataclass(frozen=True)
class LmFigure:
    """Draw what a run shows: losses, agreement and rewards, stories that part, the law of distance, or a comparison."""

    run_directory: tyro.conf.Positional[Path]
    """Of a finished run, or of gva lm compare."""
    out: Path = Path("runs/figures")
    """Directory of the pictures (PDF and PNG) and of the stories (HTML and Markdown)."""
    averages: tuple[str, ...] = ()
    """Drawn beside raw; the first five that continued prompts unless given."""
    pairs: int | None = None
    """Prompts in the table of stories; 3, or all of fewer, unless given."""

    def run(self) -> int:
        held = [name for name in _FILES if (self.run_directory / name).is_file()]
        if not held:
            raise FileNotFoundError(f"{self.run_directory} holds none of {', '.join(_FILES)}: is it a finished run?")
        if self.out.exists() and not self.out.is_dir():
            raise ValueError(f"out must be a directory, {self.out} is a file")
        if "compare.nc" in held:
            self._comparison()
            return 0
        if "run.nc" in held:
            self._run()
        if "parting.nc" in held:
            self._parting()
        return 0

    def _run(self) -> None:
        from gvatheory import validation
        from neural.language.judging import story_rewards
        from neural.language.languages import GrammarLanguage
        from neural.language.sources import recall
        from neural.runs import atomic, load_dataset
        from paper_figs import language, story_table

        dataset = load_dataset(self.run_directory / "run.nc")
        prompts = dataset.sizes["prompt"]
        pairs = min(3, prompts) if self.pairs is None else self.pairs
        validation.integer("pairs", pairs, 1, prompts)
        averages = language.chosen_averages(dataset, self.averages or None)
        learnt, rewards = recall(self.run_directory), None
        if isinstance(learnt, GrammarLanguage):
            rewards = story_rewards(dataset, learnt.grammar, range(1, dataset.sizes["token"] + 1))
        found = language.measured(dataset, averages)
        figure = language.draw(dataset, rewards, averages, found=found)
        self._show("language", figure, language.caption(dataset, rewards, averages, found=found))
        if dataset.sizes["average"] < 2:
            return
        stories = story_table.rows(dataset, learnt, pairs=pairs)
        for name, text in (
            ("stories.html", story_table.to_html(stories)),
            ("stories.md", story_table.to_markdown(stories)),
        ):
            with atomic(self.out / name) as part:
                part.write_text(text, encoding="utf-8")
            print(f"wrote {self.out / name}")
        print(stories.rule())

    def _parting(self) -> None:
        from neural.language.distance_law import parting_law
        from neural.runs import load_dataset
        from paper_figs import parting

        dataset = load_dataset(self.run_directory / "parting.nc")
        law = parting_law(dataset)
        self._show("parting", parting.draw(dataset, law=law), parting.caption(dataset, law=law))

    def _comparison(self) -> None:
        from neural.runs import load_dataset
        from paper_figs import comparison

        compared = load_dataset(self.run_directory / "compare.nc")
        self._show("comparison", comparison.draw(compared), comparison.caption(compared))

    def _show(self, name: str, figure: Any, caption: str) -> None:
        """The files of a figure, and its caption on standard output."""
        from paper_figs import style

        for file in style.save(figure, self.out / name):
            print(f"wrote {file}")
        print(caption)

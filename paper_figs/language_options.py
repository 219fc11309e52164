"""Options that the `gva lm` commands share."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from neural.language.grammar import StoryGrammar


@dataclasses.dataclass(frozen=True)
class LanguageOptions:
    """What is learnt: text, or the embedded story grammar if none is given."""

    text: tuple[str, ...] = ()
    """Text or Parquet files, tokenised on first use."""
    separator: str = "<|endoftext|>"
    """What stands between the documents of a text file; "blank" for blank lines."""
    dataset: str | None = None
    """Or the name of a dataset for the `datasets` library, such as roneneldan/TinyStories."""
    revision: str | None = None
    """Its commit or tag."""
    vocabulary: int = 1024
    """Size of the tokenizer that is trained on the text."""
    corpus: Path | None = None
    """Directory of the token files; RUN/corpus unless given. Without text, one that was made before is read."""
    agents: int = 8
    """People of the grammar."""
    objects: int = 20
    """Things."""
    places: int = 6
    """Places."""
    times: int = 4
    """Times of day."""
    spread: float = 2.0
    """Range of a log-preference, in nats."""
    end_probability: float = 0.02
    """Of a story's end where a sentence could begin."""

    def grammar(self) -> "StoryGrammar":
        """Of these options."""
        from neural.language.grammar import StoryGrammar

        return StoryGrammar(**{f.name: getattr(self, f.name) for f in dataclasses.fields(StoryGrammar)})

    def token_files(self, out: Path, progress: Any = None) -> Path | None:
        """Directory of the token files, made if need be; None for the grammar."""
        if not self.text and self.dataset is None:
            return self.corpus
        from neural.language.corpus import TextSource
        from neural.language.token_files import CorpusSpec, build

        separator = None if self.separator == "blank" else self.separator
        sources = []
        if self.text:
            sources.append(TextSource(files=self.text, separator=separator))
        if self.dataset is not None:
            sources.append(TextSource(dataset=self.dataset, revision=self.revision))
        directory = out / "corpus" if self.corpus is None else self.corpus
        build(CorpusSpec(tuple(sources), self.vocabulary), directory, progress=progress)
        return directory


Device = Literal["auto", "cpu", "cuda"]


def chosen_device(name: Device) -> str:
    """A device of torch: by "auto" the first GPU, or the CPU without one.

    Raises:
        ValueError: if a GPU is asked for and there is none.
    """
    import torch

    if name == "cuda" and not torch.cuda.is_available():
        raise ValueError("device must be cpu or auto here, got cuda: torch finds no GPU")
    return "cuda" if name != "cpu" and torch.cuda.is_available() else "cpu"

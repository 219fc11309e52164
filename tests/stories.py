"""Small made-up corpora."""

import random
from pathlib import Path

from neural.language.corpus import END_OF_DOCUMENT

_WORDS = ("the", "a", "cat", "dog", "hat", "ball", "was", "is", "on", "in", "ran", "sat", "big", "red", "and", "home")


def stories(count: int, seed: int = 0) -> list[str]:
    """Distinct documents of two lines each."""
    rng = random.Random(seed)
    return [f"Story {seed} {i}:\n" + " ".join(rng.choices(_WORDS, k=rng.randint(4, 40))) for i in range(count)]


def text_file(path: Path, documents: list[str]) -> str:
    """Write documents with the usual separator, and return the path."""
    path.write_text(f"\n{END_OF_DOCUMENT}\n".join(documents))
    return str(path)

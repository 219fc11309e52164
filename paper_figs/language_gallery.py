"""The paper's Figure 4 at a CPU's scale, from the runs on the story grammar that ship with the project."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

import xarray as xr
from matplotlib.figure import Figure

from neural.language.butterfly import Butterfly
from neural.language.grammar import StoryGrammar
from neural.language.judging import story_rewards
from neural.language.shipping import one_run
from neural.runs import load_dataset
from paper_figs import language


class Shown(NamedTuple):
    """One run, ready to be drawn."""

    run: xr.Dataset
    rewards: xr.DataArray | None
    found: Butterfly


def data(file: Path | str) -> Shown:
    """The first seed's run of a collected dataset, or the run of an ordinary one.

    Raises:
        FileNotFoundError, ValueError: if there is no such file, or it is not of a language run.
    """
    whole = load_dataset(file)
    if "language" not in whole.attrs or "window_loss" not in whole:
        raise ValueError(f"data must be the dataset of a language run, {file} is not")
    run = one_run(whole, int(whole["seed"][0])) if "seed" in whole.sizes else whole
    return prepared(run)


def prepared(run: xr.Dataset) -> Shown:
    """A run with the measures of its continuations and, on the grammar, their rewards at every horizon."""
    identity, rewards = json.loads(run.attrs["language"]), None
    if identity.pop("kind") == "grammar":
        identity.pop("sha256")
        rewards = story_rewards(run, StoryGrammar(**identity), range(1, run.sizes["token"] + 1))
    return Shown(run, rewards, language.measured(run))


def draw(shown: Shown) -> Figure:
    """As `language.draw`."""
    return language.draw(shown.run, shown.rewards, found=shown.found)


def caption(shown: Shown) -> str:
    """As `language.caption`."""
    return language.caption(shown.run, shown.rewards, found=shown.found)

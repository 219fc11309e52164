"""The experiment: a language → training with a bank of averages → losses and continuations → one dataset."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import xarray as xr

from gvatheory import validation
from neural.averages import rate_table
from neural.language.batches import NOISE_SEED
from neural.language.decoding import continuations
from neural.language.design import LanguageExperiment
from neural.language.gradient_noise import noise_scale
from neural.language.languages import Language
from neural.language.pretraining import PretrainingRun
from neural.language.processes import ALONE, Processes
from neural.language.records import Records, kinds
from neural.language.stored_models import save_models
from neural.runs import claim, load_tensors, save_dataset, save_tensors

Progress = Callable[[str, int, int], None]
"""Called with (stage, done, total)."""

SAMPLING_SEED = 0
"""Of the random numbers that all sampled continuations share."""


def run(
    experiment: LanguageExperiment,
    language: Language,
    out: Path | str,
    *,
    device: torch.device | str = "cpu",
    processes: Processes = ALONE,
    progress: Progress | None = None,
    checkpoint_seconds: float = 120.0,
) -> xr.Dataset:
    """Carry out the experiment in directory `out`, going on where an interrupted one stopped.

    Leaves config.json, checkpoint.safetensors, models.safetensors (the last iterate, the one before it, and the
    averages evaluated, see `stored_models`), and at the end run.nc: see `Records` for its variables. On the same kind
    of machine, with the same number of torch's threads, the dataset does not depend, bit for bit, on where the run was
    stopped and went on.

    Args:
        language: what is learnt; its vocabulary must be the model's.
        device: where to train and to continue.
        processes: that share every batch; the first of them measures and writes.
        progress: called with (stage, done, total).
        checkpoint_seconds: a checkpoint is written after so many seconds, ≥ 0.

    Raises:
        ValueError: if the language does not fit the experiment: its vocabulary, its length, its number of prompts.
        FileExistsError: if `out` holds a run of another configuration.
        FloatingPointError: if an update diverges; the checkpoint then holds the state before it.
        RuntimeError: if processes would go on from different updates, because they do not see the same directory.
    """
    validation.real("checkpoint_seconds", checkpoint_seconds, 0.0, np.inf)
    if language.vocabulary_size != experiment.model.vocabulary_size:
        raise ValueError(
            f"vocabulary_size of the model must be the language's, {language.vocabulary_size}, "
            f"got {experiment.model.vocabulary_size}"
        )
    training = _Training(experiment, language, Path(out), device, processes, progress, checkpoint_seconds)
    config = {**experiment.describe(), "language": language.identity()}
    if processes.first:
        resumable = claim(out, config)
        for part in Path(out).rglob("*.part"):  # of a process that was killed while it wrote
            part.unlink()
    else:
        resumable = True
    if resumable and training.checkpoint.exists():
        training.restore()
    processes.require_same("update to go on from", training.run.t)
    training.finish()
    curves = {"training_loss": training.run.training_loss, "gradient_norm": training.run.gradient_norm}
    dataset = training.records.dataset(curves, language.identity())
    if processes.first:
        save_models(Path(out) / "models.safetensors", experiment, training.run)
        save_dataset(Path(out) / "run.nc", dataset)
    return dataset


class _Training:
    """An experiment under way."""

    def __init__(
        self,
        experiment: LanguageExperiment,
        language: Language,
        out: Path,
        device: torch.device | str,
        processes: Processes,
        progress: Progress | None,
        checkpoint_seconds: float,
    ) -> None:
        self.experiment, self.language, self.processes = experiment, language, processes
        self.checkpoint, self.checkpoint_seconds = out / "checkpoint.safetensors", checkpoint_seconds
        self.report = progress or (lambda stage, done, total: None)
        length, trainer = experiment.model.context, experiment.trainer
        self.prompts = language.prompts(experiment.prompts, experiment.prompt_length)
        longest = max(map(len, self.prompts))
        if longest + experiment.continuation > length:
            raise ValueError(
                f"continuation must be at most {length - longest}, the model's context of {length} less the longest "
                f"prompt of {longest} tokens, got {experiment.continuation}"
            )
        self.windows = language.validation(length, experiment.validation)
        self.probe = language.batches(length, experiment.noise, NOISE_SEED)(0) if experiment.noise else None
        batches = language.batches(length, trainer.batch_size, trainer.seed)
        rates = rate_table(experiment.bank, experiment.steps)
        self.run = PretrainingRun(
            experiment.model, trainer, experiment.schedule, rates, batches, device=device, processes=processes
        )
        self.records = Records.empty(experiment, self.prompts, language.exact)
        self._saved = time.monotonic()

    def restore(self) -> None:
        """Go on from the checkpoint."""
        stored, _ = load_tensors(self.checkpoint)
        self.records.restore(stored)
        self.run.restore(stored)

    def finish(self) -> None:
        """Train and measure to the end."""
        experiment, run = self.experiment, self.run
        stops = np.unique(np.concatenate([self.records.at, self.records.updates, [experiment.steps]])).astype(int)
        for stop in stops[stops > run.t]:
            while run.t < stop:
                self._advance(int(stop))
                if run.t == stop and self.processes.first:
                    self._measure()
                if time.monotonic() - self._saved >= self.checkpoint_seconds:
                    self._save()
        self._save()

    def _advance(self, stop: int) -> None:
        """Up to the end of the block of averages, where a checkpoint is smallest, or to the stop before it."""
        run, block = self.run, self.run.bank.block
        try:
            for _ in range(min(stop, run.t - run.t % block + block) - run.t):
                run.advance(1)
                self.report("training", run.t, self.experiment.steps)
        except FloatingPointError:
            self._save()
            raise

    def _save(self) -> None:
        if self.processes.first:
            save_tensors(self.checkpoint, {**self.run.tensors(), **self.records.arrays}, {"t": str(self.run.t)})
        self._saved = time.monotonic()

    def _measure(self) -> None:
        """Everything that is due at this update."""
        run, arrays = self.run, self.records.arrays
        for i in np.flatnonzero(self.records.updates == run.t):
            everything = range(1 + len(self.experiment.bank))
            arrays["update_loss"][i] = run.losses(self.windows, everything).mean(axis=1)
            if self.probe is not None:
                found = noise_scale(run.gradient_noise(self.probe))
                arrays["gradient_noise"][i], arrays["gradient_square"][i] = found.trace, found.square
                arrays["gradient_noise_error"][i], arrays["gradient_square_error"][i] = found.errors[:2]
        for i in np.flatnonzero(self.records.at == run.t):
            self._evaluate(int(i))

    def _evaluate(self, i: int) -> None:
        """Losses and continuations of the iterate and of chosen averages."""
        experiment, arrays, members = self.experiment, self.records.arrays, self.experiment.members()
        arrays["window_loss"][i] = self.run.losses(self.windows, members)
        arrays["loss"][i] = arrays["window_loss"][i].mean(axis=1)
        arrays["step_norm"][i] = self.run.steps_taken(members)
        vectors = self.run.vectors(members)
        if self.language.exact:
            for m, vector in enumerate(vectors):
                arrays["kl"][i, m] = self.language.divergence(experiment.model, vector, self.windows)
        for kind in kinds(experiment):
            temperature = 0.0 if kind == "greedy" else float(experiment.temperature or 0.0)
            made = continuations(
                experiment.model,
                vectors,
                self.prompts,
                experiment.continuation,
                temperature=temperature,
                seed=SAMPLING_SEED,
                device=vectors.device,
            )
            arrays[kind][i] = made.tokens
            arrays[f"{kind}_gap"][i], arrays[f"{kind}_log_probability"][i] = made.gaps, made.log_probabilities
        self.report("continuing", i + 1, len(self.records.at))

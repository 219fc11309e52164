"""Whole runs on the grammar and on text: their datasets, exact resume after a kill, what is refused."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("transformers")
pytest.importorskip("tokenizers")

import torch
import xarray as xr

import gvatheory as gva
from neural.language.butterfly import butterfly
from neural.language.comparison import compare, differences
from neural.language.corpus import Shares, TextSource
from neural.language.decoding import continuations, log_probabilities
from neural.language.design import LanguageExperiment
from neural.language.experiment import run
from neural.language.grammar import StoryGrammar
from neural.language.grammar_floor import divergence
from neural.language.languages import GrammarLanguage, TextLanguage
from neural.language.models import ModelSpec
from neural.language.over_seeds import over_seeds
from neural.language.padding import padded, unpadded
from neural.language.pretraining import Trainer
from neural.language.reference import require_same_tokens
from neural.language.shipping import collect, one_run
from neural.language.sources import recall, remember
from neural.language.step_law import step_exponents
from neural.language.stored_models import BEFORE, load_models
from neural.language.token_files import CorpusSpec, build
from neural.runs import load_dataset, save_dataset
from tests.stories import stories, text_file

GRAMMAR = StoryGrammar(2, 2, 2, 2)
LANGUAGE = GrammarLanguage(GRAMMAR)
SPEC = ModelSpec(LANGUAGE.vocabulary_size, width=16, layers=2, heads=2, hidden=24, context=48)
EXPERIMENT = LanguageExperiment(
    SPEC,
    Trainer(batch_size=4, seed=3),
    gva.Warmup(gva.Constant(1e-2), 5),
    {"EMA": gva.EMA(0.1), "Polyak": gva.Polyak()},
    steps=40,
    evaluate=("Polyak",),
    consecutive=3,
    spaced=2,
    spacing=15,
    loss_every=10,
    validation=5,
    noise=3,
    prompts=4,
    prompt_length=1,
    continuation=12,
)


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> tuple[xr.Dataset, Path]:
    """The experiment, carried out."""
    out = tmp_path_factory.mktemp("run")
    return run(EXPERIMENT, LANGUAGE, out), out


def test_a_run_leaves_everything_measured(finished) -> None:
    dataset, out = finished
    assert dataset["iterate"].values.tolist() == [25, 38, 39, 40]
    assert dataset["update"].values.tolist() == [10, 20, 30, 40]
    assert dataset["average"].values.tolist() == ["raw", "Polyak"]
    assert dataset["kept"].values.tolist() == ["raw", "EMA", "Polyak"]
    assert dataset["consecutive"].values.tolist() == [0, 1, 1, 1]
    assert dataset["greedy"].sizes == {"iterate": 4, "average": 2, "prompt": 4, "token": 12}
    for name, values in dataset.data_vars.items():
        assert np.isfinite(values).all(), name
    assert (dataset["greedy"] >= 0).all()
    assert dataset["training_loss"].values[-10:].mean() < dataset["training_loss"].values[:5].mean()
    assert json.loads(dataset.attrs["language"])["sha256"] == LANGUAGE.identity()["sha256"]
    xr.testing.assert_equal(dataset, load_dataset(out / "run.nc"))


def test_losses_agree_where_they_are_measured_twice(finished) -> None:
    dataset, _ = finished
    last = dataset.isel(iterate=-1)
    for name in ("raw", "Polyak"):
        assert float(last["loss"].sel(average=name)) == float(dataset["update_loss"].sel(update=40, kept=name))
    np.testing.assert_allclose(dataset["window_loss"].mean("window"), dataset["loss"])


def test_measurements_are_those_of_the_models_left_behind(finished) -> None:
    dataset, out = finished
    models = load_models(out / "models.safetensors")
    assert models.names == ("raw", "Polyak", BEFORE)
    assert (models.spec, models.update) == (SPEC, 40)
    prompts = LANGUAGE.prompts(4, 1)
    for temperature, kind in ((0.0, "greedy"), (1.0, "sampled")):
        again = continuations(SPEC, models.vectors, prompts, 12, temperature=temperature)
        for name, iterate, row in (("raw", 40, 0), ("Polyak", 40, 1), ("raw", 39, 2)):
            one = dataset.sel(iterate=iterate, average=name)
            assert np.array_equal(again.tokens[row], one[kind])
            assert np.array_equal(again.gaps[row], one[f"{kind}_gap"])
            assert np.array_equal(again.log_probabilities[row], one[f"{kind}_log_probability"])
    moved = np.linalg.norm(models["raw"] - models[BEFORE])
    assert float(dataset["step_norm"].sel(iterate=40, average="raw")) == pytest.approx(moved, rel=1e-5)
    # The uniform average of 40 iterates moved by a 39th of its distance to the last.
    apart = np.linalg.norm(models["raw"] - models["Polyak"])
    assert float(dataset["step_norm"].sel(iterate=40, average="Polyak")) == pytest.approx(apart / 39, rel=1e-4)
    with pytest.raises(ValueError, match="model must be one of"):
        models["EMA"]


def test_the_divergence_is_exact(finished) -> None:
    dataset, out = finished
    vector = load_models(out / "models.safetensors")["Polyak"]
    windows = LANGUAGE.validation(48, 5)[:, :-1]
    known = divergence(GRAMMAR, windows, log_probabilities(SPEC, vector, windows))
    np.testing.assert_allclose(dataset["kl"].sel(iterate=40, average="Polyak"), known.kl.mean(axis=1), rtol=1e-12)
    assert (dataset["kl"] > 0).all()


def test_prompts_are_held_out_and_come_back_from_the_dataset(finished) -> None:
    dataset, _ = finished
    prompts = LANGUAGE.prompts(4, 1)
    for found, expected in zip(unpadded(dataset["prompt_tokens"].values), prompts, strict=True):
        assert np.array_equal(found, expected)
    assert padded([np.array([1, 2]), np.array([3])]).tolist() == [[1, 2], [3, -1]]
    trained = LANGUAGE.batches(48, 4, 3)(0)
    assert not any(np.array_equal(trained[0], window) for window in LANGUAGE.validation(48, 4))


def test_exponents_are_those_of_the_norms_of_the_updates(finished) -> None:
    dataset = finished[0].copy(deep=True)
    texts = dataset["greedy"].values
    texts[:] = 0
    for i in range(1, 4):  # raw splits at token 2, the average at token 5
        texts[i, 0, :, 2:] = i
        texts[i, 1, :, 5:] = i
    dataset["step_norm"].values[:] = (2.0, 1.0)
    across, alone = step_exponents(dataset)
    # One split in 3 tokens at risk against one in 6: twice the hazard at twice the norm.
    assert across.value == pytest.approx(1.0, abs=1e-6)
    assert np.isnan(alone.value)
    with pytest.raises(ValueError, match="one update apart"):
        step_exponents(dataset, members="spaced")


def test_the_same_run_again_changes_nothing(finished) -> None:
    dataset, out = finished
    models = load_models(out / "models.safetensors")
    again = run(EXPERIMENT, LANGUAGE, out)
    xr.testing.assert_equal(dataset, again)
    assert np.array_equal(models.vectors, load_models(out / "models.safetensors").vectors)
    other = dataclasses.replace(EXPERIMENT, continuation=11)
    with pytest.raises(FileExistsError, match="differs in continuation"):
        run(other, LANGUAGE, out)


def test_the_last_iterate_is_always_measured() -> None:
    at, sets = dataclasses.replace(EXPERIMENT, consecutive=0, spaced=0, every=30).probes()
    assert at.tolist() == [30, 40]
    assert sets["every"].tolist() == [True, False]


@pytest.mark.parametrize("stop", [7, 25, 26, 33, 39])
def test_an_interrupted_run_ends_the_same(finished, tmp_path, stop: int) -> None:
    def interrupt(stage: str, done: int, total: int) -> None:
        if stage == "training" and done == stop:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(EXPERIMENT, LANGUAGE, tmp_path, progress=interrupt, checkpoint_seconds=0.0)
    xr.testing.assert_equal(finished[0], run(EXPERIMENT, LANGUAGE, tmp_path))


_KILLED = """
import sys
from tests.neural.test_language_experiment import EXPERIMENT, LANGUAGE
from neural.language.experiment import run
run(EXPERIMENT, LANGUAGE, sys.argv[1], checkpoint_seconds=0.0)
"""


@pytest.mark.slow
def test_a_killed_run_ends_the_same_to_the_bit(finished, tmp_path) -> None:
    """Killed at random moments until it gets through."""
    rng = np.random.default_rng(0)
    out, kills = tmp_path / "run", 0
    environment = {**os.environ, "PYTHONPATH": ".", "OMP_NUM_THREADS": "1"}
    while not (out / "run.nc").exists():
        process = subprocess.Popen([sys.executable, "-c", _KILLED, str(out)], env=environment)
        checkpoint = out / "checkpoint.safetensors"
        before = checkpoint.stat().st_mtime_ns if checkpoint.exists() else 0
        while process.poll() is None and not (checkpoint.exists() and checkpoint.stat().st_mtime_ns > before):
            time.sleep(0.01)
        wait = time.monotonic() + (rng.uniform(0.0, 0.3) if kills < 8 else 600.0)
        while process.poll() is None and time.monotonic() < wait:
            time.sleep(0.01)
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            kills += 1
        process.wait()
    assert kills >= 3
    xr.testing.assert_equal(finished[0], load_dataset(out / "run.nc"))


def test_divergence_keeps_the_last_good_state(tmp_path) -> None:
    wild = dataclasses.replace(EXPERIMENT, schedule=gva.Piecewise((12,), (gva.Constant(1e-2), gva.Constant(1e30))))
    with pytest.raises(FloatingPointError, match="diverged"):
        run(wild, LANGUAGE, tmp_path)
    from neural.runs import load_tensors

    stored, _ = load_tensors(tmp_path / "checkpoint.safetensors")
    assert 10 <= stored["t"] <= 20
    assert np.isfinite(stored["update_loss"][0]).all()


def test_text_is_learnt_alike(tmp_path) -> None:
    documents = stories(400)
    source = TextSource(files=(text_file(tmp_path / "text.txt", documents),))
    corpus = build(CorpusSpec((source,), 280, Shares(0.8, 0.2)), tmp_path / "corpus")
    language = TextLanguage(corpus)
    spec = dataclasses.replace(SPEC, vocabulary_size=language.vocabulary_size)
    experiment = dataclasses.replace(EXPERIMENT, model=spec, prompt_length=6, temperature=None)
    dataset = run(experiment, language, tmp_path / "run")
    assert "sampled" not in dataset
    assert "kl" not in dataset
    # Prompts begin held-out documents.
    ends = np.flatnonzero(np.asarray(corpus.validation) == corpus.tokenizer.end_id) + 1
    held_out = [tuple(document[:6].tolist()) for document in np.split(corpus.validation, ends)]
    for prompt in unpadded(dataset["prompt_tokens"].values):
        assert tuple(prompt.tolist()) in held_out
        assert corpus.tokenizer.end_id not in prompt
    with pytest.raises(NotImplementedError, match="TextLanguage are not known"):
        language.divergence(spec, torch.zeros(3), np.zeros((1, 3)))
    remember(tmp_path / "run", tmp_path / "corpus", GRAMMAR)
    assert recall(tmp_path / "run").identity() == language.identity()
    # A run that holds its own corpus can be moved.
    (tmp_path / "corpus").rename(tmp_path / "run" / "corpus")
    remember(tmp_path / "run", tmp_path / "run" / "corpus", GRAMMAR)
    (tmp_path / "run").rename(tmp_path / "moved")
    assert recall(tmp_path / "moved").identity() == language.identity()
    with pytest.raises(ValueError, match="reference must be a run on the same tokens"):
        require_same_tokens(dataset, xr.Dataset(attrs={"language": json.dumps(LANGUAGE.identity())}))
    require_same_tokens(dataset, dataset)
    assert language.decode(language.encode(documents[0])) == documents[0]
    with pytest.raises(ValueError, match="count must be at most"):
        language.prompts(10_000, 6)


def test_a_grammar_is_remembered(tmp_path) -> None:
    remember(tmp_path, None, GRAMMAR)
    (tmp_path / "config.json").write_text(json.dumps({"language": LANGUAGE.identity()}))
    assert recall(tmp_path) == LANGUAGE
    remember(tmp_path, None, StoryGrammar(2, 2, 2, 3))
    with pytest.raises(ValueError, match="another language than the one that the run has learnt"):
        recall(tmp_path)
    words = LANGUAGE.encode("anna arrives")
    assert LANGUAGE.decode(words) == "<begin> anna arrives"
    assert np.array_equal(LANGUAGE.encode("<begin> anna arrives"), words)
    (tmp_path / "language.json").write_text('{"grammar": {"people": 3}}')
    with pytest.raises(ValueError, match="is damaged"):
        recall(tmp_path)
    with pytest.raises(FileNotFoundError, match="is it the directory of a language run"):
        recall(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"validation": 1}, "validation must be an integer at least 2, got 1"),
        ({"noise": 2}, "noise must be 0 or at least 3, got 2"),
        ({"continuation": 48}, "continuation must be an integer from 1 to 47, got 48"),
        ({"evaluate": ("tail",)}, "evaluate names"),
        ({"consecutive": 41}, "consecutive must be an integer from 0 to 40, got 41"),
        ({"temperature": 0.0}, "temperature must be a number in"),
        ({"loss_every": 0}, "loss_every must be an integer from 1 to 40, got 0"),
        ({"prompts": 1}, "prompts must be an integer at least 2, got 1"),
    ],
)
def test_bad_experiments_are_named(change: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(EXPERIMENT, **change)


def test_a_language_that_does_not_fit_is_refused_before_anything_is_written(tmp_path) -> None:
    with pytest.raises(ValueError, match=r"vocabulary_size of the model must be the language's, \d+, got 99"):
        run(
            dataclasses.replace(EXPERIMENT, model=dataclasses.replace(SPEC, vocabulary_size=99)),
            LANGUAGE,
            tmp_path / "out",
        )
    with pytest.raises(ValueError, match=r"continuation must be at most \d+, the model's context of 48"):
        run(dataclasses.replace(EXPERIMENT, continuation=44), LANGUAGE, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_schedules_are_compared_at_equal_budget(finished, tmp_path) -> None:
    decayed = dataclasses.replace(EXPERIMENT, schedule=gva.Cosine(1e-2, 40))
    runs = {"constant": finished[0], "cosine": run(decayed, LANGUAGE, tmp_path)}
    compared = compare(runs)
    assert compared["final_loss"].sizes == {"schedule": 2, "average": 2, "window": 5}
    found = differences(compared, "cosine")
    assert found["cosine", "raw"].value == 0.0
    last = [runs[name]["window_loss"].isel(iterate=-1).sel(average="Polyak").values for name in runs]
    assert found["constant", "Polyak"].value == pytest.approx(
        float(np.mean(last[0] - runs["cosine"]["window_loss"].isel(iterate=-1).sel(average="raw").values))
    )
    with pytest.raises(ValueError, match="at least two, got 1"):
        compare({"constant": finished[0]})
    other = run(dataclasses.replace(EXPERIMENT, steps=39, spaced=0), LANGUAGE, tmp_path / "other")
    with pytest.raises(ValueError, match=r"differ in their schedule alone, these do in \['spaced', 'steps'\]"):
        compare({**runs, "shorter": other})


def test_runs_of_several_seeds_are_collected(finished, tmp_path) -> None:
    other = run(dataclasses.replace(EXPERIMENT, trainer=Trainer(batch_size=4, seed=1)), LANGUAGE, tmp_path)
    whole = collect([finished[0], other])
    assert whole["seed"].values.tolist() == [1, 3]
    save_dataset(tmp_path / "both.nc", whole)
    whole = load_dataset(tmp_path / "both.nc")
    for seed, one in ((3, finished[0]), (1, other)):
        part = one_run(whole, seed)
        assert part.attrs["config"] == one.attrs["config"]
        assert np.array_equal(part["greedy"], one["greedy"])
        assert part["greedy"].dtype == np.int8
        kept = part["greedy_gap"].values != 0
        gaps = one["greedy_gap"].values
        np.testing.assert_allclose(part["greedy_gap"].values[kept], gaps[kept], atol=2.0**-17, rtol=1e-7)
        for members in ("consecutive", "spaced"):  # all that is left out is read by no measure
            rows = (butterfly(d, members=members).rows for d in (part, one))
            for found, expected in zip(*rows, strict=True):
                np.testing.assert_allclose(
                    [v.value for v in (found.hazard.change, found.hazard.ratio, found.hazard.density)],
                    [v.value for v in (expected.hazard.change, expected.hazard.ratio, expected.hazard.density)],
                    rtol=1e-3,
                )
        np.testing.assert_allclose(part["window_loss"], one["window_loss"], rtol=1e-7)
        found, expected = (butterfly(d)["raw"].survival.differing for d in (part, one))
        assert found == expected
    assert "sampled" not in whole
    rows = over_seeds([finished[0], other])
    each = [butterfly(d)["Polyak"] for d in (finished[0], other)]
    counts = np.array([8 * one.survival.differing.value for one in each])  # of two pairs and four prompts
    logits = np.log((counts + 0.5) / (8.5 - counts))
    high = logits.mean() + 12.706 * abs(logits[0] - logits[1]) / 2  # Student's t, one degree of freedom
    assert rows[1].average == "Polyak"
    assert rows[1].differing.value == pytest.approx(1 / (1 + np.exp(-logits.mean())))
    assert rows[1].differing.high == pytest.approx(1 / (1 + np.exp(-high)), rel=1e-3)
    assert np.isnan(rows[1].hazard.value)  # in one of the runs the average never splits
    altered = [d.copy(deep=True) for d in (finished[0], other)]
    for d, where in zip(altered, (3, 7), strict=True):
        d["greedy"].values[-1, 0, :, where:] = 0
    hazards = [butterfly(d)["raw"].hazard.hazard.value for d in altered]
    assert over_seeds(altered)[0].hazard.value == pytest.approx(np.sqrt(np.prod(hazards)))
    assert min(hazards) > 0
    with pytest.raises(ValueError, match="at least two, got 1"):
        over_seeds([other])
    with pytest.raises(ValueError, match=r"seed must be one of \[1, 3\], got 2"):
        one_run(whole, 2)
    with pytest.raises(ValueError, match="a seed of their own each"):
        collect([other, other])
    longer = run(dataclasses.replace(EXPERIMENT, continuation=11), LANGUAGE, tmp_path / "longer")
    with pytest.raises(ValueError, match=r"differ in their seed alone, these do in \['continuation'\]"):
        collect([other, longer])
    with pytest.raises(ValueError, match="at least one"):
        collect([])

"""The `gva lm` commands from end to end, on runs of seconds."""

import contextlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("transformers")
pytest.importorskip("tokenizers")

import torch
import xarray as xr

from neural.runs import load_dataset
from paper_figs.cli import main
from tests.stories import stories, text_file

QUICK = (
    *("--context", "64", "--steps", "12", "--batch-size", "2", "--loss-every", "6", "--validation", "3"),
    *("--consecutive", "3", "--spaced", "2", "--spacing", "5", "--noise", "3"),
    *("--prompts", "3", "--prompt-length", "1", "--continuation", "10"),
)
SMALL = ["--agents", "2", "--objects", "2", "--places", "2", "--times", "2"]


def outcome(capsys, *arguments: str) -> tuple[int, str, str]:
    code = 0
    try:
        main(arguments)
    except SystemExit as e:
        code = int(e.code or 0)
    out, err = capsys.readouterr()
    return code, out, " ".join(err.split())


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("lm") / "run"
    with contextlib.suppress(SystemExit):
        main(["lm", "train", "--out", str(out), *SMALL, *QUICK])
    return out


def test_training_leaves_a_run(trained) -> None:
    dataset = load_dataset(trained / "run.nc")
    assert dataset["iterate"].values.tolist() == [7, 10, 11, 12]
    assert {p.name for p in trained.iterdir()} >= {"config.json", "language.json", "models.safetensors", "run.nc"}


def test_evaluation_tells_of_continuations_losses_and_rewards(capsys, trained) -> None:
    code, out, _ = outcome(capsys, "lm", "evaluate", str(trained), "--reference", str(trained))
    assert code == 0
    assert "3 pairs" not in out
    assert "2 pairs of neighbours, 3 prompts, 10 tokens" in out
    assert "J_H" in out
    assert "gradient noise at update 12" in out
    assert "minus the loss per token under" in out
    code, out, _ = outcome(capsys, "lm", "evaluate", str(trained), str(trained))
    assert code == 0
    assert "over seeds 0, 0: means" in out
    code, out, err = outcome(capsys, "lm", "evaluate", str(trained), "--horizons", "99")
    assert code == 2
    assert "horizons must be an integer from 1 to 10, got 99" in err
    assert out == ""


def test_a_model_and_its_neighbours_part(capsys, trained) -> None:
    arguments = ["--distances", "0.01", "1", "2", "--directions", "2", "--prompts", "3", "--tokens", "10"]
    code, out, _ = outcome(capsys, "lm", "part", str(trained), *arguments)
    assert code == 0
    assert "hazard ∝ distance^β" in out
    assert load_dataset(trained / "parting.nc")["text"].sizes["direction"] == 2
    code, _, err = outcome(capsys, "lm", "part", str(trained), "--distances", "0", "1", "2")
    assert code == 2
    assert "distances: first must be a number in (0, inf)" in err


def test_models_continue_a_text(capsys, trained) -> None:
    code, out, _ = outcome(capsys, "lm", "continue", str(trained), "anna arrives in the", "--tokens", "8")
    assert code == 0
    assert out.count("<begin> anna arrives in the ") == 6  # raw, the one before it, four averages
    assert "agrees with raw for" in out
    code, _, err = outcome(capsys, "lm", "continue", str(trained), "zebra")
    assert code == 2
    assert "got 'zebra'" in err


def test_schedules_are_compared(capsys, tmp_path) -> None:
    arguments = ["--schedules", "constant:3e-3", "cosine:3e-3", *SMALL, *QUICK]
    code, out, _ = outcome(capsys, "lm", "compare", "--out", str(tmp_path), *arguments)
    assert code == 0
    assert "validation loss at the end, less raw with" in out
    assert load_dataset(tmp_path / "compare.nc").sizes["schedule"] == 2
    code, _, err = outcome(capsys, "lm", "compare", "--out", str(tmp_path), "--schedules", "constant:3e-3")
    assert code == 2
    assert "schedules must be at least two, and differ" in err


def test_text_is_tokenised_learnt_and_exported(capsys, tmp_path) -> None:
    from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

    text = text_file(tmp_path / "text.txt", stories(600))
    out = tmp_path / "run"
    arguments = ["--text", text, "--vocabulary", "280", "--out", str(out), *QUICK, "--temperature", "None"]
    code, _, err = outcome(capsys, "lm", "train", *arguments)
    assert code == 0, err
    code, _, err = outcome(capsys, "lm", "export", str(out), "--out", str(tmp_path / "exported"), "--model", "EMA 0.01")
    assert code == 0, err
    tokenizer = PreTrainedTokenizerFast.from_pretrained(tmp_path / "exported")
    ids = torch.tensor([tokenizer.encode("Story 0")])
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "exported")
    assert model.config.eos_token_id == tokenizer.eos_token_id
    with torch.no_grad():
        assert np.isfinite(model(input_ids=ids).logits.numpy()).all()
    code, told, _ = outcome(capsys, "lm", "continue", str(out), "Story", "--tokens", "4", "--models", "raw")
    assert code == 0
    assert told.startswith("--- raw, update 12\nStory")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("lm train --size tiny --context 1 --out never", "context must be an integer at least 2, got 1"),
        ("lm train --schedule staircase:1 --out never", "'staircase' is unknown"),
        ("lm train --batch-size 3 --parts 2 --out never", "parts must divide the batch size 3, got 2"),
        ("lm train --evaluate nobody --out never", "evaluate names ['nobody'], which the bank lacks"),
        ("lm train --text nowhere.txt --out never", "nowhere.txt"),
        ("lm train --continuation 250 --out never", "continuation must be at most"),
        ("lm compare --schedules constant:1 staircase:1 --out never", "'staircase' is unknown"),
        ("lm evaluate nowhere --judge raw", "judge must go with --reference, got 'raw' alone"),
        ("lm evaluate nowhere", "no dataset at nowhere/run.nc"),
        ("lm continue nowhere once", "nowhere holds no language.json"),
        ("lm part nowhere", "no dataset at nowhere/run.nc"),
    ],
)
def test_bad_input_is_named_and_exits_with_2(capsys, arguments: str, message: str) -> None:
    code, _, err = outcome(capsys, *arguments.split())
    assert code == 2
    assert message in err
    assert not Path("never").exists()


def test_a_file_that_is_too_small_or_empty_is_named(capsys, tmp_path) -> None:
    empty = tmp_path / "empty.txt"
    empty.write_text("")
    code, _, err = outcome(capsys, "lm", "train", "--text", str(empty), "--out", str(tmp_path / "a"))
    assert code == 2
    assert "empty.txt is empty" in err
    few = text_file(tmp_path / "few.txt", stories(60))
    code, _, err = outcome(capsys, "lm", "train", "--text", few, "--out", str(tmp_path / "b"), "--vocabulary", "5000")
    assert code == 2
    assert "vocabulary_size must be at most" in err
    arguments = ["--text", few, "--out", str(tmp_path / "c"), "--vocabulary", "260", "--prompts", "2"]
    arguments += ["--prompt-length", "3", "--context", "100000"]
    code, _, err = outcome(capsys, "lm", "train", *arguments)
    assert code == 2
    assert "length must be at most" in err


@pytest.mark.slow
def test_two_processes_train_what_one_does(tmp_path) -> None:
    """Started as `accelerate launch` and torchrun do; the batch's two parts add up to the same bits either way."""
    pytest.importorskip("accelerate")
    arguments = ["lm", "train", *SMALL, *QUICK, "--parts", "2", "--device", "cpu", "--out"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([".", *filter(None, [os.environ.get("PYTHONPATH")])])}
    launcher = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone"]
    subprocess.run([*launcher, "-m", "paper_figs", *arguments, str(tmp_path / "two")], check=True, env=environment)
    subprocess.run([sys.executable, "-m", "paper_figs", *arguments, str(tmp_path / "one")], check=True, env=environment)
    xr.testing.assert_equal(load_dataset(tmp_path / "one" / "run.nc"), load_dataset(tmp_path / "two" / "run.nc"))

"""The behaviour commands end to end at a small size: datasets, pictures, captions with the dataset's own numbers."""

from __future__ import annotations

import numpy as np
import pytest

from neural.control.divergence import divergence_dataset
from neural.control.experts import load_expert
from neural.control.policies import save_policy
from neural.runs import load_dataset
from paper_figs.cli import main
from paper_figs.landscape import centre_roughness


def command(*arguments: str) -> int:
    with pytest.raises(SystemExit) as left:
        main(arguments)
    return int(left.value.code or 0)


def test_lyapunov(tmp_path, capsys) -> None:
    out = tmp_path / "l.nc"
    options = ("--task", "Hopper-v4", "--steps", "60", "--seeds", "2", "--sizes", "1e-6", "1e-3", "--count", "3")
    assert command("lyapunov", *options, "--out", str(out)) == 0
    said, dataset = capsys.readouterr().out, load_dataset(out)
    assert dataset.sizes == {"direction": 3, "segment": 6, "episode": 2, "size": 2}
    assert f"Largest: {float(dataset['exponent'][0]):.4f} [{float(dataset['low'][0]):.4f}" in said
    assert "Hopper-v4" in dataset.attrs["task"]
    assert "mujoco" in dataset.attrs["versions"]
    assert {file.name for file in tmp_path.iterdir()} == {"l.nc", "l.pdf", "l.png"}


def test_landscape_of_a_policy(tmp_path, capsys) -> None:
    out = tmp_path / "l.nc"
    options = ("--task", "Hopper-v4", "--max-steps", "25", "--points", "11", "--plane", "3", "--episodes", "3")
    assert command("landscape", *options, "--gradients", "2", "--random", "1", "--out", str(out)) == 0
    said, dataset = capsys.readouterr().out, load_dataset(out)
    assert dataset["return"].dims == ("centre", "direction", "s0", "episode")
    assert dataset["direction"].values.tolist() == ["gradient 1", "gradient 2", "random 1"]
    assert dataset["plane_return"].sizes["plane_s0"] == 3
    # The middle of the plane is the middle of every line.
    middle = dataset["return"].isel(s0=5).sel(centre="policy", episode=30000)
    assert len(np.unique(middle)) == 1
    assert float(dataset["plane_return"].isel(plane_s0=1, plane_s1=1, plane_episode=0)[0]) == float(middle[0])
    found = centre_roughness(dataset, "policy", "gradient")
    assert found is not None
    assert f"exponent of the drawn profile {found.exponent.value:.2f}" in said
    assert centre_roughness(dataset.assign({"return": 0 * dataset["return"]}), "policy", "gradient") is None
    assert (tmp_path / "l.png").stat().st_size > 10_000


def test_divergence_of_two_files(tmp_path, capsys) -> None:
    import dataclasses

    policy, _ = load_expert("Hopper-v4")
    other = dataclasses.replace(policy, weights=(policy.weights[0] * np.float32(1.0001), *policy.weights[1:]))
    for name, one in (("a", policy), ("b", other)):
        save_policy(tmp_path / f"{name}.safetensors", one)
    files = ("--first", str(tmp_path / "a.safetensors"), "--second", str(tmp_path / "b.safetensors"))
    out = tmp_path / "d.nc"
    options = ("--task", "Hopper-v4", "--steps", "40", "--seeds", "3", "--out", str(out))
    assert command("divergence", *files, *options) == 0
    said, dataset = capsys.readouterr().out, load_dataset(out)
    from neural.control.tasks import get_task

    alone = divergence_dataset({"policies": (policy, other)}, get_task("Hopper-v4"), range(30000, 30003), steps=40)
    np.testing.assert_array_equal(dataset["distance"], alone["distance"])
    assert f"exponent {float(dataset['exponent'][0]):.3f}" in said
    assert (tmp_path / "d.png").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("lyapunov", "--seeds", "1"), "seeds must be an integer at least 2, got 1"),
        (("lyapunov", "--out", "a.png"), "out must be a file ending in .nc, got a.png"),
        (("lyapunov", "--task", "Swimmer-v4"), "task must be one of"),
        (("landscape", "--points", "5"), "points must be an integer at least 11, got 5"),
        (("landscape", "--gradients", "1"), "gradients must be at least 2 for a plane, got 1"),
        (("landscape", "nowhere", "--policy", "a"), "policy must not be given beside a run"),
        (("landscape", "nowhere"), "no config.json in nowhere"),
        (("divergence",), "both first and second"),
        (("divergence", "nowhere", "--first", "a"), "beside a run"),
    ],
)
def test_bad_input_is_one_line(arguments, message, capsys, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert command(*arguments) == 2
    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("gva: ")]
    assert len(said) == 1
    assert message in said[0]
    assert not any(tmp_path.iterdir())

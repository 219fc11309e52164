"""Measurements after the runs of an arm: of every seed, kept one by one, joined, made evidence, and not done twice."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

import gvatheory as gva
from neural.control.curvature import noise_spectrum
from neural.control.design import CloningExperiment
from neural.control.learner import Learner
from neural.control.rebuild import rebuild
from neural.predictions import after
from neural.predictions.arms import DEFAULT, Arm
from neural.predictions.campaign import run_arms
from neural.predictions.evidence import Evidence, collect
from neural.predictions.noise_spectra import all_stable, roughness, seed_factors, spectra, window_factors

ARM = Arm(
    "Hopper-v4 base",
    ("N3",),
    CloningExperiment(
        task="Hopper-v4",
        episodes=1,
        held_out=1,
        learner=Learner(hidden=(4,), batch_size=8),
        schedule=gva.Constant(1e-3),
        bank={"EMA 0.01": gva.EMA(0.01), DEFAULT: gva.EMA(0.001)},
        steps=40,
        evaluate=("EMA 0.01", DEFAULT),
        consecutive=3,
        spaced=2,
        spacing=10,
        rollouts=2,
        rollout_steps=20,
        seeds=(3, 5),
    ),
    ("spectrum",),
)


@pytest.fixture(scope="module")
def campaign(tmp_path_factory):
    directory = tmp_path_factory.mktemp("campaign")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("neural.control.experiment.SIDE_BY_SIDE", 0)
        run_arms([ARM], directory / "runs")
        after.measure([ARM], directory / "runs")
        missing = collect([ARM, dataclasses.replace(ARM, name="other")], directory / "runs", directory / "evidence")
        assert missing == {"other": "not run"}
        yield directory


def test_the_spectrum_of_every_seed_comes_back(campaign) -> None:
    of = spectra(Evidence(campaign / "evidence"), ARM.name)
    assert of.experiment.describe() == ARM.experiment.describe()
    for seed, found in zip(ARM.experiment.seeds, of.by_seed, strict=True):
        run = rebuild(campaign / "runs" / ARM.slug / "run", seed=seed)
        pairs = run.cloning.pairs(run.train.observations, run.train.actions, run.train.step)
        at = [{k: v[1] for k, v in layer.items()} for layer in run.cloning.averages()]
        own = noise_spectrum(run.cloning, pairs, at=at, seed=seed)
        np.testing.assert_allclose(found.nodes, own.nodes, rtol=1e-6)
        np.testing.assert_allclose(found.gradient_weights, own.gradient_weights, rtol=1e-6)
        assert (found.momentum, found.step_factor) == pytest.approx((own.momentum, own.step_factor), rel=1e-6)
        assert found.nesterov is False


def test_factors_are_shares_of_raw(campaign) -> None:
    evidence = Evidence(campaign / "evidence")
    for factors in (window_factors, seed_factors):
        found = factors(evidence, ARM.name, ("EMA 0.01", DEFAULT))
        assert found.shape == (2, 2)
        assert np.all((found > 0) & (found < 1))
        assert np.all(found[0] > found[1])  # the longer average leaves less
    assert all_stable(evidence, ARM.name)
    assert np.all((roughness(evidence, ARM.name) > 0) & (roughness(evidence, ARM.name) < 1))


def test_what_is_there_is_not_measured_again(campaign, monkeypatch) -> None:
    directory = campaign / "runs" / ARM.slug / "run"
    before = (directory / "spectrum.nc").read_bytes()
    monkeypatch.setitem(after.MEASURES, "spectrum", lambda *_: pytest.fail("measured again"))
    seen = []
    after.measure([ARM], campaign / "runs", progress=lambda *now: seen.append(now))
    assert seen == [("measurements", 2, 2)]
    assert (directory / "spectrum.nc").read_bytes() == before
    with pytest.raises(FileNotFoundError, match="other: not run"):
        Evidence(campaign / "evidence")["other"]


def test_evidence_holds_the_run_and_the_expert(campaign) -> None:
    run = Evidence(campaign / "evidence")[ARM.name]
    assert run.sizes["seed"] == 2
    assert run["return"].dtype == np.float32
    assert run["expert_return"].shape == (2,)
    assert np.all(run["expert_return"] > 0)

"""The figure of the stability radii: exact gaps, episodes, the bound, and the data that ship with it."""

import numpy as np
import pytest
import xarray as xr

import gvatheory as gva
from neural.runs import load_dataset
from paper_figs import stability_radius as figure
from paper_figs.gallery import FIGURES
from tests.budget import Z, assert_mean


@pytest.fixture(scope="module")
def tiny() -> xr.Dataset:
    return figure.data(seed=1, shares=5, draws=30, episodes=400, loops=2)


@pytest.fixture(scope="module")
def shipped() -> xr.Dataset:
    file = FIGURES["stability-radius"].shipped
    assert file is not None
    return load_dataset(file)


def test_exact_gaps_are_those_of_the_linear_system() -> None:
    error = np.random.default_rng(0).standard_normal((1, 3, 1, 2)) * 0.1
    found = figure.mean_gaps(np.repeat(error, 2, axis=0))
    for i, horizon in enumerate(figure.HORIZONS):
        system = gva.LinearSystem(
            figure.CLOSED_LOOP - figure.B @ figure.K_EXPERT, figure.B, figure.K_EXPERT, figure.Q, figure.R,
            figure.INITIAL, horizon,
        )  # fmt: skip
        expected = [system.gap(figure.K_EXPERT + one) for one in error[0]]
        np.testing.assert_allclose(found[i], expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("kind", figure.KINDS[:-1])
def test_episodes_have_the_exact_mean_gap(kind: str) -> None:
    rng = np.random.default_rng(2)
    errors = 0.3 * figure.directions(kind, 2, rng)
    np.testing.assert_allclose(np.linalg.norm(errors, axis=(2, 3)), 0.3, rtol=1e-12)
    exact, seen = figure.mean_gaps(errors)[:, 1], figure.episode_gaps(errors[:, 1], 3000, rng)
    assert_mean(seen.T, exact)


def test_errors_of_theory_destabilise_at_their_radius() -> None:
    radius, rng = gva.stability_radius(figure.CLOSED_LOOP, figure.B).radius, np.random.default_rng(0)
    edges = {"constant real": np.sqrt(2.0) * radius, "constant complex": radius, "switching real": radius}
    for kind, edge in edges.items():
        known = figure.directions(kind, 1, rng)[:, 0]
        for share, stable in ((0.999, True), (1.001, False)):
            loop = figure.period(share * edge * known)
            assert (np.abs(np.linalg.eigvals(loop)).max() < 1.0) == stable


def test_the_response_peaks_at_the_complex_radius(shipped: xr.Dataset) -> None:
    radius = shipped.attrs["complex_radius_of_loop"]
    assert radius == pytest.approx((1.0 - figure.ALPHA) / np.sqrt(2.0), rel=1e-12)
    assert float(figure.response(np.array([np.pi / 2]))[0]) == pytest.approx(1.0 / radius, rel=1e-12)
    np.testing.assert_allclose(shipped["gain"], figure.response(figure.FREQUENCIES), rtol=1e-12)
    assert float(shipped["gain"].max()) == pytest.approx(1.0 / radius, rel=1e-4)
    assert shipped.attrs["certified_radius_of_loop"] == pytest.approx(radius, rel=1e-6)
    assert shipped.attrs["real_radius_of_loop"] == pytest.approx(1.0 - figure.ALPHA, rel=1e-9)


def test_simulated_gaps_are_exact_and_below_the_bound(tiny: xr.Dataset, shipped: xr.Dataset) -> None:
    for dataset in (tiny, shipped):
        exact, seen = dataset["gap_exact"].values, dataset["gap_simulated"].values
        known = np.isfinite(exact)
        assert known.sum() == exact.size * 3 // 4
        assert np.all(np.abs(seen - exact)[known] <= Z * dataset["gap_error"].values[known])
        below = dataset.sel(share=dataset["share"] < 0.99)
        bound = dataset["bound"].interp(fine_share=below["share"])
        assert bool((below["gap_simulated"] < bound).all())
        assert bool((below["gap_exact"].isel(kind=slice(3)) < bound).all())


def test_only_errors_that_vary_grow_between_the_radii(shipped: xr.Dataset) -> None:
    between = shipped.sel(share=figure.BETWEEN, method="nearest")
    growth = dict(zip(figure.KINDS, between["growth_simulated"].values, strict=True))
    assert abs(growth["constant real"]) < 1e-3
    assert min(growth[kind] for kind in figure.KINDS[1:]) > 0.05
    for kind in figure.KINDS[1:3]:
        one = between.sel(kind=kind)
        assert float(one["growth_simulated"]) == pytest.approx(float(one["growth_exact"]), abs=1e-3)


def test_shipped_data_are_those_of_their_seed(shipped: xr.Dataset) -> None:
    radius = shipped.attrs["complex_radius_of_loop"]
    for j in (0, -1):
        bound = gva.gap_bound(
            figure.CLOSED_LOOP, figure.B, figure.K_EXPERT, figure.Q, figure.R,
            float(shipped["fine_share"][j]) * radius, figure.INITIAL,
        )  # fmt: skip
        assert float(shipped["bound"][j]) == pytest.approx(bound.gap, rel=1e-9)
    loops = figure.random_radii(2, int(shipped.attrs["seed"]))
    for name in loops:
        np.testing.assert_allclose(shipped[name][:2], loops[name], rtol=1e-6)
    stream = np.random.SeedSequence([int(shipped.attrs["seed"]), 0]).spawn(shipped.sizes["share"] + 1)[0]
    tried = figure.directions("constant real", int(shipped.attrs["draws"]), np.random.default_rng(stream))
    gaps = figure.mean_gaps(float(shipped["share"][0]) * radius * tried)
    np.testing.assert_allclose(shipped["gap_exact"][0, 0], gaps[:, gaps[-1].argmax()], rtol=1e-9)


def test_draws_and_says_what_it_holds(tiny: xr.Dataset, shipped: xr.Dataset) -> None:
    titles = [axes.get_title(loc="left")[0] for axes in figure.draw(tiny).axes]
    assert titles == ["A", "B", "C", "D"]
    text = figure.caption(shipped)
    growth = float(shipped["growth_simulated"].sel(share=figure.BETWEEN, method="nearest")[2])
    for part in (f"{growth:.4f}", f"{shipped.attrs['episodes']:,} episodes", "seed 0", "0.353553", "0.500000"):
        assert part in text


def test_unknown_presets_and_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="preset must be one of"):
        figure.data("huge")
    with pytest.raises(ValueError, match="sizes may override"):
        figure.data(depth=3)

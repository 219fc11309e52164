"""How fast an average must forget when the optimum moves (proposition A3): exact laws, simulation, and the rules.

One direction of a noisy quadratic whose optimum moves by v each step. A slow average has little noise in it but trails
the optimum by v(1/k + 1/γ − 1), k = ηλ; balancing both gives the rate γ* of `closed_forms.optimal_gamma`. Among
γ_t = t^{−α} the best exponent is the one whose last rate is γ*; if the drift slows down as t^{−β}, the memory T^α of
the best average grows as T^{2β/3}.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.special import ndtri

import gvatheory as gva
from gvatheory import closed_forms
from gvatheory.sweep import provenance
from neural import jackknife
from paper_figs import style
from paper_figs.simulated_points import preset_sizes

CURVATURE, NOISE_VARIANCE, STEP_SIZE = 1.0, 1.0, 0.25
DRIFTS = (1e-4, 1e-3, 1e-2, 1e-1)
"""v, in σ/λ per step: at the last one no average helps."""
SLOW_DRIFT, SLOWINGS = 0.02, (0.0, 0.3, 0.6, 0.9)
"""v and β of the drifts v(1+t)^{−β}."""

PRESETS: dict[str, dict[str, Any]] = {
    "quick": {
        "steps": 4096,
        "rates": 7,
        "trials": 400,
        "power_trials": 2000,
        "horizons": (300, 1000, 3000),
        "fine": (100, 300, 1000, 3000, 10_000),
    },
    "full": {
        "steps": 8192,
        "rates": 13,
        "trials": 2000,
        "power_trials": 10_000,
        "horizons": (300, 1000, 3000, 10_000),
        "fine": (100, 200, 300, 500, 1000, 2000, 5000, 10_000, 30_000, 100_000),
    },
}
"""T, number of rates γ and runs per rate; runs per exponent α, their T, T of exact laws: 20 s and 1 min of a core."""

_RATES = (1e-3, 1.0)
_GRID = np.linspace(0.0, 1.0, 81)  # exponents of the exact search
_EXPONENTS, _DEGREE, _BLOCKS = 11, 5, 40  # simulated ones, of the polynomial through them, blocks of runs left out
_FIT_FROM = 1000
_Z = float(-ndtri(0.025))


def data(
    preset: str = "quick", *, seed: int = 0, progress: Callable[[int, int], None] | None = None, **sizes: Any
) -> xr.Dataset:
    """Mean-square error of EMAs, and the best exponent of power averages, behind an optimum that moves.

    Args:
        preset: "quick" or "full", see `PRESETS`.
        seed: of the simulation, ≥ 0; every drift and horizon has its own stream, shared by its averages.
        progress: called with (simulated settings done, settings in all).
        sizes: overrides of the preset's entries.

    Returns:
        dims (drift, gamma): `mse_exact` and `mse_simulated` after T steps, its 95 % interval `mse_low`, `mse_high`;
        (drift, fine_gamma): `mse_fine`, the exact one again; (drift,): `rule_gamma`, γ*, and `rule_mse` there. A case
        is a drift `case_drift` that slows down as `case_slowing`; dims (case, horizon): `alpha_exact`, the exponent of
        least exact error, `alpha_simulated` and its standard error `alpha_error`; (case, fine_horizon): `alpha_fine`,
        exact, and `alpha_rule`.

    Raises:
        ValueError: if the preset or an override is unknown.
    """
    size = preset_sizes(PRESETS, preset, sizes)
    cases = [(v, 0.0) for v in DRIFTS[:-1]] + [(SLOW_DRIFT, beta) for beta in SLOWINGS]
    total = len(DRIFTS) + len(cases) * len(size["horizons"])
    done = 0

    def tick() -> None:
        nonlocal done
        done += 1
        if progress is not None:
            progress(done, total)

    rates = _rates(size["steps"], size["rates"], size["trials"], seed, tick)
    powers = _powers(cases, size["horizons"], size["fine"], size["power_trials"], seed, tick)
    facts = {"preset": preset, **{k: v for k, v in size.items() if isinstance(v, int)}, "seed": seed}
    facts |= {"curvature": CURVATURE, "noise_variance": NOISE_VARIANCE, "step_size": STEP_SIZE}
    return xr.merge([rates, powers]).assign_attrs(provenance(function="drift.data")).assign_attrs(facts)


def moving(drift: Any, slowing: Any = 0.0) -> gva.Drifting:
    """The problem whose optimum moves by drift·(1+t)^{−slowing} at step t."""
    return gva.Drifting(gva.NoisyQuadratic(CURVATURE, NOISE_VARIANCE), drift, gva.PowerDecay(1.0, slowing))


def ema_error(drift: float, gamma: float, steps: int) -> Mapping[str, Any]:
    """Exact E(θ̃_T − θ*_T)² of an EMA, SGD trailing by its own lag from the start."""
    start = -drift / (STEP_SIZE * CURVATURE)
    law = gva.exact_law(moving(drift), gva.Constant(STEP_SIZE), gva.EMA(gamma), steps, start)
    return {"mse": law.mean[0] ** 2 + law.covariance[0, 0]}


def power_error(steps: int, drift: float, slowing: float, alpha: float) -> Mapping[str, Any]:
    """Exact E(θ̃_T − θ*_T)² of γ_t = t^{−α}, started on the optimum."""
    law = gva.exact_law(moving(drift, slowing), gva.Constant(STEP_SIZE), gva.PowerEMA(alpha), steps, 0.0)
    return {"mse": law.mean[0] ** 2 + law.covariance[0, 0]}


def _stream(*entropy: int) -> int:
    return int(np.random.SeedSequence(entropy).generate_state(1)[0])


def _rates(steps: int, count: int, trials: int, seed: int, tick: Callable[[], None]) -> xr.Dataset:
    """Panel A's part of the dataset."""
    gammas, fine = np.geomspace(*_RATES, count), np.geomspace(*_RATES, 121)
    exact, curve = (
        gva.sweep(ema_error, {"drift": DRIFTS, "gamma": values, "steps": [steps]})["mse"].values[..., 0]
        for values in (gammas, fine)
    )
    rule = [float(closed_forms.optimal_gamma(STEP_SIZE, CURVATURE, NOISE_VARIANCE, v)) for v in DRIFTS]
    seen = np.empty((3, len(DRIFTS), count))
    for i, v in enumerate(DRIFTS):
        start = -v / (STEP_SIZE * CURVATURE)
        averages = [gva.EMA(float(g)) for g in gammas]
        constant = [gva.Constant(STEP_SIZE)] * count
        errors = gva.simulate_grid(moving(v), constant, averages, steps, start, trials, _stream(seed, 0, i))
        squares = np.asarray(errors)[..., 0] ** 2
        mean = squares.mean(axis=1)
        half = _Z * squares.std(axis=1, ddof=1) / np.sqrt(trials) / mean
        seen[:, i] = mean, mean * np.exp(-half), mean * np.exp(half)
        tick()
    over, unit = ("drift", "gamma"), {"units": "σ²/λ²"}
    return xr.Dataset(
        {
            "mse_exact": (over, exact, unit),
            **{f"mse_{k}": (over, x, unit) for k, x in zip(("simulated", "low", "high"), seen, strict=True)},
            "mse_fine": (("drift", "fine_gamma"), curve, unit),
            "rule_gamma": ("drift", rule, {"units": "1 per update"}),
            "rule_mse": ("drift", [float(ema_error(v, g, steps)["mse"]) for v, g in zip(DRIFTS, rule, strict=True)]),
        },
        coords={"drift": ("drift", list(DRIFTS), {"units": "σ/λ per step"}), "gamma": gammas, "fine_gamma": fine},
    )


def exact_exponents(drifts: Sequence[float], slowings: Sequence[float], horizons: Sequence[int]) -> np.ndarray:
    """α of least exact error, (drifts, slowings, horizons), refined between grid points."""
    axes = {"steps": list(horizons), "drift": list(drifts), "slowing": list(slowings), "alpha": _GRID}
    errors = gva.sweep(power_error, axes)
    best = gva.grid_optimum(errors, "mse", "alpha", refine=True, log=False)["location"]
    return best.transpose("drift", "slowing", "steps").values


def simulated_exponent(
    drift: float, slowing: float, steps: int, near: float, trials: int, seed: int
) -> tuple[float, float]:
    """α of least simulated error, and its standard error from blocks of runs left out.

    The exponents tried are those whose memory T^α is within a factor e of that of `near`, up to 1.
    """
    reach = 1.0 / np.log(steps)
    alphas = np.linspace(max(near - reach, 0.0), min(near + reach, 1.0), _EXPONENTS)
    averages, constant = [gva.PowerEMA(float(a)) for a in alphas], [gva.Constant(STEP_SIZE)] * _EXPONENTS
    errors = gva.simulate_grid(moving(drift, slowing), constant, averages, steps, 0.0, trials, seed)
    squares = np.asarray(errors)[..., 0] ** 2
    blocks = np.stack([b.sum(axis=1) for b in np.array_split(squares, _BLOCKS, axis=1)])
    left_out = np.array([lowest(alphas, blocks.sum(axis=0) - b) for b in blocks])
    return lowest(alphas, blocks.sum(axis=0)), float(jackknife.standard_error(left_out))


def lowest(alphas: np.ndarray, errors: np.ndarray) -> float:
    """Where a polynomial through the logarithm of the errors is least within the range of the exponents.

    Of degree five its minimum is within 4e-4 of the exact one for exact errors, except where that is at 1 (0.004).
    """
    curve = np.polynomial.Polynomial.fit(alphas, np.log(errors), _DEGREE)
    fine = np.linspace(alphas[0], alphas[-1], 4001)
    return float(fine[np.argmin(curve(fine))])


def _powers(
    cases: Sequence[tuple[float, float]],
    horizons: Sequence[int],
    fine: Sequence[int],
    trials: int,
    seed: int,
    tick: Callable[[], None],
) -> xr.Dataset:
    """The part of panels B and C."""
    times = sorted({*horizons, *fine})
    constant = exact_exponents(DRIFTS[:-1], [0.0], times)[:, 0]
    slowing = exact_exponents([SLOW_DRIFT], SLOWINGS, times)[0]
    best = xr.DataArray(np.concatenate([constant, slowing]), dims=("case", "time"), coords={"time": times})
    seen = np.empty((len(cases), len(horizons), 2))
    for i, (v, beta) in enumerate(cases):
        for j, steps in enumerate(horizons):
            near = float(best.sel(time=steps)[i])
            seen[i, j] = simulated_exponent(v, beta, steps, near, trials, _stream(seed, 1, i, j))
            tick()
    rule = [[rule_exponent(v, beta, steps) for steps in fine] for v, beta in cases]
    coarse, dense = ("case", "horizon"), ("case", "fine_horizon")
    return xr.Dataset(
        {
            "alpha_exact": (coarse, best.sel(time=list(horizons)).values),
            "alpha_simulated": (coarse, seen[..., 0]),
            "alpha_error": (coarse, seen[..., 1]),
            "alpha_fine": (dense, best.sel(time=list(fine)).values),
            "alpha_rule": (dense, rule),
            "case_drift": ("case", [v for v, _ in cases], {"units": "σ/λ per step"}),
            "case_slowing": ("case", [beta for _, beta in cases]),
        },
        coords={
            "horizon": ("horizon", list(horizons), {"units": "steps"}),
            "fine_horizon": ("fine_horizon", list(fine), {"units": "steps"}),
        },
    )


def rule_exponent(drift: float, slowing: float, steps: int) -> float:
    """min(1, ln(1/γ*_T)/ln T) with 1/γ*_T = max(1, τ*T^{2β/3} + 1 − 1/k): γ* of the drift vT^{−β} of the last step."""
    local = closed_forms.optimal_gamma(STEP_SIZE, CURVATURE, NOISE_VARIANCE, drift * steps ** (-slowing))
    return float(closed_forms.optimal_power(steps, local))


class Growth(NamedTuple):
    """Exponent of the best memory in T: fitted to the simulation, its standard error, and 2β/3."""

    fitted: float
    error: float
    predicted: float


def growth(dataset: xr.Dataset, case: int) -> Growth:
    """Weighted least squares of ln T^α on ln T over horizons of at least 1,000 steps."""
    one = dataset.isel(case=case).sel(horizon=dataset["horizon"] >= _FIT_FROM)
    x = np.log(one["horizon"].values)
    y, weights = one["alpha_simulated"].values * x, (one["alpha_error"].values * x) ** -2.0
    centred = x - np.average(x, weights=weights)
    spread = np.sum(weights * centred**2)
    slope = np.sum(weights * centred * y) / spread
    return Growth(float(slope), float(spread**-0.5), float(2.0 * one["case_slowing"] / 3.0))


def draw(dataset: xr.Dataset) -> Figure:
    """Three panels: error against γ, the best exponent against T, and its memory T^α as the drift slows down."""
    with style.canvas(11.4, 3.9) as figure:
        left, middle, right = figure.subplots(1, 3)
        _draw_rates(left, dataset)
        slows = dataset["case_drift"].values == SLOW_DRIFT
        _draw_powers(middle, dataset, np.flatnonzero(~slows))
        _draw_memory(right, dataset, np.flatnonzero(slows))
    return figure


def _power_of_ten(drift: float) -> str:
    return f"v = $10^{{{np.log10(drift):g}}}$"


def _draw_rates(axes: Axes, dataset: xr.Dataset) -> None:
    for i, v in enumerate(dataset["drift"].values):
        one, colour = dataset.sel(drift=v), style.AVERAGES[i]
        axes.plot(one["fine_gamma"], one["mse_fine"], color=colour, label=_power_of_ten(float(v)))
        points = one["mse_simulated"].values
        reach = np.stack([points - one["mse_low"].values, one["mse_high"].values - points])
        axes.errorbar(one["gamma"], points, reach, fmt="o", color=colour, ms=3.5, capsize=2, lw=1)
        axes.plot(
            one["rule_gamma"], one["rule_mse"], "*", color=style.INK, ms=10, mec="white", mew=0.8, zorder=5,
            label="predicted γ*" if i == len(dataset["drift"]) - 1 else None,
        )  # fmt: skip
    axes.set(xscale="log", yscale="log", xlabel="averaging rate γ (per step)", ylabel="mean-square error (σ²/λ²)")
    axes.set_title(f"A  EMA after {dataset.attrs['steps']:,} steps")
    axes.legend(title="drift (σ/λ per step)")


def _points(axes: Axes, dataset: xr.Dataset, case: int, colour: str, label: str, memory: bool) -> None:
    """Exact line, the rule dashed, simulated points of α, or of the memory T^α."""
    one = dataset.isel(case=case)
    at, alpha = one["horizon"].values, one["alpha_simulated"].values
    half = _Z * one["alpha_error"].values
    lines = {name: one[f"alpha_{name}"].values for name in ("fine", "rule")}
    low, high = alpha - half, alpha + half
    if memory:
        fine = one["fine_horizon"].values.astype(float)
        lines = {name: fine**values for name, values in lines.items()}
        alpha, low, high = (at.astype(float) ** x for x in (alpha, low, high))
    axes.plot(one["fine_horizon"], lines["fine"], color=colour, label=label)
    axes.plot(one["fine_horizon"], lines["rule"], "--", color=style.INK, lw=1.0)
    axes.errorbar(at, alpha, np.stack([alpha - low, high - alpha]), fmt="o", color=colour, ms=3.5, capsize=2, lw=1)


def _draw_powers(axes: Axes, dataset: xr.Dataset, cases: Sequence[int] | np.ndarray) -> None:
    for i, case in enumerate(cases):
        name = _power_of_ten(float(dataset["case_drift"][case]))
        _points(axes, dataset, int(case), style.AVERAGES[i], name, memory=False)
    axes.plot([], [], "--", color=style.INK, lw=1.0, label="min(1, ln(1/γ*)/ln T)")
    axes.set(xscale="log", ylim=(0.0, 1.05), xlabel="steps T", ylabel="best exponent α of $γ_t = t^{-α}$")
    axes.set_title("B  Steady drift: best power average")
    axes.legend(loc="lower left")


def _draw_memory(axes: Axes, dataset: xr.Dataset, cases: Sequence[int] | np.ndarray) -> None:
    for i, case in enumerate(cases):
        found = growth(dataset, int(case))
        beta = float(dataset["case_slowing"][case])
        name = f"β = {beta:g}: {found.fitted:.3f} ± {_Z * found.error:.3f} ({found.predicted:.1f})"
        _points(axes, dataset, int(case), style.AVERAGES[i], name, memory=True)
    axes.set(xscale="log", yscale="log", xlabel="steps T", ylabel="memory $T^α$ of the best average (steps)")
    low, high = axes.get_ylim()
    axes.set_ylim(low, 30.0 * high)  # room for the legend
    axes.set_title(f"C  Drift slowing down as {SLOW_DRIFT:g} $t^{{-β}}$")
    axes.legend(loc="upper left", title="slope: fitted (predicted 2β/3)")


def caption(dataset: xr.Dataset) -> str:
    """What the figure shows, with its sample sizes, seed and fitted exponents."""
    a = dataset.attrs
    least = dataset["mse_fine"].min("fine_gamma")
    excess = 100.0 * max(float((dataset["rule_mse"] / least - 1.0).max()), 0.0)
    off = abs(dataset["alpha_simulated"] - dataset["alpha_exact"]).where(dataset["alpha_exact"] < 1.0)
    standard, compared = float((off / dataset["alpha_error"]).max()), int(off.count())
    slows = np.flatnonzero(dataset["case_drift"].values == SLOW_DRIFT)
    fits = [(float(dataset["case_slowing"][c]), growth(dataset, int(c))) for c in slows]
    fitted = ", ".join(f"{g.fitted:.3f} ± {_Z * g.error:.3f} for {g.predicted:.3f} at β = {b:g}" for b, g in fits)
    return (
        "Averaging behind an optimum that moves by v each step: noisy quadratic, one direction, "
        f"ηλ = {a['step_size'] * a['curvature']:g}. Lines: exact laws; dashed: the rules of proposition A3; points: "
        f"simulation, seed {a['seed']}, 95 % intervals. A: {a['trials']:,} runs of {a['steps']:,} steps for each γ; at "
        f"the predicted γ* (stars; 1 is no average) the error is at most {excess:.2g} % above the least. B, C: the "
        f"exponent of least error among powers, {a['power_trials']:,} runs for each of {_EXPONENTS} exponents around "
        f"it, from the optimum; simulated and exact differ by at most {float(off.max()):.3f}, or {standard:.1f} "
        f"standard errors, at the {compared} points where it is below 1. C: "
        f"growth of the best memory T^α in T, fitted to the points from T = {_FIT_FROM:,} on: {fitted}."
    )

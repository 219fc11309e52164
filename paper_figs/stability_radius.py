"""How wrong a gain may be before the gap depends on the horizon (proposition C.2): radii, worst gaps and the bound.

x_{h+1} = (A_cl + BΔ_h) x_h with A_cl = (0, 1; −α, 0), B = (0, 1). Below the complex radius
r_C = 1/max‖(zI − A_cl)^{-1}B‖ the gap is bounded for every horizon whatever Δ_h does; real errors that stay constant
are harmless up to the larger r_R, and real errors that switch are not.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.special import ndtri

import gvatheory as gva
from gvatheory.sweep import provenance
from neural import jackknife
from paper_figs import style
from paper_figs.simulated_points import preset_sizes

ALPHA = 0.5
CLOSED_LOOP = np.array([[0.0, 1.0], [-ALPHA, 0.0]])
B, K_EXPERT = np.array([[0.0], [1.0]]), np.array([[-0.3, 0.2]])
Q, R, INITIAL = np.eye(2), np.array([[0.1]]), np.eye(2)
HORIZONS = (5, 10, 20, 40, 60, 80, 120, 160)
KINDS = ("constant real", "constant complex", "switching real", "state-dependent")
"""Of Δ_h: one real or complex matrix; two real ones in turn; the worst action of norm r‖x‖ at each state."""
BELOW, BETWEEN = 0.8, 1.2
"""‖Δ‖/r_C of the panel over horizons."""

PRESETS: dict[str, dict[str, int]] = {
    "quick": {"shares": 9, "draws": 400, "episodes": 400, "loops": 6},
    "full": {"shares": 17, "draws": 2000, "episodes": 4000, "loops": 24},
}
"""Norms, errors tried of each kind, episodes of the worst, random loops: about 5 s and 20 s on one core."""

_Z = float(-ndtri(0.025))
_BLOCKS = 20
FREQUENCIES = np.linspace(0.0, np.pi, 361)
"""ω of the response, radians per step."""


def data(
    preset: str = "quick", *, seed: int = 0, progress: Callable[[int, int], None] | None = None, **sizes: int
) -> xr.Dataset:
    """Frequency response, radii, and the worst mean gaps of four kinds of error, exact and by episodes really run.

    Args:
        preset: "quick" or "full", see `PRESETS`.
        seed: of the errors tried, the episodes and the random loops, ≥ 0.
        progress: called with (norms and loops done, in all).
        sizes: overrides of the preset's entries.

    Returns:
        dims (frequency,): `gain`, ‖(e^{iω}I − A_cl)^{-1}B‖; (loop,): `complex_radius`, `certified_radius` and
        `real_radius` of random loops; (kind, share, horizon), share = ‖Δ‖/r_C: `gap_exact`, the mean gap of the error
        tried that has the largest at the last horizon (NaN where it depends on the state), `gap_simulated` of episodes
        with that error, `gap_error` its standard error; (kind, share): `growth_exact`, its 2 ln ρ, `growth_simulated`
        and `growth_error`: slope of the logarithm of the simulated gap over the last half of the
        horizon; (fine_share,): `bound` of the mean gap at every horizon. The radii of the loop are attributes.

    Raises:
        ValueError: if the preset or an override is unknown.
    """
    size = preset_sizes(PRESETS, preset, sizes)
    total, done = size["shares"] + size["loops"], 0

    def tick() -> None:
        nonlocal done
        done += 1
        if progress is not None:
            progress(done, total)

    radius, proof = gva.stability_radius(CLOSED_LOOP, B), gva.certified_radius(CLOSED_LOOP, B)
    real = gva.real_stability_radius(CLOSED_LOOP, B)
    gaps = _gaps(radius.radius, size["shares"], size["draws"], size["episodes"], seed, tick)
    fine = np.linspace(0.02, 0.99, 98)
    bounds = [
        gva.gap_bound(CLOSED_LOOP, B, K_EXPERT, Q, R, float(share * radius.radius), INITIAL).gap for share in fine
    ]
    parts = xr.Dataset(
        {"gain": ("frequency", response(FREQUENCIES)), "bound": ("fine_share", bounds)},
        coords={"frequency": ("frequency", FREQUENCIES, {"units": "radians per step"}), "fine_share": fine},
    )
    facts = {"preset": preset, **size, "seed": seed, "alpha": ALPHA, "complex_radius_of_loop": radius.radius}
    facts |= {"certified_radius_of_loop": proof.radius, "real_radius_of_loop": real.radius}
    facts |= {"peak": radius.frequency, "real_peak": real.frequency}
    merged = xr.merge([gaps, parts, random_radii(size["loops"], seed, tick)])
    return merged.assign_attrs(provenance(function="stability_radius.data")).assign_attrs(facts)


def response(frequencies: np.ndarray) -> np.ndarray:
    """‖(e^{iω}I − A_cl)^{-1}B‖ at every ω."""
    resolvents = np.exp(1j * frequencies)[:, None, None] * np.eye(2) - CLOSED_LOOP
    return np.linalg.norm(np.linalg.solve(resolvents, np.broadcast_to(B, (len(frequencies), 2, 1))), 2, axis=(1, 2))


def random_radii(count: int, seed: int, tick: Callable[[], None] = lambda: None) -> xr.Dataset:
    """The three radii of random loops of 2 to 4 states and 1 or 2 actions, spectral radius 0.8."""
    names, rows = ("complex_radius", "certified_radius", "real_radius"), []
    for i in range(count):
        system = gva.random_system(2 + i % 3, 1 + i % 2, 0.8, seed + i)
        loop = system.A + system.B @ system.K_expert
        rows.append(
            [f(loop, system.B).radius for f in (gva.stability_radius, gva.certified_radius, gva.real_stability_radius)]
        )
        tick()
    return xr.Dataset({name: ("loop", column) for name, column in zip(names, np.transpose(rows), strict=True)})


def directions(kind: str, count: int, rng: np.random.Generator) -> np.ndarray:
    """Errors of norm 1, (2, count, 1, 2): those of even and odd steps; the first is the one of theory.

    Constant: the smallest error that destabilises the loop. Switching: (−1, ±1)/√2, its sign in turn.
    """
    if kind == "switching real":
        drawn, known = rng.standard_normal((2, count, 1, 2)), np.array([[-1.0, 1.0], [-1.0, -1.0]])
    else:
        exact = gva.real_stability_radius if kind == "constant real" else gva.stability_radius
        drawn = rng.standard_normal((1, count, 1, 2))
        if kind == "constant complex":
            drawn = drawn + 1j * rng.standard_normal((1, count, 1, 2))
        drawn, known = np.repeat(drawn, 2, axis=0), exact(CLOSED_LOOP, B).perturbation[0]
    drawn[:, 0, 0] = known
    return drawn / np.linalg.norm(drawn, axis=-1, keepdims=True)


def mean_gaps(errors: np.ndarray) -> np.ndarray:
    """Exact mean gap of errors (2, count, 1, 2), used in turn, from x_0 ~ N(0, I): (horizons, count)."""
    gains, loops = K_EXPERT + errors, CLOSED_LOOP + B @ errors
    costs = Q + np.conj(gains.swapaxes(-1, -2)) @ R @ gains
    state, total, out = np.broadcast_to(INITIAL, loops.shape[1:]), np.zeros(errors.shape[1]), []
    for h in range(1, HORIZONS[-1] + 1):
        loop, cost = loops[(h - 1) % 2], costs[(h - 1) % 2]
        total = total + np.real(np.einsum("nij,nji->n", cost, state))
        state = loop @ state @ np.conj(loop.swapaxes(-1, -2))
        if h in HORIZONS:
            out.append(total)
    expert = gva.LinearSystem(CLOSED_LOOP - B @ K_EXPERT, B, K_EXPERT, Q, R, INITIAL, HORIZONS[-1])
    return np.stack(out) + expert.rewards_by_horizon(K_EXPERT[None], HORIZONS)


def episode_gaps(error: Any, episodes: int, rng: np.random.Generator) -> np.ndarray:
    """Gaps (horizons, episodes) of episodes of learner and expert from the same start, drawn from N(0, I).

    Args:
        error: Δ of even and odd steps, (2, 1, 2); or r, for the action of norm r‖x‖ that leaves the largest next state.
        episodes: ≥ 1.
        rng: of the starts.
    """
    expert = rng.standard_normal((episodes, 2))
    state, total, out = expert + (0j if np.iscomplexobj(error) else 0.0), np.zeros(episodes), []
    for h in range(HORIZONS[-1]):
        if isinstance(error, float):
            ahead = np.sign(state @ CLOSED_LOOP.T @ B)
            push = error * np.linalg.norm(state, axis=1, keepdims=True) * np.where(ahead == 0.0, 1.0, ahead)
        else:
            push = state @ error[h % 2].T
        for x, u, sign in ((state, state @ K_EXPERT.T + push, 1.0), (expert, expert @ K_EXPERT.T, -1.0)):
            total = total + sign * np.real(np.sum((x @ Q) * np.conj(x), 1) + np.sum((u @ R) * np.conj(u), 1))
        state, expert = state @ CLOSED_LOOP.T + push @ B.T, expert @ CLOSED_LOOP.T
        if h + 1 in HORIZONS:
            out.append(total)
    return np.stack(out)


def _gaps(radius: float, shares: int, draws: int, episodes: int, seed: int, tick: Callable[[], None]) -> xr.Dataset:
    """The worst gaps of each kind of error at each norm."""
    at = np.linspace(0.1, 1.7, shares)
    streams = [np.random.SeedSequence([seed, i]).spawn(shares + 1) for i in range(len(KINDS))]
    tried = [directions(k, draws, np.random.default_rng(streams[i][0])) for i, k in enumerate(KINDS[:-1])]
    exact, seen, error = (np.full((len(KINDS), shares, len(HORIZONS)), np.nan) for _ in range(3))
    growth = np.full((3, len(KINDS), shares), np.nan)
    for j, share in enumerate(at):
        r = float(share * radius)
        for i in range(len(KINDS)):
            worst: np.ndarray | float = r
            if i < len(tried):
                gaps = mean_gaps(r * tried[i])
                most = gaps[-1].argmax()
                exact[i, j], worst = gaps[:, most], r * tried[i][:, most]
                growth[0, i, j] = np.log(np.abs(np.linalg.eigvals(period(worst))).max())
            sample = episode_gaps(worst, episodes, np.random.default_rng(streams[i][j + 1]))
            seen[i, j], error[i, j] = sample.mean(axis=1), sample.std(axis=1, ddof=1) / np.sqrt(episodes)
            growth[1:, i, j] = _growth(sample)
        tick()
    over = ("kind", "share", "horizon")
    names = ("growth_exact", "growth_simulated", "growth_error")
    return xr.Dataset(
        {
            "gap_exact": (over, exact, {"units": "reward"}),
            "gap_simulated": (over, seen, {"units": "reward"}),
            "gap_error": (over, error, {"units": "reward"}),
            **{n: (over[:2], x, {"units": "1 per step"}) for n, x in zip(names, growth, strict=True)},
        },
        coords={"kind": list(KINDS), "share": at, "horizon": ("horizon", list(HORIZONS), {"units": "steps"})},
    )


def period(error: np.ndarray) -> np.ndarray:
    """The loop over two steps with Δ of even and odd steps, (2, 1, 2)."""
    even, odd = CLOSED_LOOP + B @ error
    return odd @ even


def _growth(sample: np.ndarray) -> tuple[float, float]:
    """Slope of the logarithm of the mean gap from half the horizon to all of it, and its standard error."""
    first = HORIZONS.index(HORIZONS[-1] // 2)
    totals = np.array([block[[first, -1]].sum(axis=1) for block in np.array_split(sample, _BLOCKS, axis=1)])
    with np.errstate(invalid="ignore", divide="ignore"):
        slopes = np.diff(np.log(np.vstack([totals.sum(axis=0), totals.sum(axis=0) - totals])))[:, 0]
    slopes /= HORIZONS[-1] - HORIZONS[first]
    return float(slopes[0]), float(jackknife.standard_error(slopes[1:]))


def draw(dataset: xr.Dataset) -> Figure:
    """Four panels: frequency response, radii of random loops, worst gap against ‖Δ‖ and against the horizon."""
    with style.canvas(9.6, 7.2) as figure:
        (response_axes, radii_axes), (norm_axes, horizon_axes) = figure.subplots(2, 2)
        _draw_response(response_axes, dataset)
        _draw_radii(radii_axes, dataset)
        _draw_norms(norm_axes, dataset)
        _draw_horizons(horizon_axes, dataset)
    return figure


def _draw_response(axes: Axes, dataset: xr.Dataset) -> None:
    a = dataset.attrs
    axes.plot(dataset["frequency"], dataset["gain"], color=style.AVERAGES[0], label="‖G($e^{iω}$)‖")
    axes.plot(a["peak"], 1.0 / a["complex_radius_of_loop"], "o", color=style.AVERAGES[0], ms=5, label="peak = 1/$r_C$")
    levels = (("certified", "1/r of the LMI", style.AVERAGES[1]), ("real", "1/$r_R$ (constant real)", style.RAW))
    for (name, label, colour), line in zip(levels, ("--", ":"), strict=True):
        axes.axhline(1.0 / a[f"{name}_radius_of_loop"], ls=line, color=colour, label=label)
    ticks = np.arange(5) / 4
    axes.set_xticks(np.pi * ticks, ["0", "π/4", "π/2", "3π/4", "π"])
    axes.set(xlabel="frequency ω (radians per step)", ylabel="gain of G(z) = $(zI - A_{cl})^{-1}B$", ylim=(0.0, 4.0))
    axes.set_title("A  Complex radius: a peak, and a certificate")
    axes.legend(ncol=2, loc="upper left")


def _draw_radii(axes: Axes, dataset: xr.Dataset) -> None:
    order = np.argsort((dataset["real_radius"] / dataset["complex_radius"]).values)
    rank = np.arange(1, len(order) + 1)
    for name, label, marker, colour in (
        ("real_radius", "real radius $r_R$", "s", style.RAW),
        ("certified_radius", "certified by LMI", "o", style.AVERAGES[1]),
    ):
        ratio = (dataset[name] / dataset["complex_radius"]).values[order]
        axes.plot(rank, ratio, marker, color=colour, ms=4, label=label)
    axes.set(xlabel="random loop, by ratio", ylabel="radius / complex radius $r_C$")
    axes.set_title(f"B  {len(order)} random loops")
    axes.legend(loc="upper left")


def _draw_norms(axes: Axes, dataset: xr.Dataset) -> None:
    last = dataset.isel(horizon=-1)
    axes.plot(last["fine_share"], last["bound"], color=style.INK, lw=1.6, label="bound, all Δ and H")
    for i, (kind, marker) in enumerate(zip(KINDS, "osD^", strict=True)):
        _line_and_points(axes, last.sel(kind=kind), "share", i, marker)
    ratio = dataset.attrs["real_radius_of_loop"] / dataset.attrs["complex_radius_of_loop"]
    low = float(last["gap_simulated"].min()) / 2.0
    axes.set(yscale="log", ylim=(low, 1e6), xlabel="‖Δ‖ / $r_C$", ylabel=f"worst mean gap over {HORIZONS[-1]} steps")
    for place, name in ((1.0, "$r_C$"), (ratio, "$r_R$")):
        axes.axvline(place, color=style.MUTED, lw=0.9, ls=":")
        axes.annotate(name, (place, 1.5 * low), (3, 0), textcoords="offset points", color=style.MUTED)
    axes.set_title("C  Worst errors against their norm")
    axes.legend(loc="upper left")


def _draw_horizons(axes: Axes, dataset: xr.Dataset) -> None:
    low, middle = (dataset.sel(share=share, method="nearest") for share in (BELOW, BETWEEN))
    for i, (kind, marker) in enumerate(zip(KINDS, "osD^", strict=True)):
        _line_and_points(axes, middle.sel(kind=kind), "horizon", i, marker)
        _line_and_points(axes, low.sel(kind=kind), "horizon", i, marker, faint=True)
    bound = float(np.interp(float(low["share"]), dataset["fine_share"], dataset["bound"]))
    axes.axhline(bound, color=style.INK, lw=1.2)
    axes.annotate(f"bound at {float(low['share']):.1f} $r_C$", (HORIZONS[-1], bound), (0, 4), ha="right",
                  textcoords="offset points")  # fmt: skip
    axes.set(yscale="log", ylim=(float(low["gap_simulated"].min()) / 2.0, 1e6), xlabel="horizon H (steps)",
             ylabel="worst mean gap")  # fmt: skip
    axes.set_title(
        f"D  At {float(middle['share']):.1f} $r_C$ < $r_R$ (strong) and {float(low['share']):.1f} $r_C$ (faint)"
    )


def _line_and_points(axes: Axes, one: xr.Dataset, over: str, colour: int, marker: str, faint: bool = False) -> None:
    """Exact line and simulated points with 95 % intervals on the log scale."""
    at, mean = one[over].values, one["gap_simulated"].values
    alpha = 0.35 if faint else 1.0
    shade = style.AVERAGES[colour]
    axes.plot(at, one["gap_exact"].values, style.LINE_STYLES[colour], color=shade, alpha=alpha)
    half = _Z * one["gap_error"].values / mean
    reach = np.stack([mean * -np.expm1(-half), mean * np.expm1(half)])
    label = None if faint else str(one["kind"].item())
    axes.errorbar(at, mean, reach, fmt=marker, color=shade, ms=4, capsize=2, lw=1, alpha=alpha, label=label)


def caption(dataset: xr.Dataset) -> str:
    """What the figure shows, with its sample sizes, seed and fitted growth."""
    a = dataset.attrs
    r_complex, certified, real = (a[f"{name}_radius_of_loop"] for name in ("complex", "certified", "real"))
    short = float((1.0 - dataset["certified_radius"] / dataset["complex_radius"]).max())
    between = dataset.sel(share=BETWEEN, method="nearest")
    rates = []
    for kind in KINDS[1:3]:
        one = between.sel(kind=kind)
        rates.append(
            f"{float(one['growth_simulated']):.4f} ± {_Z * float(one['growth_error']):.0e} for "
            f"{float(one['growth_exact']):.4f} ({kind})"
        )
    below = dataset.sel(share=dataset["share"] < 0.99)  # where the bound is given
    used = float((below["gap_simulated"] / dataset["bound"].interp(fine_share=below["share"])).max())
    score = (dataset["gap_simulated"] - dataset["gap_exact"]) / dataset["gap_error"]
    return (
        f"A loop with gain errors Δ: A_cl = (0, 1; −{a['alpha']:g}, 0), B = (0, 1), x_0 ~ N(0, I). A: r_C = "
        f"{r_complex:.6f} from the peak of the frequency response, {certified:.6f} from the Lyapunov LMI, r_R = "
        f"{real:.6f}. B: {a['loops']} random loops; the LMI's radius is short of r_C by at most a share {short:.0e}. "
        f"C, D: mean quadratic gap of the worst of {a['draws']:,} errors of each kind, the extremal one of theory "
        f"among them; lines exact, points {a['episodes']:,} episodes with 95 % intervals (largest |z| "
        f"{float(abs(score).max()):.1f} of {int(score.count())}), seed {a['seed']}; errors that depend on the state "
        f"have no exact line. Below r_C every kind stays under {100 * used:.0f} % of the bound. At "
        f"{float(between['share']):.1f} r_C constant real errors are harmless still; growth of the logarithm of the "
        f"gap per step, simulated over the last {HORIZONS[-1] // 2} steps for the predicted 2 ln ρ: {', '.join(rates)}."
    )

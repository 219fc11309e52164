"""Closed forms along one eigendirection, elementwise: every argument may be a number or an array, and they broadcast.

Notation of the noisy quadratic, and the ranges that are checked in every function:

    step_size η, with 0 < ηλ < 2 (with momentum: see `stable_product`)      gamma γ in (0, 1], 1 = no average
    curvature λ > 0            noise_variance σ² ≥ 0 of one batch's gradient      momentum μ in (−1, 1)
    k = ηλ,  a = 1 − k,  ρ = 1 − γ      steps T ≥ 2      lag: whole numbers ≥ 0

NumPy in, NumPy out (float64); JAX arrays in, JAX arrays out in their own precision, traceable by jit, grad and vmap.
A concrete value out of range raises ValueError with the argument, its first bad value and the range; under a trace
such a cell is NaN. Unless noted, formulas are arranged without cancellation and hold to about 1e-12 relative in k, γ
as given. Checked against mpmath and dense covariance recursions (tests/theory/test_closed_forms.py).
"""

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, ParamSpec, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
import scipy.special

from gvatheory import validation
from gvatheory.validation import is_traced, namespace

Cells = Any
"""A number or an array, NumPy or JAX; `_elementwise` checks it and hands it on as an array of floats."""

P = ParamSpec("P")
R = TypeVar("R")
Bound = float | Callable[[dict[str, Any]], Any]


class _Range(NamedTuple):
    """Interval allowed for an argument, or for its product with the curvature; a bound may depend on the others."""

    brackets: str
    low: Bound
    high: Bound
    times_curvature: bool = False
    whole: bool = False


def _largest_product(arguments: dict[str, Any]) -> Any:
    """Upper limit of k = ηλ: 2, 2(1+μ) for heavy ball, `stable_product`'s for Nesterov."""
    mu = arguments.get("momentum", 0.0)
    if not arguments.get("nesterov", False):
        return 2.0 * (1.0 + mu)
    xp = namespace(mu)
    wide = xp.maximum(mu, -1.0 / 3.0)
    return xp.where(mu >= -1.0 / 3.0, 2.0 * (1.0 + wide) / (1.0 + 2.0 * wide), 1.0 - 1.0 / xp.minimum(mu, -1.0 / 3.0))


_RANGES = {
    "curvature": _Range("()", 0.0, np.inf),
    "noise_variance": _Range("[)", 0.0, np.inf),
    "momentum": _Range("()", -1.0, 1.0),
    "step_size": _Range("()", 0.0, _largest_product, times_curvature=True),
    "gamma": _Range("(]", 0.0, 1.0),
    "psi": _Range("()", -1.0, 1.0),
    "phi": _Range("()", lambda now: -1.0 - now["psi"], lambda now: 1.0 + now["psi"]),
    "innovation_variance": _Range("[)", 0.0, np.inf),
    "lag": _Range("[)", 0.0, np.inf, whole=True),
    "steps": _Range("[)", 2.0, np.inf),
    "alpha": _Range("[]", 0.0, 1.0),
    "drift": _Range("()", 0.0, np.inf),
    "scale": _Range("()", 0.5, np.inf, times_curvature=True),
    "power": _Range("()", 0.0, np.inf),
    "initial": _Range("[)", 0.0, np.inf),
}


def _inside(name: str, arguments: dict[str, Any]) -> Any:
    """Mask of the cells within the argument's range; raises where the values are concrete and one is not."""
    wanted = _RANGES[name]
    value, factor = arguments[name], arguments["curvature"] if wanted.times_curvature else 1.0
    low, high = (b(arguments) if callable(b) else b for b in (wanted.low, wanted.high))
    traced = any(is_traced(v) for v in (value, factor, low, high))
    xp = jnp if traced else np
    with np.errstate(over="ignore"):
        product = xp.asarray(value) * factor
    above = product >= low if wanted.brackets[0] == "[" else product > low
    below = product <= high if wanted.brackets[1] == "]" else product < high
    ok = above & below & xp.isfinite(product) & (not wanted.whole or product == xp.floor(product))
    if not traced and not np.all(ok):
        ok, value, factor, low, high = np.broadcast_arrays(ok, value, factor, low, high)
        at = np.unravel_index(int(np.argmin(ok)), ok.shape)
        kind, place = "a whole number" if wanted.whole else "a number", f" at index {tuple(map(int, at))}" if at else ""
        limits = f"{wanted.brackets[0]}{low[at] / factor[at]:g}, {high[at] / factor[at]:g}{wanted.brackets[1]}"
        given = f" for curvature {factor[at]:g}" if wanted.times_curvature else ""
        raise ValueError(f"{name} must be {kind} in {limits}{given}, got {float(value[at])!r}{place}")
    return ok


def _elementwise(function: Callable[P, R]) -> Callable[P, R]:
    """Check arguments named in `_RANGES`, hand them on as float arrays, and set traced cells out of range to NaN."""
    signature = inspect.signature(function)

    @functools.wraps(function)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> Any:
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        given: dict[str, Any] = bound.arguments
        checked = [name for name in _RANGES if given.get(name) is not None]
        xp = namespace(*(given[name] for name in checked))
        for name in checked:
            try:  # concrete JAX arrays too: inside a jit, jnp would trace their check
                given[name] = given[name] if is_traced(given[name]) else np.asarray(given[name], dtype=np.float64)
            except (TypeError, ValueError):
                raise ValueError(f"{name} must be numeric, got {given[name]!r}") from None
        masks = [mask for name in checked if isinstance(mask := _inside(name, given), jax.Array)]
        given.update({name: xp.asarray(given[name], dtype=float) for name in checked})
        out = function(*bound.args, **bound.kwargs)
        return xp.where(functools.reduce(jnp.logical_and, masks), out, jnp.nan) if masks else out

    return wrapped


def _power(deficit: Any, n: Any) -> Any:
    """(1 − deficit)^n for a deficit in [0, 1] and n ≥ 0, without rounding 1 − deficit first."""
    xp = namespace(deficit, n)
    near = xp.exp(n * xp.log1p(-xp.minimum(deficit, 0.5)))
    return xp.where(deficit < 0.5, near, (1.0 - xp.maximum(deficit, 0.5)) ** n)


def _geometric(deficit: Any, n: Any) -> Any:
    """Σ_{i<n} (1 − deficit)^i = (1 − (1 − deficit)^n)/deficit, for a deficit in [0, 1] and n ≥ 0."""
    xp = namespace(deficit, n)
    tiny = n * deficit < 1e-3
    x = xp.where(tiny, deficit, 0.0)
    series = n * (1 - (n - 1) / 2 * x * (1 - (n - 2) / 3 * x * (1 - (n - 3) / 4 * x * (1 - (n - 4) / 5 * x))))
    d = xp.where(tiny, 1.0, deficit)
    near = -xp.expm1(n * xp.log1p(-xp.minimum(d, 0.5)))
    return xp.where(tiny, series, xp.where(d < 0.5, near, 1.0 - _power(d, n)) / d)


def _complete_homogeneous(degree: int, deficits: Sequence[Any]) -> Any:
    """Complete homogeneous polynomial h_degree(1 − d_1, 1 − d_2, ...): the sum of all its monomials.

    The corner of the power degree + r − 1 of the r × r bidiagonal matrix with the points on its diagonal and ones above
    it. Binary powering adds positive terms only, so coinciding points cost no accuracy.
    """
    size, total = len(deficits), degree + len(deficits) - 1
    if degree < 0:
        return 0.0
    points = [1.0 - d for d in deficits]
    m = {(i, j): points[i] if i == j else float(j == i + 1) for i in range(size) for j in range(i, size)}
    done = 1
    for bit in bin(total)[3:]:
        m = {(i, j): sum(m[i, c] * m[c, j] for c in range(i, j + 1)) for i, j in m}
        done = 2 * done + int(bit)
        if bit == "1":
            m = {(i, j): m[i, j] * points[j] + (m[i, j - 1] if j > i else 0.0) for i, j in m}
        m.update({(i, i): _power(deficits[i], float(done)) for i in range(size)})
    return m[0, size - 1]


@_elementwise
def sgd_variance(step_size: Cells, curvature: Cells, noise_variance: Cells) -> Any:
    """Stationary variance of the last iterate, ησ²/(λ(2−k)); theory.md section 3."""
    return step_size * noise_variance / (curvature * (2.0 - step_size * curvature))


@_elementwise
def ema_factor(step_size: Cells, curvature: Cells, gamma: Cells) -> Any:
    """What a constant-rate EMA leaves of the variance, γ/(2−γ) · (1+aρ)/(1−aρ) ≤ 1; theory.md section 3."""
    k = step_size * curvature
    return gamma / (2.0 - gamma) * (gamma + (1.0 - gamma) * (2.0 - k)) / (gamma + (1.0 - gamma) * k)


def ema_variance(step_size: Cells, curvature: Cells, noise_variance: Cells, gamma: Cells) -> Any:
    """Stationary variance of the EMA: `sgd_variance` times `ema_factor`."""
    return sgd_variance(step_size, curvature, noise_variance) * ema_factor(step_size, curvature, gamma)


@_elementwise
def series_variance(step_size: Cells, curvature: Cells, noise_variance: Cells, gamma: Cells) -> Any:
    """The same variance as a series law, (σ²/λ²) PR(1+PR)/(P+R), P = k/(2−k), R = γ/(2−γ) (theory.md, A7); exact."""
    p, r = step_size * curvature / (2.0 - step_size * curvature), gamma / (2.0 - gamma)
    return noise_variance / curvature**2 * p * r * (1.0 + p * r) / (p + r)


@_elementwise
def time_constant(step_size: Cells, curvature: Cells, gamma: Cells) -> Any:
    """τ = 1/k + 1/γ, in steps (A7): for small k and γ the variance is σ²/(2λ²τ), to relative order min(k, γ)."""
    return 1.0 / (step_size * curvature) + 1.0 / gamma


@_elementwise
def effective_step_size(step_size: Cells, curvature: Cells, gamma: Cells, exact: bool = False) -> Any:
    """Step size whose SGD has the variance of this EMA (A7): 1/η_eff = 1/η + λ/γ for small k, γ.

    exact=True: for any k and γ, λη_eff = 2Q/(1+Q), Q = PR(1+PR)/(P+R); η at γ = 1, where the other gives η/(1+k).
    """
    k = step_size * curvature
    if not exact:
        return step_size * gamma / (gamma + k)
    p, r = k / (2.0 - k), gamma / (2.0 - gamma)
    pr = p * r * (1.0 + p * r)
    return 2.0 * pr / (p + r + pr) / curvature


@_elementwise
def stable_product(momentum: Cells, nesterov: bool = False) -> Any:
    """Upper limit of k = ηλ below which momentum is stable: 0 < k < limit.

    Heavy ball: 2(1+μ). Nesterov: 2(1+μ)/(1+2μ) for μ ≥ −1/3, where the root −1 is reached first, and 1 − 1/μ below,
    where the product μ(1−k) of the roots reaches 1. Derived from |ψ| < 1, |φ| < 1 + ψ (see `ar2_variance`).
    """
    return _largest_product({"momentum": momentum, "nesterov": nesterov})


def _momentum(step_size: Any, curvature: Any, mu: Any, nesterov: bool) -> tuple[Any, Any, Any]:
    """1+ψ−φ, 1+ψ+φ and ψ of the error's second-order recursion: φ = 1+μ−k, ψ = μ, or (1+μ)(1−k), μ(1−k)."""
    k = step_size * curvature
    if nesterov:
        return k, 2.0 * (1.0 + mu) - k * (1.0 + 2.0 * mu), mu * (1.0 - k)
    return k, 2.0 * (1.0 + mu) - k, mu + 0.0 * k


def _second_order_factor(below: Any, above: Any, psi: Any, gamma: Any) -> Any:
    """EMA factor from below = 1+ψ−φ and above = 1+ψ+φ, as sums of positive terms."""
    rho = 1.0 - gamma
    top = gamma * (1.0 + rho * psi) + rho * above * (1.0 - psi) / (1.0 + psi)
    return gamma / (2.0 - gamma) * top / (gamma * (1.0 - rho * psi) + rho * below)


@_elementwise
def ar2_variance(phi: Cells, psi: Cells, innovation_variance: Cells) -> Any:
    """Stationary variance of e_{t+1} = φe_t − ψe_{t−1} + noise: v(1+ψ)/((1−ψ)((1+ψ)²−φ²)), stable iff |φ| < 1+ψ < 2.

    Box and Jenkins' AR(2); with φ within δ of ±(1+ψ) the result holds to about 1e-16/δ.
    """
    return innovation_variance * (1.0 + psi) / ((1.0 - psi) * (1.0 + psi - phi) * (1.0 + psi + phi))


@_elementwise
def ar2_ema_factor(phi: Cells, psi: Cells, gamma: Cells) -> Any:
    """What an EMA leaves of `ar2_variance`: γ/(2−γ) · [1 + ρφ(1−ψ)/(1+ψ) − ψρ²]/[1 − ρφ + ψρ²]; ψ = 0 is SGD's."""
    return _second_order_factor(1.0 + psi - phi, 1.0 + psi + phi, psi, gamma)


@_elementwise
def momentum_variance(
    step_size: Cells, curvature: Cells, noise_variance: Cells, momentum: Cells, nesterov: bool = False
) -> Any:
    """Stationary variance under heavy ball, or under Nesterov's gradient at y_t = θ_t + μ(θ_t − θ_{t−1}).

    Heavy ball (theory.md section 3): ησ²(1+μ)/(λ(1−μ)(2(1+μ)−k)). Nesterov:
    ησ²(1+μ−μk)/(λ(1−μ+μk)(2(1+μ)−k(1+2μ))), from `ar2_variance` with φ = (1+μ)(1−k), ψ = μ(1−k).
    """
    _, above, psi = _momentum(step_size, curvature, momentum, nesterov)
    return step_size * noise_variance / curvature * (1.0 + psi) / ((1.0 - psi) * above)


@_elementwise
def momentum_ema_factor(
    step_size: Cells, curvature: Cells, momentum: Cells, gamma: Cells, nesterov: bool = False
) -> Any:
    """What a constant-rate EMA leaves of `momentum_variance`; `ar2_ema_factor` without its cancellation at small k."""
    return _second_order_factor(*_momentum(step_size, curvature, momentum, nesterov), gamma)


@_elementwise
def autocorrelation(lag: Cells, step_size: Cells, curvature: Cells, gamma: Cells) -> Any:
    """Stationary autocorrelation r_j of the averaged iterate, j = lag in steps; γ = 1: of the last iterate, a^j (A8).

    For a ≥ 0, r_j = (a^j + ρ^j + aρ(1−aρ) Σ_{i≤j−2} a^i ρ^{j−2−i})/(1+aρ), a sum of positive terms, also where
    a = ρ. For a < 0 theory.md's quotient, where a−ρ cannot vanish; r_j may then change sign, and is good to 1e-12.
    """
    xp, rho, k = namespace(step_size), 1.0 - gamma, step_size * curvature
    k1, k2 = xp.minimum(k, 1.0), xp.where(k > 1.0, k, 1.5)
    less, more = xp.minimum(k1, gamma), xp.maximum(k1, gamma)
    apart = (more - less) / xp.where(less < 1.0, 1.0 - less, 1.0)  # 1 − (smaller of a, ρ)/(larger)
    past = xp.maximum(lag, 1.0) - 1.0
    cross = (1.0 - more) * _power(less, past) * _geometric(apart, past)
    slip = gamma + rho * k1  # 1 − aρ
    smooth = (_power(k1, lag) + _power(gamma, lag) + slip * cross) / (2.0 - slip)
    sign = 2.0 * ((lag + 1.0) % 2.0 == 0.0) - 1.0
    top = sign * _power(2.0 - k2, lag + 1.0) * gamma * (2.0 - gamma) - _power(gamma, lag + 1.0) * k2 * (2.0 - k2)
    ringing = top / ((gamma - k2) * (gamma + rho * (2.0 - k2)))
    return xp.where(lag == 0.0, 1.0, xp.where(k > 1.0, ringing, smooth))


@_elementwise
def window_factor(count: int, step_size: Cells, curvature: Cells, gamma: Cells, spacing: int = 1) -> Any:
    """Expected sample variance (divisor n−1) of n = count iterates `spacing` steps apart, over the stationary one.

    W = 1 − 2/(n−1) Σ_{j<n} (1−j/n) r_{j·spacing} (A8): what a window shows of the spread across seeds; 1 − r for n = 2.
    From 1 − r_j = kγ/(1+aρ) · [h_{j−1}(a, 1) + ρ(1+a) h_{j−2}(a, ρ, 1)] and its analogue for a^s, ρ^s, with complete
    homogeneous polynomials h, which sum over j to their like: O(log n), and accurate relative to W however small it is.
    ValueError also if count is not an integer ≥ 2 or spacing not one ≥ 1.
    """
    validation.integer("count", count, 2)
    validation.integer("spacing", spacing, 1)
    xp, s, n, k = namespace(step_size), float(spacing), float(count), step_size * curvature
    rho, share = 1.0 - gamma, 2.0 / (n * (n - 1.0))
    k1, k2 = xp.minimum(k, 1.0), xp.where(k > 1.0, k, 1.5)
    sum_a, sum_rho = _geometric(k1, s), _geometric(gamma, s)
    slow = gamma * sum_rho  # 1 − ρ^s
    first = sum_a + rho * (2.0 - k1) * _complete_homogeneous(spacing - 2, (k1, gamma, 0.0))
    first = first * _complete_homogeneous(count - 2, (k1 * sum_a, 0.0, 0.0, 0.0))
    second = rho * sum_rho * (2.0 - k1) * _complete_homogeneous(spacing - 1, (k1, gamma))
    second = second * _complete_homogeneous(count - 3, (k1 * sum_a, slow, 0.0, 0.0, 0.0))
    smooth = share * k1 * gamma / (2.0 - gamma - rho * k1) * (first + second)
    # a < 0: r_j is a mixture of a^j and ρ^j with non-negative weights, and so is the factor.
    scale = (k2 - gamma) * (gamma + rho * (2.0 - k2))
    alone = share * slow * _complete_homogeneous(count - 2, (slow, 0.0, 0.0, 0.0))
    if spacing % 2 == 0:
        fast = (2.0 - k2) * _geometric(2.0 - k2, s)
        swing = share * fast * _complete_homogeneous(count - 2, (fast, 0.0, 0.0, 0.0))
    else:
        x = -_power(2.0 - k2, s)
        swing = 1.0 - share * x * (n * (1.0 - x) - (1.0 - x**n)) / (1.0 - x) ** 2
    ringing = ((k2 - 1.0) * gamma * (2.0 - gamma) * swing + rho * k2 * (2.0 - k2) * alone) / scale
    return xp.where(k > 1.0, ringing, smooth)


@_elementwise
def power_ema_variance(steps: Cells, alpha: Cells, step_size: Cells, curvature: Cells, noise_variance: Cells) -> Any:
    """Variance of a power EMA of rate γ_T = T^{−α} after T = steps: `ema_variance` at γ_T, over 1 − α/(2γ_T T).

    Asymptotic: within 2.2 % of the exact law for T ≥ 2,000, kT ≥ 40, every stable k ≤ 1.9 and every α in [0, 1], with
    e_0 forgotten. theory.md's (γ_Tσ²/2λ²)/[(1+aγ_T/k)(1−α/(2γ_T T))] is this for kγ_T ≪ 1; at k = 1, α = 0.3 it is
    5 % off.
    """
    rate = steps**-alpha
    return ema_variance(step_size, curvature, noise_variance, rate) / (1.0 - alpha / (2.0 * rate * steps))


@_elementwise
def polyak_variance(steps: Cells, curvature: Cells, noise_variance: Cells) -> Any:
    """Asymptotic variance σ²/(λ²T) of the uniform average, at any stable step size (Polyak & Juditsky 1992).

    From e_0 = 0 the exact one differs by the relative −a(3−k)/(k(2−k)T), up to O(a^T/(kT)).
    """
    return noise_variance / (curvature**2 * steps)


@_elementwise
def drift_lag(step_size: Cells, curvature: Cells, gamma: Cells, drift: Cells) -> Any:
    """How far the average trails an optimum that moves by `drift` > 0 each step: v/k + v(1−γ)/γ (A3); exact."""
    return drift / (step_size * curvature) + drift * (1.0 - gamma) / gamma


@_elementwise
def optimal_time_constant(curvature: Cells, noise_variance: Cells, drift: Cells) -> Any:
    """τ* = (σ/(2vλ))^{2/3} in steps, the minimiser of (vτ)² + σ²/(2λ²τ) (A3, with the small-step series law)."""
    return (noise_variance / (2.0 * drift * curvature) ** 2) ** (1.0 / 3.0)


@_elementwise
def optimal_gamma(step_size: Cells, curvature: Cells, noise_variance: Cells, drift: Cells) -> Any:
    """γ* from 1/γ* = τ* + 1 − 1/k, or 1, no averaging, where that is larger (A3).

    The lag is exactly v(1/k + 1/γ − 1); at this rate the loss exceeds the least over γ by at most the share (2/3)PR,
    P = k/(2−k), R = γ*/(2−γ*), for every 0 < k < 2.
    """
    wanted = (noise_variance / (2.0 * drift * curvature) ** 2) ** (1.0 / 3.0) + 1.0 - 1.0 / (step_size * curvature)
    return 1.0 / namespace(step_size).maximum(wanted, 1.0)


@_elementwise
def optimal_power(steps: Cells, gamma: Cells) -> Any:
    """Exponent whose rate T^{−α} ends at γ*, min(1, ln(1/γ*)/ln T), for γ* = gamma, e.g. from `optimal_gamma` (A3)."""
    return namespace(steps).minimum(1.0, -namespace(gamma).log(gamma) / namespace(steps).log(steps))


@_elementwise
def inverse_time_variance(steps: Cells, scale: Cells, curvature: Cells, noise_variance: Cells) -> Any:
    """Variance that η_t = c/t leaves after T = steps, c²σ²/((2λc−1)T), for scale c > 1/(2λ) (C.6); as T → ∞.

    Smallest at c = 1/λ, where it equals `polyak_variance`.
    """
    return scale**2 * noise_variance / ((2.0 * scale * curvature - 1.0) * steps)


@_elementwise
def cooldown_variance(
    step_size: Cells, curvature: Cells, noise_variance: Cells, steps: Cells, power: Cells = 1.0, initial: Cells = None
) -> Any:
    """Variance after a cool-down η(τ/N)^p, τ = N..0 of N = steps remaining, p = power, in the diffusion limit (C.6).

    dv/ds = −2λv + ησ² solved exactly: with q = p/(p+1), B = 2kN/(p+1) and the lower incomplete gamma function,
    v = v_0 e^{−B} + (ησ²/2λ) B^{−q} γ(q+1, B). The variance v_0 = initial defaults to that limit's stationary ησ²/(2λ).
    """
    xp, q = namespace(step_size), power / (power + 1.0)
    level, depth = step_size * noise_variance / (2.0 * curvature), 2.0 * step_size * curvature * steps / (power + 1.0)
    special: Any = jax.scipy.special if xp is jnp else scipy.special
    made = xp.exp(special.gammaln(q + 1.0)) * special.gammainc(q + 1.0, depth) * depth**-q
    return (level if initial is None else initial) * xp.exp(-depth) + level * made


@_elementwise
def cooldown_scaling(step_size: Cells, curvature: Cells, steps: Cells, power: Cells = 1.0) -> Any:
    """Share of ησ²/(2λ) that a long cool-down leaves, Γ(1+q)((p+1)/(2kN))^q ∝ N^{−q}, q = p/(p+1) (C.6), kN ≫ 1.

    Linear, p = 1: (√π/2)/√(kN). No power reaches 1/N.
    """
    special: Any = jax.scipy.special if namespace(steps) is jnp else scipy.special
    q = power / (power + 1.0)
    return namespace(q).exp(special.gammaln(1.0 + q)) * ((power + 1.0) / (2.0 * step_size * curvature * steps)) ** q

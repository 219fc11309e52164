"""The best parameters: along an axis of a computed grid, or between grid points by gradient."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from scipy.optimize import minimize

from gvatheory import validation
from gvatheory.function_state import check_arguments, name_of
from gvatheory.grid_engines import label

_COARSE = 512  # cells of the grid from which the searches start


def grid_optimum(
    dataset: xr.Dataset, variable: str, axis: str, maximise: bool = False, refine: bool = False, log: bool = True
) -> xr.Dataset:
    """Best value of a variable along one axis of a dataset, and where it is. NaN cells do not count.

    Args:
        dataset: e.g. from `sweep`.
        variable: name of the variable that should be small (or large).
        axis: dimension along which to look, with numeric coordinates in any order.
        maximise: look for the largest value.
        refine: replace an optimum inside the grid by the vertex of the parabola through it and its two neighbours.
        log: draw that parabola over the logarithm of the axis, which must then be positive.

    Returns:
        variables over the other dimensions: `value`; `location`, in units of the axis; `on_edge`, True where the best
        cell is the first or last of the axis or next to a NaN, so that the true optimum may be elsewhere. Where every
        cell is NaN, value and location are NaN and `on_edge` is True.

    Raises:
        ValueError: naming a variable or axis that the dataset does not have, or an axis that does not fit.
    """
    if variable not in dataset.data_vars:
        raise ValueError(f"variable must be one of {sorted(map(str, dataset.data_vars))}, got {variable!r}")
    if axis not in dataset[variable].dims:
        raise ValueError(f"axis must be one of {dataset[variable].dims}, got {axis!r}")
    if axis not in dataset.coords or dataset[axis].dtype.kind not in "fiu":
        raise ValueError(f"axis {axis!r} must have numeric coordinates")
    array = dataset[variable].sortby(axis).transpose(..., axis)
    x = array[axis].values.astype(np.float64)
    if refine and log and not np.all(x > 0):
        raise ValueError(f"axis {axis!r} must be positive for log=True, its smallest value is {x.min()}")
    sign = -1.0 if maximise else 1.0
    y = sign * array.values.astype(np.float64)
    empty = np.all(np.isnan(y), axis=-1)
    best = np.argmin(np.where(np.isnan(y), np.inf, y), axis=-1)

    def at(shift: int) -> np.ndarray:
        inside = np.clip(best + shift, 0, len(x) - 1)
        return np.take_along_axis(y, inside[..., None], axis=-1)[..., 0]

    value, location = at(0), np.where(empty, np.nan, x[best])
    on_edge = empty | (best == 0) | (best == len(x) - 1) | np.isnan(at(-1)) | np.isnan(at(1))
    if refine and len(x) > 2:
        scale = np.log(x) if log else x
        middle = np.clip(best, 1, len(x) - 2)
        vertex, depth = _vertex([scale[middle + i] for i in (-1, 0, 1)], [at(i) for i in (-1, 0, 1)])
        inside = ~on_edge & np.isfinite(vertex)
        location = np.where(inside, np.exp(vertex) if log else vertex, location)
        value = np.where(inside, depth, value)
    like = array.isel({axis: 0}, drop=True)
    return xr.Dataset(
        {
            "value": like.copy(data=sign * value),
            "location": like.copy(data=location).assign_attrs(units=dataset[axis].attrs.get("units", "1")),
            "on_edge": like.copy(data=on_edge).assign_attrs(units="1"),
        },
        attrs={"variable": variable, "axis": axis, "goal": "maximum" if maximise else "minimum"},
    )


def _vertex(x: list[Any], y: list[Any]) -> tuple[Any, Any]:
    """Place and value of the extremum of the parabola through three points; NaN where they lie on a line."""
    with np.errstate(divide="ignore", invalid="ignore"):
        left, right = (y[1] - y[0]) / (x[1] - x[0]), (y[2] - y[1]) / (x[2] - x[1])
        bend = (right - left) / (x[2] - x[0])
        slope = left + bend * (x[1] - x[0])  # at x[1]
        place = x[1] - slope / (2.0 * bend)
        depth = y[1] - slope**2 / (4.0 * bend)
    return np.where(bend > 0, place, np.nan), depth


@dataclasses.dataclass(frozen=True)
class Optimum:
    """The best parameters found.

    Attributes:
        location: value of every parameter searched over.
        value: of the function there.
        gradient_norm: largest slope that is left, |∂value/∂ln x| (|∂value/∂x|·(high − low) where not logarithmic),
            without slopes that point out of the bounds. Beside `value`, it says how well the search converged.
        on_bound: per parameter, whether it was stopped by a bound.
        evaluations: calls of the function with its gradient, after a coarse grid.
    """

    location: dict[str, float]
    value: float
    gradient_norm: float
    on_bound: dict[str, bool]
    evaluations: int


def optimum(
    function: Callable[..., Mapping[str, Any]],
    bounds: Mapping[str, tuple[float, float]],
    fixed: Mapping[str, Any] | None = None,
    of: str = "variance",
    maximise: bool = False,
    log: bool | Sequence[str] = True,
    starts: int = 3,
) -> Optimum:
    """Minimum of a result of `function` within bounds: L-BFGS-B with JAX's gradients, from the best cells of a grid.

    The function is one that `sweep` can vectorise. Cells where it is not finite (an unstable step size) are avoided.
    Checked against dense grids, a root of an analytic derivative, and γ* of theory section 3.

    Args:
        function: called with one keyword per bound and per entry of `fixed`; returns named numbers.
        bounds: (low, high) of every parameter to search over, low < high; positive where logarithmic.
        fixed: further arguments of the function.
        of: name of the result.
        maximise: look for the maximum.
        log: search in the logarithm of all parameters, none, or those named.
        starts: searches from as many local optima of a coarse grid, at most.

    Raises:
        ValueError: if a bound is not valid, `of` is not a result, or the result is finite nowhere; the function's
            own, if the optimum is at an argument that it rejects.
        TypeError: if the function cannot be traced by JAX: `sweep` and `grid_optimum` then do the same on a grid.
    """
    names, rest = list(bounds), dict(fixed or {})
    logs = _check_bounds(bounds, log)
    check_arguments(function, [*names, *rest])
    validation.integer("starts", starts, 1)
    low, high = (np.array([bounds[n][i] for n in names], dtype=np.float64) for i in (0, 1))
    with np.errstate(divide="ignore", invalid="ignore"):
        a, b = np.where(logs, np.log(low), low), np.where(logs, np.log(high), high)
    sign = -1.0 if maximise else 1.0

    def arguments(unit: Any, xp: Any) -> list[Any]:
        place = a + unit * (b - a)
        return [xp.clip(xp.exp(p) if g else p, lo, hi) for p, g, lo, hi in zip(place, logs, low, high, strict=True)]

    def goal(unit: jax.Array) -> jax.Array:
        out = function(**dict(zip(names, arguments(unit, jnp), strict=True)), **rest)
        if of not in out:
            raise ValueError(f"of must be one of the function's results {sorted(out)}, got {of!r}")
        return sign * jnp.asarray(out[of], dtype=jnp.float64)

    with jax.enable_x64(True):
        both = jax.jit(jax.value_and_grad(goal))
        try:
            units, values = _coarse(goal, len(names))
        except TypeError as e:
            raise TypeError(
                f"function {name_of(function)!r} cannot be traced by JAX ({str(e).splitlines()[0]}); "
                "use sweep and grid_optimum"
            ) from e
        found = [_search(both, u) for u in _local_minima(units, values, starts)]
    unit, _, slope, _ = min(found, key=lambda x: x[1])
    inside = np.array([float(x) for x in arguments(unit, np)])
    place = np.where(unit <= 0, low, np.where(unit >= 1, high, inside))  # a bound itself, not its rounded logarithm
    location = dict(zip(names, place.tolist(), strict=True))
    try:
        with jax.enable_x64(True):
            exact = float(function(**location, **rest)[of])
    except (ValueError, OverflowError) as e:
        raise type(e)(f"{e} (at {label(location)}, where the search ended)") from e
    outward = ((unit <= 0) & (slope > 0)) | ((unit >= 1) & (slope < 0))
    left = np.where(outward, 0.0, slope / np.where(logs, b - a, 1.0))
    return Optimum(
        location,
        exact,
        float(np.abs(left).max()),
        {n: bool(stop) for n, stop in zip(names, outward, strict=True)},
        sum(x[3] for x in found),
    )


def _check_bounds(bounds: Mapping[str, tuple[float, float]], log: bool | Sequence[str]) -> np.ndarray:
    """Which parameters are searched over in their logarithm.

    Raises:
        ValueError: naming the bound that is not valid.
    """
    if not bounds:
        raise ValueError("bounds must name at least one parameter, got none")
    if not isinstance(log, bool) and (unknown := set(log) - set(bounds)):
        raise ValueError(f"log must name parameters of {list(bounds)}, got {sorted(unknown)}")
    logs = np.array([log if isinstance(log, bool) else name in log for name in bounds])
    for (name, pair), logarithmic in zip(bounds.items(), logs, strict=True):
        if len(pair) != 2:
            raise ValueError(f"bounds[{name!r}] must be (low, high), got {pair!r}")
        lowest = 0.0 if logarithmic else -np.inf
        validation.real(f"bounds[{name!r}] low", pair[0], lowest, np.inf, open_low=bool(logarithmic))
        validation.real(f"bounds[{name!r}] high", pair[1], pair[0], np.inf, open_low=True)
    return logs


def _coarse(goal: Callable[[jax.Array], jax.Array], count: int) -> tuple[np.ndarray, np.ndarray]:
    """Points (n, ..., n, count) of a grid over the unit cube, and the goal there.

    Raises:
        ValueError: if it is finite nowhere.
    """
    side = max(round(_COARSE ** (1.0 / count)), 3)
    units = np.stack(np.meshgrid(*[np.linspace(0.0, 1.0, side)] * count, indexing="ij"), axis=-1)
    run = jax.jit(lambda x: jax.lax.map(goal, x, batch_size=64))
    values = np.asarray(run(units.reshape(-1, count))).reshape(units.shape[:-1])
    values = np.where(np.isfinite(values), values, np.inf)
    if not np.any(np.isfinite(values)):
        raise ValueError("function is finite nowhere within the bounds: is the step size stable?")
    return units, values


def _local_minima(units: np.ndarray, values: np.ndarray, most: int) -> list[np.ndarray]:
    """The `most` lowest grid points that no neighbour along an axis undercuts."""
    lowest = np.isfinite(values)
    padded = np.pad(values, 1, constant_values=np.inf)
    for axis in range(values.ndim):
        for shift in (0, 2):
            window = tuple(slice(shift if i == axis else 1, None) for i in range(values.ndim))
            lowest &= values <= padded[window][tuple(slice(n) for n in values.shape)]
    candidates = np.flatnonzero(lowest)
    best = candidates[np.argsort(values.ravel()[candidates], kind="stable")[:most]]
    return list(units.reshape(-1, units.shape[-1])[best])


def _search(both: Callable[..., Any], start: np.ndarray) -> tuple[np.ndarray, float, np.ndarray, int]:
    """One search over the unit cube: place, goal, its gradient, number of evaluations."""
    first = float(both(start)[0])
    scale = abs(first) or 1.0

    def scaled(unit: np.ndarray) -> tuple[float, np.ndarray]:
        value, slope = (np.asarray(x) for x in both(unit))
        if not (np.isfinite(value) and np.all(np.isfinite(slope))):
            # A wall that the line search turns back from.
            return abs(first) / scale + 1e3 + float(np.sum((unit - start) ** 2)), 2.0 * (unit - start)
        return float(value) / scale, slope / scale

    limits = [(0.0, 1.0)] * len(start)
    options = {"ftol": 1e-15, "gtol": 1e-10, "maxiter": 200, "maxls": 40}
    out = cast(Any, minimize(scaled, start, jac=True, method="L-BFGS-B", bounds=limits, options=options))
    ends = [(x, *(np.asarray(v) for v in both(x))) for x in (start, out.x)]
    place, value, slope = ends[bool(ends[1][1] <= ends[0][1])]
    return place, float(value), slope, int(out.nfev) + 2

"""Validation of arguments: one clear sentence naming the argument, its value and the allowed range.

Values under a JAX transformation (tracers) carry no number to check and pass through.
"""

from collections.abc import Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any

import jax
import jax.core
import jax.numpy as jnp
import numpy as np

Numbers = float | int | np.ndarray | jax.Array | Sequence[Any]
"""What is accepted where an array of numbers is asked for."""

Scalar = float | np.floating | jax.Array
"""A number that may be traced."""

if TYPE_CHECKING:
    Values = np.ndarray  # what plain use gives
else:
    Values = np.ndarray | jax.Array
    """What comes out: NumPy arrays, or JAX ones where a parameter was a JAX array or tracer."""


def namespace(*values: Any) -> ModuleType:
    """jax.numpy if any value is a JAX array or tracer, else numpy: plain use then needs no compilation, and float64."""
    return jnp if any(isinstance(v, jax.Array) for v in values) else np


def is_traced(*values: Any) -> bool:
    """True if any value is inside jax.jit, jax.grad or jax.vmap."""
    return any(isinstance(v, jax.core.Tracer) for v in values)


def float64(value: Any) -> Any:
    """`value` as a float64 NumPy array; tracers stay as they are, so that they can be differentiated."""
    return value if is_traced(value) else np.asarray(value, dtype=np.float64)


def real(name: str, value: Any, low: float, high: float, *, open_low: bool = False, open_high: bool = False) -> None:
    """Require a finite scalar in [low, high], or the open side where asked.

    Raises:
        ValueError: naming the argument, its value and the allowed interval.
    """
    if is_traced(value):
        return
    allowed = (
        f"{'(' if open_low or low == -np.inf else '['}{low:g}, {high:g}{')' if open_high or high == np.inf else ']'}"
    )
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise ValueError(f"{name} must be a number in {allowed}, got {value!r}") from None
    inside = (low < number if open_low else low <= number) and (number < high if open_high else number <= high)
    if not (np.isfinite(number) and inside):
        raise ValueError(f"{name} must be a number in {allowed}, got {value!r}")


def positive(name: str, value: Any) -> None:
    """Require a finite scalar above zero."""
    real(name, value, 0.0, np.inf, open_low=True)


def integer(name: str, value: Any, low: int, high: int | None = None) -> None:
    """Require an integer (not a bool) of at least `low` and, if given, at most `high`.

    Raises:
        ValueError: naming the argument, its value and the allowed range.
    """
    whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    if not whole or value < low or (high is not None and value > high):
        allowed = f"at least {low}" if high is None else f"from {low} to {high}"
        raise ValueError(f"{name} must be an integer {allowed}, got {value!r}")


def array(name: str, value: Any, max_ndim: int) -> Any:
    """`value` as a finite float64 array of at most `max_ndim` dimensions; a tracer passes through.

    Raises:
        ValueError: naming the argument and what is wrong with it.
    """
    if is_traced(value):
        return value
    try:
        if np.iscomplexobj(value):
            raise TypeError
        out = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"{name} must be real numbers, got {value!r}") from None
    if out.ndim > max_ndim:
        raise ValueError(f"{name} must have at most {max_ndim} dimensions, got shape {out.shape}")
    if not np.all(np.isfinite(out)):
        raise ValueError(f"{name} must be finite, got {value!r}")
    return out


def psd(name: str, matrix: Any) -> None:
    """Require a symmetric positive semi-definite (d, d) matrix, to rounding; of a tracer, the shape alone.

    Raises:
        ValueError: naming the argument and its asymmetry or smallest eigenvalue.
    """
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise ValueError(f"{name} must be a square matrix, got shape {matrix.shape}")
    if is_traced(matrix):
        return
    scale = max(float(np.abs(matrix).max(initial=0.0)), np.finfo(float).tiny)
    asymmetry = float(np.abs(matrix - matrix.T).max(initial=0.0))
    if asymmetry > 1e-12 * scale:
        raise ValueError(f"{name} must be symmetric, entries differ from the transpose by up to {asymmetry:g}")
    smallest = float(np.linalg.eigvalsh(matrix).min(initial=0.0))
    if smallest < -1e-10 * scale * len(matrix):
        raise ValueError(f"{name} must be positive semi-definite, its smallest eigenvalue is {smallest:g}")

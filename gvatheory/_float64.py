"""Double precision whatever the user's JAX setting."""

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import jax
import jax.numpy as jnp

from gvatheory.validation import is_traced

P = ParamSpec("P")
R = TypeVar("R")


def in_float64(function: Callable[P, R]) -> Callable[P, R]:
    """Run `function` with 64-bit JAX arrays, leaving the process-wide setting as it was.

    The function raises TypeError if its result is traced by a transformation that itself runs in 32-bit mode.
    """

    @functools.wraps(function)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        double = jnp.result_type(float) == jnp.float64
        with jax.enable_x64(True):
            out = function(*args, **kwargs)
        if not double and is_traced(*jax.tree.leaves(vars(out) if hasattr(out, "__dict__") else out)):
            raise TypeError(
                f"{function.__name__} under a JAX transformation needs 64-bit mode: "
                "wrap the transformation in `with jax.enable_x64(True):`"
            )
        return out

    return wrapped

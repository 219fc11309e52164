"""What a function is made of: its source and the values it captured. For fingerprints, and to see hidden state."""

import dataclasses
import functools
import hashlib
import inspect
import random
import types
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np

_DEPTH = 6  # levels of values within values that count


def name_of(function: Callable[..., Any]) -> str:
    """Qualified name of a function, method, `functools.partial` or callable object, without its module."""
    if isinstance(function, functools.partial):
        return name_of(function.func)
    return getattr(function, "__qualname__", type(function).__qualname__)


def check_arguments(function: Any, given: Sequence[str]) -> dict[str, inspect.Parameter]:
    """The parameters that can be given by keyword, of a function that must take those `given` and need no others.

    Raises:
        ValueError: naming a parameter that it does not have or that is missing. A missing `seed` passes.
    """
    if not callable(function):
        raise ValueError(f"function must be callable, got {function!r}")
    parameters = inspect.signature(function).parameters.values()
    named = {p.name: p for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
    unknown = [name for name in given if name not in named]
    if unknown and not any(p.kind is p.VAR_KEYWORD for p in parameters):
        raise ValueError(f"function {name_of(function)!r} has no parameter {unknown[0]!r}; it takes {list(named)}")
    missing = [name for name, p in named.items() if p.default is p.empty and name not in (*given, "seed")]
    if missing:
        raise ValueError(f"function {name_of(function)!r} needs a value for its parameter {missing[0]!r}")
    return named


def _module(function: Any) -> str:
    return getattr(function, "__module__", None) or type(function).__module__


def captured(function: Callable[..., Any]) -> dict[str, Any]:
    """Values from outside that a function uses: closure, globals it names, the object it is bound to, frozen arguments.

    Of a function that is built in, nothing is known.
    """
    if isinstance(function, functools.partial):
        frozen = {str(i): v for i, v in enumerate(function.args)} | dict(function.keywords)
        return {**captured(function.func), **frozen}
    if inspect.ismethod(function):
        return {**captured(function.__func__), "self": function.__self__}
    plain = inspect.unwrap(function)
    if inspect.isfunction(plain):
        seen = inspect.getclosurevars(plain)
        defaults = {
            name: p.default for name, p in inspect.signature(plain).parameters.items() if p.default is not p.empty
        }
        return {**defaults, **seen.globals, **seen.nonlocals}
    return {} if inspect.isbuiltin(plain) or inspect.isclass(plain) else {"self": plain}


def hidden_state(function: Callable[..., Any]) -> str | None:
    """Name of a captured iterator or random generator, which makes the order and number of calls matter; else None."""
    for name, value in captured(function).items():
        inside = vars(value) if name == "self" and hasattr(value, "__dict__") else {}
        for label, x in ((name, value), *((f"self.{k}", v) for k, v in inside.items())):
            if hasattr(x, "__next__") or isinstance(x, np.random.Generator | np.random.RandomState | random.Random):
                return label
    return None


def digest(function: Callable[..., Any]) -> str:
    """SHA-256 of a function's source and of the values it captured.

    Of modules, and of functions and classes from other packages, the name counts alone.
    """
    text = _text(function, _module(function).partition(".")[0], _DEPTH)
    if not (inspect.isroutine(function) or isinstance(function, functools.partial)):
        text += _source(type(function))
    return hashlib.sha256(text.encode()).hexdigest()


def _source(function: Any) -> str:
    try:
        return inspect.getsource(function)
    except (OSError, TypeError):
        code = getattr(function, "__code__", None)
        return "" if code is None else f"{code.co_code.hex()} {[c for c in code.co_consts if not inspect.iscode(c)]!r}"


def _text(value: Any, package: str, depth: int) -> str:
    """A text that is equal for equal values, in another process too."""
    kind = f"{type(value).__module__}.{type(value).__qualname__}"

    def inner(x: Any) -> str:
        return _text(x, package, depth - 1)

    if value is None or isinstance(value, bool | int | float | complex | str | bytes):
        return f"{kind} {value!r}"
    if isinstance(value, types.ModuleType):
        return f"module {value.__name__}"
    if depth == 0:
        return kind
    if isinstance(value, np.ndarray | np.generic | jax.Array):
        numbers = np.asarray(value)
        data = repr(numbers.tolist()).encode() if numbers.dtype == object else numbers.tobytes()
        return f"array {numbers.dtype} {numbers.shape} {hashlib.sha256(data).hexdigest()}"
    if isinstance(value, Mapping):
        return f"{kind} {{{', '.join(f'{inner(k)}: {inner(v)}' for k, v in value.items())}}}"
    if isinstance(value, list | tuple | range):
        return f"{kind} [{', '.join(map(inner, value))}]"
    if isinstance(value, set | frozenset):
        return f"{kind} [{', '.join(sorted(map(inner, value)))}]"
    if isinstance(value, functools.partial) or inspect.isroutine(value) or inspect.isclass(value):
        name = f"{_module(value)}.{name_of(value)}"
        if _module(value).partition(".")[0] != package or inspect.isbuiltin(value):
            return name
        inside = {} if inspect.isclass(value) else captured(value)
        parts = [f"{k}={inner(v)}" for k, v in sorted(inside.items()) if v is not value]
        return f"{name} {_source(getattr(value, 'func', value))} {parts}"
    if dataclasses.is_dataclass(value):
        return f"{kind} {[f'{f.name}={inner(getattr(value, f.name))}' for f in dataclasses.fields(value)]}"
    if hasattr(value, "__dict__"):
        return f"{kind} {[f'{k}={inner(v)}' for k, v in sorted(vars(value).items())]}"
    return kind

"""The propositions, found by looking at the files of this package."""

from __future__ import annotations

import importlib
import pkgutil
import re
from typing import Any

import proofs_check
from proofs_check.interface import Proposition

_ROW = re.compile(r"[pca]\d+(_\w+)?")


def propositions() -> dict[str, Proposition[Any]]:
    """Every proposition of the package by id, in the order p (main text), c (appendix C), a (additional).

    A row is a module named like ``p3_1_...``, ``c1_...`` or ``a1_...`` with a module-level ``PROPOSITION``.

    Raises:
        ValueError: if such a module has no PROPOSITION, or two share an id.
    """
    found: dict[str, Proposition[Any]] = {}
    modules = [info.name for info in pkgutil.iter_modules(proofs_check.__path__) if _ROW.fullmatch(info.name)]
    for name in sorted(modules, key=lambda name: ("pca".index(name[0]), [int(n) for n in re.findall(r"\d+", name)])):
        row = getattr(importlib.import_module(f"proofs_check.{name}"), "PROPOSITION", None)
        if not isinstance(row, Proposition):
            raise ValueError(f"module proofs_check.{name} holds no PROPOSITION")
        if row.id in found:
            raise ValueError(f"proposition {row.id} is defined twice, once in proofs_check.{name}")
        found[row.id] = row
    return found

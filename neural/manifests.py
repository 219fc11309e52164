"""Manifests: JSON files that vouch for other files by their SHA-256, and for themselves by a digest of their own."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from neural.runs import atomic


def file_facts(file: Path | str) -> dict[str, Any]:
    """What a manifest says of a file: {"sha256": hex digits, "bytes": its size}.

    Raises:
        FileNotFoundError: if there is no such file.
    """
    with Path(file).open("rb") as opened:
        return {"sha256": hashlib.file_digest(opened, "sha256").hexdigest(), "bytes": Path(file).stat().st_size}


def check_file(file: Path | str, stated: Mapping[str, Any]) -> None:
    """Require that a file is, to the bit, the one its manifest states.

    Raises:
        FileNotFoundError: if it is missing.
        ValueError: if its SHA-256 is another.
    """
    if not Path(file).is_file():
        raise FileNotFoundError(f"{file} is missing, though the manifest names it")
    found = file_facts(file)["sha256"]
    if found != stated["sha256"]:
        raise ValueError(f"{file} is damaged: its SHA-256 is {found}, the manifest has {stated['sha256']}")


def write_manifest(file: Path | str, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Write facts that JSON can hold, with their digest, and return them as they will be read."""
    plain = json.loads(json.dumps(facts))
    with atomic(file) as part:
        part.write_text(json.dumps({**plain, "sha256": _digest(plain)}, indent=1, sort_keys=True))
    return plain


def read_manifest(file: Path | str, format: str) -> dict[str, Any]:
    """The facts in a manifest, checked against their digest.

    Args:
        format: what its "format" must say.

    Raises:
        FileNotFoundError: if there is none.
        ValueError: if it is damaged or of another format.
    """
    if not Path(file).is_file():
        raise FileNotFoundError(f"{Path(file).parent} lacks {Path(file).name}: nothing whole is stored there")
    try:
        facts = json.loads(Path(file).read_text())
        stated = facts.pop("sha256")
    except (ValueError, KeyError, TypeError, AttributeError) as e:
        raise ValueError(f"{file} is damaged: it is no manifest ({e})") from e
    if _digest(facts) != stated:
        raise ValueError(f"{file} is damaged: what it says does not have the SHA-256 it states")
    if facts.get("format") != format:
        raise ValueError(f"{file} must be of format {format!r}, is {facts.get('format')!r}")
    return facts


def _digest(facts: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()

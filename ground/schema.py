"""Stored formats say how old they are; what a newer version of this software wrote is refused by name, not guessed at.

A file without a `schema_version` is from before there was one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

NEWER = "was written by a newer version of this software"
"""How every such refusal says it."""


def is_newer(fields: object, ours: int) -> bool:
    """Whether stored fields name a `schema_version` above the one that this version writes."""
    version = fields.get("schema_version") if isinstance(fields, Mapping) else None
    return isinstance(version, int | float) and version > ours


def is_newer_json(content: bytes, ours: int) -> bool:
    """The same of a JSON file, to be asked before its fields are validated; False for what is no JSON."""
    try:
        return is_newer(json.loads(content), ours)
    except (ValueError, RecursionError):
        return False

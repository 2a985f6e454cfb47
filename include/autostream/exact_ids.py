"""Ids in JSON, by one rule for commands and REST: beyond 2^53 - 1 they are texts. Pure.

JavaScript, and whatever reads JSON as it does, rounds greater numbers: the id of a snapshot would become that of none.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

MOST_EXACT: Final = 2**53 - 1
"""The greatest whole number that JavaScript can tell from its neighbours."""


def exact_id(value: int) -> int | str:
    """Return an id as JSON has it: a text if it is beyond 2^53 - 1, else a number."""
    return str(value) if abs(value) > MOST_EXACT else value


def is_id(key: str) -> bool:
    """Say whether what is under a key is an id, or a list of ids: `snapshot_id`, `equality_ids`."""
    return key in ("id", "ids") or key.endswith(("_id", "_ids"))


def with_exact_ids(value: Any, key: str = "") -> Any:
    """Return a document whose ids are as JSON has them. Other numbers stay numbers."""
    if isinstance(value, Mapping):
        return {name: with_exact_ids(item, name if isinstance(name, str) else "") for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [with_exact_ids(item, key) for item in value]
    return exact_id(value) if type(value) is int and is_id(key) else value

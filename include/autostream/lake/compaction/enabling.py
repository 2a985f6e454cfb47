"""Whether the hourly workflow compacts a table: one property of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from pyiceberg.table import Table

from autostream.catalogs.property_changes import Purpose, change_properties
from autostream.lake.compaction.compaction_options import ENABLED

_SETTING: Final = Purpose(what="properties", to_do="set", done="set", doing="Setting")


def is_enabled(properties: Mapping[str, str]) -> bool:
    """Say whether the properties of a table enable its compaction."""
    return properties.get(ENABLED, "false").strip().lower() == "true"


def set_enabled(table: Table, *, enabled: bool) -> bool:
    """Enable or disable the compaction of a table; return whether that changed anything.

    Args:
        table: As it was loaded; what it has become, on return.
        enabled: Whether the hourly workflow is to compact it.

    Raises:
        ConflictError: Other commits were faster at every attempt; nothing was changed.
        OutcomeUnknownError: Whether it was set could not be found out; setting it again is safe.
        UsageError: The table is gone.
        DeniedError: The catalog refused it.
    """
    commits: list[Mapping[str, str]] = []

    def decide(properties: Mapping[str, str]) -> Mapping[str, str]:
        return {} if is_enabled(properties) is enabled else {ENABLED: str(enabled).lower()}

    change_properties(table, decide, guarded_prefix=ENABLED, purpose=_SETTING, on_commit=commits.append)
    return bool(commits)

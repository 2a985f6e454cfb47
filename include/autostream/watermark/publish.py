"""Watermarks written into a table's properties: decided upon its newest state, and swapped only if that is still so."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Final

from pyiceberg.table import Table

from autostream.catalogs.property_changes import Purpose, change_properties
from autostream.iceberg.tables import full_name
from autostream.watermark.changes import WatermarkChange
from autostream.watermark.codec import PREFIX
from autostream.watermark.events import describe_event

_logger = logging.getLogger(__name__)

Decision = Callable[[Mapping[str, str]], WatermarkChange]
"""Says what has to change, given the properties that the table has: `advance` and its like, with their arguments."""

_RECORDING: Final = Purpose(what="watermarks", to_do="record", done="recorded", doing="Recording")


def publish(
    table: Table,
    decide: Decision,
    *,
    before_commit: Callable[[], None] = lambda: None,
) -> WatermarkChange:
    """Change a table's watermarks, and return what was changed: nothing where the table says it all already.

    Args:
        table: as it was loaded; what it has become, on return.
        decide: what has to change; asked again upon each state of the table.
        before_commit: called before each attempt; raises where this process may not publish any more.

    Raises:
        ConflictError: other commits were faster at every attempt; nothing was changed.
        OutcomeUnknownError: whether it was recorded could not be found out; recording it again is safe.
        UsageError: the table is gone.
        DeniedError: the catalog refused it.
    """
    name = full_name(table)
    decided = done = WatermarkChange()

    def changed(properties: Mapping[str, str]) -> Mapping[str, str]:
        nonlocal decided
        decided = decide(properties)
        return decided.changed

    def committed(_: Mapping[str, str]) -> None:
        nonlocal done
        for event in decided.events:
            _logger.info("%s: %s", name, describe_event(event))
        done = WatermarkChange({**done.changed, **decided.changed}, done.events + decided.events)

    change_properties(
        table, changed, guarded_prefix=PREFIX, purpose=_RECORDING, before_commit=before_commit, on_commit=committed
    )
    return done

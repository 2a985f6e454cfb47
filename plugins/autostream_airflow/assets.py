"""What the workflows announce, for other workflows to wait for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.sdk import Asset, AssetAlias, AssetWatcher

from autostream_airflow.triggers.windows import WatermarkWindowTrigger

if TYPE_CHECKING:
    from collections.abc import Sequence

COMPACTIONS = AssetAlias(name="autostream.compactions", group="autostream")
"""Every compaction of every table; a workflow scheduled by it runs after each run that compacted anything."""


def compaction_asset(table: str) -> Asset:
    """Return what has an event whenever the table was compacted.

    It is not the table itself: a compaction changes how rows are stored and never which rows there are, so who waits
    for the table's data must not be woken by it.

    Args:
        table: The table's full name, such as `lake.db.orders`.
    """
    return Asset(
        name=f"compaction:{table}", uri=f"autostream://compaction/{table.replace('.', '/')}", group="autostream"
    )


RELEASED_LOCKS = AssetAlias(name="autostream.released-locks", group="autostream")
"""Every stale Hive lock that was released; a workflow scheduled by it runs after each sweep that released any."""


def released_lock_asset(table: str) -> Asset:
    """Return what has an event whenever a stale lock of the table was released.

    Args:
        table: The table's full name, such as `lake.db.orders`.
    """
    return Asset(
        name=f"released-lock:{table}", uri=f"autostream://released-lock/{table.replace('.', '/')}", group="autostream"
    )


def table_hours_asset(table: str) -> Asset:
    """Return what has an event for each hour of event time that is complete in the table: a partition by its start.

    `watermark_publish` makes the events, of the tables in `watermark.publish_tables`. The key is the start of the hour
    in UTC, as `2026-11-23T01:00:00`.

    Args:
        table: The table's full name, such as `lake.db.orders`.
    """
    return Asset(name=f"hours:{table}", uri=f"autostream://hours/{table.replace('.', '/')}", group="autostream")


def table_watermark_asset(
    table: str, *, window: str = "hour", time_zone: str = "UTC", poll_seconds: float = 10.0
) -> Asset:
    """Return what has an event whenever the table completes a window: made by the triggerer, and without a partition.

    Args:
        table: The table's full name, such as `lake.db.orders`.
        window: `hour` or `day`.
        time_zone: Where days begin.
        poll_seconds: How often to look.
    """
    trigger = WatermarkWindowTrigger(table=table, window=window, time_zone=time_zone, poll_seconds=poll_seconds)
    name = f"watermark:{window}:{table}" if time_zone == "UTC" else f"watermark:{window}:{time_zone}:{table}"
    return Asset(
        name=name,
        uri=f"autostream://watermark/{name.removeprefix('watermark:').replace(':', '/').replace('.', '/')}",
        group="autostream",
        watchers=[AssetWatcher(name=name, trigger=trigger)],
    )


def published_tables() -> Sequence[str]:
    """Return the tables whose hours are published, `watermark.publish_tables`.

    It is read when a DAG is parsed, for Airflow has to know a workflow's assets by then. That reads `autostream.toml`
    where there is one, and nothing else.

    Raises:
        ConfigurationError: A value is wrong.
    """
    from autostream.config import load_settings

    return load_settings().watermark.publish_tables

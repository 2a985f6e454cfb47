"""What the workflows announce, for other workflows to wait for."""

from __future__ import annotations

from airflow.sdk import Asset, AssetAlias

COMPACTIONS = AssetAlias(name="autostream.compactions", group="autostream")
"""Every compaction of every table; a workflow scheduled by it runs after each run that compacted anything."""


def compaction_asset(table: str) -> Asset:
    """What has an event whenever the table was compacted.

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
    """What has an event whenever a stale lock of the table was released.

    Args:
        table: The table's full name, such as `lake.db.orders`.
    """
    return Asset(
        name=f"released-lock:{table}", uri=f"autostream://released-lock/{table.replace('.', '/')}", group="autostream"
    )

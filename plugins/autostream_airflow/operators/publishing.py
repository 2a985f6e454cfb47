"""Complete hours of tables, announced as partitions of assets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowFailException

from autostream import times
from autostream.errors import UsageError
from autostream.times import iso, parse_instant
from autostream.watermark.partitions import complete_windows, partition_key_of
from autostream.watermark.windows import WindowKind, window_at
from autostream_airflow.assets import table_hours_asset
from autostream_airflow.hooks.catalog import open_mark_reader
from autostream_airflow.operators.base import FAILED, JudgeOperator, Row, aligned, read_settings

if TYPE_CHECKING:
    from airflow.sdk import Asset
    from airflow.sdk.definitions.context import Context

    from autostream.config import WatermarkSettings
    from autostream.watermark.reading.mark_reader import MarkReader

_UNTIL = "published_until_ms"
_CURSOR = "autostream.published_until_ms"


class PublishHoursOperator(BaseOperator):
    """Announces the hours that tables have completed since the last time: once each, in order, without gaps.

    Where to go on is said by the last events of a table's own asset: Airflow stores them in the transaction that makes
    this task a success, so that what is announced and where to go on can never differ, wherever a run breaks off. The
    state store of the asset has a copy of what earlier runs announced, for the day when `airflow db clean` has removed
    the events, and where to begin with a table that has none yet.

    A run that one or several tables have caused looks at these only. It succeeds though tables cannot be read, as one
    does not block others, and because only a task that succeeds may announce anything.

    Args:
        tables: Full names of the tables.
        kwargs: What every operator takes.
    """

    def __init__(self, *, tables: Sequence[str], **kwargs: Any) -> None:
        assets = [table_hours_asset(table) for table in tables]
        super().__init__(inlets=assets, outlets=assets, **kwargs)
        self.tables = list(tables)

    def execute(self, context: Context) -> list[Row]:
        """Publish; return one row a table.

        Raises:
            AirflowFailException: The configuration is wrong.
        """
        settings = read_settings().watermark
        first_ms = _first_ms(settings)
        reader = open_mark_reader()
        rows = []
        announced: list[Asset] = []
        for table in self._concerned(context):
            row = self._publish(context, reader, table, first_ms=first_ms, limit=settings.publish_hours_per_run)
            rows.append(row)
            if row.get("hours"):
                announced.append(table_hours_asset(table))
                self.log.info("%s: %s", table, ", ".join(row["hours"]))
            elif row["status"] == FAILED:
                self.log.error("%s: %s", table, row["error"])
        # An outlet of which nothing was said would get an event without a partition.
        self.outlets = announced
        return rows

    def _concerned(self, context: Context) -> list[str]:
        """Return the tables whose watchers caused the run; all, where it was the time, or a person."""
        events = [event for found in (context.get("triggering_asset_events") or {}).values() for event in found]
        named = {((event.extra or {}).get("payload") or {}).get("table") for event in events}
        return [table for table in self.tables if table in named] or self.tables

    def _publish(
        self, context: Context, reader: MarkReader, table: str, *, first_ms: int | None, limit: int
    ) -> dict[str, Any]:
        reading = reader.read(table)
        if reading.mark is None:
            return {"table": table, "status": FAILED, "error": reading.problem}
        watermark_ms = reading.mark.watermark_ms
        if watermark_ms is None:
            return {"table": table, "status": "unknown", "watermark": None, "hours": []}
        asset, now_ms = table_hours_asset(table), times.now_ms()
        from_ms = self._from_ms(context, asset, first_ms, min(watermark_ms, now_ms), limit)
        windows = complete_windows(WindowKind.HOUR, from_ms, watermark_ms, now_ms=now_ms, limit=limit)
        keys = [partition_key_of(window, WindowKind.HOUR) for window in windows]
        if windows:
            event = context["outlet_events"][asset]
            event.extra = {"table": table, "watermark_ms": watermark_ms, _UNTIL: windows[-1].end_ms}
            event.add_partitions(keys)
            # Airflow keeps keys as a set, which would announce them in any order.
            event.partition_keys = dict.fromkeys(keys)  # type: ignore[assignment]
        return {
            "table": table,
            "status": "published" if keys else "nothing-new",
            "watermark": iso(watermark_ms),
            "hours": keys,
            "until": iso(windows[-1].end_ms if windows else from_ms),
        }

    def _from_ms(self, context: Context, asset: Asset, first_ms: int | None, present_ms: int, limit: int) -> int:
        """Where to go on."""
        events = context["inlet_events"][asset].ascending(False).limit(limit)
        store = context["asset_state_store"][asset]
        kept: Any = store.get(_CURSOR)
        known = [until for until in map(_until_ms, events) if until is not None]
        known += [int(kept)] if kept is not None else []
        start_ms = window_at(WindowKind.HOUR, present_ms if first_ms is None else first_ms).start_ms
        from_ms = max(known, default=start_ms)
        if kept != from_ms:
            store.set(_CURSOR, from_ms)
        return from_ms


class JudgePublicationsOperator(JudgeOperator):
    """Writes one line a table into its log, and fails the run when a table could not be read, naming it.

    Args:
        rows: What `PublishHoursOperator` returned.
    """

    nothing = "Nothing was published. See the log of the previous task."

    def lines(self) -> Iterator[str]:
        """Return the tables as a table of text, its header first; a single line where there are none."""
        cells = [("table", "status", "watermark", "hours", "published until", "error"), *map(_cells, self.rows)]
        return aligned(cells) if self.rows else iter(("No tables. Name tables in watermark.publish_tables.",))


def _cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    hours = str(len(row["hours"])) if row.get("hours") else ""
    watermark, until, error = (row.get(key) or "" for key in ("watermark", "until", "error"))
    return row["table"], row["status"], watermark, hours, until, error


def _first_ms(settings: WatermarkSettings) -> int | None:
    try:
        return parse_instant(settings.publish_from) if settings.publish_from.strip() else None
    except UsageError as error:
        raise AirflowFailException(f"watermark.publish_from: {error}") from error


def _until_ms(event: Any) -> int | None:
    """How far hours were announced, as one of our events says; one made by hand, for an hour to run again, does not."""
    until = (event.extra or {}).get(_UNTIL)
    return until if isinstance(until, int) else None

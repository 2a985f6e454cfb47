"""Metrics of tables, of their compactions and of the console itself, for Prometheus."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Final

from fastapi import APIRouter, Request, Response

from autostream.console.guard import READ
from autostream.console.problems import logged
from autostream.console.questions import OverviewOfTables
from autostream.console.table_rows import TableRow
from autostream.errors import AutostreamError
from autostream.lake.compaction.runs.log import CompactionCount, RunLog
from autostream.store.database import open_database
from autostream.times import now_ms

if TYPE_CHECKING:
    from prometheus_client import Metric

router = APIRouter(dependencies=[READ], include_in_schema=False)

METRICS: Final = {
    "autostream_table_data_files": "Data files of the newest snapshot.",
    "autostream_table_delete_files": "Delete files of the newest snapshot.",
    "autostream_table_small_files_ratio": "Estimated share of data files that compaction calls too small, 0 to 1.",
    "autostream_table_size_bytes": "Size of all data files and delete files.",
    "autostream_table_records": "Rows in data files, deletes not subtracted.",
    "autostream_table_changed_timestamp_seconds": "When the newest snapshot was made.",
    "autostream_table_watermark_timestamp_seconds": "Up to when the table is complete.",
    "autostream_table_watermark_lag_seconds": "How far the watermark is behind now.",
    "autostream_table_compaction_timestamp_seconds": "When the last recorded compaction ended.",
    "autostream_table_compaction_duration_seconds": "How long the last recorded compaction took.",
    "autostream_table_compaction_success": "Whether the last recorded compaction committed: 1 or 0.",
}
"""What is told of each table, with the label `table`; what is not known is left out."""
COUNTERS: Final[Mapping[str, tuple[str, Callable[[CompactionCount], float]]]] = {
    "autostream_compaction_runs_total": ("Compactions that were run.", lambda count: count.runs),
    "autostream_compaction_run_seconds_total": ("How long they took.", lambda count: count.duration_ms / 1000),
    "autostream_compaction_read_rows_total": ("Rows of the files that they merged.", lambda count: count.rows_read),
    "autostream_compaction_deleted_rows_total": (
        "How many of these rows were deleted ones.",
        lambda count: count.rows_deleted,
    ),
    "autostream_compaction_read_bytes_total": ("Size of the files that they merged.", lambda count: count.bytes_read),
    "autostream_compaction_written_bytes_total": (
        "Size of what they made of these files.",
        lambda count: count.bytes_written,
    ),
}
"""What is told of each table and status of compactions: what it is, and its value. They only grow, while the database
stays: the sums are kept when the record of single compactions is forgotten."""
CATALOG_UP: Final = "autostream_catalog_up"


@router.get("/metrics")
def metrics(request: Request, overview: OverviewOfTables) -> Response:
    """Tell what is known of all tables, and of the console, in the text format of Prometheus."""
    # Imported here, for it begins to measure this process, which nobody asks for.
    from prometheus_client import CollectorRegistry, Gauge
    from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

    registry, now = CollectorRegistry(auto_describe=False), now_ms()
    up = Gauge(CATALOG_UP, "Whether the catalog answers: 1 or 0.", ["catalog"], registry=registry)
    for look in overview.catalogs:
        up.labels(look.catalog).set(float(look.up))
    gauges = {name: Gauge(name, about, ["table"], registry=registry) for name, about in METRICS.items()}
    for row in overview.rows:
        for name, value in values(row, now).items():
            if value is not None:
                gauges[name].labels(row.name).set(value)
    registry.register(_Counters({row.name for row in overview.rows}))
    registry.register(request.app.state.request_metrics)
    return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)


class _Counters:
    """What was counted of the compactions of some tables; nothing where the database cannot be read."""

    def __init__(self, tables: Collection[str]) -> None:
        self._tables = tables

    def collect(self) -> Iterator[Metric]:
        from prometheus_client.core import CounterMetricFamily

        try:
            with open_database().read() as connection:
                counts = [count for count in RunLog(connection).counts() if count.table_name in self._tables]
        except AutostreamError:
            logged("The record of compactions cannot be read.")
            return
        for name, (about, value_of) in COUNTERS.items():
            family = CounterMetricFamily(name, about, labels=["table", "status"])
            for count in counts:
                family.add_metric([count.table_name, count.status], value_of(count))
            yield family


def values(row: TableRow, now_ms: int) -> dict[str, float | None]:
    """Return what is told of a table, by metric. Pure."""
    sizes, run, lag_ms = row.sizes, row.last_run, row.lag_ms(now_ms)
    told: dict[str, float | None] = {
        "autostream_table_data_files": sizes.data_files,
        "autostream_table_delete_files": sizes.delete_files,
        "autostream_table_small_files_ratio": sizes.small_files_ratio,
        "autostream_table_size_bytes": sizes.size_bytes,
        "autostream_table_records": sizes.records,
        "autostream_table_changed_timestamp_seconds": _seconds(sizes.changed_at_ms),
    }
    if lag_ms is not None:
        told["autostream_table_watermark_timestamp_seconds"] = _seconds(row.watermark_ms)
        told["autostream_table_watermark_lag_seconds"] = lag_ms / 1000
    if run:
        told["autostream_table_compaction_timestamp_seconds"] = run.ended_at_ms / 1000
        told["autostream_table_compaction_duration_seconds"] = run.seconds
        told["autostream_table_compaction_success"] = float(run.status == "committed")
    return told


def _seconds(ms: int | None) -> float | None:
    return None if ms is None else ms / 1000

"""Metrics of tables for Prometheus."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter, Response

from autostream.console.guard import READ
from autostream.console.questions import OverviewOfTables
from autostream.console.table_rows import TableRow
from autostream.times import now_ms

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
CATALOG_UP: Final = "autostream_catalog_up"


@router.get("/metrics")
def metrics(overview: OverviewOfTables) -> Response:
    """Tell what is known of all tables in the text format of Prometheus."""
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
    return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)


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

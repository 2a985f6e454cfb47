"""The rows of the record of compactions in the database."""

from __future__ import annotations

from sqlalchemy import BigInteger, Float, Identity, Index, Integer, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from autostream.store.rows import ROW_ID, RowBase


class CompactionRunRow(RowBase):
    """What one run did to one table. A table that a workflow cuts into parts has a row for each part."""

    __tablename__ = "autostream_compaction_run"
    __table_args__ = (
        Index("autostream_compaction_run_table", "table_name", "ended_at_ms"),
        Index("autostream_compaction_run_age", "ended_at_ms"),
    )

    id: Mapped[int] = mapped_column(ROW_ID, Identity(), primary_key=True)
    table_name: Mapped[str] = mapped_column(Text)
    by: Mapped[str] = mapped_column(Text)
    started_at_ms: Mapped[int] = mapped_column(BigInteger)
    ended_at_ms: Mapped[int] = mapped_column(BigInteger)
    status: Mapped[str] = mapped_column(String(16))
    error: Mapped[str] = mapped_column(Text)
    partitions: Mapped[int | None] = mapped_column(Integer)
    planned_snapshot_id: Mapped[int | None] = mapped_column(BigInteger)
    snapshot_id: Mapped[int | None] = mapped_column(BigInteger)
    data_files_before: Mapped[int | None] = mapped_column(BigInteger)
    data_files_after: Mapped[int | None] = mapped_column(BigInteger)
    delete_files_before: Mapped[int | None] = mapped_column(BigInteger)
    delete_files_after: Mapped[int | None] = mapped_column(BigInteger)
    bytes_before: Mapped[int | None] = mapped_column(BigInteger)
    bytes_after: Mapped[int | None] = mapped_column(BigInteger)
    rows_read: Mapped[int | None] = mapped_column(BigInteger)
    rows_deleted: Mapped[int | None] = mapped_column(BigInteger)
    bytes_read: Mapped[int | None] = mapped_column(BigInteger)
    bytes_written: Mapped[int | None] = mapped_column(BigInteger)
    plan_seconds: Mapped[float | None] = mapped_column(Float)
    rewrite_seconds: Mapped[float | None] = mapped_column(Float)
    commit_seconds: Mapped[float | None] = mapped_column(Float)
    peak_memory_bytes: Mapped[int | None] = mapped_column(BigInteger)


class CompactionCountRow(RowBase):
    """Sums over the runs on a table that had one status, those that are forgotten too: they only grow."""

    __tablename__ = "autostream_compaction_count"

    table_name: Mapped[str] = mapped_column(Text, primary_key=True)
    status: Mapped[str] = mapped_column(String(16), primary_key=True)
    runs: Mapped[int] = mapped_column(BigInteger)
    duration_ms: Mapped[int] = mapped_column(BigInteger)
    rows_read: Mapped[int] = mapped_column(BigInteger)
    rows_deleted: Mapped[int] = mapped_column(BigInteger)
    bytes_read: Mapped[int] = mapped_column(BigInteger)
    bytes_written: Mapped[int] = mapped_column(BigInteger)

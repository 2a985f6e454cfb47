"""The rows of the log of watermarks in the database."""

from __future__ import annotations

from sqlalchemy import BigInteger, Identity, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from autostream.store.rows import ROW_ID, RowBase


class WatermarkRow(RowBase):
    """One thing that happened to a watermark.

    `writer` is empty for the table's own. `generation_ms` is when the table was last set back before: the same
    watermark may be reached again after that, and is another fact. `fact` says which fact it is, so that one that is
    learned twice, from the recorder and from the table's metadata, is there once.
    """

    __tablename__ = "autostream_watermark_log"
    __table_args__ = (
        UniqueConstraint("table_uuid", "writer", "fact", name="autostream_watermark_log_fact"),
        Index("autostream_watermark_log_reached", "table_uuid", "writer", "watermark_ms", "recorded_at_ms"),
        Index("autostream_watermark_log_time", "table_uuid", "recorded_at_ms"),
        Index("autostream_watermark_log_age", "recorded_at_ms"),
    )

    id: Mapped[int] = mapped_column(ROW_ID, Identity(), primary_key=True)
    table_name: Mapped[str] = mapped_column(Text)
    table_uuid: Mapped[str] = mapped_column(String(36))
    writer: Mapped[str] = mapped_column(String(256))
    kind: Mapped[str] = mapped_column(String(16))
    watermark_ms: Mapped[int | None] = mapped_column(BigInteger)
    recorded_at_ms: Mapped[int] = mapped_column(BigInteger)
    generation_ms: Mapped[int] = mapped_column(BigInteger)
    fact: Mapped[str] = mapped_column(String(80))
    job_id: Mapped[str] = mapped_column(Text)
    checkpoint_id: Mapped[int | None] = mapped_column(BigInteger)
    snapshot_id: Mapped[int | None] = mapped_column(BigInteger)
    by: Mapped[str] = mapped_column(Text)
    note: Mapped[str] = mapped_column(Text)


class MetadataReadRow(RowBase):
    """A metadata file of a table whose watermarks are in the log, so that it need not be read again."""

    __tablename__ = "autostream_metadata_read"

    table_uuid: Mapped[str] = mapped_column(String(36), primary_key=True)
    file_name: Mapped[str] = mapped_column(String(255), primary_key=True)

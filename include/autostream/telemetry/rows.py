"""The rows of jobs and of their samples in the database."""

from __future__ import annotations

from sqlalchemy import BigInteger, Identity, Index, Integer, LargeBinary, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from autostream.store.rows import ROW_ID, RowBase


class FlinkJobRow(RowBase):
    """A job as last seen. `name_digest` stands for cluster and name, which are of any length."""

    __tablename__ = "autostream_flink_job"

    id: Mapped[int] = mapped_column(ROW_ID, Identity(), primary_key=True)
    name_digest: Mapped[str] = mapped_column(String(64), unique=True)
    cluster: Mapped[str] = mapped_column(Text)
    name: Mapped[str] = mapped_column(Text)
    job_id: Mapped[str] = mapped_column(Text)
    state: Mapped[str] = mapped_column(Text)
    team: Mapped[str | None] = mapped_column(Text)
    owner: Mapped[str | None] = mapped_column(Text)
    started_ms: Mapped[int] = mapped_column(BigInteger)
    seen_ms: Mapped[int] = mapped_column(BigInteger)
    settings: Mapped[str] = mapped_column(Text)
    rolled_up_to_ms: Mapped[int] = mapped_column(BigInteger)


class SampleOutlineRow(RowBase):
    """What blocks of samples have in common, as `blocks.Outline.to_text` writes it, and when it was last written."""

    __tablename__ = "autostream_flink_sample_outline"

    id: Mapped[int] = mapped_column(ROW_ID, Identity(), primary_key=True)
    digest: Mapped[str] = mapped_column(String(64), unique=True)
    outline: Mapped[str] = mapped_column(Text)
    used_ms: Mapped[int] = mapped_column(BigInteger)


class SampleBlockRow(RowBase):
    """Samples of one job: one as it was taken (`step_ms` 0), or those of a day, rolled up into steps of that length."""

    __tablename__ = "autostream_flink_sample"
    __table_args__ = (Index("autostream_flink_sample_age", "step_ms", "to_ms"), {"sqlite_with_rowid": False})

    job: Mapped[int] = mapped_column(ROW_ID, primary_key=True, autoincrement=False)
    step_ms: Mapped[int] = mapped_column(Integer, primary_key=True)
    to_ms: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    from_ms: Mapped[int] = mapped_column(BigInteger)
    outline: Mapped[int] = mapped_column(ROW_ID)
    numbers: Mapped[bytes] = mapped_column(LargeBinary)

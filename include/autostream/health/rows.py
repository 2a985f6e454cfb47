"""The rows of jobs' health: what was judged when, and which alerts are on."""

from __future__ import annotations

from sqlalchemy import BigInteger, Float, Identity, Index, Integer, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from autostream.store.rows import ROW_ID, RowBase


class JobHealthRow(RowBase):
    """A job's health at one time. Names of jobs can be longer than what a database keeps in an index."""

    __tablename__ = "autostream_job_health"
    __table_args__ = (
        Index("autostream_job_health_job", "name_digest", "at_ms"),
        Index("autostream_job_health_age", "at_ms"),
    )

    id: Mapped[int] = mapped_column(ROW_ID, Identity(), primary_key=True)
    name_digest: Mapped[str] = mapped_column(String(64))
    cluster: Mapped[str] = mapped_column(Text)
    name: Mapped[str] = mapped_column(Text)
    at_ms: Mapped[int] = mapped_column(BigInteger)
    team: Mapped[str | None] = mapped_column(Text)
    score: Mapped[int | None] = mapped_column(Integer)
    confidence: Mapped[float] = mapped_column(Float)
    findings: Mapped[str] = mapped_column(Text)
    parallelism: Mapped[int | None] = mapped_column(Integer)
    task_managers: Mapped[int | None] = mapped_column(Integer)
    cpu_cores: Mapped[float | None] = mapped_column(Float)
    memory_bytes: Mapped[int | None] = mapped_column(BigInteger)


class HealthAlertRow(RowBase):
    """What is remembered of an alert: a rule, a job, and the finding that it is about."""

    __tablename__ = "autostream_health_alert"
    __table_args__ = (Index("autostream_health_alert_age", "told_ms"),)

    name_digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    rule: Mapped[str] = mapped_column(String(64), primary_key=True)
    about: Mapped[str] = mapped_column(String(64), primary_key=True)
    job: Mapped[str] = mapped_column(Text)
    since_ms: Mapped[int | None] = mapped_column(BigInteger)
    told_ms: Mapped[int] = mapped_column(BigInteger)
    severity: Mapped[str] = mapped_column(String(16))

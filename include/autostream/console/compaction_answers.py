"""Compactions as REST answers them."""

from __future__ import annotations

from pydantic import BaseModel, Field

from autostream.console.exact_answers import AN_EXACT_ID, ExactId
from autostream.lake.compaction.runs.log import CompactionRun


class Compaction(BaseModel):
    """What a compaction did to a table; null: it is not known. Instants are there in ISO 8601 and as epoch ms."""

    table: str
    by: str = Field(description="Who ran it: `DAG.TASK RUN`, or an account and its machine.")
    started_at: str | None
    started_at_ms: int
    ended_at: str | None
    ended_at_ms: int
    status: str = Field(description="`committed`, `conflict`, `unknown` or `failed`.")
    error: str
    partitions: int | None = Field(description="How many partitions it was about; null: the whole table.")
    planned_snapshot_id: ExactId | None = Field(description=f"The snapshot that was planned upon. {AN_EXACT_ID}")
    snapshot_id: ExactId | None = Field(description=f"The snapshot that was committed. {AN_EXACT_ID}")
    data_files_before: int | None
    data_files_after: int | None
    delete_files_before: int | None
    delete_files_after: int | None
    bytes_before: int | None
    bytes_after: int | None
    rows_read: int | None
    rows_deleted: int | None
    bytes_read: int | None
    bytes_written: int | None
    plan_seconds: float | None
    rewrite_seconds: float | None
    commit_seconds: float | None
    peak_memory_bytes: int | None

    @classmethod
    def of(cls, run: CompactionRun) -> Compaction:
        """Return a run as it is answered."""
        return cls.model_validate(run.to_dict())

"""Flink jobs as REST answers them."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field

from autostream.console.job_rows import JobRow
from autostream.console.paging import Page
from autostream.console.resource_use import ResourceUse
from autostream.findings import Severity
from autostream.flink.job_settings import JobSettings
from autostream.times import iso


class JobFindingId(BaseModel):
    """What was found."""

    id: str = Field(description="What kind of finding it is.")
    severity: Severity
    deduction: float = Field(description="The points of the score that it costs.")


class Use(BaseModel):
    """What is used of what is allotted, by the last sample; null: it is not known."""

    cpu_cores_used: float | None
    cpu_cores: float | None
    memory_used_bytes: int | None = Field(
        description="Heap, managed memory, metaspace and direct memory in use, as far as they are known."
    )
    memory_bytes: int | None = Field(description="Process memory: these pools and the JVM's own.")
    slots_used: int | None
    slots: int | None = Field(description="Slots of its task managers that are its own or idle.")

    @classmethod
    def of(cls, use: ResourceUse) -> Use:
        """Return it as it is answered."""
        return cls.model_validate(use, from_attributes=True)


class JobItem(BaseModel):
    """What is known of a job; null: it is not known. Instants are there in ISO 8601 and as epoch ms."""

    job: str = Field(description="`CLUSTER/NAME`.")
    cluster: str
    name: str
    job_id: str = Field(description="Its present life, as Flink calls it.")
    team: str | None = Field(description="Null: it has none.")
    owner: str | None
    state: str = Field(description="As Flink has it; `GONE`: its cluster does not know it any more.")
    started: str | None = Field(description="When this life began.")
    started_ms: int
    seen: str | None = Field(description="When it was last seen.")
    seen_ms: int
    score: int | None = Field(description="From 0 to 100. Null: it was not judged lately, or nothing was measured.")
    confidence: float | None = Field(description="How much of what should be known is: from 0 to 1.")
    findings: list[JobFindingId] = Field(description="The dearest first; `GET /api/jobs/health` says more.")
    use: Use
    pending_records: float | None = Field(description="Records that its sources have not read yet.")
    lag_seconds: float | None = Field(description="How far its sources are behind.")

    @classmethod
    def of(cls, row: JobRow) -> JobItem:
        """Return a job of the list."""
        listed, health = row.listed, row.health
        return cls(
            job=row.name,
            cluster=listed.job.cluster,
            name=listed.job.name,
            job_id=listed.job_id,
            team=listed.team,
            owner=listed.owner,
            state=listed.state,
            started=iso(listed.started_ms),
            started_ms=listed.started_ms,
            seen=iso(listed.seen_ms),
            seen_ms=listed.seen_ms,
            score=row.score,
            confidence=health.confidence if health else None,
            findings=[
                JobFindingId(id=name, severity=severity, deduction=health.deductions[name])
                for name, severity in row.findings
                if health
            ],
            use=Use.of(row.use),
            pending_records=row.figures.get("pending_records"),
            lag_seconds=row.lag_seconds,
        )


class JobPage(Page[JobItem]):
    """A part of the list of jobs."""

    total: int = Field(description="How many jobs were asked for.")


class Freed(BaseModel):
    """What a change gives back."""

    cpu_cores: float
    memory_bytes: int


class JobFindingItem(JobFindingId):
    """What was found of a job, and what to do about it."""

    figures: dict[str, float] = Field(description="What it was concluded from.")
    reason: str
    fix: str
    proposal: dict[str, Any] = Field(description="What to set, by name; empty where nothing has another size.")
    frees: Freed


class JobHealthAnswer(BaseModel):
    """How a job is by its last samples; null: it is not known."""

    job: str
    job_id: str
    team: str | None
    owner: str | None
    state: str
    score: int | None
    confidence: float
    unknown: str = Field(description="Why there is no score, or why it is not sure; empty where all is known.")
    window_seconds: int
    findings: list[JobFindingItem]
    current: dict[str, Any] | None = Field(description="What it has.")
    proposed: dict[str, Any] | None = Field(description="What it should have.")
    trend: str | None = Field(description="Which way the score goes over a week: `rising`, `falling` or `steady`.")
    since_yesterday: dict[str, Any] | None = Field(description="What has changed since a day ago.")


class JobSettingsAnswer(BaseModel):
    """How a job is set up, as it was last read from its cluster; secrets among its parameters are masked."""

    job: str
    job_id: str
    settings: JobSettings


class VertexId(BaseModel):
    """One vertex of a job."""

    id: str
    name: str


class SampleItem(BaseModel):
    """The figures of one interval."""

    from_: str | None = Field(alias="from", description="When it began.")
    from_ms: int
    at: str | None = Field(description="When it ended.")
    at_ms: int
    job_id: str
    state: str
    shared: bool = Field(description="Whether its task managers run other jobs too.")
    figures: dict[str, float] = Field(description="What is not known is not there.")
    largest: dict[str, float] = Field(description="The largest sample, where these are several rolled up.")


class JobMetricsPage(BaseModel):
    """Figures of a job over time, the oldest first."""

    job: str
    job_id: str | None
    state: str | None
    team: str | None
    since: str | None
    since_ms: int
    until: str | None
    until_ms: int
    vertex: VertexId | None = Field(description="Whose figures these are; null: the job's.")
    vertices: list[VertexId]
    missing: dict[str, str] = Field(description="Why figures are not there, as last told.")
    samples: list[SampleItem]
    next_cursor: str | None = Field(description="Send it as `cursor` for the next part; null: this is the last.")

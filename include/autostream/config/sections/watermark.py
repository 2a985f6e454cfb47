"""The section `watermark`: how watermarks are recorded, and read where nobody records them."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field

from autostream.config.sections.base import ListedSection, NameList, RegularExpression, Section, parse_list


class WriterRule(ListedSection):
    """Which Flink jobs write to which table, and under which name."""

    job: RegularExpression = Field(
        examples=["ingest-(?P<table>.+)"], description="Regular expression for the whole name of the job."
    )
    table: str = Field(
        examples=["lake.db.{table}"],
        description=(
            "The table that the job writes to: CATALOG.NAMESPACE.TABLE. {NAME} stands for a named group of `job`."
        ),
    )
    writer: str = Field(default="{job}", description="Name of the writer. {job} stands for the name of the job.")
    operator: RegularExpression = Field(
        default="",
        description=(
            "Regular expression for a part of the name of the sink's operator. Needed for a job that writes to "
            "several tables."
        ),
    )
    ends_forever: bool = Field(
        default=False,
        description=(
            "When a job finishes, this writer has written all its data. The table no longer waits for it, until a "
            "new run of the writer starts."
        ),
    )


class WatermarkSettings(Section):
    """How watermarks are recorded in tables, and read where nobody records them."""

    flink_clusters: NameList = Field(
        default=(),
        description=(
            "Names of the Flink clusters whose jobs are recorded. Empty: all of `flink.clusters`. In the "
            "environment: separated by commas."
        ),
    )
    writers: Annotated[tuple[WriterRule, ...], BeforeValidator(parse_list)] = Field(
        default=(),
        description=(
            "Which jobs write to which tables: [[watermark.writers]] with `job`, `table`, `writer`, `operator` and "
            "`ends_forever`. Instead, a job can name its table in its parameter autostream.watermark.table. In the "
            "environment: a JSON list."
        ),
    )
    interval_seconds: float = Field(
        default=60.0,
        gt=0,
        le=86400,
        description=(
            "Shortest time between two commits of watermarks to a table. Each such commit can delay the table's "
            "writers."
        ),
    )
    poll_seconds: float = Field(
        default=5.0, gt=0, le=3600, description="How often the recorder checks a table for new commits."
    )
    trigger_checkpoints: bool = Field(
        default=False,
        description=(
            "Ask Flink for a checkpoint after each reading of a watermark, instead of waiting for its next one."
        ),
    )
    retire_after_seconds: float = Field(
        default=0.0,
        ge=0,
        description=(
            "A writer whose watermark has not advanced for this long is retired: its table no longer waits for it. "
            "0: never, because an outage of the writer looks the same."
        ),
    )
    max_ahead_seconds: float = Field(
        default=600.0,
        ge=0,
        description=(
            "A watermark further ahead of now than this is not accepted: `watermark set` refuses it without --force, "
            "the recorder does not record it, and a derived watermark does not count."
        ),
    )
    late_after_seconds: float = Field(
        default=3600.0,
        ge=0,
        description="A table whose watermark is this far behind now is late. The recorder tells the targets of "
        "`notify` that it is, and that it has caught up. 0: never.",
    )
    concurrency: int = Field(
        default=8, ge=1, le=64, description=("The most requests to Flink and to catalogs at the same time.")
    )
    property_keys: NameList = Field(
        default=(),
        description=(
            "Table properties in which other tools keep watermarks, such as Amoro's watermark.table, or one property "
            "for each region. Values: epoch ms, or ISO 8601 with offset. A table that has one of them needs all of "
            "them. The lowest value counts."
        ),
    )
    summary_keys: NameList = Field(
        default=(),
        description=(
            "Keys of snapshot summaries that hold watermarks. Kafka Connect's kafka.connect.valid-through-ts is "
            "always read. A table that has one of them needs all of them. The lowest value counts."
        ),
    )
    publish_tables: NameList = Field(
        default=(),
        description=(
            "Tables for which the workflow `watermark_publish` creates an asset event for each complete hour. In the "
            "environment: separated by commas."
        ),
    )
    publish_from: str = Field(
        default="",
        description=(
            "The first hour that is published for a new table, such as 2026-11-23T00:00Z. Empty: the hour that "
            "contains the table's watermark at that time."
        ),
    )
    publish_hours_per_run: int = Field(
        default=48,
        ge=1,
        le=1000,
        description=("The most hours of a table that one run publishes. The next run continues."),
    )

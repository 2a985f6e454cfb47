"""The section `watermark`: how watermarks are recorded, and read where nobody records them."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import BeforeValidator, Field, field_validator

from autostream.config.sections.base import ListedSection, NameList, Section, parse_list


class WriterRule(ListedSection):
    """Which Flink jobs write to which table, and under which name."""

    job: str = Field(examples=["ingest-(?P<table>.+)"], description="Regular expression for the whole name of the job.")
    table: str = Field(
        examples=["lake.db.{table}"],
        description="CATALOG.NAMESPACE.TABLE; {NAME} stands for a named group of `job`.",
    )
    writer: str = Field(default="{job}", description="Name of the writer; {job} stands for the job's name.")
    operator: str = Field(
        default="",
        description="Regular expression found in the name of the sink's operator; for a job that writes to several "
        "tables.",
    )
    ends_forever: bool = Field(
        default=False,
        description="A job that ends by itself has written all that this writer ever will: the table is complete for "
        "ever, until a new run of the writer takes that back.",
    )

    @field_validator("job", "operator")
    @classmethod
    def _compiles(cls, pattern: str) -> str:
        try:
            re.compile(pattern)
        except re.error as error:
            raise ValueError(f"{pattern!r} is not a regular expression: {error}") from error
        return pattern


class WatermarkSettings(Section):
    """How watermarks are recorded in tables, and read where nobody records them."""

    flink_clusters: NameList = Field(
        default=(),
        description="Names of the Flink clusters whose jobs are recorded; empty: all of `flink.clusters`. In the "
        "environment: separated by commas.",
    )
    writers: Annotated[tuple[WriterRule, ...], BeforeValidator(parse_list)] = Field(
        default=(),
        description="Which jobs write to which tables: [[watermark.writers]] with `job`, `table`, `writer`, `operator` "
        "and `ends_forever`. A job can say it itself, by its parameter autostream.watermark.table. In the environment: "
        "a JSON list.",
    )
    interval_seconds: float = Field(
        default=60.0,
        gt=0,
        le=86400,
        description="A table gets at most one commit of watermarks in this time: each is in the way of its writers.",
    )
    poll_seconds: float = Field(
        default=5.0, gt=0, le=3600, description="How often the recorder looks whether a table has new commits."
    )
    trigger_checkpoints: bool = Field(
        default=False,
        description="Have Flink make a checkpoint after each reading of a watermark instead of awaiting its next one.",
    )
    retire_after_seconds: float = Field(
        default=0.0,
        ge=0,
        description="A writer whose watermark has not advanced for this long is retired: its table no longer waits for "
        "it. 0: never, since an outage of the writer looks the same.",
    )
    max_ahead_seconds: float = Field(
        default=600.0,
        ge=0,
        description="A watermark further ahead of now than this is not believed: `watermark set` refuses it without "
        "--force, the recorder does not record it, and what is derived does not count.",
    )
    concurrency: int = Field(default=8, ge=1, le=64, description="Requests to Flink and to catalogs at a time.")
    property_keys: NameList = Field(
        default=(),
        description="Table properties in which other tools keep watermarks, such as Amoro's watermark.table or one a "
        "region: epoch ms, or ISO 8601 with offset. A table that has any needs all; the lowest counts.",
    )
    summary_keys: NameList = Field(
        default=(),
        description="Keys of snapshot summaries with watermarks, beside Kafka Connect's "
        "kafka.connect.valid-through-ts, which is always understood. A table that has any needs all; the lowest "
        "counts.",
    )
    publish_tables: NameList = Field(
        default=(),
        description="Tables whose complete hours the workflow `watermark_publish` makes asset events of. In the "
        "environment: separated by commas.",
    )
    publish_from: str = Field(
        default="",
        description="The first hour that is published of a table that is new to it, such as 2026-11-23T00:00Z; empty: "
        "the hour that the table's watermark is in by then.",
    )
    publish_hours_per_run: int = Field(
        default=48, ge=1, le=1000, description="The most hours of a table that one run publishes; the next goes on."
    )

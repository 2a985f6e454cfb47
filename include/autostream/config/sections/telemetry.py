"""The section `telemetry`: how often Flink jobs are looked at, and for how long their figures are kept."""

from __future__ import annotations

from pydantic import Field, model_validator

from autostream.config.sections.base import NameList, Section


class TelemetrySettings(Section):
    """How often `autostream flink watch` looks at Flink jobs, and for how long their figures are kept."""

    interval_seconds: int = Field(
        default=60,
        ge=10,
        le=900,
        description="How often each cluster is looked at. Flink collects metrics every 10 s at most by default.",
    )
    flink_clusters: NameList = Field(
        default=(),
        description=(
            "Names of the Flink clusters that are looked at. Empty: all of `flink.clusters`. In the environment: "
            "separated by commas."
        ),
    )
    concurrency: int = Field(default=4, ge=1, le=32, description="How many requests to one cluster are open at once.")
    keep_samples_days: int = Field(
        default=2,
        ge=1,
        le=31,
        description=(
            "How long samples are kept as they were taken: this many days before today (UTC). Older days are kept in "
            "steps of 15 minutes."
        ),
    )
    keep_days: int = Field(
        default=90,
        ge=2,
        le=3650,
        description="How long the 15-minute steps are kept: this many days before today (UTC).",
    )

    @model_validator(mode="after")
    def _keeps_steps_longer(self) -> TelemetrySettings:
        if self.keep_days < self.keep_samples_days:
            raise ValueError(
                f"keep_days is {self.keep_days}, less than keep_samples_days ({self.keep_samples_days}): the 15-minute "
                "steps are kept longer than the samples that they are made of"
            )
        return self

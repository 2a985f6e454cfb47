"""The section `telemetry`: how often Flink jobs are looked at, and for how long their figures are kept."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from autostream.config.sections.base import ListedSection, NamedSection, NameList, Section, parse_list
from autostream.config.sections.endpoint import Endpoint


class PrometheusSettings(Endpoint, NamedSection):
    """One Prometheus server that has the metrics of Flink jobs, as Flink's own reporter names them or otherwise."""

    name: str = Field(
        examples=["prod"],
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$",
        description=(
            "The name of the server, and of the cluster whose jobs it has: a job is called NAME/JOB. The cluster is "
            "another one than those in `flink.clusters` that are looked at."
        ),
    )
    job_label: str = Field(default="job_name", description="The label that holds the name of a job.")
    job_id_label: str = Field(default="job_id", description="The label that holds its id.")
    vertex_label: str = Field(default="task_id", description="The label that holds the id of a vertex.")
    vertex_name_label: str = Field(default="task_name", description="The label that holds the name of a vertex.")
    process_label: str = Field(default="tm_id", description="The label that holds the id of a task manager.")
    selector: str = Field(
        default="",
        examples=['env="prod"'],
        description='What all metrics are chosen by, such as env="prod". It stands for $selector in queries.',
    )


class FigureQuery(ListedSection):
    """A query for one figure, where a company's metrics have other names than Flink's reporter gives them."""

    figure: str = Field(examples=["cpu_cores_used"], description="The name of the figure; docs/metrics.md has them.")
    of: Literal["job", "vertex"] = Field(default="job", description="Whether it is a figure of a job or of a vertex.")
    query: str = Field(
        examples=["sum by ($job) (rate(process_cpu_seconds{$selector}[$window]))"],
        description=(
            "PromQL that returns one value for each job, or vertex. $job and $vertex stand for the labels that name "
            "it, $process for that of a task manager, $window for the interval. Empty: the figure is not asked for."
        ),
    )


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

    prometheus: Annotated[tuple[PrometheusSettings, ...], BeforeValidator(parse_list)] = Field(
        default=(),
        description=(
            "Prometheus servers to read figures from, beside the clusters of `flink.clusters`. Write "
            "`[[telemetry.prometheus]]` once for each. In the environment: one variable for each key, such as "
            "AUTOSTREAM_TELEMETRY__PROMETHEUS__PROD__URL for the server `prod`, or all of them as a JSON list."
        ),
    )
    queries: Annotated[tuple[FigureQuery, ...], BeforeValidator(parse_list)] = Field(
        default=(),
        description=(
            "Queries for Prometheus that replace those for metrics as Flink's own reporter names them. Write "
            "`[[telemetry.queries]]` once for each figure. In the environment: a JSON list."
        ),
    )

    @field_validator("prometheus")
    @classmethod
    def _differ_by_name(cls, servers: tuple[PrometheusSettings, ...]) -> tuple[PrometheusSettings, ...]:
        names = [server.name for server in servers]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"{names.count(name)} servers have the name {name}: give each server its own name")
        return servers

    @model_validator(mode="after")
    def _keeps_steps_longer(self) -> TelemetrySettings:
        if self.keep_days < self.keep_samples_days:
            raise ValueError(
                f"keep_days is {self.keep_days}, less than keep_samples_days ({self.keep_samples_days}): the 15-minute "
                "steps are kept longer than the samples that they are made of"
            )
        return self

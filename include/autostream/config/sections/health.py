"""The section `health`: how Flink jobs are judged, and when people are told."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from autostream.config.sections.base import ListedSection, NameList, Section, parse_list


class LadderRule(ListedSection):
    """What a measured value costs a job, other than by default."""

    name: str = Field(examples=["gc-high"], description="Which ladder, by its name in docs/health.md.")
    rungs: tuple[float, ...] = Field(
        default=(),
        max_length=10,
        description="Thresholds, from the harmless end; none: those of the default.",
    )
    weight: float = Field(
        examples=[24.0],
        ge=0,
        le=100,
        description="The points of 100 that a value beyond the last rung costs. 0: the ladder does not count.",
    )


class UtilisationRule(ListedSection):
    """When a job counts as one of low utilisation."""

    name: str = Field(examples=["low-cpu"], pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", description="What it is called.")
    resource: Literal["cpu", "memory", "slots"] = Field(
        examples=["cpu"],
        description="What is used of what is allotted: `cpu` (cores), `memory` (heap and managed memory), `slots`.",
    )
    below: float = Field(examples=[0.1], gt=0, le=1, description="The share in use below which it is low.")
    window_seconds: int = Field(default=604_800, ge=60, description="Over how long.")
    least_coverage: float = Field(
        default=0.5,
        gt=0,
        le=1,
        description="The share of the window that has to be measured; with less nothing is known.",
    )


class AlertRule(ListedSection):
    """When people are told of a job's health."""

    name: str = Field(
        examples=["unwell"], pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=64, description="What it is called."
    )
    when: Literal["score-below", "falling-by", "finding"] = Field(
        examples=["score-below"],
        description="`score-below`: the score is below `value`; `falling-by`: it is lower by `value` or more than "
        "`within_seconds` ago; `finding`: there is a finding of `severity` or worse.",
    )
    value: float = Field(default=60, ge=0, le=100, description="Points, see `when`.")
    within_seconds: int = Field(default=86_400, ge=900, description="See `when`.")
    severity: Literal["error", "warning", "info"] = Field(default="error", description="See `when`.")
    margin: float = Field(
        default=10,
        ge=0,
        le=100,
        description="By how many points a score has to be better than `value` for the alert to end: one that moves "
        "around it is told of once.",
    )
    least_confidence: float = Field(default=0.5, ge=0, le=1, description="Scores of less confidence end no alert.")
    silence_seconds: int = Field(
        default=21_600,
        ge=0,
        description="After an alert of a job nothing more is told of it by this rule for this long.",
    )
    teams: NameList = Field(default=(), description="Whose jobs; empty: all.")


class HealthSettings(Section):
    """How Flink jobs are judged, and when people are told."""

    window_seconds: int = Field(default=600, ge=60, le=86_400, description="Over how long a job is judged.")
    stale_after_seconds: int = Field(
        default=300, ge=10, description="A job whose last sample is older than this is not judged."
    )
    ladders: Annotated[tuple[LadderRule, ...], BeforeValidator(parse_list)] = Field(
        default=(),
        description="What measured values cost: [[health.ladders]] with `name`, `rungs` and `weight`, of those that "
        "differ from the default. In the environment: a JSON list.",
    )
    low_utilisation: Annotated[tuple[UtilisationRule, ...], BeforeValidator(parse_list)] = Field(
        default=(),
        description="Which jobs use too little of what they are allotted: [[health.low_utilisation]]. None: "
        "the rules low-cpu, low-memory and idle-slots of docs/health.md. In the environment: a JSON list.",
    )
    alerts: Annotated[tuple[AlertRule, ...], BeforeValidator(parse_list)] = Field(
        default=(),
        description="When people are told: [[health.alerts]]. None: the rules score-low, score-falling and "
        "error of docs/health.md. In the environment: a JSON list.",
    )
    history_days: int = Field(default=90, ge=1, description="How long scores and findings are kept.")

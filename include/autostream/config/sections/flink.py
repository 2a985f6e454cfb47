"""The section `flink`: the Flink clusters, each of which is named once; everything else refers to them by name."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field, field_validator

from autostream.config.sections.base import NamedSection, Section, parse_list
from autostream.config.sections.endpoint import Endpoint


class FlinkClusterSettings(Endpoint, NamedSection):
    """One Flink cluster: its name, the REST addresses of its job managers, and how to log in there."""


class FlinkSettings(Section):
    """The Flink clusters whose jobs write the tables."""

    clusters: Annotated[tuple[FlinkClusterSettings, ...], BeforeValidator(parse_list)] = Field(
        default=(),
        description=(
            "The Flink clusters. Write `[[flink.clusters]]` once for each. In the environment: one variable for each "
            "key, such as AUTOSTREAM_FLINK__CLUSTERS__PROD__TOKEN for the cluster `prod`, or all clusters as a JSON "
            "list."
        ),
    )

    @field_validator("clusters")
    @classmethod
    def _are_named_differently(cls, clusters: tuple[FlinkClusterSettings, ...]) -> tuple[FlinkClusterSettings, ...]:
        names = [cluster.name for cluster in clusters]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"{names.count(name)} clusters have the name {name}: give each cluster its own name")
        return clusters

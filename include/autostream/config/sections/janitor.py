"""The section `janitor`: how stale Hive locks are told from live ones."""

from __future__ import annotations

from pydantic import Field

from autostream.config.sections.base import NameList, Section


class JanitorSettings(Section):
    """How stale Hive locks are told from live ones."""

    catalogs: NameList = Field(
        default=(),
        description="Names of the Hive catalogs whose locks are looked through; empty: every Hive catalog that "
        "PyIceberg's own configuration names. In the environment: separated by commas.",
    )
    flink_clusters: NameList = Field(
        default=(),
        description="Names of the Flink clusters that write the tables: they are asked whether the job that may hold a "
        "lock still runs; empty: all of `flink.clusters`. In the environment: separated by commas.",
    )
    stale_after_seconds: int = Field(
        default=600,
        ge=1,
        description="A lock is looked into when the metastore has not heard of its holder for this long. Iceberg's "
        "writers send a heartbeat every 240 s: keep it above.",
    )
    record_file: str = Field(
        default="", description="File to which each released lock is appended, a JSON line; empty: only the log has it."
    )

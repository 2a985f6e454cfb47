"""The section `janitor`: how stale Hive locks are told from live ones."""

from __future__ import annotations

from pydantic import Field

from autostream.config.sections.base import NameList, Section


class JanitorSettings(Section):
    """How stale Hive locks are told from live ones."""

    catalogs: NameList = Field(
        default=(),
        description=(
            "Names of the Hive catalogs whose locks are checked. Empty: every Hive catalog in PyIceberg's own "
            "configuration. In the environment: separated by commas."
        ),
    )
    flink_clusters: NameList = Field(
        default=(),
        description=(
            "Names of the Flink clusters that write the tables. They are asked whether the job that holds a lock "
            "still runs. Empty: all of `flink.clusters`. In the environment: separated by commas."
        ),
    )
    stale_after_seconds: int = Field(
        default=600,
        ge=1,
        description=(
            "A lock is checked when its holder has sent no heartbeat to the metastore for this long. Iceberg's "
            "writers send one every 240 s: keep this setting above that."
        ),
    )
    record_file: str = Field(
        default="",
        description=(
            "File that gets a line of JSON for each released lock. Empty: released locks are only in the log."
        ),
    )

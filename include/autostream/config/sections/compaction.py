"""The section `compaction`: how the hourly workflow shares out its work."""

from __future__ import annotations

from pydantic import Field

from autostream.config.sections.base import NameList, Section
from autostream.sizes import GIB


class CompactionSettings(Section):
    """How the hourly compaction workflow shares out its work. Tables choose themselves what is done to them."""

    catalogs: NameList = Field(
        default=(),
        description=(
            "Names of the catalogs whose tables are compacted. Empty: every catalog in PyIceberg's own "
            "configuration. In the environment: separated by commas."
        ),
    )
    batch_size_bytes: int = Field(
        default=GIB,
        ge=1,
        description="Tables share a work item until the files to rewrite in it reach this size.",
    )
    split_size_bytes: int = Field(
        default=20 * GIB,
        ge=1,
        description="A table with more data to rewrite than this is split by partition into several work items.",
    )
    max_work_items: int = Field(
        default=256,
        ge=1,
        le=1024,
        description=(
            "The largest number of work items in one run. Airflow's `core.max_map_length` (1024) is the upper bound."
        ),
    )
    table_timeout_seconds: int = Field(
        default=3000,
        ge=1,
        description=(
            "Compaction of a table stops after this time. The run goes on with the other tables, and fails at its end."
        ),
    )

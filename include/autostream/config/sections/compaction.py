"""The section `compaction`: how the hourly workflow shares out its work."""

from __future__ import annotations

from pydantic import Field

from autostream.config.sections.base import NameList, Section
from autostream.sizes import GIB


class CompactionSettings(Section):
    """How the hourly compaction workflow shares out its work. Tables choose themselves what is done to them."""

    catalogs: NameList = Field(
        default=(),
        description="Names of the catalogs whose tables are looked through; empty: every catalog that PyIceberg's own "
        "configuration names. In the environment: separated by commas.",
    )
    batch_size_bytes: int = Field(
        default=GIB,
        ge=1,
        description="Tables are put into one work item until their files to be rewritten reach this size.",
    )
    split_size_bytes: int = Field(
        default=20 * GIB,
        ge=1,
        description="A table with more than this to rewrite is split by partition into several work items.",
    )
    max_work_items: int = Field(
        default=256,
        ge=1,
        le=1024,
        description="The most work items of one run; Airflow's `core.max_map_length` (1024) is the upper bound.",
    )
    table_timeout_seconds: int = Field(
        default=3000, ge=1, description="A table that takes longer is given up, and fails the run at its end."
    )

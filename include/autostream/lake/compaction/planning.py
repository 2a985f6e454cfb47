"""Planning the compaction of a table, from its metadata alone: the engine is not loaded."""

from __future__ import annotations

from collections.abc import Collection

from pyiceberg.table import Table

from autostream.iceberg.manifests import ManifestReader
from autostream.iceberg.state import read_state
from autostream.lake.compaction.compaction_options import CompactionOptions
from autostream.lake.compaction.compaction_plan import CompactionPlan, plan
from autostream.lake.engine.where.expression import parse_where, partition_may_match, require_partition_columns


def plan_compaction(
    table: Table,
    *,
    options: CompactionOptions,
    where: str | None = None,
    partitions: Collection[str] | None = None,
    name: str = "",
    reader: ManifestReader | None = None,
    only_to_show: bool = False,
) -> CompactionPlan:
    """Plan the compaction of a table's current snapshot; only metadata is read.

    Args:
        table: the table.
        options: thresholds.
        where: expression on partition columns that limits the plan.
        partitions: names of partitions, as plans show them, that limit it.
        name: the table's name for messages.
        reader: reads manifests; give the one that the commit will use, so that nothing is read twice.
        only_to_show: return an empty plan of a table that contradicts itself, instead of refusing it.

    Raises:
        InconsistentTableError: the table contradicts itself.
        UsageError: `where` does not fit the table.
        UnsupportedTableError: the table is of format version 3, or holds deletion vectors.
        DataError: a manifest is damaged.
    """
    state = read_state(table, reader=reader, name=name, only_to_show=only_to_show)
    if state.contradictions:
        return CompactionPlan(state, options, (), (), {})
    expression = parse_where(where, schema=state.metadata.schema(), specs=state.metadata.specs().values())
    require_partition_columns(expression, state.metadata)
    return plan(state, options, matches=partition_may_match(expression, state.metadata), partitions=partitions)

"""What workers are asked to do for the compaction of many tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from autostream.actions import CatalogAction, TableAction, Workbench

if TYPE_CHECKING:
    from autostream.lake.compaction.compaction_steps import CompactionStep

PartitionSize = tuple[str, int, int]
"""A partition that needs compaction: its key, and the bytes and files to rewrite."""


class ListTables(CatalogAction[list[str]]):
    """Name all tables of a catalog."""

    kind: ClassVar[str] = "list-tables"

    def perform(self, bench: Workbench) -> list[str]:
        """List."""
        from autostream.catalogs.opening import list_tables

        return [str(name) for name in list_tables(bench.open(self.catalog, self.properties), self.catalog)]


class PlanTable(TableAction[list[PartitionSize] | None]):
    """Say what a table needs: the groups to rewrite, or None where the table is not to be compacted.

    Where nothing is to be rewritten but deletes are to go, that is a group without files.

    Attributes:
        options: Compaction options of the run.
        where: Expression on partition columns that limits the work.
        enabled_only: Whether the table is left out if it is not enabled.
    """

    kind: ClassVar[str] = "plan-compaction"

    options: dict[str, str] = Field(default={})
    where: str | None = None
    enabled_only: bool = False

    def perform(self, bench: Workbench) -> list[PartitionSize] | None:
        """Plan."""
        from autostream.catalogs.opening import open_table
        from autostream.lake.compaction.compaction_options import CompactionOptions
        from autostream.lake.compaction.planning import plan_compaction

        table = open_table(self.table, catalog=bench.open(self.catalog_name, self.properties))
        options = CompactionOptions.from_properties(table.properties, self.options, table=self.table)
        if self.enabled_only and not options.enabled:
            return None
        plan = plan_compaction(table, options=options, where=self.where)
        groups = [(group.partition, group.input_bytes, group.input_files) for group in plan.groups]
        return groups or ([("(deletes only)", 0, 0)] if plan.has_work else [])


class CompactTable(TableAction[dict[str, Any]]):
    """Compact a table, or some of its partitions: the outcome, as `autostream table compact --json` prints it.

    Attributes:
        options: Compaction options of the run.
        where: Expression on partition columns that limits the work.
        partitions: Keys of the partitions that limit it; None for all.
        dry_run: Only plan.
    """

    kind: ClassVar[str] = "compact"

    options: dict[str, str] = Field(default={})
    where: str | None = None
    partitions: tuple[str, ...] | None = None
    dry_run: bool = False

    def perform(self, bench: Workbench) -> dict[str, Any]:
        """Compact."""
        from autostream.catalogs.opening import open_table
        from autostream.lake.compaction.compaction_options import CompactionOptions
        from autostream.lake.compaction.table_compaction import compact_table
        from autostream.resources import EngineResources

        def on_step(step: CompactionStep) -> None:
            bench.on_step(self.table, step)

        table = open_table(self.table, catalog=bench.open(self.catalog_name, self.properties))
        document: dict[str, Any] = compact_table(
            table,
            self.table,
            options=CompactionOptions.from_properties(table.properties, self.options, table=self.table),
            where=self.where,
            partitions=self.partitions,
            dry_run=self.dry_run,
            resources=EngineResources.configured(**bench.settings.engine.model_dump()),
            report_progress=lambda line: bench.report(self.table, line),
            on_step=on_step,
        ).to_dict()
        return document

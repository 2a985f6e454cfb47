"""Which tables are compacted, and in which work items."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowFailException

from autostream_airflow.isolation import TableWorker, WorkerError
from autostream_airflow.operators.base import (
    FAILED,
    ROWS,
    Row,
    TableOperator,
    option_texts,
    read_settings,
    try_again_later,
)

if TYPE_CHECKING:
    from airflow.sdk.definitions.context import Context

    from autostream.config import Settings
    from autostream.lake.compaction.workload import TableWorkload


class PlanCompactionOperator(TableOperator):
    """Finds the tables to compact, plans each, and returns the work items that `CompactionOperator` maps over.

    The tables are those of the configured catalogs with the property `autostream.compaction.enabled`. The param
    `tables` limits them by patterns such as `lake.db.*`; a table that it names in full is compacted whether enabled or
    not. A catalog or table that cannot be planned stops no other: it is a row under the XCom key `rows`, and so is a
    table that needs nothing, and a pattern that matches no table.
    """

    def execute(self, context: Context) -> list[dict[str, Any]]:
        """Plans.

        Raises:
            AirflowFailException: Params or settings are wrong, or there is no catalog to look through.
            AirflowException: A catalog or table could not be looked at, and a repetition may succeed.
        """
        from autostream.lake.compaction.workload import split_work

        _check(context["params"])
        settings = read_settings()
        rows: list[Row] = []
        with self.open_worker() as worker:
            workloads = list(self._workloads(worker, context, settings=settings, rows=rows))
        try_again_later(rows, context)
        limits = settings.compaction
        items = split_work(
            workloads,
            batch_size_bytes=limits.batch_size_bytes,
            split_size_bytes=limits.split_size_bytes,
            max_items=limits.max_work_items,
        )
        self.log.info("%d tables have work, in %d items", len(workloads), len(items))
        context["ti"].xcom_push(key=ROWS, value=rows)
        return [item.to_dict() for item in items]

    def _workloads(
        self, worker: TableWorker, context: Context, *, settings: Settings, rows: list[Row]
    ) -> Iterator[TableWorkload]:
        """Return what the tables with work need; the others become rows."""
        from autostream.lake.compaction.workload import PartitionWork, TableWorkload
        from autostream.names import catalog_of

        timeout = settings.compaction.table_timeout_seconds
        for table, named in self._tables(worker, context, settings=settings, rows=rows):
            catalog = catalog_of(table)
            groups = self._ask(
                worker, "plan", catalog, context=context, timeout=timeout, rows=rows, table=table, named=named
            )
            if groups is None:  # not enabled, or already a row
                continue
            workload = TableWorkload(table, tuple(PartitionWork(*group) for group in groups))
            self.log.info("%s: %d files, %d bytes to rewrite", table, workload.input_files, workload.input_bytes)
            if workload.partitions:
                yield workload
            else:
                rows.append({"table": table, "status": "nothing-to-do"})

    def _tables(
        self, worker: TableWorker, context: Context, *, settings: Settings, rows: list[Row]
    ) -> Iterator[tuple[str, bool]]:
        """Each table to look at, and whether it was named in full."""
        from autostream.config import configured_catalogs

        wanted = dict.fromkeys(context["params"]["tables"] or [])
        named = [name for name in wanted if not _is_pattern(name)]
        patterns = [name for name in wanted if _is_pattern(name)]
        yield from ((name, True) for name in named)
        if named and not patterns:
            return
        catalogs = configured_catalogs(settings)
        if not catalogs:
            raise AirflowFailException(
                "No catalog is configured. Name catalogs in `compaction.catalogs` (AUTOSTREAM_COMPACTION__CATALOGS), "
                "each a connection of type `iceberg` or a catalog of PyIceberg's configuration."
            )
        timeout = settings.compaction.table_timeout_seconds
        listed: list[str] = []
        matched: set[str] = set()
        for catalog in catalogs:
            tables = self._ask(worker, "list", catalog, context=context, timeout=timeout, rows=rows)
            listed += [catalog] if tables is not None else []
            for table in tables or []:
                matching = [pattern for pattern in patterns if fnmatchcase(table, pattern)]
                matched.update(matching)
                if table not in named and (matching or not patterns):
                    yield table, False
        for pattern in patterns:
            if listed and pattern not in matched:
                error = f"No table of {', '.join(listed)} has a name like this. Correct the param `tables`."
                rows.append({"table": pattern, "status": FAILED, "error": error})

    def _ask(
        self,
        worker: TableWorker,
        action: str,
        catalog: str,
        *,
        context: Context,
        timeout: float,
        rows: list[Row],
        **more: Any,
    ) -> Any:
        """Return the worker's answer; None, and a row of the failure, where it has none."""
        from autostream.errors import AutostreamError
        from autostream.lake.compaction.outcomes import outcome_of_error

        try:
            request = self.request(action, catalog, context=context, **more)
            return worker.ask(request, timeout_seconds=timeout)
        except WorkerError as error:
            row = error.row
        except AutostreamError as error:
            row = outcome_of_error(more.get("table", catalog), error)
        self.log.error("%s: %s", row["table"], row["error"])
        rows.append(row)
        return None


def _check(params: Mapping[str, Any]) -> None:
    """Refuses params that no table could take, before any table is looked at."""
    from autostream.errors import ConfigurationError, UsageError
    from autostream.lake.compaction.compaction_options import CompactionOptions
    from autostream.lake.engine.where.expression import parse_where
    from autostream.names import TableName

    options = option_texts(params["options"] or {})
    if "enabled" in options:
        raise AirflowFailException(
            "The param `options` is wrong. Whether a table is enabled is not an option of a run, but a property of the "
            "table. To compact a table that is not enabled, name it in full in the param `tables`."
        )
    param = "options"
    try:
        if (engine := CompactionOptions.from_properties({}, options).engine) != "duckdb":
            raise ConfigurationError(f"Engine {engine!r} is not available in this version, which has duckdb only.")
        param = "where"
        parse_where(params["where"] or None)
        param = "tables"
        for name in params["tables"] or []:
            if not _is_pattern(name):
                TableName.parse(name)
    except (ConfigurationError, UsageError) as error:
        raise AirflowFailException(f"The param `{param}` is wrong. {error}") from error


def _is_pattern(name: str) -> bool:
    return any(character in name for character in "*?[")

"""What became of the tables of a run, for people and for other workflows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from autostream_airflow.assets import COMPACTIONS, compaction_asset
from autostream_airflow.operators.base import ROWS, JudgeOperator, Row, aligned, read_settings

if TYPE_CHECKING:
    from airflow.sdk.definitions.context import Context

    from autostream.lake.compaction.workload import WorkPart


class CollectCompactionsOperator(BaseOperator):
    """Returns one row a table of the run, and announces each compacted table by an asset event.

    It succeeds whatever became of the tables, because only a task that succeeds may announce anything.

    Args:
        plan_task_id: The task of `PlanCompactionOperator`.
        compact_task_id: The mapped task of `CompactionOperator`.
        kwargs: What every operator takes.
    """

    def __init__(self, *, plan_task_id: str, compact_task_id: str, **kwargs: Any) -> None:
        super().__init__(outlets=[COMPACTIONS], **kwargs)
        self.plan_task_id = plan_task_id
        self.compact_task_id = compact_task_id

    def execute(self, context: Context) -> list[Row]:
        """Collect the rows, and announce the tables that were compacted."""
        from autostream.lake.compaction.table_outcomes import outcomes_by_table
        from autostream.lake.compaction.workload import WorkItem

        task = context["ti"]
        items = task.xcom_pull(task_ids=self.plan_task_id)
        rows: list[Row] = list(task.xcom_pull(task_ids=self.plan_task_id, key=ROWS) or [])
        if items is None:
            error = f"Nothing was planned. See the log of {self.plan_task_id}."
            rows.append({"table": "(all tables)", "status": "failed", "error": error})
        for index, item in enumerate(items or []):
            found = task.xcom_pull(task_ids=self.compact_task_id, key=ROWS, map_indexes=index)
            rows += _unheard(WorkItem.from_dict(item).parts, index) if found is None else found
        merged = outcomes_by_table(rows)
        for row in merged:
            if row["status"] == "committed":
                context["outlet_events"][COMPACTIONS].add(compaction_asset(row["table"]), extra=row)
        return list(merged)


class JudgeCompactionsOperator(JudgeOperator):
    """Writes one line a table into its log, and fails the run when any of its tables failed, naming them.

    Args:
        rows: What `CollectCompactionsOperator` returned.
    """

    nothing = "The tables were not collected. See the log of the previous task."

    def execute(self, context: Context) -> None:
        """Tell people of the tables that failed, and judge.

        Raises:
            AirflowFailException: A table failed, or there are no rows at all.
        """
        if self.rows and not context["params"]["dry_run"]:
            from autostream.lake.compaction.fleet import tell_of_failures

            read_settings()  # whose secrets are hidden from then on
            tell_of_failures(self.rows)
        super().execute(context)

    def lines(self) -> Iterator[str]:
        """Return the tables as a table of text, its header first."""
        from autostream.lake.compaction.table_outcomes import HEADINGS, cells

        return aligned([HEADINGS, *map(cells, self.rows)])

    def failed(self, row: Row) -> bool:
        """Whether a compaction failed, is in conflict, or its outcome is not known."""
        from autostream.lake.compaction.table_outcomes import failed

        return failed(row)


def _unheard(parts: Iterable[WorkPart], index: int) -> Iterator[Row]:
    """Rows of an item whose task ended without leaving any."""
    for part in parts:
        error = f"Its task ended without a result. See the log of compact, map index {index}."
        yield {"table": part.table, "status": "unknown", "error": error}

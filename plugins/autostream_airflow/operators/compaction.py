"""The compaction of one work item."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowFailException

from autostream_airflow.operators.base import (
    ROWS,
    FleetOperator,
    Row,
    read_settings,
    try_again_later,
)

if TYPE_CHECKING:
    from airflow.sdk.definitions.context import Context

    from autostream.lake.compaction.workload import WorkPart


class CompactionOperator(FleetOperator):
    """Compacts the tables of one work item, one after the other, each on its own.

    A table that fails, hangs or crashes its process does not block others. What became of each is left under the XCom
    key `rows`, also when the task fails. It fails when any of its tables did; it is tried again only where repeating
    can help (a conflict, an unknown outcome, a lack of memory or connection), and then only those tables are.

    Args:
        item: A work item as `autostream.lake.compaction.workload.WorkItem.to_dict` describes it.
        kwargs: What every operator takes.
    """

    template_fields: Sequence[str] = ("item",)

    def __init__(self, *, item: dict[str, Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.item = item

    def execute(self, context: Context) -> list[Row]:
        """Compacts.

        Raises:
            AirflowFailException: Tables failed in a way that repeating does not mend.
            AirflowException: Tables failed, and a repetition may succeed.
        """
        from autostream.lake.compaction.fleet import compact_part
        from autostream.lake.compaction.table_outcomes import describe, failed
        from autostream.lake.compaction.workload import WorkItem

        timeout = read_settings().compaction.table_timeout_seconds
        order = self.order(context)
        done = _Done(context)
        rows: list[Row] = []
        with self.open_worker() as worker:
            perform = self.performing(worker, timeout_seconds=timeout)
            for part in WorkItem.from_dict(self.item).parts:
                row = done.get(part)
                if row is None:
                    row = compact_part(order, part, perform, say=self.log.info)
                    done.set(part, row)
                rows.append(row)
        context["ti"].xcom_push(key=ROWS, value=rows)
        broken = [row for row in rows if failed(row)]
        try_again_later(broken, context)
        done.forget()
        if broken:
            raise AirflowFailException(describe(broken))
        return rows


class _Done:
    """Rows that a repetition of the task need not produce again; Airflow keeps them until the task is over."""

    def __init__(self, context: Context) -> None:
        self._store = context["task_state_store"]
        self._keys: list[str] = []

    def get(self, part: WorkPart) -> Row | None:
        row = self._store.get(self._key(part))
        return row if isinstance(row, dict) else None

    def set(self, part: WorkPart, row: Row) -> None:
        from autostream.outcomes import worth_repeating

        if not worth_repeating(row):
            self._store.set(self._key(part), row)

    def forget(self) -> None:
        """Forget the results, because a task that is cleared later has to do everything again."""
        for key in self._keys:
            self._store.delete(key)

    def _key(self, part: WorkPart) -> str:
        digest = hashlib.sha256(json.dumps(part.to_dict(), sort_keys=True).encode()).hexdigest()
        key = f"row-{digest[:32]}"
        if key not in self._keys:
            self._keys.append(key)
        return key

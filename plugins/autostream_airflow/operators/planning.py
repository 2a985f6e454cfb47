"""Which tables are compacted, and in which work items."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowFailException

from autostream_airflow.operators.base import ROWS, FleetOperator, Row, read_settings, try_again_later

if TYPE_CHECKING:
    from airflow.sdk.definitions.context import Context

    from autostream.lake.compaction.fleet import FleetOrder


class PlanCompactionOperator(FleetOperator):
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
        from autostream.config import configured_catalogs
        from autostream.errors import ConfigurationError
        from autostream.lake.compaction.fleet import find_tables, plan_tables

        order = self._checked_order(context)
        settings = read_settings().compaction
        with self.open_worker() as worker:
            perform = self.performing(worker, timeout_seconds=settings.table_timeout_seconds)
            try:
                found = find_tables(order.selection, configured_catalogs(read_settings()), perform)
            except ConfigurationError as error:
                raise AirflowFailException(str(error)) from error
            planned = plan_tables(order, found.tables, perform, say=self.log.info)
        rows: list[Row] = [*found.failures, *found.unmatched_rows(), *planned.rows]
        try_again_later(rows, context)
        items = planned.items(settings)
        self.log.info("Tables with work: %d, work items: %d", len(planned.workloads), len(items))
        context["ti"].xcom_push(key=ROWS, value=rows)
        return [item.to_dict() for item in items]

    def _checked_order(self, context: Context) -> FleetOrder:
        """Return what the params ask for; refuse what no table could take, before any table is looked at."""
        from autostream.errors import ConfigurationError, UsageError

        param = "tables"
        try:
            order = self.order(context)
            param = "options"
            order.check_options()
            param = "where"
            order.check_where()
        except (ConfigurationError, UsageError) as error:
            more = " To compact a table that is not enabled, name it in full in the param `tables`."
            remedy = more if param == "options" and "enabled" in (context["params"]["options"] or {}) else ""
            raise AirflowFailException(f"Invalid param `{param}`. {error}{remedy}") from error
        return order

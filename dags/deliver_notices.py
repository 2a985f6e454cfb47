"""
### Notices to people, every two minutes

What happened to tables and jobs is in the outbox: compactions that failed, locks that were released, tables that are
late. `deliver` sends what is due to the targets of `notify.targets`, and tries again later what could not be sent. A
run fails when a message is given up, after a day. `autostream notify list` shows what became of each message.

`autostream flink watch` and `autostream watermark record` send them as well: where one of these runs, this workflow is
not needed. Without targets its runs are skipped.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.sdk import DAG, task
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from autostream_airflow.operators.base import read_settings
from autostream_airflow.params import refuse_unknown_params

with DAG(
    dag_id="deliver_notices",
    dag_display_name="Notices",
    schedule="*/2 * * * *",
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    tags=["autostream"],
    # The next run comes before a retry would.
    default_args={"owner": "autostream", "retries": 0, "execution_timeout": timedelta(minutes=10)},
    doc_md=__doc__,
):

    @task(pre_execute=refuse_unknown_params)
    def deliver() -> dict[str, Any]:
        """Send what is due."""
        import autostream

        settings = read_settings()
        if not settings.notify.targets:
            raise AirflowSkipException("No target is configured in [[notify.targets]], so nobody is told anything.")
        report = autostream.Lakehouse(settings=settings).deliver_notices()
        if report.given_up:
            raise AirflowFailException(f"Messages were given up: {report.problems}. See: autostream notify list.")
        return report.to_dict()

    deliver()

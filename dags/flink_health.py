"""
### Health of Flink jobs, every 15 minutes

Each job that `autostream flink watch` samples is judged: a score from 0 to 100, findings with reasons, fixes with
numbers. Scores and findings are written down, so that the console and `autostream flink health` show the trend and what
has changed since yesterday. By the rules `health.alerts`, people are told once when a job becomes bad,
and once when it is well again.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG

from autostream_airflow.operators.health import RecordHealthOperator
from autostream_airflow.params import refuse_unknown_params

with DAG(
    dag_id="flink_health",
    dag_display_name="Health of Flink jobs",
    schedule="*/15 * * * *",
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    tags=["autostream", "flink"],
    # One more try helps against troubles of a moment; against others there is the next run.
    default_args={"owner": "autostream", "retries": 1, "retry_delay": timedelta(minutes=1)},
    doc_md=__doc__,
):
    RecordHealthOperator(task_id="judge", pre_execute=refuse_unknown_params)

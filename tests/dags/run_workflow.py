"""Runs a DAG in a real Airflow, once for each conf given; its last line says what became of the runs.

Arguments: the DAG, the task that returns rows, and the confs.

Started by tests as a process of its own: Airflow reads its home and configuration when it is imported.
"""

import json
import sys
from typing import Any


def main(dag_id: str, rows_task_id: str, *confs: str) -> None:
    run("db", "migrate")
    for conf in confs:
        try:
            run("dags", "test", dag_id, "--conf", conf)
        except SystemExit as error:
            print(f"exit: {error}", file=sys.stderr)
    print("\n" + json.dumps(observed(dag_id, rows_task_id)))


def run(*arguments: str) -> None:
    """Runs one `airflow` command in this process, which saves its import; what it prints goes to stderr."""
    from contextlib import redirect_stdout

    from airflow.cli.cli_parser import get_parser

    with redirect_stdout(sys.stderr):
        parsed = get_parser().parse_args(arguments)
        parsed.func(parsed)


def observed(dag_id: str, rows_task_id: str) -> list[dict[str, Any]]:
    """Each run, the first one first: states, labels, rows, and the assets and partitions that it announced."""
    from airflow.models.asset import AssetEvent
    from airflow.models.dagrun import DagRun
    from airflow.models.taskinstance import TaskInstance
    from airflow.models.xcom import XComModel
    from airflow.utils.session import create_session
    from sqlalchemy import select

    runs = []
    with create_session() as session:
        for dag_run in session.scalars(select(DagRun).where(DagRun.dag_id == dag_id).order_by(DagRun.id)):
            tasks = session.scalars(
                select(TaskInstance)
                .where(TaskInstance.dag_id == dag_id, TaskInstance.run_id == dag_run.run_id)
                .order_by(TaskInstance.task_id, TaskInstance.map_index)
            ).all()
            xcoms = session.scalars(
                select(XComModel).where(
                    XComModel.dag_id == dag_id,
                    XComModel.run_id == dag_run.run_id,
                    XComModel.task_id == rows_task_id,
                )
            ).all()
            events = session.scalars(
                select(AssetEvent)
                .where(AssetEvent.source_dag_id == dag_id, AssetEvent.source_run_id == dag_run.run_id)
                .order_by(AssetEvent.id)
            ).all()
            runs.append(
                {
                    "run_id": dag_run.run_id,
                    "state": dag_run.state,
                    "tasks": [[task.task_id, task.rendered_map_index, task.state, task.try_number] for task in tasks],
                    "rows": next((x.value for x in xcoms if x.key == "return_value"), None),
                    "announced": {event.asset.name: event.extra for event in events},
                    "partitions": [[event.asset.name, event.partition_key] for event in events],
                }
            )
    return runs


if __name__ == "__main__":
    main(*sys.argv[1:])

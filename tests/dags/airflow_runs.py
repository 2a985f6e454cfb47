"""A real Airflow with a database of its own, in a process of its own."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).parents[2]
RUN = Path(__file__).with_name("run_workflow.py")


def run_dag(
    dag_id: str, rows_task_id: str, directory: Path, *confs: Mapping[str, Any], **variables: str
) -> list[dict[str, Any]]:
    """What Airflow knows of the runs of a DAG with these params.

    Args:
        dag_id: The DAG.
        rows_task_id: The task whose XCom has a row for each thing that was worked on.
        directory: Where Airflow's home is made, or used again.
        confs: Params, those of one run each.
        variables: Environment variables, such as connections.
    """
    home = directory / "airflow"
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW_", "AUTOSTREAM_"))
    }
    environment |= {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(PROJECT / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(PROJECT / "plugins"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db",
        "PYTHONPATH": os.pathsep.join((str(PROJECT / "include"), str(PROJECT / "plugins"))),
    }
    done = subprocess.run(
        [sys.executable, str(RUN), dag_id, rows_task_id, *(json.dumps(conf) for conf in confs)],
        env=environment | variables,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-5000:]
    runs: list[dict[str, Any]] = json.loads(done.stdout.splitlines()[-1])  # Airflow logs there, too
    assert len(runs) == len(confs), done.stderr[-5000:]
    return runs

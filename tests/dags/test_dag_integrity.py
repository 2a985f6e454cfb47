"""What holds for every DAG file: it parses without I/O, and says who owns it and what it is for."""

import json
import os
import subprocess
import sys
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk import DAG
from airflow.sdk.exceptions import ParamValidationError

from autostream_airflow.params import refuse_unknown_params

DAGS = Path(__file__).parents[2] / "dags"
FILES = sorted(DAGS.glob("*.py"))

# Prints what a DAG file opens, connects to or starts while it is parsed, and which heavy modules it imports. Airflow
# and the standard library, which they would import anyway, are there before.
PARSE = """
import json, runpy, sys
from airflow.sdk import DAG, Asset, AssetAlias, BaseHook, BaseOperator, Param, task
from airflow.sdk.exceptions import AirflowFailException

DAG("warm_up", schedule="@hourly")  # what Airflow imports for schedules looks at the machine
touched = []

def audit(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "subprocess.Popen", "sqlite3.connect"):
        touched.append(f"{event} {arguments}")
    if event == "open" and not str(arguments[0]).endswith((".py", ".pyc")):
        touched.append(f"{event} {arguments[0]}")

sys.addaudithook(audit)
runpy.run_path(sys.argv[1])
found = list(touched)
heavy = {
    *("pyiceberg", "duckdb", "pyarrow", "pandas", "numpy", "kubernetes", "kazoo", "thrift", "krb5"),
    *("autostream.lake", "autostream.catalogs", "autostream.demo", "autostream.coordination", "autostream.hadoop"),
}
print("\\n" + json.dumps({"touched": found, "heavy": sorted(heavy & set(sys.modules))}))
"""


@pytest.fixture(scope="module")
def bag() -> DagBag:
    return DagBag(DAGS)


@pytest.fixture
def compaction(bag: DagBag) -> DAG:
    """A copy of its own: params remember what they were resolved to."""
    return deepcopy(bag.dags["lake_compaction"])


@pytest.fixture
def janitor(bag: DagBag) -> DAG:
    """A copy of its own: params remember what they were resolved to."""
    return deepcopy(bag.dags["lock_janitor"])


def test_every_dag_file_gives_dags_without_errors(bag: DagBag) -> None:
    assert bag.import_errors == {}
    assert {Path(dag.fileloc) for dag in bag.dags.values()} == set(FILES)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_parsing_does_no_io_and_imports_nothing_heavy(file: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PARSE, str(file)], capture_output=True, text=True, check=False, env=_environment()
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == {"touched": [], "heavy": []}


@pytest.mark.parametrize("dag_id", [file.stem for file in FILES])
def test_the_house_rules(bag: DagBag, dag_id: str) -> None:
    dag = bag.dags[dag_id]
    assert "autostream" in dag.tags
    assert dag.doc_md
    assert not dag.catchup
    assert dag.max_active_runs == 1
    assert {task.owner for task in dag.tasks} == {"autostream"}
    assert {task._pre_execute_hook for task in dag.roots} == {refuse_unknown_params}


def test_compaction_runs_hourly_in_its_pool(compaction: DAG) -> None:
    assert compaction.schedule == "@hourly"
    pools = {task.task_id: task.pool for task in compaction.tasks}
    assert pools == {
        "discover_and_plan": "default_pool",
        "compact": "lake_compaction",
        "collect": "default_pool",
        "report": "default_pool",
    }


@pytest.mark.parametrize(("said", "schedule"), [("none", None), ("0 3 * * *", "0 3 * * *"), ("", "@hourly")])
def test_the_schedule_of_the_compaction_can_be_another(
    monkeypatch: pytest.MonkeyPatch, said: str, schedule: str | None
) -> None:
    monkeypatch.setenv("AUTOSTREAM_COMPACTION_SCHEDULE", said)
    assert DagBag(DAGS / "lake_compaction.py").dags["lake_compaction"].schedule == schedule


def test_the_report_comes_whatever_became_of_the_tables(compaction: DAG) -> None:
    assert compaction.task_dict["collect"].trigger_rule == "all_done"
    assert compaction.task_dict["report"].trigger_rule == "all_done"
    assert compaction.task_dict["report"].upstream_task_ids == {"collect"}


def test_without_params_everything_is_compacted(compaction: DAG) -> None:
    assert compaction.params.validate() == {"tables": [], "where": None, "dry_run": False, "options": {}}


@pytest.mark.parametrize(
    ("param", "value"),
    [
        ("tables", ["lake.db.orders", "lake.db.*", "lake.*"]),
        ("tables", None),
        ("where", "day >= '2026-11-23'"),
        ("dry_run", True),
        ("options", {"rewrite-all": True, "min-input-files": 2, "target-file-size-bytes": "64MiB"}),
    ],
)
def test_params_that_are_taken(compaction: DAG, param: str, value: Any) -> None:
    assert compaction.params.get_param(param).resolve(value) == value


@pytest.mark.parametrize(
    ("param", "value"),
    [
        ("tables", "lake.db.orders"),
        ("tables", ["orders"]),
        ("tables", ["lake.db.orders; drop"]),
        ("tables", [""]),
        ("where", 5),
        ("dry_run", "yes"),
        ("options", ["rewrite-all"]),
        ("options", {"rewrite-all": None}),
    ],
)
def test_params_that_are_refused(compaction: DAG, param: str, value: Any) -> None:
    with pytest.raises(ParamValidationError):
        compaction.params.get_param(param).resolve(value)


def test_the_janitor_runs_every_ten_minutes_and_reports_whatever_became_of_the_sweep(janitor: DAG) -> None:
    assert janitor.schedule == "*/10 * * * *"
    assert janitor.task_dict["report"].upstream_task_ids == {"sweep"}
    assert janitor.task_dict["report"].trigger_rule == "all_done"
    assert janitor.params.validate() == {"catalogs": [], "dry_run": False}


@pytest.mark.parametrize(("param", "value"), [("catalogs", ["lake"]), ("catalogs", None), ("dry_run", True)])
def test_params_that_the_janitor_takes(janitor: DAG, param: str, value: Any) -> None:
    assert janitor.params.get_param(param).resolve(value) == value


@pytest.mark.parametrize(
    ("param", "value"), [("catalogs", "lake"), ("catalogs", ["lake.db"]), ("catalogs", [""]), ("dry_run", "yes")]
)
def test_params_that_the_janitor_refuses(janitor: DAG, param: str, value: Any) -> None:
    with pytest.raises(ParamValidationError):
        janitor.params.get_param(param).resolve(value)


def _environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}

"""The child process: answers, failures, time-outs, crashes, and an end with its parent. All of it for real."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.table import Table

from autostream.actions import ActionFailed
from autostream.coordination.lock_holder import Holder
from autostream.lake.compaction.compaction_actions import CompactTable, ListTables, PlanTable
from autostream_airflow.isolation import TableWorker

LIST = ListTables(catalog="lake")


@pytest.fixture
def log() -> list[str]:
    return []


@pytest.fixture
def worker(log: list[str]) -> Iterator[TableWorker]:
    with TableWorker(log=log.append) as worker:
        yield worker


@contextmanager
def silent_server(on_connection: Callable[[], None] = lambda: None) -> Iterator[ListTables]:
    """The request to list a REST catalog that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        connections = []

        def accept() -> None:
            connections.append(server.accept()[0])
            on_connection()

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        uri = f"http://127.0.0.1:{server.getsockname()[1]}"
        yield ListTables(catalog="silent", properties={"type": "rest", "uri": uri})
        for connection in connections:
            connection.close()


def test_one_child_answers_many_requests(worker: TableWorker, make_table: Callable[..., Table]) -> None:
    make_table("a", checkpoints=1)
    make_table("b", checkpoints=1)
    assert worker.ask(LIST, timeout_seconds=300) == ["lake.db.a", "lake.db.b"]
    child = worker.process
    assert worker.ask(LIST, timeout_seconds=300) == ["lake.db.a", "lake.db.b"]
    assert worker.process is child


def test_a_failure_is_a_row_and_the_child_goes_on(worker: TableWorker, lake: SqlCatalog) -> None:
    request = PlanTable(table="lake.db.nowhere")
    with pytest.raises(ActionFailed, match=r"Table lake\.db\.nowhere does not exist") as raised:
        worker.ask(request, timeout_seconds=300)
    row = raised.value.row
    assert (row["table"], row["status"], row["error_type"], row["repeat"]) == (
        "lake.db.nowhere",
        "failed",
        "UsageError",
        False,
    )
    assert worker.ask(LIST, timeout_seconds=300) == []


def test_a_table_that_hangs_is_given_up_alone(worker: TableWorker, lake: SqlCatalog) -> None:
    with silent_server() as request:
        with pytest.raises(ActionFailed, match=r"catalog silent after 2 seconds") as raised:
            worker.ask(request, timeout_seconds=2)
        assert raised.value.row["error_type"] == "TimedOutError"
        assert not raised.value.row["repeat"]
    assert worker.ask(LIST, timeout_seconds=300) == []


def test_a_child_that_is_killed_costs_only_its_table(worker: TableWorker, lake: SqlCatalog) -> None:
    def kill() -> None:
        assert worker.process is not None
        os.kill(worker.process.pid, signal.SIGKILL)

    with (
        silent_server(on_connection=kill) as request,
        pytest.raises(ActionFailed, match=r"was killed \(SIGKILL\), most often because memory ran out") as raised,
    ):
        worker.ask(request, timeout_seconds=300)
    assert raised.value.row["repeat"]
    assert worker.ask(LIST, timeout_seconds=300) == []


@pytest.mark.parametrize(
    ("script", "message"), [("exit 3", "ended with exit code 3"), ("kill -ABRT $$", r"stopped by signal 6 \(SIGABRT\)")]
)
def test_a_child_that_breaks_down_leaves_its_last_words(
    script: str, message: str, worker: TableWorker, log: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\nread request\necho no luck today >&2\n{script}\n")
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    with pytest.raises(ActionFailed, match=message):
        worker.ask(LIST, timeout_seconds=300)
    assert log == ["no luck today"]


def test_the_child_ends_when_its_parent_is_gone_even_in_the_middle_of_a_request() -> None:
    arrived = threading.Event()
    with silent_server(on_connection=arrived.set) as request:
        child = subprocess.Popen(
            [sys.executable, "-m", "autostream_airflow.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        )
        assert child.stdin is not None
        child.stdin.write(json.dumps(request.to_document()).encode() + b"\n")
        child.stdin.flush()
        assert arrived.wait(60)
        child.stdin.close()  # as the kernel does for a parent that died
        assert child.wait(60) == 0


def test_closing_ends_the_child(worker: TableWorker, lake: SqlCatalog) -> None:
    worker.ask(LIST, timeout_seconds=300)
    child = worker.process
    assert child is not None
    worker.close()
    assert child.poll() == -signal.SIGKILL
    worker.close()


def test_a_lock_that_the_child_takes_names_the_airflow_run(
    worker: TableWorker, lake: SqlCatalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As Airflow sets them before it calls an operator.
    monkeypatch.setenv("AIRFLOW_CTX_DAG_ID", "lake_compaction")
    monkeypatch.setenv("AIRFLOW_CTX_TASK_ID", "compact")
    monkeypatch.setenv("AIRFLOW_CTX_DAG_RUN_ID", "scheduled__2026-11-24T02:00:00+00:00")
    worker.ask(LIST, timeout_seconds=300)
    holder = Holder.of_this_process("commit", environ=environment_of(worker))
    assert holder.airflow_run == "lake_compaction.compact scheduled__2026-11-24T02:00:00+00:00"


def test_the_child_finds_the_ticket_that_airflow_renews(
    worker: TableWorker, lake: SqlCatalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KRB5CCNAME", raising=False)
    monkeypatch.setenv("AIRFLOW__KERBEROS__CCACHE", "/run/airflow/ccache")
    worker.ask(LIST, timeout_seconds=300)
    assert "KRB5CCNAME" not in environment_of(worker)
    worker.close()
    monkeypatch.setenv("AIRFLOW__CORE__SECURITY", "kerberos")
    worker.ask(LIST, timeout_seconds=300)
    assert environment_of(worker)["KRB5CCNAME"] == "/run/airflow/ccache"


def environment_of(worker: TableWorker) -> dict[str, str]:
    """What the child was started with, as the kernel has it."""
    assert worker.process is not None
    lines = Path(f"/proc/{worker.process.pid}/environ").read_text().split("\0")
    return dict(line.split("=", 1) for line in lines if "=" in line)


def test_secrets_of_a_connection_are_neither_in_the_environment_nor_on_the_command_line(
    worker: TableWorker, lake: SqlCatalog
) -> None:
    assert worker.ask(LIST.with_properties({"zookeeper.password": "s3cret"}), timeout_seconds=300) == []
    assert worker.process is not None
    command = Path(f"/proc/{worker.process.pid}/cmdline").read_text()
    assert "s3cret" not in command + json.dumps(environment_of(worker))


def test_the_child_does_without_pandas(worker: TableWorker, make_table: Callable[..., Table]) -> None:
    """PyArrow imports it where it is installed, as with Airflow: 30 MB of each child."""
    pytest.importorskip("pandas")
    make_table("a", checkpoints=3)
    worker.ask(CompactTable(table="lake.db.a"), timeout_seconds=300)
    assert worker.process is not None
    loaded = Path(f"/proc/{worker.process.pid}/maps").read_text()
    assert "pyarrow" in loaded
    assert "pandas" not in loaded

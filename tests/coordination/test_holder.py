import getpass
import os
import socket
import subprocess
import sys
import time

import pytest

from autostream.coordination.lock_holder import Holder, process_started_ms
from autostream.coordination.lock_records import BrokenLock, HeldLock
from autostream.coordination.paths import LockKey

AIRFLOW = {
    "AIRFLOW_CTX_DAG_ID": "lake_compaction",
    "AIRFLOW_CTX_DAG_RUN_ID": "scheduled__2026-11-23",
    "AIRFLOW_CTX_TASK_ID": "compact",
}
SOMEBODY = Holder(user="svc", host="host-7", pid=4711, what="compaction", since_ms=1795399200000)


def test_a_process_knows_itself() -> None:
    holder = Holder.of_this_process("compaction", now_ms=1795399200000, environ=AIRFLOW)

    assert (holder.user, holder.host, holder.pid) == (getpass.getuser(), socket.gethostname(), os.getpid())
    assert (holder.what, holder.queued_ms, holder.since_ms) == ("compaction", 1795399200000, 1795399200000)
    assert holder.airflow_run == "lake_compaction.compact scheduled__2026-11-23"
    assert holder.is_this_process()
    assert not SOMEBODY.is_this_process()


def test_without_airflow_there_is_no_run() -> None:
    assert Holder.of_this_process("commit", environ={}).airflow_run is None
    assert Holder(airflow_dag_id="d").airflow_run == "d"
    assert Holder(airflow_dag_id="d", airflow_run_id="r").airflow_run == "d r"


def test_a_user_without_a_name_is_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody() -> str:
        raise KeyError("getpwuid(): uid not found: 4711")

    monkeypatch.setattr(getpass, "getuser", nobody)

    assert Holder.of_this_process("commit").user == str(os.getuid())


def test_what_is_written_is_read() -> None:
    holder = Holder.of_this_process("größer", environ=AIRFLOW)

    assert Holder.from_bytes(holder.to_bytes()) == holder


@pytest.mark.parametrize("data", [b"", b"\xff\xfe", b"[1]", b'"text"', b"{", b'{"user": 5, "pid": "x", "new": true}'])
def test_what_cannot_be_understood_is_an_unknown_holder(data: bytes) -> None:
    assert Holder.from_bytes(data) == Holder()
    assert str(Holder.from_bytes(data)) == "an unknown holder"


def test_holders_are_told_in_words() -> None:
    assert str(SOMEBODY) == "svc on host-7, process 4711 (compaction, since 2026-11-23T02:00:00Z)"
    assert str(Holder(pid=1)) == "unknown user, process 1"
    assert str(Holder(user="svc", airflow_dag_id="d")) == "svc (Airflow d)"


def test_a_process_began_after_its_parent_and_before_now() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        began = process_started_ms(child.pid)
        parent = process_started_ms(os.getpid())
    finally:
        child.communicate(b"\n")

    assert began is not None
    assert parent is not None
    # The kernel tells the time of boot in whole seconds.
    assert parent <= began <= time.time() * 1000 + 2000
    assert process_started_ms(child.pid) is None


def test_a_held_lock_as_json() -> None:
    lock = HeldLock(
        "zookeeper", LockKey("lake", "db.t"), "lock-1", SOMEBODY, 1795399200000, 7, waiting=(Holder(pid=3),)
    )

    document = lock.to_dict()

    assert document["table"] == "lake.db.t"
    assert (document["since"], document["since_ms"]) == ("2026-11-23T02:00:00Z", 1795399200000)
    assert (document["holder"]["user"], document["token"], document["state"]) == ("svc", 7, "held")
    assert [waiter["pid"] for waiter in document["waiting"]] == [3]


def test_a_record_of_a_broken_lock_is_read_as_it_was_written() -> None:
    by = Holder(user="alice", host="desk")
    record = BrokenLock("lake.db.t", "lock-1", 7, SOMEBODY, by, "it hung", 1795399200000)

    assert BrokenLock.from_bytes(record.to_bytes()) == record
    assert str(record) == "alice on desk at 2026-11-23T02:00:00Z: it hung"
    assert record.to_dict()["by"]["user"] == "alice"
    assert record.to_dict()["at"] == "2026-11-23T02:00:00Z"


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b'{"table": 1}'])
def test_a_record_that_cannot_be_understood_is_none(data: bytes) -> None:
    assert BrokenLock.from_bytes(data) is None

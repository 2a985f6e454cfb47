"""Which Hive locks are stale: decided purely."""

from dataclasses import replace

import pytest

from autostream.catalogs.hive_lock import HiveLockEntry
from autostream.flink.jobs import JobRun
from autostream.locks.staleness import (
    HolderEvidence,
    evidence_of_job,
    evidence_of_process,
    judge_by_evidence,
    judge_by_heartbeat,
    weigh,
)
from autostream.locks.staleness import HolderLife as Life

NOW = 1_800_000_000_000
MINUTE = 60_000
JAVA = HiveLockEntry(
    lock_id=7,
    database="db",
    table="orders",
    state="ACQUIRED",
    user="flink",
    host="tm-3",
    agent="Iceberg-0b0e7c5e-7a3c-4c11-9b5e-3f3f8c1a2b4d",
    acquired_ms=NOW - 30 * MINUTE,
    heartbeat_ms=NOW - 20 * MINUTE,
)


@pytest.mark.parametrize(
    ("lock", "reason"),
    [
        (replace(JAVA, heartbeat_ms=NOW - 9 * MINUTE), "sent a heartbeat 540 s ago; a lock is stale after 600 s"),
        (replace(JAVA, heartbeat_ms=None, acquired_ms=NOW - MINUTE), "sent a heartbeat 60 s ago"),
        (replace(JAVA, transaction_id=12), "Hive transaction 12"),
        (replace(JAVA, agent="hive_20261124_query"), "it is not a lock of an Iceberg writer"),
        (replace(JAVA, database="__metastore_leader_election__", agent="Unknown"), "it is a lock of the metastore"),
        (replace(JAVA, table=None), "it is not a lock of an Iceberg writer"),
        (replace(JAVA, heartbeat_ms=None, acquired_ms=None), "does not report when"),
    ],
)
def test_kept(lock: HiveLockEntry, reason: str) -> None:
    decision = judge_by_heartbeat(lock, now_ms=NOW, stale_after_ms=10 * MINUTE)
    assert decision is not None
    assert not decision.release
    assert reason in decision.reason


@pytest.mark.parametrize("agent", [JAVA.agent, "Unknown", "", f"autostream-{'0' * 36} pid=1 started=2"])
def test_silent_ones_are_asked_after(agent: str) -> None:
    lock = replace(JAVA, agent=agent, heartbeat_ms=NOW - 10 * MINUTE)
    assert judge_by_heartbeat(lock, now_ms=NOW, stale_after_ms=10 * MINUTE) is None


@pytest.mark.parametrize(
    ("life", "release"),
    [(Life.ALIVE, False), (Life.DEAD, True), (Life.UNKNOWN, True), (Life.NOT_ASKED, False)],
)
def test_never_a_live_one(life: Life, release: bool) -> None:
    decision = judge_by_evidence(JAVA, HolderEvidence(life, "because"), now_ms=NOW)
    assert decision.release is release
    assert decision.reason == "no heartbeat of its holder for 1200 s; because"


def test_one_sign_of_life_counts() -> None:
    dead, alive = HolderEvidence(Life.DEAD, "job a ended"), HolderEvidence(Life.ALIVE, "job b runs")
    silent = HolderEvidence(Life.NOT_ASKED, "nobody answers")
    assert weigh([dead, silent, alive]) == alive
    assert weigh([dead, silent]) == silent
    assert weigh([dead, HolderEvidence(Life.DEAD, "job c ended")]) == HolderEvidence(
        Life.DEAD, "job a ended; job c ended"
    )
    assert weigh([]).life is Life.UNKNOWN


def test_processes_of_this_machine() -> None:
    agent = f"autostream-{'a' * 36} pid=41 started=1000"
    lock = replace(JAVA, host="here", agent=agent)

    def life(found: int | None, host: str = "here") -> Life | None:
        evidence = evidence_of_process(lock, host=host, started_ms=lambda pid: found if pid == 41 else None)
        return evidence.life if evidence else None

    assert life(1000) is Life.ALIVE
    assert life(None) is Life.DEAD
    assert life(2000) is Life.DEAD  # the number was used again
    assert life(1000, host="elsewhere") is None
    assert evidence_of_process(JAVA, host="tm-3", started_ms=lambda _: None) is None


@pytest.mark.parametrize(
    ("job", "life", "reason"),
    [
        (None, Life.DEAD, "no longer exists"),
        (JobRun("j", "ingest", "FAILED", None), Life.DEAD, "is FAILED"),
        (JobRun("j", "ingest", "RESTARTING", None), Life.DEAD, "no attempt of it runs"),
        (
            JobRun("j", "ingest", "RUNNING", 10 * MINUTE),
            Life.DEAD,
            "restarted 600 s ago, after the lock was taken",
        ),
        (JobRun("j", "ingest", "RUNNING", 40 * MINUTE), Life.ALIVE, "since before the lock was taken"),
        # In doubt it lives: the ages are read one after the other.
        (JobRun("j", "ingest", "RUNNING", 30 * MINUTE - 59_000), Life.ALIVE, "since before"),
    ],
)
def test_jobs(job: JobRun | None, life: Life, reason: str) -> None:
    evidence = evidence_of_job(JAVA, job, "j", now_ms=NOW)
    assert evidence.life is life
    assert reason in evidence.reason

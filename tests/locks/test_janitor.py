"""Which Hive locks are stale: decided purely, and released at a real metastore."""

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from autostream.catalogs.hive_lock import HiveLock, HiveLockEntry, show_hive_locks
from autostream.coordination.lock_holder import Holder, process_started_ms
from autostream.errors import ServiceError
from autostream.flink.jobs import JobRun
from autostream.hadoop.metastore import Metastore, MetastoreSettings
from autostream.locks.janitor import (
    Evidence,
    Life,
    LockJanitor,
    evidence_of_job,
    evidence_of_process,
    judge_by_evidence,
    judge_by_heartbeat,
    metastore_time_ms,
    recording,
    weigh,
)
from tests.support.catalogs import IDS, hive_catalog, new_namespace
from tests.support.hadoop import HiveMetastore

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
        (replace(JAVA, heartbeat_ms=NOW - 9 * MINUTE), "heard of 540 s ago; stale after 600 s"),
        (replace(JAVA, heartbeat_ms=None, acquired_ms=NOW - MINUTE), "heard of 60 s ago"),
        (replace(JAVA, transaction_id=12), "Hive's transaction 12"),
        (replace(JAVA, agent="hive_20261124_query"), "no Iceberg writer took it"),
        (replace(JAVA, database="__metastore_leader_election__", agent="Unknown"), "the metastore itself took it"),
        (replace(JAVA, table=None), "no Iceberg writer took it"),
        (replace(JAVA, heartbeat_ms=None, acquired_ms=None), "does not say when"),
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
    ("life", "release"), [(Life.ALIVE, False), (Life.DEAD, True), (Life.UNKNOWN, True), (Life.NOT_ASKED, False)]
)
def test_never_a_live_one(life: Life, release: bool) -> None:
    decision = judge_by_evidence(JAVA, Evidence(life, "because"), now_ms=NOW)
    assert decision.release is release
    assert decision.reason == "nothing heard of its holder for 1200 s; because"


def test_one_sign_of_life_counts() -> None:
    dead, alive = Evidence(Life.DEAD, "job a ended"), Evidence(Life.ALIVE, "job b runs")
    silent = Evidence(Life.NOT_ASKED, "nobody answers")
    assert weigh([dead, silent, alive]) == alive
    assert weigh([dead, silent]) == silent
    assert weigh([dead, Evidence(Life.DEAD, "job c ended")]) == Evidence(Life.DEAD, "job a ended; job c ended")
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
        (None, Life.DEAD, "not known any more"),
        (JobRun("j", "ingest", "FAILED", None), Life.DEAD, "is FAILED"),
        (JobRun("j", "ingest", "RESTARTING", None), Life.DEAD, "no attempt of it runs"),
        (JobRun("j", "ingest", "RUNNING", 10 * MINUTE), Life.DEAD, "restarted 600 s ago, after the lock was taken"),
        (JobRun("j", "ingest", "RUNNING", 40 * MINUTE), Life.ALIVE, "since before the lock was taken"),
        # In doubt it lives: the ages are read one after the other.
        (JobRun("j", "ingest", "RUNNING", 30 * MINUTE - 59_000), Life.ALIVE, "since before"),
    ],
)
def test_jobs(job: JobRun | None, life: Life, reason: str) -> None:
    evidence = evidence_of_job(JAVA, job, "j", now_ms=NOW)
    assert evidence.life is life
    assert reason in evidence.reason


class _Cluster:
    def __init__(self, job: JobRun | None = None, *, down: bool = False) -> None:
        self.found, self.down = job, down

    def job(self, job_id: str) -> JobRun | None:
        if self.down:
            raise ServiceError("connection refused")
        return self.found


def _janitor(metastore: Metastore, *clusters: _Cluster) -> LockJanitor:
    jobs = ["j"] if clusters else []
    return LockJanitor(metastore, lambda *_: jobs, stale_after_seconds=0, clusters=clusters)  # type: ignore[arg-type]


@pytest.fixture
def metastore(hive_metastore: HiveMetastore) -> Metastore:
    return Metastore(MetastoreSettings.from_properties({"uri": hive_metastore.uri}))


@pytest.mark.integration
@pytest.mark.xdist_group("hadoop")
class TestAtAMetastore:
    """Locks of this very process, which lives: others' are told from it by their agents."""

    def test_the_metastores_clock(self, metastore: Metastore) -> None:
        first = metastore_time_ms(metastore)
        assert first <= metastore_time_ms(metastore)
        assert show_hive_locks(metastore, "autostream") == []

    def test_ours_lives(self, metastore: Metastore) -> None:
        with HiveLock(metastore, "janitor", "live"):
            (decision,) = [d for d in _janitor(metastore).examine() if d.lock.database == "janitor"]
            assert not decision.release
            assert f"process {os.getpid()} on this machine lives" in decision.reason

    def test_a_dead_ones_is_released_and_the_next_one_gets_it(self, metastore: Metastore) -> None:
        dead = HiveLock(metastore, "janitor", "dead", user="svc")
        dead.agent = f"autostream-{'b' * 36} pid={os.getpid()} started={(process_started_ms(os.getpid()) or 0) - 1}"
        dead.__enter__()
        janitor = _janitor(metastore)
        decisions = [d for d in janitor.examine() if d.lock.database == "janitor"]
        assert [(d.release, d.released) for d in decisions] == [(True, False)]
        assert len(show_hive_locks(metastore, "janitor", "dead")) == 1  # looking at it changes nothing
        done = janitor.release(decisions[0])
        assert (done.released, done.error) == (True, None)
        assert f"process {os.getpid()} on this machine is gone" in done.reason
        assert done.to_dict()["lock_id"] == done.lock.lock_id
        with HiveLock(metastore, "janitor", "dead"):
            pass
        dead._release()

    @pytest.mark.parametrize(
        ("clusters", "release"),
        [
            ([_Cluster(JobRun("j", "ingest", "FAILED", None))], True),
            ([_Cluster(JobRun("j", "ingest", "RUNNING", 10**9))], False),
            ([_Cluster(None), _Cluster(down=True)], False),
            ([_Cluster(None), _Cluster(JobRun("j", "ingest", "RUNNING", 10**9))], False),
            ([_Cluster(None)], True),
            ([], True),
        ],
    )
    def test_flink_is_asked_for_the_jobs_of_the_table(
        self, metastore: Metastore, clusters: list[_Cluster], release: bool
    ) -> None:
        lock = HiveLock(metastore, "janitor", "flinks")
        lock.agent = JAVA.agent
        with lock:
            decisions = [d for d in _janitor(metastore, *clusters).examine() if d.lock.database == "janitor"]
            assert [d.release for d in decisions] == [release]

    def test_one_that_beats_in_between_is_kept(self, metastore: Metastore) -> None:
        lock = HiveLock(metastore, "janitor", "beats")
        lock.agent = JAVA.agent
        with lock:
            janitor = _janitor(metastore)
            (stale,) = [d for d in janitor.examine() if d.lock.database == "janitor"]
            earlier = replace(stale, lock=replace(stale.lock, heartbeat_ms=(stale.lock.heartbeat_ms or 0) - 1))
            kept = janitor.release(earlier)
            assert (kept.release, kept.released) == (False, False)
            assert "just been heard of" in kept.reason
            gone = janitor.release(replace(stale, lock=replace(stale.lock, lock_id=10**9)))
            assert "gone by now" in gone.reason

    @pytest.mark.parametrize("iceberg", [True, False])
    def test_a_nameless_one_must_be_on_an_iceberg_table(self, metastore: Metastore, iceberg: bool) -> None:
        catalog = hive_catalog(metastore.settings.uris[0])
        namespace = new_namespace(catalog)
        if iceberg:
            catalog.create_table(f"{namespace}.t", IDS)
        lock = HiveLock(metastore, namespace, "t")
        lock.agent = "Unknown"
        with lock:
            (decision,) = [d for d in _janitor(metastore).examine() if d.lock.database == namespace]
            assert decision.release is iceberg

    def test_one_that_cannot_be_released_is_reported(self, metastore: Metastore) -> None:
        janitor = _janitor(Metastore(replace(metastore.settings, uris=("thrift://localhost:1",))))
        decision = judge_by_evidence(JAVA, Evidence(Life.DEAD, "gone"), now_ms=NOW)
        failed = janitor.release(decision)
        assert failed.release
        assert not failed.released
        assert "No metastore can be reached" in str(failed.error)


def test_the_record_is_for_this_account_alone_and_has_no_secrets(tmp_path: Path) -> None:
    file = tmp_path / "released.jsonl"
    with recording(file, by=Holder.of_this_process("test")) as append:
        append({"released": True, "reason": "http://ops:hidden@host says so"})
        append({"released": False})
    (line,) = file.read_text().splitlines()
    assert json.loads(line)["reason"] == "http://ops:********@host says so"
    assert file.stat().st_mode & 0o777 == 0o600

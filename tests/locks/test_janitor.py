"""The janitor at a real metastore."""

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from autostream.catalogs.hive_lock import HiveLock, show_hive_locks
from autostream.coordination.lock_holder import Holder, process_started_ms
from autostream.flink.cluster import FlinkCluster
from autostream.hadoop.metastore import Metastore, MetastoreSettings
from autostream.locks.janitor import LockJanitor, metastore_time_ms, recording
from autostream.locks.staleness import HolderEvidence, HolderLife, judge_by_evidence
from tests.flink.serving import Direct
from tests.locks.test_staleness import JAVA, NOW
from tests.support.catalogs import IDS, hive_catalog, new_namespace
from tests.support.hadoop import HiveMetastore
from tests.support.json_server import Answers


def _cluster(state: str = "", *, ran_ms: int | None = None, down: bool = False) -> FlinkCluster:
    """Return a cluster that knows a job `j`, where it has a state, whose only subtask has run for so long."""
    answers = Answers({"/jobs/j": 503 if down else 404})
    if state:
        subtasks = [{"status": "RUNNING", "attempt": 0, "start-time": 0}] if ran_ms is not None else []
        answers.paths |= {
            "/jobs/j": {
                "name": "ingest",
                "state": state,
                "start-time": 0,
                "vertices": [{"id": "v", "name": "sink", "parallelism": 1}],
                "plan": {"nodes": [{"id": "v"}]},
            },
            "/jobs/j/vertices/v": {"now": ran_ms or 0, "subtasks": subtasks},
        }
    return FlinkCluster("prod", Direct(answers))


def _janitor(metastore: Metastore, *clusters: FlinkCluster) -> LockJanitor:
    jobs = ["j"] if clusters else []
    return LockJanitor(metastore, lambda *_: jobs, stale_after_seconds=0, clusters=clusters)


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
            assert f"process {os.getpid()} on this machine is running" in decision.reason

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
        assert f"process {os.getpid()} on this machine has ended" in done.reason
        assert done.to_dict()["lock_id"] == done.lock.lock_id
        with HiveLock(metastore, "janitor", "dead"):
            pass
        dead._release()

    @pytest.mark.parametrize(
        ("clusters", "release"),
        [
            ([_cluster("FAILED")], True),
            ([_cluster("RUNNING", ran_ms=10**9)], False),
            ([_cluster(), _cluster(down=True)], False),
            ([_cluster(), _cluster("RUNNING", ran_ms=10**9)], False),
            ([_cluster()], True),
            ([], True),
        ],
    )
    def test_flink_is_asked_for_the_jobs_of_the_table(
        self, metastore: Metastore, clusters: list[FlinkCluster], release: bool
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
            assert "just sent a heartbeat" in kept.reason
            gone = janitor.release(replace(stale, lock=replace(stale.lock, lock_id=10**9)))
            assert "already released" in gone.reason

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
        decision = judge_by_evidence(JAVA, HolderEvidence(HolderLife.DEAD, "gone"), now_ms=NOW)
        failed = janitor.release(decision)
        assert failed.release
        assert not failed.released
        assert "No metastore answered" in str(failed.error)


def test_the_record_is_for_this_account_alone_and_has_no_secrets(tmp_path: Path) -> None:
    file = tmp_path / "released.jsonl"
    with recording(file, by=Holder.of_this_process("test")) as append:
        append({"released": True, "reason": "http://ops:hidden@host says so"})
        append({"released": False})
    (line,) = file.read_text().splitlines()
    assert json.loads(line)["reason"] == "http://ops:********@host says so"
    assert file.stat().st_mode & 0o777 == 0o600

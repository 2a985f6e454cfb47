"""Stale Hive locks: which ones have outlived their holders, and their release.

A Hive lock whose holder died stays until the metastore's housekeeping finds it, if that runs at all. A lock is stale
when the metastore has not heard of its holder for a configured time *and* nothing else says that the holder lives: its
process, where it ran on this machine, or the Flink job that writes the table.
"""

from __future__ import annotations

import json
import logging
import os
import re
import socket
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Any, Final

from hive_metastore.ttypes import (
    LockComponent,
    LockLevel,
    LockRequest,
    LockType,
    NoSuchObjectException,
    UnlockRequest,
)
from pyiceberg.exceptions import NoSuchTableError
from thrift.Thrift import TException

from autostream import times
from autostream.catalogs.hive import HiveCatalog
from autostream.catalogs.hive_lock import AGENT, HiveLockEntry, release_hive_lock, show_hive_locks
from autostream.config import JanitorSettings
from autostream.coordination.lock_holder import Holder, iso_time, process_started_ms
from autostream.errors import AutostreamError, ConfigurationError, ServiceError
from autostream.flink.jobs import FlinkCluster, JobRun
from autostream.hadoop.metastore import Metastore
from autostream.iceberg.flink_commits import flink_job_ids
from autostream.iceberg.snapshots import snapshots_of
from autostream.masking import mask_all

logger = logging.getLogger(__name__)

# An attempt of a job that started this much after the lock was taken may still have taken it: the ages come from two
# clocks that are read one after the other.
_MARGIN_MS: Final = 60_000
_JOBS_LOOKED_AT: Final = 5
_OWN_AGENT: Final = re.compile(rf"^{AGENT}-[0-9a-f-]{{36}} pid=(?P<pid>\d+) started=(?P<started>\d+)$")
_CLOCK: Final = f"{AGENT}-clock-"
# PyIceberg says nothing, which Thrift's default makes "Unknown".
_NAMELESS: Final = ("Unknown", "")
# Metastore 4.1 elects its leader by locks on a database of its own, with nobody's name on them.
_OWN_DATABASES: Final = "__"
_ICEBERG_AGENTS: Final = ("Iceberg-", f"{AGENT}-")


Row = dict[str, Any]
"""What became of one lock, as JSON carries it."""


class Life(StrEnum):
    """What is known of a lock's holder besides its heartbeats."""

    ALIVE = "alive"
    DEAD = "dead"
    UNKNOWN = "unknown"
    NOT_ASKED = "not-asked"
    """It could be told by somebody who does not answer at the moment: it may well be alive."""


@dataclass(frozen=True)
class Evidence:
    """What was found out about a lock's holder, and how."""

    life: Life
    reason: str


@dataclass(frozen=True)
class Decision:
    """What is done about a lock, and why.

    Attributes:
        lock: the lock.
        release: whether it is stale.
        reason: in words.
        released: whether it was released; False in a dry run, and where somebody else was faster.
        error: why it could not be.
    """

    lock: HiveLockEntry
    release: bool
    reason: str
    released: bool = False
    error: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON carries it."""
        return {
            **asdict(self.lock),
            "stale": self.release,
            "reason": self.reason,
            "released": self.released,
            "error": self.error,
        }


def silent_ms(lock: HiveLockEntry, now_ms: int) -> int:
    """Return for how long the metastore has not heard of a lock's holder, by its own clock."""
    heard = max(lock.heartbeat_ms or 0, lock.acquired_ms or 0)
    return now_ms - heard


def judge_by_heartbeat(lock: HiveLockEntry, *, now_ms: int, stale_after_ms: int) -> Decision | None:
    """Return the decision to keep a lock, where its heartbeats or its kind say so; None if they do not."""
    if lock.transaction_id:
        return Decision(lock, False, f"it belongs to Hive's transaction {lock.transaction_id}, which Hive ends itself")
    if lock.database.startswith(_OWN_DATABASES):
        return Decision(lock, False, "the metastore itself took it")
    if lock.table is None or not (lock.agent in _NAMELESS or lock.agent.startswith(_ICEBERG_AGENTS)):
        return Decision(lock, False, f"no Iceberg writer took it ({lock.agent or 'no agent info'})")
    if not (lock.heartbeat_ms or lock.acquired_ms):
        return Decision(lock, False, "the metastore does not say when it last heard of its holder")
    silent = silent_ms(lock, now_ms)
    if silent < stale_after_ms:
        return Decision(
            lock, False, f"its holder was heard of {silent / 1000:.0f} s ago; stale after {stale_after_ms / 1000:.0f} s"
        )
    return None


def judge_by_evidence(lock: HiveLockEntry, evidence: Evidence, *, now_ms: int) -> Decision:
    """Return what is done about a lock whose holder has been silent for too long."""
    silence = f"nothing heard of its holder for {silent_ms(lock, now_ms) / 1000:.0f} s"
    return Decision(lock, evidence.life in (Life.DEAD, Life.UNKNOWN), f"{silence}; {evidence.reason}")


def evidence_of_process(lock: HiveLockEntry, *, host: str, started_ms: Callable[[int], int | None]) -> Evidence | None:
    """Return whether autostream's own process lives that took a lock; None where this machine cannot tell.

    Args:
        lock: the lock.
        host: this machine's name.
        started_ms: says when a process of this machine started, epoch milliseconds; None if there is none.
    """
    match = _OWN_AGENT.match(lock.agent)
    if match is None or lock.host != host:
        return None
    pid, started = int(match["pid"]), int(match["started"])
    if started_ms(pid) == started:
        return Evidence(Life.ALIVE, f"process {pid} on this machine lives")
    return Evidence(Life.DEAD, f"process {pid} on this machine is gone")


def evidence_of_job(lock: HiveLockEntry, job: JobRun | None, job_id: str, *, now_ms: int) -> Evidence:
    """Return what a Flink job that writes the table says of its lock.

    A job whose committer's attempt is younger than the lock did not take it: an attempt before it did, and is dead.
    Ages are compared, not times, so that no clock has to agree with another.
    """
    if job is None:
        return Evidence(Life.DEAD, f"Flink job {job_id} is not known any more")
    if job.ended:
        return Evidence(Life.DEAD, f"Flink job {job.name} ({job_id}) is {job.state}")
    lock_age_ms = now_ms - (lock.acquired_ms or lock.heartbeat_ms or now_ms)
    if job.committer_age_ms is None:
        return Evidence(Life.DEAD, f"Flink job {job.name} ({job_id}) is {job.state}, and no attempt of it runs")
    if job.committer_age_ms + _MARGIN_MS < lock_age_ms:
        return Evidence(
            Life.DEAD,
            f"Flink job {job.name} ({job_id}) restarted {job.committer_age_ms / 1000:.0f} s ago, after the lock was "
            "taken",
        )
    return Evidence(Life.ALIVE, f"Flink job {job.name} ({job_id}) has been running since before the lock was taken")


def weigh(evidence: Iterable[Evidence]) -> Evidence:
    """Return the whole of what is known: one sign of life counts, and one that may still be given."""
    found = list(evidence)
    for life in (Life.ALIVE, Life.NOT_ASKED, Life.DEAD):
        if reasons := [item.reason for item in found if item.life is life]:
            return Evidence(life, "; ".join(dict.fromkeys(reasons)))
    return Evidence(Life.UNKNOWN, "nothing else tells whether it lives")


def jobs_of_table(catalog: HiveCatalog, database: str, table: str) -> list[str]:
    """Return the ids of the Flink jobs whose snapshots a table has, the newest first.

    Raises:
        ServiceError: the table cannot be read.
    """
    try:
        snapshots = snapshots_of(catalog.load_table((database, table)).metadata)
    except NoSuchTableError:
        return []
    except Exception as error:  # each file system fails in its own way
        raise ServiceError(f"{type(error).__name__}: {error}") from error
    return flink_job_ids(sorted(snapshots, key=lambda snapshot: snapshot.timestamp_ms, reverse=True))


@contextmanager
def recording(file: Path | None, *, by: Holder) -> Iterator[Callable[[Row], None]]:
    """Open the record before anything is released, and give what appends a row to it, a JSON line each.

    Args:
        file: where it is kept; None: nowhere.
        by: who releases the locks.

    Raises:
        ConfigurationError: the file cannot be opened; nothing has been released.
    """
    if file is None:
        yield lambda _row: None
        return
    try:
        # Who holds locks on what is for this account alone, where the file is new.
        lines = os.fdopen(os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "a", encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(
            f"{file} cannot be written to: {error.strerror}. No lock was released. Correct janitor.record_file."
        ) from error

    def append(row: Row) -> None:
        if row["released"]:
            lines.write(json.dumps(mask_all({"at": iso_time(times.now_ms()), "by": str(by), **row})) + "\n")
            lines.flush()

    with lines:
        yield append


@dataclass
class LockJanitor:
    """Finds and releases the stale locks of one metastore.

    Attributes:
        metastore: the metastore.
        job_ids: names the Flink jobs that wrote a table lately, newest first.
        stale_after_seconds: how long a holder must have been silent.
        clusters: Flink clusters that are asked for them.
    """

    metastore: Metastore
    job_ids: Callable[[str, str], Sequence[str]]
    stale_after_seconds: float
    clusters: Sequence[FlinkCluster] = ()

    @classmethod
    def of(cls, catalog: HiveCatalog, settings: JanitorSettings) -> LockJanitor:
        """Return the janitor of a catalog's metastore."""
        return cls(
            metastore=catalog.metastore,
            job_ids=partial(jobs_of_table, catalog),
            clusters=[FlinkCluster(url) for url in settings.flink_urls],
            stale_after_seconds=settings.stale_after_seconds,
        )

    def examine(self) -> list[Decision]:
        """Return what is to be done about each lock of the metastore; nothing is released.

        Raises:
            ServiceError: the metastore does not answer.
        """
        locks = show_hive_locks(self.metastore)
        if not locks:
            return []
        now_ms = metastore_time_ms(self.metastore)
        return [self._judge(lock, now_ms) for lock in locks if not lock.agent.startswith(_CLOCK)]

    def _judge(self, lock: HiveLockEntry, now_ms: int) -> Decision:
        kept = judge_by_heartbeat(lock, now_ms=now_ms, stale_after_ms=round(self.stale_after_seconds * 1000))
        if kept is not None:
            return kept
        if lock.agent in _NAMELESS and not self._is_iceberg(lock):
            return Decision(lock, False, "it has no agent info, and the table is none of Iceberg's")
        own = evidence_of_process(lock, host=socket.gethostname(), started_ms=process_started_ms)
        evidence = own if own is not None else weigh(self._flink(lock, now_ms))
        return judge_by_evidence(lock, evidence, now_ms=now_ms)

    def _is_iceberg(self, lock: HiveLockEntry) -> bool:
        try:
            with self.metastore.session() as client:
                parameters = client.get_table(lock.database, lock.table or "").parameters or {}
        except NoSuchObjectException:
            return False
        except TException as error:
            raise ServiceError(f"The metastore does not describe {lock.database}.{lock.table}: {error}.") from error
        return str(parameters.get("table_type")).upper() == "ICEBERG"

    def _flink(self, lock: HiveLockEntry, now_ms: int) -> list[Evidence]:
        if not self.clusters or lock.table is None:
            return []
        try:
            job_ids = self.job_ids(lock.database, lock.table)[:_JOBS_LOOKED_AT]
        except AutostreamError as error:
            return [Evidence(Life.NOT_ASKED, f"which Flink jobs write the table cannot be read: {error}")]
        return [self._evidence_of_job(lock, job_id, now_ms) for job_id in job_ids]

    def _evidence_of_job(self, lock: HiveLockEntry, job_id: str, now_ms: int) -> Evidence:
        problem = None
        for cluster in self.clusters:
            try:
                job = cluster.job(job_id)
            except ServiceError as error:
                problem = error
                continue
            if job is not None:
                return evidence_of_job(lock, job, job_id, now_ms=now_ms)
        if problem is not None:
            return Evidence(Life.NOT_ASKED, f"Flink job {job_id} may run where nobody answers: {problem}")
        return evidence_of_job(lock, None, job_id, now_ms=now_ms)

    def release(self, decision: Decision) -> Decision:
        """Release a lock if it is stale, after one more look at it; what became of it. Nothing is raised."""
        lock = decision.lock
        if not decision.release:
            return decision
        try:
            again = show_hive_locks(self.metastore, lock.database, lock.table)
            same = next((found for found in again if found.lock_id == lock.lock_id), None)
            if same is None or same.heartbeat_ms != lock.heartbeat_ms:
                reason = "it is gone by now" if same is None else "its holder has just been heard of"
                return Decision(lock, False, reason)
            released = release_hive_lock(self.metastore, lock.lock_id)
        except AutostreamError as error:
            logger.error("Stale %s of %s.%s was not released: %s", lock.holder, lock.database, lock.table, error)
            return Decision(lock, True, decision.reason, error=str(error))
        logger.warning("Released stale %s of %s.%s: %s", lock.holder, lock.database, lock.table, decision.reason)
        return Decision(lock, True, decision.reason, released=released)


def sweep_locks(catalog: HiveCatalog, settings: JanitorSettings, *, dry_run: bool) -> list[Row]:
    """Look through the locks of a catalog's metastore, and release the stale ones, each with a record.

    Returns:
        One row a lock, as JSON carries it.

    Raises:
        ServiceError: the metastore does not answer.
        ConfigurationError: the record cannot be written to; nothing was released.
    """
    janitor = LockJanitor.of(catalog, settings)
    decisions = janitor.examine()

    def row(decision: Decision) -> Row:
        lock = decision.lock
        return {**decision.to_dict(), "table": f"{catalog.name}.{lock.database}.{lock.table or '*'}"}

    if dry_run:
        return [row(decision) for decision in decisions]
    rows = []
    file = Path(settings.record_file) if settings.record_file else None
    with recording(file, by=Holder.of_this_process("lock janitor")) as append:
        for decision in decisions:
            rows.append(row(janitor.release(decision)))
            append(rows[-1])
    return rows


def metastore_time_ms(metastore: Metastore) -> int:
    """Return what time it is for the metastore, epoch milliseconds: heartbeats are compared with its clock, not ours.

    It tells no time, but it stamps locks: one is taken on a name that no table has, looked at, and released.

    Raises:
        ServiceError: the metastore does not answer.
    """
    agent = f"{_CLOCK}{uuid.uuid4()}"
    component = LockComponent(
        level=LockLevel.TABLE,
        type=LockType.SHARED_READ,
        dbname="autostream",
        tablename=f"clock_{agent[-12:]}",
        isTransactional=True,
    )
    request = LockRequest(component=[component], user=AGENT, hostname=socket.gethostname(), agentInfo=agent)
    try:
        with metastore.session() as client:
            lock_id = client.lock(request).lockid
            try:
                entries = show_hive_locks(metastore, component.dbname, component.tablename)
            finally:
                client.unlock(UnlockRequest(lockid=lock_id))
    except TException as error:
        raise ServiceError(f"The metastore's time cannot be found out by a lock: {error}.") from error
    stamps = [max(e.heartbeat_ms or 0, e.acquired_ms or 0) for e in entries if e.agent == agent]
    if not stamps or not stamps[0]:
        raise ServiceError("The metastore does not say when it heard of a lock, so none can be called stale.")
    return stamps[0]

"""The janitor: looks through the Hive locks of metastores, and releases the stale ones, each with a record."""

from __future__ import annotations

import json
import logging
import os
import socket
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
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
from autostream.config import Settings, load_settings
from autostream.coordination.lock_holder import Holder, process_started_ms
from autostream.errors import AutostreamError, ConfigurationError, ServiceError
from autostream.flink.cluster import FlinkCluster, open_clusters
from autostream.flink.jobs import find_job
from autostream.hadoop.metastore import Metastore
from autostream.iceberg.flink_commits import flink_job_ids
from autostream.iceberg.snapshots import snapshots_of
from autostream.locks.hive_locks import hive_catalog_names, open_hive_catalog
from autostream.locks.lock_notices import notice_of_lock
from autostream.locks.staleness import (
    NAMELESS,
    HolderEvidence,
    HolderLife,
    LockDecision,
    evidence_of_job,
    evidence_of_process,
    judge_by_evidence,
    judge_by_heartbeat,
    weigh,
)
from autostream.masking import mask_all
from autostream.notify.telling import tell
from autostream.spelling import one_of
from autostream.times import iso

logger = logging.getLogger(__name__)

_JOBS_LOOKED_AT: Final = 5
_CLOCK: Final = f"{AGENT}-clock-"


Row = dict[str, Any]
"""What became of one lock, as JSON carries it."""


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
            f"Cannot write to {file}: {error.strerror}. No lock was released. Correct janitor.record_file."
        ) from error

    def append(row: Row) -> None:
        if row["released"]:
            lines.write(json.dumps(mask_all({"at": iso(times.now_ms()), "by": str(by), **row})) + "\n")
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
    def of(cls, catalog: HiveCatalog, settings: Settings) -> LockJanitor:
        """Return the janitor of a catalog's metastore."""
        return cls(
            metastore=catalog.metastore,
            job_ids=partial(jobs_of_table, catalog),
            clusters=open_clusters(settings.flink, settings.janitor.flink_clusters, named_by="janitor.flink_clusters"),
            stale_after_seconds=settings.janitor.stale_after_seconds,
        )

    def examine(self) -> list[LockDecision]:
        """Return what is to be done about each lock of the metastore; nothing is released.

        Raises:
            ServiceError: the metastore does not answer.
        """
        locks = show_hive_locks(self.metastore)
        if not locks:
            return []
        now_ms = metastore_time_ms(self.metastore)
        return [self._judge(lock, now_ms) for lock in locks if not lock.agent.startswith(_CLOCK)]

    def _judge(self, lock: HiveLockEntry, now_ms: int) -> LockDecision:
        kept = judge_by_heartbeat(lock, now_ms=now_ms, stale_after_ms=round(self.stale_after_seconds * 1000))
        if kept is not None:
            return kept
        if lock.agent in NAMELESS and not self._is_iceberg(lock):
            return LockDecision(lock, False, "it has no agent info, and the table is not an Iceberg table")
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
            raise ServiceError(f"The metastore did not describe {lock.database}.{lock.table}: {error}.") from error
        return str(parameters.get("table_type")).upper() == "ICEBERG"

    def _flink(self, lock: HiveLockEntry, now_ms: int) -> list[HolderEvidence]:
        if not self.clusters or lock.table is None:
            return []
        try:
            job_ids = self.job_ids(lock.database, lock.table)[:_JOBS_LOOKED_AT]
        except AutostreamError as error:
            return [HolderEvidence(HolderLife.NOT_ASKED, f"cannot read which Flink jobs write to the table: {error}")]
        return [self._evidence_of_job(lock, job_id, now_ms) for job_id in job_ids]

    def _evidence_of_job(self, lock: HiveLockEntry, job_id: str, now_ms: int) -> HolderEvidence:
        problem = None
        for cluster in self.clusters:
            try:
                job = find_job(cluster.rest, job_id)
            except AutostreamError as error:
                problem = error
                continue
            if job is not None:
                return evidence_of_job(lock, job, job_id, now_ms=now_ms)
        if problem is not None:
            return HolderEvidence(
                HolderLife.NOT_ASKED, f"Flink job {job_id} may run on a cluster that does not answer: {problem}"
            )
        return evidence_of_job(lock, None, job_id, now_ms=now_ms)

    def release(self, decision: LockDecision) -> LockDecision:
        """Release a lock if it is stale, after one more look at it; what became of it. Nothing is raised."""
        lock = decision.lock
        if not decision.release:
            return decision
        try:
            again = show_hive_locks(self.metastore, lock.database, lock.table)
            same = next((found for found in again if found.lock_id == lock.lock_id), None)
            if same is None or same.heartbeat_ms != lock.heartbeat_ms:
                reason = "it is already released" if same is None else "its holder has just sent a heartbeat"
                return LockDecision(lock, False, reason)
            released = release_hive_lock(self.metastore, lock.lock_id)
        except AutostreamError as error:
            logger.error("Stale %s of %s.%s was not released: %s", lock.holder, lock.database, lock.table, error)
            return LockDecision(lock, True, decision.reason, error=str(error))
        logger.warning("Released stale %s of %s.%s: %s", lock.holder, lock.database, lock.table, decision.reason)
        return LockDecision(lock, True, decision.reason, released=released)


def sweep_locks(catalog: HiveCatalog, settings: Settings, *, dry_run: bool) -> list[Row]:
    """Look through the locks of a catalog's metastore, and release the stale ones, each with a record.

    Returns:
        One row a lock, as JSON carries it.

    Raises:
        ServiceError: the metastore does not answer.
        ConfigurationError: the record cannot be written to; nothing was released.
    """
    janitor = LockJanitor.of(catalog, settings)
    decisions = janitor.examine()

    def row(decision: LockDecision) -> Row:
        lock = decision.lock
        return {**decision.to_dict(), "table": f"{catalog.name}.{lock.database}.{lock.table or '*'}"}

    if dry_run:
        return [row(decision) for decision in decisions]
    rows = []
    record_file = settings.janitor.record_file
    file = Path(record_file) if record_file else None
    with recording(file, by=Holder.of_this_process("lock janitor")) as append:
        for decision in decisions:
            rows.append(row(janitor.release(decision)))
            append(rows[-1])
    tell(notice for found in rows if (notice := notice_of_lock(found, at_ms=times.now_ms())))
    return rows


@dataclass(frozen=True)
class SweepReport:
    """What the janitor found in several catalogs.

    Attributes:
        rows: One a lock, as JSON carries it.
        problems: Why catalogs could not be looked through.
        dry_run: Whether nothing was to be released.
    """

    rows: tuple[Row, ...]
    problems: tuple[str, ...] = ()
    dry_run: bool = False

    @property
    def ok(self) -> bool:
        """Whether every metastore was asked, and every stale lock released."""
        return not self.problems and not any(row["error"] for row in self.rows)

    def to_dict(self) -> dict[str, Any]:
        """Return it as a JSON document."""
        return {"dry_run": self.dry_run, "locks": list(self.rows), "errors": list(self.problems)}


def sweep_catalogs(names: Sequence[str] = (), *, dry_run: bool) -> SweepReport:
    """Let the janitor through Hive catalogs; one that fails does not block the others.

    Args:
        names: The catalogs; where there are none, those of `janitor.catalogs`, or all that are configured.
        dry_run: Say what would be released, and release nothing.

    Raises:
        ConfigurationError: There is no such Hive catalog, or none at all.
    """
    settings = load_settings()
    known = hive_catalog_names()
    chosen = tuple(names or settings.janitor.catalogs or known)
    if missing := [name for name in chosen if name not in known]:
        raise ConfigurationError(f"Unknown Hive catalog {missing[0]!r}. {one_of(missing[0], known, 'Configured')}")
    if not chosen:
        raise ConfigurationError(
            "No Hive catalog is configured, so there are no Hive locks. Configure a Hive catalog in .pyiceberg.yaml "
            "(type: hive), or by PYICEBERG_CATALOG__NAME__TYPE=hive and "
            "PYICEBERG_CATALOG__NAME__URI=thrift://HOST:9083."
        )
    rows: list[Row] = []
    problems: list[str] = []
    for name in chosen:
        try:
            if (catalog := open_hive_catalog(name)) is not None:
                rows += sweep_locks(catalog, settings, dry_run=dry_run)
        except AutostreamError as error:
            problems.append(f"catalog {name}: {error}")
    return SweepReport(tuple(rows), tuple(problems), dry_run)


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
        raise ServiceError(f"Cannot find out the metastore's time with a lock: {error}.") from error
    stamps = [max(e.heartbeat_ms or 0, e.acquired_ms or 0) for e in entries if e.agent == agent]
    if not stamps or not stamps[0]:
        raise ServiceError(
            "The metastore does not report heartbeats of locks, so autostream cannot tell whether a lock is stale."
        )
    return stamps[0]

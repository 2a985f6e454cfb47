"""Which Hive locks are stale: what is known of their holders, and what follows. Pure.

A Hive lock whose holder died stays until the metastore's housekeeping finds it, if that runs at all. A lock is stale
when the metastore has not heard of its holder for a configured time *and* nothing else says that the holder lives: its
process, where it ran on this machine, or the Flink job that writes the table.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Final

from autostream.catalogs.hive_lock import AGENT, HiveLockEntry
from autostream.flink.jobs import JobRun

# An attempt of a job that started this much after the lock was taken may still have taken it: the ages come from two
# clocks that are read one after the other.
_MARGIN_MS: Final = 60_000
_OWN_AGENT: Final = re.compile(rf"^{AGENT}-[0-9a-f-]{{36}} pid=(?P<pid>\d+) started=(?P<started>\d+)$")
# Metastore 4.1 elects its leader by locks on a database of its own, with nobody's name on them.
_OWN_DATABASES: Final = "__"
NAMELESS: Final = ("Unknown", "")
"""Agents of locks that say nothing of their holder: PyIceberg says nothing, which Thrift's default makes "Unknown"."""
_ICEBERG_AGENTS: Final = ("Iceberg-", f"{AGENT}-")


class HolderLife(StrEnum):
    """What is known of a lock's holder besides its heartbeats."""

    ALIVE = "alive"
    DEAD = "dead"
    UNKNOWN = "unknown"
    NOT_ASKED = "not-asked"
    """It could be told by a service that does not answer at the moment: it may well be alive."""


@dataclass(frozen=True)
class HolderEvidence:
    """What was found out about a lock's holder, and how."""

    life: HolderLife
    reason: str


@dataclass(frozen=True)
class LockDecision:
    """What is done about a lock, and why.

    Attributes:
        lock: the lock.
        release: whether it is stale.
        reason: in words.
        released: whether it was released; False in a dry run, and where another process was faster.
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


def judge_by_heartbeat(lock: HiveLockEntry, *, now_ms: int, stale_after_ms: int) -> LockDecision | None:
    """Return the decision to keep a lock, where its heartbeats or its kind say so; None if they do not."""
    if lock.transaction_id:
        return LockDecision(
            lock, False, f"it belongs to Hive transaction {lock.transaction_id}, and Hive ends its transactions"
        )
    if lock.database.startswith(_OWN_DATABASES):
        return LockDecision(lock, False, "it is a lock of the metastore")
    if lock.table is None or not (lock.agent in NAMELESS or lock.agent.startswith(_ICEBERG_AGENTS)):
        return LockDecision(lock, False, f"it is not a lock of an Iceberg writer ({lock.agent or 'no agent info'})")
    if not (lock.heartbeat_ms or lock.acquired_ms):
        return LockDecision(lock, False, "the metastore does not report when its holder sent the last heartbeat")
    silent = silent_ms(lock, now_ms)
    if silent < stale_after_ms:
        return LockDecision(
            lock,
            False,
            (
                f"its holder sent a heartbeat {silent / 1000:.0f} s ago; a lock is stale after "
                f"{stale_after_ms / 1000:.0f} s"
            ),
        )
    return None


def judge_by_evidence(lock: HiveLockEntry, evidence: HolderEvidence, *, now_ms: int) -> LockDecision:
    """Return what is done about a lock whose holder has been silent for too long."""
    silence = f"no heartbeat of its holder for {silent_ms(lock, now_ms) / 1000:.0f} s"
    return LockDecision(lock, evidence.life in (HolderLife.DEAD, HolderLife.UNKNOWN), f"{silence}; {evidence.reason}")


def evidence_of_process(
    lock: HiveLockEntry, *, host: str, started_ms: Callable[[int], int | None]
) -> HolderEvidence | None:
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
        return HolderEvidence(HolderLife.ALIVE, f"process {pid} on this machine is running")
    return HolderEvidence(HolderLife.DEAD, f"process {pid} on this machine has ended")


def evidence_of_job(lock: HiveLockEntry, job: JobRun | None, job_id: str, *, now_ms: int) -> HolderEvidence:
    """Return what a Flink job that writes the table says of its lock.

    A job whose committer's attempt is younger than the lock did not take it: an attempt before it did, and is dead.
    Ages are compared, not times, so that no clock has to agree with another.
    """
    if job is None:
        return HolderEvidence(HolderLife.DEAD, f"Flink job {job_id} no longer exists")
    name = f"Flink job {job.name} ({job_id})"
    if job.ended:
        return HolderEvidence(HolderLife.DEAD, f"{name} is {job.state}")
    if job.committer_age_ms is None:
        return HolderEvidence(HolderLife.DEAD, f"{name} is {job.state}, and no attempt of it runs")
    lock_age_ms = now_ms - (lock.acquired_ms or lock.heartbeat_ms or now_ms)
    if job.committer_age_ms + _MARGIN_MS < lock_age_ms:
        restarted = f"restarted {job.committer_age_ms / 1000:.0f} s ago, after the lock was taken"
        return HolderEvidence(HolderLife.DEAD, f"{name} {restarted}")
    return HolderEvidence(HolderLife.ALIVE, f"{name} has been running since before the lock was taken")


def weigh(evidence: Iterable[HolderEvidence]) -> HolderEvidence:
    """Return the whole of what is known: one sign of life counts, and one that may still be given."""
    found = list(evidence)
    for life in (HolderLife.ALIVE, HolderLife.NOT_ASKED, HolderLife.DEAD):
        if reasons := [item.reason for item in found if item.life is life]:
            return HolderEvidence(life, "; ".join(dict.fromkeys(reasons)))
    return HolderEvidence(HolderLife.UNKNOWN, "nothing else shows whether its holder is alive")

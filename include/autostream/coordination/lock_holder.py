"""Who holds a lock, or waits for it: what is written into the lock node for people to read."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Final

from autostream import times
from autostream.account import user_name
from autostream.times import iso

_VERSION: Final = 1
_AIRFLOW: Final = {
    "airflow_dag_id": "AIRFLOW_CTX_DAG_ID",
    "airflow_run_id": "AIRFLOW_CTX_DAG_RUN_ID",
    "airflow_task_id": "AIRFLOW_CTX_TASK_ID",
}


@dataclass(frozen=True)
class Holder:
    """Identity of a process that holds a lock or waits for it. What is not known is None.

    Attributes:
        user: Account of the operating system, or the one that acts for it.
        host: Name of the machine.
        pid: Number of the process on it.
        process_started_ms: When the process began, epoch milliseconds; tells it from a later one of the same number.
        what: What the lock is for, such as `compaction`.
        queued_ms: When it asked for the lock, epoch milliseconds.
        since_ms: Since when it holds the lock (or, while it waits, queued_ms), epoch milliseconds.
        airflow_dag_id: DAG of the Airflow run that it belongs to.
        airflow_run_id: Id of that run.
        airflow_task_id: Task within it.
        agent: What a lock of another kind says of its holder.
    """

    user: str | None = None
    host: str | None = None
    pid: int | None = None
    process_started_ms: int | None = None
    what: str | None = None
    queued_ms: int | None = None
    since_ms: int | None = None
    airflow_dag_id: str | None = None
    airflow_run_id: str | None = None
    airflow_task_id: str | None = None
    agent: str | None = None

    @classmethod
    def of_this_process(
        cls, what: str, *, now_ms: int | None = None, environ: Mapping[str, str] | None = None
    ) -> Holder:
        """Return the identity of this process, as of now.

        Args:
            what: What the lock is for.
            now_ms: The time, epoch milliseconds; the clock's when None.
            environ: Environment variables, which name the Airflow run; those of the process when None.
        """
        variables = os.environ if environ is None else environ
        now = times.now_ms() if now_ms is None else now_ms
        return cls(
            user=user_name(),
            host=socket.gethostname(),
            pid=os.getpid(),
            process_started_ms=process_started_ms(os.getpid()),
            what=what,
            queued_ms=now,
            since_ms=now,
            **{name: variables.get(variable) or None for name, variable in _AIRFLOW.items()},
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> Holder:
        """Return what a node says; a holder of whom nothing is known where that cannot be understood."""
        try:
            document = json.loads(data)
        except ValueError:
            return cls()
        if not isinstance(document, dict):
            return cls()
        said: dict[str, Any] = {
            field.name: document[field.name]
            for field in fields(cls)
            if isinstance(document.get(field.name), int if str(field.type).startswith("int") else str)
        }
        return cls(**said)

    def to_bytes(self) -> bytes:
        """Return what is written into the node."""
        said = {"version": _VERSION} | {name: value for name, value in asdict(self).items() if value is not None}
        return json.dumps(said, ensure_ascii=False).encode()

    def to_dict(self) -> dict[str, Any]:
        """All of it as a JSON document, times both ways."""
        return asdict(self) | {"since": iso(self.since_ms), "queued": iso(self.queued_ms)}

    def is_this_process(self) -> bool:
        """Whether this very process is meant."""
        return (self.host, self.pid) == (socket.gethostname(), os.getpid())

    @property
    def who(self) -> str:
        """Who that is: a run of Airflow, or an account and its machine."""
        return self.airflow_run or f"{self.user or 'unknown'}@{self.host}"

    @property
    def airflow_run(self) -> str | None:
        """The Airflow run as `DAG.TASK RUN`, or None."""
        if self.airflow_dag_id is None:
            return None
        task = f"{self.airflow_dag_id}.{self.airflow_task_id}" if self.airflow_task_id else self.airflow_dag_id
        return f"{task} {self.airflow_run_id}" if self.airflow_run_id else task

    def __str__(self) -> str:
        """All that helps to find it: `svc on host-7, process 4711 (compaction, since ..., Airflow ...)`."""
        if self == Holder():
            return "an unknown holder"
        words = [self.user or "unknown user"]
        if self.host:
            words.append(f"on {self.host}")
        place = " ".join(words) + (f", process {self.pid}" if self.pid is not None else "")
        details = [self.what, self.agent]
        details.append(f"since {iso(self.since_ms)}" if self.since_ms is not None else None)
        details.append(f"Airflow {self.airflow_run}" if self.airflow_run else None)
        said = ", ".join(detail for detail in details if detail)
        return f"{place} ({said})" if said else place


def process_started_ms(pid: int) -> int | None:
    """When a process of this machine began, epoch milliseconds; None where that cannot be told.

    The kernel counts it from the boot; where the clock has been set since, two answers may differ by that.
    """
    try:
        # The name of the program may hold spaces and brackets: what counts comes after the last one.
        ticks = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
        booted = next(line for line in Path("/proc/stat").read_text().splitlines() if line.startswith("btime "))
        return int(booted.split()[1]) * 1000 + ticks * 1000 // os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError, StopIteration):
        return None

"""Real Flink jobs in event time: started, killed, restored and failed, and what their tables must hold.

Each runs in a JVM of its own (scripts/services/java/src/flink/EventJob.java, which says what the options do)::

    job = event_jobs.start(lake, tmp_path, "db.events", sink="v2", rate=400, ckpt=300)
    w = min(wait_for("watermarks", job.watermarks).values())
    job.fail_over()
    job.kill()
    job = job.restored()
"""

import contextlib
import dataclasses
import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import pyarrow.parquet as pq
import requests
from pyiceberg.catalog import Catalog
from pyiceberg.manifest import DataFileContent
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.types import LongType, NestedField, StringType, TimestamptzType

from tests.support.java import JAVA, need_java

T0 = 1_700_000_000_000
STEP = 10
OUT_OF_ORDER = 2000
END_OF_TIME = 2**63 - 1
"""The watermark of a source that has ended."""
UPSERTED = Schema(
    NestedField(1, "id", LongType(), required=True),
    NestedField(2, "v", LongType()),
    NestedField(3, "ts", TimestamptzType()),
    NestedField(4, "s", StringType()),
    identifier_field_ids=[1],
)
APPENDED = Schema(*UPSERTED.fields)

_WRITER = re.compile(r"\d+\..*(IcebergStreamWriter|__Writer)\.currentInputWatermark")
_ENDED = ("FINISHED", "CANCELED", "FAILED")
_T = TypeVar("_T")


def event_time(n: int, *, t0: int = T0, step: int = STEP, ooo: int = OUT_OF_ORDER) -> int:
    """Return the event time of row ``n`` in ms: up to ``ooo`` before ``t0 + n * step``."""
    return t0 + n * step - ((n * 2654435761) ^ (n >> 3)) % (ooo + 1)


def rows_up_to(
    w: int, *, first: int = 0, end: int | None = None, t0: int = T0, step: int = STEP, ooo: int = OUT_OF_ORDER
) -> list[int]:
    """Return the numbers of all rows of ``first .. end - 1`` with an event time up to ``w``."""
    last = (w - t0 + ooo) // step
    numbers = range(first, last + 1 if end is None else min(end, last + 1))
    return [n for n in numbers if event_time(n, t0=t0, step=step, ooo=ooo) <= w]


def wait_for(what: str, probe: Callable[[], _T], *, timeout_seconds: float = 180) -> _T:
    """Ask again and again until the answer is true, and return it."""
    deadline = time.monotonic() + timeout_seconds
    while not (answer := probe()):
        assert time.monotonic() < deadline, f"{what}: not within {timeout_seconds} s"
        time.sleep(0.05)
    return answer


def create_table(catalog: Catalog, name: str, *, upsert: bool = False, **properties: str) -> Table:
    """Create a table for a job; underscores of the properties' names are dots, two of them are a dash."""
    given = {key.replace("__", "-").replace("_", "."): value for key, value in properties.items()}
    # Whatever else commits, the job must not tire of losing races.
    defaults = {"format-version": "2", "commit.retry.num-retries": "30"}
    return catalog.create_table(name, UPSERTED if upsert else APPENDED, properties={**defaults, **given})


class Rows:
    """Which rows are in a snapshot; each data file is read once."""

    def __init__(self) -> None:
        self._files: dict[str, list[int]] = {}

    def __call__(
        self, table: Table, snapshot_id: int | None = None, *, metadata: TableMetadata | None = None
    ) -> set[int]:
        """Return ``v`` of all rows in the data files, deletes not applied: upserted rows are there as long as their
        file is.
        """
        metadata = metadata or table.metadata
        snapshot = metadata.current_snapshot() if snapshot_id is None else metadata.snapshot_by_id(snapshot_id)
        found: set[int] = set()
        for manifest in snapshot.manifests(table.io) if snapshot else []:
            for entry in manifest.fetch_manifest_entry(table.io, discard_deleted=True):
                if entry.data_file.content == DataFileContent.DATA:
                    found.update(self._read(entry.data_file.file_path))
        return found

    def _read(self, path: str) -> list[int]:
        if path not in self._files:
            self._files[path] = pq.read_table(path.removeprefix("file:"), columns=["v"])["v"].to_pylist()
        return self._files[path]


@dataclasses.dataclass
class EventJob:
    """A job that runs, or ran.

    Attributes:
        job_id: Flink's.
        rest: URL of its cluster.
        process: its JVM.
        options: what it was started with.
        directory: where its logs, checkpoints and savepoints are.
    """

    job_id: str
    rest: str
    process: "subprocess.Popen[bytes]"
    options: dict[str, str]
    directory: Path

    # ------------------------------------------------------------------------------------------ REST
    def get(self, path: str = "") -> Any:
        """Return what the cluster answers on ``/jobs/ID`` + path."""
        answer = requests.get(f"{self.rest}/jobs/{self.job_id}{path}", timeout=120)
        answer.raise_for_status()
        return answer.json()

    def post(self, path: str, body: dict[str, Any]) -> Any:
        """Send something to ``/jobs/ID`` + path."""
        answer = requests.post(f"{self.rest}/jobs/{self.job_id}{path}", json=body, timeout=120)
        answer.raise_for_status()
        return answer.json()

    @property
    def state(self) -> str:
        """RUNNING, RESTARTING, FINISHED, ..."""
        return str(self.get()["state"])

    def watermarks(self) -> dict[str, int]:
        """Return the watermark of each writer's subtask, by metric; empty until the cluster has asked the tasks.

        A writer that is chained to its source has it as an operator only: ``/watermarks`` knows nothing of it.
        """
        found: dict[str, int] = {}
        for vertex in self.get()["vertices"]:
            path = f"/vertices/{vertex['id']}/metrics"
            # FlinkSink ends in one more "Writer", which writes nothing and is called IcebergSink.
            ids = [m["id"] for m in self.get(path) if _WRITER.fullmatch(m["id"]) and "IcebergSink" not in m["id"]]
            if ids:
                found.update({m["id"]: int(m["value"]) for m in self.get(f"{path}?get={quote(','.join(ids))}")})
        return found

    def attempts(self) -> dict[str, list[int]]:
        """Return the attempts of all subtasks, by vertex."""
        vertices = [vertex["id"] for vertex in self.get()["vertices"]]
        return {v: [task["attempt"] for task in self.get(f"/vertices/{v}")["subtasks"]] for v in vertices}

    def checkpoints(self) -> dict[str, Any]:
        """Return what is known of the checkpoints."""
        answer: dict[str, Any] = self.get("/checkpoints")
        return answer

    def wait_until_running(self, *, timeout_seconds: float = 180) -> None:
        """Return when all tasks run."""

        def runs() -> bool:
            self._check()
            vertices = self.get()["vertices"]
            return all(vertex["status"] == "RUNNING" for vertex in vertices)

        wait_for("all tasks run", runs, timeout_seconds=timeout_seconds)

    def wait_until_ended(self, *, timeout_seconds: float = 300) -> str:
        """Return the state in which the job ended; needs the option ``linger``."""
        wait_for("the job's end", lambda: self.state in _ENDED, timeout_seconds=timeout_seconds)
        return self.state

    def wait_for_checkpoint(self, after: int = 0, *, timeout_seconds: float = 180) -> int:
        """Return the id of the newest completed checkpoint once it is above ``after``."""

        def newest() -> int | None:
            self._check()
            completed = self.checkpoints()["latest"]["completed"]
            return completed["id"] if completed and completed["id"] > after else None

        return wait_for(f"a checkpoint after {after}", newest, timeout_seconds=timeout_seconds) or 0

    # --------------------------------------------------------------------------------------- actions
    def checkpoint(self) -> int:
        """Trigger a checkpoint and return its id when it is complete."""
        request = self.post("/checkpoints", {"checkpointType": "FULL"})["request-id"]
        return int(self._operation(f"/checkpoints/{request}")["checkpointId"])

    def savepoint(self) -> str:
        """Make a savepoint and return its place; the job goes on."""
        body = {"target-directory": f"file://{self.directory}/savepoints", "cancel-job": False}
        request = self.post("/savepoints", body)["request-id"]
        return str(self._operation(f"/savepoints/{request}")["location"])

    def stop(self, *, drain: bool = False) -> str:
        """Stop the job with a savepoint and return its place."""
        body = {"targetDirectory": f"file://{self.directory}/savepoints", "drain": drain}
        request = self.post("/stop", body)["request-id"]
        return str(self._operation(f"/savepoints/{request}")["location"])

    def cancel(self) -> None:
        """Ask for the end of the job."""
        requests.patch(f"{self.rest}/jobs/{self.job_id}?mode=cancel", timeout=120).raise_for_status()

    def fail_over(self, *, wait: bool = True) -> None:
        """Let a task fail; wait until all tasks run again, one at least as another attempt. Needs rows that flow."""
        before = self.attempts()
        Path(self.options["failfile"]).touch()
        if not wait:
            return

        def other() -> bool:
            self._check()
            return self.attempts() != before

        wait_for("other attempts", other)
        self.wait_until_running()

    def kill(self) -> None:
        """End the JVM at once, as kill -9 does."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def newest_checkpoint(self) -> Path:
        """Return the newest retained checkpoint, of a dead job too."""
        found = [path.parent for path in (self.directory / "checkpoints" / self.job_id).glob("chk-*/_metadata")]
        assert found, f"job {self.job_id} kept no checkpoint"
        return max(found, key=lambda path: int(path.name.removeprefix("chk-")))

    def restored(self, path: str | Path | None = None, **changes: object) -> "EventJob":
        """Start a job like this one, from its newest checkpoint or the one given, without options that are None."""
        options = {**self.options, "restore": path or self.newest_checkpoint(), **changes}
        return _start(_texts(options), self.directory)

    def record(self, directory: Path) -> None:
        """Write what the cluster answers of this job to files, for tests without a cluster (tests/fixtures/flink-rest).

        Left out: what nobody reads and is long, and metrics that tell neither watermark nor time.
        """
        directory.mkdir(parents=True, exist_ok=True)

        def write(name: str, answer: Any) -> Any:
            text = json.dumps(answer, indent=1).replace(str(self.directory), "/flink")
            (directory / f"{name}.json").write_text(text + "\n")
            return answer

        write("cluster", requests.get(f"{self.rest}/config", timeout=120).json())
        write("overview", requests.get(f"{self.rest}/jobs/overview", timeout=120).json())
        pages = {"config": "/config", "checkpoints": "/checkpoints", "checkpoints-config": "/checkpoints/config"}
        for name, path in pages.items():
            write(name, self.get(path))
        write("job-metrics", self.get("/metrics?get=numRestarts"))
        job = write("job", {key: value for key, value in self.get().items() if key != "stream-graph"})
        for number, vertex in enumerate(job["vertices"]):
            path = f"/vertices/{vertex['id']}"
            write(f"vertex-{number}", {k: v for k, v in self.get(path).items() if k != "aggregated"})
            write(f"watermarks-{number}", self.get(f"{path}/watermarks"))
            told = re.compile(r"\d+\.(.*current(In|Out)putWatermark|accumulate(Idle|Busy|BackPressured)TimeMs)")
            ids = write(f"metric-ids-{number}", [m for m in self.get(f"{path}/metrics") if told.fullmatch(m["id"])])
            asked = quote(",".join(m["id"] for m in ids))
            write(f"metrics-{number}", self.get(f"{path}/metrics?get={asked}") if ids else [])

    def log(self) -> str:
        """Return the end of what the JVM printed."""
        return (self.directory / f"{self.process.pid}.log").read_text()[-4000:]

    def _operation(self, path: str) -> dict[str, Any]:
        answer = wait_for(path, lambda: self._ended_operation(path))
        assert "failure-cause" not in answer["operation"], answer
        operation: dict[str, Any] = answer["operation"]
        return operation

    def _ended_operation(self, path: str) -> Any:
        answer = self.get(path)
        return answer if answer["status"]["id"] == "COMPLETED" else None

    def _check(self) -> None:
        assert self.process.poll() is None, self.log()


def start(catalog: Catalog, directory: Path, *tables: str, **options: object) -> EventJob:
    """Start a job into tables of a SqlCatalog on SQLite and return when all its tasks run, or it has ended.

    The options are those of EventJob.java; ``failfile`` and ``ckptdir`` are given. The process that starts it kills it.
    """
    need_java("flink")
    directory.mkdir(parents=True, exist_ok=True)
    given = {
        "catalog": catalog.name,
        "database": catalog.properties["uri"].removeprefix("sqlite:///"),
        "warehouse": catalog.properties["warehouse"],
        "table": ",".join(tables),
        "fetch": "300",
        "failfile": directory / "fail",
        "ckptdir": directory / "checkpoints",
        **options,
    }
    return _start(_texts(given), directory)


@contextlib.contextmanager
def running(catalog: Catalog, directory: Path, *tables: str, **options: object) -> Iterator[EventJob]:
    """Start a job as :func:`start` does, and kill it at the end."""
    job = start(catalog, directory, *tables, **options)
    try:
        yield job
    finally:
        job.kill()


def _texts(options: dict[str, Any]) -> dict[str, str]:
    return {key: str(value) for key, value in options.items() if value is not None}


def _start(options: dict[str, str], directory: Path) -> EventJob:
    # Compiled by C1 alone, a job is up in half the time on few cores.
    environment = {**os.environ, "JAVA_OPTS": "-Xmx512m -XX:TieredStopAtLevel=1"}
    command = [str(JAVA), "run", "flink", "EventJob", *(f"{key}={value}" for key, value in options.items())]
    with (directory / "starting.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
    log_file = (directory / "starting.log").rename(directory / f"{process.pid}.log")

    def ready() -> re.Match[str] | None:
        found = re.search(r"^READY job=(\S+) rest=(\S+)$", log_file.read_text(), re.MULTILINE)
        assert found or process.poll() is None, log_file.read_text()[-4000:]
        return found

    try:
        found = wait_for("the job's start", ready, timeout_seconds=300)
        assert found is not None
        job = EventJob(found[1], found[2], process, options, directory)
        wait_for("all tasks run", lambda: _runs_or_ended(job))
    except BaseException:
        process.kill()
        process.wait()
        raise
    return job


def _runs_or_ended(job: EventJob) -> bool:
    if job.process.poll() is not None:
        return True
    try:
        answer = job.get()
    except requests.ConnectionError:
        return job.process.poll() is not None
    return answer["state"] in _ENDED or all(v["status"] in ("RUNNING", "FINISHED") for v in answer["vertices"])

"""Flink clusters made up for tests of the recorder: jobs that read, checkpoint and commit as the clock goes on."""

import time
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from typing import Any

from pyiceberg.catalog import Catalog
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Operation, Snapshot, Summary
from pyiceberg.table.update import AddSnapshotUpdate, RemoveSnapshotsUpdate, SetSnapshotRefUpdate, TableUpdate

from autostream.config import FlinkClusterSettings, WatermarkSettings
from autostream.errors import ServiceError
from autostream.flink.cluster import FlinkCluster
from autostream.flink.rest import FlinkRest
from autostream.notices import Notice
from autostream.times import Clock
from autostream.watermark.changes import WatermarkChange
from autostream.watermark.codec import read_properties
from autostream.watermark.events import EventKind
from autostream.watermark.marks import TableMark
from autostream.watermark.recording.leadership import Leadership
from autostream.watermark.recording.recorder import Recorder

T0 = 1_795_572_000_000
"""Wall-clock time at which every test begins: 2026-11-25T02:00Z."""
REFRESH = 3.0
END_OF_INPUT = 2**63 - 1
_KEPT = 6


class AtOnce(Executor):
    """Makes every call when it is submitted."""

    def submit(self, call: Callable[..., Any], /, *arguments: Any, **named: Any) -> Future[Any]:
        done: Future[Any] = Future()
        try:
            done.set_result(call(*arguments, **named))
        except BaseException as error:
            done.set_exception(error)
        return done


@dataclass
class Job:
    """A job that writes to tables; its watermark is ``lag`` seconds behind the clock."""

    id: str
    name: str
    tables: tuple[str, ...]
    parameters: Mapping[str, str] = field(default_factory=dict)
    lag: float = 5.0
    state: str = "RUNNING"
    attempt: int = 0
    started_ms: int = 0
    restored: tuple[int, int] | None = None
    history: list[tuple[int, str]] = field(default_factory=list)
    commits: bool = True
    checkpointing: bool = True
    unaligned: bool = False
    listed: bool = True
    read_ms: int | None = None
    ran_ms: int = 0
    committed_ms: dict[str, int] = field(default_factory=dict)
    behind: Mapping[str, float] = field(default_factory=dict)
    """By how much more a sink is behind the clock, in seconds."""

    @property
    def operators(self) -> list[str]:
        return [f"{table}: Writer" for table in self.tables]


@dataclass
class Cluster:
    """A job manager."""

    jobs: list[Job] = field(default_factory=list)
    down: bool = False
    version: str = "2.1.3"
    broken: Any = None
    asked: Counter[str] = field(default_factory=Counter)
    posted: list[str] = field(default_factory=list)

    def answer(self, path: str, parameters: Mapping[str, str]) -> Any:
        """Answer a GET."""
        self.asked[path.split("/")[-1]] += 1
        if self.down:
            raise ServiceError(f"Flink does not answer {path}: connection refused.")
        if path == "/config":
            return {"refresh-interval": REFRESH * 1000, "flink-version": self.version}
        if path == "/jobs/overview":
            listed = [job for job in self.jobs if job.listed]
            return {
                "jobs": [
                    {"jid": job.id, "name": job.name, "state": job.state, "start-time": job.started_ms}
                    for job in listed
                ]
            }
        if self.broken is not None:
            return self.broken
        job = next((job for job in self.jobs if job.id == path.split("/")[2]), None)
        return None if job is None else self._about(job, "/".join(path.split("/")[3:]), parameters)

    def _about(self, job: Job, page: str, parameters: Mapping[str, str]) -> Any:
        running = job.state == "RUNNING"
        pages: dict[str, Callable[[], Any]] = {
            "": lambda: {
                "state": job.state,
                "start-time": job.started_ms,
                "vertices": [{"id": "v", "name": f"Source: rows -> ({', '.join(job.operators)})", "parallelism": 1}],
                "plan": {"nodes": [{"id": "v"}]},
            },
            "config": lambda: {"execution-config": {"user-config": dict(job.parameters)}},
            "metrics": lambda: [{"id": "numRestarts", "value": str(job.attempt)}] if running else [],
            "vertices/v": lambda: {"subtasks": [{"attempt": job.attempt, "status": job.state}]},
            "vertices/v/metrics": lambda: self.metrics_page(job, parameters),
            "checkpoints/config": lambda: {"unaligned_checkpoints": job.unaligned} if job.checkpointing else None,
            "checkpoints": lambda: self.checkpoints_page(job) if job.checkpointing else None,
        }
        return pages[page]()

    def checkpoints_page(self, job: Job) -> Any:
        restored = job.restored and {"id": job.restored[0], "restore_timestamp": job.restored[1]}
        return {
            "counts": {"completed": len(job.history)},
            "latest": {"restored": restored},
            "history": [{"id": n, "status": "COMPLETED", "checkpoint_type": kind} for n, kind in job.history[-10:]],
        }

    def metrics_page(self, job: Job, parameters: Mapping[str, str]) -> Any:
        watermarks = [f"0.{op.replace(': ', '__').replace('.', '_')}.currentInputWatermark" for op in job.operators]
        if "get" not in parameters:
            return [{"id": name} for name in watermarks]
        values = {"0.accumulateIdleTimeMs": str(job.ran_ms)}
        for table, name in zip(job.tables, watermarks, strict=True):
            behind_ms = round(job.behind.get(table, 0) * 1000)
            values[name] = str(-(2**63) if job.read_ms is None else job.read_ms - behind_ms)
        return [{"id": name, "value": values[name]} for name in parameters["get"].split(",") if name in values]


class _Rest(FlinkRest):
    def __init__(self, cluster: Cluster, name: str) -> None:
        super().__init__(FlinkClusterSettings(name=name, url=(f"http://{name}",)))
        self._cluster = cluster

    def get(self, path: str, parameters: Mapping[str, str] | None = None) -> Any:
        return self._cluster.answer(path, parameters or {})

    def post(self, path: str, body: Mapping[str, Any]) -> Any:
        if self._cluster.down:
            raise ServiceError(f"Flink does not answer {path}: connection refused.")
        self._cluster.posted.append(path)


class World(Clock):
    """Clusters, tables, and recorders of them; and the clock that they all go by."""

    def __init__(self, catalog: Catalog, *clusters: Cluster) -> None:
        self.catalog = catalog
        self.clusters = clusters
        self.now = 0.0
        self.skew_ms = 0
        self.publications: list[tuple[float, WatermarkChange]] = []
        self.notices: list[tuple[float, Notice]] = []
        self.recorders: list[Recorder] = []
        self.checkpoint_seconds = 10.0
        self.catalog_is_down = False
        self._checkpoint_due = 0.0

    def record(
        self,
        *rules: Mapping[str, str],
        leadership: Leadership | None = None,
        on_publication: Callable[[Table, WatermarkChange], None] | None = None,
        **settings: Any,
    ) -> Recorder:
        """Start a recorder of all clusters."""

        def published(_: Table, change: WatermarkChange) -> None:
            self.publications.append((self.now, change))

        names = {f"flink-{number}": cluster for number, cluster in enumerate(self.clusters)}
        made = Recorder(
            WatermarkSettings.model_validate({"writers": list(rules), **settings}),
            [FlinkCluster(name, _Rest(cluster, name)) for name, cluster in names.items()],
            leadership=leadership,
            on_publication=on_publication or published,
            on_notice=lambda notice: self.notices.append((self.now, notice)),
            open_catalog=self._open,
            pool=lambda _: AtOnce(),
        )
        self.recorders.append(made)
        return made

    def _open(self, _: str) -> Catalog:
        return _Failing(self)  # type: ignore[return-value]

    @property
    def wall_ms(self) -> int:
        return T0 + round(self.now * 1000) + self.skew_ms

    def now_ms(self) -> int:
        return self.wall_ms

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        assert seconds == 0, "nobody waits in here"

    def go(self, seconds: float) -> None:
        """Let time pass, in half seconds."""
        for _ in range(round(seconds * 2)):
            self.now += 0.5
            checkpoint = self.now >= self._checkpoint_due
            if checkpoint:
                self._checkpoint_due = self.now + self.checkpoint_seconds
            for cluster in self.clusters:
                for job in cluster.jobs:
                    if job.state == "RUNNING":
                        job.ran_ms += 500
                        job.read_ms = self.wall_ms - round(job.lag * 1000)
                        if checkpoint:
                            self.checkpoint(job)
            for recorder in self.recorders:
                recorder.step()
                recorder.step()

    def checkpoint(self, job: Job, *, kind: str = "CHECKPOINT", as_id: int | None = None) -> None:
        """Let a job make a checkpoint, and commit it."""
        number = max([job.restored[0] if job.restored else 0, *(n for n, _ in job.history)]) + 1
        job.history.append((number, kind))
        if job.commits:
            for table in job.tables:
                self.commit(job, table, number if as_id is None else as_id)

    def commit(self, job: Job, table: str, checkpoint_id: int, *, operator: str = "") -> None:
        """Let a job's sink commit, which is called as its table is, unless it has another name."""
        name = table.partition(".")[2]
        if not self.catalog.table_exists(name):
            return
        summary = {"flink.job-id": job.id, "flink.operator-id": operator or table}
        _add_snapshot(
            self.catalog.load_table(name), {**summary, "flink.max-committed-checkpoint-id": str(checkpoint_id)}
        )
        job.committed_ms[table] = job.read_ms or 0

    def mark(self, table: str = "db.a") -> TableMark:
        """What a table's properties say."""
        return read_properties(f"lake.{table}", self.catalog.load_table(table).properties)

    def advances(self, writer: str | None = None) -> list[int]:
        """Watermarks of a writer, or of the table, in the order in which they were published."""
        events = [event for _, change in self.publications for event in change.events]
        return [e.watermark_ms for e in events if e.writer == writer and e.kind is EventKind.ADVANCE and e.watermark_ms]


def _add_snapshot(table: Table, summary: dict[str, str]) -> None:
    """Commit a snapshot that nobody will read, and let go of all but a few of those before."""
    metadata = table.metadata
    snapshot = Snapshot(
        snapshot_id=(metadata.current_snapshot_id or 0) + 1,
        parent_snapshot_id=metadata.current_snapshot_id,
        sequence_number=metadata.last_sequence_number + 1,
        timestamp_ms=max(time.time_ns() // 1_000_000, metadata.last_updated_ms),
        manifest_list="file:/nowhere",
        summary=Summary(Operation.APPEND, **summary),
        schema_id=metadata.current_schema_id,
    )
    updates: list[TableUpdate] = [
        AddSnapshotUpdate(snapshot=snapshot),
        SetSnapshotRefUpdate(ref_name="main", type="branch", snapshot_id=snapshot.snapshot_id),
    ]
    if len(metadata.snapshots) > _KEPT:
        updates.append(RemoveSnapshotsUpdate(snapshot_ids=[s.snapshot_id for s in metadata.snapshots[:-_KEPT]]))
    table._do_commit(tuple(updates), ())


class _Failing:
    """A catalog that may be down."""

    def __init__(self, world: World) -> None:
        self._world = world

    def __getattr__(self, name: str) -> Any:
        if self._world.catalog_is_down:
            raise ConnectionError("connection refused")
        return getattr(self._world.catalog, name)

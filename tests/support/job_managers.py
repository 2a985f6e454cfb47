"""A stand-in for a job manager: what Flink 2.3 answers about jobs that do the same all the time.

Each job has a source, a vertex that works and a sink, on task managers of their own or shared ones. All counters follow
from the time that `seconds` tells, so what a collector makes of them is known: 100 records a second, and half a core of
each task manager.
"""

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

VERTICES = ("Source: orders", "enrich", "sink: Writer")
STARTED_MS = 1_795_000_000_000
_SOURCE = ("pendingRecords", "numRecordsIn", "numRecordsOut", "numRecordsOutPerSecond", "currentFetchEventTimeLag")
_TASK = (
    "busyTimeMsPerSecond",
    "idleTimeMsPerSecond",
    "backPressuredTimeMsPerSecond",
    "accumulateBusyTimeMs",
    "accumulateIdleTimeMs",
    "accumulateBackPressuredTimeMs",
    "numRecordsIn",
    "numRecordsOut",
    "numRecordsInPerSecond",
    "currentInputWatermark",
)
# Names that Flink has besides, about as many as there are.
_OTHERS = tuple(f"Shuffle.Netty.metric{number}" for number in range(70))


class StandInJobManager:
    """Answers by path.

    Attributes:
        seconds: How long its jobs have run.
        asked: How many requests it was sent.
        states: State of each job, by its number.
    """

    def __init__(self, jobs: int, *, seconds: Callable[[], float], name: str = "job", slots: int = 2) -> None:
        self.seconds = seconds
        self.asked = 0
        self.states = ["RUNNING"] * jobs
        self._slots = slots
        self._names = [f"{name}-{number}" for number in range(jobs)]
        self._ids = [hashlib.md5(name.encode()).hexdigest() for name in self._names]

    @property
    def task_managers(self) -> list[str]:
        """Ids of its task managers: each runs as many jobs as it has slots."""
        return [f"127.0.0.1:4{n:04}-{n:06x}" for n in range(-(-len(self._ids) // self._slots))]

    def answer(self, target: str) -> Any:
        """Return what a request is answered by; None is 404."""
        self.asked += 1
        split = urlsplit(target)
        names = parse_qs(split.query).get("get", [""])[0]
        match [unquote(part) for part in split.path.strip("/").split("/")]:
            case ["config"]:
                return {"refresh-interval": 3000, "flink-version": "2.3.0"}
            case ["jobmanager", "config"]:
                return [{"key": "jobmanager.scheduler", "value": "adaptive"}]
            case ["jobmanager", "metrics"]:
                return [{"id": "numRunningJobs", "value": str(len(self._ids))}]
            case ["jobs", "overview"]:
                return {"jobs": [self._listed(number) for number in range(len(self._ids))]}
            case ["taskmanagers"]:
                return {"taskmanagers": [self._task_manager(one) for one in self.task_managers]}
            case ["taskmanagers", one]:
                return self._task_manager(one) | {"allocatedSlots": self._allocated(one)}
            case ["taskmanagers", _, "metrics"]:
                return _plain(self._of_process(), names)
            case ["jobs", job, *rest] if job in self._ids:
                return self._of_job(job, rest, names)
        return None

    def _of_job(self, job: str, rest: list[str], names: str) -> Any:
        match rest:
            case []:
                return self._page(job)
            case ["config"]:
                return {"execution-config": {"user-config": {"autostream.team": "trade"}}}
            case ["checkpoints", "config"]:
                return {"interval": 60_000, "timeout": 600_000}
            case ["metrics"]:
                return _plain(self._of_run(), names)
            case ["vertices", vertex, "subtasks", "metrics"]:
                known = self._of_vertex(VERTICES[int(vertex[-1])])
                if not names:
                    return [{"id": name} for name in (*known, *_OTHERS)]
                wanted = names.split(",")
                return [_aggregate(n, known[n]) for n in wanted] if set(wanted) <= set(known) else []
        return None

    def _listed(self, number: int) -> dict[str, Any]:
        return {
            "jid": self._ids[number],
            "name": self._names[number],
            "state": self.states[number],
            "start-time": STARTED_MS,
            "last-modification": STARTED_MS,
        }

    def _page(self, job: str) -> dict[str, Any]:
        ids = [f"{job[:31]}{number}" for number in range(len(VERTICES))]
        return {
            "jid": job,
            "name": self._names[self._ids.index(job)],
            "state": "RUNNING",
            "start-time": STARTED_MS,
            "now": STARTED_MS + int(self.seconds() * 1000),
            "timestamps": {"RUNNING": STARTED_MS},
            "vertices": [{"id": i, "name": n, "parallelism": 2} for i, n in zip(ids, VERTICES, strict=True)],
            "plan": {
                "nodes": [
                    {"id": i, "inputs": [{"id": before, "ship_strategy": "HASH"}] if before else []}
                    for i, before in zip(ids, [None, *ids], strict=False)
                ]
            },
        }

    def _task_manager(self, one: str) -> dict[str, Any]:
        return {
            "id": one,
            "slotsNumber": self._slots,
            "freeSlots": 0,
            "totalResource": {"cpuCores": 2.0},
            "memoryConfiguration": {
                "frameworkHeap": 2**27,
                "taskHeap": 2**29,
                "frameworkOffHeap": 2**27,
                "taskOffHeap": 0,
                "networkMemory": 2**27,
                "managedMemory": 2**29,
                "jvmMetaspace": 2**28,
                "jvmOverhead": 2**27,
                "totalProcessMemory": 2**31,
            },
        }

    def _allocated(self, one: str) -> list[dict[str, Any]]:
        first = self.task_managers.index(one) * self._slots
        return [{"jobId": job} for job in self._ids[first : first + self._slots]]

    def _of_process(self) -> dict[str, float]:
        seconds = self.seconds()
        return {
            "Status.JVM.CPU.Time": seconds * 0.5e9,
            "Status.JVM.GarbageCollector.All.Time": int(seconds * 12.3),
            "Status.JVM.Memory.Heap.Used": 250_000_000 + int(seconds * 7_919_113) % 200_000_000,
            "Status.JVM.Memory.Heap.Max": 2**29,
            "Status.Flink.Memory.Managed.Used": int(seconds * 1_234_567) % 2**29,
            "Status.Flink.Memory.Managed.Total": 2**29,
            "Status.JVM.Memory.Metaspace.Used": 90_000_000 + int(seconds * 31) % 10_000_000,
            "Status.JVM.Memory.Metaspace.Max": 2**28,
            "Status.JVM.Memory.Direct.MemoryUsed": 140_000_000 + int(seconds * 977) % 10_000_000,
            "Status.Shuffle.Netty.UsedMemory": int(seconds * 65_536) % 2**26,
            "Status.Shuffle.Netty.TotalMemory": 2**27,
        }

    def _of_run(self) -> dict[str, float]:
        seconds = self.seconds()
        return {
            "numRestarts": 0,
            "uptime": int(seconds * 1000),
            "runningTime": int(seconds * 1000),
            "numberOfCompletedCheckpoints": int(seconds / 60),
            "numberOfFailedCheckpoints": 0,
            "lastCheckpointDuration": 300 + int(seconds * 37) % 900,
            "lastCheckpointFullSize": 10_000_000 + int(seconds * 10_007) % 5_000_000,
            "lastCheckpointCompletedTimestamp": STARTED_MS + int(seconds / 60) * 60_000,
        }

    def _of_vertex(self, name: str) -> dict[str, float]:
        """Return totals of a vertex's two subtasks."""
        seconds, wave = self.seconds(), int(self.seconds() * 131) % 400
        values = [600 + wave, 1300 - wave, 100, seconds * 600, seconds * 1300, seconds * 100, seconds * 100]
        known = dict(zip(_TASK, [*values, seconds * 100, 90 + wave / 40], strict=False))
        known["currentInputWatermark"] = 2 * (STARTED_MS + int(seconds * 1000) - 5000)
        if name.startswith("Source"):
            of_source = (wave * 3, 0, seconds * 100, 90 + wave / 40, 2000 + wave)
            known |= {f"Source__orders.{key}": value for key, value in zip(_SOURCE, of_source, strict=True)}
        if name.endswith("Writer"):
            known |= {"Writer.numRecordsSend": seconds * 100, "Writer.numRecordsIn": seconds * 100}
        return known


def _plain(known: dict[str, float], names: str) -> list[dict[str, str]]:
    return [{"id": name, "value": str(known[name])} for name in names.split(",") if name in known]


def _aggregate(name: str, total: float) -> dict[str, Any]:
    return {"id": name, "min": total / 2, "max": total / 2, "avg": total / 2, "sum": float(total), "skew": 0.0}


@contextmanager
def serving_job_manager(answer: Callable[[str], Any]) -> Iterator[str]:
    """Serve what answers to paths, and give the address. An answer that is an exception ends the connection."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # head and body in one packet

        def do_GET(self) -> None:
            found = answer(self.path)
            body = json.dumps({"errors": ["Not found"]} if found is None else found).encode()
            self.send_response(404 if found is None else 200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 64

        def handle_error(self, *_: object) -> None:
            """Clients that have gone are none of its business."""

    server = Server(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()

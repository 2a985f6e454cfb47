"""`python -m benchmarks.recording`: what one recorder takes for hundreds of jobs.

The job manager is a stand-in, for so many real jobs do not fit on one machine: it answers what a real one answers about
jobs of three vertices that make a checkpoint a minute. Catalog, tables and commits are real.
"""

import argparse
import json
import multiprocessing
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa

CHECKPOINT_SECONDS = 60
_VERTICES = ("a" * 32, "b" * 32, "c" * 32)
_NAMES = ("Source: rows", "IcebergStreamWriter", "IcebergFilesCommitter -> IcebergSink lake.db.t{n}: Writer")
_COMMAND = [sys.executable, "-c", "from autostream.cli.start import run; run()"]


class _JobManager(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    jobs = 0
    began = time.time()
    counts: ClassVar[Counter[str]] = Counter()

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        kind, answer = self._answer()
        self.counts[kind] += 1
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _answer(self) -> tuple[str, Any]:
        if self.path == "/counts":
            return "counts", dict(self.counts)
        if self.path == "/config":
            return "config", {"refresh-interval": 3000}
        if self.path == "/jobs/overview":
            jobs = [{"jid": f"{n:032x}", "name": f"t{n}", "state": "RUNNING"} for n in range(self.jobs)]
            return "jobs", {"jobs": jobs}
        match = re.fullmatch(r"/jobs/(\w+)(/.*)?", self.path)
        assert match
        n, rest = int(match[1], 16), match[2] or ""
        checkpoint = int((time.time() - self.began) / CHECKPOINT_SECONDS)
        if not rest:
            vertices = [
                {"id": v, "name": name.format(n=n), "parallelism": 1} for v, name in zip(_VERTICES, _NAMES, strict=True)
            ]
            edges = [{"id": v, "inputs": [{"id": _VERTICES[i - 1]}] if i else []} for i, v in enumerate(_VERTICES)]
            return "job", {
                "jid": match[1],
                "state": "RUNNING",
                "start-time": 1,
                "vertices": vertices,
                "plan": {"nodes": edges},
            }
        if rest == "/config":
            return "job config", {"execution-config": {"user-config": {}}}
        if rest == "/checkpoints":
            history = [{"id": checkpoint, "status": "COMPLETED", "checkpoint_type": "CHECKPOINT"}] if checkpoint else []
            return "checkpoints", {"counts": {"completed": 1 + checkpoint}, "latest": {}, "history": history}
        if rest.startswith("/metrics"):
            return "job metrics", [{"id": "numRestarts", "value": "0"}]
        if "/metrics?get=" in rest:
            now = int(time.time() * 1000)
            watermark = {"id": "0.IcebergStreamWriter.currentInputWatermark", "value": str(now - 5000)}
            return "metrics", [watermark, {"id": "0.accumulateIdleTimeMs", "value": f"{now}.0"}]
        if rest.endswith("/metrics"):
            shown = ["0.IcebergStreamWriter.currentInputWatermark"] if _VERTICES[1] in rest else []
            return "metric names", [{"id": name} for name in shown]
        return "vertex", {"subtasks": [{"attempt": 0, "status": "RUNNING"}]}


def _serve(jobs: int, port: Any) -> None:
    _JobManager.jobs = jobs
    server = ThreadingHTTPServer(("127.0.0.1", 0), _JobManager)
    port.value = server.server_port
    server.serve_forever()


def _commit(properties: dict[str, str], jobs: int, began: float) -> None:
    """Be all jobs' committers: spread over each checkpoint interval, a commit to each table."""
    from autostream.catalogs.opening import open_catalog

    catalog = open_catalog("lake", properties)
    for checkpoint in range(1, 1000):
        for n in range(jobs):
            time.sleep(max(0.0, began + CHECKPOINT_SECONDS * (checkpoint + n / jobs) - time.time()))
            summary = {
                "flink.job-id": f"{n:032x}",
                "flink.operator-id": "c" * 32,
                "flink.max-committed-checkpoint-id": str(checkpoint),
            }
            catalog.load_table(f"db.t{n}").append(pa.table({"id": [checkpoint]}), snapshot_properties=summary)


def measure(*, jobs: int, seconds: float) -> dict[str, Any]:
    """Run a recorder beside so many jobs and return what it took."""
    import requests

    from autostream.catalogs.opening import open_catalog

    with tempfile.TemporaryDirectory(prefix="autostream-bench-") as name:
        directory = Path(name)
        properties = {"type": "sql", "uri": f"sqlite:///{directory}/lake.db", "warehouse": f"file://{directory}/w"}
        catalog = open_catalog("lake", properties)
        catalog.create_namespace("db")
        for n in range(jobs):
            catalog.create_table(f"db.t{n}", pa.schema([("id", pa.int64())]))
        port = multiprocessing.Value("i", 0)
        processes = [multiprocessing.Process(target=_serve, args=(jobs, port), daemon=True)]
        processes[0].start()
        while not port.value:
            time.sleep(0.05)
        processes.append(multiprocessing.Process(target=_commit, args=(properties, jobs, time.time()), daemon=True))
        processes[1].start()
        url = f"http://127.0.0.1:{port.value}"
        environment = {f"PYICEBERG_CATALOG__LAKE__{key.upper()}": value for key, value in properties.items()} | {
            "AUTOSTREAM_FLINK__CLUSTERS__BENCH__URL": url,
            "AUTOSTREAM_WATERMARK__WRITERS": json.dumps([{"job": "t.*", "table": "lake.db.{job}"}]),
            "AUTOSTREAM_DATABASE__URL": f"sqlite:///{directory}/control.db",
        }
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(
            [*_COMMAND, "watermark", "record", "--for", str(seconds), "--json"],
            env=os.environ | environment | {"AUTOSTREAM_LOG": "warning"},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        counts = requests.get(f"{url}/counts", timeout=10).json()
        for process in processes:
            process.kill()
    published = json.loads(done.stdout)["publications"]
    advances = [p for p in published if any(e["kind"] == "advance" for e in p["events"])]
    lags = sorted((p["at_ms"] - max(e["watermark_ms"] or 0 for e in p["events"])) / 1000 for p in advances)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {
        "jobs": jobs,
        "requests a job and minute": round(sum(counts.values()) / jobs / seconds * 60, 1),
        "publications": len(advances),
        "tables advanced": len({p["table"] for p in advances}),
        "behind the watermark, median s": lags[len(lags) // 2] if lags else None,
        "CPU": f"{cpu / seconds:.0%}",
        "peak MB": after.ru_maxrss // 1024,
    }


def main() -> None:
    """Measure and print Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=300)
    parser.add_argument("--seconds", type=float, default=300)
    options = parser.parse_args()
    found = measure(jobs=options.jobs, seconds=options.seconds)
    print(
        f"| {' | '.join(found)} |\n| {' | '.join('---' for _ in found)} |\n| {' | '.join(map(str, found.values()))} |"
    )


if __name__ == "__main__":
    main()

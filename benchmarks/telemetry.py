"""`python -m benchmarks.telemetry`: what one collector takes for a thousand Flink jobs.

The job managers are stand-ins, for so many real jobs do not fit on one machine: they answer over HTTP what a real one
answers about jobs of three vertices (`tests/support/job_managers.py`), from a process of their own. The collector is
`autostream flink watch` as users start it, its database is SQLite on a disk, or what --database names.
"""

import argparse
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from multiprocessing.connection import Connection
from pathlib import Path

from tests.support.job_managers import StandInJobManager, serving_job_manager

_COMMAND = [sys.executable, "-c", "from autostream.cli.start import run; run()"]
_TICKS = os.sysconf("SC_CLK_TCK")


def _serve(clusters: int, jobs: int, pipe: Connection) -> None:
    began = time.monotonic()
    managers = [
        StandInJobManager(jobs, seconds=lambda: 1000 + time.monotonic() - began, name=f"job-{number}")
        for number in range(clusters)
    ]
    with ExitStack() as stack:
        pipe.send([stack.enter_context(serving_job_manager(manager.answer)) for manager in managers])
        while pipe.recv():
            pipe.send(sum(manager.asked for manager in managers))


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def _peak_mib(pid: int) -> float:
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clusters", type=int, default=20)
    parser.add_argument("--jobs", type=int, default=50, help="of each cluster")
    parser.add_argument("--interval", type=int, default=60, metavar="SECONDS")
    parser.add_argument("--intervals", type=int, default=5)
    parser.add_argument("--database", default="", metavar="URL", help="default: SQLite in a directory of its own")
    arguments = parser.parse_args()
    ours, theirs = multiprocessing.Pipe()
    server = multiprocessing.Process(target=_serve, args=(arguments.clusters, arguments.jobs, theirs), daemon=True)
    server.start()
    urls: list[str] = ours.recv()
    with tempfile.TemporaryDirectory() as directory:
        toml = "".join(f'[[flink.clusters]]\nname = "c{n}"\nurl = "{url}"\n' for n, url in enumerate(urls))
        Path(directory, "autostream.toml").write_text(toml)
        environment = {
            **os.environ,
            "PYTHONPATH": f"{Path(__file__).parents[1] / 'include'}",
            "AUTOSTREAM_CONFIG": f"{directory}/autostream.toml",
            "AUTOSTREAM_DATABASE__URL": arguments.database or f"sqlite:///{directory}/samples.db",
        }
        length = arguments.interval * arguments.intervals + 2
        command = [*_COMMAND, "flink", "watch", "--for", f"{length}s", "--interval", f"{arguments.interval}s", "--json"]
        process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
        print("| interval | requests | CPU s | share of a core | peak MiB |\n| --- | --- | --- | --- | --- |")
        cpu, asked = 0.0, 0
        for number in range(arguments.intervals):
            time.sleep(arguments.interval)
            ours.send(True)
            now_cpu, now_asked, peak = _cpu_seconds(process.pid), ours.recv(), _peak_mib(process.pid)
            used = now_cpu - cpu
            cells = [f"{number + 1}", f"{now_asked - asked}", f"{used:.1f}"]
            print("|", " | ".join([*cells, f"{used / arguments.interval:.0%}", f"{peak:.0f}"]), "|", flush=True)
            cpu, asked = now_cpu, now_asked
        document = json.loads(process.communicate()[0])
        slowest = max(cluster["last_look_seconds"] for cluster in document["clusters"])
        failed = sum(cluster["failed"] for cluster in document["clusters"])
        print(f"\n{document['samples']} samples, {failed} looks failed, the slowest last look took {slowest:.1f} s.")
        if not arguments.database:
            print(f"Database: {Path(directory, 'samples.db').stat().st_size / 2**20:.1f} MiB.")
    server.terminate()


if __name__ == "__main__":
    main()

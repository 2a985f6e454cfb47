"""`python -m benchmarks.locks [HOSTS]`: what a lock on a table costs, alone and with a hundred writers in the queue."""

import argparse
import itertools
import multiprocessing
import statistics
import subprocess
import tempfile
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from autostream.config import ZooKeeperSettings
from autostream.coordination.client import ZooKeeperClient
from autostream.coordination.paths import LockKey, Paths
from autostream.coordination.queued_lock import QueuedLock

KEY = LockKey("bench", "db.orders")


def _client(hosts: str, root: str) -> ZooKeeperClient:
    return ZooKeeperClient(ZooKeeperSettings(hosts=hosts, root=root, connect_timeout_seconds=60))


def _percentiles(seconds: Sequence[float]) -> str:
    ordered = sorted(seconds)
    worst = ordered[min(len(ordered) - 1, round(0.99 * len(ordered)))]
    return f"{1000 * statistics.median(ordered):.1f} | {1000 * worst:.1f}"


def uncontended(hosts: str, *, runs: int) -> None:
    """Lock, verify and release a table that nobody else wants."""
    client = _client(hosts, f"/bench-{uuid.uuid4().hex}")
    times: dict[str, list[float]] = {"acquire": [], "verify": [], "release": [], "all": []}
    for number in range(runs + 20):
        lock = QueuedLock(client, KEY, what="bench")
        marks = [time.perf_counter()]
        for step in (lock.acquire, lock.verify, lock.release):
            step()
            marks.append(time.perf_counter())
        if number >= 20:  # the first ones warm up
            for name, begin, end in zip(("acquire", "verify", "release"), marks, marks[1:], strict=False):
                times[name].append(end - begin)
            times["all"].append(marks[-1] - marks[0])
    client.close()
    print(f"\n### One writer, {runs} runs\n\n| step | p50 ms | p99 ms |\n| --- | --- | --- |")
    for name, values in times.items():
        print(f"| {name} | {_percentiles(values)} |", flush=True)


def _count(kazoo: Any, counts: Counter[str]) -> None:
    """Count the requests and the events of a session."""
    call, dispatch = kazoo._call, kazoo.handler.dispatch_callback

    def counted_call(request: Any, result: Any) -> Any:
        counts["requests"] += 1
        return call(request, result)

    def counted_dispatch(callback: Any) -> None:
        counts["events"] += callback.type == "watch"
        dispatch(callback)

    kazoo._call, kazoo.handler.dispatch_callback = counted_call, counted_dispatch


def _writers(hosts: str, root: str, names: Sequence[int], pipe: Any) -> None:
    """Run a process of writers, each with a session of its own; told one by one to queue."""
    clients = {name: _client(hosts, root) for name in names}
    counts: Counter[str] = Counter()
    for client in clients.values():
        _count(client.session().kazoo, counts)
    held: list[tuple[float, float, int, int]] = []

    def write(name: int) -> None:
        with QueuedLock(clients[name], KEY, what=f"writer {name}", timeout_seconds=600) as lock:
            got = time.time()
            lock.verify()
            held.append((got, time.time(), name, lock.token))

    threads = []
    while (name := pipe.recv()) is not None:
        threads.append(threading.Thread(target=write, args=(name,)))
        threads[-1].start()
    counts.clear()  # what counts is the hand-over, not the queueing
    pipe.send("ready")
    for thread in threads:
        thread.join()
    pipe.send((held, dict(counts)))
    for client in clients.values():
        client.close()


def queued(hosts: str, *, writers: int, processes: int) -> None:
    """Let writers queue for one table one after the other, and hand the lock through."""
    root = f"/bench-{uuid.uuid4().hex}"
    first = _client(hosts, root)
    gate = QueuedLock(first, KEY, what="gate")
    gate.acquire()
    context = multiprocessing.get_context("spawn")
    pipes, started = [], []
    for number in range(processes):
        ours, theirs = context.Pipe()
        names = range(number, writers, processes)
        started.append(context.Process(target=_writers, args=(hosts, root, list(names), theirs)))
        started[-1].start()
        pipes.append(ours)
    queue = Paths(root).queue(KEY)
    for name in range(writers):
        pipes[name % processes].send(name)
        _until(lambda name=name: len(first.children(queue)) == name + 2)
    for pipe in pipes:
        pipe.send(None)
        pipe.recv()
    begin = time.time()
    gate.release()
    held: list[tuple[float, float, int, int]] = []
    counts: Counter[str] = Counter()
    for pipe in pipes:
        more, counted = pipe.recv()
        held += more
        counts.update(counted)
    for process in started:
        process.join()
    first.close()
    held.sort(key=lambda entry: entry[3])
    names, times = [entry[2] for entry in held], [begin, *(entry[1] for entry in held)]
    overlaps = sum(later[0] < earlier[1] for earlier, later in itertools.pairwise(held))
    print(
        f"\n### {writers} writers in {processes} processes, a session each\n\n"
        f"| hand-overs | in the order of arrival | overlaps | requests each | events each | p50 ms | p99 ms |\n"
        f"| --- | --- | --- | --- | --- | --- | --- |\n"
        f"| {len(held)} | {'all' if names == list(range(writers)) else 'NOT ALL'} | {overlaps} | "
        f"{counts['requests'] / writers:.1f} | {counts['events'] / writers:.1f} | "
        f"{_percentiles([b - a for a, b in itertools.pairwise(times)])} |",
        flush=True,
    )


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        if time.monotonic() > deadline:
            raise RuntimeError("the writers did not queue")
        threading.Event().wait(0.002)


@contextmanager
def zookeeper() -> Iterator[str]:
    """Run a server of one node and give its hosts."""
    script = Path(__file__).parents[1] / "scripts" / "services" / "hadoop" / "zookeeper.sh"
    with tempfile.TemporaryDirectory(prefix="autostream-zookeeper-") as directory:
        printed = subprocess.run([script, "start", directory], check=True, stdout=subprocess.PIPE, text=True).stdout
        try:
            yield dict(line.split("=", 1) for line in printed.split())["HOSTS"]
        finally:
            subprocess.run([script, "stop", directory], check=True)


def measure(hosts: str, *, runs: int = 1000, writers: Sequence[int] = (10, 50, 100), processes: int = 4) -> None:
    """Measure all."""
    uncontended(hosts, runs=runs)
    for number in writers:
        queued(hosts, writers=number, processes=processes)


def main() -> None:
    """Parse arguments and measure."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.locks", description=__doc__)
    parser.add_argument("hosts", nargs="?", help="ZooKeeper's servers; one is started where none are given")
    parser.add_argument("--runs", type=int, default=1000, help="runs of one writer; default: %(default)s")
    parser.add_argument("--writers", default="10,50,100", help="lengths of the queue; default: %(default)s")
    parser.add_argument("--processes", type=int, default=4, help="processes of writers; default: %(default)s")
    arguments = parser.parse_args()
    with nullcontext(arguments.hosts) if arguments.hosts else zookeeper() as hosts:
        writers = [int(number) for number in arguments.writers.split(",")]
        measure(hosts, runs=arguments.runs, writers=writers, processes=arguments.processes)


if __name__ == "__main__":
    main()

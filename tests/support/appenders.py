"""Writers of numbered rows into one table, in processes that may be killed: autostream's and a real Flink job.

Each writes down what it tried and what was acknowledged, so that afterwards nobody has to be believed:

    writers = [OurWriter(table, directory / "a"), FlinkWriter(table, directory / "f")]
    ...                                  # kill some, start others
    assert_nothing_lost(ids(catalog.load_table(table.name)), writers)
"""

import json
import os
import random
import signal
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from tests.support import commands
from tests.support.java import JAVA

_PORTS = (20000, 32000)  # below those that the system gives to outgoing connections
_END_SECONDS = 60


@dataclass(frozen=True)
class Target:
    """What is written to: a table of a Hive catalog with the one column ``id``.

    Attributes:
        name: ``namespace.table``.
        properties: of autostream's catalog.
        catalog: what the catalog is called, which is what a ZooKeeper lock is named by.
    """

    name: str
    properties: dict[str, str]
    catalog: str = "hive"


@dataclass(frozen=True)
class Account:
    """What one writer knows of its rows.

    Attributes:
        acknowledged: rows that must be in the table, once.
        in_doubt: rows that may be, once: the commit was under way when the writer died, or its outcome is not known.
        commits: acknowledged commits of rows.
        attempts: of these commits, repetitions counted.
    """

    acknowledged: frozenset[int]
    in_doubt: frozenset[int]
    commits: int
    attempts: int


class Writer(Protocol):
    """A writer, running or dead."""

    process: "subprocess.Popen[bytes]"

    def account(self) -> Account:
        """Return what it wrote down."""


@dataclass
class OurWriter:
    """Appends the rows first, first + 1, ..., one a commit, by autostream's catalog, until it is ended.

    Attributes:
        target: the table.
        file: beginning of the paths of its journal (``.journal``) and log (``.log``).
        first: its first row.
        chores: whether it compacts the table, sets properties and expires snapshots in between.
    """

    target: Target
    file: Path
    first: int = 0
    chores: bool = False
    process: "subprocess.Popen[bytes]" = field(init=False)

    def __post_init__(self) -> None:
        self.journal = self.file.with_suffix(".journal")
        told = {
            "catalog": self.target.catalog,
            "properties": self.target.properties,
            "table": self.target.name,
            "journal": str(self.journal),
            "first": self.first,
            "chores": self.chores,
        }
        with self.file.with_suffix(".log").open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.support.append_rows", json.dumps(told)],
                cwd=Path(__file__).parents[2],
                env=commands.environment(),
                stdout=log,
                stderr=log,
            )

    def end(self) -> None:
        """Let it finish its commit."""
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(_END_SECONDS) == 0, self.file.with_suffix(".log").read_text()[-4000:]

    def entries(self) -> list[dict[str, Any]]:
        """Return its journal."""
        lines = self.journal.read_text().splitlines() if self.journal.exists() else []
        return [json.loads(line) for line in lines]

    def account(self) -> Account:
        entries = self.entries()
        by_event = {
            event: {entry["row"] for entry in entries if entry["event"] == event}
            for event in ("try", "done", "failed", "unknown")
        }
        # The last try may lack an answer; one that failed was tried again, or nothing was tried after it.
        unanswered = {entries[-1]["row"]} if entries and entries[-1]["event"] == "try" else set()
        done = [entry for entry in entries if entry["event"] == "done"]
        return Account(
            acknowledged=frozenset(by_event["done"]),
            in_doubt=frozenset(by_event["unknown"] | unanswered) - by_event["done"],
            commits=len(done),
            attempts=sum(entry["attempts"] for entry in done),
        )

    def chores_done(self) -> Counter[str]:
        """Return how many chores of each kind ended how."""
        ended = (entry for entry in self.entries() if entry["event"] == "chore-ended")
        return Counter(f"{entry['chore']} {entry['outcome'].partition(':')[0]}" for entry in ended)


@dataclass
class FlinkWriter:
    """A Flink job that appends rows in order, through Iceberg's own Hive catalog (AppendJob.java).

    Attributes:
        target: the table.
        file: beginning of the paths of its commits (``.commits``) and log (``.log``).
        first: its first row.
        rows: how many; it ends when they are committed.
        rows_per_second: how fast they come.
        checkpoint_ms: how often they are committed.
        uri: the metastore; that of the target unless said.
        hadoop: of its Hadoop configuration, ``iceberg.hive.*`` say.
    """

    target: Target
    file: Path
    first: int = 0
    rows: int = 1_000_000
    rows_per_second: int = 100
    checkpoint_ms: int = 500
    uri: str = ""
    hadoop: dict[str, str] = field(default_factory=dict)
    process: "subprocess.Popen[bytes]" = field(init=False)

    def __post_init__(self) -> None:
        port = free_port()
        self.rest_url = f"http://localhost:{port}"
        self.commits_file = self.file.with_suffix(".commits")
        numbers = (self.first, self.rows, self.rows_per_second, self.checkpoint_ms, port)
        arguments = [self.uri or self.target.properties["uri"], self.target.name, *map(str, numbers)]
        arguments += [str(self.commits_file), *(f"{key}={value}" for key, value in self.hadoop.items())]
        with self.file.with_suffix(".log").open("wb") as log:
            self.process = subprocess.Popen([JAVA, "run", "flink", "AppendJob", *arguments], stdout=log, stderr=log)

    def kill(self) -> None:
        """End it as a machine that loses power does."""
        self.process.kill()
        self.process.wait()

    def wait(self, timeout_seconds: float = 180) -> None:
        """Wait until all of its rows are committed."""
        assert self.process.wait(timeout_seconds) == 0, self.file.with_suffix(".log").read_text()[-4000:]

    def commits(self) -> list[dict[str, int]]:
        """Return what Iceberg reported: ``snapshot_id``, ``rows`` and ``attempts`` of each commit."""
        lines = self.commits_file.read_text().splitlines() if self.commits_file.exists() else []
        return [json.loads(line) for line in lines]

    def account(self) -> Account:
        commits = self.commits()
        acknowledged = sum(commit["rows"] for commit in commits)
        return Account(
            acknowledged=frozenset(range(self.first, self.first + acknowledged)),
            in_doubt=frozenset(range(self.first + acknowledged, self.first + self.rows)),
            commits=sum(commit["rows"] > 0 for commit in commits),
            attempts=sum(commit["attempts"] for commit in commits if commit["rows"]),
        )


def free_port() -> int:
    """Return a port that nobody listens on."""
    while True:
        port = random.randint(*_PORTS)
        try:
            socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            continue
        return port


def end_all(writers: Iterable[Writer]) -> None:
    """Kill the writers that still run."""
    for writer in writers:
        if writer.process.poll() is None:
            os.kill(writer.process.pid, signal.SIGKILL)
        writer.process.wait()


def assert_nothing_lost(rows: list[int], writers: Iterable[Writer]) -> None:
    """See that a table holds every acknowledged row once, those in doubt at most once, and no others."""
    count = Counter(rows)
    accounts = [writer.account() for writer in writers]
    acknowledged = frozenset().union(*(account.acknowledged for account in accounts))
    doubtful = frozenset().union(*(account.in_doubt for account in accounts))
    lost = sorted(acknowledged - count.keys())
    twice = sorted(row for row, times in count.items() if times > 1)
    unasked = sorted(count.keys() - acknowledged - doubtful)
    problems = {"lost": lost, "twice": twice, "never committed": unasked}
    assert not any(problems.values()), {what: (len(found), found[:20]) for what, found in problems.items()}

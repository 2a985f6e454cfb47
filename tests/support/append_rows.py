"""A writer of numbered rows, as a process of its own: run by tests.support.appenders.

Its journal is on disk before the next step: a JSON line for each try, with its end in the next line.
"""

import json
import os
import random
import signal
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

from pyiceberg.exceptions import CommitFailedException, CommitStateUnknownException, ValidationException
from pyiceberg.table import Table

from autostream.catalogs.committing import CommitStep
from autostream.catalogs.opening import open_catalog
from tests.support.catalogs import append
from tests.support.lakes import compact

CHORE_EVERY = 3
EXPIRED_AFTER_MS = 20_000


class RowWriter:
    """Appends rows until it is told to end, and keeps the journal."""

    def __init__(self, told: dict[str, Any]) -> None:
        self.catalog = open_catalog(told["catalog"], told["properties"])
        self.catalog.observe = self._observe  # type: ignore[attr-defined]
        self.table = told["table"]
        self.row = told["first"]
        self.chores = list(CHORES.items()) if told["chores"] else []
        self.journal = open(told["journal"], "a")  # noqa: SIM115
        self.attempts = 0
        self.ended = False

    def run(self) -> None:
        """Append rows, with a chore in between."""
        if self.chores:
            self._chore("expire", expire)  # however short its life is: each snapshot makes every commit slower
        tries = 0
        while not self.ended:
            self._append()
            tries += 1
            if self.chores and tries % CHORE_EVERY == 0:
                self._chore(*random.choice(self.chores))

    def end(self, *_: object) -> None:
        """Commit no more, once what is under way has ended."""
        self.ended = True

    def _observe(self, step: CommitStep) -> None:
        self.attempts += step is CommitStep.BEFORE_LOCK

    def _append(self) -> None:
        self.attempts = 0
        self._write(event="try", row=self.row)
        try:
            append(self.catalog.load_table(self.table), self.row)
        except (CommitFailedException, ValidationException) as error:  # the latter: what it began with has expired
            self._write(event="failed", row=self.row, error=str(error))
            return  # the same row again: nothing was changed
        except CommitStateUnknownException as error:
            self._write(event="unknown", row=self.row, error=str(error))
        else:
            self._write(event="done", row=self.row, attempts=self.attempts)
        self.row += 1

    def _chore(self, name: str, chore: Callable[[Table], str]) -> None:
        self._write(event="chore", chore=name)
        try:
            outcome = chore(self.catalog.load_table(self.table))
        except (CommitFailedException, ValidationException, CommitStateUnknownException) as error:
            outcome = f"{type(error).__name__}: {error}"
        self._write(event="chore-ended", chore=name, outcome=outcome)

    def _write(self, **entry: Any) -> None:
        self.journal.write(json.dumps({"at_ms": round(time.time() * 1000), **entry}) + "\n")
        self.journal.flush()
        os.fsync(self.journal.fileno())


def compact_all(table: Table) -> str:
    """Compact the table; how that ended."""
    return compact(table, "hive." + ".".join(table.name())).status


def set_property(table: Table) -> str:
    """Change a property."""
    with table.transaction() as transaction:
        transaction.set_properties({"touched": str(time.time())})
    return "committed"


def expire(table: Table) -> str:
    """Forget old snapshots, the newest of each Flink job excepted: it says what that job has committed."""
    old = list(_expirable(table))
    if not old:
        return "nothing-to-do"
    table.maintenance.expire_snapshots().by_ids(old).commit()
    return "committed"


def _expirable(table: Table) -> Iterator[int]:
    current = table.current_snapshot()
    jobs = set()
    for snapshot in sorted(table.metadata.snapshots, key=lambda s: s.timestamp_ms, reverse=True):
        job = snapshot.summary.additional_properties.get("flink.job-id") if snapshot.summary else None
        if job is not None and job not in jobs:
            jobs.add(job)
        elif snapshot != current and snapshot.timestamp_ms < time.time() * 1000 - EXPIRED_AFTER_MS:
            yield snapshot.snapshot_id


CHORES: dict[str, Callable[[Table], str]] = {"compact": compact_all, "set": set_property, "expire": expire}

if __name__ == "__main__":
    writer = RowWriter(json.loads(sys.argv[1]))
    signal.signal(signal.SIGTERM, writer.end)
    writer.run()

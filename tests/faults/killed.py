"""A compaction that is killed at one point: run as a process of its own by test_killed."""

import inspect
import os
import signal
import sys
from typing import Any

from autostream.catalogs.opening import open_table
from autostream.catalogs.sql import SqlCatalog
from autostream.lake.compaction.compaction_options import CompactionOptions
from autostream.lake.compaction.compaction_steps import CompactionStep
from autostream.lake.compaction.table_compaction import compact_table


def die() -> None:
    """End this process as the kernel's out-of-memory killer does."""
    os.kill(os.getpid(), signal.SIGKILL)


def die_around(method: str, *, after: bool) -> None:
    """Die before or after the catalog's own step of that name."""
    original = getattr(SqlCatalog, method)

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        if not after:
            die()
        result = original(*args, **kwargs)
        die()
        return result

    static = isinstance(inspect.getattr_static(SqlCatalog, method), staticmethod)
    setattr(SqlCatalog, method, staticmethod(wrapped) if static else wrapped)


def main(table: str, point: str) -> None:
    """Compact everything, and die at the point."""
    opened = open_table(table)
    if point == "metadata-written":
        die_around("_write_metadata", after=True)
    elif point == "answer-lost":
        die_around("commit_table", after=True)

    def on_step(step: CompactionStep) -> None:
        if step == point:
            die()

    options = CompactionOptions.from_properties(opened.properties, {"rewrite-all": "true"})
    compact_table(opened, table, options=options, on_step=on_step)


if __name__ == "__main__":
    main(*sys.argv[1:])

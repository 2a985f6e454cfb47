"""A commit that is killed or stopped at one step: run as a process of its own by test_commit_matrix."""

import json
import os
import signal
import sys

from pyiceberg.exceptions import CommitFailedException, CommitStateUnknownException

from autostream.catalogs.committing import CommitStep
from autostream.catalogs.opening import open_catalog
from tests.support.catalogs import append


def main(document: str) -> None:
    """Append a row as the document says: its ``properties``, ``table``, ``id``, ``step`` and ``signal``."""
    told = json.loads(document)
    catalog = open_catalog("w", told["properties"])
    done = False

    def observe(step: CommitStep) -> None:
        nonlocal done
        if step == told["step"] and not done:
            done = True
            os.kill(os.getpid(), signal.Signals[told["signal"]])

    catalog.observe = observe  # type: ignore[attr-defined]
    try:
        append(catalog.load_table(told["table"]), told["id"])
    except (CommitFailedException, CommitStateUnknownException) as error:
        print(type(error).__name__, error)
    else:
        print("committed")


if __name__ == "__main__":
    main(sys.argv[1])

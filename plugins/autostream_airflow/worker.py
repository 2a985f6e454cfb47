"""The child process that does work on catalogs and tables, one request after the other; see `autostream.actions`.

Requests come as JSON lines on standard input, each is answered by one JSON line on what was standard output; whatever
else is printed, and the log, goes to standard error. When standard input ends, because the parent closed it or died,
the process ends at once: a compaction that is killed leaves its table as it was.

Airflow is not imported here, which saves its two seconds and 100 MB.
"""

from __future__ import annotations

import json
import logging
import os
import queue
import sys
import threading
from collections.abc import Iterable, Mapping
from typing import Any

from autostream.actions import ActionFailed, Workbench, action_of, perform
from autostream.config import load_settings
from autostream.lean_start import start_lean
from autostream.masking import MaskingFormatter


def main() -> None:
    """Answers requests until standard input ends."""
    start_lean()
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # a library that prints must not be taken for an answer
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(MaskingFormatter(logging.Formatter("%(message)s")))
    logging.captureWarnings(True)  # Python would print them as they are
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    requests: queue.SimpleQueue[str] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(sys.stdin, requests), daemon=True).start()
    bench = Workbench(load_settings())
    while True:
        answers.write(json.dumps(reply_to(json.loads(requests.get()), bench)) + "\n")
        answers.flush()


def _read(lines: Iterable[str], requests: queue.SimpleQueue[str]) -> None:
    for line in lines:
        requests.put(line)
    os._exit(0)  # also in the middle of a request, which a regular exit would wait for


def reply_to(request: Mapping[str, Any], bench: Workbench) -> dict[str, Any]:
    """Do what a request asks for; return `{"value": ...}`, or `{"row": ...}`, which says what failed.

    Args:
        request: As `Action.to_document` wrote it.
        bench: What it is done with.
    """
    try:
        return {"value": perform(action_of(request), bench)}
    except ActionFailed as error:
        return {"row": error.row}


if __name__ == "__main__":
    main()

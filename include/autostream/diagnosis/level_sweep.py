"""Resets changed log levels whose time is over, beside what a long-running service does."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from autostream.config.sections.flink import FlinkSettings
from autostream.diagnosis.log_levels import LogLevels
from autostream.errors import AutostreamError
from autostream.store.database import Database

_EVERY_SECONDS: Final = 10.0

_logger = logging.getLogger(__name__)


@contextmanager
def levels_reset_when_due(settings: FlinkSettings, database: Database) -> Iterator[None]:
    """Reset levels that are due, at once and then every ten seconds, in a thread of its own, as long as this is open.

    Several services may do so: the journal lets one of them reset a level.
    """
    stop = threading.Event()
    thread = threading.Thread(
        target=_sweep, args=(LogLevels(settings, database), stop), name="autostream-log-levels", daemon=True
    )
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(timeout=_EVERY_SECONDS)


def _sweep(levels: LogLevels, stop: threading.Event) -> None:
    told: set[str] = set()
    while True:
        try:
            _, problems = levels.reset_due()
        except AutostreamError as error:
            problems = (f"Log levels that are due are not reset: {error}",)
        except Exception:  # the service beside must not end
            _logger.exception("Unexpected error while resetting log levels.")
            problems = ()
        for problem in problems:
            if problem not in told:  # once, not every ten seconds
                _logger.warning("%s", problem)
        told = set(problems)
        if stop.wait(_EVERY_SECONDS):
            return

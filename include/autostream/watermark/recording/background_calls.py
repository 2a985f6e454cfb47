"""What is under way in other threads, and what went wrong with it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from typing import Any, Final

from autostream.backoff import Backoff
from autostream.errors import AutostreamError

PAUSES: Final = Backoff(first_seconds=2.0, cap_seconds=60.0)
"""After how long something that failed so many times in a row is tried again."""

_logger = logging.getLogger(__name__)


class BackgroundCalls:
    """Calls made by pools of threads; what comes of them is taken by one thread, the one that calls `collect`."""

    def __init__(self) -> None:
        """Begin with nothing under way."""
        self._running: dict[Future[Any], Callable[[Future[Any]], None]] = {}
        self._said: dict[str, str] = {}

    def submit(self, pool: Executor, call: Callable[[], Any], then: Callable[[Future[Any]], None]) -> None:
        """Have a call made, and what comes of it taken; its errors are all of the kind that is said and tried again."""
        self._running[pool.submit(_expected, call)] = then

    def collect(self) -> None:
        """Take what has come."""
        for future in [future for future in self._running if future.done()]:
            self._running.pop(future)(future)

    def wait(self, *, timeout_seconds: float | None = None) -> bool:
        """Wait until a call is done, or with no time-out until all are; False where nothing is under way."""
        if not self._running:
            return False
        if timeout_seconds is None:
            wait(self._running)
        else:
            wait(self._running, timeout=timeout_seconds, return_when=FIRST_COMPLETED)
        return True

    def say(self, subject: str, problem: str) -> None:
        """Log a problem when it begins and when it changes, and that it is over where it is empty."""
        if problem == self._said.get(subject, ""):
            return
        if problem:
            self._said[subject] = problem
            _logger.warning("%s: %s", subject, problem)
        else:
            del self._said[subject]
            _logger.info("%s: works again", subject)


def _expected(call: Callable[[], Any]) -> Any:
    try:
        return call()
    except AutostreamError:
        raise
    except Exception as error:  # a fault in here, or in what is told of publications, must not end all the rest
        _logger.exception("Nobody has thought of this.")
        raise AutostreamError(f"unexpected {type(error).__name__}: {error}") from error

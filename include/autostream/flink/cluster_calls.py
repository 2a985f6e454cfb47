"""Questions to several clusters at once: one that hangs delays none of the others."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future, wait
from typing import Generic, TypeVar

from autostream.errors import AutostreamError, ServiceError

_Answer = TypeVar("_Answer")

_logger = logging.getLogger(__name__)


class ClusterCalls(Generic[_Answer]):
    """Asks clusters, each in a thread of its own, and waits only so long.

    A cluster that has not answered by then has failed this time. It is not asked again before its old call ends, so a
    cluster that hangs for ever costs one thread.

    Args:
        kind: What is asked, for messages: `Flink cluster`.
        patience_seconds: How long to wait for all answers.
    """

    def __init__(self, kind: str, *, patience_seconds: float) -> None:
        """Ask nothing yet."""
        self._kind = kind
        self._patience_seconds = patience_seconds
        self._under_way: dict[str, Future[_Answer]] = {}

    def answers(self, questions: Mapping[str, Callable[[], _Answer]]) -> dict[str, _Answer | AutostreamError]:
        """Return what each cluster answers, or why there is no answer. To be called by one thread.

        Args:
            questions: By the names of the clusters; what one raises is its answer, too.
        """
        calls = {name: self._call(name, question) for name, question in questions.items()}
        wait(calls.values(), timeout=self._patience_seconds)
        self._under_way = {name: call for name, call in calls.items() if not call.done()}
        return {name: self._taken(name, call) for name, call in calls.items()}

    def _call(self, name: str, question: Callable[[], _Answer]) -> Future[_Answer]:
        before = self._under_way.get(name)
        if before is not None and not before.done():
            return before
        call: Future[_Answer] = Future()
        # A daemon, which an executor's threads are not: a process that is done must not wait for a cluster that hangs.
        threading.Thread(
            target=_run, args=(f"{self._kind} {name}", question, call), name=f"autostream-{name}", daemon=True
        ).start()
        return call

    def _taken(self, name: str, call: Future[_Answer]) -> _Answer | AutostreamError:
        if not call.done():
            return ServiceError(
                f"{self._kind} {name} did not answer within {self._patience_seconds:g} s. Check that it is healthy and "
                "that the network leads there."
            )
        error = call.exception()
        if error is None:
            return call.result()
        assert isinstance(error, AutostreamError)
        return error


def _run(name: str, question: Callable[[], _Answer], call: Future[_Answer]) -> None:
    try:
        call.set_result(question())
    except AutostreamError as error:
        call.set_exception(error)
    except Exception as error:  # one cluster must not end the look at all others
        _logger.exception("Unexpected error while asking %s.", name)
        call.set_exception(AutostreamError(f"Unexpected {type(error).__name__}: {error}."))

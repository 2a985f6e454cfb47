"""The same question to several clusters at once: one that hangs delays none of the others."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, wait
from typing import Generic, TypeVar

from autostream.errors import AutostreamError, ServiceError
from autostream.flink.cluster import FlinkCluster

_Answer = TypeVar("_Answer")

_logger = logging.getLogger(__name__)


class ClusterCalls(Generic[_Answer]):
    """Asks clusters one question, each in a thread of its own, and waits only so long.

    A cluster that has not answered by then has failed this time. It is not asked again before its old call ends, so a
    cluster that hangs for ever costs one thread.

    Args:
        ask: The question; what it raises is the cluster's answer, too.
        patience_seconds: How long to wait for all answers.
    """

    def __init__(self, ask: Callable[[FlinkCluster], _Answer], *, patience_seconds: float) -> None:
        """Ask nothing yet."""
        self._ask = ask
        self._patience_seconds = patience_seconds
        self._under_way: dict[str, Future[_Answer]] = {}

    def answers(self, clusters: Sequence[FlinkCluster]) -> dict[str, _Answer | AutostreamError]:
        """Return what each cluster answers, by its name: the answer, or why there is none. To be called by one thread.

        Args:
            clusters: Clusters of different names.
        """
        calls = {cluster.name: self._call(cluster) for cluster in clusters}
        wait(calls.values(), timeout=self._patience_seconds)
        self._under_way = {name: call for name, call in calls.items() if not call.done()}
        return {cluster.name: self._taken(cluster, calls[cluster.name]) for cluster in clusters}

    def _call(self, cluster: FlinkCluster) -> Future[_Answer]:
        before = self._under_way.get(cluster.name)
        if before is not None and not before.done():
            return before
        call: Future[_Answer] = Future()
        name = f"autostream-flink-{cluster.name}"
        # A daemon, which an executor's threads are not: a process that is done must not wait for a cluster that hangs.
        threading.Thread(target=self._run, args=(cluster, call), name=name, daemon=True).start()
        return call

    def _run(self, cluster: FlinkCluster, call: Future[_Answer]) -> None:
        try:
            call.set_result(self._ask(cluster))
        except AutostreamError as error:
            call.set_exception(error)
        except Exception as error:  # one cluster must not end the look at all others
            _logger.exception("Unexpected error while asking Flink cluster %s.", cluster.name)
            call.set_exception(AutostreamError(f"Unexpected {type(error).__name__}: {error}."))

    def _taken(self, cluster: FlinkCluster, call: Future[_Answer]) -> _Answer | AutostreamError:
        if not call.done():
            return ServiceError(
                f"Flink cluster {cluster.name} has not answered within {self._patience_seconds:g} s (asked at "
                f"{cluster.rest.url}). Check that its job manager is healthy and that the network leads there."
            )
        error = call.exception()
        if error is None:
            return call.result()
        assert isinstance(error, AutostreamError)
        return error

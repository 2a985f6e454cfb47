"""Metrics of jobs, vertices and task managers, as Flink's REST interface tells them: read in pieces that it takes.

What Flink answers is up to `metrics.fetcher.update-interval` old (10 s by default), or as old as the last question
where nobody has asked for longer: a question makes Flink collect metrics again, but is answered by those that it has.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final
from urllib.parse import quote

from autostream.flink.metric_values import Aggregate, number_of
from autostream.flink.models import AggregatedMetric, Metric
from autostream.flink.rest import FlinkRest

# Flink answers a request line of 4,090 characters or more by 404 `/bad-request`; paths are shorter than the rest.
_LONGEST_QUERY: Final = 3500
_COMMA: Final = len("%2C")


def read_values(rest: FlinkRest, path: str, ids: Sequence[str]) -> dict[str, float]:
    """Return metrics of one job, task manager or job manager; what it lacks or is NaN is missing.

    Args:
        rest: The cluster.
        path: Such as `/jobs/ID/metrics`.
        ids: Names of the metrics.

    Raises:
        ServiceError: The cluster cannot be reached, or answers what is not understood.
        DeniedError: It does not accept the login.
    """
    found: dict[str, float] = {}
    for query in _queries(ids):
        for metric in rest.read(path, list[Metric], {"get": query}) or ():
            if (value := number_of(metric.value)) is not None:
                found[metric.id] = value
    return found


def read_aggregates(rest: FlinkRest, path: str, ids: Sequence[str]) -> dict[str, Aggregate]:
    """Return metrics of all subtasks of a vertex; those that are NaN in any subtask are not there.

    Flink answers nothing at all where it does not know one of the ids: the result is empty then.

    Args:
        rest: The cluster.
        path: Such as `/jobs/ID/vertices/ID/subtasks/metrics`.
        ids: Names of the metrics, as `metric_ids` gives them.

    Raises:
        ServiceError: The cluster cannot be reached, or answers what is not understood.
        DeniedError: It does not accept the login.
    """
    found: dict[str, Aggregate] = {}
    for query in _queries(ids):
        answer = rest.read(path, list[AggregatedMetric], {"get": query}) or []
        if not answer:
            return {}
        for metric in answer:
            numbers = [number_of(value) for value in (metric.min, metric.max, metric.avg, metric.sum)]
            known = [number for number in numbers if number is not None]
            if len(known) == len(numbers):
                found[metric.id] = Aggregate(*known)
    return found


def metric_ids(rest: FlinkRest, path: str) -> frozenset[str]:
    """Return the names of the metrics that there are; none of what is not there, and at first.

    Raises:
        ServiceError: The cluster cannot be reached, or answers what is not understood.
        DeniedError: It does not accept the login.
    """
    return frozenset(metric.id for metric in rest.read(path, list[Metric]) or ())


def _queries(ids: Iterable[str]) -> Iterator[str]:
    chosen: list[str] = []
    length = 0
    for metric_id in ids:
        more = len(quote(metric_id, safe="")) + _COMMA
        if chosen and length + more > _LONGEST_QUERY:
            yield ",".join(chosen)
            chosen, length = [], 0
        chosen.append(metric_id)
        length += more
    if chosen:
        yield ",".join(chosen)

"""Which Flink job writes to which table, under which name, and by which of its operators. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from autostream.config import WriterRule
from autostream.errors import AutostreamError, ConfigurationError, UsageError
from autostream.flink.iceberg_sinks import SinkWriter, as_metric, is_sink_writer, operators_of
from autostream.flink.progress import JobSummary, Vertex, watermark_operators
from autostream.names import TableName
from autostream.watermark.codec import check_writer_name

TABLE_PARAMETER: Final = "autostream.watermark.table"
"""Job parameter: the tables that a job writes to, separated by commas."""
WRITER_PARAMETER: Final = "autostream.watermark.writer"
"""Job parameter: under which name; the job's own where it is not given."""


@dataclass(frozen=True)
class SinkTarget:
    """One table that a job writes to.

    Attributes:
        table: its full name.
        writer: what the job is called among the table's writers.
        operator: regular expression for the sink; empty: the one that names the table, or the only one.
        ends_forever: whether nothing will be written any more once a job has come to its end by itself.
    """

    table: str
    writer: str
    operator: str = ""
    ends_forever: bool = False


def targets_of(job: JobSummary, rules: Iterable[WriterRule], parameters: Mapping[str, str]) -> list[SinkTarget]:
    """Return the tables that a job is to be recorded for: what its own parameters say, else every rule that fits.

    Of one table and writer there can be several, which differ by their operators: they are sinks of one writer.

    Raises:
        ConfigurationError: a rule, or the job's parameters, name something that cannot be.
    """
    own = parameters.get(TABLE_PARAMETER, "")
    if own.strip():
        writer = parameters.get(WRITER_PARAMETER) or job.name
        tables = [table.strip() for table in own.split(",") if table.strip()]
        found = [_target(job, table, writer, "", f"parameter {TABLE_PARAMETER}") for table in tables]
    else:
        found = []
        for rule in rules:
            match = re.fullmatch(rule.job, job.name)
            if match:
                names = {key: value or "" for key, value in match.groupdict().items()} | {"job": job.name}
                where = f"rule `job = {rule.job!r}` of watermark.writers"
                table, writer = (_filled(text, names, where) for text in (rule.table, rule.writer))
                found.append(_target(job, table, writer, rule.operator, where, ends_forever=rule.ends_forever))
    return list(dict.fromkeys(found))


def find_writers(vertices: Sequence[Vertex], metrics: Mapping[str, Iterable[str]]) -> list[SinkWriter]:
    """Return the writers of a job's Iceberg sinks.

    Args:
        vertices: the job's.
        metrics: names of the metrics of each vertex, by its id; they show only some time after a job has started.
    """
    found = []
    for vertex in vertices:
        operators = operators_of(vertex.name)
        names = [name for name in operators if is_sink_writer(name)]
        for shown in watermark_operators(metrics.get(vertex.vertex_id, ())):
            written = [name for name in names if as_metric(name) == shown]
            if not written and not is_sink_writer(shown):
                continue
            below = [other.name for other in vertices if vertex.vertex_id in other.inputs]
            # Where a vertex has several writers, what comes after it belongs to one of them, and who knows to which.
            alone = len(names) <= 1
            text = " | ".join([*(written or [shown]), *((vertex.name, *below) if alone else ())])
            found.append(SinkWriter(vertex.vertex_id, shown, vertex.parallelism, text))
    return found


def by_writer(targets: Iterable[SinkTarget]) -> list[tuple[SinkTarget, ...]]:
    """Return targets of one table and writer together: its watermark is that of the slowest of these sinks."""
    groups: dict[tuple[str, str], list[SinkTarget]] = {}
    for target in targets:
        groups.setdefault((target.table, target.writer), []).append(target)
    return [tuple(group) for group in groups.values()]


def choose_all(targets: Iterable[SinkTarget], writers: Sequence[SinkWriter]) -> tuple[SinkWriter, ...]:
    """Return the writers of a job that write for any of several targets.

    Raises:
        AutostreamError: there is none for one of them, or it cannot be told which.
    """
    return tuple(dict.fromkeys(writer for target in targets for writer in choose_writers(target, writers)))


def choose_writers(target: SinkTarget, writers: Sequence[SinkWriter]) -> tuple[SinkWriter, ...]:
    """Return the writers of a job that write to a target's table.

    Raises:
        AutostreamError: none does, or it cannot be told which.
    """
    name = TableName.parse(target.table).within_catalog
    pattern = target.operator or rf"(?<![\w-]){re.escape(name)}(?![\w-]|\.\w)"
    chosen = tuple(writer for writer in writers if re.search(pattern, writer.text))
    if chosen:
        return chosen
    if not writers:
        raise AutostreamError("its job shows no writer of an Iceberg sink yet")
    if len(writers) > 1 or target.operator:
        names = ", ".join(sorted({writer.operator for writer in writers}))
        raise AutostreamError(
            f"it is not clear which sink of its job writes to the table: {pattern!r} matches none of {names} and the "
            "operators after them. Give the sink a uidPrefix, and name it as `operator` in watermark.writers"
        )
    return tuple(writers)


def _target(
    job: JobSummary, table: str, writer: str, operator: str, where: str, *, ends_forever: bool = False
) -> SinkTarget:
    try:
        TableName.parse(table)
    except UsageError as error:
        raise ConfigurationError(f"Job {job.name!r}: {where} is wrong. {error}") from error
    check_writer_name(writer)
    return SinkTarget(table, writer, operator, ends_forever)


def _filled(text: str, names: Mapping[str, str], where: str) -> str:
    try:
        return text.format_map(names)
    except (KeyError, ValueError, IndexError, AttributeError) as error:
        raise ConfigurationError(
            f"{where} has {text!r}, but the job has no group {error}. Known: "
            f"{', '.join('{' + name + '}' for name in names)}."
        ) from error

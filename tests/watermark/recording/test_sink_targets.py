"""Which jobs write to which tables, and by which of their operators: by recorded answers, and by rules."""

from typing import Any

import pytest

from autostream.config import WriterRule
from autostream.errors import AutostreamError, ConfigurationError, UsageError
from autostream.flink.iceberg_sinks import SinkWriter
from autostream.flink.progress import JobSummary, Vertex
from autostream.watermark.recording.job_requests import discover_writers
from autostream.watermark.recording.sink_targets import (
    SinkTarget,
    choose_all,
    choose_writers,
    find_writers,
    targets_of,
)
from tests.flink.serving import Direct, recorded

JOB = JobSummary("7", "ingest-orders", "RUNNING")


def writers(folder: str) -> list[SinkWriter]:
    answers, job_id = recorded(folder)
    return discover_writers(Direct(answers), job_id)


@pytest.mark.parametrize(
    ("folder", "found"),
    [
        ("running-v1", [("ice-IcebergStreamWriter", 2)]),
        ("running-v2", [("lake_db_a__Writer", 2)]),
        ("chained-v1", [("IcebergStreamWriter", 1)]),
        ("two-tables-v1", [("IcebergStreamWriter", 1)]),
        ("two-tables-v2", [("lake_db_a__Writer", 1), ("lake_db_b__Writer", 1)]),
        ("restarted/before", [("lake_db_a__Writer", 2)]),
        ("finished-v1", [("IcebergStreamWriter", 1)]),
        ("restored-v1", [("IcebergStreamWriter", 1)]),
    ],
)
def test_writers_of_recorded_jobs(folder: str, found: list[tuple[str, int]]) -> None:
    assert [(writer.operator, writer.parallelism) for writer in writers(folder)] == found


@pytest.mark.parametrize(
    ("folder", "table", "operator", "chosen"),
    [
        ("running-v1", "lake.db.a", "", ["ice-IcebergStreamWriter"]),
        ("running-v1", "other.db.a", "", ["ice-IcebergStreamWriter"]),
        ("running-v1", "lake.db.elsewhere", "", ["ice-IcebergStreamWriter"]),  # it is the only one
        ("running-v1", "lake.db.a", "^ice-", ["ice-IcebergStreamWriter"]),
        ("running-v2", "lake.db.a", "", ["lake_db_a__Writer"]),
        ("chained-v1", "lake.db.a", "", ["IcebergStreamWriter"]),
        ("two-tables-v2", "lake.db.a", "", ["lake_db_a__Writer"]),
        ("two-tables-v2", "lake.db.b", "", ["lake_db_b__Writer"]),
        ("two-tables-v2", "lake.db.b", "db.a", ["lake_db_a__Writer"]),
        ("two-tables-v2", "lake.db.x", "db", ["lake_db_a__Writer", "lake_db_b__Writer"]),
    ],
)
def test_the_writers_of_a_table(folder: str, table: str, operator: str, chosen: list[str]) -> None:
    found = choose_writers(SinkTarget(table, "w", operator), writers(folder))
    assert [writer.operator for writer in found] == chosen


@pytest.mark.parametrize(
    ("folder", "table", "operator", "says"),
    [
        ("two-tables-v2", "lake.db.c", "", r"matches none of lake_db_a__Writer, lake_db_b__Writer"),
        ("running-v1", "lake.db.a", "^orders", r"'\^orders' matches none of ice-IcebergStreamWriter"),
    ],
)
def test_what_cannot_be_told(folder: str, table: str, operator: str, says: str) -> None:
    with pytest.raises(AutostreamError, match=says) as raised:
        choose_writers(SinkTarget(table, "w", operator), writers(folder))
    assert "name it as `operator` in watermark.writers" in str(raised.value)


def test_a_job_that_shows_no_writer_yet() -> None:
    answers, job_id = recorded("running-v1")
    for path in list(answers.paths):
        if path.endswith("/metrics"):
            answers.paths[path] = []
    assert discover_writers(Direct(answers), job_id) == []
    with pytest.raises(AutostreamError, match=r"its job shows no writer of an Iceberg sink yet"):
        choose_writers(SinkTarget("lake.db.a", "w"), [])


def test_a_job_that_is_not_there_has_no_writers() -> None:
    assert discover_writers(Direct(recorded("running-v1")[0]), "0" * 32) == []


def chain(*names: str) -> list[SinkWriter]:
    """Writers of one vertex with these operators, all of which show a watermark."""
    text = f"Source: rows -> ({', '.join(names)})" if len(names) > 1 else f"Source: rows -> {names[0]}"
    shown = [f"0.{n[:80].replace(' ', '_').replace(':', '_').replace('.', '_')}.currentInputWatermark" for n in names]
    return find_writers([Vertex("v", text, 1)], {"v": shown})


@pytest.mark.parametrize(
    ("names", "table", "chosen"),
    [
        (("lake.db.orders: Writer", "lake.db.orders_old: Writer"), "lake.db.orders", ["lake_db_orders__Writer"]),
        (("lake.db.orders: Writer", "lake.db.orders-old: Writer"), "lake.db.orders", ["lake_db_orders__Writer"]),
        (("lake.db.orders: Writer", "lake.my-db.orders: Writer"), "lake.db.orders", ["lake_db_orders__Writer"]),
        (("lake.db.orders: Writer", "lake.db.orders.raw: Writer"), "lake.db.orders", ["lake_db_orders__Writer"]),
        (("db.orders: Writer", "db.x: Writer"), "lake.db.orders", ["db_orders__Writer"]),
    ],
)
def test_tables_whose_names_begin_alike(names: tuple[str, ...], table: str, chosen: list[str]) -> None:
    assert [writer.operator for writer in choose_writers(SinkTarget(table, "w"), chain(*names))] == chosen


@pytest.mark.parametrize("name", ["Print: Writer of logs", "map", "IcebergSink lake.db.a: Writer", "kafka: Committer"])
def test_what_is_no_writer(name: str) -> None:
    assert chain(name) == []


def test_names_are_cut_in_metrics() -> None:
    name = "lake." + "x" * 90 + ": Writer"
    assert chain("uid: IcebergStreamWriter"[5:]) != []
    assert [writer.operator for writer in chain(name)] == [f"lake_{'x' * 75}"]


SINKS = ("eu-IcebergStreamWriter", "eu-1-IcebergStreamWriter", "us-IcebergStreamWriter")


@pytest.mark.parametrize(
    ("operators", "chosen"),
    [
        (("eu-", "us-"), SINKS),
        (("eu-", "eu-1"), SINKS[:2]),  # both fit the second one, which counts once
        (("eu-1", "us-"), SINKS[1:]),
        (("^eu-Iceberg",), SINKS[:1]),
    ],
)
def test_all_operators_of_one_writer_count(operators: tuple[str, ...], chosen: tuple[str, ...]) -> None:
    targets = [SinkTarget("lake.db.x", "w", operator) for operator in operators]
    assert {writer.operator for writer in choose_all(targets, chain(*SINKS))} == set(chosen)


@pytest.mark.parametrize("operator", ["", "asia-"])
def test_one_operator_that_is_not_found_is_an_error_though_another_is(operator: str) -> None:
    with pytest.raises(AutostreamError, match="it is not clear which sink"):
        choose_all([SinkTarget("lake.db.x", "w", "eu-"), SinkTarget("lake.db.x", "w", operator)], chain(*SINKS))


# ------------------------------------------------------------------------------------------------ rules, parameters


def targets(*rules: dict[str, str], job: JobSummary = JOB, **parameters: str) -> list[tuple[str, str, str]]:
    given = {f"autostream.watermark.{key}": value for key, value in parameters.items()}
    found = targets_of(job, [WriterRule.model_validate(rule) for rule in rules], given)
    return [(target.table, target.writer, target.operator) for target in found]


@pytest.mark.parametrize(
    ("rules", "found"),
    [
        ([{"job": "other", "table": "lake.db.x"}], []),
        ([{"job": "ingest", "table": "lake.db.x"}], []),  # the whole name has to fit
        ([{"job": "ingest-.*", "table": "lake.db.x"}], [("lake.db.x", "ingest-orders", "")]),
        (
            [{"job": "(?P<kind>.*)-(?P<t>.*)", "table": "lake.db.{t}", "writer": "{kind}/{job}", "operator": "a|b"}],
            [("lake.db.orders", "ingest/ingest-orders", "a|b")],
        ),
        ([{"job": "ingest-orders(?P<n>-x)?", "table": "lake.db.t{n}"}], [("lake.db.t", "ingest-orders", "")]),
        (
            [{"job": ".*", "table": "lake.db.x"}, {"job": ".*", "table": "lake.db.y"}],
            [("lake.db.x", "ingest-orders", ""), ("lake.db.y", "ingest-orders", "")],
        ),
        (
            [{"job": ".*", "table": "lake.db.x", "operator": "a"}, {"job": ".*", "table": "lake.db.x"}],
            [("lake.db.x", "ingest-orders", "a"), ("lake.db.x", "ingest-orders", "")],
        ),
        (
            [{"job": ".*", "table": "lake.db.x", "operator": operator} for operator in ("eu-", "us-", "eu-")],
            [("lake.db.x", "ingest-orders", "eu-"), ("lake.db.x", "ingest-orders", "us-")],
        ),
        (
            [{"job": ".*", "table": "lake.db.x", "writer": writer, "operator": "eu-"} for writer in ("a", "b")],
            [("lake.db.x", "a", "eu-"), ("lake.db.x", "b", "eu-")],
        ),
    ],
)
def test_rules(rules: list[dict[str, str]], found: list[tuple[str, str, str]]) -> None:
    assert targets(*rules) == found


@pytest.mark.parametrize(
    ("parameters", "found"),
    [
        ({"table": "lake.db.x"}, [("lake.db.x", "ingest-orders", "")]),
        ({"table": " lake.db.x ,, lake.db.y ", "writer": "w"}, [("lake.db.x", "w", ""), ("lake.db.y", "w", "")]),
        ({"table": " "}, [("lake.db.rule", "ingest-orders", "")]),
        ({"writer": "w"}, [("lake.db.rule", "ingest-orders", "")]),
    ],
)
def test_a_jobs_own_parameters_count_instead_of_rules(
    parameters: dict[str, str], found: list[tuple[str, str, str]]
) -> None:
    assert targets({"job": ".*", "table": "lake.db.rule"}, **parameters) == found


@pytest.mark.parametrize(
    ("rule", "parameters", "says"),
    [
        (
            {"table": "db.x"},
            {},
            r"Job 'ingest-orders': rule `job = '\.\*'` of watermark.writers is wrong. Invalid table name 'db.x'",
        ),
        ({"table": "lake..x"}, {}, "Invalid table name 'lake..x'. Write CATALOG.NAMESPACE.TABLE"),
        ({"table": "lake.db.{t}"}, {}, r"has 'lake.db.{t}', but the job has no group 't'. Known: {job}"),
        ({"table": "lake.db.{0}"}, {}, "the job has no group"),
        ({"table": "lake.db.{"}, {}, "the job has no group"),
        ({"table": "lake.db.{job.x}"}, {}, "the job has no group"),
        (
            {"table": "lake.db.x"},
            {"table": "x"},
            "parameter autostream.watermark.table is wrong. Invalid table name 'x'",
        ),
    ],
)
def test_errors_name_the_thing(rule: dict[str, str], parameters: dict[str, str], says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        targets({"job": ".*", **rule}, **parameters)


@pytest.mark.parametrize(("writer", "says"), [("x" * 129, "129 characters"), (" ", "Invalid writer name")])
def test_names_that_no_writer_can_have(writer: str, says: Any) -> None:
    with pytest.raises(UsageError, match=says):
        targets({"job": ".*", "table": "lake.db.x", "writer": writer})

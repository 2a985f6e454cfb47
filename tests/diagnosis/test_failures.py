"""Failures: their innermost cause, what is alike about messages, and groups over time."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autostream.diagnosis.failures import (
    Failure,
    causes,
    group_failures,
    innermost_cause,
    without_subtask,
    without_varying,
)
from autostream.masking import MASK

TRACE = """org.apache.flink.runtime.JobException: Recovery is suppressed by NoRestartBackoffTimeStrategy
\tat org.apache.flink.runtime.executiongraph.failover.ExecutionFailureHandler.handle(ExecutionFailureHandler.java:219)
\tat java.base/java.lang.Thread.run(Thread.java:840)
Caused by: java.lang.RuntimeException: while writing
\tat org.apache.flink.streaming.runtime.tasks.StreamTask.invoke(StreamTask.java:959)
\tSuppressed: java.io.IOException: on closing
\t\tat com.acme.Writer.close(Writer.java:9)
\tCaused by: java.io.EOFException: of what was suppressed
\t\t... 3 more
Caused by: java.net.ConnectException: Connection refused: 10.1.2.3:9000
second line
\tat java.base/sun.nio.ch.Net.pollConnect(Native Method)
\tat app//com.acme.orders.Enrich.call(Enrich.java:41)
\t... 12 more
"""


def trace(message: str, name: str = "java.lang.IllegalStateException") -> str:
    inner = f"Caused by: {name}: {message}\n\tat com.acme.M.x(M.java:2)\n"
    return f"java.lang.RuntimeException: outer\n\tat a.B.c(B.java:1)\n{inner}"


def test_the_root_cause_is_the_innermost_and_not_what_was_suppressed() -> None:
    root = innermost_cause(TRACE)
    assert root.name == "java.net.ConnectException"
    assert root.message == "Connection refused: 10.1.2.3:9000\nsecond line"
    assert root.place == "app//com.acme.orders.Enrich.call(Enrich.java:41)"
    assert [cause.short_name for cause in causes(TRACE)] == ["JobException", "RuntimeException", "ConnectException"]
    assert causes(TRACE)[1].place.startswith("org.apache.flink.streaming")


@pytest.mark.parametrize(
    ("text", "name", "message"),
    [
        ("", "(unknown)", ""),
        ("some words without an exception", "(unknown)", "some words without an exception"),
        ("java.lang.OutOfMemoryError", "java.lang.OutOfMemoryError", ""),
        ("a.B: password=hunter2secret", "a.B", f"password={MASK}"),
        ("Caused by: a.B: first line of all", "a.B", "first line of all"),
    ],
)
def test_odd_stack_traces(text: str, name: str, message: str) -> None:
    root = innermost_cause(text)
    assert (root.name, root.message) == (name, message)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("row 17 of 9,000 is bad", "row 2 of 31 is bad"),
        ("TaskManager 127.0.0.1:39661-2b4102 has gone", "TaskManager 10.0.0.7:6122-9f001a has gone"),
        ("lock java.lang.Object@421e361", "lock java.lang.Object@6c61a903"),
        (
            "Execution 9f2cf701a1c397886b4ae0412fcf8e35 not found",
            "Execution 0a2cf701a1c397886b4ae0412fcf8e36 not found",
        ),
        ("id 123e4567-e89b-12d3-a456-426614174000", "id 00000000-e89b-12d3-a456-426614174abc"),
        ("late at 2026-11-28 19:57:50,123", "late at 2025-01-02T03:04:05Z"),
    ],
)
def test_what_differs_between_failures_of_one_kind_does_not_count(one: str, other: str) -> None:
    assert without_varying(one) == without_varying(other)


def test_words_do_count() -> None:
    assert without_varying("table orders is locked") != without_varying("table clicks is locked")
    assert without_varying("decade facade") == "decade facade"  # hexadecimal digits alone make no id
    assert without_varying("utf8 in s3a") == "utf8 in s3a"


@given(st.text(max_size=300))
def test_anything_can_be_read(text: str) -> None:
    assert causes(text)
    assert without_varying(without_varying(text)) == without_varying(without_varying(without_varying(text)))
    assert group_failures([Failure(1, text)])[0].count == 1


def test_groups_over_time() -> None:
    failures = [
        Failure(3_000, trace("row 3"), "map (1/2)#3", "tm-a"),
        Failure(3_000, trace("row 3"), "map (2/2)#3", "tm-a"),  # the same failure took both tasks
        Failure(63_000, trace("row 63"), "map (1/2)#4", "tm-a"),
        Failure(123_000, trace("row 9"), "sink: Writer (1/2)#5", "tm-a"),
        Failure(50_000, trace("Connection refused"), None, None),
    ]
    rows, refused = group_failures(failures)
    assert (rows.count, rows.at_ms, rows.pattern) == (3, (123_000, 63_000, 3_000), "row <n>")
    assert rows.tasks == {"map": 3, "sink: Writer": 1}
    assert rows.cause.message == "row 9"
    told = str(rows.finding)
    assert "IllegalStateException: row 9 It happened 3 times within 2 min, last at 1970-01-01T00:02:03Z" in told
    assert "in 'map' (3), 'sink: Writer' (1). Thrown at com.acme.M.x(M.java:2)." in told
    assert "All of them were on task manager tm-a" in told
    assert (refused.count, refused.tasks) == (1, {})
    assert "1 time, last at" in refused.finding.reason
    assert "in the job as a whole." in refused.finding.reason
    document = rows.to_dict()
    assert (document["count"], document["first_ms"], document["last_ms"]) == (3, 3_000, 123_000)


def test_groups_are_those_of_any_order() -> None:
    failures = [Failure(at, trace(f"row {at}" if at % 3 else "other"), "map (1/2)") for at in range(1, 20)]
    assert group_failures(failures) == group_failures(list(reversed(failures)))


@pytest.mark.parametrize(
    ("task", "name"),
    [
        ("map (3/8)", "map"),
        ("Source: a (1/2)#14", "Source: a"),
        ("f(1/2) (1/2)", "f(1/2)"),
        ("map (1/1) - execution #3", "map"),
        ("no subtask", "no subtask"),
    ],
)
def test_names_of_tasks(task: str, name: str) -> None:
    assert without_subtask(task) == name

"""The end of a log: its records, its errors, and what is hidden."""

from hypothesis import given
from hypothesis import strategies as st

from autostream.diagnosis.log_errors import parse_records, read_log
from autostream.findings import Severity
from autostream.masking import MASK

LOG = """2026-11-28 19:57:50,001 INFO  org.apache.flink.runtime.taskexecutor.TaskExecutor   [] - Receive slot request 1.
2026-11-28 19:57:50,123 ERROR com.acme.Enrich                                              [] - Lookup of 17 failed
java.lang.RuntimeException: outer
\tat com.acme.Enrich.call(Enrich.java:41)
Caused by: java.net.ConnectException: Connection refused to 10.0.0.9:6379
\t... 3 more
2026-11-28 19:57:51,000 WARN  com.acme.Enrich [] - slow: https://svc:s3cr3tpw@host/x
2026-11-28 19:57:52,123 ERROR com.acme.Enrich                                              [] - Lookup of 18 failed
java.lang.RuntimeException: outer
Caused by: java.net.ConnectException: Connection refused to 10.0.0.7:6379
"""


def test_errors_are_grouped_with_their_root_cause() -> None:
    report = read_log("tm-1", LOG.encode(), whole=True)
    assert (report.records, report.whole) == (4, True)
    error, warning = report.errors
    assert (error.level, error.logger, error.count) == ("ERROR", "com.acme.Enrich", 2)
    assert error.message == "Lookup of 18 failed [ConnectException: Connection refused to 10.0.0.7:6379]"
    assert (error.first_at, error.last_at) == ("2026-11-28 19:57:50,123", "2026-11-28 19:57:52,123")
    assert "s3cr3tpw" not in str(report)
    assert f"https://svc:{MASK}@host/x" in warning.message
    assert [finding.severity for finding in report.findings] == [Severity.ERROR, Severity.WARNING]


def test_the_first_line_of_an_end_is_a_part_of_one() -> None:
    cut = b"ERROR a.B [] - half\n" + LOG.encode()
    assert read_log("tm", cut, whole=False).errors == read_log("tm", LOG.encode(), whole=True).errors
    half = b"2026-11-28 19:57:50,123 ERROR a.B [] - half a record of a longer line\n"
    assert read_log("tm", half, whole=False).errors == ()
    assert len(read_log("tm", half, whole=True).errors) == 1


def test_json_layouts() -> None:
    lines = [
        '{"@timestamp": "2026-11-28T19:57:50Z", "log.level": "ERROR", "message": "no", "log.logger": "a.B"}',
        '{"level": "warn", "message": "slow", "loggerName": "a.B", "timestamp": 5}',
        '{"level": 5, "message": "not a record"}',
        "{broken",
    ]
    found = list(parse_records(lines))
    assert [(one.at, one.level, one.logger, one.message) for one in found] == [
        ("2026-11-28T19:57:50Z", "ERROR", "a.B", "no"),
        ("5", "WARN", "a.B", "slow"),
    ]


def test_clean_and_unknown_logs() -> None:
    clean = read_log("tm", b"2026-11-28 19:57:50,001 INFO a.B [] - fine\n", whole=True)
    assert (clean.findings[0].id, clean.findings[0].severity) == ("log-clean", Severity.OK)
    assert read_log("tm", b"I1128 something else\n" * 3, whole=True).findings[0].id == "log-unknown"
    assert read_log("tm", b"", whole=True).findings[0].id == "log-clean"


@given(st.binary(max_size=400), st.booleans())
def test_anything_can_be_read(tail: bytes, whole: bool) -> None:
    assert read_log("tm", tail, whole=whole).findings
    assert read_log("tm", LOG.encode() + tail, whole=whole).records >= 3

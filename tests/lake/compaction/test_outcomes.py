"""One outcome a table out of those of its items."""

from __future__ import annotations

import pytest
from pyiceberg.exceptions import ServiceUnavailableError
from sqlalchemy.exc import OperationalError

from autostream.errors import (
    AutostreamError,
    CommitRefusedError,
    ConfigurationError,
    ConflictError,
    DataError,
    DeniedError,
    OutcomeUnknownError,
    ResourceError,
    ServiceError,
    TimedOutError,
    UnsupportedFileError,
)
from autostream.lake.compaction.outcomes import failed, outcome_of_error, outcomes_by_table, worth_repeating

COMMITTED = {
    "table": "lake.db.orders",
    "status": "committed",
    "groups": {"planned": 2, "committed": 2, "conflicted": 0, "failed": 0},
    "before": {"data_files": 40, "equality_delete_files": 10, "bytes": 1000},
    "after": {"data_files": 21, "equality_delete_files": 10, "bytes": 800},
    "rows_deleted": 5,
    "bytes_written": 300,
    "seconds": {"plan": 0.1, "rewrite": 2.0},
}


def test_a_table_with_one_item_keeps_its_outcome() -> None:
    assert outcomes_by_table([COMMITTED]) == (COMMITTED,)


def test_items_of_a_split_table_are_summed_and_span_from_first_to_last() -> None:
    second = COMMITTED | {
        "before": {"data_files": 21, "equality_delete_files": 10, "bytes": 800},
        "after": {"data_files": 2, "equality_delete_files": 0, "bytes": 600},
    }
    (row,) = outcomes_by_table([second, COMMITTED])
    assert row["status"] == "committed"
    assert row["items"] == 2
    assert row["groups"] == {"planned": 4, "committed": 4, "conflicted": 0, "failed": 0}
    assert row["before"] == COMMITTED["before"]
    assert row["after"] == second["after"]
    assert row["rows_deleted"] == 10
    assert row["bytes_written"] == 600
    assert row["seconds"] == {"plan": 0.2, "rewrite": 4.0}
    assert "error" not in row


@pytest.mark.parametrize("order", [1, -1])
def test_the_worst_status_counts_and_errors_stand_together(order: int) -> None:
    rows = [
        COMMITTED,
        {"table": "lake.db.orders", "status": "conflict", "error": "Another compaction was faster."},
        {"table": "lake.db.orders", "status": "failed", "error": "A file is missing."},
        {"table": "lake.db.users", "status": "nothing-to-do", "error": None},
    ]
    orders, users = outcomes_by_table(rows[::order])
    assert orders["status"] == "failed"
    assert orders["error"] == "A file is missing. Another compaction was faster."
    assert orders["rows_deleted"] == 5
    assert users["table"] == "lake.db.users"


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("committed", False),
        ("nothing-to-do", False),
        ("planned", False),
        ("conflict", True),
        ("unknown", True),
        ("failed", True),
        ("never heard of", True),
    ],
)
def test_which_outcomes_somebody_should_look_at(status: str, *, expected: bool) -> None:
    assert failed({"table": "t", "status": status}) is expected


@pytest.mark.parametrize(
    ("error", "status", "repeat"),
    [
        (ConflictError("Another compaction was faster."), "conflict", True),
        (OutcomeUnknownError("The catalog did not answer."), "unknown", True),
        (ResourceError("The disk is full."), "failed", True),
        (ConnectionResetError("Connection reset by peer"), "failed", True),
        (OSError(28, "No space left on device"), "failed", True),
        (FileNotFoundError(2, "No such file"), "failed", False),
        (PermissionError(13, "Permission denied"), "failed", False),
        (DataError("A file is truncated."), "failed", False),
        (TimedOutError("It took too long."), "failed", False),
        (AutostreamError("Something else."), "failed", False),
        (KeyError("a bug"), "failed", False),
    ],
)
def test_what_an_error_makes_of_a_table(error: Exception, status: str, *, repeat: bool) -> None:
    row = outcome_of_error("lake.db.orders", error)
    assert (row["table"], row["status"], row["error"]) == ("lake.db.orders", status, str(error))
    assert row["error_type"] == type(error).__name__
    assert worth_repeating(row) is repeat
    assert failed(row)


def test_what_a_lost_connection_caused_may_pass() -> None:
    def fail() -> None:
        try:
            raise ConnectionRefusedError(111, "Connection refused")
        except OSError as error:
            raise ConfigurationError("Catalog 'lake' cannot be opened.") from error

    with pytest.raises(ConfigurationError) as raised:
        fail()
    assert worth_repeating(outcome_of_error("lake.db.orders", raised.value))
    assert not worth_repeating(outcome_of_error("lake.db.orders", ConfigurationError("Catalog 'lake' has no uri.")))


@pytest.mark.parametrize(
    ("cause", "repeat"),
    [
        (OperationalError("SELECT", {}, Exception("server closed the connection unexpectedly")), True),
        (ServiceUnavailableError("busy"), True),
        (ServiceError("HDFS cannot be reached."), True),
        (OperationalError("SELECT", {}, Exception("password authentication failed for user x")), False),
        (FileNotFoundError(2, "No such file"), False),
        (KeyError("a bug"), False),
    ],
)
def test_what_was_in_the_way_counts_whatever_was_said_of_it(cause: Exception, *, repeat: bool) -> None:
    error = AutostreamError("Table lake.db.orders cannot be re-read.")
    error.__cause__ = cause
    assert worth_repeating(outcome_of_error("lake.db.orders", error)) is repeat
    for stays in (DataError("damaged"), DeniedError("no"), CommitRefusedError("no"), UnsupportedFileError("no")):
        stays.__cause__ = cause
        assert not worth_repeating(outcome_of_error("lake.db.orders", stays))


def test_an_error_without_words_is_named() -> None:
    assert outcome_of_error("lake.db.orders", MemoryError())["error"] == "MemoryError"


@pytest.mark.parametrize("status", ["committed", "nothing-to-do", "planned", "failed"])
def test_what_is_done_or_broken_is_not_repeated(status: str) -> None:
    assert not worth_repeating({"table": "t", "status": status})

"""What an error makes of the work that ended by it, and whether the same work may succeed later."""

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
from autostream.lake.compaction.table_outcomes import failed
from autostream.outcomes import outcome_of_error, worth_repeating


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

"""What a catalog's answer to a commit means for who sent it."""

import pytest
from pyiceberg.exceptions import (
    BadRequestError,
    CommitFailedException,
    CommitStateUnknownException,
    ForbiddenError,
    NoSuchTableError,
)

from autostream.catalogs.commit_answers import CommitAnswerLostError, OvertakenError, judged, reread
from autostream.errors import AutostreamError, DeniedError, LockTimeoutError, ServiceError


def failed_for(cause: Exception) -> CommitFailedException:
    failure = CommitFailedException("Nothing was changed")
    failure.__cause__ = cause
    return failure


@pytest.mark.parametrize(
    ("error", "meaning"),
    [
        (CommitFailedException("another one was faster"), OvertakenError),
        (failed_for(ServiceError("ZooKeeper is away")), OvertakenError),
        (failed_for(LockTimeoutError("held by alice")), LockTimeoutError),
        (failed_for(DeniedError("not you")), DeniedError),
        (ForbiddenError("not you"), DeniedError),
        (BadRequestError("what?"), DeniedError),
        (CommitStateUnknownException("504"), CommitAnswerLostError),
        (ConnectionError("reset"), CommitAnswerLostError),
        (ServiceError("the lock could not be released"), CommitAnswerLostError),  # maybe after the swap
    ],
)
def test_what_an_error_means(error: Exception, meaning: type[Exception]) -> None:
    with pytest.raises(AutostreamError) as raised, judged("the compaction of lake.db.t"):
        raise error
    assert type(raised.value) is meaning


def test_a_success_means_nothing_more() -> None:
    with judged("the compaction of lake.db.t"):
        pass


def test_a_table_that_is_gone_is_for_the_caller_to_name() -> None:
    def load() -> None:
        raise NoSuchTableError("db.t")

    with pytest.raises(NoSuchTableError):
        reread(load, table="lake.db.t", purpose="for the commit")


def test_a_table_that_cannot_be_read_is_named() -> None:
    def load() -> None:
        raise ServiceError("The metastore is away.")

    with pytest.raises(
        ServiceError, match=r"Cannot read table lake\.db\.t again for the commit: The metastore is away\."
    ):
        reread(load, table="lake.db.t", purpose="for the commit")

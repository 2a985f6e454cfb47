"""The errors that autostream raises, each with the exit code of the command and the HTTP status that it ends with.

A message says what was wrong, with which value of which thing, and what to do about it.
"""

from __future__ import annotations

from autostream.masking import mask


class AutostreamError(Exception):
    """Base of all errors that a user is meant to read; ends a command with exit code 1.

    Secrets in its message are hidden from the beginning: whatever prints it, stores it or sends it shows none.
    """

    exit_code: int = 1
    http_status: int = 500
    """What a request ends with; from 500 on the console logs the message, and tells only where in the log it is."""
    passes_by_itself: bool = False
    """Whether the same work, done again a little later, may well succeed; workflows then do it again."""

    def __init__(self, *arguments: object) -> None:
        """Keep what there is to say."""
        super().__init__(*(mask(str(argument)) for argument in arguments))


class UsageError(AutostreamError):
    """The caller asked for something that cannot be asked for: a bad argument, an unknown table."""

    exit_code = 2
    http_status = 400


class NotFoundError(UsageError):
    """What was named does not exist."""

    http_status = 404


class ConfigurationError(AutostreamError):
    """A configured value, table property or connection is missing or wrong."""

    exit_code = 2
    http_status = 422


class UnsupportedTableError(ConfigurationError):
    """The table uses a feature that autostream refuses to touch, such as format version 3."""


class DataError(AutostreamError):
    """A file of the table is missing, truncated or says what the table's metadata contradicts."""

    http_status = 422


class InconsistentTableError(DataError):
    """The table's metadata contradicts itself or its sound files: a path live twice, a record count that is wrong."""


class UnsupportedFileError(AutostreamError):
    """A file is sound, but holds something that this version cannot read; says what, and which way round there is."""

    http_status = 422


class DefectError(AutostreamError):
    """Our own work does not add up: nothing was made permanent; says what to report."""


class ResourceError(AutostreamError):
    """Memory, disk or another local resource did not suffice."""

    http_status = 503
    passes_by_itself = True


class ConflictError(AutostreamError):
    """Another writer changed what this work was built on; nothing was changed by us."""

    exit_code = 3
    http_status = 409


class CommitRefusedError(AutostreamError):
    """A catalog refuses a commit for a reason that stays: it would refuse it again. Nothing was changed."""

    http_status = 409


class LockLostError(ConflictError):
    """The lock that protected a commit was lost before its swap: expired, broken, or its session is in doubt."""


class OutcomeUnknownError(AutostreamError):
    """Whether a commit landed could not be found out; every file was kept."""

    exit_code = 4


class NotReadyError(AutostreamError):
    """What was asked about is not ready, or not known, yet."""

    exit_code = 4
    http_status = 409


class DeniedError(AutostreamError):
    """A budget or a permission forbids it."""

    exit_code = 5
    http_status = 403


class TimedOutError(AutostreamError):
    """The allowed time passed first."""

    exit_code = 124
    http_status = 504


class LockTimeoutError(TimedOutError):
    """A lock was not got in the allowed time; says who holds it and who waits before us."""


class ServiceError(AutostreamError):
    """A service (HDFS, metastore, ZooKeeper, Flink) cannot be reached, or answers what it should not.

    The message names the address, the operation and the remedy.
    """

    http_status = 503
    passes_by_itself = True

"""Table properties changed safely: decided upon the table's newest state, and swapped only if that is still so."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from pyiceberg.exceptions import NoSuchTableError
from pyiceberg.table import Table

from autostream.catalogs.commit_answers import CommitAnswerLostError, OvertakenError, judged, reread, root_cause
from autostream.catalogs.compared_properties import commit_properties
from autostream.catalogs.rest import RestCatalog
from autostream.catalogs.retry_policy import RetryPolicy
from autostream.errors import ConflictError, OutcomeUnknownError, ServiceError, UsageError
from autostream.iceberg.tables import full_name, properties_of

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Purpose:
    """What a change is for, in the words of messages.

    Attributes:
        what: What is written, such as `watermarks`.
        to_do: What is done to it: `record`.
        done: The same, once it is done: `recorded`.
        doing: The same, while it is done: `Recording`.
    """

    what: str
    to_do: str
    done: str
    doing: str


def change_properties(
    table: Table,
    decide: Callable[[Mapping[str, str]], Mapping[str, str]],
    *,
    guarded_prefix: str,
    purpose: Purpose,
    before_commit: Callable[[], None] = lambda: None,
    on_commit: Callable[[Mapping[str, str]], None] = lambda _: None,
) -> None:
    """Set properties of a table; nothing where the table says it all already.

    The decision is made again upon each state of the table, so what others change meanwhile is never set back.
    Afterwards the table is looked at again where the catalog cannot compare properties (REST): of two that change them
    at the same moment one may overwrite what the other one has made of them; the second look mends it.

    Args:
        table: As it was loaded; what it has become, on return.
        decide: Says which properties have to change, given those that the table has; none: nothing is to be done.
        guarded_prefix: The properties that the decision depends on begin with this.
        purpose: What messages say of it.
        before_commit: Called before each attempt; raises where this process may not write any more.
        on_commit: Gets what was changed, after each commit.

    Raises:
        ConflictError: Other commits were faster at every attempt; nothing was changed.
        OutcomeUnknownError: Whether it was done could not be found out; doing it again is safe.
        UsageError: The table is gone.
        DeniedError: The catalog refused it.
    """
    name = full_name(table)
    policy = RetryPolicy.from_properties(properties_of(table))
    committed = False
    for attempt in policy.attempts(at_least=1 if compares_properties(table) else 2):  # there is a second look
        if attempt > 1:
            _reload(table, name, purpose)
        changed = decide(table.metadata.properties)
        if not changed:
            return
        before_commit()
        if not _commit(table, name, changed, guarded_prefix=guarded_prefix, purpose=purpose):
            continue
        committed = True
        on_commit(changed)
        if compares_properties(table):
            return
    if not committed:
        raise ConflictError(
            f"Could not {purpose.to_do} {purpose.what} of {name}: other commits were faster {attempt} times. Nothing "
            "was changed. Try again, or raise the table's commit.retry.num-retries."
        )


def compares_properties(table: Table) -> bool:
    """Say whether a table's catalog swaps its properties only if they are what they were when it was decided."""
    return not isinstance(table.catalog, RestCatalog)


def _commit(table: Table, name: str, changed: Mapping[str, str], *, guarded_prefix: str, purpose: Purpose) -> bool:
    """Make one attempt; False where another commit was faster."""
    try:
        with judged(f"to {purpose.to_do} {purpose.what} in {name}"):
            commit_properties(table, changed, guarded_prefix=guarded_prefix)
    except OvertakenError as error:
        if isinstance(cause := root_cause(error), ServiceError):
            raise cause from error  # the caller comes again, and then decides upon the new state
        _logger.debug("A commit of %s to %s was overtaken: %s", purpose.what, name, error)
        return False
    except CommitAnswerLostError as error:
        raise OutcomeUnknownError(
            f"It is not known whether {purpose.what} were {purpose.done} in {name}: {error}. {purpose.doing} them "
            "again is safe."
        ) from error
    return True


def _reload(table: Table, name: str, purpose: Purpose) -> None:
    try:
        reread(table.refresh, table=name, purpose=f"to {purpose.to_do} {purpose.what}")
    except NoSuchTableError as error:
        raise UsageError(f"Table {name} was dropped in the meantime. Nothing was {purpose.done}.") from error

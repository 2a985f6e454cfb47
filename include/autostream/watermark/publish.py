"""Watermarks written into a table's properties: decided upon its newest state, and swapped only if that is still so."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

from pyiceberg.exceptions import NoSuchTableError
from pyiceberg.table import Table

from autostream.catalogs.commit_answers import AnswerLostError, OvertakenError, judged, reread, root_cause
from autostream.catalogs.compared_properties import commit_properties
from autostream.catalogs.rest import RestCatalog
from autostream.catalogs.retry_policy import RetryPolicy
from autostream.errors import ConflictError, OutcomeUnknownError, ServiceError, UsageError
from autostream.iceberg.tables import full_name, properties_of
from autostream.watermark.changes import WatermarkChange
from autostream.watermark.codec import PREFIX
from autostream.watermark.events import describe_event

_logger = logging.getLogger(__name__)

Decision = Callable[[Mapping[str, str]], WatermarkChange]
"""Says what has to change, given the properties that the table has: ``advance`` and its like, with their arguments."""


def publish(
    table: Table,
    decide: Decision,
    *,
    before_commit: Callable[[], None] = lambda: None,
) -> WatermarkChange:
    """Change a table's watermarks, and return what was changed: nothing where the table says it all already.

    The decision is made anew upon each state of the table, so what others record meanwhile is never set back.
    Afterwards the table is looked at again where the catalog cannot compare properties (REST): of two that publish at
    the same moment one may overwrite what the other one has made of the table's watermark; the second look mends it.

    Args:
        table: as it was loaded; what it has become, on return.
        decide: what has to change.
        before_commit: called before each attempt; raises where this process may not publish any more.

    Raises:
        ConflictError: other commits were faster at every attempt; nothing was changed.
        OutcomeUnknownError: whether it was recorded could not be found out; recording it again is safe.
        UsageError: the table is gone.
        DeniedError: the catalog refused it.
    """
    name = full_name(table)
    policy = RetryPolicy.from_properties(properties_of(table))
    done: WatermarkChange | None = None
    for attempt in policy.attempts(at_least=1 if compares_properties(table) else 2):  # there is a second look
        if attempt > 1:
            _reload(table, name)
        change = decide(table.metadata.properties)
        if not change:
            return done or change
        before_commit()
        if not _commit(table, name, change):
            continue
        for event in change.events:
            _logger.info("%s: %s", name, describe_event(event))
        done = (
            change if done is None else WatermarkChange({**done.changed, **change.changed}, done.events + change.events)
        )
        if compares_properties(table):
            return done
    if done is not None:
        return done
    raise ConflictError(
        f"Watermarks of {name} could not be recorded: other commits were faster {attempt} times. Nothing "
        "was changed. Try again, or raise the table's commit.retry.num-retries."
    )


def _commit(table: Table, name: str, change: WatermarkChange) -> bool:
    """Make one attempt; False where another commit was faster."""
    try:
        with judged(f"to record watermarks in {name}"):
            commit_properties(table, change.changed, guarded_prefix=PREFIX)
    except OvertakenError as error:
        if isinstance(cause := root_cause(error), ServiceError):
            raise cause from error  # whoever publishes comes again by itself, and then decides upon newer readings
        _logger.debug("A commit of watermarks to %s was overtaken: %s", name, error)
        return False
    except AnswerLostError as error:
        raise OutcomeUnknownError(
            f"Whether watermarks were recorded in {name} is not known: {error}. Recording them again is safe."
        ) from error
    return True


def compares_properties(table: Table) -> bool:
    """Say whether a table's catalog swaps its properties only if they are what they were when it was decided."""
    return not isinstance(table.catalog, RestCatalog)


def _reload(table: Table, name: str) -> None:
    try:
        reread(table.refresh, table=name, purpose="to record watermarks")
    except NoSuchTableError as error:
        raise UsageError(f"Table {name} was dropped meanwhile; nothing was recorded.") from error

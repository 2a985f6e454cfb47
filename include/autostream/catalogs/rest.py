"""A REST catalog whose commits are asked after when their answer is lost, and can be locked by ZooKeeper.

Usable wherever PyIceberg takes ``py-catalog-impl``: ``autostream.catalogs.rest.RestCatalog``. The server writes
``metadata.json`` and swaps the pointer; what can be done here is to find out whether it did.
"""

from __future__ import annotations

import logging
from contextlib import ExitStack
from functools import partial
from typing import Any, Final, Never

from pyiceberg.catalog import Catalog
from pyiceberg.catalog import rest as pyiceberg_rest
from pyiceberg.exceptions import (
    CommitFailedException,
    CommitStateUnknownException,
    NoSuchTableError,
)
from pyiceberg.table import CommitTableResponse, Table
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.table.update import (
    AddSnapshotUpdate,
    AssertRefSnapshotId,
    SetSnapshotRefUpdate,
    TableRequirement,
    TableUpdate,
    update_table_metadata,
)

from autostream.catalogs.acting import ActingCatalog, has_owners
from autostream.catalogs.compared_properties import AssertProperties
from autostream.catalogs.failures import explained, http_status
from autostream.catalogs.locking import holding, optional_lock
from autostream.catalogs.retry_policy import RetryPolicy
from autostream.catalogs.swap import (
    SwapObserver,
    SwapStep,
    Verdict,
    no_observer,
    nothing_changed,
)
from autostream.errors import AutostreamError, CommitRefusedError, DeniedError
from autostream.iceberg.tables import properties_of
from autostream.names import TableName
from autostream.properties import of_catalog

logger = logging.getLogger(__name__)

_CONNECT_TIMEOUT_MS: Final = 10_000
_ANSWER_TIMEOUT_MS: Final = 60_000
# Not refusals: too slow, a conflict, too early, too many.
_NOT_NOW: Final = (408, 409, 425, 429)

Requirements = tuple[TableRequirement, ...]
Updates = tuple[TableUpdate, ...]


def is_applied(updates: Updates, metadata: TableMetadata) -> bool:
    """Say whether a table shows the effects of updates: its new snapshots, or else all that they would change.

    Updates without a snapshot bear no mark of who sent them, so another commit to the same effect counts as well.
    """
    snapshots = [update.snapshot.snapshot_id for update in updates if isinstance(update, AddSnapshotUpdate)]
    if snapshots:
        return all(metadata.snapshot_by_id(snapshot_id) is not None for snapshot_id in snapshots)
    try:
        again = update_table_metadata(metadata, updates)
    except Exception:  # they cannot be made upon this state, as when a schema that they drop is gone
        return False
    return _comparable(again) == _comparable(metadata)


def _comparable(metadata: TableMetadata) -> TableMetadata:
    return metadata.model_copy(update={"last_updated_ms": 0, "metadata_log": []})


def judge_rest(requirements: Requirements, updates: Updates, metadata: TableMetadata) -> Verdict:
    """Say what became of a commit by the table as it is now.

    A commit that adds a snapshot upon another has failed when the table went from that one to somebody else's. That its
    own snapshot is not there proves nothing: it may have been applied, built upon, and expired. Pending is what could
    still be applied, and what cannot be told.
    """
    if is_applied(updates, metadata):
        return Verdict.COMMITTED
    if any(isinstance(update, AddSnapshotUpdate) for update in updates):
        bases = [r for r in requirements if isinstance(r, AssertRefSnapshotId)]
        return Verdict.FAILED if any(_left_for_another(r, metadata) for r in bases) else Verdict.PENDING
    try:
        for requirement in requirements:
            requirement.validate(metadata)
    except CommitFailedException:
        return Verdict.FAILED
    return Verdict.PENDING


def _left_for_another(base: AssertRefSnapshotId, metadata: TableMetadata) -> bool:
    """Say whether a ref has gone on from the snapshot that it is required to point to."""
    ref = metadata.refs.get(base.ref)
    snapshot = metadata.snapshot_by_id(ref.snapshot_id) if ref else None
    while snapshot is not None and snapshot.snapshot_id != base.snapshot_id:
        if snapshot.parent_snapshot_id == base.snapshot_id:
            return True
        parent = snapshot.parent_snapshot_id
        snapshot = metadata.snapshot_by_id(parent) if parent is not None else None
    return False


def is_repeatable(requirements: Requirements, updates: Updates) -> bool:
    """Say whether a commit can be sent twice without being applied twice: where it breaks its own requirement.

    A new snapshot moves the head of its branch, of which the commit requires that it has not moved.
    """
    required = {r.ref for r in requirements if isinstance(r, AssertRefSnapshotId)}
    moved = {u.ref_name for u in updates if isinstance(u, SetSnapshotRefUpdate)}
    return bool(moved & required) and any(isinstance(u, AddSnapshotUpdate) for u in updates)


def is_refusal(error: BaseException) -> bool:
    """Say whether a server answered that a request is wrong, or not allowed, without having done anything."""
    status = http_status(error)
    return status is not None and 400 <= status < 500 and status not in _NOT_NOW


class RestCatalog(ActingCatalog, pyiceberg_rest.RestCatalog):
    """PyIceberg's REST catalog with the status check that its commits lack."""

    def __init__(self, name: str, **properties: str) -> None:
        """Open the catalog: the server is asked for its configuration."""
        super().__init__(name, **properties)
        self.observe: SwapObserver = no_observer

    def _create_session(self) -> Any:
        session = super()._create_session()
        said = of_catalog(self.name, self.properties)
        connect_ms = said.whole("rest.client.connection-timeout-ms", _CONNECT_TIMEOUT_MS, minimum=1)
        answer_ms = said.whole("rest.client.socket-timeout-ms", _ANSWER_TIMEOUT_MS, minimum=1)
        # PyIceberg waits for ever for a server that accepts connections and says nothing.
        session.request = partial(session.request, timeout=(connect_ms / 1000, answer_ms / 1000))  # type: ignore[method-assign]
        return session

    def _response_to_table(self, identifier_tuple: tuple[str, ...], table_response: Any) -> Table:
        account = None
        if has_owners(table_response.metadata_location):
            namespace = Catalog.namespace_to_string(identifier_tuple[:-1])
            account = self.account_of(table_response.metadata.properties, namespace)
        with self._acting_as(account):
            return super()._response_to_table(identifier_tuple, table_response)

    def commit_table(self, table: Table, requirements: Requirements, updates: Updates) -> CommitTableResponse:
        """Commit updates to a table.

        Raises:
            CommitFailedException: nothing was changed: a requirement does not hold, the lock was not got or lost, or
                the server refused it.
            NoSuchTableError: the table is gone.
            CommitStateUnknownException: whether it was applied could not be found out.
        """
        name = TableName.of(self.name, table.name())
        label = str(name)
        self.observe(SwapStep.BEFORE_LOCK)
        with ExitStack() as stack:
            with nothing_changed(label):
                locks = optional_lock(name, table=table.metadata.properties, catalog=self.properties)
                lock = stack.enter_context(holding(locks))
                self.observe(SwapStep.LOCKED)
                requirements = self._checked_here(table, requirements)
                lock.verify()
            self.observe(SwapStep.LOCK_VERIFIED)
            answer = self._send(label, table, requirements, updates)
            self.observe(SwapStep.SWAPPED)
        self.observe(SwapStep.UNLOCKED)
        return answer

    def _checked_here(self, table: Table, requirements: Requirements) -> Requirements:
        """Check what the protocol has no words for upon the table as it is now; return what is left for the server."""
        own = [requirement for requirement in requirements if isinstance(requirement, AssertProperties)]
        if own:
            metadata = self.load_table(table.name()).metadata
            for requirement in own:
                requirement.validate(metadata)
        return tuple(requirement for requirement in requirements if not isinstance(requirement, AssertProperties))

    def _send(self, label: str, table: Table, requirements: Requirements, updates: Updates) -> CommitTableResponse:
        try:
            return self._commit_once(table, requirements, updates)
        except NoSuchTableError:
            raise
        except Exception as error:  # a conflict too: whoever repeated the request in between may have met its effect
            if is_refusal(error):
                self._refuse(label, error)
            return self._settle(label, table, requirements, updates, error)

    def _commit_once(self, table: Table, requirements: Requirements, updates: Updates) -> CommitTableResponse:
        answer: CommitTableResponse = super().commit_table(table, requirements, updates)
        return answer

    @staticmethod
    def _refuse(label: str, error: Exception) -> Never:
        """Say what a refusal means: forbidden, or wrong; the same request would be refused again."""
        refused: AutostreamError = CommitRefusedError(
            f"The catalog refuses a commit to {label}, and would refuse it again: {error}. Correct what it names; the "
            "server's log says more."
        )
        if isinstance(failure := explained(error), DeniedError):
            refused = DeniedError(f"A commit to {label} was refused. {failure}")
        raise CommitFailedException(str(refused)) from refused

    def _settle(
        self, label: str, table: Table, requirements: Requirements, updates: Updates, error: Exception
    ) -> CommitTableResponse:
        """Find out what became of a commit that was not answered by a success."""
        policy = RetryPolicy.from_properties(properties_of(table))
        conflict = isinstance(error, CommitFailedException)
        for _ in policy.status_checks():
            try:
                now = self.load_table(table.name())
            except Exception as failure:  # the server may be down for a while: that is what the back-off is for
                logger.warning("Table %s cannot be re-read after a commit: %s", label, failure)
                continue
            verdict = judge_rest(requirements, updates, now.metadata)
            if verdict is Verdict.COMMITTED:
                logger.info("The answer to a commit to %s was lost (%s); it was applied.", label, error)
                return CommitTableResponse(metadata=now.metadata, metadata_location=now.metadata_location)
            if verdict is Verdict.FAILED or conflict:
                raise CommitFailedException(f"A commit to {label} was not applied: {error}") from error
            if is_repeatable(requirements, updates):
                try:
                    return self._commit_once(table, requirements, updates)
                except Exception as again:
                    error = again
        raise CommitStateUnknownException(
            f"Whether a commit to {label} was applied is not known: {error or type(error).__name__}. Every file was "
            f"kept. Look {_what_to_look_for(updates)} once the catalog answers again."
        ) from error


def _what_to_look_for(updates: Updates) -> str:
    snapshots = [str(update.snapshot.snapshot_id) for update in updates if isinstance(update, AddSnapshotUpdate)]
    if snapshots:
        return f"whether the table has snapshot {', '.join(snapshots)}"
    return "whether the table shows " + ", ".join(
        sorted({getattr(update, "action", "the update") for update in updates})
    )

"""A REST catalog whose commits are asked after when their answer is lost, and can be locked by ZooKeeper.

Usable wherever PyIceberg takes `py-catalog-impl`: `autostream.catalogs.rest.RestCatalog`. The server writes
`metadata.json` and swaps the pointer; what can be done here is to find out whether it did.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from typing import Any, Final

from pyiceberg.catalog import Catalog
from pyiceberg.catalog import rest as pyiceberg_rest
from pyiceberg.exceptions import (
    CommitFailedException,
    NoSuchTableError,
)
from pyiceberg.table import CommitTableResponse, Table
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.table.update import (
    AddSnapshotUpdate,
    AssertRefSnapshotId,
    SetSnapshotRefUpdate,
    update_table_metadata,
)

from autostream.catalogs.acting import has_owners
from autostream.catalogs.committing import (
    Commit,
    CommittingCatalog,
    CommitVerdict,
    NotAppliedError,
    Requirements,
    Updates,
)
from autostream.catalogs.compared_properties import AssertProperties
from autostream.catalogs.failures import explained, http_status
from autostream.catalogs.locking import CommitLock, optional_lock
from autostream.catalogs.retry_policy import RetryPolicy
from autostream.errors import AutostreamError, CommitRefusedError, DeniedError
from autostream.iceberg.absent_snapshots import went_on_without
from autostream.iceberg.tables import properties_of
from autostream.names import TableName
from autostream.properties import of_catalog

_CONNECT_TIMEOUT_MS: Final = 10_000
_ANSWER_TIMEOUT_MS: Final = 60_000
# Not refusals: too slow, a conflict, too early, too many.
_NOT_NOW: Final = (408, 409, 425, 429)


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


def judge_rest(requirements: Requirements, updates: Updates, metadata: TableMetadata) -> CommitVerdict:
    """Say what became of a commit by the table as it is now.

    A commit that adds a snapshot upon another has failed when the table went from that one to someone else's. That its
    own snapshot is not there proves nothing: it may have been applied, built upon, and expired. Pending is what could
    still be applied, and what cannot be told.
    """
    if is_applied(updates, metadata):
        return CommitVerdict.COMMITTED
    if any(isinstance(update, AddSnapshotUpdate) for update in updates):
        bases = [r for r in requirements if isinstance(r, AssertRefSnapshotId)]
        overtaken = any(went_on_without(metadata, ref=r.ref, base=r.snapshot_id) for r in bases)
        return CommitVerdict.FAILED if overtaken else CommitVerdict.PENDING
    try:
        for requirement in requirements:
            requirement.validate(metadata)
    except CommitFailedException:
        return CommitVerdict.FAILED
    return CommitVerdict.PENDING


def is_repeatable_commit(requirements: Requirements, updates: Updates) -> bool:
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


class RestCatalog(CommittingCatalog, pyiceberg_rest.RestCatalog):
    """PyIceberg's REST catalog with the status check that its commits lack."""

    @property
    def auth_url(self) -> str:
        """Where a credential is exchanged for a token: at the catalog itself where `oauth2-server-uri` names no server.

        PyIceberg deprecates that default by a warning that shows the catalog's address, which may hold a password.
        """
        said: str = self.properties.get(pyiceberg_rest.OAUTH2_SERVER_URI) or self.url("oauth/tokens", prefixed=False)
        return said

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

    def _locks(self, name: TableName, table: Table) -> Sequence[CommitLock]:
        return optional_lock(name, table=table.metadata.properties, catalog=self.properties)

    def _decide(self, commit: Commit, _: ExitStack) -> RestRequest:
        own = [requirement for requirement in commit.requirements if isinstance(requirement, AssertProperties)]
        if own:  # the protocol has no words for them: they are checked here, upon the table as it is now
            metadata = self.load_table(commit.table.name()).metadata
            for requirement in own:
                requirement.validate(metadata)
        left = tuple(r for r in commit.requirements if not isinstance(r, AssertProperties))
        return RestRequest(self, replace(commit, requirements=left))

    def commit_once(self, commit: Commit) -> CommitTableResponse:
        """Send a commit, and return the server's answer."""
        answer: CommitTableResponse = pyiceberg_rest.RestCatalog.commit_table(
            self, commit.table, commit.requirements, commit.updates
        )
        return answer


class RestRequest:
    """One attempt to commit at a REST server: see `CommitAttempt`."""

    def __init__(self, catalog: RestCatalog, commit: Commit) -> None:
        """Prepare the request.

        Raises:
            ConfigurationError: the table's `commit.*` properties are wrong.
        """
        self._catalog, self._commit = catalog, commit
        self.policy = RetryPolicy.from_properties(properties_of(commit.table))
        self.repeatable = is_repeatable_commit(commit.requirements, commit.updates)
        self.response: CommitTableResponse

    @property
    def evidence(self) -> str:
        """What shows whether it was applied."""
        return f"{_what_to_look_for(self._commit.updates)}, once the catalog answers again"

    def stage(self) -> None:
        """Write nothing: the server does."""

    def send(self) -> None:
        """Send the request."""
        try:
            self.response = self._catalog.commit_once(self._commit)
        except CommitFailedException as error:  # a repeated request may have met its own effect
            raise NotAppliedError(str(error)) from error
        except Exception as error:
            if is_refusal(error) and not isinstance(error, NoSuchTableError):
                cause = refusal_of_commit(str(self._commit.name), error)
                raise CommitFailedException(str(cause)) from cause
            raise

    def look(self, *, refused: bool) -> CommitVerdict:
        """Return what the table says of the request."""
        now = self._catalog.load_table(self._commit.table.name())
        verdict = judge_rest(self._commit.requirements, self._commit.updates, now.metadata)
        if verdict is CommitVerdict.COMMITTED:
            self.response = CommitTableResponse(metadata=now.metadata, metadata_location=now.metadata_location)
        return CommitVerdict.FAILED if refused and verdict is CommitVerdict.PENDING else verdict

    def discard(self) -> None:
        """Delete nothing: what the server wrote is its own."""

    def confirm(self, lock: CommitLock) -> None:
        """Trust the server, which compares."""


def refusal_of_commit(label: str, error: Exception) -> AutostreamError:
    """Return what a refusal means: forbidden, or wrong; the same request would be refused again."""
    if isinstance(failure := explained(error), DeniedError):
        return DeniedError(f"A commit to {label} was refused. {failure}")
    return CommitRefusedError(
        f"The catalog refused a commit to {label}: {error}. It would refuse the same commit again. Correct the "
        "cause. The log of the catalog's server has more details."
    )


def _what_to_look_for(updates: Updates) -> str:
    snapshots = [str(update.snapshot.snapshot_id) for update in updates if isinstance(update, AddSnapshotUpdate)]
    if snapshots:
        return f"whether the table has snapshot {', '.join(snapshots)}"
    return "whether the table shows " + ", ".join(
        sorted({getattr(update, "action", "the update") for update in updates})
    )

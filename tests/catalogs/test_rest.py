"""What became of a commit to a REST catalog, decided by requirements, updates and the table as it is now."""

from pathlib import Path

import pytest
from pyiceberg.exceptions import (
    BadRequestError,
    ForbiddenError,
    RESTError,
    UnauthorizedError,
)
from pyiceberg.table import Table
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.table.update import (
    AssertRefSnapshotId,
    AssertTableUUID,
    RemoveSnapshotsUpdate,
    SetPropertiesUpdate,
    TableRequirement,
    TableUpdate,
    update_table_metadata,
)
from requests import HTTPError, Response

from autostream.catalogs.commit_answers import is_permanent
from autostream.catalogs.committing import CommitVerdict
from autostream.catalogs.rest import (
    RestCatalog,
    is_applied,
    is_refusal,
    is_repeatable_commit,
    judge_rest,
    refusal_of_commit,
)
from autostream.catalogs.sql import SqlCatalog
from autostream.errors import AutostreamError, CommitRefusedError, DeniedError
from tests.support.catalogs import IDS, append
from tests.support.json_server import Answers, served

Sent = tuple[tuple[TableRequirement, ...], tuple[TableUpdate, ...]]


class Recording(SqlCatalog):
    """Keeps what was last sent."""

    sent: Sent

    def commit_table(self, table: Table, requirements: object, updates: object) -> object:  # type: ignore[override]
        self.sent = requirements, updates  # type: ignore[assignment]
        return super().commit_table(table, requirements, updates)  # type: ignore[arg-type]


@pytest.fixture
def catalog(tmp_path: Path) -> Recording:
    made = Recording("lake", uri=f"sqlite:///{tmp_path}/lake.db", warehouse=f"file://{tmp_path}")
    made.create_namespace("db")
    made.create_table("db.t", IDS)
    return made


def appended(catalog: Recording, *, to: TableMetadata | None = None) -> tuple[Sent, TableMetadata, TableMetadata]:
    """Append a row: what was sent, and the table before and after."""
    table = catalog.load_table("db.t")
    before = table.metadata
    append(table, 1)
    return catalog.sent, before, catalog.load_table("db.t").metadata


@pytest.mark.parametrize("first", [True, False], ids=["first-snapshot", "later-snapshot"])
def test_a_snapshot(catalog: Recording, first: bool) -> None:
    if not first:
        append(catalog.load_table("db.t"), 0)
    (requirements, updates), before, after = appended(catalog)
    assert judge_rest(requirements, updates, before) is CommitVerdict.PENDING
    assert judge_rest(requirements, updates, after) is CommitVerdict.COMMITTED
    append(catalog.load_table("db.t"), 2)
    later = catalog.load_table("db.t").metadata
    assert judge_rest(requirements, updates, later) is CommitVerdict.COMMITTED
    assert is_repeatable_commit(requirements, updates)


def test_a_snapshot_that_another_one_was_faster_than(catalog: Recording) -> None:
    append(catalog.load_table("db.t"), 0)
    ours, before, _ = appended(catalog)
    # The same table where another one has committed instead.
    with catalog.engine.begin() as connection:
        location = next(e.metadata_file for e in reversed(catalog.load_table("db.t").metadata.metadata_log))
        connection.exec_driver_sql("UPDATE iceberg_tables SET metadata_location = ?", (location,))
    assert catalog.load_table("db.t").metadata.current_snapshot_id == before.current_snapshot_id
    append(catalog.load_table("db.t"), 7)
    append(catalog.load_table("db.t"), 8)
    theirs = catalog.load_table("db.t").metadata
    assert judge_rest(*ours, theirs) is CommitVerdict.FAILED


def test_a_snapshot_that_expired_meanwhile_is_not_called_failed(catalog: Recording) -> None:
    append(catalog.load_table("db.t"), 0)
    (requirements, updates), before, after = appended(catalog)
    append(catalog.load_table("db.t"), 2)
    now = catalog.load_table("db.t").metadata
    expired = [before.current_snapshot_id, after.current_snapshot_id]
    now = update_table_metadata(now, (RemoveSnapshotsUpdate(snapshot_ids=expired),))
    assert judge_rest(requirements, updates, now) is CommitVerdict.PENDING


def test_properties(catalog: Recording) -> None:
    metadata = catalog.load_table("db.t").metadata
    updates = (SetPropertiesUpdate(updates={"a": "1"}),)
    same_table = (AssertTableUUID(uuid=metadata.table_uuid),)
    assert judge_rest(same_table, updates, metadata) is CommitVerdict.PENDING
    applied = update_table_metadata(metadata, updates)
    assert judge_rest(same_table, updates, applied) is CommitVerdict.COMMITTED
    assert is_applied(updates, update_table_metadata(applied, (SetPropertiesUpdate(updates={"b": "2"}),)))
    # Sent twice it could undo what another one has set in between.
    assert not is_repeatable_commit(same_table, updates)
    moved = (AssertRefSnapshotId(ref="main", snapshot_id=5),)
    assert judge_rest(moved, updates, metadata) is CommitVerdict.FAILED


def answered(status: int, error: type[Exception] = RESTError) -> Exception:
    made, response = error(f"HTTP {status}"), Response()
    response.status_code = status
    made.__cause__ = HTTPError(response=response)
    return made


@pytest.mark.parametrize(
    ("status", "refused"),
    [
        *((status, True) for status in (400, 401, 403, 404, 406, 413, 419, 422)),
        *((status, False) for status in (408, 409, 429, 500, 502, 503, 504)),
    ],
)
def test_which_answers_are_refusals(status: int, *, refused: bool) -> None:
    assert is_refusal(answered(status)) is refused
    assert not is_refusal(ConnectionResetError("no answer"))


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (answered(403, ForbiddenError), DeniedError),
        (answered(401, UnauthorizedError), DeniedError),
        (answered(400, BadRequestError), CommitRefusedError),
        (answered(422), CommitRefusedError),
    ],
)
def test_a_refusal_says_why_and_is_not_tried_again(error: Exception, cause: type[AutostreamError]) -> None:
    found = refusal_of_commit("lake.db.t", error)
    assert str(error) in str(found)
    assert type(found) is cause
    assert is_permanent(found)


@pytest.mark.parametrize("named", [False, True])
def test_a_credential_is_exchanged_at_the_catalog_or_at_the_server_that_is_named(
    named: bool, recwarn: pytest.WarningsRecorder
) -> None:
    place = "/elsewhere/token" if named else "/v1/oauth/tokens"
    answers = Answers(
        {place: {"access_token": "t", "token_type": "bearer"}, "/v1/config": {"defaults": {}, "overrides": {}}}
    )
    with served(answers) as uri:
        server = {"oauth2-server-uri": f"{uri}{place}"} if named else {}
        RestCatalog("lake", uri=uri, credential="me:secret", **server)
    assert place in answers.asked
    assert [str(warning.message) for warning in recwarn] == []

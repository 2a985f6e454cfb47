"""A commit whose answer is lost while others commit more often than the table's metadata log remembers."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pyiceberg.exceptions import CommitStateUnknownException
from pyiceberg.table import Table

from autostream.iceberg.files import normalize_path
from tests.faults.worlds import World, world
from tests.support.catalogs import append, ids
from tests.support.faultproxy import thrift_call

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("hadoop")]

ALTER = thrift_call("alter_table_with_environment_context")


@pytest.fixture
def forgetful(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    with world("hive+none", request, tmp_path) as made:
        remember_one(made.load())
        yield made


def remember_one(table: Table) -> None:
    with table.transaction() as transaction:
        # Without retries, PyIceberg takes a failure's word for it and deletes what it wrote.
        transaction.set_properties({"write.metadata.previous-versions-max": "1", "commit.retry.num-retries": "0"})


def lose_the_answer_while_others_commit(forgetful: World, commit: Callable[[Table], None]) -> None:
    table = forgetful.broken().load_table(forgetful.table_name)

    def others() -> None:
        for row in (11, 12):
            append(forgetful.load(), row)

    lost = forgetful.store.cut_answer(ALTER, then=others)
    try:
        commit(table)
    finally:
        assert lost.hits == 1


def test_its_snapshot_tells(forgetful: World) -> None:
    lose_the_answer_while_others_commit(forgetful, lambda table: append(table, 3))
    assert ids(forgetful.load()) == [1, 2, 3, 11, 12]


def test_without_one_the_outcome_is_unknown_and_everything_is_kept(forgetful: World) -> None:
    with pytest.raises(CommitStateUnknownException, match="without it, the commit failed") as unknown:
        lose_the_answer_while_others_commit(forgetful, lambda table: set_owner(table))
    assert forgetful.load().properties["owner"] == "etl"
    kept = str(unknown.value).split()[-1].rstrip(".")
    assert Path(normalize_path(kept)).exists()


def set_owner(table: Table) -> None:
    with table.transaction() as transaction:
        transaction.set_properties({"owner": "etl"})

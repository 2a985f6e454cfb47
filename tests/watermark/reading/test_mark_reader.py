"""Readings of real tables: what is wrong with a table is told from what is wrong with its catalog."""

import threading
from pathlib import Path

import pytest
from pyiceberg.catalog import Catalog
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.table import Table

from autostream.catalogs.opening import open_catalog
from autostream.errors import DeniedError, ServiceError, UsageError
from autostream.watermark.reading.mark_reader import MarkReader, describe_failure
from tests.support.catalogs import IDS


@pytest.fixture
def table(lake: SqlCatalog) -> Table:
    return lake.create_table("db.t", IDS, properties={"autostream.watermark": "1000"})


class Opening:
    """Opens catalogs, and remembers by which thread."""

    def __init__(self) -> None:
        self.threads: list[int] = []

    def __call__(self, name: str) -> Catalog:
        self.threads.append(threading.get_ident())
        return open_catalog(name)


def test_a_mark_is_read_again_each_time_in_a_catalog_opened_once(table: Table) -> None:
    opening = Opening()
    reader = MarkReader(opening)
    first = reader.read("lake.db.t")
    table.transaction().set_properties({"autostream.watermark": "2000"}).commit_transaction()
    marks = [reading.mark.watermark_ms for reading in (first, reader.read("lake.db.t")) if reading.mark]
    assert marks == [1000, 2000]
    assert len(opening.threads) == 1


def test_each_thread_has_a_catalog_of_its_own(table: Table) -> None:
    opening = Opening()
    reader = MarkReader(opening)
    reader.read("lake.db.t")
    thread = threading.Thread(target=reader.read, args=("lake.db.t",))
    thread.start()
    thread.join()
    assert len(set(opening.threads)) == len(opening.threads) == 2


@pytest.mark.parametrize(
    ("name", "message"), [("lake.db.none", "lake.db.none does not exist"), ("t", "Invalid table name")]
)
def test_what_does_not_exist_is_not_looked_for_again(table: Table, name: str, message: str) -> None:
    reading = MarkReader().read(name)
    assert reading.mark is None
    assert reading.refusal is UsageError
    assert message in reading.problem


def test_what_else_is_not_waited_for_is_for_the_caller_to_say(table: Table) -> None:
    def deny(name: str) -> Catalog:
        raise DeniedError("not you")

    assert MarkReader(deny).read("lake.db.t").refusal is None
    assert MarkReader(deny, refusals=(DeniedError,)).read("lake.db.t").refusal is DeniedError


def test_a_catalog_that_is_down_is_opened_again_until_it_is_up(
    table: Table, lake: SqlCatalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = lake.properties["uri"]
    monkeypatch.setenv("PYICEBERG_CATALOG__LAKE__URI", f"sqlite:///{tmp_path}/no/such/directory.db")
    reader = MarkReader()
    down = reader.read("lake.db.t")
    assert down == reader.read("lake.db.t")  # the same words, so that nobody is told twice
    assert down.refusal is None
    assert "Cannot open catalog 'lake'" in down.problem
    monkeypatch.setenv("PYICEBERG_CATALOG__LAKE__URI", uri)
    assert reader.read("lake.db.t").mark is not None


def test_after_a_failure_no_thread_goes_on_with_the_old_catalog(table: Table) -> None:
    opening = Opening()
    reader = MarkReader(opening)
    reader.read("lake.db.t")
    location = Path(table.metadata_location.removeprefix("file://"))
    location.rename(location.with_suffix(".away"))
    other = threading.Thread(target=reader.read, args=("lake.db.t",))  # its failure is everybody's
    other.start()
    other.join()
    location.with_suffix(".away").rename(location)
    assert reader.read("lake.db.t").mark is not None
    assert len(opening.threads) == 3


def test_an_error_is_described_in_one_line_without_what_changes_each_time() -> None:
    told = describe_failure(ServiceError("no answer from <Connection object at 0x7f12ab>\n  host down"))
    assert told == "no answer from <Connection object> host down"
    assert describe_failure(KeyError("a")) == "KeyError: 'a'"
    assert len(describe_failure(ServiceError("x" * 10_000))) <= 501

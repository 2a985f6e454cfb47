"""Whose account a table's FileIO acts by, and what a table's properties cannot change."""

from pathlib import Path

import pytest
from pyiceberg.io.pyarrow import PyArrowFileIO

from autostream.catalogs.acting import has_owners
from autostream.catalogs.sql import SqlCatalog
from autostream.errors import ConfigurationError
from tests.support.catalogs import IDS

PROXY = "autostream.proxy-user"


@pytest.fixture
def catalog(tmp_path: Path) -> SqlCatalog:
    properties = {"uri": f"sqlite:///{tmp_path}/lake.db", "warehouse": f"file://{tmp_path}", PROXY: "etl"}
    opened = SqlCatalog("lake", **properties, **{"webhdfs.urls": "http://nn:9870"})
    opened.create_namespace("db", {PROXY: "bob"})
    opened.create_namespace("plain")
    return opened


def test_the_tables_account_goes_before_its_namespaces_and_that_before_the_catalogs(catalog: SqlCatalog) -> None:
    assert catalog.account_of({PROXY: "alice"}, "db") == "alice"
    assert catalog.account_of({}, "db") == "bob"
    assert catalog.account_of({}, "plain") == "etl"
    with pytest.raises(ConfigurationError, match=r"'a b' \(property autostream.proxy-user of the table\)"):
        catalog.account_of({PROXY: "a b"}, "db")


def test_a_file_io_acts_by_the_account_of_the_moment(catalog: SqlCatalog) -> None:
    assert catalog._load_file_io().properties[PROXY] == "etl"
    with catalog._acting_as("bob"):
        assert catalog._load_file_io().properties[PROXY] == "bob"
        assert catalog._load_file_io({PROXY: "alice"}).properties[PROXY] == "alice"
        with catalog._acting_as(None):
            assert catalog._load_file_io().properties[PROXY] == "etl"
        assert catalog._account == "bob"
    assert catalog._account is None


def test_a_table_cannot_redirect_the_connection(catalog: SqlCatalog) -> None:
    io = catalog._load_file_io({"webhdfs.urls": "http://evil", "webhdfs.keytab": "/x", "a": "b"})
    assert (io.properties["webhdfs.urls"], io.properties["a"]) == ("http://nn:9870", "b")
    assert "webhdfs.keytab" not in io.properties


def test_tables_by_their_accounts(catalog: SqlCatalog) -> None:
    table = catalog.create_table("db.t", IDS, properties={PROXY: "alice"})
    assert isinstance(table.io, PyArrowFileIO)
    assert table.io.properties[PROXY] == "alice"


@pytest.mark.parametrize(
    ("location", "owned"),
    [("hdfs://nn/x", True), ("webhdfs://nn/x", True), ("file:///x", False), ("s3://b/x", False), (None, False)],
)
def test_only_files_of_hdfs_have_an_owner(location: str | None, owned: bool) -> None:
    assert has_owners(location) is owned

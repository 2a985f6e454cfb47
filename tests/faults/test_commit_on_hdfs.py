"""Commits to tables on HDFS while its NameNodes fail over, its space runs out, and its answers get lost."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests
from pyiceberg.exceptions import CommitFailedException
from pyiceberg.table import Table

from autostream.catalogs.committing import CommitStep
from autostream.catalogs.opening import open_catalog
from autostream.catalogs.sql import SqlCatalog
from autostream.hadoop.fileio import WebHdfsFileIO
from tests.faults.worlds import QUICK
from tests.support.catalogs import IDS, append, ids
from tests.support.faultproxy import FaultProxy
from tests.support.hadoop import Hdfs
from tests.support.hadoop import hdfs as start_hdfs
from tests.support.lakes import Orders, compact
from tests.support.reader import read_table
from tests.support.rows import assert_same_rows

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("faults")]


@pytest.fixture(scope="module")
def pair() -> Iterator[Hdfs]:
    with start_hdfs(namenodes=2) as service:
        yield service


@pytest.fixture
def catalog(pair: Hdfs, tmp_path: Path, request: pytest.FixtureRequest) -> SqlCatalog:
    pair.activate(1)
    opened = open_catalog(
        "h",
        {
            "type": "sql",
            "uri": f"sqlite:///{tmp_path}/lake.db",
            "warehouse": f"{pair.uri}/data/{tmp_path.name}",
            "webhdfs.urls": ",".join(pair.webhdfs_urls),
            "webhdfs.user": "svc",
            "autostream.proxy-user": "alice",
        },
    )
    assert isinstance(opened, SqlCatalog)
    opened.create_namespace("db")
    return opened


def once_at(catalog: SqlCatalog, step: CommitStep, action: Callable[[], object]) -> None:
    """Do something at the first time that a commit gets to a step."""
    actions = iter([action])

    def observe(reached: CommitStep) -> None:
        if reached is step and (first := next(actions, None)):
            first()

    catalog.observe = observe


def metadata_files(pair: Hdfs, table: Table) -> set[str]:
    io = WebHdfsFileIO({"webhdfs.urls": ",".join(pair.webhdfs_urls), "webhdfs.user": "hdfs"})
    return {location.rsplit("/", 1)[-1] for location, _ in io.walk(table.location()) if ".metadata.json" in location}


def set_quota(pair: Hdfs, path: str, *, files: int = -1) -> None:
    query = f"op=SETQUOTA&user.name=hdfs&namespacequota={files}&storagespacequota=-1"
    requests.put(f"{pair.webhdfs_urls[0]}/webhdfs/v1{path}?{query}", timeout=10).raise_for_status()


@pytest.mark.parametrize("step", list(CommitStep))
def test_the_namenode_fails_over(pair: Hdfs, catalog: SqlCatalog, step: CommitStep) -> None:
    table = catalog.create_table("db.t", IDS, properties=QUICK)
    append(table, 1)
    once_at(catalog, step, lambda: pair.activate(2))
    append(table, 2)
    assert ids(catalog.load_table("db.t")) == [1, 2]
    pair.activate(1)
    append(catalog.load_table("db.t"), 3)
    assert ids(catalog.load_table("db.t")) == [1, 2, 3]


def test_the_namenode_fails_over_during_a_compaction(pair: Hdfs, catalog: SqlCatalog) -> None:
    orders = Orders(catalog, "db.orders")
    orders.checkpoint(4)
    once_at(catalog, CommitStep.METADATA_WRITTEN, lambda: pair.activate(2))
    table = orders.load()
    pair.activate(2)
    result = compact(table, "h.db.orders")
    assert result.status == "committed", result.error
    pair.activate(1)
    assert_same_rows(read_table(orders.load()), orders.expected())


def test_no_space_for_metadata(pair: Hdfs, catalog: SqlCatalog) -> None:
    """The directory's quota of names is used up when the metadata file is to be written."""
    table = catalog.create_table("db.t", IDS, properties=QUICK | {"commit.retry.num-retries": "0"})
    append(table, 1)
    before = metadata_files(pair, table)
    path = table.location().removeprefix(pair.uri) + "/metadata"
    once_at(catalog, CommitStep.LOCKED, lambda: set_quota(pair, path, files=1))
    with pytest.raises(CommitFailedException, match=r"Cannot write the metadata file .*quota"):
        append(table, 2)
    set_quota(pair, path)
    assert metadata_files(pair, table) == before
    append(catalog.load_table("db.t"), 3)
    assert ids(catalog.load_table("db.t")) == [1, 3]


def test_files_belong_to_the_account_of_the_namespace(pair: Hdfs, catalog: SqlCatalog) -> None:
    catalog.create_namespace("team", {"autostream.proxy-user": "bob"})
    table = catalog.create_table("team.t", IDS)
    append(table, 1)
    append(catalog.load_table("team.t"), 2)
    io = WebHdfsFileIO({"webhdfs.urls": ",".join(pair.webhdfs_urls), "webhdfs.user": "hdfs"})
    assert {status.owner for _, status in io.walk(table.location())} == {"bob"}


@pytest.mark.parametrize("way", ["cut_request", "cut_answer"])
def test_the_creation_of_the_metadata_file_is_not_answered(pair: Hdfs, tmp_path: Path, way: str) -> None:
    pair.activate(1)
    host, _, port = pair.webhdfs_urls[0].removeprefix("http://").partition(":")
    with FaultProxy(host, int(port)) as proxy:
        catalog = open_catalog(
            "h",
            {
                "type": "sql",
                "uri": f"sqlite:///{tmp_path}/lake.db",
                "warehouse": f"{pair.uri}/data/{tmp_path.name}",
                "webhdfs.urls": f"http://{host}:{proxy.port}",
                "webhdfs.user": "svc",
                "autostream.proxy-user": "alice",
            },
        )
        catalog.create_namespace("db")
        table = catalog.create_table("db.t", IDS, properties=QUICK)
        append(table, 1)
        faults: list[object] = []
        once_at(
            catalog,  # type: ignore[arg-type]
            CommitStep.LOCKED,
            lambda: faults.append(getattr(proxy, way)(b"op=CREATE")),
        )
        append(table, 2)
        assert [fault.hits for fault in faults] == [1]  # type: ignore[attr-defined]
        assert ids(catalog.load_table("db.t")) == [1, 2]

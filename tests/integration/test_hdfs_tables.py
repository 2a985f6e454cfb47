"""Tables on HDFS through WebHdfsFileIO: PyIceberg writes them, our commands read and compact them."""

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fastavro
import pyarrow as pa
import pyarrow.orc as orc
import pyarrow.parquet as pq
import pytest
import requests
from pyiceberg.catalog import load_catalog
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.manifest import DataFileContent, FileFormat
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.typedef import Record
from pyiceberg.types import LongType, NestedField, StringType
from pyiceberg.utils.schema_conversion import AvroSchemaConversion

from autostream.demo.writer import Changes, UpsertWriter
from autostream.hadoop.fileio import WebHdfsFileIO
from autostream.iceberg.manifests import data_file
from autostream.lake.scan import scan_table
from tests.support.commands import autostream_here
from tests.support.hadoop import Hdfs
from tests.support.lakes import BUCKETED, UNPARTITIONED, Orders, compact
from tests.support.rows import assert_same_rows

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("hadoop")]

IO = f"{WebHdfsFileIO.__module__}.{WebHdfsFileIO.__name__}"


@pytest.fixture
def catalog(hdfs: Hdfs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SqlCatalog]:
    """A catalog ``lake`` with its warehouse in HDFS and files of alice; commands find it in their environment."""
    warehouse = f"hdfs://lake/data/warehouse-{tmp_path.name}"
    properties = {
        "type": "sql",
        "uri": f"sqlite:///{tmp_path}/lake.db",
        "warehouse": warehouse,
        "py-io-impl": IO,
        "webhdfs.urls": hdfs.webhdfs_url,
        "webhdfs.user": "svc",
        "autostream.proxy-user": "alice",
    }
    for key, value in properties.items():
        name = key.upper().replace(".", "__").replace("-", "_")
        monkeypatch.setenv(f"PYICEBERG_CATALOG__LAKE__{name}", value)
    catalog = SqlCatalog("lake", **properties)
    catalog.create_namespace("db")
    yield catalog
    files = WebHdfsFileIO(properties)
    files.client(warehouse).delete(warehouse.removeprefix("hdfs://lake"), recursive=True)


def files_of(table: Table) -> dict[str, Any]:
    assert isinstance(table.io, WebHdfsFileIO)
    return dict(table.io.walk(table.location()))


@pytest.mark.parametrize(
    "spec",
    [
        pytest.param(UNPARTITIONED, id="unpartitioned", marks=pytest.mark.exhaustive),
        pytest.param(BUCKETED, id="bucketed"),
    ],
)
def test_commands_scan_inspect_and_compact(catalog: SqlCatalog, spec: Any) -> None:
    orders = Orders(catalog, "db.t", spec=spec)
    orders.checkpoint(4)
    assert_same_rows(scan_table(orders.load()).to_batches(), orders.expected())

    counted = autostream_here("table", "scan", "lake.db.t", "--count", "--json")
    assert (counted.exit_code, counted.document["rows"]) == (0, len(orders.expected())), counted.stderr
    inspected = autostream_here("table", "inspect", "lake.db.t", "--json")
    assert inspected.exit_code == 0, inspected.stderr
    compacted = autostream_here("table", "compact", "lake.db.t", "--option", "rewrite-all=true", "--json")
    assert (compacted.exit_code, compacted.document["status"]) == (0, "committed"), compacted.stderr
    assert compacted.document["after"]["equality_delete_files"] == 0

    table = orders.load()
    assert_same_rows(scan_table(table).to_batches(), orders.expected())
    assert_same_rows(table.scan().to_arrow(), orders.expected())
    stored = files_of(table)
    assert {status.owner for status in stored.values()} == {"alice"}
    assert not [location for location in stored if location.endswith(".part")]
    assert {task.file.file_path for task in table.scan().plan_files()} <= set(stored)


def test_each_file_is_asked_for_once(catalog: SqlCatalog, hdfs: Hdfs, monkeypatch: pytest.MonkeyPatch) -> None:
    orders = Orders(catalog, "db.t")
    orders.checkpoint(4)
    table = orders.load()
    asked: list[tuple[str, str]] = []
    request = requests.Session.request

    def counting(self: requests.Session, method: str, url: str, **more: Any) -> requests.Response:
        if url.startswith(hdfs.webhdfs_url):  # not a DataNode, to which it leads
            asked.append((url.split("op=")[1].split("&")[0], url.split("?")[0]))
        return request(self, method, url, **more)

    monkeypatch.setattr(requests.Session, "request", counting)
    assert_same_rows(scan_table(table).to_batches(), orders.expected())
    opened = [path for operation, path in asked if operation == "OPEN" and path.endswith(".parquet")]
    assert opened
    assert len(opened) == len(set(opened))
    assert len(asked) == len(set(asked))


def test_a_compaction_that_runs_into_a_quota_leaves_the_table_as_it_was(catalog: SqlCatalog, hdfs: Hdfs) -> None:
    orders = Orders(catalog, "db.t")
    orders.checkpoint(3)
    table = orders.load()
    before = files_of(table)
    path = table.location().removeprefix("hdfs://lake")
    quota = f"{hdfs.webhdfs_url}/webhdfs/v1{path}?op=SETQUOTA&user.name=hdfs&namespacequota=-1&storagespacequota="
    requests.put(f"{quota}{1000}", timeout=120).raise_for_status()
    result = compact(table, rewrite_all="true")
    assert result.status == "failed"
    assert "quota is used up" in (result.error or "")
    assert files_of(table) == before
    requests.put(f"{quota}{-1}", timeout=120).raise_for_status()
    table.refresh()
    assert compact(table, rewrite_all="true").status == "committed"
    assert_same_rows(scan_table(orders.load()).to_batches(), orders.expected())


def test_large_row_groups_are_read_by_the_engine(catalog: SqlCatalog, tmp_path: Path) -> None:
    rows = pa.table({"id": pa.array(range(600_000), pa.int64()), "text": [f"{n:064}" for n in range(600_000)]})
    local = tmp_path / "large.parquet"
    pq.write_table(rows, local, compression="none", use_dictionary=False, row_group_size=100_000)
    table = catalog.create_table("db.large", schema=rows.schema)
    location = f"{table.location()}/data/large.parquet"
    with table.io.new_output(location).create() as sink:
        sink.write(local.read_bytes())
    table.add_files([location])
    assert scan_table(table).count() == 600_000
    assert scan_table(table, where="id >= 599998").to_arrow().column("text").to_pylist() == [
        f"{n:064}" for n in (599_998, 599_999)
    ]
    assert table.scan().to_arrow().num_rows == 600_000


@pytest.mark.parametrize("form", ["orc", "avro"])
def test_files_of_other_formats(catalog: SqlCatalog, form: str) -> None:
    schema = Schema(NestedField(1, "id", LongType(), required=True), NestedField(2, "s", StringType()))
    table = catalog.create_table("db.t", schema)
    rows = [{"id": number, "s": f"{number:032}"} for number in range(20_000)]
    content = io.BytesIO()
    if form == "orc":
        fields = [
            pa.field("id", pa.int64(), False, {b"iceberg.id": b"1"}),
            pa.field("s", pa.string(), True, {b"iceberg.id": b"2"}),
        ]
        orc.write_table(pa.Table.from_pylist(rows, pa.schema(fields)), content)
    else:
        fastavro.writer(content, AvroSchemaConversion().iceberg_to_avro(schema, "table"), rows)
    location = f"{table.location()}/data/x.{form}"
    with table.io.new_output(location).create() as sink:
        sink.write(content.getvalue())
    file = data_file(
        spec_id=0,
        content=DataFileContent.DATA,
        file_path=location,
        file_format=FileFormat(form.upper()),
        partition=Record(),
        record_count=len(rows),
        file_size_in_bytes=len(content.getvalue()),
    )
    writer = UpsertWriter(table)
    writer.commit([file])
    writer.checkpoint(Changes(("id",), deletes=pa.table({"id": [7]})))
    left = [row for row in rows if row["id"] != 7]
    table.refresh()
    assert_same_rows(scan_table(table).to_batches(), left)
    assert compact(table, rewrite_all="true").status == "committed"
    table.refresh()
    assert_same_rows(table.scan().to_arrow(), left)


def test_two_catalogs_of_one_process_act_as_two_accounts(catalog: SqlCatalog) -> None:
    """The table's own property comes before the catalog's."""
    schema = pa.schema([("id", pa.int64())])
    warehouse = catalog.properties["warehouse"]
    # A directory that a file makes on its way is as open as the one above it, as with any client of HDFS.
    WebHdfsFileIO(catalog.properties).client(warehouse).make_directory(warehouse.removeprefix("hdfs://lake"))
    table = catalog.create_table("db.mine", schema=schema)
    table.append(pa.table({"id": [1]}))
    bobs = load_catalog("lake", **{**catalog.properties, "autostream.proxy-user": "bob"})
    theirs = bobs.create_table("db.theirs", schema=schema, location="hdfs://lake/data/theirs-of-bob")
    theirs.append(pa.table({"id": [2]}))
    assert {status.owner for status in files_of(catalog.load_table("db.mine")).values()} == {"alice"}
    assert {status.owner for status in files_of(bobs.load_table("db.theirs")).values()} == {"bob"}
    with pytest.raises(PermissionError, match="denied access to bob"):
        bobs.load_table("db.mine").append(pa.table({"id": [3]}))
    assert isinstance(theirs.io, WebHdfsFileIO)
    theirs.io.client(theirs.location()).delete("/data/theirs-of-bob", recursive=True)


def test_config_check_looks_into_the_warehouse(
    catalog: SqlCatalog, hdfs: Hdfs, monkeypatch: pytest.MonkeyPatch
) -> None:
    def check() -> tuple[int, str]:
        finished = autostream_here("config", "check", "--catalog", "lake", "--json")
        messages = {item["subject"]: item["reason"] for item in json.loads(finished.stdout)["checks"]}
        return finished.exit_code, messages["catalog lake"]

    warehouse = catalog.properties["warehouse"]
    assert check() == (0, f"reachable, 1 namespace; warehouse {warehouse} does not exist yet")
    Orders(catalog, "db.t").checkpoint(1)
    assert check() == (0, f"reachable, 1 namespace; warehouse {warehouse} can be read")
    monkeypatch.setenv("PYICEBERG_CATALOG__LAKE__WEBHDFS__USER", "mallory")
    code, message = check()
    assert code == 1
    assert "does not allow mallory to act as alice" in message
    monkeypatch.setenv("PYICEBERG_CATALOG__LAKE__WEBHDFS__URLS", "http://localhost:1")
    code, message = check()
    assert code == 1
    assert "Cannot reach HDFS" in message
    assert "asked: http://localhost:1): Connection refused" in message


def test_who_may_not_read_is_told_so_and_not_of_damage(catalog: SqlCatalog, monkeypatch: pytest.MonkeyPatch) -> None:
    orders = Orders(catalog, "db.t")
    orders.checkpoint(2)
    table = orders.load()
    assert isinstance(table.io, WebHdfsFileIO)
    for location in files_of(table):
        if location.endswith(".parquet"):
            table.io.client(location).set_permission(location.removeprefix("hdfs://lake"), "600")
    monkeypatch.setenv("PYICEBERG_CATALOG__LAKE__AUTOSTREAM__PROXY_USER", "bob")
    scanned = autostream_here("table", "scan", "lake.db.t", "--count", "--json")
    assert scanned.exit_code == 5
    assert "Table lake.db.t: HDFS denied access to bob (OPEN /data/" in scanned.stderr
    assert "Restore it" not in scanned.stderr
    monkeypatch.setenv("PYICEBERG_CATALOG__LAKE__WEBHDFS__USER", "mallory")
    inspected = autostream_here("table", "inspect", "lake.db.t", "--json")
    assert inspected.exit_code == 5
    assert "does not allow mallory to act as bob" in inspected.stderr

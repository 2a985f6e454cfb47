"""The Hive catalog at real metastores: every version, every lock type, and the account that acts."""

import datetime as dt
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlparse

import pyarrow as pa
import pytest
from hive_metastore.ttypes import EnvironmentContext, FieldSchema, InvalidOperationException
from hive_metastore.ttypes import Table as HiveTable
from pyiceberg.catalog import load_catalog
from pyiceberg.exceptions import CommitFailedException, NoSuchTableError, TableAlreadyExistsError
from pyiceberg.io.pyarrow import schema_to_pyarrow
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.types import ListType, LongType, NestedField, StructType, TimestamptzType

from autostream.catalogs.commit_answers import root_cause
from autostream.catalogs.hive import HiveCatalog
from autostream.catalogs.hive_lock import HiveLock, show_hive_locks
from autostream.errors import CommitRefusedError, ConfigurationError, DeniedError, ServiceError
from autostream.hadoop.fileio import WebHdfsFileIO
from tests.support.catalogs import IDS, append, hive_catalog, ids, new_namespace
from tests.support.hadoop import Hdfs, HiveMetastore, KerberosLake, ZooKeeper
from tests.support.lakes import Orders, compact
from tests.support.reader import read_table
from tests.support.rows import assert_same_rows

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("hadoop")]

VERSIONS = ["hive_metastore", "newer_hive_metastore", "older_hive_metastore", "oldest_hive_metastore"]


@pytest.fixture(params=VERSIONS)
def metastore(request: pytest.FixtureRequest) -> HiveMetastore:
    found: HiveMetastore = request.getfixturevalue(request.param)
    return found


LOCKS = ["hive", "zookeeper", "both", "none"]
FEWER = {("newer_hive_metastore", "hive"), ("oldest_hive_metastore", "hive")}
# Without comparison a lock is needed.
EVERY_LOCK = [
    pytest.param(v, lock, marks=() if v == "hive_metastore" or (v, lock) in FEWER else pytest.mark.exhaustive)
    for v in VERSIONS
    for lock in LOCKS
    if lock != "none" or not v.startswith("old")
]


@pytest.fixture
def locked(request: pytest.FixtureRequest, zookeeper: ZooKeeper) -> dict[str, str]:
    """Properties of a catalog whose commits are locked so; ``both`` is ZooKeeper's with Hive's inside."""
    if request.param == "none":
        return {"autostream__lock__type": "none"}
    if request.param == "hive":
        return {}
    lock_free = {"engine__hive__lock_enabled": "false"} if request.param == "zookeeper" else {}
    return {"autostream__lock__type": "zookeeper", "zookeeper__hosts": zookeeper.hosts, **lock_free}


def test_everything_that_a_catalog_does(metastore: HiveMetastore) -> None:
    catalog = hive_catalog(metastore.uri)
    assert isinstance(catalog, HiveCatalog)
    namespace = new_namespace(catalog, owner="etl")
    table = catalog.create_table(f"{namespace}.t", IDS, properties={"a": "1", "b": "2"})
    with pytest.raises(TableAlreadyExistsError, match=f"{namespace}.t already exists"):
        catalog.create_table(f"{namespace}.t", IDS)
    assert catalog.create_table_if_not_exists(f"{namespace}.t", IDS).metadata_location == table.metadata_location
    append(table, 1, 2)
    with table.transaction() as transaction:
        transaction.set_properties({"a": "3"})
        transaction.remove_properties("b")
    loaded = catalog.load_table(f"{namespace}.t")
    assert (ids(loaded), loaded.properties["a"], "b" in loaded.properties) == ([1, 2], "3", False)
    with catalog._client as client:
        parameters = client.get_table(namespace, "t").parameters
    assert (parameters["a"], "b" in parameters) == ("3", False)
    assert parameters["metadata_location"] == loaded.metadata_location
    assert catalog.load_namespace_properties(namespace)["owner"] == "etl"
    assert (namespace,) in catalog.list_namespaces()
    assert catalog.list_tables(namespace) == [(namespace, "t")]
    assert ids(catalog.rename_table(f"{namespace}.t", f"{namespace}.u")) == [1, 2]
    catalog.drop_table(f"{namespace}.u")
    with pytest.raises(NoSuchTableError):
        catalog.load_table(f"{namespace}.u")
    with pytest.raises(NoSuchTableError):
        catalog.drop_table(f"{namespace}.u")
    with catalog.create_table_transaction(f"{namespace}.v", IDS) as creation:
        append(creation, 7)
    assert ids(catalog.load_table(f"{namespace}.v")) == [7]
    catalog.drop_table(f"{namespace}.v")
    catalog.drop_namespace(namespace)
    assert show_hive_locks(catalog.metastore, namespace) == []


def test_by_pyicebergs_own_configuration(hive_metastore: HiveMetastore) -> None:
    implementation = "autostream.catalogs.hive.HiveCatalog"
    catalog = load_catalog("any", **{"py-catalog-impl": implementation, "uri": hive_metastore.uri})
    table = catalog.create_table(f"{new_namespace(catalog)}.t", IDS)
    append(table, 1)
    assert ids(catalog.load_table(table.name())) == [1]


def test_without_comparison_a_lock_is_needed(older_hive_metastore: HiveMetastore) -> None:
    catalog = hive_catalog(older_hive_metastore.uri, autostream__lock__type="none")
    table = catalog.create_table(f"{new_namespace(catalog)}.t", IDS)
    with pytest.raises(CommitFailedException, match="does not compare when it swaps") as refused:
        append(table, 1)
    assert isinstance(refused.value.__cause__, ConfigurationError)
    assert ids(catalog.load_table(table.name())) == []


@pytest.mark.parametrize(("metastore", "locked"), EVERY_LOCK, indirect=True)
def test_compacts_beside_a_writer(metastore: HiveMetastore, locked: dict[str, str]) -> None:
    catalog = hive_catalog(metastore.uri, **locked)
    orders = Orders(catalog, f"{new_namespace(catalog)}.orders", **{"commit.retry.min-wait-ms": "1"})
    orders.checkpoint(4)
    table = orders.load()
    orders.checkpoint(2)
    result = compact(table, f"hive.{orders.name}")
    assert result.status == "committed", result.error
    assert_same_rows(read_table(orders.load()), orders.expected())
    assert show_hive_locks(catalog.metastore, orders.name.split(".")[0]) == []  # type: ignore[attr-defined]


@pytest.mark.parametrize(("metastore", "locked"), EVERY_LOCK, indirect=True)
def test_writers_at_the_same_time_lose_nothing(metastore: HiveMetastore, locked: dict[str, str]) -> None:
    catalog = hive_catalog(metastore.uri, **locked)
    retries = {"commit.retry.num-retries": "50", "commit.retry.max-wait-ms": "200"}
    name = f"{new_namespace(catalog)}.t"
    catalog.create_table(name, IDS, properties=retries)

    def write(first: int) -> None:
        for number in range(first, first + 5):
            append(hive_catalog(metastore.uri, **locked).load_table(name), number)

    writers = [threading.Thread(target=write, args=(first,)) for first in (0, 10, 20)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert ids(catalog.load_table(name)) == [n + first for first in (0, 10, 20) for n in range(5)]


def test_only_one_creation_wins(metastore: HiveMetastore) -> None:
    catalog = hive_catalog(metastore.uri)
    namespace = new_namespace(catalog)
    made, refused = [], []

    def create() -> None:
        try:
            made.append(hive_catalog(metastore.uri).create_table(f"{namespace}.t", IDS).metadata.table_uuid)
        except TableAlreadyExistsError:
            refused.append(1)

    threads = [threading.Thread(target=create) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(made), len(refused)) == (1, 3)
    table = catalog.load_table(f"{namespace}.t")
    assert table.metadata.table_uuid == made[0]
    # Those that lost left no metadata behind.
    assert len(list(Path(urlparse(table.location()).path, "metadata").iterdir())) == 1


# ------------------------------------------------------------------------------------------------- accounts


@pytest.fixture
def hdfs_as(hdfs: Hdfs) -> Callable[..., dict[str, str]]:
    def properties(user: str = "svc", **more: str) -> dict[str, str]:
        return {"webhdfs__urls": hdfs.webhdfs_url, "webhdfs__user": user, "ugi": f"{user}:{user}", **more}

    return properties


def _owners(hdfs: Hdfs, location: str) -> set[str]:
    """Return whom the files and directories below a location belong to."""
    io = WebHdfsFileIO({"webhdfs.urls": hdfs.webhdfs_url, "webhdfs.user": "hdfs"})
    return {status.owner for _, status in io.walk(location)}


def _hms_owner(catalog: HiveCatalog, table: Table) -> str:
    with catalog._client as client:
        return str(client.get_table(*table.name()).owner)


def test_files_and_tables_belong_to_the_account_that_acts(
    hive_on_hdfs: HiveMetastore, hdfs: Hdfs, hdfs_as: Callable[..., dict[str, str]]
) -> None:
    catalog = hive_catalog(hive_on_hdfs.uri, **hdfs_as())
    assert isinstance(catalog, HiveCatalog)
    namespace = new_namespace(catalog, autostream__proxy_user="bob")
    where = f"{hdfs.uri}/data/{namespace}"
    by_table = catalog.create_table(
        f"{namespace}.t", IDS, location=f"{where}_t", properties={"autostream.proxy-user": "alice"}
    )
    by_namespace = catalog.create_table(f"{namespace}.n", IDS, location=f"{where}_n")
    for table, owner in ((by_table, "alice"), (by_namespace, "bob")):
        append(table, 1)
        found = catalog.load_table(table.name())
        append(found, 2)
        assert ids(found) == [1, 2]
        assert _owners(hdfs, found.location()) == {owner}
        assert _hms_owner(catalog, found) == owner
    by_connection = hive_catalog(hive_on_hdfs.uri, **hdfs_as(autostream__proxy_user="alice"))
    assert isinstance(by_connection, HiveCatalog)
    plain = new_namespace(by_connection)
    table = by_connection.create_table(f"{plain}.c", IDS, location=f"{hdfs.uri}/data/{plain}_c")
    append(table, 1)
    assert (_owners(hdfs, table.location()), _hms_owner(by_connection, table)) == ({"alice"}, "alice")


def test_a_refusal_names_both_accounts_and_the_setting(
    hive_on_hdfs: HiveMetastore, hdfs: Hdfs, hdfs_as: Callable[..., dict[str, str]]
) -> None:
    catalog = hive_catalog(hive_on_hdfs.uri, **hdfs_as("mallory"))
    namespace = new_namespace(catalog)
    with pytest.raises(CommitFailedException) as refused:
        catalog.create_table(
            f"{namespace}.t",
            IDS,
            location=f"{hdfs.uri}/data/{namespace}",
            properties={"autostream.proxy-user": "alice"},
        )
    for part in ("mallory", "alice", "hadoop.proxyuser.mallory"):
        assert part in str(refused.value)
    assert isinstance(root_cause(refused.value), DeniedError)
    wrong = {"autostream.proxy-user": "alice/../bob"}
    with pytest.raises(ConfigurationError, match="Invalid name of an account"):
        catalog.create_table(f"{namespace}.t", IDS, properties=wrong)


def test_under_kerberos_by_a_delegation_token(kerberos_lake: KerberosLake, monkeypatch: pytest.MonkeyPatch) -> None:
    kdc, hdfs = kerberos_lake.kdc, kerberos_lake.hdfs
    for key, value in kdc.environment("svc").items():
        monkeypatch.setenv(key, value)
    kerberos = {
        "hive__kerberos_authentication": "true",
        "webhdfs__authentication": "kerberos",
        "webhdfs__urls": hdfs.webhdfs_url,
    }
    catalog = hive_catalog(kerberos_lake.hive.uri, **kerberos)
    assert isinstance(catalog, HiveCatalog)
    namespace = new_namespace(catalog, autostream__proxy_user="alice")
    table = catalog.create_table(f"{namespace}.t", IDS, location=f"{hdfs.uri}/data/{namespace}")
    append(table, 1)
    append(catalog.load_table(table.name()), 2)
    assert ids(catalog.load_table(table.name())) == [1, 2]
    io = WebHdfsFileIO({"webhdfs.urls": hdfs.webhdfs_url, "webhdfs.authentication": "kerberos"})
    assert {status.owner for _, status in io.walk(table.location())} == {"alice"}
    assert _hms_owner(catalog, table) == "alice"
    # A token that the metastore does not take any more is got again.
    stale = catalog.metastore._tokens["alice"]
    catalog.metastore._tokens["alice"] = replace(stale, password=stale.password[::-1])
    append(catalog.load_table(table.name()), 3)
    assert ids(catalog.load_table(table.name())) == [1, 2, 3]

    by_keytab = {
        **kerberos,
        "hive__principal": "mallory",
        "hive__keytab": str(kdc.keytab("mallory")),
        "hive__credential_cache": "MEMORY:nobody",
    }
    with pytest.raises(DeniedError) as refused:
        hive_catalog(kerberos_lake.hive.uri, **by_keytab).metastore.session("alice").__enter__()  # type: ignore[attr-defined]
    for part in ("mallory", "alice", "hadoop.proxyuser.mallory"):
        assert part in str(refused.value)


def test_under_kerberos_without_a_ticket(kerberos_lake: KerberosLake, monkeypatch: pytest.MonkeyPatch) -> None:
    for key, value in kerberos_lake.kdc.environment().items():
        monkeypatch.setenv(key, value)
    monkeypatch.setenv("KRB5CCNAME", "MEMORY:empty")
    catalog = hive_catalog(kerberos_lake.hive.uri, hive__kerberos_authentication="true")
    with pytest.raises(DeniedError, match="No Kerberos ticket"):
        catalog.list_namespaces()
    wrong_service = {"hive__kerberos_authentication": "true", "hive__kerberos_service_name": "impala"}
    for key, value in kerberos_lake.kdc.environment("svc").items():
        monkeypatch.setenv(key, value)
    with pytest.raises(DeniedError, match=r"hive.kerberos-service-name \(now impala\)"):
        hive_catalog(kerberos_lake.hive.uri, **wrong_service).list_namespaces()


def test_a_metastore_that_is_down_and_one_that_is_up() -> None:
    catalog = hive_catalog("thrift://localhost:1,thrift://localhost:2", hive__connect_timeout_seconds="1")
    with pytest.raises(ServiceError, match=r"thrift://localhost:1: .*; thrift://localhost:2: .*"):
        catalog.list_namespaces()


def test_the_next_server_answers_where_the_first_is_down(hive_metastore: HiveMetastore) -> None:
    catalog = hive_catalog(f"thrift://localhost:1,{hive_metastore.uri}")
    assert ("default",) in catalog.list_namespaces()


@pytest.mark.parametrize(
    ("properties", "message"),
    [
        ({"uri": "http://x"}, "Invalid address of a metastore 'http://x'"),
        ({"hive__client_timeout_seconds": "soon"}, "must be a number above 0"),
        ({"autostream__hive__compare_and_swap": "maybe"}, "must be true or false"),
    ],
)
def test_wrong_properties(properties: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        hive_catalog(**{"uri": "thrift://localhost:9083", **properties})


EVENTS = Schema(
    NestedField(1, "id", LongType(), required=True),
    NestedField(2, "at", TimestamptzType()),
    NestedField(3, "l", ListType(4, StructType(NestedField(5, "at", TimestamptzType())), False)),
)
EVENT = pa.table(
    {"id": [1], "at": [dt.datetime(2026, 11, 28, tzinfo=dt.UTC)], "l": [None]},
    schema=schema_to_pyarrow(EVENTS, include_field_ids=False),
)


def _entry(catalog: HiveCatalog, name: str) -> HiveTable:
    with catalog._client as client:
        return client.get_table(*name.split("."))


def _alter(catalog: HiveCatalog, entry: HiveTable) -> HiveTable:
    context = EnvironmentContext(properties={"DO_NOT_UPDATE_STATS": "true"})
    with catalog._client as client:
        client.alter_table_with_environment_context(entry.dbName, entry.tableName, entry, context)
    return _entry(catalog, f"{entry.dbName}.{entry.tableName}")


def test_a_commit_leaves_the_entry_alone(metastore: HiveMetastore) -> None:
    """Tables with `timestamptz` too, for which metastores before 3 have no type."""
    catalog = hive_catalog(metastore.uri)
    assert isinstance(catalog, HiveCatalog)
    name = f"{new_namespace(catalog)}.events"
    catalog.create_table(name, EVENTS, properties={"format-version": "2"})
    before = _entry(catalog, name)
    before.owner, before.retention = "etl", 7
    before.sd.cols[0].comment = "of Hive"
    before.sd.serdeInfo.serializationLib = "org.apache.iceberg.mr.hive.HiveIcebergSerDe"
    before.parameters |= {"theirs": "1", "COLUMN_STATS_ACCURATE": "{}"}
    before = _alter(catalog, before)
    catalog.load_table(name).append(EVENT)
    after = _entry(catalog, name)
    snapshot = catalog.load_table(name).current_snapshot()
    assert snapshot is not None
    changed = {
        key
        for key in {*before.parameters, *after.parameters}
        if before.parameters.get(key) != after.parameters.get(key)
    }
    assert changed <= {
        "metadata_location",
        "previous_metadata_location",
        "current-snapshot-id",
        "current-snapshot-timestamp-ms",
        "current-snapshot-summary",
        "snapshot-count",
        "numFiles",
        "numRows",
        "totalSize",
        "DO_NOT_UPDATE_STATS",
        "COLUMN_STATS_ACCURATE",
        "transient_lastDdlTime",
    }
    assert (after.parameters["current-snapshot-id"], after.parameters["numRows"]) == (str(snapshot.snapshot_id), "1")
    before.parameters = after.parameters
    before.writeId = after.writeId
    assert after == before
    with catalog.load_table(name).update_schema() as update:
        update.add_column("more", TimestamptzType())
    zoned = "timestamp" if metastore.version.startswith("2") else "timestamp with local time zone"
    columns = _entry(catalog, name).sd.cols
    assert [(c.name, c.type, c.comment) for c in columns] == [
        ("id", "bigint", "of Hive"),
        ("at", zoned, None),
        ("l", f"array<struct<at:{zoned}>>", None),
        ("more", zoned, None),
    ]


def test_columns_that_differ_are_left_and_a_refusal_is_told_once(metastore: HiveMetastore) -> None:
    catalog = hive_catalog(metastore.uri)
    assert isinstance(catalog, HiveCatalog)
    orders = Orders(catalog, f"{new_namespace(catalog)}.orders")
    orders.checkpoint(3)
    orders.checkpoint(3)
    entry = _entry(catalog, orders.name)
    entry.sd.cols = [FieldSchema("dummy", "double", "")]
    try:
        _alter(catalog, entry)
    except InvalidOperationException:  # it lets nobody do that; then nobody has such a table there
        pytest.skip("this metastore keeps columns from being changed")
    assert compact(orders.load(), f"hive.{orders.name}").status == "committed"
    table = orders.load()
    directory = Path(urlparse(table.location()).path)
    files = {path.name for path in directory.rglob("*")}
    with pytest.raises(CommitFailedException) as raised, table.update_schema() as update:
        update.add_column("more", LongType())
    cause = root_cause(raised.value)
    assert isinstance(cause, CommitRefusedError)
    assert "incompatible" in str(cause)
    assert {path.name for path in directory.rglob("*")} == files


def test_a_compaction_of_a_table_that_others_hold(hive_metastore: HiveMetastore, zookeeper: ZooKeeper) -> None:
    """It ends as timed out, says who holds the table, and leaves nothing behind."""
    waits = {"iceberg__hive__lock_timeout_ms": "200"}
    catalog = hive_catalog(hive_metastore.uri, **waits)
    assert isinstance(catalog, HiveCatalog)
    orders = Orders(catalog, f"{new_namespace(catalog)}.orders")
    orders.checkpoint(3)
    files = {path.name for path in Path(urlparse(orders.load().location()).path).rglob("*")}
    namespace, name = orders.name.split(".")
    with HiveLock(catalog.metastore, namespace, name, user="somebody"):
        result = compact(orders.load(), f"hive.{orders.name}")
    assert (result.status, result.exit_code) == ("failed", 124)
    assert "of somebody on" in str(result.error)
    assert {path.name for path in Path(urlparse(orders.load().location()).path).rglob("*")} == files
    assert_same_rows(read_table(orders.load()), orders.expected())

"""Catalogs and tables by name, and what is said when they cannot be had."""

from pathlib import Path

import pytest
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.schema import Schema
from pyiceberg.types import LongType, NestedField
from pyiceberg.utils.config import Config

from autostream.catalogs.opening import list_tables, open_catalog, open_table, require_catalogs
from autostream.errors import AutostreamError, ConfigurationError, ServiceError, UsageError
from autostream.names import TableName

IDS = Schema(NestedField(1, "id", LongType()))


@pytest.fixture(autouse=True)
def _configured(lake: SqlCatalog, monkeypatch: pytest.MonkeyPatch) -> None:
    """PyIceberg reads the environment when it is imported: read it again."""
    monkeypatch.setattr("pyiceberg.catalog._ENV_CONFIG", Config())


def test_a_catalog_that_is_not_configured_is_named_with_those_that_are(lake: SqlCatalog) -> None:
    with pytest.raises(ConfigurationError) as raised:
        open_catalog("lke")
    assert str(raised.value) == "Unknown catalog 'lke'. Configured: lake. Did you mean lake?"
    require_catalogs(["lake", "LAKE"])


def test_where_no_catalog_is_configured_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pyiceberg.utils.config.Config.get_catalog_config", lambda self, name: None)
    monkeypatch.setattr("autostream.catalogs.opening.pyiceberg_catalogs", dict)
    with pytest.raises(ConfigurationError) as raised:
        open_catalog("nowhere")
    assert str(raised.value).startswith("Unknown catalog 'nowhere': no catalog is configured. Configure it in .py")
    assert "PYICEBERG_CATALOG__NOWHERE__URI" in str(raised.value)


def test_properties_are_laid_over_the_configuration(lake: SqlCatalog, tmp_path: Path) -> None:
    opened = open_catalog("lake", {"uri": f"sqlite:///{tmp_path}/other.db"})
    assert opened.properties["uri"] == f"sqlite:///{tmp_path}/other.db"
    assert opened.properties["warehouse"] == lake.properties["warehouse"]
    assert opened.list_namespaces() == []


def test_a_catalog_that_is_down() -> None:
    with pytest.raises(ServiceError, match=r"Cannot open catalog 'rest': .*127.0.0.1:9 did not answer: .*refused"):
        open_catalog("rest", {"type": "rest", "uri": "http://127.0.0.1:9"})


def test_tables_are_opened_by_name(lake: SqlCatalog) -> None:
    made = lake.create_table("db.t", IDS)
    assert open_table("lake.db.t").metadata.table_uuid == made.metadata.table_uuid
    assert open_table(TableName("lake", "db", "t"), catalog=lake).metadata_location == made.metadata_location


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("lake.db.nothing", ""),
        ("lake.db.T", " Did you mean lake.db.t?"),
        ("lake.nowhere.t", " Namespace nowhere does not exist. Namespaces: db."),
        ("lake.bd.t", " Namespace bd does not exist. Namespaces: db. Did you mean db?"),
        ("lake.db.t.x", " Namespace db.t does not exist."),
    ],
)
def test_a_table_that_does_not_exist(lake: SqlCatalog, name: str, hint: str) -> None:
    lake.create_table("db.t", IDS)
    with pytest.raises(UsageError) as raised:
        open_table(name)
    assert str(raised.value) == (
        f"Table {name} does not exist in catalog 'lake'.{hint} 'autostream table list lake' shows the tables it has."
    )


def test_a_table_whose_metadata_is_gone(lake: SqlCatalog) -> None:
    table = lake.create_table("db.t", IDS)
    Path(table.metadata_location.removeprefix("file://")).unlink()
    with pytest.raises(AutostreamError, match=r"Cannot read the metadata of table lake\.db\.t: ") as raised:
        open_table("lake.db.t")
    assert Path(table.metadata_location).name in str(raised.value)
    assert raised.value.exit_code == 1


def test_a_table_whose_metadata_is_no_metadata(lake: SqlCatalog) -> None:
    table = lake.create_table("db.t", IDS)
    Path(table.metadata_location.removeprefix("file://")).write_text("{}")
    with pytest.raises(AutostreamError, match=r"Cannot load table lake\.db\.t from catalog 'lake': "):
        open_table("lake.db.t")


def test_all_tables_of_all_namespaces_are_listed_once(lake: SqlCatalog) -> None:
    lake.create_namespace(("a",))
    lake.create_namespace(("a", "b"))
    lake.create_namespace(("a", "b", "c"))
    lake.create_namespace(("empty",))
    for identifier in (("db", "t"), ("a", "x"), ("a", "b", "y"), ("a", "b", "c", "z"), ("db", "s")):
        lake.create_table(identifier, IDS)
    found = [str(name) for name in list_tables(lake, "lake")]
    assert sorted(found) == ["lake.a.b.c.z", "lake.a.b.y", "lake.a.x", "lake.db.s", "lake.db.t"]


@pytest.mark.parametrize(
    ("properties", "implementation"),
    [
        ({"type": "sql", "uri": "sqlite://"}, "autostream.catalogs.sql.SqlCatalog"),
        ({"uri": "sqlite://"}, "autostream.catalogs.sql.SqlCatalog"),
        ({"type": "hive", "uri": "thrift://h:9083"}, "autostream.catalogs.hive.HiveCatalog"),
        ({"uri": "thrift://h:9083"}, "autostream.catalogs.hive.HiveCatalog"),
        (
            {"type": "autostream.catalogs.hive.HiveCatalog", "uri": "thrift://h:9083"},
            "autostream.catalogs.hive.HiveCatalog",
        ),
        (
            {"py-catalog-impl": "pyiceberg.catalog.hive.HiveCatalog", "uri": "thrift://h:9083"},
            "pyiceberg.catalog.hive.HiveCatalog",
        ),
        ({"type": "in-memory"}, "pyiceberg.catalog.memory.InMemoryCatalog"),
    ],
)
def test_who_opens_a_catalog(properties: dict[str, str], implementation: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """By arguments, and by PyIceberg's configuration, which knows of `py-catalog-impl` only where it is an argument."""

    def class_of(catalog: object) -> str:
        return f"{type(catalog).__module__}.{type(catalog).__name__}"

    assert class_of(open_catalog("other", properties)) == implementation
    for key, value in properties.items():
        monkeypatch.setenv(f"PYICEBERG_CATALOG__OTHER__{key.upper().replace('-', '_')}", value)
    monkeypatch.setattr("pyiceberg.catalog._ENV_CONFIG", Config())
    assert class_of(open_catalog("other")) == implementation


def test_tables_on_hdfs_go_through_webhdfs() -> None:
    hive = {"type": "hive", "uri": "thrift://h:9083", "webhdfs.urls": "http://nn:9870"}
    assert open_catalog("other", hive).properties["py-io-impl"] == "autostream.hadoop.fileio.WebHdfsFileIO"
    own = {**hive, "py-io-impl": "pyiceberg.io.fsspec.FsspecFileIO"}
    assert open_catalog("other", own).properties["py-io-impl"] == "pyiceberg.io.fsspec.FsspecFileIO"


def test_a_class_that_does_not_exist() -> None:
    with pytest.raises(ConfigurationError, match="Cannot open catalog 'other': No module named 'nowhere'"):
        open_catalog("other", {"type": "nowhere.Catalog", "uri": "thrift://h:9083"})

"""Which lock a table's commits take."""

import pytest

from autostream.catalogs.hive_lock import HiveLockPolicy
from autostream.catalogs.locking import (
    LockType,
    hive_lock_wanted,
    lock_properties,
    lock_type,
    timeout_seconds,
    zookeeper_settings,
)
from autostream.errors import ConfigurationError
from autostream.names import TableName
from autostream.properties import Properties

KEY = "autostream.lock.type"
TABLE = TableName("lake", "db", "t")


def said(table: dict[str, str], catalog: dict[str, str]) -> Properties:
    return lock_properties(TABLE, table, catalog)


@pytest.mark.parametrize(
    ("table", "catalog", "chosen"),
    [
        ({}, {}, LockType.HIVE),
        ({}, {KEY: "zookeeper"}, LockType.ZOOKEEPER),
        ({KEY: "none"}, {KEY: "zookeeper"}, LockType.NONE),
        ({KEY: " ZooKeeper "}, {}, LockType.ZOOKEEPER),
        ({KEY: ""}, {KEY: "none"}, LockType.NONE),
    ],
)
def test_the_tables_property_goes_before_its_catalogs(
    table: dict[str, str], catalog: dict[str, str], chosen: LockType
) -> None:
    assert lock_type(said(table, catalog), default=LockType.HIVE, allowed=tuple(LockType)) is chosen


def test_a_type_that_the_catalog_has_not() -> None:
    with pytest.raises(ConfigurationError, match=r"^Table lake\.db\.t: property .* is 'hive'.*zookeeper or none"):
        lock_type(said({KEY: "hive"}, {}), default=LockType.NONE, allowed=(LockType.ZOOKEEPER, LockType.NONE))
    with pytest.raises(ConfigurationError, match=r"Catalog lake: property .* is 'zoo'.*Did you mean zookeeper"):
        lock_type(said({}, {KEY: "zoo"}), default=LockType.NONE, allowed=tuple(LockType))


@pytest.mark.parametrize(
    ("chosen", "table", "catalog", "wanted"),
    [
        (LockType.HIVE, {}, {}, True),
        (LockType.HIVE, {"engine.hive.lock-enabled": "false"}, {}, True),
        (LockType.NONE, {}, {}, False),
        # Java writers that lock by Hive do not compare: the ZooKeeper lock alone would let them overwrite.
        (LockType.ZOOKEEPER, {}, {}, True),
        (LockType.ZOOKEEPER, {"engine.hive.lock-enabled": "true"}, {}, True),
        (LockType.ZOOKEEPER, {"engine.hive.lock-enabled": "FALSE"}, {}, False),
        (LockType.ZOOKEEPER, {}, {"engine.hive.lock-enabled": "false"}, False),
        (LockType.ZOOKEEPER, {"engine.hive.lock-enabled": "true"}, {"engine.hive.lock-enabled": "false"}, True),
    ],
)
def test_the_hive_lock_is_taken_where_others_may_rely_on_it(
    chosen: LockType, table: dict[str, str], catalog: dict[str, str], wanted: bool
) -> None:
    assert hive_lock_wanted(chosen, said(table, catalog)) is wanted


def test_zookeeper_by_settings_and_by_the_catalogs_own_properties(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError, match=r"no ZooKeeper is configured.*AUTOSTREAM_ZOOKEEPER__HOSTS"):
        zookeeper_settings({})
    monkeypatch.setenv("AUTOSTREAM_ZOOKEEPER__HOSTS", "zk1:2181")
    monkeypatch.setenv("AUTOSTREAM_ZOOKEEPER__ROOT", "/here")
    assert zookeeper_settings({}).hosts == "zk1:2181"
    own = zookeeper_settings({"zookeeper.hosts": "zk2:2181", "zookeeper.session-timeout-seconds": "3", "uri": "x"})
    assert (own.hosts, own.session_timeout_seconds, own.root) == ("zk2:2181", 3.0, "/here")
    with pytest.raises(ConfigurationError, match=r"zookeeper\.session_timeout_seconds: Input should be a valid number"):
        zookeeper_settings({"zookeeper.session-timeout-seconds": "soon"})


def test_times() -> None:
    assert timeout_seconds(said({}, {})) == 180
    assert timeout_seconds(said({"autostream.lock.timeout-ms": "1500"}, {"autostream.lock.timeout-ms": "9"})) == 1.5
    with pytest.raises(ConfigurationError, match=r"autostream.lock.timeout-ms is '0'"):
        timeout_seconds(said({"autostream.lock.timeout-ms": "0"}, {}))
    assert HiveLockPolicy.from_properties(said({"iceberg.hive.lock-timeout-ms": "70"}, {})).timeout_ms == 70
    with pytest.raises(ConfigurationError, match=r"iceberg.hive.lock-heartbeat-interval-ms is '-1'"):
        HiveLockPolicy.from_properties(said({}, {"iceberg.hive.lock-heartbeat-interval-ms": "-1"}))

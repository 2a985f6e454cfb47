"""The services that other tests rely on do what those tests take for granted."""

import os
import subprocess
import sys
import textwrap
import threading
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlparse

import pytest
import requests
from hive_metastore.ThriftHiveMetastore import Client
from hive_metastore.ttypes import (
    Database,
    EnvironmentContext,
    FieldSchema,
    GetTableRequest,
    LockComponent,
    LockLevel,
    LockRequest,
    LockState,
    LockType,
    MetaException,
    SerDeInfo,
    ShowLocksRequest,
    StorageDescriptor,
    Table,
)
from kazoo.client import KazooClient, KazooState
from pyiceberg.catalog.hive import _HiveClient
from requests_kerberos import REQUIRED, HTTPKerberosAuth
from thrift.protocol.TBinaryProtocol import TBinaryProtocol
from thrift.Thrift import TApplicationException, TException
from thrift.transport.TSocket import TSocket
from thrift.transport.TTransport import TBufferedTransport

from tests.support import hadoop
from tests.support.faultproxy import Fault, FaultProxy, thrift_call
from tests.support.hadoop import Hdfs, HiveMetastore, KerberosLake, ZooKeeper

pytestmark = pytest.mark.integration
shared = pytest.mark.xdist_group("hadoop")  # those that take services from fixtures
# What only our scripts can get wrong: other tests use what they prove.
of_the_scripts_alone = pytest.mark.exhaustive


# --------------------------------------------------------------------------------------------- ZooKeeper


@contextmanager
def zookeeper_client(hosts: str, *, session: float = 10, **options: object) -> Iterator[KazooClient]:
    client = KazooClient(hosts, timeout=session, **options)
    client.start()
    try:
        yield client
    finally:
        client.stop()
        client.close()


@shared
def test_zookeeper_keeps_a_node(zookeeper: ZooKeeper) -> None:
    path = f"/{uuid.uuid4().hex}"
    with zookeeper_client(zookeeper.hosts) as client:
        client.create(path, b"one")
        assert client.get(path)[0] == b"one"


@of_the_scripts_alone
def test_three_zookeepers_do_without_one_and_ask_for_password_and_certificate() -> None:
    svc = {"mechanism": "DIGEST-MD5", "username": "svc", "password": "svcpw"}
    with hadoop.zookeeper(nodes=3, sasl="digest", tls="need") as ensemble:
        with zookeeper_client(ensemble.hosts, sasl_options=svc) as client:
            client.create("/kept", b"one")
            ensemble.kill(1)
            assert client.retry(client.get, "/kept")[0] == b"one"
            ensemble.up(1)
        options = {"ca": ensemble.tls_ca, "certfile": ensemble.tls_certificate, "keyfile": ensemble.tls_key}
        with zookeeper_client(ensemble.tls_hosts or "", use_ssl=True, sasl_options=svc, **options) as client:
            assert client.get("/kept")[0] == b"one"


def test_a_service_ends_with_the_test_run_that_started_it(tmp_path: Path) -> None:
    run = """
        import os
        from tests.support import hadoop
        running = hadoop.zookeeper()
        service = running.__enter__()
        print((service.directory / "1.pid").read_text(), flush=True)
        os._exit(1)
    """
    command = [sys.executable, "-c", textwrap.dedent(run)]
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    server = Path("/proc", str(int(ended.stdout)))
    deadline = time.monotonic() + 120
    while server.exists():
        assert time.monotonic() < deadline, "the server still runs"
        time.sleep(0.2)


# -------------------------------------------------------------------------------------------------- HDFS


def write(url: str, path: str, data: bytes, *, user: str = "svc", doas: str = "alice", **options: object) -> int:
    query = {"op": "CREATE", "user.name": user, "doas": doas}
    return requests.put(f"{url}/webhdfs/v1{path}", params=query, data=data, timeout=120, **options).status_code  # type: ignore[arg-type]


def read(url: str, path: str, *, user: str = "svc", **options: object) -> bytes:
    query = {"op": "OPEN", "user.name": user}
    answer = requests.get(f"{url}/webhdfs/v1{path}", params=query, timeout=120, **options)  # type: ignore[arg-type]
    answer.raise_for_status()
    return answer.content


@shared
def test_hdfs_keeps_a_file_for_the_account_that_a_proxy_acts_for(hdfs: Hdfs) -> None:
    path = f"/data/{uuid.uuid4().hex}"
    assert write(hdfs.webhdfs_url, path, b"one") == 201
    assert read(hdfs.webhdfs_url, path) == b"one"
    query = {"op": "GETFILESTATUS", "user.name": "bob"}
    status = requests.get(f"{hdfs.webhdfs_url}/webhdfs/v1{path}", params=query, timeout=120).json()["FileStatus"]
    assert (status["owner"], status["length"]) == ("alice", 3)
    assert write(hdfs.webhdfs_url, path + "2", b"", user="svcg", doas="alice") == 201
    assert write(hdfs.webhdfs_url, path + "3", b"", user="svcg", doas="bob") == 403
    assert write(hdfs.webhdfs_url, path + "4", b"", user="mallory", doas="alice") == 403


@of_the_scripts_alone
def test_two_namenodes_fail_over_and_come_back() -> None:
    with hadoop.hdfs(namenodes=2) as pair:
        first, second = pair.webhdfs_urls
        assert pair.state == ("active", "standby")
        assert write(first, "/data/a", b"one") == 201
        with pytest.raises(requests.HTTPError, match="403"):
            read(second, "/data/a")
        pair.activate(2)
        assert (pair.state, read(second, "/data/a")) == (("standby", "active"), b"one")
        assert write(second, "/data/b", b"two") == 201
        pair.kill(2)
        pair.activate(1)
        assert (pair.state, read(first, "/data/b")) == (("active", "down"), b"two")
        pair.up(2)
        assert pair.state == ("active", "standby")


@of_the_scripts_alone
def test_hdfs_over_tls_survives_a_restart() -> None:
    with hadoop.hdfs(https=True) as secure:
        assert write(secure.webhdfs_url, "/data/a", b"one", verify=secure.tls_ca) == 201
        secure.kill()
        assert secure.state == ("down",)
        secure.up()
        assert read(secure.webhdfs_url, "/data/a", verify=secure.tls_ca) == b"one"
        with pytest.raises(requests.exceptions.SSLError):
            read(secure.webhdfs_url, "/data/a")


# -------------------------------------------------------------------------------------------------- Hive


@contextmanager
def hive_client(uri: str) -> Iterator[Client]:
    host, port = uri.removeprefix("thrift://").split(":")
    transport = TBufferedTransport(TSocket(host, int(port)))
    transport.open()
    try:
        yield Client(TBinaryProtocol(transport))
    finally:
        transport.close()


def table(namespace: str) -> Table:
    formats = ("org.apache.hadoop.mapred.FileInputFormat", "org.apache.hadoop.mapred.FileOutputFormat")
    serde = SerDeInfo(serializationLib="org.apache.hadoop.hive.serde2.lazy.LazySimpleSerDe", parameters={})
    storage = StorageDescriptor(
        cols=[FieldSchema("a", "bigint", "")],
        inputFormat=formats[0],
        outputFormat=formats[1],
        serdeInfo=serde,
        parameters={},
        bucketCols=[],
        sortCols=[],
        numBuckets=0,
    )
    return Table(
        dbName=namespace,
        tableName="t",
        owner="me",
        createTime=0,
        lastAccessTime=0,
        retention=0,
        sd=storage,
        partitionKeys=[],
        parameters={"EXTERNAL": "TRUE", "metadata_location": "one"},
        tableType="EXTERNAL_TABLE",
    )


def swap(client: Client, namespace: str, expected: str, new: str) -> None:
    changed = client.get_table_req(GetTableRequest(dbName=namespace, tblName="t")).table
    changed.parameters["metadata_location"] = new
    names = {"expected_parameter_key": "metadata_location", "expected_parameter_value": expected}
    client.alter_table_with_environment_context(namespace, "t", changed, EnvironmentContext(properties=names))


@shared
@pytest.mark.parametrize(
    ("fixture", "knows_get_table", "compares"),
    [
        ("hive_metastore", True, True),
        ("hive_on_hdfs", True, True),
        ("newer_hive_metastore", False, True),
        ("older_hive_metastore", True, False),
        ("oldest_hive_metastore", True, False),
    ],
)
def test_a_metastore_keeps_a_table(
    request: pytest.FixtureRequest, fixture: str, *, knows_get_table: bool, compares: bool
) -> None:
    metastore: HiveMetastore = request.getfixturevalue(fixture)
    namespace = f"ns_{uuid.uuid4().hex[:8]}"
    with hive_client(metastore.uri) as client:
        client.create_database(Database(name=namespace))
        client.create_table(table(namespace))
        stored = client.get_table_req(GetTableRequest(dbName=namespace, tblName="t")).table
        assert stored.sd.location.startswith(metastore.warehouse.replace("file:///", "file:/"))
        if knows_get_table:
            assert client.get_table(namespace, "t").parameters["metadata_location"] == "one"
        else:
            with pytest.raises(TApplicationException, match="Invalid method name"):
                client.get_table(namespace, "t")
        swap(client, namespace, "one", "two")
        if compares:
            with pytest.raises(MetaException) as raised:
                swap(client, namespace, "stale", "three")
            assert "The table has been modified" in raised.value.message
        else:
            swap(client, namespace, "stale", "three")


@of_the_scripts_alone
def test_a_metastore_keeps_its_tables_when_it_is_killed() -> None:
    with hadoop.hive_metastore() as metastore:
        with hive_client(metastore.uri) as client:
            client.create_database(Database(name="kept"))
        metastore.kill()
        metastore.up()
        with hive_client(metastore.uri) as client:
            assert set(client.get_all_databases()) == {"default", "kept"}


@of_the_scripts_alone
@pytest.mark.parametrize("version", ["4.0.0", hadoop.OLDER_HIVE])
def test_housekeeping_takes_a_lock_without_heartbeats(version: str) -> None:
    component = LockComponent(type=LockType.EXCLUSIVE, level=LockLevel.TABLE, dbname="default", tablename="t")
    wanted = LockRequest(component=[component], user="alice", hostname="gone")
    with (
        hadoop.hive_metastore(version=version, lock_timeout_seconds=2) as metastore,
        hive_client(metastore.uri) as client,
    ):
        assert client.lock(wanted).state == LockState.ACQUIRED
        assert [lock.hostname for lock in client.show_locks(ShowLocksRequest()).locks] == ["gone"]
        deadline = time.monotonic() + 120
        while client.show_locks(ShowLocksRequest()).locks:
            assert time.monotonic() < deadline, "the lock is still there"
            time.sleep(0.2)


# ---------------------------------------------------------------------------------------------- Kerberos


@shared
def test_a_lake_under_kerberos_knows_who_calls(kerberos_lake: KerberosLake, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in kerberos_lake.kdc.environment("svc").items():
        monkeypatch.setenv(name, value)
    name = uuid.uuid4().hex

    with zookeeper_client(kerberos_lake.zookeeper.hosts, sasl_options={"mechanism": "GSSAPI"}) as client:
        assert client.create(f"/{name}") == f"/{name}"

    url = f"{kerberos_lake.hdfs.webhdfs_url}/webhdfs/v1/data/{name}"
    negotiate = HTTPKerberosAuth(mutual_authentication=REQUIRED)
    assert requests.put(url, params={"op": "CREATE", "doas": "alice"}, auth=negotiate, timeout=120).status_code == 201
    status = requests.get(url, params={"op": "GETFILESTATUS"}, auth=negotiate, timeout=120).json()
    assert status["FileStatus"]["owner"] == "alice"
    assert requests.get(url, params={"op": "GETFILESTATUS", "user.name": "hdfs"}, timeout=120).status_code == 401

    with FaultProxy("localhost", kerberos_lake.hive.port) as proxy:
        called = proxy.watch(thrift_call("get_database"))
        uri = f"thrift://localhost:{proxy.port}"
        with _HiveClient(uri, kerberos_auth=True, kerberos_service_name="hive") as client:
            assert client.get_delegation_token("alice", "svc")
            client.create_database(Database(name=f"ns_{name}"))
            assert client.get_database(f"ns_{name}").ownerName == "svc"
        assert called.hits == 1

    monkeypatch.setenv("KRB5CCNAME", kerberos_lake.kdc.ticket("mallory"))
    with (
        _HiveClient(kerberos_lake.hive.uri, kerberos_auth=True, kerberos_service_name="hive") as client,
        pytest.raises(MetaException) as refused,
    ):
        client.get_delegation_token("alice", "mallory")
    assert "is not allowed to impersonate alice" in refused.value.message


# ------------------------------------------------------------------------------------- the proxy between


ALTER = thrift_call("alter_table_with_environment_context")


@pytest.fixture
def stored(hive_metastore: HiveMetastore) -> str:
    """The namespace of a table ``t`` whose ``metadata_location`` is ``one``."""
    namespace = f"ns_{uuid.uuid4().hex[:8]}"
    with hive_client(hive_metastore.uri) as client:
        client.create_database(Database(name=namespace))
        client.create_table(table(namespace))
    return namespace


def location(metastore: HiveMetastore, namespace: str) -> str:
    with hive_client(metastore.uri) as client:
        found: str = client.get_table(namespace, "t").parameters["metadata_location"]
        return found


@shared
@pytest.mark.parametrize(
    ("fault", "expected"), [("cut_request", "one"), ("cut_answer", "two"), ("replace_answer", "two")]
)
def test_the_proxy_loses_the_request_or_the_answer(
    hive_metastore: HiveMetastore, stored: str, fault: str, expected: str
) -> None:
    with FaultProxy("localhost", hive_metastore.port) as proxy:
        rule: Fault = getattr(proxy, fault)(ALTER)
        with hive_client(f"thrift://localhost:{proxy.port}") as client, pytest.raises((TException, EOFError)):
            swap(client, stored, "one", "two")
        assert (location(hive_metastore, stored), rule.hits) == (expected, 1)
        with hive_client(f"thrift://localhost:{proxy.port}") as client:  # the fault happens once
            swap(client, stored, expected, "three")
    assert (location(hive_metastore, stored), rule.seen, rule.hits) == ("three", 2, 1)


@shared
def test_the_proxy_holds_an_answer_until_it_is_released(hive_metastore: HiveMetastore, stored: str) -> None:
    with FaultProxy("localhost", hive_metastore.port) as proxy, ThreadPoolExecutor(1) as pool:
        held = proxy.hold_answer(ALTER)
        with hive_client(f"thrift://localhost:{proxy.port}") as client:
            running = pool.submit(swap, client, stored, "one", "two")
            held.wait()
            assert (location(hive_metastore, stored), running.done()) == ("two", False)
            held.release()
            running.result(30)


@shared
def test_the_proxy_counts_and_can_be_down(zookeeper: ZooKeeper, hdfs: Hdfs) -> None:
    web = urlparse(hdfs.webhdfs_url)
    with FaultProxy("localhost", web.port or 0) as proxy:
        url = f"http://localhost:{proxy.port}/webhdfs/v1/?user.name=svc&op="
        second = proxy.cut_request(b"GETFILESTATUS", nth=2, times=1)
        outcomes = [requests.get(url + "LISTSTATUS", timeout=120).ok]
        for _ in range(3):
            try:
                outcomes.append(requests.get(url + "GETFILESTATUS", timeout=120).ok)
            except requests.ConnectionError:
                outcomes.append(False)
        assert outcomes == [True, True, False, True]
        assert (second.seen, second.hits) == (3, 1)

    host, port = zookeeper.hosts.split(":")
    with FaultProxy(host, int(port)) as proxy, zookeeper_client(f"127.0.0.1:{proxy.port}") as client:
        connected, lost = threading.Event(), threading.Event()
        client.add_listener(lambda state: (connected if state == KazooState.CONNECTED else lost).set())
        proxy.down()
        assert lost.wait(30)
        proxy.up()
        assert connected.wait(30)
        assert client.exists("/") is not None


@shared
def test_a_frozen_proxy_costs_a_session(zookeeper: ZooKeeper) -> None:
    host, port = zookeeper.hosts.split(":")
    path = f"/{uuid.uuid4().hex}"
    with FaultProxy(host, int(port)) as proxy, zookeeper_client(f"127.0.0.1:{proxy.port}", session=1) as client:
        client.create(path, ephemeral=True)
        gone = threading.Event()
        with zookeeper_client(zookeeper.hosts) as other:
            assert other.exists(path, watch=lambda _: gone.set())
            proxy.freeze()
            assert gone.wait(30)
            proxy.thaw()

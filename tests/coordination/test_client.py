"""The client of ZooKeeper: what cannot work is said at once and in words, secrets are never told."""

import logging
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from pydantic import SecretStr

from autostream.config import ZooKeeperSettings
from autostream.coordination.client import ZooKeeperClient, close_all, shared_client
from autostream.coordination.session_failures import InterruptedSessionError
from autostream.errors import ConfigurationError, DeniedError, ServiceError
from tests.coordination.conftest import Connect
from tests.coordination.locking import before, expire, hosts_of, in_queue, lock, nodes, until
from tests.support.away import away
from tests.support.hadoop import ZooKeeper


@pytest.mark.parametrize(
    ("settings", "parts"),
    [
        ({}, ["No ZooKeeper is configured", "AUTOSTREAM_ZOOKEEPER__HOSTS"]),
        ({"hosts": "zk1:x"}, ["Invalid zookeeper.hosts 'zk1:x'", "zk1:2181,zk2:2181"]),
        ({"hosts": ",zk1:1"}, ["Invalid zookeeper.hosts ',zk1:1'"]),
        ({"hosts": "zk1", "sasl_mechanism": "DIGEST-MD5", "username": "svc"}, ["needs", "zookeeper.password"]),
        ({"hosts": "zk1", "tls": True, "tls_ca": "/nowhere/ca.pem"}, ["zookeeper.tls_ca names /nowhere/ca.pem"]),
    ],
)
def test_what_is_configured_wrongly_is_told_before_anything_is_tried(
    settings: dict[str, object], parts: list[str]
) -> None:
    with pytest.raises(ConfigurationError) as raised:
        ZooKeeperClient(ZooKeeperSettings.model_validate(settings))

    assert [part for part in parts if part not in str(raised.value)] == []


def unreachable(**settings: object) -> str:
    chosen = ZooKeeperSettings.model_validate({"connect_timeout_seconds": 0.3, **settings})
    with pytest.raises(ServiceError) as raised:
        ZooKeeperClient(chosen).session()
    return str(raised.value)


def test_who_is_not_there_is_named_with_the_time_and_the_reason() -> None:
    message = unreachable(hosts="127.0.0.1:1,127.0.0.1:2")

    assert message.startswith(
        "Could not reach ZooKeeper at 127.0.0.1:1,127.0.0.1:2 within 0.3 s (last: Connection refused"
    )
    assert "Check zookeeper.hosts" in message


@pytest.mark.parametrize(
    ("way", "says"),
    [("speaks HTTP", "is a web server's port"), ("speaks TLS", "is a port for TLS: set zookeeper.tls to true")],
)
def test_a_port_of_something_else_is_told_as_such(way: str, says: str) -> None:
    with away(way) as port:
        settings = ZooKeeperSettings(hosts=f"127.0.0.1:{port}", connect_timeout_seconds=0.3)
        with pytest.raises(ServiceError, match=f"127.0.0.1:{port} {says}"):
            ZooKeeperClient(settings).check()


def test_a_name_that_does_not_exist_is_named() -> None:
    assert "Cannot resolve nowhere.invalid" in unreachable(hosts="nowhere.invalid:2181")


def test_there_is_one_client_for_the_same_settings_in_a_process() -> None:
    settings = ZooKeeperSettings(hosts="127.0.0.1:1", password=SecretStr("a"))

    assert shared_client(settings) is shared_client(settings.model_copy())
    assert shared_client(settings) is not shared_client(settings.model_copy(update={"password": SecretStr("b")}))


@pytest.mark.integration
def test_check_proves_that_locks_can_be_made(connect: Connect, root: str) -> None:
    client = connect()

    assert client.check() == f"reachable at {client.settings.hosts}, a client without an account may lock below {root}"
    assert client.children(root) == []


@pytest.mark.integration
def test_a_digest_account_keeps_its_nodes_to_itself(connect: Connect, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.DEBUG, logger="kazoo.client")
    mine = connect(username="svc", password="hidden-one")
    with lock(mine) as held:
        held.verify()
        with pytest.raises(DeniedError) as raised:
            connect(username="svc", password="hidden-two").check()
        with pytest.raises(DeniedError, match="a client without an account"):
            lock(connect()).acquire()
        with lock(connect(username="svc", password="hidden-one"), key=type(held.key)("lake", "db.other")) as other:
            other.verify()

    message = str(raised.value)
    assert raised.value.exit_code == 5
    assert "does not allow" in message
    assert "account 'svc' (digest)" in message
    assert "Sending request" in caplog.text  # the details are logged, but not those of the password
    assert "hidden" not in caplog.text + message


@pytest.mark.integration
def test_an_open_acl_lets_others_in(connect: Connect) -> None:
    with lock(connect(username="svc", password="a", acl="open")):
        pass
    with lock(connect()) as held:
        held.verify()


@pytest.mark.integration
def test_a_root_below_the_hosts_must_exist(zookeeper: ZooKeeper, connect: Connect) -> None:
    with pytest.raises(ConfigurationError, match=r"The node /nowhere at the end of zookeeper\.hosts"):
        connect(hosts=f"{zookeeper.hosts}/nowhere").session()


@pytest.mark.integration
def test_an_expired_session_is_followed_by_another_with_the_same_client(connect: Connect) -> None:
    client = connect()
    session = client.session()
    first, before = session.session_id, session.interruptions

    expire(client)

    assert client.children("/") != []
    assert client.session() is session
    assert session.session_id != first
    assert session.interruptions > before
    assert session.first_interruption_after(before) is not None
    assert session.first_interruption_after(session.interruptions) is None


@pytest.mark.integration
def test_what_gets_no_answer_is_said_to_be_in_doubt(zookeeper: ZooKeeper, connect: Connect) -> None:
    with before(zookeeper.hosts) as proxy:
        client = connect(hosts=hosts_of(proxy), connect_timeout_seconds=1)
        session = client.session()
        lost = proxy.cut_answer(b"/in-doubt")

        with pytest.raises(InterruptedSessionError, match=r"did not answer making a node \(ConnectionLoss\)"):
            session.request(
                "making a node", lambda kazoo: kazoo.create_async("/in-doubt", ephemeral=True), timeout_seconds=9
            )

        assert lost.hits == 1
        assert "in-doubt" in client.children("/")  # and reading goes on over the next connection
        proxy.down()
        until(lambda: not session.kazoo.connected)
        with pytest.raises(ServiceError, match=r"Could not reach ZooKeeper .* within 0\.5 s"):
            client.session(0.5)


@pytest.mark.integration
def test_a_dead_connection_thread_is_replaced(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    client = connect()
    session = client.session()
    held = lock(client)
    held.acquire()

    def fails(*args: object) -> None:
        raise RuntimeError("xids do not match")

    monkeypatch.setattr(session.kazoo._connection, "_read_socket", fails)
    until(lambda: not session.is_usable, what="the end of the thread")

    assert held.lost is not None
    assert client.session() is not session
    assert client.children("/") != []


@pytest.mark.integration
def test_what_an_earlier_connection_queued_is_not_ours(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its node lives on until the servers end its session, and must not be taken for a lock of the present one."""
    first, client = connect(), connect(session_timeout_seconds=2)
    held = lock(first)
    held.acquire()
    waiting = in_queue(first, lock(client))
    session = client.session()
    known = set(nodes(first))
    (earlier,) = (name for name in known if name != held._held().place.path.rpartition("/")[2])

    def fails(*args: object) -> None:
        raise RuntimeError("xids do not match")

    monkeypatch.setattr(session.kazoo._connection, "_read_socket", fails)
    until(lambda: set(nodes(first)) - known, what="another place")
    held.release()

    waiting.wait().verify()
    assert waiting.lock._held().place.path.rpartition("/")[2] != earlier
    assert nodes(first) == [waiting.lock._held().place.path.rpartition("/")[2]]
    waiting.lock.release()


@pytest.mark.integration
def test_a_child_makes_a_connection_of_its_own_and_leaves_its_parents_alone(connect: Connect) -> None:
    client = connect()
    held = lock(client)
    held.acquire()
    session_id = client.session().session_id
    reading, writing = os.pipe()
    client._mutex.acquire()  # as a thread would that is just connecting, and that the child does not have
    child = os.fork()
    if child == 0:  # pragma: no cover - another process
        said = "nothing"
        try:
            assert client.current_session() is None
            lost = held.lost or ""
            held.release()
            own = client.session().session_id
            said = f"{own != session_id} {len(nodes(client))} {lost}"
            close_all()
        except BaseException as error:
            said = repr(error)
        finally:
            os.write(writing, said.encode())
            os._exit(0)
    client._mutex.release()
    os.close(writing)
    with os.fdopen(reading) as answers:
        said = answers.read()
    os.waitpid(child, 0)

    assert said == f"True 1 it belongs to process {os.getpid()}, the parent of this process {child}"
    held.verify()
    assert client.session().session_id == session_id
    held.release()


@pytest.mark.integration
def test_a_process_that_ends_leaves_no_session(zookeeper: ZooKeeper, connect: Connect, root: str) -> None:
    program = f"""
from autostream.config import ZooKeeperSettings
from autostream.coordination.client import shared_client
from autostream.coordination.queued_lock import QueuedLock
from autostream.coordination.paths import LockKey
client = shared_client(ZooKeeperSettings(hosts={zookeeper.hosts!r}, root={root!r}, session_timeout_seconds=30))
QueuedLock(client, LockKey("lake", "db.orders"), what="commit").acquire()
"""
    include = str(Path(__file__).parents[2] / "include")
    ended = subprocess.run(
        [sys.executable, "-c", program], env=os.environ | {"PYTHONPATH": include}, capture_output=True, text=True
    )

    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
    assert nodes(connect()) == []  # at once, and not after 30 s


@pytest.mark.integration
def test_threads_that_connect_at_once_share_one_session(connect: Connect) -> None:
    client = connect()
    seen: set[int] = set()
    start = threading.Barrier(8)

    def work() -> None:
        start.wait()
        seen.add(id(client.session()))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(seen) == 1


@pytest.mark.integration
def test_an_account_that_the_servers_do_not_know_cannot_keep_nodes_to_itself(connect: Connect) -> None:
    client = connect(username="svc", password="a")
    session = client.session()
    session.kazoo.auth_data.clear()  # as where the servers are configured without the provider of an account
    expire(client)  # the next session is anonymous

    with pytest.raises(ConfigurationError, match=r"does not know account 'svc' .*zookeeper\.acl to 'open'"):
        client.ensure_path("/somewhere-else/of-svc")


@pytest.mark.integration
def test_an_answer_that_is_none_is_told(connect: Connect) -> None:
    client, path = connect(), f"/ephemeral-{os.getpid()}"
    client.ask("making a node", lambda kazoo: kazoo.create_async(path, ephemeral=True))
    with pytest.raises(ServiceError, match="answered NoChildrenForEphemeralsError to making a child"):
        client.ask("making a child", lambda kazoo: kazoo.create_async(f"{path}/child"))

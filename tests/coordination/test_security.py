"""Accounts and TLS on real servers that demand them: what is wrong is said, and what is right works."""

from collections.abc import Iterator

import pytest

from autostream.coordination.client import ZooKeeperClient
from autostream.errors import DeniedError, ServiceError
from tests.coordination.conftest import Connect
from tests.coordination.locking import before, hosts_of, interrupt, lock, until
from tests.support import hadoop
from tests.support.hadoop import ZooKeeper

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def with_accounts() -> Iterator[ZooKeeper]:
    with hadoop.zookeeper(sasl="digest") as started:
        yield started


@pytest.fixture(scope="module")
def with_tls() -> Iterator[ZooKeeper]:
    with hadoop.zookeeper(tls="need") as started:
        yield started


@pytest.fixture
def connect_tls(with_tls: ZooKeeper, connect: Connect) -> Connect:
    def make(**settings: object) -> ZooKeeperClient:
        proper = {
            "hosts": with_tls.tls_hosts,
            "tls": True,
            "tls_ca": with_tls.tls_ca,
            "tls_certificate": with_tls.tls_certificate,
            "tls_key": with_tls.tls_key,
            "connect_timeout_seconds": 10,
        }
        return connect(**(proper | settings))

    return make


def denied(client: ZooKeeperClient) -> str:
    with pytest.raises(DeniedError) as raised:
        client.session()
    assert raised.value.exit_code == 5
    return str(raised.value)


def unreachable(client: ZooKeeperClient) -> str:
    with pytest.raises(ServiceError) as raised:
        client.session()
    return str(raised.value)


SVC = {"sasl_mechanism": "DIGEST-MD5", "username": "svc", "password": "svcpw"}


def test_a_sasl_account_locks_and_keeps_others_out(with_accounts: ZooKeeper, connect: Connect) -> None:
    with lock(connect(hosts=with_accounts.hosts, **SVC)) as held:
        held.verify()
        bob = connect(hosts=with_accounts.hosts, sasl_mechanism="DIGEST-MD5", username="bob", password="bobpw")
        with pytest.raises(
            DeniedError, match=r"does not allow creating a node below .* for account 'bob' \(SASL DIGEST-MD5\)"
        ):
            lock(bob).acquire()


def test_a_wrong_password_is_a_refused_account(with_accounts: ZooKeeper, connect: Connect) -> None:
    message = denied(connect(hosts=with_accounts.hosts, **SVC | {"password": "hidden!"}))

    assert "refused account 'svc' (SASL DIGEST-MD5). Correct zookeeper.username or zookeeper.password" in message
    assert "hidden" not in message


def test_an_account_that_was_refused_for_a_while_is_tried_again(with_accounts: ZooKeeper, connect: Connect) -> None:
    """A ticket may have expired when the connection breaks: a process that lives long must get over it."""
    with before(with_accounts.hosts) as proxy:
        client = connect(hosts=hosts_of(proxy), **SVC)
        held = lock(client)
        held.acquire()
        session = client.session()
        session.kazoo._connection.sasl_options["password"] = "expired"
        interrupt(proxy)
        until(lambda: not session.is_usable, what="the refusal")

        assert held.lost is not None
        held.release()
        with lock(client) as again:
            again.verify()
        assert client.session() is not session


def test_servers_that_demand_an_account_say_so(with_accounts: ZooKeeper, connect: Connect) -> None:
    assert "require SASL: set zookeeper.sasl_mechanism" in denied(connect(hosts=with_accounts.hosts))


def test_kerberos_without_a_ticket(with_accounts: ZooKeeper, connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("kerberos", reason="the package kerberos is not installed")
    monkeypatch.setenv("KRB5CCNAME", "/nowhere/ticket")

    message = denied(connect(hosts=with_accounts.hosts, sasl_mechanism="GSSAPI", sasl_service="keeper"))

    assert "valid Kerberos ticket (klist)" in message
    assert "zookeeper.sasl_service (keeper)" in message


def test_tls_with_a_certificate_locks(connect_tls: Connect, with_tls: ZooKeeper) -> None:
    with lock(connect_tls()) as held:
        held.verify()
    assert "the account of the certificate" in connect_tls().check()


def test_a_key_in_the_file_of_the_certificate(connect_tls: Connect, with_tls: ZooKeeper) -> None:
    both = with_tls.directory / "both.pem"
    both.write_text("".join((with_tls.directory / "tls" / name).read_text() for name in ("client.key", "client.crt")))

    connect_tls(tls_certificate=str(both), tls_key="").check()


def test_without_a_certificate_of_the_client(connect_tls: Connect) -> None:
    message = unreachable(connect_tls(tls_certificate="", tls_key="", connect_timeout_seconds=1))

    assert "Could not reach ZooKeeper at" in message
    assert "set zookeeper.tls_certificate and zookeeper.tls_key" in message


def test_a_certificate_of_another_name_is_not_trusted(connect_tls: Connect, with_tls: ZooKeeper) -> None:
    """The address is right, the name is not: `ip6-localhost` or another name of this machine is not in it."""
    port = (with_tls.tls_hosts or "").rpartition(":")[2]
    client = connect_tls(hosts=f"127.1:{port}", connect_timeout_seconds=1)  # getaddrinfo knows it as 127.0.0.1

    message = unreachable(client)

    assert "mismatch" in message
    assert "host names into zookeeper.hosts that are in the certificate" in message


def test_a_certificate_of_an_unknown_signer_is_not_trusted(connect_tls: Connect) -> None:
    assert "Set zookeeper.tls_ca" in unreachable(connect_tls(tls_ca="", connect_timeout_seconds=1))


def test_a_tls_port_without_tls(connect_tls: Connect) -> None:
    assert "set zookeeper.tls to true" in unreachable(connect_tls(tls=False, connect_timeout_seconds=1))


def test_kerberos_with_a_ticket(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("kerberos", reason="the package kerberos is not installed")
    with hadoop.kdc() as kdc, hadoop.zookeeper(sasl="kerberos", kdc=kdc) as servers:
        for name, value in kdc.environment("svc").items():
            monkeypatch.setenv(name, value)
        client = connect(hosts=servers.hosts, sasl_mechanism="GSSAPI")
        with lock(client) as held:
            held.verify()
            monkeypatch.setenv("KRB5CCNAME", kdc.ticket("bob"))
            with pytest.raises(DeniedError, match=r"account of the Kerberos ticket \(SASL GSSAPI\)"):
                lock(connect(hosts=servers.hosts, sasl_mechanism="GSSAPI")).acquire()
        assert "the account of the Kerberos ticket (SASL GSSAPI) may lock" in client.check()
        client.close()

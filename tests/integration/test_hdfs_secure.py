"""WebHDFS under Kerberos and over TLS: tickets, cookies, tokens, certificates, and what is said without them."""

import os
import re
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from autostream.errors import ConfigurationError, DeniedError, ServiceError
from autostream.hadoop.answers import RefusedError
from autostream.hadoop.fileio import WebHdfsFileIO
from autostream.hadoop.kerberos import KerberosIdentity, ensure_ticket, read_ticket
from autostream.hadoop.negotiate import Negotiator
from autostream.hadoop.settings import WebHdfsSettings
from autostream.hadoop.transport import Transport
from autostream.hadoop.webhdfs import WebHdfs
from autostream.hadoop.writer import BUFFER_BYTES
from tests.support.clocks import FakeClock
from tests.support.hadoop import Hdfs, KerberosLake
from tests.support.hadoop import hdfs as start_hdfs

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("hadoop")]


@pytest.fixture
def lake(kerberos_lake: KerberosLake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> KerberosLake:
    """The realm, and no ticket yet: `log_in` puts one into the cache of this test."""
    monkeypatch.setenv("KRB5_CONFIG", str(kerberos_lake.kdc.krb5_config))
    monkeypatch.setenv("KRB5CCNAME", f"FILE:{tmp_path}/cache")
    return kerberos_lake


def log_in(lake: KerberosLake, user: str, **more: int) -> None:
    lake.kdc.ticket(user, Path(os.environ["KRB5CCNAME"].removeprefix("FILE:")), **more)


@pytest.fixture(autouse=True)
def _pauses_take_no_time(clock: FakeClock) -> None:
    """The time of day is the one by which tickets are given."""
    clock.ms = time.time_ns() // 1_000_000


def client(
    lake: KerberosLake,
    proxy: str | None = "alice",
    identity: KerberosIdentity | None = None,
    urls: tuple[str, ...] = (),
) -> WebHdfs:
    """A client of its own, with no cookie yet."""
    settings = WebHdfsSettings(
        urls or lake.hdfs.webhdfs_urls, proxy_user=proxy, kerberos=identity or KerberosIdentity(), retries=1
    )
    return WebHdfs(settings)


@pytest.fixture
def proofs(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """How often a client proved who it is: whether it was with a new ticket."""
    made: list[bool] = []
    prove = Negotiator.prove

    def counting(self: Negotiator, base_url: str, *, renew: bool = False) -> dict[str, str]:
        made.append(renew)
        return prove(self, base_url, renew=renew)

    monkeypatch.setattr(Negotiator, "prove", counting)
    return made


def test_files_belong_to_the_account_that_acts(lake: KerberosLake) -> None:
    log_in(lake, "svc")
    files = WebHdfsFileIO(
        {
            "webhdfs.urls": lake.hdfs.webhdfs_url,
            "webhdfs.authentication": "kerberos",
            "autostream.proxy-user": "alice",
        }
    )
    for size in (10, BUFFER_BYTES + 10):
        location = f"hdfs://lake/data/krb/{size}"
        with files.new_output(location).create(overwrite=True) as stream:
            stream.write(b"1" * size)
        with files.new_input(location).open() as source:
            assert source.read(size + 1) == b"1" * size
    assert {status.owner for _, status in files.walk("hdfs://lake/data/krb")} == {"alice"}
    assert files.client("hdfs://lake/").delete("/data/krb", recursive=True)


def test_a_cookie_serves_until_it_no_longer_does(lake: KerberosLake, proofs: list[bool]) -> None:
    log_in(lake, "svc")
    files = client(lake)
    for _ in range(3):
        files.status("/data")
        files.put("/data/cookie", b"1", overwrite=True)
        files.read("/data/cookie")
    assert proofs == [False]
    negotiator = files._transport._negotiator
    assert negotiator is not None
    negotiator._cookies[lake.hdfs.webhdfs_url] = '"u=svc&p=svc@TEST.LOCAL&t=kerberos&e=1&s=wrong"'
    files.status("/data")
    assert proofs == [False, False]


def test_without_a_ticket(lake: KerberosLake) -> None:
    with pytest.raises(DeniedError, match=r"No Kerberos ticket in FILE:.*cache.*kinit.*airflow kerberos.*keytab"):
        client(lake).status("/data")


def test_a_ticket_that_ends_is_read_again_once_it_is_renewed(lake: KerberosLake) -> None:
    log_in(lake, "svc", life_seconds=30)
    files = client(lake)
    with pytest.raises(DeniedError, match=r"ticket of svc@TEST.LOCAL in FILE:.*ends or ended at 2\d{3}-.*Z\. Get a"):
        files.status("/data")
    log_in(lake, "svc")
    assert files.status("/data").is_directory


def test_a_keytab_gets_a_ticket_where_the_cache_has_none(
    lake: KerberosLake, proofs: list[bool], clock: FakeClock
) -> None:
    identity = KerberosIdentity("svc@TEST.LOCAL", str(lake.kdc.keytab("svc")))
    files = client(lake, identity=identity)
    files.put("/data/by-keytab", b"1", overwrite=True)
    assert files.status("/data/by-keytab").owner == "alice"
    assert proofs == [False]
    first = ensure_ticket(identity)
    assert first.cache.startswith("MEMORY:")
    assert ensure_ticket(identity) == first
    clock.advance(90_000)
    day_later = ensure_ticket(identity)  # the old one would have ended
    clock.advance(-90_000)
    assert day_later.expires_at >= first.expires_at
    assert not Path(os.environ["KRB5CCNAME"].removeprefix("FILE:")).exists()
    log_in(lake, "svc")
    assert ensure_ticket(identity) == read_ticket()
    assert ensure_ticket(identity, renew=True).cache.startswith("MEMORY:")
    log_in(lake, "bob")  # the cache is another one's
    assert ensure_ticket(identity).principal == "svc@TEST.LOCAL"
    assert ensure_ticket(KerberosIdentity("bob")).principal == "bob@TEST.LOCAL"
    with pytest.raises(DeniedError, match=r"belongs to bob@TEST.LOCAL, not to svc\. Get"):
        ensure_ticket(KerberosIdentity("svc"))


@pytest.mark.parametrize(
    ("principal", "keytab", "kind", "words"),
    [
        ("svc", "/none", ConfigurationError, "Keytab /none does not exist"),
        ("", "svc", ConfigurationError, "without its principal"),
        ("bob", "svc", DeniedError, r"No Kerberos ticket for bob with keytab .*no suitable keys.*klist -k"),
    ],
)
def test_a_keytab_that_will_not_do(
    lake: KerberosLake, principal: str, keytab: str, kind: type[Exception], words: str
) -> None:
    path = keytab if keytab.startswith("/") else str(lake.kdc.keytab(keytab))
    with pytest.raises(kind, match=words):
        client(lake, identity=KerberosIdentity(principal, path)).status("/data")


def test_a_kdc_that_is_away(lake: KerberosLake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = re.sub(r"kdc = \S+", "kdc = 127.0.0.1:1", lake.kdc.krb5_config.read_text())
    (tmp_path / "krb5.conf").write_text(config)
    monkeypatch.setenv("KRB5_CONFIG", str(tmp_path / "krb5.conf"))
    with pytest.raises(
        ServiceError, match=r"No Kerberos ticket for svc@OTHER|No Kerberos ticket for svc.*KDCs in krb5"
    ):
        ensure_ticket(KerberosIdentity("svc", str(lake.kdc.keytab("svc"))), renew=True)


def test_a_host_that_the_principal_does_not_have(lake: KerberosLake) -> None:
    log_in(lake, "svc")
    url = lake.hdfs.webhdfs_url.replace("localhost", "127.0.0.1")
    with pytest.raises(
        DeniedError, match=r"svc@TEST.LOCAL gets no Kerberos ticket for HTTP@127.0.0.1: .*The principal of the server"
    ):
        client(lake, urls=(url,)).status("/data")


def test_simple_authentication_is_not_enough(lake: KerberosLake) -> None:
    simple = WebHdfs(WebHdfsSettings(lake.hdfs.webhdfs_urls, user="hdfs"))
    with pytest.raises(RefusedError, match=r"did not accept the login .* as hdfs\).*to kerberos"):
        simple.status("/data")


@pytest.mark.parametrize(("service", "proxy"), [("mallory", "alice"), ("svcg", "bob")])
def test_a_refused_impersonation_names_both_and_the_setting(lake: KerberosLake, service: str, proxy: str) -> None:
    log_in(lake, service)
    calls: list[Callable[[], object]] = [
        lambda: client(lake, proxy).status("/data"),
        lambda: client(lake, proxy).put("/data/x", b"1"),
    ]
    for call in calls:
        with pytest.raises(PermissionError) as caught:
            call()
        text = str(caught.value)
        assert f"does not allow {service}@TEST.LOCAL to act as {proxy}" in text
        assert f"hadoop.proxyuser.{service}.groups a group of {proxy}" in text


def test_what_a_datanode_refuses_is_told_without_its_token(lake: KerberosLake) -> None:
    log_in(lake, "bob")
    files = client(lake, proxy=None)
    with pytest.raises(
        PermissionError, match=r"HDFS denied access to bob@TEST.LOCAL \(CREATE /bobs at DataNode"
    ) as caught:
        files.put("/bobs", b"1")
    assert "delegation" not in str(caught.value)
    own = client(lake, proxy="bob")
    own.put("/data/bobs", b"1", overwrite=True)
    assert own.status("/data/bobs").owner == "bob"
    assert files.account == "bob@TEST.LOCAL"


def test_a_token_that_a_datanode_does_not_know_is_replaced(lake: KerberosLake, monkeypatch: pytest.MonkeyPatch) -> None:
    """NameNodes forget tokens: another redirection brings another one."""
    log_in(lake, "svc")
    files = client(lake)
    files.put("/data/token", b"1", overwrite=True)
    redirections: list[str] = []
    target = Transport.target

    def stale(self: Transport, *arguments: Any) -> str:
        redirections.append(target(self, *arguments))
        if len(redirections) > 1:
            return redirections[-1]
        transport = client(lake)._transport
        token = re.search(r"delegation=([^&]*)", redirections[0])
        assert token
        transport.json("PUT", "CANCELDELEGATIONTOKEN", "/", {"token": token[1]})
        return redirections[0]

    monkeypatch.setattr(Transport, "target", stale)
    assert files.read("/data/token") == b"1"
    assert len(redirections) == 2


# ------------------------------------------------------------------------------------------ TLS
@pytest.fixture(scope="module")
def tls() -> Iterator[Hdfs]:
    with start_hdfs(https=True) as service:
        yield service


@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
def test_certificates_are_verified(tls: Hdfs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def over(ca: str | None = None, *, verify: str = "true", urls: str = "") -> WebHdfsFileIO:
        properties = {"webhdfs.urls": urls or tls.webhdfs_url, "webhdfs.user": "svc", "webhdfs.tls-verify": verify}
        return WebHdfsFileIO(properties | ({"webhdfs.tls-ca": ca} if ca else {}))

    for files in (over(tls.tls_ca), over(verify="false")):
        for size in (10, BUFFER_BYTES + 10):
            with files.new_output(f"hdfs://lake/data/{size}").create(overwrite=True) as stream:
                stream.write(b"1" * size)
            with files.new_input(f"hdfs://lake/data/{size}").open() as source:
                assert source.read(size + 1) == b"1" * size
    with pytest.raises(ServiceError, match=r"TLS with localhost:\d+ failed: .*certificate.*Set webhdfs.tls-ca"):
        over().new_input("hdfs://lake/data/10").exists()
    resolve = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, *rest: resolve(host.replace("wrong", "localhost"), *rest))
    with pytest.raises(ServiceError, match=r"TLS with wrong:\d+ failed: .*'wrong'.*host name in webhdfs.urls"):
        over(tls.tls_ca, urls=tls.webhdfs_url.replace("localhost", "wrong")).new_input("hdfs://lake/x").exists()
    with pytest.raises(ConfigurationError, match=r"Cannot use webhdfs.tls-ca: /none is not a file"):
        over("/none").new_input("hdfs://lake/data/10").exists()
    (tmp_path / "no.pem").write_text("no certificate")
    with pytest.raises(ConfigurationError, match="is not a file of PEM certificates"):
        over(str(tmp_path / "no.pem")).new_input("hdfs://lake/data/10").exists()

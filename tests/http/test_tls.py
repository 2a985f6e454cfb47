"""TLS with a server whose certificate a made-up authority has signed, and certificates of clients."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from autostream.config.sections.endpoint import Endpoint
from autostream.errors import ConfigurationError, ServiceError
from autostream.http import JsonClient
from tests.support.https import Authority
from tests.support.json_server import Answers, served

pytestmark = pytest.mark.usefixtures("clock")
ANSWERS = Answers({"/a": {"fine": True}})


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def url(authority: Authority) -> Iterator[str]:
    with served(ANSWERS, tls=authority.server_context()) as found:
        yield found


@pytest.fixture(scope="module")
def mutual(authority: Authority) -> Iterator[str]:
    """A server that wants certificates of its clients."""
    with served(ANSWERS, tls=authority.server_context(wants_clients=True)) as found:
        yield found


def ask(url: str, **tls: object) -> object:
    settings = Endpoint.model_validate({"url": url, **{key: str(value) for key, value in tls.items()}})
    return JsonClient("Assets", settings).get("/a")


def test_a_server_of_the_authority(url: str, authority: Authority) -> None:
    assert ask(url, tls_ca=authority.ca) == {"fine": True}


def test_the_authority_of_the_environment(url: str, authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority.ca))
    assert ask(url) == {"fine": True}


def test_a_server_of_another_authority(url: str, tmp_path: Path) -> None:
    for ca in (Authority(tmp_path, "another").ca, ""):
        with pytest.raises(ServiceError, match=r"CERTIFICATE_VERIFY_FAILED.*Set `tls_ca` of Assets"):
            ask(url, tls_ca=ca)


def test_only_the_named_authority_is_trusted(
    url: str, authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The HTTP library would add the certificates that it comes with."""
    monkeypatch.setattr("requests.adapters.DEFAULT_CA_BUNDLE_PATH", str(authority.ca))
    with pytest.raises(ServiceError, match="CERTIFICATE_VERIFY_FAILED"):
        ask(url, tls_ca=Authority(tmp_path, "another").ca)


def test_the_name_of_the_server_is_verified(url: str, authority: Authority) -> None:
    with pytest.raises(ServiceError, match=r"CERTIFICATE_VERIFY_FAILED.*or correct the host name"):
        ask(url.replace("127.0.0.1", "localhost"), tls_ca=authority.ca)


def test_a_client_with_a_certificate(mutual: str, authority: Authority, tmp_path: Path) -> None:
    plain, locked = authority.issue("plain"), authority.issue("locked", key_password="k3y-word")
    both = tmp_path / "both.pem"
    both.write_bytes(plain.certificate.read_bytes() + plain.key.read_bytes())
    ca = authority.ca
    assert ask(mutual, tls_ca=ca, tls_certificate=plain.certificate, tls_key=plain.key) == {"fine": True}
    assert ask(mutual, tls_ca=ca, tls_certificate=both) == {"fine": True}
    named = {"tls_certificate": locked.certificate, "tls_key": locked.key, "tls_key_password": "k3y-word"}
    assert ask(mutual, tls_ca=ca, **named) == {"fine": True}


def test_a_client_without_a_certificate_or_with_another_ones(mutual: str, authority: Authority, tmp_path: Path) -> None:
    foreign = Authority(tmp_path, "another").issue("foreign")
    for given in ({}, {"tls_certificate": foreign.certificate, "tls_key": foreign.key}):
        with pytest.raises(ServiceError, match=r"requires a client certificate.*Correct `tls_certificate`"):
            ask(mutual, tls_ca=authority.ca, **given)


def test_files_that_are_none(url: str, authority: Authority, tmp_path: Path) -> None:
    issued = authority.issue("issued", key_password="k3y-word")
    empty = tmp_path / "empty.pem"
    empty.write_text("")
    for ca in (empty, tmp_path / "missing.pem"):
        with pytest.raises(ConfigurationError, match=rf"Cannot use `tls_ca` of Assets: {ca} is not a file of PEM"):
            ask(url, tls_ca=ca)
    for given in (
        {"tls_certificate": empty},
        {"tls_certificate": issued.certificate, "tls_key": tmp_path / "missing.key"},
        {"tls_certificate": issued.certificate, "tls_key": issued.key, "tls_key_password": "wr0ng-word"},
        {"tls_certificate": issued.certificate, "tls_key": issued.key},
    ):
        with pytest.raises(ConfigurationError, match="are not a certificate and its key in PEM") as raised:
            ask(url, tls_ca=authority.ca, **given)
        assert "wr0ng" not in str(raised.value)


def test_the_wrong_scheme(url: str, authority: Authority) -> None:
    with served(ANSWERS) as plain, pytest.raises(ServiceError, match=r"does not speak TLS .*Write http://"):
        ask(plain.replace("http:", "https:"), tls_ca=authority.ca)

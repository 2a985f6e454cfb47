"""Tickets in a credential cache, and what is said where there is none; with a real KDC in tests/integration."""

import struct
from pathlib import Path

import pytest
import requests

from autostream.errors import ConfigurationError, DeniedError
from autostream.hadoop.kerberos import KerberosIdentity, ensure_ticket, read_ticket
from autostream.hadoop.negotiate import Negotiator

pytest.importorskip("krb5")

FAR_SECONDS = (1 << 31) - 1


@pytest.fixture(autouse=True)
def _no_realm_of_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tmp_path / "krb5.conf"
    config.write_text("[libdefaults]\ndefault_realm = TEST.LOCAL\ndns_lookup_kdc = false\nrdns = false\n")
    monkeypatch.setenv("KRB5_CONFIG", str(config))
    monkeypatch.setenv("KRB5CCNAME", f"FILE:{tmp_path}/default")


def cache(path: Path, *, user: str = "svc", ends: int = FAR_SECONDS, service: str = "krbtgt") -> str:
    """Write a credential cache (version 4 of MIT's format) with one ticket, which no server would take."""

    def text(data: str) -> bytes:
        return struct.pack(">I", len(data)) + data.encode()

    def principal(*parts: str) -> bytes:
        return struct.pack(">II", 1, len(parts)) + text("TEST.LOCAL") + b"".join(map(text, parts))

    owner = principal(user)
    key = struct.pack(">HI", 18, 32) + bytes(32)
    times, flags = struct.pack(">IIII", 1, 1, ends, ends), struct.pack(">BI", 0, 0)
    ticket = owner + principal(service, "TEST.LOCAL") + key + times + flags + struct.pack(">II", 0, 0) + text("T" * 9)
    path.write_bytes(b"\x05\x04\x00\x00" + owner + ticket + text(""))
    return f"FILE:{path}"


def test_the_ticket_of_a_cache_is_taken(tmp_path: Path) -> None:
    name = cache(tmp_path / "svc")
    for principal in ("", "svc", "svc@TEST.LOCAL"):
        identity = KerberosIdentity(principal, cache=name)
        ticket = ensure_ticket(identity, renew=True)  # without a keytab there is no other
        assert (ticket.principal, ticket.cache) == ("svc@TEST.LOCAL", name)
        assert ticket.expires_at.timestamp() == FAR_SECONDS
    cache(tmp_path / "default", user="alice")
    assert read_ticket().principal == "alice@TEST.LOCAL"


@pytest.mark.parametrize(
    ("identity", "says"),
    [
        (KerberosIdentity(cache="FILE:/none"), "No Kerberos ticket in FILE:/none.* Get a ticket with kinit"),
        (KerberosIdentity("bob", cache="alices"), "belongs to alice@TEST.LOCAL, not to bob"),
        (KerberosIdentity("alice@OTHER", cache="alices"), "belongs to alice@TEST.LOCAL, not to alice@OTHER"),
        (KerberosIdentity(cache="old"), "of alice@TEST.LOCAL in .* ends or ended at 1970-01-01T00:01:40Z"),
        (KerberosIdentity(cache="without"), "No Kerberos ticket in FILE:without"),
    ],
)
def test_a_ticket_that_will_not_do(
    identity: KerberosIdentity, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    cache(Path("alices"), user="alice")
    cache(Path("old"), user="alice", ends=100)
    cache(Path("without"), service="HTTP")
    with pytest.raises(DeniedError, match=says):
        ensure_ticket(KerberosIdentity(identity.principal, cache=f"FILE:{identity.cache.removeprefix('FILE:')}"))


@pytest.mark.parametrize(
    ("keytab", "principal", "says"),
    [
        ("none", "svc", "Keytab .*none does not exist"),
        ("there", "", "there is configured without its principal"),
        ("there", "svc", "No Kerberos ticket for svc with keytab"),
    ],
)
def test_a_keytab_that_will_not_do(keytab: str, principal: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "there").write_bytes(b"\x05\x02")
    identity = KerberosIdentity(principal, str(tmp_path / keytab), cache=f"FILE:{tmp_path}/none")
    with pytest.raises((ConfigurationError, DeniedError), match=says):
        ensure_ticket(identity)


def test_a_service_for_which_there_is_no_ticket_is_named(tmp_path: Path) -> None:
    negotiator = Negotiator(KerberosIdentity(cache=cache(tmp_path / "svc")))
    with pytest.raises(DeniedError, match=r"svc@TEST.LOCAL gets no Kerberos ticket for HTTP@nn1: "):
        negotiator.prove("http://nn1:9870")
    assert negotiator.principal == "svc@TEST.LOCAL"


def test_a_cookie_belongs_to_the_server_that_gave_it() -> None:
    negotiator, answer = Negotiator(KerberosIdentity()), requests.Response()
    cookie = 'hadoop.auth="u=svc&s=x"'
    for header, kept in ((f"{cookie}; Path=/", {"Cookie": cookie}), ("hadoop.auth=", {})):
        answer.headers["Set-Cookie"] = header
        negotiator.remember("http://nn1", answer)
        assert negotiator.headers("http://nn1") == kept
        assert negotiator.headers("http://nn1:1") == {}

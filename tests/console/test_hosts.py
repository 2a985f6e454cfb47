import pytest

from autostream.console.hosts import is_loopback, is_own_host


def own(host: str, *, server: str = "127.0.0.1") -> bool:
    return is_own_host(host, public_hosts={"console.example.org", "10.9.9.9"}, server=(server, 8090))


@pytest.mark.parametrize(
    ("host", "meant"),
    [
        ("localhost", True),
        ("LOCALHOST.", True),
        ("127.8.9.10", True),
        ("[::1]", True),
        ("Console.Example.org", True),
        ("10.9.9.9", True),
        ("evil.example.org", False),
        ("localhost.evil.example.org", False),
        ("console.example.org.evil.net", False),
        ("10.1.2.3", False),
        ("", False),
    ],
)
def test_requests_for_other_hosts_are_not_meant_for_this_console(host: str, meant: bool) -> None:
    assert own(host) == meant


def test_an_address_of_this_machine_is_its_own_where_requests_come_in_by_it() -> None:
    assert own("10.1.2.3", server="10.1.2.3")
    assert not own("10.1.2.4", server="10.1.2.3")
    assert not own("evil.example.org", server="evil.example.org")


def test_this_machine_alone_is_the_loopback() -> None:
    assert [host for host in ("127.0.0.1", "::1", "localhost", "10.1.2.3", "0.0.0.0", "") if is_loopback(host)] == [
        "127.0.0.1",
        "::1",
        "localhost",
    ]

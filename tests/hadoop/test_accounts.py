"""Which account acts for a table, and what is said where it may not."""

import pytest

from autostream.errors import ConfigurationError
from autostream.hadoop.accounts import PROXY_USER, acting_account, refused_impersonation, short_name, valid_account


@pytest.mark.parametrize(
    ("table", "namespace", "connection", "expected"),
    [
        ({}, None, None, None),
        ({}, {}, {PROXY_USER: "c"}, "c"),
        ({}, {PROXY_USER: "n"}, {PROXY_USER: "c"}, "n"),
        ({PROXY_USER: "t"}, {PROXY_USER: "n"}, {PROXY_USER: "c"}, "t"),
        ({PROXY_USER: " "}, {PROXY_USER: ""}, {PROXY_USER: " etl "}, "etl"),
    ],
)
def test_the_nearest_one_counts(
    table: dict[str, str], namespace: dict[str, str] | None, connection: dict[str, str] | None, expected: str | None
) -> None:
    assert acting_account(table, namespace, connection) == expected


@pytest.mark.parametrize("name", ["alice", "etl_orders", "a.b-c", "svc$", "7up", "_x", "a" * 255])
def test_names_of_accounts(name: str) -> None:
    assert valid_account(name, where="here") == name


@pytest.mark.parametrize(
    "name", ["", "a&doas=hdfs", "a b", "alice@REALM", "svc/host", "-x", "../x", "a%26b", "é", "a\n", "$", "a" * 257]
)
def test_what_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match=r"Invalid name of an account .* \(here\)"):
        valid_account(name, where="here")


@pytest.mark.parametrize(
    ("owner", "arguments"),
    [("table", ({PROXY_USER: "a b"},)), ("namespace", ({}, {PROXY_USER: "a b"}))],
)
def test_whose_property_it_was(owner: str, arguments: tuple[dict[str, str], ...]) -> None:
    with pytest.raises(ConfigurationError, match=f"'a b' .property autostream.proxy-user of the {owner}"):
        acting_account(*arguments)


def test_a_refusal_names_both_accounts_and_the_setting() -> None:
    assert [short_name(p) for p in ("svc/host@R", "svc@R", "svc")] == ["svc"] * 3
    text = refused_impersonation(
        service="svc/host@REALM", proxy="alice", server="HDFS at http://nn:9870", operation="OPEN /x", answer="No. "
    )
    assert text.startswith("HDFS at http://nn:9870 does not allow svc/host@REALM to act as alice (OPEN /x): No. In its")
    assert "hadoop.proxyuser.svc.hosts" in text
    assert "hadoop.proxyuser.svc.groups a group of alice" in text

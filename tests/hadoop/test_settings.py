"""How HDFS is reached, by the properties of catalogs and tables."""

import pytest

from autostream.errors import ConfigurationError
from autostream.hadoop.kerberos import KerberosIdentity
from autostream.hadoop.metastore import MetastoreSettings
from autostream.hadoop.settings import Location, parse_location, served, settings_for


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("hdfs://lake/w/t", Location("hdfs", "lake", "/w/t")),
        ("HDFS://nn:8020/w", Location("hdfs", "nn:8020", "/w")),
        ("hdfs://lake", Location("hdfs", "lake", "/")),
        ("webhdfs://nn:9870/d=%2F a?b#c", Location("webhdfs", "nn:9870", "/d=%2F a?b#c")),
        ("hdfs:///w", Location("hdfs", "", "/w")),
        ("hdfs:/w", Location("hdfs", "", "/w")),
        ("file:/tmp/x", Location("file", "", "/tmp/x")),
        ("/w/a:b", Location("", "", "/w/a:b")),
        ("relative", Location("", "", "relative")),
    ],
)
def test_locations_are_taken_apart(text: str, expected: Location) -> None:
    assert parse_location(text) == expected


def test_what_is_served() -> None:
    for text in ("hdfs://h/x", "webhdfs://h/x", "swebhdfs://h/x", "hdfs:///x"):
        assert served(parse_location(text), {})
    for text in ("file:/x", "s3://b/x", "/x", "x"):
        assert not served(parse_location(text), {})
    assert served(parse_location("/x"), {"webhdfs.urls": "http://nn"})
    assert not served(parse_location("x"), {"webhdfs.urls": "http://nn"})


@pytest.mark.parametrize(
    ("location", "properties", "expected"),
    [
        ("hdfs://nn1/x", {}, ("http://nn1:9870",)),
        ("hdfs://nn1:8020/x", {}, ("http://nn1:9870",)),
        ("webhdfs://nn1/x", {}, ("http://nn1:9870",)),
        ("webhdfs://nn1:50070/x", {}, ("http://nn1:50070",)),
        ("swebhdfs://nn1/x", {}, ("https://nn1:9871",)),
        ("hdfs://nn1/x", {"webhdfs.urls": " http://a:1/ , https://b "}, ("http://a:1", "https://b")),
        ("hdfs://ns/x", {"webhdfs.urls": "http://a", "webhdfs.urls.ns": "http://b"}, ("http://b",)),
        ("hdfs://ns:8020/x", {"webhdfs.urls": "http://a", "webhdfs.urls.ns": "http://b"}, ("http://b",)),
        ("hdfs://other/x", {"webhdfs.urls": "http://a", "webhdfs.urls.ns": "http://b"}, ("http://a",)),
        ("/x", {"webhdfs.urls": "http://[::1]:9870/webhdfs/v1"}, ("http://[::1]:9870",)),
        ("/x", {"webhdfs.urls": "https://knox:8443/gateway/lake"}, ("https://knox:8443/gateway/lake",)),
    ],
)
def test_addresses(location: str, properties: dict[str, str], expected: tuple[str, ...]) -> None:
    assert settings_for(properties, parse_location(location)).urls == expected


def test_defaults_and_all_that_can_be_set(monkeypatch: pytest.MonkeyPatch) -> None:
    place = parse_location("hdfs://nn/x")
    default = settings_for({}, place)
    assert default.user
    assert (default.proxy_user, default.kerberos, default.tls_verify, default.retries) == (None, None, True, 6)
    properties = {
        "webhdfs.user": "svc",
        "autostream.proxy-user": "alice",
        "webhdfs.tls-verify": "False",
        "webhdfs.tls-ca": "/ca.pem",
        "webhdfs.connect-timeout-seconds": "2.5",
        "webhdfs.read-timeout-seconds": "7",
        "webhdfs.retries": "0",
    }
    given = settings_for(properties, place)
    assert (given.user, given.proxy_user, given.tls_verify, given.tls_ca) == ("svc", "alice", False, "/ca.pem")
    assert (given.connect_timeout_seconds, given.read_timeout_seconds, given.retries) == (2.5, 7.0, 0)
    kerberos = {"webhdfs.authentication": "Kerberos", "webhdfs.principal": "svc@R", "webhdfs.keytab": "/k"}
    given = settings_for(kerberos, place)
    assert given.kerberos == KerberosIdentity("svc@R", "/k")
    assert given.user == ""


@pytest.mark.parametrize(
    ("location", "properties", "words"),
    [
        ("hdfs:///x", {}, "webhdfs.urls is not set"),
        ("hdfs://user@nn/x", {}, "is not a host"),
        ("hdfs://nn/x", {"webhdfs.urls": "nn1:9870"}, "Invalid URL 'nn1:9870' in webhdfs.urls"),
        ("hdfs://nn/x", {"webhdfs.urls": "http://nn:port"}, "Invalid URL"),
        ("hdfs://nn/x", {"webhdfs.urls": "http://nn?user.name=hdfs"}, "Invalid URL"),
        ("hdfs://nn/x", {"webhdfs.urls.nn": "http://u:secret@nn"}, r"Invalid URL 'http://\*+@nn' in webhdfs.urls.nn"),
        (
            "hdfs://nn/x",
            {"webhdfs.authentication": "ldap"},
            "webhdfs.authentication is 'ldap'. It must be simple or kerberos",
        ),
        ("hdfs://nn/x", {"webhdfs.user": "a&doas=b"}, "property webhdfs.user"),
        ("hdfs://nn/x", {"autostream.proxy-user": "a&b"}, "Invalid name of an account"),
        (
            "hdfs://nn/x",
            {"webhdfs.tls-verify": "no"},
            r"^Location hdfs://nn: property webhdfs\.tls-verify is 'no'. It must be true or",
        ),
        (
            "hdfs://nn/x",
            {"webhdfs.read-timeout-seconds": "0"},
            "seconds is '0'. It must be a number above 0, at most 3,600",
        ),
        ("hdfs://nn/x", {"webhdfs.read-timeout-seconds": "nan"}, "webhdfs.read-timeout-seconds is 'nan'"),
        ("hdfs://nn/x", {"webhdfs.connect-timeout-seconds": "fast"}, "webhdfs.connect-timeout-seconds is 'fast'"),
        ("hdfs://nn/x", {"webhdfs.retries": "-1"}, "webhdfs.retries is '-1'. It must be a whole number from 0 to 100"),
    ],
)
def test_what_is_wrong_is_named(location: str, properties: dict[str, str], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words) as caught:
        settings_for(properties, parse_location(location))
    assert "secret" not in str(caught.value)


def test_how_a_metastore_is_reached() -> None:
    properties = {"uri": "thrift://a:1, thrift://b", "ugi": "svc:etl,ops", "hive.client-timeout-seconds": "2.5"}
    given = MetastoreSettings.from_properties({**properties, "hive.connect-timeout-seconds": ""})
    assert given.uris == ("thrift://a:1", "thrift://b")
    assert (given.user, given.groups, given.kerberos) == ("svc", ("etl", "ops"), False)
    assert (given.timeout_seconds, given.connect_timeout_seconds) == (2.5, 10.0)


@pytest.mark.parametrize(
    ("key", "value", "allowed"),
    [
        ("hive.client-timeout-seconds", "0", "a number above 0"),
        ("hive.connect-timeout-seconds", "soon", "a number above 0"),
        ("hive.kerberos-authentication", "yes", "true or false"),
    ],
)
def test_what_is_wrong_of_a_metastore_is_named(key: str, value: str, allowed: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        MetastoreSettings.from_properties({"uri": "thrift://a", key: value}, owner="Catalog lake")
    assert str(raised.value) == f"Catalog lake: property {key} is {value!r}. It must be {allowed}."

"""Secrets are hidden, in whatever shape they come, and what is none can be read."""

import json
import logging
from typing import Any

import pytest

from autostream.errors import AutostreamError, ServiceError
from autostream.masking import (
    HARMLESS,
    MASK,
    MaskingFormatter,
    cuts_password,
    is_secret,
    known,
    learn,
    learn_from,
    mask,
    mask_all,
    mask_property,
    secrets_in,
)

SECRET = "Zq7:s3cr/et@%41&x"
"""A password with all that means something in URLs."""

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJl"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("http://ops:pw@host:8081/jobs", f"http://ops:{MASK}@host:8081/jobs"),
        ("http://:pw@host", f"http://:{MASK}@host"),
        ("http://ops:p:w@host", f"http://ops:{MASK}@host"),
        ("http://ops:p@w@host", f"http://ops:{MASK}@host"),
        ("http://ops:p/w@host", f"http://ops:{MASK}@host"),
        ("http://ops:p%40w@host", f"http://ops:{MASK}@host"),
        ("http://ops:1234@host", f"http://ops:{MASK}@host"),
        ("https://ghp_token@host/x", f"https://{MASK}@host/x"),
        ("tried http://a:one@x/,https://b:two@y/ and", f"tried http://a:{MASK}@x/,https://b:{MASK}@y/ and"),
        ("'postgresql+psycopg2://me:pw@host/db'", f"'postgresql+psycopg2://me:{MASK}@host/db'"),
        ("postgresql://host/db?password=a/b@c&sslmode=on", f"postgresql://host/db?password={MASK}&sslmode=on"),
        ("postgresql://host/db?sslpassword=pw", f"postgresql://host/db?sslpassword={MASK}"),
        ("s3://AKIA:pw@bucket/path", f"s3://AKIA:{MASK}@bucket/path"),
        ("https://h/f?sv=1&sig=pw%3D&se=2", f"https://h/f?sv=1&sig={MASK}&se=2"),
        ("https://h/f?X-Amz-Signature=abc&X-Amz-Security-Token=pw", f"https://h/f?X-Amz-Signature={MASK}&"
         f"X-Amz-Security-Token={MASK}"),
        ("http://nn:9870/webhdfs/v1/a?op=OPEN&delegation=pw", f"http://nn:9870/webhdfs/v1/a?op=OPEN&delegation={MASK}"),
        ("host=h user=me password=pw dbname=d", f"host=h user=me password={MASK} dbname=d"),
        ("password='a b' user=me", f"password='{MASK}' user=me"),
        ("AccountName=x;AccountKey=pw==;", f"AccountName=x;AccountKey={MASK};"),
        ("org.x.Module required password=\"pw\";", f"org.x.Module required password=\"{MASK}\";"),
        ('{"client_secret": "pw", "scope": "x"}', f'{{"client_secret": "{MASK}", "scope": "x"}}'),
        ("{'s3.secret-access-key': 'pw', 'a': 'b'}", f"{{'s3.secret-access-key': '{MASK}', 'a': 'b'}}"),
        ('{\\"token\\": \\"pw\\"}', f'{{\\"token\\": \\"{MASK}\\"}}'),
        ("x-auth-token: pw", f"x-auth-token: {MASK}"),
        ("s3.secret-access-key: pw\n", f"s3.secret-access-key: {MASK}\n"),
        ("Authorization: Basic b3BzOnB3", f"Authorization: Basic {MASK}"),
        ("{'Authorization': 'Bearer pw'}", f"{{'Authorization': '{MASK}'}}"),
        ("sent bearer a1b2c3d4e5", f"sent bearer {MASK}"),
        ("Negotiate YIIZabcDEF==", f"Negotiate {MASK}"),
        ("Set-Cookie: hadoop.auth=pw; Path=/", f"Set-Cookie: {MASK}"),
        (f"refused {JWT}.", f"refused {MASK}."),
        ("-----BEGIN RSA PRIVATE KEY-----\npw\npw\n-----END", f"-----BEGIN RSA PRIVATE KEY-----{MASK}-----END"),
        ("Auth(auth_type=0, scheme='digest', auth='ops:pw')", f"Auth(auth_type=0, scheme='digest', auth='{MASK}')"),
    ],
)  # fmt: skip
def test_what_looks_like_a_secret_is_hidden(text: str, shown: str) -> None:
    assert mask(text) == shown
    assert mask(shown) == shown


@pytest.mark.parametrize(
    "text",
    [
        "http://host:8181/a@b",
        "http://[::1]:8081/a@b",
        "hdfs://nn1:8020,nn2:8020/warehouse/a@b",
        "thrift://h1:9083,thrift://h2:9083",
        "hdfs://me@nameservice1/warehouse",
        "abfss://container@account.dfs.core.windows.net/a",
        "file:///tmp/token=abc/part-0.parquet",
        "postgresql+psycopg2://autostream@localhost/autostream",
        "Basic authentication and bearer tokens are not supported. Negotiate first.",
        "invalid_token: The token has expired",
        "Set zookeeper.password, or AUTOSTREAM_ZOOKEEPER__PASSWORD, to the password: it is missing.",
        "--where \"password = 'x'\" names password, which is not a partition column",
        "Table property autostream.compaction.min-input-files is 'many': it must be at least 1.",
        "/etc/security/keytabs/svc.keytab",
        "svc/host@EXAMPLE.ORG",
    ],
)
def test_what_is_no_secret_can_be_read(text: str) -> None:
    assert mask(text) == text


@pytest.mark.parametrize(
    "url", [f"http://ops:{SECRET}@h:1", f"postgresql://u:{SECRET}@h/d", f"a://x:y@h,http://ops:{SECRET}@h"]
)
def test_what_is_known_is_hidden_in_all_its_forms(url: str) -> None:
    learn(*secrets_in(url))
    for form in (SECRET, repr(SECRET), json.dumps(SECRET), "Zq7%3As3cr%2Fet%40%2541%26x", "Zq7:s3cr/et@A&x"):
        assert "s3cr" not in mask(f"somebody said {form}!")


def test_words_that_happen_to_be_a_password_do_not_make_logs_unreadable() -> None:
    learn("autostream", "abc", "", "lake", "kitten")
    assert mask("autostream.lake: abc, kittens") == "autostream.lake: abc, kittens"
    assert mask("kitten") == MASK
    learn_from({"uri": "postgresql://operator:operator@h/d"})
    assert mask("operator") == "operator"


def test_the_secrets_among_a_catalogs_properties_are_known() -> None:
    properties = {
        "uri": "http://u:fromuri1@h?token=fromquery1",
        "credential": "client:oauthsecret1",
        "s3.secret-access-key": "keyofs3",
        "header.X-Vendor": "headervalue1",
        "auth": {"type": "oauth2", "oauth2": {"client_secret": "nested01"}},
        "warehouse": "s3://bucket/warehouse",
        "hive.credential-cache": "/tmp/krb5cc_1000",
    }
    learn_from(properties)
    for secret in ("fromuri1", "fromquery1", "oauthsecret1", "keyofs3", "headervalue1", "nested01"):
        assert mask(f"x {secret} y") == f"x {MASK} y"
    assert "/tmp/krb5cc_1000" not in known()
    assert "s3://bucket/warehouse" not in known()


def test_only_properties_that_are_known_to_be_harmless_are_shown() -> None:
    assert {key for key in HARMLESS if is_secret(key)} == {"hive.credential-cache", "webhdfs.credential-cache"}
    shown = {
        ("type", "sql"): "sql",
        ("uri", "postgresql://me:pw@h/d?password=pw"): f"postgresql://me:{MASK}@h/d?password={MASK}",
        ("warehouse", "s3://A:B@bucket"): f"s3://A:{MASK}@bucket",
        ("hive.keytab", "/etc/svc.keytab"): "/etc/svc.keytab",
        ("vendor.pin", "1234"): MASK,
        ("header.X-Iceberg-Access-Delegation", "vended-credentials"): MASK,
        ("vendor.fast", "true"): "true",
        ("vendor.empty", ""): "",
    }
    assert {(key, value): mask_property(key, value) for key, value in shown} == shown


def test_documents_keep_their_form() -> None:
    document: dict[str, Any] = {
        "n": 1, "none": None, "url": "http://a:pw@b", "list": [{"password": "pw"}, True], "token": "", "of": {1: "x"},
    }  # fmt: skip
    assert mask_all(document) == document | {"url": f"http://a:{MASK}@b", "list": [{"password": MASK}, True]}


def test_errors_hide_secrets_when_they_are_made_and_logs_when_they_are_written() -> None:
    learn("hunter-2-hunter")
    error = ServiceError("Flink at http://ops:pw@h says hunter-2-hunter.")
    assert str(error) == f"Flink at http://ops:{MASK}@h says {MASK}."
    assert str(AutostreamError()) == ""
    formatter = MaskingFormatter(logging.Formatter("%(message)s"))
    try:
        raise ValueError("hunter-2-hunter")
    except ValueError as cause:
        record = logging.LogRecord(
            "x", logging.ERROR, "f", 1, "password=%s", ("pw",), (type(cause), cause, cause.__traceback__)
        )
    written = formatter.format(record)
    assert f"password={MASK}\n" in written
    assert f"ValueError: {MASK}" in written


@pytest.mark.parametrize(
    ("url", "cut"),
    [
        ("http://joe:pa@ss@h/", True),
        ("http://joe:pa@ss/w@h:1/", True),
        ("http://joe:pa/ss@h", True),
        ("http://joe:pa?ss@h", True),
        ("http://joe:pa%40ss@h:1/x?y=a@b", False),
        ("http://h:8181/a@b", False),
        ("http://h/a:b@c", False),
        ("http://joe@h/a", False),
        ("http://[::1]:80/", False),
    ],
)
def test_passwords_that_clients_would_cut(url: str, cut: bool) -> None:
    assert cuts_password(url) is cut


def test_a_password_without_a_scheme_is_known() -> None:
    assert set(secrets_in("joe:pa55@h:1/lake")) == {"pa55"}
    assert not set(secrets_in("http://h/x@y")) | set(secrets_in('{"job": "x@y"}')) | set(secrets_in("h:9083"))

"""The clusters of Flink: in the file, in the environment, and by the keys that there were before."""

import logging
from pathlib import Path
from typing import Any

import pytest

from autostream.config import FlinkClusterSettings, Settings, load_settings
from autostream.errors import ConfigurationError

CLUSTER = '[[flink.clusters]]\nname = "eu-1"\nurl = "http://eu:8081/"\n'
BOTH = CLUSTER + '[[flink.clusters]]\nname = "us"\nurl = ["http://us-1:8081", "http://us-2:8081"]\n'


def load(directory: Path, text: str = "", **environ: str) -> Settings:
    (directory / "autostream.toml").write_text(text)
    return load_settings(environ=environ, directory=directory)


def addresses(cluster: FlinkClusterSettings) -> list[str]:
    return [address.url for address in cluster.addresses]


def test_clusters_in_the_file(tmp_path: Path) -> None:
    eu, us = load(tmp_path, BOTH).flink.clusters
    assert (eu.name, addresses(eu)) == ("eu-1", ["http://eu:8081"])
    assert (us.name, addresses(us)) == ("us", ["http://us-1:8081", "http://us-2:8081"])


def test_a_key_of_one_cluster_in_the_environment(tmp_path: Path) -> None:
    settings = load(tmp_path, BOTH, AUTOSTREAM_FLINK__CLUSTERS__EU_1__TOKEN="t0ken-of-eu")
    eu, us = settings.flink.clusters
    assert (eu.token.get_secret_value(), us.token.get_secret_value()) == ("t0ken-of-eu", "")
    assert settings.origin("flink", "clusters") == (
        f"file {tmp_path / 'autostream.toml'}, environment AUTOSTREAM_FLINK__CLUSTERS__EU_1__TOKEN"
    )


def test_a_cluster_in_the_environment_alone(tmp_path: Path) -> None:
    (cluster,) = load(
        tmp_path,
        AUTOSTREAM_FLINK__CLUSTERS__PROD__URL="http://ops:a,b@jm-1:8081, http://jm-2:8081",
        AUTOSTREAM_FLINK__CLUSTERS__PROD__TLS_CA="",
        AUTOSTREAM_FLINK__CLUSTERS__OTHER__URL="",
    ).flink.clusters
    assert (cluster.name, addresses(cluster)) == ("prod", ["http://jm-1:8081", "http://jm-2:8081"])
    assert (cluster.addresses[0].username, cluster.addresses[0].password) == ("ops", "a,b")


def test_clusters_as_json_and_a_key_of_one(tmp_path: Path) -> None:
    (cluster,) = load(
        tmp_path,
        AUTOSTREAM_FLINK__CLUSTERS='[{"name": "prod", "url": "http://jm:8081"}]',
        AUTOSTREAM_FLINK__CLUSTERS__PROD__USERNAME="ops",
    ).flink.clusters
    assert (cluster.name, cluster.username) == ("prod", "ops")


@pytest.mark.parametrize("password", ["pw", "a:b@c/d?e#f%g ü", ""])
def test_an_account_in_an_address(password: str) -> None:
    from urllib.parse import quote

    cluster = FlinkClusterSettings(name="x", url=(f"https://ops:{quote(password, safe='')}@host:8081/flink/",))
    (address,) = cluster.addresses
    assert (address.url, address.username, address.password) == ("https://host:8081/flink", "ops", password)


@pytest.mark.parametrize(
    ("text", "environ", "says"),
    [
        (CLUSTER * 2, {}, r"`flink\.clusters` \(file .*\) cannot be .*: 2 clusters have the name eu-1: give each"),
        (
            '[[flink.clusters]]\nurl = "http://a"\n',
            {},
            r"`flink\.clusters` \(.*\) needs the key `name`, which .* does not have",
        ),
        ('[[flink.clusters]]\nname = "a"\n', {}, r"needs the key `url`, which {'name': 'a'} does not have"),
        ('[[flink.clusters]]\nname = "a/b"\nurl = "http://a"\n', {}, r"`name` of entry 1 of `flink\.clusters` .*'a/b'"),
        (CLUSTER + 'tokn = "x"\n', {}, r"Entry 1 of .* has an unknown key `tokn`\..* Did you mean token\?"),
        (
            CLUSTER + 'token = "x"\nusername = "y"\n',
            {},
            r"Entry 1 of .* has a username and a token: remove one of them\.",
        ),
        (CLUSTER + 'password = "x"\n', {}, r"has a password without a username"),
        (CLUSTER + 'tls_key = "x"\n', {}, r"has a tls_key without a tls_certificate"),
        (CLUSTER + 'token = "ü"\n', {}, r"has a token with characters that are not allowed in HTTP"),
        ("[flink]\nclusters = [3]\n", {}, r"Entry 1 of `flink\.clusters` .* cannot be '3'"),
        (None, {"AUTOSTREAM_FLINK__CLUSTERS": "http://a"}, r"cannot be 'http://a': is not a JSON list"),
        (
            None,
            {"AUTOSTREAM_FLINK__CLUSTERS__A__URLS": "http://a"},
            r"Unknown key `urls` of `flink\.clusters` .*`url`\?",
        ),
        (None, {"AUTOSTREAM_FLINK__CLUSTERS__A": "http://a"}, r"CLUSTERS__A must end in a name and a key"),
        (None, {"AUTOSTREAM_ENGINE__THREADS__A__B": "1"}, r"`engine\.threads` is a single value and has no keys"),
        (None, {"AUTOSTREAM_FLINK__CLUSTERS__A__TOKEN": "x"}, r"needs the key `url`, which .*'name': 'a'.* does not"),
    ],
)
def test_a_mistake_is_named_with_its_place(
    tmp_path: Path, text: str | None, environ: dict[str, str], says: str
) -> None:
    with pytest.raises(ConfigurationError, match=says):
        load(tmp_path, text or "", **environ)


@pytest.mark.parametrize(
    "url",
    [
        "http://ops:s3/cret@host:8081",
        "http://ops:s3?cret@host:8081",
        "http://ops:s3#cret@host:8081",
        "http://host:s3cret",
        "ftp://ops:s3cret@host",
        "http://host:8081/?x=1",
        "jobmanager:8081",
        "http://",
    ],
)
def test_what_is_no_address_is_refused_without_its_password(tmp_path: Path, url: str) -> None:
    for environ in ({"AUTOSTREAM_FLINK__CLUSTERS__A__URL": url}, {"AUTOSTREAM_WATERMARK__FLINK_URLS": url}):
        with pytest.raises(ConfigurationError, match="is not the address of a server") as raised:
            load(tmp_path, **environ)
        assert "cret" not in str(raised.value) or url == "http://host:s3cret"


def test_a_secret_of_an_entry_is_not_shown_where_another_key_is_wrong(tmp_path: Path) -> None:
    text = '[[flink.clusters]]\nname = "a"\ntoken = "t0ken-of-ours"\nusername = "ops"\npassword = "w0rd"\n'
    with pytest.raises(ConfigurationError, match="needs the key `url`") as raised:
        load(tmp_path, text)
    assert "t0ken" not in str(raised.value)
    assert "w0rd" not in str(raised.value)
    shown = [value.value for value in load(tmp_path, CLUSTER + 'token = "t0ken"\n').values() if value.key == "clusters"]
    assert shown[0][0]["token"] == "********"


# ------------------------------------------------------------------------------------- the keys of before


@pytest.mark.parametrize(
    ("text", "environ", "names", "clusters"),
    [
        ('[watermark]\nflink_urls = ["http://jm:8081"]\n', {}, ("jm-8081",), {"jm-8081": "http://jm:8081"}),
        ("", {"AUTOSTREAM_WATERMARK__FLINK_URLS": "http://a,http://b/x"}, ("a", "b-x"), {"a": "http://a", "b-x": "http://b/x"}),
        (CLUSTER, {"AUTOSTREAM_WATERMARK__FLINK_URLS": "http://eu:8081/"}, ("eu-1",), {"eu-1": "http://eu:8081"}),
        (CLUSTER, {"AUTOSTREAM_WATERMARK__FLINK_URLS": "http://x"}, ("x",), {"eu-1": "http://eu:8081", "x": "http://x"}),
        ("", {"AUTOSTREAM_WATERMARK__FLINK_URLS": ""}, (), {}),
    ],
)  # fmt: skip
def test_lists_of_urls_are_read_as_clusters(
    tmp_path: Path, text: str, environ: dict[str, str], names: tuple[str, ...], clusters: dict[str, str]
) -> None:
    settings = load(tmp_path, text, **environ)
    assert settings.watermark.flink_clusters == names
    assert {cluster.name: addresses(cluster)[0] for cluster in settings.flink.clusters} == clusters
    assert settings.janitor.flink_clusters == ()


def test_what_to_write_instead_is_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    environ: dict[str, Any] = {
        "AUTOSTREAM_WATERMARK__FLINK_URLS": "http://ops:s3cret-word@once:8081",
        "AUTOSTREAM_JANITOR__FLINK_URLS": "http://ops:s3cret-word@once:8081,http://once:8082",
    }
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            settings = load(tmp_path, **environ)
    assert [cluster.name for cluster in settings.flink.clusters] == ["once-8081", "once-8082"]
    assert settings.origin("flink", "clusters") == (
        "environment AUTOSTREAM_JANITOR__FLINK_URLS, by `janitor.flink_urls`"
    )
    assert [record.getMessage() for record in caplog.records] == list(settings.warnings)
    assert settings.warnings[1] == (
        "`watermark.flink_urls` (environment AUTOSTREAM_WATERMARK__FLINK_URLS) is deprecated: clusters now have names. "
        'Write [[flink.clusters]] name = "once-8081" url = "http://ops:********@once:8081" and, in [watermark], '
        'flink_clusters = ["once-8081"] instead. Without `flink_clusters`, all clusters are used.'
    )


def test_the_old_keys_are_not_suggested(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as raised:
        load(tmp_path, AUTOSTREAM_WATERMARK__FLINK_URL="http://a")
    assert "flink_urls" not in str(raised.value)

"""HDFS from a connection of the type of Airflow's provider, by our own client."""

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk import Connection

from autostream.errors import ConfigurationError
from autostream_airflow.hooks.webhdfs import WebHdfsHook, webhdfs_properties

if TYPE_CHECKING:
    from tests.support.hadoop import Hdfs


def connection(*, extra: dict[str, Any] | None = None, **fields: Any) -> Connection:
    return Connection(conn_id="hdfs", conn_type="webhdfs", extra=json.dumps(extra or {}), **fields)


@pytest.mark.parametrize(
    ("made", "meant"),
    [
        (connection(host="nn1"), {"webhdfs.urls": "http://nn1:9870"}),
        (
            connection(host="nn1, nn2:9871", port=50070, login="svc"),
            {"webhdfs.urls": "http://nn1:50070,http://nn2:9871", "webhdfs.user": "svc"},
        ),
        (
            connection(host="httpfs", port=14000, schema="gateway/hdfs"),
            {"webhdfs.urls": "http://httpfs:14000/gateway/hdfs"},
        ),
        (connection(host="https://knox:8443/a/"), {"webhdfs.urls": "https://knox:8443/a"}),
        # The provider's extras, whose certificates are verified here unless they say otherwise.
        (connection(host="nn1", extra={"use_ssl": "True"}), {"webhdfs.urls": "https://nn1:9871"}),
        (connection(host="nn1", extra={"use_ssl": "False"}), {"webhdfs.urls": "http://nn1:9870"}),
        (
            connection(host="nn1", extra={"use_ssl": True, "verify": "/ca.pem"}),
            {"webhdfs.urls": "https://nn1:9871", "webhdfs.tls-ca": "/ca.pem"},
        ),
        (
            connection(host="nn1", extra={"use_ssl": True, "verify": False}),
            {"webhdfs.urls": "https://nn1:9871", "webhdfs.tls-verify": "false"},
        ),
        (
            connection(host="nn1", extra={"proxy_user": "team", "retries": 2, "webhdfs.urls.lake": "http://nn9:9870"}),
            {
                "webhdfs.urls": "http://nn1:9870",
                "webhdfs.urls.lake": "http://nn9:9870",
                "autostream.proxy-user": "team",
                "webhdfs.retries": "2",
            },
        ),
    ],
)
def test_what_a_connection_means(made: Connection, meant: dict[str, str]) -> None:
    assert webhdfs_properties(made, cache=None) == meant


def test_under_kerberos_the_renewed_ticket_counts_unless_the_connection_says_otherwise() -> None:
    assert webhdfs_properties(connection(host="nn"), cache="/cc") == {
        "webhdfs.urls": "http://nn:9870",
        "webhdfs.authentication": "kerberos",
        "webhdfs.credential-cache": "/cc",
    }
    own = webhdfs_properties(connection(host="nn", extra={"credential_cache": "/own", "proxy_user": "t"}), cache="/cc")
    assert (own["webhdfs.credential-cache"], own["autostream.proxy-user"]) == ("/own", "t")
    simple = webhdfs_properties(connection(host="nn", extra={"authentication": "simple"}), cache="/cc")
    assert simple["webhdfs.authentication"] == "simple"


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (connection(), "has no host"),
        (
            connection(host="nn", password="s3cret"),
            "'hdfs' has password: but WebHDFS logs in with an account name or with Kerberos",
        ),
        (connection(host="nn", extra={"cert": "/c", "headers": {"a": "b"}}), "has cert, headers"),
        (connection(host="nn", extra={"proxyuser": "team"}), "Did you mean proxy_user"),
        (connection(host="nn", extra={"use_ssl": "yes"}), "'hdfs': extra use_ssl is 'yes'. It must be true or false"),
    ],
)
def test_what_is_refused(made: Connection, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message) as raised:
        webhdfs_properties(made, cache=None)
    assert "s3cret" not in str(raised.value)


@pytest.mark.integration
@pytest.mark.xdist_group("hadoop")
class TestTheRealThing:
    def test_files_belong_to_the_proxy_user(self, hdfs: "Hdfs", connect: Callable[..., None]) -> None:
        host, _, port = hdfs.webhdfs_url.removeprefix("http://").rpartition(":")
        connect("h", conn_type="webhdfs", host=host, port=int(port), login="svc", extra={"proxy_user": "alice"})
        hook = WebHdfsHook("h")
        assert hook.test_connection() == (
            True,
            f"reachable at {hdfs.webhdfs_url} as svc, acting as alice; / belongs to hdfs",
        )
        client = hook.get_conn()
        client.put("/tmp/of-a-connection", b"x", overwrite=True)
        assert client.status("/tmp/of-a-connection").owner == "alice"

    def test_a_refusal_names_both_accounts(self, hdfs: "Hdfs", connect: Callable[..., None]) -> None:
        connect("h", conn_type="webhdfs", host=hdfs.webhdfs_url, login="mallory", extra={"proxy_user": "alice"})
        done, message = WebHdfsHook("h").test_connection()
        assert not done
        assert "mallory" in message
        assert "alice" in message
        assert "hadoop.proxyuser" in message

"""ZooKeeper from a connection: what it means, and its test button on a real ensemble."""

import json
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk import Connection

from autostream.errors import ConfigurationError
from autostream_airflow.hooks.zookeeper import ZooKeeperHook, zookeeper_properties

if TYPE_CHECKING:
    from tests.support.hadoop import ZooKeeper

SILENT = {
    "zookeeper.username": "",
    "zookeeper.password": "",
    "zookeeper.sasl-mechanism": "",
    "zookeeper.tls": "false",
    "zookeeper.tls-ca": "",
    "zookeeper.tls-certificate": "",
    "zookeeper.tls-key": "",
    "zookeeper.tls-key-password": "",
}


def connection(*, extra: dict[str, Any] | None = None, **fields: Any) -> Connection:
    return Connection(conn_id="zk", conn_type="zookeeper", extra=json.dumps(extra or {}), **fields)


@pytest.mark.parametrize(
    ("made", "meant"),
    [
        (connection(host="zk1:2181,zk2:2181"), {"hosts": "zk1:2181,zk2:2181"}),
        (connection(host=" zk1 , zk2:2182 ", port=2281), {"hosts": "zk1:2281,zk2:2182"}),
        (connection(host="zk1,zk2/lake", port=2281), {"hosts": "zk1:2281,zk2:2281/lake"}),
        (connection(host="[::1]", port=2181), {"hosts": "[::1]:2181"}),
        (connection(host="[::1]:2182", port=2181), {"hosts": "[::1]:2182"}),
        (
            connection(host="zk", login="svc", password="s3cret!", extra={"sasl_mechanism": "DIGEST-MD5"}),
            {"hosts": "zk", "username": "svc", "password": "s3cret!", "sasl-mechanism": "DIGEST-MD5"},
        ),
        # What a form sends: nulls and empty texts for what was left empty; numbers and booleans as such.
        (
            connection(
                host="zk",
                extra={"tls": True, "tls_ca": "/ca.pem", "root": None, "acl": "", "session_timeout_seconds": 8},
            ),
            {"hosts": "zk", "tls": "true", "tls-ca": "/ca.pem", "session-timeout-seconds": "8"},
        ),
        (
            connection(host="zk", extra={"session-timeout-seconds": "8"}),
            {"hosts": "zk", "session-timeout-seconds": "8"},
        ),
    ],
)
def test_what_a_connection_means(made: Connection, meant: dict[str, str]) -> None:
    assert zookeeper_properties(made) == SILENT | {f"zookeeper.{key}": value for key, value in meant.items()}


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (connection(), r"Connection 'zk' has no host"),
        (
            connection(host="zk", extra={"tls_cacert": "x"}),
            r"Connection 'zk': extra tls_cacert is unknown.* Did you mean tls_ca\?",
        ),
        (connection(host="zk", extra={"hosts": "x"}), r"extra hosts is unknown"),
        (Connection(conn_id="zk", conn_type="http", host="zk"), r"is of type 'http', and must be of type 'zookeeper'"),
    ],
)
def test_what_is_refused(made: Connection, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        zookeeper_properties(made)


def test_the_account_of_another_ensemble_is_never_sent_to_this_one(
    connect: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUTOSTREAM_ZOOKEEPER__HOSTS", "other:2181")
    monkeypatch.setenv("AUTOSTREAM_ZOOKEEPER__USERNAME", "somebody")
    monkeypatch.setenv("AUTOSTREAM_ZOOKEEPER__PASSWORD", "s3cret")
    monkeypatch.setenv("AUTOSTREAM_ZOOKEEPER__ROOT", "/lake")
    connect("zk", conn_type="zookeeper", host="zk:2181")
    settings = ZooKeeperHook("zk").get_conn().settings
    assert (settings.hosts, settings.root) == ("zk:2181", "/lake")
    assert (settings.username, settings.password.get_secret_value()) == ("", "")


@pytest.fixture(scope="module")
def digest() -> Iterator["ZooKeeper"]:
    from tests.support import hadoop

    with hadoop.zookeeper(sasl="digest") as service:
        yield service


@pytest.mark.integration
@pytest.mark.xdist_group("hadoop")
class TestTheButton:
    """On real ensembles, through Airflow's own connection, as the API server presses it."""

    @staticmethod
    def press(name: str, **fields: Any) -> tuple[bool, str]:
        from airflow.models.connection import Connection as StoredConnection

        stored = StoredConnection(conn_id=name, conn_type="zookeeper", **fields)
        with pytest.MonkeyPatch.context() as environment:
            environment.setenv(f"AIRFLOW_CONN_{name.upper()}", stored.get_uri())
            pressed: tuple[bool, str] = stored.test_connection()
        return pressed

    def test_an_open_ensemble(self, zookeeper: "ZooKeeper") -> None:
        done, message = self.press("zk_open", host=zookeeper.hosts, extra=json.dumps({"root": "/buttons"}))
        assert (done, message) == (
            True,
            f"reachable at {zookeeper.hosts}, a client without an account may lock below /buttons",
        )

    def test_an_account(self, digest: "ZooKeeper") -> None:
        extra = json.dumps({"sasl_mechanism": "DIGEST-MD5", "root": "/svc"})
        done, message = self.press("zk_svc", host=digest.hosts, login="svc", password="svcpw", extra=extra)
        assert done, message
        assert "account 'svc' (SASL DIGEST-MD5) may lock below /svc" in message

    def test_a_wrong_password_is_told_and_not_shown(self, digest: "ZooKeeper") -> None:
        extra = json.dumps({"sasl_mechanism": "DIGEST-MD5", "connect_timeout_seconds": 3})
        done, message = self.press("zk_wrong", host=digest.hosts, login="svc", password="wr0ng-pw", extra=extra)
        assert not done
        assert "refused account 'svc'" in message
        assert "wr0ng-pw" not in message

    def test_a_closed_port(self) -> None:
        done, message = self.press("zk_gone", host="127.0.0.1:1", extra=json.dumps({"connect_timeout_seconds": 1}))
        assert not done
        assert "Could not reach ZooKeeper at 127.0.0.1:1 within 1 s" in message

    def test_a_value_that_is_not_allowed(self) -> None:
        done, message = self.press("zk_acl", host="127.0.0.1:1", extra=json.dumps({"acl": "everybody"}))
        assert not done
        assert "zookeeper.acl" in message

"""Flink clusters by name: which are meant, and what a check says of each address."""

import json
from pathlib import Path

import pytest

from autostream.config import FlinkClusterSettings, FlinkSettings
from autostream.errors import ConfigurationError
from autostream.findings import Severity
from autostream.flink.cluster import check_cluster, open_clusters
from tests.flink.serving import RECORDED
from tests.support.flink_clusters import cluster_at
from tests.support.https import Authority
from tests.support.json_server import Answers, served

SETTINGS = FlinkSettings(
    clusters=(
        FlinkClusterSettings(name="eu-1", url=("http://eu:8081",)),
        FlinkClusterSettings(name="us-1", url=("http://us:8081",)),
    )
)
SESSION = {
    f"/{name}": json.loads((RECORDED / "session-2.3" / f"{name}.json").read_text()) for name in ("config", "overview")
}
REACHED = "reachable, Flink 2.3.0, 1 job runs, 11 of 12 slots are free, its data is up to 3 s old"


def test_clusters_by_name() -> None:
    assert [cluster.name for cluster in open_clusters(SETTINGS)] == ["eu-1", "us-1"]
    assert [cluster.rest.url for cluster in open_clusters(SETTINGS, ["us-1"])] == ["http://us:8081"]
    assert open_clusters(FlinkSettings()) == []


def test_a_cluster_that_there_is_not() -> None:
    with pytest.raises(ConfigurationError) as raised:
        open_clusters(SETTINGS, ["us-1", "eu1"], named_by="janitor.flink_clusters")
    assert str(raised.value) == (
        "Unknown Flink cluster 'eu1' (named by `janitor.flink_clusters`). Configured as `[[flink.clusters]]`: "
        "eu-1, us-1. Did you mean eu-1?"
    )


@pytest.mark.parametrize(
    ("login", "sent"),
    [
        ({}, ""),
        ({"token": "t0ken-of-ours"}, "Bearer t0ken-of-ours"),
        ({"username": "ops", "password": "a:b@c"}, "Basic b3BzOmE6YkBj"),
    ],
)
def test_a_cluster_behind_tls_and_a_login(tmp_path: Path, login: dict[str, str], sent: str) -> None:
    authority = Authority(tmp_path)
    own = authority.issue("client")
    files = {"tls_ca": str(authority.ca), "tls_certificate": str(own.certificate), "tls_key": str(own.key)}
    with served(Answers(SESSION, login=sent), tls=authority.server_context(wants_clients=True)) as url:
        (good,) = check_cluster(cluster_at(url, **files, **login))
        (bad,) = check_cluster(cluster_at(url, **files, token="wr0ng-token"))
    assert (good.subject, good.severity, good.reason) == ("flink prod", Severity.OK, REACHED)
    assert bad.severity is (Severity.ERROR if sent else Severity.OK)
    assert "wr0ng" not in str(bad)


def test_each_address_is_checked() -> None:
    with served(Answers(SESSION)) as url, served(Answers({"/overview": {"no": "flink"}})) as other:
        findings = list(check_cluster(cluster_at("http://127.0.0.1:1", url, other)))
    assert [(finding.subject, finding.severity) for finding in findings] == [
        ("flink prod at http://127.0.0.1:1", Severity.ERROR),
        (f"flink prod at {url}", Severity.OK),
        (f"flink prod at {other}", Severity.ERROR),
    ]
    assert "Connection refused" in findings[0].reason
    assert "/overview (taskmanagers: Field required)" in findings[2].reason

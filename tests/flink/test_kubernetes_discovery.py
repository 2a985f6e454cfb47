"""Clusters that Kubernetes knows: asked of a server that answers as its API server does."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from autostream.config import FlinkKubernetesSettings, FlinkSettings, JobRule, load_settings
from autostream.errors import ConfigurationError, DeniedError, NotFoundError, NotReadyError, ServiceError
from autostream.findings import Severity
from autostream.flink.fleet import Fleet
from autostream.flink.kubernetes_discovery import check_kubernetes, cluster_settings, discover
from autostream.flink.kubernetes_objects import deployments_of
from autostream.http import Limits
from tests.flink.serving import SESSION_JOB, session
from tests.flink.test_kubernetes_objects import RECORDED, deployment, session_job
from tests.support.json_server import Answers, Reply, served

API = "/apis/flink.apache.org/v1beta1"
READY = {"lifecycleState": "STABLE", "jobManagerDeploymentStatus": "READY"}


def api_server(*deployments: Any, session_jobs: tuple[Any, ...] = (), namespace: str = "") -> Answers:
    """Return an API server that has these objects."""
    place = f"{API}/namespaces/{namespace}" if namespace else API
    lists = {"flinkdeployments": list(deployments), "flinksessionjobs": list(session_jobs)}
    return Answers({f"{place}/{plural}": {"items": items, "metadata": {}} for plural, items in lists.items()})


def entry(directory: Path, server: str, **settings: Any) -> FlinkKubernetesSettings:
    kubeconfig = {
        "clusters": [{"name": "k", "cluster": {"server": server}}],
        "users": [{"name": "k", "user": {"token": "t0ken-of-ours"}}],
        "contexts": [{"name": "k", "context": {"cluster": "k", "user": "k"}}],
        "current-context": "k",
    }
    file = directory / "kubeconfig"
    file.write_text(json.dumps(kubeconfig))  # JSON is YAML
    return FlinkKubernetesSettings(**{"name": "prod", "kubeconfig": str(file), **settings})


@contextmanager
def fleet_of(directory: Path, answers: Answers, *rules: JobRule, **settings: Any) -> Iterator[Fleet]:
    with served(answers) as server:
        kubernetes = entry(directory, server, **settings)
        yield Fleet(FlinkSettings(kubernetes=(kubernetes,), jobs=rules), limits=Limits(tries=1))


def test_objects_of_all_namespaces_and_of_some(tmp_path: Path) -> None:
    answers = api_server(RECORDED)
    answers.paths |= api_server(deployment(), namespace="streaming").paths
    answers.login = "Bearer t0ken-of-ours"
    with served(answers) as server:
        assert [one.name for one in discover(entry(tmp_path, server))] == ["real"]
        assert [one.name for one in discover(entry(tmp_path, server, namespaces=("streaming",)))] == ["orders"]


def test_what_a_check_says(tmp_path: Path) -> None:
    with served(api_server(RECORDED, deployment())) as server:
        good = check_kubernetes(entry(tmp_path, server))
    bad = check_kubernetes(entry(tmp_path, "http://127.0.0.1:1"))
    words = "reachable, 2 deployments of Flink's operator, 1 of them ready"
    assert (good.subject, good.severity, good.reason) == ("flink kubernetes prod", Severity.OK, words)
    assert (bad.severity, "does not answer" in bad.reason) == (Severity.ERROR, True)


def test_objects_come_in_pages(tmp_path: Path) -> None:
    asked = []

    def page(parameters: dict[str, str]) -> Any:
        asked.append(parameters)
        after = "" if "continue" in parameters else "next"
        return {"items": [deployment(after or "last")], "metadata": {"continue": after}}

    answers = api_server()
    answers.paths[f"{API}/flinkdeployments"] = page
    with served(answers) as server:
        assert [one.name for one in discover(entry(tmp_path, server, label_selector="a=b"))] == ["next", "last"]
    assert asked == [
        {"limit": "500", "labelSelector": "a=b"},
        {"limit": "500", "labelSelector": "a=b", "continue": "next"},
    ]


@pytest.mark.parametrize(
    ("status", "kind", "says"),
    [
        (
            403,
            DeniedError,
            r"Kubernetes \(prod\) does not let this account list flinkdeployments in all namespaces: 403",
        ),
        (401, DeniedError, r"give it a ClusterRole with verbs \[\"list\"\] on resources \[\"flinkdeployments\""),
        (404, ServiceError, r"does not know flinkdeployments\.flink\.apache\.org\. Install Flink's operator there, or"),
        (500, ServiceError, r"answers a request for flinkdeployments in all namespaces with 500"),
    ],
)
def test_an_api_server_that_refuses(tmp_path: Path, status: int, kind: type[Exception], says: str) -> None:
    answers = api_server()
    answers.paths[f"{API}/flinkdeployments"] = Reply(status, {"kind": "Status"})
    with served(answers) as server, pytest.raises(kind, match=says):
        discover(entry(tmp_path, server))


def test_an_api_server_that_is_away(tmp_path: Path) -> None:
    with pytest.raises(ServiceError, match=r"Kubernetes \(prod\) does not answer a request for flinkdeployments: "):
        discover(entry(tmp_path, "http://127.0.0.1:1"))


@pytest.mark.parametrize(("key", "value"), [("kubeconfig", "/gone/config"), ("context", "other")])
def test_a_kubeconfig_or_a_context_that_is_not_there(tmp_path: Path, key: str, value: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"`flink\.kubernetes` prod cannot read a kubeconfig .*{value}"):
        discover(entry(tmp_path, "http://127.0.0.1:1", **{key: value}))


def test_a_client_that_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "kubernetes", None)
    with pytest.raises(ConfigurationError, match=r"Run: pip install 'autostream\[kubernetes\]'"):
        discover(entry(tmp_path, "http://127.0.0.1:1"))


def test_it_is_not_loaded_where_it_is_not_configured() -> None:
    assert Fleet(FlinkSettings()).jobs().jobs == ()
    loaded = {name for name in sys.modules if name.split(".")[0] == "kubernetes"}
    Fleet(FlinkSettings()).jobs()
    assert {name for name in sys.modules if name.split(".")[0] == "kubernetes"} == loaded


def test_addresses_and_logins_of_what_was_found(tmp_path: Path) -> None:
    (real,) = deployments_of([RECORDED], [])
    found = cluster_settings(entry(tmp_path, "http://x", token="t0ken-of-flink"), real)
    assert (found.name, found.url) == ("prod.default.real", ("http://real-rest.default:18081",))
    assert found.token.get_secret_value() == "t0ken-of-flink"
    ingress = entry(tmp_path, "http://x", url="https://flink.example.org/{namespace}/{name}")
    assert cluster_settings(ingress, real).url == ("https://flink.example.org/default/real",)
    (strange,) = deployments_of([{"metadata": {"name": "a b"}}], [])
    with pytest.raises(ConfigurationError, match=r"Cannot make a cluster of prod\.default\.a b"):
        cluster_settings(entry(tmp_path, "http://x"), strange)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ('url = "http://{host}"', r"has 'http://\{host\}', in which 'host' stands for nothing"),
        ('url = "{service}:{port}"', r"not the address of a server"),
        ('namespace = "x"', r"unknown key `namespace`"),
    ],
)
def test_settings_that_cannot_be(tmp_path: Path, line: str, says: str) -> None:
    (tmp_path / "autostream.toml").write_text(f'[[flink.kubernetes]]\nname = "prod"\n{line}\n')
    with pytest.raises(ConfigurationError, match=says):
        load_settings(environ={}, directory=tmp_path)


def test_jobs_that_run_and_jobs_that_do_not(tmp_path: Path) -> None:
    seen = {"jobStatus": {"jobId": SESSION_JOB, "jobName": "backlog-job"}}
    with served(session()) as flink:
        port = flink.rpartition(":")[2]
        answers = api_server(
            deployment("shared", labels={"autostream.team": "platform"}, status=READY),
            deployment(
                "away", spec={"job": {"parallelism": 1}}, status={"lifecycleState": "FAILED", "error": "no image"}
            ),
            session_jobs=(
                session_job("one", "shared", labels={"autostream.team": "trade"}, status=seen),
                session_job("two", "shared", status={"lifecycleState": "SUSPENDED"}),
                session_job("three", "gone"),
            ),
        )
        with fleet_of(tmp_path, answers, JobRule(job=".*", owner="on-call"), url=f"http://127.0.0.1:{port}") as fleet:
            listing = fleet.jobs()
            assert [(str(job.job), job.state, job.team, job.owner) for job in listing.jobs] == [
                ("prod.streaming.shared/two", "SUSPENDED", "platform", "on-call"),
                ("prod.streaming.shared/backlog-job", "RUNNING", "trade", "on-call"),
                ("prod.streaming.away/away", "FAILED", None, "on-call"),
                ("prod.streaming.gone/three", "UNKNOWN", None, "on-call"),
            ]
            assert listing.errors == ()
            assert listing.jobs[2].note == "Kubernetes: FAILED, job manager MISSING. no image"
            report = fleet.show("prod.streaming.shared/backlog-job")
            assert report.life.team == "trade"
            assert report.to_dict()["kubernetes"]["lifecycle"] == "STABLE"
            with pytest.raises(NotReadyError, match=r"No job manager runs prod\.streaming\.away/away\. .*no image"):
                fleet.show("prod.streaming.away/away")
            with pytest.raises(NotFoundError, match=r"Unknown Flink cluster 'prod\.streaming\.x'\. Known are: prod"):
                fleet.show("prod.streaming.x/y")


def test_a_kubernetes_that_fails_hides_no_other_cluster(tmp_path: Path) -> None:
    from tests.support.flink_clusters import cluster_at

    with served(session()) as flink:
        kubernetes = entry(tmp_path, "http://127.0.0.1:1")
        fleet = Fleet(FlinkSettings(clusters=(cluster_at(flink, name="own"),), kubernetes=(kubernetes,)))
        listing = fleet.jobs()
        assert [str(job.job) for job in listing.jobs] == ["own/backlog-job"]
        assert [one.cluster for one in listing.errors] == ["prod"]
        assert "Kubernetes (prod) does not answer" in listing.errors[0].error
        with pytest.raises(ServiceError, match=r"Kubernetes \(prod\) does not answer"):
            fleet.show("prod.streaming.x/y")

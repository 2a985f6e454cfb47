"""Clusters and jobs of Flink's operator, discovered at a real API server of Kubernetes."""

from collections.abc import Iterator
from typing import Any

import pytest

from autostream.config import FlinkKubernetesSettings, FlinkSettings
from autostream.errors import DeniedError
from autostream.flink.fleet import Fleet
from autostream.flink.kubernetes_discovery import discover
from tests.flink.serving import SESSION_JOB, session
from tests.flink.test_kubernetes_objects import RECORDED
from tests.support.json_server import served
from tests.support.kubernetes import ApiServer, api_server

pytestmark = pytest.mark.integration

LABELS = {"autostream.team": "trade", "owner": "ann"}
POD = {"resource": {"cpu": 2, "memory": "4096m"}}
SPEC = {"image": "flink:2.3", "flinkVersion": "v1_20", "serviceAccount": "flink", "jobManager": POD, "taskManager": POD}


def named(name: str, *, labels: dict[str, str] | None = None, **parts: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, "labels": labels or {}}, **parts}


@pytest.fixture(scope="module")
def server() -> Iterator[ApiServer]:
    """An API server with an application, a session cluster with two jobs, and a deployment that failed."""
    ready = {"lifecycleState": "STABLE", "jobManagerDeploymentStatus": "READY"}
    running = {"jobStatus": {"jobId": SESSION_JOB, "jobName": "backlog-job", "state": "RUNNING"}}
    job = {"jarURI": "https://example.org/a.jar", "parallelism": 1, "upgradeMode": "stateless"}
    with api_server() as started:
        for namespace in ("streaming", "other"):
            started.create_namespace(namespace)
        real = named("real", spec={**RECORDED["spec"], "flinkVersion": "v1_20"}, status=RECORDED["status"])
        started.create("flinkdeployments", "other", real)
        started.create("flinkdeployments", "streaming", named("shared", spec=SPEC, status=ready, labels=LABELS))
        failed = {"lifecycleState": "FAILED", "jobManagerDeploymentStatus": "ERROR", "error": "no such image"}
        started.create("flinkdeployments", "streaming", named("broken", spec={**SPEC, "job": job}, status=failed))
        new = named("new", spec={**SPEC, "job": {**job, "state": "suspended"}})
        started.create("flinkdeployments", "streaming", new)
        on = {"deploymentName": "shared", "job": job}
        started.create("flinksessionjobs", "streaming", named("one", spec=on, status=running))
        started.create("flinksessionjobs", "streaming", named("two", spec=on, labels={"autostream.team": "ads"}))
        yield started


def entry(server: ApiServer, **settings: Any) -> FlinkKubernetesSettings:
    return FlinkKubernetesSettings(name="k8s", kubeconfig=server.kubeconfig, **settings)


def test_deployments_of_all_namespaces(server: ApiServer) -> None:
    found = {f"{one.namespace}/{one.name}": one for one in discover(entry(server))}
    assert {name: (one.kind, one.lifecycle, one.job_manager) for name, one in found.items()} == {
        "other/real": ("application", "STABLE", "READY"),
        "streaming/shared": ("session", "STABLE", "READY"),
        "streaming/broken": ("application", "FAILED", "ERROR"),
        "streaming/new": ("application", "UNKNOWN", "MISSING"),
    }
    asked = found["streaming/shared"].task_managers
    assert (asked.cpu_cores, asked.memory_bytes) == (2.0, 4 * 1024**3)
    assert (found["other/real"].rest_port, found["other/real"].task_managers.replicas) == (18081, 1)


def test_jobs_with_their_teams_and_states(server: ApiServer) -> None:
    with served(session()) as flink:
        settings = entry(server, namespaces=("streaming",), url=flink, owner_labels=("who", "owner"))
        listing = Fleet(FlinkSettings(kubernetes=(settings,))).jobs()
        assert [(str(job.job), job.state, job.team, job.owner) for job in listing.jobs] == [
            ("k8s.streaming.shared/two", "UNKNOWN", "ads", "ann"),
            ("k8s.streaming.shared/backlog-job", "RUNNING", "trade", "ann"),
            ("k8s.streaming.broken/broken", "FAILED", None, None),
            ("k8s.streaming.new/new", "UNKNOWN", None, None),
        ]
        assert listing.jobs[2].note == "Kubernetes: FAILED, job manager ERROR. no such image"
        assert "job manager MISSING" in listing.jobs[3].note
        assert listing.errors == ()
        shown = Fleet(FlinkSettings(kubernetes=(settings,))).show("k8s.streaming.shared/backlog-job")
        assert shown.to_dict()["kubernetes"]["asked"]["task_managers"]["cpu_cores"] == 2.0


def test_objects_with_labels(server: ApiServer) -> None:
    found = discover(entry(server, label_selector="autostream.team=trade"))
    assert [(one.name, [job.name for job in one.jobs]) for one in found] == [("shared", ["backlog-job", "two"])]


def test_an_account_that_may_not_look_and_then_may(server: ApiServer) -> None:
    with pytest.raises(DeniedError, match=r"does not let this account list flinkdeployments in all namespaces: 403"):
        discover(entry(server, context="nobody"))
    server.allow_to_list("other")
    assert [one.name for one in discover(entry(server, context="nobody", namespaces=("other",)))] == ["real"]
    with pytest.raises(DeniedError, match=r"in namespace streaming: 403 .* give it a Role with verbs"):
        discover(entry(server, context="nobody", namespaces=("streaming",)))

"""What Flink's operator says of deployments and session jobs: a real one, and stranger ones."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autostream.flink.kubernetes_objects import AskedResources, DeployedJob, Deployment, deployments_of, memory_bytes
from autostream.flink.ownership import OWNER, TEAM

FIXTURE = Path(__file__).parents[1] / "fixtures" / "kubernetes" / "flinkdeployment.json"
RECORDED: dict[str, Any] = json.loads(FIXTURE.read_text())
GIB = 1024**3


def deployment(name: str = "orders", **parts: Any) -> dict[str, Any]:
    """Return a session cluster of the operator; `spec` and `status` are added to."""
    metadata = {"name": name, "namespace": "streaming", "labels": parts.get("labels", {})}
    return {"metadata": metadata, "spec": parts.get("spec", {}), "status": parts.get("status", {})}


def session_job(name: str, on: str, **parts: Any) -> dict[str, Any]:
    made = deployment(name, **parts)
    return {**made, "spec": {"deploymentName": on, "job": {"state": "running"}, **made["spec"]}}


def only(*deployments: dict[str, Any], session_jobs: tuple[dict[str, Any], ...] = (), **labels: Any) -> Deployment:
    (found,) = deployments_of(deployments, session_jobs, **labels)
    return found


def test_an_application_as_the_operator_left_it() -> None:
    assert only(RECORDED) == Deployment(
        namespace="default",
        name="real",
        kind="application",
        lifecycle="STABLE",
        job_manager="READY",
        rest_port=18081,
        job_managers=AskedResources(0.5, GIB, None),
        task_managers=AskedResources(0.5, GIB, 1),
        jobs=(DeployedJob("real", "3b77ffcb22c975b2ad60da2e822a66f8", "STABLE", note="Kubernetes: STABLE."),),
    )
    assert (only(RECORDED).service, only(RECORDED).ready) == ("real-rest", True)


def test_what_is_not_running_says_why() -> None:
    error = '{"type":"x","message":"Could not \\"pull\\" the image","stackTrace":"a\\nb"}'
    found = only(
        deployment(
            spec={"job": {"state": "suspended"}, "flinkConfiguration": {"pipeline": {"name": "orders ☃"}}},
            status={"lifecycleState": "SUSPENDED", "jobManagerDeploymentStatus": "ERROR", "error": error},
        )
    )
    assert found.status == 'Kubernetes: SUSPENDED, job manager ERROR. Could not "pull" the image'
    (job,) = found.jobs
    assert (job.name, job.job_id, job.state) == ("orders ☃", "", "SUSPENDED")
    assert "It is suspended by its own specification." in job.note


def test_an_object_that_nobody_has_looked_at_yet() -> None:
    found = only({"metadata": {"name": "new", "namespace": "a"}, "spec": {"job": {}}})
    assert (found.kind, found.lifecycle, found.job_manager, found.ready) == ("session", "UNKNOWN", "MISSING", False)
    assert only({}).jobs == ()


def test_session_jobs_belong_to_their_cluster() -> None:
    labels = {"team": "trade", "autostream.owner": "ann"}
    running = session_job("a", "orders", labels=labels, status={"jobStatus": {"jobId": "j1", "jobName": "A job"}})
    cluster = only(deployment(labels={"team": "platform"}), session_jobs=(running,), team_labels=("x", "team"))
    assert [(job.name, job.job_id) for job in cluster.jobs] == [("A job", "j1")]
    assert cluster.labels_of("j1") == {TEAM: "trade", OWNER: "ann"}
    assert cluster.labels_of("j2") == {TEAM: "platform"}
    lost = only(session_jobs=(session_job("a", "gone"),))
    assert (lost.name, lost.job_manager, lost.jobs[0].name) == ("gone", "MISSING", "a")
    assert "There is no such deployment." in lost.status
    assert deployments_of([], [session_job("a", "of-others")], complete=False) == []


@pytest.mark.parametrize(
    ("spec", "asked"),
    [
        ({"taskManager": {"resource": {"cpu": "500m", "memory": "2048m"}, "replicas": 3}}, (0.5, 2 * GIB, 3)),
        ({"taskManager": {"resources": {"requests": {"cpu": "2", "memory": "4Gi"}}}}, (2.0, 4 * GIB, None)),
        ({"taskManager": {"resource": {"cpu": "some", "memory": "lots"}, "replicas": 0}}, (None, None, 0)),
        (
            {
                "flinkConfiguration": {
                    "kubernetes.taskmanager.cpu.amount": 1.5,
                    "taskmanager": {"memory": {"process": {"size": "1 gb"}}},
                }
            },
            (1.5, GIB, None),
        ),
        ({"taskManager": "x", "flinkConfiguration": 3}, (None, None, None)),
    ],
)
def test_what_is_asked_for(spec: dict[str, Any], asked: tuple[Any, ...]) -> None:
    assert only(deployment(spec=spec)).task_managers == AskedResources(*asked)


@pytest.mark.parametrize(
    ("text", "size"),
    [("1024", 1024), (1024, 1024), ("1.5 kb", 1536), ("2G", 2 * GIB), ("2Gi", 2 * GIB), ("1 TB", 1024 * GIB)]
    + [(text, None) for text in ("", "lots", "-1g", "1 x", None, "1g 2g")],
)
def test_memory_as_flink_reads_it(text: object, size: int | None) -> None:
    assert memory_bytes(text) == size


def test_a_rest_interface_of_its_own() -> None:
    secure = {"rest": {"port": "9091"}, "security.ssl.rest.enabled": True}
    found = only(deployment(spec={"flinkConfiguration": secure}))
    assert (found.rest_port, found.secure) == (9091, True)


documents = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.dictionaries(st.text(), inner), max_leaves=5
)
KEYS = ["metadata", "spec", "status", "job", "jobStatus", "labels", "flinkConfiguration", "taskManager", "resource"]


@given(st.dictionaries(st.sampled_from(KEYS), st.dictionaries(st.sampled_from(KEYS), documents) | documents))
def test_no_object_is_too_strange(item: dict[str, Any]) -> None:
    assert len(deployments_of([item], [item])) in (1, 2)

"""Flink's answers as typed values: recorded ones of several versions, with more and with less in them."""

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from autostream.flink import models
from tests.flink.serving import RECORDED

SESSION = RECORDED / "session-2.3"
NEWER = {"jobType", "pending-operators", "plan.type", "checkpoints_after_tasks_finish", "features"}
"""What 2.3 says and 1.18 does not, and nothing here is made of."""

SHAPES: dict[str, Any] = {
    "config": models.ClusterConfig,
    "overview": models.ClusterOverview,
    "jobs_overview": models.JobsOverview,
    "job": models.JobDetail,
    "job_config": models.JobConfig,
    "job_checkpoints": models.Checkpoints,
    "job_checkpoints_config": models.CheckpointsConfig,
    "job_metrics": list[models.Metric],
    "vertex0_detail": models.VertexDetail,
    "vertex0_metrics": list[models.Metric],
    "vertex0_metrics_list": list[models.Metric],
}
EVENT_JOBS: dict[str, Any] = {
    "cluster": models.ClusterConfig,
    "overview": models.JobsOverview,
    "job": models.JobDetail,
    "config": models.JobConfig,
    "checkpoints": models.Checkpoints,
    "job-metrics": list[models.Metric],
    "vertex-0": models.VertexDetail,
    "metric-ids-0": list[models.Metric],
    "metrics-0": list[models.Metric],
}


def document(path: Path) -> Any:
    return json.loads(path.read_text())


def understood(shape: Any, answer: Any) -> Any:
    return TypeAdapter(shape).validate_python(answer)


def without(answer: Any, keys: set[str]) -> Any:
    match answer:
        case dict():
            return {key: without(value, keys) for key, value in answer.items() if key not in keys}
        case list():
            return [without(item, keys) for item in answer]
    return answer


def with_more(answer: Any) -> Any:
    match answer:
        case dict():
            return {**{key: with_more(value) for key, value in answer.items()}, "of-a-later-version": [{"x": None}]}
        case list():
            return [with_more(item) for item in answer]
    return answer


@pytest.mark.parametrize("name", SHAPES)
def test_answers_of_a_session_cluster(name: str) -> None:
    """Flink 2.3, as it is, without what 1.18 does not say yet, and with what a later version may add."""
    answer = document(SESSION / f"{name}.json")
    value = understood(SHAPES[name], answer)
    assert understood(SHAPES[name], without(answer, NEWER)) == value
    if name != "job_config":  # whose parameters may have any names
        assert understood(SHAPES[name], with_more(answer)) == value


@pytest.mark.parametrize("folder", sorted(p.parent.name for p in RECORDED.glob("*-v*/job.json")))
def test_answers_about_jobs_of_flink_2_1(folder: str) -> None:
    for name, shape in EVENT_JOBS.items():
        assert understood(shape, document(RECORDED / folder / f"{name}.json")) is not None


def test_what_is_taken_from_them() -> None:
    overview: models.ClusterOverview = understood(models.ClusterOverview, document(SESSION / "overview.json"))
    assert (overview.flink_version, overview.task_managers, overview.slots_total) == ("2.3.0", 1, 12)
    (job,) = understood(models.JobsOverview, document(SESSION / "jobs_overview.json")).jobs
    detail: models.JobDetail = understood(models.JobDetail, document(SESSION / "job.json"))
    assert (job.name, job.state, job.started_ms) == (detail.name, detail.state, detail.started_ms)
    assert [vertex.id for vertex in detail.vertices] == [node.id for node in detail.plan.nodes]
    assert detail.plan.nodes[1].inputs[0].id == detail.vertices[0].id
    checkpoints: models.Checkpoints = understood(models.Checkpoints, document(SESSION / "job_checkpoints.json"))
    assert checkpoints.counts is not None
    assert checkpoints.counts.completed == len([c for c in checkpoints.history if c.status == "COMPLETED"])
    config: models.CheckpointsConfig = understood(
        models.CheckpointsConfig, document(SESSION / "job_checkpoints_config.json")
    )
    assert config.unaligned_checkpoints is False
    vertex: models.VertexDetail = understood(models.VertexDetail, document(SESSION / "vertex0_detail.json"))
    assert [(subtask.status, subtask.attempt) for subtask in vertex.subtasks] == [("RUNNING", 0)]

"""A job manager made of answers, recorded or written by hand; `Direct` asks it without HTTP."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from autostream.errors import ServiceError
from autostream.flink.rest import FlinkRest
from tests.support.flink_clusters import cluster_at
from tests.support.json_server import Answer, Answers

RECORDED = Path(__file__).parents[1] / "fixtures" / "flink-rest"


def session_file(name: str) -> Any:
    """Return one answer of the session cluster of Flink 2.3."""
    return json.loads((RECORDED / "session-2.3" / f"{name}.json").read_text())


SESSION_JOB: str = session_file("job")["jid"]
SESSION_VERTICES: list[str] = [vertex["id"] for vertex in session_file("job")["vertices"]]
SESSION_TASK_MANAGER: str = session_file("taskmanager0")["id"]


def session() -> Answers:
    """Return the pages of a real Flink 2.3 session cluster and of its only job, `backlog-job`."""
    path = f"/jobs/{SESSION_JOB}"
    vertices: dict[str, Answer] = {}
    for vertex in SESSION_VERTICES:
        vertices[f"{path}/vertices/{vertex}"] = session_file("vertex0_detail")
        vertices[f"{path}/vertices/{vertex}/taskmanagers"] = session_file("vertex0_taskmanagers")
    return Answers(
        {
            "/config": session_file("config"),
            "/overview": session_file("overview"),
            "/jobmanager/config": session_file("jobmanager_config"),
            "/taskmanagers": session_file("taskmanagers"),
            f"/taskmanagers/{quote(SESSION_TASK_MANAGER)}": session_file("taskmanager0"),
            "/jobs/overview": session_file("jobs_overview"),
            path: session_file("job"),
            f"{path}/config": session_file("job_config"),
            f"{path}/checkpoints": session_file("job_checkpoints"),
            f"{path}/checkpoints/config": session_file("job_checkpoints_config"),
            f"{path}/metrics": [{"id": "numRestarts", "value": "0"}],
            **vertices,
        }
    )


def recorded(folder: str) -> tuple[Answers, str]:
    """Return what a real job manager answered about a job, and the job's id."""
    directory = RECORDED / folder

    def file(name: str) -> Any:
        return json.loads((directory / name).read_text())

    job = file("job.json")
    path = f"/jobs/{job['jid']}"
    # Those recorded before this page was asked for had aligned checkpoints.
    config = directory / "checkpoints-config.json"
    settings = json.loads(config.read_text()) if config.exists() else {"unaligned_checkpoints": False}
    paths: dict[str, Answer] = {
        "/config": file("cluster.json"),
        "/jobs/overview": file("overview.json"),
        path: job,
        f"{path}/config": file("config.json"),
        f"{path}/checkpoints": file("checkpoints.json"),
        f"{path}/checkpoints/config": settings,
        f"{path}/metrics": file("job-metrics.json"),
    }
    for number, vertex in enumerate(job["vertices"]):
        paths[f"{path}/vertices/{vertex['id']}"] = file(f"vertex-{number}.json")
        paths[f"{path}/vertices/{vertex['id']}/metrics"] = _metrics(
            file(f"metric-ids-{number}.json"), file(f"metrics-{number}.json")
        )
    return Answers(paths), job["jid"]


def _metrics(ids: list[Any], values: list[Any]) -> Callable[[dict[str, str]], Answer]:
    def answer(parameters: dict[str, str]) -> Answer:
        if "get" not in parameters:
            return ids
        wanted = parameters["get"].split(",")
        return [metric for metric in values if metric["id"] in wanted]

    return answer


class Direct(FlinkRest):
    """A job manager that is asked without HTTP."""

    def __init__(self, answers: Answers, url: str = "http://flink") -> None:
        super().__init__(cluster_at(url))
        self.answers = answers

    def get(self, path: str, parameters: Mapping[str, str] | None = None) -> Any:
        status, body = self.answers.to(f"{path}?{urlencode(parameters)}" if parameters else path)
        return self._taken(path, status, body)

    def post(self, path: str, body: Mapping[str, Any]) -> Any:
        self.answers.posted.append((path, body))
        return self._taken(path, *self.answers.to(path))

    def _taken(self, path: str, status: int, body: bytes) -> Any:
        if status >= 500:
            raise ServiceError(f"{self.name} answers {self.url}{path} by status {status}.")
        return None if status == 404 else json.loads(body)

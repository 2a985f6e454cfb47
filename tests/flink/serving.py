"""A job manager made of answers, recorded or written by hand; `Direct` asks it without HTTP."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from autostream.errors import ServiceError
from autostream.flink.rest import FlinkRest
from tests.support.flink_clusters import cluster_at
from tests.support.json_server import Answer, Answers

RECORDED = Path(__file__).parents[1] / "fixtures" / "flink-rest"


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

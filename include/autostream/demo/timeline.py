"""What Airflow knows of an hour's way from a table to the workflow that works on it, by its REST API."""

from __future__ import annotations

import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from autostream import times
from autostream.errors import AutostreamError, ServiceError
from autostream.spelling import counted

_TIMEOUT_SECONDS = 30.0
# Airflow on SQLite answers an error when its database is busy for long; whatever is asked here may be asked again.
_BUSY = (500, 503)
_TRIES = 10
_THERE_ALREADY = 409


class AirflowApi:
    """Airflow's REST API, as a user of its simple accounts.

    Args:
        url: Address of the API server, such as http://localhost:8080.
        user: The account.
        password: Its password.
    """

    def __init__(self, url: str, *, user: str, password: str) -> None:
        self.url = url.rstrip("/")
        self._token = ""
        self._token = self._ask("POST", "/auth/token", {"username": user, "password": password})["access_token"]

    def get(self, path: str, **query: Any) -> Any:
        """Return what is at a path below `/api/v2`.

        Raises:
            ServiceError: The server does not answer, or refuses.
        """
        return self._ask("GET", f"/api/v2{path}?{urllib.parse.urlencode(query)}")

    def change(self, path: str, **values: Any) -> Any:
        """Change what is at a path below `/api/v2`.

        Raises:
            ServiceError: The server does not answer, or refuses.
        """
        return self._ask("PATCH", f"/api/v2{path}", values)

    def trigger(self, dag_id: str, *, run_id: str, conf: Mapping[str, Any] | None = None) -> None:
        """Start a run of a DAG.

        Raises:
            ServiceError: The server does not answer, or refuses.
        """
        self._ask("POST", f"/api/v2/dags/{dag_id}/dagRuns", {"dag_run_id": run_id, "logical_date": None, "conf": conf})

    def knows(self, dag_id: str) -> bool:
        """Says whether a DAG has been parsed."""
        found = self.get("/dags", dag_id_pattern=dag_id, exclude_stale=True)["dags"]
        return any(dag["dag_id"] == dag_id for dag in found)

    def runs(self, dag_id: str) -> list[dict[str, Any]]:
        """Return the runs of a DAG, the first one first."""
        found: list[dict[str, Any]] = self.get(f"/dags/{dag_id}/dagRuns", order_by="id", limit=100)["dag_runs"]
        return found

    def run(self, dag_id: str, run_id: str) -> dict[str, Any]:
        """Return a run of a DAG."""
        found: dict[str, Any] = self.get(f"/dags/{dag_id}/dagRuns/{urllib.parse.quote(run_id)}")
        return found

    def unfinished_runs(self) -> int:
        """Return how many runs of all DAGs are under way, or about to be."""
        found = (self.get("/dags/~/dagRuns", state=state, limit=1)["total_entries"] for state in ("queued", "running"))
        return sum(found)

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        request = urllib.request.Request(
            self.url + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"}
            | ({"Authorization": f"Bearer {self._token}"} if self._token else {}),
        )
        for left in reversed(range(_TRIES)):
            try:
                with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS) as answer:
                    return json.load(answer)
            except urllib.error.HTTPError as error:
                said = error.read(500).decode(errors="replace")
                if error.code == _THERE_ALREADY and left < _TRIES - 1:
                    return None  # an earlier try has done it after all
                if error.code not in _BUSY or not left:
                    raise ServiceError(
                        f"Airflow at {self.url} answered {method} {path} with {error.code}: {said}"
                    ) from error
            except (OSError, ValueError) as error:
                raise ServiceError(
                    f"Airflow at {self.url} did not answer {method} {path}: {error}. Check that it is up."
                ) from error
            times.sleep(1.0)
        raise AssertionError  # the last try returned or raised


@dataclass(frozen=True)
class Timeline:
    """When an hour of a table got where.

    Attributes:
        table: The table.
        hour: The hour, by the key of its partition.
        published: The watermark that completes it was in the table, epoch seconds; by the clock of who published it.
        noticed: The triggerer had seen it, and its event was stored; None where something else started the publisher.
        announced: The partition of the hour was announced.
        started: The first task of the workflow that works on it ran.
        ended: It had succeeded.
        outcome: What that task returned.
    """

    table: str
    hour: str
    published: float
    noticed: float | None
    announced: float
    started: float
    ended: float
    outcome: Any = None

    def steps(self) -> list[tuple[str, float]]:
        """Return what happened, and when, in seconds since the publication."""
        happened = [
            ("the watermark that completes the hour is in the table", self.published),
            ("the triggerer has noticed it", self.noticed),
            ("the hour is announced as a partition", self.announced),
            ("the workflow of the hour has started", self.started),
            ("the workflow of the hour has ended", self.ended),
        ]
        return [(what, at - self.published) for what, at in happened if at is not None]

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON."""
        seconds = {what: round(after, 3) for what, after in self.steps()}
        return {"table": self.table, "hour": self.hour, "seconds": seconds, "outcome": self.outcome}


def read_timeline(api: AirflowApi, dag_id: str, *, table: str, hour: str, published: float) -> Timeline | None:
    """Return the timeline of an hour; None until the workflow that works on it has ended.

    Args:
        api: Airflow.
        dag_id: The workflow, whose runs have hours of the table for partitions.
        table: The table.
        hour: The key of the hour's partition.
        published: When the watermark was in the table, epoch seconds.

    Raises:
        AutostreamError: The workflow failed, or has several runs of the hour.
        ServiceError: Airflow does not answer.
    """
    runs = [run for run in api.runs(dag_id) if run["partition_key"] == hour]
    if len(runs) > 1:
        raise AutostreamError(f"{dag_id} has {counted(len(runs), 'run')} for the hour {hour}, and should have one.")
    if not runs or runs[0]["state"] not in ("success", "failed"):
        return None
    run = runs[0]
    if run["state"] == "failed":
        raise AutostreamError(f"The run {run['dag_run_id']} of {dag_id} failed; its log in Airflow says why.")
    tasks = api.get(f"/dags/{dag_id}/dagRuns/{urllib.parse.quote(run['dag_run_id'])}/taskInstances")["task_instances"]
    first = min((task for task in tasks if task["start_date"]), key=lambda task: task["start_date"])
    path = f"/dags/{dag_id}/dagRuns/{urllib.parse.quote(run['dag_run_id'])}/taskInstances/{first['task_id']}"
    return Timeline(
        table=table,
        hour=hour,
        published=published,
        noticed=_first(
            event
            for event in _events(api, f"watermark:hour:{table}")
            if event["extra"].get("payload", {}).get("key") == hour
        ),
        announced=_first(event for event in _events(api, f"hours:{table}") if event["partition_key"] == hour) or 0.0,
        started=_seconds(first["start_date"]),
        ended=_seconds(run["end_date"]),
        outcome=api.get(f"{path}/xcomEntries/return_value").get("value"),
    )


def _events(api: AirflowApi, name: str) -> list[dict[str, Any]]:
    found = api.get("/assets/events", name_pattern=name, order_by="-timestamp", limit=100)["asset_events"]
    return [event for event in found if event["name"] == name]


def _first(events: Iterable[dict[str, Any]]) -> float | None:
    return min((_seconds(event["timestamp"]) for event in events), default=None)


def _seconds(moment: str) -> float:
    return datetime.fromisoformat(moment).timestamp()

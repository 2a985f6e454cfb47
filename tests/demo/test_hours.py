"""An hour's way from its writer to the workflow that works on it: the parts, and all of it in a real Airflow."""

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from autostream.demo import hours, seed, session
from autostream.demo.airflow import LocalAirflow, find_project
from autostream.demo.hours import EventWriter
from autostream.demo.timeline import AirflowApi, Timeline, read_timeline
from autostream.errors import AutostreamError, ServiceError
from autostream.lake.scan import scan_table
from autostream.times import to_ms
from autostream.watermark.reading.table_marks import read_mark
from tests.support.clocks import FakeClock

HOUR = datetime(2026, 11, 23, 1, tzinfo=UTC)
KEY = "2026-11-23T01:00:00"
TABLE = "lake.shop.events"


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A lakehouse with its events alone, and few of them."""
    (events,) = (stream for stream in seed.STREAMS if stream.table == "events")
    monkeypatch.setattr(seed, "STREAMS", (events,))
    monkeypatch.setattr(hours, "EVENTS_A_CHECKPOINT", 40)
    catalog = seed.open_demo_catalog(tmp_path)
    catalog.create_namespace("shop")
    catalog.create_table(("shop", "events"), events.schema, partition_spec=events.partition, properties=seed.PROPERTIES)
    return tmp_path


def test_the_watermark_comes_after_the_events_that_it_promises(directory: Path) -> None:
    writer = EventWriter(directory, HOUR)
    catalog = seed.open_demo_catalog(directory)
    assert read_mark(TABLE, catalog=catalog).watermark_ms == to_ms(HOUR)
    for number in range(1, 5):
        writer.checkpoint()
        assert read_mark(TABLE, catalog=catalog).watermark_ms == to_ms(HOUR + timedelta(minutes=15 * number))
    rows = scan_table(catalog.load_table(("shop", "events"))).to_arrow().to_pylist()
    assert all(HOUR <= row["event_time"] < HOUR + timedelta(hours=1) for row in rows)
    assert len(rows) == len(writer.events) < 4 * 40  # some were corrected
    kinds = writer.kinds()
    assert kinds == {kind: sum(row["kind"] == kind for row in rows) for kind in kinds}


class Answers(BaseHTTPRequestHandler):
    """A little of Airflow's REST API."""

    known: dict[str, Any]
    asked: list[str]

    def do_POST(self) -> None:
        self._answer({"access_token": "t"})

    def do_GET(self) -> None:
        path = urlsplit(self.path).path.removeprefix("/api/v2")
        names = parse_qs(urlsplit(self.path).query).get("name_pattern", [""])
        self.asked.append(f"{self.headers['Authorization']} {path}")
        found = self.known.get(path + names[0])
        answer = found.pop(0) if isinstance(found, list) else found
        if isinstance(answer, int):
            self._answer({}, answer)
        else:
            self._answer(answer)

    def do_PATCH(self) -> None:
        self.asked.append(f"{self.path} {self.rfile.read(int(self.headers['Content-Length'])).decode()}")
        self._answer({})

    def _answer(self, document: Any, status: int = 200) -> None:
        self.send_response(404 if document is None else status)
        self.end_headers()
        self.wfile.write(json.dumps(document).encode())

    def log_message(self, *arguments: Any) -> None:
        pass


@pytest.fixture
def known() -> dict[str, Any]:
    """What there is once all has happened."""
    run = {"dag_run_id": "r1", "partition_key": KEY, "state": "success", "end_date": "2026-11-23T02:00:12Z"}
    other = run | {"partition_key": "2026-11-23T00:00:00", "state": "running"}
    watermark, partitions = f"watermark:hour:{TABLE}", f"hours:{TABLE}"
    return {
        "/dags/w/dagRuns": {"dag_runs": [other, run]},
        "/dags/w/dagRuns/r1/taskInstances": {
            "task_instances": [
                {"task_id": "b", "start_date": None},
                {"task_id": "a", "start_date": "2026-11-23T02:00:09.500Z"},
            ]
        },
        "/dags/w/dagRuns/r1/taskInstances/a/xcomEntries/return_value": {"value": {"view": 2}},
        f"/assets/events{watermark}": {
            "asset_events": [
                {"name": watermark, "extra": {"payload": {"key": "other"}}, "timestamp": "2026-11-23T01:00:00Z"},
                {"name": watermark, "extra": {"payload": {"key": KEY}}, "timestamp": "2026-11-23T02:00:05Z"},
                {"name": watermark + "s", "extra": {"payload": {"key": KEY}}, "timestamp": "2026-11-23T02:00:01Z"},
            ]
        },
        f"/assets/events{partitions}": {
            "asset_events": [
                {"name": partitions, "partition_key": None, "extra": {}, "timestamp": "2026-11-23T02:00:01Z"},
                {"name": partitions, "partition_key": KEY, "extra": {}, "timestamp": "2026-11-23T02:00:07Z"},
            ]
        },
    }


@pytest.fixture
def api(known: dict[str, Any]) -> Iterator[AirflowApi]:
    handler = type("Handler", (Answers,), {"known": known, "asked": []})
    server = HTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield AirflowApi(f"http://127.0.0.1:{server.server_port}/", user="admin", password="p")
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def timeline(api: AirflowApi) -> Timeline | None:
    published = datetime(2026, 11, 23, 2, tzinfo=UTC).timestamp()
    return read_timeline(api, "w", table=TABLE, hour=KEY, published=published)


def test_the_timeline_is_that_of_the_hour(api: AirflowApi) -> None:
    found = timeline(api)
    assert found is not None
    assert [seconds for _, seconds in found.steps()] == pytest.approx([0, 5, 7, 9.5, 12])
    assert found.outcome == {"view": 2}
    json.dumps(found.to_dict())


def test_without_the_triggerers_event_there_is_a_step_less(api: AirflowApi, known: dict[str, Any]) -> None:
    known[f"/assets/eventswatermark:hour:{TABLE}"]["asset_events"].clear()
    found = timeline(api)
    assert found is not None
    assert [seconds for _, seconds in found.steps()] == pytest.approx([0, 7, 9.5, 12])


def test_there_is_none_until_the_workflow_has_ended(api: AirflowApi, known: dict[str, Any]) -> None:
    known["/dags/w/dagRuns"]["dag_runs"][1]["state"] = "running"
    assert timeline(api) is None
    known["/dags/w/dagRuns"]["dag_runs"].clear()
    assert timeline(api) is None


def test_a_failed_run_and_a_second_one_are_errors(api: AirflowApi, known: dict[str, Any]) -> None:
    runs = known["/dags/w/dagRuns"]["dag_runs"]
    runs.append(dict(runs[1]))
    with pytest.raises(AutostreamError, match=f"w has 2 runs for the hour {KEY}"):
        timeline(api)
    runs.pop()
    runs[1]["state"] = "failed"
    with pytest.raises(AutostreamError, match="The run r1 of w failed"):
        timeline(api)


def test_an_airflow_whose_database_is_busy_is_asked_again(
    api: AirflowApi, known: dict[str, Any], clock: FakeClock
) -> None:
    known["/busy"] = [500, 503, {"free": True}]
    assert api.get("/busy") == {"free": True}
    assert len(clock.slept) == 2
    known["/busy"] = [500] * 20
    with pytest.raises(ServiceError, match="with 500"):
        api.get("/busy")
    assert len(clock.slept) == 2 + 9


def test_an_airflow_that_refuses_or_is_not_there_is_named(api: AirflowApi) -> None:
    with pytest.raises(ServiceError, match=r"answered GET /api/v2/nothing\? with 404: null"):
        api.get("/nothing")
    with pytest.raises(ServiceError, match=r"http://127\.0\.0\.1:1 did not answer POST /auth/token"):
        AirflowApi("http://127.0.0.1:1", user="admin", password="p")


@pytest.mark.airflow
@pytest.mark.slow
@pytest.mark.integration
@pytest.mark.exhaustive  # `make demo` does the same, and checks it
def test_workflows_run_by_scheduler_and_rest(directory: Path) -> None:
    """The hour from the writer's commit to what its workflow counts; and no workflow takes a param that it lacks."""
    airflow = LocalAirflow(directory, find_project())
    airflow.prepare()
    start = hours.last_full_hour()
    dag_ids = [file.stem for file in (airflow.project / "dags").glob("*.py")]
    with session.started(airflow, dag_ids, AUTOSTREAM_WATERMARK__PUBLISH_FROM=start.isoformat()) as running:
        found = hours.complete_an_hour(running, start, report_progress=lambda step: None)
        taken = [dag_id for dag_id in dag_ids if dag_id != "example_watermark_sensor"]  # its own run is in the way
        for dag_id in taken:
            running.wait_until(lambda dag_id=dag_id: running.api.knows(dag_id))
            running.api.trigger(dag_id, run_id="misspelt", conf={"dry-run": True})
        for dag_id in taken:
            running.wait_until(lambda dag_id=dag_id: running.api.run(dag_id, "misspelt")["state"] == "failed")
        log = running.api.get("/dags/lake_compaction/dagRuns/misspelt/taskInstances/discover_and_plan/logs/1")
    assert "Unknown param `dry-run`. Did you mean `dry_run`?" in json.dumps(log)
    steps = [seconds for _, seconds in found.steps()]
    assert len(steps) == 5
    assert steps == sorted(steps)
    assert sum(found.outcome.values()) > 0
    (file,) = (directory / "hours" / "kinds").iterdir()
    assert file.name == f"{found.hour[:13]}.parquet"

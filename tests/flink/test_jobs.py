"""What a job manager says of a job, from recorded answers of a real one served over HTTP."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from autostream.errors import ServiceError
from autostream.flink.jobs import FlinkCluster, JobRun

RECORDED = Path(__file__).parents[1] / "fixtures" / "flink-rest"
JOB = json.loads((RECORDED / "job.json").read_text())
JOB_ID = JOB["jid"]


class _Answers(dict[str, bytes]):
    """What each path is answered by; anything else is 404."""


@pytest.fixture
def answers() -> _Answers:
    found = _Answers({f"/jobs/{JOB_ID}": json.dumps(JOB).encode()})
    for number, vertex in enumerate(JOB["vertices"]):
        found[f"/jobs/{JOB_ID}/vertices/{vertex['id']}"] = (RECORDED / f"vertex{number}_detail.json").read_bytes()
    return found


@pytest.fixture
def cluster(answers: _Answers) -> Iterator[FlinkCluster]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = answers.get(self.path)
            self.send_response(200 if body is not None else 404)
            self.end_headers()
            self.wfile.write(body or b'{"errors": ["not found"]}')

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield FlinkCluster(f"http://127.0.0.1:{server.server_address[1]}/")
    finally:
        server.shutdown()
        server.server_close()


def test_a_running_job_is_as_old_as_its_oldest_attempt(cluster: FlinkCluster) -> None:
    job = cluster.job(JOB_ID)
    details = [json.loads((RECORDED / f"vertex{n}_detail.json").read_text()) for n in range(3)]
    oldest = max(d["now"] - s["start-time"] for d in details for s in d["subtasks"])
    assert job == JobRun(JOB_ID, "backlog-job", "RUNNING", oldest)
    assert not job.ended


def test_only_the_committer_counts_where_there_is_one(cluster: FlinkCluster, answers: _Answers) -> None:
    named = json.loads(json.dumps(JOB))
    named["vertices"][2]["name"] = "IcebergFilesCommitter -> Sink"
    answers[f"/jobs/{JOB_ID}"] = json.dumps(named).encode()
    detail = json.loads((RECORDED / "vertex2_detail.json").read_text())
    job = cluster.job(JOB_ID)
    assert job is not None
    assert job.committer_age_ms == detail["now"] - detail["subtasks"][0]["start-time"]


def test_a_job_without_a_running_attempt(cluster: FlinkCluster, answers: _Answers) -> None:
    answers[f"/jobs/{JOB_ID}"] = json.dumps({**JOB, "state": "FAILED"}).encode()
    for path in list(answers):
        answers[path] = answers[path].replace(b'"status": "RUNNING"', b'"status": "FAILED"')
    job = cluster.job(JOB_ID)
    assert job is not None
    assert (job.ended, job.committer_age_ms) == (True, None)


def test_an_unknown_job(cluster: FlinkCluster) -> None:
    assert cluster.job("0" * 32) is None


def test_answers_that_are_none(cluster: FlinkCluster, answers: _Answers) -> None:
    answers[f"/jobs/{JOB_ID}"] = b'{"jid": "x"}'
    with pytest.raises(ServiceError, match="not understood"):
        cluster.job(JOB_ID)
    answers[f"/jobs/{JOB_ID}"] = b"<html>"
    with pytest.raises(ServiceError, match=f"does not answer .*/jobs/{JOB_ID}"):
        cluster.job(JOB_ID)
    with pytest.raises(ServiceError, match="Check the address"):
        FlinkCluster("http://127.0.0.1:1").job(JOB_ID)
